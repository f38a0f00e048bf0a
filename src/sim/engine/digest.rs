//! What the simulated engine writes when it is asked, beside the conversation, what a text comes to: the beginning of each of its
//! lines, none twice, within the tokens it may use. A real one is cleverer, and as little may be relied on.

use serde_json::Value;

use super::items::Item;

/// Words kept of a line, and characters of what is a digest already.
const WORDS: usize = 14;
/// Characters of a token, as in the usage that is told.
const TOKEN: usize = 4;

/// The digest of the user's words in `items`, in at most so many tokens.
pub(crate) fn digest(items: &[Item], max_tokens: &Value) -> String {
    let room = max_tokens.as_u64().unwrap_or(1_000) as usize * TOKEN;
    let mut parts: Vec<String> = Vec::new();
    let mut length = 0;
    for line in items.iter().filter(|item| item.is_user()).flat_map(|item| item.words.lines()) {
        let part = part(line, room / 2);
        if part.is_empty() || parts.contains(&part) || length + part.len() + 2 > room {
            continue;
        }
        length += part.len() + 2;
        parts.push(part);
    }
    parts.join("; ")
}

/// A line's texts, without the marks of JSON; an earlier digest, which has many parts, is kept to its half of the room.
fn part(line: &str, room: usize) -> String {
    let text = match serde_json::from_str::<Value>(line) {
        Ok(Value::Object(map)) => map.values().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        _ => line.to_owned(),
    };
    if text.contains("; ") {
        return text.chars().take(room).collect();
    }
    text.split_whitespace().take(WORDS).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_digest_has_every_line_once_and_what_a_former_one_had_and_keeps_to_its_tokens() {
        let text = "{\"earlier_summary\":\"order 1001; wants it sooner\"}\n{\"caller\":\"mera order\"}\n{\"caller\":\"mera order\"}";
        let items = |text: &str| {
            [Item::new(
                "i".into(),
                json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}),
            )]
        };
        assert_eq!(digest(&items(text), &json!(100)), "order 1001; wants it sooner; mera order");
        let long = (0..500).map(|n| format!("{{\"caller\":\"line {n}\"}}\n")).collect::<String>();
        let short = digest(&items(&long), &json!(50));
        assert!(short.starts_with("line 0; line 1") && short.len() <= 200, "{short}");
    }
}
