//! The stores must hold: a database that cannot be reached, is slow, frozen, locked or without room; a process killed
//! with its journal on disk; a migration killed half-way.

use std::process::Command;
use std::time::{Duration, Instant};

use awc::http::Method;
use serde_json::Value;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use crate::integrity::{self, Expected};
use crate::line::{Line, sid};
use crate::postgres::TestDatabase;
use crate::proxy::{Order, Proxy};
use crate::server::{Database, SOON, Server, Settings};
use crate::web::{self, until};

/// From the database's return to readiness.
const BACK_IN: Duration = Duration::from_secs(5);

async fn health(server: &Server) -> Value {
    web::get(&server.url("/health")).await.json()
}

async fn alarm_on(server: &Server, what: &str) {
    until(&format!("an alarm on {what}"), SOON, || async {
        let health = health(server).await;
        let raised = health["alarms"].as_array().unwrap().iter().any(|alarm| alarm["what"] == what);
        raised.then_some(())
    })
    .await;
}

async fn all_is_well(server: &Server, within: Duration) {
    until("health is ok", within, || async { (health(server).await["status"] == "ok").then_some(()) }).await;
}

async fn sound(url: &str, calls: &[&str], turns_min: usize) {
    let calls = calls.iter().map(|&call| call.to_owned()).collect();
    integrity::assert_sound(url, &Expected { calls, turns_min, planted: vec!["9876543210".to_owned()] }).await;
}

/// A PostgreSQL behind a proxy, and a server that reaches it so.
async fn behind_proxy() -> (TestDatabase, Proxy, Server) {
    let database = TestDatabase::create().await;
    let (proxy, url) = Proxy::before(&database.url).unwrap();
    let server = Server::start(Settings::on(Database::At(url))).await;
    (database, proxy, server)
}

/// Starts without a database, is told why, and is ready within seconds of its return.
async fn heals(url: &str, word: &str, heal: impl AsyncFnOnce()) {
    let server = Server::start_unready(Settings::on(Database::At(url.to_owned()))).await;
    until(&format!("readiness says {word:?}"), SOON, || async {
        let readiness = web::get(&server.url("/health/ready")).await;
        assert_eq!(readiness.status, 503);
        readiness.text().contains(word).then_some(())
    })
    .await;
    let told = health(&server).await;
    assert_eq!(told["status"], "degraded");
    assert!(told["alarms"].to_string().contains(word), "{told}");
    let refused = web::get(&server.start_url(&sid("early"))).await;
    refused.problem(503);
    assert!(!refused.header("retry-after").is_empty());
    heal().await;
    let back = Instant::now();
    server.ready().await;
    assert!(back.elapsed() < BACK_IN, "{:?}", back.elapsed());
}

#[actix_rt::test]
async fn a_database_that_refuses_connections_at_the_start_is_told_and_taken_up_when_it_is_back() {
    let database = TestDatabase::create().await;
    let (proxy, url) = Proxy::before(&database.url).unwrap();
    proxy.order(Order::Refuse);
    heals(&url, "cannot be reached", async || proxy.order(Order::Pass)).await;
    database.drop_database().await;
}

#[actix_rt::test]
async fn a_database_that_takes_connections_and_never_answers_is_told_and_taken_up_when_it_does() {
    let database = TestDatabase::create().await;
    let (proxy, url) = Proxy::before(&database.url).unwrap();
    proxy.order(Order::Freeze);
    heals(&url, "does not answer in time", async || proxy.order(Order::Pass)).await;
    database.drop_database().await;
}

#[actix_rt::test]
async fn a_user_that_the_database_refuses_is_told_and_taken_up_when_it_is_known() {
    let database = TestDatabase::create().await;
    let role = format!("user_{}", database.name);
    let mut url = url::Url::parse(&database.url).unwrap();
    url.set_username(&role).unwrap();
    let grant = async || database.as_admin(format!("CREATE ROLE {role} LOGIN SUPERUSER")).await;
    heals(url.as_str(), "refuses the user or password", grant).await;
    database.drop_database().await;
    database.as_admin(format!("DROP ROLE {role}")).await;
}

