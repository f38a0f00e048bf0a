//! Clients, numbers and agents are made and changed over HTTP, and in use at once.

use actix_web::test::TestRequest;
use caly_actors::domain::{ClientId, Party, PhoneNumber};
use chrono::Utc;
use serde_json::{Value, json};

use super::world::{SOON, World, delete, get, post, send, with_key, write};
use crate::store::rows::ClientSecrets;
use crate::store::{Role, hash_secret};

fn secrets(world: &World, slug: &str) -> ClientSecrets {
    world.app.directory.get().unwrap().client(slug).unwrap().secrets.clone()
}

#[actix_rt::test]
async fn a_client_is_made_whole_and_its_doors_open_at_once() {
    let world = World::new().await;
    let (door, admin) = (world.door().await, world.key(Role::Admin, None).await);
    let body = json!({
        "slug": "flowers", "name": "Flower shop", "numbers": ["+912248966200"], "max_calls": 3,
        "agent": { "greeting": "Namaste" }, "basic_user": "exotel", "ip_allow_list": ["10.0.0.0/8"],
        "signature_key": "a-key-of-the-proxy", "answer_style": "exoml",
    });
    let answer = write(&door, "POST", "/api/v1/clients", &admin, &body).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let made = answer.json();
    let (secret, password) = (made["webhook_secret"].as_str().unwrap(), made["basic"]["password"].as_str().unwrap());
    assert!(made["webhooks"]["call_start"].as_str().unwrap().ends_with(&format!("/flowers/call-start?key={secret}")));
    assert!(made["basic"]["stream_url"].as_str().unwrap().contains(&format!("exotel:{password}@")));
    assert_eq!((&made["agent"]["version"], &made["agent"]["published"]), (&json!(1), &json!(true)));
    assert_eq!(answer.header("location"), format!("/api/v1/clients/{}", made["client"]["id"].as_str().unwrap()));

    let snapshot = world.app.directory.get().unwrap();
    let client = snapshot.client("flowers").expect("known without a wait");
    assert!(client.secrets.opens(&hash_secret(secret), Utc::now()));
    assert_eq!(client.secrets.signature_secret.as_deref(), Some("a-key-of-the-proxy"));
    assert_eq!(client.agent.as_ref().unwrap().greeting.as_deref(), Some("Namaste"));
    assert!(snapshot.owns(client.id, &Party::Number(PhoneNumber::parse("+912248966200").unwrap())));
    let shown = get(&door, "/api/v1/clients/flowers", &admin).await;
    assert!(!shown.body.contains(secret) && !shown.body.contains(password), "{}", shown.body);
    assert!(world.app.recorder.flush(SOON).await);
    let audit = get(&door, "/api/v1/audit?client=flowers", &admin).await;
    assert_eq!(audit.json()["items"][0]["action"], "client_created");
    assert!(!audit.body.contains(secret) && !audit.body.contains(password) && !audit.body.contains("a-key-of"));
}

