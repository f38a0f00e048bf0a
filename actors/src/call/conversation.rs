//! The engine's side of the decisions: turns, answers, barge-in, and what happens when the session is lost.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::answering::SOUND_AT_LEAST;
use super::ending::LastWords;
use super::event::{Effect, EngineChoice};
use super::responses::Wanted;
use super::state::{CallState, EngineStage, Phase};
use super::summary::RECOLLECTION;
use super::timers::Timer;
use super::waited::{Stopped, silence_window};
use crate::domain::{AfterStream, CallTime, EndReason, Phrase, Usage};
use crate::ports::{EngineCommand, EngineError, EngineEvent, ItemKind};
use crate::understand::script::heard;

/// Items of the session that can still be cut: more than can be in play.
const SESSION_ITEMS_MAX: usize = 64;

impl CallState {
    /// A call that has a second engine to go to.
    #[must_use]
    pub fn with_fallback(mut self, there: bool) -> Self {
        self.fallback_left = there;
        self
    }

    pub(super) fn on_engine(&mut self, event: EngineEvent, now: CallTime, out: &mut Vec<Effect>) {
        self.mind_answer(&event);
        let progress = is_progress(&event);
        self.hear_engine(event, now, out);
        // Only the answer itself shows that the engine gets on with it: a caller who keeps saying hello must not keep a
        // stalled engine alive.
        if progress && self.timers.is_set(Timer::EngineProgress) {
            self.await_engine(now);
        }
    }

    fn hear_engine(&mut self, event: EngineEvent, now: CallTime, out: &mut Vec<Effect>) {
        match event {
            EngineEvent::Ready => self.on_engine_ready(now, out),
            EngineEvent::SpeechStarted { item, at_ms } => {
                self.recogniser.item_begins(&item);
                if !self.began_before(&item, at_ms, now, out) {
                    self.on_caller_began(&item, at_ms, now, out);
                }
                self.engine_hears(now);
            }
            EngineEvent::SpeechStopped { item, at_ms, behind } => {
                self.engine_hears(now);
                self.window.caller_stopped(at_ms);
                self.on_caller_stopped(&item, behind, now, out);
            }
            EngineEvent::TurnCommitted { item } => self.on_turn_committed(&item, now, out),
            EngineEvent::CallerTranscript { item, text } => self.on_caller_words(&item, Some(&text), now, out),
            EngineEvent::CallerTranscriptFailed { item } => self.on_caller_words(&item, None, now, out),
            EngineEvent::AnswerSilent(items) => self.on_answer_silent(items, now, out),
            EngineEvent::ResponseCreated { response, wish } => self.on_response_created(response, wish, out),
            EngineEvent::AgentWords { response, item, delta } => {
                self.answer_has_words = true;
                self.unheard_words = true;
                self.knows_item(&item);
                if !self.turns.is_silenced(&response) {
                    self.ledger.words_made(&item, self.turns.heard_since(&item));
                }
                self.turns.agent_words(&response, &item, &delta);
            }
            EngineEvent::AgentTranscript { item, text } => {
                self.knows_item(&item);
                self.window.agent_said(&text);
                self.turns.agent_said(&item, &text);
                self.turns.words_made(&item);
                self.record_finished_turns(now, false, out);
            }
            EngineEvent::AgentSoundMade { item } => self.turns.sound_made(&item),
            EngineEvent::ToolCalled { tool_call, name, arguments, .. } => {
                self.window.called(&tool_call, now);
                self.on_tool_called(&tool_call, &name, &arguments, now, out);
            }
            EngineEvent::ResponseDone { response, outcome, usage } => {
                self.window.answered(&usage);
                self.spend(usage, out);
                self.on_response_done(&response, outcome, now, out);
                self.mind_window(now, out);
            }
            EngineEvent::ItemAdded { item, kind, replayed } => {
                if kind == ItemKind::Agent {
                    self.knows_item(&item);
                }
                let first = item.starts_with(RECOLLECTION);
                out.extend(self.window.added(&item, kind, replayed, first, now).into_iter().map(Effect::Engine));
            }
            EngineEvent::Summarised { request, result, usage } => {
                self.spend(usage, out);
                out.extend(self.responses.aside_done().map(Effect::Engine));
                self.on_summarised(request, result, now, out);
            }
            EngineEvent::ResponseRefused => self.responses.refused(),
            EngineEvent::Warned(error) => {
                self.note("engine_warned", &json!({ "kind": error.kind() }), now, out);
            }
            EngineEvent::Lost(error) => self.on_engine_lost(error, now, out),
        }
    }

