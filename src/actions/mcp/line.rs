//! One message to a server and what comes back, over Streamable HTTP (revision 2025-06-18, "Transports"): a POST each, its
//! answer as JSON or as a stream of events. The address is checked and pinned, the answer bounded, the wait ends.

use std::sync::Arc;
use std::time::Duration;

use awc::ClientResponse;
use awc::error::{ConnectError, PayloadError, SendRequestError};
use awc::http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use bytes::Bytes;
use caly_actors::domain::{ClientId, McpServer};
use caly_actors::ports::ActionError;
use chrono::Utc;
use futures_util::{Stream, StreamExt as _};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::super::RESTS;
use super::super::breaker::{Breakers, Sign, sign};
use super::super::http::checked_address;
use super::Key;
use super::session::Session;
use super::sse::Events;
use super::wire::{Heard, hear, plain};
use crate::outbound::Outbound;

/// Longest body of a refusal that is looked into for a reason.
const REASON_BYTES_MAX: usize = 8 * 1024;
/// Most questions of a server that are answered while it is asked something.
const REPLIES_MAX: usize = 8;
/// Longest wait for a message that nobody waits for.
const ASIDE: Duration = Duration::from_secs(5);
/// Longest id of a session, in bytes.
const SESSION_ID_MAX: usize = 1024;

/// Why there is no result. Texts may be told to callers.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Fault {
    /// It cannot be or may not be; nothing happened.
    #[error("{0}")]
    Refused(String),
    /// It could not be reached, or is busy; nothing happened.
    #[error("{0}")]
    Away(&'static str),
    /// It has not answered lately and was not asked; nothing happened.
    #[error("{RESTS}")]
    Rests,
    /// It does not know the session any more, or does not take it; nothing happened.
    #[error("{0}")]
    SessionLost(String),
    /// It was asked, and may have done what it was asked for.
    #[error("{0}")]
    Lost(String),
    /// The same, for the line broke.
    #[error("its answer broke off")]
    Broken,
    /// The same, for the time is over.
    #[error("it took too long")]
    Late,
}

impl Fault {
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Away(_) => "away",
            Self::Rests => "rests",
            Self::SessionLost(_) => "session_lost",
            Self::Lost(_) | Self::Broken => "lost",
            Self::Late => "late",
        }
    }
}

/// What is sent, and how long its answer is awaited.
pub(super) struct Post<'a> {
    pub(super) server: &'a McpServer,
    /// For whom, and the server's key. `None`: whether it answers is looked at by somebody, and concerns nobody else.
    pub(super) whose: Option<(ClientId, Key)>,
    /// `None` only for the first message.
    pub(super) session: Option<&'a Session>,
    pub(super) body: &'a Value,
    /// Besides the server's own.
    pub(super) headers: &'a [(&'static str, String)],
    pub(super) until: Instant,
    /// Most bytes of an answer, or of one event of it.
    pub(super) limit: usize,
}

/// The way to servers.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) outbound: Outbound,
    /// `host:port` pairs that may be plain http or on a private network, as the operator allows.
    pub(super) trusted: Vec<String>,
    /// Servers that do not answer are left alone, for each client on its own.
    pub(super) breakers: Arc<Breakers<Key>>,
}

type Answer = Result<(Value, Option<String>), Fault>;

impl Line {
    /// Sends a request, unless the server has not answered lately; gives its result, and the session id that came with it.
    pub(super) async fn ask(&self, post: &Post<'_>, id: u64) -> Answer {
        let Some((client, key)) = post.whose else { return self.exchange(post, id).await.0 };
        let permit = self.breakers.admit(client, key, post.until.into_std()).ok_or(Fault::Rests)?;
        let (answer, sign) = self.exchange(post, id).await;
        permit.settle(sign);
        answer
    }

