//! All that a call can hear ([`CallEvent`]) and all that it can want ([`Effect`]). Both are closed.

use std::sync::Arc;
use std::time::Duration;

use crate::audio::level::Sound;
use crate::audio::playout::{Cut, FirstSound};
use crate::domain::{
    ActionId, AfterStream, CallTime, EndReason, KnownCaller, Language, Pcm, Phrase, TurnId, Understanding,
};
use crate::ports::{
    ActionError, ActionOutput, ActionSpec, ContextItem, EngineCommand, EngineError, EngineEvent, JournalEntry,
};
use crate::supervise::Child;

/// Something happened.
#[derive(Clone, PartialEq, Debug)]
pub enum CallEvent {
    /// The media stream began.
    StreamStarted {
        /// Samples a second.
        rate: u32,
    },
    /// A key was pressed.
    DtmfPressed(char),
    /// The carrier said that the stream is over.
    StreamStopped {
        /// The caller hung up, as against: only the stream ended.
        call_ended: bool,
    },
    /// The socket is gone.
    SocketClosed {
        /// Which one; an old one's end means nothing.
        socket: u64,
        /// The peer broke the protocol.
        protocol_error: bool,
    },
    /// No media frame for this long.
    MediaSilent(Duration),
    /// Media frames came again after a silence.
    MediaResumed,
    /// Somebody seems to speak on the line while the agent is heard, or is held because of them; told once for each sound.
    CallerHeard {
        /// The beginning.
        since: CallTime,
    },
    /// Nothing more is heard of the caller: the end of their sound. Told again after more sound.
    LineQuiet {
        /// The end.
        since: CallTime,
    },
    /// Somebody clearly speaks on the line while the agent is not heard; told once for each sound.
    LineSounding {
        /// The beginning.
        since: CallTime,
    },
    /// … and what it was, once it is over.
    LineSounded(Sound),
    /// The first audio of an item went to the carrier, or the first after a silence.
    SpeechBegan {
        /// Engine item or phrase name.
        item: Arc<str>,
        /// When, if it is the item's first.
        first: Option<FirstSound>,
    },
    /// The carrier's mark tells when an item began to be heard.
    SpeechHeard {
        /// As above.
        item: Arc<str>,
        /// When.
        at: CallTime,
    },
    /// So much sound of an item was made in all: another has begun, everything was heard, or all is cut just now.
    SpeechSounded {
        /// As above.
        item: Arc<str>,
        /// Its length.
        sound: Duration,
    },
    /// Everything sent was heard.
    PlayoutDrained,
    /// Playout is held as asked; this much is left to hear of what has been made so far.
    PlayoutHeld(Duration),
    /// What comes from the caller's side is only the agent's own voice, and it was not stopped for it; or it turned out to
    /// be more than that.
    EchoHeard {
        /// Nothing but echo.
        only: bool,
    },
    /// Playout was cut as asked; what had not been heard.
    PlayoutCut(Vec<Cut>),
    /// The engine session said something.
    Engine(EngineEvent),
    /// No session could be opened.
    EngineOpenFailed(EngineError),
    /// … of either engine, each asked for it.
    NeitherEngineOpened(EngineError),
    /// The first engine hangs: the session asked of it is being had of the other, and so are all that follow.
    EngineFellBack,
    /// The session opened beside the former one listens, and has taken its place.
    EngineRenewed,
    /// A caller turn was understood.
    TurnUnderstood {
        /// Which turn.
        turn: TurnId,
        /// What it wants.
        understanding: Understanding,
    },
    /// An action came to an end.
    ActionFinished {
        /// Which.
        action: ActionId,
        /// Attempts made.
        attempts: u32,
        /// How.
        result: Result<ActionOutput, ActionError>,
    },
    /// What became of an action whose outcome was unknown: it was asked about outside the call, and is on record.
    ActionResolved {
        /// Which.
        action: ActionId,
        /// How.
        result: Result<ActionOutput, ActionError>,
    },
    /// The caller is known from earlier calls.
    CallerRecognised(Arc<KnownCaller>),
    /// A child panicked and is starting again.
    ChildCrashed(Child),
    /// A child will not come back.
    ChildGaveUp(Child),
    /// The carrier's webhook says the call is over.
    CarrierEnded,
    /// An operator wants the call to end now.
    HangUpOrdered,
    /// The process is shutting down and the grace period is over.
    DrainExpired,
    /// Time has passed; timers may be due.
    TimePassed,
}

