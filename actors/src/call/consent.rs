//! The caller's yes. What changes something is planned, read back and done only when two agree: the caller, whose words Caly
//! has understood itself, and the engine, which asks for it once more. The engine's word alone is no proof.
//!
//! A yes counts when its turn began after the caller began to hear the read-back, and when it is not a listener's "haan"
//! in the middle of it. A no withdraws. What is neither leaves the question open.
//!
//! A yes is one to what the caller was told: every number of the plan that can be heard (order, amount, day, time) must have
//! been named, else it is to be read back again. What the caller names beside the yes must stand in the plan: "haan, paanch
//! baje" is none to half past five. An order of just what was asked ("cancel kar dijiye") is a yes once the question was heard
//! to its end; before, it is the wish that led to it, said again. Where several things wait for a yes, a plain one is for what the last read-back
//! named; "haan, dono" is also for what was read back before it; a yes that names one of them is for that one.

use std::sync::Arc;
use std::time::SystemTime;

use chrono::{DateTime, NaiveDateTime};
use serde_json::{Value, json};

use super::event::Effect;
use super::ledger::{Entry, Ledger};
use super::state::{CallState, EngineStage, Phase};
use super::steering::Said;
use super::timers::Timer;
use crate::audio::playout::Cut;
use crate::domain::{Action, ActionId, ActionState, CallTime, Entity, TurnId, Understanding, Yes};
use crate::ports::{EngineCommand, JournalEntry};
use crate::understand;

/// How long a yes holds until the engine asks for the action.
const YES_HOLDS: CallTime = CallTime::from_secs(120);
/// Longest wait for the words of an answer that the engine has acted on already.
const WORDS_WAIT: CallTime = CallTime::from_secs(4);

/// How far the caller's yes to an action has come.
#[derive(Clone, PartialEq, Default, Debug)]
pub enum Consent {
    /// What is to be read back is known to the engine, not to the caller.
    #[default]
    Untold,
    /// An answer that reads it back is being made; its first item, once there is one.
    Telling(Option<Arc<str>>),
    /// The caller began to hear it.
    Asked {
        /// When.
        since: CallTime,
        /// In which item.
        item: Arc<str>,
        /// When they had heard it to its end.
        whole: Option<CallTime>,
    },
    /// They said yes.
    Given {
        /// When it was understood.
        at: CallTime,
        /// When they began to say it.
        started: CallTime,
        /// To what was read back in this item, unless they had been asked before.
        item: Option<Arc<str>>,
    },
}

/// What the caller answered.
struct Answer<'a> {
    /// When they began to.
    started: CallTime,
    said: Yes,
    /// What they named beside it: numbers, days, times.
    named: &'a [Entity],
}

impl Consent {
    /// Whether there is a yes that still holds.
    #[must_use]
    pub fn holds(&self, now: CallTime) -> bool {
        matches!(self, Self::Given { at, .. } if now.saturating_sub(*at) <= YES_HOLDS)
    }

    /// When the caller began to hear what they have not answered yet.
    fn since(&self) -> Option<CallTime> {
        match self {
            Self::Asked { since, .. } => Some(*since),
            Self::Untold | Self::Telling(_) | Self::Given { .. } => None,
        }
    }

    /// Whether all of what it is a yes to had been heard when a turn began: an order before that is the wish once more.
    fn heard_before(&self, turn: CallTime) -> bool {
        match self {
            Self::Asked { whole, .. } => whole.is_some_and(|whole| turn >= whole),
            Self::Untold | Self::Telling(_) | Self::Given { .. } => true,
        }
    }

    /// Whether a turn of the caller that began then bears on it: as the answer, or as second thoughts.
    #[must_use]
    pub fn bears(&self, turn: CallTime) -> bool {
        match self {
            Self::Asked { since, .. } => turn >= *since,
            Self::Given { started, .. } => turn > *started,
            Self::Untold | Self::Telling(_) => false,
        }
    }
}

impl Entry {
    /// What would be done, as it is to be read back.
    pub(super) fn plan(&self) -> Value {
        let output: Value = serde_json::from_str(self.action.output.as_deref().unwrap_or_default()).unwrap_or_default();
        output["read_back"].clone()
    }
}

impl Ledger {
    pub(super) fn proposed(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries_mut().filter(|entry| entry.action.state == ActionState::Proposed)
    }

