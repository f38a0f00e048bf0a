//! The command line: each command reads its options, asks the rooms, and writes results to standard output.

pub mod call;
pub mod check;
pub mod client;
pub mod key;
pub mod output;
pub mod sim;
mod steps;
pub mod understand;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use futures_util::FutureExt as _;

use self::output::{Hints, Results, say};
use crate::config::{Config, LoadArgs};
use crate::store::{Store, StoreOptions};

/// Longest wait for the clients that `caly check` looks at.
const DIRECTORY_WAIT: std::time::Duration = std::time::Duration::from_secs(10);

/// Answers a business's phone: carrier in, realtime speech engine, actions exactly once.
#[derive(Parser, Debug)]
#[command(version, about, propagate_version = true)]
pub struct Cli {
    /// Configuration file; without it ./config.toml is read if it exists.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the server. Without an engine key it uses the built-in sandbox engine and says so
    Serve(ServeArgs),
    /// Be the carrier: place simulated Exotel calls against any server
    Call(Box<call::CallArgs>),
    /// Run a simulated outside system as a server of its own
    #[command(subcommand)]
    Sim(sim::SimCommand),
    /// Read the configuration, try each outside system, say what to fix
    Check(CheckArgs),
    /// API keys
    Key(key::KeyArgs),
    /// Clients, their numbers and agents
    Client(client::ClientArgs),
    /// Bring the database to the newest schema
    Migrate,
    /// Lines of text on standard input → intents and entities as JSON lines
    Understand,
}

/// Options of `caly serve`.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// Ring a sample call once the server is up, and show the conversation
    #[arg(long)]
    pub demo: bool,
    /// Listen on this port
    #[arg(long)]
    pub port: Option<u16>,
}

#[derive(Args, Debug)]
struct CheckArgs {
    /// For machines
    #[arg(long)]
    json: bool,
}

/// The command was given wrongly: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Runs the command given. Exit codes: 0 done, 1 failed, 2 usage.
///
/// # Errors
/// What the operator is told, with what to do next.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let mut load = LoadArgs { file: cli.config, overrides: Vec::new() };
    let system = actix_rt::System::new();
    match cli.command {
        Command::Serve(args) => {
            if let Some(port) = args.port {
                load.overrides.push(("server.port".to_owned(), port.to_string()));
            }
            output::stay();
            system.block_on(crate::app::serve(&load, args.demo))
        }
        Command::Call(args) => {
            let config = Config::load(&load)?;
            system.block_on(call::run(*args, &config))
        }
        Command::Sim(command) => system.block_on(sim::run(command)),
        Command::Check(args) => system.block_on(check_command(&load, args.json)),
        Command::Key(args) => {
            let config = Config::load(&load)?;
            done(system.block_on(key::run(args, &config, &mut Results, &mut Hints)))
        }
        Command::Client(args) => {
            let (config, input) = (Config::load(&load)?, &mut std::io::stdin());
            done(system.block_on(client::run(args, &config, input, &mut Results, &mut Hints)))
        }
        Command::Migrate => done(system.block_on(migrate(&Config::load(&load)?))),
        Command::Understand => {
            understand::run(std::io::stdin().lock(), Results)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn done(result: anyhow::Result<()>) -> anyhow::Result<ExitCode> {
    result.map(|()| ExitCode::SUCCESS)
}

/// Opens the database as configured, with its schema brought up to date.
///
/// # Errors
/// It cannot be reached or migrated.
pub async fn open_store(config: &Config) -> anyhow::Result<Store> {
    let store = connect(config).await?;
    store.migrate().await.context("the database cannot be brought up to date: see `caly check`")?;
    Ok(store)
}

/// Opens the database as configured, as it is.
///
/// # Errors
/// The URL is unusable or the file cannot be made.
pub async fn connect(config: &Config) -> anyhow::Result<Store> {
    use secrecy::ExposeSecret as _;
    use std::os::unix::fs::DirBuilderExt as _;
    // Transcripts, numbers and recordings lie below: nobody else of this machine may read them.
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&config.data_dir);
    made.with_context(|| format!("{} cannot be made", config.data_dir.display()))?;
    let options = StoreOptions {
        max_connections: config.database.max_connections,
        acquire_timeout: config.database.acquire_timeout,
        statement_timeout: config.database.statement_timeout,
    };
    let url = config.database.url.expose_secret();
    Store::connect(url, options).await.context("the database cannot be opened: check DATABASE_URL")
}

async fn migrate(config: &Config) -> anyhow::Result<()> {
    let store = open_store(config).await?;
    say!("the {} database is up to date", store.engine());
    Ok(())
}

async fn check_command(load: &LoadArgs, json: bool) -> anyhow::Result<ExitCode> {
    let mut out = Results;
    let config = match Config::load(load) {
        Ok(config) => config,
        Err(errors) => {
            check::refuse(&errors, json, &mut out)?;
            return Ok(ExitCode::FAILURE);
        }
    };
    let outbound = crate::outbound::Outbound::new(config.openai.ca_file.as_deref())?;
    let mut probes = check::probes(&config, &outbound.client());
    let store = opened(config.clone()).boxed_local().shared();
    let (database, with_shops) = (store.clone(), config.clone());
    probes.push(check::Probe::new("database", move || async move { try_database(database.await).await }));
    probes.extend(mcp_probes(&config, store.clone()).await?);
    probes.push(check::Probe::new("shops", move || async move { try_shops(store.await, &with_shops, outbound).await }));
    let sound = check::run(&config, probes, json, &mut out).await?;
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One probe for each MCP server of a client's agent. A database that cannot be read has a probe of its own.
async fn mcp_probes(
    config: &Config,
    store: impl Future<Output = Result<Store, String>>,
) -> anyhow::Result<Vec<check::Probe>> {
    // As in calls: only the engine may have a CA of its own.
    let outbound = crate::outbound::Outbound::new(None)?;
    let read = async { anyhow::Ok(store.await.map_err(anyhow::Error::msg)?.load_directory().await?) };
    let rows = tokio::time::timeout(DIRECTORY_WAIT, read).await.ok().and_then(Result::ok);
    Ok(rows.map(|rows| check::mcp_probes(config, outbound, rows)).unwrap_or_default())
}

/// The database with the newest schema; once for all who try something of it, since two at once would both make it.
async fn opened(config: Config) -> Result<Store, String> {
    let opened = async {
        let store = connect(&config).await?;
        store.migrate().await?;
        anyhow::Ok(store)
    };
    opened.await.map_err(|error| format!("{error:#}"))
}

async fn try_shops(
    store: Result<Store, String>,
    config: &Config,
    outbound: crate::outbound::Outbound,
) -> check::Finding {
    match (store, crate::app::shop_options(config)) {
        (Ok(store), Ok(options)) => check::try_shops(store, outbound, options).await,
        (Err(error), _) => check::Finding::Unused(format!("clients cannot be read: {error}")),
        (_, Err(error)) => check::Finding::Unused(format!("{error:#}")),
    }
}

async fn try_database(store: Result<Store, String>) -> check::Finding {
    let tried = match store {
        Ok(store) => store.ping().await.map(|()| store.engine()).map_err(|error| format!("{error:#}")),
        Err(error) => Err(error),
    };
    match tried {
        Ok(engine) => check::Finding::Works(format!("{engine} answers and its schema is current")),
        Err(error) => check::Finding::broken(error, "check DATABASE_URL and that the server is up"),
    }
}
