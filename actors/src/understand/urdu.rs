//! Hindi that was written down in Urdu's letters, word by word in Devanagari.
//!
//! Urdu writes no short vowels, so a word is looked for first: the words that callers use ([`WORDS`], most frequent first)
//! are spelled as Urdu spells them, and the first that is spelled alike is the word. What is no such word is transcribed
//! letter by letter ([`spell`]): its consonants are right and its short vowels missing, which is enough for `fold`.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::letters::{Devanagari, consonant, of_devanagari, of_urdu, plain, spelled_out};

/// Words of callers in Devanagari, the frequent ones first.
const WORDS: &str = include_str!("devanagari.txt");

/// Words that no rule gets right: as they are meant, and as they are written.
#[rustfmt::skip]
const IRREGULAR: &[(&str, &str)] = &[
    ("लिए", "لیے لئے لئیے لیئے"), ("के लिए", "کیلئے کیلیے"), ("दिए", "دیے دئے دیئے"), ("किए", "کیے کئے کیئے"),
    ("हुआ", "ہوا"), ("हुई", "ہوئی"), ("हुए", "ہوئے"), ("कि", "کہ"), ("ना", "نہ"), ("ये", "یہ"), ("वो", "وہ"), ("हाँ", "ہاں"),
    ("छह", "چھ چھے چھہ"), ("सौ", "سو"), ("नौ", "نو"), ("रुपये", "روپے روپئے روپیے روپیئے روپۓ"), ("रुपया", "روپیہ روپیا"),
    ("शून्य", "شونیہ شونیا شنیہ"), ("सिफर", "صفر"), ("ज़ीरो", "زیرو جیرو"), ("हफ्ता", "ہفتہ"), ("हफ्ते", "ہفتے"), ("जुम्मा", "جمعہ جمعے"),
    ("उसने", "اسنے"), ("उसको", "اسکو"), ("उसका", "اسکا"), ("उसकी", "اسکی"), ("उसके", "اسکے"), ("इसमें", "اسمیں"),
    ("मुझे", "مجھے"), ("तुम्हें", "تمہیں تمھیں"), ("उन्हें", "انہیں انھیں"), ("हमें", "ہمیں"), ("फिर", "پھر"), ("फिर से", "پھرسے"),
    ("कुछ", "کچھ"), ("दुकान", "دکان دوکان"), ("दोबारा", "دوبارہ دبارہ"), ("पता", "پتہ پتا"), ("पते", "پتے"), ("जगह", "جگہ"),
    ("सुबह", "صبح"), ("दोपहर", "دوپہر"), ("शाम", "شام"), ("रात", "رات"), ("बाद", "بعد"), ("पहले", "پہلے"), ("शुरू", "شروع"),
    ("मालूम", "معلوم"), ("माफ", "معاف"), ("शुक्रिया", "شکریہ"), ("धन्यवाद", "دھنیواد دھنیہ‌واد دھنیاواد"), ("बात", "بات"),
    ("इंतज़ार", "انتظار"), ("वक्त", "وقت"), ("ज़रूरत", "ضرورت"), ("ज़रूर", "ضرور"), ("बिल्कुल", "بالکل بلکل بلکول"), ("सही", "صحیح سہی"),
    ("साहब", "صاحب"), ("खत्म", "ختم"), ("गलत", "غلط"), ("मतलब", "مطلب"), ("तरफ", "طرف"), ("तारीख", "تاریخ"), ("मंगल", "منگل"),
    ("ज्यादा", "زیادہ"), ("काफी", "کافی"), ("वापस", "واپس"), ("वापसी", "واپسی"), ("खराब", "خراب"), ("शिकायत", "شکایت"),
    ("रद्द", "رد ردّ"), ("कैंसिल", "کینسل کینسیل کنسل کینسلڈ منسوخ"), ("ऑर्डर", "آرڈر ارڈر اورڈر آرڑر"), ("डॉक्टر", ""),
    ("अपॉइंटमेंट", "اپائنٹمنٹ اپوائنٹمنٹ اپائنمنٹ اپوائنمنٹ اپائمنٹ اپوائنٹمینٹ اپائنٹمینٹ اپوئنٹمنٹ اپائٹمنٹ آپائنٹمنٹ"),
    ("डिलीवरी", "ڈیلیوری ڈلیوری ڈلیوری ڈیلوری ڈلوری"), ("पेमेंट", "پیمنٹ پےمنٹ پیمینٹ"), ("स्टेटस", "اسٹیٹس سٹیٹس اسٹیٹاس"),
    ("रिफंड", "ریفنڈ رفنڈ ریفند"), ("रिटर्न", "ریٹرن رٹرن"), ("प्रोडक्ट", "پروڈکٹ پراڈکٹ"), ("एक्सचेंज", "ایکسچینج"),
    ("मैनेजर", "مینیجر منیجر مینجر"), ("कस्टमर", "کسٹمر"), ("सर्विस", "سروس"), ("क्लिनिक", "کلینک کلنک"), ("रिशेड्यूल", "ریشیڈول ریشیڈیول ری‌شیڈول"),
    ("कन्फर्म", "کنفرم کنفارم"), ("कनेक्ट", "کنیکٹ کنکٹ"), ("एड्रेस", "ایڈریس اڈریس"), ("पार्सल", "پارسل"), ("कूरियर", "کوریئر کورئیر کوریر"),
    ("हैलो", "ہیلو ہلو"), ("ओके", "اوکے اوکے"), ("थैंक्यू", "تھینکیو تھینک‌یو"), ("थैंक", "تھینک"), ("यू", "یو"), ("प्लीज", "پلیز"), ("सॉरी", "سوری"),
    ("टाइम", "ٹائم ٹائیم"), ("मिनट", "منٹ"), ("मोबाइल", "موبائل"), ("नंबर", "نمبر نمبرر"), ("अंग्रेजी", "انگریزی"), ("इंग्लिश", "انگلش"),
    ("एक्सट्रा", "ایکسٹرا"), ("यूपीआई", "یوپی‌آئی یوپیآئی"), ("आई", "آئی"), ("ओटीपी", "اوٹی‌پی اوٹیپی"), ("व्हाट्सएप", "واٹس‌ایپ واٹسایپ واٹساپ"),
    ("दवाई", "دوائی"), ("दवा", "دوا"), ("इलाज", "علاج"), ("तबीयत", "طبیعت"), ("बुखार", "بخار"), ("दर्द", "درد"), ("पेट", "پیٹ"),
    ("चीनी", "چینی"), ("चावल", "چاول"), ("दाल", "دال"), ("आटा", "آٹا"), ("दूध", "دودھ"), ("तेल", "تیل"), ("घी", "گھی"), ("नमक", "نمک"),
    ("चाय", "چائے"), ("पानी", "پانی"), ("फूल", "پھول"), ("गुलाब", "گلاب"), ("गुलदस्ता", "گلدستہ"), ("किलो", "کلو"), ("पैकेट", "پیکٹ پیکیٹ"),
    ("लीटर", "لیٹر"), ("दर्जन", "درجن"), ("माला", "مالا"), ("मिठाई", "مٹھائی"), ("कपड़े", "کپڑے"), ("जूते", "جوتے"), ("साड़ी", "ساڑھی ساڑی"),
    ("तीन", "تین"), ("चार", "چار"), ("बीस", "بیس"), ("साठ", "ساٹھ"), ("सात", "سات"), ("ढाई", "ڈھائی"), ("डेढ़", "ڈیڑھ"),
    ("बदल", "بدل"), ("बदलना", "بدلنا"), ("बस", "بس"), ("मत", "مت"), ("इतवार", "اتوار"), ("सोमवार", "سوموار"), ("नहीं", "نہیں نہی نھیں"),
    ("रहने", "رہنے"), ("चलेगा", "چلیگا"), ("अच्छा", "اچھا"), ("ठीक", "ٹھیک"), ("बजे", "بجے"), ("बज", "بج"), ("साढ़े", "ساڑھے"), ("मुलाकात", "ملاقات"),
    ("गाड़ी", "گاڑی"), ("इंतजाम", "انتظام"), ("कीमत", "قیمت"), ("मर्जी", "مرضی"), ("मना", "منع"), ("फोन", "فون"), ("जवाब", "جواب"), ("सवाल", "سوال"),
    ("कृपया", "کرپیا کرپیہ"), ("बजकर", "بجکر"), ("कार्ड", "کارڈ"), ("एक", "ایک اک"), ("में", "میں"), ("नमस्ते", "نمستے نمستہ"),
    ("पिन", "پن"), ("कोड", "کوڈ"), ("बिल", "بل"), ("ऑफिस", "آفس"), ("ज़रा", "ذرا"), ("जल्दी", "جلدی"), ("कमल", "کمل"), ("मरीज", "مریض"),
    ("हजार", "ہزار"), ("आदमी", "آدمی"), ("इंसान", "انسان"), ("आवाज", "آواز"), ("कर्मचारी", "کرمچاری"), ("क्या", "کیا"), ("आधा", "آدھا"),
    ("बाय", "بائے بای"), ("टूटा", "ٹوٹا"), ("सामान", "سامان"), ("हिंदी", "ہندی"), ("भैया", "بھیا بھئیا"), ("कस्टमर केयर", "کسٹمرکیئر"), ("केयर", "کیئر کئیر"),
];

