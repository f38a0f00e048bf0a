//! What a caller said into a session that was lost: heard again or not, and what follows.

use std::time::Duration;

use super::super::event::{CallEvent, Effect};
use super::super::state::CallState;
use super::super::table::*;
use crate::audio::level::Sound;
use crate::domain::{Agent, BargeIn, CallTime};
use crate::ports::{ActionError, ContextItem, EngineCommand, EngineError, EngineEvent, ResponseOutcome};

fn ready() -> CallEvent {
    engine(EngineEvent::Ready)
}

fn noticed(at_ms: u64) -> CallEvent {
    engine(EngineEvent::SpeechStarted { item: "u9".into(), at_ms })
}

fn of_u9(event: fn(std::sync::Arc<str>) -> EngineEvent) -> CallEvent {
    engine(event("u9".into()))
}

/// A quiet call whose caller asked something at 4 s; the answer is asked for.
fn asked() -> CallState {
    let mut state = quiet(true);
    let _ = hear(&mut state, [(4, spoke()), (6, stopped()), (6, committed())]);
    state
}

fn of_u2_stopped() -> CallEvent {
    engine(EngineEvent::SpeechStopped { item: "u2".into(), at_ms: 0, behind: Duration::ZERO })
}

fn again(effects: &[Effect]) -> Option<u64> {
    effects.iter().find_map(|effect| match effect {
        Effect::OpenEngine { again, .. } => Some(again.as_millis() as u64),
        _ => None,
    })
}

fn failed_session() -> CallEvent {
    CallEvent::EngineOpenFailed(EngineError::Connection("refused".into()))
}

