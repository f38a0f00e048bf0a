//! Sequences that once broke a decision: who speaks over whom, what was heard, and what is never answered.

use super::super::event::CallEvent;
use super::super::table::*;
use super::*;
use crate::audio::playout::Cut;
use crate::domain::*;
use crate::ports::*;

fn ms(n: u64) -> CallTime {
    CallTime::from_millis(n)
}

fn quiet(barge_in: BargeIn) -> CallState {
    let mut state = quiet_of(Agent { barge_in, ..agent(true) });
    let _ = state.on(CallEvent::MediaResumed, ms(3000));
    state
}

fn said(item: &str) -> CallEvent {
    engine(EngineEvent::SpeechStarted { item: item.into(), at_ms: 0 })
}

fn stop(item: &str) -> CallEvent {
    engine(EngineEvent::SpeechStopped { item: item.into(), at_ms: 0, behind: CallTime::ZERO })
}

fn commit(item: &str) -> CallEvent {
    engine(EngineEvent::TurnCommitted { item: item.into() })
}

fn wrote(item: &str, text: &str) -> CallEvent {
    engine(EngineEvent::CallerTranscript { item: item.into(), text: text.into() })
}

fn speaks(response: &str, item: &str, delta: &str) -> CallEvent {
    engine(EngineEvent::AgentWords { response: response.into(), item: item.into(), delta: delta.into() })
}

fn all_said(item: &str, text: &str) -> CallEvent {
    engine(EngineEvent::AgentTranscript { item: item.into(), text: text.into() })
}

fn cut(item: &str, heard_ms: u64, total_ms: u64) -> CallEvent {
    CallEvent::PlayoutCut(vec![Cut { item: item.into(), heard_ms, total_ms }])
}

/// What is done, and when.
fn play(state: &mut CallState, script: Vec<(u64, CallEvent)>) -> Vec<(u64, String)> {
    let done = |(at, event): (u64, CallEvent)| words(&state.on(event, ms(at))).into_iter().map(move |word| (at, word));
    script.into_iter().flat_map(done).collect::<Vec<_>>()
}

/// The same as time passes, looked at each `step` milliseconds.
fn wait(state: &mut CallState, from: u64, until: u64, step: usize) -> Vec<(u64, String)> {
    play(state, (from..until).step_by(step).map(|at| (at, CallEvent::TimePassed)).collect())
}

fn first(log: &[(u64, String)], wanted: &[&str]) -> Option<u64> {
    log.iter().find(|(_, word)| wanted.iter().any(|wanted| word.starts_with(wanted))).map(|(at, _)| *at)
}

#[test]
fn an_answer_that_begins_while_the_caller_speaks_waits_and_gives_way() {
    let mut state = quiet(BargeIn::Normal);
    let log = play(
        &mut state,
        vec![
            (4000, said("u1")),
            (5000, stop("u1")),
            (5000, commit("u1")),
            // They go on: the answer is asked for, and not begun.
            (5080, said("u2")),
            (5200, created("r1", 2)),
            (5300, speaks("r1", "a1", "It is on its way.")),
            (5310, began("a1")),
            (5320, CallEvent::PlayoutHeld(ms(4000))),
        ],
    );
    assert_eq!(first(&log, &["hold"]), Some(5310), "{log:?}");
    // A second and more of it: what began is not what they wait for.
    let log = wait(&mut state, 5400, 7500, 100);
    assert!(first(&log, &["interrupt"]).is_some(), "{log:?}");
    let log = play(&mut state, vec![(7510, cut("a1", 0, 3000)), (7600, done("r1", ResponseOutcome::Cancelled))]);
    assert!(first(&log, &["delete"]).is_some(), "{log:?}");
    let log = play(&mut state, vec![(7700, stop("u2")), (7700, commit("u2"))]);
    assert_eq!(log.iter().filter(|(_, word)| word == "ask").count(), 1, "{log:?}");
}

#[test]
fn what_is_told_of_an_action_waits_for_a_caller_who_only_listens() {
    let mut state = quiet(BargeIn::Normal);
    let id = run(&state.on(called("look", "t1"), ms(4000)));
    let log = play(
        &mut state,
        vec![
            (5000, said("u1")),
            (5500, finished(id, None)),
            (5700, created("r2", 2)),
            (5800, speaks("r2", "a2", "It was shipped yesterday.")),
            (5810, began("a2")),
            (5820, CallEvent::PlayoutHeld(ms(4000))),
            (5900, stop("u1")),
            (5900, commit("u1")),
            (6100, wrote("u1", "haan")),
        ],
    );
    assert_eq!(first(&log, &["hold"]), Some(5810), "{log:?}");
    assert_eq!(first(&log, &["resume"]), Some(6100), "{log:?}");
    assert_eq!(first(&log, &["interrupt", "cancel"]), None, "{log:?}");
}

