//! Webhooks that must be refused: who may ask, what may be asked, and that every refusal is told the same way.

use awc::http::Method;
use caly::store::{Basic, NewClient, Store, StoreOptions};
use caly_actors::domain::{ClientId, PhoneNumber};
use serde_json::{Value, json};

use crate::line::sid;
use crate::server::{Hooks, SOON, Server, Settings};
use crate::web::{self, until, with};

const HOOKS: [&str; 6] = ["call-start", "passthru", "connect", "call-end", "status", "recording"];

/// A problem without what differs from request to request.
fn told(problem: &Value) -> (String, String, String) {
    (problem["type"].to_string(), problem["title"].to_string(), problem["detail"].to_string())
}

#[actix_rt::test]
async fn without_the_right_key_every_webhook_says_the_same_401() {
    let server = Server::start(Settings::default()).await;
    let fields = [("CallSid", "abc123"), ("CallFrom", "09876543210"), ("CallTo", "08047112233")];
    let mut bodies = Vec::new();
    for hook in HOOKS {
        let bare = server.url(&format!("/webhooks/exotel/demo/{hook}"));
        let unknown = with(&server.url(&format!("/webhooks/exotel/nobody/{hook}")), &[("key", &server.hooks.key)]);
        let cut = &server.hooks.key[..server.hooks.key.len() - 1];
        let longer = format!("{}x", server.hooks.key);
        for url in [
            bare.clone(),
            with(&bare, &[("key", "wrong")]),
            with(&bare, &[("key", "")]),
            with(&bare, &[("key", cut)]),
            with(&bare, &[("key", &longer)]),
            with(&bare, &[("token", &server.hooks.key)]),
            unknown,
        ] {
            for method in [Method::GET, Method::POST] {
                let answer = web::request(method, &with(&url, &fields), &[], "").await;
                bodies.push(told(&answer.problem(401)));
            }
        }
        let basic = [("authorization", "Basic ZGVtbzpkZW1v")];
        bodies.push(told(&web::request(Method::POST, &bare, &basic, "not looked at").await.problem(401)));
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert_eq!(server.calls().await.len(), 0, "nothing was stored");
    until("the refusals are audited", SOON, || async {
        let audit = server.api("/audit?limit=200").await;
        audit["items"].as_array().unwrap().iter().any(|row| row["action"] == "webhook_rejected").then_some(())
    })
    .await;
    assert!(server.metric("caly_webhooks_rejected_total").await >= 90.0);
}

#[actix_rt::test]
async fn a_bad_field_is_refused_by_its_name() {
    let server = Server::start(Settings::default()).await;
    let long = "x".repeat(5000);
    let (from, to) = (("CallFrom", "09876543210"), ("CallTo", "08047112233"));
    type Case<'a> = (&'a str, Vec<(&'a str, &'a str)>, &'a str);
    let cases: Vec<Case<'_>> = vec![
        ("call-start", vec![from, to], "CallSid"),
        ("call-start", vec![("CallSid", ""), from, to], "CallSid"),
        ("call-start", vec![("CallSid", "../../etc"), from, to], "CallSid"),
        ("call-start", vec![("CallSid", "a'; DROP TABLE calls"), from, to], "CallSid"),
        ("call-start", vec![("CallSid", &long), from, to], "CallSid"),
        ("call-start", vec![("CallSid", "a1"), to], "CallFrom"),
        ("call-start", vec![("CallSid", "a1"), from], "CallTo"),
        ("call-start", vec![("CallSid", "a1"), from, to, ("CustomField", &long)], "CustomField"),
        ("passthru", vec![from], "CallSid"),
        ("passthru", vec![("CallSid", "a1"), ("Stream", "{broken")], "Stream"),
        ("connect", vec![from], "CallSid"),
        ("call-end", vec![("Status", "completed")], "CallSid"),
        ("call-end", vec![("CallSid", "a1"), ("Status", "exploded")], "Status"),
        ("status", vec![("CallSid", "a1")], "Status"),
        ("status", vec![("CallSid", "a1"), ("Status", "exploded")], "Status"),
        ("recording", vec![("CallSid", "a1")], "RecordingUrl"),
        ("recording", vec![("RecordingUrl", "https://recordings.exotel.com/a.mp3")], "CallSid"),
    ];
    for (hook, fields, field) in cases {
        let by_get = web::get(&server.hook(hook, &fields)).await.problem(422);
        let by_post = web::post_form(&server.hook(hook, &[]), &fields).await.problem(422);
        for problem in [by_get, by_post] {
            assert_eq!(problem["field"], field, "{hook} {problem}");
            assert!(!problem.to_string().contains("DROP"), "values are not repeated: {problem}");
        }
    }
    assert_eq!(server.calls().await.len(), 0);
}

