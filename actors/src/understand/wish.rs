//! What a turn asks of the call itself. The intent says whereabouts ("worst service" is near *talk to a person*, "who gave
//! you my number" near *do not call*); words say whether it is asked for, since a call acts on it by itself.

use std::sync::LazyLock;

use super::doubtful;
use super::fold::{self, Token};
use super::lex;
use super::through;
use super::vocabulary::{Word, word};
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
        karmchari कर्मचारी pratinidhi प्रतिनिधि रिसेप्शन रिसेप्शनिस्ट boss बॉस whoever someone somebody anyone anybody kisi किसी",
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
        "stop band bandh mat dont never remove delete hata hatao hatado hataiye nikal nikalo unsubscribe dnd डीएनडी optout blacklist \
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

/// What is asked of the call, in a turn of this intent.
pub(super) fn wish(tokens: &[Token], intent: IntentKind, asked: &str) -> Option<Wish> {
    let asked = match intent {
        IntentKind::TalkToHuman if asks_for_person(tokens) => Some(Wish::Person),
        IntentKind::DoNotCall if asks_for_no_calls(tokens) && !refuses_offer(tokens, asked) => Some(Wish::NoCalls),
        IntentKind::DoNotCall if is_wrong_number(tokens, asked) => Some(Wish::WrongNumber),
        _ => None,
    };
    // A bare "nahi" is none of these: it may be said to whoever goes on talking instead.
    let leaves = || doubtful::leaves(tokens) || ((TALKING.any(tokens) || PEOPLE.any(tokens)) && refuses_person(tokens));
    asked.or_else(|| leaves().then_some(Wish::LeaveIt))
}

fn raw(tokens: &[Token], at: usize) -> &str {
    tokens.get(at).map_or("", |token| token.raw.as_str())
}

fn pair(tokens: &[Token], pairs: &[(&str, &str)]) -> bool {
    (0..tokens.len()).any(|at| pairs.contains(&(raw(tokens, at), raw(tokens, at + 1))))
}

fn asks_for_person(tokens: &[Token]) -> bool {
    // Where people sit that a call is put through to.
    static DESKS: LazyLock<Words> = LazyLock::new(|| {
        Words::exact(
            "care support service team boss incharge authority expert madam lady department desk counter helpdesk doctor office sales केयर सपोर्ट टीम विभाग डॉक्टर डिपार्टमेंट",
        )
    });
    // "you talk too much", "talk to me in Tamil", "connect my account".
    let whom = PEOPLE.any(tokens) || DESKS.any(tokens) || tells_whom(tokens);
    let talking = TALKING.any(tokens) && whom && !pair(tokens, &[("you", "talk"), ("to", "me")]);
    let requested = REQUESTS.any(tokens) || tokens.len() <= BARE_WORDS_MAX;
    if through::asks(tokens) {
        return true;
    }
    let contact = CONTACTS.any(tokens) && !talking;
    // "am i talking to a person?"
    let wonders = !REQUESTS.any(tokens)
        && pair(tokens, &[("are", "you"), ("am", "i"), ("i", "am"), ("im", "talking"), ("ho", "rahi"), ("हो", "रही")]);
    let asked = talking || (PEOPLE.any(tokens) && requested && names_person(tokens));
    asked && !contact && !wonders && !is_handed(tokens) && !has_talked(tokens) && !refuses_person(tokens)
}

