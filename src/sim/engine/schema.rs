//! The strictness of the simulated engine: which fields a client may send, of which kind, and the sentence when not.
//!
//! Fields and values are those of the GA Realtime session and response objects (openai-openapi, 2026-08).

use serde_json::{Map, Value, json};

/// Why the engine refuses an event; becomes the body of an `error` event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) param: Option<String>,
}

impl Refusal {
    pub(crate) fn new(code: &'static str, message: impl Into<String>, param: Option<&str>) -> Self {
        Self { code, message: message.into(), param: param.map(str::to_owned) }
    }

    pub(crate) fn unknown(path: &str) -> Self {
        Self::new("unknown_parameter", format!("Unknown parameter: '{path}'."), Some(path))
    }

    pub(crate) fn missing(path: &str) -> Self {
        Self::new("missing_required_parameter", format!("Missing required parameter: '{path}'."), Some(path))
    }

    pub(crate) fn value(path: &str, got: &Value, wanted: &str) -> Self {
        Self::new("invalid_value", format!("Invalid value: {got}. Expected {wanted}."), Some(path))
    }
}

pub(crate) type Checked<T = ()> = Result<T, Refusal>;

pub(crate) const VOICES: &[&str] =
    &["alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar"];

const TRANSCRIBERS: &[&str] = &[
    "whisper-1",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "gpt-4o-mini-transcribe-2025-12-15",
    "gpt-4o-transcribe-diarize",
    "gpt-transcribe",
    "gpt-live-transcribe",
    "gpt-realtime-whisper",
];

pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

pub(crate) fn object<'a>(value: &'a Value, path: &str) -> Checked<&'a Map<String, Value>> {
    value.as_object().ok_or_else(|| Refusal::value(path, value, "an object"))
}

/// Refuses every key that is not in `allowed`.
pub(crate) fn only(map: &Map<String, Value>, path: &str, allowed: &[&str]) -> Checked {
    match map.keys().find(|key| !allowed.contains(&key.as_str())) {
        Some(key) => Err(Refusal::unknown(&join(path, key))),
        None => Ok(()),
    }
}

pub(crate) fn text<'a>(map: &'a Map<String, Value>, path: &str, key: &str) -> Checked<&'a str> {
    let value = map.get(key).ok_or_else(|| Refusal::missing(&join(path, key)))?;
    value.as_str().ok_or_else(|| Refusal::value(&join(path, key), value, "a string"))
}

fn one_of(value: &Value, path: &str, allowed: &[&str]) -> Checked {
    let fits = value.as_str().is_some_and(|text| allowed.contains(&text));
    if fits { Ok(()) } else { Err(Refusal::value(path, value, &format!("one of {}", allowed.join(", ")))) }
}

fn number(value: &Value, path: &str, low: f64, high: f64) -> Checked {
    let fits = value.as_f64().is_some_and(|number| (low..=high).contains(&number));
    if fits { Ok(()) } else { Err(Refusal::value(path, value, &format!("a number from {low} to {high}"))) }
}

fn integer(value: &Value, path: &str, low: i64, high: i64) -> Checked {
    let fits = value.as_i64().is_some_and(|number| (low..=high).contains(&number));
    if fits { Ok(()) } else { Err(Refusal::value(path, value, &format!("an integer from {low} to {high}"))) }
}

fn boolean(value: &Value, path: &str) -> Checked {
    if value.is_boolean() { Ok(()) } else { Err(Refusal::value(path, value, "a boolean")) }
}

fn string(value: &Value, path: &str) -> Checked {
    if value.is_string() { Ok(()) } else { Err(Refusal::value(path, value, "a string")) }
}

pub(crate) fn modalities(value: &Value, path: &str) -> Checked {
    let fits = value == &json!(["audio"]) || value == &json!(["text"]);
    let wanted = "either [\"audio\"] or [\"text\"], never both";
    if fits { Ok(()) } else { Err(Refusal::value(path, value, wanted)) }
}

/// An audio format with its defaults filled in.
pub(crate) fn format(value: &Value, path: &str) -> Checked<Value> {
    let map = object(value, path)?;
    match text(map, path, "type")? {
        "audio/pcm" => {
            only(map, path, &["type", "rate"])?;
            if let Some(rate) = map.get("rate") {
                integer(rate, &join(path, "rate"), 24_000, 24_000)?;
            }
            Ok(json!({"type": "audio/pcm", "rate": 24000}))
        }
        "audio/pcmu" | "audio/pcma" => {
            only(map, path, &["type"])?;
            Ok(value.clone())
        }
        _ => {
            let wanted = "one of audio/pcm, audio/pcmu, audio/pcma";
            Err(Refusal::value(&join(path, "type"), &map["type"], wanted))
        }
    }
}

