//! What the agent went on over before it was written down. Its words are acted on when they come: "stop" is obeyed late rather
//! than never, a question is answered, and a listener's word is let pass.

use std::sync::Arc;

use super::event::Effect;
use super::floor::{NOISE, SPOKEN_OVER_MAX};
use super::state::{CallState, Phase};
use super::timers::Timer;
use crate::domain::CallTime;
use crate::understand::objects;

/// From the end of what the agent said until words that have not come by then are taken for a question.
const UNWRITTEN: CallTime = CallTime::from_millis(1_500);

/// The agent went on over words that were not written down in time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PassedOver {
    /// At the end of what the agent said, where any word is an answer; in the middle a listener's is none.
    pub(super) at_the_end: bool,
    /// What is to be written down.
    pub(super) items: Vec<Arc<str>>,
    /// The engine took it for a turn.
    pub(super) committed: bool,
    /// It was more than a noise: if nobody ever tells what it was, it is answered.
    pub(super) lasted: bool,
}

impl PassedOver {
    /// What was said before may not be written down either.
    pub(super) fn after(mut self, before: Option<Self>) -> Option<Self> {
        if let Some(before) = before {
            self.at_the_end |= before.at_the_end;
            self.committed |= before.committed;
            self.lasted |= before.lasted;
            self.items.retain(|item| !before.items.contains(item));
            self.items.splice(..0, before.items);
            self.items.drain(..self.items.len().saturating_sub(SPOKEN_OVER_MAX));
        }
        (!self.items.is_empty()).then_some(self)
    }
}

impl CallState {
    /// The agent has gone on since. "Stop" is obeyed late rather than never.
    pub(super) fn words_came_late(
        &mut self,
        item: &Arc<str>,
        words: Option<&str>,
        now: CallTime,
        out: &mut Vec<Effect>,
    ) {
        let listeners = words.is_some_and(|words| self.is_listeners(words.trim()));
        let Some(passed) = self.near.passed_over.as_mut() else { return };
        let Some(at) = passed.items.iter().position(|passed| passed == item) else { return };
        passed.items.remove(at);
        let Some(words) = words.map(str::trim) else {
            // Nobody can tell what it was: if that was all, it wants an answer, but nothing is stopped for it.
            if passed.items.is_empty() {
                self.answer_passed_over(now, out);
            }
            return;
        };
        if words.is_empty() || (!passed.at_the_end && listeners) {
            self.near.passed_over.take_if(|passed| passed.items.is_empty());
            return;
        }
        let free = !self.must_be_heard() && (!self.reads_back() || objects(words));
        if self.playing && self.phase == Phase::Live && free {
            self.answer_after_cut = true;
            self.caller_goes_on(now, out);
        } else if self.near.passed_over.take().is_some_and(|passed| passed.committed) && self.phase == Phase::Live {
            self.want_answer(None, now, out);
        }
    }

    /// The engine takes for a turn what the agent went on over: its words decide.
    pub(super) fn committed_after_all(&mut self, item: &Arc<str>) -> bool {
        let long = self.turns.spoken_for(item).is_some_and(|spoken| spoken >= NOISE + self.silence());
        match &mut self.near.passed_over {
            Some(passed) if passed.items.contains(item) => {
                // It may have lasted longer than when the agent went on.
                (passed.committed, passed.lasted) = (true, passed.lasted || long);
            }
            passed => {
                // This turn is answered, and the others with it.
                *passed = None;
                return false;
            }
        }
        true
    }

    /// The agent has said all it had to.
    pub(super) fn await_words_passed_over(&mut self, now: CallTime) {
        if self.near.passed_over.is_some() && self.contested.is_none() {
            self.timers.set(Timer::Floor, now + UNWRITTEN);
        }
    }

    /// Nobody can tell what it was that the agent went on over. Whoever said it waits by now.
    pub(super) fn answer_passed_over(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        let free = !self.playing && !self.caller_speaking && self.responses.is_idle() && self.phase == Phase::Live;
        if free && self.near.passed_over.take_if(|passed| passed.committed && passed.lasted).is_some() {
            self.want_answer(None, now, out);
        }
    }
}

#[cfg(test)]
#[path = "passed_tests.rs"]
mod tests;
