//! The simulated carrier against small bots: one that echoes, and one that joins it to the simulated engine.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::{Actor, ActorContext, AsyncContext, Handler, Message, StreamHandler};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use actix_web_actors::ws;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{CallPlan, CallReport, CallbackEncoding, CarrierOptions, Knobs, Outcome, Scenario, place_call, serve};
use crate::sim::audio;
use crate::sim::engine::{self, EngineOptions};

/// What a bot of the tests saw and how it behaves.
#[derive(Clone, Default)]
struct Bot {
    seen: Arc<Mutex<Vec<String>>>,
    engine: Option<String>,
    /// Hand the call over after the stream.
    transfer: Arc<Mutex<bool>>,
    mischief: Option<&'static str>,
}

impl Bot {
    fn saw(&self, line: String) {
        self.seen.lock().unwrap().push(line);
    }

    fn log(&self) -> String {
        self.seen.lock().unwrap().join("\n")
    }
}

enum ToCarrier {
    Text(String),
    Close,
}

impl Message for ToCarrier {
    type Result = ();
}

struct BotSocket {
    bot: Bot,
    stream_sid: String,
    to_engine: Option<mpsc::UnboundedSender<Vec<u8>>>,
}

impl Actor for BotSocket {
    type Context = ws::WebsocketContext<Self>;
}

impl Handler<ToCarrier> for BotSocket {
    type Result = ();
    fn handle(&mut self, message: ToCarrier, context: &mut Self::Context) {
        match message {
            ToCarrier::Text(text) => context.text(text.replace("$SID", &self.stream_sid)),
            ToCarrier::Close => {
                context.close(Some(ws::CloseCode::Normal.into()));
                context.stop();
            }
        }
    }
}

impl StreamHandler<Result<ws::Message, ws::ProtocolError>> for BotSocket {
    fn handle(&mut self, message: Result<ws::Message, ws::ProtocolError>, context: &mut Self::Context) {
        let text = match message {
            Ok(ws::Message::Text(text)) => text,
            Ok(ws::Message::Close(reason)) => {
                context.close(reason);
                return context.stop();
            }
            _ => return,
        };
        let event: Value = serde_json::from_str(&text).unwrap();
        match event["event"].as_str().unwrap() {
            "media" => {
                let payload = event["media"]["payload"].as_str().unwrap();
                if let Some(engine) = &self.to_engine {
                    engine.send(audio::base64_decode(payload).unwrap()).ok();
                } else if self.bot.engine.is_none() {
                    context.text(
                        json!({"event": "media", "stream_sid": self.stream_sid, "media": {"payload": payload}})
                            .to_string(),
                    );
                }
            }
            "start" => {
                self.bot.saw(text.to_string());
                self.stream_sid = event["stream_sid"].as_str().unwrap().to_owned();
                if let Some(text) = self.bot.mischief {
                    context.text(text.replace("$SID", &self.stream_sid));
                }
                if let Some(url) = self.bot.engine.clone() {
                    let (to_engine, from_carrier) = mpsc::unbounded_channel();
                    self.to_engine = Some(to_engine);
                    actix_rt::spawn(bridge(url, from_carrier, context.address(), self.bot.clone()));
                }
            }
            _ => self.bot.saw(text.to_string()),
        }
    }
}

