//! What the caller said to a session that is gone, and nobody wrote down, is heard again by the next one: a question is not
//! asked twice because a socket broke in it.
//!
//! The next session gets the sound of it at once, in less time than it took. So it tells of speech that began before: that
//! speech interrupts nobody, and keeps the time at which it was said. What is said while there is no session is treated alike.

use std::sync::Arc;

use serde_json::json;

use super::deaf::line_item;
use super::event::Effect;
use super::floor::SPOKEN_OVER_MAX;
use super::state::{CallState, EngineStage, Phase};
use super::timers::Timer;
use super::waited::Stopped;
use super::waiting::NEVER_STOPPED;
use crate::audio::level::Sound;
use crate::domain::{CallTime, Phrase};
use crate::ports::EngineCommand;

/// No more than this is heard again.
pub(crate) const AGAIN_MAX: CallTime = CallTime::from_secs(20);
/// A session that is lost has taken so much with it, if nothing else is heard again: less than the silence after a turn that is done.
pub(crate) const CAUGHT: CallTime = CallTime::from_millis(300);
/// Sound before the engine's word that speech had begun: it comes late, and a detector wants to hear the quiet before.
const BEFORE: CallTime = CallTime::from_millis(700);
/// So much sound over the agent's words is more than a listener's.
const OVER_AGENT: CallTime = CallTime::from_millis(900);
/// Quiet that an engine counts to the speech after it, at most.
const QUIET_BEFORE: CallTime = CallTime::from_millis(500);
/// A session that has just begun to listen, and tells of speech from its very beginning, tells of what was said before.
const FROM_THE_FIRST: CallTime = CallTime::from_secs(1);
/// From the next session's word that it listens until it has noticed speech in what it was given.
const NOTICED: CallTime = CallTime::from_secs(2);
/// … and until it has caught up with the line, whatever it calls the places it tells of.
const CAUGHT_UP: CallTime = CallTime::from_secs(3);
/// A caller who was speaking when the session went, and is quiet for this long, has finished.
pub(super) const FINISHED: CallTime = CallTime::from_millis(450);
/// … and one on a line that is never quiet is told so late.
const NEVER_QUIET: CallTime = CallTime::from_secs(4);

/// Sound that the session heard, or will hear, for the second time.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Again {
    /// When its first sound was made: where the session's own count of sound begins.
    from: CallTime,
    /// When the session before was lost: what was said later is new.
    until: CallTime,
}

/// The time in which nobody heard the caller, and the next session hears late what they said.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Outage {
    /// Where the next session's count of sound begins, if nothing is heard again.
    from: CallTime,
    /// When the session before was lost, …
    lost: CallTime,
    /// … and when the next one listened.
    until: Option<CallTime>,
    /// What was said meanwhile, as the line tells; several sounds are one.
    said: Option<Sound>,
    /// … and is more than a listener says.
    spoken: bool,
}

impl Outage {
    fn new(from: CallTime, lost: CallTime) -> Self {
        Self { from, lost, until: None, said: None, spoken: false }
    }

    /// When speech began of which the next session tells now, so many milliseconds after its first sound; if it was in the outage.
    fn began(&self, at_ms: u64, now: CallTime) -> Option<CallTime> {
        let until = self.until?;
        let sounded = self.said.map(|said| said.began);
        let began = if at_ms == 0 {
            // So tells an engine that does not know where speech began, and one that heard the very beginning of it.
            sounded.filter(|_| now < until + FROM_THE_FIRST)?
        } else {
            // It counts a little of the quiet before, which the line does not.
            let told = self.from + CallTime::from_millis(at_ms);
            sounded.filter(|sounded| (told..told + QUIET_BEFORE).contains(sounded)).unwrap_or(told)
        };
        (began < until && now < until + CAUGHT_UP).then_some(began)
    }
}

/// Where what began then is heard again from.
pub(super) fn heard_again_from(began: CallTime, now: CallTime) -> CallTime {
    began.saturating_sub(BEFORE).max(now.saturating_sub(AGAIN_MAX))
}

impl CallState {
    /// No session hears the caller from now on.
    pub(super) fn goes_unheard(&mut self, was_ready: bool, now: CallTime) {
        let before = self.outage.filter(|outage| !was_ready && outage.until.is_none());
        self.outage = Some(before.unwrap_or(Outage::new(now.saturating_sub(CAUGHT), now)));
    }

    /// The call is up before its first session is, which hears it from here on.
    pub(super) fn begins_unheard(&mut self, now: CallTime) {
        if self.engine == EngineStage::Opening {
            self.outage = Some(Outage::new(now, now));
        }
    }

