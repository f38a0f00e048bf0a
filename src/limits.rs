//! How often somebody may do something: one limiter per kind of somebody, keyed by name.
//!
//! Each limiter remembers a bounded number of names. Names that have been quiet are forgotten when it is full; if it
//! is still full, all strangers share one allowance, so a flood of made-up names costs neither memory nor the known.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::config::Limits;

/// Checks between two looks at how many names are remembered.
const LOOK_EVERY: usize = 1_024;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Refused; may be tried again after this long.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("too many requests; try again in {} s", self.seconds())]
pub struct RetryAfter(pub Duration);

impl RetryAfter {
    /// Whole seconds for a `Retry-After` header, at least 1.
    #[must_use]
    pub fn seconds(&self) -> u64 {
        self.0.as_secs() + u64::from(self.0.subsec_nanos() > 0 || self.0.is_zero())
    }
}

type Keyed<K, C> = RateLimiter<K, DashMapStateStore<K>, C, NoOpMiddleware<<C as Clock>::Instant>>;
type Single<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

struct Rates<K: Hash + Eq + Clone, C: Clock> {
    known: Keyed<K, C>,
    strangers: Single<C>,
}

impl<K: Hash + Eq + Clone, C: Clock + Clone> Rates<K, C> {
    fn new(burst: u32, period: Duration, clock: &C) -> Arc<Self> {
        let quota = quota(burst, period);
        Arc::new(Self {
            known: RateLimiter::new(quota, DashMapStateStore::default(), clock.clone()),
            strangers: RateLimiter::new(quota, InMemoryState::default(), clock.clone()),
        })
    }
}

/// One limiter for many names.
pub struct KeyedLimit<K: Hash + Eq + Clone, C: Clock = DefaultClock> {
    name: &'static str,
    /// Replaced as a whole when the limit changes.
    rates: RwLock<Arc<Rates<K, C>>>,
    clock: C,
    most_keys: AtomicUsize,
    /// How many names were remembered at the last look.
    keys: AtomicUsize,
    checks: AtomicUsize,
}

impl<K: Hash + Eq + Clone> KeyedLimit<K> {
    /// `name` labels the metric; `burst` may come at once, and as many again per `period`.
    #[must_use]
    pub fn new(name: &'static str, burst: u32, period: Duration, most_keys: usize) -> Self {
        Self::with_clock(name, burst, period, most_keys, DefaultClock::default())
    }
}

impl<K: Hash + Eq + Clone, C: Clock + Clone> KeyedLimit<K, C> {
    fn with_clock(name: &'static str, burst: u32, period: Duration, most_keys: usize, clock: C) -> Self {
        Self {
            name,
            rates: RwLock::new(Rates::new(burst, period, &clock)),
            clock,
            most_keys: AtomicUsize::new(most_keys),
            keys: AtomicUsize::new(0),
            checks: AtomicUsize::new(0),
        }
    }

    /// Counts one try by `key`.
    ///
    /// # Errors
    /// Over the limit; the refused try is not counted against it.
    pub fn check(&self, key: &K) -> Result<(), RetryAfter> {
        let rates = self.rates();
        self.look(&rates);
        let outcome = if self.is_full() { rates.strangers.check() } else { rates.known.check_key(key) };
        outcome.map_err(|not_until| {
            metrics::counter!("caly_rate_limited_total", "limit" => self.name).increment(1);
            RetryAfter(not_until.wait_time_from(self.clock.now()))
        })
    }

