//! Those who ring, for clients that remember them: who they are, what they told, and how it is forgotten.
//!
//! A call counts for its caller once: its row is marked in the transaction that counts it, and whoever forgets a customer
//! marks the calls that were not counted yet, so that none of them brings the customer back.

use std::collections::BTreeMap;

use caly_actors::domain::{CallId, ClientId, Language, PhoneNumber};
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::Store;
use super::cursor::{Cursor, limit, page};
use super::db::{Select, Tx, args};
use super::error::StoreError;
use super::rows::{CustomerDetail, CustomerRow, Page};

/// Facts of one customer.
pub const FACTS_MAX: usize = 30;
/// Characters of a fact's name and of its value.
pub const FACT_NAME_MAX: usize = 40;
pub const FACT_VALUE_MAX: usize = 300;
/// Keys of changes are kept longer than anybody asks about them.
const CHANGES_KEPT: TimeDelta = TimeDelta::days(7);

const BY_ID: &str = "SELECT * FROM customers WHERE id = $1 AND expires_at > $2";
const BY_NUMBER: &str = "SELECT * FROM customers WHERE client_id = $1 AND e164 = $2 AND expires_at > $3 AND \
    COALESCE(last_call_at, created_at) >= $4";
const FACTS: &str = "SELECT * FROM customer_facts WHERE customer_id = $1 AND expires_at > $2 AND updated_at >= $3 \
    ORDER BY updated_at DESC, id DESC LIMIT 30";
/// One whose time is over begins anew, although their row may still be there.
const MEET: &str = "INSERT INTO customers (id, client_id, e164, name, calls, created_at, updated_at, expires_at) VALUES \
    ($1, $2, $3, $4, 0, $5, $5, $6) ON CONFLICT (client_id, e164) DO UPDATE SET \
    name = NULLIF(COALESCE(excluded.name, CASE WHEN customers.expires_at > excluded.updated_at THEN customers.name END), ''), \
    language = CASE WHEN customers.expires_at > excluded.updated_at THEN customers.language END, \
    calls = CASE WHEN customers.expires_at > excluded.updated_at THEN customers.calls ELSE 0 END, \
    first_call_at = CASE WHEN customers.expires_at > excluded.updated_at THEN customers.first_call_at END, \
    last_call_at = CASE WHEN customers.expires_at > excluded.updated_at THEN customers.last_call_at END, \
    last_call_id = CASE WHEN customers.expires_at > excluded.updated_at THEN customers.last_call_id END, \
    updated_at = excluded.updated_at, expires_at = excluded.expires_at RETURNING id";
const CHANGE: &str = "UPDATE customers SET name = CASE WHEN $2 THEN $3 ELSE name END, \
    language = CASE WHEN $4 THEN $5 ELSE language END, updated_at = $6 WHERE id = $1 AND expires_at > $6 RETURNING expires_at";
const KEY: &str = "INSERT INTO customer_changes (idempotency_key, client_id, created_at) VALUES ($1, $2, $3) \
    ON CONFLICT (idempotency_key) DO NOTHING";
const KEY_KNOWN: &str = "SELECT client_id FROM customer_changes WHERE idempotency_key = $1 AND client_id = $2";
const PUT_FACT: &str = "INSERT INTO customer_facts (id, client_id, customer_id, name, value, call_id, created_at, updated_at, \
    expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8) ON CONFLICT (customer_id, name) DO UPDATE SET \
    value = excluded.value, call_id = excluded.call_id, updated_at = excluded.updated_at, expires_at = excluded.expires_at";
const REMOVE_FACT: &str = "DELETE FROM customer_facts WHERE customer_id = $1 AND name = $2";
const REMOVE_EXPIRED: &str = "DELETE FROM customer_facts WHERE customer_id = $1 AND expires_at <= $2";
const COUNT_FACTS: &str = "SELECT COUNT(*) FROM customer_facts WHERE customer_id = $1";

const MARK_CALLS: &str =
    "UPDATE calls SET customer_mark = $3 WHERE client_id = $1 AND caller = $2 AND customer_mark IS NULL";
/// What they told goes with them.
const FORGET: &str = "DELETE FROM customers WHERE client_id = $1 AND e164 = $2";
const UNLINK: &str = "UPDATE appointments SET caller = NULL, name = NULL WHERE client_id = $1 AND caller = $2";

const OLD_FACTS: &str = "DELETE FROM customer_facts WHERE id IN (SELECT id FROM customer_facts WHERE expires_at <= $1 \
    ORDER BY expires_at, id LIMIT 500)";
const OLD_CUSTOMERS: &str = "DELETE FROM customers WHERE id IN (SELECT id FROM customers WHERE expires_at <= $1 \
    ORDER BY expires_at, id LIMIT 500)";
const FACTS_BEFORE: &str = "DELETE FROM customer_facts WHERE id IN (SELECT id FROM customer_facts WHERE client_id = $1 AND \
    updated_at < $2 ORDER BY updated_at LIMIT 500)";
