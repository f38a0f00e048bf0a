//! The simulated engine's sequences, on the plain machine and over a real socket.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::session::{Out, Session};
use super::{EngineOptions, Faults, Shared};
use crate::sim::audio;
use crate::sim::library::library;

const MS: fn(u64) -> Duration = Duration::from_millis;

/// A session with a clock of its own.
struct Bench {
    session: Session,
    shared: Shared,
    now: Duration,
    events: Vec<Value>,
    ended: Option<Out>,
}

impl Bench {
    fn with(model: &str, faults: Faults) -> Self {
        let options = EngineOptions { faults, ..EngineOptions::sandbox().unwrap() };
        let shared = Shared::default();
        let mut session = Session::new(Arc::new(options), shared.clone(), model, 1);
        session.open();
        let mut bench = Self { session, shared, now: Duration::ZERO, events: Vec::new(), ended: None };
        bench.collect();
        bench
    }

    fn new() -> Self {
        Self::with("gpt-realtime", Faults::default())
    }

    fn collect(&mut self) {
        for out in self.session.take() {
            match out {
                Out::Text(text) => self.events.push(serde_json::from_str(&text).unwrap_or(json!("garbage"))),
                end => self.ended = Some(end),
            }
        }
    }

    fn send(&mut self, event: Value) {
        self.session.receive(&event.to_string(), self.now);
        self.collect();
    }

    /// Lets time pass, jumping from one due event to the next.
    fn wait(&mut self, ms: u64) {
        let end = self.now + MS(ms);
        while let Some(due) = self.session.next_due().filter(|due| *due <= end && self.ended.is_none()) {
            self.now = self.now.max(due);
            self.session.tick(self.now);
            self.collect();
        }
        self.now = end;
    }

    /// Speaks a clip and then silence, 20 ms at a time, as A-law.
    fn speak(&mut self, clip: &str, silence_ms: usize) {
        let mut samples = library().get(clip).unwrap().samples.to_vec();
        samples.extend(vec![0; silence_ms * 8]);
        for frame in samples.chunks(160) {
            let bytes: Vec<u8> = frame.iter().map(|s| audio::linear_to_alaw(*s)).collect();
            self.send(json!({"type": "input_audio_buffer.append", "audio": audio::base64_encode(&bytes)}));
            self.wait(20);
        }
    }

    fn alaw(&mut self, detection: Value) {
        self.send(json!({"type": "session.update", "session": {"type": "realtime", "audio": {
            "input": {"format": {"type": "audio/pcma"}, "turn_detection": detection,
                "transcription": {"model": "gpt-4o-transcribe", "language": "hi"}},
            "output": {"format": {"type": "audio/pcma"}}}}}));
    }

    fn types(&self) -> Vec<&str> {
        self.events.iter().filter_map(|event| event["type"].as_str()).collect()
    }

    fn find(&self, kind: &str) -> &Value {
        self.events.iter().rev().find(|event| event["type"] == kind).unwrap_or(&Value::Null)
    }

    fn position(&self, kind: &str) -> usize {
        self.types().iter().position(|other| *other == kind).unwrap_or_else(|| panic!("no {kind}: {:?}", self.types()))
    }

    /// The last error's code, forgetting it.
    fn error(&mut self) -> Value {
        let at = self.events.iter().rposition(|event| event["type"] == "error");
        at.map_or(Value::Null, |at| self.events.remove(at)["error"].clone())
    }
}

