//! Crowds of sockets that do nothing, and what happens when there are none left: good calls must not notice.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use crate::line::{Line, sid, start_message};
use crate::raw::{End, HANDSHAKE, Raw, text};
use crate::server::{SOON, Server, Settings};
use crate::web::{self, until};

/// Sockets of each kind that no call belongs to.
const CROWD: usize = 300;

/// Opens so many connections, sends the same on each and waits for each to end; gives back the shortest and the longest
/// life.
async fn crowd(port: u16, many: usize, sent: &'static [u8], within: Duration) -> (Duration, Duration) {
    let lives = tokio::task::spawn_blocking(move || {
        let mut sockets: Vec<(Raw, Instant)> = (0..many)
            .map(|_| {
                let mut socket = Raw::connect(port);
                socket.send(sent);
                (socket, Instant::now())
            })
            .collect();
        let life = |(socket, begun): &mut (Raw, Instant)| {
            while socket.head(within.saturating_sub(begun.elapsed())).is_some() {}
            begun.elapsed()
        };
        sockets.iter_mut().map(life).collect::<Vec<_>>()
    });
    let lives = lives.await.unwrap();
    (lives.iter().copied().min().unwrap(), lives.iter().copied().max().unwrap())
}

#[actix_rt::test]
async fn sockets_that_ask_nothing_are_cut_in_five_seconds_and_cost_little_while_a_call_goes_on() {
    let server = Server::start(Settings::default()).await;
    let line = Line::call(&server, "beside").await;
    line.agent_said(300, 0).await;
    let before = server.resident_bytes();
    let kinds: [(&str, &'static [u8]); 4] = [
        ("silent", b""),
        ("half a head", b"GET /health/live HTTP/1.1\r\nHost: x\r\nX: "),
        ("answered once", b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("answered once and begun again", b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nX: "),
    ];
    let crowds = join_all(kinds.map(|(_, sent)| crowd(server.port, CROWD, sent, Duration::from_secs(15))));
    let good = async {
        until("the crowd is there", SOON, || async { (server.open_files() > 3 * CROWD).then_some(()) }).await;
        let cost = server.resident_bytes().saturating_sub(before) / (kinds.len() * CROWD) as u64;
        let mut slowest = Duration::ZERO;
        for _ in 0..40 {
            let begun = Instant::now();
            assert_eq!(server.call_start(&sid("amid")).await.status, 200);
            slowest = slowest.max(begun.elapsed());
        }
        line.ask("shop_hours").await;
        (cost, slowest)
    };
    let (lives, (cost, slowest)) = tokio::join!(crowds, good);
    for ((name, _), (shortest, longest)) in kinds.iter().zip(lives) {
        assert!(shortest > Duration::from_secs(3), "{name}: cut after {shortest:?}");
        assert!(longest < Duration::from_secs(8), "{name}: cut after {longest:?}");
    }
    assert!(cost <= 16 * 1024, "{cost} bytes a socket");
    assert!(slowest < Duration::from_secs(1), "a call was answered after {slowest:?}");
    assert!(!line.is_over());
    line.hang_up();
    until("their descriptors are free again", SOON, || async { (server.open_files() < CROWD).then_some(()) }).await;
}

#[actix_rt::test]
async fn streams_that_never_start_are_closed_in_ten_seconds_and_silent_ones_at_their_limit() {
    let settings = Settings::default()
        .with("CALY__CALLS__IDLE_MEDIA", "5s")
        .with("CALY__CALLS__MAX_LIVE_PER_CLIENT", "500")
        .with("CALY__CALLS__ANSWER", "20s");
    let server = Server::start(settings).await;
    let made = server
        .cli_json(&["client", "create", "--slug", "static", "--name", "A shop", "--basic", "exotel", "--json"])
        .await;
    let stream = url::Url::parse(made["stream_url"].as_str().unwrap_or_else(|| panic!("{made}"))).unwrap();
    let password = stream.password().unwrap().to_owned();
    let basic = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("exotel:{password}"));
    let url = server.url("/media/exotel/client/static").replace("http://", "ws://");
    let header = format!("Basic {basic}");
    until("the client is known", SOON, || async { web::open(&url, &[("authorization", &header)]).await.ok() }).await;
    let port = server.port;
    let unstarted = tokio::task::spawn_blocking(move || {
        let opened: Vec<(Raw, Instant)> = (0..200)
            .map(|_| {
                let mut socket = Raw::connect(port);
                let head = format!(
                    "GET /media/exotel/client/static HTTP/1.1\r\n{HANDSHAKE}Authorization: Basic {basic}\r\n\r\n"
                );
                socket.send(head.as_bytes());
                assert_eq!(socket.status(SOON), 101);
                (socket, Instant::now())
            })
            .collect();
        opened.into_iter().map(|(mut socket, begun)| (socket.end(SOON), begun.elapsed())).collect::<Vec<_>>()
    });
    let mut silent = Vec::new();
    for _ in 0..20 {
        let sid = sid("silent");
        let url = server.media_url(&sid).await;
        silent.push(tokio::task::spawn_blocking(move || {
            let mut socket = Raw::upgraded(port, &url);
            socket.send(&text(&start_message(&sid, "s1", "8000").to_string()));
            let begun = Instant::now();
            (socket.end(SOON), begun.elapsed())
        }));
    }
    for (end, life) in unstarted.await.unwrap() {
        assert!(matches!(end, End::Code(1001 | 4408)), "{end:?} after {life:?}");
        assert!((8.5..12.0).contains(&life.as_secs_f64()), "{end:?} after {life:?}");
    }
    for outcome in join_all(silent).await {
        let (end, life) = outcome.unwrap();
        assert!(matches!(end, End::Code(1001 | 4408)), "{end:?} after {life:?}");
        assert!((4.0..12.0).contains(&life.as_secs_f64()), "{end:?} after {life:?}");
    }
    server.nothing_left(SOON).await;
}

#[actix_rt::test]
async fn out_of_descriptors_calls_go_on_and_accepting_recovers_by_itself() {
    let server = Server::start(Settings::default()).await;
    let line = Line::call(&server, "before").await;
    line.agent_said(300, 0).await;
    let few = server.open_files() + 20;
    server.limit_open_files(few);
    let port = server.port;
    let crowd = tokio::task::spawn_blocking(move || (0..60).map(|_| Raw::connect(port)).collect::<Vec<_>>());
    let crowd = crowd.await.unwrap();
    until("there are none left", SOON, || async { (server.open_files() >= few).then_some(()) }).await;
    line.ask("shop_hours").await;
    assert!(!line.is_over(), "the call went on");
    drop(crowd);
    until("requests are answered again", SOON, || async {
        web::try_request(awc::http::Method::GET, &server.url("/health/live"), &[], "")
            .await
            .ok()
            .filter(|a| a.status == 200)
    })
    .await;
    let after = Line::call(&server, "after").await;
    after.agent_said(300, 0).await;
    for line in [line, after] {
        line.hang_up();
        server.ended_call(&line.sid).await;
    }
    server.nothing_left(SOON).await;
    assert!(!server.log().contains("panicked"));
}

#[actix_rt::test]
async fn a_peer_that_never_reads_is_cut_off_and_harms_nobody() {
    let server = Server::start(Settings::default()).await;
    let good = Line::call(&server, "reads").await;
    let sid = sid("deaf");
    let (url, port) = (server.media_url(&sid).await, server.port);
    let (stream_sid, started) = (sid.clone(), Instant::now());
    // Asks for answers all the time (each ping is one) and reads none of them.
    let deaf = tokio::task::spawn_blocking(move || {
        let mut socket = Raw::narrow(port, &url);
        socket.send(&text(&start_message(&stream_sid, "s1", "8000").to_string()));
        let media = text(&json!({"event": "media", "media": {"payload": "AAAA"}}).to_string());
        let ping = crate::raw::frame(0x89, &[7; 125]);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) && socket.try_send(&[media.clone(), ping.clone()].concat()) {
            std::thread::sleep(Duration::from_micros(200));
        }
        begun.elapsed()
    });
    good.agent_said(300, 0).await;
    let life = deaf.await.unwrap();
    // The deadline of five seconds begins when the buffers of both sides are full.
    assert!(life < Duration::from_secs(15), "it was listened to for {life:?}");
    let row = server.ended_call(&sid).await;
    assert!(started.elapsed() < Duration::from_secs(60), "{row:#}");
    good.ask("shop_hours").await;
    good.hang_up();
    server.ended_call(&good.sid).await;
    server.nothing_left(SOON).await;
}
