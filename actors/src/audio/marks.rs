//! Marks among the audio sent to the carrier. One that comes back tells that everything before it was heard, and so when
//! the items before it began to be heard.

use std::collections::VecDeque;
use std::sync::Arc;

/// Marks and items kept: those that never come back must not pile up, for a carrier without marks is lived with.
const KEPT: usize = 64;

/// Plain data; positions are samples since the stream began.
#[derive(Default)]
pub(super) struct Marks {
    count: u64,
    sent: VecDeque<(Arc<str>, u64)>,
    /// Items that began at these positions, which no mark has confirmed yet.
    items: VecDeque<(Arc<str>, u64)>,
    /// The last one that was confirmed: every later mark tells of it again.
    latest: Option<(Arc<str>, u64)>,
}

impl Marks {
    /// A mark is sent at this position; gives its name.
    pub(super) fn add(&mut self, position: u64) -> Arc<str> {
        self.count += 1;
        let name: Arc<str> = format!("m{}", self.count).into();
        self.sent.push_back((Arc::clone(&name), position));
        if self.sent.len() > KEPT {
            self.sent.pop_front();
        }
        name
    }

    /// An item's first sound is sent at this position.
    pub(super) fn item(&mut self, item: Arc<str>, position: u64) {
        self.items.push_back((item, position));
        if self.items.len() > KEPT {
            self.items.pop_front();
        }
    }

    /// A mark came back: its position. Unknown names (cleared, forged, repeated) are ignored.
    pub(super) fn played(&mut self, name: &str) -> Option<u64> {
        let at = self.sent.iter().position(|(known, _)| **known == *name)?;
        let position = self.sent[at].1;
        self.sent.drain(..=at);
        Some(position)
    }

    /// The items that began before a position, with how many samples before it: each that was not confirmed before, or else
    /// the last one.
    pub(super) fn confirmed(&mut self, position: u64) -> Vec<(Arc<str>, u64)> {
        let begun = self.items.iter().take_while(|(_, start)| *start < position).count();
        let mut confirmed: Vec<_> = self.items.drain(..begun).collect();
        match confirmed.last() {
            Some(last) => self.latest = Some(last.clone()),
            None => confirmed.extend(self.latest.clone()),
        }
        confirmed.into_iter().map(|(item, start)| (item, position.saturating_sub(start))).collect()
    }

    /// The carrier forgets what it holds: what it still says of it would come too soon.
    pub(super) fn forget(&mut self) {
        self.sent.clear();
        self.items.clear();
        self.latest = None;
    }
}
