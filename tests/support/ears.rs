//! The labelled set of what a caller's side brings while the agent speaks (`tests/fixtures/ears`): its sounds, an ear that
//! knows their words, and the figures that calls with them come to. A call itself is in `ears_call.rs`.
//!
//! Shared by a test, which plays a part of the set, and the campaign `ears`, which plays all of it.
#![allow(dead_code, unreachable_pub, reason = "shared by a test and a campaign; neither needs all of it")]

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use caly::sim::audio::{EnergyGate, FRAME, Heard, level, read_wav};
use caly::sim::engine::Ear;
use serde::Deserialize;
use serde_json::{Value, json};

#[path = "ears_call.rs"]
pub mod call;
pub use call::{Seen, play};

/// What the agent says in every call: 12 seconds, a clip of the sandbox.
pub const AGENT_LINE: &str = "order_long";
/// What a recogniser makes of a few hundred milliseconds of the agent's own voice.
const ECHO_WORDS: [&str; 4] = ["order number", "batai", "kripya apna order", "phir main"];
/// Samples by which a clip is known again; more are not needed, and the quieter ones repeat.
const PROBE: usize = 64;

/// What a sound is, and so what the agent should do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A listener's word: the agent goes on.
    Backchannel,
    /// The caller wants to speak: the agent yields.
    Interruption,
    /// A noise: the agent goes on.
    Noise,
    /// The agent's own voice: the agent does not even pause.
    Echo,
}

#[derive(Deserialize)]
struct Labels {
    said: Vec<Said>,
    echo: Vec<Echo>,
}

#[derive(Deserialize)]
struct Said {
    kind: Kind,
    text: String,
    heard: Vec<String>,
    clips: Vec<Clip>,
}

#[derive(Deserialize)]
struct Clip {
    file: String,
    level_db: i32,
}

/// The agent's voice as it comes back over the line.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Echo {
    /// Against the agent's own level.
    pub level_db: i32,
    /// After it was played.
    pub delay_ms: u64,
}

/// One thing to be heard, in a call of its own.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    pub kind: Kind,
    /// What the caller's side brings at one moment; nothing for echo.
    pub samples: Arc<[i16]>,
    pub echo: Option<Echo>,
    /// What recognisers write for it.
    heard: Arc<[String]>,
}

/// Every clip once, and every echo.
pub fn cases() -> Result<Vec<Case>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ears");
    let labels: Labels = toml::from_str(&std::fs::read_to_string(directory.join("ears.toml"))?)?;
    let mut cases = Vec::new();
    for said in labels.said {
        let heard: Arc<[String]> = said.heard.into();
        for clip in said.clips {
            let bytes = std::fs::read(directory.join(format!("{}.wav", clip.file))).context(clip.file.clone())?;
            let (rate, samples) = read_wav(&bytes)?;
            ensure!(rate == 8000, "{}: {rate} Hz", clip.file);
            cases.push(Case {
                name: format!("{} ({}, {} dB)", said.text, clip.file, clip.level_db),
                kind: said.kind,
                samples: samples.into(),
                echo: None,
                heard: Arc::clone(&heard),
            });
        }
    }
    for echo in labels.echo {
        let name = format!("echo of {} dB after {} ms", echo.level_db, echo.delay_ms);
        let (samples, heard) = (Vec::new().into(), Vec::new().into());
        cases.push(Case { name, kind: Kind::Echo, samples, echo: Some(echo), heard });
    }
    Ok(cases)
}

impl Case {
    /// As many calls as there are spellings of its words.
    pub fn spellings(&self) -> usize {
        self.heard.len().max(1)
    }

    /// The frame, counted from the clip's first, at which a detector such as the engine's finds speech in it.
    pub fn detected_at(&self) -> Option<usize> {
        // The threshold of an agent that says nothing about it; see src/sim/engine/input.rs.
        let mut gate = EnergyGate::new(500.0, 500);
        let heard = |frame: &[i16]| {
            let mut frame = frame.to_vec();
            frame.resize(FRAME, 0);
            gate.push(&frame).iter().any(|heard| matches!(heard, Heard::Started(_)))
        };
        self.samples.chunks(FRAME).map(heard).position(|started| started)
    }

    fn probe(&self) -> Option<&[i16]> {
        self.samples.windows(PROBE).step_by(PROBE / 4).max_by_key(|window| level(window) as u32)
    }
}

