//! The engine's sockets cut, or one part of each call panicked, while its caller waits for an answer: whether the call goes on,
//! how soon the caller hears something and then the answer, and whether what was said before is known after.
//!
//! Panics need a binary with the feature `planned-panics` (`make faults` builds one).

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use awc::http::Method;
use caly::sim::carrier::{CallReport, Live, Scenario, Utterance, place_call};
use caly::sim::engine::{EngineOptions, EngineServer, Rule, Say, Script, serve};
use caly::sim::library::library;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant as Tick, sleep, sleep_until};

use crate::Size;
use crate::acting::random;
use crate::proxy::Proxy;
use crate::stream::sid;
use crate::world::{Server, Settings, Table, client, lost, request, until};

/// Of each kind.
const CALLS: usize = 100;
/// Up at once.
const AT_ONCE: usize = 10;
/// Between the starts of two calls of one round.
const APART: Duration = Duration::from_millis(311);
/// What is cut or panicked.
const HARMS: [&str; 6] = ["engine", "media", "realtime", "intent", "action", "call"];
/// Goals.
const ANSWERED: Duration = Duration::from_secs(2);
const GAP: Duration = Duration::from_millis(200);
/// From Caly's sending a first sound until the caller's ear takes it for speech.
const ON_THE_WAY: Duration = Duration::from_millis(250);
/// From SIGHUP until what it asks for is in use, and from the last call until nothing of it is left.
const SOON: Duration = Duration::from_secs(20);

/// What the caller says, and the clip that answers it.
const TOLD: (&str, &str) = ("order_number", "shop_open");
const ASKED: (&str, &str) = ("shop_hours", "order_ask_number");
const WANTED: (&str, &str) = ("want_callback", "callback_done");
/// What the order number says, as the tool called at the end has to repeat it.
const FACT: &str = "order 1001";

/// A caller who tells an order number, asks twice and wants to be rung back about that order.
fn scenario() -> Result<Scenario> {
    let mut text =
        "name = \"crashes\"\ntitle = \"asks on\"\nexpect = \"caller_hung_up\"\nmax_seconds = 120\n".to_owned();
    let mut step = |line: &str| text.push_str(&format!("[[step]]\n{line}\n"));
    step("hear = \"any\"\ntimeout_ms = 20000");
    for (clip, _) in [TOLD, ASKED, ASKED, WANTED] {
        step("wait_ms = 400");
        step(&format!("say = \"{clip}\""));
        step("hear = \"any\"\ntimeout_ms = 25000");
        // What was said may have been "one moment please".
        step("agent_silence_ms = 1500");
    }
    step("hang_up = true");
    Scenario::parse(&text).map_err(|problem| anyhow!("scenario: {problem}"))
}

/// An engine that answers as above, and knows an order's number only from its session.
async fn engine() -> Result<EngineServer> {
    let mut script = Script::built_in().map_err(|problem| anyhow!(problem))?;
    let say = |words: &str, clip: &str| Rule {
        when: vec![words.to_owned()],
        say: Some(Say::One(clip.to_owned())),
        tool: None,
        arguments: serde_json::Map::new(),
        without_tool: None,
        fail: None,
    };
    let told = json!({ "when": "later", "topic": "order {earlier_digits}" });
    let ring = Rule {
        say: None,
        tool: Some("request_callback".to_owned()),
        arguments: told.as_object().cloned().unwrap_or_default(),
        ..say("call back", "")
    };
    script.rules.splice(0..0, [say("order number", TOLD.1), say("dukaan", ASKED.1), ring]);
    let options = EngineOptions::sandbox().map_err(|problem| anyhow!(problem))?;
    serve(EngineOptions { script: Arc::new(script), ..options }).await.map_err(|error| anyhow!("engine: {error}"))
}

