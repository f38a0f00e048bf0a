//! Call recordings: stereo WAV files, caller left and agent right, streamed to disk by one thread.
//!
//! Time in a file is time on the call's clock, so a turn's start is also the place to listen to. A call never waits for
//! the disk: audio goes through one bounded queue, and what does not fit is dropped and counted. Only the last second of
//! a call is held in memory, so that speech the caller cut off can still be taken out. Everything is written at its
//! own place: silence is a hole in the file, a full disk costs the time it was full, and a recording taken up again
//! after a crash goes on in the same file. Knows no call states and no database.

mod timeline;
mod wav;

use std::collections::HashMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use caly_actors::domain::{CallFacts, CallId, CallTime, Pcm};
use caly_actors::ports::{RecordingTap, Recordings};
use chrono::{DateTime, Utc};

use timeline::{Side, Timeline};
use wav::{FRAME_BYTES, HEADER_BYTES, header};

/// Pieces of audio waiting for the writer: at 100 pieces a second and call, 200 ms of 400 calls.
const QUEUE_PIECES: usize = 8_192;
/// How often headers are brought up to date, so how much a crash of the process can cost.
const HEADER_EVERY: Duration = Duration::from_secs(1);
/// Without audio for this long, a recording is written out whole.
const QUIET: Duration = Duration::from_secs(2);
/// How long a recording that could not be written waits before it tries again.
const RETRY: Duration = Duration::from_secs(5);

/// Where the recording of a call lies: `<dir>/<yyyy-mm-dd>/<call id>.wav`, the day in UTC.
#[must_use]
pub fn path_of(dir: &Path, admitted_at: SystemTime, call: CallId) -> PathBuf {
    let day = DateTime::<Utc>::from(admitted_at).format("%Y-%m-%d").to_string();
    dir.join(day).join(format!("{call}.wav"))
}

/// Something bytes can be put into at a place; a file, or in a test a disk that fills up.
trait Medium: Send {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Bytes there already.
    fn length(&self) -> io::Result<u64>;
}

impl Medium for File {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn length(&self) -> io::Result<u64> {
        self.metadata().map(|facts| facts.len())
    }
}

type OpenMedium = Box<dyn Fn(&Path) -> io::Result<Box<dyn Medium>> + Send>;

fn open_file(path: &Path) -> io::Result<Box<dyn Medium>> {
    if let Some(dir) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    // Not truncated: a call whose recording broke off goes on in its file.
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    Ok(Box::new(file))
}

/// A recording stopped because the disk refused, or goes on again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// From now on nothing is kept.
    Stopped,
    /// Audio is kept again; what lies between is silent.
    Resumed,
}

/// Is told of marks, on the writer's thread: must not wait. The time is since the call was admitted.
pub type OnMark = Box<dyn Fn(CallId, Mark, Duration) + Send>;

/// Whose recording it is.
struct Owner {
    call: CallId,
    admitted: Instant,
}

enum Job {
    Open { id: u64, owner: Owner, path: PathBuf, rate: u32, tap: Weak<()> },
    Audio { id: u64, side: Side, at: CallTime, pcm: Pcm },
    Cut { id: u64, at: CallTime },
    Close { id: u64 },
    Wake,
}

impl Job {
    /// Which recording it is about.
    fn recording(&self) -> Option<u64> {
        match self {
            Self::Open { id, .. } | Self::Audio { id, .. } | Self::Cut { id, .. } | Self::Close { id } => Some(*id),
            Self::Wake => None,
        }
    }
}

/// What was done, unless it panicked; the panic is logged by the process's hook.
fn calmly<T>(work: impl FnOnce() -> T) -> Result<T, ()> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).map_err(drop)
}

struct Shared {
    jobs: SyncSender<Job>,
    next_id: AtomicU64,
    dropped: AtomicU64,
    /// Recordings that the disk refuses at this moment.
    stopped: AtomicUsize,
    ending: AtomicBool,
}

