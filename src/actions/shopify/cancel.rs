//! Cancelling an order. The shop carries it out later and has no key that would make a repeat harmless: so the order is
//! read before, waited for after, and a lost answer is asked for by reading, never by cancelling again.

use std::time::{Duration, Instant};

use caly_actors::ports::ActionError;
use serde_json::{Value, json};

use super::answer::Fault;
use super::asked::{Asked, refused, unheard, unread};
use super::order::{Money, Order};
use super::telling::{items, plain};
use super::wire;

/// Between two looks at whether the shop has done it.
const LOOK: Duration = Duration::from_millis(400);
/// Longest reason noted for the shop's people.
const REASON_MAX: usize = 200;

/// Why this order cannot be cancelled.
fn obstacle(order: &Order) -> Option<String> {
    if order.cancelled.is_some() {
        return Some("this order is cancelled already".to_owned());
    }
    if order.being_returned() {
        return Some("a return is under way for this order: offer a person".to_owned());
    }
    let state = order.state();
    (!order.is_untouched()).then(|| {
        format!("it is {state}, so it cannot be cancelled any more: a return can be asked for once it is delivered")
    })
}

/// What becomes of the money.
fn refund(order: &Order) -> String {
    let paid = Money {
        hundredths: order.total.hundredths - order.outstanding.hundredths,
        currency: order.total.currency.clone(),
    };
    match order.payment.as_str() {
        "PAID" | "PARTIALLY_PAID" | "PARTIALLY_REFUNDED" if paid.hundredths > 0 => {
            format!("{} goes back the way it was paid", paid.said())
        }
        "AUTHORIZED" => "the reserved money is set free".to_owned(),
        // Of an order that is cancelled already: how much it was is not told with it any more.
        "REFUNDED" => "the money goes back the way it was paid".to_owned(),
        _ => "nothing was paid, so nothing goes back".to_owned(),
    }
}

impl Asked<'_> {
    pub(super) async fn plan_cancel(&self) -> Result<Value, ActionError> {
        let order = self.to_change().await?;
        if let Some(why) = obstacle(&order) {
            return Err(refused(why));
        }
        Ok(json!({ "cancel_order": {
            "order": plain(&order.name),
            "items": items(&order),
            "total": order.total.said(),
            "refund": refund(&order),
            "cannot_be_undone": true,
        } }))
    }

    pub(super) async fn cancel(&self) -> Result<Value, ActionError> {
        let order = self.to_change().await?;
        if order.cancelled.is_some() {
            return Ok(self.cancelled(&order));
        }
        if let Some(why) = obstacle(&order) {
            return Err(refused(why));
        }
        let variables = json!({ "id": order.id, "note": self.note() });
        match self.shop.api.write(&self.door, wire::CANCEL, &variables, self.soon()).await {
            // Its job may be unreadable; that it was accepted is known.
            Ok(data) => self.await_cancel(&order, wire::cancel_job(&data).ok()).await,
            Err(Fault::Lost) => self.await_cancel(&order, None).await,
            Err(Fault::NotAccepted(told)) => match self.anew(&order.id).await {
                // Somebody was quicker.
                Ok(Some(now)) if now.cancelled.is_some() => Ok(self.cancelled(&now)),
                _ => Err(unread(Fault::NotAccepted(told))),
            },
            Err(fault) => Err(unread(fault)),
        }
    }

    /// Asked again after its answer was lost, perhaps when the call is long over: what became of it is told, nothing done.
    pub(super) async fn cancel_again(&self) -> Result<Value, ActionError> {
        let order = self.to_change().await.map_err(unheard)?;
        let settled = self.settled(&order.id, |order| order.cancelled.is_some()).await?;
        match settled {
            Some(order) => Ok(self.cancelled(&order)),
            None => Err(self.not_seen()),
        }
    }

    fn cancelled(&self, order: &Order) -> Value {
        json!({ "cancelled": true, "order": plain(&order.name), "refund": refund(order) })
    }

    fn note(&self) -> String {
        let reason: String = self.text("reason").unwrap_or("none given").chars().take(REASON_MAX).collect();
        format!("Cancelled in a call to the assistant. Reason: {reason}")
    }

    /// Waits until the order is cancelled, its job is over without that, or there is no more time.
    async fn await_cancel(&self, order: &Order, mut job: Option<(String, bool)>) -> Result<Value, ActionError> {
        loop {
            if let Some((id, done)) = &mut job
                && !*done
            {
                *done = self.job_done(id).await;
            }
            let over = job.as_ref().is_some_and(|(_, done)| *done);
            match self.anew(&order.id).await {
                // As it was before: what was paid stands on that one.
                Ok(Some(now)) if now.cancelled.is_some() => return Ok(self.cancelled(order)),
                Ok(_) if over => return Err(refused("the shop did not cancel it: offer a person")),
                Ok(_) | Err(_) => {}
            }
            if Instant::now() + LOOK >= self.soon() {
                return Err(ActionError::Unknown("the shop has not said yet whether it was cancelled".to_owned()));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// A job that cannot be asked about now is asked about again.
    async fn job_done(&self, id: &str) -> bool {
        let asked = self.shop.api.read_anew(&self.door, wire::JOB, &json!({ "id": id }), self.soon()).await;
        asked.is_ok_and(|data| wire::job_done(&data).unwrap_or_default())
    }

    /// The order once something is true of it; `None` if it was still not when time was up.
    pub(super) async fn settled(
        &self,
        id: &str,
        is_done: impl Fn(&Order) -> bool,
    ) -> Result<Option<Order>, ActionError> {
        loop {
            let now = self.anew(id).await;
            match now {
                Ok(Some(order)) if is_done(&order) => return Ok(Some(order)),
                Ok(_) | Err(_) if Instant::now() + LOOK < self.soon() => tokio::time::sleep(LOOK).await,
                Ok(_) => return Ok(None),
                Err(_) => return Err(ActionError::Unknown("the shop cannot be asked whether it was done".to_owned())),
            }
        }
    }
}
