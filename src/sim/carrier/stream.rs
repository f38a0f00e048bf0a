//! The WebSocket of one simulated call: frames on an absolute schedule, the playback model, the caller's script.

use std::sync::Arc;
use std::time::Duration;

use awc::error::WsProtocolError;
use awc::ws::{CloseCode, Frame, Message};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::time::{Instant, sleep_until, timeout};

use super::ear::Ear;
use super::playback::{Playback, Sound};
use super::report::{CallReport, Turn};
use super::scenario::{Act, Director, View};
use super::wire::{self, Wish, Writer};
use super::{CallPlan, Live};
use crate::sim::Dice;
use crate::sim::audio::{self, RATE};
use crate::sim::library::library;

/// The grain of the stream.
const TICK: Duration = Duration::from_millis(20);
/// A bot that does not read for so long has broken the stream.
const SEND_LIMIT: Duration = Duration::from_secs(5);
/// Silences within these bounds in the agent's speech are faults, not pauses.
const GAP: std::ops::RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_millis(400);

/// A WebSocket, whoever made it.
pub(crate) trait Wire: Stream<Item = Result<Frame, WsProtocolError>> + Sink<Message> + Unpin {}
impl<T: Stream<Item = Result<Frame, WsProtocolError>> + Sink<Message> + Unpin> Wire for T {}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum End {
    /// The bot closed, or its connection is gone.
    Bot,
    Caller,
    /// The caller's line was cut without a word.
    Cut,
    Failed(String),
}

/// The caller's own sound.
struct Speech {
    samples: Arc<[i16]>,
    at: usize,
    /// Index of its turn in the report.
    turn: usize,
    /// Samples after the last loud one.
    tail: usize,
}

/// One stream while it lives.
pub(crate) struct Line<'a> {
    plan: &'a CallPlan,
    report: &'a mut CallReport,
    rate: u32,
    writer: Writer,
    playback: Playback,
    ear: Ear,
    director: Director,
    dice: Dice,
    speech: Option<Speech>,
    /// Caller samples not yet sent, when a message holds more than one tick or is late.
    unsent: Vec<i16>,
    sent_ms: u64,
    hold: u32,
    said: usize,
    tracks: Option<(Vec<i16>, Vec<i16>)>,
    begun: Instant,
}

impl<'a> Line<'a> {
    pub(crate) fn new(plan: &'a CallPlan, report: &'a mut CallReport, rate: u32) -> Self {
        let writer = Writer::new(&report.stream_sid, &plan.knobs);
        Self {
            writer,
            playback: Playback::new(rate),
            ear: Ear::new(rate, plan.recognise),
            director: Director::new(&plan.scenario),
            dice: Dice::new(plan.seed ^ 0xca11),
            speech: None,
            unsent: Vec::new(),
            sent_ms: 0,
            hold: 0,
            said: 0,
            tracks: plan.record.is_some().then(Default::default),
            begun: Instant::now(),
            plan,
            report,
            rate,
        }
    }

    fn samples_per_tick(&self) -> usize {
        self.rate as usize / 50
    }

    /// Runs the stream from `connected` to its end.
    pub(crate) async fn run<W: Wire>(&mut self, socket: &mut W, parameters: &[(String, String)]) -> End {
        let start = self.writer.start(self.plan, &self.report.call_sid, self.rate, parameters);
        for text in ["{\"event\":\"connected\"}".to_owned(), start] {
            if !send(socket, Message::Text(text.into())).await {
                return End::Bot;
            }
        }
        self.begun = Instant::now();
        let end = self.talk(socket).await;
        self.report.stream = self.begun.elapsed();
        self.listen(self.report.stream);
        self.ear.end();
        self.tell_heard();
        self.summarise();
        self.part(socket, &end).await;
        end
    }

    async fn talk<W: Wire>(&mut self, socket: &mut W) -> End {
        let limit = self.plan.knobs.max_session.min(Duration::from_secs(self.plan.scenario.max_seconds));
        let mut due = self.begun + TICK;
        loop {
            tokio::select! {
                biased;
                () = sleep_until(due) => {
                    let now = self.begun.elapsed();
                    let late = now.saturating_sub(due - self.begun);
                    self.report.tick_late_max = self.report.tick_late_max.max(late);
                    if let Some(end) = self.tick(socket, now).await {
                        return end;
                    }
                    if now >= limit {
                        return End::Failed(format!("the call lasted longer than {} s", limit.as_secs()));
                    }
                    due += TICK;
                }
                frame = socket.next() => {
                    if let Some(end) = self.frame(socket, frame).await {
                        return end;
                    }
                }
            }
        }
    }

