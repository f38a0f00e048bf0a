//! The actions of one call: each done at most once, whatever the engine repeats.

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::domain::{Action, ActionId, ActionState, CallId, CallTime};
use crate::ports::{ActionError, ActionOutput, ActionSpec, ContextItem, SameAction, Step, UNDO};

use super::consent::{Consent, not_confirmed, proposal};
use super::planned;
use super::undoing;

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
    /// Where the caller's yes stands, if it needs one.
    pub consent: Consent,
    /// What they had not been told of it when they last said yes.
    pub unsaid: Vec<String>,
}

/// What to do about a tool call.
#[derive(Clone, PartialEq, Debug)]
pub enum Asked {
    /// Run this action.
    Run(ActionId),
    /// It is running already; the answer will serve both.
    Wait,
    /// The caller may have said yes: their words are awaited.
    Hold,
    /// Answer at once with this JSON: a result known already, or a refusal.
    Answer(Arc<str>),
}

/// See the module's text.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Ledger {
    entries: Vec<Entry>,
}

impl Ledger {
    /// What ends a call was done, and the call goes on all the same: it may be done again.
    pub(super) fn forget_end(&mut self) {
        let over = |entry: &Entry| entry.action.state == ActionState::Done && entry.spec.same == SameAction::PerCall;
        self.entries.retain(|entry| !over(entry));
    }

    /// The engine called a tool. `answer_pending`: a turn of the caller that began then is not understood yet.
    #[allow(clippy::too_many_arguments, reason = "each is one fact of one event")]
    pub fn ask(
        &mut self,
        now: CallTime,
        call: CallId,
        catalogue: &[Arc<ActionSpec>],
        tool_call: &Arc<str>,
        name: &str,
        arguments: &str,
        answer_pending: Option<CallTime>,
    ) -> Asked {
        let offered = || catalogue.iter().filter(|spec| spec.offered);
        let refused = |why: &str| {
            let names: Vec<&str> = offered().map(|spec| &*spec.tool.name).collect();
            refusal(json!({ "error": why, "tools": names }))
        };
        let Some(spec) = offered().find(|spec| &*spec.tool.name == name) else {
            return refused("there is no such tool");
        };
        let arguments = match parse_arguments(spec, arguments) {
            Ok(arguments) => planned::asked(&arguments),
            Err(why) => return refused(&why),
        };
        if name == UNDO {
            return self.undo((now, call), catalogue, (tool_call, arguments["what"].as_str()), answer_pending);
        }
        let canonical = canonical(&arguments);
        let key = key_of_canonical(call, spec, &canonical, self.changes_since(spec, &canonical));
        if let Some(entry) = self.entries.iter_mut().find(|entry| *entry.action.idempotency_key == *key) {
            return entry.ask_again(now, tool_call, answer_pending);
        }
        let action = Action {
            id: ActionId::new(),
            name: Arc::clone(&spec.tool.name),
            idempotency_key: key.into(),
            arguments: canonical.into(),
            state: if spec.confirm { ActionState::Planning } else { ActionState::Running },
            output: None,
            undo: None,
            undoes: None,
            attempts: 0,
            started: now,
            changed: now,
        };
        self.enter(action, spec, arguments, tool_call)
    }

    /// Another action, unless there are too many.
    pub(super) fn enter(
        &mut self,
        action: Action,
        spec: &Arc<ActionSpec>,
        arguments: Value,
        tool_call: &Arc<str>,
    ) -> Asked {
        if self.entries.len() >= ENTRIES_MAX {
            metrics::counter!("caly_actions_refused_total").increment(1);
            return refusal(json!({ "error": "too many actions in one call; speak to the caller instead" }));
        }
        let id = action.id;
        self.entries.push(Entry {
            action,
            spec: Arc::clone(spec),
            arguments: Arc::new(arguments),
            waiting: vec![Arc::clone(tool_call)],
            consent: Consent::default(),
            unsaid: Vec::new(),
        });
        Asked::Run(id)
    }

    /// What makes the same wish another action.
    fn changes_since(&self, spec: &ActionSpec, canonical: &str) -> usize {
        match spec.same {
            SameAction::PerCall => 0,
            SameAction::PerArguments => self.times_undone(spec, canonical),
            SameAction::PerChange => self.changes_beside(spec, canonical),
        }
    }

    /// How often the same was done in this call and undone again.
    fn times_undone(&self, spec: &ActionSpec, canonical: &str) -> usize {
        let same = |entry: &&Entry| {
            entry.action.name == spec.tool.name && self::canonical(&planned::asked(&entry.arguments)) == canonical
        };
        self.entries.iter().filter(same).filter(|entry| self.is_undone(entry.action.id)).count()
    }