fn vad() -> Value {
    json!({"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 400})
}

#[test]
fn a_spoken_turn_is_detected_understood_and_answered_in_order() {
    let mut bench = Bench::new();
    bench.alaw(vad());
    bench.speak("order_where", 600);
    bench.wait(5000);
    let order = [
        "session.created",
        "session.updated",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "response.created",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.done",
    ];
    let positions: Vec<usize> = order.iter().map(|kind| bench.position(kind)).collect();
    assert!(positions.is_sorted(), "{:?}", bench.types());
    let heard = bench.find("conversation.item.input_audio_transcription.completed");
    assert_eq!(heard["transcript"], "mera order kahan hai");
    let item = &bench.find("input_audio_buffer.speech_started")["item_id"];
    assert_eq!(item, &bench.find("input_audio_buffer.committed")["item_id"]);
    assert!(bench.find("response.output_audio_transcript.done")["transcript"].as_str().unwrap().starts_with("Zaroor"));
    let usage = &bench.find("response.done")["response"]["usage"];
    assert_eq!(usage["output_token_details"]["audio_tokens"], 12081 / 50);
    assert!(bench.shared.violations.list().is_empty(), "{:?}", bench.shared.violations.list());
}

#[test]
fn barge_in_cancels_and_truncation_is_checked() {
    let mut bench = Bench::new();
    bench.alaw(vad());
    bench.speak("order_where", 600);
    bench.wait(300);
    let response = bench.find("response.created")["response"]["id"].clone();
    bench.speak("want_human", 600);
    let item = bench.find("response.output_audio.done")["item_id"].clone();
    let done = bench.events.iter().find(|e| e["type"] == "response.done" && e["response"]["id"] == response).unwrap();
    assert_eq!(done["response"]["status"], "cancelled");
    assert_eq!(done["response"]["status_details"]["reason"], "turn_detected");
    assert_eq!(done["response"]["output"][0]["status"], "incomplete");
    let truncate = |ms: u64| {
        json!({"type": "conversation.item.truncate", "event_id": "t1", "item_id": item,
        "content_index": 0, "audio_end_ms": ms})
    };
    bench.send(truncate(60_000));
    let error = bench.error();
    assert!(error["message"].as_str().unwrap().contains("is already shorter than 60000ms"), "{error}");
    assert_eq!(error["event_id"], "t1");
    bench.send(truncate(0));
    assert_eq!(bench.error()["code"], "unsupported_content_type");
    let user = bench.find("input_audio_buffer.committed")["item_id"].clone();
    bench.send(json!({"type": "conversation.item.truncate", "item_id": user, "content_index": 0, "audio_end_ms": 100}));
    assert_eq!(bench.error()["code"], "unsupported_content_type");
    bench.send(truncate(100));
    assert_eq!(bench.find("conversation.item.truncated")["audio_end_ms"], 100);
    assert_eq!(bench.shared.violations.count(), 3);
}

#[test]
fn manual_turns_need_a_commit_and_a_request() {
    let mut bench = Bench::new();
    bench.alaw(Value::Null);
    bench.send(json!({"type": "input_audio_buffer.commit"}));
    assert_eq!(bench.error()["code"], "input_audio_buffer_commit_empty");
    bench.speak("thanks_bye", 0);
    bench.wait(2000);
    assert_eq!(bench.types().iter().filter(|kind| kind.starts_with("response")).count(), 0);
    bench.send(json!({"type": "input_audio_buffer.commit"}));
    bench.send(json!({"type": "response.create", "response": {"metadata": {"mine": "1"}}}));
    bench.wait(3000);
    assert_eq!(bench.find("response.created")["response"]["metadata"]["mine"], "1");
    assert_eq!(
        bench.find("response.output_audio_transcript.done")["transcript"],
        "Call karne ke liye dhanyavaad, namaste."
    );
}

#[test]
fn a_tool_is_called_and_its_outcome_is_spoken() {
    let mut bench = Bench::new();
    bench.alaw(vad());
    bench.send(json!({"type": "session.update", "session": {"type": "realtime", "tools": [{"type": "function",
        "name": "transfer_to_human", "description": "d", "parameters": {"type": "object", "properties": {
            "reason": {"type": "string"}, "summary": {"type": "string"}}, "required": ["reason", "summary"]}}]}}));
    bench.speak("want_human", 600);
    bench.wait(4000);
    let call = bench.find("response.function_call_arguments.done").clone();
    assert_eq!(call["name"], "transfer_to_human");
    let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
    assert!(arguments["summary"].as_str().unwrap().contains("kisi insaan se"));
    let outputs = bench.find("response.done")["response"]["output"].as_array().unwrap().clone();
    assert_eq!((outputs[0]["type"].as_str(), outputs[1]["type"].as_str()), (Some("message"), Some("function_call")));
    let output = |id: &Value| {
        json!({"type": "conversation.item.create", "item": {"type": "function_call_output",
        "call_id": id, "output": "{\"error\":\"nobody is there\"}"}})
    };
    bench.send(output(&json!("call_unknown")));
    assert_eq!(bench.error()["code"], "invalid_tool_call_id");
    bench.send(output(&call["call_id"]));
    bench.send(json!({"type": "response.create"}));
    bench.wait(4000);
    let said = bench.find("response.output_audio_transcript.done")["transcript"].as_str().unwrap();
    assert!(said.contains("koi saathi uplabdh nahi"), "{said}");
}

#[test]
fn written_turns_are_answered_in_writing() {
    let mut bench = Bench::new();
    bench.send(json!({"type": "session.update", "session": {"type": "realtime", "output_modalities": ["text"]}}));
    bench.send(json!({"type": "conversation.item.create", "item": {"type": "message", "role": "user",
        "content": [{"type": "input_text", "text": "What is the time?"}]}}));
    bench.send(json!({"type": "response.create", "response": {"conversation": "none", "metadata": {"k": "v"}}}));
    bench.send(json!({"type": "response.create"}));
    bench.send(json!({"type": "response.create"}));
    assert_eq!(bench.error()["code"], "conversation_already_has_active_response");
    bench.wait(2000);
    assert_eq!(bench.find("response.output_text.done")["text"], "You said: What is the time?");
    assert_eq!(bench.types().iter().filter(|kind| **kind == "response.done").count(), 2);
    assert!(!bench.types().contains(&"response.output_audio.delta"));
    bench.send(json!({"type": "response.cancel", "event_id": "c9"}));
    let error = bench.error();
    assert_eq!((&error["code"], &error["event_id"]), (&json!("response_cancel_not_active"), &json!("c9")));
    assert_eq!((bench.shared.violations.count(), bench.shared.races.count()), (0, 2));
}

#[test]
fn what_the_ga_protocol_forbids_is_refused_with_its_code() {
    let session = |fields: Value| json!({"type": "session.update", "session": fields});
    let cases = [
        (session(json!({"instructions": "x"})), "missing_required_parameter"),
        (session(json!({"type": "realtime", "voice": "marin"})), "unknown_parameter"),
        (session(json!({"type": "realtime", "temperature": 0.8})), "unknown_parameter"),
        (session(json!({"type": "realtime", "output_modalities": ["audio", "text"]})), "invalid_value"),
        (session(json!({"type": "realtime", "model": "gpt-4o"})), "invalid_value"),
        (session(json!({"type": "realtime", "reasoning": {"effort": "low"}})), "unknown_parameter"),
        (
            session(json!({"type": "realtime", "tools": [{"type": "function", "function": {"name": "f"}}]})),
            "unknown_parameter",
        ),
        (session(json!({"type": "realtime", "audio": {"input": {"format": "g711_alaw"}}})), "invalid_value"),
        (
            session(json!({"type": "realtime", "audio": {"input": {"format": {"type": "audio/pcm", "rate": 8000}}}})),
            "invalid_value",
        ),
        (session(json!({"type": "realtime", "audio": {"output": {"voice": "nobody"}}})), "invalid_value"),
        (
            session(
                json!({"type": "realtime", "audio": {"input": {"turn_detection": {"type": "semantic_vad", "threshold": 0.5}}}}),
            ),
            "unknown_parameter",
        ),
        (
            json!({"type": "conversation.item.create", "item": {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "x"}]}}),
            "invalid_value",
        ),
        (
            json!({"type": "conversation.item.create", "previous_item_id": "nope", "item": {"type": "message", "role": "user", "content": []}}),
            "invalid_value",
        ),
        (json!({"type": "conversation.item.retrieve", "item_id": "nope"}), "item_retrieve_invalid_item_id"),
        (json!({"type": "conversation.item.delete", "item_id": "nope"}), "item_delete_invalid_item_id"),
        (json!({"type": "response.create", "response": {"modalities": ["text"]}}), "unknown_parameter"),
        (json!({"type": "response.create", "extra": 1}), "unknown_parameter"),
        (json!({"type": "input_audio_buffer.append", "audio": "not base64!"}), "invalid_value"),
        (json!({"type": "input_audio_buffer.append", "audio": "AAAA", "event_id": "x".repeat(513)}), "invalid_value"),
        (json!({"type": "input_audio_buffer.push"}), "invalid_value"),
    ];
    let mut bench = Bench::new();
    for (event, code) in &cases {
        bench.send(event.clone());
        assert_eq!(bench.error()["code"], *code, "{event}");
    }
    assert!(!bench.types().contains(&"session.updated"));
    assert_eq!(bench.shared.violations.count(), cases.len() as u64);
}

