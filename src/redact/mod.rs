//! Takes keys, phone numbers, identity numbers and what is told in confidence out of a text before anyone may read it.
//!
//! [`redact`] is for what the process says of itself: every log line, every error shown outside, every event and audit
//! entry. [`redact_speech`] is for what people said in a call, before it is stored: the transcript is the product, so
//! phone numbers, names and mail addresses stay, while cards, one-time passwords, CVV, Aadhaar, PAN, UPI ids and keys
//! go. [`Dialogue`] carries a question from one turn to its answer in the next.
//!
//! The second line of defence: the first is not to write such things at all. One pass without regular expressions and
//! without allocation until something is found: under a microsecond for a log line. It knows texts, not types.

mod dialogue;
mod numbers;
mod scan;
mod speech;
#[cfg(test)]
mod tests;
mod tokens;
mod words;

use std::borrow::Cow;

use serde_json::Value;

pub use self::dialogue::Dialogue;
use self::speech::{Kept, Known, Told};

/// What a speaker has just been asked for, so that digits in the answer are that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// A one-time password, CVV or PIN.
    Code,
    /// A payment card's number.
    Card,
    /// An Aadhaar number.
    Aadhaar,
}

impl Asked {
    /// What the words of one turn ask for: "Please tell me the OTP", "अपना ओटीपी बताइए".
    #[must_use]
    pub fn in_words(text: &str) -> Option<Self> {
        speech::asked_in(text)
    }
}

/// Masks bearer and API keys, values of `token=`, `key=`, `password=` and their like, credentials inside URLs, phone
/// numbers (E.164 and Indian), payment cards, Aadhaar, PAN, UPI ids, one-time passwords and CVV after their name, and
/// the local part of mail addresses; numbers also when they are spelled out in words. A JSON document stays one.
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    let (scanned, spoken) = scan::scan(text, Kept::Log);
    if !spoken {
        return scanned;
    }
    match speech::masked(&scanned, Kept::Log, Known::default(), &mut Vec::new()) {
        Some(masked) => Cow::Owned(masked),
        None => scanned,
    }
}

/// Masks what a person told in confidence, and keys; `asked` is what the other side had asked for just before.
#[must_use]
pub fn redact_speech(text: &str, asked: Option<Asked>) -> Cow<'_, str> {
    record(text, Known { asked, told: &[] }, &mut Vec::new())
}

/// What of a value with a name may be kept beyond the call it was told in; `None` if it is nothing but a secret.
#[must_use]
pub fn rememberable(name: &str, value: &str) -> Option<String> {
    if scan::is_secret_name(name) {
        return None;
    }
    // Digits under the name of a code are one, whatever they look like; a `pin` of six is an address.
    let pin = (name == "pin" || name.ends_with("_pin")) && value.chars().filter(|c| c.is_numeric()).count() == 4;
    let asked = Asked::in_words(&name.replace('_', " ")).or(pin.then_some(Asked::Code));
    let kept = redact_speech(value, asked).into_owned();
    let rest = speech::LABELS.iter().fold(kept.clone(), |rest, label| rest.replace(label, ""));
    let says_something = rest.chars().any(char::is_alphanumeric);
    says_something.then_some(kept)
}

fn record<'a>(text: &'a str, known: Known<'_>, new: &mut Vec<Told>) -> Cow<'a, str> {
    let (scanned, _) = scan::scan(text, Kept::Record);
    match speech::masked(&scanned, Kept::Record, known, new) {
        Some(masked) => Cow::Owned(masked),
        None => scanned,
    }
}

/// Deepest JSON that is looked into; what lies deeper is left out.
const DEEPEST: usize = 32;

/// [`redact`] for every text inside a JSON value, and for values under a secret's name.
#[must_use]
pub fn redact_json(value: Value) -> Value {
    each_text(value, 0, &|text| redact(text).into_owned())
}

/// What stands in the place of a value that is kept and not shown.
pub const HIDDEN: &str = scan::MASK;

/// An agent's settings as they may be shown: without the values of headers that open other people's servers.
#[must_use]
pub fn settings_shown(settings: &Value) -> Value {
    let mut shown = settings.clone();
    for server in shown.get_mut("mcp_servers").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(headers) = server.get_mut("headers") else { continue };
        match headers.as_object_mut() {
            Some(headers) => headers.values_mut().for_each(|value| *value = Value::from(HIDDEN)),
            // Nothing but an object is taken, so nothing else is known to hold no secret.
            None => *headers = Value::from(HIDDEN),
        }
    }
    shown
}

fn each_text(value: Value, depth: usize, masked: &impl Fn(&str) -> String) -> Value {
    if depth > DEEPEST {
        return Value::Null;
    }
    match value {
        Value::String(text) => Value::String(masked(&text)),
        Value::Number(number) => {
            let text = number.to_string();
            let kept = masked(&text);
            if kept == text { Value::Number(number) } else { Value::String(kept) }
        }
        Value::Array(items) => items.into_iter().map(|item| each_text(item, depth + 1, masked)).collect(),
        Value::Object(fields) => {
            let one = |(name, value): (String, Value)| {
                let is_text = matches!(value, Value::String(_) | Value::Number(_));
                let value = if is_text && scan::is_secret_name(&name) {
                    Value::String(scan::MASK.to_owned())
                } else {
                    each_text(value, depth + 1, masked)
                };
                (masked(&name), value)
            };
            Value::Object(fields.into_iter().map(one).collect())
        }
        other => other,
    }
}
