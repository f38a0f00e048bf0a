//! Who said what, as heard: utterances under way, which become history when they are over.

use std::sync::Arc;

use super::aside::NOT_UNDERSTOOD;
use super::draft::Draft;
use super::heard::split_heard;
use super::history::{History, spoken};
use super::silenced::Silenced;
use super::waited::{Asked, Quiets, Stopped};
use crate::audio::playout::{AHEAD_MAX, Cut, FirstSound};
use crate::domain::{CallTime, Latency, Speaker, Turn};
use crate::ports::ContextItem;
use crate::understand::script::heard;

/// Letters a minute of calm speech, until the agent's own pace is known.
const PACE: u64 = 840;
/// Shorter turns do not tell a pace.
const PACE_MEASURED_MS: u64 = 500;
/// Utterances under way at once; more than a confused engine should make.
const OPEN_MAX: usize = 32;

/// See the module's text.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Turns {
    pub(super) open: Vec<Draft>,
    history: History,
    /// What the caller said last, until it is answered.
    pub(super) unanswered: Option<Asked>,
    /// … and once its answer has begun to be heard.
    pub(super) answering: Option<Arc<str>>,
    pub(super) quiets: Quiets,
    /// Since when there are turns of the caller of which it is forgotten when they began: there were too many at once.
    forgotten: Option<CallTime>,
    pub(super) silenced: Silenced,
    /// Since when the agent keeps silent, with words left to say.
    held: Option<CallTime>,
    /// How fast this agent speaks, in letters a minute; 0 until something was heard whole.
    pace: u64,
}

impl Turns {
    /// The caller began to speak.
    pub fn caller_began(&mut self, now: CallTime, item: &Arc<str>) {
        self.draft(Speaker::Caller, item).started.get_or_insert(now);
    }

    /// The caller stopped.
    pub fn caller_stopped(&mut self, now: CallTime, item: &Arc<str>, stopped: Stopped) {
        let began = self.forgotten.unwrap_or(now);
        let draft = self.draft(Speaker::Caller, item);
        let began = *draft.started.get_or_insert(began);
        draft.ended = Some(now);
        draft.stopped = Some(stopped);
        self.unanswered = Some(Asked { item: Arc::clone(item), began, stopped, committed: None });
    }

    /// The engine took what the caller said for a turn.
    pub fn caller_committed(&mut self, now: CallTime, item: &Arc<str>) {
        if let Some(asked) = self.unanswered.as_mut().filter(|asked| asked.item == *item) {
            asked.committed = Some(now);
        }
    }

    /// The line fell quiet.
    pub fn line_quiet(&mut self, since: CallTime) {
        self.quiets.note(since);
    }

    /// The recogniser wrote a caller turn down (or failed to: then there is nothing `written`). What it wrote in letters that
    /// Caly does not read is put into ones that it does, and kept beside.
    #[must_use]
    pub fn caller_said(&mut self, now: CallTime, item: &Arc<str>, written: &str) -> Turn {
        let heard = heard(written.trim());
        let known = self.open.iter().any(|draft| draft.speaker == Speaker::Caller && draft.item == *item);
        // What was committed before its end has an item of its own at some services.
        let cut_off = |draft: &&mut Draft| draft.speaker == Speaker::Caller && draft.cut_off;
        if let Some(draft) = self.open.iter_mut().find(cut_off).filter(|_| !known) {
            draft.item = Arc::clone(item);
        }
        let began = self.forgotten.unwrap_or(now);
        let draft = self.draft(Speaker::Caller, item);
        draft.text = heard.text.into_owned();
        draft.started.get_or_insert(began);
        draft.ended.get_or_insert(now);
        let draft = draft.clone();
        self.open.retain(|open| open.id != draft.id);
        Turn { raw: heard.raw.map(Into::into), ..self.close(now, draft) }
    }

