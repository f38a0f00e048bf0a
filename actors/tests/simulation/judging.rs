//! The questions that are asked of a call once it is over.

use caly_actors::domain::*;
use caly_actors::ports::*;

use super::ledger::{self, Truth, WORD_MS};
use super::support::*;
use super::{HEARD_SLACK_MS, SECOND, Script, memory};

/// How coarse the clock of timers is.
const TICK: CallTime = CallTime::from_millis(5);

impl Script {
    pub(super) async fn judge_after(&self) -> Vec<String> {
        if let Err(problem) = self.wait().await {
            return vec![problem];
        }
        self.judge_memory();
        if self.keeper.is_away() {
            self.truth.borrow_mut().fault("database is away when the call ends");
        }
        if self.keeper.is_away() && self.dice.clone().percent(70) {
            // Long after the call the journal lies on disk, or waits in memory.
            self.truth.borrow_mut().fault("database is away beyond the end");
            tokio::time::sleep(SECOND * 10).await;
        }
        self.keeper.settle().await;
        self.judge()
    }

    /// No more was held than a call may hold.
    fn judge_memory(&self) {
        let mut truth = self.truth.borrow_mut();
        let flooded = truth.faults.contains("flood of sound");
        let (most, bound) = (memory::look(), if flooded { memory::FLOODED_MAX } else { memory::CALL_MAX });
        MOST_HELD.with(|held| {
            let mut of = held.get();
            let one = &mut of[usize::from(flooded)];
            *one = most.max(*one);
            held.set(of);
        });
        if most > bound {
            truth.violated(format!("the call held {most} bytes"));
        }
    }

    fn judge(&self) -> Vec<String> {
        let mut truth = self.truth.borrow_mut();
        let entries = self.world.entries();
        let ends = entries.iter().filter(|entry| matches!(entry, JournalEntry::Ended { .. })).count();
        if ends != 1 || !matches!(entries.last(), Some(JournalEntry::Ended { .. })) {
            truth.violations.push(format!("{ends} ends are on record, the last entry is {:?}", entries.last()));
        }
        // Of what there is no room for in a flood, words stay whose sound was dropped.
        let drowned = truth.faults.contains("flood of sound");
        for turn in self.world.turns().iter().filter(|turn| turn.speaker == Speaker::Agent && !drowned) {
            let stored = turn.text.split_whitespace().filter_map(ledger::place);
            for (item, n) in stored {
                let heard = truth.heard_ms(item);
                if (n + 1) * WORD_MS > heard + HEARD_SLACK_MS {
                    truth.violations.push(format!("{item}: word {n} is stored, {heard} ms were heard"));
                    break;
                }
            }
        }
        let twice: Vec<String> = truth
            .heard
            .iter()
            .filter(|(item, samples)| {
                let made = truth.made.get(*item).copied().unwrap_or(0);
                **samples / 8 > made + ledger::REPEATED_MS_MAX * truth.clears
            })
            .map(|(item, samples)| format!("{item}: {} ms heard of {:?} made", samples / 8, truth.made.get(item)))
            .collect();
        truth.violations.extend(twice);
        truth.violations.extend(self.keeper.wrong());
        self.judge_on_record(&entries, &mut truth);
        let runs = self.world.actions.runs.lock().expect("not poisoned");
        for entry in &entries {
            if let JournalEntry::Action { action, .. } = entry
                && &*action.name == "book"
                && runs.get(&action.idempotency_key).is_some_and(|runs| *runs > 2)
            {
                truth.violations.push(format!(
                    "{} was tried {:?} times",
                    action.name,
                    runs.get(&action.idempotency_key)
                ));
            }
        }
        drop(runs);
        self.judge_confirmed(&entries, &mut truth);
        self.judge_hello(&entries, &mut truth);
        self.judge_answers(&mut truth);
        self.judge_contexts(&entries, &mut truth);
        self.judge_steered(&entries, &mut truth);
        std::mem::take(&mut truth.violations)
    }

    /// What writes was safe from a crash of the process before it was begun.
    fn judge_on_record(&self, entries: &[JournalEntry], truth: &mut Truth) {
        let begun = self.world.actions.begun.lock().expect("not poisoned");
        for (key, at) in begun.iter() {
            let mut running = entries.iter().enumerate().filter_map(|(n, entry)| match entry {
                JournalEntry::Action { action, .. } if action.idempotency_key == *key => {
                    (action.state == ActionState::Running).then_some((n, &action.name))
                }
                _ => None,
            });
            let safe = |n: usize| self.keeper.safe_since(n).is_some_and(|since| since <= *at);
            let writes = |name: &str| matches!(name, "book" | "confirmed");
            if !running.any(|(n, name)| !writes(name) || safe(n)) {
                truth.violated(format!("{key} was begun before it was on record"));
            }
        }
    }

