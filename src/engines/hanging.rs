//! An engine that hangs: its address takes connections and nothing follows. Each call would find out by waiting, so the process
//! remembers it: calls begin with the other engine, and one at a time tries whether it is back.
//!
//! Shared by all threads. [`Hang`] decides: plain data with the time as an argument.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use caly_actors::ports::{ENGINE_HANGS, Engine, EngineError, EngineLanes, EngineSession, EngineSpec};
use futures_util::future::LocalBoxFuture;

/// How long nobody tries; twice as long after each trial that hung, up to the longest.
const REST: Duration = Duration::from_secs(5);
const REST_MAX: Duration = Duration::from_secs(60);
/// Given up so shortly before it would have hung, it hung.
const NEARLY: Duration = Duration::from_millis(50);

/// What is known of an engine that hangs.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Hang {
    since: Instant,
    /// Nobody tries before.
    until: Instant,
    rest: Duration,
    /// Somebody does.
    trial: bool,
}

impl Hang {
    fn new(now: Instant) -> Self {
        Self { since: now, until: now + REST, rest: REST, trial: false }
    }

    /// Whether to try now, as the one who does.
    fn admit(&mut self, now: Instant) -> bool {
        let free = !self.trial && now >= self.until;
        self.trial |= free;
        free
    }

    /// A session hung. Of those that were asked for before it was known nothing new is learnt.
    fn again(&mut self, now: Instant) {
        if std::mem::take(&mut self.trial) {
            self.rest = (self.rest * 2).min(REST_MAX);
            self.until = now + self.rest;
        }
    }
}

/// See the module's text.
#[derive(Default)]
pub struct Hangs(Mutex<Option<Hang>>);

impl Hangs {
    /// The engine, watched.
    #[must_use]
    pub fn watch(self: &Arc<Self>, inner: Arc<dyn Engine>) -> Arc<dyn Engine> {
        Arc::new(Watched { inner, hangs: Arc::clone(self) })
    }

    /// Since when it hangs, if it does.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.lock().map(|hang| hang.since.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Hang>> {
        // A panic while holding the lock cannot leave half of it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hung(&self, now: Instant) {
        let mut known = self.lock();
        match &mut *known {
            Some(hang) => hang.again(now),
            None => {
                *known = Some(Hang::new(now));
                metrics::gauge!("caly_engine_hangs").set(1.0);
                tracing::error!(
                    "the first engine hangs: calls begin with the fallback, if there is one, and one at a time tries it"
                );
            }
        }
    }

    /// It opened a session, or at least said why it does not.
    fn answered(&self) {
        if let Some(hang) = self.lock().take() {
            metrics::gauge!("caly_engine_hangs").set(0.0);
            tracing::info!(seconds = hang.since.elapsed().as_secs(), "the first engine answers again");
        }
    }

    /// Whoever tried gave up before anything could be known.
    fn given_up(&self) {
        if let Some(hang) = &mut *self.lock() {
            hang.trial = false;
        }
    }
}

struct Watched {
    inner: Arc<dyn Engine>,
    hangs: Arc<Hangs>,
}

impl Engine for Watched {
    fn window(&self) -> u64 {
        self.inner.window()
    }

    fn is_worth_asking(&self) -> bool {
        self.hangs.lock().as_mut().is_none_or(|hang| hang.admit(Instant::now()))
    }

    fn open(
        &self,
        spec: EngineSpec,
        lanes: EngineLanes,
    ) -> LocalBoxFuture<'static, Result<EngineSession, EngineError>> {
        let opening = self.inner.open(spec, lanes);
        let asked = Asked { hangs: Some(Arc::clone(&self.hangs)), began: Instant::now() };
        Box::pin(async move {
            let result = opening.await;
            asked.settle(!matches!(result, Err(EngineError::Stalled(_))));
            result
        })
    }
}

/// A session that was asked for. Dropped unsettled, it was given up.
struct Asked {
    hangs: Option<Arc<Hangs>>,
    began: Instant,
}

impl Asked {
    fn settle(mut self, answered: bool) {
        let Some(hangs) = self.hangs.take() else { return };
        if answered { hangs.answered() } else { hangs.hung(Instant::now()) }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let Some(hangs) = self.hangs.take() else { return };
        let now = Instant::now();
        if now + NEARLY >= self.began + ENGINE_HANGS { hangs.hung(now) } else { hangs.given_up() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn one_at_a_time_tries_whether_it_is_back_and_more_and_more_rarely() {
        let begun = Instant::now();
        let (mut hang, mut now) = (Hang::new(begun), begun);
        for rest in [5, 10, 20, 40, 60, 60] {
            assert!(!hang.admit(now + SECOND * rest - SECOND / 10), "{rest}");
            now += SECOND * rest;
            // Somebody who had asked before it was known.
            hang.again(now);
            assert!(hang.admit(now) && !hang.admit(now) && !hang.admit(now + SECOND), "{rest}");
            now += SECOND * 2;
            hang.again(now);
        }
        assert_eq!(hang.since, begun);
    }

    #[test]
    fn what_became_of_a_session_tells_whether_it_hangs() {
        let long_ago = || Instant::now().checked_sub(SECOND * 2);
        // When it was asked for, whether it answered, and whether it hangs.
        for (began, answered, hangs) in [
            (Some(Instant::now()), None, false),
            (long_ago(), None, true),
            (long_ago(), Some(true), false),
            (Some(Instant::now()), Some(false), true),
        ] {
            let known = Arc::new(Hangs::default());
            let asked = Asked { hangs: Some(Arc::clone(&known)), began: began.unwrap_or_else(Instant::now) };
            match answered {
                Some(answered) => asked.settle(answered),
                None => drop(asked),
            }
            assert_eq!(known.age().is_some(), hangs, "{answered:?}");
            known.answered();
            assert_eq!(known.age(), None);
        }
    }

    #[test]
    fn a_trial_that_is_given_up_keeps_nobody_from_trying() {
        let known = Arc::new(Hangs::default());
        known.hung(Instant::now());
        if let Some(hang) = &mut *known.lock() {
            hang.until = hang.since;
        }
        let admit = || known.lock().as_mut().is_none_or(|hang| hang.admit(Instant::now()));
        assert!(admit() && !admit());
        drop(Asked { hangs: Some(Arc::clone(&known)), began: Instant::now() });
        assert!(admit());
    }
}
