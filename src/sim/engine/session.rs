//! One simulated Realtime session as a plain machine: text in, time as an argument, text out. It knows no socket.
//!
//! Event orders, checks and sentences follow the GA protocol; what the client does wrong is refused *and* complained about.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::input::Input;
use super::items::{self, Conversation, Item};
use super::response::{Format, Running};
use super::schema::{self, Checked, Past, Refusal};
use super::{EngineOptions, Faults, Shared};
use crate::sim::Dice;

/// What the socket should do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Out {
    Text(String),
    Close(u16, String),
    /// Cut the connection without a word.
    Drop,
}

/// Client event types and the fields each may have besides `type` and `event_id`.
const EVENTS: &[(&str, &[&str])] = &[
    ("session.update", &["session"]),
    ("input_audio_buffer.append", &["audio"]),
    ("input_audio_buffer.commit", &[]),
    ("input_audio_buffer.clear", &[]),
    ("conversation.item.create", &["item", "previous_item_id"]),
    ("conversation.item.retrieve", &["item_id"]),
    ("conversation.item.truncate", &["item_id", "content_index", "audio_end_ms"]),
    ("conversation.item.delete", &["item_id"]),
    ("response.create", &["response"]),
    ("response.cancel", &["response_id"]),
];

/// Refusals that a correct client meets too, when its event crosses one of the server's on the wire.
const RACES: &[&str] = &["conversation_already_has_active_response", "response_cancel_not_active"];

/// The state of a session.
pub(crate) struct Session {
    pub(super) options: Arc<EngineOptions>,
    pub(super) shared: Shared,
    pub(super) faults: Faults,
    pub(super) conversation_id: String,
    pub(super) config: Value,
    pub(super) conversation: Conversation,
    pub(super) input: Input,
    pub(super) running: Vec<Running>,
    /// Events with a time of their own: transcriptions.
    pub(super) later: Vec<(Duration, Value)>,
    pub(super) dice: Dice,
    pub(super) turns: u32,
    pub(super) spoke: bool,
    pub(super) context_before: (u64, u64),
    pub(super) idle_at: Option<Duration>,
    surprised: bool,
    stalled: bool,
    over: bool,
    out: Vec<Out>,
}

impl Session {
    pub(crate) fn new(options: Arc<EngineOptions>, shared: Shared, model: &str, number: u64) -> Self {
        let mut dice = Dice::new(options.seed ^ number.wrapping_mul(0x5851_f42d_4c95_7f2d));
        let id = format!("sess_{}", dice.word(24));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
        let expires_at = now + options.faults.max_session.unwrap_or(Duration::from_secs(3600)).as_secs();
        let applies = options.faults.sessions.is_none_or(|sessions| number <= u64::from(sessions));
        let faults = if applies { options.faults.clone() } else { Faults::default() };
        let config = schema::fresh_session(&id, model, expires_at);
        let conversation_id = format!("conv_{}", dice.word(20));
        Self {
            options,
            shared,
            faults,
            conversation_id,
            input: Input::new(&config),
            config,
            conversation: Conversation::default(),
            running: Vec::new(),
            later: Vec::new(),
            dice,
            turns: 0,
            spoke: false,
            context_before: (0, 0),
            idle_at: None,
            surprised: false,
            stalled: false,
            over: false,
            out: Vec::new(),
        }
    }

    /// The first event of a socket.
    pub(crate) fn open(&mut self) {
        self.emit(json!({"type": "session.created", "session": self.config}));
    }

    /// What is to be sent by now.
    pub(crate) fn take(&mut self) -> Vec<Out> {
        std::mem::take(&mut self.out)
    }

