//! Clients, their numbers and the versions of their agents. Making and changing them is the command line's so far.

use actix_web::{HttpRequest, web};

use super::super::App;
use super::super::problem::Problem;
use super::auth::Caller;
use super::openapi::{ListRefusals, OneRefusals};
use super::query::{self, Query};
use crate::store::rows::{AgentRow, ClientRow, NumberRow, Page};

/// Clients, newest first; for a key of one client, that one.
#[utoipa::path(get, path = "/api/v1/clients", tag = "clients", security(("key" = [])),
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "Rows of a page; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, body = Page<ClientRow>), ListRefusals))]
pub async fn list_clients(
    caller: Caller,
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<web::Json<Page<ClientRow>>, Problem> {
    let query = Query::read(&request, &[])?;
    let limit = query.limit()?;
    if let Some(own) = caller.client() {
        let row = caller.ask(app.store.client(own)).await?;
        return Ok(web::Json(Page { items: vec![row], next: None }));
    }
    Ok(web::Json(caller.ask(app.store.list_clients(query.cursor(), limit)).await?))
}

/// A client.
#[utoipa::path(get, path = "/api/v1/clients/{id}", tag = "clients", security(("key" = [])),
    params(("id" = String, Path, description = "Id or slug")),
    responses((status = 200, body = ClientRow), OneRefusals))]
pub async fn get_client(
    caller: Caller,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<web::Json<ClientRow>, Problem> {
    Ok(web::Json(query::client(&id, &caller, &app).await?))
}

/// Phone numbers, newest first.
#[utoipa::path(get, path = "/api/v1/numbers", tag = "clients", security(("key" = [])),
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

/// Versions of agents, newest first.
#[utoipa::path(get, path = "/api/v1/agents", tag = "clients", security(("key" = [])),
    params(
        ("client" = Option<String>, Query, description = "Slug or id"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "Rows of a page; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, body = Page<AgentRow>), ListRefusals))]
pub async fn list_agents(
    caller: Caller,
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<web::Json<Page<AgentRow>>, Problem> {
    let query = Query::read(&request, &["client"])?;
    let limit = query.limit()?;
    let client = query.client(&caller, &app).await?;
    Ok(web::Json(caller.ask(app.store.list_agents(client, query.cursor(), limit)).await?))
}