    fn on_turn_committed(&mut self, item: &Arc<str>, now: CallTime, out: &mut Vec<Effect>) {
        self.caller_speaking = false;
        self.on_turn_taken();
        self.turns.caller_committed(now, item);
        let dealt_with = self.is_hello(item, now, out)
            || self.committed_while_contested()
            || self.committed_after_all(item)
            || self.answering.is_asked_again(item);
        if !dealt_with && matches!(self.phase, Phase::Live | Phase::Waiting) {
            let rest = self.answering.rest();
            let wanted = Wanted::new(self.with_greeting(rest));
            // What is owed is not seen by a request that was sent before.
            self.want(if self.answer_owed { wanted.told() } else { wanted }, now, out);
        }
    }

    pub(super) fn on_engine_ready(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        let opening = std::mem::replace(&mut self.engine, EngineStage::Ready) == EngineStage::Opening;
        self.trouble.session_at(now);
        self.trouble.neither = false;
        // Who spoke to the former session begins anew with this one.
        self.caller_speaking = false;
        self.timers.set(Timer::SessionAge, now + self.facts.agent.limits.session_age);
        let first = !std::mem::replace(&mut self.engine_was_ready, true);
        if !first && opening {
            self.note("engine_recovered", &json!({ "attempts": self.trouble.failures }), now, out);
        }
        if let Phase::Closing(_) = self.phase {
            return;
        }
        self.tell_of_caller(out);
        let untold = std::mem::take(&mut self.untold);
        let anything_new = !untold.is_empty();
        let typed = untold.iter().any(|told| matches!(told, EngineCommand::CallerText(_)));
        out.extend(untold.into_iter().map(Effect::Engine));
        self.bridge_when_quiet = false;
        // What the session before made and nobody began to hear is gone.
        self.unheard_words &= self.playing;
        let reheard = self.answers_what_is_heard_again(now);
        if self.is_to_greet() {
            self.greeted = true;
            self.ask_for_greeting(typed, now, out);
        } else if reheard {
            let decides = self.is_decided_by_what_is_heard_again();
            let again = self.again.is_some() && !decides && !self.is_only_suspected() && !self.is_hello_again();
            self.answer_owed |= anything_new || again;
        } else if self.answer_owed && self.nobody_spoke() {
            // It was the greeting that was lost.
            self.ask_for_greeting(typed, now, out);
        } else if std::mem::take(&mut self.answer_owed) || anything_new {
            let rest = self.answering.rest().filter(|_| !anything_new);
            self.want_answer(rest, now, out);
        }
    }

    fn knows_item(&mut self, item: &Arc<str>) {
        if !self.session_items.contains(item) {
            if self.session_items.len() >= SESSION_ITEMS_MAX {
                self.session_items.remove(0);
            }
            self.session_items.push(Arc::clone(item));
        }
    }

    /// `typed`: the caller has chosen something by keys meanwhile.
    pub(super) fn ask_for_greeting(&mut self, typed: bool, now: CallTime, out: &mut Vec<Effect>) {
        self.notices_are_asked();
        let asked = if typed { self.greeting_and_answer() } else { self.greeting_instructions() };
        self.want_answer(Some(asked), now, out);
    }

    pub(super) fn greeting_and_answer(&self) -> Arc<str> {
        format!("{} Then answer what the caller has asked.", self.greeting_instructions()).into()
    }

    pub(super) fn greeting_instructions(&self) -> Arc<str> {
        let greeting = self.facts.agent.greeting.as_ref();
        greeting.map_or_else(
            || "Greet the caller now in one short sentence.".into(),
            |greeting| format!("Greet the caller now. Say exactly: {greeting}").into(),
        )
    }

