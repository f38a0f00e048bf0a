//! Admission, the registry of calls, and the drain.
//!
//! [`Calls`] is shared by every thread: webhooks look calls up and admit them without waiting for a mailbox. The
//! [`CallSupervisor`] actor sweeps once a second for calls whose actor is gone and forgets old endings.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use actix::dev::channel;
use actix::prelude::*;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tokio::time::Instant;

use crate::call::actor::{CallActor, CallSpec, Children};
use crate::call::event::CallEvent;
use crate::call::past::Past;
use crate::call::{Heard, Stop};
use crate::domain::{AfterStream, CallFacts, CallId, CallTime, Carrier, CarrierCallId, ClientId, EndReason, Usage};
use crate::ports::{EngineAudio, JournalEntry, Ports};
use crate::supervise::{self, Child, Fate, RestartPolicy};

/// Ended calls are remembered this long unless said otherwise, to answer repeated and late webhooks as the first.
const REMEMBER: Duration = Duration::from_secs(15 * 60);
/// … and at most this many of them; beyond, for a fifteenth of the time.
const REMEMBER_MAX: usize = 20_000;
/// Room of a call's mailbox for senders that heed it.
const MAILBOX: usize = 64;

/// What the carrier is to do once the stream is closed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// Hang up or transfer.
    pub after: AfterStream,
    /// For the person who takes over.
    pub summary: Arc<str>,
}

/// One call in the registry; stays for a while after the call has ended.
pub struct LiveCall {
    /// What was known at admission.
    pub facts: Arc<CallFacts>,
    /// The call's actor.
    pub actor: Addr<CallActor>,
    admitted: Instant,
    status: Mutex<Status>,
}

#[derive(Default)]
struct Status {
    decision: Option<Decision>,
    ended: Option<(EndReason, Instant)>,
    children: Option<Children>,
}

impl LiveCall {
    fn status(&self) -> std::sync::MutexGuard<'_, Status> {
        // Every critical section is a few assignments; a panic cannot leave one half done.
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the carrier is to do, once decided.
    #[must_use]
    pub fn decision(&self) -> Option<Decision> {
        self.status().decision.clone()
    }

    /// Why the call ended, if it has.
    #[must_use]
    pub fn end_reason(&self) -> Option<EndReason> {
        self.status().ended.map(|(reason, _)| reason)
    }

    /// Age of the call.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.admitted.elapsed()
    }

    /// The first decision stands.
    pub(crate) fn decide(&self, after: AfterStream, summary: Arc<str>) {
        self.status().decision.get_or_insert(Decision { after, summary });
    }

    pub(crate) fn adopt(&self, children: Children) {
        self.status().children = Some(children);
    }

    /// Marks the call as ended and lets go of its children; `None` if it had ended before.
    pub(crate) fn ended(&self, reason: EndReason) -> Option<Option<Children>> {
        let mut status = self.status();
        if status.ended.is_some() {
            return None;
        }
        status.ended = Some((reason, Instant::now()));
        Some(status.children.take())
    }

    /// The call's children, for planned crashes in tests.
    #[must_use]
    pub fn children(&self) -> Option<Children> {
        self.status().children.clone()
    }
}

/// Why a call was not admitted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// The process is shutting down.
    #[error("shutting down")]
    Draining,
    /// The process carries as many calls as it may.
    #[error("at capacity")]
    AtCapacity,
    /// The client carries as many calls as it may.
    #[error("client at capacity")]
    ClientAtCapacity,
    /// Threads lag or memory runs out: the calls that are up come first.
    #[error("overloaded")]
    Overloaded,
    /// The carrier said that this call is over before it began here.
    #[error("the call is over")]
    Over,
}

/// How many calls may be up.
#[derive(Clone, Copy, Debug)]
pub struct AdmissionLimits {
    /// In this process.
    pub process: usize,
    /// For one client.
    pub client: usize,
}

