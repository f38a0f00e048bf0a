//! Whole calls by the simulated carrier, and what an operator finds afterwards.

use std::time::Duration;

use awc::http::Method;
use caly::sim::carrier::Outcome;
use caly::sim::engine::{Ear, EngineOptions, serve};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::server::{Database, PERSON, SOON, Server, Settings};
use crate::web;

fn rows<'a>(detail: &'a Value, kind: &str) -> &'a Vec<Value> {
    detail[kind].as_array().unwrap_or_else(|| panic!("{kind} in {detail}"))
}

fn turns_of<'a>(detail: &'a Value, speaker: &str) -> Vec<&'a Value> {
    rows(detail, "turns").iter().filter(|turn| turn["speaker"] == speaker).collect()
}

/// The words of a clip, without what a transcript may write differently.
fn words_of(clip: &str) -> String {
    caly::sim::library::plain(&caly::sim::library::library().get(clip).unwrap().text)
}

async fn demo_call(database: Database) {
    let server = Server::start(Settings::on(database)).await;
    let report = server.place("demo").await;
    assert!(report.ok, "{report:#?}");
    assert_eq!(report.outcome, Outcome::Transferred(PERSON.to_owned()));
    let detail = server.ended_call(&report.call_sid).await;
    assert_eq!(server.calls().await.len(), 1);
    let call = &detail["call"];
    assert_eq!((call["state"].as_str(), call["end_reason"].as_str()), (Some("ended"), Some("transferred")));
    assert_eq!(call["after_stream"], "transfer");

    let caller = turns_of(&detail, "caller");
    assert!(caller.len() >= 2, "{detail:#}");
    for clip in ["order_where", "want_human"] {
        let heard =
            |turn: &&&Value| caly::sim::library::plain(turn["text"].as_str().unwrap()).contains(&words_of(clip));
        assert!(caller.iter().any(|turn| heard(&turn)), "{clip} in {caller:#?}");
    }
    let agent = turns_of(&detail, "agent");
    assert!(agent.len() >= 3, "{agent:#?}");
    let began: Vec<i64> = rows(&detail, "turns").iter().map(|turn| turn["started_ms"].as_i64().unwrap()).collect();
    assert!(began.is_sorted(), "{began:?}");
    assert!(rows(&detail, "turns").iter().all(|turn| turn["ended_ms"].as_i64() >= turn["started_ms"].as_i64()));
    let cut = agent.iter().find(|turn| turn["interrupted"] == true).unwrap_or_else(|| panic!("{agent:#?}"));
    assert!(!cut["unheard"].as_str().unwrap().is_empty(), "{cut}");
    let long = words_of("order_long");
    let both = format!("{} {}", cut["text"].as_str().unwrap(), cut["unheard"].as_str().unwrap());
    assert_eq!(caly::sim::library::plain(&both), long, "what was heard and what was not are the whole answer");

    assert!(rows(&detail, "intents").iter().any(|intent| intent["intent"] == "talk_to_human"), "{detail:#}");
    let handed = rows(&detail, "actions").iter().find(|action| action["name"] == "transfer_to_human").unwrap();
    assert_eq!(handed["state"], "done", "{handed}");
    assert!(!rows(&detail, "events").is_empty(), "{detail:#}");
    assert_recorded(&server, &detail);
    server.nothing_left(Duration::from_secs(5)).await;
}

fn assert_recorded(server: &Server, detail: &Value) {
    let row = rows(detail, "recordings").iter().find(|row| row["source"] == "caly").expect("a recording");
    let path = server.directory.path().join("data/recordings").join(row["location"].as_str().unwrap());
    let mut wav = hound::WavReader::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!((wav.spec().channels, wav.spec().sample_rate), (2, 8000));
    let seconds = f64::from(wav.duration()) / 8000.0;
    let called = detail["call"]["duration_ms"].as_f64().unwrap() / 1000.0;
    assert!((seconds - called).abs() < 1.0, "the recording has {seconds} s, the call {called} s");
    let samples: Vec<i16> = wav.samples::<i16>().map(Result::unwrap).collect();
    for (channel, who) in [(0, "caller"), (1, "agent")] {
        let loud = samples.iter().skip(channel).step_by(2).filter(|sample| sample.abs() > 1000).count();
        assert!(loud > 2000, "{who}: {loud} loud samples");
    }
}

#[actix_rt::test]
async fn the_demo_call_is_handed_over_and_on_record_on_sqlite() {
    demo_call(Database::Sqlite).await;
}

#[actix_rt::test]
async fn the_demo_call_is_handed_over_and_on_record_on_postgres() {
    demo_call(Database::Postgres).await;
}

