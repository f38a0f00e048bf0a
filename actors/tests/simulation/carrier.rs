//! The caller's ear: plays what it is sent in real time, forgets on `clear`, and answers marks late, twice or never.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use caly_actors::audio::g711;
use caly_actors::audio::lane::{LaneReceiver, LaneSender, lane};
use caly_actors::call::actor::AttachSocket;
use caly_actors::call::state::Attach;
use caly_actors::ports::*;
use futures_util::StreamExt as _;
use tokio::time::Instant;

use super::dice::Dice;
use super::ledger::Shared;
use super::support::World;

/// What may be with the carrier and not be heard yet, and what one message more may add before its mark is back.
const AHEAD_MAX: Duration = Duration::from_millis(410);

/// Value of each linear sample that A-law can give; the way back from the ear to the piece.
fn values() -> std::collections::BTreeMap<i16, u8> {
    let all: Vec<u8> = (0..=u8::MAX).collect();
    let mut linear = Vec::new();
    g711::a_law_decode(&all, &mut linear);
    linear.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).zip(all).collect()
}

/// Sound with the carrier: when it begins to be heard, and its samples.
struct Playing {
    at: Instant,
    samples: Vec<i16>,
}

struct Ear {
    playing: VecDeque<Playing>,
    free_at: Instant,
    /// It hears nothing any more, and nobody will be told.
    unnoticed: bool,
    truth: Shared,
    values: std::collections::BTreeMap<i16, u8>,
}

impl Ear {
    /// Moves what was heard by now to the truth.
    fn hear(&mut self, now: Instant) {
        while let Some(front) = self.playing.front_mut() {
            let ready = (now.saturating_duration_since(front.at).as_micros() * 8 / 1000) as usize;
            let heard = ready.min(front.samples.len());
            let rest = front.samples.split_off(heard);
            let samples = std::mem::replace(&mut front.samples, rest);
            let mut at = front.at;
            front.at += Duration::from_micros(heard as u64 * 125);
            let done = front.samples.is_empty();
            let mut truth = self.truth.borrow_mut();
            for run in samples.chunk_by(|a, b| a == b) {
                if let Some(value) = self.values.get(&run[0]) {
                    truth.ear(*value, run.len() as u64, at);
                }
                at += Duration::from_micros(run.len() as u64 * 125);
            }
            drop(truth);
            if !done {
                return;
            }
            self.playing.pop_front();
        }
    }

    fn take(&mut self, bytes: &[u8], now: Instant) {
        self.hear(now);
        let samples: Vec<i16> = bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
        let at = self.free_at.max(now);
        self.free_at = at + Duration::from_micros(samples.len() as u64 * 125);
        let ahead = self.free_at.saturating_duration_since(now);
        if ahead > AHEAD_MAX {
            self.truth.borrow_mut().violated(format!("{ahead:?} of sound are with the carrier"));
        }
        self.playing.push_back(Playing { at, samples });
    }

    /// Sound that nobody hears, though its sender cannot know.
    fn sink(&mut self, bytes: &[u8]) {
        if !self.unnoticed {
            return;
        }
        let samples: Vec<i16> = bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
        self.sink_samples(&samples);
    }

    fn sink_samples(&mut self, samples: &[i16]) {
        for run in samples.chunk_by(|a, b| a == b) {
            if let Some(value) = self.values.get(&run[0]) {
                self.truth.borrow_mut().sunk(*value, run.len() as u64);
            }
        }
    }

    /// What it holds is not heard any more.
    fn die(&mut self, now: Instant, unnoticed: bool) {
        self.hear(now);
        self.unnoticed = unnoticed;
        for Playing { samples, .. } in std::mem::take(&mut self.playing).into_iter().filter(|_| unnoticed) {
            self.sink_samples(&samples);
        }
    }

    fn clear(&mut self, now: Instant) {
        self.hear(now);
        self.playing.clear();
        self.free_at = now;
        self.truth.borrow_mut().clears += 1;
    }
}

