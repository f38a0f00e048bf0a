//! The HTTP side of the simulated shop: Shopify's one path, doors of our own under `/sim`, and the handle.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use actix_web::dev::{Extensions, ServerHandle};
use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use chrono::Utc;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::cost::Bucket;
use super::data::{self, gid, time};
use super::execute::Grant;
use super::faults::Faults;
use super::schema::Schema;
use super::webhooks::{self, Hook};
use super::world::{Ask, Body, Ending, Reply, World};
use super::{ShopOptions, render, shipping};
use crate::sim::Complaints;

/// What the request handlers, the webhooks and the handle share.
pub(crate) struct Shared {
    pub(crate) options: ShopOptions,
    schema: Schema,
    grant: Grant,
    world: Mutex<World>,
    hooks: Option<mpsc::Sender<Hook>>,
    hook_number: AtomicU64,
    complaints: Complaints,
}

impl Shared {
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands the changes of the shop to the subscriber.
    fn tell(&self, world: &mut World) {
        let now = Utc::now();
        let changes: Vec<data::Change> = world.shop.changes.drain(..).collect();
        let Some(hooks) = &self.hooks else { return };
        for change in changes {
            let number = self.hook_number.fetch_add(1, Ordering::Relaxed);
            if hooks.try_send(Hook::new(&change, number, now)).is_err() {
                world.webhooks_dropped += 1;
            }
        }
    }

    fn respond(&self, ask: &Ask<'_>) -> Reply {
        let mut world = self.world();
        let access = (self.options.token.as_str(), &self.grant);
        let reply = world.respond(&self.schema, access, ask, (Utc::now(), Instant::now()));
        self.tell(&mut world);
        if let Some(complaint) = &reply.complaint {
            self.complaints.add(complaint.clone());
        }
        reply
    }

    fn state(&self) -> Value {
        let mut world = self.world();
        world.shop.settle(Utc::now());
        self.tell(&mut world);
        let shop = &world.shop;
        let orders: Vec<Value> = shop.orders.values().map(|order| render::order(shop, order)).collect();
        let refunds: Vec<Value> = shop
            .orders
            .values()
            .flat_map(|order| &order.refunds)
            .map(|refund| render::object(shop, &gid("Refund", refund.id)))
            .collect();
        let drafts: Vec<Value> = shop.drafts.keys().map(|id| render::object(shop, &gid("DraftOrder", *id))).collect();
        let effects: Vec<Value> = shop
            .effects
            .iter()
            .map(|one| json!({"mutation": one.mutation, "id": one.id, "at": time(one.at), "tags": one.tags}))
            .collect();
        json!({"orders": orders, "refunds": refunds, "draftOrders": drafts, "effects": effects,
            "counts": counted(&shop.counts), "attempts": counted(&shop.attempts), "requests": world.requests,
            "throttled": world.throttled, "webhooks": world.deliveries, "webhooksDropped": world.webhooks_dropped,
            "violations": self.complaints.list(), "faults": world.faults})
    }

    fn change_faults(&self, change: &Value) -> Result<Faults, String> {
        let mut world = self.world();
        world.faults = world.faults.changed(change)?;
        Ok(world.faults.clone())
    }

    fn ship(&self, order: &str, news: &shipping::News) -> Result<(), String> {
        let mut world = self.world();
        shipping::advance(&mut world.shop, order, news, Utc::now())?;
        self.tell(&mut world);
        Ok(())
    }
}

