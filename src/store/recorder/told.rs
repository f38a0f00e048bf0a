//! What the feed says of an entry: who, what and when, never what was said, and no whole number.

use caly_actors::domain::mask_digits;
use serde_json::{Value, json};

use super::entry::{Body, Entry};
use crate::store::facts::{told_of_carrier, told_of_recording};
use crate::store::feed::{Subject, Told};

/// The events of entries that were just written, in their order.
pub(super) fn of(entries: &[&Entry]) -> Vec<Told> {
    entries.iter().filter_map(|entry| event(entry)).collect()
}

fn event(entry: &Entry) -> Option<Told> {
    match &entry.body {
        Body::Carrier(fact) => Some(told_of_carrier(fact)),
        Body::Recording(fact) => Some(told_of_recording(fact)),
        _ => journal(entry),
    }
}

fn journal(entry: &Entry) -> Option<Told> {
    let call = entry.call()?.0;
    let mut turn = None;
    let (kind, body) = match &entry.body {
        Body::Admitted(body) => (
            "call_admitted",
            json!({
                "carrier": body.carrier,
                "direction": body.direction,
                "caller": body.caller.as_deref().map(mask_digits),
                "called": body.called.as_deref().map(mask_digits),
                "agent_version": body.agent_version,
            }),
        ),
        Body::Answered { rate, .. } => ("call_answered", json!({ "rate": rate })),
        Body::Turn(body) => {
            turn = Some(body.id);
            ("turn", turn_body(body))
        }
        Body::Intent { turn, intent, confidence, entities, at_ms, .. } => (
            "intent",
            json!({
                "turn": turn,
                "intent": intent,
                "confidence": confidence,
                "entities": kinds_of(entities),
                "at_ms": at_ms,
            }),
        ),
        Body::Action(body) => (
            "action",
            json!({
                "action": body.id,
                "name": body.name,
                "state": body.state,
                "attempts": body.attempts,
                "changed_ms": body.changed_ms,
            }),
        ),
        Body::Event { name, at_ms, .. } => ("event", json!({ "name": name, "at_ms": at_ms })),
        Body::Decided { after, .. } => ("call_decided", json!({ "after_stream": after })),
        Body::Ended(body) => (
            "call_ended",
            json!({
                "end_reason": body.reason,
                "duration_ms": body.at_ms,
                "cost_micro_usd": body.usage[6],
                "degraded": body.degraded,
            }),
        ),
        Body::TakenUp { at_ms, .. } => ("call_taken_up", json!({ "at_ms": at_ms })),
        // The cost is told with the end; who is whose customer, and whom nobody rings, is told to nobody.
        Body::Spent { .. }
        | Body::Met(_)
        | Body::DoNotCall { .. }
        | Body::Carrier(_)
        | Body::Recording(_)
        | Body::Audit(_) => return None,
    };
    Some(Told { entry: entry.id, kind, of: Subject::Call(call), turn, body, at: entry.at })
}

fn turn_body(body: &super::entry::TurnBody) -> Value {
    json!({
        "turn": body.id,
        "speaker": body.speaker,
        "characters": body.text.chars().count(),
        "unheard_characters": body.unheard.chars().count(),
        "interrupted": body.interrupted,
        "started_ms": body.started_ms,
        "ended_ms": body.ended_ms,
        "latency_ms": body.latency_ms,
    })
}

/// Which kinds of thing were named, not which things.
fn kinds_of(entities: &Value) -> Vec<&str> {
    let all = entities.as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().filter_map(|entity| entity["kind"].as_str()).collect()
}