#[actix_rt::test]
async fn nothing_is_made_of_a_client_that_does_not_fit() {
    let world = World::new().await;
    let (door, admin) = (world.door().await, world.key(Role::Admin, None).await);
    let taken = PhoneNumber::parse("+912248966200").unwrap();
    world.app.store.add_number(world.shop, &taken, None).await.unwrap();
    for (change, status, field) in [
        (json!({ "slug": "A b" }), 422, "slug"),
        (json!({ "slug": "shop" }), 409, "slug"),
        (json!({ "name": "" }), 422, "name"),
        (json!({ "name": null }), 422, "name"),
        (json!({ "numbers": ["080"] }), 422, "numbers"),
        (json!({ "numbers": "+912248966201" }), 422, "numbers"),
        (json!({ "numbers": ["+912248966200"] }), 409, "numbers"),
        (json!({ "agent": { "voise": "x" } }), 422, "agent.voise"),
        (json!({ "agent": { "limits": { "max_duration_s": -1 } } }), 422, "agent.limits.max_duration_s"),
        (json!({ "answer_style": "yaml" }), 422, "answer_style"),
        (json!({ "max_calls": 0 }), 422, "max_calls"),
        (json!({ "max_calls": 1e40 }), 422, "max_calls"),
        (json!({ "ip_allow_list": ["somewhere"] }), 422, "ip_allow_list"),
        (json!({ "basic_user": "a:b" }), 422, "basic_user"),
        (json!({ "signature_key": "short" }), 422, "signature_key"),
        (json!({ "colour": "red" }), 422, "colour"),
    ] {
        let mut body = json!({ "slug": "new", "name": "New", "numbers": ["+912248966209"] });
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let answer = write(&door, "POST", "/api/v1/clients", &admin, &body).await;
        assert_eq!((answer.status, &answer.json()["field"]), (status, &json!(field)), "{change}: {}", answer.body);
    }
    let typo = write(&door, "POST", "/api/v1/clients", &admin, &json!({ "slog": "new" })).await;
    assert!(typo.body.contains("did you mean slug?"), "{}", typo.body);
    let clients = get(&door, "/api/v1/clients", &admin).await.json();
    assert_eq!(clients["items"].as_array().unwrap().len(), 2, "nothing was made: {clients}");
    for (kind, body, status) in [
        (Some("text/plain"), "{}", 415),
        (None, "{}", 415),
        (Some("application/json"), "{", 400),
        (Some("application/json; charset=utf-8"), "[]", 422),
        (Some("application/json"), "", 400),
    ] {
        let request = TestRequest::post().uri("/api/v1/clients").set_payload(body);
        let request = kind.into_iter().fold(request, |request, kind| request.insert_header(("content-type", kind)));
        assert_eq!(send(&door, with_key(request, &admin)).await.status, status, "{kind:?} {body}");
    }
    let long = json!({ "slug": "new", "name": "x".repeat(300_000) });
    assert_eq!(write(&door, "POST", "/api/v1/clients", &admin, &long).await.problem(), "too-large");
    // Whoever may not change anything does not learn what a body should be.
    let viewer = world.key(Role::Viewer, None).await;
    assert_eq!(post(&door, "/api/v1/clients", &viewer).await.status, 403);
    assert_eq!(post(&door, "/api/v1/clients", "").await.status, 401);
}

#[actix_rt::test]
async fn a_client_is_changed_field_by_field_and_the_rest_stays() {
    let world = World::new().await;
    let (door, admin) = (world.door().await, world.key(Role::Admin, None).await);
    let own = world.key(Role::Admin, Some(world.shop)).await;
    for body in [json!({ "disabled": false }), json!({ "max_calls": null }), json!({ "name": "x", "max_calls": 9 })] {
        let answer = write(&door, "PATCH", "/api/v1/clients/shop", &own, &body).await;
        assert_eq!(answer.status, 403, "what the operator sets is not the client's to lift: {body}");
    }
    let renamed = write(&door, "PATCH", "/api/v1/clients/shop", &own, &json!({ "name": "shop" })).await;
    assert_eq!(renamed.status, 200, "its own affairs are");
    let change = async |body: Value| write(&door, "PATCH", "/api/v1/clients/shop", &admin, &body).await;
    let row = change(json!({ "max_calls": 7, "ip_allow_list": ["10.0.0.1"], "basic_user": "exotel" })).await.json();
    let password = row["basic"]["password"].as_str().unwrap().to_owned();
    assert_eq!((&row["client"]["max_calls"], &row["client"]["name"]), (&json!(7), &json!("shop")));
    assert_eq!(secrets(&world, "shop").basic_password_hash, Some(hash_secret(&password)));
    let row = change(json!({ "name": "The shop", "disabled": true })).await.json();
    assert_eq!((&row["client"]["max_calls"], &row["client"]["basic_user"]), (&json!(7), &json!("exotel")));
    assert!(row["basic"].is_null(), "an untouched password is not shown again");
    assert!(world.app.directory.get().unwrap().client("shop").unwrap().row.disabled, "in use at once");
    let row =
        change(json!({ "max_calls": null, "basic_user": null, "ip_allow_list": [], "disabled": false })).await.json();
    assert!(row["client"]["max_calls"].is_null() && row["client"]["basic_user"].is_null());
    assert_eq!((&row["client"]["name"], &row["client"]["ip_allow_list"]), (&json!("The shop"), &json!([])));
    assert_eq!(secrets(&world, "shop").basic_password_hash, None);
    change(json!({ "signature_key": "a-key-of-the-proxy" })).await;
    assert!(secrets(&world, "shop").signature_secret.is_some());
    let shop = json!({ "domain": "a-shop.myshopify.com", "token": "shpat_0123456789abcdef", "webhook_secret": "whsec_0123456789" });
    let answer = change(json!({ "shop": shop })).await;
    assert_eq!(answer.json()["client"]["shop"], json!({ "domain": "a-shop.myshopify.com" }), "and nothing else");
    let kept = secrets(&world, "shop");
    assert_eq!(kept.shop_token.as_deref(), Some("shpat_0123456789abcdef"));
    assert_eq!(kept.shop_webhook_secret.as_deref(), Some("whsec_0123456789"));
    let answer = change(json!({ "shop": null })).await;
    assert!(answer.json()["client"]["shop"].is_null() && secrets(&world, "shop").shop_token.is_none());
    assert!(world.app.recorder.flush(SOON).await);
    let audit = get(&door, "/api/v1/audit?client=shop", &admin).await;
    assert!(audit.body.contains("\"shop\"") && !audit.body.contains("shpat_"), "{}", audit.body);
    change(json!({ "signature_key": null })).await;
    assert_eq!(secrets(&world, "shop").signature_secret, None);
    for (body, field) in [
        (json!({ "name": null }), "name"),
        (json!({ "slug": "other" }), "slug"),
        (json!({ "disabled": "no" }), "disabled"),
    ] {
        let answer = change(body).await;
        assert_eq!((answer.status, &answer.json()["field"]), (422, &json!(field)));
    }
}

