//! What the process says about itself: log lines on standard error, Prometheus metrics, and panics as both.
//!
//! A log sink that blocks or is flooded must never hold up a call: lines go through a queue bounded in bytes to one
//! writer thread, and what does not fit is dropped and counted. Every line passes the redactor on that thread.
//! Knows nothing of calls; the names of metrics are listed here so that each has a unit and a sentence.

mod described;
mod process;

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

pub use self::described::describe_metrics;
use crate::config::{Log, LogFormat};
use crate::redact::redact;

/// Log text waiting for the writer, in bytes; a line that would exceed it is dropped and counted.
const QUEUE_BYTES: usize = 4 << 20;
/// Lines waiting for the writer.
const QUEUE_LINES: usize = 16_384;
/// A longer line is dropped and counted: nothing Caly writes comes near it.
const LONGEST_LINE: usize = 64 << 10;
/// Longest wait for the writer when the process ends.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How often histograms are folded when nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(5);
/// Longest panic message that is logged, in characters.
const LONGEST_PANIC: usize = 400;

enum ToWriter {
    Line(Vec<u8>),
    End(SyncSender<()>),
}

struct Queue {
    lines: SyncSender<ToWriter>,
    waiting_bytes: AtomicUsize,
    dropped: AtomicU64,
}

/// The writing end of the log; cloning gives another handle to the same queue.
#[derive(Clone)]
pub struct LogQueue(Arc<Queue>);

impl LogQueue {
    /// Starts the writer thread. `json` and `colour` say how the lines look.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn start(sink: Box<dyn Write + Send>, json: bool, colour: bool) -> std::io::Result<(Self, LogGuard)> {
        let (lines, received) = sync_channel(QUEUE_LINES);
        let queue = Self(Arc::new(Queue { lines, waiting_bytes: AtomicUsize::new(0), dropped: AtomicU64::new(0) }));
        let mut writer = Writer { queue: queue.clone(), sink, json, colour, reported: 0 };
        std::thread::Builder::new().name("log-writer".to_owned()).spawn(move || writer.run(&received))?;
        Ok((queue.clone(), LogGuard(queue)))
    }

    /// Never waits: a line without room is dropped and counted.
    fn push(&self, line: Vec<u8>) {
        let size = line.len();
        let waiting = self.0.waiting_bytes.fetch_add(size, Ordering::Relaxed);
        let fits = size <= LONGEST_LINE && waiting + size <= QUEUE_BYTES;
        if fits && self.0.lines.try_send(ToWriter::Line(line)).is_ok() {
            return;
        }
        self.0.waiting_bytes.fetch_sub(size, Ordering::Relaxed);
        self.0.dropped.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("caly_log_lines_dropped_total").increment(1);
    }

    /// Lines dropped since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }
}

impl<'a> MakeWriter<'a> for LogQueue {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { queue: self.clone(), bytes: Vec::new() }
    }
}

/// One log line in the making; queued when dropped.
pub struct Line {
    queue: LogQueue,
    bytes: Vec<u8>,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            self.queue.push(std::mem::take(&mut self.bytes));
        }
    }
}

/// The process's logs. Dropping it writes what is queued, for at most a second.
pub struct Logs {
    _guard: LogGuard,
    set_filter: SetFilter,
}

/// Puts another filter before the lines of whichever format there is.
type SetFilter = Box<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>;

impl Logs {
    /// Another level or filter from now on, as `log.level` of the configuration.
    ///
    /// # Errors
    /// It does not parse; the former one stays in use.
    pub fn set_level(&self, level: &str) -> Result<(), String> {
        (self.set_filter)(filter(level)?)
    }
}

fn filter(level: &str) -> Result<EnvFilter, String> {
    EnvFilter::builder().parse(level).map_err(|error| format!("log.level: {error}"))
}

/// Dropping it writes what is queued, for at most a second.
pub struct LogGuard(LogQueue);

