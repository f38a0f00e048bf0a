//! What a caller's turn wants and what it names, from its text alone.
//!
//! English, Hindi in Devanagari and Hinglish in Latin letters go through one path: every word is folded to a key that its
//! spellings share ([`fold`]), keys are looked up as words and phrases with a meaning (`lexicon`), and the meanings,
//! not the words, are scored (`intent`). Plain functions over text: no clock, no memory of earlier turns, no input or
//! output. A turn costs some tens of microseconds.

pub mod entity;
pub mod fold;
mod intent;
mod lexicon;
mod numerals;

use crate::domain::Understanding;

/// Longest text looked at, in bytes; a caller's turn rarely reaches a tenth of it.
const TEXT_BYTES_MAX: usize = 4096;

/// The likeliest intent of a turn, how sure that is, and the order numbers and phone numbers it names.
///
/// ```
/// use caly_actors::domain::IntentKind;
/// let meant = caly_actors::understand::understand("मेरा ऑर्डर 1042 कहाँ है?");
/// assert_eq!(meant.intent, IntentKind::OrderStatus);
/// assert_eq!(&*meant.entities[0].value, "1042");
/// ```
#[must_use]
pub fn understand(text: &str) -> Understanding {
    let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
    let tokens = fold::tokens(text);
    let meanings = lexicon::meanings(&tokens);
    let (intent, confidence) = intent::decide(&tokens, &meanings);
    Understanding { intent, confidence, entities: entity::find(text, &tokens) }
}

/// Builds the word lists (some milliseconds of an unoptimised build). Called once at start, so that no call pays for it;
/// without it the first turn does.
pub fn prepare() {
    let _ = understand("one");
}

#[cfg(test)]
mod tests;
