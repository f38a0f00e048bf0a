//! The task of one session: caller audio and commands out, events and agent audio in, on one socket.
//!
//! One poll reads what has arrived, writes what waits and flushes once. Commands go before audio. Reading goes on
//! while writing is held up, so that two busy ends cannot wait for each other. Liveness is counted in ticks and not
//! in wall-clock time: a thread that was held up gets one tick, not a verdict.
//! Ends: lost (told as the last event), or closed by whoever holds the session (1000, within a second).

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use awc::ws::{CloseCode, CloseReason, Message};
use bytes::Bytes;
use caly_actors::audio::caller::CallerSound;
use caly_actors::audio::lane::LaneReceiver;
use caly_actors::ports::{EngineCommand, EngineError, EngineEvent};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::Sleep;

use super::faults::{from_close, from_socket};
use super::hear::{Hearing, ignored};
use super::inbox::EventSender;
use super::say::{self, AppendWriter};
use super::socket::{Assembler, Incoming, Socket};
use super::transcription::Transcription;

/// Frames read before other tasks of the thread get their turn.
const FRAMES_A_POLL: usize = 64;

/// Pongs owed to the vendor; a flood of pings beyond that goes unanswered.
const PONGS_OWED: usize = 8;

/// How the session's liveness is judged. `tick` is the unit of all other fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) tick: Duration,
    /// Silence after which the vendor is pinged.
    pub(super) ping_after: u32,
    /// Silence after which a vendor that has answered pings before is taken for gone.
    pub(super) silent_max: u32,
    /// The same for one that has never answered a ping.
    pub(super) silent_mute_max: u32,
    /// How long the socket may accept nothing, or the reader take nothing.
    pub(super) blocked_max: u32,
    /// Longest wait for the vendor's half of a close.
    pub(super) close: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            tick: Duration::from_secs(1),
            ping_after: 2,
            silent_max: 5,
            silent_mute_max: 30,
            blocked_max: 5,
            close: Duration::from_secs(1),
        }
    }
}

/// How a session ends.
enum End {
    /// The vendor or the network ended it.
    Lost(EngineError),
    /// The vendor closed it and waits for our half.
    ClosedByEngine(EngineError),
    /// The holder is done with it.
    Asked,
}

impl From<EngineError> for End {
    fn from(error: EngineError) -> Self {
        Self::Lost(error)
    }
}

/// Where the session's traffic comes from and goes to.
pub(super) struct Ends {
    pub(super) commands: LaneReceiver<EngineCommand>,
    pub(super) caller: CallerSound,
    pub(super) events: EventSender,
    /// What the session was told to be.
    pub(super) instructions: String,
}

/// The state of the task.
pub(super) struct Pump<S> {
    socket: S,
    assembler: Assembler,
    ends: Ends,
    hearing: Hearing,
    append: AppendWriter,
    transcription: Transcription,
    heard: VecDeque<EngineEvent>,
    pongs: VecDeque<Bytes>,
    pace: Pace,
    tick: Pin<Box<Sleep>>,
    ping_due: bool,
    ping_open: bool,
    answers_pings: bool,
    silent: u32,
    blocked: u32,
    unread: u32,
    unflushed: bool,
    caller_gone: bool,
    commands_gone: bool,
    sent: metrics::Counter,
    received: metrics::Counter,
}

impl<S: Socket> Pump<S> {
    pub(super) fn new(
        socket: S,
        assembler: Assembler,
        ends: Ends,
        (hearing, append, transcription): (Hearing, AppendWriter, Transcription),
        pace: Pace,
    ) -> Self {
        Self {
            socket,
            assembler,
            ends,
            hearing,
            append,
            transcription,
            heard: VecDeque::new(),
            pongs: VecDeque::new(),
            pace,
            tick: Box::pin(tokio::time::sleep(pace.tick)),
            ping_due: true, // the first answer tells whether pings are worth believing in
            ping_open: false,
            answers_pings: false,
            silent: 0,
            blocked: 0,
            unread: 0,
            unflushed: false,
            caller_gone: false,
            commands_gone: false,
            sent: metrics::counter!("caly_engine_bytes_total", "direction" => "sent"),
            received: metrics::counter!("caly_engine_bytes_total", "direction" => "received"),
        }
    }

