//! Requests made from the document, good and bad: whatever is asked by whomever, the answer is one the document has.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::test::TestRequest;
use chrono::{TimeDelta, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::world::{Answer, World, fresh_number, get, send, with_key};
use crate::store::Role;

/// Requests of each operation with each key.
const ROUNDS: u64 = 16;

/// SplitMix64: the same requests in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap()
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let at = self.roll(of.len());
        &of[at]
    }
}

/// A value that fits the field of this name.
fn fitting(name: &str) -> Value {
    match name {
        "slug" => json!(format!("c-{}", Uuid::now_v7().simple())),
        "e164" => json!(fresh_number().as_e164()),
        "numbers" => json!([fresh_number().as_e164()]),
        "client" => json!("shop"),
        "role" => json!("viewer"),
        "name" | "label" => json!("Ananya's नाम"),
        "agent" | "settings" => json!({ "greeting": "Namaste" }),
        "language" => json!("hi-Latn"),
        "facts" => json!({ "preferred_stylist": "Asha", "gone": null }),
        "services" => json!([{ "name": "Haircut", "minutes": 30 }]),
        "people" => json!(["Asha"]),
        "hours" => json!({ "mon": ["10:00-13:00", "14:00-19:00"] }),
        "holidays" => json!(["2026-12-25"]),
        "note" => json!("rang, all is well"),
        "answer_style" => json!("json"),
        "max_calls" => json!(5),
        "ip_allow_list" => json!(["10.0.0.0/8"]),
        "basic_user" => json!("exotel"),
        "signature_key" => json!("0123456789abcdef"),
        "shop" => json!({ "domain": "a-shop.myshopify.com", "token": "shpat_0123456789abcdef" }),
        "overlap_s" => json!(60),
        "expires_at" => json!((Utc::now() + TimeDelta::days(1)).to_rfc3339()),
        "publish" | "disabled" => json!(true),
        other => panic!("the test knows no value of {other}: add one"),
    }
}

/// What hardly fits anywhere.
fn odd(dice: &mut Dice) -> Value {
    let odd = [
        Value::Null,
        json!(-1),
        json!(1e300),
        json!(9_223_372_036_854_775_807_i64),
        json!(0.5),
        json!(true),
        json!(""),
        json!("\u{0}"),
        json!("\u{202e}\u{1f600}\n"),
        json!("'; DROP TABLE clients; --"),
        json!("x".repeat(5_000)),
        json!([]),
        json!([null, 1, "x"]),
        json!({}),
        json!({ "a": { "b": [1] } }),
        json!(Uuid::nil()),
    ];
    dice.pick(&odd).clone()
}

fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
        None => schema,
    }
}

/// A body of an operation: one that fits in the first rounds, then more and more spoilt.
fn body(document: &Value, operation: &Value, round: u64, dice: &mut Dice) -> Option<(String, &'static str)> {
    let schema = resolve(document, &operation["requestBody"]["content"]["application/json"]["schema"]);
    let properties = schema["properties"].as_object()?;
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut fields = Map::new();
    for name in properties.keys() {
        if round == 0 || required.contains(&name.as_str()) || dice.roll(2) == 0 {
            fields.insert(name.clone(), fitting(name));
        }
    }
    let names: Vec<String> = properties.keys().cloned().collect();
    match round {
        0..=2 => {}
        3 => return Some(("{\"slug\":".to_owned(), "application/json")),
        4 => return Some(("\"text\"".to_owned(), "application/json")),
        5 => return Some((Value::Object(fields).to_string(), "text/plain")),
        6 => {
            fields.insert(format!("{}s", dice.pick(&names)), json!(1));
        }
        7 => {
            fields.remove(dice.pick(&names));
        }
        _ => {
            let name = dice.pick(&names).clone();
            fields.insert(name, odd(dice));
        }
    }
    Some((Value::Object(fields).to_string(), "application/json"))
}

fn encoded(value: &str) -> String {
    form_urlencoded::byte_serialize(value.as_bytes()).collect()
}

