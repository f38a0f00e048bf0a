//! `caly sim carrier` and `caly sim engine`: the sandbox's two halves as servers of their own.
#![allow(clippy::print_stdout, reason = "results of a command go to stdout")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use crate::sim::carrier::{self, CarrierOptions, Knobs, Scenario};
use crate::sim::engine::{self, EngineOptions, Script};

/// The simulated vendors as servers of their own.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum SimCommand {
    /// A simulated Exotel platform: REST API, flow and media stream
    Carrier(CarrierArgs),
    /// A simulated OpenAI Realtime service
    Engine(EngineArgs),
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

/// Runs the command until it is interrupted. Needs an actix system or a tokio `LocalSet` around it.
///
/// # Errors
/// The address cannot be bound, or a file cannot be read.
pub async fn run(command: SimCommand) -> anyhow::Result<ExitCode> {
    match command {
        SimCommand::Carrier(args) => run_carrier(args).await,
        SimCommand::Engine(args) => run_engine(args).await,
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
    println!("simulated Realtime service at {}  (any key; end with ctrl-c)", server.url);
    println!("use it: OPENAI_BASE_URL=http://{}/v1", server.address);
    tokio::signal::ctrl_c().await.context("cannot wait for ctrl-c")?;
    server.stop().await;
    println!("{} sessions", server.sessions());
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
    println!("simulated Exotel at {}  (any key and token; end with ctrl-c)", server.url);
    println!("place a call: curl -u key:token -d From=09876543210 -d CallerId=08047112233 \\");
    println!(
        "  -d Url=http://my.exotel.com/sandbox1/exoml/start_voice/1 {}/v1/Accounts/sandbox1/Calls/connect.json",
        server.url
    );
    println!("reports: {}/sandbox/reports", server.url);
    tokio::signal::ctrl_c().await.context("cannot wait for ctrl-c")?;
    server.stop().await;
    let reports = server.reports();
    for report in &reports {
        println!("{}", report.to_json());
    }
    let code = told(&server.violations());
    Ok(if reports.iter().all(|report| report.ok) { code } else { ExitCode::FAILURE })
}

/// Prints violations; any makes the exit code 1.
fn told(violations: &[String]) -> ExitCode {
    for violation in violations {
        println!("violation: {violation}");
    }
    if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
