//! Entries to rows: one transaction a batch. Every statement may be repeated, and an older entry never overwrites what
//! a newer one wrote, so a batch whose commit was not heard of is simply written again.

use std::time::Duration;

use caly_actors::domain::ActionState;
use serde_json::Value;
use uuid::Uuid;

use super::entry::{ActionBody, Admitted, Body, EndedBody, Entry, TurnBody};
use super::met::write_meetings;
use super::suppressed::write_suppressions;
use super::told;
use crate::store::db::{Arg, Db, Tx, args};
use crate::store::error::StoreError;
use crate::store::facts::{apply_carrier, apply_recordings, insert_audits, rounds};
use crate::store::feed;

/// A call that only the carrier told of so far takes Caly's id and facts; its state stays what it is.
const ADMIT_HEAD: &str = "INSERT INTO calls (id, client_id, agent_id, agent_version, carrier, carrier_call_id, \
    caller, called, direction, state, admitted_at, text_in, text_cached, audio_in, audio_cached, text_out, audio_out, \
    cost_micro_usd, degraded)";
/// A row without an agent is what webhooks told of the call before it began here. Told to its own client, an end stands; told
/// to another, it was not about this call.
const ADMIT_TAIL: &str = "ON CONFLICT (carrier, carrier_call_id) DO UPDATE SET id = excluded.id, \
    client_id = excluded.client_id, agent_id = excluded.agent_id, agent_version = excluded.agent_version, \
    caller = excluded.caller, called = excluded.called, direction = excluded.direction, \
    state = CASE WHEN calls.client_id = excluded.client_id THEN calls.state ELSE excluded.state END, \
    ended_at = CASE WHEN calls.client_id = excluded.client_id THEN calls.ended_at END, \
    ended_by = CASE WHEN calls.client_id = excluded.client_id THEN calls.ended_by END, \
    end_reason = CASE WHEN calls.client_id = excluded.client_id THEN calls.end_reason END, \
    carrier_status = CASE WHEN calls.client_id = excluded.client_id THEN calls.carrier_status END, \
    carrier_duration_s = CASE WHEN calls.client_id = excluded.client_id THEN calls.carrier_duration_s END, \
    carrier_ended_at = CASE WHEN calls.client_id = excluded.client_id THEN calls.carrier_ended_at END, \
    admitted_at = excluded.admitted_at WHERE calls.agent_id IS NULL";
/// The columns of `VALUES` have these names in both engines.
const ANSWER_HEAD: &str = "UPDATE calls SET state = CASE WHEN state = 'admitted' THEN 'live' ELSE state END, \
    rate = told.column2, answered_at = COALESCE(answered_at, told.column3) FROM (";
const DECIDE_HEAD: &str = "UPDATE calls SET after_stream = told.column2, summary = told.column3 FROM (";
const OF_CALL: &str = ") AS told WHERE calls.id = told.column1";
/// Caly's own end stands over the carrier's and over a restart's; a second one of its own changes nothing.
const END_HEAD: &str = "UPDATE calls SET state = 'ended', ended_by = 'caly', end_reason = told.column2, \
    ended_at = told.column3, duration_ms = told.column4, text_in = told.column5, text_cached = told.column6, \
    audio_in = told.column7, audio_cached = told.column8, text_out = told.column9, audio_out = told.column10, \
    cost_micro_usd = told.column11, degraded = told.column12 FROM (";
const END_TAIL: &str = ") AS told WHERE calls.id = told.column1 AND COALESCE(calls.ended_by, '') <> 'caly'";
/// A later process has the call again; an end that anyone but a restart wrote stands.
const TAKE_UP_HEAD: &str = "UPDATE calls SET state = 'admitted', ended_at = NULL, ended_by = NULL, end_reason = NULL, \
    duration_ms = NULL FROM (";
const TAKE_UP_TAIL: &str = ") AS told WHERE calls.id = told.column1 AND calls.ended_by = 'restart'";
const SPEND_HEAD: &str = "UPDATE calls SET text_in = told.column2, text_cached = told.column3, \
    audio_in = told.column4, audio_cached = told.column5, text_out = told.column6, audio_out = told.column7, \
    cost_micro_usd = told.column8 FROM (";
const SPEND_TAIL: &str = ") AS told WHERE calls.id = told.column1 AND calls.state <> 'ended'";
const EXISTS: &str = "SELECT id FROM calls WHERE id = $1";

const TURNS_HEAD: &str = "INSERT INTO turns (id, call_id, speaker, text, unheard, interrupted, started_ms, ended_ms, \
    latency_ms, commit_gap_ms, first_audio_gap_ms, sent_gap_ms, heard_gap_ms, total_gap_ms, at, revision, raw)";
