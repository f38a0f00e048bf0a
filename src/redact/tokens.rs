//! A text as the words and digits it is made of, and the runs of digits that belong together.

use super::words::{Said, folded, said};

/// A word, or digits written as such. Letters and digits are never in one token.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) kind: Kind,
    /// A letter stands right before or after these digits, as in an id.
    pub(super) glued: bool,
}

#[derive(PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Typed digits, also Devanagari ones.
    Digits(Vec<u8>),
    /// The word as [`folded`], and what it means.
    Word(String, Option<Said>),
}

impl Token {
    pub(super) fn said(&self) -> Option<Said> {
        match &self.kind {
            Kind::Word(_, said) => *said,
            Kind::Digits(_) => None,
        }
    }

    pub(super) fn word(&self) -> &str {
        match &self.kind {
            Kind::Word(word, _) => word,
            Kind::Digits(_) => "",
        }
    }

    fn is_number(&self) -> bool {
        match self.kind {
            Kind::Digits(_) => !self.glued,
            Kind::Word(_, said) => {
                matches!(said, Some(Said::Digit(_) | Said::Pair(_) | Said::Tens(_) | Said::Repeat(_) | Said::Scale))
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Digit,
    Other,
}

fn class(c: char) -> Class {
    if digit(c).is_some() {
        Class::Digit
    } else if c.is_alphanumeric() || ('\u{0900}'..='\u{0963}').contains(&c) || matches!(c, '\u{200c}' | '\u{200d}') {
        Class::Letter
    } else {
        Class::Other
    }
}

/// The value of a digit, in whatever script it is written.
fn digit(c: char) -> Option<u8> {
    match c {
        '0'..='9' => Some(c as u8 - b'0'),
        c if c.is_ascii() => None,
        c => caly_actors::understand::fold::digit(c).map(|digit| digit as u8 - b'0'),
    }
}

pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut found: Vec<Token> = Vec::new();
    let (mut start, mut last) = (0, Class::Other);
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        let now = class(c);
        if now == last && now != Class::Other {
            continue;
        }
        if last != Class::Other {
            found.push(token(&text[start..at], start, last));
        }
        (start, last) = (at, now);
    }
    glue(text.as_bytes(), &mut found);
    found
}

fn token(text: &str, start: usize, class: Class) -> Token {
    let kind = if class == Class::Digit {
        Kind::Digits(text.chars().filter_map(digit).collect())
    } else {
        let word = folded(text);
        let meaning = said(&word);
        Kind::Word(word, meaning)
    };
    Token { start, end: start + text.len(), kind, glued: false }
}

/// Marks digits that are part of an id or a fraction; a group of a UUID without letters of its own with the others.
fn glue(text: &[u8], tokens: &mut [Token]) {
    let byte = |at: Option<usize>| at.and_then(|at| text.get(at)).copied().unwrap_or(b' ');
    let digits = |token: &Token| matches!(token.kind, Kind::Digits(_));
    for token in tokens.iter_mut().filter(|token| digits(token)) {
        let (before, after) = (token.start.checked_sub(1), Some(token.end));
        let fraction = (byte(before) == b'.' && byte(token.start.checked_sub(2)).is_ascii_digit())
            || (byte(after) == b'.' && byte(Some(token.end + 1)).is_ascii_digit());
        token.glued = fraction || byte(before).is_ascii_alphabetic() || byte(after).is_ascii_alphabetic();
    }
    let mut first = 0;
    for end in 1..=tokens.len() {
        let goes_on = tokens.get(end).is_some_and(|next| {
            let gap = &text[tokens[end - 1].end..next.start];
            gap.is_empty() || gap == b"-"
        });
        if !goes_on {
            if tokens[first..end].iter().any(|token| token.glued) {
                tokens[first..end].iter_mut().filter(|token| digits(token)).for_each(|token| token.glued = true);
            }
            first = end;
        }
    }
}

/// Digits that were said or written one after the other.
#[derive(Debug)]
pub(super) struct Run {
    /// Tokens, first and one past the last.
    pub(super) first: usize,
    pub(super) end: usize,
    /// Each digit with the tokens it comes from: first and one past the last.
    pub(super) digits: Vec<(u8, usize, usize)>,
    /// *hundred* or *thousand* stands in it: the digits are not all of it.
    pub(super) scaled: bool,
}

impl Run {
    pub(super) fn values(&self, from: usize, to: usize) -> Vec<u8> {
        self.digits[from..to].iter().map(|(digit, _, _)| *digit).collect()
    }
}

/// `loose`: a comma without a space joins as well, as nothing machine-made stands in this text.
pub(super) fn runs(text: &str, tokens: &[Token], loose: bool) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if !tokens[at].is_number() {
            at += 1;
            continue;
        }
        let end = run_end(text, tokens, at, loose);
        runs.push(read(tokens, at, end));
        at = end;
    }
    runs
}

