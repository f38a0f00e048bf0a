//! What the recogniser is told, model by model, and what becomes of it when a service refuses.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use caly_actors::domain::{Agent, Language};
use caly_actors::ports::{Engine as _, EngineCommand, EngineEvent, EngineSpec};
use caly_actors::understand::own::Products;
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::server::serve;
use super::{agent, fixture, lanes, options, spec};
use crate::engines::openai::OpenAi;
use crate::engines::openai::transcription::Transcription;

fn shop(languages: &[Language]) -> Arc<Agent> {
    let products = Products::new(["Rose bouquet", "Jasmine  garland"].into_iter()).of_client("Chai & Co");
    let language = languages.first().copied().unwrap_or(Language::Hinglish);
    Arc::new(Agent { products: Arc::new(products), language, languages: languages.to_vec(), ..agent() })
}

fn transcription(model: Option<&str>, fixed: Option<&str>, agent: &Arc<Agent>) -> Transcription {
    let mut options = options("https://a.example");
    options.transcription_model = model.map(str::to_owned);
    options.transcription_language = fixed.map(str::to_owned);
    Transcription::new(&options, agent, &Arc::default())
}

/// The model, the operator's language, the agent's, what the caller was heard to speak, and what is sent.
type Row = (Option<&'static str>, Option<&'static str>, &'static [Language], Option<Language>, Value);

#[test]
fn each_model_is_told_what_it_takes_and_no_more() {
    use Language::{English, Hindi, Hinglish};
    let names = "Rose bouquet, Jasmine garland";
    let unknown = format!("Chai & Co. {names}");
    let english = format!("A phone call to Chai & Co. {names}");
    let hindi = format!("Chai & Co को फ़ोन कॉल। {names}");
    let mixed = format!("Chai & Co ko phone call hai. {names}");
    let mini = "gpt-4o-mini-transcribe";
    let table: [Row; 16] = [
        (None, Some("hi"), &[], Some(Hindi), Value::Null),
        (Some(mini), None, &[], None, json!({"model": mini, "prompt": unknown})),
        (Some(mini), None, &[], Some(English), json!({"model": mini, "language": "en", "prompt": english})),
        (Some(mini), None, &[], Some(Hindi), json!({"model": mini, "language": "hi", "prompt": hindi})),
        (Some(mini), None, &[], Some(Hinglish), json!({"model": mini, "prompt": mixed})),
        (Some(mini), None, &[English], None, json!({"model": mini, "language": "en", "prompt": unknown})),
        (Some(mini), None, &[English, Hindi], None, json!({"model": mini, "prompt": unknown})),
        (Some(mini), Some("ta"), &[], Some(English), json!({"model": mini, "language": "ta", "prompt": english})),
        (Some("whisper-1"), None, &[], Some(Hindi), json!({"model": "whisper-1", "language": "hi", "prompt": hindi})),
        (
            Some("gpt-realtime-whisper"),
            None,
            &[],
            Some(Hindi),
            json!({"model": "gpt-realtime-whisper", "language": "hi"}),
        ),
        (Some("gpt-realtime-whisper"), None, &[], Some(Hinglish), json!({"model": "gpt-realtime-whisper"})),
        (
            Some("gpt-4o-transcribe-diarize"),
            None,
            &[],
            Some(English),
            json!({"model": "gpt-4o-transcribe-diarize", "language": "en"}),
        ),
        (
            Some("gpt-transcribe"),
            None,
            &[],
            Some(English),
            json!({"model": "gpt-transcribe", "languages": ["en", "hi"], "prompt": english}),
        ),
        (
            Some("gpt-live-transcribe"),
            None,
            &[],
            None,
            json!({"model": "gpt-live-transcribe", "languages": ["hi", "en"], "prompt": unknown}),
        ),
        (
            Some("gpt-transcribe"),
            None,
            &[English],
            Some(English),
            json!({"model": "gpt-transcribe", "languages": ["en"], "prompt": english}),
        ),
        (
            Some("somebodys-model"),
            Some("hi"),
            &[],
            Some(English),
            json!({"model": "somebodys-model", "language": "hi"}),
        ),
    ];
    for (model, fixed, languages, language, expected) in table {
        let wire = transcription(model, fixed, &shop(languages)).wire(language);
        assert_eq!(wire, expected, "{model:?} {fixed:?} {languages:?} {language:?}");
    }
}

#[test]
fn a_prompt_is_bounded_and_cut_between_names() {
    let names: Vec<String> = (0..500).map(|n| format!("product number {n}")).collect();
    let products = Products::new(names.iter().map(String::as_str)).of_client(&"shop ".repeat(10));
    let agent = Arc::new(Agent { products: Arc::new(products), ..agent() });
    let wire = transcription(Some("whisper-1"), None, &agent).wire(Some(Language::English));
    let prompt = wire["prompt"].as_str().expect("a prompt");
    assert!((380..=400).contains(&prompt.chars().count()), "{prompt}");
    assert!(
        prompt.ends_with(|c: char| c.is_ascii_digit()) && prompt.contains(". product number 0, product"),
        "{prompt}"
    );
    let long = Products::default().of_client(&"क".repeat(3000));
    let agent = Arc::new(Agent { products: Arc::new(long), ..(*agent).clone() });
    let wire = transcription(Some("whisper-1"), None, &agent).wire(None);
    assert_eq!(wire["prompt"].as_str().map(|prompt| prompt.chars().count()), Some(400));
}

#[test]
fn an_update_tells_only_what_is_new() {
    let update = |told: &mut Transcription, language| told.update(language).map(|text| parsed(&text));
    let mut told = transcription(Some("gpt-4o-mini-transcribe"), None, &shop(&[]));
    let _ = told.wire(None);
    assert_eq!(update(&mut told, None), None);
    let english = update(&mut told, Some(Language::English)).expect("an update");
    let wire = json!({"model": "gpt-4o-mini-transcribe", "language": "en",
        "prompt": "A phone call to Chai & Co. Rose bouquet, Jasmine garland"});
    let session = json!({"type": "realtime", "audio": {"input": {"transcription": wire}}});
    assert_eq!(english, json!({"type": "session.update", "event_id": "caller_speaks", "session": session}));
    assert_eq!(update(&mut told, Some(Language::English)), None);
    assert!(update(&mut told, None).is_some());
    // Whom a fixed language and no prompt leave nothing to say.
    let mut told = transcription(Some("gpt-realtime-whisper"), Some("hi"), &shop(&[]));
    let _ = told.wire(None);
    assert_eq!(update(&mut told, Some(Language::English)), None);
}

#[test]
fn a_prompt_said_back_is_no_transcript() {
    let mut told = transcription(Some("whisper-1"), None, &shop(&[]));
    let _ = told.wire(None);
    assert!(told.is_echo(" Chai & Co. Rose bouquet, Jasmine garland "));
    assert!(!told.is_echo("Rose bouquet") && !told.is_echo(""));
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("valid JSON")
}

fn of_shop(language: Option<Language>) -> EngineSpec {
    EngineSpec { agent: shop(&[]), language, ..spec() }
}

const REFUSAL: &str = r#"{"type":"error","error":{"type":"invalid_request_error","code":"unknown_parameter","message":"no hints","param":null}}"#;

#[actix_rt::test]
async fn a_service_that_refuses_hints_is_opened_without_them_and_never_told_again() {
    let (base, server) = serve(|mut peer| async move {
        peer.upgrade().await;
        peer.say(fixture!("session.created")).await;
        let first = peer.hear().await.expect("session.update");
        peer.say(REFUSAL).await;
        let second = peer.hear().await.expect("another");
        peer.say(fixture!("session.updated")).await;
        let next = peer.hear().await.expect("a command");
        (first, second, next)
    })
    .await;
    let engine = OpenAi::new(options(&base)).expect("options that work");
    let (_caller, _agent, lanes) = lanes();
    let session = engine.open(of_shop(Some(Language::English)), lanes).await.expect("a session");
    session.commands.push(EngineCommand::CallerSpeaks(Some(Language::Hindi)));
    session.commands.push(EngineCommand::CancelResponse);
    let (first, second, next) = server.await.expect("the server");
    let told = |update: &Value| update["session"]["audio"]["input"]["transcription"].clone();
    assert_eq!(told(&first)["language"], "en");
    assert_eq!(told(&second), json!({"model": "gpt-4o-mini-transcribe"}));
    assert_eq!(next["type"], "response.cancel", "it is not told again");
    let mut later = Transcription::new(&options(&base), &shop(&[]), &engine.shared.hints_refused);
    assert_eq!(
        later.wire(Some(Language::English)),
        json!({"model": "gpt-4o-mini-transcribe"}),
        "nor are later sessions"
    );
}

#[actix_rt::test]
async fn an_update_that_is_refused_costs_nothing_and_is_not_sent_again() {
    let refusals = [
        r#"{"type":"error","error":{"type":"invalid_request_error","code":"x","message":"m","event_id":"caller_speaks"}}"#,
        r#"{"type":"error","error":{"type":"invalid_request_error","code":"x","message":"m","param":"session.audio.input.transcription.language"}}"#,
    ];
    for refusal in refusals {
        let (base, server) = serve(move |mut peer| async move {
            peer.hand_shake().await;
            let update = peer.hear().await.expect("an update");
            peer.say(refusal).await;
            (update, peer.hear().await.expect("a command"))
        })
        .await;
        let engine = OpenAi::new(options(&base)).expect("options that work");
        let (_caller, _agent, lanes) = lanes();
        let mut session = engine.open(of_shop(None), lanes).await.expect("a session");
        assert_eq!(session.events.next().await, Some(EngineEvent::Ready));
        session.commands.push(EngineCommand::CallerSpeaks(Some(Language::English)));
        assert!(matches!(session.events.next().await, Some(EngineEvent::Warned(_))));
        session.commands.push(EngineCommand::CallerSpeaks(Some(Language::Hindi)));
        session.commands.push(EngineCommand::CancelResponse);
        let (update, next) = server.await.expect("the server");
        assert_eq!(update["session"]["audio"]["input"]["transcription"]["language"], "en");
        assert_eq!(next["type"], "response.cancel");
    }
}

#[actix_rt::test]
async fn a_service_that_refuses_everything_else_too_is_still_asked_for_hints_later() {
    let (base, _server) = serve(|mut peer| async move {
        peer.upgrade().await;
        peer.say(fixture!("session.created")).await;
        while peer.hear().await.is_some() {
            peer.say(REFUSAL).await;
        }
    })
    .await;
    let engine = OpenAi::new(options(&base)).expect("options that work");
    let (_caller, _agent, lanes) = lanes();
    let opened = tokio::time::timeout(Duration::from_secs(10), engine.open(of_shop(None), lanes)).await;
    assert!(opened.expect("an answer").is_err_and(|error| !error.is_retryable()));
    assert!(!engine.shared.hints_refused.load(Ordering::Relaxed));
}

#[actix_rt::test]
async fn how_far_the_engine_was_behind_is_told_with_the_end_of_speech() {
    let (base, server) = serve(|mut peer| async move {
        peer.hand_shake().await;
        let _ = peer.hear().await.expect("audio");
        peer.say(r#"{"type":"input_audio_buffer.speech_stopped","audio_end_ms":60,"item_id":"u"}"#).await;
        peer.hear().await;
    })
    .await;
    let (caller, _agent, lanes) = lanes();
    let engine = OpenAi::new(options(&base)).expect("options that work");
    let mut session = engine.open(spec(), lanes).await.expect("a session");
    assert_eq!(session.events.next().await, Some(EngineEvent::Ready));
    caller.push(bytes::Bytes::from(vec![0; 100 * 48]));
    let expected = EngineEvent::SpeechStopped { item: "u".into(), at_ms: 60, behind: Duration::from_millis(40) };
    assert_eq!(session.events.next().await, Some(expected));
    drop(session);
    server.await.expect("the server");
}
