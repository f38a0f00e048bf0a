//! The store from outside, every test on SQLite and on PostgreSQL.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "shared with other test binaries")]

#[path = "support/journal.rs"]
mod journal;
#[path = "support/postgres.rs"]
mod pg_server;

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use caly::store::recorder::{Recorder, RecorderOptions, Write};
use caly::store::{
    ActionFilter, AuditEntry, Basic, CallFilter, CarrierFact, NewClient, RecordingFact, Role, Store, StoreError,
    StoreOptions, hash_secret,
};
use caly_actors::domain::{
    ActionState, AfterStream, CallFacts, CallId, Carrier, CarrierCallId, ClientId, EndReason, PhoneNumber, Speaker,
};
use caly_actors::ports::{Journal, JournalEntry};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

const SOON: Duration = Duration::from_secs(20);

/// One engine with a database of its own and a directory for files.
struct World {
    store: Store,
    url: String,
    directory: tempfile::TempDir,
    postgres: Option<pg_server::TestDatabase>,
}

/// Keeps every writer waiting until it is dropped or released.
enum Block {
    Sqlite(sqlx::SqliteConnection),
    Postgres(sqlx::PgConnection),
}

impl Block {
    async fn release(self) {
        match self {
            Self::Sqlite(connection) => connection.close().await.unwrap(),
            Self::Postgres(connection) => connection.close().await.unwrap(),
        }
    }
}

fn options() -> StoreOptions {
    StoreOptions {
        max_connections: 4,
        acquire_timeout: Duration::from_secs(2),
        statement_timeout: Duration::from_secs(2),
    }
}

impl World {
    async fn open(postgres: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let postgres = if postgres { Some(pg_server::TestDatabase::create().await) } else { None };
        let url = match &postgres {
            Some(database) => database.url.clone(),
            None => format!("sqlite://{}/new/caly.db", directory.path().display()),
        };
        let store = Store::connect(&url, options()).await.unwrap();
        Self { store, url, directory, postgres }
    }

    async fn migrated(postgres: bool) -> Self {
        let world = Self::open(postgres).await;
        world.store.migrate().await.unwrap();
        world
    }

    /// A second program on the same database.
    async fn second_store(&self, options: StoreOptions) -> Store {
        let store = Store::connect(&self.url, options).await.unwrap();
        store.migrate().await.unwrap();
        store
    }

    fn recorder(&self) -> std::sync::Arc<Recorder> {
        Recorder::start(self.store.clone(), &self.directory.path().join("spool"), RecorderOptions::default())
    }

    async fn client(&self, slug: &str) -> ClientId {
        ClientId(self.store.create_client(NewClient::named(slug, "A shop")).await.unwrap().client.id)
    }

    /// Runs SQL behind the store's back.
    async fn sql(&self, sql: String) {
        match &self.postgres {
            Some(database) => {
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut database.connect().await).await.unwrap();
            }
            None => {
                let mut connection = self.sqlite_connection().await;
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
        }
    }

    async fn sqlite_connection(&self) -> sqlx::SqliteConnection {
        let options: sqlx::sqlite::SqliteConnectOptions = self.url.parse().unwrap();
        options.connect().await.unwrap()
    }

    async fn block_writers(&self) -> Block {
        match &self.postgres {
            Some(database) => {
                let mut connection = database.connect().await;
                let sql = "BEGIN; LOCK TABLE calls, turns, call_events, audit_log IN ACCESS EXCLUSIVE MODE";
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
                Block::Postgres(connection)
            }
            None => {
                let mut connection = self.sqlite_connection().await;
                sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
                Block::Sqlite(connection)
            }
        }
    }

    async fn finish(self) {
        self.store.close().await;
        if let Some(database) = &self.postgres {
            database.drop_database().await;
        }
    }
}

