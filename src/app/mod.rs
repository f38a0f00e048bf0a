//! The composition root: the only place where rooms meet. Starts the server and, written once, stops it.

mod customers;
mod diary;
mod engines;
mod forgetting;
mod lost_ends;
mod restart;
mod sandbox;
mod shops;
mod signals;
mod voices;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use actix_web::web;
use anyhow::Context as _;
use caly_actors::domain::{Agent, CallFacts, Pcm};
use caly_actors::ports::{
    Engine, EngineAudio, Greetings, Journal, JournalEntry, Phrases, Ports, RecordingTap, Recordings,
};
use caly_actors::supervisor::{AdmissionLimits, CallSupervisor, Calls};
use chrono::{DateTime, Utc};
use sd_notify::NotifyState;
use secrecy::ExposeSecret as _;

use self::voices::VoicedPhrases;
use crate::actions::Catalogue;
use crate::actions::callback::DoNotCall;
use crate::actions::customers::Book;
use crate::actions::http::HttpActions;
use crate::actions::mcp::Mcp;
use crate::actions::shopify::Shopify;
use crate::carriers::exotel::webhook::RecordingHosts;
use crate::cli;
use crate::config::{AudioChoice, Config, LoadArgs};
use crate::directory::Directory;
use crate::engines::hanging::Hangs;
use crate::engines::verdict::Verdicts;
use crate::greetings::VoicedSentences;
use crate::http::health::{Alarms, Reason};
use crate::http::returning::Returning;
use crate::http::{self, App};
use crate::limits::RateLimits;
use crate::outbound::Outbound;
use crate::phrases::StoredPhrases;
use crate::record::{Mark, OnMark, WavRecordings};
use crate::store::RecordingFact;
use crate::store::Store;
use crate::store::recorder::{Recorder, RecorderOptions, Write};
use crate::telemetry;
use crate::tokens::Tokens;
use crate::watch::{self, Watch};

use engines::Engines;
pub use shops::options as shop_options;

/// For what the recorder has not written at the end.
const RECORDER_STOP: Duration = Duration::from_secs(5);

/// Serves until told to stop.
///
/// # Errors
/// Something that cannot be started; the text says what to do.
pub async fn serve(load: &LoadArgs, demo: bool) -> anyhow::Result<ExitCode> {
    let mut config = Config::load(load)?;
    let logs = telemetry::init_logs(&config.log).map_err(anyhow::Error::msg)?;
    let metrics = telemetry::init_metrics().map_err(anyhow::Error::msg)?;
    config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    caly_actors::understand::prepare();
    let Engines { first, fallback, verdicts, hangs, sandbox } = engines::open(&mut config).await?;
    let config = Arc::new(config);
    let told = signals::Told::listen().context("signals cannot be heard")?;
    let store = cli::connect(&config).await?;
    let _alone = alone(&config.data_dir)?;
    let recorder = Recorder::start(store.clone(), &config.data_dir.join("spool"), RecorderOptions::default());
    let directory = Directory::new(config.calls.limits);
    let ports = ports(&config, (first, fallback), &directory, (&store, &recorder))?;
    let limits = AdmissionLimits { process: config.calls.max_live, client: config.calls.max_live_per_client };
    let (actions, customers) = (Arc::clone(&ports.ports.actions), Arc::clone(&ports.ports.customers));
    let calls = Calls::new(ports.ports, audio(&config), limits);
    calls.set_remember(config.calls.remember);
    let app = web::Data::new(App {
        config: Arc::clone(&config),
        started: Instant::now(),
        store: store.clone(),
        recorder: Arc::clone(&recorder),
        directory: directory.clone(),
        calls: Arc::clone(&calls),
        customers,
        actions,
        tokens: tokens(&config)?,
        limits: RateLimits::new(&config.limits),
        metrics,
        recording_hosts: recording_hosts(&config)?,
        returning: Returning::default(),
        lately: http::health::Lately::default(),
        watch: Watch::new(signals::overload(&config)),
        alarms: alarms(ports.recordings.clone(), (Arc::clone(&verdicts), hangs)),
        hindrances: hindrances(Arc::clone(&verdicts)),
        mended: Box::new(move || verdicts.forget()),
        api: http::api::State::default(),
        in_hand: Default::default(),
        shop: shops::door(ports.shop),
    });
    watch_over(&app)?;
    let listening = listen(&app)?;
    let (address, closer) = (listening.address, listening.closer());
    let serving = actix_rt::spawn(listening.server);
    let supervisor = CallSupervisor::start(Arc::clone(&calls));
    let with_demo = sandbox.is_some().then(|| Arc::clone(&config));
    restart::prepare_database(&app, with_demo, address.port()).await;
    work_beside_calls(&app, ports.mcp)?;
    tracing::info!(%address, public_url = config.server.public_url.http(), engine = engines::provider_name(&config), "serving");
    sandbox.iter().for_each(|sandbox| sandbox::announce(&config, address.port(), &sandbox.engine.url));
    if demo {
        sandbox::ring_demo(&config, address.port());
    }
    watch::notify(&[NotifyState::Ready]);
    let code = signals::until_told(&app, &logs, load, told).await;
    supervisor.do_send(caly_actors::call::Stop);
    recorder.stop(RECORDER_STOP).await;
    if let Some(recordings) = ports.recordings {
        recordings.finish(Duration::from_secs(2));
    }
    closer.close(config.server.shutdown_timeout).await;
    let _ = serving.await;
    if let Some(sandbox) = sandbox {
        sandbox.stop().await;
    }
    store.close().await;
    tracing::info!("stopped");
    Ok(code)
}

