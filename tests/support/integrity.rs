//! The questions to the record after a campaign: is every call there once with one end, is nothing doubled, torn or
//! open, and does no planted number stand where it should not?
//!
//! Asks the database itself, behind the program's back, on either engine.
#![allow(dead_code, reason = "shared by tests and campaigns; none needs all of it")]

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, Connection as _, Row as _};

/// A connection to either engine, for questions whose answers are texts and numbers.
enum Asked {
    Sqlite(sqlx::SqliteConnection),
    Postgres(sqlx::PgConnection),
}

impl Asked {
    async fn open(url: &str) -> Result<Self, String> {
        let opened = if url.starts_with("sqlite") {
            sqlx::SqliteConnection::connect(url).await.map(Self::Sqlite)
        } else {
            sqlx::PgConnection::connect(url).await.map(Self::Postgres)
        };
        opened.map_err(|error| format!("the record cannot be asked: {error}"))
    }

    /// The rows of a query whose columns are all texts.
    async fn rows(&mut self, sql: &str) -> Result<Vec<Vec<String>>, String> {
        macro_rules! texts {
            ($connection:expr) => {{
                let rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all($connection).await;
                let mut texts = Vec::new();
                for row in rows.map_err(|error| format!("{sql}: {error}"))? {
                    let column = |at| row.try_get::<Option<String>, _>(at).map(Option::unwrap_or_default);
                    let columns: Result<Vec<String>, _> = (0..row.len()).map(column).collect();
                    texts.push(columns.map_err(|error| format!("{sql}: {error}"))?);
                }
                Ok(texts)
            }};
        }
        match self {
            Self::Sqlite(connection) => texts!(connection),
            Self::Postgres(connection) => texts!(connection),
        }
    }
}

/// Each question as SQL whose rows are the faults found: a text each.
const QUESTIONS: &[(&str, &str)] = &[
    (
        "a carrier's call has more than one row",
        "SELECT carrier_call_id FROM calls GROUP BY carrier, carrier_call_id HAVING COUNT(*) > 1",
    ),
    ("a call is not ended", "SELECT carrier_call_id FROM calls WHERE state <> 'ended'"),
    (
        "an ended call has no reason or time",
        "SELECT carrier_call_id FROM calls WHERE state = 'ended' AND (end_reason IS NULL OR ended_at IS NULL OR ended_by IS NULL)",
    ),
    (
        "an action's key is used twice",
        "SELECT idempotency_key FROM actions GROUP BY idempotency_key HAVING COUNT(*) > 1",
    ),
    ("an action is still running", "SELECT idempotency_key FROM actions WHERE state = 'running'"),
    (
        "a turn belongs to no call",
        "SELECT turns.text FROM turns LEFT JOIN calls ON calls.id = turns.call_id WHERE calls.id IS NULL",
    ),
    ("a turn ends before it starts", "SELECT text FROM turns WHERE ended_ms < started_ms"),
    // Two turns of one speaker cannot begin at the same moment with the same words: that is one turn kept twice.
    ("a turn is there twice", "SELECT text FROM turns GROUP BY call_id, speaker, started_ms, text HAVING COUNT(*) > 1"),
    (
        "an event belongs to no call",
        "SELECT call_events.kind FROM call_events LEFT JOIN calls ON calls.id = call_events.call_id WHERE calls.id IS NULL",
    ),
    (
        "an intent has no turn",
        "SELECT intents.intent FROM intents LEFT JOIN turns ON turns.id = intents.turn_id WHERE turns.id IS NULL",
    ),
    (
        "a recording is named twice",
        "SELECT location FROM recordings GROUP BY carrier, carrier_call_id, location HAVING COUNT(*) > 1",
    ),
];

/// Tables and columns with free text where a caller's number, spoken or dialled, has no business.
const NUMBER_FREE: &[(&str, &str)] = &[
    ("audit_log", "detail"),
    ("audit_log", "actor"),
    ("audit_log", "action"),
    ("calls", "end_reason"),
    ("calls", "degraded"),
    ("recordings", "location"),
    ("api_keys", "name"),
];

/// What a campaign knows must be there.
#[derive(Default)]
pub struct Expected {
    /// Carrier ids, each with one row; empty: not asked.
    pub calls: Vec<String>,
    /// Turns a call must at least have.
    pub turns_min: usize,
    /// Digits that were planted and must not be found in logs of who did what.
    pub planted: Vec<String>,
}

/// Every fault found in the record, in words; empty is sound.
///
/// # Errors
/// The database cannot be asked.
pub async fn faults(url: &str, expected: &Expected) -> Result<Vec<String>, String> {
    let mut database = Asked::open(url).await?;
    let mut found = Vec::new();
    for (fault, sql) in QUESTIONS {
        for row in database.rows(sql).await? {
            found.push(format!("{fault}: {}", row.join(" ")));
        }
    }
    let rows = "SELECT calls.carrier_call_id, CAST(COUNT(turns.id) AS TEXT) FROM calls \
        LEFT JOIN turns ON turns.call_id = calls.id GROUP BY calls.id, calls.carrier_call_id";
    let turns: HashMap<String, usize> = database
        .rows(rows)
        .await?
        .into_iter()
        .filter_map(|row| Some((row.first()?.clone(), row.get(1)?.parse().ok()?)))
        .collect();
    for call in &expected.calls {
        match turns.get(call) {
            None => found.push(format!("a call has no row: {call}")),
            Some(turns) if *turns < expected.turns_min => {
                found.push(format!("a call lost turns: {call} has {turns}, not {}", expected.turns_min));
            }
            Some(_) => {}
        }
    }
    for planted in &expected.planted {
        for (table, column) in NUMBER_FREE {
            let sql =
                format!("SELECT CAST({column} AS TEXT) FROM {table} WHERE CAST({column} AS TEXT) LIKE '%{planted}%'");
            let hits = database.rows(&sql).await?.len();
            if hits > 0 {
                found.push(format!("a planted number stands in {table}.{column}, {hits} times"));
            }
        }
    }
    if matches!(database, Asked::Sqlite(_)) {
        let said = database.rows("PRAGMA integrity_check").await?.concat();
        if said != ["ok"] {
            found.push(format!("integrity_check: {}", said.join("; ")));
        }
        let dangling = database.rows("SELECT \"table\" FROM pragma_foreign_key_check").await?;
        found.extend(dangling.iter().map(|row| format!("a row refers to nothing: {}", row.join(" "))));
    }
    Ok(found)
}

/// Asserts that the record is sound.
pub async fn assert_sound(url: &str, expected: &Expected) {
    let found = faults(url, expected).await;
    assert_eq!(found, Ok(Vec::new()), "the record is not sound");
}
