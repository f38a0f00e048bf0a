//! A client's own HTTPS action: a signed request made from a template, its JSON answer told to the engine.
//!
//! The URL is distrusted: https only, the address is checked after resolution and pinned, no redirects, bounded in
//! size and time. Each request says who asks, as far as the tool is told, and is signed (see [`super::signing`]). A host that
//! does not answer is left alone for a while, for the one client (see [`super::breaker`]).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use awc::error::PayloadError;
use awc::http::header::{HeaderValue, RETRY_AFTER};
use caly_actors::domain::{HttpTool, HttpUndo};
use caly_actors::ports::{
    ActionError, ActionOutput, ActionRequest, ActionSpec, PLANNED, RetryRule, SameAction, ToolSpec, Undo,
};
use chrono::Utc;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};
use url::{Host, Url};

use super::breaker::{Breakers, Sign, sign};
use super::signing::{Signed, caller};
use super::{MARGIN, RESTS};
use crate::directory::Directory;
use crate::outbound::Outbound;

/// Longest answer read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Longest answer told to the engine.
const ANSWER_TOLD_MAX: usize = 8 * 1024;
/// Under this name a tool that undoes another one is given what that one answered.
const RESULT: &str = "result";

/// Makes the requests.
pub struct HttpActions {
    outbound: Outbound,
    directory: Directory,
    /// `host:port` pairs that may be plain http or on a private network, as the operator allows.
    trusted: Vec<String>,
    /// By `host:port`, for each client on its own.
    breakers: Breakers<String>,
}

/// What came of one request, and what it tells of the host.
type Heard = (Result<ActionOutput, ActionError>, Sign);

/// The catalogue entry of a client's tool.
#[must_use]
pub fn spec(tool: &HttpTool) -> ActionSpec {
    ActionSpec {
        tool: ToolSpec {
            name: Arc::clone(&tool.name),
            description: Arc::clone(&tool.description),
            schema: Arc::clone(&tool.schema),
        },
        deadline: tool.deadline + MARGIN,
        // Only what surely did not happen is tried again; the key makes a repeat harmless for an endpoint that heeds it.
        retry: RetryRule { attempts: if tool.repeatable { 3 } else { 1 }, backoff: Duration::from_millis(200) },
        same: SameAction::PerArguments,
        writes: tool.writes,
        confirm: tool.confirm,
        lasting: tool.undo == HttpUndo::Never,
        offered: true,
    }
}

/// What would be done is known to the client alone: the arguments are read back, and of what undoes another tool not what that
/// one answered.
#[must_use]
pub fn plan(tool: &HttpTool, request: &ActionRequest) -> ActionOutput {
    let undoes = |other: &HttpTool| other.undo == HttpUndo::By(Arc::clone(&tool.name));
    let mut told = Value::clone(&request.arguments);
    if let Some(told) = told.as_object_mut().filter(|_| request.facts.agent.http_tools.iter().any(undoes)) {
        told.remove(RESULT);
    }
    ActionOutput { output: told.to_string().into(), change: None, undo: None }
}

/// The same arguments and the answer, for the tool that undoes this one.
fn undo(tool: &HttpTool, request: &ActionRequest, output: &str) -> Option<Undo> {
    let HttpUndo::By(name) = &tool.undo else { return None };
    let mut arguments = Value::clone(&request.arguments);
    let map = arguments.as_object_mut()?;
    map.remove(PLANNED);
    map.insert(RESULT.to_owned(), serde_json::from_str(output).unwrap_or_default());
    Some(Undo { tool: Arc::clone(name), arguments })
}

impl HttpActions {
    /// `trusted` lists `host:port` pairs exempt from the https and public-address rules.
    #[must_use]
    pub fn new(outbound: Outbound, directory: Directory, trusted: Vec<String>) -> Self {
        Self { outbound, directory, trusted, breakers: Breakers::new("http") }
    }

