//! Callers who asked to be rung back, and that somebody did.

use actix_web::{HttpRequest, web};
use caly_actors::domain::ClientId;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::App;
use super::super::problem::Problem;
use super::auth::Caller;
use super::body::{self, given};
use super::openapi::{ChangeRefusals, ListRefusals, OneRefusals};
use super::query::{self, Query};
use crate::redact::rememberable;
use crate::store::CallbackFilter;
use crate::store::rows::{CallbackRow, Page};

/// Longest note.
const NOTE_MAX: usize = 500;

/// A caller who asked to be rung back.
#[derive(Serialize, ToSchema)]
pub struct Callback {
    id: Uuid,
    client_id: Uuid,
    /// The call it was asked for in.
    call_id: Uuid,
    /// Where to ring: as the caller told it, or the number they rang from. `null` where it was withheld and none was told.
    number: Option<String>,
    /// The number they rang from, as the carrier gave it.
    caller: Option<String>,
    /// When it suits them, in their words.
    when: Option<String>,
    /// The same as a time of the client's, where the words tell one: `2026-11-21T17:00`, a day, or an object with `from` and `to`.
    #[schema(value_type = Option<Object>)]
    at: Option<Value>,
    /// What it is about.
    topic: Option<String>,
    asked_at: DateTime<Utc>,
    /// `open` or `done`.
    state: &'static str,
    done_at: Option<DateTime<Utc>>,
    /// The key that said so.
    done_by: Option<Uuid>,
    note: Option<String>,
    /// Since when the number they rang from is not to be rung any more (see `suppressions`), whatever was asked before.
    do_not_call_since: Option<DateTime<Utc>>,
}

impl From<CallbackRow> for Callback {
    fn from(row: CallbackRow) -> Self {
        let told = |name: &str| row.arguments[name].as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned);
        Self {
            number: told("number").or_else(|| row.caller.clone()),
            when: told("when"),
            topic: told("topic"),
            at: row.output.as_ref().and_then(|output| output.get("at")).cloned(),
            state: if row.done_at.is_some() { "done" } else { "open" },
            id: row.id,
            client_id: row.client_id,
            call_id: row.call_id,
            caller: row.caller,
            asked_at: row.created_at,
            done_at: row.done_at,
            done_by: row.done_by,
            note: row.note,
            do_not_call_since: row.do_not_call_since,
        }
    }
}

/// Callers who asked to be rung back, newest first.
#[utoipa::path(get, path = "/api/v1/callbacks", tag = "callbacks", security(("key" = [])),
    params(
        ("client" = Option<String>, Query, description = "Slug or id"),
        ("state" = Option<String>, Query, description = "`open` or `done`; both if not given"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "Rows of a page; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, body = Page<Callback>), ListRefusals))]
pub async fn list_callbacks(
    caller: Caller,
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<web::Json<Page<Callback>>, Problem> {
    let query = Query::read(&request, &["client", "state"])?;
    let limit = query.limit()?;
    let done = query.word("state", &["open", "done"])?.map(|state| state == "done");
    let filter = CallbackFilter { client: query.client(&caller, &app).await?, done };
    let Page { items, next } = caller.ask(app.store.list_callbacks(filter, query.cursor(), limit)).await?;
    Ok(web::Json(Page { items: items.into_iter().map(Callback::from).collect(), next }))
}

/// A caller who asked to be rung back.
#[utoipa::path(get, path = "/api/v1/callbacks/{id}", tag = "callbacks", security(("key" = [])),
    params(("id" = Uuid, Path)),
    responses((status = 200, body = Callback), OneRefusals))]
pub async fn get_callback(
    caller: Caller,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<web::Json<Callback>, Problem> {
    Ok(web::Json(stored(&caller, &app, &id).await?.into()))
}

async fn stored(caller: &Caller, app: &App, id: &str) -> Result<CallbackRow, Problem> {
    let row = caller.ask(app.store.callback(query::id(id)?)).await?;
    caller.may_see(row.client_id)?;
    Ok(row)
}

/// That somebody rang back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CallbackDone {
    /// What came of it, for whoever looks later. Secrets and numbers of cards or identity papers are not kept.
    #[serde(default, deserialize_with = "given")]
    #[schema(
        min_length = 1,
        max_length = 500,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*[^\\s\\x00-\\x1f\\x7f-\\x9f][^\\x00-\\x1f\\x7f-\\x9f]*$",
        value_type = String
    )]
    note: Option<String>,
}

impl CallbackDone {
    fn checked(self) -> Result<Option<String>, Problem> {
        let wrong = |detail: &str| Problem::invalid().field("note").detail(detail);
        let Some(note) = self.note else { return Ok(None) };
        let length = note.chars().count();
        if !(1..=NOTE_MAX).contains(&length) || note.chars().any(char::is_control) || note.trim().is_empty() {
            return Err(wrong("expected 1 to 500 characters on one line"));
        }
        let kept = rememberable("note", &note).ok_or_else(|| wrong("a secret is not kept: say what came of it"))?;
        Ok(Some(kept))
    }
}

/// Notes that a caller was rung back. A second time changes nothing.
#[utoipa::path(post, path = "/api/v1/callbacks/{id}/done", tag = "callbacks", security(("key" = [])),
    description = "For keys of role `operator` and `admin`. Of two who say so the first is kept, with their note.",
    params(("id" = Uuid, Path)),
    request_body = CallbackDone,
    responses((status = 200, body = Callback), ChangeRefusals))]
pub async fn callback_done(
    caller: Caller,
    app: web::Data<App>,
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
) -> Result<web::Json<Callback>, Problem> {
    caller.may_steer()?;
    let row = stored(&caller, &app, &id).await?;
    let done: CallbackDone = body::read(&app, &request, payload).await?;
    // That there is a note, not what it says.
    let detail = json!({ "callback": row.id, "call": row.call_id, "note": done.note.is_some() });
    let noted = async {
        let note = done.checked()?;
        caller.checked(async { Ok(app.store.callback_done(row.id, caller.key.id, note).await?) }).await
    };
    let noted = noted.await;
    Ok(web::Json(caller.note("callback_done", Some(ClientId(row.client_id)), detail, noted)?.into()))
}
