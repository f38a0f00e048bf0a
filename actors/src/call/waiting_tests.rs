//! Decisions about keys, the language of stored sentences, and the warning that time runs out.

use std::time::Duration;

use super::super::event::{CallEvent, Effect};
use super::super::table::*;
use super::*;
use crate::domain::{Agent, BargeIn};
use crate::ports::{ContextItem, EngineEvent, ResponseOutcome};

fn with_menu() -> Agent {
    let choice = |keys: &str, choice| (keys.into(), choice);
    let menu = vec![
        choice("0", MenuChoice::Person),
        choice("1", MenuChoice::Tell("Where is my order?".into())),
        choice("7", MenuChoice::Tell("Are you open?".into())),
        choice("77", MenuChoice::End),
    ];
    Agent { menu, ..agent(true) }
}

fn key(key: char) -> CallEvent {
    CallEvent::DtmfPressed(key)
}

fn says(words: &str) -> [(u64, CallEvent); 4] {
    let text = EngineEvent::AgentTranscript { item: "a1".into(), text: words.into() };
    let completed = done("r1", ResponseOutcome::Completed);
    [(3, engine(text)), (3, began("a1")), (3, completed), (3, CallEvent::PlayoutDrained)]
}

/// What the session is told as the caller's words.
fn typed(effects: &[Effect]) -> Vec<&str> {
    let text = |effect| match effect {
        &Effect::Engine(EngineCommand::CallerText(ref text)) => Some(&**text),
        _ => None,
    };
    effects.iter().filter_map(text).collect()
}

#[test]
fn a_key_that_can_only_be_one_choice_is_chosen_at_once() {
    const ORDER: &[&str] = &["Where is my order?"];
    for (name, said, pressed, at_once) in [
        ("no other choice begins with it", "Namaste", "1", ORDER),
        ("another does", "Namaste", "7", &[]),
        ("it is no choice", "Namaste", "5", &[]),
        ("it follows another key", "Namaste", "51", &[]),
        ("a number is asked for, which may begin with it", "Please type your order number", "1", &[]),
        ("… in Hindi", "अपना ऑर्डर नंबर दबाइए", "1", &[]),
        ("… in Hinglish", "apna mobile number type kijiye", "1", &[]),
    ] {
        let mut state = quiet_of(with_menu());
        let _ = hear(&mut state, says(said));
        let effects = hear(&mut state, pressed.chars().map(|pressed| (4, key(pressed))));
        assert_eq!(typed(&effects), at_once, "{name}");
        let later = state.on(CallEvent::TimePassed, at(4) + KEYS_GAP);
        assert_eq!(typed(&effects).len() + typed(&later).len(), 1, "{name}: told once");
    }
    let mut ended = quiet_of(with_menu());
    let _ = hear(&mut ended, [(4, key('1'))]);
    assert_eq!(words(&hear(&mut ended, [(5, key('#'))])), [""; 0], "the key that ends a choice says nothing more");
    assert_eq!(typed(&hear(&mut ended, [(5, key('#'))])), ["[the caller pressed the keys # on the phone]"]);
    let mut person = quiet_of(with_menu());
    assert_eq!(words(&hear(&mut person, [(4, key('0'))])), ["decide Transfer", "say hand_off"]);
}

#[test]
fn what_was_chosen_while_a_session_opens_is_asked_of_it_as_the_callers_words() {
    let mut state = quiet_of(with_menu());
    let _ = hear(&mut state, [(4, lost())]);
    assert_eq!(typed(&hear(&mut state, [(4, key('1'))])), [""; 0], "there is nobody to tell");
    let effects = hear(&mut state, [(5, engine(EngineEvent::Ready))]);
    assert_eq!((words(&effects), typed(&effects)), (vec!["keys".into(), "ask".into()], vec!["Where is my order?"]));
    assert_eq!(words(&hear(&mut state, [(6, engine(EngineEvent::Ready))])), [""; 0], "once");
}

