//! Two clients with a call each, keys of every kind, and ports that do nothing.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::header::HeaderMap;
use actix_web::test::TestRequest;
use actix_web::{App as ActixApp, test, web};
use bytes::Bytes;
use caly_actors::domain::*;
use caly_actors::ports::*;
use caly_actors::supervisor::{AdmissionLimits, Calls};
use futures_util::future::{BoxFuture, LocalBoxFuture};
use serde_json::{Value, json};

use crate::carriers::exotel::webhook::RecordingHosts;
use crate::config::{Config, LoadArgs};
use crate::directory::Directory;
use crate::http::{App, api, health};
use crate::limits::RateLimits;
use crate::store::recorder::{Recorder, RecorderOptions};
use crate::store::{NewClient, Role, Store, StoreOptions};
use crate::telemetry::{Metrics, init_metrics};
use crate::tokens::Tokens;

pub const SOON: Duration = Duration::from_secs(20);

struct Nothing;

impl Engine for Nothing {
    fn open(&self, _: EngineSpec, _: EngineLanes) -> LocalBoxFuture<'static, Result<EngineSession, EngineError>> {
        Box::pin(std::future::pending())
    }
}

/// Notes down that it was asked, and in which attempt.
#[derive(Default)]
struct Notes(std::sync::Mutex<Vec<u32>>);

impl ActionRunner for Notes {
    fn catalogue(&self, _: &Agent) -> Vec<ActionSpec> {
        let tool = ToolSpec { name: "note_down".into(), description: "".into(), schema: "{}".into() };
        let retry = RetryRule { attempts: 1, backoff: Duration::ZERO };
        let (same, deadline) = (SameAction::PerArguments, Duration::from_secs(5));
        let away = ToolSpec { name: "note_away".into(), ..tool.clone() };
        let down =
            ActionSpec { tool, deadline, retry, same, writes: true, confirm: true, lasting: false, offered: true };
        vec![ActionSpec { tool: away, offered: false, ..down.clone() }, down]
    }
    fn run(&self, request: ActionRequest) -> LocalBoxFuture<'static, Result<ActionOutput, ActionError>> {
        self.0.lock().unwrap().push(request.attempt);
        if &*request.name == "note_away" {
            return Box::pin(async {
                Ok(ActionOutput { output: r#"{"noted":false}"#.into(), change: None, undo: None })
            });
        }
        Box::pin(async { Ok(ActionOutput { output: r#"{"noted":true}"#.into(), change: None, undo: None }) })
    }
}

impl Greetings for Nothing {
    fn stored(&self, _: &Arc<Agent>) -> Option<Pcm> {
        None
    }
}

impl Customers for Nothing {
    fn known(&self, _: &Arc<CallFacts>) -> BoxFuture<'static, Option<Arc<KnownCaller>>> {
        Box::pin(async { None })
    }
}

impl Phrases for Nothing {
    fn audio(&self, _: &str, _: Phrase, _: Language) -> Pcm {
        Pcm { rate: 8000, bytes: Bytes::from_static(&[0; 320]) }
    }
    fn words(&self, phrase: Phrase, _: Language) -> &'static str {
        phrase.as_str()
    }
}

impl Recordings for Nothing {
    fn open(&self, _: &CallFacts, _: u32) -> Option<Box<dyn RecordingTap>> {
        None
    }
}

fn metrics() -> Metrics {
    static METRICS: OnceLock<Metrics> = OnceLock::new();
    METRICS.get_or_init(|| init_metrics().unwrap()).clone()
}

pub struct World {
    pub app: web::Data<App>,
    pub shop: ClientId,
    pub other: ClientId,
    pub arbiter: actix_rt::Arbiter,
    notes: Arc<Notes>,
    _directory: tempfile::TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        self.arbiter.stop();
    }
}

impl World {
    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With settings of the environment.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = database(&directory).await;
        store.migrate().await.unwrap();
        let made = |slug| store.create_client(NewClient::named(slug, slug));
        let shop = ClientId(made("shop").await.unwrap().client.id);
        let other = ClientId(made("other").await.unwrap().client.id);
        let notes = Arc::new(Notes::default());
        let (app, arbiter) = app(store, &directory, settings, &notes);
        app.directory.reload(&app.store).await.unwrap();
        Self { app, shop, other, arbiter, notes, _directory: directory }
    }

    /// A database that nobody has migrated.
    pub async fn unmigrated() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let notes = Arc::new(Notes::default());
        let (app, arbiter) = app(database(&directory).await, &directory, &[], &notes);
        Self { app, shop: ClientId::new(), other: ClientId::new(), arbiter, notes, _directory: directory }
    }