    /// More words of the agent, as made (not yet as heard).
    pub fn agent_words(&mut self, response: &str, item: &Arc<str>, delta: &str) {
        if self.silenced.contains(response) && !self.is_open(item) {
            return self.silenced.words(item, delta);
        }
        let draft = self.draft(Speaker::Agent, item);
        // An answer is at most 4,096 tokens; this only stops a broken engine.
        if draft.text.len() < 64 * 1024 {
            draft.text.push_str(delta);
        }
    }

    /// What the caller said last wants no answer.
    pub fn no_answer_owed(&mut self) {
        self.unanswered = None;
        self.answered();
    }

    /// What the caller has said to its end.
    fn answered(&mut self) {
        for draft in self.open.iter_mut().filter(|draft| draft.speaker == Speaker::Caller) {
            draft.answered |= draft.ended.is_some();
        }
    }

    /// All the words of an agent item. Their sound may be still to come: its answer tells when that is all there, too.
    pub fn agent_said(&mut self, item: &Arc<str>, text: &str) {
        if self.silenced.contains(item) && !self.is_open(item) {
            return self.silenced.said(item, text);
        }
        text.clone_into(&mut self.draft(Speaker::Agent, item).text);
    }

    pub(super) fn is_open(&self, item: &str) -> bool {
        self.open.iter().any(|draft| draft.speaker == Speaker::Agent && *draft.item == *item)
    }

    /// The first audio of an agent item went out, or the first after a silence. Returns the latency if it answers the caller.
    pub fn agent_began(&mut self, now: CallTime, item: &Arc<str>, first: Option<FirstSound>) -> Option<Latency> {
        let sound = first.unwrap_or(FirstSound { made: now, sent: now, heard: now });
        // What was made before they had said it is no answer to it: a read-back goes on over what is said.
        let begun = self.open.iter().find(|draft| draft.item == *item).and_then(|draft| draft.started);
        let made = begun.map_or(sound.made, |begun| begun.min(sound.made));
        let asked = self.unanswered.take_if(|asked| made >= asked.stopped.at);
        if self.unanswered.is_none() {
            self.answered();
        }
        if let Some(asked) = &asked {
            self.answering = Some(Arc::clone(&asked.item));
        }
        let latency = asked.map(|asked| Latency {
            spoken: self.quiets.end_of_speech(asked.began, asked.stopped),
            committed: asked.committed,
            made: sound.made,
            sent: sound.sent,
            heard: Some(sound.heard),
        });
        self.heard_after_all(item);
        self.followed_by(now, item);
        // Sound is heard in the order in which it was made: what came before and has not begun has none.
        if let Some(at) = self.open.iter().position(|draft| draft.speaker == Speaker::Agent && draft.item == *item) {
            let before = self
                .open
                .drain(..at)
                .filter(|draft| draft.speaker != Speaker::Agent || draft.phrase || draft.started.is_some());
            let before: Vec<Draft> = before.collect();
            self.open.splice(..0, before);
        }
        let draft = self.draft(Speaker::Agent, item);
        draft.started.get_or_insert(now);
        (draft.ended, draft.drained) = (None, false);
        // It begins anew when nothing of it was heard before the caller made a sound.
        if let (Some(known), Some(first)) = (&mut draft.latency, first) {
            known.heard = Some(first.heard);
        }
        draft.latency = draft.latency.or(latency);
        latency
    }

    /// The carrier tells when an agent item began to be heard.
    pub fn agent_heard(&mut self, item: &Arc<str>, at: CallTime) {
        let draft = self.open.iter_mut().find(|draft| draft.speaker == Speaker::Agent && draft.item == *item);
        if let Some(latency) = draft.and_then(|draft| draft.latency.as_mut()) {
            latency.heard = Some(at);
        }
    }

    /// So much sound of an agent item was made in all.
    pub fn agent_sounded(&mut self, item: &str, sound: CallTime) {
        let draft = self.open.iter_mut().find(|draft| draft.speaker == Speaker::Agent && *draft.item == *item);
        draft.into_iter().for_each(|draft| draft.sound = Some(sound));
    }

