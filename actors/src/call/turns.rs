//! Who said what, as heard: utterances under way, and the bounded history a new engine session is told.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::audio::playout::Cut;
use crate::domain::{CallTime, Speaker, Turn, TurnId};
use crate::ports::ContextItem;

/// Utterances kept for the context of a new session; older ones are forgotten (they are in the journal).
const HISTORY_MAX: usize = 60;
/// Utterances under way at once; more than a confused engine should make.
const OPEN_MAX: usize = 32;

#[derive(Clone, PartialEq, Debug)]
struct Draft {
    id: TurnId,
    speaker: Speaker,
    item: Arc<str>,
    text: String,
    started: Option<CallTime>,
    ended: Option<CallTime>,
    /// When the next agent item began: this one had ended by then.
    followed: Option<CallTime>,
    /// No more words will come.
    complete: bool,
    cut: Option<Cut>,
    latency: Option<CallTime>,
}

/// See the module's text.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Turns {
    open: Vec<Draft>,
    history: VecDeque<(CallTime, ContextItem)>,
    /// The end of the caller's last speech, until it is answered.
    unanswered_since: Option<CallTime>,
}

impl Turns {
    /// The caller began to speak.
    pub fn caller_began(&mut self, now: CallTime, item: &Arc<str>) {
        self.draft(Speaker::Caller, item).started.get_or_insert(now);
    }

    /// The caller stopped.
    pub fn caller_stopped(&mut self, now: CallTime, item: &Arc<str>) {
        let draft = self.draft(Speaker::Caller, item);
        draft.started.get_or_insert(now);
        draft.ended = Some(now);
        self.unanswered_since = Some(now);
    }

    /// The recogniser wrote a caller turn down (or failed to: then `text` is empty).
    #[must_use]
    pub fn caller_said(&mut self, now: CallTime, item: &Arc<str>, text: &str) -> Turn {
        let draft = self.draft(Speaker::Caller, item);
        text.clone_into(&mut draft.text);
        draft.started.get_or_insert(now);
        draft.ended.get_or_insert(now);
        let draft = draft.clone();
        self.open.retain(|open| open.id != draft.id);
        self.close(now, draft)
    }

    /// More words of the agent, as made (not yet as heard).
    pub fn agent_words(&mut self, item: &Arc<str>, delta: &str) {
        let draft = self.draft(Speaker::Agent, item);
        // An answer is at most 4,096 tokens; this only stops a broken engine.
        if draft.text.len() < 64 * 1024 {
            draft.text.push_str(delta);
        }
    }

    /// What the caller said last wants no answer.
    pub fn no_answer_owed(&mut self) {
        self.unanswered_since = None;
    }

    /// All the words of an agent item.
    pub fn agent_said(&mut self, item: &Arc<str>, text: &str) {
        let draft = self.draft(Speaker::Agent, item);
        text.clone_into(&mut draft.text);
        draft.complete = true;
    }

    /// The first audio of an agent item went out. Returns the latency if it answers the caller.
    pub fn agent_began(&mut self, now: CallTime, item: &Arc<str>) -> Option<CallTime> {
        let latency = self.unanswered_since.take().map(|since| now.saturating_sub(since));
        for other in self.open.iter_mut().filter(|draft| draft.speaker == Speaker::Agent && draft.item != *item) {
            if other.started.is_some() {
                other.followed.get_or_insert(now);
            }
        }
        let draft = self.draft(Speaker::Agent, item);
        draft.started.get_or_insert(now);
        draft.ended = None;
        draft.latency = draft.latency.or(latency);
        latency
    }

    /// No answer is being made: no more words will come for any item.
    pub fn answers_complete(&mut self) {
        for draft in self.open.iter_mut().filter(|draft| draft.speaker == Speaker::Agent) {
            draft.complete = true;
        }
    }

