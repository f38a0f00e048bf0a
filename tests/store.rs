//! The store from outside, every test on SQLite and on PostgreSQL.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "shared with other test binaries")]

#[path = "support/database.rs"]
mod database;
#[path = "support/journal.rs"]
mod journal;

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use caly::store::recorder::Write;
use caly::store::{
    ActionFilter, AuditEntry, Basic, CallFilter, CarrierFact, NewClient, RecordingFact, Role, Store, StoreError,
    StoreOptions, hash_secret,
};
use caly_actors::domain::{ActionState, Carrier, CarrierCallId, ClientId, EndReason, PhoneNumber, Speaker};
use caly_actors::ports::{Journal, JournalEntry};
use chrono::{DateTime, TimeDelta, Utc};
use recorder::record_call;
use serde_json::json;

use database::{World, options};

const SOON: Duration = Duration::from_secs(20);

/// Each test twice, under the name of its engine.
macro_rules! on_both_engines {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { crate::run(false, super::$name).await; })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { crate::run(true, super::$name).await; })+
        }
    };
}

async fn run(postgres: bool, test: impl AsyncFn(&World)) {
    let world = World::migrated(postgres).await;
    test(&world).await;
    world.finish().await;
}

#[path = "store/analytics.rs"]
mod analytics;
#[path = "store/appointments.rs"]
mod appointments;
#[path = "store/customers.rs"]
mod customers;
#[path = "store/recorder.rs"]
mod recorder;
#[path = "store/restart.rs"]
mod restart;
#[path = "store/suppressions.rs"]
mod suppressions;

on_both_engines!(
    migrations_may_run_again,
    a_newer_schema_is_refused_and_never_served,
    nothing_is_served_before_the_migrations,
    a_client_is_found_by_its_slug_and_a_slug_is_unique,
    pages_of_clients_hold_each_once,
    a_number_belongs_to_one_client,
    parallel_publishers_get_versions_in_a_row_and_one_is_in_use,
    the_directory_holds_secrets_that_are_never_serialised,
    a_key_is_found_until_it_is_revoked,
    audit_entries_come_back_newest_first,
    an_end_before_the_start_makes_one_row_that_stays_ended,
    a_hundred_parallel_ends_of_one_call_make_one_row,
    the_carriers_word_never_goes_back,
    another_clients_webhook_changes_nothing,
    a_recording_may_come_before_its_call_and_twice,
    pages_of_calls_with_equal_times_hold_each_once,
    calls_are_filtered,
    orphans_are_closed_and_their_actions_become_unknown,
    a_made_up_cursor_is_invalid,
    a_waiting_writer_is_given_up_in_time,
);

async fn migrations_may_run_again(world: &World) {
    world.store.migrate().await.unwrap();
    let again = world.second_store(options()).await;
    again.ping().await.unwrap();
}

async fn a_newer_schema_is_refused_and_never_served(world: &World) {
    let checksum = if world.postgres.is_some() { "'\\x00'" } else { "x'00'" };
    world
        .sql(format!(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (9999, 'later', TRUE, {checksum}, 0)"
        ))
        .await;
    let older = Store::connect(&world.url, options()).await.unwrap();
    assert_eq!(older.migrate().await, Err(StoreError::NewerSchema(9999)));
    assert_eq!(older.ping().await, Err(StoreError::NewerSchema(9999)));
    assert_eq!(older.list_clients(None, 10).await, Err(StoreError::NewerSchema(9999)));
}

async fn nothing_is_served_before_the_migrations(world: &World) {
    let other = Store::connect(&world.url, options()).await.unwrap();
    assert!(matches!(other.ping().await, Err(StoreError::Unavailable { .. })));
    other.migrate().await.unwrap();
    other.ping().await.unwrap();
}

