//! `caly sim mcp`: the simulated MCP server as a server of its own.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::builder::PossibleValuesParser;
use serde_json::json;

use super::super::output::say;
use super::told;
use crate::sim::mcp::{McpFaults, McpOptions, serve};

/// `caly sim mcp`
#[derive(Clone, Debug, clap::Args)]
pub struct McpArgs {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8094")]
    pub bind: SocketAddr,
    /// Listen on this port, at the address of --bind
    #[arg(long)]
    pub port: Option<u16>,
    /// The only bearer token accepted
    #[arg(long)]
    pub token: Option<String>,
    /// The revision of the protocol it speaks
    #[arg(long, default_value = "2025-06-18", value_parser = PossibleValuesParser::new(["2025-06-18", "2025-03-26", "2024-11-05"]))]
    pub revision: String,
    /// Answer with streams of events instead of JSON
    #[arg(long)]
    pub stream: bool,
    /// Tools on a page of the list
    #[arg(long, default_value_t = 50)]
    pub page_size: usize,
    /// Fault: tools answer so much later
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=600_000))]
    pub delay_ms: u64,
    /// Fault: the answers of the next so many calls are lost, their effects are not
    #[arg(long, default_value_t = 0)]
    pub drop_next: u32,
    /// Fault: the next so many requests find their session lost
    #[arg(long, default_value_t = 0)]
    pub lose_session_next: u32,
    /// Fault: the next so many requests are refused with 503
    #[arg(long, default_value_t = 0)]
    pub busy_next: u32,
    /// For machines
    #[arg(long)]
    pub json: bool,
}

pub(super) async fn run(args: McpArgs) -> anyhow::Result<ExitCode> {
    let mut bind = args.bind;
    bind.set_port(args.port.unwrap_or(bind.port()));
    let faults = McpFaults {
        delay: Duration::from_millis(args.delay_ms),
        drop_next: args.drop_next,
        lose_session_next: args.lose_session_next,
        busy_next: args.busy_next,
        ..McpFaults::default()
    };
    let (token, page_size) = (args.token.clone(), args.page_size);
    let options = McpOptions { bind, token, revision: args.revision, stream: args.stream, page_size, faults };
    let server =
        serve(options).await.with_context(|| format!("cannot listen on {bind}: choose another address with --port"))?;
    if args.json {
        say!("{}", json!({ "url": server.url, "token": args.token, "tools": ["find_lead", "create_lead"] }));
    } else {
        let headers = args.token.map(|token| format!("\"headers\": {{\"authorization\": \"Bearer {token}\"}}, "));
        say!("simulated MCP server at {}  (end with ctrl-c)", server.url);
        say!("let Caly use it: CALY__ACTIONS__TRUSTED_HOSTS={}", server.address);
        say!(
            "in an agent's settings: \"mcp_servers\": [{{\"name\": \"crm\", \"url\": \"{}\", {}\"tools\": \
             {{\"find_lead\": {{\"writes\": false}}, \"create_lead\": {{\"writes\": true, \"repeatable\": true}}}}}}]",
            server.url,
            headers.unwrap_or_default()
        );
    }
    tokio::signal::ctrl_c().await.context("cannot wait for ctrl-c")?;
    server.stop().await;
    say!("{}", json!({ "leads": server.leads(), "sessions": server.sessions().0 }));
    Ok(told(&server.violations()))
}
