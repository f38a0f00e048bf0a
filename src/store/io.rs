//! The runtime that owns every database connection, so that no call's thread ever drives one: a connection belongs to
//! the reactor of the thread that opened it, and a call must not wait for another call's thread.

use std::future::Future;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

/// Threads of the runtime; queries are waited for, not computed.
const THREADS: usize = 2;
/// Threads that stand in while one blocks on a disk.
const BLOCKING_THREADS: usize = 8;

/// A multi-thread runtime that may be dropped anywhere, also inside another runtime: it then ends in the background.
#[derive(Debug)]
pub struct IoRuntime(Option<Runtime>);

impl IoRuntime {
    /// Starts the threads.
    ///
    /// # Errors
    /// The operating system has no threads left.
    pub fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name("caly-io")
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    pub(super) fn handle(&self) -> Option<&Handle> {
        self.0.as_ref().map(Runtime::handle)
    }

    /// Runs a future on the runtime; `None` while the runtime is being dropped.
    pub fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<JoinHandle<T>> {
        self.handle().map(|handle| handle.spawn(work))
    }
}

impl Drop for IoRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