/// `{"orderCancel": {"gid://…": 1}}`
fn counted(counts: &std::collections::BTreeMap<(&'static str, String), u64>) -> Value {
    let mut told = json!({});
    for ((mutation, id), count) in counts {
        told[*mutation][id.as_str()] = json!(count);
    }
    told
}

/// A running shop; dropping the handle stops it.
pub struct ShopServer {
    /// `http://127.0.0.1:PORT`, to be used in place of `https://{shop}.myshopify.com`.
    pub url: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// The only access token that is accepted.
    pub token: String,
    /// What webhooks are signed with.
    pub webhook_secret: String,
    handle: ServerHandle,
    shared: Arc<Shared>,
}

impl Drop for ShopServer {
    fn drop(&mut self) {
        // The command is sent by the call; what it returns only tells when the workers are gone.
        drop(self.handle.stop(false));
    }
}

impl ShopServer {
    /// Stops listening; returns once the workers are gone.
    pub async fn stop(&self) {
        self.handle.stop(false).await;
    }

    /// Orders, refunds, drafts, effects and counters, as `GET /sim/state` tells them.
    #[must_use]
    pub fn state(&self) -> Value {
        self.shared.state()
    }

    /// How often a mutation took effect on the object with this global id (for something new, its own).
    #[must_use]
    pub fn effects(&self, mutation: &str, id: &str) -> u64 {
        let world = self.shared.world();
        world.shop.counts.iter().filter(|((name, of), _)| *name == mutation && of == id).map(|(_, n)| n).sum()
    }

    /// How often a mutation took effect in all.
    #[must_use]
    pub fn effects_of(&self, mutation: &str) -> u64 {
        let world = self.shared.world();
        world.shop.counts.iter().filter(|((name, _), _)| *name == mutation).map(|(_, n)| n).sum()
    }

    /// The order with this name, as GraphQL would give it, what is paged as plain lists.
    #[must_use]
    pub fn order(&self, name: &str) -> Option<Value> {
        let world = self.shared.world();
        let order = world.shop.orders.values().find(|order| order.name == name)?;
        Some(render::order(&world.shop, order))
    }

    /// The faults as they are now.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.shared.world().faults.clone()
    }

    /// Sets the faults.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.world().faults = faults;
    }

    /// Leaves so many points in the bucket.
    pub fn set_points(&self, points: u32) {
        self.shared.world().bucket.set_level(points, Instant::now());
    }

    /// News from the courier about an order: its newest parcel has this `FulfillmentEventStatus`. An order of which
    /// nothing was sent yet is sent as a whole.
    ///
    /// # Errors
    /// No such order or status.
    pub fn ship(&self, order: &str, status: &str, city: Option<&str>) -> Result<(), String> {
        let news = shipping::News { status: status.to_owned(), city: city.map(str::to_owned), message: None };
        self.shared.ship(order, &news)
    }

    /// Puts everything back as it was at the start, for samples that are played again. Complaints stay.
    pub fn reopen(&self) {
        // It fitted together when the shop was opened.
        if let Ok(shop) = self.shared.options.seed.open(Utc::now()) {
            self.shared.world().shop = shop;
        }
    }

    /// What clients did wrong, a sentence each; empty is good.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.shared.complaints.list()
    }
}

/// The socket under a request, to cut it.
struct Line(std::net::TcpStream);

fn keep_line(connection: &dyn std::any::Any, data: &mut Extensions) {
    use std::os::fd::AsFd as _;
    let socket = connection.downcast_ref::<actix_web::rt::net::TcpStream>();
    if let Some(copy) = socket.and_then(|socket| socket.as_fd().try_clone_to_owned().ok()) {
        data.insert(Line(std::net::TcpStream::from(copy)));
    }
}

/// Opens the shop; returns once it listens. Needs an actix system or a tokio `LocalSet` around it; the server runs on a
/// thread of its own.
///
/// # Errors
/// The address cannot be bound, or the seed does not fit together.
pub async fn serve(options: ShopOptions) -> io::Result<ShopServer> {
    let bad = |error: String| io::Error::new(io::ErrorKind::InvalidInput, error);
    let shop = options.seed.open(Utc::now()).map_err(bad)?;
    let bucket = Bucket::new(options.bucket, options.restore_per_second, Instant::now());
    let (hooks, queue) = mpsc::channel(webhooks::QUEUE);
    let shared = Arc::new(Shared {
        schema: Schema::built_in().map_err(bad)?,
        grant: Grant { scopes: options.scopes.clone(), protected_data: options.protected_data },
        world: Mutex::new(World::new(shop, options.faults.clone(), bucket)),
        hooks: options.webhook_url.as_ref().map(|_| hooks),
        hook_number: AtomicU64::new(1),
        complaints: Complaints::default(),
        options,
    });
    let state = shared.clone();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(state.clone()))
            .route("/admin/api/graphql.json", web::post().to(without_version))
            .route("/admin/api/{version}/graphql.json", web::post().to(graphql))
            .route("/sim/state", web::get().to(state_door))
            .route("/sim/faults", web::get().to(faults_door))
            .route("/sim/faults", web::post().to(change_faults_door))
            .route("/sim/faults", web::delete().to(reset_faults_door))
            .route("/sim/shipments", web::post().to(ship_door))
            .default_service(web::to(|| async {
                HttpResponse::NotFound().content_type("text/html").body("<h1>404</h1>")
            }))
    })
    .on_connect(keep_line)
    .workers(1)
    .shutdown_timeout(1)
    .disable_signals()
    .bind(shared.options.bind)?;
    let address = server.addrs().first().copied().unwrap_or(shared.options.bind);
    let running = server.run();
    let handle = running.handle();
    tokio::spawn(running);
    if let Some(url) = shared.options.webhook_url.clone() {
        webhooks::start(&shared, url, queue)?;
    }
    let (token, webhook_secret) = (shared.options.token.clone(), shared.options.webhook_secret.clone());
    Ok(ShopServer { url: format!("http://{address}"), address, token, webhook_secret, handle, shared })
}

