//! A world in memory around one call: a carrier, an engine and a journal that the test drives by hand.
//! The clock is tokio's, paused: a script of minutes runs in milliseconds and tells exactly when things happened.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use actix::Arbiter;
use bytes::Bytes;
use caly_actors::audio::lane::{LaneSender, lane};
use caly_actors::call::Heard;
use caly_actors::call::actor::AttachSocket;
use caly_actors::call::event::CallEvent;
use caly_actors::call::state::Attach;
use caly_actors::domain::*;
use caly_actors::ports::*;
use caly_actors::supervisor::{AdmissionLimits, Calls, LiveCall};
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, LocalBoxFuture};
use tokio::time::Instant;

mod session;

pub use session::Session;

type Opened = Rc<RefCell<Vec<Session>>>;
type Plan = Arc<Mutex<Vec<EngineError>>>;
type Keeping = fn(&Arc<MemoryJournal>) -> Arc<dyn Journal>;

thread_local! {
    pub static OPENED: Opened = Opened::default();
    /// Tokens that a session of the engine can hold.
    pub static WINDOW: std::cell::Cell<u64> = const { std::cell::Cell::new(WINDOW_LEAST) };
    /// The greeting that was made before the call, if one was.
    pub static GREETING: RefCell<Option<Pcm>> = const { RefCell::new(None) };
    /// What becomes of sessions opened from now on, before they open as usual; `None`: nothing ever.
    pub static OPENING: RefCell<Vec<Option<EngineError>>> = const { RefCell::new(Vec::new()) };
    /// There is another engine, which opens sessions as the first does.
    pub static FALLBACK: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    /// The first is known to hang.
    pub static HANGS: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    /// What stands between the call and the memory of what it told.
    pub static KEEPING: std::cell::Cell<Option<Keeping>> = const { std::cell::Cell::new(None) };
    /// Who rings, how long it takes to find out, and how often it was asked.
    pub static CALLER: RefCell<(Option<Arc<KnownCaller>>, Duration, u32)> = const { RefCell::new((None, Duration::ZERO, 0)) };
}

/// The n-th session opened in this test's thread, whether it listens or not.
#[allow(dead_code, reason = "only the simulation serves sessions by itself")]
pub fn opened(n: usize) -> Option<Session> {
    OPENED.with(|opened| opened.borrow().get(n).cloned())
}

pub struct TestGreetings;

impl Greetings for TestGreetings {
    fn stored(&self, _: &Arc<Agent>) -> Option<Pcm> {
        GREETING.with(|stored| stored.borrow().clone())
    }
}

pub struct TestCustomers;

impl Customers for TestCustomers {
    fn known(&self, _: &Arc<CallFacts>) -> BoxFuture<'static, Option<Arc<KnownCaller>>> {
        let (known, after) = CALLER.with(|caller| {
            let mut caller = caller.borrow_mut();
            caller.2 += 1;
            (caller.0.clone(), caller.1)
        });
        Box::pin(async move {
            tokio::time::sleep(after).await;
            known
        })
    }
}

/// Opens sessions that the test drives; fails first with the errors planned.
pub struct ScriptedEngine {
    pub failures: Plan,
}

impl Engine for ScriptedEngine {
    fn window(&self) -> u64 {
        WINDOW.with(std::cell::Cell::get)
    }

    fn is_worth_asking(&self) -> bool {
        !HANGS.get()
    }

    fn open(
        &self,
        spec: EngineSpec,
        lanes: EngineLanes,
    ) -> LocalBoxFuture<'static, Result<EngineSession, EngineError>> {
        let mut failures = self.failures.lock().expect("not poisoned");
        let failure = (!failures.is_empty()).then(|| failures.remove(0));
        Box::pin(async move {
            if let Some(error) = failure {
                return Err(error);
            }
            match OPENING.with(|planned| planned.borrow_mut().pop()) {
                Some(Some(error)) => return Err(error),
                Some(None) => std::future::pending().await,
                None => {}
            }
            let (commands, commands_out) = lane(256);
            let (events_in, events) = lane(256);
            let session = Session { spec, commands: commands_out, events: events_in, lanes };
            OPENED.with(|opened| opened.borrow_mut().push(session));
            Ok(EngineSession { commands, events: events.boxed_local() })
        })
    }
}

