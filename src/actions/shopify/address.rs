//! Sending an order elsewhere. The shop takes a whole address and forgets the old one: what is not to change is read and
//! sent with the rest.

use caly_actors::ports::ActionError;
use serde_json::{Value, json};

use super::answer::Fault;
use super::asked::{Asked, refused, unheard, unread};
use super::order::{Address, Order};
use super::states;
use super::telling::plain;
use super::wire;

/// Longest line of an address.
const LINE_MAX: usize = 120;

/// What is wished for.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Wished<'a> {
    pub address1: &'a str,
    pub address2: &'a str,
    pub city: &'a str,
    pub province_code: &'a str,
    pub zip: &'a str,
    pub name: &'a str,
}

impl Wished<'_> {
    fn is_name_alone(&self) -> bool {
        [self.address1, self.address2, self.city, self.province_code, self.zip].iter().all(|part| part.is_empty())
    }
}

/// The whole new address, or what is missing.
pub(super) fn merged(old: &Address, wished: &Wished<'_>) -> Result<Address, String> {
    let lines = [wished.address1, wished.address2, wished.city, wished.name];
    if lines.iter().any(|line| line.chars().count() > LINE_MAX || line.chars().any(char::is_control)) {
        return Err("a line of the address is too long: ask for it again".to_owned());
    }
    let (first_name, last_name) = match wished.name.trim().split_once(' ') {
        Some((first, last)) => (first.to_owned(), last.trim().to_owned()),
        None if wished.name.trim().is_empty() => (old.first_name.clone(), old.last_name.clone()),
        None => (wished.name.trim().to_owned(), String::new()),
    };
    if wished.is_name_alone() {
        if wished.name.trim().is_empty() {
            return Err("where to? ask for house, street, city and PIN code, or for whom it shall be".to_owned());
        }
        return Ok(Address { first_name, last_name, ..old.clone() });
    }
    if wished.address1.is_empty() || wished.city.is_empty() {
        return Err("ask for house, street and city".to_owned());
    }
    let zip = zip(old, wished)?;
    let province_code = state(old, wished, &zip)?;
    // A landmark or a flat belongs to its house: whoever moves leaves it behind.
    let stays = same(&old.address1, wished.address1) && same(&old.city, wished.city);
    let address2 = if wished.address2.is_empty() && stays { &old.address2 } else { wished.address2 };
    Ok(Address {
        first_name,
        last_name,
        company: old.company.clone(),
        address1: wished.address1.to_owned(),
        address2: address2.to_owned(),
        city: wished.city.to_owned(),
        province_code,
        country_code: if old.country_code.is_empty() { "IN".to_owned() } else { old.country_code.clone() },
        zip,
        phone: old.phone.clone(),
    })
}

fn is_indian(old: &Address) -> bool {
    old.country_code.is_empty() || old.country_code == "IN"
}

fn zip(old: &Address, wished: &Wished<'_>) -> Result<String, String> {
    let zip: String = wished.zip.chars().filter(|c| !c.is_whitespace()).collect();
    let is_pin = zip.len() == 6 && !zip.starts_with('0') && zip.bytes().all(|byte| byte.is_ascii_digit());
    let is_code = (3..=12).contains(&zip.len()) && zip.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if (is_indian(old) && !is_pin) || !is_code {
        return Err("this is no PIN code: ask for its six digits again".to_owned());
    }
    Ok(zip)
}

/// The state that was told, or the one in which the PIN code lies beyond doubt.
fn state(old: &Address, wished: &Wished<'_>, zip: &str) -> Result<String, String> {
    let told = wished.province_code.trim().to_ascii_uppercase();
    let fits = (2..=3).contains(&told.len()) && told.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !told.is_empty() && !fits {
        return Err("province_code: two letters, as MH for Maharashtra".to_owned());
    }
    if !is_indian(old) {
        return if told.is_empty() { Err("which state? give province_code".to_owned()) } else { Ok(told) };
    }
    let code = match (states::of_pin(zip), states::spelt(&told)) {
        ([only], "") => *only,
        ([], "") => return Err("which state? give province_code, as MH".to_owned()),
        (several, "") => {
            return Err(format!(
                "which state? This PIN code may lie in {}: ask, and give province_code",
                several.join(" or ")
            ));
        }
        // A PIN code or a state that was misheard sends the parcel astray.
        ([first, rest @ ..], told) if *first != told && !rest.contains(&told) => {
            let lies = states::of_pin(zip).join(" or ");
            return Err(format!(
                "PIN code {zip} lies in {lies}, not in {told}: ask for both again, and offer a person if they stay"
            ));
        }
        (_, told) => told,
    };
    // As the shop wrote it, where it is the same state.
    let as_before = states::spelt(&old.province_code) == code;
    Ok(if as_before { old.province_code.clone() } else { code.to_owned() })
}

