//! Draft orders: made, sent as an invoice, completed into an order.

use std::collections::VecDeque;

use serde_json::Value;

use super::data::{Draft, Line, Order, QUANTITY_MAX, Shop, Time, Transaction, gid, id_of, link};
use super::mutations::{Refused, TAGS_MAX, changed, is_email, is_phone, read_address, refuse, text, tidy_tags};
use super::queries::{self, Arguments, given};
use super::values::decimal;

const LINES_MAX: usize = 499;
/// Drafts kept; more are refused, for a simulator must not grow without end.
const DRAFTS_MAX: usize = 10_000;

/// Makes a draft.
///
/// # Errors
/// No lines, unknown variants, bad numbers, addresses or customers.
pub(crate) fn create(shop: &mut Shop, now: Time, input: &Value) -> Result<Value, Refused> {
    if shop.drafts.len() >= DRAFTS_MAX {
        return refuse(&[], "Too many draft orders");
    }
    let lines = read_lines(shop, &input["lineItems"])?;
    let (email, phone) = (input["email"].as_str(), input["phone"].as_str());
    if email.is_some_and(|email| !is_email(email)) {
        return refuse(&["email"], "Email is invalid");
    }
    if phone.is_some_and(|phone| !is_phone(phone)) {
        return refuse(&["phone"], "Phone is invalid");
    }
    let customer = match input["purchasingEntity"]["customerId"].as_str() {
        None => None,
        Some(id) => match id_of("Customer", id).filter(|id| shop.customers.contains_key(id)) {
            Some(id) => Some(id),
            None => return refuse(&["purchasingEntity", "customerId"], "Customer does not exist"),
        },
    };
    let tags = input["tags"].as_array().map(|tags| tidy_tags(tags)).unwrap_or_default();
    if tags.len() > TAGS_MAX {
        return refuse(&["tags"], "Tags exceed the maximum of 250");
    }
    let known = customer.and_then(|id| shop.customers.get(&id)).cloned();
    let shipping_address = match &input["shippingAddress"] {
        Value::Null if input["useCustomerDefaultAddress"].as_bool() == Some(true) => {
            known.as_ref().and_then(|customer| customer.address.clone())
        }
        Value::Null => None,
        address => Some(read_address(address, "shippingAddress")?),
    };
    let subtotal: i64 = lines.iter().map(Line::total).sum();
    let discount = discount_of(&input["appliedDiscount"], subtotal);
    let id = shop.fresh();
    // A number is not given twice, also after one was taken away.
    let name = format!("#D{}", shop.drafted + 1);
    shop.drafted += 1;
    let mut draft = Draft {
        id,
        name,
        status: "OPEN".to_owned(),
        email: email.map(str::to_owned).or_else(|| known.as_ref()?.email.clone()),
        phone: phone.map(str::to_owned),
        note: input["note"].as_str().map(str::to_owned),
        tags: tags.clone(),
        customer,
        shipping_address,
        discount,
        lines,
        created: now,
        updated: now,
        invoiced: None,
        completed: None,
        order: None,
        indexed: VecDeque::new(),
    };
    queries::index_draft(&mut draft, now);
    shop.drafts.insert(id, draft);
    shop.effect("draftOrderCreate", gid("DraftOrder", id), &tags, now);
    Ok(link("DraftOrder", id))
}

fn read_lines(shop: &mut Shop, input: &Value) -> Result<Vec<Line>, Refused> {
    let items = input.as_array().cloned().unwrap_or_default();
    if items.is_empty() {
        return refuse(&["lineItems"], "Add at least 1 product");
    }
    if items.len() > LINES_MAX {
        return refuse(&["lineItems"], "Cannot have more than 499 line items");
    }
    let mut lines = Vec::new();
    for item in &items {
        let quantity = item["quantity"].as_i64().unwrap_or_default();
        if !(1..=QUANTITY_MAX).contains(&quantity) {
            return refuse(&["lineItems", "quantity"], "Quantity must be greater than or equal to 1 and at most 10000");
        }
        let price = item["originalUnitPriceWithCurrency"]["amount"].as_str().and_then(decimal);
        let mut line = match item["variantId"].as_str() {
            Some(id) => match id_of("ProductVariant", id).and_then(|id| shop.variant(id)) {
                Some((product, variant)) => Line {
                    id: 0,
                    variant: Some(variant.id),
                    title: product.title.clone(),
                    variant_title: (variant.title != "Default Title").then(|| variant.title.clone()),
                    sku: Some(variant.sku.clone()),
                    quantity,
                    unit_price: variant.price,
                    discount: 0,
                    removed: 0,
                },
                None => return refuse(&["lineItems", "variantId"], "Product with that ID is no longer available"),
            },
            None => match (item["title"].as_str().filter(|title| !title.is_empty()), price) {
                (Some(title), Some(price)) if price >= 0 => Line {
                    id: 0,
                    variant: None,
                    title: title.to_owned(),
                    variant_title: None,
                    sku: item["sku"].as_str().map(str::to_owned),
                    quantity,
                    unit_price: price,
                    discount: 0,
                    removed: 0,
                },
                _ => return refuse(&["lineItems"], "Title and price can't be blank for a custom line item"),
            },
        };
        line.discount = discount_of(&item["appliedDiscount"], line.unit_price * quantity);
        line.id = shop.fresh();
        lines.push(line);
    }
    Ok(lines)
}