    /// An answer is being made: it is the one that reads back what was proposed before.
    pub(super) fn answer_made(&mut self) {
        for entry in self.proposed().filter(|entry| entry.consent == Consent::Untold) {
            entry.consent = Consent::Telling(None);
        }
    }

    /// An item of the answer has words. `began`: the caller hears it since then, for sound and words come on ways of their own.
    pub(super) fn words_made(&mut self, item: &Arc<str>, began: Option<CallTime>) {
        for entry in self.proposed().filter(|entry| entry.consent == Consent::Telling(None)) {
            let item = Arc::clone(item);
            entry.consent = match began {
                Some(since) => Consent::Asked { since, item, whole: None },
                None => Consent::Telling(Some(item)),
            };
        }
    }

    /// The caller begins to hear an item.
    pub(super) fn heard(&mut self, item: &Arc<str>, now: CallTime) {
        for entry in self.proposed() {
            if matches!(&entry.consent, Consent::Telling(Some(telling)) if telling == item) {
                entry.consent = Consent::Asked { since: now, item: Arc::clone(item), whole: None };
            }
        }
    }

    /// The caller has heard all that was said.
    pub(super) fn read_back_heard(&mut self, now: CallTime) {
        for entry in self.proposed() {
            if let Consent::Asked { whole: whole @ None, .. } = &mut entry.consent {
                *whole = Some(now);
            }
        }
    }

    /// Items in which something is read back that has not been heard to its end.
    pub(super) fn reading_back(&self) -> impl Iterator<Item = &Arc<str>> {
        self.entries().filter(|entry| entry.action.state == ActionState::Proposed).filter_map(|entry| {
            match &entry.consent {
                Consent::Asked { item, whole: None, .. } => Some(item),
                Consent::Untold | Consent::Telling(_) | Consent::Asked { .. } | Consent::Given { .. } => None,
            }
        })
    }

    /// Names of what the caller is asked about in a turn that began then, each once, with blanks between.
    pub(super) fn asked_about(&self, turn: CallTime) -> Arc<str> {
        let asked = |entry: &&Entry| {
            let proposed = entry.action.state == ActionState::Proposed;
            proposed && entry.consent.since().is_some_and(|since| turn >= since)
        };
        let mut names: Vec<&str> = self.entries().filter(asked).map(|entry| &*entry.action.name).collect();
        names.sort_unstable();
        names.dedup();
        names.join(" ").into()
    }

    /// What was made of a read-back will not be heard any more: it is to be read back again.
    pub(super) fn read_back_unheard(&mut self) {
        for entry in self.proposed().filter(|entry| matches!(entry.consent, Consent::Telling(_))) {
            entry.consent = Consent::Untold;
        }
    }

    /// Less than half of a read-back was heard: it is to be read back again. The yes that cut it may be understood before that
    /// is known.
    pub(super) fn read_back_cut(&mut self, cuts: &[Cut]) {
        for entry in self.proposed() {
            let in_it = |cut: &&Cut| match &entry.consent {
                Consent::Asked { item, .. }
                | Consent::Telling(Some(item))
                | Consent::Given { item: Some(item), .. } => *item == cut.item,
                _ => false,
            };
            if cuts.iter().find(in_it).is_some_and(|cut| cut.heard_ms * 2 < cut.total_ms) {
                entry.consent = Consent::Untold;
            }
        }
    }

    /// The caller answered, in a turn that began then. Gives what was withdrawn, and the tool calls that waited for it.
    fn answered(&mut self, started: CallTime, now: CallTime, said: Yes) -> Vec<(Action, Vec<Arc<str>>)> {
        let mut withdrawn = Vec::new();
        for entry in self.proposed() {
            match said {
                Yes::Ordered if !entry.consent.heard_before(started) => {}
                Yes::Said | Yes::ToAll | Yes::Ordered if entry.consent.bears(started) => {
                    let item = match &entry.consent {
                        Consent::Asked { item, .. } => Some(Arc::clone(item)),
                        Consent::Given { item, .. } => item.clone(),
                        Consent::Untold | Consent::Telling(_) => None,
                    };
                    entry.consent = Consent::Given { at: now, started, item };
                    entry.unsaid.clear();
                }
                Yes::Refused if entry.consent.bears(started) => {
                    entry.action.state = ActionState::Withdrawn;
                    entry.action.changed = now;
                    entry.consent = Consent::Untold;
                    withdrawn.push((entry.action.clone(), std::mem::take(&mut entry.waiting)));
                }
                Yes::Said | Yes::ToAll | Yes::Ordered | Yes::Refused | Yes::Neither => {}
            }
        }
        withdrawn
    }

