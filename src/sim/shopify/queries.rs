//! Reading: what the root fields and the fields with arguments give, before anything is selected from it.

use chrono::Duration;
use serde_json::{Map, Value, json};

use super::data::{self, Draft, Order, Product, Shop, Time, Variant, gid, id_of, link, time};
use super::search::{self, Document, Fields};
use super::{refunds, render};

/// Orders older than this are seen only with the scope `read_all_orders`.
const ORDERS_VISIBLE: Duration = Duration::days(60);

/// How a request sees the shop.
#[derive(Clone, Copy)]
pub(crate) struct View {
    pub(crate) now: Time,
    /// How far the search index is behind.
    pub(crate) lag: Duration,
    pub(crate) all_orders: bool,
}

/// Nodes of a connection, and what the search said.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) nodes: Vec<Value>,
    pub(crate) warned: Option<Value>,
}

impl View {
    pub(crate) fn sees(&self, order: &Order) -> bool {
        self.all_orders || order.created + ORDERS_VISIBLE >= self.now
    }
}

pub(crate) type Arguments = Map<String, Value>;

/// An argument, or null.
pub(crate) fn given<'a>(arguments: &'a Arguments, name: &str) -> &'a Value {
    arguments.get(name).unwrap_or(&Value::Null)
}

/// A field of `QueryRoot` that is no connection.
pub(crate) fn single(shop: &mut Shop, view: View, field: &str, arguments: &Arguments) -> Value {
    let id = arguments.get("id").and_then(Value::as_str).unwrap_or_default();
    let linked = |kind: &str| id_of(kind, id).map_or(Value::Null, |id| link(kind, id));
    match field {
        "shop" => json!({"id": gid("Shop", data::SHOP), "name": shop.name, "email": shop.email,
            "myshopifyDomain": shop.domain, "currencyCode": "INR", "ianaTimezone": "Asia/Kolkata"}),
        "order" => linked("Order"),
        "customer" => linked("Customer"),
        "product" => linked("Product"),
        "productVariant" => linked("ProductVariant"),
        "draftOrder" => linked("DraftOrder"),
        "return" => linked("Return"),
        "node" => json!({"@": id}),
        "job" => job(shop, view, id),
        "orderByIdentifier" => {
            let id = given(arguments, "identifier")["id"].as_str().and_then(|id| id_of("Order", id));
            id.map_or(Value::Null, |id| link("Order", id))
        }
        "customerByIdentifier" => customer_by(shop, given(arguments, "identifier")),
        _ => Value::Null,
    }
}

/// A poll counts: the first ones hear that the job is not done.
fn job(shop: &mut Shop, view: View, id: &str) -> Value {
    let Some(number) = id_of("Job", id) else { return Value::Null };
    let due = shop.jobs.get_mut(&number).is_some_and(|job| {
        let due = !job.done && job.polls_left == 0;
        job.polls_left = job.polls_left.saturating_sub(1);
        due
    });
    if due {
        super::cancel::finish(shop, number, view.now);
    }
    link("Job", number)
}

fn customer_by(shop: &Shop, identifier: &Value) -> Value {
    let text = |key: &str| identifier[key].as_str();
    let found = shop.customers.values().find(|customer| {
        text("phoneNumber").is_some_and(|phone| customer.phone.as_deref() == Some(phone))
            || text("emailAddress")
                .is_some_and(|email| customer.email.as_ref().is_some_and(|known| known.eq_ignore_ascii_case(email)))
            || text("id").is_some_and(|id| id_of("Customer", id) == Some(customer.id))
    });
    found.map_or(Value::Null, |customer| link("Customer", customer.id))
}

/// An object with what is searched and sorted by.
type Candidate = (Value, Document);

