//! What the caller has heard: paces agent audio to the carrier and keeps the position of their ear.
//!
//! Plain data with time as an argument. Audio is counted in samples at the carrier's rate. Everything sent has a
//! position; the ear is somewhere between what marks confirmed and what was sent, and moves one sample per sample
//! time. At most [`AHEAD_MAX`] is ever with the carrier, so that `clear` bites at once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};

use super::marks::Marks;
pub use super::steps::{Cut, FirstSound, Step};
use super::steps::{Given, Queued, Sent};
use crate::domain::CallTime;

/// Most audio the carrier may hold that the caller has not heard.
pub const AHEAD_MAX: Duration = Duration::from_millis(400);
/// How far ahead is sent by our own clock: the carrier begins to play a little later than we think.
const AHEAD_TARGET: Duration = Duration::from_millis(350);
/// … however far behind marks tell the ear to be: they may have been on their way for long, and a carrier that has nothing to play
/// is silent.
const AHEAD_LEAST: Duration = Duration::from_millis(250);
/// The ear is no further behind that of a carrier that plays at once what it is sent.
const LAG_MAX: Duration = AHEAD_MAX;
/// Usual size of a message to the carrier.
const MESSAGE: Duration = Duration::from_millis(100);
/// Audio between two marks while speech flows.
const MARK_EVERY: Duration = Duration::from_millis(400);
/// Quiet after which what was sent is marked, so that the end of speech is confirmed.
const MARK_QUIET: Duration = Duration::from_millis(60);
/// How long after its estimated end speech counts as heard although no mark came.
const MARK_PATIENCE: Duration = Duration::from_millis(600);
/// A mark comes no sooner than the sound before it takes, but for so much by which clocks differ.
const MARK_EARLY: Duration = Duration::from_millis(100);
/// Messages must be a multiple of this many bytes (telephony.md §1.1.4).
const UNIT_BYTES: usize = 320;
/// Agent audio kept for playing: five minutes at 24 kHz. More than any answer; a flood beyond it is dropped.
const QUEUE_BYTES_MAX: usize = 24_000 * 2 * 300;

/// See the module's text.
pub struct Playout {
    rate: u32,
    queue: VecDeque<Queued>,
    queued_bytes: usize,
    dropped_bytes: u64,
    /// Oldest first.
    given: VecDeque<Given>,
    sent: VecDeque<Sent>,
    sent_samples: u64,
    /// At this time the ear was at this position.
    anchor: (CallTime, u64),
    /// … and no ear can be further than if it had been there at this one.
    earliest: (CallTime, u64),
    marks: Marks,
    marked_samples: u64,
    last_sent_at: CallTime,
    last_queued_at: CallTime,
    confirmed: u64,
    /// Items of which a mark has told when they began to be heard, until that is told.
    begun: Vec<(Arc<str>, CallTime)>,
    begun_last: Option<(Arc<str>, CallTime)>,
    drained: bool,
    /// The next audio follows a silence.
    resumes: bool,
    /// What was sent and not yet heard, so that it can be taken back; at most what the carrier may hold.
    unheard: VecDeque<(u64, Queued)>,
    /// Nothing is sent until [`Playout::resume`].
    held: bool,
}

impl Playout {
    /// For a stream of `rate` samples a second.
    #[must_use]
    pub fn new(rate: u32) -> Self {
        Self {
            rate: rate.max(1),
            queue: VecDeque::new(),
            queued_bytes: 0,
            dropped_bytes: 0,
            given: VecDeque::new(),
            sent: VecDeque::new(),
            sent_samples: 0,
            anchor: (CallTime::ZERO, 0),
            earliest: (CallTime::ZERO, 0),
            marks: Marks::default(),
            marked_samples: 0,
            last_sent_at: CallTime::ZERO,
            last_queued_at: CallTime::ZERO,
            confirmed: 0,
            begun: Vec::new(),
            begun_last: None,
            drained: true,
            resumes: false,
            unheard: VecDeque::new(),
            held: false,
        }
    }