    /// The caller says yes. What it is no yes to, because the caller was not told all of it or meant something else, is to be read
    /// back again; gives the names of those with what was not said. `words` is what the agent said since a time, `local` the
    /// caller's time.
    fn forget_unsaid(
        &mut self,
        answer: &Answer<'_>,
        words: impl Fn(CallTime) -> String,
        local: Option<NaiveDateTime>,
    ) -> Vec<(Arc<str>, Vec<String>)> {
        let bears = |entry: &&mut Entry| {
            let heard = answer.said != Yes::Ordered || entry.consent.heard_before(answer.started);
            heard && entry.consent.bears(answer.started) && entry.consent.since().is_some()
        };
        let asked: Vec<(Value, Option<CallTime>)> =
            self.proposed().filter(bears).map(|entry| (entry.plan(), entry.consent.since())).collect();
        let several = asked.len() > 1;
        let last = asked.iter().filter_map(|(_, since)| *since).max().unwrap_or_default();
        let named: Vec<&str> = answer.named.iter().map(|entity| &*entity.text).collect();
        let named = named.join(", ");
        let counts = answer.named.iter().any(|entity| entity.kind == "ordinal");
        let chosen: Vec<bool> = asked.iter().map(|(plan, _)| understand::points_at(&named, plan, local)).collect();
        let choice = chosen.iter().any(|chosen| *chosen);
        let plans: Vec<&Value> = asked.iter().map(|(plan, _)| plan).collect();
        let elsewhere = answer.named.iter().any(|entity| understand::is_elsewhere(entity, &plans, local));
        let mut forgotten = Vec::new();
        for (entry, ((plan, _), chosen)) in self.proposed().filter(bears).zip(asked.iter().zip(chosen)) {
            // Of what was asked before something else was, only a word of all can be meant.
            let since = if several && answer.said != Yes::ToAll {
                last.max(entry.action.changed)
            } else {
                entry.action.changed
            };
            let words = words(since);
            let unsaid = understand::untold(&words, plan, local);
            let nameless = several && answer.said != Yes::ToAll && understand::to_be_told(plan).is_empty();
            let told = understand::tells_of(&words, plan) && (!nameless || understand::names_of(&words, plan));
            let meant = !elsewhere && (!several || (!counts && (chosen || !choice)));
            if !unsaid.is_empty() || !told || !meant {
                entry.consent = Consent::Untold;
                entry.unsaid.clone_from(&unsaid);
                forgotten.push((Arc::clone(&entry.action.name), unsaid));
            }
        }
        forgotten
    }

    /// What the caller said in a turn that began then is lost: whatever it bore on is to be read back again.
    fn lose_answer(&mut self, started: CallTime) {
        for entry in self.proposed().filter(|entry| entry.consent.bears(started)) {
            entry.consent = Consent::Untold;
        }
    }

    /// What the caller said since a turn that began then is going to be heard again. An answer counts when it is; but a yes
    /// that was given before does no longer, for this may be second thoughts.
    pub(super) fn doubt_yes(&mut self, began: CallTime) {
        for entry in self.proposed() {
            if matches!(entry.consent, Consent::Given { started, .. } if began > started) {
                entry.consent = Consent::Untold;
            }
        }
    }

    /// Proposals that tool calls wait for.
    fn held(&self) -> Vec<(ActionId, Consent)> {
        let held = |entry: &&Entry| entry.action.state == ActionState::Proposed && !entry.waiting.is_empty();
        self.entries().filter(held).map(|entry| (entry.action.id, entry.consent.clone())).collect()
    }

    /// Nobody will say yes any more. Gives what was withdrawn.
    pub(super) fn withdraw_all(&mut self, now: CallTime) -> Vec<Action> {
        let mut withdrawn = Vec::new();
        for entry in self.proposed() {
            entry.action.state = ActionState::Withdrawn;
            entry.action.changed = now;
            withdrawn.push(entry.action.clone());
        }
        withdrawn
    }

