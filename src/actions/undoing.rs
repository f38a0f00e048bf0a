//! What undoes what: which entries of the catalogue are the steps for which, and what the engine is told of it. What a step has
//! to do exactly each tool says itself, with its result.
//!
//! | done | undone by |
//! |---|---|
//! | `book_appointment` | `cancel_appointment` of that one |
//! | `move_appointment` | the same, back to the former time if that is still free |
//! | `cancel_appointment` | `book_appointment` of the same time with the same person, if they are still free |
//! | `request_callback` | `withdraw_callback` |
//! | `remember_about_caller` | the same with what was known before, if nobody has changed it since |
//! | `change_address` | the same with the former address, if nothing was sent |
//! | `draft_order` | `delete_draft_order` |
//! | `start_return` | `cancel_return`, while the shop has not looked at it |
//! | a client's own HTTPS action | another of theirs, if they say which |
//!
//! Nothing undoes `cancel_order`, `forget_caller`, `transfer_to_human` and tools of MCP servers.

use std::future::Future;
use std::time::Duration;

use caly_actors::domain::{Agent, HttpUndo};
use caly_actors::ports::{ActionError, ActionOutput, ActionRequest, ActionSpec, SameAction, Step, ToolSpec, UNDO};
use serde_json::{Value, json};

use super::ONCE;

/// Takes back a wish to be rung.
pub(super) const WITHDRAW: &str = "withdraw_callback";

/// Tools and their steps; see the module's text.
const STEPS: [(&str, &str); 8] = [
    ("book_appointment", "cancel_appointment"),
    ("move_appointment", "move_appointment"),
    ("cancel_appointment", "book_appointment"),
    ("request_callback", WITHDRAW),
    ("remember_about_caller", "remember_about_caller"),
    ("change_address", "change_address"),
    ("draft_order", "delete_draft_order"),
    ("start_return", "cancel_return"),
];

/// Adds to an agent's entries those that undo them, which are not offered by themselves, and the tool that has them undone, if
/// there is one to be undone and the agent may use it.
pub(super) fn with_steps(
    mut all: Vec<ActionSpec>,
    agent: &Agent,
    spec: impl Fn(&str) -> Option<ActionSpec>,
) -> Vec<ActionSpec> {
    let is_there = |all: &[ActionSpec], name: &str| all.iter().any(|spec| &*spec.tool.name == name);
    let own = |name: &str| agent.http_tools.iter().any(|tool| &*tool.name == name);
    let mut any = agent.http_tools.iter().any(|tool| matches!(tool.undo, HttpUndo::By(_)));
    for (done, step) in STEPS {
        if own(done) || own(step) || !is_there(&all, done) {
            continue;
        }
        if !is_there(&all, step) {
            all.extend(spec(step).map(|spec| ActionSpec { offered: false, ..spec }));
        }
        any |= is_there(&all, step);
    }
    if any && is_switched_on(agent) {
        all.push(undo());
    }
    all
}

fn is_switched_on(agent: &Agent) -> bool {
    agent.tools.iter().any(|tool| &**tool == UNDO)
}

/// What the engine asks with. It is the step that is carried out, under its own name.
fn undo() -> ActionSpec {
    let what = "name of the tool whose last result is to be undone, if something else was done after it";
    let schema = json!({ "type": "object", "properties": { "what": { "type": "string", "description": what } } });
    let description = "Undo what was done last in this call, when the caller changes their mind about it. It answers what to read \
        back before anything is undone, or that it cannot be.";
    let tool = ToolSpec { name: UNDO.into(), description: description.into(), schema: schema.to_string().into() };
    ActionSpec { writes: false, ..step(tool) }
}

fn step(tool: ToolSpec) -> ActionSpec {
    let (deadline, same) = (Duration::from_secs(8), SameAction::PerChange);
    ActionSpec { tool, deadline, retry: ONCE, same, writes: true, confirm: true, lasting: false, offered: true }
}

