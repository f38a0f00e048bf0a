//! Who goes on when both speak. The agent falls silent at the caller's first sound and keeps what it had to say; then it is
//! decided whether that was an interruption, a listener's "haan", or a noise.
//!
//! An interruption is speech that lasts, or words that are more than a listener's. Those words said at the very end of what
//! the agent says are an answer: "Shall I cancel it?" "Haan." How long somebody spoke is known late: the engine tells that
//! they stopped only after the silence that ends a turn. The agent's own voice coming back is nobody's: see `media.rs`.
//!
//! Some of what the agent says is not given up for a sound. What every caller must be told is heard to its end, whatever they
//! say. What is read back before something is done goes on while the caller speaks, and ends for words against it.

use std::sync::Arc;

use serde_json::json;

use super::event::{Effect, MediaWish};
use super::passed::PassedOver;
use super::responses::Wanted;
use super::state::{CallState, EngineStage, Phase};
use super::timers::Timer;
use super::waited::silence_window;
use crate::domain::CallTime;
use crate::understand::{is_backchannel, objects};

/// From the end of a short sound to its words; where a recogniser takes longer the agent goes on meanwhile: see `passed.rs`.
const WORDS: CallTime = CallTime::from_millis(700);
/// The same for an echo, for which nobody waits.
const ECHO_WORDS: CallTime = CallTime::from_secs(3);
/// How long an engine waits that judges by meaning: it does not tell, but it is rarely less.
const SILENCE_BY_MEANING: CallTime = CallTime::from_millis(600);
/// A sound shorter than this is a noise, unless words say otherwise.
pub(super) const NOISE: CallTime = CallTime::from_millis(300);
/// With no more than this left to hear, what the caller says is an answer.
const TAIL: CallTime = CallTime::from_millis(700);

/// An engine hears the caller no later than this after the line did, if it is one: a detector of loudness hears doors and dogs
/// as well.
const CONFIRMED: CallTime = CallTime::from_millis(700);
/// After a sound that was no caller the line alone is not believed for so long, and twice as long after each more.
const DISBELIEF: CallTime = CallTime::from_secs(4);
const DISBELIEF_DOUBLED_MAX: u32 = 4;

/// Sounds of the caller that wait for their words; more are not kept apart.
pub(super) const SPOKEN_OVER_MAX: usize = 8;

/// Both wanted to speak.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Contested {
    /// The beginning of the caller's sound, of the last one if there were several.
    pub(super) since: CallTime,
    /// … and the end of it.
    pub(super) stopped: Option<CallTime>,
    /// … as the line has it: an engine that judges by meaning tells of the end long after it, or never.
    pub(super) quiet: Option<CallTime>,
    /// What the agent had left to say when it fell silent, as far as it was made.
    pub(super) left: Option<CallTime>,
    /// The engine took what was said for a turn.
    pub(super) committed: bool,
    /// Speech before the present sound, if there were several.
    pub(super) spoken: CallTime,
    /// It is the agent's own voice, and the agent speaks on.
    pub(super) echo: bool,
    /// Only the line has told of it so far, not the engine.
    pub(super) near: bool,
    /// Something is read back, and the agent speaks on.
    pub(super) firm: bool,
    /// … and the caller spoke on when all of it had been heard.
    pub(super) lasted: bool,
    /// … and has said what wants an answer after it.
    pub(super) asks: bool,
}

/// How far the line alone is believed that the caller speaks.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Near {
    /// Sounds in a row that were no caller.
    mistaken: u32,
    /// Not before this time.
    believed_from: CallTime,
    pub(super) passed_over: Option<PassedOver>,
}

impl Near {
    fn mistake(&mut self, now: CallTime) {
        self.believed_from = now + DISBELIEF * (1 << self.mistaken.min(DISBELIEF_DOUBLED_MAX));
        self.mistaken += 1;
    }
}

impl Contested {
    fn new(since: CallTime) -> Self {
        let spoken = CallTime::ZERO;
        let (stopped, quiet, left) = (None, None, None);
        let (committed, echo, near, firm, lasted, asks) = (false, false, false, false, false, false);
        Self { since, stopped, quiet, left, committed, spoken, echo, near, firm, lasted, asks }
    }

