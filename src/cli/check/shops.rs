//! `caly check`, clients' shops: each is opened once with its token.

use futures_util::future::join_all;

use super::Finding;
use crate::actions::shopify::{Credentials, Fault, ShopOptions, Shopify};
use crate::outbound::Outbound;
use crate::store::rows::DirectoryClient;
use crate::store::{Store, is_shop_domain};

/// Shops tried; more are not, for none of them is needed to take calls.
const SHOPS_MAX: usize = 50;

/// Tries the shops of all clients.
pub async fn try_shops(store: Store, outbound: Outbound, options: ShopOptions) -> Finding {
    let clients = match store.load_directory().await {
        Ok(rows) => rows.clients,
        Err(error) => return Finding::Unused(format!("clients cannot be read: {error}")),
    };
    let with_shop: Vec<DirectoryClient> =
        clients.into_iter().filter(|client| client.client.shop_domain.is_some()).take(SHOPS_MAX).collect();
    if with_shop.is_empty() {
        return Finding::Unused("no client has a shop".to_owned());
    }
    let shopify = Shopify::new(outbound, options, Box::new(|_| None));
    let tried = join_all(with_shop.iter().map(|client| try_shop(&shopify, client))).await;
    let (mut works, mut broken) = (Vec::new(), Vec::new());
    for outcome in tried {
        match outcome {
            Ok(seen) => works.push(seen),
            Err(wrong) => broken.push(wrong),
        }
    }
    match broken.into_iter().reduce(|(seen, fix), (more, next)| (format!("{seen}; {more}"), format!("{fix}; {next}"))) {
        None => Finding::Works(works.join(", ")),
        Some((seen, fix)) => Finding::broken(seen, fix),
    }
}

/// What was seen; or what is wrong and what to do.
async fn try_shop(shopify: &Shopify, client: &DirectoryClient) -> Result<String, (String, String)> {
    let slug = &client.client.slug;
    let domain = client.client.shop_domain.clone().unwrap_or_default();
    let wrong = |seen: &str, fix: &str| (format!("{slug}: {domain}: {seen}"), fix.replace("SLUG", slug));
    let token = client.secrets.shop_token.clone().filter(|_| is_shop_domain(&domain));
    let Some(token) = token else {
        return Err(wrong("this is no shop", "connect it anew: caly client shop SLUG --domain D"));
    };
    let credentials = Credentials { domain: domain.clone(), token: token.into() };
    match shopify.try_shop(credentials).await {
        Ok((name, currency)) => Ok(format!("{slug}: {name} ({currency})")),
        Err(Fault::Denied(why)) => Err(wrong(why.seen(), why.fix())),
        Err(Fault::Away(why)) => Err(wrong(why, "check the network, and the domain")),
        Err(Fault::Lost | Fault::NotAccepted(_)) => Err(wrong("the shop did not answer", "try again later")),
    }
}
