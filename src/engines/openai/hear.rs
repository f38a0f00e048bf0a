//! What the vendor says, turned into [`EngineEvent`]s and agent audio. Plain state over frames: no socket, no clock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use caly_actors::audio::lane::{LaneSender, Pushed};
use caly_actors::domain::Usage;
use caly_actors::ports::{AgentAudio, EngineAudio, EngineError, EngineEvent, ItemKind, ResponseOutcome};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::aside::{Asides, request_of, summarised};
use super::faults::Fault;
use super::price::{Price, cost_micro_usd, price_of, transcription_micro_usd};
use super::say::replayed;
use super::tools::ToolCalls;
use super::transcription::Transcription;
use super::wire::{Item, Response, ServerEvent, TranscriptionUsage, WireError, WireUsage, text};

/// Base64 with or without padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Events that are known and need nothing done.
const UNEVENTFUL: [&str; 18] = [
    "session.created",
    "session.updated",
    "conversation.created",
    "conversation.item.done",
    "conversation.item.deleted",
    "conversation.item.truncated",
    "conversation.item.retrieved",
    "conversation.item.input_audio_transcription.delta",
    "conversation.item.input_audio_transcription.segment",
    "input_audio_buffer.cleared",
    "input_audio_buffer.timeout_triggered",
    "rate_limits.updated",
    "response.content_part.added",
    "response.content_part.done",
    "response.function_call_arguments.delta",
    "output_audio_buffer.started",
    "output_audio_buffer.stopped",
    "output_audio_buffer.cleared",
];

/// Keeps the last text as an `Arc`, for consecutive deltas nearly always carry the same ids.
struct Repeated(Arc<str>);

impl Repeated {
    fn get(&mut self, text: &str) -> Arc<str> {
        if *self.0 != *text {
            self.0 = text.into();
        }
        Arc::clone(&self.0)
    }
}

/// Items of one answer looked after; more is a confused engine's.
const WORDED_MAX: usize = 16;

/// The listening half of one session.
pub(super) struct Hearing {
    agent: LaneSender<AgentAudio>,
    whole_samples: bool,
    half_sample: Option<u8>,
    response: Repeated,
    item: Repeated,
    /// Whether the response being made has sound, and its items with words.
    sounds: bool,
    worded: Vec<Arc<str>>,
    tools: ToolCalls,
    asides: Asides,
    price: Option<&'static Price>,
    transcription_model: Option<String>,
    transcription_micro_usd: u64,
    audio_bytes: metrics::Counter,
    dropped: metrics::Counter,
}

impl Hearing {
    pub(super) fn new(
        model: &str,
        transcription_model: Option<&str>,
        audio: EngineAudio,
        agent: LaneSender<AgentAudio>,
    ) -> Self {
        Self {
            agent,
            whole_samples: audio == EngineAudio::Pcm24,
            half_sample: None,
            response: Repeated("".into()),
            item: Repeated("".into()),
            sounds: false,
            worded: Vec::new(),
            tools: ToolCalls::default(),
            asides: Asides::default(),
            price: price_of(model),
            transcription_model: transcription_model.map(str::to_owned),
            transcription_micro_usd: 0,
            audio_bytes: metrics::counter!("caly_engine_audio_bytes_total", "direction" => "received"),
            dropped: metrics::counter!("caly_engine_agent_audio_dropped_total"),
        }
    }

