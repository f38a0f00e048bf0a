//! Times of the day: `saadhe paanch baje`, `5:30 pm`, `quarter to six`, `das bajkar bees minute`, `5 se 7 baje`.

use super::lex::{Lex, What};
use super::quantity::quantity;
use super::vocabulary::{Part, Unit, Word};

/// A time as told: which half of the day may be open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Clock {
    pub(super) hour: u32,
    pub(super) minute: u32,
    half: Option<Half>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Half {
    Am,
    Pm,
    /// Told as of 24 hours.
    Whole,
}

impl Clock {
    /// The hours of a day that it may mean, likeliest first; 24 and more are of the next day.
    pub(super) fn hours(self, part: Option<Part>) -> Vec<u32> {
        let hour = self.hour;
        let pm = hour % 12 + 12;
        match (self.half, part) {
            (Some(Half::Whole), _) => vec![hour],
            (Some(Half::Am), _) => vec![hour % 12],
            (Some(Half::Pm), _) => vec![pm],
            (None, _) if hour > 12 || hour == 0 => vec![hour],
            (None, Some(Part::Dawn | Part::Morning)) => vec![hour],
            (None, Some(Part::Noon | Part::Afternoon)) => vec![if (9..12).contains(&hour) { hour } else { pm }],
            (None, Some(Part::Evening)) => vec![pm],
            // Twelve at night is the day's end, one to four the next morning.
            (None, Some(Part::Night | Part::Midnight)) => {
                vec![if hour == 12 {
                    24
                } else if hour <= 4 {
                    24 + hour
                } else {
                    pm
                }]
            }
            (None, None) => match hour {
                12 => vec![12],
                1..=6 => vec![pm, hour],
                _ => vec![hour, pm],
            },
        }
    }
}

/// A time, or one until another; where it ends. `bare` numbers count after a part of the day ("shaam 5").
pub(super) fn range(pieces: &[Lex], at: usize, bare: bool) -> Option<((Clock, Option<Clock>), usize)> {
    let linked = |at: usize| {
        let word = pieces.get(at).and_then(Lex::word);
        matches!(word, Some(Word::From | Word::Till | Word::And)).then_some(at + 1)
    };
    // "from 10 to 12", "between 5 and 7".
    let begin = match pieces.get(at).and_then(Lex::word) {
        Some(Word::From) => at + 1,
        _ => at,
    };
    let first = clock(pieces, begin, bare);
    if let Some((from, end)) = first {
        if let Some((to, end)) = linked(end).and_then(|next| clock(pieces, next, true)) {
            return Some(((from, Some(to)), end));
        }
        return (begin == at).then_some(((from, None), end));
    }
    let (from, end) = number(pieces, begin)?;
    let (to, end) = linked(end).and_then(|next| clock(pieces, next, begin > at && bare))?;
    Some(((Clock { half: to.half, ..from }, Some(to)), end))
}

/// *four to six*: two bare numbers.
pub(super) fn is_bare_range(pieces: &[Lex], at: usize) -> bool {
    let till = |at: usize| matches!(pieces.get(at).and_then(Lex::word), Some(Word::Till | Word::And));
    number(pieces, at).is_some_and(|(_, end)| till(end) && number(pieces, end + 1).is_some())
}

/// The hour twelve hours on, for the end of a stretch that began before noon.
pub(super) fn after_noon(clock: Clock) -> u32 {
    clock.hour % 12 + 12
}

fn clock(pieces: &[Lex], at: usize, bare: bool) -> Option<(Clock, usize)> {
    if let What::Clock(hour, minute) = pieces.get(at)?.what {
        let (half, end) = half(pieces, at + 1);
        let whole = (hour > 12 || hour == 0).then_some(Half::Whole);
        return Some((Clock { hour, minute, half: whole.or(half) }, end));
    }
    spoken(pieces, at, bare).or_else(|| in_words(pieces, at)).or_else(|| {
        let (mut time, mut end) = number(pieces, at)?;
        // "five thirty pm", "7 45 baje".
        if let Some((minutes, after)) = minutes(pieces, end).filter(|(_, after)| says(pieces, *after)) {
            (time.minute, end) = (minutes, after);
        }
        let told = says(pieces, end);
        let (half, after) = half(pieces, end);
        let bare = bare
            && !matches!(
                pieces.get(end).map(|piece| &piece.what),
                Some(What::Word(Word::Unit(_) | Word::Tarikh | Word::Month(_)))
            );
        (told || bare).then_some((Clock { half, ..time }, after))
    })
}

/// The words behind a time that say that it is one, and where they end.
fn half(pieces: &[Lex], at: usize) -> (Option<Half>, usize) {
    let (mut end, mut half) = (at, None);
    loop {
        match pieces.get(end).and_then(Lex::word) {
            Some(Word::Oclock) => {}
            Some(Word::Am) if half.is_none() => half = Some(Half::Am),
            Some(Word::Pm) if half.is_none() => half = Some(Half::Pm),
            _ => return (half, end),
        }
        end += 1;
    }
}

