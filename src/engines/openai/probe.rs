//! Whether the service can be used, for `caly check`: the key and the model over plain HTTPS, where errors have
//! words, then a session over the socket.

use std::time::{Duration, Instant};

use awc::ws::{CloseCode, Message};
use caly_actors::ports::EngineError;
use futures_util::SinkExt as _;
use serde::Deserialize;
use tokio::time::timeout;

use super::faults::{from_send, from_status, plain};
use super::hear::fault;
use super::open::expect;
use super::socket::{Assembler, connect, headers, model_url};
use super::wire::WireError;
use super::{OpenAiOptions, OptionsError};
use crate::outbound::Outbound;

/// Longest answer of the model page that is read.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// What a probe found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProbeReport {
    /// Host that was asked.
    pub host: String,
    /// Model that was asked for.
    pub model: String,
    /// Whether the service says by itself that it has the model; gateways may not have that page.
    pub model_listed: bool,
    /// From the first packet until a session was created.
    pub session_after: Duration,
}

impl std::fmt::Display for ProbeReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (host, model, ms) = (&self.host, &self.model, self.session_after.as_millis());
        write!(f, "{host} opens sessions with {model} ({ms} ms)")
    }
}

#[derive(Deserialize, Default)]
struct ErrorBody {
    #[serde(default)]
    error: Option<WireError>,
}

/// Asks for the model and opens a session without using it. Costs nothing.
///
/// # Errors
/// What stands in the way, sorted as for a session: key, quota, rate limit, address or network.
pub async fn probe(options: &OpenAiOptions) -> Result<ProbeReport, EngineError> {
    let unusable = |error: OptionsError| EngineError::Refused(error.to_string());
    options.check().map_err(unusable)?;
    let outbound = Outbound::new(options.ca_file.as_deref()).map_err(|error| unusable(error.into()))?;
    // A service on this machine is a simulator or a gateway: only its socket counts.
    let model_listed = match options.base_url.scheme() {
        "https" | "wss" => timeout(options.connect_timeout, ask_for_model(&outbound, options))
            .await
            .map_err(|_| EngineError::Stalled("no answer in time"))??,
        _ => false,
    };
    let began = Instant::now();
    let mut socket = timeout(options.connect_timeout, connect(&outbound, options, None))
        .await
        .map_err(|_| EngineError::Stalled("no connection in time"))??;
    timeout(options.ready_timeout, expect(&mut socket, &mut Assembler::default(), "session.created"))
        .await
        .map_err(|_| EngineError::Stalled("no session.created in time"))??;
    let session_after = began.elapsed();
    // Only polite: the socket is dropped next.
    let _ = timeout(Duration::from_secs(1), socket.send(Message::Close(Some(CloseCode::Normal.into())))).await;
    let host = options.base_url.host_str().unwrap_or("").to_owned();
    Ok(ProbeReport { host, model: options.model.clone(), model_listed, session_after })
}

/// `Ok(false)` when the service has no such page at all.
async fn ask_for_model(outbound: &Outbound, options: &OpenAiOptions) -> Result<bool, EngineError> {
    let mut request = outbound.client().get(model_url(&options.base_url, &options.model).as_str());
    for (name, value) in headers(options)? {
        request = request.insert_header((name, value));
    }
    let mut response = request.send().await.map_err(from_send)?;
    let status = response.status().as_u16();
    if response.status().is_success() {
        return Ok(true);
    }
    let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    let body = response.body().limit(BODY_BYTES_MAX).await.unwrap_or_default();
    match judge(status, &body, after.map(Duration::from_secs)) {
        Some(error) => Err(error),
        None => Ok(false),
    }
}

/// What an answer other than 2xx means; `None` for a missing page that says nothing of the model.
fn judge(status: u16, body: &[u8], after: Option<Duration>) -> Option<EngineError> {
    let error = serde_json::from_slice::<ErrorBody>(body).unwrap_or_default().error.unwrap_or_default();
    let code = error.code();
    let told = fault(&error, &code);
    if let Some(known) = told.known() {
        return Some(match known {
            EngineError::Busy { reason, after: told_after } => {
                EngineError::Busy { reason, after: after.or(told_after) }
            }
            known => known,
        });
    }
    let words = if told.message.is_empty() { String::new() } else { format!(": {}", plain(told.message)) };
    match from_status(status) {
        _ if matches!(status, 404 | 405 | 501) => None,
        EngineError::Refused(reason) => Some(EngineError::Refused(reason + &words)),
        EngineError::Busy { reason, .. } => Some(EngineError::Busy { reason: reason + &words, after }),
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_judged_by_their_words_before_their_status() {
        let body = |kind: &str, code: &str| {
            serde_json::json!({"error": {"message": "words", "type": kind, "param": null, "code": code}}).to_string()
        };
        for (status, body, kind) in [
            (401, body("invalid_request_error", "invalid_api_key"), Some("refused")),
            (404, body("invalid_request_error", "model_not_found"), Some("refused")),
            (429, body("insufficient_quota", "insufficient_quota"), Some("quota")),
            (429, body("requests", "rate_limit_exceeded"), Some("busy")),
            (401, "<html>".to_owned(), Some("refused")),
            (404, "<html>".to_owned(), None),
            (502, String::new(), Some("connection")),
        ] {
            let error = judge(status, body.as_bytes(), None);
            assert_eq!(error.as_ref().map(EngineError::kind), kind, "{status} {body}");
        }
        let busy = judge(429, b"{}", Some(Duration::from_secs(7)));
        assert!(matches!(busy, Some(EngineError::Busy { after: Some(after), .. }) if after == Duration::from_secs(7)));
    }
}
