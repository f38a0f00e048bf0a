//! A caller who wants something done, as a script: what each says, and what comes of it.

use std::sync::Arc;

use super::event::{CallEvent, Effect};
use super::state::CallState;
use super::table::*;
use crate::domain::{ActionId, BargeIn, CallTime, TurnId, Understanding};
use crate::ports::{ActionError, ActionOutput, EngineCommand, EngineEvent, ResponseOutcome};
use crate::supervise::Child;
use crate::understand::{Surroundings, understand};

/// A call in which the tool `cancel` wants a yes.
pub(super) struct Scene {
    pub(super) state: CallState,
    pub(super) at: u64,
    /// Where the session's count of sound begins, in milliseconds.
    from: u64,
    pub(super) answers: u64,
    action: Option<ActionId>,
    /// Words of the caller whose meaning has not been told yet.
    meant: Option<(TurnId, Understanding)>,
    /// What all steps led to.
    pub(super) effects: Vec<Effect>,
}

impl Scene {
    pub(super) fn new(barge_in: BargeIn) -> Self {
        let state = quiet_of(crate::domain::Agent { barge_in, ..agent(true) });
        Self { state, at: 100, from: 0, answers: 0, action: None, meant: None, effects: Vec::new() }
    }

    pub(super) fn hear(&mut self, event: CallEvent) {
        self.at += 1;
        let effects = self.state.on(event, CallTime::from_millis(self.at * 100));
        for effect in &effects {
            match effect {
                Effect::PlanAction { action, .. } | Effect::RunAction { action, .. } => self.action = Some(*action),
                Effect::Understand { turn, text, asked, waiting } => {
                    let now = chrono::NaiveDate::from_ymd_opt(2026, 11, 27).and_then(|day| day.and_hms_opt(10, 0, 0));
                    let around = Surroundings { asked, waiting, now, ..Surroundings::default() };
                    self.meant = Some((*turn, understand(text, around)));
                }
                _ => {}
            }
        }
        self.effects.extend(effects);
    }

    pub(super) fn answer(&mut self) -> (String, Arc<str>) {
        (format!("r{}", self.answers), format!("a{}", self.answers).into())
    }

    /// The agent makes an answer of these words, and the caller begins to hear it.
    pub(super) fn read(&mut self, words: &str) {
        self.answers += 1;
        let (response, item) = self.answer();
        self.hear(created(&response, self.answers + 1));
        let (response, delta) = (response.into(), words.into());
        self.hear(engine(EngineEvent::AgentWords { response, item: Arc::clone(&item), delta }));
        self.hear(began(&item));
    }

    pub(super) fn step(&mut self, step: &str) {
        let (response, item) = self.answer();
        match step.split_once(' ').unwrap_or((step, "")) {
            ("call", tool_call) => self.hear(called("cancel", tool_call)),
            // Of several: "want t1 {…}".
            ("want", wish) => {
                let (tool_call, arguments) = wish.split_once(' ').expect("a tool call and arguments");
                self.hear(called_with("cancel", tool_call, arguments));
            }
            ("planned", plan) => {
                let output = if plan.is_empty() { "{}" } else { plan }.into();
                let result = Ok(ActionOutput { output, change: None, undo: None });
                self.hear(CallEvent::ActionFinished { action: self.action.expect("planned"), attempts: 1, result });
            }
            ("refused", _) => {
                let result = Err(ActionError::Refused("not yours".into()));
                self.hear(CallEvent::ActionFinished { action: self.action.expect("planned"), attempts: 1, result });
            }
            ("read", said) => self.read(if said.is_empty() { "Shall I cancel order 1042? " } else { said }),
            ("made", _) => self.hear(done(&response, ResponseOutcome::Completed)),
            ("heard", _) => {
                self.hear(done(&response, ResponseOutcome::Completed));
                self.hear(CallEvent::PlayoutDrained);
            }
            // Ten seconds of it are heard.
            ("slowly", _) => self.at += 100,
            // All there is of it was heard.
            ("silent", _) => self.hear(CallEvent::PlayoutDrained),
            ("breaks", _) => self.hear(done(&response, ResponseOutcome::Incomplete)),
            ("held", left) => {
                let left = CallTime::from_millis(left.parse().expect("a number"));
                self.hear(CallEvent::PlayoutHeld(left));
            }
            ("cut", heard_ms) => self.hear(cut(&item, heard_ms.parse().expect("a number"))),
            (what @ ("caller" | "stops" | "words" | "mumbles" | "meant" | "key"), text) => self.of_caller(what, text),
            ("late", _) => {
                self.at += 50;
                self.hear(CallEvent::TimePassed);
            }
            ("minutes", _) => self.at += 1300,
            ("lost", _) => {
                self.step("opening");
                self.hear(engine(EngineEvent::Ready));
            }
            ("opening", _) => {
                self.hear(lost());
                self.from = self.at * 100 - 300;
            }
            ("ready", _) => self.hear(engine(EngineEvent::Ready)),
            ("deaf", _) => self.hear(CallEvent::ChildCrashed(Child::Intent)),
            ("crash", _) => self.hear(CallEvent::ChildCrashed(Child::Action)),
            ("hangup", _) => self.hear(hung_up()),
            other => panic!("no such step: {other:?}"),
        }
    }

