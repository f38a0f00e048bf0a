//! The vendor's server events as they stand on the wire: private serde types and nothing else. Every field is
//! optional and unknown ones are skipped, so that an event fails to parse only when it is not JSON or a field is of another kind than documented.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A string that borrows from the frame unless it holds escapes (base64 may be written with `\/`).
#[derive(Deserialize, Default, Debug)]
pub(super) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text of an optional field, empty when it is absent or null.
pub(super) fn text<'a>(field: &'a Option<Text<'_>>) -> &'a str {
    field.as_ref().map_or("", Text::as_str)
}

/// Any server event, flat: the audio delta is by far the most frequent, and this parses it in one pass without
/// copying. Nested objects stay unparsed until it is known that they are wanted.
#[derive(Deserialize, Debug)]
pub(super) struct ServerEvent<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) response_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) item_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) delta: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) transcript: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) text: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) call_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) arguments: Option<Text<'a>>,
    #[serde(default)]
    pub(super) audio_start_ms: Option<f64>,
    #[serde(default)]
    pub(super) audio_end_ms: Option<f64>,
    #[serde(borrow, default)]
    pub(super) item: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) response: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) usage: Option<&'a RawValue>,
}

/// `error` events and failed responses; fields may be missing, null or of another type.
#[derive(Deserialize, Default, Debug)]
pub(super) struct WireError {
    #[serde(rename = "type", default)]
    pub(super) kind: Option<String>,
    #[serde(default)]
    pub(super) code: Option<serde_json::Value>,
    #[serde(default)]
    pub(super) message: Option<String>,
    /// The setting that was wrong.
    #[serde(default)]
    pub(super) param: Option<serde_json::Value>,
    /// Ours, if the event had one.
    #[serde(default)]
    pub(super) event_id: Option<serde_json::Value>,
}

impl WireError {
    /// The code as text; some gateways send a number.
    pub(super) fn code(&self) -> Cow<'_, str> {
        match &self.code {
            Some(serde_json::Value::String(code)) => Cow::Borrowed(code),
            Some(serde_json::Value::Number(code)) => Cow::Owned(code.to_string()),
            _ => Cow::Borrowed(""),
        }
    }
}

/// An item of a response or of the conversation, as far as tool calls and the length of the conversation need it.
#[derive(Deserialize, Default, Debug)]
pub(super) struct Item {
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default)]
    pub(super) role: Option<String>,
    #[serde(rename = "type", default)]
    pub(super) kind: Option<String>,
    #[serde(default)]
    pub(super) status: Option<String>,
    #[serde(default)]
    pub(super) call_id: Option<String>,
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) arguments: Option<String>,
}

/// A response, as far as its end needs it.
#[derive(Deserialize, Default, Debug)]
pub(super) struct Response {
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default)]
    pub(super) status: Option<String>,
    #[serde(default)]
    pub(super) status_details: Option<StatusDetails>,
    #[serde(default)]
    pub(super) output: Option<Vec<Item>>,
    #[serde(default)]
    pub(super) output_modalities: Option<Vec<String>>,
    #[serde(default)]
    pub(super) metadata: Option<Metadata>,
    #[serde(default)]
    pub(super) usage: Option<WireUsage>,
}

/// Why a response ended other than well.
#[derive(Deserialize, Default, Debug)]
pub(super) struct StatusDetails {
    #[serde(default)]
    pub(super) reason: Option<String>,
    #[serde(default)]
    pub(super) error: Option<WireError>,
}

/// What we sent with `response.create`, echoed.
#[derive(Deserialize, Default, Debug)]
pub(super) struct Metadata {
    #[serde(default)]
    pub(super) caly_wish: Option<serde_json::Value>,
    #[serde(default)]
    pub(super) caly_summary: Option<serde_json::Value>,
}

impl Metadata {
    /// The wish, if it is one of ours.
    pub(super) fn wish(&self) -> Option<u64> {
        number(self.caly_wish.as_ref()?)
    }

    /// The request for a summary, if it is one of ours.
    pub(super) fn summary(&self) -> Option<u64> {
        number(self.caly_summary.as_ref()?)
    }
}

fn number(value: &serde_json::Value) -> Option<u64> {
    match value {
        serde_json::Value::String(text) => text.parse().ok(),
        serde_json::Value::Number(number) => number.as_u64(),
        _ => None,
    }
}

/// Token counts of a response; null on failed and early-cancelled ones.
#[derive(Deserialize, Default, Debug)]
pub(super) struct WireUsage {
    #[serde(default)]
    pub(super) input_token_details: Option<InputTokens>,
    #[serde(default)]
    pub(super) output_token_details: Option<TokenCounts>,
}

/// Tokens in. The counts include the cached ones.
#[derive(Deserialize, Default, Debug)]
pub(super) struct InputTokens {
    #[serde(default)]
    pub(super) text_tokens: Option<u64>,
    #[serde(default)]
    pub(super) audio_tokens: Option<u64>,
    #[serde(default)]
    pub(super) cached_tokens: Option<u64>,
    #[serde(default)]
    pub(super) cached_tokens_details: Option<TokenCounts>,
}

/// Tokens by kind.
#[derive(Deserialize, Default, Debug)]
pub(super) struct TokenCounts {
    #[serde(default)]
    pub(super) text_tokens: Option<u64>,
    #[serde(default)]
    pub(super) audio_tokens: Option<u64>,
}

/// Transcription usage: only the part billed by the minute is of use here.
#[derive(Deserialize, Default, Debug)]
pub(super) struct TranscriptionUsage {
    #[serde(default)]
    pub(super) seconds: Option<f64>,
}