    /// Runs the session to its end.
    pub(super) async fn run(mut self) {
        let end = poll_fn(|cx| self.poll(cx)).await;
        self.ends.commands.close();
        let (reason, close) = match &end {
            End::Asked => ("asked", Some(CloseReason::from(CloseCode::Normal))),
            End::ClosedByEngine(error) => (error.kind(), None),
            End::Lost(error) => (error.kind(), Some(CloseReason::from(CloseCode::Normal))),
        };
        metrics::counter!("caly_engine_sessions_ended_total", "reason" => reason).increment(1);
        let error = match end {
            End::Asked => None,
            End::Lost(error) | End::ClosedByEngine(error) => Some(error),
        };
        if let Some(error) = &error {
            tracing::warn!(%error, "engine session lost");
        }
        let broken = matches!(error, Some(EngineError::Connection(_) | EngineError::Stalled(_)));
        let asked = error.is_none();
        self.ends.events.finish(error);
        if asked || !broken || close.is_none() {
            // The peer may be gone already; the socket is dropped either way.
            let _ = tokio::time::timeout(self.pace.close, self.close(close, asked)).await;
        }
    }

    async fn close(&mut self, reason: Option<CloseReason>, wait: bool) {
        if self.socket.send(Message::Close(reason)).await.is_err() || !wait {
            return;
        }
        while let Some(Ok(frame)) = self.socket.next().await {
            if matches!(frame, awc::ws::Frame::Close(_)) {
                return;
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if self.ends.events.is_abandoned(cx) {
            return Poll::Ready(End::Asked);
        }
        match self.step(cx) {
            Ok(()) => Poll::Pending,
            Err(end) => Poll::Ready(end),
        }
    }

    fn step(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        let mut ticked = false;
        while self.tick.as_mut().poll_tick(cx, self.pace.tick) {
            ticked = true;
        }
        // Reading comes before judging: after a hold-up the sign of life may lie in the buffer.
        self.read(cx)?;
        if ticked {
            self.judge()?;
        }
        self.write(cx)
    }

    // ------------------------------------------------------------ in

    fn read(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        for _ in 0..FRAMES_A_POLL {
            if self.ends.events.is_full() {
                return Ok(()); // woken when the reader has made room
            }
            self.unread = 0;
            let frame = match self.socket.poll_next_unpin(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(None) => return Err(EngineError::Connection("socket ended".to_owned()).into()),
                Poll::Ready(Some(Err(error))) => return Err(from_socket(&error).into()),
                Poll::Ready(Some(Ok(frame))) => frame,
            };
            self.silent = 0;
            match self.assembler.take(frame)? {
                Incoming::Text(text) => self.hear(&text)?,
                Incoming::Nothing { binary } => {
                    if binary {
                        ignored("binary");
                    }
                }
                Incoming::Ping(data) => {
                    if self.pongs.len() < PONGS_OWED {
                        self.pongs.push_back(data);
                    }
                }
                Incoming::Pong => {
                    self.answers_pings = true;
                    self.ping_open = false;
                }
                Incoming::Close(reason) => return Err(End::ClosedByEngine(from_close(reason.as_ref()))),
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn hear(&mut self, text: &[u8]) -> Result<(), End> {
        self.received.increment(text.len() as u64);
        if self.hearing.hear(text, &mut self.heard) {
            self.transcription.refuse();
        }
        while let Some(event) = self.heard.pop_front() {
            match event {
                EngineEvent::Lost(error) => return Err(error.into()),
                EngineEvent::SpeechStopped { item, at_ms, .. } => {
                    let behind = self.append.since(at_ms);
                    self.ends.events.push(EngineEvent::SpeechStopped { item, at_ms, behind });
                }
                EngineEvent::CallerTranscript { item, text } if self.transcription.is_echo(&text) => {
                    self.ends.events.push(EngineEvent::CallerTranscriptFailed { item });
                }
                event => self.ends.events.push(event),
            }
        }
        Ok(())
    }

    // ------------------------------------------------------------ out

    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        loop {
            match self.socket.poll_ready_unpin(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(ready) => ready.map_err(|error| from_socket(&error))?,
            }
            let Some(message) = self.next_message(cx)? else { break };
            self.socket.start_send_unpin(message).map_err(|error| from_socket(&error))?;
            self.unflushed = true;
            self.blocked = 0;
        }
        if self.unflushed
            && let Poll::Ready(flushed) = self.socket.poll_flush_unpin(cx)
        {
            flushed.map_err(|error| from_socket(&error))?;
            self.unflushed = false;
            self.blocked = 0;
        }
        if self.commands_gone && !self.unflushed { Err(End::Asked) } else { Ok(()) }
    }

    /// What goes out next: pongs, our ping, commands, then caller audio.
    fn next_message(&mut self, cx: &mut Context<'_>) -> Result<Option<Message>, EngineError> {
        if let Some(data) = self.pongs.pop_front() {
            return Ok(Some(Message::Pong(data)));
        }
        if std::mem::take(&mut self.ping_due) {
            self.ping_open = true;
            return Ok(Some(Message::Ping(Bytes::new())));
        }
        while !self.commands_gone {
            match self.ends.commands.poll_recv(cx) {
                Poll::Ready(Some(command)) => {
                    if let Some(text) = say::command(&command, &self.ends.instructions, &mut self.transcription) {
                        return self.text(text.into()).map(Some);
                    }
                }
                Poll::Ready(None) => self.commands_gone = true,
                Poll::Pending => break,
            }
        }
        if self.commands_gone || self.caller_gone {
            return Ok(None);
        }
        match self.ends.caller.poll_recv(cx) {
            Poll::Ready(Some(first)) => {
                let caller = &self.ends.caller;
                let text = self.append.write(first, || caller.try_next());
                self.text(text).map(Some)
            }
            Poll::Ready(None) => {
                self.caller_gone = true;
                Ok(None)
            }
            Poll::Pending => Ok(None),
        }
    }

    fn text(&self, text: Bytes) -> Result<Message, EngineError> {
        self.sent.increment(text.len() as u64);
        say::text_message(text)
    }

    // ------------------------------------------------------------ liveness

    /// Once a tick: is the vendor there, does the socket drain, does the reader read?
    fn judge(&mut self) -> Result<(), EngineError> {
        if self.ends.events.is_full() {
            self.unread += 1; // the silence is ours, then
            return if self.unread > self.pace.blocked_max {
                Err(EngineError::Stalled("events are not taken"))
            } else {
                Ok(())
            };
        }
        if self.unflushed {
            self.blocked += 1;
            if self.blocked > self.pace.blocked_max {
                return Err(EngineError::Stalled("socket accepts nothing"));
            }
        }
        self.silent += 1;
        let believed = self.answers_pings && self.ping_open;
        let limit = if believed { self.pace.silent_max } else { self.pace.silent_mute_max };
        if self.silent >= limit {
            return Err(EngineError::Stalled("no data and no answer to a ping"));
        }
        if self.silent.is_multiple_of(self.pace.ping_after) && !self.unflushed {
            self.ping_due = true;
        }
        Ok(())
    }
}

/// A timer that is polled as part of a larger poll.
trait PollTick {
    /// Whether the time is up; sets it again, from now, if so.
    fn poll_tick(self, cx: &mut Context<'_>, period: Duration) -> bool;
}

impl PollTick for Pin<&mut Sleep> {
    fn poll_tick(mut self, cx: &mut Context<'_>, period: Duration) -> bool {
        let due = std::future::Future::poll(self.as_mut(), cx).is_ready();
        if due {
            self.reset(tokio::time::Instant::now() + period);
        }
        due
    }
}
