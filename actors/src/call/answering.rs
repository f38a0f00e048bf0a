//! What becomes of an answer: one that fails is asked for again after a while, one that comes to nothing once more at once,
//! and a chain of tool calls ends in words.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::event::{Effect, MediaWish};
use super::responses::Wanted;
use super::state::{CallState, EngineStage, Phase};
use super::timers::Timer;
use super::trouble::ENGINE_WAIT_MAX;
use crate::domain::{CallTime, Phrase};
use crate::ports::{EngineCommand, EngineError, EngineEvent, ResponseOutcome};

/// Tool calls in a row without a word to the caller. Then words are asked for, and nothing else.
const TOOL_CHAIN_MAX: u32 = 5;
/// From the first failed answer until it is asked for again; twice as long after the second, and so on.
const BACK_OFF: Duration = Duration::from_millis(250);
/// How often the engine's time is doubled for failures in a row.
const PATIENCE_DOUBLED_MAX: u32 = 2;
/// From one look whether an answer in words is heard to the next.
pub(super) const SOUND_AT_LEAST: Duration = Duration::from_millis(250);
/// While the caller speaks nothing is asked for again: what they say wants an answer anyway.
const SPEAKING: Duration = Duration::from_millis(250);

/// Utterances that are heard again: there is no room for more in so short a time.
const REHEARD_MAX: usize = 16;

/// For the rest of an answer whose beginning was heard.
const GO_ON: &str = "Your last answer broke off. Say only what is missing of it, shortly, and do what it announced; do not repeat \
    what you said. If nothing is missing, ask in a few words whether there is anything else.";

/// How the answer being made stands, and what was before it.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct Answering {
    /// It calls a tool, or is heard.
    acts: bool,
    sounds: bool,
    /// Some of it has begun to be heard.
    heard: bool,
    /// The answer that is owed was begun in a session that is gone, and some of it was heard.
    go_on: bool,
    /// What it answers, as far as the next session has heard it again.
    reheard: Vec<Arc<str>>,
    /// Words of it are coming.
    in_words: bool,
    /// When an answer was asked for last.
    asked: CallTime,
    /// To be asked for again, and not before this time.
    again: Option<(Wanted, CallTime)>,
    /// The answer before came to nothing, and so did none since.
    in_vain: bool,
    /// Tool calls since anybody spoke.
    chain: u32,
    /// … and words were asked for since.
    words_asked: bool,
}

impl Answering {
    /// It is heard.
    pub(super) fn is_heard(&mut self) {
        (self.sounds, self.heard) = (true, true);
    }

    /// It is asked for again in a moment.
    pub(super) fn is_put_off(&self) -> bool {
        self.again.is_some()
    }

    /// Words of it are coming, and no sound is heard.
    pub(super) fn is_only_words(&self) -> bool {
        self.in_words && !self.heard
    }

    /// The session is gone. `broken`: in the middle of an answer that is to be asked for again; `new`: the caller said more since
    /// it began.
    pub(super) fn breaks_off(&mut self, broken: bool, new: bool) {
        self.go_on = !new && if broken { self.sounds } else { self.go_on };
        self.reheard.clear();
    }

    /// There is more to answer than the session took with it.
    pub(super) fn forget_rest(&mut self) {
        self.go_on = false;
    }

    /// The next session hears what it answers.
    pub(super) fn hears_again(&mut self, item: &Arc<str>) {
        let rest = self.go_on || !self.reheard.is_empty();
        if rest && self.reheard.len() < REHEARD_MAX {
            self.reheard.push(Arc::clone(item));
        }
    }

    /// The rest of the answer to it is asked for already.
    pub(super) fn is_asked_again(&self, item: &Arc<str>) -> bool {
        !self.go_on && self.reheard.contains(item)
    }

    /// What the next session is asked for instead of what it is owed.
    pub(super) fn rest(&mut self) -> Option<Arc<str>> {
        std::mem::take(&mut self.go_on).then(|| GO_ON.into())
    }

    /// Somebody speaks: tools may be called again.
    pub(super) fn somebody_speaks(&mut self) {
        self.go_on = false;
        (self.chain, self.words_asked) = (0, false);
    }

