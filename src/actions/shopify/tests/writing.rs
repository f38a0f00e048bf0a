//! Changes: planned without changing, done once, and asked about, never repeated, when their answer is lost.

use std::sync::Mutex;

use super::*;

/// What a shop does with a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Does {
    /// Carries it out and says so; a cancellation after two looks at its job.
    Well,
    /// Carries it out and fails to say so.
    ThenFails,
    /// Carries it out and never answers.
    ThenSilent,
    /// Fails, and has done nothing.
    Nothing,
    /// Says why not.
    Refuses,
}

/// A shop with one order, whose state can be seen.
struct World {
    server: Server,
    order: Arc<Mutex<Value>>,
}

impl World {
    fn new(order: Value, does: Does) -> Self {
        let order = Arc::new(Mutex::new(order));
        let kept = Arc::clone(&order);
        let (mut looks, mut drafts) = (0, Vec::new());
        let server = Server::open(move |heard| {
            let mut order = kept.lock().unwrap();
            let done = !matches!(does, Does::Nothing | Does::Refuses);
            let payload = match heard.field.as_str() {
                "orderCancel" => json!({ "job": { "id": "gid://shopify/Job/1", "done": false } }),
                "orderUpdate" => {
                    if done {
                        let mut address = heard.variables["address"].clone();
                        address["countryCodeV2"] = address["countryCode"].take();
                        order["shippingAddress"] = address;
                    }
                    json!({ "order": { "id": order["id"] } })
                }
                "returnRequest" => {
                    if done {
                        order["returnStatus"] = json!("RETURN_REQUESTED");
                    }
                    json!({ "return": { "id": "gid://shopify/Return/1", "status": "REQUESTED" } })
                }
                "draftOrderCreate" => {
                    let draft = json!({ "id": "1", "name": "#D1", "tags": heard.variables["input"]["tags"],
                        "totalPriceSet": { "shopMoney": { "amount": "2598.00", "currencyCode": "INR" } } });
                    drafts.extend(done.then(|| draft.clone()));
                    json!({ "draftOrder": draft })
                }
                "job" => {
                    looks += 1;
                    if looks > 2 {
                        order["cancelledAt"] = json!("2026-11-27T12:00:00Z");
                    }
                    return Reply::Data(json!({ "job": { "id": "gid://shopify/Job/1", "done": looks > 2 } }));
                }
                "draftOrders" => {
                    let tag = heard.variables["query"].as_str().unwrap().trim_start_matches("tag:").trim_matches('"');
                    let found = drafts.iter().filter(|draft| draft["tags"][1] == tag);
                    return Reply::Data(json!({ "draftOrders": { "nodes": found.collect::<Vec<_>>() } }));
                }
                "shop" => return goods(),
                "returnableFulfillments" => return returnable(),
                _ => return reading(&[order.clone()], heard),
            };
            // A lost answer of a cancellation is one whose job nobody can look at.
            if heard.field == "orderCancel" && matches!(does, Does::ThenFails | Does::ThenSilent) {
                order["cancelledAt"] = json!("2026-11-27T12:00:00Z");
            }
            answer(heard, payload, does)
        });
        Self { server, order }
    }

    fn seen(&self, field: &str) -> Value {
        self.order.lock().unwrap()[field].clone()
    }
}

fn answer(heard: &Heard, mut payload: Value, does: Does) -> Reply {
    match does {
        Does::Well => {
            payload["userErrors"] = json!([]);
            Reply::Data(json!({ &heard.field: payload }))
        }
        Does::Refuses => {
            let errors = json!([{ "field": null, "message": "secret words of the shop" }]);
            Reply::Data(json!({ &heard.field: { "userErrors": errors } }))
        }
        Does::ThenFails | Does::Nothing => Reply::Status(502, ""),
        Does::ThenSilent => Reply::Silence,
    }
}

fn goods() -> Reply {
    let variant = json!({ "id": "gid://shopify/ProductVariant/7", "title": "Default Title", "price": "1299.00", "availableForSale": true });
    let product = json!({ "title": "Blue Kurta", "variants": { "nodes": [variant] } });
    Reply::Data(json!({ "shop": { "currencyCode": "INR" }, "products": { "nodes": [product] } }))
}

fn returnable() -> Reply {
    let line = |id: &str, title: &str| json!({ "quantity": 1, "fulfillmentLineItem": { "id": id, "lineItem": { "title": title, "variantTitle": null } } });
    let lines = json!({ "nodes": [line("gid://shopify/FulfillmentLineItem/1", "Kurta"), line("gid://shopify/FulfillmentLineItem/2", "Jhumka")] });
    Reply::Data(json!({ "returnableFulfillments": { "nodes": [{ "returnableFulfillmentLineItems": lines }] } }))
}

/// A change, the order it fits, and what shows that it was done.
struct Change {
    name: &'static str,
    arguments: Value,
    order: fn() -> Value,
    field: &'static str,
    done: &'static str,
}

