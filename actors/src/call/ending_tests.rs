//! Decisions about closing: silence, the cap, and last words that are heard before the call ends.

use super::super::event::CallEvent;
use super::super::table::*;
use crate::ports::{CallChange, EngineEvent, ResponseOutcome};

/// The tool `look` ends the call after this went before.
fn ended_by_tool(
    name: &'static str,
    before: Vec<CallEvent>,
    expected: &'static [&'static str],
    phase: &'static str,
) -> Row {
    let (state, id) = acting("look");
    (name, state, before, finished(id, Some(CallChange::End)), expected, phase)
}

fn rows_of_goodbyes() -> Vec<Row> {
    let spoken = |and: Vec<CallEvent>| [vec![committed(), created("r1", 2), agent_words()], and].concat();
    let completed = || done("r1", ResponseOutcome::Completed);
    vec![
        ended_by_tool(
            "an agent that has not spoken is asked for a goodbye",
            vec![],
            &["tool output", "ask"],
            "closing",
        ),
        ended_by_tool("an agent that is speaking has said it", spoken(vec![]), &["tool output"], "closing"),
        ended_by_tool(
            "what it said is waited for before it begins to be heard",
            spoken(vec![completed()]),
            &["tool output"],
            "closing",
        ),
        ended_by_tool("… and while it is heard", spoken(vec![completed(), began("a1")]), &["tool output"], "closing"),
        ended_by_tool(
            "what it said was heard: the call ends at once",
            spoken(vec![completed(), began("a1"), CallEvent::PlayoutDrained]),
            &["tool output", "decide HangUp", "interrupt", "close 1000"],
            "tearing",
        ),
        ended_by_tool(
            "more is heard although its words have not come: waited for",
            spoken(vec![completed(), began("a1"), CallEvent::PlayoutDrained, began("a2")]),
            &["tool output"],
            "closing",
        ),
        ended_by_tool(
            "without an engine the stored goodbye takes the place of what is heard",
            vec![engine(EngineEvent::Lost(busy(None)))],
            &["interrupt", "say goodbye"],
            "closing",
        ),
    ]
}

fn rows_of_drains() -> Vec<Row> {
    let drained: &[&str] = &["decide HangUp", "close engine", "ended", "finish drained"];
    vec![
        ("shut down while the phone rings", call(true), vec![], CallEvent::DrainExpired, drained, "ended"),
        (
            "shut down during last words: they are heard",
            saying_goodbye(),
            vec![],
            CallEvent::DrainExpired,
            &[],
            "closing",
        ),
    ]
}

#[test]
fn every_row_of_the_table_holds() {
    hold(rows_of_goodbyes());
    hold(rows_of_drains());
}

#[test]
fn a_caller_who_says_nothing_is_asked_after_30_s_and_let_go_after_30_more() {
    let mut state = settled();
    let mut asked = Vec::new();
    state.on_idle_speech(at(33), &mut asked);
    assert_eq!(words(&asked), ["say still_there"]);
    assert_eq!(state.next_deadline(), Some(at(63)));
    let heard = hear(&mut state, [(33, began("phrase:still_there")), (34, CallEvent::PlayoutDrained)]);
    assert_eq!(turns(&heard).first().map(|turn| (turn.started, turn.ended)), Some((at(33), at(34))));
    assert_eq!(state.next_deadline(), Some(at(64)), "counted from the end of the question");
    let let_go = hear(&mut state, [(64, CallEvent::TimePassed)]);
    assert_eq!(words(&let_go), ["say goodbye"]);
    assert_eq!(state.next_deadline(), Some(at(64 + 8)), "last words have 8 s");
    assert_eq!(words(&hear(&mut state, [(72, CallEvent::TimePassed)])), ["decide HangUp", "interrupt", "close 1000"]);
}

#[test]
fn an_answer_to_the_question_whether_they_are_there_starts_the_silence_anew() {
    let mut state = settled();
    let script = [(33, CallEvent::TimePassed), (34, CallEvent::PlayoutDrained), (40, spoke()), (41, stopped())];
    let _ = hear(&mut state, script);
    // It was no turn.
    state.timers.clear(super::Timer::Taken);
    assert_eq!(state.next_deadline(), Some(at(71)));
    assert_eq!(words(&hear(&mut state, [(71, CallEvent::TimePassed)])), ["say still_there"]);
}

#[test]
fn nobody_is_asked_whether_they_are_there_in_the_middle_of_a_conversation() {
    let begun = [(5, committed()), (6, created("r1", 2)), (13, began("a1")), (14, CallEvent::PlayoutDrained)];
    let words_come = [(13, agent_words()), (20, agent_words()), (27, agent_words())];
    let answering = [begun.to_vec(), words_come.to_vec()].concat();
    for (why, script, due) in [
        ("the agent is heard", vec![(3, began("a1")), (3, spoke()), (3, stopped())], 63),
        ("the caller speaks", vec![(3, spoke())], 63),
        ("an answer is being made", answering, 35),
    ] {
        let mut state = settled();
        let _ = hear(&mut state, script);
        assert_eq!(words(&hear(&mut state, [(33, CallEvent::TimePassed)])), [""; 0], "{why}");
        assert_eq!(state.next_deadline(), Some(at(due)), "{why}");
    }
}

#[test]
fn a_stream_without_media_is_closed_with_its_own_code() {
    let mut state = live(true);
    let effects = hear(&mut state, [(5, created("r1", 1)), (6, began("a1")), (17, CallEvent::TimePassed)]);
    assert_eq!(words(&effects), ["decide HangUp", "interrupt", "close 4408", "cancel"]);
}
