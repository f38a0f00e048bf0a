//! What of a plan a caller can hear and must have heard before a yes to it counts: order numbers, amounts, days, times of day.
//! Not: identifiers that nobody says, numbers in the names of goods, and how long or how many a thing is in one digit.

use chrono::{NaiveDate, NaiveTime, Timelike as _};
use serde_json::Value;

use super::telling::runs;

/// One thing that must be said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Particular {
    /// Its digits, without zeros before them.
    Number(String),
    Day(NaiveDate),
    /// Hour of 24, and minute.
    Clock(u32, u32),
}

impl Particular {
    /// As it might be said.
    pub(super) fn said(&self) -> String {
        match self {
            Self::Number(number) => number.clone(),
            Self::Day(day) => day.format("%A %-d %B").to_string(),
            Self::Clock(hour, minute) => format!("{hour:02}:{minute:02}"),
        }
    }
}

/// More than this no sentence holds, and no caller remembers.
const MOST: usize = 12;
/// Longer rows of digits are not said: they are identifiers of some system.
const DIGITS_MAX: usize = 12;
/// Shortest number that must be said in a longer text, and alone.
const INSIDE_MIN: usize = 3;
const ALONE_MIN: usize = 2;

/// Texts that are called so are names or somebody's words: only amounts in them must be said.
const NAMES: [&str; 16] = [
    "description",
    "item",
    "items",
    "message",
    "name",
    "note",
    "notes",
    "product",
    "products",
    "query",
    "reason",
    "service",
    "summary",
    "text",
    "title",
    "topic",
];
/// Numbers that are called so are seldom said.
const ASIDE: [&str; 6] = ["count", "duration", "minutes", "quantity", "then", "version"];
/// What is called so, or ends so, is no word of a conversation, or is not to be said aloud …
const UNSAID: [&str; 19] = [
    "aadhaar", "card", "cvv", "email", "gid", "hash", "id", "ids", "key", "otp", "pan", "password", "pin", "secret",
    "sku", "token", "upi", "url", "uuid",
];
/// … unless it is a number that callers are given.
const GIVEN: [&str; 7] = ["bill", "booking", "invoice", "order", "pnr", "ref", "ticket"];

/// In the order in which they stand, each once.
pub(super) fn particulars(plan: &Value) -> Vec<Particular> {
    let mut found = Vec::new();
    collect("", plan, &mut found);
    let mut once: Vec<Particular> = Vec::new();
    for one in found {
        if !once.contains(&one) {
            once.push(one);
        }
    }
    once.truncate(MOST);
    once
}

fn collect(key: &str, value: &Value, found: &mut Vec<Particular>) {
    match value {
        Value::Object(map) => {
            map.iter().filter(|(key, _)| !is_unsaid(key)).for_each(|(key, value)| collect(key, value, found))
        }
        Value::Array(list) => list.iter().for_each(|value| collect(key, value, found)),
        Value::Number(number) if !ASIDE.contains(&key) => {
            let whole = number.to_string().split(['.', 'e', 'E']).next().unwrap_or_default().to_owned();
            found.extend(number_of(&whole, ALONE_MIN));
        }
        Value::String(text) if !text.contains("://") && !text.contains('@') => of_text(key, text, found),
        Value::Number(_) | Value::String(_) | Value::Null | Value::Bool(_) => {}
    }
}

fn is_unsaid(key: &str) -> bool {
    // "orderId" as "order_id".
    let mut plain = String::new();
    for c in key.chars() {
        if c.is_ascii_uppercase() {
            plain.push('_');
        }
        plain.push(c.to_ascii_lowercase());
    }
    let last = plain.rsplit(['_', '-', ' ']).next().unwrap_or_default();
    UNSAID.contains(&last) && !GIVEN.iter().any(|given| plain.contains(given))
}

fn number_of(text: &str, least: usize) -> Option<Particular> {
    let number = runs(text).concat();
    (least..=DIGITS_MAX).contains(&number.len()).then_some(Particular::Number(number))
}

fn of_text(key: &str, text: &str, found: &mut Vec<Particular>) {
    if ASIDE.contains(&key) {
        return;
    }
    let rest = times(text, found);
    let letters = rest.chars().filter(|c| c.is_alphabetic()).count();
    let digits = rest.chars().filter(char::is_ascii_digit).count();
    if NAMES.contains(&key) {
        found.extend(amounts(&rest));
    } else if letters == 0 && digits >= 10 {
        // A telephone number, in whatever groups it is written.
        let joined: String = rest.chars().filter(char::is_ascii_digit).collect();
        found.extend(number_of(&joined, ALONE_MIN));
    } else {
        let least = if letters <= 4 { ALONE_MIN } else { INSIDE_MIN };
        let inside = whole_runs(&rest).into_iter().filter_map(|run| number_of(&run, least));
        found.extend(amounts(&rest).into_iter().chain(inside));
    }
}

