//! A turn as numbers, clocks, dates and words that mean something to them: what the readers of entities look at.

use super::fold::{Token, devanagari_digit, sound};
use super::vocabulary::{Tongue, Unit, Word, word};

/// One piece of a turn, from a token to a token (both included).
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Lex {
    pub(super) what: What,
    pub(super) first: usize,
    pub(super) last: usize,
}

/// What a piece is.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum What {
    /// Written digits with their commas, and their value (with decimals: *2.5*).
    Digits(String, f64),
    /// *5k*, *2.5L*: a value whose letter says it is money or a count of many.
    Short(f64),
    /// *5:30*.
    Clock(u32, u32),
    /// Year (if told), month and day.
    Date(Option<i32>, u32, u32),
    /// *15th*, *3rd*, *2वां*.
    Nth(u32),
    Word(Word),
    Other,
}

impl Lex {
    pub(super) fn word(&self) -> Option<Word> {
        match self.what {
            What::Word(word) => Some(word),
            _ => None,
        }
    }
}

/// The pieces of a turn, in order. Every token is in one piece; one like *5pm* is in two.
pub(super) fn pieces(text: &str, tokens: &[Token]) -> Vec<Lex> {
    let mut pieces = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        if let Some((word, last)) = phrase(tokens, at, pieces.last()) {
            pieces.push(Lex { what: What::Word(word), first: at, last });
            at = last + 1;
            continue;
        }
        at = match date(text, tokens, at).or_else(|| clock(text, tokens, at)).or_else(|| grouped(text, tokens, at)) {
            Some((what, last)) => {
                pieces.push(Lex { what, first: at, last });
                last + 1
            }
            None => match meridiem(tokens, at) {
                Some(word) => {
                    pieces.push(Lex { what: What::Word(word), first: at, last: at + 1 });
                    at + 2
                }
                None => {
                    single(&tokens[at], at, &mut pieces);
                    at + 1
                }
            },
        };
    }
    compound_ordinals(pieces, tokens)
}

/// Words that mean something together, or only behind the piece before.
fn phrase(tokens: &[Token], at: usize, before: Option<&Lex>) -> Option<(Word, usize)> {
    let raw = |at: usize| tokens.get(at).map_or("", |token| token.raw.as_str());
    let next = tokens.get(at + 1).and_then(word);
    let number = matches!(before.map(|piece| &piece.what), Some(What::Digits(..) | What::Word(Word::Small(..))));
    let unit = matches!(before.map(|piece| &piece.what), Some(What::Word(Word::Unit(_))));
    match (raw(at), raw(at + 1), raw(at + 2)) {
        ("and", "a", "half") if number || unit => Some((Word::AndHalf, at + 2)),
        ("and", "half", _) if number => Some((Word::AndHalf, at + 1)),
        ("and", "a", "quarter") if number || unit => Some((Word::AndQuarter, at + 2)),
        ("baj", "kar" | "ke", _) => Some((Word::Bajkar, at + 1)),
        // "nine eight one oh one".
        ("oh" | "o", ..) if number && matches!(next, Some(Word::Small(..) | Word::Repeat(_))) => {
            Some((Word::Small(0, Tongue::English), at))
        }
        // "twenty five k rupees", but not "5 k liye".
        ("k", "" | "rupees" | "rupaye" | "rs" | "salary" | "only" | "ka" | "hai" | "per", _) if number => {
            Some((Word::Times(1_000), at))
        }
        // "do so rupaye".
        ("so", ..) if number && matches!(next, Some(Word::Rupee | Word::Small(..))) => Some((Word::Times(100), at)),
        _ => None,
    }
}