    fn on_caller_began(&mut self, item: &Arc<str>, at_ms: u64, now: CallTime, out: &mut Vec<Effect>) {
        self.window.caller_began(item, at_ms, now);
        self.hear_out(now);
        self.caller_speaking = true;
        self.begins_over_agent(item);
        self.reprompts = 0;
        self.waiting_is_over();
        self.turns.caller_began(now, item);
        self.restart_speech_timer(now);
        self.contest(now, out);
    }

    fn on_caller_stopped(&mut self, item: &Arc<str>, behind: Duration, now: CallTime, out: &mut Vec<Effect>) {
        self.caller_speaking = false;
        let window = silence_window(self.facts.agent.turn_detection);
        self.turns.caller_stopped(now, item, Stopped { at: now.saturating_sub(behind), window });
        self.restart_speech_timer(now);
        self.await_turn(item, now);
        self.words_are_due(now);
        self.caller_fell_silent(now);
        self.await_in_silence(now);
        self.tell_recogniser(out);
    }

    /// What the caller said is written down, or could not be made out.
    fn on_caller_words(&mut self, item: &Arc<str>, written: Option<&str>, now: CallTime, out: &mut Vec<Effect>) {
        if !self.recogniser.writes(item, written.is_some()) {
            return;
        }
        if written.is_some() && self.turns.caller_speaks() == Some(item) {
            // Who is written down has stopped, whether that was told or not.
            self.on_caller_stopped(item, Duration::ZERO, now, out);
        }
        let echo = self.are_echo(item);
        // The engine is not to believe that the caller said what it said itself.
        out.extend(echo.then(|| Effect::Engine(EngineCommand::DeleteItem { item: Arc::clone(item) })));
        let written = written.filter(|_| !echo);
        // In whatever script it was written down, it is understood in one that Caly reads.
        let heard = written.map(heard);
        let text = heard.as_ref().map(|heard| &*heard.text);
        let over = self.spoken_over.contains(item);
        let listening = self.only_listens(item, text.unwrap_or_default());
        let spoken = self.turns.spoken_for(item).filter(|_| written.is_none() && !echo);
        let turn = self.turns.caller_said(now, item, written.unwrap_or_default());
        let began = turn.started;
        if !turn.text.is_empty() {
            self.await_meaning(turn.id, (turn.started, &turn.text), listening);
        }
        self.record_turn(turn, out);
        if over && self.contested.is_some() {
            self.words_decide(text, now, out);
        } else {
            self.words_came_late(item, text, now, out);
        }
        self.settle_held(false, now, out);
        spoken.into_iter().for_each(|spoken| self.on_lost_in_leave(spoken, began, now, out));
    }

    /// An answer is wanted: asked for now, after the one being made, or from the next session.
    pub(super) fn want_answer(&mut self, instructions: Option<Arc<str>>, now: CallTime, out: &mut Vec<Effect>) {
        let instructions = self.with_greeting(instructions);
        self.want(Wanted::new(instructions), now, out);
    }

    pub(super) fn want(&mut self, wanted: Wanted, now: CallTime, out: &mut Vec<Effect>) {
        if self.engine != EngineStage::Ready || self.awaits_hello() {
            self.answer_owed = true;
            self.await_in_silence(now);
            return;
        }
        let Some(wanted) = self.put_off(wanted, now) else { return };
        let wanted = self.with_notices(wanted);
        let request = self.responses.want_so(wanted);
        if request.is_some() {
            self.answer_is_asked(now);
            // It sees all that is owed by now. If the session is lost before it is answered, it is owed again.
            self.answer_owed = false;
        }
        out.extend(request.map(Effect::Engine));
        if !self.timers.is_set(Timer::EngineProgress) {
            self.await_engine(now);
        }
        self.await_in_silence(now);
    }