/// Fewest consonants of a word that is found by them alone: English words are spelled in many ways.
const CONSONANTS_MIN: usize = 4;

struct Lexicon {
    irregular: HashMap<String, &'static str>,
    spelled: HashMap<String, &'static str>,
    consonants: HashMap<String, &'static str>,
}

static LEXICON: LazyLock<Lexicon> = LazyLock::new(|| {
    let irregular =
        IRREGULAR.iter().flat_map(|(word, written)| written.split_whitespace().map(move |one| (one, *word)));
    let mut lexicon = Lexicon {
        irregular: irregular.map(|(written, word)| (plain(written), word)).collect(),
        spelled: HashMap::new(),
        consonants: HashMap::new(),
    };
    // Urdu parts what ends in *ga* in two.
    let stems =
        WORDS.split_whitespace().filter_map(|word| ["गा", "गी", "गे"].iter().find_map(|end| word.strip_suffix(end)));
    for word in WORDS.split_whitespace().chain(stems) {
        let spelled = of_devanagari(word);
        let consonants = spelled_out(&spelled);
        if consonants.chars().filter(|c| *c != 'a').count() >= CONSONANTS_MIN {
            lexicon.consonants.entry(consonants).or_insert(word);
        }
        lexicon.spelled.entry(spelled).or_insert(word);
    }
    lexicon
});

