//! A server of its own for one test: the real binary, started, asked over HTTP, stopped or killed.

use std::cell::RefCell;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use awc::http::Method;
use caly::sim::carrier::{CallPlan, CallReport, Scenario, place_call};
use serde_json::{Value, json};

use crate::postgres::TestDatabase;
use crate::web::{self, Answer, until, with};

pub const BINARY: &str = env!("CARGO_BIN_EXE_caly");
/// Longest wait for something that takes milliseconds when all is well.
pub const SOON: Duration = Duration::from_secs(15);
/// Where calls handed to a person go.
pub const PERSON: &str = "+919876500000";

/// Which database a server gets.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Database {
    #[default]
    Sqlite,
    Postgres,
    At(String),
}

/// What answers the calls.
#[derive(Clone, Debug, Default)]
pub enum Engine {
    /// The one built into the server.
    #[default]
    Sandbox,
    /// One of the test's, by its base URL (`ws://127.0.0.1:PORT/v1`).
    At(String),
}

#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub env: Vec<(&'static str, String)>,
    pub database: Database,
    pub engine: Engine,
    /// What starts `caly serve`, such as `["env", "--ignore-signal=XFSZ"]`.
    pub wrapper: Vec<&'static str>,
}

impl Settings {
    pub fn on(database: Database) -> Self {
        Self { database, ..Self::default() }
    }

    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.env.push((key, value.into()));
        self
    }

    pub fn engine(mut self, base_url: &str) -> Self {
        self.engine = Engine::At(base_url.to_owned());
        self
    }
}

/// Where the client's webhooks are and their key.
#[derive(Clone, Debug)]
pub struct Hooks {
    pub slug: String,
    pub key: String,
    pub called: String,
}

pub struct Server {
    child: Option<Child>,
    pub port: u16,
    pub directory: tempfile::TempDir,
    env: Vec<(String, String)>,
    pub postgres: Option<TestDatabase>,
    pub database_url: String,
    pub hooks: Hooks,
    wrapper: Vec<&'static str>,
    admin: RefCell<Option<String>>,
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

impl Server {
    /// Starts a server with a demo client and waits until it is ready.
    pub async fn start(settings: Settings) -> Self {
        let mut server = Self::prepare(&settings).await;
        if let Engine::At(url) = &settings.engine {
            server.env.push(("OPENAI_API_KEY".to_owned(), "test".to_owned()));
            server.env.push(("OPENAI_BASE_URL".to_owned(), url.clone()));
            server.hooks.key = server.make_client("demo", "+918047112233").await;
        }
        server.run().await;
        server.ready().await;
        if matches!(settings.engine, Engine::Sandbox) {
            server.hooks.key = server.sandbox()["key"].as_str().unwrap().to_owned();
        }
        server
    }

    /// As [`Server::start`], without waiting for more than that the process answers.
    pub async fn start_unready(settings: Settings) -> Self {
        let mut server = Self::prepare(&settings).await;
        server.run().await;
        server
    }

    /// Only the directory, the database and the environment, for commands.
    pub async fn prepared(settings: Settings) -> Self {
        Self::prepare(&settings).await
    }

