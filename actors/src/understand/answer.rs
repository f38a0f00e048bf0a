//! Whether a turn is a clear yes, or a no, to a question. Stricter than the intent: on a yes something is done that may not
//! be undone, so whatever is not clear is neither, and the caller is asked again.

use std::sync::LazyLock;

use super::fold::Token;
use super::words::Words;
use crate::domain::{IntentKind, Yes};

/// A yes of more words says something else as well.
const YES_WORDS_MAX: usize = 9;
/// A no stands at the beginning, or among so few words.
const NO_WORDS_MAX: usize = 4;

static YES: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "yes yeah yep yup ya haan haa han ha hanji haanji ji हाँ हां जी हांजी हाँजी ok okay ओके sure correct right sahi सही \
        bilkul बिल्कुल बिलकुल theek thik ठीक absolutely definitely exactly confirm confirmed kanfarm कन्फर्म please \
        done chalo चलो zaroor jarur ज़रूर जरूर",
    )
});
/// *Do it*, as an answer.
static DO: LazyLock<Words> = LazyLock::new(|| {
    Words::exact("kardo kar karo karde kijiye kariye do dijiye kardijiye go proceed कर करो दो कीजिए करिए दीजिए कीजिये")
});
static NO: LazyLock<Words> = LazyLock::new(|| {
    Words::exact("no nope nah not dont never nahi nahin nhi nai ni mat na naa नहीं नही मत ना न rehne rahne रहने")
});
/// A *no* that may be a mere tag at the end: "kar do na".
static TAG: LazyLock<Words> = LazyLock::new(|| Words::exact("na naa ना न"));
/// With one of these it is no clear yes.
static DOUBT: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "but lekin par magar wait ruko rukiye ruk pehle pahle abhi kya kyon kyu kyun kaun kitna kitne kab kaise what why who \
        how when if agar shayad maybe perhaps think soch sochna sochta baad later hello helo bolo boliye bataiye batao \
        suniye suno sunao wrong galat false लेकिन पर मगर रुको रुकिए पहले अभी क्या क्यों कौन कितना कितने कब कैसे \
        अगर शायद बाद हेलो हैलो बोलो बोलिए बताइए बताओ सुनिए सुनो गलत ग़लत सोच",
    )
});

/// All that was asked, where it was more than one thing.
static ALL: LazyLock<Words> = LazyLock::new(|| {
    Words::exact("dono donon both all sab sabhi saare sare teeno teenon everything दोनों दोनो सब सभी सारे तीनों")
});
/// Behind such a word these make another meaning of it: "sab theek hai", "all right".
static WELL: LazyLock<Words> =
    LazyLock::new(|| Words::exact("theek thik sahi right good ok okay badhiya ठीक सही अच्छा"));

/// What a turn is as an answer, given what it was taken to want.
pub(super) fn answer(tokens: &[Token], intent: IntentKind) -> Yes {
    let Some(first) = tokens.first() else { return Yes::Neither };
    let tagged = tokens.len() > 1 && tokens.last().is_some_and(|last| TAG.has(last));
    let body = if tagged { &tokens[..tokens.len() - 1] } else { tokens };
    let refused = NO.any(body);
    let plainly_done = !refused && tokens.len() <= NO_WORDS_MAX && all_do(body);
    if !plainly_done && (intent == IntentKind::Deny || NO.has(first) || (refused && tokens.len() <= NO_WORDS_MAX)) {
        return Yes::Refused;
    }
    let agreed = plainly_done || intent == IntentKind::Affirm || YES.has(first);
    let clear = !refused && !DOUBT.any(tokens) && tokens.len() <= YES_WORDS_MAX;
    match (agreed && clear, to_all(tokens)) {
        (true, true) => Yes::ToAll,
        (true, false) => Yes::Said,
        (false, _) => Yes::Neither,
    }
}

fn all_do(tokens: &[Token]) -> bool {
    tokens.iter().all(|token| DO.has(token) || YES.has(token) || ALL.has(token))
}

fn to_all(tokens: &[Token]) -> bool {
    let well = |at: usize| tokens.get(at + 1).is_some_and(|next| WELL.has(next));
    tokens.iter().enumerate().any(|(at, token)| ALL.has(token) && !well(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::understand::{Surroundings, understand};

    fn said(text: &str) -> Yes {
        let asked = "Aapka order 1042 cancel kar doon? Kya main aage badhoon?";
        understand(text, Surroundings { asked, ..Surroundings::default() }).yes
    }

    #[test]
    fn a_yes_is_clear_or_it_is_none() {
        for text in [
            "haan",
            "haan ji",
            "ji haan",
            "haan kar do",
            "kar do",
            "kar do na",
            "haan ji kar dijiye please",
            "yes",
            "yes please",
            "yes go ahead",
            "ok",
            "theek hai",
            "theek hai kar do",
            "bilkul",
            "हाँ",
            "हां जी कर दीजिए",
            "जी हाँ",
            "ठीक है",
            "confirm",
            "yeah sure",
            "haan haan kar do bhaiya",
            "haan cancel kar do",
        ] {
            assert_eq!(said(text), Yes::Said, "{text}");
        }
        for text in [
            "nahi",
            "nahi nahi",
            "no",
            "no no",
            "mat karo",
            "haan mat karo",
            "nahi rehne do",
            "rehne do",
            "nahi kal ka kar do",
            "नहीं",
            "मत करो",
            "जी नहीं",
            "no thanks",
            "don't",
            "haan nahi",
            "ruko",
            "nahi dono mat karo",
        ] {
            assert_eq!(said(text), Yes::Refused, "{text}");
        }
        for text in [
            "haan bolo",
            "haan hello",
            "haan lekin pehle batao kitna katega",
            "ek minute",
            "kya",
            "kya bola aapne",
            "haan wait",
            "haan agar paisa wapas mile to",
            "mera parcel kahan hai",
            "",
            "haan shayad",
            "kaun bol raha hai",
            "theek hai lekin abhi mat karna kal bataunga main aapko",
        ] {
            assert_eq!(said(text), Yes::Neither, "{text}");
        }
    }

    #[test]
    fn a_yes_may_be_one_to_all_that_was_asked() {
        for text in [
            "haan dono",
            "dono kar do",
            "haan ji dono kar dijiye",
            "both please",
            "yes both",
            "yes all of them",
            "हाँ दोनों",
            "haan sab cancel kar do",
        ] {
            assert_eq!(said(text), Yes::ToAll, "{text}");
        }
        for text in ["haan sab theek hai", "all right"] {
            assert_ne!(said(text), Yes::ToAll, "{text}");
        }
    }
}