/// Joins the carrier's PCM to the engine's A-law, with barge-in, tools and a hand-over: a bot in forty lines.
async fn bridge(
    url: String,
    mut from_carrier: mpsc::UnboundedReceiver<Vec<u8>>,
    carrier: actix::Addr<BotSocket>,
    bot: Bot,
) {
    let request = awc::Client::new().ws(format!("{url}?model=gpt-realtime")).max_frame_size(1 << 20);
    let (_, mut engine) = request.bearer_auth("k").connect().await.unwrap();
    let tool = |name: &str| {
        json!({"type": "function", "name": name, "description": "d",
        "parameters": {"type": "object", "properties": {"reason": {"type": "string"}}, "required": ["reason"]}})
    };
    let tools = ["transfer_to_human", "end_call", "request_callback", "order_status"].map(tool);
    let open = [
        json!({"type": "session.update", "session": {"type": "realtime",
            "tools": tools,
            "audio": {"input": {"format": {"type": "audio/pcma"}, "turn_detection": {"type": "server_vad",
                "silence_duration_ms": 300}}, "output": {"format": {"type": "audio/pcma"}}}}}),
        json!({"type": "response.create"}),
    ];
    for event in open {
        engine.send(awc::ws::Message::Text(event.to_string().into())).await.unwrap();
    }
    let mut answer = None::<Value>;
    let (mut ending, mut sent) = (None::<tokio::time::Instant>, tokio::time::Instant::now());
    loop {
        tokio::select! {
            Some(pcm) = from_carrier.recv() => {
                let alaw: Vec<u8> = audio::from_le(&pcm).into_iter().map(audio::linear_to_alaw).collect();
                let event = json!({"type": "input_audio_buffer.append", "audio": audio::base64_encode(&alaw)});
                if engine.send(awc::ws::Message::Text(event.to_string().into())).await.is_err() { return; }
            }
            frame = engine.next() => {
                let Some(Ok(awc::ws::Frame::Text(text))) = frame else { return };
                let event: Value = serde_json::from_slice(&text).unwrap();
                match event["type"].as_str().unwrap() {
                    "response.output_audio.delta" => {
                        let alaw = audio::base64_decode(event["delta"].as_str().unwrap()).unwrap();
                        sent = sent.max(tokio::time::Instant::now()) + Duration::from_millis(alaw.len() as u64 / 8);
                        for chunk in alaw.chunks(800) {
                            let mut pcm: Vec<i16> = chunk.iter().map(|c| audio::alaw_to_linear(*c)).collect();
                            pcm.resize(pcm.len().div_ceil(160) * 160, 0);
                            let payload = audio::base64_encode(&audio::to_le(&pcm));
                            carrier.do_send(ToCarrier::Text(json!({"event": "media", "stream_sid": "$SID", "media": {"payload": payload}}).to_string()));
                        }
                    }
                    "input_audio_buffer.speech_started" => {
                        sent = tokio::time::Instant::now();
                        carrier.do_send(ToCarrier::Text(json!({"event": "clear", "stream_sid": "$SID"}).to_string()));
                    }
                    "response.function_call_arguments.done" if event["name"] == "request_callback" || event["name"] == "order_status" => {
                        answer = Some(json!({"type": "conversation.item.create", "item": {"type": "function_call_output",
                            "call_id": event["call_id"], "output": "{\"status\":\"shipped\"}"}}));
                    }
                    "response.done" => {
                        for event in answer.take().into_iter().flat_map(|item| [item, json!({"type": "response.create"})]) {
                            engine.send(awc::ws::Message::Text(event.to_string().into())).await.unwrap();
                        }
                    }
                    "response.function_call_arguments.done" => {
                        *bot.transfer.lock().unwrap() = event["name"] == "transfer_to_human";
                        ending = Some(sent + Duration::from_millis(100));
                    }
                    _ => {}
                }
            }
            () = tokio::time::sleep_until(ending.unwrap_or(sent)), if ending.is_some() => {
                return carrier.do_send(ToCarrier::Close);
            }
        }
    }
}

async fn media(request: HttpRequest, stream: web::Payload, bot: web::Data<Bot>) -> HttpResponse {
    bot.saw(format!("upgrade {} auth={:?}", request.uri(), request.headers().get("authorization")));
    let socket = BotSocket { bot: (**bot).clone(), stream_sid: String::new(), to_engine: None };
    ws::WsResponseBuilder::new(socket, &request, stream).frame_size(1 << 20).start().unwrap()
}

