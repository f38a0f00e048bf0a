//! Thousands of short calls one after the other: what each leaves behind, as the slope of a line through what is left
//! after every batch, with its 95 % interval. The first third is warm-up (pools, caches, arenas) and not counted.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use caly::sim::engine::EngineOptions;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::Size;
use crate::stream::Stream;
use crate::world::{Server, Settings, Table, until};

/// Calls between two looks.
const BATCH: usize = 500;
/// At the same time.
const PARALLEL: usize = 50;
const WARM_UP: f64 = 0.3;
/// Looks after each batch, 50 ms apart.
const LOOKS: usize = 30;
/// Longer than the server keeps a connection on which nothing is asked: its buffers are 16 KiB.
const KEPT: Duration = Duration::from_secs(6);
/// Longest wait for everything to be given back after a batch.
const BACK: Duration = Duration::from_secs(5);
/// Goals: bytes a call, upper end of the interval.
const ALLOCATED: f64 = 1.0;
const RESIDENT: f64 = 128.0;

/// What is left at one look.
#[derive(Clone, Copy, Debug)]
struct Left {
    calls: f64,
    allocated: f64,
    resident: f64,
    threads: f64,
    sockets: f64,
    timers: f64,
}

/// The least of some looks: what is being logged or written at this moment is not left behind.
async fn look(server: &Server, calls: usize) -> Result<Left> {
    let mut least = look_once(server, calls).await?;
    for _ in 1..LOOKS {
        sleep(Duration::from_millis(50)).await;
        let left = look_once(server, calls).await?;
        least.allocated = least.allocated.min(left.allocated);
        least.resident = least.resident.min(left.resident);
        least.timers = least.timers.min(left.timers);
    }
    eprintln!("leak: {calls} calls, {} bytes allocated, {} resident", least.allocated, least.resident);
    Ok(least)
}

async fn look_once(server: &Server, calls: usize) -> Result<Left> {
    let metrics = server.metrics().await?;
    let metric = |name: &str| metrics.get(name).copied().with_context(|| format!("no metric {name}"));
    Ok(Left {
        calls: calls as f64,
        allocated: metric("caly_allocator_allocated_bytes")?,
        resident: metric("caly_process_resident_bytes")?,
        threads: metric("caly_process_threads")?,
        sockets: metric("caly_process_open_fds")?,
        timers: metrics.get("caly_timers").copied().unwrap_or_default(),
    })
}

/// A call as short as a call can be: heard, greeted, hung up.
async fn call(server: &Server, number: usize) -> Result<()> {
    let mut stream = Stream::open(server, number % PARALLEL).await?;
    stream.start().await?;
    stream.frames(10).await?;
    stream.stop().await?;
    stream.closed(Duration::from_secs(10)).await.map(drop)
}

