//! A session that grows old is replaced in a pause, long before the service ends it in a sentence, and so is one that seems to be deaf
//! (`deaf.rs`). The next one is opened beside it: if that fails, or the pause ends first, nothing is lost, and it is tried again later.

use std::time::Duration;

use serde_json::json;

use super::aside::NOT_UNDERSTOOD;
use super::event::{Effect, EngineChoice};
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
/// … or was to hear what the present one has not noticed.
const HEAR_LATER: Duration = Duration::from_secs(2);

/// See the module's text.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct Renewal {
    opening: Option<Opening>,
    /// In a row, of sessions that were to follow an old one.
    failures: u32,
}

/// A session being opened.
#[derive(Clone, PartialEq, Debug)]
struct Opening {
    /// What it is told.
    context: Vec<(CallTime, ContextItem)>,
    by: EngineChoice,
    why: Why,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Why {
    /// The present one is old.
    Age,
    /// … or does not hear the caller, it seems.
    Unheard,
}

impl Why {
    fn name(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Unheard => "unheard",
        }
    }
}

impl Renewal {
    fn is_for(&self, why: Why) -> bool {
        self.opening.as_ref().is_some_and(|opening| opening.why == why)
    }

    /// A session is being opened to hear what the present one has not noticed.
    pub(super) fn is_to_hear(&self) -> bool {
        self.is_for(Why::Unheard)
    }
}

impl CallState {
    /// The session is old.
    pub(super) fn on_session_aged(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        if self.engine != EngineStage::Ready || self.phase != Phase::Live {
            return;
        }
        if !self.is_silent() || self.turns.expects_words(now) || self.renewal.is_to_hear() {
            self.timers.set(Timer::SessionAge, now + LOOK_AGAIN);
            return;
        }
        self.renew(Why::Age, self.engine_by, None, out);
    }

    /// The session has not noticed what another hears again, so much of the caller's last sound.
    pub(super) fn renew_to_hear(&mut self, by: EngineChoice, again: Duration, now: CallTime, out: &mut Vec<Effect>) {
        if self.renewal.is_for(Why::Age) {
            // It waits for its turn.
            self.timers.set(Timer::SessionAge, now + NEXT_PAUSE);
        }
        self.renew(Why::Unheard, by, Some(again), out);
    }

    fn renew(&mut self, why: Why, by: EngineChoice, again: Option<Duration>, out: &mut Vec<Effect>) {
        let mut context = self.timed_context();
        if why == Why::Unheard {
            // What it hears again it is not told of.
            context.retain(|(_, item)| *item != ContextItem::Note(NOT_UNDERSTOOD.into()));
        }
        out.push(self.next_session(by, context.iter().map(|(_, item)| item.clone()).collect(), again));
        self.renewal.opening = Some(Opening { context, by, why });
    }

    /// Looked at after every event: what happens now the session being opened would not know.
    pub(super) fn mind_renewal(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        let Some(why) = self.renewal.opening.as_ref().map(|opening| opening.why) else { return };
        let open = self.phase == Phase::Live && self.engine == EngineStage::Ready;
        let wanted = open && self.is_silent() && (why == Why::Age || self.is_unnoticed());
        if !wanted {
            self.renewal.opening = None;
            out.push(Effect::KeepEngine);
            match why {
                Why::Age if open => self.timers.set(Timer::SessionAge, now + NEXT_PAUSE),
                Why::Unheard if open => self.look_again_whether_deaf(HEAR_LATER, now),
                Why::Age | Why::Unheard => {}
            }
        }
    }

    /// The present session is lost, or given up: so is the one that was to follow it.
    pub(super) fn forget_renewal(&mut self) {
        self.renewal.opening = None;
    }

    /// The next session has taken the place of the old one.
    pub(super) fn on_engine_renewed(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        let Some(Opening { context, by, why }) = self.renewal.opening.take() else {
            // It was wanted no more when it came: what was said since is heard again by another.
            out.push(Effect::CloseEngine);
            return self.on_engine_lost(EngineError::Connection("renewed too late".to_owned()), now, out);
        };
        self.note("engine_renewed", &json!({ "why": why.name() }), now, out);
        if by == EngineChoice::Fallback && self.engine_by != by {
            self.on_engine_fell_back(now, out);
        }
        self.session_is_gone();
        match why {
            Why::Age => self.renewal.failures = 0,
            Why::Unheard => self.hears_what_was_unheard(now, out),
        }
        self.next_session_knows();
        self.summary_session_gone(now);
        self.window.opened(self.base_tokens(), &context, now);
        self.on_engine_ready(now, out);
    }

    /// … or could not be opened. The old one serves as long as it may.
    pub(super) fn on_not_renewed(&mut self, error: &EngineError, now: CallTime, out: &mut Vec<Effect>) {
        let Some(Opening { why, .. }) = self.renewal.opening.take() else { return };
        self.note("engine_not_renewed", &json!({ "kind": error.kind() }), now, out);
        match why {
            Why::Age => {
                self.renewal.failures = (self.renewal.failures + 1).min(3);
                self.timers.set(Timer::SessionAge, now + BACK_OFF * self.renewal.failures);
            }
            Why::Unheard => self.look_again_whether_deaf(HEAR_LATER, now),
        }
    }

    /// What belonged to a session goes with it.
    pub(super) fn session_is_gone(&mut self) {
        self.outage = None;
        let _ = self.responses.lost();
        self.forget_answers();
        self.lose_answers();
        self.ledger.session_lost();
        self.turns.session_gone();
        self.session_items.clear();
    }
}

#[cfg(test)]
#[path = "renewal_tests.rs"]
mod tests;
