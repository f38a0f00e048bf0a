//! The carrier's webhooks out of order, twice, at once and in all their spellings.

use std::collections::HashSet;

use awc::http::Method;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::line::{Line, sid};
use crate::server::{Database, Hooks, SOON, Server, Settings};
use crate::web::{self, Answer, until};

const PAIRS: usize = 100;

async fn pairs_at_once(database: Database) {
    let server = Server::start(Settings::on(database)).await;
    let ids: Vec<String> = (0..PAIRS).map(|_| sid("pair")).collect();
    for ten in ids.chunks(10) {
        let asked = ten.iter().flat_map(|sid| [sid, sid]).map(|sid| server.call_start(sid));
        for answer in join_all(asked).await {
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(answer.json()["url"].as_str().unwrap().starts_with("ws://127.0.0.1:"));
        }
        for sid in ten {
            assert_eq!(server.call_end(sid).await.status, 200);
        }
    }
    let rows = until("every call is ended", SOON, || async {
        let rows = server.calls().await;
        (rows.len() >= PAIRS && rows.iter().all(|row| row["state"] == "ended")).then_some(rows)
    })
    .await;
    let listed: HashSet<&str> = rows.iter().map(|row| row["carrier_call_id"].as_str().unwrap()).collect();
    assert_eq!((rows.len(), listed), (PAIRS, ids.iter().map(String::as_str).collect()));
}

#[actix_rt::test]
async fn a_call_start_repeated_at_the_same_instant_is_one_call_on_sqlite() {
    pairs_at_once(Database::Sqlite).await;
}

#[actix_rt::test]
async fn a_call_start_repeated_at_the_same_instant_is_one_call_on_postgres() {
    pairs_at_once(Database::Postgres).await;
}

#[actix_rt::test]
async fn both_answers_to_a_repeated_call_start_lead_to_the_same_call() {
    let server = Server::start(Settings::default()).await;
    let sid = sid("same");
    let (one, other) = tokio::join!(server.media_url(&sid), server.media_url(&sid));
    let line = Line::on(web::open(&one, &[]).await.unwrap(), &sid).await;
    line.agent_said(300, 0).await;
    assert_eq!(web::open(&other, &[]).await.err(), Some(409), "the call has its stream already");
    line.hang_up();
    server.ended_call(&sid).await;
}

#[actix_rt::test]
async fn a_call_end_before_its_call_start_keeps_the_call_closed() {
    let server = Server::start(Settings::default()).await;
    let sid = sid("early");
    assert_eq!(server.call_end(&sid).await.status, 200);
    server.call_start(&sid).await.problem(410);
    let detail = server.ended_call(&sid).await;
    assert_eq!(detail["call"]["ended_by"], "carrier");
    server.call_start(&sid).await.problem(410);
    assert_eq!(server.rows_of(&sid).await.len(), 1);
    assert_eq!(web::get(&server.url("/health/supervisor")).await.json()["calls"]["slots_taken"], 0);
}

#[actix_rt::test]
async fn the_news_that_a_call_was_answered_ends_no_call_whichever_url_it_is_sent_to() {
    let server = Server::start(Settings::default()).await;
    let answered = [("EventType", "answered"), ("Status", "in-progress")];
    // An outbound call is answered before its flow asks for the stream.
    let early = sid("early");
    assert_eq!(told_of(&server, "call-end", &early, &answered).await, 200);
    assert_eq!(server.call_start(&early).await.status, 200);
    let line = Line::call(&server, "up").await;
    line.agent_said(300, 0).await;
    assert_eq!(told_of(&server, "call-end", &line.sid, &answered).await, 200);
    assert_eq!(told_of(&server, "call-end", &line.sid, &[("Status", "ringing")]).await, 200);
    for event in ["answered", "initiated", "Leg1Answered"] {
        assert_eq!(told_of(&server, "call-end", &line.sid, &[("EventType", event)]).await, 200, "{event}");
        assert_eq!(told_of(&server, "status", &line.sid, &[("EventType", event)]).await, 200, "{event}");
    }
    line.ask("shop_hours").await;
    let terminal = [("EventType", "terminal"), ("Status", "completed")];
    assert_eq!(told_of(&server, "call-end", &line.sid, &terminal).await, 200);
    line.closed(SOON).await;
    assert_eq!(server.ended_call(&line.sid).await["call"]["end_reason"], "carrier_ended");
}

