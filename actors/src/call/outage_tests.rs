//! What is said while no session listens: who is told to wait and when, and what is on record of it.

use std::sync::Arc;
use std::time::Duration;

use super::super::event::{CallEvent, Effect};
use super::super::state::{Attach, CallState};
use super::super::table::*;
use crate::audio::level::Sound;
use crate::domain::{Agent, BargeIn, CallTime, Pcm, Speaker};
use crate::ports::{EngineEvent, ResponseOutcome};

fn ms(n: u64) -> CallTime {
    Duration::from_millis(n)
}

fn sounded(began: u64, ended: u64) -> CallEvent {
    let (began, ended) = (ms(began), ms(ended));
    CallEvent::LineSounded(Sound { began, ended, clear: ended - began })
}

fn play(state: &mut CallState, script: Vec<(u64, CallEvent)>) -> Vec<String> {
    script.into_iter().flat_map(|(now, event)| words(&state.on(event, ms(now)))).collect()
}

/// One of the caller's turns, as a session tells of it.
fn turn(item: &str, at_ms: u64) -> [CallEvent; 3] {
    let item: Arc<str> = item.into();
    [
        engine(EngineEvent::SpeechStarted { item: Arc::clone(&item), at_ms }),
        engine(EngineEvent::SpeechStopped { item: Arc::clone(&item), at_ms: at_ms + 900, behind: Duration::ZERO }),
        engine(EngineEvent::TurnCommitted { item }),
    ]
}

/// An answer that is made, and heard from 4 s on.
fn answering(barge_in: BargeIn) -> CallState {
    let mut state = quiet_of(Agent { barge_in, ..agent(true) });
    let script = [(3, spoke()), (3, stopped()), (3, committed()), (3, written_down("when are you open"))];
    let _ = hear(&mut state, script);
    let _ = hear(&mut state, [(4, created("r1", 2)), (4, agent_words()), (4, began("a1"))]);
    let _ = state.on(done("r1", ResponseOutcome::Completed), at(4));
    state
}

/// A stored greeting is heard from 2 s on, and the first session is being opened.
fn greeting() -> CallState {
    let agent = Agent { greeting: Some("Namaste".into()), ..agent(true) };
    let pcm = Pcm { rate: 8_000, bytes: vec![1; 16_000].into() };
    let mut state = call_of(agent).greeting_with(Some(pcm));
    assert_eq!(state.attach(1), Attach::Accepted);
    let _ = state.on(CallEvent::StreamStarted { rate: 8000 }, at(2));
    let _ = state.on(began("greeting"), at(2));
    state
}

#[test]
fn who_asks_over_the_agent_is_told_to_wait_once_it_is_silent() {
    for (name, length, told) in [("a question", 1_500, true), ("a listener", 700, false)] {
        let mut lost_in_it = answering(BargeIn::Normal);
        let _ = lost_in_it.on(lost(), at(5));
        for mut state in [lost_in_it, greeting()] {
            assert_eq!(play(&mut state, vec![(5_300 + length, sounded(5_300, 5_300 + length))]), [""; 0], "{name}");
            let silent = play(&mut state, vec![(8_000, CallEvent::PlayoutDrained), (8_449, CallEvent::TimePassed)]);
            assert!(!silent.contains(&"say bridge".to_owned()), "{name}: {silent:?}");
            let later = play(&mut state, vec![(8_450, CallEvent::TimePassed)]);
            assert_eq!(later.contains(&"say bridge".to_owned()), told, "{name}: {later:?}");
            assert_eq!(state.awaits(), told, "{name}: and answered, whatever the next session notices");
        }
    }
}

