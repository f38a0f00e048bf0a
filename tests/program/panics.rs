//! Panics on purpose in every part of a live call: what the caller notices, and what nobody else does.

use std::time::Duration;

use awc::http::Method;
use futures_util::future::join_all;
use serde_json::Value;

use crate::line::{Line, sid};
use crate::server::{SOON, Server, Settings};
use crate::web::{self, until};

async fn panic_in(server: &Server, call: &str, child: &str) -> u16 {
    web::request(Method::POST, &server.url(&format!("/test/panic/{call}/{child}")), &[], "").await.status
}

/// The call's node in the tree.
async fn node(server: &Server, call: &str) -> Option<Value> {
    let rows = server.rows_of(call).await;
    let id = rows.first()?["id"].clone();
    let tree = server.supervisor().await;
    tree["tree"].as_array().unwrap().iter().find(|node| node["call"] == id).cloned()
}

/// Waits until that child has been restarted so often.
async fn restarted(server: &Server, call: &str, child: &str, times: u64) -> Value {
    until(&format!("{child} was restarted {times} times"), SOON, || async {
        node(server, call).await.filter(|node| node["restarts"][child].as_u64().is_some_and(|count| count >= times))
    })
    .await
}

fn agent_texts(detail: &Value) -> Vec<String> {
    let turns = detail["turns"].as_array().unwrap().iter();
    turns.filter(|turn| turn["speaker"] == "agent").map(|turn| turn["text"].as_str().unwrap().to_owned()).collect()
}

#[actix_rt::test]
async fn a_call_goes_on_after_a_panic_in_any_of_its_parts() {
    let server = Server::start(Settings::default()).await;
    let line = Line::call(&server, "panic").await;
    line.agent_said(300, 0).await;
    for children in [&["media", "intent"][..], &["action", "call"], &["realtime"]] {
        for child in children {
            assert_eq!(panic_in(&server, &line.sid, child).await, 202, "{child}");
            restarted(&server, &line.sid, child, 1).await;
        }
        line.ask("shop_hours").await;
        assert!(!line.is_over(), "{children:?}");
    }
    let node = node(&server, &line.sid).await.unwrap();
    assert_eq!(node["engine"], "ready", "{node:#}");
    assert!(node["children"].as_array().unwrap().iter().all(|child| child["connected"] == true), "{node:#}");
    line.say("thanks_bye");
    assert_eq!(line.closed(SOON).await, Some(1000));
    let detail = server.ended_call(&line.sid).await;
    assert_eq!(detail["call"]["end_reason"], "agent_ended");
    assert_eq!(detail["call"]["degraded"].as_array().unwrap().len(), 0, "{:#}", detail["call"]);
    let said = agent_texts(&detail);
    let greeted = said.iter().filter(|text| text.starts_with("Namaste")).count();
    assert_eq!(greeted, 1, "greeted once: {said:#?}");
    let asked = detail["turns"].as_array().unwrap().iter();
    let asked = asked.filter(|turn| turn["speaker"] == "caller" && turn["text"].as_str().unwrap().contains("dukaan"));
    assert_eq!(asked.count(), 3, "each question is on record once: {:#}", detail["turns"]);
    let understood = detail["intents"].as_array().unwrap().len();
    assert!(understood >= 4, "every turn is understood: {:#}", detail["intents"]);
    server.nothing_left(Duration::from_secs(5)).await;
}

#[actix_rt::test]
async fn a_panic_while_the_agent_speaks_costs_no_call() {
    let server = Server::start(Settings::default()).await;
    let interrupted = |child: &'static str| {
        let server = &server;
        async move {
            let line = Line::call(server, child).await;
            line.agent_said(300, 0).await;
            let before = line.sound_ms();
            line.say("order_where");
            until("the long answer has begun", SOON, || async { (line.sound_ms() > before + 400).then_some(()) }).await;
            assert_eq!(panic_in(server, &line.sid, child).await, 202);
            restarted(server, &line.sid, child, 1).await;
            line.ask("shop_hours").await;
            line.hang_up();
            let detail = server.ended_call(&line.sid).await;
            assert_eq!(detail["call"]["end_reason"], "caller_hung_up", "{child}");
        }
    };
    join_all(["media", "realtime", "call"].map(interrupted)).await;
    server.nothing_left(Duration::from_secs(5)).await;
}

