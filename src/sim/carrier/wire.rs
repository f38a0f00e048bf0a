//! Exotel's wire as the simulated carrier writes it and demands it: ids, times, stream messages. Hand-written JSON only.

use chrono::{DateTime, Datelike, FixedOffset, Utc};
use serde_json::{Value, json};

use super::{CallPlan, Knobs};
use crate::sim::{Dice, audio};

/// Smallest, recommended multiple and largest size of a bot's audio message.
pub(crate) const CHUNK_MIN: usize = 3200;
pub(crate) const CHUNK_STEP: usize = 320;
pub(crate) const CHUNK_MAX: usize = 100_000;

/// Now in India, where Exotel's times without a zone are.
pub(crate) fn ist() -> DateTime<FixedOffset> {
    let offset = FixedOffset::east_opt(5 * 3600 + 1800).unwrap_or_else(|| chrono::Offset::fix(&Utc));
    Utc::now().with_timezone(&offset)
}

/// `2026-08-25 12:07:08`.
pub(crate) fn plain_time() -> String {
    ist().format("%Y-%m-%d %H:%M:%S").to_string()
}

/// `Tue, 25 Aug 2026 12:07:08`.
pub(crate) fn created_time() -> String {
    ist().format("%a, %d %b %Y %H:%M:%S").to_string()
}

/// 32 lower-case characters; the last four are the date, as in real ids.
pub(crate) fn sid(dice: &mut Dice) -> String {
    let today = ist();
    let digit = |n: u32| char::from_digit(n, 36).unwrap_or('0');
    format!("{}{:02x}{}{}", dice.word(28), today.year().rem_euclid(100), digit(today.month()), digit(today.day()))
}

/// A number as the carrier shows it: `0` and ten digits, unless the plan wants E.164.
pub(crate) fn shown(number: &str, knobs: &Knobs) -> String {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    let last = &digits[digits.len().saturating_sub(10)..];
    match (last.len() == 10, knobs.e164_numbers) {
        (true, true) => format!("+91{last}"),
        (true, false) => format!("0{last}"),
        (false, _) => number.to_owned(),
    }
}

/// Writes the messages of one stream.
pub(crate) struct Writer {
    stream_sid: String,
    sequence: u64,
    chunk: u64,
    numeric: bool,
    camel: bool,
}

impl Writer {
    pub(crate) fn new(stream_sid: &str, knobs: &Knobs) -> Self {
        Self {
            stream_sid: stream_sid.to_owned(),
            sequence: 0,
            chunk: 0,
            numeric: knobs.numeric_seq,
            camel: knobs.camel_case_start,
        }
    }

    fn number(&self, value: u64) -> Value {
        if self.numeric { json!(value) } else { json!(value.to_string()) }
    }

    fn message(&mut self, event: &str) -> Value {
        self.sequence += 1;
        json!({"event": event, "stream_sid": self.stream_sid, "sequence_number": self.number(self.sequence)})
    }

    pub(crate) fn start(
        &mut self,
        plan: &CallPlan,
        call_sid: &str,
        rate: u32,
        parameters: &[(String, String)],
    ) -> String {
        let knobs = &plan.knobs;
        let mut message = self.message("start");
        let format = json!({"encoding": knobs.encoding, "sample_rate": rate.to_string(), "bit_rate": "128kbps"});
        let (from, to) = (shown(&plan.from, knobs), shown(&plan.to, knobs));
        let mut start = if self.camel {
            json!({"streamSid": self.stream_sid, "callSid": call_sid, "accountSid": plan.account_sid,
                "from": from, "to": to, "mediaFormat": format})
        } else {
            json!({"stream_sid": self.stream_sid, "call_sid": call_sid, "account_sid": plan.account_sid,
                "from": from, "to": to, "media_format": format})
        };
        if !parameters.is_empty() || knobs.empty_custom_parameters {
            let key = if self.camel { "customParameters" } else { "custom_parameters" };
            start[key] =
                parameters.iter().map(|(k, v)| (k.clone(), json!(v))).collect::<serde_json::Map<_, _>>().into();
        }
        message["start"] = start;
        message.to_string()
    }

