//! Clients, their numbers and the versions of their agents.

use caly_actors::domain::{ClientId, PhoneNumber};
use chrono::Utc;
use serde_json::Value;
use uuid::Uuid;

use super::Store;
use super::cursor::{Cursor, limit, page};
use super::db::{Select, args};
use super::error::StoreError;
use super::rows::{AgentRow, ClientRow, DirectoryClient, DirectoryRows, NumberRow, Page};
use super::secrets::{hash_secret, random_secret};

const CLIENT_BY_SLUG: &str = "SELECT * FROM clients WHERE slug = $1";
const CLIENT_BY_ID: &str = "SELECT * FROM clients WHERE id = $1";
/// A repeated attempt of the same insert finds its own row and is content.
const INSERT_CLIENT: &str = "INSERT INTO clients (id, slug, name, disabled, answer_style, max_calls, ip_allow_list, \
    basic_user, basic_password_hash, webhook_secret_hash, signature_secret, http_secret, created_at, updated_at) \
    VALUES ($1, $2, $3, FALSE, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12) ON CONFLICT (id) DO NOTHING";
const SET_DISABLED: &str = "UPDATE clients SET disabled = $2, updated_at = $3 WHERE id = $1";
const SET_WEBHOOK_SECRET: &str = "UPDATE clients SET webhook_secret_hash = $2, updated_at = $3 WHERE id = $1";
const INSERT_NUMBER: &str = "INSERT INTO numbers (id, client_id, e164, label, created_at) VALUES ($1, $2, $3, $4, $5) \
    ON CONFLICT (id) DO NOTHING";
const NUMBER_BY_ID: &str = "SELECT * FROM numbers WHERE id = $1";
/// Also takes the client's row lock on PostgreSQL, so that two publishers follow one another.
const TOUCH_CLIENT: &str = "UPDATE clients SET updated_at = $2 WHERE id = $1";
const AGENT_BY_ID: &str = "SELECT * FROM agents WHERE id = $1";
const UNPUBLISH: &str = "UPDATE agents SET published = FALSE WHERE client_id = $1 AND published";
const PUBLISH: &str = "INSERT INTO agents (id, client_id, version, name, settings, published, created_at) \
    SELECT $1, $2, COALESCE(MAX(version), 0) + 1, $3, $4, TRUE, $5 FROM agents WHERE client_id = $2";
const ALL_CLIENTS: &str = "SELECT * FROM clients ORDER BY id";
const ALL_NUMBERS: &str = "SELECT * FROM numbers ORDER BY id";
const PUBLISHED_AGENTS: &str = "SELECT * FROM agents WHERE published ORDER BY client_id";

/// Basic credentials of a client's webhooks. Kept as SHA-256: generate the password, do not choose it.
#[derive(Clone)]
pub struct Basic {
    /// User name.
    pub user: String,
    /// At least 16 characters.
    pub password: String,
}

impl std::fmt::Debug for Basic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Basic")
    }
}

/// A client to be.
#[derive(Clone, Debug)]
pub struct NewClient {
    /// Stands in webhook URLs: 1 to 64 of `[a-z0-9-]`, unique.
    pub slug: String,
    /// Shown to operators.
    pub name: String,
    /// `json` or `exoml`.
    pub answer_style: String,
    /// Calls at once.
    pub max_calls: Option<i64>,
    /// Addresses and networks; empty is any.
    pub ip_allow_list: Vec<String>,
    /// Basic credentials, if the carrier sends them.
    pub basic: Option<Basic>,
    /// Key of `X-Exotel-Signature`, if the deployment's proxy adds it.
    pub signature_secret: Option<secrecy::SecretString>,
}

impl NewClient {
    /// A client with the given slug and name and nothing else set.
    #[must_use]
    pub fn named(slug: &str, name: &str) -> Self {
        Self {
            slug: slug.to_owned(),
            name: name.to_owned(),
            answer_style: "json".to_owned(),
            max_calls: None,
            ip_allow_list: Vec::new(),
            basic: None,
            signature_secret: None,
        }
    }

    fn check(&self) -> Result<(), StoreError> {
        let slug = self.slug.as_bytes();
        let fits = (1..=64).contains(&slug.len())
            && slug.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-');
        if !fits {
            return Err(StoreError::Invalid("slug: 1 to 64 of a-z, 0-9 and '-'".to_owned()));
        }
        if self.basic.as_ref().is_some_and(|basic| basic.user.is_empty() || basic.password.chars().count() < 16) {
            return Err(StoreError::Invalid("basic credentials: a user and at least 16 characters".to_owned()));
        }
        Ok(())
    }
}

/// A client as made, with the secret that is shown this once.
#[derive(Clone)]
pub struct CreatedClient {
    /// The row.
    pub client: ClientRow,
    /// For `?key=` in its webhook URLs; only its hash is kept.
    pub webhook_secret: String,
}

impl std::fmt::Debug for CreatedClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CreatedClient({})", self.client.slug)
    }
}

