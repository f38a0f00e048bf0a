//! What a turn may be an answer to: what the agent asked, without what is to be given up for it, and with what waits for a
//! yes. Tells whether a word of the caller only says again what was asked.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};

use super::assent;
use super::fold::{self, Token};
use super::moments::{Moment, moments};
use super::telling::runs;
use super::vocabulary::{Word, word};
use super::words::Words;
use super::{entity, lex};

/// What is done.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Deed {
    Cancel,
    Return,
    Delete,
    Change,
    Call,
    Refund,
    Book,
}

impl Deed {
    /// Something is taken back: whoever names only what it is done to may as well want to keep it.
    pub(super) fn undoes(self) -> bool {
        matches!(self, Self::Cancel | Self::Return | Self::Delete)
    }

    /// Of a question with several words of deeds the strongest is what it asks ("shall I cancel your booking?").
    fn rank(self) -> u8 {
        match self {
            Self::Cancel | Self::Return | Self::Delete => 0,
            Self::Change => 1,
            Self::Call | Self::Refund | Self::Book => 2,
        }
    }
}

/// Words for one deed: a question in one is answered in another. Found by their plain spelling.
const DEEDS: [(Deed, &str); 7] = [
    (Deed::Cancel, "cancel cancle kansal kensal cancellation radd rad nirast कैंसिल कैंसल कैन्सिल कैन्सल"),
    (Deed::Return, "return vaapas wapas wapsi रिटर्न returning"),
    (Deed::Delete, "delete mita mitao hata hatao hataiye hatana forget remove डिलीट हटा हटाओ मिटा रिमूव"),
    (
        Deed::Change,
        "change badal badlo badliye badalna badalwa badlwa update move shift reschedule चेंज बदल बदलो बदलिए अपडेट शिफ्ट मूव",
    ),
    (Deed::Call, "call phone fone fon ring callback कॉल फोन फ़ोन"),
    (Deed::Refund, "refund रिफंड"),
    (Deed::Book, "book booking buk reserve reservation schedule बुक बुकिंग रिज़र्व"),
];

static DEED: LazyLock<HashMap<String, Deed>> = LazyLock::new(|| {
    let spelled = |(deed, words): &(Deed, &'static str)| {
        let deed = *deed;
        words.split_whitespace().map(move |word| (fold::plain(word), deed)).collect::<Vec<_>>()
    };
    DEEDS.iter().flat_map(spelled).collect()
});

/// Words for one thing.
const SAME: [&[&str]; 3] =
    [&["pata", "address", "पता", "एड्रेस"], &["dr", "doctor", "doctr", "डॉक्टर", "डॉ"], &["mobile", "phone", "number"]];

/// Endings that tell forms of one verb apart that all ask for it: *bhejo*, *bhejiye*, *bhejna*. A past form is a question
/// or a report.
const ENDINGS: [&str; 13] = ["o", "e", "ie", "iega", "na", "ni", "ne", "va", "vao", "vana", "vado", "ing", "s"];
/// Shortest beginning that such forms share.
const STEM_MIN: usize = 4;
/// Fewest consonants by which a word is known however its vowels are spelled.
const CONSONANTS_MIN: usize = 3;
/// Most words of what is given up for something else.
const OLD_WORDS_MAX: usize = 6;

/// See the module's text.
#[derive(Default)]
pub(super) struct Asked {
    tokens: Vec<Token>,
    /// What is given up: "Monday se", "from Monday", "FC Road ki jagah".
    old: Vec<Token>,
    pub(super) moments: Vec<Moment>,
    numbers: Vec<String>,
    /// Other things that are named by value.
    values: Vec<(&'static str, String)>,
    /// What is asked to be done, in its own words or by the name of what waits for a yes.
    pub(super) deeds: Vec<Deed>,
    /// Several things wait for a yes: the name of one says nothing of the question.
    several: bool,
}

/// Without a time of the call's own any day will do to compare times by.
pub(super) fn day_of(now: Option<NaiveDateTime>) -> NaiveDateTime {
    let some = || NaiveDate::from_ymd_opt(2026, 11, 25).unwrap_or_default().and_time(NaiveTime::MIN);
    now.unwrap_or_else(some)
}

impl Asked {
    /// Only the questions, where there are some: what else was told is not what a yes is to. Of two things to choose from
    /// neither is taken. `waiting` names what waits for a yes.
    pub(super) fn new(asked: &str, waiting: &str, now: Option<NaiveDateTime>) -> Self {
        let mut text = questions(asked);
        let whole = fold::tokens(&text);
        if chooses(&whole) {
            return Self::default();
        }
        let now = day_of(now);
        let old = old_of(&whole, &moments(&text, &whole, now));
        let given_up = old.clone().map_or(Vec::new(), |old| whole[old].to_vec());
        if let Some(old) = old {
            let span = whole[old.start].span.start..whole[old.end - 1].span.end;
            text.replace_range(span, ",");
        }
        let tokens = fold::tokens(&text);
        let moments = moments(&text, &tokens, now);
        let mut asked = Self { moments, old: given_up, ..Self::default() };
        asked.read(&text, &tokens, now);
        asked.tokens = tokens;
        let names: Vec<&str> = waiting.split_whitespace().collect();
        asked.several = names.len() > 1;
        asked.know_deeds(&names);
        asked
    }

