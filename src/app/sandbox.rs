//! What a start without keys gets: the simulated engine, a demo client to call, and a sample call.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use caly_actors::domain::{ClientId, PhoneNumber};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::cli::call::CallArgs;
use crate::cli::output::say;
use crate::config::Config;
use crate::sim::engine::{EngineOptions, EngineServer, serve};
use crate::sim::shopify::{self, ShopOptions, ShopServer};
use crate::store::{ClientChange, NewClient, Shop, Store, StoreError, hash_secret, same_hash};

const SLUG: &str = "demo";
const NUMBER: &str = "+918047112233";
const CALLER: &str = "09876543210";
/// The simulated shop's name, and the order that the sample call has cancelled.
const SHOP: &str = "rangrez-sim.myshopify.com";
const SAMPLE_ORDER: &str = "#1001";
/// A sample order that was cancelled so long ago can be cancelled again.
const REOPENS_AFTER: TimeDelta = TimeDelta::seconds(15);

/// The simulated services of a start without keys.
pub(super) struct Sandbox {
    pub engine: EngineServer,
    /// The demo client's; none where another is named in the configuration.
    shop: Option<Rc<ShopServer>>,
}

impl Sandbox {
    /// Starts them on free ports of this machine, and has the configuration point to the shop.
    pub async fn open(config: &mut Config) -> anyhow::Result<Self> {
        let options = EngineOptions::sandbox().map_err(anyhow::Error::msg)?;
        let engine = serve(options).await.context("the sandbox engine cannot be started")?;
        if config.shopify.base_url.is_some() {
            return Ok(Self { engine, shop: None });
        }
        let options = ShopOptions::sandbox().map_err(anyhow::Error::msg)?;
        let shop = Rc::new(shopify::serve(options).await.context("the sandbox shop cannot be opened")?);
        config.shopify.base_url = Some(shop.url.clone());
        actix_rt::spawn(reopen_for_ever(Rc::clone(&shop)));
        Ok(Self { engine, shop: Some(shop) })
    }

    /// Ends them.
    pub async fn stop(self) {
        self.engine.stop().await;
        if let Some(shop) = self.shop {
            shop.stop().await;
        }
    }
}

/// Puts the shop back as it was some time after the sample order was cancelled, so that the sample call can be placed again.
async fn reopen_for_ever(shop: Rc<ShopServer>) {
    loop {
        actix_rt::time::sleep(Duration::from_secs(3)).await;
        let order = shop.order(SAMPLE_ORDER).unwrap_or_default();
        let cancelled = order["cancelledAt"].as_str().and_then(|at| at.parse::<DateTime<Utc>>().ok());
        if cancelled.is_some_and(|at| Utc::now() - at > REOPENS_AFTER) {
            shop.reopen();
        }
    }
}

fn file(config: &Config) -> PathBuf {
    config.data_dir.join("sandbox.json")
}

/// Makes the demo client once, and writes where it is for `caly call`.
pub(super) async fn prepare_client(store: &Store, config: &Config, port: u16) -> anyhow::Result<()> {
    let known = fs::read_to_string(file(config)).ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let known_key = known.as_ref().and_then(|known| known["key"].as_str()).map(str::to_owned);
    let key = match store.client_by_slug(SLUG).await? {
        None => create(store).await?,
        Some(row) => match known_key {
            Some(key) if is_key_of(store, &key).await? => key,
            // Another data directory, or a lost file: the former key is of no use to anybody.
            _ => store.rotate_webhook_secret(ClientId(row.id)).await?,
        },
    };
    let url = format!("http://127.0.0.1:{port}");
    let text = json!({ "url": url, "client": SLUG, "key": key, "from": CALLER, "to": "08047112233" }).to_string();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&config.data_dir)?;
    let path = file(config);
    let mut out = fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&path)?;
    out.write_all(text.as_bytes()).with_context(|| format!("{} cannot be written", path.display()))
}

async fn is_key_of(store: &Store, key: &str) -> Result<bool, StoreError> {
    let rows = store.load_directory().await?;
    let hash = hash_secret(key);
    let demo = rows.clients.iter().find(|client| client.client.slug == SLUG);
    Ok(demo.is_some_and(|client| same_hash(&client.secrets.webhook_secret_hash, &hash)))
}

