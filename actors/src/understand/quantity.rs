//! Numbers, written and spoken: `dhai hazaar`, `साढ़े तीन सौ`, `one lakh twenty`, `nine double eight`.

use super::lex::{Lex, What};
use super::vocabulary::{Tongue, Word};

/// Longest string of digits read.
const DIGITS_MAX: usize = 20;

/// A number in a turn.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Quantity {
    pub(super) value: f64,
    /// Its digits as said, for a number that is a name rather than a count: leading zeros count.
    pub(super) digits: Option<String>,
    pub(super) spoken: bool,
    /// *hundred*, *lakh*, *k*: said of counts and money, never digit by digit.
    pub(super) scaled: bool,
    /// Where it ends, in pieces; the next piece is not part of it.
    pub(super) end: usize,
}

/// The number that begins with a piece, as long as it goes.
pub(super) fn quantity(pieces: &[Lex], at: usize) -> Option<Quantity> {
    if let Some(quantity) = spelled(pieces, at) {
        return Some(quantity);
    }
    cardinal(pieces, at)
}

/// Digit by digit, in pairs, or written in pieces with blanks: three digits or more.
fn spelled(pieces: &[Lex], at: usize) -> Option<Quantity> {
    let (mut digits, mut end, mut parts, mut spoken) = (String::new(), at, 0, false);
    let (mut shortest, mut longest) = (usize::MAX, 0);
    while digits.len() < DIGITS_MAX {
        let (part, next) = match pieces.get(end).map(|piece| &piece.what) {
            Some(What::Word(Word::Repeat(times))) => match one_digit(pieces.get(end + 1)) {
                Some(digit) => (digit.repeat(*times), end + 2),
                None => break,
            },
            Some(What::Word(Word::Small(..))) => {
                let (value, next) = small(pieces, end);
                spoken = true;
                (value.to_string(), next)
            }
            Some(What::Digits(text, value)) if value.fract() == 0.0 && !text.contains(',') => (text.clone(), end + 1),
            _ => break,
        };
        (shortest, longest) = (shortest.min(part.len()), longest.max(part.len()));
        digits.push_str(&part);
        // "triple nine" is as many parts as digits.
        parts += if next == end + 2 && pieces[end].word().is_some_and(|word| matches!(word, Word::Repeat(_))) {
            part.len()
        } else {
            1
        };
        end = next;
    }
    let scaled = matches!(pieces.get(end).map(|piece| &piece.what), Some(What::Word(Word::Times(_) | Word::Point)));
    let telephone = matches!((digits.len(), &digits[..digits.len().min(2)]), (10, _) | (12, "91"))
        || digits.len() == 11 && digits.starts_with('0');
    let fits = match parts {
        0 | 1 => false,
        // "ten forty two", "98765 43210", "411 038".
        2 => (spoken && shortest >= 2) || telephone || (digits.len() == 6 && shortest == 3),
        _ => spoken || longest == 1 || telephone,
    };
    if scaled || !fits || digits.len() < 3 {
        return None;
    }
    // "… ek do" at the end may be "do it".
    if digits.len() == 11
        && !telephone
        && pieces.get(end - 1).and_then(Lex::word) == Some(Word::Small(2, Tongue::Hindi))
    {
        digits.pop();
        end -= 1;
    }
    let value = digits.parse().ok()?;
    Some(Quantity { value, digits: Some(digits), spoken, scaled: false, end })
}

fn one_digit(piece: Option<&Lex>) -> Option<String> {
    match &piece?.what {
        What::Word(Word::Small(value @ 0..=9, _)) => Some(value.to_string()),
        What::Digits(text, _) if text.len() == 1 => Some(text.clone()),
        _ => None,
    }
}

/// *forty two*, *bayalis*: up to 99, and the piece after it.
fn small(pieces: &[Lex], at: usize) -> (u32, usize) {
    let value = |at: usize| match pieces.get(at).and_then(Lex::word) {
        Some(Word::Small(value, tongue)) => Some((u32::from(value), tongue)),
        _ => None,
    };
    match (value(at), value(at + 1)) {
        (Some((tens @ 20..=90, Tongue::English)), Some((ones @ 1..=9, Tongue::English))) if tens % 10 == 0 => {
            (tens + ones, at + 2)
        }
        (Some((value, _)), _) => (value, at + 1),
        _ => (0, at),
    }
}

/// What stands before *hundred*, *lakh* …: a number below 100, a written one, or a fraction.
struct Base {
    value: f64,
    digits: Option<String>,
    spoken: bool,
    /// *5k*.
    short: bool,
}