#[actix_rt::test]
async fn a_bad_request_is_refused_with_its_own_status() {
    let server = Server::start(Settings::default()).await;
    let post = |hook: &str, kind: &'static str, body: Vec<u8>| {
        let url = server.hook(hook, &[]);
        async move { web::request(Method::POST, &url, &[("content-type", kind)], body).await }
    };
    let form = "application/x-www-form-urlencoded";
    post("status", form, vec![b'a'; 64 * 1024 + 1]).await.problem(413);
    post("status", "application/json", vec![b'['; 12 << 10]).await.problem(400);
    post("status", "application/json", b"{\"CallSid\":".to_vec()).await.problem(400);
    post("status", form, b"CallSid=%zz".to_vec()).await.problem(400);
    for kind in ["text/plain", "application/xml", "application/x-www-form-urlencoded; charset=utf-16", ""] {
        post("status", kind, b"CallSid=a1&Status=completed".to_vec()).await.problem(415);
    }
    let fields = [("CallSid", "a1"), ("CallFrom", "09876543210"), ("CallTo", "08099999999")];
    let unknown = web::get(&server.hook("call-start", &fields)).await.problem(404);
    assert_eq!(unknown["field"], "CallTo");
    for hook in HOOKS {
        for method in [Method::PUT, Method::DELETE, Method::PATCH] {
            web::request(method, &server.hook(hook, &[]), &[], "").await.problem(405);
        }
    }
    web::get(&server.hook("nothing", &[])).await.problem(404);
    web::get(&server.url("/no/such/route")).await.problem(404);
    assert!(server.ask(Method::POST, "/api/v1/calls").await.problem(405)["title"].is_string());
    // A request id of the asker's own is kept when it is harmless, and never when it is not.
    let named = web::request(Method::GET, &server.url("/nowhere"), &[("x-request-id", "mine-1")], "").await;
    assert_eq!(named.header("x-request-id"), "mine-1");
    let odd = web::request(Method::GET, &server.url("/nowhere"), &[("x-request-id", "a b<c>")], "").await;
    assert!(!odd.header("x-request-id").contains('<'));
    assert_eq!(server.calls().await.len(), 0);
    assert!(server.log().lines().all(|line| !line.contains("panicked")), "no handler panicked");
}

#[actix_rt::test]
async fn a_call_may_start_by_get_and_by_post() {
    let server = Server::start(Settings::default()).await;
    let (by_get, by_post) = (sid("get"), sid("post"));
    assert_eq!(server.call_start(&by_get).await.status, 200);
    let fields = [("CallSid", by_post.as_str()), ("CallFrom", "+91 98765 43210"), ("CallTo", "918047112233")];
    let answer = web::post_form(&server.hook("call-start", &[]), &fields).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.header("content-type").starts_with("application/json"));
    assert!(answer.json()["url"].as_str().unwrap().ends_with("?sample-rate=8000"));
    for sid in [by_get, by_post] {
        assert_eq!(server.call_end(&sid).await.status, 200);
        assert_eq!(server.ended_call(&sid).await["call"]["caller"], "+919876543210");
    }
}

