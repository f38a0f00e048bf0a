//! A session that grows old is replaced in a pause, long before the service ends it in a sentence. The next one is opened beside
//! it: if that fails, or the pause ends first, nothing is lost, and it is tried again later.

use std::time::Duration;

use serde_json::json;

use super::event::Effect;
use super::state::{CallState, EngineStage, Phase};
use super::timers::Timer;
use crate::domain::CallTime;
use crate::ports::{ContextItem, EngineError};

/// In a conversation the next pause is looked for so soon.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// After a pause that was too short to open a session in.
const NEXT_PAUSE: Duration = Duration::from_secs(5);
/// After a session that could not be opened; twice as long after the second in a row, and so on, up to three times.
const BACK_OFF: Duration = Duration::from_secs(60);

/// See the module's text.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct Renewal {
    /// What the session being opened is told, if one is.
    opening: Option<Vec<(CallTime, ContextItem)>>,
    /// In a row.
    failures: u32,
}

impl CallState {
    /// The session is old.
    pub(super) fn on_session_aged(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        if self.engine != EngineStage::Ready || self.phase != Phase::Live {
            return;
        }
        if !self.is_silent() || self.turns.expects_words(now) {
            self.timers.set(Timer::SessionAge, now + LOOK_AGAIN);
            return;
        }
        let context = self.timed_context();
        out.push(self.next_session(context.iter().map(|(_, item)| item.clone()).collect()));
        self.renewal.opening = Some(context);
    }

    /// Looked at after every event: what happens now the session being opened would not know.
    pub(super) fn mind_renewal(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        let open = self.phase == Phase::Live && self.engine == EngineStage::Ready;
        if self.renewal.opening.is_some() && (!open || !self.is_silent()) {
            self.renewal.opening = None;
            out.push(Effect::KeepEngine);
            if open {
                self.timers.set(Timer::SessionAge, now + NEXT_PAUSE);
            }
        }
    }

    /// The present session is lost, or given up: so is the one that was to follow it.
    pub(super) fn forget_renewal(&mut self) {
        self.renewal.opening = None;
    }

    /// The next session has taken the place of the old one.
    pub(super) fn on_engine_renewed(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        let Some(context) = self.renewal.opening.take() else {
            // It was wanted no more when it came: what was said since is heard again by another.
            out.push(Effect::CloseEngine);
            return self.on_engine_lost(EngineError::Connection("renewed too late".to_owned()), now, out);
        };
        self.note("engine_renewed", &json!({ "why": "age" }), now, out);
        self.renewal.failures = 0;
        self.session_is_gone();
        self.next_session_knows();
        self.summary_session_gone(now);
        self.window.opened(self.base_tokens(), &context, now);
        self.on_engine_ready(now, out);
    }

    /// … or could not be opened. The old one serves as long as it may.
    pub(super) fn on_not_renewed(&mut self, error: &EngineError, now: CallTime, out: &mut Vec<Effect>) {
        if self.renewal.opening.take().is_some() {
            self.renewal.failures = (self.renewal.failures + 1).min(3);
            self.note("engine_not_renewed", &json!({ "kind": error.kind() }), now, out);
            self.timers.set(Timer::SessionAge, now + BACK_OFF * self.renewal.failures);
        }
    }

    /// What belonged to a session goes with it.
    pub(super) fn session_is_gone(&mut self) {
        self.outage = None;
        let _ = self.responses.lost();
        self.forget_answers();
        self.lose_answers();
        self.ledger.session_lost();
        self.turns.broke_off();
        self.session_items.clear();
    }
}

#[cfg(test)]
#[path = "renewal_tests.rs"]
mod tests;
