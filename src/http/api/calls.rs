//! Calls, what was done because of them, and hanging up.

use actix_web::{HttpRequest, HttpResponse, web};
use caly_actors::call::Heard;
use caly_actors::call::event::CallEvent;
use caly_actors::domain::{CallId, ClientId};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::App;
use super::super::problem::Problem;
use super::auth::Caller;
use super::openapi::{ListRefusals, OneRefusals, SteerRefusals};
use super::query::Query;
use crate::store::rows::{ActionRow, CallDetail, CallRow, Page};
use crate::store::{ActionFilter, CallFilter};

const CALL_STATES: [&str; 3] = ["admitted", "live", "ended"];
const ACTION_STATES: [&str; 4] = ["running", "done", "failed", "unknown"];

/// Calls, newest first.
#[utoipa::path(get, path = "/api/v1/calls", tag = "calls", security(("key" = [])),
    params(
        ("client" = Option<String>, Query, description = "Slug or id"),
        ("state" = Option<String>, Query, description = "`admitted`, `live` or `ended`"),
        ("from" = Option<DateTime<Utc>>, Query, description = "Admitted at this time (RFC 3339) or later"),
        ("to" = Option<DateTime<Utc>>, Query, description = "Admitted before this time (RFC 3339)"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "Rows of a page; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, body = Page<CallRow>), ListRefusals))]
pub async fn list_calls(
    caller: Caller,
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<web::Json<Page<CallRow>>, Problem> {
    let query = Query::read(&request, &["client", "state", "from", "to"])?;
    let limit = query.limit()?;
    let (state, from, to) = (query.word("state", &CALL_STATES)?, query.time("from")?, query.time("to")?);
    let filter = CallFilter { client: query.client(&caller, &app).await?, state, from, to };
    Ok(web::Json(caller.ask(app.store.list_calls(&filter, query.cursor(), limit)).await?))
}

/// A call with its turns, intents, actions, events and recordings.
#[utoipa::path(get, path = "/api/v1/calls/{id}", tag = "calls", security(("key" = [])),
    params(("id" = Uuid, Path)),
    responses((status = 200, body = CallDetail), OneRefusals))]
pub async fn get_call(
    caller: Caller,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<web::Json<CallDetail>, Problem> {
    Ok(web::Json(stored(&caller, &app, call_id(&id)?).await?))
}

async fn stored(caller: &Caller, app: &App, call: CallId) -> Result<CallDetail, Problem> {
    let detail = caller.ask(app.store.call_detail(call)).await?;
    caller.may_see(detail.call.client_id)?;
    Ok(detail)
}

/// What is no id names nothing.
fn call_id(text: &str) -> Result<CallId, Problem> {
    Uuid::try_parse(text).map(CallId).map_err(|_| Problem::not_found())
}

/// A call that was told to end.
#[derive(Serialize, ToSchema)]
pub struct Ending {
    /// Which call.
    pub call: Uuid,
    /// Always `true`; the call's own record says when it has ended.
    pub ending: bool,
}

/// Ends a call that is up.
#[utoipa::path(post, path = "/api/v1/calls/{id}/hangup", tag = "calls", security(("key" = [])),
    description = "For keys of role `operator` and `admin`. The call ends as `operator_hung_up`.",
    params(("id" = Uuid, Path)),
    responses((status = 202, description = "The call was told to end", body = Ending), SteerRefusals))]
pub async fn hang_up(caller: Caller, app: web::Data<App>, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    caller.may_steer()?;
    let call = call_id(&id)?;
    let Some(live) = app.calls.by_id(call) else {
        // Known only to the database: it ended long ago, or another process carries it.
        let detail = stored(&caller, &app, call).await?;
        return Err(Problem::conflict().detail(if detail.call.state == "ended" {
            "the call has ended"
        } else {
            "this process does not carry the call"
        }));
    };
    caller.may_see(live.facts.client.0)?;
    if live.end_reason().is_some() || !live.actor.connected() {
        return Err(Problem::conflict().detail("the call has ended"));
    }
    live.actor.do_send(Heard(CallEvent::HangUpOrdered));
    let client: ClientId = live.facts.client;
    caller.audit("call_hang_up", "ok", Some(client), serde_json::json!({ "call": call.0 }));
    tracing::info!(call = %call, key = %caller.key.id, "an operator hung up");
    Ok(HttpResponse::Accepted().json(Ending { call: call.0, ending: true }))
}

/// What was done because of calls, newest first; wishes to be called back are those named `request_callback`.
#[utoipa::path(get, path = "/api/v1/actions", tag = "calls", security(("key" = [])),
    params(
        ("name" = Option<String>, Query, description = "Name in the catalogue, as `request_callback`"),
        ("client" = Option<String>, Query, description = "Slug or id"),
        ("state" = Option<String>, Query, description = "`running`, `done`, `failed` or `unknown`"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "Rows of a page; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, body = Page<ActionRow>), ListRefusals))]
pub async fn list_actions(
    caller: Caller,
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<web::Json<Page<ActionRow>>, Problem> {
    let query = Query::read(&request, &["name", "client", "state"])?;
    let limit = query.limit()?;
    let (name, state) = (query.text("name").map(str::to_owned), query.word("state", &ACTION_STATES)?);
    let filter = ActionFilter { name, client: query.client(&caller, &app).await?, state };
    Ok(web::Json(caller.ask(app.store.list_actions(&filter, query.cursor(), limit)).await?))
}
