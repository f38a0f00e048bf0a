//! Decisions about tools: how many in a row, when their output is answered, what outlives a session.

use super::super::event::CallEvent;
use super::super::table::*;
use super::*;
use crate::ports::{EngineEvent, ResponseOutcome};
use crate::supervise::Child;

fn rows_of_chains() -> Vec<Row> {
    let calls = |count| (0..count).map(|_| called("look", "t1")).collect::<Vec<_>>();
    let then = |count, event| calls(count).into_iter().chain([event]).collect();
    vec![
        ("the fifth tool call without a word is taken", quiet(true), calls(4), called("look", "t5"), &[], "live"),
        ("the sixth is refused", quiet(true), calls(5), called("look", "t6"), &["tool error"], "live"),
        (
            "… but not if the agent has spoken meanwhile",
            quiet(true),
            then(5, agent_words()),
            called("look", "t6"),
            &[],
            "live",
        ),
        ("… or the caller has", quiet(true), then(5, committed()), called("look", "t6"), &[], "live"),
    ]
}

fn rows_of_given_up_children() -> Vec<Row> {
    let (looking, look) = acting("look");
    vec![
        (
            "what a tool answers while the caller speaks is told, and nothing is asked into their words",
            looking.clone(),
            vec![spoke()],
            finished(look, None),
            &["tool output"],
            "live",
        ),
        ("… until they have spoken", looking, vec![spoke(), finished(look, None)], committed(), &["ask"], "live"),
        (
            "without the action child a running action has no answer",
            acting("book").0,
            vec![],
            CallEvent::ChildGaveUp(Child::Action),
            &["tool error", "ask"],
            "live",
        ),
        (
            "without the intent child it runs on",
            acting("book").0,
            vec![],
            CallEvent::ChildGaveUp(Child::Intent),
            &[],
            "live",
        ),
    ]
}

#[test]
fn every_row_of_the_table_holds() {
    hold(rows_of_chains());
    hold(rows_of_given_up_children());
}

#[test]
fn the_journal_keeps_the_name_of_a_tool_bounded_and_on_one_line() {
    let mut state = quiet(true);
    let long = format!("fly\n{}", "y".repeat(80));
    let expected = format!(r#"tool_answered {{"tool":"fly{}","why":"refused"}}"#, "y".repeat(61));
    assert_eq!(notes(&state.on(called(&long, "t1"), at(4))), [expected]);
}

#[test]
fn a_tool_called_again_after_its_end_is_noted_as_known() {
    let (mut state, id) = acting("look");
    let effects = hear(&mut state, [(5, finished(id, None)), (6, called("look", "t2"))]);
    assert_eq!(notes(&effects), [r#"tool_answered {"tool":"look","why":"known already"}"#]);
}

#[test]
fn two_tools_of_one_answer_are_answered_once_when_both_have_ended() {
    let (mut state, look) = acting("look");
    let effects = state.on(called("book", "t2"), at(4));
    let Some(Effect::RunAction { action: book, spec, .. }) = effects.first() else { panic!("not run") };
    assert_eq!(&*spec.tool.name, "book");
    assert_eq!(words(&state.on(finished(look, None), at(5))), ["tool output"]);
    assert_eq!(words(&state.on(finished(*book, None), at(6))), ["tool output", "ask"]);
}

#[test]
fn a_tool_that_ends_after_the_goodbye_was_asked_for_wants_no_answer() {
    let (mut state, look) = acting("look");
    let book = run(&state.on(called("book", "t2"), at(4)));
    let effects = state.on(finished(look, Some(CallChange::End)), at(5));
    assert_eq!(words(&effects), ["tool output", "ask"]);
    assert_eq!(words(&state.on(finished(book, None), at(6))), ["tool output"]);
    assert_eq!(state.phase(), &Phase::Closing(EndReason::AgentEnded));
}

#[test]
fn what_an_action_did_is_told_to_the_session_after_the_one_that_asked_for_it() {
    let (mut state, id) = acting("look");
    let script = [(5, lost()), (6, engine(EngineEvent::Ready)), (7, created("r1", 2)), (7, agent_words())];
    let _ = hear(&mut state, script);
    let _ = state.on(done("r1", ResponseOutcome::Completed), at(8));
    assert_eq!(words(&state.on(finished(id, None), at(9))), ["note", "ask"]);
}
