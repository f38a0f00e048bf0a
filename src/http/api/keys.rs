//! Keys of this API. A key makes none that is mightier, sees more or lives longer than itself.

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use caly_actors::domain::ClientId;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::super::App;
use super::super::problem::Problem;
use super::auth::Caller;
use super::body::{self, given};
use super::openapi::{AdminOneRefusals, AdminRefusals, ChangeRefusals, RemoveRefusals};
use super::query::{self, Query};
use crate::administration;
use crate::store::rows::{KeyRow, Page};
use crate::store::{NewKey, Role};

/// Times that fit every column and every clock: before the year 10000.
const LATEST_S: i64 = 253_402_300_799;

/// Keys without the keys, newest first, also revoked ones.
#[utoipa::path(get, path = "/api/v1/keys", tag = "administration", security(("key" = [])),
    description = "For keys of role `admin`.",
    params(
        ("client" = Option<String>, Query, description = "Slug or id: only keys limited to this client"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "Rows of a page; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, body = Page<KeyRow>), AdminRefusals))]
pub async fn list_keys(
    caller: Caller,
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<web::Json<Page<KeyRow>>, Problem> {
    caller.may_administer()?;
    let query = Query::read(&request, &["client"])?;
    let limit = query.limit()?;
    let client = query.client(&caller, &app).await?;
    Ok(web::Json(caller.ask(app.store.list_keys_of(client, query.cursor(), limit)).await?))
}

/// A key without the key.
#[utoipa::path(get, path = "/api/v1/keys/{id}", tag = "administration", security(("key" = [])),
    description = "For keys of role `admin`.",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = KeyRow), AdminOneRefusals))]
pub async fn get_key(caller: Caller, app: web::Data<App>, id: web::Path<String>) -> Result<web::Json<KeyRow>, Problem> {
    caller.may_administer()?;
    Ok(web::Json(stored(&caller, &app, &id).await?))
}

/// A key of one client sees only keys of that client.
async fn stored(caller: &Caller, app: &App, id: &str) -> Result<KeyRow, Problem> {
    let row = caller.ask(app.store.key(query::id(id)?)).await?;
    match (caller.key.client_id, row.client_id) {
        (None, _) => Ok(row),
        (Some(own), Some(its)) if own == its => Ok(row),
        _ => Err(Problem::not_found()),
    }
}

/// What a key may do.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RoleWord {
    /// Everything.
    Admin,
    /// See and steer calls.
    Operator,
    /// See.
    Viewer,
}

impl From<RoleWord> for Role {
    fn from(word: RoleWord) -> Self {
        match word {
            RoleWord::Admin => Self::Admin,
            RoleWord::Operator => Self::Operator,
            RoleWord::Viewer => Self::Viewer,
        }
    }
}

/// A key to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyDraft {
    role: RoleWord,
    /// Whose key it is, for the list.
    #[serde(default)]
    #[schema(max_length = 200)]
    name: String,
    /// Slug or id of the one client it may see; `null` is all. As the key that makes it, if not given.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    client: Option<Option<String>>,
    /// When it stops working; never if `null`. As the key that makes it, if not given.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    expires_at: Option<Option<DateTime<Utc>>>,
}

/// A key that was made.
#[derive(Serialize, ToSchema)]
pub struct MadeKey {
    /// The key itself, shown this once.
    key: String,
    #[serde(flatten)]
    row: KeyRow,
}

/// Makes a key.
#[utoipa::path(post, path = "/api/v1/keys", tag = "administration", security(("key" = [])),
    description = "For keys of role `admin`. 403 for a key that would see more or live longer than the one that asks.",
    request_body = KeyDraft,
    responses((status = 201, body = MadeKey, description = "Made", headers(("Location" = String))), ChangeRefusals))]
pub async fn create_key(
    caller: Caller,
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    caller.may_administer()?;
    let draft: KeyDraft = body::read(&app, &request, payload).await?;
    let role = Role::from(draft.role);
    let made = create(&caller, &app, draft, role).await;
    let id = made.as_ref().ok().map(|made| made.row.id);
    let client = made.as_ref().ok().and_then(|made| made.row.client_id).map(ClientId).or(caller.client());
    let made = caller.note("key_created", client, json!({ "id": id, "role": role.as_str() }), made)?;
    Ok(HttpResponse::Created().insert_header((LOCATION, format!("/api/v1/keys/{}", made.row.id))).json(made))
}

async fn create(caller: &Caller, app: &App, draft: KeyDraft, role: Role) -> Result<MadeKey, Problem> {
    administration::label("name", &draft.name).map_err(|refused| caller.told(refused))?;
    let client = match draft.client {
        None => caller.client(),
        Some(Some(name)) => Some(ClientId(query::client_field("client", &name, caller, app).await?.id)),
        Some(None) if caller.client().is_none() => None,
        Some(None) => return Err(caller.beyond("a key of one client makes keys of that client only").field("client")),
    };
    let expires_at = expiry(caller, draft.expires_at)?;
    let new = NewKey { name: draft.name, role, client, expires_at };
    let (row, key) = caller.checked(async { Ok(app.store.make_key(new).await?) }).await?;
    Ok(MadeKey { key, row })
}

fn expiry(caller: &Caller, asked: Option<Option<DateTime<Utc>>>) -> Result<Option<DateTime<Utc>>, Problem> {
    let own = caller.key.expires_at;
    let Some(asked) = asked else { return Ok(own) };
    let outlives = own.is_some_and(|own| asked.is_none_or(|asked| asked > own));
    if outlives {
        return Err(caller.beyond("a key that expires makes keys that expire no later").field("expires_at"));
    }
    match asked {
        Some(at) if at <= Utc::now() || at.timestamp() > LATEST_S => {
            Err(Problem::invalid().field("expires_at").detail("expected a time in the future, before the year 10000"))
        }
        asked => Ok(asked),
    }
}

/// Ends a key: in this process at once, in others within ten seconds. Its streams of events end.
#[utoipa::path(delete, path = "/api/v1/keys/{id}", tag = "administration", security(("key" = [])),
    description = "For keys of role `admin`. The row stays, with `revoked_at`; a second time changes nothing.",
    params(("id" = Uuid, Path)),
    responses((status = 204, description = "Revoked"), RemoveRefusals))]
pub async fn revoke_key(caller: Caller, app: web::Data<App>, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    caller.may_administer()?;
    let row = stored(&caller, &app, &id).await?;
    let revoked = caller.checked(async { Ok(app.store.revoke_key(row.id).await?) }).await;
    if revoked.is_ok() {
        app.api.forget_key(row.id);
    }
    caller.note("key_revoked", row.client_id.map(ClientId), json!({ "id": row.id }), revoked)?;
    Ok(HttpResponse::NoContent().finish())
}
