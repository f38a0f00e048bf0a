//! What an answer of the shop comes to. A failure may hide in three layers: the transport, `errors` (a list or a plain
//! text), and `userErrors` of a mutation; and a search that dropped a term it did not know answers with everything.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::limiter::Status;

/// Wait after a 429 that does not say how long.
const WAIT: Duration = Duration::from_secs(2);
/// Longest text of the shop that is kept for the log, in characters.
const TOLD_MAX: usize = 200;

/// What an operator has to mend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Denied {
    /// The token is not taken.
    Token,
    /// The token may not do this.
    Scope,
    /// The shop has not paid, or is closed.
    Frozen,
    /// The shop is locked.
    Locked,
    /// No such shop, or no such version.
    NoShop,
    /// The shop takes these requests for an attack.
    Security,
    /// A search term was not understood, so the result is not what was asked for.
    Search,
    /// The request itself was not understood.
    Query,
    /// The client has no shop, or its domain is none.
    NotConnected,
}

/// Why there is no data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Nothing happened; it may work later.
    Away(&'static str),
    /// It may have happened.
    Lost,
    /// The shop will refuse this until somebody mends it. Nothing happened.
    Denied(Denied),
    /// The shop did not accept this change; its words, for the log. Nothing happened.
    NotAccepted(String),
}

/// One answer judged.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Verdict {
    Data(Value),
    /// Too little left in the bucket: surely not begun.
    Throttled,
    /// To be asked again after this: surely not begun.
    Wait(Duration),
    /// The shop failed. What reads may be asked again.
    Failed,
    Final(Fault),
}

impl Denied {
    /// What was seen.
    #[must_use]
    pub fn seen(self) -> &'static str {
        match self {
            Self::Token => "the access token is refused",
            Self::Scope => "the access token may not do this",
            Self::Frozen => "the shop is frozen or closed",
            Self::Locked => "the shop is locked",
            Self::NoShop => "there is no such shop or API version",
            Self::Security => "the shop refuses these requests for security reasons",
            Self::Search => "the shop did not understand a search term",
            Self::Query => "the shop did not understand the request",
            Self::NotConnected => "the client has no shop",
        }
    }

    /// What to do.
    #[must_use]
    pub fn fix(self) -> &'static str {
        match self {
            Self::Token => "make a new Admin API access token in the shop and set it: caly client shop SLUG --domain D",
            Self::Scope => {
                "grant the app read_orders, write_orders, read_customers, read_products, read_fulfillments, read_returns, \
                 write_returns and write_draft_orders, and access to protected customer data"
            }
            Self::Frozen => "the shop's owner has to settle its account with Shopify",
            Self::Locked => "ask Shopify's support why the shop is locked",
            Self::NoShop => "check the domain (caly client shop SLUG --domain D) and shopify.api_version",
            Self::Security => "ask Shopify's support; check that nothing else uses this token",
            Self::Search | Self::Query => "check shopify.api_version: it must be one that Shopify still serves",
            Self::NotConnected => "connect its shop: caly client shop SLUG --domain D",
        }
    }

    /// For metrics.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Scope => "scope",
            Self::Frozen => "frozen",
            Self::Locked => "locked",
            Self::NoShop => "no_shop",
            Self::Security => "security",
            Self::Search => "search",
            Self::Query => "query",
            Self::NotConnected => "not_connected",
        }
    }
}

/// `Retry-After` in seconds, which Shopify writes with a decimal point.
pub(super) fn retry_after(header: Option<&str>) -> Duration {
    let seconds =
        header.and_then(|text| text.trim().parse::<f64>().ok()).filter(|seconds| (0.0..=3600.0).contains(seconds));
    seconds.map_or(WAIT, Duration::from_secs_f64)
}

/// Judges by status and body. `None` for a body: it could not be read whole.
pub(super) fn judge(status: u16, wait: Duration, body: Option<&Value>, writes: bool) -> Verdict {
    let denied = |why| Verdict::Final(Fault::Denied(why));
    match status {
        200 => {}
        400 => return denied(Denied::Query),
        401 => return denied(Denied::Token),
        402 => return denied(Denied::Frozen),
        403 => return denied(Denied::Scope),
        404 => return denied(Denied::NoShop),
        423 => return denied(Denied::Locked),
        429 => return Verdict::Wait(wait),
        430 => return denied(Denied::Security),
        _ => return failed(writes),
    }
    let Some(body) = body.filter(|body| body.is_object()) else { return failed(writes) };
    let data = &body["data"];
    if !body["errors"].is_null() {
        return errors(&body["errors"], begun(data), writes);
    }
    if body["extensions"]["search"].as_array().into_iter().flatten().any(is_warned) {
        return denied(Denied::Search);
    }
    if !data.is_object() || (writes && !begun(data)) {
        return failed(writes);
    }
    match user_errors(data) {
        Some(told) => Verdict::Final(Fault::NotAccepted(told)),
        None => Verdict::Data(data.clone()),
    }
}

