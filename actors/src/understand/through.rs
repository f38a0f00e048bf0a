//! A wish to be put through, in words that have no other use: "senior ko line pe lao", "put me through", "robot se baat nahi
//! karni". They count whatever else the turn was taken to want.

use std::sync::LazyLock;

use super::fold::Token;
use super::words::Words;

type List = LazyLock<Words>;

/// Somebody who can come to the telephone.
static WHO: List = LazyLock::new(|| {
    Words::exact(
        "kisi koi kisiko insaan insan aadmi admi banda bande bandi ladke ladki person human someone somebody anyone manager owner malik maalik seth boss senior supervisor staff staffs executive \
        operator agent representative incharge reception receptionist doctor madam team colleague pharmacist technician किसी कोई इंसान आदमी बंदा बंदे लड़के मैनेजर मालिक सेठ बॉस सीनियर \
        सुपरवाइज़र स्टाफ एजेंट ऑपरेटर रिसेप्शन रिसेप्शनिस्ट डॉक्टर मैडम टीम",
    )
});
static PERSON: List =
    LazyLock::new(|| Words::exact("insaan insan aadmi admi banda bandi person human staff इंसान आदमी बंदा बंदी स्टाफ"));
static BOTS: List =
    LazyLock::new(|| Words::exact("robot robots bot bots machine machines computer ai ivr रोबोट मशीन कंप्यूटर"));
static TALK: List = LazyLock::new(|| Words::exact("baat bat baatein बात talk talking speak speaking"));
static NOT: List = LazyLock::new(|| Words::exact("nahi nahin nhi nai mat not dont never नहीं नही मत"));
static PHONE: List = LazyLock::new(|| Words::exact("phone fone fon call line फोन फ़ोन कॉल लाइन"));
static GIVE: List =
    LazyLock::new(|| Words::exact("do de dijiye dena dedo pakdao pakda pakdaiye thamao दो दे दीजिए देना"));
static ON: List = LazyLock::new(|| Words::exact("pe par pr pai on पे पर"));
static BRING: List = LazyLock::new(|| {
    Words::exact("lao laiye lo lijiye le aao aaiye aa bulao bula लाओ लाइए लो लीजिए ले आओ आ बुलाओ put get")
});
static MEET: List = LazyLock::new(|| {
    Words::exact("milao milwao milwa mila milaiye milado मिलाओ मिलवाओ मिलवा मिलाइए connect कनेक्ट jodo jodiye जोड़ो जोड़िए")
});
static HEAD: List = LazyLock::new(|| {
    Words::exact("boss manager supervisor owner senior incharge representative executive human person agent operator")
});
/// What may stand beside "is anybody there".
static AROUND: List = LazyLock::new(|| {
    Words::exact(
        "koi insaan insan aadmi admi banda bandi person human staff hai h he kya wahan vahan udhar yahan waha line pe par phone real asli zinda sach bhai yaar hello nahi \
        कोई इंसान आदमी बंदा बंदी स्टाफ है क्या वहाँ वहां यहाँ उधर लाइन पे पर फोन असली भाई यार हेलो",
    )
});

fn raw(tokens: &[Token], at: usize) -> &str {
    tokens.get(at).map_or("", |token| token.raw.as_str())
}

/// Whether a turn asks to be put through, in such words.
pub(super) fn asks(tokens: &[Token]) -> bool {
    let refuses = NOT.any(tokens);
    if refuses_a_bot(tokens) {
        return true;
    }
    let had = tokens
        .iter()
        .any(|token| matches!(token.raw.as_str(), "tha" | "thi" | "gaya" | "gayi" | "था" | "थी" | "गया" | "गई"));
    !refuses
        && !had
        && (is_brought(tokens) || is_handed_over(tokens) || speaks_to_me(tokens) || is_anybody_there(tokens))
}

/// "Robot se baat nahi karni": a person is wanted instead.
fn refuses_a_bot(tokens: &[Token]) -> bool {
    let to_bot = (0..tokens.len()).any(|at| {
        let hindi = BOTS.has(&tokens[at]) && matches!(raw(tokens, at + 1), "se" | "से");
        let english = matches!(raw(tokens, at), "to" | "with")
            && (at + 1..at + 3).any(|bot| tokens.get(bot).is_some_and(|token| BOTS.has(token)));
        hindi || english
    });
    to_bot && TALK.any(tokens) && NOT.any(tokens)
}

