//! The caller's audio in and out: framing, pacing, playout position, recording tap.
//!
//! Owns the two directions of the media link, the playout position and the format converters. Started by the call,
//! before there is a socket. Hears carrier events and agent audio by stream, wishes by mailbox; tells the call
//! [`CallEvent`]s. Ends when told to [`Stop`]. Knows nothing of WebSockets, JSON or the engine's protocol.

mod line;
mod snapshot;

pub use snapshot::MediaSnapshot;

use std::sync::Arc;
use std::time::Duration;

use actix::WeakRecipient;
use actix::prelude::*;
use bytes::Bytes;
use futures_util::StreamExt;

use crate::audio::arrival::Arrivals;
use crate::audio::convert::{FromEngine, ToEngine};
use crate::audio::echo::EchoWatch;
use crate::audio::lane::{LaneReceiver, LaneSender};
use crate::audio::level::LineLevel;
use crate::audio::playout::{Cut, Playout, Step};
use crate::call::clock::CallClock;
use crate::call::event::{CallEvent, MediaWish};
use crate::call::state::phrase_item;
use crate::call::{Heard, Stop};
use crate::domain::{CallFacts, CallTime, Pcm};
use crate::gauge::Armed;
use crate::ports::{
    AgentAudio, CarrierCommand, CarrierEvent, CarrierLink, EngineAudio, Phrases, RecordingTap, Recordings,
};

/// Silence of media that is worth telling.
const SILENCE: Duration = Duration::from_secs(5);
/// A socket that takes nothing for this long is cut off.
const WRITE_DEADLINE: Duration = Duration::from_secs(5);
/// Messages waiting for the socket that count as "it takes nothing".
const BACKLOG: usize = 8;

/// What a media child is made of; it is made of the same again after a crash.
pub struct MediaSpec {
    /// The call.
    pub facts: Arc<CallFacts>,
    /// Its clock.
    pub clock: CallClock,
    /// Format of the two lanes.
    pub audio: EngineAudio,
    /// Caller audio for the engine.
    pub to_engine: LaneSender<Bytes>,
    /// Agent audio from the engine.
    pub from_engine: LaneReceiver<AgentAudio>,
    /// Stored speech.
    pub phrases: Arc<dyn Phrases>,
    /// Recordings.
    pub recordings: Arc<dyn Recordings>,
    /// The call.
    pub parent: WeakRecipient<Heard>,
}

/// A media socket now serves the call.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct AttachLink(pub CarrierLink);

impl Message for MediaWish {
    type Result = ();
}

/// See the module's text.
pub struct Media {
    spec: MediaSpec,
    link: Option<CarrierLink>,
    playout: Option<Playout>,
    to_engine: Option<ToEngine>,
    from_engine: Option<FromEngine>,
    echo: EchoWatch,
    tap: Option<Box<dyn RecordingTap>>,
    arrivals: Arrivals,
    line: LineLevel,
    /// Audio of this response is dropped: nobody wants it any more.
    unwanted: Option<Arc<str>>,
    /// The response whose audio came last.
    last_response: Arc<str>,
    last_frame: CallTime,
    silent: bool,
    /// No frame has come since the stream, or a later one, began.
    fresh: bool,
    /// The present sound over the agent's has been told of.
    noticed: bool,
    /// What sounded last while the agent's voice might have come back was somebody else's.
    theirs: bool,
    /// The number of the last one that was carried out.
    interrupts: u64,
    backlog_since: Option<CallTime>,
    wake: Option<(CallTime, SpawnHandle, Armed)>,
    frames_in: u64,
    frames_out: u64,
    steps: Vec<Step>,
}

impl Media {
    /// Ready to be started.
    #[must_use]
    pub fn new(spec: MediaSpec) -> Self {
        Self {
            spec,
            link: None,
            playout: None,
            to_engine: None,
            from_engine: None,
            echo: EchoWatch::new(8_000),
            tap: None,
            arrivals: Arrivals::default(),
            line: LineLevel::default(),
            unwanted: None,
            last_response: "".into(),
            last_frame: CallTime::ZERO,
            silent: true,
            fresh: false,
            noticed: false,
            theirs: false,
            interrupts: 0,
            backlog_since: None,
            wake: None,
            frames_in: 0,
            frames_out: 0,
            steps: Vec::new(),
        }
    }
}

