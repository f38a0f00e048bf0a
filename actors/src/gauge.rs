//! A gauge that cannot be forgotten: it counts what holds it.

/// One timer that is set; dropping it counts it out.
#[derive(Debug)]
pub(crate) struct Armed(());

impl Armed {
    pub(crate) fn new() -> Self {
        metrics::gauge!("caly_timers").increment(1.0);
        Self(())
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        metrics::gauge!("caly_timers").decrement(1.0);
    }
}