#[test]
fn an_engine_that_never_hears_the_caller_stop_is_replaced() {
    let mut state = quiet(BargeIn::Normal);
    let _ = play(&mut state, vec![(4000, said("u1")), (4800, CallEvent::LineQuiet { since: ms(4600) })]);
    let log = wait(&mut state, 5000, 20_000, 100);
    assert_eq!(first(&log, &["close engine", "open"]), Some(9600), "{log:?}");
    // Who speaks on is waited for.
    let mut state = quiet(BargeIn::Normal);
    let quiets = (5..30).map(|n| (n * 1000, CallEvent::LineQuiet { since: ms(n * 1000 - 200) })).collect();
    let _ = play(&mut state, vec![(4000, said("u1"))]);
    assert_eq!(play(&mut state, quiets), []);
    assert_eq!(wait(&mut state, 30_000, 33_000, 100), []);
}

#[test]
fn a_short_stop_whose_words_come_late_is_obeyed_late() {
    for (word, obeyed) in [("ruko", true), ("nahi", true), ("haan", false), ("", false)] {
        let mut state = quiet(BargeIn::Normal);
        let log = play(
            &mut state,
            vec![
                (4500, commit("u0")),
                (4700, created("r1", 2)),
                (4750, speaks("r1", "a1", "one two three four five six seven")),
                (4760, began("a1")),
                (4800, done("r1", ResponseOutcome::Completed)),
                (6000, said("u1")),
                (6010, CallEvent::PlayoutHeld(ms(5000))),
                (6750, stop("u1")),
                (6750, commit("u1")),
                (7450, CallEvent::TimePassed),
                (7650, wrote("u1", word)),
                (7660, cut("a1", 1000, 7000)),
            ],
        );
        assert_eq!(first(&log, &["resume"]), Some(7450), "{word}: {log:?}");
        assert_eq!(first(&log, &["interrupt"]).is_some(), obeyed, "{word}: {log:?}");
        let asked = log.iter().filter(|(at, word)| *at > 7000 && word == "ask").count();
        assert_eq!(asked, usize::from(obeyed), "{word}: {log:?}");
    }
    // After the agent has said all it had to, it is answered.
    let mut state = quiet(BargeIn::Normal);
    let log = play(
        &mut state,
        vec![
            (4500, commit("u0")),
            (4700, created("r1", 2)),
            (4760, began("a1")),
            (4800, done("r1", ResponseOutcome::Completed)),
            (6000, said("u1")),
            (6010, CallEvent::PlayoutHeld(ms(800))),
            (6750, stop("u1")),
            (6750, commit("u1")),
            (7450, CallEvent::TimePassed),
            (8300, CallEvent::PlayoutDrained),
            (8400, wrote("u1", "nahi ruko")),
        ],
    );
    assert_eq!(first(&log, &["interrupt"]), None, "{log:?}");
    assert_eq!(log.last(), Some(&(8400, "ask".to_owned())), "{log:?}");
    // At the very end of what it said, a "haan" is an answer too.
    let mut state = quiet(BargeIn::Normal);
    let log = play(
        &mut state,
        vec![
            (4500, commit("u0")),
            (4700, created("r1", 2)),
            (4760, began("a1")),
            (4800, done("r1", ResponseOutcome::Completed)),
            (6000, said("u1")),
            (6010, CallEvent::PlayoutHeld(ms(400))),
            (6750, stop("u1")),
            (6750, commit("u1")),
            (7450, CallEvent::TimePassed),
            (7900, CallEvent::PlayoutDrained),
            (8000, wrote("u1", "haan")),
        ],
    );
    assert_eq!(log.last(), Some(&(8000, "ask".to_owned())), "{log:?}");
}

#[test]
fn words_that_run_ahead_of_their_sound_are_not_heard() {
    let text = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen";
    let mut state = quiet(BargeIn::Eager);
    let mut all = Vec::new();
    for (at, event) in [
        (4000, commit("u1")),
        (4100, created("r1", 2)),
        (4200, speaks("r1", "a1", text)),
        (4210, began("a1")),
        (4700, said("u2")),
        // All words are there when one second of sound is, and half of that was heard.
        (4710, cut("a1", 500, 1000)),
        (4800, done("r1", ResponseOutcome::Cancelled)),
    ] {
        all.extend(state.on(event, ms(at)));
    }
    let turn = turns(&all).into_iter().find(|turn| turn.speaker == Speaker::Agent).expect("a turn");
    assert_eq!(&*turn.text, "one two", "{turn:?}");
}

