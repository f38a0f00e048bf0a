//! What is told of the process in good and bad states.

use std::sync::Arc;

use actix_web::test::TestRequest;
use serde_json::{Value, json};

use super::world::{World, facts, get, send};
use crate::store::Role;

fn reasons(readiness: &Value) -> Vec<&str> {
    readiness["reasons"].as_array().unwrap().iter().map(|reason| reason["what"].as_str().unwrap()).collect()
}

#[actix_rt::test]
async fn a_sound_process_is_ok_live_and_ready() {
    let world = World::new().await;
    let door = world.door().await;
    let health = get(&door, "/health", "").await;
    let body = health.json();
    assert_eq!((health.status, &body["status"]), (200, &json!("ok")), "{body}");
    assert_eq!((&body["database"], &body["calls"]["capacity"]), (&json!("up"), &json!(10)));
    assert_eq!(body["recorder"]["healthy"], true);
    assert!(body["version"].is_string() && body["uptime_s"].is_u64());
    assert_eq!(get(&door, "/health/live", "").await.json(), json!({ "status": "live" }));
    let ready = get(&door, "/health/ready", "").await;
    assert_eq!((ready.status, ready.json()), (200, json!({ "status": "ready", "reasons": [] })));
    assert_eq!(
        send(&door, TestRequest::default().method(actix_web::http::Method::HEAD).uri("/health")).await.status,
        200
    );
    let metrics = get(&door, "/metrics", "").await;
    assert_eq!((metrics.status, metrics.header("content-type")), (200, "text/plain; version=0.0.4"));
}

#[actix_rt::test]
async fn what_is_missing_is_named_while_the_process_stays_live() {
    let unmigrated = World::unmigrated().await;
    let door = unmigrated.door().await;
    let ready = get(&door, "/health/ready", "").await;
    assert_eq!((ready.status, reasons(&ready.json())), (503, vec!["schema", "directory"]));
    assert_eq!(get(&door, "/health", "").await.json()["status"], "degraded");

    let draining = World::new().await;
    draining.app.calls.start_draining();
    let ready = get(&draining.door().await, "/health/ready", "").await;
    assert_eq!((ready.status, reasons(&ready.json())), (503, vec!["draining"]));

    let away = World::new().await;
    away.app.store.close().await;
    let door = away.door().await;
    let ready = get(&door, "/health/ready", "").await;
    assert_eq!((ready.status, reasons(&ready.json())), (503, vec!["database"]));
    assert!(!ready.body.contains("pool"), "the outside is not told what the log is: {}", ready.body);
    let health = get(&door, "/health", "").await;
    assert_eq!((health.status, &health.json()["database"]), (200, &json!("away")));
    assert_eq!(get(&door, "/health/live", "").await.status, 200);
    assert_eq!(get(&door, "/health/supervisor", "").await.status, 200);
}

#[actix_rt::test]
async fn the_tree_is_shown_to_the_holder_of_a_key_and_only_of_their_client() {
    let world = World::new().await;
    let door = world.door().await;
    let admit = |client, slug| Arc::clone(&world.app.calls.admit(facts(client, slug), None).unwrap().call);
    let (mine, theirs) = (admit(world.shop, "shop"), admit(world.other, "other"));
    let totals = get(&door, "/health/supervisor", "").await.json();
    assert!(totals.get("tree").is_none(), "{totals}");
    assert_eq!((&totals["calls"]["live"], &totals["calls"]["capacity"]), (&json!(2), &json!(10)));
    assert_eq!((&totals["actors"]["media"], &totals["actors"]["call"]), (&json!(2), &json!(2)), "{totals}");
    assert_eq!((&totals["restarts"]["media"], &totals["silent"]), (&json!(0), &json!(0)));
    assert!(!totals.to_string().contains("shop") && !totals.to_string().contains(&mine.facts.call.to_string()));

    let all = get(&door, "/health/supervisor", &world.key(Role::Viewer, None).await).await.json();
    assert_eq!(all["tree"].as_array().unwrap().len(), 2);
    let own = get(&door, "/health/supervisor", &world.key(Role::Viewer, Some(world.shop)).await).await.json();
    let tree = own["tree"].as_array().unwrap();
    assert_eq!((tree.len(), &tree[0]["call"]), (1, &json!(mine.facts.call.to_string())));
    assert_eq!((&tree[0]["client"], &tree[0]["engine"]), (&json!("shop"), &json!("opening")));
    let names: Vec<_> = tree[0]["children"].as_array().unwrap().iter().map(|child| child["name"].clone()).collect();
    assert_eq!(names, ["media", "realtime", "intent", "action"]);
    assert_eq!(tree[0]["children"][0]["queues"]["caller_waiting"], 0);
    assert_eq!(tree[0]["children"][0]["connected"], true);
    assert_eq!(tree[0]["restarts"]["call"], 0);
    assert!(!own.to_string().contains(&theirs.facts.call.to_string()));
    assert_eq!(get(&door, "/health/supervisor", "wrong").await.status, 401);
}
