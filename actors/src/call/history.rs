//! What was said and done, by when speech began: the bounded history that a new engine session is told.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::domain::{CallTime, Speaker};
use crate::ports::ContextItem;

/// Utterances kept for the context of a new session, and bytes of their words together. Long before, older ones make way for
/// a summary; past this they are forgotten (they are in the journal).
pub(super) const HISTORY_MAX: usize = 240;
pub(super) const HISTORY_BYTES_MAX: usize = 64 * 1024;

/// See the module's text. Shared by the copies on which is decided.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct History(Arc<VecDeque<(CallTime, ContextItem)>>);

impl History {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &(CallTime, ContextItem)> {
        self.0.iter()
    }

    /// What the agent said, oldest first.
    pub(super) fn of_agent(&self) -> impl DoubleEndedIterator<Item = (CallTime, &Arc<str>)> {
        self.iter().filter_map(|(at, item)| match item {
            ContextItem::Agent(text) => Some((*at, text)),
            _ => None,
        })
    }

    /// It is so long that its older part should make way.
    pub(super) fn is_long(&self) -> bool {
        let bytes: usize = self.iter().map(|(_, item)| item.bytes()).sum();
        self.0.len() * 4 > HISTORY_MAX * 3 || bytes * 4 > HISTORY_BYTES_MAX * 3
    }

    /// What was said before a time is told in another way.
    pub(super) fn forget_before(&mut self, at: CallTime) {
        if self.0.front().is_some_and(|(said, _)| *said < at) {
            Arc::make_mut(&mut self.0).retain(|(said, _)| *said >= at);
        }
    }

    pub(super) fn remember(&mut self, started: CallTime, item: ContextItem) {
        let history = Arc::make_mut(&mut self.0);
        let at = history.iter().rposition(|(at, _)| *at <= started).map_or(0, |at| at + 1);
        history.insert(at, (started, item));
        let mut bytes: usize = history.iter().map(|(_, item)| item.bytes()).sum();
        while history.len() > HISTORY_MAX || (bytes > HISTORY_BYTES_MAX && history.len() > 1) {
            bytes -= history.pop_front().map_or(0, |(_, item)| item.bytes());
            metrics::counter!("caly_history_dropped_total").increment(1);
        }
    }
}

/// Words as a part of the conversation.
pub(super) fn spoken(speaker: Speaker, text: &Arc<str>) -> ContextItem {
    match speaker {
        Speaker::Caller => ContextItem::Caller(Arc::clone(text)),
        Speaker::Agent => ContextItem::Agent(Arc::clone(text)),
    }
}
