//! Tells a subscriber what changed: signed, at least once, in no promised order.
//!
//! Owns one thread, started with the shop and ended with it. The queue holds 256; what finds it full is dropped and
//! counted, as the real shop forgets what it could not deliver.

use std::sync::{Arc, Weak};
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;

use super::data::{Change, Time, time};
use super::faults::due;
use super::server::Shared;
use crate::sim::audio::base64_encode;

pub(crate) const QUEUE: usize = 256;
/// A subscriber that takes longer has not answered.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const RETRIES: u32 = 8;
/// How long the first of a pair waits for the second, when they are to come in the wrong order.
const PAIR_WITHIN: Duration = Duration::from_millis(500);

/// One delivery to be made.
#[derive(Clone, Debug)]
pub(crate) struct Hook {
    topic: &'static str,
    body: String,
    webhook_id: String,
    event_id: String,
    triggered_at: String,
}

impl Hook {
    pub(crate) fn new(change: &Change, number: u64, now: Time) -> Self {
        Self {
            topic: change.topic,
            body: change.body.to_string(),
            webhook_id: format!("00000000-51a0-4000-8000-{number:012x}"),
            event_id: format!("00000000-51a1-4000-8000-{:012x}", change.event),
            triggered_at: time(now),
        }
    }
}

/// base64 of HMAC-SHA256 over the bytes of the body.
pub(crate) fn signature(secret: &str, body: &[u8]) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    base64_encode(ring::hmac::sign(&key, body).as_ref())
}

/// Starts the thread that delivers.
///
/// # Errors
/// The machine gives no thread.
pub(crate) fn start(shared: &Arc<Shared>, url: String, queue: mpsc::Receiver<Hook>) -> std::io::Result<()> {
    let shared = Arc::downgrade(shared);
    let run = move || actix_rt::System::new().block_on(deliver_all(shared, url, queue));
    std::thread::Builder::new().name("sim-webhooks".to_owned()).spawn(run).map(drop)
}

async fn deliver_all(shared: Weak<Shared>, url: String, mut queue: mpsc::Receiver<Hook>) {
    let client = awc::Client::new();
    while let Some(hook) = queue.recv().await {
        let Some((swap, twice)) = shared.upgrade().map(|shared| {
            let faults = &shared.world().faults;
            (faults.webhook_out_of_order, faults.webhook_duplicates)
        }) else {
            return;
        };
        let mut batch = vec![hook];
        if swap && let Ok(Some(next)) = tokio::time::timeout(PAIR_WITHIN, queue.recv()).await {
            batch.insert(0, next);
        }
        for hook in batch {
            for _ in 0..if twice { 2 } else { 1 } {
                if !attempt(&shared, &client, &url, &hook, 0).await {
                    actix_rt::spawn(try_again(shared.clone(), client.clone(), url.clone(), hook.clone()));
                }
            }
        }
    }
}

/// Later and later; always the body and the address of the first time.
async fn try_again(shared: Weak<Shared>, client: awc::Client, url: String, hook: Hook) {
    for retry in 1..=RETRIES {
        let Some(base) = shared.upgrade().map(|shared| shared.options.webhook_retry) else { return };
        tokio::time::sleep(base.saturating_mul(1 << (retry - 1))).await;
        if attempt(&shared, &client, &url, &hook, retry).await {
            return;
        }
    }
}

/// Whether the subscriber took it, or there is nobody left to tell.
async fn attempt(shared: &Weak<Shared>, client: &awc::Client, url: &str, hook: &Hook, retry: u32) -> bool {
    let Some((domain, signature)) = shared.upgrade().map(|shared| {
        let secret = &shared.options.webhook_secret;
        let mut world = shared.world();
        let bad = due(&mut world.faults.webhook_bad_hmac_next);
        let secret = if bad { "some other secret" } else { secret };
        (world.shop.domain.clone(), signature(secret, hook.body.as_bytes()))
    }) else {
        return true;
    };
    let request = client
        .post(url)
        .timeout(ANSWER_WITHIN)
        .insert_header(("content-type", "application/json"))
        .insert_header(("user-agent", "Shopify-Captain-Hook"))
        .insert_header(("X-Shopify-Topic", hook.topic))
        .insert_header(("X-Shopify-Hmac-Sha256", signature))
        .insert_header(("X-Shopify-Shop-Domain", domain))
        .insert_header(("X-Shopify-API-Version", "2026-10"))
        .insert_header(("X-Shopify-Webhook-Id", hook.webhook_id.clone()))
        .insert_header(("X-Shopify-Event-Id", hook.event_id.clone()))
        .insert_header(("X-Shopify-Triggered-At", hook.triggered_at.clone()));
    let outcome = request.send_body(hook.body.clone()).await;
    let status = outcome.as_ref().ok().map(|answer| answer.status().as_u16());
    if let Some(shared) = shared.upgrade() {
        shared.world().delivered(json!({"topic": hook.topic, "webhook_id": hook.webhook_id,
            "event_id": hook.event_id, "retry": retry, "status": status}));
    }
    status.is_some_and(|status| (200..300).contains(&status))
}
