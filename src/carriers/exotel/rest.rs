//! Exotel's REST service, as far as Caly reads it: what became of a call, when no webhook told.
//!
//! Owns URLs, the JSON of a call and of an error, and the one request, which ends by its own deadline. Knows no retry
//! policy: an error says whether trying again can help.

use std::time::{Duration, SystemTime};

use caly_actors::domain::{CarrierCallId, Direction, Party};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::webhook::{CallState, RecordingHosts, RecordingLink};
use super::{numbers, times};

/// Largest answer read; a call's details are about 1 kB.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Where an account lives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Region {
    /// `api.exotel.com`
    Singapore,
    /// `api.in.exotel.com`
    Mumbai,
    /// Another service of the same shape, as the sandbox carrier.
    Other(Url),
}

impl Region {
    /// Reads `singapore`, `mumbai`, or a base URL.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, RestError> {
        match text.trim().to_ascii_lowercase().as_str() {
            "singapore" | "sg" => Ok(Self::Singapore),
            "mumbai" | "in" => Ok(Self::Mumbai),
            _ => Url::parse(text.trim())
                .ok()
                .filter(|url| url.has_host() && matches!(url.scheme(), "https" | "http"))
                .map(Self::Other)
                .ok_or(RestError::Address),
        }
    }

    fn base(&self) -> Result<Url, RestError> {
        match self {
            Self::Singapore => Url::parse("https://api.exotel.com").map_err(|_| RestError::Address),
            Self::Mumbai => Url::parse("https://api.in.exotel.com").map_err(|_| RestError::Address),
            Self::Other(url) => Ok(url.clone()),
        }
    }
}

/// One account's way in. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Account {
    /// Where it lives.
    pub region: Region,
    /// Its slug, as in `start.account_sid`.
    pub sid: String,
    /// API key.
    pub key: SecretString,
    /// API token.
    pub token: SecretString,
}

impl Account {
    /// `…/v1/Accounts/{account}/Calls/{call}.json?details=true`
    ///
    /// # Errors
    /// A base URL that cannot carry a path.
    pub fn call_url(&self, call: &CarrierCallId) -> Result<Url, RestError> {
        let mut url = self.region.base()?;
        url.path_segments_mut().map_err(|()| RestError::Address)?.pop_if_empty().extend([
            "v1",
            "Accounts",
            &self.sid,
            "Calls",
            &format!("{call}.json"),
        ]);
        url.set_query(Some("details=true"));
        Ok(url)
    }
}

/// Why a request did not bring an answer. None of the texts holds a secret.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RestError {
    /// The region's address is no usable URL.
    #[error("expected singapore, mumbai or a base url")]
    Address,
    /// No answer in time, or none at all.
    #[error("exotel unreachable: {0}")]
    Unreachable(String),
    /// Exotel said no.
    #[error("exotel refused with {status}: {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Exotel's own code, if given.
        code: Option<i64>,
        /// Its text.
        message: String,
    },
    /// An answer that is not what Exotel documents.
    #[error("unexpected answer from exotel")]
    Unexpected,
}

impl RestError {
    /// Whether the same request may work later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused { status, .. } => matches!(status, 408 | 429 | 500..),
            Self::Address | Self::Unexpected => false,
        }
    }
}

/// What Exotel knows of a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallDetails {
    /// Its id.
    pub call_sid: CarrierCallId,
    /// Its state; `None` for a word that is not documented.
    pub status: Option<CallState>,
    /// The person at the other end.
    pub caller: Party,
    /// The client's number.
    pub called: Party,
    /// Who began.
    pub direction: Direction,
    /// When it began.
    pub started: Option<SystemTime>,
    /// When it ended; filled in about two minutes later.
    pub ended: Option<SystemTime>,
    /// How long it was; filled in about two minutes after the end.
    pub duration: Option<Duration>,
    /// Where its recording lies.
    pub recording: RecordingLink,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Call")]
    call: Option<Call>,
    #[serde(rename = "RestException")]
    exception: Option<Exception>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Call {
    sid: Option<String>,
    status: Option<String>,
    from: Option<String>,
    to: Option<String>,
    phone_number_sid: Option<String>,
    direction: Option<String>,
    start_time: Option<String>,
    end_time: Option<String>,
    duration: Value,
    recording_url: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Exception {
    message: Option<String>,
    code: Value,
}

/// Reads an answer of the call endpoint.
///
/// # Errors
/// `Refused` for a status other than 2xx or a `RestException`, `Unexpected` for anything else unreadable.
pub fn parse_call(status: u16, body: &[u8], hosts: &RecordingHosts) -> Result<CallDetails, RestError> {
    let answer: Option<Answer> = serde_json::from_slice(body).ok();
    let (call, exception) = answer.map_or((None, None), |answer| (answer.call, answer.exception));
    if !(200..300).contains(&status) || exception.is_some() {
        let exception = exception.unwrap_or_default();
        let message = exception.message.unwrap_or_default();
        let message = message.trim().trim_end_matches(';').chars().filter(|c| !c.is_control()).take(200).collect();
        return Err(RestError::Refused { status, code: number(&exception.code), message });
    }
    call.and_then(|call| details(call, hosts)).ok_or(RestError::Unexpected)
}

fn details(call: Call, hosts: &RecordingHosts) -> Option<CallDetails> {
    let outbound = call.direction.as_deref().is_some_and(|word| word.starts_with("outbound"));
    let time = |text: &Option<String>| text.as_deref().and_then(|text| times::parse(text).ok().flatten());
    let called = call.phone_number_sid.as_deref().filter(|text| !text.is_empty()).or(call.to.as_deref());
    Some(CallDetails {
        call_sid: CarrierCallId::parse(call.sid.as_deref()?).ok()?,
        status: call.status.as_deref().and_then(CallState::parse),
        caller: numbers::party(call.from.as_deref().unwrap_or("")),
        called: numbers::party(called.unwrap_or("")),
        direction: if outbound { Direction::Outbound } else { Direction::Inbound },
        started: time(&call.start_time),
        ended: time(&call.end_time),
        duration: number(&call.duration).and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs),
        recording: match call.recording_url.as_deref().filter(|url| !url.is_empty()) {
            None => RecordingLink::Absent,
            Some(url) => hosts.check(url).map_or(RecordingLink::Refused, RecordingLink::Trusted),
        },
    })
}

