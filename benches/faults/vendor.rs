//! Another system that cancels orders: keeps a ledger by order and key, does nothing twice for one key, and answers badly:
//! too late, with an error before it has done anything, or not at all once it has.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// Effects by key, by order.
pub type Ledger = HashMap<usize, HashMap<String, u32>>;

#[derive(Default)]
struct Kept {
    ledger: Mutex<Ledger>,
    requests: AtomicU64,
    lost: AtomicU64,
    refused: AtomicU64,
}

/// Runs until the process ends.
pub struct Vendor {
    pub address: String,
    kept: Arc<Kept>,
}

/// What was asked, how many answers were lost after the deed, how many were refused before it.
#[derive(Debug)]
#[allow(dead_code, reason = "printed")]
pub struct Counts {
    requests: u64,
    lost: u64,
    refused: u64,
}

impl Vendor {
    pub fn open() -> Result<Self> {
        let kept = Arc::new(Kept::default());
        let shared = Arc::clone(&kept);
        let server = HttpServer::new(move || {
            App::new().app_data(web::Data::from(Arc::clone(&shared))).route("/cancel", web::post().to(cancel))
        });
        let server = server.workers(1).disable_signals().bind(("127.0.0.1", 0))?;
        let address = server.addrs().first().context("no address")?.to_string();
        actix_rt::spawn(server.run());
        Ok(Self { address, kept })
    }

    pub fn ledger(&self) -> Ledger {
        self.kept.ledger.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts { requests: read(&self.kept.requests), lost: read(&self.kept.lost), refused: read(&self.kept.refused) }
    }
}

async fn cancel(request: HttpRequest, body: web::Json<Value>, kept: web::Data<Kept>) -> HttpResponse {
    let key = request.headers().get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default().to_owned();
    let order = body["arguments"]["order_number"].as_str().and_then(|text| text.parse().ok()).unwrap_or_default();
    let number = kept.requests.fetch_add(1, Ordering::Relaxed);
    let bad = (number * 7 + number / 5) % 10;
    if bad == 0 {
        kept.refused.fetch_add(1, Ordering::Relaxed);
        return HttpResponse::ServiceUnavailable().json(json!({ "error": "try again" }));
    }
    tokio::time::sleep(Duration::from_millis(number * 37 % 600)).await;
    {
        let mut ledger = kept.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        // What is done once for a key is not done again.
        ledger.entry(order).or_default().entry(key).or_insert(1);
    }
    if bad <= 2 {
        kept.lost.fetch_add(1, Ordering::Relaxed);
        // Longer than anybody waits.
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    HttpResponse::Ok().json(json!({ "cancelled": true }))
}
