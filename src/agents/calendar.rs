//! The `calendar` of an agent's settings.

use std::collections::BTreeMap;
use std::sync::Arc;

use caly_actors::domain::{Calendar, Service};
use chrono::{Datelike as _, NaiveDate, NaiveTime, Offset as _, TimeZone as _, Timelike as _, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::{SettingsError, wrong};

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const SERVICES_MAX: usize = 50;
const PEOPLE_MAX: usize = 50;
/// More appointments to come of one number are nobody's.
const MAX_OPEN: u16 = 50;

/// As it is written.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    services: Vec<WrittenService>,
    #[serde(default)]
    people: Vec<String>,
    /// `{"mon": ["10:00-13:00", "14:00-19:00"]}`; days left out are closed.
    hours: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    holidays: Vec<NaiveDate>,
    #[serde(default = "half_an_hour")]
    step_minutes: u16,
    #[serde(default = "an_hour")]
    notice_minutes: u16,
    #[serde(default = "two_months")]
    days_ahead: u16,
    #[serde(default = "five")]
    max_open: u16,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct WrittenService {
    name: String,
    minutes: u16,
}

fn half_an_hour() -> u16 {
    30
}

fn an_hour() -> u16 {
    60
}

fn two_months() -> u16 {
    60
}

fn five() -> u16 {
    5
}

pub(super) fn read(written: Written, zone: Tz) -> Result<Calendar, SettingsError> {
    let bad = |field: &str, reason: &str| wrong(&format!("calendar.{field}"), reason);
    let named = |name: &str| (1..=100).contains(&name.trim().len());
    if changes_clocks(zone) {
        let reason = "a time_zone that changes its clocks is not served: appointments would move with them";
        return Err(wrong("calendar", reason));
    }
    let services = &written.services;
    let fits = services.iter().all(|service| named(&service.name) && (5..=720).contains(&service.minutes));
    if !(1..=SERVICES_MAX).contains(&services.len()) || !fits {
        return Err(bad("services", &format!("expected 1 to {SERVICES_MAX}, each with a name and 5 to 720 minutes")));
    }
    let people: Vec<Arc<str>> = written.people.iter().map(|name| name.trim().into()).collect();
    if people.len() > PEOPLE_MAX || !written.people.iter().all(|name| named(name)) {
        return Err(bad("people", &format!("expected at most {PEOPLE_MAX} names")));
    }
    let service_names = services.iter().map(|service| service.name.trim().to_lowercase()).collect::<Vec<_>>();
    for (field, names) in [("services", service_names), ("people", lower(&people))] {
        if let Some((_, name)) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
            return Err(bad(field, &format!("{name} stands there twice")));
        }
    }
    for (field, value, (least, most)) in [
        ("step_minutes", written.step_minutes, (5, 240)),
        ("days_ahead", written.days_ahead, (1, 365)),
        ("max_open", written.max_open, (1, MAX_OPEN)),
    ] {
        if !(least..=most).contains(&value) {
            return Err(bad(field, &format!("expected {least} to {most}")));
        }
    }
    Ok(Calendar {
        services: services.iter().map(|one| Service { name: one.name.trim().into(), minutes: one.minutes }).collect(),
        // Without names there is one column, and nobody to ask for.
        people: if people.is_empty() { vec!["".into()] } else { people },
        hours: hours(&written.hours)?,
        holidays: written.holidays,
        step: written.step_minutes,
        notice: written.notice_minutes,
        days_ahead: written.days_ahead,
        max_open: written.max_open,
    })
}

/// Whether the offset is another in January than in July.
fn changes_clocks(zone: Tz) -> bool {
    let at = |month| NaiveDate::from_ymd_opt(Utc::now().year(), month, 1).unwrap_or_default().and_time(NaiveTime::MIN);
    let offset = |month| zone.offset_from_utc_datetime(&at(month)).fix();
    offset(1) != offset(7)
}

fn lower(names: &[Arc<str>]) -> Vec<String> {
    names.iter().map(|name| name.to_lowercase()).collect()
}

