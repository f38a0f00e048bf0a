//! Whether a turn is a clear yes, or a no, to a question. Stricter than the intent: on a yes something is done that may not
//! be undone, so whatever is not clear is neither, and the caller is asked again. Behind a yes stands nothing but what is
//! known to confirm: other words of agreement, politeness, *do it*, and what was asked for, said again. Any other word may
//! be the beginning of another wish ("haan, ek minute", "please change the time").

use std::sync::LazyLock;

use super::fold::{self, Token};
use super::vocabulary::{Word, word};
use super::words::Words;
use super::{lex, telling};
use crate::domain::{IntentKind, Yes};

/// A yes of more words says something else as well.
const YES_WORDS_MAX: usize = 9;
/// A no stands at the beginning, or among so few words.
const NO_WORDS_MAX: usize = 4;
/// So often in a row it is laughter.
const LAUGHS_MIN: usize = 3;
/// Shortest beginning that forms of one word share, and the longest ending that tells them apart, in sounds: *rakh doon?*,
/// *rakhiye*.
const STEM_MIN: usize = 3;
const ENDING_MAX: usize = 4;

/// Agreement, whatever is said again behind it.
static YES: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "oke okie hn hnji obviously yes yeah yep yup yas ya haan haa han hanji haanji ji jee हाँ हां जी हांजी हाँजी यस ok okay okey ओके sure bilkul bilkool \
        बिल्कुल बिलकुल theek thik teek ठीक absolutely definitely exactly certainly agree agreed alright affirmative confirm \
        confirmed kanfarm कन्फर्म yea aye surely precisely ofcourse accurate roger agreeable sehmat सहमत raazi razi राज़ी राजी beshak बेशक \
        chalega चलेगा accept accepted barabar बराबर true indeed yess yass haanjee haaji jihaan जीहाँ absolutly avashya अवश्य pakka पक्का manzoor manjoor मंज़ूर मंजूर zaroor zarur jarur jaroor ज़रूर जरूर",
    )
});
/// Agreement only by themselves: before other words they ask for something ("please change it") or tell what is right.
static WEAK: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "please plz pls right correct sahi सही done ha हा chalo चलो fine perfect राइट करेक्ट प्लीज प्लीज़ great good cool",
    )
});
/// *Do it*, as an answer.
static DO: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "kr krdo krdijiye kardo kar karo karde kardein de lijiye aagey badha kijiye kariye do dijiye kardijiye kardeejiye go ahead proceed badho badhiye badhaiye \
        कर करो करिये करदो करदीजिए दे दो कीजिए करिए दीजिए कीजिये दीजिये बढ़ो बढ़िए बढ़ा लीजिए",
    )
});
/// What makes *put it right* of a word for *right*: "sahi karo".
static MEND: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "kar karo kardo karde karke karwa karwao kijiye kariye do dijiye it कर करो दो कीजिए करिए दीजिए करवा करवाओ this that",
    )
});
static RIGHT: LazyLock<Words> = LazyLock::new(|| Words::exact("sahi सही theek thik teek ठीक correct right"));
/// Politeness, and what carries no meaning of its own.
static FILLER: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "bhai bhaiya bhaiyya bhaiyaa sir saab sahab madam maam mam dear beta didi boss yaar thanks thank thankyou shukriya \
        dhanyavaad dhanyavad धन्यवाद शुक्रिया थैंक्यू सर मैडम भाई भैया दीदी accha acha achha achcha अच्छा bas बस kripya कृपया kindly um umm uh hm hmm oh arre \
        अरे well hai hain he h jaldi जल्दी ekdum ekdam एकदम baba बाबा re रे needful very so much sounds works also only entirely totally quite same है हैं is course totally hundred percent hu hun hoon हूँ हूं",
    )
});
/// Joins what is said to what is said again; at the end of a turn more was to come.
static LINK: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "ho jaye jaega jayega sakte sakti sakta हो जाए जाएगा सकते सकती to toh तो hi ही bhi भी ko को ka ki ke का की के se से it its thats that this the a of for with on you can may will would i am aap आप \
        main मैं wahi yahi वही यही wo woh vo वो वह yeh ye यह ये ise isko use usko usi isi इसे इसको उसे उसको उसी इसी us is उस इस then phir fir फिर ab अब let lets aage आगे baat बात me",
    )
});
/// The same, where what is asked for follows: "yes, my order", but not "haan, mujhe do".
static WISHING: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "mujhe mujhko mera meri mere apna apni my want need like मुझे मेरा मेरी मेरे अपना अपनी hamara hamari हमारा हमारी",
    )
});
/// What may stand before the word of agreement: before any other it is asked for or about ("is my order confirmed").
static OPENING: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "that thats it its this is i am sir madam bhai bhaiya arre अरे are oh well um uh hmm hm accha acha achha अच्छा to तो all sab सब wahi yahi वही यही \
        sounds works entirely totally quite very ekdum ekdam एकदम of so ab yeh ye यह ये hai है main मैं baat बात aapki",
    )
});
static JI: LazyLock<Words> = LazyLock::new(|| Words::exact("ji jee जी"));
/// Whole at the end of a turn all the same: "thank you", "yes it is", "haan wahi", "yes you may".
static CLOSING: LazyLock<Words> = LazyLock::new(|| {
    Words::exact("jaye jaega jayega जाए जाएगा you can may will am hi ही wahi yahi वही यही me aap आप baat बात")
});
/// What of a wish may follow what is asked for.
static WANTED: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "karna karni karne kerna karwana chahta chahti chahte करना करनी करने करवाना चाहता चाहती चाहते and aur और",
    )
});
static NO: LazyLock<Words> = LazyLock::new(|| {
    Words::exact("no nope nah not dont never nahi nahin nhi nai ni mat na naa नहीं नही मत ना न rehne rahne रहने")
});
/// A *no* that may be a mere tag at the end: "kar do na".
static TAG: LazyLock<Words> = LazyLock::new(|| Words::exact("na naa ना न"));
/// With one of these it is no clear yes, even where the agent said it before.
static DOUBT: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "but lekin par magar wait ruko rukiye rukna ruk pehle pahle first abhi kya kyon kyu kyun kaun kitna kitne kab kaise what why who \
        how when if or agar shayad maybe perhaps think soch sochna sochta baad later hello helo bolo boliye bataiye batao \
        suniye suno sunao wrong galat false stop hold minute minutes second seconds sec moment repeat dobara again thehro thehriye \
        chhodo chodo chhod chod bye busy question rakhta rakhti dusra doosra other another instead लेकिन पर मगर रुको रुकिए रुकिये रुक पहले अभी क्या क्यों कौन कितना कितने कब कैसे \
        अगर शायद बाद हेलो हैलो बोलो बोलिए बताइए बताओ सुनिए सुनो गलत ग़लत सोच मिनट सेकंड ठहरो ठहरिए छोड़ो छोड़ दोबारा दुबारा बाय सवाल दूसरा दूसरी या रखता रखती",
    )
});

