//! What a turn names: order numbers, telephone numbers, PIN codes, amounts, times, durations, ordinals, numbers, e-mail
//! addresses, names and the client's own products; written or spoken, in three scripts.
//!
//! Readers look at the turn in an order of certainty, and a word belongs to the first that takes it.

use std::sync::{Arc, LazyLock};

use chrono::NaiveDateTime;

use super::contact;
use super::day::length;
use super::email;
use super::fold::Token;
use super::lex::{Lex, What, pieces};
use super::named;
use super::own::Products;
use super::quantity::{Quantity, plain, quantity};
use super::vocabulary::{Tongue, Unit, Word};
use super::when::{self, Told};
use super::words::Words;
use crate::domain::Entity;

/// Entities told of one turn: nobody names more.
const FOUND_MAX: usize = 64;

/// A turn as the readers see it.
pub(super) struct Turn<'a> {
    pub(super) text: &'a str,
    pub(super) tokens: &'a [Token],
    pub(super) pieces: Vec<Lex>,
    /// Which tokens belong to an entity already.
    taken: Vec<bool>,
    pub(super) found: Vec<(usize, Entity)>,
    /// Small words of English stand in it: *do* is one of them.
    english: bool,
}

impl<'a> Turn<'a> {
    fn new(text: &'a str, tokens: &'a [Token]) -> Self {
        Self {
            text,
            tokens,
            pieces: pieces(text, tokens),
            taken: vec![false; tokens.len()],
            found: Vec::new(),
            english: is_english(tokens),
        }
    }

    /// The tokens before one, at most so many.
    pub(super) fn before(&self, token: usize, most: usize) -> &'a [Token] {
        &self.tokens[token.saturating_sub(most)..token]
    }

    pub(super) fn after(&self, token: usize, most: usize) -> &'a [Token] {
        &self.tokens[(token + 1).min(self.tokens.len())..self.tokens.len().min(token + 1 + most)]
    }

    pub(super) fn is_free(&self, first: usize, last: usize) -> bool {
        !self.taken[first..=last].iter().any(|&taken| taken)
    }

    /// Notes an entity over tokens, both included. `widened` moves its beginning back in the text, over a sign.
    pub(super) fn note(
        &mut self,
        kind: &'static str,
        (first, last): (usize, usize),
        widened: usize,
        value: String,
        confidence: f32,
    ) {
        let begin = self.tokens[first].span.start - widened;
        let text = Arc::from(&self.text[begin..self.tokens[last].span.end]);
        self.taken[first..=last].fill(true);
        if self.found.len() >= FOUND_MAX {
            return;
        }
        self.found.push((begin, Entity { kind, text, value: value.into(), confidence }));
    }

    /// Bytes of a sign that stands before a token, blanks left out.
    pub(super) fn sign_before(&self, token: usize, sign: &str) -> Option<usize> {
        let begin = self.tokens[token].span.start;
        let before = self.text[..begin].trim_end_matches(' ');
        before.ends_with(sign).then(|| begin - before.len() + sign.len())
    }

    fn word(&self, piece: usize) -> Option<Word> {
        self.pieces.get(piece).and_then(Lex::word)
    }
}

/// Everything a turn names, in the order of the text. `now` is the caller's local time; without it no time is told.
pub(super) fn find(
    text: &str,
    tokens: &[Token],
    now: Option<NaiveDateTime>,
    products: Option<&Products>,
) -> Vec<Entity> {
    let mut turn = Turn::new(text, tokens);
    email::emails(&mut turn);
    named::names(&mut turn);
    if let Some(products) = products {
        named::products(&mut turn, products);
    }
    if let Some(now) = now {
        times(&mut turn, now);
    }
    durations(&mut turn);
    numbers(&mut turn);
    turn.found.sort_by_key(|(begin, _)| *begin);
    turn.found.into_iter().map(|(_, entity)| entity).collect()
}

/// Dates and times. A day alone that is also a common word needs nothing more; a clock does.
fn times(turn: &mut Turn<'_>, now: NaiveDateTime) {
    let past = when::tense(turn.tokens.iter().map(|token| token.raw.as_str()));
    let mut at = 0;
    while at < turn.pieces.len() {
        let told = when::told(&turn.pieces, at, now, past);
        let Some(Told { readings, first, last, .. }) = told.filter(|told| told.sure) else {
            at += 1;
            continue;
        };
        let span = (turn.pieces[first].first, turn.pieces[last].last);
        at = last + 1;
        // "good morning" tells no time.
        let wish = first == last
            && turn
                .before(span.0, 1)
                .iter()
                .any(|token| matches!(token.raw.as_str(), "good" | "gud" | "happy" | "shubh" | "गुड" | "शुभ"));
        if wish || !turn.is_free(span.0, span.1) {
            continue;
        }
        let mut confidence = if readings.len() > 1 { 0.6 } else { 0.9 };
        for reading in readings {
            turn.note("datetime", span, 0, reading.value(), confidence);
            confidence -= 0.2;
        }
    }
}

