//! Number words of English and Hindi, spoken digit by digit or in larger pieces, as digits.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::fold::{Token, key};

/// One word of a spoken number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Numeral {
    /// 0 to 99. English tens take a further digit: *forty two*.
    Small { value: u32, english: bool },
    /// *hundred*, *sau*.
    Hundred,
    /// *thousand*, *hazaar*.
    Thousand,
    /// *double*, *triple*: how often the next digit is meant.
    Repeat(usize),
}

/// 0 to 10 by exact spelling: their keys would catch half the language (`do`, `no`, `so`).
const EXACT: [(u32, bool, &str); 22] = [
    (0, true, "zero oh nil nought"),
    (1, true, "one"),
    (2, true, "two"),
    (3, true, "three"),
    (4, true, "four"),
    (5, true, "five"),
    (6, true, "six"),
    (7, true, "seven"),
    (8, true, "eight"),
    (9, true, "nine"),
    (10, true, "ten"),
    (0, false, "shunya shoonya sunya zeero jiro शून्य ज़ीरो जीरो"),
    (1, false, "ek एक वन"),
    (2, false, "do दो टू"),
    (3, false, "teen tin तीन थ्री"),
    (4, false, "char chaar चार फोर"),
    (5, false, "paanch panch पांच पाँच फाइव"),
    (6, false, "chhe che chhah chah chhai छह छः छे सिक्स"),
    (7, false, "saat सात सेवन"),
    (8, false, "aath आठ एट"),
    (9, false, "nau नौ नाइन"),
    (10, false, "das dus दस टेन"),
];

/// 11 to 90 in English.
const ENGLISH: [(u32, &str); 17] = [
    (11, "eleven"),
    (12, "twelve"),
    (13, "thirteen"),
    (14, "fourteen"),
    (15, "fifteen"),
    (16, "sixteen"),
    (17, "seventeen"),
    (18, "eighteen"),
    (19, "nineteen"),
    (20, "twenty"),
    (30, "thirty"),
    (40, "forty fourty"),
    (50, "fifty"),
    (60, "sixty"),
    (70, "seventy"),
    (80, "eighty"),
    (90, "ninety"),
];

/// 11 to 99 in Hindi, in order.
const HINDI: &str = "gyarah barah terah chaudah pandrah solah satrah atharah unnis bees \
    ikkis bais teis chaubis pachis chhabbis sattais atthais untis tees \
    ikattis battis taintis chauntis paintis chhattis saintis adtis untalis chalis \
    iktalis bayalis taintalis chavalis paintalis chhiyalis saintalis adtalis unchas pachas \
    ikyavan bavan tirpan chauvan pachpan chhappan sattavan atthavan unsath साठ \
    iksath basath tirsath chaunsath painsath chhiyasath sadsath adsath unhattar sattar \
    ikhattar bahattar tihattar chauhattar pachhattar chhihattar satahattar athhattar unyasi assi \
    ikyasi bayasi tirasi chaurasi pachasi chhiyasi sattasi atthasi navasi nabbe \
    ikyanve banve tiranve chauranve pachanve chhiyanve sattanve atthanve ninyanve";

struct Words {
    exact: HashMap<&'static str, Numeral>,
    keys: HashMap<String, Numeral>,
}

static WORDS: LazyLock<Words> = LazyLock::new(|| {
    let small = |value, english| Numeral::Small { value, english };
    let mut exact: HashMap<&'static str, Numeral> = EXACT
        .iter()
        .flat_map(|&(value, english, words)| words.split(' ').map(move |word| (word, small(value, english))))
        .collect();
    for (words, numeral) in [
        ("double डबल dubble", Numeral::Repeat(2)),
        ("triple tripple ट्रिपल", Numeral::Repeat(3)),
        ("hundred sau सौ", Numeral::Hundred),
        ("thousand hazaar hazar हज़ार हजार", Numeral::Thousand),
    ] {
        exact.extend(words.split(' ').map(|word| (word, numeral)));
    }
    for (value, words) in ENGLISH {
        exact.extend(words.split(' ').map(|word| (word, small(value, true))));
    }
    let keys = HINDI.split_whitespace().zip(11..).map(|(word, value)| (key(word), small(value, false))).collect();
    Words { exact, keys }
});

/// Reads a word as part of a spoken number.
pub(super) fn numeral(token: &Token) -> Option<Numeral> {
    // A precomposed and a combined nukta are the same letter.
    WORDS.exact.get(token.raw.as_str()).or_else(|| WORDS.keys.get(&token.key)).copied()
}

/// The digits of a spoken number: `one zero double four` is `1044`, `ten forty two` is `1042`, `one thousand forty two` is
/// `1042`. `None` when the words make no number.
pub(super) fn digits(words: &[Numeral]) -> Option<String> {
    let mut digits = String::new();
    let mut at = 0;
    while let Some(&word) = words.get(at) {
        match word {
            Numeral::Repeat(times) => {
                let Some(Numeral::Small { value: value @ 0..=9, .. }) = words.get(at + 1) else { return None };
                digits.push_str(&value.to_string().repeat(times));
                at += 2;
            }
            Numeral::Small { .. } => {
                let (value, taken) = spoken(&words[at..]);
                digits.push_str(&value.to_string());
                at += taken;
            }
            Numeral::Hundred | Numeral::Thousand => return None,
        }
    }
    (!digits.is_empty()).then_some(digits)
}

/// One number that is said as a whole, and how many words it took.
fn spoken(words: &[Numeral]) -> (u32, usize) {
    let (mut value, mut at) = below_hundred(words);
    let mut total = 0;
    if words.get(at) == Some(&Numeral::Thousand) {
        total = value * 1000;
        at += 1;
        let (rest, taken) = below_hundred(&words[at..]);
        (value, at) = (rest, at + taken);
    }
    if words.get(at) == Some(&Numeral::Hundred) && value > 0 {
        total += value * 100;
        at += 1;
        let (rest, taken) = below_hundred(&words[at..]);
        (value, at) = (rest, at + taken);
    }
    (total + value, at)
}

fn below_hundred(words: &[Numeral]) -> (u32, usize) {
    match words {
        [
            Numeral::Small { value: tens @ 20..=90, english: true },
            Numeral::Small { value: ones @ 1..=9, english: true },
            ..,
        ] if tens % 10 == 0 => (tens + ones, 2),
        [Numeral::Small { value, .. }, ..] => (*value, 1),
        _ => (0, 0),
    }
}