/// A place among the calls allowed. Dropping it gives the place back.
pub struct Slot {
    calls: Arc<Counts>,
    client: ClientId,
    arbiter: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Counts {
    live: AtomicUsize,
    by_client: DashMap<ClientId, usize>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.calls.live.fetch_sub(1, Ordering::AcqRel);
        self.arbiter.fetch_sub(1, Ordering::AcqRel);
        if let Entry::Occupied(mut count) = self.calls.by_client.entry(self.client) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        metrics::gauge!("caly_calls_live").decrement(1.0);
    }
}

struct CallThread {
    arbiter: ArbiterHandle,
    calls: Arc<AtomicUsize>,
}

/// The registry of calls. Shared.
pub struct Calls {
    ports: Ports,
    audio: EngineAudio,
    limits_process: AtomicUsize,
    limits_client: AtomicUsize,
    remember_ms: AtomicU64,
    by_carrier: DashMap<(Carrier, CarrierCallId), Arc<LiveCall>>,
    by_id: DashMap<CallId, Arc<LiveCall>>,
    /// Calls whose end came before their start.
    over: DashMap<(ClientId, Carrier, CarrierCallId), Instant>,
    counts: Arc<Counts>,
    threads: Mutex<Vec<CallThread>>,
    draining: AtomicBool,
    shedding: AtomicBool,
}

/// What came of asking for a call.
pub struct Admission {
    /// The call.
    pub call: Arc<LiveCall>,
    /// It was made now, as against: known already.
    pub fresh: bool,
}

impl Calls {
    /// An empty registry. Calls need at least one thread: see [`Calls::add_thread`].
    #[must_use]
    pub fn new(ports: Ports, audio: EngineAudio, limits: AdmissionLimits) -> Arc<Self> {
        Arc::new(Self {
            ports,
            audio,
            limits_process: AtomicUsize::new(limits.process),
            limits_client: AtomicUsize::new(limits.client),
            remember_ms: AtomicU64::new(REMEMBER.as_millis() as u64),
            by_carrier: DashMap::new(),
            by_id: DashMap::new(),
            over: DashMap::new(),
            counts: Arc::default(),
            threads: Mutex::new(Vec::new()),
            draining: AtomicBool::new(false),
            shedding: AtomicBool::new(false),
        })
    }

    /// Other limits from now on; calls that are up stay.
    pub fn set_limits(&self, limits: AdmissionLimits) {
        self.limits_process.store(limits.process, Ordering::Release);
        self.limits_client.store(limits.client, Ordering::Release);
    }

    /// Ended calls are remembered this long from now on.
    pub fn set_remember(&self, length: Duration) {
        self.remember_ms.store(u64::try_from(length.as_millis()).unwrap_or(u64::MAX), Ordering::Release);
    }

    /// Whether new calls are refused so that those that are up keep their audio.
    pub fn shed(&self, shedding: bool) {
        if self.shedding.swap(shedding, Ordering::AcqRel) != shedding {
            tracing::warn!(
                shedding,
                live = self.slots_taken(),
                "new calls are refused while the process is overloaded"
            );
        }
    }

    /// Whether new calls are refused for lack of time or memory.
    #[must_use]
    pub fn is_shedding(&self) -> bool {
        self.shedding.load(Ordering::Acquire)
    }

    /// Lets calls live on this arbiter.
    pub fn add_thread(&self, arbiter: ArbiterHandle) {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.push(CallThread { arbiter, calls: Arc::default() });
    }

