//! The cheapest engine that the server takes for a Realtime service: it repeats the caller.
//!
//! Speaks openai-realtime's wire from hand-written JSON: `session.created`, `session.updated`, one response that never
//! ends, and for each append one delta with the same base64. Hears no speech, so nothing interrupts. Owns its listener
//! and sessions; knows nothing of calls or of what is measured.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use super::frame::{self, CLOSE, Inbox, PING, PONG, TEXT};

/// The caller is not repeated at first: audio that piled up while the session opened would come as one burst, and the
/// server would rightly play all that follows that much later.
const SILENT_FIRST: Duration = Duration::from_secs(1);
/// From accept to the end of the upgrade.
const UPGRADE_DEADLINE: Duration = Duration::from_secs(5);

const DELTA_HEAD: &[u8] = br#"{"type":"response.output_audio.delta","event_id":"event_C4ZbKyPMTu0hmkmNqPtE7","response_id":"resp_bench0000000000001","item_id":"item_bench0000000000001","output_index":0,"content_index":0,"delta":""#;
const DELTA_TAIL: &[u8] = br#""}"#;

/// What its sessions have in common.
#[derive(Default)]
pub struct Engine {
    /// Sessions open now.
    pub sessions: Cell<usize>,
    /// The audio format that the server asked for last.
    pub format: RefCell<String>,
    /// Why a session ended that should not have.
    pub failure: RefCell<Option<String>>,
}

impl Engine {
    /// Serves sessions until dropped.
    pub async fn serve(self: Rc<Self>, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let engine = Rc::clone(&self);
            tokio::task::spawn_local(async move {
                engine.sessions.set(engine.sessions.get() + 1);
                if let Err(error) = engine.session(stream).await {
                    engine.failure.borrow_mut().get_or_insert(format!("{error:#}"));
                }
                engine.sessions.set(engine.sessions.get() - 1);
            });
        }
    }

    async fn session(&self, mut stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut inbox = Inbox::new();
        timeout(UPGRADE_DEADLINE, upgrade(&mut stream, &mut inbox)).await.context("engine: no upgrade in time")??;
        let mut out = Vec::new();
        push(&mut out, &json!({ "type": "session.created", "event_id": "event_1", "session": session(Value::Null) }));
        let mut repeats_from: Option<Instant> = None;
        let mut is_open = true;
        while is_open {
            while let Some(frame) = inbox.frame()? {
                let payload = inbox.bytes(frame.payload);
                match frame.opcode {
                    TEXT => self.hear(payload, &mut out, &mut repeats_from)?,
                    PING => frame::push_server(&mut out, PONG, &[payload]),
                    CLOSE => {
                        frame::push_server(&mut out, CLOSE, &[payload]);
                        is_open = false;
                    }
                    _ => {}
                }
            }
            if !out.is_empty() {
                // The far end may be gone before the last answer; that is how sessions end.
                if stream.write_all(&out).await.is_err() {
                    return Ok(());
                }
                out.clear();
            }
            if is_open {
                match stream.read(inbox.space()).await {
                    Ok(bytes) if bytes > 0 => inbox.filled(bytes),
                    Ok(_) | Err(_) => is_open = false,
                }
            }
        }
        Ok(())
    }

    fn hear(&self, text: &[u8], out: &mut Vec<u8>, repeats_from: &mut Option<Instant>) -> Result<()> {
        const APPEND: &[u8] = b"input_audio_buffer.append";
        let begins = &text[..text.len().min(64)];
        if begins.windows(APPEND.len()).any(|window| window == APPEND)
            && let Some(audio) = frame::quoted(text, b"\"audio\":\"")
        {
            repeat(audio, out, *repeats_from);
            return Ok(());
        }
        let event: Value = serde_json::from_slice(text).context("engine: an event that is not JSON")?;
        match event["type"].as_str().unwrap_or("") {
            "input_audio_buffer.append" => repeat(event["audio"].as_str().unwrap_or("").as_bytes(), out, *repeats_from),
            "session.update" => {
                let format = &event["session"]["audio"]["input"]["format"];
                *self.format.borrow_mut() = format["type"].as_str().unwrap_or("not said").to_owned();
                repeats_from.get_or_insert_with(|| Instant::now() + SILENT_FIRST);
                let session = session(event["session"].clone());
                push(out, &json!({ "type": "session.updated", "event_id": "event_2", "session": session }));
            }
            "response.create" => {
                let response = json!({
                    "id": "resp_bench0000000000001", "object": "realtime.response", "status": "in_progress",
                    "output": [], "metadata": event["response"]["metadata"],
                });
                push(out, &json!({ "type": "response.created", "event_id": "event_3", "response": response }));
            }
            _ => {}
        }
        Ok(())
    }
}

fn repeat(audio: &[u8], out: &mut Vec<u8>, repeats_from: Option<Instant>) {
    if repeats_from.is_some_and(|from| Instant::now() >= from) {
        frame::push_server(out, TEXT, &[DELTA_HEAD, audio, DELTA_TAIL]);
    }
}

fn push(out: &mut Vec<u8>, event: &Value) {
    frame::push_server(out, TEXT, &[event.to_string().as_bytes()]);
}

fn session(settings: Value) -> Value {
    let mut session = if settings.is_object() { settings } else { json!({ "type": "realtime" }) };
    session["id"] = json!("sess_bench");
    session["object"] = json!("realtime.session");
    session
}

async fn upgrade(stream: &mut TcpStream, inbox: &mut Inbox) -> Result<()> {
    let head = loop {
        if let Some(head) = inbox.http_head()? {
            break head;
        }
        match stream.read(inbox.space()).await? {
            0 => bail!("engine: closed before the upgrade"),
            bytes => inbox.filled(bytes),
        }
    };
    let key = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find_map(|(name, value)| name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim()));
    let Some(key) = key else { bail!("engine: not a WebSocket handshake: {}", head.lines().next().unwrap_or("")) };
    let accept = frame::accept(key);
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await?;
    Ok(())
}
