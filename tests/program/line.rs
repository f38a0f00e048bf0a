//! A carrier's media stream by hand, for calls that no scenario describes: silence by default, clips and any frame on
//! demand, marks echoed when their sound would have been played.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use awc::ws::{CloseCode, Frame, Message};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::server::Server;
use crate::web::{Socket, open, until};

const TICK: Duration = Duration::from_millis(20);
/// Bytes of 20 ms at 8 kHz.
const FRAME: usize = 320;

enum Order {
    Send(Message),
    Say(&'static str),
    Mute,
    HangUp,
    Cut,
}

/// What the other side did.
#[derive(Default)]
struct Seen {
    media: u64,
    /// Milliseconds of audible sound.
    sound_ms: u64,
    /// When sound last came.
    last_sound: Option<Instant>,
    clears: u64,
    /// Code of the close frame.
    close: Option<u16>,
    over: bool,
    saying: bool,
    /// Milliseconds of the caller's clips that are not said yet.
    left_ms: usize,
}

/// One stream, kept up by a task of the test's own thread.
pub struct Line {
    pub sid: String,
    pub stream: String,
    seen: Rc<RefCell<Seen>>,
    orders: mpsc::UnboundedSender<Order>,
}

/// A call id as the carrier makes them; `name` keeps the calls of one test apart.
pub fn sid(name: &str) -> String {
    let unique = uuid::Uuid::now_v7().simple().to_string();
    format!("{name}{unique}").chars().take(48).collect()
}

pub fn start_message(sid: &str, stream: &str, rate: &str) -> Value {
    json!({"event": "start", "stream_sid": stream, "sequence_number": "1", "start": {"stream_sid": stream,
        "call_sid": sid, "account_sid": "test1", "from": "09876543210", "to": "08047112233",
        "media_format": {"encoding": "base64", "sample_rate": rate, "bit_rate": "128kbps"}}})
}

pub fn media_message(stream: &str, number: u64, pcm: &[u8]) -> Value {
    json!({"event": "media", "stream_sid": stream, "sequence_number": number.saturating_add(1).to_string(),
        "media": {"chunk": number.to_string(), "timestamp": (number.saturating_sub(1).saturating_mul(20)).to_string(),
            "payload": STANDARD.encode(pcm)}})
}

pub fn text(value: &Value) -> Message {
    Message::Text(value.to_string().into())
}

impl Line {
    /// Admits a call, opens its stream and sends `connected` and `start`.
    pub async fn call(server: &Server, name: &str) -> Self {
        let sid = sid(name);
        let url = server.media_url(&sid).await;
        let socket = open(&url, &[]).await.expect("the media socket opens");
        Self::on(socket, &sid).await
    }

    /// Sends `connected` and `start` on an open socket and goes on from there.
    pub async fn on(mut socket: Socket, sid: &str) -> Self {
        let stream = format!("s{sid}");
        socket.send(text(&json!({"event": "connected"}))).await.unwrap();
        socket.send(text(&start_message(sid, &stream, "8000"))).await.unwrap();
        Self::started(socket, sid, &stream)
    }

    /// Goes on with a socket on which nothing more is sent than what the test orders, and silence.
    pub fn started(socket: Socket, sid: &str, stream: &str) -> Self {
        let seen = Rc::new(RefCell::new(Seen::default()));
        let (orders, incoming) = mpsc::unbounded_channel();
        actix_rt::spawn(keep_up(socket, stream.to_owned(), Rc::clone(&seen), incoming));
        Self { sid: sid.to_owned(), stream: stream.to_owned(), seen, orders }
    }

    fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }

    pub fn send(&self, message: Message) {
        self.order(Order::Send(message));
    }

    pub fn send_json(&self, value: &Value) {
        self.send(text(value));
    }

    /// The caller says a clip of the sandbox.
    pub fn say(&self, clip: &'static str) {
        self.seen.borrow_mut().saying = true;
        self.order(Order::Say(clip));
    }

    /// Says a clip and waits until only so much of it is left.
    pub async fn say_until(&self, clip: &'static str, left_ms: usize) {
        self.say(clip);
        let part = || async {
            let seen = self.seen.borrow();
            (seen.left_ms > 0 && seen.left_ms <= left_ms).then_some(())
        };
        until("a part of the clip is said", Duration::from_secs(10), part).await;
    }

    /// No more frames by itself.
    pub fn mute(&self) {
        self.order(Order::Mute);
    }

    /// `stop` and a close frame.
    pub fn hang_up(&self) {
        self.order(Order::HangUp);
    }

    /// The connection is gone without a word.
    pub fn cut(&self) {
        self.order(Order::Cut);
    }

    pub fn media(&self) -> u64 {
        self.seen.borrow().media
    }

    pub fn sound_ms(&self) -> u64 {
        self.seen.borrow().sound_ms
    }

    pub fn is_over(&self) -> bool {
        self.seen.borrow().over
    }

    pub fn close_code(&self) -> Option<u16> {
        self.seen.borrow().close
    }

    /// Waits for the close frame, or the bare end, of the other side.
    pub async fn closed(&self, within: Duration) -> Option<u16> {
        until("the socket is closed", within, || async { self.is_over().then_some(()) }).await;
        self.close_code()
    }

