//! The command line: each command reads its options, asks the rooms, and writes results to standard output.

pub mod check;
pub mod understand;
