//! What a client adds to what Caly understands: intents of its own by examples, and its products by name.

use std::collections::BTreeMap;

use caly_actors::domain::IntentKind;
use caly_actors::understand::own::{OwnIntents, Products};

use super::{SettingsError, wrong};

/// Most intents of an agent's own, examples of one, and products: what is looked through at every turn.
const INTENTS_MAX: usize = 50;
const EXAMPLES_MAX: usize = 100;
const PRODUCTS_MAX: usize = 5_000;

pub(super) fn intents(intents: &BTreeMap<String, Vec<String>>) -> Result<OwnIntents, SettingsError> {
    let fits = |name: &str| {
        (1..=64).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let known = |name: &str| IntentKind::ALL.iter().any(|kind| kind.as_str() == name);
    if intents.len() > INTENTS_MAX {
        return Err(wrong("intents", &format!("at most {INTENTS_MAX}")));
    }
    for (name, examples) in intents {
        if !fits(name) || known(name) {
            return Err(wrong(
                "intents",
                &format!("{name}: 1 to 64 of a-z, 0-9 and '_', and none that Caly has already"),
            ));
        }
        let sound = examples.iter().all(|text| (1..=300).contains(&text.trim().len()));
        if !(1..=EXAMPLES_MAX).contains(&examples.len()) || !sound {
            return Err(wrong("intents", &format!("{name}: expected 1 to {EXAMPLES_MAX} examples of 1 to 300 bytes")));
        }
    }
    Ok(OwnIntents::new(intents.iter().map(|(name, examples)| (name.as_str(), examples.as_slice()))))
}

pub(super) fn products(names: &[String]) -> Result<Products, SettingsError> {
    if names.len() > PRODUCTS_MAX || names.iter().any(|name| !(1..=200).contains(&name.trim().len())) {
        return Err(wrong("products", &format!("expected at most {PRODUCTS_MAX} names of 1 to 200 bytes")));
    }
    Ok(Products::new(names.iter().map(String::as_str)))
}