macro_rules! on_both_engines {
    ($($(#[$start:ident])? $name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::run(false, super::$name).await; })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::run(true, super::$name).await; })+
        }
    };
}

async fn run(postgres: bool, test: impl AsyncFn(&World)) {
    let world = World::migrated(postgres).await;
    test(&world).await;
    world.finish().await;
}

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
    a_whole_call_is_kept_as_it_was_recorded,
    an_end_before_the_start_makes_one_row_that_stays_ended,
    a_hundred_parallel_ends_of_one_call_make_one_row,
    the_carriers_word_never_goes_back,
    another_clients_webhook_changes_nothing,
    a_recording_may_come_before_its_call_and_twice,
    pages_of_calls_with_equal_times_hold_each_once,
    calls_are_filtered,
    orphans_are_closed_and_their_actions_become_unknown,
    calys_own_end_stands_over_a_restarts,
    an_action_only_moves_forward_and_one_key_is_one_action,
    a_made_up_cursor_is_invalid,
    a_waiting_writer_is_given_up_in_time,
    while_the_database_is_away_the_journal_goes_to_disk_and_is_written_after_in_order,
    a_spool_left_by_an_earlier_process_is_written_at_the_start,
    a_refused_entry_does_not_hold_up_the_others,
    a_durable_entry_is_there_when_it_says_so,
    the_recorder_shows_entries_to_subscribers,
    texts_with_nul_characters_are_kept,
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

/// Records a short call in the order it happened.
fn record_call(recorder: &Recorder, facts: &CallFacts) {
    let now = SystemTime::now();
    for entry in journal::short_call(facts) {
        recorder.record(now, entry);
    }
}

async fn a_whole_call_is_kept_as_it_was_recorded(world: &World) {
    let facts = journal::facts(world.client("shop").await, "call-1");
    let recorder = world.recorder();
    record_call(&recorder, &facts);
    assert!(recorder.flush(SOON).await, "{recorder:?}");
    let found = world.store.find_call_by_carrier_id(Carrier::Exotel, &facts.carrier_call_id).await.unwrap().unwrap();
    let detail = world.store.call_detail(facts.call).await.unwrap();
    assert_eq!(found, detail.call);
    let call = &detail.call;
    assert_eq!((call.state.as_str(), call.end_reason.as_deref()), ("ended", Some("agent_ended")));
    assert_eq!((call.rate, call.duration_ms, call.cost_micro_usd), (Some(8000), Some(9000), 1234));
    assert_eq!((call.caller.as_deref(), call.direction.as_deref()), (Some("+919876543210"), Some("inbound")));
    assert_eq!((call.after_stream.as_deref(), call.degraded.as_slice()), (Some("hang_up"), &["intent".to_owned()][..]));
    let said: Vec<_> = detail.turns.iter().map(|turn| (turn.speaker.as_str(), turn.text.as_str())).collect();
    // The second caller turn was recorded before its agent turn began, and the agent's text grew once.
    assert_eq!(said, [("agent", "Namaste, how can I help"), ("caller", "मेरा order कहाँ है?")]);
    assert_eq!(detail.turns[0].latency_ms, Some(480));
    assert_eq!(detail.intents[0].intent, "order_status");
    assert_eq!(detail.intents[0].entities[0]["value"], "1001");
    assert_eq!(detail.actions[0].state, "done");
    assert_eq!(detail.actions[0].output, Some(json!({"status": "shipped"})));
    let kinds: Vec<_> = detail.events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["engine_ready", "engine_lost"]);
    assert_eq!(world.store.call_detail(CallId::new()).await, Err(StoreError::NotFound));
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
    assert_eq!(world.store.close_orphans(Utc::now(), &[alive.call]).await, Ok(1));
    assert_eq!(world.store.close_orphans(Utc::now(), &[alive.call]).await, Ok(0));
    let detail = world.store.call_detail(gone.call).await.unwrap();
    assert_eq!((detail.call.state.as_str(), detail.call.end_reason.as_deref()), ("ended", Some("interrupted")));
    assert_eq!((detail.call.duration_ms, detail.actions[0].state.as_str()), (Some(5000), "unknown"));
    assert_eq!(world.store.call_detail(alive.call).await.unwrap().actions[0].state, "running");
    assert_eq!(world.store.call_detail(over.call).await.unwrap().call.end_reason.as_deref(), Some("agent_ended"));
}

async fn calys_own_end_stands_over_a_restarts(world: &World) {
    let facts = journal::facts(world.client("shop").await, "late-end");
    let recorder = world.recorder();
    recorder.record(SystemTime::now(), JournalEntry::Admitted(facts.clone().into()));
    assert!(recorder.flush(SOON).await);
    assert_eq!(world.store.close_orphans(Utc::now(), &[]).await, Ok(1));
    recorder.record(SystemTime::now(), journal::ended(&facts, EndReason::Transferred));
    assert!(recorder.flush(SOON).await);
    let call = world.store.call_detail(facts.call).await.unwrap().call;
    assert_eq!((call.end_reason.as_deref(), call.cost_micro_usd), (Some("transferred"), 1234));
}

