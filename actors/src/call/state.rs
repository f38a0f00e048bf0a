//! The decisions of a call: `(state, event, now) → effects`. Plain data, no clock, no actor.
//!
//! Life of a call: *waiting* for the media stream → *live* → *closing* (last words are being heard) → *tearing* (heard
//! position and late results are collected) → *ended*. It only moves forward.

use std::sync::Arc;

use serde_json::json;

use super::answering::Answering;
use super::deaf::Unheard;
use super::event::{CallEvent, Effect, EngineChoice};
use super::floor::{Contested, Near};
use super::greeting::Notices;
use super::hearing::Cutting;
use super::hello::Hello;
use super::leave::Leave;
use super::ledger::Ledger;
use super::parting::Parting;
use super::recogniser::Recogniser;
use super::rehearing::{Again, Outage};
use super::renewal::Renewal;
use super::reply::Reply;
use super::responses::Responses;
use super::steering::Steering;
use super::summary::Summary;
use super::timers::{Timer, Timers};
use super::trouble::Trouble;
use super::turns::Turns;
use super::waiting::Typing;
use super::window::Window;
use crate::domain::{ActionId, AfterStream, CallFacts, CallTime, EndReason, Language, Pcm, Phrase, Usage};
use crate::ports::{ActionError, ActionSpec, EngineCommand, EngineError, JournalEntry, Phrases, WINDOW_LEAST};
use crate::supervise::Child;

/// Where the call is in its life.
#[derive(Clone, PartialEq, Debug)]
pub enum Phase {
    /// Admitted; no stream yet.
    Waiting,
    /// The stream carries the call.
    Live,
    /// Ends as soon as the last words are heard.
    Closing(EndReason),
    /// Over; the position of the ear and late results are being collected.
    Tearing(EndReason),
    /// Nothing follows.
    Ended(EndReason),
}

impl Phase {
    /// The word shown to operators.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Live => "live",
            Self::Closing(_) => "closing",
            Self::Tearing(_) => "tearing",
            Self::Ended(_) => "ended",
        }
    }
}

/// How the engine session stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EngineStage {
    /// Being opened.
    Opening,
    /// Listening.
    Ready,
    /// Will not be had again in this call.
    Dead,
}

/// A media socket of this call.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Socket {
    pub(super) id: u64,
    pub(super) started: bool,
    pub(super) silent: bool,
}

/// Whether a new media socket may serve this call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attach {
    /// It is the call's socket now.
    Accepted,
    /// It takes over from this one, which is to be closed.
    Replaces(u64),
    /// Another socket carries the call.
    Busy,
    /// The call is over.
    Over,
}

