//! What the present engine session holds: its items, oldest first, and how many tokens they come to with all the rest.
//!
//! The engine tells the tokens with each answer; what came since is reckoned: 100 ms of the caller, 50 ms of the agent, or four
//! bytes of text are a token (openai-realtime: prices).

use std::sync::Arc;

use crate::domain::{CallTime, Usage};
use crate::ports::{ContextItem, EngineCommand, ItemKind};

/// Items known of a session. One that has more is replaced instead of shortened.
const ITEMS_MAX: usize = 1024;
/// Items taken out at a time, far fewer than commands may wait; the rest goes in another pause.
pub(super) const DELETED_MAX: usize = 120;
/// How the ids of the agent's words begin that are told anew.
const HEARD: &str = "as_heard_";
/// Turns remembered of which less was heard than a session was told before it was ready: more are never under way.
const CORRECTED_MAX: usize = 4;
/// Fewer turns of the caller are not worth a summary.
const WORTH: usize = 2;
/// Milliseconds that a token of the caller's sound lasts.
const CALLER_TOKEN_MS: u64 = 100;

#[derive(Clone, PartialEq, Debug)]
struct Held {
    item: Arc<str>,
    kind: ItemKind,
    /// When it began to be said.
    said: CallTime,
    /// When it became part of the conversation.
    added: CallTime,
    /// The agent's words, which the engine did not say in this session: it knows them from its context.
    as_text: bool,
}

/// A place in the conversation, before a turn of the caller.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct Mark {
    /// The item of that turn; `None` where it was another session's, or items are not known.
    pub(super) item: Option<Arc<str>>,
    /// When it began to be said: what was said before belongs before the mark.
    pub(super) said: CallTime,
    /// When it became part of the conversation: what was asked for before belongs before the mark.
    pub(super) added: CallTime,
}

/// See the module's text.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct Window {
    /// Shared by the copies on which is decided.
    items: Arc<Vec<Held>>,
    /// When each item of the context was said that the session was opened with.
    replayed: Arc<[CallTime]>,
    /// When it was asked for: what was said before is there as text.
    opened: CallTime,
    /// An item of the caller that is being said, since when, and at which place of all their sound.
    speaking: Option<(Arc<str>, CallTime, u64)>,
    /// Since when the greeting is heard that the session was told of before.
    greeted: CallTime,
    /// When turns began of which less was heard than the session was told, and what: its items may still be on their way.
    corrected: Vec<(CallTime, Arc<str>)>,
    /// Tokens as the engine told them last, or as reckoned before it first did.
    told: u64,
    /// … and what came since, as reckoned.
    since: u64,
    /// There are more items than are known.
    overfull: bool,
}

impl Window {
    /// A session was asked for with this behind it.
    pub(super) fn opened(&mut self, base: u64, context: &[(CallTime, ContextItem)], now: CallTime) {
        let text: usize = context.iter().map(|(_, item)| item.bytes()).sum();
        let replayed = context.iter().map(|(at, _)| *at).collect();
        *self = Self { told: base + tokens_of_text(text), replayed, opened: now, ..Self::default() };
    }

    /// Tokens the session holds by now.
    pub(super) fn tokens(&self) -> u64 {
        self.told + self.since
    }

    /// An answer told what it was made from.
    pub(super) fn answered(&mut self, usage: &Usage) {
        let all = usage.text_in + usage.audio_in + usage.text_out + usage.audio_out;
        if usage.text_in + usage.audio_in > 0 {
            (self.told, self.since) = (all, 0);
            metrics::histogram!("caly_engine_context_tokens").record(all as f64);
        }
    }

    /// The caller begins to speak.
    pub(super) fn caller_began(&mut self, item: &Arc<str>, at_ms: u64, now: CallTime) {
        self.speaking = Some((Arc::clone(item), now, at_ms));
    }

    /// The caller stops.
    pub(super) fn caller_stopped(&mut self, at_ms: u64) {
        if let Some((_, _, from)) = &self.speaking {
            self.since += at_ms.saturating_sub(*from).div_ceil(CALLER_TOKEN_MS);
        }
    }

