//! The input audio buffer of a simulated session: decoding, turn detection on real energy, and understanding.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use super::items::Item;
use super::response::Format;
use super::schema::{Checked, Refusal};
use super::session::Session;
use crate::sim::audio::{self, EnergyGate, Heard};
use crate::sim::library::{Who, library};

/// Largest audio of one append, in base64 characters (15 MiB of event).
const APPEND_MAX: usize = 15 * 1024 * 1024;
/// Milliseconds of quiet audio kept in front of speech while turns are detected.
const KEPT_QUIET_MS: u64 = 3_000;
/// Milliseconds kept at most while a turn is going on.
const KEPT_MS: u64 = 120_000;
const PER_MS: u64 = 8;

/// Audio since the last commit, at 8 kHz.
#[derive(Debug)]
pub(crate) struct Input {
    format: Format,
    /// Bytes of an incomplete group of three PCM samples.
    rest: Vec<u8>,
    samples: Vec<i16>,
    /// Position of `samples[0]` in all audio ever appended.
    base: u64,
    /// Milliseconds appended since the last commit or clear, in samples.
    fresh: u64,
    gate: Option<EnergyGate>,
    detection: Value,
    turn: Option<(String, u64)>,
    /// When sound last came, since the session began.
    last: Option<Duration>,
}

impl Input {
    pub(crate) fn new(config: &Value) -> Self {
        let mut input = Self {
            format: Format::Pcm24,
            rest: Vec::new(),
            samples: Vec::new(),
            base: 0,
            fresh: 0,
            gate: None,
            detection: Value::Null,
            turn: None,
            last: None,
        };
        input.configure(config);
        input
    }

    /// Takes over the session's format and turn detection.
    pub(crate) fn configure(&mut self, config: &Value) {
        self.format = Format::of(&config["audio"]["input"]["format"]);
        let detection = &config["audio"]["input"]["turn_detection"];
        if *detection == self.detection && self.gate.is_some() {
            return;
        }
        self.detection = detection.clone();
        self.turn = None;
        self.gate = detection["type"].as_str().map(|kind| {
            let threshold = 120.0 + 760.0 * detection["threshold"].as_f64().unwrap_or(0.5) as f32;
            let silence = if kind == "semantic_vad" { 600 } else { self.number("silence_duration_ms", 500) };
            EnergyGate::new(threshold, silence.max(40)).starting_at(self.position())
        });
    }

    fn number(&self, key: &str, otherwise: u64) -> u64 {
        self.detection[key].as_u64().unwrap_or(otherwise)
    }

    fn position(&self) -> u64 {
        self.base + self.samples.len() as u64
    }

    pub(crate) fn clear(&mut self) {
        self.base = self.position();
        self.samples.clear();
        self.fresh = 0;
    }

    pub(crate) fn speaking(&self) -> bool {
        self.turn.is_some()
    }

    fn decode(&mut self, mut bytes: Vec<u8>) -> Vec<i16> {
        if self.format != Format::Pcm24 {
            return self.format.decode(&bytes);
        }
        if !self.rest.is_empty() {
            let mut joined = std::mem::take(&mut self.rest);
            joined.extend_from_slice(&bytes);
            bytes = joined;
        }
        // Three samples at 24 kHz make one at 8 kHz.
        let whole = bytes.len() / 6 * 6;
        self.rest = bytes.split_off(whole);
        self.format.decode(&bytes)
    }

    fn trim(&mut self) {
        let keep = if self.gate.is_some() && self.turn.is_none() { KEPT_QUIET_MS } else { KEPT_MS } * PER_MS;
        let length = self.samples.len() as u64;
        // Half as much again before moving memory, so that not every append pays for it.
        if length > keep + keep / 2 {
            let cut = (length - keep) as usize;
            self.samples.drain(..cut);
            self.base += cut as u64;
        }
    }

    fn from(&self, position: u64) -> Vec<i16> {
        self.samples[(position.saturating_sub(self.base) as usize).min(self.samples.len())..].to_vec()
    }
}

/// The words and the language of what was said; `[unclear]` for speech that is no known clip, nothing for silence.
pub(crate) fn understood(samples: &[i16]) -> (String, Option<String>) {
    let found = library().recognise(Who::Caller, samples);
    if found.is_empty() {
        let loud = samples.chunks(audio::FRAME).filter(|frame| audio::level(frame) > 400.0).count();
        return (if loud >= 15 { "[unclear]".to_owned() } else { String::new() }, None);
    }
    let words: Vec<String> = found.iter().map(super::super::library::Recognised::words).collect();
    (words.join(" "), found.last().map(|found| found.clip.language.clone()))
}

impl Session {
    /// `input_audio_buffer.append`.
    pub(super) fn append(&mut self, encoded: &str, now: Duration) -> Checked {
        if encoded.len() > APPEND_MAX {
            return Err(Refusal::new("invalid_value", "Audio chunk exceeds 15 MiB.", Some("audio")));
        }
        let bytes = audio::base64_decode(encoded).map_err(|error| {
            let message = format!("Invalid 'audio'. Expected base64-encoded audio bytes: {error}.");
            Refusal::new("invalid_value", message, Some("audio"))
        })?;
        if self.input.format == Format::Pcm24 && bytes.len() % 2 != 0 {
            let message = "Invalid 'audio'. PCM16 needs an even number of bytes.";
            return Err(Refusal::new("invalid_value", message, Some("audio")));
        }
        if let Some(last) = self.input.last.replace(now) {
            self.shared.gap.fetch_max(now.saturating_sub(last).as_micros() as u64, Ordering::Relaxed);
        }
        let samples = self.input.decode(bytes);
        self.input.fresh += samples.len() as u64;
        self.input.samples.extend_from_slice(&samples);
        let heard = self.input.gate.as_mut().map(|gate| gate.push(&samples)).unwrap_or_default();
        for event in heard {
            match event {
                Heard::Started(at) => self.speech_started(at, now),
                Heard::Stopped(_) => self.speech_stopped(now),
            }
        }
        self.input.trim();
        Ok(())
    }

