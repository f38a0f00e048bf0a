//! Making and revoking keys.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::world::{World, delete, get, write};
use crate::store::{NewKey, Role};

const KEYS: &str = "/api/v1/keys";

#[actix_rt::test]
async fn a_key_is_shown_once_works_and_stops_working_at_once_when_revoked() {
    let world = World::new().await;
    let (door, other_worker) = (world.door().await, world.door().await);
    let admin = world.key(Role::Admin, None).await;
    let body = json!({ "role": "operator", "client": "shop", "name": "front desk" });
    let made = write(&door, "POST", KEYS, &admin, &body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let json = made.json();
    let (key, id) = (json["key"].as_str().unwrap(), json["id"].as_str().unwrap());
    assert!(key.starts_with("caly_o_"));
    assert_eq!(made.header("location"), format!("{KEYS}/{id}"));
    assert_eq!((&json["client_id"], &json["name"]), (&json!(world.shop.0), &json!("front desk")));
    let shown = get(&door, &format!("{KEYS}/{id}"), &admin).await;
    assert!(!shown.body.contains(key) && !get(&door, KEYS, &admin).await.body.contains(key));
    assert_eq!(get(&other_worker, "/api/v1/calls", key).await.status, 200, "remembered by the other worker");

    assert_eq!(delete(&door, &format!("{KEYS}/{id}"), &admin).await.status, 204);
    assert_eq!(get(&other_worker, "/api/v1/calls", key).await.status, 401);
    assert_eq!(delete(&door, &format!("{KEYS}/{id}"), &admin).await.status, 204, "a second time changes nothing");
    assert!(!get(&door, &format!("{KEYS}/{id}"), &admin).await.json()["revoked_at"].is_null());
    assert!(world.app.recorder.flush(super::world::SOON).await);
    let audit = get(&door, "/api/v1/audit?client=shop", &admin).await;
    let actions: Vec<Value> =
        audit.json()["items"].as_array().unwrap().iter().map(|row| row["action"].clone()).collect();
    assert_eq!(actions, ["key_revoked", "key_revoked", "key_created"]);
    for row in audit.json()["items"].as_array().unwrap() {
        assert_eq!(row["detail"]["id"], id, "which key it was: {row}");
    }
    assert!(!audit.body.contains(key));
}

#[actix_rt::test]
async fn a_key_makes_none_that_sees_more_or_lives_longer() {
    let world = World::new().await;
    let door = world.door().await;
    let soon = Utc::now() + TimeDelta::hours(1);
    let new = NewKey { name: String::new(), role: Role::Admin, client: Some(world.shop), expires_at: Some(soon) };
    let (_, own) = world.app.store.make_key(new).await.unwrap();
    let later = (soon + TimeDelta::seconds(1)).to_rfc3339();
    let sooner = (soon - TimeDelta::seconds(1)).to_rfc3339();
    for (body, expected, field) in [
        (json!({ "role": "admin" }), 201, ""),
        (json!({ "role": "viewer", "client": "shop", "expires_at": sooner }), 201, ""),
        (json!({ "role": "viewer", "client": null }), 403, "client"),
        (json!({ "role": "viewer", "client": "other" }), 404, "client"),
        (json!({ "role": "viewer", "expires_at": null }), 403, "expires_at"),
        (json!({ "role": "viewer", "expires_at": later }), 403, "expires_at"),
        (json!({ "role": "viewer", "expires_at": "2020-01-01T00:00:00Z" }), 422, "expires_at"),
        (json!({ "role": "king" }), 422, "role"),
        (json!({ "name": "x" }), 422, "role"),
        (json!({ "role": "viewer", "name": "x".repeat(201) }), 422, "name"),
    ] {
        let answer = write(&door, "POST", KEYS, &own, &body).await;
        assert_eq!(answer.status, expected, "{body}: {}", answer.body);
        if expected != 201 {
            assert_eq!(answer.json()["field"], field, "{body}");
            continue;
        }
        let made = answer.json();
        let expires: DateTime<Utc> = made["expires_at"].as_str().unwrap().parse().unwrap();
        assert!(expires <= soon && made["client_id"] == json!(world.shop.0), "{made}");
    }
    assert!(world.app.recorder.flush(super::world::SOON).await);
    let audit = world.app.store.list_audit(Some(world.shop), None, 50).await.unwrap().items;
    let refused = audit.iter().filter(|row| row.outcome == "refused").count();
    assert_eq!(refused, 3, "what was refused with 403 is noted once each: {audit:?}");
    assert!(audit.iter().all(|row| row.remote.as_deref() == Some("192.0.2.1")));
}

#[actix_rt::test]
async fn a_key_stops_working_when_it_expires() {
    let world = World::new().await;
    let door = world.door().await;
    let soon = Utc::now() + TimeDelta::seconds(5);
    let new = NewKey { name: String::new(), role: Role::Viewer, client: None, expires_at: Some(soon) };
    let (_, key) = world.app.store.make_key(new).await.unwrap();
    assert_eq!(get(&door, "/api/v1/calls", &key).await.status, 200);
    let expired = async {
        while get(&door, "/api/v1/calls", &key).await.status != 401 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(super::world::SOON, expired).await.expect("it stops although it is remembered");
    assert!(Utc::now() >= soon);
    assert_eq!(get(&door, "/api/v1/calls", &key).await.status, 401);
}

#[actix_rt::test]
async fn keys_are_listed_by_client() {
    let world = World::new().await;
    let (door, admin) = (world.door().await, world.key(Role::Admin, None).await);
    for client in [None, Some(world.shop), Some(world.shop), Some(world.other)] {
        world.key(Role::Viewer, client).await;
    }
    let count = async |query: &str, key: &str| {
        get(&door, &format!("{KEYS}{query}"), key).await.json()["items"].as_array().unwrap().len()
    };
    assert_eq!((count("", &admin).await, count("?client=shop", &admin).await), (5, 2));
    let own = world.key(Role::Admin, Some(world.other)).await;
    assert_eq!(count("?limit=2", &own).await, 2);
    assert_eq!(count("", &own).await, 2);
}
