//! An utterance under way.

use std::sync::Arc;

use super::waited::Stopped;
use crate::audio::playout::Cut;
use crate::domain::{CallTime, Latency, Speaker, TurnId};

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Draft {
    pub(super) id: TurnId,
    pub(super) speaker: Speaker,
    pub(super) item: Arc<str>,
    pub(super) text: String,
    pub(super) started: Option<CallTime>,
    pub(super) ended: Option<CallTime>,
    /// When the next agent item began: this one had ended by then.
    pub(super) followed: Option<CallTime>,
    /// All that there was of its sound has been heard.
    pub(super) drained: bool,
    /// All of its words are there, and all of its sound.
    pub(super) words_made: bool,
    pub(super) sound_made: bool,
    /// Neither words nor sound will come any more.
    pub(super) complete: bool,
    pub(super) cut: Option<Cut>,
    /// It was cut while it was being made, or after it broke off: words run ahead of their sound, so the sound there was is not that of all words.
    pub(super) cut_short: bool,
    /// What the engine told of the end of the caller's speech.
    pub(super) stopped: Option<Stopped>,
    /// The call ended while the caller was saying it.
    pub(super) cut_off: bool,
    pub(super) latency: Option<Latency>,
    /// How much sound of it there was, once that is known.
    pub(super) sound: Option<CallTime>,
    /// How long the agent fell silent in it, up to where it last went on.
    pub(super) held: CallTime,
    /// The session was lost, or the answer broke off, while it was being made: words run ahead of their sound, so there may be some without.
    pub(super) lost: bool,
    /// The session that heard it is gone: see `rehearing.rs`.
    pub(super) aside: bool,
    /// A stored sentence, which the engine did not make; …
    pub(super) phrase: bool,
    /// … and which no session is told of: "one moment" means nothing to it.
    pub(super) untold: bool,
    /// The agent has answered it, or it wants no answer.
    pub(super) answered: bool,
}

impl Draft {
    pub(super) fn new(speaker: Speaker, item: Arc<str>) -> Self {
        Self {
            id: TurnId::new(),
            speaker,
            item,
            text: String::new(),
            started: None,
            ended: None,
            followed: None,
            drained: false,
            words_made: false,
            sound_made: false,
            complete: false,
            cut: None,
            cut_short: false,
            stopped: None,
            cut_off: false,
            latency: None,
            sound: None,
            held: CallTime::ZERO,
            lost: false,
            aside: false,
            phrase: false,
            untold: false,
            answered: false,
        }
    }

    /// Words that are being heard, or may yet be: what was made for a session that is gone and has not begun is no more.
    pub(super) fn is_said(&self) -> bool {
        self.speaker == Speaker::Agent
            && !self.untold
            && !self.text.is_empty()
            && (self.started.is_some() || !self.lost)
    }
}
