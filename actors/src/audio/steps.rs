//! What playout has done, and what was heard of it; and the pieces that it keeps.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::domain::CallTime;

/// What to do now.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// Send this audio; it begins to be heard at the given time.
    Send(Bytes, CallTime),
    /// Send a mark of this name.
    Mark(Arc<str>),
    /// The first audio of this item went out, or the first after a silence; then without the times.
    Began(Arc<str>, Option<FirstSound>),
    /// The carrier's mark tells when this item began to be heard; a later one may tell it better.
    Heard(Arc<str>, CallTime),
    /// So much sound of an item was made in all: another has begun, or everything was heard.
    Sounded(Arc<str>, Duration),
    /// Everything sent was heard and nothing waits.
    Drained,
}

/// The first sound of an item on its way to the ear.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FirstSound {
    /// When it was given to us.
    pub made: CallTime,
    /// When it was handed to the carrier.
    pub sent: CallTime,
    /// When it begins to be heard, as far as is known without a mark.
    pub heard: CallTime,
}

/// How much of an item the caller heard when it was cut.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cut {
    /// The engine's item, or a phrase's name.
    pub item: Arc<str>,
    /// Milliseconds heard, never more than were given to us.
    pub heard_ms: u64,
    /// Milliseconds given to us.
    pub total_ms: u64,
}

/// Sound that waits to be sent.
pub(super) struct Queued {
    pub(super) item: Arc<str>,
    pub(super) bytes: Bytes,
}

/// Where sound of an item lies in all that was sent, in samples.
pub(super) struct Sent {
    pub(super) item: Arc<str>,
    pub(super) start: u64,
    pub(super) end: u64,
}

/// An item still in play.
pub(super) struct Given {
    pub(super) item: Arc<str>,
    pub(super) samples: u64,
    /// … and there was no room for so many more.
    pub(super) dropped: u64,
    /// When the first of them came.
    pub(super) first: CallTime,
}
