//! Both speak: who goes on, when it is decided, and what is heard and kept of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "this file needs only a part of the shared world")]

mod support;

use std::time::Duration;

use caly_actors::call::event::CallEvent;
use caly_actors::domain::*;
use caly_actors::ports::*;
use support::*;

const MS: fn(u64) -> Duration = Duration::from_millis;
/// How long the agent's answer is.
const ANSWER: u64 = 5_000;
/// An engine tells that the caller stopped after the silence that ends a turn.
const SILENCE: u64 = 500;

/// A call in the middle of an answer of five seconds, one second of which was heard.
async fn amid(barge_in: BargeIn) -> (World, Session, Line) {
    let world = World::with(Agent { barge_in, ..agent() }, TestActions::default(), vec![]).await;
    let (session, line) = world.answered().await;
    let (wish, _) = session.asked().await;
    session.answer("r0", "a0", "Namaste", 100, Some(wish));
    wait_for(|| world.turns().first().cloned()).await;
    session.caller_turn("u0", "kya offer hai");
    let (wish, _) = session.asked().await;
    session.answer("r1", "a1", "one two three four five six seven eight nine ten", ANSWER as usize, Some(wish));
    wait_for(|| (world.events("answer_began") == 1).then_some(())).await;
    tokio::time::sleep(MS(1_000)).await;
    (world, session, line)
}

fn speaks(session: &Session) {
    session.say(EngineEvent::SpeechStarted { item: "u1".into(), at_ms: 0 });
}

fn falls_silent(session: &Session) {
    session.say(EngineEvent::SpeechStopped { item: "u1".into(), at_ms: 0, behind: Duration::ZERO });
    session.say(EngineEvent::TurnCommitted { item: "u1".into() });
}

fn written(session: &Session, text: &str) {
    session.say(EngineEvent::CallerTranscript { item: "u1".into(), text: text.into() });
}

/// A short sound and, if they come, its words.
async fn says(session: &Session, millis: u64, words: Option<&str>) {
    speaks(session);
    tokio::time::sleep(MS(millis + SILENCE)).await;
    falls_silent(session);
    tokio::time::sleep(MS(200)).await;
    if let Some(words) = words {
        written(session, words);
    }
}

fn clears(line: &Line) -> usize {
    line.heard.borrow().iter().filter(|(_, command)| *command == CarrierCommand::Clear).count()
}

fn answer(world: &World) -> Option<Turn> {
    world.turns().into_iter().find(|turn| turn.text.starts_with("one") || turn.unheard.starts_with("one"))
}

/// What the engine is told until nothing comes for ten seconds.
async fn told(session: &Session) -> Vec<&'static str> {
    let mut told = Vec::new();
    let mut commands = session.commands.clone();
    while let Ok(Some(command)) = tokio::time::timeout(MS(10_000), futures_util::StreamExt::next(&mut commands)).await {
        told.push(match command {
            EngineCommand::CreateResponse { .. } => "ask",
            EngineCommand::CancelResponse => "cancel",
            EngineCommand::Truncate { .. } => "truncate",
            EngineCommand::DeleteItem { .. } => "delete",
            // For the recogniser.
            EngineCommand::CallerSpeaks(_) => continue,
            _ => "other",
        });
    }
    told
}

#[actix::test]
async fn a_listeners_haan_stops_the_agent_for_a_moment_and_costs_not_a_word() {
    let (world, session, line) = amid(BargeIn::Normal).await;
    let begun = world.now();
    speaks(&session);
    tokio::time::sleep(MS(10)).await;
    assert_eq!(clears(&line), 1, "silent at once");
    tokio::time::sleep(MS(240 + SILENCE)).await;
    falls_silent(&session);
    tokio::time::sleep(MS(200)).await;
    written(&session, "haan ji");
    let turn = wait_for(|| answer(&world)).await;
    assert!(!turn.interrupted && turn.unheard.is_empty() && turn.text.ends_with("ten"), "{turn:?}");
    // A second was heard before, the rest after the haan, the engine's silence and 200 ms to write it down.
    let expected = MS(ANSWER - 1_000 + 450 + SILENCE);
    assert!((world.now() - begun).abs_diff(expected) < MS(250), "heard to its end after {:?}", world.now() - begun);
    assert_eq!(told(&session).await, [""; 0], "nobody answers a listener");
    assert_eq!((world.events("agent_went_on"), world.events("caller_interrupted")), (1, 0));
    assert!(world.turns().iter().any(|turn| &*turn.text == "haan ji"), "and it is on record");
}

