//! A yes in the middle of a read-back: it counts when that was heard to its end, and for what was heard of it.

use std::sync::Arc;

use chrono::NaiveDateTime;

use super::consent::Consent;
use super::ledger::Ledger;
use super::state::CallState;
use crate::audio::playout::Cut;
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

    /// These were cut: what was agreed to in one of them, and not all of it heard, is to be read back again.
    fn forget_unheard(&mut self, cuts: &[Cut], words: impl Fn(CallTime) -> String, local: Option<NaiveDateTime>) {
        for entry in self.proposed() {
            let cut = matches!(&entry.consent, Consent::Given { item: Some(item), .. } if cuts.iter().any(|cut| cut.item == *item));
            let unsaid =
                if cut { understand::untold(&words(entry.action.changed), &entry.plan(), local) } else { vec![] };
            if !unsaid.is_empty() {
                (entry.consent, entry.unsaid) = (Consent::Untold, unsaid);
            }
        }
    }
}

impl CallState {
    /// A yes was given in the middle of the read-back, which is still being heard.
    pub(super) fn reads_what_was_agreed(&self) -> bool {
        self.ledger.agreed_in().any(|item| self.turns.is_being_heard(item))
    }

    /// A read-back was cut that had been agreed to: only what was heard of it was.
    pub(super) fn recheck_agreed(&mut self, cuts: &[Cut], now: CallTime) {
        let (turns, local) = (&self.turns, self.local_time(now));
        self.ledger.forget_unheard(cuts, |since| turns.agent_since(since), local);
    }
}
