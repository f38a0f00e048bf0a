//! A simulated MCP server (Streamable HTTP, revision 2025-06-18 or 2025-03-26): a small list of leads with two tools, strict
//! about the protocol. It speaks from its own JSON and knows nothing of any client but the key that makes repeats harmless.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};

use super::Complaints;

/// Most sessions and leads kept: this is no place to store anything.
const SESSIONS_MAX: usize = 1000;
const LEADS_MAX: usize = 10_000;

/// How the server behaves.
#[derive(Clone, Debug)]
pub struct McpOptions {
    /// Where to listen; port 0 takes a free one.
    pub bind: SocketAddr,
    /// The only bearer token accepted; `None`: none is asked for.
    pub token: Option<String>,
    /// The revision it speaks.
    pub revision: String,
    /// Answers come as a stream of events, with a notification and a ping before them.
    pub stream: bool,
    /// Tools of a page.
    pub page_size: usize,
    /// What goes wrong.
    pub faults: McpFaults,
}

/// What goes wrong. `…_next` counts down with every request that had the fault.
#[derive(Clone, Debug, Default)]
pub struct McpFaults {
    /// Answers to tools come so much later, their effect does not.
    pub delay: Duration,
    /// The next so many calls of tools take effect, and their answer is lost.
    pub drop_next: u32,
    /// The next so many requests find that their session is over.
    pub lose_session_next: u32,
    /// … and are told so with 400, as many servers do, instead of 404.
    pub lost_is_400: bool,
    /// The next so many requests are refused for lack of time, and change nothing.
    pub busy_next: u32,
}

impl McpOptions {
    /// On a free port of this machine, in good health.
    #[must_use]
    pub fn sandbox() -> Self {
        Self {
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            token: None,
            revision: "2025-06-18".to_owned(),
            stream: false,
            page_size: 50,
            faults: McpFaults::default(),
        }
    }
}

#[derive(Default)]
struct Session {
    initialized: bool,
    ids: HashSet<String>,
}

#[derive(Default)]
struct World {
    sessions: HashMap<String, Session>,
    leads: Vec<Value>,
    /// First results by key.
    done: HashMap<String, Value>,
    /// Tools called, in order, with what came beside the arguments.
    calls: Vec<(String, Value)>,
    opened: u64,
    pings_answered: u64,
    cancelled: u64,
    faults: McpFaults,
}

struct Shared {
    options: McpOptions,
    world: Mutex<World>,
    complaints: Complaints,
}

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running server; dropping the handle stops it.
pub struct McpServer {
    /// `http://127.0.0.1:PORT/mcp`.
    pub url: String,
    /// Where it listens.
    pub address: SocketAddr,
    handle: ServerHandle,
    shared: Arc<Shared>,
}

impl Drop for McpServer {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
    }
}

impl McpServer {
    /// Stops listening; returns once the workers are gone.
    pub async fn stop(&self) {
        self.handle.stop(false).await;
    }

    /// What was created, oldest first, after the one that was there.
    #[must_use]
    pub fn leads(&self) -> Vec<Value> {
        self.shared.world().leads.clone()
    }

    /// How often a tool was called, whatever came of it.
    #[must_use]
    pub fn calls(&self, tool: &str) -> usize {
        self.shared.world().calls.iter().filter(|(name, _)| name == tool).count()
    }

    /// Who asked, each time a tool was called: the number that rings or `withheld`; `None` where it was not told.
    #[must_use]
    pub fn callers(&self) -> Vec<Option<String>> {
        let told = |(_, meta): &(String, Value)| meta["caly/caller"].as_str().map(str::to_owned);
        self.shared.world().calls.iter().map(told).collect()
    }

    /// Sessions opened so far, and open now.
    #[must_use]
    pub fn sessions(&self) -> (u64, usize) {
        let world = self.shared.world();
        (world.opened, world.sessions.len())
    }

    /// How many of its pings were answered, and how many requests were cancelled.
    #[must_use]
    pub fn heard_aside(&self) -> (u64, u64) {
        let world = self.shared.world();
        (world.pings_answered, world.cancelled)
    }

    /// Sets the faults.
    pub fn set_faults(&self, faults: McpFaults) {
        self.shared.world().faults = faults;
    }

    /// What clients did wrong, a sentence each; empty is good.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.shared.complaints.list()
    }
}

