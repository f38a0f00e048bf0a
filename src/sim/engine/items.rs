//! The conversation of a simulated session: items, their checks, and what a client may do to them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::schema::{Checked, Refusal, join, object, only, text};

/// Items kept with their sound, newest first; older ones keep their words.
const SOUNDS_KEPT: usize = 20;

/// One item of the conversation.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) id: String,
    /// As echoed on the wire, without audio bytes.
    pub(crate) wire: Value,
    /// What was said, as the engine understood it.
    pub(crate) words: String,
    /// Language of a recognised clip.
    pub(crate) language: Option<String>,
    /// Length of its audio.
    pub(crate) audio_ms: u64,
    /// Its audio in the session's format, for retrieval.
    pub(crate) sound: Option<Arc<[u8]>>,
    /// It is the silence of an idle timeout.
    pub(crate) silence: bool,
}

impl Item {
    pub(crate) fn new(id: String, wire: Value) -> Self {
        let words = wire["content"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|part| part["text"].as_str().or(part["transcript"].as_str()))
            .collect::<Vec<_>>()
            .join(" ");
        Self { id, wire, words, language: None, audio_ms: 0, sound: None, silence: false }
    }

    pub(crate) fn kind(&self) -> &str {
        self.wire["type"].as_str().unwrap_or_default()
    }

    pub(crate) fn role(&self) -> &str {
        self.wire["role"].as_str().unwrap_or_default()
    }

    pub(crate) fn is_user(&self) -> bool {
        self.kind() == "message" && self.role() == "user"
    }

    pub(crate) fn is_assistant(&self) -> bool {
        self.kind() == "message" && self.role() == "assistant"
    }
}

/// All items, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    items: Vec<Item>,
}

impl Conversation {
    pub(crate) fn items(&self) -> &[Item] {
        &self.items
    }

