//! The actions of one call: each done at most once, whatever the engine repeats.

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::domain::{Action, ActionId, ActionState, CallId, CallTime};
use crate::ports::{ActionError, ActionOutput, ActionSpec, ContextItem, SameAction};

/// More different actions than any honest call needs.
const ENTRIES_MAX: usize = 64;

/// One action and who waits for it.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// What the journal keeps.
    pub action: Action,
    /// How it is run.
    pub spec: Arc<ActionSpec>,
    /// JSON object.
    pub arguments: Arc<Value>,
    /// Tool calls of the current session that wait for its output.
    pub waiting: Vec<Arc<str>>,
}

/// What to do about a tool call.
#[derive(Clone, PartialEq, Debug)]
pub enum Asked {
    /// Run this action.
    Run(ActionId),
    /// It is running already; the answer will serve both.
    Wait,
    /// Answer at once with this JSON: a result known already, or a refusal.
    Answer(Arc<str>),
}

/// See the module's text.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Ledger {
    entries: Vec<Entry>,
}

impl Ledger {
    /// The engine called a tool.
    pub fn ask(
        &mut self,
        now: CallTime,
        call: CallId,
        catalogue: &[Arc<ActionSpec>],
        tool_call: &Arc<str>,
        name: &str,
        arguments: &str,
    ) -> Asked {
        let Some(spec) = catalogue.iter().find(|spec| &*spec.tool.name == name) else {
            let names: Vec<&str> = catalogue.iter().map(|spec| &*spec.tool.name).collect();
            return refusal(json!({ "error": "there is no such tool", "tools": names }));
        };
        let arguments = match parse_arguments(spec, arguments) {
            Ok(arguments) => arguments,
            Err(why) => return refusal(json!({ "error": why })),
        };
        let canonical = canonical(&arguments);
        let key = key_of_canonical(call, spec, &canonical);
        if let Some(entry) = self.entries.iter_mut().find(|entry| *entry.action.idempotency_key == *key) {
            return entry.ask_again(now, tool_call);
        }
        if self.entries.len() >= ENTRIES_MAX {
            metrics::counter!("caly_actions_refused_total").increment(1);
            return refusal(json!({ "error": "too many actions in one call; speak to the caller instead" }));
        }
        let action = Action {
            id: ActionId::new(),
            name: Arc::clone(&spec.tool.name),
            idempotency_key: key.into(),
            arguments: canonical.into(),
            state: ActionState::Running,
            output: None,
            attempts: 0,
            started: now,
            changed: now,
        };
        let id = action.id;
        self.entries.push(Entry {
            action,
            spec: Arc::clone(spec),
            arguments: Arc::new(arguments),
            waiting: vec![Arc::clone(tool_call)],
        });
        Asked::Run(id)
    }

    /// An action came to an end. Returns its entry, and the tool calls to be answered, unless it had ended before.
    pub fn finish(
        &mut self,
        now: CallTime,
        id: ActionId,
        attempts: u32,
        result: &Result<ActionOutput, ActionError>,
    ) -> Option<(Action, Vec<Arc<str>>)> {
        let entry = self.entries.iter_mut().find(|entry| entry.action.id == id)?;
        if entry.action.state != ActionState::Running {
            return None;
        }
        let (state, output) = outcome(result);
        entry.action.state = state;
        entry.action.output = Some(output);
        entry.action.attempts = attempts;
        entry.action.changed = now;
        Some((entry.action.clone(), std::mem::take(&mut entry.waiting)))
    }

    /// Takes over what a former process did. What it had begun and not finished counts as unknown: whoever starts after a
    /// crash asks for its outcome by its key, and the engine must not run it again.
    pub fn recall(&mut self, actions: Vec<Action>, catalogue: &[Arc<ActionSpec>]) {
        for mut action in actions.into_iter().take(ENTRIES_MAX) {
            let Some(spec) = catalogue.iter().find(|spec| spec.tool.name == action.name) else { continue };
            let arguments = Arc::new(serde_json::from_str(&action.arguments).unwrap_or_default());
            if action.state == ActionState::Running {
                action.state = ActionState::Unknown;
                action.output = Some(unknown_output("the line broke before its answer came"));
            }
            self.entries.push(Entry { action, spec: Arc::clone(spec), arguments, waiting: Vec::new() });
        }
    }

