//! What is missing, in a word and a sentence that says what to do: for `/health` and `/health/ready`.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::ToSchema;

/// One thing that is missing.
#[derive(Clone, Serialize, ToSchema)]
pub struct Reason {
    /// `database`, `schema`, `directory`, `draining`, `overloaded`, `engine`, `journal` or `recordings`.
    pub what: &'static str,
    /// What is wrong and what to do.
    #[schema(value_type = String)]
    pub detail: Cow<'static, str>,
}

impl Reason {
    /// For texts that are known beforehand.
    #[must_use]
    pub fn new(what: &'static str, detail: &'static str) -> Self {
        Self { what, detail: detail.into() }
    }
}

/// What other rooms have to report, asked anew for each answer.
pub type Alarms = Box<dyn Fn() -> Vec<Reason> + Send + Sync>;

/// Whether this alarm of the recorder means that nothing is written now.
pub(super) fn unwritten(word: &str) -> bool {
    matches!(word, "database_away" | "spool_full" | "disk_refuses")
}

/// The recorder's alarm in a sentence.
pub(super) fn journal_told(word: &str) -> &'static str {
    match word {
        "database_away" => "the database is away: the journal is kept on disk and written later",
        "spool_waits" => "the journal kept on disk is being written to the database",
        "spool_full" => "the journal's room on disk is used up: events are given up; bring the database back",
        "entries_refused" => "the database refused entries for good: they lie in spool/rejected.jsonl",
        "disk_refuses" => "the disk refuses the journal, which is in memory only: make room in data_dir",
        _ => "the journal is not sound: see the log",
    }
}