/// A name, a call, what happens in it at which second, and how many milliseconds are heard again when the session is lost at 8 s.
type Lost = (&'static str, CallState, Vec<(u64, CallEvent)>, u64);

#[test]
fn what_nobody_wrote_down_or_answered_is_heard_again() {
    let late = |seconds: u64| Duration::from_millis(seconds * 1000 + 700).as_millis() as u64;
    let second = || engine(EngineEvent::SpeechStarted { item: "u2".into(), at_ms: 0 });
    let rows: [Lost; 11] = [
        ("a silence", quiet(true), vec![], 0),
        ("in the middle of speech", quiet(true), vec![(4, spoke())], late(4)),
        ("a question whose words are not there", asked(), vec![], late(4)),
        ("… although its answer is being made", asked(), vec![(7, created("r1", 2)), (7, agent_words())], late(4)),
        ("a question that was written down", asked(), vec![(7, written_down("when are you open"))], 0),
        (
            "a question whose answer has just begun to be heard",
            asked(),
            vec![(7, created("r1", 2)), (7, agent_words()), (7, began("a1"))],
            late(4),
        ),
        (
            "a question that was answered",
            asked(),
            vec![(7, created("r1", 2)), (7, began("a1")), (7, done("r1", ResponseOutcome::Completed))],
            0,
        ),
        ("two questions", asked(), vec![(7, second()), (7, of_u2_stopped())], late(4)),
        ("speech after a question that was answered", asked(), vec![(7, began("a1")), (7, noticed(0))], late(1)),
        ("the session after it failed as well", asked(), vec![(7, lost())], late(4)),
        ("… and before it had noticed anything", asked(), vec![(6, lost()), (7, ready())], late(4)),
    ];
    for (name, mut state, script, expected) in rows {
        let _ = hear(&mut state, script);
        let effects = state.on(if name.contains("failed as well") { failed_session() } else { lost() }, at(8));
        assert_eq!(again(&effects), Some(expected), "{name}");
    }
}

#[test]
fn no_more_than_twenty_seconds_are_heard_again() {
    let mut state = quiet(true);
    let _ = hear(&mut state, [(4, spoke())]);
    assert_eq!(again(&state.on(lost(), at(60))), Some(20_000));
}

#[test]
fn an_engine_that_is_given_up_hears_nothing_again_and_the_words_stay_owed() {
    let mut state = asked();
    let effects = words(&state.on(engine(EngineEvent::Lost(EngineError::Refused("key".into()))), at(8)));
    assert!(effects.contains(&"say hand_off".to_owned()), "{effects:?}");
    assert!(state.turns.owes_transcript());
}

#[test]
fn an_answer_that_was_owed_is_asked_for_although_what_is_heard_again_wants_none() {
    let mut state = quiet_of(Agent { barge_in: BargeIn::Normal, ..agent(true) });
    let second = engine(EngineEvent::SpeechStarted { item: "u2".into(), at_ms: 0 });
    let asked = [(4, spoke()), (6, stopped()), (6, committed()), (6, written_down("when are you open"))];
    let _ = hear(&mut state, asked);
    let _ =
        hear(&mut state, [(7, began("phrase:checking")), (7, second), (8, lost()), (8, ready()), (8, noticed(800))]);
    let behind = Duration::from_secs(2);
    let stopped = EngineEvent::SpeechStopped { item: "u9".into(), at_ms: 1_000, behind };
    let committed = EngineEvent::TurnCommitted { item: "u9".into() };
    assert_eq!(words(&hear(&mut state, [(8, engine(stopped)), (8, engine(committed))])), [""; 0], "it is not decided");
    let nothing = EngineEvent::CallerTranscript { item: "u9".into(), text: "".into() };
    assert_eq!(words(&state.on(engine(nothing), at(9))), ["turn", "resume", "ask"]);
}

#[test]
fn the_next_session_is_asked_once_it_has_heard_the_question() {
    let mut state = asked();
    assert_eq!(words(&state.on(lost(), at(7))), ["say bridge", "open, 3700 ms again"]);
    assert_eq!(words(&state.on(ready(), at(8))), [""; 0], "it does not know the question yet");
    // While the bridge is heard: nobody interrupts it.
    assert_eq!(words(&state.on(noticed(400), at(8))), [""; 0]);
    let _ =
        state.on(of_u9(|item| EngineEvent::SpeechStopped { item, at_ms: 2600, behind: Duration::from_secs(2) }), at(8));
    assert_eq!(words(&state.on(of_u9(|item| EngineEvent::TurnCommitted { item }), at(8))), ["ask"]);
    let _ = hear(&mut state, [(9, created("r9", 3))]);
    assert_eq!(words(&state.on(CallEvent::TimePassed, at(12))), [""; 0], "asked once");
    let said = of_u9(|item| EngineEvent::CallerTranscript { item, text: "when are you open".into() });
    let turn = turns(&state.on(said, at(12))).remove(0);
    assert_eq!((turn.started, &*turn.text), (at(4), "when are you open"), "said when it was said");
}

/// What is asked for: `true`, the rest of an answer only.
fn asks(effects: &[Effect]) -> Vec<bool> {
    let asked = |effect: &Effect| match effect {
        Effect::Engine(EngineCommand::CreateResponse { instructions, .. }) => Some(instructions.is_some()),
        _ => None,
    };
    effects.iter().filter_map(asked).collect()
}

#[test]
fn of_an_answer_that_was_heard_in_part_the_rest_is_asked_for_once_its_question_is_heard_again() {
    let said = |item: &'static str, at_ms| engine(EngineEvent::SpeechStarted { item: item.into(), at_ms });
    let ended = |item: &'static str| {
        let behind = Duration::from_secs(2);
        let stopped = engine(EngineEvent::SpeechStopped { item: item.into(), at_ms: 1_500, behind });
        [stopped, engine(EngineEvent::TurnCommitted { item: item.into() })]
    };
    let answering = || {
        let mut state = asked();
        let _ = hear(&mut state, [(7, created("r1", 2)), (7, agent_words()), (7, began("a1"))]);
        state
    };
    let replay =
        |state: &mut CallState, events: Vec<CallEvent>| asks(&hear(state, events.into_iter().map(|event| (8, event))));
    let [stopped, committed] = ended("u9");
    let question = || vec![lost(), ready(), noticed(800), stopped.clone(), committed.clone()];
    assert_eq!(replay(&mut answering(), question()), [true]);
    assert_eq!(replay(&mut asked(), question()), [false], "none of it was heard");
    let mut twice = vec![lost(), failed_session()];
    twice.extend(question().split_off(1));
    assert_eq!(replay(&mut answering(), twice), [true], "and one session failed in between");

    // A question in two breaths.
    let mut state = answering();
    assert_eq!(replay(&mut state, question()), [true]);
    let mut rest = vec![said("u10", 2_000)];
    rest.extend(ended("u10"));
    assert_eq!(replay(&mut state, rest), [false; 0], "the rest is asked for already");
    // Something new is answered.
    let done = done("r9", ResponseOutcome::Completed);
    let rest = engine(EngineEvent::AgentTranscript { item: "b1".into(), text: "and until nine".into() });
    let mut new = vec![CallEvent::PlayoutDrained, created("r9", 3), rest, done, said("u11", 9_000)];
    new.extend(ended("u11"));
    assert_eq!(replay(&mut state, new), [false]);

    // Who has said something into the answer wants more than the rest of it.
    let mut state = answering();
    let _ = hear(&mut state, [(7, CallEvent::TimePassed)]);
    let [stopped, committed] = ended("u2");
    let into = [engine(EngineEvent::SpeechStarted { item: "u2".into(), at_ms: 0 }), stopped, committed];
    let _ = hear(&mut state, into.into_iter().map(|event| (8, event)));
    assert_eq!(replay(&mut state, question()), [false]);

    // Nothing is noticed of it.
    let mut state = answering();
    let _ = hear(&mut state, [(8, lost()), (8, ready())]);
    let effects = state.on(CallEvent::TimePassed, at(10));
    assert_eq!((asks(&effects), words(&effects).contains(&"note".to_owned())), (vec![true], false));
}

