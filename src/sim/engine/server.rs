//! The HTTP side of the simulated engine: upgrades, authentication, client secrets, and its handle.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::{Value, json};

use super::schema::{self, Past};
use super::session::Session;
use super::socket;
use super::{EngineOptions, Shared};
use crate::sim::Dice;

/// Ephemeral keys kept; the oldest goes first.
const SECRETS_KEPT: usize = 1000;

/// What the request handlers share.
#[derive(Clone)]
struct State {
    options: Arc<EngineOptions>,
    shared: Shared,
    secrets: Arc<Mutex<Vec<String>>>,
}

/// A running service. Dropping the handle does not stop it; [`EngineServer::stop`] does.
#[derive(Clone)]
pub struct EngineServer {
    /// `ws://127.0.0.1:PORT/v1/realtime`.
    pub url: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Of the HTTP server.
    pub handle: ServerHandle,
    shared: Shared,
}

impl EngineServer {
    /// What clients did wrong, a sentence each; empty is good.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.shared.violations.list()
    }

    /// Refusals that a correct client meets too, when events cross on the wire.
    #[must_use]
    pub fn races(&self) -> Vec<String> {
        self.shared.races.list()
    }

    /// Sessions opened so far.
    #[must_use]
    pub fn sessions(&self) -> u64 {
        self.shared.opened.load(Ordering::Relaxed)
    }

    /// Sessions open now.
    #[must_use]
    pub fn open_sessions(&self) -> u64 {
        self.sessions().saturating_sub(self.shared.closed.load(Ordering::Relaxed))
    }

    /// The longest time that a session got no sound of its caller, between two pieces of it, since this was last asked.
    #[must_use]
    pub fn longest_gap(&self) -> Duration {
        Duration::from_micros(self.shared.gap.swap(0, Ordering::Relaxed))
    }

    /// Cuts all sessions and stops listening.
    pub async fn stop(&self) {
        self.handle.stop(false).await;
    }
}

/// Starts the service; returns once it listens. The server runs on threads of its own.
///
/// # Errors
/// The address cannot be bound.
pub async fn serve(options: EngineOptions) -> io::Result<EngineServer> {
    let state =
        State { options: Arc::new(options), shared: Shared::default(), secrets: Arc::new(Mutex::new(Vec::new())) };
    let (shared, bind, workers) = (state.shared.clone(), state.options.bind, state.options.workers.max(1));
    // The first look at the clips takes a moment; not while a caller waits.
    let _ = crate::sim::library::library();
    let server = HttpServer::new(move || {
        let routes = ["/v1/realtime", "/realtime"];
        let secrets = ["/v1/realtime/client_secrets", "/realtime/client_secrets"];
        let mut app = App::new().app_data(web::Data::new(state.clone()));
        for path in routes {
            app = app.route(path, web::get().to(upgrade));
        }
        for path in secrets {
            app = app.route(path, web::post().to(client_secret));
        }
        app.route("/v1/realtime/sandbox", web::get().to(report)).default_service(web::to(not_found))
    })
    .workers(workers)
    .shutdown_timeout(1)
    .disable_signals()
    .bind(bind)?;
    let address = server.addrs().first().copied().unwrap_or(bind);
    let running = server.run();
    let handle = running.handle();
    tokio::spawn(running);
    Ok(EngineServer { url: format!("ws://{address}/v1/realtime"), address, handle, shared })
}

fn error(status: u16, kind: &str, code: &str, message: &str) -> HttpResponse {
    let status = actix_web::http::StatusCode::from_u16(status).unwrap_or(actix_web::http::StatusCode::BAD_REQUEST);
    let body = json!({"error": {"message": message, "type": kind, "param": null, "code": code}});
    HttpResponse::build(status).content_type("application/json").body(body.to_string())
}

async fn not_found() -> HttpResponse {
    error(404, "invalid_request_error", "unknown_url", "Unknown request URL.")
}

/// The key of a request and whether it came as a browser's subprotocol.
fn presented_key(request: &HttpRequest) -> Option<(String, bool)> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    if let Some(key) = header("authorization").and_then(|value| value.strip_prefix("Bearer ")) {
        return Some((key.trim().to_owned(), false));
    }
    let protocols = header("sec-websocket-protocol")?;
    let key = protocols.split(',').find_map(|protocol| protocol.trim().strip_prefix("openai-insecure-api-key."))?;
    Some((key.to_owned(), true))
}