async fn callback(database: Database) {
    let server = Server::start(Settings::on(database)).await;
    let report = server.place("callback").await;
    assert!(report.ok, "{report:#?}");
    let detail = server.ended_call(&report.call_sid).await;
    assert_eq!(detail["call"]["end_reason"], "agent_ended");
    let listed = server.api("/actions?name=request_callback").await;
    let wishes = listed["items"].as_array().unwrap();
    assert_eq!(wishes.len(), 1, "{listed}");
    assert_eq!(wishes[0]["state"], "done");
    assert_eq!(wishes[0]["call_id"], detail["call"]["id"]);
    let when = wishes[0]["arguments"]["when"].as_str().unwrap_or_else(|| panic!("{listed}"));
    assert!(when.contains("paanch baje"), "{when}");

    let open = server.api("/callbacks?client=demo&state=open").await;
    let one = open["items"][0].clone();
    assert_eq!((&one["number"], &one["call_id"]), (&detail["call"]["caller"], &detail["call"]["id"]), "{open}");
    assert!(one["at"].as_str().is_some_and(|at| at.ends_with("T17:00")), "{one}");
    let key = format!("Bearer {}", server.admin_key().await);
    let headers = [("authorization", key.as_str()), ("content-type", "application/json")];
    let path = format!("/api/v1/callbacks/{}/done", one["id"].as_str().unwrap());
    let done = web::request(Method::POST, &server.url(&path), &headers, json!({ "note": "rang" }).to_string()).await;
    assert_eq!((done.status, &done.json()["state"]), (200, &json!("done")), "{}", done.text());
    assert_eq!(server.api("/callbacks?state=open").await["items"], json!([]));
    assert_eq!(server.api("/callbacks?state=done").await["items"], json!([done.json()]));
}

#[actix_rt::test]
async fn a_wish_to_be_called_back_is_listed_on_sqlite() {
    callback(Database::Sqlite).await;
}

#[actix_rt::test]
async fn a_wish_to_be_called_back_is_listed_on_postgres() {
    callback(Database::Postgres).await;
}

/// The shop, the calendar and a caller who agrees three times.
async fn errands(database: Database) {
    let server = Server::start(Settings::on(database)).await;
    let report = server.place("errands").await;
    assert!(report.ok, "{report:#?}");
    let detail = server.ended_call(&report.call_sid).await;
    let done: Vec<_> =
        rows(&detail, "actions").iter().map(|row| (row["name"].as_str(), row["state"].as_str())).collect();
    let expected = ["cancel_order", "book_appointment", "move_appointment"].map(|name| (Some(name), Some("done")));
    assert_eq!(done[..3], expected, "{detail:#}");
    let cancelled = &rows(&detail, "actions")[0];
    assert_eq!(
        (&cancelled["arguments"]["order_number"], &cancelled["output"]["cancelled"]),
        (&json!("1001"), &json!(true))
    );
    let intents = rows(&detail, "intents").iter().map(|row| row["intent"].as_str().unwrap()).collect::<Vec<_>>();
    assert!(intents.contains(&"cancel_order") && intents.contains(&"appointment_reschedule"), "{intents:?}");
    assert_recorded(&server, &detail);
}

#[actix_rt::test]
async fn an_order_is_cancelled_and_an_appointment_moved_in_one_call_on_sqlite() {
    errands(Database::Sqlite).await;
}

#[actix_rt::test]
async fn an_order_is_cancelled_and_an_appointment_moved_in_one_call_on_postgres() {
    errands(Database::Postgres).await;
}

/// Booked and moved, each after what was read back and agreed to; the states on record tell so.
async fn appointment(database: Database) {
    let server = Server::start(Settings::on(database)).await;
    let report = server.place("appointment").await;
    assert!(report.ok, "{report:#?}");
    let detail = server.ended_call(&report.call_sid).await;
    assert_eq!(detail["call"]["end_reason"], "agent_ended", "{detail:#}");
    let done: Vec<_> =
        rows(&detail, "actions").iter().map(|row| (row["name"].as_str(), row["state"].as_str())).collect();
    let expected = ["book_appointment", "move_appointment"].map(|name| (Some(name), Some("done")));
    assert_eq!(done[..2], expected, "{detail:#}");
    let listed = server.api("/appointments").await;
    let booked = listed["items"].as_array().unwrap();
    assert_eq!(booked.len(), 1, "{listed}");
    assert!(booked[0]["starts_at"].as_str().unwrap().contains("T11:30:00"), "five in the evening in India: {listed}");
    assert!(rows(&detail, "intents").iter().any(|row| row["intent"] == "appointment_book"), "{detail:#}");
    assert_recorded(&server, &detail);
}

#[actix_rt::test]
async fn an_appointment_is_booked_and_moved_after_a_yes_to_each_on_sqlite() {
    appointment(Database::Sqlite).await;
}

#[actix_rt::test]
async fn an_appointment_is_booked_and_moved_after_a_yes_to_each_on_postgres() {
    appointment(Database::Postgres).await;
}

