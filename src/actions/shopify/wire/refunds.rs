//! What was paid back of an order. It is read, never made: the shop's people decide what goes back.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::{MoneyBag, Nodes, Operation, WireTitle, money, part, read, text};
use crate::actions::shopify::cache::About;
use crate::actions::shopify::order::{Line, Refund};

pub(in crate::actions::shopify) const REFUNDS: Operation = read(
    "refunds",
    About::Orders,
    "query($id: ID!) { order(id: $id) { refunds(first: 10) { createdAt \
     totalRefundedSet { shopMoney { amount currencyCode } } \
     refundLineItems(first: 20) { nodes { quantity lineItem { title variantTitle } } } \
     transactions(first: 5) { nodes { status formattedGateway processedAt } } } } }",
);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireRefund {
    created_at: Option<DateTime<Utc>>,
    total_refunded_set: MoneyBag,
    refund_line_items: Nodes<WireRefundLine>,
    transactions: Nodes<WireTransaction>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireRefundLine {
    quantity: i64,
    line_item: WireTitle,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireTransaction {
    status: Option<String>,
    formatted_gateway: Option<String>,
    processed_at: Option<DateTime<Utc>>,
}

/// What an answer to [`REFUNDS`] says went back, in the shop's order.
pub(in crate::actions::shopify) fn refunds(data: &Value) -> Result<Vec<Refund>, String> {
    if part::<Value>(data, "/order")?.is_null() {
        return Ok(Vec::new());
    }
    part::<Vec<WireRefund>>(data, "/order/refunds")?.into_iter().map(WireRefund::refund).collect()
}

impl WireRefund {
    fn refund(self) -> Result<Refund, String> {
        let line = |line: WireRefundLine| Line {
            title: line.line_item.title,
            variant: text(line.line_item.variant_title),
            quantity: line.quantity,
        };
        let ways: Vec<WireTransaction> = self.transactions.nodes;
        // One that failed or waits says more than one that went well.
        let worst = ways.iter().find(|way| way.status.as_deref() != Some("SUCCESS")).or_else(|| ways.first());
        Ok(Refund {
            at: worst.and_then(|way| way.processed_at).or(self.created_at),
            amount: money(self.total_refunded_set)?,
            status: worst.and_then(|way| way.status.clone()).unwrap_or_default(),
            way: worst.and_then(|way| way.formatted_gateway.clone()).unwrap_or_default(),
            lines: self.refund_line_items.nodes.into_iter().map(line).collect(),
        })
    }
}
