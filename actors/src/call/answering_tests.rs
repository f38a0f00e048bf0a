//! Decisions about answers that fail, come to nothing, or are nothing but tool calls.

use super::super::event::{CallEvent, EngineChoice};
use super::super::table::*;
use super::*;
use crate::domain::Usage;
use crate::ports::EngineCommand;

const HANDED_OVER: &[&str] = &["close engine", "decide Transfer", "say hand_off"];

fn ms(n: u64) -> CallTime {
    Duration::from_millis(n)
}

fn completed(response: &str) -> CallEvent {
    done(response, ResponseOutcome::Completed)
}

fn out_of_quota(response: &str) -> CallEvent {
    done(response, ResponseOutcome::Failed(EngineError::Quota("empty".into())))
}

fn rows_of_failed_answers() -> Vec<Row> {
    vec![
        (
            "an answer that is refused for good is not asked for again",
            quiet(true),
            vec![committed(), created("r1", 2)],
            out_of_quota("r1"),
            HANDED_OVER,
            "closing",
        ),
        (
            "… but asked of the other engine, if there is one",
            asking(true).with_fallback(true),
            vec![],
            out_of_quota("r"),
            &["close engine", "say bridge", "open the fallback after 0 ms"],
            "live",
        ),
        (
            "an answer that failed is asked for again, but not at once",
            quiet(true),
            vec![committed(), created("r1", 2)],
            failed("r1"),
            &[],
            "live",
        ),
        (
            "… nor for what the caller says meanwhile",
            quiet(true),
            vec![committed(), created("r1", 2), done("r1", ResponseOutcome::Failed(busy(Some(at(2)))))],
            committed(),
            &[],
            "live",
        ),
        (
            "… but when its time has come",
            quiet(true),
            vec![committed(), created("r1", 2), failed("r1"), committed()],
            CallEvent::TimePassed,
            &["ask"],
            "live",
        ),
        (
            "a goodbye that fails is not asked for again: the stored one is said",
            saying_goodbye(),
            vec![created("r1", 2)],
            failed("r1"),
            &["say goodbye"],
            "closing",
        ),
        (
            "a session lost while an answer waits to be asked for again: the next one is asked",
            quiet(true),
            vec![committed(), created("r1", 2), failed("r1"), lost()],
            engine(EngineEvent::Ready),
            &["ask"],
            "live",
        ),
    ]
}

fn silent() -> CallEvent {
    engine(EngineEvent::AnswerSilent(vec!["a1".into()]))
}

fn rows_of_silent_answers() -> Vec<Row> {
    let then = |more: Vec<CallEvent>| [vec![committed(), created("r1", 2), agent_words()], more].concat();
    vec![
        (
            "an answer in words that nobody says is none",
            quiet(true),
            then(vec![silent()]),
            completed("r1"),
            &["ask"],
            "live",
        ),
        ("… and the session forgets it", quiet(true), then(vec![]), silent(), &["delete"], "live"),
    ]
}

#[test]
fn words_alone_keep_no_engine_alive() {
    let limits = agent(true).limits;
    let due = at(4) + limits.first_audio.max(limits.engine_progress) + limits.answer_gap;
    let heard = |sounds: bool| {
        let mut state = settled();
        let _ = hear(&mut state, [(4, committed()), (4, created("r1", 2))]);
        if sounds {
            let _ = hear(&mut state, [(4, began("a1")), (5, CallEvent::PlayoutDrained)]);
        }
        let mut done = Vec::new();
        for second in (5..60).map(at).take_while(|now| *now <= due) {
            let _ = state.on(agent_words(), second);
            done.extend(words(&state.on(CallEvent::TimePassed, second)));
        }
        done
    };
    assert!(heard(false).contains(&"close engine".to_owned()), "{:?}", heard(false));
    assert!(!heard(true).contains(&"close engine".to_owned()), "{:?}", heard(true));
}

