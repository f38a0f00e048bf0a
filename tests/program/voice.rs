//! A speech service of the test's own: it hears nothing, and says and writes down what a script tells it to.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, AsyncContext as _, StreamHandler};
use actix_web::{App, HttpRequest, HttpServer, web};
use actix_web_actors::ws;
use base64::Engine as _;
use serde_json::{Value, json};

/// From the end of the caller's words to their transcript; a dozen callers' turns are under way then.
const RECOGNISED_AFTER: Duration = Duration::from_millis(120);

/// One thing that happens in the call.
#[derive(Clone, Debug)]
pub enum Step {
    /// The caller said this.
    Caller(String),
    /// The agent says this.
    Agent(String),
    /// The agent calls this tool with these arguments.
    Tool(&'static str, Value),
}

/// A running service; its base URL, and how much of the script is done.
pub struct Voice {
    pub base: String,
    done: tokio::sync::watch::Receiver<usize>,
    total: usize,
}

impl Voice {
    /// Serves the script to the first session that is opened.
    pub fn start(script: Vec<Step>) -> Self {
        let (said, done) = tokio::sync::watch::channel(0);
        let total = script.len();
        let script = std::sync::Arc::new(std::sync::Mutex::new(Some((script, said))));
        let app = move || {
            let script = script.clone();
            App::new().route(
                "/v1/realtime",
                web::get().to(move |request: HttpRequest, stream: web::Payload| {
                    let (steps, said) = script.lock().unwrap().take().unzip();
                    let steps = steps.unwrap_or_default().into_iter().collect();
                    let session = Session { steps: Rc::new(RefCell::new(steps)), said, number: 0 };
                    async move { ws::start(session, &request, stream) }
                }),
            )
        };
        let server = HttpServer::new(app).workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
        let base = format!("ws://{}/v1", server.addrs()[0]);
        actix_rt::spawn(server.run());
        Self { base, done, total }
    }

    /// Waits until so much of the script has happened, in hundredths.
    pub async fn reached(&mut self, share: usize, within: Duration) {
        let enough = self.total * share / 100;
        let reached = tokio::time::timeout(within, self.done.wait_for(|done| *done >= enough)).await;
        assert!(reached.is_ok_and(|done| done.is_ok()), "the script did not get to {share} %");
    }
}

struct Session {
    steps: Rc<RefCell<std::collections::VecDeque<Step>>>,
    said: Option<tokio::sync::watch::Sender<usize>>,
    number: u64,
}

impl Actor for Session {
    type Context = ws::WebsocketContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.text(json!({"type": "session.created", "session": {"id": "sess_1", "type": "realtime"}}).to_string());
    }
}

impl StreamHandler<Result<ws::Message, ws::ProtocolError>> for Session {
    fn handle(&mut self, message: Result<ws::Message, ws::ProtocolError>, ctx: &mut Self::Context) {
        match message {
            Ok(ws::Message::Ping(bytes)) => ctx.pong(&bytes),
            Ok(ws::Message::Close(reason)) => ctx.close(reason),
            Ok(ws::Message::Text(text)) => self.heard(&serde_json::from_str(&text).unwrap(), ctx),
            _ => {}
        }
    }
}

impl Session {
    fn heard(&mut self, event: &Value, ctx: &mut <Self as Actor>::Context) {
        match event["type"].as_str() {
            Some("session.update") => {
                ctx.text(json!({"type": "session.updated", "session": {"id": "sess_1"}}).to_string());
                if self.said.is_some() && self.number == 0 {
                    ctx.run_later(Duration::from_millis(1500), Self::next);
                }
            }
            Some("response.create") => {
                let wish = event["response"]["metadata"].clone();
                self.speak("Namaste.", &wish, ctx);
            }
            _ => {}
        }
    }

    fn next(&mut self, ctx: &mut <Self as Actor>::Context) {
        let Some(step) = self.steps.borrow_mut().pop_front() else { return };
        let pause = match step {
            Step::Caller(text) => {
                self.caller(&text, ctx);
                10
            }
            Step::Agent(text) => {
                self.speak(&text, &Value::Null, ctx);
                self.told();
                600
            }
            Step::Tool(name, arguments) => {
                self.call(name, &arguments, ctx);
                self.told();
                100
            }
        };
        ctx.run_later(Duration::from_millis(pause), Self::next);
    }

    fn id(&mut self, kind: &str) -> String {
        self.number += 1;
        format!("{kind}_{}", self.number)
    }

    fn caller(&mut self, text: &str, ctx: &mut <Self as Actor>::Context) {
        let item = self.id("item_u");
        for event in
            ["input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "input_audio_buffer.committed"]
        {
            ctx.text(json!({"type": event, "item_id": item, "audio_start_ms": 0, "audio_end_ms": 1}).to_string());
        }
        // A recogniser takes its time, in which the agent's interrupted words are written down.
        let kind = "conversation.item.input_audio_transcription.completed";
        let words = json!({"type": kind, "item_id": item, "content_index": 0, "transcript": text}).to_string();
        ctx.run_later(RECOGNISED_AFTER, move |this, ctx| {
            ctx.text(words);
            this.told();
        });
    }

    /// One more step of the script has happened.
    fn told(&self) {
        if let Some(said) = &self.said {
            said.send_modify(|done| *done += 1);
        }
    }

    fn speak(&mut self, text: &str, wish: &Value, ctx: &mut <Self as Actor>::Context) {
        let (response, item) = (self.id("resp"), self.id("item_a"));
        let sound = base64::engine::general_purpose::STANDARD.encode([0_u8; 1600]);
        let of = json!({"response_id": response, "item_id": item, "output_index": 0, "content_index": 0});
        let with = |kind: &str, name: &str, value: &str| {
            let mut event = of.clone();
            event["type"] = kind.into();
            event[name] = value.into();
            event.to_string()
        };
        ctx.text(json!({"type": "response.created", "response": {"id": response, "metadata": wish}}).to_string());
        ctx.text(with("response.output_audio.delta", "delta", &sound));
        ctx.text(with("response.output_audio_transcript.done", "transcript", text));
        ctx.text(
            json!({"type": "response.done", "response": {"id": response, "status": "completed", "metadata": wish,
                "output": [{"id": item, "type": "message"}]}})
            .to_string(),
        );
    }

    fn call(&mut self, name: &str, arguments: &Value, ctx: &mut <Self as Actor>::Context) {
        let (response, item, id) = (self.id("resp"), self.id("item_f"), self.id("call"));
        let call = json!({"id": item, "type": "function_call", "status": "completed", "name": name, "call_id": id,
            "arguments": arguments.to_string()});
        ctx.text(json!({"type": "response.created", "response": {"id": response, "metadata": null}}).to_string());
        ctx.text(
            json!({"type": "response.output_item.done", "response_id": response, "output_index": 0, "item": call})
                .to_string(),
        );
        ctx.text(
            json!({"type": "response.done", "response": {"id": response, "status": "completed", "output": [call]}})
                .to_string(),
        );
    }
}