    /// How long the caller spoke, of the silence after it only what the engine did not wait for.
    fn speech(&self, silence: CallTime) -> CallTime {
        let last = self.stop(silence).map(|stopped| stopped.saturating_sub(self.since).saturating_sub(silence));
        self.spoken + last.unwrap_or_default()
    }

    /// When the engine told that they had stopped, or should have.
    fn stop(&self, silence: CallTime) -> Option<CallTime> {
        self.stopped.or(self.quiet.map(|quiet| quiet + silence))
    }
}

impl CallState {
    /// Somebody seems to speak on the line: the agent falls silent until the engine has heard them too.
    pub(super) fn on_caller_heard(&mut self, since: CallTime, now: CallTime, out: &mut Vec<Effect>) {
        if let Some(contested) = &mut self.contested {
            contested.quiet = None;
        }
        let wanted = self.facts.agent.local_detection && self.facts.agent.barge_in.speech().is_some();
        let told = self.caller_speaking || self.contested.is_some();
        let up = self.phase == Phase::Live && self.engine == EngineStage::Ready && self.playing;
        let free = !self.must_be_heard() && !self.reads_back();
        if wanted && up && !told && free && now >= self.near.believed_from {
            self.contested = Some(Contested { near: true, ..Contested::new(since) });
            self.timers.set(Timer::Floor, now + CONFIRMED);
            self.hold(now, out);
        }
    }

    /// The caller began to speak; decides what becomes of what the agent is saying.
    pub(super) fn contest(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        let Some(speech) = self.facts.agent.barge_in.speech() else { return };
        if self.phase != Phase::Live || self.must_be_heard() {
            return;
        }
        if !self.playing && self.contested.as_ref().is_some_and(|contested| contested.echo) {
            // The agent has said all it had to, over its echo; this is an answer.
            self.agent_goes_on("echo", now, out);
        } else if !self.playing && self.contested.as_ref().is_some_and(|contested| contested.firm) {
            self.agent_goes_on("reads back", now, out);
        }
        let silence = self.silence();
        if let Some(near) = self.contested.take_if(|contested| contested.near) {
            // The agent is silent already.
            (self.near.mistaken, self.near.believed_from) = (0, CallTime::ZERO);
            if speech.is_zero() {
                return self.caller_goes_on(now, out);
            }
            self.contested = Some(Contested { left: near.left, ..Contested::new(now) });
            self.timers.set(Timer::Floor, now + speech + silence);
        } else if let Some(contested) = &mut self.contested {
            // Another sound before the first was judged: both together count.
            contested.spoken = contested.speech(silence);
            (contested.since, contested.stopped, contested.quiet) = (now, None, None);
            if contested.firm {
                self.timers.clear(Timer::Floor);
            } else {
                self.timers.set(Timer::Floor, now + speech.saturating_sub(contested.spoken) + silence);
            }
        } else if self.reads_back() {
            self.contested = Some(Contested { firm: true, ..Contested::new(now) });
        } else if self.playing && !speech.is_zero() {
            self.contested = Some(Contested::new(now));
            self.timers.set(Timer::Floor, now + speech + silence);
            self.hold(now, out);
        } else if self.playing || self.responses.active().is_some() {
            self.caller_goes_on(now, out);
        }
    }

    /// The agent begins to be heard; not while the caller speaks. Whether it is.
    pub(super) fn contest_what_begins(&mut self, now: CallTime, out: &mut Vec<Effect>) -> bool {
        let Some(speech) = self.facts.agent.barge_in.speech() else { return true };
        let free = self.contested.is_none() && self.phase == Phase::Live && !self.must_be_heard();
        // What the session hears again is over.
        let free = free && (self.heard_again_since().is_none() || self.line_sounds(now));
        let Some(item) = self.turns.caller_speaks().filter(|_| self.caller_speaking && free).cloned() else {
            return true;
        };
        if self.near.passed_over.as_ref().is_some_and(|passed| passed.items.contains(&item)) {
            // It was decided that the agent goes on over it.
            return true;
        }
        self.begins_over_agent(&item);
        if speech.is_zero() {
            self.caller_goes_on(now, out);
        } else {
            self.contested = Some(Contested::new(now));
            self.timers.set(Timer::Floor, now + speech + self.silence());
            self.hold(now, out);
        }
        false
    }

