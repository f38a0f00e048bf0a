//! The clips the sandbox can say and recognise, and the ear that tells which one was said.
//!
//! Recognition compares loudness over time (whole band and treble, 40 ms windows every 20 ms) with every known clip, so it
//! survives A-law, µ-law, resampling and a speaker who was cut off. It knows no words beyond `sandbox/lines.toml`.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use rust_embed::RustEmbed;
use serde::Deserialize;

use super::audio::{self, FRAME, RATE};

#[derive(RustEmbed)]
#[folder = "sandbox/"]
struct SandboxFiles;

#[derive(RustEmbed)]
#[folder = "assets/phrases/"]
struct PhraseFiles;

/// The least likeness that counts: the shorter the sound, the easier it resembles something by chance.
fn sure(frames: usize) -> f32 {
    0.92 - 0.12 * ((frames as f32 - 25.0) / 75.0).clamp(0.0, 1.0)
}

/// Frames by which the beginnings may differ.
const SLACK: i64 = 16;
/// Segments shorter than this many frames (200 ms) say nothing.
const SHORTEST: usize = 10;

/// Whose voice a clip is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Who {
    /// The person who rang.
    Caller,
    /// The one who answers.
    Agent,
}

/// One known sentence and its sound.
#[derive(Debug)]
pub struct Clip {
    /// As scenarios call it; stored phrases are `phrase/<language>/<name>`.
    pub name: String,
    /// Whose voice.
    pub who: Who,
    /// `en`, `hi` or `hi-Latn`.
    pub language: String,
    /// The words.
    pub text: String,
    /// Mono samples at 8 kHz.
    pub samples: Arc<[i16]>,
    shape: Shape,
}

impl Clip {
    /// How long it takes to say, in milliseconds.
    #[must_use]
    pub fn millis(&self) -> u64 {
        self.samples.len() as u64 * 1000 / u64::from(RATE)
    }
}

/// A clip found in what was heard.
#[derive(Clone, Debug)]
pub struct Recognised {
    /// Which.
    pub clip: Arc<Clip>,
    /// How well it fits, up to 1.
    pub score: f32,
    /// How much of the clip was heard, 0 to 1.
    pub heard: f32,
    /// Where it begins in the segment, in milliseconds.
    pub start_ms: u64,
}

impl Recognised {
    /// The words that were heard: all, or the first ones when the speaker was cut off.
    #[must_use]
    pub fn words(&self) -> String {
        if self.heard >= 0.85 {
            return self.clip.text.clone();
        }
        let words: Vec<&str> = self.clip.text.split_whitespace().collect();
        let kept = ((words.len() as f32 * self.heard).round() as usize).clamp(1, words.len());
        words[..kept].join(" ")
    }
}

/// Loudness over time: the whole band and the first difference (treble), one value each 20 ms.
#[derive(Debug, Default)]
struct Shape {
    band: Vec<f32>,
    treble: Vec<f32>,
}

impl Shape {
    fn of(samples: &[i16]) -> Self {
        let edges: Vec<i16> =
            samples.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).chain(std::iter::once(0)).collect();
        let frames = samples.len() / FRAME;
        let window = |source: &[i16], frame: usize| {
            audio::level(&source[frame * FRAME..(frame * FRAME + 2 * FRAME).min(source.len())]).sqrt()
        };
        Self {
            band: (0..frames).map(|frame| window(samples, frame)).collect(),
            treble: (0..frames).map(|frame| window(&edges, frame)).collect(),
        }
    }

    fn len(&self) -> usize {
        self.band.len()
    }

    /// How alike `self[at..at+length]` and `other[other_at..]` are, -1 to 1.
    fn likeness(&self, at: usize, other: &Self, other_at: usize, length: usize) -> f32 {
        let pair = |a: &[f32], b: &[f32]| correlation(&a[at..at + length], &b[other_at..other_at + length]);
        0.5 * (pair(&self.band, &other.band) + pair(&self.treble, &other.treble))
    }

    fn tail(&self, from: usize) -> Self {
        Self { band: self.band[from..].to_vec(), treble: self.treble[from..].to_vec() }
    }
}

