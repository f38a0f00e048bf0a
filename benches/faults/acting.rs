//! Writes under callers who interrupt, repeat themselves and hang up, while the other system loses answers, the action
//! child panics and, in a second part, the process is killed. Whether all is well is asked of both sides: the record, and
//! the ledger of the other system.
//!
//! It needs a binary with the feature `planned-panics` (`make faults` builds one).

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use awc::http::Method;
use caly::sim::carrier::{CallReport, Scenario, place_call};
use caly::sim::engine::{EngineOptions, EngineServer, Rule, Script, serve};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::Size;
use crate::stream::sid;
use crate::vendor::Vendor;
use crate::world::{Server, Settings, Table, client, request, until};

/// In the part without kills, and calls that are up at once.
const CALLS: usize = 1000;
const PARALLEL: usize = 30;
/// Kills, and calls under each.
const ROUNDS: u64 = 20;
const CALLS_A_ROUND: usize = 15;
/// From the last call's end until nothing may be without an answer: past the time after which a lost runner is noticed, and a few
/// attempts of a shop that goes on failing.
const RESOLVED: Duration = Duration::from_secs(600);
/// From SIGHUP until what it asks for is in use.
const READ: Duration = Duration::from_secs(20);
/// Orders are numbered from here, one a call.
const FIRST_ORDER: usize = 10_001;

/// How a caller deals with what is read back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Way {
    Agrees,
    AgreesByKey,
    SaysNo,
    LeavesUnasked,
    BargesInWithYes,
    AsksAgain,
    HangsUpAfterYes,
    CutAfterYes,
    TakesItBack,
    ChangesTheSubject,
}

impl Way {
    const ALL: [Self; 10] = [
        Self::Agrees,
        Self::AgreesByKey,
        Self::SaysNo,
        Self::LeavesUnasked,
        Self::BargesInWithYes,
        Self::AsksAgain,
        Self::HangsUpAfterYes,
        Self::CutAfterYes,
        Self::TakesItBack,
        Self::ChangesTheSubject,
    ];

    /// Whether the caller ever says a word that could be a yes.
    fn may_agree(self) -> bool {
        !matches!(self, Self::SaysNo | Self::LeavesUnasked)
    }

    /// Whether nothing but a fault stands between the wish and the deed. A yes and another question in one breath are one turn,
    /// and no clear yes.
    fn surely_agrees(self) -> bool {
        matches!(self, Self::Agrees | Self::AgreesByKey)
    }

    /// What the caller does once asked; `random` is any number.
    fn steps(self, order: usize, random: u64) -> String {
        let (soon, late) = (random % 700, 300 + random % 2500);
        let heard = |rest: &str| format!("hear any; wait 300; {rest}");
        match self {
            Self::Agrees => heard("say yes; hear any; wait 500"),
            Self::AgreesByKey => heard("press 1; hear any; wait 500"),
            Self::SaysNo => heard("say no_leave_it; hear any"),
            Self::LeavesUnasked => format!("hear any; wait {soon}"),
            Self::BargesInWithYes => format!("interrupt {late} yes; hear any; wait 300; say yes; hear any; wait 500"),
            Self::AsksAgain => {
                let again = keys(order);
                heard(&format!(
                    "{again}; hear any; wait 300; say yes; hear any; {again}; hear any; wait 300; say yes; hear any"
                ))
            }
            Self::HangsUpAfterYes => heard(&format!("say yes; wait {}", late - 300)),
            Self::CutAfterYes => heard(&format!("say yes; wait {}; cut", late - 300)),
            Self::TakesItBack => heard(&format!("say yes; wait {soon}; say no_leave_it; hear any")),
            Self::ChangesTheSubject => heard("say yes; interrupt 200 shop_hours; hear any; wait 500"),
        }
    }
}

/// The order's number on the telephone's keys.
fn keys(order: usize) -> String {
    format!("press {}; press #", order.to_string().chars().map(String::from).collect::<Vec<_>>().join("; press "))
}

