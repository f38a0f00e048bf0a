//! A yes in the middle of a read-back that is heard to its end, or breaks off before.

use super::super::scene::Scene;
use super::super::table::*;
use crate::domain::BargeIn;
use crate::ports::EngineEvent;

/// What is read back, with the words ahead of their sound, and how far a yes to it goes.
const PLAN: &str = r#"planned {"order":"12345","amount":"500"}"#;
const READ: &str =
    "read I will cancel order 12345 for you, and the amount that goes back to your card will be 500 rupees. Shall I? ";

/// The caller says yes once the agent has begun to speak, in a call that lets nobody interrupt.
fn agreed_to_in_it(then: &str) -> Scene {
    let mut scene = Scene::new(BargeIn::Off);
    scene.play(&format!("call t1; {PLAN}; {READ}; stops; words haan kar do; meant; {then}"));
    scene
}

#[test]
fn a_yes_in_the_middle_counts_at_the_end_and_for_what_was_heard_of_it() {
    for (name, then, runs) in [
        ("it is heard to its end", "slowly; heard; call t2", 1),
        ("the engine asks while it is heard", "call t2; slowly; heard", 1),
        ("the session is lost in it", "lost; silent; call t2", 0),
        ("… and the next one asks while its rest is heard", "lost; call t2; silent", 0),
        ("the answer is not made to its end", "breaks; silent; call t2", 0),
        ("… after its sound has ended", "silent; breaks; call t2", 0),
        ("it stalls, and the engine is given up", "silent; lost; call t2", 0),
        ("it stalls, and the engine asks all the same", "silent; call t2; late", 0),
        ("it is cut", "cut 400; call t2", 0),
    ] {
        assert_eq!(agreed_to_in_it(then).runs(), runs, "{name}");
    }
}

#[test]
fn what_was_not_heard_is_told_to_the_engine() {
    assert_eq!(agreed_to_in_it("breaks; silent; call t2").told("was not told all of this"), 1);
}

#[test]
fn words_that_are_on_their_way_are_not_heard() {
    // It breaks off before the amount; the next answer has that in words, and asks for the action before anybody hears them.
    let mut scene = agreed_to_in_it("breaks");
    scene.answers += 1;
    let (response, _) = scene.answer();
    scene.hear(created(&response, scene.answers + 1));
    let words = EngineEvent::AgentWords {
        response: response.as_str().into(),
        item: "b1".into(),
        delta: "order 12345, 500 rupees".into(),
    };
    scene.hear(engine(words));
    scene.play("call t2; silent");
    assert_eq!(scene.runs(), 0);
}

#[test]
fn an_answer_that_never_ends_holds_nothing_for_ever() {
    let mut scene = agreed_to_in_it("call t2; silent");
    assert_eq!(scene.told("clearly said yes"), 0);
    scene.play("late");
    assert_eq!((scene.told("clearly said yes"), scene.runs()), (1, 0));
    assert_eq!(scene.state.ledger.waiting(), 0);
}
