//! Who is rung up and says hello, says nothing, speaks on, or is a machine; and what the agent does.

use bytes::Bytes;

use super::super::event::CallEvent;
use super::super::state::Attach;
use super::super::table::*;
use super::*;
use crate::domain::{Agent, CallLimits, Pcm};
use crate::ports::{EngineCommand, EngineEvent, ResponseOutcome};

fn ms(n: u64) -> CallTime {
    Duration::from_millis(n)
}

fn waiting_agent() -> Agent {
    let agent = agent(true);
    Agent { limits: CallLimits { hello: ms(3_000), ..agent.limits }, greeting: Some("Namaste".into()), ..agent }
}

/// Somebody is rung up, and takes up the phone at two seconds; the engine listens. `stored`: there is sound of the greeting.
fn rung_up(agent: Agent, direction: Direction, stored: bool) -> (CallState, Vec<String>) {
    let facts = CallFacts { direction, ..(*call_of(agent).facts).clone() };
    let made = call_of(waiting_agent());
    let mut state = CallState::new(Arc::new(facts), made.catalogue, made.phrases)
        .greeting_with(stored.then(|| Pcm { rate: 8000, bytes: Bytes::from_static(&[3; 16_000]) }));
    assert_eq!(state.attach(1), Attach::Accepted);
    let mut first = words(&state.on(engine(EngineEvent::Ready), ms(1_000)));
    first.extend(words(&state.on(CallEvent::StreamStarted { rate: 8000 }, ms(2_000))));
    let _ = state.on(CallEvent::MediaResumed, ms(2_000));
    (state, first)
}

fn answered(stored: bool) -> CallState {
    let (state, first) = rung_up(waiting_agent(), Direction::Outbound, stored);
    assert_eq!(first, [""; 0], "the agent waits");
    state
}

fn play(state: &mut CallState, script: Vec<(u64, CallEvent)>) -> Vec<String> {
    script.into_iter().flat_map(|(now, event)| words(&state.on(event, ms(now)))).collect()
}

fn sounded(began: u64, ended: u64, clear: u64) -> CallEvent {
    CallEvent::LineSounded(Sound { began: ms(began), ended: ms(ended), clear: ms(clear) })
}

fn time(state: &mut CallState, now: u64) -> Vec<String> {
    words(&state.on(CallEvent::TimePassed, ms(now)))
}

#[test]
fn who_rings_and_who_is_rung_up_by_an_agent_that_does_not_wait_is_greeted_at_once() {
    for (agent, direction) in
        [(waiting_agent(), Direction::Inbound), (agent(true), Direction::Outbound), (agent(true), Direction::Inbound)]
    {
        let agent = Agent { greeting: Some("Namaste".into()), ..agent };
        assert_eq!(rung_up(agent.clone(), direction, true).1, ["play greeting"]);
        assert_eq!(rung_up(agent, direction, false).1, ["ask"]);
    }
}

#[test]
fn a_hello_is_answered_by_the_greeting_and_by_nothing_else() {
    for (stored, greets) in [(true, "play greeting"), (false, "ask")] {
        let mut state = answered(stored);
        let said = vec![(2_600, spoke()), (3_500, stopped())];
        assert_eq!(play(&mut state, said), [""; 0]);
        let committed = state.on(committed(), ms(3_501));
        assert_eq!(words(&committed), [greets]);
        assert_eq!(notes(&committed), ["hello {\"waited_ms\":1501,\"why\":\"said\"}"]);
        if !stored {
            let asks = |effect: &Effect| match effect {
                Effect::Engine(EngineCommand::CreateResponse { instructions, .. }) => instructions.clone(),
                _ => None,
            };
            let asked = committed.iter().find_map(asks).expect("with its words");
            assert!(asked.contains("Namaste") && !asked.contains("answer"), "{asked}");
        }
        let hello = turns(&state.on(written_down("hello"), ms(3_900))).remove(0);
        assert_eq!(&*hello.text, "hello");
        assert_eq!(time(&mut state, 5_000), [""; 0], "once");
    }
}

#[test]
fn who_says_nothing_is_greeted_after_a_while() {
    let mut state = answered(true);
    assert_eq!(time(&mut state, 4_999), [""; 0]);
    assert_eq!(time(&mut state, 5_000), ["play greeting"]);
    // Before the engine listens it is asked as soon as it does.
    let mut state = answered(false);
    assert_eq!(play(&mut state, vec![(3_000, lost())]), ["open after 0 ms"], "nobody is told to wait");
    assert_eq!(time(&mut state, 5_000), [""; 0]);
    assert_eq!(play(&mut state, vec![(5_200, engine(EngineEvent::Ready))]), ["ask"]);
    // What they say after all is answered, like anything else.
    let mut state = answered(true);
    let _ = time(&mut state, 5_000);
    let _ = play(&mut state, vec![(5_001, began("greeting")), (7_000, CallEvent::PlayoutDrained)]);
    assert_eq!(play(&mut state, vec![(7_500, spoke()), (8_500, stopped()), (8_500, committed())]), ["ask"]);
}