    /// No answer is being made, and the last was made to its end: all words and all sound of every item are there.
    pub fn answers_complete(&mut self) {
        for draft in self.open.iter_mut().filter(|draft| draft.speaker == Speaker::Agent) {
            draft.complete = true;
        }
    }

    /// The agent falls silent in the middle of what it says.
    pub fn agent_holds(&mut self, now: CallTime) {
        self.held.get_or_insert(now);
    }

    /// … and goes on, or has nothing left to go on with.
    pub fn agent_goes_on(&mut self, now: CallTime) {
        let Some(since) = self.held.take() else { return };
        for draft in self.open.iter_mut().filter(|draft| draft.speaker == Speaker::Agent && draft.ended.is_none()) {
            let Some(started) = draft.started else { continue };
            if since <= started {
                // Nothing of it was heard before.
                draft.started = Some(now);
            } else {
                draft.held += now.saturating_sub(since);
            }
        }
    }

    /// Whoever knew how much of its words was heard is gone, and nothing more is heard.
    pub fn ear_lost(&mut self, now: CallTime) {
        let since = self.held.take().unwrap_or(now);
        let speaking = |draft: &&mut Draft| draft.speaker == Speaker::Agent && draft.started.is_some();
        for draft in self.open.iter_mut().filter(speaking).filter(|draft| draft.ended.is_none()) {
            (draft.ended, draft.lost) = (Some(since), true);
            // Where marks came late, some of it waited for them.
            draft.held += AHEAD_MAX;
        }
    }

    /// Everything sent was heard.
    pub fn heard_all(&mut self, now: CallTime) {
        for draft in self.open.iter_mut().filter(|draft| draft.speaker == Speaker::Agent && draft.started.is_some()) {
            draft.ended.get_or_insert(draft.followed.unwrap_or(now));
            draft.drained = true;
        }
    }

    /// What the agent is saying or about to say; its turns are on record when they are over.
    #[must_use]
    pub fn agent_under_way(&self) -> Arc<str> {
        let said = self.open.iter().filter(|draft| draft.is_said());
        said.map(|draft| &*draft.text).collect::<Vec<_>>().join(" ").into()
    }

    /// Items of the agent that are not heard to their end, as far as is known.
    pub fn agent_unheard(&self) -> impl Iterator<Item = &Arc<str>> {
        self.open
            .iter()
            .filter(|draft| draft.speaker == Speaker::Agent && !draft.phrase && draft.ended.is_none())
            .map(|draft| &draft.item)
    }

    /// What the agent said last before a time, or is saying.
    #[must_use]
    pub fn last_of_agent(&self, before: CallTime) -> Arc<str> {
        let under_way = self.agent_under_way();
        let said = || self.history.of_agent().rev().find(|(at, _)| *at <= before).map(|(_, text)| Arc::clone(text));
        if under_way.is_empty() { said().unwrap_or(under_way) } else { under_way }
    }

    /// All that the agent has said since a time, or is saying.
    #[must_use]
    pub fn agent_since(&self, since: CallTime) -> String {
        let said = self.history.of_agent().filter(|(at, _)| *at >= since).map(|(_, text)| &**text);
        let mut words = said.collect::<Vec<_>>().join(" ");
        words.push(' ');
        words.push_str(&self.agent_under_way());
        words
    }

    /// Playout was cut.
    pub fn heard_part(&mut self, now: CallTime, cuts: &[Cut]) {
        for cut in cuts {
            if let Some(draft) = self.open.iter_mut().find(|draft| draft.item == cut.item) {
                draft.cut = Some(cut.clone());
                draft.cut_short = draft.lost || !draft.complete;
                draft.ended = Some(self.held.unwrap_or(now));
            }
        }
        self.agent_goes_on(now);
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
            .map(|draft| self.close_agent(now, draft))
            .collect()
    }

