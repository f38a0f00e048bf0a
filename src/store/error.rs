//! What can go wrong in the store, by what the caller can do about it. Knows no HTTP status.

use sqlx::error::ErrorKind;
use sqlx::migrate::MigrateError;

/// Why a query or a start did not work. Texts name tables, columns and codes, never values.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot answer now: wait, or answer 503.
    #[error("database unavailable: {reason}")]
    Unavailable {
        /// For the log.
        reason: String,
        /// Whether trying again within the same request can help. A pool time-out has already waited: it cannot.
        retryable: bool,
    },
    /// Something with the same unique value is there already, or a row refers to one that is not.
    #[error("conflict: {0}")]
    Conflict(String),
    /// No such row.
    #[error("not found")]
    NotFound,
    /// The schema was written by a newer Caly: start that one, or restore a backup.
    #[error("the database schema has migration {0}, which this version of caly does not know: start the newer version")]
    NewerSchema(i64),
    /// A value from outside does not fit: a cursor, a URL, a column's check.
    #[error("invalid value: {0}")]
    Invalid(String),
    /// Our own mistake: a column that does not decode, a panic in a query.
    #[error("store fault: {0}")]
    Internal(String),
}

impl StoreError {
    /// Whether another attempt at once can help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { retryable: true, .. })
    }

    /// Whether the database is away, as against: it answered and refused this row.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::NewerSchema(_))
    }

    /// Not now, and not within this request.
    pub fn later(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into(), retryable: false }
    }

    fn again(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into(), retryable: true }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::RowNotFound => Self::NotFound,
            sqlx::Error::Database(ref inner) => from_database(inner.as_ref()),
            sqlx::Error::Io(inner) => Self::again(format!("connection: {}", inner.kind())),
            sqlx::Error::WorkerCrashed => Self::again("worker crashed"),
            sqlx::Error::Protocol(text) => Self::again(format!("protocol: {text}")),
            sqlx::Error::BeginFailed => Self::again("begin failed"),
            sqlx::Error::Tls(inner) => Self::later(format!("TLS: {inner}")),
            sqlx::Error::PoolTimedOut => Self::later("no connection became free in time"),
            sqlx::Error::PoolClosed => Self::later("pool closed"),
            sqlx::Error::Configuration(inner) => Self::Invalid(format!("database URL: {inner}")),
            other => Self::Internal(other.to_string()),
        }
    }
}

/// Sorts what the server said. PostgreSQL: five-character SQLSTATE (its manual, appendix A); SQLite: extended result
/// codes in decimal, the primary code in the low byte (sqlite.org/rescode.html).
fn from_database(error: &dyn sqlx::error::DatabaseError) -> StoreError {
    let code = error.code().unwrap_or_default().into_owned();
    match error.kind() {
        ErrorKind::UniqueViolation | ErrorKind::ForeignKeyViolation | ErrorKind::ExclusionViolation => {
            return StoreError::Conflict(error.message().to_owned());
        }
        ErrorKind::NotNullViolation | ErrorKind::CheckViolation => {
            return StoreError::Invalid(error.message().to_owned());
        }
        ErrorKind::Other => {}
        _ => {}
    }
    if code.len() == 5 && error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() {
        return from_sqlstate(&code, error.message());
    }
    let reason = format!("SQLite {code}: {}", error.message());
    match code.parse::<i32>().unwrap_or(0) & 0xff {
        5 | 6 => StoreError::again(reason),          // busy, locked
        18 | 20 | 25 => StoreError::Invalid(reason), // too big, mismatch, range
        19 => StoreError::Conflict(reason),          // constraint of another kind
        _ => StoreError::later(reason),              // full, i/o, read-only, cannot open, no such table, corrupt
    }
}

fn from_sqlstate(code: &str, message: &str) -> StoreError {
    let reason = format!("PostgreSQL {code}: {message}");
    match (&code[..2], code) {
        // Connection gone, server stopping or starting, serialisation, deadlock, lock time-out.
        ("08" | "40", _) | (_, "57P01" | "57P02" | "57P03" | "55P03" | "55006") => StoreError::again(reason),
        ("22" | "23", _) => StoreError::Invalid(reason),
        // The rest (statement time-out, no space, no right, no such table) does not heal within a request.
        _ => StoreError::later(reason),
    }
}

impl From<MigrateError> for StoreError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(version) | MigrateError::VersionTooNew(version, _) => {
                Self::NewerSchema(version)
            }
            MigrateError::Execute(inner) | MigrateError::ExecuteMigration(inner, _) => inner.into(),
            other => Self::Internal(format!("migrations: {other}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_connection_may_be_tried_again_and_a_pool_time_out_may_not() {
        let lost = StoreError::from(sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()));
        assert!(lost.is_retryable() && lost.is_unavailable());
        let waited = StoreError::from(sqlx::Error::PoolTimedOut);
        assert!(!waited.is_retryable() && waited.is_unavailable());
    }

    #[test]
    fn sqlstates_are_sorted_by_what_can_be_done() {
        for (code, retryable, unavailable) in [
            ("57P01", true, true),   // admin shutdown
            ("40P01", true, true),   // deadlock
            ("57014", false, true),  // statement time-out
            ("53100", false, true),  // disk full
            ("42P01", false, true),  // no such table
            ("22021", false, false), // not a text
        ] {
            let error = from_sqlstate(code, "");
            assert_eq!((error.is_retryable(), error.is_unavailable()), (retryable, unavailable), "{code}");
        }
    }
}
