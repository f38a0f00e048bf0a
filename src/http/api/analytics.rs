//! What happened in calls, counted.

use actix_web::{HttpRequest, web};
use chrono::{TimeDelta, Utc};

use super::super::App;
use super::super::problem::Problem;
use super::auth::Caller;
use super::openapi::ListRefusals;
use super::query::Query;
use crate::store::{Analytics, Stretch};

/// Counted if no beginning is told.
const USUAL: TimeDelta = TimeDelta::days(7);
/// Longest stretch: what a database counts in the time an answer may take.
const LONGEST: TimeDelta = TimeDelta::days(366);

/// What happened in the calls admitted in a stretch of time: how many, how they ended, what callers wanted, what was
/// done, and how soon they were answered.
#[utoipa::path(get, path = "/api/v1/analytics", tag = "calls", security(("key" = [])),
    params(
        ("client" = Option<String>, Query, description = "Slug or id"),
        ("from" = Option<String>, Query, format = DateTime, description = "Admitted at this time or later, RFC 3339; seven days before `to` if not given"),
        ("to" = Option<String>, Query, format = DateTime, description = "Admitted before this time, RFC 3339; now if not given"),
    ),
    responses((status = 200, body = Analytics), ListRefusals))]
pub async fn analytics(
    caller: Caller,
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<web::Json<Analytics>, Problem> {
    let query = Query::only(&request, &["client", "from", "to"])?;
    let to = query.time("to")?.unwrap_or_else(Utc::now);
    let from = query.time("from")?.or_else(|| to.checked_sub_signed(USUAL)).unwrap_or(to);
    if from >= to || to - from > LONGEST {
        return Err(Problem::invalid().field("from").detail("from must lie before to, by at most 366 days"));
    }
    let client = query.client(&caller, &app).await?;
    Ok(web::Json(caller.ask(app.store.analytics(Stretch { client, from, to })).await?))
}
