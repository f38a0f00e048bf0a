//! Tool calls asked, answered and asked again.

use super::*;
use crate::audio::playout::Cut;
use crate::ports::{RetryRule, ToolSpec};
use std::time::Duration;

const NOW: CallTime = Duration::from_secs(1);

fn catalogue() -> Vec<Arc<ActionSpec>> {
    let spec = |name: &str, same| {
        Arc::new(ActionSpec {
            tool: ToolSpec {
                name: name.into(),
                description: "".into(),
                schema: r#"{"type":"object","properties":{"id":{"type":"string"},"how":{"enum":["a","b"]}},"required":["id"]}"#.into(),
            },
            deadline: Duration::from_secs(5),
            retry: RetryRule { attempts: 1, backoff: Duration::ZERO },
            same,
            writes: true,
            confirm: false,
lasting: false,
offered: true,
        })
    };
    vec![spec("cancel", SameAction::PerArguments), spec("bye", SameAction::PerCall)]
}

fn ask(ledger: &mut Ledger, call: CallId, tool_call: &str, name: &str, arguments: &str) -> Asked {
    ledger.ask(NOW, call, &catalogue(), &tool_call.into(), name, arguments, None)
}

fn done(text: &str) -> Result<ActionOutput, ActionError> {
    Ok(ActionOutput { output: text.into(), change: None, undo: None })
}

