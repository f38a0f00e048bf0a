//! Decisions about the last words: whoever was to say them, the caller hears them before the call ends.

use super::super::event::{CallEvent, Effect};
use super::super::table::*;
use super::*;
use crate::domain::AfterStream;
use crate::ports::{CallChange, EngineError, EngineEvent, ResponseOutcome};
use crate::supervise::Child;

/// The engine was asked (wish 2) to tell the caller that they are connected to a person.
fn handing_over() -> crate::call::state::CallState {
    let (mut state, id) = acting("look");
    let _ = state.on(finished(id, Some(CallChange::Transfer { summary: "an order".into() })), at(4));
    state
}

fn broken(response: &str) -> CallEvent {
    done(response, ResponseOutcome::Incomplete)
}

fn completed() -> CallEvent {
    done("r1", ResponseOutcome::Completed)
}

fn rows_of_failures() -> Vec<Row> {
    let row =
        |name, before: Vec<CallEvent>, event, expected| (name, saying_goodbye(), before, event, expected, "closing");
    let goodbye: &[&str] = &["say goodbye"];
    vec![
        row("refused for now", vec![created("r1", 2)], failed("r1"), goodbye),
        row("refused before it began", vec![], failed("r1"), &[]),
        row("empty", vec![created("r1", 2)], completed(), goodbye),
        row("broken off before it was heard", vec![created("r1", 2)], broken("r1"), goodbye),
        row("cancelled by the engine", vec![created("r1", 2)], done("r1", ResponseOutcome::Cancelled), goodbye),
        row("a tool instead of words", vec![created("r1", 2), called("look", "t9")], completed(), goodbye),
        row("the session lost", vec![created("r1", 2)], lost(), goodbye),
        row("its child given up", vec![], CallEvent::ChildGaveUp(Child::Realtime), &["close engine", "say goodbye"]),
        row(
            "refused for good",
            vec![],
            engine(EngineEvent::Lost(EngineError::Refused("key".into()))),
            &["close engine", "say goodbye"],
        ),
        row("the session lost while it is heard", vec![created("r1", 2), agent_words(), began("a1")], lost(), &[]),
        row(
            "… and what there was of it is over",
            vec![created("r1", 2), agent_words(), began("a1"), lost()],
            CallEvent::PlayoutDrained,
            &["turn", "say goodbye"],
        ),
        row(
            "broken off while it is heard",
            vec![created("r1", 2), agent_words(), began("a1"), broken("r1")],
            CallEvent::PlayoutDrained,
            &["turn", "say goodbye"],
        ),
        (
            "handing over: the sentence that belongs to it",
            handing_over(),
            vec![created("r1", 2)],
            failed("r1"),
            &["say hand_off"],
            "closing",
        ),
    ]
}

fn rows_of_what_was_said() -> Vec<Row> {
    let spoken = || vec![created("r1", 2), agent_words(), began("a1")];
    let ended: &[&str] = &["turn", "decide HangUp", "interrupt", "close 1000"];
    vec![
        (
            "all of it made and heard: nothing is added",
            saying_goodbye(),
            [spoken(), vec![completed()]].concat(),
            CallEvent::PlayoutDrained,
            ended,
            "tearing",
        ),
        (
            "all of it made, and the session lost while it is heard: nothing is added",
            saying_goodbye(),
            [spoken(), vec![completed(), lost()]].concat(),
            CallEvent::PlayoutDrained,
            ended,
            "tearing",
        ),
        (
            "the stored sentence is heard: the call ends, whatever the engine still owes",
            saying_goodbye(),
            vec![created("r1", 2), CallEvent::TimePassed, failed("r1"), began("phrase:goodbye")],
            CallEvent::PlayoutDrained,
            ended,
            "tearing",
        ),
        (
            "it is said once",
            saying_goodbye(),
            vec![created("r1", 2), failed("r1"), began("phrase:goodbye")],
            lost(),
            &[],
            "closing",
        ),
    ]
}

#[test]
fn last_words_that_the_engine_fails_at_are_said_by_a_stored_sentence() {
    hold(rows_of_failures());
    hold(rows_of_what_was_said());
}

/// Seconds of silence until something happens.
fn silent_until(state: &mut crate::call::state::CallState, from: u64) -> (CallTime, Vec<String>) {
    let mut happened = vec![];
    let mut now = at(from);
    while happened.is_empty() && now < at(from + 20) {
        now = state.next_deadline().expect("something is due").max(now);
        happened = words(&state.on(CallEvent::TimePassed, now));
    }
    (now - at(from), happened)
}

#[test]
fn an_engine_that_does_not_begin_its_last_words_has_its_own_time_and_no_more() {
    let fast = |mut state: crate::call::state::CallState| {
        let mut facts = (*state.facts).clone();
        let mut agent = (*facts.agent).clone();
        agent.limits = CallLimits { reprompts: 1, filler_after: Duration::ZERO, ..CallLimits::default() };
        facts.agent = agent.into();
        state.facts = facts.into();
        let _ = state.on(CallEvent::MediaResumed, at(3));
        state
    };
    let closing = || {
        let mut state = fast(quiet(true));
        let id = run(&state.on(called("look", "t1"), at(4)));
        let _ = state.on(finished(id, Some(CallChange::End)), at(4));
        state
    };
    let substitute = vec!["close engine".to_owned(), "say goodbye".to_owned()];
    let mut never_begun = closing();
    assert_eq!(silent_until(&mut never_begun, 4), (Duration::from_millis(1500), substitute.clone()));
    let mut after_a_failure = closing();
    after_a_failure.trouble.failures = 1;
    let _ = after_a_failure.on(created("r1", 2), at(4));
    assert_eq!(silent_until(&mut after_a_failure, 4), (at(4), substitute), "no more patience than for the first");
    let mut in_the_middle = closing();
    let _ = hear(&mut in_the_middle, [(4, created("r1", 2)), (4, agent_words()), (4, began("a1"))]);
    let _ = in_the_middle.on(CallEvent::PlayoutDrained, at(5));
    let (silence, happened) = silent_until(&mut in_the_middle, 5);
    assert_eq!(silence, Duration::from_millis(1500));
    assert!(happened.ends_with(&["say goodbye".to_owned()]), "{happened:?}");
}

