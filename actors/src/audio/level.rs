//! When the caller's sound begins and ends, by its loudness on the line. An engine tells the end only after its own window of
//! silence, and each counts that window in its own way; latency is counted from here. It tells the beginning as late as it is
//! far away.
//!
//! Loud is what stands well above the line's own noise, which is learnt: at once where it is quieter than was thought, over
//! seconds where it is louder.

use std::time::Duration;

use crate::domain::{CallTime, Pcm};

/// Sound is judged in pieces of this length.
const PIECE: Duration = Duration::from_millis(10);
/// Mean of the magnitude of 16-bit samples below which nothing is speech, however quiet the line is: about -47 dB.
const LOUD_MIN: f32 = 140.0;
/// How far above the line's noise speech stands.
const ABOVE_NOISE: f32 = 3.0;
/// Share of the way to a louder level that the noise is believed to rise in one piece: half of it in 14 s.
const NOISE_RISE: f32 = 0.0005;
/// Quiet after sound that is worth telling: longer than the gap before a plosive, shorter than any engine's window.
const QUIET: Duration = Duration::from_millis(150);
/// Level of what is surely a voice near the phone, and how far above the line's noise: a quiet room, a street and most of what is
/// said in the background stay below.
const CLEAR_MIN: f32 = 400.0;
const CLEAR_ABOVE_NOISE: f32 = 6.0;
/// So much of it is more than a knock.
const CLEARLY_SOUNDING: Duration = Duration::from_millis(150);
/// The agent's voice comes back from the caller's side no later than this.
const ECHO: Duration = Duration::from_millis(500);
/// So many loud pieces among the last 16 are somebody who speaks, as far as loudness tells: the shortest beginnings of a word
/// ("excuse me"), and more than a click.
const SPEAKING: u32 = 5;

/// A sound of the caller's side, between two quiets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sound {
    /// Its first piece.
    pub began: CallTime,
    /// Its end; so far, while it lasts.
    pub ended: CallTime,
    /// How much of it was as loud as a voice near the phone, and cannot be the agent's own.
    pub clear: Duration,
}

/// Listens to one stream.
#[derive(Clone, Default, Debug)]
pub struct LineLevel {
    /// `None` until something was heard.
    noise: Option<f32>,
    /// Which of the last pieces were loud, the newest in the lowest bit.
    recent: u16,
    /// Where the newest piece ended.
    heard: CallTime,
    /// The last sound, if its end has not been told.
    sounded: Option<Sound>,
    /// It has been told that it is clear.
    told: bool,
    /// The agent's voice may be heard on the line until then.
    agent_until: CallTime,
}

impl LineLevel {
    /// Takes sound that began at this time. Gives the caller's sound, once it has been quiet for a moment. `theirs`: it is no echo,
    /// whether the agent is heard or not.
    pub fn hear(&mut self, began: CallTime, pcm: &Pcm, theirs: bool) -> Option<Sound> {
        let samples_a_piece = (pcm.rate as usize / 100).max(1);
        let mut ended = None;
        let mut at = began;
        for piece in pcm.bytes.chunks(samples_a_piece * 2) {
            at += PIECE;
            let level = magnitude(piece);
            if self.is_sound(level) {
                self.sounds(at, level, theirs);
            } else if self.sounded.is_some_and(|sounded| at.saturating_sub(sounded.ended) >= QUIET) {
                ended = self.sounded.take();
                self.told = false;
            }
        }
        self.heard = at;
        ended
    }

    /// The agent is heard now.
    pub fn agent_heard(&mut self, now: CallTime) {
        self.agent_until = now + ECHO;
    }

    /// What sounds now may be the agent's own voice.
    #[must_use]
    pub fn may_be_echo(&self, now: CallTime) -> bool {
        now < self.agent_until
    }

    /// Since when there is a sound of which enough is clear; told once for each.
    pub fn clearly_sounding(&mut self) -> Option<CallTime> {
        let sound = self.sounded.filter(|sound| sound.clear >= CLEARLY_SOUNDING)?;
        (!std::mem::replace(&mut self.told, true)).then_some(sound.began)
    }

