//! The `shop` of an agent's settings.

use caly_actors::domain::{OrderProof, ShopPolicy};
use serde::{Deserialize, Serialize};

use super::{SettingsError, wrong};

/// What a machine may change at most, where nothing is said: in whole units of the shop's currency.
const WRITE_LIMIT: u32 = 5000;

/// As it is written.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    /// `number` or `number_or_facts`, for telling and for changing; left out: facts open an order to be told only.
    #[serde(default)]
    proof: Option<String>,
    #[serde(default)]
    write_limit: Option<u32>,
}

pub(super) fn read(written: &Written) -> Result<ShopPolicy, SettingsError> {
    let (read, write) = match written.proof.as_deref() {
        None => (OrderProof::NumberOrFacts, OrderProof::Number),
        Some("number") => (OrderProof::Number, OrderProof::Number),
        Some("number_or_facts") => (OrderProof::NumberOrFacts, OrderProof::NumberOrFacts),
        Some(_) => return Err(wrong("shop", "proof: expected number or number_or_facts")),
    };
    Ok(ShopPolicy { read, write, write_limit: written.write_limit.unwrap_or(WRITE_LIMIT) })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn facts_open_an_order_to_be_told_and_only_if_it_is_said_to_be_changed() {
        use OrderProof::{Number, NumberOrFacts};
        let policy = |written: Value| read(&serde_json::from_value(written).unwrap()).unwrap();
        for (written, read, write, write_limit) in [
            (json!({}), NumberOrFacts, Number, 5000),
            (json!({"proof": "number", "write_limit": 0}), Number, Number, 0),
            (json!({"proof": "number_or_facts", "write_limit": 20_000}), NumberOrFacts, NumberOrFacts, 20_000),
        ] {
            assert_eq!(policy(written.clone()), ShopPolicy { read, write, write_limit }, "{written}");
        }
    }
}
