//! A part of the labelled set of `tests/fixtures/ears`, each clip in a call of its own while the agent speaks; the campaign
//! `ears` plays all of it.

use std::time::Duration;

use awc::http::Method;
use caly::sim::engine::{EngineOptions, serve};
use futures_util::future::join_all;
use serde_json::json;

use crate::ears::{self, Case, Figures, Kind, Outcome, quantile};
use crate::server::{Server, Settings};
use crate::web;

/// Every third clip and every third echo.
const PART: usize = 3;
/// A debug build that shares its processors with other tests; the campaign holds a release build to 60 ms.
const AFTER_DETECTION: Duration = Duration::from_millis(500);

/// One of them lasts a second, so that a busy machine decides, and it may be late once with another's words.
const BACKCHANNELS_WRONG: usize = 2;

async fn outcome(server: &Server, case: &Case, number: usize) -> Outcome {
    // Not all in one moment, as callers never ring.
    tokio::time::sleep(Duration::from_millis(number as u64 * 61)).await;
    let sid = crate::line::sid("ears");
    let url = server.media_url(&sid).await;
    let mut socket = web::open(&url, &[]).await.expect("the media socket opens");
    let seen = ears::play(&mut socket, &sid, case, number).await.unwrap();
    Outcome::of(case, seen, &server.ended_call(&sid).await)
}

#[actix_rt::test]
async fn listeners_noises_and_echoes_are_told_from_interruptions() {
    let all = ears::cases().unwrap();
    let engine = EngineOptions { ear: Some(ears::ear(&all)), workers: 2, ..EngineOptions::sandbox().unwrap() };
    let engine = serve(engine).await.unwrap();
    let server = Server::start(Settings::default().engine(engine.url.trim_end_matches("/realtime"))).await;
    let key = format!("Bearer {}", server.admin_key().await);
    let headers = [("authorization", key.as_str()), ("content-type", "application/json")];
    let body = json!({ "client": "demo", "settings": ears::agent().unwrap(), "publish": true }).to_string();
    let made = web::request(Method::POST, &server.url("/api/v1/agents"), &headers, body).await;
    assert_eq!(made.status, 201, "{}", made.text());

    let part: Vec<&Case> = all.iter().step_by(PART).collect();
    let calls = part.iter().enumerate().map(|(number, case)| outcome(&server, case, number));
    let figures = Figures::of(&join_all(calls).await);
    assert!(figures.calls(Kind::Backchannel) >= 20 && figures.calls(Kind::Interruption) >= 20, "{:?}", figures.calls);
    assert!(figures.calls(Kind::Noise) >= 3 && figures.calls(Kind::Echo) >= 4, "{:?}", figures.calls);
    assert!(figures.wrong(Kind::Backchannel) <= BACKCHANNELS_WRONG, "{:#?}", figures.wrong);
    assert_eq!(figures.wrong(Kind::Interruption), 0, "{:#?}", figures.wrong);
    assert_eq!(figures.echo_interrupted, 0, "{:#?}", figures.wrong);
    let late = quantile(&figures.after_detection, 0.9);
    assert!(late <= AFTER_DETECTION, "{late:?} from detection to silence");
    assert_eq!(engine.violations(), [""; 0]);
}
