//! How long a call bears with an engine that fails: while somebody waits, in a silence, and after sessions that were healthy.

use super::super::event::{CallEvent, Effect};
use super::super::state::EngineStage;
use super::super::table::*;
use super::*;
use crate::ports::EngineEvent;

fn ms(n: u64) -> CallTime {
    Duration::from_millis(n)
}

fn not_opened() -> CallEvent {
    CallEvent::EngineOpenFailed(EngineError::Connection("refused".into()))
}

fn ready() -> CallEvent {
    engine(EngineEvent::Ready)
}

fn session(effects: &[Effect]) -> Option<(Duration, Duration)> {
    effects.iter().find_map(|effect| match effect {
        Effect::OpenEngine { wait, within, .. } => Some((*wait, *within)),
        _ => None,
    })
}

fn wait(effects: &[Effect]) -> Option<Duration> {
    session(effects).map(|(wait, _)| wait)
}

/// Loses the session at 4 s, and no other can be had, each attempt taking so long, or as long as it may: the waits between them, and when it is
/// given up.
fn until_given_up(state: &mut CallState, attempt: Duration) -> (Vec<u64>, Duration) {
    let mut now = at(4);
    let mut effects = state.on(lost(), now);
    let mut waits = Vec::new();
    while let Some((wait, within)) = session(&effects) {
        waits.push(wait.as_millis() as u64);
        now += wait + attempt.min(within);
        effects = state.on(not_opened(), now);
        assert!(waits.len() < 50, "{waits:?}");
    }
    assert_eq!(state.engine_stage(), EngineStage::Dead);
    (waits, now - at(4))
}

#[test]
fn a_caller_who_waits_is_waited_with_for_ten_seconds_and_a_silence_longer() {
    let quick = ms(1);
    let (waits, gave_up) = until_given_up(&mut asking(true), quick);
    assert_eq!(waits, [0, 250, 500, 1000, 2000, 2000, 2000, 2000, 2000]);
    assert!((at(10)..at(13)).contains(&gave_up), "{gave_up:?}");
    let (_, gave_up) = until_given_up(&mut quiet(true), quick);
    assert!((at(30)..at(33)).contains(&gave_up), "{gave_up:?}");
    // Attempts that hang take the time themselves, the first that fails is not the last.
    let (waits, gave_up) = until_given_up(&mut asking(true), at(5));
    assert_eq!((waits.len(), gave_up.as_secs()), (2, 10));
    // No attempt takes longer than there is patience for.
    for (attempt, lasts) in [(at(6), 10), (ms(7_500), 10), (at(9), 11), (at(15), 10)] {
        let (waits, gave_up) = until_given_up(&mut asking(true), attempt);
        assert_eq!(gave_up.as_secs(), lasts, "{waits:?}");
    }
    let (_, gave_up) = until_given_up(&mut quiet(true), ms(7_500));
    assert!(gave_up <= at(38), "nobody waits: {gave_up:?}");
}

#[test]
fn a_gateway_that_is_away_for_a_moment_costs_no_call() {
    for mut state in [quiet(true), asking(true)] {
        let _ = state.on(lost(), ms(4_000));
        let mut now = ms(4_000);
        for after in [0, 250, 500] {
            now += ms(after + 1);
            assert!(wait(&state.on(not_opened(), now)).is_some(), "{now:?}");
        }
        assert!(!state.on(ready(), now + at(1)).is_empty());
        assert_eq!(state.engine_stage(), EngineStage::Ready);
    }
}

#[test]
fn who_begins_to_wait_in_a_long_silence_is_waited_with() {
    let mut state = quiet(true);
    let _ = state.on(lost(), at(4));
    for now in 5..12 {
        assert!(wait(&state.on(not_opened(), at(now))).is_some());
    }
    // Somebody speaks into it and is told to wait a moment.
    let _ = state.on(CallEvent::LineQuiet { since: at(12) }, at(12));
    assert_eq!(words(&state.on(CallEvent::TimePassed, at(13))), ["say bridge"]);
    for now in 14..23 {
        assert!(wait(&state.on(not_opened(), at(now))).is_some(), "{now}");
    }
    let _ = state.on(not_opened(), at(25));
    assert_eq!(state.engine_stage(), EngineStage::Dead);
}

#[test]
fn sessions_that_were_healthy_are_no_failures_in_a_row() {
    let mut state = quiet(true);
    // Each ends six seconds after it was opened, and the next one is there at once.
    for n in 1..20 {
        let effects = state.on(lost(), at(3 + 6 * n));
        assert_eq!(wait(&effects), Some(Duration::ZERO), "session {n}");
        let _ = state.on(ready(), at(3 + 6 * n));
        assert_eq!(state.trouble.failures, 1);
    }
    // One that takes questions and never answers is not healthy, however long it lasts.
    let stalled = || engine(EngineEvent::Lost(EngineError::Stalled("no answer")));
    let mut state = asking(true);
    let mut given_up = false;
    for n in 1..5 {
        let effects = state.on(stalled(), at(3 + 8 * n));
        given_up = wait(&effects).is_none();
        let _ = state.on(ready(), at(3 + 8 * n));
    }
    assert!(given_up);
}

#[test]
fn what_the_service_asks_for_is_waited_as_far_as_there_is_patience() {
    let call = CallId(uuid::Uuid::nil());
    let busy = |seconds| EngineError::Busy { reason: "later".into(), after: Some(at(seconds)) };
    let mut trouble = Trouble::default();
    trouble.session_lost(&busy(6), at(100));
    trouble.waits(true, at(100));
    assert_eq!(trouble.wait(&busy(6), call, at(100)), at(6));
    assert_eq!(trouble.wait(&busy(6), call, at(106)), at(2), "more than is left");
    assert_eq!(trouble.wait(&busy(60), call, at(100)), at(2));
}

#[test]
fn calls_that_lost_their_sessions_together_do_not_come_back_together() {
    let mut trouble = Trouble::default();
    for _ in 0..4 {
        trouble.not_opened(at(1));
    }
    let error = EngineError::Connection("reset".into());
    let waits: std::collections::HashSet<Duration> =
        (0..100).map(|_| trouble.wait(&error, CallId::new(), at(1))).collect();
    assert!(waits.len() > 30, "{waits:?}");
    assert!(waits.iter().all(|wait| (ms(1000)..=ms(1250)).contains(wait)), "{waits:?}");
}
