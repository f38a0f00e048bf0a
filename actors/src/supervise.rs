//! How a parent learns that a child is gone, and when the child is started again.
//!
//! actix stops an actor that panics and tells nobody. Here its context is polled under `catch_unwind`; after a panic it
//! is restarted *in place*, so that its address and the messages behind the bad one survive. The message in hand is
//! lost. Past [`RestartPolicy::crashes_max`] the child is given up and its address closes.
//!
//! A child resets itself in `Supervised::restarting`; spawned futures, timers and streams are gone by then and are
//! made again by `started`, which runs once more.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

use actix::dev::ContextFut;
use actix::prelude::*;
use tokio::time::{Instant, Sleep, sleep};

/// The parts of a call that live and die on their own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Child {
    /// Sweeps the registry; one per process.
    Supervisor,
    /// The call itself.
    Call,
    /// Audio in and out.
    Media,
    /// The engine session.
    Realtime,
    /// Understanding.
    Intent,
    /// Doing.
    Action,
}

impl Child {
    /// The four children of a call.
    pub const OF_A_CALL: [Self; 4] = [Self::Media, Self::Realtime, Self::Intent, Self::Action];

    /// The word used in metrics, logs and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Supervisor => "supervisor",
            Self::Call => "call",
            Self::Media => "media",
            Self::Realtime => "realtime",
            Self::Intent => "intent",
            Self::Action => "action",
        }
    }
}

impl fmt::Display for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What became of a child.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It panicked and starts again.
    Crashed,
    /// It panicked too often and will not come back.
    GaveUp,
    /// It stopped of its own accord.
    Ended,
}

/// How often a child may crash.
#[derive(Clone, Copy, Debug)]
pub struct RestartPolicy {
    /// Crashes forgiven within the window.
    pub crashes_max: usize,
    /// Length of the window.
    pub window: Duration,
    /// Wait before the first restart; four times longer each further one in the window.
    pub backoff: Duration,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self { crashes_max: 3, window: Duration::from_secs(60), backoff: Duration::from_millis(2) }
    }
}

/// Which actor a thread is running: `media of 0192…`. Another thread may look, as the watch over blocked threads does.
#[derive(Clone, Default, Debug)]
pub struct Running(Arc<Mutex<Option<Arc<str>>>>);

impl Running {
    /// The actor; `None` between two of them.
    #[must_use]
    pub fn label(&self) -> Option<Arc<str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Held for one assignment, which cannot panic.
    fn replace(&self, label: Option<Arc<str>>) -> Option<Arc<str>> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), label)
    }
}

thread_local! {
    static RUNNING: Running = Running::default();
}

/// What the current thread is running, to be kept by whoever watches it.
#[must_use]
pub fn running_here() -> Running {
    RUNNING.with(Running::clone)
}

/// Which actor this thread is running now, for the panic hook.
#[must_use]
pub fn current_label() -> Option<Arc<str>> {
    RUNNING.try_with(Running::label).ok().flatten()
}

/// Starts an actor on the current arbiter under supervision; `report` is called on the same thread for each fate.
pub fn start<A, F>(actor: A, child: Child, label: &str, policy: RestartPolicy, report: F) -> Addr<A>
where
    A: Actor<Context = Context<A>> + Supervised,
    F: FnMut(Fate) + 'static,
{
    start_in(Context::new(), actor, child, label, policy, report)
}

/// As [`start`], for a context whose address was handed out beforehand.
pub fn start_in<A, F>(
    context: Context<A>,
    actor: A,
    child: Child,
    label: &str,
    policy: RestartPolicy,
    report: F,
) -> Addr<A>
where
    A: Actor<Context = Context<A>> + Supervised,
    F: FnMut(Fate) + 'static,
{
    let address = context.address();
    metrics::gauge!("caly_actors", "kind" => child.as_str()).increment(1.0);
    actix::spawn(Guard {
        running: Some(context.into_future(actor)),
        backoff: None,
        crashes: VecDeque::new(),
        child,
        label: format!("{child} of {label}").into(),
        policy,
        report,
    });
    address
}

struct Guard<A: Actor<Context = Context<A>>, F> {
    running: Option<ContextFut<A, Context<A>>>,
    backoff: Option<Pin<Box<Sleep>>>,
    crashes: VecDeque<Instant>,
    child: Child,
    label: Arc<str>,
    policy: RestartPolicy,
    report: F,
}

// The context is `Unpin`, everything else is plain data or boxed.
impl<A: Actor<Context = Context<A>>, F> Unpin for Guard<A, F> {}

