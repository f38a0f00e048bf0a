//! Leaves alone who does not answer: the caller is told at once, instead of after every deadline again.
//!
//! [`Breaker`] decides: plain data with the time as an argument. Only silence and failures of the other system count: a refusal
//! is an answer, and so is being asked too often (429), which is obeyed instead. [`Breakers`] keeps one for each client and
//! whatever it asks, so that what one client's credentials or requests bring about reaches no other. Only those that something
//! is wrong with are kept.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use caly_actors::domain::ClientId;
use chrono::{DateTime, Utc};

/// Failures in a row until nothing is sent any more.
const FAILURES: u32 = 5;
/// How long then; twice as long after each trial that failed, up to the longest.
const REST: Duration = Duration::from_secs(5);
const REST_MAX: Duration = Duration::from_secs(60);
/// Most of a vendor's that are kept. Beyond it those that are longest untouched go: they are tried once more, that is all.
const KEPT_MAX: usize = 10_000;
/// Given up so shortly before its time was over, a request counts as not answered in time.
const NEARLY: Duration = Duration::from_millis(50);

/// What a request is sent as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pass {
    /// As any other.
    Usual,
    /// As the one whose outcome decides whether others follow.
    Trial,
}

/// What a request told of who was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sign {
    /// It answers, be it with a refusal.
    Answered,
    /// It could not be reached, did not answer in time, broke off, or said that it failed (5xx).
    Failed,
    /// It asks to be left alone so long (429 with `Retry-After`).
    Wait(Duration),
    /// Nothing: it was not asked.
    None,
}

/// One decision maker, see the module's text.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Breaker {
    failures: u32,
    /// Nothing is sent until then.
    until: Option<Instant>,
    /// Not zero: it is open. After `until` one request is sent, whose outcome decides.
    rest: Duration,
    /// That one is under way.
    trial: bool,
}

impl Breaker {
    /// Whether a request may be sent now, and as what.
    pub(super) fn admit(&mut self, now: Instant) -> Option<Pass> {
        if self.waits(now) || self.trial {
            return None;
        }
        self.trial = !self.rest.is_zero();
        Some(if self.trial { Pass::Trial } else { Pass::Usual })
    }

    /// What became of a request. Tells whether this was the failure that opened it.
    pub(super) fn settle(&mut self, pass: Pass, sign: Sign, now: Instant) -> bool {
        match sign {
            Sign::Answered if self.rest.is_zero() => self.failures = 0,
            Sign::Answered => *self = Self::default(),
            Sign::Wait(wait) => *self = Self { until: Some(now + wait.min(REST_MAX)), ..Self::default() },
            Sign::Failed => return self.failed(pass, now),
            // A trial that was given up on the way must not hold the others.
            Sign::None if pass == Pass::Trial => self.trial = false,
            Sign::None => {}
        }
        false
    }

    fn failed(&mut self, pass: Pass, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        let open = !self.rest.is_zero();
        // What was sent before it opened says nothing new.
        if self.failures < FAILURES || (open && pass == Pass::Usual) {
            return false;
        }
        self.rest = if open { (self.rest * 2).min(REST_MAX) } else { REST };
        (self.until, self.trial) = (Some(now + self.rest), false);
        !open
    }

    fn waits(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Nothing is wrong: it need not be kept.
    fn is_idle(&self, now: Instant) -> bool {
        self.failures == 0 && self.rest.is_zero() && !self.waits(now)
    }
}

/// One and when it was last touched.
#[derive(Clone, PartialEq, Debug)]
struct Kept {
    breaker: Breaker,
    touched: Instant,
}

/// Those of one kind of vendor.
pub(super) struct Breakers<K> {
    vendor: &'static str,
    kept: Mutex<HashMap<(ClientId, K), Kept>>,
}

impl<K: Clone + Eq + Hash> Breakers<K> {
    /// `vendor` stands in metrics and in the log.
    pub(super) fn new(vendor: &'static str) -> Self {
        Self { vendor, kept: Mutex::default() }
    }

