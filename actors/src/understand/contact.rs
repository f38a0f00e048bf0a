//! Numbers that are names: telephones, PIN codes, order numbers; and e-mail addresses.

use std::sync::LazyLock;

use super::entity::Turn;
use super::fold::{Token, key, romanise};
use super::lex::{What, digits as digits_of};
use super::quantity::Quantity;
use super::vocabulary::{Word, word};
use super::words::Words;

/// Fewest digits of an order number without a word that announces it.
const UNANNOUNCED_DIGITS_MIN: usize = 4;
/// Longest order number.
const DIGITS_MAX: usize = 20;

static ANNOUNCING: LazyLock<Words> = LazyLock::new(|| {
    Words::spelled("order orders number nambar id आईडी parcel package shipment tracking booking नंबर awb")
});
static TELEPHONE: LazyLock<Words> =
    LazyLock::new(|| Words::spelled("phone mobile contact whatsapp call फोन फ़ोन मोबाइल कॉल"));
static PIN: LazyLock<Words> = LazyLock::new(|| Words::spelled("pin pincode zip zipcode postal पिन पिनकोड area"));
/// A number behind these, or before these, is told of something else.
static NOT_BEFORE: LazyLock<Words> = LazyLock::new(|| Words::exact("age otp in cvv size version ओटीपी rate flat"));
static NOT_AFTER: LazyLock<Words> = LazyLock::new(|| Words::spelled("percent kg ml baar gm gram litre inch परसेंट किलो"));

/// Whether a word tells that a number follows.
pub(super) fn announces(token: &Token) -> bool {
    ANNOUNCING.has(token)
}

/// E.164 of an Indian mobile number, or of another one told with its `+`.
fn phone(digits: &str, plus: bool) -> Option<String> {
    let national = match digits.len() {
        10 => digits,
        11 => digits.strip_prefix('0').unwrap_or(""),
        12 => digits.strip_prefix("91").unwrap_or(""),
        _ => "",
    };
    if national.len() == 10 && national.starts_with(['6', '7', '8', '9']) {
        return Some(format!("+91{national}"));
    }
    (plus && (8..=15).contains(&digits.len()) && !digits.starts_with('0')).then(|| format!("+{digits}"))
}

/// Takes a string of digits as a telephone, PIN code or order number; `false` if it is none of them.
pub(super) fn digits(turn: &mut Turn<'_>, number: &Quantity, (first, last): (usize, usize)) -> bool {
    let spelled = number.digits.clone();
    let text = spelled.unwrap_or_else(|| super::quantity::plain(number.value));
    if number.value.fract() != 0.0 || !text.bytes().all(|b| b.is_ascii_digit()) || text.len() > DIGITS_MAX {
        return false;
    }
    let (before, after) = (turn.before(first, 4), turn.after(last, 2));
    let telephone = before.iter().any(|token| TELEPHONE.has(token));
    let marked = turn.sign_before(first, "#").is_some();
    let is_order = marked || before.iter().any(|token| token.key == key("order"));
    let plus = turn.sign_before(first, "+");
    if (telephone || !is_order)
        && let Some(number) = phone(&text, plus.is_some())
    {
        turn.note("phone", (first, last), plus.unwrap_or(0), number, if telephone { 0.95 } else { 0.85 });
        return true;
    }
    let pin = before.iter().chain(after).any(|token| PIN.has(token));
    if text.len() == 6 && !text.starts_with('0') && (pin || !is_order && !before.iter().any(announces)) {
        turn.note("pincode", (first, last), 0, text, if pin { 0.95 } else { 0.6 });
        return true;
    }
    order(turn, number, (first, last), text, telephone && !is_order || pin)
}