/// Speech that lasts is an interruption before a word of it is known.
async fn lasting_speech_interrupts(barge_in: BargeIn, after: u64) {
    let (world, session, line) = amid(barge_in).await;
    let begun = world.now();
    speaks(&session);
    wait_for(|| (world.events("caller_interrupted") == 1).then_some(())).await;
    assert!((world.now() - begun).abs_diff(MS(after)) < MS(50), "{:?}", world.now() - begun);
    let turn = wait_for(|| answer(&world)).await;
    assert!(turn.interrupted && turn.text.starts_with("one two"), "{turn:?}");
    assert!(turn.unheard.ends_with("ten") && !turn.text.contains("four"), "a second of five was heard: {turn:?}");
    assert!(clears(&line) >= 1);
    falls_silent(&session);
    assert_eq!(told(&session).await, ["truncate", "ask"]);
}

#[actix::test]
async fn an_eager_agent_is_interrupted_by_the_first_sound() {
    lasting_speech_interrupts(BargeIn::Eager, 0).await;
}

#[actix::test]
async fn an_agent_is_interrupted_by_speech_that_lasts() {
    lasting_speech_interrupts(BargeIn::Normal, 1_000 + SILENCE).await;
}

#[actix::test]
async fn a_cautious_agent_is_interrupted_by_speech_that_lasts_longer() {
    lasting_speech_interrupts(BargeIn::Cautious, 1_500 + SILENCE).await;
}

#[actix::test]
async fn short_words_that_are_more_than_a_listeners_interrupt() {
    let (world, session, _line) = amid(BargeIn::Normal).await;
    says(&session, 300, Some("nahi ruko")).await;
    let turn = wait_for(|| answer(&world)).await;
    assert!(turn.interrupted, "{turn:?}");
    assert_eq!(told(&session).await, ["truncate", "ask"]);
}

#[actix::test]
async fn a_noise_is_passed_over() {
    let (world, session, _line) = amid(BargeIn::Normal).await;
    says(&session, 200, None).await;
    let turn = wait_for(|| answer(&world)).await;
    assert!(!turn.interrupted, "{turn:?}");
    assert_eq!(told(&session).await, [""; 0]);
}

#[actix::test]
async fn a_longer_sound_whose_words_do_not_come_is_answered_when_the_agent_has_done() {
    let (world, session, _line) = amid(BargeIn::Normal).await;
    says(&session, 450, None).await;
    let turn = wait_for(|| answer(&world)).await;
    assert!(!turn.interrupted, "{turn:?}");
    assert_eq!(told(&session).await, ["ask"]);
}

#[actix::test]
async fn a_sound_without_words_in_it_is_passed_over_also_when_it_is_longer() {
    let (world, session, _line) = amid(BargeIn::Normal).await;
    says(&session, 700, Some("")).await;
    let turn = wait_for(|| answer(&world)).await;
    assert!(!turn.interrupted, "{turn:?}");
    assert_eq!((world.events("agent_went_on"), told(&session).await), (1, vec![]));
}

#[actix::test]
async fn two_short_words_one_after_the_other_are_still_a_listeners() {
    let (world, session, _line) = amid(BargeIn::Normal).await;
    says(&session, 350, None).await;
    session.say(EngineEvent::SpeechStarted { item: "u2".into(), at_ms: 0 });
    tokio::time::sleep(MS(350)).await;
    written(&session, "haan");
    tokio::time::sleep(MS(SILENCE)).await;
    session.say(EngineEvent::SpeechStopped { item: "u2".into(), at_ms: 0, behind: MS(0) });
    session.say(EngineEvent::TurnCommitted { item: "u2".into() });
    session.say(EngineEvent::CallerTranscript { item: "u2".into(), text: "theek hai".into() });
    let turn = wait_for(|| answer(&world)).await;
    assert!(!turn.interrupted, "{turn:?}");
    assert_eq!(told(&session).await, [""; 0]);
}

#[actix::test]
async fn words_of_a_wish_to_speak_interrupt_while_more_is_being_said() {
    let (world, session, _line) = amid(BargeIn::Normal).await;
    says(&session, 300, None).await;
    session.say(EngineEvent::SpeechStarted { item: "u2".into(), at_ms: 0 });
    written(&session, "ruko");
    wait_for(|| (world.events("caller_interrupted") == 1).then_some(())).await;
    assert!(wait_for(|| answer(&world)).await.interrupted);
}

