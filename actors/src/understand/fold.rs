//! Words as keys that their spellings share: `order`, `ordar`, `ऑर्डर` and `आर्डर` are one.
//!
//! A word is written in Latin letters, aspirates lose their h, letters that sound alike become one, and vowels become
//! three classes. Words of three consonants or more keep only the consonants (and whether they begin with a vowel), since
//! that is what survives spelling by ear; shorter words keep their vowels, since little else tells them apart.

use std::ops::Range;

/// A word of a turn.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Token {
    /// Lower case, apostrophes removed.
    pub raw: String,
    /// The key.
    pub key: String,
    /// See [`sound`].
    pub sound: String,
    /// Where it stands in the text, in bytes.
    pub span: Range<usize>,
    /// A sign that ends a clause stands between it and the word before.
    pub after_break: bool,
}

/// Splits a text into words and numbers. Apostrophes are part of a word, every other sign is not.
#[must_use]
pub fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut start = None;
    let mut after_break = false;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        if is_word(c) || (start.is_some() && matches!(c, '\'' | '’')) {
            start.get_or_insert(at);
            continue;
        }
        if let Some(from) = start.take() {
            tokens.push(token(text, from..at, after_break));
            after_break = false;
        }
        after_break |= matches!(c, ',' | '.' | ';' | '!' | '?' | '।' | '\n' | ':');
    }
    tokens
}

fn is_word(c: char) -> bool {
    // Joiners and the signs of Devanagari are not all alphanumeric.
    c.is_alphanumeric() || ('\u{0900}'..='\u{0963}').contains(&c) || matches!(c, '\u{200c}' | '\u{200d}')
}

fn token(text: &str, span: Range<usize>, after_break: bool) -> Token {
    let raw: String =
        text[span.clone()].chars().filter(|c| !matches!(c, '\'' | '’')).flat_map(char::to_lowercase).collect();
    // A dotted letter is written as one sign or as two.
    let raw = if raw.contains(|c| dotted(c).is_some()) { apart(&raw) } else { raw };
    Token { key: key(&raw), sound: sound(&raw), raw, span, after_break }
}

/// The letter under the dot of one that is written as one sign.
fn dotted(c: char) -> Option<char> {
    Some(match c {
        '\u{0958}' => 'क',
        '\u{0959}' => 'ख',
        '\u{095a}' => 'ग',
        '\u{095b}' => 'ज',
        '\u{095c}' => 'ड',
        '\u{095d}' => 'ढ',
        '\u{095e}' => 'फ',
        '\u{095f}' => 'य',
        _ => return None,
    })
}

fn apart(word: &str) -> String {
    word.chars()
        .flat_map(|c| dotted(c).map_or([Some(c), None], |letter| [Some(letter), Some('\u{093c}')]))
        .flatten()
        .collect()
}

/// The key of one lower-case word.
#[must_use]
pub fn key(word: &str) -> String {
    let latin = if word.is_ascii() { word.to_owned() } else { romanise(word) };
    if latin.bytes().any(|b| b.is_ascii_digit()) {
        return latin;
    }
    skeleton(&sounds(latin.as_bytes()))
}

/// The sounds of one lower-case word, vowels included: aspirates without their h, like letters as one, three vowels,
/// nothing twice in a row. Tells apart what the key does not: `chaalis`, forty, and `chhiyalis`, forty-six.
#[must_use]
pub fn sound(word: &str) -> String {
    let latin = if word.is_ascii() { word.to_owned() } else { romanise(word) };
    if latin.bytes().any(|b| b.is_ascii_digit()) {
        return latin;
    }
    String::from_utf8_lossy(&shortened(&sounds(latin.as_bytes()))).into_owned()
}

