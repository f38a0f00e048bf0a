//! What the shop sells, and noting an order for it. A note is no purchase: the shop sends the bill.

use caly_actors::ports::ActionError;
use serde_json::{Value, json};

use super::answer::Fault;
use super::asked::{Asked, misread, refused, unread};
use super::authorise::Barred;
use super::order::{Draft, Money, Product, Variant, titled};
use super::telling::plain;
use super::wire;

/// Words of a name that are looked for, and letters of each.
const WORDS_MAX: usize = 6;
const WORD_MAX: usize = 30;
/// Kinds of goods in one order, and pieces of each.
const ITEMS_MAX: usize = 10;
const QUANTITY_MAX: i64 = 20;
/// Variants told of one product.
const VARIANTS_TOLD: usize = 6;

/// One line of an order to be noted.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Chosen {
    variant: String,
    title: String,
    quantity: i64,
    /// Of one piece, in hundredths.
    price: i64,
}

/// A search of goods by their name. Only letters and digits of any script reach it; `None` if there are none.
fn search(words: &str) -> Option<String> {
    let of_word = |c: char| c.is_alphanumeric() || (!c.is_ascii() && !c.is_whitespace() && !c.is_control());
    let words = words.split(|c| !of_word(c)).filter(|word| !word.is_empty());
    let terms: Vec<String> = words
        .take(WORDS_MAX)
        .map(|word| format!("title:*{}*", word.chars().take(WORD_MAX).collect::<String>()))
        .collect();
    (!terms.is_empty()).then(|| format!("{} status:active", terms.join(" ")))
}

/// The one that is meant, or why it is not clear.
fn meant<'a>(products: &'a [Product], name: &str, variant: Option<&str>) -> Result<(&'a Product, &'a Variant), String> {
    let same = |one: &str, other: &str| one.trim().to_lowercase() == other.trim().to_lowercase();
    let exact = products.iter().find(|product| same(&product.title, name));
    let product = match (exact, products) {
        (Some(product), _) | (None, [product]) => product,
        (None, []) => return Err(format!("nothing called {} is sold here", plain(name))),
        (None, several) => {
            let titles: Vec<String> = several.iter().map(|product| plain(&product.title)).collect();
            return Err(format!("which one? There are: {}", titles.join(", ")));
        }
    };
    let named = variant.and_then(|told| product.variants.iter().find(|one| same(&one.title, told)));
    let one = match (named, &product.variants[..]) {
        (Some(one), _) | (None, [one]) => one,
        (None, several) => {
            let titles: Vec<String> = several.iter().map(|one| plain(&one.title)).collect();
            return Err(format!("which {}? There are: {}", plain(&product.title), titles.join(", ")));
        }
    };
    if one.available {
        Ok((product, one))
    } else {
        Err(format!("{} is out of stock", plain(&titled(&product.title, &one.title))))
    }
}

/// A tag holds forty characters at most.
fn tag(key: &str) -> String {
    let key: String = key.chars().filter(char::is_ascii_alphanumeric).take(35).collect();
    format!("caly-{key}")
}

