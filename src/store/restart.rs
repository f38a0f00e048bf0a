//! What a process finds that the one before it left: calls that nobody ended, actions whose outcome nobody heard.

use caly_actors::domain::{CallId, EndReason};
use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::Store;
use super::db::args;
use super::error::StoreError;
use super::feed::{self, Subject, Told};
use super::rows::{ActionRow, CallRow};

const NOT_ENDED: &str = "SELECT * FROM calls WHERE state <> 'ended' AND admitted_at <= $1 ORDER BY admitted_at, id";
/// How long the call was is not known; the last thing heard of it is the best there is.
const INTERRUPT: &str = "UPDATE calls SET state = 'ended', ended_by = 'restart', end_reason = $2, ended_at = $3, \
    duration_ms = (SELECT MAX(ended_ms) FROM turns WHERE call_id = $1) WHERE id = $1 AND state <> 'ended'";
const NOTE_INTERRUPTED: &str =
    "INSERT INTO call_events (id, call_id, kind, detail, at_ms, at) VALUES ($1, $2, 'interrupted', $3, $4, $5)";
/// Nobody is left to hear the answer; whoever starts asks for it by the key. What nobody had agreed to is not done.
const ABANDON_ACTIONS: &str = "UPDATE actions SET state = CASE state WHEN 'running' THEN 'unknown' ELSE 'withdrawn' END, \
    changed_at = $2 WHERE call_id = $1 AND state IN ('running', 'proposed')";
/// Actions whose outcome is not known; and, of calls that are over, those agreed to and not begun, and those begun by
/// somebody who is gone.
const UNANSWERED: &str = "SELECT a.* FROM actions a JOIN calls c ON c.id = a.call_id \
    WHERE a.state IN ('unknown', 'confirmed', 'running') AND a.changed_at >= $1 AND (a.state = 'unknown' \
    OR (c.state = 'ended' AND (a.state = 'confirmed' OR a.changed_at < $2))) ORDER BY a.id LIMIT 500";

/// Calls that are over here and, as far as anybody has told, not for the carrier.
const NO_CARRIER_END: &str = "SELECT * FROM calls WHERE carrier_ended_at IS NULL AND ended_at >= $1 AND ended_at <= $2 \
    ORDER BY ended_at DESC LIMIT 100";

/// Calls that a restart ended since a time: the carrier may still come back with them.
const INTERRUPTED_SINCE: &str = "SELECT * FROM calls WHERE ended_by = 'restart' AND ended_at >= $1 AND \
    carrier_ended_at IS NULL ORDER BY admitted_at, id";

/// What the feed says of a call that a former process left open.
fn end(call: Uuid, at: DateTime<Utc>) -> Told {
    let body = json!({ "end_reason": EndReason::Interrupted.as_str(), "duration_ms": null });
    Told { entry: Uuid::now_v7(), kind: "call_ended", of: Subject::Call(call), turn: None, body, at }
}

impl Store {
    /// Calls that ended here between two times, of whose end the carrier has not told; the latest first, at most 100.
    ///
    /// # Errors
    /// As every query.
    pub async fn calls_without_carrier_end(
        &self,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<Vec<CallRow>, StoreError> {
        self.all(NO_CARRIER_END, args![from, to]).await
    }

    /// Calls that some start has ended as interrupted since then, and that the carrier has not ended.
    ///
    /// # Errors
    /// As every query.
    pub async fn interrupted_since(&self, since: DateTime<Utc>) -> Result<Vec<CallRow>, StoreError> {
        self.all(INTERRUPTED_SINCE, args![since]).await
    }

    /// Ends the calls that a process which is gone left open: those admitted up to `now` and not in `except`. Their
    /// running actions become unknown. For the start, after the recorder's spool has been written. Gives the calls it
    /// ended, as they were before; done twice, the second time gives none.
    ///
    /// # Errors
    /// As every query.
    pub async fn interrupt_open_calls(
        &self,
        now: DateTime<Utc>,
        except: &[CallId],
    ) -> Result<Vec<CallRow>, StoreError> {
        let except: Vec<Uuid> = except.iter().map(|call| call.0).collect();
        self.run(move |db| {
            let except = except.clone();
            async move {
                let mut tx = db.begin().await?;
                let open: Vec<CallRow> = tx.fetch_all(NOT_ENDED, args![now]).await?;
                let (mut interrupted, mut told) = (Vec::new(), Vec::new());
                for call in open.into_iter().filter(|call| !except.contains(&call.id)) {
                    let id = call.id;
                    if tx.execute(INTERRUPT, args![id, EndReason::Interrupted.as_str(), now]).await? == 0 {
                        continue;
                    }
                    tx.execute(ABANDON_ACTIONS, args![id, now]).await?;
                    let age_ms = (now - call.admitted_at).num_milliseconds().max(0);
                    let note = args![Uuid::now_v7(), id, json!({ "state": call.state.as_str() }), age_ms, now];
                    tx.execute(NOTE_INTERRUPTED, note).await?;
                    told.push(end(id, now));
                    interrupted.push(call);
                }
                let last = feed::append(&mut tx, told).await?;
                tx.commit().await?;
                Ok((interrupted, last))
            }
        })
        .await
        .map(|(interrupted, last)| {
            self.feed_moved(last);
            interrupted
        })
    }

    /// Actions whose outcome is not known and that changed at `since` or later, oldest first, at most 500. Of calls that are
    /// over also those agreed to and not begun, and those begun before `left`.
    ///
    /// # Errors
    /// As every query.
    pub async fn unanswered_actions(
        &self,
        since: DateTime<Utc>,
        left: DateTime<Utc>,
    ) -> Result<Vec<ActionRow>, StoreError> {
        self.all(UNANSWERED, args![since, left]).await
    }
}
