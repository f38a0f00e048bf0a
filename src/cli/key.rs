//! `caly key`: keys of the admin API from the shell. A key is shown once, on standard output; hints go to standard error.

use std::io::Write;

use anyhow::Context;
use caly_actors::domain::ClientId;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use uuid::Uuid;

use super::client::{audit, by_slug, open};
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
    let store = open(config).await?;
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
    let (id, key) = store.create_key(name, role, client).await.context("the key was not made")?;
    let detail = json!({ "key": id, "role": role.as_str() });
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
    audit(store, "key_revoked", None, json!({ "key": id }), hints).await?;
    if as_json {
        writeln!(out, "{}", json!({ "id": id, "revoked": true }))?;
    } else {
        writeln!(out, "revoked {id}; a running server stops taking it within ten seconds")?;
    }
    Ok(())
}
