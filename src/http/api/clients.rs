//! Clients. Numbers, agents and keys have files of their own.

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use caly_actors::domain::ClientId;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::App;
use super::super::problem::Problem;
use super::auth::Caller;
use super::body::{self, given};
use super::openapi::{ChangeRefusals, ListRefusals, MakeRefusals, OneRefusals};
use super::query::{self, Query};
use crate::administration::{self, Draft, Refused};
use crate::config::Config;
use crate::store::rows::{AgentRow, ClientRow, NumberRow, Page};
use crate::store::{Basic, ClientChange, Shop};

/// Clients, newest first; for a key of one client, that one.
#[utoipa::path(get, path = "/api/v1/clients", tag = "clients", security(("key" = [])),
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200, description = "Rows of a page; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses((status = 200, body = Page<ClientRow>), ListRefusals))]
pub async fn list_clients(
    caller: Caller,
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<web::Json<Page<ClientRow>>, Problem> {
    let query = Query::read(&request, &[])?;
    let limit = query.limit()?;
    if let Some(own) = caller.client() {
        let row = caller.ask(app.store.client(own)).await?;
        return Ok(web::Json(Page { items: vec![row], next: None }));
    }
    Ok(web::Json(caller.ask(app.store.list_clients(query.cursor(), limit)).await?))
}

/// A client.
#[utoipa::path(get, path = "/api/v1/clients/{id}", tag = "clients", security(("key" = [])),
    params(("id" = String, Path, description = "Id or slug")),
    responses((status = 200, body = ClientRow), OneRefusals))]
pub async fn get_client(
    caller: Caller,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<web::Json<ClientRow>, Problem> {
    Ok(web::Json(query::client(&id, &caller, &app).await?))
}

/// A client to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientDraft {
    /// Stands in webhook URLs; unique. An id does not fit.
    #[schema(pattern = "^[a-z0-9-]{1,64}$")]
    slug: String,
    /// Shown to operators.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*[^\\s\\x00-\\x1f\\x7f-\\x9f][^\\x00-\\x1f\\x7f-\\x9f]*$"
    )]
    name: String,
    /// Phone numbers in E.164.
    #[serde(default)]
    #[schema(max_items = 100)]
    numbers: Vec<String>,
    /// Settings of its first agent; a plain agent if not given.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Object)]
    agent: Option<Value>,
    /// How the carrier is answered at call-start: `json` if not given.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = AnswerStyle)]
    answer_style: Option<String>,
    /// Calls at once; `null` is no limit of its own.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 100_000)]
    max_calls: Option<i64>,
    /// Addresses and networks its webhooks may come from; empty is any.
    #[serde(default)]
    #[schema(max_items = 100)]
    ip_allow_list: Vec<String>,
    /// Also make Basic credentials for this user.
    #[serde(default)]
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$")]
    basic_user: Option<String>,
    /// Key of `X-Exotel-Signature`, for deployments whose proxy adds it.
    #[serde(default)]
    #[schema(min_length = 16, max_length = 1024, pattern = "^[!-~]*$", value_type = Option<String>)]
    signature_key: Option<String>,
}

/// How a carrier may be answered.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[allow(dead_code, reason = "only described; the words are checked where the command line's are")]
pub enum AnswerStyle {
    /// A JSON object with the stream's URL.
    Json,
    /// ExoML.
    Exoml,
}

/// The URLs to paste into the carrier's flow builder. The key in them is shown this once.
#[derive(Serialize, ToSchema)]
pub struct WebhookUrls {
    /// Voicebot applet, URL.
    call_start: String,
    /// Passthru applet, URL.
    passthru: String,
    /// Connect applet, dynamic URL.
    connect: String,
    /// Status callback of the flow.
    call_end: String,
    /// StatusCallback of REST calls.
    status: String,
    /// Recording callback.
    recording: String,
}

