//! The feed: complete, in order, told once, trimmed, whoever writes.

use std::collections::BTreeSet;
use std::time::SystemTime;

use caly::store::recorder::Write;
use caly::store::{CarrierFact, FeedFilter, FeedLimits, FeedRow, RecordingFact, Store};
use caly_actors::domain::{Carrier, CarrierCallId, ClientId, Speaker};
use caly_actors::ports::{Journal, JournalEntry};
use chrono::{TimeDelta, Utc};

use crate::database::World;
use crate::recorder::record_call;
use crate::{SOON, journal};

on_both_engines!(
    the_feed_tells_all_of_a_call_once_in_order_without_speech,
    pages_of_the_feed_and_its_filters_leave_nothing_out,
    a_reader_misses_nothing_while_two_processes_write,
    the_feed_tells_of_carriers_of_calls_they_alone_know_and_of_orphans,
    the_feed_is_trimmed_by_rows_and_by_age_and_says_how_far,
    what_is_written_again_is_told_once,
    a_webhook_repeated_is_told_once_and_nothing_goes_back,
);

/// The whole feed, page by page.
async fn all(store: &Store, filter: &FeedFilter, size: u32) -> Vec<FeedRow> {
    let (mut after, mut rows) = (0, Vec::new());
    loop {
        let page = store.feed_after(after, filter, size).await.unwrap();
        after = page.after;
        rows.extend(page.rows);
        if after >= page.last {
            return rows;
        }
    }
}

fn kinds(rows: &[FeedRow]) -> Vec<&str> {
    rows.iter().map(|row| row.kind.as_str()).collect()
}

async fn the_feed_tells_all_of_a_call_once_in_order_without_speech(world: &World) {
    let client = world.client("shop").await;
    let facts = journal::facts(client, "told");
    let recorder = world.recorder();
    let moved = world.store.feed();
    record_call(&recorder, &facts);
    let (id, now) = (&facts.carrier_call_id, Utc::now());
    recorder.submit(Write::Carrier(CarrierFact::ended(client, Carrier::Exotel, id, "completed", now, Some(9))));
    recorder.submit(Write::Recording(RecordingFact::by_caly(client, Carrier::Exotel, id, "a.wav", None, now)));
    assert!(recorder.flush(SOON).await);
    let rows = all(&world.store, &FeedFilter::default(), 200).await;
    assert!(moved.has_changed().unwrap(), "whoever follows is woken");
    assert_eq!(*moved.borrow(), rows.last().unwrap().seq);
    let expected = [
        "call_admitted",
        "call_answered",
        "event",
        "turn",
        "turn",
        "turn",
        "intent",
        "action",
        "action",
        "event",
        "call_decided",
        "call_ended",
        "carrier_status",
        "recording",
    ];
    assert_eq!(kinds(&rows), expected);
    assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<_>>(), (1..=14).collect::<Vec<i64>>());
    assert!(rows.iter().all(|row| row.call_id == Some(facts.call.0) && row.client_id == client.0));
    let text = rows.iter().map(|row| row.body.to_string()).collect::<String>();
    for secret in ["order कहाँ", "Namaste", "asked for an order", "1001", "9876543210", "a.wav"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    let spoken = FeedFilter { text: true, kinds: vec!["turn".to_owned()], ..FeedFilter::default() };
    let texts: Vec<_> = all(&world.store, &spoken, 200).await.into_iter().map(|row| row.text.unwrap()).collect();
    assert_eq!(texts, ["मेरा order 1001 कहाँ है?", "Namaste, how can I help", "Namaste, how can I help"]);
}

