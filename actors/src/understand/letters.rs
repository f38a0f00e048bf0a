//! Urdu's letters and those of Devanagari, as spellings that can be compared: a Latin letter for each consonant (capitals for
//! aspirates and for what is spoken with the tongue curled back), `a`, `v`, `y` and a final `e` for the vowels that Urdu
//! writes, nothing for those that it does not.

/// A word with each letter written in one way, and without the marks that most leave out.
pub(super) fn plain(written: &str) -> String {
    let mut word = String::with_capacity(written.len());
    for c in written.chars() {
        match c {
            'ي' | 'ى' | 'ې' => word.push('ی'),
            'ك' => word.push('ک'),
            'ه' | 'ة' | 'ۃ' | 'ۂ' | 'ۀ' | 'ە' => word.push('ہ'),
            'أ' | 'إ' | 'ٱ' => word.push('ا'),
            'ۓ' => word.push_str("ئے"),
            // The hamza above a letter, as a sign of its own.
            '\u{0654}' => drop(word.pop().map(|last| word.push(if last == 'ی' { 'ئ' } else { last }))),
            // Two n at the end: "fauran".
            '\u{064b}' => {
                if word.ends_with('ا') {
                    word.pop();
                }
                word.push('ن');
            }
            '\u{064c}'..='\u{065f}' | '\u{0670}' | '\u{0640}' | '\u{200b}'..='\u{200f}' | 'ء' => {}
            c => word.push(c),
        }
    }
    word
}

/// A consonant's letter in comparable spelling and in Devanagari, and the two of its aspirate.
pub(super) fn consonant(c: char) -> Option<(char, &'static str, char, &'static str)> {
    Some(match c {
        'ب' => ('b', "ब", 'B', "भ"),
        'پ' => ('p', "प", 'P', "फ"),
        'ت' | 'ط' => ('t', "त", 'Z', "थ"),
        'ٹ' => ('T', "ट", 'Q', "ठ"),
        'ث' | 'س' | 'ص' => ('s', "स", 's', "स"),
        'ج' => ('j', "ज", 'J', "झ"),
        'ذ' | 'ز' | 'ژ' | 'ض' | 'ظ' => ('j', "ज़", 'J', "झ"),
        'چ' => ('c', "च", 'C', "छ"),
        'ح' | 'ہ' | 'ھ' => ('h', "ह", 'h', "ह"),
        'خ' => ('K', "ख", 'K', "ख"),
        'د' => ('d', "द", 'X', "ध"),
        'ڈ' => ('D', "ड", 'W', "ढ"),
        'ر' => ('r', "र", 'r', "र"),
        'ڑ' => ('R', "ड़", 'V', "ढ़"),
        'ش' => ('S', "श", 'S', "श"),
        'غ' => ('g', "ग", 'G', "घ"),
        'گ' => ('g', "ग", 'G', "घ"),
        'ف' => ('P', "फ़", 'P', "फ"),
        'ق' => ('k', "क", 'k', "क"),
        'ک' => ('k', "क", 'K', "ख"),
        'ل' => ('l', "ल", 'l', "ल्ह"),
        'م' => ('m', "म", 'm', "म्ह"),
        'ن' => ('n', "न", 'n', "न्ह"),
        _ => return None,
    })
}

/// A word of Devanagari under way.
#[derive(Default)]
pub(super) struct Devanagari(pub(super) String);

impl Devanagari {
    pub(super) fn sign(&mut self, c: char) {
        self.0.push(c);
    }

    pub(super) fn consonant(&mut self, c: char, aspirated: bool) {
        if let Some((_, single, _, aspirate)) = consonant(c) {
            self.0.push_str(if aspirated { aspirate } else { single });
        }
    }

    /// A vowel as the sign of a consonant, or by itself.
    pub(super) fn vowel(&mut self, behind_consonant: bool, sign: char, itself: char) {
        self.0.push(if behind_consonant { sign } else { itself });
    }
}