/// Steps that are nothing else.
pub(super) fn spec(name: &str, agent: &Agent) -> Option<ActionSpec> {
    let tool = ToolSpec { name: name.into(), description: "".into(), schema: r#"{"type":"object"}"#.into() };
    let shop = super::shopify::undoing_deadline(name).filter(|_| agent.shop.is_some());
    match shop {
        Some(deadline) => Some(ActionSpec { deadline, ..step(tool) }),
        None => (name == WITHDRAW).then(|| step(tool)),
    }
}

/// Beside the result of what was done, that it can be undone and how.
pub(super) async fn told(
    request: ActionRequest,
    work: impl Future<Output = Result<ActionOutput, ActionError>>,
) -> Result<ActionOutput, ActionError> {
    let mut output = work.await?;
    let agent = &request.facts.agent;
    // A client's own tool of that name does something else.
    let own = |name: &str| agent.http_tools.iter().any(|tool| &*tool.name == name);
    let own_step = own(&request.name);
    output.undo = output.undo.filter(|undo| request.step == Step::Do && (own_step || !own(&undo.tool)));
    if output.undo.is_some()
        && is_switched_on(agent)
        && let Ok(Value::Object(mut told)) = serde_json::from_str(&output.output)
    {
        let name = &request.name;
        told.insert("undo".to_owned(), json!(format!("should the caller change their mind: {UNDO} with what={name}")));
        output.output = Value::Object(told).to_string().into();
    }
    Ok(output)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use caly_actors::domain::{AgentId, CallLimits};

    fn agent(settings: &Value) -> Agent {
        crate::agents::read(AgentId::new(), 1, "shop", settings, &CallLimits::default()).unwrap()
    }

    fn entry(name: &str) -> ActionSpec {
        step(ToolSpec { name: name.into(), description: "".into(), schema: "{}".into() })
    }

    /// Names of what is offered, and of what only undoes.
    fn names(agent: &Agent, offered: &[&str]) -> (Vec<String>, Vec<String>) {
        let all = offered.iter().map(|name| entry(name)).collect();
        let all = with_steps(all, agent, |name| Some(entry(name)));
        let names =
            |offered| all.iter().filter(|one| one.offered == offered).map(|one| one.tool.name.to_string()).collect();
        (names(true), names(false))
    }

    #[test]
    fn what_undoes_is_there_and_offered_only_where_it_is_a_tool_of_the_agent() {
        let own =
            |undo: Value| json!({ "name": "order", "description": "", "schema": {}, "url": "https://x", "undo": undo });
        let back = json!({ "name": "unorder", "description": "", "schema": {}, "url": "https://x" });
        for (settings, offered, (told, only)) in [
            (json!({}), vec!["end_call"], (vec!["end_call"], vec![])),
            (json!({}), vec!["cancel_order"], (vec!["cancel_order"], vec![])),
            (json!({}), vec!["book_appointment"], (vec!["book_appointment", UNDO], vec!["cancel_appointment"])),
            (json!({}), vec!["request_callback"], (vec!["request_callback", UNDO], vec![WITHDRAW])),
            (json!({}), vec!["move_appointment"], (vec!["move_appointment", UNDO], vec![])),
            (
                json!({ "tools": ["request_callback"] }),
                vec!["request_callback"],
                (vec!["request_callback"], vec![WITHDRAW]),
            ),
            (
                json!({ "http_tools": [own(json!({ "tool": "unorder" })), back.clone()] }),
                vec!["order"],
                (vec!["order", UNDO], vec![]),
            ),
            (json!({ "http_tools": [own(json!(false))] }), vec!["order"], (vec!["order"], vec![])),
            // A tool of the client's own with that name does something else.
            (
                json!({ "http_tools": [{ "name": "cancel_return", "description": "", "schema": {}, "url": "https://x" }] }),
                vec!["start_return"],
                (vec!["start_return"], vec![]),
            ),
        ] {
            let expected = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(names(&agent(&settings), &offered), (expected(told), expected(only)), "{settings}");
        }
    }

    #[test]
    fn what_nothing_undoes_is_told_to_be_so() {
        let settings = json!({
            "shop": {}, "customers": { "remember_days": 1 },
            "calendar": { "services": [{ "name": "Cut", "minutes": 30 }], "hours": { "mon": ["10:00-13:00"] } },
            "http_tools": [
                { "name": "final", "description": "", "schema": {}, "url": "https://x", "undo": false },
                { "name": "open", "description": "", "schema": {}, "url": "https://x" },
            ],
        });
        let agent = agent(&settings);
        let names = agent.tools.iter().map(|name| &**name);
        let built_in = names.filter_map(|name| {
            let spec = super::super::appointments::spec(name, &agent);
            spec.or_else(|| super::super::customers::spec(name, &agent))
                .or_else(|| super::super::shopify::spec(name, &agent))
        });
        let all = built_in.chain(agent.http_tools.iter().map(super::super::http::spec));
        let lasting: Vec<String> = all.filter(|spec| spec.lasting).map(|spec| spec.tool.name.to_string()).collect();
        assert_eq!(lasting, ["forget_caller", "cancel_order", "final"]);
    }

    #[test]
    fn which_tool_undoes_a_clients_own_is_checked_when_it_is_saved() {
        let tool = |name: &str, method: &str, undo: Value| json!({ "name": name, "description": "", "schema": {}, "url": "https://x", "method": method, "undo": undo });
        let by = |name: &str| json!({ "tool": name });
        for (tools, sound) in [
            (vec![tool("a", "POST", by("b")), tool("b", "POST", Value::Null)], true),
            (vec![tool("a", "POST", json!(false))], true),
            (vec![tool("a", "POST", json!(true))], false),
            (vec![tool("a", "POST", by("a"))], false),
            (vec![tool("a", "POST", by("c")), tool("b", "POST", Value::Null)], false),
            (vec![tool("a", "POST", by("b")), tool("b", "GET", Value::Null)], false),
            (vec![tool("a", "GET", by("b")), tool("b", "POST", Value::Null)], false),
            (vec![tool("a", "POST", json!({ "tool": "b", "when": 1 })), tool("b", "POST", Value::Null)], false),
            (vec![tool(UNDO, "POST", Value::Null)], false),
        ] {
            let settings = json!({ "http_tools": tools });
            let read = crate::agents::read(AgentId::new(), 1, "shop", &settings, &CallLimits::default());
            assert_eq!(read.is_ok(), sound, "{settings}: {:?}", read.err());
        }
    }
}
