//! Two engines behind one face: the only file that knows which one is running. A statement is one text with `$n`
//! places and a list of values; it goes to SQLite and to PostgreSQL unchanged.

use std::future::Future;
use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};
use serde_json::Value;
use sqlx::postgres::{PgPool, PgRow};
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, FromRow, Postgres, SqlSafeStr, SqlStr, Sqlite, Transaction};
use uuid::Uuid;

use super::error::StoreError;

/// The pools. SQLite has one writer, so that writers queue here and not on the file's lock.
#[derive(Debug)]
pub(super) enum Db {
    /// A file.
    Sqlite {
        /// One connection.
        write: SqlitePool,
        /// As many as configured; WAL lets them read while the other writes.
        read: SqlitePool,
    },
    /// A server.
    Postgres {
        /// For whoever asks.
        pool: PgPool,
        /// The recorder's own connection, so that it gets on however many ask.
        journal: PgPool,
    },
}

/// Longest time of one statement of a transaction that is bounded as a whole by whoever runs it.
const BOUNDED_ELSEWHERE: Duration = Duration::from_secs(600);
/// Values in one statement: SQLite takes 32,766, PostgreSQL 65,535.
const PLACES_MAX: usize = 30_000;

/// A row type that both engines can fill.
pub(super) trait Row:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin + 'static
{
}
impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin + 'static {}

/// A value for a `$n` place; `None` is NULL of that type. Times are cut to microseconds, which PostgreSQL keeps, and
/// texts lose NUL characters, which PostgreSQL refuses.
#[derive(Clone, Debug)]
pub(super) enum Arg {
    Uuid(Option<Uuid>),
    Text(Option<String>),
    Int(Option<i64>),
    Float(f64),
    Bool(bool),
    Time(Option<DateTime<Utc>>),
    Json(Option<Value>),
    Bytes(Option<Vec<u8>>),
}

macro_rules! arg_from {
    ($($variant:ident: $type:ty),+ $(,)?) => {$(
        impl From<$type> for Arg {
            fn from(value: $type) -> Self {
                Self::from(Some(value))
            }
        }
        impl From<Option<$type>> for Arg {
            fn from(value: Option<$type>) -> Self {
                Self::$variant(value.map(clean::$variant))
            }
        }
    )+};
}
arg_from!(Uuid: Uuid, Text: String, Int: i64, Time: DateTime<Utc>, Json: Value, Bytes: Vec<u8>);

impl From<&str> for Arg {
    fn from(value: &str) -> Self {
        Self::from(value.to_owned())
    }
}
impl From<bool> for Arg {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}
impl From<f64> for Arg {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

/// What a value must lose before both engines take it, by the name of its variant.
#[allow(non_snake_case, reason = "named after the variants of Arg so that one macro serves both")]
mod clean {
    use super::*;

    pub(super) fn Uuid(value: Uuid) -> Uuid {
        value
    }
    pub(super) fn Int(value: i64) -> i64 {
        value
    }
    pub(super) fn Bytes(value: Vec<u8>) -> Vec<u8> {
        value
    }
    pub(super) fn Time(value: DateTime<Utc>) -> DateTime<Utc> {
        value.trunc_subsecs(6)
    }
    pub(super) fn Text(value: String) -> String {
        if value.contains('\0') { value.replace('\0', "\u{fffd}") } else { value }
    }
    pub(super) fn Json(value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(Text(text)),
            Value::Array(items) => Value::Array(items.into_iter().map(Json).collect()),
            Value::Object(map) => Value::Object(map.into_iter().map(|(key, value)| (Text(key), Json(value))).collect()),
            plain => plain,
        }
    }
}

/// `args![a, b]`: the values of a statement, in the order of its places.
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::db::Arg::from($value)),*] };
}
pub(super) use args;

