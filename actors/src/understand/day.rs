//! Days: `kal`, `agle somvaar`, `15 january`, `do din baad`, `agle mahine ki 5 tarikh`.

use chrono::{Datelike as _, Duration, Months, NaiveDate, NaiveDateTime};

use super::lex::{Lex, What};
use super::quantity::quantity;
use super::vocabulary::{Unit, Word};
use super::when::month_from;

/// Which day or days.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Days {
    /// None told: the next time it is so late.
    Implied,
    One(NaiveDate),
    /// Two readings, likelier first.
    Either(NaiveDate, NaiveDate),
    Range(NaiveDate, NaiveDate),
}

impl Days {
    pub(super) fn each(self, today: NaiveDate) -> Vec<NaiveDate> {
        match self {
            Self::Implied => vec![today],
            Self::One(day) | Self::Range(day, _) => vec![day],
            Self::Either(one, other) => vec![one, other],
        }
    }
}

/// A day or a time at a distance from now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Moved {
    Days(Days),
    At(NaiveDateTime),
}

/// `do din baad`, `in 2 hours`, `3 din pehle`, `after a week`.
pub(super) fn shifted(pieces: &[Lex], at: usize, now: NaiveDateTime) -> Option<(Moved, usize)> {
    let word = |at: usize| pieces.get(at).and_then(Lex::word);
    let ahead = matches!(word(at), Some(Word::Within | Word::After)).then_some(at + 1);
    let (count, unit, end) = length(pieces, ahead.unwrap_or(at))?;
    if ahead.is_some() {
        return Some((moved(now, count, unit)?, end));
    }
    // "three days from now", "a week from tomorrow".
    if word(end) == Some(Word::From) {
        return match word(end + 1)? {
            Word::Now => Some((moved(now, count, unit)?, end + 2)),
            Word::Day(days) => Some((moved(now + Duration::days(days.into()), count, unit)?, end + 2)),
            _ => None,
        };
    }
    // "do din ke baad".
    let next = if word(end) == Some(Word::Link) { end + 1 } else { end };
    let sign = match word(next)? {
        Word::After => 1.0,
        Word::Ago => -1.0,
        // "do ghante mein": by then.
        Word::Within if next == end => 1.0,
        _ => return None,
    };
    Some((moved(now, sign * count, unit)?, next + 1))
}

/// A number and a unit of time.
pub(super) fn length(pieces: &[Lex], at: usize) -> Option<(f64, Unit, usize)> {
    let word = |at: usize| pieces.get(at).and_then(Lex::word);
    // "half an hour", "quarter of an hour".
    let of = |mut at: usize| {
        while matches!(word(at), Some(Word::Link | Word::Article)) {
            at += 1;
        }
        at
    };
    let (count, next) = match word(at) {
        Some(Word::Half) => (0.5, of(at + 1)),
        Some(Word::Article) if matches!(word(at + 1), Some(Word::Unit(_))) => (1.0, at + 1),
        Some(Word::Paune) if matches!(word(at + 1), Some(Word::Unit(_))) => (0.75, at + 1),
        Some(Word::Sava) if matches!(word(at + 1), Some(Word::Unit(_))) => (1.25, at + 1),
        Some(Word::Quarter) => (0.25, of(at + 1)),
        Some(Word::Small(3, _)) if word(at + 1) == Some(Word::Quarter) => (0.75, of(at + 2)),
        _ => {
            let number = quantity(pieces, at)?;
            (number.value, number.end)
        }
    };
    match word(next)? {
        // "an hour and a half".
        Word::Unit(unit) if word(next + 1) == Some(Word::AndHalf) => Some((count + 0.5, unit, next + 2)),
        Word::Unit(unit) if word(next + 1) == Some(Word::AndQuarter) => Some((count + 0.25, unit, next + 2)),
        Word::Unit(unit) => Some((count, unit, next + 1)),
        // The ordinal and the unit are one word: "30 second".
        Word::Ordinal(2) => Some((count, Unit::Second, next + 1)),
        _ => None,
    }
}

