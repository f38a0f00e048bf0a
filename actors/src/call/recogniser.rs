//! What the recogniser of the caller's words is told: the language they speak, as it was heard. It is told of a change only,
//! and never while the caller speaks. It must not be locked in by what it was told: written down as the wrong language,
//! what the caller says never tells the right one. So it is told nothing any more as soon as the agent, which hears the
//! caller itself, answers in another.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::event::{Effect, EngineChoice};
use super::state::{CallState, EngineStage};
use super::trouble::WAITED_MAX;
use crate::domain::{CallTime, Language};
use crate::ports::{ContextItem, EngineCommand};
use crate::understand::language::language;

/// So many words in another language are an answer in it, not a name.
const TELLING_WORDS: usize = 4;
/// Items of which it is remembered that they are written down.
const WRITTEN_MAX: usize = 16;

/// See the module's text.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct Recogniser {
    /// What the caller speaks, once it was heard.
    pub(super) heard: Option<Language>,
    /// What they spoke when they rang before.
    pub(super) known: Option<Language>,
    /// What the session knows of it.
    told: Option<Language>,
    /// It was wrong once, and is told nothing in this call.
    doubted: bool,
    /// The last items that the session has written down.
    written: VecDeque<Arc<str>>,
}

impl Recogniser {
    /// Whether these are the first `words` of an item, or that there are none is the first that is told of it: some services send
    /// them twice.
    pub(super) fn writes(&mut self, item: &Arc<str>, words: bool) -> bool {
        let new = !self.written.contains(item);
        if new && words {
            self.written.truncate(WRITTEN_MAX - 1);
            self.written.push_front(Arc::clone(item));
        }
        new
    }

    /// An item begins.
    pub(super) fn item_begins(&mut self, item: &Arc<str>) {
        self.written.retain(|written| written != item);
    }

    fn expects(&self) -> Option<Language> {
        self.heard.or(self.known).filter(|_| !self.doubted)
    }
}

impl CallState {
    /// Before anybody was heard.
    pub(super) fn first_session(&self, context: Vec<ContextItem>) -> Effect {
        let (wait, again) = (Duration::ZERO, Duration::ZERO);
        Effect::OpenEngine { by: self.engine_by, context, language: None, wait, within: WAITED_MAX, again }
    }

    /// A session in place of one that is gone knows from its beginning what that one knew.
    pub(super) fn another_session(&mut self, context: Vec<ContextItem>, wait: Duration, now: CallTime) -> Effect {
        let language = self.recogniser.expects();
        self.recogniser.told = language;
        self.recogniser.written.clear();
        self.trouble.session_at(now + wait);
        let (within, again) = (self.trouble.is_borne_for(now + wait), self.again_for(now));
        Effect::OpenEngine { by: self.engine_by, context, language, wait, within, again }
    }

    /// … and a session that is to take the place of one that goes on meanwhile.
    pub(super) fn next_session(&self, by: EngineChoice, context: Vec<ContextItem>, again: Option<Duration>) -> Effect {
        Effect::RenewEngine { by, context, language: self.recogniser.expects(), again }
    }

    /// It has taken that place.
    pub(super) fn next_session_knows(&mut self) {
        self.recogniser.told = self.recogniser.expects();
        self.recogniser.written.clear();
    }

    /// The agent said this.
    pub(super) fn doubt_language(&mut self, text: &str) {
        let english = |language: Language| language == Language::English;
        let long = text.split_whitespace().count() >= TELLING_WORDS;
        if let (Some(told), Some(said), true) = (self.recogniser.told, language(text), long) {
            self.recogniser.doubted |= english(told) != english(said);
        }
    }