    async fn prepare(settings: &Settings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let postgres = match settings.database {
            Database::Postgres => Some(TestDatabase::create().await),
            Database::Sqlite | Database::At(_) => None,
        };
        let database_url = match (&settings.database, &postgres) {
            (Database::At(url), _) => url.clone(),
            (_, Some(database)) => database.url.clone(),
            (_, None) => format!("sqlite://{}/data/caly.db", directory.path().display()),
        };
        let mut env: Vec<(String, String)> = [
            ("CALY__DATA_DIR", directory.path().join("data").display().to_string()),
            ("HOST", "127.0.0.1".to_owned()),
            ("DATABASE_URL", database_url.clone()),
            ("CALY__LOG__FORMAT", "text".to_owned()),
            // What an engine is asked is counted in many tests; greetings.rs shows stored ones.
            ("CALY__ENGINE__STORE_GREETINGS", "false".to_owned()),
            ("CALY__LIMITS__WEBHOOKS_PER_CLIENT_PER_MINUTE", "100000".to_owned()),
            ("CALY__LIMITS__CALLS_PER_CALLER_PER_MINUTE", "100000".to_owned()),
            ("CALY__LIMITS__API_PER_KEY_PER_SECOND", "10000".to_owned()),
            ("CALY__LIMITS__FAILED_AUTH_PER_ADDRESS_PER_MINUTE", "100000".to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        env.extend(settings.env.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        let hooks = Hooks { slug: "demo".to_owned(), key: String::new(), called: "08047112233".to_owned() };
        let admin = RefCell::default();
        let wrapper = settings.wrapper.clone();
        Self { child: None, port: 0, directory, env, postgres, database_url, hooks, wrapper, admin }
    }

    /// Starts the process and waits until it answers at all. A port that somebody else was quicker to take is given up
    /// for another.
    pub async fn run(&mut self) {
        for _ in 0..5 {
            self.port = free_port();
            let log = File::options().create(true).append(true).open(self.log_file()).unwrap();
            let child = self.command(&["serve"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
            self.child = Some(child.unwrap());
            let begun = Instant::now();
            while self.exited().is_none() {
                // Anything else is said by whoever was quicker: then the process ends, and another port is taken.
                if let Ok(answer) = web::try_request(Method::GET, &self.url("/health/live"), &[], "").await
                    && answer.status == 200
                {
                    return;
                }
                assert!(begun.elapsed() < SOON * 2, "the server does not answer");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            assert!(self.log().contains("cannot listen on"), "the server did not start");
        }
        panic!("no free port");
    }

    pub async fn ready(&self) {
        until("ready", SOON * 2, || async { (web::get(&self.url("/health/ready")).await.status == 200).then_some(()) })
            .await;
    }

    /// A command of the binary in the server's environment and nothing of the test's own.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = match self.wrapper.split_first() {
            Some((first, rest)) if args == ["serve"] => {
                let mut command = Command::new(first);
                command.args(rest).arg(BINARY);
                command
            }
            _ => Command::new(BINARY),
        };
        command.args(args).env_clear().current_dir(self.directory.path());
        command.envs(self.env.iter().map(|(key, value)| (key, value)));
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("PORT", self.port.to_string());
        command
    }

    /// Runs a command of the binary to its end.
    pub async fn cli(&self, args: &[&str]) -> Output {
        let mut command = self.command(args);
        command.stdin(Stdio::null());
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// … which must succeed and print one JSON value.
    pub async fn cli_json(&self, args: &[&str]) -> Value {
        let output = self.cli(args).await;
        let shown = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "caly {args:?}: {shown}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("caly {args:?}: {error}; {shown}"))
    }

    /// Makes a client with a number and an agent; gives back its webhook key. A running server takes it up in seconds.
    pub async fn make_client(&self, slug: &str, number: &str) -> String {
        let file = self.directory.path().join(format!("{slug}.json"));
        let day = ["10:00-19:00"];
        let agent = json!({"instructions": "Be brief.", "greeting": "Namaste", "language": "hi-Latn",
            "handoff_numbers": [PERSON], "calendar": {"services": [{"name": "Consultation", "minutes": 30}],
            "hours": {"mon": day, "tue": day, "wed": day, "thu": day, "fri": day, "sat": day, "sun": day}}});
        std::fs::write(&file, agent.to_string()).unwrap();
        let made = self
            .cli_json(&[
                "client",
                "create",
                "--slug",
                slug,
                "--name",
                "A shop",
                "--number",
                number,
                "--agent",
                file.to_str().unwrap(),
                "--json",
            ])
            .await;
        made["webhook_secret"].as_str().unwrap().to_owned()
    }

    pub fn sandbox(&self) -> Value {
        let text = std::fs::read(self.directory.path().join("data/sandbox.json")).expect("data/sandbox.json");
        serde_json::from_slice(&text).unwrap()
    }

    /// A key of the admin API, made once.
    pub async fn admin_key(&self) -> String {
        let known = self.admin.borrow().clone();
        match known {
            Some(key) => key,
            None => {
                let made = self.cli_json(&["key", "create", "--role", "admin", "--json"]).await;
                let key = made["key"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
                self.admin.replace(Some(key.clone()));
                key
            }
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// A webhook of the demo client with its key and more parameters.
    pub fn hook(&self, name: &str, fields: &[(&str, &str)]) -> String {
        self.hook_of(&self.hooks, name, fields)
    }

    pub fn hook_of(&self, hooks: &Hooks, name: &str, fields: &[(&str, &str)]) -> String {
        let url = self.url(&format!("/webhooks/exotel/{}/{name}", hooks.slug));
        with(&with(&url, &[("key", &hooks.key)]), fields)
    }

    /// The call-start of a call, as the Voicebot applet asks it.
    pub async fn call_start(&self, sid: &str) -> Answer {
        web::get(&self.start_url(sid)).await
    }

    pub fn start_url(&self, sid: &str) -> String {
        let fields = [("CallSid", sid), ("CallFrom", "09876543210"), ("CallTo", &self.hooks.called)];
        self.hook("call-start", &[&fields[..], &[("Direction", "incoming"), ("From", "09876543210")]].concat())
    }

    /// Admits a call and gives back its media URL.
    pub async fn media_url(&self, sid: &str) -> String {
        let answer = self.call_start(sid).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["url"].as_str().unwrap().to_owned()
    }

    /// The media URL that a call-start is answered with; one that leads nowhere if it is refused.
    pub async fn media_url_or_none(&self, sid: &str) -> String {
        let answer = self.call_start(sid).await;
        match answer.status {
            200 => answer.json()["url"].as_str().unwrap().to_owned(),
            _ => self.url("/media/exotel/nowhere").replace("http://", "ws://"),
        }
    }

    pub async fn call_end(&self, sid: &str) -> Answer {
        web::post_form(&self.hook("call-end", &[]), &[("CallSid", sid), ("Status", "completed")]).await
    }

    /// Reads from the admin API.
    pub async fn api(&self, path: &str) -> Value {
        let answer = self.ask(Method::GET, &format!("/api/v1{path}")).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// A request with the admin key.
    pub async fn ask(&self, method: Method, path: &str) -> Answer {
        let key = format!("Bearer {}", self.admin_key().await);
        web::request(method, &self.url(path), &[("authorization", &key)], "").await
    }

    /// All rows of calls, whatever their state.
    pub async fn calls(&self) -> Vec<Value> {
        self.api("/calls?limit=200").await["items"].as_array().unwrap().clone()
    }

    pub async fn rows_of(&self, sid: &str) -> Vec<Value> {
        self.calls().await.into_iter().filter(|row| row["carrier_call_id"] == sid).collect()
    }

    /// The whole record of a call, once it is written down as ended.
    pub async fn ended_call(&self, sid: &str) -> Value {
        let id = until(&format!("the row of {sid} is ended"), SOON, || async {
            let rows = self.rows_of(sid).await;
            assert!(rows.len() <= 1, "{rows:?}");
            rows.first().filter(|row| row["state"] == "ended").map(|row| row["id"].as_str().unwrap().to_owned())
        })
        .await;
        self.api(&format!("/calls/{id}")).await
    }

    pub async fn supervisor(&self) -> Value {
        self.ask(Method::GET, "/health/supervisor").await.json()
    }

    /// Waits until nothing of any call is left: slots, actors, sockets.
    pub async fn nothing_left(&self, within: Duration) {
        until("no call, slot, actor or socket left", within, || async {
            let totals = web::get(&self.url("/health/supervisor")).await.json();
            let actors = totals["actors"].as_object().unwrap().values().all(|count| count == 0);
            let empty = totals["calls"]["live"] == 0 && totals["calls"]["slots_taken"] == 0 && actors;
            (empty && self.metric("caly_media_sockets").await == 0.0).then_some(())
        })
        .await;
    }

    /// The sum of a metric over its labels; 0 if there is none.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = web::get(&self.url("/metrics")).await.text();
        let of_name = |line: &&str| line.split([' ', '{']).next() == Some(name);
        text.lines().filter(of_name).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// The plan of a call by the simulated carrier.
    pub fn plan(&self, scenario: Scenario) -> CallPlan {
        let mut plan = CallPlan::new(&self.hook("call-start", &[]), scenario);
        plan.passthru_url = Some(self.hook("passthru", &[]));
        plan.connect_url = Some(self.hook("connect", &[]));
        plan.status_callback = Some(self.hook("call-end", &[]));
        plan.to.clone_from(&self.hooks.called);
        plan
    }

    pub async fn place(&self, scenario: &str) -> CallReport {
        let scenario = if scenario.contains('\n') { Scenario::parse(scenario) } else { Scenario::load(scenario) };
        place_call(self.plan(scenario.unwrap())).await
    }

    pub fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    fn status_of(&self, field: &str) -> u64 {
        let pid = self.child.as_ref().unwrap().id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// The most memory the process has had, in bytes.
    pub fn peak_bytes(&self) -> u64 {
        self.status_of("VmHWM") * 1024
    }

    /// The memory the process has, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        self.status_of("VmRSS") * 1024
    }

    /// Descriptors the process has open.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.as_ref().unwrap().id())).unwrap().count()
    }

    /// Lowers the process's soft limit of open files.
    pub fn limit_open_files(&self, most: usize) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        let lowered = Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={most}:")]).status();
        assert!(lowered.expect("prlimit of util-linux").success());
    }

    fn exited(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().unwrap().try_wait().unwrap()
    }

    pub fn is_running(&mut self) -> bool {
        self.exited().is_none()
    }

    /// Waits for the process to end by itself.
    pub async fn exit(&mut self, within: Duration) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.exited() {
                return status;
            }
            assert!(begun.elapsed() < within, "the server has not ended within {within:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn log_file(&self) -> PathBuf {
        self.directory.path().join("server.log")
    }

    /// What the server has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let from = log.lines().count().saturating_sub(80);
            eprintln!("---- the server's last lines");
            log.lines().skip(from).for_each(|line| eprintln!("{line}"));
        }
        if let Some(database) = self.postgres.take() {
            let gone = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(database.drop_database());
            });
            let _ = gone.join();
        }
    }
}