const TURNS_TAIL: &str = "ON CONFLICT (id) DO UPDATE SET text = excluded.text, unheard = excluded.unheard, \
    interrupted = excluded.interrupted, started_ms = excluded.started_ms, ended_ms = excluded.ended_ms, \
    latency_ms = excluded.latency_ms, commit_gap_ms = excluded.commit_gap_ms, \
    first_audio_gap_ms = excluded.first_audio_gap_ms, sent_gap_ms = excluded.sent_gap_ms, \
    heard_gap_ms = excluded.heard_gap_ms, total_gap_ms = excluded.total_gap_ms, at = excluded.at, revision = excluded.revision, \
    raw = excluded.raw \
    WHERE excluded.revision > turns.revision";
const INTENTS_HEAD: &str = "INSERT INTO intents (id, call_id, turn_id, intent, confidence, entities, at_ms, at)";
const ACTIONS_HEAD: &str = "INSERT INTO actions (id, call_id, client_id, name, idempotency_key, arguments, state, \
    output, attempts, started_ms, changed_ms, created_at, changed_at, revision, undo, undoes)";
/// Done is final, and what may have happened is not begun again; a clean failure may be, and is asked about before it is.
const ACTIONS_TAIL: &str = "ON CONFLICT (idempotency_key) DO UPDATE SET state = excluded.state, \
    arguments = excluded.arguments, output = CASE WHEN excluded.state IN ('confirmed', 'running') THEN excluded.output \
    ELSE COALESCE(excluded.output, actions.output) END, attempts = excluded.attempts, \
    changed_ms = excluded.changed_ms, changed_at = excluded.changed_at, revision = excluded.revision, undo = excluded.undo \
    WHERE excluded.revision > actions.revision AND actions.state <> 'done' \
    AND NOT (actions.state = 'unknown' AND excluded.state IN ('proposed', 'confirmed', 'withdrawn', 'running'))";
/// What is done names what has undone it. The key of what undoes follows from its own, so there is one.
const UNDONE: &str = "UPDATE actions SET undone_by = (SELECT id FROM actions WHERE idempotency_key = $2) \
    WHERE id = $1 AND undone_by IS NULL";
const EVENTS_HEAD: &str = "INSERT INTO call_events (id, call_id, kind, detail, at_ms, at)";
const KEEP_FIRST: &str = "ON CONFLICT (id) DO NOTHING";

/// Writes entries, given in the order of recording, all or none, in about a dozen statements however many they are: a
/// database that takes seconds for each still keeps up. Parents go before children and the many before the one, which
/// changes nothing: rows of one kind keep their order, and no statement depends on a later kind. No statement may take
/// longer than `patience`. The feed tells of them in the same transaction; its newest number is given back, 0 if there
/// was nothing to tell.
pub(super) async fn write(db: &Db, entries: &[&Entry], patience: Duration) -> Result<i64, StoreError> {
    let mut tx = db.begin_journal(patience).await?;
    let admitted = entries.iter().filter_map(|entry| match &entry.body {
        Body::Admitted(body) => Some(((body.carrier.clone(), body.carrier_call_id.clone()), admit(body))),
        _ => None,
    });
    for round in rounds(admitted) {
        tx.insert_many(ADMIT_HEAD, round, ADMIT_TAIL).await?;
    }
    let answered = entries.iter().filter_map(|entry| match &entry.body {
        Body::Answered { call, rate } => Some((*call, args![*call, *rate, entry.at])),
        _ => None,
    });
    of_calls(&mut tx, ANSWER_HEAD, rounds(answered)).await?;
    write_takings_up(&mut tx, entries).await?;
    write_children(&mut tx, entries).await?;
    let decided = entries.iter().filter_map(|entry| match &entry.body {
        Body::Decided { call, after, summary } => Some((*call, args![*call, after.clone(), summary.clone()])),
        _ => None,
    });
    of_calls(&mut tx, DECIDE_HEAD, rounds(decided)).await?;
    write_meetings(&mut tx, entries).await?;
    write_suppressions(&mut tx, entries).await?;
    write_ends(&mut tx, entries).await?;
    let (mut carrier, mut recordings) = (Vec::new(), Vec::new());
    for entry in entries {
        match &entry.body {
            Body::Carrier(fact) => carrier.push(&**fact),
            Body::Recording(fact) => recordings.push(&**fact),
            _ => {}
        }
    }
    apply_carrier(&mut tx, &carrier).await?;
    apply_recordings(&mut tx, &recordings).await?;
    let last = feed::append(&mut tx, told::of(entries)).await?;
    tx.commit().await?;
    Ok(last)
}

/// Changes the rows of calls, which all must be there: an entry of a call that has none cannot be written, now or
/// later. The writer halves a batch until it has found it.
async fn of_calls(tx: &mut Tx, head: &'static str, rounds: Vec<Vec<Vec<Arg>>>) -> Result<(), StoreError> {
    for round in rounds {
        let wanted = round.len() as u64;
        if tx.insert_many(head, round, OF_CALL).await? < wanted {
            return Err(no_such_call());
        }
    }
    Ok(())
}

