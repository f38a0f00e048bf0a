//! The fields of one webhook, however they were written: query, urlencoded, multipart or JSON.
//!
//! Owns the bounds (fields, bytes, depth) and the flattening of nested JSON into bracket keys, so that
//! `Stream[Status]`, `Stream%5BStatus%5D` and `Stream={"Status":…}` are one thing to the views in `webhook`.

use std::fmt;

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use serde_json::Value;

/// Most fields of query and body together; more is refused.
pub const FIELDS_MAX: usize = 200;
/// Longest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 4096;
/// Longest field name, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// Deepest nesting of a JSON body; Exotel's own goes to three.
const DEPTH_MAX: usize = 8;
/// Fields that Exotel writes as brackets in one place and as a JSON text in another.
const JSON_TEXT_FIELDS: [&str; 2] = ["Stream", "Legs"];

/// Why a webhook was not understood. None of the texts repeats a value.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WebhookError {
    /// The body is of a kind that Exotel does not send.
    #[error("unsupported media type {0:?}")]
    UnsupportedMediaType(String),
    /// The body cannot be read at this place.
    #[error("malformed {place}: {reason}")]
    Malformed {
        /// A field name, `query` or the kind of body.
        place: String,
        /// What would be right.
        reason: &'static str,
    },
    /// The body is not what its type says.
    #[error("{0}")]
    BrokenBody(&'static str),
    /// A required field is absent or empty.
    #[error("missing field {0}")]
    Missing(&'static str),
    /// A field is longer than [`VALUE_BYTES_MAX`], or its name is too long.
    #[error("field {0} is too long")]
    TooLong(String),
    /// More than [`FIELDS_MAX`] fields.
    #[error("more than {FIELDS_MAX} fields")]
    TooManyFields,
}

impl WebhookError {
    pub(super) fn malformed(place: impl Into<String>, reason: &'static str) -> Self {
        Self::Malformed { place: place.into(), reason }
    }
}

/// The fields of one webhook. `Debug` shows names only: the values hold numbers and names of people.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Params {
    /// Body first, then query: what the carrier says now wins over what stands in a URL.
    fields: Vec<(String, String)>,
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.fields.iter().map(|(name, _)| name)).finish()
    }
}

impl Params {
    /// A field's value: the first that is not empty among fields of exactly this name, else of this name in another
    /// case; empty text is no value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let first = |same: &dyn Fn(&str) -> bool| {
            self.fields.iter().filter(|(field, _)| same(field)).map(|(_, value)| value.trim()).find(|v| !v.is_empty())
        };
        first(&|field| field == name).or_else(|| first(&|field| field.eq_ignore_ascii_case(name)))
    }

    /// Whether the field is there at all, even empty.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(field, _)| field.eq_ignore_ascii_case(name))
    }

    /// Whether any field begins so, as in `Stream[`.
    #[must_use]
    pub fn has_prefix(&self, prefix: &str) -> bool {
        self.fields
            .iter()
            .any(|(field, _)| field.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)))
    }

    /// Every field, body first.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Keeps a field; one that holds a JSON text by Exotel's custom is taken apart.
    fn push(&mut self, name: &str, value: &str) -> Result<(), WebhookError> {
        if name.len() > NAME_BYTES_MAX {
            return Err(WebhookError::TooLong(name.chars().take(32).collect()));
        }
        if value.len() > VALUE_BYTES_MAX {
            return Err(WebhookError::TooLong(name.to_owned()));
        }
        let is_json = value.trim_start().starts_with(['{', '[']);
        if is_json && let Some(field) = JSON_TEXT_FIELDS.iter().find(|field| field.eq_ignore_ascii_case(name)) {
            let nested: Value = serde_json::from_str(value)
                .map_err(|_| WebhookError::malformed(*field, "expected a JSON object or array"))?;
            return self.flatten(field, &nested, 0);
        }
        if self.fields.len() >= FIELDS_MAX {
            return Err(WebhookError::TooManyFields);
        }
        self.fields.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    /// Turns nested JSON into bracket keys: `{"a":{"b":[1]}}` is `a[b][0]=1`.
    fn flatten(&mut self, name: &str, value: &Value, depth: usize) -> Result<(), WebhookError> {
        if depth > DEPTH_MAX {
            return Err(WebhookError::malformed(name.chars().take(32).collect::<String>(), "nested too deep"));
        }
        match value {
            Value::Null => self.push(name, ""),
            Value::Bool(flag) => self.push(name, if *flag { "true" } else { "false" }),
            Value::Number(number) => self.push(name, &number.to_string()),
            Value::String(text) => self.push(name, text),
            Value::Array(items) => items
                .iter()
                .enumerate()
                .try_for_each(|(at, item)| self.flatten(&nested_name(name, &at.to_string()), item, depth + 1)),
            Value::Object(entries) => {
                entries.iter().try_for_each(|(key, item)| self.flatten(&nested_name(name, key), item, depth + 1))
            }
        }
    }
}

