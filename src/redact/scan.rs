//! One pass over a text for what is written in signs: keys, `name=value` secrets, addresses, typed numbers.

use std::borrow::Cow;

use super::numbers::{PAN_HOLDERS, is_aadhaar, is_card, is_indian_phone};
use super::speech::Kept;
use super::words::{ENOUGH, weight};

pub(super) const MASK: &str = "***";

/// Endings of names whose values are secret, in lower case.
const SECRET_NAMES: [&str; 9] =
    ["token", "key", "password", "passwd", "secret", "signature", "authorization", "otp", "cvv"];

/// Names that end like a secret and are none.
const HARMLESS_NAMES: [&str; 4] = ["idempotency_key", "sec-websocket-key", "primary_key", "public_key"];

/// The text with what was found masked, and whether words in it need a closer look.
pub(super) fn scan(text: &str, kept: Kept) -> (Cow<'_, str>, bool) {
    let mut scan = Scan { text, bytes: text.as_bytes(), at: 0, copied: 0, out: String::new(), kept, weight: 0 };
    while scan.at < scan.bytes.len() {
        scan.step();
    }
    let spoken = scan.weight >= ENOUGH;
    if scan.copied == 0 {
        return (Cow::Borrowed(text), spoken);
    }
    scan.out.push_str(&text[scan.copied..]);
    (Cow::Owned(scan.out), spoken)
}

/// Whether a value of this name is a secret, whatever it looks like.
pub(super) fn is_secret_name(word: &str) -> bool {
    SECRET_NAMES.iter().any(|name| ends_with(word, name)) && !HARMLESS_NAMES.iter().any(|name| ends_with(word, name))
}

/// Whether these begin a letter of Devanagari or its neighbours, or a digit as Arabic, Persian or Urdu has it, or one of full
/// width.
fn is_foreign(first: u8, second: u8) -> bool {
    match first {
        0xd9 => matches!(second, 0xa0..=0xa9),
        0xdb => matches!(second, 0xb0..=0xb9),
        0xe0 => matches!(second, 0xa4..=0xb5),
        0xef => second == 0xbc,
        _ => false,
    }
}

struct Scan<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// Everything before this is in `out`, masked where needed.
    copied: usize,
    out: String,
    kept: Kept,
    /// How many words of a spoken number or of a question for a secret stand here, see [`weight`].
    weight: u8,
}

