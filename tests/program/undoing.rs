//! What was done in a call and is undone by an operator after it: by another tool of the client's own, and a call-back.

use std::sync::{Arc, Mutex};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web as actix};
use awc::http::Method;
use serde_json::{Value, json};

use crate::server::{SOON, Server, Settings};
use crate::web::{self, Answer, until};

/// Requests to a client's own service: their path, key and body.
type Requests = Arc<Mutex<Vec<(String, String, Value)>>>;

/// It orders things and takes orders back.
fn service() -> (String, Requests) {
    async fn answer(
        request: HttpRequest,
        body: actix::Json<Value>,
        kept: actix::Data<Mutex<Vec<(String, String, Value)>>>,
    ) -> HttpResponse {
        let key = request.headers().get("idempotency-key").unwrap().to_str().unwrap().to_owned();
        kept.lock().unwrap().push((request.path().to_owned(), key, body.into_inner()));
        HttpResponse::Ok().json(json!({ "reservation": "R-17" }))
    }
    let requests = Requests::default();
    let kept = Arc::clone(&requests);
    let server = HttpServer::new(move || {
        App::new().app_data(actix::Data::from(Arc::clone(&kept))).default_service(actix::post().to(answer))
    });
    let server = server.workers(1).disable_signals().bind(("127.0.0.1", 0)).unwrap();
    let address = server.addrs()[0].to_string();
    actix_rt::spawn(server.run());
    (address, requests)
}

fn agent(address: &str) -> Value {
    let order_id = json!({ "type": "object", "properties": { "order_id": { "type": "string" } } });
    let reservation =
        json!({ "type": "object", "properties": { "order_id": { "type": "string" }, "result": { "type": "object" } } });
    let tool = |name: &str, path: &str, schema: &Value| {
        json!({ "name": name, "description": "Keeps an order", "method": "POST", "writes": true,
        "confirm": false, "url": format!("http://{address}/{path}"), "schema": schema })
    };
    let mut keeps = tool("order_status", "orders", &order_id);
    keeps["undo"] = json!({ "tool": "give_back" });
    json!({ "instructions": "Be brief.", "greeting": "Namaste", "language": "hi-Latn",
        "http_tools": [keeps, tool("give_back", "orders/{result.reservation}/end", &reservation)] })
}

async fn undo(server: &Server, action: &Value) -> Answer {
    server.ask(Method::POST, &format!("/api/v1/actions/{}/undo", action["id"].as_str().unwrap())).await
}

async fn done(server: &Server, id: &Value) -> Value {
    until("it is undone", SOON, || async {
        let row = server.api(&format!("/actions/{}", id.as_str().unwrap())).await;
        (row["state"] == "done").then_some(row)
    })
    .await
}

fn action(detail: &Value, name: &str) -> Value {
    let rows = detail["actions"].as_array().unwrap();
    rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{name} in {rows:?}")).clone()
}

#[actix_rt::test]
async fn what_a_tool_of_the_clients_own_did_is_undone_by_another_that_is_told_what_the_first_answered() {
    let (address, requests) = service();
    let server = Server::start(Settings::default().with("CALY__ACTIONS__TRUSTED_HOSTS", address.clone())).await;
    let key = format!("Bearer {}", server.admin_key().await);
    let headers = [("authorization", key.as_str()), ("content-type", "application/json")];
    let body = json!({ "client": "demo", "settings": agent(&address), "publish": true }).to_string();
    let published = web::request(Method::POST, &server.url("/api/v1/agents"), &headers, body).await;
    assert_eq!(published.status, 201, "{}", published.text());
    let report = server.place("order_status").await;
    let detail = server.ended_call(&report.call_sid).await;
    let kept = action(&detail, "order_status");
    assert_eq!((&kept["state"], &kept["undo"]["tool"]), (&json!("done"), &json!("give_back")), "{detail:#}");

    let answer = undo(&server, &kept).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let step = done(&server, &answer.json()["id"]).await;
    assert_eq!((&step["name"], &step["undoes"]), (&json!("give_back"), &kept["id"]));
    let again = undo(&server, &kept).await;
    assert_eq!((again.status, again.text().contains("undone already")), (409, true), "{}", again.text());

    let asked = requests.lock().unwrap().clone();
    let [(first, first_key, said), (second, second_key, told)] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((first.as_str(), second.as_str()), ("/orders", "/orders/R-17/end"));
    assert_ne!(first_key, second_key);
    let (said, told) = (&said["arguments"], &told["arguments"]);
    assert_eq!(told["order_id"], said["order_id"]);
    assert_eq!(told["result"], json!({ "reservation": "R-17" }));
}

#[actix_rt::test]
async fn a_call_back_is_withdrawn_unless_somebody_has_rung_back() {
    let server = Server::start(Settings::default()).await;
    for rung in [false, true] {
        let report = server.place("callback").await;
        assert!(report.ok, "{report:#?}");
        let detail = server.ended_call(&report.call_sid).await;
        let wished = action(&detail, "request_callback");
        if rung {
            let key = format!("Bearer {}", server.admin_key().await);
            let headers = [("authorization", key.as_str()), ("content-type", "application/json")];
            let path = format!("/api/v1/callbacks/{}/done", wished["id"].as_str().unwrap());
            assert_eq!(web::request(Method::POST, &server.url(&path), &headers, "{}").await.status, 200);
        }
        let answer = undo(&server, &wished).await;
        if rung {
            assert_eq!((answer.status, answer.text().contains("rung back already")), (409, true), "{}", answer.text());
        } else {
            assert_eq!(answer.status, 202, "{}", answer.text());
            done(&server, &answer.json()["id"]).await;
            assert!(!server.api("/callbacks").await["items"].to_string().contains(wished["id"].as_str().unwrap()));
        }
    }
}
