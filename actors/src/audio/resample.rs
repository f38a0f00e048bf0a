//! Sample-rate conversion between 8, 16 and 24 kHz: a polyphase FIR on 16-bit samples with Q15 coefficients.
//!
//! A Kaiser-windowed sinc of 16 taps per phase (at the lower rate): about 1 ms of delay, images and aliases
//! below −60 dB. Streaming: blocks of any length give the same output as one long block.

/// Converts one direction of one call. Holds a few dozen samples of history and nothing else.
pub struct Resampler {
    up: usize,
    down: usize,
    /// `up` rows of `taps` coefficients each, newest input first reversed to oldest first for a straight dot product.
    phases: Vec<Vec<i16>>,
    taps: usize,
    history: Vec<i16>,
    /// Position of the next output on the up-sampled grid, relative to the first sample after the history.
    next: usize,
}

const TAPS_PER_PHASE: usize = 16;
const KAISER_BETA: f64 = 7.0;
const ROLL_OFF: f64 = 0.92;

impl Resampler {
    /// A converter from one rate to another, both of 8000, 16000 or 24000 Hz; `None` when they are equal.
    #[must_use]
    pub fn new(from: u32, to: u32) -> Option<Self> {
        if from == to || from == 0 || to == 0 {
            return None;
        }
        let divisor = gcd(from, to);
        let (up, down) = ((to / divisor) as usize, (from / divisor) as usize);
        let taps = TAPS_PER_PHASE * up.max(down) / up;
        let phases = design(up, down, taps);
        Some(Self { up, down, phases, taps, history: vec![0; taps - 1], next: 0 })
    }

    /// Converts PCM16 little-endian bytes, appending PCM16 little-endian bytes to `out`.
    pub fn process(&mut self, pcm: &[u8], out: &mut Vec<u8>) {
        let fresh = pcm.len() / 2;
        self.history.extend(pcm.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])));
        out.reserve(fresh * self.up / self.down * 2 + 2);
        while self.next / self.up < fresh {
            let window = &self.history[self.next / self.up..][..self.taps];
            let coefficients = &self.phases[self.next % self.up];
            out.extend_from_slice(&dot(window, coefficients).to_le_bytes());
            self.next += self.down;
        }
        self.next -= fresh * self.up;
        self.history.drain(..fresh);
    }
}

fn dot(window: &[i16], coefficients: &[i16]) -> i16 {
    let sum: i32 = window.iter().zip(coefficients).map(|(&x, &h)| i32::from(x) * i32::from(h)).sum();
    ((sum + (1 << 14)) >> 15).clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Windowed sinc split into phases; each phase is scaled to unit gain at DC so that no ripple is heard between them.
fn design(up: usize, down: usize, taps: usize) -> Vec<Vec<i16>> {
    let length = taps * up;
    let cutoff = ROLL_OFF / up.max(down) as f64;
    let centre = (length as f64 - 1.0) / 2.0;
    let tap = |n: usize| {
        let x = n as f64 - centre;
        let sinc = if x.abs() < 1e-9 {
            1.0
        } else {
            (std::f64::consts::PI * cutoff * x).sin() / (std::f64::consts::PI * cutoff * x)
        };
        let ratio = x / (centre + 0.5);
        sinc * bessel(KAISER_BETA * (1.0 - ratio * ratio).max(0.0).sqrt()) / bessel(KAISER_BETA)
    };
    (0..up)
        .map(|phase| {
            // Coefficient k of a phase meets the input k samples ago; stored oldest first.
            let raw: Vec<f64> = (0..taps).rev().map(|k| tap(phase + k * up)).collect();
            let gain: f64 = raw.iter().sum();
            raw.iter().map(|h| (h / gain * 32767.0).round() as i16).collect()
        })
        .collect()
}

/// Modified Bessel function of the first kind, order zero, by its power series.
fn bessel(x: f64) -> f64 {
    let mut sum = 1.0;
    let mut term = 1.0;
    for k in 1..40 {
        term *= (x / (2.0 * f64::from(k))).powi(2);
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(rate: u32, hertz: f64, samples: usize) -> Vec<u8> {
        (0..samples)
            .flat_map(|n| {
                let phase = 2.0 * std::f64::consts::PI * hertz * n as f64 / f64::from(rate);
                ((phase.sin() * 16_000.0) as i16).to_le_bytes()
            })
            .collect()
    }

    fn level(pcm: &[u8]) -> f64 {
        let samples: Vec<f64> = pcm.chunks_exact(2).map(|p| f64::from(i16::from_le_bytes([p[0], p[1]]))).collect();
        let steady = &samples[samples.len() / 4..samples.len() * 3 / 4];
        (steady.iter().map(|s| s * s).sum::<f64>() / steady.len() as f64).sqrt()
    }

    fn convert(from: u32, to: u32, hertz: f64) -> f64 {
        let mut out = Vec::new();
        Resampler::new(from, to).expect("rates differ").process(&tone(from, hertz, from as usize / 4), &mut out);
        20.0 * (level(&out) / (16_000.0 / 2f64.sqrt())).log10()
    }

    #[test]
    fn speech_keeps_its_level_in_every_direction() {
        for (from, to) in [(8000, 24000), (24000, 8000), (16000, 24000), (24000, 16000), (8000, 16000), (16000, 8000)] {
            for hertz in [300.0, 1000.0, 3000.0] {
                let gain = convert(from, to, hertz);
                assert!(gain.abs() < 0.6, "{from} to {to} at {hertz} Hz: {gain:.2} dB");
            }
        }
    }

    #[test]
    fn what_the_lower_rate_cannot_carry_does_not_alias() {
        assert!(convert(24000, 8000, 6500.0) < -50.0);
        assert!(convert(16000, 8000, 6500.0) < -50.0);
        assert!(convert(24000, 16000, 11000.0) < -50.0);
    }

    #[test]
    fn block_length_does_not_matter() {
        let input = tone(24000, 700.0, 4800);
        let (mut whole, mut parts) = (Vec::new(), Vec::new());
        Resampler::new(24000, 8000).expect("rates differ").process(&input, &mut whole);
        let mut resampler = Resampler::new(24000, 8000).expect("rates differ");
        for block in input.chunks(2 * 37) {
            resampler.process(block, &mut parts);
        }
        assert_eq!(whole, parts);
        assert_eq!(whole.len(), input.len() / 3);
    }

    #[test]
    fn full_scale_does_not_wrap() {
        let square: Vec<u8> =
            (0..800).flat_map(|n| if n / 8 % 2 == 0 { i16::MAX } else { i16::MIN }.to_le_bytes()).collect();
        let mut out = Vec::new();
        Resampler::new(8000, 24000).expect("rates differ").process(&square, &mut out);
        let samples: Vec<i16> = out.chunks_exact(2).map(|p| i16::from_le_bytes([p[0], p[1]])).collect();
        // Wrapped samples would jump by the whole range between neighbours.
        assert!(samples.windows(2).all(|w| (i32::from(w[0]) - i32::from(w[1])).abs() < 60_000));
    }
}