    /// One attempt.
    ///
    /// # Errors
    /// By what is known to have happened: nothing (`Refused`, `Unavailable`, `Away`) or perhaps something (`Unknown`).
    pub async fn run(&self, tool: &HttpTool, request: &ActionRequest) -> Result<ActionOutput, ActionError> {
        if !may_send(tool, request.attempt) {
            return Err(ActionError::Unknown(
                "it may have been done, and must not be sent twice: look there".to_owned(),
            ));
        }
        let secret = self.secret(request).ok_or_else(|| ActionError::Refused("the client is unknown".to_owned()))?;
        let mut output = self.send(tool, request, &secret).await?;
        output.undo = undo(tool, request, &output.output);
        Ok(output)
    }

    async fn send(&self, tool: &HttpTool, request: &ActionRequest, secret: &str) -> Result<ActionOutput, ActionError> {
        let url = fill_url(&tool.url, &request.arguments)
            .ok_or_else(|| ActionError::Refused("its address is misconfigured".to_owned()))?;
        let until = Instant::now() + tool.deadline;
        let permit = self.breakers.admit(request.facts.client, host(&url), until.into_std());
        let permit = permit.ok_or_else(|| ActionError::Away(RESTS.to_owned()))?;
        let (outcome, sign) = self.exchange(tool, request, (&url, secret), until).await;
        permit.settle(sign);
        outcome
    }

    async fn exchange(
        &self,
        tool: &HttpTool,
        request: &ActionRequest,
        (url, secret): (&Url, &str),
        until: Instant,
    ) -> Heard {
        let address = match timeout_at(until, self.checked_address(url)).await {
            Ok(Ok(address)) => address,
            Ok(Err(refused @ ActionError::Refused(_))) => return (Err(refused), Sign::None),
            Ok(Err(error)) => return (Err(error), Sign::Failed),
            Err(_) => {
                return (Err(ActionError::Unavailable("its host was not found in time".to_owned())), Sign::Failed);
            }
        };
        let (get, body) = (&*tool.method == "GET", body(tool, request));
        let (call, key) = (request.facts.call.to_string(), request.idempotency_key.to_string());
        let asks = if tool.tells_caller() { caller(&request.facts.caller) } else { "" };
        let signed = Signed { url, get, caller: asks, call: &call, key: &key, body: &body };
        let signature = signed.signature(secret, SystemTime::now());
        let (client, text) = (self.outbound.client(), url.as_str());
        let mut prepared = if get { client.get(text) } else { client.post(text) }
            .address(address)
            .timeout(until.saturating_duration_since(Instant::now()))
            .insert_header(("Idempotency-Key", key))
            .insert_header(("X-Caly-Call", call))
            .insert_header(("X-Caly-Signature", signature));
        if let Some(asks) = header(asks) {
            prepared = prepared.insert_header(("X-Caly-Caller", asks));
        }
        let sent = if get {
            prepared.send()
        } else {
            prepared.insert_header(("Content-Type", "application/json")).send_body(body)
        };
        let mut answer = match sent.await {
            Ok(answer) => answer,
            Err(error) => return (Err(failed(tool, &error)), told(&error)),
        };
        let status = answer.status().as_u16();
        let wait = answer.headers().get(RETRY_AFTER).and_then(|wait| wait.to_str().ok());
        let sign = sign(status, wait, Utc::now());
        match timeout_at(until, answer.body().limit(ANSWER_BYTES_MAX)).await {
            Ok(Ok(bytes)) => (judge(tool, status, Some(&bytes)), sign),
            Ok(Err(PayloadError::Overflow)) => (judge(tool, status, None), sign),
            Ok(Err(_)) | Err(_) => (judge(tool, status, None), Sign::Failed),
        }
    }

    fn secret(&self, request: &ActionRequest) -> Option<String> {
        let snapshot = self.directory.get()?;
        snapshot.client(&request.facts.client_slug).map(|client| client.secrets.http_secret.clone())
    }

