//! Which other sites' pages may use the admin API: exactly those the operator lists, and nobody's cookies.
//!
//! Only paths below [`PREFIX`]: webhooks are for servers, the media socket refuses every origin. Without a list no
//! header is ever sent, and a browser keeps other sites out by itself.

use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue,
    ORIGIN, VARY,
};

/// Where other origins may be allowed.
pub const PREFIX: &str = "/api/";
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
const ASKED: HeaderValue =
    HeaderValue::from_static("authorization, content-type, idempotency-key, if-match, last-event-id, x-request-id");
const SHOWN: HeaderValue = HeaderValue::from_static("etag, location, retry-after, x-request-id");
/// How long a browser may remember a preflight's answer, s.
const REMEMBERED: HeaderValue = HeaderValue::from_static("600");

/// What a request's origin may do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// No origin, one that is not listed, or no path for others: answered as ever, without a header.
    Nothing,
    /// A listed origin: its page may read the answer.
    Allowed(HeaderValue),
    /// A listed origin asks what it may do: to be answered at once.
    Preflight(HeaderValue),
}

/// Judges a request by its headers; an origin must be listed letter for letter.
#[must_use]
pub fn judge(method: &Method, path: &str, headers: &HeaderMap, listed: &[String]) -> Verdict {
    let mut origins = headers.get_all(ORIGIN);
    let (Some(origin), None) = (origins.next(), origins.next()) else { return Verdict::Nothing };
    let known = listed.iter().any(|known| known.as_bytes() == origin.as_bytes());
    if !known || !path.starts_with(PREFIX) {
        return Verdict::Nothing;
    }
    if method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        return Verdict::Preflight(origin.clone());
    }
    Verdict::Allowed(origin.clone())
}

impl Verdict {
    /// Writes what a browser needs to know.
    pub fn write(&self, headers: &mut HeaderMap) {
        match self {
            Self::Nothing => return,
            Self::Allowed(origin) => {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, SHOWN);
            }
            Self::Preflight(origin) => {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
                headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, ASKED);
                headers.insert(ACCESS_CONTROL_MAX_AGE, REMEMBERED);
            }
        }
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_listed_origin_on_the_api_is_allowed() {
        let listed = ["https://desk.example".to_owned(), "http://localhost:5173".to_owned()];
        for (method, path, origin, allowed) in [
            (Method::GET, "/api/v1/calls", "https://desk.example", true),
            (Method::GET, "/api/v1/calls", "http://localhost:5173", true),
            (Method::GET, "/api/v1/calls", "https://DESK.example", false),
            (Method::GET, "/api/v1/calls", "https://desk.example.evil.example", false),
            (Method::GET, "/api/v1/calls", "https://desk.example:8443", false),
            (Method::GET, "/api/v1/calls", "http://desk.example", false),
            (Method::GET, "/api/v1/calls", "null", false),
            (Method::GET, "/api/v1/calls", "*", false),
            (Method::GET, "/webhooks/exotel/demo/status", "https://desk.example", false),
            (Method::GET, "/media/exotel/x", "https://desk.example", false),
            (Method::GET, "/health", "https://desk.example", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ORIGIN, HeaderValue::from_str(origin).unwrap_or(HeaderValue::from_static("")));
            let verdict = judge(&method, path, &headers, &listed);
            assert_eq!(verdict != Verdict::Nothing, allowed, "{path} {origin}");
            let mut answer = HeaderMap::new();
            verdict.write(&mut answer);
            let told = answer.get(ACCESS_CONTROL_ALLOW_ORIGIN).map(HeaderValue::as_bytes);
            assert_eq!(told, allowed.then_some(origin.as_bytes()));
            assert!(!answer.contains_key("access-control-allow-credentials"));
        }
    }

    #[test]
    fn two_origins_are_none() {
        let listed = ["https://desk.example".to_owned()];
        let mut headers = HeaderMap::new();
        headers.append(ORIGIN, HeaderValue::from_static("https://desk.example"));
        headers.append(ORIGIN, HeaderValue::from_static("https://evil.example"));
        assert_eq!(judge(&Method::GET, "/api/v1/calls", &headers, &listed), Verdict::Nothing);
    }
}
