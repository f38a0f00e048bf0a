//! What the caller hears: when the agent's words begin, when all of them are heard, and where they were cut; and whether
//! the line carries anything.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::event::{Effect, MediaWish};
use super::rehearing::FINISHED;
use super::state::{CallState, EngineStage, Phase, is_phrase};
use super::timers::Timer;
use crate::audio::playout::{Cut, FirstSound};
use crate::domain::{CallTime, EndReason, Speaker, Turn};
use crate::ports::{EngineCommand, JournalEntry};
use crate::understand::script::is_hindi;

/// A carrier whose socket closed before `start` tries again within this, or not at all.
const RETRY_WAIT: Duration = Duration::from_secs(5);
/// A socket without media for this long may be taken over by another.
const DEAD_SOCKET: Duration = Duration::from_secs(5);

/// What the media child was asked for to fall silent.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct Cutting {
    /// Until it tells what was not heard.
    pub(super) asked: Option<MediaWish>,
    /// How often it was asked.
    number: u64,
    /// It will not be told: the child that knew it is gone.
    pub(super) lost: bool,
}

impl CallState {
    pub(super) fn on_speech_began(
        &mut self,
        item: &Arc<str>,
        first: Option<FirstSound>,
        now: CallTime,
        out: &mut Vec<Effect>,
    ) {
        self.playing = true;
        self.timers.clear(Timer::IdleSpeech);
        self.playing_phrase = is_phrase(item);
        let heard = self.contest_what_begins(now, out);
        if self.playing_phrase {
            self.parting.phrase_begins(item);
            self.turns.phrase_began(now, item);
            // Says nothing of the engine, which goes on owing what it owes.
            return;
        }
        self.greeting_begins(item, now);
        self.timers.clear(Timer::EngineProgress);
        self.engine_heard = true;
        self.answering.is_heard();
        if heard {
            self.ledger.heard(item, now);
        }
        self.waiting_is_over();
        if let Some(latency) = self.turns.agent_began(now, item, first) {
            let detail = json!({ "latency_ms": latency.to_sent().as_millis() as u64 });
            self.note("answer_began", &detail, now, out);
        }
    }

    pub(super) fn on_drained(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        self.playing = false;
        self.unheard_words = false;
        self.turns.heard_all(now);
        self.record_finished_turns(now, false, out);
        self.restart_speech_timer(now);
        self.time_warning_heard(now, out);
        self.await_words_passed_over(now);
        if self.reading_is_over(now) && self.responses.is_idle() {
            self.ledger.read_back_unheard();
            self.ledger.read_back_heard(now);
        }
        self.settle_held(false, now, out);
        // All that came is heard and the answer is not complete: an engine that says no more has stalled in it.
        let awaited = self.engine == EngineStage::Ready && !self.responses.is_idle();
        if awaited && !(self.playing_phrase && self.timers.is_set(Timer::EngineProgress)) {
            self.await_engine(now);
        }
        self.playing_phrase = false;
        self.await_in_silence(now);
        self.bridge_who_spoke(now + FINISHED);
        if let Phase::Closing(reason) = self.phase
            && (self.responses.is_idle() || self.parting.is_heard())
        {
            self.part(reason, now, out);
        }
        self.mind_window(now, out);
    }

    /// The agent is to fall silent; what was not heard will be told.
    pub(super) fn cut(&mut self, out: &mut Vec<Effect>) {
        self.cutting.number += 1;
        let (number, response) = (self.cutting.number, self.responses.active().cloned());
        let wish = MediaWish::Interrupt { number, response };
        self.cutting.asked = Some(wish.clone());
        out.push(Effect::Media(wish));
    }

    /// The media child has crashed and is there again, with all that it knew: only the message in hand is lost. That may have been
    /// to fall silent, or to speak on.
    pub(super) fn go_on_with_media(&mut self, out: &mut Vec<Effect>) {
        if let Some(wish) = self.cutting.asked.clone() {
            out.push(Effect::Media(wish));
        } else if self.contested.is_none() {
            out.push(Effect::Media(MediaWish::Resume));
        }
    }