    /// An answer was owed and nothing came: a stall is a failure just as an error is.
    pub(super) fn on_engine_stalled(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        // What is being heard may stand before the answer that has words.
        let worded = self.responses.active().is_some() && self.answering.is_only_words();
        if self.playing && worded {
            self.timers.set(Timer::EngineProgress, now + SOUND_AT_LEAST);
            return;
        }
        if (self.playing && !self.playing_phrase) || self.ledger.waiting() > 0 {
            self.await_engine(now);
            return;
        }
        out.push(Effect::CloseEngine);
        self.on_engine_lost(EngineError::Stalled("no answer"), now, out);
    }

    /// `neither`: both engines were asked.
    pub(super) fn on_open_failed(&mut self, error: EngineError, neither: bool, now: CallTime, out: &mut Vec<Effect>) {
        self.trouble.neither = neither;
        // While a session serves, it is another that could not be opened.
        if self.engine == EngineStage::Ready {
            self.on_not_renewed(&error, now, out);
        } else {
            self.on_engine_lost(error, now, out);
        }
    }

    /// The session is gone or could not be opened.
    pub(super) fn on_engine_lost(&mut self, error: EngineError, now: CallTime, out: &mut Vec<Effect>) {
        if self.engine == EngineStage::Dead {
            return;
        }
        self.note("engine_lost", &json!({ "kind": error.kind() }), now, out);
        let was_ready = self.engine == EngineStage::Ready;
        self.lost_in_leave(now, out);
        let last = self.responses.is_last();
        let owed = self.responses.lost();
        let unheard = was_ready && self.adopt_unheard(now);
        let speaking = std::mem::take(&mut self.caller_speaking) || unheard;
        self.answering.breaks_off(last && owed, speaking || self.turns.are_spoken_into());
        // What was said into the agent's words may want no answer: they are heard again.
        let asking = speaking && self.contested.as_ref().is_none_or(|contested| contested.echo);
        // Who only may have been deaf told of nothing that is missing, and what runs is told of when it is done. A hello wants no answer.
        let missing = (self.ledger.waiting() > 0 || asking) && !self.is_suspected() && !self.awaits_hello();
        self.answer_owed |= owed || self.outputs_owed || missing;
        self.outputs_owed = false;
        self.count_lost_session(&error, was_ready, speaking, now);
        let given_up = self.is_given_up(&error, now);
        if matches!(self.phase, Phase::Live) && (!given_up || (self.fallback_left && !self.trouble.neither)) {
            self.goes_unheard(was_ready, now);
            self.hear_again(owed, now, out);
        }
        if !self.is_decided_by_what_is_heard_again() {
            // What was made is heard; nobody will tell what the caller said.
            self.answer_owed |= speaking && !asking;
            self.agent_goes_on("engine lost", now, out);
        }
        if !self.playing {
            self.ledger.read_back_unheard();
        }
        self.lose_answers();
        self.ledger.session_lost();
        self.turns.session_gone();
        self.session_items.clear();
        self.engine = EngineStage::Opening;
        self.record_finished_turns(now, false, out);
        self.forget_answers();
        self.forget_renewal();
        self.notices_are_lost();
        self.timers.clear(Timer::EngineProgress);
        self.timers.clear(Timer::SessionAge);
        let first_failure = was_ready || (self.trouble.failures == 1 && self.fillers == 0);
        if given_up && !self.falls_back(now, out) {
            self.engine_dead(now, out);
            return;
        }
        if let Phase::Closing(reason) = self.phase {
            // Not worth a new session: what is being heard is the last of it.
            self.engine = EngineStage::Dead;
            if !self.playing {
                self.part(reason, now, out);
            }
            return;
        }
        // Taken before the bridge phrase, which means nothing to the engine; it has all that was to be told.
        let context = self.next_context(now);
        self.answer_owed |= !std::mem::take(&mut self.untold).is_empty();
        self.known_untold = false;
        // The other engine is tried at once: it asked for no patience.
        let fell_back = self.trouble.failures == 0;
        let wait = if fell_back { Duration::ZERO } else { self.trouble.wait(&error, self.facts.call, now) };
        self.tell_of_loss(first_failure, speaking, wait.is_zero(), now, out);
        out.push(self.another_session(context, wait, now));
    }

