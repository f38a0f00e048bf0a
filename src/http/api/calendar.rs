//! What callers can book with a client, and when it is open: the calendar of the agent in use, a part at a time. A change makes
//! a new version of the agent and uses it at once; the former one stays as it was.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, web};
use caly_actors::domain::ClientId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::App;
use super::super::problem::Problem;
use super::auth::Caller;
use super::body::{self, given};
use super::openapi::{ChangeRefusals, OneRefusals};
use super::query;
use crate::administration::{self, Refused};
use crate::store::rows::{AgentRow, ClientRow};

/// Something that can be booked.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceDraft {
    /// As callers name it.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// How long it takes.
    #[schema(minimum = 5, maximum = 720)]
    minutes: u16,
}

/// What callers can book.
#[derive(Serialize, ToSchema)]
pub struct Services {
    /// The version of the agent they stand in.
    agent_id: Uuid,
    version: i64,
    services: Vec<ServiceDraft>,
    /// With whom; empty where it does not matter.
    people: Vec<String>,
}

/// What callers can book from now on. What is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServicesDraft {
    #[schema(min_items = 1, max_items = 50)]
    services: Vec<ServiceDraft>,
    /// Names of those who can be booked; an empty list: it does not matter with whom.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_items = 50, value_type = Vec<String>)]
    people: Option<Vec<String>>,
}

/// When a client is open, in the times of its `time_zone`.
#[derive(Serialize, ToSchema)]
pub struct Hours {
    /// The version of the agent they stand in.
    agent_id: Uuid,
    version: i64,
    time_zone: String,
    /// By day (`mon` to `sun`), spans such as `10:00-13:00`; days left out are closed.
    hours: BTreeMap<String, Vec<String>>,
    /// Days without any, as `2026-12-25`.
    holidays: Vec<String>,
}

/// When a client is open from now on. What is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoursDraft {
    /// By day (`mon` to `sun`), spans such as `10:00-13:00`, in order; days left out are closed.
    hours: BTreeMap<String, Vec<String>>,
    /// Days without any, as `2026-12-25`.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Vec<String>)]
    holidays: Option<Vec<chrono::NaiveDate>>,
}

/// What callers can book with a client.
#[utoipa::path(get, path = "/api/v1/clients/{id}/services", tag = "clients", security(("key" = [])),
    description = "404 also if the client's agent in use has no calendar.",
    params(("id" = String, Path, description = "Id or slug")),
    responses((status = 200, body = Services), OneRefusals))]
pub async fn get_services(
    caller: Caller,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<web::Json<Services>, Problem> {
    let client = query::client(&id, &caller, &app).await?;
    Ok(web::Json(services(&in_use(&caller, &app, &client).await?)))
}

/// Changes what callers can book with a client, for calls that begin from now on.
#[utoipa::path(put, path = "/api/v1/clients/{id}/services", tag = "clients", security(("key" = [])),
    description = "For keys of role `admin`. Makes a new version of the agent and uses it. What does not fit is named in `field`; \
        404 also if the agent in use has no calendar; 409 if another version came into use meanwhile: read again.",
    params(("id" = String, Path, description = "Id or slug")),
    request_body = ServicesDraft,
    responses((status = 200, body = Services), ChangeRefusals))]
pub async fn put_services(
    caller: Caller,
    app: web::Data<App>,
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
) -> Result<web::Json<Services>, Problem> {
    caller.may_administer()?;
    let client = query::client(&id, &caller, &app).await?;
    let draft: ServicesDraft = body::read(&app, &request, payload).await?;
    let people = draft.people.map(|people| ("people", json!(people)));
    let parts = [("services", json!(draft.services))].into_iter().chain(people);
    let row = change(&caller, &app, &client, "services_changed", parts.collect()).await?;
    Ok(web::Json(services(&row)))
}

/// When a client is open.
#[utoipa::path(get, path = "/api/v1/clients/{id}/hours", tag = "clients", security(("key" = [])),
    description = "404 also if the client's agent in use has no calendar.",
    params(("id" = String, Path, description = "Id or slug")),
    responses((status = 200, body = Hours), OneRefusals))]
