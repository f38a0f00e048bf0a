//! The recorder: keeps what happened without anybody waiting for the database.
//!
//! Owns: a bounded queue in memory, a bounded spool on disk, one writer task on the store's runtime.
//! Hears: journal entries of calls, facts from webhooks, audit entries; from any thread.
//! Order: what is recorded first is kept first; a spool is written before what came after it.
//! When the database is away or takes longer than half a second, or the queue is half full, entries go to the spool; its
//! last quarter is not for events.
//! When the spool is full too they stay in the queue; when that is full, the oldest events are dropped, then the newest
//! entries, each counted. A slow database gets bigger batches: they take as many statements as small ones.
//! A writer that panics is started again with its batch still in the queue; every entry has an id of its own, so what
//! is written twice is there once. An entry that the database refuses for good goes to `rejected.jsonl`.

mod apply;
mod discretion;
mod entry;
mod met;
mod queue;
mod spool;
mod suppressed;
mod suspicion;
#[cfg(test)]
mod tests;
mod told;
mod writer;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use caly_actors::domain::CallId;
use caly_actors::ports::{Journal, JournalEntry};
use futures_util::future::BoxFuture;
use serde::Serialize;
use tokio::sync::{Notify, broadcast, oneshot, watch};
use utoipa::ToSchema;

use self::discretion::Discretion;
use self::entry::{Body, Entry};
use self::queue::{Pushed, Queue};
use super::facts::{AuditEntry, CarrierFact, RecordingFact};
use super::{Store, lock};

/// Time kept back from a stop's deadline for putting on disk what the database did not take.
const STOP_RESERVE: Duration = Duration::from_millis(500);

/// Bounds of the recorder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecorderOptions {
    /// Entries in memory. Beyond: see the module's documentation.
    pub queue: usize,
    /// Bytes on disk.
    pub spool_bytes: u64,
    /// Entries of one transaction.
    pub batch: usize,
    /// How long the first entry of a batch waits for company.
    pub linger: Duration,
    /// Events a slow subscriber may be behind before it misses some.
    pub live: usize,
}

impl Default for RecorderOptions {
    fn default() -> Self {
        Self {
            queue: 20_000,
            spool_bytes: 256 * 1024 * 1024,
            batch: 200,
            linger: Duration::from_millis(50),
            live: 1024,
        }
    }
}

/// What is not part of a call's journal but must be kept as surely.
#[derive(Clone, PartialEq, Debug)]
pub enum Write {
    /// Somebody did something.
    Audit(AuditEntry),
    /// The carrier told of a call.
    Carrier(CarrierFact),
    /// A recording exists.
    Recording(RecordingFact),
}

/// A journal entry as it happens, for those who watch. A subscriber that is too slow misses some.
#[derive(Clone, PartialEq, Debug)]
pub struct LiveEvent {
    /// Which call.
    pub call: CallId,
    /// `admitted`, `answered`, `turn`, `intent`, `action`, `event`, `decided` or `ended`.
    pub kind: &'static str,
    /// The entry as a JSON object `{"id","at","body":{"kind",…}}`. Holds speech and whole numbers: never to a log.
    pub json: Arc<str>,
}

/// How the recorder is doing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct RecorderSnapshot {
    /// Entries in memory.
    pub queued: u64,
    /// Bytes on disk that are not in the database yet.
    pub spooled_bytes: u64,
    /// Entries committed since the start.
    pub written: u64,
    /// Entries given up for lack of room since the start.
    pub dropped: u64,
    /// Entries the database refused for good, now in `rejected.jsonl`.
    pub rejected: u64,
    /// Times the writer panicked.
    pub restarts: u64,
    /// The database takes entries and none waits on disk.
    pub healthy: bool,
    /// What an operator should look at: `database_away`, `spool_waits` (the database is back
    /// or slow, the journal on disk is being written), `spool_full` (events are given up) or `disk_refuses` (the journal is in memory only).
    pub alarm: Option<&'static str>,
    /// The last failure, for the operator.
    pub last_error: Option<String>,
}

