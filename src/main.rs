//! The program: see `caly --help`.

#![forbid(unsafe_code)]

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

/// Many small audio buffers come and go on every thread, and its own figures show a leak of a byte a call.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // The one TLS provider of the process; chosen before anything can open a connection.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match caly::cli::run(caly::cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            // Whether anybody reads it or not, the exit code tells.
            let _ = writeln!(caly::cli::output::Hints, "error: {}", caly::redact::redact(&format!("{error:#}")));
            if error.is::<caly::cli::Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
