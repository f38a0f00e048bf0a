//! The configuration: read once at the start, checked as a whole, handed around as plain types.
//!
//! The only place that reads the environment. Keys, defaults and units are documented in `config.toml`, which is
//! embedded and is also the list of valid keys. Knows no vendor, no database and no HTTP.

mod layers;
mod read;
mod secrets;
mod sections;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use caly_actors::domain::CallLimits;
use secrecy::SecretString;

pub use layers::{LoadArgs, Source, variable_of};
use layers::{Raw, SECRETS, Setting};
use read::Reader;
pub use read::{Network, PublicUrl};

/// Everything an operator can set.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where files live.
    pub data_dir: PathBuf,
    /// Listening and stopping.
    pub server: Server,
    /// Which database and how.
    pub database: Database,
    /// How many calls and for how long.
    pub calls: Calls,
    /// Which engine speaks.
    pub engine: Engine,
    /// The `OpenAI` account.
    pub openai: OpenAi,
    /// The Exotel account.
    pub exotel: Exotel,
    /// What agents can do.
    pub actions: Actions,
    /// Clients' shops.
    pub shopify: Shopify,
    /// Rates.
    pub limits: Limits,
    /// Tokens.
    pub security: Security,
    /// Call recordings.
    pub recording: Recording,
    /// Log output.
    pub log: Log,
    /// What is allowed but worth telling the operator at the start.
    pub warnings: Vec<String>,
    described: Vec<Described>,
}

/// Section `server`.
#[derive(Clone, Debug)]
pub struct Server {
    /// Address to listen on.
    pub host: IpAddr,
    /// Port to listen on; 0 lets the system choose.
    pub port: u16,
    /// How the carrier reaches us.
    pub public_url: PublicUrl,
    /// Threads of requests and calls; 0 = one per core.
    pub workers: usize,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Web origins whose pages may use the admin API.
    pub cors_origins: Vec<String>,
    /// Connections open at once; 0 = as many as the limit of open files allows.
    pub max_connections: usize,
    /// Longest time for a request body.
    pub body_deadline: Duration,
    /// Longest wait for live calls after SIGTERM.
    pub drain_grace: Duration,
    /// Longest wait for open connections after that.
    pub shutdown_timeout: Duration,
}

/// Section `database`.
#[derive(Clone, Debug)]
pub struct Database {
    /// `sqlite://…` or `postgres://…`; may hold a password.
    pub url: SecretString,
    /// Pool size.
    pub max_connections: u32,
    /// Longest wait for a connection.
    pub acquire_timeout: Duration,
    /// Longest run of a statement.
    pub statement_timeout: Duration,
}

/// Section `calls`.
#[derive(Clone, Debug)]
pub struct Calls {
    /// Live calls of the process.
    pub max_live: usize,
    /// Live calls of one client.
    pub max_live_per_client: usize,
    /// New calls are refused while a thread is this late; zero: never.
    pub shed_lag: Duration,
    /// New calls are refused while the process is this large, MiB; 0: by the control group, if it has a limit.
    pub memory_max_mb: u64,
    /// Ended calls are remembered this long for late and repeated webhooks.
    pub remember: Duration,
    /// Timers of a call whose agent sets none.
    pub limits: CallLimits,
}

/// Section `engine`, with `auto` decided where it can be.
#[derive(Clone, Copy, Debug)]
pub struct Engine {
    /// Who speaks.
    pub provider: Provider,
    /// The audio format.
    pub audio: AudioChoice,
    /// Greetings are made once and kept.
    pub store_greetings: bool,
}

/// Who speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Provider {
    /// The `OpenAI` Realtime service.
    OpenAi,
    /// The built-in simulated engine.
    Sandbox,
}

/// Audio between Caly and the engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AudioChoice {
    /// The cheapest format that loses nothing audible, by the carrier's rate.
    Auto,
    /// PCM16 at 24 kHz.
    Pcm24,
    /// G.711 A-law.
    ALaw,
    /// G.711 µ-law.
    MuLaw,
}

/// Section `openai`.
#[derive(Clone, Debug)]
pub struct OpenAi {
    /// Without a slash at the end.
    pub base_url: String,
    /// Realtime model.
    pub model: String,
    /// Tokens that a session of either engine can hold, if told.
    pub context_tokens: Option<u64>,
    /// Model that transcribes the caller.
    pub transcription_model: String,
    /// ISO 639-1, if fixed.
    pub transcription_language: Option<String>,
    /// From the first packet to a configured session.
    pub connect_timeout: Duration,
    /// A private certificate authority.
    pub ca_file: Option<PathBuf>,
    /// The API key.
    pub key: Option<SecretString>,
    /// For calls that this one fails.
    pub fallback: Option<FallbackOpenAi>,
}

/// The second engine of section `openai`.
#[derive(Clone, Debug)]
pub struct FallbackOpenAi {
    /// Without a slash at the end.
    pub base_url: String,
    /// Realtime model.
    pub model: String,
    /// Its key; the first one's where the service is the same.
    pub key: SecretString,
}

