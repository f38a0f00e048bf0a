//! How the process is: for load balancers, for those who watch, for Prometheus. Totals are for everybody; what concerns
//! single calls needs a key.
//!
//! Without a key nothing here costs more than once a second: what takes a query or messages to actors is remembered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, guard, web};
use caly_actors::call::Observe;
use caly_actors::call::actor::CallSnapshot;
use caly_actors::domain::ClientId;
use caly_actors::supervise::Child;
use caly_actors::supervisor::LiveCall;
use futures_util::future::join_all;
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;
use uuid::Uuid;

use super::App;
use super::api::openapi::{KeyRefusals, OpenRefusals};
use super::api::{auth, only};
use super::problem::Problem;
pub use super::reason::{Alarms, Reason};
use super::reason::{journal_told, unwritten};
use crate::store::recorder::RecorderSnapshot;
use crate::store::{Away, StoreError};

/// Longest wait for the database's answer to a probe.
const PING_DEADLINE: Duration = Duration::from_millis(500);
/// Longest wait for one call's answer.
const OBSERVE_DEADLINE: Duration = Duration::from_millis(300);
/// Calls asked for one answer.
const OBSERVED_MAX: usize = 500;
/// How long a probe's outcome is told again.
const FRESH_FOR: Duration = Duration::from_secs(1);
const METHODS: &str = "GET, HEAD";

/// What was found lately, for all workers. The lock is held while looking, so that a crowd waits for one look.
#[derive(Default)]
pub struct Lately {
    database: Mutex<Option<(Instant, Database)>>,
    totals: Mutex<Option<(Instant, Arc<Observed>)>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Database {
    Up,
    Away(Away),
    SchemaNotReady,
    SchemaNewer,
    SchemaBroken,
}

impl Database {
    /// `known` is what the store knows of its trouble, for an answer that did not come or does not say.
    fn of(answer: Option<Result<(), StoreError>>, known: Option<Away>) -> Self {
        match answer {
            Some(Ok(())) => Self::Up,
            Some(Err(StoreError::NewerSchema(_))) => Self::SchemaNewer,
            Some(Err(StoreError::BrokenSchema(..))) => Self::SchemaBroken,
            Some(Err(error)) => match error.away() {
                Some(Away::Schema) => Self::SchemaNotReady,
                Some(Away::Busy | Away::Other) | None => Self::Away(known.unwrap_or(Away::Other)),
                Some(why) => Self::Away(why),
            },
            None => Self::Away(known.unwrap_or(Away::Silent)),
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Away(_) => "away",
            Self::SchemaNotReady | Self::SchemaNewer | Self::SchemaBroken => "schema not ready",
        }
    }

