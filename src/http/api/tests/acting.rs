//! What operators do with actions once their call is over.

use caly_actors::domain::ActionState;
use serde_json::Value;
use uuid::Uuid;

use super::world::{World, get, post};
use crate::store::Role;

async fn settled<S>(door: &S, id: Uuid, key: &str) -> Value
where
    S: actix_web::dev::Service<
            actix_http::Request,
            Response = actix_web::dev::ServiceResponse,
            Error = actix_web::Error,
        >,
{
    let begun = std::time::Instant::now();
    loop {
        let row = get(door, &format!("/api/v1/actions/{id}"), key).await.json();
        if !matches!(row["state"].as_str(), Some("running" | "proposed" | "confirmed")) {
            return row;
        }
        assert!(begun.elapsed() < super::world::SOON, "{row}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[actix_rt::test]
async fn what_the_caller_did_not_agree_to_is_done_once_when_an_operator_approves_it() {
    let world = World::new().await;
    let (door, key) = (world.door().await, world.key(Role::Operator, None).await);
    let id = world.action(world.shop, ActionState::Proposed, true).await;
    let path = format!("/api/v1/actions/{id}/approve");
    let taken = post(&door, &path, &key).await;
    assert_eq!(taken.status, 202, "{}", taken.body);
    let row = settled(&door, id, &key).await;
    assert_eq!((&row["state"], &row["attempts"]), (&Value::from("done"), &Value::from(1)));
    let again = post(&door, &path, &key).await;
    assert_eq!((again.status, again.json()["detail"].as_str()), (409, Some("it is done")));
    assert_eq!(world.noted(), [1], "attempts that were made");
}

#[actix_rt::test]
async fn what_may_have_happened_is_asked_about_and_not_done_again() {
    let world = World::new().await;
    let (door, key) = (world.door().await, world.key(Role::Operator, None).await);
    let id = world.action(world.shop, ActionState::Unknown, true).await;
    assert_eq!(post(&door, &format!("/api/v1/actions/{id}/retry"), &key).await.status, 202);
    let begun = std::time::Instant::now();
    while world.noted().is_empty() {
        assert!(begun.elapsed() < super::world::SOON);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(world.noted()[0] > 1, "the attempt says that it asks: {:?}", world.noted());
}

#[actix_rt::test]
async fn what_is_cancelled_is_not_done_and_a_call_that_is_up_is_left_to_its_caller() {
    let world = World::new().await;
    let (door, key) = (world.door().await, world.key(Role::Operator, None).await);
    let id = world.action(world.shop, ActionState::Proposed, true).await;
    assert_eq!(post(&door, &format!("/api/v1/actions/{id}/cancel"), &key).await.status, 202);
    assert_eq!(settled(&door, id, &key).await["state"], "withdrawn");
    let live = world.action(world.shop, ActionState::Proposed, false).await;
    for order in ["approve", "retry", "cancel"] {
        let refused = post(&door, &format!("/api/v1/actions/{live}/{order}"), &key).await;
        assert_eq!(refused.status, 409);
        assert!(refused.json()["detail"].as_str().unwrap().contains("still up"), "{}", refused.body);
    }
    assert!(world.noted().is_empty());
}

#[actix_rt::test]
async fn of_many_approvals_at_the_same_moment_one_is_taken() {
    let world = World::new().await;
    let (door, key) = (world.door().await, world.key(Role::Operator, None).await);
    let id = world.action(world.shop, ActionState::Proposed, true).await;
    let path = format!("/api/v1/actions/{id}/approve");
    let answers = futures_util::future::join_all((0..8).map(|_| post(&door, &path, &key))).await;
    let mut taken: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    taken.sort_unstable();
    assert_eq!(taken, [202, 409, 409, 409, 409, 409, 409, 409]);
    assert_eq!(settled(&door, id, &key).await["state"], "done");
    assert_eq!(world.noted().len(), 1, "{:?}", world.noted());
}

#[actix_rt::test]
async fn what_was_done_is_undone_once_by_an_action_of_its_own_that_it_names() {
    let world = World::new().await;
    let (door, key) = (world.door().await, world.key(Role::Operator, None).await);
    let id = world.action(world.shop, ActionState::Done, true).await;
    let path = format!("/api/v1/actions/{id}/undo");
    let answers = futures_util::future::join_all((0..8).map(|_| post(&door, &path, &key))).await;
    let taken: Vec<_> = answers.iter().filter(|answer| answer.status == 202).collect();
    assert_eq!((taken.len(), answers.iter().filter(|answer| answer.status == 409).count()), (1, 7));
    let step: Uuid = taken[0].json()["id"].as_str().unwrap().parse().unwrap();
    let row = settled(&door, step, &key).await;
    assert_eq!(
        (&row["state"], &row["name"], &row["undoes"]),
        (&"done".into(), &"note_away".into(), &id.to_string().into())
    );
    assert_eq!((&row["undo"], &row["undone_by"]), (&Value::Null, &Value::Null));
    let undone = get(&door, &format!("/api/v1/actions/{id}"), &key).await.json();
    assert_eq!((&undone["state"], &undone["undone_by"]), (&"done".into(), &step.to_string().into()));
    for (path, why) in [(path, "undone already"), (format!("/api/v1/actions/{step}/undo"), "undid something itself")] {
        let again = post(&door, &path, &key).await;
        assert_eq!(again.status, 409);
        assert!(again.json()["detail"].as_str().unwrap().contains(why), "{}", again.body);
    }
    assert_eq!(world.noted(), [1], "once");
}

#[actix_rt::test]
async fn what_is_not_done_or_has_no_step_is_not_undone_and_it_is_said_why() {
    let world = World::new().await;
    let (door, key) = (world.door().await, world.key(Role::Operator, None).await);
    let callback = world.callback(world.shop, "+919876543210", serde_json::json!({ "when": "kal" })).await;
    for (id, why) in [
        (world.action(world.shop, ActionState::Proposed, true).await, "only what is done"),
        (world.action(world.shop, ActionState::Unknown, true).await, "only what is done"),
        (world.action(world.shop, ActionState::Done, false).await, "still up"),
        (callback, "still up"),
    ] {
        let refused = post(&door, &format!("/api/v1/actions/{id}/undo"), &key).await;
        assert_eq!(refused.status, 409);
        assert!(refused.json()["detail"].as_str().unwrap().contains(why), "{}", refused.body);
    }
    assert!(world.noted().is_empty());
}
