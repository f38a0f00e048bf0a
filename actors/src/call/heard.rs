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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::CallTime;

    fn at(ms: u64) -> CallTime {
        CallTime::from_millis(ms)
    }

    fn id(name: &str) -> Arc<str> {
        name.into()
    }

    #[test]
    fn of_an_answer_that_broke_off_all_that_was_made_is_heard_before_what_follows_it() {
        let words = "one two three four five six seven eight nine ten eleven twelve";
        for (drained, heard) in [(true, "one two three four five six"), (false, "one two")] {
            let mut turns = Turns::default();
            turns.agent_words("r", &id("a1"), words);
            turns.agent_began(at(0), &id("a1"), None);
            turns.broke_off();
            // What follows is sent while the last of it is still with the carrier.
            turns.agent_sounded("a1", at(2_000));
            turns.phrase(&id("phrase:bridge"), "One moment please.", false);
            turns.phrase_began(at(1_650), &id("phrase:bridge"));
            if drained {
                turns.heard_all(at(3_000));
            } else {
                turns.ear_lost(at(1_650));
            }
            let over = turns.finished(at(3_000), true);
            assert_eq!(over.iter().find(|turn| turn.interrupted).map(|turn| &*turn.text), Some(heard));
        }
    }
}