    async fn checked_address(&self, url: &Url) -> Result<SocketAddr, ActionError> {
        checked_address(url, self.trusted.contains(&host(url))).await
    }
}

/// `host:port`; empty for a URL that has none.
fn host(url: &Url) -> String {
    let own = url.host().zip(url.port_or_known_default()).map(|(host, port)| format!("{host}:{port}"));
    own.unwrap_or_default()
}

/// Who asks, as a header that does not print; `None` where it is not told.
fn header(asks: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(asks).ok().filter(|_| !asks.is_empty())?;
    header.set_sensitive(true);
    Some(header)
}

/// What writes and does not heed its key is sent once.
fn may_send(tool: &HttpTool, attempt: u32) -> bool {
    attempt <= 1 || !tool.writes || tool.repeatable
}

/// Resolves the host once and refuses addresses a public service cannot have; the request goes to that address.
pub(super) async fn checked_address(url: &Url, trusted: bool) -> Result<SocketAddr, ActionError> {
    let refused = |why: &str| ActionError::Refused(format!("its address is not allowed: {why}"));
    let port = url.port_or_known_default().ok_or_else(|| refused("no port"))?;
    let host = url.host().ok_or_else(|| refused("no host"))?;
    if url.scheme() != "https" && !trusted {
        return Err(refused("https is required"));
    }
    let addresses: Vec<SocketAddr> = match host {
        Host::Ipv4(address) => vec![(IpAddr::V4(address), port).into()],
        Host::Ipv6(address) => vec![(IpAddr::V6(address), port).into()],
        Host::Domain(name) => tokio::net::lookup_host((name, port))
            .await
            .map_err(|_| ActionError::Unavailable("its host was not found".to_owned()))?
            .collect(),
    };
    pinned(&addresses, trusted)
}

/// The address a request goes to, whatever its name means a moment later.
fn pinned(addresses: &[SocketAddr], trusted: bool) -> Result<SocketAddr, ActionError> {
    // One private address among several is enough to refuse: which one is used must not depend on luck.
    if !trusted && addresses.iter().any(|address| !is_public(address.ip())) {
        return Err(ActionError::Refused("its address is not allowed: it is not on the public internet".to_owned()));
    }
    addresses.first().copied().ok_or_else(|| ActionError::Unavailable("its host has no address".to_owned()))
}

/// Whether an address can belong to a service on the public internet.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let benchmark = a == 198 && (18..20).contains(&b);
            // Protocol assignments, and the relays of 6to4.
            let assigned = matches!(v4.octets(), [192, 0, 0, _] | [192, 88, 99, _]);
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || v4.is_multicast()
                || v4.is_documentation()
                || shared
                || benchmark
                || assigned
                || a == 0
                || a >= 240)
        }
        IpAddr::V6(v6) => {
            let [first, second, ..] = v6.segments();
            // Of the global unicast block: 6to4 carries an IPv4 address inside, Teredo and the other protocols of
            // 2001::/23 are no place for a service, and two blocks are for documents. All that lies outside of the
            // block is refused with it: NAT64 (64:ff9b::/96, 64:ff9b:1::/48), ::/96, private and link-local addresses.
            let six_to_four = first == 0x2002;
            let protocols = first == 0x2001 && second < 0x0200;
            let documents = (first == 0x2001 && second == 0x0db8) || (first == 0x3fff && second < 0x1000);
            (0x2000..0x4000).contains(&first) && !six_to_four && !protocols && !documents
        }
    }
}