pub(crate) fn voice(value: &Value, path: &str) -> Checked {
    match value {
        Value::Object(map) => only(map, path, &["id"]).and(text(map, path, "id").map(|_| ())),
        _ => one_of(value, path, VOICES),
    }
}

fn transcription(value: &Value, path: &str) -> Checked {
    let map = object(value, path)?;
    only(map, path, &["model", "language", "languages", "prompt", "keywords", "delay"])?;
    let model = map.get("model").ok_or_else(|| Refusal::missing(&join(path, "model")))?;
    one_of(model, &join(path, "model"), TRANSCRIBERS)?;
    let newer = matches!(model.as_str(), Some("gpt-transcribe" | "gpt-live-transcribe"));
    for key in ["languages", "keywords"] {
        if map.contains_key(key) && !newer {
            return Err(Refusal::unknown(&join(path, key)));
        }
    }
    if map.contains_key("delay") && model.as_str() != Some("gpt-realtime-whisper") {
        return Err(Refusal::unknown(&join(path, "delay")));
    }
    // The streaming recogniser documents that it takes none; the one that tells speakers apart does not either.
    if map.contains_key("prompt")
        && matches!(model.as_str(), Some("gpt-realtime-whisper" | "gpt-4o-transcribe-diarize"))
    {
        let message = format!("'{}' is not supported with the model {model}.", join(path, "prompt"));
        return Err(Refusal::new("invalid_value", message, Some(&join(path, "prompt"))));
    }
    for key in ["languages", "keywords"] {
        let words = |value: &Value| value.as_array().is_some_and(|list| list.iter().all(Value::is_string));
        if let Some(value) = map.get(key).filter(|value| !words(value)) {
            return Err(Refusal::value(&join(path, key), value, "a list of strings"));
        }
    }
    for key in ["language", "prompt"] {
        map.get(key).map_or(Ok(()), |text| string(text, &join(path, key)))?;
    }
    let language = map.get("language").and_then(Value::as_str);
    if language.is_some_and(|code| code.len() != 2 && code.len() != 3) {
        return Err(Refusal::value(&join(path, "language"), &map["language"], "an ISO-639-1 code"));
    }
    Ok(())
}

/// Turn detection with its defaults filled in.
fn turn_detection(value: &Value, path: &str) -> Checked<Value> {
    let map = object(value, path)?;
    let kind = map.get("type").cloned().unwrap_or_else(|| json!("server_vad"));
    one_of(&kind, &join(path, "type"), &["server_vad", "semantic_vad"])?;
    let mut full = if kind == "semantic_vad" {
        only(map, path, &["type", "eagerness", "create_response", "interrupt_response"])?;
        json!({"type": "semantic_vad", "eagerness": "auto", "create_response": true, "interrupt_response": true})
    } else {
        let allowed = [
            "type",
            "threshold",
            "prefix_padding_ms",
            "silence_duration_ms",
            "idle_timeout_ms",
            "create_response",
            "interrupt_response",
        ];
        only(map, path, &allowed)?;
        json!({"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500,
            "idle_timeout_ms": null, "create_response": true, "interrupt_response": true})
    };
    for (key, value) in map {
        let at = join(path, key);
        match key.as_str() {
            "threshold" => number(value, &at, 0.0, 1.0)?,
            "prefix_padding_ms" | "silence_duration_ms" => integer(value, &at, 0, 60_000)?,
            "idle_timeout_ms" if !value.is_null() => integer(value, &at, 5_000, 30_000)?,
            "create_response" | "interrupt_response" => boolean(value, &at)?,
            "eagerness" => one_of(value, &at, &["low", "medium", "high", "auto"])?,
            _ => {}
        }
        full[key] = value.clone();
    }
    Ok(full)
}

pub(crate) fn tools(value: &Value, path: &str) -> Checked {
    let list = value.as_array().ok_or_else(|| Refusal::value(path, value, "an array"))?;
    for (index, tool) in list.iter().enumerate() {
        let at = format!("{path}[{index}]");
        let map = object(tool, &at)?;
        match text(map, &at, "type")? {
            "function" => {
                only(map, &at, &["type", "name", "description", "parameters"])?;
                let name = text(map, &at, "name")?;
                let fits = (1..=64).contains(&name.len())
                    && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
                if !fits {
                    return Err(Refusal::value(&join(&at, "name"), &map["name"], "1 to 64 of [a-zA-Z0-9_-]"));
                }
                if let Some(parameters) = map.get("parameters") {
                    object(parameters, &join(&at, "parameters"))?;
                }
            }
            "mcp" => text(map, &at, "server_label").map(|_| ())?,
            _ => return Err(Refusal::value(&join(&at, "type"), &map["type"], "one of function, mcp")),
        }
    }
    Ok(())
}