impl Scan<'_> {
    fn step(&mut self) {
        let byte = self.bytes[self.at];
        if byte.is_ascii_alphanumeric() {
            self.word();
        } else if byte == b'+' && self.peek(self.at + 1).is_ascii_digit() {
            let start = self.at;
            self.at += 1;
            self.number(start, true);
        } else if byte == b'%'
            && self.peek(self.at + 1).is_ascii_hexdigit()
            && self.peek(self.at + 2).is_ascii_hexdigit()
        {
            // An escaped sign of a URL: its digits belong to no number.
            self.at += 3;
        } else if byte == b':' && self.text[self.at..].starts_with("://") {
            self.url_credentials();
        } else {
            // Devanagari or a digit of another script, or a sign that parts a name from its bank.
            if byte == b'@' || is_foreign(byte, self.peek(self.at + 1)) {
                self.weight = ENOUGH;
            }
            self.at += 1;
        }
    }

    fn peek(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    fn end_of(&self, from: usize, belongs: impl Fn(u8) -> bool) -> usize {
        self.bytes[from..].iter().position(|b| !belongs(*b)).map_or(self.bytes.len(), |length| from + length)
    }

    fn mask(&mut self, from: usize, to: usize, with: &str) {
        self.out.push_str(&self.text[self.copied..from]);
        self.out.push_str(with);
        self.copied = to;
        self.at = to;
    }

    fn word(&mut self) {
        let start = self.at;
        let inside_name = start > 0 && matches!(self.bytes[start - 1], b'_' | b'-');
        let end = self.end_of(start, |b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if !inside_name
            && (self.address(start) || self.key(start, end) || self.value(start, end) || self.pan(start, end))
        {
            return;
        }
        if self.bytes[start].is_ascii_digit() {
            self.number(start, false);
        } else {
            let letters = self.end_of(start, |b| b.is_ascii_alphabetic());
            self.weight = self.weight.saturating_add(weight(&self.bytes[start..letters]));
            // Up to the next underscore only: `caller_9876543210` holds a number, a UUID's digits are none.
            self.at = self.end_of(start, |b| b.is_ascii_alphanumeric() || b == b'-');
        }
    }

    /// `name@bank` and `name@mail.example`: the name goes.
    fn address(&mut self, start: usize) -> bool {
        let at_sign = self.end_of(start, |b| b.is_ascii_alphanumeric() || b"._-+%".contains(&b));
        if self.peek(at_sign) != b'@' || !self.peek(at_sign + 1).is_ascii_alphabetic() {
            return false;
        }
        let domain_end = self.end_of(at_sign + 1, |b| b.is_ascii_alphanumeric() || b == b'-');
        let is_mail = self.peek(domain_end) == b'.' && self.peek(domain_end + 1).is_ascii_alphabetic();
        if is_mail && self.kept == Kept::Record {
            self.at = domain_end;
            return true;
        }
        self.mask(start, at_sign, MASK);
        true
    }

    /// `sk-…`, `caly_…`, `shpat_…`, `Bearer …`, `Basic …`.
    fn key(&mut self, start: usize, end: usize) -> bool {
        let word = &self.text[start..end];
        if word.starts_with("sk-") && word.len() >= 11 {
            self.mask(start + 3, end, MASK);
            return true;
        }
        // Shopify's tokens and secrets: `shpat_`, `shpss_`, `shpca_` …
        if word.starts_with("shp") && word.get(5..6) == Some("_") && word.len() >= 16 {
            self.mask(start + 6, end, MASK);
            return true;
        }
        // Metrics and crates are named caly_ too; a key is long and has digits.
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        if word.starts_with("caly_") && word.len() >= 24 && digits >= 2 {
            self.mask(start + 5, end, MASK);
            return true;
        }
        if word.eq_ignore_ascii_case("bearer") || word.eq_ignore_ascii_case("basic") {
            let from = self.end_of(end, |b| b == b' ');
            let to = self.end_of(from, is_token);
            let token = &self.bytes[from..to];
            if from > end && token.len() >= 6 && (token.len() >= 16 || token.iter().any(u8::is_ascii_digit)) {
                self.mask(from, to, MASK);
                return true;
            }
        }
        false
    }

    /// `name=value`, `"name":"value"` (also with the quotes escaped) and `Name: value` for secret names.
    fn value(&mut self, start: usize, end: usize) -> bool {
        let word = &self.text[start..end];
        if !is_secret_name(word) {
            return false;
        }
        let (separator, key_quoted) = self.quote(end);
        if !matches!(self.peek(separator), b'=' | b':') {
            return false;
        }
        let spaced = self.end_of(separator + 1, |b| b == b' ');
        let (from, quote) = self.quote(spaced);
        let to = self.value_end(from, quote);
        let value = &self.bytes[from..to];
        let sure =
            key_quoted.is_some() || quote.is_some() || (self.bytes[separator] == b'=' && spaced == separator + 1);
        if value.is_empty() || !(sure || (value.len() >= 8 && value.iter().any(u8::is_ascii_digit))) {
            return false;
        }
        // A number or a literal outside quotes must stay one for JSON.
        let json_literal = key_quoted.is_some() && quote.is_none();
        self.mask(from, to, if json_literal { "null" } else { MASK });
        true
    }

    /// Skips a quote, also one escaped inside a JSON string; says where it ends and which it was.
    fn quote(&self, at: usize) -> (usize, Option<&'static [u8]>) {
        match (self.peek(at), self.peek(at + 1)) {
            (b'"', _) => (at + 1, Some(b"\"")),
            (b'\'', _) => (at + 1, Some(b"'")),
            (b'\\', b'"') => (at + 2, Some(b"\\\"")),
            _ => (at, None),
        }
    }

    /// The end of a value: its closing quote, or the first byte that cannot be part of one.
    fn value_end(&self, from: usize, quote: Option<&'static [u8]>) -> usize {
        let Some(quote) = quote else {
            let end = self.end_of(from, is_value);
            let word = &self.text[from..end];
            let is_scheme = word.eq_ignore_ascii_case("bearer") || word.eq_ignore_ascii_case("basic");
            return if is_scheme { self.end_of(self.end_of(end, |b| b == b' '), is_value) } else { end };
        };
        let mut at = from;
        while at < self.bytes.len() && !self.bytes[at..].starts_with(quote) {
            at += if self.bytes[at] == b'\\' { 2 } else { 1 };
        }
        at.min(self.bytes.len())
    }

    /// Indian tax number: five letters (the fourth one of ten), four digits, a letter.
    fn pan(&mut self, start: usize, end: usize) -> bool {
        let word = &self.bytes[start..end];
        let fits = word.len() == 10
            && word[..5].iter().all(u8::is_ascii_alphabetic)
            && PAN_HOLDERS.contains(&word[3].to_ascii_uppercase())
            && word[5..9].iter().all(u8::is_ascii_digit)
            && word[9].is_ascii_alphabetic();
        if fits {
            self.mask(start, end, MASK);
        }
        fits
    }

    fn url_credentials(&mut self) {
        let from = self.at + 3;
        let end = self.end_of(from, |b| b > b' ' && !b"/?#\"'\\<>".contains(&b));
        self.at = from;
        if let Some(length) = self.bytes[from..end].iter().rposition(|b| *b == b'@') {
            self.mask(from, from + length, MASK);
        }
    }

    /// Digits in groups, from `self.at`; `start` is before a plus sign. Masks the longest run of whole groups that is
    /// a phone, a card or an Aadhaar number.
    fn number(&mut self, start: usize, plus: bool) {
        let first = self.at;
        let token_end = self.end_of(first, |b| b.is_ascii_alphanumeric() || b == b'-');
        let in_fraction = (first >= 2 && self.bytes[first - 1] == b'.' && self.bytes[first - 2].is_ascii_digit())
            || (self.peek(token_end) == b'.' && self.peek(token_end + 1).is_ascii_digit());
        let has_letters = self.bytes[first..token_end].iter().any(u8::is_ascii_alphabetic);
        if in_fraction || has_letters {
            self.at = token_end;
            return;
        }
        if self.kept == Kept::Record {
            self.at = self.end_of(first, |b| b.is_ascii_digit());
            return;
        }
        let (ends, count) = self.groups(first);
        if count >= 4 {
            self.weight = ENOUGH;
        }
        for end in ends[..count].iter().rev() {
            let digits = Digits::of(&self.bytes[first..*end]);
            if digits.is_private(plus) {
                let masked = self.masked_number(start, *end);
                self.mask(start, *end, &masked);
                return;
            }
        }
        self.at = self.end_of(first, |b| b.is_ascii_digit());
    }

    /// Where each of the first eight digit groups ends; groups are parted by one space or hyphen, or by brackets.
    fn groups(&self, first: usize) -> ([usize; 8], usize) {
        let (mut ends, mut count, mut at) = ([0; 8], 0, first);
        while count < ends.len() && self.peek(at).is_ascii_digit() {
            at = self.end_of(at, |b| b.is_ascii_digit());
            if self.peek(at).is_ascii_alphabetic() {
                break;
            }
            ends[count] = at;
            count += 1;
            let gap = self.end_of(at, |b| b" -()+".contains(&b));
            if gap == at || gap - at > 2 {
                break;
            }
            at = gap;
        }
        (ends, count)
    }

    /// The number with as little left of it as tells two apart; JSON's stays a number.
    fn masked_number(&self, start: usize, end: usize) -> Cow<'static, str> {
        let before = self.text[..start].strip_suffix('-').unwrap_or(&self.text[..start]).trim_end_matches(' ');
        let in_json = before.ends_with("\":") || before.ends_with(['[', ',']);
        if in_json && b",}]".contains(&self.peek(end)) {
            return Cow::Borrowed("0");
        }
        let shown = &self.text[start..end];
        let digits = Digits::of(shown.as_bytes());
        let (first, last) = match shown.as_bytes() {
            [b'+', ..] => (4, 2),
            _ if !is_indian_phone(&digits.digits[..digits.count]) => (0, 4),
            [b'0', b'0', ..] => (6, 2),
            [b'0', ..] => (3, 2),
            [b'9', b'1', ..] if digits.count == 12 => (4, 2),
            _ => (2, 2),
        };
        let mut seen = 0;
        let mut one = |c: char| {
            if !c.is_ascii_digit() {
                return c;
            }
            seen += 1;
            if seen <= first || seen > digits.count - last { c } else { 'x' }
        };
        Cow::Owned(shown.chars().map(&mut one).collect())
    }
}

fn ends_with(word: &str, ending: &str) -> bool {
    word.len() >= ending.len() && word.as_bytes()[word.len() - ending.len()..].eq_ignore_ascii_case(ending.as_bytes())
}

fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b)
}

fn is_value(b: u8) -> bool {
    b > b' ' && !b"\"'\\&,;<>()[]{}".contains(&b)
}

/// At most 19 digits, the longest card number.
struct Digits {
    digits: [u8; 20],
    count: usize,
}

impl Digits {
    fn of(bytes: &[u8]) -> Self {
        let mut found = Self { digits: [0; 20], count: 0 };
        for byte in bytes.iter().filter(|b| b.is_ascii_digit()) {
            if found.count < found.digits.len() {
                found.digits[found.count] = byte - b'0';
            }
            found.count += 1;
        }
        found
    }

    fn is_private(&self, plus: bool) -> bool {
        if self.count >= self.digits.len() {
            return false;
        }
        let digits = &self.digits[..self.count];
        (plus && (7..=15).contains(&digits.len())) || is_indian_phone(digits) || is_card(digits) || is_aadhaar(digits)
    }
}
