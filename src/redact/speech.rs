//! Secrets in people's words: cards, one-time passwords, Aadhaar, PAN and UPI ids, typed or spoken.
//!
//! A number is masked for what it is (check digits) or for what it was asked as (the word before it). Orders, amounts,
//! dates and times are what a call is about: a number that such a word stands at is left alone.

use super::Asked;
use super::numbers::{PAN_HOLDERS, is_aadhaar, is_card, is_indian_phone};
use super::tokens::{Kind, Run, Token, runs, tokens};
use super::words::Said;

const CARD: &str = "[card]";
const AADHAAR: &str = "[aadhaar]";
const CODE: &str = "[code]";
const PAN: &str = "[pan]";
const UPI: &str = "[upi]";
const PHONE: &str = "[phone]";
/// All that stands where something was.
pub(super) const LABELS: [&str; 7] = [CARD, AADHAAR, CODE, PAN, UPI, PHONE, super::scan::MASK];

/// How far back from a number a word that asks for it is looked for, in words.
const CUE_REACH: usize = 12;
/// How far back a word counts that says what harmless thing the number is.
const SUBJECT_REACH: usize = 3;
/// How far past a number its name may follow: "4821 is the OTP".
const LATE_CUE_REACH: usize = 4;

/// What a text is, and so what in it is a secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kept {
    /// A log line or an error: nobody's number belongs into it.
    Log,
    /// The record of a call: phone numbers and names are the operator's data.
    Record,
}

/// Digits a caller has told in confidence.
pub(super) type Told = Vec<u8>;

/// What is known of a conversation when one of its texts is looked at.
#[derive(Clone, Copy, Default)]
pub(super) struct Known<'a> {
    /// What the other side had asked for.
    pub(super) asked: Option<Asked>,
    /// What has been told before, here said again.
    pub(super) told: &'a [Told],
}

struct Mask {
    start: usize,
    end: usize,
    label: &'static str,
    /// Digits that only the conversation makes a secret.
    told: Option<Told>,
}

/// Masks what is secret in `text` and adds to `new` what was told as an answer; `None` if nothing is secret.
pub(super) fn masked(text: &str, kept: Kept, known: Known<'_>, new: &mut Vec<Told>) -> Option<String> {
    let tokens = tokens(text);
    let speech = Speech { text, cues: cues(&tokens), tokens: &tokens, kept, known };
    let mut masks = Vec::new();
    speech.pans(&mut masks);
    speech.upi_ids(&mut masks);
    for run in runs(text, &tokens, kept == Kept::Record) {
        speech.run(&run, &mut masks);
    }
    masks.sort_by_key(|mask| mask.start);
    let mut out = String::new();
    let mut copied = 0;
    for mask in masks {
        if mask.start >= copied {
            out.push_str(&text[copied..mask.start]);
            out.push_str(mask.label);
            copied = mask.end;
            new.extend(mask.told);
        }
    }
    (copied > 0).then(|| out + &text[copied..])
}

/// What a speaker asks the other for, by the words of one turn.
pub(super) fn asked_in(text: &str) -> Option<Asked> {
    let tokens = tokens(text);
    cues(&tokens)
        .iter()
        .flatten()
        .find_map(|cue| match cue {
            Said::Code => Some(Asked::Code),
            Said::Aadhaar => Some(Asked::Aadhaar),
            _ => None,
        })
        .or_else(|| {
            // "Card" alone is also a way to pay; its number is what is asked for.
            let number = |token: &Token| {
                matches!(token.word(), "number" | "numbers" | "digit" | "digits" | "नंबर" | "नम्बर" | "अंक")
            };
            let card = tokens.iter().any(|token| token.said() == Some(Said::Card));
            (card && tokens.iter().any(number)).then_some(Asked::Card)
        })
}

/// Whether a turn is about some harmless number: an order, a phone, a date.
pub(super) fn asks_else(text: &str) -> bool {
    const THINGS: [&str; 18] = [
        "phone",
        "mobile",
        "number",
        "name",
        "address",
        "date",
        "time",
        "quantity",
        "naam",
        "pata",
        "फोन",
        "मोबाइल",
        "नंबर",
        "नम्बर",
        "नाम",
        "पता",
        "तारीख",
        "समय",
    ];
    tokens(text)
        .iter()
        .any(|token| matches!(token.said(), Some(Said::Subject | Said::Unit)) || THINGS.contains(&token.word()))
}