async fn a_client_is_found_by_its_slug_and_a_slug_is_unique(world: &World) {
    let store = &world.store;
    let created = store.create_client(NewClient::named("shop", "A shop")).await.unwrap();
    assert_eq!(store.client_by_slug("shop").await.unwrap(), Some(created.client.clone()));
    assert_eq!(store.client_by_slug("none").await.unwrap(), None);
    let again = store.create_client(NewClient::named("shop", "Another")).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
    let odd = store.create_client(NewClient::named("A shop!", "x")).await;
    assert!(matches!(odd, Err(StoreError::Invalid(_))), "{odd:?}");
    let odd = NewClient { answer_style: "yaml".to_owned(), ..NewClient::named("other", "x") };
    assert!(matches!(store.create_client(odd).await, Err(StoreError::Invalid(_))));

    let id = ClientId(created.client.id);
    store.set_client_disabled(id, true).await.unwrap();
    assert!(store.client(id).await.unwrap().disabled);
    let nobody = ClientId::new();
    assert_eq!(store.set_client_disabled(nobody, true).await, Err(StoreError::NotFound));
    assert_eq!(store.client(nobody).await, Err(StoreError::NotFound));
}

async fn pages_of_clients_hold_each_once(world: &World) {
    for at in 0..7 {
        world.client(&format!("shop-{at}")).await;
    }
    let mut slugs = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = world.store.list_clients(cursor.as_deref(), 3).await.unwrap();
        assert!(page.items.len() <= 3);
        slugs.extend(page.items.into_iter().map(|row| row.slug));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(slugs, ["shop-6", "shop-5", "shop-4", "shop-3", "shop-2", "shop-1", "shop-0"]);
}

async fn a_number_belongs_to_one_client(world: &World) {
    let (one, other) = (world.client("one").await, world.client("other").await);
    let number = PhoneNumber::parse("+912248966200").unwrap();
    let row = world.store.add_number(one, &number, Some("main")).await.unwrap();
    assert_eq!((row.e164.as_str(), row.label.as_deref()), ("+912248966200", Some("main")));
    let again = world.store.add_number(other, &number, None).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
    let nobody = world.store.add_number(ClientId::new(), &PhoneNumber::parse("+912248966201").unwrap(), None).await;
    assert!(matches!(nobody, Err(StoreError::Conflict(_))), "{nobody:?}");
    assert_eq!(world.store.list_numbers(Some(one), None, 9).await.unwrap().items, [row]);
    assert_eq!(world.store.list_numbers(Some(other), None, 9).await.unwrap().items, []);
}

async fn parallel_publishers_get_versions_in_a_row_and_one_is_in_use(world: &World) {
    let client = world.client("shop").await;
    let publish = |at: i64| {
        let store = world.store.clone();
        tokio::spawn(async move { store.publish_agent(client, "Asha", json!({"at": at})).await.unwrap() })
    };
    let mut versions = Vec::new();
    for task in (0..10).map(publish).collect::<Vec<_>>() {
        versions.push(task.await.unwrap().version);
    }
    versions.sort_unstable();
    assert_eq!(versions, (1..=10).collect::<Vec<_>>());
    let agents = world.store.list_agents(Some(client), None, 50).await.unwrap().items;
    let used: Vec<_> = agents.iter().filter(|agent| agent.published).map(|agent| agent.version).collect();
    assert_eq!((agents.len(), used), (10, vec![10]));
    let nobody = world.store.publish_agent(ClientId::new(), "x", json!({})).await;
    assert_eq!(nobody, Err(StoreError::NotFound));
}

