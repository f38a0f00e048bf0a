//! Whether what comes from the caller's side is the agent's own voice coming back over the line.
//!
//! An echo is what was sent a moment ago, quieter and a little smeared; so the last sound from the caller is laid over all
//! that was sent in the last second and more, and where it fits one place of it well, it is no caller. A caller who speaks
//! while their line echoes does not fit: what they say is not in what was sent. Nothing is learned of a line, and on a line
//! without echo nothing fits. Plain data over samples: no clock; about a fifth of a millisecond a look at 8 kHz.

use std::collections::VecDeque;

/// Samples a second that are looked at: most of a voice's power lies below half of it.
const RATE: u32 = 4_000;
/// What was sent that can still come back: 400 ms that the carrier may hold, and a second of line.
const SENT_MAX: usize = (RATE * 14 / 10) as usize;
/// The sound that is laid over it: 100 ms.
const HEARD: usize = (RATE / 10) as usize;
/// How well it must fit, 0 to 1, …
const FITS: f32 = 0.75;
/// … and at most so loud against its place: an echo is quieter than what caused it (-6 dB).
const GAIN_MAX: f32 = 0.5;
/// Mean square of the quietest sound worth a look (about -54 dB of full scale); below it no detector finds speech.
const QUIET: f32 = 64.0 * 64.0;

/// See the module's text.
#[derive(Debug)]
pub struct EchoWatch {
    /// Samples of the stream for one that is looked at.
    step: usize,
    sent: Recent,
    heard: Recent,
}

impl EchoWatch {
    /// For a stream of `rate` samples a second.
    #[must_use]
    pub fn new(rate: u32) -> Self {
        Self { step: (rate / RATE).max(1) as usize, sent: Recent::new(SENT_MAX), heard: Recent::new(HEARD) }
    }

    /// This PCM16 goes out to the caller.
    pub fn sent(&mut self, pcm: &[u8]) {
        self.sent.push(pcm, self.step);
    }

    /// This PCM16 came from the caller's side.
    pub fn heard(&mut self, pcm: &[u8]) {
        self.heard.push(pcm, self.step);
    }

    /// Whether the last tenth of a second from the caller's side is loud enough to be anything, and nothing but echo.
    #[must_use]
    pub fn is_echo(&mut self) -> bool {
        let heard = self.heard.samples.make_contiguous();
        let sent = self.sent.samples.make_contiguous();
        let power: f32 = heard.iter().map(|sample| sample * sample).sum();
        if heard.len() < HEARD || power < QUIET * HEARD as f32 {
            return false;
        }
        let mut under: f32 = sent.iter().take(HEARD).map(|sample| sample * sample).sum();
        for at in 0..(sent.len() + 1).saturating_sub(HEARD) {
            if at > 0 {
                under += sent[at + HEARD - 1].powi(2) - sent[at - 1].powi(2);
            }
            // Too quiet a place cannot have caused it; nor is it worth the multiplications.
            if power <= under * GAIN_MAX * GAIN_MAX {
                let both = product(heard, &sent[at..at + HEARD]);
                if both.abs() >= FITS * (power * under).sqrt() {
                    return true;
                }
            }
        }
        false
    }
}

/// Sums over several lanes, which the compiler turns into vector instructions.
fn product(one: &[f32], other: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 8];
    for (one, other) in one.chunks_exact(8).zip(other.chunks_exact(8)) {
        for (lane, (a, b)) in lanes.iter_mut().zip(one.iter().zip(other)) {
            *lane += a * b;
        }
    }
    lanes.iter().sum()
}

/// The newest samples of a direction, at the rate that is looked at.
#[derive(Debug)]
struct Recent {
    samples: VecDeque<f32>,
    most: usize,
    /// Samples of the stream that make the next one, as far as they have come.
    sum: i32,
    count: usize,
}

impl Recent {
    fn new(most: usize) -> Self {
        Self { samples: VecDeque::with_capacity(most), most, sum: 0, count: 0 }
    }

    fn push(&mut self, pcm: &[u8], step: usize) {
        for pair in pcm.chunks_exact(2) {
            self.sum += i32::from(i16::from_le_bytes([pair[0], pair[1]]));
            self.count += 1;
            if self.count == step {
                if self.samples.len() == self.most {
                    self.samples.pop_front();
                }
                self.samples.push_back(self.sum as f32 / step as f32);
                (self.sum, self.count) = (0, 0);
            }
        }
    }
}
