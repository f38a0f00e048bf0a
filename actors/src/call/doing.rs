//! Tool calls and actions: what to run, whom to tell, what it changes about the call.

use std::sync::Arc;

use serde_json::json;

use super::ending::LastWords;
use super::event::Effect;
use super::ledger::Asked;
use super::state::{CallState, EngineStage, Phase};
use crate::domain::{ActionId, AfterStream, CallTime, EndReason, Phrase};
use crate::ports::{ActionError, ActionOutput, CallChange, EngineCommand, JournalEntry, Step};

impl CallState {
    pub(super) fn on_tool_called(
        &mut self,
        tool_call: &Arc<str>,
        name: &str,
        arguments: &str,
        now: CallTime,
        out: &mut Vec<Effect>,
    ) {
        if self.answering.one_more_tool() {
            metrics::counter!("caly_actions_refused_total").increment(1);
            self.note("tool_refused", &json!({ "tool": name_for_journal(name), "why": "too many in a row" }), now, out);
            let output = json!({ "error": "too many tool calls in a row; speak to the caller first" });
            self.answer_tool(tool_call, &output.to_string().into(), !self.answering.words_were_asked(), now, out);
            return;
        }
        // Who agreed in the middle of a read-back is believed at its end.
        let pending = if self.reads_what_was_agreed() { Some(CallTime::MAX) } else { self.answer_pending() };
        match self.ledger.ask(now, self.facts.call, &self.catalogue, tool_call, name, arguments, pending) {
            Asked::Run(action) => {
                self.run_action(action, out);
                self.await_in_silence(now);
            }
            Asked::Wait => {}
            Asked::Hold => self.hold_for_words(now),
            Asked::Answer(output) => {
                let why = if output.contains("\"error\"") { "refused" } else { "known already" };
                self.note("tool_answered", &json!({ "tool": name_for_journal(name), "why": why }), now, out);
                self.answer_tool(tool_call, &output, true, now, out);
            }
        }
    }

    pub(super) fn run_action(&mut self, id: ActionId, out: &mut Vec<Effect>) {
        let (call, client) = (self.facts.call, self.facts.client);
        if let Some(action) = self.ledger.begin(id) {
            out.push(Effect::Record(JournalEntry::Action { call, client, action }));
        }
        let Some(entry) = self.ledger.get(id) else { return };
        if entry.step() == Step::Plan {
            let (spec, arguments) = (Arc::clone(&entry.spec), Arc::clone(&entry.arguments));
            let idempotency_key = Arc::clone(&entry.action.idempotency_key);
            out.push(Effect::PlanAction { action: id, spec, arguments, idempotency_key });
            return;
        }
        out.push(Effect::RunAction {
            action: id,
            spec: Arc::clone(&entry.spec),
            arguments: Arc::clone(&entry.arguments),
            idempotency_key: Arc::clone(&entry.action.idempotency_key),
            entry: JournalEntry::Action { call, client, action: entry.action.clone() },
        });
    }

    /// `owed`: the engine is to speak about it.
    fn answer_tool(
        &mut self,
        tool_call: &Arc<str>,
        output: &Arc<str>,
        owed: bool,
        now: CallTime,
        out: &mut Vec<Effect>,
    ) {
        let (tool_call, output) = (Arc::clone(tool_call), Arc::clone(output));
        out.push(Effect::Engine(EngineCommand::ToolOutput { tool_call, output }));
        self.outputs_owed |= owed;
        self.answer_outputs(now, out);
    }

    /// One answer for all the tool outputs of a response, once the last of them is there.
    pub(super) fn answer_outputs(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        let closing = matches!(self.phase, Phase::Closing(_));
        if self.outputs_owed && self.ledger.waiting() == 0 && !closing {
            self.outputs_owed = false;
            if self.caller_speaking {
                // What they say is answered as well: once, when they have said it.
                self.answer_owed = true;
                return;
            }
            let wanted = self.answering.after_tools();
            self.want(wanted, now, out);
        }
    }

