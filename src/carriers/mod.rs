//! Telephony providers, one folder each. A carrier turns its own wire into the nouns of a call and back; none of its
//! types leaves its folder, and none knows HTTP routing, storage or the engine.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking"))]

pub mod exotel;