type State = web::Data<Arc<Shared>>;

async fn without_version(request: HttpRequest, body: web::Bytes, state: State) -> HttpResponse {
    answer(&request, None, &body, &state).await
}

async fn graphql(request: HttpRequest, path: web::Path<String>, body: web::Bytes, state: State) -> HttpResponse {
    answer(&request, Some(&path), &body, &state).await
}

async fn answer(request: &HttpRequest, version: Option<&str>, body: &[u8], state: &Shared) -> HttpResponse {
    let request_id = uuid::Uuid::now_v7().to_string();
    let token = request.headers().get("x-shopify-access-token").and_then(|token| token.to_str().ok());
    let reply = state.respond(&Ask { version, token, body, request_id: &request_id });
    if !reply.delay.is_zero() {
        tokio::time::sleep(reply.delay).await;
    }
    if let Ending::Hang(how_long) = reply.ending {
        tokio::time::sleep(how_long).await;
    }
    if reply.ending != Ending::Answer
        && let Some(line) = request.conn_data::<Line>()
    {
        // Nothing that is written after this arrives.
        let _ = line.0.shutdown(std::net::Shutdown::Both);
    }
    let mut response = HttpResponse::build(StatusCode::from_u16(reply.status).unwrap_or(StatusCode::BAD_GATEWAY));
    response.insert_header(("x-request-id", request_id)).insert_header(("X-Shopify-API-Version", reply.version));
    if reply.status == 429 {
        response.insert_header(("retry-after", "2.0"));
    }
    match reply.body {
        Body::Json(body) => response.content_type("application/json; charset=utf-8").body(body.to_string()),
        Body::Html(page) => response.content_type("text/html; charset=utf-8").body(page),
    }
}

fn told(body: &Value) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(body.to_string())
}

fn refused(error: &str) -> HttpResponse {
    HttpResponse::BadRequest().content_type("application/json").body(json!({"error": error}).to_string())
}

/// What the shop has and what was done to it; not part of the vendor's interface, like all of `/sim`.
async fn state_door(state: State) -> HttpResponse {
    told(&state.state())
}

async fn faults_door(state: State) -> HttpResponse {
    told(&json!(state.world().faults))
}

async fn change_faults_door(body: web::Bytes, state: State) -> HttpResponse {
    let change = serde_json::from_slice::<Value>(&body).map_err(|error| error.to_string());
    match change.and_then(|change| state.change_faults(&change)) {
        Ok(faults) => told(&json!(faults)),
        Err(error) => refused(&error),
    }
}

async fn reset_faults_door(state: State) -> HttpResponse {
    state.world().faults = Faults::default();
    told(&json!(Faults::default()))
}

async fn ship_door(body: web::Bytes, state: State) -> HttpResponse {
    let news = serde_json::from_slice::<shipping::Notice>(&body).map_err(|error| error.to_string());
    match news.and_then(|notice| state.ship(&notice.order, &notice.news)) {
        Ok(()) => told(&json!({"ok": true})),
        Err(error) => refused(&error),
    }
}