/// Entries, and whether the world outside memory is lost to it.
#[derive(Default)]
pub struct MemoryJournal(pub Mutex<Vec<JournalEntry>>, pub AtomicBool);

impl Journal for MemoryJournal {
    fn record(&self, _: SystemTime, entry: JournalEntry) {
        self.0.lock().expect("not poisoned").push(entry);
    }

    fn record_durably(&self, at: SystemTime, entry: JournalEntry) -> BoxFuture<'static, bool> {
        self.record(at, entry);
        Box::pin(std::future::ready(!self.1.load(Ordering::Relaxed)))
    }
}

/// One second of tone per phrase.
pub struct TonePhrases;

impl Phrases for TonePhrases {
    fn audio(&self, _: &str, _: Phrase, _: Language) -> Pcm {
        Pcm { rate: 8000, bytes: Bytes::from(vec![7u8; 16_000]) }
    }
    fn words(&self, phrase: Phrase, _: Language) -> &'static str {
        phrase.as_str()
    }
}

pub struct NoRecordings;

impl Recordings for NoRecordings {
    fn open(&self, _: &CallFacts, _: u32) -> Option<Box<dyn RecordingTap>> {
        None
    }
}

/// What an action does when it is run.
pub type Doing = fn(u32) -> LocalBoxFuture<'static, Result<ActionOutput, ActionError>>;

/// A catalogue of test actions; counts the runs of each idempotency key.
#[derive(Default)]
pub struct TestActions {
    pub entries: Vec<(&'static str, bool, Duration, Doing)>,
    pub runs: Mutex<HashMap<Arc<str>, u32>>,
    /// When each key was planned last, and when it was begun first.
    pub planned: Mutex<HashMap<Arc<str>, tokio::time::Instant>>,
    pub begun: Mutex<HashMap<Arc<str>, tokio::time::Instant>>,
    /// The intents for which something was looked up.
    pub looked_up: Arc<Mutex<Vec<IntentKind>>>,
}

impl ActionRunner for TestActions {
    fn catalogue(&self, _: &Agent) -> Vec<ActionSpec> {
        self.entries
            .iter()
            .map(|(name, writes, deadline, _)| ActionSpec {
                tool: ToolSpec { name: (*name).into(), description: "".into(), schema: r#"{"type":"object"}"#.into() },
                deadline: *deadline,
                retry: RetryRule { attempts: 3, backoff: Duration::from_millis(50) },
                same: SameAction::PerArguments,
                writes: *writes,
                confirm: name.starts_with("confirmed"),
                lasting: false,
                offered: true,
            })
            .collect()
    }

    fn run(&self, request: ActionRequest) -> LocalBoxFuture<'static, Result<ActionOutput, ActionError>> {
        let (key, now) = (Arc::clone(&request.idempotency_key), tokio::time::Instant::now());
        if request.step == Step::Plan {
            self.planned.lock().expect("not poisoned").insert(key, now);
            return done("{}", None);
        }
        self.begun.lock().expect("not poisoned").entry(Arc::clone(&key)).or_insert(now);
        *self.runs.lock().expect("not poisoned").entry(key).or_default() += 1;
        let doing = self.entries.iter().find(|entry| entry.0 == &*request.name).expect("in the catalogue").3;
        doing(request.attempt)
    }

    fn prefetch(&self, _: &Arc<CallFacts>, intent: IntentKind) -> Option<LocalBoxFuture<'static, ()>> {
        let looked_up = Arc::clone(&self.looked_up);
        Some(Box::pin(async move { looked_up.lock().expect("not poisoned").push(intent) }))
    }
}

pub fn done(output: &str, change: Option<CallChange>) -> LocalBoxFuture<'static, Result<ActionOutput, ActionError>> {
    let output: Arc<str> = output.into();
    Box::pin(async move { Ok(ActionOutput { output, change, undo: None }) })
}

/// The carrier's end of a media socket: plays what it is sent and answers marks, as the protocol says.
pub struct Line {
    pub events: LaneSender<CarrierEvent>,
    pub heard: Rc<RefCell<Vec<(Duration, CarrierCommand)>>>,
}