/// A lower-case word as spelled, but for what is spelled in two ways: long vowels (*theek*, *thik*), `w` and `v`, `z` and
/// `j`, letters twice in a row, the glide of *dijiye*. Tells apart what the key does not: *saath* and *saat*, *call* and *kal*.
#[must_use]
pub fn plain(word: &str) -> String {
    let latin = if word.is_ascii() { word.to_owned() } else { romanise(word) };
    let latin = latin.replace("ee", "i").replace("oo", "u").replace("chh", "ch").replace("ph", "f");
    let mut plain = String::with_capacity(latin.len());
    for c in latin.chars() {
        let c = match c {
            'w' => 'v',
            'z' => 'j',
            c => c,
        };
        if !plain.ends_with(c) {
            plain.push(c);
        }
    }
    plain.replace("iye", "ie").replace("iya", "ia")
}

/// The consonants of a lower-case word in order, each as often as it is spoken: enough to know a longer word by, however
/// its vowels are spelled.
#[must_use]
pub(super) fn consonants(word: &str) -> String {
    let latin = if word.is_ascii() { word.to_owned() } else { romanise(word) };
    let sounds = shortened(&sounds(latin.as_bytes()));
    let vowel_first = sounds.first().is_some_and(|&first| is_vowel(first));
    let spoken = sounds.iter().filter(|&&sound| !is_vowel(sound)).map(|&sound| char::from(sound));
    vowel_first.then_some('a').into_iter().chain(spoken).collect()
}

/// A consonant, or none at the start, and the vowel after it.
#[derive(Clone, Copy, PartialEq)]
enum Vowel {
    None,
    /// Not written: spoken unless the word is over or its neighbours carry the word.
    Inherent,
    Written(&'static str),
}

/// Latin letters for Devanagari; letters of other scripts are kept, accents of Latin ones are not looked at.
pub(super) fn romanise(word: &str) -> String {
    let mut syllables: Vec<(String, Vowel)> = Vec::with_capacity(word.len() / 3);
    let mut chars = word.chars().peekable();
    while let Some(c) = chars.next() {
        if let Some(consonant) = consonant(c) {
            let dotted = chars.next_if_eq(&'\u{093c}').is_some();
            let letters = match (c, dotted) {
                ('ड' | 'ढ', true) => "r",
                ('ज', true) => "z",
                ('फ', true) => "f",
                _ => consonant,
            };
            let vowel = match chars.peek() {
                Some('\u{094d}') => Vowel::None,
                Some(&next) if vowel_sign(next).is_some() => Vowel::None,
                _ => Vowel::Inherent,
            };
            syllables.push((letters.to_owned(), vowel));
        } else if let Some(sign) = vowel_sign(c) {
            match syllables.last_mut() {
                Some((_, vowel @ Vowel::None)) => *vowel = Vowel::Written(sign),
                _ => syllables.push((String::new(), Vowel::Written(sign))),
            }
        } else if let Some(vowel) = vowel(c) {
            syllables.push((String::new(), Vowel::Written(vowel)));
        } else if c == 'ं' && chars.peek().is_some_and(|&next| consonant(next).is_some()) {
            syllables.push(("n".to_owned(), Vowel::None));
        } else if let Some(digit) = devanagari_digit(c) {
            syllables.push((digit.to_string(), Vowel::None));
        } else if c.is_ascii() || (c.is_alphanumeric() && !('\u{0900}'..='\u{097f}').contains(&c)) {
            syllables.push((c.to_string(), Vowel::None));
        }
    }
    drop_schwas(&mut syllables);
    syllables.iter().fold(String::with_capacity(word.len()), |mut latin, (letters, vowel)| {
        latin.push_str(letters);
        latin.push_str(match vowel {
            Vowel::None => "",
            Vowel::Inherent => "a",
            Vowel::Written(vowel) => vowel,
        });
        latin
    })
}

/// The unwritten a is silent at the end, and between a spoken vowel and a consonant with one: *karna*, not *karana*.
fn drop_schwas(syllables: &mut [(String, Vowel)]) {
    let last = syllables.len().saturating_sub(1);
    for at in (0..syllables.len()).rev() {
        if syllables[at].1 != Vowel::Inherent || (at == 0 && last > 0) {
            continue;
        }
        let spoken = |at: usize| syllables[at].1 != Vowel::None;
        let between = || spoken(at - 1) && !syllables[at + 1].0.is_empty() && spoken(at + 1);
        if (at == last && last > 0) || (at < last && between()) {
            syllables[at].1 = Vowel::None;
        }
    }
}

/// The ASCII digit of a Devanagari one.
#[must_use]
pub fn devanagari_digit(c: char) -> Option<char> {
    let value = u32::from(c).checked_sub(0x0966)?;
    char::from_digit(value, 10)
}

/// The ASCII digit of one in any script that a recogniser of calls in India writes: Arabic, Persian and Urdu, Devanagari and
/// its neighbours, full width.
#[must_use]
pub fn digit(c: char) -> Option<char> {
    const ZEROS: [u32; 13] =
        [0x30, 0x0660, 0x06f0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66, 0x0ce6, 0x0d66, 0xff10];
    ZEROS.iter().find_map(|zero| char::from_digit(u32::from(c).checked_sub(*zero)?, 10))
}

fn consonant(c: char) -> Option<&'static str> {
    Some(match c {
        'क' | '\u{0958}' => "k",
        'ख' | '\u{0959}' => "kh",
        'ग' | '\u{095a}' => "g",
        'घ' => "gh",
        'ङ' | 'ञ' | 'ण' | 'न' => "n",
        'च' => "ch",
        'छ' => "chh",
        'ज' => "j",
        '\u{095b}' => "z",
        'झ' => "jh",
        'ट' | 'त' => "t",
        'ठ' | 'थ' => "th",
        'ड' | 'द' => "d",
        'ढ' | 'ध' => "dh",
        'प' => "p",
        'फ' => "ph",
        '\u{095e}' => "f",
        'ब' => "b",
        'भ' => "bh",
        'म' => "m",
        'य' => "y",
        'र' | '\u{095c}' | '\u{095d}' => "r",
        'ल' | 'ळ' => "l",
        'व' => "v",
        'श' | 'ष' => "sh",
        'स' => "s",
        'ह' => "h",
        _ => return None,
    })
}

