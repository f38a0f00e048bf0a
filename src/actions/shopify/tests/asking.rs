//! What is told of orders and goods, and how a shop is asked.

use super::*;

fn told_of(stage: &str) -> Value {
    json!({
        "order": "#1042", "state": "out for delivery", "items": ["1 × Kurta (M)"], "total": "₹1,299",
        "placed": "Friday 20 November", "payment": "paid", "expected": "Saturday 28 November", "courier": "Delhivery",
        "tracking_number": "DL123", "last_event": format!("{stage} in Pune on Friday 27 November at 10:20"),
    })
}

#[actix_rt::test]
async fn the_order_of_the_number_that_rings_is_told_in_words_and_asked_for_once() {
    let server = library(vec![order("#1042", MEERA.unwrap(), sent("OUT_FOR_DELIVERY"))]);
    let desk = Desk::at(&server);
    let status = desk.ask(MEERA, "order_status", json!({})).await.unwrap();
    assert_eq!(status, told_of("out for delivery"));
    let heard = server.heard();
    assert_eq!(heard.len(), 1);
    assert_eq!((heard[0].token.as_str(), heard[0].path.as_str()), (TOKEN, "/admin/api/2026-10/graphql.json"));
    assert_eq!(heard[0].variables, json!({ "phone": MEERA }));
    desk.ask(MEERA, "find_orders", json!({})).await.unwrap();
    assert_eq!(server.heard().len(), 1, "known from a moment ago");
    let client = ClientId(Uuid::nil());
    desk.shop.changed(client, About::Products);
    desk.ask(MEERA, "order_status", json!({})).await.unwrap();
    assert_eq!(server.heard().len(), 1, "goods were changed, no order");
    desk.shop.changed(client, About::Orders);
    desk.ask(MEERA, "order_status", json!({})).await.unwrap();
    assert_eq!(server.heard().len(), 2);
}

#[actix_rt::test]
async fn what_is_looked_up_while_the_engine_thinks_is_there_when_it_asks() {
    let server = library(vec![order("#1042", MEERA.unwrap(), json!({}))]);
    let desk = Desk::at(&server);
    let (facts, withheld) = (desk.facts(MEERA), desk.facts(None));
    assert!(worth_a_look(&facts, IntentKind::OrderStatus));
    assert!(!worth_a_look(&withheld, IntentKind::OrderStatus) && !worth_a_look(&facts, IntentKind::CancelOrder));
    let ((), status) = tokio::join!(desk.shop.prefetch(&facts), desk.ask(MEERA, "order_status", json!({})));
    assert_eq!(status.unwrap()["order"], "#1042");
    assert_eq!(server.heard().len(), 1, "two who ask the same at once send one request");
    let named = desk.ask(MEERA, "order_status", json!({ "order_number": "1042" })).await.unwrap();
    assert_eq!((&named["order"], server.heard().len()), (&json!("#1042"), 1), "it is one of those that were looked up");
    assert!(
        refusal(desk.ask(ARJUN, "order_status", json!({ "order_number": "1042" })).await).contains("no such order")
    );
}