fn order(turn: &mut Turn<'_>, number: &Quantity, (first, last): (usize, usize), text: String, other: bool) -> bool {
    let (before, after) = (turn.before(first, 4), turn.after(last, 2));
    let marked = turn.sign_before(first, "#").is_some();
    // "recharge my number with 299": a number is told right behind its word.
    let near = |token: &&Token| ["number", "nambar", "id"].iter().all(|word| token.key != key(word));
    let close = before.iter().rev().take(2).any(announces) || after.iter().any(announces);
    let announced = marked || close || before.iter().filter(near).any(announces);
    let counts = after.first().is_some_and(|token| {
        NOT_AFTER.has(token) || matches!(word(token), Some(Word::Unit(_) | Word::Rupee | Word::Oclock))
    }) || before.last().is_some_and(|token| NOT_BEFORE.has(token));
    let named = before.last().is_some_and(|token| ["number", "nambar", "id"].iter().any(|word| token.key == key(word)));
    let fewest = match (marked, named, announced) {
        (true, ..) => 1,
        (_, true, _) => 2,
        (.., true) => 3,
        _ => UNANNOUNCED_DIGITS_MIN,
    };
    // "2 shirts order kiye": fewer than three spoken digits are counted things.
    if (counts && !marked) || other || text.len() < fewest || (number.spoken && text.len() < 3) {
        return false;
    }
    // Said in one, or round, or a year, it is a count unless something announces it.
    let count = number.digits.is_none() || number.value % 100.0 == 0.0 || (1900.0..2100.0).contains(&number.value);
    if !announced && count {
        return false;
    }
    let confidence = match (announced, number.spoken) {
        (true, false) => 0.95,
        (true, true) => 0.9,
        (false, false) => 0.7,
        (false, true) => 0.6,
    };
    turn.note("order_id", (first, last), 0, text.clone(), confidence);
    if !announced {
        // It may be a number of something else.
        turn.note("number", (first, last), 0, text, confidence - 0.2);
    }
    true
}

/// `OD123456`, `ORD-1042`: letters and digits in one name. Gives the piece after it.
pub(super) fn coded(turn: &mut Turn<'_>, at: usize) -> Option<usize> {
    let piece = turn.pieces.get(at)?;
    let (mut first, last, next) = (piece.first, piece.last, at + 1);
    if !turn.is_free(first, last) {
        return None;
    }
    let raw = &turn.text[turn.tokens[first].span.clone()];
    if let What::Digits(..) = piece.what {
        // The part before the dash is letters that nobody would take for a word.
        let before = first.checked_sub(1)?;
        let letters = &turn.text[turn.tokens[before].span.clone()];
        let dash = &turn.text[turn.tokens[before].span.end..turn.tokens[first].span.start] == "-";
        let capitals = (1..=4).contains(&letters.len()) && letters.bytes().all(|b| b.is_ascii_uppercase());
        if !dash || !capitals || first != last {
            return None;
        }
        first = before;
        let value = format!("{letters}-{raw}");
        turn.note("order_id", (first, last), 0, value, 0.95);
        return Some(next);
    }
    if !matches!(piece.what, What::Other) || !raw.is_ascii() {
        return None;
    }
    let letters = raw.bytes().take_while(u8::is_ascii_alphabetic).count();
    let numerals = raw.bytes().filter(u8::is_ascii_digit).count();
    let all = raw.bytes().all(|b| b.is_ascii_alphanumeric());
    let announced = turn.before(first, 4).iter().any(announces);
    let fits = all && numerals >= 3 && (1..=4).contains(&letters) && letters + numerals == raw.len();
    let mixed = announced && all && numerals >= 3 && letters < raw.len() && raw.len() <= DIGITS_MAX;
    // "covid19" and "b12" are words with a number.
    if !(fits || mixed) || (letters > 3 && numerals < 3) {
        return None;
    }
    let value = raw.to_ascii_uppercase();
    turn.note("order_id", (first, last), 0, value, if announced { 0.95 } else { 0.8 });
    Some(next)
}

/// Written addresses, and spoken ones: `ravi dot kumar at the rate gmail dot com`.
pub(super) fn emails(turn: &mut Turn<'_>) {
    let mut at = 0;
    while at < turn.tokens.len() {
        match email(turn, at) {
            Some((first, last, value)) => {
                turn.note("email", (first, last), 0, value, 0.95);
                at = last + 1;
            }
            None => at += 1,
        }
    }
}

static HOSTS: LazyLock<Words> = LazyLock::new(|| {
    Words::exact("gmail yahoo hotmail outlook rediffmail rediff icloud live ymail protonmail जीमेल याहू")
});

/// The address whose `@` is at a token or before it: its first and last token and its text.
fn email(turn: &Turn<'_>, at: usize) -> Option<(usize, usize, String)> {
    let raw = |at: usize| turn.tokens.get(at).map(|token| token.raw.as_str());
    let gap = |at: usize| turn.tokens.get(at + 1).map(|next| &turn.text[turn.tokens[at].span.end..next.span.start]);
    let (user_end, host) = if gap(at) == Some("@") {
        (at, at + 1)
    } else {
        let rest = match (raw(at)?, raw(at + 1), raw(at + 2)) {
            ("at" | "एट", Some("the" | "द" | "दी"), Some("rate" | "रेट")) => at + 3,
            ("at" | "एट", Some("rate" | "रेट"), _) | ("ऐट", Some("रेट"), _) => at + 2,
            ("at", Some(host), _) if HOSTS.has_word(host) => at + 1,
            ("attherate" | "atrate", ..) => at + 1,
            _ => return None,
        };
        (at.checked_sub(1)?, if matches!(raw(rest), Some("of")) { rest + 1 } else { rest })
    };
    let (domain, last) = domain(turn, host)?;
    let (first, user) = user(turn, user_end)?;
    Some((first, last, format!("{user}@{domain}")))
}

