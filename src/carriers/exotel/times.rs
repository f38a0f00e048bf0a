//! Exotel's times: Indian Standard Time, written without a zone, in two layouts and with two ways of saying "not yet".
//!
//! Owns the layouts. Knows no clock.

use std::time::SystemTime;

use caly_actors::domain::InvalidValue;
use chrono::{DateTime, FixedOffset, NaiveDateTime, TimeZone};

/// Seconds that India is ahead of UTC; the country has one zone and no summer time.
const IST_SECONDS: i32 = 5 * 3600 + 1800;

/// Reads `Tue, 25 Aug 2026 12:07:08`, `2026-08-25 12:07:08` (both IST) or RFC 3339.
///
/// Empty text, `null`, an all-zero date and epoch 0 (`1970-01-01 05:30:00`, which Exotel sends as the end of a call that
/// is still up) are `None`.
///
/// # Errors
/// Text in another layout.
pub fn parse(text: &str) -> Result<Option<SystemTime>, InvalidValue> {
    let text = text.trim();
    if text.is_empty() || text.eq_ignore_ascii_case("null") || text.starts_with("0000-00-00") {
        return Ok(None);
    }
    let seconds = seconds_since_epoch(text).ok_or(InvalidValue("a time as 2026-08-25 12:07:08"))?;
    if seconds == 0 {
        return Ok(None);
    }
    Ok(SystemTime::from(DateTime::from_timestamp(seconds, 0).ok_or(InvalidValue("a time in this era"))?).into())
}

fn seconds_since_epoch(text: &str) -> Option<i64> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp());
    }
    // The weekday is skipped: a wrong one says nothing about the time.
    let text = text.split_once(',').map_or(text, |(_, rest)| rest.trim_start());
    let zone = FixedOffset::east_opt(IST_SECONDS)?;
    let naive = ["%Y-%m-%d %H:%M:%S%.f", "%d %b %Y %H:%M:%S", "%Y-%m-%dT%H:%M:%S%.f"]
        .iter()
        .find_map(|layout| NaiveDateTime::parse_from_str(text, layout).ok());
    if let Some(naive) = naive {
        return Some(zone.from_local_datetime(&naive).single()?.timestamp());
    }
    DateTime::parse_from_str(text, "%d %b %Y %H:%M:%S %z").ok().map(|time| time.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// 2026-08-25 12:07:08 IST.
    const SECONDS: u64 = 1_787_639_828;

    #[test]
    fn both_layouts_are_read_as_indian_time() {
        let expected = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(SECONDS));
        for text in [
            "Tue, 25 Aug 2026 12:07:08",
            "Fri, 25 Aug 2026 12:07:08",
            "2026-08-25 12:07:08",
            " 2026-08-25 12:07:08 ",
            "2026-08-25T12:07:08",
            "2026-08-25T06:37:08Z",
            "2026-08-25T12:07:08+05:30",
            "Tue, 25 Aug 2026 06:37:08 +0000",
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn not_yet_has_several_spellings() {
        for text in ["", "  ", "null", "1970-01-01 05:30:00", "Thu, 01 Jan 1970 05:30:00", "0000-00-00 00:00:00"] {
            assert_eq!(parse(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in
            ["yesterday", "2026-13-25 12:07:08", "25/08/2026", "2026-08-25", "Tue,", "12:07:08", "9999999999999"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
