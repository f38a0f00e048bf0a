//! Decisions as a table: what went before, what happens, what is wanted, where the call is then.

use std::time::Duration;

use super::super::event::{CallEvent, Effect, MediaWish};
use super::super::table::*;
use super::*;
use crate::ports::*;
use crate::supervise::Child;

fn rows_of_conversation() -> Vec<Row> {
    vec![
        ("the engine is ready: greet", call(true), vec![], engine(EngineEvent::Ready), &["ask"], "waiting"),
        ("a turn is committed: ask", quiet(true), vec![spoke()], committed(), &["ask"], "live"),
        (
            "a turn while an answer is made: wait",
            quiet(true),
            vec![committed(), created("r1", 2)],
            committed(),
            &[],
            "live",
        ),
        (
            "… and ask when it is done",
            quiet(true),
            vec![committed(), created("r1", 2), committed()],
            done("r1", ResponseOutcome::Completed),
            &["ask"],
            "live",
        ),
        (
            "the caller speaks into the answer: cut and cancel",
            quiet(true),
            vec![committed(), created("r1", 2), agent_words(), began("a1")],
            spoke(),
            &["interrupt", "cancel"],
            "live",
        ),
        ("the caller speaks into silence: nothing to cut", quiet(true), vec![], spoke(), &[], "live"),
        (
            "what was heard in part is truncated",
            quiet(true),
            vec![agent_words(), began("a1")],
            cut("a1", 400),
            &["truncate at 400"],
            "live",
        ),
        ("what was not heard is deleted", quiet(true), vec![agent_words()], cut("a1", 0), &["delete"], "live"),
        (
            "what a lost session said is unknown to the next: nothing to truncate",
            quiet(true),
            vec![committed(), created("r1", 2), agent_words(), began("a1"), lost(), engine(EngineEvent::Ready)],
            cut("a1", 400),
            &[],
            "live",
        ),
        ("a stored phrase is no item of the engine", quiet(true), vec![], cut("phrase:bridge", 100), &[], "live"),
        (
            "a transcript is kept and understood",
            quiet(true),
            vec![spoke()],
            engine(EngineEvent::CallerTranscript { item: "u1".into(), text: "hello".into() }),
            &["understand", "turn"],
            "live",
        ),
        (
            "an answer cancelled before it began is thrown away",
            quiet(true),
            vec![committed(), created("r1", 2), agent_words(), began("a1"), spoke(), committed()],
            engine(EngineEvent::ResponseRefused),
            &[],
            "live",
        ),
    ]
}

fn rows_of_lost_engines() -> Vec<Row> {
    let refused = || EngineEvent::Lost(EngineError::Refused("key".into()));
    vec![
        (
            "a lost session is bridged and replaced",
            asking(true),
            vec![],
            lost(),
            &["say bridge", "open after 0 ms"],
            "live",
        ),
        (
            "a lost session while speech is heard needs no bridge",
            quiet(true),
            vec![began("a1")],
            lost(),
            &["open after 0 ms"],
            "live",
        ),
        (
            "a refused key: no retry, a sentence, a person",
            quiet(true),
            vec![],
            engine(refused()),
            &["close engine", "decide Transfer", "say hand_off"],
            "closing",
        ),
        (
            "a refused key and nobody to hand over to",
            quiet(false),
            vec![],
            engine(refused()),
            &["close engine", "decide HangUp", "say apology"],
            "closing",
        ),
    ]
}