impl Store {
    /// Makes a client with fresh secrets.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the slug is taken; [`StoreError::Invalid`] for a slug or style that does not fit.
    pub async fn create_client(&self, new: NewClient) -> Result<CreatedClient, StoreError> {
        use secrecy::ExposeSecret;
        new.check()?;
        let id = Uuid::now_v7();
        let (webhook_secret, http_secret) = (random_secret()?, random_secret()?);
        let (user, password) = new.basic.map(|basic| (basic.user, hash_secret(&basic.password))).unzip();
        let signature_secret = new.signature_secret.map(|secret| secret.expose_secret().to_owned());
        let values = args![
            id,
            new.slug,
            new.name,
            new.answer_style,
            new.max_calls,
            Value::from(new.ip_allow_list),
            user,
            password,
            hash_secret(&webhook_secret),
            signature_secret,
            http_secret,
            Utc::now(),
        ];
        self.execute(INSERT_CLIENT, values).await?;
        let client = self.client(ClientId(id)).await?;
        Ok(CreatedClient { client, webhook_secret })
    }

    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn client(&self, client: ClientId) -> Result<ClientRow, StoreError> {
        self.optional(CLIENT_BY_ID, args![client.0]).await?.ok_or(StoreError::NotFound)
    }

    /// # Errors
    /// As every query.
    pub async fn client_by_slug(&self, slug: &str) -> Result<Option<ClientRow>, StoreError> {
        self.optional(CLIENT_BY_SLUG, args![slug]).await
    }

    /// Clients, newest first.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a cursor that is none.
    pub async fn list_clients(&self, cursor: Option<&str>, size: u32) -> Result<Page<ClientRow>, StoreError> {
        let mut select = Select::new("SELECT * FROM clients");
        if let Some(last) = Cursor::decode(cursor)? {
            select = select.and("id < ?", args![last.id]);
        }
        let (sql, values) = select.finish("ORDER BY id DESC", limit(size));
        Ok(page(self.all(sql, values).await?, size, |row: &ClientRow| (row.created_at, row.id)))
    }

    /// Refuses or takes a client's webhooks.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn set_client_disabled(&self, client: ClientId, disabled: bool) -> Result<(), StoreError> {
        self.changed_one(SET_DISABLED, args![client.0, disabled, Utc::now()]).await
    }

    /// Replaces the secret in a client's webhook URLs; the old one stops working. Shown this once.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn rotate_webhook_secret(&self, client: ClientId) -> Result<String, StoreError> {
        let secret = random_secret()?;
        self.changed_one(SET_WEBHOOK_SECRET, args![client.0, hash_secret(&secret), Utc::now()]).await?;
        Ok(secret)
    }

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
        self.optional(NUMBER_BY_ID, args![id]).await?.ok_or(StoreError::NotFound)
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

    /// Adds a version of a client's agent and makes it the one in use.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] without such a client.
    pub async fn publish_agent(&self, client: ClientId, name: &str, settings: Value) -> Result<AgentRow, StoreError> {
        let id = Uuid::now_v7();
        let (name, now) = (name.to_owned(), Utc::now());
        self.run(move |db| {
            let values = args![id, client.0, name.clone(), settings.clone(), now];
            async move {
                let mut tx = db.begin().await?;
                if tx.execute(TOUCH_CLIENT, args![client.0, now]).await? == 0 {
                    return Err(StoreError::NotFound);
                }
                if tx.fetch_optional::<AgentRow>(AGENT_BY_ID, args![id]).await?.is_none() {
                    tx.execute(UNPUBLISH, args![client.0]).await?;
                    tx.execute(PUBLISH, values).await?;
                }
                let row = tx.fetch_optional(AGENT_BY_ID, args![id]).await?.ok_or(StoreError::NotFound)?;
                tx.commit().await?;
                Ok(row)
            }
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
        let mut select = Select::new("SELECT * FROM agents").and_some("client_id = ?", client.map(|client| client.0));
        if let Some(last) = Cursor::decode(cursor)? {
            select = select.and("id < ?", args![last.id]);
        }
        let (sql, values) = select.finish("ORDER BY id DESC", limit(size));
        Ok(page(self.all(sql, values).await?, size, |row: &AgentRow| (row.created_at, row.id)))
    }

    /// All that webhooks and admission need, as it was at one moment.
    ///
    /// # Errors
    /// As every query.
    pub async fn load_directory(&self) -> Result<DirectoryRows, StoreError> {
        self.run(|db| async move {
            let mut tx = db.begin_read().await?;
            let clients: Vec<DirectoryClient> = tx.fetch_all(ALL_CLIENTS, Vec::new()).await?;
            let numbers = tx.fetch_all(ALL_NUMBERS, Vec::new()).await?;
            let agents = tx.fetch_all(PUBLISHED_AGENTS, Vec::new()).await?;
            tx.commit().await?;
            Ok(DirectoryRows { clients, numbers, agents })
        })
        .await
    }

    pub(super) async fn changed_one(&self, sql: &'static str, values: Vec<super::db::Arg>) -> Result<(), StoreError> {
        if self.execute(sql, values).await? == 0 { Err(StoreError::NotFound) } else { Ok(()) }
    }
}