/// "Kisi ko de dena", "give it to someone", "kisi aadmi ko bhej do": a thing is given to somebody, or somebody sent.
fn is_handed(tokens: &[Token]) -> bool {
    static SENT: LazyLock<Words> = LazyLock::new(|| {
        Words::exact(
            "bhej bhejo bhejiye bhijwa bhijwao send sent fix repair deliver parcel leave भेज भेजो भेजिए भिजवा पार्सल",
        )
    });
    static GIVEN: LazyLock<Words> =
        LazyLock::new(|| Words::exact("do de dena dijiye diya give hand deliver leave दो दे देना दीजिए दिया"));
    static LINE: LazyLock<Words> = LazyLock::new(|| Words::exact("phone fone fon call line फोन फ़ोन कॉल लाइन"));
    if TALKING.any(tokens) || LINE.any(tokens) || BOTS.any(tokens) {
        return false;
    }
    let whom = (0..tokens.len()).any(|at| {
        let person = PEOPLE.has(&tokens[at]);
        person
            && (matches!(raw(tokens, at + 1), "ko" | "को")
                || (at > 0 && matches!(raw(tokens, at - 1), "to" | "with" | "the" | "se")))
    });
    let kisi = pair(tokens, &[("aur", "ko"), ("bhi", "ko"), ("ko", "bhi"), ("को", "भी"), ("और", "को")]);
    SENT.any(tokens) || ((whom || kisi) && GIVEN.any(tokens))
}

/// "Rohit se baat karao", "speak with the rider": somebody, by whatever name, but not who listens.
fn tells_whom(tokens: &[Token]) -> bool {
    static PUT_THROUGH: LazyLock<Words> = LazyLock::new(|| {
        Words::exact(
            "karao kara karwao karwa karaiye karwaiye karado jodo jod bulao bula कराओ करा करवाओ करवा कराइए करवाइए जोड़ो जोड़ बुलाओ बुला",
        )
    });
    static LISTENER: LazyLock<Words> =
        LazyLock::new(|| Words::exact("aap aapse tum tumse tujhse you me about आप आपसे तुम तुमसे"));
    const THROUGH: [(&str, &str); 3] = [("my", "call"), ("this", "call"), ("connect", "me")];
    if LISTENER.any(tokens) || pair(tokens, &THROUGH) {
        return pair(tokens, &THROUGH);
    }
    let spoken_to = |at: usize| {
        let (english, hindi) = (["talk", "speak"], ["baat", "bat", "बात"]);
        let names = tokens.len() > at + 2 && matches!(raw(tokens, at + 1), "to" | "with");
        (english.contains(&raw(tokens, at)) && names)
            || (at > 1 && hindi.contains(&raw(tokens, at)) && matches!(raw(tokens, at - 1), "se" | "से"))
    };
    PUT_THROUGH.any(tokens) || (0..tokens.len()).any(spoken_to)
}

/// A person, and not the first word of something else: "executive chair", "human hair", "become an agent".
fn names_person(tokens: &[Token]) -> bool {
    static BEHIND: LazyLock<Words> = LazyLock::new(|| {
        Words::exact(
            "se ko ke ka ki hi he hai h please plz pls ji sir sahab saab chahiye chaiye chahie do dijiye de dena bulao bulaiye bula karao jodo jodiye with who to on for from \
            of or and now right here there instead not only who whom in at i you na bhai yaar jaldi koi mujhe aur available on the line real being else contact responsible asap immediately बुलाओ बुलाइए से को का की \
            के है जी चाहिए दो दीजिए ही प्लीज ना भाई साहब मुझे और",
        )
    });
    static BECOMES: LazyLock<Words> = LazyLock::new(|| {
        Words::exact("become becoming banna banne banana job commission hire hiring vacancy बनना नौकरी बनने")
    });
    let alone = |at: usize| {
        tokens
            .get(at + 1)
            .is_none_or(|next| next.after_break || BEHIND.has(next) || PEOPLE.has(next) || TALKING.has(next))
    };
    !BECOMES.any(tokens) && (0..tokens.len()).any(|at| PEOPLE.has(&tokens[at]) && alone(at))
}