/// How a socket treats marks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Marks {
    Never,
    Late,
    /// Some are lost, some come twice, all are late.
    Unsure,
    /// As they should be.
    Prompt,
    /// By seconds, in any order.
    VeryLate,
    /// Some by seconds, some never.
    Any,
}

/// What becomes of marks that wait when the carrier is told to forget what it holds: nobody has written that down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cleared {
    Forgotten,
    /// All of them come back.
    AtOnce,
    /// … as if their sound had been heard.
    InTheirTime,
}

/// A mark on its way: whether it comes, how often and how late.
struct Fate {
    times: usize,
    late: Duration,
}

impl Marks {
    fn of(dice: &mut Dice) -> Self {
        [Self::Never, Self::Late, Self::Unsure, Self::Prompt, Self::VeryLate, Self::Any][dice.between(0, 5) as usize]
    }

    fn fate(self, dice: &mut Dice, truth: &Shared) -> Fate {
        let (lost, twice, seconds) = match self {
            Self::Never => (true, false, false),
            Self::Late | Self::Prompt => (false, false, false),
            Self::Unsure => (dice.percent(30), dice.percent(20), false),
            Self::VeryLate => (false, false, true),
            Self::Any => (dice.percent(15), dice.percent(10), dice.percent(25)),
        };
        let late = match (self, seconds) {
            (Self::Prompt, _) => Duration::ZERO,
            (_, true) => dice.ms(300, 6_000),
            (_, false) => dice.ms(0, 300),
        };
        let mut truth = truth.borrow_mut();
        let whether = [
            (self == Self::Never, "marks never come"),
            (lost && self != Self::Never, "marks get lost"),
            (twice && !lost, "marks come twice"),
            (!lost && late > Duration::from_millis(300), "marks are late by seconds"),
            (!lost && !late.is_zero(), "marks are late"),
        ];
        whether.iter().filter(|(is, _)| *is).for_each(|(_, fault)| truth.fault(fault));
        Fate { times: if lost { 0 } else { 1 + usize::from(twice) }, late }
    }
}

/// One socket of the carrier.
pub struct Socket {
    pub events: LaneSender<CarrierEvent>,
    pub accepted: bool,
    /// Nothing goes through it any more, whoever knows.
    pub dead: Rc<Cell<bool>>,
}

/// The carrier's end of a socket.
struct Peer {
    ear: Rc<RefCell<Ear>>,
    back: LaneSender<CarrierEvent>,
    dead: Rc<Cell<bool>>,
    marks: Marks,
    cleared: Cleared,
    /// Marks that wait for their sound to be heard.
    waiting: Rc<RefCell<Vec<Arc<str>>>>,
    truth: Shared,
}

impl Peer {
    fn mark(&self, name: Arc<str>, dice: &mut Dice) {
        let fate = self.marks.fate(dice, &self.truth);
        let at = self.ear.borrow().free_at.max(Instant::now()) + fate.late;
        self.waiting.borrow_mut().push(Arc::clone(&name));
        let (ear, back, waiting) = (Rc::clone(&self.ear), self.back.clone(), Rc::clone(&self.waiting));
        let (dead, truth, cleared) = (Rc::clone(&self.dead), Rc::clone(&self.truth), self.cleared);
        let clears = truth.borrow().clears;
        actix::spawn(async move {
            tokio::time::sleep_until(at).await;
            ear.borrow_mut().hear(Instant::now());
            let waited = waiting.borrow().contains(&name);
            waiting.borrow_mut().retain(|other| *other != name);
            if dead.get() || !(waited || cleared == Cleared::InTheirTime) {
                return;
            }
            if fate.times > 0 && truth.borrow().clears > clears {
                truth.borrow_mut().fault("marks of cleared sound come");
            }
            for _ in 0..fate.times {
                truth.borrow_mut().happens();
                back.push(CarrierEvent::Mark(Arc::clone(&name)));
            }
        });
    }

