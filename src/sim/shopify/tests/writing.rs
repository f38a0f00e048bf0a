//! Mutations: what they change, what they refuse, and that each effect is counted once.

use super::super::Lose;
use super::super::shipping::{self, News};
use super::*;

const CANCEL: &str = "mutation($id: ID!, $m: OrderCancelRefundMethodInput) {
    orderCancel(orderId: $id, reason: CUSTOMER, restock: true, refundMethod: $m, notifyCustomer: false) {
        job { id done } orderCancelUserErrors { field message code } userErrors { field message } } }";
const JOB: &str = "query($id: ID!) { job(id: $id) { done } }";
const ORDER: &str = "query($id: ID!) { order(id: $id) { cancelledAt cancelReason displayFinancialStatus
    totalRefundedSet { shopMoney { amount } } currentTotalPriceSet { shopMoney { amount } } } }";
const REFUND: &str = "mutation($i: RefundInput!, $k: String!) { refundCreate(input: $i) @idempotent(key: $k) {
    order { id displayFinancialStatus } refund { id totalRefundedSet { shopMoney { amount } } } userErrors { field message } } }";

fn cancel(bench: &mut Bench, number: u64) -> Value {
    let method = json!({"originalPaymentMethodsRefund": true});
    bench.data(CANCEL, json!({"id": order_id(number), "m": method}))["orderCancel"].clone()
}

fn stock(bench: &mut Bench, sku: &str) -> i64 {
    let query = "query($q: String) { productVariants(first: 1, query: $q) { nodes { inventoryQuantity } } }";
    bench.data(query, json!({"q": format!("sku:{sku}")}))["productVariants"]["nodes"][0]["inventoryQuantity"]
        .as_i64()
        .unwrap()
}

#[test]
fn a_cancellation_is_done_after_two_polls_pays_back_and_happens_once() {
    let mut bench = Bench::new();
    let before = stock(&mut bench, "MUG-BLU");
    let accepted = cancel(&mut bench, 1001);
    let job = json!({"id": accepted["job"]["id"]});
    assert_eq!((&accepted["job"]["done"], &accepted["orderCancelUserErrors"]), (&json!(false), &json!([])));
    assert_eq!(cancel(&mut bench, 1001)["orderCancelUserErrors"][0]["code"], "INVALID");
    let polls: Vec<Value> = (0..3)
        .map(|poll| {
            let order = bench.data(ORDER, json!({"id": order_id(1001)}))["order"].clone();
            assert!(order["cancelledAt"].is_null(), "poll {poll}");
            bench.data(JOB, job.clone())["job"]["done"].clone()
        })
        .collect();
    assert_eq!(polls, [json!(false), json!(false), json!(true)]);
    let order = bench.data(ORDER, json!({"id": order_id(1001)}))["order"].clone();
    assert!(order["cancelledAt"].is_string());
    assert_eq!((&order["cancelReason"], &order["displayFinancialStatus"]), (&json!("CUSTOMER"), &json!("REFUNDED")));
    assert_eq!(order["totalRefundedSet"]["shopMoney"]["amount"], "2077.0");
    assert_eq!(order["currentTotalPriceSet"]["shopMoney"]["amount"], "0.0");
    assert_eq!(stock(&mut bench, "MUG-BLU"), before + 2);
    assert_eq!(bench.topics(), ["orders/cancelled", "orders/updated", "refunds/create"]);
    assert_eq!(cancel(&mut bench, 1001)["orderCancelUserErrors"][0]["message"], "Order has already been cancelled");
    let id = order_id(1001);
    let counts = (&bench.world.shop.counts, &bench.world.shop.attempts);
    assert_eq!((counts.0[&("orderCancel", id.clone())], counts.1[&("orderCancel", id)]), (1, 3));
}

#[test]
fn a_job_that_nobody_polls_is_done_all_the_same() {
    let mut bench = Bench::with(Faults { job_polls: 50, ..Faults::default() });
    cancel(&mut bench, 1007);
    bench.wait(9_000);
    assert!(bench.data(ORDER, json!({"id": order_id(1007)}))["order"]["cancelledAt"].is_null());
    bench.wait(2_000);
    let order = bench.data(ORDER, json!({"id": order_id(1007)}))["order"].clone();
    assert_eq!((order["cancelledAt"].is_string(), &order["displayFinancialStatus"]), (true, &json!("VOIDED")));
}