#[test]
fn the_end_of_a_cancelled_answer_is_waited_for_no_longer_than_a_beginning() {
    let mut state = asking(true);
    let _ = hear(&mut state, [(5, created("r1", 2)), (5, agent_words()), (5, began("a1"))]);
    assert_eq!(words(&hear(&mut state, [(6, spoke())])), ["interrupt", "cancel"]);
    let _ = hear(&mut state, [(6, cut("a1", 100)), (7, stopped()), (7, committed())]);
    let due = at(7) + agent(true).limits.engine_progress;
    assert_eq!(words(&state.on(CallEvent::TimePassed, due - ms(1))), [""; 0]);
    assert_eq!(words(&state.on(CallEvent::TimePassed, due))[0], "close engine");
    // Nor longer for a caller who goes on speaking.
    let mut state = asking(true);
    let _ = hear(&mut state, [(5, created("r1", 2)), (5, agent_words()), (5, began("a1"))]);
    let _ = hear(&mut state, [(6, spoke()), (6, cut("a1", 100)), (7, stopped()), (7, committed())]);
    let again = EngineEvent::SpeechStarted { item: "u2".into(), at_ms: 0 };
    let _ = state.on(engine(again), due - ms(500));
    assert_eq!(words(&state.on(CallEvent::TimePassed, due))[0], "close engine");
}

#[test]
fn what_was_said_of_an_answer_is_not_said_again_by_the_next_session() {
    let instructed = |before: Vec<CallEvent>| {
        let mut state = asking(true);
        let _ = hear(&mut state, before.into_iter().map(|event| (5, event)));
        let _ =
            hear(&mut state, [(6, engine(EngineEvent::Lost(EngineError::Expired))), (7, CallEvent::PlayoutDrained)]);
        let effects = hear(&mut state, [(7, engine(EngineEvent::Ready))]);
        effects.iter().find_map(|effect| match effect {
            Effect::Engine(EngineCommand::CreateResponse { instructions, .. }) => Some(instructions.is_some()),
            _ => None,
        })
    };
    let whole = || engine(EngineEvent::AgentTranscript { item: "a1".into(), text: "hello there".into() });
    let made = |more: Vec<CallEvent>| [vec![created("r1", 2), agent_words()], more].concat();
    assert_eq!(instructed(vec![]), Some(false), "nothing was said");
    assert_eq!(instructed(made(vec![])), Some(false), "nothing was heard");
    assert_eq!(instructed(made(vec![began("a1")])), Some(true), "some of it was");
    assert_eq!(instructed(made(vec![began("a1"), whole()])), Some(true), "all of it may have been");
}

fn rows_of_answers_in_vain() -> Vec<Row> {
    let asked = || vec![committed(), created("r1", 2)];
    let then = |more: Vec<CallEvent>| asked().into_iter().chain(more).collect::<Vec<_>>();
    let cut_short = |outcome| done("r1", outcome);
    let incomplete = || cut_short(ResponseOutcome::Incomplete);
    let cancelled = || cut_short(ResponseOutcome::Cancelled);
    vec![
        (
            "an answer without anything in it is asked for once more",
            quiet(true),
            asked(),
            completed("r1"),
            &["ask"],
            "live",
        ),
        ("an incomplete answer, too", quiet(true), asked(), incomplete(), &["ask"], "live"),
        ("and one that the service cancelled by itself", quiet(true), asked(), cancelled(), &["ask"], "live"),
        (
            "the rest of one that broke off is asked for",
            quiet(true),
            then(vec![agent_words(), began("a1")]),
            incomplete(),
            &["ask"],
            "live",
        ),
        (
            "one that called a tool and was cut short goes on when the tool has answered",
            quiet(true),
            then(vec![called("look", "t1")]),
            incomplete(),
            &[],
            "live",
        ),
        (
            "one that the caller interrupted is not",
            quiet(true),
            then(vec![agent_words(), began("a1"), spoke(), cut("a1", 100)]),
            cancelled(),
            &["turn"],
            "live",
        ),
        (
            "nothing is asked for while the caller speaks",
            quiet(true),
            vec![committed(), spoke(), created("r1", 2)],
            cancelled(),
            &[],
            "live",
        ),
        (
            "… but when it is seen that they say nothing",
            quiet(true),
            vec![committed(), spoke(), created("r1", 2), cancelled(), stopped()],
            CallEvent::TimePassed,
            &["ask"],
            "live",
        ),
        ("an end of another answer is no reason to ask", quiet(true), asked(), completed("r0"), &[], "live"),
        (
            "the second in a row counts as failed",
            quiet(true),
            then(vec![completed("r1"), created("r2", 3)]),
            completed("r2"),
            &[],
            "live",
        ),
    ]
}

