//! How a call ends: its timers, its last words, and what is collected before it is gone.

use std::sync::Arc;
use std::time::Duration;

use super::event::{CallEvent, Effect, MediaWish};
use super::parting::Parting;
use super::state::{CallState, EngineStage, Phase, phrase_item};
use super::steering::Said;
use super::timers::Timer;
use crate::domain::{ActionId, AfterStream, CallTime, EndReason, Phrase};
use crate::ports::{ActionError, EngineCommand, JournalEntry};
use crate::supervise::Child;

/// Longest wait for the transcript of the caller's last words, and for what they mean, once the call is over.
const LAST_TRANSCRIPT: Duration = Duration::from_millis(1500);
/// What is being said last when the hard cap is reached may go on for so long, so that the cap is never overrun by 5 s.
const OVER_THE_CAP_MAX: Duration = Duration::from_secs(3);
/// Room for the actor to carry out the end within the teardown limit.
const TEARDOWN_MARGIN: Duration = Duration::from_millis(500);

/// What is said last.
#[derive(Clone, Copy, Debug)]
pub(super) enum LastWords {
    /// The engine says it, unless it has just spoken; without an engine the stored phrase is used.
    Engine(&'static str, Phrase),
    /// The stored phrase.
    Stored(Phrase),
}

impl CallState {
    pub(super) fn on_time(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Answer => self.end(EndReason::NoAnswer, now, out),
                Timer::IdleMedia => self.end(EndReason::NoMedia, now, out),
                Timer::MaxDuration => self.on_max_duration(now, out),
                Timer::IdleSpeech => self.on_idle_speech(now, out),
                Timer::EngineProgress => self.on_engine_stalled(now, out),
                Timer::AskAgain => self.on_ask_again(now, out),
                Timer::Reheard => self.on_heard_again(now, out),
                Timer::Deaf => self.on_perhaps_deaf(now, out),
                Timer::Taken => self.on_turn_not_taken(now, out),
                Timer::Hello => self.on_no_hello(now, out),
                Timer::Floor => self.on_floor_undecided(now, out),
                Timer::Filler => self.on_long_wait(now, out),
                Timer::TimeWarning => self.on_time_warning(now, out),
                Timer::SessionAge => self.on_session_aged(now, out),
                Timer::Dtmf => self.tell_keys(now, out),
                Timer::Consent => self.settle_held(true, now, out),
                Timer::Summary => self.on_summary_due(now, out),
                Timer::LastWords => {
                    if let Phase::Closing(reason) = self.phase {
                        self.on_last_words_due(reason, now, out);
                    }
                }
                // What waits for it is looked at after every event.
                Timer::Steering | Timer::LastTranscript | Timer::Teardown => {}
            }
            if matches!(self.phase, Phase::Tearing(_) | Phase::Ended(_)) {
                return;
            }
        }
    }

    fn on_max_duration(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        // Woken before the longest sentence would begin; this caller's may be shorter.
        let due = if self.phase == Phase::Live { self.time_up_at() } else { self.facts.agent.limits.max_duration };
        if now < due {
            self.timers.set(Timer::MaxDuration, due);
            return;
        }
        match self.phase {
            Phase::Live => {
                let words = LastWords::Stored(Phrase::TimeUp);
                self.close(EndReason::MaxDuration, AfterStream::HangUp, "", words, now, out);
                self.give_no_more_time_than(Phrase::TimeUp, now);
            }
            Phase::Closing(_) => self.timers.set_sooner(Timer::LastWords, now + OVER_THE_CAP_MAX),
            Phase::Waiting | Phase::Tearing(_) | Phase::Ended(_) => self.end(EndReason::MaxDuration, now, out),
        }
    }

    pub(super) fn on_drain_expired(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        match self.phase {
            Phase::Live => {
                let words = LastWords::Stored(Phrase::Apology);
                self.close(EndReason::Drained, AfterStream::HangUp, "", words, now, out);
            }
            Phase::Waiting => self.end(EndReason::Drained, now, out),
            // Whatever is said into it.
            Phase::Closing(_) => self.leave.since = None,
            Phase::Tearing(_) | Phase::Ended(_) => {}
        }
    }

    /// Says a stored phrase; it is on record once it was heard, as far as it was.
    pub(super) fn say(&mut self, phrase: Phrase, out: &mut Vec<Effect>) {
        let language = self.language;
        // What bridges a wait means nothing to the session that comes after it.
        let told = !matches!(phrase, Phrase::Bridge | Phrase::Checking | Phrase::StillChecking);
        self.turns.phrase(&phrase_item(phrase), self.phrases.words(phrase, language), told);
        out.push(Effect::Media(MediaWish::Say(phrase, language)));
        self.playing = true;
        self.playing_phrase = true;
    }

    /// Ends the call once the last words are heard, or have had their time.
    pub(super) fn close(
        &mut self,
        reason: EndReason,
        after: AfterStream,
        summary: &str,
        words: LastWords,
        now: CallTime,
        out: &mut Vec<Effect>,
    ) {
        if matches!(self.phase, Phase::Closing(_)) {
            return;
        }
        // Of a leave it is not yet decided that the call ends.
        if self.leave.since.is_none() {
            self.decide(after, summary, out);
        }
        self.phase = Phase::Closing(reason);
        self.timers.clear(Timer::IdleSpeech);
        self.timers.clear(Timer::EngineProgress);
        self.forget_answers();
        self.timers.clear(Timer::Dtmf);
        self.timers.clear(Timer::Steering);
        self.agent_goes_on("the end", now, out);
        self.timers.clear(Timer::Filler);
        self.timers.clear(Timer::TimeWarning);
        self.timers.set(Timer::LastWords, now + self.facts.agent.limits.last_words);
        match words {
            LastWords::Engine(instructions, phrase) if self.engine == EngineStage::Ready => {
                self.parting = Parting::by_engine(phrase, self.answer_has_words && self.responses.is_idle());
                if !self.answer_has_words {
                    self.answer_is_asked(now);
                    out.extend(self.responses.want(Some(instructions.into())).map(Effect::Engine));
                }
                if !self.playing && !self.responses.is_idle() {
                    self.await_engine(now);
                }
            }
            LastWords::Engine(_, phrase) | LastWords::Stored(phrase) => {
                out.extend(self.responses.cancel().map(Effect::Engine));
                if self.playing {
                    self.cut(out);
                    self.turns.agent_silenced(self.responses.active());
                }
                self.parting = Parting::by_phrase(phrase);
                self.give_time_to(phrase, now);
                self.say(phrase, out);
            }
        }
        if !self.playing && !self.unheard_words && self.responses.is_idle() {
            self.part(reason, now, out);
        }
    }

    fn decide(&mut self, after: AfterStream, summary: &str, out: &mut Vec<Effect>) {
        if self.after.is_none() {
            self.after = Some(after);
            let summary: Arc<str> = summary.into();
            out.push(Effect::Decide { after, summary: Arc::clone(&summary) });
            out.push(Effect::Record(JournalEntry::Decided { call: self.facts.call, after, summary }));
        }
    }

    /// Ends the call now: closes the socket, then collects what is still owed.
    pub(super) fn end(&mut self, reason: EndReason, now: CallTime, out: &mut Vec<Effect>) {
        let reason = if let Phase::Closing(decided) = self.phase { decided } else { reason };
        self.decide(AfterStream::HangUp, "", out);
        self.withdraw_proposals(now, out);
        self.record_what_nobody_heard(now, out);
        self.phase = Phase::Tearing(reason);
        self.timers.clear_all();
        let teardown = self.facts.agent.limits.teardown.saturating_sub(TEARDOWN_MARGIN);
        self.timers.set(Timer::Teardown, now + teardown);
        if self.caller_speaking && self.engine == EngineStage::Ready {
            // Who hangs up with their last word does not wait until an engine believes that it was the last.
            out.push(Effect::Engine(EngineCommand::CommitTurn));
        }
        self.turns.caller_cut_off(now);
        let transcript = self.turns.owes_transcript() && self.engine == EngineStage::Ready;
        if transcript || !self.replies.is_empty() {
            self.timers.set(Timer::LastTranscript, now + LAST_TRANSCRIPT.min(teardown));
        }
        self.cutting.asked = None;
        self.cutting.lost = reason == EndReason::MediaLost && self.playing;
        if self.cutting.lost {
            self.turns.ear_lost(now);
        }
        if reason != EndReason::MediaLost && self.socket.is_some() {
            self.cut(out);
            out.push(Effect::Media(MediaWish::Close(close_code(reason))));
        }
        out.extend(self.responses.cancel().map(Effect::Engine));
        self.finish_if_complete(now, out);
    }

    pub(super) fn on_while_tearing(&mut self, event: CallEvent, now: CallTime, out: &mut Vec<Effect>) {
        match event {
            CallEvent::PlayoutCut(cuts) => {
                self.turns.heard_part(now, &cuts);
                self.cutting.asked = None;
            }
            CallEvent::SpeechSounded { item, sound } => self.turns.agent_sounded(&item, sound),
            CallEvent::Engine(event) => self.on_engine_while_tearing(event, now, out),
            CallEvent::ActionFinished { action, attempts, result } => {
                self.on_action_finished(action, attempts, &result, now, out);
            }
            // Nobody is there any more to be told what was done: a yes that is understood now comes too late.
            CallEvent::TurnUnderstood { turn, understanding } => {
                let said = Said::from(&understanding);
                out.push(Effect::Record(JournalEntry::Intent { call: self.facts.call, turn, understanding, at: now }));
                self.replies.retain(|reply| reply.turn != turn);
                self.steer_by(said, now, out);
            }
            CallEvent::ChildCrashed(Child::Intent) | CallEvent::ChildGaveUp(Child::Intent) => self.replies.clear(),
            CallEvent::ChildCrashed(Child::Media) => self.go_on_with_media(out),
            CallEvent::ChildGaveUp(Child::Media) => {
                self.cutting.lost |= self.cutting.asked.take().is_some();
                self.turns.ear_lost(now);
            }
            CallEvent::ChildCrashed(Child::Action) | CallEvent::ChildGaveUp(Child::Action) => self.reconcile(now, out),
            CallEvent::TimePassed => self.on_time_while_tearing(now, out),
            _ => {}
        }
        self.finish_if_complete(now, out);
    }

    fn on_time_while_tearing(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        while let Some(timer) = self.timers.pop_due(now) {
            if timer == Timer::Teardown {
                self.cutting.asked = None;
                let running: Vec<ActionId> = self.ledger.running().map(|entry| entry.action.id).collect();
                for id in running {
                    let lost = Err(ActionError::Unknown("the call ended before the answer came".to_owned()));
                    self.on_action_finished(id, 1, &lost, now, out);
                }
            }
        }
    }

    fn finish_if_complete(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        let Phase::Tearing(reason) = self.phase else { return };
        // Who hangs up on "do not ring me again" is to be heard.
        let words_owed = self.turns.owes_transcript() || !self.replies.is_empty();
        let waits_for_words = self.timers.is_set(Timer::LastTranscript) && words_owed;
        if self.cutting.asked.is_some() || waits_for_words || self.ledger.running().next().is_some() {
            return;
        }
        self.turns.session_gone();
        // What the cut did not name was heard; without a cut nobody knows, and it is told by the time there was.
        if !self.cutting.lost {
            self.turns.heard_all(now);
        }
        self.record_finished_turns(now, true, out);
        for turn in self.turns.without_words(now) {
            self.record_turn(turn, out);
        }
        self.close_notices(now, out);
        self.phase = Phase::Ended(reason);
        self.timers.clear_all();
        if let Some(language) = self.caller_language() {
            self.meet_caller(Some(language), out);
        }
        out.push(Effect::CloseEngine);
        out.push(Effect::Record(JournalEntry::Ended {
            call: self.facts.call,
            reason,
            at: now,
            usage: self.usage,
            degraded: self.degraded.clone(),
        }));
        out.push(Effect::Finish(reason));
    }
}

/// What the carrier's end of the socket is told: 4408 for a stream that carries nothing, else 1000.
fn close_code(reason: EndReason) -> u16 {
    match reason {
        EndReason::NoMedia => 4408,
        EndReason::CallerHungUp
        | EndReason::AgentEnded
        | EndReason::Transferred
        | EndReason::OperatorHungUp
        | EndReason::CarrierEnded
        | EndReason::MaxDuration
        | EndReason::NoAnswer
        | EndReason::NoSpeech
        | EndReason::EngineUnavailable
        | EndReason::MediaLost
        | EndReason::MediaProtocol
        | EndReason::CallPanicked
        | EndReason::Drained
        | EndReason::Interrupted => 1000,
    }
}

#[cfg(test)]
#[path = "ending_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "tearing_tests.rs"]
mod tearing_tests;