#[test]
fn the_same_call_repeated_runs_once_and_is_answered_each_time() {
    let (mut ledger, call) = (Ledger::default(), CallId::new());
    let Asked::Run(id) = ask(&mut ledger, call, "t1", "cancel", r#"{"id":"7","how":"a"}"#) else { panic!("not run") };
    assert_eq!(ask(&mut ledger, call, "t2", "cancel", r#"{"how":"a", "id":"7"}"#), Asked::Wait);
    let (_, waiting) = ledger.finish(NOW, id, 1, &done("{}")).expect("it was running");
    assert_eq!(waiting.len(), 2);
    assert_eq!(ask(&mut ledger, call, "t3", "cancel", r#"{"id":"7","how":"a"}"#), Asked::Answer("{}".into()));
    assert!(ledger.finish(NOW, id, 1, &done("{}")).is_none(), "told once");
}

#[test]
fn other_arguments_are_another_action_unless_the_action_is_once_a_call() {
    let (mut ledger, call) = (Ledger::default(), CallId::new());
    assert!(matches!(ask(&mut ledger, call, "t1", "cancel", r#"{"id":"7"}"#), Asked::Run(_)));
    assert!(matches!(ask(&mut ledger, call, "t2", "cancel", r#"{"id":"8"}"#), Asked::Run(_)));
    assert!(matches!(ask(&mut ledger, call, "t3", "bye", r#"{"id":"7"}"#), Asked::Run(_)));
    assert_eq!(ask(&mut ledger, call, "t4", "bye", r#"{"id":"8"}"#), Asked::Wait);
}

#[test]
fn two_calls_never_share_a_key() {
    let mut ledger = Ledger::default();
    assert!(matches!(ask(&mut ledger, CallId::new(), "t1", "cancel", r#"{"id":"7"}"#), Asked::Run(_)));
    assert!(matches!(ask(&mut ledger, CallId::new(), "t2", "cancel", r#"{"id":"7"}"#), Asked::Run(_)));
}

#[test]
fn bad_calls_are_answered_with_what_would_be_right() {
    let (mut ledger, call) = (Ledger::default(), CallId::new());
    for (name, arguments, expected) in [
        ("fly", "{}", "\"tools\":[\"cancel\",\"bye\"]"),
        ("cancel", "{\"id\":", "not valid JSON"),
        ("cancel", "[1]", "must be a JSON object"),
        ("cancel", "{}", "'id' is missing"),
        ("cancel", r#"{"id":7}"#, "of type string"),
        ("cancel", r#"{"id":"7","how":"c"}"#, "one of"),
    ] {
        let Asked::Answer(answer) = ask(&mut ledger, call, "t", name, arguments) else { panic!("{arguments} was run") };
        assert!(answer.contains(expected), "{answer}");
        assert!(answer.contains(r#""tools":["#) && answer.contains(r#""cancel""#), "what there is: {answer}");
    }
    assert_eq!(ledger.running().count(), 0);
}

#[test]
fn an_unknown_outcome_is_never_run_again_but_a_clean_failure_may_be() {
    let (mut ledger, call) = (Ledger::default(), CallId::new());
    let Asked::Run(id) = ask(&mut ledger, call, "t1", "cancel", r#"{"id":"7"}"#) else { panic!("not run") };
    ledger.finish(NOW, id, 1, &Err(ActionError::Unavailable("busy".into())));
    assert_eq!(ask(&mut ledger, call, "t2", "cancel", r#"{"id":"7"}"#), Asked::Run(id));
    ledger.finish(NOW, id, 1, &Err(ActionError::Away("left alone".into())));
    assert_eq!(ledger.get(id).map(|entry| entry.action.state), Some(ActionState::Failed));
    assert_eq!(ask(&mut ledger, call, "t3", "cancel", r#"{"id":"7"}"#), Asked::Run(id), "under its key");
    ledger.finish(NOW, id, 1, &Err(ActionError::Unknown("timed out".into())));
    let Asked::Answer(answer) = ask(&mut ledger, call, "t3", "cancel", r#"{"id":"7"}"#) else { panic!("run again") };
    assert!(answer.contains("unknown"));
}

#[test]
fn an_action_that_ended_is_told_to_the_next_session_and_one_that_runs_is_not() {
    let (mut ledger, call) = (Ledger::default(), CallId::new());
    let Asked::Run(id) = ask(&mut ledger, call, "t1", "cancel", r#"{"id":"7"}"#) else { panic!("not run") };
    let Asked::Run(other) = ask(&mut ledger, call, "t2", "bye", r#"{"id":"8"}"#) else { panic!("not run") };
    assert_eq!(ledger.get(other).map(|entry| &*entry.action.name), Some("bye"));
    let later = NOW * 3;
    ledger.finish(later, id, 1, &done("{}"));
    let item = ContextItem::Tool { name: "cancel".into(), arguments: r#"{"id":"7"}"#.into(), output: "{}".into() };
    assert_eq!(ledger.context_since(CallTime::ZERO).collect::<Vec<_>>(), [(later, item)]);
    assert_eq!(ledger.running().map(|entry| entry.action.id).collect::<Vec<_>>(), [other]);
}

#[test]
fn what_a_former_process_did_is_known_and_what_it_had_begun_is_not_run_again() {
    let (mut former, call) = (Ledger::default(), CallId::new());
    let Asked::Run(id) = ask(&mut former, call, "t1", "cancel", r#"{"id":"7"}"#) else { panic!("not run") };
    former.finish(NOW, id, 1, &done("{}"));
    let _ = ask(&mut former, call, "t2", "bye", r#"{"id":"7"}"#);
    let mut ledger = Ledger::default();
    ledger.recall(former.entries.iter().map(|entry| entry.action.clone()).collect(), &catalogue());
    assert!(ledger.entries.iter().all(|entry| entry.spec.tool.name == entry.action.name));
    assert_eq!(ledger.running().count(), 0);
    assert_eq!(ask(&mut ledger, call, "t3", "cancel", r#"{"id":"7"}"#), Asked::Answer("{}".into()));
    let Asked::Answer(answer) = ask(&mut ledger, call, "t4", "bye", r#"{"id":"7"}"#) else { panic!("run again") };
    assert!(answer.contains(r#""done":"unknown""#), "{answer}");
}

#[test]
fn nobody_waits_for_an_answer_in_a_session_that_is_gone() {
    let (mut ledger, call) = (Ledger::default(), CallId::new());
    let Asked::Run(id) = ask(&mut ledger, call, "t1", "bye", r#"{"id":"7"}"#) else { panic!("not run") };
    assert_eq!(ask(&mut ledger, call, "t2", "bye", r#"{"id":"7"}"#), Asked::Wait);
    assert_eq!(ledger.waiting(), 2);
    ledger.session_lost();
    assert_eq!(ledger.waiting(), 0);
    let (action, waiting) = ledger.finish(NOW, id, 2, &done("{}")).expect("the action went on");
    assert_eq!((action.state, action.attempts, waiting), (ActionState::Done, 2, vec![]));
}

#[test]
fn a_key_made_elsewhere_for_the_same_arguments_is_the_same_key() {
    let (mut ledger, call, catalogue) = (Ledger::default(), CallId::new(), catalogue());
    let Asked::Run(id) = ask(&mut ledger, call, "t1", "cancel", r#"{"id":"7","how":"a"}"#) else { panic!("not run") };
    let key = ledger.get(id).map(|entry| entry.action.idempotency_key.to_string()).unwrap_or_default();
    assert!(is_key_of(&key, call, &catalogue[0], &json!({ "how": "a", "id": "7" })));
    assert!(!is_key_of(&key, call, &catalogue[0], &json!({ "how": "a", "id": "8" })));
}

#[test]
fn what_was_done_undone_and_is_wanted_again_is_done_again() {
    let (mut ledger, call) = (Ledger::default(), CallId::new());
    let spec = |name: &str| {
        let tool = ToolSpec { name: name.into(), description: "".into(), schema: "{}".into() };
        let retry = RetryRule { attempts: 1, backoff: Duration::ZERO };
        Arc::new(ActionSpec {
            tool,
            deadline: Duration::ZERO,
            retry,
            same: SameAction::PerChange,
            writes: true,
            confirm: false,
            lasting: false,
            offered: true,
        })
    };
    let catalogue = [spec("book"), spec("undo")];
    let mut number = 0;
    let mut ask = |name: &str| {
        number += 1;
        let asked = ledger.ask(NOW, call, &catalogue, &format!("t{number}").into(), name, r#"{"at":"5"}"#, None);
        let Asked::Run(id) = asked else { return None };
        let key = ledger.get(id).map(|entry| entry.action.idempotency_key.to_string());
        ledger.finish(NOW, id, 1, &done("{}")).expect("it was running");
        key
    };
    let first = ask("book").expect("done");
    assert_eq!(ask("book"), None, "asked again it is the same");
    assert!(ask("undo").is_some());
    let second = ask("book").expect("done again");
    assert_ne!(first, second);
    assert_eq!(ask("book"), None);
    assert!(ask("undo").is_some(), "and so is undoing it");
    for key in [first, second] {
        assert!(is_key_of(&key, call, &catalogue[0], &json!({ "at": "5" })));
    }
}

#[test]
fn what_a_plan_chose_is_done_and_makes_no_other_action_of_it() {
    let call = CallId::new();
    let catalogue = [Arc::new(ActionSpec { confirm: true, same: SameAction::PerChange, ..(*catalogue()[0]).clone() })];
    let mut ledger = Ledger::default();
    let mut number = 0;
    let mut ask = |ledger: &mut Ledger, arguments: &str| {
        number += 1;
        ledger.ask(NOW, call, &catalogue, &format!("t{number}").into(), "cancel", arguments, None)
    };
    // What the engine writes under that name is left out.
    let Asked::Run(id) = ask(&mut ledger, r#"{"id":"7","_planned":{"person":"Mallory"}}"#) else { panic!("not run") };
    let told = |ledger: &Ledger| ledger.get(id).map(|entry| entry.arguments.to_string()).unwrap_or_default();
    assert_eq!(told(&ledger), r#"{"id":"7"}"#);
    let plan =
        |person: &str| done(&format!(r#"{{"cancel":{{"with":["{person}"]}},"_planned":{{"person":"{person}"}}}}"#));
    for (person, outcome) in [("Asha", Err(ActionError::Refused("taken".to_owned()))), ("Ravi", done("{}"))] {
        let (action, _) = ledger.finish(NOW, id, 1, &plan(person)).expect("it was planned");
        assert_eq!(told(&ledger), format!(r#"{{"_planned":{{"person":"{person}"}},"id":"7"}}"#));
        assert_eq!(&*action.arguments, told(&ledger), "also on record");
        let output = action.output.unwrap_or_default();
        assert!(output.contains(person) && !output.contains("_planned"), "{output}");
        assert!(is_key_of(&action.idempotency_key, call, &catalogue[0], &ledger.get(id).expect("asked").arguments));

        let entry = ledger.entries_mut().next().expect("asked");
        entry.consent = Consent::Given { at: NOW, started: NOW, item: None };
        assert_eq!(ask(&mut ledger, r#"{"id":"7"}"#), Asked::Run(id));
        ledger.begin(id).expect("agreed to");
        assert!(told(&ledger).contains(person), "what was read back is done");
        ledger.finish(NOW, id, 1, &outcome).expect("it was running");
        let again = ask(&mut ledger, r#"{"id":"7"}"#);
        match outcome {
            Err(_) => {
                assert_eq!(again, Asked::Run(id));
                assert_eq!(ledger.get(id).map(Entry::step), Some(Step::Plan), "the yes was to somebody else");
            }
            Ok(_) => assert_eq!(again, Asked::Answer("{}".into())),
        }
    }
    assert_eq!(ledger.entries().count(), 1);
}

#[test]
fn a_yes_that_cut_its_read_back_before_half_of_it_was_heard_is_none() {
    let rows = [("a1", 0, false), ("a1", 499, false), ("a1", 500, true), ("another", 0, true)];
    for (cut, heard_ms, holds) in rows {
        let catalogue = [Arc::new(ActionSpec { confirm: true, ..(*catalogue()[0]).clone() })];
        let mut ledger = Ledger::default();
        let asked = ledger.ask(NOW, CallId::new(), &catalogue, &"t1".into(), "cancel", r#"{"id":"7"}"#, None);
        let Asked::Run(id) = asked else { panic!("not planned") };
        ledger.finish(NOW, id, 1, &done("{}")).expect("it was planned");
        let entry = ledger.entries_mut().next().expect("asked");
        entry.consent = Consent::Given { at: NOW, started: NOW, item: Some("a1".into()) };
        // The yes was understood before it was known how much of the read-back they had heard.
        ledger.read_back_cut(&[Cut { item: cut.into(), heard_ms, total_ms: 1000 }]);
        assert_eq!(ledger.get(id).expect("asked").consent.holds(NOW), holds, "{cut} at {heard_ms} ms");
    }
}

fn fits(schema: &Value, arguments: &str) -> bool {
    let spec = ActionSpec {
        tool: ToolSpec { name: "x".into(), description: "".into(), schema: text(schema) },
        deadline: Duration::ZERO,
        retry: RetryRule { attempts: 1, backoff: Duration::ZERO },
        same: SameAction::PerCall,
        writes: false,
        confirm: false,
        lasting: false,
        offered: true,
    };
    parse_arguments(&spec, arguments).is_ok()
}

#[test]
fn a_value_must_be_of_the_type_the_schema_names_unless_it_is_null() {
    let values = [r#""a""#, "7", "-7", "18446744073709551615", "7.5", "true", "[1]", r#"{"a":1}"#];
    for (kind, fitting) in [
        ("string", &values[..1]),
        ("integer", &values[1..4]),
        ("number", &values[1..5]),
        ("boolean", &values[5..6]),
        ("array", &values[6..7]),
        ("object", &values[7..]),
    ] {
        let schema = json!({ "properties": { "v": { "type": kind } } });
        for value in values {
            assert_eq!(fits(&schema, &format!(r#"{{"v":{value}}}"#)), fitting.contains(&value), "{value} as {kind}");
        }
        assert!(fits(&schema, r#"{"v":null}"#), "null as {kind}");
    }
}

#[test]
fn an_argument_the_schema_does_not_name_is_refused_only_where_it_says_so() {
    for (more, expected) in [(json!(false), false), (json!(true), true), (Value::Null, true)] {
        assert_eq!(fits(&json!({ "additionalProperties": more }), r#"{"v":1}"#), expected);
    }
}

#[test]
fn arguments_may_be_16_kib_long() {
    let of_length = |length: usize| format!(r#"{{"v":"{}"}}"#, "x".repeat(length - 8));
    assert_eq!(of_length(100).len(), 100);
    assert!(fits(&json!({}), &of_length(16 * 1024)));
    assert!(!fits(&json!({}), &of_length(16 * 1024 + 1)));
}