/// A name in Latin letters, as people write theirs: `rahul`, not `raahul`.
fn latin(word: &str) -> String {
    if word.is_ascii() { word.to_owned() } else { romanise(word).replace("aa", "a") }
}

fn is_dot(word: &str) -> bool {
    matches!(word, "dot" | "डॉट" | "डाट" | "point")
}

/// `gmail dot com`, `company.co.in`.
fn domain(turn: &Turn<'_>, at: usize) -> Option<(String, usize)> {
    const ENDINGS: [(&str, &str); 10] = [
        ("com", "com"),
        ("कॉम", "com"),
        ("in", "in"),
        ("इन", "in"),
        ("co", "co"),
        ("org", "org"),
        ("net", "net"),
        ("edu", "edu"),
        ("kaum", "com"),
        ("kom", "com"),
    ];
    let raw = |at: usize| turn.tokens.get(at).map(|token| token.raw.as_str());
    let name = match raw(at)? {
        "जीमेल" => "gmail",
        "याहू" => "yahoo",
        name if name.is_ascii() => name,
        _ => return None,
    };
    let (mut domain, mut last) = (name.to_owned(), at);
    loop {
        let spoken = raw(last + 1).is_some_and(is_dot);
        let next = if spoken { last + 2 } else { last + 1 };
        let written = !spoken
            && turn
                .tokens
                .get(next)
                .is_some_and(|token| &turn.text[turn.tokens[last].span.end..token.span.start] == ".");
        let Some(word) = raw(next).filter(|_| spoken || written) else { break };
        let ending = ENDINGS.iter().find(|(said, _)| *said == word).map(|(_, ending)| *ending);
        let Some(part) = ending.or_else(|| written.then_some(word)) else { break };
        domain.push('.');
        domain.push_str(part);
        last = next;
    }
    (domain.contains('.')).then_some((domain, last))
}

/// What stands before the `@`, read backwards as long as its parts hang together.
fn user(turn: &Turn<'_>, end: usize) -> Option<(usize, String)> {
    static STOPS: LazyLock<Words> = LazyLock::new(|| {
        Words::exact("is email mail id my hai mera meri address to on it its ईमेल मेल आईडी है मेरा मेरी e the par pe at")
    });
    let mut parts: Vec<String> = Vec::new();
    let mut first = end + 1;
    let mut joined = true;
    while let Some(at) = first.checked_sub(1) {
        let token = turn.tokens.get(at)?;
        let written = turn.tokens.get(at + 1).map(|next| &turn.text[token.span.end..next.span.start]);
        let sign = match written {
            Some(sign @ ("." | "_" | "-" | "+")) => Some(sign),
            _ => None,
        };
        let said = match token.raw.as_str() {
            word if is_dot(word) => Some("."),
            "underscore" | "अंडरस्कोर" => Some("_"),
            "dash" | "hyphen" | "minus" => Some("-"),
            _ => None,
        };
        if let Some(said) = said {
            parts.push(said.to_owned());
            joined = true;
        } else {
            let number = match word(token) {
                Some(Word::Small(value, _)) => Some(value.to_string()),
                _ => digits_of(token),
            };
            let single = token.raw.len() == 1 || number.is_some();
            if STOPS.has(token) {
                break;
            }
            if !(joined || sign.is_some() || single) {
                break;
            }
            if let Some(sign) = sign.filter(|_| at < end) {
                parts.push(sign.to_owned());
            }
            // "ravi one two": a word before figures is part of the address, one before a word is not.
            joined = single && at > 0;
            parts.push(number.unwrap_or_else(|| latin(&token.raw)));
        }
        first = at;
        if parts.len() > 24 {
            break;
        }
    }
    parts.reverse();
    let user = parts.concat();
    (!user.is_empty() && user.bytes().any(|b| b.is_ascii_alphanumeric())).then_some((first, user))
}
