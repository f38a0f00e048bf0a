//! The speech engine refuses, is away, breaks off, falls silent or sends garbage: the caller hears something each time.

use std::time::Duration;

use caly::sim::carrier::{CallReport, Outcome};
use caly::sim::engine::{EngineOptions, EngineServer, Faults, serve};
use serde_json::Value;

use crate::line::Line;
use crate::proxy::Proxy;
use crate::server::{PERSON, SOON, Server, Settings};
use crate::web::{self, until};

/// The caller only listens.
const LISTENER: &str = "name = \"listener\"\ntitle = \"listens\"\nexpect = \"transferred\"\n\
    [[step]]\nwait_end = true\ntimeout_ms = 40000\n";

async fn engine(faults: Faults) -> (EngineServer, String) {
    let engine = serve(EngineOptions { faults, ..EngineOptions::sandbox().unwrap() }).await.unwrap();
    let base = engine.url.trim_end_matches("/realtime").to_owned();
    (engine, base)
}

fn spoken(detail: &Value) -> Vec<&str> {
    let turns = detail["turns"].as_array().unwrap().iter();
    turns.filter(|turn| turn["speaker"] == "agent").map(|turn| turn["text"].as_str().unwrap()).collect()
}

/// The caller is told that something is wrong within seconds, and handed to a person.
async fn assert_handed_over(server: &Server, report: &CallReport) {
    assert!(report.ok, "{report:#?}");
    assert_eq!(report.outcome, Outcome::Transferred(PERSON.to_owned()));
    let first = report.first_audio.expect("the caller hears a sentence");
    assert!(first < Duration::from_secs(7), "silence for {first:?}");
    let detail = server.ended_call(&report.call_sid).await;
    assert!(!spoken(&detail).is_empty(), "what was said is on record: {detail:#}");
    assert_eq!(detail["call"]["after_stream"], "transfer");
    server.nothing_left(Duration::from_secs(5)).await;
}

#[actix_rt::test]
async fn an_engine_that_refuses_the_key_hands_the_caller_to_a_person() {
    let (_engine, base) = engine(Faults { refuse: Some(401), ..Faults::default() }).await;
    let server = Server::start(Settings::default().engine(&base)).await;
    let report = server.place(LISTENER).await;
    assert_handed_over(&server, &report).await;
    let first = report.first_audio.unwrap();
    assert!(first < Duration::from_secs(2), "a key does not get better by trying again: {first:?}");
    // A load balancer sends new calls elsewhere, and the operator is told what to do.
    let (ready, detail) = readiness(&server).await;
    assert!(ready == 503 && detail.contains("the engine refuses the key"), "{detail}");
    assert_eq!(alarm(&server).await, detail);
    assert!(server.metric("caly_engine_refuses").await >= 1.0);
    server.signal("HUP");
    until("the operator is believed", SOON, || async { (readiness(&server).await.0 == 200).then_some(()) }).await;
    assert_eq!(alarm(&server).await, "");
    assert!(server.metric("caly_engine_refuses").await < 1.0);
}

/// What is said to a load balancer, and why not.
async fn readiness(server: &Server) -> (u16, String) {
    let answer = web::get(&server.url("/health/ready")).await;
    let body: Value = serde_json::from_str(&answer.text()).unwrap();
    (answer.status, body["reasons"][0]["detail"].as_str().unwrap_or_default().to_owned())
}

/// What is said of the engine to who watches.
async fn alarm(server: &Server) -> String {
    let health: Value = serde_json::from_str(&web::get(&server.url("/health")).await.text()).unwrap();
    let alarms = health["alarms"].as_array().unwrap().iter();
    let mut told = alarms.filter(|alarm| alarm["what"] == "engine").map(|alarm| alarm["detail"].as_str().unwrap());
    told.next().unwrap_or_default().to_owned()
}

#[actix_rt::test]
async fn an_engine_that_is_away_hands_the_caller_to_a_person() {
    let closed = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let server = Server::start(Settings::default().engine(&format!("ws://127.0.0.1:{closed}/v1"))).await;
    let report = server.place(LISTENER).await;
    assert_handed_over(&server, &report).await;
}

