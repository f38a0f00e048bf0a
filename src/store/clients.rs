//! Clients, their numbers and the versions of their agents.

use caly_actors::domain::{ClientId, PhoneNumber};
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use serde_json::Value;
use uuid::Uuid;

use super::Store;
use super::agents::publish_next;
use super::cursor::{Cursor, limit, page};
use super::db::{Arg, Select, args};
use super::error::StoreError;
use super::numbers::insert_number;
use super::rows::{AgentRow, ClientRow, DirectoryClient, DirectoryRows, NumberRow, Page};
use super::secrets::{hash_secret, random_secret};
use super::shops::Shop;

const CLIENT_BY_SLUG: &str = "SELECT * FROM clients WHERE slug = $1";
const CLIENT_BY_ID: &str = "SELECT * FROM clients WHERE id = $1";
/// A repeated attempt of the same insert finds its own row and is content.
const INSERT_CLIENT: &str = "INSERT INTO clients (id, slug, name, disabled, answer_style, max_calls, ip_allow_list, \
    basic_user, basic_password_hash, webhook_secret_hash, signature_secret, http_secret, created_at, updated_at) \
    VALUES ($1, $2, $3, FALSE, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12) ON CONFLICT (id) DO NOTHING";
const SET_DISABLED: &str = "UPDATE clients SET disabled = $2, updated_at = $3 WHERE id = $1";
/// The former secret holds until $4, if that is given. A repeated attempt finds its own secret and keeps the former one.
const SET_WEBHOOK_SECRET: &str = "UPDATE clients SET former_webhook_secret_hash = CASE \
    WHEN webhook_secret_hash = $2 THEN former_webhook_secret_hash WHEN $5 THEN webhook_secret_hash ELSE NULL END, \
    former_webhook_secret_until = $4, webhook_secret_hash = $2, updated_at = $3 WHERE id = $1";
/// Each column that may change has a place that says whether it does.
const CHANGE_CLIENT: &str = "UPDATE clients SET updated_at = $2, \
    name = COALESCE($3, name), answer_style = COALESCE($4, answer_style), \
    disabled = CASE WHEN $5 THEN $6 ELSE disabled END, \
    max_calls = CASE WHEN $7 THEN $8 ELSE max_calls END, \
    ip_allow_list = COALESCE($9, ip_allow_list), \
    basic_user = CASE WHEN $10 THEN $11 ELSE basic_user END, \
    basic_password_hash = CASE WHEN $10 THEN $12 ELSE basic_password_hash END, \
    signature_secret = CASE WHEN $13 THEN $14 ELSE signature_secret END, \
    shop_domain = CASE WHEN $15 THEN $16 ELSE shop_domain END, \
    shop_token = CASE WHEN $15 THEN $17 ELSE shop_token END, \
    shop_webhook_secret = CASE WHEN $15 THEN $18 ELSE shop_webhook_secret END WHERE id = $1";
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

impl Basic {
    fn check(&self) -> Result<(), StoreError> {
        if self.user.is_empty() || self.password.chars().count() < 16 {
            return Err(StoreError::Invalid("basic credentials: a user and at least 16 characters".to_owned()));
        }
        Ok(())
    }
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
        self.basic.as_ref().map_or(Ok(()), Basic::check)
    }

    /// The values of [`INSERT_CLIENT`].
    fn values(self, id: Uuid, webhook_secret: &str, http_secret: String) -> Vec<Arg> {
        let (user, password) = self.basic.map(|basic| (basic.user, hash_secret(&basic.password))).unzip();
        args![
            id,
            self.slug,
            self.name,
            self.answer_style,
            self.max_calls,
            Value::from(self.ip_allow_list),
            user,
            password,
            hash_secret(webhook_secret),
            self.signature_secret.map(|secret| secret.expose_secret().to_owned()),
            http_secret,
            Utc::now(),
        ]
    }
}

/// What to change of a client; `None` leaves it as it is, an inner `None` takes it away.
#[derive(Clone, Default, Debug)]
pub struct ClientChange {
    /// Shown to operators.
    pub name: Option<String>,
    /// Whether its webhooks are refused.
    pub disabled: Option<bool>,
    /// `json` or `exoml`.
    pub answer_style: Option<String>,
    /// Calls at once.
    pub max_calls: Option<Option<i64>>,
    /// Addresses and networks; empty is any.
    pub ip_allow_list: Option<Vec<String>>,
    /// Basic credentials.
    pub basic: Option<Option<Basic>>,
    /// Key of `X-Exotel-Signature`.
    pub signature_secret: Option<Option<secrecy::SecretString>>,
    /// Its shop.
    pub shop: Option<Option<Shop>>,
}