#[test]
fn a_cancellation_is_refused_where_the_conditions_are_not_met() {
    let mut bench = Bench::new();
    for (number, code, message) in [
        (1005, "INVALID", "already been cancelled"),
        (1006, "INVALID", "outstanding fulfillments"),
        (1010, "INVALID", "pending payment authorization"),
        (1012, "INVALID", "outstanding fulfillments"),
        (4711, "NOT_FOUND", "does not exist"),
        (950, "NOT_FOUND", "does not exist"),
    ] {
        let told = cancel(&mut bench, number);
        assert_eq!((&told["job"], &told["orderCancelUserErrors"][0]["code"]), (&Value::Null, &json!(code)), "{number}");
        assert!(told["userErrors"][0]["message"].as_str().unwrap().contains(message), "{number}: {told}");
    }
    let bare = bench.data(CANCEL, json!({"id": order_id(1001), "m": null}));
    assert_eq!(bare["orderCancel"]["orderCancelUserErrors"][0]["field"], json!(["refundMethod"]));
    assert_eq!(bench.effects("orderCancel"), 0);
    // Reported of the real shop: a wholly shipped order is cancelled, so whoever asks has to look first.
    assert!(cancel(&mut bench, 1004)["job"]["id"].is_string());
}

#[test]
fn a_refund_needs_a_key_and_the_same_key_gives_the_same_answer() {
    let mut bench = Bench::new();
    let suggest = "query($id: ID!) { order(id: $id) { suggestedRefund(suggestFullRefund: true) { amountSet { shopMoney { amount } }
        suggestedTransactions { gateway kind amountSet { shopMoney { amount } } parentTransaction { id } } } } }";
    let suggested = bench.data(suggest, json!({"id": order_id(1001)}))["order"]["suggestedRefund"].clone();
    assert_eq!(suggested["amountSet"]["shopMoney"]["amount"], "2077.0");
    let one = &suggested["suggestedTransactions"][0];
    assert_eq!(one["kind"], "SUGGESTED_REFUND");
    let input = |amount: &str| {
        json!({"orderId": order_id(1001), "note": "late", "transactions": [{"orderId": order_id(1001),
            "gateway": one["gateway"], "kind": "REFUND", "amount": amount, "parentId": one["parentTransaction"]["id"]}]})
    };
    let bare = "mutation($i: RefundInput!) { refundCreate(input: $i) { refund { id } userErrors { message } } }";
    let answer = bench.ask(bare, json!({"i": input("100.00")}));
    assert_eq!((code(&answer), &answer["data"]["refundCreate"]), ("BAD_REQUEST", &Value::Null));
    assert!(answer["errors"][0]["message"].as_str().unwrap().contains("@idempotent directive is required"));
    let first = bench.data(REFUND, json!({"i": input("100.00"), "k": "k-1"}))["refundCreate"].clone();
    assert_eq!(
        (&first["userErrors"], &first["order"]["displayFinancialStatus"]),
        (&json!([]), &json!("PARTIALLY_REFUNDED"))
    );
    assert_eq!(bench.data(REFUND, json!({"i": input("100.00"), "k": "k-1"}))["refundCreate"], first);
    assert_eq!(bench.effects("refundCreate"), 1);
    let other = bench.data(REFUND, json!({"i": input("200.00"), "k": "k-1"}))["refundCreate"].clone();
    assert_eq!(
        other["userErrors"][0]["message"],
        "The same idempotency key cannot be used with different operation parameters."
    );
    let rest = bench.data(REFUND, json!({"i": input("1977.00"), "k": "k-2"}))["refundCreate"].clone();
    assert_eq!(rest["order"]["displayFinancialStatus"], "REFUNDED");
    let over = bench.data(REFUND, json!({"i": input("0.01"), "k": "k-3"}))["refundCreate"].clone();
    assert_eq!((&over["refund"], &over["userErrors"][0]["field"]), (&Value::Null, &json!(["transactions"])));
    assert_eq!(bench.effects("refundCreate"), 2);
    bench.version = "2026-01";
    assert!(bench.ask(bare, json!({"i": input("0.01")})).get("errors").is_none(), "before 2026-04 no key is needed");
}