/// One word in Urdu's letters, in Devanagari.
pub(super) fn word(written: &str) -> String {
    let written = plain(written);
    let lexicon = &*LEXICON;
    if let Some(word) = lexicon.irregular.get(&written) {
        return (*word).to_owned();
    }
    let spelled = of_urdu(&written);
    let known = lexicon.spelled.get(&spelled).or_else(|| {
        let consonants = spelled_out(&spelled);
        let enough = consonants.chars().filter(|c| *c != 'a').count() >= CONSONANTS_MIN;
        lexicon.consonants.get(&consonants).filter(|_| enough)
    });
    known.map_or_else(|| spell(&written), |word| (*word).to_owned())
}

/// What was written last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Nothing,
    Consonant,
    Vowel,
}

/// Letter by letter, for words nobody has listed: names, mostly.
fn spell(written: &str) -> String {
    let letters: Vec<char> = written.chars().collect();
    let english = letters.iter().any(|c| matches!(c, 'ٹ' | 'ڈ'));
    let mut word = Devanagari::default();
    let (mut at, mut last) = (0, Last::Nothing);
    while at < letters.len() {
        let next = letters.get(at + 1).copied();
        let after = letters.get(at + 2).copied();
        let taken;
        (last, taken) = match letters[at] {
            c if consonant(c).is_some() && !is_a_at_the_end(c, next, last) => {
                let aspirated = next == Some('ھ');
                word.consonant(c, aspirated);
                (Last::Consonant, 1 + usize::from(aspirated))
            }
            'ا' | 'آ' | 'ع' if last == Last::Nothing => initial(letters[at], next, after, &mut word),
            'ا' | 'آ' => {
                word.vowel(last == Last::Consonant, 'ा', 'आ');
                (Last::Vowel, 1)
            }
            'ع' => {
                if last == Last::Consonant && !next.is_some_and(is_vowel) {
                    word.vowel(true, 'ा', 'आ');
                    (Last::Vowel, 1)
                } else {
                    (last, 1)
                }
            }
            'ہ' => {
                word.vowel(true, 'ा', 'आ');
                (Last::Vowel, 1)
            }
            'و' if last == Last::Nothing || next.is_some_and(is_vowel) || (last == Last::Vowel && next.is_some()) => {
                word.sign('व');
                (Last::Consonant, 1)
            }
            'و' => {
                word.vowel(last == Last::Consonant, 'ो', 'ओ');
                (Last::Vowel, 1)
            }
            'ؤ' => {
                let nasal = next == Some('ں');
                word.vowel(last == Last::Consonant, 'ू', if nasal { 'ऊ' } else { 'ओ' });
                (Last::Vowel, 1)
            }
            'ی' => ye(next, last, english, &mut word),
            'ے' => {
                word.vowel(last == Last::Consonant, 'े', 'ए');
                (Last::Vowel, 1)
            }
            'ئ' => hamza(next, &mut word),
            'ں' => {
                word.sign('ं');
                (last, 1)
            }
            _ => (last, 1),
        };
        at += taken;
    }
    word.0
}