/// A client made with its numbers and its agent.
#[derive(Clone, Debug)]
pub struct WholeClient {
    /// The client, with the secret that is shown this once.
    pub created: CreatedClient,
    /// Its numbers.
    pub numbers: Vec<NumberRow>,
    /// Its agent, in use.
    pub agent: AgentRow,
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
        new.check()?;
        let id = Uuid::now_v7();
        let (webhook_secret, http_secret) = (random_secret()?, random_secret()?);
        self.execute(INSERT_CLIENT, new.values(id, &webhook_secret, http_secret)).await?;
        let client = self.client(ClientId(id)).await?;
        Ok(CreatedClient { client, webhook_secret })
    }

    /// Makes a client with its numbers and a first agent, all or nothing.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the slug or a number is taken; [`StoreError::Invalid`] for what does not fit.
    pub async fn create_whole_client(
        &self,
        new: NewClient,
        numbers: Vec<PhoneNumber>,
        settings: Value,
    ) -> Result<WholeClient, StoreError> {
        new.check()?;
        let (id, agent, name) = (Uuid::now_v7(), Uuid::now_v7(), new.name.clone());
        let (webhook_secret, http_secret) = (random_secret()?, random_secret()?);
        let values = new.values(id, &webhook_secret, http_secret);
        let numbers: Vec<(Uuid, PhoneNumber)> = numbers.into_iter().map(|number| (Uuid::now_v7(), number)).collect();
        let (client, numbers, agent) = self
            .run(move |db| {
                let (values, name, settings, numbers) =
                    (values.clone(), name.clone(), settings.clone(), numbers.clone());
                async move {
                    let mut tx = db.begin().await?;
                    tx.execute(INSERT_CLIENT, values).await?;
                    let mut rows = Vec::new();
                    for (number_id, number) in &numbers {
                        rows.push(insert_number(&mut tx, *number_id, ClientId(id), number, None).await?);
                    }
                    let agent = publish_next(&mut tx, agent, ClientId(id), &name, settings, true).await?;
                    let client: Option<ClientRow> = tx.fetch_optional(CLIENT_BY_ID, args![id]).await?;
                    tx.commit().await?;
                    Ok((client.ok_or(StoreError::NotFound)?, rows, agent))
                }
            })
            .await?;
        Ok(WholeClient { created: CreatedClient { client, webhook_secret }, numbers, agent })
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
        self.rotate_webhook_secret_keeping(client, None).await
    }

    /// The same, but the secret that was in use holds until a moment. One that was itself kept so ends now.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn rotate_webhook_secret_keeping(
        &self,
        client: ClientId,
        until: Option<DateTime<Utc>>,
    ) -> Result<String, StoreError> {
        let secret = random_secret()?;
        let values = args![client.0, hash_secret(&secret), Utc::now(), until, until.is_some()];
        self.changed_one(SET_WEBHOOK_SECRET, values).await?;
        Ok(secret)
    }

    /// Changes what is given and leaves the rest.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Invalid`] for a style that does not fit.
    pub async fn change_client(&self, client: ClientId, change: ClientChange) -> Result<ClientRow, StoreError> {
        if let Some(Some(basic)) = &change.basic {
            basic.check()?;
        }
        if let Some(Some(shop)) = &change.shop {
            shop.check()?;
        }
        let basic = change.basic.is_some();
        let (user, password) = change.basic.flatten().map(|basic| (basic.user, hash_secret(&basic.password))).unzip();
        let signature = change.signature_secret.is_some();
        let shop = change.shop.is_some();
        let (shop_domain, shop_token, shop_webhook_secret) =
            change.shop.flatten().map(Shop::values).unwrap_or_default();
        let values = args![
            client.0,
            Utc::now(),
            change.name,
            change.answer_style,
            change.disabled.is_some(),
            change.disabled.unwrap_or_default(),
            change.max_calls.is_some(),
            change.max_calls.flatten(),
            change.ip_allow_list.map(Value::from),
            basic,
            user,
            password,
            signature,
            change.signature_secret.flatten().map(|secret| secret.expose_secret().to_owned()),
            shop,
            shop_domain,
            shop_token,
            shop_webhook_secret,
        ];
        self.changed_one(CHANGE_CLIENT, values).await?;
        self.client(client).await
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

    pub(super) async fn changed_one(&self, sql: &'static str, values: Vec<Arg>) -> Result<(), StoreError> {
        if self.execute(sql, values).await? == 0 { Err(StoreError::NotFound) } else { Ok(()) }
    }
}
