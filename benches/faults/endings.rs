//! Calls that end badly, in every way a carrier, a network or a caller can leave them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::Size;
use crate::stream::{Stream, admit, sid};
use crate::world::{Server, Settings, Table};

/// Limits of the campaign, s.
const ANSWER_S: u64 = 4;
const IDLE_MEDIA_S: u64 = 4;
const MAX_S: u64 = 12;
/// At the same time.
const PARALLEL: usize = 100;
/// After the last bad ending.
const ORPHANS: Duration = Duration::from_secs(30);
const OVERRUN: Duration = Duration::from_secs(5);

/// How a call is left, and the limit that must end it, counted from its admission.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Left {
    /// Admitted; no stream ever comes.
    NeverConnected,
    /// The stream is open and says nothing.
    NeverStarted,
    /// Started; no audio.
    NoMedia,
    /// Audio, then silence on an open socket.
    GoneSilent,
    /// The connection is dropped in mid-call.
    Cut,
    /// Talks on and on, and reads nothing.
    NeverReads,
    /// The carrier's webhook says that it is over; the socket stays.
    EndedByWebhook,
    /// Garbage until somebody hangs up.
    Garbage,
}

impl Left {
    const ALL: [Self; 8] = [
        Self::NeverConnected,
        Self::NeverStarted,
        Self::NoMedia,
        Self::GoneSilent,
        Self::Cut,
        Self::NeverReads,
        Self::EndedByWebhook,
        Self::Garbage,
    ];

    fn cap(self) -> Duration {
        Duration::from_secs(match self {
            Self::NeverConnected => ANSWER_S,
            // A socket that never starts may be followed by another within the answer limit.
            Self::NeverStarted => 10 + ANSWER_S,
            Self::NoMedia => IDLE_MEDIA_S + 1,
            Self::GoneSilent => IDLE_MEDIA_S + 2,
            Self::Cut | Self::EndedByWebhook => 2,
            Self::NeverReads | Self::Garbage => MAX_S,
        })
    }
}

/// Leaves one call in its way and holds its socket until the other side gives up.
async fn leave(server: &Server, how: Left, number: usize) -> Result<String> {
    if how == Left::NeverConnected {
        let sid = sid();
        admit(server, &sid, number).await?.map_err(|status| anyhow::anyhow!("call-start: {status}"))?;
        return Ok(sid);
    }
    let mut stream = Stream::open(server, number).await?;
    if how == Left::NeverStarted {
        stream.closed(how.cap() + OVERRUN).await?;
        return Ok(stream.sid);
    }
    stream.start().await?;
    if how != Left::NoMedia {
        stream.frames(25).await?;
    }
    let longest = Duration::from_secs(MAX_S) + OVERRUN;
    match how {
        Left::Cut => return Ok(stream.sid),
        Left::EndedByWebhook => {
            let url = server.hook("call-end", &[("CallSid", &stream.sid), ("Status", "completed")]);
            crate::world::request(&crate::world::client(), awc::http::Method::GET, &url, None).await?;
        }
        Left::NeverReads => {
            let begun = Instant::now();
            while begun.elapsed() < longest && stream.frames(1).await.is_ok() {
                sleep(Duration::from_millis(20)).await;
            }
            return Ok(stream.sid);
        }
        Left::Garbage => {
            let begun = Instant::now();
            while begun.elapsed() < longest && stream.send_text("{\"event\":".to_owned()).await.is_ok() {
                sleep(Duration::from_millis(100)).await;
            }
            return Ok(stream.sid);
        }
        _ => {}
    }
    stream.closed(longest).await?;
    Ok(stream.sid)
}

pub async fn run(size: Size) -> Result<Vec<Table>> {
    let calls = size.calls(1000);
    let settings = Settings::default()
        .with("CALY__CALLS__ANSWER", format!("{ANSWER_S}s"))
        .with("CALY__CALLS__IDLE_MEDIA", format!("{IDLE_MEDIA_S}s"))
        .with("CALY__CALLS__MAX_DURATION", format!("{MAX_S}s"));
    let server = Server::start(settings).await?;
    let (mut how_of, mut failed) = (HashMap::new(), Vec::new());
    let mut running: JoinSet<(Left, Result<String>)> = JoinSet::new();
    let server_ref = std::rc::Rc::new(server);
    for number in 0..calls {
        let how = Left::ALL[number % Left::ALL.len()];
        let server = std::rc::Rc::clone(&server_ref);
        running.spawn_local(async move { (how, leave(&server, how, number).await) });
        while running.len() >= PARALLEL {
            note(running.join_next().await, &mut how_of, &mut failed);
        }
        sleep(Duration::from_millis(5)).await;
    }
    while let Some(done) = running.join_next().await {
        note(Some(done), &mut how_of, &mut failed);
    }
    let gone = server_ref.nothing_left(ORPHANS).await;
    let rows = server_ref.all("/calls").await?;
    let mut worst: HashMap<Left, Duration> = HashMap::new();
    let mut open = 0;
    for row in &rows {
        let Some(how) = row["carrier_call_id"].as_str().and_then(|sid| how_of.get(sid)) else { continue };
        if row["state"] != "ended" {
            open += 1;
            continue;
        }
        let over = lasted(row)?.saturating_sub(how.cap());
        let entry = worst.entry(*how).or_default();
        *entry = (*entry).max(over);
    }
    let mut table = Table::new(format!("{calls} calls that end badly, {} ways", Left::ALL.len()));
    table.none("ways that could not be tried", failed.len());
    table.none("calls not on record", how_of.len().saturating_sub(rows.len()));
    table.none("calls open on record", open);
    match gone {
        Ok(took) => table.within("slots, actors and sockets at zero after", took, ORPHANS),
        Err(error) => table.judge("slots, actors and sockets at zero after", error, "30 s", false),
    }
    for how in Left::ALL {
        let over = worst.get(&how).copied().unwrap_or_default();
        table.within(&format!("{how:?}: longest over its {} s", how.cap().as_secs()), over, OVERRUN);
    }
    failed.into_iter().take(3).for_each(|text| table.note(text));
    Ok(vec![table])
}

fn note(
    done: Option<Result<(Left, Result<String>), tokio::task::JoinError>>,
    how_of: &mut HashMap<String, Left>,
    failed: &mut Vec<String>,
) {
    match done {
        Some(Ok((how, Ok(sid)))) => {
            how_of.insert(sid, how);
        }
        Some(Ok((how, Err(error)))) => failed.push(format!("{how:?}: {error:#}")),
        Some(Err(error)) => failed.push(error.to_string()),
        None => {}
    }
}

/// From admission to the end.
fn lasted(row: &serde_json::Value) -> Result<Duration> {
    let time = |name: &str| -> Result<DateTime<Utc>> {
        Ok(row[name].as_str().with_context(|| format!("no {name}"))?.parse()?)
    };
    Ok((time("ended_at")? - time("admitted_at")?).to_std().unwrap_or_default())
}