#[test]
fn an_update_changes_only_what_it_names_and_the_voice_only_before_speech() {
    let mut bench = Bench::new();
    bench.alaw(vad());
    bench.send(json!({"type": "session.update", "session": {"type": "realtime", "instructions": "be kind",
        "audio": {"output": {"voice": "cedar"}}}}));
    let session = bench.find("session.updated")["session"].clone();
    assert_eq!(session["audio"]["input"]["format"]["type"], "audio/pcma");
    assert_eq!((&session["audio"]["output"]["voice"], &session["instructions"]), (&json!("cedar"), &json!("be kind")));
    bench.send(json!({"type": "response.create"}));
    bench.wait(3000);
    bench.send(
        json!({"type": "session.update", "session": {"type": "realtime", "audio": {"output": {"voice": "ash"}}}}),
    );
    assert_eq!(bench.error()["code"], "cannot_update_voice");
}

#[test]
fn silence_after_the_answer_becomes_a_turn_when_asked_for() {
    let mut bench = Bench::new();
    bench.alaw(json!({"type": "server_vad", "idle_timeout_ms": 5000}));
    bench.send(json!({"type": "response.create"}));
    bench.wait(6000);
    assert!(!bench.types().contains(&"input_audio_buffer.timeout_triggered"));
    bench.wait(3000);
    let at = bench.position("input_audio_buffer.timeout_triggered");
    assert_eq!(bench.types()[at + 1], "input_audio_buffer.committed");
    assert_eq!(bench.find("response.output_audio_transcript.done")["transcript"], "Hello, aap sun pa rahe hain kya?");
}

