//! Long calls against an engine in a few lines, which keeps items and counts tokens as the service does.

use std::sync::Arc;
use std::time::Duration;

use super::event::{CallEvent, Effect, MediaWish};
use super::state::CallState;
use super::table::*;
use super::window::tokens_of_text;
use crate::audio::playout::Cut;
use crate::domain::*;
use crate::ports::*;

/// What becomes of requests for a summary.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Writes {
    Soon,
    Refuses,
    Never,
    Says(&'static str),
}

/// A call and its engine.
pub(super) struct Long {
    pub(super) state: CallState,
    pub(super) now: CallTime,
    pub(super) window: u64,
    pub(super) writes: Writes,
    /// The session's items: id, kind, tokens.
    pub(super) items: Vec<(Arc<str>, ItemKind, u64)>,
    /// What each session was opened with.
    pub(super) opened: Vec<Vec<ContextItem>>,
    /// What was to be summarised.
    pub(super) asked: Vec<Arc<str>>,
    /// What the session was told of what made way.
    pub(super) recollected: Vec<Arc<str>>,
    pub(super) notes: Vec<String>,
    pub(super) wrong: Vec<String>,
    pub(super) most: u64,
    pub(super) made: u64,
    pub(super) playing: Arc<str>,
    /// Actions take their time …
    pub(super) slow: bool,
    /// … and these are not at their end.
    pub(super) running: Vec<ActionId>,
    /// Answers are refused because something is being made.
    pub(super) refuses: bool,
}

pub(super) fn hour() -> Agent {
    let mut agent = agent(true);
    agent.instructions = "Answer for the shop. ".repeat(100).into();
    agent.limits.max_duration = Duration::from_secs(4_000);
    agent
}

impl Long {
    pub(super) fn with(window: u64, writes: Writes, agent: Agent) -> Self {
        let mut state = quiet_of(agent).with_windows((window, window));
        let _ = state.on(CallEvent::MediaResumed, at(3));
        let (items, opened, asked) = (vec![], vec![], vec![]);
        let (recollected, notes, wrong) = (vec![], vec![], vec![]);
        let (now, most, made, playing) = (at(4), 0, 0, "".into());
        let (slow, running, refuses) = (false, vec![], false);
        Self {
            state,
            now,
            window,
            writes,
            items,
            opened,
            asked,
            recollected,
            notes,
            wrong,
            most,
            made,
            playing,
            slow,
            running,
            refuses,
        }
    }

    pub(super) fn hear(&mut self, event: EngineEvent) {
        self.on(engine(event));
    }

    pub(super) fn on(&mut self, event: CallEvent) {
        let effects = self.state.on(event, self.now);
        self.notes.extend(notes(&effects));
        for effect in effects {
            self.carry_out(effect);
        }
    }

    pub(super) fn add(&mut self, item: &str, kind: ItemKind, tokens: u64) {
        self.items.push((item.into(), kind.clone(), tokens));
        self.hear(EngineEvent::ItemAdded { item: item.into(), kind, replayed: None });
    }

    fn carry_out(&mut self, effect: Effect) {
        self.made += 1;
        match effect {
            Effect::OpenEngine { context, .. } => self.open(context, engine(EngineEvent::Ready)),
            Effect::RenewEngine { context, .. } => self.open(context, CallEvent::EngineRenewed),
            Effect::Understand { turn, .. } => {
                let entity =
                    |kind, value: &str| Entity { kind, text: value.into(), value: value.into(), confidence: 0.9 };
                let entities = vec![entity("name", "Meera"), entity("number", "4")];
                let (intent, yes) = (IntentKind::OutOfScope, Yes::Neither);
                let understanding =
                    Understanding { intent, own: None, confidence: 0.9, yes, entities, wish: None, abusive: false };
                self.on(CallEvent::TurnUnderstood { turn, understanding });
            }
            Effect::RunAction { action, .. } if self.slow => self.running.push(action),
            Effect::RunAction { action, .. } => self.on(finished(action, None)),
            Effect::PlanAction { action, .. } => self.on(finished(action, None)),
            Effect::Engine(command) => self.obey(command),
            Effect::Media(MediaWish::Interrupt { .. }) => {
                let cut = Cut { item: Arc::clone(&self.playing), heard_ms: 500, total_ms: 2_000 };
                self.on(CallEvent::PlayoutCut(vec![cut]));
            }
            _ => {}
        }
    }

    fn open(&mut self, context: Vec<ContextItem>, listens: CallEvent) {
        self.items.clear();
        self.opened.push(context.clone());
        self.on(listens);
        for (n, item) in context.into_iter().enumerate() {
            let kind = match &item {
                ContextItem::Caller(_) => ItemKind::Caller,
                ContextItem::Agent(_) => ItemKind::Agent,
                ContextItem::Tool { .. } => ItemKind::ToolCall(format!("c{n}").into()),
                ContextItem::Note(_) => ItemKind::Other,
            };
            let id: Arc<str> = format!("caly_said_{n}").into();
            self.items.push((Arc::clone(&id), kind.clone(), tokens_of_text(item.bytes())));
            self.hear(EngineEvent::ItemAdded { item: id, kind, replayed: Some(n) });
        }
    }

