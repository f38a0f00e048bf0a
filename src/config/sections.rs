//! The sections of the configuration, read one by one: ranges, words and what belongs together.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use caly_actors::domain::CallLimits;
use secrecy::{ExposeSecret, SecretString};
use tracing_subscriber::EnvFilter;

use super::layers::{Source, nearest};
use super::read::{Network, PublicUrl, Reader};
use super::{
    Actions, AudioChoice, Calls, Config, Database, Engine, Exotel, FallbackOpenAi, Limits, Log, LogFormat, OpenAi,
    Provider, Recording, Security, Server, Shopify, secrets,
};

/// Reads every section; what is wrong is noted in the reader.
pub(super) fn all(r: &mut Reader<'_>, mut warnings: Vec<String>) -> Config {
    let data_dir = PathBuf::from(r.filled("data_dir"));
    let openai = openai(r);
    Config {
        server: server(r, &mut warnings),
        database: database(r, &data_dir),
        calls: calls(r),
        engine: engine(r, openai.key.is_some()),
        exotel: exotel(r, &mut warnings),
        actions: Actions { trusted_hosts: r.list("actions.trusted_hosts") },
        shopify: shopify(r),
        limits: limits(r),
        security: security(r),
        recording: recording(r, &data_dir),
        log: log(r),
        openai,
        data_dir,
        warnings,
        described: Vec::new(),
    }
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

fn server(r: &mut Reader<'_>, warnings: &mut Vec<String>) -> Server {
    let host = match r.filled("server.host").as_str() {
        "localhost" => IpAddr::from([127, 0, 0, 1]),
        text => text.parse().unwrap_or_else(|_| {
            r.problem("server.host", "expected an IP address such as 0.0.0.0, 127.0.0.1 or ::");
            IpAddr::from([0, 0, 0, 0])
        }),
    };
    let port = u16::try_from(r.whole("server.port", 0..=65_535)).unwrap_or_default();
    let public_url = public_url(r, port, warnings);
    let trusted_proxies = networks(r);
    if public_url.http().starts_with("https:") && trusted_proxies.is_empty() {
        warnings.push(
            "server.trusted_proxies is empty: behind a proxy, all requests count as one address, for limits, allow-lists \
             and the audit log; set it to the proxy's address"
                .to_owned(),
        );
    }
    Server {
        host,
        port,
        public_url,
        workers: r.count("server.workers", 0..=64) as usize,
        trusted_proxies,
        cors_origins: origins(r),
        max_connections: r.count("server.max_connections", 0..=1_000_000) as usize,
        body_deadline: r.duration("server.body_deadline", Duration::from_millis(100)..=HOUR),
        drain_grace: r.duration("server.drain_grace", Duration::ZERO..=DAY),
        shutdown_timeout: r.duration("server.shutdown_timeout", Duration::ZERO..=HOUR),
    }
}

fn networks(r: &mut Reader<'_>) -> Vec<Network> {
    let mut networks = Vec::new();
    for text in r.list("server.trusted_proxies") {
        match Network::parse(&text) {
            Some(network) => networks.push(network),
            None => {
                r.problem(
                    "server.trusted_proxies",
                    &format!("{text} is neither an address nor a network like 10.0.0.0/8"),
                );
            }
        }
    }
    networks
}

/// Compared letter for letter with what browsers send, so only their spelling of an origin is taken.
fn origins(r: &mut Reader<'_>) -> Vec<String> {
    let origins = r.list("server.cors_origins");
    for text in &origins {
        let is_origin = url::Url::parse(text)
            .is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.origin().ascii_serialization() == *text);
        if !is_origin {
            r.problem(
                "server.cors_origins",
                &format!(
                    "{text} is not an origin like https://desk.example.com: scheme, host and port, no slash, no *"
                ),
            );
        }
    }
    origins
}