pub struct World {
    pub calls: Arc<Calls>,
    pub call: Arc<LiveCall>,
    pub journal: Arc<MemoryJournal>,
    pub actions: Arc<TestActions>,
    pub epoch: Instant,
}

pub fn agent() -> Agent {
    Agent {
        id: AgentId::new(),
        version: 1,
        name: "test".into(),
        instructions: "be kind".into(),
        greeting: Some("Namaste".into()),
        notices: vec![],
        voice: "marin".into(),
        language: Language::Hinglish,
        languages: vec![],
        intents: Default::default(),
        products: Default::default(),
        calendar: None,
        shop: None,
        remember_callers: None,
        utc_offset: 19_800,
        turn_detection: TurnDetection::default(),
        barge_in: BargeIn::Eager,
        local_detection: false,
        menu: vec![],
        policies: Default::default(),
        handoff_numbers: vec![PhoneNumber::parse("+919876500000").expect("valid")],
        tools: vec![],
        http_tools: vec![],
        mcp_servers: vec![],
        limits: CallLimits::default(),
    }
}

pub fn facts(agent: Agent, id: &str) -> CallFacts {
    // Who waits for a hello has rung up somebody.
    let direction = if agent.limits.hello.is_zero() { Direction::Inbound } else { Direction::Outbound };
    CallFacts {
        // The same in every run: how long is waited for another engine session is told by it.
        call: CallId(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, id.as_bytes())),
        client: ClientId::new(),
        client_slug: "shop".into(),
        agent: Arc::new(agent),
        carrier: Carrier::Exotel,
        carrier_call_id: CarrierCallId::parse(id).expect("valid"),
        caller: Party::Number(PhoneNumber::parse("+919876543210").expect("valid")),
        called: Party::Number(PhoneNumber::parse("+918047112233").expect("valid")),
        direction,
        admitted_at: SystemTime::now(),
    }
}

impl World {
    pub fn registry(
        actions: TestActions,
        failures: Vec<EngineError>,
    ) -> (Arc<Calls>, Arc<MemoryJournal>, Arc<TestActions>) {
        OPENED.with(|opened| opened.borrow_mut().clear());
        let journal = Arc::new(MemoryJournal::default());
        let actions = Arc::new(actions);
        let ports = Ports {
            fallback_engine: FALLBACK.get().then(|| {
                let failures = Arc::default();
                Arc::new(ScriptedEngine { failures }) as Arc<dyn Engine>
            }),
            engine: Arc::new(ScriptedEngine { failures: Arc::new(Mutex::new(failures)) }),
            greetings: Arc::new(TestGreetings),
            actions: Arc::clone(&actions) as Arc<dyn ActionRunner>,
            customers: Arc::new(TestCustomers),
            journal: KEEPING.get().map_or_else(|| Arc::clone(&journal) as Arc<dyn Journal>, |keep| keep(&journal)),
            phrases: Arc::new(TonePhrases),
            recordings: Arc::new(NoRecordings),
        };
        let limits = AdmissionLimits { process: 100, client: 100 };
        let calls = Calls::new(ports, EngineAudio::ALaw, limits);
        calls.add_thread(Arbiter::current());
        (calls, journal, actions)
    }

    pub async fn with(agent: Agent, actions: TestActions, failures: Vec<EngineError>) -> Self {
        tokio::time::pause();
        let (calls, journal, actions) = Self::registry(actions, failures);
        let call = calls.admit(facts(agent, "sid1"), None).expect("admitted").call;
        Self { calls, call, journal, actions, epoch: Instant::now() }
    }

    pub async fn plain() -> Self {
        Self::with(agent(), TestActions::default(), vec![]).await
    }

    /// The n-th session opened, ready to listen.
    pub async fn session(&self, n: usize) -> Session {
        let session = wait_for(|| OPENED.with(|opened| opened.borrow().get(n).cloned())).await;
        session.say(EngineEvent::Ready);
        session
    }

    pub fn sessions(&self) -> usize {
        OPENED.with(|opened| opened.borrow().len())
    }

