//! Greetings in the agents' own voices: made once through the engine, kept on disk, heard at once by every later caller.
//!
//! What is kept is the sound of a text in a voice of a model; another text, voice or model is another greeting. One that is
//! the same for every caller is made as soon as its agent is in use, before anybody rings; another, that two calls have
//! missed, is made beside the second. One at a time, bounded in number and length. Knows no calls.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

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

use crate::directory::{Directory, Snapshot};

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
/// How often it is looked which agents are in use.
const ROUND: Duration = Duration::from_secs(5);
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

/// The greetings of a process.
pub struct StoredGreetings {
    dir: PathBuf,
    model: String,
    states: Mutex<HashMap<String, State>>,
    wishes: mpsc::Sender<Arc<Agent>>,
}

impl StoredGreetings {
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

    fn key(&self, agent: &Agent) -> Option<String> {
        let text = agent.greeting.as_deref().filter(|text| !text.trim().is_empty())?;
        let whole = [&self.model, &*agent.voice, text].join("\0");
        let digest = ring::digest::digest(&ring::digest::SHA256, whole.as_bytes());
        Some(digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
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

    /// Has the greetings of all agents in use made for as long as the process lives, so that the first caller hears them
    /// at once too.
    pub async fn keep_ready(self: Arc<Self>, directory: Directory) {
        loop {
            if let Some(snapshot) = directory.get() {
                self.round(&snapshot);
            }
            tokio::time::sleep(ROUND).await;
        }
    }

    fn round(&self, snapshot: &Snapshot) {
        for client in snapshot.clients().filter(|client| !client.row.disabled) {
            if let Some(agent) = client.agent_for_anybody(SystemTime::now())
                && !self.make_ahead(&agent)
            {
                break;
            }
        }
    }

    /// Wishes for a greeting that no call has missed yet; whether there is room for more of them.
    fn make_ahead(&self, agent: &Arc<Agent>) -> bool {
        let Some(key) = self.key(agent) else { return true };
        let mut states = self.states();
        match states.get(&key) {
            Some(State::Kept { .. } | State::Wanted | State::TooLong) => return true,
            Some(State::Failed { not_before }) if Instant::now() < *not_before => return true,
            Some(State::Missed | State::Failed { .. }) | None => {}
        }
        let count = |counted: fn(&State) -> bool| states.values().filter(|state| counted(state)).count();
        let wanted = count(|state| matches!(state, State::Wanted));
        let kept = count(|state| matches!(state, State::Kept { .. }));
        // What is kept is in use: it does not go for a greeting that nobody has asked for.
        if wanted >= AHEAD || kept + wanted >= KEPT_MAX || self.wishes.try_send(Arc::clone(agent)).is_err() {
            return false;
        }
        states.insert(key, State::Wanted);
        true
    }
}

impl Greetings for StoredGreetings {
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
    greetings: Arc<StoredGreetings>,
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
    let (call, agent) = (CallId::new(), Arc::clone(agent));
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
mod tests {
    use super::*;
    use caly_actors::audio::lane::LaneSender;
    use caly_actors::domain::{AgentId, CallLimits};
    use caly_actors::ports::{AgentAudio, EngineError, EngineSession};
    use futures_util::future::LocalBoxFuture;
    use serde_json::json;

    /// Says a sentence, whatever it is asked, and counts how often. One that begins so takes 25 s, and so 45 s.
    struct Says(&'static str, std::sync::atomic::AtomicUsize);
    const LONG: &str = "A long";
    const TOO_LONG: &str = "Too long";

    impl Engine for Says {
        fn open(
            &self,
            _: EngineSpec,
            lanes: EngineLanes,
        ) -> LocalBoxFuture<'static, Result<EngineSession, EngineError>> {
            self.1.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let words = self.0;
            Box::pin(async move {
                let (commands, mut asked) = lane(8);
                let (events, told): (LaneSender<EngineEvent>, _) = lane(32);
                actix_rt::spawn(async move {
                    events.push(EngineEvent::Ready);
                    let Some(EngineCommand::CreateResponse { .. }) = asked.next().await else { return };
                    let tenths = match words {
                        _ if words.starts_with(LONG) => 250,
                        _ if words.starts_with(TOO_LONG) => 450,
                        _ => 10,
                    };
                    for _ in 0..tenths {
                        let bytes = Bytes::from(vec![0xd5_u8; 800]);
                        lanes.agent.push(AgentAudio { response: "r".into(), item: "a".into(), bytes });
                    }
                    events.push(EngineEvent::AgentTranscript { item: "a".into(), text: words.into() });
                    events.push(EngineEvent::ResponseDone {
                        response: "r".into(),
                        outcome: ResponseOutcome::Completed,
                        usage: caly_actors::domain::Usage::default(),
                    });
                });
                Ok(EngineSession { commands, events: told.boxed_local() })
            })
        }
    }

    fn agent(greeting: &str) -> Arc<Agent> {
        let settings = json!({"greeting": greeting});
        Arc::new(crate::agents::read(AgentId::new(), 1, "a", &settings, &CallLimits::default()).unwrap())
    }

    async fn waited(greetings: &StoredGreetings, agent: &Arc<Agent>) -> Option<Pcm> {
        for _ in 0..200 {
            if let Some(pcm) = greetings.stored(agent) {
                return Some(pcm);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        None
    }

    #[actix_rt::test]
    async fn a_greeting_is_made_once_kept_over_a_restart_and_another_voice_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Arc::new(Says("Namaste ji!", 0.into()));
        let start = |engine: &Arc<Says>| {
            StoredGreetings::start(dir.path().join("greetings"), "m", engine.clone(), EngineAudio::ALaw)
        };
        let greetings = start(&engine);
        let namaste = agent("नमस्ते जी");
        assert_eq!(greetings.stored(&namaste), None, "not there yet");
        assert!(matches!(greetings.states().values().next(), Some(State::Missed)), "once is not worth it");
        let pcm = waited(&greetings, &namaste).await.unwrap();
        assert_eq!(pcm.duration(), Duration::from_secs(1));
        assert_eq!(engine.1.load(std::sync::atomic::Ordering::SeqCst), 1);
        let again = start(&engine);
        assert_eq!(again.stored(&namaste), Some(pcm));
        let other = Arc::new(Agent { voice: "cedar".into(), ..(*namaste).clone() });
        assert_eq!(again.stored(&other), None);
        assert_eq!(again.stored(&agent("")), None, "no greeting, no wish");
    }

    #[actix_rt::test]
    async fn greetings_are_made_before_anybody_rings_few_at_a_time_and_not_in_the_place_of_others() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Arc::new(Says("Namaste ji", 0.into()));
        let greetings = StoredGreetings::start(dir.path().to_owned(), "m", engine.clone(), EngineAudio::ALaw);
        let namaste = agent("Namaste ji");
        assert!(greetings.make_ahead(&namaste) && greetings.make_ahead(&namaste), "wished for once");
        let others = (1..AHEAD).filter(|n| greetings.make_ahead(&agent(&format!("Namaste {n}"))));
        assert_eq!(others.count(), AHEAD - 1);
        assert!(!greetings.make_ahead(&agent("Namaste sabko")), "the others are waited for");
        assert!(greetings.make_ahead(&agent("")), "no greeting, no wish");
        assert!(waited(&greetings, &namaste).await.is_some());
        // The engine does not say those it is asked for next: they are not asked for again at once.
        let failed = || greetings.states().values().filter(|state| matches!(state, State::Failed { .. })).count();
        while failed() < AHEAD - 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(greetings.make_ahead(&agent("Namaste 1")));
        assert_eq!(engine.1.load(std::sync::atomic::Ordering::SeqCst), AHEAD);
        let sound = greetings.stored(&namaste).unwrap();
        for n in 0..KEPT_MAX {
            greetings.keep(format!("{n}"), sound.clone());
        }
        assert!(!greetings.make_ahead(&agent("Namaste sabko")), "there is no room");
    }

    #[actix_rt::test]
    async fn what_the_engine_makes_up_is_not_kept_and_not_asked_for_again_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Arc::new(Says("Something quite different today", 0.into()));
        let greetings = StoredGreetings::start(dir.path().to_owned(), "m", engine.clone(), EngineAudio::ALaw);
        let namaste = agent("Namaste ji");
        assert_eq!(waited(&greetings, &namaste).await, None);
        assert_eq!(engine.1.load(std::sync::atomic::Ordering::SeqCst), 1);
        assert!(matches!(greetings.states().values().next(), Some(State::Failed { .. })));
    }

    #[actix_rt::test]
    async fn a_greeting_of_25_s_is_kept_and_one_of_45_s_is_asked_of_the_engine_once() {
        let dir = tempfile::tempdir().unwrap();
        let start =
            |engine: &Arc<Says>| StoredGreetings::start(dir.path().into(), "m", engine.clone(), EngineAudio::ALaw);
        let engine = Arc::new(Says("A long greeting", 0.into()));
        let kept = waited(&start(&engine), &agent("A long greeting")).await;
        assert_eq!(kept.map(|pcm| pcm.duration()), Some(Duration::from_secs(25)));
        let engine = Arc::new(Says("Too long a greeting", 0.into()));
        let greetings = start(&engine);
        let too_long = agent("Too long a greeting");
        assert_eq!(waited(&greetings, &too_long).await, None);
        assert!(matches!(
            greetings.states().values().find(|state| !matches!(state, State::Kept { .. })),
            Some(State::TooLong)
        ));
        assert!(greetings.make_ahead(&too_long), "nothing to be done");
        assert_eq!(greetings.stored(&too_long), None);
        assert_eq!(engine.1.load(std::sync::atomic::Ordering::SeqCst), 1);
    }
}