    /// Something was said on the line that no session hears as yet: whoever said it is to be told to wait.
    pub(super) fn said_in_outage(&mut self, sound: Sound, now: CallTime) {
        let over_agent = self.playing && !self.playing_phrase;
        let Some(outage) = self.outage.as_mut().filter(|outage| sound.began >= outage.lost) else { return };
        let said =
            outage.said.map_or(sound, |said| Sound { began: said.began, clear: said.clear + sound.clear, ..sound });
        outage.said = Some(said);
        outage.spoken |= !over_agent || said.clear >= OVER_AGENT;
        self.bridge_who_spoke(now.max(sound.ended + FINISHED));
    }

    /// Whoever spoke while there is no session is told to wait then, once the agent has said what it had to.
    pub(super) fn bridge_who_spoke(&mut self, at: CallTime) {
        let spoken = self.engine == EngineStage::Opening && self.outage.is_some_and(|outage| outage.spoken);
        if spoken && self.greeted && !self.awaits_hello() && self.fillers == 0 && !self.playing {
            self.bridge_when_quiet = true;
            self.timers.set(Timer::Filler, at);
        }
    }

    /// When whoever spoke while there is no session had said what they are to be answered.
    pub(super) fn asked_in_outage(&self) -> Option<CallTime> {
        let outage = self.outage.filter(|outage| outage.spoken && outage.until.is_none())?;
        outage.said.map(|said| said.ended)
    }

    /// No session will tell any more what was said while there was none.
    pub(super) fn record_what_nobody_heard(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        let missed = self.outage.take().filter(|outage| outage.until.is_none());
        if let Some(said) = missed.and_then(|outage| outage.said) {
            let item = line_item(said.began);
            self.turns.caller_began(said.began, &item);
            self.turns.caller_stopped(said.ended, &item, Stopped { at: said.ended, window: None });
            let turn = self.turns.caller_said(now, &item, "");
            self.record_turn(turn, out);
        }
    }

    /// Whoever spoke while there is no session has been told to wait: so they are answered, whatever the next one notices.
    pub(super) fn on_told_to_wait(&mut self) {
        self.answer_owed |= self.outage.is_some_and(|outage| outage.spoken && outage.until.is_none());
    }

    /// The session is gone: what it heard and did not have written down is set aside, to be heard again.
    /// `owed`: an answer was asked for or being made, so what it answers is heard again as well.
    pub(super) fn hear_again(&mut self, owed: bool, now: CallTime, out: &mut Vec<Effect>) {
        self.timers.clear(Timer::Reheard);
        self.again = self.turns.set_aside(owed).map(|began| {
            self.ledger.doubt_yes(began);
            let from = heard_again_from(began, now);
            self.note("caller_heard_again", &json!({ "ms": (now - from).as_millis() as u64 }), now, out);
            Again { from, until: now }
        });
        if let (Some(again), Some(outage)) = (self.again, self.outage.as_mut()) {
            outage.from = again.from;
        }
        // The next session calls what it hears again by other names.
        self.spoken_over.clear();
        if let Some(passed) = &mut self.near.passed_over {
            (passed.items, passed.committed) = (vec![], false);
        }
    }

    /// The caller spoke into the agent's words when the session went: the agent stays silent, for what they said will show.
    pub(super) fn is_decided_by_what_is_heard_again(&self) -> bool {
        self.again.is_some() && self.contested.as_ref().is_some_and(|contested| !contested.echo)
    }

    /// Since when what was said is to be heard again, if any of it is.
    pub(super) fn heard_again_since(&self) -> Option<CallTime> {
        self.again.map(|again| again.from)
    }

    /// … and is all before the agent greeted whoever it had rung up, so that the greeting answers it.
    pub(super) fn is_hello_again(&self) -> bool {
        self.awaits_hello() || self.again.is_some_and(|again| self.is_until_greeting(again.until))
    }

    /// How much of the caller's last sound the next session is to hear again.
    pub(super) fn again_for(&self, now: CallTime) -> CallTime {
        self.again.map_or(CallTime::ZERO, |again| now.saturating_sub(again.from))
    }

    /// The next session listens; whether it asks for its answer once it has heard what the one before did.
    pub(super) fn answers_what_is_heard_again(&mut self, now: CallTime) -> bool {
        let spoken = self.outage.as_mut().is_some_and(|outage| {
            outage.until.get_or_insert(now);
            outage.spoken
        });
        let waits = self.again.is_some() || spoken;
        if waits {
            self.timers.set(Timer::Reheard, now + NOTICED);
            self.timers.clear(Timer::Filler);
        }
        waits
    }

