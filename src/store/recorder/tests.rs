//! Faults planned at the writer, and what they must not cost.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(unreachable_pub, dead_code, reason = "entries shared with the tests outside")]

#[path = "chance_tests.rs"]
mod chance;
#[path = "../../../tests/support/journal.rs"]
mod journal;

use std::sync::atomic::{AtomicUsize, Ordering};

use caly_actors::domain::{CallFacts, ClientId};

use super::entry::Entry;
use super::*;
use crate::store::{NewClient, StoreError, StoreOptions};

const SOON: Duration = Duration::from_secs(20);

/// Faults to come, by number of times.
#[derive(Default)]
pub(super) struct Faults {
    pub(super) panics: AtomicUsize,
    pub(super) away: AtomicUsize,
    pub(super) lost_answers: AtomicUsize,
    /// Milliseconds that every transaction takes longer.
    pub(super) slow_ms: AtomicUsize,
    /// Panics whenever an event of this name is written.
    pub(super) cursed: std::sync::OnceLock<&'static str>,
}

fn one_of(count: &AtomicUsize) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

impl Faults {
    pub(super) async fn wait(&self) {
        tokio::time::sleep(Duration::from_millis(self.slow_ms.load(Ordering::SeqCst) as u64)).await;
    }

    pub(super) fn before(&self, entries: &[&Entry]) -> Result<(), StoreError> {
        assert!(!one_of(&self.panics), "planned panic");
        if let Some(cursed) = self.cursed.get() {
            let hit = |entry: &&Entry| matches!(&entry.body, super::Body::Event { name, .. } if name == cursed);
            assert!(!entries.iter().any(hit), "planned panic over one entry");
        }
        if one_of(&self.away) { Err(StoreError::later("planned absence")) } else { Ok(()) }
    }

    pub(super) fn after(&self) -> Result<(), StoreError> {
        if one_of(&self.lost_answers) { Err(StoreError::later("planned loss of the answer")) } else { Ok(()) }
    }
}

struct World {
    store: Store,
    facts: CallFacts,
    directory: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/caly.db", directory.path().display());
        let store = Store::connect(&url, StoreOptions::default()).await.unwrap();
        store.migrate().await.unwrap();
        let client = store.create_client(NewClient::named("shop", "A shop")).await.unwrap();
        Self { facts: journal::facts(ClientId(client.client.id), "call"), store, directory }
    }

    fn recorder(&self, options: RecorderOptions) -> Arc<Recorder> {
        Recorder::start(self.store.clone(), &self.directory.path().join("spool"), options)
    }

    async fn numbers(&self) -> Vec<i64> {
        let events = self.store.call_detail(self.facts.call).await.unwrap().events;
        events.iter().filter_map(|event| event.detail["at"].as_i64()).collect()
    }
}

fn record(recorder: &Recorder, entry: JournalEntry) {
    recorder.record(SystemTime::now(), entry);
}

fn record_numbers(recorder: &Recorder, world: &World, numbers: std::ops::Range<i64>) {
    for at in numbers {
        record(recorder, journal::event(&world.facts, at));
    }
}

#[tokio::test]
async fn a_writer_that_panics_is_started_again_and_nothing_is_lost_or_doubled() {
    let world = World::new().await;
    let recorder = world.recorder(RecorderOptions::default());
    recorder.shared.faults.panics.store(2, Ordering::SeqCst);
    record(&recorder, JournalEntry::Admitted(world.facts.clone().into()));
    record_numbers(&recorder, &world, 0..500);
    assert!(recorder.flush(SOON).await, "{recorder:?}");
    assert_eq!(world.numbers().await, (0..500).collect::<Vec<_>>());
    let snapshot = recorder.snapshot();
    assert_eq!((snapshot.restarts, snapshot.rejected, snapshot.queued), (2, 0, 0));
}