/// Query parameters: none, one that fits, or odd ones.
fn query(operation: &Value, round: u64, dice: &mut Dice) -> String {
    let names: Vec<&str> = operation["parameters"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|parameter| parameter["in"] == "query")
        .filter_map(|parameter| parameter["name"].as_str())
        .collect();
    if names.is_empty() || round < 2 {
        return String::new();
    }
    let name = *dice.pick(&names);
    let value = match (name, round % 3) {
        (_, 2) => match odd(dice) {
            Value::String(text) => text,
            other => other.to_string(),
        },
        ("client", _) => "shop".to_owned(),
        ("state", _) => "ended".to_owned(),
        ("end_reason", _) => "caller_hung_up".to_owned(),
        ("direction", _) => "inbound".to_owned(),
        ("caller" | "called" | "number", _) => "+919876543210".to_owned(),
        ("agent" | "call", _) => Uuid::now_v7().to_string(),
        ("from" | "to", _) => Utc::now().to_rfc3339(),
        ("limit" | "after", _) => "7".to_owned(),
        ("published" | "text", _) => "true".to_owned(),
        ("kinds", _) => "turn,intent".to_owned(),
        (_, _) => "x".to_owned(),
    };
    format!("?{}={}", encoded(name), encoded(&value))
}

async fn target(world: &World, path: &str, round: u64, dice: &mut Dice) -> String {
    if !path.contains("{id}") {
        return path.to_owned();
    }
    let id = match round {
        0..=7 => world.thing(path.strip_prefix("/api/v1").unwrap(), Some(world.shop)).await.to_string(),
        _ => dice
            .pick(&[Uuid::now_v7().to_string(), "shop".into(), "%00".into(), "%F0%9F%98%80".into(), "-1".into()])
            .clone(),
    };
    path.replace("{id}", &id)
}

/// Whether an answer is one the operation says it may give.
fn is_documented(operation: &Value, answer: &Answer) -> Result<(), String> {
    let Some(documented) = operation["responses"].get(answer.status.to_string()) else {
        return Err("a status that is not documented".to_owned());
    };
    let given = answer.header("content-type").split(';').next().unwrap_or_default();
    let kinds: Vec<&String> = documented["content"].as_object().into_iter().flat_map(Map::keys).collect();
    match (kinds.is_empty(), given) {
        (true, "") => Ok(()),
        (false, given) if kinds.iter().any(|kind| kind.split(';').next() == Some(given)) => Ok(()),
        _ => Err(format!("{given:?}, and documented is {kinds:?}")),
    }
}

#[actix_rt::test]
async fn whatever_is_asked_the_answer_is_documented() {
    let settings = [
        ("CALY__LIMITS__FAILED_AUTH_PER_ADDRESS_PER_MINUTE", "100000"),
        ("CALY__LIMITS__API_PER_KEY_PER_SECOND", "100000"),
    ];
    let world = World::with(&settings).await;
    let door = world.door().await;
    let document = get(&door, "/api/openapi.json", "").await.json();
    let keys = [
        ("admin", world.key(Role::Admin, None).await),
        ("viewer", world.key(Role::Viewer, None).await),
        ("none", String::new()),
    ];
    let mut dice = Dice(20);
    let (mut asked, mut statuses, mut done) = (0, BTreeMap::<(&str, u16), u32>::new(), BTreeSet::new());
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            for (who, key) in &keys {
                for round in 0..ROUNDS {
                    let uri = target(&world, path, round, &mut dice).await + &query(operation, round, &mut dice);
                    let request = TestRequest::default().method(method.to_uppercase().parse().unwrap()).uri(&uri);
                    let sent = body(&document, operation, round, &mut dice);
                    let request = match &sent {
                        Some((text, kind)) => request.insert_header(("content-type", *kind)).set_payload(text.clone()),
                        None => request,
                    };
                    let answer = send(&door, with_key(request, key)).await;
                    let told =
                        format!("{method} {uri} as {who} with {sent:.300?}: {} {:.300}", answer.status, answer.body);
                    is_documented(operation, &answer).unwrap_or_else(|why| panic!("{why}: {told}"));
                    assert!(answer.status < 500, "{told}");
                    if answer.status >= 400 {
                        answer.problem();
                    }
                    let open = !path.starts_with("/api/v1");
                    assert!(*who != "none" || open || answer.status == 401, "{told}");
                    let changed = *who == "viewer" && method != "get" && answer.status < 400;
                    assert!(!changed, "a viewer changes nothing: {told}");
                    if *who == "admin" && answer.status < 300 {
                        done.insert(format!("{method} {path}"));
                    }
                    *statuses.entry((*who, answer.status)).or_default() += 1;
                    asked += 1;
                }
            }
        }
    }
    let all: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, operations)| {
            operations.as_object().unwrap().keys().map(move |method| format!("{method} {path}"))
        })
        // Without a live call there is nothing to end; see the tests of steering.
        .filter(|operation| operation != "post /api/v1/calls/{id}/hangup")
        .collect();
    assert_eq!(done, all, "each operation succeeds at least once: the good requests are good");
    assert!(asked >= 1_000, "{asked}");
    println!("{asked} requests: {statuses:?}");
}
