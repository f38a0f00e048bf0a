//! Entries to rows: one transaction a batch. Every statement may be repeated, and an older entry never overwrites what
//! a newer one wrote, so a batch whose commit was not heard of is simply written again.

use serde_json::Value;
use uuid::Uuid;

use super::entry::{ActionBody, Admitted, Body, EndedBody, Entry, TurnBody};
use super::told;
use crate::store::db::{Arg, Db, Tx, args};
use crate::store::error::StoreError;
use crate::store::facts::{apply_carrier, apply_recording, insert_audits};
use crate::store::feed;

/// A call that only the carrier told of so far takes Caly's id and facts; its state stays what it is.
const ADMIT: &str = "INSERT INTO calls (id, client_id, agent_id, agent_version, carrier, carrier_call_id, caller, \
    called, direction, state, admitted_at, text_in, text_cached, audio_in, audio_cached, text_out, audio_out, \
    cost_micro_usd, degraded) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'admitted', $10, 0, 0, 0, 0, 0, 0, 0, $11) \
    ON CONFLICT (carrier, carrier_call_id) DO UPDATE SET id = excluded.id, client_id = excluded.client_id, \
    agent_id = excluded.agent_id, agent_version = excluded.agent_version, caller = excluded.caller, \
    called = excluded.called, direction = excluded.direction, admitted_at = excluded.admitted_at \
    WHERE calls.agent_id IS NULL";
const ANSWER: &str = "UPDATE calls SET state = CASE WHEN state = 'admitted' THEN 'live' ELSE state END, rate = $2, \
    answered_at = COALESCE(answered_at, $3) WHERE id = $1";
const DECIDE: &str = "UPDATE calls SET after_stream = $2, summary = $3 WHERE id = $1";
/// Caly's own end stands over the carrier's and over a restart's; a second one of its own changes nothing.
const END: &str = "UPDATE calls SET state = 'ended', ended_by = 'caly', end_reason = $2, ended_at = $3, \
    duration_ms = $4, text_in = $5, text_cached = $6, audio_in = $7, audio_cached = $8, text_out = $9, \
    audio_out = $10, cost_micro_usd = $11, degraded = $12 WHERE id = $1 AND COALESCE(ended_by, '') <> 'caly'";
const EXISTS: &str = "SELECT id FROM calls WHERE id = $1";

const TURNS_HEAD: &str = "INSERT INTO turns (id, call_id, speaker, text, unheard, interrupted, started_ms, ended_ms, \
    latency_ms, at, revision)";
const TURNS_TAIL: &str = "ON CONFLICT (id) DO UPDATE SET text = excluded.text, unheard = excluded.unheard, \
    interrupted = excluded.interrupted, started_ms = excluded.started_ms, ended_ms = excluded.ended_ms, \
    latency_ms = excluded.latency_ms, at = excluded.at, revision = excluded.revision \
    WHERE excluded.revision > turns.revision";
const INTENTS_HEAD: &str = "INSERT INTO intents (id, call_id, turn_id, intent, confidence, entities, at_ms, at)";
const ACTIONS_HEAD: &str = "INSERT INTO actions (id, call_id, client_id, name, idempotency_key, arguments, state, \
    output, attempts, started_ms, changed_ms, created_at, changed_at, revision)";
/// Running, then unknown, then done or failed: a state is only left for a later one.
const ACTIONS_TAIL: &str = "ON CONFLICT (idempotency_key) DO UPDATE SET state = excluded.state, \
    output = COALESCE(excluded.output, actions.output), attempts = excluded.attempts, \
    changed_ms = excluded.changed_ms, changed_at = excluded.changed_at, revision = excluded.revision \
    WHERE excluded.revision > actions.revision AND (excluded.state = actions.state OR actions.state = 'running' \
    OR (actions.state = 'unknown' AND excluded.state <> 'running'))";
const EVENTS_HEAD: &str = "INSERT INTO call_events (id, call_id, kind, detail, at_ms, at)";
const KEEP_FIRST: &str = "ON CONFLICT (id) DO NOTHING";

