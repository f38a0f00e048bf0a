//! The writer task: takes batches from the queue to the database, or to the spool while the database is away, and the
//! spool to the database before anything newer. Restarted when it panics.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::block_in_place;
use tokio::time::Instant;

use super::entry::Entry;
use super::spool::{Spool, SpoolError};
use super::{Shared, Trouble, apply};
use crate::store::{Store, StoreError, lock};

/// First and longest wait before the database is tried again. The longest bounds how late a spool is written after the
/// database is back.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// How long the disk is left alone after it refused.
const DISK_PAUSE: Duration = Duration::from_secs(1);
/// Entries appended to the spool with one sync.
const SPILL: usize = 2_000;
/// Pause after a panic, so that a lasting fault does not spin.
const RESTART_PAUSE: Duration = Duration::from_millis(100);
/// A transaction slower than this is worth making bigger, and what waits for it, or is part of it, goes to the disk: the
/// database may be locked or frozen, and the process may be killed before that is known.
const SLOW: Duration = Duration::from_millis(500);
/// A batch is at most this many times the usual one.
const STRETCH_MAX: usize = 16;
/// Longest transaction. Each of its dozen statements has its own, shorter limit.
const TRANSACTION_DEADLINE: Duration = Duration::from_secs(60);
/// How often, during a slow transaction, what was recorded meanwhile goes to the disk.
const SPILL_EVERY: Duration = Duration::from_millis(100);

/// Starts the writer and whoever starts it again.
pub(super) fn start(shared: Arc<Shared>, store: Store) {
    let watched = Arc::clone(&shared);
    let own = store.clone();
    let watch = async move {
        loop {
            let writer = tokio::spawn(run(Arc::clone(&watched), own.clone()));
            match writer.await {
                Ok(()) => break,
                Err(error) if error.is_panic() => note_panic(&watched),
                Err(_) => break,
            }
            tokio::time::sleep(RESTART_PAUSE).await;
        }
        watched.stopped.send_replace(true);
    };
    if store.0.runtime.spawn(watch).is_none() {
        shared.stopped.send_replace(true);
    }
}

fn note_panic(shared: &Shared) {
    shared.restarts.fetch_add(1, Ordering::Relaxed);
    metrics::counter!("caly_recorder_restarts_total").increment(1);
    tracing::error!("recorder writer panicked, starting it again");
    shared.failed("the writer panicked");
    lock(&shared.suspicion).panicked();
}

async fn run(shared: Arc<Shared>, store: Store) {
    let mut writer = Writer {
        spool: None,
        reading: None,
        retry_at: Instant::now(),
        retry_after: RETRY_MIN,
        disk_at: Instant::now(),
        stretch: 1,
        spilled: false,
        shared,
        store,
    };
    while writer.step().await {}
}

struct Writer {
    shared: Arc<Shared>,
    store: Store,
    /// `None` until the directory could be opened.
    spool: Option<Spool>,
    /// What is left of the oldest segment.
    reading: Option<VecDeque<Entry>>,
    /// When the database may be tried, if it is away.
    retry_at: Instant,
    retry_after: Duration,
    /// When the disk may be tried.
    disk_at: Instant,
    /// How many usual batches make one now: a slow database is asked for more at once.
    stretch: usize,
    /// What is in hand from the queue went to the spool while the database was slow, and will come back from there.
    spilled: bool,
}

impl Writer {
    /// One thing after another; `false` when it is time to go.
    async fn step(&mut self) -> bool {
        self.open_spool();
        if *self.shared.stopping.borrow() {
            while self.queued() > 0 && self.spill() {}
            return false;
        }
        let away = self.away();
        if self.spool_waits() {
            // What waits behind the spool goes there as well, at once if somebody waits to hear that it is kept.
            let hurried = self.shared.hurried.swap(false, Ordering::AcqRel);
            if (away || hurried || self.is_late()) && self.queued() > 0 && Instant::now() >= self.disk_at {
                self.spill();
            }
            if !away || Instant::now() >= self.retry_at {
                self.drain().await;
            } else {
                self.rest().await;
            }
        } else if self.queued() == 0 {
            if away && Instant::now() >= self.retry_at {
                self.probe().await;
            } else {
                self.rest().await;
            }
        } else if away && Instant::now() < self.retry_at {
            // The spool is empty and the database away: to the disk, or wait if that refuses as well.
            if Instant::now() < self.disk_at || !self.spill() {
                self.rest().await;
            }
        } else if self.is_late() && Instant::now() >= self.disk_at {
            if !self.spill() {
                self.write_queued().await;
            }
        } else {
            self.linger().await;
            self.write_queued().await;
        }
        true
    }

