//! An engine that falls silent without an error, is away for a moment, or hangs: what the caller hears, and what is heard of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "this file needs only a part of the shared world")]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::Arbiter;
use caly_actors::domain::*;
use caly_actors::ports::*;
use caly_actors::supervisor::{AdmissionLimits, Calls};
use futures_util::future::LocalBoxFuture;
use support::*;
use tokio::time::Instant;

const MS: fn(u64) -> Duration = Duration::from_millis;
const SECOND: Duration = Duration::from_secs(1);

/// What becomes of the next session asked for.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Next {
    Refused,
    Hangs,
    /// It takes two seconds.
    Slow,
}

/// An engine that opens sessions as planned, and then as the others do; and whether it is known to hang.
#[derive(Default)]
struct Planned(Mutex<Vec<Next>>, AtomicBool);

impl Planned {
    fn plan(&self, next: &[Next]) {
        self.0.lock().expect("not poisoned").extend(next);
    }
}

impl Engine for Planned {
    fn is_worth_asking(&self) -> bool {
        !self.1.load(Ordering::Relaxed)
    }

    fn open(
        &self,
        spec: EngineSpec,
        lanes: EngineLanes,
    ) -> LocalBoxFuture<'static, Result<EngineSession, EngineError>> {
        let mut planned = self.0.lock().expect("not poisoned");
        match (!planned.is_empty()).then(|| planned.remove(0)) {
            Some(Next::Refused) => Box::pin(async { Err(EngineError::Connection("refused".into())) }),
            Some(Next::Hangs) => Box::pin(std::future::pending()),
            Some(Next::Slow) => Box::pin(async {
                tokio::time::sleep(SECOND * 2).await;
                ScriptedEngine { failures: Arc::default() }.open(spec, lanes).await
            }),
            None => ScriptedEngine { failures: Arc::default() }.open(spec, lanes),
        }
    }
}

/// A call with this engine, and this one beside it.
fn world(engine: &Arc<Planned>, fallback: Option<&Arc<Planned>>) -> World {
    tokio::time::pause();
    let (journal, actions) = (Arc::new(MemoryJournal::default()), Arc::new(TestActions::default()));
    let ports = Ports {
        fallback_engine: fallback.map(|other| Arc::clone(other) as Arc<dyn Engine>),
        engine: Arc::clone(engine) as Arc<dyn Engine>,
        greetings: Arc::new(TestGreetings),
        actions: Arc::clone(&actions) as Arc<dyn ActionRunner>,
        customers: Arc::new(TestCustomers),
        journal: Arc::clone(&journal) as Arc<dyn Journal>,
        phrases: Arc::new(TonePhrases),
        recordings: Arc::new(NoRecordings),
    };
    let calls = Calls::new(ports, EngineAudio::ALaw, AdmissionLimits { process: 100, client: 100 });
    calls.add_thread(Arbiter::current());
    let call = calls.admit(facts(agent(), "sid1"), None).expect("admitted").call;
    World { calls, call, journal, actions, epoch: Instant::now() }
}

/// A call whose greeting was heard, on a line that carries what a test puts there.
async fn greeted(engine: &Arc<Planned>) -> (World, Session, Line) {
    let world = world(engine, None);
    let session = world.session(0).await;
    let (_, line) = world.dial(1).await;
    line.events.push(CarrierEvent::Started { stream: "s1".into(), rate: 8000 });
    let (wish, _) = session.asked().await;
    session.answer("r0", "a0", "Namaste", 500, Some(wish));
    while world.turns().is_empty() {
        frames(&session, &line, 100, 0).await;
    }
    frames(&session, &line, 1_000, 0).await;
    (world, session, line)
}

/// The caller's side, so loud, frame by frame; the session takes them.
async fn frames(session: &Session, line: &Line, ms: u64, level: i16) {
    for _ in 0..ms / 20 {
        let frame: Vec<u8> = (0..160).flat_map(|n| if n % 8 < 4 { level } else { -level }.to_le_bytes()).collect();
        line.events.push(CarrierEvent::Audio(Pcm { rate: 8000, bytes: frame.into() }));
        tokio::time::sleep(MS(20)).await;
        // The lane is every session's: the next finds in it what it is to hear.
        while opened(1).is_none() && session.lanes.caller.try_next().is_some() {}
    }
}

