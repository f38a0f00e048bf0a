//! Who may do what: every route and method, asked with every kind of key about the key's own client and another.

use std::collections::BTreeSet;

use actix_web::test::TestRequest;
use caly_actors::domain::{CallId, ClientId};
use serde_json::{Value, json};
use uuid::Uuid;

use super::world::{Answer, World, fresh_number, get, send, with_key};
use crate::store::Role;

/// One route, one method, one thing asked about: the answer for no key, a wrong one, viewer, operator, admin, then
/// viewer, operator and admin of the client `shop`.
struct Row(&'static str, &'static str, About, [u16; 8]);

/// Whose thing a request is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum About {
    /// Nobody's: a list, or something new.
    All,
    /// The client `shop`'s.
    Shop,
    /// The client `other`'s.
    Other,
}
use About::{All, Other, Shop};

/// Every cell of every route. A route or method that is not here fails the test.
const TABLE: &[Row] = &[
    Row("GET", "/calls", All, [401, 401, 200, 200, 200, 200, 200, 200]),
    Row("GET", "/calls/{id}", Shop, [401, 401, 200, 200, 200, 200, 200, 200]),
    Row("GET", "/calls/{id}", Other, [401, 401, 200, 200, 200, 404, 404, 404]),
    Row("POST", "/calls/{id}/hangup", Shop, [401, 401, 403, 409, 409, 403, 409, 409]),
    Row("POST", "/calls/{id}/hangup", Other, [401, 401, 403, 409, 409, 403, 404, 404]),
    Row("GET", "/actions", All, [401, 401, 200, 200, 200, 200, 200, 200]),
    Row("GET", "/actions/{id}", Shop, [401, 401, 200, 200, 200, 200, 200, 200]),
    Row("GET", "/actions/{id}", Other, [401, 401, 200, 200, 200, 404, 404, 404]),
    Row("POST", "/actions/{id}/approve", Shop, [401, 401, 403, 202, 202, 403, 202, 202]),
    Row("POST", "/actions/{id}/approve", Other, [401, 401, 403, 202, 202, 403, 404, 404]),
    Row("POST", "/actions/{id}/retry", Shop, [401, 401, 403, 202, 202, 403, 202, 202]),
    Row("POST", "/actions/{id}/retry", Other, [401, 401, 403, 202, 202, 403, 404, 404]),
    Row("POST", "/actions/{id}/undo", Shop, [401, 401, 403, 202, 202, 403, 202, 202]),
    Row("POST", "/actions/{id}/undo", Other, [401, 401, 403, 202, 202, 403, 404, 404]),
    Row("POST", "/actions/{id}/cancel", Shop, [401, 401, 403, 202, 202, 403, 202, 202]),
    Row("POST", "/actions/{id}/cancel", Other, [401, 401, 403, 202, 202, 403, 404, 404]),
    Row("GET", "/clients", All, [401, 401, 200, 200, 200, 200, 200, 200]),
    Row("POST", "/clients", All, [401, 401, 403, 403, 201, 403, 403, 403]),
    Row("GET", "/clients/{id}", Shop, [401, 401, 200, 200, 200, 200, 200, 200]),
    Row("GET", "/clients/{id}", Other, [401, 401, 200, 200, 200, 404, 404, 404]),
    Row("PATCH", "/clients/{id}", Shop, [401, 401, 403, 403, 200, 403, 403, 200]),
    Row("PATCH", "/clients/{id}", Other, [401, 401, 403, 403, 200, 403, 403, 404]),
    Row("POST", "/clients/{id}/webhook-key", Shop, [401, 401, 403, 403, 200, 403, 403, 200]),
    Row("POST", "/clients/{id}/webhook-key", Other, [401, 401, 403, 403, 200, 403, 403, 404]),
    Row("GET", "/clients/{id}/services", Shop, [401, 401, 200, 200, 200, 200, 200, 200]),
    Row("GET", "/clients/{id}/services", Other, [401, 401, 200, 200, 200, 404, 404, 404]),
    Row("PUT", "/clients/{id}/services", Shop, [401, 401, 403, 403, 200, 403, 403, 200]),
    Row("PUT", "/clients/{id}/services", Other, [401, 401, 403, 403, 200, 403, 403, 404]),
    Row("GET", "/clients/{id}/hours", Shop, [401, 401, 200, 200, 200, 200, 200, 200]),
    Row("GET", "/clients/{id}/hours", Other, [401, 401, 200, 200, 200, 404, 404, 404]),
    Row("PUT", "/clients/{id}/hours", Shop, [401, 401, 403, 403, 200, 403, 403, 200]),
    Row("PUT", "/clients/{id}/hours", Other, [401, 401, 403, 403, 200, 403, 403, 404]),
    Row("GET", "/numbers", All, [401, 401, 200, 200, 200, 200, 200, 200]),
    Row("POST", "/numbers", Shop, [401, 401, 403, 403, 201, 403, 403, 201]),
    Row("POST", "/numbers", Other, [401, 401, 403, 403, 201, 403, 403, 404]),
    Row("GET", "/numbers/{id}", Shop, [401, 401, 200, 200, 200, 200, 200, 200]),
    Row("GET", "/numbers/{id}", Other, [401, 401, 200, 200, 200, 404, 404, 404]),
    Row("PATCH", "/numbers/{id}", Shop, [401, 401, 403, 403, 200, 403, 403, 200]),
    Row("PATCH", "/numbers/{id}", Other, [401, 401, 403, 403, 200, 403, 403, 404]),
    Row("DELETE", "/numbers/{id}", Shop, [401, 401, 403, 403, 204, 403, 403, 204]),
    Row("DELETE", "/numbers/{id}", Other, [401, 401, 403, 403, 204, 403, 403, 404]),
    Row("GET", "/agents", All, [401, 401, 200, 200, 200, 200, 200, 200]),
    Row("POST", "/agents", Shop, [401, 401, 403, 403, 201, 403, 403, 201]),
    Row("POST", "/agents", Other, [401, 401, 403, 403, 201, 403, 403, 404]),
    Row("GET", "/agents/{id}", Shop, [401, 401, 200, 200, 200, 200, 200, 200]),
    Row("GET", "/agents/{id}", Other, [401, 401, 200, 200, 200, 404, 404, 404]),
    Row("POST", "/agents/{id}/publish", Shop, [401, 401, 403, 403, 200, 403, 403, 200]),
    Row("POST", "/agents/{id}/publish", Other, [401, 401, 403, 403, 200, 403, 403, 404]),
    Row("GET", "/analytics", All, [401, 401, 200, 200, 200, 200, 200, 200]),
    Row("GET", "/appointments", All, [401, 401, 200, 200, 200, 200, 200, 200]),
    Row("GET", "/appointments/{id}", Shop, [401, 401, 200, 200, 200, 200, 200, 200]),
    Row("GET", "/appointments/{id}", Other, [401, 401, 200, 200, 200, 404, 404, 404]),
    Row("GET", "/appointments.ics", All, [401, 401, 200, 200, 200, 200, 200, 200]),
    Row("GET", "/appointments/{id}/ics", Shop, [401, 401, 200, 200, 200, 200, 200, 200]),
    Row("GET", "/appointments/{id}/ics", Other, [401, 401, 200, 200, 200, 404, 404, 404]),
    Row("POST", "/appointments/{id}/cancel", Shop, [401, 401, 403, 200, 200, 403, 200, 200]),
    Row("POST", "/appointments/{id}/cancel", Other, [401, 401, 403, 200, 200, 403, 404, 404]),
    Row("GET", "/callbacks", All, [401, 401, 200, 200, 200, 200, 200, 200]),
    Row("GET", "/callbacks/{id}", Shop, [401, 401, 200, 200, 200, 200, 200, 200]),
    Row("GET", "/callbacks/{id}", Other, [401, 401, 200, 200, 200, 404, 404, 404]),
    Row("POST", "/callbacks/{id}/done", Shop, [401, 401, 403, 200, 200, 403, 200, 200]),
    Row("POST", "/callbacks/{id}/done", Other, [401, 401, 403, 200, 200, 403, 404, 404]),
    Row("GET", "/customers", All, [401, 401, 200, 200, 200, 200, 200, 200]),
    Row("GET", "/customers/{id}", Shop, [401, 401, 200, 200, 200, 200, 200, 200]),
    Row("GET", "/customers/{id}", Other, [401, 401, 200, 200, 200, 404, 404, 404]),
    Row("PATCH", "/customers/{id}", Shop, [401, 401, 403, 200, 200, 403, 200, 200]),
    Row("PATCH", "/customers/{id}", Other, [401, 401, 403, 200, 200, 403, 404, 404]),
    Row("DELETE", "/customers/{id}", Shop, [401, 401, 403, 204, 204, 403, 204, 204]),
    Row("DELETE", "/customers/{id}", Other, [401, 401, 403, 204, 204, 403, 404, 404]),
    Row("GET", "/suppressions", All, [401, 401, 200, 200, 200, 200, 200, 200]),
    Row("GET", "/suppressions/{id}", Shop, [401, 401, 200, 200, 200, 200, 200, 200]),
    Row("GET", "/suppressions/{id}", Other, [401, 401, 200, 200, 200, 404, 404, 404]),
    Row("DELETE", "/suppressions/{id}", Shop, [401, 401, 403, 204, 204, 403, 204, 204]),
    Row("DELETE", "/suppressions/{id}", Other, [401, 401, 403, 204, 204, 403, 404, 404]),
    Row("GET", "/keys", All, [401, 401, 403, 403, 200, 403, 403, 200]),
    Row("POST", "/keys", All, [401, 401, 403, 403, 201, 403, 403, 403]),
    Row("POST", "/keys", Shop, [401, 401, 403, 403, 201, 403, 403, 201]),
    Row("POST", "/keys", Other, [401, 401, 403, 403, 201, 403, 403, 404]),
    Row("GET", "/keys/{id}", All, [401, 401, 403, 403, 200, 403, 403, 404]),
    Row("GET", "/keys/{id}", Shop, [401, 401, 403, 403, 200, 403, 403, 200]),
    Row("GET", "/keys/{id}", Other, [401, 401, 403, 403, 200, 403, 403, 404]),
    Row("DELETE", "/keys/{id}", All, [401, 401, 403, 403, 204, 403, 403, 404]),
    Row("DELETE", "/keys/{id}", Shop, [401, 401, 403, 403, 204, 403, 403, 204]),
    Row("DELETE", "/keys/{id}", Other, [401, 401, 403, 403, 204, 403, 403, 404]),
    Row("GET", "/audit", All, [401, 401, 403, 403, 200, 403, 403, 200]),
    Row("GET", "/events", All, [401, 401, 200, 200, 200, 200, 200, 200]),
];