    /// Everything sent was heard.
    pub fn heard_all(&mut self, now: CallTime) {
        for draft in &mut self.open {
            if draft.speaker == Speaker::Agent && draft.started.is_some() {
                draft.ended.get_or_insert(draft.followed.unwrap_or(now));
            }
        }
    }

    /// Agent items under way.
    #[must_use]
    pub fn agent_items(&self) -> Vec<Arc<str>> {
        self.open.iter().filter(|draft| draft.speaker == Speaker::Agent).map(|draft| Arc::clone(&draft.item)).collect()
    }

    /// What the agent is saying or about to say; its turns are on record when they are over.
    #[must_use]
    pub fn agent_under_way(&self) -> Arc<str> {
        let said = self.open.iter().filter(|draft| draft.speaker == Speaker::Agent && !draft.text.is_empty());
        said.map(|draft| &*draft.text).collect::<Vec<_>>().join(" ").into()
    }

    /// Playout was cut.
    pub fn heard_part(&mut self, now: CallTime, cuts: &[Cut]) {
        for cut in cuts {
            if let Some(draft) = self.open.iter_mut().find(|draft| draft.item == cut.item) {
                draft.cut = Some(cut.clone());
                draft.ended = Some(now);
            }
        }
    }

    /// Takes out the agent turns that are over: their words complete and heard or cut. `all` takes every one.
    #[must_use]
    pub fn finished(&mut self, now: CallTime, all: bool) -> Vec<Turn> {
        let (over, open) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|draft| draft.speaker == Speaker::Agent && (all || (draft.complete && draft.ended.is_some())));
        self.open = open;
        let over: Vec<Draft> = over;
        // What was never begun was never heard, and sound without a word tells nothing: neither is a turn.
        over.into_iter()
            .filter(|draft| draft.started.is_some() && !draft.text.trim().is_empty())
            .map(|draft| self.close(now, draft))
            .collect()
    }

    /// Caller turns whose words are still owed.
    #[must_use]
    pub fn owes_transcript(&self) -> bool {
        self.open.iter().any(|draft| draft.speaker == Speaker::Caller && draft.ended.is_some())
    }

    /// Gives up waiting: caller turns that ended without words.
    #[must_use]
    pub fn without_words(&mut self, now: CallTime) -> Vec<Turn> {
        let (owed, open) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|draft| draft.speaker == Speaker::Caller && draft.ended.is_some());
        self.open = open;
        let owed: Vec<Draft> = owed;
        owed.into_iter().map(|draft| self.close(now, draft)).collect()
    }

    /// Nobody has said anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.history.is_empty() && self.open.iter().all(|draft| draft.started.is_none())
    }

    /// What was said, oldest first, by when speech began.
    pub fn history(&self) -> impl Iterator<Item = &(CallTime, ContextItem)> {
        self.history.iter()
    }

    /// Utterances under way, as far as they are known: what the agent has begun to say, and turns of the caller that are not
    /// written down yet.
    pub fn under_way(&self) -> impl Iterator<Item = (CallTime, ContextItem)> + '_ {
        self.open.iter().filter_map(|draft| {
            let started = draft.started?;
            let item = match (draft.speaker, draft.text.trim()) {
                (Speaker::Agent, "") => return None,
                (Speaker::Agent, text) => ContextItem::Agent(text.into()),
                (Speaker::Caller, "") => {
                    ContextItem::Note("The caller said something here that was not understood.".into())
                }
                (Speaker::Caller, text) => ContextItem::Caller(text.into()),
            };
            Some((started, item))
        })
    }

    /// Says something into the history that no draft stands for: a stored phrase.
    pub fn note_phrase(&mut self, at: CallTime, words: &Arc<str>) {
        self.remember(at, ContextItem::Agent(Arc::clone(words)));
    }

    /// Puts into the history what a former process heard.
    pub fn recall(&mut self, at: CallTime, speaker: Speaker, text: &Arc<str>) {
        if !text.is_empty() {
            self.remember(at, spoken(speaker, text));
        }
    }

    fn draft(&mut self, speaker: Speaker, item: &Arc<str>) -> &mut Draft {
        let at = self.open.iter().position(|draft| draft.item == *item && draft.speaker == speaker);
        let at = at.unwrap_or_else(|| {
            if self.open.len() >= OPEN_MAX {
                self.open.remove(0);
                metrics::counter!("caly_utterances_dropped_total").increment(1);
            }
            self.open.push(Draft {
                id: TurnId::new(),
                speaker,
                item: Arc::clone(item),
                text: String::new(),
                started: None,
                ended: None,
                followed: None,
                complete: false,
                cut: None,
                latency: None,
            });
            self.open.len() - 1
        });
        &mut self.open[at]
    }

    fn close(&mut self, now: CallTime, draft: Draft) -> Turn {
        let (heard, unheard) = split_heard(draft.text.trim(), draft.cut.as_ref());
        let started = draft.started.unwrap_or(now);
        let turn = Turn {
            id: draft.id,
            speaker: draft.speaker,
            text: heard.into(),
            unheard: unheard.into(),
            interrupted: draft.cut.is_some(),
            started,
            ended: draft.ended.unwrap_or(now).max(started),
            latency: draft.latency,
        };
        if !turn.text.is_empty() {
            self.remember(started, spoken(draft.speaker, &turn.text));
        }
        turn
    }

    fn remember(&mut self, started: CallTime, item: ContextItem) {
        let at = self.history.iter().rposition(|(at, _)| *at <= started).map_or(0, |at| at + 1);
        self.history.insert(at, (started, item));
        while self.history.len() > HISTORY_MAX {
            self.history.pop_front();
        }
    }
}

