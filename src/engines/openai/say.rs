//! What Caly says to the vendor: each client event as JSON text. Caly alone asks for answers, so the engine's own
//! turn detection creates and interrupts nothing.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use caly_actors::domain::{Agent, TurnDetection};
use caly_actors::ports::{ContextItem, EngineAudio, EngineCommand, EngineError, EngineSpec, ToolSpec};
use serde_json::{Value, json};

use super::transcription::Transcription;
use super::{NoiseReduction, OpenAiOptions, aside};

/// Audio merged into one append when frames have piled up.
const MERGE_MS: usize = 100;

const APPEND_HEAD: &[u8] = br#"{"type":"input_audio_buffer.append","audio":""#;
const APPEND_TAIL: &[u8] = br#""}"#;

/// Writes audio appends without serde into one buffer that is used again and again.
pub(super) struct AppendWriter {
    text: BytesMut,
    merged: Vec<u8>,
    merge_bytes: usize,
    bytes_per_ms: usize,
    /// Bytes written in all.
    written: u64,
}

impl AppendWriter {
    pub(super) fn new(audio: EngineAudio) -> Self {
        let bytes_per_ms = audio.bytes_per_ms();
        let merge_bytes = bytes_per_ms * MERGE_MS;
        Self { text: BytesMut::new(), merged: Vec::new(), merge_bytes, bytes_per_ms, written: 0 }
    }

    /// How much audio was written since a place that the vendor names in its own count: all audio of the session.
    pub(super) fn since(&self, at_ms: u64) -> Duration {
        let written_ms = self.written / self.bytes_per_ms as u64;
        Duration::from_millis(written_ms.saturating_sub(at_ms))
    }

    /// One append of `first` and as many of the waiting frames as fit into 100 ms. A lone frame is not copied.
    pub(super) fn write(&mut self, first: Bytes, mut waiting: impl FnMut() -> Option<Bytes>) -> Bytes {
        if first.len() >= self.merge_bytes {
            return self.encode(&first);
        }
        let Some(second) = waiting() else {
            return self.encode(&first);
        };
        let mut merged = std::mem::take(&mut self.merged);
        merged.clear();
        merged.extend_from_slice(&first);
        merged.extend_from_slice(&second);
        while merged.len() < self.merge_bytes {
            let Some(next) = waiting() else { break };
            merged.extend_from_slice(&next);
        }
        let text = self.encode(&merged);
        self.merged = merged;
        text
    }

    fn encode(&mut self, audio: &[u8]) -> Bytes {
        self.written += audio.len() as u64;
        let room = audio.len().div_ceil(3) * 4;
        self.text.reserve(APPEND_HEAD.len() + room + APPEND_TAIL.len());
        self.text.extend_from_slice(APPEND_HEAD);
        let start = self.text.len();
        self.text.resize(start + room, 0);
        // The room is the exact size of the padded text, so this cannot fail; a wrong size would cut, not overrun.
        let written = STANDARD.encode_slice(audio, &mut self.text[start..]).unwrap_or(0);
        self.text.truncate(start + written);
        self.text.extend_from_slice(APPEND_TAIL);
        self.text.split().freeze()
    }
}

/// `session.update` with everything that Caly decides. Defaults that differ between the vendor's pages and its
/// service are sent explicitly.
pub(super) fn session_update(spec: &EngineSpec, options: &OpenAiOptions, transcription: Value) -> String {
    let format = audio_format(spec.audio);
    let voice = match &*spec.agent.voice {
        custom if custom.starts_with("voice_") => json!({ "id": custom }),
        name => json!(name),
    };
    let session = json!({
        "type": "realtime",
        "output_modalities": ["audio"],
        "instructions": instructions(&spec.agent),
        "audio": {
            "input": {
                "format": format,
                "transcription": transcription,
                "noise_reduction": options.noise_reduction.map(|kind| json!({ "type": kind.as_str() })),
                "turn_detection": turn_detection(spec.agent.turn_detection),
            },
            "output": { "format": format, "voice": voice },
        },
        "tools": spec.tools.iter().filter_map(function_tool).collect::<Vec<_>>(),
        "tool_choice": "auto",
        // Caly keeps the conversation short itself. Should it be too long all the same, much goes at once and not a little
        // before every answer, so that what the service has kept of it stays of use for a while.
        "truncation": { "type": "retention_ratio", "retention_ratio": 0.8 },
    });
    json!({ "type": "session.update", "session": session }).to_string()
}

