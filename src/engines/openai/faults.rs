//! What the vendor's refusals mean: error events, failed responses, upgrade statuses, close codes and REST
//! answers, each turned into an [`EngineError`] by what can be done about it.

use std::time::Duration;

use actix_http::ws::{CloseReason, ProtocolError};
use awc::error::{ConnectError, SendRequestError, WsClientError};
use caly_actors::ports::EngineError;

/// Longest text of a vendor's error that is kept, in characters.
const TEXT_LIMIT: usize = 200;

/// Codes after which no retry can help, because key, account or model are refused.
const REFUSED: [&str; 9] = [
    "invalid_api_key",
    "account_deactivated",
    "model_not_found",
    "beta_api_shape_disabled",
    "invalid_organization",
    "mismatched_organization",
    "mismatched_project",
    "permission_denied",
    "unsupported_country_region_territory",
];

/// Codes after which no retry can help, because there is no credit left.
const QUOTA: [&str; 3] = ["insufficient_quota", "billing_hard_limit_reached", "billing_not_active"];

/// The parts of a vendor error, as far as they were given.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Fault<'a> {
    pub(super) kind: &'a str,
    pub(super) code: &'a str,
    pub(super) message: &'a str,
}

impl Fault<'_> {
    /// `code: message`, short and without keys.
    fn text(&self) -> String {
        let word = if self.code.is_empty() { self.kind } else { self.code };
        match (word, self.message) {
            ("", "") => "no reason given".to_owned(),
            (word, "") => plain(word),
            ("", message) => plain(message),
            (word, message) => plain(&format!("{word}: {message}")),
        }
    }

    /// What can be done about it, if the vendor's words say so; `None` for everything else.
    pub(super) fn known(&self) -> Option<EngineError> {
        let is = |code: &&str| self.code == *code || self.kind == *code;
        if REFUSED.iter().any(is) || self.kind == "authentication_error" || self.kind == "permission_error" {
            return Some(EngineError::Refused(self.text()));
        }
        if QUOTA.iter().any(is) {
            return Some(EngineError::Quota(self.text()));
        }
        if self.code == "session_expired" || self.message.contains("maximum duration") {
            return Some(EngineError::Expired);
        }
        if self.code.contains("rate_limit") || self.kind.contains("rate_limit") || self.kind == "server_error" {
            return Some(EngineError::Busy { reason: self.text(), after: wait_in(self.message) });
        }
        None
    }

    /// As [`known`](Self::known), and a protocol error for the rest: the session or the response went on without it.
    pub(super) fn classify(&self) -> EngineError {
        self.known().unwrap_or_else(|| EngineError::Protocol(self.text()))
    }

    /// While a session is being configured an invalid request is ours, and would be again: no retry can help.
    pub(super) fn classify_setup(&self) -> EngineError {
        self.known().unwrap_or_else(|| EngineError::Settings(self.text()))
    }

    /// Whether an `error` event ends the session. Most leave it open.
    pub(super) fn is_fatal(&self) -> bool {
        matches!(self.known(), Some(EngineError::Refused(_) | EngineError::Quota(_) | EngineError::Expired))
    }

    /// A second answer was asked for while one is still being made.
    pub(super) fn is_active_response(&self) -> bool {
        self.code == "conversation_already_has_active_response"
            || (self.code.is_empty() && self.message.contains("already has an active response"))
    }
}

/// One line of printable text, at most [`TEXT_LIMIT`] characters, with anything that looks like a key taken out.
pub(super) fn plain(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(TEXT_LIMIT));
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        let key = word.contains("sk-") || word.contains("ek_");
        line.push_str(if key { "[key]" } else { word });
        if line.len() > TEXT_LIMIT * 4 {
            break;
        }
    }
    match line.char_indices().nth(TEXT_LIMIT) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// `… try again in 1.5s.`: rate-limit texts carry the wait, where a WebSocket has no `Retry-After`.
fn wait_in(message: &str) -> Option<Duration> {
    let (_, rest) = message.split_once("try again in ")?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, unit) = rest.split_at(end);
    let scale = if unit.starts_with("ms") {
        0.001
    } else if unit.starts_with('m') {
        60.0
    } else {
        1.0
    };
    let seconds = number.parse::<f64>().ok()? * scale;
    Duration::try_from_secs_f64(seconds).ok().filter(|wait| *wait <= Duration::from_secs(3600))
}

/// The upgrade was answered with another status than 101. Its body is lost in the client library.
pub(super) fn from_status(status: u16) -> EngineError {
    match status {
        401 => EngineError::Refused("status 401: the API key is not accepted".to_owned()),
        403 => EngineError::Refused("status 403: no access for this key, project or region".to_owned()),
        404 => EngineError::Refused("status 404: no such model or address".to_owned()),
        429 => EngineError::Busy { reason: "status 429: rate limit or quota".to_owned(), after: None },
        503 => EngineError::Busy { reason: "status 503: overloaded".to_owned(), after: None },
        408 | 425 | 500..=599 => EngineError::Connection(format!("status {status}")),
        400..=499 => EngineError::Refused(format!("status {status}")),
        _ => EngineError::Protocol(format!("status {status} instead of 101")),
    }
}

/// The socket could not be opened.
pub(super) fn from_connect(error: WsClientError) -> EngineError {
    match error {
        WsClientError::InvalidResponseStatus(status) => from_status(status.as_u16()),
        WsClientError::SendRequest(error) => from_send(error),
        other => EngineError::Protocol(format!("upgrade: {}", plain(&other.to_string()))),
    }
}

