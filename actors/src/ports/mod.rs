//! The outside as the inside wants it. `src/` implements these; a test implements them in memory.

mod engine;

pub use engine::{
    AgentAudio, ContextItem, ENGINE_HANGS, Engine, EngineAudio, EngineCommand, EngineError, EngineEvent, EngineLanes,
    EngineSession, EngineSpec, ItemKind, ResponseOutcome, ToolSpec, WINDOW_LEAST,
};

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::future::{BoxFuture, LocalBoxFuture};

use crate::audio::lane::{LaneReceiver, LaneSender};
use crate::domain::{
    Action, AfterStream, Agent, CallFacts, CallId, CallTime, ClientId, EndReason, IntentKind, KnownCaller, Language,
    Party, Pcm, PhoneNumber, Phrase, Turn, TurnId, Understanding, Usage,
};

// ---------------------------------------------------------------- carrier

/// What a media socket tells the call. Flows through a bounded lane, in order.
#[derive(Clone, PartialEq, Debug)]
pub enum CarrierEvent {
    /// The stream's facts; exactly one, before any audio.
    Started {
        /// The carrier's stream id, echoed on everything sent back.
        stream: Arc<str>,
        /// Sample rate of both directions: 8000, 16000 or 24000.
        rate: u32,
    },
    /// Caller audio at the stream's rate.
    Audio(Pcm),
    /// A key was pressed: `0-9 * # A-D`.
    Dtmf(char),
    /// Everything sent before the mark of this name has been played.
    Mark(Arc<str>),
    /// The carrier says the stream is over.
    Stopped {
        /// The caller hung up (as against: the stream ended, the call may go on).
        call_ended: bool,
    },
    /// The socket is gone; nothing follows.
    Closed {
        /// The peer broke the protocol beyond repair.
        protocol_error: bool,
    },
}

/// What the call tells the media socket.
#[derive(Clone, PartialEq, Debug)]
pub enum CarrierCommand {
    /// Play this; a multiple of 320 bytes at the stream's rate.
    Audio(Bytes),
    /// Tell us when all before this has been played.
    Mark(Arc<str>),
    /// Forget what has not started to play.
    Clear,
    /// Close the socket: 1000 normal, 1001 going away, …
    Close(u16),
}

/// Both directions of one media socket.
#[derive(Clone)]
pub struct CarrierLink {
    /// Tells sockets of one call apart.
    pub socket: u64,
    /// From the socket.
    pub events: LaneReceiver<CarrierEvent>,
    /// To the socket.
    pub commands: LaneSender<CarrierCommand>,
    /// Ends the socket even when its actor is frozen by a peer that does not read.
    pub kill: Arc<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for CarrierLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CarrierLink({})", self.socket)
    }
}

// ---------------------------------------------------------------- actions

/// How an action may be tried again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetryRule {
    /// Attempts in all, at least 1.
    pub attempts: u32,
    /// Wait before the second; doubles after.
    pub backoff: Duration,
}

/// What makes two calls of an action the same action.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SameAction {
    /// Once a call, whatever the arguments.
    PerCall,
    /// Once a call for the same arguments.
    PerArguments,
    /// Once for the same arguments, until something else was done in the call: what was booked, called off and is wanted
    /// again is another booking.
    PerChange,
}

/// One entry of the catalogue.
#[derive(Clone, PartialEq, Debug)]
pub struct ActionSpec {
    /// Name, description and schema, as the engine sees them.
    pub tool: ToolSpec,
    /// Longest time for all attempts together.
    pub deadline: Duration,
    /// When to try again.
    pub retry: RetryRule,
    /// What the idempotency key is made of.
    pub same: SameAction,
    /// Whether it changes something: a lost answer then means *unknown*, not *failed*.
    pub writes: bool,
    /// Whether the caller must say yes to it first: it is planned, read back, and done once Caly has heard the yes.
    pub confirm: bool,
    /// Whether nothing can undo it, which the caller is told before they say yes.
    pub lasting: bool,
    /// Whether the engine may ask for it. What is not offered only undoes what another entry did.
    pub offered: bool,
}

/// Under this name the engine asks for what was done last to be undone: the [`Undo`] that came with it.
pub const UNDO: &str = "undo_last_action";

/// The step that undoes what was done: another entry of the catalogue, with its arguments.
#[derive(Clone, PartialEq, Debug)]
pub struct Undo {
    /// Catalogue name.
    pub tool: Arc<str>,
    /// JSON object.
    pub arguments: serde_json::Value,
}

/// Under this name a plan tells what it has chosen where the arguments left it open, and finds it again among the arguments
/// when it is carried out. Whatever the engine writes there is left out.
pub const PLANNED: &str = "_planned";

