//! What opens it, what closes it, and whom it concerns.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Asked at this second: as what it is sent.
    Ask(u64, Option<Pass>),
    /// A usual request fails.
    Fail(u64),
    /// The trial fails.
    Trial(u64),
    Answer,
    /// The trial is given up.
    GiveUp,
    /// At this second, to wait so many.
    Wait(u64, u64),
}
use Step::{Answer, Ask, Fail, GiveUp, Trial, Wait};

const USUAL: Option<Pass> = Some(Pass::Usual);
const TRIAL: Option<Pass> = Some(Pass::Trial);
const OPENED: [Step; 5] = [Fail(0), Fail(0), Fail(0), Fail(0), Fail(0)];

#[test]
fn it_opens_after_failures_in_a_row_and_closes_with_an_answer() {
    let start = Instant::now();
    let at = |second| start + Duration::from_secs(second);
    let open = |steps: &[Step]| [&OPENED[..], steps].concat();
    for (name, steps) in [
        ("four failures are nothing", vec![Fail(0), Fail(0), Fail(0), Fail(0), Ask(0, USUAL)]),
        ("an answer begins anew", vec![Fail(0), Fail(0), Fail(0), Fail(0), Answer, Fail(0), Ask(0, USUAL)]),
        ("five open it", open(&[Ask(0, None), Ask(4, None)])),
        ("one trial, however long it takes", open(&[Ask(5, TRIAL), Ask(5, None), Ask(90, None)])),
        ("a trial that fails makes it rest longer", open(&[Ask(5, TRIAL), Trial(6), Ask(15, None), Ask(16, TRIAL)])),
        ("a trial that is answered closes it", open(&[Ask(5, TRIAL), Answer, Ask(5, USUAL), Ask(5, USUAL)])),
        ("after a trial that is given up comes another", open(&[Ask(5, TRIAL), GiveUp, Ask(5, TRIAL)])),
        ("what was sent before makes it rest no longer", open(&[Fail(3), Fail(4), Ask(5, TRIAL)])),
        ("an answer to what was sent before closes it", open(&[Answer, Ask(0, USUAL)])),
        ("who asks to wait is waited for", vec![Wait(0, 7), Ask(6, None), Ask(7, USUAL), Ask(7, USUAL)]),
        ("an answer to another does not end that", vec![Wait(0, 7), Answer, Ask(6, None), Ask(7, USUAL)]),
        ("nobody is waited for longer than a minute", vec![Wait(0, 86_400), Ask(59, None), Ask(60, USUAL)]),
        ("who asks to wait answers", open(&[Ask(5, TRIAL), Wait(5, 1), Ask(5, None), Ask(6, USUAL), Ask(6, USUAL)])),
    ] {
        let mut breaker = Breaker::default();
        for step in steps {
            match step {
                Ask(second, pass) => assert_eq!(breaker.admit(at(second)), pass, "{name}: {step:?}"),
                Fail(second) => drop(breaker.settle(Pass::Usual, Sign::Failed, at(second))),
                Trial(second) => drop(breaker.settle(Pass::Trial, Sign::Failed, at(second))),
                Answer => drop(breaker.settle(Pass::Usual, Sign::Answered, start)),
                GiveUp => drop(breaker.settle(Pass::Trial, Sign::None, start)),
                Wait(second, so_long) => {
                    breaker.settle(Pass::Usual, Sign::Wait(Duration::from_secs(so_long)), at(second));
                }
            }
        }
    }
}

#[test]
fn it_is_said_once_that_it_opened_and_its_rest_is_bounded() {
    let mut breaker = Breaker::default();
    let now = Instant::now();
    let opened = (0..100).filter(|_| breaker.settle(Pass::Trial, Sign::Failed, now)).count();
    assert_eq!((opened, breaker.rest), (1, REST_MAX));
}

#[test]
fn silence_and_failures_count_and_refusals_do_not() {
    let now = DateTime::parse_from_rfc3339("2026-11-21T10:00:00Z").unwrap().to_utc();
    let wait = |seconds| Sign::Wait(Duration::from_secs(seconds));
    for (status, header, expected) in [
        (200, None, Sign::Answered),
        (400, None, Sign::Answered),
        (404, Some("5"), Sign::Answered),
        (422, None, Sign::Answered),
        (429, None, Sign::Answered),
        (429, Some("3"), wait(3)),
        (429, Some(" 2.0 "), wait(2)),
        (429, Some("Sat, 21 Nov 2026 10:00:09 GMT"), wait(9)),
        (429, Some("Sat, 21 Nov 2026 09:00:00 GMT"), Sign::Answered),
        (429, Some("-1"), Sign::Answered),
        (429, Some("soon"), Sign::Answered),
        (500, None, Sign::Failed),
        (502, None, Sign::Failed),
        (503, Some("3"), Sign::Failed),
        (504, None, Sign::Failed),
    ] {
        assert_eq!(sign(status, header, now), expected, "{status} {header:?}");
    }
}

fn fail(breakers: &Breakers<&'static str>, client: ClientId, times: u32) {
    let until = Instant::now() + Duration::from_secs(8);
    (0..times).for_each(|_| breakers.admit(client, "host", until).unwrap().settle(Sign::Failed));
}

#[test]
fn a_clients_trouble_is_no_other_clients_and_what_is_well_is_not_kept() {
    let breakers = Breakers::new("test");
    let (one, other, until) = (ClientId::new(), ClientId::new(), Instant::now() + Duration::from_secs(8));
    fail(&breakers, one, FAILURES);
    assert!(breakers.admit(one, "host", until).is_none());
    assert!(breakers.admit(one, "other host", until).is_some());
    breakers.admit(other, "host", until).unwrap().settle(Sign::Answered);
    assert_eq!(breakers.lock().len(), 1);
    breakers.age(REST);
    let trial = breakers.admit(one, "host", until).unwrap();
    assert!(breakers.admit(one, "host", until).is_none(), "one trial");
    trial.settle(Sign::Answered);
    assert_eq!(breakers.lock().len(), 0);
}

#[test]
fn what_is_dropped_was_given_up_or_took_too_long() {
    let breakers = Breakers::new("test");
    let (client, now) = (ClientId::new(), Instant::now());
    for _ in 0..FAILURES {
        drop(breakers.admit(client, "host", now + Duration::from_secs(60)));
    }
    assert_eq!(breakers.lock().len(), 0, "a caller who hangs up is no failure");
    for _ in 0..FAILURES {
        drop(breakers.admit(client, "host", now));
    }
    assert!(breakers.admit(client, "host", now).is_none());
}

#[test]
fn no_more_are_kept_than_there_is_room_for() {
    let breakers = Breakers::new("test");
    for _ in 0..KEPT_MAX + 100 {
        fail(&breakers, ClientId::new(), 1);
    }
    let kept = breakers.lock().len();
    assert!((KEPT_MAX / 2..=KEPT_MAX).contains(&kept), "{kept}");
}
