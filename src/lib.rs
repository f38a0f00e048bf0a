//! The world around a call: HTTP, carriers, engines, storage and the command line.
pub mod carriers;
pub mod cli;
pub mod http;
pub mod tokens;
