//! What can be booked and when it is open is read and changed a part at a time.

use serde_json::{Value, json};

use super::world::{World, get, with_calendar, write};
use crate::store::Role;

const SERVICES: &str = "/api/v1/clients/shop/services";
const HOURS: &str = "/api/v1/clients/shop/hours";

#[actix_rt::test]
async fn a_change_is_a_new_version_in_use_at_once_with_the_rest_as_it_was() {
    let world = World::new().await;
    let (door, admin) = (world.door().await, world.key(Role::Admin, Some(world.shop)).await);
    let mut settings = with_calendar();
    settings["mcp_servers"] = json!([{ "name": "crm", "url": "https://crm.example/mcp", "headers": { "authorization": "Bearer s3cret" },
        "tools": { "find_lead": {} } }]);
    let first = world.app.store.publish_agent(world.shop, "test", settings.clone()).await.unwrap();
    let read = get(&door, SERVICES, &admin).await.json();
    let facial = json!([{ "name": "Facial", "minutes": 60 }]);
    assert_eq!((&read["services"], &read["people"], &read["version"]), (&facial, &json!(["Asha", "Ravi"]), &json!(1)));
    let read = get(&door, HOURS, &admin).await.json();
    assert_eq!((&read["hours"], &read["time_zone"]), (&json!({ "mon": ["10:00-13:00"] }), &json!("Asia/Kolkata")));
    assert_eq!(read["holidays"], json!(["2026-12-25"]));

    let two = json!([{ "name": "Facial", "minutes": 45 }, { "name": "Haircut", "minutes": 30 }]);
    let changed = write(&door, "PUT", SERVICES, &admin, &json!({ "services": two })).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!((&changed.json()["services"], &changed.json()["people"]), (&two, &json!(["Asha", "Ravi"])));
    let week = json!({ "tue": ["09:00-12:00", "13:00-17:00"], "wed": [] });
    let changed = write(&door, "PUT", HOURS, &admin, &json!({ "hours": week, "holidays": [] })).await;
    assert_eq!((changed.status, &changed.json()["version"]), (200, &json!(3)), "{}", changed.body);

    let used = world.app.store.agent_in_use(world.shop).await.unwrap().unwrap();
    settings["calendar"]["services"] = two;
    settings["calendar"]["hours"] = week;
    settings["calendar"]["holidays"] = json!([]);
    assert_eq!((used.version, &used.settings, used.name.as_str()), (3, &settings, "test"), "headers and all");
    let former = world.app.store.agent(caly_actors::domain::AgentId(first.id)).await.unwrap();
    assert_eq!((&former.settings["calendar"]["services"], former.published), (&facial, false));
    let snapshot = world.app.directory.get().unwrap();
    let calendar = snapshot.client("shop").unwrap().agent.as_ref().unwrap().calendar.clone().unwrap();
    assert_eq!(
        (calendar.services.len(), calendar.max_open, calendar.hours[1].len()),
        (2, 3, 2),
        "in use without a wait"
    );
}

#[actix_rt::test]
async fn what_does_not_fit_is_named_and_changes_nothing() {
    let world = World::new().await;
    let (door, admin) = (world.door().await, world.key(Role::Admin, None).await);
    world.app.store.publish_agent(world.shop, "test", with_calendar()).await.unwrap();
    let one = |minutes: i64| json!([{ "name": "Facial", "minutes": minutes }]);
    for (path, body, field) in [
        (SERVICES, json!({ "services": [] }), "services"),
        (SERVICES, json!({ "services": one(4) }), "services"),
        (SERVICES, json!({ "services": one(-1) }), "services"),
        (SERVICES, json!({ "services": [{ "name": "", "minutes": 30 }] }), "services"),
        (SERVICES, json!({ "services": [{ "name": "x", "minutes": 30, "price": 5 }] }), "services"),
        (SERVICES, json!({ "services": [one(30)[0], one(45)[0]] }), "services"),
        (SERVICES, json!({ "services": one(30), "people": ["Asha", "asha"] }), "people"),
        (SERVICES, json!({ "services": one(30), "people": null }), "people"),
        (SERVICES, json!({ "people": ["Asha"] }), "services"),
        (SERVICES, json!({ "services": one(30), "hours": {} }), "hours"),
        (HOURS, json!({ "hours": {} }), "hours"),
        (HOURS, json!({ "hours": { "monday": ["10:00-11:00"] } }), "hours"),
        (HOURS, json!({ "hours": { "mon": ["11:00-10:00"] } }), "hours.mon"),
        (HOURS, json!({ "hours": { "mon": ["10:00-12:00", "11:00-13:00"] } }), "hours.mon"),
        (HOURS, json!({ "hours": { "mon": "10:00-12:00" } }), "hours"),
        (HOURS, json!({ "hours": { "mon": ["10:00-12:00"] }, "holidays": ["tomorrow"] }), "holidays"),
    ] {
        let refused = write(&door, "PUT", path, &admin, &body).await;
        assert_eq!((refused.status, &refused.json()["field"]), (422, &json!(field)), "{body}: {}", refused.body);
        assert!(refused.json()["detail"].as_str().is_some_and(|detail| detail.len() > 5), "{}", refused.body);
    }
    assert_eq!(world.app.store.agent_in_use(world.shop).await.unwrap().unwrap().version, 1, "nothing was made");
}

#[actix_rt::test]
async fn a_client_without_a_calendar_is_told_how_to_get_one() {
    let world = World::new().await;
    let (door, admin) = (world.door().await, world.key(Role::Admin, None).await);
    for published in [false, true] {
        if published {
            world.app.store.publish_agent(world.shop, "test", json!({})).await.unwrap();
        }
        for (method, path, body) in [
            ("GET", SERVICES, Value::Null),
            ("GET", HOURS, Value::Null),
            ("PUT", SERVICES, json!({ "services": [{ "name": "Facial", "minutes": 30 }] })),
            ("PUT", HOURS, json!({ "hours": { "mon": ["10:00-12:00"] } })),
        ] {
            let answer = write(&door, method, path, &admin, &body).await;
            assert_eq!(answer.status, 404, "{method} {path}: {}", answer.body);
            assert!(answer.body.contains("POST /api/v1/agents"), "{}", answer.body);
        }
    }
}

#[actix_rt::test]
async fn of_two_changes_at_the_same_moment_none_takes_the_others_back() {
    let world = World::new().await;
    let (door, admin) = (world.door().await, world.key(Role::Admin, None).await);
    let former = world.app.store.publish_agent(world.shop, "test", with_calendar()).await.unwrap();
    let change = |at: usize| {
        let (door, admin) = (&door, &admin);
        async move {
            let body = json!({ "services": [{ "name": format!("Service {at}"), "minutes": 30 }] });
            write(door, "PUT", SERVICES, admin, &body).await.status
        }
    };
    let statuses = futures_util::future::join_all((0..6).map(change)).await;
    assert!(statuses.iter().all(|status| [200, 409].contains(status)), "{statuses:?}");
    let made = statuses.iter().filter(|status| **status == 200).count();
    let used = world.app.store.agent_in_use(world.shop).await.unwrap().unwrap();
    assert_eq!(usize::try_from(used.version).unwrap(), 1 + made, "{statuses:?}");
    // Whoever read a version that is not in use any more is told so.
    let late = world.app.store.publish_instead(&former, with_calendar()).await;
    assert!(matches!(late, Err(crate::store::StoreError::Conflict(_))), "{late:?}");
}