/// A field of `QueryRoot` that is a connection.
pub(crate) fn many(shop: &Shop, view: View, field: &str, arguments: &Arguments) -> Found {
    match field {
        "orders" => orders(shop, view, None, arguments),
        "customers" => {
            let all = shop.customers.values().map(|customer| (link("Customer", customer.id), of_customer(customer)));
            sorted(all.collect(), search::CUSTOMERS, arguments)
        }
        "products" => {
            let all = shop.products.values().map(|product| (link("Product", product.id), of_product(product)));
            sorted(all.collect(), search::PRODUCTS, arguments)
        }
        "productVariants" => {
            let pairs = shop.products.values().flat_map(|product| product.variants.iter().map(move |v| (product, v)));
            let all =
                pairs.map(|(product, variant)| (link("ProductVariant", variant.id), of_variant(product, variant)));
            sorted(all.collect(), search::VARIANTS, arguments)
        }
        "draftOrders" => {
            let known = |draft: &Draft| {
                let document = data::visible(&draft.indexed, view.now, view.lag)?.clone();
                Some((link("DraftOrder", draft.id), document))
            };
            sorted(shop.drafts.values().filter_map(known).collect(), search::DRAFTS, arguments)
        }
        "returnableFulfillments" => {
            let id = given(arguments, "orderId").as_str().and_then(|id| id_of("Order", id));
            let order = id.and_then(|id| shop.orders.get(&id)).filter(|order| view.sees(order));
            Found { nodes: order.map(render::returnable).unwrap_or_default(), warned: None }
        }
        _ => Found::default(),
    }
}

/// Orders, of one customer or of all.
pub(crate) fn orders(shop: &Shop, view: View, of: Option<u64>, arguments: &Arguments) -> Found {
    let ours = shop.orders.values().filter(|order| view.sees(order) && (of.is_none() || order.customer == of));
    let known = |order: &Order| {
        let document = data::visible(&order.indexed, view.now, view.lag)?.clone();
        Some((link("Order", order.id), document))
    };
    sorted(ours.filter_map(known).collect(), search::ORDERS, arguments)
}

/// Those that the query finds, in the order asked for.
fn sorted(mut all: Vec<Candidate>, fields: Fields, arguments: &Arguments) -> Found {
    let text = arguments.get("query").and_then(Value::as_str).unwrap_or_default();
    let query = search::read(text, fields);
    all.retain(|(_, document)| query.finds(document, fields));
    let by = match arguments.get("sortKey").and_then(Value::as_str) {
        Some("CREATED_AT") => "created_at",
        Some("PROCESSED_AT") => "processed_at",
        Some("UPDATED_AT") => "updated_at",
        Some("TITLE" | "FULL_TITLE" | "NAME") => "title",
        Some("SKU") => "sku",
        Some("FINANCIAL_STATUS") => "financial_status",
        Some("FULFILLMENT_STATUS") => "fulfillment_status",
        Some("STATUS") => "status",
        _ => "id",
    };
    let key = |document: &Document| {
        let value = document.iter().find(|(field, _)| *field == by).map(|(_, value)| value.clone());
        let value = value.unwrap_or_default();
        (value.parse::<u64>().unwrap_or_default(), value)
    };
    all.sort_by_key(|(_, document)| key(document));
    if arguments.get("reverse").and_then(Value::as_bool) == Some(true) {
        all.reverse();
    }
    let warned = query.told(&[], text);
    Found { nodes: all.into_iter().map(|(node, _)| node).collect(), warned }
}

/// A field with arguments of an object other than the root; `None`: its plain value will do.
pub(crate) fn computed(
    shop: &Shop,
    view: View,
    place: (&str, &str),
    source: &Value,
    arguments: &Arguments,
) -> Option<Value> {
    let id = source["id"].as_str().unwrap_or_default();
    Some(match place {
        ("Order", "suggestedRefund") => {
            let order = id_of("Order", id).and_then(|id| shop.orders.get(&id))?;
            refunds::suggested(order, arguments)
        }
        ("InventoryLevel", "quantities") => super::goods::quantities(source, given(arguments, "names")),
        ("Fulfillment", "events") => {
            let mut events = source["events"].as_array().cloned().unwrap_or_default();
            events.sort_by_key(|event| event["happenedAt"].as_str().unwrap_or_default().to_owned());
            Value::Array(reversed(events, arguments))
        }
        ("Customer", "lastOrder") => {
            let order = source["lastOrder"]["@"].as_str().and_then(|id| shop.orders.get(&id_of("Order", id)?));
            order.filter(|order| view.sees(order)).map_or(Value::Null, |order| link("Order", order.id))
        }
        _ => return None,
    })
}

/// `reverse: true` turns a list round.
pub(crate) fn reversed(mut list: Vec<Value>, arguments: &Arguments) -> Vec<Value> {
    if arguments.get("reverse").and_then(Value::as_bool) == Some(true) {
        list.reverse();
    }
    list
}

