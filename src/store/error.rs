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
        /// What the operator can do about it.
        why: Away,
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
    /// A migration was not applied as a whole, or is not the one that was applied: nothing is read or written.
    #[error("the database schema is not sound: migration {0} {1}")]
    BrokenSchema(i64, &'static str),
    /// A value from outside does not fit: a cursor, a URL, a column's check.
    #[error("invalid value: {0}")]
    Invalid(String),
    /// Our own mistake: a column that does not decode, a panic in a query.
    #[error("store fault: {0}")]
    Internal(String),
}

/// Why the database is away, by what an operator can do about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Away {
    /// Nobody listens at its address, or the connection was cut.
    Unreachable,
    /// It takes connections or statements and does not answer them in time.
    Silent,
    /// It refuses the user or the password.
    Credentials,
    /// There is no database of that name.
    Missing,
    /// Every connection is in use.
    Busy,
    /// Another process holds the lock of the SQLite file.
    Locked,
    /// Its disk is full.
    NoRoom,
    /// Its disk refuses, or the file may not be written.
    Disk,
    /// The file is damaged.
    Damaged,
    /// Migrations have not been applied yet.
    Schema,
    /// Something else; the log tells.
    Other,
}

impl Away {
    /// What is wrong and what to do, for everybody: no names, no addresses.
    #[must_use]
    pub fn told(self) -> &'static str {
        match self {
            Self::Unreachable => "the database cannot be reached: see that it runs and that DATABASE_URL is right",
            Self::Silent => "the database does not answer in time: see its load and the network",
            Self::Credentials => "the database refuses the user or password of DATABASE_URL",
            Self::Missing => "there is no database of the name in DATABASE_URL: create it",
            Self::Busy => "every database connection is in use: raise database.max_connections or find what is slow",
            Self::Locked => "another process holds the lock of the database file: end it",
            Self::NoRoom => "the database's disk is full: make room",
            Self::Disk => "the database's disk refuses or the file may not be written: see the log",
            Self::Damaged => "the database file is damaged: restore a backup",
            Self::Schema => "migrations have not been applied yet",
            Self::Other => "the database does not answer: see the log",
        }
    }
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
        matches!(self, Self::Unavailable { .. } | Self::NewerSchema(_) | Self::BrokenSchema(..))
    }

    /// Why the database is away, if it is and the operator can know.
    #[must_use]
    pub fn away(&self) -> Option<Away> {
        match self {
            Self::Unavailable { why, .. } => Some(*why),
            _ => None,
        }
    }

    /// Not now, and not within this request.
    pub fn later(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into(), retryable: false, why: Away::Other }
    }

    pub(super) fn silent() -> Self {
        Self::later("the database did not answer in time").because(Away::Silent)
    }

    fn again(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into(), retryable: true, why: Away::Other }
    }

    pub(super) fn because(self, cause: Away) -> Self {
        match self {
            Self::Unavailable { reason, retryable, .. } => Self::Unavailable { reason, retryable, why: cause },
            other => other,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::RowNotFound => Self::NotFound,
            sqlx::Error::Database(ref inner) => from_database(inner.as_ref()),
            sqlx::Error::Io(inner) => Self::again(format!("connection: {}", inner.kind())).because(Away::Unreachable),
            sqlx::Error::WorkerCrashed => Self::again("worker crashed"),
            sqlx::Error::Protocol(text) => Self::again(format!("protocol: {text}")),
            // The connection's fault, not the row's.
            sqlx::Error::BeginFailed | sqlx::Error::InvalidSavePointStatement => Self::again("begin failed"),
            sqlx::Error::Tls(inner) => Self::later(format!("TLS: {inner}")),
            sqlx::Error::PoolTimedOut => Self::later("no connection became free in time").because(Away::Busy),
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
        5 | 6 => StoreError::again(reason).because(Away::Locked), // busy, locked
        18 | 20 | 25 => StoreError::Invalid(reason),              // too big, mismatch, range
        19 => StoreError::Conflict(reason),                       // constraint of another kind
        13 => StoreError::later(reason).because(Away::NoRoom),
        8 | 10 | 14 => StoreError::later(reason).because(Away::Disk), // read-only, i/o, cannot open
        11 | 26 => StoreError::later(reason).because(Away::Damaged),  // corrupt, not a database
        _ => StoreError::later(reason),                               // no such table and others
    }
}

fn from_sqlstate(code: &str, message: &str) -> StoreError {
    let reason = format!("PostgreSQL {code}: {message}");
    match (&code[..2], code) {
        (_, "57P01" | "57P02" | "57P03") | ("08", _) => StoreError::again(reason).because(Away::Unreachable),
        // Serialisation, deadlock, lock time-out, in use.
        ("40", _) | (_, "55P03" | "55006") => StoreError::again(reason).because(Away::Locked),
        ("22" | "23", _) => StoreError::Invalid(reason),
        // What follows does not heal within a request.
        ("28", _) => StoreError::later(reason).because(Away::Credentials),
        (_, "3D000") => StoreError::later(reason).because(Away::Missing),
        (_, "53100") => StoreError::later(reason).because(Away::NoRoom),
        (_, "53300") => StoreError::later(reason).because(Away::Busy),
        (_, "57014") => StoreError::later(reason).because(Away::Silent),
        ("58" | "25", _) => StoreError::later(reason).because(Away::Disk),
        _ => StoreError::later(reason),
    }
}

impl From<MigrateError> for StoreError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(version) | MigrateError::VersionTooNew(version, _) => {
                Self::NewerSchema(version)
            }
            MigrateError::VersionMismatch(version) => {
                Self::BrokenSchema(version, "was changed after it was applied: start the caly that applied it")
            }
            MigrateError::Dirty(version) => {
                Self::BrokenSchema(version, "was applied by half: restore the backup made before it")
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
    fn the_operator_is_told_what_can_be_done_about_it() {
        for (code, why) in [
            ("28P01", Away::Credentials),
            ("28000", Away::Credentials),
            ("3D000", Away::Missing),
            ("53100", Away::NoRoom),
            ("53300", Away::Busy),
            ("57014", Away::Silent),
            ("57P01", Away::Unreachable),
            ("XX000", Away::Other),
        ] {
            assert_eq!(from_sqlstate(code, "").away(), Some(why), "{code}");
        }
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
