//! The words that numbers and questions for secrets are made of, in English, Hindi and romanised Hindi.

use std::collections::HashMap;
use std::sync::LazyLock;

use caly_actors::understand::script::HINDI_NUMBERS;

/// What a word means to the redactor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Said {
    /// 0 to 9.
    Digit(u8),
    /// 10 to 99.
    Pair(u8),
    /// 20 to 90 in English, which take a further digit: *forty two*.
    Tens(u8),
    /// *double*, *triple*.
    Repeat(usize),
    /// *hundred*, *thousand*: a quantity, never a part of a card's number.
    Scale,
    /// Asks for, or announces, a one-time password or the like, by itself.
    Code,
    /// *card*, *debit*, …
    Card,
    /// *aadhaar*.
    Aadhaar,
    /// Said before a number that is no secret, or right after it: orders, amounts.
    Subject,
    /// Said right after a number that is no secret: times, weights.
    Unit,
    /// Said between digits without a meaning.
    Filler,
}

const DIGITS: [&str; 10] = [
    "zero oh o nil nought shunya shoonya sunya zeero jiro शून्य ज़ीरो जीरो सिफर",
    "one ek एक वन",
    "two do दो टू",
    "three teen tin तीन थ्री",
    "four char chaar चार फोर",
    "five paanch panch पांच पाँच फाइव",
    "six chhe che chhah chah chhai छह छः छे छै सिक्स",
    "seven saat सात सेवन",
    "eight aath आठ एट",
    "nine nau नौ नाइन",
];

/// 10 to 19 in English, then the tens.
const ENGLISH: &str = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen";
const ENGLISH_TENS: [&str; 8] = ["twenty", "thirty", "forty fourty", "fifty", "sixty", "seventy", "eighty", "ninety"];

/// 10 to 99, as they are usually written in Latin letters.
const HINDI_LATIN: &str = "das gyarah barah terah chaudah pandrah solah satrah atharah unnis bees \
    ikkis bais teis chaubis pachis chhabbis sattais atthais untis tees \
    ikattis battis taintis chauntis paintis chhattis saintis adtis untalis chalis \
    iktalis bayalis taintalis chavalis paintalis chhiyalis saintalis adtalis unchas pachas \
    ikyavan bavan tirpan chauvan pachpan chhappan sattavan atthavan unsath saath \
    iksath basath tirsath chaunsath painsath chhiyasath sadsath adsath unhattar sattar \
    ikhattar bahattar tihattar chauhattar pachhattar chhihattar satahattar athhattar unyasi assi \
    ikyasi bayasi tirasi chaurasi pachasi chhiyasi sattasi atthasi navasi nabbe \
    ikyanve banve tiranve chauranve pachanve chhiyanve sattanve atthanve ninyanve";

const OTHERS: [(&str, Said); 9] = [
    ("double dubble डबल", Said::Repeat(2)),
    ("triple tripple ट्रिपल", Said::Repeat(3)),
    ("hundred sau सौ thousand hazaar hazar हज़ार हजार lakh लाख", Said::Scale),
    ("otp otps cvv cvc passcode mpin ओटीपी ओटिपी ओटीपि सीवीवी सीवीसी पासकोड एमपिन", Said::Code),
    ("card cards कार्ड debit credit डेबिट क्रेडिट visa mastercard rupay रुपे", Said::Card),
    ("aadhaar aadhar adhaar adhar uid आधार", Said::Aadhaar),
    (
        "order orders ordr ऑर्डर आर्डर invoice bill awb tracking consignment parcel पार्सल shipment docket ticket \
         booking pnr pincode पिनकोड amount price rs inr balance refund",
        Said::Subject,
    ),
    (
        "rupee rupees rupaye रुपये रुपए रुपया paise baje बजे minute minutes min mins मिनट second seconds sec ms hour hours \
         ghante ghanta घंटे day days din दिन week weeks month months mahine year years saal साल date tareekh तारीख \
         january february march april june july august september october november december km kg gram percent \
         item items piece pieces kilo times baar बार log लोग",
        Said::Unit,
    ),
    ("and aur और then phir फिर um umm uh ji जी comma space dash हाइफन", Said::Filler),
];

struct Words {
    meanings: HashMap<String, Said>,
    /// For every first letter, the last letters of the words that matter in a log line.
    endings: [u32; 26],
}

