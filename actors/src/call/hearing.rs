//! What the caller hears: when the agent's words begin, when all of them are heard, and where they were cut.

use std::sync::Arc;

use serde_json::json;

use super::event::Effect;
use super::state::{CallState, EngineStage, Phase, is_phrase};
use super::timers::Timer;
use crate::audio::playout::{Cut, FirstSound};
use crate::domain::CallTime;
use crate::ports::EngineCommand;

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
        if self.playing_phrase {
            // Says nothing of the engine, which goes on owing what it owes.
            return;
        }
        self.timers.clear(Timer::EngineProgress);
        self.engine_heard = true;
        self.ledger.heard(item, now);
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
        if self.responses.is_idle() && self.contested.is_none() {
            self.ledger.read_back_unheard();
            self.ledger.read_back_heard(now);
        }
        // All that came is heard and the answer is not complete: an engine that says no more has stalled in it.
        let awaited = self.engine == EngineStage::Ready && !self.responses.is_idle();
        if awaited && !(self.playing_phrase && self.timers.is_set(Timer::EngineProgress)) {
            self.timers.set(Timer::EngineProgress, now + self.facts.agent.limits.engine_progress);
        }
        self.playing_phrase = false;
        self.await_in_silence(now);
        if let Phase::Closing(reason) = self.phase
            && self.responses.is_idle()
        {
            self.end(reason, now, out);
        }
        self.mind_window(now, out);
    }

    pub(super) fn on_cut(&mut self, cuts: &[Cut], now: CallTime, out: &mut Vec<Effect>) {
        self.playing = false;
        self.playing_phrase = false;
        self.unheard_words = false;
        self.turns.heard_part(now, cuts);
        self.ledger.read_back_cut(cuts);
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
        self.answer_what_was_cut(now, out);
    }
}
