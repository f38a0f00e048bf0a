//! What was measured, beside the marks to beat, as a table or as JSON. Plain data; knows nothing of how it came about.

use std::fmt::Write as _;
use std::fs;

use serde_json::{Value, json};

/// The marks: a typical hand-written relay under the same load on the same kind of machine.
pub struct Marks {
    /// CPU ms per call-second at 200 calls.
    cpu_ms: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// Per call at 200 calls.
    memory_kib: f64,
}

pub const MARKS: Marks = Marks { cpu_ms: 2.5, p50_ms: 0.8, p99_ms: 2.0, memory_kib: 282.0 };

/// One rung of the ladder.
pub struct Rung {
    pub calls: usize,
    /// Server, per second of one call.
    pub cpu_ms: f64,
    /// Server, of one core.
    pub core_percent: f64,
    /// From a block's write to the read of it; `None` when none came back.
    pub delay: Option<Delay>,
    /// Resident memory with the calls less that without, per call.
    pub memory_kib: f64,
    /// Blocks that did not come back within a second after the window.
    pub lost_percent: f64,
    /// The harness itself, of one core: near 100 the delays are its own.
    pub harness_percent: f64,
    /// Everything else on the machine, of one core: what is above a few per cent spoils the figures.
    pub others_percent: f64,
    /// Calls that did not come up or ended by themselves, and why the first did.
    pub failed: usize,
    pub failure: Option<String>,
}

/// Milliseconds.
pub struct Delay {
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

impl Delay {
    /// Of delays in ns, sorted.
    pub fn of(sorted_ns: &[u64]) -> Option<Self> {
        let last = sorted_ns.len().checked_sub(1)?;
        let at = |share: f64| sorted_ns[((last as f64) * share).round() as usize] as f64 / 1e6;
        Some(Self { p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1.0) })
    }
}

/// Where and how it was measured.
pub struct Setting {
    pub processor: String,
    pub cores: usize,
    /// Of the server and of the harness; `None` when nothing could be bound.
    pub bound: Option<(usize, usize)>,
    pub seconds: u64,
    pub engine_audio: String,
}

impl Setting {
    pub fn here(bound: Option<(usize, usize)>, seconds: u64) -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| line.strip_prefix("model name")).and_then(|rest| rest.split_once(':'));
        let counted = info.lines().filter(|line| line.starts_with("processor")).count();
        Self {
            processor: model.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned()),
            cores: counted.max(1),
            bound,
            seconds,
            engine_audio: String::new(),
        }
    }
}

/// For people.
pub fn table(setting: &Setting, rungs: &[Rung]) -> String {
    let binding = match setting.bound {
        Some((server, harness)) => format!("server on processor {server}, harness on {harness}"),
        None => "server and harness not bound: figures are rough".to_owned(),
    };
    let mut text = format!(
        "\n{}, {} cores; {binding}\n20 ms blocks both ways, every call talking all the time; engine speaks {}; {} s a rung\n\n",
        setting.processor, setting.cores, setting.engine_audio, setting.seconds
    );
    let columns = [
        "calls",
        "CPU ms/call-s",
        "core %",
        "p50 ms",
        "p99 ms",
        "max ms",
        "KiB/call",
        "lost %",
        "harness %",
        "others %",
    ];
    line(&mut text, &columns.map(str::to_owned));
    for rung in rungs {
        let delay = |pick: fn(&Delay) -> f64| rung.delay.as_ref().map_or("-".to_owned(), |d| format!("{:.2}", pick(d)));
        line(
            &mut text,
            &[
                rung.calls.to_string(),
                format!("{:.2}", rung.cpu_ms),
                format!("{:.1}", rung.core_percent),
                delay(|d| d.p50_ms),
                delay(|d| d.p99_ms),
                delay(|d| d.max_ms),
                format!("{:.0}", rung.memory_kib),
                format!("{:.2}", rung.lost_percent),
                format!("{:.0}", rung.harness_percent),
                format!("{:.0}", rung.others_percent),
            ],
        );
    }
    let mark = |value: f64| format!("{value:.2}");
    let memory = format!("{:.0}", MARKS.memory_kib);
    let dash = || "-".to_owned();
    line(
        &mut text,
        &[
            "mark".to_owned(),
            mark(MARKS.cpu_ms),
            dash(),
            mark(MARKS.p50_ms),
            mark(MARKS.p99_ms),
            dash(),
            memory,
            dash(),
            dash(),
            dash(),
        ],
    );
    for rung in rungs.iter().filter(|rung| rung.failed > 0) {
        let why = rung.failure.as_deref().unwrap_or("unknown");
        let _ = writeln!(text, "\n{} of {} calls failed; the first: {why}", rung.failed, rung.calls);
    }
    if rungs.iter().any(|rung| rung.harness_percent > 80.0) {
        text.push_str("\nThe harness was near the end of its core: its delays are partly its own.\n");
    }
    if rungs.iter().any(|rung| rung.others_percent > 10.0) {
        text.push_str("\nSomething else was running: delays and losses are not the server's alone. Run it again.\n");
    }
    text.push_str("\nThe mark is that of a typical hand-written relay at 200 calls. With one call, what the\nidle server does weighs on that call.\n");
    text
}

fn line(text: &mut String, cells: &[String; 10]) {
    const WIDTHS: [usize; 10] = [6, 14, 8, 9, 9, 9, 9, 8, 10, 9];
    for (cell, width) in cells.iter().zip(WIDTHS) {
        let _ = write!(text, "{cell:>width$}");
    }
    text.push('\n');
}

/// For machines.
pub fn json(setting: &Setting, rungs: &[Rung]) -> Value {
    let rungs: Vec<Value> = rungs
        .iter()
        .map(|rung| {
            json!({
                "calls": rung.calls,
                "cpu_ms_per_call_second": rung.cpu_ms,
                "core_percent": rung.core_percent,
                "delay_ms": rung.delay.as_ref().map(|delay| json!({
                    "p50": delay.p50_ms, "p99": delay.p99_ms, "max": delay.max_ms,
                })),
                "memory_kib_per_call": rung.memory_kib,
                "lost_percent": rung.lost_percent,
                "harness_core_percent": rung.harness_percent,
                "others_core_percent": rung.others_percent,
                "calls_failed": rung.failed,
                "first_failure": rung.failure,
            })
        })
        .collect();
    json!({
        "machine": { "processor": setting.processor, "cores": setting.cores },
        "bound_to": setting.bound.map(|(server, harness)| json!({ "server": server, "harness": harness })),
        "seconds": setting.seconds,
        "frame_ms": 20,
        "engine_audio": setting.engine_audio,
        "rungs": rungs,
        "marks": {
            "cpu_ms_per_call_second": MARKS.cpu_ms, "delay_p50_ms": MARKS.p50_ms, "delay_p99_ms": MARKS.p99_ms,
            "memory_kib_per_call": MARKS.memory_kib, "at_calls": 200,
        },
    })
}