/// Calls tools in answer after answer until something else than an answer is wanted; how often an answer was asked for.
fn chain(state: &mut CallState, words_too: bool) -> (usize, Vec<String>) {
    let (mut asked, mut words_only) = (0, false);
    for n in 0..50u64 {
        let (response, tool_call) = (format!("r{n}"), format!("t{n}"));
        let mut all = state.on(created(&response, 2 + n), at(5));
        if words_only && words_too {
            all.extend(state.on(agent_words(), at(5)));
        } else {
            let called = called_with("look", &tool_call, &format!("{{\"n\":{n}}}"));
            all.extend(state.on(called, at(5)));
            if all.iter().any(|effect| matches!(effect, Effect::RunAction { .. })) {
                all.extend(state.on(finished(run(&all), None), at(5)));
            }
        }
        all.extend(state.on(completed(&response), at(5)));
        let ask = all.iter().find_map(|effect| match effect {
            Effect::Engine(EngineCommand::CreateResponse { words_only, .. }) => Some(*words_only),
            _ => None,
        });
        let Some(only) = ask else { return (asked, words(&all)) };
        (asked, words_only) = (asked + 1, only);
    }
    panic!("{asked} answers and no end")
}

#[test]
fn every_row_of_the_table_holds() {
    hold(rows_of_failed_answers());
    hold(rows_of_answers_in_vain());
    hold(rows_of_silent_answers());
}

#[test]
fn after_five_tool_calls_without_a_word_words_are_asked_for_and_no_tool_can_be_called() {
    let mut state = asking(true);
    assert_eq!(chain(&mut state, true), (5, vec![]), "five calls, each answered");
    // Somebody has spoken: tools may be called again.
    let effects = state.on(called_with("look", "t9", "{\"n\":99}"), at(6));
    assert_eq!(words(&effects), ["run"]);
}

#[test]
fn an_engine_that_calls_tools_even_then_is_not_asked_again_and_the_caller_is() {
    let mut state = asking(true);
    assert_eq!(chain(&mut state, false), (5, vec!["tool error".into(), "say say_again".into()]));
    let _ = state.on(CallEvent::PlayoutDrained, at(7));
    assert_eq!(words(&state.on(committed(), at(8))), ["ask"], "it is the caller's turn, and the call goes on");
}

#[test]
fn an_engine_that_says_nothing_when_words_are_asked_for_leaves_no_silence() {
    let mut state = asking(true);
    let mut all = state.on(created("r1", 2), at(4));
    for n in 0..5 {
        all.extend(state.on(called_with("look", &format!("t{n}"), &format!("{{\"n\":{n}}}")), at(4)));
    }
    let actions: Vec<_> = all
        .iter()
        .filter_map(|effect| if let Effect::RunAction { action, .. } = effect { Some(*action) } else { None })
        .collect();
    for action in actions {
        let _ = state.on(finished(action, None), at(4));
    }
    assert_eq!(words(&state.on(completed("r1"), at(4))), ["ask"]);
    let _ = state.on(created("r2", 3), at(5));
    assert_eq!(words(&state.on(completed("r2"), at(5))), ["say say_again"]);
}

#[test]
fn the_wait_is_what_the_engine_asks_for_within_bounds_and_else_grows() {
    let asked = |after: Option<u64>| busy(after.map(ms));
    for (told, waits) in
        [([Some(800), Some(800)], [800, 800]), ([None, None], [250, 500]), ([Some(60_000), None], [2_000, 500])]
    {
        let mut state = asking(true);
        let mut now = ms(5_000);
        for (n, (after, wait)) in told.into_iter().zip(waits).enumerate() {
            let response = format!("r{n}");
            let _ = state.on(created(&response, 2 + n as u64), now);
            let failed = state.on(done(&response, ResponseOutcome::Failed(asked(after))), now);
            assert_eq!(words(&failed), [""; 0], "{told:?}");
            let early = state.on(CallEvent::TimePassed, now + ms(wait - 1));
            assert_eq!(words(&early), [""; 0], "{told:?} {n}");
            now += ms(wait);
            assert_eq!(words(&state.on(CallEvent::TimePassed, now)), ["ask"], "{told:?} {n}");
        }
        // The third in a row is the last.
        let _ = state.on(created("r9", 4), now);
        assert_eq!(words(&state.on(failed("r9"), now)), HANDED_OVER, "{told:?}");
    }
}

#[test]
fn failures_count_only_once_they_were_waited_for() {
    let mut state = asking(true);
    let busy = |response: &str| done(response, ResponseOutcome::Failed(busy(Some(ms(800)))));
    let script = [created("r1", 2), busy("r1"), created("r2", 3), busy("r2"), created("r3", 4), busy("r3")];
    let effects: Vec<_> = script.into_iter().flat_map(|event| state.on(event, ms(5_000))).collect();
    assert_eq!(words(&effects), [""; 0]);
    assert_eq!(words(&state.on(CallEvent::TimePassed, ms(5_800))), ["ask"]);
    assert_eq!(state.trouble.failures, 1);
}

