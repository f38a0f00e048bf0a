//! What a query costs, and the leaky bucket that the points come from.
//!
//! Scalars 0, objects 1, mutations 10, a connection 2 and its nodes times its size. The public pages do not give the
//! formula to the point, so a client must read the numbers, as it must with the real shop.

use std::time::{Duration, Instant};

use async_graphql_parser::types::SelectionSet;
use serde_json::{Map, Value, json};

use super::document::{Document, arguments};
use super::schema::{self, Schema};

/// No single query may cost more.
pub(crate) const QUERY_MAX: u64 = 1000;
pub(crate) const MUTATION: u64 = 10;
pub(crate) const CONNECTION: u64 = 2;

/// What the query would cost if every page were full.
pub(crate) fn requested(schema: &Schema, document: &Document, variables: &Map<String, Value>) -> u64 {
    let sets = [&document.operation.node.selection_set.node];
    let count = Counter { schema, document, variables };
    count.object(document.root(), &sets)
}

struct Counter<'a> {
    schema: &'a Schema,
    document: &'a Document,
    variables: &'a Map<String, Value>,
}

impl Counter<'_> {
    /// The fields of an object, without the object itself.
    fn object(&self, ty: &str, sets: &[&SelectionSet]) -> u64 {
        let mut points: u64 = 0;
        for (_, fields) in self.document.collect(self.schema, ty, sets, self.variables) {
            let Some(first) = fields.first() else { continue };
            let Some(known) = self.schema.field(ty, first.node.name.node.as_str()) else { continue };
            let name = schema::base(&known.ty);
            if !self.schema.is_composite(name) {
                continue;
            }
            let below: Vec<&SelectionSet> = fields.iter().map(|field| &field.node.selection_set.node).collect();
            let given = arguments(&first.node, self.variables);
            let size = |key: &str| given.get(key).and_then(Value::as_u64);
            let cost = if schema::is_connection(&known.ty) {
                let size = size("first").or(size("last")).unwrap_or_default();
                CONNECTION.saturating_add(size.saturating_mul(self.node(name, &below)))
            } else {
                let each = 1 + self.object(name, &below);
                let own = if ty == "Mutation" { MUTATION - 1 } else { 0 };
                own + each.saturating_mul(size("first").unwrap_or(1).max(1))
            };
            points = points.saturating_add(cost);
        }
        points
    }

    /// One node of a connection, by `nodes` or by `edges`.
    fn node(&self, connection: &str, sets: &[&SelectionSet]) -> u64 {
        let mut points = 0;
        for (_, fields) in self.document.collect(self.schema, connection, sets, self.variables) {
            let Some(first) = fields.first() else { continue };
            let below: Vec<&SelectionSet> = fields.iter().map(|field| &field.node.selection_set.node).collect();
            let Some(known) = self.schema.field(connection, first.node.name.node.as_str()) else { continue };
            points += match first.node.name.node.as_str() {
                "nodes" => 1 + self.object(schema::base(&known.ty), &below),
                "edges" => self.object(schema::base(&known.ty), &below),
                _ => 0,
            };
        }
        points
    }
}

/// Points of one app in one shop.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    size: f64,
    per_second: f64,
    level: f64,
    at: Instant,
}

impl Bucket {
    pub(crate) fn new(size: u32, per_second: u32, now: Instant) -> Self {
        Self { size: f64::from(size), per_second: f64::from(per_second), level: f64::from(size), at: now }
    }

    fn fill(&mut self, now: Instant) {
        let passed: Duration = now.saturating_duration_since(self.at);
        self.level = (self.level + passed.as_secs_f64() * self.per_second).min(self.size);
        self.at = now;
    }

    /// Takes the points out, if there are so many.
    pub(crate) fn reserve(&mut self, points: u64, now: Instant) -> bool {
        self.fill(now);
        let enough = self.level >= points as f64;
        if enough {
            self.level -= points as f64;
        }
        enough
    }

    /// Gives back what was reserved and not used.
    pub(crate) fn refund(&mut self, points: u64) {
        self.level = (self.level + points as f64).min(self.size);
    }

    /// Leaves so many, for tests of a client that runs dry.
    pub(crate) fn set_level(&mut self, points: u32, now: Instant) {
        self.level = f64::from(points).min(self.size);
        self.at = now;
    }

    /// The block `extensions.cost`. `actual` is null for a query that was not run.
    pub(crate) fn told(&self, requested: u64, actual: Option<u64>) -> Value {
        let whole = |points: f64| points.floor() as i64;
        json!({"requestedQueryCost": requested, "actualQueryCost": actual, "throttleStatus": {
            "maximumAvailable": self.size, "currentlyAvailable": whole(self.level), "restoreRate": self.per_second}})
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may")]
mod tests {
    use super::super::document;
    use super::*;

    #[test]
    fn costs_add_up_by_objects_and_sizes() {
        let schema = Schema::built_in().unwrap();
        for (query, variables, cost) in [
            ("{ shop { name } }", json!({}), 1),
            ("{ shop { name } again: shop { name } }", json!({}), 2),
            ("{ orders(first: 5) { nodes { id name } } }", json!({}), 7),
            ("{ orders(first: 5) { edges { node { id } } pageInfo { hasNextPage } } }", json!({}), 7),
            ("query($n: Int!) { orders(first: $n) { nodes { id } } }", json!({"n": 10}), 12),
            ("{ orders(first: 5) { nodes { lineItems(first: 10) { nodes { id } } } } }", json!({}), 2 + 5 * 13),
            ("{ order(id: \"gid://shopify/Order/1\") { totalPriceSet { shopMoney { amount } } } }", json!({}), 3),
            ("{ order(id: \"gid://shopify/Order/1\") { fulfillments(first: 3) { id } } }", json!({}), 4),
            ("{ order(id: \"gid://shopify/Order/1\") { ...f } } fragment f on Order { customer { id } }", json!({}), 2),
            ("mutation { tagsAdd(id: \"gid://shopify/Order/1\", tags: [\"a\"]) { node { id } } }", json!({}), 11),
            ("{ orders(first: 250) { nodes { lineItems(first: 250) { nodes { id } } } } }", json!({}), 2 + 250 * 253),
        ] {
            let document = document::read(query, None).unwrap();
            let variables = variables.as_object().unwrap().clone();
            assert_eq!(requested(&schema, &document, &variables), cost, "{query}");
        }
    }

    #[test]
    fn the_bucket_empties_refills_and_never_overflows() {
        let start = Instant::now();
        let after = |ms: u64| start + Duration::from_millis(ms);
        let mut bucket = Bucket::new(1000, 100, start);
        assert!(bucket.reserve(900, start) && !bucket.reserve(101, start));
        bucket.refund(50);
        assert_eq!(bucket.told(900, Some(850))["throttleStatus"]["currentlyAvailable"], 150);
        assert!(!bucket.reserve(201, after(500)) && bucket.reserve(200, after(500)));
        assert!(bucket.reserve(1000, after(60_000)) && !bucket.reserve(1, after(60_000)));
        bucket.refund(5000);
        assert_eq!(bucket.told(1, None)["throttleStatus"]["currentlyAvailable"], 1000);
    }
}