impl<A, F> Guard<A, F>
where
    A: Actor<Context = Context<A>> + Supervised,
    F: FnMut(Fate) + 'static,
{
    /// Runs a step of the actor, named for the panic hook. `None` when it panicked.
    fn guarded<R>(&mut self, step: impl FnOnce(&mut ContextFut<A, Context<A>>) -> R) -> Option<R> {
        let running = self.running.as_mut()?;
        let before = RUNNING.with(|here| here.replace(Some(Arc::clone(&self.label))));
        let outcome = catch_unwind(AssertUnwindSafe(|| step(running)));
        RUNNING.with(|here| here.replace(before));
        outcome.ok()
    }

    fn crashed(&mut self) -> Poll<()> {
        let now = Instant::now();
        while self.crashes.front().is_some_and(|at| now - *at > self.policy.window) {
            self.crashes.pop_front();
        }
        if self.crashes.len() >= self.policy.crashes_max {
            metrics::counter!("caly_children_given_up_total", "kind" => self.child.as_str()).increment(1);
            return self.bury(Fate::GaveUp);
        }
        metrics::counter!("caly_child_restarts_total", "kind" => self.child.as_str()).increment(1);
        let wait = self.policy.backoff * 4u32.pow(self.crashes.len().min(6) as u32);
        self.crashes.push_back(now);
        self.backoff = Some(Box::pin(sleep(wait)));
        (self.report)(Fate::Crashed);
        Poll::Pending
    }

    fn bury(&mut self, fate: Fate) -> Poll<()> {
        // Dropping a context runs the actor's `stopping`, `stopped` and `Drop`; a panic there must not reach the thread.
        let running = self.running.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(running)));
        (self.report)(fate);
        Poll::Ready(())
    }
}

impl<A, F> Future for Guard<A, F>
where
    A: Actor<Context = Context<A>> + Supervised,
    F: FnMut(Fate) + 'static,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        let this = self.get_mut();
        loop {
            if let Some(wait) = &mut this.backoff {
                ready!(wait.as_mut().poll(cx));
                this.backoff = None;
                match this.guarded(ContextFut::restart) {
                    Some(true) => {}
                    Some(false) => return this.bury(Fate::Ended),
                    None => {
                        ready!(this.crashed());
                        continue;
                    }
                }
            }
            match this.guarded(|running| Pin::new(running).poll(cx)) {
                Some(Poll::Pending) => return Poll::Pending,
                Some(Poll::Ready(())) => return this.bury(Fate::Ended),
                None => {
                    if this.crashed().is_ready() {
                        return Poll::Ready(());
                    }
                }
            }
        }
    }
}

impl<A: Actor<Context = Context<A>>, F> Drop for Guard<A, F> {
    fn drop(&mut self) {
        metrics::gauge!("caly_actors", "kind" => self.child.as_str()).decrement(1.0);
        let running = self.running.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(running)));
    }
}

/// A planned crash, to show that supervision works. Absent from release builds.
#[cfg(any(test, feature = "planned-panics"))]
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct PlannedPanic;

/// A planned blockage: the actor holds its thread this long.
#[cfg(any(test, feature = "planned-panics"))]
#[derive(Message, Clone, Copy, Debug)]
#[rtype(result = "()")]
pub struct PlannedBlock(pub Duration);