#[test]
fn a_refund_is_refused_where_it_does_not_fit_the_order() {
    let mut bench = Bench::new();
    let query = "query($id: ID!) { order(id: $id) { lineItems(first: 5) { nodes { id } } transactions { id } } }";
    let order = bench.data(query, json!({"id": order_id(1001)}))["order"].clone();
    let (line, sale) = (order["lineItems"]["nodes"][1]["id"].clone(), order["transactions"][0]["id"].clone());
    let paid = |kind: &str, parent: &Value, gateway: &str| {
        json!({"transactions": [{"orderId": order_id(1001),
        "gateway": gateway, "kind": kind, "amount": "1.00", "parentId": parent}]})
    };
    let lines = |quantity: i64, restock: &str| json!({"refundLineItems": [{"lineItemId": line, "quantity": quantity, "restockType": restock}]});
    let rows = [
        (lines(3, "NO_RESTOCK"), "Quantity cannot refund more items than were purchased"),
        (lines(1, "RETURN"), "Location must be present"),
        (
            json!({"refundLineItems": [{"lineItemId": "gid://shopify/LineItem/1", "quantity": 1}]}),
            "does not belong to the order",
        ),
        (json!({"shipping": {"amount": "80.01"}}), "exceeds the refundable shipping"),
        (json!({}), "at least one line item"),
        (json!({"currency": "USD"}), "Currency does not match"),
        (
            json!({"refundMethods": [{"storeCreditRefund": {"amount": {"amount": "1.0", "currencyCode": "INR"}}}]}),
            "Store credit",
        ),
        (paid("SALE", &sale, "razorpay"), "Kind must be refund"),
        (paid("REFUND", &json!(null), "razorpay"), "Parent transaction must be"),
        (paid("REFUND", &sale, "paypal"), "Gateway does not match"),
    ];
    for (at, (mut input, message)) in rows.into_iter().enumerate() {
        input["orderId"] = json!(order_id(1001));
        let told = bench.data(REFUND, json!({"i": input, "k": format!("k-{at}")}))["refundCreate"].clone();
        assert!(told["userErrors"][0]["message"].as_str().unwrap().contains(message), "{input}: {told}");
    }
    assert_eq!(bench.effects("refundCreate"), 0);
    // Without a transaction the items are taken back and no money moves.
    let mut input = lines(1, "CANCEL");
    input["orderId"] = json!(order_id(1001));
    let told = bench.data(REFUND, json!({"i": input, "k": "last"}))["refundCreate"].clone();
    assert_eq!(told["refund"]["totalRefundedSet"]["shopMoney"]["amount"], "0.0");
    assert_eq!(told["order"]["displayFinancialStatus"], "PAID");
}

#[test]
fn an_address_is_replaced_whole_and_tags_too_unless_they_are_added() {
    let mut bench = Bench::new();
    let update = "mutation($i: OrderInput!) { orderUpdate(input: $i) { order { tags email shippingAddress { address1 city zip phone } }
        userErrors { field message } } }";
    let change = |mut more: Value| {
        more["id"] = json!(order_id(1019));
        json!({"i": more})
    };
    let sent = change(
        json!({"shippingAddress": {"address1": "1, MG Road", "city": "Kochi", "countryCode": "IN", "provinceCode": "KL", "zip": "682016"}, "tags": ["new"]}),
    );
    let order = bench.data(update, sent)["orderUpdate"]["order"].clone();
    assert_eq!(
        order["shippingAddress"],
        json!({"address1": "1, MG Road", "city": "Kochi", "zip": "682016", "phone": null})
    );
    assert_eq!((&order["tags"], &order["email"]), (&json!(["new"]), &json!("meera.nair@example.in")));
    assert_eq!(bench.topics(), ["orders/updated"]);
    for (wrong, field) in [
        (json!({"shippingAddress": {"countryCode": "IN", "zip": "68201"}}), json!(["shippingAddress", "zip"])),
        (
            json!({"shippingAddress": {"countryCode": "IN", "provinceCode": "XX"}}),
            json!(["shippingAddress", "province"]),
        ),
        (json!({"email": "nobody"}), json!(["email"])),
        (json!({"phone": "98765"}), json!(["phone"])),
    ] {
        let told = bench.data(update, change(wrong))["orderUpdate"].clone();
        assert_eq!((&told["order"], &told["userErrors"][0]["field"]), (&Value::Null, &field));
    }
    let add = "mutation($id: ID!, $t: [String!]!) { tagsAdd(id: $id, tags: $t) { node { id ... on Order { tags } } userErrors { message } } }";
    let added = bench.data(add, json!({"id": order_id(1019), "t": ["NEW", " gift ", ""]}))["tagsAdd"].clone();
    assert_eq!(added["node"]["tags"], json!(["new", "gift"]));
    let none = bench.data(add, json!({"id": order_id(4711), "t": ["x"]}))["tagsAdd"].clone();
    assert_eq!((&none["node"], none["userErrors"].as_array().unwrap().len()), (&Value::Null, 1));
    assert_eq!((bench.effects("orderUpdate"), bench.effects("tagsAdd")), (1, 1));
}