#[actix_rt::test]
async fn a_database_that_does_not_exist_is_told_and_taken_up_when_it_is_created() {
    let database = TestDatabase::create().await;
    database.drop_database().await;
    let create = async || database.as_admin(format!("CREATE DATABASE {}", database.name)).await;
    heals(&database.url, "there is no database of the name", create).await;
    database.drop_database().await;
}

#[actix_rt::test]
async fn a_journal_on_disk_survives_a_kill_and_is_written_once_and_a_torn_line_is_set_aside() {
    let (database, proxy, mut server) = behind_proxy().await;
    let line = Line::call(&server, "spooled").await;
    line.agent_said(300, 0).await;
    proxy.order(Order::Refuse);
    line.ask("shop_hours").await;
    until("the journal is on disk", SOON, || async {
        let recorder = health(&server).await["recorder"].clone();
        (recorder["queued"] == 0 && recorder["spooled_bytes"].as_u64() > Some(1000)).then_some(())
    })
    .await;
    server.kill();
    // What a crash in mid-write leaves: half a line at the end.
    let spool = server.directory.path().join("data/spool");
    let segments: Vec<_> = std::fs::read_dir(&spool).unwrap().map(|file| file.unwrap().path()).collect();
    let last = segments.iter().max().unwrap();
    let whole = std::fs::read(last).unwrap();
    let line_end = whole.iter().position(|&byte| byte == b'\n').unwrap();
    std::fs::write(last, [&whole[..], &whole[..line_end / 2]].concat()).unwrap();
    proxy.order(Order::Pass);
    server.run().await;
    server.ready().await;
    all_is_well(&server, BACK_IN).await;
    assert_eq!(server.metric("caly_recorder_torn_total").await, 1.0);
    assert!(spool.join("rejected.jsonl").exists());
    let detail = server.ended_call(&line.sid).await;
    assert_eq!(detail["call"]["end_reason"], "interrupted");
    assert!(detail["turns"].as_array().unwrap().len() >= 3, "{:#}", detail["turns"]);
    sound(&database.url, &[&line.sid], 3).await;
    drop(server);
    database.drop_database().await;
}

#[actix_rt::test]
async fn while_every_query_takes_two_seconds_webhooks_are_quick_the_api_says_503_and_the_journal_keeps_up() {
    let (database, proxy, server) = behind_proxy().await;
    let line = Line::call(&server, "slow").await;
    line.agent_said(300, 0).await;
    server.admin_key().await;
    proxy.order(Order::DelayQueries(Duration::from_secs(2)));
    let mut took = Vec::new();
    for number in 0..200 {
        let asked = Instant::now();
        let url = server.hook("passthru", &[("CallSid", &format!("nobody-{number}"))]);
        assert_eq!(web::get(&url).await.status, 302);
        took.push(asked.elapsed());
    }
    took.sort();
    assert!(took[196] < Duration::from_millis(50), "{:?}", &took[190..]);
    let asked = Instant::now();
    let refused = server.ask(Method::GET, "/api/v1/calls").await;
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    refused.problem(503);
    assert!(!refused.header("retry-after").is_empty());
    line.ask("shop_hours").await;
    line.say("want_human");
    assert_eq!(line.closed(SOON).await, Some(1000));
    // Written while it is slow: what waits is on the disk, and no batch is given up.
    let recorder = until("the journal is written while the database is slow", Duration::from_secs(120), || async {
        let recorder = health(&server).await["recorder"].clone();
        (recorder["queued"] == 0 && recorder["spooled_bytes"] == 0).then_some(recorder)
    })
    .await;
    assert!(recorder["dropped"] == 0 && recorder["healthy"] == true, "{recorder}");
    proxy.order(Order::Pass);
    assert_eq!(server.ended_call(&line.sid).await["call"]["end_reason"], "transferred");
    sound(&database.url, &[&line.sid], 5).await;
    drop(server);
    database.drop_database().await;
}

