//! One request of a call: its arguments, who asks, and finding the orders that are theirs.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use caly_actors::domain::{OrderProof, ShopPolicy};
use caly_actors::ports::{ActionError, ActionRequest, Undo};
use chrono::{DateTime, FixedOffset, Utc};
use serde_json::{Value, json};

use super::Shopify;
use super::answer::Fault;
use super::authorise::{Barred, Claim, Guess, Proven, Purpose, judge};
use super::client::Door;
use super::order::Order;
use super::wire;

/// Longest order number, name, line of an address.
const NUMBER_MAX: usize = 20;
const EMAIL_MAX: usize = 254;
/// From this attempt on, four minutes and more after the first, what the shop shows no sign of was not done: a request whose
/// answer was lost may be carried out late.
const SURE: u32 = 11;
/// Left of a deadline for the answer itself.
const MARGIN: Duration = Duration::from_millis(500);

/// See the module's text.
pub(super) struct Asked<'a> {
    pub request: &'a ActionRequest,
    pub policy: ShopPolicy,
    pub claim: Claim,
    pub door: Door,
    pub shop: &'a Shopify,
    pub zone: FixedOffset,
    /// When it must be answered.
    pub until: Instant,
    /// What undoes what is done, laid down on the way.
    pub undo: OnceCell<Undo>,
}

pub(super) fn refused(text: impl Into<String>) -> ActionError {
    ActionError::Refused(text.into())
}

/// What a fault comes to where nothing was to be changed, or surely was not.
pub(super) fn unread(fault: Fault) -> ActionError {
    match fault {
        Fault::Away(why) => ActionError::Unavailable(format!("{why}: offer to ring back or a person")),
        Fault::Lost => ActionError::Unavailable("the shop did not answer: offer to ring back or a person".to_owned()),
        // What an operator has to mend is in the log and no business of the caller.
        Fault::Denied(_) => refused("the shop's orders cannot be looked up right now: offer a person"),
        Fault::NotAccepted(_) => refused("the shop did not accept this: offer a person"),
    }
}

/// Of a change whose outcome is asked for: that it cannot be found out does not mean that nothing happened.
pub(super) fn unheard(error: ActionError) -> ActionError {
    let (ActionError::Refused(why)
    | ActionError::Unavailable(why)
    | ActionError::Away(why)
    | ActionError::Unknown(why)) = error;
    ActionError::Unknown(format!("whether it was done cannot be found out: {why}"))
}

/// An answer that is not what was asked for. The text says where.
pub(super) fn misread(why: String) -> ActionError {
    tracing::error!(why, "an answer of the shop could not be read: check shopify.api_version");
    ActionError::Unavailable("the shop's answer was not understood: offer a person".to_owned())
}

/// An order number without its sign; `None` for what can be none.
pub(super) fn order_number(text: &str) -> Option<String> {
    let plain = text.trim().trim_start_matches('#').trim();
    let fits = (1..=NUMBER_MAX).contains(&plain.len())
        && plain.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        && plain.bytes().any(|byte| byte.is_ascii_digit());
    fits.then(|| plain.to_ascii_uppercase())
}

/// An e-mail address that can stand in a search: no quote, no blank, no backslash.
pub(super) fn email(text: &str) -> Option<String> {
    let plain = text.trim().to_lowercase();
    let (name, host) = plain.split_once('@')?;
    let of = |part: &str, more: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    (plain.len() <= EMAIL_MAX && of(name, "._%+-") && of(host, ".-") && host.contains('.')).then_some(plain)
}

/// Whether an order is the one that is called so.
fn is_named(order: &Order, number: &str) -> bool {
    order_number(&order.name).is_some_and(|name| name == *number)
}

/// Whether its number is the same but for what the shop writes around it: `EN1001` for 1001.
fn is_like(order: &Order, number: &str) -> bool {
    let name = order_number(&order.name).unwrap_or_default();
    number.bytes().all(|byte| byte.is_ascii_digit()) && name.trim_matches(|c: char| !c.is_ascii_digit()) == number
}

