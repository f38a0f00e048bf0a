//! How many streams there may be, and what ends them from outside.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use actix_web::web;
use tokio::sync::{broadcast, watch};
use uuid::Uuid;

use super::super::super::App;
use super::super::super::problem::Problem;

/// Streams of a process.
const STREAMS_MAX: usize = 100;
/// Streams of one key.
const STREAMS_OF_KEY_MAX: usize = 10;
/// Streams of all keys that are limited to one client: they may make more keys, and leave room for others all the same.
const STREAMS_OF_CLIENT_MAX: usize = 30;
/// Revocations a stream may be behind before it asks the database.
const REVOCATIONS: usize = 16;
/// `Retry-After` of a refused stream, in seconds.
const RETRY_S: u64 = 5;
/// A reader that takes nothing for this long is cut.
const READER_DEADLINE: Duration = Duration::from_secs(20);

/// The streams of a process.
pub struct Streams {
    /// By key, with the client it is limited to.
    taken: Mutex<HashMap<Uuid, (usize, Option<Uuid>)>>,
    ending: watch::Sender<bool>,
    revoked: broadcast::Sender<Uuid>,
    /// Set by tests that cannot wait.
    patience: OnceLock<Duration>,
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            taken: Mutex::default(),
            ending: watch::Sender::new(false),
            revoked: broadcast::Sender::new(REVOCATIONS),
            patience: OnceLock::new(),
        }
    }
}

/// A stream's place; given back when dropped.
pub(super) struct Seat {
    app: web::Data<App>,
    key: Uuid,
}

impl Streams {
    /// # Errors
    /// 503 when the server is about to stop or full, 429 when the key, or the client it is limited to, has enough.
    pub(super) fn enter(app: &web::Data<App>, key: Uuid, client: Option<Uuid>) -> Result<Seat, Problem> {
        let streams = &app.api.streams;
        if *streams.ending.borrow() {
            return Err(Problem::unavailable().detail("the server is about to stop").retry_after(RETRY_S));
        }
        let mut taken = streams.taken();
        let count = |of: &dyn Fn(&Uuid, &Option<Uuid>) -> bool| -> usize {
            taken.iter().filter(|(key, (_, client))| of(key, client)).map(|(_, (count, _))| count).sum()
        };
        if count(&|_, _| true) >= STREAMS_MAX {
            return Err(Problem::unavailable().detail("too many streams of events").retry_after(RETRY_S));
        }
        if count(&|taken, _| *taken == key) >= STREAMS_OF_KEY_MAX {
            let detail = format!("a key has at most {STREAMS_OF_KEY_MAX} streams of events");
            return Err(Problem::too_many().detail(detail).retry_after(RETRY_S));
        }
        if client.is_some() && count(&|_, taken| *taken == client) >= STREAMS_OF_CLIENT_MAX {
            let detail = format!("the keys of a client have at most {STREAMS_OF_CLIENT_MAX} streams of events");
            return Err(Problem::too_many().detail(detail).retry_after(RETRY_S));
        }
        taken.entry(key).or_insert((0, client)).0 += 1;
        metrics::gauge!("caly_api_streams").increment(1.0);
        Ok(Seat { app: app.clone(), key })
    }

    pub(super) fn ending(&self) -> watch::Receiver<bool> {
        self.ending.subscribe()
    }

    pub(super) fn revocations(&self) -> broadcast::Receiver<Uuid> {
        self.revoked.subscribe()
    }

    /// Ends all streams and lets none begin.
    pub fn end(&self) {
        self.ending.send_replace(true);
    }

    /// Ends the streams of a key.
    pub fn revoked(&self, key: Uuid) {
        // Fails only if there is no stream.
        let _unheard = self.revoked.send(key).is_err();
    }

    /// How long a reader may take nothing.
    pub(super) fn patience(&self) -> Duration {
        *self.patience.get().unwrap_or(&READER_DEADLINE)
    }

    #[cfg(test)]
    pub fn be_impatient(&self, patience: Duration) {
        self.patience.set(patience).unwrap();
    }

    /// How many there are.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.taken().values().map(|(count, _)| count).sum()
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<Uuid, (usize, Option<Uuid>)>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.app.api.streams.taken();
        if let Some((of_key, _)) = taken.get_mut(&self.key) {
            *of_key -= 1;
            if *of_key == 0 {
                taken.remove(&self.key);
            }
        }
        metrics::gauge!("caly_api_streams").decrement(1.0);
    }
}