    /// Since when the caller hears an item of the agent.
    #[must_use]
    pub fn heard_since(&self, item: &str) -> Option<CallTime> {
        let started = self.open.iter().find(|draft| draft.speaker == Speaker::Agent && *draft.item == *item)?.started;
        started.filter(|started| self.held.is_none_or(|held| held > *started))
    }

    /// Whether an item of the agent is being heard.
    #[must_use]
    pub fn is_being_heard(&self, item: &str) -> bool {
        let heard = |draft: &Draft| draft.speaker == Speaker::Agent && *draft.item == *item && draft.started.is_some();
        self.open.iter().any(|draft| heard(draft) && draft.ended.is_none())
    }

    /// What the caller is saying.
    #[must_use]
    pub fn caller_speaks(&self) -> Option<&Arc<str>> {
        let speaking = |draft: &&Draft| draft.speaker == Speaker::Caller && draft.ended.is_none() && !draft.aside;
        self.open.iter().rev().find(speaking).map(|draft| &draft.item)
    }

    /// Caller turns whose words are still owed.
    #[must_use]
    pub fn owes_transcript(&self) -> bool {
        self.open.iter().any(|draft| draft.speaker == Speaker::Caller && draft.ended.is_some())
    }

    /// When turns of the caller began whose words are not there yet.
    pub fn caller_pending(&self) -> impl Iterator<Item = CallTime> + '_ {
        self.open.iter().filter(|draft| draft.speaker == Speaker::Caller).filter_map(|draft| draft.started)
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

    /// Something that belongs to the conversation without having been said.
    pub fn noted(&mut self, now: CallTime, text: &Arc<str>) {
        self.history.remember(now, ContextItem::Note(Arc::clone(text)));
    }

    /// The history is so long that its older part should make way.
    #[must_use]
    pub fn is_long(&self) -> bool {
        self.history.is_long()
    }

    /// Forgets what was said before a time: it is told in another way.
    pub fn forget_before(&mut self, at: CallTime) {
        self.history.forget_before(at);
    }