#[test]
fn faults_happen_where_they_were_asked_for() {
    let run = |faults: Faults| {
        let mut bench = Bench::with("gpt-realtime", faults);
        bench.send(json!({"type": "response.create"}));
        bench.wait(10_000);
        bench
    };
    let dropped = run(Faults { drop_on_turn: Some(1), ..Faults::default() });
    assert_eq!(dropped.ended, Some(Out::Drop));
    assert!(dropped.types().contains(&"response.output_audio.delta") && !dropped.types().contains(&"response.done"));
    let failed = run(Faults { fail_on_turn: Some(1), ..Faults::default() });
    assert_eq!(failed.find("response.done")["response"]["status_details"]["error"]["code"], "rate_limit_exceeded");
    assert_eq!(failed.find("response.done")["response"]["usage"], Value::Null);
    let stalled = run(Faults { stall_on_turn: Some(1), ..Faults::default() });
    assert!(stalled.ended.is_none() && !stalled.types().contains(&"response.done"));
    assert!(run(Faults { garbage_on_turn: Some(1), ..Faults::default() }).events.contains(&json!("garbage")));
    let old = run(Faults { max_session: Some(MS(5000)), ..Faults::default() });
    assert!(matches!(&old.ended, Some(Out::Close(1001, reason)) if reason.contains("maximum duration")));
    assert_eq!(old.find("error")["error"]["code"], "session_expired");
    let mut unknown = Bench::with("no-such-model", Faults::default());
    unknown.send(json!({"type": "response.create"}));
    unknown.wait(1000);
    assert_eq!(unknown.find("response.done")["response"]["status_details"]["error"]["code"], "model_not_found");
}

