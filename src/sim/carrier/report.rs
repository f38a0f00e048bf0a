//! What is known of a placed call afterwards.

use std::time::Duration;

use serde_json::{Value, json};

use super::ear::Utterance;

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The bot closed the stream and the flow had nothing more.
    AgentHungUp,
    /// The scenario's caller hung up.
    CallerHungUp,
    /// The flow dialled this number.
    Transferred(String),
    /// The flow went on to Connect, which had no number to dial.
    NotDialled,
    /// The call never got its stream: where and why.
    Refused(String),
    /// Something broke: where and why.
    Failed(String),
}

impl Outcome {
    /// The word of scenarios, JSON and tables.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::AgentHungUp => "agent_hung_up",
            Self::CallerHungUp => "caller_hung_up",
            Self::Transferred(_) => "transferred",
            Self::NotDialled => "not_dialled",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
        }
    }

    /// The number or the reason, if there is one.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Transferred(text) | Self::Refused(text) | Self::Failed(text) => Some(text),
            Self::AgentHungUp | Self::CallerHungUp | Self::NotDialled => None,
        }
    }
}

/// One thing the caller said and how long the answer took.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// The clip.
    pub clip: String,
    /// When the caller began, since the stream began.
    pub start: Duration,
    /// When the caller's last sound was sent.
    pub end: Duration,
    /// From there to the agent's first sound; absent when none came.
    pub latency: Option<Duration>,
    /// When the caller interrupted: from the caller's first sound until the agent was silent.
    pub silenced: Option<Duration>,
}

/// Everything about one call.
#[derive(Clone, Debug)]
pub struct CallReport {
    /// The carrier's id.
    pub call_sid: String,
    /// The stream's id.
    pub stream_sid: String,
    /// Which scenario.
    pub scenario: String,
    /// How it ended.
    pub outcome: Outcome,
    /// As expected, and nobody broke the protocol.
    pub ok: bool,
    /// What the scenario wanted, if something else happened.
    pub unexpected: Option<String>,
    /// How long the dynamic URL took to answer.
    pub dynamic_url: Option<Duration>,
    /// How long the upgrade took.
    pub upgrade: Option<Duration>,
    /// From `start` to the agent's first sound.
    pub first_audio: Option<Duration>,
    /// How long the Passthru and the Connect URL took.
    pub passthru: Option<Duration>,
    /// See there.
    pub connect: Option<Duration>,
    /// How long the stream lasted.
    pub stream: Duration,
    /// What the caller said.
    pub turns: Vec<Turn>,
    /// What the agent said.
    pub heard: Vec<Utterance>,
    /// Silences of 10 to 400 ms inside the agent's speech: when, and how long.
    pub gaps: Vec<(Duration, Duration)>,
    /// Most audio that ever waited at the carrier.
    pub ahead_max: Duration,
    /// How late the carrier itself was with a frame, at worst: above a few ms its timings say little.
    pub tick_late_max: Duration,
    /// Messages of the bot: media, mark, clear.
    pub messages: (u64, u64, u64),
    /// What the bot did wrong.
    pub violations: Vec<String>,
    /// What it may do but had better not, each kind once.
    pub notes: Vec<String>,
    /// Close code of the bot, if it sent one.
    pub close_code: Option<u16>,
}

impl CallReport {
    pub(super) fn new(call_sid: String, stream_sid: String, scenario: String) -> Self {
        Self {
            call_sid,
            stream_sid,
            scenario,
            outcome: Outcome::Failed("the call was not placed".to_owned()),
            ok: false,
            unexpected: None,
            dynamic_url: None,
            upgrade: None,
            first_audio: None,
            passthru: None,
            connect: None,
            stream: Duration::ZERO,
            turns: Vec::new(),
            heard: Vec::new(),
            gaps: Vec::new(),
            ahead_max: Duration::ZERO,
            tick_late_max: Duration::ZERO,
            messages: (0, 0, 0),
            violations: Vec::new(),
            notes: Vec::new(),
            close_code: None,
        }
    }

    pub(super) fn note(&mut self, note: String) {
        if self.notes.len() < 20 && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub(super) fn violation(&mut self, violation: String) {
        if self.violations.len() < 200 {
            self.violations.push(violation);
        }
    }

    /// Judges the outcome by what the scenario expects.
    pub(super) fn judge(&mut self, expect: Option<&str>) {
        let broken = matches!(self.outcome, Outcome::Refused(_) | Outcome::Failed(_));
        if let Some(wanted) = expect.filter(|wanted| *wanted != self.outcome.word()) {
            self.unexpected = Some(format!("expected {wanted}, got {}", self.outcome.word()));
        }
        self.ok = !broken && self.unexpected.is_none() && self.violations.is_empty();
    }

    /// One JSON object; durations in milliseconds.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let ms = |duration: Duration| (duration.as_secs_f64() * 10_000.0).round() / 10.0;
        let maybe = |duration: Option<Duration>| duration.map(ms);
        let turns: Vec<Value> = self
            .turns
            .iter()
            .map(|turn| {
                json!({"clip": turn.clip, "start_ms": ms(turn.start), "end_ms": ms(turn.end),
                    "latency_ms": maybe(turn.latency), "silenced_ms": maybe(turn.silenced)})
            })
            .collect();
        let heard: Vec<Value> = self
            .heard
            .iter()
            .map(|said| json!({"start_ms": ms(said.start), "end_ms": ms(said.end), "clips": said.clips, "words": said.words}))
            .collect();
        let gaps: Vec<Value> =
            self.gaps.iter().map(|(at, long)| json!({"at_ms": ms(*at), "gap_ms": ms(*long)})).collect();
        json!({"call_sid": self.call_sid, "stream_sid": self.stream_sid, "scenario": self.scenario,
            "outcome": self.outcome.word(), "detail": self.outcome.detail(), "ok": self.ok,
            "unexpected": self.unexpected, "dynamic_url_ms": maybe(self.dynamic_url),
            "upgrade_ms": maybe(self.upgrade), "first_audio_ms": maybe(self.first_audio),
            "passthru_ms": maybe(self.passthru), "connect_ms": maybe(self.connect), "stream_ms": ms(self.stream),
            "turns": turns, "heard": heard, "gaps": gaps, "ahead_max_ms": ms(self.ahead_max),
            "tick_late_max_ms": ms(self.tick_late_max),
            "messages": {"media": self.messages.0, "mark": self.messages.1, "clear": self.messages.2},
            "violations": self.violations, "notes": self.notes, "close_code": self.close_code})
    }
}
