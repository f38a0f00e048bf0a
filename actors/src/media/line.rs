//! What comes from the caller's side: its way to the engine, and what its loudness tells of who speaks.

use std::time::Duration;

use super::Media;
use crate::audio::echo::Pass;
use crate::audio::playout::Playout;
use crate::call::event::CallEvent;
use crate::domain::{CallTime, Pcm};

/// A look tells of the last tenth of a second: …
const A_LOOK: Duration = Duration::from_millis(100);
/// … of shorter frames that may be echo one in so many is looked at.
const LOOKED_AT: u64 = 5;

impl Media {
    pub(super) fn caller_audio(&mut self, pcm: &Pcm) {
        let now = self.spec.clock.now();
        self.frames_in += 1;
        self.last_frame = now;
        if std::mem::take(&mut self.silent) | std::mem::take(&mut self.fresh) {
            self.tell(CallEvent::MediaResumed);
        }
        let began = self.arrivals.spoken(now, pcm.duration());
        let pass = self.echo.heard(&pcm.bytes);
        let theirs = self.is_theirs(pass, pcm, now);
        if let Some(sound) = self.line.hear(began, pcm, theirs) {
            self.tell(CallEvent::LineQuiet { since: sound.ended });
            self.tell(CallEvent::LineSounded(sound));
        }
        if let Some(tap) = &mut self.tap {
            tap.caller(began, pcm);
        }
        if let Some(converter) = &mut self.to_engine {
            self.spec.to_engine.push(converter.convert(&pass.through(&pcm.bytes)));
        }
        if pass == Pass::Caller {
            self.noticed = false;
            self.tell(CallEvent::EchoHeard { only: false });
        }
        self.notice();
    }

    /// Whether what sounds while the agent's voice may come back is somebody else's.
    fn is_theirs(&mut self, pass: Pass, pcm: &Pcm, now: CallTime) -> bool {
        if !self.line.may_be_echo(now) || self.line.speaking().is_none() || pass == Pass::Silence {
            self.theirs = false;
        } else if self.frames_in.is_multiple_of(LOOKED_AT) || pcm.duration() >= A_LOOK {
            self.theirs = self.echo.is_caller();
        }
        self.theirs
    }

    /// Sound of the caller's, and whether the agent is heard meanwhile.
    fn notice(&mut self) {
        let agent = self.playout.as_ref().is_some_and(Playout::is_heard);
        if agent {
            self.line.agent_heard(self.spec.clock.now());
        }
        if let Some(since) = self.line.clearly_sounding() {
            self.tell(CallEvent::LineSounding { since });
        }
        let Some(since) = self.line.speaking() else {
            self.noticed = false;
            return;
        };
        // Held, it is silent because of the caller, who may go on.
        if !self.noticed && self.playout.as_ref().is_some_and(Playout::is_active) {
            self.noticed = true;
            self.tell(CallEvent::CallerHeard { since });
        }
    }
}