async fn the_directory_holds_secrets_that_are_never_serialised(world: &World) {
    let basic = Basic { user: "exotel".to_owned(), password: "a-long-password-here".to_owned() };
    let new = NewClient {
        basic: Some(basic),
        signature_secret: Some("sign-me".to_owned().into()),
        ip_allow_list: vec!["10.0.0.0/8".to_owned()],
        ..NewClient::named("shop", "A shop")
    };
    let created = world.store.create_client(new).await.unwrap();
    let id = ClientId(created.client.id);
    world.store.add_number(id, &PhoneNumber::parse("+912248966200").unwrap(), None).await.unwrap();
    world.store.publish_agent(id, "Asha", json!({"v": 1})).await.unwrap();
    let newest = world.store.publish_agent(id, "Asha", json!({"v": 2})).await.unwrap();

    let directory = world.store.load_directory().await.unwrap();
    let entry = &directory.clients[0];
    assert_eq!(entry.secrets.webhook_secret_hash, hash_secret(&created.webhook_secret));
    assert_eq!(entry.secrets.basic_password_hash, Some(hash_secret("a-long-password-here")));
    assert_eq!(entry.secrets.signature_secret.as_deref(), Some("sign-me"));
    assert_eq!(directory.agents, [newest]);
    assert_eq!(directory.numbers.len(), 1);
    let shown = format!("{}{directory:?}{created:?}", serde_json::to_string(&entry.client).unwrap());
    for secret in ["sign-me", "a-long-password", &created.webhook_secret, &entry.secrets.http_secret] {
        assert!(!shown.contains(secret));
    }
    let rotated = world.store.rotate_webhook_secret(id).await.unwrap();
    let directory = world.store.load_directory().await.unwrap();
    assert_eq!(directory.clients[0].secrets.webhook_secret_hash, hash_secret(&rotated));
}

async fn a_key_is_found_until_it_is_revoked(world: &World) {
    let client = world.client("shop").await;
    let (id, key) = world.store.create_key("laptop", Role::Operator, Some(client)).await.unwrap();
    assert!(key.starts_with("caly_o_") && key.len() == 50, "{}", key.len());
    let found = world.store.find_key(&key).await.unwrap().unwrap();
    assert_eq!((found.id, found.role.as_str(), found.client_id), (id, "operator", Some(client.0)));
    assert_eq!(found.prefix, key[..13]);
    assert_eq!(world.store.find_key(&format!("{key}x")).await.unwrap(), None);
    let now = DateTime::from_timestamp_micros(Utc::now().timestamp_micros()).unwrap();
    world.store.touch_key(id, now).await.unwrap();
    assert_eq!(world.store.list_keys(None, 9).await.unwrap().items[0].last_used_at, Some(now));
    world.store.revoke_key(id).await.unwrap();
    world.store.revoke_key(id).await.unwrap();
    assert_eq!(world.store.find_key(&key).await.unwrap(), None);
    assert!(world.store.list_keys(None, 9).await.unwrap().items[0].revoked_at.is_some());
    assert_eq!(world.store.revoke_key(uuid::Uuid::now_v7()).await, Err(StoreError::NotFound));
}

async fn audit_entries_come_back_newest_first(world: &World) {
    let client = world.client("shop").await;
    for (at, action) in ["first", "second", "third"].into_iter().enumerate() {
        let entry = AuditEntry::new("caly", action, "ok").from_address([127, 0, 0, 1].into()).detail(json!({"at": at}));
        let entry = if at == 1 { entry.of(client) } else { entry };
        world.store.append_audit(entry).await.unwrap();
    }
    let actions = |rows: Vec<caly::store::rows::AuditRow>| rows.into_iter().map(|row| row.action).collect::<Vec<_>>();
    let first = world.store.list_audit(None, None, 2).await.unwrap();
    let rest = world.store.list_audit(None, first.next.as_deref(), 2).await.unwrap();
    assert_eq!(
        (actions(first.items), actions(rest.items)),
        (vec!["third".into(), "second".into()], vec!["first".into()])
    );
    assert_eq!(actions(world.store.list_audit(Some(client), None, 9).await.unwrap().items), ["second"]);
}

fn carrier_id(text: &str) -> CarrierCallId {
    CarrierCallId::parse(text).unwrap()
}