/// A server that reaches the engine through the proxy.
async fn server(proxy: &Proxy) -> Result<Server> {
    let settings = Settings::default()
        .with("OPENAI_API_KEY", "sk-campaign")
        .with("OPENAI_BASE_URL", format!("ws://{}/v1", proxy.address()));
    let server = Server::start(settings).await?;
    let file = server.directory.path().join("agent.json");
    std::fs::write(&file, json!({ "instructions": "Be brief.", "language": "hi-Latn" }).to_string())?;
    let read = |times: usize| server.log().matches("read anew").count() >= times;
    until("the demo client is in use", SOON, || async { read(1) }).await?;
    let published = server.command(&["client", "agent", "demo", file.to_str().context("a path")?])?.output()?;
    ensure!(published.status.success(), "caly client agent: {}", String::from_utf8_lossy(&published.stderr));
    server.signal("HUP")?;
    until("its agent is in use", SOON, || async { read(2) }).await?;
    Ok(server)
}

/// One call, and when it was harmed, counted from its stream's start.
struct Harmed {
    report: CallReport,
    at: Option<Duration>,
}

/// Places a call; the harm is done so long after its caller began the second question, or at the moment given.
async fn caller(server: Rc<Server>, number: usize, harm: Harm) -> Result<Harmed> {
    let mut plan = server.plan(&scenario()?, number);
    let id = sid();
    plan.call_sid = Some(id.clone());
    plan.recognise = true;
    let (begun, asked) = (Rc::new(Cell::new(None::<Instant>)), Rc::new(Cell::new(None::<Instant>)));
    let (stream, question) = (Rc::clone(&begun), Rc::clone(&asked));
    let words = library().get(ASKED.0).context("no such clip")?.text.clone();
    plan.listener = Some(Rc::new(move |live: &Live| match live {
        Live::Connected(_) => stream.set(Some(Instant::now())),
        Live::Caller(_, said) if *said == words && question.get().is_none() => question.set(Some(Instant::now())),
        _ => {}
    }));
    let harming = async {
        match harm {
            Harm::At(moment) => {
                sleep_until(moment).await;
                Some(Instant::now())
            }
            Harm::Panic { part, after } => {
                until("a question", Duration::from_secs(60), || async { asked.get().is_some() }).await.ok()?;
                sleep(after).await;
                let url = server.url(&format!("/test/panic/{id}/{part}"));
                let answer = request(&client(), Method::POST, &url, None).await.ok()?;
                (answer.status == 202).then(Instant::now)
            }
        }
    };
    let (report, harmed) = tokio::join!(place_call(plan), harming);
    let at = harmed.zip(begun.get()).map(|(harmed, begun)| harmed.saturating_duration_since(begun));
    Ok(Harmed { at: at.filter(|at| *at < report.stream), report })
}

#[derive(Clone, Copy)]
enum Harm {
    /// Done for all calls of a round in one moment, by whoever gave it.
    At(Tick),
    Panic {
        part: &'static str,
        after: Duration,
    },
}

/// Rounds of calls; in each of them all are cut from the engine at once, or each is panicked on its own.
async fn calls(server: &Rc<Server>, proxy: &Proxy, what: &'static str, count: usize) -> Result<Vec<Harmed>> {
    let mut all = Vec::new();
    while all.len() < count {
        let first = all.len();
        let round = AT_ONCE.min(count - first);
        let moment = Tick::now() + Duration::from_millis(7000 + random(first + 1) % 9000);
        let mut placed = JoinSet::new();
        for number in first..first + round {
            let after = Duration::from_millis(random(number + 1) % 4000);
            let harm = if what == "engine" { Harm::At(moment) } else { Harm::Panic { part: what, after } };
            let server = Rc::clone(server);
            placed.spawn_local(async move {
                sleep(APART * (number - first) as u32).await;
                caller(server, number, harm).await
            });
        }
        if what == "engine" {
            sleep_until(moment).await;
            proxy.cut();
        }
        while let Some(ended) = placed.join_next().await {
            all.push(ended??);
        }
        eprintln!("crashes {what}: {} of {count} calls", all.len());
    }
    Ok(all)
}