    /// Waits until the agent has said at least so much and has been quiet for 600 ms.
    pub async fn agent_said(&self, at_least_ms: u64, since_ms: u64) -> u64 {
        until("the agent has spoken", Duration::from_secs(20), || async {
            let seen = self.seen.borrow();
            assert!(!seen.over, "the stream ended (close {:?}) before the agent had spoken", seen.close);
            let quiet = seen.last_sound.is_some_and(|at| at.elapsed() > Duration::from_millis(600));
            (quiet && seen.sound_ms >= since_ms + at_least_ms).then_some(seen.sound_ms)
        })
        .await
    }

    /// Says a clip, if need be into the agent's words, and waits for an answer in sound.
    pub async fn ask(&self, clip: &'static str) {
        self.say(clip);
        until("the clip is said", Duration::from_secs(10), || async {
            (!self.seen.borrow().saying || self.is_over()).then_some(())
        })
        .await;
        self.agent_said(300, self.sound_ms()).await;
    }
}

struct Keeper {
    stream: String,
    seen: Rc<RefCell<Seen>>,
    number: u64,
    speech: VecDeque<i16>,
    /// When the sound received so far will have been played.
    played: Instant,
    marks: VecDeque<(Instant, String)>,
    noise: u32,
}

async fn keep_up(
    mut socket: Socket,
    stream: String,
    seen: Rc<RefCell<Seen>>,
    mut orders: mpsc::UnboundedReceiver<Order>,
) {
    let mut keeper = Keeper {
        stream,
        seen,
        number: 0,
        speech: VecDeque::new(),
        played: Instant::now(),
        marks: VecDeque::new(),
        noise: 1,
    };
    let mut ticks = tokio::time::interval(TICK);
    let mut muted = false;
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                for message in keeper.tick(muted) {
                    if socket.send(message).await.is_err() {
                        keeper.seen.borrow_mut().over = true;
                        return;
                    }
                }
            }
            order = orders.recv() => match order {
                Some(Order::Send(message)) => { let _ = socket.send(message).await; }
                Some(Order::Say(clip)) => {
                    let clip = caly::sim::library::library().get(clip).expect("a clip of the sandbox");
                    keeper.speech.extend(clip.samples.iter());
                }
                Some(Order::Mute) => muted = true,
                Some(Order::HangUp) => {
                    let stop = json!({"event": "stop", "stream_sid": keeper.stream,
                        "stop": {"reason": "callended"}});
                    let _ = socket.send(text(&stop)).await;
                    let _ = socket.send(Message::Close(Some(CloseCode::Normal.into()))).await;
                    muted = true;
                }
                Some(Order::Cut) | None => {
                    keeper.seen.borrow_mut().over = true;
                    return;
                }
            },
            frame = socket.next() => if !keeper.hear(frame) { return },
        }
    }
}

impl Keeper {
    /// Marks that are due and the next 20 ms.
    fn tick(&mut self, muted: bool) -> Vec<Message> {
        let now = Instant::now();
        let mut messages = Vec::new();
        while self.marks.front().is_some_and(|(due, _)| *due <= now) {
            let Some((_, name)) = self.marks.pop_front() else { break };
            messages.push(text(&json!({"event": "mark", "stream_sid": self.stream, "mark": {"name": name}})));
        }
        if !muted {
            let mut pcm = Vec::with_capacity(FRAME);
            for _ in 0..FRAME / 2 {
                self.noise = self.noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let quiet = if self.noise & 0x1_0000 == 0 { 8 } else { -8 };
                pcm.extend(self.speech.pop_front().unwrap_or(quiet).to_le_bytes());
            }
            let mut seen = self.seen.borrow_mut();
            seen.saying = !self.speech.is_empty();
            seen.left_ms = self.speech.len() / 8;
            drop(seen);
            self.number += 1;
            messages.push(text(&media_message(&self.stream, self.number, &pcm)));
        }
        messages
    }

    /// False at the end of the stream.
    fn hear(&mut self, frame: Option<Result<Frame, awc::error::WsProtocolError>>) -> bool {
        match frame {
            Some(Ok(Frame::Text(bytes))) => self.message(&serde_json::from_slice(&bytes).unwrap()),
            Some(Ok(Frame::Close(reason))) => {
                let mut seen = self.seen.borrow_mut();
                seen.close = Some(reason.map_or(1005, |reason| u16::from(reason.code)));
                seen.over = true;
                return false;
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => {
                self.seen.borrow_mut().over = true;
                return false;
            }
        }
        true
    }

    fn message(&mut self, message: &Value) {
        let now = Instant::now();
        let mut seen = self.seen.borrow_mut();
        match message["event"].as_str() {
            Some("media") => {
                let pcm = STANDARD.decode(message["media"]["payload"].as_str().unwrap()).unwrap();
                let length = Duration::from_micros(pcm.len() as u64 * 1_000_000 / 16_000);
                self.played = self.played.max(now) + length;
                seen.media += 1;
                let loud = |frame: &&[u8]| frame.chunks_exact(2).any(|s| i16::from_le_bytes([s[0], s[1]]).abs() > 300);
                let loud = pcm.chunks(FRAME).filter(loud).count() as u64;
                if loud > 0 {
                    seen.sound_ms += loud * 20;
                    seen.last_sound = Some(self.played);
                }
            }
            Some("mark") => {
                let name = message["mark"]["name"].as_str().unwrap().to_owned();
                self.marks.push_back((self.played.max(now), name));
            }
            Some("clear") => {
                seen.clears += 1;
                self.played = now;
                self.marks.clear();
                seen.last_sound = seen.last_sound.map(|at| at.min(now));
            }
            other => panic!("an event {other:?} that no carrier knows: {message}"),
        }
    }
}
