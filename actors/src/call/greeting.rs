//! The first words: stored sound where there is some, and the sentences every caller must hear.

use std::sync::Arc;

use serde_json::json;

use super::event::{Effect, MediaWish};
use super::responses::Wanted;
use super::state::{CallState, EngineStage, Phase};
use crate::domain::{CallTime, Pcm, Phrase, Speaker, Turn};
use crate::ports::ContextItem;
use crate::understand::has_words;

/// What the stored greeting is called in playout and in the transcript; no engine knows it.
const GREETING: &str = "greeting";
/// How often an engine that leaves out what every caller must hear is asked for it again.
const LEFT_OUT_MAX: u32 = 1;
/// … and how often it is asked for in all, for sessions are lost as well.
const ASKS_MAX: u32 = 4;

/// Which of the sentences that every caller must hear were heard.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct Notices {
    /// All of them, or no more is done about the others.
    over: bool,
    /// By their place.
    heard: Vec<usize>,
    /// Asked for, and not heard to the end yet.
    asked: bool,
    /// How often they were asked for again.
    asks: u32,
    /// How often the engine was asked and left one out.
    left_out: u32,
}

impl CallState {
    /// Gives a state just made the sound of its greeting, so that nothing is waited for.
    #[must_use]
    pub fn greeting_with(mut self, stored: Option<Pcm>) -> Self {
        self.greeting = stored.filter(|pcm| !pcm.bytes.is_empty());
        // The engine is not asked for it as well.
        self.greeted = self.greeting.is_some();
        self
    }

    /// What the engine is told of a greeting that it has not made and that is still to be heard.
    pub(super) fn greeting_context(&self) -> Vec<ContextItem> {
        match (&self.greeting, &self.facts.agent.greeting) {
            (Some(_), Some(words)) => vec![ContextItem::Agent(Arc::clone(words))],
            _ => Vec::new(),
        }
    }

    /// The stream is up: the stored greeting goes out at once.
    pub(super) fn greet(&mut self, out: &mut Vec<Effect>) {
        if let (Some(pcm), Some(words)) = (self.greeting.take(), self.facts.agent.greeting.clone()) {
            let item: Arc<str> = GREETING.into();
            self.turns.agent_said(&item, &words);
            self.turns.answers_complete();
            self.unheard_words = true;
            self.playing = true;
            self.notices_are_asked();
            out.push(Effect::Media(MediaWish::Play { item, pcm }));
        }
    }

    /// Something begins to be heard.
    pub(super) fn greeting_begins(&mut self, item: &str, now: CallTime) {
        if item == GREETING {
            self.window.greeting_began(now);
        }
    }

    /// What is being said must be heard to its end.
    pub(super) fn must_be_heard(&self) -> bool {
        !self.notices.over && !self.facts.agent.notices.is_empty()
    }

    fn unheard_notices(&self) -> Vec<&str> {
        let notices = self.facts.agent.notices.iter().enumerate();
        notices.filter(|(at, _)| !self.notices.heard.contains(at)).map(|(_, notice)| &**notice).collect()
    }

    fn hear_notices(&mut self, words: &str) {
        for (at, notice) in self.facts.agent.notices.iter().enumerate() {
            if !self.notices.heard.contains(&at) && has_words(words, notice) {
                self.notices.heard.push(at);
            }
        }
    }

    /// What a former process had the caller told.
    pub(super) fn recall_notices(&mut self, words: &str) {
        self.hear_notices(words);
        self.notices.over = self.unheard_notices().is_empty();
    }

    /// The first words of the agent should tell what every caller must be told; the journal says whether they were heard.
    pub(super) fn check_notices(&mut self, turn: &Turn, out: &mut Vec<Effect>) {
        if !self.must_be_heard() || turn.speaker != Speaker::Agent || turn.text.is_empty() {
            return;
        }
        self.hear_notices(&turn.text);
        // A stored sentence is nothing that the engine was asked for.
        if Phrase::ALL.iter().any(|phrase| *self.phrases.words(*phrase, self.language) == *turn.text) {
            return;
        }
        let told = std::mem::take(&mut self.notices.asked) && !turn.interrupted;
        self.notices.left_out += u32::from(told);
        if self.unheard_notices().is_empty() || self.notices.left_out > LEFT_OUT_MAX {
            self.close_notices(turn.ended, out);
        }
    }

    /// What was not heard by now will not be.
    pub(super) fn close_notices(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        if !self.must_be_heard() || self.nobody_spoke() {
            return;
        }
        self.notices.over = true;
        let missing = self.unheard_notices().len();
        let detail = json!({ "notices": self.facts.agent.notices.len(), "missing": missing });
        let kind = if missing == 0 { "notices_heard" } else { "notices_not_heard" };
        self.note(kind, &detail, now, out);
    }

    /// The greeting is asked for, or begins to be heard.
    pub(super) fn notices_are_asked(&mut self) {
        self.notices.asked = true;
    }

    /// The session that was asked for them is gone.
    pub(super) fn notices_are_lost(&mut self) {
        self.notices.asked = false;
    }

    /// An answer that is asked for begins with what the caller should have heard before, if its asking came to nothing.
    pub(super) fn with_notices(&mut self, wanted: Wanted) -> Wanted {
        let heard = self.playing && !self.playing_phrase;
        let owed = self.must_be_heard() && self.greeted && self.phase == Phase::Live && !heard;
        if !owed || self.notices.asked || wanted.instructions.is_some() || self.notices.asks >= ASKS_MAX {
            return wanted;
        }
        self.notices.asks += 1;
        self.notices.asked = true;
        let sentences = self.unheard_notices().join(" ");
        let instructions = format!(
            "First say exactly these sentences, which every caller must hear and this one has not heard: \"{sentences}\" \
            Then go on with the conversation."
        );
        Wanted { instructions: Some(instructions.into()), ..wanted }
    }

    /// Looked at after every event: what the caller has not heard, and nobody is about to tell, is asked for.
    pub(super) fn mind_notices(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        let begun = self.greeted && !self.awaits_hello();
        let up = self.phase == Phase::Live && self.engine == EngineStage::Ready && begun;
        if !self.must_be_heard() || !up || self.unheard_words || !self.is_silent() || self.again.is_some() {
            return;
        }
        self.notices_are_lost();
        if self.notices.asks < ASKS_MAX {
            self.want_answer(None, now, out);
        } else {
            self.close_notices(now, out);
        }
    }
}