/// Whether two texts are the same but for blanks and capitals.
fn same(one: &str, other: &str) -> bool {
    let fold = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    fold(one) == fold(other)
}

/// Whether an order goes there and to this person, however the shop spells it.
pub(super) fn goes_to(order: &Order, wished: &Address) -> bool {
    let name = |address: &Address| format!("{} {}", address.first_name, address.last_name);
    let code = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase();
    order.address.as_ref().is_some_and(|now| {
        same(&now.address1, &wished.address1)
            && same(&now.address2, &wished.address2)
            && same(&now.city, &wished.city)
            && code(&now.zip) == code(&wished.zip)
            && same(&name(now), &name(wished))
    })
}

impl Asked<'_> {
    async fn shift(&self) -> Result<(Order, Address), ActionError> {
        let order = self.to_change().await?;
        if let Some(former) = self.former(&order)? {
            return Ok((order, former));
        }
        let old = order.address.clone().unwrap_or_default();
        let text = |name: &str| self.text(name).unwrap_or_default();
        let wished = Wished {
            address1: text("address1"),
            address2: text("address2"),
            city: text("city"),
            province_code: text("province_code"),
            zip: text("zip"),
            name: text("name"),
        };
        let new = merged(&old, &wished).map_err(refused)?;
        Ok((order, new))
    }

    fn may_shift(order: &Order) -> Result<(), ActionError> {
        if order.cancelled.is_none() && order.is_untouched() {
            return Ok(());
        }
        Err(refused(format!("it is {}, so its address cannot be changed any more: offer a person", order.state())))
    }

    pub(super) async fn plan_address(&self) -> Result<Value, ActionError> {
        let (order, new) = self.shift().await?;
        Self::may_shift(&order)?;
        if goes_to(&order, &new) {
            return Err(refused("the order goes to this address and person already"));
        }
        Ok(json!({ "change_address": { "order": plain(&order.name), "to": new.said(), "name": receiver(&new) } }))
    }

    pub(super) async fn change_address(&self) -> Result<Value, ActionError> {
        let (order, new) = self.shift().await?;
        if goes_to(&order, &new) {
            return Ok(changed(&order, &new));
        }
        Self::may_shift(&order)?;
        self.lay_down_address(&order, &new);
        let variables = json!({ "id": order.id, "address": wire::address_input(&new) });
        match self.shop.api.write(&self.door, wire::CHANGE_ADDRESS, &variables, self.soon()).await {
            Ok(_) => Ok(changed(&order, &new)),
            Err(Fault::Lost) => match self.settled(&order.id, |order| goes_to(order, &new)).await? {
                Some(order) => Ok(changed(&order, &new)),
                None => Err(ActionError::Unknown("the shop did not say whether the address was changed".to_owned())),
            },
            Err(Fault::NotAccepted(_)) => {
                Err(refused("the shop does not accept this address: check it with the caller"))
            }
            Err(fault) => Err(unread(fault)),
        }
    }

    pub(super) async fn address_again(&self) -> Result<Value, ActionError> {
        let (order, new) = self.shift().await.map_err(unheard)?;
        match self.settled(&order.id, |order| goes_to(order, &new)).await? {
            Some(order) => Ok(changed(&order, &new)),
            None => Err(self.not_seen()),
        }
    }
}

fn receiver(address: &Address) -> String {
    plain(&format!("{} {}", address.first_name, address.last_name))
}

