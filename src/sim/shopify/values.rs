//! Values that a client sends: whether they are of the type that is wanted, and what they become.

use async_graphql_parser::types::{BaseType, Type};
use async_graphql_value::Value as Literal;
use serde_json::{Map, Value, json};

use super::schema::{Kind, Schema};

/// What is wrong with a value, and where in it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) path: Vec<Value>,
    pub(crate) explanation: String,
}

impl Fault {
    fn here(explanation: impl Into<String>) -> Vec<Self> {
        vec![Self { path: Vec::new(), explanation: explanation.into() }]
    }

    fn below(mut self, key: Value) -> Self {
        self.path.insert(0, key);
        self
    }
}

/// Whether it is `gid://shopify/Kind/123`.
pub(crate) fn is_global_id(text: &str) -> bool {
    let rest = text.strip_prefix("gid://shopify/").unwrap_or_default();
    rest.split_once('/').is_some_and(|(kind, id)| {
        let kind_fits = !kind.is_empty() && kind.chars().all(|c| c.is_ascii_alphanumeric());
        let id = id.split('?').next().unwrap_or_default();
        kind_fits && !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    })
}

/// A variable's value, brought into the shape of its type.
///
/// # Errors
/// Everything that does not fit, each with its place.
pub(crate) fn coerce(schema: &Schema, ty: &Type, value: &Value) -> Result<Value, Vec<Fault>> {
    if value.is_null() {
        return if ty.nullable { Ok(Value::Null) } else { Err(Fault::here("Expected value to not be null")) };
    }
    match &ty.base {
        BaseType::Named(name) => coerce_named(schema, name, value),
        BaseType::List(inner) => {
            let alone = [value.clone()];
            let items = value.as_array().map_or(&alone[..], Vec::as_slice);
            let mut faults = Vec::new();
            let mut list = Vec::new();
            for (at, item) in items.iter().enumerate() {
                match coerce(schema, inner, item) {
                    Ok(item) => list.push(item),
                    Err(more) => faults.extend(more.into_iter().map(|fault| fault.below(json!(at)))),
                }
            }
            if faults.is_empty() { Ok(Value::Array(list)) } else { Err(faults) }
        }
    }
}

fn coerce_named(schema: &Schema, name: &str, value: &Value) -> Result<Value, Vec<Fault>> {
    match schema.kind(name) {
        Some(Kind::Enum(values)) => match value.as_str() {
            Some(text) if values.iter().any(|known| known == text) => Ok(value.clone()),
            _ => Err(Fault::here(format!("Expected {} to be one of: {}", shown(value), values.join(", ")))),
        },
        Some(Kind::Input(fields)) => {
            let Some(map) = value.as_object() else {
                return Err(Fault::here(format!("Expected {} to be a key-value object.", shown(value))));
            };
            let mut faults = Vec::new();
            let mut out = Map::new();
            for key in map.keys().filter(|key| !fields.iter().any(|field| field.name == **key)) {
                faults.extend(
                    Fault::here(format!("Field is not defined on {name}")).into_iter().map(|f| f.below(json!(key))),
                );
            }
            for field in fields {
                let given = map.get(&field.name);
                if given.is_none() && field.ty.nullable {
                    continue;
                }
                match coerce(schema, &field.ty, given.unwrap_or(&Value::Null)) {
                    Ok(value) => drop(out.insert(field.name.clone(), value)),
                    Err(more) => faults.extend(more.into_iter().map(|fault| fault.below(json!(field.name)))),
                }
            }
            if faults.is_empty() { Ok(Value::Object(out)) } else { Err(faults) }
        }
        _ => scalar(name, value).map_err(Fault::here).map(|()| value.clone()),
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), |text| format!("\"{text}\""))
}

/// Decimals and 64-bit numbers travel as strings; where the public pages are silent the stricter reading counts.
fn scalar(name: &str, value: &Value) -> Result<(), String> {
    let text = value.as_str();
    let fits = match name {
        "Int" => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        "Float" => value.is_number(),
        "Boolean" => value.is_boolean(),
        "ID" => {
            let text = text.map_or_else(|| value.to_string(), str::to_owned);
            return if is_global_id(&text) { Ok(()) } else { Err(format!("Invalid global id '{text}'")) };
        }
        "Decimal" => text.is_some_and(|text| decimal(text).is_some()),
        "UnsignedInt64" => text.is_some_and(|text| text.parse::<u64>().is_ok()),
        "DateTime" => text.is_some_and(|text| chrono::DateTime::parse_from_rfc3339(text).is_ok()),
        _ => text.is_some(),
    };
    if fits { Ok(()) } else { Err(format!("Could not coerce value {} to {name}", shown(value))) }
}

/// Below a thousand million, so that no sum of an order's lines overflows.
const DIGITS_MAX: usize = 9;

/// A decimal string in hundredths: `"499"`, `"499.0"`, `"499.50"`.
pub(crate) fn decimal(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let (sign, digits) = whole.strip_prefix('-').map_or((1, whole), |digits| (-1, digits));
    let all_digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if digits.is_empty() || digits.len() > DIGITS_MAX || !all_digits(digits) || !all_digits(part) {
        return None;
    }
    // Beyond hundredths only zeros mean nothing.
    if part.len() > 2 && part[2..].chars().any(|c| c != '0') {
        return None;
    }
    let cents: i64 = format!("{part:0<2}")[..2].parse().ok()?;
    Some(sign * (digits.parse::<i64>().ok()? * 100 + cents))
}

/// A literal with the values of variables put in; `None` for a variable that was not given.
pub(crate) fn plain(literal: &Literal, variables: &Map<String, Value>) -> Option<Value> {
    Some(match literal {
        Literal::Variable(name) => return variables.get(name.as_str()).cloned(),
        Literal::Null => Value::Null,
        Literal::Number(number) => Value::Number(number.clone()),
        Literal::String(text) => json!(text),
        Literal::Boolean(yes) => json!(yes),
        Literal::Enum(name) => json!(name.as_str()),
        Literal::Binary(_) => Value::Null,
        Literal::List(items) => Value::Array(items.iter().filter_map(|item| plain(item, variables)).collect()),
        Literal::Object(fields) => Value::Object(
            fields.iter().filter_map(|(name, value)| Some((name.to_string(), plain(value, variables)?))).collect(),
        ),
    })
}

/// A literal as one would write it, for messages.
pub(crate) fn written(literal: &Literal) -> String {
    literal.to_string()
}

/// The name that a literal's kind has no type for: an enum's name in quotes, a text without them.
pub(crate) fn kind_fits(schema: &Schema, name: &str, literal: &Literal) -> bool {
    match (schema.kind(name), literal) {
        (_, Literal::Variable(_) | Literal::Null) => true,
        (Some(Kind::Enum(values)), Literal::Enum(value)) => values.iter().any(|known| known == value.as_str()),
        (Some(Kind::Enum(_)), _) | (_, Literal::Enum(_)) => false,
        (Some(Kind::Input(_)), Literal::Object(_)) => true,
        (Some(Kind::Input(_)), _) | (_, Literal::Object(_)) => false,
        (_, literal) => plain(literal, &Map::new()).is_some_and(|value| scalar(name, &value).is_ok()),
    }
}
