//! The nouns of a call, shared by every room. They know no vendor, no SQL and no JSON layout:
//! each room that stores or sends one writes its own form of it.

mod agent;
mod calendar;
mod customer;
mod intent;
mod latency;
mod parties;
mod policies;

pub use agent::{
    Agent, BargeIn, CallLimits, Hidden, HttpTool, HttpUndo, Language, McpServer, McpTool, MenuChoice, OrderProof,
    Phrase, ShopPolicy, TurnDetection,
};
pub use calendar::{Busy, Calendar, NotBookable, Service, Slot};
pub use customer::KnownCaller;
pub use intent::{Entity, IntentKind, Understanding, Yes};
pub use latency::Latency;
pub use parties::{Direction, Party, PhoneNumber, mask_digits};
pub use policies::{AbusePolicy, DoNotCallPolicy, PersonPolicy, Policies, Wish, WrongNumberPolicy};

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use uuid::Uuid;

/// Time on a call's own clock: how long ago the call was admitted (monotonic, never wall-clock).
pub type CallTime = Duration;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A fresh UUIDv7: ids made later sort later.
            #[must_use]
            #[allow(clippy::new_without_default, reason = "a default id would not be a constant")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_id!(
    /// One phone call.
    CallId
);
uuid_id!(
    /// The business a number belongs to.
    ClientId
);
uuid_id!(
    /// One version of an agent's settings.
    AgentId
);
uuid_id!(
    /// One utterance.
    TurnId
);
uuid_id!(
    /// One action carried out because of a call.
    ActionId
);

/// Which telephony provider carries a call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Carrier {
    /// Exotel (India).
    Exotel,
}

impl Carrier {
    /// The word used in the database, in logs and in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exotel => "exotel",
        }
    }
}

/// The carrier's own id of a call: 1 to 64 of `[A-Za-z0-9_.-]`, so it can stand in a path, a log line or a row.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct CarrierCallId(Arc<str>);

impl CarrierCallId {
    /// # Errors
    /// A text that is empty, longer than 64 bytes or holds another character.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        let fits =
            (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        if fits { Ok(Self(text.into())) } else { Err(InvalidValue("1 to 64 letters, digits, '_', '-' or '.'")) }
    }

    /// The id as the carrier wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CarrierCallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value from outside that does not fit its type; the text says what would.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("expected {0}")]
pub struct InvalidValue(pub &'static str);

/// What is known of a call when it is admitted.
#[derive(Clone, PartialEq, Debug)]
pub struct CallFacts {
    /// Caly's id.
    pub call: CallId,
    /// Whose call it is.
    pub client: ClientId,
    /// The client's slug, for logs and metrics.
    pub client_slug: Arc<str>,
    /// The agent version that speaks.
    pub agent: Arc<Agent>,
    /// The provider.
    pub carrier: Carrier,
    /// The provider's id; unique with `carrier`.
    pub carrier_call_id: CarrierCallId,
    /// The person at the other end (whoever rang whom).
    pub caller: Party,
    /// The client's number.
    pub called: Party,
    /// Who began.
    pub direction: Direction,
    /// Wall-clock time of admission.
    pub admitted_at: SystemTime,
}

/// Who speaks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Speaker {
    /// The person on the phone.
    Caller,
    /// Caly.
    Agent,
}

impl Speaker {
    /// The word used in the database and in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Agent => "agent",
        }
    }
}

/// One utterance, ordered among others by when its speech began.
#[derive(Clone, PartialEq, Debug)]
pub struct Turn {
    /// Identity; a later version of the same turn replaces the earlier.
    pub id: TurnId,
    /// Who spoke.
    pub speaker: Speaker,
    /// What was said; for the agent, what was *heard*.
    pub text: Arc<str>,
    /// What the recogniser wrote, where that was in a script that the text is not in.
    pub raw: Option<Arc<str>>,
    /// Words made by the engine that the caller never heard (barge-in), else empty.
    pub unheard: Arc<str>,
    /// The caller cut it off.
    pub interrupted: bool,
    /// When speech began, on the call's clock.
    pub started: CallTime,
    /// When it ended.
    pub ended: CallTime,
    /// How long the caller waited for it, for agent turns that answer one.
    pub latency: Option<Latency>,
}

/// The states an action moves through. One that needs the caller's yes is planned and proposed first; nothing is done
/// before it runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ActionState {
    /// It is being found out what it would do. Never on record.
    Planning,
    /// The caller is being asked.
    Proposed,
    /// They said yes; it is about to run.
    Confirmed,
    /// They said no, or the call ended before a yes.
    Withdrawn,
    /// Handed to the action actor.
    Running,
    /// Done; its output was told to the engine.
    Done,
    /// Not done, and nothing happened in the world.
    Failed,
    /// The answer was lost: it may or may not have happened.
    Unknown,
}