async fn create(store: &Store) -> anyhow::Result<String> {
    let number = PhoneNumber::parse(NUMBER).map_err(|error| anyhow::anyhow!("{error}"))?;
    let settings = json!({
        "instructions": "You answer the phone of a small Indian shop. Speak short Hinglish sentences. Be kind and honest; \
            never invent an order's state. Hand over to a person when asked.",
        "greeting": "Namaste! Demo shop mein aapka swagat hai. Main aapki kya madad kar sakti hoon?",
        "language": "hi-Latn",
        "handoff_numbers": ["+919876500000"],
        "limits": { "hello_s": 3 },
        "shop": {},
        // Every day, so that tomorrow can be booked on any day, and people enough to place the sample call again and again.
        "calendar": { "services": [{ "name": "Consultation", "minutes": 30 }], "people": ["Asha", "Ravi", "Meera", "Kabir",
            "Nisha", "Arjun", "Divya", "Farhan", "Gita", "Imran", "Jaya", "Kiran", "Leela", "Mohan", "Neha", "Omkar"],
            "hours": { "mon": ["10:00-19:00"], "tue": ["10:00-19:00"], "wed": ["10:00-19:00"], "thu": ["10:00-19:00"],
                "fri": ["10:00-19:00"], "sat": ["10:00-19:00"], "sun": ["10:00-19:00"] } },
    });
    // All or nothing: a start that is cut off here must not leave a client without a number.
    let made = store.create_whole_client(NewClient::named(SLUG, "Demo shop"), vec![number], settings).await?;
    let opens = ShopOptions::sandbox().map_err(anyhow::Error::msg)?;
    let (token, secret) = (SecretString::from(opens.token), SecretString::from(opens.webhook_secret));
    let shop = Shop { domain: SHOP.to_owned(), token, webhook_secret: Some(secret) };
    let change = ClientChange { shop: Some(Some(shop)), ..ClientChange::default() };
    store.change_client(ClientId(made.created.client.id), change).await?;
    Ok(made.created.webhook_secret)
}

/// Says loudly that nothing here is real, and what to do about it.
pub(super) fn announce(config: &Config, port: u16, engine: &str) {
    tracing::warn!(
        engine,
        "SANDBOX: no OPENAI_API_KEY, so a simulated engine answers. Set the key to talk with a real one"
    );
    tracing::info!(
        call = "caly call",
        health = format!("http://127.0.0.1:{port}/health/supervisor"),
        docs = format!("http://127.0.0.1:{port}/api/docs"),
        recordings = %config.recording.dir.display(),
        "where to look next"
    );
}

/// Rings the demo call from a thread of its own, so that it does not share the server's.
pub(super) fn ring_demo(config: &Config, port: u16) {
    let path = file(config);
    let recordings = config.recording.dir.display().to_string();
    let data_dir = config.data_dir.clone();
    let ring = move || {
        let Some(args) = demo_args(&path) else {
            tracing::error!("the demo call needs the sandbox: start without OPENAI_API_KEY");
            return;
        };
        let outcome = actix_rt::System::new().block_on(crate::cli::call::place(args, &data_dir));
        if let Err(error) = outcome {
            tracing::error!(error = %format!("{error:#}"), "the demo call could not be placed");
        }
        next_steps(port, &recordings);
    };
    if let Err(error) = std::thread::Builder::new().name("demo-call".to_owned()).spawn(ring) {
        tracing::error!(%error, "the demo call could not be placed");
    }
}

fn demo_args(path: &std::path::Path) -> Option<CallArgs> {
    let sandbox: Value = serde_json::from_str(&fs::read_to_string(path).ok()?).ok()?;
    let text = |name: &str| sandbox[name].as_str().map(str::to_owned);
    Some(CallArgs {
        scenario: "demo".to_owned(),
        url: text("url"),
        client: text("client"),
        key: text("key"),
        count: 1,
        parallel: 1,
        ramp_ms: 0,
        frame_ms: 20,
        json: false,
        record: None,
        from: text("from"),
        to: text("to"),
        passthru_url: None,
        connect_url: None,
        status_callback: None,
        jitter_ms: 0,
        deaf: false,
        outbound: false,
        threads: Some(1),
    })
}

/// The demo talks to the person who started it.
fn next_steps(port: u16, recordings: &str) {
    say!(
        "\nThe server keeps running on http://127.0.0.1:{port}. Next, in another terminal:\n  \
         caly call --scenario order_status            another call\n  \
         caly key create --role admin                 a key for the API\n  \
         curl -H 'Authorization: Bearer KEY' http://127.0.0.1:{port}/api/v1/calls\n  \
         http://127.0.0.1:{port}/api/docs                the API, to read\n  \
         {recordings}/                      what the calls sounded like\n\
         Ctrl-C stops the server."
    );
}
