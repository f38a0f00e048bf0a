//! What the caller hears while they wait, when nobody speaks and when time runs out; and keys that work without an engine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "this file needs only a part of the shared world")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use caly_actors::domain::*;
use caly_actors::ports::*;
use support::*;

const SECOND: Duration = Duration::from_secs(1);

/// A call whose greeting was heard; gives back when the greeting's last sound was heard.
async fn greeted(world: &World) -> (Session, Line) {
    let (session, line) = world.answered().await;
    let (wish, _) = session.asked().await;
    session.answer("r0", "a0", "Namaste", 500, Some(wish));
    wait_for(|| world.turns().first().cloned()).await;
    (session, line)
}

/// What was said when, stored phrases and answers alike, without the greeting.
fn said(world: &World) -> Vec<(String, Duration)> {
    let agent = |turn: &&Turn| turn.speaker == Speaker::Agent && &*turn.text != "Namaste";
    world.turns().iter().filter(agent).map(|turn| (turn.text.to_string(), turn.started)).collect()
}

fn words(world: &World) -> Vec<String> {
    said(world).into_iter().map(|(words, _)| words).collect()
}

fn near(at: Duration, expected: Duration) -> bool {
    at.abs_diff(expected) <= Duration::from_millis(200)
}

fn slow() -> TestActions {
    TestActions {
        entries: vec![("look", false, SECOND * 30, |_| {
            Box::pin(async {
                tokio::time::sleep(SECOND * 12).await;
                Ok(ActionOutput { output: r#"{"state":"shipped"}"#.into(), change: None, undo: None })
            })
        })],
        ..TestActions::default()
    }
}

#[actix::test]
async fn while_an_action_takes_long_the_caller_is_told_and_told_again_and_its_result_once() {
    let world = World::with(agent(), slow(), vec![]).await;
    let (session, _line) = greeted(&world).await;
    session.caller_turn("u1", "mera order kahan hai");
    let (wish, _) = session.asked().await;
    let begun = world.now();
    session.tool("r1", "t1", "look", "{}", Some(wish));
    let EngineCommand::ToolOutput { output, .. } = session.command().await else { panic!("no output") };
    assert!(output.contains("shipped"), "{output}");
    let (wish, _) = session.asked().await;
    session.answer("r2", "a2", "It was shipped.", 500, Some(wish));
    wait_for(|| words(&world).contains(&"It was shipped.".to_owned()).then_some(())).await;
    let said = said(&world);
    let texts: Vec<&str> = said.iter().map(|(words, _)| words.as_str()).collect();
    assert_eq!(texts, ["checking", "still_checking", "It was shipped."]);
    // The first after a second and a half of silence; the next six seconds after the end of the first, which lasts one.
    assert!(near(said[0].1, begun + SECOND * 3 / 2), "{said:?} from {begun:?}");
    assert!(near(said[1].1, said[0].1 + SECOND * 7), "{said:?}");
    assert_eq!(session.commands.depth(), 0, "nothing more is asked of the engine");
}

#[actix::test]
async fn nobody_is_told_to_wait_while_they_speak_or_before_a_greeting_that_comes() {
    let world = World::with(agent(), slow(), vec![]).await;
    let (session, _line) = world.answered().await;
    let (wish, _) = session.asked().await;
    session.say(EngineEvent::ResponseCreated { response: "r0".into(), wish: Some(wish) });
    tokio::time::sleep(SECOND * 2).await;
    session.answer("r0", "a0", "Namaste", 500, Some(wish));
    wait_for(|| world.turns().first().cloned()).await;
    session.tool("r1", "t1", "look", "{}", None);
    tokio::time::sleep(SECOND).await;
    session.say(EngineEvent::SpeechStarted { item: "u1".into(), at_ms: 0 });
    tokio::time::sleep(SECOND * 5).await;
    assert_eq!(words(&world), [""; 0], "the caller speaks");
}

#[actix::test]
async fn who_waits_long_for_the_first_word_is_told_so() {
    let world = World::with(agent(), slow(), vec![]).await;
    let (session, _line) = world.answered().await;
    let (wish, _) = session.asked().await;
    session.say(EngineEvent::ResponseCreated { response: "r0".into(), wish: Some(wish) });
    let begun = world.now();
    tokio::time::sleep(SECOND * 3).await;
    session.answer("r0", "a0", "Namaste", 500, Some(wish));
    wait_for(|| world.turns().iter().any(|turn| &*turn.text == "Namaste").then_some(())).await;
    let said = said(&world);
    assert_eq!(said[0].0, "bridge", "{said:?}");
    assert!(near(said[0].1, begun + SECOND * 5 / 2), "{said:?} from {begun:?}");
}

#[actix::test]
async fn an_engine_that_is_slow_is_bridged_once_and_one_that_stalls_is_replaced_no_later_for_it() {
    let world = World::plain().await;
    let (session, _line) = greeted(&world).await;
    session.caller_turn("u1", "kitne baje khulta hai");
    let (wish, _) = session.asked().await;
    let asked = world.now();
    session.say(EngineEvent::ResponseCreated { response: "r1".into(), wish: Some(wish) });
    let second = world.session(1).await;
    assert!(near(world.now(), asked + SECOND * 4), "replaced after {:?}", world.now() - asked);
    let (wish, _) = second.asked().await;
    second.answer("r1", "a1", "Nine to nine.", 500, Some(wish));
    wait_for(|| words(&world).contains(&"Nine to nine.".to_owned()).then_some(())).await;
    let said = said(&world);
    assert_eq!(said[0].0, "checking");
    assert!(near(said[0].1, asked + SECOND * 3 / 2), "{said:?} from {asked:?}");
    let answers = said.iter().filter(|(words, _)| words == "Nine to nine.").count();
    assert_eq!(answers, 1, "{said:?}");
}

#[actix::test]
async fn an_engine_that_does_not_even_begin_an_answer_is_replaced_in_a_second_and_a_half() {
    let world = World::plain().await;
    let (session, _line) = greeted(&world).await;
    session.caller_turn("u1", "kitne baje khulta hai");
    session.asked().await;
    let asked = world.now();
    let second = world.session(1).await;
    assert!(near(world.now(), asked + SECOND * 3 / 2), "replaced after {:?}", world.now() - asked);
    // The next one has twice the time: it may be the way there that is slow. Then a quarter of a second is waited.
    second.asked().await;
    let asked = world.now();
    let third = world.session(2).await;
    assert!(near(world.now(), asked + SECOND * 13 / 4), "replaced after {:?}", world.now() - asked);
    let (wish, _) = third.asked().await;
    third.answer("r1", "a1", "Nine to nine.", 500, Some(wish));
    wait_for(|| words(&world).contains(&"Nine to nine.".to_owned()).then_some(())).await;
    assert_eq!(words(&world)[0], "bridge");
}

/// How long after the last sound of an answer that does not go on the engine is replaced.
async fn replaced_in_an_answer(whole_sentence: bool) -> Duration {
    let world = World::plain().await;
    let (session, _line) = greeted(&world).await;
    session.caller_turn("u1", "kitne baje khulta hai");
    let (wish, _) = session.asked().await;
    let (response, item): (Arc<str>, Arc<str>) = ("r1".into(), "a1".into());
    session.say(EngineEvent::ResponseCreated { response: Arc::clone(&response), wish: Some(wish) });
    let delta = "Nine to".into();
    session.say(EngineEvent::AgentWords { response: Arc::clone(&response), item: Arc::clone(&item), delta });
    let two_seconds = vec![0xd5u8; 16_000].into();
    let begun = world.now();
    session.lanes.agent.push(AgentAudio { response, item: Arc::clone(&item), bytes: two_seconds });
    if whole_sentence {
        session.say(EngineEvent::AgentTranscript { item, text: "Nine to".into() });
    }
    world.session(1).await;
    world.now() - begun - SECOND * 2
}

#[actix::test]
async fn an_engine_that_falls_silent_in_its_words_is_replaced_a_second_and_a_half_after_the_last_was_heard() {
    let after = replaced_in_an_answer(false).await;
    assert!(near(after, SECOND * 3 / 2), "{after:?}");
}

#[actix::test]
async fn an_engine_that_has_said_a_sentence_and_may_be_writing_a_tool_call_has_longer() {
    let after = replaced_in_an_answer(true).await;
    assert!(near(after, SECOND * 4), "{after:?}");
}

#[actix::test]
async fn a_caller_who_says_nothing_is_asked_twice_the_engine_replaced_and_then_let_go() {
    let world = World::plain().await;
    let (_session, _line) = greeted(&world).await;
    let quiet_since = world.now();
    world.session(1).await;
    assert!(near(world.now(), quiet_since + SECOND * 41), "replaced after {:?}", world.now() - quiet_since);
    assert_eq!(world.ended().await, EndReason::NoSpeech);
    let said = said(&world);
    let texts: Vec<&str> = said.iter().map(|(words, _)| words.as_str()).collect();
    assert_eq!(texts, ["still_there", "still_there", "goodbye"]);
    assert!(near(said[0].1, quiet_since + SECOND * 20) && near(said[1].1, said[0].1 + SECOND * 21), "{said:?}");
    assert_eq!((world.sessions(), world.events("engine_renewed")), (2, 1));
}

#[actix::test]
async fn a_caller_who_speaks_again_is_not_let_go() {
    let world = World::plain().await;
    let (session, _line) = greeted(&world).await;
    tokio::time::sleep(SECOND * 25).await;
    assert_eq!(words(&world), ["still_there"]);
    session.caller_turn("u1", "haan, ek minute");
    let (wish, _) = session.asked().await;
    session.answer("r1", "a1", "Ji.", 500, Some(wish));
    tokio::time::sleep(SECOND * 15).await;
    assert_eq!((words(&world), world.sessions()), (vec!["still_there".to_owned(), "Ji.".to_owned()], 1));
}

#[actix::test]
async fn before_time_is_up_the_caller_is_told_but_not_into_an_answer() {
    let mut short = agent();
    short.limits.max_duration = SECOND * 180;
    short.limits.idle_speech = SECOND * 600;
    let world = World::with(short, TestActions::default(), vec![]).await;
    let (session, _line) = greeted(&world).await;
    tokio::time::sleep(SECOND * 118 - world.now()).await;
    session.caller_turn("u1", "hello");
    let (wish, _) = session.asked().await;
    session.answer("r1", "a1", "A long answer.", 10_000, Some(wish));
    assert_eq!(world.ended().await, EndReason::MaxDuration);
    let said = said(&world);
    let texts: Vec<&str> = said.iter().map(|(words, _)| words.as_str()).collect();
    assert_eq!(texts, ["A long answer.", "minute_left", "time_up"]);
    assert!((SECOND * 128..SECOND * 130).contains(&said[1].1), "{said:?}");
}

fn with_menu() -> Agent {
    let mut agent = agent();
    agent.menu = vec![
        ("0".into(), MenuChoice::Person),
        ("9".into(), MenuChoice::End),
        ("1".into(), MenuChoice::Tell("Where is my order?".into())),
    ];
    agent
}

fn press(line: &Line, keys: &str) {
    for key in keys.chars() {
        line.events.push(CarrierEvent::Dtmf(key));
    }
}

#[actix::test]
async fn zero_reaches_a_person_also_while_there_is_no_engine() {
    let world = World::with(with_menu(), TestActions::default(), vec![]).await;
    let (session, line) = greeted(&world).await;
    session.say(EngineEvent::Lost(EngineError::Connection("reset".into())));
    wait_for(|| (world.events("engine_lost") == 1).then_some(())).await;
    press(&line, "0");
    assert_eq!(world.ended().await, EndReason::Transferred);
    assert_eq!(words(&world).last().map(String::as_str), Some("hand_off"));
    assert_eq!(world.call.decision().map(|decision| decision.after), Some(AfterStream::Transfer));
}

#[actix::test]
async fn keys_say_what_they_stand_for_and_others_are_told_as_they_are() {
    let world = World::with(with_menu(), TestActions::default(), vec![]).await;
    let (session, line) = greeted(&world).await;
    for (keys, told) in [("1#", "Where is my order?"), ("10#", "10#")] {
        press(&line, keys);
        let EngineCommand::CallerText(text) = session.command().await else { panic!("{keys} is not told") };
        assert!(text.contains(told), "{keys}: {text}");
        let (wish, _) = session.asked().await;
        session.answer(keys, keys, "Ji. Order number?", 100, Some(wish));
        tokio::time::sleep(SECOND).await;
    }
    press(&line, "9");
    assert_eq!(world.ended().await, EndReason::AgentEnded);
    assert_eq!(words(&world).last().map(String::as_str), Some("goodbye"));
}

#[actix::test]
async fn without_anybody_to_hand_over_to_zero_is_a_key_like_any_other() {
    let mut alone = with_menu();
    alone.handoff_numbers.clear();
    let world = World::with(alone, TestActions::default(), vec![]).await;
    let (session, line) = greeted(&world).await;
    press(&line, "0#");
    let EngineCommand::CallerText(text) = session.command().await else { panic!("not told") };
    assert!(text.contains("keys 0#"), "{text}");
}
