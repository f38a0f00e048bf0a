//! Bringing the schema to the newest version, however many processes begin to at the same moment.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use super::error::{Away, StoreError};
use super::in_time;

static SQLITE_MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES_MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// Longest wait for another process that holds an SQLite file, perhaps because it migrates it.
const OTHERS: Duration = Duration::from_secs(20);
/// Between two tries: some locks are refused at once, without the file's own patience.
const AGAIN: Duration = Duration::from_millis(50);

/// Migrations run on a connection of their own, without the statement limit.
#[derive(Debug)]
pub(super) enum MigrateTarget {
    Sqlite(Box<SqliteConnectOptions>, Migrated),
    Postgres(Box<PgConnectOptions>),
}

/// When the migrations of an SQLite file were done. A connection opened before has read the schema as it was then: SQLite
/// prepares its statements by that, and sqlx reads past the columns it counted.
pub(super) type Migrated = Arc<OnceLock<Instant>>;

impl MigrateTarget {
    pub(super) async fn run(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(options, migrated) => {
                let begun = Instant::now();
                loop {
                    match sqlite(options).await {
                        Err(error) if error.away() == Some(Away::Locked) && begun.elapsed() < OTHERS => {
                            tokio::time::sleep(AGAIN).await;
                        }
                        outcome => {
                            outcome?;
                            break;
                        }
                    }
                }
                migrated.get_or_init(Instant::now);
                Ok(())
            }
            // The migrator itself takes an advisory lock there.
            Self::Postgres(options) => {
                let mut connection = in_time(options.connect()).await?;
                let outcome = POSTGRES_MIGRATIONS.run_direct(None, &mut connection, false).await;
                let _closed = connection.close().await;
                Ok(outcome?)
            }
        }
    }
}

async fn sqlite(options: &SqliteConnectOptions) -> Result<(), StoreError> {
    let mut connection = in_time(options.connect()).await?;
    let outcome = apply(&mut connection).await;
    let _closed = connection.close().await;
    outcome
}

/// All in one transaction that holds the file from its beginning: whoever comes second waits, and then finds it done.
async fn apply(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    if is_current(connection).await {
        // Nothing to write, so nobody has to be waited for; whether it is sound is looked at all the same.
        return Ok(SQLITE_MIGRATIONS.run_direct(None, connection, false).await?);
    }
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    SQLITE_MIGRATIONS.run_direct(None, &mut *transaction, false).await?;
    Ok(transaction.commit().await?)
}

/// Whether every migration was applied, as far as can be seen without waiting for anybody.
async fn is_current(connection: &mut SqliteConnection) -> bool {
    let applied = sqlx::query_scalar::<_, i64>("SELECT version FROM _sqlx_migrations").fetch_all(connection).await;
    applied.is_ok_and(|applied| SQLITE_MIGRATIONS.iter().all(|migration| applied.contains(&migration.version)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::super::{Store, StoreOptions};

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn many_who_migrate_one_new_file_at_the_same_moment_all_find_it_ready() {
        for round in 0..4 {
            let directory = tempfile::tempdir().unwrap();
            let url = format!("sqlite://{}/caly.db", directory.path().display());
            let together = std::sync::Arc::new(tokio::sync::Barrier::new(6));
            let migrate = |_| {
                let (url, together) = (url.clone(), std::sync::Arc::clone(&together));
                tokio::spawn(async move {
                    together.wait().await;
                    // As processes do: nothing is shared but the file.
                    let store = Store::connect(&url, StoreOptions::default()).await?;
                    store.migrate().await?;
                    store.ping().await
                })
            };
            for outcome in futures_util::future::join_all((0..6).map(migrate)).await {
                assert_eq!(outcome.unwrap(), Ok(()), "round {round}");
            }
        }
    }
}