    /// Names remembered now.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.rates().known.len()
    }

    /// Another limit from now on; what was counted is forgotten.
    pub fn set(&self, burst: u32, period: Duration, most_keys: usize) {
        let rates = Rates::new(burst, period, &self.clock);
        *self.rates.write().unwrap_or_else(PoisonError::into_inner) = rates;
        self.most_keys.store(most_keys, Ordering::Relaxed);
        self.keys.store(0, Ordering::Relaxed);
    }

    fn rates(&self) -> Arc<Rates<K, C>> {
        Arc::clone(&self.rates.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_full(&self) -> bool {
        self.keys.load(Ordering::Relaxed) >= self.most_keys.load(Ordering::Relaxed)
    }

    /// Now and then, not each time: counting and forgetting walk over every name.
    fn look(&self, rates: &Rates<K, C>) {
        let most_keys = self.most_keys.load(Ordering::Relaxed);
        let every = LOOK_EVERY.min(most_keys);
        if !self.checks.fetch_add(1, Ordering::Relaxed).is_multiple_of(every) {
            return;
        }
        if rates.known.len() >= most_keys {
            rates.known.retain_recent();
            rates.known.shrink_to_fit();
        }
        self.keys.store(rates.known.len(), Ordering::Relaxed);
    }
}

fn quota(burst: u32, period: Duration) -> Quota {
    let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    let each = (period / burst.get()).max(Duration::from_nanos(1));
    // `with_period` refuses only zero, which `each` cannot be.
    Quota::with_period(each).unwrap_or_else(|| Quota::per_second(burst)).allow_burst(burst)
}

/// One name for all the addresses a single subscriber commands: an IPv4 address, or the /64 of an IPv6 one.
#[must_use]
pub fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

/// The limiters of the process.
pub struct RateLimits {
    /// Webhook requests, by client slug.
    pub webhooks: KeyedLimit<Arc<str>>,
    /// Calls admitted, by client slug and the caller's number as the database keeps it.
    pub callers: KeyedLimit<(Arc<str>, Arc<str>)>,
    /// Admin requests, by the id of the API key.
    pub api_keys: KeyedLimit<Arc<str>>,
    /// Refused credentials, by [`subscriber`] address.
    pub failed_auth: KeyedLimit<IpAddr>,
    /// Requests of every kind but health, by [`subscriber`] address.
    pub addresses: KeyedLimit<IpAddr>,
}

impl RateLimits {
    /// As configured.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let made = Self {
            webhooks: KeyedLimit::new("webhooks", 1, MINUTE, 1),
            callers: KeyedLimit::new("callers", 1, MINUTE, 1),
            api_keys: KeyedLimit::new("api_keys", 1, MINUTE, 1),
            failed_auth: KeyedLimit::new("failed_auth", 1, MINUTE, 1),
            addresses: KeyedLimit::new("addresses", 1, SECOND, 1),
        };
        made.reload(limits);
        made
    }

    /// As configured now; what was counted is forgotten.
    pub fn reload(&self, limits: &Limits) {
        let most = limits.tracked_keys;
        self.webhooks.set(limits.webhooks_per_client_per_minute, MINUTE, most);
        self.callers.set(limits.calls_per_caller_per_minute, MINUTE, most);
        self.api_keys.set(limits.api_per_key_per_second, SECOND, most);
        self.failed_auth.set(limits.failed_auth_per_address_per_minute, MINUTE, most);
        self.addresses.set(limits.requests_per_address_per_second, SECOND, most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;

    fn limit(burst: u32, most: usize) -> (KeyedLimit<u32, FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (KeyedLimit::with_clock("test", burst, Duration::from_secs(60), most, clock.clone()), clock)
    }

    #[test]
    fn the_burst_passes_and_the_next_is_told_when_to_come_back() {
        let (limit, clock) = limit(3, 100);
        assert_eq!([limit.check(&1), limit.check(&1), limit.check(&1)], [Ok(()); 3]);
        assert_eq!(limit.check(&1), Err(RetryAfter(Duration::from_secs(20))));
        clock.advance(Duration::from_secs(20));
        assert_eq!(limit.check(&1), Ok(()));
        assert!(limit.check(&1).is_err());
    }

    #[test]
    fn a_limit_changed_is_in_use_at_once_and_forgets_what_was_counted() {
        let (limit, _clock) = limit(1, 100);
        assert!(limit.check(&1).is_ok() && limit.check(&1).is_err());
        limit.set(2, Duration::from_secs(60), 100);
        assert!(limit.check(&1).is_ok() && limit.check(&1).is_ok() && limit.check(&1).is_err());
    }

    #[test]
    fn others_are_unaffected() {
        let (limit, _clock) = limit(1, 100);
        assert!(limit.check(&1).is_ok() && limit.check(&1).is_err());
        assert!(limit.check(&2).is_ok());
    }

    #[test]
    fn a_flood_of_names_is_bounded_and_forgotten_when_quiet() {
        let (limit, clock) = limit(5, 200);
        let refused = (0..5_000).filter(|name| limit.check(name).is_err()).count();
        assert!(limit.remembered() <= 400, "{} names remembered", limit.remembered());
        assert!(refused > 4_000, "strangers share one allowance, only {refused} refused");
        clock.advance(Duration::from_secs(120));
        // The flood has ended: within one look the quiet names are gone and a new one is known again.
        let passed = (0..200).filter(|_| limit.check(&9_999).is_ok()).count();
        assert!(limit.remembered() <= 1, "{} names remembered", limit.remembered());
        assert!((5..=10).contains(&passed), "{passed} passed");
    }

    #[test]
    fn retry_after_is_rounded_up_to_whole_seconds() {
        for (millis, seconds) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2)] {
            assert_eq!(RetryAfter(Duration::from_millis(millis)).seconds(), seconds);
        }
    }

    #[test]
    fn an_ipv6_subscriber_is_one_however_many_addresses_it_uses() {
        let one = subscriber("2001:db8:1:2:aaaa::1".parse().unwrap());
        assert_eq!(one, subscriber("2001:db8:1:2:bbbb::9".parse().unwrap()));
        assert_ne!(one, subscriber("2001:db8:1:3::1".parse().unwrap()));
        assert_eq!(subscriber("::ffff:192.0.2.1".parse().unwrap()), "192.0.2.1".parse::<IpAddr>().unwrap());
    }
}
