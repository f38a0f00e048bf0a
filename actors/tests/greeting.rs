//! The first words of a call: stored sound at once, known to the engine, cut like any other; notices heard to their end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "this file needs only a part of the shared world")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use caly_actors::domain::*;
use caly_actors::ports::*;
use support::*;

const SECOND: Duration = Duration::from_secs(1);
const NOTICE: &str = "You are talking to a machine.";

/// A call whose greeting of two seconds was made before it.
async fn with_stored(agent: Agent) -> World {
    let two_seconds = Pcm { rate: 8000, bytes: Bytes::from(vec![3u8; 32_000]) };
    GREETING.with(|stored| stored.replace(Some(two_seconds)));
    World::with(agent, TestActions::default(), vec![]).await
}

fn with_notice() -> Agent {
    let mut agent = agent();
    agent.greeting = Some(format!("Namaste! {NOTICE} How can I help?").into());
    agent.notices = vec![NOTICE.into()];
    agent
}

fn first_audio(line: &Line) -> Option<Duration> {
    let heard = line.heard.borrow();
    heard.iter().find(|(_, command)| matches!(command, CarrierCommand::Audio(_))).map(|(at, _)| *at)
}

#[actix::test]
async fn a_stored_greeting_is_heard_at_once_whatever_the_engine_does_and_the_engine_knows_it() {
    let world = with_stored(agent()).await;
    let (_, line) = world.dial(1).await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(first_audio(&line), None, "nothing before the stream has begun");
    let begun = world.now();
    line.events.push(CarrierEvent::Started { stream: "s1".into(), rate: 8000 });
    line.keep_talking();
    let first = wait_for(|| first_audio(&line)).await;
    assert!(first - begun <= Duration::from_millis(20), "after {:?}", first - begun);
    let session = world.session(0).await;
    assert_eq!(session.spec.context, [ContextItem::Agent("Namaste".into())]);
    let greeting = wait_for(|| world.turns().first().cloned()).await;
    assert_eq!((&*greeting.text, greeting.interrupted), ("Namaste", false));
    assert!(greeting.ended - greeting.started >= SECOND * 2, "{greeting:?}");
    // The engine is not asked to greet, and answers what is said next.
    session.caller_turn("u1", "hello");
    let EngineCommand::CreateResponse { instructions, .. } = session.command().await else { panic!("not asked") };
    assert_eq!(instructions, None);
}

#[actix::test]
async fn a_stored_greeting_that_is_cut_is_recorded_as_heard_and_no_engine_is_told_to_truncate_it() {
    let world = with_stored(Agent { greeting: Some("one two three four".into()), ..agent() }).await;
    let (session, line) = world.answered().await;
    wait_for(|| first_audio(&line)).await;
    tokio::time::sleep(SECOND).await;
    session.say(EngineEvent::SpeechStarted { item: "u1".into(), at_ms: 0 });
    let greeting = wait_for(|| world.turns().first().cloned()).await;
    assert!(
        greeting.interrupted && greeting.text.starts_with("one") && greeting.unheard.ends_with("four"),
        "{greeting:?}"
    );
    session.say(EngineEvent::TurnCommitted { item: "u1".into() });
    assert!(matches!(session.command().await, EngineCommand::CreateResponse { .. }), "no truncation before it");
}

#[actix::test]
async fn a_session_lost_while_the_phone_connects_is_told_of_the_greeting_again() {
    let world = with_stored(agent()).await;
    let first = world.session(0).await;
    first.say(EngineEvent::Lost(EngineError::Connection("reset".into())));
    let second = world.session(1).await;
    assert_eq!(second.spec.context, [ContextItem::Agent("Namaste".into())]);
}

#[actix::test]
async fn what_every_caller_must_be_told_is_not_interrupted_and_the_journal_says_that_it_was_heard() {
    let world = with_stored(with_notice()).await;
    let (session, line) = world.answered().await;
    wait_for(|| first_audio(&line)).await;
    session.caller_turn("u1", "haan haan");
    let greeting = wait_for(|| world.turns().into_iter().find(|turn| turn.speaker == Speaker::Agent)).await;
    assert!(!greeting.interrupted && greeting.text.contains(NOTICE), "{greeting:?}");
    assert_eq!((world.events("notices_heard"), world.events("notices_not_heard")), (1, 0));
    // Afterwards the agent can be interrupted as ever.
    let (wish, _) = session.asked().await;
    session.answer("r1", "a1", "a long answer", 5_000, Some(wish));
    tokio::time::sleep(SECOND).await;
    session.say(EngineEvent::SpeechStarted { item: "u2".into(), at_ms: 0 });
    wait_for(|| (world.events("caller_interrupted") == 1).then_some(())).await;
}

/// How often the notice was heard, and found not to be.
fn noticed(world: &World) -> (usize, usize) {
    (world.events("notices_heard"), world.events("notices_not_heard"))
}