async fn an_action_only_moves_forward_and_one_key_is_one_action(world: &World) {
    let facts = journal::facts(world.client("shop").await, "forward");
    let recorder = world.recorder();
    recorder.record(SystemTime::now(), JournalEntry::Admitted(facts.clone().into()));
    // The same key under new ids, as after a crash of whoever carried it out.
    for state in
        [ActionState::Running, ActionState::Unknown, ActionState::Running, ActionState::Done, ActionState::Failed]
    {
        recorder.record(SystemTime::now(), journal::action(&facts, state));
    }
    assert!(recorder.flush(SOON).await);
    let actions = world.store.call_detail(facts.call).await.unwrap().actions;
    assert_eq!((actions.len(), actions[0].state.as_str()), (1, "done"));
    assert_eq!(world.store.find_action(&actions[0].idempotency_key).await.unwrap(), Some(actions[0].clone()));
    assert_eq!(world.store.find_action("none").await.unwrap(), None);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_postgres_connections_are_replaced() {
    run(true, killed_connections).await;
}

async fn killed_connections(world: &World) {
    let client = world.client("shop").await;
    let database = world.postgres.as_ref().unwrap();
    let recorder = world.recorder();
    for at in 0..5 {
        database.cut_connections().await;
        record_call(&recorder, &journal::facts(client, &format!("cut-{at}")));
        world.store.list_clients(None, 9).await.unwrap();
    }
    all_written(&recorder).await;
    let calls = world.store.list_calls(&CallFilter::default(), None, 9).await.unwrap().items;
    assert!(calls.len() == 5 && calls.iter().all(|call| call.state == "ended"));
}

/// Waits until nothing is left in memory or on disk.
async fn all_written(recorder: &Recorder) {
    let mut tries = tokio::time::interval(Duration::from_millis(5));
    let written = async {
        while !(recorder.flush(SOON).await && recorder.snapshot().healthy) {
            tries.tick().await;
        }
    };
    assert!(tokio::time::timeout(SOON, written).await.is_ok(), "{recorder:?}");
}

/// Makes the database refuse for as long as the answer is kept.
async fn take_away(world: &World) -> Option<Block> {
    match &world.postgres {
        Some(database) => {
            database.shut().await;
            None
        }
        None => Some(world.block_writers().await),
    }
}

async fn give_back(world: &World, block: Option<Block>) {
    if let Some(block) = block {
        block.release().await;
    }
    if let Some(database) = &world.postgres {
        database.reopen().await;
    }
}

async fn while_the_database_is_away_the_journal_goes_to_disk_and_is_written_after_in_order(world: &World) {
    let client = world.client("shop").await;
    let limits = StoreOptions {
        max_connections: 2,
        acquire_timeout: Duration::from_millis(200),
        statement_timeout: Duration::from_millis(200),
    };
    let spool = world.directory.path().join("spool");
    let store = world.second_store(limits).await;
    let recorder = Recorder::start(store.clone(), &spool, RecorderOptions::default());
    let facts = journal::facts(client, "outage");
    recorder.record(SystemTime::now(), JournalEntry::Admitted(facts.clone().into()));
    assert!(recorder.flush(SOON).await);

    let block = take_away(world).await;
    for at in 0..300 {
        recorder.record(SystemTime::now(), journal::event(&facts, at));
    }
    assert!(recorder.flush(SOON).await, "kept on disk: {recorder:?}");
    let away = recorder.snapshot();
    assert!(!away.healthy && away.spooled_bytes > 0 && away.queued == 0, "{away:?}");
    for at in 300..400 {
        recorder.record(SystemTime::now(), journal::event(&facts, at));
    }
    give_back(world, block).await;
    recorder.record(SystemTime::now(), journal::ended(&facts, EndReason::AgentEnded));
    all_written(&recorder).await;
    let detail = world.store.call_detail(facts.call).await.unwrap();
    let order: Vec<_> = detail.events.iter().map(|event| event.detail["at"].as_i64().unwrap()).collect();
    assert_eq!(order, (0..400).collect::<Vec<_>>());
    assert_eq!(detail.call.end_reason.as_deref(), Some("agent_ended"));
    assert_eq!((recorder.snapshot().dropped, recorder.snapshot().rejected), (0, 0));
}

async fn a_spool_left_by_an_earlier_process_is_written_at_the_start(world: &World) {
    let client = world.client("shop").await;
    let facts = journal::facts(client, "restart");
    let spool = world.directory.path().join("spool");
    // A store that was never migrated refuses everything, as one whose database is down.
    let down = Store::connect(&world.url, options()).await.unwrap();
    let earlier = Recorder::start(down, &spool, RecorderOptions::default());
    record_call(&earlier, &facts);
    assert!(earlier.stop(SOON).await, "{earlier:?}");
    assert!(matches!(world.store.call_detail(facts.call).await, Err(StoreError::NotFound)));
    drop(earlier);

    let recorder = Recorder::start(world.store.clone(), &spool, RecorderOptions::default());
    assert!(recorder.flush(SOON).await);
    let detail = world.store.call_detail(facts.call).await.unwrap();
    assert_eq!((detail.turns.len(), detail.events.len(), detail.actions.len()), (2, 2, 1));
    assert_eq!(detail.call.state, "ended");
    assert!(recorder.snapshot().healthy);
    assert!(recorder.stop(SOON).await);
}

async fn a_refused_entry_does_not_hold_up_the_others(world: &World) {
    let client = world.client("shop").await;
    let recorder = world.recorder();
    let (good, unknown) = (journal::facts(client, "good"), journal::facts(client, "unknown"));
    let entries = journal::short_call(&good);
    for (at, entry) in entries.into_iter().enumerate() {
        recorder.record(SystemTime::now(), entry);
        if at % 2 == 1 {
            // Of a call nobody admitted.
            recorder.record(SystemTime::now(), journal::event(&unknown, 1));
        }
    }
    let refused = recorder.record_durably(SystemTime::now(), journal::turn(&unknown, 1, Speaker::Agent, "hello")).await;
    assert!(!refused);
    assert!(recorder.flush(SOON).await);
    let detail = world.store.call_detail(good.call).await.unwrap();
    assert_eq!((detail.call.state.as_str(), detail.turns.len(), detail.events.len()), ("ended", 2, 2));
    let snapshot = recorder.snapshot();
    // Six events and the turn.
    assert_eq!((snapshot.rejected, snapshot.healthy), (7, true));
    let aside = std::fs::read_to_string(world.directory.path().join("spool/rejected.jsonl")).unwrap();
    assert_eq!(aside.lines().count(), 7);
}

async fn a_durable_entry_is_there_when_it_says_so(world: &World) {
    let facts = journal::facts(world.client("shop").await, "durable");
    let recorder = world.recorder();
    assert!(recorder.record_durably(SystemTime::now(), JournalEntry::Admitted(facts.clone().into())).await);
    assert!(recorder.record_durably(SystemTime::now(), journal::action(&facts, ActionState::Running)).await);
    assert_eq!(world.store.call_detail(facts.call).await.unwrap().actions.len(), 1);
}

async fn the_recorder_shows_entries_to_subscribers(world: &World) {
    let facts = journal::facts(world.client("shop").await, "live");
    let recorder = world.recorder();
    let mut live = recorder.subscribe();
    record_call(&recorder, &facts);
    let first = live.recv().await.unwrap();
    assert_eq!((first.call, first.kind), (facts.call, "admitted"));
    let body: serde_json::Value = serde_json::from_str(&first.json).unwrap();
    assert_eq!(body["body"]["carrier_call_id"], "live");
    assert!(recorder.flush(SOON).await);
}

async fn texts_with_nul_characters_are_kept(world: &World) {
    let facts = journal::facts(world.client("shop").await, "nul");
    let recorder = world.recorder();
    recorder.record(SystemTime::now(), JournalEntry::Admitted(facts.clone().into()));
    recorder.record(SystemTime::now(), journal::turn(&facts, 1, Speaker::Caller, "a\0b"));
    let (call, after) = (facts.call, AfterStream::Transfer);
    recorder.record(SystemTime::now(), JournalEntry::Decided { call, after, summary: "\0".into() });
    assert!(recorder.flush(SOON).await);
    let detail = world.store.call_detail(facts.call).await.unwrap();
    assert_eq!((detail.turns[0].text.as_str(), detail.call.summary.as_deref()), ("a\u{fffd}b", Some("\u{fffd}")));
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