impl ActionState {
    /// The word used in the database and in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planning => "planning",
            Self::Proposed => "proposed",
            Self::Confirmed => "confirmed",
            Self::Withdrawn => "withdrawn",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// One action of a call, as the journal keeps it.
#[derive(Clone, PartialEq, Debug)]
pub struct Action {
    /// Identity.
    pub id: ActionId,
    /// Catalogue name.
    pub name: Arc<str>,
    /// Two actions with the same key are the same action.
    pub idempotency_key: Arc<str>,
    /// Canonical JSON.
    pub arguments: Arc<str>,
    /// Where it stands.
    pub state: ActionState,
    /// JSON told to the engine, once there is one.
    pub output: Option<Arc<str>>,
    /// The step that undoes it, once it is done, as JSON: `tool`, `arguments` and `id`, the key that the step has.
    pub undo: Option<Arc<str>>,
    /// The action that this one undoes.
    pub undoes: Option<ActionId>,
    /// Attempts made so far.
    pub attempts: u32,
    /// When it began, on the call's clock.
    pub started: CallTime,
    /// When its state was last decided.
    pub changed: CallTime,
}

/// Why a call is over. Good endings first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EndReason {
    /// The caller hung up.
    CallerHungUp,
    /// The agent said goodbye and closed.
    AgentEnded,
    /// Handed to a person.
    Transferred,
    /// An operator hung up through the API.
    OperatorHungUp,
    /// The carrier said that the call is over (webhook or closed leg).
    CarrierEnded,
    /// The hard cap.
    MaxDuration,
    /// No media stream came in time.
    NoAnswer,
    /// The stream stopped carrying media.
    NoMedia,
    /// Nobody spoke.
    NoSpeech,
    /// The engine could not be had, and there was nobody to hand the call to.
    EngineUnavailable,
    /// The media child failed too often.
    MediaLost,
    /// The peer broke the media protocol beyond repair.
    MediaProtocol,
    /// The call's own actor failed too often.
    CallPanicked,
    /// The process is shutting down.
    Drained,
    /// The process died while the call was up; written at the next start.
    Interrupted,
}

impl EndReason {
    /// Every reason, for metrics and documentation.
    pub const ALL: [Self; 15] = [
        Self::CallerHungUp,
        Self::AgentEnded,
        Self::Transferred,
        Self::OperatorHungUp,
        Self::CarrierEnded,
        Self::MaxDuration,
        Self::NoAnswer,
        Self::NoMedia,
        Self::NoSpeech,
        Self::EngineUnavailable,
        Self::MediaLost,
        Self::MediaProtocol,
        Self::CallPanicked,
        Self::Drained,
        Self::Interrupted,
    ];

    /// The word used in the database, in metrics and in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CallerHungUp => "caller_hung_up",
            Self::AgentEnded => "agent_ended",
            Self::Transferred => "transferred",
            Self::OperatorHungUp => "operator_hung_up",
            Self::CarrierEnded => "carrier_ended",
            Self::MaxDuration => "max_duration",
            Self::NoAnswer => "no_answer",
            Self::NoMedia => "no_media",
            Self::NoSpeech => "no_speech",
            Self::EngineUnavailable => "engine_unavailable",
            Self::MediaLost => "media_lost",
            Self::MediaProtocol => "media_protocol",
            Self::CallPanicked => "call_panicked",
            Self::Drained => "drained",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What the carrier should do with the caller once the stream is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AfterStream {
    /// Hang up.
    HangUp,
    /// Connect to the agent's hand-off numbers.
    Transfer,
}

impl AfterStream {
    /// The word used in the database and in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HangUp => "hang_up",
            Self::Transfer => "transfer",
        }
    }
}

/// What an engine session cost. Token counts include the cached ones.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Usage {
    /// Text tokens in.
    pub text_in: u64,
    /// … of which cached.
    pub text_cached: u64,
    /// Audio tokens in.
    pub audio_in: u64,
    /// … of which cached.
    pub audio_cached: u64,
    /// Text tokens out.
    pub text_out: u64,
    /// Audio tokens out.
    pub audio_out: u64,
    /// Cost in millionths of a US dollar, as far as the model's price is known.
    pub cost_micro_usd: u64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.text_in += other.text_in;
        self.text_cached += other.text_cached;
        self.audio_in += other.audio_in;
        self.audio_cached += other.audio_cached;
        self.text_out += other.text_out;
        self.audio_out += other.audio_out;
        self.cost_micro_usd += other.cost_micro_usd;
    }
}

/// Raw PCM: signed 16-bit little-endian mono at some rate.
#[derive(Clone, PartialEq, Eq)]
pub struct Pcm {
    /// 8000, 16000 or 24000 samples a second.
    pub rate: u32,
    /// Whole samples, so an even number of bytes.
    pub bytes: Bytes,
}

impl Pcm {
    /// How long it sounds.
    #[must_use]
    pub fn duration(&self) -> Duration {
        let samples = self.bytes.len() as u64 / 2;
        Duration::from_micros(samples * 1_000_000 / u64::from(self.rate.max(1)))
    }
}

impl fmt::Debug for Pcm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pcm({} Hz, {} B)", self.rate, self.bytes.len())
    }
}
