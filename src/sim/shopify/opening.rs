//! Opens a shop from its seed: ages become dates, keys and SKUs become links, and what does not fit is told.

use std::collections::{BTreeMap, HashMap, VecDeque};

use chrono::Duration;

use super::data::{self, Address, Event, Fulfillment, Line, Order, Shop, Time, Transaction};
use super::seed::{AddressSeed, CustomerSeed, LineSeed, OrderSeed, Seed, ShipmentSeed};
use super::{queries, render, shipping, values};

/// Ids of orders begin here; the order's number is added.
const ORDER_IDS: u64 = 5_000_000;
/// What a parcel can be besides what couriers report.
const NOT_REPORTED: [&str; 7] =
    ["CANCELED", "FULFILLED", "LABEL_VOIDED", "MARKED_AS_FULFILLED", "NOT_DELIVERED", "PICKED_UP", "SUBMITTED"];
const REASONS: [&str; 6] = ["CUSTOMER", "DECLINED", "FRAUD", "INVENTORY", "OTHER", "STAFF"];

impl Seed {
    /// Opens the shop at `now`.
    ///
    /// # Errors
    /// A customer or an SKU that nothing defines, or a price that is none.
    pub(crate) fn open(&self, now: Time) -> Result<Shop, String> {
        let own = self.orders.iter().filter(|order| order.name.starts_with(&self.prefix));
        let mut shop = Shop {
            name: self.name.clone(),
            domain: self.domain.clone(),
            email: self.email.clone(),
            prefix: self.prefix.clone(),
            location: self.location.clone(),
            next_id: 1_000_000,
            drafted: 0,
            next_number: own.map(|order| order.number).max().unwrap_or(1000) + 1,
            ..Shop::default()
        };
        let mut customers = HashMap::new();
        for (id, seed) in (7_001..).zip(&self.customers) {
            customers.insert(seed.key.as_str(), id);
            shop.customers.insert(id, customer(seed, id, now)?);
        }
        shop.products = self.products(now)?;
        for seed in &self.orders {
            if shop.orders.contains_key(&(ORDER_IDS + seed.number)) {
                return Err(format!("order {}: its number {} is another's", seed.name, seed.number));
            }
            let order =
                order(&mut shop, &customers, seed, now).map_err(|error| format!("order {}: {error}", seed.name))?;
            shop.orders.insert(order.id, order);
        }
        Ok(shop)
    }

    fn products(&self, now: Time) -> Result<BTreeMap<u64, data::Product>, String> {
        let (mut products, mut variant_id) = (BTreeMap::new(), 9_000);
        for (id, seed) in (8_001..).zip(&self.products) {
            let mut variants = Vec::new();
            for variant in &seed.variants {
                variant_id += 1;
                variants.push(data::Variant {
                    id: variant_id,
                    title: variant.title.clone(),
                    sku: variant.sku.clone(),
                    barcode: variant.barcode.clone(),
                    price: cents(&variant.price)?,
                    compare_at: variant.compare_at.as_deref().map(cents).transpose()?,
                    stock: variant.stock,
                    tracked: variant.tracked,
                    oversell: variant.oversell,
                });
            }
            let product = data::Product {
                id,
                title: seed.title.clone(),
                handle: seed.title.to_lowercase().replace(' ', "-"),
                description: seed.description.clone(),
                status: seed.status.clone(),
                vendor: self.name.clone(),
                kind: seed.kind.clone(),
                tags: seed.tags.clone(),
                created: now - Duration::days(200),
                variants,
            };
            products.insert(id, product);
        }
        Ok(products)
    }
}

fn cents(text: &str) -> Result<i64, String> {
    values::decimal(text).ok_or_else(|| format!("'{text}' is no price: write it like \"499.00\""))
}

fn customer(seed: &CustomerSeed, id: u64, now: Time) -> Result<data::Customer, String> {
    let mut home = seed.address.as_ref().map(address).transpose()?;
    if let Some(home) = &mut home {
        home.first_name.get_or_insert_with(|| seed.first_name.clone());
        home.last_name.get_or_insert_with(|| seed.last_name.clone());
        home.phone = home.phone.take().or_else(|| seed.phone.clone());
    }
    Ok(data::Customer {
        id,
        first_name: seed.first_name.clone(),
        last_name: seed.last_name.clone(),
        phone: seed.phone.clone(),
        email: seed.email.clone(),
        tags: seed.tags.clone(),
        note: seed.note.clone(),
        created: now - Duration::days(150),
        address: home,
    })
}

