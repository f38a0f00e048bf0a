//! A caller has a lead created by a tool of the client's own MCP server: offered by name, read back, agreed to, done once.

use std::sync::Arc;
use std::time::Duration;

use awc::http::Method;
use caly::sim::engine::{After, EngineOptions, EngineServer, Rule, Say, Script, serve};
use caly::sim::mcp::{self, McpFaults, McpOptions, McpServer};
use serde_json::{Value, json};

use crate::server::{Database, SOON, Server, Settings};
use crate::web::{self, Answer, until};

const TOKEN: &str = "canary-of-the-crm-7391";

/// What is said of an order looks for a lead, what is said of opening hours creates one; a yes agrees to it.
async fn engine() -> EngineServer {
    let rule = |when: &str, tool: &str, arguments: Value| Rule {
        when: vec![when.to_owned()],
        say: None,
        tool: Some(tool.to_owned()),
        arguments: arguments.as_object().cloned().unwrap_or_default(),
        without_tool: None,
        fail: None,
    };
    let mut script = Script::built_in().unwrap();
    script.rules = vec![
        rule("order kahan", "crm_find_lead", json!({ "phone": "+919876543210" })),
        rule("dukaan", "crm_create_lead", json!({ "name": "Arjun Rao", "phone": "+919000000001" })),
        rule("haan ji", "crm_create_lead", json!({ "name": "Arjun Rao", "phone": "+919000000001" })),
    ];
    let after = |output_has: &[&str], say: &str| After {
        read_back: output_has.is_empty(),
        tool: Some("crm_create_lead".to_owned()),
        output_has: output_has.iter().map(|&word| word.to_owned()).collect(),
        say: Some(Say::One(say.to_owned())),
    };
    let told = vec![after(&["created", "unknown"], "goodbye_agent"), after(&[], "callback_ask")];
    script.afters = [told, script.afters].concat();
    serve(EngineOptions { script: Arc::new(script), ..EngineOptions::sandbox().unwrap() }).await.unwrap()
}

fn saying(clips: &[&str]) -> String {
    let said: String =
        clips.iter().map(|clip| format!("[[step]]\nsay = \"{clip}\"\n[[step]]\nhear = \"any\"\n")).collect();
    format!(
        "name = \"some\"\ntitle = \"Some questions\"\nexpect = \"caller_hung_up\"\n[[step]]\nhear = \"any\"\n{said}\
         [[step]]\nhang_up = true\n"
    )
}

fn settings(url: &str, headers: &Value) -> Value {
    let tools = json!({ "find_lead": { "writes": false }, "create_lead": { "writes": true, "repeatable": true, "deadline_s": 4 } });
    json!({ "instructions": "Be brief.", "greeting": "Namaste", "language": "hi-Latn", "tools": [],
        "mcp_servers": [{ "name": "crm", "url": url, "headers": headers, "tools": tools, "tell_caller": true }] })
}

async fn publish(server: &Server, settings: &Value) -> Answer {
    let key = format!("Bearer {}", server.admin_key().await);
    let headers = [("authorization", key.as_str()), ("content-type", "application/json")];
    let body = json!({ "client": "demo", "settings": settings, "publish": true }).to_string();
    web::request(Method::POST, &server.url("/api/v1/agents"), &headers, body).await
}

async fn call(server: &Server, clips: &[&str]) -> Value {
    let report = server.place(&saying(clips)).await;
    assert!(report.ok, "{report:#?}");
    server.ended_call(&report.call_sid).await
}

fn action<'a>(detail: &'a Value, name: &str) -> &'a Value {
    let rows = detail["actions"].as_array().unwrap();
    rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{name} in {detail:#}"))
}

async fn crm(stream: bool) -> McpServer {
    let token = Some(TOKEN.to_owned());
    mcp::serve(McpOptions { token, stream, page_size: 1, ..McpOptions::sandbox() }).await.unwrap()
}

async fn listed(server: &Server, times: f64) {
    until("the list is known", SOON, || async { (server.metric("caly_mcp_lists_total").await >= times).then_some(()) })
        .await;
}

async fn server_with(crm: &McpServer, engine: &EngineServer, database: Database) -> Server {
    let settings = Settings::on(database).with("CALY__ACTIONS__TRUSTED_HOSTS", crm.address.to_string());
    Server::start(settings.engine(engine.url.trim_end_matches("/realtime"))).await
}

