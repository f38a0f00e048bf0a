//! Decisions about answers: when the caller cuts one, when one is asked for again, how long the engine may take.

use super::super::event::CallEvent;
use super::super::table::*;
use super::*;
use crate::domain::Agent;
use crate::ports::{JournalEntry, ResponseOutcome};
use crate::supervise::Child;

fn rows_of_interruptions() -> Vec<Row> {
    let patient = Agent { barge_in: crate::domain::BargeIn::Off, ..agent(true) };
    vec![
        (
            "an agent that is not to be interrupted speaks on",
            quiet_of(patient),
            vec![committed(), created("r1", 2), agent_words(), began("a1")],
            spoke(),
            &[],
            "live",
        ),
        (
            "last words are not interrupted",
            quiet(true),
            vec![CallEvent::DrainExpired, began("phrase:apology")],
            spoke(),
            &[],
            "closing",
        ),
        (
            "an answer is cut before any of it is heard",
            quiet(true),
            vec![committed(), created("r1", 2)],
            spoke(),
            &["interrupt", "cancel"],
            "live",
        ),
        (
            "an answer made to its end is cut while it is heard: nothing to cancel",
            quiet(true),
            vec![committed(), created("r1", 2), agent_words(), began("a1"), done("r1", ResponseOutcome::Completed)],
            spoke(),
            &["interrupt"],
            "live",
        ),
        (
            "a media child that crashed speaks on, for it has lost no more than a message",
            quiet(true),
            vec![committed(), created("r1", 2), agent_words(), began("a1")],
            CallEvent::ChildCrashed(Child::Media),
            &["resume"],
            "live",
        ),
        (
            "… and falls silent if it was to",
            quiet(true),
            vec![committed(), created("r1", 2), agent_words(), began("a1"), spoke()],
            CallEvent::ChildCrashed(Child::Media),
            &["interrupt"],
            "live",
        ),
        (
            "… which it has told of",
            quiet(true),
            vec![committed(), created("r1", 2), agent_words(), began("a1"), spoke(), CallEvent::PlayoutCut(vec![])],
            CallEvent::ChildCrashed(Child::Media),
            &["resume"],
            "live",
        ),
        (
            "what was said and could not be written down is a turn, and nothing to understand",
            quiet(true),
            vec![spoke(), stopped()],
            engine(EngineEvent::CallerTranscriptFailed { item: "u1".into() }),
            &["turn"],
            "live",
        ),
    ]
}

fn rows_of_goodbyes() -> Vec<Row> {
    let completed = || done("r1", ResponseOutcome::Completed);
    vec![
        (
            "a goodbye without a word is said by the stored sentence when it is made",
            saying_goodbye(),
            vec![created("r1", 2)],
            completed(),
            &["say goodbye"],
            "closing",
        ),
        (
            "a goodbye in words is waited for before it begins to be heard",
            saying_goodbye(),
            vec![created("r1", 2), agent_words()],
            completed(),
            &[],
            "closing",
        ),
        (
            "… and while it is heard",
            saying_goodbye(),
            vec![created("r1", 2), agent_words(), began("a1")],
            completed(),
            &[],
            "closing",
        ),
        (
            "… and when it is heard the call ends",
            saying_goodbye(),
            vec![created("r1", 2), agent_words(), began("a1"), completed()],
            CallEvent::PlayoutDrained,
            &["turn", "decide HangUp", "interrupt", "close 1000"],
            "tearing",
        ),
        (
            "a turn committed during the goodbye is not answered",
            saying_goodbye(),
            vec![created("r1", 2), agent_words(), began("a1"), completed()],
            committed(),
            &[],
            "closing",
        ),
    ]
}

#[test]
fn every_row_of_the_table_holds() {
    hold(rows_of_interruptions());
    hold(rows_of_goodbyes());
}

#[test]
fn only_a_sign_of_the_answer_gives_the_engine_more_time() {
    let mut state = settled();
    let _ = hear(&mut state, [(4, committed())]);
    assert_eq!(state.next_deadline(), Some(at(12)));
    let _ = hear(&mut state, [(5, spoke()), (6, stopped()), (7, committed())]);
    assert_eq!(state.next_deadline(), Some(at(12)), "a caller who speaks on is no sign of life of the engine");
    let transcript = engine(EngineEvent::AgentTranscript { item: "a1".into(), text: "hello there".into() });
    for (seconds, sign) in [(8, created("r1", 2)), (9, agent_words()), (10, transcript), (11, called("look", "t1"))] {
        let _ = state.on(sign, at(seconds));
        assert_eq!(state.next_deadline(), Some(at(seconds + 8)));
    }
}

#[test]
fn an_engine_whose_answer_is_being_heard_owes_nothing() {
    let mut state = settled();
    let _ = hear(&mut state, [(4, committed()), (5, created("r1", 2)), (6, began("a1")), (7, agent_words())]);
    let cap = super::super::parting::time_up_earliest(&state.facts.agent.limits);
    assert_eq!(state.next_deadline(), Some(cap), "only the cap on the whole call is left");
}

