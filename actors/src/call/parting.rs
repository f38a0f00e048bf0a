//! The last words of a call: what the engine was to say is said by a stored sentence if the engine fails at it. Nobody is
//! hung up on, or handed over, without a word.

use std::time::Duration;

use super::event::{Effect, MediaWish};
use super::state::{CallState, EngineStage, phrase_item};
use super::timers::Timer;
use crate::domain::{CallLimits, CallTime, EndReason, Phrase};

/// From the wish that a stored sentence be said until it begins to be heard, and from its end until that is known: no line
/// takes longer for both.
const ON_THE_WAY: Duration = Duration::from_millis(700);
/// No stored sentence is longer; `src/phrases.rs` checks it.
const LONGEST: Duration = Duration::from_secs(5);
/// A call that may last no longer than so many times "our time is up" is not shortened by it: it is said after the end then.
const WORTH_SHORTENING: u32 = 4;

/// How the last words stand.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Parting {
    /// What is said if the engine does not say it.
    substitute: Option<Phrase>,
    /// The engine has made all of what it was to say.
    made: bool,
    /// This stored sentence is the last that is said.
    stored: Option<Phrase>,
    /// … and it is being heard.
    heard: bool,
    /// What is being said of the time that is left.
    warning: Option<Phrase>,
}

impl Parting {
    /// The engine is to say it, or has: `made`.
    pub(super) fn by_engine(phrase: Phrase, made: bool) -> Self {
        Self { substitute: Some(phrase), made, ..Self::default() }
    }

    /// A stored sentence says it.
    pub(super) fn by_phrase(phrase: Phrase) -> Self {
        Self { stored: Some(phrase), ..Self::default() }
    }

    /// The caller is being told how little time there is.
    pub(super) fn warns(&mut self, phrase: Phrase) {
        self.warning = Some(phrase);
    }

    /// How they were being told, if they were: that is over.
    pub(super) fn warned(&mut self) -> Option<Phrase> {
        self.warning.take()
    }

    /// A stored sentence begins to be heard.
    pub(super) fn phrase_begins(&mut self, item: &str) {
        self.heard |= self.stored.is_some_and(|phrase| *phrase_item(phrase) == *item);
    }

    /// The engine begins to say something.
    pub(super) fn begins(&mut self) {
        self.made = false;
    }

    /// … and has made all of it.
    pub(super) fn is_made(&mut self) {
        self.made = true;
    }

    /// The last that is said is a stored sentence, and began to be heard: nothing of the engine is waited for.
    pub(super) fn is_heard(&self) -> bool {
        self.heard
    }
}

impl CallState {
    /// Nothing more of the last words comes from where they were to come from: the call ends, once the caller was told so.
    pub(super) fn part(&mut self, reason: EndReason, now: CallTime, out: &mut Vec<Effect>) {
        self.leave.waits = self.awaits_caller(now);
        if self.leave.waits {
            return self.words_are_due(now);
        }
        let heard = self.parting.made && !self.unheard_words;
        let Some(phrase) = self.parting.substitute.filter(|_| !heard) else { return self.end(reason, now, out) };
        self.parting = Parting::by_phrase(phrase);
        self.timers.clear(Timer::EngineProgress);
        if let Some(response) = self.responses.active().cloned() {
            self.turns.silence(&response);
            out.push(Effect::Media(MediaWish::Discard { response }));
        }
        out.extend(self.responses.cancel().filter(|_| self.engine == EngineStage::Ready).map(Effect::Engine));
        self.say(phrase, out);
        self.give_no_more_time_than(phrase, now);
    }

    /// The last words have had their time. Words that are being heard are cut; if there were none, the stored ones are said.
    pub(super) fn on_last_words_due(&mut self, reason: EndReason, now: CallTime, out: &mut Vec<Effect>) {
        if self.is_heard_out(now, out) {
            return;
        }
        self.leave.since = None;
        if self.playing { self.end(reason, now, out) } else { self.part(reason, now, out) }
    }

    /// A stored sentence that is said last has the time it takes, whatever the limits say.
    pub(super) fn give_time_to(&mut self, phrase: Phrase, now: CallTime) {
        let time = self.facts.agent.limits.last_words.max(self.length(phrase) + ON_THE_WAY);
        self.timers.set(Timer::LastWords, now + time);
    }

    /// When "our time is up" begins, so that it is heard by the end of the time there is.
    pub(super) fn time_up_at(&self) -> CallTime {
        let (max, words) = (self.facts.agent.limits.max_duration, self.length(Phrase::TimeUp) + ON_THE_WAY);
        if max > words * WORTH_SHORTENING { max - words } else { max }
    }

    /// … and that is the end of it.
    pub(super) fn give_no_more_time_than(&mut self, phrase: Phrase, now: CallTime) {
        self.timers.set(Timer::LastWords, now + self.length(phrase) + ON_THE_WAY);
    }

    fn length(&self, phrase: Phrase) -> Duration {
        self.phrases.audio(&self.facts.agent.voice, phrase, self.language).duration()
    }
}

/// No sentence begins earlier than this, whatever the language.
pub(super) fn time_up_earliest(limits: &CallLimits) -> CallTime {
    limits.max_duration.saturating_sub(LONGEST + ON_THE_WAY)
}

#[cfg(test)]
#[path = "parting_tests.rs"]
mod tests;
