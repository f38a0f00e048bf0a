//! The database goes away, gets slow or runs out of room under live calls.
//!
//! `away` and `slow` put a misbehaving proxy before a PostgreSQL (`CALY_TEST_POSTGRES_URL`, or the one that
//! `scripts/test-postgres.sh` starts); `full` puts the data directory of an SQLite server on a small file system of its
//! own, which takes root.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use caly::sim::carrier::CallReport;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::time::sleep;

use crate::Size;
use crate::integrity::{self, Expected};
use crate::proxy::{Order, Proxy};
use crate::report::Latencies;
use crate::world::{Server, Settings, Table, at_rate, lost, talkative, until};

/// Goals: what a webhook may take, and how soon all is well again.
const WEBHOOK_P99: Duration = Duration::from_millis(50);
const HEALTHY_AGAIN: Duration = Duration::from_secs(5);
/// What one exchange of the talkative caller takes.
const EXCHANGE: u64 = 5;
/// A query of the slow database.
const SLOW_QUERY: Duration = Duration::from_secs(2);
const WEBHOOKS_PER_SECOND: u32 = 100;
/// Room of the small disk beside what the recordings of all calls take: 16 kHz of 16 bits each.
const SMALL_DISK_MIB: u64 = 64;
const RECORDING_KIB_PER_SECOND: u64 = 32;

/// Runs the campaigns named, or all.
pub async fn run(which: &[&str], size: Size) -> Result<Vec<Table>> {
    let all = ["away", "slow", "full"];
    let wanted = if which.is_empty() { &all[..] } else { which };
    let mut tables = Vec::new();
    for &name in wanted {
        let (calls, time) = (size.calls(100), size.time(60));
        eprintln!("faults: database {name}, {calls} calls, {} s", time.as_secs());
        tables.push(match name {
            "away" => away(calls, time).await?,
            "slow" => slow(calls, time).await?,
            "full" => full(calls, time).await?,
            _ => bail!("database {name} is not known: {} are", all.join(", ")),
        });
    }
    Ok(tables)
}

/// The database is gone while calls are up, and comes back while they still are.
async fn away(calls: usize, time: Duration) -> Result<Table> {
    let postgres = Postgres::create().await?;
    let (proxy, url) = Proxy::before(&postgres.url)?;
    let server = Server::start(Settings { database_url: Some(url), ..Settings::default() }).await?;
    let run = Run::begin(&server, calls, time).await?;
    proxy.order(Order::Refuse);
    let hooks = webhooks(&server, time).await;
    let during = server.health().await?;
    proxy.order(Order::Pass);
    let back = healthy(&server, HEALTHY_AGAIN * 4).await?;
    let mut table = Table::new(format!("database away for {} s, {calls} calls (PostgreSQL)", time.as_secs()));
    table.judge("health says so meanwhile", told(&during), "degraded", during["status"] == "degraded");
    table.within("healthy after its return", back, HEALTHY_AGAIN);
    run.finish(&server, &postgres.url, hooks, &mut table).await?;
    Ok(table)
}

/// Every query takes two seconds.
async fn slow(calls: usize, time: Duration) -> Result<Table> {
    let postgres = Postgres::create().await?;
    let (proxy, url) = Proxy::before(&postgres.url)?;
    let server = Server::start(Settings { database_url: Some(url), ..Settings::default() }).await?;
    let run = Run::begin(&server, calls, time).await?;
    proxy.order(Order::DelayQueries(SLOW_QUERY));
    let api = async {
        let (mut worst, mut statuses, begun) = (Duration::ZERO, Vec::new(), Instant::now());
        while begun.elapsed() < time {
            let asked = Instant::now();
            let answer = server.ask("/calls").await;
            worst = worst.max(asked.elapsed());
            statuses.push(answer.map_or(0, |answer| answer.status));
            sleep(Duration::from_millis(500)).await;
        }
        (worst, statuses)
    };
    let (hooks, (worst, statuses)) = tokio::join!(webhooks(&server, time), api);
    let waiting = server.health().await?;
    proxy.order(Order::Pass);
    let back = healthy(&server, HEALTHY_AGAIN * 4).await?;
    let mut table = Table::new(format!("every query takes 2 s for {} s, {calls} calls (PostgreSQL)", time.as_secs()));
    table.within("admin API, slowest answer", worst, Duration::from_secs(1));
    let wrong = statuses.iter().filter(|status| !matches!(status, 200 | 503)).count();
    table.none("admin API, neither 200 nor 503", wrong);
    table.tell("journal waiting in memory at the end", waiting["recorder"]["queued"].clone());
    table.tell("journal waiting on disk at the end, bytes", waiting["recorder"]["spooled_bytes"].clone());
    table.within("healthy after it is fast again", back, HEALTHY_AGAIN);
    run.finish(&server, &postgres.url, hooks, &mut table).await?;
    Ok(table)
}

