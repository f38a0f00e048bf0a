//! The door of the media stream: credentials, origin and the call's consent are settled before the upgrade.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix_web::http::header::ORIGIN;
use actix_web::{HttpRequest, HttpResponse, web};
use caly_actors::audio::lane::lane;
use caly_actors::call::actor::AttachSocket;
use caly_actors::call::state::Attach;
use caly_actors::domain::{CallId, Direction};
use caly_actors::ports::CarrierLink;
use caly_actors::supervisor::LiveCall;

use super::App;
use super::client_address::client_address;
use super::connection::KillSwitch;
use super::problem::Problem;
use super::returning::take_up;
use super::socket::{self, Bound, Unbound};
use super::webhooks::{admit, basic_fits, from_allowed_address};
use crate::carriers::exotel::media::StartFacts;
use crate::carriers::exotel::webhook::Ends;
use crate::directory::Client;
use crate::limits::subscriber;
use crate::store::AuditEntry;
use crate::store::recorder::Write;
use crate::tokens::{Claims, Purpose};

/// Events from the socket waiting for the media child: 10 s of 20 ms frames.
const EVENTS_LANE: usize = 512;
/// Messages to the socket; its media child cuts the socket off long before this is full.
const COMMANDS_LANE: usize = 512;
/// A call decides about a socket within this.
const ATTACH_DEADLINE: Duration = Duration::from_secs(2);

static SOCKETS: AtomicU64 = AtomicU64::new(1);

/// The routes.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes
        .route("/media/exotel/client/{client}", web::get().to(by_client))
        .route("/media/exotel/{token}", web::get().to(by_token));
}

/// Browsers send an Origin; carriers do not. A page must not be able to open a caller's stream.
fn refuse_browsers(request: &HttpRequest) -> Result<(), Problem> {
    if request.headers().contains_key(ORIGIN) {
        metrics::counter!("caly_media_refused_total", "reason" => "origin").increment(1);
        return Err(Problem::forbidden().detail("media sockets are not for browsers"));
    }
    Ok(())
}

async fn by_token(request: HttpRequest, payload: web::Payload, app: web::Data<App>) -> Result<HttpResponse, Problem> {
    refuse_browsers(&request)?;
    let token = request.match_info().get("token").unwrap_or_default();
    let Ok(claims) = app.tokens.verify(token, Purpose::Media, app.tokens.now()) else {
        return Err(unauthorized(&request, &app));
    };
    let call = match app.calls.by_id(claims.call) {
        Some(call) => call,
        None => left_behind(&app, &claims).await?,
    };
    if call.facts.client != claims.client {
        return Err(unauthorized(&request, &app));
    }
    let opened = async {
        if call.end_reason().is_some() {
            return Err(Problem::gone());
        }
        socket::check_handshake(&request)?;
        let bound = attach(&call, &request).await?;
        socket::open(&request, payload, bound)
    };
    opened.await.inspect_err(refused)
}

/// Counts a socket that was refused although its credentials are right.
fn refused(problem: &Problem) {
    let reason = match problem.status {
        400 => "handshake",
        409 => "busy",
        410 => "over",
        _ => "unavailable",
    };
    metrics::counter!("caly_media_refused_total", "reason" => reason).increment(1);
}

/// The process that handed the URL out has died since: its call is taken up again.
async fn left_behind(app: &web::Data<App>, claims: &Claims) -> Result<Arc<LiveCall>, Problem> {
    let row = app.returning.by_id(claims.client, claims.call).ok_or_else(Problem::gone)?;
    let snapshot = app.directory.get().ok_or_else(|| Problem::unavailable().retry_after(2))?;
    let client = snapshot.clients().find(|client| client.id == claims.client).ok_or_else(Problem::gone)?;
    if client.row.disabled {
        return Err(Problem::forbidden().detail("this client is disabled"));
    }
    take_up(app, client, &row).await
}

fn unauthorized(request: &HttpRequest, app: &App) -> Problem {
    metrics::counter!("caly_media_refused_total", "reason" => "credentials").increment(1);
    let mut entry = AuditEntry::new("media", "media_rejected", "refused");
    if let Some(address) = client_address(request, &app.config.server.trusted_proxies) {
        entry = entry.from_address(address);
        if let Err(wait) = app.limits.failed_auth.check(&subscriber(address)) {
            // Guessing: told to wait, and no longer written down one by one.
            return Problem::too_many().retry_after(wait.seconds());
        }
    }
    app.recorder.submit(Write::Audit(entry));
    Problem::unauthorized()
}

