//! Tools of a client's own over the Model Context Protocol: a client of the Streamable HTTP transport, revision 2025-06-18
//! (2025-03-26 is accepted). The official SDK is not used: it needs `Send` futures and brings its own HTTP client, which would
//! go round the check of addresses.
//!
//! The operator decides by name which tools are offered and whether they write; what a server says of its tools lowers
//! nothing. Lists are asked for in the background ([`Mcp::keep_listed`]), never on the way of a call: a call that begins
//! before one is known does without these tools. Stdio servers, resources, prompts, sampling, elicitation, OAuth and
//! streams that are taken up again are not here.

mod answer;
mod line;
mod listed;
mod session;
mod sse;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use caly_actors::domain::{Agent, ClientId, McpServer, McpTool};
use caly_actors::ports::{ActionError, ActionOutput, ActionRequest, ActionSpec, RetryRule, SameAction, Step, ToolSpec};
use ring::digest;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use self::line::{Line, Post};
use self::listed::{Listing, Lists};
use self::session::{Session, Sessions};
use super::MARGIN;
use super::breaker::Breakers;
use crate::directory::{Directory, Snapshot};
use crate::outbound::Outbound;

pub use self::line::Fault;

/// How often it is looked which servers are to be asked.
const ROUND: Duration = Duration::from_secs(1);
/// Servers asked for their lists at the same time.
const LOOKS_MAX: usize = 16;
/// Longest wait for a whole list.
const LIST_DEADLINE: Duration = Duration::from_secs(12);
/// Longest page of a list, most pages, and longest cursor, in bytes.
const PAGE_BYTES_MAX: usize = 1024 * 1024;
const PAGES_MAX: usize = 64;
const CURSOR_BYTES_MAX: usize = 4096;
/// Longest answer of a tool.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// A server with what opens it. Clients that ask the same with the same headers see the same list.
type Key = [u8; 32];

fn key(server: &McpServer) -> Key {
    let mut context = digest::Context::new(&digest::SHA256);
    let headers = server.headers.iter().flat_map(|(name, value)| [&**name, value.expose()]);
    for text in std::iter::once(&*server.url).chain(headers) {
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text.as_bytes());
    }
    context.finish().as_ref().try_into().unwrap_or_default()
}

/// Ids of requests, never the same twice.
#[derive(Default)]
struct Numbers(AtomicU64);

impl Numbers {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// Asks servers for their tools, and has the tools do things.
pub struct Mcp {
    line: Line,
    lists: Lists,
    sessions: Sessions,
    numbers: Numbers,
    looks: Semaphore,
}

/// What an operator wants to know of a server.
#[derive(Clone, PartialEq, Debug)]
pub struct Seen {
    /// Name and version, as it says.
    pub about: String,
    /// The revision agreed on.
    pub revision: &'static str,
    /// How many tools it lists.
    pub total: usize,
    /// The first names among them.
    pub names: Vec<String>,
    /// Tools that the operator named and that cannot be offered, and why.
    pub missing: Vec<(Arc<str>, &'static str)>,
}

impl Mcp {
    /// `trusted` lists `host:port` pairs exempt from the https and public-address rules.
    #[must_use]
    pub fn new(outbound: Outbound, trusted: Vec<String>) -> Self {
        let line = Line { outbound, trusted, breakers: Arc::new(Breakers::new("mcp")) };
        let (lists, sessions, numbers) = (Lists::default(), Sessions::default(), Numbers::default());
        Self { line, lists, sessions, numbers, looks: Semaphore::new(LOOKS_MAX) }
    }

    /// The catalogue entries of an agent's tools, as far as their servers' lists are known.
    #[must_use]
    pub fn specs(&self, agent: &Agent) -> Vec<ActionSpec> {
        let now = Instant::now();
        let of_server = |server: &McpServer| -> Vec<ActionSpec> {
            let key = key(server);
            let spec = |tool: &McpTool| Some(spec(tool, self.lists.tool(&key, &tool.listed_as, now)?));
            server.tools.iter().filter_map(spec).collect()
        };
        agent.mcp_servers.iter().flat_map(of_server).collect()
    }

    /// One attempt, or its plan.
    ///
    /// # Errors
    /// By what is known to have happened: nothing (`Refused`, `Unavailable`) or perhaps something (`Unknown`).
    pub async fn run(
        &self,
        (server, tool): (&McpServer, &McpTool),
        request: &ActionRequest,
    ) -> Result<ActionOutput, ActionError> {
        if request.step == Step::Plan {
            // What a client's own service would do is known to the client alone.
            return Ok(ActionOutput { output: request.arguments.to_string().into(), change: None, undo: None });
        }
        if !may_send(tool, request.attempt) {
            return Err(ActionError::Unknown(
                "it may have been done, and must not be sent twice: look there".to_owned(),
            ));
        }
        match self.call(server, tool, request).await {
            Ok(result) => answer::told(tool, &result),
            Err(fault) => Err(answer::error(tool, fault)),
        }
    }

