//! Decisions about a lost engine: what the caller hears meanwhile, when another session is tried, what is owed in it.

use super::super::event::CallEvent;
use super::super::table::*;
use super::*;
use crate::ports::ContextItem;
use crate::supervise::Child;

fn ready() -> CallEvent {
    engine(EngineEvent::Ready)
}

fn not_opened() -> CallEvent {
    CallEvent::EngineOpenFailed(EngineError::Connection("refused".into()))
}

fn refused() -> CallEvent {
    engine(EngineEvent::Lost(EngineError::Refused("key".into())))
}

fn rows_of_the_other_engine() -> Vec<Row> {
    vec![
        (
            "an engine that refuses for good, and another there: that one, at once",
            asking(true).with_fallback(true),
            vec![],
            refused(),
            &["say bridge", "open the fallback after 0 ms"],
            "live",
        ),
        (
            "the third failure in a row, and another engine there: that one",
            call(true).with_fallback(true),
            vec![not_opened(), not_opened()],
            not_opened(),
            &["open the fallback after 0 ms"],
            "waiting",
        ),
        (
            "the other engine has attempts of its own",
            call(true).with_fallback(true),
            vec![not_opened(), not_opened(), not_opened()],
            not_opened(),
            &["open the fallback after 0 ms"],
            "waiting",
        ),
        (
            "the other engine fails as well: no more",
            call(true).with_fallback(true),
            vec![refused()],
            refused(),
            &["close engine"],
            "waiting",
        ),
    ]
}

fn rows_of_bridges() -> Vec<Row> {
    let drained = || CallEvent::PlayoutDrained;
    let unheard = || {
        let mut state = call(true);
        state.attach(1);
        state
    };
    vec![
        (
            "no session while the phone rings: tried again without a word",
            call(true),
            vec![],
            not_opened(),
            &["open after 0 ms"],
            "waiting",
        ),
        (
            "no session for a caller who waits for the first word: it may be there in a moment",
            unheard(),
            vec![CallEvent::StreamStarted { rate: 8000 }],
            not_opened(),
            &["open after 0 ms"],
            "live",
        ),
        (
            "… nor a second one: bridged",
            unheard(),
            vec![CallEvent::StreamStarted { rate: 8000 }, not_opened()],
            not_opened(),
            &["say bridge", "open after 250 ms"],
            "live",
        ),
        (
            "no session after a lost one: not bridged twice",
            quiet(true),
            vec![lost(), drained()],
            not_opened(),
            &["open after 250 ms"],
            "live",
        ),
        (
            "a session that had listened is lost again: bridged again",
            asking(true),
            vec![lost(), drained(), ready()],
            lost(),
            &["say bridge", "open after 250 ms"],
            "live",
        ),
        (
            "a third session lost in a second is not the last",
            quiet(true),
            vec![lost(), drained(), ready(), lost(), drained(), ready()],
            lost(),
            &["open after 500 ms"],
            "live",
        ),
        (
            "a session lost in a silence: the caller notices nothing",
            quiet(true),
            vec![],
            lost(),
            &["open after 0 ms"],
            "live",
        ),
    ]
}

fn rows_of_patience() -> Vec<Row> {
    vec![
        (
            "an engine that asks for patience gets it",
            asking(true),
            vec![],
            engine(EngineEvent::Lost(busy(Some(Duration::from_millis(700))))),
            &["say bridge", "open after 700 ms"],
            "live",
        ),
        (
            "… for two seconds at most",
            asking(true),
            vec![],
            engine(EngineEvent::Lost(busy(Some(Duration::from_secs(60))))),
            &["say bridge", "open after 2000 ms"],
            "live",
        ),
    ]
}

