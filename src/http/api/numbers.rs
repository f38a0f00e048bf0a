//! The phone numbers of clients.

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use caly_actors::domain::{ClientId, PhoneNumber};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::App;
use super::super::problem::Problem;
use super::auth::Caller;
use super::body::{self, given};
use super::openapi::{ChangeRefusals, ListRefusals, OneRefusals, RemoveRefusals};
use super::query::{self, Query};
use crate::administration;
use crate::store::NumberChange;
use crate::store::rows::{NumberRow, Page};

/// Phone numbers, newest first.
#[utoipa::path(get, path = "/api/v1/numbers", tag = "numbers", security(("key" = [])),
    params(
        ("client" = Option<String>, Query, description = "Slug or id"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "Rows of a page; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, body = Page<NumberRow>), ListRefusals))]
pub async fn list_numbers(
    caller: Caller,
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<web::Json<Page<NumberRow>>, Problem> {
    let query = Query::read(&request, &["client"])?;
    let limit = query.limit()?;
    let client = query.client(&caller, &app).await?;
    Ok(web::Json(caller.ask(app.store.list_numbers(client, query.cursor(), limit)).await?))
}

/// A phone number.
#[utoipa::path(get, path = "/api/v1/numbers/{id}", tag = "numbers", security(("key" = [])),
    params(("id" = Uuid, Path)),
    responses((status = 200, body = NumberRow), OneRefusals))]
pub async fn get_number(
    caller: Caller,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<web::Json<NumberRow>, Problem> {
    Ok(web::Json(stored(&caller, &app, &id).await?))
}

async fn stored(caller: &Caller, app: &App, id: &str) -> Result<NumberRow, Problem> {
    let row = caller.ask(app.store.number(query::id(id)?)).await?;
    caller.may_see(row.client_id)?;
    Ok(row)
}

/// A number for a client.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NumberDraft {
    /// Slug or id.
    client: String,
    /// In E.164.
    #[schema(pattern = "^\\+[1-9][0-9]{6,14}$")]
    e164: String,
    /// What the number is for.
    #[serde(default)]
    #[schema(max_length = 200)]
    label: Option<String>,
}

/// Gives a client a number.
#[utoipa::path(post, path = "/api/v1/numbers", tag = "numbers", security(("key" = [])),
    description = "For keys of role `admin`.",
    request_body = NumberDraft,
    responses((status = 201, body = NumberRow, description = "Added", headers(("Location" = String))), ChangeRefusals))]
pub async fn add_number(
    caller: Caller,
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    caller.may_administer()?;
    let draft: NumberDraft = body::read(&app, &request, payload).await?;
    let client = ClientId(query::client_field("client", &draft.client, &caller, &app).await?.id);
    let number = PhoneNumber::parse(&draft.e164).map_or_else(|_| "?".to_owned(), |number| number.masked());
    let added = add(&caller, &app, client, &draft).await;
    let row = caller.note("number_added", Some(client), json!({ "number": number }), added)?;
    Ok(HttpResponse::Created().insert_header((LOCATION, format!("/api/v1/numbers/{}", row.id))).json(row))
}

async fn add(caller: &Caller, app: &App, client: ClientId, draft: &NumberDraft) -> Result<NumberRow, Problem> {
    let number = administration::number("e164", &draft.e164).map_err(|refused| caller.told(refused))?;
    let label = draft.label.as_deref();
    administration::label("label", label.unwrap_or_default()).map_err(|refused| caller.told(refused))?;
    let seen = |owner: Uuid| caller.may_see(owner).is_ok();
    let numbers = std::slice::from_ref(&number);
    caller.checked(administration::all_free(&app.store, "e164", numbers, seen)).await?;
    caller.change(app.store.add_number(client, &number, label)).await
}

/// What to change of a number. What is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NumberPatch {
    /// Slug or id of the client it moves to.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String)]
    client: Option<String>,
    /// What the number is for.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_length = 200, value_type = Option<String>)]
    label: Option<Option<String>>,
}

/// Moves a number to another client or changes its label.
#[utoipa::path(patch, path = "/api/v1/numbers/{id}", tag = "numbers", security(("key" = [])),
    description = "For keys of role `admin`. Both clients must be visible to the key.",
    params(("id" = Uuid, Path)),
    request_body = NumberPatch,
    responses((status = 200, body = NumberRow), ChangeRefusals))]
pub async fn change_number(
    caller: Caller,
    app: web::Data<App>,
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
) -> Result<web::Json<NumberRow>, Problem> {
    caller.may_administer()?;
    let row = stored(&caller, &app, &id).await?;
    let patch: NumberPatch = body::read(&app, &request, payload).await?;
    let changed = async {
        let label = patch.label.as_ref().and_then(Option::as_deref).unwrap_or_default();
        administration::label("label", label).map_err(|refused| caller.told(refused))?;
        let client = match &patch.client {
            Some(name) => Some(ClientId(query::client_field("client", name, &caller, &app).await?.id)),
            None => None,
        };
        caller.change(app.store.change_number(row.id, NumberChange { client, label: patch.label })).await
    };
    let changed = changed.await;
    let to = changed.as_ref().ok().map(|row| row.client_id);
    let detail = json!({ "number": row.id, "from": row.client_id, "to": to });
    Ok(web::Json(caller.note("number_changed", Some(ClientId(row.client_id)), detail, changed)?))
}

/// Takes a number away from its client. Calls to it stay as they were stored.
#[utoipa::path(delete, path = "/api/v1/numbers/{id}", tag = "numbers", security(("key" = [])),
    description = "For keys of role `admin`.",
    params(("id" = Uuid, Path)),
    responses((status = 204, description = "Removed"), RemoveRefusals))]
pub async fn remove_number(
    caller: Caller,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    caller.may_administer()?;
    let row = stored(&caller, &app, &id).await?;
    let number = PhoneNumber::parse(&row.e164).map_or_else(|_| "?".to_owned(), |number| number.masked());
    let removed = caller.change(app.store.remove_number(row.id)).await;
    caller.note("number_removed", Some(ClientId(row.client_id)), json!({ "number": number }), removed)?;
    Ok(HttpResponse::NoContent().finish())
}
