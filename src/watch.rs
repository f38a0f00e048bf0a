//! Watches the threads that calls live on and the memory of the process, from a thread of its own: names a thread that is
//! blocked and the actor that blocks it, lets new calls be refused while there is no time or room for them, and tells the
//! service manager that all is well only while it is.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use caly_actors::supervise::{Running, running_here};
use sd_notify::NotifyState;

/// How often a thread shows that it lives, and how often it is looked at.
const BEAT: Duration = Duration::from_millis(100);
/// A thread that shows nothing for this long is blocked.
const BLOCKED: Duration = Duration::from_secs(1);
/// New calls are refused this long after the last sign of overload.
const CALM: Duration = Duration::from_secs(3);
/// When the watch itself slept this much too long, the whole process was stopped.
const SUSPENDED: Duration = Duration::from_secs(1);
/// Share of the memory allowed by the control group, in percent, above which new calls are refused.
const MEMORY_PERCENT: u64 = 85;

/// When new calls are refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Overload {
    /// A thread is this late; zero: never for this reason.
    pub lag: Duration,
    /// Resident bytes of the process; 0: never for this reason.
    pub memory: u64,
}

struct Thread {
    name: String,
    /// Milliseconds since the watch began, at the last sign of life.
    beat: AtomicU64,
    blocked: AtomicBool,
    running: Running,
}

/// A thread that does not get on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Blocked {
    /// Its name.
    pub thread: String,
    /// What it runs: `media of 0192…`; empty outside of any actor.
    pub running: String,
    /// Since when.
    pub since: Duration,
}

/// See the module's text. Shared; ends with its last owner.
pub struct Watch {
    began: Instant,
    threads: Mutex<Vec<Arc<Thread>>>,
    overload: Mutex<Overload>,
}

impl Watch {
    /// Watches nothing yet.
    #[must_use]
    pub fn new(overload: Overload) -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), threads: Mutex::default(), overload: Mutex::new(overload) })
    }

    /// Other limits from now on.
    pub fn set_overload(&self, overload: Overload) {
        *self.overload.lock().unwrap_or_else(PoisonError::into_inner) = overload;
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn threads(&self) -> Vec<Arc<Thread>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Watches the current arbiter's thread from now on.
    pub fn add_this_thread(self: &Arc<Self>) {
        let name = std::thread::current().name().unwrap_or("unnamed").to_owned();
        let thread = Arc::new(Thread {
            name,
            beat: AtomicU64::new(self.now_ms()),
            blocked: AtomicBool::new(false),
            running: running_here(),
        });
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&thread));
        let watch = Arc::downgrade(self);
        actix_rt::spawn(async move {
            while let Some(watch) = watch.upgrade() {
                thread.beat.store(watch.now_ms(), Ordering::Release);
                drop(watch);
                tokio::time::sleep(BEAT).await;
            }
        });
    }

    /// Threads that do not get on now.
    #[must_use]
    pub fn blocked(&self) -> Vec<Blocked> {
        let now = self.now_ms();
        let stuck = |thread: &Arc<Thread>| {
            let since = late(now, thread.beat.load(Ordering::Acquire));
            let running = thread.running.label().map_or_else(String::new, |label| label.to_string());
            (since >= BLOCKED).then(|| Blocked { thread: thread.name.clone(), running, since })
        };
        self.threads().iter().filter_map(stuck).collect()
    }

    /// Begins to watch. `shed` is told whether new calls are to be refused.
    ///
    /// # Errors
    /// No thread can be made.
    pub fn start(self: &Arc<Self>, shed: impl Fn(bool) + Send + 'static) -> std::io::Result<()> {
        let watch = Arc::downgrade(self);
        let manager = sd_notify::watchdog_enabled();
        let run = move || {
            let (mut slept_at, mut calm_at, mut told_at) = (Instant::now(), Instant::now(), None::<Instant>);
            loop {
                std::thread::sleep(BEAT);
                let Some(watch) = watch.upgrade() else { return };
                let gap = slept_at.elapsed();
                slept_at = Instant::now();
                if gap > BEAT + SUSPENDED {
                    tracing::warn!(seconds = gap.as_secs(), "the process was suspended");
                    metrics::counter!("caly_suspensions_total").increment(1);
                    watch.forgive();
                    continue;
                }
                let worst = watch.look();
                if watch.is_overloaded(worst) {
                    calm_at = slept_at + CALM;
                }
                shed(slept_at < calm_at);
                if let Some(every) = manager
                    && worst < every
                    && told_at.is_none_or(|at| at.elapsed() >= every / 3)
                {
                    told_at = Some(slept_at);
                    notify(&[NotifyState::Watchdog]);
                }
            }
        };
        std::thread::Builder::new().name("watch".to_owned()).spawn(run).map(drop)
    }

    /// Nobody could show a sign of life while the process was stopped.
    fn forgive(&self) {
        let now = self.now_ms();
        for thread in self.threads() {
            thread.beat.store(now, Ordering::Release);
        }
    }

    /// Measures every thread, tells of those that become blocked or free, and gives the longest delay.
    fn look(&self) -> Duration {
        let now = self.now_ms();
        let mut worst = Duration::ZERO;
        for thread in self.threads() {
            let lag = late(now, thread.beat.load(Ordering::Acquire));
            worst = worst.max(lag);
            metrics::gauge!("caly_thread_lag_seconds", "thread" => thread.name.clone()).set(lag.as_secs_f64());
            let blocked = lag >= BLOCKED;
            if blocked == thread.blocked.swap(blocked, Ordering::AcqRel) {
                continue;
            }
            let running = thread.running.label();
            let running = running.as_deref().unwrap_or("no actor");
            if blocked {
                metrics::counter!("caly_threads_blocked_total").increment(1);
                tracing::error!(thread = thread.name, running, lag_ms = lag.as_millis() as u64, "thread is blocked");
            } else {
                tracing::warn!(thread = thread.name, "thread gets on again");
            }
        }
        worst
    }

    fn is_overloaded(&self, worst: Duration) -> bool {
        let limits = *self.overload.lock().unwrap_or_else(PoisonError::into_inner);
        let late = !limits.lag.is_zero() && worst >= limits.lag;
        late || (limits.memory > 0 && resident_bytes().is_some_and(|bytes| bytes >= limits.memory))
    }
}