    /// When whoever was rung up had said hello, or time enough to: never, if the call was over by then. Nothing in other calls.
    fn hello(&self, entries: &[JournalEntry]) -> Option<CallTime> {
        let waits = |entry: &JournalEntry| matches!(entry, JournalEntry::Admitted(facts) if facts.direction == Direction::Outbound);
        let hello = entries.iter().find_map(|entry| match entry {
            JournalEntry::Event { kind: "hello", at, .. } => Some(*at),
            _ => None,
        });
        entries.iter().any(waits).then(|| hello.unwrap_or(CallTime::MAX))
    }

    /// Before that the agent says nothing of its own.
    fn judge_hello(&self, entries: &[JournalEntry], truth: &mut Truth) {
        let Some(hello) = self.hello(entries) else { return };
        HELLOS.with(|count| count.set(count.get() + u64::from(hello < CallTime::MAX)));
        let began = truth.began.iter().map(|(item, began)| (item, began.duration_since(self.world.epoch)));
        let mut early: Vec<String> = began
            .filter(|(_, began)| *began < hello)
            .map(|(item, began)| format!("{item} was heard at {began:?}, before a hello at {hello:?}"))
            .collect();
        let turns = self.world.turns();
        let greeted = turns.iter().filter(|turn| &*turn.text == "Namaste" && turn.started < hello);
        early.extend(greeted.map(|turn| format!("greeted at {:?}, before a hello at {hello:?}", turn.started)));
        truth.violations.extend(early);
    }

    /// Every question was followed by the wish for an answer, or by an answer asked for before. Behind a flood of sound nobody
    /// waits for one, and in a flood of turns they are not told apart. What the line has for the agent's own voice is nobody's:
    /// the engine here hears words where there is next to no sound.
    fn judge_answers(&self, truth: &mut Truth) {
        let drowned = ["flood of sound", "flood of turns"].iter().any(|flood| truth.faults.contains(flood));
        let echo = |entry: &JournalEntry| matches!(entry, JournalEntry::Event { kind: "agent_went_on", detail, .. } if detail.contains("echo"));
        let drowned = drowned || self.world.entries().iter().any(echo);
        // A hello is answered by the greeting.
        let hello = self.hello(&self.world.entries());
        let questions = truth.questions.iter().filter(|said| said.words == "mera order kahan hai" && !drowned);
        let questions =
            questions.filter(|said| hello.is_none_or(|hello| said.began.duration_since(self.world.epoch) > hello));
        let ended = self.ended.get().unwrap_or_default();
        let unanswered = questions.filter(|said| {
            let until = said.known + ANSWERED;
            let live = until.duration_since(self.world.epoch) < ended;
            let asked = truth.asked_for.iter().any(|asked| (said.began..=until).contains(asked));
            let begun = truth.begun.iter().any(|begun| (said.committed..=until).contains(begun));
            live && !asked && !begun
        });
        let told = unanswered.map(|said| {
            let at = said.began.duration_since(self.world.epoch);
            format!("nobody asked for an answer to what was said at {at:?}")
        });
        let mut told: Vec<String> = told.collect();
        // What came of a tool call is spoken of in an answer that was asked for since. Of one whose end is not told, nobody knows
        // that it is over before a flood of sound is.
        let endless = ["flood of sound", "the end of an answer is not told"];
        let endless = endless.iter().all(|fault| truth.faults.contains(fault));
        let untold = truth.told.iter().filter(|_| !endless).find(|at| {
            let until = **at + ANSWERED;
            let live = until.duration_since(self.world.epoch) < ended;
            live && !truth.asked_for.iter().any(|asked| (**at..=until).contains(asked))
        });
        told.extend(untold.map(|at| {
            format!("nobody asked for an answer to the output told at {:?}", at.duration_since(self.world.epoch))
        }));
        QUESTIONS.with(|count| count.set(count.get() + truth.questions.len() as u64));
        truth.violations.extend(told);
    }