/// Puts arguments into `{name}` places, percent-encoded, so that none can change host, path or query structure.
fn fill_url(template: &str, arguments: &Value) -> Option<Url> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, tail) = after.split_once('}')?;
        filled.push_str(before);
        let value = plain(argument(arguments, name));
        // These two are no names in a path but steps in it, however they are encoded.
        if matches!(value.as_str(), "." | "..") {
            return None;
        }
        filled.extend(form_urlencoded::byte_serialize(value.as_bytes()).map(|part| part.replace('+', "%20")));
        rest = tail;
    }
    filled.push_str(rest);
    let url = Url::parse(&filled).ok()?;
    let plain_host = Url::parse(&template.replace(['{', '}'], "")).ok()?;
    // A place in the host would let an argument choose where the secret-signed request goes.
    (url.host() == plain_host.host() && url.username().is_empty() && url.password().is_none()).then_some(url)
}

/// An argument by its name, or one within it: `result.id`.
fn argument<'a>(arguments: &'a Value, name: &str) -> &'a Value {
    match name.split_once('.') {
        Some((whole, part)) if arguments.get(name).is_none() => &arguments[whole][part],
        _ => &arguments[name],
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The template with arguments inside its strings, or the arguments with the call's facts.
fn body(tool: &HttpTool, request: &ActionRequest) -> String {
    let template: Option<Value> = tool.body.as_deref().and_then(|text| serde_json::from_str(text).ok());
    match template {
        Some(template) => fill_json(&template, &request.arguments).to_string(),
        None => json!({
            "action": &*request.name,
            "call": request.facts.call.to_string(),
            "caller": request.facts.caller.stored().filter(|_| tool.tell_caller != Some(false)),
            "arguments": &*request.arguments,
        })
        .to_string(),
    }
}

fn fill_json(template: &Value, arguments: &Value) -> Value {
    match template {
        Value::String(text) => {
            // A string that is one place keeps the argument's type.
            if let Some(name) = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'))
                && !name.contains(['{', '}'])
            {
                return argument(arguments, name).clone();
            }
            let mut filled = text.clone();
            for (name, value) in arguments.as_object().into_iter().flatten() {
                filled = filled.replace(&format!("{{{name}}}"), &plain(value));
                for (part, value) in value.as_object().into_iter().flatten() {
                    filled = filled.replace(&format!("{{{name}.{part}}}"), &plain(value));
                }
            }
            Value::String(filled)
        }
        Value::Array(items) => items.iter().map(|item| fill_json(item, arguments)).collect(),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, value)| (key.clone(), fill_json(value, arguments))).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => template.clone(),
    }
}

fn failed(tool: &HttpTool, error: &awc::error::SendRequestError) -> ActionError {
    use awc::error::{ConnectError, SendRequestError as E};
    match error {
        // The line broke after the request had left, which the client calls a failure to connect as well.
        E::Connect(ConnectError::Disconnected) if tool.writes => ActionError::Unknown("it did not answer".to_owned()),
        // The connection was never made: nothing happened.
        E::Connect(_) | E::Url(_) => ActionError::Unavailable("it could not be reached".to_owned()),
        _ if !tool.writes => ActionError::Unavailable("it did not answer".to_owned()),
        _ => ActionError::Unknown("it did not answer".to_owned()),
    }
}

/// What a request without an answer tells of the host.
fn told(error: &awc::error::SendRequestError) -> Sign {
    use awc::error::SendRequestError as E;
    match error {
        E::Connect(_) | E::Send(_) | E::Response(_) | E::Timeout => Sign::Failed,
        // It could not even be put together.
        _ => Sign::None,
    }
}