fn says(pieces: &[Lex], at: usize) -> bool {
    matches!(pieces.get(at).and_then(Lex::word), Some(Word::Oclock | Word::Am | Word::Pm))
}

/// A number up to a most, and where it ends.
pub(super) fn whole(pieces: &[Lex], at: usize, most: f64) -> Option<(u32, usize)> {
    let number = match &pieces.get(at)?.what {
        // One piece: "5 7" is no number here, nor is "five thirty".
        What::Digits(text, value) if text.len() <= 2 => (*value, at + 1),
        What::Word(Word::Small(..)) => {
            let found = quantity(&pieces[..pieces.len().min(at + 2)], at)?;
            if found.value <= most { (found.value, found.end) } else { (quantity(&pieces[..=at], at)?.value, at + 1) }
        }
        _ => return None,
    };
    (number.0.fract() == 0.0 && (0.0..=most).contains(&number.0)).then_some((number.0 as u32, number.1))
}

fn number(pieces: &[Lex], at: usize) -> Option<(Clock, usize)> {
    let (hour, end) = whole(pieces, at, 23.0)?;
    Some((Clock { hour, minute: 0, half: (hour > 12).then_some(Half::Whole) }, end))
}

fn minutes(pieces: &[Lex], at: usize) -> Option<(u32, usize)> {
    whole(pieces, at, 59.0)
}

/// `saadhe paanch baje`, `dedh baje`, `das bajkar bees minute`, `das bajne mein paanch minute`.
fn spoken(pieces: &[Lex], at: usize, bare: bool) -> Option<(Clock, usize)> {
    let time = |hour, minute| Clock { hour, minute, half: None };
    let word = |at: usize| pieces.get(at).and_then(Lex::word);
    let fraction = match word(at)? {
        Word::Saadhe => number(pieces, at + 1).map(|(clock, end)| (time(clock.hour, 30), end)),
        Word::Sava => number(pieces, at + 1).map(|(clock, end)| (time(clock.hour, 15), end)),
        Word::Paune => number(pieces, at + 1).map(|(clock, end)| (time((clock.hour + 11) % 12, 45), end)),
        Word::Dedh => Some((time(1, 30), at + 1)),
        Word::Dhai => Some((time(2, 30), at + 1)),
        _ => None,
    };
    if let Some((clock, end)) = fraction {
        let clock = Clock { hour: if clock.hour == 0 { 12 } else { clock.hour }, ..clock };
        let (half, after) = half(pieces, end);
        return (bare || says(pieces, end)).then_some((Clock { half, ..clock }, after));
    }
    None
}

/// Hours and minutes in words.
fn in_words(pieces: &[Lex], at: usize) -> Option<(Clock, usize)> {
    let time = |hour, minute| Clock { hour, minute, half: None };
    let word = |at: usize| pieces.get(at).and_then(Lex::word);
    let skip_unit = |at: usize| if word(at) == Some(Word::Unit(Unit::Minute)) { at + 1 } else { at };
    if let Some((clock, end)) = number(pieces, at) {
        match word(end) {
            Some(Word::Bajkar) => {
                let (minutes, end) = minutes(pieces, end + 1)?;
                return Some((time(clock.hour, minutes), skip_unit(end)));
            }
            Some(Word::Bajne) => {
                let next = if word(end + 1) == Some(Word::Within) { end + 2 } else { end + 1 };
                let (minutes, end) = minutes(pieces, next)?;
                return Some((before(clock.hour, minutes), skip_unit(end)));
            }
            _ => {}
        }
    }
    // "half past five", "quarter to six", "ten minutes past nine".
    let (minutes, next) = match word(at) {
        Some(Word::Half) => (30, at + 1),
        Some(Word::Quarter) => (15, at + 1),
        _ => minutes(pieces, at).map(|(minutes, end)| (minutes, skip_unit(end)))?,
    };
    let past = match word(next)? {
        Word::Past => true,
        Word::Till
            if pieces.get(next).is_some() && matches!(word(at), Some(Word::Quarter))
                || word(next - 1) == Some(Word::Unit(Unit::Minute)) =>
        {
            false
        }
        _ => return None,
    };
    let (clock, end) = number(pieces, next + 1)?;
    let (half, end) = half(pieces, end);
    let clock = if past { time(clock.hour, minutes) } else { before(clock.hour, minutes) };
    Some((Clock { half, ..clock }, end))
}

fn before(hour: u32, minutes: u32) -> Clock {
    let hour = if hour <= 1 { hour + 11 } else { hour - 1 };
    Clock { hour, minute: (60 - minutes) % 60, half: None }
}