macro_rules! bound {
    ($query:expr, $args:expr) => {
        $args.into_iter().fold($query, |query, arg| match arg {
            Arg::Uuid(value) => query.bind(value),
            Arg::Text(value) => query.bind(value),
            Arg::Int(value) => query.bind(value),
            Arg::Float(value) => query.bind(value),
            Arg::Bool(value) => query.bind(value),
            Arg::Time(value) => query.bind(value),
            Arg::Json(value) => query.bind(value),
            Arg::Bytes(value) => query.bind(value),
        })
    };
}

/// Runs `$body` with the reading or the writing pool of whichever engine it is.
macro_rules! on {
    ($db:expr, $side:ident, $pool:ident => $body:expr) => {
        match $db {
            Db::Sqlite { $side: $pool, .. } => $body,
            Db::Postgres { pool: $pool, .. } => $body,
        }
    };
}

impl Db {
    pub(super) async fn fetch_all<T: Row>(&self, sql: SqlStr, args: Vec<Arg>) -> Result<Vec<T>, StoreError> {
        Ok(on!(self, read, pool => bound!(sqlx::query_as(sql), args).fetch_all(pool).await)?)
    }

    pub(super) async fn fetch_optional<T: Row>(&self, sql: SqlStr, args: Vec<Arg>) -> Result<Option<T>, StoreError> {
        Ok(on!(self, read, pool => bound!(sqlx::query_as(sql), args).fetch_optional(pool).await)?)
    }

    /// Rows changed.
    pub(super) async fn execute(&self, sql: SqlStr, args: Vec<Arg>) -> Result<u64, StoreError> {
        Ok(
            on!(self, write, pool => bound!(sqlx::query(sql), args).execute(pool).await.map(|done| done.rows_affected()))?,
        )
    }

    /// A transaction that will write. SQLite takes its lock now: one that reads first and locks later can be refused.
    pub(super) async fn begin(&self) -> Result<Tx, StoreError> {
        let kind = match self {
            Self::Sqlite { write, .. } => TxKind::Sqlite(begin_immediate(write).await?),
            Self::Postgres { pool, .. } => TxKind::Postgres(pool.begin().await?),
        };
        Ok(Tx { kind, patience: BOUNDED_ELSEWHERE })
    }

    /// The recorder's: no statement of it may take longer than `patience`, whatever the server says.
    pub(super) async fn begin_journal(&self, patience: Duration) -> Result<Tx, StoreError> {
        let beginning = async {
            Ok(match self {
                Self::Sqlite { write, .. } => TxKind::Sqlite(begin_immediate(write).await?),
                Self::Postgres { journal, .. } => TxKind::Postgres(journal.begin().await?),
            })
        };
        Ok(Tx { kind: in_time(patience, beginning).await?, patience })
    }

    /// A transaction whose reads all see the same moment.
    pub(super) async fn begin_read(&self) -> Result<Tx, StoreError> {
        let kind = match self {
            Self::Sqlite { read, .. } => TxKind::Sqlite(read.begin().await?),
            Self::Postgres { pool, .. } => {
                TxKind::Postgres(pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?)
            }
        };
        Ok(Tx { kind, patience: BOUNDED_ELSEWHERE })
    }

    /// Ends every connection and refuses new ones.
    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite { write, read } => {
                read.close().await;
                write.close().await;
            }
            Self::Postgres { pool, journal } => {
                pool.close().await;
                journal.close().await;
            }
        }
    }
}

/// After a full disk or a failed write SQLite has rolled a transaction back by itself. The driver does not know it, its
/// own rollback fails, and the connection would refuse to begin anything ever after: it is replaced.
async fn begin_immediate(write: &SqlitePool) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
    const BEGIN: &str = "BEGIN IMMEDIATE";
    match write.begin_with(BEGIN).await {
        Err(sqlx::Error::InvalidSavePointStatement | sqlx::Error::BeginFailed) => {
            write.acquire().await?.close().await?;
            write.begin_with(BEGIN).await
        }
        begun => begun,
    }
}