fn changed(order: &Order, new: &Address) -> Value {
    json!({ "changed": true, "order": plain(&order.name), "to": new.said(), "name": receiver(new) })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn old() -> Address {
        Address {
            first_name: "Meera".into(),
            last_name: "Shah".into(),
            address1: "12 MG Road".into(),
            city: "Pune".into(),
            province_code: "MH".into(),
            country_code: "IN".into(),
            zip: "411001".into(),
            phone: "+919876543210".into(),
            ..Address::default()
        }
    }

    #[test]
    fn what_is_not_told_stays_and_what_is_missing_is_asked_for() {
        let wished = Wished { address1: "7 FC Road", city: "Pune", zip: "411 004", ..Wished::default() };
        let new = merged(&old(), &wished).unwrap();
        assert_eq!(
            (new.zip.as_str(), new.province_code.as_str(), new.phone.as_str()),
            ("411004", "MH", "+919876543210")
        );
        assert_eq!((new.first_name.as_str(), new.last_name.as_str(), new.address2.as_str()), ("Meera", "Shah", ""));
        let other = Wished { name: "Ravi K Rao", ..wished.clone() };
        let other = merged(&old(), &other).unwrap();
        assert_eq!((other.first_name.as_str(), other.last_name.as_str()), ("Ravi", "K Rao"));
        let long = "x".repeat(121);
        for (wished, asks) in [
            (Wished { zip: "605001", ..wished.clone() }, "which state? This PIN code may lie in TN or PY"),
            (Wished { zip: "900056", ..wished.clone() }, "which state? give"),
            (Wished { zip: "560001", province_code: "MH", ..wished.clone() }, "lies in KA, not in MH"),
            (Wished { zip: "605001", province_code: "KL", ..wished.clone() }, "lies in TN or PY, not in KL"),
            (Wished { zip: "4110", ..wished.clone() }, "no PIN code"),
            (Wished { zip: "011001", ..wished.clone() }, "no PIN code"),
            (Wished { city: "", ..wished.clone() }, "city"),
            (Wished { address1: &long, ..wished.clone() }, "too long"),
            (Wished { address1: "a\nb", ..wished.clone() }, "too long"),
            (Wished { province_code: "Maharashtra", ..wished.clone() }, "two letters"),
            (Wished { address2: "near the temple", ..Wished::default() }, "house"),
            (Wished { zip: "411004", ..Wished::default() }, "house"),
            (Wished::default(), "where to?"),
        ] {
            let why = merged(&old(), &wished).unwrap_err();
            assert!(why.contains(asks), "{wished:?}: {why}");
        }
    }

    #[test]
    fn the_state_is_the_one_of_the_pin_code_or_the_one_that_is_told() {
        let wished = Wished { address1: "1 Road", city: "There", ..Wished::default() };
        for (zip, told, was, state) in [
            ("560001", "", "MH", "KA"),
            ("560001", "ka", "MH", "KA"),
            // Two digits alone would have left it where it was.
            ("403001", "", "MH", "GA"),
            ("744101", "", "WB", "AN"),
            ("605001", "py", "TN", "PY"),
            ("900056", "PB", "MH", "PB"),
            // However the state is abbreviated, here or in the shop.
            ("500081", "TG", "MH", "TS"),
            ("500081", "", "TG", "TG"),
        ] {
            let old = Address { province_code: was.into(), ..old() };
            let new = merged(&old, &Wished { zip, province_code: told, ..wished.clone() });
            assert_eq!(new.map(|new| new.province_code), Ok(state.to_owned()), "{zip} {told} {was}");
        }
        // Elsewhere nothing is known of codes.
        let abroad = Address { country_code: "US".into(), province_code: "CA".into(), zip: "94105".into(), ..old() };
        let wished = Wished { zip: "10001", ..wished };
        assert!(merged(&abroad, &wished).unwrap_err().contains("which state?"));
        let new = merged(&abroad, &Wished { province_code: "NY", ..wished }).unwrap();
        assert_eq!((new.province_code.as_str(), new.country_code.as_str()), ("NY", "US"));
    }

    #[test]
    fn a_second_line_stays_with_its_house_and_a_name_alone_may_be_changed() {
        let old = Address { address2: "Flat 3".into(), ..old() };
        for (wished, line) in [
            (Wished { address1: "7 FC Road", city: "Pune", zip: "411004", ..Wished::default() }, ""),
            (Wished { address1: "12 MG Road", city: "Nashik", zip: "422001", ..Wished::default() }, ""),
            (Wished { address1: "12  mg road", city: "Pune", zip: "411002", ..Wished::default() }, "Flat 3"),
            (
                Wished { address1: "12 MG Road", address2: "Flat 9", city: "Pune", zip: "411001", ..Wished::default() },
                "Flat 9",
            ),
            (Wished { name: "Ravi Rao", ..Wished::default() }, "Flat 3"),
        ] {
            assert_eq!(merged(&old, &wished).unwrap().address2, line, "{wished:?}");
        }
        let new = merged(&old, &Wished { name: "Ravi Rao", ..Wished::default() }).unwrap();
        assert_eq!(new, Address { first_name: "Ravi".into(), last_name: "Rao".into(), ..old.clone() });
        let order = Order { address: Some(old.clone()), ..Order::default() };
        assert!(!goes_to(&order, &new) && goes_to(&order, &old));
    }

    #[test]
    fn an_address_is_known_again_however_it_is_spelt() {
        let wished =
            merged(&old(), &Wished { address1: "7 FC Road", city: "Pune", zip: "411004", ..Wished::default() });
        let wished = wished.unwrap();
        let order = |address: Address| Order { address: Some(address), ..Order::default() };
        let spelt = Address { address1: "7  fc road ".into(), zip: "411 004".into(), ..wished.clone() };
        assert!(goes_to(&order(wished.clone()), &wished) && goes_to(&order(spelt), &wished));
        assert!(!goes_to(&order(old()), &wished) && !goes_to(&Order::default(), &wished));
        assert!(!goes_to(&order(Address { address2: "Flat 3".into(), ..wished.clone() }), &wished));
    }
}
