//! The sandbox's own sound: G.711, plain resampling, WAV reading, levels and an energy detector.
//!
//! Written apart from the product's audio code on purpose: two independent readings of a standard must agree.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Everything inside the sandbox is thought of at this rate.
pub const RATE: u32 = 8000;

/// Samples of one 20 ms frame at [`RATE`].
pub const FRAME: usize = 160;

/// A-law to linear, ITU-T G.711 table 1, 16-bit scale.
#[must_use]
pub fn alaw_to_linear(code: u8) -> i16 {
    let code = code ^ 0x55;
    let segment = (code >> 4) & 7;
    let mantissa = i16::from(code & 0x0f) << 4;
    let magnitude = if segment == 0 { mantissa + 8 } else { (mantissa + 0x108) << (segment - 1) };
    if code & 0x80 != 0 { magnitude } else { -magnitude }
}

/// Linear to A-law.
#[must_use]
pub fn linear_to_alaw(sample: i16) -> u8 {
    let positive = sample >= 0;
    let magnitude = (if positive { i32::from(sample) } else { -i32::from(sample) - 1 }).min(32_767) >> 3;
    let segment = (0..8u8).find(|s| magnitude < (32 << s)).unwrap_or(7);
    let shift = u32::from(segment.max(1));
    let mantissa = u8::try_from((magnitude >> shift) & 0x0f).unwrap_or(15);
    ((segment << 4) | mantissa) ^ if positive { 0xd5 } else { 0x55 }
}

/// µ-law to linear, ITU-T G.711 table 2, 16-bit scale.
#[must_use]
pub fn ulaw_to_linear(code: u8) -> i16 {
    let code = !code;
    let segment = (code >> 4) & 7;
    let magnitude = (((i32::from(code & 0x0f) << 3) + 0x84) << segment) - 0x84;
    let magnitude = i16::try_from(magnitude).unwrap_or(i16::MAX);
    if code & 0x80 != 0 { -magnitude } else { magnitude }
}

/// Linear to µ-law.
#[must_use]
pub fn linear_to_ulaw(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80u8 } else { 0 };
    let magnitude = i32::from(sample).abs().min(32_635) + 0x84;
    let segment = (0..8u8).rev().find(|s| magnitude >= 0x84 << s).unwrap_or(0);
    let mantissa = u8::try_from((magnitude >> (segment + 3)) & 0x0f).unwrap_or(15);
    !(sign | (segment << 4) | mantissa)
}

/// Samples at `to` Hz from samples at `from` Hz: averaging on the way down, straight lines on the way up. Good
/// for speech of a telephone; not meant for music.
#[must_use]
pub fn resample(samples: &[i16], from: u32, to: u32) -> Vec<i16> {
    if from == to || samples.is_empty() || from == 0 || to == 0 {
        return samples.to_vec();
    }
    let length = samples.len() as u64 * u64::from(to) / u64::from(from);
    let at = |index: u64| samples[(index as usize).min(samples.len() - 1)];
    if from > to {
        let (from, to) = (u64::from(from), u64::from(to));
        return (0..length)
            .map(|n| {
                let (start, end) = (n * from / to, ((n + 1) * from / to).max(n * from / to + 1));
                let sum: i64 = (start..end).map(|index| i64::from(at(index))).sum();
                (sum / (end - start) as i64) as i16
            })
            .collect();
    }
    (0..length)
        .map(|n| {
            let position = n * u64::from(from);
            let (index, rest) = (position / u64::from(to), (position % u64::from(to)) as i64);
            let (a, b) = (i64::from(at(index)), i64::from(at(index + 1)));
            (a + (b - a) * rest / i64::from(to)) as i16
        })
        .collect()
}

/// Little-endian 16-bit samples; an odd last byte is left out.
#[must_use]
pub fn from_le(bytes: &[u8]) -> Vec<i16> {
    bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// The other way round.
#[must_use]
pub fn to_le(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// Standard alphabet, padded.
#[must_use]
pub fn base64_encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Standard alphabet, padded; anything else is an error.
///
/// # Errors
/// The decoder's sentence.
pub fn base64_decode(text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|error| error.to_string())
}

/// Root mean square of a frame, 0 when empty.
#[must_use]
pub fn level(frame: &[i16]) -> f32 {
    if frame.is_empty() {
        return 0.0;
    }
    let sum: f64 = frame.iter().map(|s| f64::from(*s) * f64::from(*s)).sum();
    (sum / frame.len() as f64).sqrt() as f32
}

/// Why a WAV could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a readable WAV file: {0}")]
pub struct WavError(&'static str);

/// Mono samples and their rate from a RIFF/WAVE file in 16-bit PCM, A-law or µ-law (formats 1, 6, 7).
///
/// # Errors
/// Another container, format, width or more than one channel.
pub fn read_wav(bytes: &[u8]) -> Result<(u32, Vec<i16>), WavError> {
    let word = |at: usize| bytes.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let half = |at: usize| bytes.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]]));
    if bytes.get(..4) != Some(b"RIFF") || bytes.get(8..12) != Some(b"WAVE") {
        return Err(WavError("no RIFF/WAVE header"));
    }
    let (mut at, mut format) = (12usize, None);
    while let (Some(name), Some(size)) = (bytes.get(at..at + 4), word(at + 4)) {
        let body = at + 8;
        let end = body.saturating_add(size as usize);
        if name == b"fmt " {
            format = Some((half(body), half(body + 2), word(body + 4), half(body + 14)));
        } else if name == b"data" {
            let data = &bytes[body..end.min(bytes.len())];
            let Some((Some(tag), Some(channels), Some(rate), Some(bits))) = format else {
                return Err(WavError("data before its format"));
            };
            return match (tag, channels, bits) {
                (1, 1, 16) => Ok((rate, from_le(data))),
                (6, 1, 8) => Ok((rate, data.iter().map(|c| alaw_to_linear(*c)).collect())),
                (7, 1, 8) => Ok((rate, data.iter().map(|c| ulaw_to_linear(*c)).collect())),
                _ => Err(WavError("expected mono 16-bit PCM, A-law or µ-law")),
            };
        }
        at = end + (size as usize & 1);
    }
    Err(WavError("no data chunk"))
}

