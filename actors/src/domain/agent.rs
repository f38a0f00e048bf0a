//! How calls are conducted: agents, languages, phrases, limits.

use std::sync::Arc;
use std::time::Duration;

use super::{AgentId, Calendar, InvalidValue, PhoneNumber, Policies};
use crate::understand::own::{OwnIntents, Products};

/// A language an agent can speak.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Language {
    /// English as spoken in India.
    English,
    /// Hindi, written in Devanagari.
    Hindi,
    /// Hindi and English mixed, written in Latin letters.
    Hinglish,
}

impl Language {
    /// BCP 47: `en`, `hi`, `hi-Latn`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Hindi => "hi",
            Self::Hinglish => "hi-Latn",
        }
    }

    /// Its name, for the engine.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Hindi => "Hindi",
            Self::Hinglish => "Hinglish (everyday Hindi mixed with English)",
        }
    }

    /// # Errors
    /// A code other than `en`, `hi`, `hi-Latn`.
    pub fn parse(code: &str) -> Result<Self, InvalidValue> {
        match code {
            "en" | "en-IN" => Ok(Self::English),
            "hi" | "hi-IN" => Ok(Self::Hindi),
            "hi-Latn" | "hinglish" => Ok(Self::Hinglish),
            _ => Err(InvalidValue("a language: en, hi or hi-Latn")),
        }
    }
}

/// Sentences Caly can say without the engine, from audio shipped inside the binary.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Phrase {
    /// "One moment please": the engine was lost and is being replaced.
    Bridge,
    /// "Sorry, we cannot take your call right now": the call ends without hand-off.
    Apology,
    /// "I am connecting you to a person".
    HandOff,
    /// "Thank you for calling, goodbye".
    Goodbye,
    /// "Our time is up": maximum duration reached.
    TimeUp,
    /// "Are you still there?"
    StillThere,
    /// "One moment, I am checking": an answer or an action takes long.
    Checking,
    /// "Still on it, thank you for waiting": it takes longer.
    StillChecking,
    /// "We have a minute left": the maximum duration is near.
    MinuteLeft,
    /// "We have only a little time left": the same, when it is not about a minute.
    TimeShort,
    /// "Sorry for the trouble, goodbye": a wrong number.
    WrongNumber,
    /// "I have to end this call": the caller goes on abusing.
    Enough,
    /// "That did not work, please tell me once more": the engine did much and said nothing.
    SayAgain,
}

impl Phrase {
    /// All of them, for tests and for the audio store.
    pub const ALL: [Self; 13] = [
        Self::Bridge,
        Self::Apology,
        Self::HandOff,
        Self::Goodbye,
        Self::TimeUp,
        Self::StillThere,
        Self::Checking,
        Self::StillChecking,
        Self::MinuteLeft,
        Self::TimeShort,
        Self::WrongNumber,
        Self::Enough,
        Self::SayAgain,
    ];

    /// The name used for its audio file and in the journal.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Apology => "apology",
            Self::HandOff => "hand_off",
            Self::Goodbye => "goodbye",
            Self::TimeUp => "time_up",
            Self::StillThere => "still_there",
            Self::Checking => "checking",
            Self::StillChecking => "still_checking",
            Self::MinuteLeft => "minute_left",
            Self::TimeShort => "time_short",
            Self::WrongNumber => "wrong_number",
            Self::Enough => "enough",
            Self::SayAgain => "say_again",
        }
    }
}

/// How the engine decides that the caller has finished a turn.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum TurnDetection {
    /// Silence of a given length ends a turn.
    Silence {
        /// 0.0 to 1.0; louder lines want more.
        threshold: f32,
        /// Audio kept before the detected onset, ms.
        prefix_padding_ms: u32,
        /// Silence that ends the turn, ms.
        silence_duration_ms: u32,
    },
    /// The engine's own judgement of whether the sentence is finished.
    Semantic {
        /// `low`, `medium`, `high` or `auto`.
        eagerness: &'static str,
    },
}

impl Default for TurnDetection {
    fn default() -> Self {
        Self::Silence { threshold: 0.5, prefix_padding_ms: 300, silence_duration_ms: 500 }
    }
}