impl Shared {
    /// Never waits.
    fn send(&self, job: Job) -> bool {
        let samples = if let Job::Audio { pcm, .. } = &job { pcm.bytes.len() as u64 / 2 } else { 0 };
        let sent = self.jobs.try_send(job).is_ok();
        if !sent {
            count_dropped(self, samples);
        }
        sent
    }
}

fn count_dropped(shared: &Shared, samples: u64) {
    shared.dropped.fetch_add(samples, Ordering::Relaxed);
    metrics::counter!("caly_recording_samples_dropped_total").increment(samples);
}

/// Opens recordings in a directory, when recording is on.
pub struct WavRecordings {
    dir: PathBuf,
    shared: Arc<Shared>,
    ended: std::sync::Mutex<Receiver<()>>,
}

impl WavRecordings {
    /// Starts the writer thread; the directory is made with the first recording.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn start(dir: PathBuf, on_mark: OnMark) -> io::Result<Self> {
        Self::start_on(dir, Box::new(open_file), on_mark, QUEUE_PIECES)
    }

    fn start_on(dir: PathBuf, open: OpenMedium, on_mark: OnMark, queue: usize) -> io::Result<Self> {
        let (jobs, received) = sync_channel(queue);
        let (ended_tx, ended) = sync_channel(1);
        let shared = Arc::new(Shared {
            jobs,
            next_id: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            stopped: AtomicUsize::new(0),
            ending: AtomicBool::new(false),
        });
        let disk = Disk { open, on_mark, shared: Arc::clone(&shared) };
        let mut writer = Writer { disk, live: HashMap::new(), headers_at: Instant::now() };
        let run = move || {
            writer.run(&received);
            let _ = ended_tx.try_send(());
        };
        std::thread::Builder::new().name("recordings".to_owned()).spawn(run)?;
        Ok(Self { dir, shared, ended: std::sync::Mutex::new(ended) })
    }

    /// Samples left out because the queue was full, the disk failed, or their time made no sense.
    #[must_use]
    pub fn dropped_samples(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Recordings that the disk refuses at this moment: an alarm if there are any.
    #[must_use]
    pub fn stopped(&self) -> usize {
        self.shared.stopped.load(Ordering::Relaxed)
    }

    /// Writes what is queued and closes every file; waits at most this long. Recordings opened later stay empty.
    pub fn finish(&self, wait: Duration) {
        self.shared.ending.store(true, Ordering::Release);
        self.shared.send(Job::Wake);
        let ended = self.ended.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _ = ended.recv_timeout(wait);
    }
}

impl Drop for WavRecordings {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::Release);
        self.shared.send(Job::Wake);
    }
}

impl Recordings for WavRecordings {
    fn open(&self, facts: &CallFacts, rate: u32) -> Option<Box<dyn RecordingTap>> {
        if !matches!(rate, 8_000 | 16_000 | 24_000) {
            return None;
        }
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        let alive = Arc::new(());
        let path = path_of(&self.dir, facts.admitted_at, facts.call);
        let now = Instant::now();
        let age = facts.admitted_at.elapsed().unwrap_or_default();
        let owner = Owner { call: facts.call, admitted: now.checked_sub(age).unwrap_or(now) };
        let job = Job::Open { id, owner, path, rate, tap: Arc::downgrade(&alive) };
        if !self.shared.send(job) {
            metrics::counter!("caly_recordings_failed_total", "reason" => "queue_full").increment(1);
            return None;
        }
        Some(Box::new(Tap { id, shared: Arc::clone(&self.shared), _alive: alive }))
    }
}

/// One call's end of the queue.
struct Tap {
    id: u64,
    shared: Arc<Shared>,
    /// Its end tells the writer that the tap is gone even when the queue had no room for `Close`.
    _alive: Arc<()>,
}

impl RecordingTap for Tap {
    fn caller(&mut self, at: CallTime, pcm: &Pcm) {
        self.shared.send(Job::Audio { id: self.id, side: Side::Caller, at, pcm: pcm.clone() });
    }