async fn in_time<T>(patience: Duration, asked: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    match tokio::time::timeout(patience, asked).await {
        Ok(answered) => Ok(answered?),
        Err(_) => Err(StoreError::silent()),
    }
}

/// An open transaction; rolled back when dropped.
pub(super) struct Tx {
    kind: TxKind,
    /// Longest time of one statement.
    patience: Duration,
}

enum TxKind {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

macro_rules! within {
    ($tx:expr, $connection:ident => $body:expr) => {{
        let patience = $tx.patience;
        match &mut $tx.kind {
            TxKind::Sqlite(tx) => {
                let $connection = &mut **tx;
                in_time(patience, $body).await
            }
            TxKind::Postgres(tx) => {
                let $connection = &mut **tx;
                in_time(patience, $body).await
            }
        }
    }};
}

impl Tx {
    pub(super) async fn fetch_all<T: Row>(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<Vec<T>, StoreError> {
        within!(self, c => bound!(sqlx::query_as(sql), args).fetch_all(c))
    }

    pub(super) async fn fetch_optional<T: Row>(
        &mut self,
        sql: &'static str,
        args: Vec<Arg>,
    ) -> Result<Option<T>, StoreError> {
        within!(self, c => bound!(sqlx::query_as(sql), args).fetch_optional(c))
    }

    /// A statement made by [`Select`].
    pub(super) async fn select<T: Row>(&mut self, sql: SqlStr, args: Vec<Arg>) -> Result<Vec<T>, StoreError> {
        within!(self, c => bound!(sqlx::query_as(sql), args).fetch_all(c))
    }

    /// `head ($1, …)`, for a `head` that ends in `IN`; there must be a value. Not kept among the prepared statements.
    pub(super) async fn fetch_in<T: Row>(&mut self, head: &'static str, args: Vec<Arg>) -> Result<Vec<T>, StoreError> {
        let places: Vec<String> = (1..=args.len()).map(|place| format!("${place}")).collect();
        let sql = AssertSqlSafe(format!("{head} ({})", places.join(", "))).into_sql_str();
        within!(self, c => bound!(sqlx::query_as(sql).persistent(false), args).fetch_all(c))
    }

    /// Rows changed.
    pub(super) async fn execute(&mut self, sql: &'static str, args: Vec<Arg>) -> Result<u64, StoreError> {
        within!(self, c => async { bound!(sqlx::query(sql), args).execute(c).await.map(|done| done.rows_affected()) })
    }

    /// Gives rows of equal length to one statement: `head VALUES ($1, …), … tail`; to a few when they hold too many
    /// values. Not kept among the prepared statements, since every number of rows is another text. Rows changed.
    pub(super) async fn insert_many(
        &mut self,
        head: &'static str,
        mut rows: Vec<Vec<Arg>>,
        tail: &'static str,
    ) -> Result<u64, StoreError> {
        let mut changed = 0;
        while !rows.is_empty() {
            let columns = rows.first().map_or(1, Vec::len).max(1);
            let later = rows.split_off(rows.len().min(PLACES_MAX / columns));
            let sql = AssertSqlSafe(many(head, &rows, tail)).into_sql_str();
            let args = rows.into_iter().flatten();
            changed += within!(self, c => async {
                bound!(sqlx::query(sql).persistent(false), args).execute(c).await.map(|done| done.rows_affected())
            })?;
            rows = later;
        }
        Ok(changed)
    }

    pub(super) async fn commit(self) -> Result<(), StoreError> {
        match self.kind {
            TxKind::Sqlite(tx) => in_time(self.patience, tx.commit()).await,
            TxKind::Postgres(tx) => in_time(self.patience, tx.commit()).await,
        }
    }
}

/// The text of a statement over rows.
fn many(head: &str, rows: &[Vec<Arg>], tail: &str) -> String {
    let mut text = format!("{head} VALUES ");
    let mut place = 0;
    for (at, row) in rows.iter().enumerate() {
        text.push_str(if at == 0 { "(" } else { ", (" });
        for column in 0..row.len() {
            place += 1;
            text.push_str(&format!("{}${place}", if column == 0 { "" } else { ", " }));
        }
        text.push(')');
    }
    text.push(' ');
    text.push_str(tail);
    text
}

/// A `SELECT` whose conditions depend on what was asked for, so that each form of it finds its index.
pub(super) struct Select {
    text: String,
    args: Vec<Arg>,
    /// Whether a condition stands there already.
    begun: bool,
}

impl Select {
    /// `head` is everything before `WHERE`.
    pub(super) fn new(head: &'static str) -> Self {
        Self { text: head.to_owned(), args: Vec::new(), begun: false }
    }

