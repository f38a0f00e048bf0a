//! Names of people after a cue, and the client's own products.

use std::sync::LazyLock;

use super::entity::Turn;
use super::own::Products;
use super::words::Words;

/// Words that are no names, and end one.
static NOT_NAMES: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "baat बात hai hoon hu hun h he is and aur se ka ki ke ko me mein main bol bolta bolti bata speaking here \
        calling from my mera order number the a an not nahi kya what please sir madam ji to par pe jo wrong \
        galat correct change for on with i want mujhe है हूं हूँ और से का की के को में बोल रहा रही जी क्या \
        नहीं बता गलत क्यों कैसे kyun kyu kyon kaise kat कट mai raha rahi name naam नाम this in of it was but \
        lekin",
    )
});
/// Most words of a name.
const WORDS_MAX: usize = 3;

/// `my name is …`, `mera naam … hai`, `main … bol raha hoon`, `this is … speaking`.
pub(super) fn names(turn: &mut Turn<'_>) {
    for at in 0..turn.tokens.len() {
        let raw = |at: usize| turn.tokens.get(at).map_or("", |token| token.raw.as_str());
        let begin = match (raw(at), raw(at + 1)) {
            ("name" | "naam" | "nam" | "नाम", "is" | "hai" | "है" | "to" | "तो") => at + 2,
            // "mera naam sunita hai"; "naam judwana hai" names nobody.
            ("naam" | "nam" | "नाम", _) if own(turn, at) => at + 1,
            (
                "name" | "naam" | "nam" | "नाम",
                "likho" | "likhiye" | "likhna" | "लिखो" | "लिखिए" | "लिखना" | "as" | "of",
            ) => at + 2,
            ("the", "name") if matches!(raw(at.wrapping_sub(1)), "under" | "in") => at + 2,
            ("main" | "mai" | "me" | "मैं" | "मै", _) => match speaker(turn, at + 1) {
                true => at + 1,
                false => continue,
            },
            ("this", "is") | ("i", "am") => match speaker(turn, at + 2) {
                true => at + 2,
                false => continue,
            },
            ("im", _) => match speaker(turn, at + 1) {
                true => at + 1,
                false => continue,
            },
            _ => continue,
        };
        // "aapka naam", "company name": somebody else's.
        let other = at.checked_sub(1).is_some_and(|before| {
            matches!(
                raw(before),
                "aapka"
                    | "apka"
                    | "your"
                    | "uska"
                    | "tumhara"
                    | "company"
                    | "shop"
                    | "doctor"
                    | "आपका"
                    | "तुम्हारा"
                    | "product"
                    | "whats"
                    | "what"
            )
        });
        let last = (begin..turn.tokens.len().min(begin + WORDS_MAX)).take_while(|&at| is_name(turn, at)).last();
        if let Some(last) = last.filter(|_| !other)
            && turn.is_free(begin, last)
        {
            let value: Vec<String> = (begin..=last).map(|at| capital(raw(at))).collect();
            turn.note("name", (begin, last), 0, value.join(" "), 0.85);
        }
    }
}

/// *mera* before, and *hai* or the end after one to three words.
fn own(turn: &Turn<'_>, at: usize) -> bool {
    let raw = |at: usize| turn.tokens.get(at).map_or("", |token| token.raw.as_str());
    let mine = at
        .checked_sub(1)
        .is_some_and(|before| matches!(raw(before), "mera" | "mra" | "hamara" | "shubh" | "मेरा" | "हमारा" | "शुभ"));
    let names = (at + 1..turn.tokens.len().min(at + 1 + WORDS_MAX)).take_while(|&at| is_name(turn, at)).count();
    mine && names > 0 && matches!(raw(at + 1 + names), "" | "hai" | "h" | "he" | "है")
}

fn is_name(turn: &Turn<'_>, at: usize) -> bool {
    let token = &turn.tokens[at];
    let letters = token.raw.chars().all(|c| !c.is_ascii_digit()) && token.raw.chars().count() >= 2;
    letters && !NOT_NAMES.has(token) && !token.after_break
}

/// Whether one to three words that may be a name stand before *bol raha hoon*, *baat kar raha hoon*, *speaking*, *here*,
/// *calling*.
fn speaker(turn: &Turn<'_>, begin: usize) -> bool {
    let raw = |at: usize| turn.tokens.get(at).map_or("", |token| token.raw.as_str());
    let names = (begin..turn.tokens.len().min(begin + WORDS_MAX))
        .take_while(|&at| is_name(turn, at) && !matches!(raw(at), "baat" | "बात"))
        .count();
    let capital = || turn.text[turn.tokens[begin].span.clone()].starts_with(|c: char| c.is_uppercase());
    names > 0
        && match (raw(begin + names), raw(begin + names + 1)) {
            ("bol" | "speaking" | "here" | "calling" | "बोल" | "bolta" | "bolti", _) => true,
            ("baat" | "बात", "kar" | "कर") => true,
            // "main ghar se hoon", "i am busy from ten": only a capital makes a name of it.
            ("hu" | "hoon" | "hun" | "हूँ" | "हूं" | "from", _) => capital(),
            _ => false,
        }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Products of the client's catalogue, however they are spelled.
pub(super) fn products(turn: &mut Turn<'_>, products: &Products) {
    let mut at = 0;
    while at < turn.tokens.len() {
        let Some(product) = products.at(&turn.tokens[at..]) else {
            at += 1;
            continue;
        };
        let last = at + product.rest.len();
        if turn.is_free(at, last) {
            turn.note("product", (at, last), 0, product.name.to_string(), 0.9);
        }
        at = last + 1;
    }
}
