//! `refundCreate` and `suggestedRefund`: money goes back once for a key, and never more than was paid.

use serde_json::{Value, json};

use super::data::{LOCATION, Order, Refund, Shop, Time, Transaction, gid, id_of, link};
use super::mutations::{Refused, UserError, changed, order_mut, payload, refuse, text};
use super::queries::{Arguments, View, given};
use super::render::{money, tax};
use super::values::decimal;

/// Keys kept; the oldest are not known any more, as with the real shop after a day.
const KEYS_MAX: usize = 5000;

/// Makes a refund, or answers what the same key was answered first.
pub(crate) fn create(shop: &mut Shop, view: View, input: &Value, key: Option<&str>) -> Value {
    let known = key.and_then(|key| shop.keys.iter().find(|(known, _, _)| known == key));
    if let Some((_, asked, answer)) = known {
        if asked == input {
            return answer.clone();
        }
        let message = "The same idempotency key cannot be used with different operation parameters.";
        return refused(vec![UserError::new(&["idempotencyKey"], message)]);
    }
    let answer = match made(shop, view, input) {
        Ok((order, refund)) => {
            json!({"order": link("Order", order), "refund": link("Refund", refund), "userErrors": []})
        }
        Err(errors) => refused(errors),
    };
    if let Some(key) = key {
        if shop.keys.len() >= KEYS_MAX {
            shop.keys.pop_front();
        }
        shop.keys.push_back((key.to_owned(), input.clone(), answer.clone()));
    }
    answer
}

/// Refunds of one order.
const REFUNDS_MAX: usize = 100;

fn refused(errors: Refused) -> Value {
    let mut refused = payload("refund", Err(errors));
    refused["order"] = Value::Null;
    refused
}

type Lines = Vec<(u64, i64, String)>;

fn made(shop: &mut Shop, view: View, input: &Value) -> Result<(u64, u64), Refused> {
    let ids = (shop.fresh(), shop.fresh());
    let Some(order) = order_mut(shop, view, &input["orderId"]) else {
        return refuse(&["orderId"], "Order does not exist");
    };
    let sent = |key: &str| input[key].as_array().is_some_and(|list| !list.is_empty());
    if sent("refundMethods") {
        return refuse(&["refundMethods"], "Store credit is not offered by this shop");
    }
    if sent("refundDuties") {
        return refuse(&["refundDuties"], "Order has no duties");
    }
    if input["currency"].as_str().is_some_and(|currency| currency != "INR") {
        return refuse(&["currency"], "Currency does not match the order's");
    }
    if order.refunds.len() >= REFUNDS_MAX {
        return refuse(&["orderId"], "Order has too many refunds");
    }
    let lines = read_lines(order, &input["refundLineItems"])?;
    let shipping = read_shipping(order, &input["shipping"])?;
    let transactions = read_transactions(order, input, ids.1, view.now)?;
    if lines.is_empty() && shipping == 0 && transactions.is_empty() {
        return refuse(&[], "Refund must have at least one line item, shipping or transaction");
    }
    let total = transactions.iter().map(|transaction| transaction.amount).sum();
    let id = order.id;
    let mut back = Vec::new();
    for (line, quantity, restock) in &lines {
        if let Some(line) = order.lines.iter_mut().find(|known| known.id == *line) {
            line.removed += quantity;
            back.extend((restock != "NO_RESTOCK").then_some((line.variant, *quantity)));
        }
    }
    let note = input["note"].as_str().map(str::to_owned);
    let kept = transactions.iter().map(|transaction| transaction.id).collect();
    order.transactions.extend(transactions);
    order.refunds.push(Refund { id: ids.0, created: view.now, note, lines, transactions: kept, total, shipping });
    if total > 0 {
        let all = order.refunded() >= order.received();
        order.financial = if all { "REFUNDED" } else { "PARTIALLY_REFUNDED" }.to_owned();
    }
    for (variant, quantity) in back {
        shop.restock(variant, quantity);
    }
    // Ids of further transactions follow the first one's.
    shop.next_id += 20;
    shop.effect("refundCreate", gid("Order", id), &[], view.now);
    changed(shop, id, &["refunds/create", "orders/updated"], view.now);
    Ok((id, ids.0))
}

fn read_lines(order: &Order, input: &Value) -> Result<Lines, Refused> {
    let mut lines: Lines = Vec::new();
    for item in input.as_array().into_iter().flatten() {
        let id = id_of("LineItem", text(&item["lineItemId"]));
        let Some(line) = order.lines.iter().find(|line| Some(line.id) == id) else {
            return refuse(&["refundLineItems", "lineItemId"], "Line item does not belong to the order");
        };
        let (quantity, restock) = (item["quantity"].as_i64().unwrap_or_default(), item["restockType"].as_str());
        let taken: i64 = lines.iter().filter(|(known, _, _)| *known == line.id).map(|(_, quantity, _)| quantity).sum();
        let left = line.quantity - line.removed - taken;
        if quantity < 1 || quantity > left {
            let message = "Quantity cannot refund more items than were purchased";
            return refuse(&["refundLineItems", "quantity"], message);
        }
        let restock = restock.unwrap_or("NO_RESTOCK");
        if restock == "RETURN" && id_of("Location", text(&item["locationId"])) != Some(LOCATION) {
            return refuse(&["refundLineItems", "locationId"], "Location must be present for the restock type return");
        }
        if restock == "CANCEL" && quantity > line.quantity - order.fulfilled(line.id) {
            let message = "Restock type cancel is for items that have not been fulfilled";
            return refuse(&["refundLineItems", "restockType"], message);
        }
        lines.push((line.id, quantity, restock.to_owned()));
    }
    Ok(lines)
}

