//! Where results go. Whoever reads them may leave before the end (`| head`): a command then ends without a word, as other
//! tools do; a server that only tells of its sample call goes on.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a shell tells of a tool that was ended for writing where nobody reads: 128 and the signal's number.
const NOBODY_READS: i32 = 128 + 13;

/// Whether there is more to do than to tell.
static STAYS: AtomicBool = AtomicBool::new(false);

/// From now on the process goes on though nobody reads what it tells.
pub fn stay() {
    STAYS.store(true, Ordering::Relaxed);
}

/// Standard output, for results.
pub struct Results;
/// Standard error, for hints.
pub struct Hints;

impl Write for Results {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        read_by_somebody(io::stdout().write(bytes), bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        read_by_somebody(io::stdout().flush(), ())
    }
}

impl Write for Hints {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        read_by_somebody(io::stderr().write(bytes), bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        read_by_somebody(io::stderr().flush(), ())
    }
}

/// Writes a line of a result.
pub fn say_line(line: Arguments<'_>) {
    // A disk that is full, say: there is nowhere to tell it, and what was asked for is done all the same.
    let _ = Results.write_all(format!("{line}\n").as_bytes()).and_then(|()| Results.flush());
}

/// A line of a result, as `println!` formats it.
macro_rules! say {
    ($($word:tt)*) => { $crate::cli::output::say_line(::std::format_args!($($word)*)) };
}
pub(crate) use say;

fn read_by_somebody<T>(outcome: io::Result<T>, otherwise: T) -> io::Result<T> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {
            if !STAYS.load(Ordering::Relaxed) {
                process::exit(NOBODY_READS);
            }
            Ok(otherwise)
        }
        outcome => outcome,
    }
}
