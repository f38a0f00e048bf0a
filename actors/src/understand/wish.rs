//! What a turn asks of the call itself. The intent says whereabouts ("worst service" is near *talk to a person*, "who gave
//! you my number" near *do not call*); words say whether it is asked for, since a call acts on it by itself.

use std::sync::LazyLock;

use super::fold::{Token, sound};
use super::own::Products;
use super::words::Words;
use crate::domain::{IntentKind, Wish};

/// How far a word of wrongness may stand from what is wrong.
const WRONG_REACH: usize = 4;

/// Who is asked for.
static PEOPLE: LazyLock<Words> = LazyLock::new(|| {
    // As spelled: by its key, Persian is a person.
    Words::exact(
        "person persons parson insaano manejar menager people human humans insaan insan इंसान इन्सान aadmi admi आदमी banda bande bandi बंदा बंदे बंदी बन्दे vyakti व्यक्ति \
        manushya agent agents एजेंट representative executive एग्जीक्यूटिव operator ऑपरेटर manager मैनेजर supervisor सुपरवाइज़र \
        senior सीनियर staff स्टाफ owner malik maalik मालिक colleague colleagues assistant officer adhikari अधिकारी receptionist reception \
        karmchari कर्मचारी pratinidhi प्रतिनिधि someone somebody anyone anybody kisi किसी",
    )
});
/// How.
static TALKING: LazyLock<Words> = LazyLock::new(|| {
    Words::spelled(
        "baat baatein bat बात बातचीत talk talking speak speaking connect कनेक्ट transfer ट्रांसफर forward jod jodo jodiye jodo जोड़ जोड़ो \
        जोड़िए bulao bulaiye bula बुलाओ बुलाइए बुला",
    )
});
/// That it is asked for.
static REQUESTS: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "want need give get please let put pass bring connect transfer karni karna karao karwao karwaiye karaiye karwa kara do de dijiye         dijie chahiye chaiye bulao jodo jodiye करनी करना कराओ करवाओ करवाइए कराइए करवा दो दे दीजिए चाहिए बुलाओ जोड़ो जोड़िए",
    )
});
/// A turn of so few words asks by naming: "human please", "manager".
const BARE_WORDS_MAX: usize = 4;
/// What can be asked for instead of a person.
static CONTACTS: LazyLock<Words> =
    LazyLock::new(|| Words::spelled("number nambar नंबर email mail ईमेल address whatsapp helpline"));
static BOTS: LazyLock<Words> = LazyLock::new(|| {
    Words::exact("robot robots bot bots machine machines computer ai ivr रोबोट मशीन कंप्यूटर recording automated")
});

static CALLS: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "call calls calling called cal phone fone fon phon ring dial contact message messages sms कॉल कॉल्स काल फोन फ़ोन मैसेज \
        number nambar nmbr list database records नंबर लिस्ट",
    )
});
static STOP: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "stop band bandh mat dont never remove delete hata hatao hatado hataiye nikal nikalo unsubscribe dnd optout blacklist \
        बंद बन्द मत हटा हटाओ हटाइए निकाल निकालो डिलीट रिमूव",
    )
});
/// The same in two words.
const STOPS: [(&str, &str); 11] = [
    ("do", "not"),
    ("no", "more"),
    ("no", "calls"),
    ("opt", "out"),
    ("na", "karna"),
    ("na", "karo"),
    ("nahi", "karna"),
    ("nahin", "karna"),
    ("na", "karen"),
    ("नहीं", "करना"),
    ("ना", "करना"),
];
/// Only now is a bad time: whoever says when, wants to be rung.
static LATER: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "later abhi baad bad now tomorrow kal evening shaam sham morning subah busy meeting driving till until before after \
        अभी बाद कल शाम सुबह बिज़ी मीटिंग",
    )
});

static WRONG: LazyLock<Words> =
    LazyLock::new(|| Words::exact("wrong rong galat galt गलत ग़लत रॉन्ग रॉंग राँग रांग रॉग mistake galti गलती"));
