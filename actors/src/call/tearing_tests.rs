//! Decisions after the end: what is still collected, for how long, and what is on record of it.

use super::super::event::CallEvent;
use super::super::table::*;
use super::*;
use crate::audio::playout::Cut;
use crate::domain::{ActionState, IntentKind, Understanding, Usage, Yes};
use crate::ports::{EngineEvent, ResponseOutcome};

const GONE: &[&str] = &["close engine", "ended", "finish caller_hung_up"];

fn ear() -> CallEvent {
    CallEvent::PlayoutCut(vec![])
}

fn half_second(seconds: u64) -> CallTime {
    at(seconds) + Duration::from_millis(500)
}

fn rows_of_last_transcripts() -> Vec<Row> {
    let owed = |and: Vec<CallEvent>| [vec![spoke(), stopped(), hung_up()], and].concat();
    vec![
        ("the caller's last words are waited for", quiet(true), owed(vec![]), ear(), &[], "tearing"),
        (
            "… are kept when they come, and what they mean is waited for",
            quiet(true),
            owed(vec![ear()]),
            written_down("bye"),
            &["understand", "turn"],
            "tearing",
        ),
        (
            "… but not from a child that is gone",
            quiet(true),
            owed(vec![ear(), written_down("bye")]),
            CallEvent::ChildCrashed(Child::Intent),
            &["close engine", "ended", "finish caller_hung_up"],
            "ended",
        ),
        (
            "… are a turn without words when they cannot be written down",
            quiet(true),
            owed(vec![ear()]),
            engine(EngineEvent::CallerTranscriptFailed { item: "u1".into() }),
            &["turn", "close engine", "ended", "finish caller_hung_up"],
            "ended",
        ),
        (
            "… are not waited for when the engine is lost meanwhile",
            quiet(true),
            owed(vec![ear()]),
            lost(),
            &["turn", "close engine", "ended", "finish caller_hung_up"],
            "ended",
        ),
        (
            "… or was lost before",
            quiet(true),
            vec![spoke(), stopped(), lost(), hung_up()],
            ear(),
            &["turn", "close engine", "ended", "finish caller_hung_up"],
            "ended",
        ),
        (
            "… nor once they have come",
            quiet(true),
            owed(vec![written_down("bye"), CallEvent::ChildCrashed(Child::Intent)]),
            ear(),
            GONE,
            "ended",
        ),
        ("a caller cut off in a sentence is waited for", quiet(true), vec![spoke(), hung_up()], ear(), &[], "tearing"),
        (
            "… and leaves a turn without words where no engine hears them",
            quiet(true),
            vec![spoke(), lost(), hung_up()],
            ear(),
            &["turn", "close engine", "ended", "finish caller_hung_up"],
            "ended",
        ),
    ]
}

fn rows_of_children() -> Vec<Row> {
    let (acting, id) = acting("book");
    vec![
        ("an action that runs is waited for", acting.clone(), vec![hung_up()], ear(), &[], "tearing"),
        ("… until it ends", acting.clone(), vec![hung_up(), ear()], finished(id, None), GONE, "ended"),
        (
            "… or its child crashes",
            acting.clone(),
            vec![hung_up(), ear()],
            CallEvent::ChildCrashed(Child::Action),
            GONE,
            "ended",
        ),
        ("… or is given up", acting, vec![hung_up(), ear()], CallEvent::ChildGaveUp(Child::Action), GONE, "ended"),
        (
            "a media child that crashes knows of the ear as before, and is asked once more",
            quiet(true),
            vec![hung_up()],
            CallEvent::ChildCrashed(Child::Media),
            &["interrupt"],
            "tearing",
        ),
        (
            "… and one that is given up knows nothing of it",
            quiet(true),
            vec![hung_up()],
            CallEvent::ChildGaveUp(Child::Media),
            GONE,
            "ended",
        ),
        ("a key is of no use any more", quiet(true), vec![hung_up()], CallEvent::DtmfPressed('#'), &[], "tearing"),
    ]
}

#[test]
fn every_row_of_the_table_holds() {
    hold(rows_of_last_transcripts());
    hold(rows_of_children());
}