    /// One text frame. Audio goes to the agent's lane, everything else to `events`, in order.
    /// [`EngineEvent::Lost`] is the last there will be. Gives whether it refuses what the recogniser was told.
    pub(super) fn hear(&mut self, frame: &[u8], events: &mut VecDeque<EngineEvent>) -> bool {
        let Ok(event) = serde_json::from_slice::<ServerEvent<'_>>(frame) else {
            ignored("broken_json");
            return false;
        };
        if event.kind == "error" {
            return hear_error(event.error, events);
        }
        self.hear_event(&event, events);
        false
    }

    fn hear_event(&mut self, event: &ServerEvent<'_>, events: &mut VecDeque<EngineEvent>) {
        match &*event.kind {
            kind if self.asides.is_about(text(&event.response_id)) => self.hear_aside(kind, event),
            "response.output_audio.delta" => self.audio_delta(event),
            "response.output_audio.done" => {
                let item = self.item.get(text(&event.item_id));
                events.push_back(EngineEvent::AgentSoundMade { item });
            }
            "response.output_audio_transcript.delta" | "response.output_text.delta" => {
                let Some(delta) = &event.delta else { return ignored("malformed") };
                let item = self.has_words(event);
                let response = self.response.get(text(&event.response_id));
                events.push_back(EngineEvent::AgentWords { response, item, delta: delta.as_str().into() });
            }
            "response.output_audio_transcript.done" => self.agent_transcript(event, text(&event.transcript), events),
            "response.output_text.done" => self.agent_transcript(event, text(&event.text), events),
            kind if kind.starts_with("response.") => self.hear_response(event, events),
            _ => self.hear_caller(event, events),
        }
    }

    /// Of what is written beside the conversation only the text counts. Its beginning and end come without `response_id`.
    fn hear_aside(&mut self, kind: &str, event: &ServerEvent<'_>) {
        let response = text(&event.response_id);
        match kind {
            "response.output_text.delta" => self.asides.write(response, text(&event.delta), false),
            "response.output_text.done" => self.asides.write(response, text(&event.text), true),
            _ => {}
        }
    }

    fn agent_transcript(&mut self, event: &ServerEvent<'_>, words: &str, events: &mut VecDeque<EngineEvent>) {
        let item = self.has_words(event);
        events.push_back(EngineEvent::AgentTranscript { item, text: words.into() });
    }

    fn has_words(&mut self, event: &ServerEvent<'_>) -> Arc<str> {
        let item = self.item.get(text(&event.item_id));
        if self.worded.last() != Some(&item) && self.worded.len() < WORDED_MAX {
            self.worded.push(Arc::clone(&item));
        }
        item
    }

    /// The hot path: one allocation, for the audio itself.
    fn audio_delta(&mut self, event: &ServerEvent<'_>) {
        let Some(delta) = &event.delta else { return ignored("malformed") };
        let mut audio = Vec::with_capacity(delta.as_str().len() / 4 * 3 + 4);
        audio.extend(self.half_sample.take());
        if LENIENT.decode_vec(delta.as_str(), &mut audio).is_err() {
            return ignored("bad_base64");
        }
        if self.whole_samples && audio.len() % 2 == 1 {
            self.half_sample = audio.pop(); // nothing forbids the vendor to cut inside a sample
        }
        if audio.is_empty() {
            return;
        }
        self.audio_bytes.increment(audio.len() as u64);
        let piece = AgentAudio {
            response: self.response.get(text(&event.response_id)),
            item: self.item.get(text(&event.item_id)),
            bytes: Bytes::from(audio),
        };
        self.sounds = true;
        if self.agent.push(piece) != Pushed::Queued {
            self.dropped.increment(1);
        }
    }

    fn hear_response(&mut self, event: &ServerEvent<'_>, events: &mut VecDeque<EngineEvent>) {
        match &*event.kind {
            "response.created" => {
                let response = parsed::<Response>(event.response);
                if self.asides.begin(&response) {
                    return;
                }
                let id = self.response.get(response.id.as_deref().unwrap_or(""));
                let wish = response.metadata.and_then(|metadata| metadata.wish());
                self.half_sample = None;
                (self.sounds, self.worded) = (false, Vec::new());
                events.push_back(EngineEvent::ResponseCreated { response: id, wish });
            }
            "response.function_call_arguments.done" => {
                let call = [&event.call_id, &event.name, &event.arguments].map(text);
                self.tools.arguments_done(text(&event.response_id), call);
            }
            "response.output_item.added" => self.tools.item_added(text(&event.response_id), &parsed(event.item)),
            "response.output_item.done" => {
                self.tools.item_done(text(&event.response_id), &parsed(event.item), events);
            }
            "response.done" => self.response_done(event.response, events),
            kind => unhandled(kind),
        }
    }

    fn response_done(&mut self, response: Option<&RawValue>, events: &mut VecDeque<EngineEvent>) {
        // A response that cannot be read is over all the same: the inside waits for its end.
        let response = parsed::<Response>(response);
        let status = response.status.as_deref().unwrap_or("");
        if let Some((request, text)) = self.asides.end(&response) {
            let usage = self.usage(response.usage.as_ref());
            events.push_back(summarised(request, text, outcome(status, &response), usage));
            return;
        }
        let id = self.response.get(response.id.as_deref().unwrap_or(""));
        self.tools.response_done(&id, status == "completed", response.output.as_deref().unwrap_or(&[]), events);
        let outcome = outcome(status, &response);
        let usage = self.usage(response.usage.as_ref());
        let (worded, sounds) = (std::mem::take(&mut self.worded), std::mem::take(&mut self.sounds));
        if !worded.is_empty() && !sounds {
            events.push_back(EngineEvent::AnswerSilent(worded));
        }
        events.push_back(EngineEvent::ResponseDone { response: id, outcome, usage });
    }

    fn usage(&mut self, wire: Option<&WireUsage>) -> Usage {
        let mut usage = wire.map(counted).unwrap_or_default();
        usage.cost_micro_usd = self.price.map_or(0, |price| cost_micro_usd(&usage, price));
        usage.cost_micro_usd += std::mem::take(&mut self.transcription_micro_usd);
        usage
    }

    fn hear_caller(&mut self, event: &ServerEvent<'_>, events: &mut VecDeque<EngineEvent>) {
        let item = || -> Arc<str> { text(&event.item_id).into() };
        events.push_back(match &*event.kind {
            "input_audio_buffer.speech_started" => {
                EngineEvent::SpeechStarted { item: item(), at_ms: milliseconds(event.audio_start_ms) }
            }
            "input_audio_buffer.speech_stopped" => {
                let at_ms = milliseconds(event.audio_end_ms);
                // What was sent since, only the writing half knows.
                EngineEvent::SpeechStopped { item: item(), at_ms, behind: Duration::ZERO }
            }
            "input_audio_buffer.committed" => EngineEvent::TurnCommitted { item: item() },
            "conversation.item.input_audio_transcription.completed" => {
                self.count_transcription(event.usage);
                EngineEvent::CallerTranscript { item: item(), text: text(&event.transcript).into() }
            }
            "conversation.item.input_audio_transcription.failed" => {
                EngineEvent::CallerTranscriptFailed { item: item() }
            }
            // The second is what older services say.
            "conversation.item.added" | "conversation.item.created" => match item_added(&parsed(event.item)) {
                Some(event) => event,
                None => return ignored("nameless_item"),
            },
            kind => return unhandled(kind),
        });
    }

    /// Billed apart from responses; the next one carries it.
    fn count_transcription(&mut self, usage: Option<&RawValue>) {
        if let Some(seconds) = parsed::<TranscriptionUsage>(usage).seconds {
            self.transcription_micro_usd += transcription_micro_usd(self.transcription_model.as_deref(), seconds);
        }
    }
}