fn judge(tool: &HttpTool, status: u16, body: Option<&[u8]>) -> Result<ActionOutput, ActionError> {
    match status {
        200..=299 => {
            let unread = "its answer could not be read".to_owned();
            let Some(body) = body else {
                return Err(if tool.writes { ActionError::Unknown(unread) } else { ActionError::Unavailable(unread) });
            };
            let value = serde_json::from_slice(body).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(body)));
            let mut output = if body.is_empty() { json!({ "done": true }).to_string() } else { value.to_string() };
            if output.len() > ANSWER_TOLD_MAX {
                let end = output.floor_char_boundary(ANSWER_TOLD_MAX);
                output = json!({ "cut_short": &output[..end] }).to_string();
            }
            Ok(ActionOutput { output: output.into(), change: None, undo: None })
        }
        408 | 425 | 429 | 503 => Err(ActionError::Unavailable("it is busy".to_owned())),
        // The endpoint was reached and failed part-way: for a write nobody knows how far it got.
        500..=599 if tool.writes => Err(ActionError::Unknown(format!("it failed ({status})"))),
        500..=599 => Err(ActionError::Unavailable(format!("it failed ({status})"))),
        _ => Err(ActionError::Refused(format!("it was refused ({status})"))),
    }
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod http_tests;
#[cfg(test)]
#[path = "http_resting_tests.rs"]
mod resting_tests;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn arguments_cannot_leave_their_place_in_a_url() {
        let url =
            fill_url("https://shop.example/orders/{id}?q={q}", &json!({"id": "../../x?y#z", "q": "a&b=c d"})).unwrap();
        assert_eq!(url.as_str(), "https://shop.example/orders/..%2F..%2Fx%3Fy%23z?q=a%26b%3Dc%20d");
        assert_eq!(fill_url("https://{h}/x", &json!({"h": "evil.example"})), None);
        assert_eq!(fill_url("https://shop.example/{unclosed", &json!({})), None);
    }

    #[test]
    fn only_public_addresses_are_public() {
        for text in ["8.8.8.8", "2606:4700::1111", "103.21.244.1"] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
        for text in [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.3.4",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "198.18.0.1",
            "240.0.0.1",
            "2001:db8::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_template_keeps_types_and_fills_strings() {
        let template = json!({"order": "{id}", "note": "for {id} x{n}", "list": ["{n}"], "fixed": 1});
        let filled = fill_json(&template, &json!({"id": "7\"", "n": 3}));
        assert_eq!(filled, json!({"order": "7\"", "note": "for 7\" x3", "list": [3], "fixed": 1}));
    }

    fn tool(writes: bool) -> HttpTool {
        HttpTool {
            name: "t".into(),
            description: "".into(),
            schema: "{}".into(),
            method: "POST".into(),
            url: "https://x".into(),
            body: None,
            deadline: Duration::from_secs(1),
            writes,
            confirm: false,
            undo: HttpUndo::Unsaid,
            repeatable: true,
            tell_caller: None,
        }
    }

    #[test]
    fn what_may_not_be_repeated_is_sent_once() {
        for (writes, repeatable, attempt, sent) in
            [(true, true, 2, true), (true, false, 1, true), (true, false, 2, false), (false, false, 2, true)]
        {
            let tool = HttpTool { repeatable, ..tool(writes) };
            assert_eq!(may_send(&tool, attempt), sent, "{writes} {repeatable} {attempt}");
            assert_eq!(spec(&tool).retry.attempts > 1, repeatable);
        }
    }

    #[test]
    fn an_answer_is_judged_by_what_may_have_happened() {
        assert!(matches!(judge(&tool(true), 500, Some(b"")), Err(ActionError::Unknown(_))));
        assert!(matches!(judge(&tool(false), 500, Some(b"")), Err(ActionError::Unavailable(_))));
        assert!(matches!(judge(&tool(true), 429, Some(b"")), Err(ActionError::Unavailable(_))));
        assert!(matches!(judge(&tool(true), 404, Some(b"")), Err(ActionError::Refused(_))));
        assert_eq!(&*judge(&tool(true), 200, Some(b"{\"a\": 1}")).unwrap().output, "{\"a\":1}");
        use awc::error::{ConnectError, SendRequestError as E};
        assert!(matches!(failed(&tool(true), &E::Connect(ConnectError::Timeout)), ActionError::Unavailable(_)));
        assert!(matches!(failed(&tool(true), &E::Connect(ConnectError::Disconnected)), ActionError::Unknown(_)));
        assert!(matches!(failed(&tool(false), &E::Connect(ConnectError::Disconnected)), ActionError::Unavailable(_)));
    }
}
