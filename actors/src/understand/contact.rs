//! Numbers that are names: telephones, PIN codes, order numbers.

use std::sync::LazyLock;

use super::entity::Turn;
use super::fold::{Token, key};
use super::lex::What;
use super::quantity::{Quantity, quantity};
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
    LazyLock::new(|| Words::spelled("phone mobile contact whatsapp call landline telephone फोन फ़ोन मोबाइल कॉल"));
static PIN: LazyLock<Words> = LazyLock::new(|| Words::spelled("pin pincode zip zipcode postal पिन पिनकोड area"));
/// A number behind these, or before these, is told of something else.
static NOT_BEFORE: LazyLock<Words> = LazyLock::new(|| Words::exact("age otp in cvv size version ओटीपी rate flat"));
static NOT_AFTER: LazyLock<Words> = LazyLock::new(|| Words::spelled("percent kg ml baar gm gram litre inch परसेंट किलो"));

/// Whether a word tells that a number follows.
pub(super) fn announces(token: &Token) -> bool {
    ANNOUNCING.has(token)
}

/// Most letters before the digits of an order number.
const LETTERS_MAX: usize = 4;

/// Words that may stand between *number* and its digits.
static SMALL_WORDS: LazyLock<Words> = LazyLock::new(|| {
    Words::exact(
        "hai he is was the ka ki ke ko se par pe no yes my for and aur or it its tha thi hi bhi to in on at so ya yeh ye wo woh do ek jo hu",
    )
});

/// A letter spelled out: `o`, *ओ*.
fn letter(token: &Token) -> Option<char> {
    const NAMES: &str = "ए:A बी:B सी:C डी:D ई:E एफ:F जी:G एच:H आई:I जे:J के:K एल:L एम:M एन:N ओ:O पी:P आर:R एस:S टी:T यू:U वी:V एक्स:X वाई:Y";
    let raw = token.raw.as_str();
    if raw.len() == 1 && raw.as_bytes()[0].is_ascii_lowercase() {
        return raw.chars().next().map(|letter| letter.to_ascii_uppercase());
    }
    let named = NAMES.split(' ').filter_map(|pair| pair.split_once(':')).find(|(name, _)| *name == raw);
    named.and_then(|(_, letter)| letter.chars().next())
}

/// `order id a b c one two three`, `order number od 4521 9`: letters spelled out, or few in one, before digits. Gives the
/// piece after it.
pub(super) fn lettered(turn: &mut Turn<'_>, at: usize) -> Option<usize> {
    let first = turn.pieces[at].first;
    if !turn.before(first, 3).iter().any(announces) {
        return None;
    }
    let mut name = String::new();
    let mut next = at;
    while name.len() < LETTERS_MAX
        && let Some(letter) = turn.pieces.get(next).and_then(|piece| letter(&turn.tokens[piece.first]))
    {
        name.push(letter);
        next += 1;
    }
    if name.is_empty() {
        // "od 4521": not a word, and right behind its announcement.
        let raw = &turn.tokens[first].raw;
        let close = turn.before(first, 1).iter().any(announces);
        let code =
            (2..=3).contains(&raw.len()) && raw.bytes().all(|b| b.is_ascii_lowercase()) && !SMALL_WORDS.has_word(raw);
        // "ORD-1042" is written so, and kept so.
        let blank = turn.text[turn.tokens[first].span.end..].starts_with(' ');
        if !close || !code || !blank || !matches!(turn.pieces[at].what, What::Other) {
            return None;
        }
        name = raw.to_ascii_uppercase();
        next = at + 1;
    }
    let letters = name.len();
    while let Some(number) = quantity(&turn.pieces, next).filter(|number| !number.scaled && number.value.fract() == 0.0)
    {
        name.push_str(&number.digits.clone().unwrap_or_else(|| super::quantity::plain(number.value)));
        next = number.end;
    }
    let last = turn.pieces[next - 1].last;
    let fits = name.len() >= letters + 3 && name.len() <= DIGITS_MAX && turn.is_free(first, last);
    fits.then(|| turn.note("order_id", (first, last), 0, name, 0.9))?;
    Some(next)
}

/// E.164 of an Indian number, mobile or (where a telephone is spoken of) fixed, or of another one told with its `+`.
fn phone(digits: &str, plus: bool, telephone: bool) -> Option<String> {
    let national = match digits.len() {
        10 => digits,
        11 => digits.strip_prefix('0').unwrap_or(""),
        12 => digits.strip_prefix("91").unwrap_or(""),
        _ => "",
    };
    let fixed = telephone && digits.starts_with('0');
    if national.len() == 10 && !national.starts_with('0') && (fixed || national.starts_with(['6', '7', '8', '9'])) {
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
    let said = turn.before(first, 1).iter().any(|token| matches!(token.raw.as_str(), "plus" | "प्लस"));
    if (telephone || !is_order)
        && let Some(number) = phone(&text, plus.is_some() || said, telephone)
    {
        let first = if said { first - 1 } else { first };
        turn.note(
            "phone",
            (first, last),
            if said { 0 } else { plus.unwrap_or(0) },
            number,
            if telephone { 0.95 } else { 0.85 },
        );
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
