//! Decisions about the carrier's side: sockets, media that stops, keys, and what is being heard.

use std::time::Duration;

use super::super::event::{CallEvent, Effect};
use super::super::table::*;
use super::*;
use crate::ports::EngineCommand;
use crate::ports::ResponseOutcome;

fn silent_for(millis: u64) -> CallEvent {
    CallEvent::MediaSilent(Duration::from_millis(millis))
}

/// What the engine is told of the keys.
fn keys(effects: &[Effect]) -> Vec<&str> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Engine(EngineCommand::CallerText(text)) => Some(&**text),
            _ => None,
        })
        .collect()
}

fn rows() -> Vec<Row> {
    vec![
        (
            "keys while there is no session are not told",
            quiet(true),
            vec![lost()],
            CallEvent::DtmfPressed('#'),
            &[],
            "live",
        ),
        ("sound that belongs to no item is none of the engine's", quiet(true), vec![], cut("", 100), &[], "live"),
        (
            "a peer that breaks the protocol ends the call",
            quiet(true),
            vec![],
            CallEvent::SocketClosed { socket: 1, protocol_error: true },
            &["decide HangUp", "interrupt", "close 1000"],
            "tearing",
        ),
    ]
}

#[test]
fn every_row_of_the_table_holds() {
    hold(rows());
}

#[test]
fn a_socket_that_carries_the_call_is_replaced_only_after_5_s_without_media() {
    for (happened, expected) in [
        (vec![], Attach::Busy),
        (vec![silent_for(4999)], Attach::Busy),
        (vec![silent_for(5000)], Attach::Replaces(1)),
        (vec![silent_for(5000), CallEvent::MediaResumed], Attach::Busy),
        (vec![CallEvent::HangUpOrdered], Attach::Over),
    ] {
        let mut state = quiet(true);
        for event in happened.clone() {
            let _ = state.on(event, at(9));
        }
        assert_eq!(state.attach(2), expected, "after {happened:?}");
    }
}

#[test]
fn a_refused_socket_does_not_weaken_the_one_that_carries_the_call() {
    let mut state = quiet(true);
    assert_eq!((state.attach(2), state.attach(3)), (Attach::Busy, Attach::Busy));
    assert_eq!(state.on(CallEvent::SocketClosed { socket: 2, protocol_error: false }, at(5)), []);
}

#[test]
fn media_may_stay_away_for_15_s_in_all() {
    let mut state = call(true);
    state.attach(1);
    let _ = hear(&mut state, [(2, CallEvent::StreamStarted { rate: 8000 })]);
    assert_eq!(state.next_deadline(), Some(at(17)), "from the start of the stream");
    let _ = hear(&mut state, [(3, CallEvent::MediaResumed)]);
    assert_eq!(state.next_deadline(), Some(at(32)), "only the silence of both sides is left");
    let _ = hear(&mut state, [(10, silent_for(3000))]);
    assert_eq!(state.next_deadline(), Some(at(22)), "3 s of the 15 have passed");
}

#[test]
fn a_carrier_whose_socket_closed_before_the_stream_has_5_s_to_come_back_but_no_more_than_before() {
    for (closed, due) in [(5, 10), (43, 45)] {
        let mut state = call(true);
        state.attach(1);
        let _ = hear(&mut state, [(closed, CallEvent::SocketClosed { socket: 1, protocol_error: false })]);
        assert_eq!(state.next_deadline(), Some(at(due)));
        let effects = hear(&mut state, [(due, CallEvent::TimePassed)]);
        assert_eq!(words(&effects), ["decide HangUp", "close engine", "ended", "finish no_answer"]);
    }
}

#[test]
fn keys_are_told_together_1500_ms_after_the_last() {
    let mut state = settled();
    let _ = hear(&mut state, [(4, CallEvent::DtmfPressed('4')), (5, CallEvent::DtmfPressed('2'))]);
    let due = at(6) + Duration::from_millis(500);
    assert_eq!(state.next_deadline(), Some(due));
    let effects = state.on(CallEvent::TimePassed, due);
    assert_eq!(keys(&effects), ["[the caller pressed the keys 42 on the phone]"]);
    assert_eq!(words(&effects), ["keys", "ask"]);
    assert_eq!(notes(&effects), [r#"keys_pressed {"count":2}"#], "how many, not which");
}

#[test]
fn a_hash_ends_the_keys_and_only_the_first_32_are_kept() {
    let mut state = settled();
    let effects = hear(&mut state, [(4, CallEvent::DtmfPressed('7')), (4, CallEvent::DtmfPressed('#'))]);
    assert_eq!(keys(&effects), ["[the caller pressed the keys 7# on the phone]"]);
    let _ = hear(&mut state, (0..40).map(|n| (5, CallEvent::DtmfPressed(if n < 32 { '1' } else { '2' }))));
    let effects = hear(&mut state, [(7, CallEvent::TimePassed)]);
    assert_eq!(keys(&effects), [format!("[the caller pressed the keys {} on the phone]", "1".repeat(32))]);
}

#[test]
fn a_pressed_key_breaks_the_silence() {
    let mut state = settled();
    let script = [(33, CallEvent::TimePassed), (34, CallEvent::PlayoutDrained), (40, CallEvent::DtmfPressed('#'))];
    let _ = hear(&mut state, script);
    let _ =
        hear(&mut state, [(41, created("r1", 2)), (41, agent_words()), (42, done("r1", ResponseOutcome::Completed))]);
    assert_eq!(state.next_deadline(), Some(at(70)));
    assert_eq!(words(&hear(&mut state, [(70, CallEvent::TimePassed)])), ["say still_there"]);
}

#[test]
fn an_engine_that_falls_silent_in_the_middle_of_an_answer_has_8_s_to_go_on() {
    let mut state = settled();
    let script = [(4, committed()), (5, created("r1", 2)), (5, agent_words()), (5, began("a1"))];
    let _ = hear(&mut state, script);
    let mut complete = state.clone();
    let _ = hear(&mut state, [(6, CallEvent::PlayoutDrained)]);
    assert_eq!(state.next_deadline(), Some(at(14)));
    let _ = hear(&mut complete, [(6, done("r1", ResponseOutcome::Completed)), (6, CallEvent::PlayoutDrained)]);
    assert_eq!(complete.next_deadline(), Some(at(36)), "a complete answer owes nothing");
}

#[test]
fn the_wait_for_an_answer_is_noted_once_and_a_stored_phrase_is_no_answer() {
    let mut state = settled();
    let _ = hear(&mut state, [(4, spoke()), (5, stopped())]);
    assert_eq!(notes(&state.on(began("phrase:bridge"), at(6))), [""; 0]);
    assert_eq!(notes(&state.on(began("a1"), at(7))), [r#"answer_began {"latency_ms":2500}"#]);
    assert_eq!(notes(&state.on(began("a2"), at(8))), [""; 0]);
}

#[test]
fn a_call_that_was_taken_over_is_not_ended_for_a_socket_that_never_started() {
    let mut state = quiet(true);
    let _ = state.on(silent_for(5000), at(10));
    assert_eq!(state.attach(2), Attach::Replaces(1));
    let _ = state.on(CallEvent::SocketClosed { socket: 2, protocol_error: false }, at(11));
    assert_eq!(state.attach(3), Attach::Accepted);
    let _ = state.on(CallEvent::StreamStarted { rate: 8000 }, at(12));
    let _ = state.on(CallEvent::MediaResumed, at(12));
    assert_eq!(words(&state.on(CallEvent::TimePassed, at(17))), [""; 0]);
    assert_eq!(state.phase().as_str(), "live");
}
