//! One response of the simulated engine: its items, and the schedule by which its events go out.
//!
//! Audio leaves in bursts of 200 to 500 ms, much faster than it plays. Cancelling closes every open item and tells why.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::script::{Piece, Plan};
use crate::sim::Dice;
use crate::sim::audio;

/// How a session's audio is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    Pcm24,
    Ulaw,
    Alaw,
}

impl Format {
    pub(crate) fn of(value: &Value) -> Self {
        match value["type"].as_str() {
            Some("audio/pcmu") => Self::Ulaw,
            Some("audio/pcma") => Self::Alaw,
            _ => Self::Pcm24,
        }
    }

    pub(crate) fn bytes_per_ms(self) -> usize {
        if self == Self::Pcm24 { 48 } else { 8 }
    }

    /// 8 kHz samples as this format.
    pub(crate) fn encode(self, samples: &[i16]) -> Vec<u8> {
        match self {
            Self::Pcm24 => audio::to_le(&audio::resample(samples, audio::RATE, 24_000)),
            Self::Ulaw => samples.iter().map(|s| audio::linear_to_ulaw(*s)).collect(),
            Self::Alaw => samples.iter().map(|s| audio::linear_to_alaw(*s)).collect(),
        }
    }

    /// This format as 8 kHz samples. PCM must come in whole samples; up to two of them are lost at the end.
    pub(crate) fn decode(self, bytes: &[u8]) -> Vec<i16> {
        match self {
            Self::Pcm24 => audio::resample(&audio::from_le(bytes), 24_000, audio::RATE),
            Self::Ulaw => bytes.iter().map(|c| audio::ulaw_to_linear(*c)).collect(),
            Self::Alaw => bytes.iter().map(|c| audio::alaw_to_linear(*c)).collect(),
        }
    }
}

/// What can go out when its time has come.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    OpenItem(usize),
    Words(usize, String),
    Sound(usize, usize),
    Arguments(usize, String),
    CloseItem(usize),
    RateLimits,
    Finish,
    Fail(String),
    /// Faults: nothing more is sent, bytes that are no JSON, the socket is cut.
    Stall,
    Garbage,
    Drop,
}

/// One output item.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) item_id: String,
    pub(crate) call: Option<(String, String)>,
    /// The words or the arguments in full, and how many bytes of them went out.
    pub(crate) text: String,
    pub(crate) text_sent: usize,
    pub(crate) sound: Arc<[u8]>,
    pub(crate) sound_sent: usize,
    pub(crate) open: bool,
    pub(crate) closed: bool,
}

/// A response that is being given.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) id: String,
    /// Writes to the conversation, or is out of band.
    pub(crate) in_conversation: bool,
    pub(crate) metadata: Value,
    /// `audio` or `text`.
    pub(crate) spoken: bool,
    pub(crate) format: Format,
    pub(crate) wire_audio: Value,
    pub(crate) max_tokens: Value,
    pub(crate) input_usage: Value,
    pub(crate) outputs: Vec<Output>,
    pub(crate) steps: VecDeque<(Duration, Step)>,
}

/// The tempo of a response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tempo {
    /// From the end of the turn to the first event.
    pub(crate) think: Duration,
    /// Between two audio deltas.
    pub(crate) gap: Duration,
}

impl Running {
    /// Lays out the items of a plan and when each event is sent.
    pub(crate) fn schedule(&mut self, plan: &Plan, now: Duration, tempo: Tempo, dice: &mut Dice) {
        let mut at = now + tempo.think;
        let limits_first = dice.below(2) == 0;
        if limits_first {
            self.steps.push_back((at, Step::RateLimits));
        }
        if let Some(code) = &plan.fail {
            self.steps.push_back((at, Step::Fail(code.clone())));
            return;
        }
        for piece in &plan.pieces {
            self.add_piece(piece, &mut at, tempo, dice);
        }
        self.steps.push_back((at, Step::Finish));
        if !limits_first {
            self.steps.push_back((at, Step::RateLimits));
        }
    }