/// What each word asks for, seen with its neighbours.
fn cues(tokens: &[Token]) -> Vec<Option<Said>> {
    let word = |at: Option<usize>| at.and_then(|at| tokens.get(at)).map_or("", Token::word);
    let cue = |at: usize| {
        let (before, two_before) = (word(at.checked_sub(1)), word(at.checked_sub(2)));
        match word(Some(at)) {
            "pin" | "पिन" if matches!(word(Some(at + 1)), "code" | "कोड") => Some(Said::Subject),
            "pin" | "पिन" => {
                let secret = ["upi", "atm", "card", "debit", "digit", "secret", "यूपीआई", "एटीएम", "कार्ड"];
                secret.contains(&before).then_some(Said::Code)
            }
            "code" | "कोड" => {
                let secret = ["verification", "security", "confirmation", "secret", "time", "वेरिफिकेशन", "सिक्योरिटी"];
                secret.contains(&before).then_some(Said::Code)
            }
            "password" | "पासवर्ड" => Some(Said::Code),
            "p" | "पी" if matches!((two_before, before), ("o", "t") | ("ओ", "टी")) => Some(Said::Code),
            "v" | "वी" if matches!((two_before, before), ("c", "v") | ("सी", "वी")) => Some(Said::Code),
            _ => tokens[at].said(),
        }
    };
    (0..tokens.len()).map(cue).collect()
}

struct Speech<'a> {
    text: &'a str,
    tokens: &'a [Token],
    cues: Vec<Option<Said>>,
    kept: Kept,
    known: Known<'a>,
}