#[test]
fn one_that_notices_nothing_is_asked_all_the_same() {
    let mut state = asked();
    let _ = hear(&mut state, [(7, lost()), (8, ready())]);
    assert_eq!(words(&state.on(CallEvent::TimePassed, at(10))), ["turn", "note", "ask"]);
    let _ = hear(&mut state, [(10, created("r9", 3)), (10, done("r9", ResponseOutcome::Completed))]);
    assert_eq!(words(&state.on(CallEvent::TimePassed, at(13))), [""; 0]);
}

fn sounded(began: u64, ended: u64) -> CallEvent {
    let ms = Duration::from_millis;
    CallEvent::LineSounded(Sound { began: ms(began), ended: ms(ended), clear: ms(ended - began) })
}

#[test]
fn what_is_said_while_no_session_listens_is_waited_for_and_has_its_own_time() {
    let ms = Duration::from_millis;
    let mut state = quiet(true);
    assert_eq!(words(&state.on(lost(), at(4))), ["open after 0 ms"], "nobody notices");
    assert_eq!(words(&state.on(sounded(4_500, 5_300), ms(5_450))), [""; 0]);
    assert_eq!(words(&state.on(CallEvent::TimePassed, ms(5_750))), ["say bridge"]);
    assert!(state.awaits(), "they are told again, and no session is waited for longer than somebody waits");
    let _ = hear(&mut state, [(5, began("phrase:bridge")), (7, CallEvent::PlayoutDrained)]);
    assert_eq!(words(&state.on(ready(), at(8))), [""; 0], "it has not heard it yet");
    // Its sound began 300 ms before the loss.
    assert_eq!(words(&state.on(noticed(800), at(8))), [""; 0]);
    let behind = Duration::from_secs(2);
    let stopped = engine(EngineEvent::SpeechStopped { item: "u9".into(), at_ms: 1_600, behind });
    assert_eq!(words(&state.on(stopped, at(8))), [""; 0]);
    assert_eq!(words(&state.on(of_u9(|item| EngineEvent::TurnCommitted { item }), at(8))), ["ask"]);
    let said = of_u9(|item| EngineEvent::CallerTranscript { item, text: "when are you open".into() });
    assert_eq!(turns(&state.on(said, at(9))).remove(0).started, ms(4_500));
    let _ = hear(&mut state, [(9, created("r9", 2))]);
    assert_eq!(words(&state.on(CallEvent::TimePassed, at(10))), [""; 0], "once");
    // Nothing is noticed of it: whoever was told to wait is answered.
    let mut state = quiet(true);
    let _ = hear(&mut state, [(4, lost())]);
    let _ = state.on(sounded(4_500, 5_300), ms(5_450));
    let _ = hear(&mut state, [(6, CallEvent::TimePassed), (7, CallEvent::PlayoutDrained), (8, ready())]);
    assert_eq!(words(&state.on(CallEvent::TimePassed, at(10))), ["ask"]);
}