/// Booked and undone in one call, each after a yes: the second is an action of its own, which the first one names.
async fn undone(database: Database) {
    let server = Server::start(Settings::on(database)).await;
    let report = server.place("undo").await;
    assert!(report.ok, "{report:#?}");
    let detail = server.ended_call(&report.call_sid).await;
    let actions = rows(&detail, "actions");
    let done: Vec<_> = actions.iter().map(|row| (row["name"].as_str(), row["state"].as_str())).collect();
    let expected = ["book_appointment", "cancel_appointment"].map(|name| (Some(name), Some("done")));
    assert_eq!(done[..2], expected, "{detail:#}");
    assert_eq!((&actions[0]["undone_by"], &actions[1]["undoes"]), (&actions[1]["id"], &actions[0]["id"]), "{detail:#}");
    let listed = server.api("/appointments").await;
    let states: Vec<_> = listed["items"].as_array().unwrap().iter().map(|row| row["state"].as_str()).collect();
    assert_eq!(states, [Some("cancelled")], "{listed}");
}

#[actix_rt::test]
async fn what_was_done_in_a_call_is_undone_in_it_after_a_yes_on_sqlite() {
    undone(Database::Sqlite).await;
}

#[actix_rt::test]
async fn what_was_done_in_a_call_is_undone_in_it_after_a_yes_on_postgres() {
    undone(Database::Postgres).await;
}

#[actix_rt::test]
async fn twenty_calls_at_a_time_leave_forty_whole_records_and_nothing_else() {
    let server = Server::start(Settings::default()).await;
    let output = server
        .cli(&[
            "call",
            "--scenario",
            "short",
            "--count",
            "40",
            "--parallel",
            "20",
            "--ramp-ms",
            "30",
            "--deaf",
            "--json",
        ])
        .await;
    let reports: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(reports.len(), 40);
    for report in &reports {
        assert!(report["ok"] == true, "{report:#}");
    }
    assert!(output.status.success());
    server.nothing_left(Duration::from_secs(5)).await;
    for report in &reports {
        let detail = server.ended_call(report["call_sid"].as_str().unwrap()).await;
        assert_eq!(detail["call"]["end_reason"], "caller_hung_up");
        assert!(turns_of(&detail, "agent").len() >= 2, "{:#}", detail["turns"]);
        let said = turns_of(&detail, "caller");
        assert_eq!(said.len(), 1, "{:#}", detail["turns"]);
        assert_eq!(caly::sim::library::plain(said[0]["text"].as_str().unwrap()), words_of("shop_hours"));
    }
    assert_eq!(server.calls().await.len(), 40);
}

#[actix_rt::test]
async fn the_engine_has_nothing_to_complain_about() {
    let engine = serve(EngineOptions::sandbox().unwrap()).await.unwrap();
    let base = engine.url.trim_end_matches("/realtime");
    let server = Server::start(Settings::default().engine(base)).await;
    let scenarios = ["demo", "callback", "order_status", "hindi", "english", "goodbye", "short", "appointment"];
    for report in join_all(scenarios.map(|scenario| server.place(scenario))).await {
        assert!(report.ok, "{report:#?}");
        server.ended_call(&report.call_sid).await;
    }
    assert_eq!(engine.violations(), Vec::<String>::new());
    web::until("no session is left open", SOON, || async { (engine.open_sessions() == 0).then_some(()) }).await;
    assert_eq!(engine.sessions(), 8, "one session for each call");
}

/// A recogniser that writes spoken Hindi in Urdu's letters.
async fn other_letters(database: Database) {
    const WRITTEN: &str = "میرا آرڈر ۱۰۴۲ کہاں ہے، او ٹی پی چار آٹھ دو ایک ہے";
    let writes = |samples: &[i16]| {
        let loud = samples.iter().any(|sample| sample.unsigned_abs() > 1000);
        if loud { WRITTEN.to_owned() } else { String::new() }
    };
    let ear = Some(Ear(std::sync::Arc::new(writes)));
    let engine = serve(EngineOptions { ear, ..EngineOptions::sandbox().unwrap() }).await.unwrap();
    let server = Server::start(Settings::on(database).engine(engine.url.trim_end_matches("/realtime"))).await;
    let report = server.place("short").await;
    let detail = server.ended_call(&report.call_sid).await;
    let said = turns_of(&detail, "caller");
    assert_eq!(said[0]["text"], "मेरा ऑर्डर 1042 कहाँ है, ओ टी पी [code] है", "{said:#?}");
    assert_eq!(said[0]["raw"], "میرا آرڈر ۱۰۴۲ کہاں ہے، او ٹی پی [code] ہے");
    assert!(turns_of(&detail, "agent").iter().all(|turn| turn.get("raw").is_none()), "{detail:#}");
    let intent = &rows(&detail, "intents")[0];
    assert_eq!(intent["intent"], "order_status", "{detail:#}");
    let order = json!({"kind": "order_id", "text": "1042", "value": "1042"});
    let named = rows(intent, "entities").iter().find(|entity| entity["kind"] == "order_id").unwrap();
    assert!(order.as_object().unwrap().iter().all(|(key, value)| named[key] == *value), "{intent:#}");
}

#[actix_rt::test]
async fn hindi_in_other_letters_is_understood_and_on_record_as_written_on_sqlite() {
    other_letters(Database::Sqlite).await;
}

#[actix_rt::test]
async fn hindi_in_other_letters_is_understood_and_on_record_as_written_on_postgres() {
    other_letters(Database::Postgres).await;
}