/// Everything a call knows. Cloned before each decision, so that a crash in one loses only that one.
#[derive(Clone)]
pub struct CallState {
    pub(super) facts: Arc<CallFacts>,
    pub(super) catalogue: Arc<[Arc<ActionSpec>]>,
    pub(super) phrases: Arc<dyn Phrases>,
    pub(super) phase: Phase,
    pub(super) socket: Option<Socket>,
    pub(super) engine: EngineStage,
    pub(super) engine_was_ready: bool,
    pub(super) trouble: Trouble,
    pub(super) responses: Responses,
    pub(super) turns: Turns,
    pub(super) ledger: Ledger,
    /// Turns of the caller that are being understood.
    pub(super) replies: Vec<Reply>,
    /// Items of the caller that began while the agent spoke, in the middle of it as far as is known.
    pub(super) spoken_over: Vec<Arc<str>>,
    /// What the caller asked of the call itself.
    pub(super) steering: Steering,
    pub(super) timers: Timers,
    pub(super) usage: Usage,
    pub(super) degraded: Vec<&'static str>,
    pub(super) after: Option<AfterStream>,
    pub(super) parting: Parting,
    pub(super) leave: Leave,
    pub(super) greeted: bool,
    pub(super) caller_speaking: bool,
    /// What the present session is given that one before it had heard.
    pub(super) again: Option<Again>,
    /// … and what it hears late.
    pub(super) outage: Option<Outage>,
    /// The session was lost while the caller spoke.
    pub(super) bridge_when_quiet: bool,
    pub(super) playing: bool,
    /// The agent is silent because the caller speaks, and it is not decided yet who goes on.
    pub(super) contested: Option<Contested>,
    /// What was heard of the caller by the line alone.
    pub(super) near: Near,
    pub(super) unheard: Unheard,
    /// The caller's interrupting words want an answer as soon as the cut is known.
    pub(super) answer_after_cut: bool,
    /// An answer to the caller is owed although no request for it is under way.
    pub(super) answer_owed: bool,
    /// The answer being made has words.
    pub(super) answer_has_words: bool,
    /// Words were made that have not been heard to their end.
    pub(super) unheard_words: bool,
    pub(super) outputs_owed: bool,
    /// Outputs of actions that ended after the context of the session now opening was taken.
    pub(super) untold: Vec<EngineCommand>,
    /// What the engine is told of a caller who rang before.
    pub(super) known: Option<Arc<str>>,
    /// … and the context of the session now opening was taken before.
    pub(super) known_untold: bool,
    pub(super) answering: Answering,
    /// What stored phrases are said in: the caller's, as far as the agent speaks it.
    pub(super) language: Language,
    /// What the last turn was in, if that was another.
    pub(super) other_language: Option<Language>,
    pub(super) recogniser: Recogniser,
    pub(super) renewal: Renewal,
    /// Which engine sessions are opened with.
    pub(super) engine_by: EngineChoice,
    /// There is another engine, not tried yet.
    pub(super) fallback_left: bool,
    pub(super) keys: String,
    pub(super) typing: Typing,
    /// How often the caller was asked whether they are there since anybody spoke.
    pub(super) reprompts: u32,
    /// What is heard is a stored phrase, not the engine.
    pub(super) playing_phrase: bool,
    /// Sentences said while the caller waits for what they wait for now.
    pub(super) fillers: u32,
    /// The engine has been heard in this call.
    pub(super) engine_heard: bool,
    /// The greeting, if it was made before this call.
    pub(super) greeting: Option<Pcm>,
    /// The caller has been told what every caller must be told.
    pub(super) notices: Notices,
    /// Whoever was rung up is to speak first.
    pub(super) hello: Hello,
    pub(super) cutting: Cutting,
    /// Agent items that the present session has told of. Others may still be heard, but it does not know them.
    pub(super) session_items: Vec<Arc<str>>,
    /// The age at which a later process took the call up again.
    pub(super) taken_up: Option<CallTime>,
    /// Tokens that a session of either engine can hold.
    pub(super) windows: (u64, u64),
    /// What the present session holds.
    pub(super) window: Window,
    /// What made way in it.
    pub(super) summary: Summary,
    /// What the caller named, by kind, oldest first.
    pub(super) named: Vec<(&'static str, Arc<str>)>,
}

impl CallState {
    /// A call just admitted. The first effects are its own: see [`CallState::begin`].
    #[must_use]
    pub fn new(facts: Arc<CallFacts>, catalogue: Arc<[Arc<ActionSpec>]>, phrases: Arc<dyn Phrases>) -> Self {
        let mut timers = Timers::default();
        timers.set(Timer::Answer, facts.agent.limits.answer);
        timers.set(Timer::MaxDuration, super::parting::time_up_earliest(&facts.agent.limits));
        if let Some(at) = super::waiting::warn_at(&facts.agent.limits) {
            timers.set(Timer::TimeWarning, at);
        }
        Self {
            hello: Hello::of(&facts),
            language: facts.agent.language,
            other_language: None,
            recogniser: Recogniser::default(),
            renewal: Renewal::default(),
            facts,
            catalogue,
            phrases,
            phase: Phase::Waiting,
            socket: None,
            engine: EngineStage::Opening,
            engine_was_ready: false,
            trouble: Trouble::default(),
            responses: Responses::default(),
            turns: Turns::default(),
            ledger: Ledger::default(),
            replies: Vec::new(),
            spoken_over: Vec::new(),
            steering: Steering::default(),
            timers,
            usage: Usage::default(),
            degraded: Vec::new(),
            after: None,
            parting: Parting::default(),
            leave: Leave::default(),
            greeted: false,
            caller_speaking: false,
            again: None,
            outage: None,
            bridge_when_quiet: false,
            playing: false,
            contested: None,
            near: Near::default(),
            unheard: Unheard::default(),
            answer_after_cut: false,
            answer_owed: false,
            answer_has_words: false,
            unheard_words: false,
            outputs_owed: false,
            untold: Vec::new(),
            known: None,
            known_untold: false,
            answering: Answering::default(),
            engine_by: EngineChoice::First,
            fallback_left: false,
            keys: String::new(),
            typing: Typing::default(),
            reprompts: 0,
            playing_phrase: false,
            fillers: 0,
            engine_heard: false,
            greeting: None,
            notices: Notices::default(),
            cutting: Cutting::default(),
            session_items: Vec::new(),
            taken_up: None,
            windows: (WINDOW_LEAST, WINDOW_LEAST),
            window: Window::default(),
            summary: Summary::default(),
            named: Vec::new(),
        }
    }