async fn told_of(server: &Server, hook: &str, sid: &str, fields: &[(&str, &str)]) -> u16 {
    let fields = [&[("CallSid", sid)], fields].concat();
    web::post_form(&server.hook(hook, &[]), &fields).await.status
}

async fn what_one_client_tells_concerns_no_other(database: Database) {
    let server = Server::start(Settings::on(database)).await;
    let other = Hooks {
        slug: "other".to_owned(),
        key: server.make_client("other", "+918047119999").await,
        called: "08047119999".to_owned(),
    };
    let sid = sid("theirs");
    assert_eq!(told_of(&server, "call-end", &sid, &[("Status", "completed")]).await, 200);
    until("the row of the first is there", SOON, || async {
        server.rows_of(&sid).await.first().map(|row| row["state"] == "ended")
    })
    .await;
    let fields = [("CallSid", sid.as_str()), ("CallFrom", "09876543210"), ("CallTo", &other.called)];
    let url = server.hook_of(&other, "call-start", &fields);
    let answer = until("the client is known", SOON, || async {
        Some(web::get(&url).await).filter(|answer| answer.status != 401)
    })
    .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let row = until("the row is the other's", SOON, || async {
        server.rows_of(&sid).await.into_iter().find(|row| row["agent_id"].is_string())
    })
    .await;
    assert_eq!((&row["state"], &row["carrier_status"]), (&"admitted".into(), &serde_json::Value::Null), "{row:#}");
    assert_eq!(told_of(&server, "call-end", &sid, &[("Status", "completed")]).await, 404, "not theirs");
}

#[actix_rt::test]
async fn what_one_client_tells_concerns_no_other_on_sqlite() {
    what_one_client_tells_concerns_no_other(Database::Sqlite).await;
}

#[actix_rt::test]
async fn what_one_client_tells_concerns_no_other_on_postgres() {
    what_one_client_tells_concerns_no_other(Database::Postgres).await;
}

#[actix_rt::test]
async fn a_recording_before_the_end_and_an_end_told_twice_are_kept_once() {
    let server = Server::start(Settings::default()).await;
    let sid = sid("rec");
    server.media_url(&sid).await;
    let link = "https://recordings.exotel.com/exotelrecordings/acme1/4a7f.mp3";
    let fields = [("CallSid", sid.as_str()), ("RecordingUrl", link), ("RecordingDuration", "61")];
    for _ in 0..2 {
        assert_eq!(web::post_form(&server.hook("recording", &[]), &fields).await.status, 200);
    }
    for _ in 0..2 {
        assert_eq!(server.call_end(&sid).await.status, 200);
    }
    let detail = server.ended_call(&sid).await;
    assert_eq!(detail["call"]["end_reason"], "carrier_ended");
    let kept: Vec<&Value> =
        detail["recordings"].as_array().unwrap().iter().filter(|row| row["source"] == "carrier").collect();
    assert_eq!(kept.len(), 1, "{detail:#}");
    assert_eq!((kept[0]["location"].as_str(), kept[0]["duration_ms"].as_i64()), (Some(link), Some(61_000)));
    // A recording's address elsewhere is refused by name and never kept.
    for bad in ["http://169.254.169.254/latest", "file:///etc/passwd", "https://evil.example/x.mp3"] {
        let fields = [("CallSid", sid.as_str()), ("RecordingUrl", bad)];
        let refused = web::post_form(&server.hook("recording", &[]), &fields).await.problem(422);
        assert_eq!(refused["field"], "RecordingUrl", "{bad}");
    }
}

/// A status callback in one of its three spellings.
async fn told(server: &Server, kind: &str, fields: &[(&str, &str)]) -> Answer {
    let url = server.hook("status", &[]);
    match kind {
        "urlencoded" => web::post_form(&url, fields).await,
        "JSON" => {
            let body: serde_json::Map<String, Value> =
                fields.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
            web::request(Method::POST, &url, &[("content-type", "application/json")], Value::Object(body).to_string())
                .await
        }
        _ => {
            let part = |(name, value): &(&str, &str)| {
                format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
            };
            let body: String = fields.iter().map(part).collect();
            let kind = "multipart/form-data; boundary=edge";
            web::request(Method::POST, &url, &[("content-type", kind)], format!("{body}--edge--\r\n")).await
        }
    }
}

