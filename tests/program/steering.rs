//! What a call does by itself although its engine does not: hands over, keeps a number that is not to be rung, and tells what
//! became of an action that nobody knew the outcome of.

use std::sync::atomic::Ordering;

use awc::http::Method;
use caly::sim::carrier::Outcome;
use serde_json::{Value, json};

use crate::line::Line;
use crate::server::{Database, PERSON, SOON, Server, Settings};
use crate::shop::Shop;
use crate::web::until;

fn details<'a>(detail: &'a Value, kind: &str) -> Vec<&'a Value> {
    let events = detail["events"].as_array().unwrap();
    events.iter().filter(|event| event["kind"] == kind).map(|event| &event["detail"]).collect()
}

async fn insists(database: Database) {
    let server = Server::start(Settings::on(database)).await;
    let report = server.place("insists").await;
    assert!(report.ok, "{report:#?}");
    assert_eq!(report.outcome, Outcome::Transferred(PERSON.to_owned()));
    let detail = server.ended_call(&report.call_sid).await;
    assert_eq!(detail["actions"], json!([]), "the engine called no tool");
    let call = &detail["call"];
    assert_eq!((&call["end_reason"], &call["after_stream"]), (&json!("transferred"), &json!("transfer")));
    assert_eq!(call["summary"], "The caller asked for a person.");
    let steered = details(&detail, "steered");
    assert_eq!(steered.len(), 1, "{:#}", detail["events"]);
    assert_eq!((&steered[0]["what"], &steered[0]["did"]), (&json!("person"), &json!("handed_over")));
    // The engine was heard out, and then the stored sentence.
    let words: Vec<&str> =
        detail["turns"].as_array().unwrap().iter().filter_map(|turn| turn["text"].as_str()).collect();
    assert!(words.last().unwrap().contains("connect kar rahi hoon"), "{words:?}");
    assert!(words.iter().any(|text| text.contains("order number bataiye")), "{words:?}");
    assert!(
        detail["turns"].as_array().unwrap().iter().all(|turn| turn["interrupted"] == false),
        "{:#}",
        detail["turns"]
    );
    server.nothing_left(SOON).await;
}

#[actix_rt::test]
async fn a_wish_for_a_person_is_obeyed_although_the_engine_does_not_hand_over_on_sqlite() {
    insists(Database::Sqlite).await;
}

#[actix_rt::test]
async fn a_wish_for_a_person_is_obeyed_although_the_engine_does_not_hand_over_on_postgres() {
    insists(Database::Postgres).await;
}

/// A call in which some things are said, each is answered, and the caller hangs up.
fn saying(clips: &[&str]) -> String {
    let said: String =
        clips.iter().map(|clip| format!("[[step]]\nsay = \"{clip}\"\n[[step]]\nhear = \"any\"\n")).collect();
    format!(
        "name = \"some\"\ntitle = \"Some wishes\"\nexpect = \"caller_hung_up\"\n[[step]]\nhear = \"any\"\n{said}\
         [[step]]\nhang_up = true\n"
    )
}

async fn call(server: &Server, clips: &[&str]) -> Value {
    let report = server.place(&saying(clips)).await;
    assert!(report.ok, "{report:#?}");
    server.ended_call(&report.call_sid).await
}

/// What became of the wish to be rung back.
fn callback(detail: &Value) -> (&str, String) {
    let rows = detail["actions"].as_array().unwrap();
    let row = rows.iter().find(|row| row["name"] == "request_callback").unwrap_or_else(|| panic!("{rows:?}"));
    (row["state"].as_str().unwrap(), row["output"].to_string())
}

async fn not_rung(database: Database) {
    let server = Server::start(Settings::on(database)).await;
    let (state, output) = {
        let before = call(&server, &["want_callback", "tomorrow_five"]).await;
        let (state, output) = callback(&before);
        (state.to_owned(), output)
    };
    assert!(state == "done" && output.contains("\"noted\":true"), "{state} {output}");

    let said = call(&server, &["never_call"]).await;
    let steered = details(&said, "steered");
    assert_eq!(steered.len(), 1, "{:#}", said["events"]);
    assert_eq!((&steered[0]["what"], &steered[0]["did"]), (&json!("do_not_call"), &json!("recorded")));
    let listed = server.api("/suppressions?client=demo&number=%2B919876543210").await;
    let rows = listed["items"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[0]["call_id"]), (1, &said["call"]["id"]), "{listed}");
    // Said again in another call, it is one row.
    call(&server, &["never_call"]).await;
    assert_eq!(server.api("/suppressions?client=demo").await["items"].as_array().unwrap().len(), 1);

    let refused = call(&server, &["want_callback", "tomorrow_five"]).await;
    let (state, output) = callback(&refused);
    assert!(state == "failed" && output.contains("not to be rung"), "{state} {output}");

    let path = format!("/api/v1/suppressions/{}", rows[0]["id"].as_str().unwrap());
    assert_eq!(server.ask(Method::DELETE, &path).await.status, 204);
    assert_eq!(server.api("/suppressions").await["items"], json!([]));
    let again = call(&server, &["want_callback", "tomorrow_five"]).await;
    assert_eq!(callback(&again).0, "done");
}

#[actix_rt::test]
async fn a_number_whose_owner_wants_no_calls_gets_no_call_back_until_it_is_taken_off_the_list_on_sqlite() {
    not_rung(Database::Sqlite).await;
}

#[actix_rt::test]
async fn a_number_whose_owner_wants_no_calls_gets_no_call_back_until_it_is_taken_off_the_list_on_postgres() {
    not_rung(Database::Postgres).await;
}

#[actix_rt::test]
async fn a_caller_who_is_still_there_is_told_what_became_of_an_action_nobody_knew_the_outcome_of() {
    let shop = Shop::open();
    let server = Server::start(Settings::default().with("CALY__ACTIONS__TRUSTED_HOSTS", shop.address.clone())).await;
    shop.serve_within(&server, 1_000).await;
    shop.ledger.mute.store(true, Ordering::Relaxed);
    let line = Line::call(&server, "asked").await;
    line.agent_said(300, 0).await;
    line.say("order_number");
    let state_is = async |wanted: &str| {
        until(&format!("the action is {wanted}"), SOON, || async {
            let rows = server.api("/actions?name=order_status").await["items"].as_array().unwrap().clone();
            rows.iter().any(|row| row["state"] == wanted).then_some(())
        })
        .await;
    };
    state_is("unknown").await;
    shop.ledger.mute.store(false, Ordering::Relaxed);
    state_is("done").await;
    let id = server.rows_of(&line.sid).await[0]["id"].as_str().unwrap().to_owned();
    let resolved = async || details(&server.api(&format!("/calls/{id}")).await, "action_resolved").len();
    until("the live call is told", SOON, || async { (resolved().await == 1).then_some(()) }).await;
    assert_eq!(shop.effects(), 1, "and nothing was done twice");
    // The engine answers it: the caller hears of it.
    let sound = line.sound_ms();
    line.agent_said(300, sound).await;
    line.hang_up();
    let detail = server.ended_call(&line.sid).await;
    assert_eq!(details(&detail, "action_resolved"), [&json!({ "action": "order_status" })], "once");
}
