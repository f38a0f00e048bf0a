//! Clients' shops: who may open which, and whom their webhooks concern.

use std::sync::Arc;

use anyhow::Context as _;
use caly_actors::domain::CallFacts;
use url::Url;

use crate::actions::shopify::{About, Credentials, ShopOptions, Shopify};
use crate::config::Config;
use crate::directory::Directory;
use crate::http::shop_webhooks::{ShopDoor, ShopNews};
use crate::outbound::Outbound;

/// All shops, opened with what is known of their clients at the moment of asking.
pub(super) fn open(config: &Config, outbound: Outbound, directory: Directory) -> anyhow::Result<Shopify> {
    let doors = move |facts: &CallFacts| {
        let snapshot = directory.get()?;
        let client = snapshot.client(&facts.client_slug).filter(|client| client.id == facts.client)?;
        let (domain, token) = client.shop()?;
        Some(Credentials { domain: domain.to_owned(), token: token.into() })
    };
    Ok(Shopify::new(outbound, options(config)?, Box::new(doors)))
}

/// How shops are asked.
///
/// # Errors
/// The address is none.
pub fn options(config: &Config) -> anyhow::Result<ShopOptions> {
    let shopify = &config.shopify;
    let base_url = shopify.base_url.as_deref().map(Url::parse).transpose().context("shopify.base_url")?;
    let (version, request_timeout) = (shopify.api_version.clone(), shopify.request_timeout);
    Ok(ShopOptions { base_url, version, request_timeout })
}

/// What a shop tells makes Caly forget what it remembers of it.
pub(super) fn door(shop: Arc<Shopify>) -> ShopDoor {
    ShopDoor::new(move |client, news| {
        let about = match news {
            ShopNews::Orders => About::Orders,
            ShopNews::Products => About::Products,
        };
        shop.changed(client, about);
    })
}