#[actix_rt::test]
async fn calls_that_one_engine_fails_are_taken_by_the_other() {
    let (refusing, base) = engine(Faults { refuse: Some(401), ..Faults::default() }).await;
    let (other, other_base) = engine(Faults::default()).await;
    let settings = Settings::default()
        .engine(&base)
        .with("CALY__OPENAI__FALLBACK_BASE_URL", &other_base)
        .with("CALY__OPENAI__FALLBACK_KEY", "other-key");
    let server = Server::start(settings).await;
    let line = Line::call(&server, "fallback").await;
    line.agent_said(300, 0).await;
    line.ask("shop_hours").await;
    line.say("thanks_bye");
    assert_eq!(line.closed(SOON).await, Some(1000));
    let detail = server.ended_call(&line.sid).await;
    assert_eq!(detail["call"]["end_reason"], "agent_ended");
    let kinds: Vec<_> = detail["events"].as_array().unwrap().iter().map(|event| &event["kind"]).collect();
    assert!(kinds.iter().any(|kind| **kind == "engine_fell_back"), "{kinds:?}");
    assert_eq!((refusing.sessions(), other.sessions()), (0, 1));
    // Calls find an engine; that one of the two refuses is still to be known.
    assert_eq!(readiness(&server).await, (200, String::new()));
    assert!(alarm(&server).await.starts_with("the first engine refuses the key"), "{}", alarm(&server).await);
    assert_eq!(other.violations(), Vec::<String>::new());
}

/// One session goes wrong in the second answer; the caller asks again and is answered by the next session.
async fn one_bad_session(name: &str, faults: Faults, sessions: u64) {
    let (engine, base) = engine(Faults { sessions: Some(1), ..faults }).await;
    let server = Server::start(Settings::default().engine(&base)).await;
    let line = Line::call(&server, name).await;
    line.agent_said(300, 0).await;
    let before = line.sound_ms();
    line.say("order_where");
    until("the answer has begun", SOON, || async { (line.sound_ms() > before + 300).then_some(()) }).await;
    until("the engine is back", SOON * 2, || async { (engine.sessions() >= sessions).then_some(()) }).await;
    line.ask("shop_hours").await;
    assert!(!line.is_over());
    line.say("thanks_bye");
    assert_eq!(line.closed(SOON).await, Some(1000));
    let detail = server.ended_call(&line.sid).await;
    assert_eq!(detail["call"]["end_reason"], "agent_ended", "{name}");
    let greeted = spoken(&detail).iter().filter(|text| text.starts_with("Namaste")).count();
    assert_eq!(greeted, 1, "{name}: {:#?}", spoken(&detail));
    assert_eq!(engine.sessions(), sessions, "{name}");
    assert_eq!(engine.violations(), Vec::<String>::new(), "{name}");
    server.nothing_left(Duration::from_secs(5)).await;
}

#[actix_rt::test]
async fn a_session_that_drops_in_an_answer_is_replaced() {
    one_bad_session("drop", Faults { drop_on_turn: Some(2), ..Faults::default() }, 2).await;
}

#[actix_rt::test]
async fn a_session_that_falls_silent_in_an_answer_is_replaced() {
    one_bad_session("stall", Faults { stall_on_turn: Some(2), ..Faults::default() }, 2).await;
}

#[actix_rt::test]
async fn garbage_from_the_engine_does_not_cost_the_call() {
    let (engine, base) = engine(Faults { garbage_on_turn: Some(2), ..Faults::default() }).await;
    let server = Server::start(Settings::default().engine(&base)).await;
    let line = Line::call(&server, "garbage").await;
    line.agent_said(300, 0).await;
    line.ask("shop_hours").await;
    line.ask("want_callback").await;
    line.say("thanks_bye");
    assert_eq!(line.closed(SOON).await, Some(1000));
    assert_eq!(server.ended_call(&line.sid).await["call"]["end_reason"], "agent_ended");
    assert_eq!(engine.violations(), Vec::<String>::new());
}

