//! Changes that are taken back, against the simulated shop.

use super::simulated::{ASHA, IMRAN, attempts, desk_at, open};
use super::*;
use crate::sim::shopify::{Faults, Lose};
use caly_actors::ports::Undo;

impl Desk {
    async fn undoable(&self, caller: Option<&str>, name: &str, arguments: Value) -> Undo {
        self.ask(caller, name, arguments).await.unwrap();
        self.undo.lock().unwrap().take().unwrap()
    }

    async fn undo(&self, caller: Option<&str>, undo: &Undo) -> Result<Value, ActionError> {
        self.plan(caller, &undo.tool, undo.arguments.clone()).await?;
        self.ask(caller, &undo.tool, undo.arguments.clone()).await
    }
}

/// As the shop's people do it.
async fn complete(url: &str, draft: &Value) {
    let text = "mutation($id: ID!) { draftOrderComplete(id: $id) { userErrors { message } } }";
    let asked = Outbound::new(None).unwrap().client().post(format!("{url}/admin/api/2026-10/graphql.json"));
    let asked = asked.insert_header(("X-Shopify-Access-Token", TOKEN));
    let told =
        asked.send_json(&json!({ "query": text, "variables": { "id": draft } })).await.unwrap().body().await.unwrap();
    let told: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(told["data"]["draftOrderComplete"]["userErrors"], json!([]), "{told}");
}

fn to(street: &str) -> Value {
    json!({ "order_number": "1001", "address1": street, "city": "New Delhi", "zip": "110003" })
}

#[actix_rt::test]
async fn an_order_goes_to_its_former_address_again_unless_it_was_changed_or_sent_since() {
    let sim = open(Faults::default()).await;
    let desk = desk_at(&sim, 5000);
    let address = || sim.order("#1001").unwrap()["shippingAddress"].clone();
    let before = address();
    let undo = desk.undoable(ASHA, "change_address", to("9 Khan Market")).await;
    assert_ne!(address(), before);
    assert_eq!(desk.undo(ASHA, &undo).await.unwrap()["changed"], true);
    assert_eq!(address(), before, "all of it, the second line and the number too");
    assert!(desk.undo(IMRAN, &undo).await.is_err(), "somebody else's");

    let undo = desk.undoable(ASHA, "change_address", to("9 Khan Market")).await;
    desk.undoable(ASHA, "change_address", to("4 Lodhi Road")).await;
    assert!(refusal(desk.undo(ASHA, &undo).await).contains("changed again since"));

    let undo = desk.undoable(ASHA, "change_address", to("9 Khan Market")).await;
    sim.ship("#1001", "IN_TRANSIT", None).unwrap();
    assert!(refusal(desk.undo(ASHA, &undo).await).contains("cannot be changed any more"));
    assert_eq!(sim.violations(), Vec::<String>::new());
}

#[actix_rt::test]
async fn a_draft_is_taken_away_once_and_not_when_it_is_an_order() {
    let sim = open(Faults::default()).await;
    let desk = desk_at(&sim, 5000);
    let mugs = json!({ "items": [{ "product": "blue pottery mug", "quantity": 2 }] });
    let undo = desk.undoable(ASHA, "draft_order", mugs.clone()).await;
    assert_eq!(&*undo.tool, "delete_draft_order");
    let plan = desk.plan(ASHA, &undo.tool, undo.arguments.clone()).await.unwrap();
    assert_eq!(plan, json!({ "delete_draft_order": { "draft": "#D1" } }));
    for _ in 0..2 {
        assert_eq!(desk.ask(ASHA, &undo.tool, undo.arguments.clone()).await.unwrap()["undone"], true);
    }
    assert_eq!(desk.attempt(2, ASHA, &undo.tool, undo.arguments.clone()).await.unwrap()["undone"], true);
    assert_eq!((sim.state()["draftOrders"].clone(), attempts(&sim, "draftOrderDelete")), (json!([]), 1));
    assert!(refusal(desk.undo(ASHA, &undo).await).contains("undone already"));

    let undo = desk.undoable(ASHA, "draft_order", mugs).await;
    let id = sim.state()["draftOrders"][0]["id"].clone();
    complete(&sim.url, &id).await;
    assert!(refusal(desk.undo(ASHA, &undo).await).contains("become an order"));
    assert_eq!(sim.violations(), Vec::<String>::new());
}

#[actix_rt::test]
async fn a_return_is_taken_back_while_the_shop_has_not_looked_at_it() {
    let sim = open(Faults::default()).await;
    let desk = desk_at(&sim, 5000);
    let shoes = json!({ "order_number": "1004", "items": ["mojari"] });
    let undo = desk.undoable(IMRAN, "start_return", shoes.clone()).await;
    assert_eq!(&*undo.tool, "cancel_return");
    assert_eq!(desk.undo(IMRAN, &undo).await.unwrap()["undone"], true);
    assert_eq!(sim.order("#1004").unwrap()["returnStatus"], "NO_RETURN");
    assert!(refusal(desk.undo(IMRAN, &undo).await).contains("undone already"));
    // And may be asked for anew.
    desk.undoable(IMRAN, "start_return", shoes).await;
    assert_eq!((sim.effects_of("returnCancel"), sim.effects_of("returnRequest"), sim.violations()), (1, 2, vec![]));
}

#[actix_rt::test]
async fn what_undoes_is_done_once_also_when_its_answer_is_lost() {
    let mugs = json!({ "items": [{ "product": "blue pottery mug", "quantity": 2 }] });
    for (name, caller, arguments, mutation) in [
        ("draft_order", ASHA, mugs, "draftOrderDelete"),
        ("start_return", IMRAN, json!({ "order_number": "1004" }), "returnCancel"),
        ("change_address", ASHA, to("9 Khan Market"), "orderUpdate"),
    ] {
        let sim = open(Faults::default()).await;
        let desk = desk_at(&sim, 5000);
        let undo = desk.undoable(caller, name, arguments).await;
        let before = attempts(&sim, mutation);
        sim.set_faults(Faults { lose_next: 1, lose_how: Lose::Cut, ..Faults::default() });
        let told = desk.ask(caller, &undo.tool, undo.arguments.clone()).await;
        assert!(told.is_ok(), "{name}: {told:?}");
        let again = desk.attempt(2, caller, &undo.tool, undo.arguments.clone()).await;
        assert!(again.is_ok(), "{name}: {again:?}");
        assert_eq!(attempts(&sim, mutation) - before, 1, "{name}");
    }
}