#[test]
fn a_session_that_listens_soon_is_asked_once_it_has_told_what_was_said() {
    let ms = Duration::from_millis;
    let mut state = quiet(true);
    let _ = hear(&mut state, [(4, lost())]);
    let _ = state.on(sounded(4_500, 5_300), ms(5_450));
    let _ = state.on(ready(), ms(5_600));
    assert_eq!(words(&state.on(CallEvent::TimePassed, ms(5_750))), [""; 0], "nobody was told to wait");
    let _ = state.on(noticed(800), ms(5_850));
    let stopped = EngineEvent::SpeechStopped { item: "u9".into(), at_ms: 1_600, behind: ms(600) };
    let _ = state.on(engine(stopped), ms(5_900));
    assert_eq!(words(&state.on(of_u9(|item| EngineEvent::TurnCommitted { item }), ms(5_900))), ["ask"]);
    let _ = state.on(created("r9", 2), ms(6_000));
    assert_eq!(words(&state.on(CallEvent::TimePassed, ms(7_700))), [""; 0], "once");
    // A bark that no session notices, and for which nobody was told to wait, is nobody's word.
    let mut state = quiet(true);
    let _ = hear(&mut state, [(4, lost())]);
    let _ = state.on(sounded(4_100, 4_500), ms(4_650));
    let _ = state.on(ready(), ms(4_700));
    for now in [4_950, 6_800, 9_000] {
        assert_eq!(words(&state.on(CallEvent::TimePassed, ms(now))), [""; 0]);
    }
}

#[test]
fn a_filler_after_an_outage_makes_nothing_owed_that_is_asked_for() {
    let ms = Duration::from_millis;
    let limits = crate::domain::CallLimits { filler_after: ms(1_500), ..agent(true).limits };
    let mut state = quiet_of(Agent { limits, ..agent(true) });
    let _ = hear(&mut state, [(4, lost())]);
    let _ = state.on(sounded(4_500, 5_300), ms(5_450));
    let _ = state.on(ready(), ms(5_600));
    let _ = state.on(noticed(800), ms(5_850));
    let stopped = EngineEvent::SpeechStopped { item: "u9".into(), at_ms: 1_600, behind: ms(600) };
    let _ = state.on(engine(stopped), ms(5_900));
    let _ = state.on(of_u9(|item| EngineEvent::TurnCommitted { item }), ms(5_900));
    let _ = state.on(created("r9", 2), ms(6_000));
    let _ = state.on(CallEvent::TimePassed, ms(7_600));
    assert_eq!(words(&state.on(CallEvent::TimePassed, ms(7_900))), [""; 0]);
    assert!(state.fillers > 0 && !state.answer_owed);
}

