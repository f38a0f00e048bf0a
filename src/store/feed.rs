//! The feed: what happens in calls, numbered without gaps in the order of commit, for those who follow.
//!
//! An event is written in the transaction of what it tells of. The number is given under the lock of one row that is
//! held until commit, so a reader who sees a number sees every smaller one. Bounded by rows and by age: see
//! [`FeedLimits`]; what is trimmed is known by its number.

use std::collections::HashSet;

use caly_actors::domain::{CallId, ClientId};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::FromRow;
use tokio::sync::watch;
use uuid::Uuid;

use super::Store;
use super::db::{Arg, Select, Tx, args};
use super::error::StoreError;

/// The kinds of event there are.
pub const FEED_KINDS: [&str; 11] = [
    "call_admitted",
    "call_answered",
    "call_taken_up",
    "turn",
    "intent",
    "action",
    "event",
    "call_decided",
    "call_ended",
    "carrier_status",
    "recording",
];

/// Most rows of one reading.
const READ_MAX: u32 = 200;
/// The feed is trimmed whenever its number passes a multiple of this.
const TRIM_EVERY: i64 = 256;
/// Most rows one trimming removes: it happens inside somebody's transaction.
const TRIM_MOST: i64 = 2_048;

/// Takes the head's lock until the transaction ends.
const LOCK_HEAD: &str = "UPDATE feed_head SET last = last + 0 WHERE one = 1 RETURNING last, trimmed";
const READ_HEAD: &str = "SELECT last, trimmed FROM feed_head WHERE one = 1";
const MOVE_HEAD: &str = "UPDATE feed_head SET last = $1, trimmed = $2 WHERE one = 1";
const OWNERS: &str = "SELECT id, client_id FROM calls WHERE id IN";
const BY_CARRIER: &str =
    "SELECT id, client_id, carrier, carrier_call_id, carrier_ended_at FROM calls WHERE carrier_call_id IN";
const TOLD_ALREADY: &str = "SELECT entry FROM feed WHERE entry IN";
const INSERT: &str = "INSERT INTO feed (seq, entry, kind, client_id, call_id, turn_id, body, at, noted_at)";
const OLD: &str = "SELECT MAX(seq) FROM feed WHERE seq <= $1 AND noted_at < $2";
const TRIM: &str = "DELETE FROM feed WHERE seq <= $1";

/// What is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FeedLimits {
    /// Rows; a few hundred more may stand until the next trimming.
    pub rows: i64,
    /// Time since an event was written down. A feed nothing is added to is not trimmed.
    pub age: TimeDelta,
}

impl Default for FeedLimits {
    fn default() -> Self {
        Self { rows: 200_000, age: TimeDelta::days(7) }
    }
}

/// Which events to read.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct FeedFilter {
    /// Of this client.
    pub client: Option<ClientId>,
    /// Of this call.
    pub call: Option<CallId>,
    /// Of these kinds; empty is all.
    pub kinds: Vec<String>,
    /// With what was said in a turn, as its row has it now.
    pub text: bool,
}

/// One event.
#[derive(Clone, PartialEq, Debug, FromRow)]
pub struct FeedRow {
    /// Its number.
    pub seq: i64,
    /// One of [`FEED_KINDS`].
    pub kind: String,
    /// Whose call it is.
    pub client_id: Uuid,
    /// Which call; `None` when only the carrier knows it.
    pub call_id: Option<Uuid>,
    /// By its kind.
    pub body: Value,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What was said, if that was asked for.
    pub text: Option<String>,
}

/// A part of the feed, as it was at one moment.
#[derive(Clone, PartialEq, Debug)]
pub struct FeedPage {
    /// In order; those that match the filter.
    pub rows: Vec<FeedRow>,
    /// Everything up to here has been looked at: read on after it.
    pub after: i64,
    /// Everything up to here is gone.
    pub trimmed: i64,
    /// The newest event there is.
    pub last: i64,
}

/// Where the feed begins and ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromRow)]
struct Head {
    last: i64,
    trimmed: i64,
}

/// An event to be.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Told {
    /// What it tells of: the same entry is told once.
    pub(super) entry: Uuid,
    pub(super) kind: &'static str,
    pub(super) of: Subject,
    pub(super) turn: Option<Uuid>,
    pub(super) body: Value,
    pub(super) at: DateTime<Utc>,
}

