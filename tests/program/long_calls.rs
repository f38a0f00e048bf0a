//! Calls that are longer than the engine's session can hold: what was said first is known at the end.

use std::sync::Arc;

use caly::sim::engine::{EngineOptions, EngineServer, Faults, Recall, Script, serve};
use serde_json::{Value, json};

use crate::line::Line;
use crate::server::{Server, Settings};

/// Tokens of the engine's sessions: instructions and tools take 740, an exchange 70.
const WINDOW: u64 = 1_800;

async fn start(faults: Faults) -> (EngineServer, Server) {
    let mut script = Script::built_in().unwrap();
    script.recalls.push(Recall { when: vec!["the keys 7".into()], of: "1001".into() });
    let options =
        EngineOptions { script: Arc::new(script), window: Some(WINDOW), faults, ..EngineOptions::sandbox().unwrap() };
    let engine = serve(options).await.unwrap();
    let settings = Settings::default()
        .engine(engine.url.trim_end_matches("/realtime"))
        .with("CALY__OPENAI__CONTEXT_TOKENS", WINDOW.to_string())
        .with("CALY__CALLS__SUMMARY_KEEPS", "1");
    let server = Server::start(settings).await;
    (engine, server)
}

/// The caller tells an order number, talks of other things until that had to make way, and asks for it by a key.
async fn talk(server: &Server, name: &str) -> Value {
    let line = Line::call(server, name).await;
    line.agent_said(300, 0).await;
    line.ask("order_number").await;
    let mut asked = 0;
    while server.metric("caly_context_shortened_total").await < 1.0 {
        assert!(asked < 12, "nothing made way");
        asked += 1;
        line.ask("shop_hours").await;
    }
    let before = line.sound_ms();
    for digit in ["7", "#"] {
        line.send_json(&json!({"event": "dtmf", "stream_sid": line.stream, "sequence_number": "3",
            "dtmf": {"digit": digit, "duration": "100"}}));
    }
    line.agent_said(300, before).await;
    line.hang_up();
    server.ended_call(&line.sid).await
}

fn events<'a>(detail: &'a Value, kind: &str) -> Vec<&'a Value> {
    detail["events"].as_array().unwrap().iter().filter(|event| event["kind"] == kind).collect()
}

fn last_words(detail: &Value) -> &str {
    let agent = detail["turns"].as_array().unwrap().iter().rev().find(|turn| turn["speaker"] == "agent").unwrap();
    agent["text"].as_str().unwrap()
}

fn assert_no_complaints(engine: &EngineServer) {
    assert_eq!(engine.violations(), Vec::<String>::new());
    assert!(engine.races().iter().all(|race| !race.contains("active_response")), "{:?}", engine.races());
    assert_eq!(engine.sessions(), 1, "no session was replaced for it");
}

#[actix_rt::test]
async fn what_was_said_before_the_session_was_full_is_known_after_it() {
    let (engine, server) = start(Faults::default()).await;
    let detail = talk(&server, "long").await;
    assert_no_complaints(&engine);
    let shortened = events(&detail, "context_shortened");
    assert!(shortened.iter().all(|event| event["detail"]["summary"] == true), "{shortened:#?}");
    let words = last_words(&detail);
    assert!(words.starts_with("I remember") && words.ends_with("1001"), "{words}\n{:#?}", detail["events"]);
    assert_eq!(server.metric("caly_summaries_total").await, shortened.len() as f64);
}

#[actix_rt::test]
async fn an_engine_that_writes_no_summaries_goes_on_with_what_is_left() {
    let (engine, server) = start(Faults { fail_asides: 99, ..Faults::default() }).await;
    let detail = talk(&server, "bare").await;
    assert_no_complaints(&engine);
    assert_eq!(events(&detail, "summary_failed").len(), 1, "asked again later, not at once: {:#?}", detail["events"]);
    assert!(events(&detail, "context_shortened").iter().all(|event| event["detail"]["summary"] == false));
    // The number itself needs no summary: it is kept as what the caller named.
    let words = last_words(&detail);
    assert!(words.starts_with("I remember") && words.ends_with("1001"), "{words}\n{:#?}", detail["events"]);
}