    /// Tells the session what it does not know yet, in a pause of the caller.
    pub(super) fn tell_recogniser(&mut self, out: &mut Vec<Effect>) {
        let expected = self.recogniser.expects();
        if expected != self.recogniser.told && self.engine == EngineStage::Ready && !self.caller_speaking {
            self.recogniser.told = expected;
            out.push(Effect::Engine(EngineCommand::CallerSpeaks(expected)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::table::{agent, at, began, engine, quiet_of, spoke, stopped};
    use crate::domain::Agent;
    use crate::ports::EngineEvent;

    /// What happens to a call.
    enum Hear {
        Caller(&'static str),
        /// Words that come while the caller goes on.
        Before(&'static str),
        Agent(&'static str),
        Lost,
    }
    use Hear::{Agent as Says, Before, Caller, Lost};

    fn told(mut state: CallState, events: &[Hear]) -> Vec<String> {
        let mut told = Vec::new();
        let transcript =
            |text: &&str| engine(EngineEvent::CallerTranscript { item: "u1".into(), text: (*text).into() });
        for (n, event) in events.iter().enumerate() {
            let answer = std::sync::Arc::<str>::from(format!("a{n}"));
            let happen = match event {
                Caller(text) => vec![spoke(), stopped(), transcript(text)],
                Before(text) => vec![spoke(), transcript(text), stopped()],
                Says(text) => {
                    let words = engine(EngineEvent::AgentTranscript { item: answer.clone(), text: (*text).into() });
                    let (response, outcome) = ("r".into(), crate::ports::ResponseOutcome::Completed);
                    let over = engine(EngineEvent::ResponseDone { response, outcome, usage: Default::default() });
                    vec![words, over, began(&answer), crate::call::event::CallEvent::PlayoutDrained]
                }
                Lost => {
                    let lost = crate::ports::EngineError::Connection("reset".to_owned());
                    vec![engine(EngineEvent::Lost(lost)), engine(EngineEvent::Ready)]
                }
            };
            for event in happen {
                let speaking = state.caller_speaking;
                for effect in state.on(event, at(10 + n as u64)) {
                    let code = |language: Option<Language>| language.map_or("-", Language::code);
                    match effect {
                        Effect::Engine(EngineCommand::CallerSpeaks(language)) => {
                            assert!(!speaking || !state.caller_speaking, "told in the middle of speech");
                            told.push(code(language).to_owned());
                        }
                        Effect::OpenEngine { language, .. } => told.push(format!("open {}", code(language))),
                        _ => {}
                    }
                }
            }
        }
        told
    }

    #[test]
    fn the_recogniser_is_told_of_each_change_once_and_of_nothing_while_it_is_doubted() {
        const ENGLISH: &str = "where is my order please";
        const HINDI: &str = "mera order kahan hai bhai";
        const ANSWER: &str = "aapka order kal aa jayega";
        let table: [(&str, Language, &[Hear], &[&str]); 9] = [
            ("what tells nothing", Language::Hinglish, &[Caller("ok"), Caller("hello")], &[]),
            ("the agent's own, heard", Language::Hinglish, &[Caller(HINDI), Caller(HINDI)], &["hi-Latn"]),
            ("in Devanagari", Language::Hindi, &[Caller("mera order"), Caller(HINDI)], &["hi"]),
            ("another", Language::Hinglish, &[Caller(HINDI), Caller(ENGLISH), Caller(ENGLISH)], &["hi-Latn", "en"]),
            ("and back", Language::Hinglish, &[Caller(ENGLISH), Caller(HINDI)], &["en", "hi-Latn"]),
            ("words that come late", Language::English, &[Before(ENGLISH)], &["en"]),
            ("a new session", Language::English, &[Caller(ENGLISH), Lost, Caller(ENGLISH)], &["en", "open en"]),
            ("a new session before that", Language::English, &[Lost, Caller(ENGLISH)], &["open -", "en"]),
            (
                "answers in another",
                Language::Hinglish,
                &[Caller(ENGLISH), Says(ANSWER), Caller(ENGLISH), Lost],
                &["en", "-", "open -"],
            ),
        ];
        for (name, language, events, expected) in table {
            let state = quiet_of(Agent { language, ..agent(true) });
            assert_eq!(told(state, events), expected, "{name}");
        }
    }
}
