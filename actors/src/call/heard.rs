//! How much of what the agent said was heard.

use std::sync::Arc;

use super::turns::Turns;
use crate::audio::playout::Cut;
use crate::domain::Speaker;

impl Turns {
    /// All the words of an agent item are there.
    pub fn words_made(&mut self, item: &Arc<str>) {
        if self.is_open(item) {
            self.draft(Speaker::Agent, item).words_made = true;
        }
    }

    /// … or all of its sound.
    pub fn sound_made(&mut self, item: &Arc<str>) {
        if self.is_open(item) {
            self.draft(Speaker::Agent, item).sound_made = true;
        }
    }

    /// The answer was not made to its end: what was being said breaks off somewhere.
    pub fn broke_off(&mut self) {
        for draft in self.open.iter_mut().filter(|draft| draft.speaker == Speaker::Agent) {
            draft.lost |= !draft.complete;
            draft.complete = true;
        }
    }

    /// The session is gone: what was being said breaks off, unless all of it was made by then.
    pub fn session_gone(&mut self) {
        for draft in &mut self.open {
            draft.complete |= draft.words_made && draft.sound_made;
        }
        self.broke_off();
    }
}

/// Splits words at the share of the audio that was heard. A word counts as heard when it was heard to its end.
pub(super) fn split_heard(text: &str, cut: Option<&Cut>) -> (String, String) {
    let Some(cut) = cut else { return (text.to_owned(), String::new()) };
    if cut.total_ms == 0 {
        return (String::new(), text.to_owned());
    }
    let letters = text.chars().count() as u64;
    let heard_letters = letters * cut.heard_ms.min(cut.total_ms) / cut.total_ms;
    let mut end = 0;
    for (count, (at, c)) in (0u64..).zip(text.char_indices()) {
        if count > heard_letters {
            break;
        }
        if c.is_whitespace() {
            end = at;
        }
    }
    if heard_letters >= letters {
        end = text.len();
    }
    (text[..end].trim().to_owned(), text[end..].trim().to_owned())
}