    /// The first effects of a call: it is written down and the engine is opened while the phone connects.
    #[must_use]
    pub fn begin(&self) -> Vec<Effect> {
        if let Some(at) = self.taken_up {
            return self.begin_again(at);
        }
        vec![
            Effect::Record(JournalEntry::Admitted(Arc::clone(&self.facts))),
            self.first_session(self.greeting_context()),
        ]
    }

    /// Where the call is in its life.
    #[must_use]
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// How the engine session stands.
    #[must_use]
    pub fn engine_stage(&self) -> EngineStage {
        self.engine
    }

    /// When the next timer is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<CallTime> {
        self.timers.next()
    }

    /// A media socket asks to serve this call.
    pub fn attach(&mut self, socket: u64) -> Attach {
        match self.phase {
            Phase::Waiting | Phase::Live => {}
            Phase::Closing(_) | Phase::Tearing(_) | Phase::Ended(_) => return Attach::Over,
        }
        let newcomer = Socket { id: socket, started: false, silent: false };
        match self.socket.replace(newcomer) {
            None => Attach::Accepted,
            Some(old) if !old.started || old.silent => Attach::Replaces(old.id),
            Some(old) => {
                self.socket = Some(old);
                Attach::Busy
            }
        }
    }

    /// Decides what an event means.
    #[must_use]
    pub fn on(&mut self, event: CallEvent, now: CallTime) -> Vec<Effect> {
        let mut effects = Vec::new();
        match self.phase {
            Phase::Ended(_) => {}
            Phase::Tearing(_) => self.on_while_tearing(event, now, &mut effects),
            Phase::Waiting | Phase::Live | Phase::Closing(_) => self.on_while_up(event, now, &mut effects),
        }
        for effect in &effects {
            if let Effect::Engine(command) = effect {
                self.window.told(command);
            }
        }
        effects
    }

    fn on_while_up(&mut self, event: CallEvent, now: CallTime, out: &mut Vec<Effect>) {
        match event {
            CallEvent::StreamStarted { rate } => self.on_stream_started(rate, now, out),
            CallEvent::DtmfPressed(key) => self.on_key(key, now, out),
            CallEvent::StreamStopped { call_ended } => {
                let reason = if call_ended { EndReason::CallerHungUp } else { EndReason::CarrierEnded };
                self.end(reason, now, out);
            }
            CallEvent::SocketClosed { socket, protocol_error } => {
                self.on_socket_closed(socket, protocol_error, now, out);
            }
            CallEvent::MediaSilent(silence) => self.on_media_silent(silence, now),
            CallEvent::MediaResumed => self.on_media_resumed(),
            CallEvent::CallerHeard { since } => self.on_caller_heard(since, now, out),
            CallEvent::LineQuiet { since } => self.on_line_quiet(since, now),
            CallEvent::LineSounding { since } => self.on_line_sounding(since, now, out),
            CallEvent::LineSounded(sound) => self.on_line_sounded(sound, now),
            CallEvent::SpeechBegan { item, first } => self.on_speech_began(&item, first, now, out),
            CallEvent::SpeechHeard { item, at } => self.turns.agent_heard(&item, at),
            CallEvent::SpeechSounded { item, sound } => self.turns.agent_sounded(&item, sound),
            CallEvent::PlayoutHeld(left) => self.on_held(left),
            CallEvent::EchoHeard { only } => self.on_echo(only, now, out),
            CallEvent::PlayoutDrained => self.on_drained(now, out),
            CallEvent::PlayoutCut(cuts) => self.on_cut(&cuts, now, out),
            CallEvent::Engine(event) => self.on_engine(event, now, out),
            CallEvent::EngineOpenFailed(error) => self.on_open_failed(error, false, now, out),
            CallEvent::NeitherEngineOpened(error) => self.on_open_failed(error, true, now, out),
            CallEvent::EngineFellBack => self.on_engine_fell_back(now, out),
            CallEvent::EngineRenewed => self.on_engine_renewed(now, out),
            CallEvent::TurnUnderstood { turn, understanding } => {
                self.on_turn_understood(turn, understanding, now, out);
            }
            CallEvent::ActionFinished { action, attempts, result } => {
                self.on_action_finished(action, attempts, &result, now, out);
            }
            CallEvent::ActionResolved { action, result } => self.on_action_resolved(action, &result, now, out),
            CallEvent::CallerRecognised(known) => self.on_caller_recognised(&known, now, out),
            CallEvent::ChildCrashed(child) => self.on_child_crashed(child, now, out),
            CallEvent::ChildGaveUp(child) => self.on_child_gave_up(child, now, out),
            CallEvent::CarrierEnded => self.end(EndReason::CarrierEnded, now, out),
            CallEvent::HangUpOrdered => self.end(EndReason::OperatorHungUp, now, out),
            CallEvent::DrainExpired => self.on_drain_expired(now, out),
            CallEvent::TimePassed => self.on_time(now, out),
        }
        self.mind_leave(now, out);
        self.mind_notices(now, out);
        self.mind_renewal(now, out);
        self.steer(now, out);
    }

