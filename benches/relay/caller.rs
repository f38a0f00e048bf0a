//! One simulated Exotel call: asks for the media URL, streams numbered blocks on an absolute schedule, listens for them
//! and confirms marks when their audio would have been played (telephony.md §1.1).
//!
//! Owns one socket and the times at which its blocks went out. Tells [`Shared`] what came back, and when.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{ErrorKind, Write as _};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::WriteHalf;
use tokio::time::{Instant as Timer, sleep_until, timeout};
use url::Url;

use super::block;
use super::frame::{self, CLOSE, Inbox, PING, PONG, TEXT};

/// Between two blocks of one call.
pub const BLOCK: Duration = Duration::from_millis(20);
/// For each step of getting a call up.
const STEP_DEADLINE: Duration = Duration::from_secs(10);
/// From our close frame to the end of the connection.
const CLOSE_DEADLINE: Duration = Duration::from_secs(3);
/// Largest answer of a webhook.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// Waiting to be written; beyond this the server has stopped reading, and blocks are lost.
const OUT_BYTES_MAX: usize = 256 * 1024;
/// Marks waiting for their audio to be played.
const MARKS_MAX: usize = 64;
/// A schedule missed by more than this is taken up again from now.
const BEHIND_MAX: Duration = Duration::from_secs(1);

/// Where the calls go, the same for all of a rung.
pub struct Target {
    /// The call-start webhook with its key.
    pub call_start: Url,
    /// The called number, as Exotel writes it.
    pub called: &'static str,
}

/// What the calls of a rung have in common.
pub struct Shared {
    pub target: Target,
    /// Zero of all times.
    epoch: Instant,
    payloads: Rc<[String]>,
    /// Blocks sent between these times are measured.
    window: Cell<Option<(Instant, Instant)>>,
    stopping: Cell<bool>,
    /// Calls that have heard a block of theirs.
    pub carrying: Cell<usize>,
    sent: Cell<u64>,
    delays_ns: RefCell<Vec<u64>>,
    /// Media messages whose payload could not be read.
    pub unreadable: Cell<u64>,
}

impl Shared {
    pub fn new(target: Target, payloads: Rc<[String]>) -> Self {
        Self {
            target,
            epoch: Instant::now(),
            payloads,
            window: Cell::new(None),
            stopping: Cell::new(false),
            carrying: Cell::new(0),
            sent: Cell::new(0),
            delays_ns: RefCell::default(),
            unreadable: Cell::new(0),
        }
    }

    /// Measures the blocks sent from now on, for so long.
    pub fn measure(&self, length: Duration) {
        let now = Instant::now();
        self.window.set(Some((now, now + length)));
    }

    /// Asks all calls to hang up.
    pub fn stop(&self) {
        self.stopping.set(true);
    }

    /// Blocks sent in the window, and the delay of each that came back, in ns, shortest first.
    pub fn measured(&self) -> (u64, Vec<u64>) {
        let mut delays = self.delays_ns.take();
        delays.sort_unstable();
        (self.sent.get(), delays)
    }

    fn is_measured(&self, at: Instant) -> bool {
        self.window.get().is_some_and(|(from, until)| (from..until).contains(&at))
    }
}

/// Which call this is.
#[derive(Clone, Copy)]
pub struct Seat {
    pub number: usize,
    /// Calls in all: their blocks are spread evenly over 20 ms.
    pub of: usize,
}

/// Places a call and streams until asked to stop.
///
/// # Errors
/// The call did not come up or ended by itself.
pub async fn place(shared: Rc<Shared>, seat: Seat) -> Result<()> {
    // Exotel's ids have 32 characters of lower case and digits; no two runs use the same.
    let sid = uuid::Uuid::now_v7().simple().to_string();
    let media =
        timeout(STEP_DEADLINE, call_start(&shared.target, &sid, seat)).await.context("call-start: no answer")??;
    let mut inbox = Inbox::new();
    let mut stream =
        timeout(STEP_DEADLINE, open(&media, &mut inbox)).await.context("media socket: no upgrade in time")??;
    let mut caller = Caller::new(Rc::clone(&shared), seat, &sid);
    let ended = caller.stream(&mut stream, &mut inbox).await;
    shared.carrying.set(shared.carrying.get() - usize::from(caller.is_carrying));
    ended
}

