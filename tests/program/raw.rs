//! Bytes on a connection of one's own: requests no client would send, frames no library would make. Blocking; to be run
//! beside the test's own thread.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// A handshake that is all right, but for what a test changes in it.
pub const HANDSHAKE: &str = "Host: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A masked frame with that first byte, in the shortest spelling of its length.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(first, payload.len() as u64);
    let mask = [bytes[bytes.len() - 4], bytes[bytes.len() - 3], bytes[bytes.len() - 2], bytes[bytes.len() - 1]];
    bytes.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
    bytes
}

/// The header of a masked frame that declares so many bytes.
pub fn header(first: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..=125 => bytes.push(0x80 | length as u8),
        126..=65_535 => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend(length.to_be_bytes());
        }
    }
    bytes.extend([0x37, 0xfa, 0x21, 0x3d]);
    bytes
}

pub fn text(text: &str) -> Vec<u8> {
    frame(0x81, text.as_bytes())
}

/// How a media socket ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// With this close code; 1005 for none.
    Code(u16),
    /// Without a close frame.
    Bare,
    /// Not at all, within the time a test gave it.
    Open,
}

/// One connection.
pub struct Raw {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Raw {
    pub fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
        Self { stream, unread: Vec::new() }
    }

    /// Opens a media URL (`ws://…`).
    pub fn upgraded(port: u16, url: &str) -> Self {
        let mut raw = Self::connect(port);
        let target = &url[url.find("/media/").unwrap()..];
        raw.send(format!("GET {target} HTTP/1.1\r\n{HANDSHAKE}\r\n").as_bytes());
        let head = raw.head(Duration::from_secs(10)).unwrap_or_default();
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        raw
    }

    /// As [`Raw::upgraded`], with hardly any room for what comes back.
    pub fn narrow(port: u16, url: &str) -> Self {
        let raw = Self::upgraded(port, url);
        socket2::SockRef::from(&raw.stream).set_recv_buffer_size(2048).unwrap();
        raw.stream.set_write_timeout(Some(Duration::from_secs(12))).unwrap();
        raw
    }

    /// Whether the connection still took the bytes.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends as much as the other side takes; an end of the connection is noticed when reading.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    pub fn half_close(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Closes by a reset.
    pub fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// More bytes; false at the end of the stream or of the time.
    fn more(&mut self, until: Instant) -> Result<bool, End> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(End::Open);
        }
        self.stream.set_read_timeout(Some(left)).unwrap();
        let mut bytes = [0; 16_384];
        match self.stream.read(&mut bytes) {
            Ok(0) => Ok(false),
            Ok(read) => {
                self.unread.extend(&bytes[..read]);
                Ok(true)
            }
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                Err(End::Open)
            }
            Err(_) => Ok(false),
        }
    }

    /// The head of an answer; `None` if there is none in time.
    pub fn head(&mut self, within: Duration) -> Option<String> {
        let until = Instant::now() + within;
        loop {
            if let Some(at) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = self.unread.split_off(at + 4);
                return Some(String::from_utf8_lossy(&std::mem::replace(&mut self.unread, rest)).into_owned());
            }
            if !self.more(until).unwrap_or(false) {
                return None;
            }
        }
    }

    /// The status of an answer; 0 for none in time.
    pub fn status(&mut self, within: Duration) -> u16 {
        let head = self.head(within).unwrap_or_default();
        head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// The next frame: its first byte and payload.
    pub fn frame(&mut self, within: Duration) -> Result<(u8, Vec<u8>), End> {
        let until = Instant::now() + within;
        loop {
            if let Some(frame) = self.whole_frame() {
                return Ok(frame);
            }
            if !self.more(until)? {
                return Err(End::Bare);
            }
        }
    }

    fn whole_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let [first, second, ..] = self.unread[..] else { return None };
        let (length, head) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes(self.unread.get(2..4)?.try_into().unwrap())), 4),
            127 => (u64::from_be_bytes(self.unread.get(2..10)?.try_into().unwrap()), 10),
            short => (u64::from(short), 2),
        };
        let end = head + usize::try_from(length).unwrap();
        let payload = self.unread.get(head..end)?.to_vec();
        self.unread.drain(..end);
        Some((first, payload))
    }

    /// Reads on until the close frame, or the bare end.
    pub fn end(&mut self, within: Duration) -> End {
        let until = Instant::now() + within;
        loop {
            match self.frame(until.saturating_duration_since(Instant::now())) {
                Ok((first, payload)) if first & 0x0f == 8 => {
                    return End::Code(payload.get(..2).map_or(1005, |code| u16::from_be_bytes([code[0], code[1]])));
                }
                Ok(_) => {}
                Err(end) => return end,
            }
        }
    }

    /// Whether a ping is still answered; if not, how it ended.
    pub fn answers(&mut self, within: Duration) -> Result<(), End> {
        self.send(&frame(0x89, b"are you there?"));
        let until = Instant::now() + within;
        loop {
            match self.frame(until.saturating_duration_since(Instant::now()))? {
                (0x8a, payload) if payload == b"are you there?" => return Ok(()),
                (first, payload) if first & 0x0f == 8 => {
                    return Err(End::Code(payload.get(..2).map_or(1005, |c| u16::from_be_bytes([c[0], c[1]]))));
                }
                _ => {}
            }
        }
    }
}
