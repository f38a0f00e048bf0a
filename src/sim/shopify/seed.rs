//! What the shop has when it opens, from a TOML file like `sandbox/shop.toml`. Ages, not dates: it never grows old.

use std::collections::{BTreeMap, HashMap, VecDeque};

use chrono::Duration;
use serde::Deserialize;

use super::data::{self, Address, Event, Fulfillment, Line, Order, Shop, Time, Transaction};
use super::{queries, render, values};

/// A whole shop.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seed {
    name: String,
    domain: String,
    email: String,
    /// Before the numbers of new orders.
    #[serde(default = "hash")]
    prefix: String,
    location: String,
    #[serde(default, rename = "customer")]
    customers: Vec<CustomerSeed>,
    #[serde(default, rename = "product")]
    products: Vec<ProductSeed>,
    #[serde(default, rename = "order")]
    orders: Vec<OrderSeed>,
}

fn hash() -> String {
    "#".to_owned()
}

fn one() -> i64 {
    1
}

fn yes() -> bool {
    true
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CustomerSeed {
    key: String,
    first_name: String,
    #[serde(default)]
    last_name: String,
    phone: Option<String>,
    email: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    note: Option<String>,
    address: Option<AddressSeed>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AddressSeed {
    first_name: Option<String>,
    last_name: Option<String>,
    address1: String,
    address2: Option<String>,
    city: String,
    province_code: String,
    zip: String,
    phone: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProductSeed {
    title: String,
    #[serde(default)]
    description: String,
    #[serde(default = "active")]
    status: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(rename = "variant")]
    variants: Vec<VariantSeed>,
}

fn active() -> String {
    "ACTIVE".to_owned()
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct VariantSeed {
    #[serde(default = "default_title")]
    title: String,
    sku: String,
    price: String,
    compare_at: Option<String>,
    barcode: Option<String>,
    #[serde(default)]
    stock: i64,
    #[serde(default = "yes")]
    tracked: bool,
    #[serde(default)]
    oversell: bool,
}

fn default_title() -> String {
    "Default Title".to_owned()
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderSeed {
    name: String,
    number: u64,
    days_ago: f64,
    /// A customer's key; absent for a guest.
    customer: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    /// Absent: the customer's.
    address: Option<AddressSeed>,
    lines: Vec<LineSeed>,
    /// `paid`, `cod`, `authorized`, or `refunded`.
    payment: String,
    gateway: Option<String>,
    #[serde(default)]
    shipping: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    note: Option<String>,
    /// `CUSTOMER`, `FRAUD`, …
    cancelled: Option<String>,
    #[serde(default)]
    on_hold: bool,
    #[serde(default)]
    packing: bool,
    #[serde(default)]
    test: bool,
    #[serde(default, rename = "shipment")]
    shipments: Vec<ShipmentSeed>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LineSeed {
    sku: String,
    #[serde(default = "one")]
    quantity: i64,
    discount: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShipmentSeed {
    /// A `FulfillmentDisplayStatus`.
    status: String,
    hours_ago: i64,
    company: Option<String>,
    number: Option<String>,
    url: Option<String>,
    /// Absent: everything ordered.
    lines: Option<Vec<LineSeed>>,
    due_in_hours: Option<i64>,
    #[serde(default, rename = "event")]
    events: Vec<EventSeed>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventSeed {
    status: String,
    hours_ago: i64,
    city: Option<String>,
    message: Option<String>,
}

impl Seed {
    /// Reads a seed.
    ///
    /// # Errors
    /// What is wrong with it, with the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// The sample shop inside the binary.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn built_in() -> Result<Self, String> {
        Self::parse(include_str!("../../../sandbox/shop.toml"))
    }

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
        id: 5_000_000 + seed.number,
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
