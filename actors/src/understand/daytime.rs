//! Whether words tell a time of day: its hour and minutes and, where one is named, the right part of the day. "Subah paanch
//! baje" is not seventeen o'clock; "paanch baje" may be.

use chrono::{NaiveDateTime, Timelike as _};

use super::clock;
use super::fold::{self, Token};
use super::lex::{self, Lex, What};
use super::telling::runs;
use super::vocabulary::{Part, Word};
use super::when::{self, Reading, Told};

/// Before a part of the day these wish somebody well, and tell no time.
const GREETINGS: [&str; 2] = ["good", "shubh"];

/// A part of the day that words name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Named {
    Part(Part),
    Am,
    Pm,
}

impl Named {
    fn of(piece: &Lex) -> Option<Self> {
        match piece.word()? {
            Word::Part(part) => Some(Self::Part(part)),
            Word::Am => Some(Self::Am),
            Word::Pm => Some(Self::Pm),
            _ => None,
        }
    }

    /// As widely as people use it.
    fn fits(self, hour: u32) -> bool {
        match self {
            Self::Am => hour < 12,
            Self::Pm => hour >= 12,
            Self::Part(Part::Dawn) => (3..8).contains(&hour),
            Self::Part(Part::Morning) => (3..12).contains(&hour),
            Self::Part(Part::Noon) => (11..14).contains(&hour),
            Self::Part(Part::Afternoon) => (11..18).contains(&hour),
            Self::Part(Part::Evening) => (15..22).contains(&hour),
            Self::Part(Part::Night) => !(5..18).contains(&hour),
            Self::Part(Part::Midnight) => matches!(hour, 23 | 0),
        }
    }
}

/// Whether words tell this hour of 24 and this minute.
pub(super) fn tells(words: &str, hour: u32, minute: u32, now: NaiveDateTime) -> bool {
    let words = &without_greetings(words);
    let tokens = fold::tokens(words);
    let pieces = lex::pieces(words, &tokens);
    let times = times(&pieces, now);
    if times.iter().any(|time| is_it(&pieces, time, hour, minute, true)) {
        return true;
    }
    let loose = loose_parts(&pieces, &times);
    if !loose.is_empty() && !loose.iter().any(|part| part.fits(hour)) {
        return false;
    }
    times.iter().any(|time| is_it(&pieces, time, hour, minute, false))
        || has_numbers(words, &pieces, &tokens, &times, hour, minute)
}

/// "Good morning" would make a morning of the next time that is told.
fn without_greetings(words: &str) -> String {
    let tokens = fold::tokens(words);
    let pieces = lex::pieces(words, &tokens);
    let mut rest = words.to_owned();
    for piece in pieces.iter().rev().filter(|piece| Named::of(piece).is_some()) {
        let before = piece.first.checked_sub(1).map(|before| &tokens[before]);
        if let Some(before) = before.filter(|before| GREETINGS.iter().any(|word| fold::key(word) == before.key)) {
            rest.replace_range(before.span.start..tokens[piece.last].span.end, ",");
        }
    }
    rest
}

/// What is told of times: of day, days alone, parts of a day.
fn times(pieces: &[Lex], now: NaiveDateTime) -> Vec<Told> {
    let (mut times, mut at) = (Vec::new(), 0);
    while at < pieces.len() {
        match when::told(pieces, at, now, None) {
            Some(told) => {
                at = told.last + 1;
                times.push(told);
            }
            None => at += 1,
        }
    }
    times
}

/// Whether a time that is told is this one: with its part of the day, or without one.
fn is_it(pieces: &[Lex], time: &Told, hour: u32, minute: u32, with_part: bool) -> bool {
    let span = &pieces[time.first..=time.last];
    let parts: Vec<Named> = span.iter().filter_map(Named::of).collect();
    let of_24 = span.iter().any(|piece| matches!(piece.what, What::Clock(0 | 13.., _)));
    if !time.hour || parts.is_empty() == with_part || !parts.iter().all(|part| part.fits(hour)) {
        return false;
    }
    // "eleven fifteen": the minutes are not read as such without a word that says so.
    let behind = match pieces[time.last].what {
        What::Digits(..) | What::Word(Word::Small(..)) => clock::whole(pieces, time.last + 1, 59.0),
        _ => None,
    };
    let behind = behind.map_or(0, |(minutes, _)| minutes);
    let same = |at: NaiveDateTime| {
        let right = if of_24 { at.hour() == hour } else { at.hour() % 12 == hour % 12 };
        right && at.minute() + behind == minute
    };
    time.readings.iter().any(|reading| match *reading {
        Reading::At(at) => same(at),
        Reading::Between(from, to) => same(from) || same(to),
        Reading::Date(_) | Reading::Days(..) => false,
    })
}

