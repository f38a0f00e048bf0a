//! A simulated OpenAI Realtime service (GA): WebSocket sessions and client secrets, strict about what clients send.
//!
//! It hears by comparing sound with known clips and speaks by a script; it reaches no network and needs no key.

mod digest;
mod input;
mod items;
mod response;
mod schema;
mod script;
mod server;
mod session;
mod socket;
mod speaking;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use script::{After, Recall, Rule, Say, Script};
pub use server::{EngineServer, serve};

use super::Complaints;

/// What goes wrong on purpose.
#[derive(Clone, Debug)]
pub struct Faults {
    /// Only the first so many sessions have them; `None`: all.
    pub sessions: Option<u32>,
    /// Sessions end at this age with `session_expired` and close 1001; `None`: 60 minutes.
    pub max_session: Option<Duration>,
    /// The socket is cut after this long, without a close frame.
    pub drop_after: Option<Duration>,
    /// The socket is cut in the middle of the response with this number (1 is the first).
    pub drop_on_turn: Option<u32>,
    /// Nothing more is sent from the middle of this response on; the socket stays open.
    pub stall_on_turn: Option<u32>,
    /// A frame that is no JSON in the middle of this response.
    pub garbage_on_turn: Option<u32>,
    /// This response fails with [`Faults::fail_code`].
    pub fail_on_turn: Option<u32>,
    /// `rate_limit_exceeded`, `insufficient_quota`, `model_not_found`, …
    pub fail_code: String,
    /// So many responses beside the conversation fail with [`Faults::fail_code`], in each session.
    pub fail_asides: u32,
    /// Upgrades are refused with this HTTP status.
    pub refuse: Option<u16>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            sessions: None,
            max_session: None,
            drop_after: None,
            drop_on_turn: None,
            stall_on_turn: None,
            garbage_on_turn: None,
            fail_on_turn: None,
            fail_code: "rate_limit_exceeded".to_owned(),
            fail_asides: 0,
            refuse: None,
        }
    }
}

/// The words of some sound, 8 kHz.
type Hears = dyn Fn(&[i16]) -> String + Send + Sync;

/// Knows the words of sounds (mono, 8 kHz) that are no clips of the sandbox; empty: there are none in it.
#[derive(Clone)]
pub struct Ear(pub Arc<Hears>);

impl std::fmt::Debug for Ear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ear")
    }
}

/// How the service behaves.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Where to listen; port 0 takes a free one.
    pub bind: SocketAddr,
    /// The only key accepted; `None`: any that is not empty.
    pub key: Option<String>,
    /// Appended audio comes straight back, undecoded: for benchmarks.
    pub echo: bool,
    /// What is answered.
    pub script: Arc<Script>,
    /// What hears turns in place of the sandbox's own ear.
    pub ear: Option<Ear>,
    /// From the end of a turn to the first event of the response.
    pub think: Duration,
    /// Between two bursts of audio (200 to 500 ms of sound each).
    pub burst_gap: Duration,
    /// How far away it is: what it is sent arrives so much later.
    pub distance: Duration,
    /// From the end of a turn to the first of its words, in milliseconds.
    pub transcription: std::ops::Range<u64>,
    /// Tokens a session can hold; more is complained about. `None`: as many as its model's.
    pub window: Option<u64>,
    /// Same seed, same ids and same event orders.
    pub seed: u64,
    /// Now and then an event type and fields that no client knows.
    pub surprises: bool,
    /// What goes wrong.
    pub faults: Faults,
    /// Server threads.
    pub workers: usize,
}

impl EngineOptions {
    /// The built-in script on a free port of this machine.
    ///
    /// # Errors
    /// When the built-in script cannot be read.
    pub fn sandbox() -> Result<Self, String> {
        Ok(Self {
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            key: None,
            echo: false,
            script: Arc::new(Script::built_in()?),
            ear: None,
            think: Duration::from_millis(120),
            burst_gap: Duration::from_millis(40),
            distance: Duration::ZERO,
            transcription: 0..450,
            window: None,
            seed: 1,
            surprises: true,
            faults: Faults::default(),
            workers: 1,
        })
    }

    fn tempo(&self) -> response::Tempo {
        response::Tempo { think: self.think, gap: self.burst_gap }
    }
}

/// What all sessions of a service share.
#[derive(Clone, Default)]
pub(crate) struct Shared {
    violations: Complaints,
    races: Complaints,
    opened: Arc<AtomicU64>,
    closed: Arc<AtomicU64>,
    /// Longest time between two appends of one session, in microseconds.
    gap: Arc<AtomicU64>,
}

impl Shared {
    fn open_one(&self) -> u64 {
        self.opened.fetch_add(1, Ordering::Relaxed) + 1
    }
}