    pub async fn key(&self, role: Role, client: Option<ClientId>) -> String {
        self.app.store.create_key("test", role, client).await.unwrap().1
    }

    /// A call that is only in the database.
    pub async fn stored_call(&self, client: ClientId) -> CallId {
        let facts = facts(client, "shop");
        let call = facts.call;
        self.app.recorder.record(SystemTime::now(), JournalEntry::Admitted(Arc::new(facts)));
        assert!(self.app.recorder.flush(SOON).await);
        call
    }

    /// Attempts at actions that were made.
    pub fn noted(&self) -> Vec<u32> {
        self.notes.0.lock().unwrap().clone()
    }

    /// An action of a call that is over or up, in a state.
    pub async fn action(&self, client: ClientId, state: ActionState, over: bool) -> uuid::Uuid {
        self.app.store.add_agent(client, "test", json!({}), true).await.unwrap();
        self.app.directory.reload(&self.app.store).await.unwrap();
        let facts = facts(client, if client == self.shop { "shop" } else { "other" });
        let call = facts.call;
        let catalogue: Vec<Arc<ActionSpec>> =
            self.app.actions.catalogue(&facts.agent).into_iter().map(Arc::new).collect();
        let mut ledger = caly_actors::call::ledger::Ledger::default();
        let _ = ledger.ask(CallTime::ZERO, call, &catalogue, &"t".into(), "note_down", r#"{"what":"milk"}"#, None);
        let action = Action { state, ..ledger.entries().next().unwrap().action.clone() };
        let undo = Some(Undo { tool: "note_away".into(), arguments: json!({ "what": "milk" }) });
        let result = Ok(ActionOutput { output: "{}".into(), change: None, undo });
        let action = Action { undo: caly_actors::call::undoing::kept(&action, state, &result), ..action };
        let id = action.id.0;
        let at = CallTime::ZERO;
        let ended = JournalEntry::Ended {
            call,
            reason: EndReason::CallerHungUp,
            at,
            usage: Usage::default(),
            degraded: Vec::new(),
        };
        let admitted = JournalEntry::Admitted(Arc::new(facts));
        let entries = [admitted, JournalEntry::Action { call, client, action }];
        for entry in entries.into_iter().chain(over.then_some(ended)) {
            self.app.recorder.record(SystemTime::now(), entry);
        }
        assert!(self.app.recorder.flush(SOON).await);
        id
    }

    /// A caller who asked to be rung back in a call that is over.
    pub async fn callback(&self, client: ClientId, caller: &str, arguments: Value) -> uuid::Uuid {
        let number = caller.is_empty().then_some(Party::Withheld);
        let caller = number.unwrap_or_else(|| Party::Number(PhoneNumber::parse(caller).unwrap()));
        let facts = CallFacts { caller, ..facts(client, "shop") };
        let (call, action) = (facts.call, ActionId::new());
        let action = Action {
            id: action,
            name: "request_callback".into(),
            idempotency_key: uuid::Uuid::now_v7().to_string().into(),
            arguments: arguments.to_string().into(),
            state: ActionState::Done,
            output: Some(json!({ "noted": true, "at": "2026-11-29T17:00" }).to_string().into()),
            undo: None,
            undoes: None,
            attempts: 1,
            started: CallTime::ZERO,
            changed: CallTime::ZERO,
        };
        let id = action.id.0;
        for entry in [JournalEntry::Admitted(Arc::new(facts)), JournalEntry::Action { call, client, action }] {
            self.app.recorder.record(SystemTime::now(), entry);
        }
        assert!(self.app.recorder.flush(SOON).await);
        id
    }

    /// A fresh thing of the kind a path is about, so that a request that removes it takes it from no other test row.
    pub async fn thing(&self, path: &str, client: Option<ClientId>) -> uuid::Uuid {
        let (store, owner) = (&self.app.store, client.unwrap_or(self.shop));
        match path.split('/').nth(1).unwrap() {
            "calls" => self.stored_call(owner).await.0,
            "actions" if path.ends_with("/retry") => self.action(owner, ActionState::Unknown, true).await,
            "actions" if path.ends_with("/undo") => self.action(owner, ActionState::Done, true).await,
            "actions" => self.action(owner, ActionState::Proposed, true).await,
            "clients" if path.ends_with("/services") || path.ends_with("/hours") => {
                store.publish_agent(owner, "test", with_calendar()).await.unwrap();
                owner.0
            }
            "clients" => owner.0,
            "callbacks" => self.callback(owner, "+919876543210", json!({ "when": "kal shaam" })).await,
            "numbers" => store.add_number(owner, &fresh_number(), None).await.unwrap().id,
            "agents" => store.add_agent(owner, "test", json!({}), false).await.unwrap().id,
            "appointments" => {
                let now = chrono::Utc::now();
                let booking = crate::store::Booking {
                    client: owner,
                    call: None,
                    service: "Haircut".to_owned(),
                    // One of their own, so that none is in the way of another.
                    people: vec![uuid::Uuid::now_v7().to_string()],
                    span: (now, now + chrono::TimeDelta::minutes(30)),
                    caller: None,
                    open_max: 5,
                    name: None,
                    key: uuid::Uuid::now_v7().to_string(),
                };
                store.book(booking).await.unwrap().booked().unwrap().id
            }
            "customers" => self.customer(owner, &fresh_number()).await,
            "suppressions" => self.suppression(owner, &fresh_number()).await,
            "keys" => store.create_key("", Role::Viewer, client).await.unwrap().0,
            other => panic!("nothing is made for {other}"),
        }
    }

    /// Somebody who told a client their name.
    pub async fn customer(&self, client: ClientId, number: &PhoneNumber) -> uuid::Uuid {
        let telling = crate::store::Telling {
            client,
            number: number.clone(),
            call: CallId::new(),
            name: Some("Meera".to_owned()),
            facts: [("stylist".to_owned(), Some("Ravi".to_owned()))].into(),
            keep: chrono::TimeDelta::days(180),
            key: uuid::Uuid::now_v7().to_string(),
        };
        self.app.store.remember(telling).await.unwrap();
        let filter = crate::store::CustomerFilter { client: Some(client), number: Some(number.as_e164().to_owned()) };
        self.app.store.list_customers(&filter, None, 1).await.unwrap().items[0].id
    }

    /// A number whose owner told a client not to ring it.
    pub async fn suppression(&self, client: ClientId, number: &PhoneNumber) -> uuid::Uuid {
        let entry = JournalEntry::DoNotCall { call: CallId::new(), client, number: number.clone() };
        self.app.recorder.record(SystemTime::now(), entry);
        assert!(self.app.recorder.flush(SOON).await);
        let filter =
            crate::store::SuppressionFilter { client: Some(client), number: Some(number.as_e164().to_owned()) };
        self.app.store.list_suppressions(&filter, None, 1).await.unwrap().items[0].id
    }

    pub async fn door(
        &self,
    ) -> impl Service<actix_http::Request, Response = ServiceResponse, Error = actix_web::Error> {
        let routes = ActixApp::new().app_data(self.app.clone()).configure(health::configure).configure(api::configure);
        test::init_service(routes).await
    }
}

async fn database(directory: &tempfile::TempDir) -> Store {
    let url = format!("sqlite://{}/caly.db", directory.path().display());
    Store::connect(&url, StoreOptions::default()).await.unwrap()
}

fn app(
    store: Store,
    directory: &tempfile::TempDir,
    settings: &[(&str, &str)],
    notes: &Arc<Notes>,
) -> (web::Data<App>, actix_rt::Arbiter) {
    let file = directory.path().join("empty.toml");
    std::fs::write(&file, "").unwrap();
    let generous = [("CALY__LIMITS__API_PER_KEY_PER_SECOND", "1000"), ("CALY__CALLS__TEARDOWN", "500ms")];
    let mut env: Vec<(String, String)> = Vec::new();
    for (name, value) in generous.iter().filter(|(name, _)| settings.iter().all(|(given, _)| given != name)) {
        env.push(((*name).to_owned(), (*value).to_owned()));
    }
    env.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let config = Config::load_from(&LoadArgs { file: Some(file), overrides: Vec::new() }, &env).unwrap();
    let recorder = Recorder::start(store.clone(), &directory.path().join("spool"), RecorderOptions::default());
    let ports = Ports {
        fallback_engine: None,
        engine: Arc::new(Nothing),
        greetings: Arc::new(Nothing),
        actions: Arc::<Notes>::clone(notes),
        customers: Arc::new(Nothing),
        journal: Arc::clone(&recorder) as Arc<dyn Journal>,
        phrases: Arc::new(Nothing),
        recordings: Arc::new(Nothing),
    };
    let calls = Calls::new(ports, EngineAudio::ALaw, AdmissionLimits { process: 10, client: 10 });
    let arbiter = actix_rt::Arbiter::new();
    calls.add_thread(arbiter.handle());
    let app = App {
        in_hand: Default::default(),
        started: Instant::now(),
        store,
        recorder,
        directory: Directory::new(config.calls.limits),
        calls,
        customers: Arc::new(Nothing),
        actions: Arc::<Notes>::clone(notes),
        tokens: Tokens::new(&[7; 32]),
        limits: RateLimits::new(&config.limits),
        metrics: metrics(),
        lately: crate::http::health::Lately::default(),
        watch: crate::watch::Watch::new(crate::watch::Overload { lag: Duration::ZERO, memory: 0 }),
        returning: crate::http::returning::Returning::default(),
        recording_hosts: RecordingHosts::new(&RecordingHosts::DEFAULT).unwrap(),
        alarms: Box::new(Vec::new),
        hindrances: Box::new(Vec::new),
        mended: Box::new(|| ()),
        shop: crate::http::shop_webhooks::ShopDoor::new(|_, _| ()),
        config: Arc::new(config),
        api: api::State::default(),
    };
    (web::Data::new(app), arbiter)
}

/// Settings with a calendar.
pub fn with_calendar() -> Value {
    let services = json!([{ "name": "Facial", "minutes": 60 }]);
    json!({ "greeting": "Namaste", "calendar": { "services": services, "people": ["Asha", "Ravi"],
        "hours": { "mon": ["10:00-13:00"] }, "holidays": ["2026-12-25"], "max_open": 3 } })
}

/// A number nobody has.
pub fn fresh_number() -> PhoneNumber {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    PhoneNumber::parse(&format!("+9122{:08}", NEXT.fetch_add(1, Ordering::Relaxed))).unwrap()
}

pub fn facts(client: ClientId, slug: &str) -> CallFacts {
    let call = CallId::new();
    CallFacts {
        call,
        client,
        client_slug: slug.into(),
        agent: Arc::new(crate::agents::read(AgentId::new(), 1, "test", &json!({}), &CallLimits::default()).unwrap()),
        carrier: Carrier::Exotel,
        carrier_call_id: CarrierCallId::parse(&call.to_string()).unwrap(),
        caller: Party::Number(PhoneNumber::parse("+919876543210").unwrap()),
        called: Party::Number(PhoneNumber::parse("+912248966200").unwrap()),
        direction: Direction::Inbound,
        admitted_at: SystemTime::now(),
    }
}

/// What came back.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The last word of the problem's type, and that it is a proper problem.
    pub fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{} {}", self.status, self.body);
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        assert!(problem["title"].is_string());
        problem["type"].as_str().unwrap().strip_prefix("/problems/").unwrap().to_owned()
    }
}

