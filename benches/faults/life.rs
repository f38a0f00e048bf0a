//! The process is killed, or told to end, under live calls.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tokio::time::sleep;

use crate::Size;
use crate::stream::{admit, sid};
use crate::world::{Server, Settings, Table, lost, talkative, until};

/// Rounds of the kill campaign; every second one kills twice within [`TWICE`].
const ROUNDS: u64 = 20;
const TWICE: Duration = Duration::from_secs(5);
/// Goals.
const HEALTHY: Duration = Duration::from_secs(2);
const CLOSED: Duration = Duration::from_secs(10);
const REFUSED: Duration = Duration::from_millis(100);
const EXIT: Duration = Duration::from_secs(1);

/// Everything on record of the calls that are open: turns by call.
async fn committed(server: &Server) -> Result<HashMap<String, HashSet<String>>> {
    let mut found = HashMap::new();
    for row in server.all("/calls").await?.iter().filter(|row| row["state"] != "ended") {
        let id = row["id"].as_str().context("a call without an id")?;
        let detail = server.api(&format!("/calls/{id}")).await?;
        found.insert(id.to_owned(), ids(&detail["turns"]));
    }
    Ok(found)
}

/// Waits until every call has said something that is on record, and a little longer; gives what is on record then.
async fn talking(server: &Server, calls: usize, longer: Duration) -> Result<HashMap<String, HashSet<String>>> {
    let begun = Instant::now();
    while committed(server).await?.values().filter(|lines| !lines.is_empty()).count() < calls {
        ensure!(begun.elapsed() < Duration::from_secs(60), "the calls do not talk");
        sleep(Duration::from_millis(200)).await;
    }
    sleep(longer).await;
    committed(server).await
}

fn ids(rows: &Value) -> HashSet<String> {
    let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
    rows.iter().filter_map(|row| row["id"].as_str().map(str::to_owned)).collect()
}

#[derive(Default)]
struct Seen {
    lines: usize,
    lines_lost: usize,
    calls_lost: usize,
    closed_twice: usize,
    still_open: usize,
    rows_twice: usize,
    healthy: Duration,
    closed: Duration,
}

/// `kill -9` with calls up, again and again, on one directory.
pub async fn kill(size: Size) -> Result<Vec<Table>> {
    let (calls, rounds) = (size.calls(50), size.rounds.unwrap_or(ROUNDS));
    let mut server = Server::start(Settings::default()).await?;
    let scenario = talkative(30)?;
    let mut seen = Seen::default();
    for round in 0..rounds {
        let placed = server.place(calls, &scenario);
        server.live(calls, Duration::from_secs(30)).await?;
        let before = talking(&server, calls, Duration::from_millis(round * 173 % 2000)).await?;
        let killed = Instant::now();
        server.kill();
        drop(placed);
        if round % 2 == 1 {
            server.run()?;
            let alive = || async { server.get("/health/live").await.is_ok_and(|answer| answer.status == 200) };
            until("the process answers", HEALTHY * 5, alive).await?;
            server.kill();
            ensure!(killed.elapsed() < TWICE, "the second kill came after {:?}", killed.elapsed());
        }
        let begun = Instant::now();
        server.run()?;
        server.ready(HEALTHY * 10).await?;
        seen.healthy = seen.healthy.max(begun.elapsed());
        server.learn_keys()?;
        let ended = || async { all_ended(&server).await };
        until("every call is closed", CLOSED * 3, ended).await.map(drop).unwrap_or_default();
        seen.closed = seen.closed.max(begun.elapsed());
        check(&server, &before, &mut seen).await?;
        eprintln!("kill: round {} of {rounds}, {} lines on record so far", round + 1, seen.lines);
    }
    let mut table =
        Table::new(format!("kill -9 with {calls} calls, {rounds} rounds, every second one twice within 5 s"));
    table.tell("committed lines looked for", seen.lines);
    table.none("committed lines lost", seen.lines_lost);
    table.none("calls lost from the record", seen.calls_lost);
    table.none("calls with two rows", seen.rows_twice);
    table.none("calls closed twice", seen.closed_twice);
    table.none("calls still open", seen.still_open);
    table.within("ready again, at worst", seen.healthy, HEALTHY);
    table.within("every call closed, at worst", seen.closed, CLOSED);
    Ok(vec![table])
}

async fn all_ended(server: &Server) -> bool {
    server.api("/calls?state=live&limit=1").await.is_ok_and(|page| page["items"].as_array().is_some_and(Vec::is_empty))
        && server
            .api("/calls?state=admitted&limit=1")
            .await
            .is_ok_and(|page| page["items"].as_array().is_some_and(Vec::is_empty))
}

async fn check(server: &Server, before: &HashMap<String, HashSet<String>>, seen: &mut Seen) -> Result<()> {
    for (id, lines) in before {
        let Ok(detail) = server.api(&format!("/calls/{id}")).await else {
            seen.calls_lost += 1;
            continue;
        };
        let now = ids(&detail["turns"]);
        seen.lines += lines.len();
        seen.lines_lost += lines.difference(&now).count();
        seen.still_open += usize::from(detail["call"]["state"] != "ended");
        let events = detail["events"].as_array().context("no events")?;
        let closed = events.iter().filter(|event| event["kind"] == "interrupted").count();
        seen.closed_twice += usize::from(closed != 1);
    }
    let rows = server.all("/calls").await?;
    let sids: HashSet<&str> = rows.iter().filter_map(|row| row["carrier_call_id"].as_str()).collect();
    seen.rows_twice = rows.len() - sids.len();
    Ok(())
}

/// SIGTERM with calls up: none is cut, new ones are refused at once, the process ends with the last of them.
pub async fn drain(size: Size) -> Result<Vec<Table>> {
    let calls = size.calls(200);
    let mut server = Server::start(Settings::default()).await?;
    let placed = server.place(calls, &talkative(3)?);
    server.live(calls, Duration::from_secs(60)).await?;
    server.signal("TERM")?;
    let told = Instant::now();
    let (mut refused_after, mut admitted_late, mut other) = (None, 0, 0);
    while told.elapsed() < Duration::from_secs(2) {
        match admit(&server, &sid(), 7).await {
            Ok(Err(503)) => refused_after = refused_after.or(Some(told.elapsed())),
            Ok(Ok(_)) if refused_after.is_none() && told.elapsed() < REFUSED => {}
            Ok(Ok(_)) => admitted_late += 1,
            _ => other += 1,
        }
        sleep(Duration::from_millis(10)).await;
    }
    let reports = placed.ended(Duration::from_secs(180)).await?;
    let last = Instant::now();
    let status = server.exit(Duration::from_secs(60)).await?;
    let exit = last.elapsed();
    server.run()?;
    server.ready(Duration::from_secs(20)).await?;
    server.learn_keys()?;
    let rows = server.all("/calls").await?;
    let of = |reason: &str| rows.iter().filter(|row| row["end_reason"] == reason).count();
    let (cut, why) = lost(&reports);
    let mut table = Table::new(format!("SIGTERM with {calls} calls"));
    table.none("calls cut", cut);
    table.none("calls not on record as they ended", calls.saturating_sub(of("caller_hung_up")));
    table.within("new calls refused with 503 after", refused_after.unwrap_or(Duration::MAX), REFUSED);
    table.none("calls admitted after that", admitted_late);
    table.none("requests answered otherwise", other);
    table.within("exit after the last call", exit, EXIT);
    table.judge("exit code", format!("{:?}", status.code()), "Some(0)", status.code() == Some(0));
    why.into_iter().for_each(|note| table.note(note));
    Ok(vec![table])
}
