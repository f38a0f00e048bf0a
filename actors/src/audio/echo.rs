//! Whether what comes from the caller's side is the agent's own voice coming back over the line.
//!
//! An echo is what was sent a moment ago, quieter and a little smeared; so the last sound from the caller is laid over all
//! that was sent in the last second and more, and where it fits one place of it well, it is no caller. A caller who speaks
//! while their line echoes does not fit: what they say is not in what was sent. On a line without
//! echo nothing fits. Plain data over samples: no clock; at most a tenth of a millisecond a look (2.8 GHz), which is taken
//! when the engine hears somebody while the agent speaks, and then for every frame as long as nothing but echo is heard.

use std::collections::VecDeque;

use bytes::Bytes;

/// Samples a second that are looked at: most of a voice's power lies below half of it.
const RATE: u32 = 4_000;
/// What was sent that can still come back: 400 ms that the carrier may hold, and a second of line.
const SENT_MAX: usize = (RATE * 14 / 10) as usize;
/// The sound that is laid over it: 100 ms.
const HEARD: usize = (RATE / 10) as usize;
/// An engine tells late that it heard somebody: between two syllables, what it means is what sounded this long before at most.
const BEFORE: usize = (RATE * 3 / 10) as usize;
/// … looked for in steps of a frame.
const FRAME: usize = (RATE / 50) as usize;
/// Frames for which it is kept how much had been sent by then.
const FRAMES_KEPT: usize = 32;
/// How well it must fit, 0 to 1: a hybrid that smears over two milliseconds leaves 0.78 of a hiss, and the echo of a voice fits to
/// 0.76 and more, however late it is, while of 27,006 looks at other voices and noises (`tests/fixtures/ears`) 107 do, most of
/// them at two of the voices, in bass vowels: 69 once those are told that begin alone. A low pass, which would serve late echoes
/// better, makes 238 of the 107, and callers are heard late.
const FITS: f32 = 0.74;
/// … and at most so loud against its place: an echo is quieter than what caused it (-9 dB).
const GAIN_MAX: f32 = 0.35;
/// Samples around the place where it is expected that are tried first.
const NEAR: usize = 12;
/// Frames in a row that are something else, on a line that echoes, are a caller: more than a tear in what was played can be.
const CALLER_FRAMES: u32 = 7;
/// The same before so many frames of echo have shown that it is one: some caller's sound fits by chance.
const CALLER_FRAMES_UNSURE: u32 = 1;
const SURE_FRAMES: u32 = 8;
/// Mean square of the quietest sound worth a look, emphasised: about -50 dB of full scale. Below it no detector finds speech.
const QUIET: f32 = 28.0 * 28.0;
/// What would be so much more than the quietest sound worth a look, and is so much less than it would be, is not there (powers).
const AUDIBLE: f32 = 2.0;
const MISSING: f32 = 8.0;
/// An echo comes back between two of the samples that are looked at as often as not: what is heard is laid over in so many ways.
const PHASES: usize = 2;
/// How much of the sample before is taken off each. Two voices are alike in their basses and differ above them.
const EMPHASIS: f32 = 0.9;

/// The line echoes.
#[derive(Clone, Copy, Default, Debug)]
struct Echoing {
    /// Frames that were echo, and frames in a row since that were something else.
    echoes: u32,
    others: u32,
}

/// What the engine is to hear of a frame from the caller's side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pass {
    /// The frame as it is.
    As,
    /// Silence: it is the agent's own voice.
    Silence,
    /// The frame as it is; and a caller speaks on the line that has echoed until now.
    Caller,
}

impl Pass {
    /// The frame as the engine is to hear it.
    #[must_use]
    pub fn through(self, frame: &Bytes) -> Bytes {
        if self == Self::Silence { vec![0; frame.len()].into() } else { frame.clone() }
    }
}

/// What a tenth of a second was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sound {
    /// Nothing to speak of.
    Quiet,
    /// The agent's own voice.
    Echo,
    /// Something else.
    Caller,
}

