//! A simulated Shopify shop: the Admin GraphQL API and its webhooks, strict about what clients send.
//!
//! Queries are parsed, checked against `schema.graphql` and run against a shop in memory; costs come out of a real
//! bucket, cancellations take their time, refunds want a key, and every mutation that took effect is counted. It
//! speaks the wire from its own JSON and knows nothing of any client.

mod cancel;
mod cost;
mod data;
mod document;
mod drafts;
mod execute;
mod faults;
mod goods;
mod mutations;
mod opening;
mod pages;
mod problem;
mod queries;
mod refunds;
mod render;
mod rest;
mod returns;
mod schema;
mod search;
mod seed;
mod server;
mod shipping;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]
mod tests;
mod validate;
mod values;
mod webhooks;
mod world;

use std::net::SocketAddr;
use std::time::Duration;

pub use faults::{Faults, Lose};
pub use seed::Seed;
pub use server::{ShopServer, serve};

/// What an app is usually granted for what a phone agent does. `read_all_orders` is not among it.
const SCOPES: [&str; 10] = [
    "read_orders",
    "write_orders",
    "read_customers",
    "read_products",
    "read_inventory",
    "write_draft_orders",
    "read_fulfillments",
    "read_merchant_managed_fulfillment_orders",
    "read_returns",
    "write_returns",
];

/// How the shop behaves.
#[derive(Clone, Debug)]
pub struct ShopOptions {
    /// Where to listen; port 0 takes a free one.
    pub bind: SocketAddr,
    /// The only access token accepted.
    pub token: String,
    /// What the app was granted.
    pub scopes: Vec<String>,
    /// Whether the app may see names, phones, mail and street addresses.
    pub protected_data: bool,
    /// What the shop has.
    pub seed: Seed,
    /// Points in the bucket, and how many come back in a second.
    pub bucket: u32,
    /// See [`ShopOptions::bucket`].
    pub restore_per_second: u32,
    /// Told of changes; `None`: nobody is.
    pub webhook_url: Option<String>,
    /// What webhooks are signed with.
    pub webhook_secret: String,
    /// Before the first of eight retries; doubled each time.
    pub webhook_retry: Duration,
    /// What goes wrong.
    pub faults: Faults,
}

impl ShopOptions {
    /// The sample shop on a free port of this machine, in good health.
    ///
    /// # Errors
    /// When the sample shop cannot be read.
    pub fn sandbox() -> Result<Self, String> {
        Ok(Self {
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            token: "shpat_sandbox".to_owned(),
            scopes: SCOPES.map(str::to_owned).to_vec(),
            protected_data: true,
            seed: Seed::built_in()?,
            bucket: 2000,
            restore_per_second: 100,
            webhook_url: None,
            webhook_secret: "shpss_sandbox".to_owned(),
            webhook_retry: Duration::from_secs(1),
            faults: Faults::default(),
        })
    }
}
