//! Shopify's search syntax: `field:value` terms that must all hold, `OR` between groups of them, `-` before a term.
//!
//! A term with a field that does not exist is dropped, and the answer says so in `extensions.search` only. Brackets are
//! not read: a term with one matches nothing.

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Value, json};

/// What the index knows of an object: its fields, some of them more than once.
pub(crate) type Document = Vec<(&'static str, String)>;

/// How a field's values are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// The whole value, letters alike.
    Exact,
    /// Any word's beginning; `*` stands for anything.
    Words,
    /// An order's name: with or without `#`, and by its number whatever the shop puts around it.
    Name,
    /// Digits, in international form.
    Phone,
    Time,
    Number,
}

/// The fields of a kind of object.
pub(crate) type Fields = &'static [(&'static str, Kind)];

pub(crate) const ORDERS: Fields = &[
    ("name", Kind::Name),
    ("email", Kind::Exact),
    ("customer_id", Kind::Number),
    ("confirmation_number", Kind::Exact),
    ("created_at", Kind::Time),
    ("processed_at", Kind::Time),
    ("updated_at", Kind::Time),
    ("financial_status", Kind::Exact),
    ("fulfillment_status", Kind::Exact),
    ("status", Kind::Exact),
    ("tag", Kind::Exact),
    ("return_status", Kind::Exact),
    ("sku", Kind::Exact),
    ("po_number", Kind::Exact),
    ("test", Kind::Exact),
    ("gateway", Kind::Exact),
    ("id", Kind::Number),
];
pub(crate) const CUSTOMERS: Fields = &[
    ("phone", Kind::Phone),
    ("email", Kind::Exact),
    ("first_name", Kind::Words),
    ("last_name", Kind::Words),
    ("tag", Kind::Exact),
    ("id", Kind::Number),
    ("updated_at", Kind::Time),
    ("customer_date", Kind::Time),
];
pub(crate) const PRODUCTS: Fields = &[
    ("title", Kind::Words),
    ("status", Kind::Exact),
    ("tag", Kind::Exact),
    ("sku", Kind::Exact),
    ("vendor", Kind::Words),
    ("product_type", Kind::Words),
    ("handle", Kind::Exact),
    ("barcode", Kind::Exact),
    ("inventory_total", Kind::Number),
    ("created_at", Kind::Time),
    ("updated_at", Kind::Time),
    ("id", Kind::Number),
];
pub(crate) const VARIANTS: Fields = &[
    ("sku", Kind::Exact),
    ("title", Kind::Words),
    ("barcode", Kind::Exact),
    ("product_id", Kind::Number),
    ("product_status", Kind::Exact),
    ("inventory_quantity", Kind::Number),
    ("id", Kind::Number),
];
pub(crate) const DRAFTS: Fields = &[
    ("tag", Kind::Exact),
    ("status", Kind::Exact),
    ("customer_id", Kind::Number),
    ("created_at", Kind::Time),
    ("updated_at", Kind::Time),
    ("source", Kind::Exact),
    ("id", Kind::Number),
];

#[derive(Clone, Debug, PartialEq)]
struct Term {
    /// `None`: any field.
    field: Option<String>,
    value: String,
    not: bool,
}

/// A query that has been read: groups of terms, and what was not understood.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    groups: Vec<Vec<Term>>,
    pub(crate) warnings: Vec<Value>,
    /// The first field that was not understood, with its value, as the answer tells it back.
    pub(crate) parsed: Value,
}

/// Reads a query for objects with these fields.
pub(crate) fn read(text: &str, fields: Fields) -> Query {
    let mut query = Query { groups: vec![Vec::new()], ..Query::default() };
    for word in words(text) {
        match word.as_str() {
            "AND" => {}
            "OR" => query.groups.push(Vec::new()),
            _ => query.take(&word, fields),
        }
    }
    query
}

/// Words, a quoted piece staying with its field.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in text.chars() {
        match quote {
            Some(end) if c == end => quote = None,
            None if (c == '"' || c == '\'') && (word.is_empty() || word.ends_with([':', '=', '<', '>', '-'])) => {
                quote = Some(c);
            }
            None if c.is_whitespace() => {
                words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
                continue;
            }
            _ => {}
        }
        word.push(c);
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