/// All that was asked, where it was more than one thing.
static ALL: LazyLock<Words> = LazyLock::new(|| {
    Words::exact("dono donon both all them sab sabhi saare sare teeno teenon everything दोनों दोनो सब सभी सारे तीनों")
});
/// Behind such a word these make another meaning of it: "sab theek hai", "all right".
static WELL: LazyLock<Words> =
    LazyLock::new(|| Words::exact("theek thik sahi right good ok okay badhiya ठीक सही अच्छा"));

/// Words for one deed: a question in one is answered in another.
const SAME: [&[&str]; 5] = [
    &["cancel", "radd", "cancellation", "nirast"],
    &["book", "booking", "reserve", "buk"],
    &["change", "badal", "badlo", "update", "badliye"],
    &["return", "wapas", "refund"],
    &["delete", "mita", "forget", "hata"],
];

/// Agreement in several words.
const IDIOMS: [&[&str]; 23] = [
    &["sure", "thing"],
    &["of", "course"],
    &["for", "sure"],
    &["go", "for", "it"],
    &["works", "for", "me"],
    &["that", "works"],
    &["you", "got", "it"],
    &["you", "bet"],
    &["i", "do"],
    &["it", "is"],
    &["thats", "it"],
    &["lets", "do", "it"],
    &["lets", "do", "this"],
    &["lets", "go"],
    &["without", "a", "doubt"],
    &["sounds", "good"],
    &["fine", "by", "me"],
    &["mujhe", "manzoor"],
    &["मुझे", "मंज़ूर"],
    &["मुझे", "मंजूर"],
    &["aage", "badhiye"],
    &["आगे", "बढ़िए"],
    &["hundred", "percent"],
];