    fn speech_started(&mut self, at: u64, now: Duration) {
        let padding = self.input.number("prefix_padding_ms", 300) * PER_MS;
        let start = at.saturating_sub(padding).max(self.input.base);
        let item_id = format!("item_{}", self.dice.word(20));
        self.idle_at = None;
        self.emit(json!({"type": "input_audio_buffer.speech_started", "audio_start_ms": start / PER_MS,
            "item_id": item_id}));
        self.input.turn = Some((item_id, start));
        if self.detection_flag("interrupt_response") {
            self.interrupt(now);
        }
    }

    fn speech_stopped(&mut self, now: Duration) {
        let Some((item_id, start)) = self.input.turn.take() else { return };
        let end = self.input.position() / PER_MS;
        self.emit(json!({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": end, "item_id": item_id}));
        let samples = self.input.from(start);
        self.commit_item(item_id, &samples, false, now);
        if self.detection_flag("create_response") {
            self.automatic_response(now);
        }
    }

    /// `input_audio_buffer.commit`.
    pub(super) fn commit(&mut self, now: Duration) -> Checked {
        let (item_id, start) = match self.input.turn.take() {
            Some(turn) => turn,
            None => (format!("item_{}", self.dice.word(20)), self.input.position().saturating_sub(self.input.fresh)),
        };
        let ms = self.input.fresh as f64 / PER_MS as f64;
        if self.input.fresh < 100 * PER_MS {
            let message = format!(
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but buffer only has {ms:.2}ms of audio."
            );
            return Err(Refusal::new("input_audio_buffer_commit_empty", message, None));
        }
        let samples = self.input.from(start);
        self.commit_item(item_id, &samples, false, now);
        Ok(())
    }

    /// Nobody spoke for the configured time after the last response: the silence becomes a turn.
    pub(super) fn idle_timeout(&mut self, now: Duration) {
        if self.input.speaking() || !self.running.is_empty() {
            return;
        }
        let item_id = format!("item_{}", self.dice.word(20));
        let (start, end) = (self.input.base / PER_MS, self.input.position() / PER_MS);
        self.emit(json!({"type": "input_audio_buffer.timeout_triggered", "audio_start_ms": start,
            "audio_end_ms": end, "item_id": item_id}));
        self.commit_item(item_id, &[], true, now);
        self.automatic_response(now);
    }

    fn commit_item(&mut self, item_id: String, samples: &[i16], silence: bool, now: Duration) {
        self.input.clear();
        self.idle_at = None;
        let (words, language) = match &self.options.ear {
            _ if silence => (String::new(), None),
            Some(ear) => ((ear.0)(samples), None),
            None => understood(samples),
        };
        let wire = json!({"id": item_id, "object": "realtime.item", "type": "message", "status": "completed",
            "role": "user", "content": [{"type": "input_audio", "transcript": null}]});
        let previous = self.conversation.last_id();
        let audio_ms = samples.len() as u64 / PER_MS;
        let sound = Some(self.input.format.encode(samples).into());
        let mut item = Item::new(item_id.clone(), wire.clone());
        (item.words, item.language, item.audio_ms, item.sound, item.silence) =
            (words.clone(), language, audio_ms, sound, silence);
        self.emit(json!({"type": "input_audio_buffer.committed", "item_id": item_id, "previous_item_id": previous}));
        self.emit(json!({"type": "conversation.item.added", "item": wire, "previous_item_id": previous}));
        self.emit(json!({"type": "conversation.item.done", "item": wire, "previous_item_id": previous}));
        self.conversation.push(item);
        if self.config["audio"]["input"]["transcription"].is_object() {
            self.transcribe(&item_id, &words, audio_ms, now);
        }
    }

    /// The transcription model is another one: its events arrive whenever it is done.
    fn transcribe(&mut self, item_id: &str, words: &str, audio_ms: u64, now: Duration) {
        let after = &self.options.transcription;
        let (least, more) = (after.start, after.end.saturating_sub(after.start).max(1));
        let mut at = now + Duration::from_millis(least + self.dice.below(more));
        let kind = "conversation.item.input_audio_transcription";
        for word in words.split_inclusive(' ') {
            let delta = json!({"type": format!("{kind}.delta"), "item_id": item_id, "content_index": 0, "delta": word});
            self.later.push((at, delta));
            at += Duration::from_millis(1 + self.dice.below(30));
        }
        let (audio_tokens, output) = (audio_ms.div_ceil(100), words.len().div_ceil(4) as u64);
        let usage = json!({"type": "tokens", "total_tokens": audio_tokens + output, "input_tokens": audio_tokens,
            "input_token_details": {"text_tokens": 0, "audio_tokens": audio_tokens}, "output_tokens": output});
        let done = json!({"type": format!("{kind}.completed"), "item_id": item_id, "content_index": 0,
            "transcript": words, "usage": usage});
        self.later.push((at, done));
    }
}
