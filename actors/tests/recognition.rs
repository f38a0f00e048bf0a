//! Who rings: found out beside the call, told to the engine as data, and never waited for.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "this file needs only a part of the shared world")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use caly_actors::domain::*;
use caly_actors::ports::*;
use support::*;

const SECOND: Duration = Duration::from_secs(1);

fn remembering() -> Agent {
    Agent { remember_callers: Some(SECOND * 86_400), ..agent() }
}

/// A call of Meera, of whom the answer comes after a while.
async fn called_by_meera(agent: Agent, after: Duration) -> World {
    let meera = KnownCaller { name: Some("Meera".into()), earlier_calls: 2, ..KnownCaller::default() };
    CALLER.with(|caller| caller.replace((Some(Arc::new(meera)), after, 0)));
    World::with(agent, TestActions::default(), vec![]).await
}

fn asked() -> u32 {
    CALLER.with(|caller| caller.borrow().2)
}

fn is_told(context: &[ContextItem]) -> bool {
    context
        .iter()
        .any(|item| matches!(item, ContextItem::Note(text) if text.contains(r#"{"earlier_calls":2,"name":"Meera"}"#)))
}

#[actix::test]
async fn a_known_caller_is_told_before_the_greeting_and_to_every_later_session() {
    let world = called_by_meera(remembering(), Duration::from_millis(20)).await;
    wait_for(|| (world.events("caller_recognised") == 1).then_some(())).await;
    let session = world.session(0).await;
    let EngineCommand::Note(text) = session.command().await else { panic!("told first") };
    assert!(is_told(&[ContextItem::Note(text)]));
    let EngineCommand::CreateResponse { instructions, .. } = session.command().await else { panic!("then greeted") };
    assert!(instructions.unwrap().contains("Namaste"));
    session.say(EngineEvent::Lost(EngineError::Connection("reset".into())));
    let second = world.session(1).await;
    assert!(is_told(&second.spec.context));
    assert!(!matches!(second.command().await, EngineCommand::Note(_)), "and not twice");
    assert_eq!(asked(), 1);
}

async fn looked_up(after: Duration, recognised: usize) {
    let world = called_by_meera(remembering(), after).await;
    let begun = world.now();
    let (session, line) = world.answered().await;
    let (wish, _) = session.asked().await;
    session.answer("r0", "a0", "Namaste", 500, Some(wish));
    wait_for(|| (line.audio_ms() > 0).then_some(())).await;
    assert!(world.now() - begun < Duration::from_millis(300), "heard after {:?}", world.now() - begun);
    tokio::time::sleep(SECOND * 5).await;
    assert_eq!(world.events("caller_recognised"), recognised);
    session.caller_turn("u1", "hello");
    assert_eq!(session.asked().await.1, None, "and the call goes on");
}

#[actix::test]
async fn a_slow_look_up_delays_nothing() {
    looked_up(Duration::from_millis(450), 1).await;
}

#[actix::test]
async fn a_late_look_up_counts_for_nothing() {
    looked_up(SECOND * 3, 0).await;
}

/// A call of this party is greeted, and nobody is asked who it is.
async fn nobody(agent: Agent, caller: Party) {
    CALLER.with(|known| known.replace((Some(Arc::new(KnownCaller::default())), Duration::ZERO, 0)));
    tokio::time::pause();
    let (calls, journal, _) = World::registry(TestActions::default(), vec![]);
    let facts = CallFacts { caller, ..facts(agent, "sid1") };
    let _call = calls.admit(facts, None).expect("admitted").call;
    let session = wait_for(|| opened(0)).await;
    session.say(EngineEvent::Ready);
    session.asked().await;
    assert_eq!(asked(), 0);
    assert!(!journal.0.lock().unwrap().iter().any(|entry| matches!(entry, JournalEntry::CallerMet { .. })));
}

#[actix::test]
async fn nobody_is_asked_about_where_callers_are_not_remembered() {
    nobody(agent(), Party::Number(PhoneNumber::parse("+919876543210").unwrap())).await;
}

#[actix::test]
async fn nobody_is_asked_about_whose_number_is_withheld() {
    nobody(remembering(), Party::Withheld).await;
}

#[actix::test]
async fn nobody_is_asked_about_who_calls_by_sip() {
    nobody(remembering(), Party::Sip("sip:+919876543210@x".into())).await;
}
