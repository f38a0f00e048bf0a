//! What a caller's turn wants and what it names, from its text.
//!
//! English, Hindi in Devanagari and Hinglish in Latin letters go through one path: every word is folded to a key that its
//! spellings share ([`fold`]). Intents are told by a small linear model over words and letters (`model`, trained by
//! `make train`) with rules where being wrong costs most (`intent`); numbers, times, amounts and addresses are read by rules
//! (`entity`). Plain functions over text: no clock, no memory of earlier turns, no input or output. A turn costs some tens
//! of microseconds.

mod abuse;
mod answer;
mod asked;
mod assent;
mod brahmic;
#[cfg(test)]
mod callers_tests;
mod clock;
mod contact;
mod day;
mod daytime;
mod doubtful;
mod email;
mod entity;
pub mod features;
pub mod fold;
mod intent;
pub mod language;
mod letters;
mod lex;
pub mod model;
mod moments;
mod named;
pub mod own;
mod particulars;
mod quantity;
pub mod script;
#[cfg(test)]
mod script_tests;
mod urdu;
mod vocabulary;
mod when;
mod wish;
mod words;

use chrono::NaiveDateTime;

pub use telling::{is_elsewhere, names_of, points_at, tells_of, to_be_told, untold};

use crate::domain::{IntentKind, Understanding};
use model::Model;
use own::{OwnIntents, Products};

/// How sure it is that a turn which names a product and means nothing else is about it.
const NAMED_PRODUCT: f32 = 0.7;
/// Longest text looked at, in bytes; a caller's turn rarely reaches a tenth of it.
const TEXT_BYTES_MAX: usize = 4096;

/// What listeners say without wanting to speak, a word or a sound each; spellings with the same key are one.
#[rustfmt::skip]
const BACKCHANNELS: [&str; 55] = [
    "haan", "ha", "han", "aha", "hm", "hmm", "hun", "hoon", "mm", "mhm", "mmhmm", "uh", "huh", "uhuh", "uhhuh",
    "haanji", "hanji", "jihaan", "accha", "achcha", "acha", "theek", "thik", "ji", "sahi", "bilkul", "bilkool",
    "okay", "ok", "okey", "right", "alright", "yes", "yeah", "yah", "ya", "yep", "yup", "oh", "ah", "sure", "fine",
    "gotcha", "great", "nice",
    "ओके", "हम्म", "हुम्म", "हूँ", "हां", "राइट", "यस", "श्योर", "फाइन", "ऑलराइट",
];
/// The same in words that are none of a listener's alone.
#[rustfmt::skip]
const BACKCHANNEL_PHRASES: [&[&str]; 13] = [
    &["theek", "hai"], &["theek", "he"], &["sahi", "hai"], &["sahi", "he"], &["i", "see"], &["got", "it"], &["all", "right"],
    &["samajh", "gaya"], &["samajh", "gayi"],
    &["haan", "boliye"], &["haan", "bataiye"], &["ji", "boliye"], &["ji", "bataiye"],
];
/// Listeners say at most so many of these.
const BACKCHANNEL_WORDS_MAX: usize = 3;

/// Whether these words only show that somebody listens: "haan", "theek hai", "ok ok".
#[must_use]
pub fn is_backchannel(text: &str) -> bool {
    let said = keys(text);
    let (mut rest, mut count) = (&said[..], 0);
    while !rest.is_empty() {
        let phrase = BACKCHANNEL_PHRASES.iter().find(|phrase| {
            rest.len() >= phrase.len() && phrase.iter().zip(rest).all(|(word, key)| fold::key(word) == *key)
        });
        let word = || BACKCHANNELS.iter().any(|word| fold::key(word) == rest[0]).then_some(1);
        let Some(length) = phrase.map(|phrase| phrase.len()).or_else(word) else { return false };
        rest = &rest[length..];
        count += 1;
    }
    (1..=BACKCHANNEL_WORDS_MAX).contains(&count)
}