#[test]
fn an_item_cut_before_its_words_are_known_is_truncated_all_the_same() {
    let mut state = quiet(BargeIn::Eager);
    let log = play(
        &mut state,
        vec![
            (4000, commit("u1")),
            (4100, created("r1", 2)),
            (4150, engine(EngineEvent::ItemAdded { item: "a1".into(), kind: ItemKind::Agent, replayed: None })),
            (4210, began("a1")),
            (4700, said("u2")),
            (4710, cut("a1", 500, 1000)),
        ],
    );
    assert!(first(&log, &["truncate"]).is_some(), "{log:?}");
}

#[test]
fn words_that_nobody_will_hear_are_not_being_said() {
    let words = "Order 1042 will be cancelled.";
    let rows: [(&str, Vec<(u64, CallEvent)>); 3] = [
        (
            "cancelled before its first sound",
            vec![
                (5000, created("r1", 2)),
                (5050, speaks("r1", "a1", words)),
                (5080, said("u2")),
                (5085, CallEvent::PlayoutCut(vec![])),
                (5090, speaks("r1", "a1", " Shall I?")),
                (5095, speaks("r1", "a2", "Really?")),
                (5100, all_said("a1", words)),
                (5105, all_said("a2", "Really?")),
                (5110, done("r1", ResponseOutcome::Cancelled)),
            ],
        ),
        (
            "cancelled as it was created",
            vec![
                (4000, began("phrase:checking")),
                (4100, said("u2")),
                (4110, CallEvent::PlayoutCut(vec![])),
                (4200, created("r1", 2)),
                (4250, speaks("r1", "a1", words)),
                (4300, all_said("a1", words)),
                (4310, done("r1", ResponseOutcome::Cancelled)),
            ],
        ),
        (
            "lost with its session",
            vec![
                (5000, created("r1", 2)),
                (5050, speaks("r1", "a1", words)),
                (5060, lost()),
                (5070, began("phrase:bridge")),
                (6000, engine(EngineEvent::Ready)),
                (6100, CallEvent::PlayoutDrained),
            ],
        ),
    ];
    for (name, script) in rows {
        let mut state = asking(true);
        let _ = play(&mut state, script);
        assert_eq!(&*state.turns.agent_under_way(), "", "{name}");
        assert!(!state.turns.agent_since(ms(0)).contains("1042"), "{name}");
    }
    // What follows it in sound and had none of its own.
    let mut state = asking(true);
    let _ = play(
        &mut state,
        vec![
            (5000, created("r1", 2)),
            (5050, speaks("r1", "a1", words)),
            (5100, speaks("r1", "a2", "Hello!")),
            (5110, began("a2")),
        ],
    );
    assert_eq!(&*state.turns.agent_under_way(), "Hello!");
}

#[test]
fn a_cough_does_not_silence_what_is_said_while_an_action_takes_long() {
    let mut agent = Agent { barge_in: BargeIn::Normal, ..agent(true) };
    (agent.limits.filler_after, agent.limits.filler_again) = (ms(1500), ms(6000));
    let mut state = quiet_of(agent);
    let _ = state.on(CallEvent::MediaResumed, ms(3000));
    let _ = state.on(called("look", "t1"), ms(4000));
    let _ = play(&mut state, vec![(4500, said("u1")), (5200, stop("u1"))]);
    let log = wait(&mut state, 5300, 10_000, 100);
    assert_eq!(first(&log, &["say"]), Some(6700), "{log:?}");
}

#[test]
fn who_hangs_up_with_their_last_word_is_written_down() {
    for (written, text) in
        [(Some(("u1", "dobara call mat karna")), "dobara call mat karna"), (Some(("other", "ek")), "ek"), (None, "")]
    {
        let mut state = quiet(BargeIn::Normal);
        let mut all = state.on(said("u1"), ms(4000));
        all.extend(state.on(hung_up(), ms(9000)));
        assert!(words(&all).contains(&"commit".to_owned()), "{:?}", words(&all));
        all.extend(state.on(CallEvent::PlayoutCut(vec![]), ms(9010)));
        if let Some((item, text)) = written {
            all.extend(state.on(wrote(item, text), ms(9300)));
        }
        all.extend(state.on(CallEvent::TimePassed, ms(11_000)));
        let caller: Vec<Turn> = turns(&all).into_iter().filter(|turn| turn.speaker == Speaker::Caller).collect();
        let said: Vec<_> = caller.iter().map(|turn| (&*turn.text, turn.started, turn.ended)).collect();
        assert_eq!(said, [(text, ms(4000), ms(9000))]);
    }
}