/// Starts a bot; gives back `127.0.0.1:PORT`.
async fn start(bot: Bot) -> String {
    let server = HttpServer::new(move || {
        let hook = |request: HttpRequest, body: web::Bytes, bot: web::Data<Bot>| async move {
            let version = request.headers().get("exotel-version").is_some();
            bot.saw(format!("{} {} v={version} {}", request.method(), request.uri(), String::from_utf8_lossy(&body)));
            let host = request.connection_info().host().to_owned();
            match request.path() {
                "/start" => {
                    HttpResponse::Ok().body(json!({"url": format!("ws://u:p%40ss@{host}/media?token=t1")}).to_string())
                }
                "/passthru" if *bot.transfer.lock().unwrap() => HttpResponse::Ok().finish(),
                "/passthru" => HttpResponse::Found().finish(),
                "/connect" => {
                    HttpResponse::Ok().body(json!({"destination": {"numbers": ["+919811112222"]}}).to_string())
                }
                "/end" => HttpResponse::Ok().finish(),
                _ => HttpResponse::NotFound().finish(),
            }
        };
        App::new()
            .app_data(web::Data::new(bot.clone()))
            .route("/media", web::get().to(media))
            .default_service(web::to(hook))
    })
    .workers(1)
    .disable_signals()
    .bind("127.0.0.1:0")
    .unwrap();
    let address = server.addrs()[0].to_string();
    actix_rt::spawn(server.run());
    address
}

fn plan(host: &str, scenario: &str) -> CallPlan {
    let mut plan = CallPlan::new(&format!("http://{host}/start"), Scenario::load(scenario).unwrap());
    plan.passthru_url = Some(format!("http://{host}/passthru"));
    plan.connect_url = Some(format!("http://{host}/connect"));
    plan.status_callback = Some(format!("http://{host}/end"));
    plan
}

fn scenario(steps: &str) -> Scenario {
    Scenario::parse(&format!("name = \"t\"\ntitle = \"t\"\nmax_seconds = 20\n{steps}")).unwrap()
}

async fn with_engine(name: &str) -> (CallReport, Bot, engine::EngineServer) {
    let engine = engine::serve(EngineOptions::sandbox().unwrap()).await.unwrap();
    let bot = Bot { engine: Some(engine.url.clone()), ..Bot::default() };
    let host = start(bot.clone()).await;
    let report = place_call(plan(&host, name)).await;
    (report, bot, engine)
}

#[actix_rt::test]
async fn an_interrupted_call_is_handed_to_a_person() {
    let (report, bot, engine) = with_engine("demo").await;
    assert!(report.ok, "{}", report.to_json());
    assert_eq!(report.outcome, Outcome::Transferred("+919811112222".into()));
    assert_eq!(engine.violations(), Vec::<String>::new());
    let heard: Vec<&str> = report.heard.iter().flat_map(|said| &said.clips).map(String::as_str).collect();
    assert_eq!(heard, ["greeting", "order_long", "transfer_start"]);
    assert!(report.heard[1].words.split_whitespace().count() < 30, "cut off: {}", report.heard[1].words);
    assert!(report.turns[1].silenced.unwrap() < Duration::from_millis(700), "{:?}", report.turns[1]);
    assert!(report.turns[0].latency.unwrap() < Duration::from_millis(1000), "{:?}", report.turns[0]);
    let log = bot.log();
    assert!(log.contains("GET /start?CallSid=") && log.contains("CallFrom=09876543210&CallTo=08047112233"), "{log}");
    assert!(log.contains("upgrade /media?token=t1 auth=Some(\"Basic dTpwQHNz\")"), "{log}");
    assert!(log.contains("Stream%5BStatus%5D=completed") && log.contains("Stream%5BDisconnectedBy%5D=bot"), "{log}");
    assert!(log.contains("GET /connect?") && log.contains("v=true"), "{log}");
    assert!(log.contains("name=\"Status\"\r\n\r\ncompleted"), "{log}");
    assert!(log.contains("\"custom_parameters\":{\"token\":\"t1\"}"), "{log}");
}