    /// Besides the answer, what it tells of the server.
    async fn exchange(&self, post: &Post<'_>, id: u64) -> (Answer, Sign) {
        let response = match self.send(post).await {
            Ok(response) => response,
            // Its address is none that may be asked.
            Err(fault @ Fault::Refused(_)) => return (Err(fault), Sign::None),
            Err(fault) => return (Err(fault), Sign::Failed),
        };
        let wait = response.headers().get(RETRY_AFTER).and_then(|wait| wait.to_str().ok());
        let told = sign(response.status().as_u16(), wait, Utc::now());
        let answer = self.answer(response, post, id).await;
        let broken = matches!(&answer, Err(Fault::Late | Fault::Broken));
        (answer, if broken { Sign::Failed } else { told })
    }

    async fn answer<S>(&self, response: ClientResponse<S>, post: &Post<'_>, id: u64) -> Answer
    where
        S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
    {
        let status = response.status().as_u16();
        let session = session_id(response.headers().get("mcp-session-id"))?;
        let streamed = is_stream(response.headers().get(CONTENT_TYPE));
        if !(200..300).contains(&status) {
            return Err(refusal(status, post.session, &read(response, REASON_BYTES_MAX, post.until).await));
        }
        let heard = match streamed {
            true => self.follow(response, post, id).await?,
            false => {
                let body = read(response, post.limit, post.until).await?;
                let message = serde_json::from_slice(&body).map_err(|_| unreadable())?;
                hear(message, id).into_iter().find(|heard| !matches!(heard, Heard::Asked(_))).ok_or_else(unreadable)?
            }
        };
        match heard {
            Heard::Result(result) => Ok((result, session)),
            Heard::Error { code, message } => Err(failed(code, &message)),
            Heard::Asked(_) => Err(unreadable()),
        }
    }

    /// Sends what has no answer.
    pub(super) async fn tell(&self, post: &Post<'_>) -> Result<(), Fault> {
        let response = self.send(post).await?;
        match response.status().as_u16() {
            200..=299 => Ok(()),
            status => Err(refusal(status, post.session, &Ok(Vec::new()))),
        }
    }

    /// The same without waiting for it: nothing depends on whether it arrives.
    pub(super) fn tell_aside(&self, server: &McpServer, session: Option<&Session>, body: Value) {
        let (line, server, session) = (self.clone(), server.clone(), session.cloned());
        actix_rt::spawn(async move {
            let until = Instant::now() + ASIDE;
            let (session, headers) = (session.as_ref(), &[][..]);
            let post = Post { server: &server, whose: None, session, body: &body, headers, until, limit: 0 };
            if let Err(fault) = line.tell(&post).await {
                tracing::debug!(server = &*server.name, %fault, "an mcp server was not told");
            }
        });
    }

    /// Ends a session that is not used any more; a server that ends none says so.
    pub(super) async fn end(&self, server: &McpServer, session: &Session) {
        if session.id.is_none() {
            return;
        }
        let Ok(url) = Url::parse(&server.url) else { return };
        let Ok(address) = checked_address(&url, self.trusts(&url)).await else { return };
        let mut request = self.outbound.client().delete(url.as_str()).address(address).timeout(ASIDE);
        for header in headers(server, Some(session), &[]) {
            request = request.insert_header(header);
        }
        if let Err(error) = request.send().await {
            tracing::debug!(server = &*server.name, %error, "an mcp session was not ended");
        }
    }

    async fn send(
        &self,
        post: &Post<'_>,
    ) -> Result<ClientResponse<impl Stream<Item = Result<Bytes, PayloadError>> + Unpin + use<>>, Fault> {
        let url =
            Url::parse(&post.server.url).map_err(|_| Fault::Refused("its address is misconfigured".to_owned()))?;
        let address = timeout_at(post.until, checked_address(&url, self.trusts(&url))).await;
        let address = address.map_err(|_| Fault::Away("its host was not found in time"))?.map_err(unreachable)?;
        let left = post.until.saturating_duration_since(Instant::now());
        let mut request = self.outbound.client().post(url.as_str()).address(address).timeout(left);
        for header in headers(post.server, post.session, post.headers) {
            request = request.insert_header(header);
        }
        let sent = request
            .insert_header((ACCEPT, "application/json, text/event-stream"))
            .insert_header((CONTENT_TYPE, "application/json"))
            .send_body(post.body.to_string());
        sent.await.map_err(|error| unsent(&error))
    }

    fn trusts(&self, url: &Url) -> bool {
        let own = url.host().zip(url.port_or_known_default()).map(|(host, port)| format!("{host}:{port}"));
        own.is_some_and(|own| self.trusted.contains(&own))
    }

    /// Reads events until one is the answer; what the server asks meanwhile is answered.
    async fn follow<S>(&self, mut response: ClientResponse<S>, post: &Post<'_>, id: u64) -> Result<Heard, Fault>
    where
        S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
    {
        let mut events = Events::new(post.limit);
        let (mut bytes, mut replies) = (0, 0);
        loop {
            let piece = timeout_at(post.until, response.next()).await.map_err(|_| Fault::Late)?;
            let Some(Ok(piece)) = piece else { return Err(Fault::Broken) };
            bytes += piece.len();
            // Whatever else it tells may take as much room again, and no more.
            let whole = events.take(&piece).ok().filter(|_| bytes <= post.limit.saturating_mul(2));
            let whole = whole.ok_or_else(|| Fault::Lost("its answer is too long".to_owned()))?;
            for heard in whole.iter().filter_map(|data| serde_json::from_str(data).ok()).flat_map(|m| hear(m, id)) {
                match heard {
                    // Before there is a session there is nowhere to answer.
                    Heard::Asked(reply) if replies < REPLIES_MAX && post.session.is_some() => {
                        replies += 1;
                        self.tell_aside(post.server, post.session, reply);
                    }
                    Heard::Asked(_) => {}
                    answer => return Ok(answer),
                }
            }
        }
    }
}

/// The server's own headers, the protocol's and the request's.
fn headers(
    server: &McpServer,
    session: Option<&Session>,
    more: &[(&'static str, String)],
) -> Vec<(HeaderName, HeaderValue)> {
    let own = server.headers.iter().map(|(name, value)| (&**name, value.expose()));
    let version = session.map(|session| ("mcp-protocol-version", session.revision));
    let id = session.and_then(|session| session.id.as_deref()).map(|id| ("mcp-session-id", id));
    let more = more.iter().map(|(name, value)| (*name, value.as_str()));
    let all = own.chain(version).chain(id).chain(more);
    // What the settings' check let through are headers.
    all.filter_map(|(name, value)| Some((name.parse().ok()?, HeaderValue::from_str(value).ok()?))).collect()
}

async fn read<S>(mut response: ClientResponse<S>, limit: usize, until: Instant) -> Result<Vec<u8>, Fault>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    let mut body = Vec::new();
    while let Some(piece) = timeout_at(until, response.next()).await.map_err(|_| Fault::Late)? {
        let piece = piece.map_err(|_| Fault::Broken)?;
        if body.len() + piece.len() > limit {
            return Err(Fault::Lost("its answer is too long".to_owned()));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

fn session_id(header: Option<&HeaderValue>) -> Result<Option<String>, Fault> {
    let Some(header) = header else { return Ok(None) };
    let text = header.to_str().ok().filter(|text| text.bytes().all(|b| (0x21..=0x7e).contains(&b)));
    match text.filter(|text| (1..=SESSION_ID_MAX).contains(&text.len())) {
        Some(text) => Ok(Some(text.to_owned())),
        None => Err(Fault::Refused("it gave a session id that is none".to_owned())),
    }
}

fn is_stream(kind: Option<&HeaderValue>) -> bool {
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"))
}

fn unreachable(error: ActionError) -> Fault {
    match error {
        ActionError::Refused(why) => Fault::Refused(why),
        ActionError::Unavailable(_) | ActionError::Away(_) | ActionError::Unknown(_) => {
            Fault::Away("its host was not found")
        }
    }
}

fn unsent(error: &SendRequestError) -> Fault {
    match error {
        // The line broke after the request had left, which the client calls a failure to connect as well.
        SendRequestError::Connect(ConnectError::Disconnected) => Fault::Lost("it did not answer".to_owned()),
        // The connection was never made: nothing happened.
        SendRequestError::Connect(_) | SendRequestError::Url(_) => Fault::Away("it could not be reached"),
        SendRequestError::Timeout => Fault::Late,
        _ => Fault::Lost("it did not answer".to_owned()),
    }
}

fn unreadable() -> Fault {
    Fault::Lost("its answer could not be read".to_owned())
}

/// What a status says that is no success.
fn refusal(status: u16, session: Option<&Session>, body: &Result<Vec<u8>, Fault>) -> Fault {
    let has_session = session.is_some_and(|session| session.id.is_some());
    match status {
        // The protocol's word for a session that is over: whatever came with it was not looked at.
        404 if has_session => Fault::SessionLost("it does not know the session".to_owned()),
        401 | 403 => Fault::Refused(format!("it refuses the credentials ({status})")),
        408 | 425 | 429 | 503 => Fault::Away("it is busy"),
        500..=599 => Fault::Lost(format!("it failed ({status})")),
        _ => {
            let body: Value = body.as_ref().ok().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
            let reason = plain(body["error"]["message"].as_str().unwrap_or_default(), super::wire::TEXT_MAX);
            let colon = if reason.is_empty() { "" } else { ": " };
            let told = format!("it was refused ({status}){colon}{reason}");
            // Many servers answer so where they should answer 404. A tool's own refusal comes in a result.
            if status == 400 && has_session { Fault::SessionLost(told) } else { Fault::Refused(told) }
        }
    }
}

/// An error of JSON-RPC. Those with codes of its own say that the request was not taken; others may come from within the work.
fn failed(code: i64, message: &str) -> Fault {
    let colon = if message.is_empty() { "" } else { ": " };
    match code {
        -32700 | -32602..=-32600 => Fault::Refused(format!("it was refused ({code}){colon}{message}")),
        _ => Fault::Lost(format!("it failed ({code}){colon}{message}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_status_tells_whether_something_may_have_happened() {
        let session = Session { id: Some("s".to_owned()), revision: "2025-06-18", about: String::new() };
        let without = Session { id: None, ..session.clone() };
        let body = Ok(json!({ "error": { "message": "no\u{7} way" } }).to_string().into_bytes());
        for (status, session, outcome) in [
            (404, Some(&session), "session_lost"),
            (404, Some(&without), "refused"),
            (404, None, "refused"),
            (400, Some(&session), "session_lost"),
            (400, None, "refused"),
            (301, Some(&session), "refused"),
            (401, None, "refused"),
            (429, Some(&session), "away"),
            (503, Some(&session), "away"),
            (500, Some(&session), "lost"),
            (502, Some(&session), "lost"),
        ] {
            assert_eq!(refusal(status, session, &body).outcome(), outcome, "{status}");
        }
        assert_eq!(refusal(400, None, &body).to_string(), "it was refused (400): no way");
    }

    #[test]
    fn an_error_from_within_the_work_is_no_refusal() {
        for (code, outcome) in [
            (-32700, "refused"),
            (-32600, "refused"),
            (-32601, "refused"),
            (-32602, "refused"),
            (-32603, "lost"),
            (-32000, "lost"),
            (0, "lost"),
        ] {
            assert_eq!(failed(code, "x").outcome(), outcome, "{code}");
        }
    }

    #[test]
    fn an_id_of_a_session_is_visible_ascii() {
        let long = "x".repeat(SESSION_ID_MAX + 1);
        for (text, fits) in [("1868a90c", true), ("", false), ("a b", false), (long.as_str(), false)] {
            let header = HeaderValue::from_str(text).ok();
            assert_eq!(session_id(header.as_ref()).is_ok(), fits, "{text}");
        }
        assert_eq!(session_id(None), Ok(None));
    }

    #[test]
    fn a_stream_is_known_by_its_kind() {
        for (kind, expected) in [
            ("text/event-stream", true),
            ("Text/Event-Stream; charset=utf-8", true),
            ("application/json", false),
            ("", false),
        ] {
            assert_eq!(is_stream(HeaderValue::from_str(kind).ok().as_ref()), expected, "{kind}");
        }
    }
}
