//! How a simulated session makes, gives, cancels and ends responses.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};

use super::digest;
use super::items::{self, Item};
use super::response::{Format, Running, Step};
use super::schema::{self, Checked, Refusal};
use super::script::{self, Ask};
use super::session::{Out, Session};
use crate::sim::audio;

impl Session {
    /// The response that turn detection makes by itself.
    pub(super) fn automatic_response(&mut self, now: Duration) {
        if self.running.iter().any(|running| running.in_conversation) {
            let message = "Conversation already has an active response in progress.";
            self.emit_error("conversation_already_has_active_response", message, Value::Null, Value::Null);
        } else {
            self.begin(&json!({}), Vec::new(), now);
        }
    }

    /// `response.create`.
    pub(super) fn create_response(&mut self, request: &Value, now: Duration) -> Checked {
        schema::response(request, self.config["model"].as_str().unwrap_or_default())?;
        let out_of_band = request["conversation"] == "none";
        if let Some(active) = self.running.iter().find(|running| running.in_conversation).filter(|_| !out_of_band) {
            let message = format!(
                "Conversation already has an active response in progress: {}. Wait until the response is finished before creating a new one.",
                active.id
            );
            return Err(Refusal::new("conversation_already_has_active_response", message, None));
        }
        let mut context = Vec::new();
        for value in request["input"].as_array().into_iter().flatten() {
            context.push(self.context_item(value)?);
        }
        self.begin(request, context, now);
        Ok(())
    }

    fn context_item(&mut self, value: &Value) -> Checked<Item> {
        if value["type"] != "item_reference" {
            let fresh = format!("item_{}", self.dice.word(20));
            return items::checked(value, fresh);
        }
        let found = value["id"].as_str().and_then(|id| self.conversation.get_mut(id)).map(|item| item.clone());
        found.ok_or_else(|| Refusal::value("response.input.id", &value["id"], "the id of an existing item"))
    }

    fn begin(&mut self, request: &Value, context: Vec<Item>, now: Duration) {
        let own = |key: &str| match &request[key] {
            Value::Null => &self.config[key],
            value => value,
        };
        let items = if request["input"].is_array() { &context[..] } else { self.conversation.items() };
        let mut wire_audio = json!({"format": self.config["audio"]["output"]["format"], "voice": self.config["audio"]["output"]["voice"]});
        for (key, value) in request["audio"]["output"].as_object().into_iter().flatten() {
            wire_audio[key] = value.clone();
        }
        let spoken = *own("output_modalities") != json!(["text"]);
        // They replace the session's, which who wants to keep them repeats.
        let session = self.config["instructions"].as_str().unwrap_or_default();
        let instructions = request["instructions"].as_str();
        let instructions = instructions.map(|all| all.strip_prefix(session).unwrap_or(all).trim_start());
        let ask = Ask {
            items,
            instructions,
            tools: own("tools"),
            tool_choice: own("tool_choice"),
            language: self.config["audio"]["input"]["transcription"]["language"].as_str(),
            text: !spoken,
        };
        let in_conversation = request["conversation"] != "none";
        let mut plan = if !in_conversation && !spoken && request["input"].is_array() && ask.instructions.is_some() {
            script::written(digest::digest(items, own("max_output_tokens")))
        } else {
            script::decide(&self.options.script, &ask)
        };
        let (input_usage, context_size) = self.input_usage(items, own("tools"), own("instructions"));
        let max_tokens = own("max_output_tokens").clone();
        if self.config["model"].as_str().is_some_and(|model| !model.starts_with("gpt-")) {
            plan.fail = Some("model_not_found".to_owned());
        }
        self.count_context(context_size, in_conversation);
        if self.fails(in_conversation) {
            plan.fail = Some(self.faults.fail_code.clone());
        }
        let mut running = Running {
            id: format!("resp_{}", self.dice.word(20)),
            in_conversation,
            metadata: request["metadata"].clone(),
            spoken,
            format: Format::of(&wire_audio["format"]),
            wire_audio,
            max_tokens,
            input_usage,
            outputs: Vec::new(),
            steps: VecDeque::new(),
        };
        running.schedule(&plan, now, self.options.tempo(), &mut self.dice);
        let turn = Some(self.turns);
        let faults = [
            (self.faults.drop_on_turn == turn, Step::Drop),
            (self.faults.stall_on_turn == turn, Step::Stall),
            (self.faults.garbage_on_turn == turn, Step::Garbage),
        ];
        for (_, fault) in faults.into_iter().filter(|(wanted, _)| *wanted && in_conversation) {
            running.insert_fault(fault);
        }
        self.idle_at = None;
        let object = running.object("in_progress", Value::Null, Value::Null, &self.conversation_id);
        self.emit(json!({"type": "response.created", "response": object}));
        self.running.push(running);
    }