#[test]
fn what_was_said_before_the_first_session_is_its_first_turn_and_keeps_its_time() {
    for at_ms in [900, 600, 0] {
        let mut state = greeting();
        let _ = play(&mut state, vec![(4_500, sounded(2_900, 4_500)), (5_000, CallEvent::PlayoutDrained)]);
        let _ = play(&mut state, vec![(6_000, engine(EngineEvent::Ready))]);
        let asked = play(&mut state, turn("u1", at_ms).map(|event| (6_300, event)).to_vec());
        assert_eq!(asked, ["ask"], "{at_ms}");
        let said = EngineEvent::CallerTranscript { item: "u1".into(), text: "when are you open".into() };
        let effects = state.on(engine(said), ms(6_500));
        assert_eq!(turns(&effects)[0].started, ms(2_900), "{at_ms}: as the line has it");
    }
    // What begins when it listens is new.
    let mut state = greeting();
    let _ = play(&mut state, vec![(5_000, CallEvent::PlayoutDrained), (6_000, engine(EngineEvent::Ready))]);
    let _ = play(&mut state, turn("u1", 0).map(|event| (6_300, event)).to_vec());
    let said = EngineEvent::CallerTranscript { item: "u1".into(), text: "when are you open".into() };
    assert_eq!(turns(&state.on(engine(said), ms(6_500)))[0].started, ms(6_300));
}

#[test]
fn what_no_session_ever_heard_is_on_record_without_words() {
    let said = |state: &mut CallState| play(state, vec![(4_500, sounded(2_900, 4_500))]);
    let of_caller = |effects: &[Effect]| {
        let turns = turns(effects).into_iter().filter(|turn| turn.speaker == Speaker::Caller);
        turns.map(|turn| (turn.started, turn.ended, turn.text.to_string())).collect::<Vec<_>>()
    };
    for end in [hung_up(), engine(EngineEvent::Lost(crate::ports::EngineError::Refused("key".into())))] {
        let mut state = greeting();
        let _ = said(&mut state);
        let effects = state.on(end, at(6));
        assert_eq!(of_caller(&effects), [(ms(2_900), ms(4_500), String::new())]);
    }
    let mut heard = greeting();
    let _ = said(&mut heard);
    let _ = heard.on(engine(EngineEvent::Ready), at(5));
    assert_eq!(of_caller(&heard.on(hung_up(), at(6))), [], "a session listened, and noticed nobody");
}

#[test]
fn two_turns_that_a_session_hears_late_have_one_answer() {
    let mut state = quiet(true);
    let script = vec![(5_000, lost()), (6_500, sounded(5_200, 6_500)), (6_950, CallEvent::TimePassed)];
    assert!(play(&mut state, script).contains(&"say bridge".to_owned()));
    let _ = play(&mut state, vec![(8_000, CallEvent::PlayoutDrained), (9_000, engine(EngineEvent::Ready))]);
    let both = [turn("u1", 500), turn("u2", 2_400)].concat();
    let asked = play(&mut state, both.into_iter().map(|event| (9_200, event)).collect());
    assert_eq!(asked, ["ask"]);
    // … but one that came when it was being made has its own.
    let _ = play(&mut state, vec![(9_400, created("r1", 2))]);
    let _ = play(&mut state, turn("u3", 6_000).map(|event| (9_500, event)).to_vec());
    assert_eq!(play(&mut state, vec![(9_600, done("r1", ResponseOutcome::Completed))]), ["ask"]);
}

#[test]
fn a_listeners_word_wants_no_answer_although_its_session_is_lost() {
    for (said, expected) in [("haan", &["resume"] as &[&str]), ("no stop that at once please", &["interrupt"])] {
        let mut state = answering(BargeIn::Normal);
        let [began, ..] = turn("u2", 0);
        assert_eq!(words(&state.on(began, at(5))), ["hold"]);
        let _ = hear(&mut state, [(6, lost()), (7, engine(EngineEvent::Ready))]);
        // The next one has another name for it.
        let heard = turn("u3", 400).map(|event| (7, event));
        assert_eq!(words(&hear(&mut state, heard)), [""; 0], "{said}");
        let written = engine(EngineEvent::CallerTranscript { item: "u3".into(), text: said.into() });
        assert_eq!(words(&state.on(written, at(7)))[2..], *expected, "{said}");
        let drained = words(&state.on(CallEvent::PlayoutDrained, at(9)));
        let later = words(&state.on(CallEvent::TimePassed, at(12)));
        let asked = [drained, later].concat().contains(&"ask".to_owned());
        assert!(!asked, "{said}: nothing more is asked of it");
    }
}
