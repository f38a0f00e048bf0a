//! A yes in the middle of a read-back: it counts when that was heard to its end, and for what was heard of it.

use std::sync::Arc;

use chrono::NaiveDateTime;

use super::consent::Consent;
use super::ledger::Ledger;
use super::state::CallState;
use crate::domain::{ActionState, CallTime};
use crate::understand;

impl Ledger {
    /// Items in which something is read back that was agreed to.
    fn agreed_in(&self) -> impl Iterator<Item = &Arc<str>> {
        self.entries().filter(|entry| entry.action.state == ActionState::Proposed).filter_map(|entry| {
            match &entry.consent {
                Consent::Given { item, .. } => item.as_ref(),
                Consent::Untold | Consent::Telling(_) | Consent::Asked { .. } => None,
            }
        })
    }

    /// Nobody will know how much was heard of what was agreed to in the middle of a read-back.
    pub(super) fn doubt_agreed(&mut self) {
        for entry in self.proposed().filter(|entry| matches!(entry.consent, Consent::Given { item: Some(_), .. })) {
            entry.consent = Consent::Untold;
        }
    }

    /// What was agreed to in the middle of a read-back that is over now: if not all of it was heard, it is to be read back again.
    /// `words`: what was heard since a time.
    fn recheck(&mut self, words: impl Fn(CallTime) -> String, local: Option<NaiveDateTime>) {
        for entry in self.proposed() {
            let Consent::Given { item: item @ Some(_), .. } = &mut entry.consent else { continue };
            *item = None;
            let unsaid = understand::untold(&words(entry.action.changed), &entry.plan(), local);
            if !unsaid.is_empty() {
                (entry.consent, entry.unsaid) = (Consent::Untold, unsaid);
            }
        }
    }
}

impl CallState {
    /// A yes was given in the middle of a read-back, and how much of that is heard is not known yet: it is being heard, or its
    /// words are not all there.
    pub(super) fn reads_what_was_agreed(&self) -> bool {
        self.ledger.agreed_in().next().is_some() && self.turns.agent_is_open()
    }

    /// What the agent had to say is over: what was agreed to in it was agreed to as far as it was heard.
    pub(super) fn recheck_agreed(&mut self, now: CallTime) {
        if self.turns.agent_is_open() {
            return;
        }
        let (turns, local) = (&self.turns, self.local_time(now));
        self.ledger.recheck(|since| turns.agent_since(since), local);
    }
}

#[cfg(test)]
#[path = "agreed_tests.rs"]
mod tests;
