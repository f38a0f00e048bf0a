//! Decisions as a table: what went before, what happens, what is wanted, where the call is then.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::super::event::{CallEvent, Effect, MediaWish};
use super::*;
use crate::audio::playout::Cut;
use crate::domain::*;
use crate::ports::*;
use crate::supervise::Child;

struct Words;
impl Phrases for Words {
    fn audio(&self, _: Phrase, _: Language) -> Pcm {
        Pcm { rate: 8000, bytes: vec![0; 16_000].into() }
    }
    fn words(&self, phrase: Phrase, _: Language) -> &'static str {
        phrase.as_str()
    }
}

fn tool(name: &str, writes: bool) -> Arc<ActionSpec> {
    Arc::new(ActionSpec {
        tool: ToolSpec { name: name.into(), description: "".into(), schema: "{}".into() },
        deadline: Duration::from_secs(5),
        retry: RetryRule { attempts: 1, backoff: Duration::ZERO },
        same: SameAction::PerArguments,
        writes,
    })
}

fn call(people: bool) -> CallState {
    let handoff_numbers = if people { vec![PhoneNumber::parse("+919876500000").expect("valid")] } else { vec![] };
    let agent = Agent {
        id: AgentId::new(),
        version: 1,
        name: "a".into(),
        instructions: "".into(),
        greeting: None,
        voice: "marin".into(),
        language: Language::English,
        turn_detection: TurnDetection::default(),
        barge_in: true,
        handoff_numbers,
        tools: vec![],
        http_tools: vec![],
        limits: CallLimits::default(),
    };
    let facts = CallFacts {
        call: CallId::new(),
        client: ClientId::new(),
        client_slug: "shop".into(),
        agent: Arc::new(agent),
        carrier: Carrier::Exotel,
        carrier_call_id: CarrierCallId::parse("sid").expect("valid"),
        caller: Party::Withheld,
        called: Party::Withheld,
        direction: Direction::Inbound,
        admitted_at: SystemTime::UNIX_EPOCH,
    };
    CallState::new(Arc::new(facts), vec![tool("look", false), tool("book", true)].into(), Arc::new(Words))
}

fn at(seconds: u64) -> CallTime {
    Duration::from_secs(seconds)
}

/// Effects in a word each; notes for the journal are left out.
fn words(effects: &[Effect]) -> Vec<String> {
    effects.iter().filter_map(word).collect()
}

fn word(effect: &Effect) -> Option<String> {
    Some(match effect {
        Effect::OpenEngine { wait, .. } => format!("open after {} ms", wait.as_millis()),
        Effect::CloseEngine => "close engine".into(),
        Effect::Engine(EngineCommand::CreateResponse { .. }) => "ask".into(),
        Effect::Engine(EngineCommand::CancelResponse) => "cancel".into(),
        Effect::Engine(EngineCommand::Truncate { heard_ms, .. }) => format!("truncate at {heard_ms}"),
        Effect::Engine(EngineCommand::DeleteItem { .. }) => "delete".into(),
        Effect::Engine(EngineCommand::ToolOutput { output, .. }) => {
            if output.contains("error") {
                "tool error".into()
            } else {
                "tool output".into()
            }
        }
        Effect::Engine(EngineCommand::Note(_)) => "note".into(),
        Effect::Engine(EngineCommand::CallerText(_)) => "keys".into(),
        Effect::Media(MediaWish::Say(phrase, _)) => format!("say {}", phrase.as_str()),
        Effect::Media(MediaWish::Interrupt { .. }) => "interrupt".into(),
        Effect::Media(MediaWish::Discard { .. }) => "discard".into(),
        Effect::Media(MediaWish::Close(code)) => format!("close {code}"),
        Effect::Understand { .. } => "understand".into(),
        Effect::RunAction { .. } => "run".into(),
        Effect::Decide { after, .. } => format!("decide {after:?}"),
        Effect::Finish(reason) => format!("finish {}", reason.as_str()),
        Effect::Record(JournalEntry::Turn { .. }) => "turn".into(),
        Effect::Record(JournalEntry::Ended { .. }) => "ended".into(),
        Effect::Record(_) => return None,
    })
}

fn engine(event: EngineEvent) -> CallEvent {
    CallEvent::Engine(event)
}

fn created(response: &str, wish: u64) -> CallEvent {
    engine(EngineEvent::ResponseCreated { response: response.into(), wish: Some(wish) })
}

