//! A call's own clock: monotonic time since admission, shared by all its children.

use tokio::time::Instant;

use crate::domain::CallTime;

/// Copies tell the same time.
#[derive(Clone, Copy, Debug)]
pub struct CallClock {
    since: Instant,
    /// What the clock showed then: zero, or the age of a call that is taken up again.
    shown: CallTime,
}

impl CallClock {
    /// Starts now, at this age of the call.
    #[must_use]
    pub fn start(shown: CallTime) -> Self {
        Self { since: Instant::now(), shown }
    }

    /// Time since the call was admitted.
    #[must_use]
    pub fn now(&self) -> CallTime {
        self.shown + self.since.elapsed()
    }

    /// The moment a time on this clock is reached.
    #[must_use]
    pub fn at(&self, time: CallTime) -> Instant {
        self.since + time.saturating_sub(self.shown)
    }
}
