//! Short sounds over the agent whose words come late, or never: it goes on, and what they were is acted on then.

use std::time::Duration;

use super::super::event::CallEvent;
use super::super::table::*;
use super::*;
use crate::domain::{Agent, BargeIn, TurnDetection};
use crate::ports::{EngineEvent, ResponseOutcome};

fn ms(n: u64) -> CallTime {
    Duration::from_millis(n)
}

fn play(state: &mut CallState, script: impl IntoIterator<Item = (u64, CallEvent)>) -> Vec<String> {
    script.into_iter().fold(vec![], |_, (now, event)| words(&state.on(event, ms(now))))
}

/// The agent is in the middle of an answer, three seconds of which are left when the caller makes a sound at 5 s.
fn over_the_agent(detection: TurnDetection) -> CallState {
    let mut state = quiet_of(Agent { barge_in: BargeIn::Normal, turn_detection: detection, ..agent(true) });
    let answer = [committed(), created("r1", 2), agent_words(), began("a1"), done("r1", ResponseOutcome::Completed)];
    let _ = play(&mut state, answer.map(|event| (4_000, event)));
    assert_eq!(play(&mut state, [(5_000, spoke())]), ["hold"]);
    let _ = play(&mut state, [(5_001, CallEvent::PlayoutHeld(ms(3_000)))]);
    state
}

/// … of 450 ms, after the engine's half a second of silence; nobody has written it down for 700 ms.
fn passed_over() -> CallState {
    let mut state = over_the_agent(TurnDetection::default());
    assert_eq!(play(&mut state, [(5_950, stopped()), (5_950, committed())]), [""; 0]);
    assert_eq!(play(&mut state, [(6_650, CallEvent::TimePassed)]), ["resume"]);
    let _ = play(&mut state, [(6_651, began("a1"))]);
    state
}

#[test]
fn the_agent_goes_on_over_a_short_word_that_is_written_down_late() {
    for (text, done) in [("haan", None), ("theek hai", None), ("", None), ("ruko ruko", Some("interrupt"))] {
        let mut state = passed_over();
        let late = play(&mut state, [(7_200, written_down(text))]);
        let floor = late.iter().find(|word| ["ask", "interrupt", "resume"].contains(&word.as_str()));
        assert_eq!(floor.map(String::as_str), done, "{text:?}");
        assert_eq!(play(&mut state, [(9_000, CallEvent::PlayoutDrained), (10_600, CallEvent::TimePassed)]), [""; 0]);
    }
}

#[test]
fn a_question_is_answered_whenever_it_is_written_down() {
    let mut state = passed_over();
    let _ = play(&mut state, [(9_000, CallEvent::PlayoutDrained)]);
    assert!(play(&mut state, [(9_500, written_down("kitna paisa katega"))]).contains(&"ask".to_owned()));
    assert_eq!(play(&mut state, [(10_600, CallEvent::TimePassed)]), [""; 0], "once");
}

#[test]
fn what_is_never_written_down_is_answered_when_the_agent_has_done() {
    let mut state = passed_over();
    assert_eq!(play(&mut state, [(9_000, CallEvent::PlayoutDrained), (10_499, CallEvent::TimePassed)]), [""; 0]);
    assert_eq!(play(&mut state, [(10_500, CallEvent::TimePassed)]), ["ask"]);
    // Somebody who speaks again meanwhile is answered to both.
    let mut state = passed_over();
    let again = |event: fn(Arc<str>) -> EngineEvent| engine(event("u2".into()));
    let _ = play(&mut state, [(9_000, CallEvent::PlayoutDrained)]);
    let _ = play(&mut state, [(9_500, again(|item| EngineEvent::SpeechStarted { item, at_ms: 0 }))]);
    let _ = play(&mut state, [(10_500, CallEvent::TimePassed)]);
    assert_eq!(play(&mut state, [(11_000, again(|item| EngineEvent::TurnCommitted { item }))]), ["ask"]);
}

#[test]
fn what_a_recogniser_gives_up_stops_the_agent() {
    let mut state = over_the_agent(TurnDetection::default());
    let _ = play(&mut state, [(5_950, stopped()), (5_950, committed())]);
    let failed = engine(EngineEvent::CallerTranscriptFailed { item: "u1".into() });
    assert!(play(&mut state, [(6_300, failed)]).contains(&"interrupt".to_owned()));
}

