//! A caller who speaks into a goodbye: heard out, and what becomes of the call.

use std::sync::Arc;

use super::super::event::CallEvent;
use super::super::table::*;
use super::*;
use crate::domain::{ActionState, MenuChoice, Speaker, Understanding, Yes};
use crate::ports::{ActionSpec, EngineEvent, JournalEntry, SameAction};

fn meant(intent: IntentKind) -> Understanding {
    let (own, wish, abusive, entities) = (None, None, false, vec![]);
    Understanding { intent, own, confidence: 1.0, yes: Yes::Neither, wish, abusive, entities }
}

/// Nobody has said anything for a minute: goodbye is being said since 64 s.
fn nobody_spoke() -> CallState {
    let mut state = settled();
    let silence = [(33, CallEvent::TimePassed), (34, CallEvent::PlayoutDrained), (64, CallEvent::TimePassed)];
    assert_eq!(words(&hear(&mut state, silence)), ["say goodbye"], "it is not decided that it ends");
    let _ = state.on(began("phrase:goodbye"), at(64));
    state
}

/// The engine has ended the call at 64 s, and says so.
fn served() -> CallState {
    let (mut state, id) = acting("look");
    for entry in state.ledger.entries_mut() {
        entry.spec = Arc::new(ActionSpec { same: SameAction::PerCall, ..(*entry.spec).clone() });
    }
    let _ = state.on(CallEvent::MediaResumed, at(60));
    let _ = hear(&mut state, [(64, finished(id, Some(crate::ports::CallChange::End)))]);
    let _ = hear(&mut state, [(64, created("r9", 2)), (64, agent_words()), (64, began("a1"))]);
    let _ = state.on(done("r9", crate::ports::ResponseOutcome::Completed), at(65));
    assert!(matches!(state.phase, Phase::Closing(EndReason::AgentEnded)));
    state
}

/// What follows when it is said into it, written down and understood.
fn answered(mut state: CallState, text: &str, intent: IntentKind) -> Vec<String> {
    let _ = hear(&mut state, [(65, spoke())]);
    let heard = words(&hear(&mut state, [(66, CallEvent::PlayoutDrained)]));
    assert!(!heard.contains(&"decide HangUp".to_owned()), "they are heard out: {heard:?}");
    let _ = hear(&mut state, [(67, stopped()), (67, committed())]);
    let said = state.on(written_down(text), at(68));
    let turn = said.iter().find_map(|effect| match effect {
        super::Effect::Record(JournalEntry::Turn { turn, .. }) if turn.speaker == Speaker::Caller => Some(turn.id),
        _ => None,
    });
    let turn = turn.expect("it is on record");
    words(&state.on(CallEvent::TurnUnderstood { turn, understanding: meant(intent) }, at(68)))
}

const OVER: [&str; 3] = ["decide HangUp", "interrupt", "close 1000"];

#[test]
fn who_has_something_to_say_to_a_goodbye_is_answered_and_who_has_not_is_let_go() {
    type Row = (&'static str, fn() -> CallState, &'static str, IntentKind, &'static [&'static str]);
    let table: [Row; 14] = [
        ("a goodbye as many say it", served, "namaste ji", IntentKind::Greeting, &OVER),
        ("whether anybody is there", served, "hello hello", IntentKind::Greeting, &["ask"]),
        ("a greeting and more", served, "namaste ek sawal tha", IntentKind::Greeting, &["ask"]),
        ("somebody is there after all", nobody_spoke, "hello yes I am here", IntentKind::OutOfScope, &["ask"]),
        ("… whatever they say", nobody_spoke, "haan ji", IntentKind::Affirm, &["ask"]),
        ("… but goodbye", nobody_spoke, "okay bye", IntentKind::Goodbye, &OVER),
        ("one more question", served, "wait one more question", IntentKind::OutOfScope, &["ask"]),
        ("a question", served, "kitne baje khulta hai", IntentKind::StoreInfo, &["ask"]),
        ("goodbye", served, "bye bye", IntentKind::Goodbye, &OVER),
        ("nothing more", served, "nahi bas", IntentKind::Deny, &OVER),
        ("to wait", served, "no no wait", IntentKind::Deny, &["ask"]),
        ("a yes and more", served, "haan ek aur baat", IntentKind::Affirm, &["ask"]),
        ("a no and more", served, "no, I have another question", IntentKind::Deny, &["ask"]),
        ("thanks", served, "theek hai", IntentKind::Affirm, &OVER),
    ];
    for (name, state, text, intent, expected) in table {
        assert_eq!(answered(state(), text, intent), expected, "{name}");
    }
}

