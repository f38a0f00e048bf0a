//! Callers who asked to be rung back. A wish is the action of their call; that it was done is a row of its own.

use caly_actors::domain::ClientId;
use chrono::Utc;
use uuid::Uuid;

use super::Store;
use super::cursor::{Cursor, limit, page};
use super::db::{Select, args};
use super::error::StoreError;
use super::rows::{CallbackRow, Page};

/// What was withdrawn or failed was promised to nobody.
const WISHES: &str = "SELECT actions.id, actions.client_id, actions.call_id, calls.caller, actions.arguments, actions.output, \
    actions.created_at, callbacks_done.done_at, callbacks_done.done_by, callbacks_done.note, \
    suppressions.created_at AS do_not_call_since FROM actions \
    JOIN calls ON calls.id = actions.call_id LEFT JOIN callbacks_done ON callbacks_done.action_id = actions.id \
    LEFT JOIN suppressions ON suppressions.client_id = actions.client_id AND suppressions.e164 = calls.caller \
    WHERE actions.name = 'request_callback' AND actions.state <> 'withdrawn' AND actions.state <> 'failed' \
    AND actions.undone_by IS NULL";
const DONE: &str = "INSERT INTO callbacks_done (action_id, client_id, done_at, done_by, note) VALUES ($1, $2, $3, $4, $5) \
    ON CONFLICT (action_id) DO NOTHING";

/// Which wishes to list.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct CallbackFilter {
    /// Of this client.
    pub client: Option<ClientId>,
    /// Rung back already, or not.
    pub done: Option<bool>,
}

impl Store {
    /// Wishes to be rung back, newest first.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a cursor that is none.
    pub async fn list_callbacks(
        &self,
        filter: CallbackFilter,
        cursor: Option<&str>,
        size: u32,
    ) -> Result<Page<CallbackRow>, StoreError> {
        let mut select = Select::more(WISHES).and_some("actions.client_id = ?", filter.client.map(|client| client.0));
        select = match filter.done {
            Some(true) => select.and("callbacks_done.done_at IS NOT NULL", args![]),
            Some(false) => select.and("callbacks_done.done_at IS NULL", args![]),
            None => select,
        };
        if let Some(last) = Cursor::decode(cursor)? {
            select = select.and("(actions.created_at, actions.id) < (?, ?)", args![last.at, last.id]);
        }
        let (sql, values) = select.finish("ORDER BY actions.created_at DESC, actions.id DESC", limit(size));
        Ok(page(self.all(sql, values).await?, size, |row: &CallbackRow| (row.created_at, row.id)))
    }

    /// One wish.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn callback(&self, id: Uuid) -> Result<CallbackRow, StoreError> {
        let (sql, values) = Select::more(WISHES).and("actions.id = ?", args![id]).finish("", 1);
        self.optional(sql, values).await?.ok_or(StoreError::NotFound)
    }

    /// Notes that somebody rang back. Said twice, the first stands.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn callback_done(&self, id: Uuid, by: Uuid, note: Option<String>) -> Result<CallbackRow, StoreError> {
        let wish = self.callback(id).await?;
        self.execute(DONE, args![id, wish.client_id, Utc::now(), by, note]).await?;
        self.callback(id).await
    }
}
