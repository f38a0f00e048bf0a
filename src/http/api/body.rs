//! JSON bodies of admin requests: read whole within bounds, and refused with the field that does not fit.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, web};
use futures_util::StreamExt;
use serde::de::value::Error as NoValue;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde_json::{Map, Value};

use super::super::App;
use super::super::problem::Problem;
use super::{BODY_BYTES_MAX, told};

/// How alike a wrong name and a right one must be to be suggested.
const ALIKE: f64 = 0.8;

/// Reads a JSON object into `T`, a struct.
///
/// # Errors
/// 400 for no JSON, 408, 413, 415 without `application/json`, 422 with the field for what does not fit.
pub async fn read<T: DeserializeOwned>(app: &App, request: &HttpRequest, payload: web::Payload) -> Result<T, Problem> {
    if !is_json(request) {
        return Err(Problem::unsupported_media_type().detail("expected Content-Type: application/json"));
    }
    let within = app.config.server.body_deadline;
    let bytes = tokio::time::timeout(within, collect(payload)).await.map_err(|_| Problem::too_slow())??;
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| Problem::malformed().detail(told(&error)))?;
    let Value::Object(fields) = value else {
        return Err(Problem::invalid().detail("expected a JSON object"));
    };
    parse(fields)
}

fn is_json(request: &HttpRequest) -> bool {
    let mut types = request.headers().get_all(CONTENT_TYPE);
    let (Some(given), None) = (types.next(), types.next()) else { return false };
    let essence = given.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

async fn collect(mut payload: web::Payload) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Problem::malformed().detail("the body did not arrive whole"))?;
        if bytes.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(Problem::too_large().detail(format!("at most {BODY_BYTES_MAX} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn parse<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, Problem> {
    let names = names_of::<T>();
    if let Some(unknown) = fields.keys().find(|name| !names.contains(&name.as_str())) {
        return Err(unknown_field(unknown, names));
    }
    let whole = T::deserialize(Value::Object(fields.clone()));
    whole.map_err(|error| {
        let problem = Problem::invalid().detail(told(&error));
        match culprit::<T>(&fields, &error) {
            Some(field) => problem.field(field),
            None => problem,
        }
    })
}

fn unknown_field(name: &str, names: &[&str]) -> Problem {
    let near = nearest(name, names).map_or_else(String::new, |near| format!("; did you mean {near}?"));
    let detail = format!("there is no such field{near}. There are {}", names.join(", "));
    Problem::invalid().field(name.chars().take(64).collect::<String>()).detail(detail)
}

/// The name that is most like a wrong one, if one is.
pub(super) fn nearest<'a>(wrong: &str, names: &[&'a str]) -> Option<&'a str> {
    let wrong: String = wrong.chars().take(64).collect();
    let scored = names.iter().map(|name| (*name, strsim::jaro_winkler(&wrong, name)));
    scored.filter(|(_, score)| *score > ALIKE).max_by(|a, b| a.1.total_cmp(&b.1)).map(|(name, _)| name)
}

/// Which field a parser refused. One that is missing is told by the parser; one of a wrong type is refused also when it
/// stands alone, and before any missing one is noticed.
fn culprit<T: DeserializeOwned>(fields: &Map<String, Value>, error: &serde_json::Error) -> Option<String> {
    if let Some(missing) = missing(error) {
        return Some(missing);
    }
    let alone = |name: &&String| {
        let one: Map<String, Value> =
            fields.get(*name).map(|value| ((*name).clone(), value.clone())).into_iter().collect();
        T::deserialize(Value::Object(one)).is_err_and(|error| missing(&error).is_none())
    };
    fields.keys().find(alone).cloned()
}

fn missing(error: &serde_json::Error) -> Option<String> {
    let text = error.to_string();
    let rest = text.strip_prefix("missing field `")?;
    rest.split('`').next().map(str::to_owned)
}

/// Learns the names of a struct's fields from its own parser.
#[derive(Default)]
struct Names(&'static [&'static str]);

fn names_of<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut names = Names::default();
    // Refuses as soon as it has been asked for the struct.
    let _ = T::deserialize(&mut names);
    names.0
}

impl<'de> Deserializer<'de> for &mut Names {
    type Error = NoValue;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, NoValue> {
        self.0 = fields;
        Err(NoValue::custom("only the names were wanted"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, NoValue> {
        Err(NoValue::custom("no struct"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// For a field that may be left out but not be `null`, and for one whose `null` means something (`Option<Option<T>>`).
///
/// # Errors
/// The value's own.
pub fn given<'de, D: Deserializer<'de>, T: serde::Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(serde::Deserialize, Debug, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Shape {
        name: String,
        #[serde(default, deserialize_with = "given")]
        calls: Option<Option<i64>>,
        #[serde(default, deserialize_with = "given")]
        label: Option<String>,
    }

    fn shape(value: Value) -> Result<Shape, Problem> {
        let Value::Object(fields) = value else { panic!("an object") };
        parse(fields)
    }

    #[test]
    fn the_field_that_does_not_fit_is_named() {
        for (value, field, says) in [
            (json!({}), "name", "missing"),
            (json!({"nam": "x"}), "nam", "did you mean name?"),
            (json!({"name": "x", "colour": 1}), "colour", "There are name, calls, label"),
            (json!({"name": 5}), "name", "string"),
            (json!({"calls": "x", "name": "x"}), "calls", "i64"),
            (json!({"label": null, "name": "x"}), "label", "null"),
        ] {
            let problem = shape(value.clone()).unwrap_err();
            assert_eq!((problem.status, problem.field.as_deref()), (422, Some(field)), "{value}");
            assert!(problem.detail.as_deref().unwrap().contains(says), "{problem:?}");
        }
    }

    #[test]
    fn null_and_nothing_are_told_apart() {
        assert_eq!(shape(json!({"name": "x"})).unwrap().calls, None);
        assert_eq!(shape(json!({"name": "x", "calls": null})).unwrap().calls, Some(None));
        assert_eq!(shape(json!({"name": "x", "calls": 5})).unwrap().calls, Some(Some(5)));
    }
}