/// One call's script: `say x; wait 5; …`, with the greeting before and hanging up after.
fn scenario(way: Way, order: usize, random: u64) -> Result<Scenario> {
    let mut text =
        "name = \"acting\"\ntitle = \"cancels an order\"\nmax_seconds = 90\n[[step]]\nhear = \"any\"\n".to_owned();
    let steps = format!("wait 300; {}; {}", keys(order), way.steps(order, random));
    for step in steps.split("; ").chain((way != Way::CutAfterYes).then_some("hang_up")) {
        let words: Vec<&str> = step.split(' ').collect();
        let line = match words[..] {
            ["wait", ms] => format!("wait_ms = {ms}"),
            ["interrupt", ms, clip] => format!("say = \"{clip}\"\ninterrupt_after_ms = {ms}"),
            // Answers of a faulty system take their time; without one the caller hangs up, as callers do.
            ["hear", clip] => format!("hear = \"{clip}\"\ntimeout_ms = 25000"),
            [verb @ ("say" | "press"), what] => format!("{verb} = \"{what}\""),
            _ => format!("{step} = true"),
        };
        text.push_str(&format!("[[step]]\n{line}\n"));
    }
    Scenario::parse(&text).map_err(|problem| anyhow!("scenario: {problem}"))
}

/// An engine that cancels the order whose number was keyed in, and asks again after a yes.
async fn engine() -> Result<EngineServer> {
    let mut script = Script::built_in().map_err(|problem| anyhow!(problem))?;
    script.yes.push("[the caller pressed the keys 1 on".to_owned());
    let arguments = json!({ "order_number": "{digits}" });
    script.rules.insert(
        0,
        Rule {
            when: vec!["pressed the keys".to_owned()],
            say: None,
            tool: Some("cancel_order".to_owned()),
            arguments: arguments.as_object().cloned().unwrap_or_default(),
            without_tool: None,
            fail: None,
        },
    );
    let options = EngineOptions::sandbox().map_err(|problem| anyhow!(problem))?;
    serve(EngineOptions { script: Arc::new(script), ..options }).await.map_err(|error| anyhow!("engine: {error}"))
}