fn base(pieces: &[Lex], at: usize) -> Option<(Base, usize)> {
    let made = |value: f64| Base { value, digits: None, spoken: true, short: false };
    let plain = |at: usize| -> Option<(Base, usize)> {
        match &pieces.get(at)?.what {
            What::Digits(text, value) => {
                let base =
                    Base { digits: Some(text.clone()), spoken: false, short: text.contains(','), ..made(*value) };
                Some((base, at + 1))
            }
            What::Short(value) => Some((Base { spoken: false, short: true, ..made(*value) }, at + 1)),
            What::Word(Word::Small(..)) => {
                let (value, next) = small(pieces, at);
                Some((made(f64::from(value)), next))
            }
            _ => None,
        }
    };
    // "two and a half lakh".
    let plain = |at: usize| {
        let (base, next) = plain(at)?;
        match pieces.get(next).and_then(Lex::word) {
            Some(Word::AndHalf) => Some((made(base.value + 0.5), next + 1)),
            Some(Word::AndQuarter) => Some((made(base.value + 0.25), next + 1)),
            _ => Some((base, next)),
        }
    };
    let times = |at: usize| matches!(pieces.get(at).and_then(Lex::word), Some(Word::Times(_)));
    let shifted = |by: f64, alone: f64| match plain(at + 1) {
        Some((base, next)) => Some((made(base.value + by), next)),
        None if times(at + 1) => Some((made(alone), at + 1)),
        None => None,
    };
    match pieces.get(at)?.word() {
        Some(Word::Saadhe) => shifted(0.5, 0.5),
        Some(Word::Sava) => shifted(0.25, 1.25),
        Some(Word::Paune) => shifted(-0.25, 0.75),
        Some(Word::Dedh) => Some((made(1.5), at + 1)),
        Some(Word::Dhai) => Some((made(2.5), at + 1)),
        Some(Word::Half) if times(at + 1) => Some((made(0.5), at + 1)),
        Some(Word::Times(_)) => Some((made(1.0), at)),
        _ => plain(at),
    }
}

/// *two point five*, *teen dashamlav ek chaar*.
fn decimals(pieces: &[Lex], at: usize) -> Option<(f64, usize)> {
    if pieces.get(at).and_then(Lex::word) != Some(Word::Point) {
        return None;
    }
    let mut text = String::from("0.");
    let mut end = at + 1;
    while let Some(digit) = one_digit(pieces.get(end)) {
        text.push_str(&digit);
        end += 1;
    }
    if end == at + 1 {
        let What::Digits(digits, _) = &pieces.get(end)?.what else { return None };
        text.push_str(digits);
        end += 1;
    }
    Some((text.parse().ok()?, end))
}

fn cardinal(pieces: &[Lex], at: usize) -> Option<Quantity> {
    let (mut total, mut end, mut lowest) = (0.0, at, f64::INFINITY);
    let mut quantity = Quantity { value: 0.0, digits: None, spoken: false, scaled: false, end: at };
    let mut parts = 0;
    loop {
        let begin = match pieces.get(end).and_then(Lex::word) {
            // "one hundred and twenty".
            Some(Word::And) if parts > 0 => end + 1,
            _ => end,
        };
        let Some((mut base, mut next)) = base(pieces, begin) else { break };
        let bare = pieces.get(begin).and_then(Lex::word).is_some_and(|word| matches!(word, Word::Times(_)));
        if let Some((fraction, after)) = decimals(pieces, next) {
            (base.value, base.digits, next) = (base.value + fraction, None, after);
        }
        let (mut value, mut scale) = (base.value, 1.0);
        while let Some(Word::Times(times)) = pieces.get(next).and_then(Lex::word) {
            value *= times as f64;
            scale *= times as f64;
            next += 1;
        }
        if parts > 0 && (value >= lowest || bare || begin > end && scale > 1.0) {
            break;
        }
        if parts > 0 && scale == 1.0 && base.short {
            break;
        }
        (total, end, parts) = (total + value, next, parts + 1);
        quantity.spoken |= base.spoken;
        quantity.scaled |= scale > 1.0 || base.short;
        quantity.digits = if parts == 1 && scale == 1.0 { base.digits } else { None };
        lowest = scale;
        if scale == 1.0 {
            break;
        }
    }
    (parts > 0).then_some(Quantity { value: total, end, ..quantity })
}

/// A number as text: without a fraction if there is none.
pub(super) fn plain(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 { format!("{value:.0}") } else { format!("{value}") }
}