fn read_shipping(order: &Order, input: &Value) -> Result<i64, Refused> {
    let left = order.shipping - order.shipping_refunded();
    if input["fullRefund"].as_bool() == Some(true) {
        return Ok(left);
    }
    let amount = input["amount"].as_str().and_then(decimal).unwrap_or_default();
    if !(0..=left).contains(&amount) {
        return refuse(&["shipping"], "Shipping refund amount exceeds the refundable shipping");
    }
    Ok(amount)
}

fn read_transactions(order: &Order, input: &Value, first: u64, now: Time) -> Result<Vec<Transaction>, Refused> {
    const FIELD: &str = "transactions";
    let mut read = Vec::new();
    let list = input["transactions"].as_array().cloned().unwrap_or_default();
    if list.len() > 20 {
        return refuse(&[FIELD], "Too many transactions");
    }
    for (item, id) in list.iter().zip(first..) {
        if id_of("Order", text(&item["orderId"])) != Some(order.id) {
            return refuse(&[FIELD, "orderId"], "Transaction does not belong to the order");
        }
        if text(&item["kind"]) != "REFUND" {
            return refuse(&[FIELD, "kind"], "Kind must be refund");
        }
        let parent = id_of("OrderTransaction", text(&item["parentId"]));
        let parent = order.transactions.iter().find(|one| Some(one.id) == parent);
        let Some(parent) = parent.filter(|one| ["SALE", "CAPTURE"].contains(&one.kind.as_str())) else {
            return refuse(&[FIELD, "parentId"], "Parent transaction must be a sale or a capture of the order");
        };
        let gateway = text(&item["gateway"]);
        if gateway != parent.gateway {
            return refuse(&[FIELD, "gateway"], "Gateway does not match the parent transaction");
        }
        let amount = item["amount"].as_str().and_then(decimal).unwrap_or_default();
        if amount <= 0 {
            return refuse(&[FIELD, "amount"], "Amount must be greater than zero");
        }
        let (kind, status) = ("REFUND".to_owned(), "SUCCESS".to_owned());
        let (gateway, parent) = (gateway.to_owned(), Some(parent.id));
        read.push(Transaction { id, kind, status, gateway, amount, created: now, parent });
    }
    let total: i64 = read.iter().map(|transaction| transaction.amount).sum();
    let over = input["allowOverRefunding"].as_bool() == Some(true);
    if !over && total > order.received() - order.refunded() {
        return refuse(&[FIELD], "Refund amount exceeds the total available to refund");
    }
    Ok(read)
}

/// What the shop would pay back, and through which transactions.
pub(crate) fn suggested(order: &Order, arguments: &Arguments) -> Value {
    let full = given(arguments, "suggestFullRefund").as_bool() == Some(true);
    let list = given(arguments, "refundLineItems").as_array().cloned().unwrap_or_default();
    let asked = |id: u64| -> i64 {
        let ours = list.iter().filter(|item| id_of("LineItem", text(&item["lineItemId"])) == Some(id));
        ours.filter_map(|item| item["quantity"].as_i64()).sum()
    };
    let shares = order.lines.iter().map(|line| {
        let left = line.quantity - line.removed;
        line.share(if full { left } else { asked(line.id).clamp(0, left) })
    });
    let subtotal: i64 = shares.sum();
    let shipping_left = order.shipping - order.shipping_refunded();
    let shipping = match given(arguments, "shippingAmount").as_str().and_then(decimal) {
        Some(amount) => amount.clamp(0, shipping_left),
        None if full || given(arguments, "refundShipping").as_bool() == Some(true) => shipping_left,
        None => 0,
    };
    let most = (order.received() - order.refunded()).max(0);
    let mut left = (subtotal + shipping).min(most);
    let amount = left;
    let mut transactions = Vec::new();
    for paid in order.transactions.iter().filter(|one| ["SALE", "CAPTURE"].contains(&one.kind.as_str())) {
        let back = order.transactions.iter().filter(|one| one.parent == Some(paid.id) && one.kind == "REFUND");
        let free = paid.amount - back.map(|one| one.amount).sum::<i64>();
        let part = left.min(free);
        left -= part;
        if part > 0 {
            transactions.push(json!({"gateway": paid.gateway, "formattedGateway": paid.gateway,
                "kind": "SUGGESTED_REFUND", "amountSet": money(part), "maximumRefundableSet": money(free),
                "parentTransaction": link("OrderTransaction", paid.id)}));
        }
    }
    json!({"amountSet": money(amount), "maximumRefundableSet": money(most), "subtotalSet": money(subtotal),
        "discountedSubtotalSet": money(subtotal), "totalTaxSet": money(tax(subtotal)),
        "shipping": {"amountSet": money(shipping), "maximumRefundableSet": money(shipping_left)},
        "suggestedTransactions": transactions})
}
