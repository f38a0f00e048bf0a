//! Days and times of day that words tell, to be compared with others: whether a caller who names a time names the one that
//! was read back, or another.

use std::ops::Range;

use chrono::{Datelike as _, NaiveDate, NaiveDateTime, NaiveTime, Timelike as _};

use super::fold::Token;
use super::lex::{self, Lex, What};
use super::vocabulary::{Part, Unit, Word};
use super::when::{self, Reading};

/// What is told of one time, as far as it is told.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct Moment {
    /// Which of the tokens tell it.
    pub(super) tokens: Range<usize>,
    /// Its day, in all fair readings.
    pub(super) days: Vec<NaiveDate>,
    /// Its day is told by its name.
    weekday: bool,
    /// Its hours of 24 and minutes, in all fair readings.
    pub(super) clocks: Vec<(u32, u32)>,
    parts: Vec<Part>,
    /// *next*, *last*: said only by whom it was said to.
    moved: Vec<Word>,
}

/// So many of one text are looked at.
const MOST: usize = 16;

/// All times that a text tells.
pub(super) fn moments(text: &str, tokens: &[Token], now: NaiveDateTime) -> Vec<Moment> {
    let pieces = lex::pieces(text, tokens);
    let (mut found, mut at) = (Vec::new(), 0);
    while at < pieces.len() && found.len() < MOST {
        let Some(told) = when::told(&pieces, at, now, None).filter(|told| told.sure) else {
            at += 1;
            continue;
        };
        at = told.last + 1;
        let span = &pieces[told.first..=told.last];
        let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN);
        let begins = told.readings.iter().map(|reading| match *reading {
            Reading::Date(day) | Reading::Days(day, _) => midnight(day),
            Reading::At(at) | Reading::Between(at, _) => at,
        });
        found.push(Moment::new(span, begins, told.hour));
        // A stretch is two: both must be meant. A part of the day is none.
        let mut ends = told
            .readings
            .iter()
            .filter_map(|reading| match *reading {
                Reading::Days(_, to) => Some(midnight(to)),
                Reading::Between(_, to) if told.hour => Some(to),
                _ => None,
            })
            .peekable();
        if ends.peek().is_some() {
            found.push(Moment::new(span, ends, told.hour));
        }
    }
    found
}

impl Moment {
    /// What some readings of some pieces tell.
    fn new(span: &[Lex], readings: impl Iterator<Item = NaiveDateTime>, hour: bool) -> Self {
        let words = || span.iter().filter_map(Lex::word);
        let with_day = span.iter().any(tells_a_day);
        let mut moment = Self {
            tokens: span[0].first..span[span.len() - 1].last + 1,
            weekday: words().any(|word| matches!(word, Word::Weekday(_))),
            parts: words().filter_map(part).collect(),
            moved: words().filter(|word| matches!(word, Word::Next | Word::Last)).collect(),
            ..Self::default()
        };
        for time in readings {
            moment.days.extend(with_day.then(|| time.date()));
            moment.clocks.extend(hour.then(|| (time.hour(), time.minute())));
        }
        moment
    }

    /// One of a plan: a day, or a time of any day.
    pub(super) fn planned(day: Option<NaiveDate>, clock: Option<(u32, u32)>) -> Self {
        Self { days: day.into_iter().collect(), clocks: clock.into_iter().collect(), ..Self::default() }
    }

    /// Whether all that is told of it is told in others as well, in whichever of them.
    pub(super) fn is_among(&self, others: &[Self]) -> bool {
        // "Wednesday" is of this week or the next, as it is late or early in the day.
        let named = |day: &NaiveDate| self.weekday && self.days.iter().any(|own| own.weekday() == day.weekday());
        let day = || others.iter().flat_map(|other| &other.days).any(|day| self.days.contains(day) || named(day));
        let clock = || others.iter().flat_map(|other| &other.clocks).any(|clock| self.clocks.contains(clock));
        let part = |part: &Part| {
            others.iter().any(|other| match other.clocks.is_empty() {
                true => other.parts.contains(part),
                false => other.clocks.iter().any(|(hour, _)| holds(*part, *hour)),
            })
        };
        let moved = |word: &Word| others.iter().any(|other| other.moved.contains(word));
        let told = !(self.days.is_empty() && self.clocks.is_empty() && self.parts.is_empty());
        told && (self.days.is_empty() || day())
            && (self.clocks.is_empty() || clock())
            && (!self.clocks.is_empty() || self.parts.iter().all(part))
            && self.moved.iter().all(moved)
    }

    /// "Eight thirty", as digits.
    pub(super) fn is_spelled(&self, number: &str) -> bool {
        let spelled = |hour: u32, minute: u32| format!("{hour}{minute:02}") == number;
        self.clocks.iter().any(|(hour, minute)| spelled(*hour, *minute) || spelled((hour + 11) % 12 + 1, *minute))
    }

    /// Whether a bare number may be its hour.
    pub(super) fn is_at(&self, number: &str) -> bool {
        let hour = |hour: u32| number.parse() == Ok(hour) || number.parse() == Ok((hour + 11) % 12 + 1);
        self.clocks.iter().any(|(at, minute)| *minute == 0 && hour(*at))
    }
}

fn part(word: Word) -> Option<Part> {
    match word {
        Word::Part(part) => Some(part),
        _ => None,
    }
}

/// Narrower than people use them: who says *dopahar* of five in the evening means another time.
fn holds(part: Part, hour: u32) -> bool {
    match part {
        Part::Dawn => (3..8).contains(&hour),
        Part::Morning => (4..12).contains(&hour),
        Part::Noon => (12..13).contains(&hour),
        Part::Afternoon => (12..17).contains(&hour),
        Part::Evening => (16..22).contains(&hour),
        Part::Night => !(4..19).contains(&hour),
        Part::Midnight => matches!(hour, 23 | 0),
    }
}

fn tells_a_day(piece: &Lex) -> bool {
    match piece.what {
        What::Date(..) | What::Nth(_) => true,
        What::Word(word) => matches!(
            word,
            Word::Day(_)
                | Word::Either(_)
                | Word::Weekday(_)
                | Word::Month(_)
                | Word::Tarikh
                | Word::Weekend
                | Word::Unit(Unit::Day | Unit::Week | Unit::Month)
        ),
        _ => false,
    }
}
