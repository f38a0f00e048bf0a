//! Exotel's webhooks: who asks, what it says, what the flow is answered. Never waits for the engine, and for the
//! database at most 100 ms, where a call is looked up that memory does not know (`store/gate.rs`), and 80 ms where an agent's
//! instructions speak of the customer.
//!
//! Credentials are checked before the body is read. A rejection is the same 401 for every reason, counted and audited.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix_web::http::header::{ALLOW, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use caly_actors::call::Heard;
use caly_actors::call::event::CallEvent;
use caly_actors::domain::{AfterStream, CallFacts, CallId, Carrier, CarrierCallId, EndReason};
use caly_actors::supervisor::{LiveCall, Refusal};
use chrono::{DateTime, Utc};
use futures_util::StreamExt;

use super::App;
use super::client_address::client_address;
use super::problem::Problem;
use crate::agents::templates::speaks_of_customers;
use crate::carriers::exotel::answers::{self, ConnectPlan};
use crate::carriers::exotel::webhook::{
    CallStart, CallState, Connect, Ends, Params, Passthru, Recording, RecordingLink, Status, StreamFacts, StreamStatus,
    WebhookError, parse,
};
use crate::directory::{Client, Snapshot};
use crate::limits::subscriber;
use crate::store::recorder::Write;
use crate::store::rows::CallRow;
use crate::store::{AuditEntry, CarrierFact, RecordingFact, hash_secret, same_hash};
use crate::tokens::Purpose;

/// Largest webhook body.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Longest wait for what is known of a caller, where an agent's instructions speak of it.
const CUSTOMER_DEADLINE: Duration = Duration::from_millis(80);
/// Ring and conversation limits of a hand-off, s.
const HANDOFF_RINGING_S: u32 = 45;
const HANDOFF_CONVERSATION_S: u32 = 3600;

/// The routes; each takes GET and POST, since applets and callbacks differ in what they use.
pub fn configure(routes: &mut web::ServiceConfig) {
    let scope = web::scope("/webhooks/exotel/{client}");
    routes.service(
        scope
            .service(both("/call-start").to(call_start))
            .service(both("/passthru").to(passthru))
            .service(both("/connect").to(connect))
            .service(both("/call-end").to(call_end))
            .service(both("/status").to(status))
            .service(both("/recording").to(recording)),
    );
}

struct Both(&'static str);

fn both(path: &'static str) -> Both {
    Both(path)
}

impl Both {
    fn to<F, Args>(self, handler: F) -> actix_web::Resource
    where
        F: actix_web::Handler<Args> + Clone,
        Args: actix_web::FromRequest + 'static,
        F::Output: actix_web::Responder + 'static,
    {
        web::resource(self.0)
            .route(web::get().to(handler.clone()))
            .route(web::post().to(handler))
            .default_service(web::to(wrong_method))
    }
}

async fn wrong_method() -> HttpResponse {
    let mut answer = Problem::method_not_allowed().error_response();
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST"));
    answer
}

/// A webhook whose sender is known and whose fields are read.
struct Asked {
    app: web::Data<App>,
    snapshot: Arc<Snapshot>,
    client: Arc<Client>,
    params: Params,
}

async fn asked(request: &HttpRequest, payload: web::Payload) -> Result<Asked, Problem> {
    let app = request.app_data::<web::Data<App>>().cloned().ok_or_else(Problem::unavailable)?;
    let snapshot = app.directory.get().ok_or_else(|| Problem::unavailable().detail("starting").retry_after(2))?;
    let slug = request.match_info().get("client").unwrap_or_default().to_owned();
    let address = client_address(request, &app.config.server.trusted_proxies);
    let client = snapshot.client(&slug).cloned();
    let Some(client) = client.filter(|client| from_allowed_address(client, address)) else {
        return Err(rejected(&app, None, &slug, address));
    };
    // A signature covers the body, so the body is read for it, but never parsed before it is checked.
    let signed = request.headers().contains_key("x-exotel-signature") && client.secrets.signature_secret.is_some();
    if !signed && !credentials_fit(&client, request) {
        return Err(rejected(&app, Some(&client), &slug, address));
    }
    if let Err(wait) = app.limits.webhooks.check(&client.slug) {
        return Err(Problem::too_many().retry_after(wait.seconds()));
    }
    if request.headers().get_all(CONTENT_ENCODING).any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Problem::unsupported_media_type().detail("the body must not be compressed"));
    }
    let body = read_body(payload, app.config.server.body_deadline, BODY_BYTES_MAX).await?;
    if signed && !signature_fits(&client, request, &body) && !credentials_fit(&client, request) {
        return Err(rejected(&app, Some(&client), &slug, address));
    }
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let params = parse(request.query_string(), content_type, &body).map_err(problem_of)?;
    Ok(Asked { app, snapshot, client, params })
}

