//! JSON-RPC 2.0 as the Model Context Protocol uses it. Texts of a server are a third party's: [`plain`] bounds them.

use serde_json::{Value, json};

/// The revisions spoken, the one that is asked for first.
pub(super) const REVISIONS: [&str; 2] = ["2025-06-18", "2025-03-26"];

/// Longest text of a server that is told or logged.
pub(super) const TEXT_MAX: usize = 500;

pub(super) fn request(id: u64, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

pub(super) fn initialize(id: u64) -> Value {
    let about = json!({ "name": "caly", "title": "Caly", "version": env!("CARGO_PKG_VERSION") });
    request(id, "initialize", &json!({ "protocolVersion": REVISIONS[0], "capabilities": {}, "clientInfo": about }))
}

pub(super) fn initialized() -> Value {
    json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })
}

pub(super) fn cancelled(id: u64) -> Value {
    let params = json!({ "requestId": id, "reason": "it took too long" });
    json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params })
}

/// What a server sends while a request waits.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Heard {
    /// The answer.
    Result(Value),
    /// The answer: it was refused, or failed.
    Error { code: i64, message: String },
    /// The server asks something itself; this is what it is answered.
    Asked(Value),
}

/// What of a message concerns the request of this id: 2025-03-26 may send several messages as one array.
pub(super) fn hear(message: Value, id: u64) -> Vec<Heard> {
    match message {
        Value::Array(several) => several.into_iter().filter_map(|one| hear_one(one, id)).collect(),
        one => hear_one(one, id).into_iter().collect(),
    }
}

fn hear_one(mut message: Value, id: u64) -> Option<Heard> {
    let theirs = message.get("id").filter(|id| id.is_string() || id.is_number()).cloned()?;
    if let Some(method) = message["method"].as_str() {
        return Some(Heard::Asked(answer(&theirs, method)));
    }
    // Some servers give numbers back as texts.
    let ours = theirs == id || theirs.as_str().is_some_and(|text| text == id.to_string());
    if !ours {
        return None;
    }
    if let Some(error) = message.get("error") {
        let told = plain(error["message"].as_str().unwrap_or_default(), TEXT_MAX);
        return Some(Heard::Error { code: error["code"].as_i64().unwrap_or_default(), message: told });
    }
    message.get_mut("result").map(|result| Heard::Result(result.take()))
}

/// Nothing was offered to servers but that they may ask whether somebody is there.
fn answer(id: &Value, method: &str) -> Value {
    match method {
        "ping" => json!({ "jsonrpc": "2.0", "id": id, "result": {} }),
        _ => json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32601, "message": "Method not found" } }),
    }
}

/// One line of at most so many characters, without what is not seen: control characters, marks that turn the direction of a
/// text round, and the tags in which instructions can be hidden.
pub(super) fn plain(text: &str, characters_max: usize) -> String {
    let unseen = |c: &char| {
        matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
            || ('\u{e0000}'..='\u{e0fff}').contains(c)
    };
    let seen = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
    let kept = seen.filter(|c| !c.is_control() && !unseen(c));
    let mut plain = String::new();
    for c in kept.skip_while(|c| *c == ' ').take(characters_max) {
        if c != ' ' || !plain.ends_with(' ') {
            plain.push(c);
        }
    }
    plain.truncate(plain.trim_end().len());
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_concerns_the_request_is_heard() {
        let result = Heard::Result(json!({ "a": 1 }));
        let refused = |code, message: &str| Heard::Error { code, message: message.to_owned() };
        let pong = Heard::Asked(json!({ "jsonrpc": "2.0", "id": "p", "result": {} }));
        let unknown = json!({ "jsonrpc": "2.0", "id": 3, "error": { "code": -32601, "message": "Method not found" } });
        for (message, heard) in [
            (json!({ "jsonrpc": "2.0", "id": 7, "result": { "a": 1 } }), vec![result.clone()]),
            (json!({ "jsonrpc": "2.0", "id": "7", "result": { "a": 1 } }), vec![result.clone()]),
            (json!({ "jsonrpc": "2.0", "id": 8, "result": { "a": 1 } }), vec![]),
            (json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32700, "message": "x" } }), vec![]),
            (
                json!({ "jsonrpc": "2.0", "id": 7, "error": { "code": -32602, "message": "no\u{0} such\ntool" } }),
                vec![refused(-32602, "no such tool")],
            ),
            (json!({ "jsonrpc": "2.0", "id": 7, "error": "odd" }), vec![refused(0, "")]),
            (json!({ "jsonrpc": "2.0", "id": 7 }), vec![]),
            (json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": {} }), vec![]),
            (json!({ "jsonrpc": "2.0", "id": "p", "method": "ping" }), vec![pong.clone()]),
            (json!({ "jsonrpc": "2.0", "id": 3, "method": "sampling/createMessage" }), vec![Heard::Asked(unknown)]),
            (
                json!([{ "id": "p", "method": "ping" }, { "id": 9, "result": {} }, { "id": 7, "result": { "a": 1 } }]),
                vec![pong, result],
            ),
            (json!("text"), vec![]),
        ] {
            assert_eq!(hear(message.clone(), 7), heard, "{message}");
        }
    }

    #[test]
    fn a_third_partys_text_is_one_bounded_line_without_what_is_not_seen() {
        for (text, expected) in [
            ("Finds a lead", "Finds a lead"),
            ("  Finds\r\n\ta   lead \u{0} ", "Finds a lead"),
            ("a\u{1b}[31mb\u{202e}c\u{200b}d\u{e0041}e", "a[31mbcde"),
            ("\u{0915}\u{094d}\u{200d}\u{0937}", "\u{0915}\u{094d}\u{200d}\u{0937}"),
            ("", ""),
        ] {
            assert_eq!(plain(text, 100), expected, "{text:?}");
        }
        assert_eq!(plain(&"\u{0915}".repeat(30), 10).chars().count(), 10);
    }
}
