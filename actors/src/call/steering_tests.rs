//! What a call does by itself: tables of the plain functions, then whole states with their effects.

use std::time::Duration;

use super::*;
use crate::call::event::CallEvent;
use crate::call::table::*;
use crate::domain::{ActionState, Party, PhoneNumber, TurnId, Yes};
use crate::ports::{ActionError, ActionOutput, EngineEvent, ResponseOutcome};

const NOTHING: Said = Said { wish: None, confidence: 0.9, abusive: false, goodbye: false };
const LEAVE_IT: Said = Said { wish: Some(Wish::LeaveIt), ..NOTHING };
const GOODBYE: Said = Said { goodbye: true, ..NOTHING };
const Q: Doing = Doing::Quiet;
const ABUSIVE: Said = Said { abusive: true, ..NOTHING };

const PERSON: Said = Said { wish: Some(Wish::Person), ..NOTHING };
const UNSURE_PERSON: Said = Said { confidence: 0.6, ..PERSON };
const UNSURER_PERSON: Said = Said { confidence: 0.4, ..PERSON };
const WRONG: Said = Said { wish: Some(Wish::WrongNumber), ..NOTHING };
const UNSURE_WRONG: Said = Said { confidence: 0.6, ..WRONG };
const NO_CALLS: Said = Said { wish: Some(Wish::NoCalls), ..NOTHING };
const UNSURE_NO_CALLS: Said = Said { confidence: 0.6, ..NO_CALLS };
const ABUSIVE_PERSON: Said = Said { abusive: true, ..PERSON };

const MEANS: Means = Means {
    policies: Policies {
        person: PersonPolicy::Obey,
        wrong_number: WrongNumberPolicy::End,
        do_not_call: DoNotCallPolicy::Record,
        abuse: AbusePolicy::Warn,
    },
    people: true,
};

fn ms(ms: u64) -> CallTime {
    Duration::from_millis(ms)
}

