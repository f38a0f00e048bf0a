//! Who is rung up speaks first: the agent may wait for their hello before it greets, so that it does not speak to a phone that is
//! on its way to an ear, nor over them.
//!
//! A hello is what every call begins with, and wants no answer but the greeting.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::event::Effect;
use super::floor::SPOKEN_OVER_MAX;
use super::state::{CallState, EngineStage, Phase};
use super::timers::Timer;
use crate::audio::level::Sound;
use crate::domain::{CallFacts, CallTime, Direction};

/// So much of a voice on the line is a hello, should the engine not tell of it.
const SAID: Duration = Duration::from_millis(200);
/// From the end of it until the agent greets: an engine has told of an end by then, and nobody makes a longer pause in it.
const UNTOLD: Duration = Duration::from_secs(1);
/// From one look whether they still speak to the next.
const STILL_SPEAKING: Duration = Duration::from_millis(250);
/// Who speaks on and on is a machine, or a radio: the agent waits so much longer for the end of that.
const SPEAKS_ON_MAX: Duration = Duration::from_secs(10);

/// Whether a hello is waited for.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct Hello {
    waits: bool,
    /// Since when there is somebody.
    since: CallTime,
    /// Turns of the caller that began meanwhile, oldest first.
    items: Vec<Arc<str>>,
}

impl Hello {
    pub(super) fn of(facts: &CallFacts) -> Self {
        let waits = facts.direction == Direction::Outbound && !facts.agent.limits.hello.is_zero();
        Self { waits, ..Self::default() }
    }
}

impl CallState {
    /// The agent is not to speak before the other has.
    pub(super) fn awaits_hello(&self) -> bool {
        self.hello.waits && matches!(self.phase, Phase::Waiting | Phase::Live)
    }

    /// Nobody has greeted yet, and it is the agent's turn.
    pub(super) fn is_to_greet(&self) -> bool {
        !self.greeted && !self.hello.waits
    }

    /// The stream is up: the agent greets, or waits.
    pub(super) fn greet_in_time(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        if self.hello.waits {
            self.hello.since = now;
            self.timers.set(Timer::Hello, now + self.facts.agent.limits.hello);
        } else {
            self.greet(out);
            self.await_in_silence(now);
        }
    }

    /// A process before this one has greeted.
    pub(super) fn hello_is_past(&mut self) {
        self.hello = Hello::default();
    }

    pub(super) fn hears_hello(&mut self, item: &Arc<str>) {
        if self.hello.waits && self.hello.items.len() < SPOKEN_OVER_MAX {
            self.hello.items.push(Arc::clone(item));
        }
    }

    /// What was said on the line while nobody but the line had told of it.
    pub(super) fn line_says_hello(&mut self, sound: Sound) {
        if self.hello.waits && sound.clear >= SAID {
            self.timers.set_sooner(Timer::Hello, sound.ended + UNTOLD);
        }
    }

    /// The engine takes it for a turn. Whether that was the hello, which is answered by the greeting.
    pub(super) fn is_hello(&mut self, item: &Arc<str>, now: CallTime, out: &mut Vec<Effect>) -> bool {
        let began = self.hello.items.iter().position(|hello| hello == item);
        if began.is_none() && !self.hello.waits {
            return false;
        }
        began.map(|at| self.hello.items.remove(at));
        self.turns.no_answer_owed();
        self.hello_is_over("said", now, out);
        true
    }

    /// Nobody has told of a hello in time.
    pub(super) fn on_no_hello(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        let longest = self.hello.since + self.facts.agent.limits.hello + SPEAKS_ON_MAX;
        if (self.caller_speaking || self.is_sounding()) && now < longest {
            self.timers.set(Timer::Hello, now + STILL_SPEAKING);
            return;
        }
        if self.caller_speaking {
            // That is more than a hello.
            self.hello.items.clear();
        }
        self.hello_is_over("waited", now, out);
    }

    /// The agent greets now.
    pub(super) fn hello_is_over(&mut self, why: &str, now: CallTime, out: &mut Vec<Effect>) {
        self.timers.clear(Timer::Hello);
        if self.phase != Phase::Live || !std::mem::take(&mut self.hello.waits) {
            return;
        }
        let waited = now.saturating_sub(self.hello.since).as_millis() as u64;
        self.note("hello", &json!({ "why": why, "waited_ms": waited }), now, out);
        self.restart_speech_timer(now);
        self.greet(out);
        if self.engine == EngineStage::Ready {
            // What the engine did meanwhile, or keys, may want an answer as well.
            let owed = std::mem::take(&mut self.answer_owed);
            if !std::mem::replace(&mut self.greeted, true) {
                self.ask_for_greeting(owed, now, out);
            } else if owed {
                self.want_answer(None, now, out);
            }
        }
        self.await_in_silence(now);
    }
}

#[cfg(test)]
#[path = "hello_tests.rs"]
mod tests;
