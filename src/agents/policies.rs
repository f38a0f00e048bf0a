//! What Caly itself does about callers' wishes, as operators write it.

use caly_actors::domain::{AbusePolicy, DoNotCallPolicy, PersonPolicy, Policies, WrongNumberPolicy};
use serde::{Deserialize, Serialize};

use super::{SettingsError, wrong};

/// What is absent is as [`Policies::default`] has it.
#[derive(Deserialize, Serialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    person: Option<String>,
    wrong_number: Option<String>,
    do_not_call: Option<String>,
    abuse: Option<String>,
}

pub(super) fn read(written: &Written) -> Result<Policies, SettingsError> {
    let otherwise = Policies::default();
    Ok(Policies {
        person: choose(
            "person",
            written.person.as_deref(),
            otherwise.person,
            &[("obey", PersonPolicy::Obey), ("engine", PersonPolicy::Engine)],
        )?,
        wrong_number: choose(
            "wrong_number",
            written.wrong_number.as_deref(),
            otherwise.wrong_number,
            &[("end", WrongNumberPolicy::End), ("engine", WrongNumberPolicy::Engine)],
        )?,
        do_not_call: choose(
            "do_not_call",
            written.do_not_call.as_deref(),
            otherwise.do_not_call,
            &[("record", DoNotCallPolicy::Record), ("engine", DoNotCallPolicy::Engine)],
        )?,
        abuse: choose(
            "abuse",
            written.abuse.as_deref(),
            otherwise.abuse,
            &[("warn", AbusePolicy::Warn), ("end", AbusePolicy::End), ("engine", AbusePolicy::Engine)],
        )?,
    })
}

fn choose<T: Copy>(key: &str, given: Option<&str>, otherwise: T, choices: &[(&str, T)]) -> Result<T, SettingsError> {
    let Some(given) = given else { return Ok(otherwise) };
    let found = choices.iter().find(|(word, _)| *word == given).map(|(_, policy)| *policy);
    found.ok_or_else(|| {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        wrong(&format!("policies.{key}"), &format!("expected {}", words.join(" or ")))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn policies(settings: &Value) -> Result<Policies, SettingsError> {
        read(&Written::deserialize(settings).unwrap())
    }

    #[test]
    fn what_is_not_said_is_the_default_and_every_word_is_read() {
        assert_eq!(policies(&json!({})).unwrap(), Policies::default());
        let left = json!({ "person": "engine", "wrong_number": "engine", "do_not_call": "engine", "abuse": "engine" });
        let left = policies(&left).unwrap();
        assert_eq!(left.person, PersonPolicy::Engine);
        assert_eq!(left.wrong_number, WrongNumberPolicy::Engine);
        assert_eq!(left.do_not_call, DoNotCallPolicy::Engine);
        assert_eq!(left.abuse, AbusePolicy::Engine);
        let usual = json!({ "person": "obey", "wrong_number": "end", "do_not_call": "record", "abuse": "warn" });
        assert_eq!(policies(&usual).unwrap(), Policies::default());
        assert_eq!(policies(&json!({ "abuse": "end" })).unwrap().abuse, AbusePolicy::End);
    }

    #[test]
    fn another_word_is_refused_with_those_there_are() {
        for (settings, told) in [
            (json!({ "person": "obay" }), "policies.person: expected obey or engine"),
            (json!({ "wrong_number": "" }), "policies.wrong_number: expected end or engine"),
            (json!({ "do_not_call": "Record" }), "policies.do_not_call: expected record or engine"),
            (json!({ "abuse": "obey" }), "policies.abuse: expected warn or end or engine"),
        ] {
            let error = policies(&settings).unwrap_err().to_string();
            assert!(error.ends_with(told), "{error}");
        }
    }
}
