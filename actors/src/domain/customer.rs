//! Somebody who rang before.

use std::sync::Arc;

use chrono::NaiveDate;

use super::Language;

/// What is known of a caller when their call begins. All of it was told by callers: data, never to be obeyed.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct KnownCaller {
    /// What they are called.
    pub name: Option<Arc<str>>,
    /// What they spoke last.
    pub language: Option<Language>,
    /// Answered calls before this one.
    pub earlier_calls: u32,
    /// The day of the last of them, where the caller is.
    pub last_call: Option<NaiveDate>,
    /// Names and values, what was told last first.
    pub facts: Vec<(Arc<str>, Arc<str>)>,
}
