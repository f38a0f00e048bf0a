//! Orders, parcels, goods and money as the rest of this room sees them, whatever the shop calls them.

use chrono::{DateTime, Utc};

/// An amount in hundredths of a currency's unit.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Money {
    pub hundredths: i64,
    /// ISO 4217.
    pub currency: String,
}

/// Where a parcel goes.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Address {
    pub first_name: String,
    pub last_name: String,
    pub company: String,
    pub address1: String,
    pub address2: String,
    pub city: String,
    pub province_code: String,
    /// ISO 3166-1.
    pub country_code: String,
    pub zip: String,
    pub phone: String,
}

/// So many of something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Line {
    pub title: String,
    pub variant: String,
    pub quantity: i64,
}

/// What was sent, and how far it has come.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Parcel {
    /// `SUCCESS`, `CANCELLED` …
    pub status: String,
    /// `IN_TRANSIT`, `DELIVERED` …; may be empty.
    pub stage: String,
    pub expected: Option<DateTime<Utc>>,
    pub delivered: Option<DateTime<Utc>>,
    pub courier: String,
    pub tracking: String,
    pub last: Option<Step>,
}

/// One event on a parcel's way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Step {
    pub status: String,
    pub at: Option<DateTime<Utc>>,
    pub place: String,
}

/// An order with whose it is.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Order {
    pub id: String,
    /// As the shop writes it: `#1042`, `EN1001`.
    pub name: String,
    /// Numbers that stand on it, as they are written: of the order, its customer, its shipping address.
    pub phones: Vec<String>,
    pub emails: Vec<String>,
    pub placed: Option<DateTime<Utc>>,
    pub cancelled: Option<DateTime<Utc>>,
    /// `PAID`, `PENDING` …
    pub payment: String,
    /// `UNFULFILLED`, `FULFILLED` …: fulfilled means sent, not delivered.
    pub fulfilment: String,
    /// `NO_RETURN`, `RETURN_REQUESTED` …
    pub returns: String,
    pub cash_on_delivery: bool,
    pub total: Money,
    pub outstanding: Money,
    pub address: Option<Address>,
    pub lines: Vec<Line>,
    pub parcels: Vec<Parcel>,
}

/// Money that went back, or is to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Refund {
    pub at: Option<DateTime<Utc>>,
    pub amount: Money,
    /// `SUCCESS`, `PENDING`, `FAILURE` …; empty where no money moves.
    pub status: String,
    /// What it was paid with and goes back to.
    pub way: String,
    pub lines: Vec<Line>,
}

/// Something that is sold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Product {
    pub title: String,
    pub variants: Vec<Variant>,
}

/// One form of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Variant {
    pub id: String,
    /// Empty where there is but one.
    pub title: String,
    pub price: i64,
    /// The shop's own word: stock is not counted for everything.
    pub available: bool,
}

/// What may be sent back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Returnable {
    pub id: String,
    pub title: String,
    pub variant: String,
    pub quantity: i64,
}

/// An order before it is one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Draft {
    pub id: String,
    pub name: String,
    pub total: Money,
}

impl Money {
    /// Of a decimal text such as `1299.00`; what cannot be read is `None`, never zero.
    pub(super) fn read(amount: &str, currency: &str) -> Option<Self> {
        Some(Self { hundredths: hundredths(amount)?, currency: currency.to_owned() })
    }

    /// Whether it is more than so many whole units.
    pub(super) fn exceeds(&self, units: u32) -> bool {
        self.hundredths > i64::from(units) * 100
    }

    /// `₹1,29,900`, `₹99.50`, `USD 12.50`.
    pub(super) fn said(&self) -> String {
        let (whole, part) = (self.hundredths.unsigned_abs() / 100, self.hundredths.unsigned_abs() % 100);
        let sign = if self.hundredths < 0 { "-" } else { "" };
        let part = if part == 0 { String::new() } else { format!(".{part:02}") };
        if self.currency == "INR" {
            format!("{sign}₹{}{part}", grouped(whole, 2))
        } else {
            format!("{sign}{} {}{part}", self.currency, grouped(whole, 3))
        }
    }
}

