//! Silence: what the caller hears while an answer or an action takes long, when nobody says anything, and when time runs
//! out; and what keys are good for that work although the engine does not.

use std::sync::Arc;

use serde_json::json;

use super::ending::LastWords;
use super::event::Effect;
use super::responses::Wanted;
use super::state::{CallState, EngineStage, Phase, phrase_item};
use super::timers::Timer;
use crate::audio::playout::Cut;
use crate::domain::{AfterStream, CallLimits, CallTime, EndReason, Language, MenuChoice, Phrase};
use crate::ports::{EngineCommand, EngineError};

/// Keys pressed within this time of each other belong together.
pub(super) const KEYS_GAP: CallTime = CallTime::from_millis(1500);
/// A key pressed again so soon was pressed once, by a finger in doubt.
const PRESSED_TWICE: CallTime = CallTime::from_millis(500);
/// Words for what callers type, and how long ago the agent may have asked for it.
const TYPED: [&str; 45] = [
    "type",
    "enter",
    "keypad",
    "date",
    "birth",
    "card",
    "account",
    "amount",
    "daalein",
    "daliye",
    "likhiye",
    "tareekh",
    "tarikh",
    "sankhya",
    "kramank",
    "डालिए",
    "डालें",
    "तारीख",
    "तारीख़",
    "संख्या",
    "क्रमांक",
    "खाता",
    "कार्ड",
    "जन्म",
    "number",
    "numbers",
    "digit",
    "digits",
    "pin",
    "pincode",
    "code",
    "otp",
    "phone",
    "mobile",
    "id",
    "ank",
    "anko",
    "नंबर",
    "नम्बर",
    "अंक",
    "अंकों",
    "पिन",
    "कोड",
    "फ़ोन",
    "मोबाइल",
];
const ASKED_LATELY: CallTime = CallTime::from_secs(60);
/// Keys kept until they are told to the engine.
const KEYS_MAX: usize = 32;
/// Facts that wait for the next session; past that, it has what was typed only from the conversation so far.
const UNTOLD_MAX: usize = 100;
/// A turn of so many words tells by itself which language the caller speaks.
const TELLING_WORDS: usize = 4;
/// So many seconds are called a minute.
const ABOUT_A_MINUTE: std::ops::RangeInclusive<u64> = 45..=90;
/// With less time left the caller is not told of it: nothing else could be said any more.
const WORTH_WARNING: CallTime = CallTime::from_secs(8);
/// While somebody speaks, a sentence that is due waits this long and looks again.
const POLITENESS: CallTime = CallTime::from_millis(250);
/// Who speaks is not told to wait before they have done: looked at again so soon.
const IN_THEIR_WORDS: CallTime = CallTime::from_millis(450);
/// Who has just been connected waits this long for the first word.
const FIRST_WORD: CallTime = CallTime::from_millis(2500);
/// From the end of the caller's sound on the line to the engine's word that they stopped: longer than any of them takes.
pub(super) const NEVER_STOPPED: CallTime = CallTime::from_secs(5);

/// Keys as they are pressed.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub(super) struct Typing {
    /// When the first of those was pressed that were not told yet.
    pub(super) since: CallTime,
    /// A choice of the menu that was made at once, and when.
    chosen: Option<(CallTime, char)>,
}

impl CallState {
    /// Something is awaited: an answer, or the result of an action.
    pub(super) fn awaits(&self) -> bool {
        let acts = self.ledger.waiting() > 0 || self.ledger.acts();
        self.answer_owed || self.outputs_owed || acts || !self.responses.is_idle()
    }

    /// If something is awaited and nobody speaks, the caller is told after a while. After a longer one before the engine was ever
    /// heard: a call does not begin with "one moment", unless they were told so already.
    pub(super) fn await_in_silence(&mut self, now: CallTime) {
        let silence = self.phase == Phase::Live && !self.playing && !self.caller_speaking && !self.awaits_hello();
        let began = self.engine_heard || self.fillers > 0;
        if silence && (self.awaits() || self.is_to_greet()) && !self.timers.is_set(Timer::Filler) {
            let limits = &self.facts.agent.limits;
            let wait = if self.fillers == 0 { limits.filler_after } else { limits.filler_again };
            if !wait.is_zero() {
                let wait = if began { wait } else { wait.max(FIRST_WORD) };
                self.timers.set(Timer::Filler, now + wait);
            }
        }
    }

    /// The caller hears the engine, or speaks.
    pub(super) fn waiting_is_over(&mut self) {
        self.timers.clear(Timer::Filler);
        self.fillers = 0;
    }

