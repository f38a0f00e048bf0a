//! All the SQL there is. Owns the database connections, the schema and the recorder; knows no HTTP, no carrier and no
//! call in progress.
//!
//! Every query runs on a runtime of the store's own ([`IoRuntime`]) and has a deadline; the caller only awaits a result,
//! from whatever executor it lives on. Ids are made before a statement is sent, so every write may be repeated when the
//! answer to it was lost.

mod agents;
mod analytics;
mod appointments;
mod audit;
mod callbacks;
mod calls;
mod clients;
mod cursor;
mod customers;
mod db;
mod error;
mod facts;
mod feed;
mod gate;
mod io;
mod keys;
mod languages;
mod migrate;
mod numbers;
pub mod recorder;
mod restart;
mod secrets;
mod shops;
mod suppressions;

pub mod rows;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqlSafeStr, SqlStr};

pub use self::agents::AgentFilter;
pub use self::analytics::{Analytics, CallSums, Counted, CountedAction, Latency, Stretch};
pub use self::appointments::{AppointmentFilter, Booking, BookingOutcome};
pub use self::callbacks::CallbackFilter;
pub use self::calls::{ActionFilter, CallFilter};
pub use self::clients::{Basic, ClientChange, CreatedClient, NewClient, WholeClient};
pub use self::customers::{
    CustomerChange, CustomerFilter, FACT_NAME_MAX, FACT_VALUE_MAX, FACTS_MAX, Swept, Telling, is_fact_name,
};
use self::db::{Arg, Db, Row};
pub use self::error::{Away, StoreError};
pub use self::facts::{AuditEntry, CarrierFact, RecordingFact};
pub use self::feed::{FEED_KINDS, FeedFilter, FeedLimits, FeedPage, FeedRow};
pub use self::io::IoRuntime;
pub use self::keys::{NewKey, Role};
use self::migrate::{MigrateTarget, Migrated};
pub use self::numbers::NumberChange;
pub use self::rows::Page;
pub use self::secrets::{hash_secret, same_hash};
pub use self::shops::{Shop, is_shop_domain};
pub use self::suppressions::SuppressionFilter;

/// How long SQLite waits for another process that holds the file's lock.
const SQLITE_BUSY: Duration = Duration::from_secs(5);
/// Longest time for all migrations together; they may rewrite tables.
const MIGRATE_DEADLINE: Duration = Duration::from_secs(600);
/// Longest wait for the connection that migrations run on. With the pause between two tries it bounds how late a
/// server that starts without its database notices that it is there.
const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
/// Between two attempts to find out why the database is away.
const DIAGNOSE_EVERY: Duration = Duration::from_secs(1);
/// Attempts after the first, for errors where one can help.
const RETRIES: usize = 2;

/// The schema's state as far as this process knows.
const SCHEMA_UNKNOWN: i64 = 0;
const SCHEMA_READY: i64 = -1;

/// Limits of the pools. Every wait for the database ends by one of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoreOptions {
    /// Connections at most, beside the recorder's own (SQLite: readers; there is always one writer).
    pub max_connections: u32,
    /// Longest wait for a free connection.
    pub acquire_timeout: Duration,
    /// Longest time of one statement. PostgreSQL is told to give up; for both the wait ends.
    pub statement_timeout: Duration,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            max_connections: 8,
            acquire_timeout: Duration::from_millis(900),
            statement_timeout: Duration::from_secs(5),
        }
    }
}

/// The database. Cheap to clone; the connections end with the last clone.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: Arc<Db>,
    runtime: IoRuntime,
    options: StoreOptions,
    migrate_url: MigrateTarget,
    /// [`SCHEMA_UNKNOWN`], [`SCHEMA_READY`], or the number of a migration this code does not know.
    schema: AtomicI64,
    /// Why the database is away, as the last query or attempt to connect told.
    trouble: Mutex<Trouble>,
    look_ups: gate::LookUps,
    /// The feed's newest number that this process committed.
    feed: tokio::sync::watch::Sender<i64>,
}