/// What a harmed caller waited for, and for how long.
#[derive(Default)]
struct Waits {
    /// Nothing was asked that was not answered to its end.
    idle: usize,
    /// The answer was being heard.
    speaking: usize,
    /// From the harm, or the end of the question, to any sound of the agent …
    sound: Vec<Duration>,
    /// … and to the first sound of the answer itself.
    answer: Vec<Duration>,
    /// … of which an other session said the rest.
    broken: usize,
    /// From the harm until the rest of an answer that was being heard.
    resumed: Vec<Duration>,
    /// Questions without their answer.
    unanswered: Vec<String>,
}

impl Waits {
    fn look(&mut self, report: &CallReport, at: Duration) {
        let Some(asked) = report.turns.iter().rev().find(|turn| turn.start <= at) else {
            self.idle += 1;
            return;
        };
        let clip = [TOLD, ASKED, WANTED].into_iter().find(|(clip, _)| *clip == asked.clip).map_or("", |(_, clip)| clip);
        let whole = library().get(clip).map_or(Duration::ZERO, |clip| Duration::from_millis(clip.millis()));
        let next = report.turns.iter().map(|turn| turn.start).find(|start| *start > asked.end);
        let until = next.unwrap_or(report.stream);
        let after = report.heard.iter().filter(|said| said.end > asked.end && said.start < until);
        // Sent by then, if not yet heard.
        let begun = |said: &Utterance| said.start <= at + ON_THE_WAY;
        let Some(answer) = after.clone().find(|said| said.clips.iter().any(|name| name == clip)) else {
            // Cut in the middle of it: said on from there by another session, or as far as it was made.
            match after.clone().next_back().filter(|said| after.clone().any(begun) && said.end > at) {
                Some(rest) => {
                    self.broken += 1;
                    self.resumed.push(rest.start.saturating_sub(at));
                }
                None => self.unanswered.push(format!("{} at {at:.1?}: {}", report.call_sid, told(report))),
            }
            return;
        };
        let first = answer.end.saturating_sub(whole).max(answer.start);
        if answer.end <= at {
            self.idle += 1;
        } else if first <= at + ON_THE_WAY {
            self.speaking += 1;
            self.resumed.push(Duration::ZERO);
        } else {
            let since = at.max(asked.end);
            let sound = after.clone().map(|said| said.start.max(since)).find(|start| *start >= since);
            self.sound.push(sound.unwrap_or(first).saturating_sub(since));
            self.answer.push(first.saturating_sub(since));
        }
    }
}

/// What was said by whom and when, in one line.
fn told(report: &CallReport) -> String {
    let mut said: Vec<(Duration, Duration, String)> =
        report.turns.iter().map(|turn| (turn.start, turn.end, turn.clip.clone())).collect();
    said.extend(report.heard.iter().map(|said| (said.start, said.end, format!("<- {}", said.clips.join(" ")))));
    said.sort();
    let lines: Vec<String> = said.iter().map(|(from, to, what)| format!("{from:.1?}-{to:.1?} {what}")).collect();
    lines.join(", ")
}

fn quantile(times: &[Duration], fraction: f64) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    crate::ears::quantile(&sorted, fraction)
}

/// What the record tells of a call: its events and turns, with their seconds.
async fn on_record(server: &Server, how: &str) -> Result<String> {
    let rows = server.all("/calls").await?;
    let row = rows.iter().find(|row| row["carrier_call_id"].as_str().is_some_and(|sid| how.starts_with(sid)));
    let Some(id) = row.and_then(|row| row["id"].as_str()) else { return Ok("not on record".to_owned()) };
    let call = server.api(&format!("/calls/{id}")).await?;
    let told = |row: &Value, at: &str, what: &str| {
        format!("{:.1} {}", row[at].as_f64().unwrap_or_default() / 1000.0, row[what].as_str().unwrap_or("?"))
    };
    let (events, turns) = (call["events"].as_array(), call["turns"].as_array());
    let events = events.into_iter().flatten().map(|event| told(event, "at_ms", "kind"));
    let turns = turns.into_iter().flatten().map(|turn| told(turn, "started_ms", "text"));
    Ok(events.chain(turns).collect::<Vec<_>>().join("; "))
}