    /// More waits than the database takes in good time: it is safer on the disk.
    fn is_late(&self) -> bool {
        let queue = lock(&self.shared.queue);
        queue.len() > self.shared.options.queue / 2 || queue.age() > SLOW
    }

    fn away(&self) -> bool {
        lock(&self.shared.state).away
    }

    fn queued(&self) -> usize {
        lock(&self.shared.queue).len()
    }

    fn batch(&self) -> usize {
        self.shared.options.batch.saturating_mul(self.stretch)
    }

    fn spool_waits(&self) -> bool {
        self.spool.as_ref().is_some_and(|spool| !spool.is_empty())
    }

    /// Until something is recorded, or a time to try again has come.
    async fn rest(&self) {
        let now = Instant::now();
        let database = (self.away() && self.retry_at > now).then_some(self.retry_at);
        let disk = (self.disk_at > now).then_some(self.disk_at);
        let until = [database, disk].into_iter().flatten().min();
        let woken = self.shared.wake.notified();
        tokio::select! {
            () = woken => {
                // While away, entries gather a little before they are synced to the disk.
                if database.is_some() && !*self.shared.stopping.borrow() {
                    self.linger().await;
                }
            }
            () = self.shared.asked_to_stop() => {}
            () = sleep_until(until) => {}
        }
    }

    /// Gives a small batch time to grow, unless somebody waits for it.
    async fn linger(&self) {
        if self.shared.hurried.swap(false, Ordering::AcqRel) || self.queued() >= self.shared.options.batch {
            return;
        }
        tokio::select! {
            () = self.shared.hurry.notified() => {}
            () = tokio::time::sleep(self.shared.options.linger) => {}
        }
        self.shared.hurried.store(false, Ordering::Release);
    }

    fn open_spool(&mut self) {
        if self.spool.is_some() || Instant::now() < self.disk_at {
            return;
        }
        let (directory, most) = (&self.shared.spool_directory, self.shared.options.spool_bytes);
        match block_in_place(|| Spool::open(directory, most)) {
            Ok(spool) => self.spool = Some(spool),
            Err(error) => self.disk_failed(&format!("spool directory: {error}"), Trouble::Disk),
        }
        self.note_spool();
    }

    fn disk_failed(&mut self, what: &str, trouble: Trouble) {
        self.disk_at = Instant::now() + DISK_PAUSE;
        self.shared.failed(what);
        lock(&self.shared.state).disk = Some(trouble);
        metrics::counter!("caly_recorder_spool_failures_total").increment(1);
        tracing::error!(error = what, "recorder spool refused");
    }

    fn note_spool(&self) {
        let Some(bytes) = self.spool.as_ref().map(Spool::bytes) else { return };
        // A segment whose lines were all torn away still waits to be removed.
        let bytes = if self.spool_waits() { bytes.max(1) } else { 0 };
        let former = self.spool.as_ref().map_or(0, Spool::former_bytes);
        {
            let mut state = lock(&self.shared.state);
            state.spooled_bytes = bytes;
            state.former_bytes = former;
            if bytes == 0 && Instant::now() >= self.disk_at {
                state.disk = None;
            }
        }
        metrics::gauge!("caly_recorder_spooled_bytes").set(bytes as f64);
        self.shared.progressed();
    }

