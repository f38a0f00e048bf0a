//! `returnRequest` (a customer asks) and `returnCreate` (the shop agrees): only of what was shipped, and once.

use serde_json::Value;

use super::data::{Order, Return, Shop, gid, id_of, link};
use super::mutations::{Refused, UserError, changed, order_mut, text};
use super::queries::View;
use super::render::returning;

/// Makes a return from `{orderId, returnLineItems: [{fulfillmentLineItemId, quantity, returnReason}]}`.
///
/// # Errors
/// Items that are not there, not shipped, or in a return already.
pub(crate) fn create(shop: &mut Shop, view: View, mutation: &'static str, input: &Value) -> Result<Value, Refused> {
    let items = input["returnLineItems"].as_array().cloned().unwrap_or_default();
    let (id, first) = (shop.fresh(), shop.next_id + 1);
    shop.next_id += items.len() as u64;
    let refuse = |field: &[&'static str], message: &str, code| Err(vec![UserError::coded(field, message, code)]);
    let Some(order) = order_mut(shop, view, &input["orderId"]) else {
        return refuse(&["orderId"], "Order does not exist", "NOT_FOUND");
    };
    if items.is_empty() {
        return refuse(&["returnLineItems"], "Return line items can't be blank", "BLANK");
    }
    if order.cancelled.is_some() {
        return refuse(&["orderId"], "Order is cancelled", "INVALID_STATE");
    }
    let mut lines = Vec::new();
    for (item, own) in items.iter().zip(first..) {
        lines.push(read_item(order, item, own, &lines)?);
    }
    let status = if mutation == "returnRequest" { "REQUESTED" } else { "OPEN" };
    let name = format!("{}-R{}", order.name, order.returns.len() + 1);
    order.returns.push(Return { id, name, status: status.to_owned(), created: view.now, lines });
    let order_id = order.id;
    shop.effect(mutation, gid("Order", order_id), &[], view.now);
    changed(shop, order_id, &["orders/updated"], view.now);
    Ok(link("Return", id))
}

/// Calls a return off that nothing was done about yet.
///
/// # Errors
/// No such return, or it is over.
pub(crate) fn cancel(shop: &mut Shop, view: View, wanted: &Value) -> Result<Value, Refused> {
    let refuse = |message: &str, code| Err(vec![UserError::coded(&["id"], message, code)]);
    let id = id_of("Return", text(wanted));
    let found = shop.orders.values_mut().find_map(|order| {
        let order_id = order.id;
        order.returns.iter_mut().find(|one| Some(one.id) == id).map(|one| (order_id, one))
    });
    let Some((order_id, one)) = found else { return refuse("Return not found.", "NOT_FOUND") };
    if !matches!(one.status.as_str(), "REQUESTED" | "OPEN") {
        return refuse("Return is not cancelable.", "INVALID_STATE");
    }
    one.status = "CANCELED".to_owned();
    let id = one.id;
    shop.effect("returnCancel", gid("Return", id), &[], view.now);
    changed(shop, order_id, &["orders/updated"], view.now);
    Ok(link("Return", id))
}

type Item = (u64, u64, i64, String, Option<String>, String);

fn read_item(order: &Order, item: &Value, own: u64, taken: &[Item]) -> Result<Item, Refused> {
    let refuse = |field: &'static str, message: &str, code| {
        Err(vec![UserError::coded(&["returnLineItems", field], message, code)])
    };
    let wanted = id_of("FulfillmentLineItem", text(&item["fulfillmentLineItemId"]));
    let shipped = order.fulfillments.iter().flat_map(|one| &one.lines).find(|(id, _, _)| Some(*id) == wanted);
    let Some((line, _, quantity)) = shipped else {
        return refuse("fulfillmentLineItemId", "Fulfillment line item does not belong to the order", "NOT_FOUND");
    };
    let asked = item["quantity"].as_i64().unwrap_or_default();
    let here: i64 = taken.iter().filter(|other| other.1 == *line).map(|other| other.2).sum();
    if asked < 1 || asked > quantity - returning(order, *line) - here {
        let message = "Return line item has an invalid quantity: it is not returnable or in a return already";
        return refuse("quantity", message, "INVALID");
    }
    let Some(reason) = item["returnReason"].as_str() else {
        return refuse("returnReason", "Return reason can't be blank", "BLANK");
    };
    let note = item["customerNote"].as_str().map(str::to_owned);
    let reason_note = text(&item["returnReasonNote"]).to_owned();
    if reason == "OTHER" && reason_note.is_empty() && note.is_none() {
        return refuse("returnReasonNote", "Return reason note can't be blank", "BLANK");
    }
    Ok((own, *line, asked, reason.to_owned(), note, reason_note))
}