fn hours(written: &BTreeMap<String, Vec<String>>) -> Result<[Vec<(u16, u16)>; 7], SettingsError> {
    let bad = |day: &str| wrong(&format!("calendar.hours.{day}"), "expected spans such as 10:00-13:00, in order");
    let mut hours: [Vec<(u16, u16)>; 7] = Default::default();
    for (day, spans) in written {
        let Some(at) = DAYS.iter().position(|known| known == day) else {
            let day: String = day.chars().take(64).collect();
            return Err(wrong("calendar.hours", &format!("{day} is no day; there are {}", DAYS.join(", "))));
        };
        for span in spans {
            let (from, to) = span
                .split_once('-')
                .and_then(|(from, to)| Some((minute(from)?, minute(to)?)))
                .ok_or_else(|| bad(day))?;
            let after = hours[at].last().is_none_or(|(_, before)| *before <= from);
            if from >= to || !after {
                return Err(bad(day));
            }
            hours[at].push((from, to));
        }
    }
    if hours.iter().all(Vec::is_empty) {
        return Err(wrong("calendar.hours", "it is never open"));
    }
    Ok(hours)
}

/// `10:00`; `24:00` is the end of the day.
fn minute(text: &str) -> Option<u16> {
    if text.trim() == "24:00" {
        return Some(24 * 60);
    }
    let time = NaiveTime::parse_from_str(text.trim(), "%H:%M").ok()?;
    u16::try_from(time.num_seconds_from_midnight() / 60).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read_json(change: &Value) -> Result<Calendar, String> {
        let mut settings =
            json!({"services": [{"name": "Haircut", "minutes": 30}], "hours": {"mon": ["10:00-13:00", "14:00-24:00"]}});
        for (key, value) in change.as_object().unwrap().iter().filter(|(key, _)| *key != "zone") {
            settings[key] = value.clone();
        }
        let written = serde_json::from_value(settings).map_err(|error| error.to_string())?;
        let zone = change["zone"].as_str().map_or(Tz::Asia__Kolkata, |zone| zone.parse().unwrap());
        read(written, zone).map_err(|error| error.to_string())
    }

    #[test]
    fn a_calendar_is_read_with_defaults_and_wrong_ones_are_told() {
        let calendar = read_json(&json!({})).unwrap();
        assert_eq!(calendar.hours[0], [(600, 780), (840, 1440)]);
        assert_eq!((calendar.step, calendar.notice, calendar.days_ahead, calendar.people.len()), (30, 60, 60, 1));
        assert_eq!(calendar.max_open, 5);
        for (change, reason) in [
            (json!({"zone": "Europe/London"}), "changes its clocks"),
            (json!({"services": []}), "calendar.services: expected"),
            (json!({"services": [{"name": "x", "minutes": 1}]}), "calendar.services: expected"),
            (json!({"services": [{"name": "x", "minutes": 30}, {"name": "X", "minutes": 60}]}), "twice"),
            (json!({"people": ["Asha", "asha"]}), "calendar.people: asha stands there twice"),
            (json!({"hours": {}}), "never open"),
            (json!({"hours": {"monday": ["10:00-11:00"]}}), "monday is no day"),
            (json!({"hours": {"mon": ["11:00-10:00"]}}), "calendar.hours.mon: expected"),
            (json!({"hours": {"mon": ["10:00-12:00", "11:00-13:00"]}}), "calendar.hours.mon: expected"),
            (json!({"hours": {"mon": ["ten"]}}), "calendar.hours.mon: expected"),
            (json!({"step_minutes": 0}), "calendar.step_minutes: expected 5 to 240"),
            (json!({"days_ahead": 0}), "calendar.days_ahead"),
            (json!({"max_open": 0}), "calendar.max_open: expected 1 to 50"),
            (json!({"max_open": 51}), "calendar.max_open: expected 1 to 50"),
            (json!({"holidays": ["tomorrow"]}), "premature end"),
        ] {
            let error = read_json(&change).unwrap_err();
            assert!(error.contains(reason) || reason == "premature end", "{change}: {error}");
        }
    }
}
