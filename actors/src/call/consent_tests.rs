//! The yes before an action, played as scripts: what leads to doing it and what does not.

use std::sync::Arc;

use super::super::event::{CallEvent, Effect, MediaWish};
use super::super::scene::{Scene, played};
use super::super::table::*;
use super::*;
use crate::domain::{Agent, BargeIn, MenuChoice};
use crate::ports::EngineEvent;

/// A name, a script, and how often it is done.
type Consents = &'static [(&'static str, &'static str, usize)];

const ANSWERS: Consents = &[
    ("a yes, then the engine asks again", "call t1; planned; read; heard; says haan kar do; call t2", 1),
    ("… and again", "call t1; planned; read; heard; says haan; call t2; call t3", 1),
    (
        "the engine asks before the words are there",
        "call t1; planned; read; heard; caller; stops; call t2; words haan; meant",
        1,
    ),
    ("the engine asks while they speak", "call t1; planned; read; heard; caller; call t2; stops; words haan; meant", 1),
    ("the engine says that they agreed", "call t1; planned; read; heard; call t2; call t3", 0),
    ("nothing was read back", "call t1; planned; says haan; call t2", 0),
    ("it is not planned yet", "call t1; says haan; call t2", 0),
    ("a yes from before", "says haan; call t1; planned; read; heard; call t2", 0),
    ("a no", "call t1; planned; read; heard; says nahi; call t2", 0),
    ("a yes and then a no", "call t1; planned; read; heard; says haan; says nahi nahi; call t2", 0),
    ("a question is no answer", "call t1; planned; read; heard; says kitna paisa katega; call t2", 0),
    (
        "… and a yes after it is",
        "call t1; planned; read; heard; says kitna paisa katega; read; heard; says haan; call t2",
        1,
    ),
    ("words that were not made out", "call t1; planned; read; heard; caller; stops; call t2; mumbles", 0),
    ("words that never come", "call t1; planned; read; heard; caller; stops; call t2; late", 0),
    ("the key 1", "call t1; planned; read; heard; key 1; call t2", 1),
    ("the key 2", "call t1; planned; read; heard; key 2; call t2", 0),
    ("the key 1 before it was asked for", "call t1; planned; key 1; read; heard; call t2", 0),
    ("a yes is forgotten", "call t1; planned; read; heard; says haan; minutes; call t2", 0),
    ("a yes and no call", "call t1; planned; read; heard; says haan", 0),
    ("hung up after the yes", "call t1; planned; read; heard; says haan; hangup", 0),
    ("a plan that is refused", "call t1; refused; says haan; call t2", 0),
    (
        "asked for anew after a no",
        "call t1; planned; read; heard; says nahi; call t2; planned; read; heard; says haan; call t3",
        1,
    ),
];

const LOST_ANSWERS: Consents = &[
    (
        "a read-back that was made and never heard is made again",
        "call t1; planned; read; lost; read; heard; says haan; call t2; planned; read; heard; says haan; call t3",
        1,
    ),
    ("the key 1 while the next session opens", "call t1; planned; read; heard; opening; key 1; ready; call t2", 1),
    ("the key 2 while the next session opens", "call t1; planned; read; heard; opening; key 2; ready; call t2", 0),
    (
        "a read-back that was cut before its first sound is made again",
        "call t1; planned; read; caller; stops; cut 0; words hello; meant; read; heard; says haan; call t2",
        1,
    ),
    ("the session is replaced after the yes", "call t1; planned; read; heard; says haan; lost; call t2", 1),
    (
        "second thoughts that are being said",
        "call t1; planned; read; heard; says haan; caller; call t2; stops; words nahi ruko; meant",
        0,
    ),
    (
        "… and were none",
        "call t1; planned; read; heard; says haan; caller; call t2; stops; words aur jaldi karna; meant",
        1,
    ),
    (
        "second thoughts that are lost with the session",
        "call t1; planned; read; heard; says haan; caller; lost; call t2",
        0,
    ),
    (
        "… and are heard again",
        "call t1; planned; read; heard; says haan; caller; lost; caller; stops; call t2; words nahi ruko; meant",
        0,
    ),
    (
        "a yes that is lost with the session and heard again",
        "call t1; planned; read; heard; caller; stops; lost; caller; stops; words haan; meant; call t2",
        1,
    ),
    (
        "a yes that is lost with the session and not noticed again",
        "call t1; planned; read; heard; caller; stops; lost; call t2",
        0,
    ),
    (
        "what they said is lost with who understands it",
        "call t1; planned; read; heard; caller; stops; words haan; deaf; call t2",
        0,
    ),
    ("the actor is replaced in the plan", "call t1; crash; planned; read; heard; says haan; call t2", 1),
];

