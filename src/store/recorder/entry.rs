//! Journal entries as the queue, the spool file and the tables keep them. Private: a spool is read by the program that
//! wrote it or by a newer one, so fields may be added here (with a default) and never change their meaning.

use std::time::{Duration, SystemTime};

use caly_actors::domain::{Action, CallFacts, CallId, EndReason, Speaker, Turn, Understanding, Usage};
use caly_actors::ports::JournalEntry;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::store::facts::{AuditEntry, CarrierFact, RecordingFact};

/// One thing to write. The id is made when it is recorded, sorts in that order and makes a repeated write harmless.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) id: Uuid,
    pub(super) at: DateTime<Utc>,
    pub(super) body: Body,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Body {
    Admitted(Box<Admitted>),
    Answered { call: Uuid, rate: i64 },
    Turn(Box<TurnBody>),
    Intent { call: Uuid, turn: Uuid, intent: String, confidence: f64, entities: Value, at_ms: i64 },
    Action(Box<ActionBody>),
    Event { call: Uuid, name: String, detail: Value, at_ms: i64 },
    Decided { call: Uuid, after: String, summary: String },
    TakenUp { call: Uuid, at_ms: i64 },
    Met(Box<MetBody>),
    DoNotCall { call: Uuid, client: Uuid, e164: String },
    Spent { call: Uuid, usage: [i64; 7] },
    Ended(Box<EndedBody>),
    Carrier(Box<CarrierFact>),
    Recording(Box<RecordingFact>),
    Audit(Box<AuditEntry>),
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Admitted {
    pub(super) call: Uuid,
    pub(super) client: Uuid,
    pub(super) agent: Uuid,
    pub(super) agent_version: i64,
    pub(super) carrier: String,
    pub(super) carrier_call_id: String,
    pub(super) caller: Option<String>,
    pub(super) called: Option<String>,
    pub(super) direction: String,
    pub(super) admitted_at: DateTime<Utc>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct TurnBody {
    pub(super) call: Uuid,
    pub(super) id: Uuid,
    pub(super) speaker: String,
    pub(super) text: String,
    /// What the recogniser wrote, if that was something else; absent in a spool of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) raw: Option<String>,
    pub(super) unheard: String,
    pub(super) interrupted: bool,
    pub(super) started_ms: i64,
    pub(super) ended_ms: i64,
    pub(super) latency_ms: Option<i64>,
    /// Commit, first audio, sent, heard, total; absent in a spool of an earlier version.
    #[serde(default)]
    pub(super) gaps_ms: [Option<i64>; 5],
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct ActionBody {
    pub(super) call: Uuid,
    pub(super) client: Uuid,
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) idempotency_key: String,
    pub(super) arguments: Value,
    pub(super) state: String,
    pub(super) output: Option<Value>,
    pub(super) attempts: i64,
    pub(super) started_ms: i64,
    pub(super) changed_ms: i64,
    /// Absent in a spool of an earlier version, as the next.
    #[serde(default)]
    pub(super) undo: Option<Value>,
    #[serde(default)]
    pub(super) undoes: Option<Uuid>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct MetBody {
    pub(super) call: Uuid,
    pub(super) client: Uuid,
    pub(super) e164: String,
    pub(super) language: Option<String>,
    pub(super) keep_s: i64,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct EndedBody {
    pub(super) call: Uuid,
    pub(super) reason: String,
    pub(super) at_ms: i64,
    /// Text in, of which cached, audio in, of which cached, text out, audio out, micro-dollars.
    pub(super) usage: [i64; 7],
    pub(super) degraded: Vec<String>,
}

impl Entry {
    pub(super) fn journal(at: SystemTime, entry: JournalEntry) -> Self {
        Self { id: Uuid::now_v7(), at: at.into(), body: Body::from(entry) }
    }

    pub(super) fn now(body: Body) -> Self {
        Self { id: Uuid::now_v7(), at: Utc::now(), body }
    }

    /// May be given up when there is no room left anywhere.
    pub(super) fn is_event(&self) -> bool {
        // What a call has cost is said again with its end.
        matches!(self.body, Body::Event { .. } | Body::Spent { .. })
    }

    /// A short stable word, for metrics and for those who listen.
    pub(super) fn kind(&self) -> &'static str {
        match self.body {
            Body::Admitted(_) => "admitted",
            Body::Answered { .. } => "answered",
            Body::Turn(_) => "turn",
            Body::Intent { .. } => "intent",
            Body::Action(_) => "action",
            Body::Event { .. } => "event",
            Body::Decided { .. } => "decided",
            Body::TakenUp { .. } => "taken_up",
            Body::Met(_) => "met",
            Body::DoNotCall { .. } => "do_not_call",
            Body::Spent { .. } => "spent",
            Body::Ended(_) => "ended",
            Body::Carrier(_) => "carrier",
            Body::Recording(_) => "recording",
            Body::Audit(_) => "audit",
        }
    }

    /// The call, for what belongs to one by Caly's id.
    pub(super) fn call(&self) -> Option<CallId> {
        match &self.body {
            Body::Admitted(body) => Some(CallId(body.call)),
            Body::Turn(body) => Some(CallId(body.call)),
            Body::Action(body) => Some(CallId(body.call)),
            Body::Met(body) => Some(CallId(body.call)),
            Body::Ended(body) => Some(CallId(body.call)),
            Body::Answered { call, .. }
            | Body::Intent { call, .. }
            | Body::Event { call, .. }
            | Body::TakenUp { call, .. }
            | Body::DoNotCall { call, .. }
            | Body::Spent { call, .. }
            | Body::Decided { call, .. } => Some(CallId(*call)),
            Body::Carrier(_) | Body::Recording(_) | Body::Audit(_) => None,
        }
    }
}

impl From<JournalEntry> for Body {
    fn from(entry: JournalEntry) -> Self {
        match entry {
            JournalEntry::Admitted(facts) => Self::Admitted(Box::new(Admitted::from(&*facts))),
            JournalEntry::Answered { call, rate } => Self::Answered { call: call.0, rate: rate.into() },
            JournalEntry::Turn { call, turn, .. } => Self::Turn(Box::new(turn_body(call, &turn))),
            JournalEntry::Intent { call, turn, understanding, at } => Self::Intent {
                call: call.0,
                turn: turn.0,
                intent: understanding.name().to_owned(),
                confidence: fraction(understanding.confidence),
                entities: entities(&understanding),
                at_ms: millis(at),
            },
            JournalEntry::Action { call, client, action } => {
                Self::Action(Box::new(action_body(call, client.0, &action)))
            }
            JournalEntry::Event { call, kind, detail, at } => {
                Self::Event { call: call.0, name: kind.to_owned(), detail: json_of(&detail), at_ms: millis(at) }
            }
            JournalEntry::Decided { call, after, summary } => {
                Self::Decided { call: call.0, after: after.as_str().to_owned(), summary: summary.to_string() }
            }
            JournalEntry::TakenUp { call, at } => Self::TakenUp { call: call.0, at_ms: millis(at) },
            JournalEntry::CallerMet { call, client, number, language, keep } => Self::Met(Box::new(MetBody {
                call: call.0,
                client: client.0,
                e164: number.as_e164().to_owned(),
                language: language.map(|language| language.code().to_owned()),
                keep_s: i64::try_from(keep.as_secs()).unwrap_or(i64::MAX),
            })),
            JournalEntry::DoNotCall { call, client, number } => {
                Self::DoNotCall { call: call.0, client: client.0, e164: number.as_e164().to_owned() }
            }
            JournalEntry::Spent { call, usage } => Self::Spent { call: call.0, usage: counts(usage) },
            JournalEntry::Ended { call, reason, at, usage, degraded } => {
                Self::Ended(Box::new(ended_body(call, reason, at, usage, &degraded)))
            }
        }
    }
}

impl From<&CallFacts> for Admitted {
    fn from(facts: &CallFacts) -> Self {
        Self {
            call: facts.call.0,
            client: facts.client.0,
            agent: facts.agent.id.0,
            agent_version: facts.agent.version,
            carrier: facts.carrier.as_str().to_owned(),
            carrier_call_id: facts.carrier_call_id.as_str().to_owned(),
            caller: facts.caller.stored().map(str::to_owned),
            called: facts.called.stored().map(str::to_owned),
            direction: facts.direction.as_str().to_owned(),
            admitted_at: facts.admitted_at.into(),
        }
    }
}

fn turn_body(call: CallId, turn: &Turn) -> TurnBody {
    let speaker: Speaker = turn.speaker;
    TurnBody {
        call: call.0,
        id: turn.id.0,
        speaker: speaker.as_str().to_owned(),
        text: turn.text.to_string(),
        raw: turn.raw.as_deref().map(str::to_owned),
        unheard: turn.unheard.to_string(),
        interrupted: turn.interrupted,
        started_ms: millis(turn.started),
        ended_ms: millis(turn.ended),
        latency_ms: turn.latency.map(|latency| millis(latency.to_sent())),
        gaps_ms: turn.latency.map(|latency| latency.gaps().map(|gap| gap.map(millis))).unwrap_or_default(),
    }
}

fn action_body(call: CallId, client: Uuid, action: &Action) -> ActionBody {
    ActionBody {
        call: call.0,
        client,
        id: action.id.0,
        name: action.name.to_string(),
        idempotency_key: action.idempotency_key.to_string(),
        arguments: json_of(&action.arguments),
        state: action.state.as_str().to_owned(),
        output: action.output.as_deref().map(json_of),
        attempts: action.attempts.into(),
        started_ms: millis(action.started),
        changed_ms: millis(action.changed),
        undo: action.undo.as_deref().map(json_of),
        undoes: action.undoes.map(|undone| undone.0),
    }
}

fn ended_body(call: CallId, reason: EndReason, at: Duration, usage: Usage, degraded: &[&str]) -> EndedBody {
    EndedBody {
        call: call.0,
        reason: reason.as_str().to_owned(),
        at_ms: millis(at),
        usage: counts(usage),
        degraded: degraded.iter().map(|&part| part.to_owned()).collect(),
    }
}

/// In the order of [`EndedBody::usage`].
fn counts(usage: Usage) -> [i64; 7] {
    let counts = [
        usage.text_in,
        usage.text_cached,
        usage.audio_in,
        usage.audio_cached,
        usage.text_out,
        usage.audio_out,
        usage.cost_micro_usd,
    ];
    counts.map(|count| i64::try_from(count).unwrap_or(i64::MAX))
}

fn entities(understanding: &Understanding) -> Value {
    let entity = |entity: &caly_actors::domain::Entity| {
        json!({
            "kind": entity.kind,
            "text": &*entity.text,
            "value": entity.json(),
            "confidence": fraction(entity.confidence),
        })
    };
    understanding.entities.iter().map(entity).collect()
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// 0.0 to 1.0 in three decimals; what is no number becomes 0, since neither engine keeps it alike.
fn fraction(value: f32) -> f64 {
    if value.is_finite() { (f64::from(value) * 1000.0).round() / 1000.0 } else { 0.0 }
}

/// JSON text as a value; a text that is not JSON is kept as a string.
fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}