pub(crate) fn tool_choice(value: &Value, path: &str) -> Checked {
    let Value::Object(map) = value else { return one_of(value, path, &["none", "auto", "required"]) };
    match text(map, path, "type")? {
        "function" => only(map, path, &["type", "name"]).and(text(map, path, "name").map(|_| ())),
        "mcp" => only(map, path, &["type", "server_label", "name"]).and(text(map, path, "server_label").map(|_| ())),
        _ => Err(Refusal::value(&join(path, "type"), &map["type"], "one of function, mcp")),
    }
}

pub(crate) fn max_tokens(value: &Value, path: &str) -> Checked {
    if value == "inf" { Ok(()) } else { integer(value, path, 1, 4096) }
}

fn truncation(value: &Value, path: &str) -> Checked {
    let Value::Object(map) = value else { return one_of(value, path, &["auto", "disabled"]) };
    only(map, path, &["type", "retention_ratio", "token_limits"])?;
    one_of(map.get("type").unwrap_or(&Value::Null), &join(path, "type"), &["retention_ratio"])?;
    let ratio = map.get("retention_ratio").ok_or_else(|| Refusal::missing(&join(path, "retention_ratio")))?;
    number(ratio, &join(path, "retention_ratio"), 0.0, 1.0)
}

fn reasoning(value: &Value, path: &str, model: &str) -> Checked {
    if !model.starts_with("gpt-realtime-2") {
        let message = format!("'{path}' is not supported with the model '{model}'.");
        return Err(Refusal::new("unknown_parameter", message, Some(path)));
    }
    let map = object(value, path)?;
    only(map, path, &["effort"])?;
    map.get("effort")
        .map_or(Ok(()), |effort| one_of(effort, &join(path, "effort"), &["minimal", "low", "medium", "high", "xhigh"]))
}

/// The session a new socket has.
pub(crate) fn fresh_session(id: &str, model: &str, expires_at: u64) -> Value {
    json!({
        "type": "realtime", "object": "realtime.session", "id": id, "model": model, "expires_at": expires_at,
        "output_modalities": ["audio"],
        "instructions": "You are the sandbox: answer briefly and never invent facts.",
        "tools": [], "tool_choice": "auto", "max_output_tokens": "inf", "truncation": "auto",
        "tracing": null, "prompt": null, "include": null,
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000}, "transcription": null, "noise_reduction": null,
                "turn_detection": {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300,
                    "silence_duration_ms": 200, "idle_timeout_ms": null, "create_response": true,
                    "interrupt_response": true}
            },
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin", "speed": 1.0}
        }
    })
}

/// What forbids some changes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Past {
    /// The session has spoken: the voice is fixed.
    pub(crate) spoke: bool,
    /// A response is running: the speed is fixed.
    pub(crate) responding: bool,
}

/// `session` with `update` laid over it, or why the whole update is refused.
pub(crate) fn updated(session: &Value, update: &Value, past: Past) -> Checked<Value> {
    const ALLOWED: &[&str] = &[
        "type",
        "model",
        "output_modalities",
        "instructions",
        "audio",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "reasoning",
        "max_output_tokens",
        "truncation",
        "prompt",
        "tracing",
        "include",
    ];
    let map = object(update, "session")?;
    let kind = text(map, "session", "type")?;
    only(map, "session", ALLOWED)?;
    if kind != "realtime" {
        let message = "Passing a 'transcription' session update to a realtime session is not allowed.";
        return Err(Refusal::new("invalid_value", message, Some("session.type")));
    }
    let model = session["model"].as_str().unwrap_or_default();
    let mut next = session.clone();
    for (key, value) in map {
        let at = join("session", key);
        match key.as_str() {
            "model" if value != model => {
                return Err(Refusal::new("invalid_value", "The model of a session cannot be changed.", Some(&at)));
            }
            "output_modalities" => modalities(value, &at)?,
            "instructions" => string(value, &at)?,
            "tools" => tools(value, &at)?,
            "tool_choice" => tool_choice(value, &at)?,
            "parallel_tool_calls" => boolean(value, &at)?,
            "reasoning" => reasoning(value, &at, model)?,
            "max_output_tokens" => max_tokens(value, &at)?,
            "truncation" => truncation(value, &at)?,
            "tracing" if !session["tracing"].is_null() && *value != session["tracing"] => {
                return Err(Refusal::new("invalid_value", "Tracing cannot be changed once enabled.", Some(&at)));
            }
            "audio" => {
                next["audio"] = audio(&session["audio"], value, past)?;
                continue;
            }
            _ => {}
        }
        next[key] = value.clone();
    }
    Ok(next)
}