impl Speech<'_> {
    fn run(&self, run: &Run, masks: &mut Vec<Mask>) {
        let (found, free) = self.checked_numbers(run);
        let whole = found.is_empty();
        masks.extend(found);
        if whole && run.digits.len() > 1 {
            masks.extend(self.asked_for(run, run.digits.len()));
        } else if !free.is_empty() && (3..=8).contains(&free.len()) && self.cue_before(run) == Some(Said::Code) {
            // What follows a card in one breath.
            let (from, to) = (free[0], free[free.len() - 1]);
            masks.push(self.told(run, from, to + 1, CODE));
        }
    }

    /// Numbers whose check digits are right, longest first from the left; and the digits after the last of them.
    fn checked_numbers(&self, run: &Run) -> (Vec<Mask>, Vec<usize>) {
        let (mut found, mut at) = (Vec::new(), 0);
        let mut past = 0;
        while at < run.digits.len() && !run.scaled {
            let longest = (at + 10..=(at + 19).min(run.digits.len())).rev().filter(|to| whole_tokens(run, at, *to));
            let hit = longest.into_iter().find_map(|to| Some((to, self.checked(run, at, to)?)));
            if let Some((to, label)) = hit {
                found.push(self.mask(run, at, to, label));
                (at, past) = (to, to);
            } else {
                at += 1;
            }
        }
        let free = if past > 0 { (past..run.digits.len()).collect() } else { Vec::new() };
        (found, free)
    }

    fn checked(&self, run: &Run, from: usize, to: usize) -> Option<&'static str> {
        let digits = run.values(from, to);
        if is_card(&digits) && !self.is_shop_order(run) {
            return Some(CARD);
        }
        if is_indian_phone(&digits) {
            return (self.kept == Kept::Log).then_some(PHONE);
        }
        (is_aadhaar(&digits) && !self.is_subject(run)).then_some(AADHAAR)
    }

    /// 3-7-7 digits after "order": a large shop's order number, of which one in ten passes for a card's.
    fn is_shop_order(&self, run: &Run) -> bool {
        let lengths: Vec<usize> = self.tokens[run.first..run.end]
            .iter()
            .map(|token| if let Kind::Digits(digits) = &token.kind { digits.len() } else { 0 })
            .collect();
        lengths == [3, 7, 7] && self.is_subject(run)
    }

    /// A number without check digits, by what was asked for in this text or in the turn before.
    fn asked_for(&self, run: &Run, count: usize) -> Option<Mask> {
        let digits = run.values(0, count);
        let all = |label| Some(self.told(run, 0, count, label));
        if self.known.told.contains(&digits) {
            return Some(self.mask(run, 0, count, CODE));
        }
        if self.is_subject(run) || self.is_counted(run) {
            return None;
        }
        let is_code = (3..=8).contains(&count) || run.scaled;
        let is_phone = is_indian_phone(&digits);
        match self.cue_before(run) {
            Some(Said::Code) if is_code => return all(CODE),
            Some(Said::Card) if (12..=19).contains(&count) && !is_phone => return all(CARD),
            Some(Said::Aadhaar) if count == 12 => return all(AADHAAR),
            _ if is_code && self.cue_after(run) => return all(CODE),
            _ => {}
        }
        match self.known.asked? {
            Asked::Code if (2..=9).contains(&count) || run.scaled => all(CODE),
            Asked::Card if count >= 4 && !is_phone => all(CARD),
            Asked::Aadhaar if count >= 4 && !is_phone => all(AADHAAR),
            _ => None,
        }
    }

    /// The nearest word before a run that asks for a secret.
    fn cue_before(&self, run: &Run) -> Option<Said> {
        for at in (run.first.saturating_sub(CUE_REACH)..run.first).rev() {
            if self.is_field(at + 1) {
                return None;
            }
            if let Some(cue @ (Said::Code | Said::Card | Said::Aadhaar)) = self.cues[at] {
                return Some(cue);
            }
        }
        None
    }

    /// A log line's `name=value` or `"name":value`: what stands before it says nothing about this value.
    fn is_field(&self, at: usize) -> bool {
        let Some(before) = at.checked_sub(1) else { return false };
        let gap = &self.text[self.tokens[before].end..self.tokens[at].start];
        self.kept == Kept::Log && (gap.contains('=') || gap.contains("\":"))
    }

    fn cue_after(&self, run: &Run) -> bool {
        let reach = run.end..(run.end + LATE_CUE_REACH).min(self.tokens.len());
        for at in reach {
            if self.is_field(at) || matches!(self.tokens[at].kind, Kind::Digits(_)) {
                return false;
            }
            match self.cues[at] {
                Some(Said::Code) => return true,
                Some(Said::Subject) => return false,
                _ => {}
            }
        }
        false
    }

    /// The words just before say that it is an order, an amount, …; or the sign of a currency stands there.
    fn is_subject(&self, run: &Run) -> bool {
        let gap =
            &self.text[run.first.checked_sub(1).map_or(0, |at| self.tokens[at].end)..self.tokens[run.first].start];
        if gap.contains(['₹', '$', '#']) {
            return true;
        }
        let reach = run.first.saturating_sub(SUBJECT_REACH)..run.first;
        for at in reach.rev() {
            match (&self.tokens[at].kind, self.cues[at]) {
                (_, Some(Said::Subject)) => return true,
                // That word belongs to the number before, and a nearer word says what this is.
                (Kind::Digits(_), _) | (_, Some(Said::Code | Said::Card | Said::Aadhaar)) => return false,
                _ => {}
            }
        }
        false
    }

    /// "5 minutes", "1042 rupees", "1042 order".
    fn is_counted(&self, run: &Run) -> bool {
        let next = self.tokens.get(run.end);
        let close = next.is_some_and(|next| self.text[self.tokens[run.end - 1].end..next.start].trim().is_empty());
        close && matches!(self.cues[run.end], Some(Said::Unit | Said::Subject))
    }

    fn mask(&self, run: &Run, from: usize, to: usize, label: &'static str) -> Mask {
        let (first, end) = (run.digits[from].1, run.digits[to - 1].2);
        // A scale word has no digits of its own and goes with those beside it.
        let (first, end) = if run.scaled { (run.first, run.end) } else { (first, end) };
        Mask { start: self.tokens[first].start, end: self.tokens[end - 1].end, label, told: None }
    }

    fn told(&self, run: &Run, from: usize, to: usize, label: &'static str) -> Mask {
        Mask { told: Some(run.values(from, to)), ..self.mask(run, from, to, label) }
    }

    /// Five letters (the fourth one of ten), four digits, a letter; in one piece, in groups or letter by letter.
    fn pans(&self, masks: &mut Vec<Mask>) {
        let mut at = 0;
        while at < self.tokens.len() {
            match self.pan(at) {
                Some(end) => {
                    let (start, stop) = (self.tokens[at].start, self.tokens[end - 1].end);
                    masks.push(Mask { start, end: stop, label: PAN, told: None });
                    at = end;
                }
                None => at += 1,
            }
        }
    }

    fn pan(&self, first: usize) -> Option<usize> {
        let letters = |at: usize, most: usize| {
            let token = self.tokens.get(at)?;
            let text = &self.text[token.start..token.end];
            (text.len() <= most && text.bytes().all(|b| b.is_ascii_alphabetic())).then_some(text)
        };
        let (mut at, mut name) = (first, String::new());
        while name.len() < 5 {
            let piece = letters(at, 5 - name.len())?;
            let fits = piece.len() == 1 || (name.is_empty() && piece.len() == 5);
            if !fits {
                return None;
            }
            name.push_str(piece);
            at += 1;
        }
        let in_one = at == first + 1;
        let glued = in_one && self.tokens.get(at)?.start == self.tokens[first].end;
        if in_one && !glued && !name.bytes().all(|b| b.is_ascii_uppercase()) {
            return None;
        }
        let mut count = 0;
        while count < 4 {
            let token = self.tokens.get(at)?;
            count += match (&token.kind, token.said()) {
                (Kind::Digits(digits), _) => digits.len(),
                (_, Some(Said::Digit(_))) => 1,
                (_, Some(Said::Pair(_))) => 2,
                (_, Some(Said::Tens(_))) => {
                    let more = matches!(self.tokens.get(at + 1).and_then(Token::said), Some(Said::Digit(1..=9)));
                    at += usize::from(more);
                    2
                }
                (_, Some(Said::Repeat(times))) => {
                    at += 1;
                    times
                }
                _ => return None,
            };
            at += 1;
        }
        let fourth = name.as_bytes()[3].to_ascii_uppercase();
        (count == 4 && letters(at, 1).is_some() && PAN_HOLDERS.contains(&fourth)).then_some(at + 1)
    }

    /// "ravi at the rate okaxis", "ravi @ okaxis": a name at a bank's handle. A mail address has another domain.
    fn upi_ids(&self, masks: &mut Vec<Mask>) {
        for at in 1..self.tokens.len() {
            let word = |at: usize| self.tokens.get(at).map_or("", Token::word);
            let gap = self.text[self.tokens[at - 1].end..self.tokens[at].start].trim();
            let name_end = if gap == "@" {
                at
            } else if at >= 4
                && matches!(
                    (word(at - 3), word(at - 2), word(at - 1)),
                    ("at", "the", "rate") | ("एट", "द" | "दी", "रेट")
                )
            {
                at - 3
            } else {
                continue;
            };
            if !is_handle(word(at), word(at + 1)) {
                continue;
            }
            let end = if is_handle(word(at), "") { at } else { at + 1 };
            let first = self.name_start(name_end - 1);
            masks.push(Mask { start: self.tokens[first].start, end: self.tokens[end].end, label: UPI, told: None });
        }
    }

    /// The first token of a spoken name such as "ravi dot kumar 99".
    fn name_start(&self, last: usize) -> usize {
        let mut first = last;
        while first > 0 {
            let gap = &self.text[self.tokens[first - 1].end..self.tokens[first].start];
            let number = |at: usize| matches!(self.tokens[at].kind, Kind::Digits(_));
            let joint = |at: usize| matches!(self.tokens[at].word(), "dot" | "underscore" | "डॉट" | "अंडरस्कोर");
            if gap.is_empty() || matches!(gap, "." | "_" | "-") || (number(first) && gap == " ") {
                first -= 1;
            } else if joint(first - 1) && first >= 2 {
                first -= 2;
            } else {
                break;
            }
        }
        first
    }
}

