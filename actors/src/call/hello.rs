//! Who is rung up speaks first: the agent may wait for their hello before it greets, so that it does not speak to a phone that is
//! on its way to an ear, nor over them.
//!
//! A hello is what every call begins with, and wants no answer but the greeting.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::event::Effect;
use super::reply::Reply;
use super::responses::Wanted;
use super::state::{CallState, EngineStage, Phase};
use super::timers::Timer;
use crate::audio::level::Sound;
use crate::domain::{CallFacts, CallTime, Direction, IntentKind};
use crate::understand::is_hello;

/// So much of a voice on the line is a hello, should the engine not tell of it.
const SAID: Duration = Duration::from_millis(200);
/// From the end of it until the agent greets: an engine has told of an end by then, and nobody makes a longer pause in it.
const UNTOLD: Duration = Duration::from_secs(1);
/// A line that sounds on and on, while the engine hears nobody, is waited for so much longer.
const SOUNDS_ON_MAX: Duration = Duration::from_secs(2);
/// "Hello, who is this, where do you ring from?" has no more words.
const WHO_WORDS_MAX: usize = 8;
/// Who says hello as the agent does begins so soon after it.
const AT_ONCE: Duration = Duration::from_millis(1_200);
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
    /// When the agent greeted after all: what began before is the hello.
    until: Option<CallTime>,
    /// A greeting that was being made was cut before anybody heard it.
    cut: bool,
}

impl Hello {
    /// A greeting is still to be said.
    pub(super) fn is_cut(&self) -> bool {
        self.cut
    }

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

    /// What was said on the line while nobody but the line had told of it.
    pub(super) fn line_says_hello(&mut self, sound: Sound) {
        if self.hello.waits && sound.clear >= SAID {
            self.timers.set_sooner(Timer::Hello, sound.ended + UNTOLD);
        }
    }

    /// The engine takes it for a turn. Whether that was the hello, which is answered by the greeting.
    pub(super) fn is_hello(&mut self, item: &Arc<str>, now: CallTime, out: &mut Vec<Effect>) -> bool {
        if self.hello.waits {
            self.hello_is_over("said", now, out);
        } else if !self.turns.began_at(item).is_some_and(|began| self.is_before_greeting(began)) {
            return false;
        }
        self.turns.no_answer_owed();
        true
    }

    /// It was said before the agent greeted somebody whom it had waited for.
    fn is_before_greeting(&self, began: CallTime) -> bool {
        self.hello.until.is_some_and(|until| began < until)
    }

    /// … was over by then.
    pub(super) fn is_until_greeting(&self, ended: CallTime) -> bool {
        self.hello.until.is_some_and(|until| ended <= until)
    }

    /// The caller speaks before anything was heard of the engine: the greeting that it makes is cut, and still to be said.
    pub(super) fn on_greeting_cut(&mut self) {
        let makes = !self.responses.is_idle() && !self.engine_heard && self.greeted;
        self.hello.cut |= makes && self.turns.agent_said_nothing();
    }

    /// An answer is wanted: it begins with a greeting that is still to be said.
    pub(super) fn with_greeting(&mut self, instructions: Option<Arc<str>>) -> Option<Arc<str>> {
        let asks = self.engine == EngineStage::Ready && !self.awaits_hello() && instructions.is_none();
        let cut = asks && std::mem::take(&mut self.hello.cut) && !self.engine_heard;
        if cut { Some(self.greeting_and_answer()) } else { instructions }
    }

    /// Their hello is understood. What it says beside is answered after the greeting.
    pub(super) fn answer_more_than_hello(
        &mut self,
        reply: &Reply,
        intent: IntentKind,
        now: CallTime,
        out: &mut Vec<Effect>,
    ) {
        let more = match intent {
            IntentKind::Greeting | IntentKind::Affirm | IntentKind::Repeat => false,
            // "Who is this?" is answered by any greeting.
            IntentKind::OutOfScope => reply.words > WHO_WORDS_MAX,
            _ => true,
        };
        if more && self.is_before_greeting(reply.started) && self.phase == Phase::Live {
            self.want(Wanted::default().told(), now, out);
        }
    }

    /// The first words of the agent begin to be heard, and somebody says hello into them: that is no interruption yet. Later it
    /// asks whether anybody listens.
    pub(super) fn is_hello_to_greeting(&self, words: &str) -> bool {
        let since = self.contested.as_ref().map(|contested| contested.since);
        let at_once = since.zip(self.turns.agent_began_with()).is_some_and(|(since, began)| since < began + AT_ONCE);
        at_once && self.playing && !self.playing_phrase && is_hello(words)
    }

    /// Nobody has told of a hello in time.
    pub(super) fn on_no_hello(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        let longest = self.hello.since + self.facts.agent.limits.hello;
        let speaks = self.caller_speaking && now < longest + SPEAKS_ON_MAX;
        if speaks || (self.is_sounding() && now < longest + SOUNDS_ON_MAX) {
            self.timers.set(Timer::Hello, now + STILL_SPEAKING);
            return;
        }
        let more = self.caller_speaking;
        self.hello_is_over("waited", now, out);
        if more {
            // What they go on saying is more than a hello.
            self.hello.until = None;
        }
    }

    /// The agent greets now.
    pub(super) fn hello_is_over(&mut self, why: &str, now: CallTime, out: &mut Vec<Effect>) {
        self.timers.clear(Timer::Hello);
        if self.phase != Phase::Live || !std::mem::take(&mut self.hello.waits) {
            return;
        }
        self.hello.until = Some(now);
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