fn audio(current: &Value, update: &Value, past: Past) -> Checked<Value> {
    let map = object(update, "session.audio")?;
    only(map, "session.audio", &["input", "output"])?;
    let mut next = current.clone();
    for (key, value) in map.get("input").map(|v| object(v, "session.audio.input")).transpose()?.into_iter().flatten() {
        let at = join("session.audio.input", key);
        next["input"][key] = match key.as_str() {
            "format" => format(value, &at)?,
            "turn_detection" if !value.is_null() => turn_detection(value, &at)?,
            "transcription" if !value.is_null() => transcription(value, &at).map(|()| value.clone())?,
            "noise_reduction" if !value.is_null() => {
                only(object(value, &at)?, &at, &["type"])?;
                one_of(&value["type"], &join(&at, "type"), &["near_field", "far_field"]).map(|()| value.clone())?
            }
            "turn_detection" | "transcription" | "noise_reduction" => Value::Null,
            _ => return Err(Refusal::unknown(&at)),
        };
    }
    for (key, value) in map.get("output").map(|v| object(v, "session.audio.output")).transpose()?.into_iter().flatten()
    {
        let at = join("session.audio.output", key);
        next["output"][key] = match key.as_str() {
            "format" => format(value, &at)?,
            "voice" => {
                voice(value, &at)?;
                if past.spoke && *value != current["output"]["voice"] {
                    let message = "Cannot update a conversation's voice if assistant audio is present.";
                    return Err(Refusal::new("cannot_update_voice", message, Some(&at)));
                }
                value.clone()
            }
            "speed" => {
                number(value, &at, 0.25, 1.5)?;
                if past.responding && *value != current["output"]["speed"] {
                    return Err(Refusal::new("invalid_value", "Speed can only change between turns.", Some(&at)));
                }
                value.clone()
            }
            _ => return Err(Refusal::unknown(&at)),
        };
    }
    Ok(next)
}

/// Checks the `response` of a `response.create`.
pub(crate) fn response(value: &Value, model: &str) -> Checked {
    const ALLOWED: &[&str] = &[
        "conversation",
        "input",
        "output_modalities",
        "instructions",
        "audio",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "reasoning",
        "max_output_tokens",
        "metadata",
        "prompt",
    ];
    let map = object(value, "response")?;
    only(map, "response", ALLOWED)?;
    for (key, value) in map {
        let at = join("response", key);
        match key.as_str() {
            "conversation" => one_of(value, &at, &["auto", "none"])?,
            "output_modalities" => modalities(value, &at)?,
            "instructions" => string(value, &at)?,
            "tools" => tools(value, &at)?,
            "tool_choice" => tool_choice(value, &at)?,
            "parallel_tool_calls" => boolean(value, &at)?,
            "reasoning" => reasoning(value, &at, model)?,
            "max_output_tokens" => max_tokens(value, &at)?,
            "metadata" if !value.is_null() => metadata(value, &at)?,
            "input" if !value.is_array() => return Err(Refusal::value(&at, value, "an array of items")),
            "audio" => {
                only(object(value, &at)?, &at, &["output"])?;
                let output = object(&value["output"], "response.audio.output")?;
                only(output, "response.audio.output", &["format", "voice"])?;
                output.get("format").map_or(Ok(Value::Null), |f| format(f, "response.audio.output.format"))?;
                output.get("voice").map_or(Ok(()), |v| voice(v, "response.audio.output.voice"))?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn metadata(value: &Value, path: &str) -> Checked {
    let map = object(value, path)?;
    let fits =
        map.len() <= 16 && map.iter().all(|(k, v)| k.len() <= 64 && v.as_str().is_some_and(|text| text.len() <= 512));
    let wanted = "at most 16 pairs of strings, keys up to 64 and values up to 512 characters";
    if fits { Ok(()) } else { Err(Refusal::value(path, value, wanted)) }
}