#[actix_rt::test]
async fn a_status_is_understood_in_every_spelling() {
    let server = Server::start(Settings::default()).await;
    for kind in ["multipart", "urlencoded", "JSON"] {
        let sid = sid("status");
        server.media_url(&sid).await;
        let answered =
            [("CallSid", sid.as_str()), ("EventType", "answered"), ("Status", "in-progress"), ("From", "09876543210")];
        assert_eq!(told(&server, kind, &answered).await.status, 200, "{kind}");
        assert_eq!(server.rows_of(&sid).await.iter().filter(|row| row["state"] == "ended").count(), 0, "{kind}");
        let terminal = [
            ("CallSid", sid.as_str()),
            ("EventType", "terminal"),
            ("Status", "completed"),
            ("StartTime", "2026-08-25 12:07:08"),
            ("EndTime", "1970-01-01 05:30:00"),
            ("ConversationDuration", "48"),
            ("From", "09876543210"),
            ("To", "04440000000"),
            ("digits", "\"5\""),
            ("Legs[0][Status]", "completed"),
            ("RecordingUrl", "null"),
        ];
        let answer = told(&server, kind, &terminal).await;
        assert_eq!(answer.status, 200, "{kind}: {}", answer.text());
        let detail = server.ended_call(&sid).await;
        let call = &detail["call"];
        assert_eq!(call["end_reason"], "carrier_ended", "{kind}");
        until("the carrier's word is kept", SOON, || async {
            let row = server.rows_of(&sid).await.remove(0);
            (row["carrier_status"] == "completed" && row["carrier_duration_s"] == 48).then_some(())
        })
        .await;
        let row = server.rows_of(&sid).await.remove(0);
        let ended = row["carrier_ended_at"].as_str().unwrap_or_else(|| panic!("{kind}: {row}"));
        assert!(ended > "2026-01-01", "{kind}: an epoch of zero is no time: {ended}");
        assert_eq!(row["caller"], "+919876543210", "{kind}");
        // A later status does not reopen it.
        assert_eq!(told(&server, kind, &answered).await.status, 200, "{kind}");
        assert_eq!(server.rows_of(&sid).await.remove(0)["state"], "ended", "{kind}");
    }
}

#[actix_rt::test]
async fn the_passthru_reads_stream_facts_in_brackets_and_as_json() {
    let server = Server::start(Settings::default()).await;
    let link = "https://recordings.exotel.com/exotelrecordings/acme1/9b1d.mp3";
    let json = json!({"StreamSID": "s1", "Status": "cancelled", "Duration": "42", "RecordingUrl": link,
        "DisconnectedBy": "user"})
    .to_string();
    let brackets = [("Stream[Status]", "cancelled"), ("Stream[Duration]", "42"), ("Stream[RecordingUrl]", link)];
    for facts in [&brackets[..], &[("Stream", json.as_str())]] {
        let line = Line::call(&server, "pass").await;
        line.agent_said(300, 0).await;
        let fields =
            [&[("CallSid", line.sid.as_str()), ("digits", "\"5\""), ("CallFrom", "09876543210")], facts].concat();
        let answer = web::get(&server.hook("passthru", &fields)).await;
        assert_eq!(answer.status, 302, "hang up: nobody asked for a person: {}", answer.text());
        let detail = server.ended_call(&line.sid).await;
        assert_eq!(detail["call"]["end_reason"], "caller_hung_up", "{:#}", detail["call"]);
        let kept = detail["recordings"].as_array().unwrap().iter().find(|row| row["source"] == "carrier").cloned();
        let kept = kept.unwrap_or_else(|| panic!("{detail:#}"));
        assert_eq!((kept["location"].as_str(), kept["duration_ms"].as_i64()), (Some(link), Some(42_000)));
    }
    // A stream that never worked is not the caller's fault: a person answers.
    let fields = [("CallSid", "neverstreamed1"), ("CallFrom", "09876543210"), ("Stream[Status]", "failed")];
    assert_eq!(web::get(&server.hook("passthru", &fields)).await.status, 200);
}
