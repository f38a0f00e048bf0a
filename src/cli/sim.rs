//! `caly sim carrier`, `caly sim engine`, `caly sim shopify` and `caly sim mcp`: the simulated vendors as servers of their own.

mod mcp;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::output::say;
use crate::sim::carrier::{self, CarrierOptions, Knobs, Scenario};
use crate::sim::engine::{self, EngineOptions, Script};
use crate::sim::shopify::{self, Faults, Seed, ShopOptions, ShopServer};

/// The simulated vendors as servers of their own.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum SimCommand {
    /// A simulated Exotel platform: REST API, flow and media stream
    Carrier(CarrierArgs),
    /// A simulated OpenAI Realtime service
    Engine(EngineArgs),
    /// A simulated Shopify shop: Admin GraphQL API and webhooks
    Shopify(ShopifyArgs),
    /// A simulated MCP server with two tools, find_lead and create_lead
    Mcp(mcp::McpArgs),
}

/// `caly sim carrier`
#[derive(Clone, Debug, clap::Args)]
pub struct CarrierArgs {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8092")]
    pub bind: SocketAddr,
    /// The voicebot applet's URL: ws(s):// is the stream, http(s):// is asked for it
    #[arg(long)]
    pub flow_url: Option<String>,
    /// The Passthru applet behind it
    #[arg(long)]
    pub passthru_url: Option<String>,
    /// The Connect applet behind that
    #[arg(long)]
    pub connect_url: Option<String>,
    /// Told of the end of calls that name no callback themselves
    #[arg(long)]
    pub status_callback: Option<String>,
    /// What called people do: a file or a built-in name
    #[arg(long, default_value = "short")]
    pub scenario: String,
    /// The only API key accepted
    #[arg(long, requires = "api_token")]
    pub api_key: Option<String>,
    /// And its token
    #[arg(long, requires = "api_key")]
    pub api_token: Option<String>,
    /// Audio in a message: 20 or 100 ms
    #[arg(long, default_value_t = 20)]
    pub frame_ms: u64,
    /// Answer Calls/connect only after the stream has begun
    #[arg(long)]
    pub late_answer: bool,
}

/// `caly sim engine`
#[derive(Clone, Debug, clap::Args)]
pub struct EngineArgs {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8091")]
    pub bind: SocketAddr,
    /// Send appended audio straight back, for benchmarks
    #[arg(long)]
    pub echo: bool,
    /// What is answered: a TOML file like sandbox/engine.toml
    #[arg(long)]
    pub script: Option<PathBuf>,
    /// The only key accepted
    #[arg(long)]
    pub key: Option<String>,
    /// Milliseconds from the end of a turn to the first event of the response
    #[arg(long, default_value_t = 120)]
    pub think_ms: u64,
    /// Milliseconds between two bursts of audio
    #[arg(long, default_value_t = 40)]
    pub burst_gap_ms: u64,
    /// How far away it is: milliseconds until what it is sent arrives
    #[arg(long, default_value_t = 0)]
    pub distance_ms: u64,
    /// Repeats ids and event orders
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// No unknown event types and fields
    #[arg(long)]
    pub no_surprises: bool,
    /// Server threads
    #[arg(long, default_value_t = 1)]
    pub workers: usize,
    /// Fault: sessions end at this age, as the real ones do after an hour
    #[arg(long)]
    pub session_seconds: Option<u64>,
    /// Fault: cut the socket after so long
    #[arg(long)]
    pub drop_after_ms: Option<u64>,
    /// Fault: cut the socket in the middle of this response (1 is the first)
    #[arg(long)]
    pub drop_on_turn: Option<u32>,
    /// Fault: fall silent in the middle of this response
    #[arg(long)]
    pub stall_on_turn: Option<u32>,
    /// Fault: send bytes that are no JSON in the middle of this response
    #[arg(long)]
    pub garbage_on_turn: Option<u32>,
    /// Fault: fail this response
    #[arg(long)]
    pub fail_on_turn: Option<u32>,
    /// With this error code
    #[arg(long, default_value = "rate_limit_exceeded")]
    pub fail_code: String,
    /// Fault: refuse connections with this HTTP status
    #[arg(long)]
    pub refuse: Option<u16>,
    /// Only the first so many sessions have faults
    #[arg(long)]
    pub fault_sessions: Option<u32>,
}

