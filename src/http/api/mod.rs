//! The admin API under `/api/v1`, its OpenAPI document and the document's page.
//!
//! Reads the store and the registry of calls on behalf of whoever holds a key; decides nothing about a call.
//! Every answer is `no-store`; every refusal is `application/problem+json`.

mod actions;
mod agents;
mod analytics;
mod appointments;
mod audit;
pub mod auth;
mod body;
mod calendar;
mod callbacks;
mod calls;
mod clients;
mod customers;
mod events;
mod ics;
mod keys;
mod numbers;
pub(super) mod openapi;
mod query;
mod suppressions;
#[cfg(test)]
mod tests;
mod undo;

use actix_web::error::{JsonPayloadError, QueryPayloadError};
use actix_web::http::header::{ALLOW, CACHE_CONTROL};
use actix_web::{HttpRequest, HttpResponse, Resource, ResponseError, middleware, web};

use super::problem::Problem;

/// Largest JSON body of an admin request.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// Keys looked up in the database at the same time: few enough that a flood of wrong ones leaves it to the calls.
const SEARCHES_MAX: usize = 2;

/// What all workers of a process share about the API.
pub struct State {
    keys: auth::KeyMemory,
    /// Look-ups of keys that are not remembered, at a time.
    searches: tokio::sync::Semaphore,
    streams: events::Streams,
}

impl Default for State {
    fn default() -> Self {
        Self {
            keys: auth::KeyMemory::default(),
            searches: tokio::sync::Semaphore::new(SEARCHES_MAX),
            streams: events::Streams::default(),
        }
    }
}

impl State {
    /// Ends every stream of events and lets no new one begin: for a server that is about to stop.
    pub fn end_streams(&self) {
        self.streams.end();
    }

    /// A key was revoked: it opens nothing any more, and what it opened ends.
    fn forget_key(&self, id: uuid::Uuid) {
        self.keys.forget(id);
        self.streams.revoked(id);
    }
}

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
    routes.configure(openapi::configure).service(api);
}

/// Each path below `/api/v1` once, with what it can do.
fn resources() -> Vec<(&'static str, Resource)> {
    let at = |path, methods| only(web::resource(path), methods);
    let mut resources = of_callers();
    resources.extend(of_clients());
    resources.extend([
        ("/calls", at("/calls", "GET").route(web::get().to(calls::list_calls))),
        ("/calls/{id}", at("/calls/{id}", "GET").route(web::get().to(calls::get_call))),
        ("/calls/{id}/hangup", at("/calls/{id}/hangup", "POST").route(web::post().to(calls::hang_up))),
        ("/actions", at("/actions", "GET").route(web::get().to(actions::list_actions))),
        ("/actions/{id}", at("/actions/{id}", "GET").route(web::get().to(actions::get_action))),
        ("/actions/{id}/approve", at("/actions/{id}/approve", "POST").route(web::post().to(actions::approve_action))),
        ("/actions/{id}/retry", at("/actions/{id}/retry", "POST").route(web::post().to(actions::retry_action))),
        ("/actions/{id}/undo", at("/actions/{id}/undo", "POST").route(web::post().to(undo::undo_action))),
        ("/actions/{id}/cancel", at("/actions/{id}/cancel", "POST").route(web::post().to(actions::cancel_action))),
        (
            "/numbers",
            at("/numbers", "GET, POST")
                .route(web::get().to(numbers::list_numbers))
                .route(web::post().to(numbers::add_number)),
        ),
        (
            "/numbers/{id}",
            at("/numbers/{id}", "GET, PATCH, DELETE")
                .route(web::get().to(numbers::get_number))
                .route(web::patch().to(numbers::change_number))
                .route(web::delete().to(numbers::remove_number)),
        ),
        (
            "/agents",
            at("/agents", "GET, POST")
                .route(web::get().to(agents::list_agents))
                .route(web::post().to(agents::add_agent)),
        ),
        ("/agents/{id}", at("/agents/{id}", "GET").route(web::get().to(agents::get_agent))),
        ("/agents/{id}/publish", at("/agents/{id}/publish", "POST").route(web::post().to(agents::publish_agent))),
        (
            "/keys",
            at("/keys", "GET, POST").route(web::get().to(keys::list_keys)).route(web::post().to(keys::create_key)),
        ),
        (
            "/keys/{id}",
            at("/keys/{id}", "GET, DELETE")
                .route(web::get().to(keys::get_key))
                .route(web::delete().to(keys::revoke_key)),
        ),
        ("/analytics", at("/analytics", "GET").route(web::get().to(analytics::analytics))),
        ("/audit", at("/audit", "GET").route(web::get().to(audit::list_audit))),
        ("/events", at("/events", "GET").route(web::get().to(events::stream_events))),
    ]);
    resources
}