/// See the module's text.
#[derive(Debug)]
pub struct EchoWatch {
    sent: Recent,
    /// … each a part of a sample later than the one before.
    heard: [Recent; PHASES],
    /// How much had been heard and sent after each of the last frames: what was sent later has caused none of it.
    by_then: VecDeque<(i64, i64)>,
    /// Which of them fitted last.
    phase: usize,
    /// Where in all that was sent the last echo lay, less what was heard until then.
    place: Option<i64>,
    echoing: Option<Echoing>,
}

impl EchoWatch {
    /// For a stream of `rate` samples a second.
    #[must_use]
    pub fn new(rate: u32) -> Self {
        let step = (rate / RATE).max(1) as usize;
        let mut watch = Self {
            sent: Recent::new(SENT_MAX, step, 0),
            heard: std::array::from_fn(|phase| Recent::new(2 * HEARD + BEFORE, step, phase * step / PHASES)),
            by_then: VecDeque::with_capacity(FRAMES_KEPT),
            phase: 0,
            place: None,
            echoing: None,
        };
        watch.paused();
        watch
    }

    /// Nothing was sent for a while: what is sent next follows a silence.
    pub fn paused(&mut self) {
        self.sent.fill(HEARD);
    }

    /// This PCM16 goes out to the caller.
    pub fn sent(&mut self, pcm: &[u8]) {
        self.sent.push(pcm);
    }

    /// This frame of PCM16 came from the caller's side. Only on a line that has echoed is it looked at.
    #[must_use]
    pub fn heard(&mut self, pcm: &[u8]) -> Pass {
        self.heard.iter_mut().for_each(|heard| heard.push(pcm));
        if self.by_then.len() == FRAMES_KEPT {
            self.by_then.pop_front();
        }
        self.by_then.push_back((self.heard[0].count_all, self.sent.count_all));
        let Some(Echoing { echoes, others }) = self.echoing else { return Pass::As };
        let patience = if echoes < SURE_FRAMES { CALLER_FRAMES_UNSURE } else { CALLER_FRAMES };
        let (pass, echoing) = match self.look(0) {
            Sound::Echo => (Pass::Silence, Some(Echoing { echoes: echoes.saturating_add(1), others: 0 })),
            Sound::Quiet => (Pass::As, self.echoing),
            Sound::Caller if others + 1 < patience => (Pass::As, Some(Echoing { echoes, others: others + 1 })),
            Sound::Caller => (Pass::Caller, None),
        };
        self.echoing = echoing;
        pass
    }

    /// Whether what is heard now is surely not the agent itself.
    #[must_use]
    pub fn is_caller(&mut self) -> bool {
        self.look(0) == Sound::Caller
    }

    /// Whether what is heard now is the agent itself. If so, frames are looked at from now on.
    #[must_use]
    pub fn is_echo(&mut self) -> bool {
        let sounds = (0..=BEFORE).step_by(FRAME).map(|before| self.look(before));
        let echo = { sounds }.find(|sound| *sound != Sound::Quiet) == Some(Sound::Echo);
        if echo && self.echoing.is_none() {
            self.echoing = Some(Echoing::default());
        }
        echo
    }

    /// What the tenth of a second was that ended so many samples ago.
    fn look(&mut self, before: usize) -> Sound {
        let first = self.phase;
        for phase in (0..PHASES).map(|n| (first + n) % PHASES) {
            match self.look_at(phase, before) {
                Sound::Caller => {}
                Sound::Quiet => return Sound::Quiet,
                Sound::Echo => {
                    self.phase = phase;
                    return Sound::Echo;
                }
            }
        }
        Sound::Caller
    }

