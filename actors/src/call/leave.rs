//! A goodbye is said, and the caller goes on: "wait, one more question". What is said into it, or right after it, is heard out, and
//! the call goes on if it is more than a goodbye. Only of a leave that nobody insists on: a caller who said nothing for long, or
//! whose wish was done.

use serde_json::json;

use super::ending::LastWords;
use super::event::Effect;
use super::floor::NOISE;
use super::parting::Parting;
use super::reply::Reply;
use super::state::{CallState, EngineStage, Phase};
use super::timers::Timer;
use super::waiting::{KEYS_GAP, warn_at};
use crate::domain::{AfterStream, CallTime, EndReason, IntentKind};

/// From the end of what was said into it, and of the goodbye, until words that are not there are taken for more than a goodbye.
const UNWRITTEN: CallTime = CallTime::from_secs(3);
/// From one look whether they still speak into it to the next.
const STILL_SPEAKING: CallTime = CallTime::from_millis(500);
/// Who speaks longer is not heard out: that is a radio.
const SPEAKS_MAX: CallTime = CallTime::from_secs(30);

/// A goodbye that the caller may have something to say to.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct Leave {
    /// Since when it is being said.
    pub(super) since: Option<CallTime>,
    /// It was said, and waits for what the caller says.
    pub(super) waits: bool,
    /// The session was lost in it: another is opened only if the call does not end.
    pub(super) lost: bool,
}

impl CallState {
    /// Ends the call once goodbye is said, unless the caller has something to say to that.
    pub(super) fn take_leave(&mut self, reason: EndReason, words: LastWords, now: CallTime, out: &mut Vec<Effect>) {
        if !matches!(self.phase, Phase::Closing(_)) {
            // Who speaks already is heard out as well.
            let speaks = self.caller_speaking.then(|| self.turns.caller_pending().max()).flatten();
            self.leave.since = Some(speaks.unwrap_or(now));
            // What its tool answered is told by the goodbye.
            self.outputs_owed = false;
            self.close(reason, AfterStream::HangUp, "", words, now, out);
        }
    }

    /// The caller speaks into it.
    pub(super) fn hear_out(&mut self, now: CallTime) {
        if self.is_leave() {
            self.timers.set(Timer::LastWords, now + self.facts.agent.limits.last_words);
        }
    }

    fn is_leave(&self) -> bool {
        matches!(self.phase, Phase::Closing(_)) && self.leave.since.is_some()
    }

    /// They speak, or have spoken since, and it is not known yet what that comes to.
    pub(super) fn awaits_caller(&self, now: CallTime) -> bool {
        let Some(since) = self.leave.since.filter(|_| self.is_leave() && self.engine == EngineStage::Ready) else {
            return false;
        };
        let pending = self.turns.expects_words(now) && self.turns.caller_pending().any(|began| began >= since);
        self.caller_speaking || pending || self.replies.iter().any(|reply| reply.started >= since)
    }

    /// What they said in a turn is understood.
    pub(super) fn reconsider(&mut self, reply: &Reply, intent: IntentKind, now: CallTime, out: &mut Vec<Effect>) {
        let Phase::Closing(reason) = self.phase else { return };
        if self.leave.since.is_none_or(|since| reply.started < since) {
            return;
        }
        // "Namaste" is both.
        let parting = matches!(intent, IntentKind::Affirm | IntentKind::Deny | IntentKind::Greeting);
        let taken = reply.listening || (reply.parting && parting);
        // Who was believed to be gone is there, whatever they say.
        if intent == IntentKind::Goodbye || (taken && reason != EndReason::NoSpeech) {
            return;
        }
        let _ = self.answers_after_all(now, out);
    }

    /// Their words are waited for, now that they and the agent have done.
    pub(super) fn words_are_due(&mut self, now: CallTime) {
        if self.is_leave() && self.leave.waits && !self.caller_speaking {
            self.timers.set_sooner(Timer::LastWords, now + UNWRITTEN);
        }
    }

    /// The last words have had their time. Whether the call does not end for that: they speak, or nobody knows what they have said.
    pub(super) fn is_heard_out(&mut self, now: CallTime, out: &mut Vec<Effect>) -> bool {
        let Some(since) = self.leave.since.filter(|_| self.is_leave()) else { return false };
        if now >= self.facts.agent.limits.max_duration {
            return false;
        }
        if self.caller_speaking && now < since + SPEAKS_MAX {
            self.timers.set(Timer::LastWords, now + STILL_SPEAKING);
            return true;
        }
        self.turns.are_unwritten_since(since, NOISE + self.silence()) && self.answers_after_all(now, out)
    }

    /// What they said in a turn that began then cannot be made out. Of more than a noise it is believed to be more than a goodbye.
    pub(super) fn on_lost_in_leave(&mut self, spoken: CallTime, began: CallTime, now: CallTime, out: &mut Vec<Effect>) {
        if self.leave.since.is_some_and(|since| began >= since) && spoken >= NOISE + self.silence() {
            let _ = self.answers_after_all(now, out);
        }
    }

    fn answers_after_all(&mut self, now: CallTime, out: &mut Vec<Effect>) -> bool {
        let goes_on = self.go_on_after_all(now, out);
        if goes_on {
            self.want_answer(None, now, out);
        }
        goes_on
    }

    /// The session is lost: what is being said into the goodbye is for the next one to hear.
    pub(super) fn lost_in_leave(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        if self.awaits_caller(now) {
            let _ = self.go_on_after_all(now, out);
        }
        self.leave.lost = self.is_leave();
    }

    /// Somebody speaks, as the line tells: into a goodbye whose session is lost, it is for the next one to say.
    pub(super) fn line_speaks_into_leave(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        if self.leave.lost {
            let _ = self.go_on_after_all(now, out);
        }
    }

    /// The call does not end yet. Whether it could be helped.
    pub(super) fn go_on_after_all(&mut self, now: CallTime, out: &mut Vec<Effect>) -> bool {
        let over = now >= self.facts.agent.limits.max_duration;
        if over || !self.is_leave() || (self.engine != EngineStage::Ready && !self.leave.lost) {
            return false;
        }
        if !self.keys.is_empty() {
            self.timers.set(Timer::Dtmf, now + KEYS_GAP);
        }
        let lost = self.leave.lost;
        (self.phase, self.leave, self.parting) = (Phase::Live, Leave::default(), Parting::default());
        self.timers.clear(Timer::LastWords);
        self.timers.set(Timer::MaxDuration, self.time_up_at());
        if let Some(at) = warn_at(&self.facts.agent.limits).filter(|at| *at > now) {
            self.timers.set(Timer::TimeWarning, at);
        }
        self.ledger.forget_end();
        self.reprompts = 0;
        self.restart_speech_timer(now);
        self.note("caller_went_on", &json!({}), now, out);
        out.extend(self.responses.cancel().map(Effect::Engine));
        if lost {
            self.engine = EngineStage::Opening;
            self.adopt_what_sounds(now, out);
            let context = self.next_context(now);
            out.push(self.another_session(context, CallTime::ZERO, now));
        }
        true
    }

    /// Looked at after every event: what the caller said into it was heard out, and came to nothing more.
    pub(super) fn mind_leave(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        let Phase::Closing(reason) = self.phase else { return };
        let said = !self.playing && !self.unheard_words && self.responses.is_idle();
        if self.is_leave() && said && self.leave.waits && !self.awaits_caller(now) {
            self.part(reason, now, out);
        }
    }
}

#[cfg(test)]
#[path = "leave_tests.rs"]
mod tests;
