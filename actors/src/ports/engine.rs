//! The engine as a call wants it: sessions that hear, speak and call tools.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::LocalBoxStream;

use crate::audio::caller::CallerSound;
use crate::audio::lane::LaneSender;
use crate::domain::{Agent, CallId, Language, Usage};

/// Tokens that a session of any of today's engines can hold.
pub const WINDOW_LEAST: u64 = 28_672;

/// A session that does not listen after so long hangs, as far as another engine could serve.
pub const ENGINE_HANGS: Duration = Duration::from_millis(1500);

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

impl ContextItem {
    /// Length of all its text.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Caller(text) | Self::Agent(text) | Self::Note(text) => text.len(),
            Self::Tool { name, arguments, output } => name.len() + arguments.len() + output.len(),
        }
    }
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
    /// What the caller speaks, once they were heard.
    pub language: Option<Language>,
}

/// The audio lanes of a call; they outlive any one session.
#[derive(Clone)]
pub struct EngineLanes {
    /// Caller audio for the engine, in the spec's format.
    pub caller: CallerSound,
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
        /// No tool may be called in it.
        words_only: bool,
    },
    /// The caller has said all they will: what was heard since the last turn is one, whether they seem to speak or not.
    CommitTurn,
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
    /// What the caller speaks, for whatever writes their words down; `None`: no longer sure.
    CallerSpeaks(Option<Language>),
    /// Write beside the conversation what this text comes to: nothing of it is heard or becomes part of the conversation.
    /// Answered by [`EngineEvent::Summarised`].
    Summarise {
        /// Repeated in the answer.
        request: u64,
        /// What is to be made of the text.
        instructions: Arc<str>,
        /// What was said, as data.
        text: Arc<str>,
        /// Longest answer.
        tokens_max: u32,
    },
    /// The agent's words as the caller heard them, in the place of an item that was deleted.
    AgentSaid {
        /// The id it gets; unlike any other of the session, at most 32 characters.
        item: Arc<str>,
        /// The item before it; `None`: there is none.
        after: Option<Arc<str>>,
        /// What was heard.
        words: Arc<str>,
    },
    /// A fact, as a system message before everything else in the conversation.
    Recollect {
        /// The id it gets; unlike any other of the session, at most 32 characters.
        item: Arc<str>,
        /// The fact.
        text: Arc<str>,
    },
}

/// What an item of the conversation is.
#[derive(Clone, PartialEq, Debug)]
pub enum ItemKind {
    /// The caller's words.
    Caller,
    /// The agent's words.
    Agent,
    /// A tool call, by its id.
    ToolCall(Arc<str>),
    /// What a tool call was answered.
    ToolOutput(Arc<str>),
    /// A fact, or something unheard of.
    Other,
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
        /// As above; what the engine waited for in silence is part of it.
        at_ms: u64,
        /// How much caller audio the session had been given after that point.
        behind: Duration,
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
    /// The conversation has one more item.
    ItemAdded {
        /// Its id.
        item: Arc<str>,
        /// What it is.
        kind: ItemKind,
        /// It is of the context the session was opened with: which of it.
        replayed: Option<usize>,
    },
    /// The answer to [`EngineCommand::Summarise`].
    Summarised {
        /// Which request.
        request: u64,
        /// The text, or why there is none.
        result: Result<Arc<str>, EngineError>,
        /// What it cost.
        usage: Usage,
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
    /// All the sound of an item; it may be on its way to the caller still.
    AgentSoundMade {
        /// The item.
        item: Arc<str>,
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
    /// The answer that is over now has words, and none of them was spoken: its items.
    AnswerSilent(Vec<Arc<str>>),
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
    /// What this agent wants of a session is refused, a voice say: no retry can help, but another agent's may do.
    #[error("engine refused the settings: {0}")]
    Settings(String),
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
            Self::Refused(_) | Self::Settings(_) | Self::Quota(_) => false,
            Self::Busy { .. } | Self::Connection(_) | Self::Stalled(_) | Self::Expired | Self::Protocol(_) => true,
        }
    }

    /// A short stable word for metrics and the journal.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Settings(_) => "settings",
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
    /// Tokens that a session can hold: instructions, tools and all that is said.
    fn window(&self) -> u64 {
        WINDOW_LEAST
    }

    /// Whether it is worth asking where another engine could serve: not while it is known to hang, save for one call at a time
    /// that tries. Who is told so asks it.
    fn is_worth_asking(&self) -> bool {
        true
    }

    /// Connects, configures and replays the context. The session says [`EngineEvent::Ready`] when it listens.
    /// The future has its own deadline.
    fn open(&self, spec: EngineSpec, lanes: EngineLanes)
    -> LocalBoxFuture<'static, Result<EngineSession, EngineError>>;
}