/// What is asked of an action.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Say what would be done, and whether it can be: a JSON object to be read back to the caller. Changes nothing.
    Plan,
    /// Do it.
    Do,
}

/// One attempt at an action.
#[derive(Clone, Debug)]
pub struct ActionRequest {
    /// The call.
    pub facts: Arc<CallFacts>,
    /// Catalogue name.
    pub name: Arc<str>,
    /// JSON object, checked against the schema.
    pub arguments: Arc<serde_json::Value>,
    /// Same key, same action.
    pub idempotency_key: Arc<str>,
    /// Whether to do it or to plan it.
    pub step: Step,
    /// 1, 2, …
    pub attempt: u32,
}

/// What an action changes about the call itself.
#[derive(Clone, PartialEq, Debug)]
pub enum CallChange {
    /// Say goodbye and end.
    End,
    /// Hand the caller to a person.
    Transfer {
        /// Why, for the person.
        summary: Arc<str>,
    },
    /// Nothing is known of the caller any more.
    CallerForgotten,
}

/// What an action did.
#[derive(Clone, PartialEq, Debug)]
pub struct ActionOutput {
    /// JSON told to the engine.
    pub output: Arc<str>,
    /// What it changes about the call.
    pub change: Option<CallChange>,
    /// What undoes it, where something does.
    pub undo: Option<Undo>,
}

/// Why an action did not work.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum ActionError {
    /// Not possible; the text may be told to the caller. Nothing happened.
    #[error("refused: {0}")]
    Refused(String),
    /// Nothing happened this time; trying again may help.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// Nothing happened, and trying again at once cannot help.
    #[error("away: {0}")]
    Away(String),
    /// The answer was lost; it may have happened.
    #[error("outcome unknown: {0}")]
    Unknown(String),
}

/// Runs actions.
pub trait ActionRunner: Send + Sync {
    /// What this agent may do.
    fn catalogue(&self, agent: &Agent) -> Vec<ActionSpec>;
    /// One attempt, with its own deadline.
    fn run(&self, request: ActionRequest) -> LocalBoxFuture<'static, Result<ActionOutput, ActionError>>;
    /// Looks up what an intent will most likely ask for, while the engine still thinks. Changes nothing and fails to nobody;
    /// `None` where there is nothing to look up.
    fn prefetch(&self, _facts: &Arc<CallFacts>, _intent: IntentKind) -> Option<LocalBoxFuture<'static, ()>> {
        None
    }
}

// ---------------------------------------------------------------- journal

/// One thing worth keeping. Entries of a call are written in the order they are recorded.
#[derive(Clone, PartialEq, Debug)]
pub enum JournalEntry {
    /// The call exists.
    Admitted(Arc<CallFacts>),
    /// The stream carries the call.
    Answered {
        /// Which call.
        call: CallId,
        /// Sample rate.
        rate: u32,
    },
    /// A turn, or a later version of it.
    Turn {
        /// Which call.
        call: CallId,
        /// The turn.
        turn: Turn,
        /// For a caller's turn, the agent's words that are not on record yet: it may be the answer to them.
        under_way: Arc<str>,
    },
    /// What a turn was taken to mean.
    Intent {
        /// Which call.
        call: CallId,
        /// The caller's turn.
        turn: TurnId,
        /// What it wants.
        understanding: Understanding,
        /// When, on the call's clock.
        at: CallTime,
    },
    /// An action, or a later state of it.
    Action {
        /// Which call.
        call: CallId,
        /// Whose.
        client: ClientId,
        /// The action.
        action: Action,
    },
    /// Anything else: a word and a JSON object without speech, keys or whole numbers.
    Event {
        /// Which call.
        call: CallId,
        /// `engine_lost`, `child_restarted`, …
        kind: &'static str,
        /// A JSON object as text.
        detail: Arc<str>,
        /// When, on the call's clock.
        at: CallTime,
    },
    /// What the carrier should do next, decided before the stream closes.
    Decided {
        /// Which call.
        call: CallId,
        /// Hang up or transfer.
        after: AfterStream,
        /// For the person it is handed to.
        summary: Arc<str>,
    },
    /// A later process took the call up again after the one that had it died.
    TakenUp {
        /// Which call.
        call: CallId,
        /// When, on the call's clock.
        at: CallTime,
    },
    /// The caller is one whom the client wants remembered: the call counts for them, once however often this is recorded, and
    /// not at all if they were forgotten since it began.
    CallerMet {
        /// Which call.
        call: CallId,
        /// Whose.
        client: ClientId,
        /// Who rings.
        number: PhoneNumber,
        /// What they have turned out to speak; `None` as long as that is not known.
        language: Option<Language>,
        /// How long they are remembered from now.
        keep: Duration,
    },
    /// The caller does not want to be rung any more by this client.
    DoNotCall {
        /// Which call.
        call: CallId,
        /// Who is not to ring them.
        client: ClientId,
        /// Whom.
        number: PhoneNumber,
    },
    /// What the engine has cost so far, after each answer.
    Spent {
        /// Which call.
        call: CallId,
        /// In all.
        usage: Usage,
    },
    /// The call is over for Caly.
    Ended {
        /// Which call.
        call: CallId,
        /// Why.
        reason: EndReason,
        /// When, on the call's clock.
        at: CallTime,
        /// What the engine cost in all.
        usage: Usage,
        /// Parts that had to be given up: `intent`, `action`.
        degraded: Vec<&'static str>,
    },
}