/// *twenty first*: one ordinal; *thirty second* is one only before what is counted so.
fn compound_ordinals(pieces: Vec<Lex>, tokens: &[Token]) -> Vec<Lex> {
    let mut joined: Vec<Lex> = Vec::with_capacity(pieces.len());
    for (at, piece) in pieces.iter().enumerate() {
        let tens = match joined.last().map(|last| &last.what) {
            Some(What::Word(Word::Small(tens @ 20..=90, Tongue::English))) if tens % 10 == 0 => u32::from(*tens),
            _ => 0,
        };
        let next = pieces.get(at + 1);
        let counted = next.is_some_and(|next| {
            let raw = tokens[next.first].raw.as_str();
            matches!(next.what, What::Word(Word::Month(_))) || matches!(raw, "of" | "floor" | "one" | "option" | "time")
        });
        let ones = match piece.what {
            What::Word(Word::Ordinal(ones @ 1..=9)) => u32::from(ones),
            What::Word(Word::Unit(Unit::Second)) if counted && tokens[piece.first].raw == "second" => 2,
            _ => 0,
        };
        match joined.last_mut() {
            Some(last) if tens > 0 && ones > 0 => (last.what, last.last) = (What::Nth(tens + ones), piece.last),
            _ => joined.push(piece.clone()),
        }
    }
    joined
}

/// *a m* and *p.m.* after a number.
fn meridiem(tokens: &[Token], at: usize) -> Option<Word> {
    let (letter, m) = (&tokens[at].raw, &tokens.get(at + 1)?.raw);
    let after_number = at.checked_sub(1).is_some_and(|before| {
        digits(&tokens[before]).is_some() || matches!(word(&tokens[before]), Some(Word::Small(..) | Word::Oclock))
    });
    match (letter.as_str(), m.as_str(), after_number) {
        ("a", "m", true) => Some(Word::Am),
        ("p", "m", true) => Some(Word::Pm),
        _ => None,
    }
}

/// The digits of a token, if it is nothing else.
pub(super) fn digits(token: &Token) -> Option<String> {
    let digits: Option<String> =
        token.raw.chars().map(|c| if c.is_ascii_digit() { Some(c) } else { devanagari_digit(c) }).collect();
    digits.filter(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// The sign between a token and the next.
fn gap<'a>(text: &'a str, tokens: &[Token], at: usize) -> Option<&'a str> {
    let next = tokens.get(at + 1)?;
    text.get(tokens[at].span.end..next.span.start)
}

fn joined(text: &str, tokens: &[Token], at: usize, signs: &[&str]) -> Option<String> {
    gap(text, tokens, at).filter(|gap| signs.contains(gap))?;
    digits(&tokens[at + 1])
}

fn number(digits: &str) -> Option<u32> {
    digits.parse().ok()
}

/// *15/01/2026*, *15-1-26*, *2026-01-15*, *15/1*.
fn date(text: &str, tokens: &[Token], at: usize) -> Option<(What, usize)> {
    let first = digits(&tokens[at])?;
    let signs = ["/", "-", "."];
    let second = joined(text, tokens, at, &signs)?;
    let sign = gap(text, tokens, at)?;
    let fits = |month: u32, day: u32| (1..=12).contains(&month) && (1..=31).contains(&day);
    if let Some(third) = joined(text, tokens, at + 1, &[sign]) {
        let (a, b, c) = (number(&first)?, number(&second)?, number(&third)?);
        if first.len() == 4 && fits(b, c) {
            return Some((What::Date(i32::try_from(a).ok(), b, c), at + 2));
        }
        let year = match third.len() {
            4 => i32::try_from(c).ok()?,
            2 => 2000 + i32::try_from(c).ok()?,
            _ => return None,
        };
        let longer = joined(text, tokens, at + 2, &signs).is_some();
        return (first.len() <= 2 && fits(b, a) && !longer).then_some((What::Date(Some(year), b, a), at + 2));
    }
    let (day, month) = (number(&first)?, number(&second)?);
    (sign == "/" && first.len() <= 2 && second.len() <= 2 && fits(month, day))
        .then_some((What::Date(None, month, day), at + 1))
}