#[actix_rt::test]
async fn a_former_webhook_key_holds_for_its_overlap_and_no_longer() {
    let world = World::new().await;
    let (door, admin) = (world.door().await, world.key(Role::Admin, None).await);
    let rotate = async |body: Value| {
        let answer = write(&door, "POST", "/api/v1/clients/shop/webhook-key", &admin, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    };
    let hash = |made: &Value| hash_secret(made["webhook_secret"].as_str().unwrap());
    let first = rotate(json!({})).await;
    assert!(first["former_until"].is_null());
    let second = rotate(json!({ "overlap_s": 60 })).await;
    let (now, later) = (Utc::now(), Utc::now() + chrono::TimeDelta::seconds(61));
    let kept = secrets(&world, "shop");
    assert!(kept.opens(&hash(&first), now) && kept.opens(&hash(&second), now));
    assert!(!kept.opens(&hash(&first), later) && kept.opens(&hash(&second), later));
    let third = rotate(json!({ "overlap_s": 0 })).await;
    let kept = secrets(&world, "shop");
    assert!(kept.opens(&hash(&third), now) && !kept.opens(&hash(&second), now) && !kept.opens(&hash(&first), now));
    for seconds in [json!(-1), json!(604_801), json!("x"), json!(0.5)] {
        let body = json!({ "overlap_s": seconds });
        let answer = write(&door, "POST", "/api/v1/clients/shop/webhook-key", &admin, &body).await;
        assert_eq!((answer.status, &answer.json()["field"]), (422, &json!("overlap_s")));
    }
}

#[actix_rt::test]
async fn a_number_is_added_moved_and_removed_and_calls_follow_at_once() {
    let world = World::new().await;
    let (door, admin) = (world.door().await, world.key(Role::Admin, None).await);
    let owns = |client: ClientId| {
        let number = Party::Number(PhoneNumber::parse("+912248966200").unwrap());
        world.app.directory.get().unwrap().owns(client, &number)
    };
    let body = json!({ "client": "shop", "e164": "+912248966200", "label": "front" });
    let made = write(&door, "POST", "/api/v1/numbers", &admin, &body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let path = made.header("location").to_owned();
    assert!(owns(world.shop));
    let again = write(&door, "POST", "/api/v1/numbers", &admin, &body).await;
    assert_eq!((again.status, &again.json()["field"]), (409, &json!("e164")));
    assert!(again.body.contains("belongs to shop"));
    let foreign = world.key(Role::Admin, Some(world.other)).await;
    let theirs = json!({ "client": "other", "e164": "+912248966200" });
    let refused = write(&door, "POST", "/api/v1/numbers", &foreign, &theirs).await;
    assert_eq!(refused.status, 409);
    assert!(!refused.body.contains("shop"), "whose it is is no business of another client: {}", refused.body);

    let moved = write(&door, "PATCH", &path, &admin, &json!({ "client": "other" })).await.json();
    assert_eq!((&moved["client_id"], &moved["label"]), (&json!(world.other.0), &json!("front")));
    assert!(owns(world.other) && !owns(world.shop));
    let away = write(&door, "PATCH", &path, &foreign, &json!({ "client": "shop" })).await;
    assert_eq!((away.status, &away.json()["field"]), (404, &json!("client")));
    assert_eq!(write(&door, "PATCH", &path, &foreign, &json!({ "label": null })).await.json()["label"], json!(null));
    assert_eq!(delete(&door, &path, &admin).await.status, 204);
    assert!(!owns(world.other));
    assert_eq!(delete(&door, &path, &admin).await.status, 404);
    for (body, field) in [
        (json!({ "client": "shop", "e164": "02248966200" }), "e164"),
        (json!({ "client": "shop" }), "e164"),
        (json!({ "client": "shop", "e164": "+912248966200", "label": "a\nb" }), "label"),
    ] {
        let answer = write(&door, "POST", "/api/v1/numbers", &admin, &body).await;
        assert_eq!((answer.status, &answer.json()["field"]), (422, &json!(field)), "{body}");
    }
    assert!(world.app.recorder.flush(SOON).await);
    let audit = get(&door, "/api/v1/audit", &admin).await;
    assert!(!audit.body.contains("2248966200"), "numbers are masked in the audit log: {}", audit.body);
}

#[actix_rt::test]
async fn a_version_is_added_published_and_published_back() {
    let world = World::new().await;
    let (door, admin) = (world.door().await, world.key(Role::Admin, Some(world.shop)).await);
    let in_use =
        || world.app.directory.get().unwrap().client("shop").unwrap().agent.as_ref().map(|agent| agent.version);
    let add = async |body: Value| write(&door, "POST", "/api/v1/agents", &admin, &body).await;
    let first = add(json!({ "client": "shop", "settings": { "greeting": "one" }, "publish": true })).await.json();
    assert_eq!(in_use(), Some(1));
    let second = add(json!({ "client": "shop", "name": "Asha", "settings": { "greeting": "two" } })).await.json();
    assert_eq!((&second["version"], &second["published"], in_use()), (&json!(2), &json!(false), Some(1)));
    let publish = async |row: &Value| {
        post(&door, &format!("/api/v1/agents/{}/publish", row["id"].as_str().unwrap()), &admin).await
    };
    assert_eq!(publish(&second).await.json()["published"], true);
    assert_eq!(in_use(), Some(2));
    assert_eq!(publish(&first).await.status, 200);
    assert_eq!(in_use(), Some(1));
    let listed = get(&door, "/api/v1/agents?client=shop&published=true", &admin).await.json();
    assert_eq!((listed["items"].as_array().unwrap().len(), &listed["items"][0]["version"]), (1, &json!(1)));
    let read = get(&door, &format!("/api/v1/agents/{}", second["id"].as_str().unwrap()), &admin).await.json();
    assert_eq!((&read["settings"]["greeting"], &read["name"]), (&json!("two"), &json!("Asha")));
    for (body, field) in [
        (json!({ "client": "shop", "settings": { "voise": "x" } }), "settings.voise"),
        (json!({ "client": "shop", "settings": { "tools": ["fly"] } }), "settings.tools"),
        (json!({ "client": "shop", "settings": [] }), "settings"),
        (json!({ "client": "shop" }), "settings"),
        (json!({ "settings": {} }), "client"),
    ] {
        let answer = add(body.clone()).await;
        assert_eq!((answer.status, &answer.json()["field"]), (422, &json!(field)), "{body}: {}", answer.body);
    }
}
