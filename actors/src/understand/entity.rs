//! Order numbers and phone numbers in a turn, written or spoken.
//!
//! An order number stands beside a word that announces it (`order`, `number`, `id`, `#`) or is long enough to be nothing
//! else; numbers that count days, rupees or hours are left alone. A phone number is ten digits from 6 to 9 up, with or
//! without `0`, `91` or `+91`.

use std::sync::Arc;

use super::fold::{Token, key};
use super::numerals::{Numeral, digits, numeral};
use crate::domain::Entity;

/// Fewest digits of an order number without a word that announces it.
const UNANNOUNCED_DIGITS_MIN: usize = 4;
/// Longest order number.
const DIGITS_MAX: usize = 20;

const ANNOUNCING: [&str; 12] =
    ["order", "orders", "number", "nambar", "no", "id", "आईडी", "parcel", "package", "shipment", "tracking", "booking"];
const TELEPHONE: [&str; 8] = ["phone", "mobile", "contact", "whatsapp", "call", "फोन", "मोबाइल", "कॉल"];
const UNITS: [&str; 40] = [
    "day",
    "days",
    "din",
    "दिन",
    "week",
    "weeks",
    "hafte",
    "hafta",
    "हफ्ते",
    "month",
    "months",
    "mahine",
    "mahina",
    "महीने",
    "year",
    "years",
    "saal",
    "साल",
    "hour",
    "hours",
    "ghante",
    "ghanta",
    "घंटे",
    "minute",
    "minutes",
    "min",
    "मिनट",
    "baje",
    "बजे",
    "am",
    "pm",
    "rupees",
    "rupee",
    "rupaye",
    "rs",
    "रुपये",
    "percent",
    "kg",
    "ml",
    "baar",
];
const NOT_BEFORE: [&str; 10] = ["rs", "inr", "rupees", "pin", "pincode", "code", "age", "otp", "in", "पिन"];

/// A number found in the text: its words and its digits.
struct Found {
    first: usize,
    last: usize,
    digits: String,
    /// Letters in front, as in `OD12345`.
    prefix: String,
    spoken: bool,
}

/// Every order number and phone number of a text, in order.
#[must_use]
pub fn find(text: &str, tokens: &[Token]) -> Vec<Entity> {
    let mut entities = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let Some(found) = number_at(text, tokens, at) else {
            at += 1;
            continue;
        };
        at = found.last + 1;
        entities.extend(entity(text, tokens, &found));
    }
    entities
}

fn entity(text: &str, tokens: &[Token], found: &Found) -> Option<Entity> {
    let begin = tokens[found.first].span.start;
    let marked = text[..begin].ends_with('#');
    let end = tokens[found.last].span.end;
    let made = |kind, begin: usize, value: String, confidence| Entity {
        kind,
        text: Arc::from(&text[begin..end]),
        value: Arc::from(value),
        confidence,
    };
    let before = &tokens[found.first.saturating_sub(4)..found.first];
    let after = &tokens[found.last + 1..tokens.len().min(found.last + 3)];
    let announced = marked || before.iter().chain(after).any(|token| is_one_of(token, &ANNOUNCING));
    let telephone = before.iter().any(|token| is_one_of(token, &TELEPHONE));
    let is_order = marked || before.iter().any(|token| token.key == key("order"));
    if found.prefix.is_empty()
        && (telephone || !is_order)
        && let Some(number) = phone(&found.digits)
    {
        let begin = if text[..begin].ends_with('+') { begin - 1 } else { begin };
        return Some(made("phone", begin, number, if telephone { 0.95 } else { 0.85 }));
    }
    let counts = after.first().is_some_and(|token| is_one_of(token, &UNITS))
        || before.last().is_some_and(|token| NOT_BEFORE.contains(&token.raw.as_str()))
        || text[..begin].trim_end().ends_with('₹');
    if (counts && !marked) || found.digits.len() > DIGITS_MAX {
        return None;
    }
    let named = before.last().is_some_and(|token| ["number", "nambar", "id"].iter().any(|word| token.key == key(word)));
    let fewest = match (marked, named, announced || !found.prefix.is_empty()) {
        (true, ..) => 1,
        (_, true, _) => 2,
        (.., true) => 3,
        _ => UNANNOUNCED_DIGITS_MIN,
    };
    if found.digits.len() < fewest || (telephone && !is_order) {
        return None;
    }
    let confidence = match (announced, found.spoken) {
        (true, false) => 0.95,
        (true, true) => 0.9,
        (false, false) => 0.7,
        (false, true) => 0.6,
    };
    Some(made("order_id", begin, format!("{}{}", found.prefix, found.digits), confidence))
}

