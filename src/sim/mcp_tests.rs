//! What the simulated MCP server does not let pass.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use awc::http::Method;

use super::*;

struct Client {
    server: McpServer,
    session: Option<String>,
}

type Answer = (u16, Option<String>, String);

impl Client {
    async fn post(&self, headers: &[(&str, &str)], body: &Value) -> Answer {
        self.send(Method::POST, headers, body.to_string()).await
    }

    async fn send(&self, method: Method, headers: &[(&str, &str)], body: String) -> Answer {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut request = awc::Client::default().request(method, &self.server.url);
        let usual = [("accept", "application/json, text/event-stream"), ("content-type", "application/json")];
        let version = ("mcp-protocol-version", "2025-06-18");
        let session = self.session.as_deref().map(|id| [("mcp-session-id", id), version]);
        for (name, value) in usual.into_iter().chain(session.into_iter().flatten()).chain(headers.iter().copied()) {
            // What is given last counts; an empty one is left out.
            request.headers_mut().remove(name);
            request = if value.is_empty() { request } else { request.insert_header((name, value)) };
        }
        let mut answer = request.send_body(body).await.unwrap();
        let session = answer.headers().get("mcp-session-id").map(|id| id.to_str().unwrap().to_owned());
        let status = answer.status().as_u16();
        (status, session, String::from_utf8(answer.body().await.unwrap().to_vec()).unwrap())
    }

    async fn open() -> Self {
        let server = serve(McpOptions { page_size: 1, ..McpOptions::sandbox() }).await.unwrap();
        let mut client = Self { server, session: None };
        let (status, session, _) = client.post(&[], &initialize()).await;
        assert_eq!(status, 200);
        client.session = session;
        client
    }

    async fn ready() -> Self {
        let client = Self::open().await;
        let (status, ..) = client.post(&[], &json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
        assert_eq!(status, 202);
        client
    }
}

fn initialize() -> Value {
    let about = json!({ "name": "test", "version": "1" });
    let params = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": about });
    json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params })
}

fn request(id: u64, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

#[actix_rt::test]
async fn what_breaks_the_protocol_is_refused_and_complained_of() {
    let list = request(2, "tools/list", json!({}));
    for (headers, body, status, complaint) in [
        (("accept", "application/json"), list.clone(), 406, "Accept must list"),
        (("content-type", "text/plain"), list.clone(), 415, "Content-Type must be"),
        (("x-none", ""), json!([list]), 400, "one JSON-RPC 2.0 message"),
        (("x-none", ""), json!({ "id": 2, "method": "tools/list" }), 400, "one JSON-RPC 2.0 message"),
        (("mcp-session-id", ""), list.clone(), 400, "carries Mcp-Session-Id"),
        (("mcp-protocol-version", ""), list.clone(), 400, "carries the MCP-Protocol-Version"),
        (("mcp-protocol-version", "2025-03-26"), list.clone(), 400, "carries the MCP-Protocol-Version"),
        (("x-none", ""), request(1, "initialize", json!({})), 200, "initialize has an id"),
        (("x-none", ""), initialize(), 200, "initialize carries no session id"),
        (("x-none", ""), json!({ "jsonrpc": "2.0", "id": 1.5, "method": "ping" }), 200, "the id of a request"),
        (("x-none", ""), json!({ "jsonrpc": "2.0", "method": "notifications/odd" }), 202, "a notification that"),
    ] {
        let client = Client::ready().await;
        let (answered, _, text) = client.post(&[headers], &body).await;
        assert_eq!(answered, status, "{body}: {text}");
        let complaints = client.server.violations();
        assert!(complaints.iter().any(|sentence| sentence.contains(complaint)), "{body}: {complaints:?}");
    }
    let client = Client::open().await;
    let (_, _, text) = client.post(&[], &list).await;
    assert!(text.contains("not initialized") && client.server.violations().len() == 1, "{text}");
}

#[actix_rt::test]
async fn a_list_has_pages_and_a_session_an_end() {
    let client = Client::ready().await;
    let (_, _, first) = client.post(&[], &request(2, "tools/list", json!({}))).await;
    let first: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(first["result"]["tools"][0]["name"], "find_lead");
    let cursor = json!({ "cursor": first["result"]["nextCursor"] });
    let (_, _, second) = client.post(&[], &request(3, "tools/list", cursor)).await;
    let second: Value = serde_json::from_str(&second).unwrap();
    assert_eq!(
        (&second["result"]["tools"][0]["name"], &second["result"]["nextCursor"]),
        (&json!("create_lead"), &Value::Null)
    );
    let (_, _, odd) = client.post(&[], &request(4, "tools/list", json!({ "cursor": "x" }))).await;
    assert!(odd.contains("Invalid cursor"), "{odd}");
    assert_eq!(client.server.violations(), Vec::<String>::new());
    for status in [204, 404] {
        assert_eq!(client.send(Method::DELETE, &[], String::new()).await.0, status);
    }
    assert_eq!(client.post(&[], &request(5, "tools/list", json!({}))).await.0, 404);
    assert_eq!(client.send(Method::GET, &[], String::new()).await.0, 405);
}

#[actix_rt::test]
async fn a_repeated_key_changes_nothing_and_one_that_is_not_the_headers_is_complained_of() {
    let client = Client::ready().await;
    let call = |id: u64, key: &str| {
        let arguments = json!({ "name": "A", "phone": "+911" });
        request(
            id,
            "tools/call",
            json!({ "name": "create_lead", "arguments": arguments, "_meta": { "caly/idempotencyKey": key, "caly/callId": "c" } }),
        )
    };
    let (_, _, first) = client.post(&[("idempotency-key", "k"), ("x-caly-call", "c")], &call(2, "k")).await;
    let (_, _, again) = client.post(&[("idempotency-key", "k"), ("x-caly-call", "c")], &call(3, "k")).await;
    assert_eq!(first.replace("\"id\":2", "\"id\":3"), again);
    assert_eq!((client.server.leads().len(), client.server.calls("create_lead")), (2, 2));
    assert_eq!(client.server.violations(), Vec::<String>::new());
    let (_, _, other) = client.post(&[("idempotency-key", "k"), ("x-caly-call", "c")], &call(4, "other")).await;
    assert!(other.contains("\"isError\":true") && client.server.violations().len() == 1, "{other}");
}