#[test]
fn an_engine_that_tells_the_end_late_does_not_make_a_short_word_long() {
    let quiet = || [(5_450, CallEvent::LineQuiet { since: ms(5_300) })];
    let mut state = over_the_agent(TurnDetection::Semantic { eagerness: Default::default() });
    let _ = play(&mut state, quiet());
    assert_eq!(play(&mut state, [(6_600, CallEvent::TimePassed)]), ["resume"]);
    assert_eq!(
        play(&mut state, [(6_601, began("a1"))]),
        [""; 0],
        "it is not held again, though the engine hears them still"
    );
    assert_eq!(play(&mut state, [(7_000, stopped()), (7_000, committed())]), [""; 0]);
    assert!(!play(&mut state, [(7_400, written_down("haan"))]).contains(&"ask".to_owned()));
    // Who speaks on after a breath interrupts.
    let mut state = over_the_agent(TurnDetection::Semantic { eagerness: Default::default() });
    let _ = play(&mut state, quiet());
    let _ = play(&mut state, [(5_600, CallEvent::CallerHeard { since: ms(5_500) })]);
    assert_eq!(play(&mut state, [(6_600, CallEvent::TimePassed)]), ["interrupt"]);
}

#[test]
fn a_question_is_answered_although_another_sound_is_made_before_it_is_written_down() {
    let mut state = passed_over();
    let again = |event: fn(Arc<str>) -> EngineEvent| engine(event("u2".into()));
    assert_eq!(play(&mut state, [(7_000, again(|item| EngineEvent::SpeechStarted { item, at_ms: 0 }))]), ["hold"]);
    assert!(play(&mut state, [(7_200, written_down("kitna paisa katega"))]).contains(&"interrupt".to_owned()));
}

#[test]
fn a_noise_that_nobody_makes_out_costs_no_question_its_answer() {
    let mut state = over_the_agent(TurnDetection::default());
    let of_u2 = |event: fn(Arc<str>) -> EngineEvent| engine(event("u2".into()));
    // Somebody coughs while somebody else asks something.
    let _ = play(&mut state, [(5_100, of_u2(|item| EngineEvent::SpeechStarted { item, at_ms: 0 }))]);
    let cough = of_u2(|item| EngineEvent::SpeechStopped { item, at_ms: 0, behind: Duration::ZERO });
    let _ = play(&mut state, [(5_700, cough), (5_700, of_u2(|item| EngineEvent::TurnCommitted { item }))]);
    assert_eq!(play(&mut state, [(6_400, CallEvent::TimePassed)]), ["resume"]);
    let _ = play(&mut state, [(6_401, began("a1")), (6_900, CallEvent::PlayoutDrained)]);
    assert_eq!(play(&mut state, [(7_000, stopped()), (7_000, committed())]), [""; 0]);
    let _ = play(&mut state, [(7_200, of_u2(|item| EngineEvent::CallerTranscriptFailed { item }))]);
    assert!(play(&mut state, [(7_500, written_down("kitna paisa katega"))]).contains(&"ask".to_owned()));
}

#[test]
fn a_question_is_answered_although_a_noise_is_passed_over_after_it() {
    let mut state = over_the_agent(TurnDetection::default());
    // Nearly all was said.
    let _ = play(&mut state, [(5_002, CallEvent::PlayoutHeld(ms(200)))]);
    let _ = play(&mut state, [(5_950, stopped()), (5_950, committed())]);
    assert_eq!(play(&mut state, [(6_650, CallEvent::TimePassed)]), ["resume"]);
    let of_u2 = |event: fn(Arc<str>) -> EngineEvent| engine(event("u2".into()));
    let noise = of_u2(|item| EngineEvent::SpeechStarted { item, at_ms: 0 });
    assert_eq!(play(&mut state, [(6_651, began("a1")), (6_660, noise)]), ["hold"]);
    let over = of_u2(|item| EngineEvent::SpeechStopped { item, at_ms: 0, behind: Duration::ZERO });
    assert_eq!(play(&mut state, [(7_200, over), (7_900, CallEvent::TimePassed)]), ["resume"]);
    let _ = play(&mut state, [(8_100, CallEvent::PlayoutDrained)]);
    assert!(play(&mut state, [(8_300, written_down("kitna paisa katega"))]).contains(&"ask".to_owned()));
}

#[test]
fn what_another_answer_was_made_after_is_not_answered_once_more() {
    let mut state = passed_over();
    let _ = play(&mut state, [(7_000, created("r2", 3))]);
    let _ = play(&mut state, [(9_000, CallEvent::PlayoutDrained)]);
    assert_eq!(play(&mut state, [(10_500, CallEvent::TimePassed)]), [""; 0]);
}
