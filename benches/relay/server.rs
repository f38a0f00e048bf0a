//! The server under test, as a process of its own, and what the system says about it.
//!
//! Owns the child and its directory's settings; the child dies with its value. Knows the command line and environment
//! that DESIGN.md §2 promises, and nothing of the server's inside.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use super::caller::get;

/// From start to readiness.
const READY_DEADLINE: Duration = Duration::from_secs(30);
/// Linux counts processor time for user space in ticks of 10 ms.
const TICK_NS: u64 = 10_000_000;
/// End of the server's log shown when it fails.
const LOG_BYTES_SHOWN: usize = 4000;

/// How to start it.
pub struct Plan {
    /// The release binary.
    pub binary: PathBuf,
    /// Database, log and everything else it writes.
    pub directory: PathBuf,
    /// The processor it is bound to, if it can be bound.
    pub processor: Option<usize>,
    /// Where the engine listens.
    pub engine_port: u16,
}

impl Plan {
    fn command(&self, port: u16) -> Command {
        let mut command = match self.processor {
            Some(processor) => {
                let mut command = Command::new("taskset");
                command.args(["-c", &processor.to_string()]).arg(&self.binary);
                command
            }
            None => Command::new(&self.binary),
        };
        let directory = self.directory.display();
        // Other CALY__ variables pass through, so that another setting can be measured.
        for (name, value) in [
            ("HOST", "127.0.0.1".to_owned()),
            ("PORT", port.to_string()),
            ("DATABASE_URL", format!("sqlite://{directory}/caly.db")),
            ("CALY__DATA_DIR", directory.to_string()),
            ("OPENAI_API_KEY", "bench".to_owned()),
            ("OPENAI_BASE_URL", format!("ws://127.0.0.1:{}/v1", self.engine_port)),
            ("CALY__RECORDING__ENABLED", "false".to_owned()),
            ("CALY__LOG__LEVEL", "warn".to_owned()),
            ("CALY__LIMITS__WEBHOOKS_PER_CLIENT_PER_MINUTE", "1000000".to_owned()),
            ("CALY__LIMITS__CALLS_PER_CALLER_PER_MINUTE", "1000000".to_owned()),
            ("CALY__CALLS__MAX_LIVE", "2000".to_owned()),
            ("CALY__CALLS__MAX_LIVE_PER_CLIENT", "2000".to_owned()),
            // The one answer never ends, so in a long run the caller would be asked whether they are still there.
            ("CALY__CALLS__IDLE_SPEECH", "1h".to_owned()),
        ] {
            command.env(name, value);
        }
        command.env_remove("PUBLIC_URL").env_remove("RAILWAY_PUBLIC_DOMAIN");
        command.current_dir(&self.directory).stdin(Stdio::null());
        command
    }

    /// Makes the client that the calls are for; its webhook secret.
    ///
    /// # Errors
    /// The command failed or said something else than promised.
    pub fn create_client(&self, slug: &str, number: &str) -> Result<String> {
        let output = self
            .command(free_port()?)
            .args(["client", "create", "--slug", slug, "--name", "Bench", "--number", number, "--json"])
            .output()
            .context("starting caly client create")?;
        let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "caly client create: {}\n{}", output.status, errors.trim());
        let client: serde_json::Value = serde_json::from_str(&said).context("caly client create: not JSON")?;
        client["webhook_secret"].as_str().map(str::to_owned).ok_or_else(|| anyhow!("caly client create: no secret"))
    }
}

/// A running server.
pub struct Server {
    child: Child,
    log: PathBuf,
    pub port: u16,
}

impl Server {
    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// It ended or was not ready in time; with the end of its log.
    pub async fn start(plan: &Plan) -> Result<Self> {
        let port = free_port()?;
        let log = plan.directory.join("server.log");
        let file = OpenOptions::new().create(true).append(true).open(&log)?;
        let mut command = plan.command(port);
        command.arg("serve").stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().context("starting caly serve")?;
        let mut server = Self { child, log, port };
        server.ready().await.with_context(|| server.log_tail())?;
        Ok(server)
    }

    async fn ready(&mut self) -> Result<()> {
        let url = Url::parse(&format!("http://127.0.0.1:{}/health/ready", self.port))?;
        let deadline = Instant::now() + READY_DEADLINE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                bail!("caly serve ended: {status}");
            }
            if let Ok(Ok((200, _))) = timeout(Duration::from_secs(2), get(&url)).await {
                return Ok(());
            }
            sleep(Duration::from_millis(50)).await;
        }
        bail!("caly serve was not ready within {READY_DEADLINE:?}")
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The last it wrote.
    pub fn log_tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let tail = String::from_utf8_lossy(&text[text.len().saturating_sub(LOG_BYTES_SHOWN)..]).into_owned();
        format!("the end of the server's log:\n{}", tail.trim())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port nobody uses at this moment.
fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Processor time of a process at one moment.
pub struct Processor {
    /// User and system time of the whole process, in ticks.
    ticks_ns: u64,
    /// The same to the nanosecond, by thread, where the system counts it.
    threads_ns: HashMap<String, u64>,
}

impl Processor {
    /// # Errors
    /// The process is gone.
    pub fn of(process: u32) -> Result<Self> {
        let root = PathBuf::from(format!("/proc/{process}"));
        let stat = fs::read_to_string(root.join("stat")).context("the process is gone")?;
        // The name in brackets may hold spaces; after it utime and stime are the 12th and 13th field.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        let mut threads_ns = HashMap::new();
        for thread in fs::read_dir(root.join("task")).into_iter().flatten().flatten() {
            if let Some(ns) = running_ns(&thread.path()) {
                threads_ns.insert(thread.file_name().to_string_lossy().into_owned(), ns);
            }
        }
        Ok(Self { ticks_ns: (ticks(11) + ticks(12)) * TICK_NS, threads_ns })
    }

    /// Time used since `earlier`. By threads, for ticks are too coarse for one call; unless a thread that ended in
    /// between took its share along, which the ticks of the process show.
    pub fn since(&self, earlier: &Self) -> Duration {
        let ticks = self.ticks_ns.saturating_sub(earlier.ticks_ns);
        let used = |(thread, ns): (&String, &u64)| ns.saturating_sub(*earlier.threads_ns.get(thread).unwrap_or(&0));
        let threads: u64 = self.threads_ns.iter().map(used).sum();
        Duration::from_nanos(if ticks > threads + 2 * TICK_NS { ticks } else { threads })
    }
}

fn running_ns(thread: &Path) -> Option<u64> {
    fs::read_to_string(thread.join("schedstat")).ok()?.split(' ').next()?.parse().ok()
}

/// Time for which any processor of the machine was busy, with others' work too, or taken away by its host.
pub fn machine_busy() -> Duration {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    // cpu user nice system idle iowait irq softirq steal …
    let fields = stat.lines().next().unwrap_or("").split_whitespace().skip(1).take(8).enumerate();
    let ticks = fields.filter(|(at, _)| !matches!(at, 3 | 4)).filter_map(|(_, field)| field.parse::<u64>().ok());
    Duration::from_nanos(ticks.sum::<u64>() * TICK_NS)
}

/// Resident memory of a process, in KiB.
///
/// # Errors
/// The process is gone.
pub fn resident_kib(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).context("the process is gone")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.ok_or_else(|| anyhow!("no VmRSS of the process"))
}
