//! A client's calendar: what can be booked, with whom, and when. All times are the client's own.

use std::sync::Arc;

use chrono::{Datelike as _, Duration, NaiveDate, NaiveDateTime, NaiveTime, Timelike as _};

/// Most free times told at once: nobody remembers more on the telephone.
pub const SLOTS_MAX: usize = 12;

/// Something that takes time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Service {
    /// As callers and the engine name it.
    pub name: Arc<str>,
    /// How long it takes.
    pub minutes: u16,
}

/// See the module's text.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Calendar {
    /// At least one.
    pub services: Vec<Service>,
    /// Whoever can be booked, each once at a time; at least one, who may have no name.
    pub people: Vec<Arc<str>>,
    /// Opening hours of each weekday, Monday first, in minutes of the day, in order.
    pub hours: [Vec<(u16, u16)>; 7],
    /// Days without any.
    pub holidays: Vec<NaiveDate>,
    /// Times begin at multiples of this, counted from the opening, in minutes.
    pub step: u16,
    /// How long before it a time may be booked, in minutes.
    pub notice: u16,
    /// How many days ahead.
    pub days_ahead: u16,
    /// How many appointments to come one number may have, 1 to 50.
    pub max_open: u16,
}

/// A time that somebody is taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Busy {
    /// Who.
    pub person: Arc<str>,
    /// From when.
    pub from: NaiveDateTime,
    /// Until when.
    pub to: NaiveDateTime,
}

/// A free time, and who has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slot {
    /// When it begins.
    pub at: NaiveDateTime,
    /// Who could be booked.
    pub people: Vec<Arc<str>>,
}

/// Why a time cannot be booked, in words for the caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotBookable {
    /// It is over, or too near.
    #[error("that is too soon")]
    TooSoon,
    /// Further away than the calendar goes.
    #[error("that is too far ahead")]
    TooFar,
    /// Outside the opening hours, or it would end outside them.
    #[error("we are not open then")]
    Closed,
    /// Not a time at which anything begins.
    #[error("nothing begins at that time")]
    OffStep,
}

impl Calendar {
    /// The service of a name, however it is capitalised; the only one if none is named.
    #[must_use]
    pub fn service(&self, name: Option<&str>) -> Option<&Service> {
        match name.map(str::trim).filter(|name| !name.is_empty()) {
            Some(name) => self.services.iter().find(|service| service.name.to_lowercase() == name.to_lowercase()),
            None if self.services.len() == 1 => self.services.first(),
            None => None,
        }
    }

    /// The person of a name, however it is capitalised.
    #[must_use]
    pub fn person(&self, name: &str) -> Option<&Arc<str>> {
        self.people.iter().find(|person| person.to_lowercase() == name.trim().to_lowercase())
    }

    /// # Errors
    /// Why the service cannot begin then, whoever is free.
    pub fn check(&self, service: &Service, at: NaiveDateTime, now: NaiveDateTime) -> Result<(), NotBookable> {
        if at < now + Duration::minutes(self.notice.into()) {
            return Err(NotBookable::TooSoon);
        }
        if at.date() > now.date() + Duration::days(self.days_ahead.into()) {
            return Err(NotBookable::TooFar);
        }
        let minute = u16::try_from(at.time().num_seconds_from_midnight() / 60).unwrap_or(u16::MAX);
        let whole = at.time().second() == 0 && at.time().nanosecond() == 0;
        let open = self.open(at.date());
        let within = open.iter().find(|(from, to)| minute >= *from && minute.saturating_add(service.minutes) <= *to);
        match within {
            None => Err(NotBookable::Closed),
            Some((from, _)) if !whole || (minute - from) % self.step.max(1) != 0 => Err(NotBookable::OffStep),
            Some(_) => Ok(()),
        }
    }

    /// Free times from a time until another, the first [`SLOTS_MAX`] of them.
    #[must_use]
    pub fn free(
        &self,
        service: &Service,
        (from, to): (NaiveDateTime, NaiveDateTime),
        now: NaiveDateTime,
        busy: &[Busy],
    ) -> Vec<Slot> {
        let mut slots = Vec::new();
        let last = to.date().min(now.date() + Duration::days(self.days_ahead.into()));
        let mut day = from.date().max(now.date());
        while day <= last && slots.len() < SLOTS_MAX {
            for &(open, close) in self.open(day) {
                let mut minute = open;
                while minute.saturating_add(service.minutes) <= close && slots.len() < SLOTS_MAX {
                    let at = day.and_time(NaiveTime::MIN) + Duration::minutes(minute.into());
                    let people = self.free_people(service, at, busy);
                    if at >= from && at < to && self.check(service, at, now).is_ok() && !people.is_empty() {
                        slots.push(Slot { at, people });
                    }
                    minute = minute.saturating_add(self.step.max(1));
                }
            }
            let Some(next) = day.succ_opt() else { break };
            day = next;
        }
        slots
    }