static WORDS: LazyLock<Words> = LazyLock::new(|| {
    let mut meanings = HashMap::new();
    let mut add = |words: &str, said: Said| {
        for word in words.split_whitespace() {
            meanings.entry(folded(word)).or_insert(said);
        }
    };
    for (value, words) in (0..).zip(DIGITS) {
        add(words, Said::Digit(value));
    }
    for (value, words) in (2..).zip(ENGLISH_TENS) {
        add(words, Said::Tens(value * 10));
    }
    let hindi = std::iter::once("दस").chain(HINDI_NUMBERS.split_whitespace());
    for (value, word) in [ENGLISH, HINDI_LATIN].into_iter().flat_map(|list| (10..).zip(list.split_whitespace())) {
        add(word, Said::Pair(value));
    }
    for (value, word) in (10..).zip(hindi) {
        add(word, Said::Pair(value));
    }
    for (words, said) in OTHERS {
        add(words, said);
    }
    let mut endings = [0_u32; 26];
    let numbers = meanings.iter().filter(|(_, said)| starts_something(**said)).map(|(word, _)| word.as_str());
    for word in numbers.chain(CUES).map(str::as_bytes) {
        if let (Some(first), Some(last)) = (letter(word.first()), letter(word.last())) {
            endings[first] |= 1 << last;
        }
    }
    Words { meanings, endings }
});

fn letter(byte: Option<&u8>) -> Option<usize> {
    byte.map(u8::to_ascii_lowercase).filter(u8::is_ascii_lowercase).map(|b| usize::from(b - b'a'))
}

fn starts_something(said: Said) -> bool {
    !matches!(said, Said::Subject | Said::Unit | Said::Filler | Said::Scale)
}

/// Lower case; the signs that Devanagari is written with or without are left out.
pub(super) fn folded(word: &str) -> String {
    let plain = |c: char| match c {
        '\u{093c}' | '\u{200c}' | '\u{200d}' => None,
        '\u{0901}' => Some('\u{0902}'),
        '\u{095b}' => Some('ज'),
        '\u{095c}' => Some('ड'),
        other => Some(other.to_ascii_lowercase()),
    };
    word.chars().filter_map(plain).collect()
}

/// What a word, as [`folded`], means.
pub(super) fn said(word: &str) -> Option<Said> {
    WORDS.meanings.get(word).copied()
}

/// How much a word of a log line asks for a closer look, where [`ENOUGH`] is reason for one: a word of a number alone
/// is none, three of them are. Nothing is allocated, and most words cost a few nanoseconds.
pub(super) fn weight(word: &[u8]) -> u8 {
    let (Some(first), Some(last)) = (letter(word.first()), letter(word.last())) else { return 0 };
    let words = &*WORDS;
    if word.len() > LONGEST || words.endings[first] & (1 << last) == 0 {
        return 0;
    }
    let mut lower = [0; LONGEST];
    let lower = &mut lower[..word.len()];
    lower.copy_from_slice(word);
    lower.make_ascii_lowercase();
    let Ok(word) = std::str::from_utf8(lower) else { return 0 };
    match words.meanings.get(word) {
        Some(Said::Code | Said::Card | Said::Aadhaar) => ENOUGH,
        Some(Said::Digit(_) | Said::Pair(_) | Said::Tens(_)) => 1,
        Some(Said::Repeat(_)) => 2,
        _ if CUES.contains(&word) => ENOUGH,
        _ => 0,
    }
}

/// Reason enough for a closer look.
pub(super) const ENOUGH: u8 = 3;
/// Longest word in Latin letters that means something.
const LONGEST: usize = 12;
/// Words that ask for a secret with others: *verification code*, *UPI PIN*, *at the rate*, *C V V*.
const CUES: [&str; 5] = ["password", "code", "pin", "rate", "v"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_words_mean_their_value_in_each_script() {
        for (word, value) in [
            ("ninyanve", 99),
            ("निन्यानवे", 99),
            ("बीस", 20),
            ("bees", 20),
            ("साठ", 60),
            ("पचास", 50),
            ("chalis", 40),
            ("ten", 10),
        ] {
            assert_eq!(said(&folded(word)), Some(Said::Pair(value)), "{word}");
        }
        for (word, value) in [("Zero", 0), ("पाँच", 5), ("पांच", 5), ("ज़ीरो", 0), ("teen", 3), ("छः", 6)]
        {
            assert_eq!(said(&folded(word)), Some(Said::Digit(value)), "{word}");
        }
    }

    #[test]
    fn the_quick_look_misses_no_word() {
        assert!(CUES.iter().all(|word| weight(word.as_bytes()) == ENOUGH));
        assert_eq!((weight(b"cancel"), weight(b"sent"), weight(b"code")), (0, 0, ENOUGH));
        for (word, said) in &WORDS.meanings {
            let latin = word.is_ascii() && starts_something(*said);
            assert!(!latin || weight(word.to_ascii_uppercase().as_bytes()) > 0, "{word}");
        }
    }
}
