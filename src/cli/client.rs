//! `caly client`: clients, their numbers and agents from the shell. Whatever is secret is shown once, on standard
//! output; a running server takes changes up within seconds.

mod secrets;
mod shop;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use caly_actors::domain::{ClientId, PhoneNumber};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::administration::{self, Draft, Refused, webhooks};
use crate::config::Config;
use crate::store::rows::{AgentRow, ClientRow, NumberRow};
use crate::store::{AuditEntry, NewClient, Store, StoreError};

/// Longest file of agent settings.
const SETTINGS_BYTES_MAX: u64 = 1024 * 1024;

/// Makes and changes clients.
#[derive(Args, Clone, Debug)]
pub struct ClientArgs {
    #[command(subcommand)]
    command: ClientCommand,
}

#[derive(Subcommand, Clone, Debug)]
enum ClientCommand {
    /// Make a client and print the URLs to paste into Exotel; their key is shown this once
    Create(Create),
    /// List all clients
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a client with its numbers and agent
    Show {
        /// The client
        slug: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Give a client a number
    Number {
        /// The client
        slug: String,
        /// In E.164, as +919876543210
        number: String,
        /// What the number is for
        #[arg(long)]
        label: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check agent settings and let new calls use them
    Agent {
        /// The client
        slug: String,
        /// A JSON file, or - for standard input
        file: PathBuf,
        /// Shown to operators
        #[arg(long)]
        name: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the key that signs requests to a client's own HTTP tools
    ActionKey {
        /// The client
        slug: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Connect a client's shop at Shopify; the access token is read from standard input or a file
    Shop(shop::ShopArgs),
    /// Refuse a client's webhooks
    Disable {
        /// The client
        slug: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take a client's webhooks again
    Enable {
        /// The client
        slug: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Replace the key in a client's webhook URLs; the old one stops working
    Secret {
        /// The client
        slug: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args, Clone, Debug)]
struct Create {
    /// Stands in URLs: 1 to 64 of a-z, 0-9 and '-'
    #[arg(long)]
    slug: String,
    /// Shown to operators
    #[arg(long)]
    name: String,
    /// In E.164, as +919876543210; may be given more than once
    #[arg(long, value_name = "+91…")]
    number: Vec<String>,
    /// A JSON file with agent settings, or - for standard input; without it a plain agent is published
    #[arg(long, value_name = "FILE.json")]
    agent: Option<PathBuf>,
    /// Also make Basic credentials with this user name, for static stream URLs and applets that send them
    #[arg(long, value_name = "USER")]
    basic: Option<String>,
    /// Answer call-start with the XML form
    #[arg(long)]
    exoml: bool,
    /// Calls at once
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    max_calls: Option<u32>,
    /// Address or network its webhooks may come from; may be given more than once
    #[arg(long, value_name = "NETWORK")]
    allow_ip: Vec<String>,
    /// Key of the X-Exotel-Signature header, for deployments whose proxy adds it: read from this file
    #[arg(long, value_name = "FILE")]
    signature_key_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Where a command's words go.
struct Voice<'a> {
    out: &'a mut dyn Write,
    hints: &'a mut dyn Write,
}

/// Carries a command out. Results go to `out`, hints to `hints`; `-` for a file reads `input`.
///
/// # Errors
/// The database is away, or something does not fit; the text says what to do.
pub async fn run(
    args: ClientArgs,
    config: &Config,
    input: &mut dyn Read,
    out: &mut dyn Write,
    hints: &mut dyn Write,
) -> anyhow::Result<()> {
    let store = super::open_store(config).await?;
    let done = carry_out(args.command, config, &store, input, &mut Voice { out, hints }).await;
    store.close().await;
    done
}

async fn carry_out(
    command: ClientCommand,
    config: &Config,
    store: &Store,
    input: &mut dyn Read,
    voice: &mut Voice<'_>,
) -> anyhow::Result<()> {
    match command {
        ClientCommand::Create(new) => create(new, config, store, input, voice).await,
        ClientCommand::List { json } => list(store, json, voice).await,
        ClientCommand::Show { slug, json } => show(store, &slug, json, voice).await,
        ClientCommand::Number { slug, number, label, json } => {
            number_of(store, &slug, &number, label.as_deref(), json, voice).await
        }
        ClientCommand::Agent { slug, file, name, json } => {
            let settings = settings(&file, config, input)?;
            let client = by_slug(store, &slug).await?;
            let agent = publish(store, &client, name.as_deref(), settings, voice).await?;
            if json {
                writeln!(voice.out, "{}", json!(agent))?;
            } else {
                writeln!(voice.out, "{slug}: agent version {} is in use for new calls", agent.version)?;
            }
            Ok(())
        }
        ClientCommand::Shop(args) => shop::connect(args, config, store, input, voice).await,
        ClientCommand::Disable { slug, json } => switch(store, &slug, true, json, voice).await,
        ClientCommand::Enable { slug, json } => switch(store, &slug, false, json, voice).await,
        ClientCommand::Secret { slug, json } => secrets::rotate(config, store, &slug, json, voice).await,
        ClientCommand::ActionKey { slug, json } => secrets::action_key(store, &slug, json, voice).await,
    }
}

/// # Errors
/// There is no such client.
pub(super) async fn by_slug(store: &Store, slug: &str) -> anyhow::Result<ClientRow> {
    let found = store.client_by_slug(slug).await.context("clients cannot be read")?;
    found.with_context(|| format!("there is no client {slug}; see them with: caly client list"))
}

/// Notes what was done. What was done stands, so a failure is only told.
///
/// # Errors
/// `hints` cannot be written.
pub(super) async fn audit(
    store: &Store,
    action: &str,
    client: Option<ClientId>,
    detail: Value,
    hints: &mut dyn Write,
) -> anyhow::Result<()> {
    let entry = AuditEntry::new("command line", action, "ok").detail(detail);
    if let Err(error) = store.append_audit(client.into_iter().fold(entry, AuditEntry::of)).await {
        writeln!(hints, "warning: done, but not noted in the audit log: {error}")?;
    }
    Ok(())
}

/// Reads settings and checks them as a call would.
fn settings(file: &Path, config: &Config, input: &mut dyn Read) -> anyhow::Result<Value> {
    let shown = file.display();
    let mut text = String::new();
    let mut opened: Box<dyn Read + '_> = if file == Path::new("-") {
        Box::new(input)
    } else {
        Box::new(std::fs::File::open(file).with_context(|| format!("{shown} cannot be opened"))?)
    };
    let read = Read::take(&mut opened, SETTINGS_BYTES_MAX + 1).read_to_string(&mut text);
    if read.with_context(|| format!("{shown} cannot be read"))? as u64 > SETTINGS_BYTES_MAX {
        bail!("{shown} is longer than {SETTINGS_BYTES_MAX} bytes: that is no agent");
    }
    let settings: Value = serde_json::from_str(&text).with_context(|| format!("{shown} is not JSON"))?;
    administration::settings("agent settings", &settings, &config.calls.limits)
        .with_context(|| format!("{shown} was refused; nothing was changed"))?;
    Ok(settings)
}

/// The same rules as over HTTP, told by the names of this command's options.
fn by_option(refused: Refused) -> anyhow::Error {
    let option = |field: &str| match field {
        "numbers" | "number" => "--number".to_owned(),
        "ip_allow_list" => "--allow-ip".to_owned(),
        "basic_user" => "--basic".to_owned(),
        "signature_key" => "--signature-key-file".to_owned(),
        "slug" | "name" | "label" | "max_calls" => format!("--{}", field.replace('_', "-")),
        "shop.domain" => "--domain".to_owned(),
        "shop.token" => "the access token".to_owned(),
        "shop.webhook_secret" => "--webhook-secret-file".to_owned(),
        other => other.to_owned(),
    };
    match refused {
        Refused::Field { field, reason } => anyhow::anyhow!("{}: {reason}", option(&field)),
        Refused::Taken { reason, .. } => anyhow::anyhow!("{reason}"),
        Refused::Store(error) => anyhow::Error::new(error).context("the database did not say"),
    }
}

async fn create(
    new: Create,
    config: &Config,
    store: &Store,
    input: &mut dyn Read,
    voice: &mut Voice<'_>,
) -> anyhow::Result<()> {
    // Whatever may be wrong is found before anything is made.
    let numbers = administration::numbers("numbers", &new.number).map_err(by_option)?;
    let own_agent = new.agent.is_some();
    let settings = match new.agent.as_deref() {
        Some(file) => settings(file, config, input)?,
        None => crate::agents::plain(&new.name),
    };
    administration::all_free(store, "numbers", &numbers, |_| true).await.map_err(by_option)?;
    let (row, stream) = new_client(&new, config)?;
    let made = match store.create_client(row).await {
        Err(StoreError::Conflict(_)) => {
            bail!("there is a client {0} already; see it with: caly client show {0}", new.slug)
        }
        other => other.context("the client was not made")?,
    };
    let client = ClientId(made.client.id);
    audit(store, "client_created", Some(client), json!({ "slug": new.slug }), voice.hints).await?;
    // The secret is told before anything else can fail: it cannot be told again.
    let urls = webhooks(config, &new.slug, &made.webhook_secret);
    if let (Some(stream), false) = (&stream, new.json) {
        writeln!(voice.out, "Static stream URL for a Voicebot applet:\n  {stream}")?;
    }
    if !new.json {
        writeln!(voice.out, "client {} ({}), id {}", new.slug, new.name, client)?;
        tell_urls(&urls, config, voice)?;
    }
    let completed = complete(store, &made.client, &numbers, settings, voice).await;
    if new.json {
        let (numbers, agent) = completed.as_ref().map(|(n, a)| (json!(n), json!(a))).unwrap_or_default();
        let made = json!({ "client": made.client, "webhook_secret": made.webhook_secret, "webhooks": object(&urls),
            "numbers": numbers, "agent": agent, "stream_url": stream });
        writeln!(voice.out, "{made}")?;
    }
    let (numbers, _) = completed?;
    if numbers.is_empty() {
        writeln!(voice.hints, "Next: caly client number {} +91…", new.slug)?;
    }
    if !own_agent {
        writeln!(voice.hints, "A plain agent answers. Write your own: caly client agent {} FILE.json", new.slug)?;
    }
    Ok(())
}

/// The row to be made, and the URL of its static stream if it has Basic credentials: the password is told this once.
fn new_client(new: &Create, config: &Config) -> anyhow::Result<(NewClient, Option<String>)> {
    let mut draft = Draft {
        slug: new.slug.clone(),
        name: new.name.clone(),
        answer_style: new.exoml.then(|| "exoml".to_owned()),
        max_calls: new.max_calls.map(i64::from),
        ip_allow_list: new.allow_ip.clone(),
        basic_user: new.basic.clone(),
        signature_key: None,
    };
    if let Some(file) = &new.signature_key_file {
        let key = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        // A file ends its line; a key does not.
        draft.signature_key = Some(key.trim().into());
    }
    let row = draft.checked().map_err(by_option)?;
    let stream = row.basic.as_ref().map(|basic| administration::stream_url(config, &new.slug, basic));
    Ok((row, stream))
}

async fn complete(
    store: &Store,
    client: &ClientRow,
    numbers: &[PhoneNumber],
    settings: Value,
    voice: &mut Voice<'_>,
) -> anyhow::Result<(Vec<NumberRow>, AgentRow)> {
    let mut rows = Vec::new();
    for number in numbers {
        let added = store.add_number(ClientId(client.id), number, None).await;
        rows.push(added.with_context(|| {
            format!("the client was made, but not its number: caly client number {} {}", client.slug, number.as_e164())
        })?);
    }
    let published = publish(store, client, None, settings, voice).await;
    let agent = published.with_context(|| {
        format!("the client was made, but not its agent: caly client agent {} FILE.json", client.slug)
    })?;
    Ok((rows, agent))
}

async fn publish(
    store: &Store,
    client: &ClientRow,
    name: Option<&str>,
    settings: Value,
    voice: &mut Voice<'_>,
) -> anyhow::Result<AgentRow> {
    let id = ClientId(client.id);
    let name = name.unwrap_or(&client.name);
    let agent = store.publish_agent(id, name, settings).await.context("the agent was not published")?;
    audit(store, "agent_published", Some(id), json!({ "version": agent.version }), voice.hints).await?;
    Ok(agent)
}

fn object(urls: &[(&str, &str, String)]) -> Value {
    urls.iter().map(|(name, _, url)| ((*name).to_owned(), Value::from(url.as_str()))).collect()
}

fn tell_urls(urls: &[(&str, &str, String)], config: &Config, voice: &mut Voice<'_>) -> anyhow::Result<()> {
    writeln!(voice.out, "Paste into Exotel:")?;
    for (_, place, url) in urls {
        writeln!(voice.out, "  {place:28}  {url}")?;
    }
    writeln!(voice.hints, "Keep these URLs: the key in them is not shown again.")?;
    if config.server.public_url.is_local() {
        writeln!(voice.hints, "warning: no carrier can reach {}; set PUBLIC_URL", config.server.public_url.http())?;
    }
    Ok(())
}

async fn list(store: &Store, as_json: bool, voice: &mut Voice<'_>) -> anyhow::Result<()> {
    let rows = store.load_directory().await.context("clients cannot be read")?;
    if as_json {
        let items: Vec<&ClientRow> = rows.clients.iter().map(|client| &client.client).collect();
        writeln!(voice.out, "{}", json!({ "items": items }))?;
        return Ok(());
    }
    if rows.clients.is_empty() {
        writeln!(voice.hints, "There are no clients. Make one: caly client create --slug shop --name \"A shop\"")?;
    }
    for client in rows.clients.iter().map(|client| &client.client) {
        let numbers = rows.numbers.iter().filter(|number| number.client_id == client.id).count();
        let agent = rows.agents.iter().find(|agent| agent.client_id == client.id);
        let agent = agent.map_or_else(|| "no agent".to_owned(), |agent| format!("agent v{}", agent.version));
        let state = if client.disabled { "disabled" } else { "enabled" };
        writeln!(voice.out, "{:24}  {state:8}  {numbers} number(s)  {agent:9}  {}", client.slug, client.name)?;
    }
    Ok(())
}

async fn show(store: &Store, slug: &str, as_json: bool, voice: &mut Voice<'_>) -> anyhow::Result<()> {
    let client = by_slug(store, slug).await?;
    let rows = store.load_directory().await.context("numbers and agents cannot be read")?;
    let numbers: Vec<&NumberRow> = rows.numbers.iter().filter(|number| number.client_id == client.id).collect();
    let agent = rows.agents.iter().find(|agent| agent.client_id == client.id);
    if as_json {
        writeln!(voice.out, "{}", json!({ "client": client, "numbers": numbers, "agent": agent }))?;
        return Ok(());
    }
    writeln!(voice.out, "{} ({}), id {}", client.slug, client.name, client.id)?;
    writeln!(voice.out, "state    {}", if client.disabled { "disabled: webhooks are refused" } else { "enabled" })?;
    writeln!(voice.out, "answers  {}", client.answer_style)?;
    for number in numbers {
        writeln!(voice.out, "number   {}  {}", number.e164, number.label.as_deref().unwrap_or_default())?;
    }
    match agent {
        Some(agent) => {
            let shown = crate::redact::settings_shown(&agent.settings);
            writeln!(voice.out, "agent    {} v{}\n{shown:#}", agent.name, agent.version)?;
        }
        None => writeln!(voice.hints, "No agent, so calls are refused. Next: caly client agent {slug} FILE.json")?,
    }
    Ok(())
}

async fn number_of(
    store: &Store,
    slug: &str,
    number: &str,
    label: Option<&str>,
    as_json: bool,
    voice: &mut Voice<'_>,
) -> anyhow::Result<()> {
    let number = administration::number("number", number).map_err(by_option)?;
    administration::label("label", label.unwrap_or_default()).map_err(by_option)?;
    let client = by_slug(store, slug).await?;
    administration::all_free(store, "number", std::slice::from_ref(&number), |_| true).await.map_err(by_option)?;
    let id = ClientId(client.id);
    let row = store.add_number(id, &number, label).await.context("the number was not added")?;
    audit(store, "number_added", Some(id), json!({ "number": number.masked() }), voice.hints).await?;
    if as_json {
        writeln!(voice.out, "{}", json!(row))?;
    } else {
        writeln!(voice.out, "{slug}: {} added", row.e164)?;
    }
    Ok(())
}

async fn switch(store: &Store, slug: &str, disabled: bool, as_json: bool, voice: &mut Voice<'_>) -> anyhow::Result<()> {
    let id = ClientId(by_slug(store, slug).await?.id);
    store.set_client_disabled(id, disabled).await.context("nothing was changed")?;
    let action = if disabled { "client_disabled" } else { "client_enabled" };
    audit(store, action, Some(id), json!({}), voice.hints).await?;
    if as_json {
        writeln!(voice.out, "{}", json!({ "slug": slug, "disabled": disabled }))?;
    } else {
        writeln!(voice.out, "{slug}: webhooks are {}", if disabled { "refused" } else { "taken" })?;
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests;
