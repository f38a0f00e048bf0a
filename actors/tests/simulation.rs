//! Whole calls by chance: carrier, engine, actions and journal in memory, a virtual clock, faults at any moment, and after each
//! call the questions that matter. Everything follows from the seed.
//!
//! `CALY_SEED=17 cargo test -p caly-actors --features planned-panics --test simulation -- --nocapture` shows one call;
//! `CALY_SEEDS=100000` tries more (`make soak`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a failing seed is shown")]
#![allow(dead_code, reason = "this file needs only a part of the shared world")]

#[path = "simulation/agent.rs"]
mod agent;
#[path = "simulation/carrier.rs"]
mod carrier;
#[path = "simulation/census.rs"]
mod census;
#[path = "simulation/database.rs"]
mod database;
#[path = "simulation/dice.rs"]
mod dice;
#[path = "simulation/engine.rs"]
mod engine;
#[path = "simulation/faults.rs"]
mod faults;
#[path = "simulation/judging.rs"]
mod judging;
#[path = "simulation/ledger.rs"]
mod ledger;
#[path = "simulation/memory.rs"]
mod memory;
mod support;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use agent::{WISHES, WORDS, actions, agent_of};
use bytes::Bytes;
use caly_actors::call::actor::Children;
use caly_actors::call::event::CallEvent;
use caly_actors::domain::*;
use caly_actors::ports::*;
use database::Keeper;
use dice::Dice;
use engine::{Current, Engine, LONG_AFTER};
use judging::{CONFIRMED, HELLOS, RENEWED, SHORTENED, STEERED};
use ledger::{Shared, Truth};
use support::*;

const SECOND: Duration = Duration::from_secs(1);
/// Calls of one test run.
const SEEDS: u64 = 2_000;
/// A call lasts at most so long, and its end at most so much longer.
const CALL_MAX: Duration = Duration::from_secs(90);
const OVERRUN: Duration = Duration::from_secs(5);
/// How far what is stored may be from what was heard.
const HEARD_SLACK_MS: u64 = 200;

/// A call in progress, as the script of chance drives it.
struct Script {
    world: World,
    dice: Dice,
    truth: Shared,
    current: Current,
    socket: Option<carrier::Socket>,
    keeper: Arc<Keeper>,
    sockets: u64,
    turns: u64,
    floods: u64,
    /// Whether each child of the call is there, asked without keeping it.
    children: Vec<Box<dyn Fn() -> bool>>,
    /// How long the call lasted.
    ended: std::cell::Cell<Option<Duration>>,
}

impl Script {
    /// `away`: the database may be.
    async fn start(seed: u64, away: bool) -> Self {
        let mut dice = Dice::new(seed);
        let agent = agent_of(&mut dice);
        KEEPING.set(Some(database::keep));
        let stored = dice.percent(50).then(|| Pcm { rate: 8000, bytes: Bytes::from(vec![3u8; 24_000]) });
        GREETING.with(|greeting| greeting.replace(stored));
        WINDOW.with(|window| window.set([3_000, 5_000, WINDOW_LEAST][dice.between(0, 2) as usize]));
        let truth: Shared = Rc::new(RefCell::new(Truth::default()));
        let refused = dice.percent(20).then(|| faults::refusal(&mut dice, &truth));
        OPENING.with(|planned| planned.replace(refused.into_iter().collect()));
        faults::engines(&mut dice, &truth);
        let world = World::with(agent, actions(), vec![]).await;
        truth.borrow_mut().epoch = Some(world.epoch);
        let keeper = Keeper::latest();
        faults::plan(&world, &keeper, &mut dice, &truth, away);
        let current = Current::default();
        actix::spawn(engines(dice.split(), Rc::clone(&truth), Rc::clone(&current)));
        Self {
            world,
            dice,
            truth,
            current,
            keeper,
            socket: None,
            sockets: 0,
            turns: 0,
            floods: 0,
            children: Vec::new(),
            ended: Default::default(),
        }
    }

    fn note(&self, what: impl Into<String>) {
        self.truth.borrow_mut().note(what.into());
    }

