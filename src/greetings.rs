//! Sentences in the agents' own voices, greetings first: made once through the engine, kept on disk, heard at once from then on.
//!
//! What is kept is the sound of a text in a voice of a model; another text, voice or model is another sentence. It is made when
//! somebody knows that it will be wanted, before anybody rings; a greeting that two calls have missed is made beside the
//! second. One at a time, bounded in number and length. Knows no calls.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use caly_actors::audio::caller::CallerSound;
use caly_actors::audio::convert::FromEngine;
use caly_actors::audio::lane::lane;
use caly_actors::domain::{Agent, CallId, Pcm};
use caly_actors::ports::{
    Engine, EngineAudio, EngineCommand, EngineEvent, EngineLanes, EngineSpec, Greetings, ResponseOutcome,
};
use caly_actors::understand::same_words;
use futures_util::StreamExt as _;
use tokio::sync::mpsc;

/// Samples a second of what is kept: as the telephone network carries it.
const RATE: u32 = 8_000;
/// Greetings kept; the one that was longest unused goes for a new one.
const KEPT_MAX: usize = 500;
/// Greetings known of, kept or not; those that were only missed are forgotten for new ones.
const STATES_MAX: usize = KEPT_MAX * 4;
/// Longest greeting kept, with the sentences that every caller must hear.
const LONGEST_S: usize = 40;
const BYTES_MAX: usize = RATE as usize * 2 * LONGEST_S;
/// Pieces of audio of one greeting.
const PIECES: usize = 4_096;
/// Greetings waiting to be made.
const WISHES: usize = 64;
/// … of which this many before a call has missed them, so that what callers miss does not wait for them.
const AHEAD: usize = 4;
/// What nobody has looked for since is not in use.
const IN_USE: Duration = Duration::from_secs(600);
/// Longest time to make one.
const MAKING: Duration = Duration::from_secs(60);
/// After a failure: how long until it is tried again.
const RETRY: Duration = Duration::from_secs(600);

enum State {
    /// Asked for once. A greeting that names its caller is never asked for again, and not worth an engine's time.
    Missed,
    Kept {
        pcm: Pcm,
        used: Instant,
    },
    Wanted,
    Failed {
        not_before: Instant,
    },
    /// It would be as long the next time: not asked for again. Other words are another greeting.
    TooLong,
}

/// Why a greeting was not made.
#[derive(Debug, thiserror::Error)]
enum NotMade {
    #[error("it is longer than {LONGEST_S} s")]
    TooLong,
    #[error("{0}")]
    Failed(String),
}

/// Sentences of one sort of a process, greetings or phrases.
pub struct VoicedSentences {
    dir: PathBuf,
    model: String,
    states: Mutex<HashMap<String, State>>,
    wishes: mpsc::Sender<Arc<Agent>>,
}

impl VoicedSentences {
    /// Reads what is kept in a directory, and makes what is wanted in a task of this thread for as long as the process
    /// lives. `model` tells engines apart.
    pub fn start(dir: PathBuf, model: &str, engine: Arc<dyn Engine>, audio: EngineAudio) -> Arc<Self> {
        let (wishes, wanted) = mpsc::channel(WISHES);
        let kept = read_all(&dir);
        tracing::debug!(greetings = kept.len(), "stored greetings read");
        let greetings = Arc::new(Self { dir, model: model.to_owned(), states: Mutex::new(kept), wishes });
        actix_rt::spawn(make_for_ever(Arc::clone(&greetings), engine, audio, wanted));
        greetings
    }

    fn states(&self) -> std::sync::MutexGuard<'_, HashMap<String, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key_of(&self, voice: &str, text: &str) -> String {
        let whole = [&self.model, voice, text].join("\0");
        let digest = ring::digest::digest(&ring::digest::SHA256, whole.as_bytes());
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn key(&self, agent: &Agent) -> Option<String> {
        let text = agent.greeting.as_deref().filter(|text| !text.trim().is_empty())?;
        Some(self.key_of(&agent.voice, text))
    }

    fn keep(&self, key: String, pcm: Pcm) {
        let mut states = self.states();
        let kept = states.iter().filter_map(|(key, state)| match state {
            State::Kept { used, .. } => Some((*used, key.clone())),
            State::Missed | State::Wanted | State::Failed { .. } | State::TooLong => None,
        });
        let kept: Vec<_> = kept.collect();
        if kept.len() >= KEPT_MAX
            && let Some((_, oldest)) = kept.into_iter().min()
        {
            states.remove(&oldest);
            // A file that stays behind is read at the next start, and goes then.
            let _ = std::fs::remove_file(file(&self.dir, &oldest));
        }
        states.insert(key, State::Kept { pcm, used: Instant::now() });
        metrics::counter!("caly_greetings_total", "outcome" => "made").increment(1);
    }

