//! What an audio frame costs: load on the finished server, from a process of its own (`make bench`).
//!
//! Starts the release server on one processor and, on another, an engine that repeats the caller and N simulated calls
//! that talk all the time. Every 20 ms block carries a number, so that its delay is measured and its loss noticed.
//!
//! `CALY_BENCH_CALLS="1,50,200"` and `CALY_BENCH_SECONDS=10` change the ladder; `cargo bench --bench relay -- --json`
//! prints JSON. Variables such as `CALY__ENGINE__AUDIO=pcm24` reach the server. Needs Linux; binds with `taskset` if
//! that is there. Exit code 1 if something failed to run, or blocks were later than they may be at the 99th percentile.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the table is the result")]

#[path = "relay/block.rs"]
mod block;
#[path = "relay/caller.rs"]
mod caller;
#[path = "relay/engine.rs"]
mod engine;
#[path = "relay/frame.rs"]
mod frame;
#[path = "relay/report.rs"]
mod report;
#[path = "relay/server.rs"]
mod server;

use std::process::{Command, ExitCode, Stdio};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use caller::{BLOCK, Seat, Shared, Target};
use engine::Engine;
use report::{Delay, Rung, Setting};
use server::{Plan, Processor, Server};

/// The client that the calls are for; its number as stored and as Exotel writes it.
const SLUG: &str = "bench";
const NUMBER: &str = "+918047112233";
const CALLED: &str = "08047112233";
/// From all calls talking to the first block measured.
const WARM_UP: Duration = Duration::from_secs(5);
/// Between two calls being placed.
const PLACE_EVERY: Duration = Duration::from_millis(10);
/// For the calls to be placed and heard, beside the time it takes to place them.
const UP_DEADLINE: Duration = Duration::from_secs(20);
/// Blocks still on their way when the window ends have this long.
const STRAGGLERS: Duration = Duration::from_secs(1);
/// For all sessions to be gone after a call-off.
const DOWN_DEADLINE: Duration = Duration::from_secs(10);
/// Let go of what a call took before the memory without calls is read.
const SETTLE: Duration = Duration::from_millis(500);

/// A frame of the carrier: a block that is later than its length is heard as a gap.
const LATE_MS: f64 = 20.0;

struct Options {
    calls: Vec<usize>,
    seconds: u64,
    json: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let given = |name: &str| arguments.iter().any(|argument| argument == name);
    if given("--list") {
        return ExitCode::SUCCESS;
    }
    if let Err(error) = block::self_check().and_then(|()| frame::self_check()) {
        eprintln!("relay: the harness is wrong: {error}");
        return ExitCode::FAILURE;
    }
    // `cargo bench` says so; a test run only wants to know that the harness is sound.
    if !given("--bench") {
        eprintln!("relay: self-check passed; run it with: cargo bench --bench relay");
        return ExitCode::SUCCESS;
    }
    match options(given("--json")).and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("relay: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn options(json: bool) -> Result<Options> {
    let calls = std::env::var("CALY_BENCH_CALLS").unwrap_or_else(|_| "1,50,200".to_owned());
    let seconds = std::env::var("CALY_BENCH_SECONDS").unwrap_or_else(|_| "10".to_owned());
    let calls: Vec<usize> = calls
        .split(',')
        .map(|word| word.trim().parse().ok().filter(|calls| (1..=2000).contains(calls)))
        .collect::<Option<_>>()
        .context("CALY_BENCH_CALLS: numbers from 1 to 2000, as in \"1,50,200\"")?;
    let seconds = seconds.trim().parse().ok().filter(|seconds| (1..=600).contains(seconds));
    Ok(Options { calls, seconds: seconds.context("CALY_BENCH_SECONDS: 1 to 600")?, json })
}

fn run(options: &Options) -> Result<()> {
    let bound = bind();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    let (setting, rungs) = local.block_on(&runtime, async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        // Whatever ends this future drops the server and its directory.
        tokio::select! {
            result = ladder(options, bound) => result,
            _ = interrupt.recv() => bail!("interrupted"),
            _ = terminate.recv() => bail!("terminated"),
        }
    })?;
    if options.json {
        println!("{}", report::json(&setting, &rungs));
    } else {
        println!("{}", report::table(&setting, &rungs));
    }
    for rung in &rungs {
        let late = rung.delay.as_ref().is_none_or(|delay| delay.p99_ms > LATE_MS);
        ensure!(!late && rung.failed == 0, "{} calls: blocks are later than {LATE_MS} ms, or calls failed", rung.calls);
    }
    Ok(())
}