    /// One more tool call; whether it is one too many.
    pub(super) fn one_more_tool(&mut self) -> bool {
        let too_many = self.chain >= TOOL_CHAIN_MAX;
        self.chain += u32::from(!too_many);
        too_many
    }

    /// What is to be asked for now that tools are answered.
    pub(super) fn after_tools(&mut self) -> Wanted {
        self.words_asked = self.chain >= TOOL_CHAIN_MAX;
        Wanted { words_only: self.words_asked, ..Wanted::default() }.told()
    }

    /// The engine was asked for words since: who calls tools all the same is not asked again for it.
    pub(super) fn words_were_asked(&self) -> bool {
        self.words_asked
    }
}

/// How an answer ended, as the caller has it.
enum Fate {
    /// It was made, or nobody wants it any more.
    Over,
    /// Nothing or not all of it came, and nobody stopped it.
    Vain {
        broken: bool,
    },
    /// Words were asked for, and none came.
    Wordless,
    Failed(EngineError),
}

impl Wanted {
    /// What is asked for when some of it was said.
    fn rest(self) -> Self {
        Self { instructions: self.instructions.or_else(|| Some(GO_ON.into())), ..self }
    }
}

impl CallState {
    pub(super) fn on_response_created(&mut self, response: Arc<str>, wish: Option<u64>, out: &mut Vec<Effect>) {
        self.answer_has_words = false;
        self.parting.begins();
        (self.answering.acts, self.answering.sounds, self.answering.in_words) = (false, false, false);
        self.answering.heard = false;
        if let Some(cancel) = self.responses.created(&response, wish) {
            self.turns.silence(&response);
            out.push(Effect::Media(MediaWish::Discard { response }));
            out.push(Effect::Engine(cancel));
        } else {
            self.answer_owed = self.answering.again.is_some();
            // What nobody wants any more reads nothing back, though its first sound may be on its way.
            self.ledger.answer_made();
            // It answers all that was committed before it, whatever that turns out to have been.
            self.near.passed_over.take_if(|passed| passed.committed);
        }
    }

    /// Notes what an event shows of the answer being made.
    pub(super) fn mind_answer(&mut self, event: &EngineEvent) {
        match event {
            EngineEvent::AgentWords { .. } => {
                self.answering.somebody_speaks();
                self.answering.in_words = true;
            }
            EngineEvent::TurnCommitted { item } if !self.answering.reheard.contains(item) => {
                self.answering.somebody_speaks();
                self.answering.reheard.clear();
            }
            EngineEvent::ToolCalled { .. } => (self.answering.acts, self.answering.in_words) = (true, false),
            EngineEvent::AgentTranscript { text, .. } => {
                self.answering.sounds |= !text.is_empty();
                self.answering.in_words = false;
            }
            _ => {}
        }
    }

    /// The answer has words, and nobody will ever hear them: it is none.
    pub(super) fn on_answer_silent(&mut self, items: Vec<Arc<str>>, now: CallTime, out: &mut Vec<Effect>) {
        self.note("answer_silent", &json!({}), now, out);
        self.answer_has_words = false;
        self.answering.sounds = false;
        self.unheard_words = self.playing;
        for item in items {
            self.turns.never_sounds(&item);
            self.session_items.retain(|known| *known != item);
            out.push(Effect::Engine(EngineCommand::DeleteItem { item }));
        }
        self.ledger.read_back_unheard();
    }