#[derive(Default, Debug)]
struct Trouble {
    why: Option<Away>,
    diagnosed_at: Option<Instant>,
}

/// A panic elsewhere while the lock was held left the data whole: it is changed by single steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// Opens `sqlite://path` (file and directory are created) or `postgres://…`. A PostgreSQL that is down is not an
    /// error here: connections are made when they are wanted, so that a start may go on without the database.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a URL of neither kind; [`StoreError::Unavailable`] if the SQLite file cannot be made.
    pub async fn connect(url: &str, options: StoreOptions) -> Result<Self, StoreError> {
        let runtime = IoRuntime::start().map_err(|error| StoreError::later(format!("no threads: {error}")))?;
        let (db, migrate_url) = match url.split_once(':').map(|(scheme, _)| scheme) {
            Some("sqlite") => open_sqlite(&runtime, url, options).await?,
            Some("postgres" | "postgresql") => open_postgres(&runtime, url, options)?,
            _ => return Err(StoreError::Invalid("database URL: sqlite://path or postgres://… is expected".to_owned())),
        };
        let schema = AtomicI64::new(SCHEMA_UNKNOWN);
        let (trouble, look_ups) = (Mutex::default(), gate::LookUps::default());
        let feed = tokio::sync::watch::Sender::new(0);
        Ok(Self(Arc::new(Inner { db: Arc::new(db), runtime, options, migrate_url, schema, trouble, look_ups, feed })))
    }

    /// Brings the schema to the newest version; a second run changes nothing. Until it has succeeded once, every query
    /// is refused as unavailable.
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`]; [`StoreError::Unavailable`], after which it may be tried again.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.0);
        let outcome = self.on_runtime(MIGRATE_DEADLINE, async move { inner.migrate_url.run().await }).await;
        self.note(&outcome);
        match outcome {
            Ok(()) => self.0.schema.store(SCHEMA_READY, Ordering::Release),
            Err(StoreError::NewerSchema(version)) => self.0.schema.store(version, Ordering::Release),
            Err(_) => {}
        }
        outcome
    }

    /// Asks the database for an answer. For readiness: also fails while the schema is not ready.
    ///
    /// # Errors
    /// As every query.
    pub async fn ping(&self) -> Result<(), StoreError> {
        // The database first: one that is away must not be told as one without migrations.
        let one = |db: Arc<Db>| async move {
            db.fetch_all::<(i64,)>("SELECT CAST(1 AS BIGINT)".into_sql_str(), Vec::new()).await.map(drop)
        };
        self.attempt(one).await?;
        self.schema_ready()
    }

    /// Why the database is away, as far as this process knows; `None` while it answers.
    #[must_use]
    pub fn trouble(&self) -> Option<Away> {
        lock(&self.0.trouble).why
    }

    /// Remembers what an answer says of the database. A pool that had no connection in time does not say why: a
    /// connection is tried to find out.
    fn note<T>(&self, outcome: &Result<T, StoreError>) {
        let why = match outcome {
            Err(error) if error.is_unavailable() => error.away(),
            _ => None,
        };
        let mut trouble = lock(&self.0.trouble);
        let unclear = why == Some(Away::Busy);
        if !unclear || trouble.why.is_none() {
            trouble.why = why;
        }
        let due = trouble.diagnosed_at.is_none_or(|at| at.elapsed() >= DIAGNOSE_EVERY);
        if let (true, true, MigrateTarget::Postgres(server)) = (unclear, due, &self.0.migrate_url) {
            trouble.diagnosed_at = Some(Instant::now());
            let (store, server) = (self.clone(), server.clone());
            // Refused only when the store is closed.
            let _diagnosis = self.0.runtime.spawn(async move {
                let found = match in_time(server.connect()).await {
                    Ok(connection) => connection.close().await.map_or(Away::Unreachable, |()| Away::Busy),
                    Err(error) => error.away().unwrap_or(Away::Other),
                };
                let mut trouble = lock(&store.0.trouble);
                if trouble.why.is_some() {
                    trouble.why = Some(found);
                }
            });
        }
    }

    /// `sqlite` or `postgres`.
    #[must_use]
    pub fn engine(&self) -> &'static str {
        match *self.0.db {
            Db::Sqlite { .. } => "sqlite",
            Db::Postgres { .. } => "postgres",
        }
    }

    /// Ends every connection; all queries fail from now on.
    pub async fn close(&self) {
        let db = Arc::clone(&self.0.db);
        let closing = async move {
            db.close().await;
            Ok(())
        };
        if let Err(error) = self.on_runtime(self.0.options.statement_timeout, closing).await {
            tracing::warn!(%error, "database connections did not close in time");
        }
    }

    fn schema_ready(&self) -> Result<(), StoreError> {
        match self.0.schema.load(Ordering::Acquire) {
            SCHEMA_READY => Ok(()),
            SCHEMA_UNKNOWN => Err(StoreError::later("migrations have not been applied yet").because(Away::Schema)),
            version => Err(StoreError::NewerSchema(version)),
        }
    }

    /// Runs a future on the io runtime with a deadline; a panic in it comes back as an error.
    async fn on_runtime<T: Send + 'static>(
        &self,
        deadline: Duration,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let bounded = async move {
            tokio::time::timeout(deadline, work)
                .await
                .inspect_err(|_| metrics::counter!("caly_store_deadlines_total").increment(1))
                .unwrap_or_else(|_| Err(StoreError::silent()))
        };
        let Some(task) = self.0.runtime.spawn(bounded) else {
            return Err(StoreError::later("store is shut down"));
        };
        task.await.unwrap_or_else(|error| {
            if error.is_panic() {
                Err(StoreError::Internal("a query panicked".to_owned()))
            } else {
                Err(StoreError::later("store is shut down"))
            }
        })
    }

    /// Runs `work` on the io runtime, again with back-off where that can help: it must be repeatable.
    async fn run<T, F>(&self, work: impl Fn(Arc<Db>) -> F + Send + Sync + 'static) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        self.schema_ready()?;
        self.attempt(work).await
    }

    /// As [`Store::run`], whatever the state of the schema.
    async fn attempt<T, F>(&self, work: impl Fn(Arc<Db>) -> F + Send + Sync + 'static) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let db = Arc::clone(&self.0.db);
        let back_off = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(20))
            .with_max_delay(Duration::from_millis(200))
            .with_max_times(RETRIES)
            .with_jitter();
        let attempts = async move { (|| work(Arc::clone(&db))).retry(back_off).when(StoreError::is_retryable).await };
        let (store, limit) = (self.clone(), self.0.options.acquire_timeout + self.0.options.statement_timeout);
        // Noted on the runtime, so that a caller who gives up earlier does not keep others from knowing.
        let noted = async move {
            let outcome = tokio::time::timeout(limit, attempts).await.unwrap_or_else(|_| Err(StoreError::silent()));
            store.note(&outcome);
            outcome
        };
        self.on_runtime(limit * 2, noted).await
    }

    async fn all<T: Row>(&self, sql: impl SqlSafeStr, args: Vec<Arg>) -> Result<Vec<T>, StoreError> {
        let sql: SqlStr = sql.into_sql_str();
        self.run(move |db| {
            let (sql, args) = (sql.clone(), args.clone());
            async move { db.fetch_all(sql, args).await }
        })
        .await
    }

    async fn optional<T: Row>(&self, sql: impl SqlSafeStr, args: Vec<Arg>) -> Result<Option<T>, StoreError> {
        let sql: SqlStr = sql.into_sql_str();
        self.run(move |db| {
            let (sql, args) = (sql.clone(), args.clone());
            async move { db.fetch_optional(sql, args).await }
        })
        .await
    }

    async fn execute(&self, sql: impl SqlSafeStr, args: Vec<Arg>) -> Result<u64, StoreError> {
        let sql: SqlStr = sql.into_sql_str();
        self.run(move |db| {
            let (sql, args) = (sql.clone(), args.clone());
            async move { db.execute(sql, args).await }
        })
        .await
    }
}

/// A server that swallows packets must not hold the migrations for as long as they may run.
async fn in_time<T>(connecting: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    match tokio::time::timeout(CONNECT_DEADLINE, connecting).await {
        Ok(connected) => Ok(connected?),
        Err(_) => Err(StoreError::silent()),
    }
}

async fn open_sqlite(runtime: &IoRuntime, url: &str, options: StoreOptions) -> Result<(Db, MigrateTarget), StoreError> {
    if url.contains(":memory:") || url.contains("mode=memory") {
        return Err(StoreError::Invalid(
            "database URL: an in-memory SQLite would be a different one for readers and \
            writers; name a file"
                .to_owned(),
        ));
    }
    let file = SqliteConnectOptions::from_str(url)?
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        // A committed row has reached the disk; the recorder's batches keep that cheap.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(SQLITE_BUSY)
        // Batches have statements of thousands of places: how slow they are is told in metrics, not text by text.
        .disable_statement_logging();
    let path: PathBuf = file.get_filename().to_owned();
    let pools = async move {
        make_private(&path).await?;
        let migrated = Migrated::default();
        let pool = || {
            let migrated = Arc::clone(&migrated);
            SqlitePoolOptions::new().acquire_timeout(options.acquire_timeout).before_acquire(move |_, connection| {
                let knows = migrated.get().is_none_or(|since| connection.age < since.elapsed());
                Box::pin(std::future::ready(Ok(knows)))
            })
        };
        // A write may hold the one connection for as long as it waits for the file.
        let writer = || pool().max_connections(1).acquire_timeout(SQLITE_BUSY);
        let write = match writer().connect_with(file.clone()).await.map_err(StoreError::from) {
            Ok(write) => write,
            // Another process holds the file for now: that is a database that is away, not one that cannot be.
            Err(error) if matches!(error.away(), Some(Away::Locked | Away::NoRoom | Away::Busy)) => {
                writer().connect_lazy_with(file.clone())
            }
            Err(error) => return Err(error),
        };
        let read = pool().max_connections(options.max_connections.max(1)).connect_lazy_with(file.clone());
        Ok((Db::Sqlite { write, read }, MigrateTarget::Sqlite(Box::new(file), migrated)))
    };
    let Some(task) = runtime.spawn(pools) else { return Err(StoreError::later("store is shut down")) };
    task.await.unwrap_or_else(|error| Err(StoreError::Internal(format!("opening SQLite: {error}"))))
}

/// Makes the database's file and its directory for their owner only: conversations are in it. Those that exist keep the
/// modes they have. The journal files beside it take theirs from the database's.
async fn make_private(path: &Path) -> Result<(), StoreError> {
    let failed = |error: std::io::Error| StoreError::later(format!("directory of the SQLite file: {error}"));
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        let mut builder = tokio::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(directory).await.map_err(failed)?;
    }
    let made = tokio::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).await;
    match made {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(failed(error)),
        _ => Ok(()),
    }
}

fn open_postgres(runtime: &IoRuntime, url: &str, options: StoreOptions) -> Result<(Db, MigrateTarget), StoreError> {
    let server = PgConnectOptions::from_str(url)?.application_name("caly").disable_statement_logging();
    let limit = options.statement_timeout.as_millis().to_string();
    let limited = server.clone().options([
        ("statement_timeout", limit.as_str()),
        ("lock_timeout", limit.as_str()),
        ("idle_in_transaction_session_timeout", "30000"),
    ]);
    // The pool's own upkeep is spawned where it is made.
    let handle = runtime.handle().ok_or_else(|| StoreError::later("store is shut down"))?;
    let _entered = handle.enter();
    let pool = |most| PgPoolOptions::new().max_connections(most).acquire_timeout(options.acquire_timeout);
    let journal = pool(1).connect_lazy_with(limited.clone());
    let pool = pool(options.max_connections.max(1)).connect_lazy_with(limited);
    Ok((Db::Postgres { pool, journal }, MigrateTarget::Postgres(Box::new(server))))
}