    /// `tools/call`. A session that is over is opened anew: what came with it was not looked at, so it is sent again.
    async fn call(&self, server: &McpServer, tool: &McpTool, request: &ActionRequest) -> Result<Value, Fault> {
        let until = Instant::now() + tool.deadline;
        let arguments = &*request.arguments;
        let idempotency = &*request.idempotency_key;
        let params = json!({ "name": &*tool.listed_as, "arguments": arguments, "_meta": meta(server, request) });
        let headers = [("idempotency-key", idempotency.to_owned()), ("x-caly-call", request.facts.call.to_string())];
        let whose = (request.facts.client, key(server));
        let mut lost = false;
        loop {
            let session = self.sessions.get(whose, server, (&self.line, &self.numbers), until).await?;
            let id = self.numbers.next();
            let body = wire::request(id, "tools/call", &params);
            let session_used = Some(&*session);
            let post = Post {
                server,
                whose: Some(whose),
                session: session_used,
                body: &body,
                headers: &headers,
                until,
                limit: ANSWER_BYTES_MAX,
            };
            let answer = self.line.ask(&post, id).await;
            count("tools/call", answer.as_ref().err());
            match answer {
                Err(Fault::SessionLost(why)) => {
                    self.sessions.forget(whose.0, whose.1, &session);
                    if std::mem::replace(&mut lost, true) {
                        return Err(Fault::Refused(why));
                    }
                }
                Err(Fault::Late) => {
                    // What writes is left to end as it will: half done is worse than late.
                    if !tool.writes {
                        self.line.tell_aside(server, Some(&session), wire::cancelled(id));
                    }
                    return Err(Fault::Late);
                }
                answer => return answer.map(|(result, _)| result),
            }
        }
    }

    /// Opens a session of its own, looks for the tools that the operator named, and ends it.
    ///
    /// # Errors
    /// Why there is no list.
    pub async fn try_server(&self, server: &McpServer) -> Result<Seen, Fault> {
        let until = Instant::now() + LIST_DEADLINE;
        let session = session::open(None, server, (&self.line, &self.numbers), until).await?;
        let wanted = wanted(server);
        let listing = self.list(None, server, (&session, &wanted), until).await;
        self.line.end(server, &session).await;
        let listing = listing?;
        let missing = listing.missing(&wanted);
        let Session { revision, about, .. } = session;
        Ok(Seen { about, revision, total: listing.total, names: listing.names, missing })
    }

    async fn list(
        &self,
        whose: Option<(ClientId, Key)>,
        server: &McpServer,
        (session, wanted): (&Session, &BTreeSet<Arc<str>>),
        until: Instant,
    ) -> Result<Listing, Fault> {
        let mut listing = Listing::default();
        let mut cursor: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let id = self.numbers.next();
            let params = cursor.as_ref().map_or_else(|| json!({}), |cursor| json!({ "cursor": cursor }));
            let body = wire::request(id, "tools/list", &params);
            let session = Some(session);
            let post = Post { server, whose, session, body: &body, headers: &[], until, limit: PAGE_BYTES_MAX };
            let answer = self.line.ask(&post, id).await;
            count("tools/list", answer.as_ref().err());
            let (page, _) = answer?;
            if !page["tools"].is_array() {
                return Err(Fault::Lost("its list could not be read".to_owned()));
            }
            listing.add(&page, wanted);
            let next = page["nextCursor"].as_str().filter(|next| !next.is_empty()).map(str::to_owned);
            if next.is_none() {
                return Ok(listing);
            }
            let sound = next != cursor && next.as_ref().is_some_and(|next| next.len() <= CURSOR_BYTES_MAX);
            if !sound || listing.total > listed::LOOKED_THROUGH_MAX {
                break;
            }
            cursor = next;
        }
        tracing::warn!(
            server = &*server.name,
            tools = listing.total,
            "the list of an mcp server has no end; the rest is not looked at"
        );
        Ok(listing)
    }

    /// Asks for ever for the lists of the servers that agents in use name.
    pub async fn keep_listed(self: Arc<Self>, directory: Directory) {
        loop {
            if let Some(snapshot) = directory.get() {
                self.round(&snapshot);
            }
            tokio::time::sleep(ROUND).await;
        }
    }