    fn sounds(&mut self, at: CallTime, level: f32, theirs: bool) {
        let new = Sound { began: at.saturating_sub(PIECE), ended: at, clear: Duration::ZERO };
        let loud = level >= CLEAR_MIN.max(self.noise.unwrap_or_default() * CLEAR_ABOVE_NOISE);
        let clear = loud && (theirs || !self.may_be_echo(at));
        let sound = self.sounded.get_or_insert(new);
        sound.ended = at;
        sound.clear += if clear { PIECE } else { Duration::ZERO };
    }

    /// Since when somebody seems to speak, if they do now.
    #[must_use]
    pub fn speaking(&self) -> Option<CallTime> {
        let pieces = u16::BITS - self.recent.leading_zeros();
        (self.recent.count_ones() >= SPEAKING).then(|| self.heard.saturating_sub(PIECE * pieces))
    }

    fn is_sound(&mut self, level: f32) -> bool {
        let noise = self.noise.get_or_insert(level);
        *noise = if level < *noise { level } else { *noise + (level - *noise) * NOISE_RISE };
        let loud = level >= LOUD_MIN.max(*noise * ABOVE_NOISE);
        self.recent = self.recent << 1 | u16::from(loud);
        // A single one among three is a click.
        loud && (self.recent & 0b111).count_ones() >= 2
    }
}