#[actix_rt::test]
async fn a_call_that_panics_too_often_ends_alone() {
    let server = Server::start(Settings::default()).await;
    let lines = join_all((0..10).map(|_| Line::call(&server, "ten"))).await;
    for line in &lines {
        line.agent_said(300, 0).await;
    }
    let (doomed, others) = lines.split_first().unwrap();
    for time in 1..=4 {
        assert_eq!(panic_in(&server, &doomed.sid, "call").await, 202);
        if time < 4 {
            restarted(&server, &doomed.sid, "call", time).await;
        }
    }
    doomed.closed(SOON).await;
    let detail = server.ended_call(&doomed.sid).await;
    assert_eq!(detail["call"]["end_reason"], "call_panicked");
    for line in others {
        assert!(!line.is_over());
        let node = node(&server, &line.sid).await.unwrap();
        assert!(node["restarts"].as_object().unwrap().values().all(|count| count == 0), "{node}");
    }
    others[0].ask("shop_hours").await;
    for line in others {
        line.hang_up();
    }
    for line in others {
        assert_eq!(server.ended_call(&line.sid).await["call"]["end_reason"], "caller_hung_up");
    }
    server.nothing_left(Duration::from_secs(5)).await;
}

#[actix_rt::test]
async fn a_child_that_panics_too_often_is_given_up_as_its_kind_allows() {
    let server = Server::start(Settings::default()).await;
    let four_times = |(child, goes_on, reason): (&'static str, bool, &'static str)| {
        let server = &server;
        async move {
            let line = Line::call(server, child).await;
            line.agent_said(300, 0).await;
            for time in 1..=4 {
                until("the panic is taken", SOON, || async {
                    (line.is_over() || panic_in(server, &line.sid, child).await == 202).then_some(())
                })
                .await;
                if time < 4 {
                    restarted(server, &line.sid, child, time).await;
                }
            }
            if goes_on {
                line.ask("shop_hours").await;
                line.hang_up();
            } else {
                line.closed(SOON).await;
            }
            let detail = server.ended_call(&line.sid).await;
            assert_eq!(detail["call"]["end_reason"], reason, "{child}");
            let degraded = detail["call"]["degraded"].to_string();
            assert!(!goes_on || degraded.contains(child), "{child} is marked as given up: {degraded}");
        }
    };
    let expected = [
        ("intent", true, "caller_hung_up"),
        ("action", true, "caller_hung_up"),
        ("media", false, "media_lost"),
        ("realtime", false, "transferred"),
    ];
    join_all(expected.map(four_times)).await;
    server.nothing_left(Duration::from_secs(5)).await;
}

#[actix_rt::test]
async fn a_panic_of_a_handler_is_an_answer_with_an_id() {
    let server = Server::start(Settings::default()).await;
    for _ in 0..5 {
        let answer = web::request(Method::POST, &server.url("/test/panic/handler"), &[], "").await;
        let problem = answer.problem(500);
        let id = answer.header("x-request-id");
        assert!(problem["detail"].as_str().unwrap().contains(id), "{problem}");
        until("the log tells more under the id", SOON, || async { server.log().contains(id).then_some(()) }).await;
    }
    assert_eq!(panic_in(&server, "nosuchcall", "media").await, 404);
    assert!(server.metric("caly_http_panics_total").await >= 5.0);
    let sid = sid("after");
    assert_eq!(server.call_start(&sid).await.status, 200);
}