    /// Utterances under way, as far as they are known: what the agent has begun to say, and turns of the caller that are not
    /// written down yet.
    pub fn under_way(&self) -> impl Iterator<Item = (CallTime, ContextItem)> + '_ {
        self.open.iter().filter(|draft| !draft.aside && !draft.untold).filter_map(|draft| {
            let started = draft.started?;
            let item = match (draft.speaker, draft.text.trim()) {
                (Speaker::Agent, "") => return None,
                (Speaker::Agent, text) => {
                    let heard = split_heard(text, draft.cut.as_ref()).0;
                    if heard.is_empty() {
                        return None;
                    }
                    ContextItem::Agent(heard.into())
                }
                (Speaker::Caller, "") => ContextItem::Note(NOT_UNDERSTOOD.into()),
                (Speaker::Caller, text) => ContextItem::Caller(text.into()),
            };
            Some((started, item))
        })
    }

    /// A stored sentence is to be heard. `told`: it is part of the conversation.
    pub fn phrase(&mut self, item: &Arc<str>, words: &str, told: bool) {
        let draft = self.draft(Speaker::Agent, item);
        (draft.phrase, draft.untold, draft.complete) = (true, !told, true);
        if !draft.text.is_empty() {
            draft.text.push(' ');
        }
        draft.text.push_str(words);
    }

    /// It begins to be heard.
    pub fn phrase_began(&mut self, now: CallTime, item: &Arc<str>) {
        self.heard_after_all(item);
        self.followed_by(now, item);
        if let Some(draft) = self.open.iter_mut().find(|draft| draft.phrase && draft.item == *item) {
            draft.started.get_or_insert(now);
            draft.ended = None;
        }
    }

    fn followed_by(&mut self, now: CallTime, item: &Arc<str>) {
        for other in self.open.iter_mut().filter(|draft| draft.speaker == Speaker::Agent && draft.item != *item) {
            if other.started.is_some() {
                other.followed.get_or_insert(now);
            }
        }
    }

    /// Puts into the history what a former process heard.
    pub fn recall(&mut self, at: CallTime, speaker: Speaker, text: &Arc<str>) {
        if !text.is_empty() {
            self.history.remember(at, spoken(speaker, text));
        }
    }

    pub(super) fn draft(&mut self, speaker: Speaker, item: &Arc<str>) -> &mut Draft {
        let at = self.open.iter().position(|draft| draft.item == *item && draft.speaker == speaker);
        let at = at.unwrap_or_else(|| {
            if self.open.len() >= OPEN_MAX {
                // A flood of one speaker's costs the other nothing.
                let oldest = self.open.iter().position(|draft| draft.speaker == speaker).unwrap_or(0);
                let oldest = self.open.remove(oldest);
                if oldest.speaker == Speaker::Caller {
                    self.forgotten = self.forgotten.or(oldest.started);
                }
                metrics::counter!("caly_utterances_dropped_total").increment(1);
            }
            self.open.push(Draft::new(speaker, Arc::clone(item)));
            self.open.len() - 1
        });
        &mut self.open[at]
    }

    /// What was heard of an agent's words: as the cut tells; all, if all was made and heard; else as many as this agent says
    /// in the time there was.
    fn close_agent(&mut self, now: CallTime, mut draft: Draft) -> Turn {
        let started = draft.started.unwrap_or(now);
        // It began when its first sound went out, behind what the carrier had to play.
        let ended = draft.ended.or(self.held).unwrap_or(now);
        let heard = ended.saturating_sub(started).saturating_sub(draft.held).saturating_sub(AHEAD_MAX);
        // Of what broke off, all that was made of it may have been heard; and where marks come late, nobody knows of a silence
        // behind that.
        let sound = draft.sound.filter(|_| draft.lost);
        let longest = if draft.drained { now.saturating_sub(started).saturating_sub(draft.held) } else { heard };
        let heard = sound.map_or(heard, |sound| sound.min(longest));
        let heard_ms = heard.as_millis() as u64;
        let letters = draft.text.trim().chars().count() as u64;
        let whole = draft.ended.is_some() && !draft.lost;
        let pace = if self.pace == 0 { PACE } else { self.pace };
        let total_ms = (letters * 60_000 / pace).max(1);
        if let Some(cut) = draft.cut.as_mut().filter(|_| draft.cut_short) {
            cut.total_ms = cut.total_ms.max(total_ms);
        } else if draft.cut.is_none() && !whole {
            draft.cut = (heard_ms < total_ms).then(|| Cut { item: Arc::clone(&draft.item), heard_ms, total_ms });
        } else if draft.cut.is_none() && !draft.phrase && heard_ms >= PACE_MEASURED_MS {
            let sound = draft.sound.unwrap_or(heard + AHEAD_MAX);
            self.pace = letters * 60_000 / (sound.as_millis() as u64).max(PACE_MEASURED_MS);
        }
        let unheard = draft.cut.as_ref().is_some_and(|cut| cut.heard_ms == 0);
        if let Some(latency) = &mut draft.latency {
            latency.heard = latency.heard.filter(|heard| !unheard && *heard <= now);
        }
        self.close(now, draft)
    }

    pub(super) fn close(&mut self, now: CallTime, draft: Draft) -> Turn {
        let (heard, unheard) = split_heard(draft.text.trim(), draft.cut.as_ref());
        let started = draft.started.unwrap_or(now);
        let ended = match draft.stopped {
            Some(stopped) => self.quiets.end_of_speech(started, stopped),
            None => draft.ended.unwrap_or(now),
        };
        let turn = Turn {
            id: draft.id,
            speaker: draft.speaker,
            text: heard.into(),
            raw: None,
            unheard: unheard.into(),
            interrupted: draft.cut.is_some(),
            started,
            ended: ended.max(started),
            latency: draft.latency,
        };
        if !turn.text.is_empty() && !draft.untold {
            self.history.remember(started, spoken(draft.speaker, &turn.text));
        }
        turn
    }
}

#[cfg(test)]
#[path = "turns_tests.rs"]
mod tests;
