//! What a recogniser wrote down in a script that nobody of the call reads.
//!
//! Spoken Hindi comes now and then in Urdu's letters, in Gujarati, in Gurmukhi. Caly understands Devanagari and Latin letters,
//! so such words are put into Devanagari ([`heard`]) before anything looks at them, and what was written is kept beside. What
//! is in yet another script ("감사합니다") was most likely said by nobody: it stays as it is and means nothing
//! ([`is_foreign`]).

use std::borrow::Cow;
use std::ops::Range;

pub use super::urdu::HINDI_NUMBERS;
use super::{brahmic, fold, urdu};

/// A text in letters that Caly understands, and what was written where that is something else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heard<'a> {
    /// What is understood.
    pub text: Cow<'a, str>,
    /// What the recogniser wrote.
    pub raw: Option<&'a str>,
}

/// Words that belong together, as written and in Devanagari.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unit {
    /// Where they stand in what was written, in bytes.
    pub span: Range<usize>,
    /// The same as it is understood.
    pub text: String,
}

/// A transcript as it is understood. One in Latin letters or Devanagari is the same as before, and nothing is allocated.
///
/// ```
/// use caly_actors::understand::script::heard;
/// let heard = heard("میرا آرڈر کہاں ہے؟");
/// assert_eq!(heard.text, "मेरा ऑर्डर कहाँ है?");
/// assert_eq!(heard.raw, Some("میرا آرڈر کہاں ہے؟"));
/// ```
#[must_use]
pub fn heard(written: &str) -> Heard<'_> {
    if !written.chars().any(is_put_otherwise) {
        return Heard { text: Cow::Borrowed(written), raw: None };
    }
    let mut text = String::with_capacity(written.len());
    let mut end = 0;
    for unit in units(written) {
        text.push_str(&written[end..unit.span.start]);
        text.push_str(&unit.text);
        end = unit.span.end;
    }
    text.push_str(&written[end..]);
    let raw = (text != written).then_some(written);
    Heard { text: Cow::Owned(text), raw }
}

/// The words of a transcript, each with what is made of it: what stands between blanks, and what Hindi writes as one word
/// where Urdu writes two ("آئے گا", *aayega*).
#[must_use]
pub fn units(written: &str) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    let spans = spans(written);
    for (at, span) in spans.iter().enumerate() {
        let piece = &written[span.clone()];
        let before = at.checked_sub(1).map_or("", |at| &written[spans[at].clone()]);
        let after = spans.get(at + 1).map_or("", |span| &written[span.clone()]);
        let joined = joins(before, piece);
        match units.last_mut().filter(|_| joined) {
            Some(last) => {
                let word = piece.trim_end_matches(is_sign);
                let future = FUTURE.iter().find(|(written, _)| *written == word);
                let ending = future.map_or_else(
                    || converted(piece, before, after),
                    |(_, ending)| format!("{ending}{}", converted(&piece[word.len()..], "", "")),
                );
                if let Some(stem) = last.text.strip_suffix("ों").filter(|_| ending.starts_with('ग')) {
                    last.text = format!("{stem}ूं");
                }
                last.text.push_str(&ending);
                last.span.end = span.end;
            }
            None => units.push(Unit { span: span.clone(), text: converted(piece, before, after) }),
        }
    }
    units
}

/// What stands between blanks.
fn spans(written: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut start = None;
    for (at, c) in written.char_indices().chain([(written.len(), ' ')]) {
        match (c.is_whitespace(), start) {
            (true, Some(from)) => {
                spans.push(from..at);
                start = None;
            }
            (false, None) => start = Some(at),
            _ => {}
        }
    }
    spans
}

/// Postpositions that Hindi writes onto a pronoun.
const POSTPOSITIONS: [&str; 7] = ["کا", "کی", "کے", "کو", "نے", "سے", "میں"];
const PRONOUNS: [&str; 8] = ["آپ", "اس", "ان", "کس", "جس", "تم", "ہم", "مجھ"];
/// Endings of the future.
const FUTURE: [(&str, &str); 3] = [("گا", "गा"), ("گی", "गी"), ("گے", "गे")];
/// "Email" and "Gmail" are written as two words.
const MAIL: [&str; 3] = ["ای", "جی", "ہاٹ"];
/// What ends like a verb and is none.
const NO_VERBS: [&str; 12] = ["میں", "نہیں", "ہاں", "یہاں", "وہاں", "کہاں", "کے", "سے", "نے", "ہے", "ہیں", "یہ"];

fn joins(before: &str, piece: &str) -> bool {
    let word = piece.trim_end_matches(is_sign);
    if before.is_empty() || before.ends_with(is_sign) {
        return false;
    }
    let verb = before.ends_with(['ے', 'ں', 'ۓ', 'و', 'ؤ']) && !NO_VERBS.contains(&before);
    (FUTURE.iter().any(|(ending, _)| *ending == word) && verb)
        || (word == "میل" && MAIL.contains(&before))
        || (POSTPOSITIONS.contains(&word) && PRONOUNS.contains(&before))
        || (word == "نے" && before == "میں")
}

