//! Well over a hundred hostile, clumsy and merely odd things on the media socket, each with what must come of it: the
//! call goes on, or the socket is closed with a code that says why. Beside them a good call that notices nothing.

#[path = "hostile_media/cases.rs"]
mod cases;
#[path = "hostile_media/handshakes.rs"]
mod handshakes;

use std::time::Duration;

use futures_util::future::join_all;

use crate::line::{Line, sid, start_message};
use crate::raw::{End, Raw, frame, text};
use crate::server::{SOON, Server, Settings};
use cases::{Case, Outcome, Way, cases};

/// Cases under way at once.
const AT_ONCE: usize = 12;

/// Does one case on a fresh media socket; `Err` says what came of it instead.
fn play(case: &Case, port: u16, url: &str, sid: &str) -> Result<(), String> {
    let mut socket = Raw::upgraded(port, url);
    if case.started {
        socket.send(&text(&start_message(sid, "s1", "8000").to_string()));
    }
    match case.way {
        Way::AtOnce => socket.send(&case.bytes),
        Way::ByteByByte => case.bytes.iter().for_each(|byte| socket.send(&[*byte])),
        Way::ThenHalfClose => {
            socket.send(&case.bytes);
            socket.half_close();
        }
        Way::ThenReset => {
            socket.send(&case.bytes);
            socket.reset();
            return Ok(());
        }
    }
    let within = Duration::from_secs(case.seconds);
    let came = match case.outcome {
        Outcome::GoesOn => match socket.answers(within) {
            Ok(()) => {
                socket.send(&text(r#"{"event":"stop","stream_sid":"s1","stop":{"reason":"callended"}}"#));
                socket.send(&frame(0x88, &1000_u16.to_be_bytes()));
                return match socket.end(Duration::from_secs(10)) {
                    End::Code(1000 | 1005) => Ok(()),
                    other => Err(format!("went on, then ended with {other:?}")),
                };
            }
            Err(end) => end,
        },
        Outcome::Closes(codes) => match socket.end(within) {
            End::Code(code) if codes.contains(&code) => return closed(&mut socket),
            end => end,
        },
        Outcome::GoesOnOrCloses(code) => match socket.answers(within) {
            Ok(()) => return Ok(()),
            Err(End::Code(given)) if given == code => return closed(&mut socket),
            Err(end) => end,
        },
    };
    Err(format!("{came:?}"))
}

/// After the close frame nothing more, and the connection ends.
fn closed(socket: &mut Raw) -> Result<(), String> {
    match socket.end(Duration::from_secs(5)) {
        End::Bare => Ok(()),
        other => Err(format!("after the close frame: {other:?}")),
    }
}

#[actix_rt::test]
async fn more_than_a_hundred_hostile_streams_come_to_what_they_should_and_leave_nothing_behind() {
    let server = Server::start(Settings::default().with("CALY__CALLS__ANSWER", "14s")).await;
    let good = Line::call(&server, "good").await;
    good.agent_said(300, 0).await;
    let cases = cases();
    assert!(cases.len() >= 150, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for some in cases.chunks(AT_ONCE) {
        let played = some.iter().map(|case| async {
            let sid = sid("hostile");
            let url = server.media_url(&sid).await;
            let (case, port) = (case.clone(), server.port);
            let name = case.name.clone();
            let came = tokio::task::spawn_blocking(move || play(&case, port, &url, &sid)).await;
            came.unwrap_or_else(|panic| Err(panic.to_string())).map_err(|came| format!("{name}: {came}"))
        });
        wrong.extend(join_all(played).await.into_iter().filter_map(Result::err));
        assert!(!good.is_over(), "the good call ended (close {:?})", good.close_code());
    }
    assert!(wrong.is_empty(), "{} of {}:\n  {}", wrong.len(), cases.len(), wrong.join("\n  "));
    good.ask("shop_hours").await;
    good.hang_up();
    assert_eq!(good.closed(SOON).await, Some(1000));
    // Calls whose socket ended before a start wait for their answer limit.
    server.nothing_left(Duration::from_secs(25)).await;
    let log = server.log();
    assert!(!log.contains("panicked") && !log.contains('\u{1b}') && !log.contains('\0'), "a clean log");
    assert!(log.lines().all(|line| !line.starts_with("forged")), "no line of the log was made by a caller");
}

#[actix_rt::test]
async fn odd_handshakes_are_refused_or_upgraded_without_what_was_never_offered() {
    let server = Server::start(Settings::default()).await;
    let mut wrong = Vec::new();
    for case in handshakes::handshakes() {
        let sid = sid("shake");
        let url = server.media_url(&sid).await;
        let target = url[url.find("/media/").unwrap()..].to_owned();
        let request = case.request.replace("{target}", &target);
        let port = server.port;
        let head = tokio::task::spawn_blocking(move || {
            let mut socket = Raw::connect(port);
            socket.send(request.as_bytes());
            socket.head(Duration::from_secs(8)).unwrap_or_default()
        });
        let head = head.await.unwrap().to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let offered = head.contains("sec-websocket-protocol") || head.contains("sec-websocket-extensions");
        if !case.statuses.contains(&status) || offered {
            wrong.push(format!("{}: {head}", case.name));
        }
        server.call_end(&sid).await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    server.nothing_left(SOON).await;
}

#[actix_rt::test]
async fn a_gibibyte_declared_costs_less_than_a_mebibyte() {
    let server = Server::start(Settings::default()).await;
    // Warm up, so that what the first call of a process takes for good is not counted.
    let (port, mut urls) = (server.port, Vec::new());
    for _ in 0..20 {
        let sid = sid("huge");
        urls.push((server.media_url(&sid).await, sid));
    }
    let measured = urls.split_off(12);
    let declare = move |url: String, sid: String| {
        tokio::task::spawn_blocking(move || {
            let mut socket = Raw::upgraded(port, &url);
            socket.send(&text(&start_message(&sid, "s1", "8000").to_string()));
            assert_eq!(socket.answers(SOON), Ok(()));
            socket.send(&crate::raw::header(0x81, 1 << 30));
            for _ in 0..24 {
                socket.send(&vec![b'x'; 1 << 20]);
            }
            socket.end(SOON)
        })
    };
    for (url, sid) in urls {
        assert_eq!(declare(url, sid).await.unwrap(), End::Code(1009));
    }
    let before = server.peak_bytes();
    for (url, sid) in measured {
        assert_eq!(declare(url, sid).await.unwrap(), End::Code(1009));
    }
    let grown = server.peak_bytes().saturating_sub(before);
    assert!(grown < 8 << 20, "eight sockets that sent 24 MiB each made the server grow by {grown} bytes");
}
