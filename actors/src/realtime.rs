//! The engine session: opened, listened to, replaced. Which session to open and what to say to it is the call's decision.
//!
//! Owns at most one session; dropping it closes the engine's socket. Started by the call. Hears commands by mailbox and
//! engine events by stream; tells the call every event. Audio does not pass through here: it flows between the session
//! and the media child by the lanes of [`EngineLanes`].

mod race;

use std::sync::Arc;
use std::time::Duration;

use actix::WeakRecipient;
use actix::prelude::*;
use futures_util::StreamExt;
use tokio::time::Instant;

use self::race::Opened;
use crate::audio::lane::{LaneSender, Pushed};
use crate::call::deaf::UNHEARD_MAX;
use crate::call::event::{CallEvent, EngineChoice};
use crate::call::rehearing::{AGAIN_MAX, CAUGHT};
use crate::call::{Heard, Observe, Stop};
use crate::domain::{CallFacts, Language};
use crate::ports::{ContextItem, Engine, EngineAudio, EngineCommand, EngineEvent, EngineLanes, EngineSpec, ToolSpec};

/// Sound of the caller kept while nobody speaks as far as the engine tells: it may be deaf, and what was said to it since is heard
/// again by the next.
const KEPT_IN_QUIET: Duration = UNHEARD_MAX.saturating_add(Duration::from_secs(1));
/// … and while speech is not written down: a moment more than is ever heard again.
const KEPT_OF_SPEECH: Duration = AGAIN_MAX.saturating_add(Duration::from_secs(1));
/// Speech of the caller that a session may have heard and not told of yet.
const UNNOTICED: Duration = Duration::from_millis(700);
/// Turns of the caller told apart that are not written down; more are one.
const UNWRITTEN_MAX: usize = 16;

/// What a realtime child is made of.
pub struct RealtimeSpec {
    /// The call.
    pub facts: Arc<CallFacts>,
    /// Opens sessions.
    pub engine: Arc<dyn Engine>,
    /// Opens sessions for calls that the other has failed.
    pub fallback: Option<Arc<dyn Engine>>,
    /// What the engine may call.
    pub tools: Arc<[ToolSpec]>,
    /// Format of the lanes.
    pub audio: EngineAudio,
    /// The lanes; they outlive any one session.
    pub lanes: EngineLanes,
    /// The call.
    pub parent: WeakRecipient<Heard>,
}

/// Open a session, replacing any other.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct OpenSession {
    /// By which engine; without a fallback, by the first.
    pub by: EngineChoice,
    /// What happened so far.
    pub context: Vec<ContextItem>,
    /// What the caller speaks, once they were heard.
    pub language: Option<Language>,
    /// How long to wait first.
    pub wait: Duration,
    /// … and how long for the session then.
    pub within: Duration,
    /// How much of the caller's last sound it hears again.
    pub again: Duration,
}

/// Open a session beside the present one; it takes the present one's place when it listens.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct RenewSession {
    /// By which engine; without a fallback, by the first.
    pub by: EngineChoice,
    /// What happened so far.
    pub context: Vec<ContextItem>,
    /// What the caller speaks, once they were heard.
    pub language: Option<Language>,
    /// How much of the caller's last sound it hears again, if the present one is suspected to be deaf; then, if the first engine
    /// hangs, it may be of the other.
    pub again: Option<Duration>,
}

/// No session is to take the place of the present one.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct KeepSession;

/// Close the session.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct CloseSession;

impl Message for EngineCommand {
    type Result = ();
}

/// What a realtime child shows of itself.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, MessageResponse)]
pub struct RealtimeSnapshot {
    /// A session is open.
    pub open: bool,
    /// Sessions asked for so far.
    pub sessions: u64,
    /// Commands waiting for the engine's socket.
    pub commands_waiting: usize,
}

/// See the module's text.
pub struct Realtime {
    spec: RealtimeSpec,
    commands: Option<LaneSender<EngineCommand>>,
    /// What belongs to the session in the context: dropping it drops the session.
    running: Option<SpawnHandle>,
    /// Tells events of this session from late ones of another.
    generation: u64,
    /// … and numbers that were given out.
    generations: u64,
    /// A session that is to take this one's place.
    next: Option<Next>,
    /// Turns of the caller in this session whose words are not there yet.
    unwritten: Vec<Arc<str>>,
}

/// A session that is being opened beside another.
struct Next {
    generation: u64,
    running: SpawnHandle,
    commands: Option<LaneSender<EngineCommand>>,
    /// It is of the other engine.
    instead: bool,
    /// Where in the caller's sound it begins, if earlier than any would.
    hears_from: Option<Instant>,
}

