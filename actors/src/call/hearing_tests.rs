//! What a session is told of words that it knows from its context and of which fewer were heard.

use bytes::Bytes;

use super::super::event::CallEvent;
use super::super::table::*;
use super::*;
use crate::domain::{Agent, Pcm};
use crate::ports::{EngineEvent, ItemKind};

const GREETING: &str = "Namaste, boliye, kya madad karun";

fn replayed(n: usize) -> CallEvent {
    let item = format!("caly_said_{n}").into();
    engine(EngineEvent::ItemAdded { item, kind: ItemKind::Agent, replayed: Some(n) })
}

/// What is told of the conversation's items when these events come one after the other, at 10, 11, … .
fn told(state: &mut CallState, events: Vec<CallEvent>) -> Vec<String> {
    let done = events.into_iter().zip(10..).flat_map(|(event, second)| words(&state.on(event, at(second))));
    done.filter(|word| word == "delete" || word.starts_with("told anew") || word.starts_with("truncate")).collect()
}

/// A call whose stored greeting is being heard.
fn greeting() -> CallState {
    let pcm = Pcm { rate: 8000, bytes: Bytes::from(vec![1; 32_000]) };
    let mut state = call_of(Agent { greeting: Some(GREETING.into()), ..agent(true) }).greeting_with(Some(pcm));
    state.attach(1);
    let _ = state.on(CallEvent::StreamStarted { rate: 8000 }, at(2));
    let _ = state.on(began("greeting"), at(3));
    state
}

fn ready() -> CallEvent {
    engine(EngineEvent::Ready)
}

#[test]
fn of_a_stored_greeting_that_was_cut_a_session_is_told_what_was_heard() {
    let heard = ["delete", "told anew Namaste, boliye,"];
    for (name, events, expected) in [
        ("cut", vec![ready(), replayed(0), cut("greeting", 500)], &heard[..]),
        ("cut before its first word", vec![ready(), replayed(0), cut("greeting", 0)], &heard[..1]),
        ("cut before the session tells that it knows it", vec![ready(), cut("greeting", 500), replayed(0)], &heard),
        ("cut, and told once", vec![ready(), replayed(0), cut("greeting", 500), replayed(0)], &heard),
        (
            "cut with its session, and the next is told the truth",
            vec![ready(), replayed(0), lost(), cut("greeting", 500)],
            &[],
        ),
        ("heard whole", vec![ready(), replayed(0), CallEvent::PlayoutDrained], &[]),
    ] {
        assert_eq!(told(&mut greeting(), events), expected, "{name}");
    }
}

#[test]
fn of_an_answer_that_outlived_its_session_and_was_cut_the_next_is_told_what_was_heard() {
    let mut state = asking(true);
    for (second, event) in [(4, created("r1", 2)), (5, agent_words()), (6, began("a1")), (7, lost()), (8, ready())] {
        let _ = state.on(event, at(second));
    }
    // The greeting, the caller's question, and what is being said.
    let known = [(0, ItemKind::Agent), (1, ItemKind::Caller), (2, ItemKind::Agent)].map(|(n, kind)| {
        engine(EngineEvent::ItemAdded { item: format!("caly_said_{n}").into(), kind, replayed: Some(n) })
    });
    assert_eq!(told(&mut state, known.to_vec()), Vec::<String>::new());
    let effects = state.on(cut("a1", 700), at(20));
    let told = effects.iter().filter_map(|effect| match effect {
        Effect::Engine(EngineCommand::DeleteItem { item }) => Some(format!("{item} goes")),
        Effect::Engine(EngineCommand::AgentSaid { after, words, .. }) => Some(format!("{words:?} after {after:?}")),
        _ => None,
    });
    let expected = ["caly_said_2 goes".to_owned(), r#""hello" after Some("caly_said_1")"#.to_owned()];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}
