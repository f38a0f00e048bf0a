//! Around every handler: a request id, security headers, and a panic answered 500 while the process lives.

use std::panic::AssertUnwindSafe;

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
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
/// Those of the handler.
pub async fn shield<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
    let name = name_of(&request);
    request.extensions_mut().insert(RequestName(name.clone()));
    let http_request = request.request().clone();
    let begun = std::time::Instant::now();
    // A panic would cut the connection without an answer; the handler's state is dropped with its future.
    let outcome = AssertUnwindSafe(next.call(request)).catch_unwind().await;
    let mut response = match outcome {
        Ok(Ok(response)) => response.map_into_left_body(),
        Ok(Err(error)) => {
            let response = error.error_response();
            ServiceResponse::new(http_request, response).map_into_right_body()
        }
        Err(_) => {
            metrics::counter!("caly_http_panics_total").increment(1);
            tracing::error!(request = name, "a handler panicked");
            let response = Problem::internal(&name).error_response();
            ServiceResponse::new(http_request, response).map_into_right_body()
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
    metrics::counter!("caly_http_requests_total", "route" => route.clone(), "class" => class).increment(1);
    metrics::histogram!("caly_http_seconds", "route" => route).record(begun.elapsed().as_secs_f64());
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&name) {
        headers.insert(HeaderName::from_static("x-request-id"), value);
    }
    for (header, value) in
        [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer"), ("x-frame-options", "DENY")]
    {
        headers.insert(HeaderName::from_static(header), HeaderValue::from_static(value));
    }
    Ok(response)
}
