//! Numbers that clients do not ring, because their owners said so in a call.

use actix_web::{HttpRequest, HttpResponse, web};
use caly_actors::domain::ClientId;
use serde_json::json;

use super::super::App;
use super::super::problem::Problem;
use super::auth::Caller;
use super::openapi::{ListRefusals, OneRefusals, RemoveRefusals};
use super::query::{self, Query};
use crate::store::SuppressionFilter;
use crate::store::rows::{Page, SuppressionRow};

/// Numbers that are not rung, the latest first.
#[utoipa::path(get, path = "/api/v1/suppressions", tag = "suppressions", security(("key" = [])),
    params(
        ("client" = Option<String>, Query, description = "Slug or id"),
        ("number" = Option<String>, Query, description = "The number, in E.164"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "Rows of a page; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, body = Page<SuppressionRow>), ListRefusals))]
pub async fn list_suppressions(
    caller: Caller,
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<web::Json<Page<SuppressionRow>>, Problem> {
    let query = Query::read(&request, &["client", "number"])?;
    let limit = query.limit()?;
    let number = query.party("number")?;
    let filter = SuppressionFilter { client: query.client(&caller, &app).await?, number };
    Ok(web::Json(caller.ask(app.store.list_suppressions(&filter, query.cursor(), limit)).await?))
}

/// A number that is not rung.
#[utoipa::path(get, path = "/api/v1/suppressions/{id}", tag = "suppressions", security(("key" = [])),
    params(("id" = Uuid, Path)),
    responses((status = 200, body = SuppressionRow), OneRefusals))]
pub async fn get_suppression(
    caller: Caller,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<web::Json<SuppressionRow>, Problem> {
    Ok(web::Json(stored(&caller, &app, &id).await?))
}

/// One that the key may see.
async fn stored(caller: &Caller, app: &App, id: &str) -> Result<SuppressionRow, Problem> {
    let row = caller.ask(app.store.suppression(query::id(id)?)).await?;
    caller.may_see(row.client_id)?;
    Ok(row)
}

/// Takes a number off the list: it may be rung again.
#[utoipa::path(delete, path = "/api/v1/suppressions/{id}", tag = "suppressions", security(("key" = [])),
    description = "For keys of role `operator` and `admin`. Only when whoever answers the number has agreed to be rung.",
    params(("id" = Uuid, Path)),
    responses((status = 204, description = "It may be rung again"), RemoveRefusals))]
pub async fn remove_suppression(
    caller: Caller,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    caller.may_steer()?;
    let row = stored(&caller, &app, &id).await?;
    let removed = caller.change(app.store.remove_suppression(row.id)).await;
    let client = Some(ClientId(row.client_id));
    caller.note("suppression_removed", client, json!({ "suppression": row.id }), removed)?;
    Ok(HttpResponse::NoContent().finish())
}