#[test]
fn a_stored_sentence_is_on_record_as_far_as_it_was_heard() {
    let stored = |script: Vec<(u64, CallEvent)>| {
        let mut state = quiet(BargeIn::Eager);
        let mut all = state.on(CallEvent::TimePassed, ms(33_000));
        assert_eq!(words(&all), ["say still_there"]);
        for (at, event) in script {
            all.extend(state.on(event, ms(at)));
        }
        let agent = turns(&all).into_iter().filter(|turn| turn.speaker == Speaker::Agent);
        let told = agent.map(|turn| (turn.text.to_string(), turn.unheard.to_string(), turn.started, turn.ended));
        (told.collect::<Vec<_>>(), state.turns.agent_since(ms(30_000)).trim().to_owned())
    };
    let item = "phrase:still_there";
    let whole = stored(vec![(33_010, began(item)), (34_000, CallEvent::PlayoutDrained)]);
    assert_eq!(whole, (vec![("still_there".into(), String::new(), ms(33_010), ms(34_000))], "still_there".into()));
    let cut_off = stored(vec![(33_010, began(item)), (33_100, said("u1")), (33_110, cut(item, 90, 1000))]);
    assert_eq!(cut_off, (vec![(String::new(), "still_there".into(), ms(33_010), ms(33_110))], String::new()));
    let never = stored(vec![(33_005, said("u1")), (33_006, cut(item, 0, 1000))]);
    assert_eq!(never, (vec![], String::new()));
}

#[test]
fn a_read_back_whose_sound_is_there_before_its_words_can_be_agreed_to() {
    for sound_first in [true, false] {
        let mut state = quiet(BargeIn::Normal);
        let id = run(&state.on(called("cancel", "t1"), ms(4000)));
        let plan = Ok(ActionOutput { output: r#"{"read_back":{"order":"1042"}}"#.into(), change: None, undo: None });
        let planned = CallEvent::ActionFinished { action: id, attempts: 1, result: plan };
        let _ = play(&mut state, vec![(4100, planned), (4200, created("r1", 2))]);
        let mut both = vec![began("a1"), speaks("r1", "a1", "Order 1042 cancel kar doon?")];
        if !sound_first {
            both.reverse();
        }
        let both = both.into_iter().map(|event| (4300, event)).collect();
        let _ = play(&mut state, both);
        let _ = play(
            &mut state,
            vec![
                (4400, done("r1", ResponseOutcome::Completed)),
                (6000, CallEvent::PlayoutDrained),
                (6500, CallEvent::DtmfPressed('1')),
                (6500, CallEvent::DtmfPressed('#')),
            ],
        );
        let log = play(&mut state, vec![(6600, created("r2", 3)), (6700, called("cancel", "t2"))]);
        assert!(log.iter().any(|(_, word)| word.starts_with("run")), "sound first {sound_first}: {log:?}");
    }
}

#[test]
fn a_read_back_held_at_its_first_sound_is_not_heard() {
    let mut state = quiet(BargeIn::Normal);
    let id = run(&state.on(called("cancel", "t1"), ms(4000)));
    let plan = Ok(ActionOutput { output: r#"{"read_back":{"order":"1042"}}"#.into(), change: None, undo: None });
    let planned = CallEvent::ActionFinished { action: id, attempts: 1, result: plan };
    let log = play(
        &mut state,
        vec![
            (4100, planned),
            (4150, said("u1")),
            (4200, created("r1", 2)),
            (4300, speaks("r1", "a1", "Order 1042 cancel kar doon?")),
            (4310, began("a1")),
            (4400, CallEvent::DtmfPressed('1')),
            (4400, CallEvent::DtmfPressed('#')),
            (4500, done("r1", ResponseOutcome::Completed)),
            (4600, created("r2", 3)),
            (4700, called("cancel", "t2")),
        ],
    );
    assert_eq!(first(&log, &["hold"]), Some(4310), "{log:?}");
    assert_eq!(first(&log, &["run"]), None, "{log:?}");
}