/// A decimal text in hundredths; further places are cut.
pub(super) fn hundredths(amount: &str) -> Option<i64> {
    let (sign, digits) = amount.strip_prefix('-').map_or((1, amount), |rest| (-1, rest));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(part) {
        return None;
    }
    let part: i64 = format!("{part:0<2}").get(..2)?.parse().ok()?;
    whole.parse::<i64>().ok()?.checked_mul(100)?.checked_add(part).map(|value| sign * value)
}

/// Groups of digits as they are read: the last of three, the others of `size` (two in India).
fn grouped(number: u64, size: usize) -> String {
    let digits = number.to_string();
    let Some(head) = digits.len().checked_sub(3).filter(|head| *head > 0) else { return digits };
    let mut groups = vec![&digits[head..]];
    let mut end = head;
    while end > 0 {
        let begin = end.saturating_sub(size);
        groups.push(&digits[begin..end]);
        end = begin;
    }
    groups.reverse();
    groups.join(",")
}

/// `Kurta (M)`.
pub(super) fn titled(title: &str, variant: &str) -> String {
    if variant.is_empty() || variant == "Default Title" { title.to_owned() } else { format!("{title} ({variant})") }
}

impl Line {
    /// `2 × Kurta (M)`.
    pub(super) fn said(&self) -> String {
        format!("{} × {}", self.quantity, titled(&self.title, &self.variant))
    }
}

impl Address {
    /// On one line, without the name.
    pub(super) fn said(&self) -> String {
        let parts = [&self.address1, &self.address2, &self.city, &self.province_code, &self.zip];
        let parts: Vec<&str> = parts.into_iter().map(|part| part.trim()).filter(|part| !part.is_empty()).collect();
        parts.join(", ")
    }
}

impl Order {
    /// Parcels that are or were on their way.
    pub(super) fn sent(&self) -> impl Iterator<Item = &Parcel> {
        self.parcels.iter().filter(|parcel| !matches!(parcel.status.as_str(), "CANCELLED" | "ERROR" | "FAILURE"))
    }

    /// Whether a return is asked for or under way.
    pub(super) fn being_returned(&self) -> bool {
        matches!(self.returns.as_str(), "RETURN_REQUESTED" | "IN_PROGRESS" | "INSPECTION_COMPLETE")
    }

    /// Whether nothing of it has left, or is about to.
    pub(super) fn is_untouched(&self) -> bool {
        let waiting = ["UNFULFILLED", "OPEN", "ON_HOLD", "SCHEDULED", "PENDING_FULFILLMENT"];
        waiting.contains(&self.fulfilment.as_str()) && self.sent().next().is_none()
    }

    /// In words that can be said.
    pub(super) fn state(&self) -> &'static str {
        if self.cancelled.is_some() {
            return "cancelled";
        }
        match self.returns.as_str() {
            "RETURN_REQUESTED" => return "a return was asked for",
            "IN_PROGRESS" => return "a return is under way",
            "RETURNED" | "INSPECTION_COMPLETE" => return "returned",
            _ => {}
        }
        if let Some(parcel) = self.sent().last() {
            return on_the_way(&parcel.stage, self.fulfilment == "PARTIALLY_FULFILLED");
        }
        match self.fulfilment.as_str() {
            "FULFILLED" => "shipped",
            "PARTIALLY_FULFILLED" => "partly shipped",
            "IN_PROGRESS" => "being packed",
            "ON_HOLD" => "on hold",
            "SCHEDULED" => "scheduled for later",
            "RESTOCKED" => "put back into stock",
            _ => "not shipped yet",
        }
    }
}

