//! Every order of wishes, answers, failures and refusals.

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
fn what_the_engine_is_told_after_a_request_is_answered_after_its_answer() {
    let told = || Wanted::default().told();
    let mut responses = Responses::default();
    assert!(responses.want(None).is_some());
    assert_eq!(responses.want(None), None);
    assert_eq!(responses.want_so(told()), None);
    assert_eq!(responses.created(&id("r1"), Some(1)), None);
    assert_eq!(responses.done("r1"), Some(ask(2, None)));
    assert_eq!(responses.created(&id("r2"), Some(2)), None);
    assert_eq!(responses.done("r2"), None, "once");
    // A request that was refused has not been answered either: one answer does for both, as the first was asked to be.
    let mut responses = Responses::default();
    assert!(responses.want(Some(id("greet"))).is_some());
    assert_eq!(responses.want_so(told()), None);
    responses.refused();
    assert_eq!(responses.done("not ours"), Some(ask(2, Some(id("greet")))));
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
    let greet = Wanted { instructions: Some(id("greet")), words_only: true, told: false };
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
    let words = || Wanted { words_only: true, ..Wanted::default() };
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
    fn no_interleaving_loses_an_answer(steps in prop::collection::vec(0u8..9, 1..60)) {
        let mut responses = Responses::default();
        let mut engine = EngineModel::default();
        let mut owed = false;
        // After which answer the engine was told something that no answer begun since has seen.
        let told = std::cell::Cell::new(None::<u32>);
        let number = |response: &str| response[1..].parse::<u32>().expect("a number");
        let mut requests = 0;
        let deliver = |responses: &mut Responses, engine: &mut EngineModel, owed: &mut bool, requests: &mut u32| {
            let Some(event) = engine.events.pop_front() else { return };
            let command = match event {
                Said::Created(response, wish) => {
                    let command = responses.created(&response, wish);
                    if wish.is_some() && command.is_none() {
                        *owed = false;
                        told.set(told.get().filter(|after| number(&response) <= *after));
                    }
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
                6 => {
                    owed = true;
                    told.set(Some(engine.made));
                    if let Some(c) = responses.want_so(Wanted::default().told()) { engine.hear(&c); }
                }
                1 => { owed = false; told.set(None); if let Some(c) = responses.cancel() { engine.hear(&c); } }
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
        prop_assert_eq!(told.get(), None, "no answer was made of what the engine was told");
        prop_assert!(responses.is_idle());
        prop_assert!(requests < 150, "requests without end");
    }
}