/// Words against going on: a no, or an order to wait. As they are written: "na" is none, though it sounds like "no".
#[rustfmt::skip]
const OBJECTIONS: [&str; 47] = [
    "chhodo", "chodo", "chhod", "chhodiye", "छोड़ो", "छोड़", "छोड़िए", "छोडो",
    "nahi", "nahin", "nahee", "nahii", "nai", "mat", "galat", "ruko", "rukiye", "rukiyega", "rukie", "ruk", "rukna", "thehro",
    "thehriye", "suno", "suniye", "no", "nope", "not", "dont", "wrong", "stop", "wait", "hold",
    "नहीं", "नही", "नहि", "मत", "गलत", "ग़लत", "रुको", "रुकिए", "रुकिये", "रुक", "ठहरो", "ठहरिए", "सुनो", "सुनिए",
];
const OBJECTION_PHRASES: [&[&str]; 12] = [
    &["rehne", "dijiye"],
    &["jaane", "do"],
    &["jaane", "dijiye"],
    &["रहने", "दीजिए"],
    &["जाने", "दीजिए"],
    &["ek", "minute"],
    &["ek", "second"],
    &["one", "minute"],
    &["one", "second"],
    &["एक", "मिनट"],
    &["rehne", "do"],
    &["रहने", "दो"],
];

/// Whether somebody objects to what they hear, or wants it to wait: "nahi nahi", "ruko", "ek minute".
#[must_use]
pub fn objects(text: &str) -> bool {
    let tokens = fold::tokens(text);
    let said: Vec<&str> = tokens.iter().map(|token| &*token.raw).collect();
    said.iter().any(|word| OBJECTIONS.contains(word))
        || OBJECTION_PHRASES.iter().any(|phrase| said.windows(phrase.len()).any(|some| some == *phrase))
}

/// What is said first on the phone.
#[rustfmt::skip]
const HELLOS: [&str; 28] = [
    "hello", "helo", "hallo", "halo", "hi", "hey", "namaste", "namaskar", "namaskaar", "pranam", "vanakkam", "haan", "han", "ha", "ji",
    "haanji", "hanji", "jee", "yes", "yeah", "boliye", "bolo", "bol", "kaun", "sir", "madam", "bhai", "speaking",
];
/// Nobody says more of these in a row before they are answered.
const HELLO_WORDS_MAX: usize = 4;

/// Whether these words only say hello: "hello hello", "haan ji boliye", "नमस्ते".
#[must_use]
pub fn is_hello(text: &str) -> bool {
    let said = keys(text);
    (1..=HELLO_WORDS_MAX).contains(&said.len())
        && said.iter().all(|key| HELLOS.iter().any(|word| fold::key(word) == *key))
}

/// Words for something more: a wait, an addition, a question.
#[rustfmt::skip]
const MORE: [&str; 41] = [
    "ek", "lekin", "magar", "sawal", "sawaal", "ruko", "rukiye", "rukie", "ruk", "suno", "suniye", "thehro", "kya", "kaise", "kab",
    "wait", "hold", "more", "another", "question", "but", "also", "what", "how", "when", "listen",
    "hello", "helo", "hallo", "halo", "हेलो", "हैलो",
    "एक", "लेकिन", "मगर", "सवाल", "रुको", "रुकिए", "सुनो", "सुनिए", "क्या",
];

/// Whether a short answer to a goodbye asks for more: "haan, ek aur baat", "no no wait".
#[must_use]
pub fn asks_for_more(text: &str) -> bool {
    text.contains('?') || fold::tokens(text).iter().any(|token| MORE.contains(&&*token.raw))
}

/// Whether one text has the words of another in a row, however either is spelled, punctuated or written: a recogniser may
/// write in Devanagari what was written in Latin letters.
#[must_use]
pub fn has_words(text: &str, words: &str) -> bool {
    let (text, words) = (keys(text), keys(words));
    words.is_empty() || text.windows(words.len()).any(|some| some == words)
}