    /// Written by hand: fifty of these a second and call.
    pub(crate) fn media(&mut self, at_ms: u64, samples: &[i16]) -> String {
        self.sequence += 1;
        self.chunk += 1;
        let quote = if self.numeric { "" } else { "\"" };
        format!(
            "{{\"event\":\"media\",\"stream_sid\":\"{}\",\"sequence_number\":{quote}{}{quote},\"media\":{{\"chunk\":{quote}{}{quote},\"timestamp\":\"{at_ms}\",\"payload\":\"{}\"}}}}",
            self.stream_sid,
            self.sequence,
            self.chunk,
            audio::base64_encode(&audio::to_le(samples))
        )
    }

    pub(crate) fn key(&mut self, digit: &str) -> String {
        let mut message = self.message("dtmf");
        message["dtmf"] = json!({"digit": digit, "duration": "100"});
        message.to_string()
    }

    pub(crate) fn mark(&mut self, name: &str) -> String {
        let mut message = self.message("mark");
        message["mark"] = json!({"name": name});
        message.to_string()
    }

    pub(crate) fn stop(&mut self, plan: &CallPlan, call_sid: &str) -> String {
        let mut message = self.message("stop");
        message["stop"] =
            json!({"call_sid": call_sid, "account_sid": plan.account_sid, "reason": plan.knobs.stop_reason});
        message.to_string()
    }
}

/// What the bot wants.
#[derive(Debug, PartialEq)]
pub(crate) enum Wish {
    Play {
        samples: Vec<i16>,
        ragged: bool,
    },
    Mark(String),
    Clear,
    /// Too large: the stream is closed with 1009.
    TooLarge,
    Nothing,
}

/// What is wrong with a message: an error, or only worth knowing.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Faults {
    pub(crate) errors: Vec<String>,
    pub(crate) notes: Vec<String>,
}

/// Reads a message of the bot, strictly.
pub(crate) fn read(text: &str, stream_sid: &str, faults: &mut Faults) -> Wish {
    let Ok(message) = serde_json::from_str::<Value>(text) else {
        faults.errors.push("a frame that is no JSON object".to_owned());
        return Wish::Nothing;
    };
    let event = message["event"].as_str().unwrap_or_default().to_owned();
    check_envelope(&message, &event, stream_sid, faults);
    match event.as_str() {
        "media" => read_media(&message, faults),
        "mark" => match message["mark"]["name"].as_str() {
            Some(name) if !name.is_empty() => Wish::Mark(name.to_owned()),
            _ => {
                faults.errors.push("mark without mark.name".to_owned());
                Wish::Nothing
            }
        },
        "clear" => Wish::Clear,
        other => {
            faults.errors.push(format!("unknown event '{other}': the carrier knows media, mark and clear"));
            Wish::Nothing
        }
    }
}

fn check_envelope(message: &Value, event: &str, stream_sid: &str, faults: &mut Faults) {
    match (&message["stream_sid"], &message["streamSid"]) {
        (Value::String(id), _) if id == stream_sid => {}
        (Value::Null, Value::String(id)) if id == stream_sid => {
            faults.notes.push(format!("{event} with streamSid instead of stream_sid"));
        }
        (Value::Null, Value::Null) => faults.notes.push(format!("{event} without stream_sid")),
        _ => faults.errors.push(format!("{event} with the stream_sid of another stream")),
    }
    let known: &[&str] = &["event", "stream_sid", "streamSid", "sequence_number", "media", "mark"];
    for key in message.as_object().into_iter().flatten().map(|(key, _)| key) {
        if !known.contains(&key.as_str()) || (matches!(key.as_str(), "media" | "mark") && key != event) {
            faults.errors.push(format!("{event} with the unknown field '{key}'"));
        }
    }
    let numeric = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.parse::<u64>().is_ok(),
        other => other.is_u64(),
    };
    for (name, value) in [
        ("sequence_number", &message["sequence_number"]),
        ("media.chunk", &message["media"]["chunk"]),
        ("media.timestamp", &message["media"]["timestamp"]),
    ] {
        if !numeric(value) {
            faults.errors.push(format!("{event} whose {name} is not a number: {value}"));
        }
    }
}

