//! The tools of a shop as the engine sees them.

use std::time::Duration;

use caly_actors::domain::Agent;
use caly_actors::ports::{ActionSpec, SameAction, ToolSpec};
use serde_json::{Value, json};

use crate::actions::ONCE;

/// The tools of this room, in the order they are offered.
pub const TOOLS: [&str; 8] = [
    "find_orders",
    "order_status",
    "refund_status",
    "cancel_order",
    "change_address",
    "start_return",
    "find_products",
    "draft_order",
];
/// What reads is told within this time, or not at all.
const READ: Duration = Duration::from_secs(8);
/// What changes something may have to wait for the shop to carry it out.
const WRITE: Duration = Duration::from_secs(20);

/// Why goods come back, in the shop's own words and in ours.
pub(super) const REASONS: [(&str, &str); 7] = [
    ("defective", "DEFECTIVE"),
    ("wrong_item", "WRONG_ITEM"),
    ("not_as_described", "NOT_AS_DESCRIBED"),
    ("too_small", "SIZE_TOO_SMALL"),
    ("too_large", "SIZE_TOO_LARGE"),
    ("unwanted", "UNWANTED"),
    ("other", "OTHER"),
];

/// The tool of an agent that has a shop.
pub(in crate::actions) fn spec(name: &str, agent: &Agent) -> Option<ActionSpec> {
    agent.shop.as_ref()?;
    let (description, properties, required) = described(name)?;
    let schema = json!({ "type": "object", "properties": properties, "required": required });
    let tool = ToolSpec { name: name.into(), description: description.into(), schema: schema.to_string().into() };
    let writes = writes(name);
    let same = SameAction::PerChange;
    Some(ActionSpec {
        tool,
        deadline: deadline(name),
        retry: ONCE,
        same,
        writes,
        confirm: writes,
        lasting: name == "cancel_order",
        offered: true,
    })
}

fn writes(name: &str) -> bool {
    matches!(name, "cancel_order" | "change_address" | "start_return" | "draft_order")
}

/// Longest time for all of it.
pub(super) fn deadline(name: &str) -> Duration {
    if writes(name) { WRITE } else { READ }
}

fn described(name: &str) -> Option<(&'static str, Value, Vec<&'static str>)> {
    let text = |what: &str| json!({ "type": "string", "description": what });
    let number = || text("as the caller says it, as 1042");
    Some(match name {
        "find_orders" => (
            "The caller's latest orders. Without arguments: those placed with the number they ring from.",
            with_facts(json!({ "order_number": number() })),
            vec![],
        ),
        "order_status" => (
            "Where an order is and when it comes. Without a number: the caller's latest order.",
            with_facts(json!({ "order_number": number() })),
            vec![],
        ),
        "refund_status" => (
            "What was refunded of an order, when and how. Refunds are made by the shop's people: for one that is wished for offer a \
             person. Without a number: the caller's latest order with a refund.",
            with_facts(json!({ "order_number": number() })),
            vec![],
        ),
        "cancel_order" => (
            "Cancel an order of the caller that has not been sent. It answers what to read back before anything is changed.",
            with_facts(json!({ "order_number": number(), "reason": text("in a few words") })),
            vec!["order_number"],
        ),
        "change_address" => (
            "Send an order that has not been sent to another address, or to another person at the same one (then the name alone). \
             It answers what to read back before anything is changed.",
            with_facts(json!({
                "order_number": number(),
                "address1": text("house and street"),
                "address2": text("area or landmark"),
                "city": text("city"),
                "province_code": text("state, as MH, if the caller tells it or is asked for it"),
                "zip": text("PIN code of the new address"),
                "name": text("for whom, if for somebody else"),
            })),
            vec!["order_number"],
        ),
        "start_return" => (
            "Ask the shop to take an order back, or some of it. It answers what to read back before anything is changed.",
            with_facts(json!({
                "order_number": number(),
                "items": { "type": "array", "items": { "type": "string" }, "description": "names of what comes back; all if left out" },
                "reason": { "type": "string", "enum": REASONS.map(|(ours, _)| ours) },
            })),
            vec!["order_number"],
        ),
        "find_products" => (
            "What the shop sells, with price and stock.",
            json!({ "words": text("a few words of its name") }),
            vec!["words"],
        ),
        "draft_order" => (
            "Note an order for the shop, which sends the bill. It answers what to read back before anything is noted.",
            json!({ "items": { "type": "array", "items": { "type": "object", "properties": {
                "product": text("its name"), "variant": text("size or colour, if there are several"),
                "quantity": { "type": "integer" } }, "required": ["product", "quantity"] } } }),
            vec!["items"],
        ),
        _ => return None,
    })
}

/// What a caller may prove with that an order is theirs, if it was not placed with the number they ring from.
fn with_facts(mut properties: Value) -> Value {
    let only = "on the order, only as the caller tells it; needed if the order is not under the number they ring from";
    properties["email"] = json!({ "type": "string", "description": format!("e-mail address {only}") });
    properties["pin_code"] = json!({ "type": "string", "description": format!("PIN code {only}") });
    properties
}