fn correlation(a: &[f32], b: &[f32]) -> f32 {
    let n = a.len() as f32;
    let (mean_a, mean_b) = (a.iter().sum::<f32>() / n, b.iter().sum::<f32>() / n);
    let (mut both, mut only_a, mut only_b) = (0.0f32, 0.0f32, 0.0f32);
    for (x, y) in a.iter().zip(b) {
        let (x, y) = (x - mean_a, y - mean_b);
        both += x * y;
        only_a += x * x;
        only_b += y * y;
    }
    let size = (only_a * only_b).sqrt();
    if size <= f32::EPSILON { 0.0 } else { both / size }
}

#[derive(Deserialize)]
struct LinesFile {
    line: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    name: String,
    who: Who,
    language: String,
    text: String,
}

/// Words by name, for each language.
#[derive(Deserialize, Default)]
struct PhrasesFile {
    en: BTreeMap<String, String>,
    hi: BTreeMap<String, String>,
    #[serde(rename = "hi-Latn")]
    hi_latn: BTreeMap<String, String>,
}

/// All clips.
#[derive(Debug, Default)]
pub struct Library {
    clips: Vec<Arc<Clip>>,
}

/// The clips inside the binary, read once.
#[must_use]
pub fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(Library::embedded)
}

/// A file of `sandbox/` inside the binary, by its path there.
#[must_use]
pub fn sandbox_file(path: &str) -> Option<String> {
    SandboxFiles::get(path).map(|file| String::from_utf8_lossy(&file.data).into_owned())
}

/// Names of the scenarios inside the binary, sorted.
#[must_use]
pub fn scenario_names() -> Vec<String> {
    let mut names: Vec<String> = SandboxFiles::iter()
        .filter_map(|path| path.strip_prefix("scenarios/")?.strip_suffix(".toml").map(str::to_owned))
        .collect();
    names.sort();
    names
}

impl Library {
    fn embedded() -> Self {
        let mut library = Self::default();
        let lines = sandbox_file("lines.toml").and_then(|text| toml::from_str::<LinesFile>(&text).ok());
        for line in lines.map(|file| file.line).unwrap_or_default() {
            let wav = SandboxFiles::get(&format!("audio/{}.wav", line.name));
            library.add(line, wav.map(|file| file.data.into_owned()));
        }
        let phrases = PhraseFiles::get("phrases.toml")
            .and_then(|file| toml::from_str::<PhrasesFile>(&String::from_utf8_lossy(&file.data)).ok())
            .unwrap_or_default();
        for (language, words) in [("en", phrases.en), ("hi", phrases.hi), ("hi-Latn", phrases.hi_latn)] {
            for (name, text) in words {
                let wav = PhraseFiles::get(&format!("{language}/{name}.wav")).map(|file| file.data.into_owned());
                let name = format!("phrase/{language}/{name}");
                library.add(Line { name, who: Who::Agent, language: language.to_owned(), text }, wav);
            }
        }
        library
    }

    fn add(&mut self, line: Line, wav: Option<Vec<u8>>) {
        let Some(Ok((rate, samples))) = wav.map(|bytes| audio::read_wav(&bytes)) else {
            tracing::error!(clip = %line.name, "sandbox clip has no readable sound; run sandbox/make-audio.sh");
            return;
        };
        let samples: Arc<[i16]> = audio::resample(&samples, rate, RATE).into();
        let Line { name, who, language, text } = line;
        let shape = Shape::of(&samples);
        self.clips.push(Arc::new(Clip { name, who, language, text, samples, shape }));
    }