    pub(super) fn on_long_wait(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        let bridged = self.is_to_be_bridged();
        if self.phase != Phase::Live
            || self.playing
            || self.caller_speaking
            || self.awaits_hello()
            || !(bridged || self.awaits() || self.is_to_greet())
        {
            return;
        }
        if self.engine != EngineStage::Ready && self.line_sounds(now) {
            // No session tells of them.
            self.timers.set(Timer::Filler, now + IN_THEIR_WORDS);
            return;
        }
        if self.answer_what_is_owed(now, out) {
            // Nobody had asked for it until now.
            return;
        }
        self.bridge_when_quiet = false;
        self.on_told_to_wait();
        let phrase = match self.fillers {
            _ if bridged => Phrase::Bridge,
            0 if !self.engine_heard => Phrase::Bridge,
            0 => Phrase::Checking,
            _ => Phrase::StillChecking,
        };
        self.fillers += 1;
        self.note("caller_waits", &json!({ "fillers": self.fillers }), now, out);
        self.say(phrase, out);
    }

    /// From the last word to the next question whether the caller is there, or to the goodbye.
    pub(super) fn reprompt_after(&self) -> CallTime {
        let limits = &self.facts.agent.limits;
        limits.idle_speech / limits.reprompts.saturating_add(1)
    }

    pub(super) fn on_idle_speech(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        let limits = self.facts.agent.limits;
        let quiet = self.turns.quiet_since().filter(|_| self.caller_speaking && self.engine == EngineStage::Ready);
        if quiet.is_some_and(|quiet| now >= quiet + NEVER_STOPPED) {
            // Nobody speaks, and the engine goes on listening to somebody who does: another one is given what it heard.
            out.push(Effect::CloseEngine);
            self.on_engine_lost(EngineError::Stalled("the caller fell silent and it did not notice"), now, out);
            self.restart_speech_timer(now);
        } else if self.playing || self.caller_speaking || self.awaits() || self.awaits_hello() {
            let _ = self.answer_what_is_owed(now, out);
            self.restart_speech_timer(now);
        } else if self.reprompts >= limits.reprompts {
            let words = LastWords::Stored(Phrase::Goodbye);
            self.take_leave(EndReason::NoSpeech, words, now, out);
        } else {
            self.reprompts += 1;
            self.note("caller_reprompted", &json!({ "times": self.reprompts }), now, out);
            // Asked once and not heard: it may be the engine that does not hear.
            if self.reprompts == 2 && self.engine == EngineStage::Ready {
                self.renew_engine("nobody heard", now, out);
            }
            self.ask_whether_there(now, out);
        }
    }

    /// "Are you still there?" A yes to that is a yes to nothing else.
    fn ask_whether_there(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        let asked = self.ledger.ask_anew();
        self.say(Phrase::StillThere, out);
        if asked {
            let told =
                "[the caller was asked whether they are still on the line; a yes says that they are, and nothing else]";
            self.tell_session(told, out);
        }
        self.restart_speech_timer(now);
    }

    /// Another session in a silence: the caller notices nothing.
    pub(super) fn renew_engine(&mut self, why: &str, now: CallTime, out: &mut Vec<Effect>) {
        self.note("engine_renewed", &json!({ "why": why }), now, out);
        let context = self.next_context(now);
        self.session_is_gone();
        self.forget_renewal();
        self.engine = EngineStage::Opening;
        self.timers.clear(Timer::EngineProgress);
        self.timers.clear(Timer::SessionAge);
        out.push(self.another_session(context, CallTime::ZERO, now));
    }

    /// The caller speaks another language than before: two turns of it, or one of some length, are enough.
    pub(super) fn hear_language(&mut self, text: &str, now: CallTime, out: &mut Vec<Effect>) {
        let Some(heard) = crate::understand::language::language(text) else { return };
        let hindi = |language: Language| language != Language::English;
        let answered = self.facts.agent.answers_in(heard);
        let heard = answered.unwrap_or(heard);
        if hindi(heard) == hindi(self.language) || answered.is_none() {
            self.other_language = None;
            if hindi(heard) == hindi(self.language) && self.recogniser.heard.replace(self.language).is_none() {
                self.note("language_heard", &json!({ "language": self.language.code() }), now, out);
            }
            return;
        }
        let again = self.other_language.replace(heard) == Some(heard);
        if again || text.split_whitespace().count() >= TELLING_WORDS {
            self.other_language = None;
            let change = json!({ "from": self.language.code(), "to": heard.code() });
            self.language = heard;
            self.recogniser.heard = Some(heard);
            self.note("language_changed", &change, now, out);
            let name = heard.name();
            self.tell(&format!("[the caller speaks {name} now: answer in {name}]"), now, out);
        }
    }

