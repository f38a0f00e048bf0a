//! A session that hears nothing, and says nothing of it: its socket is frozen, or what the caller says is lost on the way to it. Only
//! the line tells, by what is said on it that no session notices.
//!
//! Another session is opened beside it, and hears what was said when it takes its place. A line may be wrong: what it takes for a
//! voice is a cough or a dog. So the present session serves until then, and on if no other is to be had; the caller notices nothing of
//! it until the next one has heard somebody; if it does not, the line alone is not believed for a while.

use std::sync::Arc;

use super::event::{Effect, EngineChoice};
use super::rehearing::heard_again_from;
use super::state::{CallState, EngineStage, Phase};
use super::timers::Timer;
use super::waited::Stopped;
use crate::audio::level::Sound;
use crate::domain::CallTime;

/// The tone of a key is heard so long before the carrier tells of it, at most.
const KEY_SOUNDS: CallTime = CallTime::from_secs(1);
/// … and is no longer than this.
const KEY_TONE: CallTime = CallTime::from_millis(600);
/// From the end of what was clearly said until the engine must have noticed it: no detector and no way there takes longer.
const NOTICED: CallTime = CallTime::from_secs(1);
/// So much of a voice is a session replaced for. Shorter is a cough, and a word that is repeated.
const SAID: CallTime = CallTime::from_millis(400);
/// … and so much is heard again when the session is lost anyway.
const PERHAPS_SAID: CallTime = CallTime::from_millis(250);
/// Sounds with more quiet between them are not of one utterance.
const PAUSE: CallTime = CallTime::from_secs(2);
/// A sound that lasts longer is nobody's words.
const SOUNDS_MAX: CallTime = CallTime::from_secs(10);
/// What was said longer ago is not heard again.
pub(crate) const UNHEARD_MAX: CallTime = CallTime::from_secs(10);
/// After a session that was replaced for nothing no other is for so long, and twice as long after each more.
const DISBELIEF: CallTime = CallTime::from_secs(30);
const DISBELIEF_DOUBLED_MAX: u32 = 5;

/// What was said on the line and no session has told of.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct Unheard {
    /// Somebody speaks since then, and no session has told so.
    sounding: Option<CallTime>,
    /// Somebody speaks since then, whoever has told so.
    sounds: Option<CallTime>,
    /// What they have said; several sounds are one.
    said: Option<Sound>,
    /// When the session told last that it hears the caller.
    noticed: Option<CallTime>,
    /// When a key was pressed last.
    key: Option<CallTime>,
    /// What is heard again was told by the line alone.
    on_trial: bool,
    /// … and that is all the session was replaced for.
    suspected: bool,
    /// What was heard again, and is not once more if that session does not take it for a turn either.
    reheard: Option<Arc<str>>,
    /// … and is what it has heard the end of.
    twice: bool,
    /// Sessions in a row that were replaced for nothing.
    mistaken: u32,
    believed_from: CallTime,
}

impl Unheard {
    fn disbelieve(&mut self, now: CallTime) {
        self.believed_from = now + DISBELIEF * (1 << self.mistaken.min(DISBELIEF_DOUBLED_MAX));
        self.mistaken += 1;
    }

    /// `opening`: a session is being opened to hear what was said before, so it hears this as well.
    fn add(&mut self, sound: Sound, opening: bool) {
        let recent = self.said.filter(|said| opening || sound.began <= said.ended + PAUSE);
        self.said =
            Some(recent.map_or(sound, |said| Sound { began: said.began, clear: said.clear + sound.clear, ..sound }));
    }
}

/// Begins the name of an item that no session has told of.
pub(super) const LINE: &str = "line:";

pub(super) fn line_item(began: CallTime) -> Arc<str> {
    format!("{LINE}{}", began.as_millis()).into()
}

impl CallState {
    pub(super) fn on_line_sounding(&mut self, since: CallTime, now: CallTime, out: &mut Vec<Effect>) {
        self.unheard.sounding = Some(since);
        self.unheard.sounds = Some(since);
        self.line_speaks_into_leave(now, out);
    }

    /// Only the line has told of who speaks, if anybody does, and there is no session: the next one hears it.
    pub(super) fn adopt_what_sounds(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        if let Some(began) = self.unheard.sounding.take() {
            (self.unheard.suspected, self.unheard.on_trial) = (true, true);
            self.turns.caller_began(began, &line_item(began));
        }
        self.goes_unheard(true, now);
        self.hear_again(false, now, out);
    }

