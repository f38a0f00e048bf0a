//! The whole labelled set of `tests/fixtures/ears`, each clip once for every spelling of its words: what interrupts the
//! agent, what does not, and how soon it falls silent.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use caly::sim::engine::{EngineOptions, EngineServer, serve};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::Size;
use crate::ears::{self, Case, Figures, Kind, Outcome, Seen, quantile};
use crate::stream::{admit, sid};
use crate::world::{Server, Settings, Table, client, until};

/// Goals: shares in percent, and times.
const CUT: f64 = 5.0;
const MISSED: f64 = 2.0;
const AFTER_DETECTION: Duration = Duration::from_millis(60);
/// From the first sound, where Caly listens itself …
const NEAR: Duration = Duration::from_millis(200);
/// … to an engine this far away.
const FAR: Duration = Duration::from_millis(250);
/// A recogniser that takes its time, in milliseconds; the others of this set take half a second at most.
const LATE: std::ops::Range<u64> = 500..2_000;
/// Calls that are up at once.
const AT_ONCE: usize = 24;
const CONNECT: Duration = Duration::from_secs(10);
/// From saving an agent to its use.
const READ: Duration = Duration::from_secs(30);

/// By whom the caller is heard.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// An engine beside the server.
    Engine,
    /// The line, with an engine far away.
    Line,
    /// An engine beside the server whose recogniser is slow.
    SlowWords,
}

async fn engine(cases: &[Case], by: By) -> Result<EngineServer> {
    let options = EngineOptions::sandbox().map_err(|problem| anyhow!(problem))?;
    let ear = Some(ears::ear(cases));
    let distance = if by == By::Line { FAR } else { Duration::ZERO };
    let transcription = if by == By::SlowWords { LATE } else { options.transcription.clone() };
    serve(EngineOptions { ear, distance, transcription, ..options }).await.map_err(|error| anyhow!("engine: {error}"))
}

async fn server(engine: &EngineServer, near: bool) -> Result<Server> {
    let settings = Settings::default()
        .with("OPENAI_API_KEY", "sk-campaign")
        .with("CALY__ENGINE__STORE_GREETINGS", "false")
        .with("OPENAI_BASE_URL", engine.url.trim_end_matches("/realtime"));
    let server = Server::start(settings).await?;
    let file = server.directory.path().join("agent.json");
    let mut agent = ears::agent()?;
    agent["local_detection"] = near.into();
    std::fs::write(&file, agent.to_string())?;
    let read = |times: usize| server.log().matches("read anew").count() >= times;
    until("the demo client is in use", READ, || async { read(1) }).await?;
    let published = server.command(&["client", "agent", "demo", file.to_str().context("a path")?])?.output()?;
    ensure!(published.status.success(), "caly client agent: {}", String::from_utf8_lossy(&published.stderr));
    server.signal("HUP")?;
    until("its agent is in use", READ, || async { read(2) }).await?;
    Ok(server)
}

async fn call(server: &Server, case: &Case, number: usize) -> Result<(String, Seen)> {
    let sid = sid();
    let url = admit(server, &sid, number).await?.map_err(|status| anyhow!("call-start: {status}"))?;
    let connecting = client().ws(url).max_frame_size(1 << 20).connect();
    let (_, mut socket) = timeout(CONNECT, connecting).await?.map_err(|error| anyhow!("media: {error}"))?;
    let seen = ears::play(&mut socket, &sid, case, number).await?;
    Ok((sid, seen))
}

/// Every case as often as it has spellings, `at_once` calls at a time.
async fn all(server: Rc<Server>, cases: &[Case], at_once: usize) -> Result<Vec<(Case, String, Seen)>> {
    let mut wanted = cases.iter().flat_map(|case| vec![case.clone(); case.spellings()]).enumerate();
    let (mut calls, mut done) = (JoinSet::new(), Vec::new());
    loop {
        while calls.len() < at_once
            && let Some((number, case)) = wanted.next()
        {
            let server = Rc::clone(&server);
            calls.spawn_local(async move {
                // Not all in one moment, as callers never ring.
                tokio::time::sleep(Duration::from_millis(number as u64 % 24 * 37)).await;
                call(&server, &case, number).await.map(|(sid, seen)| (case, sid, seen))
            });
        }
        let Some(ended) = calls.join_next().await else { return Ok(done) };
        done.push(ended??);
    }
}

