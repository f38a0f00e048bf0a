//! `caly check`: the configuration as it is in force, then each outside system tried, and what to do about it.
//!
//! Writes to whatever it is given; the caller turns the answer into an exit code. Systems that belong to another room
//! (the database) come in as a [`Probe`].

mod mcp;
mod shops;

use std::borrow::Cow;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::{LocalBoxFuture, join_all};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::config::{Config, ConfigErrors, Provider};
use crate::redact::redact;

pub use mcp::probes as mcp_probes;

/// Longest time for one probe.
const DEADLINE: Duration = Duration::from_secs(15);
/// Below this much free disk the check fails, in KiB.
const LEAST_FREE_KIB: u64 = 100 << 10;
/// Below this much it warns: about 17 hours of recordings.
const LITTLE_FREE_KIB: u64 = 2 << 20;

/// What a probe found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finding {
    /// It works; the text says what was seen.
    Works(String),
    /// It is not used with this configuration.
    Unused(String),
    /// Calls can be taken, but not as well as they could be.
    Weak {
        /// What was seen.
        detail: String,
        /// What to do.
        fix: String,
    },
    /// It does not work.
    Broken {
        /// What was seen.
        detail: String,
        /// What to do.
        fix: String,
    },
}

impl Finding {
    /// A thing that does not work and what to do about it.
    pub fn broken(detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Broken { detail: detail.into(), fix: fix.into() }
    }

    /// A thing that could be better and how.
    pub fn weak(detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Weak { detail: detail.into(), fix: fix.into() }
    }

    fn parts(&self) -> (&'static str, &str, Option<&str>) {
        match self {
            Self::Works(detail) => ("ok", detail, None),
            Self::Unused(detail) => ("unused", detail, None),
            Self::Weak { detail, fix } => ("warning", detail, Some(fix)),
            Self::Broken { detail, fix } => ("failed", detail, Some(fix)),
        }
    }
}

/// One outside system and how to try it. The future is given 15 s and is dropped then.
pub struct Probe {
    /// Shown to the operator.
    pub name: Cow<'static, str>,
    /// Tries it once.
    pub run: Box<dyn FnOnce() -> LocalBoxFuture<'static, Finding>>,
}

impl Probe {
    /// Boxes a closure.
    pub fn new<F>(name: impl Into<Cow<'static, str>>, run: impl FnOnce() -> F + 'static) -> Self
    where
        F: Future<Output = Finding> + 'static,
    {
        Self { name: name.into(), run: Box::new(move || Box::pin(run())) }
    }

    async fn tried(self) -> (Cow<'static, str>, Finding) {
        let found = tokio::time::timeout(DEADLINE, (self.run)()).await;
        let late = || Finding::broken(format!("no answer within {DEADLINE:?}"), "check the network and the address");
        (self.name, found.unwrap_or_else(|_| late()))
    }
}

/// Prints the configuration and tries every probe at the same time. `true`: nothing is broken.
///
/// # Errors
/// `out` cannot be written.
pub async fn run(config: &Config, probes: Vec<Probe>, as_json: bool, out: &mut dyn Write) -> io::Result<bool> {
    let found = join_all(probes.into_iter().map(Probe::tried)).await;
    let sound = !found.iter().any(|(_, finding)| matches!(finding, Finding::Broken { .. }));
    if as_json {
        write_json(config, &found, sound, out)?
    } else {
        write_text(config, &found, sound, out)?
    }
    Ok(sound)
}

/// Prints why there is no configuration to check; for people as [`ConfigErrors`] says it.
///
/// # Errors
/// `out` cannot be written.
pub fn refuse(errors: &ConfigErrors, as_json: bool, out: &mut dyn Write) -> io::Result<()> {
    if !as_json {
        return writeln!(out, "{errors}");
    }
    let problems: Vec<_> = errors.0.iter().map(|p| json!({ "key": p.key, "reason": p.reason })).collect();
    writeln!(out, "{}", json!({ "ok": false, "problems": problems }))
}