/// Whether the key is good; the refusal otherwise.
fn admitted(request: &HttpRequest, state: &State) -> Result<bool, Box<HttpResponse>> {
    let Some((key, browser)) = presented_key(request).filter(|(key, _)| !key.is_empty()) else {
        state.shared.violations.add("request without an API key: 'Authorization: Bearer <key>' is missing");
        let message = "You didn't provide an API key.";
        return Err(Box::new(error(401, "invalid_request_error", "missing_api_key", message)));
    };
    let ephemeral = || state.secrets.lock().unwrap_or_else(PoisonError::into_inner).contains(&key);
    if state.options.key.as_ref().is_none_or(|wanted| *wanted == key) || ephemeral() {
        return Ok(browser);
    }
    Err(Box::new(error(401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided.")))
}

async fn upgrade(request: HttpRequest, stream: web::Payload, state: web::Data<State>) -> HttpResponse {
    if let Some(status) = state.options.faults.refuse {
        return error(status, "invalid_request_error", "refused", "The sandbox was told to refuse connections.");
    }
    let browser = match admitted(&request, &state) {
        Ok(browser) => browser,
        Err(refusal) => return *refusal,
    };
    let query: Vec<(String, String)> = form_urlencoded::parse(request.query_string().as_bytes()).into_owned().collect();
    let Some(model) = query.iter().find(|(key, _)| key == "model").map(|(_, value)| value.clone()) else {
        state.shared.violations.add("upgrade without the query parameter 'model'");
        return error(400, "invalid_request_error", "missing_model", "You must provide a model parameter.");
    };
    let number = state.shared.open_one();
    let session = Session::new(state.options.clone(), state.shared.clone(), &model, number);
    let beta = request.headers().contains_key("openai-beta");
    if beta {
        state.shared.violations.add("the header OpenAI-Beta was sent; the beta shape is switched off");
    }
    match socket::start(session, state.options.echo, beta, browser, &request, stream) {
        Ok(response) => response,
        Err(problem) => {
            state.shared.closed.fetch_add(1, Ordering::Relaxed);
            error(426, "invalid_request_error", "upgrade_required", &problem.to_string())
        }
    }
}

async fn client_secret(request: HttpRequest, body: web::Bytes, state: web::Data<State>) -> HttpResponse {
    if let Err(refusal) = admitted(&request, &state) {
        return *refusal;
    }
    let body: Value = if body.is_empty() { json!({}) } else { serde_json::from_slice(&body).unwrap_or(Value::Null) };
    match secret_for(&body) {
        Ok((value, answer)) => {
            let mut secrets = state.secrets.lock().unwrap_or_else(PoisonError::into_inner);
            if secrets.len() >= SECRETS_KEPT {
                secrets.remove(0);
            }
            secrets.push(value);
            HttpResponse::Ok().content_type("application/json").body(answer.to_string())
        }
        Err(refusal) => {
            state.shared.violations.add(format!("client_secrets: {}", refusal.message));
            error(400, "invalid_request_error", refusal.code, &refusal.message)
        }
    }
}

/// A client secret and the answer that carries it.
fn secret_for(body: &Value) -> schema::Checked<(String, Value)> {
    let map = schema::object(body, "")?;
    schema::only(map, "", &["expires_after", "session"])?;
    let seconds = match body["expires_after"].get("seconds") {
        None => 600,
        Some(value) => value
            .as_u64()
            .filter(|s| (10..=7200).contains(s))
            .ok_or_else(|| schema::Refusal::value("expires_after.seconds", value, "an integer from 10 to 7200"))?,
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let mut dice = Dice::new(now.as_nanos() as u64);
    let model = body["session"]["model"].as_str().unwrap_or("gpt-realtime").to_owned();
    let fresh = schema::fresh_session(&format!("sess_{}", dice.word(24)), &model, 0);
    let session = match map.get("session") {
        None => fresh,
        Some(update) => schema::updated(&fresh, update, Past::default())?,
    };
    let value = format!("ek_{}", dice.word(32));
    let answer = json!({"value": value, "expires_at": now.as_secs() + seconds, "session": session});
    Ok((value, answer))
}

/// What the sandbox has seen, for people and scripts.
async fn report(state: web::Data<State>) -> HttpResponse {
    let shared = &state.shared;
    let body = json!({"sessions": shared.opened.load(Ordering::Relaxed), "closed": shared.closed.load(Ordering::Relaxed),
        "violations": shared.violations.list(), "races": shared.races.list()});
    HttpResponse::Ok().content_type("application/json").body(body.to_string())
}