/// A raw client: connects with these headers and gives back the events until one of this type.
async fn raw(url: &str, key: &str, send: &[Value], until: &str) -> Result<Vec<Value>, String> {
    use futures_util::{SinkExt as _, StreamExt as _};
    let request = awc::Client::new().ws(format!("{url}?model=gpt-realtime")).bearer_auth(key).max_frame_size(1 << 20);
    let (_, mut socket) = request.connect().await.map_err(|error| error.to_string())?;
    for event in send {
        socket.send(awc::ws::Message::Text(event.to_string().into())).await.unwrap();
    }
    let mut events = Vec::new();
    while let Ok(Some(Ok(frame))) = tokio::time::timeout(Duration::from_secs(10), socket.next()).await {
        if let awc::ws::Frame::Text(text) = frame {
            events.push(serde_json::from_slice::<Value>(&text).unwrap());
            if events.last().is_some_and(|event| event["type"] == until) {
                return Ok(events);
            }
        }
    }
    Err(format!("no {until} in {events:?}"))
}

#[actix_rt::test]
async fn a_raw_client_gets_a_whole_answer_over_a_socket() {
    let server = super::serve(EngineOptions::sandbox().unwrap()).await.unwrap();
    let events = raw(&server.url, "k", &[json!({"type": "response.create"})], "response.done").await.unwrap();
    assert_eq!(events[0]["type"], "session.created");
    let bytes: usize = events
        .iter()
        .filter(|event| event["type"] == "response.output_audio.delta")
        .map(|event| audio::base64_decode(event["delta"].as_str().unwrap()).unwrap().len())
        .sum();
    assert_eq!(bytes / 48, library().get("greeting").unwrap().millis() as usize);
    assert_eq!((server.sessions(), server.violations().len()), (1, 0));
    server.stop().await;
}

#[actix_rt::test]
async fn a_wrong_key_is_refused_and_a_client_secret_opens_a_session() {
    let options = EngineOptions { key: Some("right".into()), ..EngineOptions::sandbox().unwrap() };
    let server = super::serve(options).await.unwrap();
    assert!(raw(&server.url, "wrong", &[], "session.created").await.is_err());
    let secrets = format!("http://{}/v1/realtime/client_secrets", server.address);
    let mut answer = awc::Client::new().post(&secrets).bearer_auth("right").send_body("{}").await.unwrap();
    let secret = answer.json::<Value>().await.unwrap()["value"].as_str().unwrap().to_owned();
    assert!(raw(&server.url, &secret, &[], "session.created").await.is_ok());
    let mut refused = awc::Client::new().post(&secrets).bearer_auth("wrong").send_body("{}").await.unwrap();
    assert_eq!(refused.status().as_u16(), 401);
    assert_eq!(refused.json::<Value>().await.unwrap()["error"]["code"], "invalid_api_key");
}

#[actix_rt::test]
async fn the_echo_mode_sends_each_chunk_back_as_it_came() {
    let options = EngineOptions { echo: true, ..EngineOptions::sandbox().unwrap() };
    let server = super::serve(options).await.unwrap();
    let append = json!({"type": "input_audio_buffer.append", "audio": "AAECAw=="});
    let events = raw(&server.url, "k", &[append], "response.output_audio.delta").await.unwrap();
    let types: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(types[..3], ["session.created", "response.created", "response.output_item.added"]);
    let delta = events.last().unwrap();
    assert_eq!((&delta["delta"], &delta["response_id"]), (&json!("AAECAw=="), &json!("resp_echo")));
}