const CUSTOMERS_BEFORE: &str = "DELETE FROM customers WHERE id IN (SELECT id FROM customers WHERE client_id = $1 AND \
    COALESCE(last_call_at, created_at) < $2 ORDER BY COALESCE(last_call_at, created_at) LIMIT 500)";
const OLD_CHANGES: &str = "DELETE FROM customer_changes WHERE idempotency_key IN (SELECT idempotency_key FROM \
    customer_changes WHERE created_at < $1 ORDER BY created_at LIMIT 500)";

/// Something a caller told, to be written down. The same key is the same telling.
#[derive(Clone, PartialEq, Debug)]
pub struct Telling {
    /// Whose customer.
    pub client: ClientId,
    /// Who.
    pub number: PhoneNumber,
    /// The call it is told in.
    pub call: CallId,
    /// What they are called, if they said so.
    pub name: Option<String>,
    /// By name; `None` takes one away.
    pub facts: BTreeMap<String, Option<String>>,
    /// How long it is kept from now.
    pub keep: TimeDelta,
    /// Idempotency key.
    pub key: String,
}

/// What an operator changes of a customer; `None` leaves it as it is, an inner `None` takes it away.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct CustomerChange {
    /// What they are called.
    pub name: Option<Option<String>>,
    /// What they speak.
    pub language: Option<Option<Language>>,
    /// By name; a new one is kept for as long as the customer.
    pub facts: BTreeMap<String, Option<String>>,
}

/// Which customers to list.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct CustomerFilter {
    /// Of this client.
    pub client: Option<ClientId>,
    /// With this number, in E.164.
    pub number: Option<String>,
}

/// What a sweep removed.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Swept {
    /// Customers, with all that was known of them.
    pub customers: u64,
    /// Facts of others.
    pub facts: u64,
}

impl Store {
    /// What a client knows of a number: neither what has expired, nor what is older than `since`.
    ///
    /// # Errors
    /// As every query.
    pub async fn known_customer(
        &self,
        client: ClientId,
        number: &PhoneNumber,
        since: DateTime<Utc>,
    ) -> Result<Option<CustomerDetail>, StoreError> {
        let number = number.as_e164().to_owned();
        self.run(move |db| {
            let number = number.clone();
            async move {
                let (now, mut tx) = (Utc::now(), db.begin_read().await?);
                let found: Option<CustomerRow> =
                    tx.fetch_optional(BY_NUMBER, args![client.0, number, now, since]).await?;
                let Some(customer) = found else { return Ok(None) };
                let facts = tx.fetch_all(FACTS, args![customer.id, now, since]).await?;
                tx.commit().await?;
                Ok(Some(CustomerDetail { customer, facts }))
            }
        })
        .await
    }

