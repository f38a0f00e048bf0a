//! A whole media stream as a state machine: messages in, [`CarrierEvent`]s out, tolerance in between.
//!
//! Owns the rules for what a hostile or clumsy peer may do. Knows no socket and no clock: the socket hands over each
//! message and does what a [`Fault`] says. Whatever is dropped or mended is counted in [`Counts`].
//!
//! | the peer sends | what happens |
//! |---|---|
//! | media before `start` | kept in order, the newest 50 frames and 256 KiB, delivered after `start` |
//! | a second `start`, another stream's media, unknown events, anything after `stop` | ignored |
//! | a repeated frame | dropped |
//! | a gap in the numbering | filled with silence, at most 1 s, unless the timestamps say that nothing is missing |
//! | broken JSON, broken base64, binary | ignored; 50 in a row end the stream with 1008 |
//! | a `start` of another call, at a rate that cannot be | the stream ends with 4403, 4422 |

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use caly_actors::domain::{CarrierCallId, Pcm};
use caly_actors::ports::CarrierEvent;

use super::media::{MediaFault, MediaFrame, MediaMessage, Number, StartFacts, decode};
use super::sequence::{Place, SequenceTracker};

/// Frames kept before `start`; a second of 20 ms frames.
const EARLY_FRAMES_MAX: usize = 50;
/// Bytes kept before `start`.
const EARLY_BYTES_MAX: usize = 256 * 1024;
/// Unusable messages in a row that end the stream.
pub const FAULTS_IN_A_ROW_MAX: u32 = 50;
/// Repetitions in a row after which the numbers are taken for meaningless and no longer looked at.
const DUPLICATES_IN_A_ROW_MAX: u32 = 50;
/// Longest silence put into one gap, ms.
const SILENCE_MS_MAX: u64 = 1000;

/// Why a stream must end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Fault {
    /// WebSocket close code to send first.
    pub close_code: u16,
    /// For the close frame and the log.
    pub reason: &'static str,
}

/// What was ignored, dropped or mended on one stream.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// Audio frames handed on.
    pub frames: u64,
    /// Messages that are no JSON object with an event, or lack what their event needs.
    pub malformed: u64,
    /// Frames whose base64 could not be read.
    pub bad_payloads: u64,
    /// Binary messages.
    pub binary: u64,
    /// Unknown events, and messages after `stop`.
    pub ignored: u64,
    /// Inbound `clear`s.
    pub clears: u64,
    /// Starts after the first.
    pub second_starts: u64,
    /// Frames of another stream.
    pub foreign: u64,
    /// Frames without audio.
    pub empty: u64,
    /// Frames that lost an odd last byte.
    pub odd: u64,
    /// Repeated frames dropped.
    pub duplicates: u64,
    /// Frames missing in the numbering.
    pub missing: u64,
    /// Frames older than their forerunner.
    pub late: u64,
    /// Frames numbered with nonsense or far off.
    pub misnumbered: u64,
    /// Silence put into gaps, ms.
    pub silence_ms: u64,
    /// Frames dropped because `start` was too long in coming.
    pub early_dropped: u64,
}

struct EarlyFrame {
    stream: Option<String>,
    pcm: Bytes,
}

/// One media stream from its first message to its last.
pub struct Session {
    expected: Option<CarrierCallId>,
    facts: Option<StartFacts>,
    early: VecDeque<EarlyFrame>,
    early_bytes: usize,
    stopped: bool,
    sequence: SequenceTracker,
    chunks: SequenceTracker,
    /// Where the last frame ended by its own timestamp, ms.
    frame_end_ms: Option<u64>,
    faults_in_a_row: u32,
    duplicates_in_a_row: u32,
    numbers_trusted: bool,
    counts: Counts,
}

impl Session {
    /// `expected`: the call a signed URL was made for; `None` when the call is known only from `start`.
    #[must_use]
    pub fn new(expected: Option<CarrierCallId>) -> Self {
        Self {
            expected,
            facts: None,
            early: VecDeque::new(),
            early_bytes: 0,
            stopped: false,
            sequence: SequenceTracker::default(),
            chunks: SequenceTracker::default(),
            frame_end_ms: None,
            faults_in_a_row: 0,
            duplicates_in_a_row: 0,
            numbers_trusted: true,
            counts: Counts::default(),
        }
    }