/// What is said at 1 s, 2 s and so on while the call does something, the steps it leads to in all, and why the call is closed
/// at once, if it is.
type Heard = (&'static str, &'static [(Said, Doing)], &'static [Step], Option<Cause>);

#[test]
fn what_is_done_at_once_about_what_is_said() {
    let table: &[Heard] = &[
        ("one wish for a person waits for the engine", &[(PERSON, Q)], &[], None),
        ("the second in a row does not", &[(PERSON, Q), (PERSON, Q)], &[], Some(Cause::Person)),
        ("… nor while the engine answers", &[(PERSON, Q), (PERSON, Doing::Answering)], &[], Some(Cause::Person)),
        ("… nor after a hello in between", &[(PERSON, Q), (NOTHING, Q), (PERSON, Q)], &[], Some(Cause::Person)),
        ("unsure twice is sure", &[(UNSURE_PERSON, Q), (UNSURE_PERSON, Q)], &[], Some(Cause::Person)),
        ("unsure once is nothing", &[(UNSURE_PERSON, Q), (NOTHING, Q)], &[], None),
        ("unsure and unsurer is nothing", &[(UNSURE_PERSON, Q), (UNSURER_PERSON, Q)], &[], None),
        ("after second thoughts it is the first again", &[(PERSON, Q), (LEAVE_IT, Q), (PERSON, Q)], &[], None),
        ("a write is waited for", &[(PERSON, Q), (PERSON, Doing::Writing)], &[], None),
        ("nothing once the end is decided", &[(PERSON, Doing::Ending), (PERSON, Doing::Ending)], &[], None),
        ("a number is put on record once", &[(NO_CALLS, Q), (NO_CALLS, Q)], &[Step::Suppress], None),
        ("… also by the last words", &[(NO_CALLS, Doing::Ending)], &[Step::Suppress], None),
        ("… not if it is not sure", &[(UNSURE_NO_CALLS, Q)], &[], None),
        ("a wrong number said twice ends the call", &[(WRONG, Q), (WRONG, Q)], &[], Some(Cause::WrongNumber)),
        (
            "… also late in it",
            &[(NOTHING, Q), (NOTHING, Q), (NOTHING, Q), (WRONG, Q), (WRONG, Q)],
            &[],
            Some(Cause::WrongNumber),
        ),
        ("… not if it is not sure", &[(UNSURE_WRONG, Q), (UNSURE_WRONG, Q)], &[], None),
        ("abuse is warned of once", &[(ABUSIVE, Q)], &[Step::Warn], None),
        (
            "… and ends the call the second time",
            &[(ABUSIVE, Q), (NOTHING, Q), (ABUSIVE, Q)],
            &[Step::Warn],
            Some(Cause::Abuse),
        ),
        ("… not while a write runs", &[(ABUSIVE, Q), (ABUSIVE, Doing::Writing)], &[Step::Warn], None),
        (
            "who swears and wants a person gets one",
            &[(ABUSIVE, Q), (ABUSIVE_PERSON, Q), (PERSON, Q)],
            &[Step::Warn],
            Some(Cause::Person),
        ),
    ];
    for (name, said, expected, closed) in table {
        let (mut steering, mut steps, mut due) = (Steering::default(), Vec::new(), Due::Nothing);
        for (second, (said, doing)) in (1..).zip(*said) {
            steps.extend(steering.hear(*said, MEANS, *doing, at(second)));
            due = steering.due(*doing, at(second));
        }
        assert_eq!(steps, *expected, "{name}");
        let cause = if let Due::Close(pending) = due { Some(pending.cause) } else { None };
        assert_eq!(cause, *closed, "{name}");
    }
}

#[test]
fn a_policy_left_to_the_engine_does_nothing() {
    let policies = Policies {
        person: PersonPolicy::Engine,
        wrong_number: WrongNumberPolicy::Engine,
        do_not_call: DoNotCallPolicy::Engine,
        abuse: AbusePolicy::Engine,
    };
    for said in [PERSON, WRONG, NO_CALLS, ABUSIVE] {
        let mut steering = Steering::default();
        for second in 1..5 {
            let steps = steering.hear(said, Means { policies, people: true }, Doing::Quiet, at(second));
            assert_eq!((steps, steering.due(Doing::Quiet, at(60))), (vec![], Due::Nothing), "{said:?}");
        }
    }
    let end = Means { policies: Policies { abuse: AbusePolicy::End, ..MEANS.policies }, ..MEANS };
    let mut steering = Steering::default();
    assert_eq!(steering.hear(ABUSIVE, end, Doing::Quiet, at(1)), []);
    assert!(matches!(steering.due(Doing::Answering, at(1)), Due::Close(_)), "abuse that is not warned of");
}

#[test]
fn where_nobody_can_be_reached_a_call_back_is_offered_and_said_by_the_second_time() {
    let alone = Means { people: false, ..MEANS };
    let mut steering = Steering::default();
    let mut hear = |said, second| {
        let steps = steering.hear(said, alone, Doing::Quiet, at(second));
        assert_eq!(steering.due(Doing::Quiet, at(60)), Due::Nothing);
        steps
    };
    assert_eq!(hear(PERSON, 1), [Step::OfferCallback { again: false }]);
    assert_eq!(hear(PERSON, 2), [Step::OfferCallback { again: true }]);
    assert_eq!(hear(PERSON, 3), [], "the engine knows it");
}

/// What the call does at which millisecond since the wish, and what becomes of the wish with the last of it.
type Waited = (&'static str, Said, &'static [(u64, Doing)], &'static str);

#[test]
fn the_engine_has_a_moment_or_its_answer_to_do_it_itself() {
    use Doing::{Acting, Answering, Ending, Leaving, Listening, Quiet, Writing};
    let table: &[Waited] = &[
        ("at first nothing happens", PERSON, &[(0, Quiet)], "wait until 2500"),
        ("nor just before the moment is over", PERSON, &[(2_499, Quiet)], "wait until 2500"),
        ("an engine that does nothing", PERSON, &[(0, Quiet), (2_500, Quiet)], "close"),
        ("an engine that answers is heard out", PERSON, &[(100, Answering), (4_000, Answering)], "wait until 10000"),
        ("… and not waited for longer", PERSON, &[(100, Answering), (1_800, Quiet)], "close"),
        ("… unless it talks on and on", PERSON, &[(100, Answering), (10_000, Answering)], "close"),
        ("an engine that looks something up", PERSON, &[(100, Acting), (3_000, Acting)], "wait until 10000"),
        ("a caller who speaks is let speak", PERSON, &[(2_600, Listening)], "wait until 10000"),
        ("… and has had no answer by that", PERSON, &[(500, Listening), (2_000, Quiet)], "wait until 2500"),
        ("an engine that hands over", PERSON, &[(100, Leaving), (5_000, Leaving)], "wait"),
        ("… and cannot", PERSON, &[(100, Leaving), (5_000, Quiet)], "close"),
        ("… and could", PERSON, &[(100, Leaving), (5_000, Ending), (5_100, Quiet)], "nothing"),
        ("a write is waited for however long", PERSON, &[(100, Writing), (30_000, Writing)], "wait"),
        ("… and no longer", PERSON, &[(100, Writing), (30_000, Quiet)], "close"),
        ("the end is decided", PERSON, &[(100, Ending), (5_000, Quiet)], "nothing"),
        ("a wrong number waits likewise", WRONG, &[(100, Answering), (1_800, Quiet)], "close"),
        ("… and is none where something is done", WRONG, &[(100, Acting), (3_000, Quiet)], "nothing"),
        ("… or written", WRONG, &[(100, Writing), (3_000, Quiet)], "nothing"),
    ];
    for (name, said, script, expected) in table {
        let mut steering = Steering::default();
        assert_eq!(steering.hear(*said, MEANS, Quiet, ms(0)), [], "{name}");
        let dues: Vec<Due> = script.iter().map(|(at, doing)| steering.due(*doing, ms(*at))).collect();
        let told = match dues.last() {
            Some(Due::Close(_)) => "close".to_owned(),
            Some(Due::Wait(Some(at))) => format!("wait until {}", at.as_millis()),
            Some(Due::Wait(None)) => "wait".to_owned(),
            Some(Due::Nothing) | None => "nothing".to_owned(),
        };
        assert_eq!(told, *expected, "{name}");
    }
}

#[test]
fn who_goes_on_talking_has_not_dialled_wrong_and_who_declines_wants_nobody() {
    for (name, first, then, stands) in [
        ("a wrong number and a question", WRONG, NOTHING, false),
        ("a person and a question", PERSON, NOTHING, true),
        ("a person, then not", PERSON, LEAVE_IT, false),
        ("a person, then goodbye", PERSON, GOODBYE, false),
    ] {
        let mut steering = Steering::default();
        let _ = steering.hear(first, MEANS, Doing::Quiet, at(1));
        let _ = steering.hear(then, MEANS, Doing::Quiet, at(2));
        assert_eq!(matches!(steering.due(Doing::Quiet, at(60)), Due::Close(_)), stands, "{name}");
    }
    // In the middle of a call it counts only when it is said again.
    let mut steering = Steering::default();
    for second in 1..4 {
        let _ = steering.hear(NOTHING, MEANS, Doing::Quiet, at(second));
    }
    let _ = steering.hear(WRONG, MEANS, Doing::Quiet, at(5));
    assert_eq!(steering.due(Doing::Quiet, at(60)), Due::Nothing);
}

// ------------------------------------------------------------ whole states

fn meant(said: Said) -> Understanding {
    let (intent, yes) = (IntentKind::TalkToHuman, Yes::Neither);
    let Said { wish, confidence, abusive, .. } = said;
    Understanding { intent, own: None, confidence, yes, wish, abusive, entities: vec![] }
}

/// The caller says something and it is understood; the effects of that.
fn says(state: &mut CallState, words: &str, said: Said, second: u64) -> Vec<Effect> {
    let heard =
        hear(state, [(second, spoke()), (second, stopped()), (second, committed()), (second, written_down(words))]);
    let turn = heard.iter().find_map(|effect| match effect {
        Effect::Understand { turn, .. } => Some(*turn),
        _ => None,
    });
    let turn: TurnId = turn.expect("it is to be understood");
    state.on(CallEvent::TurnUnderstood { turn, understanding: meant(said) }, at(second))
}

fn answered(state: &mut CallState, second: u64) -> Vec<Effect> {
    hear(
        state,
        [
            (second, created("r1", 2)),
            (second, agent_words()),
            (second, began("a1")),
            (second, done("r1", ResponseOutcome::Completed)),
            (second + 1, CallEvent::PlayoutDrained),
        ],
    )
}

#[test]
fn an_engine_that_answers_and_does_not_hand_over_is_overruled_and_only_once() {
    let mut state = quiet(true);
    assert_eq!(notes(&says(&mut state, "kisi insaan se baat karni hai", PERSON, 5)), Vec::<String>::new());
    let effects = answered(&mut state, 6);
    let handed = ["decide Transfer", "say hand_off"];
    assert_eq!(words(&effects).into_iter().filter(|word| word != "turn").collect::<Vec<_>>(), handed);
    assert_eq!(
        notes(&effects),
        [r#"steered {"did":"handed_over","what":"person","why":"the engine answered without it"}"#]
    );
    assert_eq!(*state.phase(), Phase::Closing(EndReason::Transferred));
    // The engine comes to it late; the caller says it again; both change nothing.
    let late = hear(&mut state, [(7, called("transfer_to_human", "t9")), (7, CallEvent::PlayoutDrained)]);
    assert!(!words(&late).iter().any(|word| word.starts_with("decide")), "{late:?}");
}

#[test]
fn an_engine_that_does_nothing_is_overruled_after_a_moment() {
    let mut state = quiet(true);
    let _ = says(&mut state, "kisi insaan se baat karni hai", PERSON, 5);
    let vain = |n: u64| [(5, created(&format!("r{n}"), n)), (5, done(&format!("r{n}"), ResponseOutcome::Cancelled))];
    let again = hear(&mut state, vain(2));
    assert_eq!(words(&again), ["ask"], "it is asked once more");
    let _ = hear(&mut state, vain(3));
    // It has been given every chance by then.
    let gone = state.on(CallEvent::TimePassed, at(5) + PATIENCE);
    assert!(words(&gone).contains(&"decide Transfer".to_owned()), "{gone:?}");

    let mut state = quiet(true);
    let _ = state.on(lost(), at(4));
    let heard = state.turns.caller_said(at(5), &"u7".into(), "insaan do");
    state.await_meaning(heard.id, (at(5), ""), false);
    let _ = state.on(CallEvent::TurnUnderstood { turn: heard.id, understanding: meant(PERSON) }, at(5));
    let _ = state.on(CallEvent::PlayoutDrained, at(6));
    assert_eq!(state.next_deadline(), Some(at(5) + GRACE), "no engine, no answer to wait for");
    let effects = state.on(CallEvent::TimePassed, at(5) + GRACE);
    assert!(words(&effects).contains(&"decide Transfer".to_owned()), "{effects:?}");
    assert_eq!(notes(&effects), [r#"steered {"did":"handed_over","what":"person","why":"the engine did nothing"}"#]);
}

#[test]
fn a_write_that_runs_is_waited_for_and_then_the_caller_is_handed_over() {
    let (mut state, id) = acting("book");
    let _ = says(&mut state, "kisi insaan se baat karni hai", PERSON, 5);
    let again = says(&mut state, "insaan se baat karao", PERSON, 6);
    assert!(notes(&again).is_empty(), "{again:?}");
    let later = state.on(CallEvent::TimePassed, at(8));
    assert!(!words(&later).iter().any(|word| word.starts_with("decide")), "{later:?}");
    let effects = state.on(finished(id, None), at(9));
    assert_eq!(action_states(&effects), [ActionState::Done]);
    assert_eq!(notes(&effects), [r#"steered {"did":"handed_over","what":"person","why":"said again"}"#]);
    assert_eq!(*state.phase(), Phase::Closing(EndReason::Transferred));
}

#[test]
fn a_goodbye_of_the_engine_to_somebody_who_wants_a_person_hands_over() {
    let (mut state, id) = acting("look");
    let _ = says(&mut state, "kisi insaan se baat karni hai", PERSON, 5);
    let effects = state.on(finished(id, Some(crate::ports::CallChange::End)), at(5));
    assert!(words(&effects).contains(&"decide Transfer".to_owned()), "{effects:?}");
    assert_eq!(*state.phase(), Phase::Closing(EndReason::Transferred));
}

#[test]
fn without_anybody_to_hand_over_to_the_engine_is_told_and_the_call_goes_on() {
    let mut state = quiet(false);
    let first = says(&mut state, "kisi insaan se baat karni hai", PERSON, 5);
    assert_eq!(words(&first), ["note"]);
    assert_eq!(notes(&first), [r#"steered {"did":"offered_callback","what":"person","why":"nobody can be reached"}"#]);
    let _ = answered(&mut state, 6);
    assert_eq!(*state.phase(), Phase::Live);
    let _ = hear(&mut state, [(7, CallEvent::MediaResumed), (20, CallEvent::TimePassed)]);
    assert_eq!(*state.phase(), Phase::Live);
}

#[test]
fn a_number_that_is_not_to_be_rung_goes_on_record_and_a_withheld_one_cannot() {
    let facts = |caller| {
        let mut state = quiet(true);
        let mut facts = (*state.facts).clone();
        facts.caller = caller;
        state.facts = Arc::new(facts);
        state
    };
    let number = PhoneNumber::parse("+919876543210").expect("valid");
    let said = NO_CALLS;
    let mut state = facts(Party::Number(number.clone()));
    let effects = says(&mut state, "dobara call mat karna", said, 5);
    let kept_numbers = |effects: &[Effect]| {
        kept(effects, |entry| match entry {
            JournalEntry::DoNotCall { number, .. } => Some(number.clone()),
            _ => None,
        })
    };
    assert_eq!((words(&effects), kept_numbers(&effects)), (vec!["note".to_owned()], vec![number.clone()]));
    assert!(kept_numbers(&says(&mut state, "maine kaha call mat karna", said, 7)).is_empty(), "once a call");
    let mut withheld = facts(Party::Withheld);
    let effects = says(&mut withheld, "dobara call mat karna", said, 5);
    assert_eq!((words(&effects), kept_numbers(&effects)), (vec!["note".to_owned()], vec![]));
    assert!(notes(&effects)[0].contains("not_recorded"), "{effects:?}");
    // Said and hung up: what is understood of it after the end counts.
    let mut state = facts(Party::Number(number.clone()));
    let heard = hear(
        &mut state,
        [(5, spoke()), (5, stopped()), (5, committed()), (5, hung_up()), (6, written_down("call mat karna"))],
    );
    let turn = heard.iter().find_map(|effect| match effect {
        Effect::Understand { turn, .. } => Some(*turn),
        _ => None,
    });
    assert!(!words(&heard).contains(&"ended".to_owned()), "what it means is waited for: {heard:?}");
    let turn = turn.expect("it is to be understood");
    let _ = state.on(CallEvent::PlayoutCut(vec![]), at(6));
    let effects = state.on(CallEvent::TurnUnderstood { turn, understanding: meant(said) }, at(6));
    assert_eq!(kept_numbers(&effects), [number]);
    assert!(words(&effects).contains(&"finish caller_hung_up".to_owned()), "{effects:?}");
}

#[test]
fn abuse_is_warned_of_and_then_ends_the_call_with_a_stored_sentence() {
    let mut state = quiet(true);
    let first = says(&mut state, "…", ABUSIVE, 5);
    assert_eq!(
        (words(&first), notes(&first)),
        (vec!["note".to_owned()], vec![r#"steered {"did":"warned","what":"abuse","why":"said once"}"#.to_owned()])
    );
    let _ = answered(&mut state, 6);
    let second = says(&mut state, "…", ABUSIVE, 8);
    assert!(words(&second).contains(&"say enough".to_owned()), "{second:?}");
    assert_eq!(*state.phase(), Phase::Closing(EndReason::AgentEnded));
}

#[test]
fn a_wrong_number_at_the_start_ends_with_an_apology() {
    let mut state = quiet(true);
    let _ = says(&mut state, "wrong number", WRONG, 5);
    let effects = answered(&mut state, 6);
    assert!(words(&effects).contains(&"say wrong_number".to_owned()), "{effects:?}");
    assert_eq!(*state.phase(), Phase::Closing(EndReason::AgentEnded));
}

#[test]
fn what_became_of_an_unknown_action_is_told_to_the_live_call_once() {
    let (mut state, id) = acting("book");
    let unknown =
        CallEvent::ActionFinished { action: id, attempts: 1, result: Err(ActionError::Unknown("lost".into())) };
    let _ = state.on(unknown, at(5));
    let _ = answered(&mut state, 6);
    let known = CallEvent::ActionResolved {
        action: id,
        result: Ok(ActionOutput { output: r#"{"booked":true}"#.into(), change: None, undo: None }),
    };
    let still = CallEvent::ActionResolved { action: id, result: Err(ActionError::Unknown("lost".into())) };
    assert!(state.on(still, at(8)).is_empty(), "nothing new");
    let told = state.on(known.clone(), at(9));
    assert_eq!(words(&told), ["note", "ask"]);
    assert!(action_states(&told).is_empty(), "it stands on record already");
    let note = told.iter().find_map(|effect| match effect {
        Effect::Engine(EngineCommand::Note(note)) => Some(note.to_string()),
        _ => None,
    });
    assert!(note.as_deref().is_some_and(|note| note.contains(r#"{"booked":true}"#)), "{note:?}");
    assert!(state.on(known.clone(), at(10)).is_empty(), "once");
    // The engine that asks again is told the same.
    let again = state.on(called("book", "t2"), at(11));
    assert!(words(&again).contains(&"tool output".to_owned()), "{again:?}");
    // A session that opens is told when it listens; a call that is over is told nothing.
    let (mut state, id) = acting("book");
    let unknown =
        CallEvent::ActionFinished { action: id, attempts: 1, result: Err(ActionError::Unknown("lost".into())) };
    let result = Ok(ActionOutput { output: r#"{"booked":true}"#.into(), change: None, undo: None });
    let _ = hear(&mut state, [(5, unknown), (6, lost())]);
    assert!(state.on(CallEvent::ActionResolved { action: id, result: result.clone() }, at(7)).is_empty());
    let ready = state.on(engine(EngineEvent::Ready), at(8));
    assert!(words(&ready).contains(&"note".to_owned()), "{ready:?}");
    let mut over = saying_goodbye();
    let _ = over.on(hung_up(), at(9));
    let id = over.ledger.entries().next().expect("an action").action.id;
    assert!(words(&over.on(CallEvent::ActionResolved { action: id, result }, at(9))).is_empty());
}
