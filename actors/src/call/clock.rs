//! A call's own clock: monotonic time since admission, shared by all its children.

use tokio::time::Instant;

use crate::domain::CallTime;

/// Copies tell the same time.
#[derive(Clone, Copy, Debug)]
pub struct CallClock(Instant);

impl CallClock {
    /// Starts now.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the call was admitted.
    #[must_use]
    pub fn now(&self) -> CallTime {
        self.0.elapsed()
    }

    /// The moment a time on this clock is reached.
    #[must_use]
    pub fn at(&self, time: CallTime) -> Instant {
        self.0 + time
    }
}
