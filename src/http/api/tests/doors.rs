//! Who gets in, what they see, and how requests that do not fit are refused.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::Method;
use actix_web::test::TestRequest;
use actix_web::{HttpResponse, web};
use serde_json::json;
use uuid::Uuid;

use super::super::auth::{KeyMemory, is_touch_due};
use super::world::{World, get, post, send};
use crate::store::rows::KeyRow;
use crate::store::{CarrierFact, Role};

#[actix_rt::test]
async fn refusals_are_audited() {
    let world = World::new().await;
    let door = world.door().await;
    let (viewer, admin) = (world.key(Role::Viewer, None).await, world.key(Role::Admin, None).await);
    assert_eq!(get(&door, "/api/v1/keys", &viewer).await.status, 403);
    assert_eq!(get(&door, "/api/v1/keys", "wrong").await.status, 401);
    assert!(world.app.recorder.flush(super::world::SOON).await);
    let audit = get(&door, "/api/v1/audit", &admin).await.json();
    let entries = audit["items"].as_array().unwrap();
    assert_eq!(entries.len(), 2, "{audit}");
    assert_eq!((&entries[0]["actor"], &entries[0]["remote"]), (&json!("unknown"), &json!("192.0.2.1")));
    assert_eq!(entries[1]["detail"]["needed"], "admin");
    assert_eq!(entries[1]["detail"]["route"], "GET /api/v1/keys");
    assert_eq!(entries[1]["outcome"], "refused");
}

#[actix_rt::test]
async fn pages_follow_one_another_without_gap_or_repeat() {
    let world = World::new().await;
    let mut made = BTreeSet::new();
    for _ in 0..5 {
        made.insert(world.stored_call(world.shop).await.to_string());
    }
    let (door, key) = (world.door().await, world.key(Role::Viewer, None).await);
    let (mut seen, mut sizes, mut cursor) = (Vec::new(), Vec::new(), None::<String>);
    loop {
        let cursor_part = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let page = get(&door, &format!("/api/v1/calls?limit=2{cursor_part}"), &key).await.json();
        let ids = page["items"].as_array().unwrap();
        sizes.push(ids.len());
        seen.extend(ids.iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        cursor = page["next"].as_str().map(str::to_owned);
        if cursor.is_none() {
            assert!(page["next"].is_null());
            break;
        }
    }
    assert_eq!(sizes, [2, 2, 1]);
    assert!(seen.is_sorted_by(|a, b| a > b), "newest first");
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), made);
}

#[actix_rt::test]
async fn calls_are_filtered_by_state_and_time() {
    let world = World::new().await;
    let call = world.stored_call(world.shop).await;
    let facts = super::world::facts(world.shop, "shop");
    let ended = chrono::Utc::now() - chrono::Duration::days(2);
    let fact = CarrierFact::ended(world.shop, facts.carrier, &facts.carrier_call_id, "completed", ended, Some(3));
    world.app.store.carrier_told(fact).await.unwrap();
    let (door, key) = (world.door().await, world.key(Role::Viewer, None).await);
    let noon = (chrono::Utc::now() - chrono::Duration::days(1)).to_rfc3339();
    for (filter, count, includes) in [
        (String::new(), 2, true),
        ("state=admitted".to_owned(), 1, true),
        ("state=ended".to_owned(), 1, false),
        (format!("from={noon}"), 1, true),
        (format!("to={}", noon.replace('+', "%2B")), 1, false),
    ] {
        let page = get(&door, &format!("/api/v1/calls?{filter}"), &key).await.json();
        let items = page["items"].as_array().unwrap();
        assert_eq!(items.len(), count, "{filter}");
        assert_eq!(items.iter().any(|row| row["id"] == call.to_string()), includes, "{filter}");
    }
}

#[actix_rt::test]
async fn a_parameter_that_does_not_fit_is_named() {
    let world = World::new().await;
    let (door, key) = (world.door().await, world.key(Role::Admin, None).await);
    for path in ["calls", "actions", "appointments", "clients", "numbers", "agents", "keys", "audit"] {
        for (query, field) in [
            ("limit=0", "limit"),
            ("limit=201", "limit"),
            ("limit=-1", "limit"),
            ("limit=ten", "limit"),
            ("limit=", "limit"),
            ("limit=100000", "limit"),
            ("limit=1&limit=2", "limit"),
            ("cursor=made-up", "cursor"),
            ("colour=red", "colour"),
        ] {
            let answer = get(&door, &format!("/api/v1/{path}?{query}"), &key).await;
            assert_eq!((answer.status, answer.problem().as_str()), (422, "invalid"), "{path}?{query}");
            assert_eq!(answer.json()["field"], field, "{path}?{query}");
        }
        for query in ["limit=1", "limit=200", ""] {
            assert_eq!(get(&door, &format!("/api/v1/{path}?{query}"), &key).await.status, 200, "{path}?{query}");
        }
    }
    for (query, field) in [
        ("state=lost", "state"),
        ("from=yesterday", "from"),
        ("to=2026-13-01", "to"),
        ("end_reason=boredom", "end_reason"),
        ("direction=up", "direction"),
        ("caller=nobody", "caller"),
        ("agent=7", "agent"),
    ] {
        let answer = get(&door, &format!("/api/v1/calls?{query}"), &key).await;
        assert_eq!((answer.status, &answer.json()["field"]), (422, &json!(field)), "{query}");
    }
    let long = get(&door, &format!("/api/v1/actions?name={}", "x".repeat(300)), &key).await;
    assert_eq!((long.status, &long.json()["field"]), (422, &json!("name")));
}

