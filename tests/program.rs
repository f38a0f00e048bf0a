//! The whole program from outside: the real binary as a child process on a port, a data directory and a database of its
//! own, spoken to only over HTTP, WebSocket and the command line. Nothing here knows how Caly is made inside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a failing test shows what the server said last")]
#![allow(dead_code, unreachable_pub, reason = "the harness offers more than one test needs; it is shared")]

#[path = "support/integrity.rs"]
mod integrity;
#[path = "support/postgres.rs"]
mod postgres;
#[path = "support/proxy.rs"]
mod proxy;

#[path = "program/line.rs"]
mod line;
#[path = "program/nest.rs"]
mod nest;
#[path = "program/raw.rs"]
mod raw;
#[path = "program/server.rs"]
mod server;
#[path = "program/shop.rs"]
mod shop;
#[path = "program/voice.rs"]
mod voice;
#[path = "program/web.rs"]
mod web;

#[path = "program/bad_webhooks.rs"]
mod bad_webhooks;
#[path = "program/canaries.rs"]
mod canaries;
#[path = "program/command_line.rs"]
mod command_line;
#[path = "program/conversations.rs"]
mod conversations;
#[path = "program/crowds.rs"]
mod crowds;
#[path = "program/customers.rs"]
mod customers;
#[path = "program/database.rs"]
mod database;
#[path = "program/ending.rs"]
mod ending;
#[path = "program/engine_trouble.rs"]
mod engine_trouble;
#[path = "program/greetings.rs"]
mod greetings;
#[path = "program/hostile_http.rs"]
mod hostile_http;
#[path = "program/hostile_media.rs"]
mod hostile_media;
#[path = "program/latency.rs"]
mod latency;
#[path = "program/long_calls.rs"]
mod long_calls;
#[path = "program/lost_ends.rs"]
mod lost_ends;
#[path = "program/mcp.rs"]
mod mcp;
#[path = "program/media_abuse.rs"]
mod media_abuse;
#[path = "program/media_door.rs"]
mod media_door;
#[path = "program/orders.rs"]
mod orders;
#[path = "program/panics.rs"]
mod panics;
#[path = "program/process.rs"]
mod process;
#[path = "program/restart.rs"]
mod restart;
#[path = "program/shopify.rs"]
mod shopify;
#[path = "program/steering.rs"]
mod steering;
#[path = "program/stores.rs"]
mod stores;
#[path = "program/undoing.rs"]
mod undoing;
#[path = "program/webhooks.rs"]
mod webhooks;
