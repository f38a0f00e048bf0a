//! What truly happened in a simulated call, against which its record is judged.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use caly_actors::domain::CallTime;
use caly_actors::ports::{ContextItem, JournalEntry};
use caly_actors::supervise::PlannedPanic;
use caly_actors::supervisor::LiveCall;
use tokio::time::Instant;

use super::support::{MemoryJournal, OPENED};

/// Length of a word and of the pieces its sound comes in.
pub const WORD_MS: u64 = 200;
pub const PIECE_MS: u64 = 100;
/// Most that may be heard twice after a hold: the latest a mark comes here.
pub const REPEATED_MS_MAX: u64 = 400;

/// What the caller said to a session.
pub struct Question {
    pub began: Instant,
    /// When it was part of the conversation.
    pub committed: Instant,
    /// When its words were known.
    pub known: Instant,
    pub words: &'static str,
}

/// Sound of the agent that was made: each piece has a value of its own, by which the ear knows it.
#[derive(Default)]
pub struct Truth {
    /// Item and place of each piece made, by its value; the newest with that value.
    pieces: BTreeMap<u8, (Arc<str>, u64)>,
    next: u64,
    /// Milliseconds made of each item.
    pub made: BTreeMap<Arc<str>, u64>,
    /// Milliseconds heard of each item.
    pub heard: BTreeMap<Arc<str>, u64>,
    /// Samples of each item that went to a socket that was dead without anybody knowing.
    pub sunk: BTreeMap<Arc<str>, u64>,
    /// The last piece heard of each item, and how often the ear had been cleared then.
    last: BTreeMap<Arc<str>, (u64, u64)>,
    /// Tool calls of the engine, and those answered.
    pub asked: BTreeSet<Arc<str>>,
    pub answered: BTreeSet<Arc<str>>,
    /// When the first sound of each item was heard.
    pub began: BTreeMap<Arc<str>, Instant>,
    /// What the caller said: when they began, when their words were known, and these.
    pub said: Vec<(Instant, Instant, &'static str)>,
    /// When the carrier told of the end: a session that is opened later only writes down what was said.
    pub hung_up: Option<Instant>,
    /// When a session was told what came of a tool call.
    pub told: Vec<Instant>,
    /// When an answer was asked for.
    pub asked_for: Vec<Instant>,
    /// What sessions were told as facts: which session, when, and what.
    pub noted: Vec<(usize, Instant, Arc<str>)>,
    /// … to sessions that were there to hear it.
    pub questions: Vec<Question>,
    /// When an answer was begun.
    pub begun: Vec<Instant>,
    /// The engine was told to read something back.
    pub proposing: bool,
    /// What the caller said to a session and it did not write down: the item, when they began, and their words.
    pub unwritten: Vec<(Arc<str>, Instant, &'static str)>,
    /// … and that will be written down, in the order in which they were said.
    pub to_write: Vec<Arc<str>>,
    /// Items that each session holds, and their tokens.
    pub held: BTreeMap<usize, Vec<(Arc<str>, u64)>>,
    /// So many of the sessions opened first are no more.
    void: usize,
    /// When each session was opened, and with what.
    pub opened: Vec<(Instant, Vec<ContextItem>)>,
    /// The call's journal.
    pub journal: Option<Arc<MemoryJournal>>,
    /// How often the ear was told to forget what it had not heard.
    pub clears: u64,
    pub violations: Vec<String>,
    /// The faults that this call had.
    pub faults: BTreeSet<&'static str>,
    /// Before which of the call's events which child panics, and how many there were.
    pub panics: Vec<(u64, u64)>,
    events: u64,
    pub call: Option<Arc<LiveCall>>,
    /// When the call began.
    pub epoch: Option<Instant>,
    /// What happened, for whoever looks at a seed.
    pub log: Vec<String>,
}

pub type Shared = Rc<RefCell<Truth>>;

impl Truth {
    pub fn violated(&mut self, what: String) {
        self.violations.push(what);
    }

    pub fn note(&mut self, what: String) {
        let epoch = *self.epoch.get_or_insert_with(Instant::now);
        if self.log.len() < 2_000 {
            super::memory::ours(|| self.log.push(format!("{:>9.3} {what}", epoch.elapsed().as_secs_f64())));
        }
    }

    /// A fault has come up.
    pub fn fault(&mut self, fault: &'static str) {
        self.faults.insert(fault);
    }

    /// Something happens to the call; a child may be planned to panic in between.
    pub fn happens(&mut self) {
        self.events += 1;
        let due = self.panics.iter().position(|(event, _)| *event <= self.events);
        let Some((_, child)) = due.map(|at| self.panics.remove(at)) else { return };
        self.note(format!("child {child} panics at event {}", self.events));
        let Some(call) = self.call.clone() else { return };
        if panic_in(&call, child) {
            self.fault(
                [
                    "media panics at an event",
                    "realtime panics at an event",
                    "intent panics at an event",
                    "actions panic at an event",
                    "call panics at an event",
                ][child as usize],
            );
        }
    }

    /// The session that the call had is gone, and with it any that was being opened to take its place.
    pub fn session_lost(&mut self) {
        self.void = OPENED.with(|opened| opened.borrow().len());
    }

    /// Nobody waits for this session any more.
    pub fn is_void(&self, session: usize) -> bool {
        session <= self.void
    }

    /// A turn of the caller's is written down; whether it is the oldest of those that will be.
    pub fn written_in_order(&mut self, item: &str) -> bool {
        let at = self.to_write.iter().position(|other| **other == *item);
        at.is_none_or(|at| {
            self.to_write.remove(at);
            at == 0
        })
    }

    /// A session holds one more item.
    pub fn hold(&mut self, session: usize, item: &Arc<str>, tokens: u64, first: bool) {
        let items = self.held.entry(session).or_default();
        items.insert(if first { 0 } else { items.len() }, (Arc::clone(item), tokens));
    }

    /// Tokens of all that a session holds.
    pub fn tokens(&self, session: usize) -> u64 {
        self.held.get(&session).into_iter().flatten().map(|(_, tokens)| tokens).sum()
    }

    /// Since when the session that was opened last is given what the one before had heard.
    pub fn hears_again_since(&self) -> Option<CallTime> {
        let entries = self.journal.as_ref().map(|journal| journal.0.lock().unwrap().clone()).unwrap_or_default();
        let told = |entry: &JournalEntry| match entry {
            JournalEntry::Event { kind: "caller_heard_again", detail, at, .. } => {
                let detail: serde_json::Value = serde_json::from_str(detail).unwrap();
                Some(Some(at.saturating_sub(CallTime::from_millis(detail["ms"].as_u64().unwrap()))))
            }
            JournalEntry::Event { kind: "engine_lost" | "engine_renewed", .. } => Some(None),
            _ => None,
        };
        entries.iter().rev().find_map(told).flatten()
    }

    /// What the caller said last of what is heard again and nobody wrote down.
    pub fn heard_again(&mut self, since: CallTime) -> Option<(Arc<str>, Instant, &'static str)> {
        let epoch = *self.epoch.get_or_insert_with(Instant::now);
        self.unwritten.retain(|(_, began, _)| began.saturating_duration_since(epoch) >= since);
        self.unwritten.pop()
    }

    /// The value of a new piece: never that of silence.
    pub fn piece(&mut self, item: &Arc<str>) -> u8 {
        let made = self.made.entry(Arc::clone(item)).or_default();
        let place = *made / PIECE_MS;
        *made += PIECE_MS;
        let value = (self.next % 240) as u8;
        self.next += 1;
        self.pieces.insert(value, (Arc::clone(item), place));
        value
    }

    /// So many samples of a piece reached the ear, the first of them then.
    pub fn ear(&mut self, value: u8, samples: u64, at: Instant) {
        let Some((item, place)) = self.pieces.get(&value).cloned() else { return };
        *self.heard.entry(Arc::clone(&item)).or_default() += samples;
        self.began.entry(Arc::clone(&item)).or_insert(at);
        let (last, clears) = self.last.entry(Arc::clone(&item)).or_insert((place, self.clears));
        // After a hold it may go on a little before where the ear was: a late mark hides how far that is.
        let back = if self.clears > *clears { REPEATED_MS_MAX / PIECE_MS } else { 0 };
        *clears = self.clears;
        if place + back < *last {
            self.violations.push(format!("{item}: piece {place} is heard after piece {last}"));
        }
        *last = place;
    }

    /// So many samples of a piece went to a socket that was dead without anybody knowing.
    pub fn sunk(&mut self, value: u8, samples: u64) {
        if let Some((item, _)) = self.pieces.get(&value).cloned() {
            *self.sunk.entry(item).or_default() += samples;
        }
    }

    /// Whether something planned and begun then was agreed to in between: the agent was heard, the caller spoke after it,
    /// their words were a yes, and no later words of theirs were a no. Later is what they began to say later: its words may
    /// be written down first.
    pub fn agreed(&self, planned: Instant, begun: Instant) -> bool {
        let read_back = self.began.values().copied().filter(|at| *at > planned && *at < begun).min();
        // What goes to the carrier is heard that much later.
        let Some(asked) = read_back.map(|heard| heard - Duration::from_millis(REPEATED_MS_MAX)) else { return false };
        let known = |said: &&(Instant, Instant, &str)| said.0 >= asked && said.1 <= begun;
        let answers: Vec<_> = self.said.iter().filter(known).collect();
        let yes = answers.iter().filter(|said| matches!(said.2, "haan" | "theek hai")).map(|said| said.0).max();
        let no = answers.iter().filter(|said| said.2 == "nahi ruko").map(|said| said.0).max();
        yes.is_some_and(|yes| no.is_none_or(|no| no <= yes))
    }

    /// Heard of an item, in ms; with what was lost in a way in which nobody could know of it.
    pub fn heard_ms(&self, item: &str) -> u64 {
        [&self.heard, &self.sunk].iter().filter_map(|of| of.get(item)).sum::<u64>() / 8
    }
}

/// Has a child of a call panic, or with 4 the call's own actor; `false` if it is gone.
pub fn panic_in(call: &LiveCall, child: u64) -> bool {
    let Some(children) = call.children() else { return false };
    match child {
        0 => children.media.do_send(PlannedPanic),
        1 => children.realtime.do_send(PlannedPanic),
        2 => children.intent.do_send(PlannedPanic),
        3 => children.actions.do_send(PlannedPanic),
        _ => call.actor.do_send(PlannedPanic),
    }
    true
}

/// The `n`th word of an item: it tells whose it is.
pub fn word(item: &str, n: u64) -> String {
    // Of equal length, since what was heard is told by letters.
    format!("{item}-{n:02}")
}

/// The item and place of a word.
pub fn place(word: &str) -> Option<(&str, u64)> {
    let (item, n) = word.rsplit_once('-')?;
    Some((item, n.parse().ok()?))
}
