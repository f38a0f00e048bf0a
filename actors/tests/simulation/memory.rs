//! What a call holds in memory, to the byte: a simulated call has one thread, and the allocator counts by threads.

use std::cell::Cell;

use tikv_jemalloc_ctl::thread;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Most that a call may hold, with its journal and what the simulated world keeps of it.
pub const CALL_MAX: i64 = 4 * 1024 * 1024;
/// … and one to which an engine speaks without end: five minutes of sound wait for playing (`audio::playout`).
pub const FLOODED_MAX: i64 = CALL_MAX + 24_000 * 2 * 300;
/// Calls after which everything that is made once for all calls is there.
pub const WARM: u64 = 1_000;
/// What a call may leave behind, on average: less than anything that is allocated for each; what is made once may come late.
pub const LEFT_MAX: f64 = 8.0;

thread_local! {
    /// Allocated when the call began, and the most since.
    static WATCH: Cell<(i64, i64)> = const { Cell::new((0, 0)) };
    /// Of that, kept by the test for itself.
    static OURS: Cell<i64> = const { Cell::new(0) };
}

/// Bytes allocated by this thread and not given back.
pub fn live() -> i64 {
    let bytes = |read: tikv_jemalloc_ctl::Result<thread::ThreadLocal<u64>>| read.expect("jemalloc counts").get();
    bytes(thread::allocatedp::read()).cast_signed() - bytes(thread::deallocatedp::read()).cast_signed()
}

/// A call begins.
pub fn begin() {
    OURS.with(|ours| ours.set(0));
    WATCH.with(|watch| watch.set((live(), 0)));
}

/// What is kept here is the test's, not the call's.
pub fn ours<T>(keep: impl FnOnce() -> T) -> T {
    let before = live();
    let kept = keep();
    OURS.with(|ours| ours.set(ours.get() + live() - before));
    kept
}

/// Looks at what the call holds now; tells the most so far.
pub fn look() -> i64 {
    WATCH.with(|watch| {
        let (start, most) = watch.get();
        let most = most.max(live() - start - OURS.with(Cell::get));
        watch.set((start, most));
        most
    })
}
