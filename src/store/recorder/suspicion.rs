//! Which entries are suspected of the writer's panics.

use std::collections::HashSet;

use uuid::Uuid;

use super::entry::Entry;

/// Panics over one entry by itself before it is set aside.
const PANICS_MAX: u32 = 3;

/// What is suspected after panics: entries of the attempts that ended so, which are from then on written one by one.
#[derive(Default)]
pub(super) struct Suspicion {
    suspects: HashSet<Uuid>,
    /// Entries of the attempt in progress.
    pub(super) in_hand: Vec<Uuid>,
    /// Panics over one entry alone.
    alone: Option<(Uuid, u32)>,
}

impl Suspicion {
    pub(super) fn panicked(&mut self) {
        let in_hand = std::mem::take(&mut self.in_hand);
        if let [only] = in_hand[..] {
            let before = self.alone.filter(|(id, _)| *id == only).map_or(0, |(_, count)| count);
            self.alone = Some((only, before + 1));
        }
        self.suspects.extend(in_hand);
    }

    /// How many of the first entries may go in one transaction.
    pub(super) fn together(&self, entries: &[&Entry]) -> usize {
        let clear = entries.iter().take_while(|entry| !self.suspects.contains(&entry.id)).count();
        clear.max(1)
    }

    pub(super) fn is_doomed(&self, entry: &Entry) -> bool {
        self.alone.is_some_and(|(id, count)| id == entry.id && count >= PANICS_MAX)
    }

    pub(super) fn settled(&mut self, entries: &[&Entry]) {
        if !self.suspects.is_empty() {
            for entry in entries {
                self.suspects.remove(&entry.id);
            }
        }
    }
}