/// A comparable spelling under way.
#[derive(Default)]
struct Spelling(String);

impl Spelling {
    /// Doubled letters are written once: Urdu marks them with a sign that is left out.
    fn consonant(&mut self, c: char) {
        match self.0.chars().last() {
            Some(last) if last == c => {}
            Some(last) if aspirate_of(last) == Some(c) => {
                self.0.pop();
                self.0.push(c);
            }
            _ => self.0.push(c),
        }
    }
}

fn aspirate_of(c: char) -> Option<char> {
    const PAIRS: [(char, char); 10] = [
        ('b', 'B'),
        ('p', 'P'),
        ('t', 'Z'),
        ('T', 'Q'),
        ('j', 'J'),
        ('c', 'C'),
        ('d', 'X'),
        ('D', 'W'),
        ('g', 'G'),
        ('k', 'K'),
    ];
    PAIRS.iter().find(|(single, _)| *single == c).map(|(_, aspirate)| *aspirate)
}

fn is_vowel_letter(c: Option<char>) -> bool {
    matches!(c, Some('ا' | 'آ' | 'و' | 'ؤ' | 'ی' | 'ے' | 'ئ'))
}

/// The comparable spelling of a [`plain`] word of Urdu.
pub(super) fn of_urdu(word: &str) -> String {
    let letters: Vec<char> = word.chars().collect();
    let mut spelling = Spelling::default();
    let mut skip = false;
    for (at, &c) in letters.iter().enumerate() {
        if std::mem::take(&mut skip) {
            continue;
        }
        let before = at.checked_sub(1).map(|at| letters[at]);
        let next = letters.get(at + 1).copied();
        let written = match c {
            'آ' if at == 0 => Some('A'),
            'ع' if at == 0 && next == Some('ا') => {
                skip = true;
                Some('A')
            }
            'ع' if at > 0 && (is_vowel_letter(before) || is_vowel_letter(next)) => None,
            'ا' | 'آ' | 'ع' => Some('a'),
            'ہ' | 'ح' if next.is_none() && at > 0 && !is_vowel_letter(before) => Some('a'),
            'و' | 'ؤ' => Some('v'),
            'ی' => Some('y'),
            'ے' if next.is_none() => Some('e'),
            'ے' => Some('y'),
            'ئ' if next == Some('ی') || (next == Some('ے') && is_vowel_letter(before)) => None,
            'ئ' => Some('y'),
            'ں' => Some('n'),
            c => {
                if let Some((single, _, aspirate, _)) = consonant(c) {
                    skip = next == Some('ھ');
                    spelling.consonant(if skip { aspirate } else { single });
                }
                None
            }
        };
        spelling.0.extend(written);
    }
    spelling.0
}

/// What of a word of Devanagari was written last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Nothing,
    Consonant,
    Vowel,
}

