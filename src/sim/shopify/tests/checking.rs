//! What is refused before it is run, with the words and codes of the real thing.

use super::*;

#[test]
fn every_type_that_is_named_is_declared() {
    assert_eq!(Schema::built_in().unwrap().dangling(), Vec::<String>::new());
}

/// A query (`ORDER` stands for a field with its id), the code and a part of the message.
const MISFITS: &[(&str, &str, &str)] = &[
    ("{ ORDER { orderNumber } }", "undefinedField", "Field 'orderNumber' doesn't exist on type 'Order'"),
    ("{ nothing }", "undefinedField", "Field 'nothing' doesn't exist on type 'QueryRoot'"),
    // Fulfilments are a plain list, line items a connection.
    (
        "{ ORDER { fulfillments(first: 1) { nodes { id } } } }",
        "undefinedField",
        "'nodes' doesn't exist on type 'Fulfillment'",
    ),
    ("{ ORDER { refunds { edges { node { id } } } } }", "undefinedField", "'edges' doesn't exist on type 'Refund'"),
    (
        "{ ORDER { lineItems(first: 1) { title } } }",
        "undefinedField",
        "'title' doesn't exist on type 'LineItemConnection'",
    ),
    ("{ ORDER { totalPriceSet { amount } } }", "undefinedField", "'amount' doesn't exist on type 'MoneyBag'"),
    ("{ ORDER { customer } }", "selectionMismatch", "Field must have selections (field 'customer'"),
    ("{ ORDER { name { text } } }", "selectionMismatch", "Selections can't be made on scalars"),
    ("{ order { id } }", "missingRequiredArguments", "Field 'order' is missing required arguments: id"),
    ("{ orders(first: 1, phone: \"1\") { nodes { id } } }", "argumentNotAccepted", "doesn't accept argument 'phone'"),
    ("{ orders(first: \"1\") { nodes { id } } }", "argumentLiteralsIncompatible", "(\"1\"). Expected type 'Int'"),
    ("{ orders(first: 1, sortKey: NEWEST) { nodes { id } } }", "argumentLiteralsIncompatible", "type 'OrderSortKeys'"),
    ("{ orders(first: 1, sortKey: \"ID\") { nodes { id } } }", "argumentLiteralsIncompatible", "type 'OrderSortKeys'"),
    ("{ order(id: \"1001\") { id } }", "argumentLiteralsIncompatible", "Invalid global id '1001'"),
    (
        "query($id: ID) { order(id: $id) { id } }",
        "variableMismatch",
        "Nullability mismatch on variable $id and argument id (ID / ID!)",
    ),
    ("query($n: String) { orders(first: $n) { nodes { id } } }", "variableMismatch", "argument first (String / Int)"),
    ("query($t: String!) { node(id: $t) { id } }", "variableMismatch", "Type mismatch"),
    (
        "mutation($t: String!) { tagsAdd(id: \"gid://shopify/Order/1\", tags: $t) { node { id } } }",
        "variableMismatch",
        "List dimension mismatch",
    ),
    ("query($x: Int) { ORDER { id } }", "variableNotUsed", "Variable $x is declared by query but not used"),
    ("{ orders(first: $n) { nodes { id } } }", "variableNotDefined", "Variable $n is used by query but not declared"),
    (
        "query($x: Wrong) { orders(first: 1, query: $x) { nodes { id } } }",
        "variableRequiresValidType",
        "Wrong isn't a defined input type",
    ),
    ("{ ORDER { ...f } }", "useAndDefineFragment", "Fragment f was used, but not defined"),
    ("{ ORDER { ...f } } fragment f on Order { id ...f }", "infiniteLoop", "Fragment f contains an infinite loop"),
    (
        "{ ORDER { ... on Customer { id } } }",
        "cannotSpreadFragment",
        "Fragment on Customer can't be spread inside Order",
    ),
    ("{ ORDER { id: name id } }", "fieldConflict", "Field 'id' has a field conflict: name or id?"),
    ("{ ORDER { id @once } }", "undefinedDirective", "Directive @once is not defined"),
    (
        "mutation { refundCreate(input: {orderId: \"gid://shopify/Order/1\", lines: []}) { refund { id } } }",
        "argumentNotAccepted",
        "InputObject 'RefundInput' doesn't accept argument 'lines'",
    ),
    (
        "mutation { refundCreate(input: {note: \"x\"}) { refund { id } } }",
        "missingRequiredInputObjectAttribute",
        "Argument 'orderId' on InputObject 'RefundInput' is required. Expected type ID!",
    ),
    (
        "mutation { orderCancel(orderId: \"gid://shopify/Order/1\", restock: true) { job { id } } }",
        "missingRequiredArguments",
        "missing required arguments: reason",
    ),
];

