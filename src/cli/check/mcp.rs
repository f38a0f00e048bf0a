//! `caly check`, clients' MCP servers: each is asked for its tools once, over the same way as in calls.

use std::sync::Arc;

use caly_actors::domain::{AgentId, McpServer};

use super::{Finding, Probe};
use crate::actions::mcp::{Fault, Mcp, Seen};
use crate::config::Config;
use crate::outbound::Outbound;
use crate::store::rows::DirectoryRows;

/// Servers tried; more are not, for none of them is needed to take calls.
const SERVERS_MAX: usize = 50;

/// A probe for each server that a client's agent in use names.
#[must_use]
pub fn probes(config: &Config, outbound: Outbound, rows: DirectoryRows) -> Vec<Probe> {
    let mcp = Arc::new(Mcp::new(outbound, config.actions.trusted_hosts.clone()));
    let mut probes = Vec::new();
    for row in rows.agents {
        let Some(client) = rows.clients.iter().find(|client| client.client.id == row.client_id) else { continue };
        // Settings that cannot be read keep an agent from calls altogether; the server's log names it.
        let agent = crate::agents::read(AgentId(row.id), row.version, &row.name, &row.settings, &config.calls.limits);
        for server in agent.map(|agent| agent.mcp_servers).unwrap_or_default() {
            let (mcp, slug) = (Arc::clone(&mcp), client.client.slug.clone());
            let name = format!("mcp {slug}/{}", server.name);
            probes.push(Probe::new(name, move || async move {
                let seen = mcp.try_server(&server).await;
                finding(&slug, &server, seen)
            }));
        }
    }
    probes.truncate(SERVERS_MAX);
    probes
}

fn finding(slug: &str, server: &McpServer, seen: Result<Seen, Fault>) -> Finding {
    let place = format!("mcp_servers.{} of the agent's settings (caly client agent {slug} FILE)", server.name);
    match seen {
        Ok(seen) if seen.missing.is_empty() => Finding::Works(format!(
            "{} lists {} tools, {} of them offered (revision {})",
            seen.about,
            seen.total,
            server.tools.len(),
            seen.revision
        )),
        Ok(seen) => {
            let missing: Vec<String> = seen.missing.iter().map(|(name, why)| format!("{name}: {why}")).collect();
            let others = if seen.total > seen.names.len() { ", …" } else { "" };
            Finding::weak(
                format!("{} of {} tools cannot be offered: {}", missing.len(), server.tools.len(), missing.join("; ")),
                format!("take them out of tools in {place}; {} lists: {}{others}", seen.about, seen.names.join(", ")),
            )
        }
        Err(fault) => {
            let fix = match &fault {
                Fault::Refused(why) if why.contains("credentials") => format!("set headers in {place}"),
                Fault::Refused(why) if why.contains("not allowed") => {
                    format!("give a public https url in {place}, or name host:port in actions.trusted_hosts")
                }
                Fault::Refused(_) => format!("check url and headers in {place}"),
                Fault::Away(_)
                | Fault::Rests
                | Fault::SessionLost(_)
                | Fault::Lost(_)
                | Fault::Broken
                | Fault::Late => {
                    format!("check that the server is up, and url in {place}")
                }
            };
            Finding::broken(fault.to_string(), fix)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use caly_actors::domain::{Hidden, McpTool};
    use serde_json::json;
    use std::time::Duration;

    use crate::sim::mcp::{McpOptions, McpServer as Simulated, serve};

    fn server(simulated: &Simulated, token: &str, tools: &[&str]) -> McpServer {
        let tool = |name: &&str| McpTool {
            name: format!("crm_{name}").into(),
            listed_as: (*name).into(),
            deadline: Duration::from_secs(5),
            writes: false,
            confirm: false,
            repeatable: false,
        };
        McpServer {
            name: "crm".into(),
            url: simulated.url.as_str().into(),
            headers: vec![("authorization".into(), Hidden::new(&format!("Bearer {token}")))],
            tell_caller: false,
            tools: tools.iter().map(tool).collect(),
        }
    }

    async fn found(simulated: &Simulated, trusted: bool, (token, tools): (&str, &[&str])) -> (String, String, String) {
        let trusted = if trusted { vec![simulated.address.to_string()] } else { vec![] };
        let mcp = Mcp::new(Outbound::new(None).unwrap(), trusted);
        let server = server(simulated, token, tools);
        let finding = finding("shop", &server, mcp.try_server(&server).await);
        let (state, detail, fix) = finding.parts();
        (state.to_owned(), detail.to_owned(), fix.unwrap_or_default().to_owned())
    }

    #[actix_rt::test]
    async fn a_server_is_tried_and_what_is_wrong_with_it_is_said_with_what_to_do() {
        let options = McpOptions { token: Some("t".to_owned()), page_size: 1, ..McpOptions::sandbox() };
        let simulated = serve(options.clone()).await.unwrap();
        let old = McpOptions { revision: "2024-11-05".to_owned(), ..options };
        let old = serve(old).await.unwrap();
        for (simulated, trusted, asked, (state, detail, fix)) in [
            (&simulated, true, ("t", &["find_lead"][..]), ("ok", "simulated-leads 1.0.0 lists 2 tools, 1 of them", "")),
            (
                &simulated,
                true,
                ("t", &["find_lead", "fly"]),
                ("warning", "1 of 2 tools cannot be offered: fly: it is not listed", "lists: find_lead, create_lead"),
            ),
            (
                &simulated,
                true,
                ("wrong", &["find_lead"]),
                ("failed", "refuses the credentials (401)", "set headers in"),
            ),
            (&simulated, false, ("t", &["find_lead"]), ("failed", "not allowed", "actions.trusted_hosts")),
            (&old, true, ("t", &["find_lead"]), ("failed", "revision '2024-11-05'", "check url and headers")),
        ] {
            let found = found(simulated, trusted, asked).await;
            assert_eq!(found.0, state, "{found:?}");
            assert!(found.1.contains(detail) && found.2.contains(fix), "{found:?}");
        }
        assert_eq!(simulated.violations(), Vec::<String>::new());
        assert_eq!(simulated.sessions(), (2, 0), "none is left open");
        simulated.stop().await;
        let gone = found(&simulated, true, ("t", &["find_lead"])).await;
        assert!(gone.0 == "failed" && gone.2.contains("check that the server is up"), "{gone:?}");
    }

    #[actix_rt::test]
    async fn each_server_of_an_agent_in_use_has_a_probe_with_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/caly.db", dir.path().display());
        let store = crate::store::Store::connect(&url, Default::default()).await.unwrap();
        store.migrate().await.unwrap();
        let settings =
            json!({ "mcp_servers": [{ "name": "crm", "url": "https://crm.example/mcp", "tools": { "a": {} } }] });
        let client = store.create_client(crate::store::NewClient::named("shop", "A shop")).await.unwrap().client;
        store.publish_agent(caly_actors::domain::ClientId(client.id), "a", settings).await.unwrap();
        let rows = store.load_directory().await.unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let load = crate::config::LoadArgs { file: Some(file.path().to_path_buf()), overrides: Vec::new() };
        let config = Config::load_from(&load, &[]).unwrap();
        let probes = probes(&config, Outbound::new(None).unwrap(), rows);
        assert_eq!(probes.iter().map(|probe| &*probe.name).collect::<Vec<_>>(), ["mcp shop/crm"]);
    }
}