#[tokio::test]
async fn a_batch_whose_commit_was_not_heard_of_is_there_once() {
    let world = World::new().await;
    let recorder = world.recorder(RecorderOptions::default());
    recorder.shared.faults.lost_answers.store(3, Ordering::SeqCst);
    for entry in journal::short_call(&world.facts) {
        record(&recorder, entry);
    }
    record_numbers(&recorder, &world, 0..50);
    let healthy = async {
        while !(recorder.flush(SOON).await && recorder.snapshot().healthy) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, healthy).await.unwrap();
    let detail = world.store.call_detail(world.facts.call).await.unwrap();
    assert_eq!((detail.turns.len(), detail.intents.len(), detail.actions.len()), (2, 1, 1));
    assert_eq!(world.numbers().await, (0..50).collect::<Vec<_>>());
    assert_eq!(recorder.shared.faults.lost_answers.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_entry_that_always_panics_is_set_aside_and_the_others_are_written() {
    let world = World::new().await;
    let recorder = world.recorder(RecorderOptions::default());
    recorder.shared.faults.cursed.set("cursed").unwrap();
    record(&recorder, JournalEntry::Admitted(world.facts.clone().into()));
    record_numbers(&recorder, &world, 0..3);
    let (call, at) = (world.facts.call, Duration::ZERO);
    record(&recorder, JournalEntry::Event { call, kind: "cursed", detail: "{}".into(), at });
    record_numbers(&recorder, &world, 3..6);
    assert!(recorder.flush(SOON).await, "{recorder:?}");
    assert_eq!(world.numbers().await, [0, 1, 2, 3, 4, 5]);
    let snapshot = recorder.snapshot();
    assert_eq!((snapshot.rejected, snapshot.restarts), (1, 4));
}

#[tokio::test]
async fn with_no_room_anywhere_the_oldest_events_go_first_and_are_counted() {
    let world = World::new().await;
    let recorder = world.recorder(RecorderOptions { queue: 4, spool_bytes: 10, ..RecorderOptions::default() });
    recorder.shared.faults.away.store(1_000_000, Ordering::SeqCst);
    record(&recorder, JournalEntry::Admitted(world.facts.clone().into()));
    assert!(!recorder.flush(Duration::from_millis(300)).await, "neither written nor on disk");
    record_numbers(&recorder, &world, 0..10);
    let before = recorder.snapshot();
    assert_eq!((before.queued, before.dropped), (4, 7));
    assert!(!before.healthy && before.last_error.is_some());
    recorder.shared.faults.away.store(0, Ordering::SeqCst);
    assert!(recorder.flush(SOON).await, "{recorder:?}");
    // One may have been with the writer, that tries again now and then.
    let numbers = world.numbers().await;
    assert_eq!((numbers.len(), &numbers[1..]), (3, &[8, 9][..]));
}

#[tokio::test]
async fn a_crowded_queue_goes_to_disk_and_comes_out_in_order() {
    let world = World::new().await;
    let recorder = world.recorder(RecorderOptions { queue: 1000, batch: 50, ..RecorderOptions::default() });
    record(&recorder, JournalEntry::Admitted(world.facts.clone().into()));
    record_numbers(&recorder, &world, 0..999);
    assert!(recorder.flush(SOON).await, "{recorder:?}");
    assert_eq!(world.numbers().await, (0..999).collect::<Vec<_>>());
    assert_eq!(recorder.snapshot().dropped, 0);
}

#[tokio::test]
async fn a_recorder_that_is_dropped_leaves_its_journal_on_disk_for_the_next() {
    let world = World::new().await;
    let recorder = world.recorder(RecorderOptions::default());
    let mut stopped = recorder.shared.stopped.subscribe();
    recorder.shared.faults.away.store(1_000_000, Ordering::SeqCst);
    record(&recorder, JournalEntry::Admitted(world.facts.clone().into()));
    record_numbers(&recorder, &world, 0..5);
    drop(recorder);
    tokio::time::timeout(SOON, stopped.wait_for(|&stopped| stopped)).await.unwrap().unwrap();
    let next = world.recorder(RecorderOptions::default());
    assert!(!next.snapshot().healthy, "what waits on disk counts from the first moment");
    assert!(next.flush(SOON).await);
    assert_eq!(world.numbers().await, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn an_idle_recorder_notices_that_the_database_is_back() {
    let world = World::new().await;
    let recorder = world.recorder(RecorderOptions { spool_bytes: 10, ..RecorderOptions::default() });
    record(&recorder, JournalEntry::Admitted(world.facts.clone().into()));
    recorder.shared.faults.away.store(1, Ordering::SeqCst);
    assert!(recorder.flush(SOON).await);
    let mut progress = recorder.shared.progress.subscribe();
    let healthy = async {
        while !recorder.snapshot().healthy {
            progress.changed().await.unwrap();
        }
    };
    tokio::time::timeout(SOON, healthy).await.unwrap();
}

#[tokio::test]
async fn what_is_on_disk_is_written_before_what_is_in_memory() {
    let world = World::new().await;
    // Room on disk for the admission, not for the twenty events: those can only be written after it.
    let recorder = world.recorder(RecorderOptions { spool_bytes: 1000, ..RecorderOptions::default() });
    recorder.shared.faults.away.store(1_000_000, Ordering::SeqCst);
    record(&recorder, JournalEntry::Admitted(world.facts.clone().into()));
    assert!(recorder.flush(SOON).await, "{recorder:?}");
    record_numbers(&recorder, &world, 0..20);
    assert!(!recorder.flush(Duration::from_millis(200)).await, "{recorder:?}");
    recorder.shared.faults.away.store(0, Ordering::SeqCst);
    assert!(recorder.flush(SOON).await, "{recorder:?}");
    assert_eq!(world.numbers().await, (0..20).collect::<Vec<_>>());
    assert_eq!(recorder.snapshot().rejected, 0);
}

/// A recorder that has two thousand entries of a former process before it, and a database that takes 100 ms for twenty.
async fn behind_an_old_spool(world: &World) -> Arc<Recorder> {
    let former = world.recorder(RecorderOptions::default());
    let mut stopped = former.shared.stopped.subscribe();
    former.shared.faults.away.store(1_000_000, Ordering::SeqCst);
    record(&former, JournalEntry::Admitted(world.facts.clone().into()));
    record_numbers(&former, world, 0..2_000);
    drop(former);
    tokio::time::timeout(SOON, stopped.wait_for(|&stopped| stopped)).await.unwrap().unwrap();
    let recorder = world.recorder(RecorderOptions { batch: 20, ..RecorderOptions::default() });
    recorder.shared.faults.slow_ms.store(100, Ordering::SeqCst);
    recorder
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_an_old_spool_what_is_new_is_kept_as_soon_as_somebody_waits_for_it() {
    let world = World::new().await;
    let recorder = behind_an_old_spool(&world).await;
    let kept = recorder.record_durably(SystemTime::now(), journal::event(&world.facts, 2_000));
    assert!(tokio::time::timeout(SOON, kept).await.unwrap());
    let former = || lock(&recorder.shared.state).former_bytes;
    assert!(former() > 0, "the old spool is not written yet");
    assert!(recorder.former_written(SOON).await && former() == 0);
    assert!(recorder.flush(SOON).await);
    assert_eq!(world.numbers().await, (0..=2_000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_an_old_spool_what_is_new_is_on_disk_in_a_second_and_a_stop_waits_for_no_more() {
    let world = World::new().await;
    let recorder = behind_an_old_spool(&world).await;
    record_numbers(&recorder, &world, 2_000..2_005);
    let mut progress = recorder.shared.progress.subscribe();
    let spilled = async {
        while recorder.snapshot().queued > 0 {
            progress.changed().await.unwrap();
        }
    };
    tokio::time::timeout(SOON, spilled).await.unwrap();
    assert!(recorder.stop(SOON).await);
    assert!(recorder.snapshot().spooled_bytes > 0, "the rest is the next process's");
    drop(recorder);
    let next = world.recorder(RecorderOptions::default());
    assert!(next.flush(SOON).await);
    assert_eq!(world.numbers().await, (0..2_005).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_former_journal_that_nobody_takes_is_not_waited_for_longer_than_it_gets_on() {
    let world = World::new().await;
    let recorder = behind_an_old_spool(&world).await;
    recorder.shared.faults.away.store(1_000_000, Ordering::SeqCst);
    assert!(!recorder.former_written(Duration::from_millis(300)).await);
}