#[test]
fn a_query_that_does_not_fit_the_schema_is_told_what_is_wrong() {
    for (query, code, message) in MISFITS {
        let query = query.replace("ORDER", r#"order(id: "gid://shopify/Order/1")"#);
        let answer = Bench::new().ask(&query, json!({}));
        let first = &answer["errors"][0];
        assert_eq!(first["extensions"]["code"], *code, "{query}: {answer}");
        assert!(first["message"].as_str().unwrap().contains(message), "{query}: {answer}");
        assert!(first["locations"][0]["line"].is_u64() && first["path"].is_array(), "{answer}");
        assert!(answer.get("data").is_none() && answer["extensions"]["cost"].is_object(), "{answer}");
    }
}

#[test]
fn a_seed_that_does_not_fit_together_is_refused_with_the_reason() {
    let built_in = include_str!("../../../../sandbox/shop.toml");
    for (from, to, told) in [
        ("sku = \"QUI-DBL\" }]", "sku = \"NO-SUCH\" }]", "no product has the SKU 'NO-SUCH'"),
        ("customer = \"ravi\"", "customer = \"nobody\"", "no customer has the key 'nobody'"),
        ("payment = \"cod\"", "payment = \"shells\"", "payment 'shells' is none of"),
        ("status = \"OUT_FOR_DELIVERY\"", "status = \"LOST\"", "'LOST' is no status of a parcel"),
        ("cancelled = \"CUSTOMER\"", "cancelled = \"mood\"", "cancelled 'mood' is none of"),
        ("number = 1002", "number = 1001", "its number 1001 is another's"),
        ("price = \"349.00\"", "price = \"349 Rs\"", "'349 Rs' is no price"),
        ("province_code = \"DL\"", "province_code = \"Delhi\"", "'Delhi' is no state of India"),
        ("quantity = 4", "quantity = 0", "quantity 0 of 'MUG-BLU'"),
        ("days_ago = 0.5", "days = 1", "unknown field `days`"),
    ] {
        assert!(built_in.contains(from), "{from}");
        let opened = Seed::parse(&built_in.replacen(from, to, 1)).and_then(|seed| seed.open(Utc::now()));
        let error = opened.map(drop).unwrap_err();
        assert!(error.contains(told), "{told}: {error}");
    }
}

#[test]
fn variables_are_checked_by_value_and_the_place_is_told() {
    let refund =
        "mutation($i: RefundInput!, $k: String!) { refundCreate(input: $i) @idempotent(key: $k) { refund { id } } }";
    let order = order_id(1001);
    let transaction =
        |amount: Value| json!({"orderId": order, "gateway": "razorpay", "kind": "REFUND", "amount": amount});
    let rows = [
        ("query($id: ID!) { order(id: $id) { id } }", json!({}), "Expected value to not be null"),
        ("query($id: ID!) { order(id: $id) { id } }", json!({"id": "1001"}), "Invalid global id '1001'"),
        (
            "query($n: Int) { orders(first: $n) { nodes { id } } }",
            json!({"n": "5"}),
            "Could not coerce value \"5\" to Int",
        ),
        (
            "query($n: Int) { orders(first: $n) { nodes { id } } }",
            json!({"n": 4.5}),
            "Could not coerce value 4.5 to Int",
        ),
        (
            "query($s: OrderSortKeys) { orders(first: 1, sortKey: $s) { nodes { id } } }",
            json!({"s": "created_at"}),
            "to be one of: CREATED_AT",
        ),
        (refund, json!({"k": "1", "i": {"orderId": order, "lineItems": []}}), "Field is not defined on RefundInput"),
        (refund, json!({"k": "1", "i": {}}), "Expected value to not be null"),
        (
            refund,
            json!({"k": "1", "i": {"orderId": order, "transactions": [transaction(json!(10.5))]}}),
            "Could not coerce value 10.5 to Decimal",
        ),
        (refund, json!({"k": "1", "i": []}), "to be a key-value object"),
    ];
    for (query, variables, explanation) in rows {
        let answer = Bench::new().ask(query, variables);
        let problems = answer["errors"][0]["extensions"]["problems"].as_array().unwrap();
        let told = problems.iter().any(|one| one["explanation"].as_str().unwrap().contains(explanation));
        assert!(told, "{query}: {answer}");
        assert_eq!(code(&answer), "INVALID_VARIABLE");
    }
    let nested = json!({"k": "1", "i": {"orderId": order, "transactions": [transaction(json!("x"))]}});
    let answer = Bench::new().ask(refund, nested);
    assert_eq!(answer["errors"][0]["extensions"]["problems"][0]["path"], json!(["transactions", 0, "amount"]));
}

#[test]
fn what_is_no_graphql_or_too_deep_is_refused_and_the_shop_lives_on() {
    let mut bench = Bench::new();
    let deep = format!("{}{}", "{ a ".repeat(5000), "}".repeat(5000));
    let lists = format!("{{ orders(first: {}1{}) {{ nodes {{ id }} }} }}", "[".repeat(100_000), "]".repeat(100_000));
    let wide = format!("{{ {} }}", "shop { name } ".repeat(6000));
    let doubling: String =
        (0..40).map(|n| format!("fragment f{n} on Shop {{ ...f{} ...f{} }} ", n + 1, n + 1)).collect();
    let bomb = format!("{{ shop {{ ...f0 }} }} {doubling} fragment f40 on Shop {{ name }}");
    for (query, message) in [
        ("{ shop { name }", "syntax error"),
        ("", "syntax error"),
        ("query A { shop { name } } query B { shop { id } }", "An operation name is required"),
        (deep.as_str(), "nested deeper"),
        (lists.as_str(), "nested deeper"),
        (wide.as_str(), "too many selections"),
        (bomb.as_str(), "too many selections"),
        ("subscription { shop { name } }", "not configured for subscriptions"),
    ] {
        let answer = bench.ask(query, json!({}));
        let told =
            answer["errors"].as_array().unwrap().iter().any(|one| one["message"].as_str().unwrap().contains(message));
        assert!(told, "{}: {answer}", &query[..query.len().min(80)]);
    }
    for body in ["", "[]", "{\"query\": 5}", "{\"query\": \"{ shop { name } }\", \"variables\": []}"] {
        let reply = bench.post("t", body);
        assert_eq!(
            (reply.status, &json_of(&reply)["errors"]["query"]),
            (400, &json!("Required parameter missing or invalid"))
        );
    }
    assert_eq!(bench.data("{ shop { name } }", json!({}))["shop"]["name"], "Rangrez Studio");
}

#[test]
fn versions_tokens_and_refusals_answer_as_the_real_shop_does() {
    let served = |version: Option<&str>| {
        let mut bench = Bench::new();
        let body = br#"{"query":"{ shop { name } }"}"#;
        let ask = Ask { version, token: Some("t"), body, request_id: "r" };
        let reply = bench.world.respond(&bench.schema, ("t", &bench.grant), &ask, (bench.now, bench.clock));
        (reply.status, reply.version)
    };
    for (version, status, by) in [
        (Some("2026-10"), 200, "2026-10"),
        (Some("2026-01"), 200, "2026-01"),
        (Some("2023-04"), 200, "2026-01"),
        (None, 200, "2026-01"),
        (Some("2026-11"), 404, "2026-01"),
        (Some("2031-01"), 404, "2026-01"),
        (Some("latest"), 404, "2026-01"),
    ] {
        assert_eq!(served(version), (status, by), "{version:?}");
    }
    let mut bench = Bench::new();
    let reply = bench.post("other", "{}");
    assert_eq!(reply.status, 401);
    assert!(json_of(&reply)["errors"].as_str().unwrap().starts_with("[API] Invalid API key or access token"));
    for status in [401, 402, 403, 423, 430] {
        let mut bench = Bench::with(Faults { refuse_status: status, ..Faults::default() });
        let reply = bench.post("t", r#"{"query":"{ shop { name } }"}"#);
        assert_eq!(reply.status, status);
        assert!(json_of(&reply)["errors"].is_string());
    }
}

/// Queries and mutations that use most of the schema, to be cut up at random.
const WHOLE: &[&str] = &[
    "query Q($id: ID!) { order(id: $id) { ...f lineItems(first: 5, after: null) { edges { cursor node { title } } } } } fragment f on Order { name tags }",
    "{ orders(first: 3, query: \"name:1001 OR tag:'a b' -email:x*\", sortKey: CREATED_AT, reverse: true) { nodes { id } } }",
    "mutation($i: OrderInput!) { orderUpdate(input: $i) { order { id } userErrors { field message } } }",
    "mutation { draftOrderCreate(input: {lineItems: [{title: \"x\", quantity: 10000, originalUnitPriceWithCurrency: {amount: \"999999999.99\", currencyCode: INR}}], tags: [\"a\"]}) { draftOrder { totalPriceSet { shopMoney { amount } } } } }",
    "mutation { refundCreate(input: {orderId: \"gid://shopify/Order/5001001\", shipping: {amount: \"1.5\"}}) @idempotent(key: \"a\") { userErrors { message } } }",
];

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(96))]

    #[test]
    fn no_query_however_mangled_stops_the_shop(
        which in 0..WHOLE.len(), cuts in proptest::collection::vec((0..400_usize, 0..6_usize, "[ -~]{0,6}"), 0..5), id in "[ -~]{0,20}",
    ) {
        let mut query: Vec<u8> = WHOLE[which].bytes().collect();
        for (at, length, put) in cuts {
            let at = at.min(query.len());
            let end = (at + length).min(query.len());
            query.splice(at..end, put.bytes());
        }
        let mut bench = Bench::new();
        let variables = json!({"id": order_id(1001), "i": {"id": id, "tags": [id, id]}});
        let answer = bench.ask(&String::from_utf8_lossy(&query), variables);
        proptest::prop_assert!(answer.get("data").is_some() || answer["errors"][0]["message"].is_string(), "{}", answer);
        let alive = bench.ask("{ shop { name } }", json!({}))["data"].is_object();
        proptest::prop_assert!(alive);
    }
}