#[actix_rt::test]
async fn other_methods_and_other_routes_are_refused() {
    let world = World::new().await;
    let (door, key) = (world.door().await, world.key(Role::Admin, None).await);
    for (method, path, allowed) in [
        (Method::POST, "/api/v1/calls", "GET"),
        (Method::PUT, "/api/v1/numbers/x", "GET, PATCH, DELETE"),
        (Method::HEAD, "/api/v1/calls", "GET"),
        (Method::OPTIONS, "/api/v1/keys", "GET, POST"),
        (Method::DELETE, "/api/v1/clients/shop", "GET, PATCH"),
        (Method::GET, "/api/v1/calls/x/hangup", "POST"),
        (Method::POST, "/api/openapi.json", "GET"),
        (Method::POST, "/api/docs/", "GET"),
        (Method::POST, "/health", "GET, HEAD"),
        (Method::PUT, "/metrics", "GET, HEAD"),
    ] {
        let request = TestRequest::default().method(method.clone()).uri(path);
        let answer = send(&door, request.insert_header(("Authorization", format!("Bearer {key}")))).await;
        assert_eq!((answer.status, answer.header("allow")), (405, allowed), "{method} {path}");
        if method != Method::HEAD {
            assert_eq!(answer.problem(), "method-not-allowed");
        }
    }
    for path in ["/api/v1", "/api/v1/", "/api/v1/nothing", "/api/v1/calls/a/b"] {
        let answer = get(&door, path, &key).await;
        assert_eq!((answer.status, answer.problem().as_str()), (404, "not-found"), "{path}");
    }
}

#[actix_rt::test]
async fn too_many_wrong_keys_are_refused_and_right_ones_pass() {
    let world = World::with(&[("CALY__LIMITS__FAILED_AUTH_PER_ADDRESS_PER_MINUTE", "3")]).await;
    let (door, key) = (world.door().await, world.key(Role::Viewer, None).await);
    let mut statuses = Vec::new();
    for attempt in 0..5 {
        let wrong = format!("caly_v_{attempt:043}");
        statuses.push(get(&door, "/api/v1/calls", &wrong).await.status);
    }
    assert_eq!(statuses, [401, 401, 401, 429, 429]);
    let refused = get(&door, "/api/v1/calls", "not even a key").await;
    assert_eq!((refused.status, refused.problem().as_str()), (429, "too-many-requests"));
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(get(&door, "/api/v1/calls", &key).await.status, 200);
    let without = get(&door, "/api/v1/calls", "").await;
    assert_eq!((without.status, without.header("www-authenticate")), (401, "Bearer"));
}