fn unquoted(text: &str) -> &str {
    let inner = |quote| text.strip_prefix(quote).map(|rest: &str| rest.strip_suffix(quote).unwrap_or(rest));
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

impl Query {
    fn take(&mut self, word: &str, fields: Fields) {
        let (word, not) = word.strip_prefix('-').map_or((word, false), |rest| (rest, true));
        let split = word.split_once(':').filter(|(field, _)| !field.starts_with(['"', '\'']));
        let Some((field, value)) = split else {
            return self.keep(Term { field: None, value: unquoted(word).to_lowercase(), not });
        };
        let Some((_, kind)) = fields.iter().find(|(known, _)| *known == field) else {
            return self.warn(field, value, "Invalid search field for this query.", "invalid_field");
        };
        let bare = value.trim_start_matches(['<', '>', '=']);
        if !bare.starts_with(['"', '\'']) && bare.contains(':') {
            // What stands before the second colon is taken for a field of its own.
            let (second, rest) = bare.split_once(':').unwrap_or((bare, ""));
            return self.warn(second, rest, "Invalid search field for this query.", "invalid_field");
        }
        let sign = &value[..value.len() - bare.len()];
        let readable = match kind {
            Kind::Time => moment(unquoted(bare)).is_some(),
            Kind::Number => unquoted(bare).parse::<i64>().is_ok(),
            _ => true,
        };
        if !readable {
            return self.warn(field, value, "Invalid value for this field.", "invalid_value");
        }
        self.keep(Term {
            field: Some(field.to_owned()),
            value: format!("{sign}{}", unquoted(bare)).to_lowercase(),
            not,
        });
    }

    fn keep(&mut self, term: Term) {
        if let Some(group) = self.groups.last_mut() {
            group.push(term);
        }
    }

    fn warn(&mut self, field: &str, value: &str, message: &str, code: &str) {
        if self.warnings.is_empty() {
            self.parsed = json!({"field": field, "match_all": unquoted(value)});
        }
        self.warnings.push(json!({"field": field, "message": message, "code": code}));
    }

    /// Whether an object is found. A group of which nothing is left finds everything.
    pub(crate) fn finds(&self, document: &Document, fields: Fields) -> bool {
        self.groups.iter().any(|group| group.iter().all(|term| holds(term, document, fields) != term.not))
    }

    /// The entry of `extensions.search`, if something was dropped.
    pub(crate) fn told(&self, path: &[Value], text: &str) -> Option<Value> {
        (!self.warnings.is_empty())
            .then(|| json!({"path": path, "query": text, "parsed": self.parsed, "warnings": self.warnings}))
    }
}

fn holds(term: &Term, document: &Document, fields: Fields) -> bool {
    let Some(field) = &term.field else {
        return document.iter().any(|(_, value)| begins_a_word(&value.to_lowercase(), &term.value));
    };
    let Some((_, kind)) = fields.iter().find(|(known, _)| known == field) else { return false };
    if (field, term.value.as_str()) == (&"status".to_owned(), "any") {
        return true;
    }
    document
        .iter()
        .filter(|(known, _)| known == field)
        .any(|(_, value)| matches(*kind, &value.to_lowercase(), &term.value))
}

/// Both in lower case.
fn matches(kind: Kind, value: &str, wanted: &str) -> bool {
    match kind {
        Kind::Exact | Kind::Words | Kind::Phone if wanted == "*" => !value.is_empty(),
        Kind::Exact => fits(value, wanted),
        Kind::Words if wanted.contains('*') => fits(value, wanted),
        Kind::Words => wanted.split_whitespace().all(|word| begins_a_word(value, word)),
        Kind::Name => same_name(value, wanted),
        Kind::Phone => digits(value) == digits(wanted) && !digits(wanted).is_empty(),
        Kind::Time => moment(value).is_some_and(|value| compared(value, wanted, moment)),
        Kind::Number => value.parse::<i64>().is_ok_and(|value| compared(value, wanted, |text| text.parse().ok())),
    }
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

fn begins_a_word(value: &str, wanted: &str) -> bool {
    let wanted = wanted.trim_end_matches('*');
    value.starts_with(wanted) || value.split(|c: char| !c.is_alphanumeric()).any(|word| word.starts_with(wanted))
}

/// `*` stands for anything, at either end or between.
fn fits(value: &str, pattern: &str) -> bool {
    let parts: Vec<&str> = pattern.split('*').collect();
    let [first, middle @ .., last] = parts.as_slice() else { return value == pattern };
    let Some(mut rest) = value.strip_prefix(first) else { return false };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// `1001` finds `#1001`, and in a shop with prefixes `en1001` too: whoever asks has to compare.
fn same_name(name: &str, wanted: &str) -> bool {
    let (name, wanted) = (name.trim_start_matches('#'), wanted.trim_start_matches('#'));
    let number_only = !wanted.is_empty() && wanted.chars().all(|c| c.is_ascii_digit());
    if wanted.contains('*') { fits(name, wanted) } else { name == wanted || (number_only && digits(name) == wanted) }
}

fn moment(text: &str) -> Option<DateTime<Utc>> {
    let upper = text.to_uppercase();
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0).map(|time| time.and_utc());
    DateTime::parse_from_rfc3339(&upper).ok().map(|time| time.with_timezone(&Utc)).or_else(day)
}

fn compared<T: PartialOrd>(value: T, wanted: &str, read: impl Fn(&str) -> Option<T>) -> bool {
    let bare = wanted.trim_start_matches(['<', '>', '=']);
    let Some(bound) = read(bare) else { return false };
    match &wanted[..wanted.len() - bare.len()] {
        "<" => value < bound,
        "<=" => value <= bound,
        ">" => value > bound,
        ">=" => value >= bound,
        _ => value == bound,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::*;

    fn orders() -> Vec<Document> {
        let order = |name: &str, email: &str, created: &str, tags: &[&str], status: &str| -> Document {
            let mut document = vec![
                ("name", name.to_owned()),
                ("email", email.to_owned()),
                ("created_at", created.to_owned()),
                ("id", name.trim_matches(|c: char| !c.is_ascii_digit()).to_owned()),
                ("status", status.to_owned()),
            ];
            document.extend(tags.iter().map(|tag| ("tag", (*tag).to_owned())));
            document
        };
        vec![
            order("#1001", "a@b.in", "2026-11-01T10:00:00Z", &["gift"], "open"),
            order("EN1001", "c@d.in", "2026-11-10T10:00:00Z", &["rush order", "gift"], "open"),
            order("#10012", "a@b.in", "2026-11-20T10:00:00Z", &[], "cancelled"),
        ]
    }

    #[test]
    fn terms_find_what_shopify_finds_and_drop_what_it_drops() {
        let rows: &[(&str, &[usize], &[&str])] = &[
            ("name:1001", &[0, 1], &[]),
            ("name:#1001", &[0, 1], &[]),
            ("name:EN1001", &[1], &[]),
            ("name:100*", &[0, 2], &[]),
            ("name:1001 email:a@b.in", &[0], &[]),
            ("name:1001 AND email:\"c@d.in\"", &[1], &[]),
            ("name:EN1001 OR name:10012", &[1, 2], &[]),
            ("-tag:gift", &[2], &[]),
            ("tag:'rush order'", &[1], &[]),
            ("tag:rush", &[], &[]),
            ("status:any", &[0, 1, 2], &[]),
            ("status:cancelled", &[2], &[]),
            ("id:1001", &[0, 1], &[]),
            ("id:>1001", &[2], &[]),
            ("created_at:>=2026-11-10", &[1, 2], &[]),
            ("created_at:<'2026-11-10T09:00:00Z'", &[0], &[]),
            ("created_at:>2026-11-10T09:00:00Z", &[0, 1, 2], &["2026-11-10t09"]),
            ("created_at:soon", &[0, 1, 2], &["created_at"]),
            ("phone:+919876543210", &[0, 1, 2], &["phone"]),
            ("phone:+919876543210 name:EN1001", &[1], &["phone"]),
            ("", &[0, 1, 2], &[]),
            ("nobody", &[], &[]),
        ];
        for (text, found, warned) in rows {
            let query = read(text, ORDERS);
            let orders = orders();
            let hits: Vec<usize> = (0..orders.len()).filter(|at| query.finds(&orders[*at], ORDERS)).collect();
            assert_eq!(&hits, found, "{text}");
            let fields: Vec<String> =
                query.warnings.iter().map(|one| one["field"].as_str().unwrap().to_lowercase()).collect();
            assert_eq!(&fields, warned, "{text}");
        }
    }

    #[test]
    fn a_warning_has_the_documented_shape() {
        let told = read("foo:1", ORDERS).told(&[json!("orders")], "foo:1").unwrap();
        assert_eq!(
            told,
            json!({"path": ["orders"], "query": "foo:1", "parsed": {"field": "foo", "match_all": "1"},
                "warnings": [{"field": "foo", "message": "Invalid search field for this query.", "code": "invalid_field"}]})
        );
    }

    #[test]
    fn phones_titles_and_patterns_are_compared_as_their_kind() {
        for (kind, value, wanted, hit) in [
            (Kind::Phone, "+919876543210", "+919876543210", true),
            (Kind::Phone, "+919876543210", "9876543210", false),
            (Kind::Words, "cotton kurta", "*kurta*", true),
            (Kind::Words, "cotton kurta", "kurta", true),
            (Kind::Words, "cotton kurta", "urta", false),
            (Kind::Words, "cotton kurta", "kurta cotton", true),
            (Kind::Exact, "kur-1", "kur-*", true),
            (Kind::Name, "en1001", "001", false),
        ] {
            assert_eq!(matches(kind, value, wanted), hit, "{kind:?} {value} {wanted}");
        }
    }
}