fn vowel_sign(c: char) -> Option<&'static str> {
    Some(match c {
        'ा' => "aa",
        'ि' | 'ी' => "i",
        'ु' | 'ू' => "u",
        'ृ' => "ri",
        'े' | 'ॅ' => "e",
        'ै' => "ai",
        'ो' | 'ॉ' => "o",
        'ौ' => "au",
        _ => return None,
    })
}

fn vowel(c: char) -> Option<&'static str> {
    Some(match c {
        'अ' | 'आ' => "a",
        'इ' | 'ई' => "i",
        'उ' | 'ऊ' => "u",
        'ऋ' => "ri",
        'ए' | 'ऍ' | 'ऐ' => "e",
        'ओ' | 'ऑ' | 'औ' => "o",
        _ => return None,
    })
}

/// Letters as sounds: `a`, `i`, `u` are the classes of vowels, everything else a consonant.
fn sounds(latin: &[u8]) -> Vec<u8> {
    let mut sounds: Vec<u8> = Vec::with_capacity(latin.len());
    let mut at = 0;
    while at < latin.len() {
        let next = latin.get(at + 1).copied().unwrap_or(b' ');
        let (sound, taken): (&[u8], usize) = match (latin[at], next) {
            (b'p', b'h') => (b"f", 2),
            (b'w', b'h') | (b'w', _) => (b"v", if next == b'h' { 2 } else { 1 }),
            (b'c', b'h') => (b"c", if latin.get(at + 2) == Some(&b'h') { 3 } else { 2 }),
            (b'c', b'k') => (b"k", 2),
            (b'c', b'e' | b'i' | b'y') => (b"s", 1),
            (b'c' | b'q', _) => (b"k", 1),
            (b'z', _) => (b"j", 1),
            (b'x', _) => (b"ks", 1),
            (letter @ (b'k' | b'g' | b'j' | b't' | b'd' | b'b' | b's'), b'h') => {
                sounds.push(letter);
                (b"", 2)
            }
            (b'a', _) => (b"a", 1),
            (b'e' | b'i' | b'y', _) => (b"i", 1),
            (b'o' | b'u', _) => (b"u", 1),
            _ => (&latin[at..=at], 1),
        };
        sounds.extend_from_slice(sound);
        at += taken;
    }
    sounds
}