#[test]
fn a_draft_is_found_by_its_tag_once_the_index_has_caught_up_and_becomes_an_order() {
    let mut bench = Bench::with(Faults { search_lag_ms: 3000, ..Faults::default() });
    let create =
        "mutation($i: DraftOrderInput!) { draftOrderCreate(input: $i) { draftOrder { id name status invoiceUrl email
        totalPriceSet { shopMoney { amount } } } userErrors { field message } } }";
    let input = json!({"lineItems": [{"variantId": "gid://shopify/ProductVariant/9002", "quantity": 2},
        {"title": "Alteration", "quantity": 1, "originalUnitPriceWithCurrency": {"amount": "150.00", "currencyCode": "INR"}}],
        "purchasingEntity": {"customerId": "gid://shopify/Customer/7001"}, "useCustomerDefaultAddress": true, "tags": ["call-77"]});
    let draft = bench.data(create, json!({"i": input}))["draftOrderCreate"]["draftOrder"].clone();
    assert_eq!(
        (&draft["status"], &draft["name"], &draft["email"]),
        (&json!("OPEN"), &json!("#D1"), &json!("asha.verma@example.in"))
    );
    assert_eq!(draft["totalPriceSet"]["shopMoney"]["amount"], "2748.0");
    let find = "{ draftOrders(first: 2, query: \"tag:call-77\") { nodes { id } } }";
    assert_eq!(bench.data(find, json!({}))["draftOrders"]["nodes"], json!([]), "the index is behind");
    let direct = "query($id: ID!) { draftOrder(id: $id) { tags order { name } } }";
    assert_eq!(bench.data(direct, json!({"id": draft["id"]}))["draftOrder"]["tags"], json!(["call-77"]));
    bench.wait(3001);
    assert_eq!(bench.data(find, json!({}))["draftOrders"]["nodes"], json!([{"id": draft["id"]}]));
    let send = "mutation($id: ID!) { draftOrderInvoiceSend(id: $id) { draftOrder { status } userErrors { message } } }";
    assert_eq!(
        bench.data(send, json!({"id": draft["id"]}))["draftOrderInvoiceSend"]["draftOrder"]["status"],
        "INVOICE_SENT"
    );
    let complete = "mutation($id: ID!) { draftOrderComplete(id: $id) { draftOrder { status order { name displayFinancialStatus } } userErrors { message } } }";
    let done = bench.data(complete, json!({"id": draft["id"]}))["draftOrderComplete"].clone();
    assert_eq!(done["draftOrder"]["order"], json!({"name": "#1020", "displayFinancialStatus": "PAID"}));
    let again = bench.data(complete, json!({"id": draft["id"]}))["draftOrderComplete"].clone();
    assert_eq!(again["userErrors"][0]["message"], "This order has been paid");
    assert!(!bench.names("").contains(&"#1020".to_owned()), "the index is behind");
    bench.wait(3001);
    assert!(bench.names("").contains(&"#1020".to_owned()));
    for wrong in [
        json!({}),
        json!({"lineItems": [{"quantity": 1}]}),
        json!({"lineItems": [{"variantId": "gid://shopify/ProductVariant/1", "quantity": 1}]}),
    ] {
        let told = bench.data(create, json!({"i": wrong}))["draftOrderCreate"].clone();
        assert!(told["draftOrder"].is_null() && told["userErrors"][0]["message"].is_string(), "{told}");
    }
    assert_eq!((bench.effects("draftOrderCreate"), bench.effects("draftOrderComplete")), (1, 1));
}