    /// Every session was told no more than it can hold, and of everything that was done before it.
    fn judge_contexts(&self, entries: &[JournalEntry], truth: &mut Truth) {
        let noted = |kind: &str| self.world.events(kind) as u64;
        SHORTENED.with(|count| count.set(count.get() + noted("context_shortened")));
        RENEWED.with(|count| count.set(count.get() + noted("engine_renewed")));
        let window = WINDOW.with(std::cell::Cell::get) as usize;
        let mut wrong = Vec::new();
        for (before, (at, context)) in truth.opened.iter().enumerate() {
            let notes = truth.noted.iter().filter(|(session, ..)| *session == before + 1).map(|(.., text)| &**text);
            wrong.extend(told_twice(context, &notes.collect::<Vec<_>>(), entries));
            let bytes: usize = context.iter().map(ContextItem::bytes).sum();
            if bytes / 4 > window {
                wrong.push(format!("a session that holds {window} tokens was told {bytes} bytes"));
            }
            // What ended while it was being opened is told to it as a note.
            let before = at.duration_since(self.world.epoch).saturating_sub(SECOND * 3);
            for entry in entries {
                let JournalEntry::Action { action, .. } = entry else { continue };
                let done = action.state == ActionState::Done && matches!(&*action.name, "book" | "confirmed");
                let output = action.output.as_deref().unwrap_or_default();
                let noted = || truth.noted.iter().any(|(_, when, text)| when >= at && text.contains(output));
                let for_words = truth.hung_up.is_some_and(|hung_up| *at > hung_up);
                if done
                    && !for_words
                    && action.changed < before
                    && !context.iter().any(|item| tells_of(item, action))
                    && !noted()
                {
                    wrong.push(format!("the session opened at {at:?} was not told of {action:?}: {context:?}"));
                }
            }
        }
        truth.violations.extend(wrong);
    }

    /// What needs the caller's yes was begun only after one, once.
    fn judge_confirmed(&self, entries: &[JournalEntry], truth: &mut Truth) {
        let planned = self.world.actions.planned.lock().expect("not poisoned");
        let begun = self.world.actions.begun.lock().expect("not poisoned");
        let runs = self.world.actions.runs.lock().expect("not poisoned");
        for (key, planned) in planned.iter() {
            let Some(at) = begun.get(key) else { continue };
            CONFIRMED.with(|count| count.set(count.get() + 1));
            if !truth.agreed(*planned, *at) {
                let epoch = self.world.epoch;
                let since = |at: tokio::time::Instant| at.duration_since(epoch);
                let said: Vec<_> = truth.said.iter().map(|said| (since(said.0), since(said.1), said.2)).collect();
                let began: Vec<_> = truth.began.iter().map(|(item, at)| (item, since(*at))).collect();
                let (planned, begun) = (since(*planned), since(*at));
                truth.violations.push(format!(
                    "{key} was begun at {begun:?} and nobody had agreed to it since {planned:?}: said {said:?}, heard {began:?}"
                ));
            }
            if runs.get(key) != Some(&1) {
                truth.violations.push(format!("{key} was agreed to once and begun {:?} times", runs.get(key)));
            }
            let on_record = |entry: &&JournalEntry| {
                matches!(entry, JournalEntry::Action { action, .. }
                    if action.idempotency_key == *key && action.state == ActionState::Confirmed)
            };
            if entries.iter().filter(on_record).count() != 1 {
                truth.violations.push(format!("{key} is not on record as confirmed once"));
            }
        }
    }
}

/// An entry in words that another call with the same seed would have, and its times.
#[derive(Debug)]
pub(super) struct Told(String, Vec<CallTime>);

pub(super) fn told(entry: &JournalEntry) -> Told {
    match entry {
        JournalEntry::Turn { turn, .. } => {
            let Turn { speaker, text, unheard, started, ended, .. } = turn;
            Told(format!("{speaker:?} {text:?} {unheard:?}"), vec![*started, *ended])
        }
        JournalEntry::Event { kind, at, .. } => Told((*kind).to_owned(), vec![*at]),
        JournalEntry::Action { action, .. } => {
            Told(format!("{} {:?}", action.name, action.state), vec![action.changed])
        }
        JournalEntry::Ended { reason, at, .. } => Told(format!("ended {reason:?}"), vec![*at]),
        JournalEntry::Decided { after, .. } => Told(format!("decided {after:?}"), vec![]),
        other => Told(format!("{:?}", std::mem::discriminant(other)), vec![]),
    }
}

impl Told {
    /// Whether nobody could tell them apart: other wakers wake within other milliseconds.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.0 == other.0 && self.1.iter().zip(&other.1).all(|(one, other)| one.abs_diff(*other) <= TICK)
    }
}

