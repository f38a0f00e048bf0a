//! The `mcp_servers` of an agent's settings: servers of tools, and by name which of theirs are offered and how they are used.
//!
//! Values of `headers` are secrets: they stand in the settings as signing keys stand in their table, and are shown to nobody
//! ([`crate::redact::settings_shown`]). Who sends settings back as they were shown keeps them ([`restore`]).

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use caly_actors::domain::{Hidden, HttpTool, McpServer, McpTool};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{BUILT_IN_TOOLS, SettingsError, wrong};
use crate::redact::HIDDEN;

/// Most servers of an agent, tools of one, and headers of one: each tool costs room in every engine session.
const SERVERS_MAX: usize = 8;
const TOOLS_MAX: usize = 32;
const HEADERS_MAX: usize = 16;
/// Longest value of a header, and longest name of a tool at its server, in bytes.
const HEADER_BYTES_MAX: usize = 4096;
const LISTED_BYTES_MAX: usize = 128;

/// Headers that are the protocol's own, or Caly's.
const OWN_HEADERS: [&str; 12] = [
    "accept",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "idempotency-key",
    "last-event-id",
    "mcp-protocol-version",
    "mcp-session-id",
    "transfer-encoding",
    "upgrade",
];

/// As a server is written.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    name: String,
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Over `https` unless it is said not to, in the clear only where it is said.
    #[serde(default)]
    tell_caller: Option<bool>,
    tools: BTreeMap<String, Tool>,
}

/// As a tool is written.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Tool {
    /// For names that an engine would refuse.
    #[serde(default, rename = "as")]
    offered_as: Option<String>,
    #[serde(default)]
    writes: Option<bool>,
    #[serde(default)]
    confirm: Option<bool>,
    #[serde(default)]
    repeatable: bool,
    #[serde(default = "default_deadline")]
    deadline_s: f64,
}

fn default_deadline() -> f64 {
    8.0
}

pub(super) fn read(written: Vec<Written>, http_tools: &[HttpTool]) -> Result<Vec<McpServer>, SettingsError> {
    if written.len() > SERVERS_MAX {
        return Err(wrong("mcp_servers", &format!("expected at most {SERVERS_MAX} servers")));
    }
    let taken = BUILT_IN_TOOLS.into_iter().map(str::to_owned);
    let mut taken: HashSet<String> = taken.chain(http_tools.iter().map(|tool| tool.name.to_string())).collect();
    let mut names = HashSet::new();
    let mut servers = Vec::new();
    for one in written {
        if !names.insert(one.name.clone()) {
            return Err(wrong(&format!("mcp_servers.{}", one.name), "name: another server has it"));
        }
        servers.push(server(one, &mut taken)?);
    }
    Ok(servers)
}

fn server(written: Written, taken: &mut HashSet<String>) -> Result<McpServer, SettingsError> {
    let Written { name, url, headers, tell_caller, tools } = written;
    let named = |reason: &str| wrong(&format!("mcp_servers.{name}"), reason);
    let name_fits = (1..=32).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if !name_fits {
        return Err(wrong("mcp_servers", "name: expected 1 to 32 of a-z, 0-9 and '_'"));
    }
    let sound = url::Url::parse(&url).is_ok_and(|url| {
        matches!(url.scheme(), "https" | "http")
            && url.host().is_some()
            && url.username().is_empty()
            && url.password().is_none()
    });
    if !sound {
        return Err(named("url: expected https://… without a user in it; what opens the server belongs into headers"));
    }
    if headers.len() > HEADERS_MAX {
        return Err(named(&format!("headers: expected at most {HEADERS_MAX}")));
    }
    if !(1..=TOOLS_MAX).contains(&tools.len()) {
        return Err(named(&format!("tools: expected the names of 1 to {TOOLS_MAX} tools that may be used")));
    }
    let headers = headers.into_iter().map(|(header, value)| read_header(&header, &value).map_err(|why| named(&why)));
    let headers = headers.collect::<Result<_, _>>()?;
    let mut offered = Vec::new();
    for (listed, tool) in tools {
        offered.push(read_tool(&name, &listed, &tool, taken).map_err(|why| named(&why))?);
    }
    let tell_caller = tell_caller.unwrap_or_else(|| url.starts_with("https://"));
    Ok(McpServer { name: name.as_str().into(), url: url.into(), headers, tell_caller, tools: offered })
}