/// A soft sound for words that have no clip: about 14 characters a second, syllables rising and falling.
#[must_use]
pub fn murmur(text: &str) -> Vec<i16> {
    let length = (text.chars().count().max(4) * RATE as usize / 14).min(RATE as usize * 60);
    let step = std::f32::consts::TAU / RATE as f32;
    (0..length)
        .map(|n| {
            let at = n as f32;
            let syllable = 0.55 - 0.45 * (at * step * 4.0).cos();
            let pitch = 150.0 + 15.0 * (at * step * 0.7).sin();
            let wave = (at * step * pitch).sin() + 0.5 * (at * step * pitch * 2.0).sin();
            (wave * syllable * 1800.0) as i16
        })
        .collect()
}

/// What an [`EnergyGate`] noticed, in samples since it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Speech began here.
    Started(u64),
    /// Speech ended; the last loud frame ended here.
    Stopped(u64),
}

/// Speech or not, by loudness of 20 ms frames at [`RATE`]: two loud frames of three begin it, `silence` ends it.
#[derive(Clone, Debug)]
pub struct EnergyGate {
    threshold: f32,
    silence: u64,
    pending: Vec<i16>,
    position: u64,
    history: [bool; 3],
    last_loud: u64,
    speaking: bool,
}

impl EnergyGate {
    /// `threshold` as RMS in 16-bit units, `silence_ms` of quiet ends speech.
    #[must_use]
    pub fn new(threshold: f32, silence_ms: u64) -> Self {
        Self {
            threshold,
            silence: silence_ms * u64::from(RATE) / 1000,
            pending: Vec::new(),
            position: 0,
            history: [false; 3],
            last_loud: 0,
            speaking: false,
        }
    }

    /// Continues the count from `position` samples.
    #[must_use]
    pub fn starting_at(mut self, position: u64) -> Self {
        self.position = position;
        self
    }

    /// Whether speech is going on.
    #[must_use]
    pub fn speaking(&self) -> bool {
        self.speaking
    }

    /// Looks at more samples.
    pub fn push(&mut self, samples: &[i16]) -> Vec<Heard> {
        let mut heard = Vec::new();
        self.pending.extend_from_slice(samples);
        let whole = self.pending.len() / FRAME * FRAME;
        let frames: Vec<i16> = self.pending.drain(..whole).collect();
        for frame in frames.chunks_exact(FRAME) {
            self.frame(level(frame) >= self.threshold, &mut heard);
        }
        heard
    }

    /// Ends speech that is still going on, as when the stream is over.
    pub fn finish(&mut self) -> Option<Heard> {
        std::mem::take(&mut self.speaking).then_some(Heard::Stopped(self.last_loud))
    }

    fn frame(&mut self, loud: bool, heard: &mut Vec<Heard>) {
        self.history.rotate_left(1);
        self.history[2] = loud;
        let start = self.position;
        self.position += FRAME as u64;
        if loud {
            self.last_loud = self.position;
        }
        if !self.speaking && loud && self.history.iter().filter(|l| **l).count() >= 2 {
            self.speaking = true;
            let back = if self.history[1] { 1 } else { 2 };
            heard.push(Heard::Started(start.saturating_sub(back * FRAME as u64)));
        } else if self.speaking && self.position - self.last_loud >= self.silence {
            self.speaking = false;
            heard.push(Heard::Stopped(self.last_loud));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]
mod tests {
    use super::*;

    #[test]
    fn g711_keeps_every_code_through_a_round_trip() {
        for code in 0..=255u8 {
            assert_eq!(linear_to_alaw(alaw_to_linear(code)), code, "A-law {code}");
            // µ-law has two zeros; 0x7f decodes to 0 and comes back as 0xff.
            let back = linear_to_ulaw(ulaw_to_linear(code));
            assert!(back == code || (code == 0x7f && back == 0xff), "µ-law {code} came back {back}");
        }
    }

    #[test]
    fn resampling_up_and_down_again_keeps_a_tone() {
        let tone: Vec<i16> = (0..800).map(|n| ((n as f32 * 0.3).sin() * 8000.0) as i16).collect();
        let back = resample(&resample(&tone, 8000, 24000), 24000, 8000);
        let error: f32 = tone.iter().zip(&back).map(|(a, b)| f32::from((a - b).abs())).sum::<f32>() / 800.0;
        assert_eq!(back.len(), tone.len());
        assert!(error < 1000.0, "mean error {error}");
    }

    #[test]
    fn the_gate_says_when_speech_begins_and_ends() {
        let mut gate = EnergyGate::new(300.0, 200);
        let mut sound = vec![0i16; 1600];
        sound.extend(murmur("kuch shabd yahan bole gaye hain"));
        let spoken = sound.len() as u64;
        sound.extend(vec![0i16; 4000]);
        let heard = gate.push(&sound);
        let [Heard::Started(start), Heard::Stopped(end)] = heard[..] else { panic!("{heard:?}") };
        assert!((1440..2400).contains(&start) && end.abs_diff(spoken) < 1600, "{start} {end} {spoken}");
    }

    #[test]
    fn a_file_that_is_no_wav_is_refused() {
        assert!(read_wav(b"RIFFxxxxWAVE").is_err());
        assert!(read_wav(b"hello").is_err());
    }
}
