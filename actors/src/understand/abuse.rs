//! Whether a caller's words are meant to hurt who listens. Names, goods and animals share most of them ("Shivaji Lund",
//! "bastard file"), so such a word counts only where it is aimed at the listener, or stands in a phrase that has no other use.

use std::sync::LazyLock;

use super::fold::{Token, sound};
use super::own::Products;
use super::words::Words;

/// So few words may be an abuse in letters and nothing else.
const BARE_WORDS_MAX: usize = 3;

/// Said to nobody in kindness. By their sound, so that every spelling and script of one counts; each is long enough that no
/// other word sounds like it.
static ABUSE: LazyLock<Vec<String>> = LazyLock::new(|| {
    let words = "madarchod maderchod behenchod bhenchod behnchod bhosdike bhosadike bhosrike bhosarike haramzada haramzade haramkhor bahanchod bahenchod behanchod bhainchod motherfucker \
        motherfucking";
    words.split_whitespace().map(sound).collect()
});
/// As they are spelled, if aimed at the listener: other words sound alike (*chhuttiyan* are holidays), and some are names.
static AIMED: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "bastard bastards bitch bitches cunt whore slut dickhead bhosda bhosadi randi gandu gaandu lund lauda laude lavda lavde lode loda \
        kamina kamine kameene kameena harami haraami भोसड़ी रंडी गांडू गाण्डू लंड लौड़ा लौड़े लौडे कमीना कमीने हरामी",
    )
});
/// The same that are neither names nor goods: alone in a turn they count as well.
static PLAIN: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "chutiya chutiye chootiya asshole assholes fucker fuckers bhadwe bhadwa bhadve bhosdi bhosri चूतिया चूतिये चूतिए चुतिया भड़वे भड़वा भोसड़ीके भोसडीके",
    )
});
/// Who is meant.
static LISTENER: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "tu tum tera teri tere tujhe you your youre u aap abe abey oye oy saale sale saala sala saali तू तुम तेरा तेरी तेरे तुझे आप अबे ओए साले साला",
    )
});
/// What may stand between the two.
static BETWEEN: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "log sab are re a an the such ek fucking bloody stupid bahut bada bade ho hai to kitne kitna लोग सब एक बहुत हो है तो बड़े",
    )
});
/// What may follow in the same breath: before any other word it may be the name of a thing.
static BEHIND: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "ho hai hain h hi kya kahin ke sun suno you log sab saale sale phone chup ho हो है हैं क्या के कहीं सुन साले लोग",
    )
});
/// A name follows, or is spelled.
static NAMES: LazyLock<Words> = LazyLock::new(|| {
    Words::exact("naam name nam surname mr mrs ms miss shri shree smt spelled spelling नाम श्री मिस्टर सरनेम")
});
/// In several words.
const PHRASES: [&[&str]; 3] = [&["fuck", "you"], &["fuck", "off"], &["fuck", "your"]];
/// The same, where nothing follows that it could be about: "saale kutte bhaunk rahe hain".
const WHOLE: [&[&str]; 38] = [
    &["harami", "kahin", "ka"],
    &["kamina", "kahin", "ka"],
    &["kamine", "kahin", "ke"],
    &["bhosdi", "wale"],
    &["भोसड़ी", "वाले"],
    &["bhosdi", "ke"],
    &["bhosadi", "ke"],
    &["bhosri", "ke"],
    &["भोसड़ी", "के"],
    &["भोसडी", "के"],
    &["behen", "ke", "laude"],
    &["behen", "ke", "lode"],
    &["bahan", "ke", "laude"],
    &["behan", "ke", "laude"],
    &["बहन", "के", "लौड़े"],
    &["बहन", "के", "लौडे"],
    &["kutte", "kamine"],
    &["kutte", "kaminey"],
    &["कुत्ते", "कमीने"],
    &["gaand", "mara"],
    &["gand", "mara"],
    &["gaand", "marao"],
    &["गांड", "मरा"],
    &["teri", "maa", "ki", "chut"],
    &["teri", "ma", "ki", "chut"],
    &["तेरी", "माँ", "की", "चूत"],
    &["kutte", "ki", "aulad"],
    &["kutte", "ki", "aulaad"],
    &["saale", "kutte"],
    &["suar", "ki", "aulad"],
    &["suar", "ke", "bacche"],
    &["suar", "ke", "bachche"],
    &["teri", "maa", "ki"],
    &["तेरी", "माँ", "की"],
    &["कुत्ते", "की", "औलाद"],
    &["साले", "कुत्ते"],
    &["सुअर", "की", "औलाद"],
    &["सूअर", "की", "औलाद"],
];

