//! A shop's webhooks: something of it was changed, so what Caly remembers of it counts no more.
//!
//! The signature covers the raw body, which is read within bounds for it and not looked at before it fits. A rejection is
//! the same 401 for every reason, counted and audited. Nothing here waits for anything but the body.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _, web};
use caly_actors::domain::ClientId;
use serde_json::json;

use super::App;
use super::client_address::client_address;
use super::problem::Problem;
use super::webhooks::{read_body, rejected};
use crate::directory::Client;
use crate::store::AuditEntry;
use crate::store::recorder::Write;
use crate::tokens::base64_signature_matches;

/// Largest body: an order of a few hundred lines.
const BODY_BYTES_MAX: usize = 512 * 1024;
/// Webhooks remembered, so that a repeated one is known; the oldest are forgotten first.
const SEEN_MAX: usize = 10_000;
/// Longest id of one.
const ID_MAX: usize = 100;

/// What was changed in a shop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShopNews {
    /// An order, its parcels, its refunds, or whose it is.
    Orders,
    /// What is sold, or how much of it is there.
    Products,
}

/// What the door remembers, and whom it tells.
pub struct ShopDoor {
    tell: Box<dyn Fn(ClientId, ShopNews) + Send + Sync>,
    seen: Mutex<Seen>,
}

impl ShopDoor {
    /// Tells of each piece of news once; what is told must not wait.
    pub fn new(tell: impl Fn(ClientId, ShopNews) + Send + Sync + 'static) -> Self {
        Self { tell: Box::new(tell), seen: Mutex::default() }
    }
}

#[derive(Default)]
struct Seen {
    known: HashSet<(ClientId, String)>,
    order: VecDeque<(ClientId, String)>,
}

impl Seen {
    /// Whether this one was there before.
    fn again(&mut self, client: ClientId, id: &str) -> bool {
        let key = (client, id.chars().take(ID_MAX).collect::<String>());
        if !self.known.insert(key.clone()) {
            return true;
        }
        self.order.push_back(key);
        if self.order.len() > SEEN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        false
    }
}

/// The route.
pub fn configure(routes: &mut web::ServiceConfig) {
    let door = web::resource("/webhooks/shopify/{client}").route(web::post().to(told));
    routes.service(door.default_service(web::to(wrong_method)));
}

async fn wrong_method() -> HttpResponse {
    let mut answer = Problem::method_not_allowed().error_response();
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    answer
}

/// A header by its old name or by the one of newer deliveries.
fn header<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    let value = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    value(&format!("x-shopify-{name}")).or_else(|| value(&format!("shopify-{name}")))
}

async fn told(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Problem> {
    let app = request.app_data::<web::Data<App>>().cloned().ok_or_else(Problem::unavailable)?;
    let snapshot = app.directory.get().ok_or_else(|| Problem::unavailable().detail("starting").retry_after(2))?;
    let slug = request.match_info().get("client").unwrap_or_default().to_owned();
    let address = client_address(&request, &app.config.server.trusted_proxies);
    let client = snapshot.client(&slug).cloned();
    let secret = client.as_deref().and_then(|client| secret_for(client, &request));
    let (Some(client), Some(secret), Some(signature)) = (&client, secret, header(&request, "hmac-sha256")) else {
        return Err(rejected(&app, client.as_deref(), &slug, address));
    };
    // Counted apart from those that calls need: anybody can send here until the signature is checked.
    if let Err(wait) = app.limits.webhooks.check(&format!("shop:{}", client.slug).into()) {
        return Err(Problem::too_many().retry_after(wait.seconds()));
    }
    let body = read_body(payload, app.config.server.body_deadline, BODY_BYTES_MAX).await?;
    if !base64_signature_matches(secret.as_bytes(), &body, signature) {
        return Err(rejected(&app, Some(client), &slug, address));
    }
    let outcome = take(&app, client, header(&request, "topic").unwrap_or_default(), header(&request, "webhook-id"));
    metrics::counter!("caly_shop_webhooks_total", "outcome" => outcome).increment(1);
    Ok(HttpResponse::Ok().json(json!({ "ok": true })))
}

/// The key that this webhook must be signed with, if it is of this client's shop.
fn secret_for<'a>(client: &'a Client, request: &HttpRequest) -> Option<&'a String> {
    let (domain, _) = client.shop()?;
    let same = header(request, "shop-domain").is_some_and(|told| told.trim().eq_ignore_ascii_case(domain));
    client.secrets.shop_webhook_secret.as_ref().filter(|_| same)
}

fn take(app: &App, client: &Arc<Client>, topic: &str, id: Option<&str>) -> &'static str {
    let mut seen = app.shop.seen.lock().unwrap_or_else(PoisonError::into_inner);
    if id.is_some_and(|id| seen.again(client.id, id)) {
        return "repeated";
    }
    drop(seen);
    if topic == "app/uninstalled" {
        tracing::error!(client = %client.slug, "the app was removed from the shop: its token works no more");
        let entry = AuditEntry::new("webhook", "shop_app_removed", "ok").of(client.id);
        app.recorder.submit(Write::Audit(entry));
    }
    let Some(news) = news_of(topic) else { return "ignored" };
    (app.shop.tell)(client.id, news);
    "taken"
}

/// What a topic such as `orders/updated` is about.
fn news_of(topic: &str) -> Option<ShopNews> {
    match topic.split('/').next().unwrap_or_default() {
        "orders" | "fulfillments" | "fulfillment_events" | "fulfillment_orders" | "refunds" | "returns"
        | "customers" | "draft_orders" | "order_transactions" => Some(ShopNews::Orders),
        "products" | "inventory_levels" | "inventory_items" | "variants" => Some(ShopNews::Products),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_known_again_until_it_is_forgotten() {
        let (mut seen, client) = (Seen::default(), ClientId::new());
        assert!(!seen.again(client, "a") && seen.again(client, "a"));
        assert!(!seen.again(ClientId::new(), "a"), "another client's is another");
        for id in 0..SEEN_MAX {
            assert!(!seen.again(client, &id.to_string()));
        }
        assert!(!seen.again(client, "a"), "the oldest was forgotten");
        assert_eq!((seen.known.len(), seen.order.len()), (SEEN_MAX, SEEN_MAX));
    }

    #[test]
    fn a_topic_tells_what_was_changed() {
        for (topic, news) in [
            ("orders/updated", Some(ShopNews::Orders)),
            ("fulfillments/update", Some(ShopNews::Orders)),
            ("refunds/create", Some(ShopNews::Orders)),
            ("products/update", Some(ShopNews::Products)),
            ("inventory_levels/update", Some(ShopNews::Products)),
            ("app/uninstalled", None),
            ("", None),
            ("themes/update", None),
        ] {
            assert_eq!(news_of(topic), news, "{topic}");
        }
    }
}