    pub(super) fn on_response_done(
        &mut self,
        response: &str,
        outcome: ResponseOutcome,
        now: CallTime,
        out: &mut Vec<Effect>,
    ) {
        let complete = matches!(outcome, ResponseOutcome::Completed);
        match outcome {
            ResponseOutcome::Completed => self.turns.answers_complete(),
            ResponseOutcome::Cancelled | ResponseOutcome::Incomplete | ResponseOutcome::Failed(_) => {
                self.turns.broke_off();
            }
        }
        match self.fate(response, outcome, now, out) {
            Fate::Over => {
                self.answer_next(response, now, out);
                if complete && self.responses.is_idle() && !self.playing && self.contested.is_none() {
                    self.ledger.read_back_heard(now);
                }
            }
            Fate::Wordless => {
                self.answer_next(response, now, out);
                self.speak_instead(now, out);
            }
            Fate::Vain { broken } => self.on_answer_in_vain(broken, now, out),
            Fate::Failed(error) => {
                let begun = self.answer_has_words || self.answering.sounds;
                let wanted = if self.responses.is_wanted(response) {
                    self.responses.came_to_nothing().map(|wanted| if begun { wanted.rest() } else { wanted })
                } else {
                    self.answer_next(response, now, out);
                    None
                };
                self.on_answer_failed(&error, wanted, now, out);
            }
        }
        if self.responses.is_idle() {
            self.timers.clear(Timer::EngineProgress);
        } else if self.timers.is_set(Timer::EngineProgress) {
            self.await_engine(now);
        }
        self.record_finished_turns(now, false, out);
        self.settle_held(false, now, out);
        if let Phase::Closing(reason) = self.phase
            && !self.playing
            && self.responses.is_idle()
            && !self.unheard_words
        {
            self.part(reason, now, out);
        }
    }

    fn answer_next(&mut self, response: &str, now: CallTime, out: &mut Vec<Effect>) {
        if let Some(request) = self.responses.done(response) {
            self.answer_is_asked(now);
            out.push(Effect::Engine(request));
        }
    }

    pub(super) fn answer_is_asked(&mut self, now: CallTime) {
        self.answering.asked = now;
    }

    /// The engine has so long for the next sign of the answer it owes.
    pub(super) fn await_engine(&mut self, now: CallTime) {
        let limits = &self.facts.agent.limits;
        let first_audio = limits.first_audio.max(limits.engine_progress);
        // Who was slow once is given more time: another session would be no faster. Not for last words: there is a sentence.
        let closing = matches!(self.phase, Phase::Closing(_));
        let doubled = if closing { 0 } else { self.trouble.failures.min(PATIENCE_DOUBLED_MAX) };
        let patient = |limit: Duration| limit * (1 << doubled);
        let at = if self.responses.active().is_none() || self.responses.is_cancelled() {
            now + patient(limits.engine_progress)
        } else if self.answering.in_words && self.answering.heard {
            now + patient(limits.answer_gap)
        } else if self.answering.is_only_words() {
            // Words alone are nothing that anybody hears.
            let sound_at = self.answering.asked + patient(first_audio) + patient(limits.answer_gap);
            (now + patient(limits.answer_gap)).min(sound_at)
        } else if self.answering.acts || self.answering.sounds {
            now + patient(first_audio)
        } else {
            (self.answering.asked + patient(first_audio)).max(now + patient(limits.answer_gap))
        };
        self.timers.set(Timer::EngineProgress, at);
    }

    fn fate(&mut self, response: &str, outcome: ResponseOutcome, now: CallTime, out: &mut Vec<Effect>) -> Fate {
        let wanted = self.responses.is_wanted(response);
        let spoken = self.answer_has_words || self.answering.sounds;
        let wordless = wanted && self.responses.is_words_only() && !spoken;
        let kind = match outcome {
            ResponseOutcome::Failed(error) => return Fate::Failed(error),
            ResponseOutcome::Completed if !wanted || spoken || self.answering.acts => {
                self.trouble.is_over();
                self.answering.in_vain = false;
                if wanted && spoken {
                    self.parting.is_made();
                }
                return if wordless { Fate::Wordless } else { Fate::Over };
            }
            ResponseOutcome::Completed => "answer_empty",
            ResponseOutcome::Incomplete => "answer_incomplete",
            ResponseOutcome::Cancelled if !wanted => return Fate::Over,
            ResponseOutcome::Cancelled => "answer_cancelled",
        };
        self.note(kind, &json!({}), now, out);
        if wordless {
            Fate::Wordless
        } else if !wanted || self.answering.acts {
            // A tool that was called is answered as always.
            Fate::Over
        } else {
            Fate::Vain { broken: spoken }
        }
    }

