//! The caller's sound on its way to the engine, of which the last is kept: what a session took and died with can be heard
//! again by the next.
//!
//! How much is kept is told by whoever knows what has been understood: see `realtime.rs`. Handles share one memory.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;

use super::lane::LaneReceiver;

#[derive(Default)]
struct Memory {
    /// Read already, oldest first.
    kept: VecDeque<Bytes>,
    kept_bytes: usize,
    keep_bytes: usize,
    /// Read once and to be read again before anything new.
    again: VecDeque<Bytes>,
}

impl Memory {
    fn remember(&mut self, frame: &Bytes) {
        self.kept_bytes += frame.len();
        self.kept.push_back(frame.clone());
        self.trim();
    }

    fn trim(&mut self) {
        while self.kept_bytes > self.keep_bytes
            && let Some(oldest) = self.kept.pop_front()
        {
            self.kept_bytes -= oldest.len();
        }
    }

    /// Takes the next one that is heard again.
    fn next(&mut self) -> Option<Bytes> {
        let frame = self.again.pop_front()?;
        self.remember(&frame);
        Some(frame)
    }
}

/// The reading end of the caller's sound. Cloning gives another handle.
#[derive(Clone)]
pub struct CallerSound {
    lane: LaneReceiver<Bytes>,
    memory: Arc<Mutex<Memory>>,
}

impl CallerSound {
    /// What comes out of a lane; nothing is kept until [`CallerSound::keep`] says so.
    #[must_use]
    pub fn new(lane: LaneReceiver<Bytes>) -> Self {
        Self { lane, memory: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        // A panic while holding the lock cannot leave it half-changed: every critical section moves whole frames.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many bytes are kept of what has been read.
    pub fn keep(&self, bytes: usize) {
        let mut memory = self.lock();
        memory.keep_bytes = bytes;
        memory.trim();
    }

    /// The last so many bytes, as far as they are kept, are read again before anything new. What was not read yet counts.
    pub fn rewind(&self, bytes: usize) {
        let mut memory = self.lock();
        let frame = memory.kept.back().map_or(0, Bytes::len);
        let mut unread = self.lane.depth() * frame + memory.again.iter().map(Bytes::len).sum::<usize>();
        while unread < bytes
            && let Some(newest) = memory.kept.pop_back()
        {
            memory.kept_bytes -= newest.len();
            unread += newest.len();
            memory.again.push_front(newest);
        }
    }

    /// Takes the next frame if one waits.
    #[must_use]
    pub fn try_next(&self) -> Option<Bytes> {
        let mut memory = self.lock();
        if let Some(frame) = memory.next() {
            return Some(frame);
        }
        let frame = self.lane.try_next()?;
        memory.remember(&frame);
        Some(frame)
    }

    /// Frames waiting now.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.lock().again.len() + self.lane.depth()
    }

    /// Polls for the next frame; `None` once the lane is closed and everything was read.
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut memory = self.lock();
        if let Some(frame) = memory.next() {
            return Poll::Ready(Some(frame));
        }
        let frame = ready!(self.lane.poll_recv(cx));
        frame.iter().for_each(|frame| memory.remember(frame));
        Poll::Ready(frame)
    }
}

impl Stream for CallerSound {
    type Item = Bytes;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.poll_recv(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::lane::{LaneSender, lane};

    /// A lane of frames of two bytes, each with its number.
    fn sound(frames: u8) -> (LaneSender<Bytes>, CallerSound) {
        let (tx, rx) = lane(100);
        let sound = CallerSound::new(rx);
        for n in 0..frames {
            tx.push(vec![n, n].into());
        }
        (tx, sound)
    }

    fn read(sound: &CallerSound) -> Vec<u8> {
        std::iter::from_fn(|| sound.try_next()).map(|frame| frame[0]).collect()
    }

    #[test]
    fn what_was_read_last_is_read_again_in_its_order_before_anything_new() {
        let (tx, sound) = sound(6);
        sound.keep(100);
        assert_eq!(read(&sound), [0, 1, 2, 3, 4, 5]);
        sound.rewind(6);
        tx.push(vec![6, 6].into());
        assert_eq!(sound.depth(), 4);
        assert_eq!(read(&sound), [3, 4, 5, 6]);
        sound.rewind(4);
        assert_eq!(read(&sound), [5, 6], "and once more");
    }

    #[test]
    fn what_was_not_read_yet_counts() {
        let (tx, sound) = sound(4);
        sound.keep(100);
        assert_eq!(read(&sound), [0, 1, 2, 3]);
        tx.push(vec![4, 4].into());
        sound.rewind(6);
        sound.rewind(6);
        assert_eq!(read(&sound), [2, 3, 4]);
    }

    #[test]
    fn no_more_is_kept_than_was_asked_for() {
        let (_tx, sound) = sound(6);
        sound.keep(4);
        assert_eq!(read(&sound).len(), 6);
        sound.rewind(1000);
        assert_eq!(read(&sound), [4, 5]);
        sound.keep(0);
        sound.rewind(1000);
        assert_eq!(read(&sound), [0; 0]);
    }
}
