//! Calls that count for their caller, where the client remembers callers: each once, however often it is written.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::entry::{Body, Entry, MetBody};
use crate::store::db::{Arg, Tx, args};
use crate::store::error::StoreError;
use crate::store::facts::rounds;

/// Marks calls that nobody has counted, with a mark of this statement's own: it tells which they were.
const MARK_HEAD: &str = "UPDATE calls SET customer_mark = told.column1 FROM (";
const MARK_TAIL: &str = ") AS told WHERE calls.id = told.column2 AND calls.customer_mark IS NULL";
/// One whose time was over begins anew.
const COUNT_HEAD: &str = "INSERT INTO customers (id, client_id, e164, calls, first_call_at, last_call_at, last_call_id, \
    created_at, updated_at, expires_at) SELECT told.column3, told.column4, told.column5, 1, told.column6, told.column6, \
    told.column2, told.column6, told.column6, told.column7 FROM (";
const COUNT_TAIL: &str = ") AS told JOIN calls ON calls.id = told.column2 WHERE calls.customer_mark = told.column1 \
    ON CONFLICT (client_id, e164) DO UPDATE SET \
    name = CASE WHEN customers.expires_at > excluded.updated_at THEN customers.name END, \
    language = CASE WHEN customers.expires_at > excluded.updated_at THEN customers.language END, \
    calls = CASE WHEN customers.expires_at > excluded.updated_at THEN customers.calls ELSE 0 END + 1, \
    first_call_at = COALESCE(CASE WHEN customers.expires_at > excluded.updated_at THEN customers.first_call_at END, \
    excluded.first_call_at), last_call_at = excluded.last_call_at, last_call_id = excluded.last_call_id, \
    updated_at = excluded.updated_at, expires_at = excluded.expires_at";
/// Whoever was forgotten meanwhile is not made again by it.
const SPEAK_HEAD: &str = "UPDATE customers SET language = told.column3 FROM (";
const SPEAK_TAIL: &str = ") AS told WHERE customers.client_id = told.column1 AND customers.e164 = told.column2";

pub(super) async fn write_meetings(tx: &mut Tx, entries: &[&Entry]) -> Result<(), StoreError> {
    let met = || {
        entries.iter().filter_map(|entry| match &entry.body {
            Body::Met(body) => Some((entry.at, &**body)),
            _ => None,
        })
    };
    let of = |body: &MetBody| (body.client, body.e164.clone());
    for round in rounds(met().map(|(at, body)| (of(body), counted(at, body)))) {
        let mark = Uuid::now_v7();
        let marked = |row: Vec<Arg>| [args![mark], row].concat();
        let round: Vec<Vec<Arg>> = round.into_iter().map(marked).collect();
        let marks = round.iter().map(|row| row[..2].to_vec()).collect();
        // The others of the round have a mark from before, perhaps from the round before.
        if tx.insert_many(MARK_HEAD, marks, MARK_TAIL).await? > 0 {
            tx.insert_many(COUNT_HEAD, round, COUNT_TAIL).await?;
        }
    }
    let spoken = met().filter_map(|(_, body)| {
        let language = body.language.clone()?;
        Some((of(body), args![body.client, body.e164.clone(), language]))
    });
    for round in rounds(spoken) {
        tx.insert_many(SPEAK_HEAD, round, SPEAK_TAIL).await?;
    }
    Ok(())
}

fn counted(at: DateTime<Utc>, body: &MetBody) -> Vec<Arg> {
    let keep = TimeDelta::try_seconds(body.keep_s).unwrap_or_default();
    let until = at.checked_add_signed(keep).unwrap_or(at);
    args![body.call, Uuid::now_v7(), body.client, body.e164.clone(), at, until]
}