#[test]
fn a_hello_that_only_the_line_tells_of_is_one_and_a_click_is_none() {
    let mut state = answered(true);
    assert_eq!(play(&mut state, vec![(2_300, sounded(2_050, 2_150, 90)), (3_200, CallEvent::TimePassed)]), [""; 0]);
    let _ = play(&mut state, vec![(3_400, sounded(2_900, 3_250, 300))]);
    assert_eq!(time(&mut state, 4_249), [""; 0]);
    assert_eq!(time(&mut state, 4_250), ["play greeting"]);
    // The engine tells of it later: it was the hello all the same, if it began before the greeting.
    let mut state = answered(true);
    let heard = vec![(2_700, spoke()), (3_400, sounded(2_500, 3_250, 600)), (4_250, CallEvent::TimePassed)];
    assert_eq!(play(&mut state, heard), [""; 0], "the engine hears them still");
    assert_eq!(play(&mut state, vec![(4_400, stopped()), (4_400, committed())]), ["play greeting"]);
}

#[test]
fn who_speaks_on_and_on_is_waited_for_so_long_and_no_longer() {
    let mut state = answered(true);
    let _ = play(&mut state, vec![(2_500, spoke())]);
    let greeted = (5_000..20_000).step_by(50).find(|now| time(&mut state, *now).contains(&"play greeting".to_owned()));
    assert_eq!(greeted, Some(15_000));
    // That was more than a hello.
    assert_eq!(play(&mut state, vec![(16_000, stopped()), (16_000, committed())]), ["ask"]);
}

#[test]
fn a_key_is_a_hello_and_no_notice_is_told_before_one() {
    let notices = vec!["You are talking to a machine.".into()];
    let agent = Agent { notices, greeting: Some("Namaste! You are talking to a machine.".into()), ..waiting_agent() };
    let (mut state, first) = rung_up(agent, Direction::Outbound, true);
    assert_eq!(first, [""; 0]);
    assert_eq!(time(&mut state, 3_000), [""; 0]);
    let keys = vec![(3_100, CallEvent::DtmfPressed('1')), (3_200, CallEvent::DtmfPressed('#'))];
    assert_eq!(play(&mut state, keys), ["keys", "play greeting", "ask"], "answered with it");
    assert_eq!(time(&mut state, 4_000), [""; 0], "once");
}

fn item(name: &'static str, event: fn(Arc<str>) -> EngineEvent) -> CallEvent {
    engine(event(name.into()))
}

#[test]
fn a_hello_into_the_greeting_does_not_cut_it_and_more_does() {
    for (text, expected) in
        [("hello hello", "resume"), ("haan ji boliye", "resume"), ("who is this and why do you ring", "interrupt")]
    {
        for direction in [Direction::Inbound, Direction::Outbound] {
            let agent = Agent { barge_in: crate::domain::BargeIn::Normal, ..waiting_agent() };
            let (mut state, _) = rung_up(agent, direction, true);
            let _ = time(&mut state, 5_000);
            let _ = play(&mut state, vec![(5_001, began("greeting"))]);
            let into = item("u5", |item| EngineEvent::SpeechStarted { item, at_ms: 5_200 });
            assert_eq!(play(&mut state, vec![(5_300, into)]), ["hold"]);
            let over = item("u5", |item| EngineEvent::SpeechStopped { item, at_ms: 5_900, behind: Duration::ZERO });
            let turn = item("u5", |item| EngineEvent::TurnCommitted { item });
            let _ = play(&mut state, vec![(5_900, over), (5_900, turn)]);
            let said = engine(EngineEvent::CallerTranscript { item: "u5".into(), text: text.into() });
            let heard = play(&mut state, vec![(6_200, said)]);
            assert!(heard.contains(&expected.to_owned()), "{text} {direction:?}: {heard:?}");
            assert!(!heard.contains(&"ask".to_owned()), "{text} {direction:?}: {heard:?}");
        }
    }
}

