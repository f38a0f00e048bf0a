//! The journal in memory, waiting for the writer. A batch stays in the queue until it is kept, so a writer that dies
//! with it in hand loses nothing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::entry::Entry;

struct Slot {
    number: u64,
    since: Instant,
    entry: Arc<Entry>,
    /// Somebody waits to hear whether it was kept.
    waiter: Option<oneshot::Sender<bool>>,
}

impl Slot {
    fn may_go(&self) -> bool {
        self.waiter.is_none() && self.entry.is_event()
    }
}

/// What happened to an entry given to a full queue, or to another because of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pushed {
    Kept,
    /// An entry of this kind was given up for lack of room.
    Dropped(&'static str),
}

/// At most `capacity` entries. When full, the oldest event that nobody waits for makes room; without one, the newcomer
/// is dropped.
pub(super) struct Queue {
    slots: VecDeque<Slot>,
    capacity: usize,
    /// From the front, in the writer's hand: not to be dropped.
    taken: usize,
    /// Entries that may be dropped, so that a search is made only when there is one.
    droppable: usize,
    next_number: u64,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        Self { slots: VecDeque::new(), capacity: capacity.max(1), taken: 0, droppable: 0, next_number: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn push(&mut self, entry: Entry, waiter: Option<oneshot::Sender<bool>>) -> Pushed {
        let mut pushed = Pushed::Kept;
        if self.slots.len() >= self.capacity {
            pushed = Pushed::Dropped("event");
            if !self.drop_oldest_event() {
                // Dropping the waiter tells whoever waits.
                return Pushed::Dropped(entry.kind());
            }
        }
        let slot = Slot { number: self.next_number, since: Instant::now(), entry: Arc::new(entry), waiter };
        self.next_number += 1;
        self.droppable += usize::from(slot.may_go());
        self.slots.push_back(slot);
        pushed
    }

    fn drop_oldest_event(&mut self) -> bool {
        if self.droppable == 0 {
            return false;
        }
        let found = self.slots.iter().skip(self.taken).position(Slot::may_go);
        let Some(at) = found else { return false };
        self.slots.remove(self.taken + at);
        self.droppable -= 1;
        true
    }

    /// How long the oldest entry has waited.
    pub(super) fn age(&self) -> Duration {
        self.slots.front().map_or(Duration::ZERO, |slot| slot.since.elapsed())
    }

    /// The oldest entries, in order; they stay until [`Queue::finish`].
    pub(super) fn take(&mut self, most: usize) -> Vec<Arc<Entry>> {
        self.taken = most.min(self.slots.len());
        self.slots.iter().take(self.taken).map(|slot| Arc::clone(&slot.entry)).collect()
    }

    /// The first entries of a batch from [`Queue::take`] are kept elsewhere; `kept` says of each whether it really was.
    /// One that has left the queue meanwhile is passed over.
    pub(super) fn finish(&mut self, batch: &[Arc<Entry>], kept: &[bool]) {
        for (entry, kept) in batch.iter().zip(kept) {
            let Some(slot) = self.slots.pop_front_if(|slot| Arc::ptr_eq(&slot.entry, entry)) else { continue };
            self.droppable -= usize::from(slot.may_go());
            if let Some(waiter) = slot.waiter {
                // Nobody may be listening any more.
                let _unheard = waiter.send(*kept);
            }
        }
        self.taken = 0;
    }

    /// The number the next entry will get.
    pub(super) fn mark(&self) -> u64 {
        self.next_number
    }

    /// A batch is in the writer's hand.
    pub(super) fn is_taken(&self) -> bool {
        self.taken > 0
    }

    /// Whether everything recorded before a mark has left the queue.
    pub(super) fn is_past(&self, mark: u64) -> bool {
        self.slots.front().is_none_or(|slot| slot.number >= mark)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
mod tests {
    use super::super::entry::Body;
    use super::*;
    use uuid::Uuid;

    fn event(name: &str) -> Entry {
        Entry::now(Body::Event { call: Uuid::nil(), name: name.to_owned(), detail: serde_json::Value::Null, at_ms: 0 })
    }

    fn answered() -> Entry {
        Entry::now(Body::Answered { call: Uuid::nil(), rate: 8000 })
    }

    #[test]
    fn a_full_queue_gives_up_its_oldest_event_first_and_never_what_the_writer_holds() {
        let mut queue = Queue::new(3);
        for entry in [event("held"), answered(), event("oldest")] {
            assert_eq!(queue.push(entry, None), Pushed::Kept);
        }
        assert_eq!(queue.take(1).len(), 1);
        assert_eq!(queue.push(answered(), None), Pushed::Dropped("event"));
        let kinds: Vec<_> = queue.take(9).iter().map(|entry| entry.kind()).collect();
        assert_eq!(kinds, ["event", "answered", "answered"]);
        assert_eq!(queue.push(answered(), None), Pushed::Dropped("answered"));
    }

    #[test]
    fn what_was_in_hand_is_there_again_until_it_is_finished() {
        let mut queue = Queue::new(9);
        queue.push(answered(), None);
        let mark = queue.mark();
        assert_eq!(queue.take(5), queue.take(5));
        assert!(!queue.is_past(mark));
        let batch = queue.take(5);
        queue.finish(&batch, &[true]);
        assert!(queue.is_past(mark) && queue.len() == 0);
    }

    #[test]
    fn what_left_the_queue_in_two_batches_at_once_leaves_it_once() {
        let mut queue = Queue::new(9);
        for _ in 0..3 {
            queue.push(answered(), None);
        }
        let (first, all) = (queue.take(2), queue.take(9));
        queue.finish(&all, &[true, true, true]);
        queue.push(answered(), None);
        queue.finish(&first, &[true, true]);
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn an_event_somebody_waits_for_is_not_given_up() {
        let mut queue = Queue::new(1);
        let (waiter, mut answer) = oneshot::channel();
        queue.push(event("waited for"), Some(waiter));
        assert_eq!(queue.push(answered(), None), Pushed::Dropped("answered"));
        let batch = queue.take(1);
        queue.finish(&batch, &[true]);
        assert_eq!(answer.try_recv(), Ok(true));
    }
}