    /// What is being heard is read back before it is done.
    pub(super) fn reads_back(&self) -> bool {
        self.playing && self.ledger.reading_back().any(|item| self.turns.is_being_heard(item))
    }

    /// All of it was heard, over whatever the caller said meanwhile. Whether the agent has nothing left to say.
    pub(super) fn reading_is_over(&mut self, now: CallTime) -> bool {
        let Some(contested) = self.contested.as_mut().filter(|contested| contested.firm) else {
            return self.contested.is_none();
        };
        contested.left = Some(now.saturating_sub(contested.since));
        contested.lasted = contested.stopped.is_none();
        if contested.lasted && contested.left.is_some_and(|left| left <= TAIL) {
            // What they go on saying is said to it.
            self.contested = None;
            self.spoken_over.clear();
            self.timers.clear(Timer::Floor);
        }
        true
    }

    pub(super) fn on_held(&mut self, left: CallTime) {
        if let Some(contested) = &mut self.contested {
            contested.left = Some(left);
        }
    }

    /// From the caller's last sound to the engine's word that they stopped.
    pub(super) fn silence(&self) -> CallTime {
        silence_window(self.facts.agent.turn_detection).unwrap_or(SILENCE_BY_MEANING)
    }

    /// Whether what is heard is the agent's own voice, as far as it can be told by now.
    pub(super) fn on_echo(&mut self, only_echo: bool, now: CallTime, out: &mut Vec<Effect>) {
        let Some(contested) = self.contested.as_mut().filter(|contested| contested.echo != only_echo) else { return };
        contested.echo = only_echo;
        if contested.firm {
            // The agent speaks on, whoever it is.
        } else if only_echo && contested.near {
            self.contested = None;
            self.timers.clear(Timer::Floor);
            self.turns.agent_goes_on(now);
        } else if only_echo {
            // It may last as long as the agent speaks.
            self.timers.clear(Timer::Floor);
            self.turns.agent_goes_on(now);
        } else if let (Some(speech), None) = (self.facts.agent.barge_in.speech(), contested.stopped) {
            contested.since = now;
            self.timers.set(Timer::Floor, now + speech + self.silence());
            self.hold(now, out);
        }
    }

    /// These words are the agent's own, come back over the line.
    pub(super) fn are_echo(&self, item: &Arc<str>) -> bool {
        self.contested.as_ref().is_some_and(|contested| contested.echo) && self.spoken_over.contains(item)
    }

    pub(super) fn caller_fell_silent(&mut self, now: CallTime) {
        if let Some(contested) = &mut self.contested {
            contested.stopped = Some(now);
            let wait = if contested.echo { ECHO_WORDS } else { WORDS };
            self.timers.set(Timer::Floor, now + wait);
        }
    }

    /// The line fell quiet then.
    pub(super) fn line_fell_quiet(&mut self, since: CallTime) {
        // The engine told of its beginning late, so the end may lie before that.
        if let Some(contested) = self.contested.as_mut().filter(|contested| since + NOISE > contested.since) {
            contested.quiet = Some(since);
        }
    }

    /// … and there is no engine that could tell so.
    pub(super) fn fell_silent_unheard(&mut self, since: CallTime, now: CallTime) {
        let silence = self.silence();
        if let Some(contested) = self.contested.as_mut().filter(|contested| contested.stopped.is_none()) {
            // As an engine would have told it.
            contested.stopped = Some(since + silence);
            self.timers.set(Timer::Floor, now + silence + WORDS);
        }
    }

