//! How fast a shop may be asked: its bucket of points as it was last told, less what is under way.
//!
//! Plain data with the time as an argument. What is told in an answer always wins over what was reckoned here, so an
//! error of reckoning lasts one answer.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Bucket and restore rate of the smallest plan, points and points a second, until an answer tells the real ones.
const MAXIMUM: f64 = 1000.0;
const RESTORE: f64 = 50.0;
/// What an operation costs until its first answer tells it.
const COST_UNKNOWN: f64 = 60.0;
/// Longest that a shop is left alone because it said so.
const CLOSED_MAX: Duration = Duration::from_secs(60);

/// `throttleStatus` of an answer.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Status {
    pub maximum: f64,
    pub available: f64,
    pub restore: f64,
}

/// See the module's text.
#[derive(Clone, Debug)]
pub(super) struct Limiter {
    maximum: f64,
    restore: f64,
    /// Points at the moment `at`.
    available: f64,
    at: Instant,
    /// Reserved and not answered.
    under_way: f64,
    /// What each operation was said to ask for, by its name; as many as there are operations.
    costs: HashMap<&'static str, f64>,
    /// The shop said to wait until then.
    closed_until: Option<Instant>,
}

impl Limiter {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            maximum: MAXIMUM,
            restore: RESTORE,
            available: MAXIMUM,
            at: now,
            under_way: 0.0,
            costs: HashMap::new(),
            closed_until: None,
        }
    }

    /// Takes the points of an operation, or says how long they will take to come.
    pub(super) fn reserve(&mut self, operation: &'static str, now: Instant) -> Result<f64, Duration> {
        self.refill(now);
        if let Some(wait) = self.closed_until.map(|until| until.saturating_duration_since(now))
            && !wait.is_zero()
        {
            return Err(wait);
        }
        // What costs more than the bucket holds would wait for ever; the shop itself will say so.
        let cost = self.cost(operation).min(self.maximum);
        if self.available < cost {
            return Err(after((cost - self.available) / self.restore));
        }
        self.available -= cost;
        self.under_way += cost;
        Ok(cost)
    }

    /// A request that had reserved so much is over, however it ended.
    pub(super) fn over(&mut self, reserved: f64) {
        self.under_way = (self.under_way - reserved).max(0.0);
    }

    /// An answer told how things stand, with its own request in it. What else is under way may or may not be in it, so it is
    /// counted as not.
    pub(super) fn learn(
        &mut self,
        operation: &'static str,
        (requested, status): (Option<f64>, Option<Status>),
        own: f64,
        now: Instant,
    ) {
        if let Some(requested) = requested.filter(|cost| cost.is_finite() && *cost > 0.0) {
            self.costs.insert(operation, requested);
        }
        let Some(status) = status.filter(|status| status.maximum > 0.0 && status.restore > 0.0) else { return };
        self.maximum = status.maximum;
        self.restore = status.restore;
        self.available = (status.available - (self.under_way - own).max(0.0)).clamp(0.0, status.maximum);
        self.at = now;
    }

    /// The shop refused for lack of points: how long until they are there.
    pub(super) fn throttled(&self, operation: &'static str) -> Duration {
        after(((self.cost(operation) - self.available) / self.restore).max(0.1))
    }

    /// The shop said how long to wait. Longer than a minute nobody is kept from asking by one answer.
    pub(super) fn close(&mut self, wait: Duration, now: Instant) {
        self.closed_until = Some(now + wait.min(CLOSED_MAX));
    }

    fn cost(&self, operation: &str) -> f64 {
        self.costs.get(operation).copied().unwrap_or(COST_UNKNOWN)
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.available = (self.available + passed * self.restore).min(self.maximum);
        self.at = self.at.max(now);
    }
}

/// A wait of at most a minute: nobody on the phone waits longer, and a wrong figure must not overflow.
fn after(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.clamp(0.0, 60.0))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::float_cmp, reason = "a test fails by panicking; the figures are whole")]
mod tests {
    use super::*;

    const STATUS: Status = Status { maximum: 2000.0, available: 100.0, restore: 100.0 };

    fn ms(time: u64) -> Duration {
        Duration::from_millis(time)
    }

    #[test]
    fn points_are_reserved_waited_for_and_come_back_with_time() {
        let start = Instant::now();
        let mut limiter = Limiter::new(start);
        limiter.learn("orders", (Some(80.0), Some(STATUS)), 0.0, start);
        for (at, expected) in [
            (0, Ok(80.0)),
            // 20 are left, and a hundred come in a second.
            (0, Err(ms(600))),
            (400, Err(ms(200))),
            (600, Ok(80.0)),
            (60_000, Ok(80.0)),
        ] {
            assert_eq!(limiter.reserve("orders", start + ms(at)), expected, "at {at} ms");
        }
        let mut left = 0;
        while limiter.reserve("orders", start + ms(60_000)).is_ok() {
            left += 1;
        }
        assert_eq!(left, (2000 - 80) / 80, "the bucket is never fuller than full");
    }

    #[test]
    fn what_is_under_way_is_not_given_out_twice() {
        let now = Instant::now();
        let mut limiter = Limiter::new(now);
        limiter.learn("orders", (Some(50.0), Some(STATUS)), 0.0, now);
        let (one, other) = (limiter.reserve("orders", now).unwrap(), limiter.reserve("orders", now).unwrap());
        // The shop had not seen the other when it answered the one.
        limiter.learn("orders", (Some(50.0), Some(STATUS)), one, now);
        limiter.over(one);
        assert_eq!(limiter.available, 50.0);
        limiter.learn("orders", (Some(50.0), Some(STATUS)), other, now);
        limiter.over(other);
        assert_eq!((limiter.available, limiter.under_way), (100.0, 0.0));
    }

    #[test]
    fn a_shop_that_says_wait_is_left_alone_so_long() {
        let now = Instant::now();
        let mut limiter = Limiter::new(now);
        limiter.close(ms(2000), now);
        assert_eq!(limiter.reserve("orders", now + ms(500)), Err(ms(1500)));
        let mut hasty = Limiter::new(now);
        hasty.close(ms(3_600_000), now);
        assert_eq!(hasty.reserve("orders", now), Err(CLOSED_MAX));
        let reserved = limiter.reserve("orders", now + ms(2000)).unwrap();
        limiter.over(reserved);
        limiter.learn("orders", (Some(752.0), Some(Status { available: 2.0, ..STATUS })), 0.0, now);
        assert_eq!(limiter.throttled("orders"), ms(7500), "(752 - 2) / 100");
    }

    #[test]
    fn senseless_figures_change_nothing() {
        let now = Instant::now();
        let mut limiter = Limiter::new(now);
        for requested in [f64::NAN, -1.0, 0.0, f64::INFINITY] {
            limiter.learn("orders", (Some(requested), Some(Status { maximum: 0.0, ..STATUS })), 0.0, now);
        }
        assert_eq!((limiter.maximum, limiter.cost("orders")), (MAXIMUM, COST_UNKNOWN));
        // An operation that costs more than there can ever be is let through when the bucket is full.
        limiter.learn("orders", (Some(5000.0), None), 0.0, now);
        assert_eq!(limiter.reserve("orders", now), Ok(MAXIMUM));
    }
}
