//! A PostgreSQL database for one test, on the server that `scripts/test-postgres.sh` started.

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use std::str::FromStr;

/// Its own database; dropped by [`TestDatabase::drop_database`].
pub struct TestDatabase {
    admin: PgConnectOptions,
    pub name: String,
    pub url: String,
}

impl TestDatabase {
    /// Makes an empty database.
    ///
    /// # Panics
    /// Without `CALY_TEST_POSTGRES_URL`: half of the store's tests would be missing.
    pub async fn create() -> Self {
        let admin_url = std::env::var("CALY_TEST_POSTGRES_URL").unwrap_or_default();
        assert!(
            !admin_url.is_empty(),
            "CALY_TEST_POSTGRES_URL is not set: run the tests with `make test`, which starts a throw-away PostgreSQL, \
             or `eval \"$(scripts/test-postgres.sh start)\"` first"
        );
        let admin = PgConnectOptions::from_str(&admin_url).expect("CALY_TEST_POSTGRES_URL").disable_statement_logging();
        let name = format!("caly_{}", uuid::Uuid::now_v7().simple());
        let mut url = url::Url::parse(&admin_url).expect("CALY_TEST_POSTGRES_URL");
        url.set_path(&name);
        let database = Self { admin, name, url: url.to_string() };
        database.as_admin(format!("CREATE DATABASE {}", database.name)).await;
        database
    }

    /// Runs one statement on the server's own database.
    pub async fn as_admin(&self, sql: String) {
        let mut connection = self.admin.connect().await.expect("the test PostgreSQL answers");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("admin statement");
        connection.close().await.expect("close");
    }

    /// A connection of the test's own to its database.
    pub async fn connect(&self) -> PgConnection {
        self.admin.clone().database(&self.name).connect().await.expect("connect")
    }

    /// Cuts every connection and lets none in.
    pub async fn shut(&self) {
        self.as_admin(format!("ALTER DATABASE {} ALLOW_CONNECTIONS false", self.name)).await;
        self.cut_connections().await;
    }

    /// Undoes [`TestDatabase::shut`].
    pub async fn reopen(&self) {
        self.as_admin(format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", self.name)).await;
    }

    /// Kills the server's side of every connection.
    pub async fn cut_connections(&self) {
        let sql = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'", self.name);
        self.as_admin(sql).await;
    }

    pub async fn drop_database(&self) {
        self.as_admin(format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)).await;
    }
}
