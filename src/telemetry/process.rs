//! Figures of the process itself, read when somebody scrapes: memory as the allocator and the system see it, threads and
//! open files.

use std::fs;

/// Sets the gauges. What cannot be read (another system than Linux) is left as it was.
pub(super) fn observe() {
    if let Some((allocated, resident)) = allocator() {
        metrics::gauge!("caly_allocator_allocated_bytes").set(allocated as f64);
        metrics::gauge!("caly_allocator_resident_bytes").set(resident as f64);
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(kilobytes) = field(&status, "VmRSS:") {
        metrics::gauge!("caly_process_resident_bytes").set(kilobytes as f64 * 1024.0);
    }
    if let Some(threads) = field(&status, "Threads:") {
        metrics::gauge!("caly_process_threads").set(threads as f64);
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        // One of them is the directory being read.
        metrics::gauge!("caly_process_open_fds").set(files.count().saturating_sub(1) as f64);
    }
}

/// Bytes in use and bytes held from the system, as jemalloc counts them since the start. Its figures are those of the
/// last epoch, so a new one is begun.
fn allocator() -> Option<(usize, usize)> {
    tikv_jemalloc_ctl::epoch::advance().ok()?;
    let allocated = tikv_jemalloc_ctl::stats::allocated::read().ok()?;
    Some((allocated, tikv_jemalloc_ctl::stats::resident::read().ok()?))
}

/// The first number after a name in `/proc/self/status`.
fn field(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_threads_and_files_are_told_on_a_scrape() {
        let recorder = super::super::builder().unwrap().build_recorder();
        metrics::with_local_recorder(&recorder, observe);
        let text = recorder.handle().render();
        for name in ["caly_process_resident_bytes", "caly_process_threads", "caly_process_open_fds"] {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} in {text}"));
            let value: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
            assert!(value >= 1.0, "{line}");
        }
    }
}
