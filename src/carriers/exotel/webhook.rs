//! Exotel's webhooks as typed views: call start, passthru, connect, status and recording.
//!
//! Owns every webhook field name. Knows no route, no credential and no status code. Required fields that are missing or
//! malformed are errors with the field's name; everything else is optional, because Exotel's own pages disagree on it.

use std::time::{Duration, SystemTime};

use caly_actors::domain::{CarrierCallId, Direction, Party};
use url::Url;

pub use super::params::{FIELDS_MAX, Params, VALUE_BYTES_MAX, WebhookError, parse};
use super::{numbers, times};

/// Longest text kept from a free-text field.
const TEXT_CHARS_MAX: usize = 512;

/// Where recordings may be fetched from, so that credentials and requests go nowhere else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordingHosts(Vec<Url>);

impl RecordingHosts {
    /// Exotel's own two places.
    pub const DEFAULT: [&str; 2] = ["recordings.exotel.com", "s3-ap-southeast-1.amazonaws.com/exotelrecordings/"];

    /// Reads places of the form `host`, `host/path/` or, for a service on this machine, `http://host:port/path/`.
    ///
    /// # Errors
    /// The place that cannot be read.
    pub fn new<T: AsRef<str>>(places: &[T]) -> Result<Self, WebhookError> {
        places.iter().map(|place| read_place(place.as_ref())).collect::<Result<_, _>>().map(Self)
    }

    /// The URL, if it lies under one of the places; user info, other schemes and other ports are refused.
    #[must_use]
    pub fn check(&self, text: &str) -> Option<Url> {
        let url = Url::parse(text).ok()?;
        let clean = url.username().is_empty() && url.password().is_none();
        let allowed = self.0.iter().any(|place| {
            url.scheme() == place.scheme()
                && url.host_str() == place.host_str()
                && url.port_or_known_default() == place.port_or_known_default()
                && url.path().starts_with(place.path())
        });
        // An encoded separator could be decoded on the way and climb out of the allowed path.
        let escaping = ["%2e", "%2f", "%5c"].iter().any(|code| url.path().to_ascii_lowercase().contains(code));
        (clean && allowed && !escaping).then_some(url)
    }
}

impl Default for RecordingHosts {
    fn default() -> Self {
        Self(Self::DEFAULT.iter().filter_map(|place| read_place(place).ok()).collect())
    }
}

fn read_place(place: &str) -> Result<Url, WebhookError> {
    let text = if place.contains("://") { place.to_owned() } else { format!("https://{place}") };
    Url::parse(&text)
        .ok()
        .filter(|url| url.has_host() && matches!(url.scheme(), "https" | "http"))
        .ok_or_else(|| WebhookError::malformed("recording host", "expected a host, or a host and a path"))
}

/// A recording's URL as a webhook gives it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum RecordingLink {
    /// None given.
    #[default]
    Absent,
    /// It lies where recordings may lie.
    Trusted(Url),
    /// It lies elsewhere; dropped, and worth an audit line.
    Refused,
}

impl RecordingLink {
    /// The URL, if it may be fetched.
    #[must_use]
    pub fn url(&self) -> Option<&Url> {
        match self {
            Self::Trusted(url) => Some(url),
            Self::Absent | Self::Refused => None,
        }
    }
}

/// Who the two ends of a call are, by any webhook that says so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ends {
    /// The person: `CallFrom`, whoever rang whom (Exotel swaps the ends of outbound calls for us).
    pub caller: Party,
    /// The client's number: `CallTo`, since `To` may be a landing number shared by accounts.
    pub called: Party,
    /// Who began.
    pub direction: Direction,
}

/// `call-start`: the Voicebot applet asks where to stream to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallStart {
    /// Exotel's id of the call.
    pub call_sid: CarrierCallId,
    /// Who talks with whom.
    pub ends: Ends,
    /// When Exotel created the call.
    pub created: Option<SystemTime>,
    /// What the REST request that began an outbound call carried.
    pub custom_field: Option<String>,
}

/// How a stream ended, by Exotel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StreamStatus {
    /// The bot closed it.
    Completed,
    /// It never worked: bad URL, handshake, throttled.
    Failed,
    /// The caller hung up.
    Cancelled,
    /// A word that Exotel does not document.
    Other(String),
}

