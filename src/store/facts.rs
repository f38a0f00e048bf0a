//! What webhooks tell of a call, and the audit log: values that may be written at once or go through the recorder's
//! queue. Every statement here may be repeated, and facts of one call may come in any order.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

use caly_actors::domain::{Carrier, CarrierCallId, ClientId, Direction, Party};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Store;
use super::db::{Arg, Tx, args};
use super::error::StoreError;
use super::feed::{self, Subject, Told};
use crate::redact::{redact, redact_json};

/// A call's end as the carrier tells it, for a call that may not be known yet: then a row is made that is already
/// ended, which a late start fills but does not reopen. An end never goes back, and Caly's own reason, if it has one,
/// stands. A row of another client is left alone.
const CARRIER_ENDED_HEAD: &str = "INSERT INTO calls (id, client_id, carrier, carrier_call_id, caller, called, \
    direction, state, admitted_at, ended_at, ended_by, end_reason, text_in, text_cached, audio_in, audio_cached, \
    text_out, audio_out, cost_micro_usd, degraded, carrier_status, carrier_duration_s, carrier_ended_at)";
const CARRIER_ENDED_TAIL: &str = "ON CONFLICT (carrier, carrier_call_id) DO UPDATE SET state = 'ended', \
    ended_at = COALESCE(calls.ended_at, excluded.ended_at), ended_by = COALESCE(calls.ended_by, excluded.ended_by), \
    end_reason = COALESCE(calls.end_reason, excluded.end_reason), \
    carrier_status = CASE WHEN calls.carrier_ended_at IS NULL THEN excluded.carrier_status ELSE calls.carrier_status END, \
    carrier_duration_s = COALESCE(calls.carrier_duration_s, excluded.carrier_duration_s), \
    carrier_ended_at = COALESCE(calls.carrier_ended_at, excluded.carrier_ended_at), \
    caller = COALESCE(calls.caller, excluded.caller), called = COALESCE(calls.called, excluded.called), \
    direction = COALESCE(calls.direction, excluded.direction) \
    WHERE calls.client_id = excluded.client_id";

/// A word about a call that goes on; nothing for a call that is unknown or that the carrier has ended.
const CARRIER_STATUS_HEAD: &str = "UPDATE calls SET carrier_status = told.column4 FROM (";
const CARRIER_STATUS_TAIL: &str = ") AS told WHERE calls.carrier = told.column1 \
    AND calls.carrier_call_id = told.column2 AND calls.client_id = told.column3 AND calls.carrier_ended_at IS NULL";

const RECORDING_HEAD: &str = "INSERT INTO recordings (id, client_id, carrier, carrier_call_id, source, location, \
    duration_ms, received_at)";
const RECORDING_TAIL: &str = "ON CONFLICT (carrier, carrier_call_id, location) DO UPDATE SET \
    duration_ms = COALESCE(excluded.duration_ms, recordings.duration_ms) \
    WHERE recordings.client_id = excluded.client_id";

const AUDIT_HEAD: &str = "INSERT INTO audit_log (id, at, actor, client_id, action, outcome, remote, detail)";
const KEEP_FIRST: &str = "ON CONFLICT (id) DO NOTHING";

/// What a status webhook, or asking the carrier, told of a call.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CarrierFact {
    id: Uuid,
    client: Uuid,
    carrier: String,
    carrier_call_id: String,
    status: String,
    at: DateTime<Utc>,
    ended: bool,
    duration_s: Option<i64>,
    caller: Option<String>,
    called: Option<String>,
    direction: Option<String>,
}

impl CarrierFact {
    /// The call goes on; `status` is the carrier's word.
    #[must_use]
    pub fn status(client: ClientId, carrier: Carrier, call: &CarrierCallId, status: &str, at: DateTime<Utc>) -> Self {
        Self {
            id: Uuid::now_v7(),
            client: client.0,
            carrier: carrier.as_str().to_owned(),
            carrier_call_id: call.as_str().to_owned(),
            status: status.to_owned(),
            at,
            ended: false,
            duration_s: None,
            caller: None,
            called: None,
            direction: None,
        }
    }

    /// The call is over since `at`.
    #[must_use]
    pub fn ended(
        client: ClientId,
        carrier: Carrier,
        call: &CarrierCallId,
        status: &str,
        at: DateTime<Utc>,
        duration_s: Option<i64>,
    ) -> Self {
        Self { ended: true, duration_s, ..Self::status(client, carrier, call, status, at) }
    }

    /// Takes out what has no place in a carrier's word about a call.
    pub(super) fn mask(&mut self) {
        self.status = redact(&self.status).into_owned();
    }

