//! The WebSocket to the vendor: where it goes, how it is opened, and whole messages out of its frames.

use actix_http::ws::Item;
use awc::http::header::HeaderValue;
use awc::ws::{CloseReason, Frame, Message};
use bytes::{Bytes, BytesMut};
use caly_actors::domain::CallId;
use caly_actors::ports::EngineError;
use futures_util::{Sink, Stream};
use secrecy::ExposeSecret as _;
use url::Url;

use super::faults::from_connect;
use super::{OpenAiOptions, OptionsError};
use crate::outbound::Outbound;

/// Largest frame, and largest message made of several. One burst of agent audio can be megabytes.
pub(super) const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What the vendor's socket is to the rest of this folder; a test has one without a network.
pub(super) trait Socket:
    Stream<Item = Result<Frame, actix_http::ws::ProtocolError>>
    + Sink<Message, Error = actix_http::ws::ProtocolError>
    + Unpin
    + 'static
{
}

impl<S> Socket for S where
    S: Stream<Item = Result<Frame, actix_http::ws::ProtocolError>>
        + Sink<Message, Error = actix_http::ws::ProtocolError>
        + Unpin
        + 'static
{
}

/// Base URL without its trailing slash, in the scheme asked for (`wss` or `https`; their plain forms for a service
/// on this machine).
fn based(base: &Url, socket: bool) -> Url {
    let mut url = base.clone();
    let secure = matches!(base.scheme(), "https" | "wss");
    let scheme = match (socket, secure) {
        (true, true) => "wss",
        (true, false) => "ws",
        (false, true) => "https",
        (false, false) => "http",
    };
    // All four are special schemes, among which a URL may change freely; a refusal would leave it as it was.
    let _ = url.set_scheme(scheme);
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    url
}

/// `wss://…/v1/realtime?model=…`.
pub(super) fn realtime_url(base: &Url, model: &str) -> Url {
    let mut url = based(base, true);
    let path = format!("{}/realtime", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url.query_pairs_mut().append_pair("model", model);
    url
}

/// `https://…/v1/models/…`.
pub(super) fn model_url(base: &Url, model: &str) -> Url {
    let mut url = based(base, false);
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["models", model]);
    }
    url
}

/// A key must not travel in the clear, save on this machine.
pub(super) fn check_base(base: &Url) -> Result<(), OptionsError> {
    let loopback = match base.host() {
        Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match base.scheme() {
        "https" | "wss" if base.has_host() => Ok(()),
        "http" | "ws" if loopback => Ok(()),
        "http" | "ws" => Err(OptionsError::Insecure(base.host_str().unwrap_or("").to_owned())),
        other => Err(OptionsError::Scheme(other.to_owned())),
    }
}

/// Headers of every request: who pays, and for whom. The key is marked so that no log of the client library shows it.
pub(super) fn headers(options: &OpenAiOptions) -> Result<Vec<(&'static str, HeaderValue)>, EngineError> {
    let value = |text: &str| {
        HeaderValue::from_str(text).map_err(|_| EngineError::Refused("key or id cannot stand in a header".to_owned()))
    };
    let mut key = value(&format!("Bearer {}", options.key.expose_secret()))?;
    key.set_sensitive(true);
    let mut headers = vec![("authorization", key)];
    for (name, id) in [("openai-organization", &options.organization), ("openai-project", &options.project)] {
        if let Some(id) = id {
            headers.push((name, value(id)?));
        }
    }
    Ok(headers)
}

/// Stable within a call and meaningless outside: 128 bits of a hash, in hex.
pub(super) fn safety_identifier(call: CallId) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, call.0.as_bytes());
    let hex: String = digest.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("caly-{hex}")
}

/// Connects and upgrades. The caller sets the deadline.
pub(super) async fn connect(
    outbound: &Outbound,
    options: &OpenAiOptions,
    call: Option<CallId>,
) -> Result<impl Socket + use<>, EngineError> {
    let url = realtime_url(&options.base_url, &options.model);
    let mut request = outbound.client().ws(url.as_str()).max_frame_size(FRAME_BYTES_MAX);
    for (name, value) in headers(options)? {
        request = request.set_header(name, value);
    }
    if let Some(call) = call {
        request = request.set_header("openai-safety-identifier", safety_identifier(call));
    }
    let (_, socket) = request.connect().await.map_err(from_connect)?;
    Ok(socket)
}

/// What came in, with fragments put together.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    Text(Bytes),
    /// Binary, or a fragment of something that is not whole yet.
    Nothing {
        binary: bool,
    },
    Ping(Bytes),
    Pong,
    Close(Option<CloseReason>),
}

/// Puts fragmented messages together, up to [`FRAME_BYTES_MAX`].
#[derive(Default)]
pub(super) struct Assembler {
    parts: BytesMut,
    text: bool,
}

