//! What a caller was heard to speak in the course of a call.

use serde::Serialize;
use utoipa::ToSchema;

use super::rows::EventRow;

/// From here on the caller spoke this.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct LanguageRow {
    /// Since the call was admitted: the end of the turn that told it.
    pub at_ms: i64,
    /// `en`, `hi` or `hi-Latn`.
    pub language: String,
}

/// The languages of a call as its events tell them.
#[must_use]
pub fn languages(events: &[EventRow]) -> Vec<LanguageRow> {
    let heard = |event: &EventRow| {
        let key = match event.kind.as_str() {
            "language_heard" => "language",
            "language_changed" => "to",
            _ => return None,
        };
        let language = event.detail[key].as_str()?.to_owned();
        Some(LanguageRow { at_ms: event.at_ms, language })
    };
    events.iter().filter_map(heard).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_calls_events_tell_when_which_language_was_heard() {
        let event = |at_ms, kind: &str, detail| EventRow {
            id: uuid::Uuid::nil(),
            call_id: uuid::Uuid::nil(),
            kind: kind.to_owned(),
            detail,
            at_ms,
            at: chrono::DateTime::UNIX_EPOCH,
        };
        let events = [
            event(4_000, "language_heard", json!({"language": "en"})),
            event(5_000, "caller_waits", json!({"fillers": 1})),
            event(9_000, "language_changed", json!({"from": "en", "to": "hi-Latn"})),
        ];
        let heard = |at_ms, language: &str| LanguageRow { at_ms, language: language.to_owned() };
        assert_eq!(languages(&events), [heard(4_000, "en"), heard(9_000, "hi-Latn")]);
        assert_eq!(languages(&events[1..2]), []);
    }
}