fn said(world: &World) -> Vec<(String, Duration)> {
    let agent = |turn: &&Turn| turn.speaker == Speaker::Agent && &*turn.text != "Namaste";
    world.turns().iter().filter(agent).map(|turn| (turn.text.to_string(), turn.started)).collect()
}

#[actix::test]
async fn a_question_to_a_frozen_session_is_heard_and_answered_by_the_next() {
    let (world, session, line) = greeted(&Arc::default()).await;
    let began = world.now();
    frames(&session, &line, 1_200, 6_000).await;
    let quiet = world.now();
    frames(&session, &line, 1_300, 0).await;
    let second = world.session(1).await;
    wait_for(|| (world.events("engine_renewed") == 1).then_some(())).await;
    let unread = second.lanes.caller.depth() as u64 * 20;
    let spoken = (world.now() - began).as_millis() as u64;
    assert!(unread >= spoken, "{unread} ms of {spoken} ms are heard again");
    assert!(world.now() < quiet + SECOND * 3 / 2, "replaced after {:?}", world.now() - quiet);
    second.caller_turn("u1", "kitne baje khulta hai");
    let (wish, _) = second.asked().await;
    second.answer("r1", "a1", "Nine to nine.", 500, Some(wish));
    frames(&second, &line, 3_000, 0).await;
    let said = said(&world);
    assert_eq!(said.iter().map(|(words, _)| words.as_str()).collect::<Vec<_>>(), ["bridge", "Nine to nine."]);
    assert!(said[0].1 < quiet + SECOND * 3 / 2, "{said:?} from {quiet:?}");
    assert_eq!((world.events("engine_lost"), world.events("caller_heard_again")), (0, 1));
    assert!(world.turns().iter().any(|turn| &*turn.text == "kitne baje khulta hai" && turn.started < began + MS(100)));
}

#[actix::test]
async fn a_first_syllable_that_a_lost_session_had_not_noticed_is_heard_by_the_next() {
    let engine = Arc::new(Planned::default());
    let (world, session, line) = greeted(&engine).await;
    frames(&session, &line, 1_000, 0).await;
    session.say(EngineEvent::Lost(EngineError::Connection("reset".into())));
    let heard = world.session(1).await.lanes.caller.depth() * 20;
    assert!((300..600).contains(&heard), "{heard} ms");
}

#[actix::test]
async fn an_engine_that_is_away_for_eight_tenths_of_a_second_ends_no_call() {
    let engine = Arc::new(Planned::default());
    let (world, session, line) = greeted(&engine).await;
    engine.plan(&[Next::Refused; 3]);
    session.say(EngineEvent::Lost(EngineError::Connection("reset".into())));
    let second = world.session(1).await;
    frames(&second, &line, 1_000, 0).await;
    assert_eq!((world.events("engine_lost"), world.events("engine_recovered")), (4, 1));
    assert_eq!(said(&world), [], "nobody noticed");
    second.caller_turn("u1", "kitne baje khulta hai");
    let (wish, _) = second.asked().await;
    second.answer("r1", "a1", "Nine to nine.", 500, Some(wish));
    wait_for(|| (said(&world).len() == 1).then_some(())).await;
}

#[actix::test]
async fn of_one_that_is_known_to_hang_and_one_that_hangs_the_first_that_listens_is_taken() {
    let (first, other) = (Arc::new(Planned::default()), Arc::new(Planned::default()));
    first.1.store(true, Ordering::Relaxed);
    other.plan(&[Next::Hangs]);
    let world = world(&first, Some(&other));
    let _line = dialled(&world).await;
    world.session(0).await.asked().await;
    assert!((SECOND..SECOND * 2).contains(&world.now()), "{:?}", world.now());
    assert_eq!(world.events("engine_fell_back"), 0);
}

