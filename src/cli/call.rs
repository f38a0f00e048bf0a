//! `caly call`: be the carrier. Places simulated calls against any server and shows the conversation and the timings.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;
use tokio::sync::mpsc;
use url::Url;

use super::output::say;
use crate::config::Config;
use crate::sim::carrier::{CallPlan, CallReport, Live, OUTBOUND, Scenario, place_call};
use crate::sim::library::scenario_names;

/// Be the carrier: place simulated Exotel calls against a server.
#[derive(Clone, Debug, clap::Args)]
pub struct CallArgs {
    /// What the caller does
    #[arg(long, default_value = "demo", help = scenario_help())]
    pub scenario: String,
    /// The server: http(s)://host for Caly, a whole dynamic-URL address, or ws(s):// for a bot's stream.
    /// Without it the running sandbox is called (data/sandbox.json, written by `caly serve`)
    #[arg(long)]
    pub url: Option<String>,
    /// Slug of the client whose number is called
    #[arg(long)]
    pub client: Option<String>,
    /// The client's webhook key
    #[arg(long)]
    pub key: Option<String>,
    /// Calls in all
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub count: u32,
    /// Calls at the same time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub parallel: u32,
    /// Milliseconds between the starts of two calls
    #[arg(long, default_value_t = 5)]
    pub ramp_ms: u64,
    /// Audio in a message: 20 or 100 ms
    #[arg(long, default_value_t = 20, value_parser = frame_ms)]
    pub frame_ms: u64,
    /// One JSON object for each call
    #[arg(long)]
    pub json: bool,
    /// Write both sides as a stereo WAV (caller left, agent right); a number is added when there are several calls
    #[arg(long, value_name = "FILE.wav")]
    pub record: Option<PathBuf>,
    /// The caller's number
    #[arg(long)]
    pub from: Option<String>,
    /// The called number
    #[arg(long)]
    pub to: Option<String>,
    /// The business rings the caller up, who has to be greeted after their first word where the agent's `limits.hello_s` says so
    #[arg(long)]
    pub outbound: bool,
    /// Asked after the stream, when --url is not Caly's
    #[arg(long)]
    pub passthru_url: Option<String>,
    /// Asked when the call is handed over, when --url is not Caly's
    #[arg(long)]
    pub connect_url: Option<String>,
    /// Told of the end, when --url is not Caly's
    #[arg(long)]
    pub status_callback: Option<String>,
    /// Delay some audio by up to so many milliseconds and send it in bursts
    #[arg(long, default_value_t = 0)]
    pub jitter_ms: u64,
    /// Do not work out what the agent said; always so with more than 10 calls at a time
    #[arg(long)]
    pub deaf: bool,
    /// Threads that make calls; default: one for 100 calls at a time, at most one for each core
    #[arg(long)]
    pub threads: Option<usize>,
}

fn scenario_help() -> String {
    format!("What the caller does: a TOML file or a built-in name ({})", scenario_names().join(", "))
}

fn frame_ms(text: &str) -> Result<u64, String> {
    match text {
        "20" => Ok(20),
        "100" => Ok(100),
        _ => Err("expected 20 or 100".to_owned()),
    }
}

/// Where the running sandbox is, as `caly serve` wrote it.
#[derive(Clone, Debug, Deserialize)]
struct SandboxFile {
    url: String,
    client: String,
    key: String,
    from: Option<String>,
    to: Option<String>,
}