#[test]
fn only_what_was_shipped_is_returned_and_only_once() {
    let mut bench = Bench::new();
    let find = "query($id: ID!) { returnableFulfillments(orderId: $id, first: 5) { nodes { returnableFulfillmentLineItems(first: 5) {
        nodes { quantity fulfillmentLineItem { id } } } } } }";
    let items = |bench: &mut Bench, number| {
        let data = bench.data(find, json!({"id": order_id(number)}));
        data["returnableFulfillments"]["nodes"][0]["returnableFulfillmentLineItems"]["nodes"].clone()
    };
    let ask = "mutation($i: ReturnRequestInput!) { returnRequest(input: $i) { return { id name status totalQuantity } userErrors { field message code } } }";
    let line = items(&mut bench, 1004)[1]["fulfillmentLineItem"]["id"].clone();
    let input = |number: u64, quantity: i64, reason: &str| {
        json!({"i": {"orderId": order_id(number),
        "returnLineItems": [{"fulfillmentLineItemId": line, "quantity": quantity, "returnReason": reason}]}})
    };
    for (wrong, code) in [
        (input(1004, 3, "UNWANTED"), "INVALID"),
        (input(1004, 1, "OTHER"), "BLANK"),
        (input(1001, 1, "UNWANTED"), "NOT_FOUND"),
        (input(4711, 1, "UNWANTED"), "NOT_FOUND"),
    ] {
        assert_eq!(bench.data(ask, wrong)["returnRequest"]["userErrors"][0]["code"], code);
    }
    let made = bench.data(ask, input(1004, 2, "SIZE_TOO_SMALL"))["returnRequest"]["return"].clone();
    assert_eq!(
        (&made["status"], &made["name"], &made["totalQuantity"]),
        (&json!("REQUESTED"), &json!("#1004-R1"), &json!(2))
    );
    assert_eq!(items(&mut bench, 1004).as_array().unwrap().len(), 1);
    assert_eq!(bench.data(ask, input(1004, 1, "UNWANTED"))["returnRequest"]["userErrors"][0]["code"], "INVALID");
    let query =
        "query($id: ID!) { order(id: $id) { returnStatus returns(first: 2) { nodes { returnLineItems(first: 2) {
        nodes { returnReason ... on ReturnLineItem { fulfillmentLineItem { lineItem { sku } } } } } } } } }";
    let order = bench.data(query, json!({"id": order_id(1004)}))["order"].clone();
    assert_eq!(order["returnStatus"], "RETURN_REQUESTED");
    let line = &order["returns"]["nodes"][0]["returnLineItems"]["nodes"][0];
    assert_eq!(
        (&line["returnReason"], &line["fulfillmentLineItem"]["lineItem"]["sku"]),
        (&json!("SIZE_TOO_SMALL"), &json!("JHU-SIL"))
    );
    assert_eq!(
        cancel(&mut bench, 1004)["orderCancelUserErrors"][0]["message"],
        "Cannot cancel an order with active returns"
    );
}

#[test]
fn an_answer_is_lost_only_after_an_effect() {
    use super::super::world::Ending;
    for (how, status, ending) in [
        (Lose::BadGateway, 502, Ending::Answer),
        (Lose::Cut, 200, Ending::Cut),
        (Lose::Hang, 200, Ending::Hang(Duration::from_secs(5))),
    ] {
        let mut bench = Bench::with(Faults { lose_next: 1, lose_how: how, hang_ms: 5000, ..Faults::default() });
        let post = |bench: &mut Bench, id: String| {
            let variables = json!({"id": id, "m": {"originalPaymentMethodsRefund": false}});
            let reply = bench.post("t", &json!({"query": CANCEL, "variables": variables}).to_string());
            (reply.status, reply.ending)
        };
        assert_eq!(post(&mut bench, order_id(4711)), (200, Ending::Answer), "nothing took effect");
        assert_eq!(post(&mut bench, order_id(1001)), (status, ending));
        assert_eq!(bench.effects("orderCancel"), 1);
        assert_eq!(post(&mut bench, order_id(1001)), (200, Ending::Answer));
        assert_eq!(bench.effects("orderCancel"), 1);
    }
}