pub async fn run(size: Size) -> Result<Vec<Table>> {
    let calls = size.calls(10_000);
    // The engine is in this process, so that what it keeps of its sessions is not taken for the server's.
    let engine = caly::sim::engine::serve(EngineOptions::sandbox().map_err(|error| anyhow!("{error}"))?).await?;
    let settings = Settings::default()
        .with("OPENAI_API_KEY", "sandbox")
        .with("OPENAI_BASE_URL", engine.url.trim_end_matches("/realtime"))
        .with("CALY__CALLS__REMEMBER", "1s")
        .with("CALY__RECORDING__ENABLED", "false")
        .with("CALY__LOG__LEVEL", "warn")
        // What each thread keeps at hand for its next allocation counts as allocated, and comes and goes by 400 kB.
        .with("_RJEM_MALLOC_CONF", "tcache:false")
        // Every connection has prepared every statement long before the warm-up is over.
        .with("CALY__DATABASE__MAX_CONNECTIONS", "2");
    let server = std::rc::Rc::new(Server::start(settings).await?);
    let known = || async { call(&server, 0).await.is_ok() };
    until("the client is known", Duration::from_secs(20), known).await?;
    let begun = Instant::now();
    let (mut seen, mut failed, mut slowest) = (Vec::new(), Vec::new(), Duration::ZERO);
    let mut placed = 0;
    while placed < calls {
        let mut running: JoinSet<Result<()>> = JoinSet::new();
        for number in 0..BATCH.min(calls - placed) {
            let own = std::rc::Rc::clone(&server);
            running.spawn_local(async move { call(&own, number).await });
            while running.len() >= PARALLEL {
                keep_failure(running.join_next().await, &mut failed);
            }
        }
        while let Some(done) = running.join_next().await {
            keep_failure(Some(done), &mut failed);
        }
        placed += BATCH.min(calls - placed);
        slowest = slowest.max(server.nothing_left(BACK * 4).await?);
        settled(&server).await?;
        seen.push(look(&server, placed).await?);
    }
    let mut table = Table::new(format!("{calls} short calls, {PARALLEL} at a time, in {:.0?}", begun.elapsed()));
    table.none("calls that failed", failed.len());
    let counted = &seen[(seen.len() as f64 * WARM_UP) as usize..];
    for (name, value, goal) in [
        ("allocated bytes left per call", (|left: &Left| left.allocated) as fn(&Left) -> f64, ALLOCATED),
        ("resident bytes left per call", |left| left.resident, RESIDENT),
    ] {
        let (slope, half) = line(counted, value).ok_or_else(|| anyhow!("too few calls to judge"))?;
        let upper = slope + half;
        table.judge(name, format!("{slope:.1} +- {half:.1}"), &format!("upper end <= {goal}"), upper <= goal);
    }
    table.within("slots, actors and sockets back at zero after", slowest, BACK);
    let (first, last) = (counted.first().context("no looks")?, counted.last().context("no looks")?);
    for (name, before, after, slack) in [
        ("threads", first.threads, last.threads, 0.0),
        ("descriptors", first.sockets, last.sockets, 2.0),
        ("timers", first.timers, last.timers, 2.0),
    ] {
        table.judge(name, format!("{before} then {after}"), "as before", after <= before + slack);
    }
    failed.into_iter().take(3).for_each(|text| table.note(text));
    Ok(vec![table])
}

/// Until what is remembered on purpose for a while is forgotten: ended calls, and connections that may be used again.
async fn settled(server: &Server) -> Result<()> {
    sleep(KEPT).await;
    let forgotten = || async { server.metric("caly_calls_remembered").await.is_ok_and(|calls| calls == 0.0) };
    until("ended calls are forgotten", BACK, forgotten).await.map(drop)
}

fn keep_failure(done: Option<Result<Result<()>, tokio::task::JoinError>>, failed: &mut Vec<String>) {
    match done {
        Some(Ok(Err(error))) => failed.push(format!("{error:#}")),
        Some(Err(error)) => failed.push(error.to_string()),
        Some(Ok(Ok(()))) | None => {}
    }
}

/// Slope of the least-squares line through a value over calls, and half of its 95 % interval (normal approximation).
fn line(seen: &[Left], value: fn(&Left) -> f64) -> Option<(f64, f64)> {
    let count = seen.len() as f64;
    if seen.len() < 5 {
        return None;
    }
    let mean = |of: &dyn Fn(&Left) -> f64| seen.iter().map(of).sum::<f64>() / count;
    let (mean_x, mean_y) = (mean(&|left| left.calls), mean(&|left| value(left)));
    let spread: f64 = seen.iter().map(|left| (left.calls - mean_x).powi(2)).sum();
    let slope = seen.iter().map(|left| (left.calls - mean_x) * (value(left) - mean_y)).sum::<f64>() / spread;
    let misses: f64 = seen.iter().map(|left| (value(left) - mean_y - slope * (left.calls - mean_x)).powi(2)).sum();
    Some((slope, 1.96 * (misses / (count - 2.0) / spread).sqrt()))
}