impl Told {
    /// The carrier's word that a call is over.
    fn is_end(&self) -> bool {
        self.kind == "carrier_status" && self.body["ended"] == true
    }
}

/// Whose matter an event is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Subject {
    /// A call's, whose row says which client's. Without that row the event is not told.
    Call(Uuid),
    /// A client's, about a call by its carrier and the carrier's id, which may be known.
    Carrier(Uuid, String, String),
}

/// Writes events, given in order, as the last thing before a commit. Gives back the feed's newest number for
/// [`Store::feed_moved`] once the commit has succeeded; 0 if there was nothing to tell.
pub(super) async fn append(tx: &mut Tx, told: Vec<Told>) -> Result<i64, StoreError> {
    if told.is_empty() {
        return Ok(0);
    }
    let (owners, named) = (owners(tx, &told).await?, named(tx, &told).await?);
    let mut head: Head = tx.fetch_all(LOCK_HEAD, Vec::new()).await?.pop().ok_or(StoreError::NotFound)?;
    let entries = told.iter().map(|told| Arg::from(told.entry)).collect();
    let known: Vec<(Uuid,)> = tx.fetch_in(TOLD_ALREADY, entries).await?;
    let (before, now) = (head.last, Utc::now());
    let mut rows = Vec::with_capacity(told.len());
    let mut new: HashSet<Uuid> = HashSet::new();
    let told: Vec<Told> =
        told.into_iter().filter(|told| !known.contains(&(told.entry,)) && new.insert(told.entry)).collect();
    let mut over = over_before(&told, &named);
    for told in told {
        // The row is forward-only, and so is what is told of it: "ringing" after the end is no news.
        if told.kind == "carrier_status" {
            if told.is_end() {
                over.insert(told.of.clone());
            } else if over.contains(&told.of) {
                continue;
            }
        }
        let (client, call) = match told.of {
            Subject::Carrier(client, carrier, id) => {
                let fits = |known: &&Named| known.is(client, &carrier, &id);
                (client, named.iter().find(fits).map(|known| known.id))
            }
            Subject::Call(call) => match owners.iter().find(|(id, _)| *id == call) {
                Some((_, client)) => (*client, Some(call)),
                None => continue,
            },
        };
        head.last += 1;
        rows.push(args![head.last, told.entry, told.kind, client, call, told.turn, told.body, told.at, now]);
    }
    if rows.is_empty() {
        return Ok(head.last);
    }
    tx.insert_many(INSERT, rows, "").await?;
    if before / TRIM_EVERY != head.last / TRIM_EVERY {
        head = trim(tx, head, FeedLimits::default(), now).await?;
    }
    tx.execute(MOVE_HEAD, args![head.last, head.trimmed]).await?;
    Ok(head.last)
}

/// The calls that the carrier had ended before these events: those that have an end and are told none now.
fn over_before(told: &[Told], named: &[Named]) -> HashSet<Subject> {
    let ended = named.iter().filter(|known| known.carrier_ended_at.is_some());
    let subjects =
        ended.map(|known| Subject::Carrier(known.client_id, known.carrier.clone(), known.carrier_call_id.clone()));
    subjects.filter(|of| !told.iter().any(|told| told.is_end() && told.of == *of)).collect()
}

/// The clients of the calls that events tell of.
async fn owners(tx: &mut Tx, told: &[Told]) -> Result<Vec<(Uuid, Uuid)>, StoreError> {
    let mut calls: Vec<Uuid> = Vec::new();
    for told in told {
        if let Subject::Call(call) = told.of
            && !calls.contains(&call)
        {
            calls.push(call);
        }
    }
    if calls.is_empty() {
        return Ok(Vec::new());
    }
    tx.fetch_in(OWNERS, calls.into_iter().map(Arg::from).collect()).await
}

/// A call as its carrier names it.
#[derive(FromRow)]
struct Named {
    id: Uuid,
    client_id: Uuid,
    carrier: String,
    carrier_call_id: String,
    carrier_ended_at: Option<DateTime<Utc>>,
}

impl Named {
    fn is(&self, client: Uuid, carrier: &str, id: &str) -> bool {
        self.client_id == client && self.carrier == carrier && self.carrier_call_id == id
    }
}