    fn add_piece(&mut self, piece: &Piece, at: &mut Duration, tempo: Tempo, dice: &mut Dice) {
        let index = self.outputs.len();
        let (text, call, sound): (_, _, Arc<[u8]>) = match piece {
            Piece::Say { text, clip } if self.spoken => {
                let samples =
                    clip.as_ref().map_or_else(|| audio::murmur(text).into(), |clip| Arc::clone(&clip.samples));
                (text.clone(), None, self.format.encode(&samples).into())
            }
            Piece::Say { text, .. } => (text.clone(), None, Arc::from([])),
            Piece::Call { name, arguments } => {
                (arguments.clone(), Some((name.clone(), format!("call_{}", dice.word(16)))), Arc::from([]))
            }
        };
        self.steps.push_back((*at, Step::OpenItem(index)));
        if call.is_some() {
            for part in pieces_of(&text, 12) {
                self.steps.push_back((*at, Step::Arguments(index, part)));
            }
        } else {
            let (total, mut said, mut sent) = (sound.len(), 0usize, 0usize);
            for word in text.split_inclusive(' ') {
                self.steps.push_back((*at, Step::Words(index, word.to_owned())));
                said += word.len();
                // Words run a little ahead of the sound, as the real engine's do.
                while sent < total * said / text.len() {
                    let burst = (200 + dice.below(301)) as usize * self.format.bytes_per_ms();
                    let burst = burst.min(total - sent);
                    self.steps.push_back((*at, Step::Sound(index, burst)));
                    sent += burst;
                    *at += tempo.gap;
                }
            }
        }
        self.steps.push_back((*at, Step::CloseItem(index)));
        let item_id = format!("item_{}", dice.word(20));
        let open = false;
        self.outputs.push(Output { item_id, call, text, text_sent: 0, sound, sound_sent: 0, open, closed: false });
    }

    /// Puts a fault where half of the events have gone out.
    pub(crate) fn insert_fault(&mut self, fault: Step) {
        let at = self.steps.len() / 2;
        let time = self.steps.get(at).map_or(Duration::ZERO, |step| step.0);
        self.steps.insert(at, (time, fault));
    }

    /// The item as it is now, with what has been said of it.
    pub(crate) fn item(&self, output: &Output, status: &str) -> Value {
        let said = &output.text[..output.text_sent];
        match &output.call {
            Some((name, call_id)) => json!({"id": output.item_id, "object": "realtime.item", "type": "function_call",
                "status": status, "name": name, "call_id": call_id, "arguments": said}),
            None => {
                let part = if self.spoken {
                    json!({"type": "output_audio", "transcript": said})
                } else {
                    json!({"type": "output_text", "text": said})
                };
                let content = if status == "in_progress" { json!([]) } else { json!([part]) };
                json!({"id": output.item_id, "object": "realtime.item", "type": "message", "role": "assistant",
                    "status": status, "content": content})
            }
        }
    }

    /// The response object.
    pub(crate) fn object(&self, status: &str, details: Value, usage: Value, conversation: &str) -> Value {
        let item_status = if status == "completed" { "completed" } else { "incomplete" };
        let output: Vec<Value> = self
            .outputs
            .iter()
            .filter(|output| output.open || output.closed)
            .map(|output| {
                self.item(
                    output,
                    if output.text_sent == output.text.len() && output.sound_sent == output.sound.len() {
                        "completed"
                    } else {
                        item_status
                    },
                )
            })
            .collect();
        let output = if status == "in_progress" { Vec::new() } else { output };
        json!({"object": "realtime.response", "id": self.id, "status": status, "status_details": details,
            "output": output, "conversation_id": if self.in_conversation { json!(conversation) } else { Value::Null },
            "output_modalities": [if self.spoken { "audio" } else { "text" }], "max_output_tokens": self.max_tokens,
            "audio": {"output": self.wire_audio}, "metadata": self.metadata, "usage": usage})
    }

    /// Tokens: 4 characters of text, 50 ms of the assistant's sound.
    pub(crate) fn usage(&self) -> Value {
        let audio: usize = self.outputs.iter().map(|o| o.sound_sent / self.format.bytes_per_ms() / 50).sum();
        let text: usize = self.outputs.iter().map(|o| o.text_sent.div_ceil(4)).sum();
        let mut usage = self.input_usage.clone();
        let input = usage["input_tokens"].as_u64().unwrap_or(0);
        let output = (audio + text) as u64;
        usage["output_tokens"] = json!(output);
        usage["total_tokens"] = json!(input + output);
        usage["output_token_details"] = json!({"text_tokens": text, "audio_tokens": audio});
        usage
    }
}

/// A text in pieces of about `size` bytes, cut between characters.
fn pieces_of(text: &str, size: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for c in text.chars() {
        if pieces.last().is_some_and(|piece| piece.len() >= size) {
            pieces.push(String::new());
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push(c);
        }
    }
    pieces
}