impl Assembler {
    /// # Errors
    /// A message that grows too large: the link has to be made again.
    pub(super) fn take(&mut self, frame: Frame) -> Result<Incoming, EngineError> {
        Ok(match frame {
            Frame::Text(text) => Incoming::Text(text),
            Frame::Binary(_) => Incoming::Nothing { binary: true },
            Frame::Ping(data) => Incoming::Ping(data),
            Frame::Pong(_) => Incoming::Pong,
            Frame::Close(reason) => Incoming::Close(reason),
            Frame::Continuation(item) => return self.continued(item),
        })
    }

    fn continued(&mut self, item: Item) -> Result<Incoming, EngineError> {
        let (part, last) = match item {
            Item::FirstText(part) | Item::FirstBinary(part) if self.parts.len() + part.len() > FRAME_BYTES_MAX => {
                return Err(too_large());
            }
            Item::FirstText(part) => {
                self.text = true;
                self.parts.clear();
                (part, false)
            }
            Item::FirstBinary(part) => {
                self.text = false;
                self.parts.clear();
                (part, false)
            }
            Item::Continue(part) => (part, false),
            Item::Last(part) => (part, true),
        };
        if self.parts.len() + part.len() > FRAME_BYTES_MAX {
            return Err(too_large());
        }
        self.parts.extend_from_slice(&part);
        if !last {
            return Ok(Incoming::Nothing { binary: false });
        }
        let whole = std::mem::take(&mut self.parts).freeze();
        Ok(if self.text { Incoming::Text(whole) } else { Incoming::Nothing { binary: true } })
    }
}

fn too_large() -> EngineError {
    EngineError::Protocol("message over 4 MiB".to_owned())
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::panic, reason = "a test may panic")]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a url")
    }

    #[test]
    fn the_session_url_is_made_from_any_way_of_writing_the_base() {
        for (base, expected) in [
            ("https://api.openai.com/v1", "wss://api.openai.com/v1/realtime?model=gpt-realtime"),
            ("https://api.openai.com/v1/", "wss://api.openai.com/v1/realtime?model=gpt-realtime"),
            ("wss://gateway.example/x/v1", "wss://gateway.example/x/v1/realtime?model=gpt-realtime"),
            ("http://127.0.0.1:9100/v1", "ws://127.0.0.1:9100/v1/realtime?model=gpt-realtime"),
            ("ws://localhost:9100", "ws://localhost:9100/realtime?model=gpt-realtime"),
            ("https://g.example/v1?tenant=a", "wss://g.example/v1/realtime?tenant=a&model=gpt-realtime"),
        ] {
            assert_eq!(realtime_url(&url(base), "gpt-realtime").as_str(), expected);
        }
        assert_eq!(
            realtime_url(&url("https://a.example/v1"), "a&b=c").as_str(),
            "wss://a.example/v1/realtime?model=a%26b%3Dc"
        );
        assert_eq!(model_url(&url("wss://a.example/v1/"), "x/y").as_str(), "https://a.example/v1/models/x%2Fy");
    }

    #[test]
    fn a_key_travels_in_the_clear_only_on_this_machine() {
        for base in [
            "https://api.openai.com/v1",
            "wss://10.0.0.1/v1",
            "http://localhost:1",
            "ws://127.0.0.7:1/v1",
            "http://[::1]:1",
        ] {
            assert!(check_base(&url(base)).is_ok(), "{base}");
        }
        for base in [
            "http://api.openai.com/v1",
            "ws://10.0.0.1/v1",
            "http://localhost.evil.example",
            "ftp://localhost",
            "file:///x",
        ] {
            assert!(check_base(&url(base)).is_err(), "{base}");
        }
    }

    #[test]
    fn fragments_make_one_message_up_to_the_limit() {
        let mut assembler = Assembler::default();
        let part = |text: &'static str| Bytes::from_static(text.as_bytes());
        let nothing = Incoming::Nothing { binary: false };
        assert_eq!(assembler.take(Frame::Continuation(Item::FirstText(part("ab")))), Ok(nothing));
        assert_eq!(assembler.take(Frame::Ping(part("x"))), Ok(Incoming::Ping(part("x"))));
        assert_eq!(assembler.take(Frame::Continuation(Item::Last(part("cd")))), Ok(Incoming::Text(part("abcd"))));

        let half = Bytes::from(vec![b'x'; FRAME_BYTES_MAX / 2 + 1]);
        assert!(assembler.take(Frame::Continuation(Item::FirstText(half.clone()))).is_ok());
        assert!(assembler.take(Frame::Continuation(Item::Continue(half))).is_err());
    }

    #[test]
    fn the_safety_identifier_is_stable_and_does_not_show_the_call() {
        let call = CallId::new();
        assert_eq!(safety_identifier(call), safety_identifier(call));
        assert_ne!(safety_identifier(call), safety_identifier(CallId::new()));
        assert_eq!(safety_identifier(call).len(), 37);
    }
}
