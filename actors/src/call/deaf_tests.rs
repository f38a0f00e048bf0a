//! Sessions that do not hear what is said on the line: when they are replaced, what is heard again, and how often.

use std::time::Duration;

use super::super::event::CallEvent;
use super::super::table::*;
use super::*;
use crate::ports::{EngineEvent, ResponseOutcome};

fn ms(n: u64) -> CallTime {
    Duration::from_millis(n)
}

fn sounded(began: u64, ended: u64) -> CallEvent {
    let (began, ended) = (ms(began), ms(ended));
    CallEvent::LineSounded(Sound { began, ended, clear: ended - began })
}

fn sounding(since: u64) -> CallEvent {
    CallEvent::LineSounding { since: ms(since) }
}

fn renewed() -> CallEvent {
    CallEvent::EngineRenewed
}

fn hears(at_ms: u64) -> CallEvent {
    engine(EngineEvent::SpeechStarted { item: "u9".into(), at_ms })
}

fn play(state: &mut CallState, script: Vec<(u64, CallEvent)>) -> Vec<String> {
    script.into_iter().fold(vec![], |_, (now, event)| words(&state.on(event, ms(now))))
}

#[test]
fn what_no_session_notices_is_heard_again_by_the_next_and_answered() {
    let mut state = quiet(true);
    let quiet_since = CallEvent::LineQuiet { since: ms(5_960) };
    let _ = play(&mut state, vec![(4_900, sounding(4_700)), (6_110, quiet_since), (6_110, sounded(4_700, 5_960))]);
    assert_eq!(words(&state.on(CallEvent::TimePassed, ms(6_950))), [""; 0], "it has a second");
    let effects = words(&state.on(CallEvent::TimePassed, ms(6_960)));
    assert_eq!(effects, ["renew, 2960 ms again"], "the line may be wrong");
    assert_eq!(state.engine_stage(), EngineStage::Ready, "so the present one serves meanwhile");
    let renewed = state.on(renewed(), ms(7_500));
    let expected = [r#"engine_renewed {"why":"unheard"}"#, r#"caller_heard_again {"ms":3500}"#];
    assert_eq!((words(&renewed), notes(&renewed)), (vec![], expected.map(String::from).to_vec()));
    assert_eq!(play(&mut state, vec![(7_600, hears(600))]), ["say bridge"]);
    assert_eq!(play(&mut state, vec![(7_620, began("phrase:bridge"))]), [""; 0], "nobody speaks now");
    let stopped = EngineEvent::SpeechStopped { item: "u9".into(), at_ms: 2_400, behind: Duration::ZERO };
    let committed = EngineEvent::TurnCommitted { item: "u9".into() };
    assert_eq!(play(&mut state, vec![(7_700, engine(stopped)), (7_700, engine(committed))]), ["ask"]);
    let said = engine(EngineEvent::CallerTranscript { item: "u9".into(), text: "when are you open".into() });
    let turn = turns(&state.on(said, ms(8_000))).remove(0);
    assert_eq!((&*turn.text, turn.started), ("when are you open", ms(4_700)), "said when it was said");
}

/// A name, a call, and what happens in it at which millisecond.
type Kept = (&'static str, CallState, Vec<(u64, CallEvent)>);

#[test]
fn a_session_that_notices_or_has_nothing_to_notice_is_kept() {
    let playing = || {
        let mut state = quiet(true);
        let _ = state.on(began("a1"), at(4));
        state
    };
    let rows: Vec<Kept> = vec![
        ("it notices the beginning", quiet(true), vec![(4_900, hears(0)), (6_110, sounded(4_700, 5_960))]),
        ("it notices late", quiet(true), vec![(6_110, sounded(4_700, 5_960)), (6_500, hears(0))]),
        ("a key's tone", quiet(true), vec![(4_750, CallEvent::DtmfPressed('1')), (5_400, sounded(4_700, 5_250))]),
        ("a cough", quiet(true), vec![(5_200, sounded(4_700, 5_050))]),
        ("while the agent speaks", playing(), vec![(6_110, sounded(4_700, 5_960))]),
        ("the agent speaks since", quiet(true), vec![(6_110, sounded(4_700, 5_960)), (6_500, began("a1"))]),
    ];
    for (name, mut state, script) in rows {
        let _ = play(&mut state, script);
        for now in [6_960, 7_500, 8_500] {
            let effects = words(&state.on(CallEvent::TimePassed, ms(now)));
            assert!(!effects.iter().any(|word| word.starts_with("renew")), "{name}: {effects:?}");
        }
    }
}

#[test]
fn words_with_pauses_between_them_count_together() {
    let mut state = quiet(true);
    let words = vec![(4_700, sounded(4_250, 4_550)), (5_300, sounded(4_850, 5_150)), (6_150, CallEvent::TimePassed)];
    assert_eq!(play(&mut state, words), ["renew, 2600 ms again"]);
}

#[test]
fn a_session_lost_while_the_caller_speaks_unnoticed_takes_no_word_with_it() {
    let mut state = quiet(true);
    let heard = play(&mut state, vec![(4_700, sounded(4_250, 4_550)), (5_100, lost())]);
    assert_eq!(heard, ["say bridge", "open, 1550 ms again"], "they have finished and wait");
    let mut state = quiet(true);
    assert_eq!(play(&mut state, vec![(4_900, sounding(4_700)), (5_200, lost())]), ["open, 1200 ms again"]);
    let quiet_since = CallEvent::LineQuiet { since: at(6) };
    assert_eq!(play(&mut state, vec![(6_150, quiet_since), (6_450, CallEvent::TimePassed)]), ["say bridge"]);
    // A noise that has been there for long is nobody's word.
    let mut state = quiet(true);
    assert_eq!(play(&mut state, vec![(4_900, sounding(4_700)), (20_000, lost())]), ["open after 0 ms"]);
    // Who had finished when it went is told at once, though it had noticed only the beginning.
    let mut state = quiet(true);
    let script = vec![(4_200, spoke()), (5_350, CallEvent::LineQuiet { since: ms(5_200) }), (8_000, lost())];
    assert_eq!(play(&mut state, script), ["say bridge", "open, 4500 ms again"]);
}

#[test]
fn a_dog_does_not_have_sessions_replaced_all_the_time() {
    let (mut state, mut sessions) = (settled(), 0);
    for second in (4..604).step_by(4) {
        let bark = second * 1000;
        let _ = state.on(sounded(bark, bark + 700), ms(bark + 850));
        let suspected = words(&state.on(CallEvent::TimePassed, ms(bark + 1_700)));
        if !suspected.is_empty() {
            sessions += 1;
            assert_eq!(suspected, ["renew, 2400 ms again"]);
            let seen = play(&mut state, vec![(bark + 1_800, renewed()), (bark + 3_850, CallEvent::TimePassed)]);
            assert_eq!(seen, [""; 0], "the caller notices nothing");
        }
        // Nobody is let go meanwhile.
        state.restart_speech_timer(ms(bark + 3_950));
    }
    assert!((2..=5).contains(&sessions), "{sessions} in ten minutes");
    assert_eq!(state.engine_stage(), EngineStage::Ready);
}

#[test]
fn a_session_for_which_something_is_done_is_kept_until_its_answer_is_heard() {
    let bark = || vec![(5_600, sounded(4_700, 5_400)), (6_400, CallEvent::TimePassed), (8_400, CallEvent::TimePassed)];
    let mut state = quiet(true);
    let action = run(&state.on(called("look", "t1"), ms(4_000)));
    let _ = state.on(done("r1", ResponseOutcome::Completed), ms(4_100));
    assert_eq!(play(&mut state, bark()), [""; 0]);
    assert!(words(&state.on(finished(action, None), ms(9_000))).contains(&"ask".to_owned()));
    let answer = vec![(9_100, created("r2", 2)), (9_400, CallEvent::TimePassed)];
    assert_eq!(play(&mut state, answer), [""; 0], "while it makes one");
    let _ = play(&mut state, vec![(9_500, began("a1")), (11_000, CallEvent::PlayoutDrained)]);
    assert_eq!(play(&mut state, vec![(12_500, CallEvent::TimePassed)]), [""; 0]);
    // Nothing comes of it for long: what was said is too old to be heard again.
    let mut state = quiet(true);
    let _ = state.on(CallEvent::MediaResumed, ms(3_900));
    let _ = state.on(called("look", "t1"), ms(4_000));
    let _ = play(&mut state, bark());
    for now in [10_000, 13_000, 16_000, 20_000] {
        assert_eq!(play(&mut state, vec![(now, CallEvent::TimePassed)]), [""; 0]);
    }
    assert_eq!(state.unheard.said, None);
}

#[test]
fn a_line_that_was_right_is_believed_again_at_once() {
    let mut state = settled();
    for n in 0..4 {
        let now = 10_000 * (n + 1);
        let said = vec![(now + 1_000, sounded(now, now + 900)), (now + 1_900, CallEvent::TimePassed)];
        let effects = play(&mut state, said);
        assert_eq!(effects, ["renew, 2600 ms again"], "{n}");
        // The next hears it, answers, and is deaf in its turn.
        let item: Arc<str> = format!("u{n}").into();
        let heard = EngineEvent::SpeechStarted { item: Arc::clone(&item), at_ms: 600 };
        let stopped = EngineEvent::SpeechStopped { item: Arc::clone(&item), at_ms: 1_500, behind: Duration::ZERO };
        let (response, answer) = (format!("r{n}"), format!("b{n}"));
        let script = vec![
            (now + 2_000, renewed()),
            (now + 2_100, engine(heard)),
            (now + 2_200, engine(stopped)),
            (now + 2_200, engine(EngineEvent::TurnCommitted { item: Arc::clone(&item) })),
            (now + 2_200, engine(EngineEvent::CallerTranscript { item, text: "hello".into() })),
            (now + 2_300, created(&response, n + 2)),
            (now + 2_300, engine(EngineEvent::AgentTranscript { item: answer.as_str().into(), text: "yes".into() })),
            (now + 2_400, began(&answer)),
            (now + 2_400, done(&response, ResponseOutcome::Completed)),
            (now + 4_100, CallEvent::PlayoutDrained),
            (now + 4_100, CallEvent::TimePassed),
        ];
        let _ = play(&mut state, script);
    }
}

/// Somebody spoke, the session did not notice, and another is being opened at 6,960.
fn suspected() -> CallState {
    let mut state = quiet(true);
    let opens = vec![(6_110, sounded(4_700, 5_960)), (6_960, CallEvent::TimePassed)];
    assert_eq!(play(&mut state, opens), ["renew, 2960 ms again"]);
    state
}

#[test]
fn a_session_that_notices_after_all_keeps_its_place_and_hears_what_it_would_have_heard() {
    let mut state = suspected();
    assert_eq!(words(&state.on(hears(900), ms(7_000))), ["keep"]);
    let stopped = EngineEvent::SpeechStopped { item: "u9".into(), at_ms: 2_400, behind: Duration::ZERO };
    let committed = EngineEvent::TurnCommitted { item: "u9".into() };
    assert_eq!(play(&mut state, vec![(7_050, engine(stopped)), (7_060, engine(committed))]), ["ask"]);
}

#[test]
fn what_is_said_while_another_opens_is_heard_by_it_too() {
    let mut state = suspected();
    let again = vec![(10_300, sounded(9_400, 10_100)), (11_100, CallEvent::TimePassed)];
    assert_eq!(play(&mut state, again), [""; 0], "it is waited for");
    let renewed = state.on(renewed(), ms(11_500));
    assert!(notes(&renewed).contains(&r#"caller_heard_again {"ms":7500}"#.to_owned()), "{renewed:?}");
}

#[test]
fn a_session_is_not_given_up_for_one_that_is_not_to_be_had() {
    let mut state = suspected();
    let mut tried = 0;
    for second in 7..60 {
        let failed = state.on(CallEvent::EngineOpenFailed(busy(None)), ms(second * 1_000));
        assert!(!words(&failed).contains(&"close engine".to_owned()), "{failed:?}");
        let later = words(&state.on(CallEvent::TimePassed, ms(second * 1_000 + 500)));
        tried += usize::from(later.iter().any(|word| word.starts_with("renew")));
        state.restart_speech_timer(ms(second * 1_000));
    }
    assert!((2..=5).contains(&tried), "{tried}: what was said is heard again for a while");
    assert_eq!((state.engine_stage(), state.trouble.failures), (EngineStage::Ready, 0));
    // The service was away for a moment.
    let mut state = suspected();
    let _ = play(&mut state, vec![(7_000, CallEvent::EngineOpenFailed(busy(None)))]);
    assert_eq!(words(&state.on(CallEvent::TimePassed, ms(9_000))), ["renew, 5000 ms again"]);
}

#[test]
fn what_else_happens_puts_the_other_session_off() {
    let mut state = suspected();
    assert_eq!(words(&state.on(CallEvent::DtmfPressed('7'), ms(7_000))), ["keep"]);
    // An old one waits until it is clear whether the present one hears.
    let mut state = suspected();
    state.timers.set(Timer::SessionAge, ms(7_000));
    assert_eq!(words(&state.on(CallEvent::TimePassed, ms(7_000))), [""; 0]);
    let lost = state.on(lost(), ms(7_100));
    assert_eq!(words(&lost), ["say bridge", "open, 3100 ms again"], "it was deaf");
}

#[test]
fn who_began_while_the_agent_spoke_is_not_forgotten() {
    let speaking = || {
        let mut state = quiet(true);
        let _ = state.on(began("a1"), ms(4_000));
        state
    };
    // Half of it after the agent's last word, and all of it over the agent.
    for (ended, drained) in [(6_900, 5_200), (5_960, 6_500)] {
        let mut state = speaking();
        let (mut script, mut renewed) = (vec![(ended + 150, sounded(4_700, ended))], None);
        script.extend([(drained, CallEvent::PlayoutDrained)]);
        script.extend((5_000..12_000).step_by(50).map(|now| (now, CallEvent::TimePassed)));
        script.sort_by_key(|(now, _)| *now);
        for (now, event) in script {
            let effects = words(&state.on(event, ms(now)));
            let renews = effects.iter().any(|word| word.starts_with("renew"));
            renewed = renewed.or(renews.then_some(now));
        }
        let renewed = renewed.expect("another session hears it");
        assert!(renewed >= drained && renewed <= ended.max(drained) + 2 * 1_000, "{ended}: at {renewed}");
    }
    // Nobody is told to wait in the middle of their own words.
    let mut state = speaking();
    let script = vec![(4_800, sounding(4_700)), (5_000, CallEvent::PlayoutDrained), (5_500, lost())];
    assert_eq!(play(&mut state, script), ["open, 1500 ms again"]);
}

#[test]
fn what_the_session_heard_and_does_not_take_for_a_turn_is_heard_by_another_once() {
    let stops = |item: &str, at_ms| EngineEvent::SpeechStopped { item: item.into(), at_ms, behind: Duration::ZERO };
    let begins = |item: &str, at_ms| engine(EngineEvent::SpeechStarted { item: item.into(), at_ms });
    let committed = |item: &str| engine(EngineEvent::TurnCommitted { item: item.into() });
    let heard = || {
        let mut state = quiet(true);
        let _ = play(&mut state, vec![(4_700, begins("u1", 0)), (6_000, engine(stops("u1", 1_300)))]);
        state
    };
    let due = ms(6_000) + heard().facts.agent.limits.engine_progress;
    let mut state = heard();
    assert_eq!(play(&mut state, vec![(6_100, committed("u1"))]), ["ask"], "it does");
    let mut state = heard();
    let _ = state.on(CallEvent::MediaResumed, due);
    assert_eq!(words(&state.on(CallEvent::TimePassed, due)), ["renew, 10000 ms again"]);
    let again = vec![(14_500, renewed()), (14_600, begins("u2", 700))];
    assert_eq!(play(&mut state, again), ["say bridge"]);
    let mut answered = state.clone();
    let script = vec![(14_700, engine(stops("u2", 2_000))), (14_800, committed("u2"))];
    assert_eq!(play(&mut answered, script), ["ask"]);
    // Two sessions take it for a noise.
    let _ = play(&mut state, vec![(14_700, engine(stops("u2", 2_000))), (16_000, CallEvent::PlayoutDrained)]);
    for now in (16_100..30_000).step_by(100) {
        let _ = state.on(CallEvent::MediaResumed, ms(now));
        let effects = words(&state.on(CallEvent::TimePassed, ms(now)));
        assert!(!effects.iter().any(|word| word.starts_with("renew")), "{now}: {effects:?}");
    }
}

#[test]
fn nobody_is_told_to_wait_in_their_own_words_though_no_session_hears_them() {
    let mut state = asking(true);
    let _ =
        play(&mut state, vec![(4_000, lost()), (4_100, began("phrase:bridge")), (5_000, CallEvent::PlayoutDrained)]);
    let _ = play(&mut state, vec![(6_000, sounding(5_850))]);
    let said = |state: &mut CallState, from: u64, until: u64| -> Vec<u64> {
        let mut told = vec![];
        for now in (from..until).step_by(50) {
            let effects = words(&state.on(CallEvent::TimePassed, ms(now)));
            told.extend(effects.iter().any(|word| word.starts_with("say")).then_some(now));
        }
        told
    };
    assert_eq!(said(&mut state, 6_050, 12_000), [0; 0]);
    let mut noise = state.clone();
    let _ = play(&mut state, vec![(12_050, CallEvent::LineQuiet { since: ms(11_900) })]);
    assert_eq!(said(&mut state, 12_100, 14_000).len(), 1, "they have done");
    assert_eq!(said(&mut noise, 12_050, 17_000).len(), 1, "it is nobody's words");
}

#[test]
fn a_key_takes_away_its_own_tone_and_no_more() {
    for (name, spoken, key, renews) in [
        ("at once after a sentence", 2_200, 0, true),
        ("a moment after it", 2_200, 400, true),
        ("its tone", 500, 100, false),
    ] {
        let mut state = quiet(true);
        let ended = 4_700 + spoken;
        let mut script = vec![(ended + 150, sounded(4_700, ended)), (ended + key, CallEvent::DtmfPressed('5'))];
        script.sort_by_key(|(now, _)| *now);
        let _ = play(&mut state, script);
        assert_eq!(state.unheard.said.is_some(), renews, "{name}");
    }
}

#[test]
fn who_speaks_right_after_a_session_was_replaced_for_a_bark_says_nothing_but_what_they_say() {
    let mut state = suspected();
    let _ = state.on(renewed(), ms(7_500));
    // New: it began after the session had taken its place.
    let began = state.on(engine(EngineEvent::SpeechStarted { item: "u9".into(), at_ms: 4_000 }), ms(8_100));
    assert_eq!((words(&began), turns(&began).len()), (vec![], 0));
    let stopped = EngineEvent::SpeechStopped { item: "u9".into(), at_ms: 5_000, behind: Duration::ZERO };
    let committed = EngineEvent::TurnCommitted { item: "u9".into() };
    assert_eq!(play(&mut state, vec![(9_000, engine(stopped)), (9_000, engine(committed))]), ["ask"]);
    let said = engine(EngineEvent::CallerTranscript { item: "u9".into(), text: "are you open".into() });
    assert_eq!(turns(&state.on(said, ms(9_300))).len(), 1);
    let later = state.on(CallEvent::TimePassed, ms(9_600));
    assert_eq!((words(&later), turns(&later).len()), (vec![], 0), "nothing is told of the bark, nor stored");
    assert!(state.unheard.believed_from > ms(8_100), "and the line is not believed for a while");
}

#[test]
fn an_engine_of_which_no_session_hears_the_caller_gives_way_to_the_other() {
    let mut state = quiet(true).with_fallback(true);
    let spoken = vec![(6_110, sounded(4_700, 5_960)), (6_960, CallEvent::TimePassed)];
    assert_eq!(play(&mut state, spoken), ["renew, 2960 ms again"]);
    let _ = play(&mut state, vec![(7_500, renewed()), (9_500, CallEvent::TimePassed)]);
    // "Are you still there?"
    state.reprompts = 1;
    let _ = play(&mut state, vec![(12_150, sounded(11_000, 12_000))]);
    let effects = state.on(CallEvent::TimePassed, ms(13_000));
    assert!(matches!(effects[..], [Effect::RenewEngine { by: EngineChoice::Fallback, .. }]), "{effects:?}");
    let renewed = state.on(renewed(), ms(13_500));
    assert!(notes(&renewed).contains(&"engine_fell_back {}".to_owned()), "{renewed:?}");
    assert_eq!((state.engine_by, state.fallback_left), (EngineChoice::Fallback, false));
}

#[test]
fn a_turn_that_is_made_late_is_answered_once() {
    let mut state = quiet(true);
    let begins = engine(EngineEvent::SpeechStarted { item: "u1".into(), at_ms: 0 });
    let stops = engine(EngineEvent::SpeechStopped { item: "u1".into(), at_ms: 1_300, behind: Duration::ZERO });
    let _ = play(&mut state, vec![(4_700, begins), (6_000, stops)]);
    let due = ms(6_000) + state.facts.agent.limits.engine_progress;
    let _ = state.on(CallEvent::MediaResumed, due);
    assert_eq!(words(&state.on(CallEvent::TimePassed, due)), ["renew, 10000 ms again"]);
    let late = engine(EngineEvent::TurnCommitted { item: "u1".into() });
    assert_eq!(words(&state.on(late, due + ms(100))), ["ask", "keep"]);
    let said = engine(EngineEvent::CallerTranscript { item: "u1".into(), text: "are you open".into() });
    let answered = vec![(14_200, said), (14_300, created("r1", 2)), (14_400, began("a1"))];
    let _ = play(&mut state, answered);
    let ended = vec![(14_500, done("r1", ResponseOutcome::Completed)), (15_000, CallEvent::PlayoutDrained)];
    let _ = play(&mut state, ended);
    for now in (15_100..25_000).step_by(100) {
        let _ = state.on(CallEvent::MediaResumed, ms(now));
        assert_eq!(words(&state.on(CallEvent::TimePassed, ms(now))), [""; 0], "at {now}");
    }
}

#[test]
fn sessions_that_are_lost_as_soon_as_they_listen_are_no_proof_of_a_dog() {
    let mut state = suspected();
    let _ = state.on(renewed(), ms(7_500));
    let mut waits = vec![];
    for n in 0..4 {
        let lost = state.on(lost(), ms(8_000 + n * 3_000));
        waits.extend(words(&lost).into_iter().filter(|word| word.starts_with("open")));
        let _ = state.on(engine(EngineEvent::Ready), ms(8_500 + n * 3_000));
    }
    assert!(state.trouble.failures > 0, "they count");
    assert_ne!(waits[0], waits[3], "and are waited for longer: {waits:?}");
}

#[test]
fn what_was_written_down_is_a_turn_whatever_the_session_left_out() {
    for (name, told) in [
        ("that it took it for one", vec![(4_000, spoke()), (5_000, stopped()), (5_500, written_down("are you open"))]),
        ("… and that they had stopped", vec![(4_000, spoke()), (5_500, written_down("are you open"))]),
    ] {
        let mut state = quiet(true);
        let _ = play(&mut state, told);
        let later = (5_500..15_000).step_by(500).map(|now| (now, CallEvent::TimePassed));
        let asked: Vec<String> = later.flat_map(|(now, event)| words(&state.on(event, ms(now)))).collect();
        assert_eq!(asked.iter().filter(|word| *word == "ask").count(), 1, "{name}: {asked:?}");
    }
}
