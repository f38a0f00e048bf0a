//! Shopify's Admin API: the documents that are sent and the shapes that come back. Nothing here leaves the folder.
//!
//! Words that may be new with any version (states, stages) are read as texts; what is absent or `null` is empty.

mod refunds;
mod undone;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::cache::About;
use super::order::{self, Draft, Money, Order, Parcel, Product, Returnable, Step, Variant};

pub(super) use refunds::{REFUNDS, refunds};
pub(super) use undone::{CANCEL_RETURN, DELETE_DRAFT, DRAFT, RETURN, address, asked_return, is_undone, status};

/// A document with what is known of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    /// For metrics, the limiter and the cache.
    pub name: &'static str,
    /// GraphQL.
    pub text: &'static str,
    /// What it reads or changes.
    pub about: About,
    /// Whether it changes anything.
    pub writes: bool,
}

const fn read(name: &'static str, about: About, text: &'static str) -> Operation {
    Operation { name, text, about, writes: false }
}

const fn write(name: &'static str, about: About, text: &'static str) -> Operation {
    Operation { name, text, about, writes: true }
}

/// The fields every order is asked for.
macro_rules! order_fields {
    () => {
        " fragment OrderFields on Order { id name email phone createdAt cancelledAt displayFinancialStatus \
         displayFulfillmentStatus returnStatus paymentGatewayNames \
         currentTotalPriceSet { shopMoney { amount currencyCode } } \
         totalOutstandingSet { shopMoney { amount currencyCode } } \
         customer { defaultPhoneNumber { phoneNumber } defaultEmailAddress { emailAddress } } \
         shippingAddress { firstName lastName company address1 address2 city provinceCode countryCodeV2 zip phone } \
         lineItems(first: 20) { nodes { title variantTitle quantity currentQuantity } } \
         fulfillments(first: 5) { status displayStatus estimatedDeliveryAt deliveredAt trackingInfo { company number } \
         events(first: 1, sortKey: HAPPENED_AT, reverse: true) { nodes { status happenedAt city } } } }"
    };
}

pub(super) const ORDERS: Operation = read(
    "orders",
    About::Orders,
    concat!(
        "query($query: String!) { orders(first: 5, query: $query, sortKey: CREATED_AT, reverse: true) \
         { nodes { ...OrderFields } } }",
        order_fields!()
    ),
);
pub(super) const ORDERS_OF_CALLER: Operation = read(
    "orders_of_caller",
    About::Orders,
    concat!(
        "query($phone: String!) { customerByIdentifier(identifier: { phoneNumber: $phone }) \
         { orders(first: 5, sortKey: CREATED_AT, reverse: true) { nodes { ...OrderFields } } } }",
        order_fields!()
    ),
);
pub(super) const ORDER: Operation =
    read("order", About::Orders, concat!("query($id: ID!) { order(id: $id) { ...OrderFields } }", order_fields!()));
