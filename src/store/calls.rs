//! Calls as they are read: by carrier id, as a list, in full. What they did is written by the recorder.

use caly_actors::domain::{AgentId, CallId, Carrier, CarrierCallId, ClientId};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Store;
use super::cursor::{Cursor, limit, page};
use super::db::{Select, args};
use super::error::StoreError;
use super::languages::languages;
use super::rows::{ActionRow, CallDetail, CallRow, EventRow, Page};

const CALL_BY_CARRIER: &str = "SELECT * FROM calls WHERE carrier = $1 AND carrier_call_id = $2";
const CALL_BY_ID: &str = "SELECT * FROM calls WHERE id = $1";
const TURNS: &str = "SELECT * FROM turns WHERE call_id = $1 ORDER BY started_ms, id";
const INTENTS: &str = "SELECT * FROM intents WHERE call_id = $1 ORDER BY id";
const ACTIONS: &str = "SELECT * FROM actions WHERE call_id = $1 ORDER BY id";
const EVENTS: &str = "SELECT * FROM call_events WHERE call_id = $1 ORDER BY id";
const RECORDINGS: &str = "SELECT * FROM recordings WHERE carrier = $1 AND carrier_call_id = $2 AND client_id = $3 \
    ORDER BY received_at, id";
const ACTION_BY_ID: &str = "SELECT * FROM actions WHERE id = $1";
const ACTION_BY_KEY: &str = "SELECT * FROM actions WHERE idempotency_key = $1";
/// Which calls to list.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct CallFilter {
    /// Of this client.
    pub client: Option<ClientId>,
    /// `admitted`, `live` or `ended`.
    pub state: Option<String>,
    /// A word of `EndReason`.
    pub end_reason: Option<String>,
    /// `inbound` or `outbound`.
    pub direction: Option<String>,
    /// Who rang, as stored.
    pub caller: Option<String>,
    /// Which number was rung, as stored.
    pub called: Option<String>,
    /// The version of an agent that conducted it.
    pub agent: Option<AgentId>,
    /// Admitted at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Admitted before this time.
    pub to: Option<DateTime<Utc>>,
}

/// Which actions to list.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct ActionFilter {
    /// Of this catalogue name.
    pub name: Option<String>,
    /// Of this client.
    pub client: Option<ClientId>,
    /// A word of `ActionState`.
    pub state: Option<String>,
}

impl Store {
    /// The one row of a carrier's call.
    ///
    /// # Errors
    /// As every query.
    pub async fn find_call_by_carrier_id(
        &self,
        carrier: Carrier,
        call: &CarrierCallId,
    ) -> Result<Option<CallRow>, StoreError> {
        self.optional(CALL_BY_CARRIER, args![carrier.as_str(), call.as_str()]).await
    }

    /// A call's row alone, for whoever needs no more.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn call(&self, call: CallId) -> Result<CallRow, StoreError> {
        self.optional(CALL_BY_ID, args![call.0]).await?.ok_or(StoreError::NotFound)
    }

    /// Calls, newest first.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a cursor that is none.
    pub async fn list_calls(
        &self,
        filter: &CallFilter,
        cursor: Option<&str>,
        size: u32,
    ) -> Result<Page<CallRow>, StoreError> {
        let mut select = Select::new("SELECT * FROM calls")
            .and_some("client_id = ?", filter.client.map(|client| client.0))
            .and_some("state = ?", filter.state.clone())
            .and_some("end_reason = ?", filter.end_reason.clone())
            .and_some("direction = ?", filter.direction.clone())
            .and_some("caller = ?", filter.caller.clone())
            .and_some("called = ?", filter.called.clone())
            .and_some("agent_id = ?", filter.agent.map(|agent| agent.0))
            .and_some("admitted_at >= ?", filter.from)
            .and_some("admitted_at < ?", filter.to);
        if let Some(last) = Cursor::decode(cursor)? {
            select = select.and("(admitted_at, id) < (?, ?)", args![last.at, last.id]);
        }
        let (sql, values) = select.finish("ORDER BY admitted_at DESC, id DESC", limit(size));
        Ok(page(self.all(sql, values).await?, size, |row: &CallRow| (row.admitted_at, row.id)))
    }

    /// A call and all that belongs to it, as it was at one moment.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn call_detail(&self, call: CallId) -> Result<CallDetail, StoreError> {
        self.run(move |db| async move {
            let id = call.0;
            let mut tx = db.begin_read().await?;
            let call: CallRow = tx.fetch_optional(CALL_BY_ID, args![id]).await?.ok_or(StoreError::NotFound)?;
            let by_carrier = args![call.carrier.clone(), call.carrier_call_id.clone(), call.client_id];
            let events: Vec<EventRow> = tx.fetch_all(EVENTS, args![id]).await?;
            let detail = CallDetail {
                turns: tx.fetch_all(TURNS, args![id]).await?,
                intents: tx.fetch_all(INTENTS, args![id]).await?,
                actions: tx.fetch_all(ACTIONS, args![id]).await?,
                languages: languages(&events),
                events,
                recordings: tx.fetch_all(RECORDINGS, by_carrier).await?,
                call,
            };
            tx.commit().await?;
            Ok(detail)
        })
        .await
    }

    /// One action.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn action(&self, id: Uuid) -> Result<ActionRow, StoreError> {
        self.optional(ACTION_BY_ID, args![id]).await?.ok_or(StoreError::NotFound)
    }

    /// Actions, newest first.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a cursor that is none.
    pub async fn list_actions(
        &self,
        filter: &ActionFilter,
        cursor: Option<&str>,
        size: u32,
    ) -> Result<Page<ActionRow>, StoreError> {
        let mut select = Select::new("SELECT * FROM actions")
            .and_some("client_id = ?", filter.client.map(|client| client.0))
            .and_some("name = ?", filter.name.clone())
            .and_some("state = ?", filter.state.clone());
        if let Some(last) = Cursor::decode(cursor)? {
            select = select.and("(created_at, id) < (?, ?)", args![last.at, last.id]);
        }
        let (sql, values) = select.finish("ORDER BY created_at DESC, id DESC", limit(size));
        Ok(page(self.all(sql, values).await?, size, |row: &ActionRow| (row.created_at, row.id)))
    }

    /// What became of an action, for one whose answer was lost.
    ///
    /// # Errors
    /// As every query.
    pub async fn find_action(&self, idempotency_key: &str) -> Result<Option<ActionRow>, StoreError> {
        self.optional(ACTION_BY_KEY, args![idempotency_key]).await
    }
}
