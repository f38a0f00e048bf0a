//! What callers may know: their orders and where they are. Nothing here changes anything.

use caly_actors::ports::ActionError;
use serde_json::{Value, json};

use super::asked::{Asked, misread};
use super::order::Order;
use super::telling::plain;
use super::wire;

impl Asked<'_> {
    pub(super) async fn find_orders(&self) -> Result<Value, ActionError> {
        let orders = match (self.text("order_number"), self.text("email")) {
            (Some(number), _) => vec![self.named(number).await?],
            // Which orders an address has is known to many; only those of the number that rings are told.
            (None, Some(email)) if self.claim.number.is_some() => self.by_email(email).await?,
            (None, _) => self.own().await?,
        };
        Ok(json!({ "orders": orders.iter().map(|order| self.brief(order)).collect::<Vec<_>>() }))
    }

    pub(super) async fn order_status(&self) -> Result<Value, ActionError> {
        if let Some(number) = self.text("order_number") {
            return Ok(self.whole(&self.named(number).await?));
        }
        let orders = self.own().await?;
        let (latest, others) = latest(&orders).ok_or_else(|| super::asked::refused("which order?"))?;
        let mut told = self.whole(latest);
        if !others.is_empty() {
            told["other_orders"] = json!(others.iter().map(|order| plain(&order.name)).collect::<Vec<_>>());
        }
        Ok(told)
    }

    /// Money that went back. What goes back is decided by the shop's people: nothing here moves any.
    pub(super) async fn refund_status(&self) -> Result<Value, ActionError> {
        let order = match self.text("order_number") {
            Some(number) => self.named(number).await?,
            None => {
                let orders = self.own().await?;
                let refunded = |order: &&Order| matches!(order.payment.as_str(), "REFUNDED" | "PARTIALLY_REFUNDED");
                let meant = orders.iter().find(refunded).or_else(|| orders.first());
                meant.cloned().ok_or_else(|| super::asked::refused("which order?"))?
            }
        };
        let data = self.read(wire::REFUNDS, json!({ "id": order.id })).await?;
        Ok(self.refunds(&order, &wire::refunds(&data).map_err(misread)?))
    }
}

/// The order that is most likely meant: the latest that is not over, else the latest.
fn latest(orders: &[Order]) -> Option<(&Order, Vec<&Order>)> {
    let over = |order: &&Order| matches!(order.state(), "cancelled" | "delivered" | "returned");
    let one = orders.iter().find(|order| !over(order)).or_else(|| orders.first())?;
    Some((one, orders.iter().filter(|order| order.id != one.id).collect()))
}