#[test]
fn a_goodbye_that_nobody_speaks_into_ends_the_call_with_its_last_word() {
    for state in [nobody_spoke, served] {
        let ended = words(&hear(&mut state(), [(66, CallEvent::PlayoutDrained)]));
        assert!(ended.ends_with(&OVER.map(String::from)), "{ended:?}");
    }
}

#[test]
fn a_noise_is_heard_out_and_ends_nothing_but_the_call() {
    let mut state = nobody_spoke();
    let _ = hear(&mut state, [(65, spoke()), (66, CallEvent::PlayoutDrained), (67, stopped()), (67, committed())]);
    let ended = words(&state.on(written_down(""), at(68)));
    assert!(OVER.iter().all(|word| ended.contains(&(*word).to_owned())), "{ended:?}");
}

#[test]
fn what_was_said_into_it_and_cannot_be_made_out_is_answered() {
    let said = [(65, spoke()), (66, CallEvent::PlayoutDrained), (68, stopped()), (68, committed())];
    let failed = crate::ports::EngineEvent::CallerTranscriptFailed { item: "u1".into() };
    let mut state = served();
    let _ = hear(&mut state, said.clone());
    assert!(words(&state.on(engine(failed.clone()), at(69))).contains(&"ask".to_owned()));
    // Its words never come.
    let mut state = served();
    let _ = hear(&mut state, said);
    assert_eq!(words(&state.on(CallEvent::TimePassed, at(70))), [""; 0]);
    assert_eq!(words(&state.on(CallEvent::TimePassed, at(71))), ["ask"]);
    // It was a noise.
    let mut state = served();
    let noise = [(65, spoke()), (65, stopped()), (66, CallEvent::PlayoutDrained)];
    let _ = hear(&mut state, noise);
    assert!(words(&state.on(engine(failed), at(67))).contains(&"decide HangUp".to_owned()));
}

#[test]
fn nobody_is_heard_out_for_ever() {
    let mut state = nobody_spoke();
    let _ = hear(&mut state, [(65, spoke()), (66, CallEvent::PlayoutDrained)]);
    let media = |state: &mut CallState, now| {
        let _ = state.on(CallEvent::MediaResumed, at(now));
        words(&state.on(CallEvent::TimePassed, at(now)))
    };
    let ended = (67..200).find(|now| media(&mut state, *now).contains(&"decide HangUp".to_owned()));
    assert_eq!(ended, Some(64 + 30));
}

#[test]
fn who_speaks_into_it_when_the_session_is_lost_is_heard_by_the_next() {
    for state in [nobody_spoke, served] {
        let mut state = state();
        let effects = words(&hear(&mut state, [(65, spoke()), (65, lost())]));
        assert_eq!(effects, ["open, 700 ms again"]);
        let _ = hear(&mut state, [(66, CallEvent::PlayoutDrained)]);
        assert_eq!(state.phase, Phase::Live);
        let said = vec![(67, engine(EngineEvent::Ready)), (67, spoke_again()), (68, stopped()), (68, committed())];
        assert_eq!(words(&hear(&mut state, said)).last().map(String::as_str), Some("ask"));
    }
}

#[test]
fn a_session_lost_in_it_is_replaced_only_for_who_has_something_to_say() {
    let over = |effects: &[String]| effects.contains(&"decide HangUp".to_owned());
    let mut state = served();
    let _ = hear(&mut state, [(65, lost())]);
    assert!(over(&words(&hear(&mut state, [(66, CallEvent::PlayoutDrained)]))), "nobody spoke");
    let mut state = served();
    let pressed = [(65, lost()), (65, CallEvent::DtmfPressed('7'))];
    assert_eq!(words(&hear(&mut state, pressed)), ["open after 0 ms"]);
    let told = words(&hear(&mut state, [(67, CallEvent::TimePassed), (67, engine(EngineEvent::Ready))]));
    assert!(told.contains(&"keys".to_owned()) && told.contains(&"ask".to_owned()), "{told:?}");
    // A person is had without any.
    let mut state = with_menu(served(), '0', MenuChoice::Person);
    let effects = words(&hear(&mut state, [(65, lost()), (65, CallEvent::DtmfPressed('0'))]));
    assert!(effects.contains(&"decide Transfer".to_owned()), "{effects:?}");
}