fn is_vowel(sound: u8) -> bool {
    matches!(sound, b'a' | b'i' | b'u')
}

/// Nothing twice in a row, and of vowels in a row the first.
fn shortened(sounds: &[u8]) -> Vec<u8> {
    let mut short: Vec<u8> = Vec::with_capacity(sounds.len());
    for &sound in sounds {
        let repeats = short.last().is_some_and(|&last| last == sound || (is_vowel(last) && is_vowel(sound)));
        if !repeats {
            short.push(sound);
        }
    }
    short
}

fn skeleton(sounds: &[u8]) -> String {
    let mut short = shortened(sounds);
    if short.iter().filter(|&&b| !is_vowel(b)).count() >= 3 {
        let begins_with_vowel = short.first().is_some_and(|&b| is_vowel(b));
        short.retain(|&b| !is_vowel(b));
        short.dedup();
        if begins_with_vowel {
            short.insert(0, b'a');
        }
    }
    String::from_utf8_lossy(&short).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_word_share_a_key() {
        let table: [&[&str]; 14] = [
            &["order", "ordar", "ordr", "oder", "ऑर्डर", "आर्डर"],
            &["cancel", "cancil", "kensil", "kansal", "cansel", "कैंसिल", "कैंसल", "कैन्सल"],
            &["status", "stetus", "स्टेटस"],
            &["track", "trek", "ट्रैक"],
            &["parcel", "parsal", "पार्सल"],
            &["wapas", "vapas", "vaapas", "waapis", "वापस"],
            &["baat", "bat", "बात"],
            &["mat", "matt", "मत"],
            &["alvida", "alwida", "अलविदा"],
            &["chahiye", "chaahie", "chahie", "चाहिए"],
            &["aayega", "aaega", "ayega", "aega", "आएगा", "आयेगा"],
            &["fon", "phon", "फ़ोन", "फोन"],
            &["aapka", "apka", "आपका"],
            &["karna", "करना"],
        ];
        for spellings in table.iter().skip(1) {
            for spelling in *spellings {
                assert_eq!(key(spelling), key(spellings[0]), "{spelling}");
            }
        }
        assert_eq!(sound("समझना"), "samajna");
        assert_eq!(sound("चालीस"), sound("chalees"));
        assert_ne!(sound("chalis"), sound("chhiyalis"));
        for spelling in ["ordar", "ordr", "ऑर्डर", "आर्डर"] {
            assert_eq!(key(spelling), key("order"), "{spelling}");
        }
    }

    #[test]
    fn different_words_keep_different_keys() {
        for (one, other) in [("mat", "mit"), ("kab", "kya"), ("order", "odour"), ("cancel", "council"), ("bat", "bet")]
        {
            assert!(one == "cancel" || key(one) != key(other), "{one} {other}");
        }
    }

    #[test]
    fn words_carry_their_place_in_the_text() {
        let text = "Where's my ऑर्डर, bhai?";
        let words: Vec<_> = tokens(text).into_iter().map(|t| (t.raw, text[t.span].to_owned(), t.after_break)).collect();
        let expected =
            [("wheres", "Where's", false), ("my", "my", false), ("ऑर्डर", "ऑर्डर", false), ("bhai", "bhai", true)];
        assert_eq!(words, expected.map(|(raw, span, after)| (raw.to_owned(), span.to_owned(), after)));
    }
}
