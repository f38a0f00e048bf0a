//! What campaigns share: the release server as a child process, calls by the simulated carrier, and what the server says
//! of itself. Webhooks at a steady rate and the table of figures are in `report.rs`, and named from here too.
//!
//! Everything here runs on one thread inside an actix system; whatever was started dies with its value.
#![allow(dead_code, reason = "no campaign needs all of it")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use awc::Client;
use awc::http::Method;
use caly::sim::carrier::{CallPlan, CallReport, Scenario, place_call};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

pub use crate::report::{Table, at_rate};

/// From start to readiness.
pub const READY_DEADLINE: Duration = Duration::from_secs(30);
/// Longest wait for one answer of the server, which mostly takes milliseconds.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// Between two calls being placed.
const PLACE_EVERY: Duration = Duration::from_millis(20);
/// End of the server's log shown when it fails.
const LOG_LINES_SHOWN: usize = 25;

/// Once for the process, before anything else.
pub fn prepare() {
    // Fails only if one is in place already, which does as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// How to start a server.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `None`: an SQLite file in the server's own directory.
    pub database_url: Option<String>,
    /// `CALY__…` variables and others; later ones win.
    pub env: Vec<(String, String)>,
    /// Put before the binary, such as `["taskset", "-c", "0"]`.
    pub wrapper: Vec<String>,
}

impl Settings {
    /// With one more variable.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.env.push((key.to_owned(), value.into()));
        self
    }
}

/// A server with the sandbox engine and the demo client, in a directory of its own. Survives being killed: the
/// directory and the port stay, and [`Server::run`] starts it again.
pub struct Server {
    child: Option<Child>,
    settings: Settings,
    /// Data, log and, by default, the database.
    pub directory: tempfile::TempDir,
    pub port: u16,
    /// The demo client's webhook key.
    pub key: String,
    /// A key of the admin API; made when the server is first ready.
    pub admin: String,
}

