//! Where a client's tool may not lead: every spelling of an address that is none of its business.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Mutex, PoisonError};

use caly_actors::domain::{
    Agent, AgentId, CallFacts, CallId, CallLimits, Carrier, CarrierCallId, ClientId, Direction, Party, PhoneNumber,
};
use caly_actors::ports::Step;

use super::*;
use crate::outbound::Outbound;

/// Spellings of loopback, private, link-local and metadata addresses, and of what carries one inside.
const TRICKY: &[&str] = &[
    // Plain.
    "127.0.0.1",
    "127.1.2.3",
    "127.255.255.254",
    "0.0.0.0",
    "10.0.0.1",
    "10.255.255.255",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "100.64.0.1",
    "100.100.100.200",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    // Decimal, octal, hexadecimal, short and mixed.
    "2130706433",
    "0x7f000001",
    "017700000001",
    "0x7f.1",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "0177.0.0.01",
    "127.1",
    "127.0.1",
    "0",
    "0.0",
    "00.00.00.00",
    "0x0",
    "2852039166",
    "0xa9fea9fe",
    "0xA9FEA9FE",
    "025177524776",
    "0xa9.0xfe.0xa9.0xfe",
    "169.254.43518",
    "169.16689662",
    "0251.0376.0251.0376",
    "3232235521",
    "0xc0a80001",
    "167772161",
    "0x0a000001",
    "012.0.0.1",
    "10.1",
    "172.1048577",
    "4294967295",
    // A dot at the end, percent escapes, full-width digits and dots, enclosed digits.
    "127.0.0.1.",
    "169.254.169.254.",
    "%31%32%37.0.0.1",
    "127%2e0%2e0%2e1",
    "１２７.０.０.１",
    "127。0。0。1",
    "１６９.２５４.１６９.２５４",
    "①②⑦.⓪.⓪.①",
    "①⑥⑨.②⑤④.①⑥⑨.②⑤④",
    "0ⅹ7f.1",
    "127．0．0．1",
    // IPv6, and IPv4 inside IPv6.
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:7f00:1]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[::ffff:10.0.0.1]",
    "[::ffff:192.168.0.1]",
    "[::127.0.0.1]",
    "[::7f00:1]",
    "[::169.254.169.254]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::7f00:1]",
    "[64:ff9b:1:ffff::a9fe:a9fe]",
    "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::]",
    "[2002:0a00:0001::1]",
    "[2001::1]",
    "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
    "[2001:10::1]",
    "[2001:20::1]",
    "[2001:db8::1]",
    "[3fff::1]",
    "[fe80::1]",
    "[fe80::a9fe:a9fe]",
    "[febf::1]",
    "[fec0::1]",
    "[fc00::1]",
    "[fd00::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "[ff0e::1]",
    "[100::1]",
    "[5f00::1]",
    "[4000::1]",
];

/// Names that the hosts file or the resolver turn into this machine, in spellings that hide it.
const NAMES: &[&str] =
    &["localhost", "LOCALHOST", "LocalHost", "localhost.", "ｌｏｃａｌｈｏｓｔ", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "%6c%6fcalhost"];

/// What cannot be the address of a tool at all.
const NO_URL: &[&str] = &[
    "http://shop.example/",
    "HTTP://shop.example/",
    "ftp://shop.example/",
    "file:///etc/passwd",
    "file://shop.example/x",
    "gopher://127.0.0.1:6379/_INFO",
    "data:text/plain,x",
    "javascript:alert(1)",
    "unix:/run/x.sock",
    "dict://127.0.0.1:11211/",
    "//shop.example/",
    "shop.example",
    "https://",
    "https://user@shop.example/",
    "https://user:pass@shop.example/",
    "https://shop.example@127.0.0.1/",
    "https://127.0.0.1#@shop.example/",
    "https://127.0.0.1\\@shop.example/",
    "https://[::1%25eth0]/",
    "https://[fe80::1%25lo]/",
    "https://[::1/",
    "https://::1/",
    "https://127.0.0.1:99999/",
    "https://1.2.3.4.5/",
    "https://256.256.256.256/",
    "https://0x100000000/",
    "https://shop example/",
    "https://shop\u{0}.example/",
    "https://{host}/",
    "https://shop.{host}/",
    "https://{user}@shop.example/",
];

pub(super) fn tools(trusted: &[&str]) -> HttpActions {
    let limits = caly_actors::domain::CallLimits::default();
    HttpActions::new(
        Outbound::new(None).unwrap(),
        Directory::new(limits),
        trusted.iter().map(|host| (*host).to_owned()).collect(),
    )
}

async fn refusal(tools: &HttpActions, template: &str) -> Option<ActionError> {
    match fill_url(template, &json!({"host": "127.0.0.1", "user": "a"})) {
        None => Some(ActionError::Refused("no url".to_owned())),
        Some(url) => tools.checked_address(&url).await.err(),
    }
}