#[test]
fn an_answer_that_was_made_makes_up_for_those_that_failed() {
    let mut state = settled();
    let _ = state.on(committed(), at(4));
    for (n, last) in [(2, failed("r2")), (3, failed("r3")), (4, completed("r4"))] {
        let _ = state.on(created(&format!("r{n}"), n), at(4 * n));
        let _ = state.on(agent_words(), at(4 * n));
        let _ = state.on(last, at(4 * n));
        let _ = state.on(CallEvent::TimePassed, at(4 * n + 1));
    }
    assert_eq!(state.trouble.failures, 0);
    // One without a word does not.
    let _ = state.on(committed(), at(20));
    state.trouble.failures = 2;
    let _ = state.on(created("r5", 5), at(20));
    assert_eq!(words(&state.on(completed("r5"), at(20))), ["ask"]);
    assert_eq!(state.trouble.failures, 2);
}

#[test]
fn four_answers_without_anything_in_them_are_an_engine_that_does_not_work() {
    let mut state = asking(true);
    let mut heard = Vec::new();
    for n in 0..4u64 {
        let _ = state.on(created(&format!("r{n}"), 2 + n), at(5 + n));
        heard = words(&state.on(completed(&format!("r{n}")), at(5 + n)));
        let _ = state.on(CallEvent::TimePassed, at(6 + n));
    }
    assert_eq!(heard, HANDED_OVER);
}

#[test]
fn what_is_asked_for_again_is_what_was_asked_for() {
    let asked = |effects: &[Effect]| {
        effects.iter().find_map(|effect| match effect {
            Effect::Engine(EngineCommand::CreateResponse { instructions, .. }) => Some(instructions.clone()),
            _ => None,
        })
    };
    // While the phone connects, the greeting.
    let mut state = call(true);
    let greeting = asked(&state.on(engine(EngineEvent::Ready), at(1)));
    assert!(greeting.as_ref().is_some_and(Option::is_some));
    let _ = state.on(created("r0", 1), at(1));
    assert_eq!(asked(&state.on(completed("r0"), at(2))), greeting);
    let _ = state.on(created("r1", 2), at(2));
    let _ = state.on(failed("r1"), at(2));
    assert_eq!(asked(&state.on(CallEvent::TimePassed, at(3))), greeting);
    // Of an answer that broke off, the rest.
    let mut state = asking(true);
    let _ = hear(&mut state, [(4, created("r1", 2)), (4, agent_words()), (4, began("a1"))]);
    let rest = asked(&state.on(done("r1", ResponseOutcome::Incomplete), at(5))).flatten();
    assert!(rest.is_some_and(|rest| rest.contains("missing")));
}

#[test]
fn who_waits_for_an_answer_that_failed_is_told_so() {
    let mut state = asking(true);
    let mut facts = (*state.facts).clone();
    let mut agent = (*facts.agent).clone();
    agent.limits.filler_after = ms(1_500);
    facts.agent = agent.into();
    state.facts = facts.into();
    let slow = ResponseOutcome::Failed(busy(Some(ms(2_000))));
    let _ = hear(&mut state, [(4, created("r1", 2)), (4, done("r1", slow))]);
    assert_eq!(words(&state.on(CallEvent::TimePassed, ms(5_500))), ["say checking"]);
    assert_eq!(words(&state.on(CallEvent::TimePassed, at(6))), ["ask"]);
}

#[test]
fn what_one_engine_failed_at_is_asked_of_the_other() {
    let ready = || engine(EngineEvent::Ready);
    let failed = || {
        engine(EngineEvent::ResponseDone {
            response: "r".into(),
            outcome: ResponseOutcome::Failed(EngineError::Quota("empty".into())),
            usage: Usage::default(),
        })
    };
    // In mid-call an answer; before anything was said the greeting.
    for mut state in [quiet(true).with_fallback(true), call(true).with_fallback(true)] {
        let _ = hear(&mut state, [(20, ready()), (21, failed())]);
        assert_eq!(state.engine_by, EngineChoice::Fallback);
        assert_eq!(words(&state.on(ready(), at(22))), ["ask"]);
    }
}
