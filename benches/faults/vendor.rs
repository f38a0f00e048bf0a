//! Other systems that cancel orders and answer badly: too late, with an error before they have done anything, or not at all
//! once they have. One is a client's own, which does nothing twice for one key; the other is the simulated Shopify shop, which
//! knows no keys.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use anyhow::{Context as _, Result, anyhow};
use caly::sim::shopify::{Faults, Lose, Seed, ShopOptions, ShopServer, serve};
use serde_json::{Value, json};

/// How often each order was cancelled.
pub type Ledger = HashMap<usize, usize>;
/// Ids of the simulated shop's orders are their numbers and this.
const ORDER_IDS: usize = 5_000_000;
/// The shop.
const DOMAIN: &str = "campaign.myshopify.com";
const TOKEN: &str = "shpat_campaign0123456789";

#[derive(Default)]
pub struct Kept {
    ledger: Mutex<HashMap<usize, HashMap<String, usize>>>,
    requests: AtomicU64,
    lost: AtomicU64,
    refused: AtomicU64,
}

/// Runs until the process ends.
pub enum Vendor {
    /// The client's own, at an address.
    Own(String, Arc<Kept>),
    /// Its shop at Shopify.
    Shop(Rc<ShopServer>),
}

impl Vendor {
    pub fn own() -> Result<Self> {
        let kept = Arc::new(Kept::default());
        let shared = Arc::clone(&kept);
        let server = HttpServer::new(move || {
            App::new().app_data(web::Data::from(Arc::clone(&shared))).route("/cancel", web::post().to(cancel))
        });
        let server = server.workers(1).disable_signals().bind(("127.0.0.1", 0))?;
        let address = server.addrs().first().context("no address")?.to_string();
        actix_rt::spawn(server.run());
        Ok(Self::Own(address, kept))
    }

    /// A shop with an order for each number, each of a caller of its own.
    pub async fn shop(orders: std::ops::Range<usize>, phone: impl Fn(usize) -> String) -> Result<Self> {
        let mut seed = format!(
            "name = \"Campaign\"\ndomain = \"{DOMAIN}\"\nemail = \"a@b.example\"\nlocation = \"Jaipur\"\n\
             [[product]]\ntitle = \"Mug\"\nkind = \"Home\"\nvariant = [{{ sku = \"MUG\", price = \"349.00\", stock = 100000 }}]\n"
        );
        for order in orders.clone() {
            let phone = phone(order);
            seed.push_str(&format!("[[customer]]\nkey = \"c{order}\"\nfirst_name = \"Asha\"\nphone = \"{phone}\"\n"));
        }
        for order in orders {
            seed.push_str(&format!(
                "[[order]]\nname = \"#{order}\"\nnumber = {order}\ndays_ago = 0.5\ncustomer = \"c{order}\"\n\
                 lines = [{{ sku = \"MUG\" }}]\npayment = \"paid\"\n"
            ));
        }
        let seed = Seed::parse(&seed).map_err(|problem| anyhow!("seed: {problem}"))?;
        let options = ShopOptions::sandbox().map_err(|problem| anyhow!(problem))?;
        // As large shops have it: a rate limit of its own is not what is tried here.
        let options =
            ShopOptions { token: TOKEN.to_owned(), seed, bucket: 20_000, restore_per_second: 1000, ..options };
        let shop = Rc::new(serve(options).await?);
        actix_rt::spawn(misbehave(Rc::clone(&shop)));
        Ok(Self::Shop(shop))
    }

    /// What the server must be told of it, and what the agent.
    pub fn settings(&self) -> (&'static str, String, Value) {
        match self {
            Self::Own(address, _) => {
                let schema = json!({ "type": "object", "properties": { "order_number": { "type": "string" } }, "required": ["order_number"] });
                let tool = json!({ "name": "cancel_order", "description": "Cancels an order", "method": "POST", "writes": true,
                    "url": format!("http://{address}/cancel"), "deadline_ms": 2500, "schema": schema });
                ("CALY__ACTIONS__TRUSTED_HOSTS", address.clone(), json!({ "http_tools": [tool] }))
            }
            Self::Shop(shop) => {
                let tools = json!({ "shop": {}, "tools": ["end_call", "order_status", "cancel_order"] });
                ("CALY__SHOPIFY__BASE_URL", shop.url.clone(), tools)
            }
        }
    }

    /// The command that connects a client to it, with what it reads; none is needed for a client's own.
    pub fn connect(&self, client: &str) -> Option<(Vec<String>, &'static str)> {
        let words = ["client", "shop", client, "--domain", DOMAIN].map(str::to_owned);
        matches!(self, Self::Shop(_)).then(|| (words.to_vec(), TOKEN))
    }

    pub fn ledger(&self) -> Ledger {
        match self {
            Self::Own(_, kept) => {
                let ledger = kept.ledger.lock().unwrap_or_else(PoisonError::into_inner);
                ledger.iter().map(|(order, keys)| (*order, keys.values().sum())).collect()
            }
            Self::Shop(shop) => {
                let state = shop.state();
                let counts = state["counts"]["orderCancel"].as_object().cloned().unwrap_or_default();
                let order = |id: &str| id.rsplit('/').next()?.parse::<usize>().ok()?.checked_sub(ORDER_IDS);
                counts.iter().filter_map(|(id, times)| Some((order(id)?, times.as_u64()? as usize))).collect()
            }
        }
    }

    /// What was asked of it, and how it answered.
    pub fn told(&self) -> String {
        match self {
            Self::Own(_, kept) => {
                let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
                let (requests, lost, refused) = (read(&kept.requests), read(&kept.lost), read(&kept.refused));
                format!("{requests} requests, {lost} answers lost, {refused} refused")
            }
            Self::Shop(shop) => {
                let state = shop.state();
                let attempts = state["attempts"]["orderCancel"].as_object().cloned().unwrap_or_default();
                let attempts: u64 = attempts.values().filter_map(Value::as_u64).sum();
                format!(
                    "{} requests, {attempts} cancellations asked for, {} throttled",
                    state["requests"], state["throttled"]
                )
            }
        }
    }
}

/// Loses answers, breaks connections, fails and throttles, again and again.
async fn misbehave(shop: Rc<ShopServer>) {
    for turn in 0_u32.. {
        let lose_how = [Lose::Hang, Lose::Cut, Lose::BadGateway][turn as usize % 3];
        let mut faults =
            Faults { lose_how, hang_ms: 20_000, delay_ms: u64::from(turn * 37 % 300), ..Faults::default() };
        match turn % 5 {
            0 | 1 => faults.lose_next = 1,
            2 => faults.throttle_next = 1,
            3 => faults.cut_next = 1,
            _ => faults.fail_next = 1,
        }
        shop.set_faults(faults);
        tokio::time::sleep(Duration::from_millis(900)).await;
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