async fn pages_of_the_feed_and_its_filters_leave_nothing_out(world: &World) {
    let (one, other) = (world.client("one").await, world.client("other").await);
    let recorder = world.recorder();
    let mut calls = Vec::new();
    for at in 0..6 {
        let facts = journal::facts(if at % 2 == 0 { one } else { other }, &format!("call-{at}"));
        record_call(&recorder, &facts);
        calls.push(facts);
    }
    assert!(recorder.flush(SOON).await);
    let whole = all(&world.store, &FeedFilter::default(), 200).await;
    for size in [1, 5, 7] {
        assert_eq!(all(&world.store, &FeedFilter::default(), size).await, whole);
    }
    let of = |keep: &dyn Fn(&FeedRow) -> bool| whole.iter().filter(|row| keep(row)).cloned().collect::<Vec<_>>();
    let filter = FeedFilter { client: Some(one), ..FeedFilter::default() };
    assert_eq!(all(&world.store, &filter, 3).await, of(&|row| row.client_id == one.0));
    let filter = FeedFilter { call: Some(calls[3].call), ..FeedFilter::default() };
    assert_eq!(all(&world.store, &filter, 3).await, of(&|row| row.call_id == Some(calls[3].call.0)));
    let ends = vec!["call_admitted".to_owned(), "call_ended".to_owned()];
    let filter = FeedFilter { kinds: ends, client: Some(other), ..FeedFilter::default() };
    assert_eq!(all(&world.store, &filter, 1).await.len(), 6);
    let nobody = FeedFilter { client: Some(ClientId::new()), ..FeedFilter::default() };
    let page = world.store.feed_after(0, &nobody, 2).await.unwrap();
    assert_eq!((page.rows.len(), page.after), (0, whole.last().unwrap().seq), "what does not match is not read again");
}

/// Two processes write at once while a third reads: the reader, going on from what it saw, sees every number once.
async fn a_reader_misses_nothing_while_two_processes_write(world: &World) {
    let client = world.client("shop").await;
    let second = world.second_store(crate::database::options()).await;
    let spool = world.directory.path().join("second-spool");
    let recorders = [
        world.recorder(),
        caly::store::recorder::Recorder::start(second, &spool, caly::store::recorder::RecorderOptions::default()),
    ];
    const EACH: usize = 300;
    let mut calls = Vec::new();
    for (at, recorder) in recorders.iter().enumerate() {
        let facts = journal::facts(client, &format!("busy-{at}"));
        recorder.record(SystemTime::now(), JournalEntry::Admitted(facts.clone().into()));
        assert!(recorder.flush(SOON).await);
        calls.push(facts);
    }
    let reader = {
        let store = world.store.clone();
        tokio::spawn(async move {
            let (mut after, mut seen) = (0, Vec::new());
            while seen.len() < 2 * EACH + 2 {
                let page = store.feed_after(after, &FeedFilter::default(), 17).await.unwrap();
                seen.extend(page.rows.iter().map(|row| row.seq));
                after = page.after;
                tokio::task::yield_now().await;
            }
            seen
        })
    };
    for at in 0..EACH {
        for (recorder, facts) in recorders.iter().zip(&calls) {
            recorder.record(SystemTime::now(), journal::turn(facts, at as u64, Speaker::Caller, "x"));
        }
        if at % 10 == 0 {
            for recorder in &recorders {
                assert!(recorder.flush(SOON).await);
            }
        }
    }
    let seen = tokio::time::timeout(SOON, reader).await.expect("all arrives").unwrap();
    assert_eq!(seen, (1..=2 * EACH as i64 + 2).collect::<Vec<_>>());
}

async fn the_feed_tells_of_carriers_of_calls_they_alone_know_and_of_orphans(world: &World) {
    let client = world.client("shop").await;
    let recorder = world.recorder();
    let facts = journal::facts(client, "left-open");
    recorder.record(SystemTime::now(), JournalEntry::Admitted(facts.clone().into()));
    assert!(recorder.flush(SOON).await);
    let unknown = journal::facts(client, "unknown").carrier_call_id;
    let ringing = CarrierFact::status(client, Carrier::Exotel, &unknown, "ringing", Utc::now());
    world.store.carrier_told(ringing.clone()).await.unwrap();
    world.store.carrier_told(ringing).await.unwrap();
    let url = RecordingFact::by_carrier(client, Carrier::Exotel, &unknown, "https://r.example/x", None, Utc::now());
    world.store.add_recording(url).await.unwrap();
    world.store.interrupt_open_calls(Utc::now(), &[]).await.unwrap();
    world.store.interrupt_open_calls(Utc::now(), &[]).await.unwrap();
    let rows = all(&world.store, &FeedFilter::default(), 200).await;
    assert_eq!(kinds(&rows), ["call_admitted", "carrier_status", "recording", "call_ended"]);
    assert_eq!((rows[1].call_id, rows[1].client_id), (None, client.0));
    assert_eq!((rows[3].call_id, &rows[3].body["end_reason"]), (Some(facts.call.0), &"interrupted".into()));
}