    /// A real service forgets the oldest of what is too long, or refuses; a client should not let it come to that.
    fn count_context(&mut self, size: (u64, u64), in_conversation: bool) {
        let large = self.config["model"].as_str().is_some_and(|model| model.starts_with("gpt-realtime-2"));
        let window = self.options.window.unwrap_or(if large { 96_000 } else { 28_672 });
        let tokens = size.0 + size.1;
        if tokens > window {
            self.shared.violations.add(format!("a context of {tokens} tokens in a window of {window}"));
        }
        if in_conversation {
            self.context_before = size;
        }
    }

    /// Whether the response that begins is to fail; counts it.
    fn fails(&mut self, in_conversation: bool) -> bool {
        if in_conversation {
            self.turns += 1;
            return self.faults.fail_on_turn == Some(self.turns);
        }
        let fails = self.faults.fail_asides > 0;
        self.faults.fail_asides = self.faults.fail_asides.saturating_sub(1);
        fails
    }

    /// Input tokens by the published rates: 100 ms of the caller, 50 ms of the assistant, about 4 characters of text.
    fn input_usage(&self, items: &[Item], tools: &Value, instructions: &Value) -> (Value, (u64, u64)) {
        let instructions = instructions.as_str().map_or(0, str::len);
        let mut text =
            (instructions + if tools == &json!([]) { 0 } else { tools.to_string().len() }).div_ceil(4) as u64;
        let mut audio = 0;
        for item in items {
            if item.audio_ms == 0 {
                text += (item.words.len() + item.wire["output"].as_str().map_or(0, str::len)).div_ceil(4) as u64;
            } else {
                audio += item.audio_ms.div_ceil(if item.is_user() { 100 } else { 50 });
            }
        }
        // What the last response already saw is cached, in blocks of 64.
        let cached = |seen: u64, total: u64| seen.min(total) / 64 * 64;
        let (text_cached, audio_cached) = (cached(self.context_before.0, text), cached(self.context_before.1, audio));
        let usage = json!({"total_tokens": 0, "input_tokens": text + audio, "output_tokens": 0,
            "input_token_details": {"text_tokens": text, "audio_tokens": audio, "image_tokens": 0,
                "cached_tokens": text_cached + audio_cached,
                "cached_tokens_details": {"text_tokens": text_cached, "audio_tokens": audio_cached, "image_tokens": 0}}});
        (usage, (text, audio))
    }