    /// Who has nothing else while the service lasts.
    #[must_use]
    pub fn free_people(&self, service: &Service, at: NaiveDateTime, busy: &[Busy]) -> Vec<Arc<str>> {
        let end = at + Duration::minutes(service.minutes.into());
        let taken = |person: &Arc<str>| busy.iter().any(|one| one.person == *person && one.from < end && one.to > at);
        self.people.iter().filter(|person| !taken(person)).cloned().collect()
    }

    fn open(&self, day: NaiveDate) -> &[(u16, u16)] {
        if self.holidays.contains(&day) { &[] } else { &self.hours[day.weekday().num_days_from_monday() as usize] }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn time(text: &str) -> NaiveDateTime {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M").unwrap()
    }

    /// Open from ten to one and from two to four but on Sundays; closed on the 20th, a Friday.
    fn calendar() -> Calendar {
        let open = vec![(600, 780), (840, 960)];
        let mut hours = std::array::from_fn(|_| open.clone());
        hours[6] = Vec::new();
        Calendar {
            services: vec![
                Service { name: "Haircut".into(), minutes: 30 },
                Service { name: "Facial".into(), minutes: 60 },
            ],
            people: vec!["Asha".into(), "Ravi".into()],
            hours,
            holidays: vec![NaiveDate::from_ymd_opt(2026, 11, 20).unwrap()],
            step: 30,
            notice: 60,
            days_ahead: 30,
            max_open: 5,
        }
    }

    #[test]
    fn a_time_is_bookable_within_hours_on_the_step_and_not_too_soon() {
        let (calendar, now) = (calendar(), time("2026-11-18T10:15"));
        let facial = calendar.service(Some("facial")).unwrap();
        for (at, expected) in [
            ("2026-11-18T11:30", Ok(())),
            ("2026-11-18T11:00", Err(NotBookable::TooSoon)),
            ("2026-11-17T11:00", Err(NotBookable::TooSoon)),
            ("2026-11-18T12:00", Ok(())),
            ("2026-11-18T12:30", Err(NotBookable::Closed)),
            ("2026-11-18T13:30", Err(NotBookable::Closed)),
            ("2026-11-18T14:10", Err(NotBookable::OffStep)),
            ("2026-11-20T11:00", Err(NotBookable::Closed)),
            ("2026-11-22T11:00", Err(NotBookable::Closed)),
            ("2026-12-18T11:00", Ok(())),
            ("2026-12-19T11:00", Err(NotBookable::TooFar)),
        ] {
            assert_eq!(calendar.check(facial, time(at), now), expected, "{at}");
        }
    }

    #[test]
    fn a_time_is_free_while_anybody_is() {
        let (calendar, now) = (calendar(), time("2026-11-18T09:00"));
        let haircut = calendar.service(Some("HAIRCUT ")).unwrap();
        let busy = |person: &str, from, to| Busy { person: person.into(), from: time(from), to: time(to) };
        let taken = [
            busy("Asha", "2026-11-18T10:00", "2026-11-18T11:00"),
            busy("Ravi", "2026-11-18T10:30", "2026-11-18T11:30"),
        ];
        let span = (time("2026-11-18T10:00"), time("2026-11-18T12:00"));
        let told: Vec<_> = calendar
            .free(haircut, span, now, &taken)
            .into_iter()
            .map(|slot| {
                (slot.at.format("%H:%M").to_string(), slot.people.iter().map(ToString::to_string).collect::<Vec<_>>())
            })
            .collect();
        let expected = [("10:00", vec!["Ravi"]), ("11:00", vec!["Asha"]), ("11:30", vec!["Asha", "Ravi"])];
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(at, people)| (at.to_owned(), people.into_iter().map(str::to_owned).collect::<Vec<_>>()))
            .collect();
        assert_eq!(told, expected);
        let week = (time("2026-11-18T00:00"), time("2026-11-25T00:00"));
        assert_eq!(calendar.free(haircut, week, now, &[]).len(), SLOTS_MAX);
    }

    #[test]
    fn what_is_free_can_be_booked_and_nothing_else() {
        let (calendar, now) = (calendar(), time("2026-11-18T10:15"));
        let facial = calendar.service(Some("Facial")).unwrap();
        let day = |day: u64| (now.date() + Duration::days(day as i64)).and_time(NaiveTime::MIN);
        for days in 0..40 {
            let free = calendar.free(facial, (day(days), day(days + 1)), now, &[]);
            for minute in 0..24 * 60 {
                let at = day(days) + Duration::minutes(minute);
                assert_eq!(free.iter().any(|slot| slot.at == at), calendar.check(facial, at, now).is_ok(), "{at}");
            }
        }
    }

    #[test]
    fn only_one_service_needs_no_name() {
        let mut calendar = calendar();
        assert!(calendar.service(None).is_none() && calendar.service(Some("massage")).is_none());
        calendar.services.truncate(1);
        assert_eq!(calendar.service(Some(" ")).map(|service| &*service.name), Some("Haircut"));
    }
}