#[test]
fn an_outage_of_before_says_nothing_of_a_session_that_took_the_place_of_another() {
    let mut state = quiet(true);
    let _ = hear(&mut state, [(4, lost()), (5, ready()), (6, CallEvent::MediaResumed)]);
    // The session is renewed at twenty seconds, and its count of sound begins anew.
    state.session_is_gone();
    state.on_engine_ready(at(20), &mut vec![]);
    let _ = state.on(noticed(500), at(21));
    let _ =
        hear(&mut state, [(22, of_u9(|item| EngineEvent::SpeechStopped { item, at_ms: 0, behind: Duration::ZERO }))]);
    let said = of_u9(|item| EngineEvent::CallerTranscript { item, text: "when are you open".into() });
    assert_eq!(turns(&state.on(said, at(23))).remove(0).started, at(21));
}

#[test]
fn speech_after_the_loss_is_new() {
    let mut state = asked();
    let _ = hear(&mut state, [(7, lost()), (8, ready()), (8, created("r9", 2)), (8, began("a9"))]);
    // The session's sound began at 3.3 s; at 7 s the one before was lost, and at 8 s it listened.
    assert_eq!(words(&state.on(noticed(4_800), at(9))), ["interrupt", "cancel"]);
}

#[test]
fn an_interruption_that_falls_into_a_broken_session_is_decided_by_the_next() {
    let into_an_answer = || {
        let mut state = quiet_of(Agent { barge_in: BargeIn::Normal, ..agent(true) });
        let script = [(3, spoke()), (3, stopped()), (3, committed()), (3, written_down("when are you open"))];
        let _ = hear(&mut state, script);
        let _ = hear(&mut state, [(4, created("r1", 2)), (4, agent_words()), (4, began("a1"))]);
        assert_eq!(words(&state.on(noticed(0), at(5))), ["hold"]);
        assert!(!words(&state.on(lost(), at(6))).contains(&"resume".to_owned()), "the agent does not talk over them");
        let _ = state.on(ready(), at(6));
        for event in [noticed(400), of_u9(|item| EngineEvent::SpeechStopped { item, at_ms: 0, behind: Duration::ZERO })]
        {
            let _ = state.on(event, at(6));
        }
        let _ = state.on(of_u9(|item| EngineEvent::TurnCommitted { item }), at(6));
        state
    };
    let said = |text: &str| engine(EngineEvent::CallerTranscript { item: "u9".into(), text: text.into() });
    let effects = words(&into_an_answer().on(said("no stop I want to cancel everything"), at(7)));
    assert!(effects.contains(&"interrupt".to_owned()), "{effects:?}");
    let effects = words(&into_an_answer().on(said("haan"), at(7)));
    assert!(effects.contains(&"resume".to_owned()), "{effects:?}");
}

#[test]
fn without_a_next_session_the_line_tells_whether_it_was_a_noise() {
    for (length, expected) in [(200, "resume"), (900, "interrupt")] {
        let mut state = quiet_of(Agent { barge_in: BargeIn::Normal, ..agent(true) });
        let _ = hear(
            &mut state,
            [(4, created("r1", 2)), (4, agent_words()), (4, began("a1")), (5, noticed(0)), (5, lost())],
        );
        let since = at(5) + Duration::from_millis(length);
        let _ = state.on(CallEvent::LineQuiet { since }, since + Duration::from_millis(150));
        let effects = words(&state.on(CallEvent::TimePassed, at(8)));
        assert!(effects.contains(&expected.to_owned()), "{length} ms: {effects:?}");
    }
}

#[test]
fn keys_and_notes_are_told_although_one_opening_fails() {
    let mut state = quiet(true);
    let _ = hear(&mut state, [(4, lost()), (5, CallEvent::DtmfPressed('5')), (7, CallEvent::TimePassed)]);
    let _ = hear(&mut state, [(8, failed_session())]);
    assert_eq!(words(&state.on(ready(), at(9))), ["ask"], "what they pressed is in the context of this session");
}

