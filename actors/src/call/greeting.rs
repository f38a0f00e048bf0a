//! The first words: stored sound where there is some, and the sentences every caller must hear.

use std::sync::Arc;

use serde_json::json;

use super::event::{Effect, MediaWish};
use super::state::CallState;
use crate::domain::{Pcm, Speaker, Turn};
use crate::ports::ContextItem;
use crate::understand::has_words;

/// What the stored greeting is called in playout and in the transcript; no engine knows it.
const GREETING: &str = "greeting";

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
            self.unheard_words = true;
            self.playing = true;
            out.push(Effect::Media(MediaWish::Play { item, pcm }));
        }
    }

    /// What is being said must be heard to its end.
    pub(super) fn must_be_heard(&self) -> bool {
        !self.noticed && !self.facts.agent.notices.is_empty()
    }

    /// The first turn of the agent should have told what every caller must be told; the journal says whether it did.
    pub(super) fn check_notices(&mut self, turn: &Turn, out: &mut Vec<Effect>) {
        if !self.must_be_heard() || turn.speaker != Speaker::Agent || turn.text.is_empty() {
            return;
        }
        self.noticed = true;
        let missing = self.facts.agent.notices.iter().filter(|notice| !has_words(&turn.text, notice)).count();
        let detail = json!({ "notices": self.facts.agent.notices.len(), "missing": missing });
        let kind = if missing == 0 { "notices_heard" } else { "notices_not_heard" };
        self.note(kind, &detail, turn.ended, out);
    }
}
