//! A media stream by hand, for callers that no scenario describes.

use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use awc::error::WsProtocolError;
use awc::ws::{Frame, Message};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{Sink, SinkExt as _, Stream as Streaming, StreamExt as _};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::world::{Server, client, request};

/// A WebSocket of this side.
pub trait Wire:
    Streaming<Item = Result<Frame, WsProtocolError>> + Sink<Message, Error = WsProtocolError> + Unpin
{
}
impl<T> Wire for T where
    T: Streaming<Item = Result<Frame, WsProtocolError>> + Sink<Message, Error = WsProtocolError> + Unpin
{
}

/// Longest wait for one step.
const STEP: Duration = Duration::from_secs(10);

pub struct Stream {
    pub sid: String,
    socket: Box<dyn Wire>,
    number: u64,
}

/// A carrier's id nobody has used.
pub fn sid() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

/// Admits a call; its media URL, or the status of the refusal.
pub async fn admit(server: &Server, sid: &str, caller: usize) -> Result<Result<String, u16>> {
    let from = format!("098765{:05}", caller % 100_000);
    let fields = [("CallSid", sid), ("CallFrom", &from), ("CallTo", "08047112233"), ("Direction", "incoming")];
    let answer = request(&client(), awc::http::Method::GET, &server.hook("call-start", &fields), None).await?;
    if answer.status != 200 {
        return Ok(Err(answer.status));
    }
    let answer: Value = serde_json::from_slice(&answer.body)?;
    Ok(Ok(answer["url"].as_str().ok_or_else(|| anyhow!("no url in {answer}"))?.to_owned()))
}

impl Stream {
    /// Admits a call and opens its stream, without a word.
    pub async fn open(server: &Server, caller: usize) -> Result<Self> {
        let sid = sid();
        let url = admit(server, &sid, caller).await?.map_err(|status| anyhow!("call-start: {status}"))?;
        let connecting = client().ws(url).max_frame_size(1 << 20).connect();
        let (_, socket) = timeout(STEP, connecting).await?.map_err(|error| anyhow!("media: {error}"))?;
        Ok(Self { sid, socket: Box::new(socket), number: 0 })
    }

    pub async fn send(&mut self, value: &Value) -> Result<()> {
        self.send_text(value.to_string()).await
    }

    pub async fn send_text(&mut self, text: String) -> Result<()> {
        timeout(STEP, self.socket.send(Message::Text(text.into()))).await?.map_err(|error| anyhow!("{error}"))
    }

    /// `connected` and `start`.
    pub async fn start(&mut self) -> Result<()> {
        self.send(&json!({"event": "connected"})).await?;
        let stream = format!("s{}", self.sid);
        self.send(&json!({"event": "start", "stream_sid": stream, "sequence_number": "1", "start": {
            "stream_sid": stream, "call_sid": self.sid, "account_sid": "sandbox1", "from": "09876543210",
            "to": "08047112233", "media_format": {"encoding": "base64", "sample_rate": "8000", "bit_rate": "128kbps"}}}))
            .await
    }

    /// So many frames of silence, 20 ms each, as fast as they go.
    pub async fn frames(&mut self, count: u64) -> Result<()> {
        for _ in 0..count {
            self.number += 1;
            let payload = STANDARD.encode([0_u8; 320]);
            self.send(&json!({"event": "media", "stream_sid": format!("s{}", self.sid),
                "sequence_number": (self.number + 1).to_string(), "media": {"chunk": self.number.to_string(),
                "timestamp": (self.number * 20).to_string(), "payload": payload}}))
                .await?;
        }
        Ok(())
    }

    /// `stop`, as when the caller hangs up.
    pub async fn stop(&mut self) -> Result<()> {
        self.send(&json!({"event": "stop", "stream_sid": format!("s{}", self.sid),
            "stop": {"reason": "callended"}}))
            .await
    }

    /// Reads until the other side closes; its close code, 1006 for none.
    pub async fn closed(&mut self, within: Duration) -> Result<u16> {
        let end = async {
            while let Some(frame) = self.socket.next().await {
                match frame {
                    Ok(Frame::Close(reason)) => return reason.map_or(1005, |reason| u16::from(reason.code)),
                    Ok(_) => {}
                    Err(_) => return 1006,
                }
            }
            1006
        };
        let code = timeout(within, end).await;
        ensure!(code.is_ok(), "{}: the stream was not closed within {within:?}", self.sid);
        Ok(code?)
    }
}
