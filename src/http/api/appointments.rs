//! What callers booked.

use actix_web::{HttpRequest, web};
use caly_actors::domain::ClientId;
use serde_json::json;
use uuid::Uuid;

use super::super::App;
use super::super::problem::Problem;
use super::auth::Caller;
use super::openapi::{ListRefusals, OneRefusals, RemoveRefusals};
use super::query::{self, Query};
use crate::store::AppointmentFilter;
use crate::store::rows::{AppointmentRow, Page};

const STATES: [&str; 2] = ["booked", "cancelled"];

/// Appointments, the one booked last first.
#[utoipa::path(get, path = "/api/v1/appointments", tag = "appointments", security(("key" = [])),
    params(
        ("client" = Option<String>, Query, description = "Slug or id"),
        ("state" = Option<String>, Query, description = "`booked` or `cancelled`"),
        ("from" = Option<String>, Query, format = DateTime, description = "That begin at this time or later, RFC 3339"),
        ("to" = Option<String>, Query, format = DateTime, description = "That begin before this time, RFC 3339"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "Rows of a page; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, body = Page<AppointmentRow>), ListRefusals))]
pub async fn list_appointments(
    caller: Caller,
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<web::Json<Page<AppointmentRow>>, Problem> {
    let query = Query::read(&request, &["client", "state", "from", "to"])?;
    let limit = query.limit()?;
    let filter = AppointmentFilter {
        state: query.word("state", &STATES)?,
        from: query.time("from")?,
        to: query.time("to")?,
        client: query.client(&caller, &app).await?,
    };
    Ok(web::Json(caller.ask(app.store.list_appointments(&filter, query.cursor(), limit)).await?))
}

/// An appointment.
#[utoipa::path(get, path = "/api/v1/appointments/{id}", tag = "appointments", security(("key" = [])),
    params(("id" = Uuid, Path)),
    responses((status = 200, body = AppointmentRow), OneRefusals))]
pub async fn get_appointment(
    caller: Caller,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<web::Json<AppointmentRow>, Problem> {
    Ok(web::Json(stored(&caller, &app, &id).await?))
}

/// One that the key may see.
pub(super) async fn stored(caller: &Caller, app: &App, id: &str) -> Result<AppointmentRow, Problem> {
    let row = caller.ask(app.store.appointment(query::id(id)?)).await?;
    caller.may_see(row.client_id)?;
    Ok(row)
}

/// Calls an appointment off; its time is free again. A second time changes nothing.
#[utoipa::path(post, path = "/api/v1/appointments/{id}/cancel", tag = "appointments", security(("key" = [])),
    description = "For keys of role `operator` and `admin`.",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = AppointmentRow), RemoveRefusals))]
pub async fn cancel_appointment(
    caller: Caller,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<web::Json<AppointmentRow>, Problem> {
    caller.may_steer()?;
    let row = stored(&caller, &app, &id).await?;
    let key = format!("api {}", Uuid::now_v7());
    let cancelled = caller.change(app.store.cancel_appointment(row.id, &key)).await;
    let client = Some(ClientId(row.client_id));
    Ok(web::Json(caller.note("appointment_cancelled", client, json!({ "appointment": row.id }), cancelled)?))
}
