//! The world around a call: HTTP, carriers, engines, storage and the command line.

#![forbid(unsafe_code)]

pub mod actions;
pub mod administration;
pub mod agents;
pub mod app;
pub mod carriers;
pub mod cli;
pub mod config;
pub mod directory;
pub mod engines;
pub mod greetings;
pub mod http;
pub mod limits;
pub mod outbound;
pub mod phrases;
pub mod record;
pub mod redact;
pub mod sim;
pub mod store;
pub mod telemetry;
pub mod tokens;
pub mod watch;
