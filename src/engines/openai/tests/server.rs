//! A service of one connection, speaking the vendor's wire from hand-written JSON and raw WebSocket frames, so that
//! it can also break any rule of either.

use std::future::Future;

use actix_rt::net::TcpStream;
use base64::Engine as _;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::task::JoinHandle;

use super::fixture;

pub(super) trait Io: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Io for T {}

/// The service's side of one connection.
pub(super) struct Peer {
    io: Box<dyn Io>,
    /// Request line and headers, as they came.
    pub(super) head: String,
    /// Whether pings are answered.
    pub(super) pongs: bool,
    /// Whether a close is answered.
    pub(super) closes: bool,
    /// Payloads of pongs received.
    pub(super) ponged: Vec<Vec<u8>>,
    /// The code the client closed with.
    pub(super) closed_with: Option<u16>,
}

pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
const PONG: u8 = 10;

/// Serves one connection on this thread; gives the base URL and the script's result.
pub(super) async fn serve<T: 'static, F: Future<Output = T> + 'static>(
    script: impl FnOnce(Peer) -> F + 'static,
) -> (String, JoinHandle<T>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}/v1", listener.local_addr().expect("an address"));
    let task = actix_rt::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("an option");
        script(Peer::accepted(Box::new(stream)).await).await
    });
    (base, task)
}

/// The same over TLS with the given identity.
pub(super) async fn serve_tls<T: 'static, F: Future<Output = T> + 'static>(
    tls: rustls::ServerConfig,
    script: impl FnOnce(Peer) -> F + 'static,
) -> (String, JoinHandle<Option<T>>) {
    use actix_web::dev::{Service as _, ServiceFactory};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("https://localhost:{}/v1", listener.local_addr().expect("an address").port());
    let task = actix_rt::spawn(async move {
        let acceptor = actix_tls::accept::rustls_0_23::Acceptor::new(tls);
        let acceptor = ServiceFactory::<TcpStream>::new_service(&acceptor, ()).await.expect("an acceptor");
        let (stream, _) = listener.accept().await.expect("a connection");
        match acceptor.call(stream).await {
            Ok(stream) => Some(script(Peer::accepted(Box::new(stream)).await).await),
            Err(_) => None, // the client did not trust us
        }
    });
    (base, task)
}

/// A frame as it is on the wire.
pub(super) fn frame(last: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![if last { 0x80 } else { 0 } | opcode];
    match payload.len() {
        short @ 0..=125 => frame.push(short as u8),
        middle @ 126..=65_535 => {
            frame.push(126);
            frame.extend((middle as u16).to_be_bytes());
        }
        long => {
            frame.push(127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}

impl Peer {
    async fn accepted(mut io: Box<dyn Io>) -> Self {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(io.read_u8().await.expect("a request"));
        }
        let head = String::from_utf8(head).expect("a text head");
        Self { io, head, pongs: true, closes: true, ponged: Vec::new(), closed_with: None }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(super) async fn refuse(mut self, status: &str) {
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\n{{}}");
        self.io.write_all(answer.as_bytes()).await.expect("written");
        self.io.flush().await.expect("flushed");
    }

    pub(super) async fn upgrade(&mut self) {
        let key = self.header("sec-websocket-key").expect("a key");
        let joined = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
        let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, joined.as_bytes());
        let accept = base64::engine::general_purpose::STANDARD.encode(digest);
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n"
        );
        self.io.write_all(answer.as_bytes()).await.expect("written");
        self.io.flush().await.expect("flushed");
    }

    /// Upgrade, `session.created`, the client's `session.update` (returned), `session.updated`.
    pub(super) async fn hand_shake(&mut self) -> Value {
        self.upgrade().await;
        self.say(fixture!("session.created")).await;
        let update = self.hear().await.expect("session.update");
        self.say(fixture!("session.updated")).await;
        update
    }

    pub(super) async fn say(&mut self, text: &str) {
        self.frame(true, TEXT, text.as_bytes()).await;
    }

    /// A raw frame. A client that has already gone is no failure of the script.
    pub(super) async fn frame(&mut self, last: bool, opcode: u8, payload: &[u8]) {
        self.raw(&frame(last, opcode, payload)).await;
    }

    /// Bytes as they are, for half a frame.
    pub(super) async fn raw(&mut self, bytes: &[u8]) {
        let _ = self.io.write_all(bytes).await;
        let _ = self.io.flush().await;
    }

    pub(super) async fn close(&mut self, code: u16, reason: &str) {
        let mut payload = code.to_be_bytes().to_vec();
        payload.extend(reason.as_bytes());
        self.frame(true, CLOSE, &payload).await;
    }

    /// The next event of the client; `None` once it has closed (see `closed_with`) or gone.
    pub(super) async fn hear(&mut self) -> Option<Value> {
        loop {
            let (opcode, payload) = self.next_frame().await?;
            match opcode {
                TEXT => return Some(serde_json::from_slice(&payload).expect("the client writes JSON")),
                PING if self.pongs => self.frame(true, PONG, &payload).await,
                PONG => self.ponged.push(payload),
                CLOSE => {
                    self.closed_with = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                    if self.closes {
                        self.frame(true, CLOSE, &payload).await;
                        return None;
                    }
                }
                _ => {}
            }
        }
    }

    async fn next_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let first = self.io.read_u8().await.ok()?;
        let second = self.io.read_u8().await.ok()?;
        assert_eq!(first & 0x80, 0x80, "the client does not fragment");
        assert_eq!(second & 0x80, 0x80, "the client masks");
        let length = match second & 0x7f {
            126 => usize::from(self.io.read_u16().await.ok()?),
            127 => usize::try_from(self.io.read_u64().await.ok()?).ok()?,
            short => usize::from(short),
        };
        let mut mask = [0; 4];
        self.io.read_exact(&mut mask).await.ok()?;
        let mut payload = vec![0; length];
        self.io.read_exact(&mut payload).await.ok()?;
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        Some((first & 0x0f, payload))
    }
}