/// Writes an order into the search index as it is now.
pub(crate) fn index_order(order: &mut Order, now: Time) {
    let document = of_order(order);
    order.index(document, now);
}

/// The same for a draft.
pub(crate) fn index_draft(draft: &mut Draft, now: Time) {
    let mut document: Document = vec![
        ("id", draft.id.to_string()),
        ("status", draft.status.clone()),
        ("created_at", time(draft.created)),
        ("updated_at", time(draft.updated)),
    ];
    document.extend(draft.customer.map(|id| ("customer_id", id.to_string())));
    document.extend(draft.tags.iter().map(|tag| ("tag", tag.clone())));
    draft.index(document, now);
}

fn of_order(order: &Order) -> Document {
    let fulfillment: &[&str] = match order.fulfillment_status() {
        "FULFILLED" => &["fulfilled", "shipped"],
        "PARTIALLY_FULFILLED" => &["partial"],
        "ON_HOLD" => &["on_hold", "unfulfilled", "unshipped"],
        _ => &["unfulfilled", "unshipped"],
    };
    let status = match (&order.cancelled, order.closed) {
        (Some(_), _) => "cancelled",
        (None, Some(_)) => "closed",
        (None, None) => "open",
    };
    let mut document: Document = vec![
        ("id", order.id.to_string()),
        ("name", order.name.clone()),
        ("confirmation_number", order.confirmation.clone()),
        ("created_at", time(order.created)),
        ("processed_at", time(order.created)),
        ("updated_at", time(order.updated)),
        ("financial_status", order.financial.to_lowercase()),
        ("status", status.to_owned()),
        ("return_status", order.return_status().to_lowercase()),
        ("test", order.test.to_string()),
        ("gateway", order.gateway.clone()),
    ];
    document.extend((status != "closed").then(|| ("status", "not_closed".to_owned())));
    document.extend(order.email.iter().map(|email| ("email", email.clone())));
    document.extend(order.po_number.iter().map(|number| ("po_number", number.clone())));
    document.extend(order.customer.map(|id| ("customer_id", id.to_string())));
    document.extend(fulfillment.iter().map(|status| ("fulfillment_status", (*status).to_owned())));
    document.extend(order.tags.iter().map(|tag| ("tag", tag.clone())));
    document.extend(order.lines.iter().filter_map(|line| Some(("sku", line.sku.clone()?))));
    document
}

fn of_customer(customer: &data::Customer) -> Document {
    let mut document: Document = vec![
        ("id", customer.id.to_string()),
        ("first_name", customer.first_name.clone()),
        ("last_name", customer.last_name.clone()),
        ("updated_at", time(customer.created)),
        ("customer_date", time(customer.created)),
    ];
    document.extend(customer.phone.iter().map(|phone| ("phone", phone.clone())));
    document.extend(customer.email.iter().map(|email| ("email", email.clone())));
    document.extend(customer.tags.iter().map(|tag| ("tag", tag.clone())));
    document
}

fn of_product(product: &Product) -> Document {
    let stock: i64 = product.variants.iter().filter(|variant| variant.tracked).map(|variant| variant.stock).sum();
    let mut document: Document = vec![
        ("id", product.id.to_string()),
        ("title", product.title.clone()),
        ("status", product.status.clone()),
        ("vendor", product.vendor.clone()),
        ("product_type", product.kind.clone()),
        ("handle", product.handle.clone()),
        ("created_at", time(product.created)),
        ("updated_at", time(product.created)),
        ("inventory_total", stock.to_string()),
    ];
    document.extend(product.tags.iter().map(|tag| ("tag", tag.clone())));
    document.extend(product.variants.iter().map(|variant| ("sku", variant.sku.clone())));
    document.extend(product.variants.iter().filter_map(|variant| Some(("barcode", variant.barcode.clone()?))));
    document
}

fn of_variant(product: &Product, variant: &Variant) -> Document {
    let mut document: Document = vec![
        ("id", variant.id.to_string()),
        ("sku", variant.sku.clone()),
        ("title", format!("{} {}", product.title, variant.title)),
        ("product_id", product.id.to_string()),
        ("product_status", product.status.clone()),
        ("inventory_quantity", variant.stock.to_string()),
    ];
    document.extend(variant.barcode.iter().map(|barcode| ("barcode", barcode.clone())));
    document
}