fn rows_of_actions_and_ends() -> Vec<Row> {
    let started = || CallEvent::StreamStarted { rate: 8000 };
    vec![
        ("a tool is run", quiet(true), vec![created("r1", 2)], called("look", "t1"), &["run"], "live"),
        (
            "an unknown tool is answered with the list",
            quiet(true),
            vec![],
            called("fly", "t1"),
            &["tool error", "ask"],
            "live",
        ),
        (
            "the same tool call again waits for the first",
            quiet(true),
            vec![called("book", "t1")],
            called("book", "t2"),
            &[],
            "live",
        ),
        (
            "a crash of the action child: what wrote is unknown",
            quiet(true),
            vec![called("book", "t1")],
            CallEvent::ChildCrashed(Child::Action),
            &["tool error", "ask"],
            "live",
        ),
        (
            "… and what only read is run again",
            quiet(true),
            vec![called("look", "t1")],
            CallEvent::ChildCrashed(Child::Action),
            &["run"],
            "live",
        ),
        (
            "a crash of the intent child changes nothing",
            quiet(true),
            vec![],
            CallEvent::ChildCrashed(Child::Intent),
            &[],
            "live",
        ),
        (
            "media given up ends the call",
            quiet(true),
            vec![],
            CallEvent::ChildGaveUp(Child::Media),
            END_AT_ONCE,
            "ended",
        ),
        (
            "the caller hangs up: cut, close, wait for the ear",
            quiet(true),
            vec![],
            CallEvent::StreamStopped { call_ended: true },
            &["decide HangUp", "interrupt", "close 1000"],
            "tearing",
        ),
        (
            "… and finish when it is known",
            quiet(true),
            vec![CallEvent::StreamStopped { call_ended: true }],
            CallEvent::PlayoutCut(vec![]),
            &["close engine", "ended", "finish caller_hung_up"],
            "ended",
        ),
        (
            "the socket of another stream closes: nothing",
            quiet(true),
            vec![],
            CallEvent::SocketClosed { socket: 9, protocol_error: false },
            &[],
            "live",
        ),
        (
            "a socket without start closes: the carrier tries again",
            {
                let mut state = call(true);
                state.attach(1);
                state
            },
            vec![],
            CallEvent::SocketClosed { socket: 1, protocol_error: false },
            &[],
            "waiting",
        ),
        (
            "a call refused by the engine while it rings speaks once it is up",
            call(true),
            vec![engine(EngineEvent::Lost(EngineError::Quota("empty".into())))],
            started(),
            &["decide Transfer", "say hand_off"],
            "closing",
        ),
        ("an operator hangs up before the stream", call(true), vec![], CallEvent::HangUpOrdered, NO_STREAM, "ended"),
        (
            "a second end changes nothing",
            quiet(true),
            vec![CallEvent::HangUpOrdered],
            CallEvent::CarrierEnded,
            &[],
            "tearing",
        ),
    ]
}

const END_AT_ONCE: &[&str] = &["decide HangUp", "close engine", "ended", "finish media_lost"];
const NO_STREAM: &[&str] = &["decide HangUp", "close engine", "ended", "finish operator_hung_up"];

#[test]
fn every_row_of_the_table_holds() {
    hold(rows_of_conversation());
    hold(rows_of_lost_engines());
    hold(rows_of_actions_and_ends());
}

#[test]
fn every_limit_ends_in_its_own_reason() {
    for (mut state, seconds, expected) in
        [(call(true), 45, "no_answer"), (live(true), 2 + 15, "no_media"), (quiet(true), 30 * 60, "max_duration")]
    {
        if expected != "no_media" {
            let _ = state.on(CallEvent::MediaResumed, at(3));
        }
        // Tenths of a second, as fine as the limits are checked against.
        let (mut tenths, seconds): (u64, u64) = (30, seconds);
        let at = |tenths: u64| Duration::from_millis(tenths * 100);
        let mut ended = None;
        while ended.is_none() && tenths < seconds * 10 + 120 {
            tenths += 1;
            for effect in state.on(CallEvent::TimePassed, at(tenths)) {
                match effect {
                    // Somebody speaks now and then, so that only the limit in question is reached.
                    Effect::Finish(reason) => ended = Some((tenths, reason.as_str())),
                    Effect::Media(MediaWish::Interrupt { .. }) => {
                        for effect in state.on(CallEvent::PlayoutCut(vec![]), at(tenths)) {
                            if let Effect::Finish(reason) = effect {
                                ended = Some((tenths, reason.as_str()));
                            }
                        }
                    }
                    _ => {}
                }
            }
            if expected == "max_duration" && ended.is_none() && state.phase() == &Phase::Live {
                let _ = state.on(engine(EngineEvent::SpeechStarted { item: "u".into(), at_ms: 0 }), at(tenths));
                let _ = state.on(
                    engine(EngineEvent::SpeechStopped { item: "u".into(), at_ms: 0, behind: Duration::ZERO }),
                    at(tenths),
                );
            }
        }
        let (when, reason) = ended.expect(expected);
        assert_eq!(reason, expected);
        assert!((seconds * 10..=seconds * 10 + 50).contains(&when), "{expected} after {when} tenths of a second");
    }
}

#[test]
fn a_caller_turn_written_down_while_the_agent_still_speaks_tells_what_it_may_answer() {
    let mut state = live(false);
    for event in [created("r1", 1), agent_words(), began("a1"), spoke()] {
        let _ = state.on(event, at(10));
    }
    let said = |item: &str| engine(EngineEvent::CallerTranscript { item: item.into(), text: "4821".into() });
    let asked = |effects: Vec<Effect>| {
        effects.into_iter().find_map(|effect| match effect {
            Effect::Record(JournalEntry::Turn { under_way, .. }) => Some(under_way),
            _ => None,
        })
    };
    assert_eq!(asked(state.on(said("u1"), at(11))).as_deref(), Some("hello there"));
    // Heard in part, and on record.
    let _ = state.on(done("r1", ResponseOutcome::Cancelled), at(11));
    let _ = state.on(cut("a1", 400), at(11));
    assert_eq!(asked(state.on(said("u2"), at(12))).as_deref(), Some(""));
    assert_eq!(asked(state.on(said("u2"), at(12))), None, "some services send words twice");
}
