//! What was done because of calls, and what operators do about it once a call is over.

use actix_web::{HttpRequest, HttpResponse, web};
use caly_actors::domain::{CallId, ClientId};
use serde_json::json;

use super::super::App;
use super::super::acting::{self, Order};
use super::super::problem::Problem;
use super::super::returning;
use super::auth::Caller;
use super::openapi::{ListRefusals, OneRefusals, SteerRefusals};
use super::query::{self, Query};
use crate::store::ActionFilter;
use crate::store::rows::{ActionRow, Page};

const STATES: [&str; 7] = ["proposed", "confirmed", "withdrawn", "running", "done", "failed", "unknown"];

/// What was done because of calls, newest first; wishes to be called back have a list of their own, `/api/v1/callbacks`.
#[utoipa::path(get, path = "/api/v1/actions", tag = "actions", security(("key" = [])),
    params(
        ("name" = Option<String>, Query, description = "Name in the catalogue, as `request_callback`"),
        ("client" = Option<String>, Query, description = "Slug or id"),
        ("state" = Option<String>, Query, description = "`proposed`, `confirmed`, `withdrawn`, `running`, `done`, `failed` or `unknown`"),
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
    let (name, state) = (query.text("name").map(str::to_owned), query.word("state", &STATES)?);
    let filter = ActionFilter { name, client: query.client(&caller, &app).await?, state };
    Ok(web::Json(caller.ask(app.store.list_actions(&filter, query.cursor(), limit)).await?))
}

/// An action.
#[utoipa::path(get, path = "/api/v1/actions/{id}", tag = "actions", security(("key" = [])),
    params(("id" = Uuid, Path)),
    responses((status = 200, body = ActionRow), OneRefusals))]
pub async fn get_action(
    caller: Caller,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<web::Json<ActionRow>, Problem> {
    Ok(web::Json(stored(&caller, &app, &id).await?))
}

pub(super) async fn stored(caller: &Caller, app: &App, id: &str) -> Result<ActionRow, Problem> {
    let row = caller.ask(app.store.action(query::id(id)?)).await?;
    caller.may_see(row.client_id)?;
    Ok(row)
}

/// Does what a caller was asked about and did not agree to, or what their call ended before.
#[utoipa::path(post, path = "/api/v1/actions/{id}/approve", tag = "actions", security(("key" = [])),
    description = "For keys of role `operator` and `admin`, once the call is over. Done under the key the action has had \
        from the beginning, so once; read the action again to see what became of it.",
    params(("id" = Uuid, Path)),
    responses((status = 202, description = "It is being done", body = ActionRow), SteerRefusals))]
pub async fn approve_action(
    caller: Caller,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    order(&caller, app, &id, Order::Approve).await
}

/// Tries again what failed, or asks about what nobody knows the outcome of.
#[utoipa::path(post, path = "/api/v1/actions/{id}/retry", tag = "actions", security(("key" = [])),
    description = "For keys of role `operator` and `admin`, once the call is over. What may have happened is asked about, \
        not done again; read the action again to see what became of it.",
    params(("id" = Uuid, Path)),
    responses((status = 202, description = "It is being tried", body = ActionRow), SteerRefusals))]
pub async fn retry_action(caller: Caller, app: web::Data<App>, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    order(&caller, app, &id, Order::Retry).await
}

/// Has what was proposed never done.
#[utoipa::path(post, path = "/api/v1/actions/{id}/cancel", tag = "actions", security(("key" = [])),
    description = "For keys of role `operator` and `admin`, once the call is over. What was done stays done.",
    params(("id" = Uuid, Path)),
    responses((status = 202, description = "It is withdrawn", body = ActionRow), SteerRefusals))]
pub async fn cancel_action(
    caller: Caller,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    order(&caller, app, &id, Order::Cancel).await
}

async fn order(caller: &Caller, app: web::Data<App>, id: &str, order: Order) -> Result<HttpResponse, Problem> {
    caller.may_steer()?;
    let row = stored(caller, &app, id).await?;
    let (row, taken) = take(caller, &app, row, order).await;
    let word = match order {
        Order::Approve => "action_approved",
        Order::Retry => "action_retried",
        Order::Cancel => "action_cancelled",
    };
    let detail = json!({ "action": row.id, "name": row.name });
    caller.note(word, Some(ClientId(row.client_id)), detail, taken)?;
    Ok(HttpResponse::Accepted().json(row))
}

/// Takes an order on an action that nobody else has in hand. Gives the row as it stood then.
async fn take(caller: &Caller, app: &web::Data<App>, row: ActionRow, order: Order) -> (ActionRow, Result<(), Problem>) {
    let Some(hold) = acting::InHand::take(app, row.id) else {
        // What is over stays over, although whoever carried it out has not let go of it yet.
        let over = if row.state == "done" { "it is done" } else { "somebody else's order on it is being carried out" };
        return (row, Err(Problem::conflict().detail(over.to_owned())));
    };
    // Of two orders at the same moment the second sees what came of the first.
    match caller.ask(app.store.action(row.id)).await {
        Ok(row) => {
            let taken = take_held(caller, app, hold, &row, order).await;
            (row, taken)
        }
        Err(problem) => (row, Err(problem)),
    }
}

async fn take_held(
    caller: &Caller,
    app: &web::Data<App>,
    hold: acting::Hold,
    row: &ActionRow,
    order: Order,
) -> Result<(), Problem> {
    let conflict = |why: &str| Problem::conflict().detail(why.to_owned());
    let call = caller.ask(app.store.call(CallId(row.call_id))).await?;
    if call.state != "ended" {
        return Err(conflict("its call is still up: the caller is asked there"));
    }
    let state =
        returning::action(row).map(|action| action.state).ok_or_else(|| conflict("it is of a later version"))?;
    let request = acting::request(app, row).await;
    let writes = request.as_ref().is_some_and(|request| acting::writes(app, request));
    if let Some(why) = order.refuses(state, writes || order != Order::Retry) {
        return Err(conflict(why));
    }
    if order == Order::Cancel {
        acting::withdraw(app, row).await;
        return Ok(());
    }
    let request = request.ok_or_else(|| {
        conflict("it cannot be done outside its call: its client's agent has no such action now, or its arguments held what is not kept")
    })?;
    acting::carry_out(app.clone(), vec![hold], row.clone(), request);
    Ok(())
}