/// Clients, and parts of how they are served.
fn of_clients() -> Vec<(&'static str, Resource)> {
    let at = |path, methods| only(web::resource(path), methods);
    vec![
        (
            "/clients",
            at("/clients", "GET, POST")
                .route(web::get().to(clients::list_clients))
                .route(web::post().to(clients::create_client)),
        ),
        (
            "/clients/{id}",
            at("/clients/{id}", "GET, PATCH")
                .route(web::get().to(clients::get_client))
                .route(web::patch().to(clients::change_client)),
        ),
        (
            "/clients/{id}/webhook-key",
            at("/clients/{id}/webhook-key", "POST").route(web::post().to(clients::rotate_webhook_key)),
        ),
        (
            "/clients/{id}/services",
            at("/clients/{id}/services", "GET, PUT")
                .route(web::get().to(calendar::get_services))
                .route(web::put().to(calendar::put_services)),
        ),
        (
            "/clients/{id}/hours",
            at("/clients/{id}/hours", "GET, PUT")
                .route(web::get().to(calendar::get_hours))
                .route(web::put().to(calendar::put_hours)),
        ),
    ]
}

/// What callers left behind.
fn of_callers() -> Vec<(&'static str, Resource)> {
    let at = |path, methods| only(web::resource(path), methods);
    vec![
        ("/appointments", at("/appointments", "GET").route(web::get().to(appointments::list_appointments))),
        ("/appointments/{id}", at("/appointments/{id}", "GET").route(web::get().to(appointments::get_appointment))),
        ("/appointments.ics", at("/appointments.ics", "GET").route(web::get().to(ics::list_appointments_ics))),
        ("/appointments/{id}/ics", at("/appointments/{id}/ics", "GET").route(web::get().to(ics::get_appointment_ics))),
        (
            "/appointments/{id}/cancel",
            at("/appointments/{id}/cancel", "POST").route(web::post().to(appointments::cancel_appointment)),
        ),
        ("/callbacks", at("/callbacks", "GET").route(web::get().to(callbacks::list_callbacks))),
        ("/callbacks/{id}", at("/callbacks/{id}", "GET").route(web::get().to(callbacks::get_callback))),
        ("/callbacks/{id}/done", at("/callbacks/{id}/done", "POST").route(web::post().to(callbacks::callback_done))),
        ("/customers", at("/customers", "GET").route(web::get().to(customers::list_customers))),
        (
            "/customers/{id}",
            at("/customers/{id}", "GET, PATCH, DELETE")
                .route(web::get().to(customers::get_customer))
                .route(web::patch().to(customers::change_customer))
                .route(web::delete().to(customers::forget_customer)),
        ),
        ("/suppressions", at("/suppressions", "GET").route(web::get().to(suppressions::list_suppressions))),
        (
            "/suppressions/{id}",
            at("/suppressions/{id}", "GET, DELETE")
                .route(web::get().to(suppressions::get_suppression))
                .route(web::delete().to(suppressions::remove_suppression)),
        ),
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
