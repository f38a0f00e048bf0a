//! What goes wrong around a call from outside: the journal's database, the opening of sessions, panics at some event, and peers
//! that never stop talking.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use caly_actors::domain::Pcm;
use caly_actors::ports::*;

use super::Script;
use super::database::{Absence, Health, Keeper};
use super::dice::Dice;
use super::engine::LONG_AFTER;
use super::ledger::Shared;
use super::support::{FALLBACK, HANGS, OPENING, Session, World};

/// Why the next session does not open; `None`: nothing ever comes of it.
pub fn refusal(dice: &mut Dice, truth: &Shared) -> Option<EngineError> {
    let after = dice.percent(50).then(|| dice.ms(100, 5_000));
    let (fault, error) = match dice.between(0, 3) {
        0 | 1 => ("engine opens with 429", Some(EngineError::Busy { reason: "rate limit".into(), after })),
        2 => ("engine does not open", Some(EngineError::Connection("refused".into()))),
        _ => ("engine hangs", None),
    };
    truth.borrow_mut().fault(fault);
    error
}

/// Whether there is another engine, and whether the first is known to hang.
pub fn engines(dice: &mut Dice, truth: &Shared) {
    let (fallback, hangs) = (dice.percent(30), dice.percent(20));
    FALLBACK.set(fallback);
    HANGS.set(fallback && hangs);
    if fallback {
        truth.borrow_mut().fault(if hangs { "engine is known to hang" } else { "another engine is there" });
    }
}

/// What will go wrong by itself in this call.
pub fn plan(world: &World, keeper: &Arc<Keeper>, dice: &mut Dice, truth: &Shared, away: bool) {
    let panics = if dice.percent(30) { dice.between(1, 2) } else { 0 };
    {
        let mut truth = truth.borrow_mut();
        truth.panics = (0..panics).map(|_| (dice.between(1, 300), dice.between(0, 4))).collect();
        (truth.journal, truth.call) = (Some(Arc::clone(&world.journal)), Some(Arc::clone(&world.call)));
    }
    let absence = dice.percent(20).then(|| Absence::of(dice));
    if let Some(absence) = absence.filter(|_| away) {
        actix::spawn(stay_away(absence, Rc::clone(truth), Arc::clone(keeper)));
    }
}

async fn stay_away(absence: Absence, truth: Shared, keeper: Arc<Keeper>) {
    let over = || truth.borrow().call.as_ref().is_none_or(|call| call.end_reason().is_some());
    tokio::time::sleep(absence.from).await;
    if over() {
        return;
    }
    truth.borrow_mut().note(format!("{absence:?}"));
    truth.borrow_mut().fault(absence.name());
    keeper.becomes(absence.health);
    if let Some(until) = absence.until {
        tokio::time::sleep(until - absence.from).await;
        if over() {
            return;
        }
        truth.borrow_mut().note("the database is back".into());
        truth.borrow_mut().fault("database returns in the call");
        keeper.becomes(Health::Up);
    }
}

impl Script {
    /// The session drops, and now and then the next one does not open at once.
    pub(super) fn lose_engine(&mut self) {
        self.note("the engine is lost");
        let session = self.current.borrow_mut().take();
        if let Some((_, session)) = session {
            if self.dice.percent(40) {
                for _ in 0..self.dice.between(1, 3) {
                    let refused = refusal(&mut self.dice, &self.truth);
                    OPENING.with(|planned| planned.borrow_mut().push(refused));
                }
            }
            self.truth.borrow_mut().session_lost();
            self.truth.borrow_mut().happens();
            session.say(EngineEvent::Lost(EngineError::Connection("reset".into())));
        }
    }

    /// Somebody says far more than anybody should.
    pub(super) async fn flood(&mut self) {
        let Some((number, session)) = self.current.borrow().clone() else { return };
        let which = self.dice.between(0, 5);
        let floods = [
            "flood of sound",
            "flood of words",
            "flood of turns",
            "flood of tool calls",
            "flood of keys and marks",
            "flood on the line",
        ];
        self.note(floods[which as usize]);
        self.truth.borrow_mut().fault(floods[which as usize]);
        self.floods += 1;
        let id: Arc<str> = format!("flood{}", self.floods).into();
        match which {
            0 => flood_of_sound(&session, &id).await,
            1 => flood_of_words(&session, &id).await,
            2 => flood_of_turns(&session, &id).await,
            3 => self.flood_of_tool_calls(number, &session, &id).await,
            4 => self.flood_of_keys().await,
            _ => self.flood_on_the_line().await,
        }
    }

    async fn flood_of_tool_calls(&self, number: usize, session: &Session, id: &Arc<str>) {
        for n in 0..400 {
            let tool_call: Arc<str> = format!("{id}t{n}").into();
            {
                let mut truth = self.truth.borrow_mut();
                truth.asked.insert(Arc::clone(&tool_call));
                truth.hold(number, &format!("{tool_call}c").into(), 1, false);
            }
            let (response, arguments) = (Arc::clone(id), format!("{{\"id\":{n}}}").into());
            session.say(EngineEvent::ToolCalled { response, tool_call, name: "look".into(), arguments });
            breathe(n).await;
        }
    }

    async fn flood_of_keys(&self) {
        let Some(socket) = self.socket.as_ref().filter(|socket| !socket.dead.get()) else { return };
        for n in 0..2_000 {
            socket.events.push(CarrierEvent::Dtmf('5'));
            socket.events.push(CarrierEvent::Mark(format!("m{n}x").into()));
            breathe(n).await;
        }
    }

    /// Half an hour of sound at once.
    async fn flood_on_the_line(&self) {
        let Some(socket) = self.socket.as_ref().filter(|socket| !socket.dead.get()) else { return };
        for n in 0..18_000 {
            socket.events.push(CarrierEvent::Audio(Pcm { rate: 8000, bytes: Bytes::from(vec![0; 1_600]) }));
            breathe(n).await;
        }
    }
}

/// Lets others go on now and then, so that what is sent is read rather than dropped on the way.
async fn breathe(n: usize) {
    if n % 100 == 99 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Twenty minutes of it, four times of what is kept.
async fn flood_of_sound(session: &Session, id: &Arc<str>) {
    for n in 0..12_000 {
        // No piece of an answer has this value.
        let bytes = Bytes::from(vec![255; 800]);
        session.lanes.agent.push(AgentAudio { response: Arc::clone(id), item: Arc::clone(id), bytes });
        breathe(n).await;
    }
}

/// Eight megabytes of one sentence.
async fn flood_of_words(session: &Session, id: &Arc<str>) {
    let delta: Arc<str> = "w".repeat(1_024).into();
    for n in 0..8_192 {
        let (response, item, delta) = (Arc::clone(id), Arc::clone(id), Arc::clone(&delta));
        session.say(EngineEvent::AgentWords { response, item, delta });
        breathe(n).await;
    }
}

/// The caller begins to speak again and again.
async fn flood_of_turns(session: &Session, id: &Arc<str>) {
    for n in 0..2_000 {
        let item: Arc<str> = format!("{id}u{n}").into();
        session.say(EngineEvent::SpeechStarted { item: Arc::clone(&item), at_ms: LONG_AFTER });
        session.say(EngineEvent::SpeechStopped { item: Arc::clone(&item), at_ms: 0, behind: Duration::ZERO });
        breathe(n).await;
    }
}
