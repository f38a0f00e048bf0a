//! How soon a caller may interrupt, as it is written in an agent's settings.

use caly_actors::domain::BargeIn;
use serde::{Deserialize, Serialize};

use super::{SettingsError, wrong};

/// A word, or simply whether.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
pub(super) enum Written {
    May(bool),
    How(String),
}

impl Default for Written {
    fn default() -> Self {
        Self::May(true)
    }
}

pub(super) fn read(given: &Written) -> Result<BargeIn, SettingsError> {
    match given {
        Written::May(true) => Ok(BargeIn::Normal),
        Written::May(false) => Ok(BargeIn::Off),
        Written::How(word) => match word.as_str() {
            "off" => Ok(BargeIn::Off),
            "cautious" => Ok(BargeIn::Cautious),
            "normal" => Ok(BargeIn::Normal),
            "eager" => Ok(BargeIn::Eager),
            _ => Err(wrong("barge_in", "expected off, cautious, normal or eager")),
        },
    }
}
