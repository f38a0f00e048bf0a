//! E-mail addresses, written and as they are spoken.

use std::sync::LazyLock;

use super::entity::Turn;
use super::fold::{Token, romanise};
use super::lex::digits as digits_of;
use super::vocabulary::{Tongue, Word, word};
use super::words::Words;

/// Written addresses, and spoken ones: `ravi dot kumar at the rate gmail dot com`.
pub(super) fn emails(turn: &mut Turn<'_>) {
    let mut at = 0;
    while at < turn.tokens.len() {
        match email(turn, at) {
            Some((first, last, value)) => {
                turn.note("email", (first, last), 0, value, 0.95);
                at = last + 1;
            }
            None => at += 1,
        }
    }
}

/// Hosts as they are heard, and as they are written.
const HEARD: [(&str, &str); 6] = [
    ("जीमेल", "gmail"),
    ("याहू", "yahoo"),
    ("हॉटमेल", "hotmail"),
    ("आउटलुक", "outlook"),
    ("रेडिफमेल", "rediffmail"),
    ("रेडिफ", "rediff"),
];
static HOSTS: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "gmail yahoo hotmail outlook rediffmail rediff icloud live ymail protonmail proton जीमेल याहू हॉटमेल आउटलुक रेडिफमेल रेडिफ",
    )
});

/// The address whose `@` is at a token or before it: its first and last token and its text.
fn email(turn: &Turn<'_>, at: usize) -> Option<(usize, usize, String)> {
    let raw = |at: usize| turn.tokens.get(at).map(|token| token.raw.as_str());
    let gap = |at: usize| turn.tokens.get(at + 1).map(|next| &turn.text[turn.tokens[at].span.end..next.span.start]);
    let (user_end, host) = if gap(at) == Some("@") {
        (at, at + 1)
    } else {
        let rest = match (raw(at)?, raw(at + 1), raw(at + 2)) {
            ("at" | "एट" | "ऐट", Some("the" | "द" | "दी"), Some("rate" | "रेट")) => at + 3,
            ("at" | "एट" | "ऐट", Some("rate" | "रेट"), _) => at + 2,
            ("at" | "एट" | "ऐट", Some(host), _) if HOSTS.has_word(host) => at + 1,
            ("attherate" | "atrate", ..) => at + 1,
            _ => return None,
        };
        (at.checked_sub(1)?, if matches!(raw(rest), Some("of")) { rest + 1 } else { rest })
    };
    let (domain, last) = domain(turn, host)?;
    let (first, user) = user(turn, user_end)?;
    Some((first, last, format!("{user}@{domain}")))
}

/// A name in Latin letters, as people write theirs: `rahul`, not `raahul`.
fn latin(word: &str) -> String {
    if word.is_ascii() { word.to_owned() } else { romanise(word).replace("aa", "a") }
}

fn is_dot(word: &str) -> bool {
    matches!(word, "dot" | "डॉट" | "डाट" | "point")
}

/// `gmail dot com`, `company.co.in`.
fn domain(turn: &Turn<'_>, at: usize) -> Option<(String, usize)> {
    const ENDINGS: [(&str, &str); 10] = [
        ("com", "com"),
        ("कॉम", "com"),
        ("in", "in"),
        ("इन", "in"),
        ("co", "co"),
        ("org", "org"),
        ("net", "net"),
        ("edu", "edu"),
        ("kaum", "com"),
        ("kom", "com"),
    ];
    let raw = |at: usize| turn.tokens.get(at).map(|token| token.raw.as_str());
    let heard = raw(at)?;
    let name = HEARD.iter().find(|(said, _)| *said == heard).map_or(heard, |(_, name)| *name);
    if !name.is_ascii() {
        return None;
    }
    let (mut domain, mut last) = (name.to_owned(), at);
    loop {
        let spoken = raw(last + 1).is_some_and(is_dot);
        let next = if spoken { last + 2 } else { last + 1 };
        let written = !spoken
            && turn
                .tokens
                .get(next)
                .is_some_and(|token| &turn.text[turn.tokens[last].span.end..token.span.start] == ".");
        let Some(word) = raw(next).filter(|_| spoken || written) else { break };
        let ending = ENDINGS.iter().find(|(said, _)| *said == word).map(|(_, ending)| *ending);
        let Some(part) = ending.or_else(|| written.then_some(word)) else { break };
        domain.push('.');
        domain.push_str(part);
        last = next;
    }
    (domain.contains('.')).then_some((domain, last))
}

/// What stands before the `@`, read backwards as long as its parts hang together.
fn user(turn: &Turn<'_>, end: usize) -> Option<(usize, String)> {
    static STOPS: LazyLock<Words> = LazyLock::new(|| {
        Words::exact("is email mail id my hai mera meri address to on it its ईमेल मेल आईडी है मेरा मेरी e the par pe at")
    });
    let mut parts: Vec<String> = Vec::new();
    let mut first = end + 1;
    let mut joined = true;
    while let Some(at) = first.checked_sub(1) {
        let token = turn.tokens.get(at)?;
        let written = turn.tokens.get(at + 1).map(|next| &turn.text[token.span.end..next.span.start]);
        let sign = written.filter(|sign| at < end && matches!(*sign, "." | "_" | "-" | "+"));
        if let Some(said) = sign_of(&token.raw) {
            parts.push(said.to_owned());
            joined = true;
        } else if let Some(Word::Repeat(times)) = word(token) {
            // "double five": what was read before this is said so often.
            let repeated = parts.last_mut().filter(|part| part.len() == 1)?;
            *repeated = repeated.repeat(times);
            joined = true;
        } else {
            let number = figure(token, &mut parts);
            let single = token.raw.len() == 1 || number.is_some();
            if STOPS.has(token) || !(joined || sign.is_some() || single) {
                break;
            }
            parts.extend(sign.map(str::to_owned));
            // "ravi one two": a word before figures is part of the address, one before a word is not.
            joined = single && at > 0;
            parts.push(number.unwrap_or_else(|| latin(&token.raw)));
        }
        first = at;
        if parts.len() > PARTS_MAX {
            break;
        }
    }
    parts.reverse();
    let user = parts.concat();
    (!user.is_empty() && user.bytes().any(|b| b.is_ascii_alphanumeric())).then_some((first, user))
}

/// Most parts of the name in an address.
const PARTS_MAX: usize = 24;

fn sign_of(word: &str) -> Option<&'static str> {
    match word {
        word if is_dot(word) => Some("."),
        "underscore" | "अंडरस्कोर" => Some("_"),
        "dash" | "hyphen" | "minus" => Some("-"),
        _ => None,
    }
}

/// The figures of a word; *twenty* before *three*, which was read before it, takes it: 23.
fn figure(token: &Token, parts: &mut Vec<String>) -> Option<String> {
    match word(token) {
        Some(Word::Small(tens @ 20..=90, Tongue::English)) if tens % 10 == 0 => {
            let ones = parts.last().and_then(|part| part.parse::<u8>().ok()).filter(|ones| (1..=9).contains(ones));
            if ones.is_some() {
                parts.pop();
            }
            Some((tens + ones.unwrap_or(0)).to_string())
        }
        Some(Word::Small(value, _)) => Some(value.to_string()),
        _ => digits_of(token),
    }
}
