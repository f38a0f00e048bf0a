//! The composition root: the only place where rooms meet. Starts the server and, written once, stops it.

mod sandbox;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::web;
use anyhow::Context as _;
use caly_actors::domain::CallFacts;
use caly_actors::ports::{Engine, EngineAudio, Journal, Ports, RecordingTap, Recordings};
use caly_actors::supervisor::{AdmissionLimits, CallSupervisor, Calls};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::signal::unix::{SignalKind, signal};
use url::Url;

use crate::actions::Catalogue;
use crate::actions::http::HttpActions;
use crate::carriers::exotel::webhook::RecordingHosts;
use crate::cli;
use crate::config::{AudioChoice, Config, Provider};
use crate::directory::Directory;
use crate::engines::openai::{OpenAi, OpenAiOptions};
use crate::http::{self, App};
use crate::limits::RateLimits;
use crate::outbound::Outbound;
use crate::phrases::StoredPhrases;
use crate::record::WavRecordings;
use crate::sim::engine::EngineServer;
use crate::store::recorder::{Recorder, RecorderOptions, Write};
use crate::store::{RecordingFact, Store};
use crate::telemetry;
use crate::tokens::Tokens;

/// How often clients are read anew.
const DIRECTORY_REFRESH: Duration = Duration::from_secs(3);
/// After the grace period: the last sentence of every call, and its teardown.
const LAST_SENTENCE: Duration = Duration::from_secs(15);
/// For what the recorder has not written at the end.
const RECORDER_STOP: Duration = Duration::from_secs(5);

/// Serves until told to stop.
///
/// # Errors
/// Something that cannot be started; the text says what to do.
pub async fn serve(config: Config, demo: bool) -> anyhow::Result<ExitCode> {
    let _logs = telemetry::init_logs(&config.log).map_err(anyhow::Error::msg)?;
    let metrics = telemetry::init_metrics().map_err(anyhow::Error::msg)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    caly_actors::understand::prepare();
    let config = Arc::new(config);
    let store = cli::connect(&config).await?;
    let recorder = Recorder::start(store.clone(), &config.data_dir.join("spool"), RecorderOptions::default());
    let directory = Directory::new(config.calls.limits);
    let (engine, sandbox_engine) = engine(&config).await?;
    let ports = ports(&config, engine, &directory, &recorder)?;
    let limits = AdmissionLimits { process: config.calls.max_live, client: config.calls.max_live_per_client };
    let calls = Calls::new(ports.ports, audio(&config), limits);
    let secret = config.token_secret().map_err(anyhow::Error::msg)?;
    let app = web::Data::new(App {
        config: Arc::clone(&config),
        started: Instant::now(),
        store: store.clone(),
        recorder: Arc::clone(&recorder),
        directory: directory.clone(),
        calls: Arc::clone(&calls),
        tokens: Tokens::new(secret.expose_secret().as_bytes()),
        limits: RateLimits::new(&config.limits),
        metrics,
        recording_hosts: recording_hosts(&config)?,
    });
    let (server, address) = listen(&app)?;
    let handle = server.handle();
    let serving = actix_rt::spawn(server);
    let supervisor = CallSupervisor::start(Arc::clone(&calls));
    prepare_database(
        &store,
        &recorder,
        &directory,
        sandbox_engine.is_some().then(|| Arc::clone(&config)),
        address.port(),
    )
    .await;
    actix_rt::spawn(directory.clone().keep_fresh(store.clone(), DIRECTORY_REFRESH));
    tracing::info!(%address, public_url = config.server.public_url.http(), engine = provider_name(&config), "serving");
    if let Some(sandbox) = &sandbox_engine {
        sandbox::announce(&config, address.port(), &sandbox.url);
    }
    if demo {
        sandbox::ring_demo(&config, address.port());
    }
    let code = until_told(&app, &store).await;
    supervisor.do_send(caly_actors::call::Stop);
    recorder.stop(RECORDER_STOP).await;
    if let Some(recordings) = ports.recordings {
        recordings.finish(Duration::from_secs(2));
    }
    handle.stop(true).await;
    let _ = serving.await;
    if let Some(sandbox) = sandbox_engine {
        sandbox.stop().await;
    }
    store.close().await;
    tracing::info!("stopped");
    Ok(code)
}

fn provider_name(config: &Config) -> &'static str {
    match config.engine.provider {
        Provider::OpenAi => "openai",
        Provider::Sandbox => "sandbox",
    }
}

/// The engine, and the simulated service behind it if there is no real one.
async fn engine(config: &Config) -> anyhow::Result<(Arc<dyn Engine>, Option<EngineServer>)> {
    let (base_url, key, sandbox) = match config.engine.provider {
        Provider::OpenAi => {
            let key = config.openai.key.clone().context("OPENAI_API_KEY is not set")?;
            (config.openai.base_url.clone(), key, None)
        }
        Provider::Sandbox => {
            let sandbox = sandbox::engine().await?;
            (sandbox.url.trim_end_matches("/realtime").to_owned(), SecretString::from("sandbox"), Some(sandbox))
        }
    };
    let mut options = OpenAiOptions::new(Url::parse(&base_url).context("openai.base_url")?, key);
    options.model.clone_from(&config.openai.model);
    options.transcription_model = Some(config.openai.transcription_model.clone());
    options.transcription_language.clone_from(&config.openai.transcription_language);
    options.connect_timeout = config.openai.connect_timeout;
    options.ca_file.clone_from(&config.openai.ca_file);
    Ok((Arc::new(OpenAi::new(options)?), sandbox))
}

