//! Around every handler: a request id, security headers, and a panic answered 500 while the process lives.

use std::panic::AssertUnwindSafe;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, ResponseError};
use futures_util::FutureExt;
use uuid::Uuid;

use super::problem::Problem;

/// The id of a request, also in the answer's `x-request-id`.
#[derive(Clone, Debug)]
pub struct RequestName(pub String);

/// Keeps a caller's own id if it is harmless, else makes one.
fn name_of(request: &ServiceRequest) -> String {
    let given = request.headers().get("x-request-id").and_then(|value| value.to_str().ok());
    let harmless = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    given.filter(harmless).map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

/// The middleware.
///
/// # Errors
/// A panic of the handler, as the 500 it is answered with; other errors as they are.
pub async fn shield<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let name = name_of(&request);
    request.extensions_mut().insert(RequestName(name.clone()));
    let begun = std::time::Instant::now();
    // A panic would cut the connection without an answer; the handler's state is dropped with its future.
    let mut response = match AssertUnwindSafe(next.call(request)).catch_unwind().await {
        Ok(outcome) => outcome?,
        Err(_) => {
            metrics::counter!("caly_http_panics_total").increment(1);
            tracing::error!(request = name, "a handler panicked");
            let mut response = Problem::internal(&name).error_response();
            add_headers(response.headers_mut(), &name);
            return Err(InternalError::from_response("a handler panicked", response).into());
        }
    };
    let route = response.request().match_pattern().unwrap_or_else(|| "none".to_owned());
    let class = match response.status().as_u16() {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    };
    // The pattern, not the path: paths and queries hold tokens.
    tracing::debug!(request = name, route, status = response.status().as_u16(), "answered");
    metrics::counter!("caly_http_requests_total", "route" => route.clone(), "class" => class).increment(1);
    metrics::histogram!("caly_http_seconds", "route" => route).record(begun.elapsed().as_secs_f64());
    add_headers(response.headers_mut(), &name);
    Ok(response)
}

fn add_headers(headers: &mut HeaderMap, name: &str) {
    if let Ok(value) = HeaderValue::from_str(name) {
        headers.insert(HeaderName::from_static("x-request-id"), value);
    }
    for (header, value) in
        [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer"), ("x-frame-options", "DENY")]
    {
        headers.insert(HeaderName::from_static(header), HeaderValue::from_static(value));
    }
}