fn on_the_way(stage: &str, partly: bool) -> &'static str {
    match stage {
        "DELIVERED" | "PICKED_UP" if partly => "one parcel delivered, the rest not shipped yet",
        "DELIVERED" | "PICKED_UP" => "delivered",
        "OUT_FOR_DELIVERY" => "out for delivery",
        "ATTEMPTED_DELIVERY" => "delivery was tried without success",
        "NOT_DELIVERED" | "FAILURE" => "could not be delivered",
        "READY_FOR_PICKUP" => "ready to be picked up",
        "DELAYED" => "on its way, but delayed",
        "IN_TRANSIT" | "CARRIER_PICKED_UP" => "on its way",
        "LABEL_PRINTED" | "LABEL_PURCHASED" | "CONFIRMED" => "packed, waiting for the courier",
        _ if partly => "partly shipped",
        _ => "shipped",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn money_is_said_as_it_is_read_in_india() {
        for (amount, currency, said) in [
            ("1299.00", "INR", "₹1,299"),
            ("129900.0", "INR", "₹1,29,900"),
            ("12345678", "INR", "₹1,23,45,678"),
            ("99.5", "INR", "₹99.50"),
            ("0.00", "INR", "₹0"),
            ("100", "INR", "₹100"),
            ("-5.25", "INR", "-₹5.25"),
            ("1234567.891", "USD", "USD 1,234,567.89"),
        ] {
            assert_eq!(Money::read(amount, currency).unwrap().said(), said, "{amount} {currency}");
        }
        for wrong in ["", ".5", "1,299", "1e9", "NaN", "12-", "₹5", "99999999999999999999"] {
            assert_eq!(Money::read(wrong, "INR"), None, "{wrong}");
        }
        let limit = |amount| Money::read(amount, "INR").unwrap().exceeds(5000);
        assert_eq!([limit("5000.00"), limit("5000.01"), limit("4999")], [false, true, false]);
    }

    #[test]
    fn what_a_shop_calls_a_state_is_told_in_words() {
        let parcel = |stage: &str| Parcel { status: "SUCCESS".into(), stage: stage.into(), ..Parcel::default() };
        for (fulfilment, returns, parcels, cancelled, state, untouched) in [
            ("UNFULFILLED", "NO_RETURN", vec![], false, "not shipped yet", true),
            ("UNFULFILLED", "NO_RETURN", vec![], true, "cancelled", true),
            ("IN_PROGRESS", "NO_RETURN", vec![], false, "being packed", false),
            ("ON_HOLD", "NO_RETURN", vec![], false, "on hold", true),
            ("FULFILLED", "NO_RETURN", vec![], false, "shipped", false),
            ("FULFILLED", "NO_RETURN", vec![parcel("")], false, "shipped", false),
            ("FULFILLED", "NO_RETURN", vec![parcel("IN_TRANSIT")], false, "on its way", false),
            ("FULFILLED", "NO_RETURN", vec![parcel("OUT_FOR_DELIVERY")], false, "out for delivery", false),
            ("FULFILLED", "NO_RETURN", vec![parcel("SOMETHING_NEW")], false, "shipped", false),
            ("FULFILLED", "RETURN_REQUESTED", vec![parcel("DELIVERED")], false, "a return was asked for", false),
            ("PARTIALLY_FULFILLED", "NO_RETURN", vec![parcel("")], false, "partly shipped", false),
            ("UNFULFILLED", "NO_RETURN", vec![parcel("IN_TRANSIT")], false, "on its way", false),
            ("SOMETHING_NEW", "", vec![], false, "not shipped yet", false),
        ] {
            let order = Order {
                fulfilment: fulfilment.into(),
                returns: returns.into(),
                parcels,
                cancelled: cancelled.then(Utc::now),
                ..Order::default()
            };
            assert_eq!((order.state(), order.is_untouched()), (state, untouched), "{fulfilment} {returns}");
        }
        let mut called_off = parcel("IN_TRANSIT");
        called_off.status = "CANCELLED".into();
        let order = Order { fulfilment: "UNFULFILLED".into(), parcels: vec![called_off], ..Order::default() };
        assert_eq!((order.state(), order.is_untouched()), ("not shipped yet", true));
    }
}
