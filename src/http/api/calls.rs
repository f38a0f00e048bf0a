//! Calls, and hanging up.

use actix_web::{HttpRequest, HttpResponse, web};
use caly_actors::call::Heard;
use caly_actors::call::event::CallEvent;
use caly_actors::domain::{AgentId, CallId, ClientId, EndReason};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::App;
use super::super::problem::Problem;
use super::auth::Caller;
use super::openapi::{ListRefusals, OneRefusals, SteerRefusals};
use super::query::{self, Query};
use crate::store::CallFilter;
use crate::store::rows::{CallDetail, CallRow, Page};

const CALL_STATES: [&str; 3] = ["admitted", "live", "ended"];
const DIRECTIONS: [&str; 2] = ["inbound", "outbound"];
const FILTERS: [&str; 9] = ["client", "state", "end_reason", "direction", "caller", "called", "agent", "from", "to"];

/// Calls, newest first.
#[utoipa::path(get, path = "/api/v1/calls", tag = "calls", security(("key" = [])),
    params(
        ("client" = Option<String>, Query, description = "Slug or id"),
        ("state" = Option<String>, Query, description = "`admitted`, `live` or `ended`"),
        ("end_reason" = Option<String>, Query, description = "As in the call's row, as `caller_hung_up`"),
        ("direction" = Option<String>, Query, description = "`inbound` or `outbound`"),
        ("caller" = Option<String>, Query, description = "Who rang, in E.164"),
        ("called" = Option<String>, Query, description = "Which number was rung, in E.164"),
        ("agent" = Option<Uuid>, Query, description = "Id of the version that conducted it"),
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
    let query = Query::read(&request, &FILTERS)?;
    let limit = query.limit()?;
    let filter = CallFilter {
        client: None,
        state: query.word("state", &CALL_STATES)?,
        end_reason: query.word("end_reason", &EndReason::ALL.map(EndReason::as_str))?,
        direction: query.word("direction", &DIRECTIONS)?,
        caller: query.party("caller")?,
        called: query.party("called")?,
        agent: query.uuid("agent")?.map(AgentId),
        from: query.time("from")?,
        to: query.time("to")?,
    };
    let filter = CallFilter { client: query.client(&caller, &app).await?, ..filter };
    Ok(web::Json(caller.ask(app.store.list_calls(&filter, query.cursor(), limit)).await?))
}

/// A call with its turns, intents, actions, events, languages and recordings.
#[utoipa::path(get, path = "/api/v1/calls/{id}", tag = "calls", security(("key" = [])),
    params(("id" = Uuid, Path)),
    responses((status = 200, body = CallDetail), OneRefusals))]
pub async fn get_call(
    caller: Caller,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<web::Json<CallDetail>, Problem> {
    let call = CallId(query::id(&id)?);
    // The row first: whoever may not see the call should not make the database read all of it.
    row(&caller, &app, call).await?;
    Ok(web::Json(caller.ask(app.store.call_detail(call)).await?))
}

async fn row(caller: &Caller, app: &App, call: CallId) -> Result<CallRow, Problem> {
    let row = caller.ask(app.store.call(call)).await?;
    caller.may_see(row.client_id)?;
    Ok(row)
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
    let call = CallId(query::id(&id)?);
    let Some(live) = app.calls.by_id(call) else {
        // Known only to the database: it ended long ago, or another process carries it.
        let row = row(&caller, &app, call).await?;
        return Err(Problem::conflict().detail(if row.state == "ended" {
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
