//! What is wrong with a request, as an entry of the `errors` list that Shopify answers.

use async_graphql_parser::Pos;
use serde_json::{Map, Value, json};

const SCOPES: &str = "https://shopify.dev/api/usage/access-scopes";
const LIMITS: &str = "https://shopify.dev/api/usage/rate-limits";
const PROTECTED: &str = "https://shopify.dev/docs/apps/launch/protected-customer-data";

/// One entry of `errors`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Problem {
    message: String,
    at: Option<Pos>,
    path: Option<Vec<Value>>,
    extensions: Map<String, Value>,
}

impl Problem {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), at: None, path: None, extensions: Map::new() }
    }

    /// With `extensions.code`.
    pub(crate) fn coded(code: &str, message: impl Into<String>) -> Self {
        Self::new(message).with("code", code)
    }

    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.extensions.insert(key.to_owned(), value.into());
        self
    }

    pub(crate) fn at(mut self, pos: Pos) -> Self {
        self.at = Some(pos);
        self
    }

    pub(crate) fn path(mut self, path: &[Value]) -> Self {
        self.path = Some(path.to_vec());
        self
    }

    pub(crate) fn denied(field: &str, scope: &str) -> Self {
        let needed = format!("`{scope}` access scope.");
        Self::coded("ACCESS_DENIED", format!("Access denied for {field} field. Required access: {needed}"))
            .with("documentation", SCOPES)
            .with("requiredAccess", needed)
    }

    pub(crate) fn protected(field: &str) -> Self {
        let message = format!("This app is not approved to use the {field} field. See {PROTECTED} for more details.");
        Self::coded("ACCESS_DENIED", message).with("documentation", PROTECTED)
    }

    pub(crate) fn throttled() -> Self {
        Self::coded("THROTTLED", "Throttled").with("documentation", LIMITS)
    }

    pub(crate) fn too_expensive(cost: u64, most: u64) -> Self {
        let message = format!(
            "Query cost is {cost}, which exceeds the single query max cost limit ({most}).\n\nSee {LIMITS} for more information on how the cost of a query is calculated."
        );
        Self::coded("MAX_COST_EXCEEDED", message).with("cost", cost).with("maxCost", most).with("documentation", LIMITS)
    }

    pub(crate) fn internal(request_id: &str) -> Self {
        let message = format!(
            "Internal error. Looks like something went wrong on our end.\nRequest ID: {request_id} (include this in support requests)."
        );
        Self::coded("INTERNAL_SERVER_ERROR", message).with("requestId", request_id)
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut entry = json!({"message": self.message});
        if let Some(pos) = self.at {
            entry["locations"] = json!([{"line": pos.line, "column": pos.column}]);
        }
        if let Some(path) = &self.path {
            entry["path"] = json!(path);
        }
        if !self.extensions.is_empty() {
            entry["extensions"] = Value::Object(self.extensions.clone());
        }
        entry
    }
}