#[test]
fn a_call_that_is_over_is_gone_within_its_teardown_limit() {
    let mut state = settled();
    let _ = hear(&mut state, [(5, hung_up())]);
    assert_eq!(state.next_deadline(), Some(half_second(9)), "half a second of the five is for the actor");
    assert_eq!(words(&state.on(CallEvent::TimePassed, half_second(9))), GONE);
    assert_eq!(state.next_deadline(), None);
}

#[test]
fn the_callers_last_words_have_1500_ms() {
    let mut state = settled();
    let _ = hear(&mut state, [(4, spoke()), (5, stopped()), (6, hung_up()), (6, ear())]);
    assert_eq!(state.next_deadline(), Some(half_second(7)));
    let effects = state.on(CallEvent::TimePassed, half_second(7));
    assert_eq!(words(&effects), ["turn", "close engine", "ended", "finish caller_hung_up"]);
}

#[test]
fn a_lost_engine_is_not_waited_for() {
    let mut state = settled();
    let _ = hear(&mut state, [(4, spoke()), (5, stopped()), (5, lost()), (6, hung_up())]);
    assert_eq!(state.next_deadline(), Some(half_second(10)), "only the teardown limit is left");
}

#[test]
fn an_action_has_until_the_teardown_limit_and_is_unknown_after_it() {
    let (mut state, _) = acting("book");
    let script = [(4, spoke()), (5, stopped()), (6, hung_up()), (6, ear()), (8, CallEvent::TimePassed)];
    assert_eq!(hear(&mut state, script), []);
    assert_eq!(state.next_deadline(), Some(half_second(10)));
    let effects = state.on(CallEvent::TimePassed, half_second(10));
    assert_eq!(action_states(&effects), [ActionState::Unknown]);
    assert_eq!(state.phase(), &Phase::Ended(EndReason::CallerHungUp));
}

#[test]
fn an_action_that_ends_after_the_call_is_on_record_with_its_outcome() {
    let (mut state, id) = acting("book");
    let effects = hear(&mut state, [(5, hung_up()), (6, finished(id, None))]);
    assert_eq!(action_states(&effects), [ActionState::Done]);
    assert_eq!(words(&effects), [""; 0], "the ear is still waited for, and nobody is told");
}

#[test]
fn the_agents_last_turn_is_on_record_as_far_as_it_was_heard() {
    let mut state = settled();
    let whole = engine(EngineEvent::AgentTranscript { item: "a1".into(), text: "one two three four".into() });
    let heard = CallEvent::PlayoutCut(vec![Cut { item: "a1".into(), heard_ms: 500, total_ms: 1000 }]);
    let script = [(4, committed()), (4, created("r1", 2)), (4, agent_words()), (5, began("a1")), (6, hung_up())];
    let _ = hear(&mut state, script);
    let turns = turns(&hear(&mut state, [(6, whole), (7, heard)]));
    let texts: Vec<_> = turns.iter().map(|turn| (&*turn.text, &*turn.unheard)).collect();
    assert_eq!(texts, [("one two", "three four")]);
}

#[test]
fn what_an_answer_cost_counts_although_the_call_is_over() {
    let mut state = quiet(true);
    let usage = Usage { text_out: 9, ..Usage::default() };
    let cost = engine(EngineEvent::ResponseDone { response: "r1".into(), outcome: ResponseOutcome::Cancelled, usage });
    let effects = hear(&mut state, [(5, hung_up()), (6, cost), (7, ear())]);
    let ended = kept(&effects, |entry| match entry {
        JournalEntry::Ended { usage, at, .. } => Some((usage.text_out, *at)),
        _ => None,
    });
    assert_eq!(ended, [(9, at(7))]);
}

#[test]
fn what_a_turn_meant_is_on_record_although_the_call_is_over() {
    let mut state = quiet(true);
    let understanding = Understanding {
        intent: IntentKind::Goodbye,
        own: None,
        confidence: 1.0,
        yes: Yes::Neither,
        wish: None,
        abusive: false,
        entities: vec![],
    };
    let turn = crate::domain::TurnId::new();
    let effects = hear(&mut state, [(5, hung_up()), (6, CallEvent::TurnUnderstood { turn, understanding })]);
    let meant = kept(&effects, |entry| match entry {
        JournalEntry::Intent { turn, understanding, .. } => Some((*turn, understanding.intent)),
        _ => None,
    });
    assert_eq!(meant, [(turn, IntentKind::Goodbye)]);
}
