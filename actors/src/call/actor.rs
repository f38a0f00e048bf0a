//! The actor of one call: hears events, lets [`CallState`] decide, carries the effects out.
//!
//! Owns the four children, the timers and the admission slot. Started by the supervisor. Hears [`Heard`] from children
//! and webhooks, [`AttachSocket`] from the media door. Ends itself with [`Effect::Finish`]; after a crash it goes on
//! from the state before the event that crashed it, around its living children.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use super::clock::CallClock;
use super::event::{CallEvent, Effect};
use super::past::Past;
use super::state::{Attach, CallState, EngineStage};
use super::{Heard, Observe, Stop};
use crate::action::{ActionSnapshot, Actions, RunAction};
use crate::audio::caller::CallerSound;
use crate::audio::lane::lane;
use crate::domain::{CallFacts, CallTime, EndReason, Latency};
use crate::gauge::Armed;
use crate::intent::{Intent, Understand};
use crate::media::{AttachLink, Media, MediaSnapshot, MediaSpec};
use crate::ports::{ActionSpec, CarrierLink, EngineAudio, EngineLanes, JournalEntry, Ports, Step, ToolSpec};
use crate::realtime::{CloseSession, KeepSession, OpenSession, Realtime, RealtimeSnapshot, RealtimeSpec, RenewSession};
use crate::supervise::{self, Child, Fate, RestartPolicy};
use crate::supervisor::{LiveCall, Slot};

/// Caller audio kept while no session takes it: 10 s of 20 ms frames. Older frames go first.
const CALLER_LANE: usize = 500;
/// Agent audio pieces on their way to playout; a piece is 20 to 500 ms.
const AGENT_LANE: usize = 1024;
/// Longest wait for who rings.
const RECOGNISE_DEADLINE: Duration = Duration::from_millis(500);
/// How long a child may take to show itself.
const OBSERVE_DEADLINE: Duration = Duration::from_millis(200);

/// What a call is made of.
pub struct CallSpec {
    /// Its facts.
    pub facts: Arc<CallFacts>,
    /// The outside.
    pub ports: Ports,
    /// Format of the engine's audio.
    pub audio: EngineAudio,
    /// Its entry in the registry.
    pub live: Arc<LiveCall>,
    /// Its place among the calls allowed; given back when the actor is gone.
    pub slot: Slot,
    /// What a former process wrote of it, if one did.
    pub past: Option<Past>,
}

/// The addresses of a call's children.
#[derive(Clone)]
pub struct Children {
    /// Audio.
    pub media: Addr<Media>,
    /// Engine session.
    pub realtime: Addr<Realtime>,
    /// Understanding.
    pub intent: Addr<Intent>,
    /// Doing.
    pub actions: Addr<Actions>,
}

impl Children {
    /// Ends all four.
    pub fn stop(&self) {
        self.media.do_send(Stop);
        self.realtime.do_send(Stop);
        self.intent.do_send(Stop);
        self.actions.do_send(Stop);
    }

    /// How many still live.
    #[must_use]
    pub fn alive(&self) -> usize {
        [self.media.connected(), self.realtime.connected(), self.intent.connected(), self.actions.connected()]
            .into_iter()
            .filter(|alive| *alive)
            .count()
    }
}

/// A media socket asks to serve this call; it is told before its upgrade is answered.
#[derive(Message, Debug)]
#[rtype(result = "Attach")]
pub struct AttachSocket(pub CarrierLink);

/// What a call shows of itself.
#[derive(Clone, PartialEq, Debug)]
pub struct CallSnapshot {
    /// `waiting`, `live`, …
    pub phase: &'static str,
    /// `opening`, `ready`, `dead`.
    pub engine: &'static str,
    /// Age of the call.
    pub age: CallTime,
    /// Restarts of each child, in the order of [`Child::OF_A_CALL`], then of the call itself.
    pub restarts: [u32; 5],
    /// Which of the four live.
    pub connected: [bool; 4],
    /// The media child, if it answered.
    pub media: Option<MediaSnapshot>,
    /// The realtime child, if it answered.
    pub realtime: Option<RealtimeSnapshot>,
    /// The action child, if it answered.
    pub actions: Option<ActionSnapshot>,
}

/// See the module's text.
pub struct CallActor {
    facts: Arc<CallFacts>,
    ports: Ports,
    audio: EngineAudio,
    catalogue: Arc<[Arc<ActionSpec>]>,
    live: Arc<LiveCall>,
    clock: CallClock,
    state: CallState,
    children: Option<Children>,
    /// Decided, not yet carried out. Survives a crash of the actor in between.
    pending: VecDeque<Effect>,
    timer: Option<(CallTime, SpawnHandle, Armed)>,
    /// It is known whether the caller is known.
    recognised: bool,
    restarts: [u32; 5],
    span: tracing::Span,
    _slot: Slot,
}