    /// The caller's speech began; whether it is what was heard before, and dealt with here.
    pub(super) fn began_before(&mut self, item: &Arc<str>, at_ms: u64, now: CallTime, out: &mut Vec<Effect>) -> bool {
        let began = |from: CallTime| from + CallTime::from_millis(at_ms);
        let Some(again) = self.again.filter(|again| began(again.from) < again.until) else {
            if self.again.take().is_some() && self.is_suspected() {
                // It has passed over what it was opened to hear: that was nobody.
                self.timers.clear(Timer::Reheard);
                self.on_heard_again(now, out);
            }
            return self.began_in_outage(item, at_ms, now);
        };
        let began = began(again.from);
        self.caller_speaking = true;
        if self.contested.is_some() {
            self.begins_over_agent(item);
        } else if let Some(passed) =
            self.near.passed_over.as_mut().filter(|passed| passed.items.len() < SPOKEN_OVER_MAX)
        {
            passed.items.push(Arc::clone(item));
        }
        self.turns.heard_again();
        // As the session before had told it.
        let began = began.max(again.from + BEFORE);
        self.window.caller_began(item, at_ms, began);
        self.turns.caller_began(began, item);
        self.answering.hears_again(item);
        self.remember_heard_again(item);
        self.restart_speech_timer(now);
        if self.is_only_suspected() && !self.is_hello_again() {
            // It is true, so they wait.
            self.answer_owed = true;
            self.bridge(false, now, out);
        }
        true
    }

    /// The same of what was said while there was no session: it interrupts nobody now, and wants an answer.
    fn began_in_outage(&mut self, item: &Arc<str>, at_ms: u64, now: CallTime) -> bool {
        let outage = self.outage.filter(|_| self.phase == Phase::Live);
        let Some(began) = outage.and_then(|outage| outage.began(at_ms, now)) else {
            self.outage = None;
            return false;
        };
        self.caller_speaking = true;
        if self.contested.is_some() {
            self.begins_over_agent(item);
        }
        self.reprompts = 0;
        self.window.caller_began(item, at_ms, began);
        self.turns.caller_began(began, item);
        self.restart_speech_timer(now);
        true
    }

    /// What the session hears from now on is new. If it noticed nothing before, an answer is asked for all the same.
    pub(super) fn on_heard_again(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        self.again = None;
        let suspected = self.is_suspected();
        let (by_line, unnoticed) = self.turns.never_heard(now);
        self.line_was_right(unnoticed.is_empty() && by_line.is_empty(), now);
        let unnoticed = if suspected {
            // What only the line has told of was nobody; what a session had heard was somebody.
            unnoticed.into_iter().for_each(|turn| self.record_turn(turn, out));
            by_line
        } else {
            [by_line, unnoticed].concat()
        };
        let greeted = unnoticed.iter().all(|turn| self.is_until_greeting(turn.started));
        if greeted || suspected {
            let _ = self.answer_what_is_owed(now, out);
            return;
        }
        unnoticed.into_iter().for_each(|turn| self.record_turn(turn, out));
        let rest = self.answering.rest();
        if rest.is_none() {
            out.push(Effect::Engine(EngineCommand::Note("The caller said something that was not understood.".into())));
        }
        if std::mem::take(&mut self.answer_owed) {
            self.want_answer(rest, now, out);
        }
    }

    // ------------------------------------------------------------ what is heard meanwhile

    /// The session is lost. Who waits for something is told to wait a moment; not who speaks, or is silent and notices nothing.
    pub(super) fn bridge(&mut self, speaking: bool, now: CallTime, out: &mut Vec<Effect>) {
        if self.phase != Phase::Live || self.playing || self.awaits_hello() {
            return;
        }
        let finished = self.turns.quiet_since().is_some_and(|quiet| now >= quiet + FINISHED);
        if (self.answer_owed || self.is_to_greet()) && (!speaking || finished) {
            self.say(Phrase::Bridge, out);
            self.fillers += 1;
            // The next sentence is due so long after this one.
            self.timers.clear(Timer::Filler);
            return;
        }
        self.bridge_when_quiet = true;
        if speaking {
            self.timers.set(Timer::Filler, now + NEVER_QUIET);
        }
    }

    /// The line fell quiet: somebody said something, and perhaps there is no session that could tell so.
    pub(super) fn on_line_quiet(&mut self, since: CallTime, now: CallTime) {
        self.on_line_silent();
        self.turns.line_quiet(since);
        self.line_fell_quiet(since);
        if self.engine == EngineStage::Opening {
            self.fell_silent_unheard(since, now);
        }
        if self.is_to_be_bridged() {
            self.timers.set(Timer::Filler, since + FINISHED);
        }
        if self.caller_speaking && self.phase == Phase::Live {
            // No engine waits so long to say so: see `on_idle_speech`.
            self.timers.set(Timer::IdleSpeech, since + NEVER_STOPPED);
        }
    }

    /// Somebody spoke into a session that is gone, and there is none yet.
    pub(super) fn is_to_be_bridged(&self) -> bool {
        self.bridge_when_quiet && self.engine == EngineStage::Opening
    }
}

#[cfg(test)]
#[path = "rehearing_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "outage_tests.rs"]
mod outage_tests;