/// Most kilobytes that a call held; one that was flooded with sound.
pub(super) fn most_held() -> [i64; 2] {
    MOST_HELD.with(|held| held.get().map(|bytes| bytes / 1024))
}

/// Whether an item of a context tells what became of an action.
fn tells_of(item: &ContextItem, action: &Action) -> bool {
    match item {
        ContextItem::Tool { name, arguments, .. } => *name == action.name && *arguments == action.arguments,
        ContextItem::Note(text) => {
            let arguments = action.arguments.replace('"', "\\\"");
            text.contains(&format!(r#""action":"{}""#, action.name)) && text.contains(&arguments)
        }
        ContextItem::Caller(_) | ContextItem::Agent(_) => false,
    }
}

/// Results that a session was told more often than there were: by its context, and by notes.
fn told_twice(context: &[ContextItem], notes: &[&str], entries: &[JournalEntry]) -> Vec<String> {
    let mut done: Vec<&Action> = Vec::new();
    for entry in entries {
        match entry {
            JournalEntry::Action { action, .. } if action.state == ActionState::Done => {
                done.retain(|known| known.id != action.id);
                done.push(action);
            }
            _ => {}
        }
    }
    let alike = |one: &Action, other: &Action| one.name == other.name && one.output == other.output;
    let twice = done.iter().filter(|action| {
        let result = action.output.as_deref().unwrap_or_default();
        let times = done.iter().filter(|other| alike(action, other)).count();
        let late = format!("The tool {} has finished. Its output: {result}", action.name);
        let told = |item: &&ContextItem| {
            matches!(item, ContextItem::Tool { name, output, .. } if *name == action.name && **output == *result)
        };
        context.iter().filter(told).count() + notes.iter().filter(|note| **note == late).count() > times
    });
    twice.map(|action| format!("a session was told more than once of {action:?}")).collect()
}

impl Script {
    /// What the call did by itself: once, never while a write ran, and as its agent's policies say.
    fn judge_steered(&self, entries: &[JournalEntry], truth: &mut Truth) {
        let policies = self.world.call.facts.agent.policies;
        let (mut running, mut closed, mut decided, mut suppressed) = (Vec::new(), 0, Vec::new(), 0);
        for entry in entries {
            match entry {
                JournalEntry::Action { action, .. } if matches!(&*action.name, "book" | "confirmed") => {
                    running.retain(|id| *id != action.id);
                    running.extend((action.state == ActionState::Running).then_some(action.id));
                }
                JournalEntry::Event { kind: "steered", detail, .. }
                    if detail.contains("handed_over") || detail.contains("ended") =>
                {
                    closed += 1;
                    STEERED.with(|count| count.set(count.get() + 1));
                    if !running.is_empty() {
                        truth.violations.push(format!("{detail} while a write ran"));
                    }
                    if detail.contains("person") && policies.person == PersonPolicy::Engine {
                        truth.violations.push(format!("{detail}, which is the engine's to do"));
                    }
                }
                JournalEntry::Decided { after, .. } => decided.push((closed, *after)),
                JournalEntry::DoNotCall { .. } => suppressed += 1,
                _ => {}
            }
        }
        // A call whose own actor is given up decides nothing any more.
        let gave_up =
            entries.iter().any(|entry| matches!(entry, JournalEntry::Ended { reason: EndReason::CallPanicked, .. }));
        if decided.len() != usize::from(!gave_up) || closed > 1 || suppressed > 1 {
            truth.violations.push(format!("{} decisions, {closed} steered ends, {suppressed} numbers", decided.len()));
        }
    }
}

/// A question waits no longer than this, whatever happens to the engine meanwhile.
const ANSWERED: std::time::Duration = std::time::Duration::from_secs(20);

thread_local! {
    /// Most bytes that a call held; one that was flooded with sound.
    static MOST_HELD: std::cell::Cell<[i64; 2]> = const { std::cell::Cell::new([0; 2]) };
    /// What callers said, in all calls.
    pub static QUESTIONS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
    /// Times that older turns made way, in all calls.
    pub static SHORTENED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
    /// Calls in which the agent greeted whoever it had rung up, after a hello or without one, in all.
    pub static HELLOS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
    /// Sessions that took the place of one that went on until then, in all calls.
    pub static RENEWED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
    /// Calls that were ended or handed over for what the caller asked, in all.
    pub static STEERED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
    /// Actions that were agreed to and begun, in all calls.
    pub static CONFIRMED: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}