    /// Adds who spoke to whom, for the row of a call nobody has told of before.
    #[must_use]
    pub fn between(mut self, caller: &Party, called: &Party, direction: Direction) -> Self {
        self.caller = caller.stored().map(str::to_owned);
        self.called = called.stored().map(str::to_owned);
        self.direction = Some(direction.as_str().to_owned());
        self
    }
}

/// Where a recording of a call lies. May come before the call's row, and twice.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RecordingFact {
    id: Uuid,
    client: Uuid,
    carrier: String,
    carrier_call_id: String,
    source: String,
    location: String,
    duration_ms: Option<i64>,
    at: DateTime<Utc>,
}

impl RecordingFact {
    /// Made by the carrier, at a URL.
    #[must_use]
    pub fn by_carrier(
        client: ClientId,
        carrier: Carrier,
        call: &CarrierCallId,
        url: &str,
        duration_ms: Option<i64>,
        at: DateTime<Utc>,
    ) -> Self {
        Self {
            id: Uuid::now_v7(),
            client: client.0,
            carrier: carrier.as_str().to_owned(),
            carrier_call_id: call.as_str().to_owned(),
            source: "carrier".to_owned(),
            location: url.to_owned(),
            duration_ms,
            at,
        }
    }

    /// Made by Caly, in a file of the data directory.
    #[must_use]
    pub fn by_caly(
        client: ClientId,
        carrier: Carrier,
        call: &CarrierCallId,
        path: &str,
        duration_ms: Option<i64>,
        at: DateTime<Utc>,
    ) -> Self {
        Self { source: "caly".to_owned(), ..Self::by_carrier(client, carrier, call, path, duration_ms, at) }
    }
}

/// Somebody did something, or tried to. No speech, keys or whole numbers in any field.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AuditEntry {
    id: Uuid,
    at: DateTime<Utc>,
    actor: String,
    client: Option<Uuid>,
    action: String,
    outcome: String,
    remote: Option<String>,
    detail: Value,
}

impl AuditEntry {
    /// `actor` did `action` (`webhook_rejected`, `key_created` …) now, with `outcome` (`ok`, `refused` …).
    #[must_use]
    pub fn new(actor: &str, action: &str, outcome: &str) -> Self {
        Self {
            id: Uuid::now_v7(),
            at: Utc::now(),
            actor: actor.to_owned(),
            client: None,
            action: action.to_owned(),
            outcome: outcome.to_owned(),
            remote: None,
            detail: Value::Object(serde_json::Map::new()),
        }
    }

    /// Whose matter it is.
    #[must_use]
    pub fn of(mut self, client: ClientId) -> Self {
        self.client = Some(client.0);
        self
    }

    /// Where it came from.
    #[must_use]
    pub fn from_address(mut self, remote: IpAddr) -> Self {
        self.remote = Some(remote.to_string());
        self
    }

    /// More, as a JSON object.
    #[must_use]
    pub fn detail(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }

    /// Takes out what nobody may read in the log.
    pub(super) fn mask(&mut self) {
        self.detail = redact_json(self.detail.take());
    }
}

/// Rows for statements that may touch no row twice: of rows with one key the first is in the first round, the second
/// in the second. Nearly always one round.
pub(super) fn rounds<K: Eq + Hash>(rows: impl IntoIterator<Item = (K, Vec<Arg>)>) -> Vec<Vec<Vec<Arg>>> {
    let (mut seen, mut rounds) = (HashMap::new(), Vec::<Vec<Vec<Arg>>>::new());
    for (key, row) in rows {
        let round = seen.entry(key).and_modify(|round| *round += 1).or_insert(0_usize);
        if rounds.len() <= *round {
            rounds.push(Vec::new());
        }
        if let Some(rows) = rounds.get_mut(*round) {
            rows.push(row);
        }
    }
    rounds
}

/// What the carrier told, of any number of calls, in a few statements. A word about a call that goes on may come after
/// the word of its end and changes nothing then, so the words go first.
pub(super) async fn apply_carrier(tx: &mut Tx, facts: &[&CarrierFact]) -> Result<(), StoreError> {
    let of = |fact: &CarrierFact| (fact.carrier.clone(), fact.carrier_call_id.clone());
    let words = facts.iter().filter(|fact| !fact.ended).map(|fact| {
        let row = args![fact.carrier.clone(), fact.carrier_call_id.clone(), fact.client, fact.status.clone()];
        (of(fact), row)
    });
    for round in rounds(words) {
        tx.insert_many(CARRIER_STATUS_HEAD, round, CARRIER_STATUS_TAIL).await?;
    }
    let ends = facts.iter().filter(|fact| fact.ended).map(|fact| (of(fact), ended_row(fact)));
    for round in rounds(ends) {
        tx.insert_many(CARRIER_ENDED_HEAD, round, CARRIER_ENDED_TAIL).await?;
    }
    Ok(())
}

