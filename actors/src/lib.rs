//! A phone call as a tree of supervised actors.
//!
//! ```text
//! CallSupervisor             sweeps the registry `Calls`
//!  └ CallActor               one per call: state::CallState decides, the actor carries out
//!     ├ Media                caller audio in and out, playout position, recording tap
//!     ├ Realtime             the engine session
//!     ├ Intent               caller turns → intents and entities
//!     └ Actions              deadlines, retries, idempotency keys
//! ```
//!
//! Audio goes sideways by [`audio::lane`], events go up and commands go down by mailbox.
//!
//! Absent on purpose: HTTP, SQL, TLS, vendor JSON, files, environment. A whole call runs in a test without a socket.

#![forbid(unsafe_code)]

pub mod action;
pub mod audio;
pub mod call;
pub mod domain;
mod gauge;
pub mod intent;
pub mod media;
pub mod ports;
pub mod realtime;
pub mod supervise;
pub mod supervisor;
pub mod understand;