/// Limits of one call. Every time is a timer of the call; none may be unbounded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallLimits {
    /// From admission to the media stream's `start`.
    pub answer: Duration,
    /// Without any media frame from the carrier.
    pub idle_media: Duration,
    /// Without speech from either side; the caller is asked whether they are there `reprompts` times meanwhile.
    pub idle_speech: Duration,
    /// How often, in equal steps. The last but one of several also opens a new engine session: the old one may be deaf.
    pub reprompts: u32,
    /// From the request for an answer until the engine says that it makes one.
    pub engine_progress: Duration,
    /// From that request until the answer begins, or goes on with something else than words; no less than the former.
    pub first_audio: Duration,
    /// In the middle of an answer's words, once all that came was heard.
    pub answer_gap: Duration,
    /// An engine session this old is replaced in the next pause; before the service ends it.
    pub session_age: Duration,
    /// The whole call.
    pub max_duration: Duration,
    /// From the decision to end until everything of the call is gone.
    pub teardown: Duration,
    /// Longest wait for the last words to be heard before the stream is closed.
    pub last_words: Duration,
    /// Who was rung up has so long to say hello before the agent greets; zero: it greets at once, as it does who rings.
    pub hello: Duration,
    /// Silence in which an answer or an action is awaited, until the caller hears that something is happening.
    pub filler_after: Duration,
    /// … and from the end of that sentence to the next.
    pub filler_again: Duration,
    /// Before the maximum duration: when the caller is told. Not at all in calls that may not last three times as long.
    pub time_warning: Duration,
    /// Share of what an engine session can hold, in percent, above which older turns make way for a summary; 0: never.
    pub summary_at: u32,
    /// The caller's last turns that stay as they were said.
    pub summary_keeps: u32,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(45),
            idle_media: Duration::from_secs(15),
            idle_speech: Duration::from_secs(60),
            reprompts: 2,
            engine_progress: Duration::from_millis(1500),
            first_audio: Duration::from_secs(4),
            answer_gap: Duration::from_millis(1500),
            session_age: Duration::from_secs(50 * 60),
            max_duration: Duration::from_secs(30 * 60),
            teardown: Duration::from_secs(5),
            last_words: Duration::from_secs(8),
            hello: Duration::ZERO,
            filler_after: Duration::from_millis(1500),
            filler_again: Duration::from_secs(6),
            time_warning: Duration::from_secs(60),
            summary_at: 60,
            summary_keeps: 6,
        }
    }
}

/// What the agent does when the caller speaks while it speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BargeIn {
    /// Speaks on.
    Off,
    /// Falls silent at once, and is interrupted by a second and a half of speech or by words that are more than "haan".
    Cautious,
    /// The same after a second: nearly all that listeners say is shorter, and its words decide.
    Normal,
    /// Is interrupted by the first sound.
    Eager,
}

impl BargeIn {
    /// How long the caller must speak to interrupt without a word that is understood; `None`: see [`BargeIn::Off`].
    #[must_use]
    pub fn speech(self) -> Option<Duration> {
        match self {
            Self::Off => None,
            Self::Cautious => Some(Duration::from_millis(1_500)),
            Self::Normal => Some(Duration::from_secs(1)),
            Self::Eager => Some(Duration::ZERO),
        }
    }
}

/// What pressing keys stands for, if it stands for something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MenuChoice {
    /// The call is handed to a person; works without an engine.
    Person,
    /// The call ends with a goodbye; works without an engine.
    End,
    /// The engine is told this, as if the caller had said it.
    Tell(Arc<str>),
}

/// What opens an order to a caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OrderProof {
    /// The number they ring from stands on it.
    Number,
    /// That, or its number and another fact that stands on it.
    NumberOrFacts,
}

/// What callers may do with their orders in the client's shop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShopPolicy {
    /// What opens an order to be told.
    pub read: OrderProof,
    /// What opens it to be changed.
    pub write: OrderProof,
    /// Orders worth more, in whole units of the shop's currency, are changed by people only.
    pub write_limit: u32,
}

