//! What the recogniser of the caller's words is told to expect: the language they speak, and names it could not know.
//! Which model takes what: protocol notes §2.1 (`language` is one ISO 639-1 code; only the newest take a list; the
//! streaming and the diarizing ones take no prompt). A model that is not known is told nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use caly_actors::domain::{Agent, Language};
use serde_json::{Value, json};

use super::OpenAiOptions;
use super::wire::WireError;

/// Longest prompt, in characters. Whisper looks at the last 224 tokens only, and Devanagari takes about one a character.
const PROMPT_MAX: usize = 400;
/// Sent with an update, and named by the vendor's refusal of it.
const EVENT_ID: &str = "caller_speaks";

/// What a model may be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Takes {
    Nothing,
    Language { prompt: bool },
    Languages,
}

fn takes(model: &str) -> Takes {
    match model {
        "whisper-1" | "gpt-4o-transcribe" | "gpt-4o-mini-transcribe" | "gpt-4o-mini-transcribe-2025-12-15" => {
            Takes::Language { prompt: true }
        }
        "gpt-4o-transcribe-diarize" | "gpt-realtime-whisper" => Takes::Language { prompt: false },
        "gpt-transcribe" | "gpt-live-transcribe" => Takes::Languages,
        _ => Takes::Nothing,
    }
}

/// The `audio.input.transcription` of one session.
pub(super) struct Transcription {
    model: Option<String>,
    /// Set by the operator: it is not followed then.
    fixed: Option<String>,
    agent: Arc<Agent>,
    refused: Arc<AtomicBool>,
    /// The prompt told last: a recogniser that hears nothing may say it back.
    prompt: Option<String>,
    /// All that was told last.
    told: Value,
}

impl Transcription {
    /// `refused` outlives the session: a service that refuses hints is not told any in later ones.
    pub(super) fn new(options: &OpenAiOptions, agent: &Arc<Agent>, refused: &Arc<AtomicBool>) -> Self {
        Self {
            model: options.transcription_model.clone(),
            fixed: options.transcription_language.clone(),
            agent: Arc::clone(agent),
            refused: Arc::clone(refused),
            prompt: None,
            told: Value::Null,
        }
    }

    /// The object for a session, `null` without a recogniser. `language` is what the caller speaks, once they were heard.
    pub(super) fn wire(&mut self, language: Option<Language>) -> Value {
        self.told = self.made(language);
        self.told.clone()
    }

    /// The same for a service that takes no hints: the recogniser and the operator's language.
    pub(super) fn bare(&self) -> Value {
        match (&self.model, &self.fixed) {
            (None, _) => Value::Null,
            (Some(model), None) => json!({ "model": model }),
            (Some(model), Some(language)) => json!({ "model": model, "language": language }),
        }
    }

    fn takes(&self) -> Takes {
        match &self.model {
            Some(model) if !self.refused.load(Ordering::Relaxed) => takes(model),
            Some(_) | None => Takes::Nothing,
        }
    }

    fn made(&mut self, language: Option<Language>) -> Value {
        let mut wire = self.bare();
        let prompt = match self.takes() {
            Takes::Nothing => return wire,
            Takes::Language { prompt } => {
                if let (None, Some(code)) = (&self.fixed, one(language, &self.agent)) {
                    wire["language"] = json!(code);
                }
                prompt
            }
            Takes::Languages => {
                if self.fixed.is_none() {
                    wire["languages"] = json!(all(language, &self.agent));
                }
                true
            }
        };
        self.prompt = prompt.then(|| self.words(language)).flatten();
        if let Some(prompt) = &self.prompt {
            wire["prompt"] = json!(prompt);
        }
        wire
    }

    /// The update for a session under way; `None` if it would tell nothing new.
    pub(super) fn update(&mut self, language: Option<Language>) -> Option<String> {
        let known = self.told.clone();
        if self.takes() == Takes::Nothing || self.wire(language) == known {
            return None;
        }
        let session = json!({ "type": "realtime", "audio": { "input": { "transcription": &self.told } } });
        Some(json!({ "type": "session.update", "event_id": EVENT_ID, "session": session }).to_string())
    }

    /// Whether the session was told more than the bare recogniser.
    pub(super) fn told_hints(&self) -> bool {
        self.told != self.bare()
    }

    /// The service refused what it was told; it is told no more.
    pub(super) fn refuse(&self) {
        if !self.refused.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                model = self.model.as_deref().unwrap_or_default(),
                "the recogniser's hints are refused; calls go on without them until the next start"
            );
            metrics::counter!("caly_engine_hints_refused_total").increment(1);
        }
    }

    /// Whether an error refuses what was told: it names our event, or the setting.
    pub(super) fn is_refusal(error: &WireError) -> bool {
        let text = |value: &Option<Value>| value.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
        text(&error.event_id) == EVENT_ID || text(&error.param).contains("input.transcription")
    }

    /// Whether a transcript is only the prompt said back, as recognisers do with silence.
    pub(super) fn is_echo(&self, transcript: &str) -> bool {
        self.prompt.as_deref().is_some_and(|prompt| transcript.trim() == prompt)
    }

    /// The client's name and as many of its products as fit, in a sentence of the caller's language: the recogniser goes on
    /// in the script that it reads.
    fn words(&self, language: Option<Language>) -> Option<String> {
        let mut words = self.agent.products.words();
        let client = words.next().map(one_line)?;
        let lead = match language {
            Some(Language::English) => format!("A phone call to {client}."),
            Some(Language::Hindi) => format!("{client} को फ़ोन कॉल।"),
            Some(Language::Hinglish) => format!("{client} ko phone call hai."),
            None => format!("{client}."),
        };
        let mut prompt: String = lead.chars().take(PROMPT_MAX).collect();
        let mut left = PROMPT_MAX - prompt.chars().count();
        for (at, name) in words.map(one_line).enumerate() {
            let before = if at == 0 { " " } else { ", " };
            let length = before.len() + name.chars().count();
            if length > left {
                break;
            }
            left -= length;
            prompt.extend([before, &name]);
        }
        Some(prompt)
    }
}

/// The one language that is spoken. Hinglish is two: with one of them named, the words of the other suffer.
fn one(language: Option<Language>, agent: &Agent) -> Option<&'static str> {
    let only = || (agent.languages.len() == 1 && agent.languages[0] == agent.language).then_some(agent.language);
    match language.or_else(only)? {
        Language::English => Some("en"),
        Language::Hindi => Some("hi"),
        Language::Hinglish => None,
    }
}

/// The languages that may be spoken, the caller's first.
fn all(language: Option<Language>, agent: &Agent) -> Vec<&'static str> {
    let codes = |language: Language| match language {
        Language::English => &["en"][..],
        Language::Hindi => &["hi"],
        Language::Hinglish => &["hi", "en"],
    };
    let order = [language.unwrap_or(agent.language), agent.language, Language::Hindi, Language::English];
    let mut all = Vec::new();
    for language in order.into_iter().filter(|spoken| Some(*spoken) == language || agent.speaks(*spoken)) {
        all.extend(codes(language).iter().filter(|code| !all.contains(*code)).copied().collect::<Vec<_>>());
    }
    all
}

fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}