    fn look_at(&mut self, phase: usize, before: usize) -> Sound {
        let Recent { samples, count_all, .. } = &mut self.heard[phase];
        let samples = &*samples.make_contiguous();
        let Some(end) = samples.len().checked_sub(before).filter(|end| *end >= HEARD) else { return Sound::Quiet };
        let earlier = end.checked_sub(2 * HEARD).map(|from| &samples[from..from + HEARD]);
        let (heard, ended) = (&samples[end - HEARD..end], *count_all - before as i64);
        let sent = self.sent.samples.make_contiguous();
        let power = energy(heard);
        if power < QUIET * HEARD as f32 {
            return Sound::Quiet;
        }
        let fits = |at: usize, under: f32| {
            // Too quiet a place cannot have caused it; nor is it worth the multiplications.
            power <= under * GAIN_MAX * GAIN_MAX
                && product(heard, &sent[at..at + HEARD]).abs() >= FITS * (power * under).sqrt()
                && !begins_alone(sent, at, power / under, earlier)
        };
        let first = self.sent.count_all - sent.len() as i64;
        let then = self.by_then.iter().find(|(heard, _)| *heard >= ended);
        let sent_then = then.map_or(self.sent.count_all, |(_, sent)| *sent);
        let there = usize::try_from(sent_then - first).unwrap_or(0).min(sent.len());
        let places = (there + 1).saturating_sub(HEARD);
        // While the agent speaks without a pause, what comes back moves along what was sent at the pace of time.
        let expected = self.place.map(|place| usize::try_from(ended + place - first).unwrap_or(0));
        let near = expected.map_or(0..0, |at| at.saturating_sub(NEAR).min(places)..(at + NEAR).min(places));
        let mut found = near.into_iter().find(|&at| fits(at, energy(&sent[at..at + HEARD])));
        let mut under = energy(&sent[..HEARD.min(sent.len())]);
        for at in 0..if found.is_some() { 0 } else { places } {
            if at > 0 {
                under += sent[at + HEARD - 1].powi(2) - sent[at - 1].powi(2);
            }
            if fits(at, under) {
                found = Some(at);
                break;
            }
        }
        let Some(at) = found else { return Sound::Caller };
        self.place = Some(first + at as i64 - ended);
        Sound::Echo
    }
}

/// Whether what was sent before that place would have come back as well, and has not: then what fits is a vowel like another.
fn begins_alone(sent: &[f32], at: usize, gain: f32, earlier: Option<&[f32]>) -> bool {
    let (Some(from), Some(earlier)) = (at.checked_sub(HEARD), earlier) else { return false };
    let expected = gain * energy(&sent[from..at]);
    expected >= AUDIBLE * QUIET * HEARD as f32 && energy(earlier) * MISSING < expected
}

fn energy(samples: &[f32]) -> f32 {
    product(samples, samples)
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
    /// Samples there have ever been.
    count_all: i64,
    /// Samples of the stream for one that is looked at, and how many more make the next.
    step: usize,
    missing: usize,
    /// … and what there is of it.
    sum: i32,
    /// The last of those that were made.
    last: f32,
}

impl Recent {
    /// Begins `late` samples of the stream after its first.
    fn new(most: usize, step: usize, late: usize) -> Self {
        let samples = VecDeque::with_capacity(most);
        Self { samples, most, count_all: 0, step, missing: step + late, sum: 0, last: 0.0 }
    }

    fn push(&mut self, pcm: &[u8]) {
        for pair in pcm.chunks_exact(2) {
            self.missing -= 1;
            if self.missing < self.step {
                self.sum += i32::from(i16::from_le_bytes([pair[0], pair[1]]));
            }
            if self.missing == 0 {
                let sample = self.sum as f32 / self.step as f32;
                self.add(sample - EMPHASIS * self.last);
                (self.last, self.sum, self.missing) = (sample, 0, self.step);
            }
        }
    }

    fn fill(&mut self, silence: usize) {
        (0..silence).for_each(|_| self.add(0.0));
    }

    fn add(&mut self, sample: f32) {
        if self.samples.len() == self.most {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        self.count_all += 1;
    }
}

#[cfg(test)]
#[path = "echo_tests.rs"]
mod tests;