/// Whether words are meant to hurt. What the client sells by such a word is only what it sells.
pub(super) fn is_abusive(tokens: &[Token], products: Option<&Products>) -> bool {
    let sold = |token: &Token| products.is_some_and(|products| products.have_word(&token.key));
    let outright = |at: usize| ABUSE.contains(&tokens[at].sound) && !sold(&tokens[at]);
    let aimed = |at: usize| !sold(&tokens[at]) && is_aimed(tokens, at);
    let phrase = |at: usize| phrase(&tokens[at..]).is_some_and(|words| !words.iter().any(sold));
    (0..tokens.len()).any(|at| outright(at) || phrase(at) || aimed(at)) || (is_bare(tokens) && !tokens.iter().any(sold))
}

fn phrase(tokens: &[Token]) -> Option<&[Token]> {
    let said = |words: &&&[&str]| {
        tokens.len() >= words.len() && words.iter().zip(tokens).all(|(word, token)| token.raw == *word)
    };
    let ends = |words: &&&[&str]| tokens.get(words.len()).is_none_or(|next| next.after_break || is_hurtful(next));
    let words = PHRASES.iter().find(said).or_else(|| WHOLE.iter().find(|words| said(words) && ends(words)))?;
    Some(&tokens[..words.len()])
}

fn is_hurtful(token: &Token) -> bool {
    AIMED.has(token) || PLAIN.has(token) || ABUSE.contains(&token.sound)
}

/// "You bastard", "tum log chutiye ho".
fn is_aimed(tokens: &[Token], at: usize) -> bool {
    if !(AIMED.has(&tokens[at]) || PLAIN.has(&tokens[at])) || NAMES.any(tokens) {
        return false;
    }
    let before = tokens[..at].iter().rposition(|token| !(BETWEEN.has(token) || is_hurtful(token)));
    let mine =
        |at: usize| at > 0 && matches!(tokens[at - 1].raw.as_str(), "mere" | "mera" | "meri" | "my" | "मेरे" | "मेरा");
    let meant = before.is_some_and(|before| LISTENER.has(&tokens[before]) && !mine(before));
    let over = tokens.get(at + 1).is_none_or(|next| next.after_break || BEHIND.has(next) || is_hurtful(next));
    meant && over
}

/// Made a fool of, in the same breath: "chutiya samjha hai kya".
static FOOLED: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "samjha samjhe samajh samajhte samjhta bana banao banate banaya rahe raha rakha hai ho kya mat mujhe hume humko समझा समझे समझ समझते बना बनाओ बनाते रहे रहा रखा है हो क्या मत मुझे हमें",
    )
});

/// Nothing but such words: "chutiye", "chutiya hai kya", "mc bc".
fn is_bare(tokens: &[Token]) -> bool {
    let plain = tokens.iter().any(|token| PLAIN.has(token));
    let letters = tokens.len() <= BARE_WORDS_MAX
        && tokens.windows(2).any(|pair| matches!((&*pair[0].raw, &*pair[1].raw), ("mc", "bc") | ("bc", "mc")));
    let nothing_else = tokens.iter().all(|token| {
        let known = is_hurtful(token) || LISTENER.has(token) || BEHIND.has(token) || FOOLED.has(token);
        known || matches!(token.raw.as_str(), "mc" | "bc")
    });
    (plain || letters) && nothing_else
}

#[cfg(test)]
#[path = "abuse_tests.rs"]
mod tests;