async fn call_start(target: &Target, sid: &str, seat: Seat) -> Result<Url> {
    let mut url = target.call_start.clone();
    let caller = format!("09{:09}", 800_000_000 + seat.number);
    url.query_pairs_mut()
        .append_pair("CallSid", sid)
        .append_pair("CallFrom", &caller)
        .append_pair("CallTo", target.called)
        .append_pair("Direction", "incoming")
        .append_pair("Created", "Tue, 25 Aug 2026 12:07:08")
        .append_pair("DialWhomNumber", "")
        .append_pair("HangupLatencyStartTimeExocc", "")
        .append_pair("HangupLatencyStartTime", "")
        .append_pair("ServerCode", "")
        .append_pair("From", &caller)
        .append_pair("To", target.called)
        .append_pair("CurrentTime", "2026-08-25 12:07:08");
    let (status, body) = get(&url).await?;
    ensure!(status == 200, "call-start answered {status}: {}", body.trim());
    let answer: serde_json::Value = serde_json::from_str(&body).context("call-start: not JSON")?;
    let media = answer["url"].as_str().ok_or_else(|| anyhow!("call-start: no url in {}", body.trim()))?;
    Ok(Url::parse(media)?)
}

/// A GET on a connection of its own: status and body.
///
/// # Errors
/// No connection, or no HTTP answer.
pub async fn get(url: &Url) -> Result<(u16, String)> {
    let mut stream = connect(url).await?;
    let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", path(url), host(url));
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| anyhow!("no HTTP answer"))?;
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    Ok((status.ok_or_else(|| anyhow!("no HTTP status"))?, body.to_owned()))
}

async fn connect(url: &Url) -> Result<TcpStream> {
    let addresses = url.socket_addrs(|| None)?;
    let stream = TcpStream::connect(&addresses[..]).await.with_context(|| format!("connecting to {}", host(url)))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn path(url: &Url) -> &str {
    &url[url::Position::BeforePath..url::Position::AfterQuery]
}

fn host(url: &Url) -> &str {
    &url[url::Position::BeforeHost..url::Position::AfterPort]
}

async fn open(url: &Url, inbox: &mut Inbox) -> Result<TcpStream> {
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    let mut stream = connect(url).await?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n",
        path(url),
        host(url)
    );
    stream.write_all(request.as_bytes()).await?;
    let head = loop {
        if let Some(head) = inbox.http_head()? {
            break head;
        }
        match stream.read(inbox.space()).await? {
            0 => bail!("media socket: closed before the upgrade"),
            bytes => inbox.filled(bytes),
        }
    };
    let status = head.lines().next().unwrap_or("");
    ensure!(status.contains(" 101 "), "media socket: {status}");
    ensure!(head.contains(&frame::accept(KEY)), "media socket: a wrong accept key");
    Ok(stream)
}

struct Caller {
    shared: Rc<Shared>,
    seat: Seat,
    /// Everything of a media message before its numbers.
    media_head: String,
    stream_sid: String,
    call_sid: String,
    next_block: Instant,
    blocks: u64,
    sequence: u64,
    sent_at: Vec<Option<Instant>>,
    reader: block::Reader,
    pcm: Vec<u8>,
    scratch: Vec<u8>,
    out: Vec<u8>,
    mask: u32,
    /// When all audio that came so far will have been played.
    played_at: Instant,
    marks: VecDeque<(Instant, Vec<u8>)>,
    is_carrying: bool,
    is_over: bool,
}