/// The comparable spelling of a word of Devanagari, as Urdu would write it.
pub(super) fn of_devanagari(word: &str) -> String {
    let letters: Vec<char> = word.chars().filter(|c| *c != '\u{093c}').collect();
    let dotted = dots(word);
    let mut spelling = Spelling::default();
    let mut last = Last::Nothing;
    for (at, &c) in letters.iter().enumerate() {
        let is_end = at + 1 == letters.len();
        if let Some(letter) = devanagari_consonant(c, dotted.contains(&at)) {
            let silent = c == 'ह' && is_end && last == Last::Consonant;
            // "Rupaye" and "rupae" are one word, which Urdu writes in one way.
            let glide = c == 'य' && last == Last::Vowel && letters.get(at + 1) == Some(&'े');
            match (silent, glide) {
                (true, _) => spelling.0.push('a'),
                (_, true) => {}
                _ => spelling.consonant(letter),
            }
            last = Last::Consonant;
            continue;
        }
        let written = match (c, last) {
            ('अ' | 'इ' | 'उ', Last::Nothing) => "a",
            ('आ' | 'ऑ', Last::Nothing) => "A",
            ('ए', Last::Nothing) if is_end => "ae",
            ('ई' | 'ए' | 'ऐ' | 'ऍ', Last::Nothing) => "ay",
            ('ऊ' | 'ओ' | 'औ', Last::Nothing) => "av",
            ('ए', Last::Vowel) if is_end => "e",
            ('ए', _) if is_end => "ye",
            ('इ' | 'ई' | 'ए' | 'ऐ', _) | ('ी' | 'ॅ', _) => "y",
            ('उ' | 'ऊ' | 'ओ' | 'औ', _) | ('ू' | 'ो' | 'ौ', _) => "v",
            ('आ' | 'अ' | 'ऑ', _) | ('ा' | 'ॉ', _) => "a",
            ('े' | 'ै', _) if is_end => "e",
            ('े' | 'ै', _) => "y",
            ('ृ', _) => "r",
            ('ं' | 'ँ', _) => "n",
            _ => continue,
        };
        spelling.0.push_str(written);
        last = if matches!(c, 'ं' | 'ँ' | 'ृ') { last } else { Last::Vowel };
    }
    spelling.0
}

/// Places of letters with a dot below, counted without the dots.
fn dots(word: &str) -> Vec<usize> {
    let dots = word.chars().enumerate().filter(|(_, c)| *c == '\u{093c}');
    dots.enumerate().map(|(before, (at, _))| at.saturating_sub(before + 1)).collect()
}

fn devanagari_consonant(c: char, dotted: bool) -> Option<char> {
    Some(match c {
        'क' => 'k',
        'ख' => 'K',
        'ग' => 'g',
        'घ' => 'G',
        'च' => 'c',
        'छ' => 'C',
        'ज' => 'j',
        'झ' => 'J',
        'ट' => 'T',
        'ठ' => 'Q',
        'ड' => {
            if dotted {
                'R'
            } else {
                'D'
            }
        }
        'ढ' => {
            if dotted {
                'V'
            } else {
                'W'
            }
        }
        'ङ' | 'ञ' | 'ण' | 'न' => 'n',
        'त' => 't',
        'थ' => 'Z',
        'द' => 'd',
        'ध' => 'X',
        'प' => 'p',
        'फ' => 'P',
        'ब' => 'b',
        'भ' => 'B',
        'म' => 'm',
        'य' => 'y',
        'र' => 'r',
        'ल' | 'ळ' => 'l',
        'व' => 'v',
        'श' | 'ष' => 'S',
        'स' => 's',
        'ह' => 'h',
        _ => return None,
    })
}

/// The consonants of a spelling, and whether it begins with a vowel.
pub(super) fn spelled_out(spelling: &str) -> String {
    let vowel_first = spelling.starts_with(['a', 'A']);
    vowel_first.then_some('a').into_iter().chain(spelling.chars().filter(|c| !"aAvye".contains(*c))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_spelled_alike_in_both_scripts() {
        for (urdu, devanagari) in [
            ("میرا", "मेरा"),
            ("چاہیے", "चाहिए"),
            ("چاہئے", "चाहिए"),
            ("اچھا", "अच्छा"),
            ("گئی", "गई"),
            ("گئے", "गए"),
            ("جائے", "जाए"),
            ("کوئی", "कोई"),
            ("آؤں", "आऊँ"),
            ("جگہ", "जगह"),
            ("بارہ", "बारह"),
            ("ڈیڑھ", "डेढ़"),
            ("ٹائم", "टाइम"),
            ("ڈاکٹر", "डॉक्टर"),
            ("پندرہ", "पंद्रह"),
            ("ایڈریس", "एड्रेस"),
            ("معلوم", "मालूम"),
            ("کيجيے", "कीजिए"),
        ] {
            assert_eq!(of_urdu(&plain(urdu)), of_devanagari(devanagari), "{urdu} {devanagari}");
        }
    }
}
