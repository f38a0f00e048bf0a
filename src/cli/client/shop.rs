//! A client's shop from the shell. Its token and the key of its webhooks never stand on a command line, where other users
//! of the machine could read them.

use std::io::{IsTerminal as _, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use caly_actors::domain::ClientId;
use clap::Args;
use secrecy::SecretString;
use serde_json::json;

use super::{Voice, audit, by_option, by_slug};
use crate::administration;
use crate::config::Config;
use crate::store::{ClientChange, Store};

/// Longest token or key.
const SECRET_BYTES_MAX: u64 = 1024;

/// Options of `caly client shop`.
#[derive(Args, Clone, Debug)]
pub(super) struct ShopArgs {
    /// The client
    slug: String,
    /// The shop, as my-shop.myshopify.com
    #[arg(long, required_unless_present = "remove", conflicts_with = "remove")]
    domain: Option<String>,
    /// File with the Admin API access token; without it the token is read from standard input
    #[arg(long, value_name = "FILE", conflicts_with = "remove")]
    token_file: Option<PathBuf>,
    /// File with the key that signs the shop's webhooks; without it they are refused
    #[arg(long, value_name = "FILE", conflicts_with = "remove")]
    webhook_secret_file: Option<PathBuf>,
    /// Forget the client's shop
    #[arg(long)]
    remove: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn connect(
    args: ShopArgs,
    config: &Config,
    store: &Store,
    input: &mut dyn Read,
    voice: &mut Voice<'_>,
) -> anyhow::Result<()> {
    let id = ClientId(by_slug(store, &args.slug).await?.id);
    let shop = match &args.domain {
        Some(domain) => {
            let token = token(args.token_file.as_deref(), input, voice)?;
            let key = args.webhook_secret_file.as_deref().map(file).transpose()?;
            Some(administration::shop("shop", domain, token, key).map_err(by_option)?)
        }
        None => None,
    };
    let (domain, signed) = (shop.as_ref().map(|shop| shop.domain.clone()), args.webhook_secret_file.is_some());
    let change = ClientChange { shop: Some(shop), ..ClientChange::default() };
    store.change_client(id, change).await.context("nothing was changed")?;
    let action = if domain.is_some() { "shop_connected" } else { "shop_removed" };
    audit(store, action, Some(id), json!({ "domain": domain }), voice.hints).await?;
    let webhooks = format!("{}/webhooks/shopify/{}", config.server.public_url.http(), args.slug);
    let webhooks = Some(webhooks).filter(|_| signed);
    if args.json {
        let shop = domain.map(|domain| json!({ "domain": domain }));
        writeln!(voice.out, "{}", json!({ "slug": args.slug, "shop": shop, "webhooks": webhooks }))?;
        return Ok(());
    }
    match domain {
        Some(domain) => writeln!(voice.out, "{}: its shop is {domain}", args.slug)?,
        None => writeln!(voice.out, "{}: it has no shop", args.slug)?,
    }
    if let Some(url) = webhooks {
        writeln!(voice.out, "Webhooks of the shop go to {url}")?;
    }
    if args.domain.is_some() {
        writeln!(voice.hints, "Next: caly check, and \"shop\": {{}} in the agent's settings lets callers use it.")?;
    }
    Ok(())
}

fn token(named: Option<&Path>, input: &mut dyn Read, voice: &mut Voice<'_>) -> anyhow::Result<SecretString> {
    if let Some(path) = named {
        return file(path);
    }
    if std::io::stdin().is_terminal() {
        writeln!(voice.hints, "Paste the Admin API access token and end with Ctrl-D:")?;
    }
    secret(input, "standard input")
}

fn file(path: &Path) -> anyhow::Result<SecretString> {
    let shown = path.display().to_string();
    let mut opened = std::fs::File::open(path).with_context(|| format!("{shown} cannot be opened"))?;
    secret(&mut opened, &shown)
}

/// A file ends its line; a token does not.
fn secret(source: &mut dyn Read, shown: &str) -> anyhow::Result<SecretString> {
    let mut text = String::new();
    let read = source.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text);
    if read.with_context(|| format!("{shown} cannot be read"))? as u64 > SECRET_BYTES_MAX {
        bail!("{shown} holds more than {SECRET_BYTES_MAX} bytes: that is no token");
    }
    if text.trim().is_empty() {
        bail!("{shown} holds no token: pipe it in, or name its file with --token-file");
    }
    Ok(text.trim().to_owned().into())
}