fn failed(writes: bool) -> Verdict {
    if writes { Verdict::Final(Fault::Lost) } else { Verdict::Failed }
}

/// Whether any part of an answer has come to something.
fn begun(data: &Value) -> bool {
    data.as_object().is_some_and(|fields| fields.values().any(|value| !value.is_null()))
}

/// A list, or a plain text where the credentials are refused.
fn errors(errors: &Value, begun: bool, writes: bool) -> Verdict {
    let denied = |why| Verdict::Final(Fault::Denied(why));
    let Some(list) = errors.as_array() else { return denied(Denied::Token) };
    let code = |wanted: &str| list.iter().any(|error| error["extensions"]["code"] == wanted);
    if code("THROTTLED") {
        return Verdict::Throttled;
    }
    // The change was made, and only its answer is cut: by a field that may not be read, say.
    if writes && begun {
        return Verdict::Final(Fault::Lost);
    }
    if code("ACCESS_DENIED") {
        return denied(Denied::Scope);
    }
    if code("SHOP_INACTIVE") {
        return denied(Denied::Frozen);
    }
    if code("INTERNAL_SERVER_ERROR") {
        return failed(writes);
    }
    denied(Denied::Query)
}

fn is_warned(search: &Value) -> bool {
    search["warnings"].as_array().is_some_and(|warnings| !warnings.is_empty())
}