fn run_end(text: &str, tokens: &[Token], first: usize, loose: bool) -> usize {
    let mut last = first;
    while let Some(next) = tokens.get(last + 1) {
        let joined = joins(&text[tokens[last].end..next.start], loose);
        if joined && next.is_number() {
            last += 1;
            continue;
        }
        // One word without a meaning may stand between digits: "four one and one one".
        let Some(after) = tokens.get(last + 2) else { break };
        let filler = joined && next.said() == Some(Said::Filler);
        if !(filler && after.is_number() && joins(&text[next.end..after.start], loose)) {
            break;
        }
        last += 2;
    }
    last + 1
}

/// Whether digits on both sides of such a gap may be one number. A point or a colon between digits parts them.
fn joins(gap: &str, loose: bool) -> bool {
    let spaced = gap.contains(' ');
    let comma = spaced || loose;
    !gap.is_empty()
        && gap.chars().count() <= 4
        && gap
            .chars()
            .all(|c| matches!(c, ' ' | '-' | '\u{2013}' | '\u{2026}') || (c == '.' && spaced) || (c == ',' && comma))
}

fn read(tokens: &[Token], first: usize, end: usize) -> Run {
    let mut run = Run { first, end, digits: Vec::new(), scaled: false };
    let mut at = first;
    while at < end {
        let next = tokens.get(at + 1).filter(|_| at + 1 < end).and_then(Token::said);
        match (&tokens[at].kind, next) {
            (Kind::Digits(digits), _) => {
                run.digits.extend(digits.iter().map(|digit| (*digit, at, at + 1)));
            }
            (Kind::Word(_, Some(Said::Digit(digit))), _) => run.digits.push((*digit, at, at + 1)),
            (Kind::Word(_, Some(Said::Tens(tens))), Some(Said::Digit(ones @ 1..=9))) => {
                run.digits.extend([(tens / 10, at, at + 2), (ones, at, at + 2)]);
                at += 1;
            }
            (Kind::Word(_, Some(Said::Pair(value) | Said::Tens(value))), _) => {
                run.digits.extend([(value / 10, at, at + 1), (value % 10, at, at + 1)]);
            }
            (Kind::Word(_, Some(Said::Repeat(times))), _) => {
                if let Some(digit) = tokens.get(at + 1).filter(|_| at + 1 < end).and_then(single) {
                    run.digits.extend(std::iter::repeat_n((digit, at, at + 2), *times));
                    at += 1;
                }
            }
            (Kind::Word(_, Some(Said::Scale)), _) => run.scaled = true,
            (Kind::Word(..), _) => {}
        }
        at += 1;
    }
    run
}

fn single(token: &Token) -> Option<u8> {
    match &token.kind {
        Kind::Digits(digits) if digits.len() == 1 => Some(digits[0]),
        Kind::Word(_, Some(Said::Digit(digit))) => Some(*digit),
        _ => None,
    }
}