    /// Words of the agent were made.
    pub(super) fn agent_said(&mut self, words: &str) {
        self.since += tokens_of_speech(words);
    }

    /// Something is told to the session.
    pub(super) fn told(&mut self, command: &EngineCommand) {
        self.since += match command {
            EngineCommand::Note(text) | EngineCommand::CallerText(text) => tokens_of_text(text.len()),
            EngineCommand::ToolOutput { output, .. } => tokens_of_text(output.len()),
            EngineCommand::AgentSaid { words, .. } => tokens_of_text(words.len()),
            EngineCommand::DeleteItem { item } => {
                Arc::make_mut(&mut self.items).retain(|held| held.item != *item);
                0
            }
            // Counted where they are made: see `shortened`.
            EngineCommand::Recollect { .. } | EngineCommand::Summarise { .. } => 0,
            EngineCommand::CreateResponse { .. }
            | EngineCommand::CancelResponse
            | EngineCommand::CommitTurn
            | EngineCommand::Truncate { .. }
            | EngineCommand::CallerSpeaks(_) => 0,
        };
    }

    /// The conversation has one more item; `first`: before all others. Gives what the session is to be told about it.
    pub(super) fn added(
        &mut self,
        item: &Arc<str>,
        kind: ItemKind,
        replayed: Option<usize>,
        first: bool,
        now: CallTime,
    ) -> Vec<EngineCommand> {
        // What is told anew has its place since it was told; it may have made way before the session says that it has it.
        if item.starts_with(HEARD) || self.items.iter().rev().any(|held| held.item == *item) {
            return Vec::new();
        }
        if self.items.len() >= ITEMS_MAX {
            self.overfull = true;
            return Vec::new();
        }
        let began = self.speaking.as_ref().filter(|(speaking, ..)| speaking == item).map(|(_, began, _)| *began);
        let as_text = replayed.is_some() && kind == ItemKind::Agent;
        let replayed = replayed.map(|at| self.replayed.get(at).copied().unwrap_or_default());
        let replayed = replayed.map(|said| if as_text && said.is_zero() { self.greeted } else { said });
        let said = replayed.or(began).unwrap_or(now);
        let held = Held { item: Arc::clone(item), kind, said, added: replayed.unwrap_or(now), as_text };
        let items = Arc::make_mut(&mut self.items);
        items.insert(if first { 0 } else { items.len() }, held);
        let corrected = self.corrected.iter().find(|(began, _)| as_text && *began == said).cloned();
        corrected.map_or_else(Vec::new, |(began, heard)| self.heard_only(began, &heard))
    }

    /// The greeting begins to be heard that the session was told of before.
    pub(super) fn greeting_began(&mut self, now: CallTime) {
        if self.greeted.is_zero() {
            self.greeted = now;
            let waits = |held: &&mut Held| held.as_text && held.said.is_zero();
            Arc::make_mut(&mut self.items).iter_mut().filter(waits).for_each(|held| held.said = now);
        }
    }

    /// Of what the agent began to say then, the caller heard only these words. What this session said itself is truncated;
    /// what it was told is told anew.
    pub(super) fn heard_only(&mut self, began: CallTime, heard: &Arc<str>) -> Vec<EngineCommand> {
        self.corrected.retain(|(other, _)| *other != began);
        let Some(at) = self.items.iter().position(|held| held.as_text && held.said == began) else {
            self.corrected.push((began, Arc::clone(heard)));
            if self.corrected.len() > CORRECTED_MAX {
                self.corrected.remove(0);
            }
            return Vec::new();
        };
        let after = at.checked_sub(1).map(|before| Arc::clone(&self.items[before].item));
        let items = Arc::make_mut(&mut self.items);
        let item: Arc<str> = format!("{HEARD}{}", began.as_millis()).into();
        let known = std::mem::replace(&mut items[at].item, Arc::clone(&item));
        let mut told = vec![EngineCommand::DeleteItem { item: known }];
        if heard.is_empty() {
            items.remove(at);
        } else {
            told.push(EngineCommand::AgentSaid { item, after, words: Arc::clone(heard) });
        }
        told
    }

