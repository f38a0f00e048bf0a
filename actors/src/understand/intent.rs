//! From meanings to one intent: each intent collects points for what speaks for it and loses points for what speaks
//! against it. The best one wins if it has enough; how far it leads is how sure it is.

use super::fold::{Token, key};
use super::lexicon::{Found, Meaning};
use crate::domain::IntentKind;

/// Points an intent needs to be one.
const THRESHOLD: f32 = 1.5;
/// How many words a negation reaches over.
const NEGATION_REACH: usize = 5;
/// Words a negation reaches across on its way to what it negates.
const LINKS: [&str; 46] = [
    "want",
    "to",
    "wanna",
    "need",
    "please",
    "you",
    "like",
    "wish",
    "me",
    "my",
    "the",
    "have",
    "going",
    "try",
    "let",
    "them",
    "be",
    "a",
    "an",
    "any",
    "with",
    "your",
    "this",
    "that",
    "karna",
    "karne",
    "karni",
    "ko",
    "ki",
    "ka",
    "ke",
    "se",
    "zarurat",
    "jarurat",
    "abhi",
    "hi",
    "bhi",
    "karwana",
    "kara",
    "करना",
    "करने",
    "करनी",
    "को",
    "की",
    "से",
    "ज़रूरत",
];

/// The likeliest intent and how sure it is, 0 to 1.
pub(super) fn decide(tokens: &[Token], found: &[Found]) -> (IntentKind, f32) {
    let turn = Turn { tokens, found };
    let mut scores = [
        (IntentKind::OrderStatus, turn.order_status()),
        (IntentKind::CancelOrder, turn.cancel_order()),
        (IntentKind::TalkToHuman, turn.talk_to_human()),
        (IntentKind::CallbackRequest, turn.callback()),
        (IntentKind::Goodbye, 0.0),
    ];
    let business = scores.iter().map(|(_, score)| *score).fold(0.0, f32::max);
    // A goodbye at the end of a wish is manners; the wish is what the turn is about.
    scores[4].1 = turn.goodbye() - if business >= THRESHOLD { 1.5 } else { 0.0 };
    scores.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let [(intent, best), (_, second), ..] = scores;
    if best < THRESHOLD {
        return (IntentKind::OutOfScope, (0.9 - 0.3 * best.max(0.0)).clamp(0.4, 0.9));
    }
    let lead = best - second.max(0.0);
    (intent, (0.45 + 0.05 * (best - THRESHOLD) + 0.09 * lead).clamp(0.4, 0.98))
}

struct Turn<'a> {
    tokens: &'a [Token],
    found: &'a [Found],
}

