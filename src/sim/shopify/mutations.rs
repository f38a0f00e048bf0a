//! Writing: each mutation's rules, its payload with `userErrors`, and the count of what took effect.

use async_graphql_parser::types::Field;
use serde_json::{Value, json};

use super::data::{Address, Change, Order, Shop, Time, gid, id_of, link};
use super::execute::Run;
use super::problem::Problem;
use super::queries::{self, Arguments, View, given};
use super::{cancel, drafts, refunds, render, rest, returns, values};

/// What a mutation is refused with in its payload.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct UserError {
    pub(crate) field: Option<Vec<&'static str>>,
    pub(crate) message: String,
    pub(crate) code: Option<&'static str>,
}

impl UserError {
    pub(crate) fn new(field: &[&'static str], message: impl Into<String>) -> Self {
        Self { field: (!field.is_empty()).then(|| field.to_vec()), message: message.into(), code: None }
    }

    pub(crate) fn coded(field: &[&'static str], message: impl Into<String>, code: &'static str) -> Self {
        Self { code: Some(code), ..Self::new(field, message) }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({"field": self.field, "message": self.message, "code": self.code})
    }
}

/// Tags of one object.
pub(crate) const TAGS_MAX: usize = 250;

pub(crate) type Refused = Vec<UserError>;

/// `[error]`, for rules that end with one.
pub(crate) fn refuse<T>(field: &[&'static str], message: impl Into<String>) -> Result<T, Refused> {
    Err(vec![UserError::new(field, message)])
}

/// Runs one mutation field; the payload is what is selected from.
///
/// # Errors
/// What stands in `errors` instead of in the payload.
pub(crate) fn run(run: &mut Run<'_>, field: &Field, arguments: &Arguments) -> Result<Value, Problem> {
    let (view, name) = (run.view, field.name.node.as_str());
    let input = given(arguments, "input");
    let shop = &mut *run.shop;
    Ok(match name {
        "orderCancel" => {
            shop.attempt("orderCancel", text(given(arguments, "orderId")));
            cancel::request(shop, view, run.job_polls, arguments)
        }
        "orderUpdate" => {
            shop.attempt("orderUpdate", text(&input["id"]));
            payload("order", update(shop, view, input))
        }
        "tagsAdd" => {
            shop.attempt("tagsAdd", text(given(arguments, "id")));
            payload("node", add_tags(shop, view, arguments))
        }
        "refundCreate" => {
            shop.attempt("refundCreate", text(&input["orderId"]));
            let key = key_of(run, field)?;
            refunds::create(run.shop, view, input, key.as_deref())
        }
        "draftOrderCreate" => {
            shop.attempt("draftOrderCreate", "");
            payload("draftOrder", drafts::create(shop, view.now, input))
        }
        "draftOrderComplete" => {
            shop.attempt("draftOrderComplete", text(given(arguments, "id")));
            payload("draftOrder", drafts::complete(shop, view.now, arguments))
        }
        "draftOrderInvoiceSend" => {
            shop.attempt("draftOrderInvoiceSend", text(given(arguments, "id")));
            payload("draftOrder", drafts::send_invoice(shop, view.now, arguments))
        }
        "draftOrderDelete" => {
            shop.attempt("draftOrderDelete", text(&input["id"]));
            payload("deletedId", drafts::delete(shop, view.now, &input["id"]))
        }
        "returnCancel" => {
            shop.attempt("returnCancel", text(given(arguments, "id")));
            payload("return", returns::cancel(shop, view, given(arguments, "id")))
        }
        "returnRequest" => {
            shop.attempt("returnRequest", text(&input["orderId"]));
            payload("return", returns::create(shop, view, "returnRequest", input))
        }
        "returnCreate" => {
            let input = given(arguments, "returnInput");
            shop.attempt("returnCreate", text(&input["orderId"]));
            payload("return", returns::create(shop, view, "returnCreate", input))
        }
        _ => Value::Null,
    })
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub(crate) fn payload(key: &str, result: Result<Value, Refused>) -> Value {
    let (object, errors) = match result {
        Ok(object) => (object, Vec::new()),
        Err(errors) => (Value::Null, errors.iter().map(UserError::to_json).collect()),
    };
    json!({key: object, "userErrors": errors})
}

/// The key of `@idempotent(key: …)`.
fn key_of(run: &Run<'_>, field: &Field) -> Result<Option<String>, Problem> {
    let directive = field.directives.iter().find(|directive| directive.node.name.node == "idempotent");
    let Some(directive) = directive else {
        let message = "The @idempotent directive is required for this mutation but was not provided.";
        return if run.keys_wanted { Err(Problem::coded("BAD_REQUEST", message)) } else { Ok(None) };
    };
    let key = directive.node.get_argument("key").and_then(|key| values::plain(&key.node, run.variables));
    let key = key.as_ref().and_then(Value::as_str).filter(|key| !key.is_empty() && key.len() <= 255);
    match key {
        Some(key) => Ok(Some(key.to_owned())),
        None => Err(Problem::coded("BAD_REQUEST", "The idempotency key must have 1 to 255 characters.")),
    }
}

/// The order with this id, if it may be seen.
pub(crate) fn order_mut<'a>(shop: &'a mut Shop, view: View, id: &Value) -> Option<&'a mut Order> {
    let id = id_of("Order", id.as_str()?)?;
    shop.orders.get_mut(&id).filter(|order| view.sees(order))
}

/// Brings the index and the subscribers up to date with a changed order.
pub(crate) fn changed(shop: &mut Shop, id: u64, topics: &[&'static str], now: Time) {
    let event = shop.fresh();
    if let Some(order) = shop.orders.get_mut(&id) {
        order.updated = now;
        queries::index_order(order, now);
    }
    let Some(order) = shop.orders.get(&id) else { return };
    let bodies: Vec<(&'static str, Value)> =
        topics.iter().map(|topic| (*topic, rest::body(shop, order, topic))).collect();
    shop.changes.extend(bodies.into_iter().map(|(topic, body)| Change { topic, body, event }));
}

fn update(shop: &mut Shop, view: View, input: &Value) -> Result<Value, Refused> {
    let Some(order) = order_mut(shop, view, &input["id"]) else { return refuse(&["id"], "Order does not exist") };
    let mut next = order.clone();
    if let Some(address) = input.get("shippingAddress").filter(|address| !address.is_null()) {
        // What is not sent is gone: the address is replaced as a whole.
        next.shipping_address = Some(read_address(address, "shippingAddress")?);
    }
    let given = |key: &str| input.get(key).map(|value| value.as_str().map(str::to_owned));
    if let Some(email) = given("email") {
        if email.as_ref().is_some_and(|email| !is_email(email)) {
            return refuse(&["email"], "Email is invalid");
        }
        next.email = email;
    }
    if let Some(phone) = given("phone") {
        if phone.as_ref().is_some_and(|phone| !is_phone(phone)) {
            return refuse(&["phone"], "Phone is invalid");
        }
        next.phone = phone;
    }
    next.note = given("note").unwrap_or(next.note);
    next.po_number = given("poNumber").unwrap_or(next.po_number);
    if let Some(tags) = input["tags"].as_array() {
        next.tags = tidy_tags(tags);
        if next.tags.len() > TAGS_MAX {
            return refuse(&["tags"], "Tags exceed the maximum of 250");
        }
    }
    if let Some(list) = input["customAttributes"].as_array() {
        next.attributes =
            list.iter().map(|one| (text(&one["key"]).to_owned(), text(&one["value"]).to_owned())).collect();
    }
    let id = order.id;
    *order = next;
    shop.effect("orderUpdate", gid("Order", id), &[], view.now);
    changed(shop, id, &["orders/updated"], view.now);
    Ok(link("Order", id))
}

fn add_tags(shop: &mut Shop, view: View, arguments: &Arguments) -> Result<Value, Refused> {
    let (id, tags) = (given(arguments, "id"), given(arguments, "tags").as_array().cloned().unwrap_or_default());
    let tags = tidy_tags(&tags);
    if tags.is_empty() {
        return refuse(&["tags"], "Tags can't be blank");
    }
    let now = view.now;
    let add = |known: &mut Vec<String>| -> Result<(), Refused> {
        let new = tags.iter().filter(|tag| !known.iter().any(|old| old.eq_ignore_ascii_case(tag)));
        let new: Vec<String> = new.cloned().collect();
        if known.len() + new.len() > TAGS_MAX {
            return refuse(&["tags"], "Tags exceed the maximum of 250");
        }
        known.extend(new);
        Ok(())
    };
    if let Some(order) = order_mut(shop, view, id) {
        add(&mut order.tags)?;
        let id = order.id;
        changed(shop, id, &["orders/updated"], now);
    } else if let Some(draft) = id_of("DraftOrder", text(id)).and_then(|id| shop.drafts.get_mut(&id)) {
        add(&mut draft.tags)?;
        draft.updated = now;
        queries::index_draft(draft, now);
    } else if let Some(customer) = id_of("Customer", text(id)).and_then(|id| shop.customers.get_mut(&id)) {
        add(&mut customer.tags)?;
    } else {
        return refuse(&["id"], "Record not found");
    }
    shop.effect("tagsAdd", text(id).to_owned(), &tags, now);
    Ok(json!({"@": id}))
}

/// Without blanks and repetitions; letters alike count as the same.
pub(crate) fn tidy_tags(tags: &[Value]) -> Vec<String> {
    let mut tidy: Vec<String> = Vec::new();
    for tag in tags.iter().filter_map(Value::as_str).map(str::trim).filter(|tag| !tag.is_empty()) {
        if !tidy.iter().any(|known| known.eq_ignore_ascii_case(tag)) {
            tidy.push(tag.to_owned());
        }
    }
    tidy
}

pub(crate) fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.') && !text.contains(' '))
}

pub(crate) fn is_phone(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or_default();
    (8..=15).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_digit())
}

/// An address as it is sent, whole.
///
/// # Errors
/// A postal code or a state that India does not have.
pub(crate) fn read_address(input: &Value, field: &'static str) -> Result<Address, Refused> {
    let part = |key: &str| input[key].as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let address = Address {
        first_name: part("firstName"),
        last_name: part("lastName"),
        company: part("company"),
        address1: part("address1"),
        address2: part("address2"),
        city: part("city"),
        province_code: part("provinceCode"),
        country_code: part("countryCode"),
        zip: part("zip"),
        phone: part("phone"),
    };
    let mut errors = Vec::new();
    if address.country_code.as_deref() == Some("IN") {
        let zip_fits =
            |zip: &String| zip.len() == 6 && zip.chars().all(|c| c.is_ascii_digit()) && !zip.starts_with('0');
        if address.zip.as_ref().is_some_and(|zip| !zip_fits(zip)) {
            errors.push(UserError::new(&[field, "zip"], "Zip is not valid for India"));
        }
        if address.province_code.as_deref().is_some_and(|code| render::state_name(code).is_none()) {
            errors.push(UserError::new(&[field, "province"], "Province is not a valid province in India"));
        }
    }
    if errors.is_empty() { Ok(address) } else { Err(errors) }
}