fn changes() -> [Change; 4] {
    let fresh = || order("#1042", MEERA.unwrap(), json!({}));
    let arrived = || order("#1042", MEERA.unwrap(), sent("DELIVERED"));
    let to = json!({ "order_number": "1042", "address1": "7 FC Road", "city": "Pune", "zip": "411004" });
    [
        Change {
            name: "cancel_order",
            arguments: json!({ "order_number": "1042", "reason": "too late" }),
            order: fresh,
            field: "orderCancel",
            done: "cancelled",
        },
        Change { name: "change_address", arguments: to, order: fresh, field: "orderUpdate", done: "changed" },
        Change {
            name: "start_return",
            arguments: json!({ "order_number": "1042", "items": ["kurta"], "reason": "too_small" }),
            order: arrived,
            field: "returnRequest",
            done: "return_asked_for",
        },
        Change {
            name: "draft_order",
            arguments: json!({ "items": [{ "product": "blue kurta", "quantity": 2 }] }),
            order: fresh,
            field: "draftOrderCreate",
            done: "noted",
        },
    ]
}

fn desk(world: &World) -> Desk {
    Desk::with(&world.server, agent(), Duration::from_millis(500))
}

#[actix_rt::test]
async fn a_plan_tells_what_would_be_done_and_does_nothing() {
    let plans = [
        json!({ "cancel_order": { "order": "#1042", "items": ["1 × Kurta (M)"], "total": "₹1,299",
            "refund": "₹1,299 goes back the way it was paid", "cannot_be_undone": true } }),
        json!({ "change_address": { "order": "#1042", "to": "7 FC Road, Pune, MH, 411004", "name": "Meera Shah" } }),
        json!({ "start_return": { "order": "#1042", "items": ["1 × Kurta"],
            "then": "the shop looks at it and says how it goes on; the money comes after" } }),
        json!({ "draft_order": { "items": ["2 × Blue Kurta, ₹2,598"], "total": "₹2,598",
            "then": "no money is taken now; the shop sends the bill, with postage if there is any" } }),
    ];
    for (change, expected) in changes().into_iter().zip(plans) {
        let world = World::new((change.order)(), Does::Well);
        let before = world.order.lock().unwrap().clone();
        let plan = desk(&world).plan(MEERA, change.name, change.arguments).await.unwrap();
        assert_eq!(plan, expected);
        assert_eq!((world.server.writes(), &*world.order.lock().unwrap()), (0, &before), "{}", change.name);
    }
}

#[actix_rt::test]
async fn a_change_is_done_once_whatever_becomes_of_its_answer() {
    for does in [Does::Well, Does::ThenFails, Does::ThenSilent] {
        for change in changes() {
            let world = World::new((change.order)(), does);
            let desk = desk(&world);
            let told = desk.ask(MEERA, change.name, change.arguments.clone()).await.unwrap();
            assert_eq!(told[change.done], true, "{} {does:?}: {told}", change.name);
            let again = desk.attempt(2, MEERA, change.name, change.arguments).await.unwrap();
            assert_eq!(again[change.done], true, "{} {does:?}, asked again: {again}", change.name);
            assert_eq!((world.server.count(change.field), world.server.writes()), (1, 1), "{} {does:?}", change.name);
        }
    }
}

#[actix_rt::test]
async fn what_surely_was_not_accepted_is_told_without_the_shops_words() {
    for change in changes() {
        let world = World::new((change.order)(), Does::Refuses);
        let told = refusal(desk(&world).ask(MEERA, change.name, change.arguments).await);
        assert!(told.contains("accept") && !told.contains("secret"), "{}: {told}", change.name);
        assert_eq!(world.server.writes(), 1);
    }
}

/// The shop failed before it did anything; nobody can know that, so it is asked about and not repeated.
#[actix_rt::test]
async fn what_may_have_happened_is_unknown_and_never_repeated() {
    // Each waits for its deadline; all at once, so that the test waits for it once.
    futures_util::future::join_all(changes().map(|change| async move {
        let world = World::new((change.order)(), Does::Nothing);
        let desk = desk(&world);
        let (name, arguments) = (change.name, change.arguments);
        let later = |attempt| {
            let (world, desk, arguments) = (&world, &desk, arguments.clone());
            async move {
                until(|| world.server.writes() > 0).await;
                desk.attempt(attempt, MEERA, name, arguments).await
            }
        };
        let (told, again, at_last) = tokio::join!(desk.ask(MEERA, name, arguments.clone()), later(2), later(11));
        assert!(matches!(told, Err(ActionError::Unknown(_))), "{name}: {told:?}");
        // It may still come: minutes later it will not.
        assert!(matches!(again, Err(ActionError::Unknown(_))), "{name}: {again:?}");
        assert_eq!(refusal(at_last), "it was not done", "{name}");
        assert_eq!(world.server.writes(), 1, "{name}");
    }))
    .await;
}