/// The words of `userErrors`, `orderCancelUserErrors` and their like, if there are any.
fn user_errors(data: &Value) -> Option<String> {
    let payloads = data.as_object()?.values().filter_map(Value::as_object);
    let lists = payloads.flatten().filter(|(name, _)| name.to_lowercase().ends_with("usererrors"));
    let errors: Vec<&Value> = lists.filter_map(|(_, list)| list.as_array()).flatten().collect();
    if errors.is_empty() {
        return None;
    }
    let words = errors.iter().map(|error| {
        let code = error["code"].as_str().map_or_else(String::new, |code| format!("{code}: "));
        format!("{code}{}", error["message"].as_str().unwrap_or("no reason given"))
    });
    let told: Vec<String> = words.collect();
    Some(told.join("; ").chars().filter(|c| !c.is_control()).take(TOLD_MAX).collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cost {
    requested_query_cost: Option<f64>,
    throttle_status: Option<Throttle>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Throttle {
    maximum_available: f64,
    currently_available: f64,
    restore_rate: f64,
}

/// What the answer says of its price: what was asked for, and how full the bucket is.
pub(super) fn cost(body: &Value) -> (Option<f64>, Option<Status>) {
    let Ok(cost) = Cost::deserialize(&body["extensions"]["cost"]) else { return (None, None) };
    let status = |throttle: Throttle| Status {
        maximum: throttle.maximum_available,
        available: throttle.currently_available,
        restore: throttle.restore_rate,
    };
    (cost.requested_query_cost, cost.throttle_status.map(status))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use serde_json::json;

    fn denied(why: Denied) -> Verdict {
        Verdict::Final(Fault::Denied(why))
    }

    #[test]
    fn each_layer_of_failure_is_seen() {
        let code = |code: &str| json!({"data": null, "errors": [{"message": "m", "extensions": {"code": code}}]});
        let order = json!({"order": {"id": "gid://shopify/Order/1"}});
        let lost = || Verdict::Final(Fault::Lost);
        let wait = Duration::from_secs(2);
        for (name, status, body, read, write) in [
            ("token", 401, json!({"errors": "[API] Invalid API key"}), denied(Denied::Token), denied(Denied::Token)),
            ("a text", 200, json!({"errors": "no"}), denied(Denied::Token), denied(Denied::Token)),
            ("frozen", 402, json!(null), denied(Denied::Frozen), denied(Denied::Frozen)),
            ("no shop", 404, json!("<html>"), denied(Denied::NoShop), denied(Denied::NoShop)),
            ("locked", 423, json!(null), denied(Denied::Locked), denied(Denied::Locked)),
            ("slow down", 429, json!(null), Verdict::Wait(wait), Verdict::Wait(wait)),
            ("security", 430, json!(null), denied(Denied::Security), denied(Denied::Security)),
            ("failed", 502, json!(null), Verdict::Failed, lost()),
            ("no JSON", 200, json!("<html>"), Verdict::Failed, lost()),
            ("no data", 200, json!({}), Verdict::Failed, lost()),
            ("throttled", 200, code("THROTTLED"), Verdict::Throttled, Verdict::Throttled),
            ("scope", 200, code("ACCESS_DENIED"), denied(Denied::Scope), denied(Denied::Scope)),
            ("inactive", 200, code("SHOP_INACTIVE"), denied(Denied::Frozen), denied(Denied::Frozen)),
            ("too dear", 200, code("MAX_COST_EXCEEDED"), denied(Denied::Query), denied(Denied::Query)),
            ("field", 200, code("undefinedField"), denied(Denied::Query), denied(Denied::Query)),
            ("inside", 200, code("INTERNAL_SERVER_ERROR"), Verdict::Failed, lost()),
            (
                "in part",
                200,
                json!({"data": {"order": {"email": null}}, "errors": [{"extensions": {"code": "ACCESS_DENIED"}}]}),
                denied(Denied::Scope),
                lost(),
            ),
            (
                "a dropped term",
                200,
                json!({"data": order, "extensions": {"search": [{"warnings": [{"code": "invalid_field"}]}]}}),
                denied(Denied::Search),
                denied(Denied::Search),
            ),
            (
                "a search without a warning",
                200,
                json!({"data": order, "extensions": {"search": [{"warnings": []}]}}),
                Verdict::Data(order.clone()),
                Verdict::Data(order.clone()),
            ),
            ("nobody", 200, json!({"data": {"order": null}}), Verdict::Data(json!({"order": null})), lost()),
        ] {
            assert_eq!(judge(status, wait, Some(&body), false), read, "{name}, reading");
            assert_eq!(judge(status, wait, Some(&body), true), write, "{name}, writing");
        }
        assert_eq!(judge(200, wait, None, false), Verdict::Failed);
        assert_eq!(judge(200, wait, None, true), lost());
    }

    #[test]
    fn a_change_that_was_not_accepted_is_told_by_its_words() {
        let answer = |payload: Value| judge(200, WAIT, Some(&json!({"data": {"orderCancel": payload}})), true);
        let told = "NOT_FOUND: Order not found";
        let own = json!({"job": null, "userErrors": [], "orderCancelUserErrors": [{"code": "NOT_FOUND", "message": "Order not found"}]});
        assert_eq!(answer(own), Verdict::Final(Fault::NotAccepted(told.to_owned())));
        let plain = json!({"userErrors": [{"field": ["input"], "message": "a\nb"}, {"message": "x".repeat(900)}]});
        let Verdict::Final(Fault::NotAccepted(told)) = answer(plain) else { panic!("not accepted") };
        assert!(told.starts_with("ab; xxx") && told.chars().count() == TOLD_MAX, "{told}");
        assert!(matches!(answer(json!({"job": {"id": "1"}, "userErrors": []})), Verdict::Data(_)));
    }

    #[test]
    fn the_price_of_an_answer_is_read() {
        let throttle = json!({"maximumAvailable": 2000.0, "currentlyAvailable": 1954, "restoreRate": 100});
        let body = json!({"extensions": {"cost": {"requestedQueryCost": 101, "actualQueryCost": null, "throttleStatus": throttle}}});
        let status = Status { maximum: 2000.0, available: 1954.0, restore: 100.0 };
        assert_eq!(cost(&body), (Some(101.0), Some(status)));
        assert_eq!(cost(&json!({})), (None, None));
    }

    #[test]
    fn the_wait_that_is_asked_for_is_bounded() {
        for (header, seconds) in [
            (Some("2.0"), 2.0),
            (Some(" 0.5 "), 0.5),
            (Some("-1"), 2.0),
            (Some("soon"), 2.0),
            (None, 2.0),
            (Some("inf"), 2.0),
        ] {
            assert_eq!(retry_after(header), Duration::from_secs_f64(seconds), "{header:?}");
        }
    }
}