    fn failed(&self, key: String, agent: &Agent, why: &NotMade) {
        metrics::counter!("caly_greetings_total", "outcome" => "failed").increment(1);
        let state = match why {
            NotMade::TooLong => State::TooLong,
            NotMade::Failed(_) => State::Failed { not_before: Instant::now() + RETRY },
        };
        let next = match state {
            State::TooLong => {
                "every caller waits for the engine to say it: shorten greeting, disclosure or recording_notice"
            }
            _ => "it is tried again in ten minutes",
        };
        tracing::warn!(agent = %agent.id, reason = %why, next, "a greeting could not be made");
        self.states().insert(key, state);
    }

    /// Whether a text has to be made in a voice: not if it was, is about to be, or cannot be for the time being.
    #[must_use]
    pub fn is_missing(&self, voice: &str, text: &str) -> bool {
        self.has_to_be_made(&self.key_of(voice, text))
    }

    fn has_to_be_made(&self, key: &str) -> bool {
        match self.states().get_mut(key) {
            Some(State::Kept { used, .. }) => {
                // Somebody will want it, so it does not go for another.
                *used = Instant::now();
                false
            }
            Some(State::Wanted | State::TooLong) => false,
            Some(State::Failed { not_before }) => Instant::now() >= *not_before,
            Some(State::Missed) | None => true,
        }
    }

    /// A text in a voice, if it was made.
    #[must_use]
    pub fn made(&self, voice: &str, text: &str) -> Option<Pcm> {
        match self.states().get_mut(&self.key_of(voice, text))? {
            State::Kept { pcm, used } => {
                *used = Instant::now();
                Some(pcm.clone())
            }
            State::Missed | State::Wanted | State::Failed { .. } | State::TooLong => None,
        }
    }

    /// Wishes for a greeting that no call has missed yet; whether there is room for more of them.
    pub fn make_ahead(&self, agent: &Arc<Agent>) -> bool {
        let Some(key) = self.key(agent) else { return true };
        if !self.has_to_be_made(&key) {
            return true;
        }
        let mut states = self.states();
        let count = |counted: fn(&State) -> bool| states.values().filter(|state| counted(state)).count();
        let wanted = count(|state| matches!(state, State::Wanted));
        let in_use = |used: &Instant| used.elapsed() < IN_USE;
        let kept = states.values().filter(|state| matches!(state, State::Kept { used, .. } if in_use(used))).count();
        // What is in use does not go for a greeting that nobody has asked for.
        if wanted >= AHEAD || kept + wanted >= KEPT_MAX || self.wishes.try_send(Arc::clone(agent)).is_err() {
            return false;
        }
        states.insert(key, State::Wanted);
        true
    }
}

impl Greetings for VoicedSentences {
    fn stored(&self, agent: &Arc<Agent>) -> Option<Pcm> {
        let key = self.key(agent)?;
        let mut states = self.states();
        match states.get_mut(&key) {
            Some(State::Kept { pcm, used }) => {
                *used = Instant::now();
                return Some(pcm.clone());
            }
            Some(State::Wanted | State::TooLong) => return None,
            Some(State::Failed { not_before, .. }) if Instant::now() < *not_before => return None,
            Some(State::Missed | State::Failed { .. }) => {
                if self.wishes.try_send(Arc::clone(agent)).is_ok() {
                    states.insert(key, State::Wanted);
                }
            }
            None => {
                if states.len() >= STATES_MAX {
                    states.retain(|_, state| matches!(state, State::Kept { .. } | State::Wanted | State::TooLong));
                }
                states.insert(key, State::Missed);
            }
        }
        None
    }
}

async fn make_for_ever(
    greetings: Arc<VoicedSentences>,
    engine: Arc<dyn Engine>,
    audio: EngineAudio,
    mut wanted: mpsc::Receiver<Arc<Agent>>,
) {
    while let Some(agent) = wanted.recv().await {
        let Some(key) = greetings.key(&agent) else { continue };
        let made = tokio::time::timeout(MAKING, make(&*engine, &agent, audio)).await;
        let unmade = |_| Err(NotMade::Failed(format!("it was not made within {} s", MAKING.as_secs())));
        match made.unwrap_or_else(unmade) {
            Ok(pcm) => {
                let (path, sound) = (file(&greetings.dir, &key), pcm.clone());
                let written = tokio::task::spawn_blocking(move || write(&path, &sound)).await;
                if !matches!(written, Ok(Ok(()))) {
                    tracing::warn!(agent = %agent.id, "a greeting could not be written; it is kept in memory");
                }
                greetings.keep(key, pcm);
            }
            Err(why) => greetings.failed(key, &agent, &why),
        }
    }
}