fn address(seed: &AddressSeed) -> Result<Address, String> {
    if render::state_name(&seed.province_code).is_none() {
        return Err(format!("'{}' is no state of India: write its code, like MH", seed.province_code));
    }
    Ok(Address {
        first_name: seed.first_name.clone(),
        last_name: seed.last_name.clone(),
        company: None,
        address1: Some(seed.address1.clone()),
        address2: seed.address2.clone(),
        city: Some(seed.city.clone()),
        province_code: Some(seed.province_code.clone()),
        country_code: Some("IN".to_owned()),
        zip: Some(seed.zip.clone()),
        phone: seed.phone.clone(),
    })
}

fn order(shop: &mut Shop, customers: &HashMap<&str, u64>, seed: &OrderSeed, now: Time) -> Result<Order, String> {
    let customer = match &seed.customer {
        None => None,
        Some(key) => Some(*customers.get(key.as_str()).ok_or_else(|| format!("no customer has the key '{key}'"))?),
    };
    if let Some(reason) = seed.cancelled.as_ref().filter(|reason| !REASONS.contains(&reason.as_str())) {
        return Err(format!("cancelled '{reason}' is none of {}", REASONS.join(", ")));
    }
    let known = customer.and_then(|id| shop.customers.get(&id)).cloned();
    let created = now - Duration::minutes((seed.days_ago * 24.0 * 60.0) as i64);
    let lines = lines(shop, &seed.lines)?;
    let shipping = seed.shipping.as_deref().map(cents).transpose()?.unwrap_or_default();
    let gateway = seed.gateway.clone().unwrap_or_else(|| match seed.payment.as_str() {
        "cod" => "Cash on Delivery (COD)".to_owned(),
        _ => "razorpay".to_owned(),
    });
    let own_address = seed.address.as_ref().map(address).transpose()?;
    let mut order = Order {
        id: ORDER_IDS + seed.number,
        number: seed.number,
        name: seed.name.clone(),
        confirmation: format!("SIM{:06X}", seed.number * 7919),
        email: seed.email.clone().or_else(|| known.as_ref()?.email.clone()),
        phone: seed.phone.clone(),
        created,
        updated: created,
        cancelled: seed.cancelled.clone().map(|reason| (created + Duration::hours(2), reason)),
        closed: seed.cancelled.as_ref().map(|_| created + Duration::hours(2)),
        test: seed.test,
        note: seed.note.clone(),
        tags: seed.tags.clone(),
        po_number: None,
        attributes: Vec::new(),
        gateway,
        financial: String::new(),
        on_hold: seed.on_hold,
        packing: seed.packing,
        shipping,
        customer,
        shipping_address: own_address.or_else(|| known.as_ref()?.address.clone()),
        lines,
        fulfillments: Vec::new(),
        transactions: Vec::new(),
        refunds: Vec::new(),
        returns: Vec::new(),
        indexed: VecDeque::new(),
    };
    pay(shop, &mut order, seed)?;
    for (at, shipment) in seed.shipments.iter().enumerate() {
        let made = shipment_of(shop, &order, shipment, at + 1, now)?;
        order.updated = order.updated.max(made.updated);
        order.fulfillments.push(made);
    }
    if seed.cancelled.is_some() {
        order.lines.iter_mut().for_each(|line| line.removed = line.quantity);
    }
    // In the index since long ago, however far behind it is set.
    queries::index_order(&mut order, created - Duration::days(1));
    Ok(order)
}