/// Opens the server; returns once it listens. Needs an actix system around it; the server runs on a thread of its own.
///
/// # Errors
/// The address cannot be bound.
pub async fn serve(options: McpOptions) -> io::Result<McpServer> {
    let meera = json!({ "id": "L-1", "name": "Meera Shah", "phone": "+919876543210", "city": "Pune" });
    let world = World { leads: vec![meera], faults: options.faults.clone(), ..World::default() };
    let shared = Arc::new(Shared { options, world: Mutex::new(world), complaints: Complaints::default() });
    let state = Arc::clone(&shared);
    let server = HttpServer::new(move || {
        let endpoint = web::resource("/mcp")
            .route(web::post().to(posted))
            .route(web::delete().to(ended))
            .default_service(web::to(|| async { HttpResponse::MethodNotAllowed().finish() }));
        App::new().app_data(web::Data::from(Arc::clone(&state))).service(endpoint)
    });
    let server = server.workers(1).shutdown_timeout(1).disable_signals().bind(shared.options.bind)?;
    let address = server.addrs().first().copied().unwrap_or(shared.options.bind);
    let running = server.run();
    let handle = running.handle();
    tokio::spawn(running);
    Ok(McpServer { url: format!("http://{address}/mcp"), address, handle, shared })
}

fn header<'a>(request: &'a HttpRequest, name: &str) -> &'a str {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

async fn ended(request: HttpRequest, shared: web::Data<Shared>) -> HttpResponse {
    match shared.world().sessions.remove(header(&request, "mcp-session-id")) {
        Some(_) => HttpResponse::NoContent().finish(),
        None => HttpResponse::NotFound().finish(),
    }
}

/// What comes back.
enum Reply {
    /// Taken, nothing to say.
    Accepted,
    /// A status with a JSON-RPC error that belongs to no request.
    Refused(u16, &'static str),
    /// An answer; `session` is told with the first.
    Answer { message: Value, session: Option<String>, delay: Duration },
    /// The answer is lost.
    Cut(Duration),
}

async fn posted(request: HttpRequest, body: web::Bytes, shared: web::Data<Shared>) -> HttpResponse {
    match judge(&request, &body, &shared) {
        Reply::Accepted => HttpResponse::Accepted().finish(),
        Reply::Refused(status, why) => {
            let error = json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32000, "message": why } });
            HttpResponse::build(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST)).json(error)
        }
        Reply::Cut(delay) => {
            tokio::time::sleep(delay).await;
            let gone = io::Error::new(io::ErrorKind::ConnectionReset, "the simulated server drops this answer");
            let pieces = [Ok(Bytes::from_static(b"{\"jsonrpc\":")), Err(gone)];
            HttpResponse::Ok().content_type("application/json").streaming(stream::iter(pieces))
        }
        Reply::Answer { message, session, delay } => {
            tokio::time::sleep(delay).await;
            let mut response = HttpResponse::Ok();
            if let Some(session) = session {
                response.insert_header(("Mcp-Session-Id", session));
            }
            if !shared.options.stream {
                return response.content_type("application/json").body(message.to_string());
            }
            let pieces = streamed(&message).into_iter().map(Ok::<_, io::Error>);
            response.content_type("text/event-stream").streaming(stream::iter(pieces))
        }
    }
}

/// An answer as events, after others, in pieces that end where no event does.
fn streamed(message: &Value) -> Vec<Bytes> {
    let log = json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": "info", "data": "working" } });
    let ping = json!({ "jsonrpc": "2.0", "id": "ping-1", "method": "ping" });
    let text = format!(
        ": the simulated server\n\nevent: message\ndata: {log}\n\nid: 1\r\ndata: {ping}\r\n\r\ndata: {message}\n\n"
    );
    text.into_bytes().chunks(17).map(Bytes::copy_from_slice).collect()
}