/// "Manager se baat ho gayi thi", "kisi se baat kar raha hoon": and nothing is asked for besides.
fn has_talked(tokens: &[Token]) -> bool {
    static TALKED: LazyLock<Words> = LazyLock::new(|| {
        Words::exact(
            "hui hua thi tha gayi gai gaya li liya chuka chuki raha rahi rahe spoke talked spoken connected हुई हुआ थी था गई गयी ली लिया चुका चुकी रहा रही रहे",
        )
    });
    static ASKED: LazyLock<Words> = LazyLock::new(|| {
        Words::exact(
            "karni karao karwao karaiye karwaiye karwa kara krni want need please connect transfer jodo jodiye bulao chahiye do dijiye करनी कराओ करवाओ कराइए करवाइए करवा करा जोड़ो \
            जोड़िए बुलाओ चाहिए दो दीजिए",
        )
    });
    TALKED.any(tokens) && !ASKED.any(tokens)
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

/// "No, don't call me", to an offered call: only that one is refused.
fn refuses_offer(tokens: &[Token], asked: &str) -> bool {
    static RUNG: LazyLock<Words> = LazyLock::new(|| Words::exact("call callback phone ring कॉल फोन फ़ोन कॉलबैक"));
    let offered = asked
        .split_inclusive(['.', '!', '?', '।'])
        .any(|sentence| sentence.ends_with('?') && RUNG.any(&fold::tokens(sentence)));
    offered && !is_for_good(tokens)
}

/// "Aaj ke baad": from now on is no time of the day.
fn is_from_now(tokens: &[Token]) -> bool {
    const NOW: [(&str, &str); 8] = [
        ("ke", "baad"),
        ("iske", "baad"),
        ("ab", "se"),
        ("aage", "se"),
        ("के", "बाद"),
        ("इसके", "बाद"),
        ("after", "today"),
        ("now", "on"),
    ];
    let today = tokens
        .iter()
        .any(|token| matches!(token.raw.as_str(), "aaj" | "iske" | "ab" | "aage" | "आज" | "इसके" | "today" | "now"));
    today && pair(tokens, &NOW)
}

/// Not this once, and not these: no call ever, or a number off a list.
pub(super) fn is_for_good(tokens: &[Token]) -> bool {
    static EVER: LazyLock<Words> =
        LazyLock::new(|| Words::exact("again ever never dobara dubara kabhi anymore दोबारा दुबारा कभी"));
    static LISTS: LazyLock<Words> = LazyLock::new(|| Words::exact("list lists dnd लिस्ट डीएनडी unsubscribe"));
    const ALWAYS: [(&str, &str); 6] =
        [("aage", "se"), ("आगे", "से"), ("baar", "baar"), ("बार", "बार"), ("no", "more"), ("any", "more")];
    static LISTED: LazyLock<Words> = LazyLock::new(|| {
        Words::exact("number nambar call calls calling phone me mujhe us our dnd नंबर कॉल फोन मुझे डीएनडी")
    });
    let listed = LISTS.any(tokens) && LISTED.any(tokens);
    EVER.any(tokens) || listed || is_from_now(tokens) || pair(tokens, &ALWAYS)
}

/// No calls, in words that leave nothing open.
pub(super) fn plainly_refuses_calls(tokens: &[Token]) -> bool {
    asks_for_no_calls(tokens) && is_for_good(tokens)
}

fn asks_for_no_calls(tokens: &[Token]) -> bool {
    // "band karta hoon call": it is this call that they end.
    static MINE: LazyLock<Words> =
        LazyLock::new(|| Words::exact("karta karti karunga karungi rakhta rakhti करता करती करूंगा करूंगी रखता रखती"));
    let off = (0..tokens.len()).any(|at| {
        raw(tokens, at) == "take"
            && (at + 2..at + 5).any(|off| raw(tokens, off) == "off" && !CALLS.has(&tokens[at + 1]))
    });
    let unwanted = (0..tokens.len()).any(|at| {
        let calls = matches!(raw(tokens, at), "call" | "calls" | "कॉल" | "कॉल्स")
            || (at > 0 && matches!(raw(tokens, at - 1), "aapke" | "aapka" | "आपके" | "आपका"));
        let no = matches!(raw(tokens, at + 1), "nahi" | "nahin" | "nhi" | "नहीं");
        calls && no && matches!(raw(tokens, at + 2), "chahiye" | "chaiye" | "चाहिए")
    });
    let stop = (STOP.any(tokens) || off || unwanted || pair(tokens, &STOPS)) && !MINE.any(tokens);
    let calls = CALLS.any(tokens) || is_put_on_dnd(tokens);
    // "Never got your call", "you never called": a complaint of the opposite.
    let missed = (0..tokens.len()).any(|at| {
        let past = ["called", "got", "received", "rang", "contacted", "get", "came", "phoned"];
        raw(tokens, at) == "never" && past.contains(&raw(tokens, at + 1))
    }) || pair(tokens, &[("you", "never")]);
    // "Phone mat karna, sms kar dena".
    let otherwise = (0..tokens.len()).any(|at| {
        let other = matches!(raw(tokens, at), "sms" | "message" | "msg" | "email" | "text" | "एसएमएस" | "मैसेज");
        other
            && matches!(
                raw(tokens, at + 1),
                "kar"
                    | "karna"
                    | "karo"
                    | "karke"
                    | "bhej"
                    | "bhejo"
                    | "me"
                    | "कर"
                    | "करना"
                    | "करो"
                    | "भेज"
                    | "भेजो"
            )
    });
    let later = LATER.any(tokens) && !is_from_now(tokens);
    stop && calls && !missed && !otherwise && !later && !is_of_this_call(tokens) && !is_of_some_calls(tokens)
}

/// The register of numbers that nobody may ring.
fn is_put_on_dnd(tokens: &[Token]) -> bool {
    static PUT: LazyLock<Words> = LazyLock::new(|| {
        Words::exact("daal dal daalo dalo dalwa laga lagao put add activate register डाल डालो लगा लगाओ")
    });
    tokens.iter().any(|token| matches!(token.raw.as_str(), "dnd" | "डीएनडी")) && PUT.any(tokens)
}

/// "Call cut mat karna", "do not remove my number": the call or the list is to go on; "phone band hai": nothing is asked.
fn is_of_this_call(tokens: &[Token]) -> bool {
    static ENDS: LazyLock<Words> = LazyLock::new(|| {
        Words::exact(
            "cut kat kaat kaato katna kaatna rakh rakhna rakho rakhiye disconnect band bandh record recording hang end hold remove delete hata hatao hatana \
            hataiye block unsubscribe stop काट काटना काटो काटिए रख रखना रखो रखिए बंद बन्द रिकॉर्ड कट डिस्कनेक्ट हटा हटाओ हटाना हटाइए होल्ड",
        )
    });
    static NOT: LazyLock<Words> = LazyLock::new(|| Words::exact("mat na nahi nahin dont not never मत ना न नहीं"));
    static BEING: LazyLock<Words> =
        LazyLock::new(|| Words::exact("hai tha thi h hua hui ho rehta raha है था थी हुआ हो रहता"));
    let behind =
        |at: usize, words: &Words, reach: usize| tokens.iter().skip(at + 1).take(reach).any(|next| words.has(next));
    let goes_on = |at: usize| {
        let (ends, not) = (ENDS.has(&tokens[at]), NOT.has(&tokens[at]));
        (ends && behind(at, &NOT, 1)) || (not && behind(at, &ENDS, 2))
    };
    let is_off = |at: usize| {
        matches!(raw(tokens, at), "band" | "bandh" | "बंद" | "बन्द")
            && tokens.get(at + 1).is_some_and(|next| BEING.has(next))
    };
    let listed = tokens.iter().any(|token| matches!(token.raw.as_str(), "dnd" | "blacklist")) && ENDS.any(tokens);
    listed || (0..tokens.len()).any(|at| goes_on(at) || is_off(at))
}

/// At some time, on another number, by another name; or something else is to be stopped.
fn is_of_some_calls(tokens: &[Token]) -> bool {
    static SOME: LazyLock<Words> = LazyLock::new(|| {
        Words::exact(
            "time times samay waqt delivery other another dusre doosre dusra wale wali instead only sirf whatsapp email jab when during while raat \
            night dopahar lunch weekend sunday home ghar wife husband mummy maa mom mother papa dad father bete beti biwi pati son daughter \
            brother sister wifes husbands mothers fathers office daftar landline old purana purane item items product products पुराना पुराने shop dukan dukaan मम्मी माँ पापा बेटे बेटी बीवी पति पत्नी ऑफिस दफ्तर लैंडलाइन दुकान टाइम समय वक्त वक़्त डिलीवरी दूसरे दूसरा वाले वाली जब रात दोपहर घर सिर्फ order ऑर्डर \
            cart wishlist will ill karunga karungi करूंगा करूंगी",
        )
    });
    const OTHERWISE: [(&str, &str); 17] = [
        ("my", "list"),
        ("this", "from"),
        ("and", "call"),
        ("aur", "call"),
        ("और", "कॉल"),
        ("but", "call"),
        ("me", "sir"),
        ("me", "madam"),
        ("me", "maam"),
        ("me", "uncle"),
        ("me", "aunty"),
        ("me", "bhai"),
        ("me", "bhaiya"),
        ("me", "dear"),
        ("me", "by"),
        ("me", "mr"),
        ("number", "call"),
    ];
    SOME.any(tokens) || pair(tokens, &OTHERWISE)
}

/// The number is another one: of an order, on a record, or told just now.
fn is_of_another_number(tokens: &[Token], asked: &str) -> bool {
    static OTHERS: LazyLock<Words> = LazyLock::new(|| {
        Words::exact(
            "gave given give told diya di dia dala daala bataya bata batayi likha likhwaya pressed typed entered wrote my mine mera meri mere your apna apni file \
            record records account order delivery courier boy kya item size shoe shirt sms otp message mail paid pay payment paise paisa money sent sending recharge guy एसएमएस ओटीपी \
            मैसेज पैसे पैसा रिचार्ज कूरियर दिया दी बताया डाला लिखा लिखवाया दबाया मेरा मेरी मेरे अपना आपके ऑर्डर डिलीवरी क्या",
        )
    });
    static NUMBERS: LazyLock<Words> =
        LazyLock::new(|| Words::exact("number nambar numbar phone mobile pin नंबर नम्बर फोन फ़ोन मोबाइल"));
    static TELL: LazyLock<Words> = LazyLock::new(|| {
        Words::exact(
            "bataiye bataye batayein batayen bata batao boliye dijiye tell give share enter what which kaun kya बताइए बताएं बताएँ बताओ बोलिए दीजिए क्या",
        )
    });
    const OTHERWISE: [(&str, &str); 3] = [("by", "mistake"), ("is", "this"), ("is", "it")];
    // "galat number mila diya": it was dialled.
    let dialled = |at: usize| at > 0 && matches!(raw(tokens, at - 1), "mila" | "laga" | "lag" | "मिला" | "लगा");
    let others = (0..tokens.len()).any(|at| OTHERS.has(&tokens[at]) && !dialled(at));
    let told = tokens.iter().any(|token| lex::digits(token).is_some());
    let spoken = tokens.iter().filter(|token| matches!(word(token), Some(Word::Small(..) | Word::Times(_)))).count();
    let asked_for = asked.split_inclusive(['.', '!', '?', '।']).any(|sentence| {
        let words = fold::tokens(sentence);
        NUMBERS.any(&words) && (sentence.ends_with('?') || TELL.any(&words))
    });
    // "Courier wale ko galat number mila": it was given to somebody.
    let given = (1..tokens.len()).any(|at| WRONG.has(&tokens[at]) && matches!(raw(tokens, at - 1), "ko" | "को"));
    told || spoken > 1 || asked_for || others || given || pair(tokens, &OTHERWISE)
}

fn is_wrong_number(tokens: &[Token], asked: &str) -> bool {
    if is_of_another_number(tokens, asked) {
        return false;
    }
    let near = |at: usize| {
        let from = at.saturating_sub(WRONG_REACH);
        (from..=at + WRONG_REACH).any(|other| tokens.get(other).is_some_and(|token| DIALLED.has(token)))
    };
    MISDIALLED.any(tokens) || (0..tokens.len()).any(|at| WRONG.has(&tokens[at]) && near(at))
}

#[cfg(test)]
#[path = "wish_tests.rs"]
mod tests;
