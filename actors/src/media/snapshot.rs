//! What a media child shows of itself.

use std::time::Duration;

use actix::{Handler, MessageResponse};

use super::Media;
use crate::audio::playout::Playout;
use crate::call::Observe;

/// What a media child shows of itself.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, MessageResponse)]
pub struct MediaSnapshot {
    /// Caller frames received.
    pub frames_in: u64,
    /// Messages of agent audio sent.
    pub frames_out: u64,
    /// Caller frames the engine lane dropped because it was full.
    pub caller_dropped: u64,
    /// Caller frames waiting for the engine.
    pub caller_waiting: usize,
    /// Bytes of agent audio waiting to be played.
    pub playout_bytes: usize,
    /// Messages waiting for the socket.
    pub socket_waiting: usize,
    /// Since the last caller frame, or since the stream could have begun.
    pub silence: Duration,
}

impl Handler<Observe<MediaSnapshot>> for Media {
    type Result = MediaSnapshot;

    fn handle(&mut self, _: Observe<MediaSnapshot>, _: &mut Self::Context) -> MediaSnapshot {
        MediaSnapshot {
            frames_in: self.frames_in,
            frames_out: self.frames_out,
            caller_dropped: self.spec.to_engine.dropped(),
            caller_waiting: self.spec.to_engine.depth(),
            playout_bytes: self.playout.as_ref().map_or(0, Playout::queued_bytes),
            socket_waiting: self.link.as_ref().map_or(0, |link| link.commands.depth()),
            silence: self.spec.clock.now().saturating_sub(self.last_frame),
        }
    }
}
