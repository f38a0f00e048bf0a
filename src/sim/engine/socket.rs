//! The WebSocket of one simulated session: frames to the plain machine and back, its timer, and the echo short cut.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use actix::{Actor, ActorContext, AsyncContext, SpawnHandle, StreamHandler};
use actix_http::ws::Item as Fragment;
use actix_web::{HttpRequest, HttpResponse, web};
use actix_web_actors::ws;
use serde_json::json;

use super::Shared;
use super::session::{Out, Session};

/// An append of 15 MiB, and its JSON.
const FRAME_MAX: usize = 16 * 1024 * 1024;

struct Socket {
    session: Session,
    shared: Shared,
    begun: Instant,
    timer: Option<(SpawnHandle, Duration)>,
    partial: Vec<u8>,
    /// Sent and still on its way, oldest first.
    on_its_way: VecDeque<String>,
    echo: Option<Echo>,
    beta: bool,
}

/// Upgrades the request to a session.
pub(super) fn start(
    session: Session,
    echo: bool,
    beta: bool,
    browser: bool,
    request: &HttpRequest,
    stream: web::Payload,
) -> Result<HttpResponse, actix_web::Error> {
    let shared = session.shared.clone();
    let echo = echo.then(Echo::default);
    let begun = Instant::now();
    let socket =
        Socket { session, shared, begun, timer: None, partial: Vec::new(), on_its_way: VecDeque::new(), echo, beta };
    let builder = ws::WsResponseBuilder::new(socket, request, stream).frame_size(FRAME_MAX);
    if browser { builder.protocols(&["realtime"]).start() } else { builder.start() }
}

impl Socket {
    fn flush(&mut self, context: &mut ws::WebsocketContext<Self>) {
        let now = self.begun.elapsed();
        self.session.tick(now);
        for out in self.session.take() {
            match out {
                Out::Text(text) => context.text(text),
                Out::Close(code, reason) => {
                    let description = Some(reason);
                    context.close(Some(ws::CloseReason { code: ws::CloseCode::Other(code), description }));
                    context.stop();
                }
                // Ending the response body without a close frame cuts the connection.
                Out::Drop => context.terminate(),
            }
        }
        let due = self.session.next_due();
        if due == self.timer.map(|timer| timer.1) {
            return;
        }
        if let Some((old, _)) = self.timer.take() {
            context.cancel_future(old);
        }
        if let Some(due) = due {
            let handle = context.run_later(due.saturating_sub(self.begun.elapsed()), |socket, context| {
                socket.timer = None;
                socket.flush(context);
            });
            self.timer = Some((handle, due));
        }
    }

    fn text(&mut self, text: &str, context: &mut ws::WebsocketContext<Self>) {
        if let Some(echo) = &mut self.echo
            && let Some(audio) = appended_audio(text)
        {
            let first = !std::mem::replace(&mut echo.begun, true);
            if first {
                for event in echo.opening() {
                    context.text(event);
                }
            }
            context.text(echo.delta(audio));
            return;
        }
        let distance = self.session.options.distance;
        if distance.is_zero() {
            return self.receive(text, context);
        }
        self.on_its_way.push_back(text.to_owned());
        context.run_later(distance, |socket, context| {
            // Timers of one moment fire in any order: the oldest arrives first all the same.
            if let Some(text) = socket.on_its_way.pop_front() {
                socket.receive(&text, context);
            }
        });
    }

    fn receive(&mut self, text: &str, context: &mut ws::WebsocketContext<Self>) {
        self.session.receive(text, self.begun.elapsed());
        self.flush(context);
    }

    fn fragment(&mut self, item: Fragment, context: &mut ws::WebsocketContext<Self>) {
        let (bytes, last) = match item {
            Fragment::FirstText(bytes) | Fragment::FirstBinary(bytes) | Fragment::Continue(bytes) => (bytes, false),
            Fragment::Last(bytes) => (bytes, true),
        };
        if self.partial.len() + bytes.len() > FRAME_MAX {
            return context.terminate();
        }
        self.partial.extend_from_slice(&bytes);
        if last {
            let whole = std::mem::take(&mut self.partial);
            self.text(&String::from_utf8_lossy(&whole), context);
        }
    }
}