async fn created_after_a_yes(database: Database, stream: bool) {
    let (crm, engine) = (crm(stream).await, engine().await);
    let server = server_with(&crm, &engine, database).await;
    let settings = settings(&crm.url, &json!({ "Authorization": format!("Bearer {TOKEN}") }));
    let made = publish(&server, &settings).await;
    assert_eq!(made.status, 201, "{}", made.text());
    listed(&server, 1.0).await;

    let detail = call(&server, &["order_where", "shop_hours", "yes"]).await;
    let found = action(&detail, "crm_find_lead");
    assert_eq!((&found["state"], &found["output"]["leads"][0]["city"]), (&json!("done"), &json!("Pune")), "{found}");
    let created = action(&detail, "crm_create_lead");
    assert_eq!((&created["state"], &created["output"]["created"]), (&json!("done"), &json!("L-2")), "{created}");
    assert_eq!((crm.calls("create_lead"), crm.leads().len()), (1, 2), "once, and after the yes");
    let caller = detail["call"]["caller"].as_str().unwrap().to_owned();
    assert_eq!(crm.callers(), vec![Some(caller.clone()); 2], "each call of a tool says who asks");
    assert!(!server.log().contains(&caller), "the number is in no log");

    // Without a yes nothing is created.
    let detail = call(&server, &["shop_hours"]).await;
    assert_eq!(action(&detail, "crm_create_lead")["state"], "withdrawn");
    assert_eq!(crm.calls("create_lead"), 1);

    // Shown to nobody, and kept when sent back as shown.
    let shown = made.json()["settings"].clone();
    assert_eq!(shown["mcp_servers"][0]["headers"], json!({ "Authorization": "***" }));
    let again = publish(&server, &shown).await;
    assert_eq!(again.status, 201, "{}", again.text());
    let detail = call(&server, &["order_where"]).await;
    assert_eq!(action(&detail, "crm_find_lead")["state"], "done", "{detail:#}");
    let mut elsewhere = shown.clone();
    elsewhere["mcp_servers"][0]["url"] = json!("https://elsewhere.example/mcp");
    let problem = publish(&server, &elsewhere).await.problem(422);
    assert!(problem.to_string().contains("write it out"), "{problem}");
    let shell = server.cli(&["client", "show", "demo"]).await;
    let everything = format!(
        "{}{}{}{}",
        server.api("/agents").await,
        server.api("/audit").await,
        String::from_utf8_lossy(&shell.stdout),
        server.log()
    );
    assert!(everything.contains("mcp_servers") && !everything.contains(TOKEN), "{everything}");
    assert_eq!(crm.violations(), Vec::<String>::new());
    assert_eq!(engine.violations(), Vec::<String>::new());
    server.nothing_left(Duration::from_secs(5)).await;
}

#[actix_rt::test]
async fn a_tool_of_an_mcp_server_is_carried_out_once_after_a_yes_on_sqlite() {
    created_after_a_yes(Database::Sqlite, true).await;
}

#[actix_rt::test]
async fn a_tool_of_an_mcp_server_is_carried_out_once_after_a_yes_on_postgres() {
    created_after_a_yes(Database::Postgres, false).await;
}

#[actix_rt::test]
async fn the_lost_answer_of_an_mcp_server_is_asked_for_by_its_key_and_a_server_that_is_away_costs_no_call() {
    let (crm, engine) = (crm(false).await, engine().await);
    let server = server_with(&crm, &engine, Database::Sqlite).await;
    let settings = settings(&crm.url, &json!({ "Authorization": format!("Bearer {TOKEN}") }));
    assert_eq!(publish(&server, &settings).await.status, 201);
    listed(&server, 1.0).await;
    // The simulated engine fails the check; the server of tools does not.
    let check: Value = serde_json::from_slice(&server.cli(&["check", "--json"]).await.stdout).unwrap();
    let of_crm = check["checks"].as_array().unwrap().iter().find(|check| check["name"] == "mcp demo/crm");
    assert_eq!(of_crm.map(|check| &check["state"]), Some(&json!("ok")), "{check:#}");

    crm.set_faults(McpFaults { drop_next: 1, ..McpFaults::default() });
    let detail = call(&server, &["shop_hours", "yes"]).await;
    let id = action(&detail, "crm_create_lead")["id"].as_str().unwrap().to_owned();
    let known = until("it is known what became of it", SOON, || async {
        let row = server.api(&format!("/actions/{id}")).await;
        (row["state"] == "done").then_some(row)
    })
    .await;
    assert_eq!(known["output"]["created"], "L-2", "{known}");
    assert_eq!((crm.calls("create_lead"), crm.leads().len()), (2, 2), "asked twice, done once");

    crm.stop().await;
    let detail = call(&server, &["order_where"]).await;
    assert_eq!(action(&detail, "crm_find_lead")["state"], "failed", "{detail:#}");
    assert_eq!(detail["call"]["end_reason"], "caller_hung_up");
    assert_eq!(crm.violations(), Vec::<String>::new());
}
