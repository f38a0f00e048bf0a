//! The tools against the simulated shop, which knows Shopify's rules and counts what took effect.

use futures_util::future::join_all;

use super::*;
use crate::sim::shopify::{Faults, Lose, ShopOptions as SimOptions, ShopServer, serve};

pub(super) const ASHA: Option<&str> = Some("+919876543210");
const RAVI: Option<&str> = Some("+919812345678");
pub(super) const IMRAN: Option<&str> = Some("+919920011223");
const GURPREET: Option<&str> = Some("+919815098150");
const SOURAV: Option<&str> = Some("+919830012340");
/// A guest: the number stands in the shipping address only.
const FARIDA: Option<&str> = Some("+919963012345");
const MEERA_NAIR: Option<&str> = Some("+919745012345");

pub(super) async fn open(faults: Faults) -> ShopServer {
    open_with(SimOptions { faults, ..SimOptions::sandbox().unwrap() }).await
}

async fn open_with(options: SimOptions) -> ShopServer {
    serve(SimOptions { token: TOKEN.to_owned(), ..options }).await.unwrap()
}

/// A desk at the shop; changes up to `write_limit`.
pub(super) fn desk_at(sim: &ShopServer, write_limit: u32) -> Desk {
    let policy = ShopPolicy { read: OrderProof::NumberOrFacts, write: OrderProof::Number, write_limit };
    Desk::of(&sim.url, Agent { shop: Some(policy), ..agent() }, Duration::from_millis(700))
}

fn names(told: &Value) -> Vec<&str> {
    told["orders"].as_array().unwrap().iter().map(|order| order["order"].as_str().unwrap()).collect()
}

/// How often something was asked for, whether it took effect or not.
pub(super) fn attempts(sim: &ShopServer, mutation: &str) -> u64 {
    let state = sim.state();
    let counts = state["attempts"][mutation].as_object().cloned().unwrap_or_default();
    counts.values().filter_map(Value::as_u64).sum()
}

#[actix_rt::test]
async fn orders_are_found_by_the_number_that_rings_and_by_their_own() {
    let sim = open(Faults::default()).await;
    let desk = desk_at(&sim, 5000);
    let found = desk.ask(ASHA, "find_orders", json!({})).await.unwrap();
    assert_eq!(names(&found), ["#1017", "#1001", "#1015"], "the latest first, none older than the shop shows");
    let state =
        |name: &str| found["orders"].as_array().unwrap().iter().find(|one| one["order"] == name).unwrap().clone();
    assert_eq!(state("#1001")["items"], json!(["1 × Indigo Cotton Kurta (M)", "2 × Blue Pottery Mug"]));
    assert_eq!((&state("#1001")["total"], &state("#1001")["state"]), (&json!("₹2,077"), &json!("not shipped yet")));

    // `name:1001` finds EN1001 too: each caller is told the one that is theirs.
    for (caller, name) in [(ASHA, "#1001"), (GURPREET, "EN1001")] {
        let told = desk.ask(caller, "order_status", json!({ "order_number": "1001" })).await.unwrap();
        assert_eq!(told["order"], name);
    }
    let told = desk.ask(RAVI, "order_status", json!({})).await.unwrap();
    assert_eq!((&told["order"], &told["other_orders"]), (&json!("#1011"), &json!(["#1002"])));
    let told = desk.ask(RAVI, "order_status", json!({ "order_number": "1002" })).await.unwrap();
    assert_eq!((&told["state"], &told["courier"]), (&json!("on its way"), &json!("Delhivery")));
    assert!(told["last_event"].as_str().unwrap().starts_with("on its way in Nagpur on "), "{told}");
    assert!(told["expected"].is_string() && told["payment"] == "paid", "{told}");

    // A guest's number is on the parcel: it cannot be searched for, but it opens the order that is named.
    assert!(refusal(desk.ask(FARIDA, "order_status", json!({})).await).contains("order number"));
    let told = desk.ask(FARIDA, "order_status", json!({ "order_number": "1008" })).await.unwrap();
    assert_eq!(told["payment"], "cash on delivery, ₹1,396 due");
    assert_eq!(sim.violations(), Vec::<String>::new());
}

