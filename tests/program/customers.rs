//! A caller tells something in one call, is known in the next, and asks to be forgotten.

use std::sync::Arc;

use awc::http::Method;
use caly::sim::engine::{After, EngineOptions, EngineServer, Rule, Say, Script, serve};
use serde_json::{Value, json};

use crate::server::{Database, SOON, Server, Settings};
use crate::web::{self, until};

/// A call in which some things are said and each is answered.
fn saying(clips: &[&str]) -> String {
    let said: String =
        clips.iter().map(|clip| format!("[[step]]\nsay = \"{clip}\"\n[[step]]\nhear = \"any\"\n")).collect();
    format!(
        "name = \"some\"\ntitle = \"Some questions\"\nexpect = \"caller_hung_up\"\n[[step]]\nhear = \"any\"\n{said}\
         [[step]]\nhang_up = true\n"
    )
}

/// What is said of opening hours tells the engine a name, what is said of an order asks what is known, a yes is the wish to
/// be forgotten, and agrees to it once it is read back.
async fn engine() -> EngineServer {
    let rule = |when: &str, tool: &str, arguments: Value| Rule {
        when: vec![when.to_owned()],
        say: None,
        tool: Some(tool.to_owned()),
        arguments: arguments.as_object().cloned().unwrap_or_default(),
        without_tool: None,
        fail: None,
    };
    let told = json!({"name": "Meera", "facts": {"preferred_stylist": "Asha"}});
    let mut script = Script::built_in().unwrap();
    script.rules = vec![
        rule("dukaan", "remember_about_caller", told),
        rule("order kahan", "what_is_known", json!({})),
        rule("haan ji", "forget_caller", json!({})),
    ];
    // Short words: whatever it says of a proposal is the read-back.
    let after = |output_has: &[&str], say: &str| After {
        read_back: output_has.is_empty(),
        tool: Some("forget_caller".to_owned()),
        output_has: output_has.iter().map(|&word| word.to_owned()).collect(),
        say: Some(Say::One(say.to_owned())),
    };
    script.afters = [vec![after(&["forgotten"], "goodbye_agent"), after(&[], "callback_ask")], script.afters].concat();
    serve(EngineOptions { script: Arc::new(script), ..EngineOptions::sandbox().unwrap() }).await.unwrap()
}

/// Another version of the demo client's agent, in use at once.
async fn publish(server: &Server, settings: &Value) {
    let key = format!("Bearer {}", server.admin_key().await);
    let headers = [("authorization", key.as_str()), ("content-type", "application/json")];
    let body = json!({"client": "demo", "settings": settings, "publish": true}).to_string();
    let answer = web::request(Method::POST, &server.url("/api/v1/agents"), &headers, body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

/// The record of a call in which some clips were said.
async fn call(server: &Server, clips: &[&str]) -> Value {
    let report = server.place(&saying(clips)).await;
    assert!(report.ok, "{report:#?}");
    server.ended_call(&report.call_sid).await
}

fn output(detail: &Value, tool: &str) -> Value {
    let rows = detail["actions"].as_array().unwrap();
    let row = rows.iter().find(|row| row["name"] == tool).unwrap_or_else(|| panic!("{tool} in {rows:?}"));
    assert_eq!(row["state"], "done", "{row}");
    row["output"].clone()
}

fn recognised(detail: &Value) -> Option<Value> {
    let events = detail["events"].as_array().unwrap();
    events.iter().find(|event| event["kind"] == "caller_recognised").map(|event| event["detail"].clone())
}

fn greeting(detail: &Value) -> &str {
    detail["turns"][0]["text"].as_str().unwrap()
}

async fn customers(server: &Server, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    until("the customers are as they should be", SOON, || async {
        let rows = server.api("/customers?number=%2B919876543210").await["items"].as_array().unwrap().clone();
        enough(&rows).then_some(rows)
    })
    .await
}

async fn known_in_the_next_call(database: Database) {
    let engine = engine().await;
    let settings = Settings::on(database).engine(engine.url.trim_end_matches("/realtime"));
    let server = Server::start(settings).await;
    let plain = json!({"instructions": "Be brief.", "greeting": "Namaste", "language": "hi-Latn"});
    let mut remembering = plain.clone();
    remembering["customers"] = json!({"remember_days": 30});
    remembering["greeting"] =
        json!("“Namaste {% if customer.known %}{{ customer.name }}, call {{ customer.calls }}{% else %}ji{% endif %}”");

    // Not asked to remember anybody, nothing is kept and nothing is offered.
    let before = call(&server, &["shop_hours"]).await;
    assert_eq!((&before["actions"], recognised(&before)), (&json!([]), None));
    assert_eq!(server.api("/customers").await["items"], json!([]));

    publish(&server, &remembering).await;
    let first = call(&server, &["shop_hours"]).await;
    assert_eq!(recognised(&first), None, "nobody knows them yet");
    assert_eq!(greeting(&first), "Namaste ji");
    assert_eq!(output(&first, "remember_about_caller")["facts"], json!(["preferred_stylist"]));
    let rows = customers(&server, |rows| rows.first().is_some_and(|row| row["calls"] == 1)).await;
    assert_eq!((&rows[0]["name"], &rows[0]["last_call_id"]), (&json!("Meera"), &first["call"]["id"]));

    let second = call(&server, &["order_where"]).await;
    assert_eq!(recognised(&second), Some(json!({"earlier_calls": 1, "facts": 1, "named": true})));
    assert_eq!(greeting(&second), "Namaste Meera, call 1");
    let known = output(&second, "what_is_known");
    assert_eq!((&known["name"], &known["earlier_calls"]), (&json!("Meera"), &json!(1)));
    assert_eq!(known["facts"], json!({"preferred_stylist": "Asha"}));
    let said = second["turns"].as_array().unwrap().iter().any(|turn| turn["text"].to_string().contains("Asha"));
    assert!(said, "{:#}", second["turns"]);
    let rows = customers(&server, |rows| rows[0]["calls"] == 2 && !rows[0]["language"].is_null()).await;
    assert_eq!(rows[0]["language"], "hi-Latn");

    // Words of the sandbox's own, which its callers know the end of.
    remembering["greeting"] = plain["greeting"].clone();
    publish(&server, &remembering).await;
    let third = call(&server, &["yes", "yes"]).await;
    assert_eq!(recognised(&third).map(|event| event["earlier_calls"].clone()), Some(json!(2)));
    assert_eq!(output(&third, "forget_caller"), json!({"forgotten": true}));
    assert_eq!(server.api("/customers").await["items"], json!([]), "the end of the call does not bring them back");
    let fourth = call(&server, &["order_where"]).await;
    assert_eq!(recognised(&fourth), None);
    assert_eq!(output(&fourth, "what_is_known")["name"], Value::Null);
    customers(&server, |rows| rows.first().is_some_and(|row| row["calls"] == 1)).await;
    assert_eq!(engine.violations(), Vec::<String>::new());
    assert!(server.metric("caly_callers_looked_up_total").await >= 4.0);
}

#[actix_rt::test]
async fn a_caller_who_told_a_name_is_known_in_the_next_call_and_forgotten_when_they_ask_on_sqlite() {
    known_in_the_next_call(Database::Sqlite).await;
}

#[actix_rt::test]
async fn a_caller_who_told_a_name_is_known_in_the_next_call_and_forgotten_when_they_ask_on_postgres() {
    known_in_the_next_call(Database::Postgres).await;
}