/// What a turn is as an answer to what the agent asked, given what it was taken to want.
pub(super) fn answer(text: &str, tokens: &[Token], intent: IntentKind, asked: &str) -> Yes {
    let Some(first) = tokens.first() else { return Yes::Neither };
    let tagged = tokens.len() > 1 && tokens.last().is_some_and(|last| TAG.has(last));
    let body = if tagged { &tokens[..tokens.len() - 1] } else { tokens };
    let refused = NO.any(body);
    let plainly_done = !refused && tokens.len() <= NO_WORDS_MAX && all_do(body) && !mends(body);
    if !plainly_done && (intent == IntentKind::Deny || NO.has(first) || (refused && tokens.len() <= NO_WORDS_MAX)) {
        return Yes::Refused;
    }
    let clear = !refused && !DOUBT.any(tokens) && tokens.len() <= YES_WORDS_MAX && !laughs(tokens);
    let agreed = plainly_done || (clear && agrees(text, body, asked));
    match (agreed && clear, to_all(tokens)) {
        (true, true) => Yes::ToAll,
        (true, false) => Yes::Said,
        (false, _) => Yes::Neither,
    }
}

fn all_do(tokens: &[Token]) -> bool {
    let any = |token: &Token| DO.has(token) || YES.has(token) || WEAK.has(token) || ALL.has(token);
    let objects = |at: usize| at > 0 && DO.has(&tokens[at - 1]) && matches!(tokens[at].raw.as_str(), "it" | "that");
    let one = |(at, token): (usize, &Token)| any(token) || FILLER.has(token) || objects(at);
    let counts = |(at, token): (usize, &Token)| any(token) && (at == 0 || !JI.has(token));
    tokens.iter().enumerate().any(counts) && tokens.iter().enumerate().all(one)
}

/// "Theek karo": it is to be put right.
fn mends(tokens: &[Token]) -> bool {
    tokens.windows(2).any(|pair| RIGHT.has(&pair[0]) && MEND.has(&pair[1]) && !pair[1].after_break)
}

fn laughs(tokens: &[Token]) -> bool {
    tokens.iter().filter(|token| matches!(token.raw.as_str(), "ha" | "हा")).count() >= LAUGHS_MIN
}

/// What a word of a yes does in it.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Agrees,
    Weak,
    Does,
    Filler,
    Links,
    Wishes,
    /// What was asked for.
    Repeats,
}

/// A word of agreement, and nothing that does not confirm.
fn agrees(text: &str, tokens: &[Token], asked: &str) -> bool {
    let asked = Asked::new(asked);
    let numbers = asked.tells_numbers_of(text);
    let mut parts: Vec<Part> = Vec::with_capacity(tokens.len());
    while let Some(token) = tokens.get(parts.len()) {
        let idiom = IDIOMS.iter().find(|idiom| says(&tokens[parts.len()..], idiom));
        match (idiom, part(token, parts.len(), &asked, numbers)) {
            (Some(idiom), _) => parts.extend(idiom.iter().map(|_| Part::Agrees)),
            (None, Some(part)) => parts.push(part),
            (None, None) => return false,
        }
    }
    let repeats_after = |at: usize| parts[at..].contains(&Part::Repeats);
    let opens = |at: usize| {
        tokens[..at]
            .iter()
            .zip(&parts)
            .all(|(token, part)| OPENING.has(token) || matches!(part, Part::Agrees | Part::Weak | Part::Repeats))
    };
    let agreed = parts.iter().enumerate().any(|(at, part)| match part {
        _ if !opens(at) => false,
        // Behind other words it is mere politeness.
        Part::Agrees => at == 0 || !JI.has(&tokens[at]),
        // "please" is none beside what is asked for, wherever it stands.
        Part::Weak => !repeats_after(if polite(&tokens[at]) { 0 } else { at }),
        _ => false,
    });
    let wishes = parts.iter().rposition(|part| *part == Part::Wishes).is_none_or(repeats_after);
    let whole = parts.iter().rposition(|part| *part != Part::Links).map_or(Part::Links, |at| parts[at]);
    let broken_off = match parts.last() {
        Some(Part::Links) => !matches!(whole, Part::Does | Part::Repeats) && !CLOSING.any(&tokens[tokens.len() - 1..]),
        Some(Part::Wishes) => true,
        _ => false,
    };
    agreed && wishes && !broken_off && !mends(tokens)
}