    /// The call with this carrier id: the one known already, or a new one. Two requests at once get one call.
    ///
    /// `client_limit` tightens the limit of the process for this client.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn admit(self: &Arc<Self>, facts: CallFacts, client_limit: Option<usize>) -> Result<Admission, Refusal> {
        self.admit_after(facts, client_limit, None)
    }

    /// The same for a call that a former process had: it goes on with its `past`.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn admit_after(
        self: &Arc<Self>,
        facts: CallFacts,
        client_limit: Option<usize>,
        past: Option<Past>,
    ) -> Result<Admission, Refusal> {
        let key = (facts.carrier, facts.carrier_call_id.clone());
        if self.over.contains_key(&(facts.client, key.0, key.1.clone())) {
            return Err(Refusal::Over);
        }
        match self.by_carrier.entry(key) {
            Entry::Occupied(known) => Ok(Admission { call: Arc::clone(known.get()), fresh: false }),
            Entry::Vacant(vacant) => {
                let call = self.start(facts, client_limit, past)?;
                vacant.insert(Arc::clone(&call));
                self.by_id.insert(call.facts.call, Arc::clone(&call));
                Ok(Admission { call, fresh: true })
            }
        }
    }

    fn start(
        self: &Arc<Self>,
        facts: CallFacts,
        client_limit: Option<usize>,
        past: Option<Past>,
    ) -> Result<Arc<LiveCall>, Refusal> {
        if self.draining.load(Ordering::Acquire) {
            return Err(Refusal::Draining);
        }
        if self.is_shedding() {
            return Err(Refusal::Overloaded);
        }
        let (arbiter, slot) = self.take_slot(facts.client, client_limit)?;
        let facts = Arc::new(facts);
        let (sender, receiver) = channel::channel(MAILBOX);
        let live = Arc::new(LiveCall {
            facts: Arc::clone(&facts),
            actor: Addr::new(sender),
            admitted: Instant::now(),
            status: Mutex::default(),
        });
        let spec =
            CallSpec { facts, ports: self.ports.clone(), audio: self.audio, live: Arc::clone(&live), slot, past };
        let registry = Arc::downgrade(self);
        let watched = Arc::clone(&live);
        arbiter.spawn_fn(move || {
            let label = spec.facts.call.to_string();
            let policy = RestartPolicy::default();
            let context = Context::with_receiver(receiver);
            supervise::start_in(context, CallActor::new(spec), Child::Call, &label, policy, move |fate| {
                if fate == Fate::GaveUp
                    && let Some(registry) = registry.upgrade()
                {
                    registry.bury(&watched, EndReason::CallPanicked);
                }
            });
        });
        metrics::counter!("caly_calls_admitted_total").increment(1);
        Ok(live)
    }

    fn take_slot(&self, client: ClientId, client_limit: Option<usize>) -> Result<(ArbiterHandle, Slot), Refusal> {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let thread =
            threads.iter().min_by_key(|thread| thread.calls.load(Ordering::Acquire)).ok_or(Refusal::AtCapacity)?;
        if self.counts.live.load(Ordering::Acquire) >= self.capacity() {
            return Err(Refusal::AtCapacity);
        }
        let mut of_client = self.counts.by_client.entry(client).or_insert(0);
        let most = self.limits_client.load(Ordering::Acquire);
        if *of_client >= client_limit.map_or(most, |limit| limit.min(most)) {
            return Err(Refusal::ClientAtCapacity);
        }
        *of_client += 1;
        drop(of_client);
        self.counts.live.fetch_add(1, Ordering::AcqRel);
        thread.calls.fetch_add(1, Ordering::AcqRel);
        metrics::gauge!("caly_calls_live").increment(1.0);
        let slot = Slot { calls: Arc::clone(&self.counts), client, arbiter: Arc::clone(&thread.calls) };
        Ok((thread.arbiter.clone(), slot))
    }

    /// The carrier tells a client that a call we do not know is over: a late start must not open it.
    pub fn note_over(&self, client: ClientId, carrier: Carrier, id: CarrierCallId) {
        if self.over.len() < REMEMBER_MAX {
            self.over.insert((client, carrier, id), Instant::now());
        }
    }

    /// A call by the carrier's id, live or recently ended.
    #[must_use]
    pub fn by_carrier(&self, carrier: Carrier, id: &CarrierCallId) -> Option<Arc<LiveCall>> {
        self.by_carrier.get(&(carrier, id.clone())).map(|call| Arc::clone(&call))
    }

    /// A call by our id, live or recently ended.
    #[must_use]
    pub fn by_id(&self, id: CallId) -> Option<Arc<LiveCall>> {
        self.by_id.get(&id).map(|call| Arc::clone(&call))
    }

    /// Calls that are up.
    #[must_use]
    pub fn live(&self) -> Vec<Arc<LiveCall>> {
        self.by_id.iter().filter(|call| call.end_reason().is_none()).map(|call| Arc::clone(&call)).collect()
    }

    /// How many places are taken: calls whose actor is not yet gone.
    #[must_use]
    pub fn slots_taken(&self) -> usize {
        self.counts.live.load(Ordering::Acquire)
    }

    /// How many calls may be up in this process.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.limits_process.load(Ordering::Acquire)
    }

    /// Whether new calls are refused because the process is shutting down.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Admits no more.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// The grace period is over: every call says a sentence and ends.
    pub fn end_all(&self) {
        for call in self.live() {
            call.actor.do_send(Heard(CallEvent::DrainExpired));
        }
    }

    /// A call whose actor is gone without having said goodbye.
    fn bury(&self, call: &LiveCall, reason: EndReason) {
        let Some(children) = call.ended(reason) else { return };
        if let Some(children) = children {
            children.stop();
        }
        call.actor.do_send(Stop);
        tracing::error!(call = %call.facts.call, reason = reason.as_str(), "call lost its actor");
        metrics::counter!("caly_calls_ended_total", "reason" => reason.as_str()).increment(1);
        let at: CallTime = call.age();
        let degraded = vec!["call"];
        let entry = JournalEntry::Ended { call: call.facts.call, reason, at, usage: Usage::default(), degraded };
        self.ports.journal.record(SystemTime::now(), entry);
    }

    /// Buries calls whose actor is gone and forgets what ended long ago.
    pub fn sweep(&self) {
        for call in self.live() {
            if !call.actor.connected() && call.age() > Duration::from_secs(1) {
                self.bury(&call, EndReason::CallPanicked);
            }
        }
        let crowded = self.by_id.len().saturating_sub(REMEMBER_MAX) > 0;
        let remember = Duration::from_millis(self.remember_ms.load(Ordering::Acquire));
        let keep = if crowded { remember / 15 } else { remember };
        let old = |call: &Arc<LiveCall>| call.status().ended.is_some_and(|(_, at)| at.elapsed() > keep);
        self.by_carrier.retain(|_, call| !old(call));
        self.by_id.retain(|_, call| !old(call));
        self.over.retain(|_, since| since.elapsed() < remember);
        give_back(&self.by_carrier);
        give_back(&self.by_id);
        give_back(&self.over);
        metrics::gauge!("caly_calls_remembered").set(self.by_id.len() as f64);
    }
}