fn public_url(r: &mut Reader<'_>, port: u16, warnings: &mut Vec<String>) -> PublicUrl {
    let local = PublicUrl::local(port);
    let text = r.text("server.public_url");
    if text.is_empty() {
        warnings.push(format!("server.public_url is not set: {} is used, which no carrier can reach", local.http()));
        return local;
    }
    match PublicUrl::parse(&text) {
        Ok(url) => url,
        Err(reason) => {
            r.problem("server.public_url", &format!("{reason}; expected something like https://voice.example.com"));
            local
        }
    }
}

fn database(r: &mut Reader<'_>, data_dir: &Path) -> Database {
    let text = r.text("database.url");
    r.text("database.url_file");
    let url = if text.is_empty() { format!("sqlite://{}/caly.db", data_dir.display()) } else { text };
    if !["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        r.problem("database.url", "expected sqlite://path or postgres://user@host/name");
    }
    if url.starts_with("postgres") && url::Url::parse(&url).is_err() {
        r.problem("database.url", "not a URL; reserved characters in a password are percent-encoded (@ is %40)");
    }
    let from_file = matches!(r.settings.get("database.url").map(|s| &s.source), Some(Source::File(_)));
    if from_file && url::Url::parse(&url).is_ok_and(|url| url.password().is_some()) {
        r.problem(
            "database.url",
            "a password must not stand in a configuration file: set DATABASE_URL or database.url_file",
        );
    }
    Database {
        url: url.into(),
        max_connections: r.count("database.max_connections", 1..=200),
        acquire_timeout: r.duration("database.acquire_timeout", Duration::from_millis(100)..=HOUR),
        statement_timeout: r.duration("database.statement_timeout", Duration::from_millis(100)..=HOUR),
    }
}

fn calls(r: &mut Reader<'_>) -> Calls {
    let short = Duration::from_millis(100)..=HOUR;
    Calls {
        max_live: r.count("calls.max_live", 1..=100_000) as usize,
        max_live_per_client: r.count("calls.max_live_per_client", 1..=100_000) as usize,
        shed_lag: r.duration("calls.shed_lag", Duration::ZERO..=HOUR),
        memory_max_mb: u64::from(r.count("calls.memory_max_mb", 0..=1_000_000)),
        remember: r.duration("calls.remember", SECOND..=DAY),
        limits: CallLimits {
            answer: r.duration("calls.answer", short.clone()),
            idle_media: r.duration("calls.idle_media", short.clone()),
            idle_speech: r.duration("calls.idle_speech", short.clone()),
            engine_progress: r.duration("calls.engine_progress", short.clone()),
            first_audio: r.duration("calls.first_audio", short.clone()),
            answer_gap: r.duration("calls.answer_gap", short.clone()),
            session_age: r.duration("calls.session_age", SECOND..=HOUR),
            max_duration: r.duration("calls.max_duration", SECOND..=DAY),
            teardown: r.duration("calls.teardown", short.clone()),
            last_words: r.duration("calls.last_words", short),
            reprompts: r.count("calls.reprompts", 0..=10),
            hello: r.duration("calls.hello", Duration::ZERO..=Duration::from_secs(15)),
            filler_after: r.duration("calls.filler_after", Duration::ZERO..=HOUR),
            filler_again: r.duration("calls.filler_again", Duration::ZERO..=HOUR),
            time_warning: r.duration("calls.time_warning", Duration::ZERO..=HOUR),
            summary_at: r.count("calls.summary_at", 0..=80),
            summary_keeps: r.count("calls.summary_keeps", 1..=50),
        },
    }
}

fn engine(r: &mut Reader<'_>, has_key: bool) -> Engine {
    let auto = if has_key { Provider::OpenAi } else { Provider::Sandbox };
    let providers = [("auto", auto), ("openai", Provider::OpenAi), ("sandbox", Provider::Sandbox)];
    let provider = r.choice("engine.provider", &providers).unwrap_or(auto);
    if provider == Provider::OpenAi && !has_key {
        r.problem("engine.provider", "openai needs a key: set OPENAI_API_KEY or openai.key_file");
    }
    let audios = [
        ("auto", AudioChoice::Auto),
        ("pcm24", AudioChoice::Pcm24),
        ("alaw", AudioChoice::ALaw),
        ("mulaw", AudioChoice::MuLaw),
    ];
    Engine {
        provider,
        audio: r.choice("engine.audio", &audios).unwrap_or(AudioChoice::Auto),
        store_greetings: r.flag("engine.store_greetings"),
    }
}