    /// All clips, in the order of their files.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Clip>> {
        self.clips.iter()
    }

    /// By name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Clip>> {
        self.clips.iter().find(|clip| clip.name == name)
    }

    /// The agent's clip with these words, whatever its punctuation and case.
    #[must_use]
    pub fn saying(&self, text: &str) -> Option<&Arc<Clip>> {
        let wanted = plain(text);
        self.clips.iter().find(|clip| clip.who == Who::Agent && plain(&clip.text) == wanted)
    }

    /// Which clips, one after the other, the samples (8 kHz) are. Empty when nothing known was said.
    #[must_use]
    pub fn recognise(&self, who: Who, samples: &[i16]) -> Vec<Recognised> {
        let shape = Shape::of(samples);
        if shape.len() < SHORTEST {
            return Vec::new();
        }
        if let Some(whole) = self.best_whole(who, &shape).or_else(|| self.best_stretched(who, &shape)) {
            return vec![whole];
        }
        let (mut found, mut at) = (Vec::new(), 0usize);
        while shape.len().saturating_sub(at) >= SHORTEST {
            let rest = shape.tail(at);
            let piece = self.best_beginning(who, &rest).or_else(|| (at > 0).then(|| self.best_whole(who, &rest))?);
            let Some(mut piece) = piece else { break };
            let end = at + piece.start_ms as usize / 20 + piece.clip.shape.len();
            piece.start_ms += at as u64 * 20;
            found.push(piece);
            at = end;
        }
        found
    }

    /// The clip of which the whole segment is a part (most often: all of it, or its beginning).
    fn best_whole(&self, who: Who, shape: &Shape) -> Option<Recognised> {
        let mut best: Option<Recognised> = None;
        for clip in self.clips.iter().filter(|clip| clip.who == who) {
            let (mine, theirs) = (shape.len() as i64, clip.shape.len() as i64);
            // `lag`: the frame of the clip at which the segment begins; negative when the segment has a lead-in.
            for lag in -SLACK..theirs {
                let (from, until) = (lag.max(0), (lag + mine).min(theirs));
                let overlap = until - from;
                if overlap < SHORTEST as i64 || overlap * 100 < mine * 78 {
                    continue;
                }
                let like = shape.likeness((from - lag) as usize, &clip.shape, from as usize, overlap as usize);
                // What hangs over, and a beginning in the middle of a clip, make a match less likely.
                let fits = (overlap as f32 / mine as f32).sqrt();
                let begins = if lag <= SLACK { 1.0 } else { 0.94 };
                let score = like * fits * begins;
                if score >= sure(overlap as usize) && best.as_ref().is_none_or(|b| score > b.score) {
                    let heard =
                        if lag <= SLACK { until as f32 / theirs as f32 } else { overlap as f32 / theirs as f32 };
                    let start_ms = u64::try_from(-lag).unwrap_or(0) * 20;
                    best = Some(Recognised { clip: Arc::clone(clip), score, heard, start_ms });
                }
            }
        }
        best
    }

    /// The clip that fits when small pauses have crept in: the lag may drift by two frames in each block.
    fn best_stretched(&self, who: Who, shape: &Shape) -> Option<Recognised> {
        const BLOCK: usize = 20;
        let mut best: Option<Recognised> = None;
        for clip in self.clips.iter().filter(|clip| clip.who == who) {
            for first in -4..=4i64 {
                let (mut lag, mut aligned, mut reached) = (first, Shape::default(), 0usize);
                for at in (0..shape.len()).step_by(BLOCK) {
                    let length = BLOCK.min(shape.len() - at);
                    let from =
                        |lag: i64| usize::try_from(at as i64 + lag).ok().filter(|f| f + length <= clip.shape.len());
                    let like = |lag: i64| from(lag).map(|f| shape.likeness(at, &clip.shape, f, length));
                    let lags = (lag - 2..=lag + 2).filter_map(|lag| Some((lag, like(lag)?)));
                    let Some((next, _)) = lags.max_by(|a, b| a.1.total_cmp(&b.1)) else { continue };
                    let Some(from) = from(next) else { continue };
                    (lag, reached) = (next, from + length);
                    aligned.band.extend_from_slice(&clip.shape.band[from..from + length]);
                    aligned.treble.extend_from_slice(&clip.shape.treble[from..from + length]);
                }
                if aligned.len() * 100 < shape.len() * 78 || aligned.len() < 2 * BLOCK {
                    continue;
                }
                let score = shape.likeness(0, &aligned, 0, aligned.len());
                if score >= sure(aligned.len()) && best.as_ref().is_none_or(|b| score > b.score) {
                    let heard = reached as f32 / clip.shape.len() as f32;
                    best = Some(Recognised { clip: Arc::clone(clip), score, heard, start_ms: 0 });
                }
            }
        }
        best
    }

    /// The clip which the segment begins with.
    fn best_beginning(&self, who: Who, shape: &Shape) -> Option<Recognised> {
        let mut best: Option<Recognised> = None;
        for clip in self.clips.iter().filter(|clip| clip.who == who && clip.shape.len() <= shape.len()) {
            for lead in 0..=(SLACK as usize * 2).min(shape.len() - clip.shape.len()) {
                let score = shape.likeness(lead, &clip.shape, 0, clip.shape.len());
                if score >= sure(clip.shape.len()) && best.as_ref().is_none_or(|b| score > b.score) {
                    let start_ms = lead as u64 * 20;
                    best = Some(Recognised { clip: Arc::clone(clip), score, heard: 1.0, start_ms });
                }
            }
        }
        best
    }
}