impl Actor for Socket {
    type Context = ws::WebsocketContext<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        if self.beta {
            let message = "The Realtime Beta API is no longer supported. Please use the GA API.";
            self.session.emit_error("beta_api_shape_disabled", message, json!(null), json!(null));
            self.session.finish(Out::Close(4000, "invalid_request_error.beta_api_shape_disabled".to_owned()));
        } else {
            self.session.open();
        }
        self.flush(context);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.shared.closed.fetch_add(1, Ordering::Relaxed);
    }
}

impl StreamHandler<Result<ws::Message, ws::ProtocolError>> for Socket {
    fn handle(&mut self, message: Result<ws::Message, ws::ProtocolError>, context: &mut Self::Context) {
        match message {
            Ok(ws::Message::Text(text)) => self.text(&text, context),
            Ok(ws::Message::Binary(_)) => {
                self.session.receive_binary();
                self.flush(context);
            }
            Ok(ws::Message::Ping(bytes)) => context.pong(&bytes),
            Ok(ws::Message::Continuation(item)) => self.fragment(item, context),
            Ok(ws::Message::Close(reason)) => {
                context.close(reason);
                context.stop();
            }
            Ok(ws::Message::Pong(_) | ws::Message::Nop) => {}
            // A dropped connection breaks no rule of the protocol.
            Err(ws::ProtocolError::Io(_)) => context.stop(),
            Err(error) => {
                self.shared.violations.add(format!("broken WebSocket frame: {error}"));
                context.stop();
            }
        }
    }
}

/// The endless response of the echo mode.
#[derive(Default)]
struct Echo {
    begun: bool,
    count: u64,
}

impl Echo {
    fn opening(&self) -> Vec<String> {
        let item = json!({"id": "item_echo", "object": "realtime.item", "type": "message", "role": "assistant",
            "status": "in_progress", "content": []});
        let events = [
            json!({"type": "response.created", "response": {"id": "resp_echo", "object": "realtime.response",
                "status": "in_progress", "status_details": null, "output": [], "conversation_id": "conv_echo",
                "output_modalities": ["audio"], "metadata": null, "usage": null}}),
            json!({"type": "response.output_item.added", "response_id": "resp_echo", "output_index": 0, "item": item}),
            json!({"type": "conversation.item.added", "previous_item_id": null, "item": item}),
            json!({"type": "response.content_part.added", "response_id": "resp_echo", "item_id": "item_echo",
                "output_index": 0, "content_index": 0, "part": {"type": "audio", "transcript": ""}}),
        ];
        let number = |(at, mut event): (usize, serde_json::Value)| {
            event["event_id"] = json!(format!("event_echo_open_{at}"));
            event.to_string()
        };
        events.into_iter().enumerate().map(number).collect()
    }

    fn delta(&mut self, audio: &str) -> String {
        use std::fmt::Write as _;
        self.count += 1;
        let mut text = String::with_capacity(audio.len() + 200);
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "{{\"type\":\"response.output_audio.delta\",\"event_id\":\"event_echo_{}\",\"response_id\":\"resp_echo\",\"item_id\":\"item_echo\",\"output_index\":0,\"content_index\":0,\"delta\":\"{audio}\"}}",
            self.count
        );
        text
    }
}

/// The base64 of an append, found without parsing; `None` for any other event.
fn appended_audio(text: &str) -> Option<&str> {
    text.contains("\"input_audio_buffer.append\"").then_some(())?;
    let rest = text.split_once("\"audio\":")?.1.trim_start().strip_prefix('"')?;
    rest.split_once('"').map(|(audio, _)| audio)
}