    /// Moves the oldest queued entries to the disk; `false` if it refused. A spool with little room left takes no more
    /// events: what is left is for what was said and done.
    fn spill(&mut self) -> bool {
        let mut most = SPILL;
        loop {
            let mut batch = lock(&self.shared.queue).take(most);
            let Some(spool) = &mut self.spool else {
                lock(&self.shared.queue).finish(&batch, &[]);
                self.disk_failed("spool directory could not be opened", Trouble::Disk);
                return false;
            };
            let scarce = spool.is_scarce();
            let crowded = lock(&self.shared.queue).len() > self.shared.options.queue / 2;
            if scarce && !crowded {
                // There is room in memory still: nothing is given up before it must be, and nothing overtakes it.
                let event = batch.iter().position(|entry| entry.is_event()).unwrap_or(batch.len());
                batch.truncate(event);
                if batch.is_empty() {
                    lock(&self.shared.queue).finish(&[], &[]);
                    self.disk_failed("spool is nearly full", Trouble::SpoolFull);
                    return false;
                }
            }
            let kept: Vec<bool> = batch.iter().map(|entry| !(scarce && entry.is_event())).collect();
            let entries: Vec<&Entry> =
                batch.iter().zip(&kept).filter_map(|(entry, kept)| kept.then_some(&**entry)).collect();
            match block_in_place(|| spool.append(&entries)) {
                Ok(()) => {
                    lock(&self.shared.queue).finish(&batch, &kept);
                    self.shared.gave_up("event", (kept.len() - entries.len()) as u64);
                    metrics::counter!("caly_recorder_spooled_total").increment(entries.len() as u64);
                    lock(&self.shared.state).disk = scarce.then_some(Trouble::SpoolFull);
                    self.note_spool();
                    return true;
                }
                Err(SpoolError::Full) if batch.len() > 1 => {
                    lock(&self.shared.queue).finish(&batch, &[]);
                    most = batch.len() / 2;
                }
                Err(error) => {
                    lock(&self.shared.queue).finish(&batch, &[]);
                    let trouble = if matches!(error, SpoolError::Full) { Trouble::SpoolFull } else { Trouble::Disk };
                    self.disk_failed(&error.to_string(), trouble);
                    return false;
                }
            }
        }
    }

    async fn write_queued(&mut self) {
        let batch = lock(&self.shared.queue).take(self.batch());
        let entries: Vec<&Entry> = batch.iter().map(|entry| &**entry).collect();
        self.spilled = false;
        let kept = self.write(&entries).await;
        lock(&self.shared.queue).finish(&batch, &kept);
        self.spilled = false;
        self.shared.progressed();
    }

    /// Writes a batch of the oldest segment, and removes the segment after its last.
    async fn drain(&mut self) {
        // What is in hand is on the disk already.
        self.spilled = false;
        let Some(spool) = &mut self.spool else { return };
        let mut reading = match self.reading.take() {
            Some(reading) => reading,
            None => match block_in_place(|| spool.read_oldest()) {
                Ok(back) => {
                    let back = back.unwrap_or(super::spool::ReadBack { entries: Vec::new(), torn: 0 });
                    if back.torn > 0 {
                        metrics::counter!("caly_recorder_torn_total").increment(back.torn);
                        tracing::warn!(lines = back.torn, "recorder spool had torn lines, set aside");
                    }
                    back.entries.into()
                }
                Err(error) => {
                    self.disk_failed(&format!("reading the spool: {error}"), Trouble::Disk);
                    return self.pause_disk().await;
                }
            },
        };
        if !reading.is_empty() {
            let length = reading.len().min(self.batch());
            let kept = {
                let entries: Vec<&Entry> = reading.iter().take(length).collect();
                self.write(&entries).await.len()
            };
            reading.drain(..kept);
        }
        if !reading.is_empty() {
            self.reading = Some(reading);
        } else if let Some(spool) = &mut self.spool
            && let Err(error) = block_in_place(|| spool.remove_oldest())
        {
            self.disk_failed(&format!("removing a written spool segment: {error}"), Trouble::Disk);
            self.pause_disk().await;
        }
        self.note_spool();
    }

    /// The disk neither gives nor forgets: do not spin on it.
    async fn pause_disk(&self) {
        tokio::time::sleep_until(self.disk_at).await;
    }

    /// Writes entries in order and says of each, from the front, whether it is in the database; shorter than the batch
    /// if the database went away. A refused entry is found by halving and set aside.
    async fn write(&mut self, entries: &[&Entry]) -> Vec<bool> {
        let mut kept = Vec::with_capacity(entries.len());
        let mut size = entries.len();
        while kept.len() < entries.len() && !self.spilled {
            let rest = &entries[kept.len()..];
            let (together, doomed) = {
                let suspicion = lock(&self.shared.suspicion);
                (suspicion.together(rest), suspicion.is_doomed(rest[0]))
            };
            size = size.clamp(1, together);
            let part = &rest[..size];
            let outcome =
                if doomed { Err(StoreError::Internal("panics".to_owned())) } else { self.attempt(part).await };
            match outcome {
                Ok(()) => {
                    self.succeeded(part);
                    kept.extend(part.iter().map(|_| true));
                    size *= 2;
                }
                Err(error) if error.is_unavailable() => {
                    self.database_away(&error);
                    break;
                }
                Err(_) if size > 1 => size /= 2,
                Err(error) => {
                    self.reject(part[0], &error);
                    kept.push(false);
                }
            }
        }
        kept
    }