#[actix_rt::test]
async fn a_short_call_ends_with_the_caller_hanging_up() {
    let (report, bot, engine) = with_engine("short").await;
    assert!(report.ok, "{}", report.to_json());
    assert_eq!(report.outcome, Outcome::CallerHungUp);
    assert!(report.stream < Duration::from_secs(10), "{:?}", report.stream);
    assert_eq!(engine.violations(), Vec::<String>::new());
    let log = bot.log();
    assert!(log.contains("\"reason\":\"callended\"") && log.contains("Stream%5BDisconnectedBy%5D=user"), "{log}");
    assert!(!log.contains("GET /connect"), "{log}");
}

/// Whether a scenario needs an agent that can do something, acts where its engine does not, or waits for a hello.
fn with_more(name: &str) -> bool {
    matches!(name, "appointment" | "errands" | "undo" | "insists" | "rung_up")
}

#[actix_rt::test]
async fn every_scenario_can_be_played_at_the_same_time() {
    // The bot here has no tools and greets at once: what needs more is played against the server, in tests/program.
    let names: Vec<String> =
        crate::sim::library::scenario_names().into_iter().filter(|name| !with_more(name)).collect();
    assert!(names.len() > 5, "{names:?}");
    let runs = futures_util::future::join_all(names.iter().map(|name| with_engine(name))).await;
    for (name, (report, _, engine)) in names.iter().zip(runs) {
        assert!(report.ok, "{name}: {}", report.to_json());
        let first = report.heard[0].clips.first();
        assert!(first.is_some_and(|clip| clip.starts_with("greeting")), "{name}: {:#}", report.to_json());
        assert_eq!(engine.violations(), Vec::<String>::new(), "{name}");
    }
}