/// Whether a number begins and ends where words do: half a word's digits are no number of their own.
fn whole_tokens(run: &Run, from: usize, to: usize) -> bool {
    let starts = from == 0 || run.digits[from - 1].1 != run.digits[from].1;
    starts && (to == run.digits.len() || run.digits[to].1 != run.digits[to - 1].1)
}

/// Handles of UPI apps and banks, as one word or as they are said in two.
fn is_handle(word: &str, next: &str) -> bool {
    const HANDLES: [&str; 33] = [
        "okaxis",
        "okhdfcbank",
        "okicici",
        "oksbi",
        "ybl",
        "ibl",
        "axl",
        "paytm",
        "upi",
        "apl",
        "yapl",
        "rapl",
        "waaxis",
        "wahdfcbank",
        "waicici",
        "wasbi",
        "sbi",
        "hdfcbank",
        "icici",
        "axisbank",
        "kotak",
        "barodampay",
        "pnb",
        "fbl",
        "ptyes",
        "ptaxis",
        "pthdfc",
        "ptsbi",
        "airtel",
        "freecharge",
        "ikwik",
        "slice",
        "axis",
    ];
    HANDLES.contains(&word) || (word == "ok" && matches!(next, "axis" | "hdfc" | "icici" | "sbi"))
}