/// Who ended a stream, by Exotel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DisconnectedBy {
    /// The caller.
    User,
    /// This side.
    Bot,
    /// `NA` or absent.
    Unknown,
}

/// What Exotel tells of a stream after it is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamFacts {
    /// The stream's id.
    pub sid: Option<String>,
    /// How it ended.
    pub status: Option<StreamStatus>,
    /// How long it lived.
    pub duration: Option<Duration>,
    /// Where its recording lies.
    pub recording: RecordingLink,
    /// Who ended it.
    pub disconnected_by: DisconnectedBy,
    /// Exotel's error text.
    pub error: Option<String>,
    /// As `Streaming_call_throttled`.
    pub detailed_status: Option<String>,
}

/// `passthru`: the flow asks what to do now that the stream is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Passthru {
    /// Exotel's id of the call.
    pub call_sid: CarrierCallId,
    /// Who talks with whom.
    pub ends: Ends,
    /// Present after a Voicebot or Stream applet.
    pub stream: Option<StreamFacts>,
    /// Keys pressed in a Gather applet, without the quotes Exotel puts around them.
    pub digits: Option<String>,
    /// State of the call.
    pub call_status: Option<String>,
    /// As in [`CallStart`].
    pub custom_field: Option<String>,
}

/// `connect`: the flow asks whom to dial.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Connect {
    /// Exotel's id of the call.
    pub call_sid: CarrierCallId,
    /// Who talks with whom.
    pub ends: Ends,
    /// How the last attempt ended, when asked again after one.
    pub dial_call_status: Option<String>,
    /// The number dialled by a former attempt.
    pub dialled: Party,
    /// As in [`CallStart`].
    pub custom_field: Option<String>,
}

/// What kind of status this is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EventType {
    /// The call is over; also when Exotel does not say.
    Terminal,
    /// Somebody took the call.
    Answered,
    /// It rings.
    Ringing,
    /// A word that Exotel does not document.
    Other,
}

/// State of a call, by Exotel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CallState {
    /// `queued`
    Queued,
    /// `ringing`
    Ringing,
    /// `in-progress`
    InProgress,
    /// `completed`
    Completed,
    /// `busy`
    Busy,
    /// `failed`
    Failed,
    /// `no-answer`
    NoAnswer,
    /// `canceled`
    Canceled,
}

impl CallState {
    /// Exotel's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Ringing => "ringing",
            Self::InProgress => "in-progress",
            Self::Completed => "completed",
            Self::Busy => "busy",
            Self::Failed => "failed",
            Self::NoAnswer => "no-answer",
            Self::Canceled => "canceled",
        }
    }

    /// Reads Exotel's word; case, `-`, `_` and the second l of *cancelled* do not matter.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let word = word.trim().to_ascii_lowercase().replace(['_', ' '], "-");
        Some(match word.as_str() {
            "queued" => Self::Queued,
            "ringing" => Self::Ringing,
            "in-progress" | "answered" => Self::InProgress,
            "completed" => Self::Completed,
            "busy" => Self::Busy,
            "failed" => Self::Failed,
            "no-answer" => Self::NoAnswer,
            "canceled" | "cancelled" => Self::Canceled,
            _ => return None,
        })
    }

    /// Nothing follows this state.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Ringing | Self::InProgress)
    }
}

/// One leg of a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leg {
    /// Its state; `None` while it still rings.
    pub status: Option<CallState>,
    /// `human`, `machine`, `notsure`, `na`.
    pub answered_by: Option<String>,
    /// How long it was up.
    pub on_call: Option<Duration>,
}

/// `status` and `call-end`: what became of a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// Exotel's id of the call.
    pub call_sid: CarrierCallId,
    /// Its state.
    pub status: CallState,
    /// Which event; duplicates share `(call_sid, event, status)`.
    pub event: EventType,
    /// When it began.
    pub started: Option<SystemTime>,
    /// When it ended.
    pub ended: Option<SystemTime>,
    /// How long both sides talked.
    pub duration: Option<Duration>,
    /// Where its recording lies.
    pub recording: RecordingLink,
    /// The legs, in order.
    pub legs: Vec<Leg>,
    /// As in [`CallStart`].
    pub custom_field: Option<String>,
}

