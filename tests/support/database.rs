//! A database for one test, on either engine, and what can be done to it behind the store's back.

#[path = "postgres.rs"]
mod pg_server;

use std::time::Duration;

use caly::store::recorder::{Recorder, RecorderOptions};
use caly::store::{NewClient, Store, StoreOptions};
use caly_actors::domain::ClientId;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

/// One engine with a database of its own and a directory for files.
pub struct World {
    pub store: Store,
    pub url: String,
    pub directory: tempfile::TempDir,
    pub postgres: Option<pg_server::TestDatabase>,
}

/// Keeps every writer waiting until it is dropped or released.
pub enum Block {
    Sqlite(sqlx::SqliteConnection),
    Postgres(sqlx::PgConnection),
}

impl Block {
    pub async fn release(self) {
        match self {
            Self::Sqlite(connection) => connection.close().await.unwrap(),
            Self::Postgres(connection) => connection.close().await.unwrap(),
        }
    }
}

pub fn options() -> StoreOptions {
    StoreOptions {
        max_connections: 4,
        acquire_timeout: Duration::from_secs(2),
        statement_timeout: Duration::from_secs(2),
    }
}

impl World {
    pub async fn open(postgres: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let postgres = if postgres { Some(pg_server::TestDatabase::create().await) } else { None };
        let url = match &postgres {
            Some(database) => database.url.clone(),
            None => format!("sqlite://{}/new/caly.db", directory.path().display()),
        };
        let store = Store::connect(&url, options()).await.unwrap();
        Self { store, url, directory, postgres }
    }

    pub async fn migrated(postgres: bool) -> Self {
        let world = Self::open(postgres).await;
        world.store.migrate().await.unwrap();
        world
    }

    /// A second program on the same database.
    pub async fn second_store(&self, options: StoreOptions) -> Store {
        let store = Store::connect(&self.url, options).await.unwrap();
        store.migrate().await.unwrap();
        store
    }

    pub fn recorder(&self) -> std::sync::Arc<Recorder> {
        Recorder::start(self.store.clone(), &self.directory.path().join("spool"), RecorderOptions::default())
    }

    pub async fn client(&self, slug: &str) -> ClientId {
        ClientId(self.store.create_client(NewClient::named(slug, "A shop")).await.unwrap().client.id)
    }

    /// Runs SQL behind the store's back.
    pub async fn sql(&self, sql: String) {
        match &self.postgres {
            Some(database) => {
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut database.connect().await).await.unwrap();
            }
            None => {
                let mut connection = self.sqlite_connection().await;
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
        }
    }

    pub async fn sqlite_connection(&self) -> sqlx::SqliteConnection {
        let options: sqlx::sqlite::SqliteConnectOptions = self.url.parse().unwrap();
        options.connect().await.unwrap()
    }

    pub async fn block_writers(&self) -> Block {
        match &self.postgres {
            Some(database) => {
                let mut connection = database.connect().await;
                let sql = "BEGIN; LOCK TABLE calls, turns, call_events, audit_log IN ACCESS EXCLUSIVE MODE";
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
                Block::Postgres(connection)
            }
            None => {
                let mut connection = self.sqlite_connection().await;
                sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
                Block::Sqlite(connection)
            }
        }
    }

    /// Makes the database refuse for as long as the answer is kept.
    pub async fn take_away(&self) -> Option<Block> {
        match &self.postgres {
            Some(database) => {
                database.shut().await;
                None
            }
            None => Some(self.block_writers().await),
        }
    }

    pub async fn give_back(&self, block: Option<Block>) {
        if let Some(block) = block {
            block.release().await;
        }
        if let Some(database) = &self.postgres {
            database.reopen().await;
        }
    }

    pub async fn finish(self) {
        self.store.close().await;
        if let Some(database) = &self.postgres {
            database.drop_database().await;
        }
    }
}