impl WebhookUrls {
    fn of(config: &Config, slug: &str, secret: &str) -> Self {
        let [call_start, passthru, connect, call_end, status, recording] =
            administration::webhooks(config, slug, secret).map(|(_, _, url)| url);
        Self { call_start, passthru, connect, call_end, status, recording }
    }
}

/// Basic credentials, shown this once.
#[derive(Serialize, ToSchema)]
pub struct BasicOnce {
    user: String,
    password: String,
    /// The static stream's URL with them.
    stream_url: String,
}

impl BasicOnce {
    fn of(config: &Config, slug: &str, basic: &Basic) -> Self {
        let stream_url = administration::stream_url(config, slug, basic);
        Self { user: basic.user.clone(), password: basic.password.clone(), stream_url }
    }
}

/// A client that was made.
#[derive(Serialize, ToSchema)]
pub struct MadeClient {
    client: ClientRow,
    numbers: Vec<NumberRow>,
    /// In use for new calls.
    agent: AgentRow,
    /// The key in the webhook URLs, shown this once.
    webhook_secret: String,
    webhooks: WebhookUrls,
    /// If a Basic user was asked for.
    basic: Option<BasicOnce>,
}

/// Makes a client with its numbers and a first agent, all or nothing.
#[utoipa::path(post, path = "/api/v1/clients", tag = "clients", security(("key" = [])),
    description = "For keys of role `admin` that are not limited to one client. The webhook key and the Basic password \
        are shown this once.",
    request_body = ClientDraft,
    responses((status = 201, body = MadeClient, description = "Made", headers(("Location" = String))), MakeRefusals))]
pub async fn create_client(
    caller: Caller,
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    caller.may_administer_all()?;
    let draft: ClientDraft = body::read(&app, &request, payload).await?;
    let detail = json!({ "slug": draft.slug.chars().take(64).collect::<String>() });
    let made = create(&caller, &app, draft).await;
    let client = made.as_ref().ok().map(|made| ClientId(made.client.id));
    let made = caller.note("client_created", client, detail, made)?;
    let location = format!("/api/v1/clients/{}", made.client.id);
    Ok(HttpResponse::Created().insert_header((LOCATION, location)).json(made))
}

async fn create(caller: &Caller, app: &App, draft: ClientDraft) -> Result<MadeClient, Problem> {
    let told = |refused: Refused| caller.told(refused);
    let numbers = administration::numbers("numbers", &draft.numbers).map_err(told)?;
    let settings = draft.agent.unwrap_or_else(|| crate::agents::plain(&draft.name));
    administration::settings("agent", &settings, &app.config.calls.limits).map_err(told)?;
    let new = Draft {
        slug: draft.slug,
        name: draft.name,
        answer_style: draft.answer_style,
        max_calls: draft.max_calls,
        ip_allow_list: draft.ip_allow_list,
        basic_user: draft.basic_user,
        signature_key: draft.signature_key.map(Into::into),
    };
    let new = new.checked().map_err(told)?;
    caller.checked(administration::all_free(&app.store, "numbers", &numbers, |_| true)).await?;
    let (slug, basic) = (new.slug.clone(), new.basic.clone());
    let made = match caller.change(app.store.create_whole_client(new, numbers, settings)).await {
        Err(problem) if problem.status == 409 => return Err(taken(caller, app, &slug, problem).await),
        made => made?,
    };
    let secret = made.created.webhook_secret;
    Ok(MadeClient {
        webhooks: WebhookUrls::of(&app.config, &slug, &secret),
        basic: basic.map(|basic| BasicOnce::of(&app.config, &slug, &basic)),
        client: made.created.client,
        numbers: made.numbers,
        agent: made.agent,
        webhook_secret: secret,
    })
}

/// Says what of a client to be was taken: its slug, or a number that somebody was quicker to take.
async fn taken(caller: &Caller, app: &App, slug: &str, problem: Problem) -> Problem {
    match caller.ask(app.store.client_by_slug(slug)).await {
        Ok(Some(_)) => problem.field("slug").detail(format!("there is a client {slug} already")),
        _ => problem.field("numbers").detail("a number was taken in this moment; try again"),
    }
}