/// Sends a request from an address of the test's own.
pub async fn send<S, B>(door: &S, request: TestRequest) -> Answer
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody,
{
    let request = request.peer_addr(SocketAddr::from(([192, 0, 2, 1], 4000))).to_request();
    let response = test::call_service(door, request).await;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    // A stream has no end to wait for.
    let streams = headers.get("content-type").is_some_and(|kind| kind == "text/event-stream");
    let body = if streams { Bytes::new() } else { test::read_body(response).await };
    Answer { status, headers, body: String::from_utf8_lossy(&body).into_owned() }
}

pub async fn get<S, B>(door: &S, path: &str, key: &str) -> Answer
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody,
{
    send(door, with_key(TestRequest::get().uri(path), key)).await
}

pub async fn post<S, B>(door: &S, path: &str, key: &str) -> Answer
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody,
{
    send(door, with_key(TestRequest::post().uri(path), key)).await
}

/// Sends a JSON body.
pub async fn write<S, B>(door: &S, method: &str, path: &str, key: &str, body: &Value) -> Answer
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody,
{
    let request = TestRequest::default().method(method.parse().unwrap()).uri(path).set_json(body);
    send(door, with_key(request, key)).await
}

pub async fn delete<S, B>(door: &S, path: &str, key: &str) -> Answer
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody,
{
    send(door, with_key(TestRequest::delete().uri(path), key)).await
}

pub fn with_key(request: TestRequest, key: &str) -> TestRequest {
    if key.is_empty() { request } else { request.insert_header(("Authorization", format!("Bearer {key}"))) }
}