    /// Samples a second.
    #[must_use]
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Takes audio to be played after all before it. What does not fit the bound is dropped and counted.
    pub fn push(&mut self, now: CallTime, item: &Arc<str>, pcm: Bytes) {
        if pcm.is_empty() {
            return;
        }
        if self.queued_bytes + pcm.len() > QUEUE_BYTES_MAX {
            self.dropped_bytes += pcm.len() as u64;
            metrics::counter!("caly_agent_audio_dropped_bytes_total").increment(pcm.len() as u64);
            let known = self.given.iter_mut().find(|given| given.item == *item);
            known.into_iter().for_each(|given| given.dropped += pcm.len() as u64 / 2);
            return;
        }
        let samples = pcm.len() as u64 / 2;
        match self.given.iter_mut().find(|given| given.item == *item) {
            Some(given) => given.samples += samples,
            None => self.given.push_back(Given { item: Arc::clone(item), samples, dropped: 0, first: now }),
        }
        self.queued_bytes += pcm.len();
        self.queue.push_back(Queued { item: Arc::clone(item), bytes: pcm });
        self.last_queued_at = now;
        self.resumes |= std::mem::replace(&mut self.drained, false);
    }

    /// Whether anything is being heard or waits to be.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !self.drained
    }

    /// Whether the agent is heard, or is about to be: not while it is held.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        !self.drained && !self.held
    }

    /// Bytes waiting to be sent.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Bytes dropped because the queue was full.
    #[must_use]
    pub fn dropped_bytes(&self) -> u64 {
        self.dropped_bytes
    }

    /// Where the ear is, in samples since the stream began.
    #[must_use]
    pub fn position(&self, now: CallTime) -> u64 {
        // A line that lags by more would need more sound than it is given: it is the marks that are late.
        let least = self.moved(self.earliest, now).saturating_sub(self.samples(LAG_MAX));
        self.moved(self.anchor, now).max(least)
    }

    fn moved(&self, (then, position): (CallTime, u64), now: CallTime) -> u64 {
        (position + self.samples(now.saturating_sub(then))).min(self.sent_samples)
    }

    /// Audio with the carrier that the caller has not heard.
    #[must_use]
    pub fn ahead(&self, now: CallTime) -> Duration {
        self.time(self.sent_samples - self.position(now))
    }

    /// Sends what is due, appending to `steps`; returns when to be asked again, if anything is under way.
    pub fn pump(&mut self, now: CallTime, steps: &mut Vec<Step>) -> Option<CallTime> {
        steps.extend(self.begun.drain(..).map(|(item, at)| Step::Heard(item, at)));
        while let Some(bytes) = self.due_bytes(now) {
            self.send(now, bytes, steps);
        }
        self.mark_if_due(now, steps);
        self.prune(now);
        self.next_wake(now, steps)
    }

    /// A mark came back: everything before it has been heard, as far as that can be. Unknown names (cleared, forged, repeated) are
    /// ignored.
    pub fn mark_played(&mut self, now: CallTime, name: &str) {
        let Some(position) = self.marks.played(name) else { return };
        // Some peers send marks back as they come, and not when they are heard.
        let position = position.min(self.moved(self.earliest, now) + self.samples(MARK_EARLY));
        self.confirmed = self.confirmed.max(position);
        self.anchor = (now, position);
        for (item, samples) in self.marks.confirmed(position) {
            // A mark may come late, and a gap in the sound makes later ones later: never sooner than the truth.
            let at = now.saturating_sub(self.time(samples));
            if self.begun_last.as_ref().is_none_or(|(last, told)| *last != item || at < *told) {
                self.begun_last = Some((Arc::clone(&item), at));
                self.begun.push((item, at));
            }
        }
    }

    /// How much sound there was of each item in play so far.
    pub fn sounded(&self) -> impl Iterator<Item = (Arc<str>, Duration)> + '_ {
        self.given.iter().map(|given| (Arc::clone(&given.item), self.time(given.samples)))
    }

    /// The caller interrupts: forgets all that waits and reports, oldest first, each item that was not heard to its end.
    pub fn interrupt(&mut self, now: CallTime) -> Vec<Cut> {
        let ear = self.position(now);
        let cut = |Given { item, samples: total, dropped, .. }: &Given| {
            let sent = self.sent.iter().filter(|sent| sent.item == *item);
            let listed: u64 = sent.map(|sent| ear.clamp(sent.start, sent.end) - sent.start).sum();
            let heard = (listed + self.forgotten(item, *total)).min(*total);
            Cut { item: Arc::clone(item), heard_ms: self.ms(heard), total_ms: self.ms(total + dropped) }
        };
        let cuts = self.given.iter().map(cut).filter(|cut| cut.heard_ms < cut.total_ms).collect();
        self.held = false;
        self.unheard.clear();
        self.queue.clear();
        self.queued_bytes = 0;
        self.given.clear();
        self.sent.clear();
        self.stop_at(now, ear);
        self.drained = true;
        cuts
    }

    /// Stops where the ear is and takes back what the carrier has not played; tells how much there is left to hear. `None` if
    /// nothing is being heard. The carrier must forget what it holds.
    pub fn hold(&mut self, now: CallTime) -> Option<Duration> {
        if self.drained {
            return None;
        }
        let ear = self.position(now);
        while let Some((start, mut piece)) = self.unheard.pop_back() {
            let heard = (ear.saturating_sub(start) as usize * 2).min(piece.bytes.len());
            piece.bytes.advance(heard);
            if !piece.bytes.is_empty() {
                self.queued_bytes += piece.bytes.len();
                self.queue.push_front(piece);
            }
        }
        self.sent.retain(|sent| sent.start < ear);
        if let Some(last) = self.sent.back_mut() {
            last.end = last.end.min(ear);
        }
        self.stop_at(now, ear);
        self.held = true;
        Some(self.time(self.queued_bytes as u64 / 2))
    }

    /// Nothing is with the carrier any more, and the ear is there.
    fn stop_at(&mut self, now: CallTime, ear: u64) {
        self.marks.forget();
        (self.sent_samples, self.marked_samples, self.confirmed) = (ear, ear, ear);
        (self.anchor, self.earliest) = ((now, ear), (now, ear));
    }

    /// Goes on where it was held.
    pub fn resume(&mut self, now: CallTime) {
        if std::mem::take(&mut self.held) {
            (self.anchor, self.earliest) = ((now, self.sent_samples), (now, self.sent_samples));
            self.last_queued_at = now;
            self.resumes = true;
        }
    }

    /// What the carrier has not played is sent anew, to another socket.
    pub fn take_back(&mut self, now: CallTime) {
        let held = self.held;
        if self.hold(now).is_some() && !held {
            self.resume(now);
        }
    }

    /// Samples of an item that were sent, heard and pruned: given, minus what waits, minus what is still listed as sent.
    fn forgotten(&self, item: &Arc<str>, total: u64) -> u64 {
        let waiting: u64 = self.queue.iter().filter(|q| q.item == *item).map(|q| q.bytes.len() as u64 / 2).sum();
        let listed: u64 = self.sent.iter().filter(|s| s.item == *item).map(|s| s.end - s.start).sum();
        total.saturating_sub(waiting + listed)
    }

    /// How many bytes to send now, if any.
    fn due_bytes(&self, now: CallTime) -> Option<usize> {
        if self.queued_bytes == 0 || self.held {
            return None;
        }
        // What is there is sent at once, in messages of the usual size where there is that much: waiting for more would
        // only add delay to an engine that speaks in real time.
        let message = self.bytes(MESSAGE).min(self.queued_bytes) / UNIT_BYTES * UNIT_BYTES;
        if message > 0 {
            return (self.due_in(now, message) == Duration::ZERO).then_some(message);
        }
        // Less than one unit: only when nothing more has come for a while, padded with silence.
        (now >= self.last_queued_at + MARK_QUIET / 2).then_some(UNIT_BYTES)
    }

    /// When there is room for so many bytes more at the carrier.
    fn due_in(&self, now: CallTime, message: usize) -> Duration {
        let message = self.time(message as u64 / 2);
        let told = self.ahead(now).saturating_sub(AHEAD_TARGET.saturating_sub(message));
        let least = self.time(self.sent_samples - self.moved(self.earliest, now));
        told.min(least.saturating_sub(AHEAD_LEAST.saturating_sub(message)))
    }

    fn send(&mut self, now: CallTime, length: usize, steps: &mut Vec<Step>) {
        // Underrun: the ear waited at the end of what was sent, and goes on from now.
        let ear = self.position(now);
        if ear == self.sent_samples {
            self.anchor = (now, ear);
        }
        if self.moved(self.earliest, now) == self.sent_samples {
            self.earliest = (now, self.sent_samples);
        }
        let heard_at = now + self.time(self.sent_samples - ear);
        let before = steps.len();
        let message = self.take(length, (now, heard_at), steps);
        self.sent_samples += length as u64 / 2;
        self.last_sent_at = now;
        steps.push(Step::Send(message, heard_at));
        // The first message of an item is marked at once: nothing tells better when it began to be heard.
        let begins = steps[before..].iter().any(|step| matches!(step, Step::Began(_, Some(_))));
        if begins || self.time(self.sent_samples - self.marked_samples) >= MARK_EVERY {
            self.mark(steps);
        }
    }

    /// Takes `length` bytes off the queue, noting where each item lies; pads with silence when there are fewer. `when` they
    /// are sent and begin to be heard.
    fn take(&mut self, length: usize, when: (CallTime, CallTime), steps: &mut Vec<Step>) -> Bytes {
        let begin = self.sent_samples;
        let mut position = begin;
        let whole = self.queue.front().is_some_and(|front| front.bytes.len() == length);
        let mut message = BytesMut::with_capacity(if whole { 0 } else { length });
        let mut single = None;
        let mut missing = length;
        while missing > 0 {
            let Some(front) = self.queue.front_mut() else {
                message.resize(length, 0);
                break;
            };
            let part = front.bytes.split_to(missing.min(front.bytes.len()));
            let item = Arc::clone(&front.item);
            if front.bytes.is_empty() {
                self.queue.pop_front();
            }
            missing -= part.len();
            self.queued_bytes -= part.len();
            self.unheard.push_back((position, Queued { item: Arc::clone(&item), bytes: part.clone() }));
            let end = position + part.len() as u64 / 2;
            let heard = when.1 + self.time(position - begin);
            self.note_sent(item, (position, end), (when.0, heard), steps);
            position = end;
            if whole {
                single = Some(part);
            } else {
                message.extend_from_slice(&part);
            }
        }
        single.unwrap_or_else(|| message.freeze())
    }

    fn note_sent(
        &mut self,
        item: Arc<str>,
        (start, end): (u64, u64),
        (sent, heard): (CallTime, CallTime),
        steps: &mut Vec<Step>,
    ) {
        let resumes = std::mem::take(&mut self.resumes);
        if let Some(last) = self.sent.back_mut()
            && last.item == item
            && last.end == start
        {
            last.end = end;
            if resumes {
                steps.push(Step::Began(item, None));
            }
            return;
        }
        let first = !self.sent.iter().any(|sent| sent.item == item) && self.forgotten_before(&item, end - start);
        if first {
            self.note_sounded(self.sent.back().map(|before| Arc::clone(&before.item)), steps);
            let made = self.given_of(&item).map_or(sent, |given| given.first);
            steps.push(Step::Began(Arc::clone(&item), Some(FirstSound { made, sent, heard })));
            self.marks.item(Arc::clone(&item), start);
        } else if resumes {
            steps.push(Step::Began(Arc::clone(&item), None));
        }
        self.sent.push_back(Sent { item, start, end });
    }

    /// Nothing more of an item will come.
    fn note_sounded(&self, item: Option<Arc<str>>, steps: &mut Vec<Step>) {
        let given = item.and_then(|item| self.given_of(&item));
        steps.extend(given.map(|given| Step::Sounded(Arc::clone(&given.item), self.time(given.samples))));
    }

    /// Whether nothing of the item went out before the `samples` just taken.
    fn forgotten_before(&self, item: &Arc<str>, samples: u64) -> bool {
        let total = self.given_of(item).map_or(0, |given| given.samples);
        self.forgotten(item, total) <= samples
    }

    fn given_of(&self, item: &Arc<str>) -> Option<&Given> {
        self.given.iter().find(|given| given.item == *item)
    }

    fn mark_if_due(&mut self, now: CallTime, steps: &mut Vec<Step>) {
        let quiet = !self.held && self.queued_bytes == 0 && now >= self.last_sent_at + MARK_QUIET;
        if quiet && self.sent_samples > self.marked_samples {
            self.mark(steps);
        }
    }

    fn mark(&mut self, steps: &mut Vec<Step>) {
        self.marked_samples = self.sent_samples;
        steps.push(Step::Mark(self.marks.add(self.sent_samples)));
    }

    /// Forgets what lies behind the ear, so that a long call keeps constant memory.
    fn prune(&mut self, now: CallTime) {
        let ear = self.position(now);
        while self.unheard.front().is_some_and(|(start, piece)| start + piece.bytes.len() as u64 / 2 <= ear) {
            self.unheard.pop_front();
        }
        while self.sent.len() > 1 && self.sent.front().is_some_and(|sent| sent.end <= ear.min(self.confirmed)) {
            self.sent.pop_front();
        }
        while self.given.len() > 1 {
            let Some(Given { item, .. }) = self.given.front() else { break };
            let in_play = self.sent.iter().any(|s| s.item == *item) || self.queue.iter().any(|q| q.item == *item);
            if in_play {
                break;
            }
            self.given.pop_front();
        }
    }

    fn next_wake(&mut self, now: CallTime, steps: &mut Vec<Step>) -> Option<CallTime> {
        if self.held {
            return None;
        }
        if self.queued_bytes > 0 {
            if self.queued_bytes < UNIT_BYTES {
                return Some((self.last_queued_at + MARK_QUIET / 2).max(now));
            }
            let message = self.bytes(MESSAGE).min(self.queued_bytes);
            return Some(now + self.due_in(now, message));
        }
        if self.drained {
            return None;
        }
        if self.sent_samples > self.marked_samples {
            return Some(self.last_sent_at + MARK_QUIET);
        }
        let heard = self.confirmed >= self.sent_samples;
        let overdue = now >= self.last_sent_at + MARK_QUIET
            && self.ahead(now).is_zero()
            && now >= self.end_estimate() + MARK_PATIENCE;
        if heard || overdue {
            self.drained = true;
            self.note_sounded(self.given.back().map(|last| Arc::clone(&last.item)), steps);
            steps.push(Step::Drained);
            return None;
        }
        Some(self.end_estimate() + MARK_PATIENCE)
    }

    /// When the ear reaches the end of what was sent, if nothing corrects it.
    fn end_estimate(&self) -> CallTime {
        self.anchor.0 + self.time(self.sent_samples.saturating_sub(self.anchor.1))
    }

    fn samples(&self, time: Duration) -> u64 {
        time.as_micros() as u64 * u64::from(self.rate) / 1_000_000
    }

    fn time(&self, samples: u64) -> Duration {
        Duration::from_micros(samples * 1_000_000 / u64::from(self.rate))
    }

    fn ms(&self, samples: u64) -> u64 {
        samples * 1000 / u64::from(self.rate)
    }

    fn bytes(&self, time: Duration) -> usize {
        self.samples(time) as usize * 2
    }
}

#[cfg(test)]
#[path = "playout_tests.rs"]
mod tests;