/// The key means that.
fn with_menu(mut state: CallState, key: char, choice: MenuChoice) -> CallState {
    let mut facts = (*state.facts).clone();
    let mut agent = (*facts.agent).clone();
    agent.menu = vec![(key.to_string().into(), choice)];
    facts.agent = agent.into();
    state.facts = facts.into();
    state
}

/// As the next session tells it.
fn spoke_again() -> CallEvent {
    engine(EngineEvent::SpeechStarted { item: "u1".into(), at_ms: 700 })
}

#[test]
fn a_key_pressed_into_it_is_obeyed() {
    let mut state = nobody_spoke();
    let _ = hear(&mut state, [(65, CallEvent::DtmfPressed('7'))]);
    assert_eq!(state.phase, Phase::Live);
    assert_eq!(words(&hear(&mut state, [(67, CallEvent::TimePassed)])), ["keys", "ask"]);
}

/// Spoken into the goodbye, to have it go on.
fn gone_on(mut state: CallState) -> CallState {
    let _ = hear(&mut state, [(65, spoke()), (66, CallEvent::PlayoutDrained), (67, stopped()), (67, committed())]);
    let said = turns(&state.on(written_down("wait one more question"), at(68)));
    let turn = said.iter().find(|turn| turn.speaker == Speaker::Caller).expect("it is on record").id;
    let _ = state.on(CallEvent::TurnUnderstood { turn, understanding: meant(IntentKind::OutOfScope) }, at(68));
    assert_eq!(state.phase, Phase::Live);
    state
}

#[test]
fn a_call_that_went_on_is_as_long_as_any_and_owes_nothing_of_before() {
    let mut state = served();
    // It came due in the goodbye.
    state.timers.clear(Timer::MaxDuration);
    let state = gone_on(state);
    assert!(state.timers.is_set(Timer::MaxDuration) && !state.outputs_owed);
    // The engine may end it again.
    assert!(state.ledger.entries().all(|entry| entry.action.state != ActionState::Done));
}

#[test]
fn what_went_on_may_end_again() {
    let mut state = gone_on(nobody_spoke());
    let transferred = words(&hear(&mut state, [(70, CallEvent::DrainExpired)]));
    assert_eq!(transferred[0], "decide HangUp", "{transferred:?}");
}

#[test]
fn who_speaks_into_it_after_the_session_was_lost_is_heard_by_another() {
    let mut state = served();
    let _ = hear(&mut state, [(65, lost())]);
    let spoken = CallEvent::LineSounding { since: at(65) };
    assert_eq!(words(&hear(&mut state, [(66, spoken)])), ["open, 1700 ms again"]);
    let _ = hear(&mut state, [(66, CallEvent::PlayoutDrained)]);
    assert_eq!(state.phase, Phase::Live);
    let heard = vec![(67, engine(EngineEvent::Ready)), (67, spoke_again()), (68, stopped()), (68, committed())];
    assert_eq!(words(&hear(&mut state, heard)).last().map(String::as_str), Some("ask"));
}

#[test]
fn no_call_is_revived_for_an_engine_that_is_gone_for_good_or_beyond_its_time() {
    let mut state = served();
    let refused = engine(EngineEvent::Lost(crate::ports::EngineError::Refused("key".into())));
    let _ = hear(&mut state, [(65, refused)]);
    let spoken = CallEvent::LineSounding { since: at(65) };
    assert_eq!(words(&hear(&mut state, [(66, spoken.clone())])), [""; 0]);
    let mut state = served();
    let max = state.facts.agent.limits.max_duration;
    let _ = hear(&mut state, [(65, lost())]);
    assert_eq!(words(&state.on(spoken, max)).iter().filter(|word| word.starts_with("open")).count(), 0);
}

#[test]
fn keys_that_were_pressed_before_a_goodbye_are_told_when_the_call_goes_on() {
    let mut state = served();
    state.phase = Phase::Live;
    let _ = hear(&mut state, [(65, CallEvent::DtmfPressed('5'))]);
    let words_of_leave = LastWords::Stored(crate::domain::Phrase::Goodbye);
    state.take_leave(EndReason::AgentEnded, words_of_leave, at(65), &mut vec![]);
    let _ = state.on(spoke(), at(66));
    assert!(state.go_on_after_all(at(66), &mut vec![]));
    assert!(words(&hear(&mut state, [(67, stopped()), (68, CallEvent::TimePassed)])).contains(&"keys".to_owned()));
}
