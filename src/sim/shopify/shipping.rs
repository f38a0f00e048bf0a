//! What happens in the warehouse and on the road: parcels leave, couriers report.

use chrono::Duration;
use serde::Deserialize;

use super::data::{Event, Fulfillment, Shop, Time};
use super::mutations::changed;

/// A courier's report.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct News {
    /// A `FulfillmentEventStatus`.
    pub(crate) status: String,
    pub(crate) city: Option<String>,
    pub(crate) message: Option<String>,
}

/// The same for the order with this name, as it comes through the door.
#[derive(Debug, Deserialize)]
pub(crate) struct Notice {
    pub(crate) order: String,
    #[serde(flatten)]
    pub(crate) news: News,
}

/// Reports about one parcel.
const EVENTS_MAX: usize = 200;

pub(crate) const STATUSES: [&str; 11] = [
    "ATTEMPTED_DELIVERY",
    "CARRIER_PICKED_UP",
    "CONFIRMED",
    "DELAYED",
    "DELIVERED",
    "FAILURE",
    "IN_TRANSIT",
    "LABEL_PRINTED",
    "LABEL_PURCHASED",
    "OUT_FOR_DELIVERY",
    "READY_FOR_PICKUP",
];

/// Adds a report to the newest parcel of an order; one of which nothing has left is sent as a whole.
///
/// # Errors
/// No such order or status, or a cancelled order.
pub(crate) fn advance(shop: &mut Shop, name: &str, news: &News, now: Time) -> Result<(), String> {
    if !STATUSES.contains(&news.status.as_str()) {
        return Err(format!("'{}' is no status of a parcel: one of {}", news.status, STATUSES.join(", ")));
    }
    let first = shop.next_id + 1;
    let order = shop.orders.values_mut().find(|order| order.name == name);
    let order = order.ok_or_else(|| format!("no order has the name '{name}': names are like #1001"))?;
    if order.cancelled.is_some() {
        return Err(format!("order {name} is cancelled"));
    }
    let new = order.fulfillments.is_empty();
    if new {
        let parcel = (first + 2..).zip(&order.lines).map(|(id, line)| (id, line.id, line.quantity - line.removed));
        order.fulfillments.push(Fulfillment {
            id: first,
            name: format!("{name}.1"),
            display: "FULFILLED".to_owned(),
            created: now,
            updated: now,
            estimated: Some(now + Duration::days(3)),
            in_transit: None,
            delivered: None,
            tracking: Some(("Delhivery".to_owned(), format!("14908{first:08}"), None)),
            events: Vec::new(),
            lines: parcel.filter(|(_, _, quantity)| *quantity > 0).collect(),
        });
    }
    let (id, used) = (order.id, 2 + order.lines.len() as u64);
    if let Some(parcel) = order.fulfillments.last_mut() {
        if parcel.events.len() >= EVENTS_MAX {
            return Err(format!("the parcel of order {name} has {EVENTS_MAX} reports already"));
        }
        let (city, message) = (news.city.clone(), news.message.clone());
        parcel.events.push(Event { id: first + 1, status: news.status.clone(), happened: now, message, city });
        (parcel.display, parcel.updated) = (news.status.clone(), now);
        match news.status.as_str() {
            "IN_TRANSIT" => parcel.in_transit = parcel.in_transit.or(Some(now)),
            "DELIVERED" => parcel.delivered = Some(now),
            _ => {}
        }
    }
    shop.next_id += used + 1;
    let topic = if new { "fulfillments/create" } else { "fulfillments/update" };
    changed(shop, id, &[topic, "orders/updated"], now);
    Ok(())
}