#[actix_rt::test]
async fn an_order_of_somebody_else_is_as_unknown_as_one_that_is_not_there() {
    let sim = open(Faults::default()).await;
    let desk = desk_at(&sim, 5000);
    let mut refusals = Vec::new();
    for number in ["1002", "1999", "0950"] {
        let other = json!({ "order_number": number });
        refusals.push(refusal(desk.ask(MEERA_NAIR, "order_status", other.clone()).await));
        refusals.push(refusal(desk.plan(MEERA_NAIR, "cancel_order", other).await));
    }
    refusals.dedup();
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    let facts = json!({ "order_number": "1002", "email": "Ravi.Kumar@example.in", "pin_code": "500 081" });
    let told = desk.ask(None, "order_status", facts.clone()).await.unwrap();
    assert_eq!(told["order"], "#1002", "two facts that fit open it, also for a number that is withheld");
    let change = refusal(desk.plan(None, "cancel_order", facts).await);
    assert!(change.contains("only from the phone number"), "but change nothing: {change}");
    assert_eq!(attempts(&sim, "orderCancel"), 0);
}

#[actix_rt::test]
async fn an_order_is_cancelled_once_and_its_money_goes_back() {
    let sim = open(Faults::default()).await;
    let desk = desk_at(&sim, 5000);
    let one = json!({ "order_number": "1001", "reason": "ordered twice" });
    let plan = desk.plan(ASHA, "cancel_order", one.clone()).await.unwrap();
    assert_eq!(plan["cancel_order"]["refund"], "₹2,077 goes back the way it was paid");
    assert_eq!(attempts(&sim, "orderCancel"), 0, "a plan does nothing");
    let done = desk.ask(ASHA, "cancel_order", one.clone()).await.unwrap();
    assert_eq!(done["refund"], "₹2,077 goes back the way it was paid");
    let order = sim.order("#1001").unwrap();
    assert!(order["cancelledAt"].is_string() && order["cancelReason"] == "CUSTOMER", "{order}");
    assert_eq!(sim.state()["refunds"].as_array().unwrap().len(), 1);

    let again = desk.attempt(2, ASHA, "cancel_order", one.clone()).await.unwrap();
    let anew = desk.ask(ASHA, "cancel_order", one).await.unwrap();
    assert_eq!((&again["cancelled"], &anew["cancelled"]), (&json!(true), &json!(true)));
    assert_eq!(again["refund"], "the money goes back the way it was paid");
    assert_eq!((sim.effects_of("orderCancel"), attempts(&sim, "orderCancel")), (1, 1));

    let cash = desk.ask(SOURAV, "cancel_order", json!({ "order_number": "1007" })).await.unwrap();
    assert_eq!(cash["refund"], "nothing was paid, so nothing goes back");
    assert_eq!(sim.violations(), Vec::<String>::new());
}

#[actix_rt::test]
async fn what_cannot_be_cancelled_stays_as_it_is() {
    let sim = open(Faults::default()).await;
    // The shop itself would cancel what is on its way: nobody but the client looks first.
    for (caller, number, limit, why) in [
        (RAVI, "1002", 5000, "on its way"),
        (MEERA_NAIR, "1012", 5000, "being packed"),
        (GURPREET, "1010", 5000, "worth"),
        (GURPREET, "1005", 5000, "cancelled already"),
        (GURPREET, "1010", 20_000, "only reserved"),
    ] {
        let desk = desk_at(&sim, limit);
        let one = json!({ "order_number": number });
        let told = refusal(desk.plan(caller, "cancel_order", one).await);
        assert!(told.contains(why), "{number}: {told}");
    }
    assert_eq!((attempts(&sim, "orderCancel"), sim.effects_of("orderCancel")), (0, 0));
}

#[actix_rt::test]
async fn what_was_refunded_is_told_to_whose_order_it_is() {
    let sim = open(Faults::default()).await;
    let desk = desk_at(&sim, 5000);
    let one = json!({ "order_number": "1001" });
    assert_eq!(desk.ask(ASHA, "refund_status", one.clone()).await.unwrap()["refunds"], json!([]));
    desk.ask(ASHA, "cancel_order", one.clone()).await.unwrap();
    desk.shop.changed(ClientId(Uuid::nil()), About::Orders);
    let told = desk.ask(ASHA, "refund_status", one.clone()).await.unwrap();
    assert_eq!((&told["payment"], &told["refunds"][0]["amount"]), (&json!("refunded"), &json!("₹2,077")), "{told}");
    assert!(told["refunds"][0]["state"].as_str().unwrap().starts_with("the shop has sent it"), "{told}");
    assert!(refusal(desk.ask(RAVI, "refund_status", one).await).starts_with("no such order"));
    assert_eq!((sim.effects_of("refundCreate"), sim.violations()), (0, vec![]));
}

