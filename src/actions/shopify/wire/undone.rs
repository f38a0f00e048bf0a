//! What is asked and told where something is undone.

use serde_json::Value;

use super::super::cache::About;
use super::super::order::Address;
use super::{Operation, read, write};

pub(in super::super) const DRAFT: Operation =
    read("draft_order", About::Orders, "query($id: ID!) { draftOrder(id: $id) { id status } }");
pub(in super::super) const DELETE_DRAFT: Operation = write(
    "draft_order_delete",
    About::Orders,
    "mutation($input: DraftOrderDeleteInput!) { draftOrderDelete(input: $input) { deletedId userErrors { field message } } }",
);
pub(in super::super) const RETURN: Operation =
    read("return", About::Orders, "query($id: ID!) { return(id: $id) { id status } }");
pub(in super::super) const CANCEL_RETURN: Operation = write(
    "return_cancel",
    About::Orders,
    "mutation($id: ID!) { returnCancel(id: $id) { return { id status } userErrors { field message } } }",
);

/// The state in an answer to [`DRAFT`] or [`RETURN`]; `None`: it is not there.
pub(in super::super) fn status(data: &Value) -> Option<String> {
    let found = data.get("draftOrder").or_else(|| data.get("return"))?;
    found["status"].as_str().map(str::to_owned)
}

/// Whether an answer to [`DELETE_DRAFT`] or [`CANCEL_RETURN`] tells that it was done.
pub(in super::super) fn is_undone(data: &Value) -> bool {
    data["draftOrderDelete"]["deletedId"].is_string() || data["returnCancel"]["return"]["status"] == "CANCELED"
}

/// The id in an answer to [`ASK_RETURN`](super::ASK_RETURN).
pub(in super::super) fn asked_return(data: &Value) -> Option<&str> {
    data["returnRequest"]["return"]["id"].as_str()
}

/// As [`address_input`](super::address_input) wrote it.
pub(in super::super) fn address(input: &Value) -> Option<Address> {
    let text = |name: &str| input[name].as_str().unwrap_or_default().to_owned();
    input.is_object().then(|| Address {
        first_name: text("firstName"),
        last_name: text("lastName"),
        company: text("company"),
        address1: text("address1"),
        address2: text("address2"),
        city: text("city"),
        province_code: text("provinceCode"),
        country_code: text("countryCode"),
        zip: text("zip"),
        phone: text("phone"),
    })
}
