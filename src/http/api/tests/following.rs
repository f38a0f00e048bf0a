//! The stream of events: what it tells, that it resumes exactly, and what ends it.

use std::pin::Pin;
use std::time::{Duration, SystemTime};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Service, ServiceResponse};
use actix_web::test::TestRequest;
use caly_actors::domain::*;
use caly_actors::ports::{Journal, JournalEntry};
use serde_json::{Value, json};

use super::world::{SOON, World, delete, get, with_key};
use crate::store::{FeedLimits, Role};

/// One stream of events, read block by block.
struct Reader {
    body: Pin<Box<BoxBody>>,
    rest: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Block {
    id: Option<i64>,
    event: String,
    data: Value,
    retry: bool,
}

impl Reader {
    async fn open(world: &World, query: &str, last: Option<i64>, key: &str) -> Self {
        let door = world.door().await;
        let mut request = TestRequest::get().uri(&format!("/api/v1/events{query}"));
        if let Some(last) = last {
            request = request.insert_header(("Last-Event-ID", last.to_string()));
        }
        let response: ServiceResponse = door.call(with_key(request, key).to_request()).await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers().get("content-type").unwrap(), "text/event-stream");
        let mut reader = Self { body: Box::pin(response.into_body()), rest: String::new() };
        assert!(reader.block().await.unwrap().retry, "how long to wait comes first");
        reader
    }