/// A change, who asks for it, its mutation and what says that it was done.
fn changes() -> [(&'static str, Option<&'static str>, Value, &'static str, &'static str); 4] {
    let to = json!({ "order_number": "1001", "address1": "9 Khan Market", "city": "New Delhi", "zip": "110003" });
    [
        ("cancel_order", ASHA, json!({ "order_number": "1001" }), "orderCancel", "cancelled"),
        ("change_address", ASHA, to, "orderUpdate", "changed"),
        ("start_return", IMRAN, json!({ "order_number": "1004" }), "returnRequest", "return_asked_for"),
        (
            "draft_order",
            ASHA,
            json!({ "items": [{ "product": "blue pottery mug", "quantity": 2 }] }),
            "draftOrderCreate",
            "noted",
        ),
    ]
}

/// What a gateway, a dead line and a broken one do with the answer.
#[actix_rt::test]
async fn a_change_whose_answer_is_lost_takes_effect_once() {
    let lost = [Lose::BadGateway, Lose::Hang, Lose::Cut];
    let all = lost.into_iter().flat_map(|lose| changes().map(|change| (lose, change)));
    join_all(all.map(|(lose_how, (name, caller, arguments, mutation, done))| async move {
        // A draft is looked for by its tag, in a search that is behind.
        let search_lag_ms = if name == "draft_order" { 1200 } else { 0 };
        let sim = open(Faults { lose_next: 1, lose_how, search_lag_ms, ..Faults::default() }).await;
        let desk = desk_at(&sim, 5000);
        let told = desk.ask(caller, name, arguments.clone()).await;
        let told = told.unwrap_or_else(|error| panic!("{name} {lose_how:?}: {error}, {}", sim.state()["attempts"]));
        assert_eq!(told[done], true, "{name} {lose_how:?}: {told}");
        let again = desk.attempt(2, caller, name, arguments).await.unwrap();
        assert_eq!(again[done], true, "{name} {lose_how:?}, asked again: {again}");
        assert_eq!((sim.effects_of(mutation), attempts(&sim, mutation)), (1, 1), "{name} {lose_how:?}");
    }))
    .await;
}

#[actix_rt::test]
async fn a_change_that_is_throttled_is_tried_again_and_done_once() {
    for throttle_as_429 in [false, true] {
        for (name, caller, arguments, mutation, done) in changes() {
            let sim = open(Faults::default()).await;
            let desk = desk_at(&sim, 5000);
            desk.plan(caller, name, arguments.clone()).await.unwrap();
            // Of the order, the change and what is read after it: every second request is refused.
            sim.set_faults(Faults { throttle_every: 2, throttle_as_429, ..Faults::default() });
            let told = desk.ask(caller, name, arguments).await;
            assert_eq!(told.unwrap()[done], true, "{name} {throttle_as_429}");
            assert_eq!(sim.effects_of(mutation), 1, "{name} {throttle_as_429}");
        }
    }
}

#[actix_rt::test]
async fn an_empty_bucket_is_waited_for_and_not_knocked_at() {
    let sim = open_with(SimOptions { restore_per_second: 200, ..SimOptions::sandbox().unwrap() }).await;
    let desk = desk_at(&sim, 5000);
    desk.ask(ASHA, "order_status", json!({})).await.unwrap();
    sim.set_points(1);
    desk.shop.changed(ClientId(Uuid::nil()), About::Orders);
    let told = desk.ask(ASHA, "order_status", json!({})).await.unwrap();
    assert_eq!(told["order"], "#1017");
    let state = sim.state();
    assert_eq!((&state["throttled"], &state["requests"]), (&json!(1), &json!(3)), "asked again when there were points");
}