/// A request could not be sent or was not answered.
pub(super) fn from_send(error: SendRequestError) -> EngineError {
    match error {
        SendRequestError::Timeout | SendRequestError::Connect(ConnectError::Timeout) => {
            EngineError::Stalled("no connection in time")
        }
        SendRequestError::TunnelNotSupported => EngineError::Protocol("answered with http/2".to_owned()),
        other => EngineError::Connection(plain(&other.to_string())),
    }
}

/// The open socket broke.
pub(super) fn from_socket(error: &ProtocolError) -> EngineError {
    match error {
        ProtocolError::Overflow => EngineError::Protocol("frame over 4 MiB".to_owned()),
        ProtocolError::Io(error) => EngineError::Connection(plain(&error.to_string())),
        other => EngineError::Protocol(plain(&other.to_string())),
    }
}

/// The vendor closed the socket.
pub(super) fn from_close(reason: Option<&CloseReason>) -> EngineError {
    let Some(reason) = reason else {
        return EngineError::Connection("closed without a reason".to_owned());
    };
    let (code, words) = (u16::from(reason.code), reason.description.as_deref().unwrap_or(""));
    let coded = words.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').find_map(|word| {
        let fault = Fault { code: word, message: words, ..Fault::default() };
        fault.known().filter(|_| word.contains('_'))
    });
    let told = coded.or_else(|| Fault { message: words, ..Fault::default() }.known());
    told.unwrap_or_else(|| match code {
        3000 | 3003 => EngineError::Refused(plain(&format!("closed with {code} {words}"))),
        _ => EngineError::Connection(plain(&format!("closed with {code} {words}"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_http::ws::CloseCode;

    fn fault<'a>(kind: &'a str, code: &'a str, message: &'a str) -> Fault<'a> {
        Fault { kind, code, message }
    }

    #[test]
    fn every_known_code_is_sorted_by_what_can_be_done() {
        let table = [
            ("invalid_request_error", "invalid_api_key", "refused", true),
            ("", "account_deactivated", "refused", true),
            ("invalid_request_error", "model_not_found", "refused", true),
            ("", "beta_api_shape_disabled", "refused", true),
            ("authentication_error", "", "refused", true),
            ("insufficient_quota", "", "quota", true),
            ("insufficient_quota", "insufficient_quota", "quota", true),
            ("", "billing_hard_limit_reached", "quota", true),
            ("invalid_request_error", "session_expired", "expired", true),
            ("requests", "rate_limit_exceeded", "busy", false),
            ("", "inference_rate_limit_exceeded", "busy", false),
            ("rate_limit_error", "", "busy", false),
            ("server_error", "", "busy", false),
            ("invalid_request_error", "invalid_value", "protocol", false),
            ("invalid_request_error", "response_cancel_not_active", "protocol", false),
            ("invalid_request_error", "unsupported_content_type", "protocol", false),
            ("", "", "protocol", false),
        ];
        for (kind, code, expected, fatal) in table {
            let fault = fault(kind, code, "words");
            assert_eq!((fault.classify().kind(), fault.is_fatal()), (expected, fatal), "{kind} {code}");
        }
    }

    #[test]
    fn a_refused_configuration_is_not_retried_but_a_busy_one_is() {
        assert!(!fault("invalid_request_error", "unknown_parameter", "x").classify_setup().is_retryable());
        assert!(fault("server_error", "", "x").classify_setup().is_retryable());
    }

    #[test]
    fn rate_limit_texts_tell_how_long_to_wait() {
        for (text, wait) in [
            ("Please try again in 1.5s. Visit …", Some(Duration::from_millis(1500))),
            ("try again in 250ms", Some(Duration::from_millis(250))),
            ("try again in 2m", Some(Duration::from_secs(120))),
            ("try again in 99999999999s", None),
            ("try again later", None),
        ] {
            assert_eq!(wait_in(text), wait, "{text}");
        }
    }

    #[test]
    fn upgrade_statuses_are_sorted() {
        for (status, kind) in [
            (401, "refused"),
            (403, "refused"),
            (404, "refused"),
            (400, "refused"),
            (429, "busy"),
            (500, "connection"),
            (502, "connection"),
            (503, "busy"),
            (200, "protocol"),
            (302, "protocol"),
        ] {
            assert_eq!(from_status(status).kind(), kind, "{status}");
        }
    }

    #[test]
    fn close_codes_and_reasons_are_sorted() {
        let close =
            |code: u16, words: &str| CloseReason { code: CloseCode::from(code), description: Some(words.into()) };
        for (code, words, kind) in [
            (1001, "Your session hit the maximum duration of 60 minutes.", "expired"),
            (1000, "Your session hit the maximum duration of 30 minutes.", "expired"),
            (1001, "going away", "connection"),
            (1000, "", "connection"),
            (1011, "internal error", "connection"),
            (1013, "", "connection"),
            (3000, "invalid_request_error.invalid_api_key", "refused"),
            (4000, "invalid_request_error.invalid_api_key", "refused"),
            (3000, "unauthorized", "refused"),
            (4004, "insufficient_quota", "quota"),
        ] {
            assert_eq!(from_close(Some(&close(code, words))).kind(), kind, "{code} {words}");
        }
        assert_eq!(from_close(None).kind(), "connection");
    }

    #[test]
    fn texts_are_one_short_line_without_keys() {
        assert_eq!(
            plain("Incorrect API key provided: sk-proj-abc\n(see docs)"),
            "Incorrect API key provided: [key] (see docs)"
        );
        assert_eq!(plain(&"x".repeat(5000)).chars().count(), TEXT_LIMIT + 1);
        assert_eq!(plain("\u{7}\u{1b}[31mred"), "[31mred");
    }
}
