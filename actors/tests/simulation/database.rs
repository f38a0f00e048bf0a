//! A journal that keeps its word as the product's recorder does (`store::recorder`): nothing waits for the database, what it
//! does not take in half a second goes to disk, and what lies there is written first once it is back. What is told durably is
//! answered when it lies in one of the two.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use caly_actors::ports::{Journal, JournalEntry};
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::dice::Dice;
use super::support::MemoryJournal;

/// Longest wait for the database before the journal goes to disk.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long the first entry of a batch waits for company.
const LINGER: Duration = Duration::from_millis(50);

/// How the database is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Health {
    Up,
    /// Each statement fails at once.
    Refuses,
    /// No statement comes to an end.
    Hangs,
    /// It takes what it is given and nobody hears of it.
    LosesAnswers,
    /// It is away, and the disk takes nothing either.
    NoRoom,
}

/// What becomes of the database in a call, and when.
#[derive(Clone, Copy, Debug)]
pub struct Absence {
    pub health: Health,
    pub from: Duration,
    /// `None`: until after the call.
    pub until: Option<Duration>,
}

impl Absence {
    pub fn of(dice: &mut Dice) -> Self {
        let health =
            [Health::Refuses, Health::Hangs, Health::LosesAnswers, Health::NoRoom][dice.between(0, 3) as usize];
        let from = dice.ms(0, 20_000);
        let lasts = dice.ms(500, 30_000);
        Self { health, from, until: dice.percent(60).then_some(from + lasts) }
    }

    pub fn name(&self) -> &'static str {
        match self.health {
            Health::Up => "",
            Health::Refuses => "database refuses",
            Health::Hangs => "database hangs",
            Health::LosesAnswers => "database loses its answers",
            Health::NoRoom => "neither database nor disk takes anything",
        }
    }
}

struct Waiting {
    entry: usize,
    answer: Option<oneshot::Sender<bool>>,
}

struct Kept {
    health: Health,
    queue: VecDeque<Waiting>,
    spool: VecDeque<usize>,
    /// Entries in the database, in the order in which they came.
    stored: Vec<usize>,
    /// When each entry was safe from a crash of the process.
    safe: Vec<Option<Instant>>,
    /// The first entry that somebody waited for.
    awaited: Option<usize>,
}

/// See the module's text.
pub struct Keeper {
    /// Everything the call said, as it said it.
    told: Arc<MemoryJournal>,
    kept: Mutex<Kept>,
    wake: Notify,
}

thread_local! {
    /// The journal that was made last.
    static LATEST: RefCell<Option<Arc<Keeper>>> = const { RefCell::new(None) };
}

/// Keeps what a call tells.
pub fn keep(told: &Arc<MemoryJournal>) -> Arc<dyn Journal> {
    let keeper = Keeper::start(Arc::clone(told));
    LATEST.with(|latest| latest.replace(Some(Arc::clone(&keeper))));
    keeper
}

impl Keeper {
    /// The one of the call that was begun last, once.
    pub fn latest() -> Arc<Self> {
        LATEST.with(RefCell::take).expect("a journal was made")
    }

    fn start(told: Arc<MemoryJournal>) -> Arc<Self> {
        let (queue, spool) = (VecDeque::new(), VecDeque::new());
        let kept = Kept { health: Health::Up, queue, spool, stored: vec![], safe: vec![], awaited: None };
        let keeper = Arc::new(Self { told, kept: Mutex::new(kept), wake: Notify::new() });
        actix::spawn(Arc::clone(&keeper).write());
        keeper
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("not poisoned")
    }

    pub fn becomes(&self, health: Health) {
        self.kept().health = health;
        self.wake.notify_one();
    }

    pub fn is_away(&self) -> bool {
        self.kept().health != Health::Up
    }

    fn push(&self, entry: JournalEntry, answer: Option<oneshot::Sender<bool>>) {
        let mut kept = self.kept();
        let number = kept.safe.len();
        if answer.is_some() {
            kept.awaited.get_or_insert(number);
        }
        kept.safe.push(None);
        kept.queue.push_back(Waiting { entry: number, answer });
        drop(kept);
        super::memory::ours(|| self.told.record(SystemTime::now(), entry));
        self.wake.notify_one();
    }

    /// The one writer, as long as the call's world is there.
    async fn write(self: Arc<Self>) {
        loop {
            let (idle, health) = {
                let kept = self.kept();
                (kept.queue.is_empty() && (kept.spool.is_empty() || kept.health != Health::Up), kept.health)
            };
            if idle {
                self.wake.notified().await;
                continue;
            }
            match health {
                Health::Up => tokio::time::sleep(LINGER / 5).await,
                Health::Hangs => tokio::time::sleep(PATIENCE).await,
                Health::Refuses | Health::LosesAnswers | Health::NoRoom => tokio::time::sleep(LINGER).await,
            }
            self.kept().batch(health);
        }
    }

    /// The database is back for good: everything is written.
    pub async fn settle(&self) {
        self.becomes(Health::Up);
        tokio::time::sleep(PATIENCE * 4).await;
    }

    /// What is wrong with the record once everything is written: each entry is there once, in the order in which it was told.
    pub fn wrong(&self) -> Option<String> {
        let kept = self.kept();
        let told = self.told.0.lock().expect("not poisoned").len();
        let whole = kept.stored.iter().copied().eq(0..told);
        (!whole).then(|| format!("of {told} entries the database has {:?}, {} wait", kept.stored, kept.queue.len()))
    }

    /// When an entry was safe.
    pub fn safe_since(&self, entry: usize) -> Option<Instant> {
        self.kept().safe.get(entry).copied().flatten()
    }

    /// Entries told before somebody first waited for one: nothing of them may depend on the database.
    pub fn told_freely(&self) -> usize {
        let kept = self.kept();
        kept.awaited.unwrap_or(kept.safe.len())
    }
}

impl Kept {
    /// One transaction, or one line after the other on disk.
    fn batch(&mut self, health: Health) {
        match health {
            Health::NoRoom => {}
            Health::Up => {
                for entry in std::mem::take(&mut self.spool) {
                    self.store(entry);
                }
                for Waiting { entry, answer } in std::mem::take(&mut self.queue) {
                    self.store(entry);
                    self.is_safe(entry, answer);
                }
            }
            Health::Refuses | Health::Hangs | Health::LosesAnswers => {
                for Waiting { entry, answer } in std::mem::take(&mut self.queue) {
                    if health == Health::LosesAnswers && self.spool.is_empty() {
                        self.store(entry);
                    }
                    self.is_safe(entry, answer);
                    self.spool.push_back(entry);
                }
            }
        }
    }

    /// Every entry has an id of its own: what is written twice is there once.
    fn store(&mut self, entry: usize) {
        if !self.stored.contains(&entry) {
            self.stored.push(entry);
        }
    }

    fn is_safe(&mut self, entry: usize, answer: Option<oneshot::Sender<bool>>) {
        self.safe[entry] = Some(Instant::now());
        if let Some(answer) = answer {
            let _unheard = answer.send(true);
        }
    }
}

impl Journal for Keeper {
    fn record(&self, _: SystemTime, entry: JournalEntry) {
        self.push(entry, None);
    }

    fn record_durably(&self, _: SystemTime, entry: JournalEntry) -> BoxFuture<'static, bool> {
        let (answer, kept) = oneshot::channel();
        self.push(entry, Some(answer));
        Box::pin(async move { kept.await.unwrap_or(false) })
    }
}
