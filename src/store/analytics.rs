//! What happened in a stretch of time, counted.

use caly_actors::domain::ClientId;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::FromRow;
use utoipa::ToSchema;

use super::Store;
use super::db::Select;
use super::error::StoreError;

/// Most lines of one count; there are far fewer words than that.
const LINES_MAX: i64 = 200;

const CALLS: &str = "SELECT COUNT(*) AS calls, COUNT(c.answered_at) AS answered, \
    COALESCE(CAST(SUM(CASE WHEN c.after_stream = 'transfer' THEN 1 ELSE 0 END) AS BIGINT), 0) AS transferred, \
    COALESCE(CAST(SUM(c.duration_ms) AS BIGINT), 0) AS duration_ms, \
    COALESCE(CAST(SUM(c.cost_micro_usd) AS BIGINT), 0) AS cost_micro_usd FROM calls c";
const ENDS: &str = "SELECT c.end_reason AS name, COUNT(*) AS count FROM calls c";
const INTENTS: &str = "SELECT i.intent AS name, COUNT(*) AS count FROM intents i JOIN calls c ON c.id = i.call_id";
const ACTIONS: &str =
    "SELECT a.name AS name, a.state AS state, COUNT(*) AS count FROM actions a JOIN calls c ON c.id = a.call_id";
const ANSWERS: &str = "SELECT COUNT(*) AS count FROM turns t JOIN calls c ON c.id = t.call_id";
const LATENCIES: &str = "SELECT t.latency_ms AS latency_ms FROM turns t JOIN calls c ON c.id = t.call_id";

/// Which calls are counted: those admitted in a stretch of time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stretch {
    /// Of this client, or of all.
    pub client: Option<ClientId>,
    /// Admitted at this time or later.
    pub from: DateTime<Utc>,
    /// Admitted before this time.
    pub to: DateTime<Utc>,
}

/// How often a word stands there.
#[derive(Clone, PartialEq, Eq, Debug, FromRow, Serialize, ToSchema)]
pub struct Counted {
    pub name: String,
    pub count: i64,
}

/// How often an action came to a state.
#[derive(Clone, PartialEq, Eq, Debug, FromRow, Serialize, ToSchema)]
pub struct CountedAction {
    pub name: String,
    /// `running`, `done`, `failed` or `unknown`.
    pub state: String,
    pub count: i64,
}

/// Sums over the calls.
#[derive(Clone, PartialEq, Eq, Debug, FromRow, Serialize, ToSchema)]
pub struct CallSums {
    pub calls: i64,
    /// The stream began.
    pub answered: i64,
    /// Handed to a person.
    pub transferred: i64,
    /// Of all calls that have ended, together.
    pub duration_ms: i64,
    pub cost_micro_usd: i64,
}

/// From the end of the caller's words to the first sound of the answer, over all answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Latency {
    pub answers: i64,
    /// `null` without any answer.
    pub p50_ms: Option<i64>,
    pub p95_ms: Option<i64>,
}

/// See the module's text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Analytics {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub sums: CallSums,
    /// By `end_reason`, most frequent first.
    pub ends: Vec<Counted>,
    /// What callers wanted, most frequent first.
    pub intents: Vec<Counted>,
    /// What was done.
    pub actions: Vec<CountedAction>,
    pub latency: Latency,
}

#[derive(FromRow)]
struct Number {
    count: i64,
}

#[derive(FromRow)]
struct LatencyRow {
    latency_ms: Option<i64>,
}

fn within(head: &'static str, stretch: Stretch) -> Select {
    Select::new(head)
        .and("c.admitted_at >= ?", vec![stretch.from.into()])
        .and("c.admitted_at < ?", vec![stretch.to.into()])
        .and_some("c.client_id = ?", stretch.client.map(|client| client.0))
}

impl Store {
    /// Counts what happened in calls.
    ///
    /// # Errors
    /// As every query.
    pub async fn analytics(&self, stretch: Stretch) -> Result<Analytics, StoreError> {
        let (sql, values) = within(CALLS, stretch).finish("", 1);
        let sums = self.all(sql, values).await?.pop().ok_or(StoreError::NotFound)?;
        let ends = within(ENDS, stretch).and("c.end_reason IS NOT NULL", Vec::new());
        let (sql, values) = ends.finish("GROUP BY c.end_reason ORDER BY count DESC, name", LINES_MAX);
        let ends = self.all(sql, values).await?;
        let (sql, values) = within(INTENTS, stretch).finish("GROUP BY i.intent ORDER BY count DESC, name", LINES_MAX);
        let intents = self.all(sql, values).await?;
        let (sql, values) = within(ACTIONS, stretch).finish("GROUP BY a.name, a.state ORDER BY name, state", LINES_MAX);
        let actions = self.all(sql, values).await?;
        let latency = self.latency(stretch).await?;
        Ok(Analytics { from: stretch.from, to: stretch.to, sums, ends, intents, actions, latency })
    }

    async fn latency(&self, stretch: Stretch) -> Result<Latency, StoreError> {
        let told = |head| within(head, stretch).and("t.latency_ms IS NOT NULL", Vec::new());
        let (sql, values) = told(ANSWERS).finish("", 1);
        let answers = self.all::<Number>(sql, values).await?.pop().map_or(0, |row| row.count);
        // The row that so many hundredths are not above, as for a list of all of them.
        let at = async |hundredths: i64| {
            let (sql, values) =
                told(LATENCIES).skip("ORDER BY t.latency_ms", 1, ((answers * hundredths + 99) / 100 - 1).max(0));
            Ok::<_, StoreError>(self.all::<LatencyRow>(sql, values).await?.pop().and_then(|row| row.latency_ms))
        };
        Ok(Latency { answers, p50_ms: at(50).await?, p95_ms: at(95).await? })
    }
}