/// Mean of the magnitude of its samples.
fn magnitude(bytes: &[u8]) -> f32 {
    let samples = bytes.chunks_exact(2).map(|pair| u32::from(i16::from_le_bytes([pair[0], pair[1]]).unsigned_abs()));
    let count = samples.len().max(1);
    samples.sum::<u32>() as f32 / count as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    /// A square wave of this magnitude.
    fn tone(ms: usize, magnitude: i16) -> Vec<u8> {
        let sample = |n: usize| if n % 8 < 4 { magnitude } else { -magnitude };
        (0..ms * 8).flat_map(|n| sample(n).to_le_bytes()).collect()
    }

    /// When sound was said to have ended, of lengths and magnitudes one after the other, in frames of this length.
    fn ends(parts: &[(usize, i16)], frame_ms: usize) -> Vec<u64> {
        let bytes: Vec<u8> = parts.iter().flat_map(|(ms, magnitude)| tone(*ms, *magnitude)).collect();
        let mut line = LineLevel::default();
        let frames = bytes.chunks(frame_ms * 16).enumerate();
        let heard = frames.filter_map(|(n, frame)| {
            line.hear(MS((n * frame_ms) as u64), &Pcm { rate: 8000, bytes: frame.to_vec().into() }, false)
        });
        heard.map(|sound| sound.ended.as_millis() as u64).collect()
    }

    /// A name, lengths and magnitudes, and the ends that are told.
    type Row = (&'static str, &'static [(usize, i16)], &'static [u64]);

    #[test]
    fn the_end_of_a_sound_is_where_it_was_and_told_when_it_stays_quiet() {
        let table: [Row; 9] = [
            ("one word", &[(500, 8), (400, 3000), (500, 8)], &[900]),
            ("a pause between words ends nothing", &[(200, 8), (400, 3000), (130, 8), (300, 3000), (300, 8)], &[1030]),
            ("two words", &[(200, 8), (300, 3000), (400, 8), (300, 3000), (300, 8)], &[500, 1200]),
            ("a click is no sound", &[(500, 8), (10, 20_000), (500, 8)], &[]),
            ("a click after a word is not its end", &[(200, 8), (300, 3000), (60, 8), (10, 9000), (400, 8)], &[500]),
            ("silence", &[(1000, 0)], &[]),
            ("nobody knows the end of what goes on", &[(200, 8), (800, 3000)], &[]),
            ("a noisy line", &[(500, 300), (400, 3000), (500, 300)], &[900]),
            ("speech from the first sample on", &[(300, 3000), (300, 8), (300, 3000), (300, 8)], &[900]),
        ];
        for (name, parts, expected) in table {
            assert_eq!(ends(parts, 20), expected, "{name}");
        }
        assert_eq!(ends(&[(500, 8), (430, 3000), (500, 8)], 100), [930], "in larger frames");
    }

    /// When somebody was first said to speak, and since when, of lengths and magnitudes one after the other.
    fn begins(parts: &[(usize, i16)], frame_ms: usize) -> Option<(u64, u64)> {
        let bytes: Vec<u8> = parts.iter().flat_map(|(ms, magnitude)| tone(*ms, *magnitude)).collect();
        let mut line = LineLevel::default();
        bytes.chunks(frame_ms * 16).enumerate().find_map(|(n, frame)| {
            let _ = line.hear(MS((n * frame_ms) as u64), &Pcm { rate: 8000, bytes: frame.to_vec().into() }, false);
            Some((((n + 1) * frame_ms) as u64, line.speaking()?.as_millis() as u64))
        })
    }

    /// A name, lengths and magnitudes, when somebody is said to speak, and since when.
    type Speaks = (&'static str, &'static [(usize, i16)], Option<(u64, u64)>);

    #[test]
    fn who_speaks_is_heard_within_a_tenth_of_a_second_of_sound() {
        let table: [Speaks; 7] = [
            ("a word", &[(500, 8), (400, 3000)], Some((560, 500))),
            ("a syllable", &[(500, 8), (60, 3000), (500, 8)], Some((560, 500))),
            ("a click", &[(500, 8), (40, 20_000), (500, 8)], None),
            ("two far apart", &[(500, 8), (40, 9000), (130, 8), (40, 9000), (500, 8)], None),
            ("a stop within a word", &[(500, 8), (40, 3000), (60, 8), (200, 3000)], Some((620, 500))),
            ("a noisy line", &[(900, 300)], None),
            ("a voice above it", &[(500, 300), (300, 3000)], Some((560, 500))),
        ];
        for (name, parts, expected) in table {
            assert_eq!(begins(parts, 20), expected, "{name}");
        }
        // The worst that frames of a tenth of a second do to it.
        assert_eq!(begins(&[(560, 8), (400, 3000)], 100), Some((700, 560)));
    }

    /// A name, lengths and magnitudes, whether the agent is heard at first, and it is known that it is no echo, how much is
    /// clear, and how often it is told so.
    type Clear = (&'static str, &'static [(usize, i16)], (bool, bool), u64, usize);

    #[test]
    fn a_clear_sound_is_told_once_with_as_much_of_it_as_can_be_no_echo() {
        let table: [Clear; 7] = [
            ("a word", &[(500, 8), (400, 3000), (500, 8)], (false, false), 390, 1),
            ("a knock", &[(500, 8), (100, 9000), (500, 8)], (false, false), 90, 0),
            ("a voice in the background", &[(500, 8), (900, 300), (500, 8)], (false, false), 0, 0),
            ("a street", &[(500, 300), (900, 1500), (500, 300)], (false, false), 0, 0),
            ("what is over with the agent", &[(100, 8), (380, 3000), (500, 8)], (true, false), 0, 0),
            ("what goes on after the agent", &[(300, 8), (1_000, 3000), (500, 8)], (true, false), 810, 1),
            ("a caller over the agent", &[(100, 8), (380, 3000), (500, 8)], (true, true), 370, 1),
        ];
        for (name, parts, (agent, theirs), clear, told) in table {
            let bytes: Vec<u8> = parts.iter().flat_map(|(ms, magnitude)| tone(*ms, *magnitude)).collect();
            let (mut line, mut sounds, mut times) = (LineLevel::default(), Vec::new(), 0);
            if agent {
                line.agent_heard(MS(0));
            }
            for (n, frame) in bytes.chunks(320).enumerate() {
                let pcm = Pcm { rate: 8000, bytes: frame.to_vec().into() };
                sounds.extend(line.hear(MS(n as u64 * 20), &pcm, theirs));
                times += usize::from(line.clearly_sounding().is_some());
            }
            let [sound] = sounds[..] else { panic!("{name}: {sounds:?}") };
            assert_eq!((sound.clear, times), (MS(clear), told), "{name}: {sound:?}");
        }
    }

    #[test]
    fn a_line_that_becomes_noisy_is_got_used_to() {
        let noisy = ends(&[(500, 8), (9000, 500), (400, 6000), (400, 500)], 20);
        assert_eq!(noisy.last(), Some(&9900), "{noisy:?}");
    }
}
