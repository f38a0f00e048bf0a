//! What a tool's result comes to (revision 2025-06-18, "Tools", "Tool Result" and "Error Handling").

use caly_actors::domain::McpTool;
use caly_actors::ports::{ActionError, ActionOutput};
use serde_json::{Value, json};

use super::line::Fault;
use super::wire::{TEXT_MAX, plain};

/// Longest answer told to the engine, in bytes.
const ANSWER_TOLD_MAX: usize = 8 * 1024;

/// A result as the engine is told it.
pub(super) fn told(tool: &McpTool, result: &Value) -> Result<ActionOutput, ActionError> {
    let texts: Vec<&str> = items(result, "text").filter_map(|item| item["text"].as_str()).collect();
    let structured = result.get("structuredContent").filter(|value| value.is_object());
    if result["isError"] == true {
        let whole = texts.join(" ");
        let why = if whole.trim().is_empty() { structured.map(Value::to_string).unwrap_or_default() } else { whole };
        let why = plain(&why, TEXT_MAX);
        return Err(ActionError::Refused(if why.is_empty() { "it was refused".to_owned() } else { why }));
    }
    if structured.is_none() && !result["content"].is_array() {
        return Err(error(tool, Fault::Lost("its answer could not be read".to_owned())));
    }
    let value = match (structured, texts.as_slice()) {
        (Some(structured), _) => structured.clone(),
        (None, []) => json!({ "done": true }),
        // Servers of the older revision put JSON into a text.
        (None, [one]) => serde_json::from_str(one).ok().filter(Value::is_object).unwrap_or_else(|| json!(one)),
        (None, several) => json!(several.join("\n")),
    };
    let mut output = value.to_string();
    if output.len() > ANSWER_TOLD_MAX {
        output = json!({ "cut_short": &output[..output.floor_char_boundary(ANSWER_TOLD_MAX)] }).to_string();
    }
    Ok(ActionOutput { output: output.into(), change: None, undo: None })
}

fn items<'a>(result: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    result["content"].as_array().into_iter().flatten().filter(move |item| item["type"] == kind)
}

/// What a fault means for an action: what may have been done is unknown, unless there was nothing to do.
pub(super) fn error(tool: &McpTool, fault: Fault) -> ActionError {
    match fault {
        Fault::Refused(why) => ActionError::Refused(why),
        Fault::Rests => ActionError::Away(fault.to_string()),
        Fault::Away(_) | Fault::SessionLost(_) => ActionError::Unavailable(fault.to_string()),
        Fault::Lost(_) | Fault::Broken | Fault::Late if tool.writes => ActionError::Unknown(fault.to_string()),
        Fault::Lost(_) | Fault::Broken | Fault::Late => ActionError::Unavailable(fault.to_string()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use std::time::Duration;

    fn tool(writes: bool) -> McpTool {
        McpTool {
            name: "crm_find".into(),
            listed_as: "find".into(),
            deadline: Duration::from_secs(8),
            writes,
            confirm: false,
            repeatable: false,
        }
    }

    #[test]
    fn the_best_of_a_result_is_told() {
        let text = |text: &str| json!({ "type": "text", "text": text });
        for (result, told_as) in [
            (json!({ "content": [text("Meera, Pune")] }), json!("Meera, Pune")),
            (json!({ "content": [text("a"), { "type": "image", "data": "x" }, text("b")] }), json!("a\nb")),
            (json!({ "content": [text("{\"name\": \"Meera\"}")] }), json!({ "name": "Meera" })),
            (json!({ "content": [text("42")] }), json!("42")),
            (json!({ "content": [text("x")], "structuredContent": { "a": 1 } }), json!({ "a": 1 })),
            (json!({ "structuredContent": { "a": 1 }, "isError": false }), json!({ "a": 1 })),
            (json!({ "content": [] }), json!({ "done": true })),
            (json!({ "content": [{ "type": "image", "data": "x" }] }), json!({ "done": true })),
        ] {
            let output = told(&tool(true), &result).unwrap().output;
            assert_eq!(serde_json::from_str::<Value>(&output).unwrap(), told_as, "{result}");
        }
        let long = told(&tool(false), &json!({ "content": [text(&"\u{0915}".repeat(9000))] })).unwrap().output;
        assert!(long.starts_with("{\"cut_short\":") && long.len() < 2 * ANSWER_TOLD_MAX, "{}", long.len());
    }

    #[test]
    fn an_error_of_the_tool_is_a_refusal_in_its_words() {
        let refused = |result: Value| match told(&tool(true), &result) {
            Err(ActionError::Refused(why)) => why,
            other => format!("{other:?}"),
        };
        let text = json!([{ "type": "text", "text": "no lead\n of this\u{0} name" }]);
        assert_eq!(refused(json!({ "content": text, "isError": true })), "no lead of this name");
        assert_eq!(refused(json!({ "content": [], "isError": true })), "it was refused");
        assert_eq!(refused(json!({ "isError": true, "structuredContent": { "why": 1 } })), "{\"why\":1}");
        let long = json!([{ "type": "text", "text": "x".repeat(9000) }]);
        assert_eq!(refused(json!({ "content": long, "isError": true })).len(), TEXT_MAX);
    }

    #[test]
    fn what_may_have_been_done_is_unknown_only_where_there_was_something_to_do() {
        let lost = || Fault::Lost("gone".to_owned());
        assert!(matches!(error(&tool(true), lost()), ActionError::Unknown(_)));
        assert!(matches!(error(&tool(true), Fault::Late), ActionError::Unknown(_)));
        assert!(matches!(error(&tool(false), lost()), ActionError::Unavailable(_)));
        assert!(matches!(error(&tool(true), Fault::Away("busy")), ActionError::Unavailable(_)));
        assert!(matches!(error(&tool(true), Fault::SessionLost(String::new())), ActionError::Unavailable(_)));
        assert!(matches!(error(&tool(true), Fault::Refused(String::new())), ActionError::Refused(_)));
        assert!(matches!(told(&tool(true), &json!({})), Err(ActionError::Unknown(_))), "no result at all");
    }
}