    /// Sends the next events of a response.
    pub(super) fn step(&mut self, at: usize, now: Duration) {
        let Some((_, step)) = self.running[at].steps.pop_front() else { return };
        match step {
            Step::OpenItem(index) => self.open_item(at, index),
            Step::Words(index, word) => self.words(at, index, &word),
            Step::Sound(index, bytes) => self.sound(at, index, bytes),
            Step::Arguments(index, part) => {
                let mut event = self.about(at, index, "response.function_call_arguments.delta");
                let output = &mut self.running[at].outputs[index];
                output.text_sent += part.len();
                event["call_id"] = json!(output.call.as_ref().map(|call| &call.1));
                event["delta"] = json!(part);
                self.emit(event);
            }
            Step::CloseItem(index) => self.close_item(at, index, "completed"),
            Step::RateLimits => self.rate_limits(),
            Step::Finish => {
                let running = self.running[at].clone();
                self.done(at, "completed", Value::Null, running.usage(), now);
            }
            Step::Fail(code) => {
                let kind = if code.contains("rate_limit") { "rate_limit_error" } else { "invalid_request_error" };
                let message = format!("The sandbox was told to fail this response with {code}.");
                let error = json!({"type": kind, "code": code, "message": message});
                self.done(at, "failed", json!({"type": "failed", "error": error}), Value::Null, now);
            }
            Step::Stall => self.stall(),
            Step::Garbage => self.garbage(),
            Step::Drop => self.finish(Out::Drop),
        }
    }

    fn rate_limits(&mut self) {
        self.emit(json!({"type": "rate_limits.updated", "rate_limits": [
            {"name": "tokens", "limit": 200_000, "remaining": 199_000, "reset_seconds": 0.3}]}));
    }

    /// An event about one item of a response.
    fn about(&self, at: usize, index: usize, kind: &str) -> Value {
        let running = &self.running[at];
        json!({"type": kind, "response_id": running.id, "item_id": running.outputs[index].item_id,
            "output_index": index})
    }

    fn about_part(&self, at: usize, index: usize, kind: &str) -> Value {
        let mut event = self.about(at, index, kind);
        event["content_index"] = json!(0);
        event
    }

    fn open_item(&mut self, at: usize, index: usize) {
        self.running[at].outputs[index].open = true;
        let running = &self.running[at];
        let (id, in_conversation, spoken) = (running.id.clone(), running.in_conversation, running.spoken);
        let output = &running.outputs[index];
        let (wire, item_id) = (running.item(output, "in_progress"), output.item_id.clone());
        let is_message = output.call.is_none();
        self.emit(
            json!({"type": "response.output_item.added", "response_id": id, "output_index": index, "item": wire}),
        );
        if in_conversation {
            let previous = self.conversation.last_id();
            self.conversation.push(Item::new(item_id, wire.clone()));
            self.emit(json!({"type": "conversation.item.added", "item": wire, "previous_item_id": previous}));
        }
        if is_message {
            let mut event = self.about_part(at, index, "response.content_part.added");
            event["part"] =
                if spoken { json!({"type": "audio", "transcript": ""}) } else { json!({"type": "text", "text": ""}) };
            self.emit(event);
        }
    }

    fn words(&mut self, at: usize, index: usize, word: &str) {
        let spoken = self.running[at].spoken;
        let kind = if spoken { "response.output_audio_transcript.delta" } else { "response.output_text.delta" };
        let mut event = self.about_part(at, index, kind);
        event["delta"] = json!(word);
        self.running[at].outputs[index].text_sent += word.len();
        self.emit(event);
    }

    fn sound(&mut self, at: usize, index: usize, bytes: usize) {
        let mut event = self.about_part(at, index, "response.output_audio.delta");
        let per_ms = self.running[at].format.bytes_per_ms();
        let output = &mut self.running[at].outputs[index];
        let end = (output.sound_sent + bytes).min(output.sound.len());
        event["delta"] = json!(audio::base64_encode(&output.sound[output.sound_sent..end]));
        output.sound_sent = end;
        let (item_id, sent_ms) = (output.item_id.clone(), (end / per_ms) as u64);
        if let Some(item) = self.conversation.get_mut(&item_id) {
            // Truncation may come while the item is still growing.
            item.audio_ms = sent_ms;
        }
        self.spoke = true;
        self.emit(event);
    }