impl Turn<'_> {
    fn has(&self, meaning: Meaning) -> bool {
        self.found.iter().any(|found| found.meaning == meaning)
    }

    fn all(&self, meaning: Meaning) -> impl Iterator<Item = &Found> {
        self.found.iter().filter(move |found| found.meaning == meaning)
    }

    fn any(&self, meanings: &[Meaning]) -> bool {
        meanings.iter().any(|&meaning| self.has(meaning))
    }

    fn order_status(&self) -> f32 {
        use Meaning::{
            Arrive, Cancel, Late, Not, Order, OtherThing, Payment, PlaceOrder, Return, Status, StillNot, Track, When,
            Where,
        };
        let goods = self.has(Meaning::Goods)
            && (self.any(&[Track, Late]) || self.has(Arrive) && self.any(&[When, Where, Not, Meaning::Dont, StillNot]));
        // "has 5521 been dispatched": a number that can travel is an order.
        let numbered = self.any(&[Arrive, Track, Status, Where])
            && self.tokens.iter().any(|token| token.key.len() >= 4 && token.key.bytes().all(|b| b.is_ascii_digit()));
        let order = self.has(Order) || goods || numbered;
        let denied = self.any(&[Not, Meaning::Dont, StillNot]);
        let brief = self.tokens.len() <= 4;
        let mut score = match (self.has(Order), brief) {
            // "my order", "order number": whoever says no more wants to know about it.
            (true, true) if self.tokens.len() <= 3 => 1.6,
            (true, _) => 0.5,
            (false, true) if self.tokens.iter().any(|token| token.key == key("status")) => 0.8,
            (false, _) if numbered => 0.5,
            (false, _) => 0.0,
        };
        for (meaning, alone, together) in [
            (Track, 1.8, 2.5),
            (Status, 0.8, 2.2),
            (Where, 0.4, 2.2),
            (When, 0.3, 1.6),
            (Arrive, 0.4, 1.4),
            (Late, 0.9, 2.0),
        ] {
            if self.has(meaning) {
                score += if order { together } else { alone };
            }
        }
        if self.has(When) && self.has(Arrive) {
            score += 1.2;
        }
        if (self.has(Arrive) || order) && denied {
            score += if self.has(Arrive) { 1.0 } else { 0.4 };
        }
        if self.has(Late) && self.any(&[StillNot, Arrive]) {
            score += 0.6;
        }
        for (meaning, cost) in [(Return, 2.5), (PlaceOrder, 2.0), (Payment, 1.6), (Cancel, 1.0)] {
            if self.has(meaning) {
                score -= cost;
            }
        }
        if self.has(OtherThing) {
            score -= if order { 1.5 } else { 2.5 };
        }
        score
    }

    fn cancel_order(&self) -> f32 {
        let mut score: f32 = 0.0;
        for cancel in self.all(Meaning::Cancel) {
            score = score.max(if self.is_negated(cancel) { 0.0 } else { 2.6 });
        }
        if score == 0.0 {
            return if self.has(Meaning::Cancel) { -1.0 } else { 0.0 };
        }
        if self.any(&[Meaning::Order, Meaning::Goods]) {
            score += 1.6;
        } else if self.has(Meaning::OtherThing) {
            score -= 3.0;
        }
        score
    }

    fn talk_to_human(&self) -> f32 {
        use Meaning::{AreYou, Care, Connect, Human, Someone, Talk};
        let asks = self.any(&[Talk, Connect]);
        let mut score = 0.0;
        for (meaning, alone, together) in [(Human, 1.4, 1.8), (Care, 1.6, 1.8), (Someone, 0.2, 1.0)] {
            if self.has(meaning) {
                score += if asks { together } else { alone };
            }
        }
        if score > 0.0 && asks {
            score += 1.2;
        }
        if self.has(Human) && (self.has(Someone) || self.has(Meaning::DoIt) || self.wants()) {
            score += 0.9;
        }
        if self.has(Human) && self.tokens.len() <= 4 {
            score += 0.3;
        }
        if self.has(Meaning::Frustration) {
            score += 1.5;
        }
        if self.asks_to_talk() {
            score += 1.6;
        }
        if self.has(AreYou) {
            score -= 2.0;
        }
        let refused =
            [Talk, Connect, Human].iter().any(|&meaning| self.all(meaning).any(|found| self.is_negated(found)));
        if refused { -1.0 } else { score }
    }

    fn callback(&self) -> f32 {
        use Meaning::{Call, CallMe, DoIt, IWill, Later, Me};
        let (ring, call) = (self.has(CallMe), self.has(Call));
        if [Call, CallMe].iter().any(|&meaning| self.all(meaning).any(|found| self.is_negated(found))) {
            return -1.0;
        }
        if self.has(IWill) && !ring {
            return -1.0;
        }
        let mut score = if ring { 2.8 } else { 0.0 };
        if call && self.any(&[Me, DoIt]) {
            score += 1.2;
        }
        if (ring || call) && self.has(Later) {
            score += 1.2;
        }
        if self.has(IWill) {
            score -= 2.0;
        }
        score
    }

    fn goodbye(&self) -> f32 {
        let mut score = 0.0;
        for (meaning, points) in
            [(Meaning::Bye, 3.0), (Meaning::Leave, 2.5), (Meaning::Done, 2.0), (Meaning::Thanks, 0.7)]
        {
            if self.has(meaning) {
                score += points;
            }
        }
        if self.has(Meaning::Praise) && self.has(Meaning::Talk) && !self.any(&[Meaning::Human, Meaning::Greeting]) {
            score += 2.2;
        }
        if self.has(Meaning::Later) && self.tokens.len() == 1 {
            score += 1.6;
        }
        if self.has(Meaning::Greeting) && !self.has(Meaning::Bye) {
            score -= 1.0;
        }
        // "I will call back later" is how many a call ends.
        if self.has(Meaning::IWill) && self.has(Meaning::Later) {
            score += 1.6;
        }
        score
    }

    /// *I want to talk*, *can I talk to you*: with nobody and nothing named.
    fn asks_to_talk(&self) -> bool {
        self.tokens.len() <= 6
            && !self.has(Meaning::Praise)
            && self.all(Meaning::Talk).any(|talk| match &self.tokens[talk.last + 1..] {
                [] => true,
                [to, you] => to.raw == "to" && you.raw == "you",
                _ => false,
            })
    }

    fn wants(&self) -> bool {
        self.tokens
            .iter()
            .any(|token| matches!(token.raw.as_str(), "want" | "need" | "wanna" | "please" | "can" | "could"))
    }

    /// Whether a refusal reaches this: *don't cancel*, *cancel mat karo*, *cancel nahi karna hai*; but not *cancel nahi ho
    /// raha*, *can't cancel*, nor *no, cancel it*.
    fn is_negated(&self, what: &Found) -> bool {
        self.found.iter().any(|no| match no.meaning {
            Meaning::Dont => no.last < what.first && self.reaches(no.last + 1, what.first),
            Meaning::Not if no.last < what.first => {
                self.reaches(no.last + 1, what.first)
                    && (self.is_infinitive(what) || !self.follows(what.last, Meaning::DoIt, 1))
            }
            Meaning::Not if no.first > what.last => {
                self.reaches(what.last + 1, no.first) && !self.follows(no.last, Meaning::Ho, 2)
            }
            _ => false,
        })
    }

    /// Only linking words, or the order itself, stand between, and no clause ends.
    fn reaches(&self, from: usize, to: usize) -> bool {
        let between = &self.tokens[from..to];
        let links = |at: usize, token: &Token| {
            LINKS.contains(&token.raw.as_str())
                || self.found.iter().any(|found| {
                    (found.first..=found.last).contains(&at)
                        && matches!(
                            found.meaning,
                            Meaning::Order | Meaning::Talk | Meaning::Me | Meaning::Call | Meaning::Connect
                        )
                })
        };
        between.len() < NEGATION_REACH
            && between.iter().enumerate().all(|(offset, token)| links(from + offset, token))
            && !self.tokens[from..=to.min(self.tokens.len() - 1)].iter().any(|token| token.after_break)
    }

    fn follows(&self, last: usize, meaning: Meaning, reach: usize) -> bool {
        self.all(meaning).any(|found| found.first > last && found.first <= last + reach)
    }

    /// *cancel karna hai*: a wish that a `nahi` before it can deny, unlike the command *cancel kar do*.
    fn is_infinitive(&self, what: &Found) -> bool {
        self.tokens
            .get(what.last + 1)
            .is_some_and(|token| matches!(token.raw.as_str(), "karna" | "karni" | "करना" | "करनी"))
    }
}
