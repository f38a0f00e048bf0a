//! Answers to reads, kept for a few seconds: what was looked up while the engine still thought is there when it asks.
//!
//! A slot is locked while its answer is fetched, so that two who ask the same at once send one request. What was
//! invalidated while it was fetched is told to those who waited for it, and to nobody after them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::Mutex;

/// How long an answer is told again.
pub(super) const FRESH: Duration = Duration::from_secs(5);
/// Answers kept of one shop; when there are more, all are forgotten.
const SLOTS_MAX: usize = 64;

/// What an answer is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum About {
    /// Orders, and whose they are.
    Orders,
    /// What is sold.
    Products,
}

/// One answer, or the place for it.
pub(super) type Slot = Arc<Mutex<Option<Arc<Value>>>>;

/// See the module's text.
#[derive(Default)]
pub(super) struct Cache(HashMap<(About, &'static str, String), (Instant, Slot)>);

impl Cache {
    /// The slot of a question: one that is fresh, or a new one.
    pub(super) fn slot(&mut self, about: About, operation: &'static str, variables: String, now: Instant) -> Slot {
        let fresh = |made: &Instant| now.saturating_duration_since(*made) < FRESH;
        let key = (about, operation, variables);
        if let Some((made, slot)) = self.0.get(&key)
            && fresh(made)
        {
            return Arc::clone(slot);
        }
        if self.0.len() >= SLOTS_MAX {
            self.0.retain(|_, (made, _)| fresh(made));
        }
        if self.0.len() >= SLOTS_MAX {
            self.0.clear();
        }
        let slot = Slot::default();
        self.0.insert(key, (now, Arc::clone(&slot)));
        slot
    }

    /// A fresh answer that is there already.
    pub(super) fn known(
        &self,
        about: About,
        operation: &'static str,
        variables: String,
        now: Instant,
    ) -> Option<Arc<Value>> {
        let (made, slot) = self.0.get(&(about, operation, variables))?;
        // Locked: it is still on its way, and nobody waits for it here.
        let slot = slot.try_lock().ok()?;
        slot.clone().filter(|_| now.saturating_duration_since(*made) < FRESH)
    }

    /// Something of this kind was changed, or may have been.
    pub(super) fn forget(&mut self, about: About) {
        self.0.retain(|(kind, ..), _| *kind != about);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn filled(cache: &mut Cache, about: About, variables: &str, now: Instant) -> bool {
        let slot = cache.slot(about, "q", variables.to_owned(), now);
        let mut slot = slot.try_lock().unwrap();
        slot.replace(Arc::new(Value::Null)).is_some()
    }

    #[test]
    fn an_answer_is_told_again_until_it_is_old_or_something_was_changed() {
        let (start, mut cache) = (Instant::now(), Cache::default());
        let at = |ms| start + Duration::from_millis(ms);
        for (time, about, variables, known) in [
            (0, About::Orders, "a", false),
            (0, About::Orders, "b", false),
            (0, About::Products, "a", false),
            (4_999, About::Orders, "a", true),
            (5_000, About::Orders, "a", false),
        ] {
            assert_eq!(filled(&mut cache, about, variables, at(time)), known, "{time} {about:?} {variables}");
        }
        let known = |cache: &Cache, ms| cache.known(About::Orders, "q", "a".to_owned(), at(ms)).is_some();
        assert!(known(&cache, 9_999) && !known(&cache, 10_000), "fetched anew at five seconds");
        let on_its_way = cache.slot(About::Orders, "q", "a".to_owned(), at(5_000));
        let fetching = on_its_way.try_lock().unwrap();
        assert!(!known(&cache, 5_000), "nobody waits for what is on its way");
        drop(fetching);
        cache.forget(About::Orders);
        assert!(!filled(&mut cache, About::Orders, "a", at(5_000)));
        assert!(filled(&mut cache, About::Products, "a", at(4_000)), "what is sold did not change");
    }

    #[test]
    fn it_is_bounded() {
        let (now, mut cache) = (Instant::now(), Cache::default());
        for variables in 0..1000 {
            cache.slot(About::Orders, "q", variables.to_string(), now);
            assert!(cache.0.len() <= SLOTS_MAX);
        }
    }
}
