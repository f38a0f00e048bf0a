//! What all agents in use will say whoever rings is made in their voices before anybody does: their greetings, and what can be
//! said without an engine.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use caly_actors::domain::{Agent, Language, Pcm, Phrase};
use caly_actors::ports::Phrases;

use crate::directory::{Client, Directory, Snapshot};
use crate::greetings::VoicedSentences;
use crate::phrases::{LANGUAGES, StoredPhrases};

/// How often it is looked which agents are in use.
const ROUND: Duration = Duration::from_secs(5);
/// A phrase in an agent's voice is used if it is no longer: what is said at the end of a call has that time (`parting.rs`).
const LONGEST: Duration = Duration::from_secs(5);

/// For as long as the process lives.
pub(super) async fn keep_ready(
    greetings: Arc<VoicedSentences>,
    phrases: Arc<VoicedSentences>,
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

fn make_greetings(snapshot: &Snapshot, greetings: &VoicedSentences) {
    let now = SystemTime::now();
    for (client, agent) in in_use(snapshot) {
        if let Some(words) = client.greeting_for_anybody(now)
            && !make(agent, &words, greetings)
        {
            return;
        }
    }
}

fn make_phrases(snapshot: &Snapshot, phrases: &VoicedSentences, shipped: StoredPhrases) {
    for (_, agent) in in_use(snapshot) {
        for language in LANGUAGES.into_iter().filter(|language| agent.speaks(*language)) {
            if !Phrase::ALL.iter().all(|phrase| make(agent, shipped.words(*phrase, language), phrases)) {
                return;
            }
        }
    }
}

fn in_use(snapshot: &Snapshot) -> impl Iterator<Item = (&Arc<Client>, &Arc<Agent>)> {
    let clients = snapshot.clients().filter(|client| !client.row.disabled);
    clients.filter_map(|client| Some((client, client.agent.as_ref()?)))
}

/// Has words made in the agent's voice, unless they were. Whether there is room for more.
fn make(agent: &Agent, words: &str, sentences: &VoicedSentences) -> bool {
    !sentences.is_missing(&agent.voice, words) || sentences.make_ahead(&saying(agent, words))
}

/// An agent that greets with these words.
fn saying(agent: &Agent, words: &str) -> Arc<Agent> {
    Arc::new(Agent { greeting: Some(words.into()), ..agent.clone() })
}

/// Stored phrases in the agents' voices, as far as they were made; else as they are shipped.
pub(super) struct VoicedPhrases {
    pub(super) shipped: StoredPhrases,
    pub(super) made: Arc<VoicedSentences>,
}

impl Phrases for VoicedPhrases {
    fn audio(&self, voice: &str, phrase: Phrase, language: Language) -> Pcm {
        let made = self.made.made(voice, self.words(phrase, language));
        in_time(made).unwrap_or_else(|| self.shipped.audio(voice, phrase, language))
    }

    fn words(&self, phrase: Phrase, language: Language) -> &'static str {
        self.shipped.words(phrase, language)
    }
}

fn in_time(made: Option<Pcm>) -> Option<Pcm> {
    made.filter(|made| made.duration() <= LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phrase_that_takes_longer_than_a_call_has_for_it_is_heard_as_it_is_shipped() {
        for (ms, used) in [(800, true), (5_000, true), (5_020, false)] {
            let made = Pcm { rate: 8_000, bytes: vec![0; ms * 16].into() };
            assert_eq!(in_time(Some(made)).is_some(), used, "{ms} ms");
        }
        assert_eq!(in_time(None), None);
    }
}
