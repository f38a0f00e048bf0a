//! What undoes `remember_about_caller`: the same with what was known before. If it was changed again since, by an operator or
//! in another call, that stands.

use caly_actors::domain::{CallId, KnownCaller};
use caly_actors::ports::{ActionRequest, PLANNED, Undo};
use serde_json::{Map, Value, json};

use super::Told;

/// What makes things as they were before something was told.
pub(super) fn undo(told: &Told, known: &KnownCaller) -> Undo {
    let mut arguments = json!({ "facts": {} });
    for name in told.facts.keys() {
        arguments["facts"][name] = json!(fact(known, name).unwrap_or_default());
    }
    if told.name.is_some() {
        arguments["name"] = json!(known.name.as_deref().unwrap_or_default());
    }
    let left: Map<String, Value> = told.facts.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    arguments[PLANNED] = json!({ "undo": true, "left": { "name": told.name, "facts": left } });
    Undo { tool: "remember_about_caller".into(), arguments }
}

fn fact<'a>(known: &'a KnownCaller, name: &str) -> Option<&'a str> {
    known.facts.iter().find(|(known, _)| **known == *name).map(|(_, value)| &**value)
}

/// Whether what is undone stands as it was left; `known` is `None` where that could not be looked at.
pub(super) fn still_as_left(request: &ActionRequest, known: Option<Option<&KnownCaller>>) -> Result<(), String> {
    let left = &request.arguments[PLANNED]["left"];
    if left.is_null() {
        return Ok(());
    }
    let Some(known) = known else { return Err(super::AWAY.to_owned()) };
    let nobody = KnownCaller::default();
    let known = known.unwrap_or(&nobody);
    let same_name = left["name"].as_str().is_none_or(|name| known.name.as_deref().unwrap_or_default() == name);
    let same = |(name, value): (&String, &Value)| fact(known, name) == value.as_str();
    let same_facts = left["facts"].as_object().into_iter().flatten().all(same);
    let changed = || "it was changed since, and that stands: tell it again if it is to be otherwise".to_owned();
    if same_name && same_facts { Ok(()) } else { Err(changed()) }
}

/// Whether the caller had no name before.
pub(super) fn takes_name_away(request: &ActionRequest) -> bool {
    request.arguments[PLANNED]["undo"] == true && request.arguments["name"] == ""
}

/// What is told where nothing but the name is to be taken away.
pub(super) fn nothing_but_name(request: &ActionRequest, call: CallId) -> Option<Told> {
    takes_name_away(request).then(|| Told { call, name: None, facts: Default::default() })
}