fn spoken(speaker: Speaker, text: &Arc<str>) -> ContextItem {
    match speaker {
        Speaker::Caller => ContextItem::Caller(Arc::clone(text)),
        Speaker::Agent => ContextItem::Agent(Arc::clone(text)),
    }
}

/// Splits words at the share of the audio that was heard. A word counts as heard when it was heard to its end.
fn split_heard(text: &str, cut: Option<&Cut>) -> (String, String) {
    let Some(cut) = cut else { return (text.to_owned(), String::new()) };
    if cut.total_ms == 0 {
        return (String::new(), text.to_owned());
    }
    let letters = text.chars().count() as u64;
    let heard_letters = letters * cut.heard_ms.min(cut.total_ms) / cut.total_ms;
    let mut end = 0;
    for (count, (at, c)) in (0u64..).zip(text.char_indices()) {
        if count > heard_letters {
            break;
        }
        if c.is_whitespace() {
            end = at;
        }
    }
    if heard_letters >= letters {
        end = text.len();
    }
    (text[..end].trim().to_owned(), text[end..].trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(ms: u64) -> CallTime {
        Duration::from_millis(ms)
    }

    fn id(name: &str) -> Arc<str> {
        name.into()
    }

    fn cut(item: &str, heard_ms: u64, total_ms: u64) -> Cut {
        Cut { item: id(item), heard_ms, total_ms }
    }

    #[test]
    fn a_late_transcript_keeps_its_place_before_the_answer_it_caused() {
        let mut turns = Turns::default();
        turns.caller_began(at(1000), &id("u1"));
        turns.caller_stopped(at(2000), &id("u1"));
        turns.agent_words(&id("a1"), "It is on its way.");
        assert_eq!(turns.agent_began(at(2400), &id("a1")), Some(at(400)));
        turns.answers_complete();
        turns.heard_all(at(4000));
        let answer = turns.finished(at(4000), false);
        assert_eq!(answer.len(), 1);
        let question = turns.caller_said(at(4100), &id("u1"), "Where is my order?");
        assert_eq!((question.started, question.ended), (at(1000), at(2000)));
        assert!(question.started < answer[0].started);
        let order: Vec<_> = turns.history().map(|(_, item)| matches!(item, ContextItem::Caller(_))).collect();
        assert_eq!(order, [true, false]);
    }

    #[test]
    fn an_interrupted_turn_is_split_at_what_was_heard() {
        let mut turns = Turns::default();
        turns.agent_began(at(0), &id("a1"));
        turns.agent_said(&id("a1"), "one two three four five");
        turns.heard_part(at(500), &[cut("a1", 500, 1000)]);
        let turn = turns.finished(at(500), false).remove(0);
        assert_eq!((&*turn.text, &*turn.unheard, turn.interrupted), ("one two", "three four five", true));
    }

    #[test]
    fn what_was_made_but_never_began_to_play_is_not_a_turn() {
        let mut turns = Turns::default();
        turns.agent_said(&id("a1"), "never heard");
        turns.heard_part(at(0), &[cut("a1", 0, 900)]);
        assert_eq!(turns.finished(at(1), false), []);
    }

    #[test]
    fn a_turn_is_over_only_when_its_words_are_complete_and_heard() {
        let mut turns = Turns::default();
        turns.agent_began(at(0), &id("a1"));
        turns.agent_words(&id("a1"), "half a sen");
        turns.heard_all(at(100));
        assert_eq!(turns.finished(at(100), false), []);
        turns.answers_complete();
        assert_eq!(&*turns.finished(at(200), false)[0].text, "half a sen");
    }

    #[test]
    fn words_heard_follow_the_share_of_audio_heard() {
        for (heard, expected) in
            [(0, ""), (1, ""), (466, ""), (467, "namaste"), (999, "namaste ji"), (1000, "namaste ji haan")]
        {
            assert_eq!(split_heard("namaste ji haan", Some(&cut("a", heard, 1000))).0, expected, "at {heard} ms");
        }
        assert_eq!(split_heard("नमस्ते जी", Some(&cut("a", 700, 1000))).0, "नमस्ते");
    }

    #[test]
    fn of_two_turns_heard_in_a_row_the_first_ends_where_the_second_begins() {
        let mut turns = Turns::default();
        for (item, began) in [("a1", 0), ("a2", 900)] {
            turns.agent_said(&id(item), "words");
            turns.agent_began(at(began), &id(item));
        }
        turns.heard_all(at(2000));
        let ends: Vec<_> = turns.finished(at(2000), false).iter().map(|turn| turn.ended).collect();
        assert_eq!(ends, [at(900), at(2000)]);
    }

    #[test]
    fn history_is_bounded_and_latency_is_measured_once() {
        let mut turns = Turns::default();
        for n in 0..200u64 {
            let item = id(&n.to_string());
            turns.caller_began(at(n * 10), &item);
            turns.caller_stopped(at(n * 10 + 5), &item);
            let _ = turns.caller_said(at(n * 10 + 5), &item, "haan");
        }
        assert_eq!(turns.history().count(), HISTORY_MAX);
        assert_eq!(turns.agent_began(at(2000), &id("a")), Some(at(5)));
        assert_eq!(turns.agent_began(at(2100), &id("b")), None);
    }

    #[test]
    fn a_turn_written_down_leaves_the_others_under_way() {
        let mut turns = Turns::default();
        turns.agent_words(&id("a1"), "");
        turns.agent_words(&id("a2"), "Ek minute");
        for item in ["u1", "u2"] {
            turns.caller_began(at(0), &id(item));
        }
        assert!(!turns.owes_transcript(), "the caller still speaks");
        turns.caller_stopped(at(500), &id("u1"));
        assert!(turns.owes_transcript());
        let _ = turns.caller_said(at(600), &id("u1"), "haan");
        assert!(!turns.owes_transcript());
        assert_eq!(turns.agent_items(), [id("a1"), id("a2")]);
        assert_eq!(&*turns.agent_under_way(), "Ek minute");
    }

    #[test]
    fn words_of_one_item_are_kept_up_to_64_kib() {
        let mut turns = Turns::default();
        turns.agent_words(&id("a1"), &"x".repeat(64 * 1024 - 1));
        turns.agent_words(&id("a1"), "y");
        turns.agent_words(&id("a1"), "z");
        assert_eq!(turns.agent_under_way().len(), 64 * 1024);
    }

    #[test]
    fn the_oldest_of_too_many_utterances_is_dropped() {
        let mut turns = Turns::default();
        for n in 0..=OPEN_MAX {
            turns.agent_words(&id(&n.to_string()), "x");
        }
        assert_eq!(turns.agent_items().len(), OPEN_MAX);
        assert_eq!(turns.agent_items().first(), Some(&id("1")));
    }

    #[test]
    fn a_turn_that_goes_on_after_a_silence_ends_when_all_of_it_is_heard() {
        let mut turns = Turns::default();
        turns.agent_said(&id("a1"), "words");
        for began in [0, 500] {
            turns.agent_began(at(began), &id("a1"));
        }
        turns.heard_all(at(1000));
        let turn = turns.finished(at(1000), false).remove(0);
        assert_eq!((turn.started, turn.ended), (at(0), at(1000)));
    }

    #[test]
    fn a_turn_that_has_not_begun_is_not_heard_with_the_one_before_it() {
        let mut turns = Turns::default();
        turns.agent_said(&id("a1"), "later");
        turns.heard_all(at(100));
        assert_eq!(turns.finished(at(100), false), []);
        turns.agent_began(at(200), &id("a1"));
        turns.heard_all(at(300));
        assert_eq!(turns.finished(at(300), false).len(), 1);
    }

    #[test]
    fn sound_without_words_is_not_a_turn_and_the_callers_turns_are_left_to_their_transcript() {
        let mut turns = Turns::default();
        turns.agent_began(at(0), &id("a1"));
        turns.agent_began(at(1), &id("a2"));
        turns.agent_words(&id("a2"), "half");
        turns.caller_began(at(2), &id("u1"));
        turns.caller_stopped(at(3), &id("u1"));
        turns.caller_began(at(4), &id("u2"));
        let last: Vec<_> = turns.finished(at(5), true).iter().map(|turn| turn.text.to_string()).collect();
        assert_eq!(last, ["half"]);
        let without: Vec<_> = turns.without_words(at(6)).iter().map(|turn| (turn.started, turn.ended)).collect();
        assert_eq!(without, [(at(2), at(3))], "one that goes on has not ended without words");
        assert_eq!(turns.history().count(), 1, "a turn without words is not told to the next session");
    }

    #[test]
    fn history_is_in_the_order_in_which_speech_began_and_of_two_at_once_in_that_of_their_coming() {
        let mut turns = Turns::default();
        for (began, text) in [(0, "a"), (10, "c"), (5, "b"), (10, "d"), (20, "")] {
            turns.recall(at(began), Speaker::Agent, &id(text));
        }
        let told: Vec<_> = turns.history().map(|(_, item)| item.clone()).collect();
        assert_eq!(told, ["a", "b", "c", "d"].map(|text| ContextItem::Agent(text.into())));
    }

    #[test]
    fn what_has_begun_is_told_as_far_as_it_is_known() {
        let mut turns = Turns::default();
        turns.agent_began(at(1), &id("a1"));
        turns.agent_began(at(2), &id("a2"));
        turns.agent_words(&id("a2"), "Ek minute ");
        turns.agent_words(&id("a3"), "not begun");
        turns.caller_began(at(3), &id("u1"));
        let told: Vec<_> = turns.under_way().collect();
        assert_eq!(told[0], (at(2), ContextItem::Agent("Ek minute".into())));
        assert!(matches!(&told[1], (began, ContextItem::Note(_)) if *began == at(3)), "words are still to come");
        assert_eq!(told.len(), 2);
    }
}