impl JournalEntry {
    /// The call it belongs to.
    #[must_use]
    pub fn call(&self) -> CallId {
        match self {
            Self::Admitted(facts) => facts.call,
            Self::Answered { call, .. }
            | Self::Turn { call, .. }
            | Self::Intent { call, .. }
            | Self::Action { call, .. }
            | Self::Event { call, .. }
            | Self::Decided { call, .. }
            | Self::TakenUp { call, .. }
            | Self::CallerMet { call, .. }
            | Self::DoNotCall { call, .. }
            | Self::Spent { call, .. }
            | Self::Ended { call, .. } => *call,
        }
    }
}

/// Keeps what happened. Never waits and never fails towards the call.
pub trait Journal: Send + Sync {
    /// Queues an entry with the wall-clock time it happened.
    fn record(&self, at: SystemTime, entry: JournalEntry);
    /// The same at once, and tells whether it was kept where a crash of the process does not reach it. May take long; the caller
    /// sets its own limit.
    fn record_durably(&self, at: SystemTime, entry: JournalEntry) -> BoxFuture<'static, bool>;
}

// ---------------------------------------------------------------- stored speech and recordings

/// Audio that needs no engine.
pub trait Phrases: Send + Sync {
    /// 8 kHz PCM of a phrase, in an agent's voice where it was made in that; every phrase exists in every language.
    fn audio(&self, voice: &str, phrase: Phrase, language: Language) -> Pcm;
    /// Its words, for the transcript.
    fn words(&self, phrase: Phrase, language: Language) -> &'static str;
}

/// Takes both sides of a call as they were heard. Dropping it closes the file.
pub trait RecordingTap: Send {
    /// Caller audio as it arrived, at a time on the call's clock.
    fn caller(&mut self, at: CallTime, pcm: &Pcm);
    /// Agent audio as it is played, at the time its playing begins.
    fn agent(&mut self, at: CallTime, pcm: &Pcm);
    /// The caller interrupted: agent audio from this time on was not played.
    fn cut_agent(&mut self, at: CallTime);
}

/// Opens recordings.
pub trait Recordings: Send + Sync {
    /// `None` when recording is off or there is no room.
    fn open(&self, facts: &CallFacts, rate: u32) -> Option<Box<dyn RecordingTap>>;
}

/// Those who rang a client before.
pub trait Customers: Send + Sync {
    /// Who rings. `None` where nothing is known of them, and where it cannot be found out; the call sets its own limit.
    fn known(&self, facts: &Arc<CallFacts>) -> BoxFuture<'static, Option<Arc<KnownCaller>>>;
}

/// Everything outside that a call needs, handed to it once.
#[derive(Clone)]
pub struct Ports {
    /// Speech.
    pub engine: Arc<dyn Engine>,
    /// Speech for calls that the first engine fails; `None` if there is no other.
    pub fallback_engine: Option<Arc<dyn Engine>>,
    /// Greetings made before.
    pub greetings: Arc<dyn Greetings>,
    /// Doing.
    pub actions: Arc<dyn ActionRunner>,
    /// Those who rang before.
    pub customers: Arc<dyn Customers>,
    /// Remembering.
    pub journal: Arc<dyn Journal>,
    /// Stored speech.
    pub phrases: Arc<dyn Phrases>,
    /// Recordings.
    pub recordings: Arc<dyn Recordings>,
}

/// Greetings in the agents' own voices, made once through the engine and kept.
pub trait Greetings: Send + Sync {
    /// The sound of an agent's greeting. `None` if there is none yet; it is then made for later calls.
    fn stored(&self, agent: &Arc<Agent>) -> Option<Pcm>;
}

/// A caller or called party as shown in logs: masked.
#[must_use]
pub fn masked(party: &Party) -> String {
    match party {
        Party::Number(number) => number.masked(),
        Party::National(text) | Party::Sip(text) => crate::domain::mask_digits(text),
        Party::Withheld => "withheld".to_owned(),
    }
}