fn judge(request: &HttpRequest, body: &[u8], shared: &Shared) -> Reply {
    let complain = |sentence: &str| shared.complaints.add(sentence);
    let accept = header(request, "accept");
    if !accept.contains("application/json") || !accept.contains("text/event-stream") {
        complain("Accept must list application/json and text/event-stream");
        return Reply::Refused(406, "Not Acceptable");
    }
    if !header(request, "content-type").starts_with("application/json") {
        complain("Content-Type must be application/json");
        return Reply::Refused(415, "Unsupported Media Type");
    }
    if let Some(token) = &shared.options.token
        && header(request, "authorization") != format!("Bearer {token}")
    {
        return Reply::Refused(401, "Unauthorized");
    }
    let message: Value = serde_json::from_slice(body).unwrap_or_default();
    if !message.is_object() || message["jsonrpc"] != "2.0" {
        complain("a body is one JSON-RPC 2.0 message");
        return Reply::Refused(400, "Parse error");
    }
    let mut world = shared.world();
    if counted(&mut world.faults.busy_next) {
        return Reply::Refused(503, "busy");
    }
    if message["method"] == "initialize" {
        return initialize(request, &message, shared, &mut world);
    }
    let session = header(request, "mcp-session-id").to_owned();
    if session.is_empty() {
        complain("a request after initialize carries Mcp-Session-Id");
        return Reply::Refused(400, "Mcp-Session-Id is missing");
    }
    if counted(&mut world.faults.lose_session_next) {
        world.sessions.remove(&session);
    }
    if !world.sessions.contains_key(&session) {
        return match world.faults.lost_is_400 {
            true => Reply::Refused(400, "Bad Request: No valid session ID provided"),
            false => Reply::Refused(404, "Session not found"),
        };
    }
    if header(request, "mcp-protocol-version") != shared.options.revision {
        complain("a request after initialize carries the MCP-Protocol-Version agreed on");
        return Reply::Refused(400, "Unsupported protocol version");
    }
    in_session(request, &message, &session, (shared, &mut world))
}

/// Counts a fault down; whether it was due.
fn counted(counter: &mut u32) -> bool {
    let due = *counter > 0;
    *counter = counter.saturating_sub(1);
    due
}

fn initialize(request: &HttpRequest, message: &Value, shared: &Shared, world: &mut World) -> Reply {
    let params = &message["params"];
    let about = &params["clientInfo"];
    let whole = params["protocolVersion"].is_string()
        && params["capabilities"].is_object()
        && about["name"].is_string()
        && about["version"].is_string();
    if !whole || !is_id(&message["id"]) {
        shared.complaints.add("initialize has an id, protocolVersion, capabilities and clientInfo");
    }
    if !header(request, "mcp-session-id").is_empty() {
        shared.complaints.add("initialize carries no session id");
    }
    if world.sessions.len() >= SESSIONS_MAX {
        return Reply::Refused(503, "too many sessions");
    }
    world.opened += 1;
    let session = uuid::Uuid::now_v7().simple().to_string();
    world.sessions.insert(session.clone(), Session::default());
    let result = json!({
        "protocolVersion": shared.options.revision,
        "capabilities": { "tools": { "listChanged": false } },
        "serverInfo": { "name": "simulated-leads", "title": "Leads (simulated)", "version": "1.0.0" },
        "instructions": "A simulated server of Caly's sandbox.",
    });
    answered(&message["id"], &result, Some(session), Duration::ZERO)
}

fn is_id(id: &Value) -> bool {
    id.is_string() || id.is_i64() || id.is_u64()
}

fn answered(id: &Value, result: &Value, session: Option<String>, delay: Duration) -> Reply {
    Reply::Answer { message: json!({ "jsonrpc": "2.0", "id": id, "result": result }), session, delay }
}

fn failed(id: &Value, code: i32, why: &str) -> Reply {
    let error = json!({ "code": code, "message": why });
    let message = json!({ "jsonrpc": "2.0", "id": id, "error": error });
    Reply::Answer { message, session: None, delay: Duration::ZERO }
}

fn in_session(request: &HttpRequest, message: &Value, session: &str, (shared, world): (&Shared, &mut World)) -> Reply {
    let complain = |sentence: &str| shared.complaints.add(sentence);
    let id = &message["id"];
    let Some(method) = message["method"].as_str() else {
        // An answer to what this server asked.
        world.pings_answered += u64::from(*id == "ping-1" && message["result"].is_object());
        return Reply::Accepted;
    };
    let Some(known) = world.sessions.get_mut(session) else { return Reply::Refused(404, "Session not found") };
    if message.get("id").is_none() {
        match method {
            "notifications/initialized" => known.initialized = true,
            "notifications/cancelled" => world.cancelled += 1,
            _ => complain("a notification that servers do not know"),
        }
        return Reply::Accepted;
    }
    if !is_id(id) || !known.ids.insert(id.to_string()) {
        complain("the id of a request is a text or a whole number, and new in its session");
    }
    if !known.initialized && method != "ping" {
        complain("nothing is asked before notifications/initialized");
        return failed(id, -32600, "not initialized");
    }
    match method {
        "ping" => answered(id, &json!({}), None, Duration::ZERO),
        "tools/list" => list(id, &message["params"], shared.options.page_size),
        "tools/call" => call(request, id, &message["params"], (shared, world)),
        _ => failed(id, -32601, "Method not found"),
    }
}

