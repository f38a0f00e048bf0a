//! Leaves a shop alone that does not answer: the caller is told at once, instead of after every deadline again.
//!
//! Plain data with the time as an argument. Only silence and failures of the shop itself count: a refusal is an answer.

use std::time::{Duration, Instant};

/// Failures in a row until nothing is sent any more.
const FAILURES: u32 = 5;
/// How long then; twice as long after each trial that failed, up to the longest.
const REST: Duration = Duration::from_secs(5);
const REST_MAX: Duration = Duration::from_secs(60);

/// See the module's text.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Breaker {
    failures: u32,
    /// Nothing is sent until then; then one request, whose outcome decides.
    open_until: Option<Instant>,
    rest: Duration,
}

impl Breaker {
    /// Whether a request may be sent now; else how long not.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        let Some(until) = self.open_until else { return Ok(()) };
        if now < until {
            return Err(until - now);
        }
        // This one is the trial. A trial that is given up on the way must not hold the others for ever.
        self.open_until = Some(now + self.rest);
        Ok(())
    }

    /// The shop answered.
    pub(super) fn answered(&mut self) {
        *self = Self::default();
    }

    /// It did not. Tells whether this was the failure that opened it.
    pub(super) fn failed(&mut self, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        if self.failures < FAILURES {
            return false;
        }
        let first = self.open_until.is_none();
        self.rest = if first { REST } else { (self.rest * 2).min(REST_MAX) };
        self.open_until = Some(now + self.rest);
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// Asked at this second: whether it may be sent.
        Ask(u64, bool),
        Fail(u64),
        Answer,
    }
    use Step::{Answer, Ask, Fail};

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_with_an_answer() {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        for (name, steps) in [
            ("four failures are nothing", vec![Fail(0), Fail(0), Fail(0), Fail(0), Ask(0, true)]),
            ("an answer begins anew", vec![Fail(0), Fail(0), Fail(0), Fail(0), Answer, Fail(0), Ask(0, true)]),
            ("five open it", vec![Fail(0), Fail(0), Fail(0), Fail(0), Fail(0), Ask(0, false), Ask(4, false)]),
            (
                "one trial at a time",
                vec![
                    Fail(0),
                    Fail(0),
                    Fail(0),
                    Fail(0),
                    Fail(0),
                    Ask(5, true),
                    Ask(5, false),
                    Ask(9, false),
                    Ask(10, true),
                ],
            ),
            (
                "a trial that fails makes it rest longer",
                vec![Fail(0), Fail(0), Fail(0), Fail(0), Fail(0), Ask(5, true), Fail(6), Ask(15, false), Ask(16, true)],
            ),
            (
                "a trial that is answered closes it",
                vec![Fail(0), Fail(0), Fail(0), Fail(0), Fail(0), Ask(5, true), Answer, Ask(5, true), Ask(5, true)],
            ),
        ] {
            let mut breaker = Breaker::default();
            for step in steps {
                match step {
                    Ask(second, sent) => assert_eq!(breaker.admit(at(second)).is_ok(), sent, "{name}: {step:?}"),
                    Fail(second) => drop(breaker.failed(at(second))),
                    Answer => breaker.answered(),
                }
            }
        }
    }

    #[test]
    fn the_rest_is_bounded() {
        let mut breaker = Breaker::default();
        let now = Instant::now();
        let opened = (0..100).filter(|_| breaker.failed(now)).count();
        assert_eq!((opened, breaker.rest), (1, REST_MAX));
    }
}
