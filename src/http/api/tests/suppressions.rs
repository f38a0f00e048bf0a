//! Numbers that are not rung are listed and taken off the list over HTTP, and the audit log tells by whom, not which.

use serde_json::{Value, json};

use super::world::{SOON, World, delete, fresh_number, get};
use crate::store::Role;

#[actix_rt::test]
async fn a_number_that_is_not_rung_is_found_and_may_be_rung_again() {
    let world = World::new().await;
    let (door, operator) = (world.door().await, world.key(Role::Operator, Some(world.shop)).await);
    let number = fresh_number();
    let id = world.suppression(world.shop, &number).await;
    world.suppression(world.shop, &fresh_number()).await;
    // The same number is on another client's list too.
    world.suppression(world.other, &number).await;
    let list = format!("/api/v1/suppressions?number={}", number.as_e164().replace('+', "%2B"));
    let found = get(&door, &list, &operator).await.json();
    assert_eq!(found["items"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!((&found["items"][0]["id"], &found["items"][0]["e164"]), (&json!(id), &json!(number.as_e164())));
    let first = get(&door, "/api/v1/suppressions?limit=1&client=shop", &operator).await.json();
    let next = format!("/api/v1/suppressions?cursor={}", first["next"].as_str().unwrap());
    assert_eq!(get(&door, &next, &operator).await.json()["items"][0]["id"], json!(id));

    let path = format!("/api/v1/suppressions/{id}");
    assert_eq!(get(&door, &path, &operator).await.json(), found["items"][0]);
    assert_eq!(delete(&door, &path, &operator).await.status, 204);
    assert_eq!(delete(&door, &path, &operator).await.status, 404);
    assert_eq!(get(&door, &list, &operator).await.json()["items"], json!([]));

    assert!(world.app.recorder.flush(SOON).await);
    let admin = world.key(Role::Admin, None).await;
    let audit = get(&door, "/api/v1/audit?client=shop", &admin).await;
    let done: Vec<Value> = audit.json()["items"].as_array().unwrap().iter().map(|row| row["action"].clone()).collect();
    assert_eq!(done, ["suppression_removed"]);
    assert!(!audit.body.contains(&number.as_e164()[1..]), "{}", audit.body);
    let other = get(&door, &list, &admin).await.json();
    assert_eq!(other["items"][0]["client_id"], json!(world.other.0), "another client's list is another");
    for query in ["number=abc", "number=", "limit=0", "client=nobody&x=1", "cursor=x"] {
        let answer = get(&door, &format!("/api/v1/suppressions?{query}"), &operator).await;
        assert_eq!(answer.status, 422, "{query}: {}", answer.body);
    }
}
