//! What the caller said last, until it is understood.

use super::state::CallState;
use crate::domain::{CallTime, TurnId};
use crate::understand;

/// No more words than this are a farewell.
const PARTING_WORDS: usize = 4;
/// Answers of the caller whose meaning is awaited; more are not looked at.
const REPLIES_MAX: usize = 8;

/// A turn of the caller whose meaning is awaited.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Reply {
    pub(super) turn: TurnId,
    pub(super) started: CallTime,
    /// Only what a listener says, in the middle of what the agent said.
    pub(super) listening: bool,
    /// How many words it has.
    pub(super) words: usize,
    /// So few words, none of which asks for more, that a yes or a no in them is the last.
    pub(super) parting: bool,
    /// It has words against going on: where it is no no, it is second thoughts.
    pub(super) objects: bool,
}

impl CallState {
    /// The words of a caller's turn are there; what they mean will follow.
    pub(super) fn await_meaning(&mut self, turn: TurnId, (started, text): (CallTime, &str), listening: bool) {
        if self.replies.len() >= REPLIES_MAX {
            self.replies.remove(0);
        }
        let words = text.split_whitespace().count();
        let parting = words <= PARTING_WORDS && !understand::asks_for_more(text);
        let objects = understand::objects(text);
        self.replies.push(Reply { turn, started, listening, words, parting, objects });
    }
}
