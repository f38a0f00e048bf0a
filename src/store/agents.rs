//! The versions of how clients' calls are conducted.

use caly_actors::domain::{AgentId, ClientId};
use chrono::Utc;
use serde_json::Value;
use uuid::Uuid;

use super::Store;
use super::cursor::{Cursor, limit, page};
use super::db::{Select, Tx, args};
use super::error::StoreError;
use super::rows::{AgentRow, Page};

/// Also takes the client's row lock on PostgreSQL, so that two publishers follow one another.
const TOUCH_CLIENT: &str = "UPDATE clients SET updated_at = $2 WHERE id = $1";
const AGENT_BY_ID: &str = "SELECT * FROM agents WHERE id = $1";
const IN_USE: &str = "SELECT * FROM agents WHERE client_id = $1 AND published LIMIT 1";
const UNPUBLISH: &str = "UPDATE agents SET published = FALSE WHERE client_id = $1 AND published";
const ADD: &str = "INSERT INTO agents (id, client_id, version, name, settings, published, created_at) \
    SELECT $1, $2, COALESCE(MAX(version), 0) + 1, $3, $4, $6, $5 FROM agents WHERE client_id = $2";
const PUBLISH: &str = "UPDATE agents SET published = TRUE WHERE id = $1";

/// Which versions to list.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct AgentFilter {
    /// Of this client.
    pub client: Option<ClientId>,
    /// In use, or not.
    pub published: Option<bool>,
}

/// Adds a version; a repeated attempt finds its own.
pub(super) async fn publish_next(
    tx: &mut Tx,
    id: Uuid,
    client: ClientId,
    name: &str,
    settings: Value,
    publish: bool,
) -> Result<AgentRow, StoreError> {
    let now = Utc::now();
    if tx.execute(TOUCH_CLIENT, args![client.0, now]).await? == 0 {
        return Err(StoreError::NotFound);
    }
    if let Some(row) = tx.fetch_optional::<AgentRow>(AGENT_BY_ID, args![id]).await? {
        return Ok(row);
    }
    if publish {
        tx.execute(UNPUBLISH, args![client.0]).await?;
    }
    tx.execute(ADD, args![id, client.0, name, settings, now, publish]).await?;
    tx.fetch_optional(AGENT_BY_ID, args![id]).await?.ok_or(StoreError::NotFound)
}

impl Store {
    /// Adds a version of a client's agent and makes it the one in use.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] without such a client.
    pub async fn publish_agent(&self, client: ClientId, name: &str, settings: Value) -> Result<AgentRow, StoreError> {
        self.add_agent(client, name, settings, true).await
    }

    /// Adds a version of a client's agent, in use at once or not yet.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] without such a client.
    pub async fn add_agent(
        &self,
        client: ClientId,
        name: &str,
        settings: Value,
        publish: bool,
    ) -> Result<AgentRow, StoreError> {
        let (id, name) = (Uuid::now_v7(), name.to_owned());
        self.run(move |db| {
            let (name, settings) = (name.clone(), settings.clone());
            async move {
                let mut tx = db.begin().await?;
                let row = publish_next(&mut tx, id, client, &name, settings, publish).await?;
                tx.commit().await?;
                Ok(row)
            }
        })
        .await
    }

    /// Adds a version made from the one in use, and uses it, unless another came into use since that one was read.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if it did; [`StoreError::NotFound`] without such a client.
    pub async fn publish_instead(&self, former: &AgentRow, settings: Value) -> Result<AgentRow, StoreError> {
        let (id, former) = (Uuid::now_v7(), former.clone());
        self.run(move |db| {
            let (former, settings) = (former.clone(), settings.clone());
            async move {
                let mut tx = db.begin().await?;
                // Holds the client, so that who publishes meanwhile comes after.
                tx.execute(TOUCH_CLIENT, args![former.client_id, Utc::now()]).await?;
                let used: Option<AgentRow> = tx.fetch_optional(IN_USE, args![former.client_id]).await?;
                if used.is_some_and(|used| used.id != former.id && used.id != id) {
                    return Err(StoreError::Conflict("another version came into use".to_owned()));
                }
                let client = ClientId(former.client_id);
                let row = publish_next(&mut tx, id, client, &former.name, settings, true).await?;
                tx.commit().await?;
                Ok(row)
            }
        })
        .await
    }

    /// The version of a client's agent that new calls use.
    ///
    /// # Errors
    /// As every query.
    pub async fn agent_in_use(&self, client: ClientId) -> Result<Option<AgentRow>, StoreError> {
        self.optional(IN_USE, args![client.0]).await
    }

    /// One version.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn agent(&self, id: AgentId) -> Result<AgentRow, StoreError> {
        self.optional(AGENT_BY_ID, args![id.0]).await?.ok_or(StoreError::NotFound)
    }

    /// Makes a version that exists the one in use, whether it is newer or older than the one that was.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn publish_agent_version(&self, id: AgentId) -> Result<AgentRow, StoreError> {
        self.run(move |db| async move {
            let mut tx = db.begin().await?;
            let row: AgentRow = tx.fetch_optional(AGENT_BY_ID, args![id.0]).await?.ok_or(StoreError::NotFound)?;
            tx.execute(TOUCH_CLIENT, args![row.client_id, Utc::now()]).await?;
            tx.execute(UNPUBLISH, args![row.client_id]).await?;
            tx.execute(PUBLISH, args![id.0]).await?;
            tx.commit().await?;
            Ok(AgentRow { published: true, ..row })
        })
        .await
    }

    /// Versions of a client's agent, newest first.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a cursor that is none.
    pub async fn list_agents(
        &self,
        client: Option<ClientId>,
        cursor: Option<&str>,
        size: u32,
    ) -> Result<Page<AgentRow>, StoreError> {
        self.list_agent_versions(AgentFilter { client, published: None }, cursor, size).await
    }

    /// Versions of agents that match, newest first.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a cursor that is none.
    pub async fn list_agent_versions(
        &self,
        filter: AgentFilter,
        cursor: Option<&str>,
        size: u32,
    ) -> Result<Page<AgentRow>, StoreError> {
        let mut select =
            Select::new("SELECT * FROM agents").and_some("client_id = ?", filter.client.map(|client| client.0));
        if let Some(published) = filter.published {
            select = select.and("published = ?", args![published]);
        }
        if let Some(last) = Cursor::decode(cursor)? {
            select = select.and("id < ?", args![last.id]);
        }
        let (sql, values) = select.finish("ORDER BY id DESC", limit(size));
        Ok(page(self.all(sql, values).await?, size, |row: &AgentRow| (row.created_at, row.id)))
    }
}