impl Actor for Media {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Some(link) = &self.link {
            listen(link, ctx);
        }
        if self.playout.is_some() {
            ctx.add_stream(self.spec.from_engine.clone());
            self.pump(ctx);
        }
        let check = SILENCE.min(self.spec.facts.agent.limits.idle_media / 2).min(Duration::from_secs(1));
        ctx.run_interval(check, |this, ctx| this.check_line(ctx));
    }
}

impl Supervised for Media {
    /// The link, the playout position and the converters are kept: they are plain data, and without them the caller
    /// would hear a gap. Timers and streams are made again by `started`.
    fn restarting(&mut self, _: &mut Self::Context) {
        self.wake = None;
        self.steps.clear();
    }
}

fn listen(link: &CarrierLink, ctx: &mut Context<Media>) {
    let socket = link.socket;
    ctx.add_message_stream(link.events.clone().map(move |event| FromCarrier { socket, event }));
}

impl Handler<AttachLink> for Media {
    type Result = ();

    fn handle(&mut self, AttachLink(link): AttachLink, ctx: &mut Self::Context) {
        if let Some(old) = self.link.take() {
            old.commands.push(CarrierCommand::Close(4409));
            old.commands.close();
            self.take_back();
        }
        listen(&link, ctx);
        self.link = Some(link);
        self.pump(ctx);
    }
}

struct FromCarrier {
    socket: u64,
    event: CarrierEvent,
}

impl Message for FromCarrier {
    type Result = ();
}

impl Handler<FromCarrier> for Media {
    type Result = ();

    fn handle(&mut self, FromCarrier { socket, event }: FromCarrier, ctx: &mut Self::Context) {
        if self.link.as_ref().is_none_or(|link| link.socket != socket) {
            return;
        }
        match event {
            CarrierEvent::Audio(pcm) => self.caller_audio(&pcm),
            CarrierEvent::Started { rate, .. } => self.stream_started(rate, ctx),
            CarrierEvent::Mark(name) => {
                let now = self.spec.clock.now();
                if let Some(playout) = &mut self.playout {
                    playout.mark_played(now, &name);
                }
                self.pump(ctx);
            }
            CarrierEvent::Dtmf(key) => self.tell(CallEvent::DtmfPressed(key)),
            CarrierEvent::Stopped { call_ended } => self.tell(CallEvent::StreamStopped { call_ended }),
            CarrierEvent::Closed { protocol_error } => {
                self.tell(CallEvent::SocketClosed { socket, protocol_error });
            }
        }
    }
}

impl StreamHandler<AgentAudio> for Media {
    fn handle(&mut self, audio: AgentAudio, ctx: &mut Self::Context) {
        if !audio.response.is_empty() && self.unwanted.as_ref() == Some(&audio.response) {
            metrics::counter!("caly_agent_audio_discarded_total").increment(1);
            return;
        }
        if self.last_response != audio.response {
            self.last_response = Arc::clone(&audio.response);
        }
        let (Some(converter), Some(playout)) = (&mut self.from_engine, &mut self.playout) else { return };
        playout.push(self.spec.clock.now(), &audio.item, converter.convert(&audio.bytes));
        self.pump(ctx);
    }

    // The lane outlives engine sessions; its end must not stop the child, as it would by default.
    fn finished(&mut self, _: &mut Self::Context) {}
}

impl Handler<MediaWish> for Media {
    type Result = ();

    fn handle(&mut self, wish: MediaWish, ctx: &mut Self::Context) {
        match wish {
            MediaWish::Say(phrase, language) => {
                let stored = self.spec.phrases.audio(&self.spec.facts.agent.voice, phrase, language);
                self.play(&phrase_item(phrase), stored, ctx);
            }
            MediaWish::Play { item, pcm } => self.play(&item, pcm, ctx),
            MediaWish::Hold => self.hold(),
            MediaWish::Resume => {
                let now = self.spec.clock.now();
                if let Some(playout) = &mut self.playout {
                    playout.resume(now);
                }
                self.pump(ctx);
            }
            MediaWish::Interrupt { number, response } => self.interrupt(number, response),
            MediaWish::Discard { response } => self.unwanted = Some(response),
            MediaWish::Close(code) => self.close(code, ctx),
        }
    }
}