/// With an engine beside the server, with one far away while Caly listens itself, and with one that is slow to write.
pub async fn run(which: &[&str], size: Size) -> Result<Vec<Table>> {
    let mut tables = Vec::new();
    for (name, by) in [("engine", By::Engine), ("line", By::Line), ("late", By::SlowWords)] {
        if which.is_empty() || which.contains(&name) {
            tables.push(listened(by, size).await?);
        }
    }
    ensure!(!tables.is_empty(), "ears {which:?}: engine, line and late are known");
    Ok(tables)
}

async fn listened(by: By, size: Size) -> Result<Table> {
    let cases = ears::cases()?;
    let engine = engine(&cases, by).await?;
    let server = Rc::new(server(&engine, by == By::Line).await?);
    let done = all(Rc::clone(&server), &cases, size.calls(AT_ONCE)).await?;
    server.nothing_left(READ).await?;
    let rows = server.all("/calls").await?;
    let ids: HashMap<&str, &str> =
        rows.iter().filter_map(|row| Some((row["carrier_call_id"].as_str()?, row["id"].as_str()?))).collect();
    let mut outcomes = Vec::new();
    for (case, sid, seen) in done {
        let id = ids.get(&*sid).with_context(|| format!("{sid} is not on record"))?;
        let record: Value = server.api(&format!("/calls/{id}")).await?;
        outcomes.push(Outcome::of(&case, seen, &record));
    }
    let violations = engine.violations();
    engine.stop().await;
    let mut table = table(&Figures::of(&outcomes), &violations, by);
    let interruptions = outcomes.iter().filter(|outcome| outcome.kind == Kind::Interruption);
    let mut slow: Vec<_> = interruptions.filter_map(|outcome| Some((outcome.seen.to_clear?, &outcome.name))).collect();
    slow.sort_by_key(|(took, _)| std::cmp::Reverse(*took));
    for (took, name) in slow.into_iter().take(4) {
        table.note(format!("silent {} ms after the first sound of {name}", took.as_millis()));
    }
    Ok(table)
}

fn table(figures: &Figures, violations: &[String], by: By) -> Table {
    let heard_by = match by {
        By::Line => format!("the line, engine {} ms away", FAR.as_millis()),
        By::Engine => "the engine".to_owned(),
        By::SlowWords => format!("an engine that writes after {} to {} ms", LATE.start, LATE.end),
    };
    let near = by == By::Line;
    let mut table = Table::new(format!("ears: what is heard while the agent speaks, by {heard_by} (synthetic voices)"));
    let counted = |kind: Kind| format!("{} of {}", figures.wrong(kind), figures.calls(kind));
    let mut judge = |name: &str, kind: Kind, goal: &str, limit: f64| {
        table.judge(name, counted(kind), goal, figures.share(kind) <= limit);
    };
    judge("backchannels that cut the agent off", Kind::Backchannel, "<= 5 %", CUT);
    judge("interruptions missed", Kind::Interruption, "<= 2 %", MISSED);
    judge("echoes that interrupted or paused the agent", Kind::Echo, "0", 0.0);
    table.tell("noises that cut the agent off", counted(Kind::Noise));
    if near {
        table.within("first sound to clear, p99", quantile(&figures.to_clear, 0.99), NEAR);
    } else {
        table.within("after detection to clear, p99", quantile(&figures.after_detection, 0.99), AFTER_DETECTION);
    }
    let shown = |times: &[Duration], fraction| format!("{:.0} ms", quantile(times, fraction).as_secs_f64() * 1000.0);
    table.tell("… p50", shown(&figures.after_detection, 0.5));
    table.tell("first sound to clear, p50", shown(&figures.to_clear, 0.5));
    table.tell("… p99", shown(&figures.to_clear, 0.99));
    table.tell("pause at a listener's word, p50", shown(&figures.pauses, 0.5));
    table.tell("… p95", shown(&figures.pauses, 0.95));
    table.none("violations of the engine's protocol", violations.len());
    for how in figures.wrong.values().flatten().chain(violations) {
        table.note(how.as_str());
    }
    table
}