impl Realtime {
    /// Ready to be started.
    #[must_use]
    pub fn new(spec: RealtimeSpec) -> Self {
        spec.lanes.caller.keep(bytes(spec.audio, KEPT_IN_QUIET));
        Self { spec, commands: None, running: None, generation: 0, generations: 0, next: None, unwritten: Vec::new() }
    }

    /// Keeps the caller's sound until their words are there.
    fn keep_what_is_not_written(&mut self, event: &EngineEvent) {
        match event {
            EngineEvent::SpeechStarted { item, .. } if self.unwritten.len() < UNWRITTEN_MAX => {
                self.unwritten.push(Arc::clone(item));
            }
            EngineEvent::CallerTranscript { item, .. } | EngineEvent::CallerTranscriptFailed { item } => {
                self.unwritten.retain(|other| other != item);
            }
            _ => return,
        }
        let kept = if self.unwritten.is_empty() { KEPT_IN_QUIET } else { KEPT_OF_SPEECH };
        self.spec.lanes.caller.keep(bytes(self.spec.audio, kept));
    }

    fn another_generation(&mut self) -> u64 {
        self.generations += 1;
        self.generations
    }

    fn drop_next(&mut self, ctx: &mut Context<Self>) {
        if let Some(next) = self.next.take() {
            ctx.cancel_future(next.running);
        }
    }

    fn close(&mut self, ctx: &mut Context<Self>) {
        self.drop_next(ctx);
        self.generation = self.another_generation();
        self.commands = None;
        if let Some(handle) = self.running.take() {
            ctx.cancel_future(handle);
        }
    }

    fn session_spec(&self, context: Vec<ContextItem>, language: Option<Language>) -> EngineSpec {
        EngineSpec {
            call: self.spec.facts.call,
            agent: Arc::clone(&self.spec.facts.agent),
            tools: Arc::clone(&self.spec.tools),
            context,
            audio: self.spec.audio,
            language,
        }
    }

    /// The engine asked for, and the one that may stand in for it if it hangs.
    fn engines(&self, by: EngineChoice) -> (Arc<dyn Engine>, Option<Arc<dyn Engine>>) {
        match (by, &self.spec.fallback) {
            (EngineChoice::Fallback, Some(fallback)) => (Arc::clone(fallback), None),
            (_, fallback) => (Arc::clone(&self.spec.engine), fallback.clone()),
        }
    }

    /// The session beside is open, and will say when it listens.
    fn next_opened(&mut self, generation: u64, opened: Opened, ctx: &mut Context<Self>) {
        let Some(next) = self.next.as_mut().filter(|next| next.generation == generation) else { return };
        next.instead = opened.instead;
        match opened.result {
            Ok(session) => {
                next.commands = Some(session.commands);
                next.running = ctx.add_stream(session.events.map(move |event| FromEngine { generation, event }));
            }
            Err(error) => {
                self.next = None;
                self.tell(CallEvent::EngineOpenFailed(error));
            }
        }
    }

    fn next_says(&mut self, event: EngineEvent, ctx: &mut Context<Self>) {
        match event {
            EngineEvent::Ready => {
                let Some(next) = self.next.take() else { return };
                if let Some(handle) = self.running.replace(next.running) {
                    ctx.cancel_future(handle);
                }
                (self.generation, self.commands) = (next.generation, next.commands);
                self.unwritten.clear();
                // Who has just begun to speak, and the former session had not noticed it, is heard from the beginning.
                let again = next.hears_from.map_or(UNNOTICED, |from| from.elapsed().min(AGAIN_MAX));
                self.spec.lanes.caller.rewind(bytes(self.spec.audio, again));
                if next.instead {
                    self.tell(CallEvent::EngineFellBack);
                }
                self.tell(CallEvent::EngineRenewed);
            }
            EngineEvent::Lost(error) => {
                self.drop_next(ctx);
                self.tell(CallEvent::EngineOpenFailed(error));
            }
            _ => {}
        }
    }

    fn tell(&self, event: CallEvent) {
        if let Some(parent) = self.spec.parent.upgrade() {
            parent.do_send(Heard(event));
        }
    }

    fn opened(&mut self, Opened { instead, neither, result }: Opened, ctx: &mut Context<Self>) {
        if instead {
            self.tell(CallEvent::EngineFellBack);
        }
        match result {
            Ok(session) => {
                self.commands = Some(session.commands);
                let generation = self.generation;
                let events = session.events.map(move |event| FromEngine { generation, event });
                self.running = Some(ctx.add_stream(events));
            }
            Err(error) if neither => self.tell(CallEvent::NeitherEngineOpened(error)),
            Err(error) => self.tell(CallEvent::EngineOpenFailed(error)),
        }
    }
}