    fn read(&mut self, text: &str, tokens: &[Token], now: NaiveDateTime) {
        let of_time = |at: usize| self.moments.iter().any(|moment| moment.tokens.contains(&at));
        for (at, token) in tokens.iter().enumerate() {
            self.numbers.extend(lex::digits(token).filter(|_| !of_time(at)).map(|digits| without_zeros(&digits)));
        }
        for entity in entity::find(text, tokens, Some(now), None) {
            match entity.kind {
                "order_id" | "number" | "amount" | "phone" | "pincode" => self.numbers.extend(runs(&entity.value)),
                "datetime" | "name" | "product" => {}
                kind => self.values.push((kind, entity.value.to_string())),
            }
        }
    }

    fn know_deeds(&mut self, waiting: &[&str]) {
        let named = waiting.iter().flat_map(|name| name.split(['_', '-', '.'])).filter_map(deed_of_word);
        let mut deeds: Vec<Deed> = deeds_of(&self.tokens).chain(named).collect();
        let rank = deeds.iter().map(|deed| deed.rank()).min().unwrap_or_default();
        deeds.retain(|deed| deed.rank() == rank);
        deeds.dedup();
        self.deeds = deeds;
        let (replaced, address) = (!self.old.is_empty(), self.any(&assent::NEW));
        if self.deeds.is_empty() && (replaced || address) {
            self.deeds.push(Deed::Change);
        }
        // Where nothing that waits says otherwise, a time that is told is to be kept for the caller.
        if self.deeds.is_empty() && waiting.is_empty() && !self.moments.is_empty() {
            self.deeds.push(Deed::Book);
        }
    }

    pub(super) fn undoes(&self) -> bool {
        self.deeds.iter().any(|deed| deed.undoes())
    }

    /// Somebody is to come at a time.
    pub(super) fn is_visit(&self) -> bool {
        let here = |deed: &Deed| matches!(deed, Deed::Book | Deed::Change);
        !self.moments.is_empty() && self.deeds.iter().all(here)
    }

    /// Whether a word is one for what is asked to be done.
    pub(super) fn has_deed(&self, token: &Token) -> bool {
        let said = |deed: Deed| {
            let in_words = || self.tokens.iter().any(|asked| self::deed(asked) == Some(deed));
            self.deeds.contains(&deed) && (!self.several || in_words())
        };
        deed(token).is_some_and(said) || self.has_verb(token) || (assent::KEEPS.has(token) && said(Deed::Book))
    }

    /// Whether a word is the verb of what is asked: "laga doon?", "laga do". Where something is taken back, its own word must be
    /// said.
    fn has_verb(&self, token: &Token) -> bool {
        let taken = self.deeds.iter().any(|deed| deed.rank() < Deed::Book.rank());
        let asks = |pair: &[Token]| assent::MYSELF.has(&pair[1]) && !assent::DO.has(&pair[0]) && same(&pair[0], token);
        !taken && self.tokens.windows(2).any(asks)
    }

    /// Whether a word was said in what was asked.
    pub(super) fn has(&self, token: &Token) -> bool {
        if assent::MYSELF.has(token) {
            return false;
        }
        self.tokens.iter().any(|asked| same(asked, token))
    }

    /// Whether a word is one for a time that was told.
    pub(super) fn has_time(&self, token: &Token) -> bool {
        !self.moments.is_empty() && assent::TIMES.has(token)
    }

    /// Whether all words are among what is given up.
    pub(super) fn gives_up(&self, tokens: &[Token]) -> bool {
        tokens.iter().all(|token| self.old.iter().any(|old| same(old, token)))
    }

    /// Whether a number was asked: an order's, an amount, or the hour of a time.
    pub(super) fn has_number(&self, number: &str) -> bool {
        let number = without_zeros(number);
        let spoken = || self.moments.iter().any(|moment| moment.is_at(&number) || moment.is_spelled(&number));
        self.numbers.contains(&number) || spoken()
    }