/// `do ghante`, `1 hour 30 minutes`, `half an hour`.
fn durations(turn: &mut Turn<'_>) {
    let mut at = 0;
    while at < turn.pieces.len() {
        let Some((mut parts, mut end)) = piece_of_time(turn, at) else {
            at += 1;
            continue;
        };
        while let Some((more, after)) =
            piece_of_time(turn, if turn.word(end) == Some(Word::And) { end + 1 } else { end })
        {
            parts.extend(more);
            end = after;
        }
        let span = (turn.pieces[at].first, turn.pieces[end - 1].last);
        if turn.is_free(span.0, span.1)
            && let Some(value) = iso_duration(&parts)
        {
            turn.note("duration", span, 0, value, 0.9);
        }
        at = end;
    }
}

fn piece_of_time(turn: &Turn<'_>, at: usize) -> Option<(Vec<(f64, Unit)>, usize)> {
    let (count, unit, end) = length(&turn.pieces, at)?;
    // "wait a second" asks for patience, not for a length of time.
    let moment = unit == Unit::Second && turn.word(at) == Some(Word::Article);
    (!moment).then(|| (vec![(count, unit)], end))
}

/// ISO 8601; fractions go to the next smaller unit.
fn iso_duration(parts: &[(f64, Unit)]) -> Option<String> {
    let (mut months, mut days, mut seconds, mut weeks) = (0.0, 0.0, 0.0, 0.0);
    for &(count, unit) in parts {
        match unit {
            Unit::Second => seconds += count,
            Unit::Minute => seconds += count * 60.0,
            Unit::Hour => seconds += count * 3_600.0,
            Unit::Day => days += count,
            Unit::Week => weeks += count,
            Unit::Month => months += count,
            Unit::Year => months += count * 12.0,
        }
    }
    if weeks > 0.0 && weeks.fract() == 0.0 && days + months + seconds == 0.0 {
        return Some(format!("P{}W", plain(weeks)));
    }
    days += weeks * 7.0 + months.fract() * 30.0;
    months = months.trunc();
    seconds += days.fract() * 86_400.0;
    days = days.trunc();
    let mut text = String::from("P");
    let push = |text: &mut String, count: f64, letter: char| {
        if count > 0.0 {
            text.push_str(&plain(count));
            text.push(letter);
        }
    };
    push(&mut text, (months / 12.0).trunc(), 'Y');
    push(&mut text, months % 12.0, 'M');
    push(&mut text, days, 'D');
    if seconds > 0.0 {
        text.push('T');
        push(&mut text, (seconds / 3_600.0).trunc(), 'H');
        push(&mut text, (seconds % 3_600.0 / 60.0).trunc(), 'M');
        push(&mut text, seconds % 60.0, 'S');
    }
    (text.len() > 1).then_some(text)
}

/// Everything that is a number and no time: each is what its neighbours make of it.
fn numbers(turn: &mut Turn<'_>) {
    let mut at = 0;
    while at < turn.pieces.len() {
        let piece = &turn.pieces[at];
        let (first, free) = (piece.first, turn.is_free(piece.first, piece.last));
        let nth = match piece.what {
            What::Nth(nth) => Some(nth),
            What::Word(Word::Ordinal(nth)) => Some(u32::from(nth)),
            What::Word(Word::Unit(Unit::Second)) if turn.tokens[first].raw == "second" => Some(2),
            _ => None,
        };
        // "first of all" and "wait a second" count nothing.
        let counts = |turn: &Turn<'_>| {
            let next = turn.after(first, 2).iter().map(|token| token.raw.as_str()).collect::<Vec<_>>();
            let before = at.checked_sub(1).and_then(|before| turn.word(before));
            next != ["of", "all"] && before != Some(Word::Article)
        };
        if let Some(nth) = nth.filter(|_| free && counts(turn)) {
            // "paanch sekand" was taken; "second" by itself is an ordinal.
            let last = turn.pieces[at].last;
            turn.note("ordinal", (first, last), 0, nth.to_string(), 0.85);
        }
        if free && let Some(next) = contact::lettered(turn, at) {
            at = next;
            continue;
        }
        let Some(number) = quantity(&turn.pieces, at).filter(|_| free) else {
            at = contact::coded(turn, at).unwrap_or(at + 1);
            continue;
        };
        let last = turn.pieces[number.end - 1].last;
        if turn.is_free(first, last) {
            one_number(turn, at, &number, (first, last));
        }
        at = number.end;
    }
}

fn one_number(turn: &mut Turn<'_>, at: usize, number: &Quantity, span: (usize, usize)) {
    if contact::coded(turn, at).is_some() || money(turn, at, number, span) || contact::digits(turn, number, span) {
        return;
    }
    // "do teen din": about so many.
    let about = matches!(
        (turn.word(at), turn.word(at + 1)),
        (Some(Word::Small(one, _)), Some(Word::Small(other, _))) if other == one + 1
    );
    if !about && is_count(turn, at, number, span) {
        let confidence = if number.spoken && number.value < 100.0 { 0.7 } else { 0.8 };
        turn.note("number", span, 0, plain(number.value), confidence);
    }
}

