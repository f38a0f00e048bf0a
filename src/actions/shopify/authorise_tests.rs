//! Who is let in with what, and how often they may be wrong.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use uuid::Uuid;

use super::*;
use crate::actions::shopify::order::{Address, Money};

const MEERA: &str = "+919876543210";
const ARJUN: &str = "+919812345678";

fn order(phones: &[&str]) -> Order {
    Order {
        name: "#1042".into(),
        phones: phones.iter().map(|phone| (*phone).to_owned()).collect(),
        emails: vec!["Meera@Example.in".into()],
        total: Money::read("1299.00", "INR").unwrap(),
        address: Some(Address { zip: "411 001".into(), country_code: "IN".into(), ..Address::default() }),
        ..Order::default()
    }
}

fn claim(number: &str, email: &str, pin_code: &str) -> Claim {
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Claim { number: PhoneNumber::parse(number).ok(), email: given(email), pin_code: given(pin_code) }
}

const DEFAULT: ShopPolicy =
    ShopPolicy { read: OrderProof::NumberOrFacts, write: OrderProof::Number, write_limit: 5000 };
const STRICT: ShopPolicy = ShopPolicy { read: OrderProof::Number, ..DEFAULT };
const OPEN: ShopPolicy = ShopPolicy { write: OrderProof::NumberOrFacts, ..DEFAULT };

#[test]
fn a_caller_is_known_by_the_number_on_the_order_or_by_facts_that_fit() {
    use Barred::{NumberNeeded, Unknown};
    use Proven::{ByFacts, ByNumber};
    let meera = order(&[MEERA]);
    for (name, claim, policy, read, write) in [
        ("her number", claim(MEERA, "", ""), DEFAULT, Ok(ByNumber), Ok(ByNumber)),
        ("another number", claim(ARJUN, "", ""), DEFAULT, Err(Unknown), Err(Unknown)),
        ("one digit more", claim("+9198765432100", "", ""), DEFAULT, Err(Unknown), Err(Unknown)),
        ("the same end, another country", claim("+19876543210", "", ""), DEFAULT, Err(Unknown), Err(Unknown)),
        ("withheld", claim("", "", ""), DEFAULT, Err(Unknown), Err(Unknown)),
        ("her e-mail", claim("", " meera@example.IN ", ""), DEFAULT, Ok(ByFacts), Err(NumberNeeded)),
        ("her PIN code", claim(ARJUN, "", "411001"), DEFAULT, Ok(ByFacts), Err(NumberNeeded)),
        ("both", claim("", "meera@example.in", "411-001"), DEFAULT, Ok(ByFacts), Err(NumberNeeded)),
        ("one right, one wrong", claim("", "meera@example.in", "411002"), DEFAULT, Err(Unknown), Err(Unknown)),
        ("a part of the PIN code", claim("", "", "4110"), DEFAULT, Err(Unknown), Err(Unknown)),
        ("a pattern", claim("", "*@example.in", ""), DEFAULT, Err(Unknown), Err(Unknown)),
        ("facts where only the number counts", claim("", "meera@example.in", ""), STRICT, Err(Unknown), Err(Unknown)),
        ("her number is enough there", claim(MEERA, "", ""), STRICT, Ok(ByNumber), Ok(ByNumber)),
        ("facts where they may change", claim("", "meera@example.in", ""), OPEN, Ok(ByFacts), Ok(ByFacts)),
        ("her number with a wrong fact", claim(MEERA, "x@y.z", ""), DEFAULT, Ok(ByNumber), Ok(ByNumber)),
    ] {
        assert_eq!(judge(&meera, &claim, &policy, Purpose::Read, true), read, "{name}, reading");
        assert_eq!(judge(&meera, &claim, &policy, Purpose::Write, true), write, "{name}, writing");
    }
    let facts = claim("", "meera@example.in", "");
    assert_eq!(judge(&meera, &facts, &DEFAULT, Purpose::Read, false), Err(Unknown), "wrong too often");
    assert_eq!(judge(&meera, &claim(MEERA, "", ""), &DEFAULT, Purpose::Write, false), Ok(ByNumber));
}

#[test]
fn what_is_empty_on_an_order_proves_nothing() {
    let bare = Order { emails: vec![String::new()], address: None, ..order(&[]) };
    for (email, pin_code) in [("", "0"), (" ", ""), ("@", ""), ("", " "), ("", "000000")] {
        let told = Claim { number: None, email: Some(email.into()), pin_code: Some(pin_code.into()) };
        assert_eq!(judge(&bare, &told, &OPEN, Purpose::Read, true), Err(Barred::Unknown), "{email:?} {pin_code:?}");
    }
    let short = Order { address: Some(Address { zip: "12".into(), ..Address::default() }), ..order(&[]) };
    assert_eq!(judge(&short, &claim("", "", "12"), &OPEN, Purpose::Read, true), Err(Barred::Unknown));
}