fn secret(r: &mut Reader<'_>, key: &str) -> Option<SecretString> {
    r.text(&format!("{key}_file"));
    let text = r.text(key);
    // A line break or a space inside a key would break the header it is sent in, and mostly means a bad paste.
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        r.problem(key, "holds spaces or control characters");
    }
    Some(text).filter(|text| !text.is_empty()).map(SecretString::from)
}

fn optional(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn openai(r: &mut Reader<'_>) -> OpenAi {
    let ca_file = optional(r.text("openai.ca_file")).map(PathBuf::from);
    if let Some(path) = ca_file.as_ref().filter(|path| !path.is_file()) {
        r.problem("openai.ca_file", &format!("{} is not a file", path.display()));
    }
    let base_url = r.service_url("openai.base_url");
    if base_url.is_empty() {
        r.problem("openai.base_url", "must not be empty");
    }
    let (model, key) = (r.filled("openai.model"), secret(r, "openai.key"));
    OpenAi {
        fallback: fallback(r, &base_url, &model, key.as_ref()),
        base_url,
        model,
        context_tokens: context_tokens(r),
        transcription_model: r.filled("openai.transcription_model"),
        transcription_language: optional(r.text("openai.transcription_language")),
        connect_timeout: r.duration("openai.connect_timeout", Duration::from_millis(100)..=HOUR),
        ca_file,
        key,
    }
}

/// `None`: as the model's page says.
fn context_tokens(r: &mut Reader<'_>) -> Option<u64> {
    let tokens = r.count("openai.context_tokens", 0..=10_000_000);
    if (1..1_000).contains(&tokens) {
        r.problem("openai.context_tokens", "expected 0, or 1000 and more: instructions alone take hundreds");
    }
    Some(u64::from(tokens)).filter(|tokens| *tokens > 0)
}

/// The second engine, if one is told.
fn fallback(r: &mut Reader<'_>, first: &str, model: &str, key: Option<&SecretString>) -> Option<FallbackOpenAi> {
    let (address, other) = (r.service_url("openai.fallback_base_url"), r.text("openai.fallback_model"));
    let own = secret(r, "openai.fallback_key");
    if address.is_empty() && other.is_empty() {
        if own.is_some() {
            r.problem("openai.fallback_key", "for what? Set openai.fallback_base_url or openai.fallback_model");
        }
        return None;
    }
    let same = address.is_empty() || address == first;
    let Some(key) = own.or_else(|| key.filter(|_| same).cloned()) else {
        // Without any key the sandbox speaks, which needs no second.
        if !same {
            r.problem("openai.fallback_key", "is needed: the first service's key is not sent to another address");
        }
        return None;
    };
    let filled = |text: String, otherwise: &str| if text.is_empty() { otherwise.to_owned() } else { text };
    Some(FallbackOpenAi { base_url: filled(address, first), model: filled(other, model), key })
}

fn exotel(r: &mut Reader<'_>, warnings: &mut Vec<String>) -> Exotel {
    let regions = [("mumbai", "https://api.in.exotel.com"), ("singapore", "https://api.exotel.com")];
    let by_region = r.choice("exotel.region", &regions).unwrap_or_default();
    let base_url = optional(r.service_url("exotel.base_url")).unwrap_or_else(|| by_region.to_owned());
    let account_sid = optional(r.text("exotel.account_sid"));
    let (api_key, api_token) = (secret(r, "exotel.api_key"), secret(r, "exotel.api_token"));
    let given = [account_sid.is_some(), api_key.is_some(), api_token.is_some()];
    if given.contains(&true) && given.contains(&false) {
        warnings.push("exotel: account_sid, api_key and api_token are needed together; REST stays off".to_owned());
    }
    let sample_rate = u32::try_from(r.whole("exotel.sample_rate", 8000..=24_000)).unwrap_or(8000);
    if ![8000, 16_000, 24_000].contains(&sample_rate) {
        r.problem("exotel.sample_rate", "expected 8000, 16000 or 24000");
    }
    Exotel {
        base_url,
        account_sid,
        api_key,
        api_token,
        sample_rate,
        recording_hosts: r.list("exotel.recording_hosts"),
        ask_after: r.duration("exotel.ask_after", SECOND..=HOUR),
        request_timeout: r.duration("exotel.request_timeout", Duration::from_millis(100)..=HOUR),
    }
}

fn shopify(r: &mut Reader<'_>) -> Shopify {
    let api_version = r.filled("shopify.api_version");
    let part = |from: usize, to: usize| api_version.get(from..to).and_then(|digits| digits.parse::<u16>().ok());
    let fits = api_version.len() == 7
        && api_version.as_bytes()[4] == b'-'
        && part(0, 4).is_some_and(|year| year >= 2025)
        && part(5, 7).is_some_and(|month| matches!(month, 1 | 4 | 7 | 10));
    if !fits {
        r.problem("shopify.api_version", "expected a quarter such as 2026-10");
    }
    Shopify {
        base_url: optional(r.service_url("shopify.base_url")),
        api_version,
        request_timeout: r.duration("shopify.request_timeout", Duration::from_millis(100)..=HOUR),
    }
}

fn limits(r: &mut Reader<'_>) -> Limits {
    const MOST: u32 = 1_000_000;
    Limits {
        webhooks_per_client_per_minute: r.count("limits.webhooks_per_client_per_minute", 1..=MOST),
        calls_per_caller_per_minute: r.count("limits.calls_per_caller_per_minute", 1..=MOST),
        api_per_key_per_second: r.count("limits.api_per_key_per_second", 1..=MOST),
        failed_auth_per_address_per_minute: r.count("limits.failed_auth_per_address_per_minute", 1..=MOST),
        requests_per_address_per_second: r.count("limits.requests_per_address_per_second", 1..=MOST),
        tracked_keys: r.count("limits.tracked_keys", 100..=10_000_000) as usize,
    }
}

fn security(r: &mut Reader<'_>) -> Security {
    let token_secret = secret(r, "security.token_secret");
    let length = token_secret.as_ref().map(|s| s.expose_secret().len());
    if length.is_some_and(|length| length < secrets::SHORTEST_TOKEN_SECRET) {
        let reason = format!("must have at least {} characters", secrets::SHORTEST_TOKEN_SECRET);
        r.problem("security.token_secret", &reason);
    }
    Security { media_token_ttl: r.duration("security.media_token_ttl", SECOND..=HOUR), token_secret }
}

fn recording(r: &mut Reader<'_>, data_dir: &Path) -> Recording {
    let dir = optional(r.text("recording.dir")).map_or_else(|| data_dir.join("recordings"), PathBuf::from);
    Recording { enabled: r.flag("recording.enabled"), dir }
}

fn log(r: &mut Reader<'_>) -> Log {
    let level = r.filled("log.level");
    if let Err(reason) = check_filter(&level) {
        r.problem("log.level", &reason);
    }
    let formats = [("auto", LogFormat::Auto), ("json", LogFormat::Json), ("text", LogFormat::Text)];
    Log { level, format: r.choice("log.format", &formats).unwrap_or(LogFormat::Auto) }
}

/// A filter directive that is a bare word would be taken for the name of a module, so a misspelt level would log all.
fn check_filter(filter: &str) -> Result<(), String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    for part in filter.split(',').map(str::trim) {
        if !part.contains('=') && !LEVELS.contains(&part) {
            let near = nearest(part, LEVELS.into_iter()).map_or_else(String::new, |n| format!("; did you mean {n}?"));
            return Err(format!("expected one of {}, or target=level{near}", LEVELS.join(", ")));
        }
    }
    EnvFilter::builder().parse(filter).map(drop).map_err(|e| format!("not a log filter: {e}"))
}
