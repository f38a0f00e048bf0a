//! Lists of words: as spelled, or in any spelling.

use std::collections::HashSet;

use super::fold::{Token, key};

/// See the module's text.
pub(super) struct Words {
    exact: HashSet<&'static str>,
    keys: HashSet<String>,
}

/// Words of fewer letters are found by their spelling alone: their keys would catch half the language.
const LETTERS_MIN: usize = 4;

impl Words {
    /// Words as they are spelled, with blanks between.
    pub(super) fn exact(list: &'static str) -> Self {
        Self { exact: list.split_whitespace().collect(), keys: HashSet::new() }
    }

    /// Words in any spelling.
    pub(super) fn spelled(list: &'static str) -> Self {
        let long = list.split_whitespace().filter(|word| word.chars().count() >= LETTERS_MIN);
        let keys = long.map(key).filter(|key| key.len() > 2).collect();
        Self { keys, ..Self::exact(list) }
    }

    pub(super) fn has(&self, token: &Token) -> bool {
        self.exact.contains(token.raw.as_str()) || (!self.keys.is_empty() && self.keys.contains(&token.key))
    }

    /// As spelled.
    pub(super) fn has_word(&self, word: &str) -> bool {
        self.exact.contains(word)
    }

    pub(super) fn any(&self, tokens: &[Token]) -> bool {
        tokens.iter().any(|token| self.has(token))
    }
}
