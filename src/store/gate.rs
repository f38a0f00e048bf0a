//! Look-ups that somebody on the phone waits for: they are worth little when they are late, so a database that is slow
//! or away is not asked again by each of them.
//!
//! The rule, in one place: while nothing is wrong, a look-up is asked and waited for at most [`PATIENCE`]. While another
//! has been waiting longer than [`RESTLESS`], newcomers go on without. After one that was late or failed, nobody waits:
//! once in [`PAUSE`] one look-up is tried in the background, and only its timely answer lets others ask again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use caly_actors::domain::{Carrier, CarrierCallId};

use super::Store;
use super::rows::CallRow;

/// Longest wait for one look-up.
pub(super) const PATIENCE: Duration = Duration::from_millis(100);
/// A look-up that takes this long is a bad sign: ten times what a busy database takes.
const RESTLESS: Duration = Duration::from_millis(25);
/// Between two tries of a database that was late.
const PAUSE: Duration = Duration::from_secs(1);

/// What a look-up is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Entry {
    /// Ask and wait.
    Ask,
    /// Ask in the background and go on without.
    Probe,
    /// Go on without.
    Skip,
}

/// How a look-up went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Exit {
    Answered,
    /// Late, or refused because the database is away.
    Failed,
    /// Whoever asked is gone: nothing is learnt.
    Abandoned,
}

#[derive(Default, Debug)]
struct Gate {
    /// When the look-ups that are under way began, the oldest first.
    under_way: Vec<Instant>,
    /// Set after a failure: not before this.
    shut_until: Option<Instant>,
    probing: bool,
}

impl Gate {
    fn enter(&mut self, now: Instant) -> Entry {
        match self.shut_until {
            Some(until) if self.probing || now < until => return Entry::Skip,
            Some(_) => {
                self.probing = true;
                self.under_way.push(now);
                return Entry::Probe;
            }
            None => {}
        }
        if self.under_way.first().is_some_and(|begun| now.saturating_duration_since(*begun) >= RESTLESS) {
            return Entry::Skip;
        }
        self.under_way.push(now);
        Entry::Ask
    }

    fn leave(&mut self, entry: Entry, begun: Instant, now: Instant, exit: Exit) {
        if let Some(at) = self.under_way.iter().position(|other| *other == begun) {
            self.under_way.remove(at);
        }
        self.probing &= entry != Entry::Probe;
        match exit {
            Exit::Failed => self.shut_until = Some(now + PAUSE),
            // One that was asked before the failure says nothing of the time after it.
            Exit::Answered if entry == Entry::Probe => self.shut_until = None,
            Exit::Answered | Exit::Abandoned => {}
        }
    }
}

/// The gate of one store.
#[derive(Clone, Default, Debug)]
pub(super) struct LookUps(Arc<Mutex<Gate>>);

impl LookUps {
    fn with<T>(&self, act: impl FnOnce(&mut Gate) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A look-up under way; dropped without an outcome, it was abandoned.
struct Pass {
    gate: LookUps,
    entry: Entry,
    begun: Instant,
    exit: Exit,
}

impl Drop for Pass {
    fn drop(&mut self) {
        let (entry, begun, exit) = (self.entry, self.begun, self.exit);
        self.gate.with(|gate| gate.leave(entry, begun, Instant::now(), exit));
    }
}

impl Store {
    /// The call of a carrier's id, if the database knows one and says so within 100 ms. `None` also when the database is
    /// known to be slow or away: then nobody waits at all.
    pub async fn find_call_soon(&self, carrier: Carrier, id: &CarrierCallId) -> Option<CallRow> {
        let (gate, begun) = (self.0.look_ups.clone(), Instant::now());
        let entry = gate.with(|gate| gate.enter(begun));
        if entry == Entry::Skip {
            metrics::counter!("caly_lookups_skipped_total").increment(1);
            return None;
        }
        let pass = Pass { gate, entry, begun, exit: Exit::Abandoned };
        if entry == Entry::Ask {
            return self.look_up(carrier, id, pass).await;
        }
        metrics::counter!("caly_lookups_skipped_total").increment(1);
        let (store, id) = (self.clone(), id.clone());
        // The runtime refuses only when the store is closed, and then there is nothing to learn.
        let _probe = self.0.runtime.spawn(async move { store.look_up(carrier, &id, pass).await });
        None
    }

    async fn look_up(&self, carrier: Carrier, id: &CarrierCallId, mut pass: Pass) -> Option<CallRow> {
        let found = tokio::time::timeout(PATIENCE, self.find_call_by_carrier_id(carrier, id)).await;
        pass.exit = match &found {
            Err(_) => Exit::Failed,
            Ok(Err(error)) if error.is_unavailable() => Exit::Failed,
            Ok(_) => Exit::Answered,
        };
        found.ok().and_then(Result::ok).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One thing that happens, at so many milliseconds.
    enum Step {
        /// A look-up comes: what it is to do.
        Enter(u64, Entry),
        /// The one that came at the first time leaves at the second.
        Leave(u64, Entry, u64, Exit),
    }

    #[test]
    fn nobody_waits_for_a_database_that_was_late() {
        use self::Entry::{Ask, Probe, Skip};
        use self::Exit::{Abandoned, Answered, Failed};
        use self::Step::{Enter, Leave};
        let tables: [(&str, &[Step]); 6] = [
            ("all is well", &[Enter(0, Ask), Leave(0, Ask, 2, Answered), Enter(3, Ask), Enter(10, Ask)]),
            ("one waits: others do not", &[Enter(0, Ask), Enter(24, Ask), Enter(25, Skip), Enter(99, Skip)]),
            (
                "the one that waits is answered",
                &[Enter(0, Ask), Enter(30, Skip), Leave(0, Ask, 31, Answered), Enter(32, Ask)],
            ),
            (
                "after a failure one probe a second, until one is answered",
                &[
                    Enter(0, Ask),
                    Leave(0, Ask, 100, Failed),
                    Enter(101, Skip),
                    Enter(1099, Skip),
                    Enter(1100, Probe),
                    Enter(1101, Skip),
                    Leave(1100, Probe, 1200, Failed),
                    Enter(1201, Skip),
                    Enter(2200, Probe),
                    Leave(2200, Probe, 2203, Answered),
                    Enter(2204, Ask),
                ],
            ),
            (
                "an answer asked for before the failure changes nothing",
                &[
                    Enter(0, Ask),
                    Enter(1, Ask),
                    Leave(0, Ask, 100, Failed),
                    Leave(1, Ask, 101, Answered),
                    Enter(102, Skip),
                ],
            ),
            (
                "a probe that nobody heard the end of is not waited for",
                &[
                    Enter(0, Ask),
                    Leave(0, Ask, 100, Failed),
                    Enter(1100, Probe),
                    Leave(1100, Probe, 1150, Abandoned),
                    Enter(1151, Probe),
                ],
            ),
        ];
        let zero = Instant::now();
        let at = |ms: u64| zero + Duration::from_millis(ms);
        for (what, steps) in tables {
            let mut gate = Gate::default();
            for (number, step) in steps.iter().enumerate() {
                match step {
                    Enter(ms, entry) => assert_eq!(gate.enter(at(*ms)), *entry, "{what}, step {number}"),
                    Leave(begun, entry, ms, exit) => gate.leave(*entry, at(*begun), at(*ms), *exit),
                }
            }
        }
    }
}