    pub(crate) fn last_id(&self) -> Option<String> {
        self.items.last().map(|item| item.id.clone())
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Item> {
        self.items.iter_mut().find(|item| item.id == id)
    }

    pub(crate) fn push(&mut self, item: Item) {
        self.items.push(item);
        if let Some(old) = self.items.len().checked_sub(SOUNDS_KEPT + 1) {
            self.items[old].sound = None;
        }
    }

    /// Puts a client's item in its place; returns the id before it.
    pub(crate) fn insert(&mut self, item: Item, previous: Option<&str>) -> Checked<Option<String>> {
        if self.items.iter().any(|other| other.id == item.id) {
            let message = format!("Error adding item: an item with id '{}' already exists.", item.id);
            return Err(Refusal::new("invalid_value", message, Some("item.id")));
        }
        if item.kind() == "function_call_output" {
            let call = &item.wire["call_id"];
            if !self.items.iter().any(|other| other.kind() == "function_call" && other.wire["call_id"] == *call) {
                let message = format!("Tool call ID {call} not found in conversation.");
                return Err(Refusal::new("invalid_tool_call_id", message, Some("item.call_id")));
            }
        }
        let at = match previous {
            None => self.items.len(),
            Some("root") => 0,
            Some(id) => {
                let found = self.items.iter().position(|other| other.id == id);
                found.map(|at| at + 1).ok_or_else(|| {
                    let message = format!("Error adding item: the previous item with id '{id}' does not exist.");
                    Refusal::new("invalid_value", message, Some("previous_item_id"))
                })?
            }
        };
        let before = at.checked_sub(1).map(|index| self.items[index].id.clone());
        self.items.insert(at, item);
        Ok(before)
    }

    /// The item with its sound.
    pub(crate) fn retrieve(&self, id: &str) -> Checked<Value> {
        let item = self.items.iter().find(|item| item.id == id).ok_or_else(|| absent("retriev", id, "retrieve"))?;
        let mut wire = item.wire.clone();
        if let (Some(sound), Some(part)) = (&item.sound, wire["content"].get_mut(0)) {
            part["audio"] = json!(crate::sim::audio::base64_encode(sound));
        }
        Ok(wire)
    }

    pub(crate) fn delete(&mut self, id: &str) -> Checked {
        let at = self.items.iter().position(|item| item.id == id).ok_or_else(|| absent("delet", id, "delete"))?;
        self.items.remove(at);
        Ok(())
    }

    /// Cuts the assistant's audio; the words go too, as the server no longer knows which were heard.
    pub(crate) fn truncate(&mut self, id: &str, content_index: &Value, end: &Value) -> Checked<u64> {
        let Some(end_ms) = end.as_u64() else {
            return Err(Refusal::value("audio_end_ms", end, "a non-negative integer"));
        };
        let item = self.items.iter_mut().find(|item| item.id == id).ok_or_else(|| absent("truncat", id, "truncate"))?;
        if !item.is_assistant() || item.audio_ms == 0 || end_ms == 0 {
            let message = "Only model output audio messages can be truncated.";
            return Err(Refusal::new("unsupported_content_type", message, Some("item_id")));
        }
        if content_index.as_u64() != Some(0) {
            return Err(Refusal::value("content_index", content_index, "0, the only content part"));
        }
        if end_ms > item.audio_ms {
            let message = format!("Audio content of {}ms is already shorter than {end_ms}ms", item.audio_ms);
            return Err(Refusal::new("invalid_value", message, Some("audio_end_ms")));
        }
        item.audio_ms = end_ms;
        item.words.clear();
        if let Some(part) = item.wire["content"].get_mut(0) {
            part["transcript"] = Value::Null;
        }
        Ok(end_ms)
    }
}

fn absent(stem: &str, id: &str, verb: &str) -> Refusal {
    let code = match verb {
        "retrieve" => "item_retrieve_invalid_item_id",
        "delete" => "item_delete_invalid_item_id",
        _ => "item_truncate_invalid_item_id",
    };
    Refusal::new(code, format!("Error {stem}ing item: the item with id '{id}' does not exist."), Some("item_id"))
}

/// Checks a client's item and gives it an id and a status.
pub(crate) fn checked(value: &Value, fresh_id: String) -> Checked<Item> {
    let map = object(value, "item")?;
    match text(map, "item", "type")? {
        "message" => {
            only(map, "item", &["id", "object", "type", "status", "role", "content"])?;
            message(value)?;
        }
        "function_call" => {
            only(map, "item", &["id", "object", "type", "status", "name", "arguments", "call_id"])?;
            text(map, "item", "name")?;
            text(map, "item", "arguments")?;
        }
        "function_call_output" => {
            only(map, "item", &["id", "object", "type", "status", "call_id", "output"])?;
            text(map, "item", "call_id")?;
            text(map, "item", "output")?;
        }
        _ => {
            let wanted = "one of message, function_call, function_call_output";
            return Err(Refusal::value("item.type", &map["type"], wanted));
        }
    }
    let id = match map.get("id") {
        None | Some(Value::Null) => fresh_id,
        Some(Value::String(id)) if (1..=64).contains(&id.len()) => id.clone(),
        Some(other) => return Err(Refusal::value("item.id", other, "a string of at most 64 characters")),
    };
    let mut wire = value.clone();
    wire["id"] = json!(id);
    wire["object"] = json!("realtime.item");
    wire["status"] = json!("completed");
    Ok(Item::new(id, wire))
}

fn message(value: &Value) -> Checked {
    let map = object(value, "item")?;
    let role = text(map, "item", "role")?;
    let allowed: &[&str] = match role {
        "user" => &["input_text", "input_audio", "input_image"],
        "assistant" => &["output_text"],
        "system" => &["input_text"],
        _ => return Err(Refusal::value("item.role", &map["role"], "one of user, assistant, system")),
    };
    let content = map.get("content").ok_or_else(|| Refusal::missing("item.content"))?;
    let parts = content.as_array().ok_or_else(|| Refusal::value("item.content", content, "an array"))?;
    for (index, part) in parts.iter().enumerate() {
        let at = format!("item.content[{index}]");
        let fields = object(part, &at)?;
        let kind = text(fields, &at, "type")?;
        if !allowed.contains(&kind) {
            let wanted = format!("one of {} for the role {role}", allowed.join(", "));
            return Err(Refusal::value(&join(&at, "type"), &fields["type"], &wanted));
        }
        match kind {
            "input_text" | "output_text" => {
                only(fields, &at, &["type", "text"])?;
                text(fields, &at, "text")?;
            }
            "input_audio" => {
                only(fields, &at, &["type", "audio", "transcript"])?;
                text(fields, &at, "audio")?;
            }
            _ => only(fields, &at, &["type", "image_url", "detail"])?,
        }
    }
    Ok(())
}
