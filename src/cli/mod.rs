//! The command line.

pub mod call;
pub mod sim;