pub(super) fn rejected(app: &App, client: Option<&Client>, slug: &str, address: Option<IpAddr>) -> Problem {
    metrics::counter!("caly_webhooks_rejected_total").increment(1);
    let mut entry = AuditEntry::new("webhook", "webhook_rejected", "refused");
    if let Some(client) = client {
        entry = entry.of(client.id);
    }
    if let Some(address) = address {
        entry = entry.from_address(address);
        if let Err(wait) = app.limits.failed_auth.check(&subscriber(address)) {
            // Guessing: told to wait, and no longer written down one by one.
            return Problem::too_many().retry_after(wait.seconds());
        }
    }
    let slug: String = slug.chars().take(64).collect();
    app.recorder.submit(Write::Audit(entry.detail(serde_json::json!({ "client": slug }))));
    Problem::unauthorized()
}

/// Whether a client's requests may come from there.
pub(super) fn from_allowed_address(client: &Client, address: Option<IpAddr>) -> bool {
    client.networks.is_empty()
        || address.is_some_and(|address| client.networks.iter().any(|network| network.contains(address)))
}

/// `?key=` or Basic credentials.
fn credentials_fit(client: &Client, request: &HttpRequest) -> bool {
    let query: Vec<(String, String)> = form_urlencoded::parse(request.query_string().as_bytes()).into_owned().collect();
    let value = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    if value("key").is_some_and(|key| client.secrets.opens(&hash_secret(key), Utc::now())) {
        return true;
    }
    basic_fits(client, request)
}

/// Basic credentials of a client, compared in constant time.
pub(super) fn basic_fits(client: &Client, request: &HttpRequest) -> bool {
    let (Some(user), Some(kept)) = (&client.row.basic_user, &client.secrets.basic_password_hash) else { return false };
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(encoded) = header.and_then(|header| header.strip_prefix("Basic ")) else { return false };
    let Ok(decoded) = STANDARD.decode(encoded.trim()) else { return false };
    let Ok(text) = String::from_utf8(decoded) else { return false };
    let Some((given_user, password)) = text.split_once(':') else { return false };
    let user_fits = crate::tokens::constant_time_eq(given_user.as_bytes(), user.as_bytes());
    same_hash(&hash_secret(password), kept) && user_fits
}

fn signature_fits(client: &Client, request: &HttpRequest, body: &[u8]) -> bool {
    let header = request.headers().get("x-exotel-signature").and_then(|value| value.to_str().ok());
    match (&client.secrets.signature_secret, header) {
        (Some(secret), Some(header)) => crate::tokens::signature_matches(secret.as_bytes(), body, header),
        _ => false,
    }
}