fn read_header(name: &str, value: &str) -> Result<(Arc<str>, Hidden), String> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if !(1..=64).contains(&name.len()) || !name.bytes().all(token) {
        return Err("headers: a name is 1 to 64 letters, digits and '-'".to_owned());
    }
    let lower = name.to_ascii_lowercase();
    if OWN_HEADERS.contains(&lower.as_str()) || lower.starts_with("x-caly-") {
        return Err(format!("headers.{name}: Caly sets it itself"));
    }
    if value == HIDDEN {
        return Err(format!("headers.{name}: {HIDDEN} stands for a value that is kept; this one is not, write it out"));
    }
    let visible = value.bytes().all(|b| (0x20..0x7f).contains(&b));
    if !(1..=HEADER_BYTES_MAX).contains(&value.len()) || !visible || value.trim() != value {
        return Err(format!("headers.{name}: expected 1 to {HEADER_BYTES_MAX} visible ASCII characters"));
    }
    Ok((lower.into(), Hidden::new(value)))
}

fn read_tool(server: &str, listed: &str, tool: &Tool, taken: &mut HashSet<String>) -> Result<McpTool, String> {
    if !(1..=LISTED_BYTES_MAX).contains(&listed.len()) || listed.chars().any(char::is_control) {
        return Err(format!("tools: a name is 1 to {LISTED_BYTES_MAX} bytes"));
    }
    let name = format!("{server}_{}", tool.offered_as.as_deref().unwrap_or(listed));
    // The pattern that engines take.
    let fits = name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if !fits {
        return Err(format!(
            "tools.{listed}: it would be offered as {name}, which is not 1 to 64 letters, digits, '_' and '-': \
             give it a shorter or plainer name with \"as\""
        ));
    }
    if !taken.insert(name.clone()) {
        return Err(format!("tools.{listed}: another tool is called {name}: give it another name with \"as\""));
    }
    if !(0.1..=30.0).contains(&tool.deadline_s) {
        return Err(format!("tools.{listed}.deadline_s: expected 0.1 to 30"));
    }
    // What is not said to only read may write, and is read back first unless it is said not to.
    let writes = tool.writes.unwrap_or(true);
    Ok(McpTool {
        name: name.into(),
        listed_as: listed.into(),
        deadline: Duration::from_secs_f64(tool.deadline_s),
        writes,
        confirm: tool.confirm.unwrap_or(writes),
        // Few servers know the key that Caly sends.
        repeatable: tool.repeatable,
    })
}

/// Puts back what stands for values that are kept, from a former version: of the server with the same name and the same
/// address only, so that nobody has them sent elsewhere.
pub fn restore(settings: &mut Value, former: &Value) {
    let same = |one: &Value, other: &Value| one["name"] == other["name"] && one["url"] == other["url"];
    for server in settings["mcp_servers"].as_array_mut().into_iter().flatten() {
        let known = former["mcp_servers"].as_array().into_iter().flatten().find(|known| same(known, server)).cloned();
        let Some(known) = known else { continue };
        for (name, value) in server["headers"].as_object_mut().into_iter().flatten() {
            if *value == HIDDEN
                && let Some(kept) = known["headers"].get(name).filter(|kept| kept.is_string())
            {
                *value = kept.clone();
            }
        }
    }
}