#[actix_rt::test]
async fn no_spelling_of_an_inner_address_is_connected_to() {
    let tools = tools(&[]);
    for host in TRICKY {
        for url in [format!("https://{host}/x"), format!("https://{host}:8443/x?y=1")] {
            let refused = refusal(&tools, &url).await;
            assert!(matches!(refused, Some(ActionError::Refused(_))), "{url}: {refused:?}");
        }
    }
    for name in NAMES {
        // Some resolvers know fewer names of this machine than others; none may lead to it.
        assert!(refusal(&tools, &format!("https://{name}/x")).await.is_some(), "{name}");
    }
    for url in NO_URL {
        let refused = refusal(&tools, url).await;
        assert!(matches!(refused, Some(ActionError::Refused(_))), "{url}: {refused:?}");
    }
    assert!(2 * TRICKY.len() + NAMES.len() + NO_URL.len() >= 200);
}

#[actix_rt::test]
async fn public_addresses_and_those_the_operator_trusts_are_connected_to() {
    let tools = tools(&["127.0.0.1:9000", "[::1]:9000"]);
    for (url, address) in [
        ("https://8.8.8.8/x", "8.8.8.8:443"),
        ("https://[2606:4700::1111]:8443/x", "[2606:4700::1111]:8443"),
        ("https://134744072/", "8.8.8.8:443"),
        ("http://127.0.0.1:9000/x", "127.0.0.1:9000"),
        ("http://[::1]:9000/x", "[::1]:9000"),
    ] {
        let url = fill_url(url, &json!({})).unwrap();
        assert_eq!(tools.checked_address(&url).await.unwrap().to_string(), address, "{url}");
    }
    assert!(refusal(&tools, "http://127.0.0.1:9001/x").await.is_some(), "trust is for one port");
    assert!(refusal(&tools, "http://localhost:9000/x").await.is_some(), "trust is for one spelling");
}

#[test]
fn a_name_with_one_inner_address_among_public_ones_is_refused() {
    let all = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
    for mixed in [
        &["8.8.8.8:443", "10.0.0.1:443"][..],
        &["169.254.169.254:443", "8.8.8.8:443"],
        &["[2606:4700::1111]:443", "[::1]:443"],
        &["[64:ff9b::7f00:1]:443"],
    ] {
        assert!(matches!(pinned(&all(mixed), false), Err(ActionError::Refused(_))), "{mixed:?}");
    }
    assert_eq!(pinned(&all(&["8.8.8.8:443", "8.8.4.4:443"]), false).unwrap().to_string(), "8.8.8.8:443");
    assert!(matches!(pinned(&[], false), Err(ActionError::Unavailable(_))));
}

#[test]
fn an_argument_takes_no_step_in_the_path() {
    let url = "https://shop.example/orders/{id}/cancel";
    for (id, path) in [
        ("..", None),
        (".", None),
        ("../..", Some("/orders/..%2F../cancel")),
        ("%2e%2e", Some("/orders/%252e%252e/cancel")),
        ("1042", Some("/orders/1042/cancel")),
    ] {
        let filled = fill_url(url, &json!({ "id": id }));
        assert_eq!(filled.as_ref().map(url::Url::path), path, "{id}");
    }
}

