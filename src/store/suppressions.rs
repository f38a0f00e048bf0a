//! Numbers that a client does not ring: their owners said so in a call. They stand until somebody takes them away, also when
//! the customer is forgotten.

use caly_actors::domain::{ClientId, PhoneNumber};
use uuid::Uuid;

use super::Store;
use super::cursor::{Cursor, limit, page};
use super::db::{Select, args};
use super::error::StoreError;
use super::rows::{Page, SuppressionRow};

const BY_ID: &str = "SELECT * FROM suppressions WHERE id = $1";
const BY_NUMBER: &str = "SELECT * FROM suppressions WHERE client_id = $1 AND e164 = $2";
const REMOVE: &str = "DELETE FROM suppressions WHERE id = $1";

/// Which to list.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct SuppressionFilter {
    /// Of this client.
    pub client: Option<ClientId>,
    /// Of this number, in E.164.
    pub number: Option<String>,
}

impl Store {
    /// Whether a client does not ring a number. Asked before every call-back and every call that a client begins.
    ///
    /// # Errors
    /// As every query.
    pub async fn is_suppressed(&self, client: ClientId, number: &PhoneNumber) -> Result<bool, StoreError> {
        let row: Option<SuppressionRow> = self.optional(BY_NUMBER, args![client.0, number.as_e164()]).await?;
        Ok(row.is_some())
    }

    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn suppression(&self, id: Uuid) -> Result<SuppressionRow, StoreError> {
        self.optional(BY_ID, args![id]).await?.ok_or(StoreError::NotFound)
    }

    /// Numbers that are not rung, the latest first.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a cursor that is none.
    pub async fn list_suppressions(
        &self,
        filter: &SuppressionFilter,
        cursor: Option<&str>,
        size: u32,
    ) -> Result<Page<SuppressionRow>, StoreError> {
        let mut select = Select::new("SELECT * FROM suppressions")
            .and_some("client_id = ?", filter.client.map(|client| client.0))
            .and_some("e164 = ?", filter.number.clone());
        if let Some(last) = Cursor::decode(cursor)? {
            select = select.and("id < ?", args![last.id]);
        }
        let (sql, values) = select.finish("ORDER BY id DESC", limit(size));
        Ok(page(self.all(sql, values).await?, size, |row: &SuppressionRow| (row.created_at, row.id)))
    }

    /// A number may be rung again. Done twice, the second time changes nothing.
    ///
    /// # Errors
    /// As every query.
    pub async fn remove_suppression(&self, id: Uuid) -> Result<(), StoreError> {
        self.execute(REMOVE, args![id]).await.map(drop)
    }
}
