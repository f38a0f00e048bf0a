//! `orderCancel`: accepted at once, done later, never undone.

use chrono::Duration;
use serde_json::{Value, json};

use super::data::{Job, Order, Refund, Shop, Time, Transaction, gid, link};
use super::mutations::{UserError, changed, order_mut, text};
use super::queries::{Arguments, View, given};

/// A job that nobody polls is done after this long.
const JOB_LONGEST: Duration = Duration::seconds(10);

/// Accepts a cancellation, or says in `orderCancelUserErrors` why not.
pub(crate) fn request(shop: &mut Shop, view: View, polls: u32, arguments: &Arguments) -> Value {
    match accepted(shop, view, polls, arguments) {
        Ok(job) => json!({"job": link("Job", job), "orderCancelUserErrors": [], "userErrors": []}),
        Err(error) => {
            // The older list repeats the newer one, without codes.
            let old = json!({"field": error.field, "message": error.message});
            json!({"job": null, "orderCancelUserErrors": [error.to_json()], "userErrors": [old]})
        }
    }
}

fn accepted(shop: &mut Shop, view: View, polls: u32, arguments: &Arguments) -> Result<u64, UserError> {
    let method = given(arguments, "refundMethod");
    if method.is_null() && given(arguments, "refund").is_null() {
        let message = "Refund method must be provided";
        return Err(UserError::coded(&["refundMethod"], message, "INVALID"));
    }
    if !method["storeCreditRefund"].is_null() {
        let message = "Store credit is not offered by this shop";
        return Err(UserError::coded(&["refundMethod"], message, "NO_REFUND_TO_STORE_CREDIT_PERMISSION"));
    }
    let Some(order) = order_mut(shop, view, given(arguments, "orderId")) else {
        return Err(UserError::coded(&["orderId"], "Order does not exist", "NOT_FOUND"));
    };
    let id = order.id;
    let pending = shop.jobs.values().any(|job| job.order == id && !job.done);
    if let Some(reason) = shop.orders.get(&id).and_then(|order| obstacle(order, pending)) {
        return Err(UserError::coded(&["orderId"], reason, "INVALID"));
    }
    let refund = method["originalPaymentMethodsRefund"].as_bool().or(given(arguments, "refund").as_bool());
    let job = Job {
        order: id,
        reason: text(given(arguments, "reason")).to_owned(),
        restock: given(arguments, "restock").as_bool() == Some(true),
        refund: refund == Some(true),
        polls_left: polls,
        at_latest: view.now + JOB_LONGEST,
        done: false,
    };
    let number = shop.fresh();
    shop.jobs.insert(number, job);
    shop.effect("orderCancel", gid("Order", id), &[], view.now);
    Ok(number)
}

/// The documented preconditions. A wholly shipped order has nothing outstanding and is cancelled, as has been
/// reported of the real shop: whoever asks has to look first.
fn obstacle(order: &Order, pending: bool) -> Option<&'static str> {
    let returning = order.returns.iter().any(|one| ["OPEN", "REQUESTED"].contains(&one.status.as_str()));
    let status = order.fulfillment_status();
    match () {
        () if order.cancelled.is_some() => Some("Order has already been cancelled"),
        () if pending => Some("Order is already being cancelled"),
        () if order.financial == "AUTHORIZED" => Some("Cannot cancel an order with a pending payment authorization"),
        () if returning => Some("Cannot cancel an order with active returns"),
        () if status == "PARTIALLY_FULFILLED" || order.packing && status != "FULFILLED" => {
            Some("Cannot cancel an order with outstanding fulfillments that cannot be cancelled")
        }
        () => None,
    }
}

/// Does what was accepted. A job that is done, or of no order, changes nothing.
pub(crate) fn finish(shop: &mut Shop, number: u64, now: Time) {
    let Some(job) = shop.jobs.get_mut(&number).filter(|job| !job.done) else { return };
    job.done = true;
    let job = job.clone();
    let (refund_id, transaction_id) = (shop.fresh(), shop.fresh());
    let Some(order) = shop.orders.get_mut(&job.order) else { return };
    order.cancelled = Some((now, job.reason.clone()));
    order.closed = Some(now);
    let back: Vec<(Option<u64>, i64)> = order
        .lines
        .iter()
        .map(|line| (line.variant, line.quantity - line.removed - order.fulfilled(line.id)))
        .collect();
    let lines: Vec<(u64, i64, String)> = order
        .lines
        .iter()
        .map(|line| (line.id, line.quantity - line.removed, "CANCEL".to_owned()))
        .filter(|(_, quantity, _)| *quantity > 0)
        .collect();
    for line in &mut order.lines {
        line.removed = line.quantity;
    }
    let owed = order.received() - order.refunded();
    let mut topics = vec!["orders/cancelled", "orders/updated"];
    if job.refund && owed > 0 {
        let parent = order.transactions.iter().find(|one| ["SALE", "CAPTURE"].contains(&one.kind.as_str()));
        let (parent, gateway) = (parent.map(|one| one.id), order.gateway.clone());
        let (kind, status) = ("REFUND".to_owned(), "SUCCESS".to_owned());
        order.transactions.push(Transaction {
            id: transaction_id,
            kind,
            status,
            gateway,
            amount: owed,
            created: now,
            parent,
        });
        let refund = Refund {
            id: refund_id,
            created: now,
            note: None,
            lines,
            transactions: vec![transaction_id],
            total: owed,
            shipping: order.shipping - order.shipping_refunded(),
        };
        order.refunds.push(refund);
        order.financial = "REFUNDED".to_owned();
        topics.push("refunds/create");
    } else if order.financial == "PENDING" {
        order.financial = "VOIDED".to_owned();
    }
    for (variant, quantity) in back.into_iter().filter(|_| job.restock) {
        shop.restock(variant, quantity.max(0));
    }
    changed(shop, job.order, &topics, now);
}
