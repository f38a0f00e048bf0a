//! `caly key`: keys of the admin API from the shell. A key is shown once, on standard output; hints go to standard error.

use std::io::Write;

use anyhow::Context;
use caly_actors::domain::ClientId;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use uuid::Uuid;

use super::client::{audit, by_slug};
use super::open_store;
use crate::config::Config;
use crate::store::rows::KeyRow;
use crate::store::{Role, Store, StoreError};

/// Makes, lists and revokes keys of the admin API.
#[derive(Args, Clone, Debug)]
pub struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Subcommand, Clone, Debug)]
enum KeyCommand {
    /// Make a key; it is shown this once
    Create {
        /// What it may do: viewer sees, operator also hangs up, admin does everything
        #[arg(long)]
        role: RoleWord,
        /// Whose key it is, for the list
        #[arg(long, default_value = "")]
        name: String,
        /// Let it see one client only
        #[arg(long, value_name = "SLUG")]
        client: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List all keys, also revoked ones
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// End a key; a running server stops taking it within ten seconds
    Revoke {
        /// Its id, as `caly key list` shows it
        id: Uuid,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum RoleWord {
    Admin,
    Operator,
    Viewer,
}

impl From<RoleWord> for Role {
    fn from(word: RoleWord) -> Self {
        match word {
            RoleWord::Admin => Self::Admin,
            RoleWord::Operator => Self::Operator,
            RoleWord::Viewer => Self::Viewer,
        }
    }
}

/// Carries a command out. Results go to `out`, hints to `hints`.
///
/// # Errors
/// The database is away, or there is no such client or key; the text says what to do.
pub async fn run(args: KeyArgs, config: &Config, out: &mut dyn Write, hints: &mut dyn Write) -> anyhow::Result<()> {
    let store = open_store(config).await?;
    let done = match args.command {
        KeyCommand::Create { role, name, client, json } => {
            create(&store, role.into(), &name, client.as_deref(), json, out, hints).await
        }
        KeyCommand::List { json } => list(&store, json, out, hints).await,
        KeyCommand::Revoke { id, json } => revoke(&store, id, json, out, hints).await,
    };
    store.close().await;
    done
}

async fn create(
    store: &Store,
    role: Role,
    name: &str,
    client: Option<&str>,
    as_json: bool,
    out: &mut dyn Write,
    hints: &mut dyn Write,
) -> anyhow::Result<()> {
    let client = match client {
        Some(slug) => Some(ClientId(by_slug(store, slug).await?.id)),
        None => None,
    };
    crate::administration::label("--name", name)?;
    let (id, key) = store.create_key(name, role, client).await.context("the key was not made")?;
    let detail = json!({ "id": id, "role": role.as_str() });
    audit(store, "key_created", client, detail, hints).await?;
    if as_json {
        let client = client.map(|client| client.0);
        let made = json!({ "id": id, "key": key, "role": role.as_str(), "name": name, "client_id": client });
        writeln!(out, "{made}")?;
        return Ok(());
    }
    writeln!(out, "{key}")?;
    writeln!(hints, "Keep it: it is not shown again. Send it as `Authorization: Bearer <key>`.")?;
    writeln!(hints, "To end it: caly key revoke {id}")?;
    Ok(())
}

async fn list(store: &Store, as_json: bool, out: &mut dyn Write, hints: &mut dyn Write) -> anyhow::Result<()> {
    let mut keys: Vec<KeyRow> = Vec::new();
    let mut cursor = None;
    loop {
        let page = store.list_keys(cursor.as_deref(), 200).await.context("keys cannot be read")?;
        keys.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    if as_json {
        writeln!(out, "{}", json!({ "items": keys }))?;
        return Ok(());
    }
    if keys.is_empty() {
        writeln!(hints, "There are no keys. Make one: caly key create --role admin")?;
    }
    for key in keys {
        let state = if key.revoked_at.is_some() { "revoked" } else { "active" };
        let used = key.last_used_at.map_or_else(|| "never used".to_owned(), |at| format!("used {}", at.to_rfc3339()));
        let client = key.client_id.map_or_else(|| "all clients".to_owned(), |client| format!("client {client}"));
        writeln!(out, "{}  {}…  {:8}  {state:7}  {client}  {used}  {}", key.id, key.prefix, key.role, key.name)?;
    }
    Ok(())
}

async fn revoke(
    store: &Store,
    id: Uuid,
    as_json: bool,
    out: &mut dyn Write,
    hints: &mut dyn Write,
) -> anyhow::Result<()> {
    match store.revoke_key(id).await {
        Err(StoreError::NotFound) => anyhow::bail!("there is no key {id}; see them with: caly key list"),
        other => other.context("the key was not revoked")?,
    }
    audit(store, "key_revoked", None, json!({ "id": id }), hints).await?;
    if as_json {
        writeln!(out, "{}", json!({ "id": id, "revoked": true }))?;
    } else {
        writeln!(out, "revoked {id}; a running server stops taking it within ten seconds")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::cli::client::tests::config;
    use clap::Parser;
    use serde_json::Value;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: KeyArgs,
    }

    async fn key(config: &Config, line: &[&str]) -> anyhow::Result<(String, String)> {
        let args = Line::try_parse_from([&["key"], line].concat())?.args;
        let (mut out, mut hints) = (Vec::new(), Vec::new());
        run(args, config, &mut out, &mut hints).await?;
        Ok((String::from_utf8(out)?, String::from_utf8(hints)?))
    }

    #[actix_rt::test]
    async fn a_key_is_printed_once_works_and_can_be_revoked() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(&directory);
        let (out, hints) = key(&config, &["create", "--role", "operator", "--name", "front desk"]).await.unwrap();
        let made = out.strip_suffix('\n').unwrap();
        assert!(made.starts_with("caly_o_") && !made.contains(char::is_whitespace), "only the key: {out}");
        assert!(!hints.contains(made) && hints.contains("caly key revoke"), "{hints}");
        let row = open_store(&config).await.unwrap().find_key(made).await.unwrap().unwrap();
        assert_eq!((row.role.as_str(), row.name.as_str()), ("operator", "front desk"));

        let (list, _) = key(&config, &["list"]).await.unwrap();
        assert!(list.contains(&row.id.to_string()) && list.contains("active") && !list.contains(made), "{list}");
        let id = row.id.to_string();
        key(&config, &["revoke", &id]).await.unwrap();
        assert!(key(&config, &["list"]).await.unwrap().0.contains("revoked"));
        assert!(open_store(&config).await.unwrap().find_key(made).await.unwrap().is_none());
        let audit = open_store(&config).await.unwrap().list_audit(None, None, 10).await.unwrap().items;
        assert_eq!(audit.iter().map(|entry| entry.action.as_str()).collect::<Vec<_>>(), ["key_revoked", "key_created"]);
    }

    #[actix_rt::test]
    async fn machines_read_json() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(&directory);
        let (out, _) = key(&config, &["create", "--role", "admin", "--json"]).await.unwrap();
        let made: Value = serde_json::from_str(&out).unwrap();
        assert!(made["key"].as_str().unwrap().starts_with("caly_a_"));
        let list: Value = serde_json::from_str(&key(&config, &["list", "--json"]).await.unwrap().0).unwrap();
        assert_eq!(list["items"][0]["id"], made["id"]);
    }

    #[actix_rt::test]
    async fn what_does_not_exist_is_told_with_the_next_step() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(&directory);
        let unknown = key(&config, &["revoke", "0190b5a2-7c1e-7000-8000-000000000000"]).await.unwrap_err();
        assert!(unknown.to_string().contains("caly key list"), "{unknown}");
        let client = key(&config, &["create", "--role", "viewer", "--client", "nobody"]).await.unwrap_err();
        assert!(client.to_string().contains("caly client list"), "{client}");
        assert!(key(&config, &["create", "--role", "king"]).await.is_err());
        assert!(key(&config, &["list"]).await.unwrap().1.contains("caly key create"));
    }
}