#[test]
fn an_engine_without_a_sign_of_an_answer_is_replaced() {
    let mut state = settled();
    let effects = hear(&mut state, [(4, committed()), (12, CallEvent::TimePassed)]);
    assert_eq!(words(&effects), ["close engine", "say bridge", "open after 0 ms"]);
    assert_eq!(notes(&effects), [r#"engine_lost {"kind":"stalled"}"#]);
}

#[test]
fn an_engine_that_waits_for_an_action_or_is_still_heard_has_not_stalled() {
    for (why, script) in [
        ("an action runs", [(4, called("look", "t1")), (5, committed())]),
        ("the answer before is heard", [(4, began("a1")), (5, committed())]),
    ] {
        let mut state = settled();
        let _ = hear(&mut state, script);
        assert_eq!(state.next_deadline(), Some(at(13)), "{why}");
        let mut effects = Vec::new();
        state.on_engine_stalled(at(13), &mut effects);
        assert_eq!(effects, [], "{why}");
        assert_eq!(state.next_deadline(), Some(at(13 + 8)), "{why}");
    }
}

#[test]
fn a_second_session_is_noted_as_a_recovery_and_the_first_is_not() {
    let mut state = call(true);
    assert_eq!(notes(&hear(&mut state, [(1, engine(EngineEvent::Ready))])), [""; 0]);
    let again = hear(&mut state, [(2, lost()), (3, engine(EngineEvent::Ready))]);
    assert_eq!(notes(&again), [r#"engine_recovered {"attempts":1}"#]);
}

#[test]
fn the_cost_in_all_is_on_record_after_each_answer_that_cost_something() {
    let mut state = quiet(true);
    let costing = |audio_out| {
        let usage = Usage { audio_out, ..Usage::default() };
        engine(EngineEvent::ResponseDone { response: "r1".into(), outcome: ResponseOutcome::Completed, usage })
    };
    let mut spent = |event| {
        kept(&state.on(event, at(4)), |entry| match entry {
            JournalEntry::Spent { usage, .. } => Some(usage.audio_out),
            _ => None,
        })
    };
    assert_eq!(spent(costing(30)), [30]);
    assert_eq!(spent(costing(0)), [0; 0]);
    assert_eq!(spent(costing(12)), [42]);
    assert_eq!(state.usage(), Usage { audio_out: 42, ..Usage::default() });
}

#[test]
fn stored_phrases_follow_the_callers_language_as_far_as_the_agent_speaks_it() {
    use crate::domain::{Agent, Language};
    let said = |agent: Agent, turns: &[&str]| {
        let mut state = call_of(agent);
        let mut effects = Vec::new();
        for text in turns {
            state.hear_language(text, Duration::from_secs(1), &mut effects);
        }
        let changes = effects
            .iter()
            .filter(|effect| matches!(effect, Effect::Record(JournalEntry::Event { kind: "language_changed", .. })));
        (state.language, changes.count())
    };
    let hindi = || Agent { language: Language::Hindi, ..agent(true) };
    let table: [(Agent, &[&str], Language, usize); 6] = [
        (hindi(), &["where is my order please"], Language::English, 1),
        (hindi(), &["yes please"], Language::Hindi, 0),
        (hindi(), &["yes it is", "it is not"], Language::English, 1),
        (hindi(), &["mera order kahan hai bhai"], Language::Hindi, 0),
        (hindi(), &["where is my order please", "haan ji abhi tak nahi aaya"], Language::Hindi, 2),
        (Agent { languages: vec![Language::Hindi], ..hindi() }, &["where is my order please"], Language::Hindi, 0),
    ];
    for (agent, turns, language, changes) in table {
        assert_eq!(said(agent, turns), (language, changes), "{turns:?}");
    }
}

#[test]
fn what_is_written_in_other_letters_is_understood_in_hindis_and_kept_as_it_was() {
    use crate::domain::Language;
    use crate::ports::ContextItem;
    const WRITTEN: &str = "میرا آرڈر کہاں ہے؟";
    const MEANT: &str = "मेरा ऑर्डर कहाँ है?";
    let mut state = quiet_of(Agent { language: Language::English, ..agent(true) });
    let effects = hear(&mut state, [(10, spoke()), (11, stopped()), (11, committed()), (12, written_down(WRITTEN))]);
    let said: Vec<_> = turns(&effects).into_iter().map(|turn| (turn.text, turn.raw)).collect();
    assert_eq!(said, [(MEANT.into(), Some(WRITTEN.into()))]);
    let meant = effects.iter().find_map(|effect| match effect {
        Effect::Understand { text, .. } => Some(&**text),
        _ => None,
    });
    assert_eq!((meant, state.language), (Some(MEANT), Language::Hindi));
    let context = state.on(lost(), at(13)).into_iter().find_map(|effect| match effect {
        Effect::OpenEngine { context, language, .. } => Some((context, language)),
        _ => None,
    });
    let (context, language) = context.expect("a new session");
    let caller = |item: &ContextItem| matches!(item, ContextItem::Caller(text) if &**text == MEANT);
    assert!(context.iter().any(caller), "{context:?}");
    assert_eq!(language, Some(Language::Hindi));
}

#[test]
fn a_language_nobody_spoke_changes_none_and_what_is_hindi_by_its_letters_alone_neither() {
    use crate::domain::Language;
    for (written, raw) in [
        ("감사합니다 안녕히 계세요 여러분 모두", false),
        ("Продолжение следует в следующей серии", false),
        ("నాకు ఆర్డర్ రద్దు చేయాలి", true),
        ("آئی وانٹ ٹو کینسل مائی آرڈر", true),
    ] {
        let mut state = quiet_of(Agent { language: Language::English, ..agent(true) });
        let effects =
            hear(&mut state, [(10, spoke()), (11, stopped()), (11, committed()), (12, written_down(written))]);
        let turn = &turns(&effects)[0];
        assert_eq!((turn.raw.as_deref(), state.language), (raw.then_some(written), Language::English), "{written}");
        assert!(raw || &*turn.text == written);
    }
}