    pub(super) fn on_action_finished(
        &mut self,
        id: ActionId,
        attempts: u32,
        result: &Result<ActionOutput, ActionError>,
        now: CallTime,
        out: &mut Vec<Effect>,
    ) {
        let Some((action, waiting)) = self.ledger.finish(now, id, attempts, result) else { return };
        let (call, client) = (self.facts.call, self.facts.client);
        let output = action.output.clone().unwrap_or_default();
        let name = Arc::clone(&action.name);
        out.push(Effect::Record(JournalEntry::Action { call, client, action }));
        if matches!(self.phase, Phase::Tearing(_)) {
            // A plan that comes now is nobody's to agree to.
            self.withdraw_proposals(now, out);
            return;
        }
        if self.engine == EngineStage::Ready {
            if waiting.is_empty() {
                out.push(Effect::Engine(EngineCommand::Note(late_note(&name, &output))));
                self.outputs_owed = true;
            }
            for tool_call in &waiting {
                let (tool_call, output) = (Arc::clone(tool_call), Arc::clone(&output));
                out.push(Effect::Engine(EngineCommand::ToolOutput { tool_call, output }));
                self.outputs_owed = true;
            }
        }
        if self.engine == EngineStage::Opening {
            // The session that is opening was told that it runs.
            self.untold.push(EngineCommand::Note(late_note(&name, &output)));
            self.answering.forget_rest();
        }
        match result.as_ref().ok().and_then(|output| output.change.clone()) {
            Some(change) => self.change(change, now, out),
            None => self.answer_outputs(now, out),
        }
    }

    /// Told to the engine as a late result is, once. It stands on record already.
    pub(super) fn on_action_resolved(
        &mut self,
        id: ActionId,
        result: &Result<ActionOutput, ActionError>,
        now: CallTime,
        out: &mut Vec<Effect>,
    ) {
        let Some(action) = self.ledger.resolve(now, id, result) else { return };
        let note = late_note(&action.name, &action.output.unwrap_or_default());
        match (self.engine, &self.phase) {
            (EngineStage::Ready, Phase::Live) => {
                self.note("action_resolved", &json!({ "action": &*action.name }), now, out);
                out.push(Effect::Engine(EngineCommand::Note(note)));
                self.outputs_owed = true;
                self.answer_outputs(now, out);
            }
            (EngineStage::Opening, Phase::Live) => self.untold.push(EngineCommand::Note(note)),
            _ => {}
        }
    }

    fn change(&mut self, change: CallChange, now: CallTime, out: &mut Vec<Effect>) {
        match change {
            // The engine says goodbye to somebody who wants a person.
            CallChange::End if self.steering.owes_person() => self.steer_away(now, out),
            CallChange::End => {
                let words = LastWords::Engine("Say a short, warm goodbye now. Do not ask anything.", Phrase::Goodbye);
                self.take_leave(EndReason::AgentEnded, words, now, out);
            }
            CallChange::Transfer { summary } => {
                let words = LastWords::Engine(
                    "Tell the caller in one short sentence that you are connecting them to a person now.",
                    Phrase::HandOff,
                );
                self.close(EndReason::Transferred, AfterStream::Transfer, &summary, words, now, out);
            }
            CallChange::CallerForgotten => {
                self.forget_caller();
                self.answer_outputs(now, out);
            }
        }
    }

    /// Running actions of a crashed child: what only reads is run again, what writes may have happened.
    pub(super) fn reconcile(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        let running: Vec<(ActionId, bool)> =
            self.ledger.running().map(|entry| (entry.action.id, entry.spec.writes)).collect();
        let planning: Vec<ActionId> = self.ledger.planning().map(|entry| entry.action.id).collect();
        for id in planning {
            self.run_action(id, out);
        }
        for (id, writes) in running {
            if writes {
                let lost = Err(ActionError::Unknown("its outcome was lost".to_owned()));
                self.on_action_finished(id, 1, &lost, now, out);
            } else {
                self.run_action(id, out);
            }
        }
    }
}

fn late_note(name: &str, output: &str) -> Arc<str> {
    format!("The tool {name} has finished. Its output: {output}").into()
}

/// The engine's word for a tool, bounded: it may be anything.
fn name_for_journal(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}

#[cfg(test)]
#[path = "doing_tests.rs"]
mod tests;