#[actix::test]
async fn words_said_before_the_agent_spoke_do_not_decide() {
    let (world, session, _line) = amid(BargeIn::Normal).await;
    speaks(&session);
    tokio::time::sleep(MS(250 + SILENCE)).await;
    falls_silent(&session);
    session.say(EngineEvent::CallerTranscript { item: "u0".into(), text: "mera order kahan hai".into() });
    written(&session, "haan");
    let turn = wait_for(|| answer(&world)).await;
    assert!(!turn.interrupted, "{turn:?}");
}

#[actix::test]
async fn the_agents_own_voice_is_no_turn_of_the_caller() {
    let (world, session, _line) = amid(BargeIn::Normal).await;
    speaks(&session);
    tokio::time::sleep(MS(10)).await;
    world.tell(CallEvent::EchoHeard { only: true });
    // It may come back for as long as the agent speaks.
    tokio::time::sleep(MS(2_000)).await;
    falls_silent(&session);
    tokio::time::sleep(MS(900)).await;
    written(&session, "five six seven");
    let turn = wait_for(|| answer(&world)).await;
    assert!(!turn.interrupted, "{turn:?}");
    assert_eq!(told(&session).await, ["delete"], "the engine is not to answer itself");
    assert!(world.turns().iter().all(|turn| !turn.text.contains("five six seven") || turn.speaker == Speaker::Agent));
}

#[actix::test]
async fn a_caller_who_speaks_over_the_echo_interrupts_as_any_other() {
    let (world, session, _line) = amid(BargeIn::Normal).await;
    speaks(&session);
    tokio::time::sleep(MS(10)).await;
    world.tell(CallEvent::EchoHeard { only: true });
    tokio::time::sleep(MS(1_000)).await;
    let begun = world.now();
    world.tell(CallEvent::EchoHeard { only: false });
    wait_for(|| (world.events("caller_interrupted") == 1).then_some(())).await;
    assert!((world.now() - begun).abs_diff(MS(1_000 + SILENCE)) < MS(50), "{:?}", world.now() - begun);
    assert!(wait_for(|| answer(&world)).await.interrupted);
}

#[actix::test]
async fn haan_at_the_very_end_is_an_answer() {
    let (world, session, _line) = amid(BargeIn::Normal).await;
    tokio::time::sleep(MS(ANSWER - 1_000 - 300)).await;
    says(&session, 250, Some("haan")).await;
    let turn = wait_for(|| answer(&world)).await;
    assert!(turn.text.contains("nine"), "{turn:?}");
    assert!(told(&session).await.contains(&"ask"));
}

#[actix::test]
async fn while_it_is_open_who_goes_on_a_lost_engine_and_the_end_decide() {
    let (world, session, _line) = amid(BargeIn::Normal).await;
    speaks(&session);
    tokio::time::sleep(MS(100)).await;
    session.say(EngineEvent::Lost(EngineError::Connection("reset".into())));
    let turn = wait_for(|| answer(&world)).await;
    assert!(!turn.interrupted, "what was made is heard: {turn:?}");
    world.tell(CallEvent::HangUpOrdered);
    assert_eq!(world.ended().await, EndReason::OperatorHungUp);
}

#[actix::test]
async fn who_speaks_on_when_the_session_is_lost_is_not_spoken_over() {
    let (world, session, _line) = amid(BargeIn::Normal).await;
    world.tell(CallEvent::LineSounding { since: world.now() });
    speaks(&session);
    tokio::time::sleep(MS(100)).await;
    session.say(EngineEvent::Lost(EngineError::Connection("reset".into())));
    let turn = wait_for(|| answer(&world)).await;
    assert!(turn.interrupted, "{turn:?}");
    assert_eq!((world.events("caller_interrupted"), world.events("agent_went_on")), (1, 0));
}

#[actix::test]
async fn an_agent_that_may_not_be_interrupted_speaks_on_and_answers_afterwards() {
    let (world, session, line) = amid(BargeIn::Off).await;
    says(&session, 900, Some("ruko ruko")).await;
    let turn = wait_for(|| answer(&world)).await;
    assert!(!turn.interrupted && clears(&line) == 0, "{turn:?}");
    assert_eq!(told(&session).await, ["ask"]);
}