fn late(now_ms: u64, beat_ms: u64) -> Duration {
    Duration::from_millis(now_ms.saturating_sub(beat_ms)).saturating_sub(BEAT)
}

/// Resident bytes of this process; `None` where the kernel does not tell.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Most of what the control group allows this process; 0 if it allows anything.
#[must_use]
pub fn memory_allowed() -> u64 {
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let read = |path: &&str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    // Without a limit the older interface shows a number no machine has.
    let limit = limits.iter().find_map(read).filter(|bytes| *bytes < 1 << 50);
    limit.map_or(0, |bytes| bytes / 100 * MEMORY_PERCENT)
}

/// Tells the service manager, if there is one.
pub fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager was not told");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const LIMITS: Overload = Overload { lag: Duration::from_secs(1), memory: 0 };

    #[actix_rt::test]
    async fn a_thread_that_does_not_get_on_is_named_until_it_does() {
        let watch = Watch::new(LIMITS);
        watch.add_this_thread();
        assert_eq!(watch.blocked(), []);
        let looker = Arc::clone(&watch);
        let seen = std::thread::spawn(move || {
            let begun = Instant::now();
            while looker.blocked().is_empty() && begun.elapsed() < Duration::from_secs(20) {
                std::thread::yield_now();
            }
            (looker.blocked(), looker.look())
        });
        // Blocks this arbiter, as a careless handler would.
        let (blocked, worst) = seen.join().unwrap();
        assert_eq!(blocked.len(), 1);
        assert_eq!(Some(blocked[0].thread.as_str()), std::thread::current().name());
        assert!(worst >= BLOCKED && watch.is_overloaded(worst));
        tokio::time::sleep(Duration::from_millis(1)).await;
        let begun = Instant::now();
        while !watch.blocked().is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(20));
            tokio::task::yield_now().await;
        }
        assert!(!watch.is_overloaded(watch.look()));
    }

    #[test]
    fn too_little_memory_is_overload_and_no_limit_is_none() {
        let bytes = resident_bytes().unwrap();
        assert!(bytes > 1 << 20, "{bytes}");
        for (memory, expected) in [(0, false), (1, true), (u64::MAX, false)] {
            let watch = Watch::new(Overload { lag: Duration::ZERO, memory });
            assert_eq!(watch.is_overloaded(Duration::from_secs(9)), expected, "{memory}");
        }
    }

    #[test]
    fn a_suspension_of_the_process_is_nobodys_fault() {
        let watch = Watch::new(LIMITS);
        let thread = Thread {
            name: "t".to_owned(),
            beat: AtomicU64::new(0),
            blocked: AtomicBool::new(false),
            running: Running::default(),
        };
        watch.threads.lock().unwrap().push(Arc::new(thread));
        assert_eq!(late(12_100, 0), Duration::from_secs(12));
        watch.forgive();
        assert!(watch.look() < BLOCKED);
    }
}