#[actix_rt::test]
async fn an_echoing_bot_is_heard_and_recorded() {
    let host = start(Bot::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let wav = folder.path().join("call.wav");
    let mut plan = plan(&host, "short");
    plan.scenario =
        scenario("[[step]]\nsay = \"yes\"\n[[step]]\npress = \"5\"\n[[step]]\nwait_ms = 700\n[[step]]\nhang_up = true");
    plan.record = Some(wav.clone());
    plan.knobs = Knobs {
        frame_ms: 100,
        callback_encoding: CallbackEncoding::Json,
        json_stream_style: true,
        omit_stop: true,
        ..Knobs::default()
    };
    let report = place_call(plan).await;
    assert!(report.ok, "{}", report.to_json());
    assert_eq!(report.heard.len(), 1, "its own voice came back: {:?}", report.heard);
    let mut reader = hound::WavReader::open(wav).unwrap();
    assert_eq!((reader.spec().channels, reader.spec().sample_rate), (2, 8000));
    let samples: Vec<i16> = reader.samples::<i16>().map(Result::unwrap).collect();
    let loud = |side: usize| samples.iter().skip(side).step_by(2).filter(|s| s.unsigned_abs() > 2000).count();
    assert!(loud(0) > 300 && loud(1) > 300, "{} {}", loud(0), loud(1));
}

#[actix_rt::test]
async fn a_bot_that_breaks_the_protocol_fails_the_call() {
    for (mischief, sentence) in [
        (r#"{"event":"media","stream_sid":"$SID","media":{"payload":"AAAA"}}"#, "not a whole number"),
        (r#"{"event":"media","stream_sid":"other","media":{"payload":""}}"#, "another stream"),
        (r#"{"event":"mark","stream_sid":"$SID","name":"x"}"#, "mark without mark.name"),
    ] {
        let host = start(Bot { mischief: Some(mischief), ..Bot::default() }).await;
        let mut plan = plan(&host, "short");
        plan.scenario = scenario("[[step]]\nwait_ms = 200\n[[step]]\nhang_up = true");
        let report = place_call(plan).await;
        let told = report.violations.join("; ").replace("no whole", "not a whole");
        assert!(!report.ok && told.contains(sentence), "{told}");
    }
}

#[actix_rt::test]
async fn a_refused_call_still_runs_its_flow() {
    let bot = Bot::default();
    let host = start(bot.clone()).await;
    let mut plan = plan(&host, "short");
    plan.voicebot_url = format!("http://{host}/nothing-here");
    let report = place_call(plan).await;
    assert_eq!(report.outcome, Outcome::Refused("dynamic URL answered 404".into()));
    assert!(!report.ok && bot.log().contains("Stream%5BStatus%5D=failed"), "{}", bot.log());
}

#[actix_rt::test]
async fn the_rest_side_checks_and_places_calls() {
    let bot = Bot::default();
    let host = start(bot.clone()).await;
    let options = CarrierOptions {
        bind: "127.0.0.1:0".parse().unwrap(),
        credentials: Some(("key".into(), "token".into())),
        flow_url: Some(format!("http://{host}/start")),
        passthru_url: Some(format!("http://{host}/passthru")),
        connect_url: None,
        status_callback: None,
        scenario: scenario("[[step]]\nwait_ms = 100\n[[step]]\nhang_up = true"),
        knobs: Knobs::default(),
        answer_after: Duration::ZERO,
        start_before_rest_response: false,
        details_after: Duration::ZERO,
    };
    let server = serve(options).await.unwrap();
    let client = awc::Client::new();
    let connect = format!("{}/v1/Accounts/acme1/Calls/connect.json", server.url);
    let form = |extra: &str| {
        format!(
            "From=%2B919876543210&CallerId=08047112233&StatusCallback=http%3A%2F%2F{host}%2Fend&StatusCallbackEvents%5B0%5D=terminal&CustomField=cf{extra}"
        )
    };
    let flow = "&Url=http%3A%2F%2Fmy.exotel.com%2Facme1%2Fexoml%2Fstart_voice%2F1";
    let post = async |user: &str, body: String| {
        let request = client.post(&connect).basic_auth(user, "token");
        let request = request.insert_header(("content-type", "application/x-www-form-urlencoded"));
        let mut answer = request.send_body(body).await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    assert_eq!(post("wrong", form(flow)).await.0, 401);
    assert_eq!(post("key", form("&Url=http%3A%2F%2Fexample.com")).await.1["RestException"]["Status"], 400);
    assert_eq!(post("key", form(&format!("{flow}&StreamUrl=wss%3A%2F%2Fx"))).await.0, 400);
    let (status, body) = post("key", form(flow)).await;
    assert_eq!(
        (status, &body["Call"]["Status"], &body["Call"]["To"]),
        (200, &json!("in-progress"), &json!("08047112233"))
    );
    let sid = body["Call"]["Sid"].as_str().unwrap().to_owned();
    let details = format!("{}/v1/Accounts/acme1/Calls/{sid}.json?details=true", server.url);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    let done = loop {
        let mut answer = client.get(&details).basic_auth("key", "token").send().await.unwrap();
        let body = answer.json::<Value>().await.unwrap();
        if body["Call"]["Status"] == "completed" {
            break body;
        }
        assert!(tokio::time::Instant::now() < deadline, "{body}");
        tokio::task::yield_now().await;
    };
    assert!(done["Call"]["Duration"].is_string() && done["Call"]["Details"]["Legs"].is_array(), "{done}");
    let log = bot.log();
    assert!(log.contains("Direction=outbound-dial") && log.contains("CustomField=cf"), "{log}");
    assert!(log.contains("name=\"EventType\"\r\n\r\nterminal") && log.contains(&sid), "{log}");
    assert_eq!(server.reports().len(), 1);
    assert_eq!(server.violations().len(), 3);
}
