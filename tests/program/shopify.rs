//! A client's Shopify shop, simulated: connected from the shell, tried, asked in a call, and heard by webhook.

use std::time::Duration;

use awc::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use caly::sim::shopify::{Faults, Lose, Seed, ShopOptions, ShopServer, serve};
use serde_json::{Value, json};

use crate::line::sid;
use crate::server::{Database, SOON, Server, Settings, free_port};
use crate::web::{self, Answer, until};

const TOKEN: &str = "shpat_0123456789abcdef";
const SECRET: &str = "shpss_fedcba9876543210";
const DOMAIN: &str = "rangrez-sim.myshopify.com";

/// A server and the shop of its demo client; each knows where the other is.
struct Pair {
    server: Server,
    shop: ShopServer,
}

/// One order, of the number that rings, of which nothing was sent yet.
const ONE_ORDER: &str = r##"
name = "Rangrez Studio"
domain = "rangrez-sim.myshopify.com"
email = "namaste@rangrez.example"
location = "Jaipur"
[[customer]]
key = "asha"
first_name = "Asha"
phone = "+919876543210"
[[product]]
title = "Blue Pottery Mug"
kind = "Home"
variant = [{ sku = "MUG", price = "349.00", stock = 60 }]
[[order]]
name = "#1001"
number = 1001
days_ago = 0.5
customer = "asha"
lines = [{ sku = "MUG" }]
payment = "paid"
"##;

/// Asked twice to cancel: the first time the caller thinks better of it.
const CANCELS: &str = r#"
name = "cancels"
title = "A caller has an order cancelled, after a no to the first time"
expect = "agent_hung_up"
[[step]]
hear = "greeting"
[[step]]
wait_ms = 300
[[step]]
say = "cancel_my_order"
[[step]]
hear = "shall_i"
timeout_ms = 20000
[[step]]
wait_ms = 300
[[step]]
say = "no_leave_it"
[[step]]
hear = "continue_agent"
timeout_ms = 20000
[[step]]
wait_ms = 300
[[step]]
say = "cancel_my_order"
[[step]]
hear = "shall_i"
timeout_ms = 20000
[[step]]
wait_ms = 300
[[step]]
say = "yes"
[[step]]
hear = "done_agent"
timeout_ms = 40000
[[step]]
wait_ms = 300
[[step]]
say = "thanks_bye"
[[step]]
wait_end = true
"#;

impl Pair {
    async fn start(database: Database) -> Self {
        Self::with(database, Seed::built_in().unwrap()).await
    }

    async fn with(database: Database, seed: Seed) -> Self {
        Self::set(Settings::on(database), seed).await
    }

