//! An engine that keeps the vendor's rules (one answer at a time, truncation of what it made, every tool call answered once) and
//! breaks down in every way it can: refuses, stalls, fails, is cut off, drops its socket.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use caly_actors::domain::Usage;
use caly_actors::ports::*;
use futures_util::StreamExt as _;
use tokio::time::Instant;

use super::dice::Dice;
use super::ledger::{PIECE_MS, Shared, WORD_MS, word};
use super::support::{Session, WINDOW};

/// Longest way of an event to the call and of its command back.
const CROSSING: Duration = Duration::from_millis(50);

/// Where new sound stands in a session: far behind anything it hears for the second time.
pub const LONG_AFTER: u64 = 10_000_000;

/// The session the caller speaks to, if there is one.
pub type Current = std::rc::Rc<std::cell::RefCell<Option<(usize, Session)>>>;

pub struct Engine {
    session: Session,
    dice: Dice,
    truth: Shared,
    current: Current,
    number: usize,
    made: u64,
    active: Option<Arc<str>>,
    /// When it was said to have been created.
    created: Instant,
    cancelled: bool,
    /// Tool calls made: which, and with what.
    called: Vec<(Arc<str>, &'static str, Arc<str>)>,
    /// How many events it says yet before its socket drops.
    fuse: Option<u64>,
    /// One that is to be called again once the caller has agreed, as far as this engine cares.
    proposed: Option<(&'static str, Arc<str>)>,
}

impl Engine {
    /// Serves one session until it is lost or let go.
    pub async fn serve(session: Session, number: usize, mut dice: Dice, truth: Shared, current: Current) {
        truth.borrow_mut().opened.push((tokio::time::Instant::now(), session.spec.context.clone()));
        tokio::time::sleep(dice.ms(5, 300)).await;
        truth.borrow_mut().note(format!("session {number} listens"));
        session.say(EngineEvent::Ready);
        // Time for it to take the place of another; not if it was opened beside one that is to go on.
        tokio::time::sleep(Duration::from_millis(1)).await;
        if session.events.is_closed() || truth.borrow().is_void(number) {
            truth.borrow_mut().note(format!("session {number} is not wanted"));
            // One that was lost before it listened says so.
            session.say(EngineEvent::Lost(EngineError::Connection("reset".into())));
            return;
        }
        current.replace(Some((number, session.clone())));
        let since = truth.borrow().hears_again_since().filter(|_| dice.percent(80));
        if let Some(last) = since.and_then(|since| truth.borrow_mut().heard_again(since)) {
            actix::spawn(Self::hear_again(session.clone(), last, dice.split(), Rc::clone(&truth)));
        }
        replay(&session, number, &truth);
        let (made, active, cancelled) = (0, None, false);
        let (called, proposed) = (Vec::new(), None);
        let created = Instant::now();
        let fuse = dice.percent(8).then(|| dice.between(1, 150));
        let mut engine =
            Self { session, dice, truth, current, number, made, active, created, cancelled, called, fuse, proposed };
        let mut commands = engine.session.commands.clone();
        while let Some(command) = commands.next().await {
            if !engine.hear(command, &mut commands).await {
                return;
            }
        }
    }

    /// The session is given what the one before had not written down, all of it at once.
    async fn hear_again(
        session: Session,
        (item, began, words): (Arc<str>, Instant, &'static str),
        mut dice: Dice,
        truth: Shared,
    ) {
        let (late, item): (_, Arc<str>) = (dice.ms(1, 900), format!("{item}again").into());
        truth.borrow_mut().note(format!("{item} is heard: {words:?} after {late:?}"));
        session.say(EngineEvent::SpeechStarted { item: Arc::clone(&item), at_ms: 400 });
        session.say(EngineEvent::SpeechStopped { item: Arc::clone(&item), at_ms: 0, behind: Duration::ZERO });
        session.say(EngineEvent::TurnCommitted { item: Arc::clone(&item) });
        tokio::time::sleep(late).await;
        truth.borrow_mut().said.push((began, Instant::now(), words));
        session.say(EngineEvent::CallerTranscript { item, text: words.into() });
    }

    /// Says something, unless its socket drops just now: then `wait` tells that the session is over.
    fn say(&mut self, event: EngineEvent) {
        let lives = self.current.borrow().as_ref().is_some_and(|(number, _)| *number == self.number);
        match &mut self.fuse {
            Some(0) if lives => {
                self.truth.borrow_mut().fault("engine drops its socket after some event");
                return self.lose(EngineError::Connection("reset".into()));
            }
            Some(0) => return,
            Some(left) => *left -= 1,
            None => {}
        }
        self.truth.borrow_mut().happens();
        self.session.say(event);
    }

    fn lose(&self, error: EngineError) {
        self.truth.borrow_mut().note(format!("session {} is lost: {error}", self.number));
        self.current.replace(None);
        self.truth.borrow_mut().session_lost();
        self.truth.borrow_mut().happens();
        self.session.say(EngineEvent::Lost(error));
    }

    fn fault(&self, fault: &'static str) {
        self.truth.borrow_mut().fault(fault);
    }

    async fn hear(
        &mut self,
        command: EngineCommand,
        commands: &mut caly_actors::audio::lane::LaneReceiver<EngineCommand>,
    ) -> bool {
        match command {
            EngineCommand::CreateResponse { wish, .. } => return self.respond(wish, commands).await,
            other => self.note(other),
        }
        true
    }

    /// The agent's words as they were heard, in the place of others.
    fn told_anew(&mut self, item: Arc<str>, after: Option<&Arc<str>>, words: &str) {
        let mut truth = self.truth.borrow_mut();
        let held = truth.held.entry(self.number).or_default();
        if after.is_some_and(|after| !held.iter().any(|(known, _)| known == after)) {
            truth.violated(format!("said after {after:?}, which session {} does not hold", self.number));
        }
        truth.hold(self.number, &item, words.len() as u64 / 4, after.is_none());
        drop(truth);
        self.say(EngineEvent::ItemAdded { item, kind: ItemKind::Agent, replayed: None });
    }

    /// What needs no answer.
    fn note(&mut self, command: EngineCommand) {
        let mut truth = self.truth.borrow_mut();
        truth.note(format!("session {} hears {command:?}", self.number));
        match command {
            EngineCommand::CreateResponse { .. } => {
                truth.asked_for.push(Instant::now());
                // It may cross with the word that another began; later it is known.
                if self.active.is_some() && self.created.elapsed() > CROSSING {
                    truth.violated(format!("an answer is asked for while {:?} is made", self.active));
                }
                drop(truth);
                self.say(EngineEvent::ResponseRefused);
            }
            EngineCommand::CancelResponse => self.cancelled |= self.active.is_some(),
            EngineCommand::Truncate { item, heard_ms } => {
                let made = truth.made.get(&item).copied();
                if !item.starts_with(&format!("s{}", self.number)) || made.is_none() {
                    truth.violated(format!("truncated {item}, which session {} does not know", self.number));
                } else if heard_ms == 0 || made.is_some_and(|made| heard_ms > made) {
                    truth.violated(format!("truncated {item} at {heard_ms} of {made:?} ms"));
                }
            }
            EngineCommand::ToolOutput { tool_call, output } => {
                let call = self.called.iter().find(|call| call.0 == tool_call).filter(|_| output.contains("read_back"));
                truth.proposing |= call.is_some();
                self.proposed =
                    call.map(|(_, name, arguments)| (*name, Arc::clone(arguments))).or(self.proposed.take());
                if !truth.asked.contains(&tool_call) {
                    truth.violated(format!("an answer to {tool_call}, which was never called"));
                }
                // That there are too many calls wants no words of its own.
                if !output.contains("too many") {
                    truth.told.push(Instant::now());
                }
                if !truth.answered.insert(Arc::clone(&tool_call)) {
                    truth.violated(format!("{tool_call} was answered twice"));
                }
                drop(truth);
                self.hold(&format!("{tool_call}o").into(), ItemKind::ToolOutput(tool_call), output.len() as u64 / 4);
            }
            EngineCommand::DeleteItem { item } => {
                let held = truth.held.entry(self.number).or_default();
                match held.iter().position(|(known, _)| *known == item) {
                    Some(at) => drop(held.remove(at)),
                    None => truth.violated(format!("deleted {item}, which session {} does not hold", self.number)),
                }
            }
            EngineCommand::Note(text) => truth.noted.push((self.number, Instant::now(), text)),
            EngineCommand::CallerText(_) | EngineCommand::CallerSpeaks(_) | EngineCommand::CommitTurn => {}
            EngineCommand::AgentSaid { item, after, words } => {
                drop(truth);
                self.told_anew(item, after.as_ref(), &words);
            }
            EngineCommand::Recollect { item, text } => {
                truth.hold(self.number, &item, text.len() as u64 / 4, true);
                let kind = ItemKind::Other;
                drop(truth);
                self.say(EngineEvent::ItemAdded { item, kind, replayed: None });
            }
            EngineCommand::Summarise { request, text, .. } => {
                if text.is_empty() || text.len() as u64 > WINDOW.with(std::cell::Cell::get) * 4 {
                    truth.violated(format!("{} bytes are to be summarised", text.len()));
                }
                drop(truth);
                self.summarise(request);
            }
        }
    }

    /// Beside whatever else it does: soon, late, in vain or never.
    fn summarise(&mut self, request: u64) {
        let (after, fate) = (self.dice.ms(100, 3_000), self.dice.between(1, 100));
        let (session, number, current) = (self.session.clone(), self.number, std::rc::Rc::clone(&self.current));
        actix::spawn(async move {
            tokio::time::sleep(if fate > 90 { Duration::from_secs(13) } else { after }).await;
            if fate > 95 || current.borrow().as_ref().is_none_or(|(now, _)| *now != number) {
                return;
            }
            let result = match fate {
                1..=15 => Err(EngineError::Busy { reason: "later".into(), after: None }),
                16..=20 => Ok(" ".into()),
                _ => Ok(format!("what came before, as request {request} has it").into()),
            };
            session.say(EngineEvent::Summarised { request, result, usage: Usage { text_in: 1, ..Usage::default() } });
        });
    }

    /// One more item, told as the service tells it.
    fn hold(&mut self, item: &Arc<str>, kind: ItemKind, tokens: u64) {
        self.truth.borrow_mut().hold(self.number, item, tokens, false);
        self.say(EngineEvent::ItemAdded { item: Arc::clone(item), kind, replayed: None });
    }

    /// Waits, hearing what comes meanwhile; false if the session was let go.
    async fn wait(
        &mut self,
        time: Duration,
        commands: &mut caly_actors::audio::lane::LaneReceiver<EngineCommand>,
    ) -> bool {
        let until = tokio::time::Instant::now() + time;
        loop {
            match tokio::time::timeout_at(until, commands.next()).await {
                // Let go of: a socket that is gone says nothing more.
                Err(_) => return self.current.borrow().as_ref().is_some_and(|(number, _)| *number == self.number),
                Ok(None) => return false,
                Ok(Some(command)) => self.note(command),
            }
        }
    }

    async fn respond(
        &mut self,
        wish: u64,
        commands: &mut caly_actors::audio::lane::LaneReceiver<EngineCommand>,
    ) -> bool {
        self.truth.borrow_mut().asked_for.push(Instant::now());
        let (late, fate) = (self.dice.ms(20, 600), self.dice.between(1, 100));
        self.made += 1;
        let response: Arc<str> = format!("s{}r{:02}", self.number, self.made).into();
        if !self.wait(late, commands).await {
            return false;
        }
        if fate <= 4 {
            // Stalls: says nothing any more, but does not end.
            self.fault("engine stalls");
            return self.wait(Duration::from_secs(60), commands).await;
        }
        if fate <= 8 {
            let expired = fate % 2 == 0;
            self.fault(if expired { "session expired" } else { "engine drops its socket before an answer" });
            self.lose(if expired { EngineError::Expired } else { EngineError::Connection("reset".into()) });
            return false;
        }
        self.active = Some(Arc::clone(&response));
        self.truth.borrow_mut().note(format!("{response} begins, fate {fate}"));
        self.cancelled = false;
        self.created = Instant::now();
        self.truth.borrow_mut().begun.push(self.created);
        self.say(EngineEvent::ResponseCreated { response: Arc::clone(&response), wish: Some(wish) });
        let outcome = match fate {
            9..=12 => {
                self.fault("engine answers 429");
                Some(self.busy())
            }
            13..=15 => {
                self.fault("an answer is cut by its limit before a word");
                Some(ResponseOutcome::Incomplete)
            }
            16..=30 => {
                self.call_tools(&response);
                Some(ResponseOutcome::Completed)
            }
            // Often before anybody agreed, or after they refused.
            31..=60 if self.proposed.is_some() => {
                let (name, arguments) = self.proposed.clone().expect("it is there");
                self.call_tool(&response, 0, name, arguments);
                Some(ResponseOutcome::Completed)
            }
            _ => self.speak(&response, commands).await,
        };
        self.active = None;
        let Some(outcome) = outcome else { return false };
        let spoken = fate > 60 && matches!(outcome, ResponseOutcome::Completed);
        if spoken && self.dice.percent(2) {
            self.fault("the end of an answer is not told");
            return self.current.borrow().as_ref().is_some_and(|(number, _)| *number == self.number);
        }
        // Now and then it does not tell what an answer was made from.
        let text_in = if fate % 7 == 0 { 0 } else { self.truth.borrow().tokens(self.number) };
        let usage = Usage { text_in, audio_out: 1, ..Usage::default() };
        self.say(EngineEvent::ResponseDone { response, outcome, usage });
        self.current.borrow().as_ref().is_some_and(|(number, _)| *number == self.number)
    }

    fn busy(&mut self) -> ResponseOutcome {
        let after = self.dice.percent(50).then(|| self.dice.ms(100, 5_000));
        ResponseOutcome::Failed(EngineError::Busy { reason: "later".into(), after })
    }

    fn call_tools(&mut self, response: &Arc<str>) {
        for n in 0..self.dice.between(1, 2) {
            let name = ["look", "book", "slow", "fly", "confirmed", "confirmed", "confirmed"]
                [self.dice.between(0, 6) as usize];
            let arguments = format!("{{\"id\":{}}}", self.dice.between(1, 3)).into();
            self.call_tool(response, n, name, arguments);
        }
    }

    fn call_tool(&mut self, response: &Arc<str>, n: u64, name: &'static str, arguments: Arc<str>) {
        let tool_call: Arc<str> = format!("{response}t{n}").into();
        self.truth.borrow_mut().asked.insert(Arc::clone(&tool_call));
        self.called.push((Arc::clone(&tool_call), name, Arc::clone(&arguments)));
        self.hold(&format!("{tool_call}c").into(), ItemKind::ToolCall(Arc::clone(&tool_call)), 10);
        let response = Arc::clone(response);
        self.say(EngineEvent::ToolCalled { response, tool_call, name: name.into(), arguments });
    }

    /// Speaks faster than anybody listens; `None` if the session ends meanwhile. Words come with their sound, before it or
    /// after it.
    async fn speak(
        &mut self,
        response: &Arc<str>,
        commands: &mut caly_actors::audio::lane::LaneReceiver<EngineCommand>,
    ) -> Option<ResponseOutcome> {
        let item: Arc<str> = format!("{response}i").into();
        let words = self.dice.between(2, 25);
        let ends = self.dice.percent(10).then(|| (self.dice.between(0, words), self.dice.between(0, 4)));
        let lead = self.lead(words);
        let mut telling =
            Telling { item: Arc::clone(&item), response: Arc::clone(response), told: 0, words, done: false };
        self.hold(&item, ItemKind::Agent, words * 80);
        for n in 0..words {
            if let Some((_, how)) = ends.filter(|(at, _)| *at == n) {
                return self.breaks_off(how, &mut telling, commands).await;
            }
            telling.up_to((n + 1).saturating_add_signed(lead), self);
            self.sound(response, &item);
            let pace = self.dice.ms(20, 120);
            if !self.wait(pace, commands).await {
                return None;
            }
            if self.cancelled {
                break;
            }
        }
        if !self.cancelled {
            self.say(EngineEvent::AgentSoundMade { item: Arc::clone(&item) });
            telling.up_to(words, self);
        }
        telling.done(self);
        if self.cancelled {
            self.fault("an answer is cancelled");
        }
        Some(if self.cancelled { ResponseOutcome::Cancelled } else { ResponseOutcome::Completed })
    }

    /// How many words ahead of their sound an answer's words are told; negative: behind it.
    fn lead(&mut self, words: u64) -> i64 {
        let most = words.cast_signed();
        let lead = match self.dice.between(1, 10) {
            1..=5 => 0,
            6 => most,
            7 | 8 => self.dice.between(1, words).cast_signed(),
            9 => -self.dice.between(1, words).cast_signed(),
            _ => -most,
        };
        if lead != 0 {
            self.fault("words away from their sound");
        }
        lead
    }

    /// A word's sound.
    fn sound(&mut self, response: &Arc<str>, item: &Arc<str>) {
        if self.fuse == Some(0) {
            return;
        }
        for _ in 0..WORD_MS / PIECE_MS {
            let value = self.truth.borrow_mut().piece(item);
            let bytes = Bytes::from(vec![value; PIECE_MS as usize * 8]);
            let (response, item) = (Arc::clone(response), Arc::clone(item));
            self.session.lanes.agent.push(AgentAudio { response, item, bytes });
        }
    }

    /// An answer ends in its words.
    async fn breaks_off(
        &mut self,
        how: u64,
        telling: &mut Telling,
        commands: &mut caly_actors::audio::lane::LaneReceiver<EngineCommand>,
    ) -> Option<ResponseOutcome> {
        match how {
            0 => {
                self.fault("an answer breaks off silent");
                self.wait(Duration::from_secs(60), commands).await.then_some(ResponseOutcome::Cancelled)
            }
            1 => {
                self.fault("engine drops its socket in its words");
                self.lose(EngineError::Connection("reset".into()));
                None
            }
            2 => {
                self.fault("session expired");
                self.lose(EngineError::Expired);
                None
            }
            3 => {
                self.fault("engine answers 429 in its words");
                Some(self.busy())
            }
            _ => {
                self.fault("an answer is cut by its limit in its words");
                telling.done(self);
                Some(ResponseOutcome::Incomplete)
            }
        }
    }
}

/// The words of an item, as far as they are told.
struct Telling {
    item: Arc<str>,
    response: Arc<str>,
    told: u64,
    words: u64,
    done: bool,
}

impl Telling {
    fn up_to(&mut self, n: u64, engine: &mut Engine) {
        while self.told < n.min(self.words) {
            let delta = format!("{}{}", if self.told == 0 { "" } else { " " }, word(&self.item, self.told)).into();
            self.told += 1;
            let (response, item) = (Arc::clone(&self.response), Arc::clone(&self.item));
            engine.say(EngineEvent::AgentWords { response, item, delta });
        }
        // All its words are told, whatever sound is still to come.
        if n > self.words && self.told == self.words {
            self.done(engine);
        }
    }

    /// All the words at once, when they are told.
    fn done(&mut self, engine: &mut Engine) {
        if std::mem::replace(&mut self.done, true) {
            return;
        }
        let words: Vec<String> = (0..self.told).map(|n| word(&self.item, n)).collect();
        engine.say(EngineEvent::AgentTranscript { item: Arc::clone(&self.item), text: words.join(" ").into() });
    }
}

/// The context becomes items, as the client made them.
fn replay(session: &Session, number: usize, truth: &Shared) {
    for (n, item) in session.spec.context.iter().enumerate() {
        let kind = match item {
            ContextItem::Caller(_) => ItemKind::Caller,
            ContextItem::Agent(_) => ItemKind::Agent,
            ContextItem::Tool { .. } => ItemKind::ToolCall(format!("replayed {n}").into()),
            ContextItem::Note(_) => ItemKind::Other,
        };
        let id: Arc<str> = format!("replayed {n}").into();
        truth.borrow_mut().hold(number, &id, item.bytes() as u64 / 4, false);
        session.say(EngineEvent::ItemAdded { item: id, kind, replayed: Some(n) });
    }
}