impl CallActor {
    /// Ready to be started; the clock runs from now.
    #[must_use]
    pub fn new(spec: CallSpec) -> Self {
        let CallSpec { facts, ports, audio, live, slot, past } = spec;
        let clock = CallClock::start(past.as_ref().map_or(CallTime::ZERO, |past| past.age));
        let catalogue: Arc<[Arc<ActionSpec>]> =
            ports.actions.catalogue(&facts.agent).into_iter().map(Arc::new).collect();
        let state = CallState::new(Arc::clone(&facts), Arc::clone(&catalogue), Arc::clone(&ports.phrases))
            .with_fallback(ports.fallback_engine.is_some())
            .with_windows(windows(&ports));
        let state = match past {
            Some(past) => state.after(past),
            None => state.greeting_with(ports.greetings.stored(&facts.agent)),
        };
        let span = tracing::info_span!(
            "call",
            call = %facts.call,
            client = %facts.client_slug,
            carrier_call = %facts.carrier_call_id,
        );
        let pending = state.begin().into();
        Self {
            facts,
            ports,
            audio,
            catalogue,
            live,
            clock,
            state,
            children: None,
            pending,
            timer: None,
            recognised: false,
            restarts: [0; 5],
            span,
            _slot: slot,
        }
    }

    fn start_children(&self, ctx: &mut Context<Self>) -> Children {
        let (to_engine, caller) = lane(CALLER_LANE);
        let (agent, from_engine) = lane(AGENT_LANE);
        let parent = ctx.address().downgrade().recipient();
        let tools: Arc<[ToolSpec]> =
            self.catalogue.iter().filter(|spec| spec.offered).map(|spec| spec.tool.clone()).collect();
        let media = Media::new(MediaSpec {
            facts: Arc::clone(&self.facts),
            clock: self.clock,
            audio: self.audio,
            to_engine,
            from_engine,
            phrases: Arc::clone(&self.ports.phrases),
            recordings: Arc::clone(&self.ports.recordings),
            parent: parent.clone(),
        });
        let realtime = Realtime::new(RealtimeSpec {
            facts: Arc::clone(&self.facts),
            engine: Arc::clone(&self.ports.engine),
            fallback: self.ports.fallback_engine.clone(),
            tools,
            audio: self.audio,
            lanes: EngineLanes { caller: CallerSound::new(caller), agent },
            parent: parent.clone(),
        });
        let actions = Actions::new(Arc::clone(&self.facts), Arc::clone(&self.ports.actions), parent.clone());
        let intent = Intent::new(parent, Arc::clone(&self.facts.agent));
        Children {
            media: self.start_child(media, Child::Media, ctx),
            realtime: self.start_child(realtime, Child::Realtime, ctx),
            intent: self.start_child(intent, Child::Intent, ctx),
            actions: self.start_child(actions, Child::Action, ctx),
        }
    }

    fn start_child<A>(&self, actor: A, child: Child, ctx: &mut Context<Self>) -> Addr<A>
    where
        A: Actor<Context = Context<A>> + Supervised,
    {
        let parent = ctx.address().downgrade();
        let label = self.facts.call.to_string();
        supervise::start(actor, child, &label, RestartPolicy::default(), move |fate| {
            let event = match fate {
                Fate::Crashed => CallEvent::ChildCrashed(child),
                Fate::GaveUp => CallEvent::ChildGaveUp(child),
                Fate::Ended => return,
            };
            if let Some(parent) = parent.upgrade() {
                parent.do_send(Heard(event));
            }
        })
    }

    fn hear(&mut self, event: CallEvent, ctx: &mut Context<Self>) {
        let now = self.clock.now();
        if let CallEvent::ChildCrashed(child) = &event
            && let Some(at) = Child::OF_A_CALL.iter().position(|known| known == child)
        {
            self.restarts[at] += 1;
        }
        self.prefetch(&event, ctx);
        // Decided on a copy: if deciding panics, the state before the event is the one that goes on.
        let mut next = self.state.clone();
        let effects = next.on(event, now);
        self.state = next;
        self.pending.extend(effects);
        self.carry_out(ctx);
    }

