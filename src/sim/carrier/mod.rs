//! A simulated Exotel: places calls the way its voicebot flow does and tells how each went.
//!
//! One call: dynamic URL, WebSocket, conversation by a scenario, then Passthru, Connect and status callbacks. It is
//! strict about what the bot sends and knows nothing of Caly: any server written for Exotel can be called.

mod connect;
mod ear;
mod flow;
mod playback;
mod report;
mod rest;
mod scenario;
mod stream;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]
mod tests;
mod wire;

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

pub use ear::Utterance;
pub use flow::CallbackEncoding;
pub use report::{CallReport, Outcome, Turn};
pub use rest::{CarrierOptions, CarrierServer, serve};
pub use scenario::{Scenario, Step};

/// How the carrier behaves; the defaults are what real traffic showed.
#[derive(Clone, Debug)]
pub struct Knobs {
    /// Milliseconds of audio in a message: 20 or 100.
    pub frame_ms: u64,
    /// Sequence numbers as numbers, not strings.
    pub numeric_seq: bool,
    /// `+91…` instead of `0…`.
    pub e164_numbers: bool,
    /// The stream ends without a `stop` message.
    pub omit_stop: bool,
    /// `callended`, `stopped`, …
    pub stop_reason: String,
    /// Marks that a `clear` overtook still come back.
    pub echo_marks_on_clear: bool,
    /// The label in `media_format`; a bot must not care.
    pub encoding: String,
    /// `custom_parameters: {}` when there are none.
    pub empty_custom_parameters: bool,
    /// A bot that is slower to accept the socket is given up.
    pub handshake_timeout: Duration,
    /// One more attempt when the handshake fails.
    pub retry_once: bool,
    /// Longest stream.
    pub max_session: Duration,
    /// Messages are sent up to this much too late, and then in a burst.
    pub jitter: Duration,
    /// How status callbacks are written.
    pub callback_encoding: CallbackEncoding,
    /// Every status callback is sent twice.
    pub callback_duplicates: bool,
    /// `Stream={json}` instead of `Stream[Status]=…` at the Passthru.
    pub json_stream_style: bool,
    /// `start` in camelCase, as some documents have it.
    pub camel_case_start: bool,
    /// The person the call is handed to talks so long.
    pub human_talks: Duration,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            frame_ms: 20,
            numeric_seq: false,
            e164_numbers: false,
            omit_stop: false,
            stop_reason: "callended".to_owned(),
            echo_marks_on_clear: false,
            encoding: "base64".to_owned(),
            empty_custom_parameters: false,
            handshake_timeout: Duration::from_secs(10),
            retry_once: true,
            max_session: Duration::from_secs(3600),
            jitter: Duration::ZERO,
            callback_encoding: CallbackEncoding::Multipart,
            callback_duplicates: false,
            json_stream_style: false,
            camel_case_start: false,
            human_talks: Duration::from_millis(500),
        }
    }
}

/// What happens while it happens; times are since the stream began.
#[derive(Clone, Debug)]
pub enum Live {
    /// The socket is open; how long the dynamic URL and the upgrade took.
    Connected(Duration),
    /// The caller begins to say this.
    Caller(Duration, String),
    /// The caller pressed a key.
    Key(Duration, String),
    /// The agent has said something.
    Agent(Utterance),
    /// The bot threw away what was not yet played.
    Cleared(Duration),
    /// The stream is over, in a few words.
    StreamEnded(Duration, String),
    /// The flow went on: `passthru 200`, `connect +91…`.
    Flow(String),
}

/// Hears of a call's events as they happen.
pub type Listener = Rc<dyn Fn(&Live)>;

/// [`CallPlan::direction`] of a call in which the business rings up the person.
pub const OUTBOUND: &str = "outbound-dial";

/// One call to be placed. Not `Send`: make it on the thread that places it.
#[derive(Clone)]
pub struct CallPlan {
    /// The voicebot applet's URL: http(s) is asked for the stream's, ws(s) is the stream's.
    pub voicebot_url: String,
    /// Asked after the stream; absent: the call ends with the stream.
    pub passthru_url: Option<String>,
    /// Asked when the Passthru says to go on.
    pub connect_url: Option<String>,
    /// Told when the call is over.
    pub status_callback: Option<String>,
    /// Events wanted besides the plain terminal callback: `answered`, `terminal`.
    pub status_events: Vec<String>,
    /// The caller, any form.
    pub from: String,
    /// The called number, any form.
    pub to: String,
    /// The account's slug.
    pub account_sid: String,
    /// Fixed, or made up.
    pub call_sid: Option<String>,
    /// `CustomField` of an outgoing call.
    pub custom_field: Option<String>,
    /// `incoming` or [`OUTBOUND`].
    pub direction: String,
    /// What the caller does.
    pub scenario: Scenario,
    /// How the carrier behaves.
    pub knobs: Knobs,
    /// Tell which clips the agent said; costs a few milliseconds for each sentence.
    pub recognise: bool,
    /// Write both sides there as a stereo WAV: caller left, agent right.
    pub record: Option<PathBuf>,
    /// Same seed, same ids.
    pub seed: u64,
    /// Hears of events.
    pub listener: Option<Listener>,
}

impl CallPlan {
    /// An incoming call with default behaviour and a seed of its own.
    #[must_use]
    pub fn new(voicebot_url: &str, scenario: Scenario) -> Self {
        use std::sync::atomic::{AtomicU64, Ordering};
        static CALLS: AtomicU64 = AtomicU64::new(0);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let seed = (now.as_nanos() as u64) ^ (CALLS.fetch_add(1, Ordering::Relaxed) << 40);
        Self {
            voicebot_url: voicebot_url.to_owned(),
            passthru_url: None,
            connect_url: None,
            status_callback: None,
            status_events: Vec::new(),
            from: "09876543210".to_owned(),
            to: "08047112233".to_owned(),
            account_sid: "sandbox1".to_owned(),
            call_sid: None,
            custom_field: None,
            direction: "incoming".to_owned(),
            scenario,
            knobs: Knobs::default(),
            recognise: true,
            record: None,
            seed,
            listener: None,
        }
    }

    fn tell(&self, live: Live) {
        if let Some(listener) = &self.listener {
            listener(&live);
        }
    }
}

/// Places a call and waits for its end. Runs on an actix arbiter or a tokio `LocalSet`; many may run at once.
pub async fn place_call(plan: CallPlan) -> CallReport {
    let mut call = flow::Call::new(plan);
    call.run().await;
    call.finish()
}