/// Lists that are asked for one client.
const BY_CLIENT: [(&str, bool); 12] = [
    ("analytics", false),
    ("appointments", false),
    ("callbacks", false),
    ("calls", false),
    ("customers", false),
    ("suppressions", false),
    ("actions", false),
    ("numbers", false),
    ("agents", false),
    ("events", false),
    ("keys", true),
    ("audit", true),
];

struct Things {
    world: World,
    keys: [String; 8],
}

impl Things {
    async fn new() -> Self {
        let world = World::with(&[("CALY__LIMITS__FAILED_AUTH_PER_ADDRESS_PER_MINUTE", "10000")]).await;
        let key = async |role, client| world.key(role, client).await;
        let keys = [
            String::new(),
            format!("caly_a_{}", "x".repeat(43)),
            key(Role::Viewer, None).await,
            key(Role::Operator, None).await,
            key(Role::Admin, None).await,
            key(Role::Viewer, Some(world.shop)).await,
            key(Role::Operator, Some(world.shop)).await,
            key(Role::Admin, Some(world.shop)).await,
        ];
        Self { world, keys }
    }

    fn client(&self, about: About) -> Option<ClientId> {
        match about {
            All => None,
            Shop => Some(self.world.shop),
            Other => Some(self.world.other),
        }
    }

