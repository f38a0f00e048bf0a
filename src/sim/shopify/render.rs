//! Orders and what belongs to them, with every field that the API has. What is paged is a plain list here.

use serde_json::{Map, Value, json};

use super::data::{
    Address, Fulfillment, LOCATION, Line, Order, Refund, Return, Shop, Time, Transaction, amount, gid, id_of, link,
    time,
};
use super::goods;

/// The object behind a global id, or null.
pub(crate) fn object(shop: &Shop, id: &str) -> Value {
    let kind = id.strip_prefix("gid://shopify/").and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let Some(number) = id_of(kind, id) else { return Value::Null };
    let found = match kind {
        "Order" => shop.orders.get(&number).map(|found| order(shop, found)),
        "Job" => shop.jobs.get(&number).map(|job| json!({"id": id, "done": job.done})),
        "Customer" => shop.customers.get(&number).map(|found| goods::customer(shop, found)),
        "Product" => shop.products.get(&number).map(goods::product),
        "ProductVariant" => shop.variant(number).map(|(product, variant)| goods::variant(product, variant)),
        "DraftOrder" => shop.drafts.get(&number).map(|found| goods::draft(shop, found)),
        "Location" => (number == LOCATION).then(|| json!({"id": id, "name": shop.location})),
        _ => shop.orders.values().find_map(|order| part(shop, order, kind, number)),
    };
    found.unwrap_or(Value::Null)
}

/// Something that belongs to an order.
fn part(shop: &Shop, order: &Order, kind: &str, id: u64) -> Option<Value> {
    match kind {
        "LineItem" => order.lines.iter().find(|line| line.id == id).map(|found| line(shop, order, found)),
        "Fulfillment" => order.fulfillments.iter().find(|one| one.id == id).map(|found| fulfillment(order, found)),
        "FulfillmentLineItem" => order
            .fulfillments
            .iter()
            .flat_map(|one| &one.lines)
            .find(|(own, _, _)| *own == id)
            .map(|(own, line, quantity)| fulfillment_line(*own, *line, *quantity)),
        "Return" => order.returns.iter().find(|one| one.id == id).map(|found| a_return(order, found)),
        "Refund" => order.refunds.iter().find(|one| one.id == id).map(|found| refund(order, found)),
        "OrderTransaction" => order.transactions.iter().find(|one| one.id == id).map(transaction),
        _ => None,
    }
}

pub(crate) fn money(cents: i64) -> Value {
    let money = json!({"amount": amount(cents), "currencyCode": "INR"});
    json!({"shopMoney": money, "presentmentMoney": money})
}

/// GST of 5 % is in the prices.
pub(crate) fn tax(total: i64) -> i64 {
    (total * 5 + 52) / 105
}

fn when(at: Option<Time>) -> Value {
    at.map_or(Value::Null, |at| json!(time(at)))
}

fn merged(parts: [Value; 3]) -> Value {
    let mut whole = Map::new();
    for part in parts {
        if let Value::Object(fields) = part {
            whole.extend(fields);
        }
    }
    Value::Object(whole)
}

/// An order.
pub(crate) fn order(shop: &Shop, order: &Order) -> Value {
    merged([order_head(shop, order), order_money(order), order_parts(shop, order)])
}

fn order_head(shop: &Shop, order: &Order) -> Value {
    let attributes: Vec<Value> =
        order.attributes.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    json!({
        "id": gid("Order", order.id), "legacyResourceId": order.id.to_string(), "name": order.name,
        "number": order.number, "confirmationNumber": order.confirmation, "email": order.email,
        "phone": order.phone, "createdAt": time(order.created), "processedAt": time(order.created),
        "updatedAt": time(order.updated), "cancelledAt": when(order.cancelled.as_ref().map(|(at, _)| *at)),
        "cancelReason": order.cancelled.as_ref().map(|(_, reason)| reason), "closed": order.closed.is_some(),
        "closedAt": when(order.closed), "test": order.test, "confirmed": true, "note": order.note,
        "tags": order.tags, "poNumber": order.po_number, "sourceName": "web", "customAttributes": attributes,
        "statusPageUrl": format!("https://{}/60001/orders/{}/authenticate?key=sim", shop.domain, order.confirmation),
    })
}

fn order_money(order: &Order) -> Value {
    let (received, refunded) = (order.received(), order.refunded());
    let outstanding = if order.cancelled.is_some() { 0 } else { (order.current_total() - received + refunded).max(0) };
    json!({
        "refundable": received > refunded, "merchantEditable": order.cancelled.is_none() && order.closed.is_none(),
        "fullyPaid": received >= order.total(), "unpaid": received == 0,
        "paymentGatewayNames": [order.gateway], "currencyCode": "INR",
        "displayFinancialStatus": order.financial, "displayFulfillmentStatus": order.fulfillment_status(),
        "returnStatus": order.return_status(), "subtotalPriceSet": money(order.subtotal()),
        "totalPriceSet": money(order.total()), "currentTotalPriceSet": money(order.current_total()),
        "totalOutstandingSet": money(outstanding), "totalReceivedSet": money(received),
        "totalRefundedSet": money(refunded), "totalShippingPriceSet": money(order.shipping),
        "totalTaxSet": money(tax(order.total())),
    })
}