/// Parts of the day that stand by themselves, and may belong to any time beside them.
fn loose_parts(pieces: &[Lex], times: &[Told]) -> Vec<Named> {
    let within = |at: usize| times.iter().any(|time| time.hour && (time.first..=time.last).contains(&at));
    let alone = pieces.iter().enumerate().filter(|(at, _)| !within(*at));
    alone.filter_map(|(_, piece)| Named::of(piece)).collect()
}

/// Whether the numbers stand in what is no time by its words: "eleven fifteen".
fn has_numbers(words: &str, pieces: &[Lex], tokens: &[Token], times: &[Told], hour: u32, minute: u32) -> bool {
    let mut rest = words.to_owned();
    for time in times.iter().rev() {
        let (first, last) = (pieces[time.first].first, pieces[time.last].last);
        rest.replace_range(tokens[first].span.start..tokens[last].span.end, " ");
    }
    let tokens = fold::tokens(&rest);
    let pieces = lex::pieces(&rest, &tokens);
    let spoken =
        (0..pieces.len()).filter_map(|at| clock::whole(&pieces, at, 59.0)).map(|(number, _)| number.to_string());
    let numbers: Vec<String> = runs(&rest).into_iter().chain(spoken).collect();
    let has = |number: u32| numbers.contains(&number.to_string());
    (has(hour) || has((hour + 11) % 12 + 1)) && (minute == 0 || has(minute))
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    #[test]
    fn a_part_of_the_day_that_is_told_must_be_the_right_one() {
        let now = NaiveDate::from_ymd_opt(2026, 11, 27).and_then(|day| day.and_hms_opt(10, 0, 0)).unwrap_or_default();
        for (words, clock, tells_it) in [
            ("Kal paanch baje", (17, 0), true),
            ("Kal paanch baje", (5, 0), true),
            ("kal subah paanch baje", (17, 0), false),
            ("kal subah paanch baje", (5, 0), true),
            ("kal shaam paanch baje", (17, 0), true),
            ("kal shaam ko paanch baje", (5, 0), false),
            ("paanch baje subah", (17, 0), false),
            ("tomorrow at 5 am", (17, 0), false),
            ("tomorrow at 5 pm", (17, 0), true),
            ("tomorrow at 5 p.m.", (5, 0), false),
            ("at five in the morning", (17, 0), false),
            ("at five in the evening", (17, 0), true),
            ("tomorrow morning, at five thirty", (17, 30), false),
            ("five thirty in the morning tomorrow", (17, 30), false),
            ("five thirty in the evening tomorrow", (17, 30), true),
            ("in the morning, tomorrow, five o'clock", (17, 0), false),
            ("दोपहर तीन बजे", (15, 0), true),
            ("दोपहर तीन बजे", (3, 0), false),
            ("कल सुबह पाँच बजे", (17, 0), false),
            ("कल शाम साढ़े पाँच बजे", (17, 30), true),
            ("raat ke nau baje", (21, 0), true),
            ("raat nau baje", (9, 0), false),
            ("raat ke do baje", (2, 0), true),
            ("tonight at eight", (20, 0), true),
            ("night at eight", (8, 0), false),
            ("this afternoon at 4", (16, 0), true),
            ("dopahar baarah baje", (12, 0), true),
            ("at noon", (12, 0), true),
            ("kal shaam", (16, 0), false),
            ("4 december ki shaam", (16, 0), false),
            ("Good morning! Kal paanch baje, theek hai?", (17, 0), true),
            ("गुड मॉर्निंग, कल पाँच बजे?", (17, 0), true),
            ("Kal subah gyarah baje ki jagah Monday paanch baje?", (17, 0), true),
            ("Kal subah gyarah baje ki jagah subah paanch baje?", (17, 0), false),
            ("17:00", (17, 0), true),
            ("17:00", (5, 0), false),
            ("at 11:15", (11, 0), false),
            ("at 11:15", (11, 15), true),
            ("December fifteenth at eleven fifteen", (11, 15), true),
            ("December fifteenth at eleven fifteen", (11, 0), false),
            ("December fifteenth at eleven twenty five", (11, 25), true),
            ("the fifteenth at 11:15 am", (11, 15), true),
            ("the fifteenth at 11:15 am", (23, 15), false),
            ("5 se 7 baje", (19, 0), true),
        ] {
            assert_eq!(tells(words, clock.0, clock.1, now), tells_it, "{words} {clock:?}");
        }
    }
}
