//! One call of the labelled set: a carrier's stream that plays what the agent says as a telephone does, brings one sound (or
//! the agent's own voice back) while the agent speaks, and times what Caly does about it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use awc::error::WsProtocolError;
use awc::ws::{Frame, Message};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use caly::sim::audio::{FRAME, alaw_to_linear, from_le, level, linear_to_alaw, to_le};
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use serde_json::{Value, json};

use super::{Case, Echo};

const TICK: Duration = Duration::from_millis(20);
/// Longest wait for the agent's first word.
const FIRST_WORD: Duration = Duration::from_secs(20);
/// Frames of the agent's speech that are heard before the sound comes; by up to 1.5 s later, so that it falls on any word.
const BEFORE: usize = 60;
const JITTER: usize = 75;
/// Frames after the sound: the detector's silence, the recogniser and the decision.
const AFTER: usize = 140;
/// Frames of a call with echo.
const ECHOED: usize = 400;
/// Quieter than this is silence.
const AUDIBLE: f32 = 100.0;

/// What the carrier saw.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub clears: usize,
    /// From the first frame of the caller's sound to `clear`.
    pub to_clear: Option<Duration>,
    /// … and from the frame in which a detector finds speech.
    pub after_detection: Option<Duration>,
    /// From `clear` to the agent's next sound.
    pub pause: Option<Duration>,
}

struct Telephone {
    stream: String,
    number: u64,
    /// Agent audio that is not played yet.
    waiting: VecDeque<i16>,
    /// Marks and how many samples are to be played before each.
    marks: VecDeque<(usize, String)>,
    /// What was played last, newest at the back, for the echo.
    played: VecDeque<i16>,
    noise: u32,
    seen: Seen,
    cleared: Option<Instant>,
    sound_at: Option<Instant>,
    detected_at: Option<Instant>,
}

/// Plays one case on an open media socket, to the caller's hanging up. `number` moves the sound about in the agent's words.
pub async fn play<S>(socket: &mut S, sid: &str, case: &Case, number: usize) -> Result<Seen>
where
    S: Stream<Item = Result<Frame, WsProtocolError>> + Sink<Message, Error = WsProtocolError> + Unpin,
{
    let mut telephone = Telephone::new(sid);
    for message in telephone.greeting(sid) {
        send(socket, &message).await?;
    }
    let before = BEFORE + number * 37 % JITTER;
    let detected = case.detected_at();
    let clip: Vec<&[i16]> = case.samples.chunks(FRAME).collect();
    let frames = if case.echo.is_some() { ECHOED } else { before + clip.len() + AFTER };
    let (mut ticks, begun) = (tokio::time::interval(TICK), Instant::now());
    let mut audible = 0;
    while audible < frames {
        tokio::select! {
            _ = ticks.tick() => {
                if audible > 0 || telephone.is_speaking() {
                    audible += 1;
                } else if begun.elapsed() > FIRST_WORD {
                    bail!("{}: the agent says nothing", case.name);
                }
                let at = audible.checked_sub(before);
                let piece = at.and_then(|at| clip.get(at).copied());
                for message in telephone.tick(piece, case.echo) {
                    send(socket, &message).await?;
                }
                let now = Instant::now();
                if at == Some(0) && piece.is_some() {
                    telephone.sound_at = Some(now);
                }
                if at.is_some() && at == detected {
                    telephone.detected_at = Some(now);
                }
            }
            frame = socket.next() => match frame {
                Some(Ok(Frame::Text(bytes))) => telephone.hear(&serde_json::from_slice(&bytes)?)?,
                Some(Ok(Frame::Close(_)) | Err(_)) | None => bail!("{}: the stream ended", case.name),
                Some(Ok(_)) => {}
            },
        }
    }
    let stop = json!({"event": "stop", "stream_sid": telephone.stream, "stop": {"reason": "callended"}});
    send(socket, &stop).await?;
    Ok(telephone.seen)
}

async fn send<S>(socket: &mut S, message: &Value) -> Result<()>
where
    S: Sink<Message, Error = WsProtocolError> + Unpin,
{
    socket.send(Message::Text(message.to_string().into())).await.map_err(|error| anyhow!("{error}"))
}

impl Telephone {
    fn new(sid: &str) -> Self {
        Self {
            stream: format!("s{sid}"),
            number: 0,
            waiting: VecDeque::new(),
            marks: VecDeque::new(),
            played: VecDeque::new(),
            noise: 1,
            seen: Seen::default(),
            cleared: None,
            sound_at: None,
            detected_at: None,
        }
    }

