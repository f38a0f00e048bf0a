//! The document says what there is, all of it and nothing else, and its page loads nothing from outside.

use std::collections::BTreeSet;

use actix_web::http::Method;
use actix_web::test::TestRequest;
use serde_json::Value;

use super::world::{World, get, send};
use crate::store::Role;

const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

async fn document(world: &World) -> Value {
    let answer = get(&world.door().await, "/api/openapi.json", "").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    answer.json()
}

#[actix_rt::test]
async fn every_route_is_described_and_every_description_is_a_route() {
    let world = World::new().await;
    let (door, key) = (world.door().await, world.key(Role::Admin, None).await);
    let document = document(&world).await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    let paths = document["paths"].as_object().unwrap();
    let described: BTreeSet<String> = paths.keys().cloned().collect();
    let mut served: BTreeSet<String> =
        super::super::resources().iter().map(|(path, _)| format!("/api/v1{path}")).collect();
    served.extend(["/health", "/health/live", "/health/ready", "/health/supervisor", "/metrics"].map(str::to_owned));
    assert_eq!(described, served);
    for (path, operations) in paths {
        let sample = path.replace("{id}", &world.shop.to_string());
        for method in METHODS {
            let request = TestRequest::default().method(method.clone()).uri(&sample);
            let key = format!("Bearer {key}");
            let answer = send(&door, request.insert_header(("Authorization", key))).await;
            let is_described = operations.get(method.as_str().to_lowercase()).is_some();
            assert_eq!(answer.status != 405, is_described, "{method} {path}: {}", answer.status);
        }
    }
}

#[actix_rt::test]
async fn every_parameter_that_is_described_is_understood() {
    let world = World::new().await;
    let (door, key) = (world.door().await, world.key(Role::Admin, None).await);
    for (path, operations) in document(&world).await["paths"].as_object().unwrap() {
        let Some(parameters) = operations["get"]["parameters"].as_array() else { continue };
        for parameter in parameters.iter().filter(|parameter| parameter["in"] == "query") {
            let name = parameter["name"].as_str().unwrap();
            let answer = get(&door, &format!("{path}?{name}=%21"), &key).await;
            assert!(!answer.body.contains("no such parameter"), "{path} {name}: {}", answer.body);
        }
    }
}

#[actix_rt::test]
async fn every_protected_route_tells_of_its_refusals_and_its_key() {
    let world = World::new().await;
    let document = document(&world).await;
    assert_eq!(document["components"]["securitySchemes"]["key"]["scheme"], "bearer");
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let answers: BTreeSet<&str> =
                operation["responses"].as_object().unwrap().keys().map(String::as_str).collect();
            assert!(answers.contains("405"), "{method} {path}");
            if path.starts_with("/api/v1") {
                assert!(answers.is_superset(&BTreeSet::from(["401", "404", "429", "503"])), "{path}: {answers:?}");
                assert!(operation["security"][0].get("key").is_some(), "{path}");
                let content = &operation["responses"]["401"]["content"]["application/problem+json"];
                assert_eq!(content["schema"]["$ref"], "#/components/schemas/Problem", "{path}");
                assert!(operation["responses"]["429"]["headers"].get("Retry-After").is_some());
            }
            let asks = !operation["requestBody"].is_null() || operation["parameters"].to_string().contains("\"query\"");
            assert_eq!(answers.contains("422"), asks, "{method} {path}");
            assert_eq!(answers.contains("415"), !operation["requestBody"].is_null(), "{method} {path}");
        }
    }
    let paths = &document["paths"];
    assert!(paths["/api/v1/calls/{id}/hangup"]["post"]["responses"].get("409").is_some());
    assert!(paths["/api/v1/keys"]["get"]["responses"].get("403").is_some());
    for schema in ["CallDetail", "CallRow", "ClientRow", "KeyRow", "Health", "Supervision", "Problem"] {
        assert!(document["components"]["schemas"].get(schema).is_some(), "{schema}");
    }
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"].get(name).is_some(), "{name} is referred to and not there");
    }
    assert!(!text.contains("retry_after_s"));
}

#[actix_rt::test]
async fn the_page_is_served_from_inside_and_may_load_from_nowhere_else() {
    let world = World::new().await;
    let door = world.door().await;
    let bare = get(&door, "/api/docs", "").await;
    assert_eq!((bare.status, bare.header("location")), (308, "/api/docs/"));
    let page = get(&door, "/api/docs/", "").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-security-policy").starts_with("default-src 'none'; script-src 'self'"));
    for link in page.body.split(['"', '\'']).filter(|text| text.ends_with(".js") || text.ends_with(".css")) {
        assert!(!link.contains("//"), "{link} is loaded from outside");
        let file = get(&door, &format!("/api/docs/{}", link.trim_start_matches("./")), "").await;
        assert_eq!(file.status, 200, "{link}");
    }
    let start = get(&door, "/api/docs/swagger-initializer.js", "").await.body;
    assert!(start.contains("/api/openapi.json") && !start.contains("petstore"), "{start}");
    assert!(start.contains("\"validatorUrl\": \"none\""), "{start}");
    assert_eq!(get(&door, "/api/docs/nothing.js", "").await.problem(), "not-found");
}
