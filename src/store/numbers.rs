//! The phone numbers of clients.

use caly_actors::domain::{ClientId, PhoneNumber};
use chrono::Utc;
use uuid::Uuid;

use super::Store;
use super::cursor::{Cursor, limit, page};
use super::db::{Select, Tx, args};
use super::error::StoreError;
use super::rows::{NumberRow, Page};

/// A repeated attempt of the same insert finds its own row and is content.
const INSERT_NUMBER: &str = "INSERT INTO numbers (id, client_id, e164, label, created_at) VALUES ($1, $2, $3, $4, $5) \
    ON CONFLICT (id) DO NOTHING";
const NUMBER_BY_ID: &str = "SELECT * FROM numbers WHERE id = $1";
const CHANGE_NUMBER: &str = "UPDATE numbers SET client_id = COALESCE($2, client_id), \
    label = CASE WHEN $3 THEN $4 ELSE label END WHERE id = $1";
const REMOVE_NUMBER: &str = "DELETE FROM numbers WHERE id = $1";

/// What to change of a number; `None` leaves it as it is, an inner `None` takes it away.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct NumberChange {
    /// Whose it is from now on.
    pub client: Option<ClientId>,
    /// What it is for.
    pub label: Option<Option<String>>,
}

pub(super) async fn insert_number(
    tx: &mut Tx,
    id: Uuid,
    client: ClientId,
    number: &PhoneNumber,
    label: Option<String>,
) -> Result<NumberRow, StoreError> {
    tx.execute(INSERT_NUMBER, args![id, client.0, number.as_e164(), label, Utc::now()]).await?;
    tx.fetch_optional(NUMBER_BY_ID, args![id]).await?.ok_or(StoreError::NotFound)
}

impl Store {
    /// Gives a client a number.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the number is somebody's already, or there is no such client.
    pub async fn add_number(
        &self,
        client: ClientId,
        number: &PhoneNumber,
        label: Option<&str>,
    ) -> Result<NumberRow, StoreError> {
        let id = Uuid::now_v7();
        let label = label.map(str::to_owned);
        self.execute(INSERT_NUMBER, args![id, client.0, number.as_e164(), label, Utc::now()]).await?;
        self.number(id).await
    }

    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn number(&self, id: Uuid) -> Result<NumberRow, StoreError> {
        self.optional(NUMBER_BY_ID, args![id]).await?.ok_or(StoreError::NotFound)
    }

    /// Gives a number to another client, or another label.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] if there is no such client.
    pub async fn change_number(&self, id: Uuid, change: NumberChange) -> Result<NumberRow, StoreError> {
        let client = change.client.map(|client| client.0);
        let values = args![id, client, change.label.is_some(), change.label.flatten()];
        self.changed_one(CHANGE_NUMBER, values).await?;
        self.number(id).await
    }

    /// Takes a number away from its client. Calls to it stay as they were stored.
    ///
    /// # Errors
    /// As every query; a number that is gone already is no error.
    pub async fn remove_number(&self, id: Uuid) -> Result<(), StoreError> {
        self.execute(REMOVE_NUMBER, args![id]).await.map(drop)
    }

    /// Numbers, newest first; of one client or of all.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a cursor that is none.
    pub async fn list_numbers(
        &self,
        client: Option<ClientId>,
        cursor: Option<&str>,
        size: u32,
    ) -> Result<Page<NumberRow>, StoreError> {
        let mut select = Select::new("SELECT * FROM numbers").and_some("client_id = ?", client.map(|client| client.0));
        if let Some(last) = Cursor::decode(cursor)? {
            select = select.and("id < ?", args![last.id]);
        }
        let (sql, values) = select.finish("ORDER BY id DESC", limit(size));
        Ok(page(self.all(sql, values).await?, size, |row: &NumberRow| (row.created_at, row.id)))
    }
}