/// A request as an endpoint of the client's own saw it.
struct Seen {
    method: String,
    place: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// An endpoint that writes down what it is asked, and where it listens.
fn endpoint() -> (Arc<Mutex<Vec<Seen>>>, String) {
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let kept = Arc::clone(&seen);
    let app = move || {
        let kept = Arc::clone(&kept);
        let note = move |request: actix_web::HttpRequest, body: String| {
            let text = |value: &actix_web::http::header::HeaderValue| value.to_str().unwrap_or_default().to_owned();
            let headers = request.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
            let (method, place) = (request.method().to_string(), request.uri().to_string());
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(Seen { method, place, headers, body });
            std::future::ready(actix_web::HttpResponse::Ok().body("{}"))
        };
        actix_web::App::new().default_service(actix_web::web::to(note))
    };
    let server = actix_web::HttpServer::new(app).workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
    let address = server.addrs()[0].to_string();
    actix_rt::spawn(server.run());
    (seen, address)
}

pub(super) fn asked(caller: Party) -> ActionRequest {
    let settings = json!({});
    let agent: Agent = crate::agents::read(AgentId::new(), 1, "shop", &settings, &CallLimits::default()).unwrap();
    let facts = CallFacts {
        call: CallId::new(),
        client: ClientId::new(),
        client_slug: "shop".into(),
        agent: Arc::new(agent),
        carrier: Carrier::Exotel,
        carrier_call_id: CarrierCallId::parse("c1").unwrap(),
        caller,
        called: Party::Number(PhoneNumber::parse("+918047112233").unwrap()),
        direction: Direction::Inbound,
        admitted_at: SystemTime::now(),
    };
    ActionRequest {
        facts: Arc::new(facts),
        name: "order".into(),
        arguments: Arc::new(json!({ "id": "7" })),
        idempotency_key: "key 1".into(),
        step: Step::Do,
        attempt: 1,
    }
}

#[actix_rt::test]
async fn each_request_says_who_asks_and_both_signatures_can_be_checked() {
    let (seen, address) = endpoint();
    let tools = tools(&[&address]);
    let meera = || Party::Number(PhoneNumber::parse("+919876543210").unwrap());
    for (method, tell, caller, header, told) in [
        ("GET", Some(true), meera(), Some("+919876543210"), json!("")),
        ("POST", Some(true), meera(), Some("+919876543210"), json!("+919876543210")),
        ("GET", Some(true), Party::Withheld, Some("withheld"), json!("")),
        ("POST", None, meera(), None, json!("+919876543210")),
        ("POST", Some(false), meera(), None, Value::Null),
        ("GET", None, meera(), None, json!("")),
    ] {
        let settings = json!({ "http_tools": [{ "name": "order", "description": "", "schema": {}, "method": method,
            "url": format!("http://{address}/orders/{{id}}?full=1"), "tell_caller": tell }] });
        let agent = crate::agents::read(AgentId::new(), 1, "shop", &settings, &CallLimits::default()).unwrap();
        let request = asked(caller);
        tools.send(&agent.http_tools[0], &request, "secret").await.unwrap();
        let one = seen.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap();
        assert_eq!((one.method.as_str(), one.place.as_str()), (method, "/orders/7?full=1"));
        assert_eq!(one.header("x-caly-caller"), header, "{method} {tell:?}");
        let call = request.facts.call.to_string();
        assert_eq!(one.header("x-caly-call"), Some(call.as_str()));
        if method == "POST" {
            assert_eq!(serde_json::from_str::<Value>(&one.body).unwrap()["caller"], told, "{tell:?}");
        }
        // As an endpoint checks it.
        let parts = one.header("x-caly-signature").unwrap().split(',').filter_map(|part| part.split_once('='));
        let parts: std::collections::HashMap<_, _> = parts.collect();
        let first = format!("{}.{method}.{}.{}", parts["t"], one.place, one.body);
        let lines = ["v2", parts["t"], method, &one.place, header.unwrap_or_default(), &call, "key 1", &one.body];
        for (version, text) in [("v1", first), ("v2", lines.join("\n"))] {
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"secret");
            let bytes: Vec<u8> =
                (0..64).step_by(2).map(|at| u8::from_str_radix(&parts[version][at..at + 2], 16).unwrap()).collect();
            assert!(ring::hmac::verify(&key, text.as_bytes(), &bytes).is_ok(), "{version} of {method} {tell:?}");
        }
    }
}

#[test]
fn the_number_that_rings_does_not_print() {
    assert_eq!(header(""), None);
    let told = header("+919876543210").unwrap();
    assert_eq!(told.to_str().ok(), Some("+919876543210"));
    assert!(!format!("{told:?}").contains("98765"), "{told:?}");
}

#[test]
fn what_undoes_an_action_is_told_its_arguments_and_its_answer() {
    let tool = |name: &str, undo: Value| json!({ "name": name, "description": "", "schema": {}, "url": "https://x", "undo": undo });
    let settings = json!({ "http_tools": [tool("book", json!({ "tool": "back" })), tool("back", Value::Null)] });
    let agent = crate::agents::read(AgentId::new(), 1, "shop", &settings, &CallLimits::default()).unwrap();
    let (book, back) = (agent.http_tools[0].clone(), agent.http_tools[1].clone());
    let mut request = asked(Party::Withheld);
    request.arguments = Arc::new(json!({ "id": "7", PLANNED: { "x": 1 } }));
    let expected = json!({ "id": "7", "result": { "booking": "B 1" } });
    let undo = |tool: &HttpTool, output: &str| undo(tool, &request, output);
    let told = Undo { tool: "back".into(), arguments: expected.clone() };
    assert_eq!(undo(&book, r#"{"booking":"B 1"}"#), Some(told));
    assert_eq!(undo(&back, "{}"), None);
    let url = fill_url("https://shop.example/bookings/{result.booking}/{id}", &expected).unwrap();
    assert_eq!(url.path(), "/bookings/B%201/7");
    let body = fill_json(&json!({ "one": "{result.booking}", "text": "of {result.booking}" }), &expected);
    assert_eq!(body, json!({ "one": "B 1", "text": "of B 1" }));
    // Read back is what the caller knows of.
    for (agent, read_back) in
        [(Arc::new(agent), json!({ "id": "7" })), (Arc::clone(&request.facts.agent), expected.clone())]
    {
        let mut request = ActionRequest { arguments: Arc::new(expected.clone()), ..request.clone() };
        Arc::make_mut(&mut request.facts).agent = agent;
        assert_eq!(*plan(&back, &request).output, read_back.to_string());
    }
}