fn moved(now: NaiveDateTime, count: f64, unit: Unit) -> Option<Moved> {
    if count.abs() > 100_000.0 {
        return None;
    }
    let seconds = match unit {
        Unit::Second => 1.0,
        Unit::Minute => 60.0,
        Unit::Hour => 3_600.0,
        Unit::Day | Unit::Week | Unit::Month | Unit::Year => 0.0,
    };
    if seconds > 0.0 {
        return now.checked_add_signed(Duration::seconds((count * seconds) as i64)).map(Moved::At);
    }
    let today = now.date();
    let months = |months: f64| {
        let whole = Months::new(months.abs() as u32);
        if months < 0.0 { today.checked_sub_months(whole) } else { today.checked_add_months(whole) }
    };
    let day = match unit {
        Unit::Week => today.checked_add_signed(Duration::days((count * 7.0) as i64)),
        Unit::Month if count.fract() == 0.0 => months(count),
        Unit::Month => today.checked_add_signed(Duration::days((count * 30.0) as i64)),
        Unit::Year => months(count * 12.0),
        _ => today.checked_add_signed(Duration::days(count as i64)),
    };
    day.map(|day| Moved::Days(Days::One(day)))
}

/// The day or days that a piece begins to tell.
pub(super) fn days(pieces: &[Lex], at: usize, today: NaiveDate, past: Option<bool>) -> Option<(Days, usize)> {
    let word = |at: usize| pieces.get(at).and_then(Lex::word);
    let plus = |days: i64| today.checked_add_signed(Duration::days(days));
    if let What::Date(year, month, day) = pieces.get(at)?.what {
        return Some((Days::One(dated(today, year, month, day, past)?), at + 1));
    }
    match word(at) {
        Some(Word::Day(days)) => return Some((Days::One(plus(days.into())?), at + 1)),
        Some(Word::Either(days)) => {
            let (ahead, back) = (plus(days.into())?, plus(-i64::from(days))?);
            let days = match past {
                Some(true) => Days::One(back),
                Some(false) => Days::One(ahead),
                None => Days::Either(ahead, back),
            };
            return Some((days, at + 1));
        }
        Some(Word::Unit(Unit::Day)) => {
            return match (word(at + 1), word(at + 2)) {
                (Some(Word::After), Some(Word::Day(1))) => Some((Days::One(plus(2)?), at + 3)),
                (Some(Word::Ago), Some(Word::Day(-1))) => Some((Days::One(plus(-2)?), at + 3)),
                _ => None,
            };
        }
        Some(Word::Weekday(day)) => {
            let first = weekday(today, day, past)?;
            // "monday to wednesday", "somvaar se budhvaar".
            if let (Some(Word::From | Word::Till), Some(Word::Weekday(last))) = (word(at + 1), word(at + 2)) {
                return Some((Days::Range(first, weekday(first, last, None)?), at + 3));
            }
            return Some((Days::One(first), at + 1));
        }
        // "on the twentieth".
        Some(Word::On) => {
            let next = if word(at + 1) == Some(Word::Link) { at + 2 } else { at + 1 };
            let nth = matches!(pieces.get(next)?.what, What::Nth(_) | What::Word(Word::Ordinal(3..)));
            let (day, end) = day_number(pieces, next).filter(|_| nth)?;
            let month = matches!(word(end), Some(Word::Month(_))) || matches!(word(end + 1), Some(Word::Month(_)));
            return if month { None } else { Some((Days::One(this_month(today, day, past)?), end)) };
        }
        Some(Word::Weekend) => return Some((weekend(today, 0)?, at + 1)),
        Some(shift @ (Word::Next | Word::This | Word::Last)) => return relative(pieces, at, shift, today),
        _ => {}
    }
    calendar(pieces, at, today, past)
}

/// The next day of a name, or with the past the last one.
fn weekday(today: NaiveDate, day: u8, past: Option<bool>) -> Option<NaiveDate> {
    let ahead = i64::from((7 + u32::from(day) - today.weekday().num_days_from_monday()) % 7);
    let ahead = match past {
        Some(true) if ahead == 0 => -7,
        Some(true) => ahead - 7,
        _ => ahead,
    };
    today.checked_add_signed(Duration::days(ahead))
}

