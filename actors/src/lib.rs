//! A phone call as a tree of supervised actors.
//!
//! Absent on purpose: HTTP, SQL, TLS, vendor JSON, files, environment. A whole call runs in a test without a socket.

pub mod audio;
pub mod domain;
pub mod ports;
pub mod understand;