fn order_parts(shop: &Shop, order: &Order) -> Value {
    let address = order.shipping_address.as_ref().map(|found| address(order.id, found));
    let list = |kind: &str, ids: Vec<u64>| -> Vec<Value> { ids.into_iter().map(|id| link(kind, id)).collect() };
    json!({
        "shippingAddress": address, "billingAddress": address,
        "customer": order.customer.map(|id| link("Customer", id)),
        "lineItems": order.lines.iter().map(|found| line(shop, order, found)).collect::<Vec<_>>(),
        "fulfillmentOrders": [fulfillment_order(order)],
        "fulfillments": list("Fulfillment", order.fulfillments.iter().map(|one| one.id).collect()),
        "fulfillmentsCount": {"count": order.fulfillments.len()},
        "refunds": list("Refund", order.refunds.iter().map(|one| one.id).collect()),
        "returns": list("Return", order.returns.iter().map(|one| one.id).collect()),
        "transactions": list("OrderTransaction", order.transactions.iter().map(|one| one.id).collect()),
    })
}

fn fulfillment_order(order: &Order) -> Value {
    let status = match order.fulfillment_status() {
        _ if order.cancelled.is_some() => "CANCELLED",
        "FULFILLED" => "CLOSED",
        "ON_HOLD" => "ON_HOLD",
        _ if order.packing => "IN_PROGRESS",
        _ => "OPEN",
    };
    json!({"id": gid("FulfillmentOrder", order.id), "status": status, "fulfillAt": time(order.created),
        "createdAt": time(order.created), "updatedAt": time(order.updated)})
}

pub(crate) fn address(owner: u64, address: &Address) -> Value {
    let name: Vec<&str> = [&address.first_name, &address.last_name].into_iter().flatten().map(String::as_str).collect();
    let lines = [&address.address1, &address.address2, &address.city, &address.zip];
    let formatted: Vec<&String> = lines.into_iter().flatten().collect();
    let country = address.country_code.as_deref().map(|code| if code == "IN" { "India" } else { code });
    json!({
        "id": format!("{}?model_name=Address", gid("MailingAddress", owner)), "firstName": address.first_name,
        "lastName": address.last_name, "name": (!name.is_empty()).then(|| name.join(" ")),
        "company": address.company, "address1": address.address1, "address2": address.address2,
        "city": address.city, "province": address.province_code.as_deref().and_then(state_name),
        "provinceCode": address.province_code, "country": country, "countryCodeV2": address.country_code,
        "zip": address.zip, "phone": address.phone, "formatted": formatted,
    })
}

/// The states and union territories of India by their codes.
pub(crate) fn state_name(code: &str) -> Option<&'static str> {
    const STATES: &str = "AN Andaman and Nicobar Islands|AP Andhra Pradesh|AR Arunachal Pradesh|AS Assam|BR Bihar|CH Chandigarh|CG Chhattisgarh|DD Daman and Diu|DN Dadra and Nagar Haveli|DL Delhi|GA Goa|GJ Gujarat|HR Haryana|HP Himachal Pradesh|JK Jammu and Kashmir|JH Jharkhand|KA Karnataka|KL Kerala|LA Ladakh|LD Lakshadweep|MP Madhya Pradesh|MH Maharashtra|MN Manipur|ML Meghalaya|MZ Mizoram|NL Nagaland|OR Odisha|PY Puducherry|PB Punjab|RJ Rajasthan|SK Sikkim|TN Tamil Nadu|TS Telangana|TR Tripura|UP Uttar Pradesh|UK Uttarakhand|WB West Bengal";
    STATES.split('|').filter_map(|state| state.split_once(' ')).find(|(known, _)| *known == code).map(|(_, name)| name)
}

fn line(shop: &Shop, order: &Order, line: &Line) -> Value {
    let name = match &line.variant_title {
        Some(variant) => format!("{} - {variant}", line.title),
        None => line.title.clone(),
    };
    let open = (line.quantity - order.fulfilled(line.id) - line.removed).max(0);
    let product = line.variant.and_then(|id| shop.variant(id)).map(|(product, _)| product);
    json!({
        "id": gid("LineItem", line.id), "name": name, "title": line.title, "variantTitle": line.variant_title,
        "sku": line.sku, "vendor": product.map(|product| &product.vendor), "quantity": line.quantity,
        "currentQuantity": line.quantity - line.removed, "refundableQuantity": line.quantity - line.removed,
        "unfulfilledQuantity": open, "requiresShipping": true, "originalUnitPriceSet": money(line.unit_price),
        "originalTotalSet": money(line.unit_price * line.quantity), "discountedTotalSet": money(line.total()),
        "discountedUnitPriceSet": money(line.share(1)), "variant": line.variant.map(|id| link("ProductVariant", id)),
        "product": product.map(|product| link("Product", product.id)),
    })
}

