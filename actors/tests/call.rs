//! Whole calls, scripted, on a paused clock and without a socket.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use caly_actors::call::event::CallEvent;
use caly_actors::call::state::Attach;
use caly_actors::domain::*;
use caly_actors::ports::*;
use caly_actors::supervise::PlannedPanic;
use caly_actors::supervisor::CallSupervisor;
use support::*;

const SECOND: Duration = Duration::from_secs(1);

#[actix::test]
async fn the_agent_greets_first_with_audio_made_while_the_phone_connected() {
    let world = World::plain().await;
    let session = world.session(0).await;
    let (wish, instructions) = session.asked().await;
    assert!(instructions.is_some_and(|text| text.contains("Namaste")));
    session.answer("r1", "a1", "Namaste ji", 1000, Some(wish));
    tokio::time::sleep(SECOND * 2).await;
    let (_, line) = world.dial(1).await;
    let start = world.now();
    assert_eq!(line.audio_ms(), 0, "nothing is sent before the stream starts");
    line.events.push(CarrierEvent::Started { stream: "s".into(), rate: 8000 });
    line.keep_talking();
    let first = wait_for(|| line.heard.borrow().first().map(|(at, _)| *at)).await;
    assert!(first - start < Duration::from_millis(10), "greeting began after {:?}", first - start);
    wait_for(|| (line.audio_ms() == 1000).then_some(())).await;
    wait_for(|| (world.turns().len() == 1).then_some(())).await;
    assert_eq!(&*world.turns()[0].text, "Namaste ji");
    line.events.push(CarrierEvent::Stopped { call_ended: true });
    assert_eq!(world.ended().await, EndReason::CallerHungUp);
}

#[actix::test]
async fn an_interruption_clears_the_line_and_truncates_at_what_was_heard() {
    let world = World::plain().await;
    let (session, line) = world.answered().await;
    let (wish, _) = session.asked().await;
    session.answer("r1", "a1", "one two three four five six seven eight nine ten", 4000, Some(wish));
    wait_for(|| (line.audio_ms() >= 1500).then_some(())).await;
    session.say(EngineEvent::SpeechStarted { item: "u1".into(), at_ms: 0 });
    wait_for(|| (line.count(&CarrierCommand::Clear) == 1).then_some(())).await;
    let EngineCommand::Truncate { item, heard_ms } = session.command().await else { panic!("no truncate") };
    let sent = line.audio_ms();
    assert_eq!(&*item, "a1");
    assert!(heard_ms <= sent && heard_ms + 400 >= sent, "heard {heard_ms} of {sent} ms sent");
    session.lanes.agent.push(AgentAudio { response: "r1".into(), item: "a1".into(), bytes: vec![1u8; 800].into() });
    session.say(EngineEvent::SpeechStopped { item: "u1".into(), at_ms: 0, behind: Duration::ZERO });
    session.say(EngineEvent::TurnCommitted { item: "u1".into() });
    session.asked().await;
    assert_eq!(line.audio_ms(), sent, "late audio of the cut answer is dropped");
    let turn = world.turns().remove(0);
    assert!(turn.interrupted && !turn.unheard.is_empty(), "{turn:?}");
    world.tell(CallEvent::HangUpOrdered);
    assert_eq!(world.ended().await, EndReason::OperatorHungUp);
}