    pub(super) fn on_line_sounded(&mut self, sound: Sound, now: CallTime) {
        self.unheard.sounding = None;
        self.line_says_hello(sound);
        if self.engine == EngineStage::Opening && self.phase == Phase::Live && sound.clear >= SAID {
            self.said_in_outage(sound, now);
        }
        let listening = self.phase == Phase::Live && self.engine == EngineStage::Ready;
        let noticed = self.caller_speaking || self.unheard.noticed.is_some_and(|noticed| noticed >= sound.began);
        let tone = sound.clear <= KEY_TONE && self.unheard.key.is_some_and(|key| key >= sound.began);
        if !listening || noticed || tone || self.again.is_some() {
            return;
        }
        self.unheard.add(sound, self.renewal.is_to_hear());
        let enough = self.unheard.said.is_some_and(|said| said.clear >= SAID);
        if enough && !self.timers.is_set(Timer::Deaf) && !self.renewal.is_to_hear() {
            self.timers.set(Timer::Deaf, now.max(sound.ended + NOTICED));
        }
    }

    /// Nobody speaks on the line.
    pub(super) fn on_line_silent(&mut self) {
        self.unheard.sounds = None;
    }

    /// The session tells of the caller: it is not deaf, and what was said is its business.
    pub(super) fn engine_hears(&mut self, now: CallTime) {
        (self.unheard.sounding, self.unheard.said) = (None, None);
        self.unheard.noticed = Some(now);
        self.timers.clear(Timer::Deaf);
        self.timers.clear(Timer::Taken);
        self.line_was_right(true, now);
    }

    pub(super) fn remember_heard_again(&mut self, item: &Arc<str>) {
        self.unheard.reheard = Some(Arc::clone(item));
    }

    /// The session has heard the end of what the caller said.
    pub(super) fn await_turn(&mut self, item: &Arc<str>, now: CallTime) {
        self.unheard.twice = self.unheard.reheard.as_ref() == Some(item);
        if self.phase == Phase::Live && self.engine == EngineStage::Ready {
            self.timers.set(Timer::Taken, now + self.facts.agent.limits.engine_progress);
        }
    }

    /// … and makes a turn of it.
    pub(super) fn on_turn_taken(&mut self) {
        self.unheard.said = None;
        self.timers.clear(Timer::Deaf);
        self.timers.clear(Timer::Taken);
    }

    /// … or nothing comes of it: it may have frozen just then, or it took it for a noise. Another is asked.
    pub(super) fn on_turn_not_taken(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        if self.unheard.twice {
            return self.unheard.disbelieve(now);
        }
        let believed = now >= self.unheard.believed_from;
        let listening = self.phase == Phase::Live && self.engine == EngineStage::Ready && believed;
        let recent = |began: &CallTime| listening && now < *began + UNHEARD_MAX;
        // What was written down is a turn, whether it was told so or not.
        let written = listening && self.turns.is_written_untaken();
        let unheard = self.turns.unanswered_since().filter(recent);
        if !self.is_silent() && (written || unheard.is_some()) {
            return self.timers.set(Timer::Taken, now + NOTICED);
        } else if written {
            return self.want_answer(None, now, out);
        }
        let Some(began) = unheard else { return };
        // It stands on record as a turn already.
        self.unheard.said = Some(Sound { began, ended: now, clear: CallTime::ZERO });
        self.renew_to_hear(self.engine_by, now - heard_again_from(began, now), now, out);
    }

    /// A key that is pressed sounds on some lines.
    pub(super) fn key_sounds(&mut self, now: CallTime) {
        self.unheard.key = Some(now);
        // Its tone may have been heard before the carrier told of it.
        if self.unheard.said.is_some_and(|said| said.clear <= KEY_TONE && now <= said.ended + KEY_SOUNDS) {
            self.unheard.said = None;
            self.timers.clear(Timer::Deaf);
        }
    }

    /// Something was clearly said, and the session has not noticed it.
    pub(super) fn on_perhaps_deaf(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        // What is being said is heard out. Who is making an answer, or has something done for one, is heard in a moment: then it is
        // clear what it noticed. A session that knows what nobody was told yet is not given up for a bark.
        let listening = self.phase == Phase::Live && self.engine == EngineStage::Ready;
        if !listening || self.caller_speaking {
            self.unheard.said = None;
        } else if !self.is_silent() || (self.turns.expects_words(now) && !self.hears_turn_again()) {
            self.look_again_whether_deaf(NOTICED, now);
        } else if let Some(said) = self.unheard.said.filter(|_| self.is_believed(now)) {
            let began = self.turns.unanswered_since().map_or(said.began, |turn| turn.min(said.began));
            self.renew_to_hear(self.who_may_hear(), now - heard_again_from(began, now), now, out);
        }
    }