#[test]
fn a_number_is_read_as_it_was_typed_and_compared_whole() {
    for (typed, country, fits) in [
        (MEERA, "IN", true),
        ("+91 98765 43210", "IN", true),
        ("+91-98765-43210", "", true),
        ("00919876543210", "", true),
        ("098765 43210", "IN", true),
        ("9876543210", "IN", true),
        ("9876543210", "US", false),
        ("9876543210", "", false),
        ("876543210", "IN", false),
        ("919876543210", "IN", false),
        ("+919876543210 ext 5", "IN", false),
        ("", "IN", false),
    ] {
        let mut order = order(&[typed]);
        order.address.as_mut().unwrap().country_code = country.into();
        let judged = judge(&order, &claim(MEERA, "", ""), &DEFAULT, Purpose::Read, true);
        assert_eq!(judged.is_ok(), fits, "{typed} {country}");
    }
}

#[test]
fn what_is_worth_more_than_the_limit_is_read_but_not_changed() {
    let dear = Order { total: Money::read("5000.01", "INR").unwrap(), ..order(&[MEERA]) };
    let caller = claim(MEERA, "", "");
    assert_eq!(judge(&dear, &caller, &DEFAULT, Purpose::Read, true), Ok(Proven::ByNumber));
    assert_eq!(judge(&dear, &caller, &DEFAULT, Purpose::Write, true), Err(Barred::TooMuch));
    // Whoever is not known does not learn that it is worth much.
    assert_eq!(judge(&dear, &claim(ARJUN, "", ""), &DEFAULT, Purpose::Write, true), Err(Barred::Unknown));
}

#[test]
fn wrong_facts_count_in_a_call_and_for_an_order() {
    let (start, mut guesses) = (Instant::now(), Guesses::default());
    let client = ClientId(Uuid::nil());
    let guess = |call, order| Guess { call, client, caller: None, order };
    let call = CallId::new();
    for wrong in 0..WRONG_PER_CALL {
        // One that was right in between changes nothing.
        assert!(guesses.begin(guess(call, "7"), true, start), "after {wrong}");
        guesses.forgive(guess(call, "7"));
        assert!(guesses.begin(guess(call, "1042"), true, start), "after {wrong}");
        assert!(guesses.begin(guess(call, "1042"), false, start) == (wrong + 1 < WRONG_PER_CALL), "nothing was told");
    }
    assert!(!guesses.begin(guess(call, "1042"), true, start) && !guesses.begin(guess(call, "7"), true, start));
    assert!(guesses.begin(guess(CallId::new(), "1042"), false, start), "another call has its own");
    for _ in WRONG_PER_CALL..WRONG_PER_ORDER {
        assert!(guesses.begin(guess(CallId::new(), "1042"), true, start));
    }
    assert!(!guesses.begin(guess(CallId::new(), "1042"), true, start), "over all calls");
    assert!(guesses.begin(guess(CallId::new(), "1043"), true, start));
    assert!(guesses.begin(guess(CallId::new(), "1042"), true, start + WINDOW));
}

#[test]
fn wrong_facts_count_for_the_number_that_rings_over_all_its_calls_and_orders() {
    let (start, client, other) = (Instant::now(), ClientId(Uuid::nil()), ClientId::new());
    let (meera, arjun) = (PhoneNumber::parse(MEERA).unwrap(), PhoneNumber::parse(ARJUN).unwrap());
    for (caller, limit) in [(Some(&meera), WRONG_PER_NUMBER), (None, WRONG_WITHHELD)] {
        let mut guesses = Guesses::default();
        let orders: Vec<String> = (0..=limit).map(|order| order.to_string()).collect();
        let guess = |client, caller, order| Guess { call: CallId::new(), client, caller, order };
        for order in &orders[1..] {
            assert!(guesses.begin(guess(client, caller, order), true, start), "{caller:?} {order}");
        }
        assert!(!guesses.begin(guess(client, caller, &orders[0]), true, start), "{caller:?}: in a call of its own");
        assert!(guesses.begin(guess(other, caller, &orders[0]), true, start), "{caller:?}: another client");
        assert!(guesses.begin(guess(client, Some(&arjun), &orders[0]), true, start), "{caller:?}: another number");
        assert!(guesses.begin(guess(client, caller, &orders[0]), true, start + WINDOW), "{caller:?}: an hour later");
    }
}

#[test]
fn wrong_facts_of_many_numbers_count_for_their_client() {
    let (start, client, mut guesses) = (Instant::now(), ClientId(Uuid::nil()), Guesses::default());
    let number = |last: u32| PhoneNumber::parse(&format!("+9198000{last:05}")).unwrap();
    let mut ask = |client, last: u32| {
        let (caller, order) = (number(last), last.to_string());
        guesses.begin(Guess { call: CallId::new(), client, caller: Some(&caller), order: &order }, true, start)
    };
    assert!((0..WRONG_PER_CLIENT).all(|last| ask(client, last)));
    assert!(!ask(client, WRONG_PER_CLIENT) && ask(ClientId::new(), WRONG_PER_CLIENT));
}

#[test]
fn what_is_remembered_is_bounded() {
    let (start, mut tally) = (Instant::now(), Tally::default());
    for key in 0..REMEMBERED + 10 {
        tally.add(key, start + Duration::from_millis(key as u64));
    }
    assert_eq!(tally.0.len(), REMEMBERED);
    let now = start + Duration::from_secs(20);
    assert_eq!((tally.count(&0, now), tally.count(&(REMEMBERED + 9), now)), (0, 1), "the oldest went first");
}