#[actix_rt::test]
async fn a_database_that_freezes_or_answers_garbage_in_mid_call_costs_the_call_nothing() {
    let (database, proxy, server) = behind_proxy().await;
    let line = Line::call(&server, "frozen").await;
    line.agent_said(300, 0).await;
    for order in [Order::Garble, Order::Freeze] {
        proxy.order(order);
        line.ask("shop_hours").await;
        alarm_on(&server, "journal").await;
        proxy.cut();
        proxy.order(Order::Pass);
        all_is_well(&server, BACK_IN).await;
    }
    line.hang_up();
    server.ended_call(&line.sid).await;
    sound(&database.url, &[&line.sid], 5).await;
    drop(server);
    database.drop_database().await;
}

#[actix_rt::test]
async fn a_database_file_locked_by_another_process_loses_no_row() {
    let server = Server::start(Settings::default()).await;
    let line = Line::call(&server, "locked").await;
    line.agent_said(300, 0).await;
    let options: sqlx::sqlite::SqliteConnectOptions = server.database_url.parse().unwrap();
    let mut other = options.connect().await.unwrap();
    sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();
    line.ask("shop_hours").await;
    // Longer than the busy time-out: the journal goes to the disk, and health says so.
    alarm_on(&server, "journal").await;
    until("it is not ready for want of the journal", SOON, || async {
        let ready = web::get(&server.url("/health/ready")).await;
        (ready.status == 503 && ready.text().contains("journal")).then_some(())
    })
    .await;
    assert_eq!(web::get(&server.hook("passthru", &[("CallSid", "nobody")])).await.status, 302);
    other.close().await.unwrap();
    all_is_well(&server, BACK_IN * 2).await;
    line.hang_up();
    assert_eq!(server.ended_call(&line.sid).await["call"]["state"], "ended");
    sound(&server.database_url, &[&line.sid], 3).await;
}

/// Until all that was recorded is on the disk, before the database was given up on.
async fn on_disk_early(server: &Server) {
    let recorder = until("the journal is on disk", SOON, || async {
        let recorder = health(server).await["recorder"].clone();
        (recorder["queued"] == 0 && recorder["spooled_bytes"].as_u64() > Some(1000)).then_some(recorder)
    })
    .await;
    assert_eq!(recorder["alarm"], "spool_waits", "{recorder}");
}

#[actix_rt::test]
async fn a_process_killed_while_its_database_is_locked_or_frozen_has_every_call_on_record() {
    let mut server = Server::start(Settings::default()).await;
    let before = Line::call(&server, "before-the-lock").await;
    before.agent_said(300, 0).await;
    let options: sqlx::sqlite::SqliteConnectOptions = server.database_url.parse().unwrap();
    let mut other = options.connect().await.unwrap();
    sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();
    let during = Line::call(&server, "during-the-lock").await;
    during.agent_said(300, 0).await;
    before.ask("shop_hours").await;
    on_disk_early(&server).await;
    server.kill();
    other.close().await.unwrap();
    server.run().await;
    server.ready().await;
    for line in [&before, &during] {
        assert_eq!(server.ended_call(&line.sid).await["call"]["end_reason"], "interrupted");
    }
    sound(&server.database_url, &[&before.sid], 3).await;
    sound(&server.database_url, &[&during.sid], 1).await;

    let (database, proxy, mut server) = behind_proxy().await;
    let line = Line::call(&server, "frozen").await;
    line.agent_said(300, 0).await;
    proxy.order(Order::Freeze);
    line.ask("shop_hours").await;
    on_disk_early(&server).await;
    server.kill();
    proxy.order(Order::Pass);
    server.run().await;
    server.ready().await;
    let detail = server.ended_call(&line.sid).await;
    assert_eq!(detail["call"]["end_reason"], "interrupted");
    sound(&database.url, &[&line.sid], 3).await;
    drop(server);
    database.drop_database().await;
}

/// Lets no file of a process grow beyond so many bytes: what is written further fails, as on a full disk.
fn limit_files(server: &Server, bytes: &str) {
    let (id, limit) = (server.id().to_string(), format!("--fsize={bytes}"));
    assert!(Command::new("prlimit").args(["--pid", &id, &limit]).status().unwrap().success(), "prlimit");
}

