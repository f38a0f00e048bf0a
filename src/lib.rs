//! The world around a call: HTTP, carriers, engines, storage and the command line.

pub mod cli;
pub mod sim;
