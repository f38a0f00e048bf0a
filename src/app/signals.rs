//! What the process is told from outside: end (politely, or at once), or read the configuration anew.

use std::process::ExitCode;
use std::time::Duration;

use actix_web::web;
use caly_actors::supervisor::{AdmissionLimits, Calls};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{Config, LoadArgs, Source};
use crate::http::App;
use crate::telemetry::Logs;
use crate::watch::{self, Overload};

/// After the grace period: the last sentence of every call, and its teardown.
const LAST_SENTENCE: Duration = Duration::from_secs(15);
/// Keys that are in use at once when SIGHUP asks for it; others need a restart.
const RELOADED: &[&str] = &["limits.", "calls.", "log.level"];

/// The signals that are heard, from early in the start on: before that they end the process at once.
pub(super) struct Told {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Told {
    /// Listens.
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

/// Waits for a signal and for the calls to end. A second signal ends at once.
pub(super) async fn until_told(app: &web::Data<App>, logs: &Logs, load: &LoadArgs, told: Told) -> ExitCode {
    let Told { mut terminate, mut interrupt, mut hang_up } = told;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => {
                // Reading may wait for the database; an end may not.
                tokio::select! {
                    () = reload(app, logs, load) => {}
                    _ = terminate.recv() => break,
                    _ = interrupt.recv() => break,
                }
            }
        }
    }
    watch::notify(&[NotifyState::Stopping]);
    let live = app.calls.slots_taken();
    tracing::info!(live, grace_s = app.config.server.drain_grace.as_secs(), "draining: new calls are refused");
    app.calls.start_draining();
    app.api.end_streams();
    tokio::select! {
        () = drained(&app.calls, app.config.server.drain_grace) => ExitCode::SUCCESS,
        _ = terminate.recv() => ExitCode::FAILURE,
        _ = interrupt.recv() => ExitCode::FAILURE,
    }
}

/// Limits, the log level, clients and agents as they are now. What is wrong changes nothing.
async fn reload(app: &web::Data<App>, logs: &Logs, load: &LoadArgs) {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => watch::notify(&[NotifyState::Reloading, now]),
        Err(_) => watch::notify(&[NotifyState::Reloading]),
    }
    let configured = match read(app, load) {
        Ok(config) => {
            apply(app, logs, &config);
            true
        }
        Err(error) => {
            tracing::error!(error = %format!("{error:#}"), "the configuration is not as it should be; the former one stays in use");
            false
        }
    };
    let reloaded = app.directory.reload(&app.store).await;
    if let Err(error) = &reloaded {
        tracing::error!(%error, "clients could not be read; the former ones stay in use");
    }
    (app.mended)();
    let ok = configured && reloaded.is_ok();
    metrics::counter!("caly_reloads_total", "ok" => if ok { "true" } else { "false" }).increment(1);
    tracing::info!(ok, limits_and_log_level = configured, clients_and_agents = reloaded.is_ok(), "read anew");
    watch::notify(&[NotifyState::Ready]);
}

/// The configuration as it is now. A file that was read at the start and is gone is no reason to fall back to defaults.
fn read(app: &App, load: &LoadArgs) -> anyhow::Result<Config> {
    let files = app.config.describe().iter().filter_map(|known| match &known.source {
        Source::File(path) => Some(path),
        _ => None,
    });
    if let Some(gone) = files.into_iter().find(|path| !path.exists()) {
        anyhow::bail!("{} is gone: put it back", gone.display());
    }
    Ok(Config::load(load)?)
}

fn apply(app: &App, logs: &Logs, config: &Config) {
    if let Err(error) = logs.set_level(&config.log.level) {
        tracing::error!(%error, "log.level");
    }
    app.limits.reload(&config.limits);
    app.calls.set_limits(AdmissionLimits { process: config.calls.max_live, client: config.calls.max_live_per_client });
    app.calls.set_remember(config.calls.remember);
    app.directory.set_limits(config.calls.limits);
    app.watch.set_overload(overload(config));
    for key in needs_restart(&app.config, config) {
        tracing::warn!(setting = key, "this setting has changed; it is in use after a restart");
    }
}

/// When new calls are refused, as configured.
pub(super) fn overload(config: &Config) -> Overload {
    let memory = match config.calls.memory_max_mb {
        0 => watch::memory_allowed(),
        megabytes => megabytes.saturating_mul(1024 * 1024),
    };
    Overload { lag: config.calls.shed_lag, memory }
}

/// Keys that differ and are not among those in use at once.
fn needs_restart(former: &Config, now: &Config) -> Vec<String> {
    let same = |key: &str, value: &str| former.describe().iter().any(|known| known.key == key && known.value == value);
    let changed = now.describe().iter().filter(|key| !same(&key.key, &key.value));
    changed.map(|key| key.key.clone()).filter(|key| !RELOADED.iter().any(|prefix| key.starts_with(prefix))).collect()
}

async fn drained(calls: &Calls, grace: Duration) {
    if none_left(calls, grace).await {
        return;
    }
    tracing::warn!(live = calls.slots_taken(), "the grace period is over: calls are ended with a sentence");
    calls.end_all();
    none_left(calls, LAST_SENTENCE).await;
}

async fn none_left(calls: &Calls, within: Duration) -> bool {
    let wait = async {
        while calls.slots_taken() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(within, wait).await.is_ok()
}