/// The cheapest format that loses nothing audible: telephone audio at 8 kHz was A-law before, and is again.
fn audio(config: &Config) -> EngineAudio {
    match config.engine.audio {
        AudioChoice::Auto if config.exotel.sample_rate == 8000 => EngineAudio::ALaw,
        AudioChoice::Auto | AudioChoice::Pcm24 => EngineAudio::Pcm24,
        AudioChoice::ALaw => EngineAudio::ALaw,
        AudioChoice::MuLaw => EngineAudio::MuLaw,
    }
}

fn recording_hosts(config: &Config) -> anyhow::Result<RecordingHosts> {
    let mut hosts: Vec<&str> = RecordingHosts::DEFAULT.to_vec();
    hosts.extend(config.exotel.recording_hosts.iter().map(String::as_str));
    RecordingHosts::new(&hosts).map_err(|error| anyhow::anyhow!("exotel.recording_hosts: {error}"))
}

struct Outside {
    ports: Ports,
    recordings: Option<Arc<WavRecordings>>,
}

fn ports(
    config: &Config,
    engine: Arc<dyn Engine>,
    directory: &Directory,
    recorder: &Arc<Recorder>,
) -> anyhow::Result<Outside> {
    let outbound = Outbound::new(None)?;
    let http = HttpActions::new(outbound, directory.clone(), config.actions.trusted_hosts.clone());
    let recordings = match config.recording.enabled {
        true => Some(Arc::new(WavRecordings::start(config.recording.dir.clone()).context("recordings")?)),
        false => None,
    };
    let kept =
        KeptRecordings { inner: recordings.clone(), dir: config.recording.dir.clone(), recorder: Arc::clone(recorder) };
    let ports = Ports {
        engine,
        actions: Arc::new(Catalogue::new(http)),
        journal: Arc::clone(recorder) as Arc<dyn Journal>,
        phrases: Arc::new(StoredPhrases::load()?),
        recordings: Arc::new(kept),
    };
    Ok(Outside { ports, recordings })
}

/// Opens recordings and writes down where they lie.
struct KeptRecordings {
    inner: Option<Arc<WavRecordings>>,
    dir: std::path::PathBuf,
    recorder: Arc<Recorder>,
}

impl Recordings for KeptRecordings {
    fn open(&self, facts: &CallFacts, rate: u32) -> Option<Box<dyn RecordingTap>> {
        let tap = self.inner.as_ref()?.open(facts, rate)?;
        let path = crate::record::path_of(&self.dir, facts.admitted_at, facts.call);
        let relative = path.strip_prefix(&self.dir).unwrap_or(&path).to_string_lossy().into_owned();
        let at = DateTime::<Utc>::from(facts.admitted_at);
        let fact = RecordingFact::by_caly(facts.client, facts.carrier, &facts.carrier_call_id, &relative, None, at);
        self.recorder.submit(Write::Recording(fact));
        Some(tap)
    }
}

fn listen(app: &web::Data<App>) -> anyhow::Result<(actix_web::dev::Server, std::net::SocketAddr)> {
    let settings = &app.config.server;
    http::listen::listen(app).with_context(|| {
        format!("cannot listen on {}:{}: is another server running? set PORT", settings.host, settings.port)
    })
}

/// Migrates, closes what a former process left open and reads the clients; tries again in the background while the
/// database is away, so that the process is up and says why it is not ready.
async fn prepare_database(
    store: &Store,
    recorder: &Arc<Recorder>,
    directory: &Directory,
    sandbox: Option<Arc<Config>>,
    port: u16,
) {
    let (store, recorder, directory) = (store.clone(), Arc::clone(recorder), directory.clone());
    let mut wait = Duration::from_millis(250);
    let ready = async move {
        loop {
            match prepare_once(&store, &recorder, &directory, sandbox.as_deref(), port).await {
                Ok(()) => return,
                Err(error) => tracing::warn!(error = %format!("{error:#}"), "waiting for the database"),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(5));
        }
    };
    let mut ready = actix_rt::spawn(ready);
    // A database that is there is ready in milliseconds; without it the server goes on waiting, and answers 503.
    let _ = tokio::time::timeout(Duration::from_secs(3), &mut ready).await;
}

async fn prepare_once(
    store: &Store,
    recorder: &Recorder,
    directory: &Directory,
    sandbox: Option<&Config>,
    port: u16,
) -> anyhow::Result<()> {
    store.migrate().await?;
    // What a former process could not write comes first: it may hold the ends of calls.
    recorder.flush(Duration::from_secs(30)).await;
    let orphans = store.close_orphans(Utc::now(), &[]).await?;
    if orphans > 0 {
        tracing::warn!(orphans, "calls of a former process were closed as interrupted");
    }
    if let Some(config) = sandbox {
        sandbox::prepare_client(store, config, port).await?;
    }
    directory.reload(store).await?;
    Ok(())
}

/// Waits for a signal and for the calls to end. A second signal ends at once.
async fn until_told(app: &web::Data<App>, store: &Store) -> ExitCode {
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hang_up)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()))
    else {
        tracing::error!("signals cannot be heard");
        return ExitCode::FAILURE;
    };
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => {
                let reloaded = app.directory.reload(store).await;
                tracing::info!(ok = reloaded.is_ok(), "clients and agents read anew");
            }
        }
    }
    let live = app.calls.slots_taken();
    tracing::info!(live, grace_s = app.config.server.drain_grace.as_secs(), "draining: new calls are refused");
    app.calls.start_draining();
    tokio::select! {
        () = drained(&app.calls, app.config.server.drain_grace) => ExitCode::SUCCESS,
        _ = terminate.recv() => ExitCode::FAILURE,
        _ = interrupt.recv() => ExitCode::FAILURE,
    }
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
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(within, wait).await.is_ok()
}