/// *5:30*; *5.30* only before *baje*, *am* or *pm*.
fn clock(text: &str, tokens: &[Token], at: usize) -> Option<(What, usize)> {
    let hour = digits(&tokens[at]).filter(|digits| digits.len() <= 2).and_then(|digits| number(&digits))?;
    let next = tokens.get(at + 1)?;
    let minute: String = next.raw.chars().map(|c| devanagari_digit(c).unwrap_or(c)).collect();
    let bare = minute.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let minutes = number(bare).filter(|minutes| bare.len() == 2 && *minutes < 60)?;
    let told = || {
        !bare.eq(&minute)
            || matches!(tokens.get(at + 2).and_then(word), Some(Word::Oclock | Word::Am | Word::Pm))
            || tokens.get(at + 2).is_some_and(|token| matches!(token.raw.as_str(), "a" | "p"))
    };
    let fits = match gap(text, tokens, at)? {
        ":" => true,
        "." => told(),
        _ => false,
    };
    (fits && hour < 24 && bare == minute).then_some((What::Clock(hour, minutes), at + 1))
}

/// *1,50,000* and *2.5*.
fn grouped(text: &str, tokens: &[Token], at: usize) -> Option<(What, usize)> {
    let mut whole = digits(&tokens[at])?;
    let mut last = at;
    if whole.len() <= 3 {
        while let Some(group) = joined(text, tokens, last, &[","]).filter(|group| matches!(group.len(), 2 | 3)) {
            whole.push(',');
            whole.push_str(&group);
            last += 1;
        }
    }
    if let Some(decimals) = joined(text, tokens, last, &["."]).filter(|decimals| decimals.len() <= 3) {
        let value = format!("{}.{decimals}", whole.replace(',', "")).parse().ok()?;
        return Some((What::Digits(whole, value), last + 1));
    }
    let value = whole.replace(',', "").parse().ok()?;
    Some((What::Digits(whole, value), last))
}

/// *ikkisva*, *इक्कीसवां*: a number from four up with the ending of an ordinal.
fn nth(token: &Token) -> Option<u32> {
    const ENDINGS: [&str; 11] = ["वां", "वाँ", "वा", "वीं", "वी", "वें", "va", "vi", "wa", "wi", "ve"];
    let stem = ENDINGS.iter().find_map(|ending| token.raw.strip_suffix(ending)).filter(|stem| stem.len() >= 3)?;
    match word(&Token { raw: stem.to_owned(), sound: sound(stem), ..Token::default() })? {
        Word::Small(value, Tongue::Hindi) => Some(value.into()),
        Word::Times(100) => Some(100),
        _ => None,
    }
}

/// One token: a word, or digits with letters behind.
fn single(token: &Token, at: usize, pieces: &mut Vec<Lex>) {
    let mut push = |what| pieces.push(Lex { what, first: at, last: at });
    if let Some(word) = word(token) {
        return push(What::Word(word));
    }
    if let Some(nth) = nth(token) {
        return push(What::Nth(nth));
    }
    let raw: String = token.raw.chars().map(|c| devanagari_digit(c).unwrap_or(c)).collect();
    let digits: String = raw.chars().take_while(char::is_ascii_digit).collect();
    let suffix = &raw[digits.len()..];
    let Some(value) = digits.parse::<f64>().ok().filter(|_| !suffix.is_empty()) else { return push(What::Other) };
    match suffix {
        "k" => push(What::Short(value * 1_000.0)),
        "l" | "lac" | "lakh" => push(What::Short(value * 100_000.0)),
        "cr" => push(What::Short(value * 10_000_000.0)),
        "st" | "nd" | "rd" | "th" | "वां" | "वीं" | "वा" | "वी" | "वाँ" => {
            match digits.parse() {
                Ok(nth) => push(What::Nth(nth)),
                Err(_) => push(What::Other),
            }
        }
        "am" | "pm" | "rs" | "hrs" | "hr" | "min" | "mins" | "days" | "day" | "din" | "baje" => {
            push(What::Digits(digits, value));
            let token = Token { raw: suffix.to_owned(), ..Token::default() };
            push(word(&token).map_or(What::Other, What::Word));
        }
        _ => push(What::Other),
    }
}
