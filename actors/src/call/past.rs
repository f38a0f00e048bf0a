//! A call taken up again: its process died, the carrier came back with the same call. What the record holds of it is
//! put where a living call has it, so that the caller is not asked again for what was said and nothing is done twice.

use std::sync::Arc;

use super::event::Effect;
use super::state::CallState;
use super::timers::Timer;
use crate::domain::{Action, CallTime, Speaker, Usage};
use crate::ports::{ContextItem, JournalEntry};

/// Told to the engine after everything that was said before.
const BACK_AGAIN: &str = "The line broke for a moment and the caller is back. Say in one short sentence that you are back, \
    then go on where the conversation stood. Do not greet again.";

/// What the record holds of a call whose process died.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Past {
    /// Time since its admission: the call's clock goes on from here.
    pub age: CallTime,
    /// What was heard of whom, oldest first, on the call's clock.
    pub said: Vec<(CallTime, Speaker, Arc<str>)>,
    /// Actions as last written.
    pub actions: Vec<Action>,
    /// What the engine cost as far as it was written.
    pub usage: Usage,
}

impl CallState {
    /// Makes a state just made one that has this behind it.
    #[must_use]
    pub fn after(mut self, past: Past) -> Self {
        let limits = &self.facts.agent.limits;
        self.timers.set(Timer::Answer, past.age + limits.answer);
        for (at, speaker, text) in past.said {
            self.turns.recall(at, speaker, &text);
            if speaker == Speaker::Agent {
                self.recall_notices(&text);
            }
        }
        self.ledger.recall(past.actions, &self.catalogue);
        self.usage = past.usage;
        self.greeted = true;
        self.hello_is_past();
        self.answer_owed = true;
        self.taken_up = Some(past.age);
        self.trouble.session_at(past.age);
        let _ = self.next_context(past.age);
        self
    }

    /// The first effects of a call taken up again.
    pub(super) fn begin_again(&self, at: CallTime) -> Vec<Effect> {
        let mut context = self.context();
        context.push(ContextItem::Note(BACK_AGAIN.into()));
        vec![Effect::Record(JournalEntry::TakenUp { call: self.facts.call, at }), self.first_session(context)]
    }
}
