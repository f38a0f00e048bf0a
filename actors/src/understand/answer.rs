//! Whether a turn is a clear yes, or a no, to a question. Stricter than the intent: on a yes something is done that may not
//! be undone, so whatever is not clear is neither, and the caller is asked again. In a yes stands nothing but what is known to
//! confirm: words of agreement, politeness, *do it*, and what was asked for, said again (a time and a number by their value).
//! Any other word may be the beginning of another wish ("haan, ek minute", "please change the time"). And even of such words
//! some do not agree: [`doubtful`] says which.

use chrono::NaiveDateTime;

use super::asked::{Asked, Deed, day_of, old_of};
use super::assent::{self, phrase};
use super::doubtful;
use super::fold::Token;
use super::lex;
use super::moments::moments;
use super::telling::runs;
use super::vocabulary::{Word, word};
use crate::domain::{Entity, IntentKind, Yes};

/// A yes of more words says something else as well.
const YES_WORDS_MAX: usize = 10;
/// A no stands at the beginning, or among so few words.
const NO_WORDS_MAX: usize = 4;
/// So often in a row it is laughter.
const LAUGHS_MIN: usize = 3;

/// What is named by digits.
const NUMBERS: [&str; 5] = ["order_id", "number", "amount", "phone", "pincode"];
/// What is named by words that are looked at one by one, or read as times.
const WORDS: [&str; 3] = ["datetime", "name", "product"];

/// What a turn may be an answer to.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    /// What the agent said last.
    pub(super) asked: &'a str,
    /// Names of what waits for a yes.
    pub(super) waiting: &'a str,
    /// The caller's local time.
    pub(super) now: Option<NaiveDateTime>,
    /// What the turn names.
    pub(super) named: &'a [Entity],
}

/// What a word of a yes does in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    Agrees,
    Weak,
    Does,
    Filler,
    Links,
    Wishes,
    /// The deed that was asked about, said again.
    Deed,
    /// A number of what was asked.
    Number,
    /// A day or a time of what was asked.
    Time,
    /// Another word of what was asked.
    Thing,
}

impl Part {
    pub(super) fn repeats(self) -> bool {
        matches!(self, Self::Deed | Self::Number | Self::Time | Self::Thing)
    }
}

/// What a turn is as an answer to what the agent asked, given what it was taken to want.
pub(super) fn answer(text: &str, tokens: &[Token], intent: IntentKind, question: Question<'_>) -> Yes {
    let (left, eased) = without_reassurance(tokens, question.asked);
    let tokens = &left[..];
    let Some(first) = tokens.first() else { return if eased { at_ease(text, &question) } else { Yes::Neither } };
    let tagged = tokens.len() > 1 && tokens.last().is_some_and(|last| assent::TAG.has(last));
    let body = if tagged { &tokens[..tokens.len() - 1] } else { tokens };
    let refused =
        (0..body.len()).any(|at| is_no(body, at)) || (tagged && body.iter().all(|token| assent::JI.has(token)));
    let plainly_done = !refused && tokens.len() <= NO_WORDS_MAX && all_do(body) && !doubtful::mends(body);
    let denied = intent == IntentKind::Deny && !eased;
    if !plainly_done && (denied || assent::NO.has(first) || (refused && tokens.len() <= NO_WORDS_MAX)) {
        return Yes::Refused;
    }
    if doubtful::leaves(tokens) {
        return Yes::Refused;
    }
    let clear = !refused && tokens.len() <= YES_WORDS_MAX && !laughs(tokens) && !asks_back(text);
    if !clear && !assent::KEPT.any(tokens) {
        return Yes::Neither;
    }
    let asked = Asked::new(question.asked, question.waiting, question.now);
    if doubtful::keeps(tokens, &asked) {
        return Yes::Refused;
    }
    let tag_asks = tagged && body.last().is_some_and(|last| !assent::DO.has(last));
    if !clear || tag_asks {
        return Yes::Neither;
    }
    let said = Said { text, tokens: body, asked: &asked, entities: question.named, eased };
    match (said.agrees(question.now), to_all(tokens)) {
        (Yes::Said, true) => Yes::ToAll,
        (agreed, _) => agreed,
    }
}

/// "No problem" by itself. To a return it may be said of what is to go back.
fn at_ease(text: &str, question: &Question<'_>) -> Yes {
    let asked = Asked::new(question.asked, question.waiting, question.now);
    if asks_back(text) || asked.deeds.contains(&Deed::Return) { Yes::Neither } else { Yes::Said }
}

