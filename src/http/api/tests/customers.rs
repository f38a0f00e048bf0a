//! What is known of those who ring is read, put right and forgotten over HTTP, and the audit log tells by whom, not what.

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

use super::world::{SOON, World, delete, fresh_number, get, write};
use crate::store::{Booking, Role};

#[actix_rt::test]
async fn a_customer_is_found_by_number_put_right_and_forgotten() {
    let world = World::new().await;
    let (door, operator) = (world.door().await, world.key(Role::Operator, Some(world.shop)).await);
    let number = fresh_number();
    let id = world.customer(world.shop, &number).await;
    world.customer(world.shop, &fresh_number()).await;
    // The same number is another customer of another client.
    world.customer(world.other, &number).await;
    let list = format!("/api/v1/customers?number={}", number.as_e164().replace('+', "%2B"));
    let found = get(&door, &list, &operator).await.json();
    assert_eq!(found["items"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!((&found["items"][0]["id"], &found["items"][0]["e164"]), (&json!(id), &json!(number.as_e164())));
    let all = get(&door, "/api/v1/customers?limit=1", &operator).await.json();
    let next = get(&door, &format!("/api/v1/customers?cursor={}", all["next"].as_str().unwrap()), &operator).await;
    assert_eq!(next.json()["items"][0]["id"], json!(id));

    let path = format!("/api/v1/customers/{id}");
    let body = json!({ "name": "Meera Rao", "language": "hi", "facts": { "stylist": null, "city": "Pune" } });
    let changed = write(&door, "PATCH", &path, &operator, &body).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let read = get(&door, &path, &operator).await.json();
    assert_eq!(read, changed.json());
    assert_eq!((&read["customer"]["name"], &read["customer"]["language"]), (&json!("Meera Rao"), &json!("hi")));
    let facts = read["facts"].as_array().unwrap();
    assert_eq!((facts.len(), &facts[0]["name"], &facts[0]["value"]), (1, &json!("city"), &json!("Pune")));

    let from = Utc::now() + TimeDelta::hours(1);
    let booking = Booking {
        client: world.shop,
        call: None,
        service: "Haircut".to_owned(),
        people: vec!["Asha".to_owned()],
        span: (from, from + TimeDelta::hours(1)),
        caller: Some(number.as_e164().to_owned()),
        open_max: 5,
        name: Some("Meera Rao".to_owned()),
        key: "b".to_owned(),
    };
    let booked = world.app.store.book(booking).await.unwrap().booked().unwrap();
    assert_eq!(delete(&door, &path, &operator).await.status, 204);
    assert_eq!(delete(&door, &path, &operator).await.status, 404);
    assert_eq!(get(&door, &list, &operator).await.json()["items"], json!([]));
    let stands = get(&door, &format!("/api/v1/appointments/{}", booked.id), &operator).await.json();
    assert_eq!((&stands["state"], &stands["caller"], &stands["name"]), (&json!("booked"), &Value::Null, &Value::Null));

    assert!(world.app.recorder.flush(SOON).await);
    let admin = world.key(Role::Admin, None).await;
    let audit = get(&door, "/api/v1/audit?client=shop", &admin).await;
    let done: Vec<Value> = audit.json()["items"].as_array().unwrap().iter().map(|row| row["action"].clone()).collect();
    assert_eq!(done, ["customer_forgotten", "customer_changed"]);
    for word in ["Meera", "Pune", &number.as_e164()[1..]] {
        assert!(!audit.body.contains(word), "{word}: {}", audit.body);
    }
    // Another client's customer of the same number is not touched.
    let other = get(&door, &list, &admin).await.json();
    assert_eq!(other["items"][0]["client_id"], json!(world.other.0));
}

#[actix_rt::test]
async fn what_does_not_fit_is_refused_by_its_name_and_changes_nothing() {
    let world = World::new().await;
    let (door, operator) = (world.door().await, world.key(Role::Operator, None).await);
    let path = format!("/api/v1/customers/{}", world.customer(world.shop, &fresh_number()).await);
    let before = get(&door, &path, &operator).await.json();
    let many: serde_json::Map<String, Value> = (0..30).map(|at| (format!("fact_{at}"), json!("x"))).collect();
    let more: serde_json::Map<String, Value> = (0..31).map(|at| (format!("fact_{at}"), json!("x"))).collect();
    for (body, status, field) in [
        (json!({ "name": "" }), 422, "name"),
        (json!({ "name": "a\nb" }), 422, "name"),
        (json!({ "name": "4111 1111 1111 1111" }), 422, "name"),
        (json!({ "language": "fr" }), 422, "language"),
        (json!({ "language": 5 }), 422, "language"),
        (json!({ "facts": null }), 422, "facts"),
        (json!({ "facts": { "A b": "x" } }), 422, "facts"),
        (json!({ "facts": { "city": "" } }), 422, "facts"),
        (json!({ "facts": { "city": "a\nb" } }), 422, "facts"),
        (json!({ "facts": { "city": "x".repeat(301) } }), 422, "facts"),
        (json!({ "facts": { "otp": "4821" } }), 422, "facts"),
        (json!({ "facts": { "payment": "4111111111111111" } }), 422, "facts"),
        (json!({ "facts": more }), 422, "facts"),
        (json!({ "name": "Changed", "facts": many }), 409, "facts"),
        (json!({ "number": "+919876543210" }), 422, "number"),
    ] {
        let answer = write(&door, "PATCH", &path, &operator, &body).await;
        assert_eq!((answer.status, &answer.json()["field"]), (status, &json!(field)), "{body}: {}", answer.body);
    }
    assert_eq!(get(&door, &path, &operator).await.json(), before);
    for query in ["number=abc", "number=", "limit=0", "client=nobody&x=1", "cursor=x"] {
        let answer = get(&door, &format!("/api/v1/customers?{query}"), &operator).await;
        assert_eq!(answer.status, 422, "{query}: {}", answer.body);
    }
}
