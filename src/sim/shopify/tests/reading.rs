//! Queries: selection, pages, search, what an app may not see, and what they cost.

use super::*;

#[test]
fn a_whole_order_is_selected_with_aliases_fragments_and_directives() {
    let query = r#"
        query Track($id: ID!, $more: Boolean!) {
          found: order(id: $id) {
            ...head
            ... on Order { legacyResourceId }
            ... on Node { __typename }
            totalPriceSet { shopMoney { amount currencyCode } }
            note @include(if: $more)
            lineItems(first: 5) { edges { cursor node { title quantity variant { sku product { title } } } } }
            fulfillments(first: 10) {
              displayStatus estimatedDeliveryAt
              trackingInfo { company number url }
              events(first: 10, sortKey: HAPPENED_AT, reverse: true) { nodes { status city } }
              fulfillmentLineItems(first: 5) { nodes { quantity lineItem { sku } } }
            }
            customer { displayName defaultPhoneNumber { phoneNumber } numberOfOrders lastOrder { name } }
          }
        }
        fragment head on Order { id name displayFulfillmentStatus displayFinancialStatus }"#;
    let data = Bench::new().data(query, json!({"id": order_id(1002), "more": false}));
    let order = &data["found"];
    assert_eq!(
        (&order["name"], &order["__typename"], &order["legacyResourceId"]),
        (&json!("#1002"), &json!("Order"), &json!("5001002"))
    );
    assert_eq!(order["totalPriceSet"]["shopMoney"], json!({"amount": "3398.0", "currencyCode": "INR"}));
    assert!(order.get("note").is_none());
    assert_eq!(
        order["lineItems"]["edges"][0]["node"]["variant"],
        json!({"sku": "SHI-LIN-M", "product": {"title": "Linen Shirt"}})
    );
    let parcel = &order["fulfillments"][0];
    assert_eq!(
        (&parcel["displayStatus"], &parcel["trackingInfo"][0]["company"]),
        (&json!("IN_TRANSIT"), &json!("Delhivery"))
    );
    let events: Vec<&str> =
        parcel["events"]["nodes"].as_array().unwrap().iter().map(|e| e["status"].as_str().unwrap()).collect();
    assert_eq!(events, ["IN_TRANSIT", "CARRIER_PICKED_UP"]);
    assert_eq!(parcel["fulfillmentLineItems"]["nodes"][0], json!({"quantity": 2, "lineItem": {"sku": "SHI-LIN-M"}}));
    assert_eq!(order["customer"]["defaultPhoneNumber"]["phoneNumber"], "+919812345678");
    assert!(order["customer"]["numberOfOrders"].is_string());
}