/// What the client wrote, then what holds for every agent: the beginning of all its sessions is the same.
pub(super) fn instructions(agent: &Agent) -> String {
    format!("{}\n\n{}", agent.instructions.trim_end(), agent.language_rule()).trim_start().to_owned()
}

fn audio_format(audio: EngineAudio) -> Value {
    match audio {
        EngineAudio::Pcm24 => json!({ "type": "audio/pcm", "rate": 24_000 }),
        EngineAudio::ALaw => json!({ "type": "audio/pcma" }),
        EngineAudio::MuLaw => json!({ "type": "audio/pcmu" }),
    }
}

fn turn_detection(rule: TurnDetection) -> Value {
    match rule {
        TurnDetection::Silence { threshold, prefix_padding_ms, silence_duration_ms } => json!({
            "type": "server_vad",
            // Through thousandths, for 0.6_f32 is not 0.6 in the f64 that JSON is written from.
            "threshold": (f64::from(threshold.clamp(0.0, 1.0)) * 1000.0).round() / 1000.0,
            "prefix_padding_ms": prefix_padding_ms,
            "silence_duration_ms": silence_duration_ms,
            "create_response": false,
            "interrupt_response": false,
        }),
        TurnDetection::Semantic { eagerness } => json!({
            "type": "semantic_vad",
            "eagerness": eagerness,
            "create_response": false,
            "interrupt_response": false,
        }),
    }
}

/// A tool whose schema is not a JSON object is left out: the vendor would reject the whole update for it.
fn function_tool(tool: &ToolSpec) -> Option<Value> {
    match serde_json::from_str::<Value>(&tool.schema) {
        Ok(schema @ Value::Object(_)) => Some(
            json!({ "type": "function", "name": &*tool.name, "description": &*tool.description, "parameters": schema }),
        ),
        Ok(_) | Err(_) => {
            tracing::error!(tool = &*tool.name, "tool left out: its schema is not a JSON object");
            None
        }
    }
}

/// How the ids of items begin that rebuild a conversation; the place in the context follows.
const REPLAYED: &str = "caly_said_";

/// The place in the context of an item that we made from it.
pub(super) fn replayed(item: &str) -> Option<usize> {
    item.strip_prefix(REPLAYED)?.trim_end_matches("_output").parse().ok()
}

/// The events that rebuild a conversation, in order. Items and tool calls get ids of our own: the vendor's died with its session.
pub(super) fn replay(context: &[ContextItem]) -> Vec<String> {
    let mut events = Vec::with_capacity(context.len());
    for (at, item) in context.iter().enumerate() {
        let id = format!("{REPLAYED}{at}");
        match item {
            ContextItem::Caller(text) => events.push(create_item(named(&id, message("user", "input_text", text)))),
            ContextItem::Agent(text) => events.push(create_item(named(&id, message("assistant", "output_text", text)))),
            ContextItem::Note(text) => events.push(create_item(named(&id, message("system", "input_text", text)))),
            ContextItem::Tool { name, arguments, output } => {
                let call_id = format!("call_caly_{at}");
                let call = json!({
                    "type": "function_call", "name": &**name, "arguments": &**arguments, "call_id": call_id,
                });
                events.push(create_item(named(&id, call)));
                events.push(create_item(named(&format!("{id}_output"), tool_output(&call_id, output))));
            }
        }
    }
    events
}

