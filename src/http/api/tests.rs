//! The admin API and the health views over a real database and a registry whose calls touch nothing outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod acting;
mod calendar;
mod callbacks;
mod changes;
mod customers;
mod described;
mod doors;
mod following;
mod generated;
mod healthy;
mod keys;
mod roles;
mod steering;
mod suppressions;
mod world;