    async fn tick<W: Wire>(&mut self, socket: &mut W, now: Duration) -> Option<End> {
        for mark in self.listen(now) {
            let text = self.writer.mark(&mark);
            if !send(socket, Message::Text(text.into())).await {
                return Some(End::Bot);
            }
        }
        self.tell_heard();
        let view = View {
            now,
            utterances: &self.ear.utterances,
            agent_since: self.ear.since(),
            caller_speaking: self.speech.is_some(),
        };
        match self.director.poll(&view) {
            None => {}
            Some(Act::Say(clip)) => self.say(&clip, now),
            Some(Act::Press(key)) => {
                self.plan.tell(Live::Key(now, key.clone()));
                let text = self.writer.key(&key);
                if !send(socket, Message::Text(text.into())).await {
                    return Some(End::Bot);
                }
            }
            Some(Act::HangUp) => return Some(End::Caller),
            Some(Act::Cut) => return Some(End::Cut),
            Some(Act::Fail(reason)) => return Some(End::Failed(reason)),
        }
        self.speak(now);
        self.send_media(socket).await
    }

    /// Plays what is due into the ear and the recording; gives back the marks to echo.
    fn listen(&mut self, now: Duration) -> Vec<String> {
        let played = self.playback.advance(now);
        for (at, long) in played.gaps {
            if self.ear.speaking() && GAP.contains(&long) && self.report.gaps.len() < 1000 {
                self.report.gaps.push((at, long));
            }
        }
        for Sound { at, samples } in played.sounds {
            self.ear.listen(at, &samples);
            if let Some((_, agent)) = &mut self.tracks {
                let start = (at.as_micros() * u128::from(self.rate) / 1_000_000) as usize;
                if agent.len() < start {
                    agent.resize(start, 0);
                }
                agent.truncate(start);
                agent.extend_from_slice(&samples);
            }
        }
        if self.playback.idle() {
            self.ear.idle(now);
        }
        self.report.first_audio = self.report.first_audio.or_else(|| self.ear.onsets.first().copied());
        played.marks
    }

    fn tell_heard(&mut self) {
        for said in &self.ear.utterances[self.said..] {
            self.plan.tell(Live::Agent(said.clone()));
        }
        self.said = self.ear.utterances.len();
    }

    fn say(&mut self, name: &str, now: Duration) {
        // Scenarios are checked for unknown clips when they are read.
        let Some(clip) = library().get(name) else { return };
        let samples: Arc<[i16]> = audio::resample(&clip.samples, RATE, self.rate).into();
        let quiet = samples.rchunks(self.rate as usize / 100).take_while(|chunk| audio::level(chunk) < 200.0).count();
        let tail = quiet * self.rate as usize / 100;
        let turn = Turn { clip: name.to_owned(), start: now, end: now, latency: None, silenced: None };
        self.report.turns.push(turn);
        self.speech = Some(Speech { samples, at: 0, turn: self.report.turns.len() - 1, tail });
        self.plan.tell(Live::Caller(now, clip.text.clone()));
    }

    /// The caller's next 20 ms: speech, or the faint noise of a line.
    fn speak(&mut self, now: Duration) {
        let wanted = self.samples_per_tick();
        let mut frame = Vec::with_capacity(wanted);
        if let Some(speech) = &mut self.speech {
            let end = (speech.at + wanted).min(speech.samples.len());
            frame.extend_from_slice(&speech.samples[speech.at..end]);
            speech.at = end;
            if speech.samples.len() - end <= speech.tail
                && self.report.turns[speech.turn].end <= self.report.turns[speech.turn].start
            {
                self.report.turns[speech.turn].end = now;
            }
            if end == speech.samples.len() {
                self.speech = None;
            }
        }
        // 8 and -8 are A-law's smallest values: what an Indian line sounds like when nobody speaks.
        frame.resize_with(wanted, || if self.dice.roll() & 1 == 0 { 8 } else { -8 });
        if let Some((caller, _)) = &mut self.tracks {
            caller.extend_from_slice(&frame);
        }
        self.unsent.extend_from_slice(&frame);
    }

    async fn send_media<W: Wire>(&mut self, socket: &mut W) -> Option<End> {
        let knobs = &self.plan.knobs;
        if self.hold > 0 {
            self.hold -= 1;
            return None;
        }
        if knobs.jitter > Duration::ZERO && self.dice.below(10) == 0 {
            self.hold = self.dice.below(knobs.jitter.as_millis() as u64 / 20 + 1) as u32;
        }
        let frame_ms = knobs.frame_ms.max(20) / 20 * 20;
        let size = self.samples_per_tick() * (frame_ms / 20) as usize;
        while self.unsent.len() >= size {
            let rest = self.unsent.split_off(size);
            let frame = std::mem::replace(&mut self.unsent, rest);
            let text = self.writer.media(self.sent_ms, &frame);
            self.sent_ms += frame_ms;
            if !send(socket, Message::Text(text.into())).await {
                return Some(End::Bot);
            }
        }
        None
    }

