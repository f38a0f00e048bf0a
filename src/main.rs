//! The program: see `caly --help`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;

/// Many small audio buffers come and go on every thread.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[allow(clippy::print_stderr, reason = "errors of the command line go to standard error")]
fn main() -> ExitCode {
    // The one TLS provider of the process; chosen before anything can open a connection.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match caly::cli::run(caly::cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", caly::redact::redact(&format!("{error:#}")));
            if error.is::<caly::cli::Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
