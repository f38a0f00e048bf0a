//! Undoing what was done: an action of its own, which names the one it undoes and is planned, read back and agreed to as any
//! other. What undoes an action is laid down when it is done, so nothing is made up later; its key follows from the other's
//! key, so it is done once, whoever asks for it and however often.

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::ledger::{Asked, Entry, Ledger, canonical, refusal};
use crate::domain::{Action, ActionId, ActionState, CallId, CallTime};
use crate::ports::{ActionError, ActionOutput, ActionSpec, UNDO, Undo};

/// What undoes an action, as it is kept with it.
#[derive(Clone, PartialEq, Debug)]
pub struct UndoStep {
    /// What to do.
    pub undo: Undo,
    /// Its idempotency key.
    pub key: Arc<str>,
}

impl UndoStep {
    /// As it was kept. `None`: it is not whole any more, for what is no business of the record was taken out.
    #[must_use]
    pub fn read(kept: &Value, undone: &str) -> Option<Self> {
        let (tool, arguments) = (kept["tool"].as_str()?, kept["arguments"].clone());
        let undo = Undo { tool: tool.into(), arguments };
        let key = key_of(undone, &undo);
        (kept["id"] == *key).then(|| Self { undo, key: key.into() })
    }
}

/// The key of what undoes the action with a key.
#[must_use]
pub fn key_of(undone: &str, undo: &Undo) -> String {
    let same = format!("undo\0{undone}\0{}\0{}", undo.tool, canonical(&undo.arguments));
    Uuid::new_v5(&Uuid::NAMESPACE_OID, same.as_bytes()).to_string()
}

/// What is kept of how to undo an action, given what became of it. What undoes something is not undone itself.
#[must_use]
pub fn kept(action: &Action, state: ActionState, result: &Result<ActionOutput, ActionError>) -> Option<Arc<str>> {
    let undo = result.as_ref().ok()?.undo.as_ref()?;
    let first = state == ActionState::Done && action.undoes.is_none();
    // Under the name of `key` it would not be let into the record.
    let key = key_of(&action.idempotency_key, undo);
    first.then(|| json!({ "tool": &*undo.tool, "arguments": undo.arguments, "id": key }).to_string().into())
}

/// An entry of the catalogue as what undoes something: whatever it is, the caller says yes to it.
pub(super) fn spec_of(spec: &ActionSpec) -> Arc<ActionSpec> {
    Arc::new(ActionSpec { confirm: true, lasting: false, ..spec.clone() })
}

impl Ledger {
    /// The engine asks for what was done last in this call to be undone, or for what a tool did last.
    pub(super) fn undo(
        &mut self,
        (now, call): (CallTime, CallId),
        catalogue: &[Arc<ActionSpec>],
        (tool_call, what): (&Arc<str>, Option<&str>),
        answer_pending: Option<CallTime>,
    ) -> Asked {
        let Some(last) = self.last_done(what) else {
            return refusal(json!({ "error": "nothing was done in this call that could be undone", "done": false }));
        };
        // It is undone, and asked for once more.
        if last.action.undoes.is_some() {
            let output = last.action.output.clone().unwrap_or_else(|| "{}".into());
            return Asked::Answer(output);
        }
        let step = last.action.undo.as_deref().and_then(|kept| serde_json::from_str(kept).ok());
        let step = step.and_then(|kept| UndoStep::read(&kept, &last.action.idempotency_key));
        let spec = step.as_ref().and_then(|step| catalogue.iter().find(|spec| spec.tool.name == step.undo.tool));
        let (Some(step), Some(spec)) = (step, spec) else { return self.not_undone(last) };
        let undoes = last.action.id;
        if let Some(entry) = self.entries_mut().find(|entry| entry.action.idempotency_key == step.key) {
            // What a former process has left on record of them may not be all there was.
            entry.arguments = Arc::new(step.undo.arguments);
            return entry.ask_again(now, tool_call, answer_pending);
        }
        tracing::debug!(%call, tool = &*step.undo.tool, "something that was done is to be undone");
        let action = Action {
            id: ActionId::new(),
            name: step.undo.tool,
            idempotency_key: step.key,
            arguments: canonical(&step.undo.arguments).into(),
            state: ActionState::Planning,
            output: None,
            undo: None,
            undoes: Some(undoes),
            attempts: 0,
            started: now,
            changed: now,
        };
        self.enter(action, &spec_of(spec), step.undo.arguments, tool_call)
    }

    /// What changed something last, or what a tool did.
    fn last_done(&self, what: Option<&str>) -> Option<&Entry> {
        let is_meant = |entry: &&Entry| match what {
            Some(name) => *entry.action.name == *name && entry.action.undoes.is_none(),
            None => true,
        };
        let changed = |entry: &&Entry| {
            entry.spec.writes && matches!(entry.action.state, ActionState::Done | ActionState::Unknown)
        };
        self.entries().filter(changed).filter(is_meant).max_by_key(|entry| entry.action.changed)
    }

    fn not_undone(&self, last: &Entry) -> Asked {
        let name = &*last.action.name;
        if last.action.state == ActionState::Unknown {
            let why = format!("whether {name} was done is still being found out, so it cannot be undone yet");
            return refusal(json!({ "error": why, "done": false, "next": "offer a person or to ring back" }));
        }
        let mut others: Vec<&str> =
            self.entries().filter(|entry| self.is_undoable(entry)).map(|e| &*e.action.name).collect();
        others.dedup();
        refusal(json!({
            "error": format!("{name} cannot be undone from here"), "done": false, "next": "offer a person",
            "what_can_be": others,
        }))
    }

    fn is_undoable(&self, entry: &Entry) -> bool {
        entry.action.undo.is_some() && !self.is_undone(entry.action.id)
    }

    /// Whether something else has undone an action.
    pub(super) fn is_undone(&self, id: ActionId) -> bool {
        let undone = |entry: &Entry| entry.action.undoes == Some(id) && entry.action.state == ActionState::Done;
        self.entries().any(undone)
    }
}

impl Entry {
    /// The tool by which the engine asks for it.
    pub(super) fn asked_as(&self) -> &str {
        if self.action.undoes.is_some() { UNDO } else { &self.action.name }
    }
}

#[cfg(test)]
#[path = "undoing_tests.rs"]
mod tests;
