//! What a client adds without another build: intents of its own by examples, and its products by name.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::features::{Features, features};
use super::fold::{Token, tokens};
use super::language::is_small_word;

/// So like an example, a turn is of its intent whatever the model says.
const ALIKE: f32 = 0.62;
/// So like an example, it is if the model knows no better.
const SIMILAR: f32 = 0.36;
/// The model knows no better.
const UNSURE: f32 = 0.5;

/// A client's own intents.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct OwnIntents(Vec<OwnIntent>);

#[derive(Clone, PartialEq, Debug)]
struct OwnIntent {
    name: Arc<str>,
    examples: Vec<Shape>,
    /// Keys of all words of its examples that tell something.
    words: HashSet<String>,
}

/// The rows of a text, each once.
#[derive(Clone, PartialEq, Debug)]
struct Shape {
    words: Vec<u32>,
    letters: Vec<u32>,
}

impl OwnIntents {
    /// Intents by name, each with texts that mean it.
    pub fn new<'a>(intents: impl Iterator<Item = (&'a str, &'a [String])>) -> Self {
        let own = |(name, examples): (&str, &[String])| {
            let examples: Vec<Vec<Token>> = examples.iter().map(|text| tokens(text)).collect();
            OwnIntent {
                name: name.into(),
                examples: examples.iter().map(|words| Shape::of(&features(words))).collect(),
                words: examples
                    .iter()
                    .flatten()
                    .filter(|word| !is_small_word(word))
                    .map(|word| word.key.clone())
                    .collect(),
            }
        };
        Self(intents.map(own).collect())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The intent whose example is most like a turn, and how sure that is, if it is liker than what the model found.
    pub(super) fn instead(&self, turn: &[Token], found: bool, sure: f32) -> Option<(Arc<str>, f32)> {
        if self.is_empty() || turn.is_empty() {
            return None;
        }
        let shape = Shape::of(&features(turn));
        let likeness = |own: &OwnIntent| {
            own.examples.iter().map(|example| example.likeness(&shape)).fold(own.covers(turn), f32::max)
        };
        let (name, best) =
            self.0.iter().map(|own| (&own.name, likeness(own))).max_by(|(_, one), (_, other)| one.total_cmp(other))?;
        let wins = best >= ALIKE || (best >= SIMILAR && (!found || sure < UNSURE));
        // 0.36 is a little better than even, 0.62 nearly sure.
        wins.then(|| (Arc::clone(name), (0.35 + best).clamp(0.5, 0.98)))
    }
}

impl OwnIntent {
    /// How much of what a turn is about its examples are about as well, whichever of them: *redeem* in one, *loyalty points*
    /// in another.
    fn covers(&self, turn: &[Token]) -> f32 {
        let telling: Vec<&Token> = turn.iter().filter(|word| !is_small_word(word)).collect();
        let hits = telling.iter().filter(|word| self.words.contains(&word.key)).count();
        let share = hits as f32 / telling.len().max(1) as f32;
        // One word alone may be there by chance.
        share * if hits > 1 { 0.65 } else { 0.5 }
    }
}

impl Shape {
    fn of(features: &Features) -> Self {
        let once = |rows: &[u32]| {
            let mut rows = rows.to_vec();
            rows.sort_unstable();
            rows.dedup();
            rows
        };
        Self { words: once(&features.words), letters: once(&features.letters) }
    }

    /// 0 to 1: the mean of the cosines of words and of letters.
    fn likeness(&self, other: &Self) -> f32 {
        f32::midpoint(cosine(&self.words, &other.words), cosine(&self.letters, &other.letters))
    }
}

fn cosine(one: &[u32], other: &[u32]) -> f32 {
    let (mut at, mut common) = (0, 0_u32);
    for row in one {
        while other.get(at).is_some_and(|next| next < row) {
            at += 1;
        }
        common += u32::from(other.get(at) == Some(row));
    }
    common as f32 / ((one.len() * other.len()) as f32).sqrt().max(1.0)
}

/// A client's products, by the keys of their words, and all its names as a recogniser should write them.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Products {
    known: HashMap<String, Vec<Product>>,
    client: Arc<str>,
    names: Vec<Arc<str>>,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Product {
    pub(super) name: Arc<str>,
    /// Of every word after the first.
    pub(super) rest: Vec<String>,
}