    // ------------------------------------------------------------ the carrier's side

    fn on_stream_started(&mut self, rate: u32, now: CallTime, out: &mut Vec<Effect>) {
        if let Some(socket) = &mut self.socket {
            socket.started = true;
        }
        // Also when a later socket starts: one that closed before its own start had given it five seconds.
        self.timers.clear(Timer::Answer);
        if self.phase == Phase::Live {
            self.timers.set(Timer::IdleMedia, now + self.facts.agent.limits.idle_media);
            // The socket before may have been dead for long: nobody knows what of a read-back was heard.
            self.ledger.ask_anew();
        }
        if self.phase != Phase::Waiting {
            return;
        }
        self.phase = Phase::Live;
        self.timers.set(Timer::IdleMedia, now + self.facts.agent.limits.idle_media);
        self.restart_speech_timer(now);
        out.push(Effect::Record(JournalEntry::Answered { call: self.facts.call, rate }));
        self.meet_caller(None, out);
        if self.engine == EngineStage::Dead {
            self.farewell_without_engine(now, out);
        } else {
            self.begins_unheard(now);
            self.greet_in_time(now, out);
        }
    }

    // ------------------------------------------------------------ children

    fn on_child_crashed(&mut self, child: Child, now: CallTime, out: &mut Vec<Effect>) {
        self.note("child_restarted", &json!({ "child": child.as_str() }), now, out);
        match child {
            Child::Realtime => {
                self.on_engine_lost(EngineError::Connection("its actor crashed".to_owned()), now, out);
            }
            Child::Action => self.reconcile(now, out),
            Child::Media => self.go_on_with_media(out),
            Child::Intent => self.lose_meanings(now, out),
            Child::Supervisor | Child::Call => {}
        }
    }

    fn on_child_gave_up(&mut self, child: Child, now: CallTime, out: &mut Vec<Effect>) {
        self.note("child_given_up", &json!({ "child": child.as_str() }), now, out);
        match child {
            Child::Media => self.end(EndReason::MediaLost, now, out),
            Child::Realtime => {
                self.degraded.push(child.as_str());
                self.engine_dead(now, out);
            }
            Child::Intent | Child::Action => {
                self.degraded.push(child.as_str());
                if child == Child::Intent {
                    self.lose_meanings(now, out);
                }
                if child == Child::Action {
                    let begun = self.ledger.running().chain(self.ledger.planning());
                    let begun: Vec<ActionId> = begun.map(|entry| entry.action.id).collect();
                    for id in begun {
                        let lost = Err(ActionError::Unknown("it could not be finished".to_owned()));
                        self.on_action_finished(id, 1, &lost, now, out);
                    }
                }
            }
            Child::Supervisor | Child::Call => {}
        }
    }

    // ------------------------------------------------------------ journal

    pub(super) fn note(&self, kind: &'static str, detail: &serde_json::Value, at: CallTime, out: &mut Vec<Effect>) {
        let (call, detail) = (self.facts.call, detail.to_string().into());
        out.push(Effect::Record(JournalEntry::Event { call, kind, detail, at }));
    }

    pub(super) fn restart_speech_timer(&mut self, now: CallTime) {
        self.timers.set(Timer::IdleSpeech, now + self.reprompt_after());
    }
}

/// Phrases take part in playout under a name like this; they are no items of the engine.
const PHRASE: &str = "phrase:";

/// Whether this is one.
pub(super) fn is_phrase(item: &str) -> bool {
    item.starts_with(PHRASE)
}

/// What a phrase is called there.
pub(crate) fn phrase_item(phrase: Phrase) -> Arc<str> {
    format!("{PHRASE}{}", phrase.as_str()).into()
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "carrier_tests.rs"]
mod carrier_tests;

#[cfg(test)]
#[path = "hostile_tests.rs"]
mod hostile_tests;
