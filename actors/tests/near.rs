//! An agent with `local_detection`: the line tells of the caller before the engine does, and the engine decides.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "this file needs only a part of the shared world")]

mod support;

use std::time::Duration;

use caly_actors::domain::*;
use caly_actors::ports::*;
use support::*;

const MS: fn(u64) -> Duration = Duration::from_millis;
/// Length of the agent's answer.
const ANSWER: u64 = 12_000;

/// A call that is up, whose line carries what a test puts there; and the engine's first wish.
async fn up(agent: Agent) -> (World, Session, Line, u64) {
    let world = World::with(agent, TestActions::default(), vec![]).await;
    let session = world.session(0).await;
    let (_, line) = world.dial(1).await;
    line.events.push(CarrierEvent::Started { stream: "s1".into(), rate: 8000 });
    let (wish, _) = session.asked().await;
    (world, session, line, wish)
}

/// A call in the middle of a long answer, on a line that has been quiet until now.
async fn amid(agent: Agent) -> (World, Session, Line) {
    let (world, session, line, wish) = up(agent).await;
    session.answer("r1", "a1", "one two three four five six seven eight nine ten", ANSWER as usize, Some(wish));
    wait_for(|| (line.audio_ms() >= 300).then_some(())).await;
    frames(&line, 1_000, 0).await;
    (world, session, line)
}

fn listening() -> Agent {
    Agent { barge_in: BargeIn::Normal, local_detection: true, ..agent() }
}

/// The caller's side, so loud, frame by frame.
async fn frames(line: &Line, ms: u64, level: i16) {
    for _ in 0..ms / 20 {
        let frame: Vec<u8> = (0..160).flat_map(|n| if n % 8 < 4 { level } else { -level }.to_le_bytes()).collect();
        line.events.push(CarrierEvent::Audio(Pcm { rate: 8000, bytes: frame.into() }));
        tokio::time::sleep(MS(20)).await;
    }
}

async fn loud(line: &Line, ms: u64) {
    frames(line, ms, 6_000).await;
}

fn clears(line: &Line) -> usize {
    line.heard.borrow().iter().filter(|(_, command)| *command == CarrierCommand::Clear).count()
}

fn answer(world: &World) -> Option<Turn> {
    world.turns().into_iter().find(|turn| turn.text.starts_with("one") || turn.unheard.starts_with("one"))
}

fn went_on(world: &World, why: &str) -> usize {
    let says = |entry: &JournalEntry| matches!(entry, JournalEntry::Event { kind: "agent_went_on", detail, .. } if detail.contains(why));
    world.entries().iter().filter(|entry| says(entry)).count()
}

#[actix::test]
async fn the_agent_falls_silent_before_the_engine_has_heard_anybody() {
    let (world, session, line) = amid(listening()).await;
    let begun = world.now();
    loud(&line, 200).await;
    let cleared = line.heard.borrow().iter().find(|(_, command)| *command == CarrierCommand::Clear).map(|(at, _)| *at);
    let after = cleared.expect("silent by now").saturating_sub(begun);
    assert!(after <= MS(200), "silent after {after:?}");
    // The engine hears it as well, and it lasts: an interruption, and the agent was silent only once.
    session.say(EngineEvent::SpeechStarted { item: "u1".into(), at_ms: 0 });
    frames(&line, 2_000, 6_000).await;
    assert_eq!((world.events("caller_interrupted"), clears(&line)), (1, 2));
    let turn = wait_for(|| answer(&world)).await;
    assert!(turn.interrupted && turn.text.starts_with("one") && turn.unheard.ends_with("ten"), "{turn:?}");
    assert_eq!(went_on(&world, "unconfirmed"), 0);
}

#[actix::test]
async fn a_sound_that_the_engine_takes_for_nobody_costs_a_moment_and_not_a_word() {
    let (world, session, line) = amid(listening()).await;
    loud(&line, 200).await;
    assert_eq!(clears(&line), 1);
    frames(&line, 1_000, 0).await;
    assert_eq!(went_on(&world, "unconfirmed"), 1);
    // The next sound is not believed at once; much later one is.
    loud(&line, 200).await;
    assert_eq!(clears(&line), 1, "a noisy place does not make the agent stutter");
    frames(&line, 4_000, 0).await;
    loud(&line, 200).await;
    assert_eq!(clears(&line), 2);
    frames(&line, ANSWER, 0).await;
    let turn = wait_for(|| answer(&world)).await;
    assert!(!turn.interrupted && turn.text.ends_with("ten"), "{turn:?}");
    drop(session);
}

async fn never_held(agent: Agent) {
    let (world, session, line) = amid(agent).await;
    loud(&line, 400).await;
    assert_eq!((clears(&line), went_on(&world, "")), (0, 0));
    drop(session);
}

#[actix::test]
async fn where_it_is_not_switched_on_the_engine_is_waited_for() {
    never_held(Agent { local_detection: false, ..listening() }).await;
}

#[actix::test]
async fn who_may_not_interrupt_is_not_listened_for() {
    never_held(Agent { barge_in: BargeIn::Off, ..listening() }).await;
}

/// A hiss in A-law, which is like no other piece of itself.
fn hiss(ms: u64) -> Vec<u8> {
    let next = |x: &mut u32| {
        *x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some((*x >> 24) as u8)
    };
    std::iter::repeat(()).scan(7_u32, |x, ()| next(x)).take(ms as usize * 8).collect()
}

#[actix::test]
async fn its_own_voice_is_nobody_and_whoever_speaks_over_it_is() {
    let (world, session, line, wish) = up(listening()).await;
    session.say(EngineEvent::ResponseCreated { response: "r1".into(), wish: Some(wish) });
    session.lanes.agent.push(AgentAudio { response: "r1".into(), item: "a1".into(), bytes: hiss(6_000).into() });
    wait_for(|| (line.audio_ms() >= 300).then_some(())).await;
    // What the caller's side sends back is what was sent to it, quieter and a moment later.
    let sent = |from: usize| -> Vec<i16> {
        let heard = line.heard.borrow();
        let audio = heard.iter().filter_map(|(_, command)| match command {
            CarrierCommand::Audio(bytes) => Some(bytes.to_vec()),
            _ => None,
        });
        let bytes: Vec<u8> = audio.flatten().skip(from * 320).take(320).collect();
        bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]]) / 6).collect()
    };
    for n in 0..50 {
        let echo: Vec<u8> = sent(n).into_iter().flat_map(i16::to_le_bytes).collect();
        assert_eq!(echo.len(), 320, "frame {n}");
        line.events.push(CarrierEvent::Audio(Pcm { rate: 8000, bytes: echo.into() }));
        tokio::time::sleep(MS(20)).await;
    }
    assert_eq!((clears(&line), went_on(&world, "")), (0, 0), "{:?}", sent(9));
    loud(&line, 400).await;
    assert_eq!(clears(&line), 1);
}