impl Products {
    /// Products by name. One whose name is a single short word would be found everywhere, and is left out.
    pub fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut products: HashMap<String, Vec<Product>> = HashMap::new();
        let mut all = Vec::new();
        for name in names {
            all.push(name.into());
            let words = tokens(name);
            let Some((first, others)) = words.split_first() else { continue };
            // `whey` alone sounds like `we`: by its spelling, then. With another word behind it, by its sound.
            let first = if others.is_empty() && first.key.len() < 3 { &first.raw } else { &first.key };
            let rest = others.iter().map(|word| word.key.clone()).collect();
            if words.iter().map(|word| word.raw.chars().count()).sum::<usize>() >= 3 {
                products.entry(first.clone()).or_default().push(Product { name: name.into(), rest });
            }
        }
        Self { known: products, client: "".into(), names: all }
    }

    /// The same of a client with this name.
    #[must_use]
    pub fn of_client(&self, name: &str) -> Self {
        Self { client: name.into(), ..self.clone() }
    }

    /// The client's name, then its products; nothing without a name.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        let named = !self.client.is_empty();
        std::iter::once(&self.client).chain(&self.names).filter(move |_| named).map(|name| &**name)
    }

    /// Whether a product has a word of this key in its name.
    pub(super) fn have_word(&self, key: &str) -> bool {
        let rest = |product: &Product| product.rest.iter().any(|word| word == key);
        self.known.contains_key(key) || self.known.values().flatten().any(rest)
    }

    /// The product whose name begins with the first of these words; the longest where several do.
    pub(super) fn at(&self, words: &[Token]) -> Option<&Product> {
        let (first, others) = words.split_first()?;
        let known = [&first.key, &first.raw].into_iter().filter_map(|name| self.known.get(name)).flatten();
        known
            .filter(|product| {
                product.rest.len() <= others.len()
                    && product.rest.iter().zip(others).all(|(key, word)| *key == word.key)
            })
            .max_by_key(|product| product.rest.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Surroundings, understand};
    use super::*;

    fn points() -> OwnIntents {
        let examples = [
            "how many points do i have",
            "mere points kitne hain",
            "loyalty points balance",
            "मेरे कितने पॉइंट हैं",
            "points redeem karne hain",
        ];
        let examples = examples.map(str::to_owned);
        OwnIntents::new([("loyalty_points", examples.as_slice())].into_iter())
    }

    #[test]
    fn a_clients_own_intent_is_found_by_its_examples_and_takes_nothing_from_the_others() {
        let own = points();
        let around = Surroundings { own: Some(&own), ..Surroundings::default() };
        for (text, intent) in [
            ("how many points have i got", "loyalty_points"),
            ("mere points kitne bache hain", "loyalty_points"),
            ("i want to redeem my loyalty points", "loyalty_points"),
            ("पॉइंट कितने हैं मेरे", "loyalty_points"),
            ("where is my order", "order_status"),
            ("mera order cancel kar do", "cancel_order"),
            ("how many days do i have to return it", "return_refund"),
            ("what is the weather like", "oos"),
            ("haan ji", "affirm"),
        ] {
            let meant = understand(text, around);
            assert_eq!(meant.name(), intent, "{text}: {meant:?}");
        }
    }

    #[test]
    fn what_the_shop_sells_is_never_out_of_its_scope() {
        let products = Products::new(["Zorblax Pro"].into_iter());
        let with = Surroundings { products: Some(&products), ..Surroundings::default() };
        let text = "what is the weather in zorblax pro today";
        assert_eq!(understand(text, Surroundings::default()).name(), "oos");
        assert_eq!(understand(text, with).name(), "product_query");
        assert_eq!(understand("where is my order", with).name(), "order_status");
    }

    #[test]
    fn all_names_are_told_with_the_clients_first_and_none_without_it() {
        let products = Products::new(["Rose bouquet", "it"].into_iter());
        assert_eq!(products.words().count(), 0);
        assert_eq!(products.of_client("My shop").words().collect::<Vec<_>>(), ["My shop", "Rose bouquet", "it"]);
    }

    #[test]
    fn the_longer_of_two_products_is_meant() {
        let products = Products::new(["Whey", "Whey Gold", "it"].into_iter());
        let named = |text: &str| products.at(&tokens(text)).map(|product| product.name.to_string());
        assert_eq!(named("whey gold please").as_deref(), Some("Whey Gold"));
        assert_eq!(named("whey powder").as_deref(), Some("Whey"));
        assert_eq!(named("it is"), None);
    }
}