impl Asked<'_> {
    async fn sold(&self, words: &str) -> Result<(Vec<Product>, String), ActionError> {
        let query = search(words).ok_or_else(|| refused("what are they looking for?"))?;
        let data = self.read(wire::PRODUCTS, json!({ "query": query })).await?;
        wire::products(&data).map_err(misread)
    }

    pub(super) async fn find_products(&self) -> Result<Value, ActionError> {
        let (products, currency) = self.sold(self.text("words").unwrap_or_default()).await?;
        let price = |hundredths| Money { hundredths, currency: currency.clone() }.said();
        let told = products.iter().map(|product| {
            let variants = product.variants.iter().take(VARIANTS_TOLD).map(|one| {
                let mut told = json!({ "price": price(one.price), "available": one.available });
                if !one.title.is_empty() {
                    told["variant"] = json!(plain(&one.title));
                }
                told
            });
            json!({ "product": plain(&product.title), "variants": variants.collect::<Vec<_>>() })
        });
        Ok(json!({ "products": told.collect::<Vec<_>>() }))
    }

    /// What is wanted, with the price of all of it.
    async fn wanted(&self) -> Result<(Vec<Chosen>, Money), ActionError> {
        if self.claim.number.is_none() {
            return Err(refused("the caller's number is withheld, so the shop could not reach them: offer a person"));
        }
        let items = self.request.arguments["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        if !(1..=ITEMS_MAX).contains(&items.len()) {
            return Err(refused(format!("expected 1 to {ITEMS_MAX} items, each with a product and a quantity")));
        }
        let (mut chosen, mut total) = (Vec::new(), Money::default());
        for item in items {
            let name = item["product"].as_str().unwrap_or_default();
            let quantity = item["quantity"].as_i64().filter(|quantity| (1..=QUANTITY_MAX).contains(quantity));
            let quantity = quantity.ok_or_else(|| refused(format!("how many? 1 to {QUANTITY_MAX}")))?;
            let (products, currency) = self.sold(name).await?;
            let (product, variant) = meant(&products, name, item["variant"].as_str()).map_err(refused)?;
            total.hundredths = total.hundredths.saturating_add(variant.price.saturating_mul(quantity));
            total.currency = currency;
            let title = plain(&titled(&product.title, &variant.title));
            chosen.push(Chosen { variant: variant.id.clone(), title, quantity, price: variant.price });
        }
        if total.exceeds(self.policy.write_limit) {
            return Err(self.barred(Barred::TooMuch));
        }
        Ok((chosen, total))
    }

    pub(super) async fn plan_draft(&self) -> Result<Value, ActionError> {
        let (chosen, total) = self.wanted().await?;
        let price = |one: &Chosen| {
            let whole = Money { hundredths: one.price.saturating_mul(one.quantity), currency: total.currency.clone() };
            format!("{} × {}, {}", one.quantity, one.title, whole.said())
        };
        Ok(json!({ "draft_order": {
            "items": chosen.iter().map(price).collect::<Vec<_>>(),
            "total": total.said(),
            "then": "no money is taken now; the shop sends the bill, with postage if there is any",
        } }))
    }

    pub(super) async fn draft_order(&self) -> Result<Value, ActionError> {
        let tag = tag(&self.request.idempotency_key);
        // Begun anew by an operator, it may have been made all the same.
        if let Some(draft) = self.tagged(&tag).await? {
            return Ok(self.noted(&draft));
        }
        let (chosen, _) = self.wanted().await?;
        let lines: Vec<Value> =
            chosen.iter().map(|one| json!({ "variantId": one.variant, "quantity": one.quantity })).collect();
        let phone = self.claim.number.as_ref().map(|number| number.as_e164().to_owned());
        let variables = json!({ "input": {
            "lineItems": lines, "phone": phone, "tags": ["caly", tag], "note": "Noted in a call to the assistant",
        } });
        match self.shop.api.write(&self.door, wire::CREATE_DRAFT, &variables, self.soon()).await {
            Ok(data) => match wire::draft(&data) {
                Ok(draft) => Ok(self.noted(&draft)),
                Err(_) => Ok(json!({ "noted": true })),
            },
            Err(Fault::Lost) => self.draft_by(&tag).await?.map(|draft| self.noted(&draft)).ok_or_else(|| {
                // The search may not know it yet.
                ActionError::Unknown("the shop did not say whether it noted the order".to_owned())
            }),
            Err(fault) => Err(unread(fault)),
        }
    }

    pub(super) async fn draft_again(&self) -> Result<Value, ActionError> {
        match self.draft_by(&tag(&self.request.idempotency_key)).await? {
            Some(draft) => Ok(self.noted(&draft)),
            None => Err(self.not_seen()),
        }
    }

    fn noted(&self, draft: &Draft) -> Value {
        self.lay_down_draft(draft);
        json!({ "noted": true, "draft": plain(&draft.name), "total": draft.total.said(), "then": "the shop sends the bill" })
    }

    /// The draft that bears this tag, if the shop finds it now.
    async fn tagged(&self, tag: &str) -> Result<Option<Draft>, ActionError> {
        let variables = json!({ "query": format!("tag:\"{tag}\"") });
        let data = self.shop.api.read_anew(&self.door, wire::DRAFTS, &variables, self.soon()).await.map_err(unread)?;
        wire::tagged_draft(&data, tag).map_err(misread)
    }

    /// The draft that bears this tag, waited for: what was just made is found a little later.
    async fn draft_by(&self, tag: &str) -> Result<Option<Draft>, ActionError> {
        let variables = json!({ "query": format!("tag:\"{tag}\"") });
        loop {
            let asked = self.shop.api.read_anew(&self.door, wire::DRAFTS, &variables, self.soon()).await;
            let late = std::time::Instant::now() + LOOK >= self.soon();
            match asked.map(|data| wire::tagged_draft(&data, tag)) {
                Ok(Ok(Some(draft))) => return Ok(Some(draft)),
                Ok(Ok(None)) if late => return Ok(None),
                Ok(Err(_)) | Err(_) if late => {
                    return Err(ActionError::Unknown("the shop cannot be asked whether it was done".to_owned()));
                }
                Ok(_) | Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }
}

/// Between two looks for a draft.
const LOOK: std::time::Duration = std::time::Duration::from_millis(700);

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_search_holds_words_and_nothing_that_could_widen_it() {
        for (words, query) in [
            ("blue kurta", Some("title:*blue* title:*kurta* status:active")),
            ("कुर्ता", Some("title:*कुर्ता* status:active")),
            ("kurta* OR status:draft", Some("title:*kurta* title:*OR* title:*status* title:*draft* status:active")),
            ("\"a\\b\" (c) -d", Some("title:*a* title:*b* title:*c* title:*d* status:active")),
            ("  ", None),
            ("*:*", None),
        ] {
            assert_eq!(search(words).as_deref(), query, "{words}");
        }
        let long = "x".repeat(100);
        assert_eq!(search(&long).unwrap().len(), "title:** status:active".len() + WORD_MAX);
        assert_eq!(search(&"a ".repeat(50)).unwrap().matches("title:").count(), WORDS_MAX);
    }

    #[test]
    fn goods_are_meant_by_name_and_what_is_not_clear_is_asked() {
        let variant = |title: &str, available| Variant { id: title.into(), title: title.into(), price: 100, available };
        let kurta = Product { title: "Blue Kurta".into(), variants: vec![variant("M", true), variant("L", false)] };
        let short = Product { title: "Blue Kurta Short".into(), variants: vec![variant("", true)] };
        let all = [kurta, short];
        for (products, name, which, found) in [
            (&all[..], "blue kurta", Some("m"), Ok("M")),
            (&all[..1], "kurta", Some("M"), Ok("M")),
            (&all[..], "kurta", None, Err("which one? There are: Blue Kurta, Blue Kurta Short")),
            (&all[..], "Blue Kurta", None, Err("which Blue Kurta? There are: M, L")),
            (&all[..], "Blue Kurta", Some("XXL"), Err("which Blue Kurta? There are: M, L")),
            (&all[..], "Blue Kurta", Some("L"), Err("Blue Kurta (L) is out of stock")),
            (&all[..], "Blue Kurta Short", None, Ok("")),
            (&[], "saree\n", None, Err("nothing called saree is sold here")),
        ] {
            let one = meant(products, name, which).map(|(_, variant)| variant.title.as_str());
            assert_eq!(one, found.map_err(str::to_owned), "{name} {which:?}");
        }
    }

    #[test]
    fn a_key_fits_into_a_tag() {
        let key = uuid::Uuid::nil().to_string();
        assert_eq!(tag(&key), format!("caly-{}", "0".repeat(32)));
        assert!(tag(&"a\" OR b".repeat(20)).chars().all(|c| c.is_ascii_alphanumeric() || c == '-'));
        assert!(tag(&"a".repeat(99)).len() <= 40);
    }
}
