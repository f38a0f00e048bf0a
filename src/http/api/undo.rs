//! Undoing what was done, by operators, once the call is over: by the step that was laid down when it was done.

use actix_web::{HttpResponse, web};
use caly_actors::call::undoing::UndoStep;
use caly_actors::domain::{ActionState, CallId, ClientId};
use chrono::Utc;
use serde_json::json;
use uuid::Uuid;

use super::super::App;
use super::super::acting::{self, Hold, InHand};
use super::super::problem::Problem;
use super::actions::stored;
use super::auth::Caller;
use super::openapi::SteerRefusals;
use crate::store::rows::ActionRow;

/// Undoes what was done, by an action of its own.
#[utoipa::path(post, path = "/api/v1/actions/{id}/undo", tag = "actions", security(("key" = [])),
    description = "For keys of role `operator` and `admin`, once the call is over. What undoes it was laid down when it was \
        done (`undo`); `null` there means that nothing does. The answer is the action that undoes: read that one again to see \
        what became of it. Once it is `done`, the undone one names it as `undone_by`. Asked again, nothing is done twice.",
    params(("id" = Uuid, Path)),
    responses((status = 202, description = "It is being undone, by this action", body = ActionRow), SteerRefusals))]
pub async fn undo_action(caller: Caller, app: web::Data<App>, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    caller.may_steer()?;
    let row = stored(&caller, &app, &id).await?;
    let (client, name) = (ClientId(row.client_id), row.name.clone());
    let taken = take(&caller, &app, row.id).await;
    let step = taken.as_ref().ok().map(|step| step.id);
    let detail = json!({ "action": row.id, "name": name, "step": step });
    let step = caller.note("action_undone", Some(client), detail, taken)?;
    Ok(HttpResponse::Accepted().json(step))
}

fn conflict(why: &str) -> Problem {
    Problem::conflict().detail(why.to_owned())
}

fn hold(app: &web::Data<App>, action: Uuid) -> Result<Hold, Problem> {
    InHand::take(app, action).ok_or_else(|| conflict("somebody else's order on it is being carried out"))
}

async fn take(caller: &Caller, app: &web::Data<App>, id: Uuid) -> Result<ActionRow, Problem> {
    let held = hold(app, id)?;
    // Of two at the same moment the second sees what came of the first.
    let row = caller.ask(app.store.action(id)).await?;
    let call = caller.ask(app.store.call(CallId(row.call_id))).await?;
    if call.state != "ended" {
        return Err(conflict("its call is still up: the caller is asked there"));
    }
    let known = refuses(&row).map_or(Ok(()), |why| Err(conflict(why)));
    known?;
    if row.name == "request_callback" && caller.ask(app.store.callback(id)).await?.done_at.is_some() {
        return Err(conflict("somebody has rung back already"));
    }
    let kept = row.undo.as_ref().and_then(|kept| UndoStep::read(kept, &row.idempotency_key));
    let kept = kept.ok_or_else(|| conflict("its arguments held what is not kept, so what undoes it is not known"))?;
    let former = caller.ask(app.store.find_action(&kept.key)).await?;
    if let Some(why) = former.as_ref().and_then(|former| again(&former.state)) {
        return Err(conflict(why));
    }
    let (fresh, step) = (former.is_none(), former.unwrap_or_else(|| step(&row, kept)));
    let step_held = hold(app, step.id)?;
    let request = acting::request(app, &step).await;
    let request = request.ok_or_else(|| conflict("its client's agent has no such action now as undoes it"))?;
    // Whoever is told of it can read it.
    if fresh && !acting::put_down(app, &step).await {
        return Err(Problem::unavailable().detail("it could not be written down, so it was not begun"));
    }
    acting::carry_out(app.clone(), vec![held, step_held], step.clone(), request);
    Ok(step)
}

/// Why an action is not undone; `None`: it may be.
fn refuses(row: &ActionRow) -> Option<&'static str> {
    let is_done = row.state == ActionState::Done.as_str();
    match row {
        _ if !is_done => Some("only what is done can be undone"),
        _ if row.undone_by.is_some() => Some("it is undone already"),
        _ if row.undoes.is_some() => Some("it undid something itself: have that done anew"),
        _ if row.undo.is_none() => Some("nothing undoes it"),
        _ => None,
    }
}

/// Why what undoes it is not begun again; `None`: nothing has come of it.
fn again(state: &str) -> Option<&'static str> {
    match state {
        "done" => Some("it is undone already"),
        "unknown" => Some("whether it was undone is not known: try that action again"),
        "confirmed" | "running" => Some("it is being undone"),
        _ => None,
    }
}

/// What undoes an action, before anything has become of it.
fn step(row: &ActionRow, kept: UndoStep) -> ActionRow {
    let now = Utc::now();
    ActionRow {
        id: Uuid::now_v7(),
        call_id: row.call_id,
        client_id: row.client_id,
        name: kept.undo.tool.to_string(),
        idempotency_key: kept.key.to_string(),
        arguments: kept.undo.arguments,
        state: ActionState::Confirmed.as_str().to_owned(),
        output: None,
        attempts: 0,
        started_ms: row.changed_ms,
        changed_ms: row.changed_ms,
        created_at: now,
        changed_at: now,
        undo: None,
        undoes: Some(row.id),
        undone_by: None,
    }
}