/// Calls whose last wish was noted with what they had told at the beginning.
async fn remembered(server: &Server, calls: &[Harmed]) -> Result<usize> {
    let ids: HashMap<String, String> = server
        .all("/calls")
        .await?
        .iter()
        .filter_map(|row| Some((row["carrier_call_id"].as_str()?.to_owned(), row["id"].as_str()?.to_owned())))
        .collect();
    let noted: Vec<Value> = server.all("/actions").await?;
    let known = |call: &&Harmed| {
        let Some(id) = ids.get(&call.report.call_sid) else { return false };
        noted.iter().any(|row| row["call_id"] == **id && row["state"] == "done" && row["arguments"]["topic"] == FACT)
    };
    Ok(calls.iter().filter(known).count())
}

async fn judge(server: &Server, engine: &EngineServer, what: &str, calls: &[Harmed]) -> Result<Table> {
    let mut table = Table::new(match what {
        "engine" => "crashes: the engine's sockets cut at a random moment".to_owned(),
        part => format!("crashes: the part \"{part}\" panicked within 4 s of a question"),
    });
    let gap = engine.longest_gap();
    let mut waits = Waits::default();
    calls.iter().for_each(|call| call.at.into_iter().for_each(|at| waits.look(&call.report, at)));
    let reports: Vec<CallReport> = calls.iter().map(|call| call.report.clone()).collect();
    let (bad, why) = lost(&reports);
    table.tell("calls", calls.len());
    table.none("not harmed", calls.iter().filter(|call| call.at.is_none()).count());
    table.none("calls lost", bad);
    table.tell("harmed between two turns", waits.idle);
    table.tell("harmed before the answer was heard", waits.answer.len());
    table.tell("harmed while it was heard, and it was heard whole", waits.speaking);
    table.tell("harmed while it was heard, and gone on in another session", waits.broken);
    table.none("questions not answered", waits.unanswered.len());
    let p95 = |times: &[Duration]| quantile(times, 0.95);
    table.within("harm or end of question to any sound, p95", p95(&waits.sound), ANSWERED);
    table.within("… to the answer, p95", p95(&waits.answer), ANSWERED);
    table.tell("… p50", format!("{:.0} ms", quantile(&waits.answer, 0.5).as_secs_f64() * 1000.0));
    table.tell("… longest", format!("{:.0} ms", quantile(&waits.answer, 1.0).as_secs_f64() * 1000.0));
    table.within("to the rest of an answer being heard, p95", p95(&waits.resumed), ANSWERED);
    let known = remembered(server, calls).await?;
    table.judge("calls in which the order told before was known after", known, "all", known == calls.len());
    match what {
        "engine" => table.tell("sessions opened", engine.sessions()),
        _ => table.within("longest gap in the caller's sound to the engine", gap, GAP),
    }
    table.none("violations of the engine's protocol", engine.violations().len());
    let left = server.nothing_left(SOON).await;
    table.judge("nothing of the calls is left", left.is_ok(), "true", left.is_ok());
    for how in waits.unanswered.iter().take(5) {
        table.note(how);
        table.note(on_record(server, how).await?);
    }
    why.into_iter().chain(engine.violations().into_iter().take(5)).for_each(|note| table.note(note));
    Ok(table)
}

pub async fn run(which: &[&str], size: Size) -> Result<Vec<Table>> {
    let mut tables = Vec::new();
    for what in HARMS.into_iter().filter(|what| which.is_empty() || which.contains(what)) {
        let engine = engine().await?;
        let proxy = Proxy::start(engine.address)?;
        let server = Rc::new(server(&proxy).await?);
        let done = calls(&server, &proxy, what, size.calls(CALLS)).await?;
        let panicked = server.metric("caly_child_restarts_total").await?;
        ensure!(
            what == "engine" || what == "call" || panicked > 0.0,
            "no {what} panicked: is the binary built with --features planned-panics?"
        );
        tables.push(judge(&server, &engine, what, &done).await?);
        engine.stop().await;
    }
    if tables.is_empty() {
        bail!("crashes {which:?}: there are {}", HARMS.join(", "));
    }
    Ok(tables)
}