/// Exotel writes the same number as a number on one page and as a text on another.
fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// Asks Exotel what became of a call; over after `deadline`, whatever happens. Runs on the thread that owns `client`.
///
/// # Errors
/// See [`RestError`].
pub async fn call_details(
    client: &awc::Client,
    account: &Account,
    hosts: &RecordingHosts,
    call: &CarrierCallId,
    deadline: Duration,
) -> Result<CallDetails, RestError> {
    let url = account.call_url(call)?;
    let request = client
        .get(url.as_str())
        .basic_auth(account.key.expose_secret(), account.token.expose_secret())
        .timeout(deadline);
    let answered = async {
        let mut response = request.send().await.map_err(|error| RestError::Unreachable(error.to_string()))?;
        let status = response.status().as_u16();
        let body =
            response.body().limit(ANSWER_BYTES_MAX).await.map_err(|error| RestError::Unreachable(error.to_string()))?;
        parse_call(status, &body, hosts)
    };
    tokio::time::timeout(deadline, answered)
        .await
        .unwrap_or_else(|_| Err(RestError::Unreachable("no answer in time".to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: &[u8] = include_bytes!("../../../tests/fixtures/exotel/call-details.json");

    fn hosts() -> RecordingHosts {
        RecordingHosts::default()
    }

    fn account(region: Region) -> Account {
        Account { region, sid: "acme1".into(), key: "k".into(), token: "t0p".into() }
    }

    #[test]
    fn the_address_follows_the_region() {
        let call = CarrierCallId::parse("c1").unwrap();
        let url = |text: &str| account(Region::parse(text).unwrap()).call_url(&call).unwrap().to_string();
        let path = "/v1/Accounts/acme1/Calls/c1.json?details=true";
        assert_eq!(url("singapore"), format!("https://api.exotel.com{path}"));
        assert_eq!(url("Mumbai"), format!("https://api.in.exotel.com{path}"));
        assert_eq!(url("http://127.0.0.1:9000/"), format!("http://127.0.0.1:9000{path}"));
        assert_eq!(Region::parse("mars"), Err(RestError::Address));
        let odd = Account { sid: "a/../b?c".into(), ..account(Region::Mumbai) };
        assert!(odd.call_url(&call).unwrap().as_str().contains("/a%2F..%2Fb%3Fc/"));
    }

    #[test]
    fn the_details_of_a_call_are_read() {
        let details = parse_call(200, CALL, &hosts()).unwrap();
        assert_eq!(details.status, Some(CallState::Completed));
        assert_eq!(details.caller.stored(), Some("+919876543210"));
        assert_eq!(details.called.stored(), Some("+918047112233"));
        assert_eq!(details.duration, Some(Duration::from_secs(61)));
        assert_eq!(details.direction, Direction::Outbound);
        assert!(details.started.is_some() && details.ended.is_none());
        assert!(details.recording.url().is_some());
    }

    #[test]
    fn refusals_say_whether_to_try_again() {
        let table: [(u16, &str, Option<i64>, &str, bool); 5] = [
            (403, r#"{"RestException":{"Status":403,"Message":"KYC","Code":340030}}"#, Some(340_030), "KYC", false),
            (
                503,
                r#"{"RestException":{"Message":"Service Unavailable; ","Code":"35008"}}"#,
                Some(35008),
                "Service Unavailable",
                true,
            ),
            (200, r#"{"RestException":{}}"#, None, "", false),
            (429, "slow down", None, "", true),
            (401, "<html>", None, "", false),
        ];
        for (status, body, code, message, retry) in table {
            let error = parse_call(status, body.as_bytes(), &hosts()).unwrap_err();
            assert_eq!(error.is_retryable(), retry, "{body}");
            assert_eq!(error, RestError::Refused { status, code, message: message.to_owned() });
        }
        assert_eq!(parse_call(200, b"{}", &hosts()), Err(RestError::Unexpected));
        assert_eq!(parse_call(200, b"<xml/>", &hosts()), Err(RestError::Unexpected));
    }

    #[test]
    fn debug_shows_no_secret() {
        assert!(!format!("{:?}", account(Region::Mumbai)).contains("t0p"));
    }
}