    /// `head` has conditions that hold in any case.
    pub(super) fn more(head: &'static str) -> Self {
        Self { begun: true, ..Self::new(head) }
    }

    fn begin(&mut self) {
        self.text.push_str(if std::mem::replace(&mut self.begun, true) { " AND " } else { " WHERE " });
    }

    /// Adds a condition, written with `?` for each of its values.
    pub(super) fn and(mut self, condition: &'static str, args: Vec<Arg>) -> Self {
        self.begin();
        let mut place = self.args.len();
        for (at, piece) in condition.split('?').enumerate() {
            if at > 0 {
                place += 1;
                self.text.push_str(&format!("${place}"));
            }
            self.text.push_str(piece);
        }
        self.args.extend(args);
        self
    }

    /// The same, if there is a value.
    pub(super) fn and_some<T: Into<Arg>>(self, condition: &'static str, value: Option<T>) -> Self {
        match value {
            Some(value) => self.and(condition, vec![value.into()]),
            None => self,
        }
    }

    /// Adds `column IN (…)`; there must be a value.
    pub(super) fn and_in(mut self, column: &'static str, args: Vec<Arg>) -> Self {
        self.begin();
        let first = self.args.len() + 1;
        let places: Vec<String> = (first..first + args.len()).map(|place| format!("${place}")).collect();
        self.text.push_str(&format!("{column} IN ({})", places.join(", ")));
        self.args.extend(args);
        self
    }

    /// As [`Select::finish`], leaving out so many rows.
    pub(super) fn skip(mut self, tail: &'static str, limit: i64, skipped: i64) -> (SqlStr, Vec<Arg>) {
        self.text.push_str(&format!(" {tail} LIMIT {limit} OFFSET {skipped}"));
        (AssertSqlSafe(self.text).into_sql_str(), self.args)
    }

    /// Adds `tail` (the order) and a limit.
    pub(super) fn finish(mut self, tail: &'static str, limit: i64) -> (SqlStr, Vec<Arg>) {
        self.text.push_str(&format!(" {tail} LIMIT {limit}"));
        (AssertSqlSafe(self.text).into_sql_str(), self.args)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_numbered_in_order() {
        let (sql, args) = Select::new("SELECT * FROM t")
            .and_some("a = ?", Some("x"))
            .and_some("b = ?", None::<i64>)
            .and("(c, d) < (?, ?)", args![1_i64, 2_i64])
            .finish("ORDER BY c DESC", 5);
        assert_eq!(sql.as_str(), "SELECT * FROM t WHERE a = $1 AND (c, d) < ($2, $3) ORDER BY c DESC LIMIT 5");
        assert_eq!(args.len(), 3);
        let (sql, _) =
            Select::more("SELECT * FROM t WHERE x").and("y", args![]).and_some("a = ?", Some("x")).finish("", 1);
        assert_eq!(sql.as_str(), "SELECT * FROM t WHERE x AND y AND a = $1  LIMIT 1");
    }

    #[test]
    fn values_lose_what_one_engine_would_refuse() {
        let Arg::Json(Some(json)) = Arg::from(serde_json::json!({"a\u{0}": ["b\u{0}"]})) else { panic!("json") };
        assert_eq!(json, serde_json::json!({"a\u{fffd}": ["b\u{fffd}"]}));
    }
}