/// How calls for a client are conducted. One version; never changed once a call uses it.
#[derive(Clone, PartialEq, Debug)]
pub struct Agent {
    /// Identity of this version.
    pub id: AgentId,
    /// 1, 2, 3 … per client.
    pub version: i64,
    /// Shown to operators.
    pub name: Arc<str>,
    /// What the engine is told to be and do.
    pub instructions: Arc<str>,
    /// What the agent says first, with the sentences it must say; `None` lets the engine choose.
    pub greeting: Option<Arc<str>>,
    /// Sentences of the greeting that the law or the client wants every caller to hear: that a machine speaks, that the
    /// call is recorded. The caller cannot interrupt the greeting then.
    pub notices: Vec<Arc<str>>,
    /// The engine's voice name.
    pub voice: Arc<str>,
    /// The language stored phrases use until the caller's is known.
    pub language: Language,
    /// The languages it may speak; empty is all of them.
    pub languages: Vec<Language>,
    /// What callers can book; `None`: nothing.
    pub calendar: Option<Arc<Calendar>>,
    /// What callers may do with their orders; `None`: nothing.
    pub shop: Option<ShopPolicy>,
    /// How long callers are remembered after their last call; `None`: they are neither recognised nor remembered.
    pub remember_callers: Option<Duration>,
    /// Intents of the client's own, by examples.
    pub intents: Arc<OwnIntents>,
    /// What the client sells, by name.
    pub products: Arc<Products>,
    /// Seconds that the callers' local time is ahead of UTC.
    pub utc_offset: i32,
    /// How a turn ends.
    pub turn_detection: TurnDetection,
    /// Whether and how soon the caller may interrupt the agent.
    pub barge_in: BargeIn,
    /// Caly listens for the caller itself while the agent speaks, and does not wait for the engine to hear them.
    pub local_detection: bool,
    /// What keys stand for: "0" for a person, say. Other keys are told to the engine as they are.
    pub menu: Vec<(Arc<str>, MenuChoice)>,
    /// What is done about callers' wishes whatever the engine does.
    pub policies: Policies,
    /// The people a call can be handed to, in order of trial.
    pub handoff_numbers: Vec<PhoneNumber>,
    /// Actions of this agent, as the catalogue knows them, by name.
    pub tools: Vec<Arc<str>>,
    /// A client's own HTTPS actions.
    pub http_tools: Vec<HttpTool>,
    /// Servers of tools, and which of theirs are offered.
    pub mcp_servers: Vec<McpServer>,
    /// Time limits.
    pub limits: CallLimits,
}

impl Agent {
    /// Whether it may speak a language. Its own it always may.
    #[must_use]
    pub fn speaks(&self, language: Language) -> bool {
        self.languages.is_empty() || language == self.language || self.languages.contains(&language)
    }

    /// What the engine is told of languages: the same for every session of this version, so that what the service keeps of
    /// its instructions stays of use.
    #[must_use]
    pub fn language_rule(&self) -> String {
        let all = [Language::English, Language::Hindi, Language::Hinglish];
        let spoken: Vec<&str> = all.into_iter().filter(|one| self.speaks(*one)).map(Language::name).collect();
        let own = self.language.name();
        if let [only] = spoken[..] {
            return format!("Speak {only} only, whatever language the caller speaks.");
        }
        format!(
            "Languages: you may speak {}, and no other. Begin in {own}. Answer in the language that the caller speaks, if it is \
             one of these, and follow when they change it; else answer in {own}.",
            spoken.join(", ")
        )
    }

    /// The language it answers in whoever speaks this one, if it is one of its own. Hindi is one to the ear: what is written
    /// down in Devanagari now and in Latin letters then is answered in the Hindi that the agent speaks, by default first.
    #[must_use]
    pub fn answers_in(&self, heard: Language) -> Option<Language> {
        let hindi = |language: &Language| *language != Language::English;
        let other = if heard == Language::Hindi { Language::Hinglish } else { Language::Hindi };
        let choices = if hindi(&heard) { [self.language, heard, other] } else { [heard; 3] };
        choices.into_iter().find(|choice| hindi(choice) == hindi(&heard) && self.speaks(*choice))
    }
}

