//! Those whose time is over are forgotten for good. From that moment nobody is told of them in any case; this only takes
//! their rows away, a bounded number at a time.

use std::time::Duration;

use actix_web::web;
use caly_actors::domain::ClientId;
use chrono::{DateTime, Utc};

use super::customers::since;
use crate::http::App;
use crate::store::Swept;

/// Between two sweeps: how late a shorter `remember_days` is seen in the admin API.
const EVERY: Duration = Duration::from_secs(60);
/// Rounds of one sweep, with a pause between them; what is left waits for the next.
const ROUNDS_MAX: usize = 40;
const PAUSE: Duration = Duration::from_millis(250);

/// Sweeps for ever.
pub(super) async fn sweep_for_ever(app: web::Data<App>) {
    loop {
        tokio::time::sleep(EVERY).await;
        for _ in 0..ROUNDS_MAX {
            match app.store.sweep_customers(Utc::now(), &limits(&app)).await {
                Ok(swept) if swept == Swept::default() => break,
                Ok(swept) => count(swept),
                Err(error) => {
                    tracing::debug!(%error, "customers whose time is over stay until the next sweep");
                    break;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// What clients keep for a shorter time now than when it was written is over sooner.
fn limits(app: &App) -> Vec<(ClientId, DateTime<Utc>)> {
    let now = Utc::now();
    let snapshot = app.directory.get();
    let clients = snapshot.iter().flat_map(|snapshot| snapshot.clients());
    let limit = |keep| since(now, keep);
    clients.filter_map(|client| Some((client.id, limit(client.agent.as_ref()?.remember_callers?)))).collect()
}

fn count(swept: Swept) {
    metrics::counter!("caly_customers_expired_total", "what" => "customer").increment(swept.customers);
    metrics::counter!("caly_customers_expired_total", "what" => "fact").increment(swept.facts);
    tracing::info!(customers = swept.customers, facts = swept.facts, "forgot what had been kept for its time");
}
