//! The versions of how clients' calls are conducted. A version never changes; publishing one lets new calls use it.

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use caly_actors::domain::{AgentId, ClientId};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::App;
use super::super::problem::Problem;
use super::auth::Caller;
use super::body::{self, given};
use super::openapi::{ChangeRefusals, ListRefusals, OneRefusals, RemoveRefusals};
use super::query::{self, Query};
use crate::administration;
use crate::agents::mcp;
use crate::store::AgentFilter;
use crate::store::rows::{AgentRow, ClientRow, Page};

/// Versions looked through for what a new one keeps.
const FORMER_VERSIONS: u32 = 50;

/// Versions of agents, newest first.
#[utoipa::path(get, path = "/api/v1/agents", tag = "agents", security(("key" = [])),
    params(
        ("client" = Option<String>, Query, description = "Slug or id"),
        ("published" = Option<bool>, Query, description = "Only the versions in use, or only the others"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "Rows of a page; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, body = Page<AgentRow>), ListRefusals))]
pub async fn list_agents(
    caller: Caller,
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<web::Json<Page<AgentRow>>, Problem> {
    let query = Query::read(&request, &["client", "published"])?;
    let (limit, published) = (query.limit()?, query.flag("published")?);
    let filter = AgentFilter { client: query.client(&caller, &app).await?, published };
    Ok(web::Json(caller.ask(app.store.list_agent_versions(filter, query.cursor(), limit)).await?))
}

/// A version of an agent with its settings.
#[utoipa::path(get, path = "/api/v1/agents/{id}", tag = "agents", security(("key" = [])),
    params(("id" = Uuid, Path)),
    responses((status = 200, body = AgentRow), OneRefusals))]
pub async fn get_agent(
    caller: Caller,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<web::Json<AgentRow>, Problem> {
    Ok(web::Json(stored(&caller, &app, &id).await?))
}

async fn stored(caller: &Caller, app: &App, id: &str) -> Result<AgentRow, Problem> {
    let row = caller.ask(app.store.agent(AgentId(query::id(id)?))).await?;
    caller.may_see(row.client_id)?;
    Ok(row)
}

/// A version to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentDraft {
    /// Slug or id.
    client: String,
    /// Shown to operators; the client's name if not given.
    #[serde(default, deserialize_with = "given")]
    #[schema(min_length = 1, max_length = 200, value_type = String)]
    name: Option<String>,
    /// As in the README: instructions, greeting, voice, language, tools, limits …; each may be left out. A header of
    /// `mcp_servers` whose value is `***` keeps the one it has.
    #[schema(value_type = Object)]
    settings: Value,
    /// Let new calls use it at once.
    #[serde(default)]
    publish: bool,
}

/// Adds a version of a client's agent.
#[utoipa::path(post, path = "/api/v1/agents", tag = "agents", security(("key" = [])),
    description = "For keys of role `admin`. A setting that does not fit is named in `field`.",
    request_body = AgentDraft,
    responses((status = 201, body = AgentRow, description = "Added", headers(("Location" = String))), ChangeRefusals))]
pub async fn add_agent(
    caller: Caller,
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    caller.may_administer()?;
    let draft: AgentDraft = body::read(&app, &request, payload).await?;
    let client = query::client_field("client", &draft.client, &caller, &app).await?;
    let publish = draft.publish;
    let added = add(&caller, &app, &client, draft).await;
    let version = added.as_ref().ok().map(|row| row.version);
    let (action, detail) = (if publish { "agent_published" } else { "agent_added" }, json!({ "version": version }));
    let row = caller.note(action, Some(ClientId(client.id)), detail, added)?;
    Ok(HttpResponse::Created().insert_header((LOCATION, format!("/api/v1/agents/{}", row.id))).json(row))
}

async fn add(caller: &Caller, app: &App, client: &ClientRow, mut draft: AgentDraft) -> Result<AgentRow, Problem> {
    let name = draft.name.as_deref().unwrap_or(&client.name);
    administration::name("name", name).map_err(|refused| caller.told(refused))?;
    if mcp::wants_restoring(&draft.settings) {
        // What is shown as *** and sent back so is as it was, in the newest version that has it.
        let filter = AgentFilter { client: Some(ClientId(client.id)), published: None };
        let former = caller.ask(app.store.list_agent_versions(filter, None, FORMER_VERSIONS)).await?;
        former.items.iter().for_each(|row| mcp::restore(&mut draft.settings, &row.settings));
    }
    let limits = &app.config.calls.limits;
    administration::settings("settings", &draft.settings, limits).map_err(|refused| caller.told(refused))?;
    caller.change(app.store.add_agent(ClientId(client.id), name, draft.settings, draft.publish)).await
}

/// Lets new calls use a version, also an older one than the one in use.
#[utoipa::path(post, path = "/api/v1/agents/{id}/publish", tag = "agents", security(("key" = [])),
    description = "For keys of role `admin`. A version that the present rules refuse is not published: 409.",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = AgentRow), RemoveRefusals))]
pub async fn publish_agent(
    caller: Caller,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<web::Json<AgentRow>, Problem> {
    caller.may_administer()?;
    let row = stored(&caller, &app, &id).await?;
    let published = async {
        // It was checked when it was added, perhaps by an older program.
        let checked = administration::settings("settings", &row.settings, &app.config.calls.limits);
        checked.map_err(|refused| Problem::conflict().detail(refused.to_string()))?;
        caller.change(app.store.publish_agent_version(AgentId(row.id))).await
    };
    let published = published.await;
    let detail = json!({ "version": row.version });
    Ok(web::Json(caller.note("agent_published", Some(ClientId(row.client_id)), detail, published)?))
}
