//! What goes wrong on purpose, at the start or while the shop runs.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The faults; the default is a shop in good health. `…_next` counts down with every request that had the fault.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Every answer comes so many milliseconds later, its effect not.
    pub delay_ms: u64,
    /// The next so many requests fail with [`Faults::fail_status`] and change nothing.
    pub fail_next: u32,
    /// 500 to 599, or 200 for an `INTERNAL_SERVER_ERROR` inside a good answer.
    pub fail_status: u16,
    /// The next so many mutations take effect and their answer is lost, see [`Faults::lose_how`].
    pub lose_next: u32,
    /// `"502"`, `"hang"` (no answer at all for [`Faults::hang_ms`]) or `"cut"` (the connection breaks).
    pub lose_how: Lose,
    /// How long a hanging request is held before its connection is cut.
    pub hang_ms: u64,
    /// The next so many requests are cut before anything happens.
    pub cut_next: u32,
    /// The next so many requests are throttled, whatever is in the bucket.
    pub throttle_next: u32,
    /// Every n-th request is throttled; 0: none.
    pub throttle_every: u32,
    /// Throttled requests are answered with status 429 instead of 200.
    pub throttle_as_429: bool,
    /// The next so many answers have an object inside that failed: partial data with an error.
    pub partial_next: u32,
    /// Every request is refused with this status: 401, 402 (frozen), 403, 404, 423 (locked), 430 …; 0: none.
    pub refuse_status: u16,
    /// Polls of a job that hear "not done".
    pub job_polls: u32,
    /// How far the search index is behind; the real one is behind by seconds too.
    pub search_lag_ms: u64,
    /// Every webhook is delivered twice.
    pub webhook_duplicates: bool,
    /// Webhooks arrive in pairs, the later one first.
    pub webhook_out_of_order: bool,
    /// The next so many webhooks carry a signature that is wrong.
    pub webhook_bad_hmac_next: u32,
}

/// How an answer is lost.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub enum Lose {
    /// A gateway's 502 in its place.
    #[serde(rename = "502")]
    BadGateway,
    /// Nothing comes.
    #[serde(rename = "hang")]
    Hang,
    /// The connection breaks.
    #[serde(rename = "cut")]
    Cut,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            delay_ms: 0,
            fail_next: 0,
            fail_status: 503,
            lose_next: 0,
            lose_how: Lose::BadGateway,
            hang_ms: 60_000,
            cut_next: 0,
            throttle_next: 0,
            throttle_every: 0,
            throttle_as_429: false,
            partial_next: 0,
            refuse_status: 0,
            job_polls: 2,
            search_lag_ms: 1000,
            webhook_duplicates: false,
            webhook_out_of_order: false,
            webhook_bad_hmac_next: 0,
        }
    }
}

/// Longest delay or hanging that can be asked for: nothing waits without an end.
const LONGEST_MS: u64 = 600_000;

impl Faults {
    /// The same with some fields set anew.
    ///
    /// # Errors
    /// An unknown name or a bad value, in a sentence.
    pub fn changed(&self, change: &Value) -> Result<Self, String> {
        let change = change.as_object().ok_or("faults are an object like {\"delay_ms\": 200}")?;
        let mut whole = serde_json::to_value(self).map_err(|error| error.to_string())?;
        for (name, value) in change {
            whole[name.as_str()] = value.clone();
        }
        let faults: Self = serde_json::from_value(whole).map_err(|error| error.to_string())?;
        if faults.delay_ms > LONGEST_MS || faults.hang_ms > LONGEST_MS {
            return Err(format!("delay_ms and hang_ms can be at most {LONGEST_MS}"));
        }
        let statuses = [(faults.fail_status, "fail_status"), (faults.refuse_status, "refuse_status")];
        match statuses.iter().find(|(status, _)| *status != 0 && !(200..600).contains(status)) {
            Some((status, name)) => Err(format!("{name} is no HTTP status: {status}")),
            None => Ok(faults),
        }
    }

    /// Reads `delay_ms=200,lose_how=hang`, or a JSON object.
    ///
    /// # Errors
    /// An unknown name or a bad value, in a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim_start().starts_with('{') {
            let change = serde_json::from_str(text).map_err(|error| error.to_string())?;
            return Self::default().changed(&change);
        }
        let mut change = json!({});
        for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
            let (name, value) = pair.split_once('=').ok_or_else(|| format!("'{pair}' is not NAME=VALUE"))?;
            let (name, value) = (name.trim(), value.trim());
            let text_wanted = name == "lose_how";
            let read = (!text_wanted).then(|| serde_json::from_str(value).ok()).flatten();
            change[name] = read.unwrap_or_else(|| json!(value));
        }
        Self::default().changed(&change)
    }

    pub(crate) fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms)
    }

    pub(crate) fn search_lag(&self) -> chrono::Duration {
        chrono::Duration::milliseconds(i64::try_from(self.search_lag_ms).unwrap_or(i64::MAX / 2))
    }
}

/// Counts a fault down; whether it was due.
pub(crate) fn due(counter: &mut u32) -> bool {
    let due = *counter > 0;
    *counter = counter.saturating_sub(1);
    due
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_as_pairs_or_json_and_bad_ones_are_named() {
        let read = Faults::parse("delay_ms=200, lose_next=1,lose_how=502,throttle_as_429=true").unwrap();
        assert_eq!((read.delay_ms, read.lose_next, read.lose_how), (200, 1, Lose::BadGateway));
        assert!(read.throttle_as_429);
        assert_eq!(Faults::parse("{\"lose_how\":\"hang\"}").unwrap().lose_how, Lose::Hang);
        assert_eq!(Faults::parse("").unwrap(), Faults::default());
        for (text, told) in [
            ("delay=1", "unknown field `delay`"),
            ("delay_ms", "not NAME=VALUE"),
            ("delay_ms=soon", "invalid type"),
            ("hang_ms=9999999", "at most 600000"),
            ("fail_status=99", "fail_status is no HTTP status"),
            ("lose_how=never", "unknown variant"),
        ] {
            let error = Faults::parse(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn a_change_keeps_what_it_does_not_name() {
        let before = Faults { delay_ms: 5, ..Faults::default() };
        let after = before.changed(&json!({"cut_next": 2})).unwrap();
        assert_eq!((after.delay_ms, after.cut_next), (5, 2));
    }
}
