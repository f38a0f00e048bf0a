//! What all agents in use will say whoever rings is made in their voices before anybody does: their greetings, and what can be
//! said without an engine.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use caly_actors::domain::{Agent, Language, Pcm, Phrase};
use caly_actors::ports::Phrases;

use crate::directory::{Directory, Snapshot};
use crate::greetings::StoredGreetings;
use crate::phrases::{LANGUAGES, StoredPhrases};

/// How often it is looked which agents are in use.
const ROUND: Duration = Duration::from_secs(5);
/// A phrase in an agent's voice is used if it is no longer: what is said at the end of a call has that time (`parting.rs`).
const LONGEST: Duration = Duration::from_secs(5);

/// For as long as the process lives.
pub(super) async fn keep_ready(
    greetings: Arc<StoredGreetings>,
    phrases: Arc<StoredGreetings>,
    shipped: StoredPhrases,
    directory: Directory,
) {
    loop {
        if let Some(snapshot) = directory.get() {
            make_greetings(&snapshot, &greetings);
            make_phrases(&snapshot, &phrases, shipped);
        }
        tokio::time::sleep(ROUND).await;
    }
}

fn make_greetings(snapshot: &Snapshot, greetings: &StoredGreetings) {
    let in_use = snapshot.clients().filter(|client| !client.row.disabled);
    let now = SystemTime::now();
    let _room = in_use.filter_map(|client| client.agent_for_anybody(now)).all(|agent| greetings.make_ahead(&agent));
}

fn make_phrases(snapshot: &Snapshot, phrases: &StoredGreetings, shipped: StoredPhrases) {
    for agent in snapshot.clients().filter(|client| !client.row.disabled).filter_map(|client| client.agent.as_ref()) {
        for language in LANGUAGES.into_iter().filter(|language| agent.speaks(*language)) {
            for words in Phrase::ALL.map(|phrase| shipped.words(phrase, language)) {
                if phrases.is_missing(&agent.voice, words) && !phrases.make_ahead(&saying(agent, words)) {
                    return;
                }
            }
        }
    }
}

/// An agent that greets with these words.
fn saying(agent: &Agent, words: &str) -> Arc<Agent> {
    Arc::new(Agent { greeting: Some(words.into()), instructions: "".into(), ..agent.clone() })
}

/// Stored phrases in the agents' voices, as far as they were made; else as they are shipped.
pub(super) struct VoicedPhrases {
    pub(super) shipped: StoredPhrases,
    pub(super) made: Arc<StoredGreetings>,
}

impl Phrases for VoicedPhrases {
    fn audio(&self, voice: &str, phrase: Phrase, language: Language) -> Pcm {
        let made = self.made.made(voice, self.words(phrase, language)).filter(|made| made.duration() <= LONGEST);
        made.unwrap_or_else(|| self.shipped.audio(voice, phrase, language))
    }

    fn words(&self, phrase: Phrase, language: Language) -> &'static str {
        self.shipped.words(phrase, language)
    }
}