/// Binds this process to the second processor it may use and keeps the first for the server.
fn bind() -> Option<(usize, usize)> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let mut allowed = list.trim().split(',').flat_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        first.parse::<usize>().unwrap_or(1)..=last.parse::<usize>().unwrap_or(0)
    });
    let (server, harness) = (allowed.next()?, allowed.next()?);
    let taskset = Command::new("taskset")
        .args(["-cp", &harness.to_string(), &std::process::id().to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    taskset.ok().filter(std::process::ExitStatus::success).map(|_| (server, harness))
}

async fn ladder(options: &Options, bound: Option<(usize, usize)>) -> Result<(Setting, Vec<Rung>)> {
    let directory = tempfile::Builder::new().prefix("caly-bench-").tempdir()?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let plan = Plan {
        binary: env!("CARGO_BIN_EXE_caly").into(),
        directory: directory.path().to_owned(),
        processor: bound.map(|(server, _)| server),
        engine_port: listener.local_addr()?.port(),
    };
    let engine = Rc::new(Engine::default());
    tokio::task::spawn_local(Rc::clone(&engine).serve(listener));
    let secret = plan.create_client(SLUG, NUMBER)?;
    let payloads: Rc<[String]> = block::payloads().into();
    let mut rungs = Vec::new();
    for &calls in &options.calls {
        eprintln!("relay: {calls} calls, {} s", options.seconds);
        let server = Server::start(&plan).await?;
        let call_start = Url::parse_with_params(
            &format!("http://127.0.0.1:{}/webhooks/exotel/{SLUG}/call-start", server.port),
            [("key", &secret)],
        )?;
        let shared = || {
            let target = Target { call_start: call_start.clone(), called: CALLED };
            Rc::new(Shared::new(target, Rc::clone(&payloads)))
        };
        let measured = async {
            prime(&engine, shared()).await?;
            measure(&server, &engine, shared(), calls, options.seconds).await
        };
        rungs.push(measured.await.with_context(|| server.log_tail())?);
    }
    let mut setting = Setting::here(bound, options.seconds);
    setting.engine_audio.clone_from(&engine.format.borrow());
    Ok((setting, rungs))
}

/// The calls of a rung, being placed and talking. Dropped, they are gone.
type Calls = JoinSet<Result<()>>;

fn place(shared: &Rc<Shared>, calls: usize) -> Calls {
    let mut placed = Calls::new();
    let begin = Instant::now();
    for number in 0..calls {
        let shared = Rc::clone(shared);
        placed.spawn_local(async move {
            tokio::time::sleep_until(begin + PLACE_EVERY * number as u32).await;
            caller::place(shared, Seat { number, of: calls }).await
        });
    }
    placed
}

/// Waits until all calls have heard themselves, have failed, or the deadline is past.
async fn come_up(shared: &Shared, calls: usize, placed: &mut Calls, failures: &mut Failures) {
    let deadline = Instant::now() + UP_DEADLINE + PLACE_EVERY * calls as u32;
    while shared.carrying.get() + failures.count < calls && Instant::now() < deadline {
        sleep(Duration::from_millis(20)).await;
        failures.collect(placed);
    }
}

async fn call_off(shared: &Shared, engine: &Engine, placed: &mut Calls, failures: &mut Failures) {
    shared.stop();
    let down = async {
        while let Some(ended) = placed.join_next().await {
            failures.note(ended);
        }
        while engine.sessions.get() > 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    // What is left is cut off when the server goes.
    let _ = timeout(DOWN_DEADLINE, down).await;
    placed.abort_all();
}

#[derive(Default)]
struct Failures {
    count: usize,
    first: Option<String>,
}

impl Failures {
    fn collect(&mut self, placed: &mut Calls) {
        while let Some(ended) = placed.try_join_next() {
            self.note(ended);
        }
    }

    fn note(&mut self, ended: Result<Result<()>, tokio::task::JoinError>) {
        let error = match ended {
            Ok(Ok(())) => return,
            Ok(Err(error)) => format!("{error:#}"),
            Err(error) => error.to_string(),
        };
        self.count += 1;
        self.first.get_or_insert(error);
    }
}

/// One call, so that what is made once for all calls is no call's memory.
async fn prime(engine: &Engine, shared: Rc<Shared>) -> Result<()> {
    let mut failures = Failures::default();
    let mut placed = place(&shared, 1);
    come_up(&shared, 1, &mut placed, &mut failures).await;
    let carried = shared.carrying.get();
    call_off(&shared, engine, &mut placed, &mut failures).await;
    let first = failures.first.or_else(|| engine.failure.take()).unwrap_or_else(|| "no block came back".to_owned());
    ensure!(carried == 1, "the first call carries no audio: {first}");
    sleep(SETTLE).await;
    Ok(())
}

async fn measure(server: &Server, engine: &Engine, shared: Rc<Shared>, calls: usize, seconds: u64) -> Result<Rung> {
    let idle_kib = server::resident_kib(server.id())?;
    let mut failures = Failures::default();
    let mut placed = place(&shared, calls);
    come_up(&shared, calls, &mut placed, &mut failures).await;
    sleep(WARM_UP).await;
    let length = Duration::from_secs(seconds);
    let (server_before, harness_before) = (Processor::of(server.id())?, Processor::of(std::process::id())?);
    let (began, busy_before) = (Instant::now(), server::machine_busy());
    shared.measure(length);
    sleep(length).await;
    let (server_after, harness_after) = (Processor::of(server.id())?, Processor::of(std::process::id())?);
    let busy = server::machine_busy().saturating_sub(busy_before).as_secs_f64();
    let elapsed = began.elapsed().as_secs_f64();
    let busy_kib = server::resident_kib(server.id())?;
    let carried = shared.carrying.get();
    sleep(STRAGGLERS).await;
    failures.collect(&mut placed);
    let (sent, delays) = shared.measured();
    call_off(&shared, engine, &mut placed, &mut failures).await;
    let silent = calls.saturating_sub(carried);
    let failure = failures.first.or_else(|| engine.failure.take());
    if carried == 0 {
        bail!("no call carries audio: {}", failure.unwrap_or_else(|| "no block came back".to_owned()));
    }
    // A call that fell silent owes the blocks it never sent.
    let expected = sent.max(calls as u64 * seconds * 1000 / BLOCK.as_millis() as u64);
    let lost = expected.saturating_sub(delays.len() as u64);
    let cpu = server_after.since(&server_before).as_secs_f64();
    let own = harness_after.since(&harness_before).as_secs_f64();
    Ok(Rung {
        calls,
        cpu_ms: cpu * 1000.0 / elapsed / calls as f64,
        core_percent: cpu / elapsed * 100.0,
        delay: Delay::of(&delays),
        memory_kib: (busy_kib as f64 - idle_kib as f64) / calls as f64,
        lost_percent: lost as f64 * 100.0 / expected as f64,
        harness_percent: own / elapsed * 100.0,
        others_percent: (busy - cpu - own).max(0.0) / elapsed * 100.0,
        failed: failures.count.max(silent),
        failure: failure.or_else(|| (silent > 0).then(|| "no block came back".to_owned())),
    })
}