fn list(id: &Value, params: &Value, page_size: usize) -> Reply {
    let all = tools();
    let from = match &params["cursor"] {
        Value::Null => Some(0),
        cursor => cursor.as_str().and_then(|cursor| cursor.strip_prefix("from-")?.parse::<usize>().ok()),
    };
    let Some(from) = from.filter(|from| *from < all.len()) else { return failed(id, -32602, "Invalid cursor") };
    let to = all.len().min(from + page_size.max(1));
    let mut result = json!({ "tools": all[from..to] });
    if to < all.len() {
        result["nextCursor"] = json!(format!("from-{to}"));
    }
    answered(id, &result, None, Duration::ZERO)
}

fn tools() -> Vec<Value> {
    let text = |about: &str| json!({ "type": "string", "description": about });
    vec![
        json!({
            "name": "find_lead", "title": "Find a lead", "description": "Finds leads by their phone number.",
            "inputSchema": { "type": "object", "properties": { "phone": text("in E.164") }, "required": ["phone"] },
            "annotations": { "readOnlyHint": true },
        }),
        json!({
            "name": "create_lead", "title": "Create a lead", "description": "Creates a lead for a person who is interested.",
            "inputSchema": {
                "type": "object",
                "properties": { "name": text("of the person"), "phone": text("in E.164"), "wish": text("what they want") },
                "required": ["name", "phone"],
            },
            // A hint that is not true: whoever believes it writes without asking.
            "annotations": { "readOnlyHint": true, "destructiveHint": false },
        }),
    ]
}

fn call(request: &HttpRequest, id: &Value, params: &Value, (shared, world): (&Shared, &mut World)) -> Reply {
    let name = params["name"].as_str().unwrap_or_default();
    let Some(tool) = tools().into_iter().find(|tool| tool["name"] == name) else {
        return failed(id, -32602, &format!("Unknown tool: {name}"));
    };
    let required = tool["inputSchema"]["required"].as_array().cloned().unwrap_or_default();
    if let Some(missing) =
        required.iter().filter_map(Value::as_str).find(|name| !params["arguments"][*name].is_string())
    {
        return failed(id, -32602, &format!("Invalid arguments: {missing}"));
    }
    let key = params["_meta"]["caly/idempotencyKey"].as_str().unwrap_or_default().to_owned();
    if key.is_empty() || key != header(request, "idempotency-key") {
        shared.complaints.add("a call of a tool carries one key, in _meta and in Idempotency-Key");
    }
    let call = params["_meta"]["caly/callId"].as_str().unwrap_or_default();
    if call.is_empty() || call != header(request, "x-caly-call") {
        shared.complaints.add("a call of a tool says in _meta and in X-Caly-Call which phone call it is of");
    }
    world.calls.push((name.to_owned(), params["_meta"].clone()));
    let result = match world.done.get(&key) {
        Some(first) => first.clone(),
        None => {
            let result = work(name, &params["arguments"], world);
            world.done.insert(key, result.clone());
            result
        }
    };
    let delay = world.faults.delay;
    if counted(&mut world.faults.drop_next) {
        return Reply::Cut(delay);
    }
    answered(id, &result, None, delay)
}

fn work(name: &str, arguments: &Value, world: &mut World) -> Value {
    let result = |value: Value| {
        let content = json!([{ "type": "text", "text": value.to_string() }]);
        json!({ "content": content, "structuredContent": value, "isError": false })
    };
    let refused = |why: &str| json!({ "content": [{ "type": "text", "text": why }], "isError": true });
    let same = |lead: &&Value| lead["phone"] == arguments["phone"];
    if name == "find_lead" {
        return result(json!({ "leads": world.leads.iter().filter(same).collect::<Vec<_>>() }));
    }
    if world.leads.iter().any(|lead| same(&lead)) {
        return refused("there is a lead with this number already");
    }
    if world.leads.len() >= LEADS_MAX {
        return refused("there is no room for another lead");
    }
    let mut lead = arguments.clone();
    lead["id"] = json!(format!("L-{}", world.leads.len() + 1));
    world.leads.push(lead.clone());
    result(json!({ "created": lead["id"], "name": lead["name"] }))
}

#[cfg(test)]
#[path = "mcp_tests.rs"]
mod mcp_tests;