    async fn frame<W: Wire>(&mut self, socket: &mut W, frame: Option<Result<Frame, WsProtocolError>>) -> Option<End> {
        match frame {
            Some(Ok(Frame::Text(bytes))) => match std::str::from_utf8(&bytes) {
                Ok(text) => return self.wish(socket, text).await,
                Err(_) => self.report.violation("a text frame that is no UTF-8".to_owned()),
            },
            Some(Ok(Frame::Binary(_))) => {
                self.report.violation("a binary frame; the stream is text".to_owned());
            }
            Some(Ok(Frame::Continuation(_))) => {
                self.report.violation("a fragmented message; send each in one frame".to_owned());
            }
            Some(Ok(Frame::Ping(bytes))) => {
                if !send(socket, Message::Pong(bytes)).await {
                    return Some(End::Bot);
                }
            }
            Some(Ok(Frame::Pong(_))) => {}
            Some(Ok(Frame::Close(reason))) => {
                let code = reason.as_ref().map_or(1005, |reason| u16::from(reason.code));
                self.report.close_code = Some(code);
                if code != 1000 {
                    self.report.note(format!("the bot closed with {code}"));
                }
                let _ = send(socket, Message::Close(reason)).await;
                return Some(End::Bot);
            }
            Some(Err(error)) => {
                self.report.note(format!("the connection broke: {error}"));
                return Some(End::Bot);
            }
            None => {
                self.report.note("the bot dropped the connection without a close frame".to_owned());
                return Some(End::Bot);
            }
        }
        None
    }

    async fn wish<W: Wire>(&mut self, socket: &mut W, text: &str) -> Option<End> {
        let now = self.begun.elapsed();
        let mut faults = wire::Faults::default();
        let wish = wire::read(text, &self.report.stream_sid, &mut faults);
        faults.errors.into_iter().for_each(|error| self.report.violation(error));
        faults.notes.into_iter().for_each(|note| self.report.note(note));
        match wish {
            Wish::Play { samples, ragged } => {
                self.report.messages.0 += 1;
                self.playback.push(now, samples, ragged);
                self.report.ahead_max = self.report.ahead_max.max(self.playback.ahead());
            }
            Wish::Mark(name) => {
                self.report.messages.1 += 1;
                self.playback.mark(name);
            }
            Wish::Clear => {
                self.report.messages.2 += 1;
                self.listen(now);
                let overtaken = self.playback.clear();
                self.plan.tell(Live::Cleared(now));
                for name in overtaken.into_iter().filter(|_| self.plan.knobs.echo_marks_on_clear) {
                    let text = self.writer.mark(&name);
                    if !send(socket, Message::Text(text.into())).await {
                        return Some(End::Bot);
                    }
                }
            }
            Wish::TooLarge => {
                let reason = awc::ws::CloseReason { code: CloseCode::Size, description: None };
                let _ = send(socket, Message::Close(Some(reason))).await;
                return Some(End::Failed("the bot sent a message above 100 000 bytes".to_owned()));
            }
            Wish::Nothing => {}
        }
        None
    }

    /// Latencies and what was heard, once the stream is over.
    fn summarise(&mut self) {
        let heard = std::mem::take(&mut self.ear.utterances);
        let ends: Vec<Duration> = self.report.turns.iter().skip(1).map(|turn| turn.start).collect();
        for (index, turn) in self.report.turns.iter_mut().enumerate() {
            if turn.end <= turn.start {
                continue;
            }
            let until = ends.get(index).copied().unwrap_or(Duration::MAX);
            let answer = self.ear.onsets.iter().find(|onset| **onset >= turn.end && **onset < until);
            turn.latency = answer.map(|onset| *onset - turn.end);
            let over = heard.iter().find(|said| said.start < turn.start && said.end > turn.start);
            turn.silenced = over.map(|said| said.end - turn.start);
        }
        self.report.heard = heard;
    }

    /// The carrier's side of the end.
    async fn part<W: Wire>(&mut self, socket: &mut W, end: &End) {
        match end {
            End::Caller | End::Failed(_) => {
                if !self.plan.knobs.omit_stop {
                    let text = self.writer.stop(self.plan, &self.report.call_sid);
                    let _ = send(socket, Message::Text(text.into())).await;
                }
                let _ = send(socket, Message::Close(Some(CloseCode::Normal.into()))).await;
                // Let the bot answer the close; it may still be sending.
                let patience = Instant::now() + Duration::from_secs(1);
                while let Ok(Some(Ok(frame))) = tokio::time::timeout_at(patience, socket.next()).await {
                    if matches!(frame, Frame::Close(_)) {
                        break;
                    }
                }
            }
            End::Bot | End::Cut => {}
        }
        let words = match end {
            End::Bot => "the agent's side closed the stream".to_owned(),
            End::Caller => "the caller hung up".to_owned(),
            End::Cut => "the line was cut".to_owned(),
            End::Failed(reason) => reason.clone(),
        };
        self.plan.tell(Live::StreamEnded(self.report.stream, words));
    }

    /// Both sides, caller first, for the recording.
    pub(crate) fn take_tracks(&mut self) -> Option<(Vec<i16>, Vec<i16>)> {
        self.tracks.take()
    }
}

async fn send<W: Wire>(socket: &mut W, message: Message) -> bool {
    matches!(timeout(SEND_LIMIT, socket.send(message)).await, Ok(Ok(())))
}