fn hear_error(error: Option<&RawValue>, events: &mut VecDeque<EngineEvent>) -> bool {
    let error = parsed::<WireError>(error);
    let code = error.code();
    let fault = fault(&error, &code);
    let summary =
        error.event_id.as_ref().and_then(serde_json::Value::as_str).and_then(request_of).filter(|_| !fault.is_fatal());
    events.push_back(if let Some(request) = summary {
        EngineEvent::Summarised { request, result: Err(fault.classify()), usage: Usage::default() }
    } else if fault.is_active_response() {
        EngineEvent::ResponseRefused
    } else if fault.is_fatal() {
        EngineEvent::Lost(fault.classify())
    } else {
        EngineEvent::Warned(fault.classify())
    });
    Transcription::is_refusal(&error)
}

fn item_added(item: &Item) -> Option<EngineEvent> {
    let id = item.id.as_deref().filter(|id| !id.is_empty())?;
    let call = || item.call_id.as_deref().unwrap_or("").into();
    let kind = match (item.kind.as_deref(), item.role.as_deref()) {
        (Some("message"), Some("user")) => ItemKind::Caller,
        (Some("message"), Some("assistant")) => ItemKind::Agent,
        (Some("function_call"), _) => ItemKind::ToolCall(call()),
        (Some("function_call_output"), _) => ItemKind::ToolOutput(call()),
        _ => ItemKind::Other,
    };
    Some(EngineEvent::ItemAdded { item: id.into(), kind, replayed: replayed(id) })
}