impl Caller {
    fn new(shared: Rc<Shared>, seat: Seat, call_sid: &str) -> Self {
        let stream_sid = uuid::Uuid::now_v7().simple().to_string();
        let now = Instant::now();
        // The first of this call's times that lies ahead; the calls' times divide the 20 ms evenly.
        let phase = BLOCK * seat.number as u32 / seat.of as u32;
        let since = now - shared.epoch;
        let next_block = shared.epoch + BLOCK * (since.as_millis() as u32 / BLOCK.as_millis() as u32 + 1) + phase;
        Self {
            media_head: format!(r#"{{"event":"media","stream_sid":"{stream_sid}","sequence_number":""#),
            stream_sid,
            call_sid: call_sid.to_owned(),
            next_block,
            blocks: 0,
            sequence: 0,
            sent_at: vec![None; usize::from(block::NUMBERS)],
            reader: block::Reader::new(),
            pcm: Vec::new(),
            scratch: Vec::new(),
            out: Vec::new(),
            mask: 0x9e37_79b9 ^ seat.number as u32,
            played_at: now,
            marks: VecDeque::new(),
            is_carrying: false,
            is_over: false,
            shared,
            seat,
        }
    }

    async fn stream(&mut self, stream: &mut TcpStream, inbox: &mut Inbox) -> Result<()> {
        let (mut reader, mut writer) = stream.split();
        self.begin();
        let mut timer = std::pin::pin!(sleep_until(Timer::from_std(self.due())));
        while !self.is_over {
            self.flush(&writer)?;
            let due = Timer::from_std(self.due());
            if timer.deadline() != due {
                timer.as_mut().reset(due);
            }
            tokio::select! {
                biased;
                () = &mut timer => self.tick(Instant::now()),
                read = reader.read(inbox.space()) => match read.context("media socket: reading")? {
                    0 => bail!("media socket: ended by the server"),
                    bytes => {
                        inbox.filled(bytes);
                        self.hear(inbox)?;
                    }
                },
                ready = writer.writable(), if !self.out.is_empty() => ready?,
            }
        }
        let closing = async {
            // The server may be quicker to close; nothing is owed any more.
            let _ = writer.write_all(&self.out).await;
            let _ = writer.shutdown().await;
            while matches!(reader.read(inbox.space()).await, Ok(1..)) {}
        };
        let _ = timeout(CLOSE_DEADLINE, closing).await;
        Ok(())
    }

    fn due(&self) -> Instant {
        self.marks.front().map_or(self.next_block, |(at, _)| self.next_block.min(*at))
    }

    fn push(&mut self, opcode: u8, parts: &[&[u8]]) {
        self.mask = self.mask.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f);
        frame::push_client(&mut self.out, opcode, parts, self.mask.to_ne_bytes());
    }

