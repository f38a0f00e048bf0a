//! The OpenAPI 3.1 document of all that is not a carrier's business, and its page: both from inside the binary.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use actix_web::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, LOCATION};
use actix_web::{HttpResponse, web};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response};
use utoipa::{IntoResponses, Modify, OpenApi};
use utoipa_swagger_ui::Config;

use super::super::problem::Problem;
use super::{
    actions, agents, analytics, appointments, audit, calendar, callbacks, calls, clients, customers, events, ics, keys,
    numbers, suppressions, undo,
};
use crate::http::health;

/// Where the document lies.
const DOCUMENT_PATH: &str = "/api/openapi.json";
/// The page may load from here and nowhere else. Its drawings are `data:` URLs, and it sets styles from scripts.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Caly",
        description = "Calls, clients and health of a Caly server. Every error is `application/problem+json` with a \
            stable `type`; lists are `{items, next}`; times are RFC 3339 in UTC; ids are UUIDv7; phone numbers E.164."
    ),
    servers((url = "/")),
    paths(
        calls::list_calls,
        calls::get_call,
        calls::hang_up,
        actions::list_actions,
        actions::get_action,
        actions::approve_action,
        actions::retry_action,
        actions::cancel_action,
        undo::undo_action,
        clients::list_clients,
        clients::get_client,
        clients::create_client,
        clients::change_client,
        clients::rotate_webhook_key,
        calendar::get_services,
        calendar::put_services,
        calendar::get_hours,
        calendar::put_hours,
        numbers::list_numbers,
        numbers::get_number,
        numbers::add_number,
        numbers::change_number,
        numbers::remove_number,
        agents::list_agents,
        agents::get_agent,
        agents::add_agent,
        agents::publish_agent,
        analytics::analytics,
        appointments::list_appointments,
        appointments::get_appointment,
        appointments::cancel_appointment,
        ics::list_appointments_ics,
        ics::get_appointment_ics,
        callbacks::list_callbacks,
        callbacks::get_callback,
        callbacks::callback_done,
        customers::list_customers,
        customers::get_customer,
        customers::change_customer,
        customers::forget_customer,
        suppressions::list_suppressions,
        suppressions::get_suppression,
        suppressions::remove_suppression,
        keys::list_keys,
        keys::get_key,
        keys::create_key,
        keys::revoke_key,
        audit::list_audit,
        events::stream_events,
        health::health,
        health::live,
        health::ready,
        health::supervisor,
        health::metrics,
    ),
    components(schemas(Problem, events::FeedEvent)),
    modifiers(&Bearer)
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "A key made by `caly key create` or `POST /api/v1/keys`. Its role: `viewer` reads, `operator` also \
                 steers calls and looks after appointments, call-backs, customers and numbers that are not rung, \
                 `admin` does everything. \
                 A key of one client sees and changes only that client; what \
                 belongs to others answers 404.",
            ))
            .build();
        document.components.get_or_insert_default().add_security_scheme("key", SecurityScheme::Http(scheme));
    }
}

/// What is refused, by status.
fn refusals(statuses: &[u16]) -> BTreeMap<String, RefOr<Response>> {
    let response = |status: &u16| {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response =
            ResponseBuilder::new().description(meaning(*status)).content("application/problem+json", content);
        let response = match status {
            429 | 503 => response.header("Retry-After", seconds()),
            _ => response,
        };
        (status.to_string(), RefOr::T(response.build()))
    };
    statuses.iter().map(response).collect()
}

fn seconds() -> utoipa::openapi::header::Header {
    let schema = ObjectBuilder::new().schema_type(Type::Integer).build();
    HeaderBuilder::new().schema(Some(schema)).description(Some("Seconds to wait")).build()
}

fn meaning(status: u16) -> &'static str {
    match status {
        400 => "The body is not JSON",
        401 => "The key is missing, wrong or revoked",
        403 => "The key's role does not allow this",
        404 => "There is no such thing, or the key may not see it",
        405 => "Another method is supported here: see `Allow`",
        408 => "The body did not arrive in time",
        409 => "This is taken or in use, or its state does not allow this; `detail` says which",
        413 => "The body is too large",
        415 => "The body must be `application/json`",
        422 => "A parameter or field is unknown or does not fit; `field` names it",
        429 => "Too many requests or streams with this key, or too many wrong keys from this address",
        500 => "A fault of the server; the log tells more under `x-request-id`",
        503 => "The database does not answer, or the server is full or about to stop",
        _ => "Refused",
    }
}

macro_rules! refused {
    ($($(#[$doc:meta])* $name:ident: $statuses:expr;)+) => {$(
        $(#[$doc])*
        pub struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                refusals(&$statuses)
            }
        }
    )+};
}
refused! {
    /// Of a list.
    ListRefusals: [401, 404, 405, 422, 429, 500, 503];
    /// Of one thing.
    OneRefusals: [401, 404, 405, 429, 500, 503];
    /// Of steering a call.
    SteerRefusals: [401, 403, 404, 405, 409, 429, 500, 503];
    /// Of a list for admins.
    AdminRefusals: [401, 403, 404, 405, 422, 429, 500, 503];
    /// Of one thing for admins.
    AdminOneRefusals: [401, 403, 404, 405, 429, 500, 503];
    /// Of making something that belongs to nothing else.
    MakeRefusals: [400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 500, 503];
    /// Of making or changing something by a body.
    ChangeRefusals: [400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 500, 503];
    /// Of changing something without a body.
    RemoveRefusals: [401, 403, 404, 405, 409, 429, 500, 503];
    /// Of a stream.
    StreamRefusals: [401, 404, 405, 422, 429, 500, 503];
    /// Of a view that shows more with a key.
    KeyRefusals: [401, 405, 429, 500, 503];
    /// Of a view for everybody.
    OpenRefusals: [405];
}

static DOCUMENT: LazyLock<String> = LazyLock::new(|| Document::openapi().to_json().unwrap_or_default());

/// The document and its page.
pub(super) fn configure(routes: &mut web::ServiceConfig) {
    // Without this the page would ask validator.swagger.io about our document.
    let page = Config::new([DOCUMENT_PATH]).validator_url("none").try_it_out_enabled(true);
    routes
        .app_data(web::Data::new(page))
        .service(super::only(web::resource(DOCUMENT_PATH), "GET").route(web::get().to(document)))
        .service(super::only(web::resource("/api/docs"), "GET").route(web::get().to(to_page)))
        .service(super::only(web::resource("/api/docs/{file:.*}"), "GET").route(web::get().to(page_file)));
}

async fn document() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((CACHE_CONTROL, "no-cache"))
        .body(DOCUMENT.as_str())
}

/// The page's own links are relative: they need the slash.
async fn to_page() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((LOCATION, "/api/docs/")).finish()
}

async fn page_file(file: web::Path<String>, page: web::Data<Config<'static>>) -> Result<HttpResponse, Problem> {
    let found = utoipa_swagger_ui::serve(&file, Arc::clone(&page)).map_err(|error| {
        tracing::error!(%error, "the page of the API cannot be served");
        Problem::internal("api/docs")
    })?;
    let found = found.ok_or_else(Problem::not_found)?;
    let mut response = HttpResponse::Ok();
    response
        .content_type(found.content_type)
        .insert_header((CONTENT_SECURITY_POLICY, PAGE_POLICY))
        .insert_header((CACHE_CONTROL, "no-cache"));
    if found.gzpipped {
        response.insert_header((CONTENT_ENCODING, "gzip"));
    }
    Ok(response.body(found.bytes.into_owned()))
}