/// The addresses of a flow.
#[derive(Clone, Debug, Default, PartialEq)]
struct Target {
    voicebot: String,
    passthru: Option<String>,
    connect: Option<String>,
    callback: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

/// Runs the command. Where this configuration's own sandbox was called several times, its record tells how its answers came
/// about.
///
/// # Errors
/// See [`place`].
pub async fn run(args: CallArgs, config: &Config) -> anyhow::Result<ExitCode> {
    let of_sandbox = args.url.is_none() && args.count > 1 && !args.json;
    let reports = place(args, &config.data_dir).await?;
    if of_sandbox && let Err(error) = super::steps::print(config, &reports).await {
        let _ = writeln!(super::output::Hints, "{error:#}");
    }
    Ok(if reports.iter().all(|report| report.ok) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Places the calls and prints what came of them; without `--url` the sandbox described in `data_dir` is called. Needs an
/// actix system or a tokio `LocalSet` around it.
///
/// # Errors
/// The target or the scenario cannot be made out; the text says what to do.
pub async fn place(args: CallArgs, data_dir: &Path) -> anyhow::Result<Vec<CallReport>> {
    let scenario = Scenario::load(&args.scenario).map_err(super::Usage)?;
    let target = target(&args, data_dir)?;
    let reports = if args.count == 1 {
        vec![one(&args, &target, scenario).await]
    } else {
        many(&args, &target, &scenario).await?
    };
    if args.count > 1 && !args.json {
        print_summary(&reports);
    }
    Ok(reports)
}

fn target(args: &CallArgs, data_dir: &Path) -> anyhow::Result<Target> {
    let mut target = match &args.url {
        Some(url) => {
            let parsed = Url::parse(url).with_context(|| format!("--url {url} is no URL"))?;
            let bare = matches!(parsed.scheme(), "http" | "https") && matches!(parsed.path(), "" | "/");
            if bare {
                let Some(key) = &args.key else {
                    let why = format!(
                        "--url needs --key, the client's webhook key: it was told when the client was made; `caly client secret {}` replaces it",
                        args.client.as_deref().unwrap_or("demo")
                    );
                    return Err(super::Usage(why).into());
                };
                of_caly(&parsed, args.client.as_deref().unwrap_or("demo"), key)?
            } else {
                Target { voicebot: url.clone(), ..Target::default() }
            }
        }
        None => {
            let path = data_dir.join("sandbox.json");
            let text = std::fs::read_to_string(&path).with_context(|| {
                format!("no running sandbox: {} cannot be read\nstart one with `caly serve`, or say which server with --url and --key", path.display())
            })?;
            let file: SandboxFile = serde_json::from_str(&text).with_context(|| {
                format!(
                    "{} is not what `caly serve` writes\nstart the server again, or use --url and --key",
                    path.display()
                )
            })?;
            let client = args.client.as_deref().unwrap_or(&file.client);
            let url = Url::parse(&file.url).with_context(|| format!("{}: 'url' is no URL", path.display()))?;
            let target = of_caly(&url, client, args.key.as_deref().unwrap_or(&file.key))?;
            Target { from: file.from, to: file.to, ..target }
        }
    };
    for (mine, given) in [
        (&mut target.passthru, &args.passthru_url),
        (&mut target.connect, &args.connect_url),
        (&mut target.callback, &args.status_callback),
        (&mut target.from, &args.from),
        (&mut target.to, &args.to),
    ] {
        if given.is_some() {
            mine.clone_from(given);
        }
    }
    Ok(target)
}

/// Caly's webhooks for a client.
fn of_caly(base: &Url, client: &str, key: &str) -> anyhow::Result<Target> {
    let hook = |name: &str| -> anyhow::Result<String> {
        let mut url = base.clone();
        url.path_segments_mut()
            .map_err(|()| anyhow::anyhow!("{base} cannot be a server's address"))?
            .pop_if_empty()
            .extend(["webhooks", "exotel", client, name]);
        url.query_pairs_mut().append_pair("key", key);
        Ok(url.into())
    };
    Ok(Target {
        voicebot: hook("call-start")?,
        passthru: Some(hook("passthru")?),
        connect: Some(hook("connect")?),
        callback: Some(hook("call-end")?),
        from: None,
        to: None,
    })
}

/// The plan of call number `index`.
fn plan(args: &CallArgs, target: &Target, scenario: &Scenario, index: u32) -> CallPlan {
    let mut plan = CallPlan::new(&target.voicebot, scenario.clone());
    plan.passthru_url.clone_from(&target.passthru);
    plan.connect_url.clone_from(&target.connect);
    plan.status_callback.clone_from(&target.callback);
    if let Some(from) = &target.from {
        plan.from.clone_from(from);
    }
    if let Some(to) = &target.to {
        plan.to.clone_from(to);
    }
    if args.count > 1 && args.from.is_none() {
        // Different people call: the last five digits are the call's number.
        let head: String = plan.from.chars().take(plan.from.chars().count().saturating_sub(5)).collect();
        plan.from = format!("{head}{:05}", index % 100_000);
    }
    if args.outbound {
        plan.direction = OUTBOUND.to_owned();
    }
    plan.seed ^= u64::from(index) << 20;
    plan.knobs.frame_ms = args.frame_ms;
    plan.knobs.jitter = Duration::from_millis(args.jitter_ms);
    // Comparing sound takes milliseconds, which the timings of many calls would show.
    plan.recognise = !args.deaf && args.parallel.min(args.count) <= 10;
    plan.record = args.record.as_ref().map(|path| numbered(path, index, args.count));
    plan
}

fn numbered(path: &Path, index: u32, count: u32) -> PathBuf {
    if count == 1 {
        return path.to_owned();
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}-{}.wav", index + 1))
}

async fn one(args: &CallArgs, target: &Target, scenario: Scenario) -> CallReport {
    let mut plan = plan(args, target, &scenario, 0);
    if !args.json {
        let colour = std::io::stdout().is_terminal();
        say!("{} calls {} ({})", plan.from, plan.to, scenario.title);
        plan.listener = Some(Rc::new(move |live| print_live(live, colour)));
    }
    let report = place_call(plan).await;
    if args.json {
        say!("{}", report.to_json());
    } else {
        print_report(&report);
    }
    report
}

fn print_live(live: &Live, colour: bool) {
    let paint = |code: &str, text: &str| if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() };
    let line = |at: Duration, who: &str, words: &str| say!("{:>7.2} s  {who}  {words}", at.as_secs_f64());
    match live {
        Live::Connected(took) => say!("connected after {:.0} ms", took.as_secs_f64() * 1000.0),
        Live::Caller(at, words) => line(*at, &paint("36", "caller"), words),
        Live::Key(at, key) => line(*at, &paint("36", "caller"), &format!("[presses {key}]")),
        Live::Agent(said) => {
            let words = if said.words.is_empty() {
                format!("[speaks for {:.1} s]", (said.end - said.start).as_secs_f64())
            } else {
                said.words.clone()
            };
            line(said.start, &paint("33", "agent "), &words);
        }
        Live::Cleared(at) => line(*at, "      ", "[interrupted]"),
        Live::StreamEnded(at, words) => line(*at, "      ", &format!("[{words}]")),
        Live::Flow(words) => say!("           flow    {words}"),
    }
}

fn print_report(report: &CallReport) {
    say!("");
    let detail = report.outcome.detail().map(|text| format!(": {text}")).unwrap_or_default();
    say!("{}  {}{detail}", if report.ok { "ok    " } else { "FAILED" }, report.outcome.word().replace('_', " "));
    if let Some(unexpected) = &report.unexpected {
        say!("        {unexpected}");
    }
    let ms = |value: Duration| format!("{:.0} ms", value.as_secs_f64() * 1000.0);
    let show = |name: &str, value: Option<Duration>| {
        if let Some(value) = value {
            say!("        {name:<28}{}", ms(value));
        }
    };
    show("dynamic URL answered in", report.dynamic_url);
    show("socket open in", report.upgrade);
    show("first word after start", report.first_audio);
    for turn in &report.turns {
        show(&format!("answer to {}", turn.clip), turn.latency);
        show("  agent silent after", turn.silenced);
    }
    show("passthru answered in", report.passthru);
    show("connect answered in", report.connect);
    show("most audio waiting", Some(report.ahead_max));
    if !report.gaps.is_empty() {
        say!("        {:<28}{}", "gaps in the agent's speech", report.gaps.len());
    }
    for violation in &report.violations {
        say!("        violation: {violation}");
    }
    // What is allowed but unwise is worth reading only where something went wrong; --json always tells it.
    for note in report.notes.iter().filter(|_| !report.ok) {
        say!("        note: {note}");
    }
}

/// Places all calls, on as many threads as they need.
async fn many(args: &CallArgs, target: &Target, scenario: &Scenario) -> anyhow::Result<Vec<CallReport>> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = args.threads.unwrap_or_else(|| args.parallel.div_ceil(100) as usize).clamp(1, cores);
    let lanes = args.parallel.min(args.count);
    let (results, mut reports) = mpsc::channel::<CallReport>(lanes as usize);
    let next = Arc::new(AtomicU32::new(0));
    let arbiters: Vec<actix_rt::Arbiter> = (0..threads).map(|_| actix_rt::Arbiter::new()).collect();
    for lane in 0..lanes {
        let (args, target, scenario) = (args.clone(), target.clone(), scenario.clone());
        let (results, next) = (results.clone(), Arc::clone(&next));
        arbiters[lane as usize % threads].spawn_fn(move || {
            actix_rt::spawn(async move {
                tokio::time::sleep(Duration::from_millis(u64::from(lane) * args.ramp_ms)).await;
                call_in_turn(&args, &target, &scenario, &next, &results).await;
            });
        });
    }
    drop(results);
    let style = indicatif::ProgressStyle::with_template("{bar:30} {pos}/{len} calls  {elapsed}  {msg}")
        .context("progress bar")?;
    let bar = indicatif::ProgressBar::new(u64::from(args.count)).with_style(style);
    let mut all = Vec::with_capacity(args.count as usize);
    let mut failed = 0usize;
    while let Some(report) = reports.recv().await {
        failed += usize::from(!report.ok);
        if args.json {
            say!("{}", report.to_json());
        }
        bar.inc(1);
        if failed > 0 {
            bar.set_message(format!("{failed} failed"));
        }
        all.push(report);
    }
    bar.finish_and_clear();
    for arbiter in &arbiters {
        arbiter.stop();
    }
    Ok(all)
}

/// One of the parallel lanes: call after call until all are placed.
async fn call_in_turn(
    args: &CallArgs,
    target: &Target,
    scenario: &Scenario,
    next: &AtomicU32,
    results: &mpsc::Sender<CallReport>,
) {
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        if index >= args.count {
            return;
        }
        let report = place_call(plan(args, target, scenario, index)).await;
        if results.send(report).await.is_err() {
            return;
        }
    }
}

