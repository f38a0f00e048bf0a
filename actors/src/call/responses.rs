//! The one owner of `response.create`: never two answers at once, never a wanted answer lost.
//!
//! The engine allows one answer at a time, refuses a second without making it, and may create one of its own a moment
//! before ours arrives. So a wish is kept until an answer was created for it, and sent when nothing else is under way.

use std::sync::Arc;

use crate::ports::EngineCommand;

/// A wish that waits for its turn.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Wanted {
    /// `None`: follow the session's.
    pub instructions: Option<Arc<str>>,
    /// No tool may be called in it.
    pub words_only: bool,
    /// It answers what the engine is told just now (an output, keys): a request that was sent before does not see that.
    pub told: bool,
}

impl Wanted {
    /// An answer that may call tools.
    #[must_use]
    pub fn new(instructions: Option<Arc<str>>) -> Self {
        Self { instructions, ..Self::default() }
    }

    /// … to what the engine is told just now.
    #[must_use]
    pub fn told(self) -> Self {
        Self { told: true, ..self }
    }
}

/// A request that was sent and neither begun nor refused.
#[derive(Clone, PartialEq, Debug)]
struct Pending {
    wish: u64,
    wanted: Wanted,
    /// An answer without a mark began meanwhile: it may be this one.
    begun_perhaps: bool,
}

/// See the module's text. All decisions, no effects: what to send is returned.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Responses {
    pending: Option<Pending>,
    active: Option<Arc<str>>,
    /// What the answer being made was asked for, if it was.
    making: Option<Wanted>,
    /// … and it was cancelled.
    unwanted: bool,
    /// The engine refused ours because of an answer we have not heard of.
    foreign: bool,
    wanted: Option<Wanted>,
    /// A request taken for answered by an unmarked answer; a refusal shows that it was not.
    assumed: Option<Wanted>,
    /// This request is to be cancelled as soon as its answer begins.
    doomed: Option<u64>,
    /// An answer without a mark was cancelled for it already.
    doomed_only_by_mark: bool,
    /// The engine repeats our marks, so an answer without one is not ours.
    echoes: bool,
    last_wish: u64,
}

impl Responses {
    /// An answer is wanted. Returns the request if it can be sent now; else it is kept. A later wish replaces a kept one.
    #[must_use]
    pub fn want(&mut self, instructions: Option<Arc<str>>) -> Option<EngineCommand> {
        self.want_so(Wanted::new(instructions))
    }

    /// The same, in full.
    #[must_use]
    pub fn want_so(&mut self, wanted: Wanted) -> Option<EngineCommand> {
        match &self.pending {
            // The request under way will see everything that the engine has told of before it is answered, and may do as much.
            Some(pending)
                if self.doomed != Some(pending.wish)
                    && !wanted.told
                    && (wanted.words_only || !pending.wanted.words_only) =>
            {
                None
            }
            None if self.active.is_none() && !self.foreign => Some(self.request(wanted)),
            Some(_) | None => {
                self.wanted = Some(wanted);
                None
            }
        }
    }

    /// An answer began. Returns a cancellation when nobody wants it any more.
    ///
    /// An answer without our mark may be the engine's own or come from an engine that repeats no marks: it may be ours
    /// until a refusal shows that it is not.
    #[must_use]
    pub fn created(&mut self, response: &Arc<str>, wish: Option<u64>) -> Option<EngineCommand> {
        self.active = Some(Arc::clone(response));
        self.foreign = false;
        self.echoes |= wish.is_some();
        self.making = None;
        match &mut self.pending {
            Some(pending) if wish == Some(pending.wish) => self.making = self.pending.take().map(|p| p.wanted),
            Some(pending) if wish.is_none() && !self.echoes => {
                pending.begun_perhaps = true;
                self.making = Some(pending.wanted.clone());
            }
            Some(_) | None => {}
        }
        let perhaps = wish.is_none() && !self.doomed_only_by_mark;
        let unwanted = self.doomed.is_some() && (perhaps || wish == self.doomed);
        if unwanted && wish.is_some() {
            self.doomed = None;
        }
        self.unwanted = unwanted;
        unwanted.then_some(EngineCommand::CancelResponse)
    }

    /// The answer being made ended and came to nothing. Returns what is to be asked for instead, a later wish before its own;
    /// nothing if nobody asked for it, or its like is under way.
    #[must_use]
    pub fn came_to_nothing(&mut self) -> Option<Wanted> {
        let own = self.making.take();
        let perhaps = self.pending.as_ref().is_some_and(|pending| pending.begun_perhaps);
        let later = self.over();
        if perhaps {
            // It is asked for again anyway.
            self.assumed = None;
        }
        if self.pending.is_some() { None } else { merged(later, own) }
    }

    /// Whether this is the answer being made, and nobody has cancelled it.
    #[must_use]
    pub fn is_wanted(&self, response: &str) -> bool {
        self.active.as_deref() == Some(response) && !self.unwanted
    }