/// `recording`: a recording is ready.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recording {
    /// Exotel's id of the call.
    pub call_sid: CarrierCallId,
    /// Where it lies.
    pub link: RecordingLink,
    /// How long it is.
    pub duration: Option<Duration>,
}

impl CallStart {
    /// # Errors
    /// `CallSid`, `CallFrom` or `CallTo` missing, `CallSid` malformed.
    pub fn read(params: &Params) -> Result<Self, WebhookError> {
        for (name, mirror) in [("CallFrom", "From"), ("CallTo", "To")] {
            if !params.has(name) && !params.has(mirror) {
                return Err(WebhookError::Missing(name));
            }
        }
        Ok(Self {
            call_sid: call_sid(params)?,
            ends: ends(params),
            created: time(params, "Created").or_else(|| time(params, "CurrentTime")),
            custom_field: text(params, "CustomField"),
        })
    }
}

impl Passthru {
    /// # Errors
    /// `CallSid` missing or malformed.
    pub fn read(params: &Params, hosts: &RecordingHosts) -> Result<Self, WebhookError> {
        Ok(Self {
            call_sid: call_sid(params)?,
            ends: ends(params),
            stream: params.has_prefix("Stream[").then(|| stream_facts(params, hosts)),
            digits: text(params, "digits")
                .map(|digits| digits.trim_matches(['"', ' ']).to_owned())
                .filter(|digits| !digits.is_empty()),
            call_status: text(params, "CallStatus"),
            custom_field: text(params, "CustomField"),
        })
    }
}

impl Connect {
    /// # Errors
    /// `CallSid` missing or malformed.
    pub fn read(params: &Params) -> Result<Self, WebhookError> {
        Ok(Self {
            call_sid: call_sid(params)?,
            ends: ends(params),
            dial_call_status: text(params, "DialCallStatus"),
            dialled: numbers::party(params.get("DialWhomNumber").unwrap_or("")),
            custom_field: text(params, "CustomField"),
        })
    }
}

impl Status {
    /// Reads both `Status` (status callbacks) and `CallStatus` (flow requests). A missing state in a request to
    /// `call-end` is the caller's to fill in: pass it as `otherwise`.
    ///
    /// # Errors
    /// `CallSid` missing or malformed, `Status` missing without `otherwise`, or a state Exotel does not have.
    pub fn read(params: &Params, hosts: &RecordingHosts, otherwise: Option<CallState>) -> Result<Self, WebhookError> {
        let call_sid = call_sid(params)?;
        let status = match (params.get("Status").or_else(|| params.get("CallStatus")), otherwise) {
            (Some(word), _) => CallState::parse(word)
                .ok_or_else(|| WebhookError::malformed("Status", "expected a state as completed, busy or no-answer"))?,
            (None, _) if params.get("EventType").is_some_and(|word| !word.eq_ignore_ascii_case("terminal")) => {
                CallState::InProgress
            }
            (None, Some(state)) => state,
            (None, None) => return Err(WebhookError::Missing("Status")),
        };
        let event = match params.get("EventType").map(str::to_ascii_lowercase).as_deref() {
            None if status.is_final() => EventType::Terminal,
            None => EventType::Other,
            Some("terminal") => EventType::Terminal,
            Some("answered") => EventType::Answered,
            Some("ringing") => EventType::Ringing,
            Some(_) => EventType::Other,
        };
        let duration = ["ConversationDuration", "DialCallDuration", "Duration", "CallDuration"]
            .iter()
            .find_map(|name| seconds(params, name));
        let ended = time(params, "EndTime").or_else(|| time(params, "DateUpdated").filter(|_| status.is_final()));
        Ok(Self {
            call_sid,
            status,
            event,
            started: time(params, "StartTime").or_else(|| time(params, "DateCreated")),
            ended,
            duration,
            recording: link(params, "RecordingUrl", hosts),
            legs: legs(params),
            custom_field: text(params, "CustomField"),
        })
    }
}

impl Status {
    /// The whole call is over: a final state, and no event that says that it is of something else. Events that are not known
    /// end nothing.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.status.is_final() && self.event == EventType::Terminal
    }
}