#[test]
fn what_is_asked_beside_the_conversation_is_written_and_leaves_no_trace_in_it() {
    let mut bench = Bench::with("gpt-realtime", Faults { fail_asides: 1, ..Faults::default() });
    let input = json!([{"type": "message", "role": "user",
        "content": [{"type": "input_text", "text": "{\"caller\":\"order 1001\"}"}]}]);
    let request = json!({"type": "response.create", "response": {"conversation": "none", "output_modalities": ["text"],
        "instructions": "Summarise.", "input": input, "tools": [], "tool_choice": "none", "max_output_tokens": 50,
        "metadata": {"caly_summary": "1"}}});
    bench.send(request.clone());
    bench.wait(1000);
    assert_eq!(bench.find("response.done")["response"]["status"], "failed");
    bench.send(request);
    bench.wait(1000);
    assert_eq!(bench.find("response.output_text.done")["text"], "order 1001");
    let done = &bench.find("response.done")["response"];
    assert_eq!((&done["conversation_id"], &done["metadata"]["caly_summary"]), (&Value::Null, &json!("1")));
    assert!(
        !bench.types().contains(&"conversation.item.added") && !bench.types().contains(&"response.output_audio.delta")
    );
    assert_eq!(bench.shared.violations.count(), 0);
}

#[test]
fn a_context_beyond_the_window_is_complained_about() {
    let mut bench = Bench::new();
    for n in 0..3 {
        let words = "x".repeat(40_000);
        bench.send(json!({"type": "conversation.item.create", "item": {"id": format!("i{n}"), "type": "message",
            "role": "user", "content": [{"type": "input_text", "text": words}]}}));
    }
    bench.send(json!({"type": "conversation.item.delete", "item_id": "i0"}));
    bench.send(json!({"type": "response.create"}));
    bench.wait(20_000);
    assert_eq!(bench.shared.violations.count(), 0, "{:?}", bench.shared.violations.list());
    bench.send(json!({"type": "conversation.item.create", "item": {"type": "message", "role": "system",
        "content": [{"type": "input_text", "text": "y".repeat(40_000)}]}}));
    bench.send(json!({"type": "response.create"}));
    let complaints = bench.shared.violations.list();
    assert!(complaints.len() == 1 && complaints[0].contains("in a window of 28672"), "{complaints:?}");
}

#[test]
fn a_recogniser_is_told_only_what_it_documents() {
    let session = super::schema::fresh_session("sess_1", "gpt-realtime", 0);
    let update = |wire: Value| {
        let session_update = json!({"type": "realtime", "audio": {"input": {"transcription": wire}}});
        super::schema::updated(&session, &session_update, super::schema::Past::default())
    };
    for wire in [
        json!({"model": "gpt-4o-mini-transcribe", "language": "hi", "prompt": "A shop."}),
        json!({"model": "gpt-transcribe", "languages": ["en", "hi"], "prompt": "A shop."}),
        json!({"model": "gpt-realtime-whisper", "language": "en"}),
    ] {
        let merged = update(wire.clone()).unwrap();
        assert_eq!(merged["audio"]["input"]["transcription"], wire, "the object is taken as a whole");
    }
    for (wire, named) in [
        (json!({"model": "gpt-realtime-whisper", "prompt": "x"}), "prompt"),
        (json!({"model": "gpt-4o-transcribe-diarize", "prompt": "x"}), "prompt"),
        (json!({"model": "whisper-1", "languages": ["hi"]}), "languages"),
        (json!({"model": "gpt-transcribe", "languages": "hi"}), "languages"),
        (json!({"model": "whisper-1", "language": "hi-Latn"}), "language"),
        (json!({"model": "whisper-1", "hints": []}), "hints"),
    ] {
        let param = update(wire.clone()).unwrap_err().param.unwrap_or_default();
        assert_eq!(param, format!("session.audio.input.transcription.{named}"), "{wire}");
    }
}