    /// The caller is told to wait. `at_once`: another session is asked for now.
    fn tell_of_loss(&mut self, first: bool, speaking: bool, at_once: bool, now: CallTime, out: &mut Vec<Effect>) {
        // The phone may have rung until now.
        let untold = self.is_to_greet() && self.fillers == 0;
        if untold && at_once {
            // A call begins with the greeting, if that can be had in a moment.
            self.await_in_silence(now);
        } else if (first || untold) && !self.is_only_suspected() {
            self.bridge(speaking, now, out);
        }
    }

    /// From now on the other engine, with attempts of its own; `false` if there is none, or it was tried, or is as bad.
    fn falls_back(&mut self, now: CallTime, out: &mut Vec<Effect>) -> bool {
        let there = self.fallback_left && !self.trouble.neither;
        if there {
            self.trouble.falls_back();
            self.note_fallback(now, out);
        }
        there
    }

    /// … which serves already: the first one hangs.
    pub(super) fn on_engine_fell_back(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        self.trouble.is_over();
        self.note_fallback(now, out);
    }

    fn note_fallback(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        self.fallback_left = false;
        self.engine_by = EngineChoice::Fallback;
        self.note("engine_fell_back", &json!({}), now, out);
    }

    /// No engine will be had again in this call.
    pub(super) fn engine_dead(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        if self.engine == EngineStage::Dead {
            return;
        }
        self.engine = EngineStage::Dead;
        self.record_what_nobody_heard(now, out);
        self.leave.lost = false;
        let _ = self.responses.lost();
        self.forget_answers();
        self.ledger.session_lost();
        self.timers.clear(Timer::EngineProgress);
        self.timers.clear(Timer::SessionAge);
        out.push(Effect::CloseEngine);
        self.note("engine_given_up", &json!({}), now, out);
        match self.phase {
            Phase::Live => self.farewell_without_engine(now, out),
            Phase::Closing(reason) if !self.playing => self.part(reason, now, out),
            // While the phone still connects, the sentence waits for the stream.
            Phase::Waiting | Phase::Closing(_) | Phase::Tearing(_) | Phase::Ended(_) => {}
        }
    }

    /// A stored sentence, then a person if there is one.
    pub(super) fn farewell_without_engine(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        if self.facts.agent.handoff_numbers.is_empty() {
            let words = LastWords::Stored(Phrase::Apology);
            self.close(EndReason::EngineUnavailable, AfterStream::HangUp, "", words, now, out);
        } else {
            let words = LastWords::Stored(Phrase::HandOff);
            let summary = "The speech engine was not available.";
            self.close(EndReason::Transferred, AfterStream::Transfer, summary, words, now, out);
        }
    }

    pub(super) fn on_engine_while_tearing(&mut self, event: EngineEvent, now: CallTime, out: &mut Vec<Effect>) {
        match event {
            EngineEvent::CallerTranscript { item, text } if self.recogniser.writes(&item, true) => {
                let turn = self.turns.caller_said(now, &item, &text);
                if !turn.text.is_empty() {
                    self.await_meaning(turn.id, (turn.started, &turn.text), false);
                }
                self.record_turn(turn, out);
            }
            EngineEvent::CallerTranscriptFailed { item } if self.recogniser.writes(&item, false) => {
                let turn = self.turns.caller_said(now, &item, "");
                self.record_turn(turn, out);
            }
            EngineEvent::AgentTranscript { item, text } => self.turns.agent_said(&item, &text),
            EngineEvent::ResponseDone { usage, .. } | EngineEvent::Summarised { usage, .. } => self.usage += usage,
            EngineEvent::Lost(_) => self.timers.clear(Timer::LastTranscript),
            _ => {}
        }
    }

    /// What the engine cost so far.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.usage
    }
}

/// Whether an event is part of an answer.
fn is_progress(event: &EngineEvent) -> bool {
    matches!(
        event,
        EngineEvent::ResponseCreated { .. }
            | EngineEvent::AgentWords { .. }
            | EngineEvent::AgentTranscript { .. }
            | EngineEvent::ToolCalled { .. }
            | EngineEvent::ResponseDone { .. }
    )
}

#[cfg(test)]
#[path = "conversation_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "lost_engine_tests.rs"]
mod lost_engine_tests;