    /// Whether the answer being made was cancelled: nothing of it is waited for but its end.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.active.is_some() && self.unwanted
    }

    /// Whether the answer being made may call no tool.
    #[must_use]
    pub fn is_words_only(&self) -> bool {
        self.making.as_ref().is_some_and(|wanted| wanted.words_only)
    }

    /// An answer ended. Returns the next request if one waits.
    #[must_use]
    pub fn done(&mut self, response: &str) -> Option<EngineCommand> {
        // One that ended without having begun (a failure), or an old one, does not concern the answer under way.
        let ours = self.active.as_deref() == Some(response);
        if !ours && !self.foreign {
            return None;
        }
        self.foreign = false;
        self.over().map(|wanted| self.request(wanted))
    }

    /// The answer being made is over. Takes out the wish that waited for that.
    fn over(&mut self) -> Option<Wanted> {
        self.active = None;
        self.making = None;
        self.unwanted = false;
        if self.pending.as_ref().is_some_and(|pending| pending.begun_perhaps) {
            let doomed = self.doomed;
            self.assumed = self.pending.take().filter(|pending| doomed != Some(pending.wish)).map(|p| p.wanted);
            // It may have been that one: only an answer that bears its mark is doomed after it.
            self.doomed_only_by_mark = self.doomed.is_some();
        }
        if self.pending.is_some() { None } else { self.wanted.take() }
    }

    /// What was written beside the conversation is done: it may have been what our request was refused for. If it was not, the
    /// next is refused as well, and kept. Returns the next request if one waits.
    #[must_use]
    pub fn aside_done(&mut self) -> Option<EngineCommand> {
        if !std::mem::take(&mut self.foreign) {
            return None;
        }
        self.next()
    }

    /// The engine refused our request because another answer is being made.
    pub fn refused(&mut self) {
        let kept = match self.pending.take() {
            Some(pending) if self.doomed == Some(pending.wish) => {
                self.doomed = None;
                None
            }
            Some(pending) => Some(pending.wanted),
            None => self.assumed.take(),
        };
        self.wanted = merged(self.wanted.take(), kept);
        self.foreign = self.active.is_none();
    }

    /// Stops the answer under way and forgets kept wishes. Returns the cancellation, if there is something to cancel.
    #[must_use]
    pub fn cancel(&mut self) -> Option<EngineCommand> {
        self.wanted = None;
        self.assumed = None;
        if let Some(pending) = &self.pending {
            self.doomed = Some(pending.wish);
            self.doomed_only_by_mark = false;
        }
        self.unwanted = self.active.is_some();
        (self.active.is_some() || self.foreign).then_some(EngineCommand::CancelResponse)
    }

    /// The session is gone, and every answer with it. Returns whether one was owed.
    pub fn lost(&mut self) -> bool {
        let pending = self.pending.as_ref().is_some_and(|pending| self.doomed != Some(pending.wish));
        let owed = self.wanted.is_some() || pending || self.active.is_some();
        let last_wish = self.last_wish;
        *self = Self { last_wish, ..Self::default() };
        owed
    }

    /// The id of the answer being made.
    #[must_use]
    pub fn active(&self) -> Option<&Arc<str>> {
        self.active.as_ref()
    }

    /// An answer is being made, and no other is asked for.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.active.is_some() && self.pending.is_none() && self.wanted.is_none()
    }

    /// The engine was told something, and the answer to that has not begun.
    #[must_use]
    pub fn owes_what_was_told(&self) -> bool {
        let pending = self.pending.as_ref().filter(|pending| self.doomed != Some(pending.wish));
        self.wanted.iter().chain(pending.map(|pending| &pending.wanted)).any(|wanted| wanted.told)
    }

    /// Nothing is being made, asked for or wanted.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.pending.is_none() && self.active.is_none() && !self.foreign && self.wanted.is_none()
    }

    fn next(&mut self) -> Option<EngineCommand> {
        if self.pending.is_some() {
            return None;
        }
        let wanted = self.wanted.take()?;
        Some(self.request(wanted))
    }

    fn request(&mut self, wanted: Wanted) -> EngineCommand {
        self.last_wish += 1;
        let Wanted { instructions, words_only, .. } = wanted.clone();
        self.pending = Some(Pending { wish: self.last_wish, wanted, begun_perhaps: false });
        EngineCommand::CreateResponse { wish: self.last_wish, instructions, words_only }
    }
}

/// A later wish takes the place of one that came to nothing. One that only answers what was told since does what that was to do.
fn merged(later: Option<Wanted>, kept: Option<Wanted>) -> Option<Wanted> {
    let Some(mut later) = later else { return kept };
    if later.told && later.instructions.is_none() {
        later.instructions = kept.and_then(|kept| kept.instructions);
    }
    Some(later)
}

#[cfg(test)]
#[path = "responses_tests.rs"]
mod tests;
