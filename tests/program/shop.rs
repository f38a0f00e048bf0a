//! A client's own shop: takes requests of actions, keeps a ledger by idempotency key, and can be told not to answer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::json;

use crate::server::{SOON, Server};
use crate::web::until;

#[derive(Default)]
pub struct Ledger {
    /// Requests by key.
    pub requests: Mutex<HashMap<String, u32>>,
    /// Things done: one a key, whatever is repeated.
    pub effects: Mutex<Vec<String>>,
    /// Take requests, do what they say, and never answer.
    pub mute: AtomicBool,
}

pub struct Shop {
    pub address: String,
    pub ledger: Arc<Ledger>,
}

impl Shop {
    pub fn open() -> Self {
        let ledger = Arc::new(Ledger::default());
        let kept = Arc::clone(&ledger);
        let server = HttpServer::new(move || {
            App::new().app_data(web::Data::from(Arc::clone(&kept))).route("/orders", web::post().to(order))
        });
        let server = server.workers(1).disable_signals().bind(("127.0.0.1", 0)).unwrap();
        let address = server.addrs()[0].to_string();
        actix_rt::spawn(server.run());
        Self { address, ledger }
    }

    /// Lets the demo client's agent cancel orders here.
    pub async fn serve(&self, server: &Server) {
        self.serve_within(server, 8_000).await;
    }

    /// The same with a deadline of the shop's answers.
    pub async fn serve_within(&self, server: &Server, deadline_ms: u64) {
        let settings = json!({
            "instructions": "Be brief.", "greeting": "Namaste", "language": "hi-Latn",
            "http_tools": [{ "name": "order_status", "description": "Cancels an order", "method": "POST", "writes": true, "confirm": false,
                "deadline_ms": deadline_ms,
                "url": format!("http://{}/orders", self.address),
                "schema": { "type": "object", "properties": { "order_id": { "type": "string" } } } }],
        });
        let file = server.directory.path().join("shop.json");
        std::fs::write(&file, settings.to_string()).unwrap();
        server.cli_json(&["client", "agent", "demo", file.to_str().unwrap(), "--json"]).await;
        server.signal("HUP");
        until("the agent is in use", SOON, || async { server.log().contains("read anew").then_some(()) }).await;
    }

    pub fn asked(&self) -> Vec<u32> {
        self.ledger.requests.lock().unwrap().values().copied().collect()
    }

    pub fn effects(&self) -> usize {
        self.ledger.effects.lock().unwrap().len()
    }
}

async fn order(request: HttpRequest, ledger: web::Data<Ledger>) -> HttpResponse {
    let key = request.headers().get("idempotency-key").unwrap().to_str().unwrap().to_owned();
    let first = {
        let mut requests = ledger.requests.lock().unwrap();
        let count = requests.entry(key.clone()).or_default();
        *count += 1;
        *count == 1
    };
    if first {
        ledger.effects.lock().unwrap().push(key);
    }
    if ledger.mute.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
    HttpResponse::Ok().json(json!({ "status": "shipped" }))
}
