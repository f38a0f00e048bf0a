//! The process is killed and starts again: what was open is closed once, what comes back goes on, what was half done is
//! asked about by its key.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::ending::five_calls;
use crate::line::{Line, sid};
use crate::server::{SOON, Server, Settings};
use crate::shop::Shop;
use crate::web::{open, until};

fn events<'a>(detail: &'a Value, kind: &str) -> Vec<&'a Value> {
    detail["events"].as_array().unwrap().iter().filter(|event| event["kind"] == kind).collect()
}

/// Waits until at least so many turns of a call are written down; gives its id.
async fn committed(server: &Server, sid: &str, turns: usize) -> String {
    let id = until("the call is written down", SOON, || async {
        Some(server.rows_of(sid).await.first()?["id"].as_str()?.to_owned())
    })
    .await;
    until("the conversation so far is written down", SOON, || async {
        let detail = server.api(&format!("/calls/{id}")).await;
        (detail["turns"].as_array().unwrap().len() >= turns).then_some(())
    })
    .await;
    id
}

async fn killed_and_back(server: &mut Server) {
    server.kill();
    server.run().await;
    server.ready().await;
}

#[actix_rt::test]
async fn after_a_kill_the_next_process_closes_what_was_open() {
    let mut server = Server::start(Settings::default()).await;
    let lines = five_calls(&server).await;
    lines[0].ask("shop_hours").await;
    let asked = &lines[0].sid;
    let id = server.rows_of(asked).await[0]["id"].as_str().unwrap().to_owned();
    let turns = until("the conversation so far is written down", SOON, || async {
        let turns = server.api(&format!("/calls/{id}")).await["turns"].as_array().unwrap().len();
        (turns >= 2).then_some(turns)
    })
    .await;
    server.kill();
    let begun = Instant::now();
    server.run().await;
    server.ready().await;
    assert!(begun.elapsed() < Duration::from_secs(5), "healthy after {:?}", begun.elapsed());
    for line in &lines {
        let detail = server.ended_call(&line.sid).await;
        assert_eq!(detail["call"]["end_reason"], "interrupted", "{:#}", detail["call"]);
        assert_eq!(detail["call"]["ended_by"], "restart");
        if line.sid == *asked {
            assert!(detail["turns"].as_array().unwrap().len() >= turns, "no committed line is lost");
        }
    }
    assert_eq!(server.calls().await.len(), 5);
    // The carrier's end of such a call is taken, and changes nothing.
    assert_eq!(server.call_end(asked).await.status, 200);
    assert_eq!(server.ended_call(asked).await["call"]["end_reason"], "interrupted");
    server.call_start(asked).await.problem(410);
    let line = Line::call(&server, "next").await;
    line.agent_said(300, 0).await;
    line.hang_up();
    assert_eq!(server.ended_call(&line.sid).await["call"]["end_reason"], "caller_hung_up");
}

#[actix_rt::test]
async fn killed_twice_in_a_row_no_call_is_lost_and_none_is_closed_twice() {
    let mut server = Server::start(Settings::default()).await;
    let lines = five_calls(&server).await;
    for line in &lines {
        committed(&server, &line.sid, 1).await;
    }
    let begun = Instant::now();
    server.kill();
    server.run().await;
    killed_and_back(&mut server).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "twice within {:?}", begun.elapsed());
    assert_eq!(server.calls().await.len(), 5);
    for line in &lines {
        let detail = server.ended_call(&line.sid).await;
        assert_eq!(events(&detail, "interrupted").len(), 1, "{:#}", detail["events"]);
        assert_eq!(detail["call"]["end_reason"], "interrupted");
        assert!(!detail["turns"].as_array().unwrap().is_empty());
    }
}