    /// The tool calls that waited for a yes, and what they are told.
    fn release(&mut self, id: ActionId) -> (Vec<Arc<str>>, Arc<str>) {
        let entry = self.entries_mut().find(|entry| entry.action.id == id);
        entry.map_or_else(
            || (Vec::new(), not_confirmed(&[])),
            |entry| (std::mem::take(&mut entry.waiting), not_confirmed(&entry.unsaid)),
        )
    }
}

impl CallState {
    pub(super) fn on_turn_understood(
        &mut self,
        turn: TurnId,
        understanding: Understanding,
        now: CallTime,
        out: &mut Vec<Effect>,
    ) {
        let (yes, said, intent) = (understanding.yes, Said::from(&understanding), understanding.intent);
        self.remember_named(&understanding.entities);
        let named = understanding.entities.clone();
        out.push(Effect::Record(JournalEntry::Intent { call: self.facts.call, turn, understanding, at: now }));
        let Some(at) = self.replies.iter().position(|reply| reply.turn == turn) else { return };
        let reply = self.replies.remove(at);
        if !reply.listening && reply.objects && yes == Yes::Neither {
            self.ledger.doubt_yes(reply.started);
        }
        if !reply.listening {
            self.caller_answered(&Answer { started: reply.started, said: yes, named: &named }, now, out);
        }
        self.settle_held(false, now, out);
        self.reconsider(&reply, intent, now, out);
        self.answer_more_than_hello(&reply, intent, now, out);
        if !reply.listening {
            self.steer_by(said, now, out);
        }
    }