    async fn thing(&self, path: &str, about: About) -> Uuid {
        self.world.thing(path, self.client(about)).await
    }

    fn body(&self, method: &str, path: &str, about: About) -> Option<Value> {
        let client = self.client(about).map(|client| client.to_string());
        Some(match (method, path) {
            ("POST", "/clients") => json!({ "slug": format!("c-{}", Uuid::now_v7().simple()), "name": "New" }),
            ("PATCH", "/clients/{id}") => json!({ "name": "Renamed" }),
            ("POST", "/clients/{id}/webhook-key") => json!({}),
            ("PUT", "/clients/{id}/services") => json!({ "services": [{ "name": "Haircut", "minutes": 30 }] }),
            ("PUT", "/clients/{id}/hours") => json!({ "hours": { "tue": ["09:00-17:00"] } }),
            ("POST", "/callbacks/{id}/done") => json!({ "note": "rang, all is well" }),
            ("POST", "/numbers") => json!({ "client": client, "e164": fresh_number().as_e164() }),
            ("PATCH", "/numbers/{id}") => json!({ "label": "front desk" }),
            ("PATCH", "/customers/{id}") => json!({ "name": "Meera", "facts": { "stylist": "Asha" } }),
            ("POST", "/agents") => json!({ "client": client, "settings": {} }),
            ("POST", "/keys") => json!({ "role": "viewer", "client": client }),
            _ => return None,
        })
    }