fn read_media(message: &Value, faults: &mut Faults) -> Wish {
    let Some(payload) = message["media"]["payload"].as_str() else {
        faults.errors.push("media without media.payload".to_owned());
        return Wish::Nothing;
    };
    let known = ["payload", "chunk", "timestamp", "sequenceNumber"];
    for key in message["media"].as_object().into_iter().flatten().map(|(key, _)| key) {
        if !known.contains(&key.as_str()) {
            faults.errors.push(format!("media with the unknown field 'media.{key}'"));
        }
    }
    let bytes = match audio::base64_decode(payload) {
        Ok(bytes) => bytes,
        Err(problem) => {
            faults.errors.push(format!("media whose payload is no base64: {problem}"));
            return Wish::Nothing;
        }
    };
    if bytes.len() > CHUNK_MAX {
        faults.errors.push(format!("media of {} bytes; the largest is {CHUNK_MAX}", bytes.len()));
        return Wish::TooLarge;
    }
    if bytes.len() % 2 != 0 {
        faults.errors.push(format!("media of {} bytes, which is no whole number of 16-bit samples", bytes.len()));
    }
    if bytes.is_empty() {
        faults.errors.push("media without sound".to_owned());
        return Wish::Nothing;
    }
    if bytes.len() < CHUNK_MIN {
        faults.notes.push(format!("media below {CHUNK_MIN} bytes"));
    }
    let ragged = bytes.len() % CHUNK_STEP != 0;
    if ragged {
        faults.errors.push(format!("media of {} bytes, not a multiple of {CHUNK_STEP}: audible gap", bytes.len()));
    }
    Wish::Play { samples: audio::from_le(&bytes), ragged }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]
mod tests {
    use super::*;

    fn errors(text: &str) -> (Wish, Faults) {
        let mut faults = Faults::default();
        let wish = read(text, "s", &mut faults);
        (wish, faults)
    }

    fn media(bytes: usize) -> String {
        let payload = audio::base64_encode(&vec![1u8; bytes]);
        json!({"event": "media", "stream_sid": "s", "media": {"payload": payload}}).to_string()
    }

    #[test]
    fn a_correct_message_is_not_complained_about() {
        let (wish, faults) = errors(&media(3200));
        assert!(matches!(wish, Wish::Play { samples, ragged: false } if samples.len() == 1600));
        assert_eq!(faults, Faults::default());
    }

    #[test]
    fn sizes_are_judged_as_the_carrier_judges_them() {
        assert_eq!(errors(&media(1600)).1.errors.len(), 0);
        assert_eq!(errors(&media(1600)).1.notes.len(), 1);
        assert_eq!(errors(&media(3300)).1.errors.len(), 1);
        assert_eq!(errors(&media(3201)).1.errors.len(), 2);
        assert_eq!(errors(&media(100_001)).0, Wish::TooLarge);
    }

    #[test]
    fn a_misspelt_field_or_a_foreign_stream_is_an_error() {
        for text in [
            r#"{"event":"media","stream_sid":"other","media":{"payload":"AAA="}}"#,
            r#"{"event":"media","stream_sid":"s","media":{"playload":"AAA="}}"#,
            r#"{"event":"mark","stream_sid":"s","mark":{"nam":"x"}}"#,
            r#"{"event":"hangup","stream_sid":"s"}"#,
            r#"{"event":"clear","stream_sid":"s","extra":1}"#,
            "{",
        ] {
            assert!(!errors(text).1.errors.is_empty(), "{text}");
        }
        let (wish, faults) = errors(r#"{"event":"clear","streamSid":"s"}"#);
        assert_eq!((wish, faults.errors.len(), faults.notes.len()), (Wish::Clear, 0, 1));
    }

    #[test]
    fn ids_look_like_the_carriers() {
        let id = sid(&mut Dice::new(3));
        assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase()), "{id}");
    }
}