/// The calls that events name by their carrier's id.
async fn named(tx: &mut Tx, told: &[Told]) -> Result<Vec<Named>, StoreError> {
    let ids = told.iter().filter_map(|told| match &told.of {
        Subject::Carrier(_, _, id) => Some(id.as_str()),
        Subject::Call(_) => None,
    });
    let ids: std::collections::BTreeSet<&str> = ids.collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    tx.fetch_in(BY_CARRIER, ids.into_iter().map(Arg::from).collect()).await
}

/// Removes what is beyond the limits, a bounded number of rows at a time, and says how far.
async fn trim(tx: &mut Tx, head: Head, limits: FeedLimits, now: DateTime<Utc>) -> Result<Head, StoreError> {
    let most = head.trimmed + TRIM_MOST;
    let old: Option<(Option<i64>,)> = tx.fetch_optional(OLD, args![most, now - limits.age]).await?;
    let by_age = old.and_then(|(seq,)| seq).unwrap_or(0);
    let bound = by_age.max(head.last - limits.rows).min(most);
    if bound <= head.trimmed {
        return Ok(head);
    }
    tx.execute(TRIM, args![bound]).await?;
    Ok(Head { trimmed: bound, ..head })
}

impl Store {
    /// The events after a number that match, at most `size` of them (up to 200).
    ///
    /// # Errors
    /// As every query.
    pub async fn feed_after(&self, after: i64, filter: &FeedFilter, size: u32) -> Result<FeedPage, StoreError> {
        let size = size.clamp(1, READ_MAX);
        let filter = filter.clone();
        self.run(move |db| {
            let filter = filter.clone();
            async move {
                let mut tx = db.begin_read().await?;
                let head: Head = tx.fetch_optional(READ_HEAD, Vec::new()).await?.ok_or(StoreError::NotFound)?;
                let (sql, values) = matching(after.max(head.trimmed), &filter).finish("ORDER BY f.seq", size.into());
                let rows: Vec<FeedRow> = tx.select(sql, values).await?;
                tx.commit().await?;
                let full = rows.len() == size as usize;
                let seen = rows.last().filter(|_| full).map_or(head.last, |row| row.seq);
                Ok(FeedPage { rows, after: seen, trimmed: head.trimmed, last: head.last })
            }
        })
        .await
    }

    /// Trims the feed now. It is also trimmed as it grows.
    ///
    /// # Errors
    /// As every query.
    pub async fn trim_feed(&self, limits: FeedLimits) -> Result<(), StoreError> {
        self.run(move |db| async move {
            let mut tx = db.begin().await?;
            let head: Head = tx.fetch_all(LOCK_HEAD, Vec::new()).await?.pop().ok_or(StoreError::NotFound)?;
            let head = trim(&mut tx, head, limits, Utc::now()).await?;
            tx.execute(MOVE_HEAD, args![head.last, head.trimmed]).await?;
            tx.commit().await
        })
        .await
    }

    /// Changes whenever this process has committed events; other processes' events are not heard of here.
    #[must_use]
    pub fn feed(&self) -> watch::Receiver<i64> {
        self.0.feed.subscribe()
    }

    /// Wakes those who follow, after a commit.
    pub(super) fn feed_moved(&self, last: i64) {
        self.0.feed.send_if_modified(|known| {
            let moved = last > *known;
            *known = last.max(*known);
            moved
        });
    }
}

fn matching(after: i64, filter: &FeedFilter) -> Select {
    let head = if filter.text {
        "SELECT f.seq, f.kind, f.client_id, f.call_id, f.body, f.at, t.text FROM feed f \
         LEFT JOIN turns t ON t.id = f.turn_id"
    } else {
        "SELECT f.seq, f.kind, f.client_id, f.call_id, f.body, f.at, CAST(NULL AS TEXT) AS text FROM feed f"
    };
    let select = Select::new(head)
        .and("f.seq > ?", args![after])
        .and_some("f.client_id = ?", filter.client.map(|client| client.0))
        .and_some("f.call_id = ?", filter.call.map(|call| call.0));
    if filter.kinds.is_empty() {
        return select;
    }
    select.and_in("f.kind", filter.kinds.iter().map(|kind| Arg::from(kind.as_str())).collect())
}