/// `caly sim shopify`
#[derive(Clone, Debug, clap::Args)]
pub struct ShopifyArgs {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8093")]
    pub bind: SocketAddr,
    /// Listen on this port, at the address of --bind
    #[arg(long)]
    pub port: Option<u16>,
    /// What the shop has: a TOML file like sandbox/shop.toml
    #[arg(long)]
    pub seed: Option<PathBuf>,
    /// The only access token accepted
    #[arg(long)]
    pub token: Option<String>,
    /// Access scopes granted, with commas between; read_all_orders shows orders older than 60 days
    #[arg(long, value_delimiter = ',')]
    pub scopes: Vec<String>,
    /// Do not show names, phones, mail and street addresses, as to an app that was not approved for them
    #[arg(long)]
    pub no_protected_data: bool,
    /// Points in the bucket of costs
    #[arg(long, default_value_t = 2000)]
    pub bucket: u32,
    /// Points that come back in a second
    #[arg(long, default_value_t = 100)]
    pub restore_rate: u32,
    /// Told of changes
    #[arg(long, value_name = "URL")]
    pub webhook: Option<String>,
    /// What webhooks are signed with
    #[arg(long)]
    pub webhook_secret: Option<String>,
    /// What goes wrong: NAME=VALUE with commas between, or JSON; see docs/operations.md
    #[arg(long, default_value = "")]
    pub faults: String,
    /// For machines
    #[arg(long)]
    pub json: bool,
}

/// Runs the command until it is interrupted. Needs an actix system or a tokio `LocalSet` around it.
///
/// # Errors
/// The address cannot be bound, or a file cannot be read.
pub async fn run(command: SimCommand) -> anyhow::Result<ExitCode> {
    match command {
        SimCommand::Carrier(args) => run_carrier(args).await,
        SimCommand::Engine(args) => run_engine(args).await,
        SimCommand::Shopify(args) => run_shopify(args).await,
        SimCommand::Mcp(args) => mcp::run(args).await,
    }
}