    /// The stream's facts, once it has started.
    #[must_use]
    pub fn facts(&self) -> Option<&StartFacts> {
        self.facts.as_ref()
    }

    /// What has been dropped or mended so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The carrier said that the stream is over.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Takes one text message and appends what it means for the call to `events` (reused by the socket, so that a frame
    /// costs no allocation but its audio).
    ///
    /// # Errors
    /// The stream must end; what was appended before still counts.
    pub fn text(&mut self, text: &str, events: &mut Vec<CarrierEvent>) -> Result<(), Fault> {
        let message = match decode(text) {
            Ok(message) => message,
            Err(fault) => return self.unusable(fault),
        };
        self.faults_in_a_row = 0;
        if self.stopped {
            self.counts.ignored += 1;
            return Ok(());
        }
        match message {
            MediaMessage::Media(frame) => self.media(frame, events),
            MediaMessage::Start(facts) => return self.start(*facts, events),
            MediaMessage::Dtmf(key) => self.started_only(CarrierEvent::Dtmf(key), events),
            MediaMessage::Mark(name) => self.started_only(CarrierEvent::Mark(name), events),
            MediaMessage::Stop { call_ended } => {
                self.stopped = true;
                events.push(CarrierEvent::Stopped { call_ended });
            }
            MediaMessage::Clear => self.counts.clears += 1,
            MediaMessage::Connected => {}
            MediaMessage::Ignored => self.counts.ignored += 1,
        }
        Ok(())
    }

    /// Takes one binary message, which the protocol does not have.
    ///
    /// # Errors
    /// There were too many of them in a row.
    pub fn binary(&mut self) -> Result<(), Fault> {
        self.counts.binary += 1;
        self.fault_in_a_row(Fault { close_code: 1003, reason: "binary messages are not part of the protocol" })
    }

    fn unusable(&mut self, fault: MediaFault) -> Result<(), Fault> {
        match fault {
            MediaFault::UnsupportedRate if self.facts.is_some() => {
                self.counts.second_starts += 1;
                return Ok(());
            }
            MediaFault::UnsupportedRate => {
                return Err(Fault { close_code: 4422, reason: "unsupported sample rate" });
            }
            MediaFault::BadPayload => self.counts.bad_payloads += 1,
            MediaFault::Malformed | MediaFault::BadDigit => self.counts.malformed += 1,
        }
        self.fault_in_a_row(Fault { close_code: 1008, reason: "too many unusable messages" })
    }

    fn fault_in_a_row(&mut self, fault: Fault) -> Result<(), Fault> {
        self.faults_in_a_row += 1;
        if self.faults_in_a_row >= FAULTS_IN_A_ROW_MAX { Err(fault) } else { Ok(()) }
    }

    fn started_only(&mut self, event: CarrierEvent, events: &mut Vec<CarrierEvent>) {
        if self.facts.is_some() {
            events.push(event);
        } else {
            self.counts.ignored += 1;
        }
    }

    fn start(&mut self, facts: StartFacts, events: &mut Vec<CarrierEvent>) -> Result<(), Fault> {
        if self.facts.is_some() {
            self.counts.second_starts += 1;
            return Ok(());
        }
        let foreign = match (&self.expected, &facts.call_sid) {
            (Some(expected), Some(given)) => expected != given,
            (Some(_) | None, _) => false,
        };
        if foreign {
            return Err(Fault { close_code: 4403, reason: "this stream belongs to another call" });
        }
        let (stream, rate) = (Arc::clone(&facts.stream), facts.rate);
        self.facts = Some(facts);
        events.push(CarrierEvent::Started { stream: Arc::clone(&stream), rate });
        self.early_bytes = 0;
        for early in std::mem::take(&mut self.early) {
            if is_foreign(early.stream.as_deref(), &stream) {
                self.counts.foreign += 1;
            } else {
                self.counts.frames += 1;
                events.push(CarrierEvent::Audio(Pcm { rate, bytes: early.pcm }));
            }
        }
        Ok(())
    }