    /// The words of a short sound are there, or could not be made out. More may be being said: then only words that are more
    /// than a listener's decide.
    pub(super) fn words_decide(&mut self, words: Option<&str>, now: CallTime, out: &mut Vec<Effect>) {
        let words = words.map(str::trim);
        let Some(contested) = &self.contested else { return };
        let over = contested.stopped.is_some();
        match words {
            _ if contested.echo && over => self.agent_goes_on("echo", now, out),
            None if over => self.judge_by_length(true, now, out),
            // Whoever listened for words found none in it, and it did not last.
            Some("") if over => self.agent_goes_on("noise", now, out),
            Some(words) if self.is_listeners(words) && !self.is_tail(contested) => {
                if over && contested.lasted {
                    // It began too early for a yes, and somebody waits all the same.
                    self.answer_after_reading(now, out);
                } else if over {
                    self.agent_goes_on("backchannel", now, out);
                }
            }
            Some("") | None => {}
            Some(_) if contested.echo => {}
            Some(words) if contested.firm && (!self.reads_back() || !objects(words)) => {
                if over {
                    self.answer_after_reading(now, out);
                } else if let Some(contested) = &mut self.contested {
                    contested.asks = true;
                }
            }
            Some(_) => self.caller_goes_on(now, out),
        }
    }

    /// No words in time.
    pub(super) fn on_floor_undecided(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        if self.contested.is_none() {
            return self.answer_passed_over(now, out);
        }
        self.judge_by_length(false, now, out);
    }

    /// How long it lasted decides. What was short is a listener's more often than not, and a "stop" that is written down later is
    /// obeyed then; what never will be (`lost`) is taken for one.
    fn judge_by_length(&mut self, lost: bool, now: CallTime, out: &mut Vec<Effect>) {
        let Some(contested) = &self.contested else { return };
        let lost = lost || self.engine != EngineStage::Ready;
        let (silence, long) = (self.silence(), self.facts.agent.barge_in.speech());
        let (stopped, spoken) = (contested.stop(silence), contested.speech(silence));
        match stopped {
            _ if contested.near => self.agent_goes_on("unconfirmed", now, out),
            _ if contested.echo => self.agent_goes_on("echo", now, out),
            // Nobody can tell whether they still speak.
            None if self.engine != EngineStage::Ready && !self.line_sounds(now) => {
                self.agent_goes_on("engine lost", now, out)
            }
            Some(_) if spoken < NOISE => self.agent_goes_on("noise", now, out),
            _ if contested.firm => self.agent_goes_on("reads back", now, out),
            Some(_) if !lost && long.is_some_and(|long| spoken < long) => self.agent_goes_on("unwritten", now, out),
            _ => self.caller_goes_on(now, out),
        }
    }

    /// Notes what was committed while it is open whether the agent goes on; then it is also open whether that wants an
    /// answer.
    pub(super) fn committed_while_contested(&mut self) -> bool {
        let contested = self.contested.as_mut().filter(|contested| !contested.near);
        contested.map(|contested| contested.committed = true).is_some()
    }

    /// The agent was as good as done, or is.
    fn is_tail(&self, contested: &Contested) -> bool {
        let over = !self.playing && !contested.firm;
        self.responses.is_idle() && (over || contested.left.is_some_and(|left| left <= TAIL))
    }

    /// Whether words only show that somebody listens: said in the middle of what the agent says, and no more than "haan".
    pub(super) fn only_listens(&mut self, item: &Arc<str>, words: &str) -> bool {
        let over = self.spoken_over.contains(item);
        self.spoken_over.retain(|other| other != item);
        let tail = self.contested.as_ref().is_some_and(|contested| self.is_tail(contested));
        over && !tail && self.is_listeners(words)
    }

    /// Words that interrupt nobody.
    pub(super) fn is_listeners(&self, words: &str) -> bool {
        is_backchannel(words) || self.is_hello_to_greeting(words)
    }

    /// The caller's first sound.
    pub(super) fn begins_over_agent(&mut self, item: &Arc<str>) {
        if self.playing && !self.spoken_over.contains(item) {
            if self.spoken_over.len() >= SPOKEN_OVER_MAX {
                self.spoken_over.remove(0);
            }
            self.spoken_over.push(Arc::clone(item));
        }
    }