impl Drop for LogGuard {
    fn drop(&mut self) {
        let (ended, wait) = sync_channel(1);
        // A full queue means a blocked sink: there is no point in waiting for it.
        if self.0.0.lines.try_send(ToWriter::End(ended)).is_ok() {
            let _ = wait.recv_timeout(LAST_WORDS);
        }
    }
}

struct Writer {
    queue: LogQueue,
    sink: Box<dyn Write + Send>,
    json: bool,
    colour: bool,
    reported: u64,
}

impl Writer {
    fn run(&mut self, lines: &Receiver<ToWriter>) {
        loop {
            match lines.recv_timeout(UPKEEP) {
                Ok(ToWriter::Line(line)) => {
                    self.write(&line);
                    self.queue.0.waiting_bytes.fetch_sub(line.len(), Ordering::Relaxed);
                }
                Ok(ToWriter::End(ended)) => {
                    self.report_dropped();
                    let _ = self.sink.flush();
                    let _ = ended.try_send(());
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.report_dropped();
        }
    }

    fn write(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let masked = redact(text.trim_end_matches('\n'));
        // A line break inside a value would let a caller's words pass for a line of ours. JSON escapes them itself.
        let mut shown = if masked.contains('\n') { masked.replace('\n', "\\n") } else { masked.into_owned() };
        if self.colour {
            shown = coloured(shown);
        }
        shown.push('\n');
        // Nobody is left to tell when standard error is gone, but whoever reads the metrics.
        if self.sink.write_all(shown.as_bytes()).is_err() {
            metrics::counter!("caly_log_lines_dropped_total").increment(1);
        }
    }

    fn report_dropped(&mut self) {
        let dropped = self.queue.dropped();
        if dropped == self.reported {
            return;
        }
        let count = dropped - self.reported;
        self.reported = dropped;
        let line = if self.json {
            format!(r#"{{"level":"WARN","message":"log lines dropped","count":{count},"total":{dropped}}}"#)
        } else {
            format!("WARN log lines dropped count={count} total={dropped}")
        };
        self.write(line.as_bytes());
    }
}

/// Colours the level after redaction: escape codes between a name and its value would hide them from it.
fn coloured(line: String) -> String {
    for (level, code) in [("ERROR", 31), ("WARN", 33), ("INFO", 32), ("DEBUG", 34), ("TRACE", 35)] {
        if let Some(at) = line.find(level).filter(|at| *at < 40) {
            let (before, after) = line.split_at(at);
            return format!("{before}\x1b[{code}m{level}\x1b[0m{}", &after[level.len()..]);
        }
    }
    line
}

/// Sends all logs of the process to standard error, and panics with them. Keep the guard until the end of `main`.
///
/// # Errors
/// The filter does not parse, the writer thread did not start, or logging was set up before.
pub fn init_logs(log: &Log) -> Result<Logs, String> {
    let terminal = std::io::stderr().is_terminal();
    let json = match log.format {
        LogFormat::Auto => !terminal,
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let (queue, guard) = LogQueue::start(Box::new(std::io::stderr()), json, terminal && !json)
        .map_err(|e| format!("cannot start the log writer: {e}"))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter(&log.level)?)
        .with_ansi(false)
        .with_span_events(FmtSpan::NONE)
        .with_writer(queue);
    // The two formats are of two types, and so are the handles of their filters.
    let (set, set_filter): (_, SetFilter) = if json {
        let lines = lines.json().flatten_event(true).with_span_list(false).with_filter_reloading();
        let handle = lines.reload_handle();
        (lines.try_init(), Box::new(move |filter| handle.reload(filter).map_err(|error| error.to_string())))
    } else {
        let lines = lines.with_filter_reloading();
        let handle = lines.reload_handle();
        (lines.try_init(), Box::new(move |filter| handle.reload(filter).map_err(|error| error.to_string())))
    };
    set.map_err(|e| format!("logging is set up already: {e}"))?;
    log_panics();
    Ok(Logs { _guard: guard, set_filter })
}

/// Replaces the panic hook: one log line without a backtrace, and a counter. The panic itself goes on unwinding to
/// whoever supervises.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        metrics::counter!("caly_panics_total").increment(1);
        let message = panic.payload_as_str().unwrap_or("a panic without a text");
        let message: String = redact(message).chars().take(LONGEST_PANIC).collect();
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        let label = caly_actors::supervise::current_label();
        let label = label.as_deref().unwrap_or_default();
        tracing::error!(thread = thread.name().unwrap_or("unnamed"), label, location, message, "panicked");
    }));
}

