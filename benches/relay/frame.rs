//! The little of RFC 6455 that the harness speaks, over buffers used again and again: whole frames only.
//!
//! Hand-written so that the harness costs a fraction of what it measures. Owns bytes and their framing; knows no
//! message and no socket.

use std::ops::Range;

use anyhow::{Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub const TEXT: u8 = 1;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// Longest message taken; what waits unread can be no more than twice that.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Room made for one read.
const READ_BYTES: usize = 4096;

/// `Sec-WebSocket-Accept` for a key.
pub fn accept(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

fn head(out: &mut Vec<u8>, opcode: u8, length: usize, mask: u8) {
    out.push(0x80 | opcode);
    match length {
        0..126 => out.push(mask | length as u8),
        126..0x1_0000 => {
            out.push(mask | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(mask | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// Appends a server's frame made of several parts.
pub fn push_server(out: &mut Vec<u8>, opcode: u8, parts: &[&[u8]]) {
    head(out, opcode, parts.iter().map(|part| part.len()).sum(), 0);
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// Appends a client's frame made of several parts, masked with `key`.
pub fn push_client(out: &mut Vec<u8>, opcode: u8, parts: &[&[u8]], key: [u8; 4]) {
    head(out, opcode, parts.iter().map(|part| part.len()).sum(), 0x80);
    out.extend_from_slice(&key);
    let start = out.len();
    parts.iter().for_each(|part| out.extend_from_slice(part));
    mask(&mut out[start..], key);
}

fn mask(bytes: &mut [u8], key: [u8; 4]) {
    let wide = u64::from_ne_bytes([key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]]);
    let mut words = bytes.chunks_exact_mut(8);
    for word in &mut words {
        let masked =
            u64::from_ne_bytes([word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7]]) ^ wide;
        word.copy_from_slice(&masked.to_ne_bytes());
    }
    for (at, byte) in words.into_remainder().iter_mut().enumerate() {
        *byte ^= key[at % 4];
    }
}

/// A frame found in an [`Inbox`]; its payload, unmasked, lies in the given range of it.
pub struct Frame {
    pub opcode: u8,
    pub payload: Range<usize>,
}

/// What has been read and not yet understood.
pub struct Inbox {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Inbox {
    pub fn new() -> Self {
        Self { bytes: vec![0; READ_BYTES], start: 0, end: 0 }
    }

    /// Where to read to; never empty. Ranges given out before are void after this.
    pub fn space(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.bytes.len() - self.end < READ_BYTES / 2 && self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.bytes.len() - self.end < READ_BYTES / 2 {
            self.bytes.resize(self.bytes.len() + READ_BYTES, 0);
        }
        &mut self.bytes[self.end..]
    }

    /// So many bytes were read into [`space`](Self::space).
    pub fn filled(&mut self, bytes: usize) {
        self.end += bytes;
    }

    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    /// The head of an HTTP message, if it is there whole; it is taken out.
    ///
    /// # Errors
    /// It is longer than 16 KiB.
    pub fn http_head(&mut self) -> Result<Option<String>> {
        let waiting = &self.bytes[self.start..self.end];
        let Some(length) = waiting.windows(4).position(|four| four == b"\r\n\r\n") else {
            if waiting.len() > 16 * 1024 {
                bail!("an HTTP head without end");
            }
            return Ok(None);
        };
        let head = String::from_utf8_lossy(&waiting[..length]).into_owned();
        self.start += length + 4;
        Ok(Some(head))
    }

    /// The next whole frame, if there is one.
    ///
    /// # Errors
    /// A fragment, or a message beyond the limit.
    pub fn frame(&mut self) -> Result<Option<Frame>> {
        let waiting = &self.bytes[self.start..self.end];
        let &[first, second, ..] = waiting else { return Ok(None) };
        if first & 0x80 == 0 || first & 0x0f == 0 {
            bail!("a fragmented message");
        }
        let (extra, length) = match (second & 0x7f, &waiting[2..]) {
            (126, &[a, b, ..]) => (2, usize::from(u16::from_be_bytes([a, b]))),
            (127, &[a, b, c, d, e, f, g, h, ..]) => {
                (8, usize::try_from(u64::from_be_bytes([a, b, c, d, e, f, g, h])).unwrap_or(usize::MAX))
            }
            (126 | 127, _) => return Ok(None),
            (length, _) => (0, usize::from(length)),
        };
        if length > MESSAGE_BYTES_MAX {
            bail!("a message of {length} bytes");
        }
        let is_masked = second & 0x80 != 0;
        let from = self.start + 2 + extra + if is_masked { 4 } else { 0 };
        let payload = from..from + length;
        if payload.end > self.end {
            return Ok(None);
        }
        if is_masked {
            let key = [self.bytes[from - 4], self.bytes[from - 3], self.bytes[from - 2], self.bytes[from - 1]];
            mask(&mut self.bytes[payload.clone()], key);
        }
        self.start = payload.end;
        Ok(Some(Frame { opcode: first & 0x0f, payload }))
    }
}

/// The text between `key` and the next quote. The audio's texts hold no escapes.
pub fn quoted<'a>(text: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let rest = &text[text.windows(key.len()).position(|window| window == key)? + key.len()..];
    Some(&rest[..rest.iter().position(|byte| *byte == b'"')?])
}

/// Proves the framing before anything is measured with it.
///
/// # Errors
/// What does not hold.
pub fn self_check() -> Result<(), String> {
    if accept("dGhlIHNhbXBsZSBub25jZQ==") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
        return Err("framing: the accept key of RFC 6455 §1.3".to_owned());
    }
    let mut masked = Vec::new();
    push_client(&mut masked, TEXT, &[b"Hel", b"lo"], [0x37, 0xfa, 0x21, 0x3d]);
    if masked != [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58] {
        return Err("framing: the masked message of RFC 6455 §5.7".to_owned());
    }
    let mut wide = [0; 21];
    mask(&mut wide, [1, 2, 3, 4]);
    if wide.iter().zip([1, 2, 3, 4].into_iter().cycle()).any(|(byte, key)| *byte != key) {
        return Err("framing: a long mask".to_owned());
    }
    let lengths = [0, 1, 7, 125, 126, 580, 65_535, 65_536, 200_001];
    let messages: Vec<Vec<u8>> =
        lengths.iter().map(|length| (0..*length).map(|at| (at * 31 % 251) as u8).collect()).collect();
    for piece in [1, 1000, usize::MAX] {
        let mut wire = Vec::new();
        for message in &messages {
            let (left, right) = message.split_at(message.len() / 3);
            push_client(&mut wire, TEXT, &[left, right], [1, 2, 3, 250]);
            push_server(&mut wire, PONG, &[left, right]);
        }
        let mut expected = messages.iter().flat_map(|message| [(TEXT, message), (PONG, message)]);
        let mut inbox = Inbox::new();
        let mut rest = &wire[..];
        while !rest.is_empty() {
            let space = inbox.space();
            let taken = rest.len().min(space.len()).min(piece);
            space[..taken].copy_from_slice(&rest[..taken]);
            rest = &rest[taken..];
            inbox.filled(taken);
            while let Some(frame) = inbox.frame().map_err(|error| format!("framing: {error}"))? {
                let found = (frame.opcode, inbox.bytes(frame.payload));
                if expected.next().map(|(opcode, message)| (opcode, &message[..])) != Some(found) {
                    return Err(format!("framing: another frame came out than went in (pieces of {piece})"));
                }
            }
        }
        if expected.next().is_some() {
            return Err(format!("framing: a frame did not come out (pieces of {piece})"));
        }
    }
    if quoted(br#"{"a":"x","audio":"QUJD"}"#, b"\"audio\":\"") != Some(b"QUJD") {
        return Err("framing: a quoted text".to_owned());
    }
    Ok(())
}
