//! The simulated shop: checking, reading and writing on the plain world, then the whole over real sockets.

mod checking;
mod reading;
mod sockets;
mod writing;

use std::time::{Duration, Instant};

use chrono::Utc;
use serde_json::{Value, json};

use super::cost::Bucket;
use super::data::Time;
use super::execute::Grant;
use super::faults::Faults;
use super::schema::Schema;
use super::seed::Seed;
use super::world::{Ask, Body, Reply, World};
use super::{SCOPES, ShopOptions};

/// A shop with a clock of its own.
struct Bench {
    world: World,
    schema: Schema,
    grant: Grant,
    version: &'static str,
    now: Time,
    clock: Instant,
}

impl Bench {
    fn new() -> Self {
        let (now, clock) = (Utc::now(), Instant::now());
        let shop = Seed::built_in().unwrap().open(now).unwrap();
        Self {
            world: World::new(shop, Faults::default(), Bucket::new(2000, 100, clock)),
            schema: Schema::built_in().unwrap(),
            grant: Grant { scopes: SCOPES.map(str::to_owned).to_vec(), protected_data: true },
            version: "2026-10",
            now,
            clock,
        }
    }

    fn with(faults: Faults) -> Self {
        let mut bench = Self::new();
        bench.world.faults = faults;
        bench
    }

    fn wait(&mut self, ms: u64) {
        self.clock += Duration::from_millis(ms);
        self.now += chrono::Duration::milliseconds(i64::try_from(ms).unwrap());
    }

    fn post(&mut self, token: &str, body: &str) -> Reply {
        let ask = Ask { version: Some(self.version), token: Some(token), body: body.as_bytes(), request_id: "r-1" };
        self.world.respond(&self.schema, ("t", &self.grant), &ask, (self.now, self.clock))
    }

    /// The whole answer to a query.
    fn ask(&mut self, query: &str, variables: Value) -> Value {
        json_of(&self.post("t", &json!({"query": query, "variables": variables}).to_string())).clone()
    }

    /// The data of a query that is all right.
    fn data(&mut self, query: &str, variables: Value) -> Value {
        let answer = self.ask(query, variables);
        assert!(answer.get("errors").is_none(), "{query}: {answer}");
        answer["data"].clone()
    }

    /// The names of the orders that a search finds.
    fn names(&mut self, search: &str) -> Vec<String> {
        let query = "query($q: String) { orders(first: 50, query: $q) { nodes { name } } }";
        let data = self.data(query, json!({"q": search}));
        let nodes = data["orders"]["nodes"].as_array().unwrap();
        nodes.iter().map(|node| node["name"].as_str().unwrap().to_owned()).collect()
    }

    fn effects(&self, mutation: &str) -> u64 {
        self.world.shop.counts.iter().filter(|((name, _), _)| *name == mutation).map(|(_, count)| count).sum()
    }

    fn topics(&mut self) -> Vec<&'static str> {
        self.world.shop.changes.drain(..).map(|change| change.topic).collect()
    }
}

fn json_of(reply: &Reply) -> &Value {
    match &reply.body {
        Body::Json(body) => body,
        Body::Html(page) => panic!("a page: {page}"),
    }
}

/// The global id of an order of the sample shop by its number.
fn order_id(number: u64) -> String {
    format!("gid://shopify/Order/{}", 5_000_000 + number)
}

fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_default()
}
