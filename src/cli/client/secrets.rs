//! A client's secrets from the shell: the key in its webhook URLs, and the one that signs its own HTTP tools.

use anyhow::Context as _;
use caly_actors::domain::ClientId;
use serde_json::json;

use super::{Voice, audit, by_slug, object, tell_urls};
use crate::administration::webhooks;
use crate::config::Config;
use crate::store::Store;

pub(super) async fn rotate(
    config: &Config,
    store: &Store,
    slug: &str,
    as_json: bool,
    voice: &mut Voice<'_>,
) -> anyhow::Result<()> {
    let id = ClientId(by_slug(store, slug).await?.id);
    let secret = store.rotate_webhook_secret(id).await.context("the former key still holds")?;
    let urls = webhooks(config, slug, &secret);
    if as_json {
        writeln!(voice.out, "{}", json!({ "slug": slug, "webhook_secret": secret, "webhooks": object(&urls) }))?;
    } else {
        writeln!(voice.out, "{slug}: the former key stops working")?;
        tell_urls(&urls, config, voice)?;
    }
    audit(store, "webhook_secret_rotated", Some(id), json!({}), voice.hints).await
}

/// Shows the key that signs requests to the client's own HTTP tools, so that they can check them.
pub(super) async fn action_key(store: &Store, slug: &str, as_json: bool, voice: &mut Voice<'_>) -> anyhow::Result<()> {
    let id = by_slug(store, slug).await?.id;
    let rows = store.load_directory().await.context("clients cannot be read")?;
    let client = rows.clients.into_iter().find(|client| client.client.id == id).context("the client is gone")?;
    let key = client.secrets.http_secret;
    if as_json {
        writeln!(voice.out, "{}", json!({ "slug": slug, "action_key": key }))?;
    } else {
        writeln!(voice.out, "{key}")?;
    }
    writeln!(
        voice.hints,
        "Check X-Caly-Signature: t=…,v1=…,v2=…: v2 is hex(HMAC-SHA256(key, text)) of the lines v2, t, METHOD, path?query, \
         X-Caly-Caller, X-Caly-Call, Idempotency-Key and the body; refuse a t over 5 minutes old. v1, of \
         \"t.METHOD.path?query.body\", does not cover who asks."
    )?;
    audit(store, "action_key_shown", Some(ClientId(id)), json!({}), voice.hints).await
}