    /// How much else was done, or may have been, in this call.
    fn changes_beside(&self, spec: &ActionSpec, canonical: &str) -> usize {
        let other = |entry: &Entry| {
            entry.action.name != spec.tool.name || self::canonical(&planned::asked(&entry.arguments)) != canonical
        };
        let done = |entry: &&Entry| {
            entry.spec.writes && matches!(entry.action.state, ActionState::Done | ActionState::Unknown) && other(entry)
        };
        self.entries.iter().filter(done).count()
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
        let (state, output) = match (entry.action.state, result) {
            (ActionState::Running, _) => {
                // The yes was to what was chosen, which cannot be had: what is chosen next is to be read back as well.
                if matches!(result, Err(ActionError::Refused(_))) && planned::is_in(&entry.arguments) {
                    entry.consent = Consent::default();
                }
                outcome(result)
            }
            (ActionState::Planning, Ok(plan)) => {
                entry.consent = Consent::default();
                let (plan, choice) = planned::chosen(&plan.output);
                entry.choose(choice);
                (ActionState::Proposed, proposal(entry.asked_as(), &plan, entry.spec.lasting))
            }
            // A plan changes nothing, whatever became of it.
            (ActionState::Planning, Err(ActionError::Unknown(why))) => {
                outcome(&Err(ActionError::Unavailable(why.clone())))
            }
            (ActionState::Planning, Err(_)) => outcome(result),
            _ => return None,
        };
        entry.action.undo = undoing::kept(&entry.action, state, result);
        entry.action.state = state;
        entry.action.output = Some(output);
        entry.action.attempts = attempts;
        entry.action.changed = now;
        Some((entry.action.clone(), std::mem::take(&mut entry.waiting)))
    }

    /// What became of an action whose outcome was unknown is known now. Returns its entry, unless it was known already.
    pub fn resolve(
        &mut self,
        now: CallTime,
        id: ActionId,
        result: &Result<ActionOutput, ActionError>,
    ) -> Option<Action> {
        let unknown = |entry: &&mut Entry| entry.action.id == id && entry.action.state == ActionState::Unknown;
        let entry = self.entries.iter_mut().find(unknown)?;
        let (state, output) = outcome(result);
        if state == ActionState::Unknown {
            return None;
        }
        entry.action.undo = undoing::kept(&entry.action, state, result);
        (entry.action.state, entry.action.output, entry.action.changed) = (state, Some(output), now);
        Some(entry.action.clone())
    }

    /// The caller said yes: it is to be run.
    pub fn confirm(&mut self, id: ActionId, now: CallTime) {
        let proposed = |entry: &&mut Entry| entry.action.id == id && entry.action.state == ActionState::Proposed;
        if let Some(entry) = self.entries.iter_mut().find(proposed) {
            entry.action.state = ActionState::Confirmed;
            entry.action.output = None;
            entry.action.changed = now;
        }
    }

    /// What was confirmed begins to run. Gives it as it was before.
    pub fn begin(&mut self, id: ActionId) -> Option<Action> {
        let entry = self.entries.iter_mut().find(|entry| entry.action.id == id)?;
        let confirmed = entry.action.clone();
        (confirmed.state == ActionState::Confirmed).then(|| {
            entry.action.state = ActionState::Running;
            confirmed
        })
    }

    /// Takes over what a former process did. What it had begun and not finished counts as unknown: whoever starts after a
    /// crash asks for its outcome by its key, and the engine must not run it again.
    pub fn recall(&mut self, actions: Vec<Action>, catalogue: &[Arc<ActionSpec>]) {
        for mut action in actions.into_iter().filter(|it| it.state != ActionState::Planning).take(ENTRIES_MAX) {
            let Some(spec) = catalogue.iter().find(|spec| spec.tool.name == action.name) else { continue };
            let arguments = Arc::new(serde_json::from_str(&action.arguments).unwrap_or_default());
            if matches!(action.state, ActionState::Running | ActionState::Confirmed) {
                action.state = ActionState::Unknown;
                action.output = Some(unknown_output("the line broke before its answer came"));
            }
            let spec = if action.undoes.is_some() { undoing::spec_of(spec) } else { Arc::clone(spec) };
            let (waiting, consent) = (Vec::new(), Consent::default());
            self.entries.push(Entry { action, spec, arguments, waiting, consent, unsaid: Vec::new() });
        }
    }