fn rows_of_ends() -> Vec<Row> {
    let gave_up = || CallEvent::ChildGaveUp(Child::Realtime);
    vec![
        (
            "lost while last words are heard: no new session, they are heard",
            quiet(true),
            vec![CallEvent::DrainExpired],
            lost(),
            &[],
            "closing",
        ),
        (
            "lost before it said goodbye: no new session, the stored one is said",
            saying_goodbye(),
            vec![],
            lost(),
            &["say goodbye"],
            "closing",
        ),
        (
            "refused while last words are heard: they are heard",
            quiet(true),
            vec![CallEvent::DrainExpired],
            refused(),
            &["close engine"],
            "closing",
        ),
        (
            "given up before it said goodbye: the stored one is said",
            saying_goodbye(),
            vec![],
            gave_up(),
            &["close engine", "say goodbye"],
            "closing",
        ),
        (
            "its child given up: a sentence, a person",
            quiet(true),
            vec![],
            gave_up(),
            &["close engine", "decide Transfer", "say hand_off"],
            "closing",
        ),
        ("given up a second time: nothing is left to do", quiet(true), vec![gave_up()], refused(), &[], "closing"),
    ]
}

fn rows_of_what_is_owed() -> Vec<Row> {
    vec![
        ("a caller who was answered is not answered again", quiet(true), vec![lost()], ready(), &[], "live"),
        ("an answer that was asked for is owed", quiet(true), vec![committed(), lost()], ready(), &["ask"], "live"),
        (
            "… even if the next session is lost too",
            quiet(true),
            vec![committed(), lost(), lost()],
            ready(),
            &["ask"],
            "live",
        ),
        (
            "a tool call without its output is owed an answer",
            quiet(true),
            vec![called("look", "t1"), lost()],
            ready(),
            &["ask"],
            "live",
        ),
        (
            "a caller in the middle of a sentence is heard again first",
            quiet(true),
            vec![spoke(), lost()],
            ready(),
            &[],
            "live",
        ),
    ]
}

#[test]
fn every_row_of_the_table_holds() {
    hold(rows_of_bridges());
    hold(rows_of_patience());
    hold(rows_of_the_other_engine());
    hold(rows_of_ends());
    hold(rows_of_what_is_owed());
}

#[test]
fn the_next_session_is_told_every_stored_phrase_but_the_bridge() {
    let mut state = settled();
    let told = |effects: Vec<Effect>| {
        effects.into_iter().find_map(|effect| match effect {
            Effect::OpenEngine { context, .. } => Some(context),
            _ => None,
        })
    };
    let before = [ContextItem::Agent("welcome".into()), ContextItem::Agent("still_there".into())];
    let asked = [(33, CallEvent::TimePassed), (33, began("phrase:still_there")), (34, CallEvent::PlayoutDrained)];
    let script = asked.into_iter().chain([(35, lost())]);
    let effects = hear(&mut state, script);
    assert_eq!(words(&effects), ["open after 0 ms"]);
    assert_eq!(told(effects).as_deref(), Some(&before[..]));
    let spoken = hear(&mut state, [(35, CallEvent::LineQuiet { since: at(35) }), (36, CallEvent::TimePassed)]);
    assert_eq!(words(&spoken), ["say bridge"]);
    let bridge = [(36, began("phrase:bridge")), (36, CallEvent::PlayoutDrained), (37, ready()), (38, lost())];
    let effects = hear(&mut state, bridge);
    assert_eq!(told(effects).as_deref(), Some(&before[..]));
}

#[test]
fn an_action_that_ends_while_the_next_session_opens_is_told_to_it() {
    let (mut state, action) = acting("look");
    let _ = state.on(lost(), at(10));
    let while_opening = state.on(finished(action, None), at(11));
    assert!(words(&while_opening).iter().all(|word| word != "note"), "there is nobody to tell");
    let effects = state.on(ready(), at(12));
    let told = effects.iter().find_map(|effect| match effect {
        Effect::Engine(EngineCommand::Note(text)) => Some(text.to_string()),
        _ => None,
    });
    assert!(told.is_some_and(|text| text.contains("look has finished")), "{effects:?}");
    assert_eq!(words(&effects), ["note", "ask"]);
    assert_eq!(words(&state.on(ready(), at(13))), [""; 0], "told once");
}
