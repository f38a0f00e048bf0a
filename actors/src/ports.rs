//! The outside as the inside wants it. `src/` implements these; a test implements them in memory.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::LocalBoxStream;

use crate::audio::lane::{LaneReceiver, LaneSender};
use crate::domain::{
    Action, AfterStream, Agent, CallFacts, CallId, CallTime, ClientId, EndReason, Language, Party, Pcm, Phrase, Turn,
    TurnId, Understanding, Usage,
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

// ---------------------------------------------------------------- engine

/// How audio is written between Caly and the engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EngineAudio {
    /// PCM16 little-endian mono at 24 kHz.
    Pcm24,
    /// G.711 A-law at 8 kHz, one byte a sample.
    ALaw,
    /// G.711 µ-law at 8 kHz, one byte a sample.
    MuLaw,
}

impl EngineAudio {
    /// Bytes of one millisecond.
    #[must_use]
    pub fn bytes_per_ms(self) -> usize {
        match self {
            Self::Pcm24 => 48,
            Self::ALaw | Self::MuLaw => 8,
        }
    }
}

/// A tool as the engine is told of it.
#[derive(Clone, PartialEq, Debug)]
pub struct ToolSpec {
    /// Catalogue name.
    pub name: Arc<str>,
    /// What it does and when to use it.
    pub description: Arc<str>,
    /// JSON Schema of the arguments, as text.
    pub schema: Arc<str>,
}

/// One line of what was said or done before a session began, to rebuild its context.
#[derive(Clone, PartialEq, Debug)]
pub enum ContextItem {
    /// The caller's words.
    Caller(Arc<str>),
    /// The agent's words, as far as they were heard.
    Agent(Arc<str>),
    /// A tool that ran and what it answered.
    Tool {
        /// Its name.
        name: Arc<str>,
        /// JSON arguments.
        arguments: Arc<str>,
        /// JSON output.
        output: Arc<str>,
    },
    /// A fact for the engine, not spoken by anybody.
    Note(Arc<str>),
}

/// Everything needed to open a session.
#[derive(Clone, Debug)]
pub struct EngineSpec {
    /// For logs and for the vendor's safety identifier.
    pub call: CallId,
    /// Instructions, voice, turn detection.
    pub agent: Arc<Agent>,
    /// What the engine may call.
    pub tools: Arc<[ToolSpec]>,
    /// What happened so far; empty for a first session.
    pub context: Vec<ContextItem>,
    /// Format of both lanes.
    pub audio: EngineAudio,
}

/// The audio lanes of a call; they outlive any one session.
#[derive(Clone)]
pub struct EngineLanes {
    /// Caller audio for the engine, in the spec's format.
    pub caller: LaneReceiver<Bytes>,
    /// Agent audio from the engine.
    pub agent: LaneSender<AgentAudio>,
}

impl std::fmt::Debug for EngineLanes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EngineLanes")
    }
}

/// A piece of the agent's speech.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AgentAudio {
    /// The response it belongs to.
    pub response: Arc<str>,
    /// The item it belongs to, for truncation.
    pub item: Arc<str>,
    /// Encoded as the spec says.
    pub bytes: Bytes,
}

/// What the inside asks of a session.
#[derive(Clone, PartialEq, Debug)]
pub enum EngineCommand {
    /// Speak. `instructions` holds for this one answer.
    CreateResponse {
        /// Sent as metadata and echoed, so that the answer can be told from others.
        wish: u64,
        /// `None`: follow the session's.
        instructions: Option<Arc<str>>,
    },
    /// Stop the answer in progress.
    CancelResponse,
    /// The caller heard only this much of an item; at least 1 ms.
    Truncate {
        /// Which item.
        item: Arc<str>,
        /// Milliseconds heard, never more than were received.
        heard_ms: u64,
    },
    /// The caller heard nothing of an item.
    DeleteItem {
        /// Which item.
        item: Arc<str>,
    },
    /// The answer to a tool call.
    ToolOutput {
        /// The engine's id of the call.
        tool_call: Arc<str>,
        /// JSON text.
        output: Arc<str>,
    },
    /// A fact, as a system message.
    Note(Arc<str>),
    /// Text typed or pressed by the caller, as a user message.
    CallerText(Arc<str>),
}

/// How a response ended.
#[derive(Clone, PartialEq, Debug)]
pub enum ResponseOutcome {
    /// All of it was made.
    Completed,
    /// Cut short: by the caller or by us.
    Cancelled,
    /// Cut short by a limit of the engine.
    Incomplete,
    /// The engine failed.
    Failed(EngineError),
}

