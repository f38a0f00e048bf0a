//! The last second of a recording: both sides placed on the call's clock, not yet written. No files, no clock.

use std::collections::VecDeque;

use caly_actors::domain::{CallTime, Pcm};

/// Younger audio than this stays in memory, in milliseconds: more than the agent's speech may run ahead of the ear.
const KEPT_MS: u64 = 800;
/// Audio is written in pieces of at least this.
const PIECE_MS: u64 = 200;
/// A side's audio that arrives this far off its own sequence is still in sequence: network jitter for the caller,
/// rounding for the agent.
const CALLER_JITTER_MS: u64 = 40;
const AGENT_JITTER_MS: u64 = 5;
/// Audio may run ahead of its time by this, after a burst; beyond it is dropped.
const AHEAD_MS: u64 = 1_000;
/// A gap longer than any limit of a call is a wrong time, not a gap.
const LONGEST_GAP_MS: u64 = 3_600_000;

/// Whose audio.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    Caller = 0,
    Agent = 1,
}

/// Frames (one sample of either side) from `base` on.
pub(super) struct Timeline {
    rate: u32,
    frames: VecDeque<[i16; 2]>,
    /// Index of the first frame in memory; frame 0 is the call's admission.
    base: u64,
    /// Nothing may be placed before this: it is in the file already.
    earliest: u64,
    started: bool,
    /// Where each side's next audio belongs when it follows without a gap.
    next: [Option<u64>; 2],
}

impl Timeline {
    pub(super) fn new(rate: u32) -> Self {
        Self { rate, frames: VecDeque::new(), base: 0, earliest: 0, started: false, next: [None; 2] }
    }

    pub(super) fn rate(&self) -> u32 {
        self.rate
    }

    /// The file holds this many frames from before.
    pub(super) fn starts_after(&mut self, frames: u64) {
        self.earliest = self.earliest.max(frames);
    }

    fn frames_in(&self, millis: u64) -> u64 {
        millis * u64::from(self.rate) / 1_000
    }

    fn frame_at(&self, at: CallTime) -> u64 {
        let nanos = at.as_nanos() * u128::from(self.rate);
        u64::try_from((nanos + 500_000_000) / 1_000_000_000).unwrap_or(u64::MAX)
    }

    fn end(&self) -> u64 {
        self.base + self.frames.len() as u64
    }

    /// Puts audio at its time. Returns how many samples had to be left out.
    pub(super) fn place(&mut self, side: Side, at: CallTime, pcm: &Pcm) -> u64 {
        let mut samples = samples_at(pcm, self.rate);
        let count = samples.len() as u64;
        let Some(start) = self.start_of(side, self.frame_at(at), &mut samples) else { return count };
        if !self.started {
            self.started = true;
            self.base = start.saturating_sub(self.frames_in(KEPT_MS)).max(self.earliest);
        }
        let mut lost = self.extend(start, start + count_of(&samples));
        for (place, sample) in (start..).zip(&samples) {
            match place.checked_sub(self.base).and_then(|at| self.frames.get_mut(usize::try_from(at).ok()?)) {
                Some(frame) => frame[side as usize] = *sample,
                None => lost += 1,
            }
        }
        self.next[side as usize] = Some(start + count_of(&samples));
        lost
    }

    /// Where audio begins that is said to begin at `said`; `None` when that time makes no sense.
    fn start_of(&self, side: Side, said: u64, samples: &mut Vec<i16>) -> Option<u64> {
        let latest = if self.started { self.end() } else { 0 };
        if said > latest + self.frames_in(LONGEST_GAP_MS) {
            return None;
        }
        let Some(next) = self.next[side as usize] else { return Some(said) };
        let jitter = self.frames_in(if side == Side::Caller { CALLER_JITTER_MS } else { AGENT_JITTER_MS });
        if said > next + jitter {
            return Some(said);
        }
        let ahead = next.saturating_sub(said);
        if ahead > self.frames_in(AHEAD_MS) {
            return None;
        }
        if ahead > jitter {
            // After a burst: one sample a piece less, too little to hear, until sound and time agree again.
            samples.pop();
        }
        Some(next)
    }