    fn reason(self) -> Option<Reason> {
        let schema = |detail| Some(Reason::new("schema", detail));
        match self {
            Self::Up => None,
            Self::Away(why) => Some(Reason::new("database", why.told())),
            Self::SchemaNotReady => schema(Away::Schema.told()),
            Self::SchemaNewer => schema("written by a newer caly: start the newer version"),
            Self::SchemaBroken => {
                schema("a migration is not what was applied: run caly migrate, which says what to do")
            }
        }
    }
}

/// All of it, at a glance.
#[derive(Serialize, ToSchema)]
pub struct Health {
    /// `ok` or `degraded`: calls are answered, but something is missing.
    status: &'static str,
    version: &'static str,
    /// Seconds since the process began to serve.
    uptime_s: u64,
    calls: Load,
    /// `up`, `away` or `schema not ready`.
    database: &'static str,
    /// Clients have been read from the database since the start.
    directory_loaded: bool,
    /// No new calls are taken: the process is about to end.
    draining: bool,
    /// No new calls are taken for a while: threads lag or memory runs out.
    shedding: bool,
    /// Threads that do not get on; the log names what they run.
    blocked_threads: Vec<String>,
    /// What an operator should look at, the gravest first; empty while the status is `ok`.
    alarms: Vec<Reason>,
    recorder: RecorderSnapshot,
}

/// Calls and room for them.
#[derive(Serialize, ToSchema)]
pub struct Load {
    /// Calls that are up.
    live: usize,
    /// Calls that may be up.
    capacity: usize,
}

/// Whether new calls should be sent here.
#[derive(Serialize, ToSchema)]
pub struct Readiness {
    /// `ready` or `not ready`.
    status: &'static str,
    /// Why not.
    reasons: Vec<Reason>,
}

/// The process answers.
#[derive(Serialize, ToSchema)]
pub struct Liveness {
    /// `live`.
    status: &'static str,
}

/// The tree of actors.
#[derive(Serialize, ToSchema)]
pub struct Supervision {
    calls: CallTotals,
    /// Children that are up, by kind.
    actors: BTreeMap<&'static str, usize>,
    /// Restarts within the calls that are up, by kind.
    restarts: BTreeMap<&'static str, u32>,
    /// Calls that were asked; at most 500.
    asked: usize,
    /// … and did not answer in 300 ms.
    silent: usize,
    recorder: RecorderSnapshot,
    /// Each call, for the holder of a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    tree: Option<Vec<CallNode>>,
}

/// Calls of the process.
#[derive(Clone, Serialize, ToSchema)]
pub struct CallTotals {
    /// Not ended.
    live: usize,
    /// Places taken: also calls whose actor is still tidying up.
    slots_taken: usize,
    capacity: usize,
    draining: bool,
}

/// A call and its children.
#[derive(Clone, Serialize, ToSchema)]
pub struct CallNode {
    call: Uuid,
    /// Slug.
    #[schema(value_type = String)]
    client: Arc<str>,
    /// Of the call's life; `null` if it did not answer in time.
    phase: Option<&'static str>,
    /// `opening`, `ready` or `dead`.
    engine: Option<&'static str>,
    age_ms: u64,
    /// By kind; `call` is the call's own actor.
    restarts: BTreeMap<&'static str, u32>,
    children: Vec<ChildNode>,
}

/// A child of a call.
#[derive(Clone, Serialize, ToSchema)]
pub struct ChildNode {
    /// `media`, `realtime`, `intent` or `action`.
    name: &'static str,
    connected: bool,
    /// Depths of its queues and its counters, by name.
    queues: BTreeMap<&'static str, u64>,
}

/// What a round of questions to the calls brought.
struct Observed {
    calls: CallTotals,
    actors: BTreeMap<&'static str, usize>,
    restarts: BTreeMap<&'static str, u32>,
    asked: usize,
    silent: usize,
    tree: Vec<CallNode>,
}

/// Routes of this file.
pub fn configure(routes: &mut web::ServiceConfig) {
    let seen = || web::route().guard(guard::Any(guard::Get()).or(guard::Head()));
    routes
        .service(only(web::resource("/health"), METHODS).route(seen().to(health)))
        .service(only(web::resource("/health/live"), METHODS).route(seen().to(live)))
        .service(only(web::resource("/health/ready"), METHODS).route(seen().to(ready)))
        .service(only(web::resource("/health/supervisor"), METHODS).route(seen().to(supervisor)))
        .service(only(web::resource("/metrics"), METHODS).route(seen().to(metrics)));
}

async fn database(app: &App) -> Database {
    // Whoever looks may be stuck on a blocked thread: then this one looks for itself.
    let Ok(mut last) = tokio::time::timeout(PING_DEADLINE, app.lately.database.lock()).await else {
        return look(app).await;
    };
    if let Some((at, database)) = *last
        && at.elapsed() < FRESH_FOR
    {
        return database;
    }
    let database = look(app).await;
    *last = Some((Instant::now(), database));
    database
}

async fn look(app: &App) -> Database {
    let answer = tokio::time::timeout(PING_DEADLINE, app.store.ping()).await.ok();
    Database::of(answer, app.store.trouble())
}

/// What the recorder's last error says is for the operator.
fn recorder(app: &App) -> RecorderSnapshot {
    RecorderSnapshot { last_error: None, ..app.recorder.snapshot() }
}

fn told<T: Serialize>(mut response: actix_web::HttpResponseBuilder, body: &T) -> HttpResponse {
    response.insert_header((CACHE_CONTROL, "no-store")).json(body)
}

/// All of it, at a glance; 200 for as long as the process answers.
#[utoipa::path(get, path = "/health", tag = "health", responses((status = 200, body = Health), OpenRefusals))]
pub(super) async fn health(app: web::Data<App>) -> HttpResponse {
    let database = database(&app).await;
    let (recorder, directory_loaded, draining) =
        (recorder(&app), app.directory.get().is_some(), app.calls.is_draining());
    let shedding = app.calls.is_shedding();
    let blocked_threads: Vec<String> = app.watch.blocked().into_iter().map(|blocked| blocked.thread).collect();
    let mut alarms = not_ready(&app, database);
    let known = alarms.iter().any(|reason| reason.what == "journal");
    alarms.extend(recorder.alarm.filter(|_| !known).map(|word| Reason::new("journal", journal_told(word))));
    alarms.extend((app.alarms)());
    if !blocked_threads.is_empty() {
        alarms.push(Reason::new("threads", "a thread does not get on: the log names what it runs"));
    }
    let body = Health {
        status: if alarms.is_empty() { "ok" } else { "degraded" },
        version: env!("CARGO_PKG_VERSION"),
        uptime_s: app.started.elapsed().as_secs(),
        calls: Load { live: app.calls.slots_taken(), capacity: app.calls.capacity() },
        database: database.as_str(),
        directory_loaded,
        draining,
        shedding,
        blocked_threads,
        alarms,
        recorder,
    };
    told(HttpResponse::Ok(), &body)
}

/// Why new calls should not be sent here.
fn not_ready(app: &App, database: Database) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = database.reason().into_iter().collect();
    // The database may answer and yet take no entry: a file locked by another process, a full disk.
    if let Some(word) = recorder(app).alarm.filter(|word| unwritten(word))
        && reasons.is_empty()
    {
        reasons.push(Reason::new("journal", journal_told(word)));
    }
    if app.directory.get().is_none() {
        reasons.push(Reason::new("directory", "clients have not been read from the database yet"));
    }
    if app.calls.is_draining() {
        reasons.push(Reason::new("draining", "the process takes no more calls and is about to end"));
    }
    if app.calls.is_shedding() {
        reasons.push(Reason::new("overloaded", "threads lag or memory runs out: see calls.shed_lag"));
    }
    reasons.extend((app.hindrances)());
    reasons
}