    pub fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    pub async fn dial(&self, socket: u64) -> (Attach, Line) {
        let (events, events_out) = lane(64);
        let (commands, mut commands_out) = lane::<CarrierCommand>(64);
        let link = CarrierLink { socket, events: events_out, commands, kill: Arc::new(|| {}) };
        let answer = self.call.actor.send(AttachSocket(link)).await.expect("the call lives");
        let heard = Rc::new(RefCell::new(Vec::new()));
        let (log, epoch, back) = (Rc::clone(&heard), self.epoch, events.clone());
        actix::spawn(async move {
            // Everything queued for playing is heard in its own time; a mark comes back when it is reached.
            let mut free_at = Instant::now();
            while let Some(command) = commands_out.next().await {
                log.borrow_mut().push((epoch.elapsed(), command.clone()));
                match command {
                    CarrierCommand::Audio(bytes) => {
                        free_at = free_at.max(Instant::now()) + Duration::from_micros(bytes.len() as u64 * 1000 / 16);
                    }
                    CarrierCommand::Mark(name) => {
                        let back = back.clone();
                        actix::spawn(async move {
                            tokio::time::sleep_until(free_at).await;
                            back.push(CarrierEvent::Mark(name));
                        });
                    }
                    CarrierCommand::Clear => free_at = Instant::now(),
                    CarrierCommand::Close(_) => {
                        back.push(CarrierEvent::Closed { protocol_error: false });
                        return;
                    }
                }
            }
        });
        (answer, Line { events, heard })
    }

    /// A call that is up: socket, start, and a talking caller line.
    pub async fn answered(&self) -> (Session, Line) {
        let session = self.session(0).await;
        let (answer, line) = self.dial(1).await;
        assert_eq!(answer, Attach::Accepted);
        line.events.push(CarrierEvent::Started { stream: "s1".into(), rate: 8000 });
        line.keep_talking();
        (session, line)
    }

    pub fn tell(&self, event: CallEvent) {
        self.call.actor.do_send(Heard(event));
    }

    pub fn entries(&self) -> Vec<JournalEntry> {
        self.journal.0.lock().expect("not poisoned").clone()
    }

    pub fn events(&self, kind: &str) -> usize {
        self.entries()
            .iter()
            .filter(|entry| matches!(entry, JournalEntry::Event { kind: known, .. } if *known == kind))
            .count()
    }

    pub fn turns(&self) -> Vec<Turn> {
        let mut turns: Vec<Turn> = self
            .entries()
            .into_iter()
            .filter_map(|entry| if let JournalEntry::Turn { turn, .. } = entry { Some(turn) } else { None })
            .collect();
        turns.sort_by_key(|turn| turn.started);
        turns
    }

    /// Waits for the end; checks that it is written once and that nothing outlives the call.
    pub async fn ended(&self) -> EndReason {
        let reason = wait_for(|| self.call.end_reason()).await;
        wait_for(|| (self.calls.slots_taken() == 0).then_some(())).await;
        let ends = self.entries().iter().filter(|entry| matches!(entry, JournalEntry::Ended { .. })).count();
        assert_eq!(ends, 1, "one end is written");
        assert!(matches!(self.entries().last(), Some(JournalEntry::Ended { .. })), "and it is the last entry");
        reason
    }
}

impl Line {
    /// Silence from the caller's side, a frame each 20 ms, until the line is dropped.
    pub fn keep_talking(&self) {
        let events = self.events.clone();
        let alive = Rc::downgrade(&self.heard);
        actix::spawn(async move {
            while alive.upgrade().is_some() && !events.is_closed() {
                events.push(CarrierEvent::Audio(Pcm { rate: 8000, bytes: Bytes::from(vec![0u8; 320]) }));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }

    pub fn audio_ms(&self) -> u64 {
        let heard = self.heard.borrow();
        heard
            .iter()
            .map(|(_, command)| if let CarrierCommand::Audio(b) = command { b.len() as u64 / 16 } else { 0 })
            .sum()
    }

    pub fn count(&self, wanted: &CarrierCommand) -> usize {
        self.heard.borrow().iter().filter(|(_, command)| command == wanted).count()
    }
}

/// Lets the (paused) clock run until there is something; a minute of silence is a failure.
pub async fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..12_000 {
        if let Some(found) = look() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("nothing came within a minute of call time");
}