fn lines(shop: &mut Shop, seeds: &[LineSeed]) -> Result<Vec<Line>, String> {
    let mut lines = Vec::new();
    for seed in seeds {
        let id = shop.fresh();
        let mut variants =
            shop.products.values().flat_map(|product| product.variants.iter().map(move |one| (product, one)));
        let (product, variant) = variants
            .find(|(_, variant)| variant.sku == seed.sku)
            .ok_or_else(|| format!("no product has the SKU '{}'", seed.sku))?;
        if !(1..=data::QUANTITY_MAX).contains(&seed.quantity) {
            return Err(format!("quantity {} of '{}' is not 1 to {}", seed.quantity, seed.sku, data::QUANTITY_MAX));
        }
        lines.push(Line {
            id,
            variant: Some(variant.id),
            title: product.title.clone(),
            variant_title: (variant.title != "Default Title").then(|| variant.title.clone()),
            sku: Some(variant.sku.clone()),
            quantity: seed.quantity,
            unit_price: variant.price,
            discount: seed.discount.as_deref().map(cents).transpose()?.unwrap_or_default(),
            removed: 0,
        });
    }
    Ok(lines)
}

fn pay(shop: &mut Shop, order: &mut Order, seed: &OrderSeed) -> Result<(), String> {
    let (ids, total, created) = ((shop.fresh(), shop.fresh()), order.total(), order.created);
    let gateway = order.gateway.clone();
    let made = |id, kind: &str, parent| Transaction {
        id,
        kind: kind.to_owned(),
        status: "SUCCESS".to_owned(),
        gateway: gateway.clone(),
        amount: total,
        created,
        parent,
    };
    let (financial, transactions) = match seed.payment.as_str() {
        "paid" => ("PAID", vec![made(ids.0, "SALE", None)]),
        "cod" if seed.cancelled.is_some() => ("VOIDED", Vec::new()),
        "cod" => ("PENDING", Vec::new()),
        "authorized" => ("AUTHORIZED", vec![made(ids.0, "AUTHORIZATION", None)]),
        "refunded" => ("REFUNDED", vec![made(ids.0, "SALE", None), made(ids.1, "REFUND", Some(ids.0))]),
        other => return Err(format!("payment '{other}' is none of paid, cod, authorized, refunded")),
    };
    order.financial = financial.to_owned();
    order.transactions = transactions;
    Ok(())
}

fn shipment_of(
    shop: &mut Shop,
    order: &Order,
    seed: &ShipmentSeed,
    number: usize,
    now: Time,
) -> Result<Fulfillment, String> {
    let ago = |hours: i64| now - Duration::hours(hours);
    let reported = |status: &String| shipping::STATUSES.contains(&status.as_str());
    let wrong = seed.events.iter().map(|event| &event.status).find(|status| !reported(status));
    let wrong =
        wrong.or((!reported(&seed.status) && !NOT_REPORTED.contains(&seed.status.as_str())).then_some(&seed.status));
    if let Some(wrong) = wrong {
        return Err(format!("'{wrong}' is no status of a parcel: one of {}", shipping::STATUSES.join(", ")));
    }
    let mut parcel = Vec::new();
    for line in &order.lines {
        let quantity = match &seed.lines {
            None => line.quantity,
            Some(list) => list.iter().filter(|one| Some(&one.sku) == line.sku.as_ref()).map(|one| one.quantity).sum(),
        };
        if quantity > 0 {
            parcel.push((shop.fresh(), line.id, quantity));
        }
    }
    let mut events = Vec::new();
    for event in &seed.events {
        events.push(Event {
            id: shop.fresh(),
            status: event.status.clone(),
            happened: ago(event.hours_ago),
            message: event.message.clone(),
            city: event.city.clone(),
        });
    }
    let first = |status: &str| events.iter().filter(|event| event.status == status).map(|event| event.happened).min();
    let tracking =
        seed.number.clone().map(|number| (seed.company.clone().unwrap_or_default(), number, seed.url.clone()));
    Ok(Fulfillment {
        id: shop.fresh(),
        name: format!("{}.{number}", order.name),
        display: seed.status.clone(),
        created: ago(seed.hours_ago),
        updated: events.iter().map(|event| event.happened).max().unwrap_or(ago(seed.hours_ago)),
        estimated: seed.due_in_hours.map(|hours| now + Duration::hours(hours)),
        in_transit: first("IN_TRANSIT"),
        delivered: first("DELIVERED"),
        tracking,
        events,
        lines: parcel,
    })
}