/// What every planned crash does.
#[cfg(any(test, feature = "planned-panics"))]
#[allow(clippy::panic, reason = "panicking is the purpose")]
pub(crate) fn planned_panic() {
    panic!("planned");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    struct Counter {
        count: u32,
        starts: Rc<RefCell<u32>>,
    }

    impl Actor for Counter {
        type Context = Context<Self>;
        fn started(&mut self, _: &mut Self::Context) {
            *self.starts.borrow_mut() += 1;
        }
    }
    impl Supervised for Counter {
        fn restarting(&mut self, _: &mut Self::Context) {
            self.count = 0;
        }
    }

    #[derive(Message)]
    #[rtype(result = "u32")]
    struct Add;
    impl Handler<Add> for Counter {
        type Result = u32;
        fn handle(&mut self, _: Add, _: &mut Self::Context) -> u32 {
            self.count += 1;
            self.count
        }
    }
    impl Handler<PlannedPanic> for Counter {
        type Result = ();
        fn handle(&mut self, _: PlannedPanic, _: &mut Self::Context) {
            panic!("planned");
        }
    }
    #[derive(Message)]
    #[rtype(result = "()")]
    struct PanicLater;
    impl Handler<PanicLater> for Counter {
        type Result = ();
        fn handle(&mut self, _: PanicLater, ctx: &mut Self::Context) {
            ctx.spawn(async { panic!("planned, in a spawned future") }.into_actor(self));
        }
    }

    #[derive(Message)]
    #[rtype(result = "Option<Arc<str>>")]
    struct Who(Running);
    impl Handler<Who> for Counter {
        type Result = Option<Arc<str>>;
        fn handle(&mut self, Who(running): Who, _: &mut Self::Context) -> Option<Arc<str>> {
            running.label()
        }
    }

    #[actix::test]
    async fn another_thread_can_see_which_actor_runs() {
        let (addr, _, _) = counter();
        assert_eq!(addr.send(Who(running_here())).await, Ok(Some("media of test".into())));
        assert_eq!(running_here().label(), None);
    }

    type Fates = Rc<RefCell<Vec<Fate>>>;

    fn counter() -> (Addr<Counter>, Fates, Rc<RefCell<u32>>) {
        let fates = Fates::default();
        let starts = Rc::new(RefCell::new(0));
        let heard = Rc::clone(&fates);
        let actor = Counter { count: 0, starts: Rc::clone(&starts) };
        let addr = start(actor, Child::Media, "test", RestartPolicy::default(), move |fate| {
            heard.borrow_mut().push(fate);
        });
        (addr, fates, starts)
    }

    #[actix::test]
    async fn messages_behind_a_panic_are_answered_by_the_restarted_child_at_the_same_address() {
        let (addr, fates, starts) = counter();
        assert_eq!(addr.send(Add).await, Ok(1));
        addr.do_send(PlannedPanic);
        let (first, second) = tokio::join!(addr.send(Add), addr.send(Add));
        assert_eq!((first, second), (Ok(1), Ok(2)), "its state is fresh, its mailbox is not");
        assert_eq!(*fates.borrow(), [Fate::Crashed]);
        assert_eq!(*starts.borrow(), 2);
    }

    #[actix::test]
    async fn a_panic_in_a_spawned_future_is_caught_as_well() {
        let (addr, fates, _) = counter();
        addr.do_send(PanicLater);
        assert_eq!(addr.send(Add).await, Ok(1), "handled before the future runs");
        while fates.borrow().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(addr.send(Add).await, Ok(1), "state is fresh");
    }

    /// Panics once, in its n-th start, or in a timer, or when it goes.
    struct Fragile {
        starts: Rc<RefCell<u32>>,
        panics_in_start: u32,
        panics_in_timer: bool,
        panics_in_drop: bool,
    }
    impl Actor for Fragile {
        type Context = Context<Self>;
        fn started(&mut self, ctx: &mut Self::Context) {
            *self.starts.borrow_mut() += 1;
            assert!(*self.starts.borrow() != self.panics_in_start, "planned, in started");
            if std::mem::take(&mut self.panics_in_timer) {
                ctx.run_later(Duration::from_millis(1), |_, _| panic!("planned, in a timer"));
            }
        }
    }
    impl Supervised for Fragile {}
    impl Handler<PlannedPanic> for Fragile {
        type Result = ();
        fn handle(&mut self, _: PlannedPanic, ctx: &mut Self::Context) {
            ctx.stop();
        }
    }
    impl Drop for Fragile {
        fn drop(&mut self) {
            assert!(!self.panics_in_drop || std::thread::panicking(), "planned, in drop");
        }
    }

    #[actix::test]
    async fn a_panic_in_a_start_or_a_timer_is_followed_by_another_start_and_one_in_a_drop_reaches_nobody() {
        for (panics_in_start, panics_in_timer, panics_in_drop, expected) in
            [(1, false, false, 2), (0, true, false, 2), (0, false, true, 1)]
        {
            let (starts, fates) = (Rc::new(RefCell::new(0)), Fates::default());
            let heard = Rc::clone(&fates);
            let actor = Fragile { starts: Rc::clone(&starts), panics_in_start, panics_in_timer, panics_in_drop };
            let addr = start(actor, Child::Media, "test", RestartPolicy::default(), move |fate| {
                heard.borrow_mut().push(fate);
            });
            while *starts.borrow() < expected {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            addr.do_send(PlannedPanic);
            while addr.connected() || fates.borrow().last() != Some(&Fate::Ended) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(*starts.borrow(), expected);
            assert_eq!(fates.borrow().len(), expected as usize, "{:?}", fates.borrow());
        }
    }

    #[actix::test]
    async fn the_fourth_crash_in_a_minute_gives_the_child_up() {
        let (addr, fates, _) = counter();
        for _ in 0..4 {
            addr.do_send(PlannedPanic);
        }
        while addr.connected() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(*fates.borrow(), [Fate::Crashed, Fate::Crashed, Fate::Crashed, Fate::GaveUp]);
        assert!(addr.send(Add).await.is_err());
    }

    #[actix::test]
    async fn crashes_long_ago_are_forgiven() {
        tokio::time::pause();
        let (addr, fates, _) = counter();
        for _ in 0..8 {
            addr.do_send(PlannedPanic);
            tokio::time::sleep(Duration::from_secs(61)).await;
        }
        assert_eq!(addr.send(Add).await, Ok(1));
        assert!(!fates.borrow().contains(&Fate::GaveUp));
    }
}