fn write_json(config: &Config, found: &[(Cow<'_, str>, Finding)], sound: bool, out: &mut dyn Write) -> io::Result<()> {
    let settings: Vec<_> = config
        .describe()
        .iter()
        .map(|d| json!({ "key": d.key, "value": d.value, "source": d.source.to_string() }))
        .collect();
    let checks: Vec<_> = found
        .iter()
        .map(|(name, finding)| {
            let (state, detail, fix) = finding.parts();
            json!({ "name": name, "state": state, "detail": redact(detail), "fix": fix })
        })
        .collect();
    let report = json!({ "ok": sound, "configuration": settings, "warnings": config.warnings, "checks": checks });
    writeln!(out, "{report}")
}

fn write_text(config: &Config, found: &[(Cow<'_, str>, Finding)], sound: bool, out: &mut dyn Write) -> io::Result<()> {
    let described = config.describe();
    let keys = described.iter().map(|d| d.key.len()).max().unwrap_or(0);
    let values = described.iter().map(|d| d.value.chars().count()).max().unwrap_or(0).min(44);
    for line in described {
        let value = if line.value.is_empty() { "-" } else { &line.value };
        writeln!(out, "{:keys$}  {value:values$}  {}", line.key, line.source)?;
    }
    writeln!(out)?;
    for warning in &config.warnings {
        writeln!(out, "warning  {warning}")?;
    }
    for (name, finding) in found {
        let (state, detail, fix) = finding.parts();
        writeln!(out, "{state:7}  {name}: {}", redact(detail))?;
        if let Some(fix) = fix {
            writeln!(out, "         fix: {fix}")?;
        }
    }
    writeln!(out, "\n{}", if sound { "Caly can take calls." } else { "Caly cannot take calls until this is mended." })
}

/// The probes that need nothing but the configuration and an HTTP client that trusts what the engine's does.
#[must_use]
pub fn probes(config: &Config, client: &awc::Client) -> Vec<Probe> {
    let recording = config.recording.enabled.then(|| config.recording.dir.clone());
    let data_dir = config.data_dir.clone();
    vec![
        public_url(config),
        Probe::new("disk", move || disk(data_dir, recording)),
        engine(config, client.clone()),
        exotel(config, client.clone()),
    ]
}

fn public_url(config: &Config) -> Probe {
    let url = config.server.public_url.clone();
    Probe::new("public url", move || async move {
        if url.is_local() {
            return Finding::weak(
                format!("{} is this machine: no carrier can reach it", url.http()),
                "set PUBLIC_URL to the https:// address of this server, as the carrier sees it",
            );
        }
        let host = url.authority();
        let with_port = if url::Url::parse(&url.http()).is_ok_and(|u| u.port().is_some()) {
            host.to_owned()
        } else {
            format!("{host}:443")
        };
        match tokio::net::lookup_host(with_port).await.map(|mut addresses| addresses.next()) {
            Ok(Some(address)) => Finding::Works(format!("{} is {}", url.http(), address.ip())),
            Ok(None) => Finding::broken(format!("{host} has no address"), "add a DNS record for it"),
            Err(error) => Finding::broken(
                format!("{host} cannot be resolved: {error}"),
                "correct PUBLIC_URL or add a DNS record for it",
            ),
        }
    })
}

async fn disk(data_dir: PathBuf, recordings: Option<PathBuf>) -> Finding {
    let look = move || {
        let mut seen = Vec::new();
        for dir in [Some(data_dir), recordings].into_iter().flatten() {
            match look_at(&dir) {
                Finding::Works(detail) => seen.push(detail),
                other => return other,
            }
        }
        Finding::Works(seen.join(", "))
    };
    tokio::task::spawn_blocking(look).await.unwrap_or_else(|e| Finding::broken(e.to_string(), "run the check again"))
}

fn look_at(dir: &Path) -> Finding {
    let shown = dir.display();
    let file = dir.join(format!(".check-{}", uuid::Uuid::now_v7()));
    let written = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .and_then(|()| std::fs::write(&file, b"caly"));
    let _ = std::fs::remove_file(&file);
    if let Err(error) = written {
        let fix = format!("make {shown} writable for this user, or set data_dir and recording.dir");
        return Finding::broken(format!("{shown} cannot be written: {error}"), fix);
    }
    match free_kib(dir) {
        Some(free) if free < LEAST_FREE_KIB => {
            Finding::broken(format!("{shown} has {} MiB left", free >> 10), "make room on this disk")
        }
        Some(free) if free < LITTLE_FREE_KIB => {
            Finding::weak(format!("{shown} has {} MiB left", free >> 10), "make room on this disk")
        }
        Some(free) => Finding::Works(format!("{shown} is writable, {} GiB free", free >> 20)),
        None => Finding::Works(format!("{shown} is writable, free space unknown")),
    }
}

/// Free space by POSIX `df`: the standard library does not tell, and a system call of our own would be unsafe code.
fn free_kib(dir: &Path) -> Option<u64> {
    let output = std::process::Command::new("df").arg("-Pk").arg(dir).output().ok()?;
    String::from_utf8_lossy(&output.stdout).lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()
}

fn engine(config: &Config, client: awc::Client) -> Probe {
    let (provider, openai) = (config.engine.provider, config.openai.clone());
    Probe::new("engine", move || async move {
        let Some(key) = openai.key.filter(|_| provider == Provider::OpenAi) else {
            return Finding::weak(
                "the built-in sandbox speaks: callers hear canned answers",
                "set OPENAI_API_KEY for a real conversation",
            );
        };
        // The model's page answers with a body where a refused WebSocket does not.
        let base = openai.base_url.replacen("wss://", "https://", 1).replacen("ws://", "http://", 1);
        let request = client.get(format!("{base}/models/{}", openai.model)).bearer_auth(key.expose_secret());
        match status(request).await {
            Ok(200) => Finding::Works(format!("{} knows model {}", base, openai.model)),
            Ok(401 | 403) => Finding::broken("the key is refused", "set OPENAI_API_KEY to a key of this account"),
            Ok(404) => Finding::broken(
                format!("model {} is not available to this key", openai.model),
                "set CALY__OPENAI__MODEL to a realtime model of this account",
            ),
            Ok(429) => Finding::broken("no quota left, or too many requests", "add credit to the OpenAI account"),
            Ok(other) => Finding::broken(format!("{base} answered {other}"), "try again; check OPENAI_BASE_URL"),
            Err(error) => Finding::broken(format!("{base}: {error}"), "check the network and OPENAI_BASE_URL"),
        }
    })
}

fn exotel(config: &Config, client: awc::Client) -> Probe {
    let exotel = config.exotel.clone();
    Probe::new("exotel", move || async move {
        let (Some(account), Some(key), Some(token)) = (exotel.account_sid, exotel.api_key, exotel.api_token) else {
            return Finding::Unused("no REST credentials; each client can have its own".to_owned());
        };
        let url = format!("{}/v1/Accounts/{account}/Calls.json?PageSize=1", exotel.base_url);
        match status(client.get(url).basic_auth(key.expose_secret(), token.expose_secret())).await {
            Ok(200) => Finding::Works(format!("{} accepts the credentials", exotel.base_url)),
            Ok(401 | 403) => Finding::broken(
                "the credentials are refused",
                "check exotel.account_sid, api_key and api_token, and exotel.region: an account lives in one region",
            ),
            Ok(404) => Finding::broken("no such account", "check exotel.account_sid and exotel.region"),
            Ok(other) => Finding::broken(format!("{} answered {other}", exotel.base_url), "try again later"),
            Err(error) => Finding::broken(format!("{}: {error}", exotel.base_url), "check the network"),
        }
    })
}

async fn status(request: awc::ClientRequest) -> Result<u16, String> {
    let sent = request.timeout(DEADLINE).send().await;
    sent.map(|response| response.status().as_u16()).map_err(|error| error.to_string())
}

pub use shops::try_shops;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LoadArgs;

    fn config(pairs: &[(&str, &str)]) -> Config {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("empty.toml");
        std::fs::write(&file, "").unwrap();
        let env: Vec<_> = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Config::load_from(&LoadArgs { file: Some(file), overrides: Vec::new() }, &env).unwrap()
    }

    fn fixed(name: &'static str, finding: Finding) -> Probe {
        Probe::new(name, move || std::future::ready(finding))
    }

    async fn report(config: &Config, probes: Vec<Probe>, as_json: bool) -> (bool, String) {
        let mut out = Vec::new();
        let sound = run(config, probes, as_json, &mut out).await.unwrap();
        (sound, String::from_utf8(out).unwrap())
    }

    /// A vendor that answers every request with one status.
    fn vendor(status: u16) -> (actix_web::dev::ServerHandle, String) {
        let app = move || {
            let answer = move || async move {
                actix_web::HttpResponse::build(actix_web::http::StatusCode::from_u16(status).unwrap()).finish()
            };
            actix_web::App::new().default_service(actix_web::web::to(answer))
        };
        let server = actix_web::HttpServer::new(app).workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        actix_rt::spawn(server);
        (handle, address)
    }

    fn client() -> awc::Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        awc::Client::default()
    }

    #[actix_rt::test]
    async fn every_key_is_listed_with_its_origin_and_no_secret_is_shown() {
        let config = config(&[("PORT", "9001"), ("OPENAI_API_KEY", "sk-secret-012345")]);
        let (sound, text) = report(&config, vec![fixed("database", Finding::Works("up".into()))], false).await;
        assert!(sound && text.contains("ok       database: up") && text.contains("Caly can take calls."), "{text}");
        let port = text.lines().find(|l| l.starts_with("server.port ")).unwrap();
        assert!(port.contains("9001") && port.ends_with("PORT"), "{port}");
        assert!(!text.contains("secret-012345"), "{text}");
        assert_eq!(text.lines().filter(|l| l.ends_with("default")).count(), config.describe().len() - 2);
    }

    #[actix_rt::test]
    async fn one_broken_system_fails_the_check_and_says_what_to_do() {
        let probes = || {
            vec![
                fixed("database", Finding::broken("postgres://u:pw@db refused", "start it")),
                fixed("engine", Finding::weak("sandbox", "set a key")),
            ]
        };
        let (sound, text) = report(&config(&[]), probes(), false).await;
        assert!(
            !sound && text.contains("failed   database: postgres://***@db refused\n         fix: start it"),
            "{text}"
        );
        let (_, text) = report(&config(&[]), probes(), true).await;
        let report: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&report["ok"], &report["checks"][1]["state"]), (&false.into(), &"warning".into()));
        assert_eq!(report["checks"][0]["fix"], "start it");
    }

    #[actix_rt::test]
    async fn refusals_of_the_engine_are_told_apart() {
        for (answer, expected) in [(200, "ok"), (401, "failed"), (404, "failed"), (429, "failed"), (500, "failed")] {
            let (server, address) = vendor(answer);
            let config = config(&[("OPENAI_API_KEY", "k"), ("OPENAI_BASE_URL", &address)]);
            let (_, finding) = engine(&config, client()).tried().await;
            assert_eq!(finding.parts().0, expected, "{answer}: {finding:?}");
            server.stop(false).await;
        }
        let gone = config(&[("OPENAI_API_KEY", "k"), ("OPENAI_BASE_URL", "http://127.0.0.1:1")]);
        assert_eq!(engine(&gone, client()).tried().await.1.parts().0, "failed");
        assert_eq!(engine(&config(&[]), client()).tried().await.1.parts().0, "warning");
    }

    #[actix_rt::test]
    async fn exotel_is_tried_only_with_credentials() {
        assert_eq!(exotel(&config(&[]), client()).tried().await.1.parts().0, "unused");
        for (answer, expected) in [(200, "ok"), (401, "failed"), (404, "failed")] {
            let (server, address) = vendor(answer);
            let config = config(&[
                ("CALY__EXOTEL__BASE_URL", &address),
                ("CALY__EXOTEL__ACCOUNT_SID", "acme1"),
                ("CALY__EXOTEL__API_KEY", "k"),
                ("CALY__EXOTEL__API_TOKEN", "t"),
            ]);
            assert_eq!(exotel(&config, client()).tried().await.1.parts().0, expected);
            server.stop(false).await;
        }
    }

    #[actix_rt::test]
    async fn a_directory_that_cannot_be_made_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(disk(file.join("data"), None).await.parts().0, "failed");
        let fine = disk(dir.path().join("data"), Some(dir.path().join("recordings"))).await;
        assert_ne!(fine.parts().0, "failed", "{fine:?}");
        assert_eq!(std::fs::read_dir(dir.path().join("data")).unwrap().count(), 0, "the trial file was left behind");
    }

    #[actix_rt::test]
    async fn a_public_url_of_this_machine_is_a_warning() {
        assert_eq!(public_url(&config(&[])).tried().await.1.parts().0, "warning");
        let nowhere = config(&[("PUBLIC_URL", "https://nowhere.invalid")]);
        assert_eq!(public_url(&nowhere).tried().await.1.parts().0, "failed");
    }
}