async fn an_end_before_the_start_makes_one_row_that_stays_ended(world: &World) {
    let client = world.client("shop").await;
    let facts = journal::facts(client, "early-end");
    let recorder = world.recorder();
    let ended = CarrierFact::ended(client, Carrier::Exotel, &facts.carrier_call_id, "completed", Utc::now(), Some(3));
    recorder.submit(Write::Carrier(ended));
    assert!(recorder.flush(SOON).await);
    let early = world.store.find_call_by_carrier_id(Carrier::Exotel, &facts.carrier_call_id).await.unwrap().unwrap();
    assert_eq!((early.state.as_str(), early.end_reason.as_deref()), ("ended", Some("carrier_ended")));

    let now = SystemTime::now();
    recorder.record(now, JournalEntry::Admitted(facts.clone().into()));
    recorder.record(now, JournalEntry::Answered { call: facts.call, rate: 8000 });
    recorder.record(now, journal::turn(&facts, 1, Speaker::Caller, "hello"));
    assert!(recorder.flush(SOON).await);
    assert_eq!(recorder.snapshot().rejected, 0);
    let detail = world.store.call_detail(facts.call).await.unwrap();
    assert_eq!((detail.call.state.as_str(), detail.call.agent_version), ("ended", Some(3)));
    assert_eq!((detail.call.carrier_duration_s, detail.turns.len()), (Some(3), 1));
    assert_eq!(world.store.list_calls(&CallFilter::default(), None, 9).await.unwrap().items.len(), 1);
}

async fn a_hundred_parallel_ends_of_one_call_make_one_row(world: &World) {
    let client = world.client("shop").await;
    let tell = |at: i64| {
        let (store, id) = (world.store.clone(), carrier_id("busy"));
        let fact = CarrierFact::ended(client, Carrier::Exotel, &id, "completed", Utc::now(), Some(at));
        tokio::spawn(async move { store.carrier_told(fact).await })
    };
    for task in (0..100).map(tell).collect::<Vec<_>>() {
        task.await.unwrap().unwrap();
    }
    assert_eq!(world.store.list_calls(&CallFilter::default(), None, 9).await.unwrap().items.len(), 1);
}

async fn the_carriers_word_never_goes_back(world: &World) {
    let client = world.client("shop").await;
    let facts = journal::facts(client, "steps");
    let recorder = world.recorder();
    recorder.record(SystemTime::now(), JournalEntry::Admitted(facts.clone().into()));
    let id = &facts.carrier_call_id;
    let at = DateTime::from_timestamp_micros(1_763_000_000_000_000).unwrap();
    recorder.submit(Write::Carrier(CarrierFact::status(client, Carrier::Exotel, id, "in-progress", at)));
    assert!(recorder.flush(SOON).await);
    let row = world.store.find_call_by_carrier_id(Carrier::Exotel, id).await.unwrap().unwrap();
    assert_eq!((row.state.as_str(), row.carrier_status.as_deref()), ("admitted", Some("in-progress")));

    recorder.submit(Write::Carrier(CarrierFact::ended(client, Carrier::Exotel, id, "completed", at, None)));
    recorder.submit(Write::Carrier(CarrierFact::ended(client, Carrier::Exotel, id, "failed", Utc::now(), Some(7))));
    recorder.submit(Write::Carrier(CarrierFact::status(client, Carrier::Exotel, id, "in-progress", at)));
    let reason = EndReason::CallerHungUp;
    recorder.record(SystemTime::now(), journal::ended(&facts, reason));
    recorder.record(SystemTime::now(), journal::ended(&facts, EndReason::Drained));
    assert!(recorder.flush(SOON).await);
    let row = world.store.find_call_by_carrier_id(Carrier::Exotel, id).await.unwrap().unwrap();
    assert_eq!((row.state.as_str(), row.carrier_status.as_deref()), ("ended", Some("completed")));
    assert_eq!((row.carrier_duration_s, row.carrier_ended_at), (Some(7), Some(at)));
    assert_eq!((row.end_reason.as_deref(), row.ended_by.as_deref()), (Some("caller_hung_up"), Some("caly")));
}