/// Of so much sound.
fn bytes(audio: EngineAudio, sound: Duration) -> usize {
    sound.as_millis() as usize * audio.bytes_per_ms()
}

impl Actor for Realtime {
    type Context = Context<Self>;
}

impl Supervised for Realtime {
    /// The session went with the context; the call asks for another.
    fn restarting(&mut self, _: &mut Self::Context) {
        self.commands = None;
        self.running = None;
        self.next = None;
        self.generation = self.another_generation();
    }
}

impl Handler<OpenSession> for Realtime {
    type Result = ();

    fn handle(&mut self, open: OpenSession, ctx: &mut Self::Context) {
        let OpenSession { by, context, language, wait, within, again } = open;
        self.close(ctx);
        self.spec.lanes.caller.rewind(bytes(self.spec.audio, again.max(CAUGHT)));
        self.unwritten.clear();
        let (spec, lanes) = (self.session_spec(context, language), self.spec.lanes.clone());
        let (engine, other) = self.engines(by);
        let open = race::open(engine, other, spec, lanes, (wait, within));
        let opened = open.into_actor(self).map(|opened, this, ctx| this.opened(opened, ctx));
        self.running = Some(ctx.spawn(opened));
    }
}

impl Handler<RenewSession> for Realtime {
    type Result = ();

    fn handle(&mut self, RenewSession { by, context, language, again }: RenewSession, ctx: &mut Self::Context) {
        self.drop_next(ctx);
        let generation = self.another_generation();
        let (spec, lanes) = (self.session_spec(context, language), self.spec.lanes.clone());
        let (engine, other) = self.engines(by);
        // If it is only old, nobody waits: the present session serves on.
        let other = other.filter(|_| again.is_some());
        let open = race::open(engine, other, spec, lanes, (Duration::ZERO, race::OPEN_DEADLINE));
        let opened = open.into_actor(self).map(move |opened, this, ctx| this.next_opened(generation, opened, ctx));
        let hears_from = again.and_then(|again| Instant::now().checked_sub(again));
        self.next = Some(Next { generation, running: ctx.spawn(opened), commands: None, instead: false, hears_from });
    }
}

impl Handler<KeepSession> for Realtime {
    type Result = ();

    fn handle(&mut self, _: KeepSession, ctx: &mut Self::Context) {
        self.drop_next(ctx);
    }
}

struct FromEngine {
    generation: u64,
    event: EngineEvent,
}

impl StreamHandler<FromEngine> for Realtime {
    fn handle(&mut self, FromEngine { generation, event }: FromEngine, ctx: &mut Self::Context) {
        if self.next.as_ref().is_some_and(|next| next.generation == generation) {
            return self.next_says(event, ctx);
        }
        if generation != self.generation {
            return;
        }
        self.keep_what_is_not_written(&event);
        if let EngineEvent::Lost(_) = event {
            self.close(ctx);
        }
        self.tell(CallEvent::Engine(event));
    }

    // The end of a session must not stop the child, as it would by default.
    fn finished(&mut self, _: &mut Self::Context) {}
}

impl Handler<EngineCommand> for Realtime {
    type Result = ();

    fn handle(&mut self, command: EngineCommand, _: &mut Self::Context) {
        // A command for a session that is gone is moot: the next one is told everything by its context.
        if let Some(commands) = &self.commands
            && commands.push(command) == Pushed::DroppedOldest
        {
            metrics::counter!("caly_engine_commands_dropped_total").increment(1);
        }
    }
}

impl Handler<CloseSession> for Realtime {
    type Result = ();

    fn handle(&mut self, _: CloseSession, ctx: &mut Self::Context) {
        self.close(ctx);
    }
}

impl Handler<Observe<RealtimeSnapshot>> for Realtime {
    type Result = RealtimeSnapshot;

    fn handle(&mut self, _: Observe<RealtimeSnapshot>, _: &mut Self::Context) -> RealtimeSnapshot {
        RealtimeSnapshot {
            open: self.commands.is_some(),
            sessions: self.generations,
            commands_waiting: self.commands.as_ref().map_or(0, LaneSender::depth),
        }
    }
}

impl Handler<Stop> for Realtime {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        self.close(ctx);
        ctx.stop();
    }
}

#[cfg(any(test, feature = "planned-panics"))]
impl Handler<crate::supervise::PlannedPanic> for Realtime {
    type Result = ();

    fn handle(&mut self, _: crate::supervise::PlannedPanic, _: &mut Self::Context) {
        crate::supervise::planned_panic();
    }
}