pub(super) async fn read_body(
    mut payload: web::Payload,
    deadline: Duration,
    bytes_max: usize,
) -> Result<Bytes, Problem> {
    let read = async {
        let mut body = BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| Problem::malformed().detail("the body ended early"))?;
            if body.len() + chunk.len() > bytes_max {
                return Err(Problem::too_large().detail(format!("at most {bytes_max} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    };
    tokio::time::timeout(deadline, read).await.map_err(|_| Problem::too_slow())?
}

fn problem_of(error: WebhookError) -> Problem {
    match error {
        WebhookError::UnsupportedMediaType(_) => {
            Problem::unsupported_media_type().detail("urlencoded, multipart/form-data or JSON is expected")
        }
        WebhookError::BrokenBody(reason) => Problem::malformed().detail(reason),
        WebhookError::Malformed { place, reason } => Problem::invalid().field(place).detail(reason),
        WebhookError::Missing(field) => Problem::invalid().field(field).detail("missing"),
        WebhookError::TooLong(field) => Problem::invalid().field(field).detail("too long"),
        WebhookError::TooManyFields => Problem::invalid().detail("too many fields"),
    }
}

// ---------------------------------------------------------------- call-start

async fn call_start(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Problem> {
    let asked = asked(&request, payload).await?;
    let start = CallStart::read(&asked.params).map_err(problem_of)?;
    let call = admit(&asked.app, &asked.snapshot, &asked.client, start.call_sid, &start.ends).await?;
    let expires = asked.app.tokens.now() + asked.app.config.security.media_token_ttl;
    let token = asked.app.tokens.mint(Purpose::Media, call, asked.client.id, expires);
    let rate = asked.app.config.exotel.sample_rate;
    let url = format!("{}/media/exotel/{token}?sample-rate={rate}", asked.app.config.server.public_url.ws());
    if asked.client.row.answer_style == "exoml" {
        Ok(HttpResponse::Ok().content_type("application/xml").body(answers::exoml(&url)))
    } else {
        Ok(HttpResponse::Ok().content_type("application/json").body(answers::voicebot(&url)))
    }
}

/// The call of this carrier id: known already, or admitted now.
pub(super) async fn admit(
    app: &web::Data<App>,
    snapshot: &Snapshot,
    client: &Arc<Client>,
    carrier_call_id: CarrierCallId,
    ends: &Ends,
) -> Result<CallId, Problem> {
    if let Some(known) = app.calls.by_carrier(Carrier::Exotel, &carrier_call_id) {
        let call = same_client(&known, client)?;
        // Over, and remembered for late webhooks: there is nothing to connect to.
        return if call.end_reason().is_some() { Err(Problem::gone()) } else { Ok(call.facts.call) };
    }
    if client.row.disabled {
        return Err(Problem::forbidden().detail("this client is disabled"));
    }
    if !snapshot.owns(client.id, &ends.called) {
        return Err(Problem::not_found().field("CallTo").detail("this number belongs to no client here"));
    }
    let admitted_at = SystemTime::now();
    let Some(agent) = client.agent_for(&ends.caller, &ends.called, admitted_at, None) else {
        return Err(Problem::unavailable().detail("no agent is published: caly client agent"));
    };
    if let Some(left) = app.returning.by_carrier(client.id, &carrier_call_id) {
        return super::returning::take_up(app, client, &left).await.map(|call| call.facts.call);
    }
    if let Some(caller) = ends.caller.stored() {
        let key = (Arc::clone(&client.slug), Arc::from(caller));
        app.limits.callers.check(&key).map_err(|wait| Problem::too_many().retry_after(wait.seconds()))?;
    }
    // What another client has told of this id says nothing about this client's call.
    let former = look_up(app, &carrier_call_id).await.filter(|row| row.client_id == client.id.0);
    if former.as_ref().is_some_and(|row| row.state == "ended") {
        return Err(Problem::gone());
    }
    let mut facts = CallFacts {
        // A call that a former process admitted keeps its row.
        call: former.map_or_else(CallId::new, |row| CallId(row.id)),
        client: client.id,
        client_slug: Arc::clone(&client.slug),
        agent,
        carrier: Carrier::Exotel,
        carrier_call_id,
        caller: ends.caller.clone(),
        called: ends.called.clone(),
        direction: ends.direction,
        admitted_at,
    };
    tell_of_customer(app, client, &mut facts).await;
    let limit = client.row.max_calls.and_then(|most| usize::try_from(most).ok());
    let admission = app.calls.admit(facts, limit).map_err(|refusal| refused(app, client, refusal))?;
    same_client(&admission.call, client).map(|call| call.facts.call)
}

/// An agent whose instructions speak of the customer is told who rings, if that is found out at once.
pub(super) async fn tell_of_customer(app: &App, client: &Client, facts: &mut CallFacts) {
    if !client.agent.as_deref().is_some_and(speaks_of_customers) {
        return;
    }
    let known = tokio::time::timeout(CUSTOMER_DEADLINE, app.customers.known(&Arc::new(facts.clone()))).await;
    let Some(known) = known.ok().flatten() else { return };
    if let Some(agent) = client.agent_for(&facts.caller, &facts.called, facts.admitted_at, Some(&known)) {
        facts.agent = agent;
    }
}

/// A carrier call id is known to one client only; to another it looks unknown.
fn same_client<'a>(call: &'a Arc<LiveCall>, client: &Client) -> Result<&'a Arc<LiveCall>, Problem> {
    if call.facts.client == client.id { Ok(call) } else { Err(Problem::not_found()) }
}

pub(super) fn refused(app: &App, client: &Client, refusal: Refusal) -> Problem {
    let reason = match refusal {
        Refusal::Draining => "draining",
        Refusal::AtCapacity => "at_capacity",
        Refusal::ClientAtCapacity => "client_at_capacity",
        Refusal::Overloaded => "overloaded",
        Refusal::Over => return Problem::gone(),
    };
    metrics::counter!("caly_calls_refused_total", "reason" => reason).increment(1);
    let entry = AuditEntry::new("webhook", "call_refused", "refused").of(client.id);
    app.recorder.submit(Write::Audit(entry.detail(serde_json::json!({ "reason": reason }))));
    Problem::unavailable().detail(refusal.to_string()).retry_after(5)
}

/// Waits 100 ms at most, and not at all while the database is slow or away.
async fn look_up(app: &App, id: &CarrierCallId) -> Option<CallRow> {
    app.store.find_call_soon(Carrier::Exotel, id).await
}

// ---------------------------------------------------------------- after the stream

/// What the flow is to do: from memory, else from the database, else hang up.
async fn decided(asked: &Asked, id: &CarrierCallId) -> Option<(AfterStream, String)> {
    if let Some(call) = asked.app.calls.by_carrier(Carrier::Exotel, id) {
        let call = same_client(&call, &asked.client).ok()?;
        return call.decision().map(|decision| (decision.after, decision.summary.to_string()));
    }
    let row = look_up(&asked.app, id).await.filter(|row| row.client_id == asked.client.id.0)?;
    let after = match row.after_stream.as_deref() {
        Some("transfer") => AfterStream::Transfer,
        Some(_) => AfterStream::HangUp,
        // The process that had the call died: a person is better than a line that breaks off.
        None if row.end_reason.as_deref() == Some(EndReason::Interrupted.as_str()) && has_people(&asked.client) => {
            return Some((AfterStream::Transfer, "The call broke off; please go on with the caller.".to_owned()));
        }
        None => return None,
    };
    Some((after, row.summary.unwrap_or_default()))
}

/// The stream never worked (handshake, throttling, a refused call): a person is better than silence, if there is one.
fn stream_failed(stream: Option<&StreamFacts>) -> bool {
    stream.is_some_and(|stream| stream.status == Some(StreamStatus::Failed))
}

fn has_people(client: &Client) -> bool {
    client.agent.as_ref().is_some_and(|agent| !agent.handoff_numbers.is_empty())
}

async fn passthru(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Problem> {
    let asked = asked(&request, payload).await?;
    let passthru = Passthru::read(&asked.params, &asked.app.recording_hosts).map_err(problem_of)?;
    if let Some(stream) = &passthru.stream {
        tell_stream_over(&asked, &passthru.call_sid, stream);
    }
    let after = match decided(&asked, &passthru.call_sid).await {
        Some((after, _)) => after,
        None if stream_failed(passthru.stream.as_ref()) && has_people(&asked.client) => AfterStream::Transfer,
        None => AfterStream::HangUp,
    };
    Ok(match after {
        AfterStream::Transfer => HttpResponse::Ok().content_type("text/plain").body("transfer"),
        AfterStream::HangUp => HttpResponse::Found().content_type("text/plain").body("hang up"),
    })
}

/// The flow has gone on, so the stream is over even if its socket never told.
fn tell_stream_over(asked: &Asked, id: &CarrierCallId, stream: &StreamFacts) {
    if let Some(url) = stream.recording.url() {
        keep_recording(asked, id, url.as_str(), stream.duration);
    }
    let Some(call) = asked.app.calls.by_carrier(Carrier::Exotel, id) else { return };
    if call.end_reason().is_none() && call.facts.client == asked.client.id {
        let call_ended = stream.status == Some(StreamStatus::Cancelled);
        call.actor.do_send(Heard(CallEvent::StreamStopped { call_ended }));
    }
}

async fn connect(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Problem> {
    let asked = asked(&request, payload).await?;
    let connect = Connect::read(&asked.params).map_err(problem_of)?;
    let decision = decided(&asked, &connect.call_sid).await;
    let summary = decision.as_ref().map(|(_, summary)| summary.as_str()).unwrap_or_default();
    let wanted = decision.as_ref().is_none_or(|(after, _)| *after == AfterStream::Transfer);
    let numbers = match &asked.client.agent {
        Some(agent) if wanted => agent.handoff_numbers.as_slice(),
        _ => &[],
    };
    let whisper = format!("Call from the assistant. {summary}");
    let plan = ConnectPlan {
        numbers,
        caller_id: None,
        record: false,
        ringing_seconds_max: HANDOFF_RINGING_S,
        conversation_seconds_max: HANDOFF_CONVERSATION_S,
        whisper: (!summary.is_empty()).then_some(whisper.as_str()),
    };
    Ok(HttpResponse::Ok().content_type("application/json").body(answers::connect(&plan)))
}

// ---------------------------------------------------------------- status and recording

async fn call_end(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Problem> {
    let asked = asked(&request, payload).await?;
    let told =
        Status::read(&asked.params, &asked.app.recording_hosts, Some(CallState::Completed)).map_err(problem_of)?;
    // Exotel sends every event of a status callback to one URL, also that the call was answered.
    keep_status(&asked, &told, told.is_end())
}

async fn status(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Problem> {
    let asked = asked(&request, payload).await?;
    let told = Status::read(&asked.params, &asked.app.recording_hosts, None).map_err(problem_of)?;
    keep_status(&asked, &told, told.is_end())
}

fn keep_status(asked: &Asked, told: &Status, over: bool) -> Result<HttpResponse, Problem> {
    let known = asked.app.calls.by_carrier(Carrier::Exotel, &told.call_sid);
    if let Some(call) = &known {
        same_client(call, &asked.client)?;
    }
    let (client, id) = (asked.client.id, &told.call_sid);
    let word = told.status.as_str();
    let at = told.ended.map_or_else(Utc::now, DateTime::<Utc>::from);
    if over {
        let seconds = told.duration.map(|duration| duration.as_secs() as i64);
        let fact = CarrierFact::ended(client, Carrier::Exotel, id, word, at, seconds);
        asked.app.recorder.submit(Write::Carrier(fact));
        match known {
            Some(call) if call.end_reason().is_none() => call.actor.do_send(Heard(CallEvent::CarrierEnded)),
            Some(_) => {}
            // The end came before the start: a late start must not open the call again.
            None => asked.app.calls.note_over(client, Carrier::Exotel, id.clone()),
        }
    } else {
        asked.app.recorder.submit(Write::Carrier(CarrierFact::status(client, Carrier::Exotel, id, word, Utc::now())));
    }
    if let Some(url) = told.recording.url() {
        keep_recording(asked, id, url.as_str(), told.duration);
    }
    Ok(HttpResponse::Ok().json(serde_json::json!({ "ok": true })))
}

async fn recording(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Problem> {
    let asked = asked(&request, payload).await?;
    let told = Recording::read(&asked.params, &asked.app.recording_hosts).map_err(problem_of)?;
    match &told.link {
        RecordingLink::Trusted(url) => keep_recording(&asked, &told.call_sid, url.as_str(), told.duration),
        RecordingLink::Absent | RecordingLink::Refused => {
            return Err(Problem::invalid().field("RecordingUrl").detail("this is no address of a recording"));
        }
    }
    Ok(HttpResponse::Ok().json(serde_json::json!({ "ok": true })))
}

fn keep_recording(asked: &Asked, id: &CarrierCallId, url: &str, duration: Option<Duration>) {
    let milliseconds = duration.map(|duration| duration.as_millis() as i64);
    let fact = RecordingFact::by_carrier(asked.client.id, Carrier::Exotel, id, url, milliseconds, Utc::now());
    asked.app.recorder.submit(Write::Recording(fact));
}