    /// The next block; `None` at the end.
    async fn block(&mut self) -> Option<Block> {
        loop {
            if let Some((block, rest)) = self.rest.split_once("\n\n") {
                let (block, rest) = (parse(block), rest.to_owned());
                self.rest = rest;
                return Some(block);
            }
            let chunk = std::future::poll_fn(|cx| self.body.as_mut().poll_next(cx));
            let chunk = tokio::time::timeout(SOON, chunk).await.expect("something comes")?;
            self.rest.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
    }

    /// The next event, heartbeats left out.
    async fn event(&mut self) -> Block {
        loop {
            let block = self.block().await.expect("the stream goes on");
            if !block.event.is_empty() {
                return block;
            }
        }
    }

    async fn events(&mut self, count: usize) -> Vec<Block> {
        let mut events = Vec::new();
        while events.len() < count {
            events.push(self.event().await);
        }
        events
    }
}

fn parse(text: &str) -> Block {
    let mut block = Block::default();
    for line in text.lines() {
        match line.split_once(": ").unwrap_or((line, "")) {
            ("id", id) => block.id = Some(id.parse().unwrap()),
            ("event", event) => block.event = event.to_owned(),
            ("data", data) => block.data = serde_json::from_str(data).unwrap(),
            ("retry", _) => block.retry = true,
            _ => assert!(line.starts_with(':'), "{line}"),
        }
    }
    block
}

fn say(world: &World, call: CallId, text: &str) {
    let turn = Turn {
        id: TurnId::new(),
        speaker: Speaker::Caller,
        text: text.into(),
        raw: None,
        unheard: "".into(),
        interrupted: false,
        started: Duration::from_secs(1),
        ended: Duration::from_secs(2),
        latency: None,
    };
    world.app.recorder.record(SystemTime::now(), JournalEntry::Turn { call, turn, under_way: "".into() });
}

async fn flush(world: &World) {
    assert!(world.app.recorder.flush(SOON).await);
}

fn ids(events: &[Block]) -> Vec<i64> {
    events.iter().map(|event| event.id.unwrap()).collect()
}

#[actix_rt::test]
async fn what_happens_in_a_call_is_told_without_speech_and_whole_numbers() {
    let world = World::new().await;
    let viewer = world.key(Role::Viewer, Some(world.shop)).await;
    let mut live = Reader::open(&world, "", None, &viewer).await;
    let call = world.stored_call(world.shop).await;
    world.stored_call(world.other).await;
    say(&world, call, "my secret words");
    let recorder = &world.app.recorder;
    let now = SystemTime::now();
    recorder.record(now, JournalEntry::Answered { call, rate: 8000 });
    let ended = |call| JournalEntry::Ended {
        call,
        reason: EndReason::CallerHungUp,
        at: Duration::from_secs(9),
        usage: Usage::default(),
        degraded: Vec::new(),
    };
    recorder.record(now, ended(call));
    flush(&world).await;
    let events = live.events(4).await;
    let kinds: Vec<&str> = events.iter().map(|event| event.event.as_str()).collect();
    assert_eq!(kinds, ["call_admitted", "turn", "call_answered", "call_ended"]);
    for event in &events {
        assert_eq!((&event.data["call_id"], &event.data["client_id"]), (&json!(call.0), &json!(world.shop.0)));
        assert_eq!((&event.data["seq"], &event.data["kind"]), (&json!(event.id), &json!(event.event)));
        let text = event.data.to_string();
        assert!(!text.contains("secret words") && !text.contains("9876543210"), "{text}");
    }
    assert_eq!(events[0].data["body"]["caller"], "+9198xxxxxx10");
    assert_eq!(
        (&events[1].data["body"]["speaker"], &events[1].data["body"]["characters"]),
        (&json!("caller"), &json!(15))
    );
    assert_eq!(events[3].data["body"]["end_reason"], "caller_hung_up");

    let mut with_text = Reader::open(&world, "?after=0&text=true&kinds=turn,call_ended", None, &viewer).await;
    let events = with_text.events(2).await;
    assert_eq!((&events[0].data["text"], &events[1].data["text"]), (&json!("my secret words"), &Value::Null));
    let admin = world.key(Role::Admin, None).await;
    let mut all = Reader::open(&world, "?after=0", None, &admin).await;
    assert_eq!(ids(&all.events(5).await), [1, 2, 3, 4, 5], "without a filter no number is left out");
    let mut one = Reader::open(&world, &format!("?after=0&call={call}&kinds=call_ended"), None, &admin).await;
    assert_eq!(one.event().await.event, "call_ended");
}

#[actix_rt::test]
async fn a_stream_resumes_without_hole_or_repeat() {
    let world = World::new().await;
    let key = world.key(Role::Viewer, None).await;
    let call = world.stored_call(world.shop).await;
    let mut seen = vec![1];
    // Each round reads some of what is written meanwhile, leaves, and comes back with its last id.
    for round in 0..8 {
        let mut reader = Reader::open(&world, "?after=0", seen.last().copied(), &key).await;
        for at in 0..40 {
            say(&world, call, &format!("{round} {at}"));
        }
        let read = ids(&reader.events(30).await);
        seen.extend(read);
        drop(reader);
    }
    flush(&world).await;
    let mut reader = Reader::open(&world, "", seen.last().copied(), &key).await;
    seen.extend(ids(&reader.events(8 * 10).await));
    assert_eq!(seen, (1..=8 * 40 + 1).collect::<Vec<i64>>());
}

#[actix_rt::test]
async fn a_position_that_is_gone_or_never_was_is_told() {
    let world = World::new().await;
    let key = world.key(Role::Viewer, None).await;
    let call = world.stored_call(world.shop).await;
    for at in 0..9 {
        say(&world, call, &at.to_string());
    }
    flush(&world).await;
    let limits = FeedLimits { rows: 4, ..FeedLimits::default() };
    world.app.store.trim_feed(limits).await.unwrap();
    let mut old = Reader::open(&world, "", Some(3), &key).await;
    let reset = old.event().await;
    assert_eq!((reset.event.as_str(), reset.id), ("reset", Some(6)));
    assert_eq!(reset.data, json!({ "reason": "trimmed", "asked": 3, "after": 6 }));
    assert_eq!(ids(&old.events(4).await), [7, 8, 9, 10]);
    let mut exact = Reader::open(&world, "", Some(6), &key).await;
    assert_eq!(exact.event().await.id, Some(7), "the last one trimmed is no loss to whoever has seen it");
    let mut ahead = Reader::open(&world, "?after=99", None, &key).await;
    let reset = ahead.event().await;
    assert_eq!(reset.data, json!({ "reason": "unknown", "asked": 99, "after": 10 }));
    say(&world, call, "more");
    assert_eq!(ahead.event().await.id, Some(11));
}

#[actix_rt::test]
async fn streams_end_when_the_server_drains_and_none_begins() {
    let world = World::new().await;
    let key = world.key(Role::Viewer, None).await;
    let mut reader = Reader::open(&world, "", None, &key).await;
    world.app.api.end_streams();
    let end = reader.event().await;
    assert_eq!((end.event.as_str(), &end.data), ("end", &json!({ "reason": "draining" })));
    assert_eq!(reader.block().await, None);
    let refused = get(&world.door().await, "/api/v1/events", &key).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "5"));
}

