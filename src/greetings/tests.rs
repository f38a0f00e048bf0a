//! What is made in advance, kept, and made again, with an engine that says one sentence.

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
    fn open(&self, _: EngineSpec, lanes: EngineLanes) -> LocalBoxFuture<'static, Result<EngineSession, EngineError>> {
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

async fn waited(greetings: &VoicedSentences, agent: &Arc<Agent>) -> Option<Pcm> {
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
        VoicedSentences::start(dir.path().join("greetings"), "m", engine.clone(), EngineAudio::ALaw)
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
    let greetings = VoicedSentences::start(dir.path().to_owned(), "m", engine.clone(), EngineAudio::ALaw);
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
    let long_ago = Instant::now() - IN_USE;
    greetings.states().insert("0".to_owned(), State::Kept { pcm: sound, used: long_ago });
    assert!(greetings.make_ahead(&agent("Namaste sabko")), "one is not in use any more");
}

#[actix_rt::test]
async fn what_the_engine_makes_up_is_not_kept_and_not_asked_for_again_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Arc::new(Says("Something quite different today", 0.into()));
    let greetings = VoicedSentences::start(dir.path().to_owned(), "m", engine.clone(), EngineAudio::ALaw);
    let namaste = agent("Namaste ji");
    assert_eq!(waited(&greetings, &namaste).await, None);
    assert_eq!(engine.1.load(std::sync::atomic::Ordering::SeqCst), 1);
    assert!(matches!(greetings.states().values().next(), Some(State::Failed { .. })));
}

#[actix_rt::test]
async fn what_was_made_is_told_by_voice_and_words_and_is_not_missing() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Arc::new(Says("Namaste ji", 0.into()));
    let sounds = VoicedSentences::start(dir.path().to_owned(), "m", engine.clone(), EngineAudio::ALaw);
    let namaste = agent("Namaste ji");
    assert!(sounds.is_missing(&namaste.voice, "Namaste ji") && sounds.make_ahead(&namaste));
    assert!(!sounds.is_missing(&namaste.voice, "Namaste ji"), "it is being made");
    let pcm = waited(&sounds, &namaste).await;
    assert_eq!(sounds.made(&namaste.voice, "Namaste ji"), pcm);
    assert_eq!((sounds.made("another", "Namaste ji"), sounds.made(&namaste.voice, "Alvida")), (None, None));
    assert!(sounds.is_missing("another", "Namaste ji") && !sounds.is_missing(&namaste.voice, "Namaste ji"));
}

#[actix_rt::test]
async fn a_greeting_of_25_s_is_kept_and_one_of_45_s_is_asked_of_the_engine_once() {
    let dir = tempfile::tempdir().unwrap();
    let start = |engine: &Arc<Says>| VoicedSentences::start(dir.path().into(), "m", engine.clone(), EngineAudio::ALaw);
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