#[test]
fn a_key_that_the_menu_has_a_meaning_for_is_no_yes() {
    let script = "call t1; planned; read; heard; opening; key 1; ready; call t2";
    for (menu, runs) in [(vec![], 1), (vec![("1".into(), MenuChoice::Tell("order".into()))], 0)] {
        let mut scene = Scene::new(BargeIn::Normal);
        scene.state = quiet_of(Agent { menu, ..agent(true) });
        scene.play(script);
        assert_eq!(scene.runs(), runs);
    }
}

#[test]
fn nothing_is_done_without_a_yes_and_it_is_done_once_with_one() {
    for (name, script, runs) in ANSWERS.iter().chain(LOST_ANSWERS).copied() {
        let (done, states, _) = played(BargeIn::Normal, script);
        assert_eq!(done, runs, "{name}: {states:?}");
        assert_eq!(states.contains(&"confirmed"), runs > 0, "{name}: {states:?}");
    }
}

#[test]
fn neither_the_wish_again_nor_a_yes_to_something_else_is_a_yes() {
    for (name, script, runs) in [
        (
            "the wish again, and of something else",
            "call t1; planned; read; heard; says mera order 1001 cancel kar dijiye; call t2",
            0,
        ),
        (
            "a doubt that names the wish",
            "call t1; planned; read; heard; says cancel karna hai ya nahi sochta hoon; call t2",
            0,
        ),
        ("the read-back names it", r#"call t1; planned {"order":"1042"}; read; heard; says haan; call t2"#, 1),
        (
            "the read-back names something else",
            r#"call t1; planned {"order":"1011"}; read; heard; says haan; call t2"#,
            0,
        ),
    ] {
        let (done, states, _) = played(BargeIn::Normal, script);
        assert_eq!(done, runs, "{name}: {states:?}");
    }
}

const TWO: &str = r#"want t1 {"order":"1042"}; planned {"order":"EN1042","total":"₹1,299"}; want t2 {"order":"1043"}; planned {"order":"EN1043","total":"₹500"}; "#;
const BOTH: &str = "read Order 1042, 1299 rupaye aur order 1043, 500 rupaye, dono cancel kar doon?; heard; ";
const AGAIN: &str = r#"; want t3 {"order":"1042"}; want t4 {"order":"1043"}"#;

/// The order numbers that were cancelled.
fn cancelled(script: &str) -> (Vec<&'static str>, Scene) {
    let mut scene = Scene::new(BargeIn::Normal);
    scene.play(script);
    let ran = |order: &&str| {
        let arguments = format!(r#"{{"order":"{order}"}}"#);
        let ran = |effect: &Effect| matches!(effect, Effect::RunAction { arguments: ran, .. } if ran.to_string() == arguments);
        scene.effects.iter().any(ran)
    };
    (["1042", "1043"].into_iter().filter(ran).collect(), scene)
}

#[test]
fn of_several_things_a_yes_is_to_those_that_were_named() {
    let each = r#"want t1 {"order":"1042"}; planned {"order":"EN1042"}; read Order 1042 cancel kar doon?; heard; want t2 {"order":"1043"}; planned {"order":"EN1043"}; read Order 1043 cancel kar doon?; heard; "#;
    for (name, script, done) in [
        ("both were named", format!("{TWO}{BOTH}says haan kar do{AGAIN}"), vec!["1042", "1043"]),
        ("both, and said so", format!("{TWO}{BOTH}says haan dono{AGAIN}"), vec!["1042", "1043"]),
        ("the key 1", format!("{TWO}{BOTH}key 1{AGAIN}"), vec!["1042", "1043"]),
        (
            "only one was named",
            format!("{TWO}read Order 1043, 500 rupaye, cancel kar doon?; heard; says haan kar do{AGAIN}"),
            vec!["1043"],
        ),
        (
            "only one was named, whatever they say",
            format!("{TWO}read Order 1043, 500 rupaye, cancel kar doon?; heard; says haan dono{AGAIN}"),
            vec!["1043"],
        ),
        (
            "of one the amount was not named",
            format!(
                "{TWO}read Order 1042 aur order 1043, 500 rupaye, cancel kar doon?; heard; says haan kar do{AGAIN}"
            ),
            vec!["1043"],
        ),
        (
            "neither was named",
            format!("{TWO}read Dono order cancel kar doon?; heard; says haan dono kar do{AGAIN}"),
            vec![],
        ),
        ("they chose one", format!("{TWO}{BOTH}says haan order 1042 kar do{AGAIN}"), vec!["1042"]),
        (
            "they chose one as it is spoken",
            format!("{TWO}{BOTH}says haan ek hazaar tetalis kar do{AGAIN}"),
            vec!["1043"],
        ),
        ("they counted", format!("{TWO}{BOTH}says haan the first one please{AGAIN}"), vec![]),
        ("a no is to both", format!("{TWO}{BOTH}says nahi{AGAIN}"), vec![]),
        ("one after the other, and the last was meant", format!("{each}says haan kar do{AGAIN}"), vec!["1043"]),
        (
            "one after the other, and both were meant",
            format!("{each}says haan dono kar do{AGAIN}"),
            vec!["1042", "1043"],
        ),
        (
            "a question between, and both read back anew",
            format!("{TWO}{BOTH}says kitna paisa katega; {BOTH}says haan{AGAIN}"),
            vec!["1042", "1043"],
        ),
    ] {
        assert_eq!(cancelled(&script).0, done, "{name}");
    }
}

#[test]
fn what_was_not_said_is_told_to_the_engine_and_agreed_to_once_it_was() {
    let part = r#"want t1 {"order":"1042"}; planned {"order":"EN1042","total":"₹1,299"}; read Order 1042 cancel kar doon?; heard; says haan; want t2 {"order":"1042"}"#;
    let (done, scene) = cancelled(part);
    assert_eq!(done, Vec::<&str>::new());
    assert_eq!(scene.told("that names every order number, amount, day and time in it"), 1);
    assert_eq!(scene.told("was not told all of this"), 1);
    // What is kept names the numbers in the plan alone, where it is seen what they are.
    let kept =
        |effect: &Effect| matches!(effect, Effect::Record(entry) if format!("{entry:?}").matches("1,299").count() > 1);
    assert!(!scene.effects.iter().any(kept));
    assert_eq!(scene.told("one short sentence that names 1299, ask"), 1);
    let whole = format!(r#"{part}; read 1299 rupaye, cancel kar doon?; heard; says haan; want t3 {{"order":"1042"}}"#);
    assert_eq!(cancelled(&whole).0, ["1042"], "in two sentences");
}

#[test]
fn what_the_caller_names_beside_a_yes_must_stand_in_the_plan() {
    let order = r#"call t1; planned {"order":"1042"}; read Order 1042 cancel kar doon? Order 1043 bhi?; heard; "#;
    let five = r#"call t1; planned {"at":"17:30","with":"Asha"}; read Asha ke saath saadhe paanch baje wali cancel kar doon, paanch baje wali rahegi?; heard; "#;
    for (name, before, said, runs) in [
        ("the very order", order, "haan 1042 cancel kar do", 1),
        ("another number that was told", order, "haan 1043 cancel kar do", 0),
        ("the time of the plan", five, "haan saadhe paanch baje wali cancel kar do", 1),
        ("a time that was told and is not the plan's", five, "haan paanch baje wali cancel kar do", 0),
    ] {
        let (done, states, _) = played(BargeIn::Normal, &format!("{before}says {said}; call t2"));
        assert_eq!(done, runs, "{name}: {states:?}");
    }
}

#[test]
fn what_waits_says_what_a_yes_is_to_where_the_question_does_not() {
    let order =
        r#"call t1; planned {"order":"1042"}; read Order 1042, theek hai?; heard; says haan cancel kar do; call t2"#;
    let visit = "call t1; planned; read Kal shaam paanch baje, theek hai?; heard; ";
    for (script, runs) in [
        (order.to_owned(), 1),
        (order.replace("cancel kar do", "book kar do"), 0),
        (format!("{visit}says haan book kar do; call t2"), 0),
        (format!("{visit}says haan paanch baje aaunga; call t2"), 0),
    ] {
        let (done, states, _) = played(BargeIn::Normal, &script);
        assert_eq!(done, runs, "{script}: {states:?}");
    }
}

#[test]
fn an_order_is_a_yes_once_the_read_back_was_heard_to_its_end() {
    for (name, script, runs) in [
        ("heard to its end", "call t1; planned; read; heard; says cancel kar dijiye; call t2", 1),
        (
            "while it is being read back",
            "call t1; planned; read; made; caller; held 900; stops; words cancel kar dijiye; cut 700; meant; call t2",
            0,
        ),
        (
            "… and a yes after it",
            "call t1; planned; read; made; caller; held 900; stops; words cancel kar dijiye; cut 700; meant; read; heard; says haan; call t2",
            1,
        ),
        ("a wish", "call t1; planned; read; heard; says mujhe cancel karna hai; call t2", 0),
    ] {
        let (done, states, _) = played(BargeIn::Normal, script);
        assert_eq!(done, runs, "{name}: {states:?}");
    }
}

#[test]
fn a_listeners_haan_in_the_middle_of_the_read_back_is_no_yes_and_one_at_its_end_is() {
    let before = "call t1; planned; read; made; caller; ";
    for (name, barge_in, script, runs) in [
        ("in the middle", BargeIn::Normal, "held 4000; stops; words haan; meant; heard; call t2", 0),
        ("at the end", BargeIn::Normal, "held 300; stops; words haan; cut 900; meant; call t2", 1),
        ("in the middle, and it speaks on anyhow", BargeIn::Off, "stops; words haan; meant; heard; call t2", 0),
        ("… and more than a haan", BargeIn::Off, "stops; words haan kar dijiye; meant; heard; call t2", 1),
        (
            "cut in the middle by more than a haan",
            BargeIn::Normal,
            "held 900; stops; words haan haan kar do na; cut 700; meant; call t2",
            1,
        ),
        (
            "cut before half of it was heard",
            BargeIn::Normal,
            "held 900; stops; words haan haan kar do na; cut 300; meant; call t2",
            0,
        ),
    ] {
        let (done, states, _) = played(barge_in, &format!("{before}{script}"));
        assert_eq!(done, runs, "{name}: {states:?}");
    }
}

#[test]
fn the_states_on_record_tell_how_it_went() {
    let agreed = "call t1; planned; read; heard; says haan; call t2; planned";
    assert_eq!(played(BargeIn::Normal, agreed).1, ["proposed", "confirmed", "done", "run"]);
    let refused = "call t1; planned; read; heard; says nahi; hangup";
    assert_eq!(played(BargeIn::Normal, refused).1, ["proposed", "withdrawn"]);
    assert_eq!(played(BargeIn::Normal, "call t1; planned; read; heard; hangup").1, ["proposed", "withdrawn"]);
    assert_eq!(played(BargeIn::Normal, "call t1; hangup; planned").1, ["proposed", "withdrawn"]);
}

#[test]
fn the_engine_is_told_what_to_read_back_and_what_is_missing() {
    let (_, _, scene) = played(BargeIn::Normal, "call t1; planned; read; heard; call t2; says haan; call t3; planned");
    assert_eq!(scene.told("\"read_back\":{}"), 1);
    assert_eq!(scene.told("has not clearly said yes"), 1);
    let (_, _, scene) =
        played(BargeIn::Normal, "call t1; planned; read; heard; caller; stops; call t2; words nahi; meant");
    assert_eq!(scene.told("the caller said no"), 1);
    let asked =
        scene.effects.iter().filter(|effect| matches!(effect, Effect::Engine(EngineCommand::CreateResponse { .. })));
    assert!(asked.count() >= 2, "it is asked to speak about it");
}

#[test]
fn every_tool_call_is_answered_once() {
    let script = "call t1; planned; read; heard; caller; stops; call t2; call t3; words haan; meant; planned";
    let (_, _, scene) = played(BargeIn::Normal, script);
    for tool_call in ["t1", "t2", "t3"] {
        let to = |effect: &&Effect| matches!(effect, Effect::Engine(EngineCommand::ToolOutput { tool_call: to, .. }) if **to == *tool_call);
        assert_eq!(scene.effects.iter().filter(to).count(), 1, "{tool_call}");
    }
    assert!(!scene.effects.iter().any(|effect| matches!(effect, Effect::Media(MediaWish::Say(..)))));
}

#[path = "reading_tests.rs"]
mod reading;