/// The engine greets without the notice, and is asked for it; gives back the second request.
async fn leaves_it_out(world: &World) -> (Session, Line, u64) {
    let (session, line) = world.answered().await;
    let (wish, instructions) = session.asked().await;
    assert!(instructions.expect("the greeting").contains(NOTICE));
    session.answer("r0", "a0", "Namaste! How can I help?", 500, Some(wish));
    let (wish, instructions) = session.asked().await;
    let instructions = instructions.expect("the notice");
    assert!(instructions.contains(NOTICE), "{instructions}");
    (session, line, wish)
}

#[actix::test]
async fn an_engine_that_leaves_the_notice_out_is_asked_for_it_once_more() {
    let world = World::with(with_notice(), TestActions::default(), vec![]).await;
    let (session, _line, wish) = leaves_it_out(&world).await;
    assert_eq!(noticed(&world), (0, 0));
    session.answer("r1", "a1", NOTICE, 500, Some(wish));
    wait_for(|| (noticed(&world) == (1, 0)).then_some(())).await;
    session.caller_turn("u1", "theek hai");
    assert_eq!(session.asked().await.1, None, "and never again");
}

#[actix::test]
async fn an_engine_that_leaves_the_notice_out_twice_is_found_out() {
    let world = World::with(with_notice(), TestActions::default(), vec![]).await;
    let (session, _line, wish) = leaves_it_out(&world).await;
    session.answer("r1", "a1", "How can I help?", 500, Some(wish));
    wait_for(|| (noticed(&world) == (0, 1)).then_some(())).await;
    session.caller_turn("u1", "theek hai");
    assert_eq!(session.asked().await.1, None, "and not asked for it again");
}

#[actix::test]
async fn a_notice_that_is_lost_with_its_session_is_asked_of_the_next() {
    let world = World::with(with_notice(), TestActions::default(), vec![]).await;
    let (session, _line) = world.answered().await;
    let (wish, _) = session.asked().await;
    session.say(EngineEvent::ResponseCreated { response: "r0".into(), wish: Some(wish) });
    let (response, item) = (Arc::<str>::from("r0"), Arc::<str>::from("a0"));
    let delta = "Namaste! ".into();
    session.say(EngineEvent::AgentWords { response: Arc::clone(&response), item: Arc::clone(&item), delta });
    let bytes = Bytes::from(vec![0xd5u8; 1_920]);
    session.lanes.agent.push(AgentAudio { response, item, bytes });
    tokio::time::sleep(Duration::from_millis(240)).await;
    session.say(EngineEvent::Lost(EngineError::Connection("reset".into())));
    let next = world.session(1).await;
    // … also if that one is lost before it has said a word.
    let (_, instructions) = next.asked().await;
    assert!(instructions.is_some_and(|instructions| instructions.contains(NOTICE)));
    next.say(EngineEvent::Lost(EngineError::Connection("reset".into())));
    let last = world.session(2).await;
    let (wish, instructions) = last.asked().await;
    assert!(instructions.is_some_and(|instructions| instructions.contains(NOTICE)));
    assert_eq!(noticed(&world), (0, 0));
    last.answer("r1", "a1", NOTICE, 500, Some(wish));
    wait_for(|| (noticed(&world) == (1, 0)).then_some(())).await;
}

#[actix::test]
async fn who_speaks_before_the_notice_was_heard_is_answered_after_it() {
    let world = World::with(with_notice(), TestActions::default(), vec![]).await;
    let (session, _line) = world.answered().await;
    let (wish, _) = session.asked().await;
    session.answer("r0", "a0", "Namaste!", 1_000, Some(wish));
    tokio::time::sleep(Duration::from_millis(300)).await;
    session.caller_turn("u1", "mera order kahan hai");
    let (wish, instructions) = session.asked().await;
    assert_eq!(instructions, None, "it may still be being said");
    session.answer("r1", "a1", "On its way.", 500, Some(wish));
    let (wish, instructions) = session.asked().await;
    assert!(instructions.is_some_and(|instructions| instructions.contains(NOTICE)));
    session.answer("r2", "a2", NOTICE, 500, Some(wish));
    wait_for(|| (noticed(&world) == (1, 0)).then_some(())).await;
}

#[actix::test]
async fn who_hangs_up_in_the_greeting_has_not_heard_the_notice() {
    let world = World::with(with_notice(), TestActions::default(), vec![]).await;
    let (session, line) = world.answered().await;
    let (wish, _) = session.asked().await;
    session.answer("r0", "a0", &format!("Namaste! {NOTICE}"), 3_000, Some(wish));
    wait_for(|| first_audio(&line)).await;
    tokio::time::sleep(SECOND).await;
    line.events.push(CarrierEvent::Stopped { call_ended: true });
    assert_eq!(world.ended().await, EndReason::CallerHungUp);
    assert_eq!(noticed(&world), (0, 1));
}
