//! Decisions about sessions that grow old.

use super::super::event::CallEvent;
use super::super::table::*;
use super::*;
use crate::ports::EngineEvent;

/// Within a call of hours, the session is old at `at(3001)`.
fn aged() -> CallState {
    let mut agent = agent(true);
    agent.limits.max_duration = at(7_200);
    agent.limits.idle_speech = at(7_200);
    let mut state = quiet_of(agent);
    let _ = state.on(CallEvent::MediaResumed, at(3));
    state
}

fn ms(n: u64) -> CallTime {
    Duration::from_millis(n)
}

fn busy_all_the_time() -> CallEvent {
    CallEvent::EngineOpenFailed(busy(None))
}

#[test]
fn the_next_session_is_opened_beside_the_old_one_and_nobody_notices() {
    let mut state = aged();
    let begun = state.on(CallEvent::TimePassed, at(3001));
    let [Effect::RenewEngine { context, .. }] = &begun[..] else { panic!("{begun:?}") };
    assert_eq!(context[..], [ContextItem::Agent("welcome".into())]);
    assert_eq!(state.engine_stage(), EngineStage::Ready, "the old one serves meanwhile");
    let renewed = state.on(CallEvent::EngineRenewed, ms(3_001_700));
    assert_eq!((words(&renewed), notes(&renewed)), (vec![], vec![r#"engine_renewed {"why":"age"}"#.to_owned()]));
    assert_eq!(words(&state.on(committed(), at(3010))), ["ask"], "the new one is asked");
    let _ = hear(&mut state, [(3011, created("r9", 2)), (3011, agent_words()), (3011, began("a9"))]);
    let _ = hear(
        &mut state,
        [(3011, done("r9", crate::ports::ResponseOutcome::Completed)), (3013, CallEvent::PlayoutDrained)],
    );
    assert_eq!(state.timers.next(), Some(ms(3_001_700) + at(3000)), "it grows old as well");
}

#[test]
fn a_session_is_not_replaced_in_a_conversation() {
    let mut state = aged();
    let _ = state.on(spoke(), at(3000));
    assert_eq!(words(&state.on(CallEvent::TimePassed, at(3001))), [""; 0]);
    assert_eq!(state.next_deadline(), Some(at(3001) + LOOK_AGAIN));
    let _ = state.on(stopped(), at(3002));
    assert_eq!(words(&state.on(CallEvent::TimePassed, at(3002))), [""; 0], "what was said is not written down");
    let _ = state.on(written_down("hm"), at(3002));
    assert_eq!(words(&state.on(CallEvent::TimePassed, at(3003))), ["renew"]);
}

#[test]
fn words_that_never_come_keep_no_session_for_ever() {
    let mut state = aged();
    let _ = hear(&mut state, [(2_980, spoke()), (2_992, stopped())]);
    // It was no turn.
    state.timers.clear(Timer::Taken);
    assert_eq!(words(&state.on(CallEvent::TimePassed, at(3_001))), [""; 0]);
    assert_eq!(words(&state.on(CallEvent::TimePassed, at(3_002))), ["renew"]);
}

#[test]
fn what_happens_while_the_next_session_opens_keeps_the_old_one() {
    let happens: [(&str, CallEvent, &[&str]); 4] = [
        ("the caller speaks", spoke(), &["keep"]),
        ("a key is pressed", CallEvent::DtmfPressed('7'), &["keep"]),
        ("a turn is committed", committed(), &["ask", "keep"]),
        ("the call ends", CallEvent::DrainExpired, &["decide HangUp", "say apology", "keep"]),
    ];
    for (name, event, expected) in happens {
        let mut state = aged();
        let _ = state.on(CallEvent::TimePassed, at(3001));
        assert_eq!(words(&state.on(event, at(3002))), expected, "{name}");
    }
    let mut state = aged();
    let _ = hear(
        &mut state,
        [(3001, CallEvent::TimePassed), (3002, spoke()), (3003, stopped()), (3003, written_down("hm"))],
    );
    assert_eq!(words(&state.on(CallEvent::TimePassed, at(3002) + NEXT_PAUSE)), ["renew"], "in a later pause");
}

#[test]
fn a_session_that_takes_its_place_too_late_is_replaced_by_one_that_hears_what_was_said() {
    let mut state = aged();
    let _ = hear(&mut state, [(3001, CallEvent::TimePassed), (3002, spoke())]);
    let effects = state.on(CallEvent::EngineRenewed, at(3002));
    assert_eq!(words(&effects), ["close engine", "open, 700 ms again"]);
}

#[test]
fn sessions_that_cannot_be_opened_cost_a_healthy_call_nothing() {
    let mut state = aged();
    let mut now = at(3001);
    for wait in [60, 120, 180, 180] {
        assert_eq!(words(&state.on(CallEvent::TimePassed, now)), ["renew"]);
        let failed = state.on(busy_all_the_time(), now);
        assert_eq!(
            (words(&failed), notes(&failed)),
            (vec![], vec![r#"engine_not_renewed {"kind":"busy"}"#.to_owned()])
        );
        assert_eq!(state.next_deadline(), Some(now + at(wait)));
        // News of no session that is waited for.
        assert_eq!(state.on(busy_all_the_time(), now), []);
        now += at(wait);
    }
    assert_eq!((state.engine_stage(), state.trouble.failures), (EngineStage::Ready, 0));
}

#[test]
fn a_session_lost_while_the_next_one_opens_is_replaced_as_any_other() {
    let mut state = aged();
    let _ = state.on(CallEvent::TimePassed, at(3001));
    assert_eq!(words(&state.on(lost(), at(3001))), ["open after 0 ms"]);
    let effects = state.on(CallEvent::Engine(EngineEvent::Ready), at(3002));
    assert_eq!(notes(&effects), [r#"engine_recovered {"attempts":1}"#]);
}