#[actix_rt::test]
async fn a_call_may_come_back_although_the_process_died_twice_meanwhile() {
    let mut server = Server::start(Settings::default()).await;
    let line = Line::call(&server, "twice").await;
    line.agent_said(300, 0).await;
    committed(&server, &line.sid, 1).await;
    killed_and_back(&mut server).await;
    killed_and_back(&mut server).await;
    let socket = open(&server.media_url(&line.sid).await, &[]).await.expect("the media socket opens");
    let again = Line::on(socket, &line.sid).await;
    again.agent_said(300, 0).await;
    again.hang_up();
    let detail = server.ended_call(&line.sid).await;
    assert_eq!(detail["call"]["end_reason"], "caller_hung_up", "{:#}", detail["events"]);
    // Ended by the caller, it does not come back a second time.
    assert_ne!(open(&server.media_url_or_none(&line.sid).await, &[]).await.err(), None);
}

#[actix_rt::test]
async fn a_call_that_the_carrier_brings_back_goes_on_where_it_stood() {
    let mut server = Server::start(Settings::default()).await;
    let line = Line::call(&server, "back").await;
    line.agent_said(300, 0).await;
    line.ask("shop_hours").await;
    let id = committed(&server, &line.sid, 3).await;
    let never_connected = sid("waiting");
    let url = server.media_url(&never_connected).await;
    committed(&server, &never_connected, 0).await;
    let old_port = server.port;
    killed_and_back(&mut server).await;

    // The carrier asks for the same call again.
    let socket = open(&server.media_url(&line.sid).await, &[]).await.expect("the media socket opens");
    let again = Line::on(socket, &line.sid).await;
    again.agent_said(300, 0).await;
    again.ask("want_callback").await;
    again.hang_up();
    let detail = server.ended_call(&line.sid).await;
    assert_eq!(detail["call"]["id"], id.as_str(), "it keeps its row");
    assert_eq!(detail["call"]["end_reason"], "caller_hung_up");
    assert_eq!((events(&detail, "interrupted").len(), events(&detail, "taken_up").len()), (1, 1));
    let turns = detail["turns"].as_array().unwrap();
    let greetings = turns.iter().filter(|turn| turn["text"].as_str().unwrap().starts_with("Namaste")).count();
    assert_eq!(greetings, 1, "it does not greet again: {turns:#?}");
    let began: Vec<i64> = turns.iter().map(|turn| turn["started_ms"].as_i64().unwrap()).collect();
    assert!(began.is_sorted() && turns.len() >= 5, "{turns:#?}");

    // The carrier connects with a URL that the former process handed out.
    let url = url.replace(&format!(":{old_port}/"), &format!(":{}/", server.port));
    let line = Line::on(open(&url, &[]).await.expect("the token is still good"), &never_connected).await;
    line.agent_said(300, 0).await;
    line.hang_up();
    assert_eq!(server.ended_call(&never_connected).await["call"]["end_reason"], "caller_hung_up");
    server.nothing_left(Duration::from_secs(5)).await;
}

#[actix_rt::test]
async fn an_action_killed_between_its_effect_and_its_record_is_asked_about_by_its_key() {
    let shop = Shop::open();
    let settings = Settings::default().with("CALY__ACTIONS__TRUSTED_HOSTS", shop.address.clone());
    let mut server = Server::start(settings).await;
    shop.serve(&server).await;
    shop.ledger.mute.store(true, Ordering::Relaxed);
    let line = Line::call(&server, "half").await;
    line.agent_said(300, 0).await;
    line.say("order_number");
    until("the shop has done it", SOON, || async { (shop.effects() == 1).then_some(()) }).await;
    server.kill();
    shop.ledger.mute.store(false, Ordering::Relaxed);
    server.run().await;
    server.ready().await;
    until("the shop was asked again", SOON, || async { (shop.asked() == [2]).then_some(()) }).await;
    assert_eq!(shop.effects(), 1, "and did nothing twice");
    let action = until("the outcome is on record", SOON, || async {
        let detail = server.ended_call(&line.sid).await;
        let action = detail["actions"][0].clone();
        (action["state"] == "done" && events(&detail, "action_reconciled").len() == 1).then_some(action)
    })
    .await;
    assert_eq!(action["output"]["status"], "shipped", "{action}");
    killed_and_back(&mut server).await;
    server.ended_call(&line.sid).await;
    assert_eq!(shop.asked(), [2], "what is known is not asked about");
}