    /// What is looked up here is there when the engine asks. It ends with the call.
    fn prefetch(&self, event: &CallEvent, ctx: &mut Context<Self>) {
        let CallEvent::TurnUnderstood { understanding, .. } = event else { return };
        if understanding.own.is_none()
            && let Some(look) = self.ports.actions.prefetch(&self.facts, understanding.intent)
        {
            ctx.spawn(look.into_actor(self));
        }
    }

    fn carry_out(&mut self, ctx: &mut Context<Self>) {
        while let Some(effect) = self.pending.pop_front() {
            self.apply(effect, ctx);
        }
        self.arm(ctx);
    }

    fn apply(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        let Some(children) = &self.children else { return };
        match effect {
            Effect::OpenEngine { by, context, language, wait, within, again } => {
                children.realtime.do_send(OpenSession { by, context, language, wait, within, again });
            }
            Effect::RenewEngine { by, context, language, again } => {
                children.realtime.do_send(RenewSession { by, context, language, again });
            }
            Effect::KeepEngine => children.realtime.do_send(KeepSession),
            Effect::CloseEngine => children.realtime.do_send(CloseSession),
            Effect::Engine(command) => children.realtime.do_send(command),
            Effect::Media(wish) => children.media.do_send(wish),
            Effect::Understand { turn, text, asked, waiting } => {
                let now = local_now(self.facts.agent.utc_offset);
                children.intent.do_send(Understand { turn, text, asked, waiting, now });
            }
            Effect::PlanAction { action, spec, arguments, idempotency_key } => {
                let (step, kept) = (Step::Plan, Box::pin(std::future::ready(true)));
                self.act(RunAction { action, spec, arguments, idempotency_key, step, kept }, ctx);
            }
            Effect::RunAction { action, spec, arguments, idempotency_key, entry } => {
                let kept = self.ports.journal.record_durably(std::time::SystemTime::now(), entry);
                self.act(RunAction { action, spec, arguments, idempotency_key, step: Step::Do, kept }, ctx);
            }
            Effect::Record(entry) => {
                if let JournalEntry::Turn { turn, .. } = &entry
                    && let Some(latency) = &turn.latency
                {
                    measure(latency);
                }
                self.ports.journal.record(std::time::SystemTime::now(), entry);
            }
            Effect::Decide { after, summary } => self.live.decide(after, summary),
            Effect::Finish(reason) => self.finish(reason, ctx),
        }
    }

    /// A child that was given up takes nothing; the action has not begun.
    fn act(&self, run: RunAction, ctx: &mut Context<Self>) {
        let Some(children) = &self.children else { return };
        let action = run.action;
        if children.actions.try_send(run).is_err() {
            let result = Err(crate::ports::ActionError::Refused("this cannot be done right now".to_owned()));
            ctx.notify(Heard(CallEvent::ActionFinished { action, attempts: 0, result }));
        }
    }

    fn finish(&mut self, reason: EndReason, ctx: &mut Context<Self>) {
        let _entered = self.span.enter();
        tracing::info!(
            reason = reason.as_str(),
            duration_ms = self.clock.now().as_millis() as u64,
            restarts = self.restarts.iter().sum::<u32>(),
            "call ended"
        );
        metrics::counter!("caly_calls_ended_total", "reason" => reason.as_str()).increment(1);
        metrics::histogram!("caly_call_duration_seconds").record(self.clock.now().as_secs_f64());
        if let Some(children) = &self.children {
            children.stop();
        }
        let _ = self.live.ended(reason);
        ctx.stop();
    }

    /// Asks who rings, where the client remembers its callers. Nothing waits for the answer, and none that comes late counts.
    fn recognise(&mut self, ctx: &mut Context<Self>) {
        let worth_it = self.facts.agent.remember_callers.is_some() && self.facts.caller.number().is_some();
        if self.recognised || !worth_it {
            return;
        }
        let asked = tokio::time::timeout(RECOGNISE_DEADLINE, self.ports.customers.known(&self.facts));
        ctx.spawn(asked.into_actor(self).map(|answer, this, ctx| {
            this.recognised = true;
            match answer {
                Ok(Some(known)) => this.hear(CallEvent::CallerRecognised(known), ctx),
                Ok(None) => {}
                Err(_) => metrics::counter!("caly_callers_looked_up_total", "outcome" => "late").increment(1),
            }
        }));
    }

    /// One timer for the earliest deadline.
    fn arm(&mut self, ctx: &mut Context<Self>) {
        let next = self.state.next_deadline();
        if let Some((set, handle, _)) = self.timer {
            if next == Some(set) {
                return;
            }
            ctx.cancel_future(handle);
            self.timer = None;
        }
        if let Some(at) = next {
            let wait = at.saturating_sub(self.clock.now());
            let handle = ctx.run_later(wait, |this, ctx| {
                this.timer = None;
                this.hear(CallEvent::TimePassed, ctx);
            });
            self.timer = Some((at, handle, Armed::new()));
        }
    }
}