    /// May who is named so be asked for this client now? The answer is awaited until then. `None`: it does not answer, and is
    /// left alone.
    pub(super) fn admit(&self, client: ClientId, key: K, until: Instant) -> Option<Permit<'_, K>> {
        let (now, of) = (Instant::now(), (client, key));
        let admitted = match self.lock().get_mut(&of) {
            Some(kept) => kept.breaker.admit(now),
            None => Some(Pass::Usual),
        };
        if admitted.is_none() {
            metrics::counter!("caly_breaker_refused_total", "vendor" => self.vendor).increment(1);
        }
        admitted.map(|pass| Permit { breakers: self, of: Some(of), pass, until })
    }

    fn settle(&self, of: (ClientId, K), pass: Pass, sign: Sign, now: Instant) {
        let mut all = self.lock();
        let client = of.0;
        if matches!(sign, Sign::Failed | Sign::Wait(_)) && !all.contains_key(&of) {
            make_room(&mut all);
            all.insert(of.clone(), Kept { breaker: Breaker::default(), touched: now });
        }
        let Some(kept) = all.get_mut(&of) else { return };
        kept.touched = now;
        let opened = kept.breaker.settle(pass, sign, now);
        if kept.breaker.is_idle(now) {
            all.remove(&of);
        }
        drop(all);
        if opened {
            metrics::counter!("caly_breaker_opened_total", "vendor" => self.vendor).increment(1);
            tracing::error!(vendor = self.vendor, %client, "a client's vendor does not answer and is left alone for a while");
        }
    }

    /// What is in it is plain data that no panic leaves half changed.
    fn lock(&self) -> MutexGuard<'_, HashMap<(ClientId, K), Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As if so much time had passed.
    #[cfg(test)]
    pub(super) fn age(&self, passed: Duration) {
        for kept in self.lock().values_mut() {
            kept.breaker.until = kept.breaker.until.and_then(|until| until.checked_sub(passed));
        }
    }
}

fn make_room<K: Clone + Eq + Hash>(all: &mut HashMap<(ClientId, K), Kept>) {
    if all.len() < KEPT_MAX {
        return;
    }
    let mut touched: Vec<Instant> = all.values().map(|kept| kept.touched).collect();
    // A tenth at a time, so that the search is seldom.
    let (_, oldest, _) = touched.select_nth_unstable(KEPT_MAX / 10);
    let oldest = *oldest;
    all.retain(|_, kept| kept.touched > oldest);
}

/// Leave to send one request, to be given back with what it told. Dropped without: it was given up, or its time was over.
pub(super) struct Permit<'a, K: Clone + Eq + Hash> {
    breakers: &'a Breakers<K>,
    of: Option<(ClientId, K)>,
    pass: Pass,
    until: Instant,
}

impl<K: Clone + Eq + Hash> Permit<'_, K> {
    pub(super) fn settle(mut self, sign: Sign) {
        self.tell(sign);
    }

    fn tell(&mut self, sign: Sign) {
        if let Some(of) = self.of.take() {
            self.breakers.settle(of, self.pass, sign, Instant::now());
        }
    }
}

impl<K: Clone + Eq + Hash> Drop for Permit<'_, K> {
    fn drop(&mut self) {
        let over = Instant::now() + NEARLY >= self.until;
        self.tell(if over { Sign::Failed } else { Sign::None });
    }
}

/// What a status tells, with the `Retry-After` that came with it.
pub(super) fn sign(status: u16, retry_after: Option<&str>, now: DateTime<Utc>) -> Sign {
    match status {
        429 => retry_after.and_then(|text| wait(text.trim(), now)).map_or(Sign::Answered, Sign::Wait),
        500.. => Sign::Failed,
        _ => Sign::Answered,
    }
}

/// Seconds, or a day and time.
fn wait(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let until = DateTime::parse_from_rfc2822(text).ok()?;
    (until.to_utc() - now).to_std().ok()
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