/// Which of a call's two engines.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum EngineChoice {
    /// The one every call begins with.
    #[default]
    First,
    /// The one for calls that the first has failed.
    Fallback,
}

/// Something is to be done. Carried out in order.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Open an engine session after a wait.
    OpenEngine {
        /// By which engine.
        by: EngineChoice,
        /// What happened so far.
        context: Vec<ContextItem>,
        /// What the recogniser is told the caller speaks.
        language: Option<Language>,
        /// How long to wait first.
        wait: Duration,
        /// How long to wait for it then: there is no patience for more.
        within: Duration,
        /// How much of the caller's last sound it hears again.
        again: Duration,
    },
    /// Open an engine session beside the present one, which goes on until it listens.
    RenewEngine {
        /// By which engine.
        by: EngineChoice,
        /// What happened so far.
        context: Vec<ContextItem>,
        /// What the recogniser is told the caller speaks.
        language: Option<Language>,
        /// How much of the caller's last sound it hears again, if the present one has not noticed it; then it may be of the other
        /// engine.
        again: Option<Duration>,
    },
    /// The present session goes on: none is to take its place.
    KeepEngine,
    /// Close the engine session.
    CloseEngine,
    /// Tell the engine session.
    Engine(EngineCommand),
    /// Ask something of the media child.
    Media(MediaWish),
    /// Understand a caller turn.
    Understand {
        /// Which.
        turn: TurnId,
        /// Its words.
        text: Arc<str>,
        /// What the agent said before.
        asked: Arc<str>,
        /// Names of what waits for a yes, with blanks between.
        waiting: Arc<str>,
    },
    /// Find out what an action would do.
    PlanAction {
        /// Identity.
        action: ActionId,
        /// Its entry in the catalogue.
        spec: Arc<ActionSpec>,
        /// JSON object, checked.
        arguments: Arc<serde_json::Value>,
        /// Same key, same action.
        idempotency_key: Arc<str>,
    },
    /// Carry out an action.
    RunAction {
        /// Identity.
        action: ActionId,
        /// Its entry in the catalogue.
        spec: Arc<ActionSpec>,
        /// JSON object, checked.
        arguments: Arc<serde_json::Value>,
        /// Same key, same action.
        idempotency_key: Arc<str>,
        /// Kept before anything that writes is begun, so that a crash in between leaves a trace to ask about.
        entry: JournalEntry,
    },
    /// Keep this.
    Record(JournalEntry),
    /// Tell the webhooks what the carrier should do once the stream is closed.
    Decide {
        /// Hang up or transfer.
        after: AfterStream,
        /// For the person who takes over.
        summary: Arc<str>,
    },
    /// The call is over: stop the children, give everything back.
    Finish(EndReason),
}

/// What the call asks of the media child.
#[derive(Clone, PartialEq, Debug)]
pub enum MediaWish {
    /// Say a stored phrase after what is being said.
    Say(Phrase, Language),
    /// Play this after what is being said.
    Play {
        /// What it is called in playout.
        item: Arc<str>,
        /// The sound.
        pcm: Pcm,
    },
    /// Stop playing for now and report how much is left.
    Hold,
    /// Go on where it was held.
    Resume,
    /// Stop playing and report what was not heard. Audio of this response that still comes is dropped.
    Interrupt {
        /// It is wished once, whoever asks for it again.
        number: u64,
        /// The answer being made, if one is.
        response: Option<Arc<str>>,
    },
    /// Drop audio of this response.
    Discard {
        /// An answer nobody wants any more.
        response: Arc<str>,
    },
    /// Close the socket with this code.
    Close(u16),
}