impl Handler<Stop> for CallActor {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

/// Of the room that a crowd took nothing is kept for good: each shard of a map has that of its fullest moment.
fn give_back<K: Eq + std::hash::Hash, V>(map: &DashMap<K, V>) {
    if map.len() * 4 < map.capacity() {
        map.shrink_to_fit();
    }
}

/// Sweeps the registry. One per process; a crash costs one sweep.
pub struct CallSupervisor {
    calls: Arc<Calls>,
}

impl CallSupervisor {
    /// Starts sweeping on the current arbiter.
    pub fn start(calls: Arc<Calls>) -> Addr<Self> {
        let endless = RestartPolicy { crashes_max: usize::MAX, ..RestartPolicy::default() };
        supervise::start(Self { calls }, Child::Supervisor, "the process", endless, |_| {})
    }
}

impl Actor for CallSupervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(Duration::from_secs(1), |this, _| this.calls.sweep());
    }
}

impl Supervised for CallSupervisor {}

impl Handler<Stop> for CallSupervisor {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

#[cfg(any(test, feature = "planned-panics"))]
impl Handler<supervise::PlannedPanic> for CallSupervisor {
    type Result = ();

    fn handle(&mut self, _: supervise::PlannedPanic, _: &mut Self::Context) {
        supervise::planned_panic();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn the_room_of_a_crowd_is_given_back() {
        let map: DashMap<u32, ()> = (0..10_000).map(|n| (n, ())).collect();
        map.retain(|n, ()| *n < 10);
        give_back(&map);
        assert!(map.capacity() < 2_000 && map.len() == 10);
    }
}