#[test]
fn what_was_chosen_is_known_to_a_session_after_the_next_and_answered_there() {
    let mut state = quiet_of(with_menu());
    let effects = hear(&mut state, [(4, lost()), (4, key('1')), (5, lost())]);
    let told = effects.iter().find_map(|effect| match effect {
        Effect::OpenEngine { context, .. } => context.last(),
        _ => None,
    });
    let kept = "[the caller has asked by a key: Where is my order?]";
    assert_eq!(told, Some(&ContextItem::Note(kept.into())));
    assert_eq!(words(&hear(&mut state, [(6, engine(EngineEvent::Ready))])), ["ask"]);
}

#[test]
fn what_was_chosen_before_the_first_session_listens_is_answered_after_the_greeting() {
    let mut state = call_of(with_menu());
    state.attach(1);
    let _ = hear(&mut state, [(1, CallEvent::StreamStarted { rate: 8000 }), (2, key('1'))]);
    let effects = hear(&mut state, [(3, engine(EngineEvent::Ready))]);
    assert_eq!(typed(&effects), ["Where is my order?"]);
    let asked = effects.iter().find_map(|effect| match effect {
        Effect::Engine(EngineCommand::CreateResponse { instructions, .. }) => instructions.as_deref(),
        _ => None,
    });
    assert!(asked.is_some_and(|asked| asked.ends_with("Then answer what the caller has asked.")), "{asked:?}");
}

/// Asked (wish 2), and told of a key before the answer begins.
fn asked_and_told() -> CallState {
    let mut state = quiet_of(with_menu());
    let _ = hear(&mut state, [(3, CallEvent::MediaResumed), (4, spoke()), (5, stopped()), (5, committed())]);
    let _ = hear(&mut state, [(6, written_down("when are you open"))]);
    assert_eq!(words(&state.on(key('1'), at(6))), ["keys"], "the request under way does not see it");
    let _ = hear(&mut state, [(7, created("r2", 2)), (7, began("a2"))]);
    state
}

#[test]
fn what_the_engine_is_told_while_an_answer_is_asked_for_is_answered_after_it() {
    let mut state = asked_and_told();
    let said = engine(EngineEvent::AgentTranscript { item: "a2".into(), text: "from nine".into() });
    assert_eq!(words(&hear(&mut state, [(8, said), (8, done("r2", ResponseOutcome::Completed))])), ["ask"]);
    // Whoever speaks into that answer is answered, and with it what was told.
    let again = |event: fn(Arc<str>) -> EngineEvent| engine(event("u2".into()));
    let speaks = || again(|item| EngineEvent::SpeechStarted { item, at_ms: 0 });
    let stops = || again(|item| EngineEvent::SpeechStopped { item, at_ms: 0, behind: Duration::ZERO });
    let mut state = asked_and_told();
    assert_eq!(words(&state.on(speaks(), at(8))), ["interrupt", "cancel"]);
    let _ = hear(&mut state, [(8, cut("a2", 400)), (8, done("r2", ResponseOutcome::Cancelled)), (9, stops())]);
    assert_eq!(words(&state.on(again(|item| EngineEvent::TurnCommitted { item }), at(9))), ["ask"]);
    let _ = hear(&mut state, [(10, created("r3", 3))]);
    assert!(!state.answer_owed);
    // … also where they speak before it begins, and it is cancelled when it does.
    let mut state = quiet_of(with_menu());
    let _ = hear(&mut state, [(3, CallEvent::MediaResumed), (4, key('1')), (4, began("phrase:checking"))]);
    assert_eq!(words(&state.on(speaks(), at(5))), ["interrupt"]);
    let _ = hear(&mut state, [(5, created("r2", 2)), (5, done("r2", ResponseOutcome::Cancelled)), (6, stops())]);
    assert!(state.answer_owed, "what was typed is not answered yet");
    // It was nobody's word: what was told is answered all the same.
    let mut state = asked_and_told();
    let _ = hear(
        &mut state,
        [(8, speaks()), (8, cut("a2", 400)), (8, done("r2", ResponseOutcome::Cancelled)), (9, stops())],
    );
    let asked = (10..60).find(|now| words(&state.on(CallEvent::TimePassed, at(*now))).contains(&"ask".to_owned()));
    assert!(asked.is_some());
}