    fn obey(&mut self, command: EngineCommand) {
        let n = self.made;
        match command {
            EngineCommand::Summarise { request, text, .. } => {
                if tokens_of_text(text.len()) > self.window {
                    self.wrong.push(format!("{} bytes are to be summarised", text.len()));
                }
                self.asked.push(text);
                let usage = Usage { text_in: 500, cost_micro_usd: 7, ..Usage::default() };
                let result = match self.writes {
                    Writes::Soon => Ok(format!("summary {request}").into()),
                    Writes::Refuses => Err(EngineError::Protocol("no".into())),
                    Writes::Says(text) => Ok(text.into()),
                    Writes::Never => return,
                };
                self.hear(EngineEvent::Summarised { request, result, usage });
            }
            EngineCommand::DeleteItem { item } => match self.items.iter().position(|(known, ..)| *known == item) {
                Some(at) => drop(self.items.remove(at)),
                None => self.wrong.push(format!("{item} is deleted and not there")),
            },
            EngineCommand::Recollect { item, text } => {
                self.items.insert(0, (Arc::clone(&item), ItemKind::Other, tokens_of_text(text.len())));
                self.recollected.push(text);
                self.hear(EngineEvent::ItemAdded { item, kind: ItemKind::Other, replayed: None });
            }
            EngineCommand::ToolOutput { tool_call, output } => {
                self.add(&format!("o{n}"), ItemKind::ToolOutput(tool_call), tokens_of_text(output.len()));
            }
            EngineCommand::CallerText(text) => {
                self.add(&format!("k{n}"), ItemKind::Caller, tokens_of_text(text.len()));
            }
            EngineCommand::CreateResponse { .. } if self.refuses => self.hear(EngineEvent::ResponseRefused),
            EngineCommand::CreateResponse { wish, .. } => self.answer(wish),
            _ => {}
        }
    }

    /// Tokens of all that the session holds.
    pub(super) fn holds(&self) -> u64 {
        tokens_of_text(2_100) + self.items.iter().map(|(.., tokens)| tokens).sum::<u64>()
    }

    fn answer(&mut self, wish: u64) {
        let n = self.made;
        let (response, item): (Arc<str>, Arc<str>) = (format!("r{n}").into(), format!("a{n}").into());
        let held = self.holds();
        self.most = self.most.max(held);
        self.hear(EngineEvent::ResponseCreated { response: Arc::clone(&response), wish: Some(wish) });
        self.add(&item, ItemKind::Agent, 130);
        self.hear(EngineEvent::AgentTranscript {
            item: Arc::clone(&item),
            text: "that is so indeed ".repeat(5).into(),
        });
        self.playing = Arc::clone(&item);
        self.on(CallEvent::SpeechBegan { item, first: None });
        let usage = Usage { text_in: held, audio_out: 130, ..Usage::default() };
        self.hear(EngineEvent::ResponseDone { response, outcome: ResponseOutcome::Completed, usage });
    }

    /// What falls due on the way there.
    pub(super) fn wait(&mut self, seconds: u64) {
        let until = self.now + at(seconds);
        while let Some(due) = self.state.next_deadline().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.on(CallEvent::TimePassed);
        }
        self.now = until;
    }

    pub(super) fn heard_all(&mut self) {
        self.on(CallEvent::PlayoutDrained);
    }

    /// The caller says something and hears the answer, in ten seconds.
    pub(super) fn exchange(&mut self, words: &str) {
        assert!(self.now < at(3_900), "nothing came of it in an hour: {:?}", self.notes);
        let item: Arc<str> = format!("u{}", self.made).into();
        let at_ms = self.now.as_millis() as u64;
        self.hear(EngineEvent::SpeechStarted { item: Arc::clone(&item), at_ms });
        self.wait(4);
        self.hear(EngineEvent::SpeechStopped { item: Arc::clone(&item), at_ms: at_ms + 4_000, behind: Duration::ZERO });
        self.items.push((Arc::clone(&item), ItemKind::Caller, 40));
        self.hear(EngineEvent::ItemAdded { item: Arc::clone(&item), kind: ItemKind::Caller, replayed: None });
        self.hear(EngineEvent::CallerTranscript { item: Arc::clone(&item), text: words.into() });
        self.hear(EngineEvent::TurnCommitted { item });
        self.wait(6);
        self.heard_all();
        self.wait(1);
    }

    pub(super) fn begins(&mut self) -> Arc<str> {
        let item: Arc<str> = format!("u{}", self.made).into();
        self.hear(EngineEvent::SpeechStarted { item: Arc::clone(&item), at_ms: 0 });
        item
    }

    pub(super) fn presses(&mut self, keys: &str) {
        for key in keys.chars() {
            self.on(CallEvent::DtmfPressed(key));
        }
        self.wait(4);
        self.heard_all();
    }

    pub(super) fn summarised(&mut self, request: u64, text: &str) {
        self.hear(EngineEvent::Summarised { request, result: Ok(text.into()), usage: Usage::default() });
    }

    pub(super) fn calls(&mut self, tool: &str) {
        let n = self.made;
        self.add(&format!("c{n}"), ItemKind::ToolCall(format!("t{n}").into()), 10);
        self.on(called(tool, &format!("t{n}")));
        self.wait(4);
        self.heard_all();
    }

    pub(super) fn noted(&self, kind: &str) -> usize {
        self.notes.iter().filter(|note| note.starts_with(kind)).count()
    }

    pub(super) fn told(&self) -> String {
        self.state.context().iter().filter_map(note).collect()
    }
}

pub(super) fn note(item: &ContextItem) -> Option<&str> {
    match item {
        ContextItem::Note(text) => Some(text),
        _ => None,
    }
}