fn monday(today: NaiveDate) -> NaiveDate {
    today - Duration::days(today.weekday().num_days_from_monday().into())
}

fn weekend(today: NaiveDate, weeks: i64) -> Option<Days> {
    let saturday = monday(today).checked_add_signed(Duration::days(5 + 7 * weeks))?;
    Some(Days::Range(saturday, saturday + Duration::days(1)))
}

/// `agle somvaar`, `is hafte`, `pichhle mahine`, `next week tuesday`, `agle mahine ki 5 tarikh`.
fn relative(pieces: &[Lex], at: usize, shift: Word, today: NaiveDate) -> Option<(Days, usize)> {
    let word = |at: usize| pieces.get(at).and_then(Lex::word);
    let by: i32 = match shift {
        Word::Next => 1,
        Word::Last => -1,
        _ => 0,
    };
    let day = |days: i64| today.checked_add_signed(Duration::days(days));
    // "aane wale", "is hi".
    let next = if word(at + 1) == Some(Word::Link) { at + 2 } else { at + 1 };
    match word(next)? {
        Word::Weekday(name) => {
            let coming = weekday(today, name, None)?;
            let coming = if coming == today && by == 1 { coming + Duration::days(7) } else { coming };
            let days = match by {
                -1 => Days::One(weekday(today, name, Some(true))?),
                // Said late in the week before, "next friday" may be the one after.
                1 if coming - today <= Duration::days(6) && coming < monday(today) + Duration::days(7) => {
                    Days::Either(coming + Duration::days(7), coming)
                }
                _ => Days::One(coming),
            };
            Some((days, next + 1))
        }
        Word::Unit(Unit::Week) => {
            let monday = monday(today) + Duration::days(7 * i64::from(by));
            let after = if matches!(word(next + 1), Some(Word::Link)) { next + 2 } else { next + 1 };
            if let Some(Word::Weekday(name)) = word(after) {
                return Some((Days::One(monday + Duration::days(name.into())), after + 1));
            }
            Some((Days::Range(monday, monday + Duration::days(6)), next + 1))
        }
        Word::Unit(Unit::Month) => {
            let first = month_from(today, by)?;
            let after = if matches!(word(next + 1), Some(Word::Link)) { next + 2 } else { next + 1 };
            if let Some((number, end)) = day_number(pieces, after).filter(|(_, end)| word(*end) == Some(Word::Tarikh)) {
                return Some((Days::One(first.with_day(number)?), end + 1));
            }
            Some((Days::Range(first, month_from(first, 1)? - Duration::days(1)), next + 1))
        }
        Word::Unit(Unit::Year) => {
            let year = today.year() + by;
            Some((Days::Range(NaiveDate::from_ymd_opt(year, 1, 1)?, NaiveDate::from_ymd_opt(year, 12, 31)?), next + 1))
        }
        Word::Unit(Unit::Day) if by != 0 => Some((Days::One(day(by.into())?), next + 1)),
        Word::Weekend => Some((weekend(today, by.into())?, next + 1)),
        Word::Month(month) => {
            let year = today.year() + by;
            let first = NaiveDate::from_ymd_opt(year, month.into(), 1)?;
            Some((Days::Range(first, month_from(first, 1)? - Duration::days(1)), next + 1))
        }
        Word::Part(_) if by == 0 => Some((Days::One(today), next)),
        Word::Part(_) if by == -1 => Some((Days::One(day(-1)?), next)),
        _ => None,
    }
}

/// 1 to 31, in any form.
fn day_number(pieces: &[Lex], at: usize) -> Option<(u32, usize)> {
    let (value, end) = match &pieces.get(at)?.what {
        What::Digits(text, value) if text.len() <= 2 => (*value as u32, at + 1),
        What::Nth(nth) => (*nth, at + 1),
        What::Word(Word::Ordinal(nth)) => (u32::from(*nth), at + 1),
        What::Word(Word::Small(..)) => {
            let number = quantity(&pieces[..pieces.len().min(at + 2)], at)?;
            (number.value as u32, number.end)
        }
        _ => return None,
    };
    (1..=31).contains(&value).then_some((value, end))
}