    async fn ask(&self, row: &Row, key: &str) -> Answer {
        let Row(method, path, about, _) = row;
        let door = self.world.door().await;
        let path_now = match path.contains("{id}") {
            true => path.replace("{id}", &self.thing(path, *about).await.to_string()),
            false => (*path).to_owned(),
        };
        let request = TestRequest::default().method(method.parse().unwrap()).uri(&format!("/api/v1{path_now}"));
        let request = match self.body(method, path, *about) {
            Some(body) => request.set_json(body),
            None => request,
        };
        send(&door, with_key(request, key)).await
    }
}

fn word(status: u16) -> &'static str {
    match status {
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not-found",
        _ => "conflict",
    }
}

#[actix_rt::test]
async fn every_cell_of_the_table_of_roles_holds() {
    let things = Things::new().await;
    for row in TABLE {
        let Row(method, path, about, expected) = row;
        for (at, (key, expected)) in things.keys.iter().zip(expected).enumerate() {
            let answer = things.ask(row, key).await;
            assert_eq!(answer.status, *expected, "{method} {path} {about:?}, key {at}: {}", answer.body);
            assert_eq!(answer.header("cache-control"), "no-store");
            if *expected >= 400 {
                assert_eq!(answer.problem(), word(*expected));
            }
        }
    }
}

#[actix_rt::test]
async fn every_route_and_method_stands_in_the_table_of_roles() {
    let world = World::new().await;
    let document = get(&world.door().await, "/api/openapi.json", "").await.json();
    let mut described = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let Some(path) = path.strip_prefix("/api/v1") else { continue };
        described.extend(operations.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.to_owned())));
    }
    let in_table: BTreeSet<_> = TABLE.iter().map(|Row(m, p, _, _)| ((*m).to_owned(), (*p).to_owned())).collect();
    assert_eq!(in_table, described);
    let served: BTreeSet<&str> = super::super::resources().iter().map(|(path, _)| *path).collect();
    assert_eq!(served, TABLE.iter().map(|Row(_, path, _, _)| *path).collect());
    // What belongs to somebody is asked about for the key's own client and for another.
    for Row(method, path, _, _) in TABLE.iter().filter(|Row(_, path, _, _)| path.contains("{id}")) {
        let asked = |wanted| TABLE.iter().any(|Row(m, p, about, _)| m == method && p == path && *about == wanted);
        assert!(asked(Shop) && asked(Other), "{method} {path}");
    }
}

#[actix_rt::test]
async fn a_key_of_one_client_lists_nothing_of_another() {
    let things = Things::new().await;
    let (world, shop, other) = (&things.world, things.world.shop, things.world.other);
    for client in [shop, other] {
        for path in ["/calls", "/numbers", "/agents", "/customers", "/suppressions", "/callbacks"] {
            things.thing(path, if client == shop { Shop } else { Other }).await;
        }
    }
    world.key(Role::Admin, Some(other)).await;
    let door = world.door().await;
    for (list, admins_only) in BY_CLIENT {
        for (at, key) in things.keys.iter().enumerate().skip(2) {
            let allowed = !admins_only || at == 4 || at == 7;
            let scoped = at >= 5;
            for (client, foreign) in [("shop", false), (shop.to_string().as_str(), false), ("other", scoped)] {
                let answer = get(&door, &format!("/api/v1/{list}?client={client}"), key).await;
                let expected = if !allowed {
                    403
                } else if foreign {
                    404
                } else {
                    200
                };
                assert_eq!(answer.status, expected, "{list} {client}, key {at}: {}", answer.body);
            }
            if scoped && allowed && list != "events" {
                let answer = get(&door, &format!("/api/v1/{list}"), key).await;
                assert!(!answer.body.contains(&other.to_string()), "{list}, key {at}: {}", answer.body);
            }
        }
    }
    let clients = get(&door, "/api/v1/clients", &things.keys[5]).await;
    assert_eq!(clients.json()["items"].as_array().unwrap().len(), 1);
    assert!(!clients.body.contains(&other.to_string()));
    let missing = CallId::new();
    assert_eq!(get(&door, &format!("/api/v1/calls/{missing}"), &things.keys[4]).await.status, 404);
    assert_eq!(get(&door, "/api/v1/calls/no-id", &things.keys[4]).await.status, 404);
    assert_eq!(get(&door, "/api/v1/calls?client=nobody", &things.keys[4]).await.status, 404);
}