/// Lets the engine say the greeting to nobody.
async fn make(engine: &dyn Engine, agent: &Arc<Agent>, audio: EngineAudio) -> Result<Pcm, NotMade> {
    let failed = |reason: &str| Err(NotMade::Failed(reason.to_owned()));
    let words = agent.greeting.as_deref().unwrap_or_default();
    let (_caller, caller) = lane(1);
    let (sound, heard) = lane(PIECES);
    // Who the agent is may keep an engine from saying just this.
    let (call, agent) = (CallId::new(), Arc::new(Agent { instructions: "".into(), ..(**agent).clone() }));
    let spec = EngineSpec { call, agent, tools: Arc::from([]), context: Vec::new(), audio, language: None };
    let lanes = EngineLanes { caller: CallerSound::new(caller), agent: sound };
    let mut session = engine.open(spec, lanes).await.map_err(|error| NotMade::Failed(error.to_string()))?;
    let mut said = String::new();
    loop {
        match session.events.next().await {
            Some(EngineEvent::Ready) => {
                let instructions = format!("Say exactly these words, with nothing before or after: \"{words}\"").into();
                let (wish, instructions, words_only) = (1, Some(instructions), false);
                session.commands.push(EngineCommand::CreateResponse { wish, instructions, words_only });
            }
            Some(EngineEvent::AgentTranscript { text, .. }) => said.push_str(&text),
            Some(EngineEvent::ResponseDone { outcome: ResponseOutcome::Completed, .. }) => break,
            Some(EngineEvent::ResponseDone { outcome, .. }) => {
                return failed(&format!("the answer ended: {outcome:?}"));
            }
            Some(EngineEvent::Lost(error)) => return failed(&error.to_string()),
            None => return failed("the session ended"),
            Some(_) => {}
        }
    }
    if !same_words(&said, words) {
        return failed("the engine said something else");
    }
    let mut converter = FromEngine::new(RATE, audio);
    let mut bytes = Vec::new();
    while let Some(piece) = heard.try_next() {
        bytes.extend_from_slice(&converter.convert(&piece.bytes));
    }
    match bytes.len() {
        0 => failed("there was no sound"),
        length if length > BYTES_MAX || heard.dropped() > 0 => Err(NotMade::TooLong),
        _ => Ok(Pcm { rate: RATE, bytes: bytes.into() }),
    }
}

fn file(dir: &Path, key: &str) -> PathBuf {
    dir.join(format!("{key}.wav"))
}

/// A file is whole or not there.
fn write(path: &Path, pcm: &Pcm) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    let unfinished = path.with_extension("part");
    let file = std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: pcm.rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::new(io::BufWriter::new(file), spec).map_err(io::Error::other)?;
    for sample in pcm.bytes.chunks_exact(2) {
        wav.write_sample(i16::from_le_bytes([sample[0], sample[1]])).map_err(io::Error::other)?;
    }
    wav.finalize().map_err(io::Error::other)?;
    std::fs::rename(&unfinished, path)
}

fn read(path: &Path) -> Option<Pcm> {
    let mut wav = hound::WavReader::open(path).ok()?;
    let fits = wav.spec().channels == 1 && wav.spec().sample_rate == RATE && wav.spec().bits_per_sample == 16;
    let samples: Vec<i16> = wav.samples().take(BYTES_MAX / 2).collect::<Result<_, _>>().ok()?;
    let bytes: Bytes = samples.into_iter().flat_map(i16::to_le_bytes).collect();
    (fits && !bytes.is_empty()).then_some(Pcm { rate: RATE, bytes })
}

fn read_all(dir: &Path) -> HashMap<String, State> {
    let paths = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let kept = paths.filter(|path| path.extension().is_some_and(|kind| kind == "wav")).filter_map(|path| {
        let key = path.file_stem()?.to_str()?.to_owned();
        Some((key, State::Kept { pcm: read(&path)?, used: Instant::now() }))
    });
    kept.take(KEPT_MAX).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
