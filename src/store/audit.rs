//! The audit log as it is read. Entries are written by [`super::facts`].

use caly_actors::domain::ClientId;

use super::Store;
use super::cursor::{Cursor, limit, page};
use super::db::{Select, args};
use super::error::StoreError;
use super::facts::{AuditEntry, insert_audits};
use super::rows::{AuditRow, Page};

impl Store {
    /// Adds an entry now. Whoever cannot wait gives it to the recorder instead; whether a failure matters is the
    /// caller's to decide.
    ///
    /// # Errors
    /// As every query.
    pub async fn append_audit(&self, mut entry: AuditEntry) -> Result<(), StoreError> {
        entry.mask();
        self.run(move |db| {
            let entry = entry.clone();
            async move {
                let mut tx = db.begin().await?;
                insert_audits(&mut tx, &[&entry]).await?;
                tx.commit().await
            }
        })
        .await
    }

    /// Entries, newest first; of one client or of all.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a cursor that is none.
    pub async fn list_audit(
        &self,
        client: Option<ClientId>,
        cursor: Option<&str>,
        size: u32,
    ) -> Result<Page<AuditRow>, StoreError> {
        let mut select =
            Select::new("SELECT * FROM audit_log").and_some("client_id = ?", client.map(|client| client.0));
        if let Some(last) = Cursor::decode(cursor)? {
            select = select.and("(at, id) < (?, ?)", args![last.at, last.id]);
        }
        let (sql, values) = select.finish("ORDER BY at DESC, id DESC", limit(size));
        Ok(page(self.all(sql, values).await?, size, |row: &AuditRow| (row.at, row.id)))
    }
}
