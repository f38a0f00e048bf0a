//! An order in words that can be said: short, in the caller's time, without ids and without what the shop wrote.

use chrono::{DateTime, FixedOffset};
use serde_json::{Value, json};

use super::asked::Asked;
use super::order::{Line, Order, Parcel, Refund, Step};

/// Longest text of the shop's that is told: a courier's name, a city, a title.
const TEXT_MAX: usize = 80;

/// Text from outside as data: one line, and not longer than can be said.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT_MAX).collect::<String>().trim().to_owned()
}

/// `Saturday 28 November`.
fn day(at: DateTime<FixedOffset>) -> String {
    at.format("%A %-d %B").to_string()
}

/// How it is paid, in words.
fn payment(order: &Order) -> String {
    match order.payment.as_str() {
        "PAID" => "paid".to_owned(),
        "REFUNDED" => "refunded".to_owned(),
        "PARTIALLY_REFUNDED" => "refunded in part".to_owned(),
        "VOIDED" | "EXPIRED" => "not charged".to_owned(),
        "AUTHORIZED" => "reserved, not charged yet".to_owned(),
        _ if order.outstanding.hundredths <= 0 => "nothing is due".to_owned(),
        _ if order.cash_on_delivery => format!("cash on delivery, {} due", order.outstanding.said()),
        _ => format!("{} due", order.outstanding.said()),
    }
}

fn step_words(status: &str) -> &'static str {
    match status {
        "ATTEMPTED_DELIVERY" => "delivery was tried",
        "CARRIER_PICKED_UP" => "picked up by the courier",
        "CONFIRMED" => "confirmed by the courier",
        "DELAYED" => "delayed",
        "DELIVERED" => "delivered",
        "FAILURE" => "the courier reported a failure",
        "LABEL_PRINTED" | "LABEL_PURCHASED" => "packed",
        "OUT_FOR_DELIVERY" => "out for delivery",
        "READY_FOR_PICKUP" => "ready to be picked up",
        _ => "on its way",
    }
}

/// How far the money of a refund has come, in words.
fn money_back(refund: &Refund) -> &'static str {
    match refund.status.as_str() {
        _ if refund.amount.hundredths <= 0 => "no money was to go back",
        "SUCCESS" => "the shop has sent it; the bank may take some days to show it",
        "PENDING" | "AWAITING_RESPONSE" | "" => "it is being sent",
        _ => "it did not go through: offer a person",
    }
}

impl Asked<'_> {
    /// What went back of an order.
    pub(super) fn refunds(&self, order: &Order, refunds: &[Refund]) -> Value {
        let one = |refund: &Refund| {
            let mut told = json!({ "amount": refund.amount.said(), "state": money_back(refund) });
            if let Some(at) = refund.at {
                told["on"] = json!(day(self.local(at)));
            }
            if !refund.way.is_empty() && refund.amount.hundredths > 0 {
                told["how"] = json!(format!("back the way it was paid: {}", plain(&refund.way)));
            }
            if !refund.lines.is_empty() {
                told["for"] = json!(refund.lines.iter().map(Line::said).map(|line| plain(&line)).collect::<Vec<_>>());
            }
            told
        };
        let mut told = json!({ "order": plain(&order.name), "payment": payment(order),
            "refunds": refunds.iter().map(one).collect::<Vec<_>>() });
        if refunds.is_empty() {
            told["then"] =
                json!("nothing was refunded; whether anything will be is for the shop's people: offer a person");
        }
        told
    }

    /// For a list.
    pub(super) fn brief(&self, order: &Order) -> Value {
        let mut told = json!({
            "order": plain(&order.name),
            "state": order.state(),
            "items": items(order),
            "total": order.total.said(),
        });
        if let Some(placed) = order.placed {
            told["placed"] = json!(day(self.local(placed)));
        }
        told
    }

    /// All that a caller asks of an order.
    pub(super) fn whole(&self, order: &Order) -> Value {
        let mut told = self.brief(order);
        told["payment"] = json!(payment(order));
        if let Some(cancelled) = order.cancelled {
            told["cancelled_on"] = json!(day(self.local(cancelled)));
            return told;
        }
        let Some(parcel) = order.sent().last() else { return told };
        self.add_parcel(&mut told, parcel);
        let parcels = order.sent().count();
        if parcels > 1 {
            told["parcels"] = json!(format!("{parcels}; this is the latest"));
        }
        told
    }

    fn add_parcel(&self, told: &mut Value, parcel: &Parcel) {
        match (parcel.delivered, parcel.expected) {
            (Some(delivered), _) => told["delivered_on"] = json!(day(self.local(delivered))),
            (None, Some(expected)) => told["expected"] = json!(day(self.local(expected))),
            (None, None) => {}
        }
        for (name, text) in [("courier", &parcel.courier), ("tracking_number", &parcel.tracking)] {
            if !text.is_empty() {
                told[name] = json!(plain(text));
            }
        }
        if let Some(step) = &parcel.last {
            told["last_event"] = json!(self.step(step));
        }
    }

    fn step(&self, step: &Step) -> String {
        let place = if step.place.is_empty() { String::new() } else { format!(" in {}", plain(&step.place)) };
        let at = step.at.map(|at| self.local(at).format(" on %A %-d %B at %H:%M").to_string());
        format!("{}{place}{}", step_words(&step.status), at.unwrap_or_default())
    }
}

/// What is in an order.
pub(super) fn items(order: &Order) -> Vec<String> {
    order.lines.iter().take(10).map(|line| plain(&line.said())).collect()
}
