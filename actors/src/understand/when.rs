//! Days and times of day, as callers tell them, in the local time of the call.
//!
//! Found are dates ("kal", "agle somvaar", "15 january", "do din baad"), times ("saadhe paanch baje", "quarter to six"), both
//! together in either order, and stretches ("shaam ko", "5 se 7 baje", "agle hafte"). What has two fair readings is
//! told twice: "kal" without a tense, "5 baje" without a part of the day.

use std::sync::LazyLock;

use chrono::{Datelike as _, Duration, NaiveDate, NaiveDateTime, NaiveTime};

use super::clock::{self, Clock};
use super::day::{self, Days};
use super::lex::Lex;
use super::vocabulary::{Part, Word};
use super::words::Words;

/// A time told in a turn: one or two readings, likeliest first, and the pieces that tell it.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Told {
    pub(super) readings: Vec<Reading>,
    pub(super) first: usize,
    /// The last piece, included.
    pub(super) last: usize,
    /// A word or sign says that this is a time; a bare "5 se 7" would not.
    pub(super) sure: bool,
    /// It is a time of day, not only a day or a part of one.
    pub(super) hour: bool,
}

/// One way to take it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reading {
    Date(NaiveDate),
    At(NaiveDateTime),
    Days(NaiveDate, NaiveDate),
    Between(NaiveDateTime, NaiveDateTime),
}