/// "Ho gaya na": behind what is so, it only asks for a nod.
fn is_no(tokens: &[Token], at: usize) -> bool {
    let so = |token: &Token| {
        let future =
            ["ga", "gi", "ge", "गा", "गी", "गे"].iter().any(|end| token.raw.len() > 3 && token.raw.ends_with(end));
        future || assent::IS.has(token) || matches!(token.raw.as_str(), "gaya" | "gayi" | "गया" | "गई" | "गयी")
    };
    let nods = assent::TAG.has(&tokens[at]) && at > 0 && so(&tokens[at - 1]);
    assent::NO.has(&tokens[at]) && !nods
}

/// The words but those that say that nothing is in the way, and whether there were such: "koi dikkat nahi, kar do" has no *no*.
fn without_reassurance(tokens: &[Token], asked: &str) -> (Vec<Token>, bool) {
    let (mut left, mut eased, mut at) = (Vec::with_capacity(tokens.len()), false, 0);
    let asked_about = |words: &[&str]| {
        let asked = super::fold::tokens(asked);
        words.iter().filter(|word| word.len() > 4).any(|word| asked.iter().any(|token| token.raw == **word))
    };
    let tokens: Vec<Token> = tokens.iter().map(unstretched).collect();
    while at < tokens.len() {
        let ease = phrase(&tokens[at..], &assent::EASED).filter(|words| !asked_about(words));
        let Some(words) = ease.or_else(|| phrase(&tokens[at..], &assent::NEVER_MIND)) else {
            left.push(tokens[at].clone());
            at += 1;
            continue;
        };
        eased |= ease.is_some();
        at += words.len();
        // "koi dikkat nahi hai".
        at += usize::from(eased && tokens.get(at).is_some_and(|next| assent::IS.has(next)));
    }
    (left, eased)
}

/// "Haaan" is "haan".
fn unstretched(token: &Token) -> Token {
    let mut raw = String::with_capacity(token.raw.len());
    for c in token.raw.chars() {
        let twice = raw.chars().rev().take_while(|before| *before == c).count() > 1;
        if !twice || c.is_ascii_digit() {
            raw.push(c);
        }
    }
    Token { raw, ..token.clone() }
}

/// A question is no answer.
fn asks_back(text: &str) -> bool {
    text.trim_end().ends_with('?')
}

fn all_do(tokens: &[Token]) -> bool {
    let any =
        |token: &Token| [&assent::DO, &assent::YES, &assent::WEAK, &assent::ALL].iter().any(|words| words.has(token));
    let objects = |at: usize| {
        let object = at > 0 && assent::DO.has(&tokens[at - 1]) && matches!(tokens[at].raw.as_str(), "it" | "that");
        object || matches!(tokens[at].raw.as_str(), "aap" | "आप" | "hi" | "ही")
    };
    let one = |(at, token): (usize, &Token)| any(token) || assent::FILLER.has(token) || objects(at);
    let counts = |(at, token): (usize, &Token)| any(token) && (at == 0 || !assent::JI.has(token));
    tokens.iter().enumerate().any(counts) && tokens.iter().enumerate().all(one)
}

fn laughs(tokens: &[Token]) -> bool {
    tokens.iter().filter(|token| matches!(token.raw.as_str(), "ha" | "हा")).count() >= LAUGHS_MIN
}

fn to_all(tokens: &[Token]) -> bool {
    let well = |at: usize| tokens.get(at + 1).is_some_and(|next| assent::WELL.has(next));
    tokens.iter().enumerate().any(|(at, token)| assent::ALL.has(token) && !well(at))
}

/// A turn that may be a yes.
struct Said<'a> {
    text: &'a str,
    tokens: &'a [Token],
    asked: &'a Asked,
    entities: &'a [Entity],
    /// It says besides that nothing is in the way.
    eased: bool,
}