    /// One entry.
    #[must_use]
    pub fn get(&self, id: ActionId) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.action.id == id)
    }

    /// All of them.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(super) fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.iter_mut()
    }

    /// Those whose plan is being made.
    pub fn planning(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.action.state == ActionState::Planning)
    }

    /// Those begun and not at their end.
    pub fn running(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.action.state == ActionState::Running)
    }

    /// How many tool calls wait for an answer.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.entries.iter().map(|entry| entry.waiting.len()).sum()
    }

    /// Something is being done, though the session that asked for it may be gone.
    pub(super) fn acts(&self) -> bool {
        self.planning().chain(self.running()).next().is_some()
    }

    /// The session is gone: its tool calls cannot be answered any more, the actions go on.
    pub fn session_lost(&mut self) {
        for entry in &mut self.entries {
            entry.waiting.clear();
        }
    }

    /// The caller was asked something else by Caly itself, or may not have heard what they were asked: it is to be read back
    /// again. Whether there is any.
    pub(super) fn ask_anew(&mut self) -> bool {
        let mut asked = false;
        for entry in self.entries.iter_mut().filter(|entry| matches!(entry.consent, Consent::Asked { .. })) {
            entry.consent = Consent::Untold;
            asked = true;
        }
        asked
    }

    /// What was done, for the context of a new session, without what was asked for before a time and is settled.
    pub fn context_since(&self, since: CallTime) -> impl Iterator<Item = (CallTime, ContextItem)> + '_ {
        let told = move |entry: &&Entry| entry.action.started >= since || !entry.is_settled();
        self.entries.iter().filter(told).filter_map(|entry| {
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
    /// What is asked of it now.
    #[must_use]
    pub fn step(&self) -> Step {
        if self.action.state == ActionState::Planning { Step::Plan } else { Step::Do }
    }

    /// Nothing more becomes of it by itself.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        match self.action.state {
            ActionState::Done | ActionState::Failed | ActionState::Unknown | ActionState::Withdrawn => true,
            ActionState::Planning | ActionState::Proposed | ActionState::Confirmed | ActionState::Running => false,
        }
    }

    /// What a plan chose is part of what is done.
    fn choose(&mut self, choice: Option<Value>) {
        // What undoes something is done as it was laid down then.
        if self.action.undoes.is_some() {
            return;
        }
        let arguments = planned::with(&self.arguments, choice);
        self.action.arguments = canonical(&arguments).into();
        self.arguments = Arc::new(arguments);
    }

    pub(super) fn ask_again(&mut self, now: CallTime, tool_call: &Arc<str>, answer_pending: Option<CallTime>) -> Asked {
        let state = self.action.state;
        match (state, &self.action.output) {
            (ActionState::Running | ActionState::Planning | ActionState::Confirmed, _) => {
                self.waiting.push(Arc::clone(tool_call));
                Asked::Wait
            }
            (ActionState::Proposed, _) if answer_pending.is_some_and(|turn| self.consent.bears(turn)) => {
                self.waiting.push(Arc::clone(tool_call));
                Asked::Hold
            }
            (ActionState::Proposed, _) if self.consent.holds(now) => self.again(ActionState::Confirmed, now, tool_call),
            (ActionState::Proposed, _) => {
                metrics::counter!("caly_actions_not_confirmed_total").increment(1);
                Asked::Answer(not_confirmed(&self.unsaid))
            }
            // Nothing happened the first time, so the same action may be tried again under the same key; with the yes it
            // had, if that still holds.
            (ActionState::Failed | ActionState::Withdrawn, _) => {
                let agreed = !self.spec.confirm || (state == ActionState::Failed && self.consent.holds(now));
                self.again(if agreed { ActionState::Running } else { ActionState::Planning }, now, tool_call)
            }
            (ActionState::Done | ActionState::Unknown, Some(output)) => Asked::Answer(Arc::clone(output)),
            (ActionState::Done | ActionState::Unknown, None) => Asked::Answer(unknown_output("no answer was kept")),
        }
    }

    fn again(&mut self, state: ActionState, now: CallTime, tool_call: &Arc<str>) -> Asked {
        self.action.state = state;
        self.action.output = None;
        self.action.changed = now;
        self.waiting.push(Arc::clone(tool_call));
        Asked::Run(self.action.id)
    }
}

/// What a result makes of an action: its state and the JSON told to the engine.
#[must_use]
pub fn outcome(result: &Result<ActionOutput, ActionError>) -> (ActionState, Arc<str>) {
    match result {
        Ok(output) => (ActionState::Done, Arc::clone(&output.output)),
        Err(ActionError::Refused(why) | ActionError::Unavailable(why) | ActionError::Away(why)) => {
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

pub(super) fn refusal(value: Value) -> Asked {
    Asked::Answer(text(&value))
}

fn text(value: &Value) -> Arc<str> {
    value.to_string().into()
}

/// Whether a key is of an action with these arguments: equal arguments of one call have equal keys, as far as
/// [`SameAction`] says.
#[must_use]
pub fn is_key_of(key: &str, call: CallId, spec: &ActionSpec, arguments: &Value) -> bool {
    let canonical = canonical(&planned::asked(arguments));
    let changes = if spec.same == SameAction::PerCall { 0 } else { ENTRIES_MAX };
    (0..=changes).any(|changes| key_of_canonical(call, spec, &canonical, changes) == key)
}

fn key_of_canonical(call: CallId, spec: &ActionSpec, canonical: &str, changes: usize) -> String {
    let name = &spec.tool.name;
    let same = match spec.same {
        SameAction::PerCall => format!("{name}\0"),
        SameAction::PerArguments | SameAction::PerChange if changes > 0 => format!("{name}\0{canonical}\0{changes}"),
        SameAction::PerArguments | SameAction::PerChange => format!("{name}\0{canonical}"),
    };
    Uuid::new_v5(&call.0, same.as_bytes()).to_string()
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
pub(super) fn canonical(value: &Value) -> String {
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
#[path = "ledger_tests.rs"]
mod tests;