#[actix_rt::test]
async fn without_room_for_database_journal_and_recording_a_call_goes_on_and_all_resumes_with_room() {
    let settings = Settings { wrapper: vec!["env", "--ignore-signal=XFSZ"], ..Settings::default() };
    let server = Server::start(settings).await;
    let line = Line::call(&server, "full").await;
    line.agent_said(300, 0).await;
    limit_files(&server, "4096:unlimited");
    line.ask("shop_hours").await;
    alarm_on(&server, "recordings").await;
    alarm_on(&server, "journal").await;
    line.ask("shop_hours").await;
    limit_files(&server, "unlimited");
    all_is_well(&server, BACK_IN * 3).await;
    line.say("want_human");
    assert_eq!(line.closed(SOON).await, Some(1000));
    let detail = server.ended_call(&line.sid).await;
    let events = detail["events"].to_string();
    for mark in ["recording_stopped", "recording_resumed"] {
        assert_eq!(events.matches(mark).count(), 1, "{events}");
    }
    let recorder = health(&server).await["recorder"].clone();
    assert_eq!((&recorder["dropped"], &recorder["rejected"]), (&Value::from(0), &Value::from(0)), "{recorder}");
    sound(&server.database_url, &[&line.sid], 7).await;
}

#[actix_rt::test]
async fn a_migration_killed_half_way_is_done_again_as_a_whole() {
    let database = TestDatabase::create().await;
    let (proxy, url) = Proxy::before(&database.url).unwrap();
    proxy.order(Order::DelayQueries(Duration::from_millis(100)));
    for (engine, start_ms, step_ms) in [(Database::At(url), 150, 150), (Database::Sqlite, 2, 3)] {
        let mut server = Server::prepared(Settings::on(engine.clone())).await;
        let mut killed = 0;
        for attempt in 0..12_u64 {
            let mut child = server.command(&["migrate"]).spawn().unwrap();
            tokio::time::sleep(Duration::from_millis(start_ms + step_ms * attempt)).await;
            killed += u32::from(child.try_wait().unwrap().is_none());
            let _ = child.kill();
            let _ = child.wait();
        }
        assert!(killed > 2, "{engine:?}: the migrations were done before they could be killed: {killed}");
        // On whatever was left: resumes, and then serves.
        let done = server.cli(&["migrate"]).await;
        assert!(done.status.success(), "{engine:?}: {}", String::from_utf8_lossy(&done.stderr));
        server.run().await;
        server.ready().await;
        let own = if engine == Database::Sqlite { &server.database_url } else { &database.url };
        sound(own, &[], 0).await;
    }
    database.drop_database().await;
}

#[actix_rt::test]
async fn a_schema_newer_than_the_code_is_refused_with_what_to_do_and_never_served() {
    for engine in [Database::Sqlite, Database::Postgres] {
        let server = Server::prepared(Settings::on(engine)).await;
        assert!(server.cli(&["migrate"]).await.status.success());
        let newer =
            "UPDATE _sqlx_migrations SET version = 9999 WHERE version = (SELECT MAX(version) FROM _sqlx_migrations)"
                .to_owned();
        match &server.postgres {
            Some(database) => {
                sqlx::raw_sql(AssertSqlSafe(newer)).execute(&mut database.connect().await).await.unwrap();
            }
            None => {
                let options: sqlx::sqlite::SqliteConnectOptions = server.database_url.parse().unwrap();
                let mut connection = options.connect().await.unwrap();
                sqlx::raw_sql(AssertSqlSafe(newer)).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
        }
        let refused = server.cli(&["migrate"]).await;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1));
        assert!(said.contains("9999") && said.contains("start the newer version"), "{said}");
        let mut server = server;
        server.run().await;
        until("readiness says so", SOON, || async {
            let readiness = web::get(&server.url("/health/ready")).await;
            assert_eq!(readiness.status, 503);
            readiness.text().contains("start the newer version").then_some(())
        })
        .await;
        web::get(&server.start_url(&sid("newer"))).await.problem(503);
    }
}
