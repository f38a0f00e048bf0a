//! Crowds of sockets that do nothing: how soon they are cut, what they cost, and what a good call notices.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::Size;
use crate::world::{Server, Settings, Table, at_rate, until};

/// Sockets of a crowd, unless `--calls` says otherwise.
const CROWD: usize = 10_000;
/// Longest life of a connection that sends no request: the deadline, and the time to look at a crowd.
const REQUEST_CUT: Duration = Duration::from_secs(6);
/// … and of a stream that does not start.
const STREAM_CUT: Duration = Duration::from_secs(11);
/// Largest cost of a socket.
const BYTES_MAX: u64 = 16 * 1024;
const GOOD_CALL_P99: Duration = Duration::from_millis(250);

/// Runs the crowds named, or all.
pub async fn run(which: &[&str], size: Size) -> Result<Vec<Table>> {
    let all = ["tcp", "head", "kept", "again", "stream"];
    let wanted = if which.is_empty() { &all[..] } else { which };
    enough_files(size.calls(CROWD))?;
    let mut tables = Vec::new();
    for &name in wanted {
        let (title, limit) = match name {
            "tcp" => ("connections that send nothing", REQUEST_CUT),
            "head" => ("connections that send half a head", REQUEST_CUT),
            "kept" => ("connections kept after an answer", REQUEST_CUT),
            "again" => ("connections that begin a second request after an answer", REQUEST_CUT),
            "stream" => ("media streams without a start", STREAM_CUT),
            _ => bail!("idle {name} is not known: {} are", all.join(", ")),
        };
        tables.push(crowd(name, title, limit, size.calls(CROWD)).await?);
    }
    Ok(tables)
}

/// One crowd on a server of its own.
async fn crowd(name: &str, title: &str, limit: Duration, many: usize) -> Result<Table> {
    let settings = Settings::default()
        .with("CALY__CALLS__MAX_LIVE", "500")
        .with("CALY__LIMITS__REQUESTS_PER_ADDRESS_PER_SECOND", "1000000");
    let server = Server::start(settings).await?;
    let sent = opening(&server, name).await?;
    let (before, files) = (resident(&server)?, open_files(&server)?);
    let port = server.port;
    let crowd = tokio::task::spawn_blocking(move || live_and_die(port, many, &sent, watched_for(limit)));
    let there = until("the crowd is there", Duration::from_secs(20), || async {
        open_files(&server).is_ok_and(|open| open >= files + many * 95 / 100)
    });
    // Looked at while the good calls are answered, not before: the first to come are cut when the last have come.
    let (there, good) = tokio::join!(
        there,
        at_rate(40, Duration::from_secs(4), &[200], |number| {
            server.hook(
                "call-start",
                &[("CallSid", &format!("amid-{number}")), ("CallFrom", "09876543210"), ("CallTo", "08047112233")],
            )
        })
    );
    let peak = resident(&server)?;
    let (lives, failed) = crowd.await??;
    let mut table = Table::new(format!("{many} {title}"));
    table.none("not accepted", failed);
    if let Ok(took) = there {
        table.tell("all there after", format!("{:.1} s", took.as_secs_f64()));
    }
    let longest = lives.iter().max().copied().unwrap_or_default();
    table.tell("shortest life", format!("{:.2} s", lives.iter().min().copied().unwrap_or_default().as_secs_f64()));
    table.within("longest life", longest, limit);
    let each = peak.saturating_sub(before) / many.max(1) as u64;
    table.judge("bytes each", each, &format!("<= {BYTES_MAX}"), each <= BYTES_MAX);
    table.within("good call-start p50", good.quantile(0.5), GOOD_CALL_P99);
    table.within("good call-start p99", good.quantile(0.99), GOOD_CALL_P99);
    table.none("good call-starts failed", good.failed);
    let freed = until("descriptors are free", Duration::from_secs(15), || async {
        open_files(&server).is_ok_and(|open| open <= files + 400)
    });
    let freed = freed.await.is_ok();
    table.judge("descriptors free again", if freed { "yes" } else { "no" }, "yes", freed);
    good.first_failure.into_iter().for_each(|note| table.note(note));
    Ok(table)
}

/// Reading goes on a little past the limit, so that a miss is measured and not only noticed.
fn watched_for(limit: Duration) -> Duration {
    limit + Duration::from_secs(10)
}

/// What each socket of a crowd sends.
async fn opening(server: &Server, name: &str) -> Result<Vec<u8>> {
    Ok(match name {
        "tcp" => Vec::new(),
        "head" => b"GET /health/live HTTP/1.1\r\nHost: x\r\nX: ".to_vec(),
        "kept" => b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        "again" => b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nX: ".to_vec(),
        _ => handshake(server).await?,
    })
}

/// A stream by a static URL is upgraded before any call is known.
async fn handshake(server: &Server) -> Result<Vec<u8>> {
    let made = server
        .command(&["client", "create", "--slug", "static", "--name", "A shop", "--basic", "exotel", "--json"])?
        .output()?;
    ensure!(made.status.success(), "caly client create: {}", String::from_utf8_lossy(&made.stderr));
    let made: Value = serde_json::from_slice(&made.stdout)?;
    let url = url::Url::parse(made["stream_url"].as_str().context("no stream_url")?)?;
    let basic = STANDARD.encode(format!("{}:{}", url.username(), url.password().unwrap_or_default()));
    let head = format!(
        "GET /media/exotel/client/static HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Basic {basic}\r\n\r\n"
    );
    // A running server takes a new client up in seconds.
    until("the client is known", Duration::from_secs(15), || async {
        TcpStream::connect(("127.0.0.1", server.port)).is_ok_and(|mut socket| {
            let mut answer = [0; 12];
            socket.write_all(head.as_bytes()).is_ok()
                && socket.read_exact(&mut answer).is_ok()
                && &answer[9..] == b"101"
        })
    })
    .await?;
    Ok(head.into_bytes())
}

/// Opens all sockets, then watches each until it ends; gives back their lives and how many could not be opened.
fn live_and_die(port: u16, many: usize, sent: &[u8], within: Duration) -> Result<(Vec<Duration>, usize)> {
    let (mut sockets, mut failed) = (Vec::with_capacity(many), 0);
    for _ in 0..many {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(mut socket) => {
                let _ = socket.write_all(sent);
                socket.set_nonblocking(true)?;
                sockets.push((socket, Instant::now(), None));
            }
            Err(_) => failed += 1,
        }
    }
    let begun = Instant::now();
    let mut waste = [0; 4096];
    while begun.elapsed() < within && sockets.iter().any(|(.., life)| life.is_none()) {
        for (socket, born, life) in sockets.iter_mut().filter(|(.., life)| life.is_none()) {
            match socket.read(&mut waste) {
                Ok(read) if read > 0 => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Ok(_) | Err(_) => *life = Some(born.elapsed()),
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok((sockets.into_iter().map(|(_, born, life)| life.unwrap_or(born.elapsed())).collect(), failed))
}

fn resident(server: &Server) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", server.id().context("no process")?))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    let kilobytes: u64 = line.split_whitespace().nth(1).context("no VmRSS")?.parse()?;
    Ok(kilobytes * 1024)
}

fn open_files(server: &Server) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{}/fd", server.id().context("no process")?))?.count())
}

/// This process needs as many descriptors as the crowd has sockets.
fn enough_files(many: usize) -> Result<()> {
    let output = Command::new("sh").args(["-c", "ulimit -n"]).output()?;
    let most = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or(usize::MAX);
    ensure!(most > many + 200, "a crowd of {many} needs ulimit -n {}; it is {most}", many + 200);
    Ok(())
}