impl Asked<'_> {
    /// What a change comes to that was asked about and is not there.
    pub(super) fn not_seen(&self) -> ActionError {
        if self.request.attempt < SURE {
            return ActionError::Unknown("the shop shows no sign of it yet".to_owned());
        }
        refused("it was not done")
    }

    pub(super) fn lay_down(&self, undo: Undo) {
        // What is done is done once.
        let _ = self.undo.set(undo);
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.request.arguments[name].as_str().map(str::trim).filter(|text| !text.is_empty())
    }

    /// Reads what may be a moment old.
    pub(super) async fn read(&self, operation: wire::Operation, variables: Value) -> Result<Arc<Value>, ActionError> {
        self.shop.api.read(&self.door, operation, &variables, self.soon()).await.map_err(unread)
    }

    /// When the last request must be answered.
    pub(super) fn soon(&self) -> Instant {
        self.until.checked_sub(MARGIN).unwrap_or(self.until)
    }

    pub(super) fn local(&self, time: DateTime<Utc>) -> DateTime<FixedOffset> {
        time.with_timezone(&self.zone)
    }

    /// What is said of an order that is not there, and of one that is somebody else's.
    fn unknown(&self) -> ActionError {
        let next = match self.policy.read {
            OrderProof::Number => "only orders placed with the number they ring from can be told: offer a person",
            OrderProof::NumberOrFacts => {
                "ask for the order number and the e-mail address or PIN code it was placed with"
            }
        };
        refused(format!("no such order was found for this caller: {next}"))
    }

    pub(super) fn barred(&self, why: Barred) -> ActionError {
        match why {
            Barred::Unknown => self.unknown(),
            Barred::NumberNeeded => {
                refused("this order can be changed only from the phone number it was placed with: offer a person")
            }
            Barred::TooMuch => refused("an order of this worth is changed by a person only: offer one"),
        }
    }

    /// The order of this number, if it is the caller's.
    pub(super) async fn named(&self, number: &str) -> Result<Order, ActionError> {
        let number = order_number(number).ok_or_else(|| self.unknown())?;
        if let Some(order) = self.known(&number) {
            return Ok(order);
        }
        let (call, client) = (self.request.facts.call, self.door.client);
        let guess = Guess { call, client, caller: self.claim.number.as_ref(), order: &number };
        let facts = self.claim.has_facts();
        // Counted before it is known to be wrong: several may be tried at once.
        let open = self.shop.guesses().begin(guess, facts, Instant::now());
        let data = self.read(wire::ORDERS, json!({ "query": format!("name:\"{number}\"") })).await;
        let orders = data.and_then(|data| wire::orders(&data).map_err(misread));
        let found = orders.map(|orders| self.theirs(&orders, &number, open));
        if facts && open && !matches!(found, Ok(None)) {
            self.shop.guesses().forgive(guess);
        }
        match found? {
            Some(order) => Ok(order),
            None if facts && !open => {
                metrics::counter!("caly_shop_proofs_refused_total").increment(1);
                Err(refused("too many wrong details were told: offer a person"))
            }
            None => Err(self.unknown()),
        }
    }

    /// The order of this number among those of the number that rings, if these were looked up a moment ago.
    fn known(&self, number: &str) -> Option<Order> {
        let variables = json!({ "phone": self.claim.number.as_ref()?.as_e164() });
        let data = self.shop.api.known(&self.door, wire::ORDERS_OF_CALLER, &variables)?;
        let mine = self.of_number(wire::orders_of_caller(&data).ok()?);
        mine.into_iter().find(|order| is_named(order, number))
    }

    fn theirs(&self, orders: &[Order], number: &str, open: bool) -> Option<Order> {
        let opens = |order: &&Order| judge(order, &self.claim, &self.policy, Purpose::Read, open).is_ok();
        let exact = orders.iter().filter(|order| is_named(order, number)).find(opens);
        // A number that is only alike is theirs by the number that rings, or not at all.
        let rings =
            |order: &&Order| judge(order, &self.claim, &self.policy, Purpose::Read, false) == Ok(Proven::ByNumber);
        exact.or_else(|| orders.iter().filter(|order| is_like(order, number)).find(rings)).cloned()
    }

    /// The orders placed with the number that rings, the latest first.
    pub(super) async fn own(&self) -> Result<Vec<Order>, ActionError> {
        let Some(number) = &self.claim.number else {
            return Err(match self.policy.read {
                OrderProof::Number => {
                    refused("the caller's number is withheld, so no order can be told: offer a person")
                }
                OrderProof::NumberOrFacts => refused(
                    "the caller's number is withheld: ask for the order number and the e-mail address or PIN code",
                ),
            });
        };
        let data = self.read(wire::ORDERS_OF_CALLER, json!({ "phone": number.as_e164() })).await?;
        let orders = wire::orders_of_caller(&data).map_err(misread)?;
        let mine: Vec<Order> = self.of_number(orders);
        if mine.is_empty() { Err(self.unknown()) } else { Ok(mine) }
    }

    /// Those that bear the number that rings; an e-mail address may find them but opens nothing.
    pub(super) async fn by_email(&self, told: &str) -> Result<Vec<Order>, ActionError> {
        let told = email(told).ok_or_else(|| self.unknown())?;
        let data = self.read(wire::ORDERS, json!({ "query": format!("email:\"{told}\"") })).await?;
        let mine = self.of_number(wire::orders(&data).map_err(misread)?);
        if mine.is_empty() { Err(self.unknown()) } else { Ok(mine) }
    }

    fn of_number(&self, orders: Vec<Order>) -> Vec<Order> {
        let by_number = |order: &Order| judge(order, &self.claim, &self.policy, Purpose::Read, false).is_ok();
        orders.into_iter().filter(by_number).collect()
    }

    /// The order to be changed, as it is now, if the caller may change it.
    pub(super) async fn to_change(&self) -> Result<Order, ActionError> {
        let found = self.named(self.text("order_number").unwrap_or_default()).await?;
        let order = self.anew(&found.id).await.map_err(unread)?.ok_or_else(|| self.unknown())?;
        judge(&order, &self.claim, &self.policy, Purpose::Write, true).map_err(|why| self.barred(why))?;
        Ok(order)
    }

    /// An order as it is now.
    pub(super) async fn anew(&self, id: &str) -> Result<Option<Order>, Fault> {
        let data = self.shop.api.read_anew(&self.door, wire::ORDER, &json!({ "id": id }), self.soon()).await?;
        wire::order(&data).map_err(|why| {
            tracing::error!(why, "an order could not be read: check shopify.api_version");
            Fault::Away("the shop's answer was not understood")
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn an_order_number_is_a_number_and_nothing_that_a_search_could_take_for_more() {
        for (told, number) in [
            ("1042", Some("1042")),
            (" # 1042 ", Some("1042")),
            ("##1042", Some("1042")),
            ("en1001", Some("EN1001")),
            ("EN-1001.2", Some("EN-1001.2")),
            ("", None),
            ("#", None),
            ("latest", None),
            ("1042 OR name:*", None),
            ("*", None),
            ("1042\"", None),
            ("1042\\", None),
            ("10:42", None),
            ("1042}{orders{id}}", None),
            ("'; drop table orders; --", None),
            ("१०४२", None),
            ("123456789012345678901", None),
        ] {
            assert_eq!(order_number(told).as_deref(), number, "{told}");
        }
    }

    #[test]
    fn an_email_address_is_one_and_nothing_else() {
        for (told, fits) in [
            ("Meera.S+shop@example.co.in", true),
            ("meera@example", false),
            ("@example.in", false),
            ("meera@", false),
            ("a@b.in\" OR email:*", false),
            ("a@b.in OR id:1", false),
            ("*@b.in", false),
            ("a@b.in\\", false),
            ("a@b@c.in", false),
            ("a@b.in\n", true),
        ] {
            assert_eq!(email(told).is_some(), fits, "{told:?}");
        }
        assert_eq!(email(" A@B.in "), Some("a@b.in".to_owned()));
    }

    #[test]
    fn what_a_shop_writes_around_a_number_is_no_part_of_it() {
        let order = |name: &str| Order { name: name.into(), ..Order::default() };
        for (name, number, named, like) in [
            ("#1001", "1001", true, true),
            ("EN1001", "1001", false, true),
            ("EN1001", "EN1001", true, false),
            ("1001-IN", "1001", false, true),
            ("#11001", "1001", false, false),
            ("#10010", "1001", false, false),
        ] {
            assert_eq!((is_named(&order(name), number), is_like(&order(name), number)), (named, like), "{name}");
        }
    }
}