#[test]
fn every_field_of_every_object_of_the_sample_shop_has_a_value_of_its_type() {
    // A null where none may be would take the whole answer away.
    let orders = "{ orders(first: 4, reverse: true) { nodes { id name number closed updatedAt statusPageUrl refundable merchantEditable fullyPaid unpaid
        paymentGatewayNames currencyCode customAttributes { key } returnStatus currentTotalPriceSet { shopMoney { amount } }
        totalOutstandingSet { presentmentMoney { amount } } totalReceivedSet { shopMoney { amount } } totalRefundedSet { shopMoney { amount } }
        shippingAddress { id name province countryCodeV2 formatted } fulfillmentOrders(first: 2) { nodes { id status createdAt } }
        transactions(first: 3) { id kind status amountSet { shopMoney { amount } } parentTransaction { id } test }
        refunds { id totalRefundedSet { shopMoney { amount } } } returns(first: 2) { nodes { id } }
        lineItems(first: 3) { nodes { id name currentQuantity refundableQuantity unfulfilledQuantity discountedTotalSet { shopMoney { amount } } } } } } }";
    let goods = "{ products(first: 20) { nodes { id title handle status totalInventory vendor productType description createdAt
        variants(first: 3) { nodes { id price compareAtPrice inventoryQuantity availableForSale sellableOnlineQuantity inventoryPolicy
        inventoryItem { id tracked inventoryLevels(first: 2) { nodes { location { name } quantities(names: [\"available\"]) { name quantity } } } } } } } } }";
    let people = "{ customers(first: 20) { nodes { id displayName amountSpent { amount currencyCode } createdAt tags
        orders(first: 3, sortKey: CREATED_AT, reverse: true) { nodes { name } } defaultAddress { city } } } }";
    let mut bench = Bench::new();
    for (query, root, count) in [(orders, "orders", 4), (goods, "products", 12), (people, "customers", 8)] {
        let data = bench.data(query, json!({}));
        assert_eq!(data[root]["nodes"].as_array().unwrap().len(), count, "{root}");
    }
}

#[test]
fn pages_follow_one_another_without_hole_or_repeat() {
    let mut bench = Bench::new();
    let query = "query($after: String) { orders(first: 7, after: $after, sortKey: CREATED_AT, reverse: true) {
        nodes { name createdAt } pageInfo { hasNextPage endCursor } } }";
    let (mut after, mut seen) = (Value::Null, Vec::new());
    loop {
        let page = bench.data(query, json!({"after": after}))["orders"].clone();
        seen.extend(page["nodes"].as_array().unwrap().iter().map(|n| n["createdAt"].as_str().unwrap().to_owned()));
        after = page["pageInfo"]["endCursor"].clone();
        if page["pageInfo"]["hasNextPage"] == json!(false) {
            break;
        }
    }
    assert_eq!(seen.len(), 20);
    assert!(seen.is_sorted_by(|a, b| a >= b), "{seen:?}");
    for (arguments, message) in [
        ("", "you must provide one of first or last"),
        ("(first: 1, last: 1)", "providing both first and last is not supported"),
        ("(first: 251)", "between 0 and 250"),
        ("(first: -1)", "between 0 and 250"),
        ("(first: 1, after: \"no cursor\")", "Invalid cursor"),
    ] {
        let answer = bench.ask(&format!("{{ orders{arguments} {{ pageInfo {{ hasNextPage }} }} }}"), json!({}));
        assert!(answer["errors"][0]["message"].as_str().unwrap().contains(message), "{arguments}: {answer}");
        assert_eq!(answer["data"], Value::Null);
    }
}

#[test]
fn orders_are_found_by_their_fields_and_an_unknown_one_is_dropped_with_a_warning() {
    let mut bench = Bench::new();
    let rows: &[(&str, &[&str])] = &[
        ("name:1001", &["#1001", "EN1001"]),
        ("name:#1001 email:asha.verma@example.in", &["#1001"]),
        ("customer_id:7001", &["#1001", "#1015", "#1017"]),
        ("fulfillment_status:partial", &["#1006"]),
        ("status:cancelled financial_status:voided", &["#1016"]),
        ("tag:VIP", &[]),
        ("tag:wedding", &["#1019"]),
        ("sku:QUI-DBL -status:cancelled", &["#1012"]),
        ("test:true", &["#1018"]),
        ("id:5001003", &["#1003"]),
        ("financial_status:pending fulfillment_status:unfulfilled", &["#1007", "#1008", "#1017"]),
    ];
    for (search, found) in rows {
        assert_eq!(bench.names(search), *found, "{search}");
    }
    let query = "query($q: String) { orders(first: 50, query: $q) { nodes { name } } }";
    let answer = bench.ask(query, json!({"q": "phone:+919876543210"}));
    assert_eq!(answer["data"]["orders"]["nodes"].as_array().unwrap().len(), 20);
    let told = &answer["extensions"]["search"][0];
    assert_eq!((&told["path"], &told["warnings"][0]["code"]), (&json!(["orders"]), &json!("invalid_field")));
    assert!(bench.ask(query, json!({"q": "name:1001"}))["extensions"].get("search").is_none());
}

#[test]
fn callers_goods_and_drafts_are_found_in_their_own_ways() {
    let mut bench = Bench::new();
    let by = "query($i: CustomerIdentifierInput!) { customerByIdentifier(identifier: $i) { firstName } }";
    for (identifier, name) in [
        (json!({"phoneNumber": "+919745012345"}), json!({"firstName": "Meera"})),
        (json!({"emailAddress": "Ravi.Kumar@example.in"}), json!({"firstName": "Ravi"})),
        (json!({"phoneNumber": "09745012345"}), Value::Null),
        // Of a guest: only in a shipping address, and not to be found.
        (json!({"phoneNumber": "+919963012345"}), Value::Null),
    ] {
        assert_eq!(bench.data(by, json!({"i": identifier}))["customerByIdentifier"], name, "{identifier}");
    }
    let data = bench.data(
        "{ customers(first: 2, query: \"phone:+919876543210\") { nodes { firstName } }
           products(first: 5, query: \"title:*kurta* status:active\") { nodes { title } }
           productVariants(first: 5, query: \"sku:KOL-9\") { nodes { availableForSale inventoryQuantity } }
           gift: productVariants(first: 5, query: \"sku:GIFT-WRAP\") { nodes { availableForSale inventoryQuantity } }
           gone: productVariants(first: 5, query: \"sku:KUR-IND-L\") { nodes { availableForSale } }
           orderByIdentifier(identifier: {id: \"gid://shopify/Order/5001003\"}) { name }
           other: order(id: \"gid://shopify/Customer/7001\") { name }
           returnableFulfillments(orderId: \"gid://shopify/Order/5001004\", first: 5) { nodes { fulfillment { name }
             returnableFulfillmentLineItems(first: 5) { nodes { quantity fulfillmentLineItem { id lineItem { sku } } } } } } }",
        json!({}),
    );
    assert_eq!(data["customers"]["nodes"], json!([{"firstName": "Asha"}]));
    assert_eq!(data["products"]["nodes"], json!([{"title": "Indigo Cotton Kurta"}]));
    assert_eq!(data["productVariants"]["nodes"][0], json!({"availableForSale": true, "inventoryQuantity": -2}));
    assert_eq!(data["gift"]["nodes"][0], json!({"availableForSale": true, "inventoryQuantity": 0}));
    assert_eq!(data["gone"]["nodes"][0]["availableForSale"], false);
    assert_eq!((&data["orderByIdentifier"]["name"], &data["other"]), (&json!("#1003"), &Value::Null));
    assert_eq!(
        data["returnableFulfillments"]["nodes"][0]["returnableFulfillmentLineItems"]["nodes"].as_array().unwrap().len(),
        2
    );
}

#[test]
fn old_orders_are_seen_only_with_the_scope_for_them() {
    let query = "query($id: ID!) { order(id: $id) { name } }";
    let mut bench = Bench::new();
    assert_eq!(bench.data(query, json!({"id": order_id(950)}))["order"], Value::Null);
    assert!(!bench.names("").contains(&"#0950".to_owned()));
    bench.grant.scopes.push("read_all_orders".to_owned());
    assert_eq!(bench.data(query, json!({"id": order_id(950)}))["order"]["name"], "#0950");
    assert!(bench.names("").contains(&"#0950".to_owned()));
}

#[test]
fn what_an_app_may_not_see_is_null_with_an_error_and_the_rest_is_there() {
    let mut bench = Bench::new();
    bench.grant.scopes.retain(|scope| scope != "read_customers");
    let query = "query($id: ID!) { order(id: $id) { name email customer { id } } }";
    let answer = bench.ask(query, json!({"id": order_id(1001)}));
    assert_eq!(answer["data"]["order"], json!({"name": "#1001", "email": "asha.verma@example.in", "customer": null}));
    assert_eq!(code(&answer), "ACCESS_DENIED");
    assert_eq!(answer["errors"][0]["path"], json!(["order", "customer"]));
    assert_eq!(answer["errors"][0]["extensions"]["requiredAccess"], "`read_customers` access scope.");
    bench.grant.protected_data = false;
    let answer = bench.ask("query($id: ID!) { order(id: $id) { name email } }", json!({"id": order_id(1001)}));
    assert_eq!((&answer["data"]["order"]["email"], code(&answer)), (&Value::Null, "ACCESS_DENIED"));
    // A customer's name may not be null, so the customer is gone.
    bench.grant.scopes.push("read_customers".to_owned());
    let answer = bench.ask("{ customer(id: \"gid://shopify/Customer/7001\") { displayName } }", json!({}));
    assert_eq!(answer["data"], json!({"customer": null}));
    bench.grant.scopes.retain(|scope| scope != "read_orders" && scope != "write_orders");
    let query = "query($id: ID!) { node(id: $id) { id } }";
    assert_eq!(code(&bench.ask(query, json!({"id": order_id(1001)}))), "ACCESS_DENIED");
    assert!(bench.ask(query, json!({"id": "gid://shopify/Product/8001"}))["data"]["node"].is_object());
    let scopes = bench.data("{ currentAppInstallation { accessScopes { handle } } }", json!({}));
    let scopes = scopes["currentAppInstallation"]["accessScopes"].as_array().unwrap().clone();
    assert!(
        scopes.contains(&json!({"handle": "read_products"})) && !scopes.contains(&json!({"handle": "read_orders"}))
    );
    bench.grant.scopes.clear();
    let answer = bench.ask("{ orders(first: 1) { nodes { id } } }", json!({}));
    assert_eq!((&answer["data"], code(&answer)), (&Value::Null, "ACCESS_DENIED"));
}

#[test]
fn the_bucket_runs_dry_and_fills_again_and_a_query_can_be_too_dear() {
    let mut bench = Bench::new();
    let dear = "{ orders(first: 90) { nodes { lineItems(first: 8) { nodes { id } } } } }";
    let cost = |answer: &Value| answer["extensions"]["cost"].clone();
    let first = cost(&bench.ask(dear, json!({})));
    assert_eq!(first["requestedQueryCost"], 2 + 90 * 11);
    assert!(first["actualQueryCost"].as_u64().unwrap() < 150, "{first}");
    assert!(first["throttleStatus"]["currentlyAvailable"].as_u64().unwrap() > 1850, "what was not used comes back");
    bench.world.bucket.set_level(100, bench.clock);
    let reply = bench.post("t", &json!({"query": dear}).to_string());
    let answer = json_of(&reply).clone();
    assert_eq!((reply.status, code(&answer)), (200, "THROTTLED"));
    assert_eq!((&cost(&answer)["actualQueryCost"], answer.get("data")), (&Value::Null, None));
    bench.wait(8_930);
    assert!(bench.ask(dear, json!({}))["data"].is_object(), "(992 - 100) / 100 s later there are enough");
    let dearer = "{ orders(first: 250) { nodes { lineItems(first: 10) { nodes { id } } } } }";
    assert_eq!(code(&bench.ask(dearer, json!({}))), "MAX_COST_EXCEEDED");
}

#[test]
fn throttling_and_trouble_come_when_they_are_asked_for() {
    let shop = r#"{"query":"{ shop { name } }"}"#;
    let mut bench = Bench::with(Faults { throttle_every: 3, throttle_as_429: true, ..Faults::default() });
    let statuses: Vec<u16> = (0..6).map(|_| bench.post("t", shop).status).collect();
    assert_eq!(statuses, [200, 200, 429, 200, 200, 429]);
    let mut bench = Bench::with(Faults { fail_next: 1, fail_status: 500, throttle_next: 1, ..Faults::default() });
    assert_eq!(bench.post("t", shop).status, 500);
    assert_eq!(code(&bench.ask("{ shop { name } }", json!({}))), "THROTTLED");
    let mut bench = Bench::with(Faults { partial_next: 1, ..Faults::default() });
    let query = "query($id: ID!) { order(id: $id) { name shippingAddress { city } customer { id } } }";
    let answer = bench.ask(query, json!({"id": order_id(1001)}));
    assert_eq!(
        (&answer["data"]["order"]["name"], &answer["data"]["order"]["shippingAddress"]),
        (&json!("#1001"), &Value::Null)
    );
    assert_eq!(
        (code(&answer), &answer["errors"][0]["path"]),
        ("INTERNAL_SERVER_ERROR", &json!(["order", "shippingAddress"]))
    );
    assert!(bench.ask(query, json!({"id": order_id(1001)})).get("errors").is_none());
    let mut bench = Bench::with(Faults { fail_next: 1, fail_status: 200, ..Faults::default() });
    assert_eq!(code(&bench.ask("{ shop { name } }", json!({}))), "INTERNAL_SERVER_ERROR");
}