/// The value below which `share` of them lie (nearest rank).
pub(super) fn percentile(sorted: &[Duration], share: f64) -> Option<Duration> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}

fn print_summary(reports: &[CallReport]) {
    let failed: Vec<&CallReport> = reports.iter().filter(|report| !report.ok).collect();
    say!("{} calls, {} ok, {} failed", reports.len(), reports.len() - failed.len(), failed.len());
    let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
    for report in reports {
        *outcomes.entry(report.outcome.word()).or_default() += 1;
    }
    for (outcome, count) in outcomes {
        say!("  {count:>6}  {}", outcome.replace('_', " "));
    }
    say!("{:<30}{:>8}{:>10}{:>10}{:>10}", "milliseconds", "n", "p50", "p99", "max");
    let all = |pick: fn(&CallReport) -> Vec<Duration>| -> Vec<Duration> {
        let mut values: Vec<Duration> = reports.iter().flat_map(pick).collect();
        values.sort_unstable();
        values
    };
    let rows: [(&str, Vec<Duration>); 9] = [
        ("dynamic URL", all(|r| r.dynamic_url.into_iter().collect())),
        ("socket open", all(|r| r.upgrade.into_iter().collect())),
        ("first word after start", all(|r| r.first_audio.into_iter().collect())),
        ("answer to a turn", all(|r| r.turns.iter().filter_map(|turn| turn.latency).collect())),
        ("silent after interruption", all(|r| r.turns.iter().filter_map(|turn| turn.silenced).collect())),
        ("passthru", all(|r| r.passthru.into_iter().collect())),
        ("connect", all(|r| r.connect.into_iter().collect())),
        ("gap in speech", all(|r| r.gaps.iter().map(|gap| gap.1).collect())),
        ("own frame late (carrier)", all(|r| vec![r.tick_late_max])),
    ];
    for (name, values) in rows.iter().filter(|(_, values)| !values.is_empty()) {
        let ms = |value: Option<Duration>| value.map_or(String::new(), |v| format!("{:.1}", v.as_secs_f64() * 1000.0));
        let (p50, p99) = (percentile(values, 0.5), percentile(values, 0.99));
        say!("{name:<30}{:>8}{:>10}{:>10}{:>10}", values.len(), ms(p50), ms(p99), ms(values.last().copied()));
    }
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for report in failed {
        let reason = report.violations.first().cloned().map(|violation| format!("violation: {violation}"));
        let reason =
            report.outcome.detail().map(str::to_owned).filter(|_| report.outcome.word() != "transferred").or(reason);
        *reasons.entry(reason.or(report.unexpected.clone()).unwrap_or_default()).or_default() += 1;
    }
    for (reason, count) in reasons.iter().take(20) {
        say!("failed {count:>5} times  {reason}");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: CallArgs,
    }

    fn args(line: &str) -> CallArgs {
        Cli::parse_from(std::iter::once("call").chain(line.split_whitespace())).args
    }

    #[test]
    fn a_server_and_a_key_give_all_four_webhooks() {
        let target = target(&args("--url http://h:1 --client shop --key a&b"), Path::new("/nowhere")).unwrap();
        assert_eq!(target.voicebot, "http://h:1/webhooks/exotel/shop/call-start?key=a%26b");
        assert_eq!(target.passthru.as_deref(), Some("http://h:1/webhooks/exotel/shop/passthru?key=a%26b"));
        assert_eq!(target.callback.as_deref(), Some("http://h:1/webhooks/exotel/shop/call-end?key=a%26b"));
    }

    #[test]
    fn the_running_sandbox_is_found_by_its_file_and_its_absence_says_what_to_do() {
        let home = tempfile::tempdir().unwrap();
        let problem = format!("{:#}", target(&args(""), home.path()).unwrap_err());
        assert!(problem.contains("caly serve") && problem.contains("--url"), "{problem}");
        let text =
            r#"{"url":"http://127.0.0.1:8080","client":"demo","key":"k","from":"09876543210","to":"08047112233"}"#;
        std::fs::write(home.path().join("sandbox.json"), text).unwrap();
        let target = target(&args("--to 0801"), home.path()).unwrap();
        assert_eq!(target.voicebot, "http://127.0.0.1:8080/webhooks/exotel/demo/call-start?key=k");
        assert_eq!((target.from.as_deref(), target.to.as_deref()), (Some("09876543210"), Some("0801")));
    }

    #[test]
    fn any_bot_can_be_called_by_its_stream() {
        let target = target(&args("--url ws://bot/x?sample-rate=16000"), Path::new("/nowhere")).unwrap();
        assert_eq!(target, Target { voicebot: "ws://bot/x?sample-rate=16000".into(), ..Target::default() });
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let values: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&values, 0.5), Some(Duration::from_millis(50)));
        assert_eq!(percentile(&values, 0.99), Some(Duration::from_millis(99)));
        assert_eq!(percentile(&[], 0.5), None);
    }
}