    /// Nobody speaks or presses keys, and nothing is awaited.
    pub(super) fn is_silent(&self) -> bool {
        let speaking = self.playing || self.caller_speaking || self.contested.is_some();
        !speaking && !self.awaits() && self.keys.is_empty()
    }

    pub(super) fn on_time_warning(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        if self.phase != Phase::Live {
            return;
        }
        // It may have waited for a pause since it was due.
        let seconds = self.seconds_left(now);
        if seconds < WORTH_WARNING.as_secs() {
            let text = format!("[the call ends in {seconds} s, and the caller could not be told: come to an end]");
            return self.tell_session(&text, out);
        }
        if !self.is_silent() {
            self.timers.set(Timer::TimeWarning, now + POLITENESS);
            return;
        }
        self.ledger.ask_anew();
        let phrase = if ABOUT_A_MINUTE.contains(&seconds) { Phrase::MinuteLeft } else { Phrase::TimeShort };
        self.say(phrase, out);
        self.parting.warns(phrase);
    }

    fn seconds_left(&self, now: CallTime) -> u64 {
        self.facts.agent.limits.max_duration.saturating_sub(now).as_secs()
    }

    /// The agent has said all it had to; whether that was that there is little time left.
    pub(super) fn time_warning_heard(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        self.time_warning_cut(&[], now, out);
    }

    /// … or was cut short. Who has heard too little of it is told again.
    pub(super) fn time_warning_cut(&mut self, cuts: &[Cut], now: CallTime, out: &mut Vec<Effect>) {
        let Some(item) = self.parting.warned().map(phrase_item) else { return };
        if cuts.iter().any(|cut| cut.item == item && cut.heard_ms * 2 < cut.total_ms) {
            return self.timers.set(Timer::TimeWarning, now + POLITENESS);
        }
        let seconds = self.seconds_left(now);
        self.note("time_warned", &json!({ "seconds_left": seconds }), now, out);
        let text = format!(
            "[the caller was told that there is little time left: the call ends in {seconds} s; come to an end]"
        );
        self.tell_session(&text, out);
    }

    fn tell_session(&self, text: &str, out: &mut Vec<Effect>) {
        if self.engine == EngineStage::Ready {
            out.push(Effect::Engine(EngineCommand::Note(text.into())));
        }
    }

    // ------------------------------------------------------------ keys

    pub(super) fn on_key(&mut self, key: char, now: CallTime, out: &mut Vec<Effect>) {
        if let Phase::Closing(_) = self.phase {
            // It is decided what becomes of the call, unless it only takes its leave.
            if !self.go_on_after_all(now, out) {
                return;
            }
        }
        self.key_sounds(now);
        let ends = |(at, last)| (key == '#' && now < at + KEYS_GAP) || (key == last && now < at + PRESSED_TWICE);
        if self.typing.chosen.take().is_some_and(ends) {
            // It only ends what was chosen already, or says it once more.
            return;
        }
        if self.keys.len() < KEYS_MAX {
            self.keys.push(key);
        } else {
            metrics::counter!("caly_keys_dropped_total").increment(1);
        }
        if self.keys.len() == 1 {
            self.typing.since = now;
            self.types_over(now, out);
        }
        self.reprompts = 0;
        self.restart_speech_timer(now);
        self.typing.chosen = self.is_one_choice(now).then_some((now, key));
        let complete = key == '#' || self.typing.chosen.is_some();
        self.timers.set(Timer::Dtmf, if complete { now } else { now + KEYS_GAP });
        if complete {
            self.on_time(now, out);
        }
    }

    /// What was pressed so far is a choice, and can be nothing else: no other choice begins with it, and no number is asked for
    /// that might.
    fn is_one_choice(&self, now: CallTime) -> bool {
        let keys = self.keys.as_str();
        let begun = |choice: &&(Arc<str>, MenuChoice)| choice.0.starts_with(keys);
        let mut choices = self.facts.agent.menu.iter().filter(begun);
        let one = choices.next().is_some_and(|(whole, choice)| **whole == *keys && self.can_choose(choice));
        one && choices.next().is_none() && !asks_for_digits(&self.turns.agent_since(now.saturating_sub(ASKED_LATELY)))
    }