/// What the recorder and its writer share.
struct Shared {
    queue: Mutex<Queue>,
    discretion: Discretion,
    options: RecorderOptions,
    spool_directory: PathBuf,
    /// Something was recorded, or the writer should stop.
    wake: Notify,
    /// Somebody waits: do not linger.
    hurry: Notify,
    hurried: AtomicBool,
    /// Leave the database alone and put the rest on disk.
    stopping: watch::Sender<bool>,
    /// Counts up whenever the writer got on.
    progress: watch::Sender<u64>,
    stopped: watch::Sender<bool>,
    state: Mutex<State>,
    suspicion: Mutex<suspicion::Suspicion>,
    written: AtomicU64,
    dropped: AtomicU64,
    rejected: AtomicU64,
    restarts: AtomicU64,
    live: broadcast::Sender<LiveEvent>,
    #[cfg(test)]
    faults: tests::Faults,
}

/// What the writer says of itself.
#[derive(Clone, Default)]
struct State {
    away: bool,
    /// Why the disk is no help, if so.
    disk: Option<Trouble>,
    spooled_bytes: u64,
    /// Of those, what a former process left.
    former_bytes: u64,
    last_error: Option<String>,
}

/// What is wrong with the spool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trouble {
    /// Little or no room is left of what it may take.
    SpoolFull,
    /// The disk refuses.
    Disk,
}

impl State {
    fn alarm(&self) -> Option<&'static str> {
        match self.disk {
            Some(Trouble::SpoolFull) => Some("spool_full"),
            Some(Trouble::Disk) => Some("disk_refuses"),
            None if self.away => Some("database_away"),
            None if self.spooled_bytes > 0 => Some("spool_waits"),
            None => None,
        }
    }
}

impl Shared {
    /// Counts entries given up for lack of room.
    fn gave_up(&self, kind: &'static str, count: u64) {
        if count > 0 {
            self.dropped.fetch_add(count, Ordering::Relaxed);
            metrics::counter!("caly_recorder_dropped_total", "kind" => kind).increment(count);
        }
    }

    fn progressed(&self) {
        self.progress.send_modify(|count| *count += 1);
    }

    async fn asked_to_stop(&self) {
        let mut stopping = self.stopping.subscribe();
        // The sender lives in `self`, so this ends with a stop and not with an error.
        let _asked = stopping.wait_for(|&stopping| stopping).await.is_ok();
    }

    fn failed(&self, what: &str) {
        lock(&self.state).last_error = Some(what.to_owned());
    }
}

/// Keeps the journal. Dropping it puts on disk what is not written yet, in the background.
pub struct Recorder {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recorder({:?})", self.snapshot())
    }
}