/// An ear that knows the set's clips by their very samples and writes each down in the next of its spellings. In any other
/// loud sound it hears words of the agent, which is the worst that a recogniser can make of an echo.
pub fn ear(cases: &[Case]) -> Ear {
    let mut known: HashMap<[i16; 4], Vec<(Vec<i16>, usize)>> = HashMap::new();
    for (number, case) in cases.iter().enumerate() {
        let Some(probe) = case.probe() else { continue };
        let first = std::array::from_fn(|at| probe[at]);
        known.entry(first).or_default().push((probe.to_vec(), number));
    }
    // Most places are none by their first sample already; other calls wait meanwhile.
    let begins: Vec<bool> = (i16::MIN..=i16::MAX).map(|sample| known.keys().any(|first| first[0] == sample)).collect();
    let heard: Vec<_> = cases.iter().map(|case| (Arc::clone(&case.heard), AtomicUsize::new(0))).collect();
    let strange = AtomicUsize::new(0);
    Ear(Arc::new(move |samples| {
        let found = samples.windows(PROBE).find_map(|window| {
            if !begins[(i32::from(window[0]) - i32::from(i16::MIN)) as usize] {
                return None;
            }
            let first: [i16; 4] = std::array::from_fn(|at| window[at]);
            known.get(&first)?.iter().find(|(probe, _)| probe == window).map(|(_, number)| *number)
        });
        if let Some((heard, times)) = found.map(|number| &heard[number]) {
            return heard[times.fetch_add(1, Ordering::Relaxed) % heard.len()].clone();
        }
        let loud = samples.chunks(FRAME).filter(|frame| level(frame) > 400.0).count();
        let word = || ECHO_WORDS[strange.fetch_add(1, Ordering::Relaxed) % ECHO_WORDS.len()].to_owned();
        if loud >= 3 { word() } else { String::new() }
    }))
}

/// The agent of all these calls.
pub fn agent() -> Result<Value> {
    let line = caly::sim::library::library().get(AGENT_LINE).context("the agent's line")?;
    Ok(json!({ "instructions": "Be brief.", "greeting": line.text, "language": "hi-Latn", "barge_in": "normal" }))
}

/// What became of one case: what the carrier saw, and what Caly wrote down.
#[derive(Debug)]
pub struct Outcome {
    pub name: String,
    pub kind: Kind,
    pub seen: Seen,
    /// Caly took it for an interruption.
    pub interrupted: bool,
    /// … or decided to go on, and why.
    pub went_on: Vec<String>,
}

impl Outcome {
    /// From the record of the call, as the admin API shows it.
    pub fn of(case: &Case, seen: Seen, record: &Value) -> Self {
        let none = Vec::new();
        let events = record["events"].as_array().unwrap_or(&none);
        let all = |kind: &'static str| events.iter().filter(move |event| event["kind"] == kind);
        let why = |event: &Value| event["detail"]["why"].as_str().unwrap_or("?").to_owned();
        let interrupted = all("caller_interrupted").count() > 0;
        Self {
            name: case.name.clone(),
            kind: case.kind,
            seen,
            interrupted,
            went_on: all("agent_went_on").map(why).collect(),
        }
    }

    /// Caly did what the label says.
    pub fn right(&self) -> bool {
        match self.kind {
            Kind::Interruption => self.interrupted,
            Kind::Backchannel | Kind::Noise => !self.interrupted,
            Kind::Echo => !self.interrupted && self.seen.clears == 0,
        }
    }
}

/// All of it in numbers.
#[derive(Debug, Default)]
pub struct Figures {
    pub calls: BTreeMap<Kind, usize>,
    /// By kind: what went wrong, and how.
    pub wrong: BTreeMap<Kind, Vec<String>>,
    /// Calls in which an echo was taken for an interruption.
    pub echo_interrupted: usize,
    /// From the caller's first sound to `clear`, and the part of it after the frame that shows that it is speech; sorted.
    pub to_clear: Vec<Duration>,
    pub after_detection: Vec<Duration>,
    /// How long a listener's word silences the agent; sorted.
    pub pauses: Vec<Duration>,
}

impl Figures {
    pub fn of(outcomes: &[Outcome]) -> Self {
        let mut figures = Self::default();
        for outcome in outcomes {
            *figures.calls.entry(outcome.kind).or_default() += 1;
            figures.echo_interrupted += usize::from(outcome.kind == Kind::Echo && outcome.interrupted);
            if !outcome.right() {
                let how = format!(
                    "{}: interrupted {}, went on {:?}, {} clears",
                    outcome.name, outcome.interrupted, outcome.went_on, outcome.seen.clears
                );
                figures.wrong.entry(outcome.kind).or_default().push(how);
            }
            if outcome.kind == Kind::Interruption {
                figures.to_clear.extend(outcome.seen.to_clear);
                figures.after_detection.extend(outcome.seen.after_detection);
            }
            if outcome.kind == Kind::Backchannel {
                figures.pauses.extend(outcome.seen.pause);
            }
        }
        for times in [&mut figures.to_clear, &mut figures.after_detection, &mut figures.pauses] {
            times.sort();
        }
        figures
    }

    pub fn calls(&self, kind: Kind) -> usize {
        self.calls.get(&kind).copied().unwrap_or_default()
    }

    pub fn wrong(&self, kind: Kind) -> usize {
        self.wrong.get(&kind).map_or(0, Vec::len)
    }

    /// In percent; 100 if there were none, so that nothing passes for want of calls.
    pub fn share(&self, kind: Kind) -> f64 {
        if self.calls(kind) == 0 { 100.0 } else { 100.0 * self.wrong(kind) as f64 / self.calls(kind) as f64 }
    }
}

/// `fraction` from 0 to 1 of sorted times; zero if there are none.
pub fn quantile(sorted: &[Duration], fraction: f64) -> Duration {
    let at = (sorted.len() as f64 * fraction).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied().unwrap_or_default()
}
