//! Keys of the admin API.

use caly_actors::domain::ClientId;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use super::Store;
use super::cursor::{Cursor, limit, page};
use super::db::{Select, args};
use super::error::StoreError;
use super::rows::{KeyRow, Page};
use super::secrets::{hash_secret, random_secret, same_hash};

const INSERT_KEY: &str = "INSERT INTO api_keys (id, prefix, hash, role, client_id, name, created_at, expires_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING";
const KEY_BY_HASH: &str = "SELECT * FROM api_keys WHERE hash = $1 AND revoked_at IS NULL";
const KEY_BY_ID: &str = "SELECT * FROM api_keys WHERE id = $1";
const REVOKE: &str = "UPDATE api_keys SET revoked_at = COALESCE(revoked_at, $2) WHERE id = $1";
const TOUCH_KEY: &str = "UPDATE api_keys SET last_used_at = $2 WHERE id = $1 AND \
    (last_used_at IS NULL OR last_used_at < $2)";
/// Characters of a key that are shown to recognise it by: `caly_a_` and six of its 43.
const PREFIX_LENGTH: usize = 13;

/// What a key may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Everything.
    Admin,
    /// See and steer calls.
    Operator,
    /// See.
    Viewer,
}

impl Role {
    /// The word used in the database and in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Viewer => "viewer",
        }
    }

    /// `None` for another word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Admin, Self::Operator, Self::Viewer].into_iter().find(|role| role.as_str() == word)
    }
}

/// A key to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewKey {
    /// Whose it is, for the list.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The one client it may see; `None` is all.
    pub client: Option<ClientId>,
    /// When it stops working; `None` is never.
    pub expires_at: Option<DateTime<Utc>>,
}

impl KeyRow {
    /// Whether it may be used at a moment.
    #[must_use]
    pub fn is_good(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }
}

/// A key as found, with what it is compared by.
#[derive(FromRow)]
struct StoredKey {
    #[sqlx(flatten)]
    row: KeyRow,
    hash: Vec<u8>,
}

impl Store {
    /// Makes a key `caly_<a|o|v>_<43 characters>`. The text is given back this once; only its hash is kept.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if there is no such client.
    pub async fn create_key(
        &self,
        name: &str,
        role: Role,
        client: Option<ClientId>,
    ) -> Result<(Uuid, String), StoreError> {
        let new = NewKey { name: name.to_owned(), role, client, expires_at: None };
        self.make_key(new).await.map(|(row, key)| (row.id, key))
    }

    /// The same, with all there is to say of it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if there is no such client.
    pub async fn make_key(&self, new: NewKey) -> Result<(KeyRow, String), StoreError> {
        let id = Uuid::now_v7();
        let key = format!("caly_{}_{}", &new.role.as_str()[..1], random_secret()?);
        let values = args![
            id,
            &key[..PREFIX_LENGTH],
            hash_secret(&key),
            new.role.as_str(),
            new.client.map(|client| client.0),
            new.name,
            Utc::now(),
            new.expires_at,
        ];
        self.execute(INSERT_KEY, values).await?;
        Ok((self.key(id).await?, key))
    }

    /// A key by its id, also one that was revoked or has expired.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn key(&self, id: Uuid) -> Result<KeyRow, StoreError> {
        self.optional(KEY_BY_ID, args![id]).await?.ok_or(StoreError::NotFound)
    }

    /// The key a request carries, unless it is unknown, revoked or expired.
    ///
    /// # Errors
    /// As every query.
    pub async fn find_key(&self, key: &str) -> Result<Option<KeyRow>, StoreError> {
        let hash = hash_secret(key);
        let stored: Option<StoredKey> = self.optional(KEY_BY_HASH, args![hash.clone()]).await?;
        let fits = |stored: &StoredKey| same_hash(&stored.hash, &hash) && stored.row.is_good(Utc::now());
        Ok(stored.filter(fits).map(|stored| stored.row))
    }

    /// Notes that a key was used; callers do this once in a while, not on every request.
    ///
    /// # Errors
    /// As every query.
    pub async fn touch_key(&self, key: Uuid, at: DateTime<Utc>) -> Result<(), StoreError> {
        self.execute(TOUCH_KEY, args![key, at]).await.map(drop)
    }

    /// Keys, newest first, also revoked ones.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a cursor that is none.
    pub async fn list_keys(&self, cursor: Option<&str>, size: u32) -> Result<Page<KeyRow>, StoreError> {
        self.list_keys_of(None, cursor, size).await
    }

    /// Keys that may see only this client, or all keys, newest first, also revoked ones.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a cursor that is none.
    pub async fn list_keys_of(
        &self,
        client: Option<ClientId>,
        cursor: Option<&str>,
        size: u32,
    ) -> Result<Page<KeyRow>, StoreError> {
        let mut select = Select::new("SELECT * FROM api_keys").and_some("client_id = ?", client.map(|client| client.0));
        if let Some(last) = Cursor::decode(cursor)? {
            select = select.and("id < ?", args![last.id]);
        }
        let (sql, values) = select.finish("ORDER BY id DESC", limit(size));
        Ok(page(self.all(sql, values).await?, size, |row: &KeyRow| (row.created_at, row.id)))
    }

    /// Ends a key; a second time changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn revoke_key(&self, key: Uuid) -> Result<(), StoreError> {
        self.changed_one(REVOKE, args![key, Utc::now()]).await
    }
}
