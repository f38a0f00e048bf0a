//! The questions of one call, so that an answer is masked for what was asked: "What is the OTP?" and then "4821".

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use caly_actors::understand::script;
use serde_json::Value;
use uuid::Uuid;

use super::speech::{Known, Told, asks_else};
use super::{Asked, each_text, record};

/// Agent turns remembered: a caller's words may be written down a turn or two after they were said.
const AGENT_TURNS: usize = 4;
/// Masked caller turns remembered, for what is understood from them later.
const CALLER_TURNS: usize = 32;
/// Answers remembered, so that they are masked when somebody says them again.
const TOLD: usize = 16;
/// Fewer digits are not told from any other number.
const TOLD_DIGITS: usize = 3;

/// What an agent's turn was after.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Question {
    Secret(Asked),
    /// An order's number, a phone number, a date: what follows is an answer to that.
    Else,
    /// "One moment", "are you still there?": the former question still stands.
    Nothing,
}

impl Question {
    fn of(text: &str) -> Self {
        match Asked::in_words(text) {
            Some(asked) => Self::Secret(asked),
            None if asks_else(text) => Self::Else,
            None => Self::Nothing,
        }
    }
}

/// What the redactor must know of one call. Bounded, and never printed: it holds what the caller told.
#[derive(Clone, PartialEq, Default)]
pub struct Dialogue {
    asked: VecDeque<(Duration, Question)>,
    heard: VecDeque<(Uuid, String)>,
    told: Vec<Told>,
}

impl fmt::Debug for Dialogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dialogue")
    }
}

impl Dialogue {
    /// The agent's words, heard and unheard, as they may be stored. A question for a secret counts until the agent asks
    /// for something else or has gone on for some turns; `started` is when the words began, on the call's clock.
    pub fn agent_said(&mut self, started: Duration, heard: &str, unheard: &str) -> (String, String) {
        // A caller who knows what is coming answers before the question is at its end.
        push(&mut self.asked, AGENT_TURNS, (started, Question::of(&format!("{heard} {unheard}"))));
        (self.text(heard).into_owned(), self.text(unheard).into_owned())
    }

    /// The caller's words as they may be stored; turns may come later than they were said. `under_way` is what the agent
    /// is saying and [`Dialogue::agent_said`] has not been told yet: who is asked for a code may give it before the question
    /// has been heard to its end.
    pub fn caller_said(&mut self, turn: Uuid, started: Duration, text: &str, under_way: &str) -> String {
        let mut new = Vec::new();
        let asked = Asked::in_words(under_way).or_else(|| self.asked_at(started));
        let known = Known { asked, told: &self.told };
        let masked = record(text, known, &mut new).into_owned();
        self.told.extend(new.into_iter().filter(|digits| digits.len() >= TOLD_DIGITS));
        let over = self.told.len().saturating_sub(TOLD);
        self.told.drain(..over);
        push(&mut self.heard, CALLER_TURNS, (turn, masked.clone()));
        masked
    }

    /// What the recogniser wrote of a turn in another script, as it may be stored, by what was masked in the turn's `text`:
    /// the words that are shown there are shown, and what stands between the first and the last that are not is told as
    /// there. `None` if the two do not tell which word is which.
    #[must_use]
    pub fn raw(&self, raw: &str, text: &str, masked: &str) -> Option<String> {
        let shown = if text == masked { raw.to_owned() } else { shown_alike(raw, text, masked)? };
        // By itself it holds nothing either that is known by its digits.
        Some(self.text(&shown).into_owned())
    }

    /// A piece of a caller's turn as it may be stored; `None` if it is not in the turn as that was stored, or if that is not
    /// remembered any more: what is understood may lag behind on a busy machine.
    #[must_use]
    pub fn piece<'a>(&self, turn: Uuid, piece: &'a str) -> Option<Cow<'a, str>> {
        let of_turn = self.heard.iter().find(|(id, _)| *id == turn);
        if of_turn.is_none_or(|(_, masked)| !masked.contains(piece)) {
            return None;
        }
        Some(self.text(piece))
    }

    /// Any other text of the call as it may be stored.
    #[must_use]
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        record(text, Known { asked: None, told: &self.told }, &mut Vec::new())
    }

    /// [`Dialogue::text`] for every text and number inside a JSON value; a value under a secret's name goes whole.
    #[must_use]
    pub fn json(&self, value: Value) -> Value {
        each_text(value, 0, &|text| self.text(text).into_owned())
    }

    /// The question that stood at that time.
    fn asked_at(&self, at: Duration) -> Option<Asked> {
        let before = self.asked.iter().filter(|(started, question)| *started <= at && *question != Question::Nothing);
        match before.max_by_key(|(started, _)| *started) {
            Some((_, Question::Secret(asked))) => Some(*asked),
            _ => None,
        }
    }
}

/// See [`Dialogue::raw`].
fn shown_alike(raw: &str, text: &str, masked: &str) -> Option<String> {
    let units = script::units(raw);
    // Each word of the text with the unit of what was written that it comes from.
    let words: Vec<(usize, &str)> = units
        .iter()
        .enumerate()
        .flat_map(|(at, unit)| unit.text.split_whitespace().map(move |word| (at, word)))
        .collect();
    if !words.iter().map(|(_, word)| *word).eq(text.split_whitespace()) {
        return None;
    }
    let shown: Vec<&str> = masked.split_whitespace().collect();
    let alike = |(word, shown): &(&(usize, &str), &&str)| word.1 == **shown;
    let mut first = words.iter().zip(&shown).take_while(alike).count();
    let most = words.len().min(shown.len()) - first;
    let mut last = words.iter().rev().zip(shown.iter().rev()).take(most).take_while(alike).count();
    // A unit is shown whole or not at all.
    while first > 0 && words.get(first).is_some_and(|next| next.0 == words[first - 1].0) {
        first -= 1;
    }
    while last > 0 && words.len() > last && words[words.len() - last].0 == words[words.len() - last - 1].0 {
        last -= 1;
    }
    let middle = shown[first..shown.len() - last].join(" ");
    let before = first.checked_sub(1).map_or("", |at| &raw[..units[words[at].0].span.end]);
    let after = if last == 0 { "" } else { &raw[units[words[words.len() - last].0].span.start..] };
    let parts = [before, &middle, after];
    Some(parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(" "))
}

fn push<T>(queue: &mut VecDeque<T>, most: usize, item: T) {
    queue.push_back(item);
    if queue.len() > most {
        queue.pop_front();
    }
}
