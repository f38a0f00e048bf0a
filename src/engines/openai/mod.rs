//! The OpenAI Realtime engine (GA protocol) over a WebSocket.
//!
//! Owns: the address and key of the service, the hand-shake of a session, and one task per session (`pump.rs`).
//! Hears: commands and caller audio from the session's lanes. Says: `EngineEvent`s and agent audio.
//! Ends: a session ends with `EngineEvent::Lost`, or when its holder drops it or closes its commands.
//! Does not know: calls, carriers, actions or what an answer means. A lost session is not opened again here.

mod aside;
mod faults;
mod hear;
mod inbox;
mod open;
mod price;
mod probe;
mod pump;
mod say;
mod socket;
mod tools;
mod transcription;
mod wire;

#[cfg(test)]
#[allow(clippy::expect_used, clippy::panic, reason = "a test may panic")]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use caly_actors::ports::{Engine, EngineError, EngineLanes, EngineSession, EngineSpec};
use futures_util::future::LocalBoxFuture;
use secrecy::{ExposeSecret as _, SecretString};
use tracing::Instrument as _;
use url::Url;

pub use self::probe::{ProbeReport, probe};
use self::pump::Pace;
use crate::outbound::{Outbound, OutboundError};

/// What a session's text frames tell the call, one after the other. For tests of hostile input.
#[doc(hidden)]
#[must_use]
pub fn events_of<'a>(frames: impl Iterator<Item = &'a [u8]>) -> Vec<caly_actors::ports::EngineEvent> {
    let (agent, _heard) = caly_actors::audio::lane::lane(16);
    let audio = caly_actors::ports::EngineAudio::Pcm24;
    let mut hearing = hear::Hearing::new("gpt-realtime", Some("gpt-realtime-whisper"), audio, agent);
    let mut events = std::collections::VecDeque::new();
    for frame in frames {
        let _ = hearing.hear(frame, &mut events);
    }
    events.into()
}

/// Noise reduction the service applies to caller audio before it listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoiseReduction {
    /// A handset or a head-set.
    NearField,
    /// A loudspeaker or a room.
    FarField,
}

/// Where the service is and how it is used.
#[derive(Clone, Debug)]
pub struct OpenAiOptions {
    /// `https://api.openai.com/v1`, or a gateway's address. `https` or `wss`; `http` or `ws` for this machine only.
    pub base_url: Url,
    /// API key or client secret.
    pub key: SecretString,
    /// `gpt-realtime`, …
    pub model: String,
    /// Tokens that a session of it can hold; `None`: what the vendor's pages say of the model.
    pub window: Option<u64>,
    /// The recogniser for the caller's words; `None` leaves the caller's side without a transcript.
    pub transcription_model: Option<String>,
    /// ISO 639-1, for all calls; `None` follows what each caller speaks.
    pub transcription_language: Option<String>,
    /// `None`: off.
    pub noise_reduction: Option<NoiseReduction>,
    /// For name, connection, TLS and upgrade together.
    pub connect_timeout: Duration,
    /// From the upgrade until the service has accepted the settings and the context.
    pub ready_timeout: Duration,
    /// PEM certificates trusted besides the public roots.
    pub ca_file: Option<PathBuf>,
    /// Organization to bill, if the key has several.
    pub organization: Option<String>,
    /// Project to bill, if the key has several.
    pub project: Option<String>,
}

impl OpenAiOptions {
    /// The public service with its default model, a recogniser, and 5 s for each half of opening a session.
    #[must_use]
    pub fn new(base_url: Url, key: SecretString) -> Self {
        Self {
            base_url,
            key,
            model: "gpt-realtime".to_owned(),
            window: None,
            transcription_model: Some("gpt-4o-mini-transcribe".to_owned()),
            transcription_language: None,
            noise_reduction: None,
            connect_timeout: Duration::from_secs(5),
            ready_timeout: Duration::from_secs(5),
            ca_file: None,
            organization: None,
            project: None,
        }
    }

    fn check(&self) -> Result<(), OptionsError> {
        socket::check_base(&self.base_url)?;
        let header = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        if !header(self.key.expose_secret()) {
            return Err(OptionsError::Header("key"));
        }
        if !self.organization.as_deref().is_none_or(header) {
            return Err(OptionsError::Header("organization"));
        }
        if !self.project.as_deref().is_none_or(header) {
            return Err(OptionsError::Header("project"));
        }
        if self.model.trim().is_empty() { Err(OptionsError::Model) } else { Ok(()) }
    }
}

/// Options that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// The key would travel in the clear.
    #[error("base url: plain http or ws is allowed for this machine only, not for {0}; use https")]
    Insecure(String),
    /// Not a scheme a session can be opened over.
    #[error("base url: scheme {0} instead of https or wss")]
    Scheme(String),
    /// A value that cannot stand in an HTTP header.
    #[error("{0}: empty, or holds spaces or characters outside ASCII")]
    Header(&'static str),
    /// No model.
    #[error("model: empty")]
    Model,
    /// The way out could not be built.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
}

/// Opens sessions with OpenAI Realtime or a service that speaks its protocol.
#[derive(Clone, Debug)]
pub struct OpenAi {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: OpenAiOptions,
    outbound: Outbound,
    pace: Pace,
    /// The service does not want to know what the caller speaks.
    hints_refused: Arc<AtomicBool>,
}

impl OpenAi {
    /// # Errors
    /// Options that cannot work, named. Nothing is connected yet.
    pub fn new(options: OpenAiOptions) -> Result<Self, OptionsError> {
        Self::with_pace(options, Pace::default())
    }

    fn with_pace(options: OpenAiOptions, pace: Pace) -> Result<Self, OptionsError> {
        options.check()?;
        let outbound = Outbound::new(options.ca_file.as_deref())?;
        if price::price_of(&options.model).is_none() {
            tracing::warn!(model = options.model, "price of the model is not known; its cost is recorded as 0");
        }
        let hints_refused = Arc::default();
        Ok(Self { shared: Arc::new(Shared { options, outbound, pace, hints_refused }) })
    }
}

impl Engine for OpenAi {
    fn window(&self) -> u64 {
        let options = &self.shared.options;
        options.window.unwrap_or_else(|| price::window_of(&options.model))
    }

    /// The future ends within `connect_timeout` + `ready_timeout`, with the session already `EngineEvent::Ready`.
    fn open(
        &self,
        spec: EngineSpec,
        lanes: EngineLanes,
    ) -> LocalBoxFuture<'static, Result<EngineSession, EngineError>> {
        let shared = Arc::clone(&self.shared);
        let span = tracing::info_span!("engine", call = %spec.call);
        Box::pin(async move { open::open(&shared, spec, lanes).await }.instrument(span))
    }
}