    fn round(self: &Arc<Self>, snapshot: &Snapshot) {
        let now = Instant::now();
        let mut named: HashMap<Key, (ClientId, McpServer, BTreeSet<Arc<str>>)> = HashMap::new();
        let mut users = BTreeSet::new();
        for client in snapshot.clients().filter(|client| !client.row.disabled) {
            for server in client.agent.iter().flat_map(|agent| &agent.mcp_servers) {
                let key = key(server);
                users.insert((client.id.0, key));
                let one = named.entry(key).or_insert_with(|| (client.id, server.clone(), BTreeSet::new()));
                one.2.extend(wanted(server));
            }
        }
        let (known, unknown) = self.lists.keep(|key| named.contains_key(key), now);
        metrics::gauge!("caly_mcp_servers", "listed" => "true").set(known as f64);
        metrics::gauge!("caly_mcp_servers", "listed" => "false").set(unknown as f64);
        for (key, (client, server, wanted)) in named {
            if self.lists.turn(key, &wanted, now) {
                let this = Arc::clone(self);
                actix_rt::spawn(async move { this.look(client, key, server, wanted).await });
            }
        }
        for (server, session) in self.sessions.idle(|client, key| users.contains(&(client.0, *key))) {
            let line = self.line.clone();
            actix_rt::spawn(async move { line.end(&server, &session).await });
        }
    }

    async fn look(&self, client: ClientId, key: Key, server: McpServer, wanted: BTreeSet<Arc<str>>) {
        let _seat = self.looks.acquire().await;
        let until = Instant::now() + LIST_DEADLINE;
        let mut found = self.list_once(client, key, &server, &wanted, until).await;
        if matches!(found, Err(Fault::SessionLost(_))) {
            found = self.list_once(client, key, &server, &wanted, until).await;
        }
        let outcome = if found.is_ok() { "listed" } else { "failed" };
        metrics::counter!("caly_mcp_lists_total", "outcome" => outcome).increment(1);
        let missing = found.as_ref().map(|listing| listing.missing(&wanted)).unwrap_or_default();
        let missing: BTreeMap<_, _> = missing.into_iter().collect();
        let fault = found.as_ref().err().map(ToString::to_string);
        let news = self.lists.settle(&key, wanted, found.ok(), Instant::now());
        match fault {
            Some(fault) if news => {
                tracing::warn!(%client, server = &*server.name, fault, "an mcp server does not list its tools: see `caly check`");
            }
            None if news && !missing.is_empty() => {
                tracing::warn!(%client, server = &*server.name, ?missing, "tools of an mcp server cannot be offered: see `caly check`");
            }
            _ => {}
        }
    }

    async fn list_once(
        &self,
        client: ClientId,
        key: Key,
        server: &McpServer,
        wanted: &BTreeSet<Arc<str>>,
        until: Instant,
    ) -> Result<Listing, Fault> {
        let session = self.sessions.get((client, key), server, (&self.line, &self.numbers), until).await?;
        let listing = self.list(Some((client, key)), server, (&session, wanted), until).await;
        if matches!(listing, Err(Fault::SessionLost(_) | Fault::Refused(_))) {
            self.sessions.forget(client, key, &session);
        }
        listing
    }
}

/// The tool that is asked for, with its server; `None`: it is no tool of these.
#[must_use]
pub fn tool_of(request: &ActionRequest) -> Option<(McpServer, McpTool)> {
    let of_server = |server: &McpServer| {
        let tool = server.tools.iter().find(|tool| tool.name == request.name)?;
        Some((server.clone(), tool.clone()))
    };
    request.facts.agent.mcp_servers.iter().find_map(of_server)
}

fn wanted(server: &McpServer) -> BTreeSet<Arc<str>> {
    server.tools.iter().map(|tool| Arc::clone(&tool.listed_as)).collect()
}

/// Beside what is asked for: the key under which it is done once, and who asks.
fn meta(server: &McpServer, request: &ActionRequest) -> Value {
    let (key, call) = (&*request.idempotency_key, request.facts.call.to_string());
    let mut meta = json!({ "caly/idempotencyKey": key, "caly/callId": call });
    if server.tell_caller {
        meta["caly/caller"] = json!(super::signing::caller(&request.facts.caller));
    }
    meta
}

/// What writes and does not heed its key is sent once.
fn may_send(tool: &McpTool, attempt: u32) -> bool {
    attempt <= 1 || !tool.writes || tool.repeatable
}

fn spec(tool: &McpTool, listed: listed::Listed) -> ActionSpec {
    let name = Arc::clone(&tool.name);
    let once = tool.writes && !tool.repeatable;
    ActionSpec {
        tool: ToolSpec { name, description: listed.description, schema: listed.schema },
        deadline: tool.deadline + MARGIN,
        // Only what surely did not happen is tried again; the key makes a repeat harmless for a server that heeds it.
        retry: RetryRule { attempts: if once { 1 } else { 3 }, backoff: Duration::from_millis(200) },
        same: SameAction::PerArguments,
        writes: tool.writes,
        confirm: tool.confirm,
        lasting: false,
        offered: true,
    }
}

fn count(method: &'static str, fault: Option<&Fault>) {
    let outcome = fault.map_or("done", Fault::outcome);
    metrics::counter!("caly_mcp_requests_total", "method" => method, "outcome" => outcome).increment(1);
}