/// `500 rupaye`, `rs 500`, `₹2,500`, `5k`, `dhai hazaar`.
fn money(turn: &mut Turn<'_>, at: usize, number: &Quantity, (first, last): (usize, usize)) -> bool {
    let named = |piece: Option<Word>| match piece {
        Some(Word::Rupee) => Some(1.0),
        Some(Word::Paisa) => Some(0.01),
        _ => None,
    };
    let next = turn.word(number.end);
    let sign = turn.sign_before(first, "₹");
    let word_before =
        turn.before(first, 1).first().is_some_and(|token| matches!(super::vocabulary::word(token), Some(Word::Rupee)));
    // "three fifty rupees": three hundred and fifty.
    if let (Some(Word::Small(hundreds @ 1..=9, _)), Some(tens)) = (turn.word(at), quantity(&turn.pieces, number.end))
        && number.end == at + 1
        && (10.0..100.0).contains(&tens.value)
        && turn.word(tens.end) == Some(Word::Rupee)
    {
        let last = turn.pieces[tens.end].last;
        turn.note("amount", (first, last), 0, plain(f64::from(hundreds) * 100.0 + tens.value), 0.9);
        return true;
    }
    let slashed = turn.text[turn.tokens[last].span.end..].starts_with("/-");
    if let Some(rate) = named(next).filter(|rate| *rate == 1.0 || number.value < 100.0) {
        let (mut value, mut last) = (number.value * rate, turn.pieces[number.end].last);
        // "das rupaye pachas paise".
        let paise = quantity(&turn.pieces, number.end + 1).filter(|paise| turn.word(paise.end) == Some(Word::Paisa));
        if let Some(paise) = paise.filter(|paise| rate == 1.0 && paise.value < 100.0) {
            (value, last) = (value + paise.value * 0.01, turn.pieces[paise.end].last);
        }
        turn.note("amount", (first, last), 0, plain(value), 0.95);
    } else if slashed {
        turn.note("amount", (first, last), 0, plain(number.value), 0.95);
    } else if let Some(bytes) = sign {
        turn.note("amount", (first, last), bytes, plain(number.value), 0.95);
    } else if word_before {
        turn.note("amount", (first - 1, last), 0, plain(number.value), 0.95);
    } else if number.scaled
        && number.value >= 500.0
        && turn.word(at).is_none_or(|word| !matches!(word, Word::Times(_)))
        && number.digits.is_none()
        && !announced(turn, first)
        && !turn
            .after(last, 1)
            .iter()
            .any(|token| matches!(token.raw.as_str(), "log" | "logo" | "people" | "लोग" | "लोगों"))
    {
        turn.note("amount", (first, last), 0, plain(number.value), 0.6);
        // It may as well count things.
        turn.note("number", (first, last), 0, plain(number.value), 0.5);
    } else {
        return false;
    }
    true
}

fn announced(turn: &Turn<'_>, first: usize) -> bool {
    turn.before(first, 3).iter().any(contact::announces)
}

/// Whether *do* is English here.
fn is_english(tokens: &[Token]) -> bool {
    static WORDS: LazyLock<Words> = LazyLock::new(|| {
        Words::exact("i you the is how what a an my your we they it of does can should where when why")
    });
    WORDS.any(tokens)
}

/// Whether a small number counts something here, or is only a word that sounds like one: `kar do`, `ek baar`, `this one`.
fn is_count(turn: &Turn<'_>, at: usize, number: &Quantity, (first, last): (usize, usize)) -> bool {
    static STEMS: LazyLock<Words> = LazyLock::new(|| {
        Words::exact(
            "kar kr de bata batha bhej kara karwa karva laga lga hata le rakh ruk kah keh bana chhod chod jod \
        mila dila dikha likh dekh bol sun suna band chalu rok badal कर दे बता भेज करा करवा लगा हटा बदल मिला \
        छोड़",
        )
    });
    static NOT_AFTER: LazyLock<Words> =
        LazyLock::new(|| Words::exact("you i we they not it this that na baar bar minute dam aur bhi hi बार मिनट"));
    if !number.spoken || turn.tokens.len() == last - first + 1 {
        return true;
    }
    let Some(Word::Small(value, tongue)) = turn.word(at).filter(|_| number.end == at + 1) else { return true };
    let before = turn.before(first, 1).first().map(|token| token.raw.as_str());
    let after = turn.after(last, 1).first().map(|token| token.raw.as_str());
    let denied = after.is_some_and(|word| NOT_AFTER.has_word(word));
    // "jaane do bhai": let it be.
    let lets = before.is_some_and(|word| STEMS.has_word(word) || word.ends_with("ne") || word.ends_with("ने"));
    match (value, tongue) {
        (2, Tongue::Hindi) => !turn.english && !denied && after.is_some() && !lets,
        (1, Tongue::Hindi) => false,
        (1, Tongue::English) => before.is_some_and(|word| matches!(word, "only" | "just" | "number" | "option")),
        // "mere saath": with me.
        (60, Tongue::Hindi) if matches!(turn.tokens[first].raw.as_str(), "saath" | "sath") => {
            after.is_some_and(|word| matches!(word, "log" | "rupaye" | "percent" | "kilo" | "saal" | "hazaar" | "lakh"))
        }
        _ => true,
    }
}