    fn clear(&self) {
        self.ear.borrow_mut().clear(Instant::now());
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        if self.cleared == Cleared::AtOnce && self.marks != Marks::Never {
            for name in waiting {
                self.truth.borrow_mut().fault("marks of cleared sound come");
                self.back.push(CarrierEvent::Mark(name));
            }
        }
    }

    /// Plays what it is sent until it is closed; a dead one takes it and nobody hears it.
    async fn serve(self, mut commands: LaneReceiver<CarrierCommand>, mut dice: Dice) {
        while let Some(command) = commands.next().await {
            match command {
                CarrierCommand::Close(_) => {
                    if !self.dead.get() {
                        self.back.push(CarrierEvent::Closed { protocol_error: false });
                    }
                    break;
                }
                CarrierCommand::Audio(bytes) if self.dead.get() => self.ear.borrow_mut().sink(&bytes),
                _ if self.dead.get() => {}
                CarrierCommand::Audio(bytes) => self.ear.borrow_mut().take(&bytes, Instant::now()),
                CarrierCommand::Clear => self.clear(),
                CarrierCommand::Mark(name) => self.mark(name, &mut dice),
            }
        }
        self.ear.borrow_mut().clear(Instant::now());
    }

    /// Some sockets die in the middle of whatever they carry; the word of it comes later, or never.
    fn may_die(&self, dice: &mut Dice) {
        let (dies, after, word) = (dice.percent(10), dice.ms(500, 25_000), dice.ms(0, 150));
        let unnoticed = dice.percent(40);
        if !dies {
            return;
        }
        let (ear, back, dead) = (Rc::clone(&self.ear), self.back.clone(), Rc::clone(&self.dead));
        let truth = Rc::clone(&self.truth);
        actix::spawn(async move {
            tokio::time::sleep(after).await;
            if back.is_closed() {
                return;
            }
            dead.set(true);
            ear.borrow_mut().die(Instant::now(), unnoticed);
            truth.borrow_mut().note(format!("the socket dies, unnoticed: {unnoticed}"));
            truth.borrow_mut().fault(if unnoticed { "socket dies unnoticed" } else { "socket drops" });
            if !unnoticed {
                tokio::time::sleep(word).await;
                truth.borrow_mut().happens();
                back.push(CarrierEvent::Closed { protocol_error: false });
            }
        });
    }
}

/// Opens a socket; the ear is the caller's and outlives it.
pub async fn dial(world: &World, socket: u64, mut dice: Dice, truth: &Shared) -> Option<Socket> {
    let (events, events_out) = lane(512);
    let (commands, commands_out) = lane::<CarrierCommand>(512);
    let link = CarrierLink { socket, events: events_out, commands, kill: Arc::new(|| {}) };
    let answer = world.call.actor.send(AttachSocket(link)).await.ok()?;
    let (playing, free_at, truth_of_ear) = (VecDeque::new(), Instant::now(), Rc::clone(truth));
    let ear = Ear { playing, free_at, unnoticed: false, truth: truth_of_ear, values: values() };
    let dead = Rc::new(Cell::new(false));
    let peer = Peer {
        ear: Rc::new(RefCell::new(ear)),
        back: events.clone(),
        dead: Rc::clone(&dead),
        marks: Marks::of(&mut dice),
        cleared: [Cleared::Forgotten, Cleared::AtOnce, Cleared::InTheirTime][dice.between(0, 2) as usize],
        waiting: Rc::default(),
        truth: Rc::clone(truth),
    };
    truth.borrow_mut().note(format!("marks: {:?}, cleared: {:?}", peer.marks, peer.cleared));
    let accepted = matches!(answer, Attach::Accepted | Attach::Replaces(_));
    if accepted {
        peer.may_die(&mut dice);
    }
    actix::spawn(peer.serve(commands_out, dice));
    Some(Socket { events, accepted, dead })
}
