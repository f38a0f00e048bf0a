//! Engines that refuse for good: a key, a model or an account that no retry can mend. What concerns every call is remembered
//! for the process, so that it can be told to whoever watches, until the engine works again. Meanwhile calls begin with the other
//! engine, if there is one, and now and then one tries.
//!
//! Shared by all threads. Refused settings are not among it: they are of one agent, and another's may do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use caly_actors::ports::{Engine, EngineError, EngineEvent, EngineLanes, EngineSession, EngineSpec, ResponseOutcome};
use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;

/// So long no call tries; twice as long after each that did, up to the longest.
const REST: Duration = Duration::from_secs(5);
const REST_MAX: Duration = Duration::from_secs(60);

/// Which of the process's engines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Which {
    /// The one every call begins with.
    First,
    /// The one for calls that the first has failed.
    Fallback,
}

impl Which {
    fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Fallback => "fallback",
        }
    }
}

/// An engine refuses for good.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Verdict {
    /// `refused` or `quota`.
    pub kind: &'static str,
    since: Instant,
    /// Sessions open all the same: only an answer shows that it works again.
    in_answers: bool,
    /// No call tries before.
    until: Instant,
    rest: Duration,
}

impl Verdict {
    fn new(kind: &'static str, in_answers: bool, now: Instant) -> Self {
        Self { kind, since: now, in_answers, until: now + REST, rest: REST }
    }

    /// Whether a call that has another engine tries this one now.
    fn admits(&mut self, now: Instant) -> bool {
        let admits = now >= self.until;
        if admits {
            self.rest = (self.rest * 2).min(REST_MAX);
            self.until = now + self.rest;
        }
        admits
    }

    /// How long it has stood.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }
}

/// See the module's text.
#[derive(Default)]
pub struct Verdicts {
    standing: [Mutex<Option<Verdict>>; 2],
    fallback: AtomicBool,
}

impl Verdicts {
    /// The engine, watched.
    #[must_use]
    pub fn watch(self: &Arc<Self>, which: Which, inner: Arc<dyn Engine>) -> Arc<dyn Engine> {
        if which == Which::Fallback {
            self.fallback.store(true, Ordering::Relaxed);
        }
        Arc::new(Watched { inner, which, verdicts: Arc::clone(self) })
    }

    /// What stands against an engine.
    #[must_use]
    pub fn of(&self, which: Which) -> Option<Verdict> {
        *self.lock(which)
    }

    /// Whether calls find an engine, as far as is known.
    #[must_use]
    pub fn any_works(&self) -> bool {
        let fallback = self.fallback.load(Ordering::Relaxed) && self.of(Which::Fallback).is_none();
        self.of(Which::First).is_none() || fallback
    }

    /// Somebody says that it was mended: the next call shows.
    pub fn forget(&self) {
        for which in [Which::First, Which::Fallback] {
            self.lift(which, |_| true, "the configuration was read anew");
        }
    }

    fn lock(&self, which: Which) -> std::sync::MutexGuard<'_, Option<Verdict>> {
        // A panic while holding the lock cannot leave half a verdict.
        self.standing[which as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(&self, which: Which, error: &EngineError, in_answers: bool) {
        let (EngineError::Refused(_) | EngineError::Quota(_)) = error else { return };
        let (engine, kind) = (which.as_str(), error.kind());
        let mut standing = self.lock(which);
        match &mut *standing {
            Some(verdict) if verdict.kind == kind => verdict.in_answers |= in_answers,
            former => {
                if let Some(former) = former.replace(Verdict::new(kind, in_answers, Instant::now())) {
                    tell(engine, former.kind, false);
                }
                tell(engine, kind, true);
                tracing::error!(engine, %error, "the engine refuses for good; no call is answered by it until this is mended");
            }
        }
    }

    fn lift(&self, which: Which, ends: impl Fn(&Verdict) -> bool, why: &str) {
        if let Some(verdict) = self.lock(which).take_if(|verdict| ends(verdict)) {
            tell(which.as_str(), verdict.kind, false);
            let seconds = verdict.age().as_secs();
            tracing::info!(
                engine = which.as_str(),
                kind = verdict.kind,
                seconds,
                why,
                "nothing stands against the engine"
            );
        }
    }

    fn hear(&self, which: Which, event: &EngineEvent) {
        match event {
            EngineEvent::Lost(error) => self.judge(which, error, true),
            EngineEvent::ResponseDone { outcome: ResponseOutcome::Failed(error), .. } => self.judge(which, error, true),
            EngineEvent::ResponseDone { outcome: ResponseOutcome::Completed, .. } => {
                self.lift(which, |_| true, "it answers");
            }
            _ => {}
        }
    }
}

fn tell(engine: &'static str, kind: &'static str, stands: bool) {
    let value = if stands { 1.0 } else { 0.0 };
    metrics::gauge!("caly_engine_refuses", "engine" => engine, "kind" => kind).set(value);
}

struct Watched {
    inner: Arc<dyn Engine>,
    which: Which,
    verdicts: Arc<Verdicts>,
}

impl Engine for Watched {
    fn window(&self) -> u64 {
        self.inner.window()
    }

