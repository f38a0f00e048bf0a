//! The sandbox: a simulated carrier, a simulated speech engine, a simulated shop and a simulated MCP server, to run, try
//! and test Caly without keys or network.
//!
//! They speak their vendors' wires from hand-written JSON, and complain: what the other side does wrong is counted and
//! told in a sentence. They know nothing of Caly: no domain type, no wire struct, not even its G.711. A field
//! that the product misspells therefore fails here instead of agreeing with itself.

pub mod audio;
pub mod carrier;
pub mod engine;
pub mod library;
pub mod mcp;
pub mod shopify;

use std::sync::{Arc, Mutex, PoisonError};

/// How many sentences a [`Complaints`] keeps; more are only counted.
const COMPLAINTS_KEPT: usize = 1000;

/// What a peer did wrong, shared between the sockets of a simulator and whoever asks.
#[derive(Clone, Default)]
pub struct Complaints(Arc<Mutex<(Vec<String>, u64)>>);

impl Complaints {
    /// Adds a sentence.
    pub fn add(&self, sentence: impl Into<String>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.1 += 1;
        if inner.0.len() < COMPLAINTS_KEPT {
            let sentence = sentence.into();
            tracing::warn!(violation = %sentence, "sandbox: protocol violation by the peer");
            inner.0.push(sentence);
        }
    }

    /// The sentences so far, oldest first, at most 1000.
    #[must_use]
    pub fn list(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// How many there were in all.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

/// A small generator (splitmix64): the sandbox must be repeatable from a seed, not unpredictable.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Same seed, same throws.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`; 0 for a bound of 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.roll() % bound }
    }

    /// `length` characters of `0-9a-z`, as both vendors make their ids.
    pub fn word(&mut self, length: usize) -> String {
        const LETTERS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
        (0..length).map(|_| char::from(LETTERS[usize::try_from(self.below(36)).unwrap_or(0)])).collect()
    }
}