#[actix_rt::test]
async fn an_order_is_sent_elsewhere_and_nothing_of_its_address_is_forgotten() {
    let sim = open(Faults::default()).await;
    let desk = desk_at(&sim, 5000);
    let before = sim.order("#1001").unwrap()["shippingAddress"].clone();
    let to = json!({ "order_number": "1001", "address1": "9 Khan Market", "city": "New Delhi", "zip": "110003" });
    let plan = desk.plan(ASHA, "change_address", to.clone()).await.unwrap();
    assert_eq!(plan["change_address"]["to"], "9 Khan Market, New Delhi, DL, 110003");
    assert_eq!(sim.order("#1001").unwrap()["shippingAddress"], before);
    desk.ask(ASHA, "change_address", to.clone()).await.unwrap();
    let after = sim.order("#1001").unwrap()["shippingAddress"].clone();
    let told =
        ["address1", "city", "zip", "provinceCode", "firstName", "lastName", "phone"].map(|field| after[field].clone());
    assert_eq!(told, ["9 Khan Market", "New Delhi", "110003", "DL", "Asha", "Verma", ASHA.unwrap()].map(Value::from));
    assert!(refusal(desk.plan(ASHA, "change_address", to).await).contains("already"));
    let other = json!({ "order_number": "1001", "name": "Rohan Verma" });
    let plan = desk.plan(ASHA, "change_address", other.clone()).await.unwrap();
    assert_eq!(plan["change_address"]["name"], "Rohan Verma", "{plan}");
    desk.ask(ASHA, "change_address", other.clone()).await.unwrap();
    let last = sim.order("#1001").unwrap()["shippingAddress"].clone();
    assert_eq!(
        (&last["firstName"], &last["address1"], &last["zip"]),
        (&json!("Rohan"), &after["address1"], &after["zip"])
    );
    assert!(refusal(desk.plan(ASHA, "change_address", other).await).contains("already"));
    let sent = json!({ "order_number": "1002", "address1": "1 Road", "city": "Hyderabad", "zip": "500001" });
    assert!(refusal(desk.plan(RAVI, "change_address", sent).await).contains("on its way"));
    assert_eq!((sim.effects_of("orderUpdate"), sim.violations()), (2, vec![]));
}

#[actix_rt::test]
async fn what_was_delivered_is_asked_back_once() {
    let sim = open(Faults::default()).await;
    let desk = desk_at(&sim, 5000);
    let shoes = json!({ "order_number": "1004", "items": ["mojari"], "reason": "too_small" });
    let plan = desk.plan(IMRAN, "start_return", shoes.clone()).await.unwrap();
    assert_eq!(plan["start_return"]["items"], json!(["1 × Mojari Leather Shoes (8)"]));
    assert_eq!(attempts(&sim, "returnRequest"), 0);
    desk.ask(IMRAN, "start_return", shoes.clone()).await.unwrap();
    let order = sim.order("#1004").unwrap();
    assert_eq!(order["returnStatus"], "RETURN_REQUESTED");
    assert_eq!(order["returns"].as_array().unwrap().len(), 1, "{order}");
    assert!(refusal(desk.plan(IMRAN, "start_return", shoes).await).contains("asked for already"));
    let fresh = refusal(desk.plan(ASHA, "start_return", json!({ "order_number": "1001" })).await);
    assert!(fresh.contains("nothing to take back"), "{fresh}");
    assert_eq!((sim.effects_of("returnRequest"), sim.violations()), (1, vec![]));
}

#[actix_rt::test]
async fn goods_are_found_and_an_order_is_noted_for_them() {
    let sim = open(Faults::default()).await;
    let desk = desk_at(&sim, 5000);
    let found = desk.ask(None, "find_products", json!({ "words": "indigo KURTA" })).await.unwrap();
    let variant = |title: &str, available: bool| json!({ "price": "₹1,299", "available": available, "variant": title });
    assert_eq!(found["products"][0]["product"], "Indigo Cotton Kurta");
    assert_eq!(found["products"][0]["variants"], json!([variant("S", true), variant("M", true), variant("L", false)]));
    // Not counted, not for sale, sold beyond the stock.
    for (words, available) in [("gift wrapping", Some(true)), ("diwali", None), ("kolhapuri", Some(true))] {
        let found = desk.ask(None, "find_products", json!({ "words": words })).await.unwrap();
        assert_eq!(found["products"][0]["variants"][0]["available"].as_bool(), available, "{words}");
    }
    let item =
        |product: &str, variant: &str| json!({ "items": [{ "product": product, "variant": variant, "quantity": 2 }] });
    for (arguments, why) in [
        (item("indigo cotton kurta", ""), "which Indigo Cotton Kurta? There are: S, M, L"),
        (item("indigo cotton kurta", "L"), "out of stock"),
        (item("flying carpet", ""), "nothing called flying carpet"),
    ] {
        let told = refusal(desk.plan(ASHA, "draft_order", arguments).await);
        assert!(told.contains(why), "{told}");
    }
    let two = item("indigo cotton kurta", "m");
    let plan = desk.plan(ASHA, "draft_order", two.clone()).await.unwrap();
    assert_eq!(plan["draft_order"]["items"], json!(["2 × Indigo Cotton Kurta (M), ₹2,598"]));
    let noted = desk.ask(ASHA, "draft_order", two).await.unwrap();
    assert_eq!(noted["noted"], true);
    let state = sim.state();
    let draft = &state["draftOrders"][0];
    assert_eq!((&draft["phone"], &draft["status"]), (&json!(ASHA), &json!("OPEN")), "{draft}");
    assert_eq!((sim.effects_of("draftOrderCreate"), sim.violations()), (1, vec![]));
}