impl Media {
    fn stream_started(&mut self, rate: u32, ctx: &mut Context<Self>) {
        self.last_frame = self.spec.clock.now();
        (self.silent, self.fresh) = (false, true);
        if self.playout.is_none() {
            self.playout = Some(Playout::new(rate));
            self.to_engine = Some(ToEngine::new(rate, self.spec.audio));
            self.from_engine = Some(FromEngine::new(rate, self.spec.audio));
            self.echo = EchoWatch::new(rate);
            self.tap = self.spec.recordings.open(&self.spec.facts, rate);
            // Agent audio made while the phone connected waits in the lane until now.
            ctx.add_stream(self.spec.from_engine.clone());
        }
        self.tell(CallEvent::StreamStarted { rate });
    }

    fn play(&mut self, item: &Arc<str>, stored: Pcm, ctx: &mut Context<Self>) {
        let Some(playout) = &mut self.playout else {
            self.tell(CallEvent::PlayoutDrained);
            return;
        };
        let pcm = match crate::audio::resample::Resampler::new(stored.rate, playout.rate()) {
            None => stored.bytes,
            Some(mut resampler) => {
                let mut out = Vec::new();
                resampler.process(&stored.bytes, &mut out);
                out.into()
            }
        };
        playout.push(self.spec.clock.now(), item, pcm);
        self.pump(ctx);
    }

    /// Not for its own voice: the engine hears somebody, and cannot know who.
    fn hold(&mut self) {
        if self.echo.is_echo() {
            metrics::counter!("caly_echoes_total").increment(1);
            return self.tell(CallEvent::EchoHeard { only: true });
        }
        let now = self.spec.clock.now();
        let Some(left) = self.playout.as_mut().and_then(|playout| playout.hold(now)) else { return };
        if let Some(link) = &self.link {
            link.commands.push(CarrierCommand::Clear);
        }
        if let Some(tap) = &mut self.tap {
            tap.cut_agent(now);
        }
        self.tell(CallEvent::PlayoutHeld(left));
    }

    /// What the former socket held and the caller has not heard goes to the next one.
    fn take_back(&mut self) {
        let now = self.spec.clock.now();
        if let Some(playout) = &mut self.playout {
            playout.take_back(now);
        }
        if let Some(tap) = &mut self.tap {
            tap.cut_agent(now);
        }
    }

    fn interrupt(&mut self, number: u64, response: Option<Arc<str>>) {
        if number <= self.interrupts {
            return;
        }
        let now = self.spec.clock.now();
        let active = response.unwrap_or_else(|| Arc::clone(&self.last_response));
        if !active.is_empty() {
            self.unwanted = Some(active);
        }
        // What waits in the lane belongs to the answer that was cut.
        self.spec.from_engine.clear();
        let playing = self.playout.as_ref().is_some_and(Playout::is_active);
        let cuts = self.cut_all(now);
        if let (true, Some(link)) = (playing, &self.link) {
            link.commands.push(CarrierCommand::Clear);
        }
        if let Some(tap) = &mut self.tap {
            tap.cut_agent(now);
        }
        self.tell(CallEvent::PlayoutCut(cuts));
        self.interrupts = number;
    }

    /// Forgets all that was to be heard; tells how much sound there was, and gives what was not heard of it.
    fn cut_all(&mut self, now: CallTime) -> Vec<Cut> {
        for (item, sound) in self.playout.iter().flat_map(Playout::sounded) {
            self.tell(CallEvent::SpeechSounded { item, sound });
        }
        self.playout.as_mut().map(|playout| playout.interrupt(now)).unwrap_or_default()
    }

    fn close(&mut self, code: u16, ctx: &mut Context<Self>) {
        if let Some(link) = &self.link {
            link.commands.push(CarrierCommand::Close(code));
            link.commands.close();
            // A frozen socket takes no command; it is cut off.
            let kill = Arc::clone(&link.kill);
            ctx.run_later(Duration::from_secs(2), move |_, _| kill());
        }
        self.tap = None;
    }

    fn pump(&mut self, ctx: &mut Context<Self>) {
        let now = self.spec.clock.now();
        let Some(playout) = &mut self.playout else { return };
        let mut steps = std::mem::take(&mut self.steps);
        let wake = playout.pump(now, &mut steps);
        let rate = playout.rate();
        for step in steps.drain(..) {
            self.carry_out(step, rate);
        }
        self.steps = steps;
        if let Some(at) = wake {
            self.wake_at(at, now, ctx);
        }
    }