impl Actor for CallActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if self.children.is_none() {
            let _entered = self.span.enter();
            tracing::info!(
                from = %crate::ports::masked(&self.facts.caller),
                to = %crate::ports::masked(&self.facts.called),
                agent_version = self.facts.agent.version,
                "call admitted"
            );
            let children = self.start_children(ctx);
            self.live.adopt(children.clone());
            self.children = Some(children);
        }
        self.recognise(ctx);
        self.carry_out(ctx);
    }
}

impl Supervised for CallActor {
    /// State, children and pending effects are kept; the context's timer is not.
    fn restarting(&mut self, _: &mut Self::Context) {
        self.timer = None;
        self.restarts[4] += 1;
    }
}

impl Handler<Heard> for CallActor {
    type Result = ();

    fn handle(&mut self, Heard(event): Heard, ctx: &mut Self::Context) {
        self.hear(event, ctx);
    }
}

impl Handler<AttachSocket> for CallActor {
    type Result = MessageResult<AttachSocket>;

    fn handle(&mut self, AttachSocket(link): AttachSocket, _: &mut Self::Context) -> MessageResult<AttachSocket> {
        let answer = self.state.attach(link.socket);
        if let (Attach::Accepted | Attach::Replaces(_), Some(children)) = (answer, &self.children) {
            children.media.do_send(AttachLink(link));
        }
        MessageResult(answer)
    }
}

impl Handler<Observe<CallSnapshot>> for CallActor {
    type Result = ResponseFuture<CallSnapshot>;

    fn handle(&mut self, _: Observe<CallSnapshot>, _: &mut Self::Context) -> Self::Result {
        let mut snapshot = CallSnapshot {
            phase: self.state.phase().as_str(),
            engine: match self.state.engine_stage() {
                EngineStage::Opening => "opening",
                EngineStage::Ready => "ready",
                EngineStage::Dead => "dead",
            },
            age: self.clock.now(),
            restarts: self.restarts,
            connected: [false; 4],
            media: None,
            realtime: None,
            actions: None,
        };
        let children = self.children.clone();
        Box::pin(async move {
            let Some(children) = children else { return snapshot };
            snapshot.connected = [
                children.media.connected(),
                children.realtime.connected(),
                children.intent.connected(),
                children.actions.connected(),
            ];
            let (media, realtime, actions) = tokio::join!(
                children.media.send(Observe::default()).timeout(OBSERVE_DEADLINE),
                children.realtime.send(Observe::default()).timeout(OBSERVE_DEADLINE),
                children.actions.send(Observe::default()).timeout(OBSERVE_DEADLINE),
            );
            snapshot.media = media.ok();
            snapshot.realtime = realtime.ok();
            snapshot.actions = actions.ok();
            snapshot
        })
    }
}

impl Drop for CallActor {
    fn drop(&mut self) {
        // However the actor goes, its children do not outlive it.
        if let Some(children) = &self.children {
            children.stop();
        }
    }
}

#[cfg(any(test, feature = "planned-panics"))]
impl Handler<crate::supervise::PlannedPanic> for CallActor {
    type Result = ();

    fn handle(&mut self, _: crate::supervise::PlannedPanic, _: &mut Self::Context) {
        crate::supervise::planned_panic();
    }
}

/// Tokens that a session of either engine can hold.
fn windows(ports: &Ports) -> (u64, u64) {
    let first = ports.engine.window();
    (first, ports.fallback_engine.as_ref().map_or(first, |fallback| fallback.window()))
}

fn measure(latency: &Latency) {
    metrics::histogram!("caly_turn_latency_seconds").record(latency.to_sent().as_secs_f64());
    for (step, gap) in Latency::STEPS.into_iter().zip(latency.gaps()) {
        if let Some(gap) = gap {
            metrics::histogram!("caly_turn_step_seconds", "step" => step).record(gap.as_secs_f64());
        }
    }
}

/// The callers' wall-clock time. "Tomorrow" is meant by it, so it follows the system's clock.
fn local_now(utc_offset: i32) -> Option<chrono::NaiveDateTime> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
    let seconds = i64::try_from(since.as_secs()).ok()? + i64::from(utc_offset);
    chrono::DateTime::from_timestamp(seconds, 0).map(|time| time.naive_utc())
}
