//! The caller's ear: what the agent said and when, from the sound that was played.

use std::time::Duration;

use crate::sim::audio::{self, EnergyGate, Heard, RATE};
use crate::sim::library::{Who, library};

/// Loudness from which a frame counts as speech.
const LOUD: f32 = 260.0;
/// Silence that ends an utterance while messages keep coming.
const PAUSE_MS: u64 = 700;
/// An empty queue for this long ends it sooner.
pub(crate) const IDLE: Duration = Duration::from_millis(240);

/// One utterance of the agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Utterance {
    /// When its first sound was heard, since the stream began.
    pub start: Duration,
    /// When its last sound was heard.
    pub end: Duration,
    /// Names of the clips it consists of; empty when it is nothing known.
    pub clips: Vec<String>,
    /// The words as heard; empty when unknown.
    pub words: String,
}

/// Listens to one side of a call.
pub(crate) struct Ear {
    rate: u32,
    recognise: bool,
    gate: EnergyGate,
    /// 8 kHz samples from `base` on.
    samples: Vec<i16>,
    base: u64,
    /// Where the running utterance began.
    begun: Option<u64>,
    last_sound: Duration,
    pub(crate) utterances: Vec<Utterance>,
    /// When each utterance began, also the running one.
    pub(crate) onsets: Vec<Duration>,
}

fn time(position: u64) -> Duration {
    Duration::from_micros(position * 1_000_000 / u64::from(RATE))
}

fn position(at: Duration) -> u64 {
    (at.as_micros() * u128::from(RATE) / 1_000_000) as u64
}

impl Ear {
    pub(crate) fn new(rate: u32, recognise: bool) -> Self {
        Self {
            rate,
            recognise,
            gate: EnergyGate::new(LOUD, PAUSE_MS),
            samples: Vec::new(),
            base: 0,
            begun: None,
            last_sound: Duration::ZERO,
            utterances: Vec::new(),
            onsets: Vec::new(),
        }
    }

    /// The agent is in the middle of an utterance.
    pub(crate) fn speaking(&self) -> bool {
        self.begun.is_some()
    }

    /// When the running utterance began.
    pub(crate) fn since(&self) -> Option<Duration> {
        self.begun.map(time)
    }

    /// Sound was played from this time on.
    pub(crate) fn listen(&mut self, at: Duration, samples: &[i16]) {
        self.silence_until(at);
        self.feed(&audio::resample(samples, self.rate, RATE));
        self.last_sound = at + Duration::from_micros(samples.len() as u64 * 1_000_000 / u64::from(self.rate));
    }

    /// Nothing is queued at this time: silence, and after a while the end of the utterance.
    pub(crate) fn idle(&mut self, now: Duration) {
        if self.speaking() && now.saturating_sub(self.last_sound) >= IDLE {
            self.end();
        }
    }

    /// The call is over.
    pub(crate) fn end(&mut self) {
        if let Some(Heard::Stopped(at)) = self.gate.finish() {
            self.stopped(at);
        }
    }

    fn here(&self) -> u64 {
        self.base + self.samples.len() as u64
    }

    fn silence_until(&mut self, at: Duration) {
        let missing = position(at).saturating_sub(self.here());
        if missing > u64::from(RATE) * 2 {
            self.end();
            self.samples.clear();
            self.base = position(at);
            self.gate = EnergyGate::new(LOUD, PAUSE_MS).starting_at(self.base);
        } else if missing > 8 {
            self.feed(&vec![0; missing as usize]);
        }
    }

    fn feed(&mut self, samples: &[i16]) {
        self.samples.extend_from_slice(samples);
        for heard in self.gate.push(samples) {
            match heard {
                Heard::Started(at) => {
                    self.begun = Some(at);
                    self.onsets.push(time(at));
                }
                Heard::Stopped(at) => self.stopped(at),
            }
        }
        if self.begun.is_none() && self.samples.len() > RATE as usize {
            let cut = self.samples.len() - RATE as usize / 2;
            self.samples.drain(..cut);
            self.base += cut as u64;
        }
    }

    fn stopped(&mut self, end: u64) {
        let Some(start) = self.begun.take() else { return };
        let from = (start.saturating_sub(self.base) as usize).min(self.samples.len());
        let until = (end.saturating_sub(self.base) as usize).clamp(from, self.samples.len());
        let found =
            if self.recognise { library().recognise(Who::Agent, &self.samples[from..until]) } else { Vec::new() };
        let words: Vec<String> = found.iter().map(crate::sim::library::Recognised::words).collect();
        self.utterances.push(Utterance {
            start: time(start),
            end: time(end),
            clips: found.iter().map(|found| found.clip.name.clone()).collect(),
            words: words.join(" "),
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]
mod tests {
    use super::*;

    #[test]
    fn the_ear_tells_what_was_said_and_when() {
        let clip = library().get("order_ask_number").unwrap();
        let mut ear = Ear::new(16_000, true);
        let sound = audio::resample(&clip.samples, 8000, 16_000);
        let mut at = Duration::from_millis(1500);
        for chunk in sound.chunks(320) {
            ear.listen(at, chunk);
            at += Duration::from_millis(20);
        }
        assert!(ear.speaking());
        ear.idle(at + IDLE);
        let [said] = &ear.utterances[..] else { panic!("{:?}", ear.utterances) };
        assert_eq!(said.clips, ["order_ask_number"]);
        assert!(said.start.as_millis().abs_diff(1520) < 60, "{said:?}");
    }
}