    fn carry_out(&mut self, step: Step, rate: u32) {
        let command = match step {
            Step::Send(bytes, heard_at) => {
                self.frames_out += 1;
                self.echo.sent(&bytes);
                if let Some(tap) = &mut self.tap {
                    tap.agent(heard_at, &Pcm { rate, bytes: bytes.clone() });
                }
                CarrierCommand::Audio(bytes)
            }
            Step::Mark(name) => CarrierCommand::Mark(name),
            Step::Began(item, first) => {
                self.echo.paused();
                return self.tell(CallEvent::SpeechBegan { item, first });
            }
            Step::Heard(item, at) => return self.tell(CallEvent::SpeechHeard { item, at }),
            Step::Sounded(item, sound) => return self.tell(CallEvent::SpeechSounded { item, sound }),
            Step::Drained => return self.tell(CallEvent::PlayoutDrained),
        };
        if let Some(link) = &self.link {
            link.commands.push(command);
        }
    }

    /// One timer is enough: it fires for whatever is due by then and is set again.
    fn wake_at(&mut self, at: CallTime, now: CallTime, ctx: &mut Context<Self>) {
        if let Some((set, handle, _)) = self.wake {
            if set <= at {
                return;
            }
            ctx.cancel_future(handle);
        }
        let wait = at.saturating_sub(now).max(Duration::from_millis(1));
        let handle = ctx.run_later(wait, |this, ctx| {
            this.wake = None;
            this.pump(ctx);
        });
        self.wake = Some((now + wait, handle, Armed::new()));
    }

    /// Runs each second: media silence and a socket that takes nothing.
    fn check_line(&mut self, _: &mut Context<Self>) {
        if self.playout.is_none() {
            return;
        }
        for (queue, depth) in [
            ("caller_audio", self.spec.to_engine.depth()),
            ("agent_audio", self.spec.from_engine.depth()),
            ("socket", self.link.as_ref().map_or(0, |link| link.commands.depth())),
        ] {
            metrics::histogram!("caly_queue_depth", "queue" => queue).record(depth as f64);
        }
        let now = self.spec.clock.now();
        let silence = now.saturating_sub(self.last_frame);
        if !self.silent && silence >= SILENCE.min(self.spec.facts.agent.limits.idle_media / 2) {
            self.silent = true;
            self.tell(CallEvent::MediaSilent(silence));
        }
        let Some(link) = &self.link else { return };
        if link.commands.depth() < BACKLOG {
            self.backlog_since = None;
        } else if now.saturating_sub(*self.backlog_since.get_or_insert(now)) >= WRITE_DEADLINE {
            metrics::counter!("caly_media_sockets_cut_total").increment(1);
            (link.kill)();
            self.tell(CallEvent::SocketClosed { socket: link.socket, protocol_error: true });
        }
    }

    fn tell(&self, event: CallEvent) {
        if let Some(parent) = self.spec.parent.upgrade() {
            parent.do_send(Heard(event));
        }
    }
}

impl Handler<Stop> for Media {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

impl Drop for Media {
    fn drop(&mut self) {
        // Given up in mid-call, it is the last that knows what was heard.
        if self.playout.as_ref().is_some_and(Playout::is_active) {
            let cuts = self.cut_all(self.spec.clock.now());
            self.tell(CallEvent::PlayoutCut(cuts));
        }
        if let Some(link) = &self.link {
            link.commands.push(CarrierCommand::Close(1001));
            link.commands.close();
        }
        metrics::counter!("caly_media_frames_total", "direction" => "in").increment(self.frames_in);
        metrics::counter!("caly_media_frames_total", "direction" => "out").increment(self.frames_out);
        metrics::counter!("caly_caller_audio_dropped_total").increment(self.spec.to_engine.dropped());
    }
}

#[cfg(any(test, feature = "planned-panics"))]
impl Handler<crate::supervise::PlannedPanic> for Media {
    type Result = ();

    fn handle(&mut self, _: crate::supervise::PlannedPanic, _: &mut Self::Context) {
        crate::supervise::planned_panic();
    }
}
