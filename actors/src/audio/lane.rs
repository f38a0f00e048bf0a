//! A bounded single-thread-friendly queue between two parts of a call.
//!
//! Unlike a plain channel its receiving end can be taken up again after the reader was restarted (both
//! ends are handles to one queue), and when it is full the *oldest* entry goes, because old audio is worth
//! less than new. What is dropped is counted.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_util::Stream;

struct Queue<T> {
    items: VecDeque<T>,
    capacity: usize,
    dropped: u64,
    closed: bool,
    reader: Option<Waker>,
}

struct Shared<T> {
    queue: Mutex<Queue<T>>,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        // A panic while holding the lock cannot leave the queue half-changed: every critical section is a push or a pop.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writing end. Cloning gives another handle to the same queue.
pub struct LaneSender<T>(Arc<Shared<T>>);

/// The reading end. Cloning gives another handle; the last one to poll is the one that is woken.
pub struct LaneReceiver<T>(Arc<Shared<T>>);

impl<T> Clone for LaneSender<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Clone for LaneReceiver<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// A queue that holds at most `capacity` entries.
#[must_use]
pub fn lane<T>(capacity: usize) -> (LaneSender<T>, LaneReceiver<T>) {
    let shared = Arc::new(Shared {
        queue: Mutex::new(Queue {
            items: VecDeque::new(),
            capacity: capacity.max(1),
            dropped: 0,
            closed: false,
            reader: None,
        }),
    });
    (LaneSender(Arc::clone(&shared)), LaneReceiver(shared))
}

/// What became of a pushed entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pushed {
    /// It waits to be read.
    Queued,
    /// It waits, and the oldest entry was dropped for it.
    DroppedOldest,
    /// The lane is closed; the entry is gone.
    Closed,
}

impl<T> LaneSender<T> {
    /// Never waits. When full, the oldest entry is dropped and counted.
    pub fn push(&self, item: T) -> Pushed {
        let mut queue = self.0.lock();
        if queue.closed {
            return Pushed::Closed;
        }
        let full = queue.items.len() >= queue.capacity;
        if full {
            queue.items.pop_front();
            queue.dropped += 1;
        }
        queue.items.push_back(item);
        let reader = queue.reader.take();
        drop(queue);
        if let Some(waker) = reader {
            waker.wake();
        }
        if full {
            metrics::counter!("caly_lane_items_dropped_total").increment(1);
            return Pushed::DroppedOldest;
        }
        Pushed::Queued
    }

    /// Pushes unless the lane is full or closed; gives the entry back then.
    ///
    /// # Errors
    /// The entry, when there was no room for it.
    pub fn try_push(&self, item: T) -> Result<(), T> {
        let full = {
            let queue = self.0.lock();
            queue.closed || queue.items.len() >= queue.capacity
        };
        if full {
            return Err(item);
        }
        self.push(item);
        Ok(())
    }

    /// No more entries: the reader gets what waits, then the end.
    pub fn close(&self) {
        close(&self.0);
    }

    /// Entries waiting now.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.0.lock().items.len()
    }

    /// Entries dropped since the lane was made.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.lock().dropped
    }

    /// Nobody will read again.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.lock().closed
    }
}

fn close<T>(shared: &Shared<T>) {
    let mut queue = shared.lock();
    queue.closed = true;
    let reader = queue.reader.take();
    drop(queue);
    if let Some(waker) = reader {
        waker.wake();
    }
}

impl<T> LaneReceiver<T> {
    /// Takes the next entry if one waits.
    #[must_use]
    pub fn try_next(&self) -> Option<T> {
        self.0.lock().items.pop_front()
    }

    /// Refuses further entries; what waits can still be read.
    pub fn close(&self) {
        close(&self.0);
    }

    /// Throws away what waits; returns how many entries that was.
    pub fn clear(&self) -> usize {
        let mut queue = self.0.lock();
        let waiting = queue.items.len();
        queue.items.clear();
        waiting
    }

    /// Entries waiting now.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.0.lock().items.len()
    }

    /// Entries dropped since the lane was made.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.lock().dropped
    }

    /// Polls for the next entry; `None` once the lane is closed and empty.
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut queue = self.0.lock();
        if let Some(item) = queue.items.pop_front() {
            return Poll::Ready(Some(item));
        }
        if queue.closed {
            return Poll::Ready(None);
        }
        match &mut queue.reader {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            reader => *reader = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl<T> Stream for LaneReceiver<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.poll_recv(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{FutureExt, StreamExt};

    #[test]
    fn a_full_lane_drops_the_oldest_and_counts_it() {
        let (tx, rx) = lane(2);
        assert_eq!(tx.push(1), Pushed::Queued);
        assert_eq!(tx.push(2), Pushed::Queued);
        assert_eq!(tx.push(3), Pushed::DroppedOldest);
        assert_eq!((rx.try_next(), rx.try_next(), rx.try_next()), (Some(2), Some(3), None));
        assert_eq!(rx.dropped(), 1);
    }

    #[test]
    fn try_push_gives_the_entry_back_when_there_is_no_room() {
        let (tx, _rx) = lane(1);
        assert_eq!(tx.try_push('a'), Ok(()));
        assert_eq!(tx.try_push('b'), Err('b'));
    }

    #[test]
    fn a_closed_lane_is_drained_and_then_ends() {
        let (tx, mut rx) = lane(4);
        tx.push(1);
        tx.close();
        assert_eq!(tx.push(2), Pushed::Closed);
        assert_eq!(rx.next().now_or_never(), Some(Some(1)));
        assert_eq!(rx.next().now_or_never(), Some(None));
    }

    #[test]
    fn a_second_reader_takes_over_where_the_first_stopped() {
        let (tx, mut first) = lane(4);
        assert_eq!(first.next().now_or_never(), None);
        let mut second = first.clone();
        drop(first);
        tx.push(7);
        assert_eq!(second.next().now_or_never(), Some(Some(7)));
    }
}