#[actix_rt::test]
async fn a_disabled_client_is_refused_and_an_enabled_one_served() {
    let server = Server::start(Settings::default()).await;
    // A call that is admitted while we ask is ended at once, so that asking does not fill the client's places.
    let status_of_start = || async {
        let id = sid("off");
        let answer = server.call_start(&id).await;
        if answer.status == 200 {
            server.call_end(&id).await;
        }
        answer
    };
    assert_eq!(server.cli_json(&["client", "disable", "demo", "--json"]).await["disabled"], true);
    let refused = until("the client is refused", SOON, || async {
        Some(status_of_start().await).filter(|answer| answer.status == 403)
    })
    .await;
    refused.problem(403);
    assert_eq!(server.cli_json(&["client", "enable", "demo", "--json"]).await["disabled"], false);
    until("the client is served", SOON, || async { (status_of_start().await.status == 200).then_some(()) }).await;
}

#[actix_rt::test]
async fn a_client_is_answered_in_its_own_style_and_known_by_its_own_credentials() {
    let server = Server::start(Settings::default()).await;
    // Made through the store: the command line makes passwords of its own, and this test needs to know one.
    let options = StoreOptions { max_connections: 2, acquire_timeout: SOON, statement_timeout: SOON };
    let store = Store::connect(&server.database_url, options).await.unwrap();
    store.migrate().await.unwrap();
    let made = store
        .create_client(NewClient {
            answer_style: "exoml".to_owned(),
            basic: Some(Basic { user: "exotel".to_owned(), password: "a long password of ours".to_owned() }),
            signature_secret: Some("a key for signatures".into()),
            ..NewClient::named("styled", "A styled shop")
        })
        .await
        .unwrap();
    let client = ClientId(made.client.id);
    store.add_number(client, &PhoneNumber::parse("+918047112299").unwrap(), None).await.unwrap();
    store.publish_agent(client, "Asha", json!({"instructions": "Be brief."})).await.unwrap();
    store.close().await;
    let hooks = Hooks { slug: "styled".to_owned(), key: made.webhook_secret.clone(), called: "08047112299".to_owned() };
    let fields = |sid: &str| {
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("CallSid", sid), ("CallFrom", "09876543210"), ("CallTo", "08047112299")])
            .finish()
    };
    let by_key = until("the server knows the client", SOON, || async {
        let answer = web::get(&format!("{}&{}", server.hook_of(&hooks, "call-start", &[]), fields(&sid("xml")))).await;
        (answer.status != 401).then_some(answer)
    })
    .await;
    assert_eq!((by_key.status, by_key.header("content-type")), (200, "application/xml"));
    let text = by_key.text();
    assert!(text.starts_with("<?xml") && text.contains("<Stream url=\"ws://127.0.0.1:"), "{text}");

    let bare = server.url("/webhooks/exotel/styled/call-start");
    let encode = |pair: &str| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pair);
    let basic = format!("Basic {}", encode("exotel:a long password of ours"));
    let by_basic =
        web::request(Method::GET, &format!("{bare}?{}", fields(&sid("b"))), &[("authorization", &basic)], "").await;
    assert_eq!(by_basic.status, 200, "{}", by_basic.text());
    let wrong = format!("Basic {}", encode("exotel:a long password of yours"));
    web::request(Method::GET, &format!("{bare}?{}", fields(&sid("b"))), &[("authorization", &wrong)], "")
        .await
        .problem(401);

    let body = fields(&sid("s"));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"a key for signatures");
    let hex: String = ring::hmac::sign(&key, body.as_bytes()).as_ref().iter().map(|b| format!("{b:02x}")).collect();
    let kind = ("content-type", "application/x-www-form-urlencoded");
    let signed = web::request(Method::POST, &bare, &[kind, ("x-exotel-signature", &hex)], body.clone()).await;
    assert_eq!(signed.status, 200, "{}", signed.text());
    web::request(Method::POST, &bare, &[kind, ("x-exotel-signature", &hex)], format!("{body}&a=b")).await.problem(401);
    // Another client's key opens nothing here.
    let foreign = with(&bare, &[("key", &server.hooks.key)]);
    web::get(&format!("{foreign}&{}", fields(&sid("f")))).await.problem(401);
}