pub async fn get_hours(
    caller: Caller,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<web::Json<Hours>, Problem> {
    let client = query::client(&id, &caller, &app).await?;
    Ok(web::Json(hours(&in_use(&caller, &app, &client).await?)))
}

/// Changes when a client is open, for calls that begin from now on. Appointments that stand are not touched.
#[utoipa::path(put, path = "/api/v1/clients/{id}/hours", tag = "clients", security(("key" = [])),
    description = "For keys of role `admin`. Makes a new version of the agent and uses it. What does not fit is named in `field`; \
        404 also if the agent in use has no calendar; 409 if another version came into use meanwhile: read again.",
    params(("id" = String, Path, description = "Id or slug")),
    request_body = HoursDraft,
    responses((status = 200, body = Hours), ChangeRefusals))]
pub async fn put_hours(
    caller: Caller,
    app: web::Data<App>,
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
) -> Result<web::Json<Hours>, Problem> {
    caller.may_administer()?;
    let client = query::client(&id, &caller, &app).await?;
    let draft: HoursDraft = body::read(&app, &request, payload).await?;
    let holidays = draft.holidays.map(|holidays| ("holidays", json!(holidays)));
    let parts = [("hours", json!(draft.hours))].into_iter().chain(holidays);
    let row = change(&caller, &app, &client, "hours_changed", parts.collect()).await?;
    Ok(web::Json(hours(&row)))
}

/// The version in use, if it has a calendar.
async fn in_use(caller: &Caller, app: &App, client: &ClientRow) -> Result<AgentRow, Problem> {
    let row = caller.ask(app.store.agent_in_use(ClientId(client.id))).await?;
    let with_calendar = row.filter(|row| row.settings["calendar"].is_object());
    let none = || Problem::not_found().detail("the agent in use has no calendar: give it one by POST /api/v1/agents");
    with_calendar.ok_or_else(none)
}

/// A new version of the agent with some parts of its calendar changed, in use.
async fn change(
    caller: &Caller,
    app: &App,
    client: &ClientRow,
    word: &str,
    parts: Vec<(&str, Value)>,
) -> Result<AgentRow, Problem> {
    let changed = async {
        let former = in_use(caller, app, client).await?;
        let mut settings = former.settings.clone();
        for (part, value) in parts {
            settings["calendar"][part] = value;
        }
        administration::settings("settings", &settings, &app.config.calls.limits)
            .map_err(|refused| caller.told(of_part(refused)))?;
        let published = caller.change(app.store.publish_instead(&former, settings)).await;
        let meanwhile = "another version came into use meanwhile: read again and send what you want changed";
        published.map_err(|problem| if problem.status == 409 { problem.detail(meanwhile) } else { problem })
    };
    let changed = changed.await;
    let detail = json!({ "version": changed.as_ref().ok().map(|row| row.version) });
    caller.note(word, Some(ClientId(client.id)), detail, changed)
}

/// Names the field as it was sent, without where it stands in the settings.
fn of_part(refused: Refused) -> Refused {
    match refused {
        Refused::Field { field, reason } => {
            let field = field.strip_prefix("settings.calendar.").map_or_else(|| field.clone(), str::to_owned);
            Refused::Field { field, reason }
        }
        other => other,
    }
}

/// A part of a calendar as it is written; nothing where it is not written or was written by another program.
fn part<T: serde::de::DeserializeOwned + Default>(row: &AgentRow, name: &str) -> T {
    serde_json::from_value(row.settings["calendar"][name].clone()).unwrap_or_default()
}

fn services(row: &AgentRow) -> Services {
    Services { agent_id: row.id, version: row.version, services: part(row, "services"), people: part(row, "people") }
}

fn hours(row: &AgentRow) -> Hours {
    let time_zone = crate::agents::time_zone(&row.settings).name().to_owned();
    Hours {
        agent_id: row.id,
        version: row.version,
        time_zone,
        hours: part(row, "hours"),
        holidays: part(row, "holidays"),
    }
}