    fn is_worth_asking(&self) -> bool {
        // In this order: the other counts whom it admits.
        let admits = self.verdicts.lock(self.which).as_mut().is_none_or(|verdict| verdict.admits(Instant::now()));
        admits && self.inner.is_worth_asking()
    }

    fn open(
        &self,
        spec: EngineSpec,
        lanes: EngineLanes,
    ) -> LocalBoxFuture<'static, Result<EngineSession, EngineError>> {
        let (opening, which, verdicts) = (self.inner.open(spec, lanes), self.which, Arc::clone(&self.verdicts));
        Box::pin(async move {
            let EngineSession { commands, events } =
                opening.await.inspect_err(|error| verdicts.judge(which, error, false))?;
            verdicts.lift(which, |verdict| !verdict.in_answers, "a session is open");
            let events = events.inspect(move |event| verdicts.hear(which, event));
            Ok(EngineSession { commands, events: Box::pin(events) })
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use caly_actors::domain::Usage;

    fn done(outcome: ResponseOutcome) -> EngineEvent {
        EngineEvent::ResponseDone { response: "r".into(), outcome, usage: Usage::default() }
    }

    fn refused() -> EngineError {
        EngineError::Refused("key".into())
    }

    fn quota() -> EngineError {
        EngineError::Quota("empty".into())
    }

    fn busy() -> EngineError {
        EngineError::Busy { reason: "later".into(), after: None }
    }

    fn kind(verdicts: &Verdicts, which: Which) -> Option<&'static str> {
        verdicts.of(which).map(|verdict| verdict.kind)
    }

    #[test]
    fn only_what_no_retry_can_mend_and_every_call_meets_is_remembered() {
        let settings = || EngineError::Settings("voice".into());
        for (error, expected) in [
            (refused(), Some("refused")),
            (quota(), Some("quota")),
            (busy(), None),
            (settings(), None),
            (EngineError::Expired, None),
            (EngineError::Stalled("no answer"), None),
        ] {
            for told in [EngineEvent::Lost(error.clone()), done(ResponseOutcome::Failed(error.clone()))] {
                let verdicts = Verdicts::default();
                verdicts.hear(Which::First, &told);
                assert_eq!(kind(&verdicts, Which::First), expected, "{told:?}");
                assert_eq!(kind(&verdicts, Which::Fallback), None);
            }
            let verdicts = Verdicts::default();
            verdicts.judge(Which::First, &error, false);
            assert_eq!(kind(&verdicts, Which::First), expected, "{error:?}");
        }
    }

    #[test]
    fn what_refused_a_session_is_over_when_one_opens_and_what_refused_an_answer_when_one_is_made() {
        let opened = |verdicts: &Verdicts| verdicts.lift(Which::First, |verdict| !verdict.in_answers, "");
        let verdicts = Verdicts::default();
        verdicts.judge(Which::First, &refused(), false);
        opened(&verdicts);
        assert_eq!(kind(&verdicts, Which::First), None);

        verdicts.hear(Which::First, &done(ResponseOutcome::Failed(quota())));
        opened(&verdicts);
        verdicts.hear(Which::First, &done(ResponseOutcome::Cancelled));
        assert_eq!(kind(&verdicts, Which::First), Some("quota"), "sessions open without credit");
        verdicts.hear(Which::First, &done(ResponseOutcome::Completed));
        assert_eq!(kind(&verdicts, Which::First), None);

        verdicts.hear(Which::First, &done(ResponseOutcome::Failed(quota())));
        verdicts.forget();
        assert_eq!(kind(&verdicts, Which::First), None, "the operator says so");
    }

    #[test]
    fn calls_with_another_engine_try_one_that_refuses_more_and_more_rarely() {
        let begun = Instant::now();
        let second = Duration::from_secs(1);
        let (mut verdict, mut now) = (Verdict::new("quota", true, begun), begun);
        for rest in [5, 10, 20, 40, 60, 60] {
            assert!(!verdict.admits(now + second * rest - second / 10), "{rest}");
            now += second * rest;
            assert!(verdict.admits(now) && !verdict.admits(now), "{rest}");
        }
    }

    #[test]
    fn calls_find_an_engine_as_long_as_one_of_them_works() {
        struct Never;
        impl Engine for Never {
            fn open(
                &self,
                _: EngineSpec,
                _: EngineLanes,
            ) -> LocalBoxFuture<'static, Result<EngineSession, EngineError>> {
                Box::pin(std::future::pending())
            }
        }
        let alone = Arc::new(Verdicts::default());
        let _ = alone.watch(Which::First, Arc::new(Never));
        assert!(alone.any_works());
        alone.judge(Which::First, &refused(), false);
        assert!(!alone.any_works());

        let both = Arc::new(Verdicts::default());
        let _ = (both.watch(Which::First, Arc::new(Never)), both.watch(Which::Fallback, Arc::new(Never)));
        both.judge(Which::First, &refused(), false);
        assert!(both.any_works());
        both.judge(Which::Fallback, &quota(), true);
        assert!(!both.any_works());
    }
}