#[actix::test]
async fn two_engines_that_hang_end_a_call_soon_and_the_caller_hears_that_it_is_tried() {
    let (first, other) = (Arc::new(Planned::default()), Arc::new(Planned::default()));
    first.plan(&[Next::Hangs; 20]);
    other.plan(&[Next::Hangs; 20]);
    let world = world(&first, Some(&other));
    let _line = dialled(&world).await;
    let ended = wait_for(|| {
        world.entries().iter().find_map(|entry| match entry {
            JournalEntry::Ended { reason, at, .. } => Some((*reason, *at)),
            _ => None,
        })
    })
    .await;
    assert_eq!(ended.0, EndReason::Transferred);
    assert!(ended.1 < SECOND * 20, "{ended:?}");
    let said = said(&world);
    let texts: Vec<&str> = said.iter().map(|(words, _)| words.as_str()).collect();
    assert_eq!((texts.first(), texts.last()), (Some(&"bridge"), Some(&"hand_off")), "{said:?}");
    assert!(said[0].1 < SECOND * 3, "{said:?}");
}

/// A call that is up, without a word from any engine.
async fn dialled(world: &World) -> Line {
    let (_, line) = world.dial(1).await;
    line.events.push(CarrierEvent::Started { stream: "s1".into(), rate: 8000 });
    line.keep_talking();
    line
}

#[actix::test]
async fn an_engine_that_hangs_costs_a_call_no_more_than_a_moment_where_there_is_another() {
    let (first, other) = (Arc::new(Planned::default()), Arc::new(Planned::default()));
    first.plan(&[Next::Hangs]);
    let world = world(&first, Some(&other));
    let _line = dialled(&world).await;
    let session = world.session(0).await;
    assert!(world.now() < SECOND * 2, "after {:?}", world.now());
    let (wish, _) = session.asked().await;
    session.answer("r0", "a0", "Namaste", 500, Some(wish));
    wait_for(|| world.turns().first().cloned()).await;
    assert_eq!((world.events("engine_fell_back"), world.events("engine_lost")), (1, 0));
    // What follows is asked of the one that works.
    first.plan(&[Next::Hangs]);
    session.say(EngineEvent::Lost(EngineError::Connection("reset".into())));
    let lost = world.now();
    world.session(1).await;
    assert!(world.now() < lost + MS(100), "after {:?}", world.now() - lost);
}

#[actix::test]
async fn of_two_engines_that_are_slow_the_first_that_listens_is_taken() {
    let (first, other) = (Arc::new(Planned::default()), Arc::new(Planned::default()));
    first.plan(&[Next::Slow]);
    other.plan(&[Next::Hangs]);
    let world = world(&first, Some(&other));
    let _line = dialled(&world).await;
    world.session(0).await.asked().await;
    assert_eq!(world.events("engine_fell_back"), 0);
    assert!((SECOND * 2..SECOND * 3).contains(&world.now()), "{:?}", world.now());
}

#[actix::test]
async fn one_that_is_known_to_hang_is_not_waited_for() {
    let (first, other) = (Arc::new(Planned::default()), Arc::new(Planned::default()));
    first.1.store(true, Ordering::Relaxed);
    let world = world(&first, Some(&other));
    let _line = dialled(&world).await;
    world.session(0).await.asked().await;
    assert!(world.now() < MS(200), "{:?}", world.now());
    assert_eq!(world.events("engine_fell_back"), 1);
}

#[actix::test]
async fn one_that_is_known_to_hang_is_asked_all_the_same_if_the_other_refuses() {
    let (first, other) = (Arc::new(Planned::default()), Arc::new(Planned::default()));
    first.1.store(true, Ordering::Relaxed);
    other.plan(&[Next::Refused]);
    let world = world(&first, Some(&other));
    let _line = dialled(&world).await;
    world.session(0).await.asked().await;
    assert!(world.now() < MS(200), "{:?}", world.now());
    assert_eq!((world.events("engine_fell_back"), world.events("engine_lost")), (0, 0));
}

#[actix::test]
async fn who_waits_for_the_first_word_is_told_so_more_than_once() {
    let engine = Arc::new(Planned::default());
    engine.plan(&[Next::Refused; 8]);
    let world = world(&engine, None);
    let _line = dialled(&world).await;
    let session = world.session(0).await;
    let (wish, _) = session.asked().await;
    session.answer("r0", "a0", "Namaste", 500, Some(wish));
    wait_for(|| world.turns().iter().any(|turn| &*turn.text == "Namaste").then_some(())).await;
    let said = said(&world);
    assert_eq!(said.iter().map(|(words, _)| words.as_str()).collect::<Vec<_>>(), ["bridge", "still_checking"]);
}
