//! Sentences Caly can say without an engine: audio and words shipped inside the binary, made by
//! `assets/phrases/make.sh`. Reads no file at run time and knows nothing of calls.

use std::collections::HashMap;
use std::sync::OnceLock;

use bytes::Bytes;
use caly_actors::domain::{Language, Pcm, Phrase};
use caly_actors::ports::Phrases;
use rust_embed::RustEmbed;

/// The rate of every stored phrase, in samples a second.
const RATE: u32 = 8_000;

/// In which there are phrases.
pub const LANGUAGES: [Language; 3] = [Language::English, Language::Hindi, Language::Hinglish];

#[derive(RustEmbed)]
#[folder = "assets/phrases"]
struct Files;

struct Stored {
    pcm: Pcm,
    words: &'static str,
}

/// A stored phrase that cannot be used: a mistake of the build, found by the first use at the start.
#[derive(Debug, thiserror::Error)]
#[error("stored phrase {name}: {reason}")]
pub struct PhraseError {
    name: String,
    reason: String,
}

/// Every phrase in every language, decoded once for the process.
#[derive(Clone, Copy)]
pub struct StoredPhrases(&'static HashMap<(Language, Phrase), Stored>);

impl StoredPhrases {
    /// Decodes what is embedded; the second time it is only looked up.
    ///
    /// # Errors
    /// An embedded file is missing or is not 8 kHz mono 16-bit PCM.
    pub fn load() -> Result<Self, PhraseError> {
        static STORED: OnceLock<HashMap<(Language, Phrase), Stored>> = OnceLock::new();
        if let Some(stored) = STORED.get() {
            return Ok(Self(stored));
        }
        let decoded = decode_all()?;
        Ok(Self(STORED.get_or_init(|| decoded)))
    }
}

impl Phrases for StoredPhrases {
    fn audio(&self, _: &str, phrase: Phrase, language: Language) -> Pcm {
        // `load` has decoded every pair; silence is only what the type asks for.
        let silence = || Pcm { rate: RATE, bytes: Bytes::new() };
        self.0.get(&(language, phrase)).map_or_else(silence, |stored| stored.pcm.clone())
    }

    fn words(&self, phrase: Phrase, language: Language) -> &'static str {
        self.0.get(&(language, phrase)).map_or("", |stored| stored.words)
    }
}

fn decode_all() -> Result<HashMap<(Language, Phrase), Stored>, PhraseError> {
    let text = embedded("phrases.toml")?;
    let words: toml::Table =
        toml::from_str(&String::from_utf8_lossy(&text)).map_err(|e| error("phrases.toml", &e.to_string()))?;
    let mut stored = HashMap::new();
    for language in LANGUAGES {
        for phrase in Phrase::ALL {
            let name = format!("{}/{}.wav", language.code(), phrase.as_str());
            let said = words.get(language.code()).and_then(|of| of.get(phrase.as_str())).and_then(toml::Value::as_str);
            let said = said.ok_or_else(|| error(&name, "has no words in phrases.toml"))?;
            // Leaked once for the process: thirty-nine short sentences that live as long as it does.
            let words: &'static str = Box::leak(said.to_owned().into_boxed_str());
            stored.insert((language, phrase), Stored { pcm: decode(&name, &embedded(&name)?)?, words });
        }
    }
    Ok(stored)
}

fn embedded(name: &str) -> Result<std::borrow::Cow<'static, [u8]>, PhraseError> {
    Files::get(name).map(|file| file.data).ok_or_else(|| error(name, "is not embedded"))
}

fn decode(name: &str, wav: &[u8]) -> Result<Pcm, PhraseError> {
    let mut reader = hound::WavReader::new(wav).map_err(|e| error(name, &e.to_string()))?;
    let spec = reader.spec();
    if (spec.sample_rate, spec.channels, spec.bits_per_sample) != (RATE, 1, 16) {
        return Err(error(name, "is not 8 kHz mono 16-bit PCM"));
    }
    let samples: Result<Vec<i16>, _> = reader.samples::<i16>().collect();
    let samples = samples.map_err(|e| error(name, &e.to_string()))?;
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    Ok(Pcm { rate: RATE, bytes: bytes.into() })
}

fn error(name: &str, reason: &str) -> PhraseError {
    PhraseError { name: name.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_phrase_can_be_heard_and_read_in_every_language() {
        let phrases = StoredPhrases::load().unwrap();
        let mut heard = std::collections::HashSet::new();
        for language in LANGUAGES {
            for phrase in Phrase::ALL {
                let name = format!("{}/{}", language.code(), phrase.as_str());
                let pcm = phrases.audio("any", phrase, language);
                assert_eq!(pcm.rate, 8_000, "{name}");
                let length = pcm.duration();
                assert!(length > Duration::from_millis(500) && length < Duration::from_secs(5), "{name}: {length:?}");
                let loudest =
                    pcm.bytes.chunks_exact(2).map(|s| i16::from_le_bytes([s[0], s[1]]).unsigned_abs()).max().unwrap();
                assert!(loudest > 8_000, "{name} peaks at {loudest}");
                assert!(phrases.words(phrase, language).ends_with(['.', '?', '।']), "{name}");
                assert!(heard.insert(pcm.bytes), "{name} sounds like another phrase");
            }
        }
    }

    /// A call gives them the time they take, up to 5 s (`parting.rs`), and makes "our time is up" begin as much earlier; by
    /// default none is near what last words have anyway.
    #[test]
    fn every_sentence_that_ends_a_call_has_the_time_it_takes() {
        let phrases = StoredPhrases::load().unwrap();
        let on_the_way = Duration::from_millis(700);
        let limits = caly_actors::domain::CallLimits::default();
        use Phrase::{Apology, Enough, Goodbye, HandOff, TimeUp, WrongNumber};
        for language in LANGUAGES {
            for phrase in [Apology, Enough, Goodbye, HandOff, TimeUp, WrongNumber] {
                let length = phrases.audio("any", phrase, language).duration() + on_the_way;
                assert!(length < Duration::from_secs(5), "{language:?} {phrase:?}: {length:?}");
                assert!(length < limits.last_words, "{language:?} {phrase:?}: {length:?}");
            }
        }
    }

    #[test]
    fn hindi_is_written_in_devanagari_and_hinglish_in_latin_letters() {
        let phrases = StoredPhrases::load().unwrap();
        for phrase in Phrase::ALL {
            let is_devanagari = |c: char| ('\u{900}'..='\u{97f}').contains(&c);
            assert!(phrases.words(phrase, Language::Hindi).chars().any(is_devanagari));
            assert!(phrases.words(phrase, Language::Hinglish).is_ascii());
        }
    }

    #[test]
    fn audio_of_another_kind_is_refused() {
        let mut wav = std::io::Cursor::new(Vec::new());
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: 8_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        hound::WavWriter::new(&mut wav, spec).unwrap().finalize().unwrap();
        assert!(decode("x", wav.get_ref()).is_err());
        assert!(decode("x", b"RIFF").is_err());
    }
}