#[actix_rt::test]
async fn a_key_is_held_to_its_rate_and_others_are_not() {
    let world = World::with(&[("CALY__LIMITS__API_PER_KEY_PER_SECOND", "5")]).await;
    let door = world.door().await;
    let (busy, calm) = (world.key(Role::Viewer, None).await, world.key(Role::Viewer, None).await);
    let mut refused = None;
    for _ in 0..200 {
        let answer = get(&door, "/api/v1/clients", &busy).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("200 requests in a moment are more than 5 a second");
    assert_eq!((refused.problem().as_str(), refused.header("retry-after")), ("too-many-requests", "1"));
    assert_eq!(get(&door, "/api/v1/clients", &calm).await.status, 200);
}

#[actix_rt::test]
async fn without_a_database_the_answer_is_503_within_the_deadline() {
    let world = World::new().await;
    let (door, key) = (world.door().await, world.key(Role::Admin, None).await);
    let call = world.stored_call(world.shop).await;
    assert_eq!(get(&door, "/api/v1/calls", &key).await.status, 200);
    world.app.store.close().await;
    let began = Instant::now();
    for path in ["calls", "actions", "clients", "clients/shop", "numbers", "agents", "keys", "audit", "events"] {
        let answer = get(&door, &format!("/api/v1/{path}"), &key).await;
        assert_eq!((answer.status, answer.problem().as_str()), (503, "unavailable"), "{path}");
        assert!(!answer.header("retry-after").is_empty());
    }
    assert_eq!(get(&door, &format!("/api/v1/calls/{call}"), &key).await.status, 503);
    assert_eq!(post(&door, &format!("/api/v1/calls/{call}/hangup"), &key).await.status, 503);
    // What cannot be a key is refused without the database.
    for odd in [
        "caly_a_short".to_owned(),
        "y".repeat(50),
        format!("caly_a_{}", "y".repeat(44)),
        format!("kaly_a_{}", "y".repeat(43)),
        format!("caly_a_{}!", "y".repeat(42)),
        format!("caly_a_{} ", "y".repeat(42)),
    ] {
        assert_eq!(get(&door, "/api/v1/calls", &odd).await.status, 401, "{odd}");
    }
    // A key that is not remembered cannot be told from a wrong one now, and is not counted as one.
    assert_eq!(get(&door, "/api/v1/calls", &format!("caly_a_{}", "y".repeat(43))).await.status, 503);
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
}

#[actix_rt::test]
async fn the_use_of_a_key_is_noted() {
    let world = World::new().await;
    let (door, key) = (world.door().await, world.key(Role::Admin, None).await);
    let noted = async { while get(&door, "/api/v1/keys", &key).await.json()["items"][0]["last_used_at"].is_null() {} };
    tokio::time::timeout(super::world::SOON, noted).await.unwrap();
}

#[test]
fn the_use_of_a_key_is_noted_at_most_once_a_minute() {
    let now = chrono::Utc::now();
    let before = |seconds| Some(now - chrono::Duration::seconds(seconds));
    for (last, due) in [(None, true), (before(0), false), (before(59), false), (before(60), true), (before(-9), false)]
    {
        assert_eq!(is_touch_due(last, now), due, "{last:?}");
    }
}

#[test]
fn keys_are_remembered_for_seconds_and_in_bounded_number() {
    let (memory, now) = (KeyMemory::default(), Instant::now());
    let row = KeyRow {
        id: Uuid::now_v7(),
        prefix: "caly_a_abcdef".to_owned(),
        role: "admin".to_owned(),
        client_id: None,
        name: String::new(),
        created_at: chrono::Utc::now(),
        expires_at: None,
        last_used_at: None,
        revoked_at: None,
    };
    let (id, row) = (row.id, Arc::new(row));
    memory.put(vec![1], Some(Arc::clone(&row)), memory.mark(), now);
    memory.put(vec![2], None, memory.mark(), now);
    let after = |seconds: u64| now + Duration::from_secs(seconds);
    assert!(matches!(memory.get(&[1], after(9)), Some(Some(_))));
    assert!(memory.get(&[1], after(10)).is_none());
    assert!(matches!(memory.get(&[2], after(1)), Some(None)));
    assert!(memory.get(&[2], after(2)).is_none());
    for name in 0..5_000_u32 {
        memory.put(name.to_be_bytes().to_vec(), None, memory.mark(), now);
    }
    assert!(memory.len() <= 1_024, "{}", memory.len());

    let (full, other) = (KeyMemory::default(), after(5));
    full.put(vec![1], Some(Arc::clone(&row)), full.mark(), now);
    for name in 0..1_023_u32 {
        full.put(name.to_be_bytes().to_vec(), None, full.mark(), now);
    }
    full.put(vec![2], None, full.mark(), other);
    assert_eq!(full.len(), 2, "what has run out goes first");
    assert!(matches!(full.get(&[1], other), Some(Some(_))));

    memory.put(vec![1], Some(Arc::clone(&row)), memory.mark(), now);
    let on_its_way = memory.mark();
    memory.forget(id);
    assert!(memory.get(&[1], now).is_none(), "a revoked key is forgotten at once");
    memory.put(vec![1], Some(row), on_its_way, now);
    assert!(memory.get(&[1], now).is_none(), "what was read before the revocation is not remembered after it");
}

#[actix_rt::test]
async fn what_an_extractor_refuses_is_a_problem() {
    #[derive(serde::Deserialize)]
    #[allow(dead_code, reason = "only read")]
    struct Body {
        name: String,
    }
    async fn take(_: web::Json<Body>) -> HttpResponse {
        HttpResponse::Ok().finish()
    }
    async fn seek(_: web::Query<Body>, _: web::Path<Uuid>) -> HttpResponse {
        HttpResponse::Ok().finish()
    }
    let routes = actix_web::App::new()
        .configure(super::super::extractors)
        .route("/", web::post().to(take))
        .route("/{id}", web::get().to(seek));
    let door = actix_web::test::init_service(routes).await;
    for (kind, body, expected, word) in [
        ("application/json", r#"{"name":"x"}"#.to_owned(), 200, ""),
        ("application/json", r#"{"name":5}"#.to_owned(), 422, "invalid"),
        ("application/json", "{".to_owned(), 400, "malformed"),
        ("text/plain", r#"{"name":"x"}"#.to_owned(), 415, "unsupported-media-type"),
        ("application/json", format!(r#"{{"name":"{}"}}"#, "x".repeat(300_000)), 413, "too-large"),
    ] {
        let answer = send(&door, TestRequest::post().insert_header(("content-type", kind)).set_payload(body)).await;
        assert_eq!(answer.status, expected, "{word}: {}", answer.body);
        if expected != 200 {
            assert_eq!(answer.problem(), word);
        }
    }
    let id = Uuid::now_v7();
    assert_eq!(send(&door, TestRequest::get().uri(&format!("/{id}?name=x"))).await.status, 200);
    assert_eq!(send(&door, TestRequest::get().uri(&format!("/{id}"))).await.problem(), "invalid");
    assert_eq!(send(&door, TestRequest::get().uri("/x?name=x")).await.problem(), "not-found");
}