impl Recorder {
    /// Starts the writer; a spool that an earlier process left is written first. `spool_directory` belongs to this
    /// recorder alone.
    #[must_use]
    pub fn start(store: Store, spool_directory: &Path, options: RecorderOptions) -> Arc<Self> {
        let left = spool::Spool::peek(spool_directory);
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::new(options.queue)),
            discretion: Discretion::default(),
            options,
            spool_directory: spool_directory.to_owned(),
            wake: Notify::new(),
            hurry: Notify::new(),
            hurried: AtomicBool::new(false),
            stopping: watch::Sender::new(false),
            progress: watch::Sender::new(0),
            stopped: watch::Sender::new(false),
            // What an earlier process left counts from the first moment.
            state: Mutex::new(State { spooled_bytes: left, former_bytes: left, ..State::default() }),
            suspicion: Mutex::default(),
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            live: broadcast::Sender::new(options.live.max(1)),
            #[cfg(test)]
            faults: tests::Faults::default(),
        });
        writer::start(Arc::clone(&shared), store);
        Arc::new(Self { shared })
    }

    /// Queues something that is not part of a call's journal.
    pub fn submit(&self, write: Write) {
        let body = match write {
            Write::Audit(entry) => Body::Audit(Box::new(entry)),
            Write::Carrier(fact) => Body::Carrier(Box::new(fact)),
            Write::Recording(fact) => Body::Recording(Box::new(fact)),
        };
        self.push(self.shared.discretion.now(body), None);
    }

    /// Queues an entry and tells whether it was kept: committed, or on disk while the database is away. `false` if it
    /// was dropped or refused. May take as long as the database; the caller sets its own limit.
    pub fn record_durably(
        &self,
        at: SystemTime,
        entry: JournalEntry,
    ) -> impl Future<Output = bool> + Send + 'static + use<> {
        let (waiter, answer) = oneshot::channel();
        self.push(self.shared.discretion.journal(at, entry), Some(waiter));
        self.hurry();
        async move { answer.await.unwrap_or(false) }
    }

    /// Waits until everything recorded so far is committed or, while the database is away, on disk.
    pub async fn flush(&self, deadline: Duration) -> bool {
        let mark = lock(&self.shared.queue).mark();
        self.until(deadline, || self.is_kept(mark)).await
    }

    /// Waits until all that a former process left on disk is in the database, for as long as every `patience` some of it
    /// is. `false`: it does not get on.
    pub async fn former_written(&self, patience: Duration) -> bool {
        let left = || lock(&self.shared.state).former_bytes;
        loop {
            let before = left();
            if self.until(patience, || left() == 0).await {
                return true;
            }
            if left() >= before {
                return false;
            }
        }
    }

    async fn until(&self, deadline: Duration, done: impl Fn() -> bool) -> bool {
        let mut progress = self.shared.progress.subscribe();
        let wait = async {
            loop {
                self.hurry();
                if done() {
                    return true;
                }
                if progress.changed().await.is_err() {
                    return false;
                }
            }
        };
        tokio::time::timeout(deadline, wait).await.unwrap_or(false)
    }

    fn is_kept(&self, mark: u64) -> bool {
        let past = lock(&self.shared.queue).is_past(mark);
        let state = lock(&self.shared.state);
        past && (state.away || state.spooled_bytes == 0)
    }

    /// Ends the writer: writes what it can in the time, puts the rest on disk. `false` if something is in memory only.
    pub async fn stop(&self, deadline: Duration) -> bool {
        let mark = lock(&self.shared.queue).mark();
        // What lies in the spool is kept: the next process writes it.
        let _past = self.until(deadline.saturating_sub(STOP_RESERVE), || lock(&self.shared.queue).is_past(mark)).await;
        let mut stopped = self.shared.stopped.subscribe();
        self.shared.stopping.send_replace(true);
        self.shared.wake.notify_one();
        let ended = tokio::time::timeout(STOP_RESERVE.min(deadline), stopped.wait_for(|&stopped| stopped)).await;
        ended.is_ok_and(|ended| ended.is_ok()) && lock(&self.shared.queue).len() == 0
    }

    /// How it is doing.
    #[must_use]
    pub fn snapshot(&self) -> RecorderSnapshot {
        let shared = &self.shared;
        let queued = lock(&shared.queue).len() as u64;
        let state = lock(&shared.state).clone();
        RecorderSnapshot {
            queued,
            spooled_bytes: state.spooled_bytes,
            written: shared.written.load(Ordering::Relaxed),
            dropped: shared.dropped.load(Ordering::Relaxed),
            rejected: shared.rejected.load(Ordering::Relaxed),
            restarts: shared.restarts.load(Ordering::Relaxed),
            healthy: !state.away && state.spooled_bytes == 0 && state.disk.is_none(),
            alarm: state.alarm().or((shared.rejected.load(Ordering::Relaxed) > 0).then_some("entries_refused")),
            last_error: state.last_error,
        }
    }

    /// Journal entries of calls from now on, as they are recorded.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<LiveEvent> {
        self.shared.live.subscribe()
    }

    fn push(&self, entry: Entry, waiter: Option<oneshot::Sender<bool>>) {
        self.publish(&entry);
        let (pushed, queued) = {
            let mut queue = lock(&self.shared.queue);
            (queue.push(entry, waiter), queue.len())
        };
        if let Pushed::Dropped(kind) = pushed {
            self.shared.gave_up(kind, 1);
        }
        metrics::gauge!("caly_recorder_queued").set(queued as f64);
        self.shared.wake.notify_one();
    }

    fn publish(&self, entry: &Entry) {
        if self.shared.live.receiver_count() == 0 {
            return;
        }
        let (Some(call), Ok(json)) = (entry.call(), serde_json::to_string(entry)) else { return };
        // Fails only if the last subscriber left in between.
        let _unheard = self.shared.live.send(LiveEvent { call, kind: entry.kind(), json: json.into() });
    }

    fn hurry(&self) {
        self.shared.hurried.store(true, Ordering::Release);
        self.shared.hurry.notify_one();
        self.shared.wake.notify_one();
    }
}

impl Journal for Recorder {
    fn record(&self, at: SystemTime, entry: JournalEntry) {
        self.push(self.shared.discretion.journal(at, entry), None);
    }

    fn record_durably(&self, at: SystemTime, entry: JournalEntry) -> BoxFuture<'static, bool> {
        Box::pin(Self::record_durably(self, at, entry))
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.shared.stopping.send_replace(true);
        self.shared.wake.notify_one();
    }
}
