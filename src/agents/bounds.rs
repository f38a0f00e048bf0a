//! How large and how small a saved agent's settings may be, and which go together. Looked at when an agent is saved, not when it is used: one that was
//! saved before goes on answering.

use serde_json::Value;

use super::{SettingsError, wrong};

/// Longest name of a voice.
const VOICE_MAX: usize = 64;
/// Letters that are said in the 40 s that a stored greeting may last.
const GREETING_MAX: usize = 600;

/// The least and the most of each limit in seconds; 0 switches those off that say so.
const LIMITS: [(&str, f64, f64, bool); 12] = [
    ("answer_s", 5.0, 600.0, false),
    ("idle_media_s", 2.0, 3_600.0, false),
    ("idle_speech_s", 5.0, 3_600.0, false),
    ("engine_progress_s", 0.5, 60.0, false),
    ("first_audio_s", 0.5, 60.0, false),
    ("answer_gap_s", 0.5, 60.0, false),
    ("max_duration_s", 30.0, 86_400.0, false),
    ("last_words_s", 2.0, 60.0, false),
    ("hello_s", 0.5, 15.0, true),
    ("filler_after_s", 0.5, 60.0, true),
    ("filler_again_s", 2.0, 600.0, true),
    ("time_warning_s", 10.0, 3_600.0, true),
];

/// Checks settings that [`super::read`] can read.
///
/// # Errors
/// The first value that is out of bounds, by its key.
pub fn check(settings: &Value) -> Result<(), SettingsError> {
    if let Some(voice) = settings["voice"].as_str() {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !(1..=VOICE_MAX).contains(&voice.len()) || !voice.chars().all(fits) {
            return Err(wrong("voice", "expected the name of a voice: 1 to 64 letters, digits, '-' and '_'"));
        }
    }
    greeting(settings)?;
    together(settings)?;
    for (key, least, most, off) in LIMITS {
        let Some(given) = settings["limits"][key].as_f64() else { continue };
        if !((least..=most).contains(&given) || (off && given == 0.0)) {
            let or_off = if off { ", or 0 for never" } else { "" };
            return Err(wrong(&format!("limits.{key}"), &format!("expected {least} to {most} seconds{or_off}")));
        }
    }
    Ok(())
}

/// What one setting promises and another takes back.
fn together(settings: &Value) -> Result<(), SettingsError> {
    let named = |key: &str| settings[key].as_array().filter(|named| !named.is_empty());
    if let (Some(language), Some(languages)) = (settings.get("language"), named("languages"))
        && !languages.contains(language)
    {
        return Err(wrong("language", "expected one of languages: those are all that the agent speaks"));
    }
    let person = |choice: &Value| choice.as_str() == Some("person");
    let hands_over = settings["menu"].as_object().is_some_and(|menu| menu.values().any(person));
    if hands_over && named("handoff_numbers").is_none() {
        return Err(wrong("menu", "a key hands over to a person, and there are no handoff_numbers to ring"));
    }
    Ok(())
}

fn greeting(settings: &Value) -> Result<(), SettingsError> {
    let keys = ["greeting", "disclosure", "recording_notice"];
    let lengths = keys.map(|key| settings[key].as_str().map_or(0, |text| said(text).chars().count()));
    let all: usize = lengths.iter().sum();
    if all <= GREETING_MAX {
        return Ok(());
    }
    let longest = keys.iter().zip(lengths).max_by_key(|(_, length)| *length).map_or("greeting", |(key, _)| *key);
    let reason = format!(
        "expected {GREETING_MAX} letters at most of greeting, disclosure and recording_notice together, which is 40 s of speech; \
         they have {all}"
    );
    Err(wrong(longest, &reason))
}

/// A text without what a template fills in: nobody says its braces.
fn said(text: &str) -> String {
    let mut left = text;
    let mut said = String::new();
    while let Some(open) = ["{{", "{%", "{#"].iter().filter_map(|mark| left.find(mark)).min() {
        said.push_str(&left[..open]);
        let inside = &left[open + 2..];
        let close = ["}}", "%}", "#}"].iter().filter_map(|mark| inside.find(mark)).min();
        left = close.map_or("", |close| &inside[close + 2..]);
    }
    said + left
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_that_no_call_can_use_are_refused_by_their_key() {
        let long = |letters: usize| "a".repeat(letters);
        for (settings, key) in [
            (json!({"voice": ""}), "voice"),
            (json!({"voice": long(5_000)}), "voice"),
            (json!({"voice": "marin; drop"}), "voice"),
            (json!({"greeting": long(60_000)}), "greeting"),
            (json!({"greeting": long(300), "disclosure": long(301)}), "disclosure"),
            (json!({"limits": {"max_duration_s": 0.1}}), "limits.max_duration_s"),
            (json!({"limits": {"idle_speech_s": 0.1}}), "limits.idle_speech_s"),
            (json!({"limits": {"time_warning_s": 5}}), "limits.time_warning_s"),
            (json!({"limits": {"engine_progress_s": 61}}), "limits.engine_progress_s"),
            (json!({"languages": ["en"], "language": "hi"}), "language"),
            (json!({"menu": {"1": {"tell": "hm"}, "0": "person"}}), "menu"),
        ] {
            let refused = check(&settings).unwrap_err();
            assert_eq!(refused.key.as_deref(), Some(key), "{refused}");
        }
    }

    #[test]
    fn values_at_the_bounds_are_taken() {
        for (key, least, most, off) in LIMITS {
            for value in [Some(least), Some(most), off.then_some(0.0)].into_iter().flatten() {
                assert!(check(&json!({"limits": {(key): value}})).is_ok(), "{key} {value}");
            }
        }
        let templated = format!("{{{{ client.name }}}}{}{{% if caller.number %}}{{% endif %}}", "अ".repeat(600));
        for settings in [
            json!({}),
            json!({"voice": "voice_68f0-A"}),
            json!({"greeting": templated}),
            json!({"voice": "marin"}),
            json!({"languages": [], "language": "hi"}),
            json!({"languages": ["hi", "en"], "language": "hi"}),
            json!({"menu": {"0": "person"}, "handoff_numbers": ["+919876500000"]}),
            json!({"menu": {"9": "end"}}),
        ] {
            assert!(check(&settings).is_ok(), "{settings}");
        }
    }
}