    async fn set(settings: Settings, seed: Seed) -> Self {
        let port = free_port();
        let base_url = format!("http://127.0.0.1:{port}");
        let server = Server::start(settings.with("CALY__SHOPIFY__BASE_URL", base_url)).await;
        let options = ShopOptions {
            bind: ([127, 0, 0, 1], port).into(),
            token: TOKEN.to_owned(),
            webhook_secret: SECRET.to_owned(),
            webhook_url: Some(server.url("/webhooks/shopify/demo")),
            webhook_retry: Duration::from_millis(50),
            seed,
            ..ShopOptions::sandbox().unwrap()
        };
        Self { server, shop: serve(options).await.unwrap() }
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.server.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Connects the demo client and lets its agent use the shop.
    async fn connect(&self) -> Value {
        let (token, secret) = (self.file("token", &format!("{TOKEN}\n")), self.file("secret", SECRET));
        let files = ["--token-file", &token, "--webhook-secret-file", &secret];
        let args = [&["client", "shop", "demo", "--domain", DOMAIN], &files[..], &["--json"]].concat();
        let made = self.server.cli_json(&args).await;
        // Silent while a shop takes its time: what is heard is what a script waits for.
        let settings = json!({ "instructions": "Be brief.", "greeting": "Namaste", "language": "hi-Latn", "shop": {},
            "limits": { "filler_after_s": 0 },
            "tools": ["end_call", "find_orders", "order_status", "cancel_order"] });
        let settings = self.file("agent.json", &settings.to_string());
        self.server.cli_json(&["client", "agent", "demo", &settings, "--json"]).await;
        self.server.signal("HUP");
        let read = || async { self.server.log().contains("read anew").then_some(()) };
        until("client and agent are in use", SOON, read).await;
        made
    }

    /// The outcomes of the webhooks that the shop has sent, in order.
    fn delivered(&self) -> Vec<(String, Value)> {
        let state = self.shop.state();
        let all = state["webhooks"].as_array().unwrap().iter();
        all.map(|one| (one["topic"].as_str().unwrap().to_owned(), one["status"].clone())).collect()
    }

    async fn outcomes(&self, outcome: &str) -> usize {
        let text = web::get(&self.server.url("/metrics")).await.text();
        let line = format!("caly_shop_webhooks_total{{outcome=\"{outcome}\"}} ");
        text.lines().find_map(|one| one.strip_prefix(&line)?.parse().ok()).unwrap_or_default()
    }
}

async fn a_call_about_an_order(database: Database) {
    let pair = Pair::start(database).await;
    let (server, shop) = (&pair.server, &pair.shop);
    let made = pair.connect().await;
    let webhooks = server.url("/webhooks/shopify/demo");
    assert_eq!(made, json!({ "slug": "demo", "shop": { "domain": DOMAIN }, "webhooks": webhooks }));
    let checked = server.cli(&["check"]).await;
    let checked = String::from_utf8(checked.stdout).unwrap();
    assert!(checked.contains("demo: Rangrez Studio (INR)"), "{checked}");

    shop.ship("#1001", "OUT_FOR_DELIVERY", Some("Jaipur")).unwrap();
    let report = server.place("order_status").await;
    assert!(report.ok, "{report:#?}");
    let detail = server.ended_call(&report.call_sid).await;
    let actions = detail["actions"].as_array().unwrap();
    let asked = actions.iter().find(|action| action["name"] == "order_status").unwrap_or_else(|| panic!("{detail:#}"));
    assert_eq!(asked["state"], "done", "{asked:#}");
    let said = caly::sim::library::plain(&detail["turns"].to_string());
    let words = caly::sim::library::plain(&caly::sim::library::library().get("order_on_the_way").unwrap().text);
    assert!(said.contains(&words), "{:#}", detail["turns"]);

    let shown = server.api("/clients").await;
    let client = shown["items"].as_array().unwrap().iter().find(|client| client["slug"] == "demo").unwrap();
    assert_eq!(client["shop"], json!({ "domain": DOMAIN }));
    for text in [shown.to_string(), server.log(), checked, server.api("/audit").await.to_string(), detail.to_string()] {
        assert!(!text.contains(TOKEN) && !text.contains(SECRET), "{text}");
    }
    assert_eq!(shop.violations(), Vec::<String>::new());
    server.nothing_left(SOON).await;
}

#[actix_rt::test]
async fn a_caller_is_told_where_their_order_is_on_sqlite() {
    a_call_about_an_order(Database::Sqlite).await;
}

#[actix_rt::test]
async fn a_caller_is_told_where_their_order_is_on_postgres() {
    a_call_about_an_order(Database::Postgres).await;
}

/// The shop carries it out, and a gateway loses its answer.
#[actix_rt::test]
async fn an_order_is_cancelled_after_a_yes_and_once_though_the_shops_answer_is_lost() {
    let pair = Pair::with(Database::Sqlite, Seed::parse(ONE_ORDER).unwrap()).await;
    pair.connect().await;
    pair.shop.set_faults(Faults { lose_next: 1, lose_how: Lose::BadGateway, ..Faults::default() });
    let report = pair.server.place(CANCELS).await;
    assert!(report.ok, "{report:#?}");
    let detail = pair.server.ended_call(&report.call_sid).await;
    let mut cancelling = detail["actions"].as_array().unwrap().iter().filter(|row| row["name"] == "cancel_order");
    let done = cancelling.clone().filter(|row| row["state"] == "done").count();
    assert!(cancelling.all(|row| row["state"] == "done" || row["state"] == "proposed"), "{:#}", detail["actions"]);
    assert_eq!(done, 1, "{:#}", detail["actions"]);
    assert_eq!(pair.shop.effects_of("orderCancel"), 1);
    let state = pair.shop.state();
    assert_eq!(state["attempts"]["orderCancel"]["gid://shopify/Order/5001001"], 1, "{}", state["attempts"]);
    assert!(state["orders"][0]["cancelledAt"].is_string() && state["refunds"].as_array().unwrap().len() == 1);
    assert_eq!(pair.shop.violations(), Vec::<String>::new());
}

#[actix_rt::test]
async fn a_shop_that_refuses_its_token_is_told_by_check() {
    let pair = Pair::start(Database::Sqlite).await;
    pair.connect().await;
    pair.shop.set_faults(Faults { refuse_status: 401, ..Faults::default() });
    let checked = pair.server.cli(&["check"]).await;
    let text = String::from_utf8(checked.stdout).unwrap();
    assert!(!checked.status.success());
    assert!(text.contains("the access token is refused") && text.contains("caly client shop demo --domain"), "{text}");
}

#[actix_rt::test]
async fn a_shops_webhooks_are_taken_once_and_only_with_its_signature() {
    let pair = Pair::start(Database::Sqlite).await;
    pair.connect().await;
    pair.shop.ship("#1001", "OUT_FOR_DELIVERY", None).unwrap();
    let all = |pair: &Pair, status: u64| pair.delivered().iter().filter(|(_, told)| *told == status).count();
    until("the shop's news is taken", SOON, || async { (all(&pair, 200) > 0).then_some(()) }).await;
    assert_eq!(all(&pair, 401), 0, "{:?}", pair.delivered());
    until("it counts", SOON, || async { (pair.outcomes("taken").await > 0).then_some(()) }).await;

    // Twice each: the second is known.
    pair.shop.set_faults(Faults { webhook_duplicates: true, ..Faults::default() });
    pair.shop.ship("#1001", "DELIVERED", None).unwrap();
    until("the repeated one is known", SOON, || async { (pair.outcomes("repeated").await > 0).then_some(()) }).await;

    // Badly signed: refused, and taken when it comes again with the right signature.
    let known = pair.delivered().len();
    pair.shop.set_faults(Faults { webhook_bad_hmac_next: 1, ..Faults::default() });
    pair.shop.ship("#1011", "OUT_FOR_DELIVERY", None).unwrap();
    let mended = || async {
        let since: Vec<Value> = pair.delivered().into_iter().skip(known).map(|(_, status)| status).collect();
        (since.first() == Some(&json!(401)) && since.contains(&json!(200))).then_some(())
    };
    until("it was refused once and taken then", SOON, mended).await;
    assert!(pair.server.api("/audit").await.to_string().contains("webhook_rejected"));
}

async fn post(server: &Server, slug: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let kind = [("content-type", "application/json"), ("x-shopify-topic", "orders/updated")];
    let url = server.url(&format!("/webhooks/shopify/{slug}"));
    web::request(Method::POST, &url, &[&kind[..], headers].concat(), body.to_owned()).await
}

#[actix_rt::test]
async fn whoever_is_not_the_shop_is_turned_away() {
    let pair = Pair::start(Database::Sqlite).await;
    let (server, body) = (&pair.server, "{\"id\":1}");
    let sign = |body: &str| {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
        STANDARD.encode(ring::hmac::sign(&key, body.as_bytes()))
    };
    let (right, from) = (sign(body), ("x-shopify-shop-domain", DOMAIN));
    let signed = ("x-shopify-hmac-sha256", right.as_str());
    post(server, "demo", &[from, signed], body).await.problem(401);
    pair.connect().await;
    assert_eq!(post(server, "demo", &[from, signed], body).await.status, 200);
    // As newer deliveries spell it; without an id nothing is known again.
    let newer = [("shopify-shop-domain", DOMAIN), ("shopify-hmac-sha256", right.as_str())];
    assert_eq!(post(server, "demo", &newer, body).await.status, 200);
    let hex: String = STANDARD.decode(&right).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    for (what, slug, headers, body) in [
        ("no signature", "demo", vec![from], body),
        ("an empty one", "demo", vec![from, ("x-shopify-hmac-sha256", "")], body),
        ("in hexadecimal", "demo", vec![from, ("x-shopify-hmac-sha256", hex.as_str())], body),
        ("of another body", "demo", vec![from, signed], "{\"id\":2}"),
        ("no shop named", "demo", vec![signed], body),
        ("another shop's", "demo", vec![("x-shopify-shop-domain", "other.myshopify.com"), signed], body),
        ("nobody's", "nobody", vec![from, signed], body),
    ] {
        let answer = post(server, slug, &headers, body).await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text());
    }
    let long = "x".repeat(600 * 1024);
    post(server, "demo", &[from, ("x-shopify-hmac-sha256", &sign(&long))], &long).await.problem(413);
    web::get(&server.url("/webhooks/shopify/demo")).await.problem(405);
    server.cli_json(&["client", "shop", "demo", "--remove", "--json"]).await;
    let refused = || async { (post(server, "demo", &[from, signed], body).await.status == 401).then_some(()) };
    until("a shop that was taken away is nobody's", SOON, refused).await;
}

#[actix_rt::test]
async fn a_flood_at_the_shops_door_refuses_no_call() {
    let settings = Settings::default().with("CALY__LIMITS__WEBHOOKS_PER_CLIENT_PER_MINUTE", "20");
    let pair = Pair::set(settings, Seed::built_in().unwrap()).await;
    pair.connect().await;
    let forged = [("x-shopify-shop-domain", DOMAIN), ("x-shopify-hmac-sha256", "AAAA")];
    let mut answers = Vec::new();
    for _ in 0..40 {
        answers.push(post(&pair.server, "demo", &forged, "{}").await.status);
    }
    assert!(answers.contains(&401) && answers.ends_with(&[429]), "{answers:?}");
    assert_eq!(pair.server.call_start(&sid("flood")).await.status, 200);
}