/// Section `exotel`.
#[derive(Clone, Debug)]
pub struct Exotel {
    /// REST address, without a slash at the end.
    pub base_url: String,
    /// Account.
    pub account_sid: Option<String>,
    /// REST user.
    pub api_key: Option<SecretString>,
    /// REST password.
    pub api_token: Option<SecretString>,
    /// Samples a second asked for on the media stream.
    pub sample_rate: u32,
    /// Hosts a recording may be fetched from.
    pub recording_hosts: Vec<String>,
    /// A call of whose end the carrier has not told is asked about after this.
    pub ask_after: Duration,
    /// Longest wait for a REST request.
    pub request_timeout: Duration,
}

/// Section `actions`.
#[derive(Clone, Debug)]
pub struct Actions {
    /// `host:port` pairs that may be plain http or private.
    pub trusted_hosts: Vec<String>,
}

/// Section `shopify`.
#[derive(Clone, Debug)]
pub struct Shopify {
    /// Instead of each shop's own address, without a slash at the end.
    pub base_url: Option<String>,
    /// As `2026-10`.
    pub api_version: String,
    /// Longest wait for one request.
    pub request_timeout: Duration,
}

/// Section `limits`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Webhooks of one client.
    pub webhooks_per_client_per_minute: u32,
    /// Calls from one number.
    pub calls_per_caller_per_minute: u32,
    /// Admin requests of one key.
    pub api_per_key_per_second: u32,
    /// Refused credentials from one address.
    pub failed_auth_per_address_per_minute: u32,
    /// Requests from one address.
    pub requests_per_address_per_second: u32,
    /// Names remembered by each limiter.
    pub tracked_keys: usize,
}

/// Section `security`.
#[derive(Clone, Debug)]
pub struct Security {
    /// Life of a media URL.
    pub media_token_ttl: Duration,
    token_secret: Option<SecretString>,
}

/// Section `recording`.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Whether calls are recorded.
    pub enabled: bool,
    /// Where.
    pub dir: PathBuf,
}

/// Section `log`.
#[derive(Clone, Debug)]
pub struct Log {
    /// A level or an env-filter text.
    pub level: String,
    /// Layout.
    pub format: LogFormat,
}

/// Layout of log lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// One thing that is wrong, with the key or option it is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Dotted key, option or file.
    pub key: String,
    /// What is wrong and what would be right; never the value of a secret.
    pub reason: String,
}

impl Problem {
    pub(crate) fn new(key: &str, reason: impl Into<String>) -> Self {
        Self { key: key.to_owned(), reason: reason.into() }
    }
}

/// Everything that is wrong with a configuration, one line each.
#[derive(Clone, Debug)]
pub struct ConfigErrors(pub Vec<Problem>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration has {} problem(s):", self.0.len())?;
        for problem in &self.0 {
            write!(f, "\n  {}: {}", problem.key, problem.reason)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// One line of [`Config::describe`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Described {
    /// Dotted key.
    pub key: String,
    /// The value in force, masked when it is secret.
    pub value: String,
    /// Where it came from.
    pub source: Source,
}

impl Config {
    /// Reads all layers, with the environment of this process.
    ///
    /// # Errors
    /// All problems together; nothing is started with a configuration that is only partly right.
    pub fn load(args: &LoadArgs) -> Result<Self, ConfigErrors> {
        // Names and values that are not UTF-8 cannot be ours; `vars()` would panic on them.
        let env: Vec<(String, String)> =
            std::env::vars_os().filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?))).collect();
        Self::load_from(args, &env)
    }

    /// As [`Config::load`], with a given environment.
    ///
    /// # Errors
    /// All problems together.
    pub fn load_from(args: &LoadArgs, env: &[(String, String)]) -> Result<Self, ConfigErrors> {
        let (mut problems, mut warnings) = (Vec::new(), Vec::new());
        let settings = layers::collect(args, env, &mut problems, &mut warnings);
        let mut reader = Reader::new(&settings, problems);
        let mut config = sections::all(&mut reader, warnings);
        if !reader.problems.is_empty() {
            return Err(ConfigErrors(reader.problems));
        }
        config.described = settings.iter().map(described).collect();
        Ok(config)
    }

    /// Every key with its value and origin, in the order of the alphabet. Holds no secrets.
    #[must_use]
    pub fn describe(&self) -> &[Described] {
        &self.described
    }

    /// Signs what Caly hands out: configured, or made at the first start and kept in the data directory.
    ///
    /// # Errors
    /// The generated secret can be neither read nor written; the text says what to do.
    pub fn token_secret(&self) -> Result<SecretString, String> {
        match &self.security.token_secret {
            Some(secret) => Ok(secret.clone()),
            None => secrets::generated(&self.data_dir),
        }
    }
}

fn described((key, setting): (&String, &Setting)) -> Described {
    Described { key: key.clone(), value: shown(key, &setting.raw), source: setting.source.clone() }
}

fn shown(key: &str, raw: &Raw) -> String {
    let secret = SECRETS.contains(&key);
    match raw {
        Raw::Text(text) if text.is_empty() => String::new(),
        Raw::Text(_) if secret => "********".to_owned(),
        Raw::Text(text) => crate::redact::redact(text).into_owned(),
        Raw::Whole(number) => number.to_string(),
        Raw::Flag(flag) => flag.to_string(),
        Raw::List(items) => items.join(", "),
        Raw::Odd(text) => text.clone(),
    }
}