    /// Keys answer as words do: 1 is yes, 2 is no.
    pub(super) fn keys_answer(&mut self, pressed: &str, now: CallTime, out: &mut Vec<Effect>) -> Option<&'static str> {
        let (said, told) = match pressed {
            "1" => (Yes::Said, "yes"),
            "2" => (Yes::Refused, "no"),
            _ => return None,
        };
        // To what was told before the key was pressed, not while it was waited whether more follow.
        let started = self.typing.since;
        self.ledger.entries().any(|entry| entry.consent.bears(started)).then_some(())?;
        self.caller_answered(&Answer { started, said, named: &[] }, now, out);
        self.settle_held(false, now, out);
        Some(told)
    }

    fn caller_answered(&mut self, answer: &Answer<'_>, now: CallTime, out: &mut Vec<Effect>) {
        if matches!(answer.said, Yes::Said | Yes::ToAll | Yes::Ordered) {
            let (turns, local) = (&self.turns, self.local_time(now));
            let unsaid = self.ledger.forget_unsaid(answer, |since| turns.agent_since(since), local);
            for (action, unsaid) in unsaid {
                // How much, not what: numbers have no place in events.
                self.note("read_back_missing", &json!({ "action": &*action, "unsaid": unsaid.len() }), now, out);
            }
        }
        for (action, waiting) in self.ledger.answered(answer.started, now, answer.said) {
            self.note("action_withdrawn", &json!({ "action": &*action.name }), now, out);
            let (call, client) = (self.facts.call, self.facts.client);
            out.push(Effect::Record(JournalEntry::Action { call, client, action }));
            let output = json!({ "error": "the caller said no", "done": false }).to_string().into();
            self.answer_held(waiting, &output, now, out);
        }
    }

    /// What the caller's clock shows.
    pub(super) fn local_time(&self, now: CallTime) -> Option<NaiveDateTime> {
        let since = self.facts.admitted_at.checked_add(now)?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let seconds = i64::try_from(since.as_secs()).ok()? + i64::from(self.facts.agent.utc_offset);
        Some(DateTime::from_timestamp(seconds, 0)?.naive_utc())
    }

    /// When the latest turn of the caller began whose meaning is not known yet.
    pub(super) fn answer_pending(&self) -> Option<CallTime> {
        self.replies.iter().map(|reply| reply.started).chain(self.turns.caller_pending()).max()
    }

    /// Tool calls wait for the caller's answer: it is known, or, at the end of patience, will not be.
    pub(super) fn settle_held(&mut self, patience_over: bool, now: CallTime, out: &mut Vec<Effect>) {
        self.recheck_agreed(now);
        if self.reads_what_was_agreed() && !self.ledger.held().is_empty() {
            // They may yet hear what they do not agree to; of an answer that never ends nobody will know how much that was.
            if self.playing || !patience_over {
                self.timers.set(Timer::Consent, now + WORDS_WAIT);
                return;
            }
            self.ledger.doubt_agreed();
        }
        for (id, consent) in self.ledger.held() {
            let pending = self.answer_pending().filter(|started| consent.bears(*started));
            if pending.is_some() && !patience_over {
                continue;
            }
            if pending.is_none() && consent.holds(now) {
                self.ledger.confirm(id, now);
                self.run_action(id, out);
                continue;
            }
            pending.into_iter().for_each(|started| self.ledger.lose_answer(started));
            let (waiting, told) = self.ledger.release(id);
            self.note("action_not_confirmed", &json!({ "heard": !patience_over }), now, out);
            metrics::counter!("caly_actions_not_confirmed_total").increment(1);
            self.answer_held(waiting, &told, now, out);
        }
        if self.ledger.held().is_empty() {
            self.timers.clear(Timer::Consent);
        }
    }

    /// The session is gone, and with it the words of turns it had heard.
    pub(super) fn lose_answers(&mut self) {
        let lost: Vec<CallTime> = self.turns.caller_lost().collect();
        lost.into_iter().for_each(|started| self.ledger.lose_answer(started));
    }

    /// Whoever understands turns is gone, and with it what they meant.
    pub(super) fn lose_meanings(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        for reply in std::mem::take(&mut self.replies) {
            self.ledger.lose_answer(reply.started);
        }
        self.settle_held(false, now, out);
    }

    /// The engine acts on an answer whose words are still on their way.
    pub(super) fn hold_for_words(&mut self, now: CallTime) {
        self.timers.set(Timer::Consent, now + WORDS_WAIT);
        self.await_in_silence(now);
    }

    fn answer_held(&mut self, waiting: Vec<Arc<str>>, output: &Arc<str>, now: CallTime, out: &mut Vec<Effect>) {
        if self.engine != EngineStage::Ready || matches!(self.phase, Phase::Tearing(_)) {
            return;
        }
        for tool_call in waiting {
            out.push(Effect::Engine(EngineCommand::ToolOutput { tool_call, output: Arc::clone(output) }));
            self.outputs_owed = true;
        }
        self.answer_outputs(now, out);
    }

    /// The call ends: what was proposed and not agreed to is not done.
    pub(super) fn withdraw_proposals(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        let (call, client) = (self.facts.call, self.facts.client);
        for action in self.ledger.withdraw_all(now) {
            out.push(Effect::Record(JournalEntry::Action { call, client, action }));
        }
    }
}

/// Told to the engine that asks for what was not agreed to, and kept nowhere. `unsaid` is what the caller was not told of it when
/// they said yes.
pub(super) fn not_confirmed(unsaid: &[String]) -> Arc<str> {
    let (error, what) = if unsaid.is_empty() {
        ("the caller has not clearly said yes to this", "what it is".to_owned())
    } else {
        ("the caller said yes, but was not told all of this", unsaid.join(", "))
    };
    let next = format!(
        "read it back in one short sentence that names {what}, ask for a clear yes, and call the tool again after it"
    );
    json!({ "error": error, "done": false, "next": next }).to_string().into()
}

/// What the engine is told of an action that waits for the caller's yes. `lasting`: nothing can undo it.
pub(super) fn proposal(name: &str, plan: &str, lasting: bool) -> Arc<str> {
    let plan: Value = serde_json::from_str(plan).unwrap_or_else(|_| plan.into());
    // Not which: what stands on record outside of the plan could not be known there for what it is.
    let naming = if understand::to_be_told(&plan).is_empty() {
        ""
    } else {
        " that names every order number, amount, day and time in it"
    };
    let lasting = if lasting { " Tell the caller in it that this cannot be undone." } else { "" };
    let next = format!(
        "Nothing is done yet. Read this back to the caller in one short sentence{naming}, in their language, and ask for a clear \
         yes.{lasting} Call {name} again with the same arguments once they have said yes; if they want something else, do not."
    );
    json!({ "done": false, "read_back": plan, "next": next }).to_string().into()
}

#[cfg(test)]
#[path = "consent_tests.rs"]
mod tests;