#[actix_rt::test]
async fn a_revoked_keys_stream_ends_and_others_go_on() {
    let world = World::new().await;
    let admin = world.key(Role::Admin, None).await;
    let (id, key) = world.app.store.create_key("", Role::Viewer, None).await.unwrap();
    let mut reader = Reader::open(&world, "", None, &key).await;
    let mut other = Reader::open(&world, "", None, &admin).await;
    assert_eq!(delete(&world.door().await, &format!("/api/v1/keys/{id}"), &admin).await.status, 204);
    assert_eq!(reader.event().await.data, json!({ "reason": "key" }));
    assert_eq!(reader.block().await, None);
    world.stored_call(world.shop).await;
    assert_eq!(other.event().await.event, "call_admitted");
}

#[actix_rt::test]
async fn streams_are_counted_by_key_and_given_back() {
    let world = World::new().await;
    let key = world.key(Role::Viewer, None).await;
    let mut open = Vec::new();
    for _ in 0..10 {
        open.push(Reader::open(&world, "", None, &key).await);
    }
    let door = world.door().await;
    let refused = get(&door, "/api/v1/events", &key).await;
    assert_eq!((refused.status, refused.problem().as_str()), (429, "too-many-requests"));
    assert_eq!(refused.header("retry-after"), "5");
    let mut others = Vec::new();
    for _ in 0..3 {
        let key = world.key(Role::Viewer, Some(world.shop)).await;
        for _ in 0..10 {
            others.push(Reader::open(&world, "", None, &key).await);
        }
    }
    let enough = get(&door, "/api/v1/events", &world.key(Role::Viewer, Some(world.shop)).await).await;
    assert_eq!(
        (enough.status, enough.problem().as_str()),
        (429, "too-many-requests"),
        "a client leaves room for others"
    );
    for _ in 0..6 {
        let key = world.key(Role::Viewer, None).await;
        for _ in 0..10 {
            others.push(Reader::open(&world, "", None, &key).await);
        }
    }
    let full = get(&door, "/api/v1/events", &world.key(Role::Viewer, None).await).await;
    assert_eq!((full.status, full.problem().as_str()), (503, "unavailable"));
    assert_eq!(world.app.api.streams.count(), 100);
    drop((open, others));
    let empty = async {
        while world.app.api.streams.count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, empty).await.expect("a stream nobody reads gives its place back");
}

#[actix_rt::test]
async fn what_a_stream_is_asked_must_fit() {
    let world = World::new().await;
    let (door, key) = (world.door().await, world.key(Role::Viewer, Some(world.shop)).await);
    let foreign = world.stored_call(world.other).await;
    for (query, status, field) in [
        ("after=-1".to_owned(), 422, "after"),
        ("after=soon".to_owned(), 422, "after"),
        ("kinds=turns".to_owned(), 422, "kinds"),
        ("kinds=".to_owned(), 422, "kinds"),
        ("call=7".to_owned(), 422, "call"),
        ("text=yes".to_owned(), 422, "text"),
        ("limit=1".to_owned(), 422, "limit"),
        (format!("call={foreign}"), 404, "call"),
        ("client=other".to_owned(), 404, "client"),
    ] {
        let answer = get(&door, &format!("/api/v1/events?{query}"), &key).await;
        assert_eq!((answer.status, &answer.json()["field"]), (status, &json!(field)), "{query}: {}", answer.body);
    }
    let odd = with_key(TestRequest::get().uri("/api/v1/events").insert_header(("Last-Event-ID", "x")), &key);
    let answer = super::world::send(&door, odd).await;
    assert_eq!((answer.status, &answer.json()["field"]), (422, &json!("Last-Event-ID")));
}

#[actix_rt::test]
async fn a_reader_that_does_not_read_is_cut() {
    let world = World::new().await;
    world.app.api.streams.be_impatient(Duration::from_millis(300));
    let key = world.key(Role::Viewer, None).await;
    let call = world.stored_call(world.shop).await;
    for at in 0..1_200 {
        say(&world, call, &at.to_string());
    }
    flush(&world).await;
    let mut reader = Reader::open(&world, "?after=0", None, &key).await;
    let cut = async {
        while world.app.api.streams.count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, cut).await.expect("the stream gives up");
    let mut last = 0;
    while let Some(block) = reader.block().await {
        assert_ne!(block.event, "end", "whoever does not read is not told");
        last = block.id.unwrap();
    }
    assert!((100..1_200).contains(&last), "a bounded number of events had waited: {last}");
    let mut again = Reader::open(&world, "", Some(last), &key).await;
    assert_eq!(again.event().await.id, Some(last + 1), "it may come back for the rest");
}