fn fulfillment(order: &Order, found: &Fulfillment) -> Value {
    let tracking =
        found.tracking.iter().map(|(company, number, url)| json!({"company": company, "number": number, "url": url}));
    let status = if found.display == "CANCELED" { "CANCELLED" } else { "SUCCESS" };
    let events: Vec<Value> = found
        .events
        .iter()
        .map(|event| {
            json!({"id": gid("FulfillmentEvent", event.id), "status": event.status, "happenedAt": time(event.happened),
                "createdAt": time(event.happened), "message": event.message, "address1": null, "city": event.city,
                "province": null, "country": event.city.as_ref().map(|_| "India"), "zip": null,
                "estimatedDeliveryAt": when(found.estimated), "latitude": null, "longitude": null})
        })
        .collect();
    let lines = found.lines.iter().map(|(own, line, quantity)| fulfillment_line(*own, *line, *quantity));
    json!({
        "id": gid("Fulfillment", found.id), "legacyResourceId": found.id.to_string(), "name": found.name,
        "status": status, "displayStatus": found.display, "createdAt": time(found.created),
        "updatedAt": time(found.updated), "estimatedDeliveryAt": when(found.estimated),
        "inTransitAt": when(found.in_transit), "deliveredAt": when(found.delivered), "requiresShipping": true,
        "totalQuantity": found.lines.iter().map(|(_, _, quantity)| quantity).sum::<i64>(),
        "trackingInfo": tracking.collect::<Vec<_>>(), "events": events,
        "fulfillmentLineItems": lines.collect::<Vec<_>>(), "order": link("Order", order.id),
    })
}

fn fulfillment_line(own: u64, line: u64, quantity: i64) -> Value {
    json!({"id": gid("FulfillmentLineItem", own), "quantity": quantity, "lineItem": link("LineItem", line)})
}

fn transaction(found: &Transaction) -> Value {
    json!({"id": gid("OrderTransaction", found.id), "kind": found.kind, "status": found.status,
        "gateway": found.gateway, "formattedGateway": found.gateway, "createdAt": time(found.created),
        "processedAt": time(found.created), "amountSet": money(found.amount),
        "parentTransaction": found.parent.map(|id| link("OrderTransaction", id)), "test": false})
}

fn refund(order: &Order, found: &Refund) -> Value {
    let lines = found.lines.iter().map(
        |(line, quantity, restock)| json!({"quantity": quantity, "restockType": restock, "lineItem": link("LineItem", *line)}),
    );
    let transactions = found.transactions.iter().map(|id| link("OrderTransaction", *id));
    json!({"id": gid("Refund", found.id), "legacyResourceId": found.id.to_string(), "createdAt": time(found.created),
        "updatedAt": time(found.created), "note": found.note, "totalRefundedSet": money(found.total),
        "order": link("Order", order.id), "refundLineItems": lines.collect::<Vec<_>>(),
        "transactions": transactions.collect::<Vec<_>>()})
}

fn a_return(order: &Order, found: &Return) -> Value {
    let lines = found.lines.iter().map(|(own, line, quantity, reason, note, reason_note)| {
        json!({"__typename": "ReturnLineItem", "id": gid("ReturnLineItem", *own), "quantity": quantity,
            "returnReason": reason, "returnReasonNote": reason_note, "customerNote": note,
            "fulfillmentLineItem": link("FulfillmentLineItem", *line)})
    });
    json!({"id": gid("Return", found.id), "name": found.name, "status": found.status,
        "totalQuantity": found.lines.iter().map(|line| line.2).sum::<i64>(), "createdAt": time(found.created),
        "order": link("Order", order.id), "returnLineItems": lines.collect::<Vec<_>>()})
}

/// What can still be returned of an order: a `ReturnableFulfillment` each.
pub(crate) fn returnable(order: &Order) -> Vec<Value> {
    order
        .fulfillments
        .iter()
        .filter_map(|found| {
            let lines: Vec<Value> = found
                .lines
                .iter()
                .map(|(own, _, quantity)| (own, quantity - returning(order, *own)))
                .filter(|(_, left)| *left > 0)
                .map(|(own, left)| json!({"fulfillmentLineItem": link("FulfillmentLineItem", *own), "quantity": left}))
                .collect();
            let id = gid("ReturnableFulfillment", found.id);
            (!lines.is_empty()).then(|| {
                json!({"id": id, "fulfillment": link("Fulfillment", found.id), "returnableFulfillmentLineItems": lines})
            })
        })
        .collect()
}

/// How many of a fulfilment's line are in a return already.
pub(crate) fn returning(order: &Order, line: u64) -> i64 {
    let live = order.returns.iter().filter(|one| !["CANCELED", "DECLINED"].contains(&one.status.as_str()));
    live.flat_map(|one| &one.lines).filter(|item| item.1 == line).map(|item| item.2).sum()
}
