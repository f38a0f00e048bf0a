//! Numbers that are not to be rung: each once a client, however often it is said or written.

use uuid::Uuid;

use super::entry::{Body, Entry};
use crate::store::db::{Tx, args};
use crate::store::error::StoreError;
use crate::store::facts::rounds;

/// The first call in which it was said stands.
const SUPPRESS_HEAD: &str = "INSERT INTO suppressions (id, client_id, e164, call_id, created_at)";
const SUPPRESS_TAIL: &str = "ON CONFLICT (client_id, e164) DO NOTHING";

pub(super) async fn write_suppressions(tx: &mut Tx, entries: &[&Entry]) -> Result<(), StoreError> {
    let rows = entries.iter().filter_map(|entry| match &entry.body {
        Body::DoNotCall { call, client, e164 } => {
            Some(((*client, e164.clone()), args![Uuid::now_v7(), *client, e164.clone(), *call, entry.at]))
        }
        _ => None,
    });
    for round in rounds(rows) {
        tx.insert_many(SUPPRESS_HEAD, round, SUPPRESS_TAIL).await?;
    }
    Ok(())
}