impl Reading {
    /// `2026-11-21`, `2026-11-21T17:00`, or an object with both ends.
    pub(super) fn value(self) -> String {
        let date = |day: NaiveDate| day.format("%Y-%m-%d").to_string();
        let at = |time: NaiveDateTime| time.format("%Y-%m-%dT%H:%M").to_string();
        match self {
            Self::Date(day) => date(day),
            Self::At(time) => at(time),
            Self::Days(from, to) => format!(r#"{{"from":"{}","to":"{}"}}"#, date(from), date(to)),
            Self::Between(from, to) => format!(r#"{{"from":"{}","to":"{}"}}"#, at(from), at(to)),
        }
    }
}

/// What was gathered of one time so far.
#[derive(Default)]
struct Gathered {
    days: Option<Days>,
    clock: Option<(Clock, Option<Clock>)>,
    part: Option<Part>,
    exact: Option<NaiveDateTime>,
}

/// The time that begins with a piece, as long as it goes.
pub(super) fn told(pieces: &[Lex], at: usize, now: NaiveDateTime, past: Option<bool>) -> Option<Told> {
    let word = |at: usize| pieces.get(at).and_then(Lex::word);
    let mut gathered = Gathered::default();
    let (mut end, mut next) = (at, at);
    let mut introduced = false;
    while let Some(after) = gather(&mut gathered, pieces, next, now, past, introduced) {
        end = after;
        next = after;
        introduced = false;
        // "kal shaam ko paanch baje", "monday at 5", "at five in the evening": links may stand between, not at the end.
        while let Some(link @ (Word::Link | Word::From | Word::At | Word::On | Word::Within)) = word(next) {
            let part = [next + 1, next + 2].iter().any(|&at| matches!(word(at), Some(Word::Part(_))));
            if link == Word::Within && !part || link == Word::On && gathered.days.is_none() {
                break;
            }
            introduced = link == Word::At || link == Word::From && clock::is_bare_range(pieces, next + 1);
            next += 1;
        }
    }
    if end == at {
        return None;
    }
    let sure =
        gathered.days.is_some() || gathered.part.is_some() || gathered.exact.is_some() || gathered.clock.is_some();
    let hour = gathered.clock.is_some()
        || gathered.exact.is_some()
        || matches!(gathered.part, Some(Part::Noon | Part::Midnight));
    let readings = resolve(&gathered, now, past);
    (!readings.is_empty()).then_some(Told { readings, first: at, last: end - 1, sure, hour })
}

/// Takes one more part of the time; where it ends, or `None` if none is there or it is told already.
fn gather(
    gathered: &mut Gathered,
    pieces: &[Lex],
    at: usize,
    now: NaiveDateTime,
    past: Option<bool>,
    introduced: bool,
) -> Option<usize> {
    if gathered.days.is_none()
        && gathered.exact.is_none()
        && let Some((moved, end)) = day::shifted(pieces, at, now)
    {
        match moved {
            day::Moved::Days(days) => gathered.days = Some(days),
            day::Moved::At(time) => gathered.exact = Some(time),
        }
        return Some(end);
    }
    if gathered.clock.is_none()
        && gathered.exact.is_none()
        && let Some((clock, end)) = clock::range(pieces, at, introduced || gathered.part.is_some())
    {
        gathered.clock = Some(clock);
        return Some(end);
    }
    if gathered.days.is_none()
        && gathered.exact.is_none()
        && let Some((days, end)) = day::days(pieces, at, now.date(), past)
    {
        gathered.days = Some(days);
        return Some(end);
    }
    if gathered.part.is_none()
        && let Some(Word::Part(part)) = pieces.get(at).and_then(Lex::word)
    {
        gathered.part = Some(part);
        return Some(at + 1);
    }
    None
}

fn resolve(gathered: &Gathered, now: NaiveDateTime, past: Option<bool>) -> Vec<Reading> {
    if let Some(time) = gathered.exact {
        return vec![Reading::At(time)];
    }
    let days = gathered.days.unwrap_or(Days::Implied);
    if let Some((from, to)) = gathered.clock {
        return timed(from, to, gathered.part, days, now, past);
    }
    let Some(part) = gathered.part else {
        return match days {
            Days::Implied => Vec::new(),
            Days::One(day) => vec![Reading::Date(day)],
            Days::Either(one, other) => vec![Reading::Date(one), Reading::Date(other)],
            Days::Range(from, to) => vec![Reading::Days(from, to)],
        };
    };
    days.each(now.date())
        .into_iter()
        .map(|day| match part {
            Part::Noon => Reading::At(at(day, 12, 0)),
            Part::Midnight => Reading::At(at(day + Duration::days(1), 0, 0)),
            _ => {
                let (from, to) = window(part);
                let over = days == Days::Implied && at(day, to, 0) <= now && past != Some(true);
                let day = if over { day + Duration::days(1) } else { day };
                Reading::Between(at(day, from, 0), at(day, to, 0))
            }
        })
        .collect()
}

/// Hours of a part of the day; 24 is the next midnight.
fn window(part: Part) -> (u32, u32) {
    match part {
        Part::Dawn => (4, 7),
        Part::Morning => (6, 12),
        Part::Noon => (12, 13),
        Part::Afternoon => (12, 16),
        Part::Evening => (16, 20),
        Part::Night => (20, 24),
        Part::Midnight => (23, 24),
    }
}

fn at(day: NaiveDate, hour: u32, minute: u32) -> NaiveDateTime {
    let midnight = day.and_time(NaiveTime::MIN);
    midnight + Duration::hours(hour.into()) + Duration::minutes(minute.into())
}

fn timed(
    from: Clock,
    to: Option<Clock>,
    part: Option<Part>,
    days: Days,
    now: NaiveDateTime,
    past: Option<bool>,
) -> Vec<Reading> {
    let mut readings = Vec::new();
    for hour in from.hours(part) {
        for day in days.each(now.date()) {
            let mut begin = at(day, hour, from.minute);
            if days == Days::Implied && begin <= now && past != Some(true) {
                begin += Duration::days(1);
            }
            readings.push(match to {
                None => Reading::At(begin),
                Some(to) => {
                    let hours = to.hours(part);
                    let hours = || hours.iter().copied().chain([clock::after_noon(to)]);
                    let later = hours().map(|hour| at(begin.date(), hour, to.minute)).find(|end| *end > begin);
                    let hours: Vec<u32> = hours().collect();
                    let end = later.unwrap_or_else(|| at(begin.date() + Duration::days(1), hours[0], to.minute));
                    Reading::Between(begin, end)
                }
            });
        }
    }
    // Of two days and two hours, what comes first is fairest; more than two readings help nobody.
    readings.dedup();
    readings.truncate(2);
    readings
}

/// Whether the words around a time speak of what was (`true`) or will be (`false`).
pub(super) fn tense<'a>(words: impl Iterator<Item = &'a str>) -> Option<bool> {
    static PAST: LazyLock<Words> = LazyLock::new(|| {
        Words::exact(
            "tha thi the thee kiya kiye kari gaya gayi gaye hua hui hue aaya aayi mila mili diya liya bola was \
        were did had ordered bought placed received came called booked paid था थी थे किया किये किए गया गई \
        गयी गए हुआ हुई हुए आया आई आयी मिला मिली दिया लिया बोला",
        )
    });
    static FUTURE: LazyLock<Words> = LazyLock::new(|| {
        Words::exact(
            "will want book karna karni karwana chahiye aana dena lena milna bhejna kar karo kijiye dijiye aao \
        करना करनी करवाना चाहिए आना देना लेना मिलना भेजना कर करो कीजिए दीजिए",
        )
    });
    let (mut past, mut future) = (false, false);
    for word in words {
        past |= PAST.has_word(word) && !matches!(word, "the");
        let will = [("ga", 4), ("gi", 4), ("ge", 4), ("गा", 9), ("गी", 9), ("गे", 9)];
        future |= FUTURE.has_word(word) || will.iter().any(|(end, least)| word.len() >= *least && word.ends_with(end));
    }
    match (past, future) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        // "kiya tha … karna hai": the wish is what is asked now, but the day may belong to either.
        _ => None,
    }
}

/// The first day of the month so many months away.
pub(super) fn month_from(day: NaiveDate, months: i32) -> Option<NaiveDate> {
    let count = day.year() * 12 + i32::try_from(day.month0()).ok()? + months;
    NaiveDate::from_ymd_opt(count.div_euclid(12), u32::try_from(count.rem_euclid(12)).ok()? + 1, 1)
}
