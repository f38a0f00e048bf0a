//! How long the callers of `caly call` waited for their answers, step by step, as the sandbox's own record has it.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use caly_actors::domain::{CallId, Carrier, CarrierCallId};

use super::call::percentile;
use super::output::say;
use crate::config::Config;
use crate::sim::carrier::CallReport;
use crate::store::Store;
use crate::store::rows::{TurnLatency, TurnRow};

/// Longest wait for the last call to be on record: the recorder writes in batches.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A step's name and where it stands in the record.
type Step = (&'static str, fn(&TurnLatency) -> Option<i64>);

const STEPS: [Step; 5] = [
    ("end of speech to commit", |turn| turn.commit_ms),
    ("to first audio", |turn| turn.first_audio_ms),
    ("to first frame sent", |turn| turn.sent_ms),
    ("to first frame heard", |turn| turn.heard_ms),
    ("in all", |turn| turn.total_ms),
];

/// Prints the steps of all answers of these calls, which the server with this configuration has taken.
///
/// # Errors
/// Its database cannot be read; the text says what to do.
pub async fn print(config: &Config, reports: &[CallReport]) -> anyhow::Result<()> {
    let store = super::open_store(config).await?;
    let begun = Instant::now();
    let mut turns = Vec::new();
    for report in reports {
        turns.extend(turns_of(&store, report, begun).await.context("the steps of answers are not on record")?);
    }
    say!("{:<30}{:>8}{:>10}{:>10}{:>10}", "waits as on record", "n", "p50", "p95", "max");
    for (name, of) in STEPS {
        let mut waits: Vec<Duration> = turns.iter().filter_map(|turn| duration(of(&turn.latency))).collect();
        waits.sort_unstable();
        let ms = |wait: Option<Duration>| wait.map_or(String::new(), |wait| wait.as_millis().to_string());
        let (p50, p95) = (percentile(&waits, 0.5), percentile(&waits, 0.95));
        say!("{name:<30}{:>8}{:>10}{:>10}{:>10}", waits.len(), ms(p50), ms(p95), ms(waits.last().copied()));
    }
    Ok(())
}

fn duration(ms: Option<i64>) -> Option<Duration> {
    ms.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis)
}

/// The turns of a call once it is on record as ended; as many as there are when patience is over. A call that was never
/// admitted has none.
async fn turns_of(store: &Store, report: &CallReport, begun: Instant) -> anyhow::Result<Vec<TurnRow>> {
    let Ok(id) = CarrierCallId::parse(&report.call_sid) else { return Ok(Vec::new()) };
    loop {
        let row = store.find_call_by_carrier_id(Carrier::Exotel, &id).await?;
        let ended = row.as_ref().is_some_and(|row| row.state == "ended");
        if ended || begun.elapsed() >= PATIENCE {
            return match row {
                Some(row) => Ok(store.call_detail(CallId(row.id)).await?.turns),
                None => Ok(Vec::new()),
            };
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