    fn agent(&mut self, at: CallTime, pcm: &Pcm) {
        self.shared.send(Job::Audio { id: self.id, side: Side::Agent, at, pcm: pcm.clone() });
    }

    fn cut_agent(&mut self, at: CallTime) {
        self.shared.send(Job::Cut { id: self.id, at });
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.shared.send(Job::Close { id: self.id });
    }
}

/// What every recording of the writer needs.
struct Disk {
    open: OpenMedium,
    on_mark: OnMark,
    shared: Arc<Shared>,
}

/// The writer thread.
struct Writer {
    disk: Disk,
    live: HashMap<u64, Recording>,
    headers_at: Instant,
}

impl Writer {
    fn run(&mut self, jobs: &Receiver<Job>) {
        loop {
            let job = match jobs.recv_timeout(HEADER_EVERY) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let was_idle = job.is_none();
            if let Some(job) = job {
                self.attempt(job);
            }
            if was_idle || self.headers_at.elapsed() >= HEADER_EVERY {
                self.tick();
            }
            if self.disk.shared.ending.load(Ordering::Acquire) {
                break;
            }
        }
        // What was queued before the end was announced still counts.
        while let Ok(job) = jobs.try_recv() {
            self.attempt(job);
        }
        for (_, mut recording) in self.live.drain() {
            let _ = calmly(|| recording.close(&self.disk));
        }
    }

    /// A panic costs the recording concerned the audio it held in memory, and no other recording anything.
    fn attempt(&mut self, job: Job) {
        let id = job.recording();
        if calmly(|| self.carry_out(job)).is_err()
            && let Some(id) = id
        {
            self.go_on(id);
        }
    }

    /// Goes on in the same file with nothing of the former state; the journal shows the gap.
    fn go_on(&mut self, id: u64) {
        metrics::counter!("caly_recordings_failed_total", "reason" => "panic").increment(1);
        let Some(old) = self.live.remove(&id) else { return };
        if old.failed {
            self.disk.shared.stopped.fetch_sub(1, Ordering::Relaxed);
        }
        let mut next = Recording::new(old.owner, old.path, old.timeline.rate(), old.tap);
        let disk = &self.disk;
        let opened = calmly(|| {
            next.mark(Mark::Stopped, disk);
            next.ensure_medium(disk);
            if !next.failed {
                next.mark(Mark::Resumed, disk);
            }
        });
        // One that cannot even be opened is given up.
        if opened.is_ok() {
            self.live.insert(id, next);
        }
    }

    fn carry_out(&mut self, job: Job) {
        match job {
            Job::Open { id, owner, path, rate, tap } => {
                let mut recording = Recording::new(owner, path, rate, tap);
                recording.ensure_medium(&self.disk);
                self.live.insert(id, recording);
            }
            Job::Audio { id, side, at, pcm } => {
                if let Some(recording) = self.live.get_mut(&id) {
                    recording.heard_at = Instant::now();
                    if recording.timeline.is_after_gap(at) {
                        recording.write(true, &self.disk);
                    }
                    let lost = recording.timeline.place(side, at, &pcm);
                    count_dropped(&self.disk.shared, lost);
                    recording.write(false, &self.disk);
                }
            }
            Job::Cut { id, at } => {
                if let Some(recording) = self.live.get_mut(&id) {
                    recording.timeline.cut_agent(at);
                }
            }
            Job::Close { id } => {
                if let Some(mut recording) = self.live.remove(&id) {
                    recording.close(&self.disk);
                }
            }
            Job::Wake => {}
        }
    }

    fn tick(&mut self) {
        self.headers_at = Instant::now();
        let (disk, mut broken) = (&self.disk, Vec::new());
        self.live.retain(|id, recording| {
            let gone = recording.tap.strong_count() == 0;
            let written = calmly(|| {
                if gone {
                    return recording.close(disk);
                }
                recording.write(recording.heard_at.elapsed() > QUIET, disk);
                recording.write_header(disk);
            });
            if written.is_err() && !gone {
                broken.push(*id);
            }
            !gone
        });
        broken.into_iter().for_each(|id| self.go_on(id));
    }
}

