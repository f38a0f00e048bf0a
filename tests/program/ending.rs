//! How the process ends: politely or impatiently. Killed: see restart.rs.

use std::time::{Duration, Instant};

use awc::http::Method;
use futures_util::future::join_all;

use serde_json::json;

use crate::line::{Line, sid, start_message};
use crate::raw::{self, Raw};
use crate::server::{SOON, Server, Settings};
use crate::web::{self, until};

pub async fn five_calls(server: &Server) -> Vec<Line> {
    let lines = join_all((0..5).map(|_| Line::call(server, "five"))).await;
    join_all(lines.iter().map(|line| line.agent_said(300, 0))).await;
    lines
}

#[actix_rt::test]
async fn sigterm_lets_calls_finish_and_admits_no_more() {
    let mut server = Server::start(Settings::default()).await;
    let lines = five_calls(&server).await;
    server.admin_key().await;
    server.signal("TERM");
    let told = Instant::now();
    let refused = until("new calls are refused", SOON, || async {
        Some(server.call_start(&sid("new")).await).filter(|answer| answer.status != 200)
    })
    .await;
    refused.problem(503);
    assert!(!refused.header("retry-after").is_empty());
    assert!(told.elapsed() < Duration::from_secs(1), "{:?}", told.elapsed());
    let readiness = web::get(&server.url("/health/ready")).await;
    assert_eq!(readiness.status, 503);
    assert!(readiness.text().contains("draining"), "{}", readiness.text());
    assert_eq!(web::get(&server.url("/health/live")).await.status, 200);
    join_all(lines.iter().map(|line| line.ask("shop_hours"))).await;
    assert!(server.is_running());
    for line in &lines {
        line.hang_up();
    }
    let status = server.exit(SOON).await;
    assert_eq!(status.code(), Some(0), "{status}");
    // What was written lies in the database for the next process.
    server.run().await;
    server.ready().await;
    for line in &lines {
        assert_eq!(server.ended_call(&line.sid).await["call"]["end_reason"], "caller_hung_up");
    }
}

#[actix_rt::test]
async fn past_the_grace_period_calls_are_ended_with_a_sentence() {
    let mut server = Server::start(Settings::default().with("CALY__SERVER__DRAIN_GRACE", "1s")).await;
    let lines = five_calls(&server).await;
    let before: Vec<u64> = lines.iter().map(Line::sound_ms).collect();
    server.signal("TERM");
    for (line, before) in lines.iter().zip(before) {
        assert_eq!(line.closed(SOON).await, Some(1000));
        assert!(line.sound_ms() > before + 500, "a sentence is said first");
    }
    let status = server.exit(SOON).await;
    assert_eq!(status.code(), Some(0), "{status}");
    server.run().await;
    server.ready().await;
    for line in &lines {
        assert_eq!(server.ended_call(&line.sid).await["call"]["end_reason"], "drained");
    }
}

#[actix_rt::test]
async fn a_second_signal_ends_at_once_and_says_so() {
    let mut server = Server::start(Settings::default()).await;
    let line = Line::call(&server, "twice").await;
    line.agent_said(300, 0).await;
    server.signal("TERM");
    until("draining", SOON, || async {
        let health = web::get(&server.url("/health")).await.json();
        (health["draining"] == true).then_some(())
    })
    .await;
    let begun = Instant::now();
    server.signal("INT");
    assert_eq!(server.exit(SOON).await.code(), Some(1));
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
}

#[actix_rt::test]
async fn a_carrier_that_leaves_its_connection_open_does_not_hold_the_end_up() {
    let mut server = Server::start(Settings::default()).await;
    let sid = sid("open");
    let (url, port) = (server.media_url(&sid).await, server.port);
    let opened = tokio::task::spawn_blocking(move || Raw::upgraded(port, &url)).await.unwrap();
    let mut socket = opened;
    socket.send(&raw::text(&start_message(&sid, "s1", "8000").to_string()));
    until("the call is up", SOON, || async { (server.metric("caly_media_sockets").await > 0.0).then_some(()) }).await;
    server.signal("TERM");
    until("it drains", SOON, || async { (web::get(&server.url("/health/ready")).await.status == 503).then_some(()) })
        .await;
    socket.send(&raw::text(&json!({"event": "stop", "stop": {"reason": "callended"}}).to_string()));
    let last = Instant::now();
    let status = server.exit(SOON).await;
    assert!(status.success() && last.elapsed() < Duration::from_secs(1), "{status} after {:?}", last.elapsed());
}

#[actix_rt::test]
async fn an_operator_ends_a_call() {
    let server = Server::start(Settings::default()).await;
    let line = Line::call(&server, "steer").await;
    line.agent_said(300, 0).await;
    let id = server.rows_of(&line.sid).await[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/calls/{id}/hangup");
    web::request(Method::POST, &server.url(&path), &[], "").await.problem(401);
    assert_eq!(server.ask(Method::POST, &path).await.status, 202);
    line.closed(SOON).await;
    assert_eq!(server.ended_call(&line.sid).await["call"]["end_reason"], "operator_hung_up");
    server.ask(Method::POST, &path).await.problem(409);
    server.nothing_left(Duration::from_secs(5)).await;
}
