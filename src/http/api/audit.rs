//! The audit log, for keys of role `admin`.

use actix_web::{HttpRequest, web};

use super::super::App;
use super::super::problem::Problem;
use super::auth::Caller;
use super::openapi::AdminRefusals;
use super::query::Query;
use crate::store::rows::{AuditRow, Page};

/// Who did what, newest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "administration", security(("key" = [])),
    description = "For keys of role `admin`.",
    params(
        ("client" = Option<String>, Query, description = "Slug or id"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "Rows of a page; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, body = Page<AuditRow>), AdminRefusals))]
pub async fn list_audit(
    caller: Caller,
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<web::Json<Page<AuditRow>>, Problem> {
    caller.may_administer()?;
    let query = Query::read(&request, &["client"])?;
    let limit = query.limit()?;
    let client = query.client(&caller, &app).await?;
    Ok(web::Json(caller.ask(app.store.list_audit(client, query.cursor(), limit)).await?))
}