/// Asks the call whether it takes this socket.
async fn attach(call: &Arc<LiveCall>, request: &HttpRequest) -> Result<Bound, Problem> {
    let (bound, link) = new_link(call, request.conn_data::<KillSwitch>());
    match tokio::time::timeout(ATTACH_DEADLINE, call.actor.send(AttachSocket(link))).await {
        Ok(Ok(Attach::Accepted | Attach::Replaces(_))) => Ok(bound),
        Ok(Ok(Attach::Busy)) => Err(Problem::conflict().detail("another socket carries this call")),
        Ok(Ok(Attach::Over) | Err(_)) => Err(Problem::gone()),
        Err(_) => Err(Problem::unavailable().retry_after(1)),
    }
}

fn new_link(call: &LiveCall, kill_switch: Option<&KillSwitch>) -> (Bound, CarrierLink) {
    let socket = SOCKETS.fetch_add(1, Ordering::Relaxed);
    let (events, events_out) = lane(EVENTS_LANE);
    let (commands, commands_out) = lane(COMMANDS_LANE);
    let switch = kill_switch.cloned();
    let kill = Arc::new(move || {
        if let Some(switch) = &switch {
            switch.cut();
        }
    });
    let link = CarrierLink { socket, events: events_out, commands, kill };
    let bound = Bound { expected: call.facts.carrier_call_id.clone(), events, commands: commands_out };
    (bound, link)
}

async fn by_client(request: HttpRequest, payload: web::Payload, app: web::Data<App>) -> Result<HttpResponse, Problem> {
    refuse_browsers(&request)?;
    let snapshot = app.directory.get().ok_or_else(|| Problem::unavailable().retry_after(2))?;
    let slug = request.match_info().get("client").unwrap_or_default();
    let address = client_address(&request, &app.config.server.trusted_proxies);
    let allowed = |client: &&Arc<Client>| basic_fits(client, &request) && from_allowed_address(client, address);
    let client = snapshot.client(slug).filter(allowed).cloned();
    let Some(client) = client else { return Err(unauthorized(&request, &app)) };
    if app.calls.is_draining() {
        let problem = Problem::unavailable().detail("shutting down").retry_after(5);
        return Err(problem).inspect_err(refused);
    }
    socket::check_handshake(&request).inspect_err(refused)?;
    let switch = request.conn_data::<KillSwitch>().cloned();
    let bind = move |facts: StartFacts| {
        let (app, client, switch) = (app.clone(), Arc::clone(&client), switch.clone());
        Box::pin(async move { bind_by_start(&app, &client, &facts, switch).await }) as socket::Binding
    };
    socket::open_unbound(&request, payload, Unbound { bind: Box::new(bind) })
}

/// The call of a static URL is known only now; it is admitted as a call-start would.
async fn bind_by_start(
    app: &web::Data<App>,
    client: &Arc<Client>,
    facts: &StartFacts,
    switch: Option<KillSwitch>,
) -> Result<Bound, u16> {
    let snapshot = app.directory.get().ok_or(1013u16)?;
    let id = facts.call_sid.clone().ok_or(1008u16)?;
    let ends = Ends { caller: facts.caller.clone(), called: facts.called.clone(), direction: Direction::Inbound };
    let call: CallId = admit(app, &snapshot, client, id, &ends).await.map_err(|problem| match problem.status {
        404 => 4404u16,
        503 | 429 => 1013,
        _ => 4403,
    })?;
    let call = app.calls.by_id(call).ok_or(4404u16)?;
    let (bound, link) = new_link(&call, switch.as_ref());
    match tokio::time::timeout(ATTACH_DEADLINE, call.actor.send(AttachSocket(link))).await {
        Ok(Ok(Attach::Accepted | Attach::Replaces(_))) => Ok(bound),
        Ok(Ok(Attach::Busy)) => Err(4409),
        Ok(Ok(Attach::Over) | Err(_)) => Err(4410),
        Err(_) => Err(1013),
    }
}