    /// Whether audio at this time leaves a gap that is better left in the file than kept in memory: then everything
    /// is to be written first.
    pub(super) fn is_after_gap(&self, at: CallTime) -> bool {
        self.started && self.frame_at(at) > self.end() + self.frames_in(KEPT_MS)
    }

    /// Makes room up to `end` for audio that begins at `start`. Returns the samples given up for it, which happens
    /// only when the memory could not be written before a gap.
    fn extend(&mut self, start: u64, end: u64) -> u64 {
        let mut lost = 0;
        if start > self.end() + self.frames_in(KEPT_MS) {
            lost = self.frames.len() as u64 * 2;
            self.frames.clear();
            self.base = start - self.frames_in(KEPT_MS);
        }
        let length = usize::try_from(end.saturating_sub(self.base)).unwrap_or(usize::MAX);
        if length > self.frames.len() {
            self.frames.resize(length, [0, 0]);
        }
        lost
    }

    /// The agent was silenced at this time: what was to be played after it never was.
    pub(super) fn cut_agent(&mut self, at: CallTime) {
        let cut = self.frame_at(at);
        let keep = usize::try_from(cut.saturating_sub(self.base)).unwrap_or(usize::MAX);
        for frame in self.frames.iter_mut().skip(keep) {
            frame[Side::Agent as usize] = 0;
        }
        let next = &mut self.next[Side::Agent as usize];
        if next.is_some_and(|next| next > cut) {
            *next = None;
        }
    }

    /// The index of the first frame and the bytes that can be written now: whole pieces that are old enough, or all.
    pub(super) fn ready(&self, all: bool) -> Option<(u64, Vec<u8>)> {
        let kept = if all { 0 } else { usize::try_from(self.frames_in(KEPT_MS)).unwrap_or(usize::MAX) };
        let count = self.frames.len().saturating_sub(kept);
        let least = if all { 1 } else { usize::try_from(self.frames_in(PIECE_MS)).unwrap_or(usize::MAX) };
        if count < least {
            return None;
        }
        let mut bytes = Vec::with_capacity(count * 4);
        for [caller, agent] in self.frames.range(..count) {
            bytes.extend_from_slice(&caller.to_le_bytes());
            bytes.extend_from_slice(&agent.to_le_bytes());
        }
        Some((self.base, bytes))
    }

    /// The first frames are in the file.
    pub(super) fn written(&mut self, frames: u64) {
        let count = usize::try_from(frames).unwrap_or(usize::MAX).min(self.frames.len());
        self.frames.drain(..count);
        self.base += count as u64;
    }

    /// Forgets what could not be written in time. Returns how many frames that were.
    pub(super) fn give_up_old(&mut self) -> u64 {
        let most = self.frames_in(KEPT_MS + PIECE_MS);
        let old = (self.frames.len() as u64).saturating_sub(most);
        self.written(old);
        old
    }
}

fn count_of(samples: &[i16]) -> u64 {
    samples.len() as u64
}

/// Samples at the recording's rate. Another rate (a stored phrase on a wideband call) is stretched by repetition: the
/// caller heard it resampled properly, the file need only tell what was said.
fn samples_at(pcm: &Pcm, rate: u32) -> Vec<i16> {
    let samples = pcm.bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]]));
    if pcm.rate == rate || pcm.rate == 0 {
        return samples.collect();
    }
    let source: Vec<i16> = samples.collect();
    let length = source.len() as u64 * u64::from(rate) / u64::from(pcm.rate);
    let of = |at: u64| usize::try_from(at * u64::from(pcm.rate) / u64::from(rate)).ok();
    (0..length).filter_map(|at| source.get(of(at)?).copied()).collect()
}