impl Recording {
    /// # Errors
    /// `CallSid` missing or malformed, `RecordingUrl` missing.
    pub fn read(params: &Params, hosts: &RecordingHosts) -> Result<Self, WebhookError> {
        let name = if params.get("RecordingUrl").is_some() { "RecordingUrl" } else { "Stream[RecordingUrl]" };
        let link = link(params, name, hosts);
        let call_sid = call_sid(params)?;
        if link == RecordingLink::Absent {
            return Err(WebhookError::Missing("RecordingUrl"));
        }
        let duration =
            ["RecordingDuration", "Duration", "ConversationDuration"].iter().find_map(|name| seconds(params, name));
        Ok(Self { call_sid, link, duration })
    }
}

fn call_sid(params: &Params) -> Result<CarrierCallId, WebhookError> {
    let text = params.get("CallSid").ok_or(WebhookError::Missing("CallSid"))?;
    CarrierCallId::parse(text).map_err(|invalid| WebhookError::malformed("CallSid", invalid.0))
}

fn ends(params: &Params) -> Ends {
    let party = |name, mirror| numbers::party(params.get(name).or_else(|| params.get(mirror)).unwrap_or(""));
    let outbound = params
        .get("Direction")
        .is_some_and(|word| word.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("outbound")));
    Ends {
        caller: party("CallFrom", "From"),
        called: party("CallTo", "To"),
        direction: if outbound { Direction::Outbound } else { Direction::Inbound },
    }
}

fn stream_facts(params: &Params, hosts: &RecordingHosts) -> StreamFacts {
    let status = text(params, "Stream[Status]").map(|word| match word.to_ascii_lowercase().as_str() {
        "completed" => StreamStatus::Completed,
        "failed" => StreamStatus::Failed,
        "cancelled" | "canceled" => StreamStatus::Cancelled,
        _ => StreamStatus::Other(word),
    });
    let disconnected_by = match params.get("Stream[DisconnectedBy]").map(str::to_ascii_lowercase).as_deref() {
        Some("user") => DisconnectedBy::User,
        Some("bot") => DisconnectedBy::Bot,
        _ => DisconnectedBy::Unknown,
    };
    StreamFacts {
        sid: text(params, "Stream[StreamSID]"),
        status,
        duration: seconds(params, "Stream[Duration]"),
        recording: link(params, "Stream[RecordingUrl]", hosts),
        disconnected_by,
        error: text(params, "Stream[Error]"),
        detailed_status: text(params, "Stream[DetailedStatus]"),
    }
}

fn legs(params: &Params) -> Vec<Leg> {
    let leg = |at: usize| {
        params.has_prefix(&format!("Legs[{at}][")).then(|| Leg {
            status: params.get(&format!("Legs[{at}][Status]")).and_then(CallState::parse),
            answered_by: text(params, &format!("Legs[{at}][AnsweredBy]")).map(|word| word.to_ascii_lowercase()),
            on_call: seconds(params, &format!("Legs[{at}][OnCallDuration]")),
        })
    };
    // Eight is far beyond the two legs of a call; it bounds the work of a request that invents more.
    (0..8).map_while(leg).collect()
}

/// Free text, cut to a length that fits a row; control characters become spaces so that a log line stays one line.
fn text(params: &Params, name: &str) -> Option<String> {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    params.get(name).map(|value| value.chars().take(TEXT_CHARS_MAX).map(clean).collect())
}

fn time(params: &Params, name: &str) -> Option<SystemTime> {
    params.get(name).and_then(|value| times::parse(value).ok().flatten())
}

/// Whole seconds; more than a day is no call of this world and is dropped.
fn seconds(params: &Params, name: &str) -> Option<Duration> {
    let value: f64 = params.get(name)?.parse().ok()?;
    (0.0..=86_400.0).contains(&value).then(|| Duration::from_secs_f64(value))
}

fn link(params: &Params, name: &str, hosts: &RecordingHosts) -> RecordingLink {
    match params.get(name) {
        None => RecordingLink::Absent,
        Some(word) if word.eq_ignore_ascii_case("null") => RecordingLink::Absent,
        Some(url) => hosts.check(url).map_or(RecordingLink::Refused, RecordingLink::Trusted),
    }
}

#[cfg(test)]
#[path = "webhook_tests.rs"]
mod tests;