    pub(super) fn has_value(&self, kind: &str, value: &str) -> bool {
        self.values.iter().any(|(told, asked)| *told == kind && asked == value)
    }

    /// More orders than one were asked about.
    pub(super) fn has_several_numbers(&self) -> bool {
        let long = |number: &&String| number.len() >= 3;
        let mut orders: Vec<&String> = self.numbers.iter().filter(long).collect();
        orders.sort();
        orders.dedup();
        orders.len() > 1
    }

    /// Whether anything was asked.
    pub(super) fn any_word(&self) -> bool {
        !self.tokens.is_empty()
    }

    /// Whether one of some words was said as it is spelled.
    pub(super) fn has_raw(&self, words: &[&str]) -> bool {
        self.tokens.iter().any(|token| words.contains(&&*token.raw))
    }

    /// Whether some word stands in what was asked.
    pub(super) fn any(&self, words: &Words) -> bool {
        words.any(&self.tokens)
    }
}

fn without_zeros(number: &str) -> String {
    number.trim_start_matches('0').to_owned()
}

/// "Rupaye wapas karke cancel kar doon": what comes back is no return.
fn deeds_of(tokens: &[Token]) -> impl Iterator<Item = Deed> {
    let aside = move |at: usize| {
        let money = at > 0 && matches!(word(&tokens[at - 1]), Some(Word::Rupee | Word::Paisa));
        money && deed(&tokens[at]) == Some(Deed::Return)
    };
    tokens.iter().enumerate().filter(move |(at, _)| !aside(*at)).filter_map(|(_, token)| deed(token))
}

/// The deed that a word is for.
pub(super) fn deed(token: &Token) -> Option<Deed> {
    deed_of_word(&token.raw)
}

fn deed_of_word(word: &str) -> Option<Deed> {
    DEED.get(&fold::plain(word)).copied()
}

/// Whether two are one word, as they are spoken, in whatever script. Words that sound alike are not.
fn same(asked: &Token, said: &Token) -> bool {
    let meaning = (word(asked), word(said));
    let devanagari = |token: &Token| !token.raw.is_ascii();
    let spelled = if devanagari(asked) && devanagari(said) {
        fold::romanise(&asked.raw) == fold::romanise(&said.raw)
    } else {
        fold::plain(&asked.raw) == fold::plain(&said.raw)
    };
    if meaning.0.is_some() || meaning.1.is_some() {
        return meaning.0 == meaning.1 && (spelled || timed(meaning.0));
    }
    let known = || {
        let (one, other) = (fold::consonants(&asked.raw), fold::consonants(&said.raw));
        one == other && one.trim_start_matches('a').len() >= CONSONANTS_MIN
    };
    let synonym = || SAME.iter().any(|words| words.contains(&&*asked.raw) && words.contains(&&*said.raw));
    spelled || known() || synonym() || one_stem(&fold::plain(&asked.raw), &fold::plain(&said.raw))
}

/// A word that means the same as another of its meaning: *saturday*, *shanivaar*.
fn timed(word: Option<Word>) -> bool {
    matches!(word, Some(Word::Weekday(_) | Word::Month(_) | Word::Day(_) | Word::Part(_) | Word::Oclock | Word::Rupee))
}

fn one_stem(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    let letters = !short.bytes().any(|b| b.is_ascii_digit());
    letters && short.len() >= STEM_MIN && long.strip_prefix(short).is_some_and(|ending| ENDINGS.contains(&ending))
}

fn chooses(tokens: &[Token]) -> bool {
    tokens.windows(2).any(|pair| matches!(pair[0].raw.as_str(), "or" | "ya" | "या") && !assent::NO.has(&pair[1]))
}

/// The questions of what was said, with the sentence before the first where none of them says what it is about: "badal
/// doon?", "is that right?". Without a question all of it.
fn questions(said: &str) -> String {
    let sentences = sentences(said);
    let Some(first) = sentences.iter().position(|sentence| sentence.trim_end().ends_with('?')) else {
        return said.to_owned();
    };
    let asked: Vec<&str> = sentences.iter().copied().filter(|sentence| sentence.trim_end().ends_with('?')).collect();
    let empty = asked.iter().all(|sentence| fold::tokens(sentence).iter().all(says_nothing));
    let before = if empty && first > 0 { sentences[first - 1] } else { "" };
    // What was told is no question, but it must not run into one.
    format!("{before} {}", asked.join(" "))
}

fn says_nothing(token: &Token) -> bool {
    lex::digits(token).is_none() && (assent::is_common(token) || assent::ASKING.has(token) || deed(token).is_some())
}

/// A full stop ends a sentence, but not behind "Dr" or "Rs", nor inside of a number.
fn sentences(said: &str) -> Vec<&str> {
    let (mut sentences, mut from) = (Vec::new(), 0);
    for (at, sign) in said.char_indices().filter(|(_, c)| matches!(c, '.' | '!' | '?' | '।')) {
        let (before, after) = (&said[from..at], &said[at + sign.len_utf8()..]);
        let short = before.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_lowercase();
        let inside = !after.is_empty() && !after.starts_with(char::is_whitespace);
        let shortened = matches!(short.as_str(), "dr" | "mr" | "mrs" | "ms" | "rs" | "st" | "p" | "a" | "डॉ");
        if sign == '.' && (inside || shortened) {
            continue;
        }
        sentences.push(&said[from..at + sign.len_utf8()]);
        from = at + sign.len_utf8();
    }
    sentences.push(&said[from..]);
    sentences.retain(|sentence| !sentence.trim().is_empty());
    sentences
}

/// What is given up for something else: "Monday se hata kar", "Monday ki jagah", "from Monday", "instead of Monday". In words.
pub(super) fn old_of(tokens: &[Token], moments: &[Moment]) -> Option<Range<usize>> {
    static TAKEN: LazyLock<Words> = LazyLock::new(|| {
        Words::exact(
            "hata hatakar hatake badal badalkar badalke nikal nikalkar shift change हटा हटाकर बदल बदलकर शिफ्ट चेंज",
        )
    });
    let raw = |at: usize| tokens.get(at).map_or("", |token| token.raw.as_str());
    let changes = tokens.iter().any(|token| deed(token) == Some(Deed::Change));
    let day = |at: usize| tokens.get(at).is_some_and(|token| is_day(word(token)));
    // "5 se 7 baje", "from five to seven": a stretch of one day.
    let stretch = |at: usize| {
        let one = moments.iter().any(|moment| moment.tokens.contains(&(at - 1)) && moment.tokens.contains(&(at + 1)));
        one && !day(at + 1) && !changes
    };
    for at in 0..tokens.len() {
        let hindi = match (raw(at), raw(at + 1)) {
            ("se" | "से", next) if TAKEN.has_word(next) => {
                let dropped = matches!(deed_of_word(next), Some(Deed::Delete));
                Some(at + if dropped { 3 } else { 1 })
            }
            ("se" | "से", _) => {
                let told = |at: usize| moments.iter().any(|moment| moment.tokens.contains(&at));
                (at > 0 && told(at - 1) && told(at + 1) && !stretch(at)).then_some(at + 1)
            }
            ("ki" | "ke" | "की" | "के", "jagah" | "bajay" | "bajaye" | "badle" | "जगह" | "बजाय" | "बदले") => {
                Some(at + 2)
            }
            _ => None,
        };
        if let Some(end) = hindi {
            return Some(begin_of_old(tokens, at)..end.min(tokens.len()));
        }
        match (raw(at), raw(at + 1)) {
            ("from", _) => {
                let to = (at + 1..tokens.len()).find(|&to| raw(to) == "to")?;
                return (!stretch(to)).then_some(at..to);
            }
            ("instead", "of") | ("rather", "than") => {
                let end = (at + 2..tokens.len()).find(|&next| tokens[next].after_break);
                return Some(at..end.unwrap_or(tokens.len()));
            }
            _ => {}
        }
    }
    None
}

fn is_day(word: Option<Word>) -> bool {
    matches!(word, Some(Word::Weekday(_) | Word::Day(_) | Word::Either(_) | Word::Month(_)))
}

/// Where what is given up begins, before the word that says so.
fn begin_of_old(tokens: &[Token], marker: usize) -> usize {
    static BEFORE: LazyLock<Words> = LazyLock::new(|| {
        Words::exact(
            "ka ki ke ko ok haan ha ji yes appointment booking pata address order time samay slot aapki aapka aapko your main kya का की के को हाँ हां जी पता अपॉइंटमेंट \
            बुकिंग ऑर्डर एड्रेस समय आपकी आपका आपको मैं क्या",
        )
    });
    let mut begin = marker;
    while begin > 0 && marker - begin < OLD_WORDS_MAX && !BEFORE.has(&tokens[begin - 1]) && !tokens[begin].after_break {
        begin -= 1;
    }
    begin
}