/// The process answers; if not, restart it.
#[utoipa::path(get, path = "/health/live", tag = "health", responses((status = 200, body = Liveness), OpenRefusals))]
pub(super) async fn live() -> HttpResponse {
    told(HttpResponse::Ok(), &Liveness { status: "live" })
}

/// Whether new calls should be sent here.
#[utoipa::path(get, path = "/health/ready", tag = "health",
    responses((status = 200, body = Readiness), (status = 503, description = "Not now", body = Readiness), OpenRefusals))]
pub(super) async fn ready(app: web::Data<App>) -> HttpResponse {
    let reasons = not_ready(&app, database(&app).await);
    if reasons.is_empty() {
        return told(HttpResponse::Ok(), &Readiness { status: "ready", reasons });
    }
    told(HttpResponse::ServiceUnavailable(), &Readiness { status: "not ready", reasons })
}

/// The tree of actors: totals for everybody, each call with its children for the holder of a key.
#[utoipa::path(get, path = "/health/supervisor", tag = "health", security((), ("key" = [])),
    responses((status = 200, body = Supervision), KeyRefusals))]
pub(super) async fn supervisor(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let caller = auth::who(request).await?;
    let observed = totals(&app).await;
    let tree = match &caller {
        None => None,
        Some(caller) => Some(match caller.client() {
            None => observed.tree.clone(),
            own => observe(&app, own).await.tree,
        }),
    };
    let body = Supervision {
        calls: observed.calls.clone(),
        actors: observed.actors.clone(),
        restarts: observed.restarts.clone(),
        asked: observed.asked,
        silent: observed.silent,
        recorder: if caller.is_some_and(|caller| caller.client().is_none()) {
            app.recorder.snapshot()
        } else {
            recorder(&app)
        },
        tree,
    };
    Ok(told(HttpResponse::Ok(), &body))
}

/// For Prometheus, in its text format 0.0.4.
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses((status = 200, body = String, content_type = "text/plain"), OpenRefusals))]
pub(super) async fn metrics(app: web::Data<App>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4")
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(app.metrics.render())
}

async fn totals(app: &App) -> Arc<Observed> {
    let Ok(mut last) = tokio::time::timeout(PING_DEADLINE, app.lately.totals.lock()).await else {
        return Arc::new(observe(app, None).await);
    };
    if let Some((at, observed)) = &*last
        && at.elapsed() < FRESH_FOR
    {
        return Arc::clone(observed);
    }
    let observed = Arc::new(observe(app, None).await);
    *last = Some((Instant::now(), Arc::clone(&observed)));
    observed
}