#[actix_rt::test]
async fn a_session_at_its_end_is_renewed_and_an_empty_account_hands_over() {
    let fail_code = "insufficient_quota".to_owned();
    let spent = Faults { fail_on_turn: Some(2), fail_code, sessions: Some(1), ..Faults::default() };
    let (_engine, base) = engine(spent).await;
    let server = Server::start(Settings::default().engine(&base)).await;
    let line = Line::call(&server, "quota").await;
    line.agent_said(300, 0).await;
    line.say("shop_hours");
    assert_eq!(line.closed(SOON).await, Some(1000));
    let detail = server.ended_call(&line.sid).await;
    assert_eq!(detail["call"]["after_stream"], "transfer", "{:#}", detail["call"]);
    let (ready, why) = readiness(&server).await;
    assert!(ready == 503 && why.contains("no credit left"), "{why}");
    // A call that comes all the same tries, and shows that it was mended.
    let line = Line::call(&server, "topped-up").await;
    line.agent_said(300, 0).await;
    until("it works again", SOON, || async { (readiness(&server).await.0 == 200).then_some(()) }).await;
    line.hang_up();

    let (engine, base) = engine_with_short_sessions().await;
    let server = Server::start(Settings::default().engine(&base)).await;
    let line = Line::call(&server, "expire").await;
    line.agent_said(300, 0).await;
    until("the session is renewed", SOON, || async { (engine.sessions() >= 2).then_some(()) }).await;
    line.ask("shop_hours").await;
    line.hang_up();
    assert_eq!(server.ended_call(&line.sid).await["call"]["end_reason"], "caller_hung_up");
}

#[actix_rt::test]
async fn an_old_session_is_replaced_in_a_pause_by_one_that_is_open_and_nobody_hears_it() {
    let (engine, base) = engine(Faults::default()).await;
    let server = Server::start(Settings::default().engine(&base).with("CALY__CALLS__SESSION_AGE", "2s")).await;
    let line = Line::call(&server, "renewed").await;
    line.agent_said(300, 0).await;
    line.ask("shop_hours").await;
    let sessions = engine.sessions();
    until("another session", SOON, || async { (engine.sessions() > sessions).then_some(()) }).await;
    line.ask("want_callback").await;
    line.hang_up();
    let detail = server.ended_call(&line.sid).await;
    let kinds: Vec<&str> =
        detail["events"].as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"engine_renewed") && !kinds.contains(&"engine_lost"), "{kinds:?}");
    let caller = detail["turns"].as_array().unwrap().iter().filter(|turn| turn["speaker"] == "caller").count();
    assert_eq!((caller, spoken(&detail).len()), (2, 3), "{:#?}", detail["turns"]);
    assert_eq!(engine.violations(), Vec::<String>::new());
    server.nothing_left(Duration::from_secs(5)).await;
}

async fn engine_with_short_sessions() -> (EngineServer, String) {
    engine(Faults { max_session: Some(Duration::from_secs(5)), sessions: Some(1), ..Faults::default() }).await
}

#[actix_rt::test]
async fn a_question_that_falls_into_a_broken_session_is_answered_without_being_asked_again() {
    let (engine, _) = engine(Faults::default()).await;
    let proxy = Proxy::start(engine.address).unwrap();
    let server = Server::start(Settings::default().engine(&format!("ws://{}/v1", proxy.address()))).await;
    let line = Line::call(&server, "askedonce").await;
    line.agent_said(300, 0).await;
    line.ask("shop_hours").await;
    let before = line.sound_ms();
    line.say_until("shop_hours", 600).await;
    proxy.cut();
    line.agent_said(300, before).await;
    line.say("thanks_bye");
    assert_eq!(line.closed(SOON).await, Some(1000));
    let detail = server.ended_call(&line.sid).await;
    let said: Vec<_> =
        detail["turns"].as_array().unwrap().iter().map(|turn| (&turn["speaker"], &turn["text"])).collect();
    let asked = said.iter().filter(|(_, text)| **text == "dukaan kab khulti hai").count();
    let answered = said.iter().filter(|(_, text)| text.as_str().unwrap().starts_with("Samay ki jaankari")).count();
    assert_eq!((asked, answered), (2, 2), "{said:#?}");
    let again = detail["events"].as_array().unwrap().iter().find(|event| event["kind"] == "caller_heard_again");
    assert!(again.is_some_and(|event| event["detail"]["ms"].as_u64() > Some(500)), "{:#}", detail["events"]);
    assert_eq!((engine.sessions(), engine.violations()), (2, Vec::new()));
}