    /// What the caller said fell on the very end of what the agent said.
    fn judge_tail(&mut self, contested: &Contested) {
        if self.is_tail(contested) {
            self.spoken_over.clear();
        }
    }

    fn hold(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        self.turns.agent_holds(now);
        out.push(Effect::Media(MediaWish::Hold));
    }

    /// The caller has said more than a listener does, and nothing against what is read back: they are answered when it is over.
    fn answer_after_reading(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        let committed = self.contested.take().is_some_and(|contested| contested.committed);
        self.timers.clear(Timer::Floor);
        self.spoken_over.clear();
        self.note("agent_went_on", &json!({ "why": "reads back" }), now, out);
        if committed {
            self.want_answer(None, now, out);
        }
    }

    pub(super) fn agent_goes_on(&mut self, why: &str, now: CallTime, out: &mut Vec<Effect>) {
        if self.contested.as_ref().is_some_and(|contested| contested.asks) {
            return self.answer_after_reading(now, out);
        }
        if let Some(contested) = self.contested.take() {
            self.timers.clear(Timer::Floor);
            if contested.near {
                self.near.mistake(now);
            } else {
                let tail = self.is_tail(&contested);
                // Of two sounds the later may be written down first.
                let waits = ["noise", "backchannel", "reads back", "unwritten"].contains(&why);
                let unwritten = if waits { self.spoken_over.clone() } else { vec![] };
                self.judge_tail(&contested);
                self.turns.no_answer_owed();
                let (at_the_end, committed) = (tail || contested.lasted, contested.committed);
                let passed = PassedOver { at_the_end, items: unwritten, committed, lasted: why != "noise" };
                self.near.passed_over = passed.after(self.near.passed_over.take());
            }
            self.turns.agent_goes_on(now);
            self.note("agent_went_on", &json!({ "why": why }), now, out);
            out.push(Effect::Media(MediaWish::Resume));
            if self.again.take().is_some() {
                // What was to be heard again was this.
                self.timers.clear(Timer::Reheard);
            }
            let _ = self.answer_what_is_owed(now, out);
        }
    }

    /// What is owed and nobody has asked for, as what the session before owed that was to be asked for with what is heard again:
    /// that wants no answer itself. Whether it is asked for now.
    pub(super) fn answer_what_is_owed(&mut self, now: CallTime, out: &mut Vec<Effect>) -> bool {
        let silent = self.contested.is_none() && !self.caller_speaking && !self.answering.is_put_off();
        // A session that may be about to tell of what was said is not asked before it has.
        let silent = silent && !self.timers.is_set(Timer::Reheard);
        let free = self.phase == Phase::Live && self.engine == EngineStage::Ready && self.responses.is_idle();
        let asks = silent && free && std::mem::take(&mut self.answer_owed);
        if asks {
            let wanted = Wanted::new(self.with_greeting(None)).told();
            self.want(wanted, now, out);
        }
        asks
    }

    pub(super) fn caller_goes_on(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        // Asked for once the engine has been told what was heard: it answers by what it believes to have said.
        if let Some(contested) = self.contested.take() {
            self.judge_tail(&contested);
            self.answer_after_cut |= contested.committed;
        }
        self.answer_after_cut |= self.near.passed_over.take().is_some();
        self.timers.clear(Timer::Floor);
        self.cut(out);
        self.turns.agent_silenced(self.responses.active());
        self.on_greeting_cut();
        // It is no less owed for that the caller had something to say.
        self.answer_owed |= self.responses.owes_what_was_told() || self.hello.is_cut();
        // An engine that never ends what was cancelled is not kept by a caller who goes on speaking.
        let waited_for = self.responses.is_cancelled();
        out.extend(self.responses.cancel().map(Effect::Engine));
        if self.timers.is_set(Timer::EngineProgress) && !waited_for {
            self.await_engine(now);
        }
        self.note("caller_interrupted", &json!({}), now, out);
    }

    /// What was heard is known, or never will be.
    pub(super) fn answer_what_was_cut(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        if std::mem::take(&mut self.answer_after_cut) && self.phase == Phase::Live {
            self.want_answer(None, now, out);
        }
        self.await_in_silence(now);
    }
}