#[actix_rt::test]
async fn the_latest_order_that_is_not_over_is_meant() {
    let (meera, delivered) = (MEERA.unwrap(), sent("DELIVERED"));
    let cash = json!({ "displayFinancialStatus": "PENDING", "paymentGatewayNames": ["Cash on Delivery (COD)"],
        "totalOutstandingSet": { "shopMoney": { "amount": "1299.00", "currencyCode": "INR" } } });
    let server = library(vec![
        order("#1044", meera, delivered),
        order("#1043", meera, cash),
        order("#1042", meera, json!({ "cancelledAt": "2026-11-21T00:00:00Z" })),
    ]);
    let desk = Desk::at(&server);
    let status = desk.ask(MEERA, "order_status", json!({})).await.unwrap();
    assert_eq!((&status["order"], &status["other_orders"]), (&json!("#1043"), &json!(["#1044", "#1042"])));
    assert_eq!(status["payment"], "cash on delivery, ₹1,299 due");
    let found = desk.ask(MEERA, "find_orders", json!({})).await.unwrap();
    let states: Vec<&str> =
        found["orders"].as_array().unwrap().iter().map(|one| one["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["delivered", "not shipped yet", "cancelled"]);
    let one = desk.ask(MEERA, "order_status", json!({ "order_number": "# 1042" })).await.unwrap();
    assert_eq!((&one["state"], &one["cancelled_on"]), (&json!("cancelled"), &json!("Saturday 21 November")));
}

#[actix_rt::test]
async fn goods_are_told_with_their_price_and_without_their_ids() {
    let server = Server::open(|heard| {
        assert_eq!(heard.variables, json!({ "query": "title:*blue* title:*kurta* status:active" }));
        Reply::Data(
            json!({ "shop": { "currencyCode": "INR" }, "products": { "nodes": [{ "title": "Blue Kurta", "variants": {
            "nodes": [{ "id": "gid://shopify/ProductVariant/1", "title": "M", "price": "1299.00", "availableForSale": true }]
        } }] } }),
        )
    });
    let told = Desk::at(&server).ask(None, "find_products", json!({ "words": "blue kurta" })).await.unwrap();
    let variants = json!([{ "price": "₹1,299", "available": true, "variant": "M" }]);
    assert_eq!(told, json!({ "products": [{ "product": "Blue Kurta", "variants": variants }] }));
}

fn throttled() -> Reply {
    let status = json!({ "maximumAvailable": 2000.0, "currentlyAvailable": 10, "restoreRate": 1000.0 });
    let cost = json!({ "requestedQueryCost": 110, "actualQueryCost": null, "throttleStatus": status });
    Reply::Body(json!({ "errors": [{ "message": "Throttled", "extensions": { "code": "THROTTLED" } }],
        "extensions": { "cost": cost } }))
}

/// A shop that answers as told, one after another, and then as it should.
fn troubled(replies: Vec<fn() -> Reply>) -> Server {
    let orders = vec![order("#1042", MEERA.unwrap(), json!({}))];
    let mut replies = replies.into_iter();
    Server::open(move |heard| replies.next().map_or_else(|| reading(&orders, heard), |reply| reply()))
}

#[actix_rt::test]
async fn a_question_survives_what_passes_and_ends_at_what_does_not() {
    let refused = "cannot be looked up right now: offer a person";
    for (name, replies, requests, outcome) in [
        ("throttled", vec![throttled as fn() -> Reply], 2, Ok(())),
        ("told to wait", vec![|| Reply::Status(429, "0.2")], 2, Ok(())),
        ("failed once", vec![|| Reply::Status(502, "")], 2, Ok(())),
        ("no JSON", vec![|| Reply::Body(json!("hello"))], 2, Ok(())),
        ("too long", vec![|| Reply::Flood], 2, Ok(())),
        ("silent once", vec![|| Reply::Silence], 2, Ok(())),
        ("failing", vec![|| Reply::Status(500, ""); 3], 3, Err("did not answer in time")),
        ("told to wait for long", vec![|| Reply::Status(429, "900")], 1, Err("did not answer in time")),
        ("wrong token", vec![|| Reply::Status(401, "")], 1, Err(refused)),
        ("no scope", vec![|| Reply::Status(403, "")], 1, Err(refused)),
        ("an error as a text", vec![|| Reply::Body(json!({ "errors": "no" }))], 1, Err(refused)),
        (
            "a dropped term",
            vec![|| {
                let all = order("#1", ARJUN.unwrap(), json!({}));
                let warning = json!({ "field": "phone", "code": "invalid_field" });
                Reply::Body(json!({ "data": { "customerByIdentifier": { "orders": { "nodes": [all] } } },
                    "extensions": { "search": [{ "warnings": [warning] }] } }))
            }],
            1,
            Err(refused),
        ),
        ("a shape that is new", vec![|| Reply::Data(json!({ "customer": null }))], 1, Err("was not understood")),
    ] {
        let server = troubled(replies);
        let desk = Desk::with(&server, agent(), Duration::from_millis(300));
        let status = desk.ask(MEERA, "order_status", json!({})).await;
        assert_eq!(server.heard().len(), requests, "{name}");
        match (status, outcome) {
            (Ok(status), Ok(())) => assert_eq!(status["order"], "#1042", "{name}"),
            (Err(error), Err(why)) => assert!(error.to_string().contains(why), "{name}: {error}"),
            (status, _) => panic!("{name}: {status:?}"),
        }
    }
}

#[actix_rt::test]
async fn a_shop_that_does_not_answer_is_left_alone_until_a_trial_is_answered() {
    let up = Arc::<std::sync::atomic::AtomicBool>::default();
    let is_up = Arc::clone(&up);
    let server = Server::open(move |_| {
        if !is_up.load(std::sync::atomic::Ordering::SeqCst) {
            return Reply::Status(503, "");
        }
        Reply::Data(json!({ "customerByIdentifier": null, "orders": { "nodes": [] } }))
    });
    let desk = Desk::at(&server);
    for _ in 0..2 {
        desk.ask(MEERA, "order_status", json!({})).await.unwrap_err();
    }
    assert_eq!(server.heard().len(), 5, "three requests of the first question, two of the second");
    let error = desk.ask(MEERA, "order_status", json!({})).await.unwrap_err();
    assert!(error.to_string().contains("left alone for a moment"), "{error}");
    assert_eq!(server.heard().len(), 5);
    up.store(true, std::sync::atomic::Ordering::SeqCst);
    desk.shop.api.breakers.age(Duration::from_secs(5));
    for _ in 0..2 {
        let answer = desk.ask(MEERA, "order_status", json!({})).await;
        assert!(!format!("{answer:?}").contains("left alone"), "{answer:?}");
    }
    assert!(server.heard().len() > 5);
}

#[actix_rt::test]
async fn a_token_is_sent_to_no_inner_address() {
    let server = library(vec![]);
    let mut desk = Desk::at(&server);
    let options =
        ShopOptions { base_url: None, version: "2026-10".to_owned(), request_timeout: Duration::from_millis(500) };
    // Whatever a name may resolve to; this one is the machine itself.
    let doors = |_: &CallFacts| Some(Credentials { domain: "localhost".to_owned(), token: TOKEN.to_owned().into() });
    desk.shop = Shopify::new(Outbound::new(None).unwrap(), options, Box::new(doors));
    let error = desk.ask(MEERA, "order_status", json!({})).await.unwrap_err();
    assert!(error.to_string().contains("cannot be reached"), "{error}");
    assert!(server.heard().is_empty());
}

#[actix_rt::test]
async fn a_client_without_a_shop_is_told_to_nobody_but_its_operator() {
    let server = library(vec![]);
    let mut desk = Desk::at(&server);
    let options =
        ShopOptions { base_url: None, version: "2026-10".to_owned(), request_timeout: Duration::from_secs(1) };
    desk.shop = Shopify::new(Outbound::new(None).unwrap(), options, Box::new(|_| None));
    assert!(refusal(desk.ask(MEERA, "order_status", json!({})).await).contains("offer a person"));
}

#[actix_rt::test]
async fn what_was_refunded_is_told_with_when_how_and_whether_it_went_through() {
    let money = |amount: &str| json!({ "shopMoney": { "amount": amount, "currencyCode": "INR" } });
    let refund = |amount: &str, status: Option<&str>| {
        let ways: Vec<Value> = status
            .map(|status| json!({ "status": status, "formattedGateway": "Razorpay", "processedAt": "2026-11-27T20:00:00Z" }))
            .into_iter()
            .collect();
        let line = json!({ "quantity": 1, "lineItem": { "title": "Kurta", "variantTitle": "M" } });
        json!({ "createdAt": "2026-11-26T06:30:00Z", "totalRefundedSet": money(amount),
            "refundLineItems": { "nodes": [line] }, "transactions": { "nodes": ways } })
    };
    let paid_back = json!({ "displayFinancialStatus": "PARTIALLY_REFUNDED", "refunds": [
        refund("500.00", Some("SUCCESS")), refund("99.50", Some("PENDING")), refund("1.00", Some("FAILURE")), refund("0.00", None)] });
    let server = library(vec![
        order("#1050", MEERA.unwrap(), json!({ "refunds": [] })),
        order("#1042", MEERA.unwrap(), paid_back),
    ]);
    let desk = Desk::at(&server);
    let told = desk.ask(MEERA, "refund_status", json!({})).await.unwrap();
    assert_eq!(
        (&told["order"], &told["payment"]),
        (&json!("#1042"), &json!("refunded in part")),
        "the one with a refund"
    );
    let first = json!({ "amount": "₹500", "on": "Saturday 28 November", "how": "back the way it was paid: Razorpay",
        "for": ["1 × Kurta (M)"], "state": "the shop has sent it; the bank may take some days to show it" });
    assert_eq!(told["refunds"][0], first);
    for (at, amount, state) in [
        (1, "₹99.50", "it is being sent"),
        (2, "₹1", "it did not go through: offer a person"),
        (3, "₹0", "no money was to go back"),
    ] {
        let one = &told["refunds"][at];
        assert_eq!((&one["amount"], &one["state"]), (&json!(amount), &json!(state)));
    }
    assert_eq!((&told["refunds"][3]["on"], &told["refunds"][3]["how"]), (&json!("Thursday 26 November"), &Value::Null));
    let none = desk.ask(MEERA, "refund_status", json!({ "order_number": "1050" })).await.unwrap();
    assert_eq!((&none["refunds"], server.writes()), (&json!([]), 0));
    assert!(none["then"].as_str().unwrap().contains("for the shop's people"), "{none}");
}

#[test]
fn tools_are_offered_only_with_a_shop_and_changes_need_a_yes() {
    let with = agent();
    let without = Agent { shop: None, ..agent() };
    assert!(TOOLS.iter().all(|name| spec(name, &without).is_none() && spec(name, &with).is_some()));
    assert!(spec("book_appointment", &with).is_none());
    let asked: Vec<(&str, bool)> = TOOLS
        .iter()
        .map(|name| (*name, spec(name, &with).unwrap()))
        .map(|(name, spec)| {
            assert_eq!(spec.writes, spec.confirm);
            (name, spec.writes)
        })
        .filter(|(_, writes)| *writes)
        .collect();
    assert_eq!(
        asked,
        [("cancel_order", true), ("change_address", true), ("start_return", true), ("draft_order", true),]
    );
}

#[actix_rt::test]
async fn nothing_is_looked_up_that_will_not_be_asked_for() {
    let server = library(vec![]);
    let own = HttpTool {
        name: "order_status".into(),
        description: "".into(),
        schema: "{}".into(),
        method: "GET".into(),
        url: "https://x".into(),
        body: None,
        deadline: Duration::from_secs(1),
        writes: false,
        repeatable: false,
        confirm: false,
        tell_caller: None,
        undo: caly_actors::domain::HttpUndo::Unsaid,
    };
    for (name, agent, looks) in [
        ("as it is", agent(), true),
        ("no shop", Agent { shop: None, ..agent() }, false),
        ("not offered", Agent { tools: vec!["find_orders".into()], ..agent() }, false),
        ("a tool of the client's own", Agent { http_tools: vec![own], ..agent() }, false),
    ] {
        let desk = Desk::with(&server, agent, Duration::from_secs(1));
        assert_eq!(worth_a_look(&desk.facts(MEERA), IntentKind::OrderStatus), looks, "{name}");
    }
}
