//! Around every handler: a request id, a rate for each address, bounds for the body, the headers every answer carries,
//! and a panic answered 500 while the process lives.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::ConnectionType;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpResponse, ResponseError, web};
use futures_util::FutureExt;
use uuid::Uuid;

use super::client_address::address_behind;
use super::connection::{Busy, BusyBody, Progress};
use super::problem::Problem;
use super::{App, body, cors};
use crate::limits::subscriber;

/// For data: nothing in it may be loaded, run or framed.
const DATA_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
/// For a page that sets none of its own.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'none'",
);
/// A year; only sent where the public address is https.
const HTTPS_ONLY: HeaderValue = HeaderValue::from_static("max-age=31536000");

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

/// What every answer to one request is marked with.
struct Marks {
    name: String,
    cors: cors::Verdict,
    https: bool,
}

impl Marks {
    fn write(&self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_str(&self.name) {
            headers.insert(HeaderName::from_static("x-request-id"), value);
        }
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        if self.https {
            headers.insert(STRICT_TRANSPORT_SECURITY, HTTPS_ONLY);
        }
        if !headers.contains_key(CONTENT_SECURITY_POLICY) {
            let page = headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
            headers.insert(CONTENT_SECURITY_POLICY, if page { PAGE_POLICY } else { DATA_POLICY });
        }
        // What may be kept says so itself: assets and the API's document.
        if !headers.contains_key(CACHE_CONTROL) {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        self.cors.write(headers);
    }

    /// An answer made here, as the error that carries it past the handler's own kind of body.
    fn answer(&self, route: &str, mut response: HttpResponse) -> Error {
        count(route, response.status());
        self.write(response.headers_mut());
        InternalError::from_response("answered by the shield", response).into()
    }
}

/// The middleware.
///
/// # Errors
/// An answer made here instead of by the handler: 429, 413, 408, 500 for a panic, a preflight's 204.
pub async fn shield<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BusyBody<B>>, Error> {
    let busy = request.request().conn_data::<Arc<Progress>>().map(Busy::with);
    let app = request.app_data::<web::Data<App>>().cloned();
    let app = app.as_ref().map(|app| app.get_ref());
    let marks = marks(&request, app);
    if matches!(marks.cors, cors::Verdict::Preflight(_)) {
        return Err(marks.answer("preflight", HttpResponse::NoContent().finish()));
    }
    let fate = match app.map_or(Ok(body::Fate::default()), |app| admit(&mut request, app)) {
        Ok(fate) => fate,
        Err(problem) => return Err(marks.answer("refused", problem.error_response())),
    };
    request.extensions_mut().insert(RequestName(marks.name.clone()));
    let begun = std::time::Instant::now();
    // A panic would cut the connection without an answer; the handler's state is dropped with its future.
    let mut response = match AssertUnwindSafe(next.call(request)).catch_unwind().await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return Err(marks.answer("error", last_if(fate.is_unread(), error.error_response()))),
        Err(_) => {
            metrics::counter!("caly_http_panics_total").increment(1);
            tracing::error!(request = marks.name, "a handler panicked");
            return Err(marks.answer("panic", Problem::internal(&marks.name).error_response()));
        }
    };
    let route = response.request().match_pattern().unwrap_or_else(|| "none".to_owned());
    metrics::histogram!("caly_http_seconds", "route" => route.clone()).record(begun.elapsed().as_secs_f64());
    // However the handler put it: the body was too large or too slow.
    if fate.is_unread() {
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    if let Some(trouble) = fate.trouble().filter(|_| response.status().as_u16() >= 400) {
        return Err(marks.answer(&route, trouble.problem().error_response()));
    }
    // The pattern, not the path: paths and queries hold tokens.
    tracing::debug!(request = marks.name, route, status = response.status().as_u16(), "answered");
    count(&route, response.status());
    marks.write(response.headers_mut());
    Ok(response.map_body(|_, body| BusyBody::new(body, busy)))
}

/// Says that the connection ends with this answer.
fn last_if(ends: bool, mut response: HttpResponse) -> HttpResponse {
    if ends {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    response
}

fn marks(request: &ServiceRequest, app: Option<&App>) -> Marks {
    let listed = app.map_or(&[][..], |app| app.config.server.cors_origins.as_slice());
    Marks {
        name: name_of(request),
        cors: cors::judge(request.method(), request.path(), request.headers(), listed),
        https: app.is_some_and(|app| app.config.server.public_url.http().starts_with("https:")),
    }
}

/// Before any handler: the address has not asked too often, and the body is bounded.
fn admit(request: &mut ServiceRequest, app: &App) -> Result<body::Fate, Problem> {
    // Those who watch must see a process that is being flooded.
    let watching = request.path().starts_with("/health") || request.path() == "/metrics";
    let peer = request.peer_addr().map(|peer| peer.ip());
    if let Some(peer) = peer.filter(|_| !watching) {
        let address = address_behind(peer, request.headers(), &app.config.server.trusted_proxies);
        let checked = app.limits.addresses.check(&subscriber(address));
        checked.map_err(|wait| Problem::too_many().retry_after(wait.seconds()))?;
    }
    body::bound(request, app.config.server.body_deadline).map_err(body::Trouble::problem)
}

fn count(route: &str, status: StatusCode) {
    let class = match status.as_u16() {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    };
    metrics::counter!("caly_http_requests_total", "route" => route.to_owned(), "class" => class).increment(1);
}
