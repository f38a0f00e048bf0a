//! Customers, products, stock and draft orders, with every field that the API has.

use serde_json::{Value, json};

use super::data::{Customer, Draft, LOCATION, Order, Product, Shop, Time, Variant, amount, gid, link, time};
use super::render::{address, money};

/// A customer.
pub(crate) fn customer(shop: &Shop, found: &Customer) -> Value {
    let orders: Vec<&Order> = shop.orders.values().filter(|order| order.customer == Some(found.id)).collect();
    let spent: i64 = orders.iter().map(|order| order.received() - order.refunded()).sum();
    let last = orders.iter().max_by_key(|order| order.created);
    json!({
        "id": gid("Customer", found.id), "legacyResourceId": found.id.to_string(),
        "firstName": found.first_name, "lastName": found.last_name,
        "displayName": format!("{} {}", found.first_name, found.last_name).trim(),
        "defaultPhoneNumber": found.phone.as_ref().map(|phone| json!({"phoneNumber": phone})),
        "defaultEmailAddress": found.email.as_ref().map(|email| json!({"emailAddress": email})),
        "phone": found.phone, "email": found.email,
        "defaultAddress": found.address.as_ref().map(|place| address(found.id, place)),
        "numberOfOrders": orders.len().to_string(),
        "amountSpent": {"amount": amount(spent), "currencyCode": "INR"},
        "createdAt": time(found.created), "updatedAt": time(found.created), "note": found.note, "tags": found.tags,
        "lastOrder": last.map(|order| link("Order", order.id)),
    })
}

pub(crate) fn product(found: &Product) -> Value {
    let stock: i64 = found.variants.iter().filter(|variant| variant.tracked).map(|variant| variant.stock).sum();
    json!({
        "id": gid("Product", found.id), "legacyResourceId": found.id.to_string(), "title": found.title,
        "handle": found.handle, "description": found.description, "status": found.status, "vendor": found.vendor,
        "productType": found.kind, "tags": found.tags, "totalInventory": stock, "createdAt": time(found.created),
        "updatedAt": time(found.created), "onlineStoreUrl": null,
        "variants": found.variants.iter().map(|variant| link("ProductVariant", variant.id)).collect::<Vec<_>>(),
    })
}

pub(crate) fn variant(product: &Product, found: &Variant) -> Value {
    let sold = product.status == "ACTIVE" && (!found.tracked || found.oversell || found.stock > 0);
    let quantity = if found.tracked { found.stock } else { 0 };
    json!({
        "id": gid("ProductVariant", found.id), "legacyResourceId": found.id.to_string(), "title": found.title,
        "displayName": format!("{} - {}", product.title, found.title), "sku": found.sku, "barcode": found.barcode,
        // A plain decimal, unlike the money bags of orders.
        "price": format!("{}.{:02}", found.price / 100, found.price % 100),
        "compareAtPrice": found.compare_at.map(|cents| format!("{}.{:02}", cents / 100, cents % 100)),
        "inventoryQuantity": quantity, "inventoryPolicy": if found.oversell { "CONTINUE" } else { "DENY" },
        "availableForSale": sold, "sellableOnlineQuantity": quantity, "product": link("Product", product.id),
        "inventoryItem": {
            "id": gid("InventoryItem", found.id), "sku": found.sku, "tracked": found.tracked,
            "inventoryLevels": [{
                "id": format!("{}?inventory_item_id={}", gid("InventoryLevel", found.id), found.id),
                "location": link("Location", LOCATION), "available": quantity,
            }],
        },
    })
}

/// The quantities of an inventory level that were asked for by name.
pub(crate) fn quantities(level: &Value, names: &Value) -> Value {
    let available = level["available"].as_i64().unwrap_or_default();
    let of = |name: &str| match name {
        "available" | "on_hand" => Some(available),
        "committed" | "incoming" | "reserved" | "damaged" | "safety_stock" | "quality_control" => Some(0),
        _ => None,
    };
    let names = names.as_array().into_iter().flatten().filter_map(Value::as_str);
    names.filter_map(|name| Some(json!({"name": name, "quantity": of(name)?}))).collect()
}

/// A draft order.
pub(crate) fn draft(shop: &Shop, found: &Draft) -> Value {
    let when = |at: Option<Time>| at.map(time);
    let lines = found.lines.iter().map(|line| {
        json!({"id": gid("DraftOrderLineItem", line.id), "title": line.title, "quantity": line.quantity,
            "sku": line.sku, "custom": line.variant.is_none(), "originalUnitPriceSet": money(line.unit_price),
            "variant": line.variant.map(|id| link("ProductVariant", id))})
    });
    json!({
        "id": gid("DraftOrder", found.id), "legacyResourceId": found.id.to_string(), "name": found.name,
        "status": found.status, "invoiceUrl": format!("https://{}/60001/invoices/{:x}", shop.domain, found.id * 7919),
        "invoiceSentAt": when(found.invoiced), "email": found.email, "phone": found.phone, "note2": found.note,
        "tags": found.tags, "createdAt": time(found.created), "updatedAt": time(found.updated),
        "completedAt": when(found.completed), "currencyCode": "INR", "totalPriceSet": money(found.total()),
        "subtotalPriceSet": money(found.total()),
        "shippingAddress": found.shipping_address.as_ref().map(|place| address(found.id, place)),
        "customer": found.customer.map(|id| link("Customer", id)),
        "order": found.order.map(|id| link("Order", id)), "lineItems": lines.collect::<Vec<_>>(),
    })
}
