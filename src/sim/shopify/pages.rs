//! Pages of a connection: `first` and `after`, or `last` and `before`.

use serde_json::{Value, json};

use super::problem::Problem;
use super::queries::{Arguments, given};
use crate::sim::audio::{base64_decode, base64_encode};

/// Nodes a page can hold.
const PAGE_MAX: u64 = 250;

/// The page that was asked for, as the connection's fields.
///
/// # Errors
/// Neither or both sizes, a size that is too large, a cursor that is none.
pub(crate) fn page(nodes: Vec<Value>, arguments: &Arguments) -> Result<Value, Problem> {
    let bad = |message: &str| Problem::coded("BAD_REQUEST", message);
    let (first, last) = (given(arguments, "first").as_i64(), given(arguments, "last").as_i64());
    let size = match (first, last) {
        (None, None) => return Err(bad("you must provide one of first or last")),
        (Some(_), Some(_)) => return Err(bad("providing both first and last is not supported")),
        (Some(size), None) | (None, Some(size)) => u64::try_from(size).ok().filter(|size| *size <= PAGE_MAX),
    };
    let size = size.ok_or_else(|| bad("first and last must be between 0 and 250"))?;
    let size = usize::try_from(size).unwrap_or_default();
    let (mut start, mut end) = (0, nodes.len());
    if let Some(after) = given(arguments, "after").as_str() {
        start = position(&nodes, after).ok_or_else(|| bad(&format!("Invalid cursor: {after}")))? + 1;
    }
    if let Some(before) = given(arguments, "before").as_str() {
        end = position(&nodes, before).ok_or_else(|| bad(&format!("Invalid cursor: {before}")))?;
    }
    let total = nodes.len();
    end = end.max(start);
    if first.is_some() {
        end = end.min(start + size)
    } else {
        start = start.max(end.saturating_sub(size))
    }
    let cut: Vec<Value> = nodes.into_iter().skip(start).take(end - start).collect();
    let cursors: Vec<String> = cut.iter().enumerate().map(|(at, node)| cursor(node, start + at)).collect();
    let edges: Vec<Value> =
        cut.iter().zip(&cursors).map(|(node, cursor)| json!({"cursor": cursor, "node": node})).collect();
    Ok(json!({
        "edges": edges, "nodes": cut,
        "pageInfo": {"hasNextPage": end < total, "hasPreviousPage": start > 0,
            "startCursor": cursors.first(), "endCursor": cursors.last()},
    }))
}

/// A cursor names the node, so that what is added meanwhile shifts nothing.
fn cursor(node: &Value, at: usize) -> String {
    let id = node["@"].as_str().or(node["id"].as_str()).map_or_else(|| at.to_string(), str::to_owned);
    base64_encode(json!({"last_id": id}).to_string().as_bytes())
}

fn position(nodes: &[Value], wanted: &str) -> Option<usize> {
    base64_decode(wanted).ok()?;
    nodes.iter().enumerate().position(|(at, node)| cursor(node, at) == wanted)
}
