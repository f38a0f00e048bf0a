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
}

impl Wanted {
    /// An answer that may call tools.
    #[must_use]
    pub fn new(instructions: Option<Arc<str>>) -> Self {
        Self { instructions, words_only: false }
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
            // The request under way will see everything said before it is answered, and may do as much.
            Some(pending) if self.doomed != Some(pending.wish) && (wanted.words_only || !pending.wanted.words_only) => {
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
        if self.pending.is_some() { None } else { later.or(own) }
    }

    /// Whether this is the answer being made, and nobody has cancelled it.
    #[must_use]
    pub fn is_wanted(&self, response: &str) -> bool {
        self.active.as_deref() == Some(response) && !self.unwanted
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
        if let Some(wanted) = kept {
            self.wanted.get_or_insert(wanted);
        }
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
        let Wanted { instructions, words_only } = wanted.clone();
        self.pending = Some(Pending { wish: self.last_wish, wanted, begun_perhaps: false });
        EngineCommand::CreateResponse { wish: self.last_wish, instructions, words_only }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn id(name: &str) -> Arc<str> {
        name.into()
    }

    fn ask(wish: u64, instructions: Option<Arc<str>>) -> EngineCommand {
        EngineCommand::CreateResponse { wish, instructions, words_only: false }
    }

    #[test]
    fn a_wish_during_an_answer_is_sent_when_that_one_is_done() {
        let mut responses = Responses::default();
        assert!(responses.want(None).is_some());
        assert_eq!(responses.created(&id("r1"), Some(1)), None);
        assert_eq!(responses.want(None), None);
        assert_eq!(responses.done("r1"), Some(ask(2, None)));
    }

    #[test]
    fn a_refused_wish_is_repeated_after_the_foreign_answer() {
        let mut responses = Responses::default();
        assert!(responses.want(Some(id("greet"))).is_some());
        responses.refused();
        assert_eq!(responses.done("not ours"), Some(ask(2, Some(id("greet")))));
    }

    #[test]
    fn a_wish_refused_for_what_was_written_beside_is_repeated_after_that() {
        let mut responses = Responses::default();
        assert!(responses.want(None).is_some());
        assert_eq!(responses.aside_done(), None, "ours is under way");
        responses.refused();
        assert_eq!(responses.aside_done(), Some(ask(2, None)));
        // It was something else after all.
        responses.refused();
        assert_eq!(responses.done("r1"), Some(ask(3, None)));
        assert_eq!(responses.created(&id("r2"), Some(3)), None);
        assert_eq!(responses.want(None), None);
        assert_eq!(responses.aside_done(), None, "an answer is being made");
    }

    #[test]
    fn an_answer_cancelled_before_it_began_is_cancelled_when_it_begins() {
        let mut responses = Responses::default();
        assert!(responses.want(None).is_some());
        assert_eq!(responses.cancel(), None);
        assert_eq!(responses.want(None), None, "kept until the doomed one is gone");
        assert_eq!(responses.created(&id("r1"), Some(1)), Some(EngineCommand::CancelResponse));
        assert!(responses.done("r1").is_some());
    }

    #[test]
    fn a_lost_session_tells_whether_an_answer_was_owed() {
        let mut responses = Responses::default();
        assert!(!responses.lost());
        assert!(responses.want(None).is_some());
        assert!(responses.lost());
        assert!(responses.is_idle());
    }

    #[test]
    fn a_wish_while_its_like_is_under_way_is_served_by_that_one() {
        let mut responses = Responses::default();
        assert!(responses.want(None).is_some());
        assert_eq!(responses.want(None), None);
        assert!(!responses.is_idle(), "asked for and not begun");
        assert_eq!(responses.created(&id("r1"), Some(1)), None);
        assert!(!responses.is_idle(), "being made");
        assert_eq!(responses.active(), Some(&id("r1")));
        assert_eq!(responses.done("r1"), None, "both wishes are served");
        assert!(responses.is_idle());
        assert_eq!(responses.active(), None);
    }

    #[test]
    fn an_answer_of_the_engines_own_is_not_ours_where_ours_are_marked() {
        let mut responses = Responses::default();
        assert!(responses.want(None).is_some());
        assert_eq!(responses.created(&id("r1"), Some(1)), None);
        assert_eq!(responses.done("r1"), None);
        assert!(responses.want(None).is_some());
        assert_eq!(responses.created(&id("own"), None), None);
        assert_eq!(responses.done("own"), None);
        assert!(!responses.is_idle(), "ours is still to come");
        assert_eq!(responses.created(&id("r2"), Some(2)), None);
        assert_eq!(responses.done("r2"), None);
        assert!(responses.is_idle());
    }

    #[test]
    fn an_answer_without_a_mark_counts_as_ours_until_a_refusal_shows_that_it_was_not() {
        let mut responses = Responses::default();
        assert!(responses.want(Some(id("greet"))).is_some());
        assert_eq!(responses.created(&id("r1"), None), None);
        assert_eq!(responses.done("r1"), None);
        assert!(responses.is_idle());
        responses.refused();
        assert!(!responses.is_idle(), "the engine makes an answer we have not heard of");
        assert_eq!(responses.done("r2"), Some(ask(2, Some(id("greet")))));
    }

    #[test]
    fn the_end_of_an_older_answer_changes_nothing() {
        let mut responses = Responses::default();
        assert!(responses.want(None).is_some());
        assert_eq!(responses.created(&id("r1"), Some(1)), None);
        assert_eq!(responses.want(None), None);
        assert_eq!(responses.done("r0"), None);
        assert_eq!(responses.active(), Some(&id("r1")));
        assert!(responses.done("r1").is_some());
    }

    #[test]
    fn a_wish_during_an_answer_not_heard_of_waits_for_its_end() {
        let mut responses = Responses::default();
        assert!(responses.want(None).is_some());
        responses.refused();
        assert_eq!(responses.want(Some(id("later"))), None);
        assert_eq!(responses.done("not ours"), Some(ask(2, Some(id("later")))));
    }

    #[test]
    fn an_answer_not_heard_of_can_be_cancelled_and_is_under_way_until_its_end() {
        let mut responses = Responses::default();
        assert_eq!(responses.cancel(), None, "there is nothing to cancel");
        assert!(responses.want(None).is_some());
        responses.refused();
        assert_eq!(responses.cancel(), Some(EngineCommand::CancelResponse));
        assert!(!responses.is_idle());
        assert_eq!(responses.done("not ours"), None, "the wish was forgotten");
        assert!(responses.is_idle());
    }

    #[test]
    fn what_came_to_nothing_is_told_with_what_it_was_asked_for_or_what_was_wanted_since() {
        let begun = |wanted: Wanted| {
            let mut responses = Responses::default();
            assert!(responses.want_so(wanted).is_some());
            assert_eq!(responses.created(&id("r1"), Some(1)), None);
            responses
        };
        let greet = Wanted { instructions: Some(id("greet")), words_only: true };
        let mut failed = begun(greet.clone());
        assert!(failed.is_wanted("r1") && failed.is_words_only() && !failed.is_wanted("r0"));
        assert_eq!(failed.came_to_nothing(), Some(greet.clone()));
        assert!(failed.is_idle(), "whoever is told asks for it, now or later");

        let mut since = begun(greet.clone());
        assert_eq!(since.want(Some(id("later"))), None);
        assert_eq!(since.came_to_nothing(), Some(Wanted::new(Some(id("later")))));

        let mut cancelled = begun(greet.clone());
        assert!(cancelled.cancel().is_some());
        assert!(!cancelled.is_wanted("r1"));

        let mut own = begun(greet);
        assert_eq!(own.done("r1"), None);
        assert_eq!(own.created(&id("own"), None), None);
        assert_eq!(own.came_to_nothing(), None, "nobody asked for it");
    }

    #[test]
    fn a_request_that_may_call_tools_is_not_served_by_one_that_may_not() {
        let words = || Wanted { instructions: None, words_only: true };
        let mut responses = Responses::default();
        let first = EngineCommand::CreateResponse { wish: 1, instructions: None, words_only: true };
        assert_eq!(responses.want_so(words()), Some(first));
        assert_eq!(responses.want_so(words()), None, "its like");
        assert_eq!(responses.want(None), None, "kept");
        assert_eq!(responses.created(&id("r1"), Some(1)), None);
        assert_eq!(responses.done("r1"), Some(ask(2, None)));
    }

    #[test]
    fn a_cancelled_request_that_is_refused_is_not_repeated() {
        let mut responses = Responses::default();
        assert!(responses.want(None).is_some());
        assert_eq!(responses.cancel(), None);
        responses.refused();
        assert_eq!(responses.done("not ours"), None);
        assert!(responses.is_idle());
    }

    #[test]
    fn a_cancelled_request_stays_cancelled_although_another_answer_began_first() {
        let mut responses = Responses::default();
        assert!(responses.want(None).is_some());
        assert_eq!(responses.cancel(), None);
        assert_eq!(responses.created(&id("own"), None), Some(EngineCommand::CancelResponse), "it may be ours");
        assert_eq!(responses.done("own"), None);
        assert_eq!(responses.created(&id("r1"), Some(1)), Some(EngineCommand::CancelResponse));
        assert_eq!(responses.done("r1"), None);
        assert!(responses.want(None).is_some());
        assert_eq!(responses.created(&id("r2"), Some(2)), None, "the next one is wanted");
    }

    #[test]
    fn what_was_cancelled_or_answered_is_not_owed_by_a_lost_session() {
        let mut responses = Responses::default();
        assert!(responses.want(None).is_some());
        assert_eq!(responses.cancel(), None);
        assert!(!responses.lost());
        assert_eq!(responses.want(None), Some(ask(2, None)));
        assert_eq!(responses.created(&id("r1"), Some(2)), None);
        assert!(responses.lost(), "it was being made");
        assert!(responses.want(None).is_some());
        responses.refused();
        assert!(responses.lost(), "it was to be asked for again");
    }

    #[test]
    fn one_cancellation_cancels_one_answer_also_of_an_engine_that_repeats_no_marks() {
        let mut responses = Responses::default();
        assert!(responses.want(None).is_some());
        assert_eq!(responses.cancel(), None);
        assert_eq!(responses.created(&id("r1"), None), Some(EngineCommand::CancelResponse));
        assert_eq!(responses.done("r1"), None);
        assert!(responses.want(None).is_some());
        assert_eq!(responses.created(&id("r2"), None), None, "nobody cancelled this one");
    }

    /// An engine that keeps the vendor's rules and delivers its events late.
    #[derive(Default)]
    struct EngineModel {
        active: Option<(Arc<str>, bool)>,
        made: u32,
        events: VecDeque<Said>,
    }

    enum Said {
        Created(Arc<str>, Option<u64>),
        Done(Arc<str>),
        Failed(Arc<str>),
        Refused,
    }

    impl EngineModel {
        fn hear(&mut self, command: &EngineCommand) {
            match command {
                EngineCommand::CreateResponse { wish, .. } => match self.active {
                    Some(_) => self.events.push_back(Said::Refused),
                    None => self.begin(Some(*wish)),
                },
                EngineCommand::CancelResponse => self.finish(),
                _ => {}
            }
        }

        fn begin(&mut self, wish: Option<u64>) {
            self.made += 1;
            let response: Arc<str> = format!("r{}", self.made).into();
            self.active = Some((Arc::clone(&response), wish.is_some()));
            self.events.push_back(Said::Created(response, wish));
        }

        fn finish(&mut self) {
            if let Some((response, _)) = self.active.take() {
                self.events.push_back(Said::Done(response));
            }
        }

        fn fail(&mut self) {
            if let Some((response, _)) = self.active.take() {
                self.events.push_back(Said::Failed(response));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        /// Whatever the order of wishes, cancellations, foreign answers, failures and late events: every want that is not followed
        /// by a cancellation is answered by an answer that began after it.
        #[test]
        fn no_interleaving_loses_an_answer(steps in prop::collection::vec(0u8..8, 1..60)) {
            let mut responses = Responses::default();
            let mut engine = EngineModel::default();
            let mut owed = false;
            let mut requests = 0;
            let deliver = |responses: &mut Responses, engine: &mut EngineModel, owed: &mut bool, requests: &mut u32| {
                let Some(event) = engine.events.pop_front() else { return };
                let command = match event {
                    Said::Created(response, wish) => {
                        let command = responses.created(&response, wish);
                        if wish.is_some() && command.is_none() { *owed = false; }
                        command
                    }
                    Said::Done(response) => responses.done(&response),
                    Said::Failed(response) if responses.is_wanted(&response) => {
                        let again = responses.came_to_nothing();
                        *owed |= again.is_some();
                        again.and_then(|wanted| responses.want_so(wanted))
                    }
                    Said::Failed(response) => responses.done(&response),
                    Said::Refused => {
                        responses.refused();
                        None
                    }
                };
                if let Some(command) = command { *requests += 1; engine.hear(&command); }
            };
            for step in steps {
                match step {
                    0 => { owed = true; if let Some(c) = responses.want(None) { engine.hear(&c); } }
                    1 => { owed = false; if let Some(c) = responses.cancel() { engine.hear(&c); } }
                    2 => if engine.active.is_none() { engine.begin(None) },
                    3 => engine.finish(),
                    4 => engine.fail(),
                    5 => if let Some(c) = responses.aside_done() { requests += 1; engine.hear(&c); },
                    _ => deliver(&mut responses, &mut engine, &mut owed, &mut requests),
                }
            }
            // The world quietens: every event is delivered, every answer ends.
            for _ in 0..200 {
                engine.finish();
                deliver(&mut responses, &mut engine, &mut owed, &mut requests);
            }
            prop_assert!(!owed, "an answer was lost");
            prop_assert!(responses.is_idle());
            prop_assert!(requests < 150, "requests without end");
        }
    }
}
