//! The caller's ear: plays what it is sent in real time, forgets on `clear`, and answers marks late, twice or never.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use caly_actors::audio::g711;
use caly_actors::audio::lane::{LaneSender, lane};
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
            front.at += Duration::from_micros(heard as u64 * 125);
            let done = front.samples.is_empty();
            let mut truth = self.truth.borrow_mut();
            for run in samples.chunk_by(|a, b| a == b) {
                if let Some(value) = self.values.get(&run[0]) {
                    truth.ear(*value, run.len() as u64);
                }
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

    fn clear(&mut self, now: Instant) {
        self.hear(now);
        self.playing.clear();
        self.free_at = now;
        self.truth.borrow_mut().clears += 1;
    }
}

/// One socket of the carrier.
pub struct Socket {
    pub events: LaneSender<CarrierEvent>,
    pub accepted: bool,
}

/// Opens a socket; the ear is the caller's and outlives it.
pub async fn dial(world: &World, socket: u64, mut dice: Dice, truth: &Shared) -> Option<Socket> {
    let (events, events_out) = lane(512);
    let (commands, mut commands_out) = lane::<CarrierCommand>(512);
    let link = CarrierLink { socket, events: events_out, commands, kill: Arc::new(|| {}) };
    let answer = world.call.actor.send(AttachSocket(link)).await.ok()?;
    let back = events.clone();
    let ear = Ear { playing: VecDeque::new(), free_at: Instant::now(), truth: Rc::clone(truth), values: values() };
    let ear = Rc::new(RefCell::new(ear));
    let marks = dice.between(0, 3);
    actix::spawn(async move {
        while let Some(command) = commands_out.next().await {
            let now = Instant::now();
            match command {
                CarrierCommand::Audio(bytes) => ear.borrow_mut().take(&bytes, now),
                CarrierCommand::Clear => ear.borrow_mut().clear(now),
                CarrierCommand::Mark(name) => {
                    // 0: none ever; 1: all, late; 2: some lost, some twice; 3: as they should be.
                    let (lost, twice) =
                        (marks == 0 || (marks == 2 && dice.percent(30)), marks == 2 && dice.percent(20));
                    let late = if marks == 3 { Duration::ZERO } else { dice.ms(0, 300) };
                    let (at, back) = (ear.borrow().free_at.max(now) + late, back.clone());
                    let ear = Rc::clone(&ear);
                    actix::spawn(async move {
                        tokio::time::sleep_until(at).await;
                        ear.borrow_mut().hear(Instant::now());
                        for _ in 0..if lost { 0 } else { 1 + usize::from(twice) } {
                            back.push(CarrierEvent::Mark(Arc::clone(&name)));
                        }
                    });
                }
                CarrierCommand::Close(_) => {
                    back.push(CarrierEvent::Closed { protocol_error: false });
                    break;
                }
            }
        }
        let mut ear = ear.borrow_mut();
        ear.clear(Instant::now());
    });
    Some(Socket { events, accepted: matches!(answer, Attach::Accepted | Attach::Replaces(_)) })
}
