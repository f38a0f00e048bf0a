//! Sending an order elsewhere. The shop takes a whole address and forgets the old one: what is not to change is read and
//! sent with the rest.

use caly_actors::ports::ActionError;
use serde_json::{Value, json};

use super::answer::Fault;
use super::asked::{Asked, refused, unheard, unread};
use super::order::{Address, Order};
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

/// The whole new address, or what is missing.
pub(super) fn merged(old: &Address, wished: &Wished<'_>) -> Result<Address, &'static str> {
    let lines = [wished.address1, wished.address2, wished.city, wished.name];
    if lines.iter().any(|line| line.chars().count() > LINE_MAX || line.chars().any(char::is_control)) {
        return Err("a line of the address is too long: ask for it again");
    }
    if wished.address1.is_empty() || wished.city.is_empty() {
        return Err("ask for house, street and city");
    }
    let zip: String = wished.zip.chars().filter(|c| !c.is_whitespace()).collect();
    let indian = old.country_code.is_empty() || old.country_code == "IN";
    let is_pin = zip.len() == 6 && !zip.starts_with('0') && zip.bytes().all(|byte| byte.is_ascii_digit());
    let is_code = (3..=12).contains(&zip.len()) && zip.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if (indian && !is_pin) || !is_code {
        return Err("this is no PIN code: ask for its six digits again");
    }
    let province = wished.province_code.to_ascii_uppercase();
    // The first two digits tell the region: within it the state stays what it was.
    let near = indian && old.zip.trim().get(..2) == zip.get(..2) && !old.province_code.is_empty();
    let province_code = match (province.as_str(), near) {
        ("", true) => old.province_code.clone(),
        ("", false) => return Err("which state? give province_code, as MH"),
        (code, _) if (2..=3).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric()) => province,
        _ => return Err("province_code: two letters, as MH for Maharashtra"),
    };
    let (first_name, last_name) = match wished.name.trim().split_once(' ') {
        Some((first, last)) => (first.to_owned(), last.trim().to_owned()),
        None if wished.name.trim().is_empty() => (old.first_name.clone(), old.last_name.clone()),
        None => (wished.name.trim().to_owned(), String::new()),
    };
    Ok(Address {
        first_name,
        last_name,
        company: old.company.clone(),
        address1: wished.address1.to_owned(),
        address2: wished.address2.to_owned(),
        city: wished.city.to_owned(),
        province_code,
        country_code: if old.country_code.is_empty() { "IN".to_owned() } else { old.country_code.clone() },
        zip,
        phone: old.phone.clone(),
    })
}

/// Whether an order goes there, however the shop spells it.
pub(super) fn goes_to(order: &Order, wished: &Address) -> bool {
    let fold = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let same = |one: &str, other: &str| fold(one) == fold(other);
    let code = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase();
    order.address.as_ref().is_some_and(|now| {
        same(&now.address1, &wished.address1)
            && same(&now.address2, &wished.address2)
            && same(&now.city, &wished.city)
            && code(&now.zip) == code(&wished.zip)
    })
}

impl Asked<'_> {
    async fn shift(&self) -> Result<(Order, Address), ActionError> {
        let order = self.to_change().await?;
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
            return Err(refused("the order goes to this address already"));
        }
        Ok(json!({ "change_address": { "order": plain(&order.name), "to": new.said(), "name": receiver(&new) } }))
    }

    pub(super) async fn change_address(&self) -> Result<Value, ActionError> {
        let (order, new) = self.shift().await?;
        if goes_to(&order, &new) {
            return Ok(changed(&order, &new));
        }
        Self::may_shift(&order)?;
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
    json!({ "changed": true, "order": plain(&order.name), "to": new.said() })
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
            (Wished { zip: "560001", ..wished.clone() }, "which state?"),
            (Wished { zip: "4110", ..wished.clone() }, "no PIN code"),
            (Wished { zip: "011001", ..wished.clone() }, "no PIN code"),
            (Wished { city: "", ..wished.clone() }, "city"),
            (Wished { address1: &long, ..wished.clone() }, "too long"),
            (Wished { address1: "a\nb", ..wished.clone() }, "too long"),
            (Wished { province_code: "Maharashtra", ..wished.clone() }, "two letters"),
        ] {
            let why = merged(&old(), &wished).unwrap_err();
            assert!(why.contains(asks), "{wished:?}: {why}");
        }
        let far = Wished { zip: "560001", city: "Bengaluru", province_code: "ka", ..wished };
        assert_eq!(merged(&old(), &far).unwrap().province_code, "KA");
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