fn named(id: &str, mut item: Value) -> Value {
    item["id"] = json!(id);
    item
}

/// One command as the client event it stands for; `None`: it says nothing to this service. `session`: what the session was told to
/// be, which the instructions of an answer would replace.
pub(super) fn command(command: &EngineCommand, session: &str, transcription: &mut Transcription) -> Option<String> {
    Some(match command {
        EngineCommand::CreateResponse { wish, instructions, words_only } => {
            let mut response = json!({ "metadata": { "caly_wish": wish.to_string() } });
            if let Some(instructions) = instructions {
                response["instructions"] = json!(format!("{session}\n\n{instructions}"));
            }
            if *words_only {
                response["tool_choice"] = json!("none");
            }
            json!({ "type": "response.create", "response": response }).to_string()
        }
        EngineCommand::CommitTurn => json!({ "type": "input_audio_buffer.commit" }).to_string(),
        EngineCommand::CancelResponse => json!({ "type": "response.cancel" }).to_string(),
        EngineCommand::Truncate { item, heard_ms } => json!({
            "type": "conversation.item.truncate", "item_id": &**item, "content_index": 0, "audio_end_ms": heard_ms,
        })
        .to_string(),
        EngineCommand::DeleteItem { item } => {
            json!({ "type": "conversation.item.delete", "item_id": &**item }).to_string()
        }
        EngineCommand::ToolOutput { tool_call, output } => create_item(tool_output(tool_call, output)),
        EngineCommand::Note(text) => create_item(message("system", "input_text", text)),
        EngineCommand::CallerText(text) => create_item(message("user", "input_text", text)),
        EngineCommand::Summarise { request, instructions, text, tokens_max } => {
            summarise(*request, instructions, text, *tokens_max)
        }
        EngineCommand::AgentSaid { item, after, words } => json!({
            "type": "conversation.item.create", "previous_item_id": after.as_deref().unwrap_or("root"),
            "item": named(item, message("assistant", "output_text", words)),
        })
        .to_string(),
        EngineCommand::Recollect { item, text } => json!({
            "type": "conversation.item.create", "previous_item_id": "root",
            "item": named(item, message("system", "input_text", text)),
        })
        .to_string(),
        EngineCommand::CallerSpeaks(language) => return transcription.update(*language),
    })
}

/// An answer beside the conversation: its input is the text and nothing else, and its output is written.
fn summarise(request: u64, instructions: &str, text: &str, tokens_max: u32) -> String {
    json!({
        "type": "response.create",
        "event_id": aside::event_id(request),
        "response": {
            "conversation": "none",
            "metadata": { "caly_summary": request.to_string() },
            "output_modalities": ["text"],
            "instructions": instructions,
            "input": [message("user", "input_text", text)],
            "tools": [],
            "tool_choice": "none",
            "max_output_tokens": tokens_max,
        },
    })
    .to_string()
}

fn create_item(item: Value) -> String {
    json!({ "type": "conversation.item.create", "item": item }).to_string()
}

fn message(role: &str, content: &str, text: &str) -> Value {
    json!({ "type": "message", "role": role, "content": [{ "type": content, "text": text }] })
}

fn tool_output(call_id: &str, output: &str) -> Value {
    json!({ "type": "function_call_output", "call_id": call_id, "output": output })
}

impl NoiseReduction {
    fn as_str(self) -> &'static str {
        match self {
            Self::NearField => "near_field",
            Self::FarField => "far_field",
        }
    }
}

/// Text for the socket. What is written here is UTF-8 by construction, so the error cannot happen.
pub(super) fn text_message(text: Bytes) -> Result<awc::ws::Message, EngineError> {
    let text = text.try_into().map_err(|_| EngineError::Protocol("outgoing text is not utf-8".to_owned()))?;
    Ok(awc::ws::Message::Text(text))
}
