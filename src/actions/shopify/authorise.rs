//! Who may see an order, and who may change it. Decided by what stands on the order and by the number that rings, or by two
//! facts that fit; never by what the engine says of the caller.
//!
//! A refusal is the same for an order that does not exist and for one that is somebody else's, so that nothing is learnt
//! from asking.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use caly_actors::domain::{CallId, ClientId, OrderProof, PhoneNumber, ShopPolicy};

use super::order::Order;

/// Wrong facts in one call; after that facts count no more in it.
const WRONG_PER_CALL: u32 = 3;
/// Wrong facts about one order number in an hour, over all calls: who hangs up and rings again is not given new tries.
const WRONG_PER_ORDER: u32 = 10;
/// Wrong facts from one number in an hour, over all calls and order numbers of a client; all callers who withhold theirs count
/// as one, for they cannot be told apart.
const WRONG_PER_NUMBER: u32 = 6;
const WRONG_WITHHELD: u32 = 30;
/// Wrong facts at one client in an hour, whoever rings: many numbers that try one fact each are one who tries many.
const WRONG_PER_CLIENT: u32 = 300;
const WINDOW: Duration = Duration::from_secs(3600);
/// Calls, order numbers, calling numbers and clients remembered of each; the oldest is forgotten first.
const REMEMBERED: usize = 10_000;

/// What the caller is known by.
#[derive(Clone, Default, Debug)]
pub(super) struct Claim {
    /// The number they ring from; `None` where it is withheld or no number.
    pub number: Option<PhoneNumber>,
    /// What they told to prove that an order is theirs.
    pub email: Option<String>,
    pub pin_code: Option<String>,
}

/// How an order was found to be the caller's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Proven {
    ByNumber,
    ByFacts,
}

/// What is to be done with the order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    Read,
    Write,
}

/// Why not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Barred {
    /// Not theirs, as far as anybody can tell. Told as if there were no such order.
    Unknown,
    /// Theirs, but changes need the number the order was placed with.
    NumberNeeded,
    /// Theirs, but worth more than a machine may change.
    TooMuch,
}

impl Claim {
    /// Whether there is anything to prove with besides the number.
    pub(super) fn has_facts(&self) -> bool {
        self.email.is_some() || self.pin_code.is_some()
    }
}

/// Judges one order. `facts_count`: wrong facts have not been told too often.
pub(super) fn judge(
    order: &Order,
    claim: &Claim,
    policy: &ShopPolicy,
    purpose: Purpose,
    facts_count: bool,
) -> Result<Proven, Barred> {
    let proven = if rings_from(order, claim) {
        Proven::ByNumber
    } else if facts_count && policy.read == OrderProof::NumberOrFacts && facts_fit(order, claim) {
        Proven::ByFacts
    } else {
        return Err(Barred::Unknown);
    };
    match purpose {
        Purpose::Read => Ok(proven),
        Purpose::Write if proven == Proven::ByFacts && policy.write == OrderProof::Number => Err(Barred::NumberNeeded),
        Purpose::Write if order.total.exceeds(policy.write_limit) => Err(Barred::TooMuch),
        Purpose::Write => Ok(proven),
    }
}

/// Whether the number that rings stands on the order.
fn rings_from(order: &Order, claim: &Claim) -> bool {
    let Some(number) = &claim.number else { return false };
    let country = order.address.as_ref().map_or("", |address| address.country_code.as_str());
    order.phones.iter().filter_map(|phone| e164(phone, country)).any(|phone| phone == *number)
}

/// A number as it was typed into a form: in E.164, or as people of its country write it.
fn e164(text: &str, country: &str) -> Option<PhoneNumber> {
    let plain: String = text.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '.' | '\u{a0}')).collect();
    if let Some(rest) = plain.strip_prefix("00") {
        return PhoneNumber::parse(&format!("+{rest}")).ok();
    }
    if plain.starts_with('+') {
        return PhoneNumber::parse(&plain).ok();
    }
    let national = plain.strip_prefix('0').unwrap_or(&plain);
    let indian = country == "IN" && national.len() == 10 && national.starts_with(['6', '7', '8', '9']);
    if indian { PhoneNumber::parse(&format!("+91{national}")).ok() } else { None }
}