/// Writes entries, given in the order of recording, all or none. Parents go before children and the many before the
/// one, which changes nothing: rows of one kind keep their order, and no statement depends on a later kind. The feed
/// tells of them in the same transaction; its newest number is given back, 0 if there was nothing to tell.
pub(super) async fn write(db: &Db, entries: &[&Entry]) -> Result<i64, StoreError> {
    let mut tx = db.begin().await?;
    for entry in entries {
        match &entry.body {
            Body::Admitted(body) => admit(&mut tx, body).await?,
            Body::Answered { call, rate } => {
                one_call(tx.execute(ANSWER, args![*call, *rate, entry.at]).await?)?;
            }
            _ => {}
        }
    }
    write_children(&mut tx, entries).await?;
    for entry in entries {
        match &entry.body {
            Body::Decided { call, after, summary } => {
                one_call(tx.execute(DECIDE, args![*call, after.clone(), summary.clone()]).await?)?;
            }
            Body::Ended(body) => end(&mut tx, entry, body).await?,
            Body::Carrier(fact) => apply_carrier(&mut tx, fact).await?,
            Body::Recording(fact) => apply_recording(&mut tx, fact).await?,
            _ => {}
        }
    }
    let told = told::of(&mut tx, entries).await?;
    let last = feed::append(&mut tx, told).await?;
    tx.commit().await?;
    Ok(last)
}

async fn write_children(tx: &mut Tx, entries: &[&Entry]) -> Result<(), StoreError> {
    let (mut turns, mut intents, mut events, mut audits) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for entry in entries {
        match &entry.body {
            Body::Turn(body) => turns.push((body.id, turn(entry, body))),
            Body::Intent { call, turn, intent, confidence, entities, at_ms } => intents.push(args![
                entry.id,
                *call,
                *turn,
                intent.clone(),
                *confidence,
                entities.clone(),
                *at_ms,
                entry.at,
            ]),
            Body::Event { call, name, detail, at_ms } => {
                events.push(args![entry.id, *call, name.clone(), detail.clone(), *at_ms, entry.at]);
            }
            Body::Audit(audit) => audits.push(&**audit),
            _ => {}
        }
    }
    tx.insert_many(TURNS_HEAD, last_of_each(turns), TURNS_TAIL).await?;
    tx.insert_many(INTENTS_HEAD, intents, KEEP_FIRST).await?;
    // An action's states are few and each step matters: one statement each.
    for entry in entries {
        if let Body::Action(body) = &entry.body {
            tx.insert_many(ACTIONS_HEAD, vec![action(entry, body)], ACTIONS_TAIL).await?;
        }
    }
    tx.insert_many(EVENTS_HEAD, events, KEEP_FIRST).await?;
    insert_audits(tx, &audits).await
}

/// PostgreSQL refuses to touch one row twice in a statement: of versions of one turn, the last is written.
fn last_of_each(rows: Vec<(Uuid, Vec<Arg>)>) -> Vec<Vec<Arg>> {
    let mut seen = std::collections::HashSet::new();
    let mut last: Vec<Vec<Arg>> =
        rows.into_iter().rev().filter_map(|(id, row)| seen.insert(id).then_some(row)).collect();
    last.reverse();
    last
}

async fn admit(tx: &mut Tx, body: &Admitted) -> Result<(), StoreError> {
    let values = args![
        body.call,
        body.client,
        body.agent,
        body.agent_version,
        body.carrier.clone(),
        body.carrier_call_id.clone(),
        body.caller.clone(),
        body.called.clone(),
        body.direction.clone(),
        body.admitted_at,
        Value::Array(Vec::new()),
    ];
    tx.execute(ADMIT, values).await.map(drop)
}

async fn end(tx: &mut Tx, entry: &Entry, body: &EndedBody) -> Result<(), StoreError> {
    let mut values = args![body.call, body.reason.clone(), entry.at, body.at_ms];
    values.extend(body.usage.map(Arg::from));
    values.push(Arg::from(Value::from(body.degraded.clone())));
    if tx.execute(END, values).await? == 0 {
        let known: Option<(Uuid,)> = tx.fetch_optional(EXISTS, args![body.call]).await?;
        one_call(u64::from(known.is_some()))?;
    }
    Ok(())
}

fn turn(entry: &Entry, body: &TurnBody) -> Vec<Arg> {
    args![
        body.id,
        body.call,
        body.speaker.clone(),
        body.text.clone(),
        body.unheard.clone(),
        body.interrupted,
        body.started_ms,
        body.ended_ms,
        body.latency_ms,
        entry.at,
        entry.id,
    ]
}

fn action(entry: &Entry, body: &ActionBody) -> Vec<Arg> {
    args![
        body.id,
        body.call,
        body.client,
        body.name.clone(),
        body.idempotency_key.clone(),
        body.arguments.clone(),
        body.state.clone(),
        body.output.clone(),
        body.attempts,
        body.started_ms,
        body.changed_ms,
        entry.at,
        entry.at,
        entry.id,
    ]
}

/// An entry of a call that has no row cannot be written, now or later.
fn one_call(rows: u64) -> Result<(), StoreError> {
    if rows == 0 { Err(StoreError::Conflict("no such call".to_owned())) } else { Ok(()) }
}
