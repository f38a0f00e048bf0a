//! The webhooks of one call in every order they can come in: its record only moves forward, and is one.

use futures_util::future::join_all;
use serde_json::Value;

use crate::line::sid;
use crate::server::{Database, SOON, Server, Settings};
use crate::web::{self, until};

const LINK: &str = "https://recordings.exotel.com/exotelrecordings/acme1/order.mp3";

/// What the carrier says about one call, each by its hook.
const TOLD: [(&str, &[(&str, &str)]); 5] = [
    ("call-start", &[("CallFrom", "09876543210"), ("CallTo", "08047112233")]),
    ("status", &[("EventType", "answered"), ("Status", "in-progress")]),
    ("status", &[("EventType", "terminal"), ("Status", "completed"), ("ConversationDuration", "48")]),
    ("recording", &[("RecordingUrl", LINK), ("RecordingDuration", "61")]),
    ("call-end", &[("Status", "completed")]),
];

fn orders(left: Vec<usize>) -> Vec<Vec<usize>> {
    if left.len() <= 1 {
        return vec![left];
    }
    let with_first = |at: usize| {
        let mut rest = left.clone();
        let first = rest.remove(at);
        orders(rest).into_iter().map(move |rest| [vec![first], rest].concat())
    };
    (0..left.len()).flat_map(with_first).collect()
}

/// Tells one call in one order; every second order is told twice, as a carrier that missed our answer does.
async fn tell(server: &Server, order: &[usize], twice: bool) -> String {
    let sid = sid("order");
    let mut over = false;
    for &which in order {
        let (hook, fields) = TOLD[which];
        let fields = [&[("CallSid", sid.as_str())], fields].concat();
        for _ in 0..=usize::from(twice) {
            let answer = web::get(&server.hook(hook, &fields)).await;
            let expected = if hook == "call-start" && over { 410 } else { 200 };
            assert_eq!(answer.status, expected, "{order:?} {hook}: {}", answer.text());
        }
        over |= matches!(which, 2 | 4);
    }
    sid
}

async fn every_order(database: Database) {
    let server = Server::start(Settings::on(database)).await;
    let orders = orders((0..TOLD.len()).collect());
    assert_eq!(orders.len(), 120);
    let mut told = Vec::new();
    for some in orders.chunks(10) {
        let some = some.iter().enumerate().map(|(at, order)| tell(&server, order, at % 2 == 1));
        told.extend(join_all(some).await);
    }
    let rows = until("every call is ended", SOON, || async {
        let rows = server.calls().await;
        (rows.len() >= told.len() && rows.iter().all(|row| row["state"] == "ended")).then_some(rows)
    })
    .await;
    assert_eq!(rows.len(), told.len(), "one row a call");
    for (sid, order) in told.iter().zip(&orders) {
        let detail = until("the carrier's words are kept", SOON, || async {
            let detail = server.ended_call(sid).await;
            let kept = |row: &&Value| row["source"] == "carrier";
            let links = detail["recordings"].as_array().unwrap().iter().filter(kept).count();
            (links == 1 && detail["call"]["carrier_duration_s"] == 48).then_some(detail)
        })
        .await;
        assert_eq!(detail["call"]["carrier_status"], "completed", "{order:?}: {:#}", detail["call"]);
    }
    server.nothing_left(SOON).await;
}

#[actix_rt::test]
async fn webhooks_in_every_order_make_one_ended_call_on_sqlite() {
    every_order(Database::Sqlite).await;
}

#[actix_rt::test]
async fn webhooks_in_every_order_make_one_ended_call_on_postgres() {
    every_order(Database::Postgres).await;
}