/// The disk under database, spool and recordings is full.
async fn full(calls: usize, time: Duration) -> Result<Table> {
    // The calls outlast the harm, and their recordings must find room afterwards.
    let recordings_mib = calls as u64 * RECORDING_KIB_PER_SECOND * (time.as_secs() * 2 + 60) / 1024;
    let disk = SmallDisk::mount(SMALL_DISK_MIB + recordings_mib)?;
    let url = format!("sqlite://{}/caly.db", disk.path().display());
    let settings = Settings { database_url: Some(url.clone()), ..Settings::default() }
        .with("CALY__DATA_DIR", disk.path().display().to_string());
    let server = Server::start(settings).await?;
    let run = Run::begin(&server, calls, time).await?;
    disk.fill()?;
    let hooks = webhooks(&server, time).await;
    let during = server.health().await?;
    disk.free()?;
    let back = healthy(&server, HEALTHY_AGAIN * 4).await?;
    let mut table = Table::new(format!("disk full for {} s, {calls} calls (SQLite)", time.as_secs()));
    let alarms = during["alarms"].to_string();
    table.judge("alarm on recordings meanwhile", alarms.contains("recordings"), "true", alarms.contains("recordings"));
    table.judge("health says so meanwhile", told(&during), "degraded", during["status"] == "degraded");
    table.within("healthy after there is room", back, HEALTHY_AGAIN * 2);
    run.finish(&server, &url, hooks, &mut table).await?;
    Ok(table)
}

/// Calls that are up while harm is done.
struct Run {
    placed: crate::world::Calls,
    calls: usize,
    exchanges: usize,
}

impl Run {
    /// Places the calls and waits until all are up; they outlast the harm.
    async fn begin(server: &Server, calls: usize, time: Duration) -> Result<Self> {
        let exchanges = (time.as_secs() / EXCHANGE + 3) as usize;
        let placed = server.place(calls, &talkative(exchanges)?);
        server.live(calls, Duration::from_secs(30)).await?;
        Ok(Self { placed, calls, exchanges })
    }

    /// Waits for the calls to end and puts the questions to the record.
    async fn finish(self, server: &Server, url: &str, hooks: Latencies, table: &mut Table) -> Result<()> {
        let reports = self.placed.ended(Duration::from_secs(60 + 20 * self.exchanges as u64)).await?;
        server.nothing_left(Duration::from_secs(10)).await?;
        written(server).await?;
        let (gone, why) = lost(&reports);
        table.none("calls lost", gone);
        let expected = Expected {
            calls: reports.iter().map(|report| report.call_sid.clone()).collect(),
            // What each caller said, and each answer, and the greeting.
            turns_min: reports.iter().map(exchanges_of).min().unwrap_or_default() * 2,
            planted: (0..self.calls.min(20)).map(|number| format!("98765{number:05}")).collect(),
        };
        let found = integrity::faults(url, &expected).await.map_err(|error| anyhow!(error))?;
        let missing = found.iter().filter(|fault| fault.contains("no row") || fault.contains("lost turns")).count();
        table.none("rows lost", missing);
        table.none("rows doubled, torn or open", found.len() - missing);
        let recorder = server.health().await?["recorder"].clone();
        table.none("journal entries given up", recorder["dropped"].as_u64().unwrap_or(u64::MAX) as usize);
        table.none("journal entries refused", recorder["rejected"].as_u64().unwrap_or(u64::MAX) as usize);
        table.tell(&format!("webhook p50 at {WEBHOOKS_PER_SECOND}/s, ms"), millis(hooks.quantile(0.5)));
        table.within(&format!("webhook p99 at {WEBHOOKS_PER_SECOND}/s"), hooks.quantile(0.99), WEBHOOK_P99);
        table.tell("webhook slowest, ms", millis(hooks.quantile(1.0)));
        table.none(&format!("webhooks failed, of {}", hooks.count()), hooks.failed);
        found.into_iter().take(5).chain(why).chain(hooks.first_failure).for_each(|note| table.note(note));
        Ok(())
    }
}