/// Whether two texts say the same: nine words of ten of each, in order, however they are spelled.
#[must_use]
pub fn same_words(one: &str, other: &str) -> bool {
    let (one, other) = (keys(one), keys(other));
    let longest = one.len().max(other.len());
    longest > 0 && common(&one, &other) * 10 >= longest * 9
}

fn keys(text: &str) -> Vec<String> {
    fold::tokens(text).into_iter().map(|token| token.key).collect()
}

/// The length of the longest common subsequence.
fn common(one: &[String], other: &[String]) -> usize {
    let mut row = vec![0; other.len() + 1];
    for word in one {
        let mut diagonal = 0;
        for (at, candidate) in other.iter().enumerate() {
            let above = row[at + 1];
            row[at + 1] = if word == candidate { diagonal + 1 } else { above.max(row[at]) };
            diagonal = above;
        }
    }
    row[other.len()]
}

/// What is known beside a turn's words.
#[derive(Clone, Copy, Default, Debug)]
pub struct Surroundings<'a> {
    /// What the agent said last: a bare answer is one to this.
    pub asked: &'a str,
    /// Names of what waits for a yes, as the engine calls them, with blanks between.
    pub waiting: &'a str,
    /// The caller's local time; without it no dates and times are told.
    pub now: Option<NaiveDateTime>,
    /// The client's products.
    pub products: Option<&'a Products>,
    /// The client's own intents.
    pub own: Option<&'a OwnIntents>,
}

/// The likeliest intent of a turn, how sure that is, and what it names.
///
/// ```
/// use caly_actors::domain::IntentKind;
/// use caly_actors::understand::{Surroundings, understand};
/// let meant = understand("मेरा ऑर्डर 1042 कहाँ है?", Surroundings::default());
/// assert_eq!(meant.intent, IntentKind::OrderStatus);
/// assert_eq!(&*meant.entities[0].value, "1042");
/// ```
#[must_use]
pub fn understand(text: &str, around: Surroundings<'_>) -> Understanding {
    understand_by(model::embedded(), text, around)
}

/// The same by another model; without one every intent is out of scope.
#[must_use]
pub fn understand_by(model: Option<&Model<'_>>, text: &str, around: Surroundings<'_>) -> Understanding {
    let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
    if script::is_foreign(text) {
        return Understanding::nothing();
    }
    let tokens = fold::tokens(text);
    let unsure = (IntentKind::OutOfScope, 0.0);
    let (intent, confidence) = model.map_or(unsure, |model| intent::decide(model, &tokens, around.asked));
    let found = intent != IntentKind::OutOfScope;
    let own = around.own.and_then(|own| own.instead(&tokens, found, confidence));
    let (own, confidence) = own.map_or((None, confidence), |(name, sure)| (Some(name), sure));
    let entities = entity::find(text, &tokens, around.now, around.products);
    let question = answer::Question { asked: around.asked, waiting: around.waiting, now: around.now, named: &entities };
    let yes = answer::answer(text, &tokens, intent, question);
    let named = own.is_none() && entities.iter().any(|entity| entity.kind == "product");
    // What the shop sells is never out of its scope.
    let (intent, confidence) = match intent {
        IntentKind::OutOfScope if named => (IntentKind::ProductQuery, NAMED_PRODUCT),
        _ => (intent, confidence),
    };
    // What is the client's own intent is the engine's to deal with.
    let wish = if own.is_none() { wish::wish(&tokens, intent, around.asked) } else { None };
    let abusive = abuse::is_abusive(&tokens, around.products);
    Understanding { intent, own, confidence, yes, wish, abusive, entities }
}

/// Builds the word lists and reads the model (some milliseconds of an unoptimised build). Called once at start, so that no
/// call pays for it; without it the first turn does.
pub fn prepare() {
    let _ = understand(&script::heard("ایک").text, Surroundings::default());
}

#[cfg(test)]
mod entity_tests;
mod telling;
#[cfg(test)]
mod tests;
mod through;