#[test]
fn the_time_of_last_words_is_not_over_before_a_word_was_heard() {
    // The tables' engine has 8 s to begin, as long as last words have.
    let mut state = saying_goodbye();
    let _ = state.on(CallEvent::MediaResumed, at(4));
    let _ = state.on(created("r1", 2), at(5));
    let effects = state.on(CallEvent::TimePassed, at(12));
    assert_eq!(words(&effects), ["discard", "cancel", "say goodbye"]);
    assert_eq!(state.next_deadline(), Some(at(13) + ON_THE_WAY), "as long as the sentence takes");
    assert_eq!(
        words(&hear(&mut state, [(14, CallEvent::TimePassed)])),
        ["decide HangUp", "interrupt", "close 1000", "cancel"]
    );
}

#[test]
fn a_limit_shorter_than_a_stored_sentence_does_not_cut_it() {
    let mut agent = agent(true);
    agent.limits.last_words = Duration::from_millis(300);
    let mut state = quiet_of(agent);
    let _ = state.on(CallEvent::MediaResumed, at(3));
    let mut out = Vec::<Effect>::new();
    let words = crate::call::ending::LastWords::Stored(Phrase::Goodbye);
    state.close(EndReason::NoSpeech, AfterStream::HangUp, "", words, at(5), &mut out);
    assert_eq!(state.next_deadline(), Some(at(6) + ON_THE_WAY));
}

#[test]
fn our_time_is_up_is_heard_by_the_end_of_the_time_there_is() {
    let mut state = settled();
    let begins = at(1799) - ON_THE_WAY;
    assert_eq!(state.time_up_at(), begins);
    let _ = hear(&mut state, [(4, began("a1"))]);
    let before = state.on(CallEvent::TimePassed, begins - Duration::from_millis(1));
    assert_eq!((words(&before), state.phase().as_str()), (vec![], "live"));
    assert_eq!(words(&state.on(CallEvent::TimePassed, begins)), ["decide HangUp", "interrupt", "say time_up"]);
    assert_eq!(state.next_deadline(), Some(at(1800)));
    let _ = state.on(cut("a1", 100), begins);
    let _ = state.on(began("phrase:time_up"), begins);
    let effects = words(&hear(&mut state, [(1799, CallEvent::PlayoutDrained)]));
    assert_eq!(effects, ["turn", "interrupt", "close 1000"]);
}

#[test]
fn a_short_call_is_not_shortened_by_its_last_words() {
    let mut agent = agent(true);
    agent.limits.max_duration = at(6);
    let mut state = quiet_of(agent);
    assert_eq!(words(&hear(&mut state, [(5, CallEvent::TimePassed)])), [""; 0]);
    let said = words(&hear(&mut state, [(6, CallEvent::TimePassed)]));
    assert_eq!(said, ["decide HangUp", "say time_up"]);
    assert_eq!(state.next_deadline(), Some(at(7) + ON_THE_WAY));
}

#[test]
fn a_goodbye_at_the_end_of_the_time_is_heard_and_a_long_one_for_three_seconds_more() {
    let mut agent = agent(true);
    agent.limits.max_duration = at(60);
    let mut state = quiet_of(agent);
    let _ = state.on(CallEvent::MediaResumed, at(3));
    let id = run(&state.on(called("look", "t1"), at(57)));
    let _ = state.on(finished(id, Some(CallChange::End)), at(57));
    let _ = hear(&mut state, [(58, created("r1", 2)), (58, agent_words()), (59, began("a1"))]);
    assert_eq!(words(&hear(&mut state, [(60, CallEvent::TimePassed)])), [""; 0]);
    assert_eq!(
        words(&hear(&mut state, [(63, CallEvent::TimePassed)])),
        ["decide HangUp", "interrupt", "close 1000", "cancel"]
    );
}

#[test]
fn the_end_of_what_was_heard_before_is_not_the_end_of_the_stored_sentence() {
    let mut state = saying_goodbye();
    let _ = state.on(CallEvent::MediaResumed, at(4));
    let _ = state.on(created("r1", 2), at(5));
    assert_eq!(words(&state.on(CallEvent::TimePassed, at(12))), ["discard", "cancel", "say goodbye"]);
    // Told before the sentence was passed on; the engine has not confirmed the cancellation.
    assert_eq!(words(&state.on(CallEvent::PlayoutDrained, at(12))), [""; 0]);
    let _ = state.on(began("phrase:goodbye"), at(12));
    let effects = words(&state.on(CallEvent::PlayoutDrained, at(13)));
    assert_eq!(effects, ["turn", "decide HangUp", "interrupt", "close 1000", "cancel"]);
}

#[test]
fn keys_pressed_into_last_words_that_are_decided_change_nothing() {
    let mut state = quiet(true);
    let _ = state.on(CallEvent::DrainExpired, at(4));
    let _ = state.on(CallEvent::DtmfPressed('5'), at(5));
    assert_eq!(words(&state.on(CallEvent::DtmfPressed('#'), at(5))), [""; 0]);
}