#[test]
fn nobody_is_told_to_wait_while_they_speak() {
    let mut state = quiet(true);
    let _ = state.on(spoke(), at(4));
    assert_eq!(words(&state.on(lost(), at(5))), ["open, 1700 ms again"]);
    assert_eq!(words(&state.on(CallEvent::LineQuiet { since: at(6) }, at(6))), [""; 0], "it may be a pause");
    assert_eq!(words(&state.on(CallEvent::TimePassed, CallTime::from_millis(6450))), ["say bridge"]);

    let mut noisy = quiet(true);
    let _ = hear(&mut noisy, [(4, spoke()), (5, lost())]);
    assert_eq!(words(&noisy.on(CallEvent::TimePassed, at(9))), ["say bridge"], "a line that is never quiet");

    let mut quick = quiet(true);
    let _ = hear(&mut quick, [(4, spoke()), (5, lost()), (5, ready()), (5, noticed(700))]);
    let _ = quick.on(CallEvent::LineQuiet { since: at(6) }, at(6));
    assert_eq!(words(&quick.on(CallEvent::TimePassed, at(7))), [""; 0], "the next session listens already");
}

fn told_of_what_was_acted_on(effects: &[Effect]) -> Option<bool> {
    effects.iter().find_map(|effect| match effect {
        Effect::OpenEngine { context, .. } => {
            let notes =
                |item: &ContextItem| matches!(item, ContextItem::Note(text) if text.contains("already acted on"));
            assert!(!context.iter().rev().skip(1).any(notes), "it stands behind the results");
            Some(context.last().is_some_and(notes))
        }
        _ => None,
    })
}

#[test]
fn a_session_that_hears_words_again_is_told_if_they_were_acted_on() {
    // At which second the tool is called and at which it ends well (0: never), and whether the next session is told.
    for (name, called_at, done_at, told) in [
        ("the question led to it, and its answer was not heard", 7, 8, true),
        ("it still runs", 7, 0, true),
        ("nothing was done", 0, 0, false),
        ("it ended before what is heard again began", 3, 4, false),
        ("it ended while they spoke", 3, 5, true),
    ] {
        let mut state = quiet(true);
        let tool = called("book", "t1");
        let mut begun = None;
        for second in 3..9 {
            if second == called_at {
                begun = Some(run(&state.on(tool.clone(), at(second))));
            }
            if second == done_at {
                let _ = state.on(finished(begun.expect("it runs"), None), at(second));
            }
            let heard = match second {
                5 => vec![spoke()],
                6 => vec![stopped(), committed()],
                _ => vec![],
            };
            let _ = hear(&mut state, heard.into_iter().map(|event| (second, event)));
        }
        let effects = state.on(lost(), at(9));
        assert_eq!(told_of_what_was_acted_on(&effects), Some(told), "{name}");
        assert!(again(&effects).is_some_and(|again| again > 0), "{name}");
        let next = state.on(failed_session(), at(10));
        assert_eq!(told_of_what_was_acted_on(&next), Some(told), "{name}: and the one after it");
    }

    // Words that were written down are not heard again, whatever was done.
    let mut state = asked();
    let action = run(&state.on(called("book", "t1"), at(6)));
    let _ = hear(&mut state, [(7, written_down("ring me tomorrow")), (7, finished(action, None))]);
    assert_eq!(told_of_what_was_acted_on(&state.on(lost(), at(8))), Some(false));

    // What failed may be asked for again.
    let mut state = asked();
    let action = run(&state.on(called("book", "t1"), at(6)));
    let result = Err(ActionError::Refused("not now".to_owned()));
    let _ = hear(&mut state, [(7, CallEvent::ActionFinished { action, attempts: 1, result })]);
    assert_eq!(told_of_what_was_acted_on(&state.on(lost(), at(8))), Some(false));
}