/// What to change of a client. What is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientPatch {
    /// Shown to operators.
    #[serde(default, deserialize_with = "given")]
    #[schema(min_length = 1, max_length = 200, value_type = String, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*[^\\s\\x00-\\x1f\\x7f-\\x9f][^\\x00-\\x1f\\x7f-\\x9f]*$")]
    name: Option<String>,
    /// Whether its webhooks are refused.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = bool)]
    disabled: Option<bool>,
    /// How the carrier is answered at call-start.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = AnswerStyle)]
    answer_style: Option<String>,
    /// Calls at once; `null` takes the limit away.
    #[serde(default, deserialize_with = "given")]
    #[schema(minimum = 1, maximum = 100_000, value_type = Option<i64>)]
    max_calls: Option<Option<i64>>,
    /// Addresses and networks its webhooks may come from; empty is any.
    #[serde(default, deserialize_with = "given")]
    #[schema(max_items = 100, value_type = Vec<String>)]
    ip_allow_list: Option<Vec<String>>,
    /// Makes new Basic credentials for this user; `null` takes them away.
    #[serde(default, deserialize_with = "given")]
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$", value_type = Option<String>)]
    basic_user: Option<Option<String>>,
    /// Key of `X-Exotel-Signature`; `null` takes it away.
    #[serde(default, deserialize_with = "given")]
    #[schema(min_length = 16, max_length = 1024, pattern = "^[!-~]*$", value_type = Option<String>)]
    signature_key: Option<Option<String>>,
    /// Its shop at Shopify, as a whole; `null` takes it away.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<ShopGiven>)]
    shop: Option<Option<ShopGiven>>,
}

/// A shop with what opens it. Never shown again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShopGiven {
    /// `….myshopify.com`.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}\\.myshopify\\.com$")]
    domain: String,
    /// Admin API access token.
    #[schema(min_length = 12, max_length = 255, pattern = "^[!-~]*$")]
    token: String,
    /// Key of its webhooks; without one they are refused.
    #[serde(default)]
    #[schema(min_length = 12, max_length = 255, pattern = "^[!-~]*$")]
    webhook_secret: Option<String>,
}

impl ShopGiven {
    fn checked(self) -> Result<Shop, Refused> {
        administration::shop("shop", &self.domain, self.token.into(), self.webhook_secret.map(Into::into))
    }
}

impl ClientPatch {
    /// The names of what is given; values may be secret.
    fn fields(&self) -> Vec<&'static str> {
        let given = [
            ("name", self.name.is_some()),
            ("disabled", self.disabled.is_some()),
            ("answer_style", self.answer_style.is_some()),
            ("max_calls", self.max_calls.is_some()),
            ("ip_allow_list", self.ip_allow_list.is_some()),
            ("basic_user", self.basic_user.is_some()),
            ("signature_key", self.signature_key.is_some()),
            ("shop", self.shop.is_some()),
        ];
        given.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
    }

    fn checked(self) -> Result<ClientChange, Refused> {
        self.name.as_deref().map_or(Ok(()), |name| administration::name("name", name))?;
        self.answer_style.as_deref().map_or(Ok(()), administration::answer_style)?;
        administration::max_calls(self.max_calls.flatten())?;
        administration::networks(self.ip_allow_list.as_deref().unwrap_or_default())?;
        let basic = self.basic_user.map(|user| user.as_deref().map(administration::basic).transpose()).transpose()?;
        let key = |key: String| administration::signature_key(key.into());
        let signature_secret = self.signature_key.map(|given| given.map(key).transpose()).transpose()?;
        Ok(ClientChange {
            name: self.name,
            disabled: self.disabled,
            answer_style: self.answer_style,
            max_calls: self.max_calls,
            ip_allow_list: self.ip_allow_list,
            basic,
            signature_secret,
            shop: self.shop.map(|given| given.map(ShopGiven::checked).transpose()).transpose()?,
        })
    }
}

