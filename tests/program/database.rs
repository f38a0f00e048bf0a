//! The database is away: at the start, and in the middle of a call.

use awc::http::Method;
use serde_json::Value;

use crate::line::{Line, sid};
use crate::server::{Database, SOON, Server, Settings};
use crate::web::{self, until};

#[actix_rt::test]
async fn without_its_database_the_server_is_up_and_says_why_it_is_not_ready() {
    let closed = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let url = format!("postgres://caly:hidden-password@127.0.0.1:{closed}/caly");
    let server = Server::start_unready(Settings::on(Database::At(url))).await;
    assert_eq!(web::get(&server.url("/health/live")).await.status, 200);
    let readiness = web::get(&server.url("/health/ready")).await;
    assert_eq!(readiness.status, 503);
    let reasons = readiness.json()["reasons"].clone();
    assert!(reasons.as_array().unwrap().iter().any(|reason| reason["what"] == "database"), "{reasons}");
    let health = web::get(&server.url("/health")).await;
    assert_eq!((health.status, health.json()["status"].as_str()), (200, Some("degraded")));
    for hook in ["call-start", "passthru", "connect", "call-end", "status", "recording"] {
        let refused = web::request(Method::POST, &server.hook(hook, &[("CallSid", &sid("no"))]), &[], "").await;
        refused.problem(503);
        assert!(!refused.header("retry-after").is_empty(), "{hook}");
    }
    let key = [("authorization", "Bearer caly_nothing_of_the_kind")];
    let answer = web::request(Method::GET, &server.url("/api/v1/calls"), &key, "").await;
    assert!(matches!(answer.status, 401 | 503), "{}", answer.status);
    assert!(!server.log().contains("hidden-password"));
}

async fn cut_in_mid_call(forever: bool) {
    let server = Server::start(Settings::on(Database::Postgres)).await;
    let database = server.postgres.as_ref().unwrap();
    let line = Line::call(&server, "cut").await;
    line.agent_said(300, 0).await;
    server.admin_key().await;
    if forever {
        database.shut().await;
        until("readiness says so", SOON, || async {
            (web::get(&server.url("/health/ready")).await.status == 503).then_some(())
        })
        .await;
    } else {
        database.cut_connections().await;
    }
    line.ask("shop_hours").await;
    line.say("want_human");
    assert_eq!(line.closed(SOON).await, Some(1000));
    // The flow goes on while the database is away: the decision is remembered.
    let asked = web::get(&server.hook("passthru", &[("CallSid", &line.sid), ("Stream[Status]", "completed")])).await;
    assert_eq!((asked.status, asked.text().as_str()), (200, "transfer"));
    if forever {
        database.reopen().await;
        server.ready().await;
    }
    let detail = server.ended_call(&line.sid).await;
    assert_eq!(detail["call"]["end_reason"], "transferred");
    let count = |kind: &str| detail[kind].as_array().unwrap().len();
    let of = |speaker: &str| {
        detail["turns"].as_array().unwrap().iter().filter(|turn: &&Value| turn["speaker"] == speaker).count()
    };
    assert!(of("caller") == 2 && of("agent") >= 3, "{:#}", detail["turns"]);
    assert_eq!((count("intents"), count("actions"), count("recordings")), (2, 1, 1), "{detail:#}");
    server.nothing_left(SOON).await;
    let health = web::get(&server.url("/health")).await.json();
    assert_eq!(health["status"], "ok", "{health}");
}

#[actix_rt::test]
async fn a_call_does_not_notice_that_the_connections_to_the_database_are_cut() {
    cut_in_mid_call(false).await;
}

#[actix_rt::test]
async fn what_happens_while_the_database_is_away_is_written_when_it_is_back() {
    cut_in_mid_call(true).await;
}
