//! Hanging up.

use std::sync::Arc;

use caly_actors::domain::{CallId, EndReason};
use serde_json::json;

use super::world::{SOON, World, facts, get, post};
use crate::store::{CarrierFact, Role};

#[actix_rt::test]
async fn an_operator_ends_a_live_call_once() {
    let world = World::new().await;
    let door = world.door().await;
    let (operator, admin) = (world.key(Role::Operator, Some(world.shop)).await, world.key(Role::Admin, None).await);
    let foreign = world.key(Role::Admin, Some(world.other)).await;
    let viewer = world.key(Role::Viewer, None).await;
    let mut events = world.app.recorder.subscribe();
    let live = Arc::clone(&world.app.calls.admit(facts(world.shop, "shop"), None).unwrap().call);
    let path = format!("/api/v1/calls/{}/hangup", live.facts.call);
    assert_eq!(post(&door, &path, &foreign).await.status, 404);
    assert_eq!(post(&door, &path, &viewer).await.status, 403);
    assert!(live.end_reason().is_none());

    let answer = post(&door, &path, &operator).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.json(), json!({ "call": live.facts.call.to_string(), "ending": true }));
    let ended = async { while events.recv().await.unwrap().kind != "ended" {} };
    tokio::time::timeout(SOON, ended).await.expect("the call ends");
    let gone = async {
        while live.end_reason().is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, gone).await.expect("the registry knows");
    assert_eq!(live.end_reason(), Some(EndReason::OperatorHungUp));

    let again = post(&door, &path, &operator).await;
    assert_eq!((again.status, again.problem().as_str()), (409, "conflict"));
    assert!(world.app.recorder.flush(SOON).await);
    let detail = get(&door, &format!("/api/v1/calls/{}", live.facts.call), &admin).await.json();
    assert_eq!(
        (&detail["call"]["state"], &detail["call"]["end_reason"]),
        (&json!("ended"), &json!("operator_hung_up"))
    );
    for part in ["turns", "intents", "actions", "events", "languages", "recordings"] {
        assert!(detail[part].is_array(), "{part}");
    }
    let audit = get(&door, "/api/v1/audit?client=shop", &admin).await.json();
    let hang_ups: Vec<_> =
        audit["items"].as_array().unwrap().iter().filter(|entry| entry["action"] == "call_hang_up").collect();
    assert_eq!(hang_ups.len(), 1, "{audit}");
    assert_eq!(hang_ups[0]["detail"]["call"], live.facts.call.to_string());
}

#[actix_rt::test]
async fn a_call_of_the_past_or_of_another_process_is_a_conflict() {
    let world = World::new().await;
    let (door, key) = (world.door().await, world.key(Role::Operator, None).await);
    let elsewhere = world.stored_call(world.shop).await;
    let hang_up = |call: CallId| format!("/api/v1/calls/{call}/hangup");
    let answer = post(&door, &hang_up(elsewhere), &key).await;
    assert_eq!((answer.status, answer.json()["detail"].clone()), (409, json!("this process does not carry the call")));
    let facts = facts(world.shop, "shop");
    let now = chrono::Utc::now();
    let fact = CarrierFact::ended(world.shop, facts.carrier, &facts.carrier_call_id, "completed", now, None);
    world.app.store.carrier_told(fact).await.unwrap();
    let past =
        world.app.store.find_call_by_carrier_id(facts.carrier, &facts.carrier_call_id).await.unwrap().unwrap().id;
    let answer = post(&door, &hang_up(CallId(past)), &key).await;
    assert_eq!((answer.status, answer.json()["detail"].clone()), (409, json!("the call has ended")));
}