/// One file being written.
struct Recording {
    owner: Owner,
    path: PathBuf,
    timeline: Timeline,
    tap: Weak<()>,
    medium: Option<Box<dyn Medium>>,
    /// Set after a failure; nothing is tried before.
    retry_at: Option<Instant>,
    failed: bool,
    /// End of the audio in the file, in frames.
    written_end: u64,
    header_says: Option<u64>,
    heard_at: Instant,
}

impl Recording {
    fn new(owner: Owner, path: PathBuf, rate: u32, tap: Weak<()>) -> Self {
        Self {
            owner,
            path,
            timeline: Timeline::new(rate),
            tap,
            medium: None,
            retry_at: None,
            failed: false,
            written_end: 0,
            header_says: None,
            heard_at: Instant::now(),
        }
    }

    fn ensure_medium(&mut self, disk: &Disk) {
        if self.medium.is_some() || self.retry_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        match (disk.open)(&self.path).and_then(|medium| medium.length().map(|length| (medium, length))) {
            Ok((medium, length)) => {
                let there = length.saturating_sub(HEADER_BYTES) / FRAME_BYTES;
                self.written_end = self.written_end.max(there);
                self.timeline.starts_after(there);
                self.medium = Some(medium);
                self.write_header(disk);
            }
            Err(error) => self.failed(&error, disk),
        }
    }

    /// Writes what is final, or everything; while the disk fails, what is older than a second is given up.
    fn write(&mut self, all: bool, disk: &Disk) {
        self.ensure_medium(disk);
        let may_try = self.retry_at.is_none_or(|at| Instant::now() >= at);
        if let Some(medium) = self.medium.as_mut().filter(|_| may_try)
            && let Some((first, bytes)) = self.timeline.ready(all)
        {
            match medium.write_at(&bytes, HEADER_BYTES + first * FRAME_BYTES) {
                Ok(()) => {
                    let frames = bytes.len() as u64 / FRAME_BYTES;
                    self.written_end = self.written_end.max(first + frames);
                    self.timeline.written(frames);
                    self.recovered(disk);
                }
                Err(error) => self.failed(&error, disk),
            }
        }
        count_dropped(&disk.shared, self.timeline.give_up_old() * 2);
    }

    fn mark(&self, mark: Mark, disk: &Disk) {
        (disk.on_mark)(self.owner.call, mark, self.owner.admitted.elapsed());
    }

    fn failed(&mut self, error: &io::Error, disk: &Disk) {
        self.retry_at = Some(Instant::now() + RETRY);
        if !self.failed {
            self.failed = true;
            disk.shared.stopped.fetch_add(1, Ordering::Relaxed);
            self.mark(Mark::Stopped, disk);
            metrics::counter!("caly_recordings_failed_total", "reason" => "disk").increment(1);
            tracing::error!(file = %self.path.display(), %error, "recording stopped; it goes on when there is room");
        }
    }

    fn recovered(&mut self, disk: &Disk) {
        self.retry_at = None;
        if self.failed {
            self.failed = false;
            disk.shared.stopped.fetch_sub(1, Ordering::Relaxed);
            self.mark(Mark::Resumed, disk);
            tracing::warn!(file = %self.path.display(), "recording goes on; the time between is silent");
        }
    }

    /// Tells readers how much audio there is. At most a second behind, and never more than there is.
    fn write_header(&mut self, disk: &Disk) {
        let Some(medium) = self.medium.as_mut() else { return };
        if self.header_says == Some(self.written_end) || self.failed {
            return;
        }
        match medium.write_at(&header(self.timeline.rate(), self.written_end), 0) {
            Ok(()) => self.header_says = Some(self.written_end),
            Err(error) => self.failed(&error, disk),
        }
    }

    fn close(&mut self, disk: &Disk) {
        self.retry_at = None;
        self.write(true, disk);
        self.write_header(disk);
        if self.failed {
            // It is over, so it is no longer one that could go on.
            disk.shared.stopped.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