    /// Asked once more at once; after that it counts as failed.
    fn on_answer_in_vain(&mut self, broken: bool, now: CallTime, out: &mut Vec<Effect>) {
        let Some(wanted) = self.responses.came_to_nothing() else { return };
        if std::mem::replace(&mut self.answering.in_vain, true) {
            let error = EngineError::Protocol("an answer came to nothing twice".to_owned());
            self.on_answer_failed(&error, Some(wanted), now, out);
        } else {
            self.ask_again(if broken { wanted.rest() } else { wanted }, Duration::ZERO, now, out);
        }
    }

    fn on_answer_failed(&mut self, error: &EngineError, wanted: Option<Wanted>, now: CallTime, out: &mut Vec<Effect>) {
        if self.answering.again.is_some() && error.is_retryable() {
            // An attempt counts that was waited for.
            return;
        }
        self.trouble.answer_failed();
        self.note("answer_failed", &json!({ "kind": error.kind() }), now, out);
        if self.are_answers_given_up(error) && self.fallback_left {
            // The other engine is asked for what this one failed at.
            if self.nobody_spoke() {
                self.greeted = false;
            } else {
                self.answer_owed = true;
            }
            out.push(Effect::CloseEngine);
            self.on_engine_lost(error.clone(), now, out);
        } else if self.are_answers_given_up(error) {
            self.engine_dead(now, out);
        } else {
            // Nothing was said by anybody yet: it was the greeting that failed.
            let greeting = || self.nobody_spoke().then(|| self.greeting_instructions());
            let wanted = wanted.unwrap_or_else(|| Wanted::new(greeting()));
            let asked = if let EngineError::Busy { after, .. } = error { *after } else { None };
            let wait = asked.unwrap_or(BACK_OFF * self.trouble.failures).min(ENGINE_WAIT_MAX);
            self.ask_again(wanted, wait, now, out);
        }
    }

    /// It is owed meanwhile, so the caller is told to wait if it takes long, and another session is asked for it.
    fn ask_again(&mut self, wanted: Wanted, wait: Duration, now: CallTime, out: &mut Vec<Effect>) {
        if !matches!(self.phase, Phase::Live | Phase::Waiting) {
            return;
        }
        self.answer_owed = true;
        self.answering.again = Some((wanted, now + wait));
        if wait.is_zero() {
            self.on_ask_again(now, out);
        } else {
            self.timers.set(Timer::AskAgain, now + wait);
            self.await_in_silence(now);
        }
    }

    pub(super) fn on_ask_again(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        let open = matches!(self.phase, Phase::Live | Phase::Waiting) && self.engine == EngineStage::Ready;
        let speaking = self.caller_speaking || self.contested.is_some();
        match self.answering.again.take() {
            Some((wanted, _)) if open && !speaking => self.want(wanted, now, out),
            Some((wanted, at)) if open => {
                self.answering.again = Some((wanted, at));
                self.timers.set(Timer::AskAgain, now + SPEAKING);
            }
            Some(_) | None => {}
        }
    }

    /// What is wanted while an answer waits to be asked for again: asked for in its place, at its time.
    pub(super) fn put_off(&mut self, wanted: Wanted, now: CallTime) -> Option<Wanted> {
        match self.answering.again.take() {
            Some((_, at)) if now < at => {
                self.answering.again = Some((wanted, at));
                None
            }
            _ => {
                self.timers.clear(Timer::AskAgain);
                Some(wanted)
            }
        }
    }

    /// The session is gone, or the call is: nothing is asked for again.
    pub(super) fn forget_answers(&mut self) {
        self.answering.again = None;
        self.answering.words_asked = false;
        self.timers.clear(Timer::AskAgain);
    }

    /// The engine called tools and said nothing, though it was asked to: the caller hears a sentence, and it is their turn.
    fn speak_instead(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        self.answering.somebody_speaks();
        self.outputs_owed = false;
        let speaking = self.caller_speaking || self.contested.is_some();
        if self.phase == Phase::Live && self.responses.is_idle() && !speaking {
            self.note("answer_wordless", &json!({}), now, out);
            self.say(Phrase::SayAgain, out);
        }
    }
}

#[cfg(test)]
#[path = "answering_tests.rs"]
mod tests;