#[test]
fn a_parcel_moves_and_what_cannot_is_told() {
    let mut bench = Bench::new();
    let news = |status: &str| News { status: status.to_owned(), city: Some("Delhi".to_owned()), message: None };
    let now = bench.now;
    for status in ["CARRIER_PICKED_UP", "OUT_FOR_DELIVERY"] {
        shipping::advance(&mut bench.world.shop, "#1001", &news(status), now).unwrap();
    }
    assert_eq!(bench.topics(), ["fulfillments/create", "orders/updated", "fulfillments/update", "orders/updated"]);
    let query = "query($id: ID!) { order(id: $id) { displayFulfillmentStatus fulfillments { displayStatus events(first: 5) { nodes { status } }
        fulfillmentLineItems(first: 5) { nodes { id quantity } } } } }";
    let order = bench.data(query, json!({"id": order_id(1001)}))["order"].clone();
    assert_eq!(
        (&order["displayFulfillmentStatus"], &order["fulfillments"][0]["displayStatus"]),
        (&json!("FULFILLED"), &json!("OUT_FOR_DELIVERY"))
    );
    assert_eq!(order["fulfillments"][0]["events"]["nodes"].as_array().unwrap().len(), 2);
    for (name, status, told) in
        [("#1001", "LOST", "no status"), ("#4711", "DELIVERED", "no order"), ("#1005", "DELIVERED", "cancelled")]
    {
        assert!(shipping::advance(&mut bench.world.shop, name, &news(status), now).unwrap_err().contains(told));
    }
}

#[test]
fn a_draft_is_deleted_until_it_is_an_order_and_a_return_called_off_until_it_is_over() {
    let mut bench = Bench::new();
    let create = "mutation($i: DraftOrderInput!) { draftOrderCreate(input: $i) { draftOrder { id name } } }";
    let input = json!({"lineItems": [{"variantId": "gid://shopify/ProductVariant/9002", "quantity": 1}]});
    let made = |bench: &mut Bench| bench.data(create, json!({"i": input}))["draftOrderCreate"]["draftOrder"].clone();
    let (one, other) = (made(&mut bench), made(&mut bench));
    let delete = "mutation($i: DraftOrderDeleteInput!) { draftOrderDelete(input: $i) { deletedId userErrors { field message } } }";
    let delete =
        |bench: &mut Bench, id: &Value| bench.data(delete, json!({"i": {"id": id}}))["draftOrderDelete"].clone();
    assert_eq!(delete(&mut bench, &one["id"]), json!({"deletedId": one["id"], "userErrors": []}));
    assert_eq!(delete(&mut bench, &one["id"])["userErrors"][0]["message"], "Draft order not found");
    assert_eq!(made(&mut bench)["name"], "#D3", "a number is not given twice");
    let complete = "mutation($id: ID!) { draftOrderComplete(id: $id) { draftOrder { status } } }";
    bench.data(complete, json!({"id": other["id"]}));
    let told = delete(&mut bench, &other["id"]);
    assert!(told["deletedId"].is_null() && told["userErrors"][0]["message"].is_string(), "{told}");
    assert_eq!(bench.effects("draftOrderDelete"), 1);

    let find = "query($id: ID!) { returnableFulfillments(orderId: $id, first: 1) { nodes { returnableFulfillmentLineItems(first: 1) {
        nodes { fulfillmentLineItem { id } } } } } }";
    let found = bench.data(find, json!({"id": order_id(1004)}));
    let line = found["returnableFulfillments"]["nodes"][0]["returnableFulfillmentLineItems"]["nodes"][0]
        ["fulfillmentLineItem"]["id"]
        .clone();
    let ask = "mutation($i: ReturnRequestInput!) { returnRequest(input: $i) { return { id status } } }";
    let input = json!({"orderId": order_id(1004),
        "returnLineItems": [{"fulfillmentLineItemId": line, "quantity": 1, "returnReason": "UNWANTED"}]});
    let asked = bench.data(ask, json!({"i": input}))["returnRequest"]["return"].clone();
    let cancel =
        "mutation($id: ID!) { returnCancel(id: $id) { return { id status } userErrors { field message code } } }";
    let cancel = |bench: &mut Bench, id: &Value| bench.data(cancel, json!({"id": id}))["returnCancel"].clone();
    let off = json!({"return": {"id": asked["id"], "status": "CANCELED"}, "userErrors": []});
    assert_eq!(cancel(&mut bench, &asked["id"]), off);
    for (id, code) in [(&asked["id"], "INVALID_STATE"), (&json!("gid://shopify/Return/1"), "NOT_FOUND")] {
        assert_eq!(cancel(&mut bench, id)["userErrors"][0]["code"], code);
    }
    assert_eq!(bench.effects("returnCancel"), 1);
}