#[test]
fn stored_sentences_follow_the_caller_into_whichever_hindi_the_agent_speaks() {
    use Language::{English, Hindi, Hinglish};
    const LATIN: &str = "mera order kahan hai bhai";
    const DEVANAGARI: &str = "मेरा ऑर्डर कहाँ है भाई";
    let both: &[Language] = &[Hindi, Hinglish];
    for (language, languages, said, expected) in [
        (English, &[English, Hindi][..], LATIN, Hindi),
        (English, &[English, Hinglish], DEVANAGARI, Hinglish),
        (English, &[English], LATIN, English),
        (English, &[], LATIN, Hinglish),
        (English, &[], DEVANAGARI, Hindi),
        (English, both, DEVANAGARI, Hindi),
        (Hinglish, both, DEVANAGARI, Hinglish),
        (Hindi, &[English], LATIN, Hindi),
        (Hindi, &[English], "where is my order please", English),
        (Hindi, &[], "where is my order please", English),
        (Hinglish, &[Hinglish], "where is my order please", Hinglish),
    ] {
        let mut state = quiet_of(Agent { language, languages: languages.to_vec(), ..agent(true) });
        let _ = hear(&mut state, [(4, spoke()), (5, stopped()), (5, committed()), (6, written_down(said))]);
        assert_eq!(state.language, expected, "{language:?} {languages:?} {said}");
    }
}