/// Asks calls, the oldest first, of one client or of all.
async fn observe(app: &App, client: Option<ClientId>) -> Observed {
    let live = app.calls.live();
    let calls = CallTotals {
        live: live.len(),
        slots_taken: app.calls.slots_taken(),
        capacity: app.calls.capacity(),
        draining: app.calls.is_draining(),
    };
    let wanted = |call: &&Arc<LiveCall>| client.is_none_or(|client| call.facts.client == client);
    let mut some: Vec<&Arc<LiveCall>> = live.iter().filter(wanted).collect();
    some.sort_by_key(|call| call.facts.call);
    some.truncate(OBSERVED_MAX);
    let ask = |call: &Arc<LiveCall>| {
        let asked = call.actor.send(Observe::<CallSnapshot>::default());
        async move { tokio::time::timeout(OBSERVE_DEADLINE, asked).await.ok().and_then(Result::ok) }
    };
    let answers: Vec<Option<CallSnapshot>> = join_all(some.iter().map(|call| ask(call))).await;
    // Counted after the answers: a call that was just admitted has its children by then.
    let actors = actors(&live, calls.slots_taken);
    let mut restarts = BTreeMap::new();
    for (kind, count) in answers.iter().flatten().flat_map(restarts_of) {
        *restarts.entry(kind).or_default() += count;
    }
    let silent = answers.iter().filter(|answer| answer.is_none()).count();
    let tree = some.iter().zip(&answers).map(|(call, answer)| node(call, answer.as_ref())).collect();
    Observed { calls, actors, restarts, asked: answers.len(), silent, tree }
}

fn actors(live: &[Arc<LiveCall>], call_actors: usize) -> BTreeMap<&'static str, usize> {
    let mut actors: BTreeMap<_, _> = Child::OF_A_CALL.map(|child| (child.as_str(), 0)).into();
    actors.insert(Child::Call.as_str(), call_actors);
    for children in live.iter().filter_map(|call| call.children()) {
        for (child, connected) in Child::OF_A_CALL.into_iter().zip([
            children.media.connected(),
            children.realtime.connected(),
            children.intent.connected(),
            children.actions.connected(),
        ]) {
            *actors.entry(child.as_str()).or_default() += usize::from(connected);
        }
    }
    actors
}

fn restarts_of(snapshot: &CallSnapshot) -> impl Iterator<Item = (&'static str, u32)> {
    Child::OF_A_CALL.into_iter().chain([Child::Call]).map(Child::as_str).zip(snapshot.restarts)
}

fn node(call: &LiveCall, snapshot: Option<&CallSnapshot>) -> CallNode {
    let children = |snapshot: &CallSnapshot| {
        let child = |(child, connected): (Child, bool)| ChildNode {
            name: child.as_str(),
            connected,
            queues: queues(child, snapshot),
        };
        Child::OF_A_CALL.into_iter().zip(snapshot.connected).map(child).collect()
    };
    CallNode {
        call: call.facts.call.0,
        client: Arc::clone(&call.facts.client_slug),
        phase: snapshot.map(|snapshot| snapshot.phase),
        engine: snapshot.map(|snapshot| snapshot.engine),
        age_ms: u64::try_from(call.age().as_millis()).unwrap_or(u64::MAX),
        restarts: snapshot.map(|snapshot| restarts_of(snapshot).collect()).unwrap_or_default(),
        children: snapshot.map(children).unwrap_or_default(),
    }
}

/// Empty for a child that did not answer.
fn queues(child: Child, snapshot: &CallSnapshot) -> BTreeMap<&'static str, u64> {
    match child {
        Child::Media => snapshot.media.map_or_else(BTreeMap::new, |media| {
            BTreeMap::from([
                ("frames_in", media.frames_in),
                ("frames_out", media.frames_out),
                ("caller_dropped", media.caller_dropped),
                ("caller_waiting", media.caller_waiting as u64),
                ("playout_bytes", media.playout_bytes as u64),
                ("socket_waiting", media.socket_waiting as u64),
            ])
        }),
        Child::Realtime => snapshot.realtime.as_ref().map_or_else(BTreeMap::new, |realtime| {
            BTreeMap::from([
                ("open", u64::from(realtime.open)),
                ("sessions", realtime.sessions),
                ("commands_waiting", realtime.commands_waiting as u64),
            ])
        }),
        Child::Action => snapshot
            .actions
            .as_ref()
            .map_or_else(BTreeMap::new, |actions| BTreeMap::from([("running", actions.running as u64)])),
        Child::Call | Child::Intent | Child::Supervisor => BTreeMap::new(),
    }
}