fn says(tokens: &[Token], words: &[&str]) -> bool {
    tokens.len() >= words.len() && words.iter().zip(tokens).all(|(word, token)| token.raw == *word)
}

fn polite(token: &Token) -> bool {
    matches!(token.raw.as_str(), "please" | "plz" | "pls")
}

fn part(token: &Token, at: usize, asked: &Asked, numbers: bool) -> Option<Part> {
    // Further on it is *or*.
    if at > 0 && token.raw == "ya" {
        return None;
    }
    let listed = [
        (&YES, Part::Agrees),
        (&WEAK, Part::Weak),
        (&DO, Part::Does),
        (&ALL, Part::Filler),
        (&FILLER, Part::Filler),
        (&LINK, Part::Links),
        (&WANTED, Part::Links),
        (&WISHING, Part::Wishes),
    ];
    let listed = listed.into_iter().find_map(|(words, part)| words.has(token).then_some(part));
    listed.or_else(|| ((numbers && is_number(token)) || asked.has(token)).then_some(Part::Repeats))
}

fn is_number(token: &Token) -> bool {
    lex::digits(token).is_some() || matches!(word(token), Some(Word::Small(..) | Word::Times(_)))
}

/// What the agent asked.
struct Asked {
    text: String,
    tokens: Vec<Token>,
}

impl Asked {
    /// Only its questions, where it has some: what else was told is not what a yes is to. Of two things to choose from
    /// neither is taken.
    fn new(asked: &str) -> Self {
        let sentences = asked.split_inclusive(['.', '!', '?', '।']);
        let questions: String = sentences.filter(|sentence| sentence.ends_with('?')).collect();
        let text = if questions.is_empty() { asked.to_owned() } else { questions };
        let tokens = fold::tokens(&text);
        let chooses =
            tokens.windows(2).any(|pair| matches!(pair[0].raw.as_str(), "or" | "ya" | "या") && !NO.has(&pair[1]));
        if chooses { Self { text: String::new(), tokens: Vec::new() } } else { Self { text, tokens } }
    }

    fn has(&self, token: &Token) -> bool {
        let meaning = word(token);
        let deed = SAME.iter().find(|deed| deed.iter().any(|one| fold::key(one) == token.key));
        self.tokens.iter().any(|asked| {
            asked.key == token.key
                || (meaning.is_some() && word(asked) == meaning)
                || one_stem(&asked.sound, &token.sound)
                || deed.is_some_and(|deed| deed.iter().any(|one| fold::key(one) == asked.key))
        })
    }

    /// Whether all numbers in a text were asked for: a yes to another number is none.
    fn tells_numbers_of(&self, text: &str) -> bool {
        if self.tokens.is_empty() {
            return false;
        }
        let (told, asked) = (telling::numbers_said(text), telling::numbers_said(&self.text));
        !told.is_empty() && told.iter().all(|number| asked.contains(number))
    }
}

fn one_stem(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    let letters = !short.bytes().any(|b| b.is_ascii_digit());
    letters && short.len() >= STEM_MIN && long.len() - short.len() <= ENDING_MAX && long.starts_with(short)
}

fn to_all(tokens: &[Token]) -> bool {
    let well = |at: usize| tokens.get(at + 1).is_some_and(|next| WELL.has(next));
    tokens.iter().enumerate().any(|(at, token)| ALL.has(token) && !well(at))
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