impl Server {
    /// Starts it and waits until it is ready and its demo client's key is known.
    pub async fn start(settings: Settings) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("caly-faults-").tempdir()?;
        let port = free_port()?;
        let mut server = Self { child: None, settings, directory, port, key: String::new(), admin: String::new() };
        server.run()?;
        let ready = async {
            server.ready(READY_DEADLINE).await?;
            server.learn_keys()
        };
        ready.await.with_context(|| server.log_tail())?;
        Ok(server)
    }

    /// Starts the process, and returns at once.
    pub fn run(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.log_file())?;
        let mut command = self.command(&["serve"])?;
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        self.child = Some(child.context("starting caly serve")?);
        Ok(())
    }

    /// A command of the binary in the server's directory and environment.
    pub fn command(&self, args: &[&str]) -> Result<Command> {
        let binary = binary()?;
        let mut command = match self.settings.wrapper.split_first() {
            Some((first, rest)) if args.first() == Some(&"serve") => {
                let mut command = Command::new(first);
                command.args(rest).arg(&binary);
                command
            }
            _ => Command::new(&binary),
        };
        let sqlite = || format!("sqlite://{}/data/caly.db", self.directory.path().display());
        command.args(args).env_clear().current_dir(self.directory.path());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        for (name, value) in [
            ("HOST", "127.0.0.1".to_owned()),
            ("PORT", self.port.to_string()),
            ("DATABASE_URL", self.settings.database_url.clone().unwrap_or_else(sqlite)),
            ("CALY__DATA_DIR", self.data().display().to_string()),
            ("CALY__LOG__FORMAT", "text".to_owned()),
            ("CALY__LIMITS__WEBHOOKS_PER_CLIENT_PER_MINUTE", "1000000".to_owned()),
            ("CALY__LIMITS__CALLS_PER_CALLER_PER_MINUTE", "1000000".to_owned()),
            ("CALY__LIMITS__API_PER_KEY_PER_SECOND", "10000".to_owned()),
            ("CALY__CALLS__MAX_LIVE", "2000".to_owned()),
            ("CALY__CALLS__MAX_LIVE_PER_CLIENT", "2000".to_owned()),
        ] {
            command.env(name, value);
        }
        command.envs(self.settings.env.iter().map(|(key, value)| (key, value)));
        Ok(command)
    }

    /// Waits until `/health/ready` says so; gives back how long it took.
    pub async fn ready(&mut self, within: Duration) -> Result<Duration> {
        let begun = Instant::now();
        while begun.elapsed() < within {
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait()?
            {
                bail!("caly serve ended: {status}\n{}", self.log_tail());
            }
            if self.get("/health/ready").await.is_ok_and(|answer| answer.status == 200) {
                return Ok(begun.elapsed());
            }
            sleep(Duration::from_millis(20)).await;
        }
        bail!("caly serve was not ready within {within:?}\n{}", self.log_tail())
    }

    /// Reads the demo client's key, which may be another after each start, and makes a key of the admin API once.
    pub fn learn_keys(&mut self) -> Result<()> {
        if let Ok(text) = fs::read_to_string(self.data().join("sandbox.json")) {
            let sandbox: Value = serde_json::from_str(&text).context("sandbox.json")?;
            self.key = sandbox["key"].as_str().context("sandbox.json: no key")?.to_owned();
        } else if self.key.is_empty() {
            // A server with an engine of its own has no demo client: it is made as an operator makes one.
            let words = ["client", "create", "--slug", "demo", "--name", "Demo", "--number", "+918047112233", "--json"];
            let made = self.command(&words)?.output()?;
            let made: Value = serde_json::from_slice(&made.stdout).context("caly client create")?;
            self.key = made["webhook_secret"].as_str().context("caly client create: no secret")?.to_owned();
            self.signal("HUP")?;
        }
        if self.admin.is_empty() {
            let made = self.command(&["key", "create", "--role", "admin", "--json"])?.output()?;
            ensure!(made.status.success(), "caly key create: {}", String::from_utf8_lossy(&made.stderr).trim());
            let made: Value = serde_json::from_slice(&made.stdout).context("caly key create")?;
            self.admin = made["key"].as_str().context("caly key create: no key")?.to_owned();
        }
        Ok(())
    }

    /// Sends a signal by name, such as `TERM` or `STOP`.
    pub fn signal(&self, name: &str) -> Result<()> {
        let child = self.child.as_ref().context("the server does not run")?;
        let status = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status()?;
        ensure!(status.success(), "kill -{name}: {status}");
        Ok(())
    }

    /// `kill -9`, at once.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Waits for the process to end by itself.
    pub async fn exit(&mut self, within: Duration) -> Result<ExitStatus> {
        let begun = Instant::now();
        while begun.elapsed() < within {
            let child = self.child.as_mut().context("the server does not run")?;
            if let Some(status) = child.try_wait()? {
                self.child = None;
                return Ok(status);
            }
            sleep(Duration::from_millis(10)).await;
        }
        bail!("the server has not ended within {within:?}")
    }

    /// Process id.
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    pub fn data(&self) -> PathBuf {
        let given = self.settings.env.iter().rev().find(|(key, _)| key == "CALY__DATA_DIR");
        given.map_or_else(|| self.directory.path().join("data"), |(_, path)| path.into())
    }

    fn log_file(&self) -> PathBuf {
        self.directory.path().join("server.log")
    }

    /// All it has logged.
    pub fn log(&self) -> String {
        fs::read(self.log_file()).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
    }

    /// The last it wrote.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let from = log.lines().count().saturating_sub(LOG_LINES_SHOWN);
        let tail: Vec<&str> = log.lines().skip(from).collect();
        format!("the end of the server's log:\n{}", tail.join("\n"))
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// A webhook of the demo client.
    pub fn hook(&self, name: &str, fields: &[(&str, &str)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("key", &self.key).extend_pairs(fields);
        self.url(&format!("/webhooks/exotel/demo/{name}?{}", query.finish()))
    }

    /// Asks without a key. An error is: no answer.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        request(&client(), Method::GET, &self.url(path), None).await
    }

    /// Asks the admin API; `path` begins after `/api/v1`.
    pub async fn api(&self, path: &str) -> Result<Value> {
        let answer = self.ask(path).await?;
        ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.text());
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// As [`Server::api`], whatever the status.
    pub async fn ask(&self, path: &str) -> Result<Answer> {
        request(&client(), Method::GET, &self.url(&format!("/api/v1{path}")), Some(&self.admin)).await
    }

    /// Every row of a list of the admin API, page by page.
    pub async fn all(&self, path: &str) -> Result<Vec<Value>> {
        let (mut rows, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let after = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
            let page = self.api(&format!("{path}?limit=200{after}")).await?;
            rows.extend(page["items"].as_array().context("no items")?.iter().cloned());
            match page["next"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return Ok(rows),
            }
        }
    }

    /// `/health`.
    pub async fn health(&self) -> Result<Value> {
        Ok(serde_json::from_slice(&self.get("/health").await?.body)?)
    }

    /// `/metrics`, summed over labels.
    pub async fn metrics(&self) -> Result<BTreeMap<String, f64>> {
        let answer = self.get("/metrics").await?;
        let mut metrics = BTreeMap::new();
        for line in answer.text().lines().filter(|line| !line.starts_with('#')) {
            let name = line.split([' ', '{']).next().unwrap_or_default();
            if let Some(value) = line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()) {
                *metrics.entry(name.to_owned()).or_default() += value;
            }
        }
        Ok(metrics)
    }

    /// One metric, summed over its labels; 0 if there is none.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        Ok(self.metrics().await?.get(name).copied().unwrap_or_default())
    }

    /// Waits until nothing of any call is left: slots, actors, sockets. How long that took.
    pub async fn nothing_left(&self, within: Duration) -> Result<Duration> {
        until("no call, slot, actor or socket left", within, || async {
            let Ok(answer) = self.get("/health/supervisor").await else { return false };
            let Ok(totals) = serde_json::from_slice::<Value>(&answer.body) else { return false };
            let actors = totals["actors"].as_object().is_some_and(|actors| actors.values().all(|count| count == 0));
            let empty = totals["calls"]["live"] == 0 && totals["calls"]["slots_taken"] == 0 && actors;
            empty && self.metric("caly_media_sockets").await.is_ok_and(|sockets| sockets == 0.0)
        })
        .await
    }

    /// The plan of a call to the demo client, the `number`th: a caller and a carrier id of its own.
    pub fn plan(&self, scenario: &Scenario, number: usize) -> CallPlan {
        let mut plan = CallPlan::new(&self.hook("call-start", &[]), scenario.clone());
        plan.passthru_url = Some(self.hook("passthru", &[]));
        plan.connect_url = Some(self.hook("connect", &[]));
        plan.status_callback = Some(self.hook("call-end", &[]));
        plan.from = format!("098765{:05}", number % 100_000);
        // Comparing sound takes milliseconds, which the timings of many calls would show.
        plan.recognise = false;
        plan
    }

    /// Places calls, a few milliseconds apart, and returns at once; they go on while the campaign does its harm.
    pub fn place(&self, calls: usize, scenario: &Scenario) -> Calls {
        let mut placed = JoinSet::new();
        for number in 0..calls {
            let plan = self.plan(scenario, number);
            placed.spawn_local(async move {
                sleep(PLACE_EVERY * number as u32).await;
                place_call(plan).await
            });
        }
        Calls { placed }
    }

    /// Waits until so many calls are up.
    pub async fn live(&self, calls: usize, within: Duration) -> Result<()> {
        let what = format!("{calls} calls up");
        let up = || async { self.metric("caly_media_sockets").await.is_ok_and(|sockets| sockets as usize >= calls) };
        until(&what, within, up).await.map(drop).with_context(|| self.log_tail())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `CALY_BIN`, else the release binary of this checkout.
fn binary() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let path = std::env::var_os("CALY_BIN").map_or_else(|| target.join("release/caly"), PathBuf::from);
    ensure!(path.is_file(), "{} is not there: cargo build --release --bin caly, or set CALY_BIN", path.display());
    Ok(path.canonicalize()?)
}