/// Renders the metrics of this process.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// The Prometheus text format, version 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        process::observe();
        self.0.render()
    }
}

/// Upper bounds for durations in seconds: from a frame's work to a slow vendor.
const SECONDS: [f64; 18] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0];
/// Upper bounds for the length of calls in seconds.
const CALL_SECONDS: [f64; 10] = [5.0, 15.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 1200.0, 1800.0];
/// Upper bounds for what an engine session holds.
const TOKENS: [f64; 9] = [1e3, 2.5e3, 5e3, 1e4, 1.7e4, 2.8e4, 5e4, 7.5e4, 1e5];
/// Upper bounds for counts, such as the depth of a queue or the size of a batch.
const COUNTS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

fn builder() -> Result<PrometheusBuilder, String> {
    PrometheusBuilder::new()
        .set_buckets(&COUNTS)
        .and_then(|b| b.set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS))
        .and_then(|b| b.set_buckets_for_metric(Matcher::Full("caly_call_duration_seconds".to_owned()), &CALL_SECONDS))
        .and_then(|b| b.set_buckets_for_metric(Matcher::Full("caly_engine_context_tokens".to_owned()), &TOKENS))
        .map_err(|e| e.to_string())
}

/// Installs the recorder of this process and keeps its histograms small while nobody scrapes.
///
/// # Errors
/// A recorder is installed already, or the upkeep thread did not start.
pub fn init_metrics() -> Result<Metrics, String> {
    let handle = builder()?.install_recorder().map_err(|e| e.to_string())?;
    describe_metrics();
    let upkeep = handle.clone();
    let keep = move || {
        loop {
            std::thread::sleep(UPKEEP);
            upkeep.run_upkeep();
        }
    };
    std::thread::Builder::new().name("metrics-upkeep".to_owned()).spawn(keep).map_err(|e| e.to_string())?;
    Ok(Metrics(handle))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Condvar, Mutex};
    use tracing_subscriber::fmt::SubscriberBuilder;

    /// A sink that can be shut, as a terminal after Ctrl-S.
    #[derive(Clone, Default)]
    struct Sink(Arc<Valve>);

    #[derive(Default)]
    struct Valve {
        shut_and_written: Mutex<(bool, Vec<u8>)>,
        turned: Condvar,
    }

    impl Sink {
        fn shut(&self, shut: bool) {
            self.0.shut_and_written.lock().unwrap().0 = shut;
            self.0.turned.notify_all();
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.shut_and_written.lock().unwrap().1.clone()).unwrap()
        }
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let open = self.0.shut_and_written.lock().unwrap();
            let mut state = self.0.turned.wait_while(open, |state| state.0).unwrap();
            state.1.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn text_log(
        queue: LogQueue,
    ) -> SubscriberBuilder<
        tracing_subscriber::fmt::format::DefaultFields,
        tracing_subscriber::fmt::format::Format,
        tracing_subscriber::filter::LevelFilter,
        LogQueue,
    > {
        tracing_subscriber::fmt().with_ansi(false).with_writer(queue)
    }

    #[test]
    fn a_line_reaches_the_sink_redacted_and_on_one_line() {
        let sink = Sink::default();
        let (queue, guard) = LogQueue::start(Box::new(sink.clone()), false, false).unwrap();
        tracing::subscriber::with_default(text_log(queue).finish(), || {
            tracing::info!(caller = "+919876543210", token = "abc", "said {}", "one\ntwo");
        });
        drop(guard);
        let text = sink.text();
        assert!(text.contains("INFO") && text.contains("+9198xxxxxx10") && text.contains("said one\\ntwo"), "{text}");
        assert!(!text.contains("9876543210") && !text.contains("abc"), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }

    #[test]
    fn json_lines_are_json() {
        let sink = Sink::default();
        let (queue, guard) = LogQueue::start(Box::new(sink.clone()), true, false).unwrap();
        tracing::subscriber::with_default(text_log(queue).json().flatten_event(true).finish(), || {
            tracing::warn!(number = 9_876_543_210_u64, "a \"quoted\"\nthing key=abc");
        });
        drop(guard);
        let line: serde_json::Value = serde_json::from_str(&sink.text()).unwrap();
        assert_eq!((&line["level"], &line["number"]), (&"WARN".into(), &0.into()));
        assert_eq!(line["message"], "a \"quoted\"\nthing key=***");
    }

    #[test]
    fn a_blocked_sink_never_holds_the_caller_up_and_drops_are_counted() {
        let sink = Sink::default();
        sink.shut(true);
        let (queue, guard) = LogQueue::start(Box::new(sink.clone()), false, false).unwrap();
        let line = vec![b'x'; 1_000];
        let began = std::time::Instant::now();
        for _ in 0..10_000 {
            queue.push(line.clone());
        }
        assert!(began.elapsed() < Duration::from_secs(2), "10 MB of lines took {:?}", began.elapsed());
        let dropped = queue.dropped();
        assert!(dropped >= 5_700, "only {dropped} of 10000 dropped: more than 4 MiB are waiting");
        sink.shut(false);
        drop(guard);
        let text = sink.text();
        assert!(text.contains(&format!("log lines dropped count={dropped} total={dropped}")), "not reported");
    }

    #[test]
    fn the_end_of_the_process_does_not_wait_for_a_blocked_sink() {
        let sink = Sink::default();
        sink.shut(true);
        let (queue, guard) = LogQueue::start(Box::new(sink.clone()), false, false).unwrap();
        queue.push(b"x\n".to_vec());
        let began = std::time::Instant::now();
        drop(guard);
        assert!(began.elapsed() < LAST_WORDS * 3);
        sink.shut(false);
    }

    #[test]
    fn the_level_is_coloured_and_nothing_else() {
        assert_eq!(coloured("t  WARN x: WARN".to_owned()), "t  \x1b[33mWARN\x1b[0m x: WARN");
        assert_eq!(coloured("no level".to_owned()), "no level");
    }

    #[test]
    fn a_panic_is_logged_once_redacted_and_counted() {
        let sink = Sink::default();
        let (queue, guard) = LogQueue::start(Box::new(sink.clone()), false, false).unwrap();
        let recorder = builder().unwrap().build_recorder();
        let before = std::panic::take_hook();
        log_panics();
        tracing::subscriber::with_default(text_log(queue).finish(), || {
            metrics::with_local_recorder(&recorder, || {
                let caught = std::panic::catch_unwind(|| panic!("no number +919876543210"));
                assert!(caught.is_err());
            });
        });
        std::panic::set_hook(before);
        drop(guard);
        let text = sink.text();
        assert_eq!(text.lines().count(), 1, "{text}");
        for expected in ["panicked", "location=\"src/telemetry.rs:", "+9198xxxxxx10"] {
            assert!(text.contains(expected), "{expected} not in {text}");
        }
        assert!(recorder.handle().render().contains("caly_panics_total 1"));
    }

    #[test]
    fn durations_are_histograms_with_buckets() {
        let recorder = builder().unwrap().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            describe_metrics();
            metrics::histogram!("caly_turn_latency_seconds").record(0.25);
            metrics::histogram!("caly_call_duration_seconds").record(90.0);
        });
        let text = recorder.handle().render();
        assert!(text.contains("caly_turn_latency_seconds_bucket{le=\"0.3\"} 1"), "{text}");
        assert!(text.contains("caly_call_duration_seconds_bucket{le=\"120\"} 1"), "{text}");
        assert!(!text.contains("quantile"), "{text}");
    }
}