fn no_such_call() -> StoreError {
    StoreError::Conflict("no such call".to_owned())
}

/// Calls that a later process has again, and what calls have cost so far: both change nothing where the state forbids it.
async fn write_takings_up(tx: &mut Tx, entries: &[&Entry]) -> Result<(), StoreError> {
    let (mut taken_up, mut spent) = (Vec::new(), Vec::new());
    for entry in entries {
        match &entry.body {
            Body::TakenUp { call, .. } => taken_up.push((*call, args![*call])),
            Body::Spent { call, usage } => {
                let mut row = args![*call];
                row.extend(usage.map(Arg::from));
                spent.push((*call, row));
            }
            _ => {}
        }
    }
    tx.insert_many(TAKE_UP_HEAD, last_of_each(taken_up), TAKE_UP_TAIL).await?;
    tx.insert_many(SPEND_HEAD, last_of_each(spent), SPEND_TAIL).await.map(drop)
}

async fn write_ends(tx: &mut Tx, entries: &[&Entry]) -> Result<(), StoreError> {
    let ends = || {
        entries.iter().filter_map(|entry| match &entry.body {
            Body::Ended(body) => Some((body.call, end(entry, body))),
            _ => None,
        })
    };
    let mut changed = 0;
    for round in rounds(ends()) {
        changed += tx.insert_many(END_HEAD, round, END_TAIL).await?;
    }
    if changed < ends().count() as u64 {
        // Some had their end already, or have no row.
        for (call, _) in ends() {
            let known: Option<(Uuid,)> = tx.fetch_optional(EXISTS, args![call]).await?;
            known.ok_or_else(no_such_call)?;
        }
    }
    Ok(())
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
            Body::TakenUp { call, at_ms } => {
                let (name, detail) = ("taken_up".to_owned(), Value::Object(serde_json::Map::new()));
                events.push(args![entry.id, *call, name, detail, *at_ms, entry.at]);
            }
            Body::Audit(audit) => audits.push(&**audit),
            _ => {}
        }
    }
    tx.insert_many(TURNS_HEAD, last_of_each(turns), TURNS_TAIL).await?;
    tx.insert_many(INTENTS_HEAD, intents, KEEP_FIRST).await?;
    // Each step of an action matters: one after the other.
    let actions = entries.iter().filter_map(|entry| match &entry.body {
        Body::Action(body) => Some((body.idempotency_key.clone(), action(entry, body))),
        _ => None,
    });
    for round in rounds(actions) {
        tx.insert_many(ACTIONS_HEAD, round, ACTIONS_TAIL).await?;
    }
    for (undone, by) in entries.iter().filter_map(|entry| undone(&entry.body)) {
        tx.execute(UNDONE, args![undone, by]).await?;
    }
    tx.insert_many(EVENTS_HEAD, events, KEEP_FIRST).await?;
    insert_audits(tx, &audits).await
}

/// PostgreSQL refuses to touch one row twice in a statement: of versions of one row, the last is written.
fn last_of_each(rows: Vec<(Uuid, Vec<Arg>)>) -> Vec<Vec<Arg>> {
    let mut seen = std::collections::HashSet::new();
    let mut last: Vec<Vec<Arg>> =
        rows.into_iter().rev().filter_map(|(id, row)| seen.insert(id).then_some(row)).collect();
    last.reverse();
    last
}

fn admit(body: &Admitted) -> Vec<Arg> {
    let mut row = args![
        body.call,
        body.client,
        body.agent,
        body.agent_version,
        body.carrier.clone(),
        body.carrier_call_id.clone(),
        body.caller.clone(),
        body.called.clone(),
        body.direction.clone(),
        "admitted",
        body.admitted_at,
    ];
    row.extend([0; 7].map(|none: i64| Arg::from(none)));
    row.push(Arg::from(Value::Array(Vec::new())));
    row
}

fn end(entry: &Entry, body: &EndedBody) -> Vec<Arg> {
    let mut row = args![body.call, body.reason.clone(), entry.at, body.at_ms];
    row.extend(body.usage.map(Arg::from));
    row.push(Arg::from(Value::from(body.degraded.clone())));
    row
}

fn turn(entry: &Entry, body: &TurnBody) -> Vec<Arg> {
    let mut row = args![
        body.id,
        body.call,
        body.speaker.clone(),
        body.text.clone(),
        body.unheard.clone(),
        body.interrupted,
        body.started_ms,
        body.ended_ms,
        body.latency_ms,
    ];
    row.extend(body.gaps_ms.map(Arg::from));
    row.extend(args![entry.at, entry.id, body.raw.clone()]);
    row
}

/// What something that was done has undone.
fn undone(body: &Body) -> Option<(Uuid, String)> {
    let Body::Action(body) = body else { return None };
    body.undoes
        .filter(|_| body.state == ActionState::Done.as_str())
        .map(|undone| (undone, body.idempotency_key.clone()))
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
        body.undo.clone(),
        body.undoes,
    ]
}