fn discount_of(input: &Value, of: i64) -> i64 {
    let value = input["value"].as_f64().unwrap_or_default();
    let off = match text(&input["valueType"]) {
        "PERCENTAGE" => of as f64 * value / 100.0,
        _ => value * 100.0,
    };
    (off.round() as i64).clamp(0, of)
}

/// Turns a draft into an order: paid, or to be paid later.
///
/// # Errors
/// No such draft, or it is an order already.
pub(crate) fn complete(shop: &mut Shop, now: Time, arguments: &Arguments) -> Result<Value, Refused> {
    let id = id_of("DraftOrder", text(given(arguments, "id")));
    let Some(draft) = id.and_then(|id| shop.drafts.get(&id)).cloned() else {
        return refuse(&["id"], "Draft order does not exist");
    };
    if draft.status == "COMPLETED" {
        return refuse(&[], "This order has been paid");
    }
    let pending = given(arguments, "paymentPending").as_bool() == Some(true);
    let order = order_from(shop, &draft, pending, now);
    let (order_id, name) = (order.id, gid("DraftOrder", draft.id));
    for line in &order.lines {
        shop.restock(line.variant, -line.quantity);
    }
    shop.orders.insert(order_id, order);
    if let Some(draft) = shop.drafts.get_mut(&draft.id) {
        (draft.status, draft.order) = ("COMPLETED".to_owned(), Some(order_id));
        (draft.completed, draft.updated) = (Some(now), now);
        queries::index_draft(draft, now);
    }
    shop.effect("draftOrderComplete", name, &draft.tags, now);
    changed(shop, order_id, &["orders/create", "orders/updated"], now);
    Ok(link("DraftOrder", draft.id))
}

fn order_from(shop: &mut Shop, draft: &Draft, pending: bool, now: Time) -> Order {
    let (id, sale, number) = (shop.fresh(), shop.fresh(), shop.next_number);
    shop.next_number += 1;
    let mut lines = draft.lines.clone();
    for line in &mut lines {
        line.id = shop.fresh();
    }
    if let Some(first) = lines.first_mut() {
        first.discount = (first.discount + draft.discount).min(first.unit_price * first.quantity);
    }
    let gateway = "manual".to_owned();
    let paid = Transaction {
        id: sale,
        kind: "SALE".to_owned(),
        status: "SUCCESS".to_owned(),
        gateway: gateway.clone(),
        amount: draft.total(),
        created: now,
        parent: None,
    };
    Order {
        id,
        number,
        name: format!("{}{number}", shop.prefix),
        confirmation: format!("SIM{id:06X}"),
        email: draft.email.clone(),
        phone: draft.phone.clone(),
        created: now,
        updated: now,
        cancelled: None,
        closed: None,
        test: false,
        note: draft.note.clone(),
        tags: draft.tags.clone(),
        po_number: None,
        attributes: Vec::new(),
        gateway,
        financial: if pending { "PENDING" } else { "PAID" }.to_owned(),
        on_hold: false,
        packing: false,
        shipping: 0,
        customer: draft.customer,
        shipping_address: draft.shipping_address.clone(),
        lines,
        fulfillments: Vec::new(),
        transactions: if pending { Vec::new() } else { vec![paid] },
        refunds: Vec::new(),
        returns: Vec::new(),
        indexed: VecDeque::new(),
    }
}

/// Takes a draft away that is no order yet.
///
/// # Errors
/// No such draft, or it is an order already.
pub(crate) fn delete(shop: &mut Shop, now: Time, wanted: &Value) -> Result<Value, Refused> {
    let id = id_of("DraftOrder", text(wanted)).filter(|id| shop.drafts.contains_key(id));
    let Some(draft) = id.and_then(|id| shop.drafts.get(&id)).cloned() else {
        return refuse(&["id"], "Draft order not found");
    };
    if draft.status == "COMPLETED" {
        return refuse(&[], "Draft order has been completed and can't be deleted");
    }
    shop.drafts.remove(&draft.id);
    shop.effect("draftOrderDelete", gid("DraftOrder", draft.id), &draft.tags, now);
    Ok(Value::from(gid("DraftOrder", draft.id)))
}

/// Sends the invoice of an open draft.
///
/// # Errors
/// No such draft, it is completed, or nobody to send it to.
pub(crate) fn send_invoice(shop: &mut Shop, now: Time, arguments: &Arguments) -> Result<Value, Refused> {
    let id = id_of("DraftOrder", text(given(arguments, "id")));
    let Some(draft) = id.and_then(|id| shop.drafts.get_mut(&id)) else {
        return refuse(&["id"], "Draft order not found");
    };
    if draft.status == "COMPLETED" {
        return refuse(&[], "Draft order has been completed");
    }
    let to = given(arguments, "email")["to"].as_str().map(str::to_owned).or_else(|| draft.email.clone());
    match to {
        None => return refuse(&["email", "to"], "To can't be blank"),
        Some(to) if !is_email(&to) => return refuse(&["email", "to"], "To is invalid"),
        Some(_) => {}
    }
    (draft.status, draft.invoiced, draft.updated) = ("INVOICE_SENT".to_owned(), Some(now), now);
    queries::index_draft(draft, now);
    let (id, tags) = (draft.id, draft.tags.clone());
    shop.effect("draftOrderInvoiceSend", gid("DraftOrder", id), &tags, now);
    Ok(link("DraftOrder", id))
}