/// Letters and digits only, lower case: two writings of one sentence compare equal.
#[must_use]
pub fn plain(text: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || ('\u{900}'..='\u{97f}').contains(c) && *c != '।';
    text.chars().filter(kept).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]
mod tests {
    use super::*;

    fn through_alaw(samples: &[i16]) -> Vec<i16> {
        samples.iter().map(|s| audio::alaw_to_linear(audio::linear_to_alaw(*s))).collect()
    }

    fn with_lead(samples: &[i16], lead: usize) -> Vec<i16> {
        std::iter::repeat_n(0, lead).chain(samples.iter().copied()).collect()
    }

    #[test]
    fn every_clip_is_recognised_through_a_telephone() {
        for clip in library().iter() {
            let up = audio::resample(&with_lead(&clip.samples, 777), 8000, 24000);
            let sound = through_alaw(&audio::resample(&up, 24000, 8000));
            let found = library().recognise(clip.who, &sound);
            assert_eq!(found.first().map(|f| f.clip.name.as_str()), Some(clip.name.as_str()));
            assert_eq!(found[0].words(), clip.text);
        }
    }

    #[test]
    fn a_clip_cut_off_in_the_middle_is_still_known() {
        for clip in library().iter().filter(|clip| clip.millis() > 1500) {
            let half: Vec<i16> = clip.samples[..clip.samples.len() * 6 / 10].iter().map(|s| s / 2).collect();
            let found = library().recognise(clip.who, &half);
            assert_eq!(found.first().map(|f| f.clip.name.as_str()), Some(clip.name.as_str()));
            assert!(found[0].heard < 0.75 && found[0].words().len() < clip.text.len());
        }
    }

    #[test]
    fn small_pauses_inside_a_clip_do_not_hide_it() {
        for clip in library().iter().filter(|clip| clip.millis() > 1000) {
            let torn: Vec<i16> =
                clip.samples.chunks(2400).flat_map(|piece| piece.iter().copied().chain([0i16; 100])).collect();
            let found = library().recognise(clip.who, &torn);
            assert_eq!(found.first().map(|f| f.clip.name.as_str()), Some(clip.name.as_str()));
        }
    }

    #[test]
    fn two_sentences_without_a_pause_are_told_apart() {
        let pick = |name: &str| library().get(name).map(|c| c.samples.to_vec()).unwrap_or_default();
        let both = [pick("greeting"), pick("order_ask_number")].concat();
        let names: Vec<String> =
            library().recognise(Who::Agent, &both).iter().map(|found| found.clip.name.clone()).collect();
        assert_eq!(names, ["greeting", "order_ask_number"]);
    }

    #[test]
    fn one_speakers_words_are_not_taken_for_the_others() {
        let wrong = |clip: &Arc<Clip>| {
            let other = if clip.who == Who::Agent { Who::Caller } else { Who::Agent };
            let found = library().recognise(other, &clip.samples);
            found.first().map(|found| (clip.name.clone(), found.clip.name.clone(), found.score))
        };
        let taken: Vec<_> = library().iter().filter_map(wrong).collect();
        assert!(taken.is_empty(), "{taken:?}");
    }

    #[test]
    fn noise_and_unknown_words_are_nothing() {
        let mut dice = crate::sim::Dice::new(7);
        let noise: Vec<i16> = (0..16_000).map(|_| (dice.below(6000) as i16) - 3000).collect();
        assert!(library().recognise(Who::Caller, &noise).is_empty());
        assert!(library().recognise(Who::Agent, &audio::murmur("no clip says these words at all")).is_empty());
    }
}
