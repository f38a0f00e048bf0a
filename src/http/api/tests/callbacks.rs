//! Who asked to be rung back, and that somebody did.

use serde_json::{Value, json};

use super::world::{SOON, World, fresh_number, get, write};
use crate::store::Role;

fn ids(answer: &super::world::Answer) -> Vec<String> {
    let page = answer.json();
    page["items"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

#[actix_rt::test]
async fn a_wish_is_listed_with_whom_to_ring_when_and_about_what() {
    let world = World::new().await;
    let (door, viewer) = (world.door().await, world.key(Role::Viewer, None).await);
    for (caller, arguments, number, topic) in [
        (
            "+919876543210",
            json!({ "when": "kal shaam", "topic": "a refund" }),
            json!("+919876543210"),
            json!("a refund"),
        ),
        ("+919876543210", json!({ "when": "kal shaam", "number": "022 1234" }), json!("022 1234"), Value::Null),
        ("", json!({ "when": "kal shaam", "number": " " }), Value::Null, Value::Null),
    ] {
        let id = world.callback(world.shop, caller, arguments.clone()).await;
        let one = get(&door, &format!("/api/v1/callbacks/{id}"), &viewer).await.json();
        assert_eq!(
            (&one["number"], &one["topic"], &one["when"]),
            (&number, &topic, &json!("kal shaam")),
            "{arguments}"
        );
        assert_eq!(
            (&one["at"], &one["state"], &one["done_at"]),
            (&json!("2026-11-29T17:00"), &json!("open"), &Value::Null)
        );
        assert!(one["call_id"].is_string() && one["asked_at"].is_string(), "{one}");
        assert_eq!(get(&door, "/api/v1/callbacks?limit=1", &viewer).await.json()["items"][0], one, "the newest first");
    }
}

#[actix_rt::test]
async fn a_wish_of_somebody_who_said_later_not_to_be_rung_tells_it() {
    let world = World::new().await;
    let (door, viewer, number) = (world.door().await, world.key(Role::Viewer, None).await, fresh_number());
    let id = world.callback(world.shop, number.as_e164(), json!({ "when": "kal shaam" })).await;
    let path = format!("/api/v1/callbacks/{id}");
    world.suppression(world.other, &number).await;
    assert_eq!(get(&door, &path, &viewer).await.json()["do_not_call_since"], Value::Null, "said to another client");
    world.suppression(world.shop, &number).await;
    let one = get(&door, &path, &viewer).await.json();
    assert!(one["do_not_call_since"].is_string() && one["state"] == "open", "{one}");
}

#[actix_rt::test]
async fn it_is_done_once_by_whoever_says_so_first_and_the_audit_log_tells() {
    let world = World::new().await;
    let (door, operator) = (world.door().await, world.key(Role::Operator, None).await);
    let id = world.callback(world.shop, "+919876543210", json!({ "when": "kal shaam" })).await;
    let path = format!("/api/v1/callbacks/{id}/done");
    for (note, says) in [
        (json!(""), "1 to 500"),
        (json!("x".repeat(501)), "1 to 500"),
        (json!("a\nb"), "on one line"),
        (json!(5), "string"),
        (json!("4111 1111 1111 1111"), "a secret is not kept"),
    ] {
        let refused = write(&door, "POST", &path, &operator, &json!({ "note": note })).await;
        assert_eq!((refused.status, &refused.json()["field"]), (422, &json!("note")), "{}", refused.body);
        assert!(refused.body.contains(says), "{note}: {}", refused.body);
    }
    assert_eq!(get(&door, &format!("/api/v1/callbacks/{id}"), &operator).await.json()["state"], "open");
    let done = write(&door, "POST", &path, &operator, &json!({ "note": "rang, comes on Monday" })).await;
    assert_eq!(done.status, 200, "{}", done.body);
    let done = done.json();
    assert_eq!((&done["state"], &done["note"]), (&json!("done"), &json!("rang, comes on Monday")));
    let other = world.key(Role::Admin, None).await;
    let again = write(&door, "POST", &path, &other, &json!({})).await;
    assert_eq!((again.status, again.json()), (200, done), "the first stands");
    assert!(world.app.recorder.flush(SOON).await);
    let audit = get(&door, "/api/v1/audit?client=shop", &other).await;
    let entries = audit.json()["items"].clone();
    let noted =
        entries.as_array().unwrap().iter().filter(|one| one["action"] == "callback_done" && one["outcome"] == "ok");
    assert_eq!(noted.count(), 2, "{entries:#}");
    assert!(!audit.body.contains("Monday"), "what the note says is not the log's: {}", audit.body);
}

#[actix_rt::test]
async fn a_list_is_of_what_is_open_or_done_page_by_page() {
    let world = World::new().await;
    let (door, operator) = (world.door().await, world.key(Role::Operator, None).await);
    let mut all = Vec::new();
    for _ in 0..5 {
        all.insert(0, world.callback(world.shop, "+919876543210", json!({ "when": "kal" })).await.to_string());
    }
    world.callback(world.other, "+919876543210", json!({ "when": "kal" })).await;
    // What else was done in calls is no wish to be rung back.
    world.thing("/actions", Some(world.shop)).await;
    for id in [&all[1], &all[3]] {
        let done = write(&door, "POST", &format!("/api/v1/callbacks/{id}/done"), &operator, &json!({})).await;
        assert_eq!(done.status, 200);
    }
    for (state, expected) in [
        ("", all.clone()),
        ("&state=open", vec![all[0].clone(), all[2].clone(), all[4].clone()]),
        ("&state=done", vec![all[1].clone(), all[3].clone()]),
    ] {
        let (mut listed, mut cursor) = (Vec::new(), String::new());
        loop {
            let answer = get(&door, &format!("/api/v1/callbacks?client=shop&limit=2{state}{cursor}"), &operator).await;
            listed.extend(ids(&answer));
            let Some(next) = answer.json()["next"].as_str().map(str::to_owned) else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(listed, expected, "{state}");
    }
    let wrong = get(&door, "/api/v1/callbacks?state=ended", &operator).await;
    assert_eq!((wrong.status, &wrong.json()["field"]), (422, &json!("state")));
}