    /// Asks whether the database is back when there is nothing to write.
    async fn probe(&mut self) {
        match self.attempt(&[]).await {
            Ok(()) => self.succeeded(&[]),
            Err(error) => self.database_away(&error),
        }
    }

    /// One transaction, twice if the connection was lost: a batch may be repeated.
    async fn attempt(&mut self, entries: &[&Entry]) -> Result<(), StoreError> {
        lock(&self.shared.suspicion).in_hand = entries.iter().map(|entry| entry.id).collect();
        let started = Instant::now();
        let mut outcome = self.transaction(entries).await;
        if outcome.as_ref().is_err_and(StoreError::is_retryable) {
            outcome = self.transaction(entries).await;
        }
        lock(&self.shared.suspicion).in_hand.clear();
        let took = started.elapsed();
        metrics::histogram!("caly_recorder_batch_seconds").record(took.as_secs_f64());
        // Also one that is not slow, but takes long enough for a batch to gather behind it.
        let behind = took > SLOW / 5 && self.queued() > self.shared.options.batch;
        match (took > SLOW || behind, outcome.is_ok()) {
            (true, true) => self.stretch = (self.stretch * 2).min(STRETCH_MAX),
            (false, true) if entries.len() * 2 > self.batch() || self.queued() < self.shared.options.batch => {
                self.stretch = 1;
            }
            _ => {}
        }
        self.store.note(&outcome);
        outcome
    }

    async fn transaction(&mut self, entries: &[&Entry]) -> Result<(), StoreError> {
        self.store.schema_ready()?;
        let (shared, store) = (Arc::clone(&self.shared), self.store.clone());
        #[cfg(test)]
        shared.faults.before(entries)?;
        let patience = store.0.options.acquire_timeout + store.0.options.statement_timeout;
        #[cfg(test)]
        shared.faults.wait().await;
        let mut writing =
            pin!(tokio::time::timeout(TRANSACTION_DEADLINE, apply::write(&store.0.db, entries, patience)));
        let mut slow_at = Instant::now() + SLOW;
        let told = loop {
            tokio::select! {
                outcome = &mut writing => break outcome.unwrap_or_else(|_| Err(StoreError::silent()))?,
                () = shared.asked_to_stop() => return Err(StoreError::later("stopping")),
                () = tokio::time::sleep_until(slow_at) => {
                    self.spill_all();
                    slow_at = Instant::now() + SPILL_EVERY;
                }
            }
        };
        store.feed_moved(told);
        #[cfg(test)]
        shared.faults.after()?;
        Ok(())
    }

    /// Puts on disk all that is queued, as far as the disk takes it.
    fn spill_all(&mut self) {
        let in_hand = lock(&self.shared.queue).is_taken();
        while self.queued() > 0 && Instant::now() >= self.disk_at && self.spill() {
            self.spilled |= in_hand;
        }
    }

    fn succeeded(&mut self, part: &[&Entry]) {
        let count = part.len() as u64;
        self.shared.written.fetch_add(count, Ordering::Relaxed);
        metrics::counter!("caly_recorder_written_total").increment(count);
        self.retry_after = RETRY_MIN;
        lock(&self.shared.suspicion).settled(part);
        let spool_waits = self.spool_waits();
        let mut state = lock(&self.shared.state);
        if !spool_waits {
            state.disk = None;
        }
        if state.away {
            state.away = false;
            tracing::info!("recorder: the database is back");
        }
        drop(state);
        self.shared.progressed();
    }

    fn database_away(&mut self, error: &StoreError) {
        self.retry_at = Instant::now() + self.retry_after;
        self.retry_after = (self.retry_after * 2).min(RETRY_MAX);
        let mut state = lock(&self.shared.state);
        if !state.away {
            tracing::warn!(%error, "recorder: the database is away, keeping the journal on disk");
        }
        state.away = true;
        state.last_error = Some(error.to_string());
        drop(state);
        self.shared.progressed();
    }

    fn reject(&mut self, entry: &Entry, error: &StoreError) {
        self.shared.rejected.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("caly_recorder_rejected_total", "kind" => entry.kind()).increment(1);
        tracing::error!(%error, kind = entry.kind(), entry = %entry.id, "recorder: entry refused, set aside");
        self.shared.failed(&error.to_string());
        lock(&self.shared.suspicion).settled(&[entry]);
        if let Some(spool) = &self.spool
            && let Err(error) = block_in_place(|| spool.reject(entry))
        {
            self.disk_failed(&format!("rejected.jsonl: {error}"), Trouble::Disk);
        }
    }
}

async fn sleep_until(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}