fn ended_row(fact: &CarrierFact) -> Vec<Arg> {
    let mut row = args![
        fact.id,
        fact.client,
        fact.carrier.clone(),
        fact.carrier_call_id.clone(),
        fact.caller.clone(),
        fact.called.clone(),
        fact.direction.clone(),
        "ended",
        fact.at,
        fact.at,
        "carrier",
        "carrier_ended",
    ];
    row.extend([0; 7].map(|none: i64| Arg::from(none)));
    row.extend(args![Value::Array(Vec::new()), fact.status.clone(), fact.duration_s, fact.at]);
    row
}

pub(super) async fn apply_recordings(tx: &mut Tx, facts: &[&RecordingFact]) -> Result<(), StoreError> {
    let rows = facts.iter().map(|fact| {
        let row = args![
            fact.id,
            fact.client,
            fact.carrier.clone(),
            fact.carrier_call_id.clone(),
            fact.source.clone(),
            fact.location.clone(),
            fact.duration_ms,
            fact.at,
        ];
        ((fact.carrier.clone(), fact.carrier_call_id.clone(), fact.location.clone()), row)
    });
    for round in rounds(rows) {
        tx.insert_many(RECORDING_HEAD, round, RECORDING_TAIL).await?;
    }
    Ok(())
}

/// The id of what was told: a webhook that is repeated tells the same, so that the feed has it once.
fn once(client: Uuid, told: &[&str]) -> Uuid {
    Uuid::new_v5(&client, told.join("\0").as_bytes())
}

/// What the feed says of a carrier's word.
pub(super) fn told_of_carrier(fact: &CarrierFact) -> Told {
    let of = Subject::Carrier(fact.client, fact.carrier.clone(), fact.carrier_call_id.clone());
    let body = json!({ "status": fact.status, "ended": fact.ended, "duration_s": fact.duration_s });
    let ended = fact.ended.to_string();
    let entry = once(fact.client, &[&fact.carrier, &fact.carrier_call_id, "status", &fact.status, &ended]);
    Told { entry, kind: "carrier_status", of, turn: None, body, at: fact.at }
}

/// What the feed says of a recording: that it is there, not where.
pub(super) fn told_of_recording(fact: &RecordingFact) -> Told {
    let of = Subject::Carrier(fact.client, fact.carrier.clone(), fact.carrier_call_id.clone());
    let body = json!({ "source": fact.source, "duration_ms": fact.duration_ms });
    let length = fact.duration_ms.map(|length| length.to_string()).unwrap_or_default();
    let entry = once(fact.client, &[&fact.carrier, &fact.carrier_call_id, "recording", &fact.location, &length]);
    Told { entry, kind: "recording", of, turn: None, body, at: fact.at }
}

pub(super) async fn insert_audits(tx: &mut Tx, entries: &[&AuditEntry]) -> Result<(), StoreError> {
    let row = |entry: &&AuditEntry| -> Vec<Arg> {
        args![
            entry.id,
            entry.at,
            entry.actor.clone(),
            entry.client,
            entry.action.clone(),
            entry.outcome.clone(),
            entry.remote.clone(),
            entry.detail.clone(),
        ]
    };
    tx.insert_many(AUDIT_HEAD, entries.iter().map(row).collect(), KEEP_FIRST).await.map(drop)
}

impl Store {
    /// Writes a carrier's word about a call now; the recorder's queue does the same without a wait.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if there is no such client.
    pub async fn carrier_told(&self, fact: CarrierFact) -> Result<(), StoreError> {
        self.run(move |db| {
            let fact = fact.clone();
            async move {
                let mut tx = db.begin().await?;
                apply_carrier(&mut tx, &[&fact]).await?;
                let told = vec![told_of_carrier(&fact)];
                let last = feed::append(&mut tx, told).await?;
                tx.commit().await?;
                Ok(last)
            }
        })
        .await
        .map(|last| self.feed_moved(last))
    }

    /// Writes where a recording lies now.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if there is no such client.
    pub async fn add_recording(&self, fact: RecordingFact) -> Result<(), StoreError> {
        self.run(move |db| {
            let fact = fact.clone();
            async move {
                let mut tx = db.begin().await?;
                apply_recordings(&mut tx, &[&fact]).await?;
                let told = vec![told_of_recording(&fact)];
                let last = feed::append(&mut tx, told).await?;
                tx.commit().await?;
                Ok(last)
            }
        })
        .await
        .map(|last| self.feed_moved(last))
    }
}