#[actix::test]
async fn a_tool_call_is_run_once_and_its_result_is_told_before_one_answer() {
    let actions = TestActions {
        entries: vec![("order_status", false, SECOND, |_| done(r#"{"state":"shipped"}"#, None))],
        ..TestActions::default()
    };
    let world = World::with(agent(), actions, vec![]).await;
    let (session, line) = world.answered().await;
    let (wish, _) = session.asked().await;
    session.answer("r1", "a1", "Namaste", 100, Some(wish));
    session.caller_turn("u1", "mera order kahan hai");
    let (wish, _) = session.asked().await;
    session.say(EngineEvent::ResponseCreated { response: "r2".into(), wish: Some(wish) });
    for tool_call in ["t1", "t2"] {
        session.say(EngineEvent::ToolCalled {
            response: "r2".into(),
            tool_call: tool_call.into(),
            name: "order_status".into(),
            arguments: "{}".into(),
        });
    }
    session.say(EngineEvent::ResponseDone {
        response: "r2".into(),
        outcome: ResponseOutcome::Completed,
        usage: Usage::default(),
    });
    let mut outputs = 0;
    loop {
        match session.command().await {
            EngineCommand::ToolOutput { output, .. } => {
                assert!(output.contains("shipped"));
                outputs += 1;
            }
            EngineCommand::CreateResponse { .. } => break,
            _ => {}
        }
    }
    assert_eq!(outputs, 2, "both calls are answered before the one answer is asked for");
    assert_eq!(world.actions.runs.lock().expect("not poisoned").values().copied().collect::<Vec<_>>(), [1]);
    line.events.push(CarrierEvent::Closed { protocol_error: false });
    assert_eq!(world.ended().await, EndReason::CallerHungUp);
}

/// A writing action that never succeeds: what the engine is told, and how often it is tried.
async fn told_as_failed(doing: Doing, told: &str, tries: u32) {
    let actions = TestActions { entries: vec![("book", true, SECOND * 5, doing)], ..TestActions::default() };
    let world = World::with(agent(), actions, vec![]).await;
    let (session, _line) = world.answered().await;
    let (wish, _) = session.asked().await;
    session.tool("r1", "t1", "book", "{}", Some(wish));
    let EngineCommand::ToolOutput { output, .. } = session.command().await else { panic!("no output") };
    assert!(output.contains(told) && output.contains("\"done\":false"), "{output}");
    assert_eq!(world.actions.runs.lock().expect("not poisoned").values().sum::<u32>(), tries);
}

#[actix::test]
async fn an_action_that_is_down_is_tried_again_and_then_told_as_failed() {
    let down: Doing = |_| Box::pin(async { Err(ActionError::Unavailable("shop is down".into())) });
    told_as_failed(down, "shop is down", 3).await;
}

#[actix::test]
async fn an_action_that_cannot_be_asked_at_the_moment_is_told_at_once() {
    let away: Doing = |_| Box::pin(async { Err(ActionError::Away("offer to ring back".into())) });
    told_as_failed(away, "offer to ring back", 1).await;
}

#[actix::test]
async fn a_write_without_an_answer_is_unknown_and_not_repeated() {
    let actions = TestActions {
        entries: vec![("book", true, SECOND, |_| Box::pin(std::future::pending()))],
        ..TestActions::default()
    };
    let world = World::with(agent(), actions, vec![]).await;
    let (session, _line) = world.answered().await;
    let (wish, _) = session.asked().await;
    session.tool("r1", "t1", "book", "{}", Some(wish));
    let EngineCommand::ToolOutput { output, .. } = session.command().await else { panic!("no output") };
    assert!(output.contains("unknown"), "{output}");
    assert_eq!(world.actions.runs.lock().expect("not poisoned").values().sum::<u32>(), 1);
}

#[actix::test]
async fn a_transfer_is_decided_before_the_socket_closes_and_after_the_last_words() {
    let actions = TestActions {
        entries: vec![("transfer_to_human", true, SECOND, |_| {
            done("{}", Some(CallChange::Transfer { summary: "wants a person".into() }))
        })],
        ..TestActions::default()
    };
    let world = World::with(agent(), actions, vec![]).await;
    let (session, line) = world.answered().await;
    let (wish, _) = session.asked().await;
    session.tool("r1", "t1", "transfer_to_human", "{}", Some(wish));
    let (wish, instructions) = session.asked().await;
    assert!(instructions.is_some_and(|text| text.contains("connecting")));
    assert_eq!(world.call.decision().map(|decision| decision.after), Some(AfterStream::Transfer));
    session.answer("r2", "a2", "I am connecting you", 1000, Some(wish));
    assert_eq!(world.ended().await, EndReason::Transferred);
    assert_eq!(line.audio_ms(), 1000, "the last words are heard to their end");
    assert_eq!(line.count(&CarrierCommand::Close(1000)), 1);
    assert_eq!(world.turns().last().map(|turn| turn.text.to_string()), Some("I am connecting you".into()));
}

#[actix::test]
async fn a_lost_session_is_bridged_and_the_next_one_knows_what_was_said() {
    let world = World::plain().await;
    let (session, line) = world.answered().await;
    let (wish, _) = session.asked().await;
    session.answer("r1", "a1", "Namaste", 500, Some(wish));
    wait_for(|| (world.turns().len() == 1).then_some(())).await;
    session.caller_turn("u1", "order kahan hai");
    session.asked().await;
    wait_for(|| (world.turns().len() == 2).then_some(())).await;
    let lost = world.now();
    session.say(EngineEvent::Lost(EngineError::Connection("reset".into())));
    let second = world.session(1).await;
    assert!(world.now() - lost < SECOND * 2);
    assert_eq!(
        second.spec.context,
        [ContextItem::Agent("Namaste".into()), ContextItem::Caller("order kahan hai".into())]
    );
    let (wish, _) = second.asked().await;
    second.answer("r9", "a9", "It is on its way", 500, Some(wish));
    wait_for(|| world.turns().iter().any(|turn| &*turn.text == "It is on its way").then_some(())).await;
    assert!(world.turns().iter().any(|turn| &*turn.text == "bridge"), "the caller heard a bridge phrase");
    line.events.push(CarrierEvent::Stopped { call_ended: true });
    world.ended().await;
}

#[actix::test]
async fn caller_speech_during_a_lost_session_reaches_the_next() {
    let world = World::plain().await;
    let (session, _line) = world.answered().await;
    session.asked().await;
    session.say(EngineEvent::Lost(EngineError::Connection("reset".into())));
    while session.lanes.caller.try_next().is_some() {}
    tokio::time::sleep(SECOND * 3).await;
    let waiting = session.lanes.caller.depth();
    assert!((135..=152).contains(&waiting), "{waiting} frames of 3 s wait for the next session");
}

#[actix::test]
async fn an_engine_that_refuses_the_key_is_not_tried_again_and_the_caller_is_handed_over() {
    let world = World::with(agent(), TestActions::default(), vec![EngineError::Refused("key".into())]).await;
    let (answer, line) = world.dial(1).await;
    assert_eq!(answer, Attach::Accepted);
    line.events.push(CarrierEvent::Started { stream: "s".into(), rate: 8000 });
    line.keep_talking();
    assert_eq!(world.ended().await, EndReason::Transferred);
    assert_eq!(line.audio_ms(), 1000, "a stored sentence was heard");
    assert_eq!(world.sessions(), 0);
    assert_eq!(world.call.decision().map(|decision| decision.after), Some(AfterStream::Transfer));
}

#[actix::test]
async fn an_engine_that_stays_away_ends_in_an_apology_where_there_is_nobody_to_hand_over_to() {
    let mut alone = agent();
    alone.handoff_numbers.clear();
    let failures = vec![EngineError::Connection("refused".into()); 20];
    let world = World::with(alone, TestActions::default(), failures).await;
    let (_, line) = world.dial(1).await;
    line.events.push(CarrierEvent::Started { stream: "s".into(), rate: 16_000 });
    line.keep_talking();
    assert_eq!(world.ended().await, EndReason::EngineUnavailable);
    assert!(world.turns().iter().any(|turn| &*turn.text == "apology"));
    assert!((SECOND * 10..SECOND * 15).contains(&world.now()), "after {:?}", world.now());
}

#[actix::test]
async fn an_engine_that_stalls_is_replaced() {
    let world = World::plain().await;
    let (session, _line) = world.answered().await;
    session.asked().await;
    let second = world.session(1).await;
    let stalled = world.now();
    let limit = CallLimits::default().engine_progress;
    assert!((limit..limit + SECOND).contains(&stalled), "replaced after {stalled:?}");
    second.asked().await;
}

#[actix::test]
async fn every_idle_limit_ends_the_call() {
    let world = World::plain().await;
    assert_eq!(world.ended().await, EndReason::NoAnswer);
    assert!(world.now() >= SECOND * 45 && world.now() < SECOND * 46);
}

#[actix::test]
async fn a_stream_without_media_ends() {
    let world = World::plain().await;
    let session = world.session(0).await;
    session.asked().await;
    let (_, line) = world.dial(1).await;
    line.events.push(CarrierEvent::Started { stream: "s".into(), rate: 8000 });
    assert_eq!(world.ended().await, EndReason::NoMedia);
    assert!(world.now() < SECOND * 16, "after {:?}", world.now());
}

#[actix::test]
async fn a_silent_caller_is_asked_and_then_let_go() {
    let mut impatient = agent();
    impatient.limits.idle_speech = SECOND * 20;
    let world = World::with(impatient, TestActions::default(), vec![]).await;
    let (session, _line) = world.answered().await;
    let (wish, _) = session.asked().await;
    session.answer("r1", "a1", "Namaste", 500, Some(wish));
    assert_eq!(world.ended().await, EndReason::NoSpeech);
    let texts: Vec<String> = world.turns().iter().map(|turn| turn.text.to_string()).collect();
    assert_eq!(texts, ["Namaste", "still_there", "still_there", "goodbye"]);
}

#[actix::test]
async fn the_hard_cap_fires_although_the_agent_talks_and_no_mark_comes_back() {
    let mut capped = agent();
    capped.limits.max_duration = SECOND * 20;
    let world = World::with(capped, TestActions::default(), vec![]).await;
    let (session, _line) = world.answered().await;
    let (wish, _) = session.asked().await;
    session.answer("r1", "a1", "on and on", 60_000, Some(wish));
    assert_eq!(world.ended().await, EndReason::MaxDuration);
    assert!(world.now() <= SECOND * 25, "overran to {:?}", world.now());
}

#[actix::test]
async fn each_child_may_crash_and_the_call_goes_on() {
    let world = World::plain().await;
    let (session, line) = world.answered().await;
    let (wish, _) = session.asked().await;
    session.answer("r1", "a1", "Namaste", 3000, Some(wish));
    wait_for(|| (line.audio_ms() >= 600).then_some(())).await;
    let children = world.call.children().expect("the call is up");
    children.media.do_send(PlannedPanic);
    children.intent.do_send(PlannedPanic);
    children.actions.do_send(PlannedPanic);
    world.call.actor.do_send(PlannedPanic);
    wait_for(|| (line.audio_ms() == 3000).then_some(())).await;
    let times: Vec<Duration> =
        line.heard.borrow().iter().filter(|(_, c)| matches!(c, CarrierCommand::Audio(_))).map(|(at, _)| *at).collect();
    let gap = times.windows(2).map(|pair| pair[1] - pair[0]).max().expect("audio was sent");
    assert!(gap <= Duration::from_millis(200), "a gap of {gap:?}");
    session.caller_turn("u1", "kya haal hai");
    session.asked().await;
    children.realtime.do_send(PlannedPanic);
    let second = world.session(1).await;
    assert!(second.spec.context.contains(&ContextItem::Caller("kya haal hai".into())));
    second.asked().await;
    assert_eq!(world.events("child_restarted"), 4);
    line.events.push(CarrierEvent::Stopped { call_ended: true });
    assert_eq!(world.ended().await, EndReason::CallerHungUp);
}

#[actix::test]
async fn what_a_caller_will_ask_for_is_looked_up_as_soon_as_it_is_understood() {
    let world = World::plain().await;
    let (session, _line) = world.answered().await;
    session.caller_turn("u1", "where is my order");
    let looked_up = || world.actions.looked_up.lock().expect("not poisoned").clone();
    wait_for(|| (!looked_up().is_empty()).then_some(())).await;
    assert_eq!(looked_up(), [IntentKind::OrderStatus]);
}

#[actix::test]
async fn a_call_that_keeps_crashing_ends_cleanly_and_no_other_notices() {
    tokio::time::pause();
    let (calls, journal, _) = World::registry(TestActions::default(), vec![]);
    let all: Vec<_> =
        (0..50).map(|n| calls.admit(facts(agent(), &format!("sid{n}")), None).expect("admitted").call).collect();
    tokio::time::sleep(SECOND).await;
    let children = all[7].children().expect("started");
    for _ in 0..4 {
        all[7].actor.do_send(PlannedPanic);
        tokio::time::sleep(SECOND).await;
    }
    assert_eq!(all[7].end_reason(), Some(EndReason::CallPanicked));
    wait_for(|| (children.alive() == 0).then_some(())).await;
    wait_for(|| (calls.slots_taken() == 49).then_some(())).await;
    assert!(all.iter().enumerate().all(|(n, call)| n == 7 || (call.end_reason().is_none() && call.actor.connected())));
    let ended =
        journal.0.lock().expect("not poisoned").iter().filter(|e| matches!(e, JournalEntry::Ended { .. })).count();
    assert_eq!(ended, 1);
}

#[actix::test]
async fn a_media_child_past_its_limit_ends_the_call() {
    let world = World::plain().await;
    let (session, _line) = world.answered().await;
    session.asked().await;
    let media = world.call.children().expect("started").media;
    for _ in 0..4 {
        media.do_send(PlannedPanic);
    }
    assert_eq!(world.ended().await, EndReason::MediaLost);
}

#[actix::test]
async fn an_intent_child_past_its_limit_is_done_without() {
    let world = World::plain().await;
    let (session, line) = world.answered().await;
    session.asked().await;
    let intent = world.call.children().expect("started").intent;
    for _ in 0..4 {
        intent.do_send(PlannedPanic);
    }
    wait_for(|| (world.events("child_given_up") == 1).then_some(())).await;
    line.events.push(CarrierEvent::Stopped { call_ended: true });
    world.ended().await;
    let Some(JournalEntry::Ended { degraded, .. }) = world.entries().pop() else { panic!("no end") };
    assert_eq!(degraded, ["intent"]);
}

#[actix::test]
async fn a_repeated_handshake_replaces_a_socket_that_has_not_started_and_no_other() {
    let world = World::plain().await;
    world.session(0).await;
    let (first, _line) = world.dial(1).await;
    let (second, line) = world.dial(2).await;
    assert_eq!((first, second), (Attach::Accepted, Attach::Replaces(1)));
    line.events.push(CarrierEvent::Started { stream: "s".into(), rate: 8000 });
    line.keep_talking();
    tokio::time::sleep(SECOND).await;
    assert_eq!(world.dial(3).await.0, Attach::Busy);
    line.events.push(CarrierEvent::Stopped { call_ended: true });
    world.ended().await;
}

#[actix::test]
async fn two_requests_at_once_get_one_call_and_limits_hold() {
    let (calls, _, _) = World::registry(TestActions::default(), vec![]);
    let one = calls.admit(facts(agent(), "same"), None).expect("admitted");
    let two = calls.admit(facts(agent(), "same"), None).expect("known");
    assert!(one.fresh && !two.fresh && Arc::ptr_eq(&one.call, &two.call));
    for n in 0..99 {
        assert!(calls.admit(facts(agent(), &format!("n{n}")), None).is_ok());
    }
    assert!(calls.admit(facts(agent(), "too-many"), None).is_err());
    calls.start_draining();
    assert!(!calls.admit(facts(agent(), "same"), None).expect("known calls are still answered").fresh);
}

#[actix::test]
async fn a_drain_says_a_sentence_and_ends() {
    let world = World::plain().await;
    let (session, line) = world.answered().await;
    let (wish, _) = session.asked().await;
    session.answer("r1", "a1", "a long answer", 30_000, Some(wish));
    wait_for(|| (line.audio_ms() >= 500).then_some(())).await;
    world.calls.start_draining();
    world.calls.end_all();
    assert_eq!(world.ended().await, EndReason::Drained);
    assert!(world.turns().iter().any(|turn| &*turn.text == "apology"));
}

#[actix::test]
async fn keys_pressed_reach_the_engine_together() {
    let world = World::plain().await;
    let (session, line) = world.answered().await;
    let (wish, _) = session.asked().await;
    session.answer("r1", "a1", "Namaste", 100, Some(wish));
    for key in ['4', '2', '#'] {
        line.events.push(CarrierEvent::Dtmf(key));
    }
    let EngineCommand::CallerText(text) = session.command().await else { panic!("no keys") };
    assert!(text.contains("42#"), "{text}");
}

#[actix::test]
async fn a_supervisor_that_panics_sweeps_on() {
    tokio::time::pause();
    let (calls, journal, _) = World::registry(TestActions::default(), vec![]);
    let supervisor = CallSupervisor::start(Arc::clone(&calls));
    for _ in 0..10 {
        supervisor.do_send(PlannedPanic);
        tokio::time::sleep(SECOND).await;
    }
    let call = calls.admit(facts(agent(), "sid"), None).expect("admitted").call;
    tokio::time::sleep(SECOND).await;
    // Its actor is gone without a word, as nothing planned makes it go.
    call.actor.do_send(caly_actors::call::Stop);
    wait_for(|| call.end_reason()).await;
    assert_eq!(call.end_reason(), Some(EndReason::CallPanicked));
    wait_for(|| (calls.slots_taken() == 0).then_some(())).await;
    let ends = journal.0.lock().unwrap().iter().filter(|e| matches!(e, JournalEntry::Ended { .. })).count();
    assert_eq!(ends, 1);
    calls.set_remember(SECOND * 2);
    wait_for(|| calls.by_id(call.facts.call).is_none().then_some(())).await;
}