fn nested_name(outer: &str, inner: &str) -> String {
    if outer.is_empty() { inner.to_owned() } else { format!("{outer}[{inner}]") }
}

/// Reads the fields of a webhook from its query (without `?`) and its body.
///
/// A body may be `application/x-www-form-urlencoded`, `multipart/form-data` (Exotel's default for status callbacks) or
/// JSON, in UTF-8; an empty body has no fields whatever its type. The query is read leniently, since a URL may have been
/// typed by hand into Exotel's dashboard.
///
/// # Errors
/// Every kind of [`WebhookError`] but `Missing`.
pub fn parse(query: &str, content_type: Option<&str>, body: &[u8]) -> Result<Params, WebhookError> {
    let mut params = Params::default();
    if !body.is_empty() {
        read_body(&mut params, content_type.unwrap_or(""), body)?;
    }
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if !name.is_empty() {
            params.push(&name, &value)?;
        }
    }
    Ok(params)
}

fn read_body(params: &mut Params, content_type: &str, body: &[u8]) -> Result<(), WebhookError> {
    let kind = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let unsupported = || WebhookError::UnsupportedMediaType(content_type.chars().take(80).collect());
    if !charset_is_utf8(content_type) {
        return Err(unsupported());
    }
    match kind.as_str() {
        "application/x-www-form-urlencoded" => read_form(params, body),
        "application/json" | "text/json" => read_json(params, body),
        "multipart/form-data" => read_multipart(params, content_type, body),
        _ => Err(unsupported()),
    }
}

fn charset_is_utf8(content_type: &str) -> bool {
    content_type.split(';').skip(1).filter_map(|part| part.trim().split_once('=')).all(|(name, value)| {
        !name.trim().eq_ignore_ascii_case("charset")
            || ["utf-8", "utf8", "us-ascii"]
                .iter()
                .any(|known| known.eq_ignore_ascii_case(value.trim().trim_matches('"')))
    })
}

fn read_form(params: &mut Params, body: &[u8]) -> Result<(), WebhookError> {
    for pair in body.split(|&b| b == b'&').filter(|pair| !pair.is_empty()) {
        let (name, value) = match pair.iter().position(|&b| b == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &pair[pair.len()..]),
        };
        let name = decode_component(name).map_err(WebhookError::BrokenBody)?;
        let value = decode_component(value).map_err(WebhookError::BrokenBody)?;
        if name.is_empty() {
            return Err(WebhookError::BrokenBody("a value without a name in a form"));
        }
        params.push(&name, &value)?;
    }
    Ok(())
}

/// Percent-decoding that says no where the lenient kind of the query would guess.
fn decode_component(raw: &[u8]) -> Result<String, &'static str> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (digits, tail) = tail.split_at_checked(2).ok_or("a percent sign without two digits in a form")?;
                let digit = |d: u8| char::from(d).to_digit(16).and_then(|d| u8::try_from(d).ok());
                let (high, low) =
                    digit(digits[0]).zip(digit(digits[1])).ok_or("a percent sign without two digits in a form")?;
                bytes.push(high << 4 | low);
                rest = tail;
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).map_err(|_| "a form that is not UTF-8")
}