    fn begin(&mut self) {
        self.push(TEXT, &[br#"{"event":"connected"}"#]);
        self.sequence += 1;
        let start = serde_json::json!({
            "event": "start", "stream_sid": self.stream_sid, "sequence_number": self.sequence.to_string(),
            "start": {
                "stream_sid": self.stream_sid, "call_sid": self.call_sid, "account_sid": "bench1",
                "from": format!("09{:09}", 800_000_000 + self.seat.number), "to": self.shared.target.called,
                "media_format": { "encoding": "base64", "sample_rate": "8000", "bit_rate": "128kbps" },
            },
        });
        self.push(TEXT, &[start.to_string().as_bytes()]);
    }

    /// Whatever is due: blocks, then marks.
    fn tick(&mut self, now: Instant) {
        if self.shared.stopping.get() {
            return self.hang_up();
        }
        if now > self.next_block + BEHIND_MAX {
            let late = (now - self.next_block).as_millis() / BLOCK.as_millis();
            self.next_block += BLOCK * late as u32;
        }
        while self.next_block <= now {
            self.next_block += BLOCK;
            self.say_block(now);
        }
        while let Some((_, name)) = self.marks.pop_front_if(|(at, _)| *at <= now) {
            self.sequence += 1;
            let tail = format!(r#"","sequence_number":"{}","mark":{{"name":""#, self.sequence);
            let sid = std::mem::take(&mut self.stream_sid);
            self.push(TEXT, &[br#"{"event":"mark","stream_sid":""#, sid.as_bytes(), tail.as_bytes(), &name, br#""}}"#]);
            self.stream_sid = sid;
        }
    }

    fn say_block(&mut self, now: Instant) {
        let number = (self.blocks % u64::from(block::NUMBERS)) as usize;
        let timestamp_ms = u128::from(self.blocks) * BLOCK.as_millis();
        self.blocks += 1;
        self.sequence += 1;
        if self.shared.is_measured(now) {
            self.shared.sent.set(self.shared.sent.get() + 1);
        }
        if self.out.len() > OUT_BYTES_MAX {
            self.sent_at[number] = None;
            return;
        }
        self.sent_at[number] = Some(now);
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        scratch.extend_from_slice(self.media_head.as_bytes());
        // Writing to a Vec cannot fail.
        let _ = write!(
            scratch,
            r#"{}","media":{{"chunk":"{}","timestamp":"{timestamp_ms}","payload":""#,
            self.sequence, self.blocks
        );
        let payloads = Rc::clone(&self.shared.payloads);
        self.push(TEXT, &[&scratch, payloads[number].as_bytes(), br#""}}"#]);
        self.scratch = scratch;
    }

    fn hang_up(&mut self) {
        self.sequence += 1;
        let stop = serde_json::json!({
            "event": "stop", "stream_sid": self.stream_sid, "sequence_number": self.sequence.to_string(),
            "stop": { "call_sid": self.call_sid, "account_sid": "bench1", "reason": "callended" },
        });
        self.push(TEXT, &[stop.to_string().as_bytes()]);
        self.push(CLOSE, &[&1000u16.to_be_bytes()]);
        self.is_over = true;
    }

    /// Writes what the socket takes at once; the rest waits for it to become writable.
    fn flush(&mut self, writer: &WriteHalf<'_>) -> Result<()> {
        while !self.out.is_empty() {
            match writer.try_write(&self.out) {
                Ok(written) => {
                    self.out.drain(..written);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("media socket: writing"),
            }
        }
        Ok(())
    }

    fn hear(&mut self, inbox: &mut Inbox) -> Result<()> {
        let now = Instant::now();
        while let Some(frame) = inbox.frame()? {
            let payload = inbox.bytes(frame.payload);
            match frame.opcode {
                TEXT => self.message(payload, now),
                PING => self.push(PONG, &[payload]),
                CLOSE => {
                    let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                    let reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default());
                    bail!("media socket: closed by the server, {} {reason}", code.unwrap_or(1005));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn message(&mut self, text: &[u8], now: Instant) {
        match frame::quoted(text, b"\"event\":\"") {
            Some(b"media") => self.media(text, now),
            Some(b"mark") => {
                if let Some(name) = frame::quoted(text, b"\"name\":\"")
                    && self.marks.len() < MARKS_MAX
                {
                    self.marks.push_back((self.played_at.max(now), name.to_owned()));
                }
            }
            Some(b"clear") => {
                // Exotel says nothing about marks that were pending; they are kept back here.
                self.played_at = now;
                self.marks.clear();
            }
            _ => {}
        }
    }

    fn media(&mut self, text: &[u8], now: Instant) {
        let payload = frame::quoted(text, b"\"payload\":\"").unwrap_or_default();
        self.pcm.resize(payload.len() / 4 * 3 + 3, 0);
        let Ok(length) = STANDARD.decode_slice(payload, &mut self.pcm) else {
            return self.shared.unreadable.set(self.shared.unreadable.get() + 1);
        };
        self.played_at = self.played_at.max(now) + Duration::from_micros(length as u64 * 125 / 2);
        let Self { reader, pcm, sent_at, shared, is_carrying, .. } = self;
        reader.feed(&pcm[..length], |number| {
            let Some(sent) = sent_at[usize::from(number)].take() else { return };
            if shared.is_measured(sent) {
                shared.delays_ns.borrow_mut().push((now - sent).as_nanos() as u64);
            }
            if !std::mem::replace(is_carrying, true) {
                shared.carrying.set(shared.carrying.get() + 1);
            }
        });
    }
}