/// Whether something stands for a value that is kept.
#[must_use]
pub fn wants_restoring(settings: &Value) -> bool {
    let servers = settings["mcp_servers"].as_array().into_iter().flatten();
    servers.filter_map(|server| server["headers"].as_object()).flatten().any(|(_, value)| *value == HIDDEN)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::redact::settings_shown;
    use caly_actors::domain::{AgentId, CallLimits};
    use serde_json::json;

    fn servers(written: Value) -> Result<Vec<McpServer>, String> {
        let settings = json!({ "mcp_servers": written, "http_tools": [
            { "name": "crm_taken", "description": "", "schema": {}, "url": "https://x" },
        ] });
        let read = super::super::read(AgentId::new(), 1, "shop", &settings, &CallLimits::default());
        read.map(|agent| agent.mcp_servers).map_err(|error| error.to_string())
    }

    fn one(change: Value) -> Value {
        let mut server = json!({ "name": "crm", "url": "https://crm.example/mcp", "tools": { "find_lead": {} } });
        server.as_object_mut().into_iter().zip(change.as_object()).for_each(|(all, more)| all.extend(more.clone()));
        json!([server])
    }

    #[test]
    fn what_the_operator_did_not_say_is_taken_for_the_more_careful() {
        for (said, (writes, confirm, repeatable)) in [
            (json!({}), (true, true, false)),
            (json!({"writes": true}), (true, true, false)),
            (json!({"writes": true, "confirm": false, "repeatable": true}), (true, false, true)),
            (json!({"writes": false}), (false, false, false)),
            (json!({"writes": false, "confirm": true}), (false, true, false)),
        ] {
            let read = servers(one(json!({ "tools": { "find_lead": said } }))).unwrap();
            let tool = &read[0].tools[0];
            assert_eq!((tool.writes, tool.confirm, tool.repeatable), (writes, confirm, repeatable), "{said}");
            assert_eq!((&*tool.name, &*tool.listed_as), ("crm_find_lead", "find_lead"));
            assert_eq!(tool.deadline, Duration::from_secs(8));
        }
    }

    #[test]
    fn who_asks_is_told_over_https_and_in_the_clear_only_where_it_is_said() {
        for (said, told) in [
            (json!({}), true),
            (json!({"tell_caller": false}), false),
            (json!({"url": "http://crm.example/mcp"}), false),
            (json!({"url": "http://crm.example/mcp", "tell_caller": true}), true),
        ] {
            assert_eq!(servers(one(said.clone())).unwrap()[0].tell_caller, told, "{said}");
        }
    }

    #[test]
    fn a_name_that_engines_refuse_can_be_offered_as_another() {
        let read =
            servers(one(json!({ "tools": { "leads.find": { "as": "find_lead", "deadline_s": 0.5 } } }))).unwrap();
        assert_eq!((&*read[0].tools[0].name, &*read[0].tools[0].listed_as), ("crm_find_lead", "leads.find"));
        assert_eq!(read[0].tools[0].deadline, Duration::from_millis(500));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let tool = |name: &str, said: Value| one(json!({ "tools": { name: said } }));
        let long = "x".repeat(64);
        for (written, named) in [
            (one(json!({"name": "C R M"})), "mcp_servers: name"),
            (one(json!({"url": "ftp://crm.example"})), "mcp_servers.crm: url"),
            (one(json!({"url": "https://user:pw@crm.example/mcp"})), "url: expected https"),
            (one(json!({"tools": {}})), "tools: expected the names"),
            (one(json!({"extra": 1})), "mcp_servers: unknown field"),
            (one(json!({"headers": {"Mcp-Session-Id": "x"}})), "headers.Mcp-Session-Id: Caly sets it"),
            (one(json!({"headers": {"X-Caly-Call": "x"}})), "Caly sets it"),
            (one(json!({"headers": {"bad name": "x"}})), "headers: a name"),
            (one(json!({"headers": {"authorization": "a\r\nb: c"}})), "headers.authorization: expected 1 to"),
            (one(json!({"headers": {"authorization": ""}})), "headers.authorization: expected 1 to"),
            (one(json!({"headers": {"authorization": "***"}})), "write it out"),
            (tool("leads.find", json!({})), "tools.leads.find: it would be offered as crm_leads.find"),
            (tool(&long, json!({})), "is not 1 to 64 letters"),
            (tool("taken", json!({})), "another tool is called crm_taken"),
            (tool("find", json!({"deadline_s": 31})), "deadline_s: expected 0.1 to 30"),
            (tool("find", json!({"reads": true})), "unknown field"),
            (json!([one(json!({}))[0], one(json!({}))[0]]), "name: another server has it"),
            (
                json!([{ "name": "end", "url": "https://x", "tools": { "call": {} } }]),
                "another tool is called end_call",
            ),
        ] {
            let error = servers(written).expect_err(named);
            assert!(error.contains(named), "{named}: {error}");
        }
        let many: Vec<Value> = (0..9).map(|n| one(json!({ "name": format!("s{n}") }))[0].clone()).collect();
        assert!(servers(json!(many)).unwrap_err().contains("at most 8 servers"));
    }

    #[test]
    fn values_of_headers_are_shown_to_nobody_and_kept_when_sent_back_to_the_same_place() {
        let settings =
            json!({ "greeting": "x", "mcp_servers": one(json!({ "headers": { "authorization": "Bearer s3cret" } })) });
        let shown = settings_shown(&settings);
        assert!(!shown.to_string().contains("s3cret"), "{shown}");
        assert_eq!(shown["mcp_servers"][0]["headers"], json!({ "authorization": "***" }));
        assert_eq!(shown["greeting"], "x");
        assert!(wants_restoring(&shown) && !wants_restoring(&settings));
        let agent = super::super::read(AgentId::new(), 1, "shop", &settings, &CallLimits::default()).unwrap();
        assert!(!format!("{agent:?}").contains("s3cret"));
        assert_eq!(agent.mcp_servers[0].headers[0].1.expose(), "Bearer s3cret");

        let mut back = shown.clone();
        back["greeting"] = json!("y");
        restore(&mut back, &settings);
        assert_eq!(back["mcp_servers"], settings["mcp_servers"]);
        for (key, elsewhere) in [("url", "https://evil.example/mcp"), ("name", "other")] {
            let mut moved = shown.clone();
            moved["mcp_servers"][0][key] = json!(elsewhere);
            restore(&mut moved, &settings);
            assert!(wants_restoring(&moved), "{key}: {moved}");
        }
    }
}