fn done(response: &str, outcome: ResponseOutcome) -> CallEvent {
    engine(EngineEvent::ResponseDone { response: response.into(), outcome, usage: Usage::default() })
}

fn agent_words() -> CallEvent {
    engine(EngineEvent::AgentWords { response: "r1".into(), item: "a1".into(), delta: "hello there".into() })
}

fn began(item: &str) -> CallEvent {
    CallEvent::SpeechBegan { item: item.into() }
}

fn spoke() -> CallEvent {
    engine(EngineEvent::SpeechStarted { item: "u1".into(), at_ms: 0 })
}

fn committed() -> CallEvent {
    engine(EngineEvent::TurnCommitted { item: "u1".into() })
}

fn called(name: &str, tool_call: &str) -> CallEvent {
    engine(EngineEvent::ToolCalled {
        response: "r1".into(),
        tool_call: tool_call.into(),
        name: name.into(),
        arguments: "{}".into(),
    })
}

fn cut(item: &str, heard_ms: u64) -> CallEvent {
    CallEvent::PlayoutCut(vec![Cut { item: item.into(), heard_ms, total_ms: 1000 }])
}

/// A call with its stream up and its engine listening; the greeting (wish 1) is asked for.
fn live(people: bool) -> CallState {
    let mut state = call(people);
    assert_eq!(state.attach(1), Attach::Accepted);
    let _ = state.on(engine(EngineEvent::Ready), at(1));
    let _ = state.on(CallEvent::StreamStarted { rate: 8000 }, at(2));
    state
}

/// … and the greeting was made and heard.
fn quiet(people: bool) -> CallState {
    let mut state = live(people);
    for event in [
        created("r0", 1),
        engine(EngineEvent::AgentTranscript { item: "a0".into(), text: "welcome".into() }),
        began("a0"),
        done("r0", ResponseOutcome::Completed),
        CallEvent::PlayoutDrained,
    ] {
        let _ = state.on(event, at(3));
    }
    state
}

type Row = (&'static str, CallState, Vec<CallEvent>, CallEvent, &'static [&'static str], &'static str);

fn lost() -> CallEvent {
    engine(EngineEvent::Lost(EngineError::Connection("reset".into())))
}

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
            vec![began("a1")],
            cut("a1", 400),
            &["truncate at 400"],
            "live",
        ),
        ("what was not heard is deleted", quiet(true), vec![], cut("a1", 0), &["delete"], "live"),
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
            quiet(true),
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
            &["close engine", "decide Transfer", "say hand_off", "turn"],
            "closing",
        ),
        (
            "a refused key and nobody to hand over to",
            quiet(false),
            vec![],
            engine(refused()),
            &["close engine", "decide HangUp", "say apology", "turn"],
            "closing",
        ),
        (
            "a failed answer is asked for again",
            quiet(true),
            vec![committed(), created("r1", 2)],
            done("r1", ResponseOutcome::Failed(EngineError::Busy { reason: "later".into(), after: None })),
            &["ask"],
            "live",
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
            &["decide Transfer", "say hand_off", "turn"],
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
    for (name, mut state, before, event, expected, phase) in
        rows_of_conversation().into_iter().chain(rows_of_lost_engines()).chain(rows_of_actions_and_ends())
    {
        for event in before {
            let _ = state.on(event, at(4));
        }
        let effects = words(&state.on(event, at(5)));
        let effects: Vec<&str> = effects
            .iter()
            .map(String::as_str)
            .filter(|word| phase != "live" || *word != "turn" || expected.contains(word))
            .collect();
        assert_eq!(effects, expected, "{name}");
        assert_eq!(state.phase().as_str(), phase, "{name}");
    }
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
                let _ = state.on(engine(EngineEvent::SpeechStopped { item: "u".into(), at_ms: 0 }), at(tenths));
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
    let said = || engine(EngineEvent::CallerTranscript { item: "u1".into(), text: "4821".into() });
    let asked = |effects: Vec<Effect>| {
        effects.into_iter().find_map(|effect| match effect {
            Effect::Record(JournalEntry::Turn { under_way, .. }) => Some(under_way),
            _ => None,
        })
    };
    assert_eq!(asked(state.on(said(), at(11))).as_deref(), Some("hello there"));
    // Heard in part, and on record.
    let _ = state.on(done("r1", ResponseOutcome::Cancelled), at(11));
    let _ = state.on(cut("a1", 400), at(11));
    assert_eq!(asked(state.on(said(), at(12))).as_deref(), Some(""));
}