async fn run_engine(args: EngineArgs) -> anyhow::Result<ExitCode> {
    let mut options = EngineOptions::sandbox().map_err(anyhow::Error::msg)?;
    if let Some(path) = &args.script {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let script = Script::parse(&text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
        options.script = Arc::new(script);
    }
    (options.bind, options.echo, options.key, options.seed) = (args.bind, args.echo, args.key, args.seed);
    options.think = Duration::from_millis(args.think_ms);
    options.burst_gap = Duration::from_millis(args.burst_gap_ms);
    options.distance = Duration::from_millis(args.distance_ms);
    (options.surprises, options.workers) = (!args.no_surprises, args.workers);
    let faults = &mut options.faults;
    faults.sessions = args.fault_sessions;
    faults.max_session = args.session_seconds.map(Duration::from_secs);
    faults.drop_after = args.drop_after_ms.map(Duration::from_millis);
    (faults.drop_on_turn, faults.stall_on_turn) = (args.drop_on_turn, args.stall_on_turn);
    (faults.garbage_on_turn, faults.fail_on_turn) = (args.garbage_on_turn, args.fail_on_turn);
    (faults.fail_code, faults.refuse) = (args.fail_code, args.refuse);
    let server = engine::serve(options)
        .await
        .with_context(|| format!("cannot listen on {}: choose another address with --bind", args.bind))?;
    say!("simulated Realtime service at {}  (any key; end with ctrl-c)", server.url);
    say!("use it: OPENAI_BASE_URL=http://{}/v1", server.address);
    tokio::signal::ctrl_c().await.context("cannot wait for ctrl-c")?;
    server.stop().await;
    say!("{} sessions", server.sessions());
    Ok(told(&server.violations()))
}

async fn run_carrier(args: CarrierArgs) -> anyhow::Result<ExitCode> {
    let scenario = Scenario::load(&args.scenario).map_err(anyhow::Error::msg)?;
    let options = CarrierOptions {
        bind: args.bind,
        credentials: args.api_key.zip(args.api_token),
        flow_url: args.flow_url,
        passthru_url: args.passthru_url,
        connect_url: args.connect_url,
        status_callback: args.status_callback,
        scenario,
        knobs: Knobs { frame_ms: args.frame_ms, ..Knobs::default() },
        answer_after: Duration::from_millis(300),
        start_before_rest_response: args.late_answer,
        details_after: Duration::from_secs(2),
    };
    let server = carrier::serve(options)
        .await
        .with_context(|| format!("cannot listen on {}: choose another address with --bind", args.bind))?;
    say!("simulated Exotel at {}  (any key and token; end with ctrl-c)", server.url);
    say!("place a call: curl -u key:token -d From=09876543210 -d CallerId=08047112233 \\");
    say!(
        "  -d Url=http://my.exotel.com/sandbox1/exoml/start_voice/1 {}/v1/Accounts/sandbox1/Calls/connect.json",
        server.url
    );
    say!("reports: {}/sandbox/reports", server.url);
    tokio::signal::ctrl_c().await.context("cannot wait for ctrl-c")?;
    server.stop().await;
    let reports = server.reports();
    for report in &reports {
        say!("{}", report.to_json());
    }
    let code = told(&server.violations());
    Ok(if reports.iter().all(|report| report.ok) { code } else { ExitCode::FAILURE })
}

async fn run_shopify(args: ShopifyArgs) -> anyhow::Result<ExitCode> {
    let json = args.json;
    let options = shop_options(args)?;
    let bind = options.bind;
    let server = shopify::serve(options)
        .await
        .with_context(|| format!("cannot open the shop at {bind}: choose another address with --port"))?;
    say!("{}", if json { described(&server).to_string() } else { introduced(&server) });
    tokio::signal::ctrl_c().await.context("cannot wait for ctrl-c")?;
    server.stop().await;
    if json {
        say!("{}", server.state());
        return Ok(if server.violations().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    say!("{}", server.state()["counts"]);
    Ok(told(&server.violations()))
}

fn shop_options(args: ShopifyArgs) -> anyhow::Result<ShopOptions> {
    let mut options = ShopOptions::sandbox().map_err(anyhow::Error::msg)?;
    if let Some(path) = &args.seed {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        options.seed = Seed::parse(&text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    }
    options.bind = args.bind;
    options.bind.set_port(args.port.unwrap_or(args.bind.port()));
    options.token = args.token.unwrap_or(options.token);
    options.webhook_secret = args.webhook_secret.unwrap_or(options.webhook_secret);
    if !args.scopes.is_empty() {
        options.scopes = args.scopes;
    }
    options.protected_data = !args.no_protected_data;
    (options.bucket, options.restore_per_second, options.webhook_url) = (args.bucket, args.restore_rate, args.webhook);
    options.faults = Faults::parse(&args.faults).map_err(|error| super::Usage(format!("--faults: {error}")))?;
    Ok(options)
}

fn described(server: &ShopServer) -> serde_json::Value {
    serde_json::json!({"url": server.url, "graphql": format!("{}/admin/api/2026-10/graphql.json", server.url),
        "token": server.token, "webhook_secret": server.webhook_secret})
}

fn introduced(server: &ShopServer) -> String {
    let (url, token, secret) = (&server.url, &server.token, &server.webhook_secret);
    format!(
        "use it: shop address {url}, access token {token}, webhook secret {secret}  (a simulated Shopify; end with ctrl-c)\n\
         ask it: curl -H 'X-Shopify-Access-Token: {token}' -H 'Content-Type: application/json' \\\n  \
         -d '{{\"query\":\"{{ shop {{ name }} }}\"}}' {url}/admin/api/2026-10/graphql.json\n\
         what it did: {url}/sim/state   what goes wrong: {url}/sim/faults   a parcel moves: POST {url}/sim/shipments"
    )
}

/// Prints violations; any makes the exit code 1.
fn told(violations: &[String]) -> ExitCode {
    for violation in violations {
        say!("violation: {violation}");
    }
    if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
