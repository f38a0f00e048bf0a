//! The process among others: signals, a service manager, a blocked thread, a machine without room.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use awc::http::Method;

use crate::line::{Line, sid};
use crate::server::{SOON, Server, Settings};
use crate::web::{self, until};

async fn logged(server: &Server, text: &str) {
    until(&format!("the log says {text:?}"), SOON, || async { server.log().contains(text).then_some(()) }).await;
}

#[actix_rt::test]
async fn a_blocked_thread_is_named_with_what_blocks_it_and_calls_on_other_threads_go_on() {
    let server = Server::start(Settings::default().with("CALY__SERVER__WORKERS", "2")).await;
    let (blocked, other) = (Line::call(&server, "blocked").await, Line::call(&server, "other").await);
    blocked.agent_said(300, 0).await;
    other.agent_said(300, 0).await;
    let before = other.sound_ms();
    other.say("order_where");
    until("a long answer has begun", SOON, || async { (other.sound_ms() > before + 200).then_some(()) }).await;
    let begun = Instant::now();
    web::request(Method::POST, &server.url(&format!("/test/block/{}/4000", blocked.sid)), &[], "").await;
    logged(&server, "thread is blocked").await;
    let at = other.sound_ms();
    until("the other call hears on", SOON, || async { (other.sound_ms() > at + 1000).then_some(()) }).await;
    let took = begun.elapsed();
    assert!(!server.log().contains("gets on again"), "the thread was blocked all the while, {took:?}");
    logged(&server, "thread gets on again").await;
    let log = server.log();
    let line = log.lines().find(|line| line.contains("thread is blocked")).unwrap();
    assert!(line.contains("running=") && line.contains("intent of"), "{line}");
    assert!(server.metric("caly_threads_blocked_total").await >= 1.0);
    blocked.ask("shop_hours").await;
}

#[actix_rt::test]
async fn sighup_brings_limits_the_log_level_and_agents_and_a_bad_file_changes_nothing() {
    let mut server = Server::prepared(Settings::default()).await;
    let file = server.directory.path().join("config.toml");
    std::fs::write(&file, "[calls]\nmax_live = 1\n").unwrap();
    server.run().await;
    server.ready().await;
    server.hooks.key = server.sandbox()["key"].as_str().unwrap().to_owned();
    assert_eq!(server.call_start(&sid("one")).await.status, 200);
    server.call_start(&sid("two")).await.problem(503);
    let config = "[calls]\nmax_live = 5\n[log]\nlevel = \"debug\"\n[server]\ndrain_grace = \"7s\"\n";
    std::fs::write(&file, config).unwrap();
    server.signal("HUP");
    logged(&server, "read anew").await;
    assert_eq!(server.call_start(&sid("two")).await.status, 200);
    logged(&server, "DEBUG").await;
    logged(&server, "server.drain_grace").await;
    std::fs::write(&file, "[calls]\nmax_live = 0\n").unwrap();
    server.signal("HUP");
    logged(&server, "the former one stays in use").await;
    assert_eq!(server.call_start(&sid("three")).await.status, 200);
    std::fs::remove_file(&file).unwrap();
    server.signal("HUP");
    logged(&server, "config.toml is gone").await;
    for at in ["four", "five"] {
        assert_eq!(server.call_start(&sid(at)).await.status, 200, "{at}");
    }
    server.call_start(&sid("six")).await.problem(503);
}

#[actix_rt::test]
async fn a_second_server_on_the_same_data_is_refused_with_what_to_do() {
    let server = Server::start(Settings::default()).await;
    let second = server.cli(&["serve"]).await;
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("another caly serve uses") && said.contains("CALY__DATA_DIR"), "{said}");
    assert_eq!(web::get(&server.url("/health/ready")).await.status, 200);
}

#[actix_rt::test]
async fn a_stopped_process_goes_on_with_its_calls_when_it_is_continued() {
    let server = Server::start(Settings::default()).await;
    let line = Line::call(&server, "stopped").await;
    line.agent_said(300, 0).await;
    let begun = Instant::now();
    server.signal("STOP");
    // The fault itself: ten seconds without a process.
    while begun.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.signal("CONT");
    logged(&server, "the process was suspended").await;
    line.ask("shop_hours").await;
    assert!(!server.log().contains("thread is blocked"), "nobody is blamed for it");
    line.hang_up();
    assert_eq!(server.ended_call(&line.sid).await["call"]["end_reason"], "caller_hung_up");
}

#[actix_rt::test]
async fn a_service_manager_is_told_ready_alive_reloading_and_stopping() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let settings =
        Settings::default().with("NOTIFY_SOCKET", path.display().to_string()).with("WATCHDOG_USEC", "600000");
    let server = Server::start(settings).await;
    let heard = |wanted: &'static str| {
        let manager = &manager;
        until(wanted, SOON, move || async move {
            let mut bytes = [0; 512];
            let length = manager.recv(&mut bytes).ok()?;
            String::from_utf8_lossy(&bytes[..length]).contains(wanted).then_some(())
        })
    };
    heard("READY=1").await;
    heard("WATCHDOG=1").await;
    server.signal("HUP");
    heard("RELOADING=1").await;
    heard("READY=1").await;
    server.signal("TERM");
    heard("STOPPING=1").await;
}

#[actix_rt::test]
async fn without_room_new_calls_are_refused_and_those_that_are_up_go_on() {
    let mut server = Server::prepared(Settings::default()).await;
    server.run().await;
    server.ready().await;
    server.hooks.key = server.sandbox()["key"].as_str().unwrap().to_owned();
    let line = Line::call(&server, "up").await;
    line.agent_said(300, 0).await;
    std::fs::write(server.directory.path().join("config.toml"), "[calls]\nmemory_max_mb = 1\n").unwrap();
    server.signal("HUP");
    let ready_url = server.url("/health/ready");
    let ready = || web::get(&ready_url);
    // Asked there and not with calls, whose number would soon be refused for other reasons.
    until("the process knows", SOON, || async { ready().await.text().contains("overloaded").then_some(()) }).await;
    let refused = server.call_start(&sid("new")).await;
    refused.problem(503);
    assert!(refused.text().contains("overloaded") && !refused.header("retry-after").is_empty(), "{}", refused.text());
    line.ask("shop_hours").await;
    std::fs::write(server.directory.path().join("config.toml"), "[calls]\nmemory_max_mb = 0\n").unwrap();
    server.signal("HUP");
    until("there is room again", SOON, || async { (ready().await.status == 200).then_some(()) }).await;
    assert_eq!(server.call_start(&sid("later")).await.status, 200);
}