/// The numbers in a text; what stands behind a decimal point is no number of its own.
fn whole_runs(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.replace(',', "").chars().collect();
    let (mut all, mut run) = (Vec::new(), String::new());
    let mut decimals = false;
    for (at, c) in characters.iter().enumerate() {
        if c.is_ascii_digit() {
            run.push(*c);
            continue;
        }
        if !run.is_empty() && !std::mem::take(&mut decimals) {
            all.push(run.clone());
        }
        let next = characters.get(at + 1).is_some_and(char::is_ascii_digit);
        decimals = *c == '.' && !run.is_empty() && next;
        run.clear();
    }
    if !run.is_empty() && !decimals {
        all.push(run);
    }
    all
}

/// Numbers with a currency before them, whatever their size.
fn amounts(text: &str) -> Vec<Particular> {
    let mut found = Vec::new();
    for (at, _) in text.char_indices().filter(|(_, c)| c.is_ascii_digit()) {
        let before = text[..at].trim_end();
        if text[..at].ends_with(|c: char| c.is_ascii_digit() || c == ',' || c == '.') {
            continue;
        }
        let word = before.rsplit(char::is_whitespace).next().unwrap_or_default();
        let code = word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_uppercase());
        if before.ends_with('₹') || code || matches!(word.to_lowercase().as_str(), "rs" | "rs.") {
            let whole: String =
                text[at..].chars().take_while(|c| c.is_ascii_digit() || *c == ',').filter(|c| *c != ',').collect();
            found.extend(number_of(&whole, 1));
        }
    }
    found
}

/// Takes days and times of day in ISO 8601 out of a text. One that says how far it is from Greenwich may be said otherwise
/// where the caller is, so it need not be.
fn times(text: &str, found: &mut Vec<Particular>) -> String {
    let mut rest = String::new();
    let mut at = 0;
    while at < text.len() {
        let here = &text[at..];
        if let Some(day) = here.get(..10).and_then(|day| NaiveDate::parse_from_str(day, "%Y-%m-%d").ok()) {
            at += 10;
            let clock = text.get(at + 1..at + 6).filter(|_| text[at..].starts_with(['T', ' ']));
            let clock = clock.and_then(|clock| NaiveTime::parse_from_str(clock, "%H:%M").ok());
            let end = at + clock.map_or(0, |_| 6);
            let tail = text[end..].split([' ', ',']).next().unwrap_or_default();
            let abroad = clock.is_some() && (tail.ends_with('Z') || tail.contains("+00:00"));
            if !abroad {
                found.push(Particular::Day(day));
                found.extend(clock.map(|clock| Particular::Clock(clock.hour(), clock.minute())));
            }
            at = if clock.is_some() { end + tail.len() } else { end };
            continue;
        }
        let Some(c) = here.chars().next() else { break };
        rest.push(c);
        at += c.len_utf8();
    }
    if let Ok(clock) = NaiveTime::parse_from_str(rest.trim(), "%H:%M") {
        found.push(Particular::Clock(clock.hour(), clock.minute()));
        rest.clear();
    }
    rest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_must_be_said_of_a_plan_is_what_a_caller_can_hear() {
        for (plan, said) in [
            (
                json!({ "order": "#1042", "total": "₹1,29,900", "items": ["2 × Galaxy S23 128GB, ₹64,950"] }),
                "64950 1042 129900",
            ),
            (json!({ "at": "2026-11-28T17:00", "minutes": 60 }), "Saturday 28 November 17:00"),
            (json!({ "from": "2026-11-28", "to": "17:30" }), "Saturday 28 November 17:30"),
            (json!({ "at": "2026-11-28T11:30:00Z" }), ""),
            (json!({ "at": "2026-11-28T17:00:00+05:30" }), "Saturday 28 November 17:00"),
            (json!({ "to": "14, Lajpat Nagar II, New Delhi, 110024" }), "110024"),
            (json!({ "price": 99.5, "guests": 4, "table": 12 }), "99 12"),
            (json!({ "fee": "USD 12.50", "rent": "Rs. 5" }), "12 5"),
            (json!({ "phone": "+91 98765 43210" }), "919876543210"),
            (json!({ "variantId": 42, "orderId": "EN1001", "session_key": "123456", "url": "https://x/1042" }), "1001"),
            (json!({ "otp": "482193", "card": "4111 1111", "upi_pin": 4821, "query": "aadhaar 2345" }), ""),
            (json!({ "pin_code": "411004" }), "411004"),
            (json!({ "tracking": "1490800012345", "reason": "2 of 100 broke" }), ""),
            (json!([]), ""),
        ] {
            let told: Vec<String> = particulars(&plan).iter().map(Particular::said).collect();
            assert_eq!(told.join(" "), said, "{plan}");
        }
        let many = json!((100..200).collect::<Vec<_>>());
        assert_eq!(particulars(&many).len(), MOST);
    }
}