    /// The `.done` family of an item, also when it was cut short.
    fn close_item(&mut self, at: usize, index: usize, status: &str) {
        let running = self.running[at].clone();
        let output = &running.outputs[index];
        let said = &output.text[..output.text_sent];
        let wire = running.item(output, status);
        match &output.call {
            Some((name, call_id)) => {
                let mut event = self.about(at, index, "response.function_call_arguments.done");
                (event["call_id"], event["name"], event["arguments"]) = (json!(call_id), json!(name), json!(said));
                self.emit(event);
            }
            None => self.close_part(at, index, running.spoken, said),
        }
        let item_first = self.dice.below(2) == 0;
        let item_done = json!({"type": "response.output_item.done", "response_id": running.id, "output_index": index,
            "item": wire});
        if item_first {
            self.emit(item_done.clone());
        }
        if running.in_conversation {
            let at = self.conversation.items().iter().position(|item| item.id == output.item_id);
            let previous = at.and_then(|at| at.checked_sub(1)).map(|at| self.conversation.items()[at].id.clone());
            if let Some(item) = self.conversation.get_mut(&output.item_id) {
                item.wire = wire.clone();
                item.words = said.to_owned();
                item.sound = Some(output.sound[..output.sound_sent].into());
            }
            self.emit(json!({"type": "conversation.item.done", "item": wire, "previous_item_id": previous}));
        }
        if !item_first {
            self.emit(item_done);
        }
        self.running[at].outputs[index].open = false;
        self.running[at].outputs[index].closed = true;
    }

    fn close_part(&mut self, at: usize, index: usize, spoken: bool, said: &str) {
        let mut part = self.about_part(at, index, "response.content_part.done");
        if spoken {
            let audio = self.about_part(at, index, "response.output_audio.done");
            self.emit(audio);
            let mut transcript = self.about_part(at, index, "response.output_audio_transcript.done");
            transcript["transcript"] = json!(said);
            self.emit(transcript);
            part["part"] = json!({"type": "audio", "transcript": said});
        } else {
            let mut text = self.about_part(at, index, "response.output_text.done");
            text["text"] = json!(said);
            self.emit(text);
            part["part"] = json!({"type": "text", "text": said});
        }
        self.emit(part);
    }

    fn done(&mut self, at: usize, status: &str, details: Value, usage: Value, now: Duration) {
        let running = self.running.remove(at);
        let object = running.object(status, details, usage, &self.conversation_id);
        self.emit(json!({"type": "response.done", "response": object}));
        let idle = self.config["audio"]["input"]["turn_detection"]["idle_timeout_ms"].as_u64();
        if let (Some(idle), true) = (idle, running.in_conversation && status == "completed") {
            // The engine takes it that its audio is played as fast as it sounds.
            let sound: usize = running.outputs.iter().map(|o| o.sound_sent / running.format.bytes_per_ms()).sum();
            self.idle_at = Some(now + Duration::from_millis(sound as u64 + idle));
        }
    }

    /// The caller began to speak: the response of the conversation stops.
    pub(super) fn interrupt(&mut self, now: Duration) {
        if let Some(at) = self.running.iter().position(|running| running.in_conversation) {
            self.cut(at, "turn_detected", now);
        }
    }

    /// `response.cancel`.
    pub(super) fn cancel(&mut self, response_id: Option<&Value>, now: Duration) -> Checked {
        let wanted = match response_id {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) => Some(id.as_str()),
            Some(other) => return Err(Refusal::value("response_id", other, "a string")),
        };
        let at = self.running.iter().position(|running| match wanted {
            Some(id) => running.id == id,
            None => running.in_conversation,
        });
        let at = at.ok_or_else(|| {
            Refusal::new("response_cancel_not_active", "Cancellation failed: no active response found", None)
        })?;
        self.cut(at, "client_cancelled", now);
        Ok(())
    }

    fn cut(&mut self, at: usize, reason: &str, now: Duration) {
        self.running[at].steps.clear();
        for index in 0..self.running[at].outputs.len() {
            if self.running[at].outputs[index].open {
                self.close_item(at, index, "incomplete");
            }
        }
        let usage = self.running[at].usage();
        self.done(at, "cancelled", json!({"type": "cancelled", "reason": reason}), usage, now);
    }
}
