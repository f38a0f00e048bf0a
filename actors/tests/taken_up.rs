//! Nothing is done twice: not by a call that a later process takes up again, not by an action that is not on record.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "this file needs only a part of the shared world")]

mod support;

use std::time::Duration;

use caly_actors::call::past::Past;
use caly_actors::domain::*;
use caly_actors::ports::*;
use support::*;

const SECOND: Duration = Duration::from_secs(1);

/// A call that a former process had.
fn taken_up(agent: Agent, actions: TestActions, past: Past) -> World {
    tokio::time::pause();
    let (calls, journal, actions) = World::registry(actions, vec![]);
    let call = calls.admit_after(facts(agent, "sid1"), None, Some(past)).expect("admitted").call;
    World { calls, call, journal, actions, epoch: tokio::time::Instant::now() }
}

#[actix::test]
async fn a_call_taken_up_again_goes_on_where_it_stood_and_does_nothing_twice() {
    let action = |name: &str, state, output: Option<&str>| Action {
        id: ActionId::new(),
        name: name.into(),
        idempotency_key: "set below".into(),
        arguments: "{}".into(),
        state,
        output: output.map(Into::into),
        undo: None,
        undoes: None,
        attempts: 1,
        started: SECOND * 40,
        changed: SECOND * 41,
    };
    let said = vec![(SECOND * 30, Speaker::Caller, "order saat do nau cancel kar do".into())];
    let actions =
        vec![action("cancel", ActionState::Done, Some(r#"{"ok":1}"#)), action("refund", ActionState::Running, None)];
    let past = Past { age: SECOND * 90, said, actions, usage: Usage { audio_in: 7, ..Usage::default() } };
    let entries: Vec<(_, _, _, Doing)> =
        vec![("cancel", true, SECOND, |_| done("{}", None)), ("refund", true, SECOND, |_| done("{}", None))];
    let mut short = agent();
    short.limits.max_duration = SECOND * 100;
    let world = taken_up(short, TestActions { entries, ..TestActions::default() }, past);
    let session = world.session(0).await;
    let context = &session.spec.context;
    assert!(matches!(&context[0], ContextItem::Caller(words) if words.contains("cancel kar do")), "{context:?}");
    assert!(matches!(&context[1], ContextItem::Tool { output, .. } if output.contains("ok")), "{context:?}");
    assert!(matches!(&context[2], ContextItem::Tool { output, .. } if output.contains("unknown")), "{context:?}");
    assert!(matches!(context.last(), Some(ContextItem::Note(text)) if text.contains("the caller is back")));
    let (wish, instructions) = session.asked().await;
    assert_eq!(instructions, None, "it does not greet again");
    let (_, line) = world.dial(1).await;
    line.events.push(CarrierEvent::Started { stream: "s".into(), rate: 8000 });
    line.keep_talking();
    session.answer("r1", "a1", "Main wapas aa gayi", 500, Some(wish));
    assert_eq!(world.ended().await, EndReason::MaxDuration, "the cap counts from the first admission");
    assert!((SECOND * 9..SECOND * 15).contains(&world.now()), "{:?}", world.now());
    let entries = world.entries();
    assert!(matches!(entries[0], JournalEntry::TakenUp { at, .. } if at == SECOND * 90), "{:?}", entries[0]);
    assert!(!entries.iter().any(|entry| matches!(entry, JournalEntry::Admitted(_))), "it keeps its row");
    assert!(world.turns()[0].started >= SECOND * 90, "its clock goes on: {:?}", world.turns()[0]);
    assert!(matches!(entries.last(), Some(JournalEntry::Ended { usage, .. }) if usage.audio_in == 7));
    assert!(world.actions.runs.lock().unwrap().is_empty());
}

#[actix::test]
async fn what_writes_is_not_begun_before_it_is_on_record_and_what_reads_is() {
    let entries: Vec<(_, _, _, Doing)> =
        vec![("cancel", true, SECOND, |_| done("{}", None)), ("look", false, SECOND, |_| done("{}", None))];
    let world = World::with(agent(), TestActions { entries, ..TestActions::default() }, vec![]).await;
    world.journal.1.store(true, std::sync::atomic::Ordering::Relaxed);
    let (session, _line) = world.answered().await;
    let (wish, _) = session.asked().await;
    session.tool("r1", "t1", "cancel", "{}", Some(wish));
    let EngineCommand::ToolOutput { output, .. } = session.command().await else { panic!("no output") };
    assert!(output.contains("not begun"), "{output}");
    assert!(world.actions.runs.lock().unwrap().is_empty(), "nothing was done");
    let (wish, _) = session.asked().await;
    session.tool("r2", "t2", "look", "{}", Some(wish));
    let EngineCommand::ToolOutput { output, .. } = session.command().await else { panic!("no output") };
    assert_eq!(&*output, "{}");
    let (wish, _) = session.asked().await;
    world.journal.1.store(false, std::sync::atomic::Ordering::Relaxed);
    session.tool("r3", "t3", "cancel", "{}", Some(wish));
    let EngineCommand::ToolOutput { output, .. } = session.command().await else { panic!("no output") };
    assert_eq!(&*output, "{}", "it may be tried again");
    assert_eq!(world.actions.runs.lock().unwrap().len(), 2);
}