    /// The engine has called a tool whose item was there since it began to be written: only now is anything asked for.
    pub(super) fn called(&mut self, tool_call: &Arc<str>, now: CallTime) {
        let wanted = |held: &Held| matches!(&held.kind, ItemKind::ToolCall(id) if id == tool_call);
        if let Some(at) = self.items.iter().rposition(wanted) {
            Arc::make_mut(&mut self.items)[at].added = now;
        }
    }

    /// Tokens that something said then takes in this session, about.
    pub(super) fn tokens_of(&self, said: CallTime, item: &ContextItem) -> u64 {
        match item {
            ContextItem::Caller(words) if said >= self.opened => tokens_of_speech(words) / 2,
            ContextItem::Agent(words) if said >= self.opened => tokens_of_speech(words),
            _ => tokens_of_text(item.bytes()),
        }
    }

    /// Whether items can be taken out of the session one by one.
    pub(super) fn is_known(&self) -> bool {
        !self.overfull && !self.items.is_empty()
    }

    /// The place before which turns make way when the caller's last `keep` turns stay: fewer where there are not more, but
    /// never so that less than [`WORTH`] turns would go. Nothing asked for since `unsettled` goes, and nothing of these items.
    pub(super) fn mark(&self, keep: u32, unsettled: Option<CallTime>, stay: &[&Arc<str>]) -> Option<Mark> {
        let caller = |(_, held): &(usize, &Held)| held.kind == ItemKind::Caller;
        let callers: Vec<(usize, &Held)> = self.items.iter().enumerate().filter(caller).collect();
        let keep = (keep as usize).clamp(1, callers.len().checked_sub(WORTH)?.max(1));
        let until = self.items.iter().position(|held| stay.contains(&&held.item)).unwrap_or(usize::MAX);
        let settled = |(at, held): &&(usize, &Held)| *at <= until && unsettled.is_none_or(|since| held.added <= since);
        let (_, held) = callers.get(WORTH..=callers.len().checked_sub(keep)?)?.iter().rev().find(settled)?;
        Some(Mark { item: Some(Arc::clone(&held.item)), said: held.said, added: held.added })
    }

    /// The items before a mark, and outputs of tool calls among them wherever these stand.
    pub(super) fn before(&self, mark: &Mark) -> Vec<Arc<str>> {
        let is_mark = |held: &Held| match &mark.item {
            Some(item) => held.item == *item,
            None => held.kind == ItemKind::Caller && held.said >= mark.said,
        };
        let Some(at) = self.items.iter().position(is_mark) else { return Vec::new() };
        let (before, after) = self.items.split_at(at.min(DELETED_MAX));
        // A call that was complete only after the mark is not told of before it, and stays with its output.
        let of_call = |held: &Held, settled: bool| match &held.kind {
            ItemKind::ToolCall(id) | ItemKind::ToolOutput(id) => before
                .iter()
                .any(|call| call.kind == ItemKind::ToolCall(Arc::clone(id)) && (call.added <= mark.added) == settled),
            ItemKind::Caller | ItemKind::Agent | ItemKind::Other => false,
        };
        let going = before.iter().filter(|held| !of_call(held, false));
        let answers = after.iter().filter(|held| of_call(held, true));
        going.chain(answers).map(|held| Arc::clone(&held.item)).collect()
    }

    /// The session now holds about so much.
    pub(super) fn shortened(&mut self, tokens: u64) {
        (self.told, self.since) = (tokens, 0);
    }
}

/// Tokens of so many bytes of text, about.
pub(super) fn tokens_of_text(bytes: usize) -> u64 {
    bytes.div_ceil(4) as u64
}

/// Tokens of the agent's words and their sound at a calm pace (840 letters a minute), about; of the caller it is half.
fn tokens_of_speech(words: &str) -> u64 {
    words.chars().count() as u64 * 17 / 10
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
