//! What of the agent nobody will hear more of. Sound may have gone out before that was decided, and the word of it be on its
//! way: then the words are needed after all, so they are kept for a while.

use std::sync::Arc;

use super::draft::Draft;
use super::turns::Turns;
use crate::domain::Speaker;

/// Answers and items remembered; more is a confused engine's.
const SILENCED_MAX: usize = 16;
/// Of the words of one that is not heard nothing beyond this is kept, in bytes.
const WORDS_MAX: usize = 4 * 1024;

/// Answers, by their name, and items, with their words.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct Silenced(Vec<(Arc<str>, Option<Draft>)>);

impl Silenced {
    pub(super) fn contains(&self, id: &str) -> bool {
        self.0.iter().any(|(silenced, _)| **silenced == *id)
    }

    /// An answer, or an item without words.
    pub(super) fn add(&mut self, id: &Arc<str>) {
        if !self.contains(id) {
            self.push(Arc::clone(id), None);
        }
    }

    /// An item that has words.
    pub(super) fn keep(&mut self, draft: Draft) {
        self.0.retain(|(silenced, _)| *silenced != draft.item);
        self.push(Arc::clone(&draft.item), Some(draft));
    }

    /// More words of an item.
    pub(super) fn words(&mut self, item: &Arc<str>, delta: &str) {
        self.add(item);
        let Some((_, draft)) = self.0.iter_mut().find(|(silenced, _)| silenced == item) else { return };
        let draft = draft.get_or_insert_with(|| Draft::new(Speaker::Agent, Arc::clone(item)));
        if draft.text.len() < WORDS_MAX {
            draft.text.push_str(delta);
        }
    }

    /// All words of an item.
    pub(super) fn said(&mut self, item: &str, text: &str) {
        if let Some((_, Some(draft))) = self.0.iter_mut().find(|(silenced, _)| **silenced == *item) {
            text.clone_into(&mut draft.text);
        }
    }

    /// An item is heard after all.
    pub(super) fn take(&mut self, item: &str) -> Option<Draft> {
        let kept = |(silenced, draft): &(Arc<str>, Option<Draft>)| **silenced == *item && draft.is_some();
        self.0.iter().position(kept).and_then(|at| self.0.remove(at).1)
    }

    fn push(&mut self, id: Arc<str>, draft: Option<Draft>) {
        if self.0.len() >= SILENCED_MAX {
            self.0.remove(0);
        }
        self.0.push((id, draft));
    }
}

impl Turns {
    /// Nothing more of an answer is heard: what of it, and of any before, has not begun to be heard never will be.
    pub fn agent_silenced(&mut self, response: Option<&Arc<str>>) {
        let (open, unheard): (_, Vec<Draft>) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|draft| draft.speaker != Speaker::Agent || draft.started.is_some());
        self.open = open;
        unheard.into_iter().for_each(|draft| self.silenced.keep(draft));
        response.into_iter().for_each(|response| self.silence(response));
    }

    /// Whether nobody is to hear more of an answer.
    pub(super) fn is_silenced(&self, response: &str) -> bool {
        self.silenced.contains(response)
    }

    /// An item has words and no sound: nobody says them.
    pub(super) fn never_sounds(&mut self, item: &str) {
        self.open.retain(|draft| *draft.item != *item || draft.speaker != Speaker::Agent || draft.started.is_some());
    }

    /// Nothing of an answer will be heard, or nothing of an item.
    pub fn silence(&mut self, id: &Arc<str>) {
        self.silenced.add(id);
    }

    /// An item is heard, though it was to be silenced: it was on its way.
    pub(super) fn heard_after_all(&mut self, item: &str) {
        if let Some(draft) = self.silenced.take(item).filter(|_| !self.is_open(item)) {
            self.open.push(draft);
        }
    }
}