/// What a session tells the inside. Audio does not come this way.
#[derive(Clone, PartialEq, Debug)]
pub enum EngineEvent {
    /// Configured, context replayed; it listens.
    Ready,
    /// The caller began to speak; `item` will be the turn's.
    SpeechStarted {
        /// The future item.
        item: Arc<str>,
        /// Milliseconds of caller audio appended in this session.
        at_ms: u64,
    },
    /// The caller stopped.
    SpeechStopped {
        /// The turn's item.
        item: Arc<str>,
        /// As above.
        at_ms: u64,
    },
    /// The turn is part of the conversation and wants an answer.
    TurnCommitted {
        /// The turn's item.
        item: Arc<str>,
    },
    /// What the caller said, as far as the engine's recogniser understood; may come late.
    CallerTranscript {
        /// The turn's item.
        item: Arc<str>,
        /// The words.
        text: Arc<str>,
    },
    /// The recogniser failed for this turn.
    CallerTranscriptFailed {
        /// The turn's item.
        item: Arc<str>,
    },
    /// An answer is being made.
    ResponseCreated {
        /// Its id.
        response: Arc<str>,
        /// The wish it fulfils, if it is ours.
        wish: Option<u64>,
    },
    /// More words of the agent.
    AgentWords {
        /// The response.
        response: Arc<str>,
        /// The item.
        item: Arc<str>,
        /// Words to append.
        delta: Arc<str>,
    },
    /// All the words of an item.
    AgentTranscript {
        /// The item.
        item: Arc<str>,
        /// The words.
        text: Arc<str>,
    },
    /// The engine wants an action.
    ToolCalled {
        /// The response it came in.
        response: Arc<str>,
        /// The engine's id of the call.
        tool_call: Arc<str>,
        /// Catalogue name as the engine wrote it.
        name: Arc<str>,
        /// JSON text as the engine wrote it.
        arguments: Arc<str>,
    },
    /// An answer is over.
    ResponseDone {
        /// Its id.
        response: Arc<str>,
        /// How.
        outcome: ResponseOutcome,
        /// What it cost.
        usage: Usage,
    },
    /// A wish was refused because another answer is still being made.
    ResponseRefused,
    /// Something went wrong; the session goes on.
    Warned(EngineError),
    /// The session is over; nothing follows.
    Lost(EngineError),
}

/// Why the engine failed, by what can be done about it.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum EngineError {
    /// The key, the model or the account is refused: no retry can help.
    #[error("engine refused: {0}")]
    Refused(String),
    /// No credit left: no retry can help.
    #[error("engine quota exhausted: {0}")]
    Quota(String),
    /// Busy or rate-limited; may be tried after this long.
    #[error("engine busy: {reason}")]
    Busy {
        /// What it said.
        reason: String,
        /// `Retry-After`, if given.
        after: Option<Duration>,
    },
    /// Not reachable, or the socket dropped.
    #[error("engine connection lost: {0}")]
    Connection(String),
    /// Reachable, but no sign of life within a deadline.
    #[error("engine stalled: {0}")]
    Stalled(&'static str),
    /// The session reached its age limit.
    #[error("engine session expired")]
    Expired,
    /// It answered something we cannot use.
    #[error("engine protocol error: {0}")]
    Protocol(String),
}

impl EngineError {
    /// Whether another attempt can help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Quota(_) => false,
            Self::Busy { .. } | Self::Connection(_) | Self::Stalled(_) | Self::Expired | Self::Protocol(_) => true,
        }
    }

    /// A short stable word for metrics and the journal.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Quota(_) => "quota",
            Self::Busy { .. } => "busy",
            Self::Connection(_) => "connection",
            Self::Stalled(_) => "stalled",
            Self::Expired => "expired",
            Self::Protocol(_) => "protocol",
        }
    }
}

/// An open session. Dropping it closes the socket and ends every task it has.
pub struct EngineSession {
    /// Commands, sent in order.
    pub commands: LaneSender<EngineCommand>,
    /// Events, ending with [`EngineEvent::Lost`].
    pub events: LocalBoxStream<'static, EngineEvent>,
}

/// Opens engine sessions on the thread it is called on.
pub trait Engine: Send + Sync {
    /// Connects, configures and replays the context. The session says [`EngineEvent::Ready`] when it listens.
    /// The future has its own deadline.
    fn open(&self, spec: EngineSpec, lanes: EngineLanes)
    -> LocalBoxFuture<'static, Result<EngineSession, EngineError>>;
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
}

/// What an action did.
#[derive(Clone, PartialEq, Debug)]
pub struct ActionOutput {
    /// JSON told to the engine.
    pub output: Arc<str>,
    /// What it changes about the call.
    pub change: Option<CallChange>,
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
            | Self::Ended { call, .. } => *call,
        }
    }
}

/// Keeps what happened. Never waits and never fails towards the call.
pub trait Journal: Send + Sync {
    /// Queues an entry with the wall-clock time it happened.
    fn record(&self, at: SystemTime, entry: JournalEntry);
}

// ---------------------------------------------------------------- stored speech and recordings

/// Audio that needs no engine.
pub trait Phrases: Send + Sync {
    /// 8 kHz PCM of a phrase; every phrase exists in every language.
    fn audio(&self, phrase: Phrase, language: Language) -> Pcm;
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

/// Everything outside that a call needs, handed to it once.
#[derive(Clone)]
pub struct Ports {
    /// Speech.
    pub engine: Arc<dyn Engine>,
    /// Doing.
    pub actions: Arc<dyn ActionRunner>,
    /// Remembering.
    pub journal: Arc<dyn Journal>,
    /// Stored speech.
    pub phrases: Arc<dyn Phrases>,
    /// Recordings.
    pub recordings: Arc<dyn Recordings>,
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