fn exchanges_of(report: &CallReport) -> usize {
    report.turns.len()
}

fn millis(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1000.0)
}

fn told(health: &serde_json::Value) -> String {
    health["status"].as_str().unwrap_or("nothing").to_owned()
}

/// Passthru of calls that memory does not know, so that each would be looked up.
async fn webhooks(server: &Server, time: Duration) -> Latencies {
    at_rate(WEBHOOKS_PER_SECOND, time, &[200, 302], |number| {
        server.hook("passthru", &[("CallSid", &format!("nobody-{number}"))])
    })
    .await
}

/// Waits until `/health` is `ok`; how long that took.
async fn healthy(server: &Server, within: Duration) -> Result<Duration> {
    let well = || async { server.health().await.is_ok_and(|health| health["status"] == "ok") };
    match until("healthy", within, well).await {
        Ok(took) => Ok(took),
        Err(error) => Err(error.context(server.health().await?.to_string()).context(server.log_tail())),
    }
}

/// Waits until the journal is in the database.
async fn written(server: &Server) -> Result<()> {
    let empty = || async {
        server
            .health()
            .await
            .is_ok_and(|health| health["recorder"]["queued"] == 0 && health["recorder"]["spooled_bytes"] == 0)
    };
    until("the journal is written", Duration::from_secs(30), empty).await.map(drop)
}

/// A database of its own on the test server.
struct Postgres {
    url: String,
    admin: String,
    name: String,
}

impl Postgres {
    async fn create() -> Result<Self> {
        let admin = match std::env::var("CALY_TEST_POSTGRES_URL") {
            Ok(url) => url,
            Err(_) => started()?,
        };
        let name = format!("caly_faults_{}", uuid::Uuid::now_v7().simple());
        let mut url = url::Url::parse(&admin).context("CALY_TEST_POSTGRES_URL")?;
        url.set_path(&name);
        let database = Self { url: url.into(), admin, name };
        database.as_admin(&format!("CREATE DATABASE {}", database.name)).await?;
        Ok(database)
    }

    async fn as_admin(&self, sql: &str) -> Result<()> {
        let mut connection = PgConnection::connect(&self.admin).await.context("the test PostgreSQL")?;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await?;
        connection.close().await?;
        Ok(())
    }
}

/// Starts the throw-away server of the tests, which goes on running: `scripts/test-postgres.sh stop` ends it.
fn started() -> Result<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/test-postgres.sh");
    ensure!(Command::new(&script).arg("start").output()?.status.success(), "scripts/test-postgres.sh start failed");
    let url = Command::new(&script).arg("url").output()?;
    Ok(String::from_utf8(url.stdout)?.trim().to_owned())
}

/// A file system of its own with little room; unmounted when dropped.
struct SmallDisk {
    directory: tempfile::TempDir,
}

impl SmallDisk {
    fn mount(mib: u64) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("caly-small-disk-").tempdir()?;
        let size = format!("size={mib}m");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "caly"]).arg(directory.path()).output()?;
        ensure!(
            mounted.status.success(),
            "a small file system cannot be mounted (that takes root): {}",
            String::from_utf8_lossy(&mounted.stderr).trim()
        );
        Ok(Self { directory })
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Takes all the room there is.
    fn fill(&self) -> Result<()> {
        let ballast = std::fs::File::create(self.ballast())?;
        let block = vec![0_u8; 64 * 1024];
        // Ends with the error of a full disk.
        while std::io::Write::write_all(&mut &ballast, &block).is_ok() {}
        Ok(())
    }

    fn free(&self) -> Result<()> {
        std::fs::remove_file(self.ballast()).context("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What cannot be unmounted now goes when nobody uses it any more.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