#[test]
fn each_language_that_is_heard_is_on_record_and_a_change_is_told_to_the_engine() {
    const ENGLISH: &str = "where is my order please";
    const HINDI: &str = "mera order kahan hai bhai";
    let speaks = |state: &mut CallState, words: &str| {
        let effects = hear(state, [(4, spoke()), (5, stopped()), (5, committed()), (6, written_down(words))]);
        let told = effects.iter().find_map(|effect| match effect {
            Effect::Engine(EngineCommand::Note(text)) => Some(text.to_string()),
            _ => None,
        });
        (notes(&effects), told)
    };
    let mut state = quiet(true);
    let heard = vec![r#"language_heard {"language":"en"}"#.to_owned()];
    assert_eq!(speaks(&mut state, ENGLISH), (heard, None));
    assert_eq!(speaks(&mut state, ENGLISH), (vec![], None), "once");
    let (events, told) = speaks(&mut state, HINDI);
    assert_eq!(events, [r#"language_changed {"from":"en","to":"hi-Latn"}"#]);
    assert!(told.is_some_and(|told| told.contains("answer in Hinglish")));
    // A session that takes the place of this one is told as well.
    let effects = hear(&mut state, [(7, lost())]);
    let told = effects.iter().find_map(|effect| match effect {
        Effect::OpenEngine { context, .. } => Some(context.clone()),
        _ => None,
    });
    let is_told = |item: &ContextItem| matches!(item, ContextItem::Note(text) if text.contains("answer in Hinglish"));
    assert!(told.is_some_and(|told| told.iter().any(is_told)));
}

#[test]
fn the_warning_that_time_runs_out_tells_no_time_that_is_not_true() {
    let warned = |warning: u64, now: u64| {
        let mut agent = agent(true);
        agent.limits.time_warning = at(warning);
        agent.limits.max_duration = at(1_000);
        agent.limits.idle_speech = at(2_000);
        let mut state = quiet_of(agent);
        let _ = state.on(CallEvent::MediaResumed, at(3));
        let mut out = vec![];
        state.on_time_warning(at(now), &mut out);
        let said = words(&out).first().filter(|said| said.starts_with("say")).cloned();
        // Told when it was heard.
        assert!(said.is_none() || !words(&out).contains(&"note".to_owned()), "{:?}", words(&out));
        out.extend(state.on(CallEvent::PlayoutDrained, at(now)));
        let note = out.iter().find_map(|effect| match effect {
            Effect::Engine(EngineCommand::Note(text)) => Some(text.to_string()),
            _ => None,
        });
        (said, note.unwrap_or_default())
    };
    for (warning, now, said, seconds) in [
        (60, 940, Some("say minute_left"), "60 s"),
        (90, 910, Some("say minute_left"), "90 s"),
        (60, 955, Some("say minute_left"), "45 s"),
        (15, 985, Some("say time_short"), "15 s"),
        (300, 700, Some("say time_short"), "300 s"),
        // It waited for a long answer.
        (60, 980, Some("say time_short"), "20 s"),
        (60, 995, None, "5 s, and the caller could not be told"),
    ] {
        let (phrase, note) = warned(warning, now);
        assert_eq!(phrase.as_deref(), said, "{warning} s, at {now} s");
        assert!(note.contains(seconds), "{note}");
    }
    let mut mid_answer = quiet(true);
    let _ = hear(&mut mid_answer, [(4, began("a1"))]);
    let mut out = vec![];
    mid_answer.on_time_warning(at(10), &mut out);
    assert_eq!(words(&out), [""; 0]);
    assert!(mid_answer.next_deadline() <= Some(at(10) + Duration::from_secs(1)), "looked at again");
}

#[test]
fn who_types_has_heard_enough_of_what_the_agent_says() {
    let speaking = |barge_in| {
        let mut state = quiet_of(Agent { barge_in, ..agent(true) });
        let _ = hear(&mut state, [(3, spoke()), (3, stopped()), (3, committed()), (3, written_down("hm"))]);
        let _ = hear(&mut state, [(3, created("r1", 2)), (3, agent_words()), (4, began("a1"))]);
        let _ = state.on(done("r1", ResponseOutcome::Completed), at(4));
        state
    };
    let keys = [(5, key('4')), (5, key('2')), (5, key('#'))];
    let mut state = speaking(BargeIn::Normal);
    assert_eq!(words(&state.on(key('4'), at(5))), ["interrupt"], "at the first key");
    assert_eq!(words(&hear(&mut state, [(5, key('2')), (5, key('#'))])), ["keys"]);
    let cut = vec![crate::audio::playout::Cut { item: "a1".into(), heard_ms: 900, total_ms: 4_000 }];
    assert!(words(&state.on(CallEvent::PlayoutCut(cut), at(5))).contains(&"ask".to_owned()));
    let mut state = speaking(BargeIn::Off);
    assert_eq!(words(&hear(&mut state, keys)), ["keys", "ask"]);
}

#[test]
fn who_talks_over_the_warning_is_warned_again() {
    let warning = || crate::audio::playout::Cut { item: "phrase:time_short".into(), heard_ms: 100, total_ms: 2_500 };
    let whole = || crate::audio::playout::Cut { item: "phrase:time_short".into(), heard_ms: 2_000, total_ms: 2_500 };
    for (cut, again) in [(warning(), true), (whole(), false)] {
        let mut state = settled();
        let mut out = vec![];
        state.on_time_warning(at(10), &mut out);
        assert_eq!(words(&out), ["say time_short"]);
        let _ = state.on(began("phrase:time_short"), at(10));
        let told = words(&state.on(CallEvent::PlayoutCut(vec![cut]), at(11)));
        assert_eq!(told.contains(&"note".to_owned()), !again, "the engine is told when the caller was: {told:?}");
        let later = words(&state.on(CallEvent::TimePassed, at(12)));
        assert_eq!(later.contains(&"say time_short".to_owned()), again, "{later:?}");
    }
}

#[test]
fn keys_typed_while_speaking_are_answered_with_what_is_said() {
    let mut state = quiet(true);
    let typed = [(4, spoke()), (5, key('5')), (5, key('#'))];
    assert_eq!(words(&hear(&mut state, typed)), ["keys"]);
    assert_eq!(words(&hear(&mut state, [(6, stopped()), (6, committed())])), ["ask"]);
}

#[test]
fn who_types_stops_an_answer_that_is_not_heard_yet() {
    let mut state = asking(true);
    let _ = state.on(created("r1", 2), at(4));
    let effects = words(&state.on(key('4'), at(4)));
    assert!(effects.contains(&"interrupt".to_owned()) && effects.contains(&"cancel".to_owned()), "{effects:?}");
    let _ = state.on(CallEvent::PlayoutCut(vec![]), at(4));
    let _ = state.on(done("r1", ResponseOutcome::Cancelled), at(4));
    let told = words(&hear(&mut state, [(5, key('2')), (5, key('#'))]));
    assert_eq!(told, ["keys", "ask"]);
}