    fn media(&mut self, frame: MediaFrame<'_>, events: &mut Vec<CarrierEvent>) {
        let rate = match &self.facts {
            Some(facts) if is_foreign(frame.stream.as_deref(), &facts.stream) => {
                self.counts.foreign += 1;
                return;
            }
            Some(facts) => Some(facts.rate),
            None => None,
        };
        self.counts.odd += u64::from(frame.odd);
        let (missing, duplicate) = self.place(&frame);
        if duplicate {
            self.counts.duplicates += 1;
            return;
        }
        if frame.pcm.is_empty() {
            self.counts.empty += 1;
            return;
        }
        let Some(rate) = rate else { return self.keep_early(frame) };
        let pcm = Pcm { rate, bytes: frame.pcm };
        let length_ms = pcm.bytes.len() as u64 * 500 / u64::from(rate);
        let silence_ms = self.silence_ms(missing, frame.timestamp, length_ms);
        if let Number::Value(at_ms) = frame.timestamp {
            self.frame_end_ms = at_ms.checked_add(length_ms);
        }
        if silence_ms > 0 {
            self.counts.silence_ms += silence_ms;
            let samples = usize::try_from(silence_ms * u64::from(rate) / 1000).unwrap_or(0);
            events.push(CarrierEvent::Audio(Pcm { rate, bytes: Bytes::from(vec![0; samples * 2]) }));
        }
        self.counts.frames += 1;
        events.push(CarrierEvent::Audio(pcm));
    }

    /// How many frames are missing before this one, and whether it was here before. A frame is a repetition only if
    /// every number it carries is one: some peers number only half of what they should.
    fn place(&mut self, frame: &MediaFrame<'_>) -> (u64, bool) {
        let chunk = self.chunks.place(frame.chunk);
        let sequence = self.sequence.place(frame.sequence);
        if !self.numbers_trusted {
            return (0, false);
        }
        let repeated = |place, number| place == Place::Duplicate || number == Number::Absent;
        let numbered = frame.chunk != Number::Absent || frame.sequence != Number::Absent;
        if numbered && repeated(chunk, frame.chunk) && repeated(sequence, frame.sequence) {
            self.duplicates_in_a_row += 1;
            self.numbers_trusted = self.duplicates_in_a_row < DUPLICATES_IN_A_ROW_MAX;
            return (0, true);
        }
        self.duplicates_in_a_row = 0;
        match if frame.chunk == Number::Absent { sequence } else { chunk } {
            Place::Gap(missing) => {
                self.counts.missing += missing;
                return (missing, false);
            }
            Place::Late => self.counts.late += 1,
            Place::Unknown if numbered => self.counts.misnumbered += 1,
            Place::Next | Place::Duplicate | Place::Unknown => {}
        }
        (0, false)
    }

    /// Silence for a gap: as long as the missing frames would have been, or less if the timestamps say so.
    fn silence_ms(&self, missing: u64, timestamp: Number, length_ms: u64) -> u64 {
        let by_count = missing.saturating_mul(length_ms);
        let by_time = match (self.frame_end_ms, timestamp) {
            (Some(end_ms), Number::Value(at_ms)) if at_ms >= end_ms => at_ms - end_ms,
            _ => u64::MAX,
        };
        by_count.min(by_time).min(SILENCE_MS_MAX)
    }

    fn keep_early(&mut self, frame: MediaFrame<'_>) {
        self.early_bytes += frame.pcm.len();
        let stream = frame.stream.map(|stream| stream.chars().take(128).collect());
        self.early.push_back(EarlyFrame { stream, pcm: frame.pcm });
        while self.early.len() > EARLY_FRAMES_MAX || self.early_bytes > EARLY_BYTES_MAX {
            let Some(oldest) = self.early.pop_front() else { break };
            self.early_bytes -= oldest.pcm.len();
            self.counts.early_dropped += 1;
        }
    }
}

/// A frame without a stream id belongs to the socket it came on.
fn is_foreign(claimed: Option<&str>, stream: &str) -> bool {
    claimed.is_some_and(|claimed| claimed != stream) && !stream.is_empty()
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