    pub(super) fn tell_keys(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        let keys = std::mem::take(&mut self.keys);
        self.note("keys_pressed", &json!({ "count": keys.len() }), now, out);
        let pressed = keys.trim_end_matches('#');
        let chosen =
            self.facts.agent.menu.iter().find(|(keys, _)| **keys == *pressed).map(|(_, choice)| choice.clone());
        // A key that the menu has a meaning for is no answer, also while that cannot be done.
        let in_menu = chosen.is_some();
        if let Some(choice) = chosen.filter(|choice| self.can_choose(choice)) {
            self.choose(&choice, now, out);
        } else {
            let answer = if in_menu { None } else { self.keys_answer(pressed, now, out) };
            let meaning = answer.map(|told| format!(": {told}")).unwrap_or_default();
            self.remember_keyed(pressed);
            let told: Arc<str> = format!("[the caller pressed the keys {keys} on the phone{meaning}]").into();
            self.tell_of_keys(Arc::clone(&told), told, now, out);
        }
        // Who presses keys is there: greeted, and answered with it.
        self.hello_is_over("key", now, out);
    }

    /// Tells the session what was typed, or the next one: what was typed is as much of the conversation as what was said, and
    /// is answered as that is. Kept as a fact, for its language is not the caller's.
    fn tell_of_keys(&mut self, text: Arc<str>, kept: Arc<str>, now: CallTime, out: &mut Vec<Effect>) {
        self.turns.noted(now, &kept);
        if self.engine == EngineStage::Ready {
            out.push(Effect::Engine(EngineCommand::CallerText(text)));
        } else if self.engine == EngineStage::Opening && self.untold.len() < UNTOLD_MAX {
            self.untold.push(EngineCommand::CallerText(text));
            self.answering.forget_rest();
        }
        if self.cutting.asked.is_some() {
            // Asked for once the engine has been told what was heard.
            self.answer_after_cut = true;
        } else if self.engine == EngineStage::Ready && (self.caller_speaking || self.timers.is_set(Timer::Taken)) {
            // Asked for with what they are saying.
            self.answer_owed = true;
        } else if self.engine != EngineStage::Dead {
            self.want(Wanted::default().told(), now, out);
        }
    }

    /// Who types has heard enough of what the agent says or is about to, unless that must be heard.
    fn types_over(&mut self, now: CallTime, out: &mut Vec<Effect>) {
        let says = if self.playing { !self.playing_phrase } else { self.responses.active().is_some() };
        let heard = self.phase == Phase::Live && says && self.keys != "#";
        let may = self.facts.agent.barge_in.speech().is_some() && !self.must_be_heard() && !self.reads_back();
        if heard && may && self.engine == EngineStage::Ready {
            self.caller_goes_on(now, out);
        }
    }

    /// Whether a choice can be carried out now; if not, the keys are told to the engine as they are.
    pub(super) fn can_choose(&self, choice: &MenuChoice) -> bool {
        match choice {
            MenuChoice::Person => !self.facts.agent.handoff_numbers.is_empty(),
            MenuChoice::End => true,
            MenuChoice::Tell(_) => self.engine != EngineStage::Dead,
        }
    }

    /// Who presses a key is not kept waiting for an engine to find words: what is said is stored speech.
    pub(super) fn choose(&mut self, choice: &MenuChoice, now: CallTime, out: &mut Vec<Effect>) {
        match choice {
            MenuChoice::Person => self.hand_over("The caller asked for a person by a key.", now, out),
            MenuChoice::End => {
                let words = LastWords::Stored(Phrase::Goodbye);
                self.close(EndReason::AgentEnded, AfterStream::HangUp, "", words, now, out);
            }
            MenuChoice::Tell(text) => {
                let kept = format!("[the caller has asked by a key: {text}]");
                self.tell_of_keys(text.clone(), kept.into(), now, out);
            }
        }
    }

    /// The caller has asked for a person, and is not kept waiting for an engine to find words.
    pub(super) fn hand_over(&mut self, summary: &str, now: CallTime, out: &mut Vec<Effect>) {
        let words = LastWords::Stored(Phrase::HandOff);
        self.close(EndReason::Transferred, AfterStream::Transfer, summary, words, now, out);
    }
}

/// Whether the agent spoke of something that callers type.
fn asks_for_digits(words: &str) -> bool {
    let words = words.to_lowercase();
    let mut words = words.split(|c: char| !c.is_alphanumeric() && !('\u{900}'..='\u{97f}').contains(&c));
    words.any(|word| TYPED.contains(&word))
}

/// When the caller is told that the maximum duration is near; `None` in calls too short for it.
pub(super) fn warn_at(limits: &CallLimits) -> Option<CallTime> {
    let worth_it = !limits.time_warning.is_zero() && limits.max_duration >= limits.time_warning * 3;
    worth_it.then(|| limits.max_duration - limits.time_warning)
}

#[cfg(test)]
#[path = "waiting_tests.rs"]
mod tests;