    fn greeting(&self, sid: &str) -> [Value; 2] {
        let start = json!({"event": "start", "stream_sid": self.stream, "sequence_number": "1", "start": {
            "stream_sid": self.stream, "call_sid": sid, "account_sid": "ears1", "from": "09876543210",
            "to": "08047112233",
            "media_format": {"encoding": "base64", "sample_rate": "8000", "bit_rate": "128kbps"}}});
        [json!({"event": "connected"}), start]
    }

    /// The agent's words have begun to be heard.
    fn is_speaking(&self) -> bool {
        self.played.iter().rev().take(FRAME).any(|sample| sample.unsigned_abs() > 300)
    }

    /// 20 ms pass: the agent's next 20 ms are heard, and the caller's side sends as much.
    fn tick(&mut self, piece: Option<&[i16]>, echo: Option<Echo>) -> Vec<Value> {
        for _ in 0..FRAME {
            let sample = self.waiting.pop_front().unwrap_or_default();
            self.played.push_back(sample);
        }
        while self.played.len() > 8_000 {
            self.played.pop_front();
        }
        for (left, _) in &mut self.marks {
            *left = left.saturating_sub(FRAME);
        }
        let mut messages = Vec::new();
        while self.marks.front().is_some_and(|(left, _)| *left == 0) {
            let Some((_, name)) = self.marks.pop_front() else { break };
            messages.push(json!({"event": "mark", "stream_sid": self.stream, "mark": {"name": name}}));
        }
        let sound: Vec<i16> = (0..FRAME)
            .map(|at| {
                self.noise = self.noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let quiet = if self.noise & 0x1_0000 == 0 { 8 } else { -8 };
                let back = echo.map_or(0.0, |echo| self.echoed(echo, at));
                let own = piece.and_then(|piece| piece.get(at)).copied().unwrap_or(quiet);
                // Indian telephony is A-law; what the set's clips are in stays as it is.
                alaw_to_linear(linear_to_alaw(own.saturating_add(back as i16)))
            })
            .collect();
        self.number += 1;
        messages.push(json!({"event": "media", "stream_sid": self.stream,
            "sequence_number": (self.number + 1).to_string(), "media": {"chunk": self.number.to_string(),
            "timestamp": ((self.number - 1) * 20).to_string(), "payload": STANDARD.encode(to_le(&sound))}}));
        messages
    }

    /// One sample of what comes back of the last 20 ms that were played and those before: quieter, later, and smeared over
    /// two milliseconds as a hybrid does it.
    fn echoed(&self, echo: Echo, at: usize) -> f32 {
        // No line is late by whole milliseconds.
        let part = (echo.delay_ms as usize + echo.level_db.unsigned_abs() as usize) % 4;
        let back = FRAME - at + echo.delay_ms as usize * 8 + part;
        let tap = |later: usize| {
            let at = self.played.len().checked_sub(back + later);
            f32::from(at.and_then(|at| self.played.get(at)).copied().unwrap_or_default())
        };
        let smeared = 0.9 * tap(0) + 0.35 * tap(3) - 0.2 * tap(7) + 0.1 * tap(15);
        smeared * 10_f32.powf(echo.level_db as f32 / 20.0)
    }

    fn hear(&mut self, message: &Value) -> Result<()> {
        let now = Instant::now();
        match message["event"].as_str() {
            Some("media") => {
                let samples = from_le(&STANDARD.decode(message["media"]["payload"].as_str().unwrap_or_default())?);
                if level(&samples) > AUDIBLE
                    && let Some(cleared) = self.cleared
                {
                    self.seen.pause.get_or_insert(now - cleared);
                }
                self.waiting.extend(samples);
            }
            Some("mark") => {
                let name = message["mark"]["name"].as_str().unwrap_or_default().to_owned();
                self.marks.push_back((self.waiting.len(), name));
            }
            Some("clear") => {
                self.waiting.clear();
                self.marks.clear();
                self.seen.clears += 1;
                self.cleared.get_or_insert(now);
                if let Some(since) = self.sound_at {
                    self.seen.to_clear.get_or_insert(now - since);
                }
                if let Some(since) = self.detected_at {
                    self.seen.after_detection.get_or_insert(now - since);
                }
            }
            other => bail!("an event {other:?} that no carrier knows"),
        }
        Ok(())
    }
}