    /// What is to be heard again is the turn whose words are missing.
    fn hears_turn_again(&self) -> bool {
        self.unheard.said.is_some_and(|said| said.clear.is_zero())
    }

    /// Whoever is asked whether they are there and says something is no dog.
    fn is_believed(&self, now: CallTime) -> bool {
        now >= self.unheard.believed_from || self.reprompts > 0
    }

    /// Another session of the same engine did not notice anybody either: it may be the engine that is deaf.
    fn who_may_hear(&self) -> EngineChoice {
        let other = self.unheard.mistaken > 0 && self.fallback_left;
        if other { EngineChoice::Fallback } else { self.engine_by }
    }

    /// It may still be: what was said is not forgotten, for a while.
    pub(super) fn look_again_whether_deaf(&mut self, after: CallTime, now: CallTime) {
        self.unheard.said = self.unheard.said.filter(|said| now < said.ended + UNHEARD_MAX);
        if self.unheard.said.is_some() {
            self.timers.set(Timer::Deaf, now + after);
        }
    }

    /// Nobody has noticed yet what another session is opened to hear.
    pub(super) fn is_unnoticed(&self) -> bool {
        self.unheard.said.is_some()
    }

    /// Another session has taken the place of the suspected one, and hears what was said to it.
    pub(super) fn hears_what_was_unheard(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        self.unheard.suspected = true;
        self.adopt_unheard(now);
        self.goes_unheard(true, now);
        self.hear_again(false, now, out);
        if self.heard_again_since().is_none() {
            // There is nothing left to hear.
            (self.unheard.suspected, self.unheard.on_trial) = (false, false);
        }
    }

    /// The session is gone, and what was said to it unnoticed: a turn of the caller like any other that nobody wrote down. Whether
    /// they are still at it.
    pub(super) fn adopt_unheard(&mut self, now: CallTime) -> bool {
        self.timers.clear(Timer::Deaf);
        let oldest = now.saturating_sub(UNHEARD_MAX);
        let said = self.unheard.said.take().filter(|said| said.clear >= PERHAPS_SAID && said.ended >= oldest);
        let sounding = self.unheard.sounding.take().filter(|since| *since >= oldest);
        let Some(began) = said.map(|said| said.began.max(oldest)).or(sounding).filter(|_| self.is_free_to_speak())
        else {
            return false;
        };
        self.unheard.on_trial = true;
        let item = line_item(began);
        self.turns.caller_began(began, &item);
        if sounding.is_none() {
            self.turns.caller_stopped(now, &item, Stopped { at: now, window: None });
            self.answer_owed |= !self.unheard.suspected && !self.awaits_hello();
        }
        sounding.is_some()
    }

    /// Another session has been asked to hear what only the line has told of, and has noticed nobody yet.
    pub(super) fn is_suspected(&self) -> bool {
        self.unheard.suspected
    }

    /// Nobody but the line tells that the caller has said anything, and nothing else is wrong.
    pub(super) fn is_only_suspected(&self) -> bool {
        self.unheard.suspected && !self.answer_owed
    }

    /// Somebody speaks on the line, as far as it tells.
    pub(super) fn is_sounding(&self) -> bool {
        self.unheard.sounding.is_some()
    }

    /// … or a session as well.
    pub(super) fn line_sounds(&self, now: CallTime) -> bool {
        self.unheard.sounds.is_some_and(|since| now < since + SOUNDS_MAX)
    }

    fn is_free_to_speak(&self) -> bool {
        self.phase == Phase::Live && self.greeted && !self.caller_speaking && !self.playing
    }

    /// Whether a session has noticed what only the line had told of.
    pub(super) fn line_was_right(&mut self, right: bool, now: CallTime) {
        self.unheard.suspected = false;
        if !std::mem::take(&mut self.unheard.on_trial) {
            return;
        }
        if right {
            (self.unheard.mistaken, self.unheard.believed_from) = (0, CallTime::ZERO);
        } else {
            self.unheard.disbelieve(now);
        }
    }
}

#[cfg(test)]
#[path = "deaf_tests.rs"]
mod tests;
