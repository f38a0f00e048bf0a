//! The way of events from a session's task to whoever holds the session: a bounded queue on one thread that also
//! carries both endings, the task's (the reader then gets [`EngineEvent::Lost`]) and the reader's (the task then closes).

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use caly_actors::ports::{EngineError, EngineEvent};
use futures_util::Stream;

/// Events that may wait. A full queue drops nothing: the task stops reading its socket until there is room.
const CAPACITY: usize = 256;

#[derive(Default)]
struct Shared {
    events: VecDeque<EngineEvent>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// The reader is gone.
    abandoned: bool,
    /// The writer is gone.
    finished: bool,
    /// What the reader is told last; `None` after an ending that was asked for.
    last: Option<EngineEvent>,
}

/// The task's end.
pub(super) struct EventSender(Rc<RefCell<Shared>>);

/// The reader's end: all events, then `Lost`, then nothing. Dropping it tells the task to close.
pub(super) struct EventStream(Rc<RefCell<Shared>>);

pub(super) fn inbox() -> (EventSender, EventStream) {
    let shared = Rc::new(RefCell::new(Shared {
        last: Some(EngineEvent::Lost(EngineError::Connection("session task ended".to_owned()))),
        ..Shared::default()
    }));
    (EventSender(Rc::clone(&shared)), EventStream(shared))
}

impl EventSender {
    /// Queues an event; past the capacity too, for one frame may hold several. See [`Self::is_full`].
    pub(super) fn push(&self, event: EngineEvent) {
        let mut shared = self.0.borrow_mut();
        if shared.abandoned {
            return;
        }
        shared.events.push_back(event);
        let reader = shared.reader.take();
        drop(shared);
        if let Some(waker) = reader {
            waker.wake();
        }
    }

    /// No more should be read; the task is woken when there is room again, or when the reader is gone.
    pub(super) fn is_full(&self) -> bool {
        self.0.borrow().events.len() >= CAPACITY
    }

    /// Whether nobody reads any more; if somebody does, the task is woken when that changes.
    pub(super) fn is_abandoned(&self, cx: &Context<'_>) -> bool {
        let mut shared = self.0.borrow_mut();
        if shared.abandoned {
            return true;
        }
        match &mut shared.writer {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            writer => *writer = Some(cx.waker().clone()),
        }
        false
    }

    /// Decides what the reader is told last and lets it know. `None`: the ending was asked for.
    pub(super) fn finish(&self, error: Option<EngineError>) {
        let mut shared = self.0.borrow_mut();
        shared.finished = true;
        shared.last = error.map(EngineEvent::Lost);
        let reader = shared.reader.take();
        drop(shared);
        if let Some(waker) = reader {
            waker.wake();
        }
    }
}

impl Drop for EventSender {
    /// Also reached when the task panics or its thread ends: the reader then still gets its `Lost`.
    fn drop(&mut self) {
        let reader = self.0.try_borrow_mut().ok().and_then(|mut shared| {
            shared.finished = true;
            shared.reader.take()
        });
        if let Some(waker) = reader {
            waker.wake();
        }
    }
}

impl Stream for EventStream {
    type Item = EngineEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<EngineEvent>> {
        let mut shared = self.0.borrow_mut();
        if let Some(event) = shared.events.pop_front() {
            let writer = if shared.events.len() + 1 == CAPACITY { shared.writer.take() } else { None };
            drop(shared);
            if let Some(waker) = writer {
                waker.wake();
            }
            return Poll::Ready(Some(event));
        }
        if shared.finished {
            return Poll::Ready(shared.last.take());
        }
        shared.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        let writer = self.0.try_borrow_mut().ok().and_then(|mut shared| {
            shared.abandoned = true;
            shared.events.clear();
            shared.writer.take()
        });
        if let Some(waker) = writer {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{FutureExt, StreamExt};

    #[test]
    fn a_writer_that_vanishes_leaves_a_lost_behind() {
        let (sender, mut stream) = inbox();
        sender.push(EngineEvent::Ready);
        drop(sender);
        assert_eq!(stream.next().now_or_never(), Some(Some(EngineEvent::Ready)));
        assert!(matches!(stream.next().now_or_never(), Some(Some(EngineEvent::Lost(_)))));
        assert_eq!(stream.next().now_or_never(), Some(None));
    }

    #[test]
    fn an_ending_that_was_asked_for_is_no_loss() {
        let (sender, mut stream) = inbox();
        sender.finish(None);
        assert_eq!(stream.next().now_or_never(), Some(None));
    }

    #[test]
    fn the_writer_learns_of_a_full_queue_and_of_an_absent_reader() {
        let (sender, mut stream) = inbox();
        let waker = futures_util::task::noop_waker();
        let cx = Context::from_waker(&waker);
        for _ in 0..CAPACITY {
            assert!(!sender.is_full());
            sender.push(EngineEvent::Ready);
        }
        assert!(sender.is_full());
        assert!(stream.next().now_or_never().is_some());
        assert!(!sender.is_full() && !sender.is_abandoned(&cx));
        drop(stream);
        assert!(sender.is_abandoned(&cx));
    }
}
