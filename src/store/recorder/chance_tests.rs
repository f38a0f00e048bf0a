//! Whole calls while the database refuses, hangs, loses its answers and comes back, and the writer panics, by chance: what is
//! in the database in the end is the call, once and in order. The simulation of calls (`actors/tests/simulation.rs`) takes the
//! recorder's word for that.

#[path = "../../../actors/tests/simulation/dice.rs"]
mod dice;

use super::*;
use dice::Dice;

/// Calls of one run; so many at a time.
const SEEDS: u64 = 32;
const AT_A_TIME: u64 = 8;

/// One call and what happens to its database.
struct Chance {
    dice: Dice,
    world: World,
    recorder: Arc<Recorder>,
    told: Vec<String>,
}

impl Chance {
    async fn new(seed: u64) -> Self {
        let world = World::new().await;
        let recorder = world.recorder(RecorderOptions { batch: 5, ..RecorderOptions::default() });
        Self { dice: Dice::new(seed), world, recorder, told: Vec::new() }
    }

    /// Something happens to the database, or to who writes to it.
    async fn trouble(&mut self) {
        let times = self.dice.between(1, 3) as usize;
        let faults = &self.recorder.shared.faults;
        let what = match self.dice.between(1, 100) {
            1..=10 => (&faults.away, times),
            11..=14 => (&faults.away, 1_000_000),
            15..=24 => (&faults.away, 0),
            25..=32 => (&faults.lost_answers, times),
            33..=38 => (&faults.panics, 1),
            39..=43 => (&faults.slow_ms, 250),
            44..=60 => (&faults.slow_ms, 0),
            61..=63 => return self.begin_anew().await,
            _ => return,
        };
        what.0.store(what.1, Ordering::SeqCst);
        self.told.push(format!("{what:?}"));
    }

    /// The process stops in the middle of the call, and another goes on with its journal.
    async fn begin_anew(&mut self) {
        self.told.push("another process".to_owned());
        // A writer that hangs in the database is not waited for, and here it would go on beside the next.
        self.recorder.shared.faults.slow_ms.store(0, Ordering::SeqCst);
        assert!(self.recorder.stop(SOON).await, "{:?}: {:?}", self.recorder, self.told);
        self.recorder = self.world.recorder(RecorderOptions { batch: 5, ..RecorderOptions::default() });
    }

    /// Tells one entry; whoever waits for it hears that it is kept, whatever the database does.
    async fn tell(&mut self, entry: JournalEntry) {
        if self.dice.percent(80) {
            return record(&self.recorder, entry);
        }
        let kept = self.recorder.record_durably(SystemTime::now(), entry);
        let kept = tokio::time::timeout(SOON, kept).await;
        assert_eq!(kept, Ok(true), "{:?}: {:?}", self.recorder, self.told);
    }

    async fn play(mut self) {
        let mut numbers = 0;
        for entry in journal::short_call(&self.world.facts) {
            self.tell(entry).await;
            for _ in 0..self.dice.between(0, 6) {
                self.trouble().await;
                self.tell(journal::event(&self.world.facts, numbers)).await;
                numbers += 1;
            }
            let pause = self.dice.ms(0, 60);
            tokio::time::sleep(pause).await;
        }
        let faults = &self.recorder.shared.faults;
        let _ = [&faults.away, &faults.lost_answers, &faults.panics, &faults.slow_ms]
            .map(|fault| fault.store(0, Ordering::SeqCst));
        let healthy = async {
            while !(self.recorder.flush(SOON).await && self.recorder.snapshot().healthy) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(SOON, healthy).await.unwrap();
        let detail = self.world.store.call_detail(self.world.facts.call).await.unwrap();
        let kept = (detail.turns.len(), detail.intents.len(), detail.actions.len());
        assert_eq!(kept, (2, 1, 1), "{:?}", self.told);
        assert_eq!(detail.call.end_reason.as_deref(), Some("agent_ended"), "{:?}", self.told);
        assert_eq!(self.world.numbers().await, (0..numbers).collect::<Vec<_>>(), "{:?}", self.told);
        let snapshot = self.recorder.snapshot();
        assert_eq!((snapshot.dropped, snapshot.rejected), (0, 0), "{:?}", self.told);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_database_does_a_call_is_on_record_once_and_in_order() {
    for first in (0..SEEDS).step_by(AT_A_TIME as usize) {
        let calls = (first..first + AT_A_TIME).map(|seed| async move { Chance::new(seed).await.play().await });
        futures_util::future::join_all(calls).await;
    }
}