fn is_one_of(token: &Token, words: &[&str]) -> bool {
    words.contains(&token.raw.as_str()) || (token.key.len() > 2 && words.iter().any(|word| key(word) == token.key))
}

/// E.164 of an Indian mobile number.
fn phone(digits: &str) -> Option<String> {
    let national = match digits.len() {
        10 => digits,
        11 => digits.strip_prefix('0')?,
        12 => digits.strip_prefix("91")?,
        _ => return None,
    };
    national.starts_with(['6', '7', '8', '9']).then(|| format!("+91{national}"))
}

fn number_at(text: &str, tokens: &[Token], at: usize) -> Option<Found> {
    let token = tokens.get(at)?;
    if token.key.bytes().any(|b| b.is_ascii_digit()) { written(text, tokens, at) } else { spoken(tokens, at) }
}

fn written(text: &str, tokens: &[Token], at: usize) -> Option<Found> {
    let letters: String = tokens[at].key.chars().take_while(char::is_ascii_lowercase).collect();
    let mut digits = tokens[at].key[letters.len()..].to_owned();
    if !digits.bytes().all(|b| b.is_ascii_digit()) || letters.len() > 4 || (!letters.is_empty() && digits.len() < 3) {
        return None;
    }
    let mut found =
        Found { first: at, last: at, digits: String::new(), prefix: letters.to_ascii_uppercase(), spoken: false };
    // `ORD-1042` is one name, as long as nobody would take its letters for a word.
    if found.prefix.is_empty()
        && let Some(before) = at.checked_sub(1).and_then(|before| tokens.get(before))
    {
        let word = &text[before.span.clone()];
        let joined = &text[before.span.end..tokens[at].span.start] == "-";
        if joined && (1..=4).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_uppercase()) {
            found.prefix = format!("{word}-");
            found.first = at - 1;
        }
    }
    // `98765 43210`, `1 0 4 2` and `402-1234567` are one number; `1042 1043` are two.
    while let Some(next) = tokens.get(found.last + 1) {
        let piece = next.key.as_str();
        let gap = &text[tokens[found.last].span.end..next.span.start];
        let single = piece.len() == 1 && tokens[found.last].key.len() == 1;
        let phone = gap.len() == 1 && digits.len() + piece.len() <= 12 && phone(&format!("{digits}{piece}")).is_some();
        let joins = gap == "-" || (single && matches!(gap, " " | ", " | ","));
        let country = digits == "91" && piece.len() >= 5;
        if !piece.bytes().all(|b| b.is_ascii_digit()) || !(joins || phone || country) {
            break;
        }
        digits.push_str(piece);
        found.last += 1;
    }
    found.digits = digits;
    Some(found)
}

fn spoken(tokens: &[Token], at: usize) -> Option<Found> {
    let mut words: Vec<Numeral> = tokens[at..].iter().map_while(numeral).take(2 * DIGITS_MAX).collect();
    // `kar do` is "do it", not two: a lone `do` after another word is none, nor is one that trails.
    let is_do = |at: usize| tokens.get(at).is_some_and(|token| token.raw == "do" || token.raw == "दो");
    if is_do(at) && words.len() < 3 {
        return None;
    }
    while words.len() > 4 && is_do(at + words.len() - 1) && digits(&words).is_some_and(|d| d.len() == 11) {
        words.pop();
    }
    let text = digits(&words)?;
    let last = at + words.len() - 1;
    // Fewer than three digits are counted things, ages, times: nobody spells an order number so short.
    (text.len() >= 3).then_some(Found { first: at, last, digits: text, prefix: String::new(), spoken: true })
}