async fn the_feed_is_trimmed_by_rows_and_by_age_and_says_how_far(world: &World) {
    let client = world.client("shop").await;
    let facts = journal::facts(client, "long");
    let recorder = world.recorder();
    recorder.record(SystemTime::now(), JournalEntry::Admitted(facts.clone().into()));
    let say = |from: u64, to: u64| {
        for at in from..to {
            recorder.record(SystemTime::now(), journal::turn(&facts, at, Speaker::Caller, "x"));
        }
    };
    say(1, 100);
    assert!(recorder.flush(SOON).await);
    let rows = FeedLimits { rows: 40, age: TimeDelta::days(1) };
    world.store.trim_feed(rows).await.unwrap();
    let page = world.store.feed_after(0, &FeedFilter::default(), 200).await.unwrap();
    assert_eq!((page.trimmed, page.rows.len(), page.rows[0].seq, page.last), (60, 40, 61, 100));

    // What is old goes when the feed grows past the next round number, without anybody's asking.
    let old = if world.postgres.is_some() { "TIMESTAMPTZ '2020-01-01'" } else { "'2020-01-01T00:00:00+00:00'" };
    world.sql(format!("UPDATE feed SET noted_at = {old} WHERE seq <= 90")).await;
    say(100, 300);
    assert!(recorder.flush(SOON).await);
    let page = world.store.feed_after(60, &FeedFilter::default(), 200).await.unwrap();
    assert_eq!((page.trimmed, page.rows[0].seq, page.last), (90, 91, 300));
    let seqs: BTreeSet<i64> = all(&world.store, &FeedFilter::default(), 200).await.iter().map(|row| row.seq).collect();
    assert_eq!(seqs, (91..=300).collect());
}

/// A batch whose commit was not heard of is written again; so is a spool after a crash.
async fn what_is_written_again_is_told_once(world: &World) {
    let client = world.client("shop").await;
    let facts = journal::facts(client, "again");
    let block = world.take_away().await;
    let recorder = world.recorder();
    record_call(&recorder, &facts);
    assert!(recorder.flush(SOON).await);
    assert!(recorder.stop(SOON).await);
    let spool = world.directory.path().join("spool");
    let saved: Vec<(std::path::PathBuf, Vec<u8>)> = std::fs::read_dir(&spool)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    world.give_back(block).await;
    for _ in 0..2 {
        for (path, bytes) in &saved {
            std::fs::write(path, bytes).unwrap();
        }
        let recorder = world.recorder();
        assert!(recorder.flush(SOON).await);
        assert!(recorder.stop(SOON).await);
    }
    let rows = all(&world.store, &FeedFilter::default(), 200).await;
    assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<_>>(), (1..=12).collect::<Vec<i64>>());
    assert_eq!(rows[11].call_id, Some(facts.call.0));
}

async fn a_webhook_repeated_is_told_once_and_nothing_goes_back(world: &World) {
    let client = world.client("shop").await;
    let id = CarrierCallId::parse("again").unwrap();
    let now = Utc::now();
    let word = |status: &str| CarrierFact::status(client, Carrier::Exotel, &id, status, now);
    let end = || CarrierFact::ended(client, Carrier::Exotel, &id, "completed", now, Some(9));
    let link = || RecordingFact::by_carrier(client, Carrier::Exotel, &id, "https://a/b.mp3", Some(9_000), now);
    let recorder = world.recorder();
    // Each is told again, at once and later, and one comes late.
    for fact in [word("ringing"), word("ringing"), word("in-progress"), end(), end()] {
        recorder.submit(Write::Carrier(fact));
    }
    recorder.submit(Write::Recording(link()));
    assert!(recorder.flush(SOON).await);
    for fact in [word("ringing"), word("in-progress"), word("queued"), end()] {
        world.store.carrier_told(fact).await.unwrap();
    }
    world.store.add_recording(link()).await.unwrap();
    let rows = all(&world.store, &FeedFilter::default(), 200).await;
    let told: Vec<String> = rows.iter().map(|row| format!("{} {}", row.kind, row.body["status"])).collect();
    let expected = [
        "carrier_status \"ringing\"",
        "carrier_status \"in-progress\"",
        "carrier_status \"completed\"",
        "recording null",
    ];
    assert_eq!(told, expected);
}