fn is_vowel(c: char) -> bool {
    matches!(c, 'ا' | 'آ' | 'ی' | 'ے')
}

/// A silent *he* at the end is a long a: *pata*, *rupaya*.
fn is_a_at_the_end(c: char, next: Option<char>, last: Last) -> bool {
    c == 'ہ' && next.is_none() && last == Last::Consonant
}

fn initial(c: char, next: Option<char>, after: Option<char>, word: &mut Devanagari) -> (Last, usize) {
    let before_consonant = after.is_none_or(|c| consonant(c).is_some());
    let (vowel, taken) = match (c, next) {
        ('آ', _) => ('आ', 1),
        ('ع', Some('ا')) => ('आ', 2),
        (_, Some('ی')) if before_consonant => ('ए', 2),
        (_, Some('ے')) => ('ए', 2),
        (_, Some('و')) if before_consonant => ('ओ', 2),
        // "School" is written with a vowel that nobody says.
        ('ا', Some('س')) if matches!(after, Some('ٹ' | 'ک' | 'پ')) => {
            word.consonant('س', false);
            word.sign('्');
            return (Last::Consonant, 2);
        }
        _ => ('अ', 1),
    };
    word.sign(vowel);
    (Last::Vowel, taken)
}

fn ye(next: Option<char>, last: Last, english: bool, word: &mut Devanagari) -> (Last, usize) {
    match (last, next) {
        (Last::Nothing, _) => {
            word.sign('य');
            (Last::Consonant, 1)
        }
        (Last::Consonant, Some('ا' | 'و' | 'ؤ')) => {
            word.sign('ि');
            word.sign('य');
            (Last::Consonant, 1)
        }
        (Last::Consonant, Some('ے')) => {
            word.sign('ि');
            word.sign('ए');
            (Last::Vowel, 2)
        }
        (Last::Consonant, next) => {
            word.sign(if english && next.is_some() { 'े' } else { 'ी' });
            (Last::Vowel, 1)
        }
        (Last::Vowel, Some('ے')) => {
            word.sign('ए');
            (Last::Vowel, 2)
        }
        (Last::Vowel, Some('ا' | 'و')) => {
            word.sign('य');
            (Last::Consonant, 1)
        }
        (Last::Vowel, next) => {
            word.sign(if next.is_none() { 'ई' } else { 'इ' });
            (Last::Vowel, 1)
        }
    }
}

/// A hamza that carries a vowel.
fn hamza(next: Option<char>, word: &mut Devanagari) -> (Last, usize) {
    let (vowel, taken) = match next {
        Some('ی') => ('ई', 2),
        Some('ے') => ('ए', 2),
        _ => ('इ', 1),
    };
    word.sign(vowel);
    (Last::Vowel, taken)
}