static DIALLED: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "number numbar nambar nmbr numbers no dial dialled dialed dialing jagah place lag laga lagaya lagta mila milaya नंबर नम्बर जगह \
        लग लगा लगाया मिला मिलाया डायल",
    )
});
static MISDIALLED: LazyLock<Words> = LazyLock::new(|| Words::exact("misdial misdialed misdialled wrongnumber"));

/// What was asked for is to be left. A bare "nahi" is none of these: it may be said to whoever goes on talking instead.
const LEAVINGS: [(&str, &str); 16] = [
    ("rehne", "do"),
    ("rehne", "dijiye"),
    ("rehne", "de"),
    ("rahne", "do"),
    ("rahne", "dijiye"),
    ("chod", "do"),
    ("chhod", "do"),
    ("chhodo", "rehne"),
    ("leave", "it"),
    ("never", "mind"),
    ("no", "need"),
    ("not", "necessary"),
    ("रहने", "दो"),
    ("रहने", "दीजिए"),
    ("छोड़", "दो"),
    ("छोड़", "दीजिए"),
];

/// Said to nobody in kindness. By their sound, so that every spelling and script of one counts; each is long enough that no
/// other word sounds like it.
static ABUSE: LazyLock<Vec<String>> = LazyLock::new(|| {
    let words = "madarchod maderchod behenchod bhenchod behnchod bhosdike bhosadike haramzada haramzade haramkhor bahanchod bahenchod behanchod bhainchod motherfucker \
        motherfucking";
    words.split_whitespace().map(sound).collect()
});
/// The same as they are spelled: other words sound alike (*chhuttiyan* are holidays, *choot* is
/// a discount, *Kamini* is a name, *ganda* is dirty).
static ABUSE_SPELLED: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "bastard bastards bitch bitches asshole assholes cunt whore slut fucker fuckers dickhead chutiya chutiye chootiya \
        bhosdi bhosda bhosadi randi gandu gaandu lund lauda laude lavda lavde kamina kamine kameene kameena harami haraami \
        चूतिया चूतिये चूतिए चुतिया चूत भोसड़ी भोसड़ीके भोसडीके रंडी गांडू गाण्डू लंड लौड़ा लौड़े लौडे कमीना कमीने हरामी",
    )
});
/// The same in several words.
const ABUSES: [&[&str]; 13] = [
    &["fuck", "you"],
    &["fuck", "off"],
    &["fuck", "your"],
    &["kutte", "ki", "aulad"],
    &["kutte", "ki", "aulaad"],
    &["saale", "kutte"],
    &["suar", "ki", "aulad"],
    &["suar", "ke", "bacche"],
    &["suar", "ke", "bachche"],
    &["कुत्ते", "की", "औलाद"],
    &["साले", "कुत्ते"],
    &["सुअर", "की", "औलाद"],
    &["सूअर", "की", "औलाद"],
];

/// What is asked of the call, in a turn of this intent.
pub(super) fn wish(tokens: &[Token], intent: IntentKind) -> Option<Wish> {
    let asked = match intent {
        IntentKind::TalkToHuman if asks_for_person(tokens) => Some(Wish::Person),
        IntentKind::DoNotCall if asks_for_no_calls(tokens) => Some(Wish::NoCalls),
        IntentKind::DoNotCall if is_wrong_number(tokens) => Some(Wish::WrongNumber),
        _ => None,
    };
    let leaves = || pair(tokens, &LEAVINGS) || ((TALKING.any(tokens) || PEOPLE.any(tokens)) && refuses_person(tokens));
    asked.or_else(|| leaves().then_some(Wish::LeaveIt))
}

fn raw(tokens: &[Token], at: usize) -> &str {
    tokens.get(at).map_or("", |token| token.raw.as_str())
}

fn pair(tokens: &[Token], pairs: &[(&str, &str)]) -> bool {
    (0..tokens.len()).any(|at| pairs.contains(&(raw(tokens, at), raw(tokens, at + 1))))
}

