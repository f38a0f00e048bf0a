//! Hindi that was written down in a neighbour of Devanagari. Those scripts have the same letters at the same places of
//! their blocks of Unicode, but for a few that are written in another way.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::fold::plain;

const WORDS: &str = include_str!("devanagari.txt");

/// Where each script's block begins: Bengali, Gurmukhi, Gujarati, Odia, Telugu, Kannada, Malayalam. Tamil has one letter for
/// four consonants of Hindi, so it is not among them.
const BLOCKS: [u32; 7] = [0x0980, 0x0a00, 0x0a80, 0x0b00, 0x0c00, 0x0c80, 0x0d00];
const BLOCK: u32 = 0x80;
const DEVANAGARI: u32 = 0x0900;

/// Words whose spelling by sound leads nowhere, as they come out letter by letter.
const IRREGULAR: [(&str, &str); 12] = [
    ("ह्याँ", "हाँ"),
    ("ह्यां", "हाँ"),
    ("हे", "है"),
    ("हैन", "हैं"),
    ("नहि", "नहीं"),
    ("नेहि", "नहीं"),
    ("मै", "मैं"),
    ("मे", "में"),
    ("ऐक", "एक"),
    ("जि", "जी"),
    ("हु", "हूँ"),
    ("हूं", "हूँ"),
];

/// Who is written down as a speaker of Gujarati says "is", which letter by letter is a six.
const GUJARATI_IS: &str = "છે";

pub(super) fn is_brahmic(c: char) -> bool {
    block(c).is_some()
}

fn block(c: char) -> Option<u32> {
    BLOCKS.into_iter().find(|start| (*start..*start + BLOCK).contains(&u32::from(c)))
}

/// By their sound with the long vowels told apart from none, words of callers as they are spelled.
static SPELLED: LazyLock<HashMap<String, &'static str>> = LazyLock::new(|| {
    let mut spelled = HashMap::new();
    for word in WORDS.split_whitespace() {
        spelled.entry(plain(word)).or_insert(word);
    }
    spelled
});
static KNOWN: LazyLock<std::collections::HashSet<&'static str>> = LazyLock::new(|| WORDS.split_whitespace().collect());

/// One word in Devanagari, spelled as usual where it is a usual word.
pub(super) fn word(written: &str) -> String {
    if written == GUJARATI_IS {
        return "है".to_owned();
    }
    let mut word = String::with_capacity(written.len());
    written.chars().for_each(|c| letter(c, &mut word));
    if let Some((_, usual)) = IRREGULAR.iter().find(|(one, _)| *one == word) {
        return (*usual).to_owned();
    }
    if KNOWN.contains(word.as_str()) {
        return word;
    }
    SPELLED.get(&plain(&word)).map_or(word, |usual| (*usual).to_owned())
}

fn letter(c: char, word: &mut String) {
    match c {
        // Malayalam's consonants without a vowel.
        'ൺ' => word.push_str("ण्"),
        'ൻ' => word.push_str("न्"),
        'ർ' => word.push_str("र्"),
        'ൽ' | 'ൾ' => word.push_str("ल्"),
        'ৎ' => word.push_str("त्"),
        'ৰ' => word.push('र'),
        'ৱ' | 'ୱ' => word.push('व'),
        'য' | '\u{09df}' | 'ୟ' => word.push('य'),
        // Gurmukhi: a nasal, a doubled letter, and the bearers of vowels.
        'ੰ' => word.push('ं'),
        'ੱ' => {}
        'ੲ' => word.push('इ'),
        'ੳ' => word.push('उ'),
        c => {
            let Some(start) = block(c) else { return word.push(c) };
            let place = DEVANAGARI + (u32::from(c) - start);
            match place {
                // The short e and o of the south.
                0x090e => word.push('ए'),
                0x0912 => word.push('ओ'),
                0x0946 => word.push('े'),
                0x094a => word.push('ो'),
                0x0966..=0x096f => word.extend(char::from_digit(place - 0x0966, 10)),
                _ => word.extend(char::from_u32(place)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_neighbours_come_out_in_devanagari_as_they_are_usually_spelled() {
        let table = [
            ("ઓર્ડર", "ऑर्डर"),
            ("નહીં", "नहीं"),
            ("કેન્સલ", "केंसल"),
            ("મેરા", "मेरा"),
            ("૧૦૪૨", "1042"),
            ("ਮੇਰਾ", "मेरा"),
            ("ਕਿੱਥੇ", "किथे"),
            ("ਹਾਂ", "हां"),
            ("হ্যাঁ", "हाँ"),
            ("মেরা", "मेरा"),
            ("ଅର୍ଡର", "आर्डर"),
            ("ఆర్డర్", "आर्डर"),
            ("ಮೇರಾ", "मेरा"),
            ("മേരാ", "मेरा"),
        ];
        let wrong: Vec<_> = table.iter().filter(|(written, expected)| word(written) != *expected).collect();
        assert!(
            wrong.is_empty(),
            "{:?}",
            wrong.iter().map(|(written, _)| (written, word(written))).collect::<Vec<_>>()
        );
    }
}