/// `15 january 2026`, `january 15`, `15 tarikh`, `january`.
fn calendar(pieces: &[Lex], at: usize, today: NaiveDate, past: Option<bool>) -> Option<(Days, usize)> {
    let word = |at: usize| pieces.get(at).and_then(Lex::word);
    let skip = |at: usize| if word(at) == Some(Word::Link) { at + 1 } else { at };
    let year = |at: usize| match &pieces.get(at)?.what {
        What::Digits(text, value) if text.len() == 4 && (1900.0..=2100.0).contains(value) => Some(*value as i32),
        _ => None,
    };
    let dated = |month: u8, day: u32, end: usize| {
        let told = year(end);
        let end = if told.is_some() { end + 1 } else { end };
        Some((Days::One(dated(today, told, month.into(), day, past)?), end))
    };
    if let Some((day, end)) = day_number(pieces, at) {
        let after = if word(end) == Some(Word::Tarikh) { end + 1 } else { end };
        if let Some(Word::Month(month)) = word(skip(after)) {
            return dated(month, day, skip(after) + 1);
        }
        if word(end) == Some(Word::Tarikh) {
            return Some((Days::One(this_month(today, day, past)?), end + 1));
        }
        return None;
    }
    let Some(Word::Month(month)) = word(at) else { return None };
    if let Some((day, end)) = day_number(pieces, skip(at + 1)) {
        let end = if word(end) == Some(Word::Tarikh) { end + 1 } else { end };
        return dated(month, day, end);
    }
    // A month by itself is told by "mein" or a year; "may" and "march" are words as well.
    let told = year(at + 1);
    if told.is_none() && word(at + 1) != Some(Word::Within) {
        return None;
    }
    let first = dated_in(today, told, month.into(), 1, past)?;
    Some((Days::Range(first, month_from(first, 1)? - Duration::days(1)), if told.is_some() { at + 2 } else { at + 1 }))
}

fn dated_in(today: NaiveDate, year: Option<i32>, month: u32, day: u32, past: Option<bool>) -> Option<NaiveDate> {
    if let Some(year) = year {
        return NaiveDate::from_ymd_opt(year, month, day);
    }
    let this = NaiveDate::from_ymd_opt(today.year(), month, day)?;
    let month_over = month_from(this, 1)? <= today;
    let other = match past {
        Some(true) if this > today => today.year() - 1,
        Some(true) => today.year(),
        _ if month_over => today.year() + 1,
        _ => today.year(),
    };
    NaiveDate::from_ymd_opt(other, month, day)
}

fn dated(today: NaiveDate, year: Option<i32>, month: u32, day: u32, past: Option<bool>) -> Option<NaiveDate> {
    if let Some(year) = year {
        return NaiveDate::from_ymd_opt(year, month, day);
    }
    let this = NaiveDate::from_ymd_opt(today.year(), month, day)?;
    match past {
        Some(true) if this > today => NaiveDate::from_ymd_opt(today.year() - 1, month, day),
        Some(true) => Some(this),
        _ if this < today => NaiveDate::from_ymd_opt(today.year() + 1, month, day),
        _ => Some(this),
    }
}

/// The next day of that number, or with the past the last.
fn this_month(today: NaiveDate, day: u32, past: Option<bool>) -> Option<NaiveDate> {
    let first = month_from(today, 0)?;
    let (range, wanted): (std::ops::RangeInclusive<i32>, &dyn Fn(NaiveDate) -> bool) = match past {
        Some(true) => (0..=2, &|day| day <= today),
        _ => (0..=2, &|day| day >= today),
    };
    let sign = if past == Some(true) { -1 } else { 1 };
    range.filter_map(|months| month_from(first, sign * months)?.with_day(day)).find(|day| wanted(*day))
}
