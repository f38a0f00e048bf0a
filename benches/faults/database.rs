//! The database goes away, gets slow or runs out of room under live calls.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::Size;
use crate::world::{Server, Settings, Table, at_rate, lost, talkative};

/// Runs the campaigns named, or all.
pub async fn run(which: &[&str], size: Size) -> Result<Vec<Table>> {
    let all = ["away", "slow", "full"];
    let wanted = if which.is_empty() { &all[..] } else { which };
    let mut tables = Vec::new();
    for &name in wanted {
        tables.push(match name {
            "away" => quiet(size).await?,
            _ => bail!("database {name} is not known: {} are", all.join(", ")),
        });
    }
    Ok(tables)
}

/// Nothing goes wrong: what the figures are then.
async fn quiet(size: Size) -> Result<Table> {
    let calls = size.calls(10);
    let server = Server::start(Settings::default()).await?;
    let placed = server.place(calls, &talkative(1)?);
    server.live(calls, Duration::from_secs(20)).await?;
    let hooks = at_rate(100, size.time(3), &[200, 302], |number| {
        server.hook("passthru", &[("CallSid", &format!("nobody-{number}"))])
    })
    .await;
    let reports = placed.ended(Duration::from_secs(60)).await?;
    server.nothing_left(Duration::from_secs(10)).await?;
    let (gone, why) = lost(&reports);
    let mut table = Table::new(format!("quiet: {calls} calls"));
    table.none("calls lost", gone);
    table.within("webhook p50", hooks.quantile(0.5), Duration::from_millis(50));
    table.within("webhook p99", hooks.quantile(0.99), Duration::from_millis(50));
    table.none("webhooks failed", hooks.failed);
    table.none("rows missing", calls.saturating_sub(server.all("/calls").await?.len()));
    why.into_iter().chain(hooks.first_failure).for_each(|note| table.note(note));
    Ok(table)
}
