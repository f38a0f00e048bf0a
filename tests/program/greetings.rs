//! Greetings that were made before the call: heard as soon as the stream is up, in every later call.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::line::{Line, sid};
use crate::server::{SOON, Server, Settings};
use crate::web::{get, open, until};

const NOTICE: &str = "Aap ek machine se baat kar rahe hain.";

/// The agent of the demo client greets like this from the next call on.
async fn publish(server: &Server) {
    let agent =
        json!({"instructions": "Be brief.", "greeting": "Namaste ji.", "disclosure": NOTICE, "language": "hi-Latn"});
    let file = server.directory.path().join("greets.json");
    std::fs::write(&file, agent.to_string()).unwrap();
    server.cli_json(&["client", "agent", "demo", file.to_str().unwrap(), "--json"]).await;
    server.signal("HUP");
}

fn kept(server: &Server) -> usize {
    kept_in(server, "greetings")
}

fn kept_in(server: &Server, place: &str) -> usize {
    let files = std::fs::read_dir(server.directory.path().join("data").join(place));
    files.map_or(0, |files| files.flatten().filter(|file| file.path().extension().is_some_and(|e| e == "wav")).count())
}

/// A call until its greeting is heard; how long after the stream's start its first sound came.
async fn greeted(server: &Server, name: &str) -> (Line, Duration) {
    let sid = sid(name);
    let socket = open(&server.media_url(&sid).await, &[]).await.unwrap();
    let line = Line::on(socket, &sid).await;
    let begun = Instant::now();
    until("the first sound", SOON, || async { (line.sound_ms() > 0).then_some(()) }).await;
    let first = begun.elapsed();
    line.agent_said(300, 0).await;
    (line, first)
}

fn kinds(detail: &Value) -> Vec<&str> {
    detail["events"].as_array().unwrap().iter().filter_map(|event| event["kind"].as_str()).collect()
}

#[actix_rt::test]
async fn a_greeting_is_made_once_and_then_heard_at_once_with_what_every_caller_must_be_told() {
    let mut server = Server::start(Settings::default().with("CALY__ENGINE__STORE_GREETINGS", "true")).await;
    until("the greeting of the agent that was there is kept", SOON, || async { (kept(&server) == 1).then_some(()) })
        .await;
    publish(&server).await;
    // Nobody has rung yet.
    until("the new greeting is kept", SOON, || async { (kept(&server) == 2).then_some(()) }).await;
    let (first, after) = greeted(&server, "first").await;
    assert!(after < Duration::from_millis(500), "heard after {after:?}");
    first.ask("shop_hours").await;
    first.hang_up();
    let detail = server.ended_call(&first.sid).await;
    let greeting = &detail["turns"][0];
    assert_eq!((&greeting["speaker"], &greeting["text"]), (&"agent".into(), &format!("Namaste ji. {NOTICE}").into()));
    assert!(kinds(&detail).contains(&"notices_heard"), "{:?}", kinds(&detail));
    // Another process has it too.
    let before = kept(&server);
    server.kill();
    server.run().await;
    server.ready().await;
    server.hooks.key = server.sandbox()["key"].as_str().unwrap().to_owned();
    let (second, after) = greeted(&server, "second").await;
    assert!(after < Duration::from_millis(500), "heard after {after:?}");
    second.hang_up();
    server.ended_call(&second.sid).await;
    assert_eq!(kept(&server), before, "made once");
    // What is said without an engine was made in the agent's voice as well.
    until("phrases are kept", SOON, || async { (kept_in(&server, "phrases") >= 12).then_some(()) }).await;
    server.nothing_left(SOON).await;
}

#[actix_rt::test]
async fn the_sandbox_rings_somebody_up() {
    let server = Server::start(Settings::default()).await;
    let report = server.cli_json(&["call", "--outbound", "--scenario", "rung_up", "--json"]).await;
    assert!(report["ok"] == true, "{report:#}");
    let detail = server.ended_call(report["call_sid"].as_str().unwrap()).await;
    assert_eq!(detail["call"]["direction"], "outbound");
    let turns: Vec<(&str, &str)> = detail["turns"].as_array().unwrap()[..2]
        .iter()
        .map(|turn| (turn["speaker"].as_str().unwrap(), turn["text"].as_str().unwrap()))
        .collect();
    assert!(
        matches!(turns[..], [("caller", "haan ji"), ("agent", greeting)] if greeting.starts_with("Namaste")),
        "{turns:?}"
    );
    server.nothing_left(SOON).await;
}

#[actix_rt::test]
async fn who_is_rung_up_is_greeted_once_they_have_said_hello() {
    let server = Server::start(Settings::default().with("CALY__ENGINE__STORE_GREETINGS", "true")).await;
    until("the greeting that was there is kept", SOON, || async { (kept(&server) == 1).then_some(()) }).await;
    let agent = json!({"instructions": "Be brief.", "greeting": "Namaste ji.", "language": "hi-Latn",
        "limits": {"hello_s": 15}});
    let file = server.directory.path().join("rings.json");
    std::fs::write(&file, agent.to_string()).unwrap();
    server.cli_json(&["client", "agent", "demo", file.to_str().unwrap(), "--json"]).await;
    server.signal("HUP");
    until("both greetings are kept", SOON, || async { (kept(&server) == 2).then_some(()) }).await;
    let sid = sid("rung-up");
    let start = server.start_url(&sid).replace("Direction=incoming", "Direction=outbound-dial");
    let answer = get(&start).await;
    let socket = open(answer.json()["url"].as_str().unwrap(), &[]).await.unwrap();
    let line = Line::on(socket, &sid).await;
    line.ask("yes").await;
    line.ask("shop_hours").await;
    line.hang_up();
    let detail = server.ended_call(&sid).await;
    assert_eq!(detail["call"]["direction"], "outbound");
    let turns: Vec<&str> =
        detail["turns"].as_array().unwrap().iter().filter_map(|turn| turn["speaker"].as_str()).collect();
    assert_eq!(turns[..4], ["caller", "agent", "caller", "agent"], "{detail}");
    let of = |n: usize, key: &str| detail["turns"][n][key].clone();
    assert_eq!(of(1, "text"), "Namaste ji.");
    assert!(of(1, "started_ms").as_u64() > of(0, "ended_ms").as_u64(), "not over the hello: {detail}");
    assert!(kinds(&detail).contains(&"hello"), "{:?}", kinds(&detail));
    server.nothing_left(SOON).await;
}