    /// One entry.
    #[must_use]
    pub fn get(&self, id: ActionId) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.action.id == id)
    }

    /// Those not at their end.
    pub fn running(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.action.state == ActionState::Running)
    }

    /// How many tool calls wait for an answer.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.entries.iter().map(|entry| entry.waiting.len()).sum()
    }

    /// The session is gone: its tool calls cannot be answered any more, the actions go on.
    pub fn session_lost(&mut self) {
        for entry in &mut self.entries {
            entry.waiting.clear();
        }
    }

    /// What was done, for the context of a new session.
    pub fn context(&self) -> impl Iterator<Item = (CallTime, ContextItem)> + '_ {
        self.entries.iter().filter_map(|entry| {
            let output = entry.action.output.clone()?;
            let item = ContextItem::Tool {
                name: Arc::clone(&entry.action.name),
                arguments: Arc::clone(&entry.action.arguments),
                output,
            };
            Some((entry.action.changed, item))
        })
    }
}

impl Entry {
    fn ask_again(&mut self, now: CallTime, tool_call: &Arc<str>) -> Asked {
        match (self.action.state, &self.action.output) {
            (ActionState::Running, _) => {
                self.waiting.push(Arc::clone(tool_call));
                Asked::Wait
            }
            // Nothing happened the first time, so the same action may be tried again under the same key.
            (ActionState::Failed, _) => {
                self.action.state = ActionState::Running;
                self.action.output = None;
                self.action.changed = now;
                self.waiting.push(Arc::clone(tool_call));
                Asked::Run(self.action.id)
            }
            (ActionState::Done | ActionState::Unknown, Some(output)) => Asked::Answer(Arc::clone(output)),
            (ActionState::Done | ActionState::Unknown, None) => Asked::Answer(unknown_output("no answer was kept")),
        }
    }
}

/// What a result makes of an action: its state and the JSON told to the engine.
#[must_use]
pub fn outcome(result: &Result<ActionOutput, ActionError>) -> (ActionState, Arc<str>) {
    match result {
        Ok(output) => (ActionState::Done, Arc::clone(&output.output)),
        Err(ActionError::Refused(why) | ActionError::Unavailable(why)) => {
            (ActionState::Failed, text(&json!({ "error": why, "done": false })))
        }
        Err(ActionError::Unknown(why)) => (ActionState::Unknown, unknown_output(why)),
    }
}

fn unknown_output(why: &str) -> Arc<str> {
    text(&json!({
        "error": why,
        "done": "unknown",
        "say": "we could not confirm whether this was done; it will be checked, do not try again",
    }))
}

fn refusal(value: Value) -> Asked {
    Asked::Answer(text(&value))
}

fn text(value: &Value) -> Arc<str> {
    value.to_string().into()
}

/// The key of an action with these arguments: equal arguments of one call have equal keys.
#[must_use]
pub fn idempotency_key(call: CallId, spec: &ActionSpec, arguments: &Value) -> String {
    key_of_canonical(call, spec, &canonical(arguments))
}

fn key_of_canonical(call: CallId, spec: &ActionSpec, canonical: &str) -> String {
    let same = match spec.same {
        SameAction::PerCall => "",
        SameAction::PerArguments => canonical,
    };
    Uuid::new_v5(&call.0, format!("{}\0{same}", spec.tool.name).as_bytes()).to_string()
}

/// The engine's argument text as an object that fits the schema's `required` and `type`; the error is told to the engine.
fn parse_arguments(spec: &ActionSpec, text: &str) -> Result<Value, String> {
    let text = if text.trim().is_empty() { "{}" } else { text };
    if text.len() > 16 * 1024 {
        return Err("arguments are too long".to_owned());
    }
    let arguments: Value = serde_json::from_str(text).map_err(|_| "arguments are not valid JSON".to_owned())?;
    let Some(given) = arguments.as_object() else { return Err("arguments must be a JSON object".to_owned()) };
    let schema: Value = serde_json::from_str(&spec.tool.schema).unwrap_or_default();
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if given.get(required).is_none_or(Value::is_null) {
            return Err(format!("argument '{required}' is missing"));
        }
    }
    for (name, value) in given {
        let property = &schema["properties"][name];
        if property.is_null() {
            if schema["additionalProperties"] == Value::Bool(false) {
                return Err(format!("there is no argument '{name}'"));
            }
            continue;
        }
        check_value(name, value, property)?;
    }
    Ok(arguments)
}

