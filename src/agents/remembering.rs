//! The `customers` of an agent's settings: that callers are remembered, and for how long. It is the client's decision, who
//! answers for it to its callers; without it nobody is recognised and nothing is kept of anybody beyond the record of calls.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{SettingsError, wrong};

/// Ten years.
const DAYS_MAX: u32 = 3650;

/// As it is written.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    remember_days: u32,
}

pub(super) fn read(written: Written) -> Result<Duration, SettingsError> {
    match written.remember_days {
        days @ 1..=DAYS_MAX => Ok(Duration::from_secs(u64::from(days) * 86_400)),
        _ => Err(wrong("customers.remember_days", &format!("expected 1 to {DAYS_MAX}"))),
    }
}