/// The parts of a wire error that its meaning depends on.
pub(super) fn fault<'a>(error: &'a WireError, code: &'a str) -> Fault<'a> {
    Fault { kind: error.kind.as_deref().unwrap_or(""), code, message: error.message.as_deref().unwrap_or("") }
}

/// A nested object, or its default if it is absent or of another shape.
pub(super) fn parsed<'a, T: Deserialize<'a> + Default>(raw: Option<&'a RawValue>) -> T {
    let Some(raw) = raw else { return T::default() };
    serde_json::from_str(raw.get()).unwrap_or_else(|_| {
        ignored("malformed");
        T::default()
    })
}

fn outcome(status: &str, response: &Response) -> ResponseOutcome {
    let details = response.status_details.as_ref();
    match status {
        "completed" => ResponseOutcome::Completed,
        "cancelled" => ResponseOutcome::Cancelled,
        "incomplete" => {
            let reason = details.and_then(|details| details.reason.as_deref()).unwrap_or("");
            tracing::debug!(reason = super::faults::plain(reason), "engine response incomplete");
            ResponseOutcome::Incomplete
        }
        "failed" => ResponseOutcome::Failed(match details.and_then(|details| details.error.as_ref()) {
            Some(error) => fault(error, &error.code()).classify(),
            None => EngineError::Protocol("response failed without a reason".to_owned()),
        }),
        _ => ResponseOutcome::Failed(EngineError::Protocol("response ended without a known status".to_owned())),
    }
}

fn counted(wire: &WireUsage) -> Usage {
    let mut usage = Usage::default();
    if let Some(tokens) = &wire.input_token_details {
        usage.text_in = tokens.text_tokens.unwrap_or(0);
        usage.audio_in = tokens.audio_tokens.unwrap_or(0);
        match &tokens.cached_tokens_details {
            Some(cached) => {
                usage.text_cached = cached.text_tokens.unwrap_or(0);
                usage.audio_cached = cached.audio_tokens.unwrap_or(0);
            }
            None => {
                let cached = tokens.cached_tokens.unwrap_or(0);
                usage.text_cached = cached.min(usage.text_in);
                usage.audio_cached = (cached - usage.text_cached).min(usage.audio_in);
            }
        }
    }
    if let Some(tokens) = &wire.output_token_details {
        usage.text_out = tokens.text_tokens.unwrap_or(0);
        usage.audio_out = tokens.audio_tokens.unwrap_or(0);
    }
    usage
}

/// Fractions and negative values are not expected and not worth losing an event for.
fn milliseconds(value: Option<f64>) -> u64 {
    value.unwrap_or(0.0) as u64
}

fn unhandled(kind: &str) {
    if !UNEVENTFUL.contains(&kind) {
        ignored("unknown_event");
    }
}

/// Counts something that was received and cannot be used. The session goes on.
pub(super) fn ignored(kind: &'static str) {
    metrics::counter!("caly_engine_ignored_total", "kind" => kind).increment(1);
}
