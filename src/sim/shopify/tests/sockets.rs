//! The whole shop over loopback: headers, doors, cut connections, webhooks.

use std::sync::{Arc, Mutex};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use tokio::sync::mpsc;

use super::super::{Lose, ShopServer, serve, webhooks};
use super::*;

const PATIENCE: Duration = Duration::from_secs(10);
const SHOP: &str = "{ shop { name } }";
const TAG: &str = "mutation($id: ID!, $t: [String!]!) { tagsAdd(id: $id, tags: $t) { userErrors { message } } }";

async fn post(server: &ShopServer, query: &str, variables: Value) -> Result<(u16, Value), String> {
    let url = format!("{}/admin/api/2026-10/graphql.json", server.url);
    let request =
        awc::Client::new().post(url).timeout(PATIENCE).insert_header(("X-Shopify-Access-Token", server.token.as_str()));
    let sent = request.send_json(&json!({"query": query, "variables": variables})).await;
    let mut answer = sent.map_err(|error| error.to_string())?;
    let body = answer.body().await.map_err(|error| error.to_string())?;
    Ok((answer.status().as_u16(), serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

#[actix_rt::test]
async fn an_answer_has_the_version_and_a_request_id_and_a_wrong_token_none_of_the_data() {
    let server = serve(ShopOptions::sandbox().unwrap()).await.unwrap();
    let url = format!("{}/admin/api/2024-01/graphql.json", server.url);
    let client = awc::Client::new();
    let answer = client
        .post(&url)
        .insert_header(("x-shopify-access-token", "shpat_sandbox"))
        .send_json(&json!({"query": SHOP}))
        .await
        .unwrap();
    assert_eq!(answer.headers().get("X-Shopify-API-Version").unwrap(), "2026-01");
    assert!(answer.headers().contains_key("x-request-id"));
    let refused = client
        .post(&url)
        .insert_header(("x-shopify-access-token", "x"))
        .send_json(&json!({"query": SHOP}))
        .await
        .unwrap();
    assert_eq!(refused.status().as_u16(), 401);
    let page = client.post(format!("{}/admin/api/2026-99/graphql.json", server.url)).send_body("").await.unwrap();
    assert_eq!(
        (page.status().as_u16(), page.headers().get("content-type").unwrap().to_str().unwrap()),
        (404, "text/html; charset=utf-8")
    );
    assert_eq!(post(&server, "{ nothing }", json!({})).await.unwrap().0, 200);
    assert_eq!(server.violations(), ["Field 'nothing' doesn't exist on type 'QueryRoot'"]);
}

#[actix_rt::test]
async fn an_effect_whose_answer_is_lost_is_counted_and_can_be_looked_up() {
    let server = serve(ShopOptions::sandbox().unwrap()).await.unwrap();
    let tag = json!({"id": order_id(1001), "t": ["once"]});
    for (how, heard) in [(Lose::BadGateway, true), (Lose::Cut, false), (Lose::Hang, false)] {
        server.set_faults(Faults { lose_next: 1, lose_how: how, hang_ms: 50, ..Faults::default() });
        let answer = post(&server, TAG, tag.clone()).await;
        assert_eq!(answer.as_ref().is_ok_and(|(status, _)| *status == 502), heard, "{answer:?}");
        assert!(heard || answer.is_err(), "{answer:?}");
    }
    assert_eq!((server.effects("tagsAdd", &order_id(1001)), server.effects_of("tagsAdd")), (3, 3));
    server.set_faults(Faults { cut_next: 1, ..Faults::default() });
    assert!(post(&server, TAG, tag.clone()).await.is_err());
    assert_eq!(server.effects_of("tagsAdd"), 3, "cut before anything happened");
    assert_eq!(post(&server, TAG, tag).await.unwrap().0, 200);
    assert_eq!(server.order("#1001").unwrap()["tags"], json!(["once"]));
}

#[actix_rt::test]
async fn the_doors_tell_the_state_and_take_faults_and_parcels() {
    let server = serve(ShopOptions::sandbox().unwrap()).await.unwrap();
    let client = awc::Client::new();
    let door = |path: &str| format!("{}{path}", server.url);
    let mut set =
        client.post(door("/sim/faults")).send_json(&json!({"fail_next": 1, "fail_status": 503})).await.unwrap();
    assert_eq!(set.json::<Value>().await.unwrap()["fail_next"], 1);
    assert_eq!(post(&server, SHOP, json!({})).await.unwrap().0, 503);
    assert_eq!(post(&server, SHOP, json!({})).await.unwrap().0, 200);
    let mut bad = client.post(door("/sim/faults")).send_json(&json!({"delay": 1})).await.unwrap();
    assert_eq!(bad.status().as_u16(), 400);
    assert!(bad.json::<Value>().await.unwrap()["error"].as_str().unwrap().contains("unknown field `delay`"));
    let moved =
        client.post(door("/sim/shipments")).send_json(&json!({"order": "#1002", "status": "DELIVERED"})).await.unwrap();
    assert_eq!(moved.status().as_u16(), 200);
    server.ship("#1003", "DELIVERED", Some("Kochi")).unwrap();
    let mut state = client.get(door("/sim/state")).send().await.unwrap();
    let state: Value = serde_json::from_slice(&state.body().limit(4 << 20).await.unwrap()).unwrap();
    assert_eq!((state["orders"].as_array().unwrap().len(), &state["faults"]["fail_status"]), (21, &json!(503)));
    assert_eq!(server.order("#1003").unwrap()["displayFulfillmentStatus"], "FULFILLED");
    client.delete(door("/sim/faults")).send().await.unwrap();
    assert_eq!(server.faults(), Faults::default());
}

#[actix_rt::test]
async fn a_dropped_shop_no_longer_listens() {
    let server = serve(ShopOptions::sandbox().unwrap()).await.unwrap();
    let address = server.address;
    drop(server);
    let gone = async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("it still listens");
}

/// A delivery as the subscriber got it.
#[derive(Clone, Debug)]
struct Got {
    topic: String,
    id: String,
    good: bool,
    body: Value,
}

type Answers = Arc<Mutex<Vec<u16>>>;

async fn take(
    request: HttpRequest,
    body: web::Bytes,
    out: web::Data<mpsc::UnboundedSender<Got>>,
    answers: web::Data<Answers>,
) -> HttpResponse {
    let header = |name: &str| request.headers().get(name).unwrap().to_str().unwrap().to_owned();
    for name in ["X-Shopify-Shop-Domain", "X-Shopify-API-Version", "X-Shopify-Event-Id", "X-Shopify-Triggered-At"] {
        assert!(!header(name).is_empty());
    }
    let good = header("x-shopify-hmac-sha256") == webhooks::signature("shpss_sandbox", &body);
    let got = Got {
        topic: header("X-Shopify-Topic"),
        id: header("X-Shopify-Webhook-Id"),
        good,
        body: serde_json::from_slice(&body).unwrap(),
    };
    out.send(got).unwrap();
    let status = answers.lock().unwrap().pop().unwrap_or(200);
    HttpResponse::build(actix_web::http::StatusCode::from_u16(status).unwrap()).finish()
}

/// A shop with a subscriber that answers these statuses, last first, and then 200.
async fn subscribed(faults: Faults, answers: &[u16]) -> (ShopServer, mpsc::UnboundedReceiver<Got>) {
    let (out, got) = mpsc::unbounded_channel();
    let answers: Answers = Arc::new(Mutex::new(answers.to_vec()));
    let subscriber = HttpServer::new(move || {
        let (out, answers) = (web::Data::new(out.clone()), web::Data::new(answers.clone()));
        App::new().app_data(out).app_data(answers).default_service(web::to(take))
    });
    let subscriber = subscriber.workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hooks", subscriber.addrs()[0]);
    actix_rt::spawn(subscriber.run());
    let retry = Duration::from_millis(10);
    let options =
        ShopOptions { webhook_url: Some(url), webhook_retry: retry, faults, ..ShopOptions::sandbox().unwrap() };
    (serve(options).await.unwrap(), got)
}

async fn next(got: &mut mpsc::UnboundedReceiver<Got>) -> Got {
    tokio::time::timeout(PATIENCE, got.recv()).await.expect("no webhook came").unwrap()
}

#[actix_rt::test]
async fn a_change_is_told_to_the_subscriber_signed_and_in_rest_shape() {
    assert_eq!(
        webhooks::signature("key", b"The quick brown fox jumps over the lazy dog"),
        "97yD9DBThCSxMpjmqm+xQ+9NWaFJRhdZl0edvC0aPNg="
    );
    let (server, mut got) = subscribed(Faults::default(), &[]).await;
    post(&server, TAG, json!({"id": order_id(1001), "t": ["told"]})).await.unwrap();
    let first = next(&mut got).await;
    assert_eq!((first.topic.as_str(), first.good, &first.body["id"]), ("orders/updated", true, &json!(5_001_001)));
    assert_eq!(
        (&first.body["tags"], &first.body["total_price"], &first.body["financial_status"]),
        (&json!("told"), &json!("2077.00"), &json!("paid"))
    );
    server.ship("#1002", "OUT_FOR_DELIVERY", Some("Hyderabad")).unwrap();
    let parcel = next(&mut got).await;
    assert_eq!(
        (parcel.topic.as_str(), &parcel.body["shipment_status"]),
        ("fulfillments/update", &json!("out_for_delivery"))
    );
    assert_eq!(parcel.body["order_id"], 5_001_002);
}

#[actix_rt::test]
async fn webhooks_are_repeated_swapped_and_badly_signed_when_asked_for() {
    let (server, mut got) =
        subscribed(Faults { webhook_duplicates: true, webhook_bad_hmac_next: 1, ..Faults::default() }, &[]).await;
    post(&server, TAG, json!({"id": order_id(1001), "t": ["a"]})).await.unwrap();
    let pair = (next(&mut got).await, next(&mut got).await);
    assert_eq!((&pair.0.id, pair.0.good, pair.1.good), (&pair.1.id, false, true));
    let (server, mut got) = subscribed(Faults { webhook_out_of_order: true, ..Faults::default() }, &[]).await;
    server.ship("#1002", "DELIVERED", None).unwrap();
    let topics = [next(&mut got).await.topic, next(&mut got).await.topic];
    assert_eq!(topics, ["orders/updated", "fulfillments/update"]);
}

#[actix_rt::test]
async fn a_webhook_that_is_not_taken_comes_again_with_the_same_body() {
    let (server, mut got) = subscribed(Faults::default(), &[500, 503]).await;
    post(&server, TAG, json!({"id": order_id(1001), "t": ["again"]})).await.unwrap();
    let tries = [next(&mut got).await, next(&mut got).await, next(&mut got).await];
    assert!(tries.iter().all(|one| one.id == tries[0].id && one.body == tries[0].body && one.good));
}
