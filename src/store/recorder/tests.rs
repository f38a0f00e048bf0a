//! Faults planned at the writer.
use std::sync::atomic::{AtomicUsize, Ordering};

use super::entry::Entry;
use crate::store::StoreError;

/// Faults to come, by number of times.
#[derive(Default)]
pub(super) struct Faults {
    pub(super) panics: AtomicUsize,
    pub(super) away: AtomicUsize,
    pub(super) lost_answers: AtomicUsize,
    /// Panics whenever an event of this name is written.
    pub(super) cursed: std::sync::OnceLock<&'static str>,
}

fn one_of(count: &AtomicUsize) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

impl Faults {
    pub(super) fn before(&self, entries: &[&Entry]) -> Result<(), StoreError> {
        assert!(!one_of(&self.panics), "planned panic");
        if let Some(cursed) = self.cursed.get() {
            let hit = |entry: &&Entry| matches!(&entry.body, super::Body::Event { name, .. } if name == cursed);
            assert!(!entries.iter().any(hit), "planned panic over one entry");
        }
        if one_of(&self.away) { Err(StoreError::later("planned absence")) } else { Ok(()) }
    }

    pub(super) fn after(&self) -> Result<(), StoreError> {
        if one_of(&self.lost_answers) { Err(StoreError::later("planned loss of the answer")) } else { Ok(()) }
    }
}