/// Every fact that was told must stand on the order; one is enough.
fn facts_fit(order: &Order, claim: &Claim) -> bool {
    let email = claim.email.as_ref().map(|told| order.emails.iter().any(|email| same_email(email, told)));
    let zip = order.address.as_ref().map_or("", |address| address.zip.as_str());
    let pin_code = claim.pin_code.as_ref().map(|told| same_code(zip, told));
    let told: Vec<bool> = email.into_iter().chain(pin_code).collect();
    !told.is_empty() && told.iter().all(|fits| *fits)
}

fn same_email(one: &str, other: &str) -> bool {
    let fold = |text: &str| text.trim().to_lowercase();
    // An empty text on an order must not be proven with an empty one.
    fold(one).contains('@') && fold(one) == fold(other)
}

fn same_code(one: &str, other: &str) -> bool {
    let fold = |text: &str| text.chars().filter(|c| c.is_ascii_alphanumeric()).collect::<String>().to_ascii_uppercase();
    fold(one).len() >= 4 && fold(one) == fold(other)
}

/// What wrong facts are counted by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guess<'a> {
    pub call: CallId,
    pub client: ClientId,
    /// The number that rings.
    pub caller: Option<&'a PhoneNumber>,
    /// The order number asked for, whether there is such an order or not.
    pub order: &'a str,
}

/// Wrong facts, by call, by order number, by calling number and by client. Plain data with the time as an argument.
#[derive(Default, Debug)]
pub(super) struct Guesses {
    calls: Tally<CallId>,
    orders: Tally<(ClientId, String)>,
    callers: Tally<(ClientId, Option<PhoneNumber>)>,
    clients: Tally<ClientId>,
}

impl Guesses {
    /// An order number is asked for, with facts or without. Tells whether facts still count in this call, for this number, from
    /// this caller and at this client; if so, they are taken for wrong until they are forgiven.
    pub(super) fn begin(&mut self, guess: Guess<'_>, facts: bool, now: Instant) -> bool {
        let (order, caller) = guess.keys();
        let of_caller = if guess.caller.is_some() { WRONG_PER_NUMBER } else { WRONG_WITHHELD };
        let open = self.calls.count(&guess.call, now) < WRONG_PER_CALL
            && self.orders.count(&order, now) < WRONG_PER_ORDER
            && self.callers.count(&caller, now) < of_caller
            && self.clients.count(&guess.client, now) < WRONG_PER_CLIENT;
        if facts && open {
            self.calls.add(guess.call, now);
            self.orders.add(order, now);
            self.callers.add(caller, now);
            self.clients.add(guess.client, now);
        }
        open
    }

    /// They were right after all, or could not be looked up.
    pub(super) fn forgive(&mut self, guess: Guess<'_>) {
        let (order, caller) = guess.keys();
        self.calls.take_back(&guess.call);
        self.orders.take_back(&order);
        self.callers.take_back(&caller);
        self.clients.take_back(&guess.client);
    }
}

impl Guess<'_> {
    fn keys(&self) -> ((ClientId, String), (ClientId, Option<PhoneNumber>)) {
        ((self.client, self.order.to_owned()), (self.client, self.caller.cloned()))
    }
}

#[derive(Debug)]
struct Tally<K>(HashMap<K, (u32, Instant)>);

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq + Clone> Tally<K> {
    fn count(&self, key: &K, now: Instant) -> u32 {
        let recent = |(_, since): &&(u32, Instant)| now.saturating_duration_since(*since) < WINDOW;
        self.0.get(key).filter(recent).map_or(0, |(count, _)| *count)
    }

    fn take_back(&mut self, key: &K) {
        if let Some((count, _)) = self.0.get_mut(key) {
            *count = count.saturating_sub(1);
        }
    }

    fn add(&mut self, key: K, now: Instant) {
        let count = self.count(&key, now);
        if self.0.len() >= REMEMBERED && !self.0.contains_key(&key) {
            self.0.retain(|_, (_, since)| now.saturating_duration_since(*since) < WINDOW);
            let oldest = self.0.iter().min_by_key(|(_, (_, since))| *since).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest.filter(|_| self.0.len() >= REMEMBERED) {
                self.0.remove(&oldest);
            }
        }
        let since = if count == 0 { now } else { self.0.get(&key).map_or(now, |(_, since)| *since) };
        self.0.insert(key, (count + 1, since));
    }
}

#[cfg(test)]
#[path = "authorise_tests.rs"]
mod tests;