fn read_json(params: &mut Params, body: &[u8]) -> Result<(), WebhookError> {
    let value: Value = serde_json::from_slice(body).map_err(|_| WebhookError::BrokenBody("the body is not JSON"))?;
    if !value.is_object() {
        return Err(WebhookError::malformed("JSON body", "expected a JSON object"));
    }
    params.flatten("", &value, 0)
}

fn read_multipart(params: &mut Params, content_type: &str, body: &[u8]) -> Result<(), WebhookError> {
    let broken = || WebhookError::BrokenBody("expected parts between boundaries");
    let boundary = multer::parse_boundary(content_type)
        .map_err(|_| WebhookError::BrokenBody("a multipart body needs a boundary in its content-type"))?;
    let whole = stream::iter([Ok::<_, std::convert::Infallible>(Bytes::copy_from_slice(body))]);
    let mut parts = multer::Multipart::new(whole, boundary);
    // The whole body is at hand, so every future is ready at once; one that is not has met the end inside a part.
    while let Some(part) = parts.next_field().now_or_never().ok_or_else(broken)?.map_err(|_| broken())? {
        let name = part.name().unwrap_or("").to_owned();
        if name.is_empty() {
            return Err(WebhookError::BrokenBody("a part without a name"));
        }
        let bytes = part.bytes().now_or_never().ok_or_else(broken)?.map_err(|_| broken())?;
        let value = std::str::from_utf8(&bytes).map_err(|_| WebhookError::BrokenBody("a part that is not UTF-8"))?;
        params.push(&name, value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: Option<&str> = Some("application/x-www-form-urlencoded");
    const JSON: Option<&str> = Some("application/json; charset=utf-8");
    const MULTIPART: Option<&str> = Some("multipart/form-data; boundary=form-data-boundary-x1");

    fn place(error: Result<Params, WebhookError>) -> String {
        match error.unwrap_err() {
            WebhookError::Malformed { place, .. } => place,
            other => other.to_string(),
        }
    }

    #[test]
    fn the_same_fields_are_read_from_every_kind_of_body() {
        let multipart = include_str!("../../../tests/fixtures/exotel/status-multipart.txt").replace('\n', "\r\n");
        let bodies: [(&str, Option<&str>, &[u8]); 4] = [
            ("CallSid=c1&Status=completed&Stream[Status]=completed", None, b""),
            ("", FORM, b"CallSid=c1&Status=completed&Stream%5BStatus%5D=completed"),
            ("", JSON, br#"{"CallSid":"c1","Status":"completed","Stream":{"Status":"completed"}}"#),
            ("", MULTIPART, multipart.as_bytes()),
        ];
        for (query, content_type, body) in bodies {
            let params = parse(query, content_type, body).unwrap();
            assert_eq!(params.get("CallSid"), Some("c1"), "{content_type:?}");
            assert_eq!(params.get("Status"), Some("completed"), "{content_type:?}");
            assert_eq!(params.get("Stream[Status]"), Some("completed"), "{content_type:?}");
        }
    }

    #[test]
    fn the_body_wins_over_the_query_and_the_exact_name_over_another_case() {
        let params = parse("CallSid=query&From=x", FORM, b"callsid=lower&CallSid=&CallSid=body").unwrap();
        assert_eq!(params.get("CallSid"), Some("body"));
        assert_eq!(params.get("CALLSID"), Some("lower"));
        assert_eq!(params.get("from"), Some("x"));
        assert_eq!(params.get("To"), None);
    }

    #[test]
    fn nested_json_becomes_bracket_keys() {
        let body = br#"{"Legs":[{"Status":"completed","OnCallDuration":12},{"Status":null}],"Ok":true}"#;
        let params = parse("", JSON, body).unwrap();
        assert_eq!(params.get("Legs[0][OnCallDuration]"), Some("12"));
        assert_eq!(params.get("Ok"), Some("true"));
        assert!(params.has("Legs[1][Status]") && params.get("Legs[1][Status]").is_none());
    }

    #[test]
    fn a_field_that_holds_json_text_is_taken_apart() {
        let params = parse("Stream=%7B%22Status%22%3A%22failed%22%2C%22Duration%22%3A7%7D", None, b"").unwrap();
        assert_eq!((params.get("Stream[Status]"), params.get("Stream[Duration]")), (Some("failed"), Some("7")));
        assert_eq!(place(parse("Stream={broken", None, b"")), "Stream");
    }

    #[test]
    fn bodies_of_another_kind_are_refused_as_unsupported() {
        for kind in ["text/xml", "application/octet-stream", "application/json; charset=utf-16", ""] {
            let error = parse("", Some(kind), b"{}").unwrap_err();
            assert_eq!(error, WebhookError::UnsupportedMediaType(kind.to_owned()));
        }
        assert!(matches!(parse("", None, b"x"), Err(WebhookError::UnsupportedMediaType(_))));
        assert!(parse("a=1", Some("text/xml"), b"").is_ok());
    }

    #[test]
    fn a_body_that_is_not_what_it_says_is_broken() {
        let bodies: [(Option<&str>, &[u8]); 11] = [
            (FORM, b"CallSid=%zz"),
            (FORM, b"CallSid=%f"),
            (FORM, b"CallSid=%ff"),
            (FORM, b"%zz=1"),
            (FORM, b"=1"),
            (JSON, b"{\"a\":"),
            (JSON, b"[1"),
            (Some("multipart/form-data"), b"x"),
            (MULTIPART, b"nothing like it"),
            (MULTIPART, b"--form-data-boundary-x1\r\nContent-Disp"),
            (MULTIPART, b"--form-data-boundary-x1\r\n\r\nx"),
        ];
        for (kind, body) in bodies {
            let outcome = parse("", kind, body);
            assert!(matches!(outcome, Err(WebhookError::BrokenBody(_))), "{kind:?} {outcome:?}");
        }
        assert_eq!(place(parse("", JSON, b"[1]")), "JSON body");
    }

    #[test]
    fn bounds_are_kept_and_name_the_field() {
        let long = format!("CallSid=c1&CustomField={}", "x".repeat(VALUE_BYTES_MAX + 1));
        assert_eq!(parse("", FORM, long.as_bytes()), Err(WebhookError::TooLong("CustomField".to_owned())));
        assert_eq!(parse(&long, None, b""), Err(WebhookError::TooLong("CustomField".to_owned())));
        let many = (0..=FIELDS_MAX).map(|at| format!("f{at}=1&")).collect::<String>();
        assert_eq!(parse("", FORM, many.as_bytes()), Err(WebhookError::TooManyFields));
        let deep = format!("{}1{}", "{\"a\":".repeat(20), "}".repeat(20));
        assert!(parse("", JSON, deep.as_bytes()).is_err());
        let brackets = "[".repeat(60_000);
        assert!(parse("", JSON, brackets.as_bytes()).is_err());
    }

    #[test]
    fn debug_shows_no_values() {
        let shown = format!("{:?}", parse("CallFrom=09876543210", None, b"").unwrap());
        assert!(shown.contains("CallFrom") && !shown.contains("98765"), "{shown}");
    }

    proptest::proptest! {
        #[test]
        fn any_body_is_read_without_panic(body: Vec<u8>, query in "\\PC{0,60}", kind in 0_usize..3) {
            let _ = parse(&query, [FORM, JSON, MULTIPART][kind], &body);
        }

        #[test]
        fn a_multipart_body_cut_anywhere_is_read_without_panic(at in 0_usize..400) {
            let whole = include_str!("../../../tests/fixtures/exotel/status-multipart.txt").replace('\n', "\r\n");
            let _ = parse("", MULTIPART, &whole.as_bytes()[..at.min(whole.len())]);
        }
    }
}
