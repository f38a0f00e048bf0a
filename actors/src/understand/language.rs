//! Which of an agent's languages a turn is in.

use std::sync::LazyLock;

use super::fold::{Token, tokens};
use super::words::Words;
use crate::domain::Language;

/// Words that only Hindi has, in Latin letters: none of them is an English word.
static HINDI: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "hai hain hoon hun hu tha thi thay mera meri mere mujhe muje mujhko mereko aap aapka aapki aapke apka apki kya kyun kyu kyon kab \
         kahan kaha kidhar kaise kaun kitna kitne kitni nahi nahin nhi haan han ka ki ke ko mein se pe aur lekin agar toh \
         yeh ye woh wo iska uska isko usko karo kar karna karni kijiye kariye dijiye diya gaya gayi hua hui raha rahi rahe chahiye chaiye \
         abhi aaj kal parso bhi wala wali wale bata batao bataiye boliye bolo suniye theek thik accha acha bahut bohot kuch koi sab \
         phir yahan wahan bhaiya didi namaste dhanyavad shukriya",
    )
});
static ENGLISH: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "the a an is are was were am i you he she it we they my your his her our their this that these those what where when why how which who \
         will would can could should shall have has had does did not don't doesn't didn't of in on at for with from by about and or but \
         if please want need like know tell give get make take come go see back yes there here any some more much many yet still now",
    )
});

/// Words of both, which tell nothing: two and to give, only and a greeting, by and the top.
static EITHER: LazyLock<Words> = LazyLock::new(|| Words::exact("do to hi main mat par ya fir ji"));

/// A word that says nothing of what a turn is about.
pub(super) fn is_small_word(word: &Token) -> bool {
    [&HINDI, &ENGLISH, &EITHER].iter().any(|list| list.has_word(&word.raw))
}

/// The language of a turn; `None` for one that tells nothing ("ok", "hello", a number).
#[must_use]
pub fn language(text: &str) -> Option<Language> {
    let words = tokens(text);
    let devanagari =
        words.iter().filter(|word| word.raw.chars().any(|c| ('\u{0900}'..='\u{097f}').contains(&c))).count();
    if devanagari * 2 > words.len() {
        return Some(Language::Hindi);
    }
    let count = |list: &Words| words.iter().filter(|word| list.has_word(&word.raw)).count();
    let (hindi, english) = (count(&HINDI), count(&ENGLISH));
    match hindi.cmp(&english) {
        _ if hindi == 0 && english == 0 => None,
        std::cmp::Ordering::Less => Some(Language::English),
        std::cmp::Ordering::Equal | std::cmp::Ordering::Greater => Some(Language::Hinglish),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_in_the_language_of_their_small_words() {
        for (text, expected) in [
            ("where is my order", Some(Language::English)),
            ("can you tell me when it will come", Some(Language::English)),
            ("mera order kahan hai", Some(Language::Hinglish)),
            ("order cancel kar do please", Some(Language::Hinglish)),
            ("मेरा ऑर्डर कहाँ है", Some(Language::Hindi)),
            ("मेरा order कब आएगा", Some(Language::Hindi)),
            ("do you deliver tomorrow", Some(Language::English)),
            ("do you only speak english", Some(Language::English)),
            ("do you sell lilies today", Some(Language::English)),
            ("hi, do you accept cards", Some(Language::English)),
            ("what do roses cost", Some(Language::English)),
            ("stop, what do lilies cost", Some(Language::English)),
            ("no no, do not do that", Some(Language::English)),
            ("hi, order status please", Some(Language::English)),
            ("the main street shop please", Some(Language::English)),
            ("see ya", Some(Language::English)),
            ("do kilo de do mujhe", Some(Language::Hinglish)),
            ("cancel mat karo", Some(Language::Hinglish)),
            ("main kal aaunga", Some(Language::Hinglish)),
            ("hi good morning everyone", None),
            ("hi", None),
            ("do", None),
            ("ok", None),
            ("hello", None),
            ("1042", None),
            ("", None),
        ] {
            assert_eq!(language(text), expected, "{text}");
        }
    }

    /// Most lines of the training data are in the language their writer says.
    #[test]
    fn the_lines_of_training_are_told_apart() {
        let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data/understand");
        let (mut told, mut right) = (0_u32, 0_u32);
        for file in ["order_status", "payment", "appointment_book", "complaint"] {
            let text = std::fs::read_to_string(format!("{data}/{file}.txt")).unwrap_or_default();
            for (script, line) in text.lines().filter_map(|line| line.split_once('\t')) {
                let expected = match script {
                    "en" => Language::English,
                    "hl" => Language::Hinglish,
                    _ => Language::Hindi,
                };
                if let Some(found) = language(line) {
                    told += 1;
                    right += u32::from(found == expected);
                }
            }
        }
        assert!(told > 3_000 && right * 100 >= told * 95, "{right} of {told}");
    }
}