/// A client as changed.
#[derive(Serialize, ToSchema)]
pub struct ChangedClient {
    client: ClientRow,
    /// If a Basic user was given.
    basic: Option<BasicOnce>,
}

/// Changes a client; calls that are admitted from now on see it.
#[utoipa::path(patch, path = "/api/v1/clients/{id}", tag = "clients", security(("key" = [])),
    description = "For keys of role `admin`. A new Basic password is shown this once.",
    params(("id" = String, Path, description = "Id or slug")),
    request_body = ClientPatch,
    responses((status = 200, body = ChangedClient), ChangeRefusals))]
pub async fn change_client(
    caller: Caller,
    app: web::Data<App>,
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
) -> Result<web::Json<ChangedClient>, Problem> {
    caller.may_administer()?;
    let row = query::client(&id, &caller, &app).await?;
    let patch: ClientPatch = body::read(&app, &request, payload).await?;
    // What the operator sets for a client is not the client's to lift.
    if caller.client().is_some() && (patch.disabled.is_some() || patch.max_calls.is_some()) {
        return Err(caller.beyond("a key of one client changes neither disabled nor max_calls"));
    }
    let (client, detail) = (ClientId(row.id), json!({ "fields": patch.fields() }));
    let changed = async {
        let change = patch.checked().map_err(|refused| caller.told(refused))?;
        let basic = change.basic.clone().flatten();
        let client = caller.change(app.store.change_client(client, change)).await?;
        let basic = basic.map(|basic| BasicOnce::of(&app.config, &client.slug, &basic));
        Ok(ChangedClient { client, basic })
    };
    Ok(web::Json(caller.note("client_changed", Some(client), detail, changed.await)?))
}

/// How to replace a webhook key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// Seconds for which the former key still works: 0 if not given, a week at most.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 604_800)]
    overlap_s: i64,
}

/// A new webhook key.
#[derive(Serialize, ToSchema)]
pub struct Rotated {
    /// Shown this once.
    webhook_secret: String,
    webhooks: WebhookUrls,
    /// Until when the former key works; `null` if it stopped at once.
    former_until: Option<DateTime<Utc>>,
}

/// Replaces the key in a client's webhook URLs.
#[utoipa::path(post, path = "/api/v1/clients/{id}/webhook-key", tag = "clients", security(("key" = [])),
    description = "For keys of role `admin`. A key that was kept over by an earlier replacement stops working now.",
    params(("id" = String, Path, description = "Id or slug")),
    request_body = Rotation,
    responses((status = 200, body = Rotated), ChangeRefusals))]
pub async fn rotate_webhook_key(
    caller: Caller,
    app: web::Data<App>,
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
) -> Result<web::Json<Rotated>, Problem> {
    caller.may_administer()?;
    let row = query::client(&id, &caller, &app).await?;
    let Rotation { overlap_s } = body::read(&app, &request, payload).await?;
    let client = ClientId(row.id);
    let rotated = async {
        if !(0..=administration::OVERLAP_S_MAX).contains(&overlap_s) {
            let expected = format!("expected 0 to {}", administration::OVERLAP_S_MAX);
            return Err(Problem::invalid().field("overlap_s").detail(expected));
        }
        let until = (overlap_s > 0).then(|| Utc::now() + TimeDelta::seconds(overlap_s));
        let secret = caller.change(app.store.rotate_webhook_secret_keeping(client, until)).await?;
        let webhooks = WebhookUrls::of(&app.config, &row.slug, &secret);
        Ok(Rotated { webhook_secret: secret, webhooks, former_until: until })
    };
    let rotated = rotated.await;
    Ok(web::Json(caller.note("webhook_secret_rotated", Some(client), json!({ "overlap_s": overlap_s }), rotated)?))
}