/// A port nobody uses at this moment.
pub fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// A caller who asks the shop's hours every few seconds, `turns` times, and hangs up: about 6 s each.
pub fn talkative(turns: usize) -> Result<Scenario> {
    let mut text = format!(
        "name = \"talkative\"\ntitle = \"asks again and again\"\nexpect = \"caller_hung_up\"\nmax_seconds = {}\n\
         [[step]]\nhear = \"any\"\n",
        turns * 20 + 60
    );
    for _ in 0..turns {
        text.push_str("[[step]]\nsay = \"shop_hours\"\n[[step]]\nhear = \"any\"\n[[step]]\nwait_ms = 1000\n");
    }
    text.push_str("[[step]]\nhang_up = true\n");
    Scenario::parse(&text).map_err(|problem| anyhow!("scenario: {problem}"))
}

/// Calls in progress; cut when dropped.
pub struct Calls {
    placed: JoinSet<CallReport>,
}

impl Calls {
    /// Waits for all of them to end.
    pub async fn ended(mut self, within: Duration) -> Result<Vec<CallReport>> {
        let all = async {
            let mut reports = Vec::new();
            while let Some(report) = self.placed.join_next().await {
                reports.push(report.context("a call of the simulated carrier")?);
            }
            Ok(reports)
        };
        timeout(within, all).await.context("calls of the simulated carrier did not end")?
    }
}

/// Calls that did not go as their scenario wanted, and the first one's reason.
pub fn lost(reports: &[CallReport]) -> (usize, Option<String>) {
    let bad: Vec<&CallReport> = reports.iter().filter(|report| !report.ok).collect();
    let reason = |report: &&CallReport| {
        let detail = report.outcome.detail().or(report.unexpected.as_deref()).unwrap_or_default();
        format!("{}: {} {detail} {:?}", report.call_sid, report.outcome.word(), report.violations)
    };
    (bad.len(), bad.first().map(reason))
}

/// An HTTP answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: awc::http::header::HeaderMap,
    pub body: bytes::Bytes,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

thread_local! {
    static CLIENT: Client =
        Client::builder().disable_redirects().no_default_headers().timeout(ANSWER_DEADLINE).finish();
}

pub fn client() -> Client {
    CLIENT.with(Client::clone)
}

/// One request; an error is: no answer.
pub async fn request(client: &Client, method: Method, url: &str, bearer: Option<&str>) -> Result<Answer> {
    let mut request = client.request(method, url);
    if let Some(key) = bearer {
        request = request.insert_header(("authorization", format!("Bearer {key}")));
    }
    let mut response = request.send().await.map_err(|error| anyhow!("{error}"))?;
    let body = response.body().limit(64 << 20).await.map_err(|error| anyhow!("{error}"))?;
    Ok(Answer { status: response.status().as_u16(), headers: response.headers().clone(), body })
}

/// Asks until it is so; how long that took.
pub async fn until<F>(what: &str, within: Duration, mut probe: impl FnMut() -> F) -> Result<Duration>
where
    F: Future<Output = bool>,
{
    let begun = Instant::now();
    while !probe().await {
        ensure!(begun.elapsed() < within, "{what}: not within {within:?}");
        sleep(Duration::from_millis(20)).await;
    }
    Ok(begun.elapsed())
}