    pub(super) fn on_cut(&mut self, cuts: &[Cut], now: CallTime, out: &mut Vec<Effect>) {
        self.cutting.asked = None;
        self.playing = false;
        self.playing_phrase = false;
        self.unheard_words = false;
        self.turns.heard_part(now, cuts);
        self.ledger.read_back_cut(cuts);
        self.time_warning_cut(cuts, now, out);
        if self.engine == EngineStage::Ready {
            let known = |item: &Arc<str>| self.session_items.contains(item);
            for cut in cuts.iter().filter(|cut| known(&cut.item)) {
                let item = Arc::clone(&cut.item);
                // The engine refuses to truncate at nothing; what was not heard at all is deleted instead.
                out.push(Effect::Engine(match cut.heard_ms {
                    0 => EngineCommand::DeleteItem { item },
                    heard_ms => EngineCommand::Truncate { item, heard_ms },
                }));
            }
        }
        self.record_finished_turns(now, false, out);
        self.settle_held(false, now, out);
        self.answer_what_was_cut(now, out);
    }

    /// A session that knows the agent's words from its context was told all of them, before it was known how many are heard.
    pub(super) fn correct_session(&mut self, turn: &Turn, out: &mut Vec<Effect>) {
        if turn.speaker == Speaker::Agent && turn.interrupted {
            let told = self.window.heard_only(turn.started, &turn.text);
            let open = self.engine == EngineStage::Ready;
            out.extend(told.into_iter().filter(|_| open).map(Effect::Engine));
        }
    }

    pub(super) fn record_finished_turns(&mut self, now: CallTime, all: bool, out: &mut Vec<Effect>) {
        for turn in self.turns.finished(now, all) {
            self.correct_session(&turn, out);
            self.record_turn(turn, out);
        }
        self.recheck_agreed(now);
    }

    pub(super) fn record_turn(&mut self, turn: Turn, out: &mut Vec<Effect>) {
        self.check_notices(&turn, out);
        let mut under_way = "".into();
        if turn.speaker == Speaker::Agent {
            self.doubt_language(&turn.text);
        }
        if turn.speaker == Speaker::Caller && !turn.text.is_empty() {
            // What had to be put into Hindi's letters may be no Hindi.
            if turn.raw.is_none() || is_hindi(&turn.text) {
                self.hear_language(&turn.text, turn.ended, out);
            }
            under_way = self.turns.agent_under_way();
            let asked = self.turns.last_of_agent(turn.started);
            let (text, waiting) = (Arc::clone(&turn.text), self.ledger.asked_about(turn.started));
            out.push(Effect::Understand { turn: turn.id, text, asked, waiting });
        }
        out.push(Effect::Record(JournalEntry::Turn { call: self.facts.call, turn, under_way }));
        self.tell_recogniser(out);
    }

    pub(super) fn on_socket_closed(&mut self, socket: u64, protocol_error: bool, now: CallTime, out: &mut Vec<Effect>) {
        let Some(current) = self.socket.as_ref().filter(|current| current.id == socket) else { return };
        if protocol_error {
            self.end(EndReason::MediaProtocol, now, out);
        } else if current.started {
            // What was decided before stands: see `end`.
            self.end(EndReason::CallerHungUp, now, out);
        } else {
            // It never began to carry the call; the carrier tries once more, at once.
            self.socket = None;
            self.timers.set_sooner(Timer::Answer, now + RETRY_WAIT);
        }
    }

    pub(super) fn on_media_silent(&mut self, silence: Duration, now: CallTime) {
        if let Some(socket) = &mut self.socket {
            socket.silent = silence >= DEAD_SOCKET;
        }
        let left = self.facts.agent.limits.idle_media.saturating_sub(silence);
        self.timers.set(Timer::IdleMedia, now + left);
    }

    pub(super) fn on_media_resumed(&mut self) {
        if let Some(socket) = &mut self.socket {
            socket.silent = false;
        }
        self.timers.clear(Timer::IdleMedia);
    }
}

#[cfg(test)]
#[path = "hearing_tests.rs"]
mod tests;