#[test]
fn a_hello_that_a_session_hears_late_is_answered_by_the_greeting_alone() {
    let mut state = answered(true);
    assert_eq!(play(&mut state, vec![(2_300, lost())]), ["open after 0 ms"]);
    let line = vec![(3_050, sounded(2_500, 2_900, 400)), (3_900, CallEvent::TimePassed)];
    assert_eq!(play(&mut state, line), ["play greeting"]);
    let ready = vec![(3_950, began("greeting")), (4_100, engine(EngineEvent::Ready))];
    assert_eq!(play(&mut state, ready), [""; 0]);
    // The new session's sound begins at 2 s.
    let late = item("u7", |item| EngineEvent::SpeechStarted { item, at_ms: 500 });
    let behind = Duration::from_millis(1_000);
    let stopped = engine(EngineEvent::SpeechStopped { item: "u7".into(), at_ms: 1_400, behind });
    let turn = item("u7", |item| EngineEvent::TurnCommitted { item });
    assert_eq!(play(&mut state, vec![(4_150, late), (4_160, stopped), (4_160, turn)]), [""; 0]);
    let hello =
        turns(&state.on(engine(EngineEvent::CallerTranscript { item: "u7".into(), text: "hello".into() }), ms(4_500)));
    assert_eq!(hello[0].started, ms(2_500));
    assert_eq!(play(&mut state, vec![(6_000, CallEvent::PlayoutDrained), (6_400, CallEvent::TimePassed)]), ["turn"]);
}

#[test]
fn a_hello_that_the_line_told_of_before_its_session_was_lost_is_answered_by_the_greeting_alone() {
    for noticed in [false, true] {
        let mut state = answered(true);
        let _ = play(&mut state, vec![(3_050, sounded(2_500, 2_900, 400)), (3_300, lost())]);
        assert_eq!(play(&mut state, vec![(3_900, CallEvent::TimePassed)]), ["play greeting"]);
        let _ = play(&mut state, vec![(3_950, began("greeting")), (4_100, engine(EngineEvent::Ready))]);
        if noticed {
            let again = item("u7", |item| EngineEvent::SpeechStarted { item, at_ms: 700 });
            let stopped = item("u7", |item| EngineEvent::SpeechStopped { item, at_ms: 1_100, behind: Duration::ZERO });
            let turn = item("u7", |item| EngineEvent::TurnCommitted { item });
            assert_eq!(play(&mut state, vec![(4_150, again), (4_160, stopped), (4_160, turn)]), [""; 0]);
        }
        let after = play(&mut state, vec![(6_000, CallEvent::PlayoutDrained), (6_400, CallEvent::TimePassed)]);
        assert!(!after.contains(&"ask".to_owned()) && !after.contains(&"note".to_owned()), "{noticed}: {after:?}");
    }
}

#[test]
fn what_a_hello_says_beside_is_answered_after_the_greeting() {
    for (intent, asks) in
        [(IntentKind::Greeting, false), (IntentKind::Affirm, false), (IntentKind::CallbackRequest, true)]
    {
        let mut state = answered(true);
        let _ = play(&mut state, vec![(2_600, spoke()), (5_000, stopped()), (5_001, committed())]);
        let said = turns(&state.on(written_down("hello I am driving please ring me after six"), ms(5_300)));
        let (own, wish, abusive, entities) = (None, None, false, vec![]);
        let yes = crate::domain::Yes::Neither;
        let understanding = crate::domain::Understanding { intent, own, confidence: 1.0, yes, wish, abusive, entities };
        let turn = said.first().expect("it is on record").id;
        let heard = play(&mut state, vec![(5_350, CallEvent::TurnUnderstood { turn, understanding })]);
        assert_eq!(heard.contains(&"ask".to_owned()), asks, "{intent:?}: {heard:?}");
    }
}

#[test]
fn a_greeting_that_is_cut_before_anybody_hears_it_is_still_said() {
    let (mut state, first) = rung_up(waiting_agent(), Direction::Inbound, false);
    assert_eq!(first, ["ask"]);
    let _ = play(&mut state, vec![(2_100, created("r0", 1))]);
    assert_eq!(play(&mut state, vec![(2_200, spoke())]), ["interrupt", "cancel"]);
    let over = vec![(2_210, cut("none", 0)), (2_220, done("r0", ResponseOutcome::Cancelled)), (2_900, stopped())];
    let _ = play(&mut state, over);
    let asked = state.on(committed(), ms(2_900)).into_iter().find_map(|effect| match effect {
        Effect::Engine(EngineCommand::CreateResponse { instructions, .. }) => instructions,
        _ => None,
    });
    assert!(asked.is_some_and(|asked| asked.contains("Namaste") && asked.contains("Then answer")));
}