/// Sheds new calls while there is no time or room for them.
fn watch_over(app: &App) -> anyhow::Result<()> {
    let admitting = Arc::clone(&app.calls);
    app.watch.start(move |shedding| admitting.shed(shedding)).context("no thread for the watch")
}

fn tokens(config: &Config) -> anyhow::Result<Tokens> {
    let secret = config.token_secret().map_err(anyhow::Error::msg)?;
    Ok(Tokens::new(secret.expose_secret().as_bytes()))
}

/// What goes on for as long as the process does, whether there are calls or not.
fn work_beside_calls(app: &web::Data<App>, mcp: Arc<Mcp>) -> anyhow::Result<()> {
    actix_rt::spawn(mcp.keep_listed(app.directory.clone()));
    actix_rt::spawn(lost_ends::ask_for_ever(app.clone(), Outbound::new(None)?));
    actix_rt::spawn(forgetting::sweep_for_ever(app.clone()));
    Ok(())
}

/// Holds the data directory for this process: two would close each other's calls and mix their journals. The lock goes with
/// the process, however it ends.
fn alone(data_dir: &std::path::Path) -> anyhow::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = data_dir.join("serve.lock");
    let lock = std::fs::File::options().create(true).append(true).mode(0o600).open(&path);
    let lock = lock.with_context(|| format!("{} cannot be made", path.display()))?;
    lock.try_lock().with_context(|| {
        format!(
            "another caly serve uses {}: stop it, or set CALY__DATA_DIR and DATABASE_URL to others",
            data_dir.display()
        )
    })?;
    Ok(lock)
}

/// What is heard at once, of greetings and of what is said without an engine.
type Voices = (Arc<dyn Greetings>, Arc<dyn Phrases>);

fn voices(config: &Config, engine: &Arc<dyn Engine>, directory: &Directory) -> anyhow::Result<Voices> {
    let shipped = StoredPhrases::load()?;
    if !config.engine.store_greetings {
        return Ok((Arc::new(NoGreetings), Arc::new(shipped)));
    }
    let start = |place: &str| {
        VoicedSentences::start(config.data_dir.join(place), &voice_of(config), Arc::clone(engine), audio(config))
    };
    let (greetings, made) = (start("greetings"), start("phrases"));
    let ready = voices::keep_ready(Arc::clone(&greetings), Arc::clone(&made), shipped, directory.clone());
    actix_rt::spawn(ready);
    Ok((greetings, Arc::new(VoicedPhrases { shipped, made })))
}