fn check_value(name: &str, value: &Value, property: &Value) -> Result<(), String> {
    let fits = match property["type"].as_str() {
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => true,
    };
    if !fits && !value.is_null() {
        return Err(format!("argument '{name}' must be of type {}", property["type"].as_str().unwrap_or("any")));
    }
    if let Some(allowed) = property["enum"].as_array()
        && !allowed.contains(value)
    {
        return Err(format!("argument '{name}' must be one of {}", property["enum"]));
    }
    Ok(())
}

/// JSON text with sorted keys, so that equal arguments give equal text.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut pairs: Vec<_> = map.iter().collect();
            pairs.sort_by_key(|(key, _)| *key);
            let inner: Vec<String> = pairs
                .iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value)))
                .collect();
            format!("{{{}}}", inner.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
            })
        };
        vec![spec("cancel", SameAction::PerArguments), spec("bye", SameAction::PerCall)]
    }

    fn ask(ledger: &mut Ledger, call: CallId, tool_call: &str, name: &str, arguments: &str) -> Asked {
        ledger.ask(NOW, call, &catalogue(), &tool_call.into(), name, arguments)
    }

    fn done(text: &str) -> Result<ActionOutput, ActionError> {
        Ok(ActionOutput { output: text.into(), change: None })
    }

    #[test]
    fn the_same_call_repeated_runs_once_and_is_answered_each_time() {
        let (mut ledger, call) = (Ledger::default(), CallId::new());
        let Asked::Run(id) = ask(&mut ledger, call, "t1", "cancel", r#"{"id":"7","how":"a"}"#) else {
            panic!("not run")
        };
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
            let Asked::Answer(answer) = ask(&mut ledger, call, "t", name, arguments) else {
                panic!("{arguments} was run")
            };
            assert!(answer.contains(expected), "{answer}");
        }
        assert_eq!(ledger.running().count(), 0);
    }

    #[test]
    fn an_unknown_outcome_is_never_run_again_but_a_clean_failure_may_be() {
        let (mut ledger, call) = (Ledger::default(), CallId::new());
        let Asked::Run(id) = ask(&mut ledger, call, "t1", "cancel", r#"{"id":"7"}"#) else { panic!("not run") };
        ledger.finish(NOW, id, 1, &Err(ActionError::Unavailable("busy".into())));
        assert_eq!(ask(&mut ledger, call, "t2", "cancel", r#"{"id":"7"}"#), Asked::Run(id));
        ledger.finish(NOW, id, 1, &Err(ActionError::Unknown("timed out".into())));
        let Asked::Answer(answer) = ask(&mut ledger, call, "t3", "cancel", r#"{"id":"7"}"#) else {
            panic!("run again")
        };
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
        assert_eq!(ledger.context().collect::<Vec<_>>(), [(later, item)]);
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
        let Asked::Run(id) = ask(&mut ledger, call, "t1", "cancel", r#"{"id":"7","how":"a"}"#) else {
            panic!("not run")
        };
        let key = idempotency_key(call, &catalogue[0], &json!({ "how": "a", "id": "7" }));
        assert_eq!(ledger.get(id).map(|entry| &*entry.action.idempotency_key), Some(&*key));
    }

    fn fits(schema: &Value, arguments: &str) -> bool {
        let spec = ActionSpec {
            tool: ToolSpec { name: "x".into(), description: "".into(), schema: text(schema) },
            deadline: Duration::ZERO,
            retry: RetryRule { attempts: 1, backoff: Duration::ZERO },
            same: SameAction::PerCall,
            writes: false,
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
                assert_eq!(
                    fits(&schema, &format!(r#"{{"v":{value}}}"#)),
                    fitting.contains(&value),
                    "{value} as {kind}"
                );
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
}