    /// When [`Session::tick`] has something to do next.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        let steps = self.running.iter().filter_map(|running| running.steps.front().map(|step| step.0));
        let later = self.later.iter().map(|event| event.0);
        steps.chain(later).chain(self.idle_at).chain(self.faults.drop_after).chain(self.age_limit()).min()
    }

    fn age_limit(&self) -> Option<Duration> {
        Some(self.faults.max_session.unwrap_or(Duration::from_secs(3600)))
    }

    /// Sends what is due.
    pub(crate) fn tick(&mut self, now: Duration) {
        if self.faults.drop_after.is_some_and(|limit| now >= limit) {
            self.faults.drop_after = None;
            self.finish(Out::Drop);
        }
        if self.age_limit().is_some_and(|limit| now >= limit) && !self.over {
            let message = "Your session hit the maximum duration of 60 minutes.";
            self.emit_error("session_expired", message, Value::Null, Value::Null);
            self.finish(Out::Close(1001, message.to_owned()));
        }
        // Stable: events of one moment keep their order.
        self.later.sort_by_key(|event| event.0);
        let due = self.later.partition_point(|event| event.0 <= now);
        for (_, event) in self.later.drain(..due).collect::<Vec<_>>() {
            self.emit(event);
        }
        while let Some(at) =
            self.running.iter().position(|running| running.steps.front().is_some_and(|step| step.0 <= now))
        {
            self.step(at, now);
        }
        if self.idle_at.is_some_and(|limit| now >= limit) {
            self.idle_at = None;
            self.idle_timeout(now);
        }
    }

    /// The socket closes with this; nothing is said after it.
    pub(super) fn finish(&mut self, how: Out) {
        if !std::mem::replace(&mut self.over, true) {
            self.out.push(how);
        }
    }

    pub(super) fn stall(&mut self) {
        self.stalled = true;
    }

    pub(super) fn garbage(&mut self) {
        self.out.push(Out::Text("{\"type\":\"response.output_audio.delta\",\"delta\":\"AAA".to_owned()));
    }

    /// Queues a server event with an id of its own.
    pub(super) fn emit(&mut self, mut event: Value) {
        if self.stalled || self.over {
            return;
        }
        event["event_id"] = json!(format!("event_{}", self.dice.word(20)));
        if event["delta"].is_string() && self.dice.below(8) == 0 {
            let length = 1 + self.dice.below(12) as usize;
            event["obfuscation"] = json!(self.dice.word(length));
        }
        self.out.push(Out::Text(event.to_string()));
    }

    pub(super) fn emit_error(&mut self, code: &str, message: &str, param: Value, event_id: Value) {
        self.emit(json!({"type": "error", "error": {"type": "invalid_request_error", "code": code, "message": message,
            "param": param, "event_id": event_id}}));
    }

    /// Takes one text frame from the client.
    pub(crate) fn receive(&mut self, text: &str, now: Duration) {
        let event = match serde_json::from_str::<Value>(text) {
            Ok(event) if event.is_object() => event,
            _ => {
                let refusal = Refusal::new("invalid_event", "The event is not a JSON object.", None);
                return self.refuse("an event", &Value::Null, refusal);
            }
        };
        let kind = event["type"].as_str().unwrap_or_default().to_owned();
        if let Err(refusal) = self.handle(&kind, &event, now) {
            self.refuse(&kind, &event["event_id"], refusal);
        }
    }

    /// A binary frame, which the protocol does not have.
    pub(crate) fn receive_binary(&mut self) {
        let refusal = Refusal::new("invalid_event", "Binary frames are not supported: send JSON text.", None);
        self.refuse("a binary frame", &Value::Null, refusal);
    }

    fn refuse(&mut self, kind: &str, event_id: &Value, refusal: Refusal) {
        let sentence = format!("{kind}: {} ({})", refusal.message, refusal.code);
        if RACES.contains(&refusal.code) {
            self.shared.races.add(sentence);
        } else {
            self.shared.violations.add(sentence);
        }
        self.emit_error(refusal.code, &refusal.message, json!(refusal.param), event_id.clone());
    }

    fn handle(&mut self, kind: &str, event: &Value, now: Duration) -> Checked {
        let map = schema::object(event, "")?;
        schema::text(map, "", "type")?;
        let Some((_, fields)) = EVENTS.iter().find(|(name, _)| *name == kind) else {
            let names: Vec<&str> = EVENTS.iter().map(|(name, _)| *name).collect();
            return Err(Refusal::value("type", &event["type"], &format!("one of {}", names.join(", "))));
        };
        if let Some(key) =
            map.keys().find(|key| !matches!(key.as_str(), "type" | "event_id") && !fields.contains(&key.as_str()))
        {
            return Err(Refusal::unknown(key));
        }
        match map.get("event_id") {
            None | Some(Value::Null) => {}
            Some(Value::String(id)) if id.len() <= 512 => {}
            Some(other) => return Err(Refusal::value("event_id", other, "a string of at most 512 characters")),
        }
        self.dispatch(kind, map, now)
    }

    fn dispatch(&mut self, kind: &str, map: &Map<String, Value>, now: Duration) -> Checked {
        match kind {
            "session.update" => self.update(map),
            "input_audio_buffer.append" => self.append(schema::text(map, "", "audio")?, now),
            "input_audio_buffer.commit" => self.commit(now),
            "input_audio_buffer.clear" => {
                self.input.clear();
                self.emit(json!({"type": "input_audio_buffer.cleared"}));
                Ok(())
            }
            "conversation.item.create" => self.create_item(map),
            "conversation.item.retrieve" => {
                let item = self.conversation.retrieve(schema::text(map, "", "item_id")?)?;
                self.emit(json!({"type": "conversation.item.retrieved", "item": item}));
                Ok(())
            }
            "conversation.item.truncate" => {
                let id = schema::text(map, "", "item_id")?;
                let get = |key: &str| map.get(key).ok_or_else(|| Refusal::missing(key));
                let end = self.conversation.truncate(id, get("content_index")?, get("audio_end_ms")?)?;
                self.emit(json!({"type": "conversation.item.truncated", "item_id": id, "content_index": 0,
                    "audio_end_ms": end}));
                Ok(())
            }
            "conversation.item.delete" => {
                let id = schema::text(map, "", "item_id")?;
                self.conversation.delete(id)?;
                self.emit(json!({"type": "conversation.item.deleted", "item_id": id}));
                Ok(())
            }
            "response.create" => self.create_response(map.get("response").unwrap_or(&json!({})), now),
            _ => self.cancel(map.get("response_id"), now),
        }
    }

    fn update(&mut self, map: &Map<String, Value>) -> Checked {
        let update = map.get("session").ok_or_else(|| Refusal::missing("session"))?;
        let past = Past { spoke: self.spoke, responding: !self.running.is_empty() };
        self.config = schema::updated(&self.config, update, past)?;
        self.input.configure(&self.config);
        self.emit(json!({"type": "session.updated", "session": self.config}));
        if self.options.surprises && !std::mem::replace(&mut self.surprised, true) {
            self.emit(json!({"type": "session.annotated", "note": "a type that no client knows yet"}));
        }
        Ok(())
    }

    fn create_item(&mut self, map: &Map<String, Value>) -> Checked {
        let value = map.get("item").ok_or_else(|| Refusal::missing("item"))?;
        let fresh = format!("item_{}", self.dice.word(20));
        let mut item = items::checked(value, fresh)?;
        if item.is_user() {
            self.hear_item(&mut item)?;
        }
        let previous = match map.get("previous_item_id") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) => Some(id.as_str()),
            Some(other) => return Err(Refusal::value("previous_item_id", other, "a string")),
        };
        let wire = item.wire.clone();
        let before = self.conversation.insert(item, previous)?;
        self.emit(json!({"type": "conversation.item.added", "item": wire, "previous_item_id": before}));
        self.emit(json!({"type": "conversation.item.done", "item": wire, "previous_item_id": before}));
        Ok(())
    }

    /// Understands the `input_audio` of a client's item; its bytes are not echoed.
    fn hear_item(&mut self, item: &mut Item) -> Checked {
        let format = Format::of(&self.config["audio"]["input"]["format"]);
        let Some(parts) = item.wire["content"].as_array_mut() else { return Ok(()) };
        for part in parts.iter_mut().filter(|part| part["type"] == "input_audio") {
            let encoded = part["audio"].as_str().unwrap_or_default();
            let bytes = crate::sim::audio::base64_decode(encoded).map_err(|error| {
                Refusal::new("invalid_value", format!("Invalid base64: {error}."), Some("item.content.audio"))
            })?;
            let samples = format.decode(&bytes);
            item.audio_ms += samples.len() as u64 / 8;
            let (words, language) = super::input::understood(&samples);
            item.words = words;
            item.language = language;
            item.sound = Some(bytes.into());
            if let Some(fields) = part.as_object_mut() {
                fields.remove("audio");
            }
        }
        Ok(())
    }

    /// The session's `turn_detection` field, or `otherwise` when absent or off.
    pub(super) fn detection_flag(&self, key: &str) -> bool {
        self.config["audio"]["input"]["turn_detection"][key].as_bool().unwrap_or(false)
    }
}