/// "Senior ko line pe lao", "manager ko phone do", "owner se milao phone pe", "रिसेप्शन से कनेक्ट कर दीजिए".
fn is_brought(tokens: &[Token]) -> bool {
    let line = |at: usize| {
        matches!(raw(tokens, at), "line" | "phone" | "लाइन" | "फोन") && tokens.get(at + 1).is_some_and(|on| ON.has(on))
    };
    let on_line = (0..tokens.len()).any(line) && (BRING.any(tokens) || MEET.any(tokens));
    let to_whom = (1..tokens.len()).any(|at| matches!(raw(tokens, at), "ko" | "को") && (WHO.has(&tokens[at - 1])));
    let given = (1..tokens.len()).any(|at| {
        let phone = matches!(raw(tokens, at - 1), "phone" | "fone" | "fon" | "फोन" | "फ़ोन" | "ko" | "को");
        phone && GIVE.has(&tokens[at])
    });
    let met = (0..tokens.len())
        .any(|at| matches!(raw(tokens, at), "se" | "से") && tokens.get(at + 1).is_some_and(|next| MEET.has(next)));
    let told = tokens.iter().any(|token| matches!(token.raw.as_str(), "number" | "nambar" | "नंबर"));
    !told && WHO.any(tokens) && (on_line || (to_whom && given && PHONE.any(tokens)) || met)
}

/// "Put me through to sales", "hand me over", "get me your boss".
fn is_handed_over(tokens: &[Token]) -> bool {
    (0..tokens.len()).any(|at| match (raw(tokens, at), raw(tokens, at + 1), raw(tokens, at + 2)) {
        ("be", "connected", "to" | "with") => true,
        ("put" | "putting", "me" | "us", "through") | ("hand" | "pass", "me", "over" | "on" | "to") => true,
        ("get" | "give", "me", "your" | "the" | "a") => {
            tokens.get(at + 3).is_some_and(|who| HEAD.has(who)) && tokens.len() == at + 4
        }
        ("se" | "से", "baat" | "बात", "ho" | "हो") => {
            let can = matches!(raw(tokens, at + 3), "sakti" | "sakta" | "सकती" | "सकता" | "payegi" | "jayegi");
            can && at > 0
        }
        _ => false,
    })
}

/// "Can someone from the clinic speak to me".
fn speaks_to_me(tokens: &[Token]) -> bool {
    let who =
        tokens.iter().position(|token| matches!(token.raw.as_str(), "someone" | "somebody" | "anyone" | "anybody"));
    who.is_some_and(|who| {
        (who + 1..tokens.len()).any(|at| {
            matches!(raw(tokens, at), "talk" | "speak")
                && matches!((raw(tokens, at + 1), raw(tokens, at + 2)), ("to" | "with", "me"))
        })
    })
}

/// "Koi insaan hai kya", "koi hai kya baat karne wala", "koi real banda do".
fn is_anybody_there(tokens: &[Token]) -> bool {
    let koi = tokens.iter().any(|token| matches!(token.raw.as_str(), "koi" | "कोई"));
    let is = tokens.iter().any(|token| matches!(token.raw.as_str(), "hai" | "है" | "h"));
    let real = (1..tokens.len()).any(|at| {
        matches!(raw(tokens, at - 1), "real" | "asli" | "असली" | "zinda") && PERSON.has(&tokens[at]) && GIVE.any(tokens)
    });
    let talks =
        (0..tokens.len()).any(|at| matches!((raw(tokens, at), raw(tokens, at + 1)), ("baat" | "बात", "karne" | "करने")));
    let able = tokens.iter().any(|token| matches!(token.raw.as_str(), "sake" | "सके")) && TALK.any(tokens);
    let there = PERSON.any(tokens) && tokens.iter().all(|token| AROUND.has(token));
    koi && ((is && (there || talks || able)) || real)
}
