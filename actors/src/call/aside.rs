//! Turns of the caller that nobody has written down: a session took them with it, or the call ended in them.

use super::deaf::LINE;
use super::draft::Draft;
use super::turns::Turns;
use crate::domain::{CallTime, Speaker, Turn};
use crate::ports::ContextItem;

/// What the next session is told of a turn that it does not hear.
pub(super) const NOT_UNDERSTOOD: &str = "The caller said something here that was not understood.";
/// From the end of the caller's speech until its words are taken for lost.
const WORDS_LOST: CallTime = CallTime::from_secs(10);

impl Turns {
    /// When turns of the caller began whose words the session has taken with it.
    pub fn caller_lost(&self) -> impl Iterator<Item = CallTime> + '_ {
        let lost = |draft: &&Draft| draft.speaker == Speaker::Caller && !draft.aside;
        self.open.iter().filter(lost).filter_map(|draft| draft.started)
    }

    /// Sets the caller turns aside that nobody wrote down and nobody answered: another session hears them again. When the
    /// first of them began. `owed`: the answer to those that were being answered is lost.
    #[must_use]
    pub fn set_aside(&mut self, owed: bool) -> Option<CallTime> {
        self.unanswered = None;
        let lost = self.answering.take().filter(|_| owed);
        for draft in self.open.iter_mut().filter(|draft| draft.speaker == Speaker::Caller) {
            draft.aside |= !draft.answered || lost.as_ref() == Some(&draft.item);
        }
        self.open.iter().filter(|draft| draft.aside).filter_map(|draft| draft.started).min()
    }

    /// Something was said after the answer being heard began, and is not written down yet.
    #[must_use]
    pub fn are_spoken_into(&self) -> bool {
        let began =
            |speaker| move |draft: &&Draft| draft.speaker == speaker && !draft.phrase && draft.started.is_some();
        let last = |speaker| self.open.iter().filter(began(speaker)).filter_map(|draft| draft.started).max();
        last(Speaker::Agent).is_some_and(|agent| last(Speaker::Caller).is_some_and(|caller| caller > agent))
    }

    /// When the first of those turns began that are set aside with a session that owes no answer.
    #[must_use]
    pub fn unanswered_since(&self) -> Option<CallTime> {
        let unanswered = |draft: &&Draft| draft.speaker == Speaker::Caller && (draft.aside || !draft.answered);
        self.open.iter().filter(unanswered).filter_map(|draft| draft.started).min()
    }

    /// What the caller said last was written down, and never taken for a turn.
    #[must_use]
    pub fn is_written_untaken(&self) -> bool {
        let open = |item: &str| self.open.iter().any(|draft| draft.speaker == Speaker::Caller && *draft.item == *item);
        self.unanswered.as_ref().is_some_and(|asked| asked.committed.is_none() && !open(&asked.item))
    }

    /// They are heard again, as turns of another session.
    pub fn heard_again(&mut self) {
        self.open.retain(|draft| !draft.aside);
    }

    /// … or were not noticed: turns without words, those that only the line has told of apart.
    #[must_use]
    pub fn never_heard(&mut self, now: CallTime) -> (Vec<Turn>, Vec<Turn>) {
        let (aside, open): (Vec<Draft>, _) = std::mem::take(&mut self.open).into_iter().partition(|draft| draft.aside);
        self.open = open;
        let (line, told): (Vec<Draft>, Vec<Draft>) = aside.into_iter().partition(|draft| draft.item.starts_with(LINE));
        let mut close = |drafts: Vec<Draft>| drafts.into_iter().map(|draft| self.close(now, draft)).collect();
        (close(line), close(told))
    }

    /// The call ends while the caller speaks: what they have said is all.
    pub fn caller_cut_off(&mut self, now: CallTime) {
        for draft in self.open.iter_mut().filter(|draft| draft.speaker == Speaker::Caller && draft.started.is_some()) {
            draft.cut_off |= draft.ended.is_none();
            draft.ended.get_or_insert(now);
        }
    }

    /// Since when the line has been quiet although the engine believes that the caller speaks.
    #[must_use]
    pub fn quiet_since(&self) -> Option<CallTime> {
        let speaking = |draft: &&Draft| draft.speaker == Speaker::Caller && draft.ended.is_none();
        let began = self.open.iter().rev().find(speaking)?.started?;
        self.quiets.last().filter(|quiet| *quiet > began)
    }

    /// When the caller began a turn that is not written down yet.
    #[must_use]
    pub fn began_at(&self, item: &str) -> Option<CallTime> {
        self.open.iter().find(|draft| draft.speaker == Speaker::Caller && *draft.item == *item)?.started
    }

    /// When the agent began its first words, which are being heard.
    #[must_use]
    pub fn agent_began_with(&self) -> Option<CallTime> {
        let ours = |draft: &&Draft| draft.speaker == Speaker::Agent && !draft.phrase;
        let first = self.open.iter().filter(ours).filter_map(|draft| draft.started).min();
        first.filter(|_| self.agent_said_nothing())
    }

    /// Something of the agent is being heard or about to be, or it is not known yet how much of it was.
    #[must_use]
    pub fn agent_is_open(&self) -> bool {
        let made = |draft: &Draft| draft.started.is_some() || (!draft.text.trim().is_empty() && !draft.lost);
        self.open.iter().any(|draft| draft.speaker == Speaker::Agent && !draft.phrase && made(draft))
    }

    /// Nothing of the agent is on record.
    #[must_use]
    pub fn agent_said_nothing(&self) -> bool {
        !self.history().any(|(_, item)| matches!(item, ContextItem::Agent(_)))
    }

    /// From the engine's word that the caller began a turn to its word that they stopped.
    #[must_use]
    pub fn spoken_for(&self, item: &str) -> Option<CallTime> {
        let draft = self.open.iter().find(|draft| draft.speaker == Speaker::Caller && *draft.item == *item)?;
        Some(draft.ended?.saturating_sub(draft.started?))
    }

    /// The caller has said something since then that lasted at least so long, and it is not written down.
    #[must_use]
    pub fn are_unwritten_since(&self, since: CallTime, least: CallTime) -> bool {
        let ours = |draft: &&Draft| draft.speaker == Speaker::Caller && draft.started.is_some_and(|at| at >= since);
        let spoken = |draft: &Draft| Some(draft.ended?.saturating_sub(draft.started?));
        self.open.iter().filter(ours).filter_map(spoken).any(|spoken| spoken >= least)
    }

    /// Words of the caller's are still expected: a recogniser that takes longer has lost them.
    #[must_use]
    pub fn expects_words(&self, now: CallTime) -> bool {
        let late = |draft: &Draft| draft.ended.or(draft.started).is_some_and(|at| now >= at + WORDS_LOST);
        self.open.iter().any(|draft| draft.speaker == Speaker::Caller && !late(draft))
    }
}
