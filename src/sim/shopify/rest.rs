//! Bodies of webhooks: the older REST shapes, with names in snake case and numbers as ids.

use serde_json::{Value, json};

use super::data::{Address, Fulfillment, Order, Refund, Shop, Time, gid};

/// The body that a topic's subscribers get when this order has changed.
pub(crate) fn body(shop: &Shop, of: &Order, topic: &str) -> Value {
    match topic {
        "fulfillments/create" | "fulfillments/update" => {
            of.fulfillments.last().map_or(Value::Null, |last| fulfillment(of, last))
        }
        "refunds/create" => of.refunds.last().map_or(Value::Null, |last| refund(of, last)),
        _ => order(shop, of),
    }
}

fn price(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// REST writes times with the shop's offset.
fn local(at: Time) -> String {
    let offset = chrono::FixedOffset::east_opt(5 * 3600 + 1800);
    offset.map_or_else(|| at.to_rfc3339(), |offset| at.with_timezone(&offset).to_rfc3339())
}

fn order(shop: &Shop, of: &Order) -> Value {
    let fulfillment_status = match of.fulfillment_status() {
        "FULFILLED" => Some("fulfilled"),
        "PARTIALLY_FULFILLED" => Some("partial"),
        _ => None,
    };
    let customer = of.customer.and_then(|id| shop.customers.get(&id)).map(|customer| {
        json!({"id": customer.id, "email": customer.email, "first_name": customer.first_name,
            "last_name": customer.last_name, "phone": customer.phone, "tags": customer.tags.join(", "),
            "admin_graphql_api_id": gid("Customer", customer.id)})
    });
    let address = of.shipping_address.as_ref().map(address);
    let mut body = json!({
        "id": of.id, "admin_graphql_api_id": gid("Order", of.id), "name": of.name, "number": of.number,
        "order_number": of.number, "confirmation_number": of.confirmation, "email": of.email, "phone": of.phone,
        "contact_email": of.email, "created_at": local(of.created), "processed_at": local(of.created),
        "updated_at": local(of.updated), "cancelled_at": of.cancelled.as_ref().map(|(at, _)| local(*at)),
        "cancel_reason": of.cancelled.as_ref().map(|(_, reason)| reason.to_lowercase()),
        "closed_at": of.closed.map(local), "test": of.test, "note": of.note, "tags": of.tags.join(", "),
        "currency": "INR", "financial_status": of.financial.to_lowercase(),
        "fulfillment_status": fulfillment_status, "payment_gateway_names": [of.gateway],
    });
    body["total_price"] = json!(price(of.total()));
    body["current_total_price"] = json!(price(of.current_total()));
    body["customer"] = json!(customer);
    body["shipping_address"] = json!(address);
    body["line_items"] = of.lines.iter().map(|line| self::line(of, line.id)).collect();
    body["fulfillments"] = of.fulfillments.iter().map(|one| fulfillment(of, one)).collect();
    body["refunds"] = of.refunds.iter().map(|one| refund(of, one)).collect();
    body
}

fn line(of: &Order, id: u64) -> Value {
    let Some(line) = of.lines.iter().find(|line| line.id == id) else { return Value::Null };
    json!({"id": line.id, "admin_graphql_api_id": gid("LineItem", line.id), "title": line.title,
        "variant_title": line.variant_title, "sku": line.sku, "variant_id": line.variant, "quantity": line.quantity,
        "current_quantity": line.quantity - line.removed, "price": price(line.unit_price)})
}

fn address(of: &Address) -> Value {
    json!({"first_name": of.first_name, "last_name": of.last_name, "company": of.company, "address1": of.address1,
        "address2": of.address2, "city": of.city, "province_code": of.province_code,
        "country_code": of.country_code, "zip": of.zip, "phone": of.phone})
}

fn fulfillment(of: &Order, found: &Fulfillment) -> Value {
    let (company, number, url) = match &found.tracking {
        Some((company, number, url)) => (Some(company), Some(number), url.as_ref()),
        None => (None, None, None),
    };
    let shipment = match found.display.as_str() {
        "FULFILLED" | "MARKED_AS_FULFILLED" | "CANCELED" => None,
        "ATTEMPTED_DELIVERY" => Some("attempted_delivery".to_owned()),
        display => Some(display.to_lowercase()),
    };
    json!({"id": found.id, "admin_graphql_api_id": gid("Fulfillment", found.id), "order_id": of.id,
        "name": found.name, "status": if found.display == "CANCELED" { "cancelled" } else { "success" },
        "shipment_status": shipment, "tracking_company": company, "tracking_number": number, "tracking_url": url,
        "tracking_numbers": number.into_iter().collect::<Vec<_>>(), "created_at": local(found.created),
        "updated_at": local(found.updated), "email": of.email,
        "line_items": found.lines.iter().map(|(_, id, _)| line(of, *id)).collect::<Vec<_>>()})
}

fn refund(of: &Order, found: &Refund) -> Value {
    let lines = found.lines.iter().map(|(id, quantity, restock)| {
        json!({"line_item_id": id, "quantity": quantity, "restock_type": restock.to_lowercase()})
    });
    let paid = of.transactions.iter().filter(|one| found.transactions.contains(&one.id)).map(|one| {
        json!({"id": one.id, "order_id": of.id, "kind": one.kind.to_lowercase(), "gateway": one.gateway,
            "status": one.status.to_lowercase(), "amount": price(one.amount), "parent_id": one.parent})
    });
    json!({"id": found.id, "admin_graphql_api_id": gid("Refund", found.id), "order_id": of.id,
        "created_at": local(found.created), "processed_at": local(found.created), "note": found.note,
        "refund_line_items": lines.collect::<Vec<_>>(), "transactions": paid.collect::<Vec<_>>()})
}
