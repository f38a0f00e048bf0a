//! The admin API under `/api/v1`, its OpenAPI document and the document's page.
//!
//! Reads the store and the registry of calls on behalf of whoever holds a key; decides nothing about a call.
//! Every answer is `no-store`; every refusal is `application/problem+json`.

mod administration;
pub mod auth;
mod calls;
mod clients;
pub(super) mod openapi;
mod query;
#[cfg(test)]
mod tests;

use actix_web::error::{JsonPayloadError, QueryPayloadError};
use actix_web::http::header::{ALLOW, CACHE_CONTROL};
use actix_web::{HttpRequest, HttpResponse, Resource, ResponseError, middleware, web};

use super::problem::Problem;

/// Largest JSON body of an admin request.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// Routes of the admin API, its document and its page.
pub fn configure(routes: &mut web::ServiceConfig) {
    let api = web::scope("/api/v1")
        .wrap(middleware::DefaultHeaders::new().add((CACHE_CONTROL, "no-store")))
        .configure(extractors)
        .configure(|scope| {
            for (_, resource) in resources() {
                scope.service(resource);
            }
        })
        .default_service(web::to(nothing_here));
    routes.app_data(web::Data::new(auth::KeyMemory::default())).configure(openapi::configure).service(api);
}

/// Each path below `/api/v1` once, with what it can do.
fn resources() -> Vec<(&'static str, Resource)> {
    let get = |path| only(web::resource(path), "GET");
    vec![
        ("/calls", get("/calls").route(web::get().to(calls::list_calls))),
        ("/calls/{id}", get("/calls/{id}").route(web::get().to(calls::get_call))),
        ("/calls/{id}/hangup", only(web::resource("/calls/{id}/hangup"), "POST").route(web::post().to(calls::hang_up))),
        ("/actions", get("/actions").route(web::get().to(calls::list_actions))),
        ("/clients", get("/clients").route(web::get().to(clients::list_clients))),
        ("/clients/{id}", get("/clients/{id}").route(web::get().to(clients::get_client))),
        ("/numbers", get("/numbers").route(web::get().to(clients::list_numbers))),
        ("/agents", get("/agents").route(web::get().to(clients::list_agents))),
        ("/keys", get("/keys").route(web::get().to(administration::list_keys))),
        ("/audit", get("/audit").route(web::get().to(administration::list_audit))),
    ]
}

/// A resource that answers methods without a route with 405 and the ones it has.
pub(super) fn only(resource: Resource, methods: &'static str) -> Resource {
    resource.default_service(web::to(move || async move {
        let mut response: HttpResponse = Problem::method_not_allowed().error_response();
        response.headers_mut().insert(ALLOW, actix_web::http::header::HeaderValue::from_static(methods));
        response
    }))
}

async fn nothing_here(request: HttpRequest) -> Result<HttpResponse, Problem> {
    Err(Problem::not_found().detail(format!("no route {}", request.path().chars().take(100).collect::<String>())))
}

/// What an extractor of actix refuses is told as everything else is.
pub(super) fn extractors(routes: &mut web::ServiceConfig) {
    let json = web::JsonConfig::default().limit(BODY_BYTES_MAX).error_handler(|error, _| {
        match error {
            JsonPayloadError::OverflowKnownLength { .. } | JsonPayloadError::Overflow { .. } => {
                Problem::too_large().detail(format!("at most {BODY_BYTES_MAX} bytes"))
            }
            JsonPayloadError::ContentType => Problem::unsupported_media_type().detail("expected application/json"),
            JsonPayloadError::Deserialize(error) if error.is_data() => Problem::invalid().detail(told(&error)),
            JsonPayloadError::Deserialize(error) => Problem::malformed().detail(told(&error)),
            _ => Problem::malformed(),
        }
        .into()
    });
    let query = web::QueryConfig::default().error_handler(|error, _| match error {
        QueryPayloadError::Deserialize(error) => Problem::invalid().detail(told(&error)).into(),
        _ => Problem::malformed().into(),
    });
    let path = web::PathConfig::default().error_handler(|_, _| Problem::not_found().into());
    routes.app_data(json).app_data(query).app_data(path);
}

/// A parser's words may quote what was sent.
fn told(error: &dyn std::fmt::Display) -> String {
    crate::redact::redact(&error.to_string()).chars().take(200).collect()
}