async fn another_clients_webhook_changes_nothing(world: &World) {
    let (owner, other) = (world.client("owner").await, world.client("other").await);
    let facts = journal::facts(owner, "mine");
    let recorder = world.recorder();
    recorder.record(SystemTime::now(), JournalEntry::Admitted(facts.clone().into()));
    let id = &facts.carrier_call_id;
    recorder.submit(Write::Carrier(CarrierFact::ended(other, Carrier::Exotel, id, "completed", Utc::now(), None)));
    recorder.submit(Write::Carrier(CarrierFact::status(other, Carrier::Exotel, id, "ringing", Utc::now())));
    let url = "https://recordings.example/x.mp3";
    recorder.submit(Write::Recording(RecordingFact::by_carrier(other, Carrier::Exotel, id, url, None, Utc::now())));
    assert!(recorder.flush(SOON).await);
    let detail = world.store.call_detail(facts.call).await.unwrap();
    assert_eq!(
        (detail.call.state.as_str(), detail.call.carrier_status, detail.recordings.len()),
        ("admitted", None, 0)
    );
}

async fn a_recording_may_come_before_its_call_and_twice(world: &World) {
    let client = world.client("shop").await;
    let facts = journal::facts(client, "recorded");
    let id = &facts.carrier_call_id;
    let url = "https://recordings.example/a.mp3";
    let fact = |duration| RecordingFact::by_carrier(client, Carrier::Exotel, id, url, duration, Utc::now());
    world.store.add_recording(fact(None)).await.unwrap();
    let recorder = world.recorder();
    record_call(&recorder, &facts);
    recorder.submit(Write::Recording(fact(Some(8000))));
    let own = RecordingFact::by_caly(client, Carrier::Exotel, id, "recordings/a.wav", Some(9000), Utc::now());
    recorder.submit(Write::Recording(own));
    assert!(recorder.flush(SOON).await);
    let recordings = world.store.call_detail(facts.call).await.unwrap().recordings;
    let brief: Vec<_> = recordings.iter().map(|row| (row.source.as_str(), row.duration_ms)).collect();
    assert_eq!(brief, [("carrier", Some(8000)), ("caly", Some(9000))]);
}

