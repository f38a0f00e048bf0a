//! Whether what was said tells of what would be done. A check against sentences that name none of it, not a proof that all of it
//! was said.

use serde_json::Value;

use super::{Surroundings, fold, keys, understand};

/// Whether words name any of what stands in a plan: one of its numbers, in digits or as they are spoken, or one of its longer
/// words, in either script. A plan without a number is told by any words.
#[must_use]
pub fn tells_of(words: &str, plan: &Value) -> bool {
    let (mut names, mut numbers) = (Vec::new(), Vec::new());
    marks_of(plan, &mut names, &mut numbers);
    // Without a number in it a plan may well be told in words of the caller's language that stand nowhere in it.
    if !numbers.iter().any(|number| number.len() > 1) {
        return true;
    }
    let said = keys(words);
    let spoken = understand(words, Surroundings::default()).entities;
    let digits =
        runs(words).into_iter().chain(spoken.iter().flat_map(|entity| runs(&entity.value))).collect::<Vec<_>>();
    names.iter().any(|name| said.contains(name)) || numbers.iter().any(|number| digits.contains(number))
}

/// Shortest word and longest list of what a plan is known by.
const NAME_MIN: usize = 4;
const MARKS_MAX: usize = 64;

fn marks_of(plan: &Value, names: &mut Vec<String>, numbers: &mut Vec<String>) {
    let mut text = |text: &str| {
        numbers.extend(runs(text).into_iter().take(MARKS_MAX.saturating_sub(numbers.len())));
        let long = fold::tokens(text)
            .into_iter()
            .filter(|token| token.raw.chars().filter(|c| c.is_alphabetic()).count() >= NAME_MIN);
        names.extend(long.map(|token| token.key).take(MARKS_MAX.saturating_sub(names.len())));
    };
    match plan {
        Value::String(words) => text(words),
        Value::Number(number) => text(&number.to_string()),
        Value::Array(list) => list.iter().for_each(|value| marks_of(value, names, numbers)),
        Value::Object(map) => map.values().for_each(|value| marks_of(value, names, numbers)),
        Value::Null | Value::Bool(_) => {}
    }
}

/// The numbers in a text, without the signs inside them.
fn runs(text: &str) -> Vec<String> {
    let joined = text.replace(',', "");
    let plain: String = joined.chars().map(|c| fold::devanagari_digit(c).unwrap_or(c)).collect();
    plain
        .split(|c: char| !c.is_ascii_digit())
        .filter(|run| !run.is_empty())
        .map(|run| run.trim_start_matches('0').to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_back_names_something_of_the_plan_or_tells_nothing_of_it() {
        let order = serde_json::json!({ "cancel_order": { "order": "1042", "items": ["1 × Kurta"], "total": "₹1,299", "cannot_be_undone": true } });
        let visit =
            serde_json::json!({ "service": "Consultation", "with": "Asha", "at": "Saturday 28 November, 11:00" });
        for (words, plan, tells) in [
            ("Order 1042 cancel kar doon?", &order, true),
            ("Order ek hazaar bayalis cancel kar doon?", &order, true),
            ("ऑर्डर १०४२ रद्द कर दूँ?", &order, true),
            ("Ek kurta wapas, baarah sau ninyanve rupaye, theek hai?", &order, true),
            ("₹1299 ka order hata doon?", &order, true),
            ("Samay ki jaankari hamari website par hai", &order, false),
            ("Kya main aage badhoon?", &order, false),
            ("Order 1011 cancel kar doon?", &order, false),
            ("Kal gyarah baje Asha ke saath rakh doon?", &visit, true),
            ("कल आशा के साथ कंसल्टेशन, ग्यारह बजे?", &visit, true),
            ("Kal gyarah baje pakka kar doon?", &visit, true),
            ("Aur kuch?", &visit, false),
            ("Aur kuch?", &serde_json::json!({}), true),
            ("Aapki jaankari mita doon?", &serde_json::json!({ "forget": ["name", "preferred stylist"] }), true),
        ] {
            assert_eq!(tells_of(words, plan), tells, "{words}");
        }
    }
}