#[actix_rt::test]
async fn what_cannot_be_cancelled_is_refused_before_anything_is_sent() {
    let meera = MEERA.unwrap();
    for (more, why) in [
        (json!({ "cancelledAt": "2026-11-21T00:00:00Z" }), "cancelled already"),
        (sent("IN_TRANSIT"), "it is on its way, so it cannot be cancelled any more"),
        (json!({ "displayFulfillmentStatus": "IN_PROGRESS" }), "it is being packed"),
        (json!({ "displayFulfillmentStatus": "PARTIALLY_FULFILLED" }), "it is partly shipped"),
        (json!({ "returnStatus": "RETURN_REQUESTED" }), "a return is under way"),
    ] {
        let world = World::new(order("#1042", meera, more), Does::Well);
        let told = refusal(desk(&world).plan(MEERA, "cancel_order", json!({ "order_number": "1042" })).await);
        assert!(told.contains(why), "{told}");
        assert_eq!(world.server.writes(), 0);
    }
    let gone = order("#1042", meera, json!({ "cancelledAt": "2026-11-21T00:00:00Z" }));
    let world = World::new(gone, Does::Well);
    let told = desk(&world).ask(MEERA, "cancel_order", json!({ "order_number": "1042" })).await.unwrap();
    assert_eq!((&told["cancelled"], world.server.writes()), (&json!(true), 0), "somebody was quicker");
}

#[actix_rt::test]
async fn a_cancellation_sends_the_money_back_and_says_who_asked_for_it() {
    let world = World::new(order("#1042", MEERA.unwrap(), json!({})), Does::Well);
    let arguments = json!({ "order_number": "1042", "reason": "too late" });
    desk(&world).ask(MEERA, "cancel_order", arguments).await.unwrap();
    let heard = world.server.heard();
    let sent = heard.iter().find(|heard| heard.field == "orderCancel").unwrap();
    let note = "Cancelled in a call to the assistant. Reason: too late";
    assert_eq!(sent.variables, json!({ "id": "gid://shopify/Order/1042", "note": note }));
    assert!(world.server.count("job") >= 3, "its job was waited for");
}

#[actix_rt::test]
async fn what_is_not_to_change_of_an_address_is_sent_with_it() {
    let world = World::new(order("#1042", MEERA.unwrap(), json!({})), Does::Well);
    let arguments = json!({ "order_number": "1042", "address1": "7 FC Road", "city": "Pune", "zip": "411004" });
    desk(&world).ask(MEERA, "change_address", arguments).await.unwrap();
    let address = world.seen("shippingAddress");
    let kept = [
        &address["firstName"],
        &address["lastName"],
        &address["phone"],
        &address["countryCodeV2"],
        &address["provinceCode"],
    ];
    assert_eq!(kept, ["Meera", "Shah", MEERA.unwrap(), "IN", "MH"]);
}

#[actix_rt::test]
async fn a_return_names_what_comes_back_and_why() {
    let world = World::new(order("#1042", MEERA.unwrap(), sent("DELIVERED")), Does::Well);
    let desk = desk(&world);
    let asked = refusal(desk.plan(MEERA, "start_return", json!({ "order_number": "1042", "items": ["saree"] })).await);
    assert_eq!(asked, "which of them comes back? There are: 1 × Kurta, 1 × Jhumka");
    let arguments = json!({ "order_number": "1042", "items": ["jhumka"], "reason": "defective" });
    desk.ask(MEERA, "start_return", arguments.clone()).await.unwrap();
    let heard = world.server.heard();
    let sent = heard.iter().find(|heard| heard.field == "returnRequest").unwrap();
    let line = json!({ "fulfillmentLineItemId": "gid://shopify/FulfillmentLineItem/2", "quantity": 1,
        "returnReason": "DEFECTIVE", "customerNote": "Asked for in a call to the assistant" });
    assert_eq!(sent.variables["input"]["returnLineItems"], json!([line]));
    let twice = refusal(desk.plan(MEERA, "start_return", arguments).await);
    assert_eq!(twice, "a return was asked for already for this order");
}

#[actix_rt::test]
async fn an_order_is_noted_for_whoever_can_be_reached_and_within_the_limit() {
    let world = World::new(order("#1042", MEERA.unwrap(), json!({})), Does::Well);
    let desk = desk(&world);
    let items = |quantity: i64| json!({ "items": [{ "product": "blue kurta", "quantity": quantity }] });
    assert!(refusal(desk.plan(None, "draft_order", items(1)).await).contains("withheld"));
    assert!(refusal(desk.plan(MEERA, "draft_order", items(4)).await).contains("worth"));
    for wrong in [
        json!({ "items": [] }),
        json!({ "items": "kurta" }),
        items(0),
        items(21),
        json!({ "items": [{ "quantity": 1 }] }),
    ] {
        refusal(desk.plan(MEERA, "draft_order", wrong).await);
    }
    desk.ask(MEERA, "draft_order", items(2)).await.unwrap();
    let heard = world.server.heard();
    let input = &heard.iter().find(|heard| heard.field == "draftOrderCreate").unwrap().variables["input"];
    assert_eq!((&input["phone"], &input["tags"][0]), (&json!(MEERA), &json!("caly")));
    assert_eq!(input["lineItems"], json!([{ "variantId": "gid://shopify/ProductVariant/7", "quantity": 2 }]));
}