async fn pages_of_calls_with_equal_times_hold_each_once(world: &World) {
    let client = world.client("shop").await;
    let recorder = world.recorder();
    let now = SystemTime::now();
    let mut expected = HashSet::new();
    for at in 0..25 {
        // Five times, five calls each.
        let mut facts = journal::facts(client, &format!("page-{at}"));
        facts.admitted_at = now + Duration::from_micros(at / 5);
        expected.insert(facts.call.0);
        recorder.record(now, JournalEntry::Admitted(facts.into()));
    }
    assert!(recorder.flush(SOON).await);
    let (mut seen, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = world.store.list_calls(&CallFilter::default(), cursor.as_deref(), 4).await.unwrap();
        seen.extend(page.items.into_iter().map(|row| (row.admitted_at, row.id)));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert!(seen.is_sorted_by(|a, b| a > b), "newest first");
    assert_eq!(seen.iter().map(|(_, id)| *id).collect::<HashSet<_>>(), expected);
    assert_eq!(seen.len(), 25);
}

async fn calls_are_filtered(world: &World) {
    let (one, other) = (world.client("one").await, world.client("other").await);
    let recorder = world.recorder();
    let mut old = journal::facts(one, "old");
    old.admitted_at = SystemTime::now() - Duration::from_secs(3600);
    record_call(&recorder, &old);
    recorder.record(SystemTime::now(), JournalEntry::Admitted(journal::facts(one, "new").into()));
    recorder.record(SystemTime::now(), JournalEntry::Admitted(journal::facts(other, "theirs").into()));
    assert!(recorder.flush(SOON).await);
    let ids = async |filter: CallFilter| {
        let rows = world.store.list_calls(&filter, None, 9).await.unwrap().items;
        rows.into_iter().map(|row| row.carrier_call_id).collect::<Vec<_>>()
    };
    let hour = Utc::now() - TimeDelta::minutes(30);
    assert_eq!(ids(CallFilter { client: Some(one), ..Default::default() }).await, ["new", "old"]);
    assert_eq!(ids(CallFilter { state: Some("ended".to_owned()), ..Default::default() }).await, ["old"]);
    assert_eq!(ids(CallFilter { to: Some(hour), ..Default::default() }).await, ["old"]);
    assert_eq!(ids(CallFilter { client: Some(one), from: Some(hour), ..Default::default() }).await, ["new"]);
    let done =
        ActionFilter { state: Some("done".to_owned()), name: Some("order_status".to_owned()), client: Some(one) };
    assert_eq!(world.store.list_actions(&done, None, 9).await.unwrap().items.len(), 1);
    let theirs = ActionFilter { client: Some(other), ..Default::default() };
    assert_eq!(world.store.list_actions(&theirs, None, 9).await.unwrap().items, []);
}

async fn orphans_are_closed_and_their_actions_become_unknown(world: &World) {
    let client = world.client("shop").await;
    let recorder = world.recorder();
    let (gone, alive, over) =
        (journal::facts(client, "gone"), journal::facts(client, "alive"), journal::facts(client, "over"));
    let now = SystemTime::now();
    for facts in [&gone, &alive] {
        recorder.record(now, JournalEntry::Admitted(facts.clone().into()));
        recorder.record(now, journal::turn(facts, 4, Speaker::Caller, "hello"));
        recorder.record(now, journal::action(facts, ActionState::Running));
    }
    record_call(&recorder, &over);
    assert!(recorder.flush(SOON).await);
    let interrupted = world.store.interrupt_open_calls(Utc::now(), &[alive.call]).await.unwrap();
    assert_eq!(interrupted.len(), 1);
    assert_eq!(world.store.interrupt_open_calls(Utc::now(), &[alive.call]).await, Ok(Vec::new()));
    let detail = world.store.call_detail(gone.call).await.unwrap();
    assert_eq!((detail.call.state.as_str(), detail.call.end_reason.as_deref()), ("ended", Some("interrupted")));
    assert_eq!((detail.call.duration_ms, detail.actions[0].state.as_str()), (Some(5000), "unknown"));
    assert_eq!(world.store.call_detail(alive.call).await.unwrap().actions[0].state, "running");
    assert_eq!(world.store.call_detail(over.call).await.unwrap().call.end_reason.as_deref(), Some("agent_ended"));
}

async fn a_made_up_cursor_is_invalid(world: &World) {
    for cursor in ["", "x", "AAAAAAAAAAAAAAAA"] {
        let listed = world.store.list_calls(&CallFilter::default(), Some(cursor), 9).await;
        assert!(matches!(listed, Err(StoreError::Invalid(_))), "{listed:?}");
    }
}

async fn a_waiting_writer_is_given_up_in_time(world: &World) {
    let limits = StoreOptions {
        max_connections: 2,
        acquire_timeout: Duration::from_millis(300),
        statement_timeout: Duration::from_millis(300),
    };
    let store = world.second_store(limits).await;
    let block = world.block_writers().await;
    let started = std::time::Instant::now();
    let refused = store.append_audit(AuditEntry::new("caly", "test", "ok")).await;
    assert!(refused.as_ref().is_err_and(StoreError::is_unavailable), "{refused:?}");
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    block.release().await;
    // The abandoned statement may still hold the writer for a moment.
    let entry = AuditEntry::new("caly", "test", "ok");
    let again = tokio::time::timeout(SOON, async {
        while store.append_audit(entry.clone()).await.is_err() {
            tokio::task::yield_now().await;
        }
    });
    again.await.unwrap();
    assert_eq!(world.store.list_audit(None, None, 9).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn a_url_of_another_kind_is_invalid() {
    for url in ["mysql://x/y", "caly.db", "sqlite::memory:", ""] {
        let opened = Store::connect(url, StoreOptions::default()).await;
        assert!(matches!(opened, Err(StoreError::Invalid(_))), "{url}: {opened:?}");
    }
}

#[tokio::test]
async fn a_database_that_is_down_is_no_error_before_it_is_asked() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let limits = StoreOptions { acquire_timeout: Duration::from_millis(200), ..StoreOptions::default() };
    let store = Store::connect(&format!("postgres://nobody@{closed}/none"), limits).await.unwrap();
    assert!(store.migrate().await.is_err_and(|error| error.is_unavailable()));
    assert!(store.ping().await.is_err_and(|error| error.is_unavailable()));
}