/// What an operator has to mend is told to the operator, and to the caller only that it is so.
#[actix_rt::test]
async fn a_shop_that_may_not_be_asked_is_told_to_whoever_can_mend_it() {
    let sandbox = || SimOptions::sandbox().unwrap();
    let refuses = |refuse_status| SimOptions { faults: Faults { refuse_status, ..Faults::default() }, ..sandbox() };
    let without = |scope: &str| {
        let scopes = sandbox().scopes.into_iter().filter(|one| !one.ends_with(scope)).collect();
        SimOptions { scopes, ..sandbox() }
    };
    for (options, why) in [
        (refuses(401), Denied::Token),
        (refuses(402), Denied::Frozen),
        (refuses(403), Denied::Scope),
        (refuses(404), Denied::NoShop),
        (refuses(423), Denied::Locked),
        (refuses(430), Denied::Security),
        (without("_orders"), Denied::Scope),
        (without("_customers"), Denied::Scope),
        (SimOptions { protected_data: false, ..sandbox() }, Denied::Scope),
    ] {
        let sim = open_with(options).await;
        let desk = desk_at(&sim, 5000);
        let credentials =
            || Credentials { domain: "rangrez-sim.myshopify.com".to_owned(), token: TOKEN.to_owned().into() };
        assert_eq!(desk.shop.try_shop(credentials()).await, Err(Fault::Denied(why)));
        let told = refusal(desk.ask(ASHA, "order_status", json!({})).await);
        assert!(told.contains("cannot be looked up right now: offer a person"), "{why:?}: {told}");
    }
    let sim = open(Faults::default()).await;
    let desk = desk_at(&sim, 5000);
    let credentials =
        |token: &str| Credentials { domain: "rangrez-sim.myshopify.com".to_owned(), token: token.to_owned().into() };
    assert_eq!(desk.shop.try_shop(credentials("shpat_of_somebody")).await, Err(Fault::Denied(Denied::Token)));
    let works = desk.shop.try_shop(credentials(TOKEN)).await;
    assert_eq!(works, Ok(("Rangrez Studio".to_owned(), "INR".to_owned())));
}

/// What nobody can find out now is asked again later: it must not be told as if nothing had happened.
#[actix_rt::test]
async fn an_outcome_that_cannot_be_asked_for_stays_unknown() {
    let failing = Faults { fail_next: 1000, ..Faults::default() };
    let refusing = Faults { refuse_status: 401, ..Faults::default() };
    join_all([failing, refusing].into_iter().flat_map(|faults| changes().map(|change| (faults.clone(), change))).map(
        |(faults, (name, caller, arguments, mutation, done))| async move {
            let sim = open(Faults::default()).await;
            let desk = desk_at(&sim, 5000);
            desk.ask(caller, name, arguments.clone()).await.unwrap();
            sim.set_faults(faults);
            desk.shop.changed(ClientId(Uuid::nil()), About::Orders);
            let told = desk.attempt(2, caller, name, arguments.clone()).await;
            assert!(matches!(told, Err(ActionError::Unknown(_))), "{name}: {told:?}");
            sim.set_faults(Faults::default());
            // By somebody who has not been refused so often that the shop is left alone.
            let told = desk_at(&sim, 5000).attempt(2, caller, name, arguments).await.unwrap();
            assert_eq!(told[done], true, "{name}");
            assert_eq!((sim.effects_of(mutation), attempts(&sim, mutation)), (1, 1), "{name}");
        },
    ))
    .await;
}