pub(super) const CANCEL: Operation = write(
    "order_cancel",
    About::Orders,
    "mutation($id: ID!, $note: String) { orderCancel(orderId: $id, reason: CUSTOMER, restock: true, \
     refundMethod: { originalPaymentMethodsRefund: true }, notifyCustomer: true, staffNote: $note) \
     { job { id done } orderCancelUserErrors { field message code } userErrors { field message } } }",
);
pub(super) const JOB: Operation = read("job", About::Orders, "query($id: ID!) { job(id: $id) { id done } }");
pub(super) const CHANGE_ADDRESS: Operation = write(
    "order_update",
    About::Orders,
    "mutation($id: ID!, $address: MailingAddressInput!) { orderUpdate(input: { id: $id, shippingAddress: $address }) \
     { order { id } userErrors { field message } } }",
);
pub(super) const RETURNABLE: Operation = read(
    "returnable",
    About::Orders,
    "query($id: ID!) { returnableFulfillments(orderId: $id, first: 5) { nodes { \
     returnableFulfillmentLineItems(first: 20) { nodes { quantity \
     fulfillmentLineItem { id lineItem { title variantTitle } } } } } } }",
);
pub(super) const ASK_RETURN: Operation = write(
    "return_request",
    About::Orders,
    "mutation($input: ReturnRequestInput!) { returnRequest(input: $input) \
     { return { id status } userErrors { field message } } }",
);
pub(super) const PRODUCTS: Operation = read(
    "products",
    About::Products,
    "query($query: String!) { shop { currencyCode } products(first: 5, query: $query) { nodes { title \
     variants(first: 10) { nodes { id title price availableForSale } } } } }",
);
pub(super) const CREATE_DRAFT: Operation = write(
    "draft_order_create",
    About::Orders,
    "mutation($input: DraftOrderInput!) { draftOrderCreate(input: $input) { draftOrder { id name \
     totalPriceSet { shopMoney { amount currencyCode } } } userErrors { field message } } }",
);
pub(super) const DRAFTS: Operation = read(
    "drafts",
    About::Orders,
    "query($query: String!) { draftOrders(first: 1, query: $query) { nodes { id name tags \
     totalPriceSet { shopMoney { amount currencyCode } } } } }",
);
/// What `caly check` asks: it needs the scopes that calls need most.
pub(super) const TRIAL: Operation = read(
    "trial",
    About::Orders,
    "query { shop { name currencyCode } orders(first: 1) { nodes { id phone \
     customer { defaultPhoneNumber { phoneNumber } } fulfillments(first: 1) { status } } } \
     products(first: 1) { nodes { id } } }",
);