fn asks_for_person(tokens: &[Token]) -> bool {
    // "you talk too much", "talk to me in Tamil".
    let talking = TALKING.any(tokens) && !pair(tokens, &[("you", "talk"), ("to", "me")]);
    let requested = REQUESTS.any(tokens) || tokens.len() <= BARE_WORDS_MAX;
    let contact = CONTACTS.any(tokens) && !talking;
    // "am i talking to a person?"
    let wonders = !REQUESTS.any(tokens)
        && pair(tokens, &[("are", "you"), ("am", "i"), ("i", "am"), ("im", "talking"), ("ho", "rahi"), ("हो", "रही")]);
    (talking || (PEOPLE.any(tokens) && requested)) && !contact && !wonders && !refuses_person(tokens)
}

/// *Kisi se baat nahi karni*, *no need to transfer me*; but *robot se baat nahi karni* wants a person.
fn refuses_person(tokens: &[Token]) -> bool {
    static NO: LazyLock<Words> = LazyLock::new(|| Words::exact("nahi nahin nhi nai mat नहीं नही मत"));
    static WANTED: LazyLock<Words> = LazyLock::new(|| {
        Words::exact(
            "baat karni karna karunga karungi krni krna chahiye chaiye chahie karo karao karwao karwana jodo do dena kijiye \
            बात करनी करना करूंगा करूंगी करूँगा करूँगी चाहिए करो कराओ करवाओ करवाना दो देना कीजिए जोड़ो जोड़ना jodna",
        )
    });
    static DONT: LazyLock<Words> = LazyLock::new(|| Words::exact("dont not never without"));
    static WISHED: LazyLock<Words> = LazyLock::new(|| {
        Words::exact("want wish need connect transfer put give talk speak wanting required necessary")
    });
    if BOTS.any(tokens) {
        return false;
    }
    let (english, hindi) = (
        (0..tokens.len()).any(|at| DONT.has_word(raw(tokens, at)) && WISHED.has_word(raw(tokens, at + 1))),
        (0..tokens.len()).any(|at| NO.has_word(raw(tokens, at)) && WANTED.has_word(raw(tokens, at + 1))),
    );
    // "zaroorat nahi", "nahi chahiye mujhe koi insaan"; a "nahi," that begins the turn refuses what was offered instead.
    let needless = pair(
        tokens,
        &[
            ("no", "need"),
            ("zaroorat", "nahi"),
            ("jarurat", "nahi"),
            ("zarurat", "nahi"),
            ("ज़रूरत", "नहीं"),
            ("जरूरत", "नहीं"),
        ],
    );
    english || hindi || needless
}

fn asks_for_no_calls(tokens: &[Token]) -> bool {
    // "band karta hoon call": it is this call that they end.
    static MINE: LazyLock<Words> =
        LazyLock::new(|| Words::exact("karta karti karunga karungi rakhta rakhti करता करती करूंगा करूंगी रखता रखती"));
    let stop = (STOP.any(tokens) || pair(tokens, &STOPS)) && !MINE.any(tokens);
    stop && CALLS.any(tokens) && !LATER.any(tokens)
}

fn is_wrong_number(tokens: &[Token]) -> bool {
    let near = |at: usize| {
        let from = at.saturating_sub(WRONG_REACH);
        (from..=at + WRONG_REACH).any(|other| tokens.get(other).is_some_and(|token| DIALLED.has(token)))
    };
    MISDIALLED.any(tokens) || (0..tokens.len()).any(|at| WRONG.has(&tokens[at]) && near(at))
}

/// Whether words are meant to hurt. What the client sells by such a word is only what it sells.
pub(super) fn is_abusive(tokens: &[Token], products: Option<&Products>) -> bool {
    let sold = |token: &Token| products.is_some_and(|products| products.have_word(&token.key));
    let word = |token: &Token| ABUSE_SPELLED.has_word(&token.raw) || ABUSE.contains(&token.sound);
    let phrase = |some: &[Token]| {
        let said = |words: &&&[&str]| {
            some.len() >= words.len() && words.iter().zip(some).all(|(word, token)| token.raw == *word)
        };
        ABUSES.iter().find(said).is_some_and(|words| !some[..words.len()].iter().any(sold))
    };
    tokens.iter().any(|token| word(token) && !sold(token)) || (0..tokens.len()).any(|at| phrase(&tokens[at..]))
}

#[cfg(test)]
#[path = "wish_tests.rs"]
mod tests;
