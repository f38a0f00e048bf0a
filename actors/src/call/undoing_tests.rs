//! What is undone, what is not, and that it takes a yes and happens once.

use super::*;
use crate::call::consent::Consent;
use crate::call::ledger::is_key_of;
use crate::ports::{PLANNED, RetryRule, SameAction, Step, ToolSpec};
use std::time::Duration;

fn spec(name: &str, same: SameAction, (confirm, offered): (bool, bool)) -> Arc<ActionSpec> {
    Arc::new(ActionSpec {
        tool: ToolSpec { name: name.into(), description: "".into(), schema: r#"{"type":"object"}"#.into() },
        deadline: Duration::from_secs(5),
        retry: RetryRule { attempts: 1, backoff: Duration::ZERO },
        same,
        writes: name != UNDO,
        confirm,
        lasting: false,
        offered,
    })
}

/// A call that books and orders; bookings can be released, which is offered to nobody, and orders stand.
struct Desk {
    ledger: Ledger,
    call: CallId,
    catalogue: Vec<Arc<ActionSpec>>,
    now: CallTime,
}

impl Desk {
    fn new() -> Self {
        let catalogue = vec![
            spec("book", SameAction::PerArguments, (false, true)),
            spec("order", SameAction::PerArguments, (false, true)),
            spec("release", SameAction::PerChange, (false, false)),
            spec(UNDO, SameAction::PerChange, (false, true)),
        ];
        Self { ledger: Ledger::default(), call: CallId::new(), catalogue, now: Duration::from_secs(1) }
    }

    fn ask(&mut self, name: &str, arguments: &str) -> Asked {
        self.now += Duration::from_secs(1);
        let tool_call: Arc<str> = format!("t{}", self.now.as_secs()).into();
        self.ledger.ask(self.now, self.call, &self.catalogue, &tool_call, name, arguments, None)
    }

    fn run(&mut self, name: &str, arguments: &str) -> ActionId {
        match self.ask(name, arguments) {
            Asked::Run(id) => id,
            other => panic!("{name} {arguments}: {other:?}"),
        }
    }

    fn refused(&mut self, arguments: &str) -> String {
        match self.ask(UNDO, arguments) {
            Asked::Answer(answer) => answer.to_string(),
            other => panic!("{other:?}"),
        }
    }

    fn finish(&mut self, id: ActionId, output: &str, undo: Option<Undo>) -> Action {
        self.now += Duration::from_secs(1);
        let result = Ok(ActionOutput { output: output.into(), change: None, undo });
        self.ledger.finish(self.now, id, 1, &result).expect("it was under way").0
    }

    /// Something is done, as the service that does it tells.
    fn book(&mut self, id: &str) -> Action {
        let action = self.run("book", &format!(r#"{{"at":"{id}"}}"#));
        self.finish(action, r#"{"booked":true}"#, Some(release(id)))
    }

    /// What undoes it is planned, and the caller says yes.
    fn agree(&mut self, step: ActionId) {
        self.finish(step, r#"{"release":{"at":"Friday"}}"#, None);
        self.say_yes(step);
    }

    fn say_yes(&mut self, step: ActionId) {
        let now = self.now;
        let entry = self.ledger.entries_mut().find(|entry| entry.action.id == step).expect("asked for");
        entry.consent = Consent::Given { at: now, started: now, item: None };
    }

    fn undone(&mut self, arguments: &str) -> ActionId {
        let step = self.run(UNDO, arguments);
        self.agree(step);
        assert_eq!(self.run(UNDO, arguments), step);
        self.ledger.begin(step).expect("agreed to");
        self.finish(step, r#"{"released":true}"#, None);
        step
    }
}

fn release(id: &str) -> Undo {
    Undo { tool: "release".into(), arguments: json!({ PLANNED: { "id": id } }) }
}

#[test]
fn what_was_done_last_is_undone_after_a_yes_and_once() {
    let mut desk = Desk::new();
    let first = desk.book("a");
    let step = desk.run(UNDO, "{}");
    let entry = desk.ledger.get(step).expect("entered");
    assert_eq!((entry.step(), &*entry.action.name, entry.action.undoes), (Step::Plan, "release", Some(first.id)));
    assert_eq!(*entry.arguments, release("a").arguments);
    let proposed = desk.finish(step, r#"{"release":{"at":"Friday"}}"#, None);
    let told = proposed.output.clone().unwrap_or_default();
    assert!(told.contains("Call undo_last_action again") && told.contains("Friday"), "{told}");
    assert_eq!(*proposed.arguments, canonical(&release("a").arguments), "a plan changes nothing of it");
    assert!(desk.refused("{}").contains("has not clearly said yes"), "the engine's word is none");
    desk.say_yes(step);
    assert_eq!(desk.run(UNDO, "{}"), step);
    assert_eq!(desk.ledger.get(step).map(Entry::step), Some(Step::Do));
    desk.ledger.begin(step).expect("agreed to");
    let done = desk.finish(step, r#"{"released":true}"#, Some(release("b")));
    assert_eq!((done.state, done.undo), (ActionState::Done, None), "what undoes is not undone");
    assert_eq!(done.idempotency_key.to_string(), key_of(&first.idempotency_key, &release("a")));
    for arguments in ["{}", r#"{"what":"book"}"#] {
        assert_eq!(desk.refused(arguments), r#"{"released":true}"#, "asked for once more");
    }
    assert_eq!(desk.ledger.entries().count(), 2);
}

#[test]
fn what_cannot_be_undone_hides_nothing_that_can() {
    let mut desk = Desk::new();
    assert!(desk.refused("{}").contains("nothing was done"));
    let first = desk.book("a");
    let order = desk.run("order", r#"{"id":"7"}"#);
    desk.finish(order, r#"{"ordered":true}"#, None);
    let why = desk.refused("{}");
    assert!(why.contains("order cannot be undone") && why.contains(r#""what_can_be":["book"]"#), "{why}");
    assert!(desk.refused(r#"{"what":"release"}"#).contains("nothing was done"));
    let step = desk.undone(r#"{"what":"book"}"#);
    assert_eq!(desk.ledger.get(step).and_then(|entry| entry.action.undoes), Some(first.id));
    assert!(desk.refused(r#"{"what":"order"}"#).contains(r#""what_can_be":[]"#));
}

#[test]
fn of_several_the_last_is_undone_and_those_before_it_by_name() {
    let mut desk = Desk::new();
    let (_, second) = (desk.book("a"), desk.book("b"));
    let step = desk.undone("{}");
    assert_eq!(desk.ledger.get(step).and_then(|entry| entry.action.undoes), Some(second.id));
}

#[test]
fn what_was_undone_and_is_wished_for_anew_is_done_anew() {
    let mut desk = Desk::new();
    let first = desk.book("a");
    assert_eq!(desk.ask("book", r#"{"at":"a"}"#), Asked::Answer(r#"{"booked":true}"#.into()));
    desk.undone("{}");
    let second = desk.book("a");
    assert_ne!(first.idempotency_key, second.idempotency_key);
    for key in [&first.idempotency_key, &second.idempotency_key] {
        assert!(is_key_of(key, desk.call, &desk.catalogue[0], &json!({ "at": "a" })));
    }
    assert_ne!(desk.undone("{}"), first.id, "and undone anew");
}

#[test]
fn what_may_not_have_been_done_is_not_undone_yet() {
    let mut desk = Desk::new();
    let id = desk.run("book", r#"{"at":"a"}"#);
    let lost = Err(ActionError::Unknown("lost".into()));
    desk.ledger.finish(desk.now, id, 1, &lost).expect("it ran");
    assert!(desk.refused("{}").contains("still being found out"));
    let found = Ok(ActionOutput { output: "{}".into(), change: None, undo: Some(release("a")) });
    let found = desk.ledger.resolve(desk.now, id, &found).expect("it was unknown");
    assert!(found.undo.is_some());
    desk.undone("{}");
}

#[test]
fn a_step_that_failed_or_was_refused_may_be_asked_for_again_with_another_yes() {
    let mut desk = Desk::new();
    desk.book("a");
    let step = desk.run(UNDO, "{}");
    desk.agree(step);
    desk.run(UNDO, "{}");
    desk.ledger.begin(step).expect("agreed to");
    let refused = Err(ActionError::Refused("that time is taken".into()));
    desk.ledger.finish(desk.now, step, 1, &refused).expect("it ran");
    assert_eq!(desk.run(UNDO, "{}"), step);
    assert_eq!(desk.ledger.get(step).map(Entry::step), Some(Step::Plan));
}

#[test]
fn a_later_process_knows_what_undid_what_and_asks_for_a_yes_as_well() {
    let mut desk = Desk::new();
    desk.book("a");
    desk.undone("{}");
    let other = desk.book("b");
    let step = desk.run(UNDO, "{}");
    desk.finish(step, "{}", None);
    desk.ledger.withdraw_all(desk.now);
    let actions = desk.ledger.entries().map(|entry| entry.action.clone()).collect();
    let mut later = Ledger::default();
    later.recall(actions, &desk.catalogue);
    desk.ledger = later;
    assert_eq!(desk.run(UNDO, "{}"), step);
    let entry = desk.ledger.get(step).expect("known");
    assert_eq!((entry.step(), entry.action.undoes), (Step::Plan, Some(other.id)));
    assert_eq!(desk.ledger.entries().filter(|entry| desk.ledger.is_undone(entry.action.id)).count(), 1);
}

#[test]
fn what_is_not_whole_on_record_is_not_done() {
    let mut desk = Desk::new();
    let first = desk.book("4111 1111 1111 1111");
    let whole: Value = serde_json::from_str(&first.undo.unwrap_or_default()).expect("json");
    assert_eq!(
        UndoStep::read(&whole, &first.idempotency_key).map(|step| step.undo),
        Some(release("4111 1111 1111 1111"))
    );
    let mut masked = whole.clone();
    masked["arguments"][PLANNED]["id"] = json!("***");
    for (kept, key) in [(&masked, &*first.idempotency_key), (&whole, "another"), (&Value::Null, "")] {
        assert_eq!(UndoStep::read(kept, key), None);
    }
}

#[test]
fn what_nothing_undoes_is_said_to_be_so_with_what_is_read_back() {
    for lasting in [false, true] {
        let mut desk = Desk::new();
        let spec = ActionSpec { confirm: true, lasting, ..(*desk.catalogue[1]).clone() };
        desk.catalogue[1] = Arc::new(spec);
        let order = desk.run("order", r#"{"id":"7"}"#);
        let told = desk.finish(order, r#"{"order":{"id":"7"}}"#, None).output.unwrap_or_default();
        assert_eq!(told.contains("Tell the caller in it that this cannot be undone."), lasting, "{told}");
    }
}