/// A client's own HTTPS endpoint offered to the engine as a tool.
#[derive(Clone, PartialEq, Debug)]
pub struct HttpTool {
    /// Tool name, `[a-z0-9_]{1,64}`.
    pub name: Arc<str>,
    /// What it does, for the engine.
    pub description: Arc<str>,
    /// JSON Schema of the arguments, as text.
    pub schema: Arc<str>,
    /// `GET` or `POST`.
    pub method: Arc<str>,
    /// URL with `{argument}` places, each percent-encoded when filled.
    pub url: Arc<str>,
    /// JSON body with `{argument}` places inside strings; `None` sends the arguments as they are.
    pub body: Option<Arc<str>>,
    /// Longest wait for one attempt.
    pub deadline: Duration,
    /// Whether it changes something in the world.
    pub writes: bool,
    /// Whether the caller must say yes to it first.
    pub confirm: bool,
    /// Whether the same request under the same key does nothing new. If not, it is sent once and a lost answer stays lost.
    pub repeatable: bool,
    /// Whether it is told the number that rings; `None`: nothing was said about it.
    pub tell_caller: Option<bool>,
    /// What undoes it.
    pub undo: HttpUndo,
}

/// What undoes a client's own action.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HttpUndo {
    /// Nothing was said about it.
    Unsaid,
    /// Nothing: the caller is told before.
    Never,
    /// Another of the client's own, by name, asked with the same arguments and the `result`.
    By(Arc<str>),
}

impl HttpTool {
    /// Whether each request says who asks: over `https` unless it is said not to, in the clear only where it is said.
    #[must_use]
    pub fn tells_caller(&self) -> bool {
        self.tell_caller.unwrap_or_else(|| self.url.starts_with("https://"))
    }
}

/// A text that does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(Arc<str>);

impl Hidden {
    /// Hides a text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text, for where it is meant to go.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// A server that lists tools and carries them out (Model Context Protocol).
#[derive(Clone, PartialEq, Debug)]
pub struct McpServer {
    /// Shown to operators, `[a-z0-9_]{1,32}`.
    pub name: Arc<str>,
    /// Where it is asked.
    pub url: Arc<str>,
    /// Sent with each request.
    pub headers: Vec<(Arc<str>, Hidden)>,
    /// Whether each call of a tool says who asks.
    pub tell_caller: bool,
    /// The tools that are offered, whatever else it lists.
    pub tools: Vec<McpTool>,
}

/// A tool of such a server as the operator wants it used. What it says of itself changes none of this.
#[derive(Clone, PartialEq, Debug)]
pub struct McpTool {
    /// As offered to the engine: `<server>_<tool>`.
    pub name: Arc<str>,
    /// As its server calls it.
    pub listed_as: Arc<str>,
    /// Longest wait for one attempt.
    pub deadline: Duration,
    /// Whether it changes something in the world.
    pub writes: bool,
    /// Whether the caller must say yes to it first.
    pub confirm: bool,
    /// Whether the same request under the same key does nothing new. If not, it is sent once and a lost answer stays lost.
    pub repeatable: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_is_told_which_languages_there_are_and_which_is_the_first() {
        let rule = |language, languages: &[Language]| {
            let agent = crate::call::tabled_agent();
            Agent { language, languages: languages.to_vec(), ..agent }.language_rule()
        };
        let two = rule(Language::English, &[Language::Hindi]);
        assert!(two.contains("may speak English, Hindi, and no other. Begin in English."), "{two}");
        let all = rule(Language::Hinglish, &[]);
        assert!(all.contains("English, Hindi, Hinglish") && all.contains("Begin in Hinglish"), "{all}");
        assert_eq!(all, rule(Language::Hinglish, &[]), "the same to the byte");
        let one = rule(Language::Hindi, &[Language::Hindi]);
        assert_eq!(one, "Speak Hindi only, whatever language the caller speaks.");
    }
}