impl Said<'_> {
    /// Whether it agrees, or only orders what was asked.
    fn agrees(&self, now: Option<NaiveDateTime>) -> Yes {
        let Some(parts) = self.parts(now) else { return Yes::Neither };
        if doubtful::doubtful(self.tokens, &parts, self.asked) {
            return Yes::Neither;
        }
        let ordered = self.orders(&parts);
        match self.eased || all_do(self.tokens) || self.has_agreement(&parts, ordered) {
            true => Yes::Said,
            false if ordered => Yes::Ordered,
            false => Yes::Neither,
        }
    }

    /// A word of agreement where it agrees.
    fn has_agreement(&self, parts: &[Part], ordered: bool) -> bool {
        let repeats_after = |at: usize| parts[at..].iter().any(|part| part.repeats());
        let opens = |at: usize| {
            let opening = |(token, part): (&Token, &Part)| {
                assent::OPENING.has(token) || matches!(part, Part::Agrees | Part::Weak) || part.repeats()
            };
            self.tokens[..at].iter().zip(parts).all(opening)
        };
        parts.iter().enumerate().any(|(at, part)| match part {
            _ if !opens(at) => false,
            // Behind other words it is mere politeness.
            Part::Agrees => at == 0 || !assent::JI.has(&self.tokens[at]),
            // "please" is none beside what is asked for, wherever it stands.
            Part::Weak if assent::POLITE.has(&self.tokens[at]) => !repeats_after(0),
            Part::Weak => ordered || !repeats_after(at),
            _ => false,
        })
    }

    /// "Cancel kar dijiye", "please book it": what was asked and nothing else, as an order. Not of a change: "change it" may
    /// mean what was read back.
    fn orders(&self, parts: &[Part]) -> bool {
        let raw = |at: usize| self.tokens.get(at).map_or("", |token| token.raw.as_str());
        let orders = |at: usize| {
            let deed = super::asked::deed(&self.tokens[at]);
            let done = parts.contains(&Part::Does);
            let english = matches!(raw(at + 1), "it" | "that" | "this" | "the");
            let asked = parts.iter().zip(self.tokens).any(|(_, token)| assent::POLITE.has(token));
            matches!(deed, Some(Deed::Cancel | Deed::Return | Deed::Delete | Deed::Refund | Deed::Book))
                && (done || english || asked)
        };
        let wishes = parts.contains(&Part::Wishes) || assent::WANTED.any(self.tokens);
        !wishes && parts.iter().enumerate().any(|(at, part)| *part == Part::Deed && orders(at))
    }

    /// What each word does; none if one of them is no word of a yes.
    fn parts(&self, now: Option<NaiveDateTime>) -> Option<Vec<Part>> {
        let phrases = self.phrases();
        let named = self.named(&phrases, now)?;
        let mut parts: Vec<Part> = Vec::with_capacity(self.tokens.len());
        while parts.len() < self.tokens.len() {
            let at = parts.len();
            let part = phrases[at].or(named[at]);
            parts.push(part.map_or_else(|| self.part(at, &parts), Some)?);
        }
        Some(parts)
    }

    /// What several words mean together.
    fn phrases(&self) -> Vec<Option<Part>> {
        let visit: &[&[&str]] = if self.asked.is_visit() { &assent::COMES } else { &[] };
        let mut parts = vec![None; self.tokens.len()];
        let mut at = 0;
        while at < parts.len() {
            let rest = &self.tokens[at..];
            let lists =
                [(&assent::IDIOMS[..], Part::Agrees), (&assent::ASIDES[..], Part::Filler), (visit, Part::Filler)];
            let found = lists.into_iter().find_map(|(phrases, part)| Some((phrase(rest, phrases)?.len(), part)));
            let (words, part) = found.map_or((1, None), |(words, part)| (words, Some(part)));
            parts[at..at + words].fill(part);
            at += words;
        }
        parts
    }

    fn part(&self, at: usize, before: &[Part]) -> Option<Part> {
        let token = &self.tokens[at];
        let (last, next) = (before.last(), self.tokens.get(at + 1));
        // Further on it is *or*.
        if assent::DOUBT.has(token) || (at > 0 && token.raw == "ya") {
            return None;
        }
        let after_which =
            at > 0 && (assent::WHICH.has(&self.tokens[at - 1]) || last.is_some_and(|part| part.repeats()));
        let deed_follows = next.is_some_and(|next| self.asked.has_deed(next) || next.raw == "do");
        let goes_on = last.is_some_and(|part| part.repeats() || *part == Part::Does) && next.is_some();
        let hesitates = at == 0 || assent::HESITANT.has(&self.tokens[at - 1]);
        let leads = hesitates || next.is_some_and(|next| assent::YES.has(next));
        let special = [
            (&assent::ONE, after_which, Part::Links),
            (&assent::WITHIN, last == Some(&Part::Time), Part::Links),
            (&assent::ONLY, deed_follows, Part::Filler),
            (&assent::AND, goes_on, Part::Links),
            (&assent::HESITANT, leads && next.is_some(), Part::Filler),
        ];
        if let Some((_, fits, part)) = special.into_iter().find(|(words, ..)| words.has(token)) {
            return fits.then_some(part);
        }
        let listed = [
            (&assent::YES, Part::Agrees),
            (&assent::WEAK, Part::Weak),
            (&assent::DO, Part::Does),
            (&assent::ALL, Part::Filler),
            (&assent::FILLER, Part::Filler),
            (&assent::BEING, Part::Filler),
            (&assent::LINK, Part::Links),
            (&assent::WANTED, Part::Links),
            (&assent::WISHING, Part::Wishes),
        ];
        if self.asked.has_deed(token) || (assent::BEGINS.has(token) && self.asked.has(token)) {
            // "My refund", "the cancellation": a thing.
            let noun = at > 0 && assent::BEFORE_NOUN.has(&self.tokens[at - 1]);
            return Some(if noun { Part::Thing } else { Part::Deed });
        }
        let listed = listed.into_iter().find_map(|(words, part)| words.has(token).then_some(part));
        // "haan samay hai" has the time; "haan samay sahi hai" agrees to it.
        let judged = || self.tokens[at + 1..].iter().any(|next| assent::WELL.has(next) || next.raw == "suits");
        let timed = || self.asked.has_time(token) && judged();
        listed.or_else(|| (self.asked.has(token) || timed()).then_some(Part::Thing))
    }

    /// What is named by its value, where every such thing was asked; none if one was not.
    fn named(&self, phrases: &[Option<Part>], now: Option<NaiveDateTime>) -> Option<Vec<Option<Part>>> {
        let mut parts = vec![None; self.tokens.len()];
        let now = day_of(now);
        let told = moments(self.text, self.tokens, now);
        let old = old_of(self.tokens, &told).filter(|old| self.asked.gives_up(&self.tokens[old.clone()]));
        if let Some(old) = &old {
            parts[old.clone()].fill(Some(Part::Links));
        }
        for moment in &told {
            if old.as_ref().is_some_and(|old| old.contains(&moment.tokens.start)) {
                continue;
            }
            if !moment.is_among(&self.asked.moments) {
                return None;
            }
            parts[moment.tokens.clone()].fill(Some(Part::Time));
        }
        let mut found: Vec<&Entity> = self.entities.iter().collect();
        // "A hundred percent", "do both".
        let in_time = |at: usize| told.iter().any(|moment| moment.tokens.contains(&at));
        let words = |at: usize| phrases[at].is_some() || in_time(at) || is_english_do(self.tokens, at);
        let plain = |entity: &&Entity| {
            let of = |(_, token): &(usize, &Token)| entity.text.contains(&self.text[token.span.clone()]);
            self.tokens.iter().enumerate().filter(of).all(|(at, _)| words(at))
        };
        found.retain(|entity| !plain(entity));
        let numbers: Vec<&Entity> = found.iter().copied().filter(|entity| NUMBERS.contains(&entity.kind)).collect();
        let values = found.iter().filter(|entity| !NUMBERS.contains(&entity.kind) && !WORDS.contains(&entity.kind));
        let known = values.into_iter().all(|entity| self.asked.has_value(entity.kind, &entity.value));
        (known && numbers.iter().all(|number| self.has_number(number))).then_some(())?;
        for (token, part) in self.tokens.iter().zip(&mut parts).filter(|(_, part)| part.is_none()) {
            let here = |entity: &&Entity| entity.text.contains(&self.text[token.span.clone()]);
            match lex::digits(token) {
                Some(digits) if !self.asked.has_number(&digits) && !numbers.iter().any(here) => return None,
                Some(_) => *part = Some(Part::Number),
                None if is_number(token) && numbers.iter().any(here) => *part = Some(Part::Number),
                None => {}
            }
        }
        Some(parts)
    }

    fn has_number(&self, entity: &Entity) -> bool {
        let numbers = runs(&entity.value);
        !numbers.is_empty() && numbers.iter().all(|number| self.asked.has_number(number))
    }
}

/// "Do it", "do both".
pub(super) fn is_english_do(tokens: &[Token], at: usize) -> bool {
    let next = tokens.get(at + 1).map_or("", |next| next.raw.as_str());
    tokens[at].raw == "do" && matches!(next, "it" | "that" | "so" | "this" | "the" | "both" | "all")
}

fn is_number(token: &Token) -> bool {
    matches!(word(token), Some(Word::Small(..) | Word::Times(_) | Word::Repeat(_)))
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