    /// A customer whose time is not over, with what is known of them.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn customer(&self, id: Uuid) -> Result<CustomerDetail, StoreError> {
        self.run(move |db| async move {
            let (now, mut tx) = (Utc::now(), db.begin_read().await?);
            let customer: CustomerRow = tx.fetch_optional(BY_ID, args![id, now]).await?.ok_or(StoreError::NotFound)?;
            let facts = tx.fetch_all(FACTS, args![id, now, DateTime::<Utc>::UNIX_EPOCH]).await?;
            tx.commit().await?;
            Ok(CustomerDetail { customer, facts })
        })
        .await
    }

    /// Customers whose time is not over, the one met last first.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a cursor that is none.
    pub async fn list_customers(
        &self,
        filter: &CustomerFilter,
        cursor: Option<&str>,
        size: u32,
    ) -> Result<Page<CustomerRow>, StoreError> {
        let mut select = Select::new("SELECT * FROM customers")
            .and("expires_at > ?", args![Utc::now()])
            .and_some("client_id = ?", filter.client.map(|client| client.0))
            .and_some("e164 = ?", filter.number.clone());
        if let Some(last) = Cursor::decode(cursor)? {
            select = select.and("id < ?", args![last.id]);
        }
        let (sql, values) = select.finish("ORDER BY id DESC", limit(size));
        Ok(page(self.all(sql, values).await?, size, |row: &CustomerRow| (row.created_at, row.id)))
    }

    /// Writes down what a caller told, once for a key.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] beyond [`FACTS_MAX`]: then nothing is written.
    pub async fn remember(&self, telling: Telling) -> Result<(), StoreError> {
        let id = Uuid::now_v7();
        self.run(move |db| {
            let telling = telling.clone();
            async move {
                let (now, mut tx) = (Utc::now(), db.begin().await?);
                let client = telling.client.0;
                if tx.execute(KEY, args![telling.key, client, now]).await? == 0 {
                    return Ok(());
                }
                let until = now + telling.keep;
                let values = args![id, client, telling.number.as_e164(), telling.name, now, until];
                // The row is held until the commit: two who tell of one customer come one after the other.
                let (customer,): (Uuid,) = tx.fetch_optional(MEET, values).await?.ok_or(StoreError::NotFound)?;
                put_facts(&mut tx, (client, customer), telling.facts, Some(telling.call), (now, until)).await?;
                tx.commit().await
            }
        })
        .await
    }

    /// Whether a change of this key was made.
    ///
    /// # Errors
    /// As every query.
    pub async fn customer_change_known(&self, client: ClientId, key: &str) -> Result<bool, StoreError> {
        let known: Option<(Uuid,)> = self.optional(KEY_KNOWN, args![key, client.0]).await?;
        Ok(known.is_some())
    }

    /// Changes what is given and leaves the rest.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] beyond [`FACTS_MAX`].
    pub async fn change_customer(&self, id: Uuid, change: CustomerChange) -> Result<CustomerDetail, StoreError> {
        self.run(move |db| {
            let change = change.clone();
            async move {
                let (now, mut tx) = (Utc::now(), db.begin().await?);
                let (name, language) = (change.name, change.language);
                let values = args![
                    id,
                    name.is_some(),
                    name.flatten(),
                    language.is_some(),
                    language.flatten().map(|language| language.code().to_owned()),
                    now,
                ];
                let (until,): (DateTime<Utc>,) =
                    tx.fetch_optional(CHANGE, values).await?.ok_or(StoreError::NotFound)?;
                let row: CustomerRow = tx.fetch_optional(BY_ID, args![id, now]).await?.ok_or(StoreError::NotFound)?;
                put_facts(&mut tx, (row.client_id, id), change.facts, None, (now, until)).await?;
                tx.commit().await
            }
        })
        .await?;
        self.customer(id).await
    }

    /// Forgets who rings from a number, with all they told: once for a key. Their appointments stand, without number and
    /// name. Calls of theirs that are not counted yet will not be.
    ///
    /// # Errors
    /// As every query; a number that nobody knows is forgotten already.
    pub async fn forget_customer(
        &self,
        client: ClientId,
        number: &PhoneNumber,
        key: Option<&str>,
    ) -> Result<(), StoreError> {
        let (number, key) = (number.as_e164().to_owned(), key.map(str::to_owned));
        self.run(move |db| {
            let (number, key) = (number.clone(), key.clone());
            async move {
                let mut tx = db.begin().await?;
                if let Some(key) = key
                    && tx.execute(KEY, args![key, client.0, Utc::now()]).await? == 0
                {
                    return Ok(());
                }
                // The calls first, as those who count them do: whoever comes second sees what the first one did.
                tx.execute(MARK_CALLS, args![client.0, number.clone(), Uuid::now_v7()]).await?;
                tx.execute(FORGET, args![client.0, number.clone()]).await?;
                tx.execute(UNLINK, args![client.0, number]).await?;
                tx.commit().await
            }
        })
        .await
    }

    /// Removes what has expired, and of each client given what is older than its time; at most 500 rows of a kind, so it is
    /// to be called again as long as it removes any.
    ///
    /// # Errors
    /// As every query.
    pub async fn sweep_customers(
        &self,
        now: DateTime<Utc>,
        limits: &[(ClientId, DateTime<Utc>)],
    ) -> Result<Swept, StoreError> {
        let mut swept = Swept {
            customers: self.execute(OLD_CUSTOMERS, args![now]).await?,
            facts: self.execute(OLD_FACTS, args![now]).await?,
        };
        for (client, since) in limits {
            swept.customers += self.execute(CUSTOMERS_BEFORE, args![client.0, *since]).await?;
            swept.facts += self.execute(FACTS_BEFORE, args![client.0, *since]).await?;
        }
        self.execute(OLD_CHANGES, args![now - CHANGES_KEPT]).await?;
        Ok(swept)
    }
}

/// Writes and takes away facts of a customer whose row is held, so that their number is right.
async fn put_facts(
    tx: &mut Tx,
    (client, customer): (Uuid, Uuid),
    facts: BTreeMap<String, Option<String>>,
    call: Option<CallId>,
    (now, until): (DateTime<Utc>, DateTime<Utc>),
) -> Result<(), StoreError> {
    tx.execute(REMOVE_EXPIRED, args![customer, now]).await?;
    let call = call.map(|call| call.0);
    for (name, value) in facts {
        match value {
            Some(value) => {
                let values = args![Uuid::now_v7(), client, customer, name, value, call, now, until];
                tx.execute(PUT_FACT, values).await?;
            }
            None => {
                tx.execute(REMOVE_FACT, args![customer, name]).await?;
            }
        }
    }
    let (count,): (i64,) = tx.fetch_optional(COUNT_FACTS, args![customer]).await?.unwrap_or_default();
    if count > FACTS_MAX as i64 {
        return Err(StoreError::Conflict(format!("more than {FACTS_MAX} facts of one customer")));
    }
    Ok(())
}

/// Whether the name of a fact fits: `[a-z0-9_]`, 1 to 40.
#[must_use]
pub fn is_fact_name(name: &str) -> bool {
    (1..=FACT_NAME_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}