/// Whether a sign stands between words.
fn is_sign(c: char) -> bool {
    matches!(c, '،' | '؛' | '؟' | '۔') || c.is_ascii_punctuation()
}

fn is_urdu(c: char) -> bool {
    matches!(c, '\u{0610}'..='\u{061a}' | '\u{0620}'..='\u{065f}' | '\u{066e}'..='\u{06d3}' | '\u{06d5}' | '\u{06fa}'..='\u{06ff}' | '\u{0750}'..='\u{077f}')
}

/// A piece between blanks: its words in Devanagari, its digits and signs as everywhere.
fn converted(piece: &str, before: &str, after: &str) -> String {
    let mut text = String::with_capacity(piece.len());
    let mut rest = piece;
    while let Some(c) = rest.chars().next() {
        let run = |belongs: fn(char) -> bool| rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        let taken = if is_urdu(c) {
            let end = run(|c| is_urdu(c) || is_joiner(c));
            text.push_str(&in_place(&rest[..end], before, after));
            end
        } else if brahmic::is_brahmic(c) {
            let end = run(|c| brahmic::is_brahmic(c) || is_joiner(c));
            text.push_str(&brahmic::word(&rest[..end]));
            end
        } else {
            text.push(fold::digit(c).or_else(|| sign(c)).unwrap_or(c));
            c.len_utf8()
        };
        rest = &rest[taken..];
    }
    text
}

fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

fn sign(c: char) -> Option<char> {
    Some(match c {
        '،' | '٬' => ',',
        '؛' => ';',
        '؟' => '?',
        '۔' => '।',
        '٪' => '%',
        '٫' => '.',
        _ => return None,
    })
}

/// Letters and signs that are put otherwise.
fn is_put_otherwise(c: char) -> bool {
    !c.is_ascii() && (is_urdu(c) || brahmic::is_brahmic(c) || sign(c).is_some() || is_foreign_digit(c))
}

fn is_foreign_digit(c: char) -> bool {
    fold::digit(c).is_some() && !c.is_ascii() && fold::devanagari_digit(c).is_none()
}

/// Words that Urdu spells alike, by those beside them: *main* ("I") begins a clause, *mein* ("in") stands behind a noun.
fn in_place(word: &str, before: &str, after: &str) -> String {
    /// What *main* stands behind, and what stands behind it.
    const BEFORE_I: [&str; 9] = ["اور", "کہ", "تو", "لیکن", "کیا", "مگر", "جی", "کل", "ابھی"];
    const AFTER_I: [&str; 4] = ["نے", "نہیں", "بھی", "خود"];
    /// What is done stands before *kiya*, "did".
    const BEFORE_DID: [&str; 10] = ["نے", "نہیں", "کینسل", "آرڈر", "پیمنٹ", "بک", "فون", "کال", "واپس", "کنفرم"];
    let begins = before.is_empty() || before.ends_with(is_sign);
    match word {
        "میں" if begins || BEFORE_I.contains(&before) || AFTER_I.contains(&after) => "मैं".to_owned(),
        "کیا" if BEFORE_DID.contains(&before) => "किया".to_owned(),
        "کام" if before == "ڈاٹ" => "कॉम".to_owned(),
        "ای" if after == "میل" => "ई".to_owned(),
        word => urdu::number_beside(word, before, after).map_or_else(|| urdu::word(word), str::to_owned),
    }
}

/// Whether most of a text's words are in a script that Caly understands nothing of.
#[must_use]
pub fn is_foreign(text: &str) -> bool {
    let words = || text.split_whitespace().filter(|word| word.chars().any(char::is_alphabetic));
    words().filter(|word| word.chars().any(is_foreign_letter)).count() * 2 > words().count()
}

fn is_foreign_letter(c: char) -> bool {
    // Latin with its accents, and Devanagari.
    c.is_alphabetic() && !matches!(c, '\0'..='\u{024f}' | '\u{0900}'..='\u{097f}' | '\u{1e00}'..='\u{1eff}')
}

/// Words that only Hindi has.
const HINDI: &str = "है हैं हूँ हूं हो था थे थी नहीं में मैं मेरा मेरी मेरे मुझे आप आपका आपकी आपके क्या क्यों कब कहाँ कैसे कौन कितना \
    कितने कितनी जी हाँ और का की के को से ने पर ये वो यह वह तो भी ही कर करो करना करनी दो दे दीजिए कीजिए चाहिए अभी कल आज परसों \
    बताओ बताइए गया गई गए हुआ हुई रहा रही रहे वाला वाली ठीक अच्छा बस मत होगा जाएगा आएगा बजे नमस्ते शुक्रिया धन्यवाद";

/// Whether a text that was put into Devanagari is Hindi: it might be the neighbour's own language, or English by its sounds.
#[must_use]
pub fn is_hindi(text: &str) -> bool {
    let words = fold::tokens(text);
    let hindi = words.iter().filter(|word| HINDI.split_whitespace().any(|one| one == word.raw)).count();
    hindi * 4 >= words.len() && hindi > 0
}