/// A server whose demo client cancels orders at the vendor's.
async fn server(engine: &EngineServer, vendor: &Vendor) -> Result<Server> {
    let (name, value, tools) = vendor.settings();
    let settings = Settings::default()
        .with("OPENAI_API_KEY", "sk-campaign")
        .with("OPENAI_BASE_URL", engine.url.trim_end_matches("/realtime"))
        .with(name, value);
    let server = Server::start(settings).await?;
    let file = |name: &str, text: &str| {
        let path = server.directory.path().join(name);
        std::fs::write(&path, text).map(|()| path.display().to_string())
    };
    let mut agent = json!({ "instructions": "Be brief.", "greeting": "Namaste", "language": "hi-Latn" });
    agent.as_object_mut().context("no object")?.extend(tools.as_object().cloned().unwrap_or_default());
    let read = |times: usize| server.log().matches("read anew").count() >= times;
    until("the demo client is in use", READ, || async { read(1) }).await?;
    let mut commands =
        vec![["client", "agent", "demo", &file("agent.json", &agent.to_string())?].map(str::to_owned).to_vec()];
    if let Some((mut words, token)) = vendor.connect("demo") {
        words.extend(["--token-file".to_owned(), file("token", token)?]);
        commands.push(words);
    }
    for words in commands {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = server.command(&words)?.output()?;
        ensure!(output.status.success(), "caly {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    server.signal("HUP")?;
    until("its agent is in use", READ, || async { read(2) }).await?;
    Ok(server)
}

/// What became of all of it, by call.
#[derive(Default)]
struct Tried {
    ways: BTreeMap<usize, Way>,
    reports: HashMap<usize, CallReport>,
    panics: BTreeMap<usize, usize>,
}

impl Tried {
    fn panicked(&self) -> usize {
        self.panics.values().sum()
    }

    /// Whether the call came to its end without a panic and in order.
    fn undisturbed(&self, order: usize) -> bool {
        self.reports.get(&order).is_some_and(|report| report.ok) && self.panics.get(&order) == Some(&0)
    }
}

/// The caller of one order: places the call and panics the action child in some of them.
async fn caller(server: Rc<Server>, order: usize, way: Way, random: u64) -> Result<(CallReport, usize)> {
    let mut plan = server.plan(&scenario(way, order, random)?, order);
    let id = sid();
    plan.call_sid = Some(id.clone());
    let panics = async {
        let mut done = 0;
        for (chance, after) in [(2, 9000 + random % 5000), (4, 500 + random % 2500)] {
            sleep(Duration::from_millis(after)).await;
            if (random >> chance).is_multiple_of(chance) {
                let url = server.url(&format!("/test/panic/{id}/action"));
                let answer = request(&client(), Method::POST, &url, None).await;
                done += usize::from(answer.is_ok_and(|answer| answer.status == 202));
            }
        }
        done
    };
    let (report, panics) = tokio::join!(place_call(plan), panics);
    Ok((report, panics))
}

/// Numbers that look random and are the same in each run.
pub fn random(order: usize) -> u64 {
    let mut x = (order as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB) >> 16
}

type Calls = JoinSet<(usize, Result<(CallReport, usize)>)>;

fn place(calls: &mut Calls, server: &Rc<Server>, order: usize, tried: &mut Tried) {
    let (random, way) = (random(order), Way::ALL[order % Way::ALL.len()]);
    tried.ways.insert(order, way);
    let server = Rc::clone(server);
    calls.spawn_local(async move { (order, caller(server, order, way, random).await) });
}

fn note(ended: (usize, Result<(CallReport, usize)>), tried: &mut Tried) -> Result<()> {
    let (order, (report, panics)) = (ended.0, ended.1?);
    tried.panics.insert(order, panics);
    tried.reports.insert(order, report);
    Ok(())
}

/// Calls without a kill, and then rounds with one each.
pub async fn run(which: &[&str], size: Size) -> Result<Vec<Table>> {
    let (calls, rounds) = (size.calls(CALLS), size.rounds.unwrap_or(ROUNDS));
    let orders = FIRST_ORDER..FIRST_ORDER + calls + rounds as usize * CALLS_A_ROUND;
    let mut tables = Vec::new();
    if which.is_empty() || which.contains(&"own") {
        tables.extend(against(&Vendor::own()?, "a client's own system", calls, rounds).await?);
    }
    if which.is_empty() || which.contains(&"shop") {
        // As `Server::plan` numbers callers.
        let phone = |order: usize| format!("+9198765{:05}", order % 100_000);
        tables.extend(against(&Vendor::shop(orders, phone).await?, "a Shopify shop", calls, rounds).await?);
    }
    ensure!(!tables.is_empty(), "actions {which:?}: own and shop are known");
    Ok(tables)
}

async fn against(vendor: &Vendor, named: &str, calls: usize, rounds: u64) -> Result<Vec<Table>> {
    let engine = engine().await?;
    let mut server = Rc::new(server(&engine, vendor).await?);
    let mut tried = Tried::default();
    let (begun, mut placed) = (Instant::now(), Calls::new());
    for order in FIRST_ORDER..FIRST_ORDER + calls {
        while placed.len() >= PARALLEL {
            note(placed.join_next().await.context("no call")??, &mut tried)?;
        }
        place(&mut placed, &server, order, &mut tried);
        sleep(Duration::from_millis(50)).await;
        if order % 100 == 0 {
            eprintln!("actions: {} of {calls} calls placed after {:?}", order + 1 - FIRST_ORDER, begun.elapsed());
        }
    }
    while let Some(ended) = placed.join_next().await {
        note(ended?, &mut tried)?;
    }
    ensure!(tried.panicked() > 0, "no action child panicked: is the binary built with --features planned-panics?");
    let mut tables = vec![judge(&server, vendor, &tried, format!("{calls} calls with writes to {named}")).await?];
    let mut killed = Tried::default();
    for round in 0..rounds {
        let from = FIRST_ORDER + calls + round as usize * CALLS_A_ROUND;
        let mut placed = Calls::new();
        for order in from..from + CALLS_A_ROUND {
            place(&mut placed, &server, order, &mut killed);
        }
        sleep(Duration::from_millis(7000 + random(from) % 9000)).await;
        placed.shutdown().await;
        let again = Rc::get_mut(&mut server).context("a call holds the server")?;
        again.kill();
        again.run()?;
        again.ready(Duration::from_secs(20)).await?;
        eprintln!("actions: killed {} of {rounds} times", round + 1);
    }
    if rounds > 0 {
        let title = format!("kill -9 in the middle of writes to {named}, {rounds} times, {CALLS_A_ROUND} calls each");
        tables.push(judge(&server, vendor, &killed, title).await?);
    }
    Ok(tables)
}

/// Rows of the record by order.
async fn rows(server: &Server) -> Result<HashMap<usize, Vec<Value>>> {
    let mut found: HashMap<usize, Vec<Value>> = HashMap::new();
    for row in server.all("/actions").await? {
        let order = row["arguments"]["order_number"].as_str().and_then(|text| text.parse().ok());
        found.entry(order.with_context(|| format!("an action without its order: {row}"))?).or_default().push(row);
    }
    Ok(found)
}

fn open(row: &Value) -> bool {
    matches!(row["state"].as_str(), Some("proposed" | "confirmed" | "running" | "unknown"))
}

async fn judge(server: &Server, vendor: &Vendor, tried: &Tried, title: String) -> Result<Table> {
    let was_unknown = rows(server).await?.values().flatten().filter(|row| row["state"] == "unknown").count();
    let settled = || async {
        rows(server)
            .await
            .is_ok_and(|rows| tried.ways.keys().filter_map(|order| rows.get(order)).flatten().all(|row| !open(row)))
    };
    let resolved = until("every action has an outcome", RESOLVED, settled).await;
    let (rows, ledger) = (rows(server).await?, vendor.ledger());
    let mut seen = Seen::default();
    for (order, way) in &tried.ways {
        let (rows, effects) = (rows.get(order).map_or(&[][..], Vec::as_slice), ledger.get(order).copied().unwrap_or(0));
        let forgotten = seen.forgotten;
        seen.look(*way, rows, effects, tried.undisturbed(*order));
        if let (true, Some(row)) = (seen.forgotten > forgotten, rows.first()) {
            seen.notes.push(what_happened(server, row["call_id"].as_str().unwrap_or_default()).await?);
        }
    }
    let mut table = Table::new(title);
    table.tell("calls placed", tried.ways.len());
    let (bad, why) = crate::world::lost(&tried.reports.values().cloned().collect::<Vec<_>>());
    table.tell("calls that ended in no order", bad);
    table.tell("writes done, as the record says", seen.done);
    table.tell("planned panics of the action child", tried.panicked());
    table.tell("writes that were agreed to and failed, as the record says", seen.failed);
    table.tell("calls in which nothing was read back", seen.nothing);
    table.tell("the other system", vendor.told());
    table.tell("actions unknown when the last call ended", was_unknown);
    table.none("orders cancelled twice", seen.twice);
    table.none("orders cancelled without a yes", seen.unasked);
    table.none("done on record and not in the ledger", seen.made_up);
    table.none("in the ledger and not done on record", seen.hidden);
    table.none("actions still without an outcome", seen.open);
    table.none("agreed to, call undisturbed, not done", seen.forgotten);
    match resolved {
        Ok(took) => table.within("every unknown resolved after", took, RESOLVED),
        Err(error) => table.judge("every unknown resolved after", error, "600 s", false),
    }
    why.into_iter().for_each(|note| table.note(note));
    seen.notes.into_iter().take(8).for_each(|text| table.note(text));
    Ok(table)
}

/// Turns and events of a call in the order of their time.
async fn what_happened(server: &Server, call: &str) -> Result<String> {
    let told = server.api(&format!("/calls/{call}")).await?;
    let mut lines: Vec<(u64, String)> = Vec::new();
    for turn in told["turns"].as_array().into_iter().flatten() {
        let text = format!("{} {:?} | {:?}", turn["speaker"], turn["text"], turn["unheard"]);
        lines.push((turn["started_ms"].as_u64().unwrap_or_default(), text));
    }
    for event in told["events"].as_array().into_iter().flatten() {
        let text = format!("{} {}", event["kind"], event["detail"]);
        lines.push((event["at_ms"].as_u64().unwrap_or_default(), text));
    }
    lines.sort();
    let lines: Vec<String> = lines.into_iter().map(|(at, text)| format!("{at} {text}")).collect();
    Ok(format!("call {call}:\n    {}", lines.join("\n    ")))
}

#[derive(Default)]
struct Seen {
    done: usize,
    failed: usize,
    nothing: usize,
    twice: usize,
    unasked: usize,
    made_up: usize,
    hidden: usize,
    open: usize,
    forgotten: usize,
    notes: Vec<String>,
}

impl Seen {
    fn look(&mut self, way: Way, rows: &[Value], effects: usize, undisturbed: bool) {
        let of = |state: &str| rows.iter().filter(|row| row["state"] == state).count();
        let (done, failed) = (of("done"), of("failed"));
        self.failed += failed;
        self.nothing += usize::from(rows.is_empty());
        let open = rows.iter().filter(|row| open(row)).count();
        self.done += done;
        self.twice += usize::from(effects > 1);
        self.unasked += usize::from(effects > 0 && !way.may_agree());
        self.made_up += usize::from(done > effects);
        self.hidden += usize::from(effects > done);
        self.open += open;
        // A panic makes a plan late: then the yes may be said to a "one moment please", and rightly counts for nothing.
        let forgotten = undisturbed && way.surely_agrees() && of("withdrawn") > 0 && done == 0 && failed == 0;
        self.forgotten += usize::from(forgotten);
        if effects > 1 || effects != done || open > 0 || forgotten || (effects > 0 && !way.may_agree()) {
            let states: Vec<_> = rows.iter().map(|row| format!("{} {}", row["call_id"], row["state"])).collect();
            self.notes.push(format!("{way:?}: {effects} effects, {states:?}"));
        }
    }
}
