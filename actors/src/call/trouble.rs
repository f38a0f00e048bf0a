//! How long a call bears with an engine that fails. What is counted is time in which somebody waits, not attempts: a gateway
//! that is started anew is away for seconds, and one that refuses at once would have used up any number of attempts by then.

use std::time::Duration;

use super::state::{CallState, Phase};
use crate::domain::{CallId, CallTime};
use crate::ports::EngineError;

/// Somebody waits no longer than about this for a session that can be had.
pub(super) const WAITED_MAX: Duration = Duration::from_secs(10);
/// … and in a silence, in which nobody notices, it is tried so long.
const UNNOTICED_MAX: Duration = Duration::from_secs(30);
/// The time may have passed in a single attempt; one more shows whether that was all.
const ATTEMPTS_MIN: u32 = 2;
/// A session that can be had is there by then, so the last attempt gets so long.
const LAST_ATTEMPT: Duration = Duration::from_secs(2);
/// With another engine to go to nobody is kept waiting for this one to come back.
const ATTEMPTS_BEFORE_FALLBACK: u32 = 3;
/// Answers that failed in a row, of any sessions.
const ANSWERS_MAX: u32 = 3;
/// A session that listened so long was healthy: what ends it is the first failure, not one more.
const HEALTHY: Duration = Duration::from_secs(5);
/// Before the second session and those after it; the last holds for all that follow. The first is tried at once.
const WAITS: [Duration; 4] =
    [Duration::from_millis(250), Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];
/// Longest wait for what the engine asks for that is more than there is patience for, and before an answer.
pub(super) const ENGINE_WAIT_MAX: Duration = Duration::from_secs(2);

/// Failures since the engine last did what it is for.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct Trouble {
    pub(super) failures: u32,
    /// Those of them that were answers.
    answers: u32,
    /// When there was no session for the first time, and since when somebody waits for one, as far as is known.
    since: Option<CallTime>,
    waits_since: Option<CallTime>,
    /// They began with another engine.
    fell_back: bool,
    /// The session that was asked for last was to be had of neither.
    pub(super) neither: bool,
    /// When the present session was asked for; once it listens, since when it does.
    session: CallTime,
}

impl Trouble {
    /// A session is asked for, or listens.
    pub(super) fn session_at(&mut self, at: CallTime) {
        self.session = at;
    }

    /// The engine does what it is for.
    pub(super) fn is_over(&mut self) {
        *self = Self { session: self.session, ..Self::default() };
    }

    /// From now on it is another engine's turn. Whoever waits has waited all the same.
    pub(super) fn falls_back(&mut self) {
        (self.failures, self.answers, self.fell_back) = (0, 0, true);
    }

    pub(super) fn answer_failed(&mut self) {
        self.failures += 1;
        self.answers += 1;
    }

    /// A session that listened is lost; one that did not answer, or failed at it, was not healthy, however old it is.
    fn session_lost(&mut self, error: &EngineError, now: CallTime) {
        if self.answers == 0 && now >= self.session + HEALTHY && !matches!(error, EngineError::Stalled(_)) {
            self.is_over();
        }
        self.failed(now, now);
    }

    /// The caller has waited since the session was asked for that did not come.
    fn not_opened(&mut self, now: CallTime) {
        self.failed(self.session.min(now), now);
    }

    fn failed(&mut self, began: CallTime, now: CallTime) {
        self.failures += 1;
        self.since.get_or_insert(began);
        self.session = now;
    }

    fn waits(&mut self, waits: bool, began: CallTime) {
        self.waits_since = if waits { self.waits_since.or(Some(began)) } else { None };
    }

    fn is_too_long(&self, now: CallTime) -> bool {
        let over = |since: Option<CallTime>, longest| since.is_some_and(|since| now >= since + longest);
        let attempts = if self.fell_back { 1 } else { ATTEMPTS_MIN };
        self.failures >= attempts && (over(self.waits_since, WAITED_MAX) || over(self.since, UNNOTICED_MAX))
    }

    /// What is left of the patience.
    fn left(&self, now: CallTime) -> Duration {
        let since = self.waits_since.or(self.since).unwrap_or(now);
        WAITED_MAX.saturating_sub(now.saturating_sub(since))
    }

    /// How long a session that is asked for then may take.
    pub(super) fn is_borne_for(&self, then: CallTime) -> Duration {
        if self.waits_since.is_some() { self.left(then).max(LAST_ATTEMPT) } else { WAITED_MAX }
    }

    /// How long to wait before the next session.
    pub(super) fn wait(&self, error: &EngineError, call: CallId, now: CallTime) -> Duration {
        if let EngineError::Busy { after: Some(after), .. } = error {
            return if *after <= self.left(now) { *after } else { ENGINE_WAIT_MAX };
        }
        // The first new session is tried at once: the caller is waiting.
        let Some(place) = self.failures.checked_sub(2) else { return Duration::ZERO };
        let wait = WAITS[(place as usize).min(WAITS.len() - 1)];
        // In whole milliseconds, as timers are.
        wait + Duration::from_millis(wait.as_millis() as u64 * u64::from(jitter(call, place)) / 1024)
    }
}

/// Up to a quarter, in 1,024ths: calls that lost their sessions at the same moment do not come back at the same moment.
fn jitter(call: CallId, place: u32) -> u32 {
    let bytes = call.0.as_bytes();
    u32::from(bytes[bytes.len() - 1 - place as usize % 4])
}

impl CallState {
    /// One more session is lost, or was not to be had.
    pub(super) fn count_lost_session(&mut self, error: &EngineError, was_ready: bool, speaking: bool, now: CallTime) {
        let began = if was_ready { now } else { self.trouble.session.min(now) };
        let began = self.asked_in_outage().map_or(began, |asked| began.max(asked));
        if was_ready {
            self.trouble.session_lost(error, now);
        } else {
            self.trouble.not_opened(now);
        }
        let waits = self.awaits() || speaking || self.fillers > 0 || self.is_to_greet();
        self.trouble.waits(waits && self.phase == Phase::Live, began);
    }

    /// Whether more sessions of the present engine are of no use.
    pub(super) fn is_given_up(&self, error: &EngineError, now: CallTime) -> bool {
        let another = self.fallback_left && !self.trouble.neither && self.trouble.failures >= ATTEMPTS_BEFORE_FALLBACK;
        !error.is_retryable() || another || self.trouble.is_too_long(now)
    }

    /// … or more answers.
    pub(super) fn are_answers_given_up(&self, error: &EngineError) -> bool {
        !error.is_retryable() || self.trouble.answers >= ANSWERS_MAX
    }
}

#[cfg(test)]
#[path = "trouble_tests.rs"]
mod tests;