    /// What the caller does.
    fn of_caller(&mut self, what: &str, text: &str) {
        let caller: Arc<str> = format!("u{}", self.answers).into();
        match (what, text) {
            ("caller", _) => {
                let at_ms = ((self.at + 1) * 100).saturating_sub(self.from);
                self.hear(engine(EngineEvent::SpeechStarted { item: caller, at_ms }));
            }
            ("stops", _) => {
                self.hear(engine(EngineEvent::SpeechStopped {
                    item: Arc::clone(&caller),
                    at_ms: 0,
                    behind: CallTime::ZERO,
                }));
                self.hear(engine(EngineEvent::TurnCommitted { item: caller }));
            }
            ("words", text) => self.hear(engine(EngineEvent::CallerTranscript { item: caller, text: text.into() })),
            ("mumbles", _) => self.hear(engine(EngineEvent::CallerTranscriptFailed { item: caller })),
            ("meant", _) => {
                let (turn, understanding) = self.meant.take().expect("words were there");
                self.hear(CallEvent::TurnUnderstood { turn, understanding });
            }
            ("key", key) => {
                self.hear(CallEvent::DtmfPressed(key.chars().next().expect("a key")));
                self.hear(CallEvent::DtmfPressed('#'));
            }
            other => panic!("no such step of the caller: {other:?}"),
        }
    }

    /// Says and answers: "says haan" is a whole turn.
    pub(super) fn play(&mut self, script: &str) {
        for step in script.split(';').map(str::trim) {
            match step.split_once(' ') {
                Some(("says", text)) => {
                    for step in ["caller", "stops", &format!("words {text}"), "meant"] {
                        self.step(step);
                    }
                }
                _ => self.step(step),
            }
        }
    }

    pub(super) fn runs(&self) -> usize {
        self.effects.iter().filter(|effect| matches!(effect, Effect::RunAction { .. })).count()
    }

    pub(super) fn told(&self, part: &str) -> usize {
        let told = |effect: &&Effect| match effect {
            Effect::Engine(EngineCommand::ToolOutput { output, .. }) => output.contains(part),
            _ => false,
        };
        self.effects.iter().filter(told).count()
    }
}

/// How it ends: done so often, and the states on record.
pub(super) fn played(barge_in: BargeIn, script: &str) -> (usize, Vec<&'static str>, Scene) {
    let mut scene = Scene::new(barge_in);
    scene.play(script);
    let mut states: Vec<&str> = action_states(&scene.effects).iter().map(|state| state.as_str()).collect();
    states.extend(scene.effects.iter().filter(|effect| matches!(effect, Effect::RunAction { .. })).map(|_| "run"));
    (scene.runs(), states, scene)
}