    async fn dial(&mut self) {
        self.sockets += 1;
        let dice = self.dice.split();
        let Some(socket) = carrier::dial(&self.world, self.sockets, dice, &self.truth).await else { return };
        self.note(format!("socket {} is {}", self.sockets, if socket.accepted { "taken" } else { "refused" }));
        if socket.accepted {
            socket.events.push(CarrierEvent::Started { stream: "s".into(), rate: 8000 });
            let (events, quiet) = (socket.events.clone(), self.dice.percent(3));
            let dead = Rc::clone(&socket.dead);
            if !quiet {
                actix::spawn(async move {
                    while !events.is_closed() && !dead.get() {
                        events.push(CarrierEvent::Audio(Pcm { rate: 8000, bytes: Bytes::from_static(&[0; 320]) }));
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                });
            }
            self.socket = Some(socket);
        }
    }

    /// The caller speaks; what is made of it may come late, in another order, or never.
    fn speak(&mut self) {
        let Some((number, session)) = self.current.borrow().clone() else { return };
        if self.socket.as_ref().is_some_and(|socket| socket.dead.get()) {
            return;
        }
        self.turns += 1;
        let item: Arc<str> = format!("u{}", self.turns).into();
        let long = self.dice.percent(60);
        let (length, late) =
            (if long { self.dice.ms(700, 2_500) } else { self.dice.ms(80, 600) }, self.dice.ms(50, 1_500));
        let words = if self.dice.percent(8) { WISHES } else { WORDS }[self.dice.between(0, 5) as usize];
        // Who is asked mostly answers; else hardly anything would ever be agreed to.
        let answers = self.dice.percent(60) && self.truth.borrow().proposing;
        let words = if answers { "haan" } else { words };
        let (lost, failed) = (self.dice.percent(10), self.dice.percent(5));
        let (truth, began) = (Rc::clone(&self.truth), tokio::time::Instant::now());
        self.note(format!("{item} speaks for {length:?}: {words:?} after {late:?}"));
        truth.borrow_mut().unwritten.push((Arc::clone(&item), began, words));
        self.sound();
        let current = Rc::clone(&self.current);
        let lives = move || current.borrow().as_ref().is_some_and(|(now, _)| *now == number);
        let far = self.dice.ms(0, 300);
        actix::spawn(async move {
            tokio::time::sleep(far).await;
            truth.borrow_mut().happens();
            session.say(EngineEvent::SpeechStarted { item: Arc::clone(&item), at_ms: LONG_AFTER });
            tokio::time::sleep(length).await;
            truth.borrow_mut().happens();
            session.say(EngineEvent::SpeechStopped { item: Arc::clone(&item), at_ms: 0, behind: Duration::ZERO });
            truth.borrow_mut().happens();
            session.say(EngineEvent::TurnCommitted { item: Arc::clone(&item) });
            let committed = tokio::time::Instant::now();
            truth.borrow_mut().hold(number, &item, 300, false);
            if !lost && !failed {
                truth.borrow_mut().to_write.push(Arc::clone(&item));
            }
            session.say(EngineEvent::ItemAdded { item: Arc::clone(&item), kind: ItemKind::Caller, replayed: None });
            tokio::time::sleep(late).await;
            let written = |truth: &mut ledger::Truth| truth.unwritten.retain(|(other, ..)| *other != item);
            if failed || lost {
                truth.borrow_mut().fault("transcript is lost");
            } else if !truth.borrow_mut().written_in_order(&item) {
                truth.borrow_mut().fault("transcripts out of order");
            }
            truth.borrow_mut().happens();
            // A session that is gone writes nothing down any more.
            if !lives() {
                return;
            }
            if failed {
                written(&mut truth.borrow_mut());
                session.say(EngineEvent::CallerTranscriptFailed { item });
            } else if !lost {
                written(&mut truth.borrow_mut());
                truth.borrow_mut().said.push((began, tokio::time::Instant::now(), words));
                let known = tokio::time::Instant::now();
                truth.borrow_mut().questions.push(ledger::Question { began, committed, known, words });
                session.say(EngineEvent::CallerTranscript { item, text: words.into() });
            }
        });
    }

    /// Something is loud on the line.
    fn sound(&self) {
        let loud: Vec<u8> = (0..800).flat_map(|n| if n % 8 < 4 { 6_000i16 } else { -6_000 }.to_le_bytes()).collect();
        self.push(CarrierEvent::Audio(Pcm { rate: 8000, bytes: loud.into() }));
    }

    fn panic_somewhere(&mut self) {
        let which = self.dice.between(0, 4);
        self.note(format!("child {which} panics"));
        let names = ["media panics", "realtime panics", "intent panics", "actions panic", "call panics"];
        if ledger::panic_in(&self.world.call, which) {
            self.truth.borrow_mut().fault(names[which as usize]);
        }
    }

    async fn step(&mut self) {
        let pause = self.dice.ms(20, 4_000);
        tokio::time::sleep(pause).await;
        let dead = self.socket.as_ref().is_some_and(|socket| socket.dead.get());
        if dead && self.dice.percent(50) {
            self.dial().await;
        }
        match self.dice.between(1, 100) {
            1..=60 => self.speak(),
            61..=70 => {
                let key = ['1', '5', '#', '*'][self.dice.between(0, 3) as usize];
                self.push(CarrierEvent::Dtmf(key));
            }
            71..=82 => self.panic_somewhere(),
            83..=88 => self.lose_engine(),
            89..=91 => self.dial().await,
            92 => self.push(CarrierEvent::Dtmf('0')),
            93 => {
                self.truth.borrow_mut().fault("late news of an engine");
                self.world.tell(CallEvent::EngineOpenFailed(EngineError::Stalled("late news")));
            }
            94..=96 => self.sound(),
            97 | 98 => self.flood().await,
            _ => {}
        }
    }

    fn push(&self, event: CarrierEvent) {
        match &event {
            CarrierEvent::Audio(_) => self.note("a sound on the line"),
            other => self.note(format!("the carrier says {other:?}")),
        }
        let mut truth = self.truth.borrow_mut();
        if matches!(event, CarrierEvent::Closed { .. } | CarrierEvent::Stopped { .. }) {
            truth.hung_up.get_or_insert_with(tokio::time::Instant::now);
        }
        truth.happens();
        drop(truth);
        if let Some(socket) = self.socket.as_ref().filter(|socket| !socket.dead.get()) {
            socket.events.push(event);
        }
    }

    /// One of the ways in which calls end, or none: then a limit must do it.
    fn end(&mut self) {
        let how = self.dice.between(0, 5);
        if matches!(how, 1 | 2 | 5) {
            self.truth.borrow_mut().fault("no stop");
        }
        match how {
            0 => self.push(CarrierEvent::Stopped { call_ended: true }),
            1 => self.push(CarrierEvent::Closed { protocol_error: false }),
            2 => self.push(CarrierEvent::Closed { protocol_error: true }),
            3 => self.world.tell(CallEvent::HangUpOrdered),
            4 => self.world.tell(CallEvent::CarrierEnded),
            _ => self.note("nobody ends the call"),
        }
    }

    async fn play(mut self) -> Self {
        let ring = self.dice.ms(50, 3_000);
        tokio::time::sleep(ring).await;
        self.dial().await;
        self.children = self.world.call.children().map(there).unwrap_or_default();
        for _ in 0..self.dice.between(2, 14) {
            if self.world.call.end_reason().is_some() {
                return self;
            }
            self.step().await;
        }
        self.end();
        self
    }

    /// The call is over within its limits and everything of it is gone five seconds later.
    async fn wait(&self) -> Result<(), String> {
        let limit = CALL_MAX + OVERRUN;
        while self.world.call.end_reason().is_none() {
            if self.world.now() > limit {
                return Err(format!("the call goes on after {:?}", self.world.now()));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let ended = self.world.now();
        self.ended.set(Some(ended));
        while self.world.calls.slots_taken() > 0 {
            if self.world.now() > ended + OVERRUN {
                return Err("a slot is taken five seconds after the end".into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        while self.children.iter().any(|is_there| is_there()) {
            if self.world.now() > ended + OVERRUN {
                return Err("a child is there five seconds after the end".into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

/// Tells of each of a call's children whether it is there.
fn there(children: Children) -> Vec<Box<dyn Fn() -> bool>> {
    let Children { media, realtime, intent, actions } = children;
    let (media, realtime) = (media.downgrade(), realtime.downgrade());
    let (intent, actions) = (intent.downgrade(), actions.downgrade());
    vec![
        Box::new(move || media.upgrade().is_some_and(|child| child.connected())),
        Box::new(move || realtime.upgrade().is_some_and(|child| child.connected())),
        Box::new(move || intent.upgrade().is_some_and(|child| child.connected())),
        Box::new(move || actions.upgrade().is_some_and(|child| child.connected())),
    ]
}

/// Serves every session that is opened.
async fn engines(mut dice: Dice, truth: Shared, current: Current) {
    let mut served = 0;
    loop {
        if let Some(session) = opened(served) {
            served += 1;
            truth.borrow_mut().note(format!("session {served} is opened"));
            let serving = Engine::serve(session, served, dice.split(), Rc::clone(&truth), Rc::clone(&current));
            actix::spawn(serving);
        }
        memory::look();
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// What came of a call.
struct Played {
    violations: Vec<String>,
    log: Vec<String>,
    /// What it told before anything of it could depend on the database, in words that another call with its seed would have.
    told: Vec<judging::Told>,
    /// The database was away.
    away: bool,
}

/// Plays one call; `away`: the database may be.
fn play(seed: u64, away: bool) -> Played {
    memory::begin();
    let played = actix::System::new().block_on(async move {
        let script = Script::start(seed, away).await.play().await;
        let mut violations = script.judge_after().await;
        violations.truncate(5);
        let mut truth = script.truth.borrow_mut();
        for entry in script.world.entries() {
            truth.log.push(format!("on record: {entry:?}"));
        }
        let told = script.world.entries().iter().take(script.keeper.told_freely()).map(judging::told).collect();
        if away {
            census::count(&truth.faults);
        }
        let away = truth.faults.iter().any(|fault| fault.contains("database"));
        Played { violations, log: std::mem::take(&mut truth.log), told, away }
    });
    OPENED.with(|sessions| sessions.take());
    GREETING.with(RefCell::take);
    played
}

/// Plays one call, and if the database was away once more with it there: until something had to be on record first, nobody on
/// the line can tell them apart.
fn call(seed: u64) -> (Vec<String>, Vec<String>) {
    let mut first = play(seed, true);
    if first.away {
        let second = play(seed, false);
        let same = first.told.iter().zip(&second.told).take_while(|(one, other)| one.is_like(other)).count();
        let (one, other) = (first.told.get(same), second.told.get(same));
        // Which of the two had to wait for the record first tells where they may part.
        if one.is_some() && other.is_some() {
            first.violations.push(format!("with the database away {one:?}, else {other:?}"));
        }
    }
    (first.violations, first.log)
}

/// Calls so far, and what they left behind in memory since the first of them.
#[derive(Default)]
struct Left {
    calls: u64,
    warm: i64,
}

impl Left {
    fn one_more(&mut self) {
        self.calls += 1;
        if self.calls == memory::WARM {
            self.warm = memory::live();
        }
    }

    /// Bytes a call.
    fn per_call(&self) -> f64 {
        let counted = self.calls.saturating_sub(memory::WARM);
        if counted == 0 { 0.0 } else { (memory::live() - self.warm) as f64 / counted as f64 }
    }
}

#[test]
fn whatever_happens_a_call_ends_once_says_nothing_twice_and_stores_what_was_heard() {
    // Planned panics are many, and each would print where it was planned.
    std::panic::set_hook(Box::new(|_| {}));
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (first, count) = match number("CALY_SEED") {
        Some(seed) => (seed, 1),
        None => (number("CALY_FIRST").unwrap_or(0), number("CALY_SEEDS").unwrap_or(SEEDS)),
    };
    let mut bad = Vec::new();
    let mut left = Left::default();
    for seed in first..first + count {
        let (violations, log) = call(seed);
        if count == 1 {
            log.iter().for_each(|line| eprintln!("{line}"));
        }
        if !violations.is_empty() {
            violations.iter().for_each(|violation| eprintln!("seed {seed}: {violation}"));
            bad.push(seed);
        }
        if bad.len() >= 8 {
            break;
        }
        drop((violations, log));
        left.one_more();
    }
    let _ = std::panic::take_hook();
    let of = |counter: &'static std::thread::LocalKey<std::cell::Cell<u64>>| counter.with(std::cell::Cell::get);
    let (confirmed, steered, shortened, renewed) = (of(&CONFIRMED), of(&STEERED), of(&SHORTENED), of(&RENEWED));
    let (told, rare) = census::of(count);
    eprintln!("calls with each fault:\n{told}");
    eprintln!("{confirmed} agreed to, {steered} steered, {shortened} shortened, {renewed} renewed");
    eprintln!("{:.2} bytes left by a call; most that one held: {:?} kB", left.per_call(), judging::most_held());
    assert!(
        bad.is_empty(),
        "seeds {bad:?}; to see one: CALY_SEED={} cargo test -p caly-actors --features planned-panics --test simulation -- --nocapture",
        bad[0]
    );
    if count < SEEDS {
        return;
    }
    assert!(shortened > count / 20, "older turns made way {shortened} times: nothing was shown");
    assert!(steered > count / 50, "only {steered} calls were steered: nothing was shown");
    assert!(of(&HELLOS) > count / 20, "only {} hellos were waited for: nothing was shown", of(&HELLOS));
    assert!(renewed > count / 10, "only {renewed} sessions were renewed: nothing was shown");
    assert!(confirmed > count / 100, "only {confirmed} actions were agreed to: nothing was shown");
    assert!(rare.is_empty(), "hardly a call had one of these: {rare:?}");
    assert!(left.per_call() <= memory::LEFT_MAX, "each call leaves {:.2} bytes behind", left.per_call());
}
