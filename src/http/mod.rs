//! Everything that comes in over HTTP: webhooks, the media socket, health and the admin API.
//!
//! Owns status codes, routes and credentials. Decides nothing about a call and writes no SQL.

pub mod acting;
pub mod anteroom;
pub mod api;
pub mod body;
pub mod client_address;
pub mod connection;
pub mod cors;
pub mod guard;
pub mod health;
pub mod listen;
pub mod media;
#[cfg(feature = "planned-panics")]
mod planned;
pub mod problem;
mod reason;
pub mod returning;
pub mod shield;
pub mod shop_webhooks;
pub mod socket;
pub mod webhooks;

use std::sync::Arc;
use std::time::Instant;

use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use caly_actors::ports::{ActionRunner, Customers};
use caly_actors::supervisor::Calls;

use crate::carriers::exotel::webhook::RecordingHosts;
use crate::config::Config;
use crate::directory::Directory;
use crate::limits::RateLimits;
use crate::store::Store;
use crate::store::recorder::Recorder;
use crate::telemetry::Metrics;
use crate::tokens::Tokens;
use crate::watch::Watch;
use problem::Problem;

/// Everything a handler may need. One per process, shared by all workers.
pub struct App {
    /// What the operator set.
    pub config: Arc<Config>,
    /// When the process began to serve.
    pub started: Instant,
    /// The database; handlers bring their own deadline of a second.
    pub store: Store,
    /// Writes without waiting.
    pub recorder: Arc<Recorder>,
    /// Clients in memory.
    pub directory: Directory,
    /// Calls.
    pub calls: Arc<Calls>,
    /// Who rings.
    pub customers: Arc<dyn Customers>,
    /// Runs actions whose call is over.
    pub actions: Arc<dyn ActionRunner>,
    /// Signs the URLs Caly hands out.
    pub tokens: Tokens,
    /// Rates.
    pub limits: RateLimits,
    /// `/metrics`.
    pub metrics: Metrics,
    /// Where recordings may lie.
    pub recording_hosts: RecordingHosts,
    /// Calls of a former process that may come back.
    pub returning: returning::Returning,
    /// What was seen a moment ago, shared by all workers.
    pub lately: health::Lately,
    /// Threads and memory.
    pub watch: Arc<Watch>,
    /// What `/health` reports of rooms that this one does not know.
    pub alarms: health::Alarms,
    /// … and for what new calls are of no use here.
    pub hindrances: health::Alarms,
    /// What to do when the operator says that something was mended.
    pub mended: Box<dyn Fn() + Send + Sync>,
    /// Keys remembered and streams of events.
    pub api: api::State,
    /// Actions that are carried out or asked about outside their calls.
    pub in_hand: acting::InHand,
    /// What clients' shops tell.
    pub shop: shop_webhooks::ShopDoor,
}

/// All routes.
pub fn configure(routes: &mut web::ServiceConfig) {
    #[cfg(feature = "planned-panics")]
    routes.configure(planned::configure);
    routes
        .configure(health::configure)
        .configure(webhooks::configure)
        .configure(shop_webhooks::configure)
        .configure(media::configure)
        .configure(api::configure)
        .default_service(web::to(nothing_here));
}

async fn nothing_here(request: HttpRequest) -> HttpResponse {
    let path: String = request.path().chars().take(100).collect();
    Problem::not_found().detail(format!("no route {path}")).error_response()
}