/// A list of Shopify's; those that are no connections are arrays.
#[derive(Deserialize)]
struct Nodes<T> {
    nodes: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMoney {
    amount: String,
    currency_code: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MoneyBag {
    shop_money: WireMoney,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireOrder {
    id: String,
    name: String,
    email: Option<String>,
    phone: Option<String>,
    created_at: Option<DateTime<Utc>>,
    cancelled_at: Option<DateTime<Utc>>,
    display_financial_status: Option<String>,
    display_fulfillment_status: Option<String>,
    return_status: Option<String>,
    #[serde(default)]
    payment_gateway_names: Vec<String>,
    current_total_price_set: MoneyBag,
    total_outstanding_set: MoneyBag,
    customer: Option<WireCustomer>,
    shipping_address: Option<WireAddress>,
    line_items: Nodes<WireLine>,
    fulfillments: Vec<WireFulfilment>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireCustomer {
    default_phone_number: Option<WirePhone>,
    default_email_address: Option<WireEmail>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WirePhone {
    phone_number: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireEmail {
    email_address: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAddress {
    first_name: Option<String>,
    last_name: Option<String>,
    company: Option<String>,
    address1: Option<String>,
    address2: Option<String>,
    city: Option<String>,
    province_code: Option<String>,
    country_code_v2: Option<String>,
    zip: Option<String>,
    phone: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireLine {
    title: String,
    variant_title: Option<String>,
    quantity: i64,
    current_quantity: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireFulfilment {
    status: Option<String>,
    display_status: Option<String>,
    estimated_delivery_at: Option<DateTime<Utc>>,
    delivered_at: Option<DateTime<Utc>>,
    #[serde(default)]
    tracking_info: Vec<WireTracking>,
    events: Nodes<WireEvent>,
}

#[derive(Deserialize)]
struct WireTracking {
    company: Option<String>,
    number: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireEvent {
    status: Option<String>,
    happened_at: Option<DateTime<Utc>>,
    city: Option<String>,
}

#[derive(Deserialize)]
struct WireJob {
    id: String,
    done: bool,
}

#[derive(Deserialize)]
struct WireProduct {
    title: String,
    variants: Nodes<WireVariant>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireVariant {
    id: String,
    title: Option<String>,
    price: String,
    available_for_sale: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireReturnable {
    returnable_fulfillment_line_items: Nodes<WireReturnableLine>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireReturnableLine {
    quantity: i64,
    fulfillment_line_item: WireFulfilmentLine,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireFulfilmentLine {
    id: String,
    line_item: WireTitle,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireTitle {
    title: String,
    variant_title: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireDraft {
    id: String,
    name: String,
    #[serde(default)]
    tags: Vec<String>,
    total_price_set: MoneyBag,
}

/// Reads a part of an answer; the text says which part did not fit, never what stood in it.
fn part<T: serde::de::DeserializeOwned>(data: &Value, path: &str) -> Result<T, String> {
    let value = data.pointer(path).ok_or_else(|| format!("{path} is missing"))?;
    // The parser's own words may quote what stood there.
    T::deserialize(value).map_err(|_| format!("{path} does not fit"))
}

fn money(bag: MoneyBag) -> Result<Money, String> {
    let MoneyBag { shop_money: WireMoney { amount, currency_code } } = bag;
    Money::read(&amount, &currency_code).ok_or_else(|| "an amount is no number".to_owned())
}

fn text(value: Option<String>) -> String {
    value.unwrap_or_default()
}

impl WireOrder {
    fn order(self) -> Result<Order, String> {
        let customer =
            self.customer.unwrap_or(WireCustomer { default_phone_number: None, default_email_address: None });
        let address = self.shipping_address.map(WireAddress::address);
        let shipping = address.as_ref().map(|address| address.phone.clone());
        let phone = customer.default_phone_number.and_then(|phone| phone.phone_number);
        let email = customer.default_email_address.and_then(|email| email.email_address);
        let given = |texts: Vec<Option<String>>| -> Vec<String> {
            texts.into_iter().flatten().filter(|text| !text.trim().is_empty()).collect()
        };
        Ok(Order {
            id: self.id,
            name: self.name,
            phones: given(vec![self.phone, phone, shipping]),
            emails: given(vec![self.email, email]),
            placed: self.created_at,
            cancelled: self.cancelled_at,
            payment: text(self.display_financial_status),
            fulfilment: text(self.display_fulfillment_status),
            returns: text(self.return_status),
            cash_on_delivery: self.payment_gateway_names.iter().any(|name| is_cash(name)),
            total: money(self.current_total_price_set)?,
            outstanding: money(self.total_outstanding_set)?,
            address,
            lines: self.line_items.nodes.into_iter().map(WireLine::line).filter(|line| line.quantity > 0).collect(),
            parcels: self.fulfillments.into_iter().map(WireFulfilment::parcel).collect(),
        })
    }
}

/// `Cash on Delivery (COD)` and its like.
fn is_cash(gateway: &str) -> bool {
    let gateway = gateway.to_lowercase();
    gateway.contains("cash on delivery") || gateway.split(|c: char| !c.is_alphanumeric()).any(|word| word == "cod")
}

impl WireAddress {
    fn address(self) -> order::Address {
        order::Address {
            first_name: text(self.first_name),
            last_name: text(self.last_name),
            company: text(self.company),
            address1: text(self.address1),
            address2: text(self.address2),
            city: text(self.city),
            province_code: text(self.province_code),
            country_code: text(self.country_code_v2),
            zip: text(self.zip),
            phone: text(self.phone),
        }
    }
}

impl WireLine {
    fn line(self) -> order::Line {
        // What was taken off the order since is not in it any more.
        let quantity = self.current_quantity.unwrap_or(self.quantity);
        order::Line { title: self.title, variant: text(self.variant_title), quantity }
    }
}

impl WireFulfilment {
    fn parcel(self) -> Parcel {
        let tracking = self.tracking_info.into_iter().next();
        let (courier, number) = tracking.map(|tracking| (tracking.company, tracking.number)).unwrap_or_default();
        let step =
            |event: WireEvent| Step { status: text(event.status), at: event.happened_at, place: text(event.city) };
        Parcel {
            status: text(self.status),
            stage: text(self.display_status),
            expected: self.estimated_delivery_at,
            delivered: self.delivered_at,
            courier: text(courier),
            tracking: text(number),
            last: self.events.nodes.into_iter().next().map(step),
        }
    }
}

/// The orders of an answer to [`ORDERS`].
pub(super) fn orders(data: &Value) -> Result<Vec<Order>, String> {
    part::<Nodes<WireOrder>>(data, "/orders")?.nodes.into_iter().map(WireOrder::order).collect()
}

/// The orders of an answer to [`ORDERS_OF_CALLER`]; nobody has that number: none.
pub(super) fn orders_of_caller(data: &Value) -> Result<Vec<Order>, String> {
    if part::<Value>(data, "/customerByIdentifier")?.is_null() {
        return Ok(Vec::new());
    }
    part::<Nodes<WireOrder>>(data, "/customerByIdentifier/orders")?.nodes.into_iter().map(WireOrder::order).collect()
}

/// The order of an answer to [`ORDER`].
pub(super) fn order(data: &Value) -> Result<Option<Order>, String> {
    part::<Option<WireOrder>>(data, "/order")?.map(WireOrder::order).transpose()
}

/// The job of an answer to [`CANCEL`], and whether it is done.
pub(super) fn cancel_job(data: &Value) -> Result<(String, bool), String> {
    let job: WireJob = part(data, "/orderCancel/job")?;
    Ok((job.id, job.done))
}

/// Whether the job of an answer to [`JOB`] is done. One that is forgotten is.
pub(super) fn job_done(data: &Value) -> Result<bool, String> {
    Ok(part::<Option<WireJob>>(data, "/job")?.is_none_or(|job| job.done))
}

/// What an answer to [`RETURNABLE`] says may come back.
pub(super) fn returnable(data: &Value) -> Result<Vec<Returnable>, String> {
    let parcels = part::<Nodes<WireReturnable>>(data, "/returnableFulfillments")?.nodes;
    let lines = parcels.into_iter().flat_map(|parcel| parcel.returnable_fulfillment_line_items.nodes);
    let line = |line: WireReturnableLine| Returnable {
        id: line.fulfillment_line_item.id,
        title: line.fulfillment_line_item.line_item.title,
        variant: text(line.fulfillment_line_item.line_item.variant_title),
        quantity: line.quantity,
    };
    Ok(lines.map(line).filter(|line| line.quantity > 0).collect())
}

/// The goods of an answer to [`PRODUCTS`], and the currency of their prices.
pub(super) fn products(data: &Value) -> Result<(Vec<Product>, String), String> {
    let currency = part(data, "/shop/currencyCode")?;
    let mut products = Vec::new();
    for product in part::<Nodes<WireProduct>>(data, "/products")?.nodes {
        let variant = |variant: WireVariant| {
            let price = order::hundredths(&variant.price).ok_or("a price is no number")?;
            let title = text(variant.title).replace("Default Title", "");
            Ok::<_, String>(Variant { id: variant.id, title, price, available: variant.available_for_sale })
        };
        let variants = product.variants.nodes.into_iter().map(variant).collect::<Result<_, _>>()?;
        products.push(Product { title: product.title, variants });
    }
    Ok((products, currency))
}

/// The draft of an answer to [`CREATE_DRAFT`].
pub(super) fn draft(data: &Value) -> Result<Draft, String> {
    let draft: WireDraft = part(data, "/draftOrderCreate/draftOrder")?;
    Ok(Draft { id: draft.id, name: draft.name, total: money(draft.total_price_set)? })
}

/// The draft of an answer to [`DRAFTS`] that bears the tag.
pub(super) fn tagged_draft(data: &Value, tag: &str) -> Result<Option<Draft>, String> {
    let drafts = part::<Nodes<WireDraft>>(data, "/draftOrders")?.nodes;
    let tagged = drafts.into_iter().find(|draft| draft.tags.iter().any(|one| one == tag));
    tagged.map(|draft| Ok(Draft { id: draft.id, name: draft.name, total: money(draft.total_price_set)? })).transpose()
}

/// Name and currency of the shop in an answer to [`TRIAL`].
pub(super) fn trial(data: &Value) -> Result<(String, String), String> {
    Ok((part(data, "/shop/name")?, part(data, "/shop/currencyCode")?))
}

/// `MailingAddressInput`: it replaces the whole address.
pub(super) fn address_input(address: &order::Address) -> Value {
    serde_json::json!({
        "firstName": address.first_name, "lastName": address.last_name, "company": address.company,
        "address1": address.address1, "address2": address.address2, "city": address.city,
        "provinceCode": address.province_code, "countryCode": address.country_code, "zip": address.zip,
        "phone": address.phone,
    })
}