/// What a stored greeting depends on besides its words and the agent's voice.
fn voice_of(config: &Config) -> String {
    format!("{} {}", engines::provider_name(config), config.openai.model)
}

/// Every greeting is made in its call.
struct NoGreetings;

impl Greetings for NoGreetings {
    fn stored(&self, _: &Arc<Agent>) -> Option<Pcm> {
        None
    }
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
    shop: Arc<Shopify>,
    mcp: Arc<Mcp>,
    recordings: Option<Arc<WavRecordings>>,
}

fn ports(
    config: &Config,
    (engine, fallback_engine): (Arc<dyn Engine>, Option<Arc<dyn Engine>>),
    directory: &Directory,
    (store, recorder): (&Store, &Arc<Recorder>),
) -> anyhow::Result<Outside> {
    let outbound = Outbound::new(None)?;
    let shop = Arc::new(shops::open(config, outbound.clone(), directory.clone())?);
    let mcp = Arc::new(Mcp::new(outbound.clone(), config.actions.trusted_hosts.clone()));
    let http = HttpActions::new(outbound, directory.clone(), config.actions.trusted_hosts.clone());
    let recordings = match config.recording.enabled {
        true => {
            let marks = recording_marks(Arc::clone(recorder));
            Some(Arc::new(WavRecordings::start(config.recording.dir.clone(), marks).context("recordings")?))
        }
        false => None,
    };
    let kept =
        KeptRecordings { inner: recordings.clone(), dir: config.recording.dir.clone(), recorder: Arc::clone(recorder) };
    let (greetings, phrases) = voices(config, &engine, directory)?;
    let customers = Arc::new(customers::StoredCustomers(store.clone()));
    let diary = Arc::new(diary::StoredDiary(store.clone()));
    let ports = Ports {
        engine,
        fallback_engine,
        greetings,
        actions: Arc::new(Catalogue::new(
            http,
            Arc::clone(&mcp),
            diary,
            (Arc::clone(&customers) as Arc<dyn Book>, Arc::clone(&customers) as Arc<dyn DoNotCall>),
            Arc::clone(&shop),
        )),
        customers,
        journal: Arc::clone(recorder) as Arc<dyn Journal>,
        phrases,
        recordings: Arc::new(kept),
    };
    Ok(Outside { ports, shop, mcp, recordings })
}

/// A recording that stops or goes on is a mark in its call's journal.
fn recording_marks(recorder: Arc<Recorder>) -> OnMark {
    Box::new(move |call, mark, at| {
        let kind = match mark {
            Mark::Stopped => "recording_stopped",
            Mark::Resumed => "recording_resumed",
        };
        recorder.record(SystemTime::now(), JournalEntry::Event { call, kind, detail: "{}".into(), at });
    })
}

fn hindrances(verdicts: Arc<Verdicts>) -> Alarms {
    Box::new(move || engines::hindrances(&verdicts))
}

fn alarms(recordings: Option<Arc<WavRecordings>>, (verdicts, hangs): (Arc<Verdicts>, Arc<Hangs>)) -> Alarms {
    Box::new(move || {
        let stopped = recordings.as_ref().is_some_and(|recordings| recordings.stopped() > 0);
        let detail = "the disk refuses recordings: calls go on without; make room in recording.dir";
        let recordings = stopped.then(|| Reason::new("recordings", detail));
        engines::alarms(&verdicts, &hangs).into_iter().chain(recordings).collect()
    })
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

fn listen(app: &web::Data<App>) -> anyhow::Result<http::listen::Listening> {
    let settings = &app.config.server;
    http::listen::listen(app).with_context(|| {
        format!("cannot listen on {}:{}: is another server running? set PORT", settings.host, settings.port)
    })
}
