//! What is written beside the conversation: told as a summary, and nothing of it as an answer, as sound or as a tool call.

use std::collections::VecDeque;

use caly_actors::audio::lane::{LaneReceiver, lane};
use caly_actors::ports::{AgentAudio, EngineAudio, EngineError, EngineEvent, ItemKind};
use serde_json::{Value, json};

use crate::engines::openai::hear::Hearing;

struct Ear(Hearing, LaneReceiver<AgentAudio>);

impl Ear {
    fn new() -> Self {
        let (agent, agent_out) = lane(16);
        Self(Hearing::new("gpt-realtime", None, EngineAudio::ALaw, agent), agent_out)
    }

    fn hear(&mut self, frame: &Value) -> Vec<EngineEvent> {
        let mut events = VecDeque::new();
        self.0.hear(frame.to_string().as_bytes(), &mut events);
        events.into()
    }
}

fn about(kind: &str, fields: Value) -> Value {
    let mut event = json!({"type": kind, "response_id": "resp_S", "item_id": "item_S"});
    for (key, value) in fields.as_object().expect("fields") {
        event[key] = value.clone();
    }
    event
}

fn response(kind: &str, status: &str, metadata: Value) -> Value {
    json!({"type": kind, "response": {"id": "resp_S", "status": status, "conversation_id": null,
        "output_modalities": ["text"], "metadata": metadata, "status_details": null,
        "usage": {"input_token_details": {"text_tokens": 1000}, "output_token_details": {"text_tokens": 100}}}})
}

#[test]
fn a_summary_is_told_once_it_is_whole_with_its_cost_and_nothing_of_it_is_heard() {
    let mut ear = Ear::new();
    let mark = json!({"caly_summary": "7"});
    let silent = [
        response("response.created", "in_progress", mark.clone()),
        about("response.output_item.added", json!({"item": {"id": "item_S", "type": "message", "role": "assistant"}})),
        about("response.output_text.delta", json!({"delta": "They want "})),
        about("response.output_text.delta", json!({"delta": "a refund."})),
        about("response.output_audio.delta", json!({"delta": "1dXV1Q=="})),
        about("response.output_audio_transcript.delta", json!({"delta": "no"})),
        about(
            "response.output_item.done",
            json!({"item": {"type": "function_call", "status": "completed", "call_id": "c", "name": "f", "arguments": "{}"}}),
        ),
    ];
    for frame in &silent {
        assert_eq!(ear.hear(frame), [], "{frame}");
    }
    let told = ear.hear(&response("response.done", "completed", mark));
    let [EngineEvent::Summarised { request: 7, result: Ok(text), usage }] = &told[..] else { panic!("{told:?}") };
    assert_eq!((&**text, usage.text_in, usage.text_out), ("They want a refund.", 1000, 100));
    assert_eq!(usage.cost_micro_usd, 1000 * 4 + 100 * 16);
    assert!(ear.1.try_next().is_none(), "no sound");
}

#[test]
fn what_ends_otherwise_says_why_and_what_bears_no_mark_is_nobodys() {
    let mark = |request: &str| json!({"caly_summary": request});
    let mut ear = Ear::new();
    ear.hear(&response("response.created", "in_progress", mark("1")));
    ear.hear(&about("response.output_text.done", json!({"text": "Half a"})));
    let told = ear.hear(&response("response.done", "incomplete", mark("1")));
    assert!(matches!(&told[..], [EngineEvent::Summarised { result: Ok(text), .. }] if &**text == "Half a"), "{told:?}");
    // It failed before it began.
    let mut failed = response("response.done", "failed", mark("2"));
    failed["response"]["status_details"] = json!({"error": {"type": "server_error", "code": null, "message": "busy"}});
    let told = ear.hear(&failed);
    assert!(
        matches!(&told[..], [EngineEvent::Summarised { request: 2, result: Err(EngineError::Busy { .. }), .. }]),
        "{told:?}"
    );
    // Text where a session only speaks: of a service that repeats no marks.
    assert_eq!(ear.hear(&response("response.created", "in_progress", Value::Null)), []);
    let told = ear.hear(&response("response.done", "completed", Value::Null));
    assert!(matches!(&told[..], [EngineEvent::Summarised { request: 0, .. }]), "{told:?}");
}

#[test]
fn an_answer_to_the_caller_stays_one_where_a_service_writes_it() {
    let wish = json!({"caly_wish": "3"});
    let mut ear = Ear::new();
    let told = ear.hear(&response("response.created", "in_progress", wish.clone()));
    assert!(matches!(&told[..], [EngineEvent::ResponseCreated { wish: Some(3), .. }]), "{told:?}");
    let told = ear.hear(&about("response.output_text.delta", json!({"delta": "Namaste"})));
    assert!(matches!(&told[..], [EngineEvent::AgentWords { delta, .. }] if &**delta == "Namaste"), "{told:?}");
    let told = ear.hear(&response("response.done", "completed", wish));
    assert!(matches!(&told[..], [EngineEvent::AnswerSilent(_), EngineEvent::ResponseDone { .. }]), "{told:?}");
}

#[test]
fn a_refused_request_for_a_summary_is_no_refused_answer() {
    let refused = |event_id: Value| {
        json!({"type": "error", "error": {"type": "invalid_request_error", "event_id": event_id,
            "code": "conversation_already_has_active_response", "message": "already has an active response"}})
    };
    let told = Ear::new().hear(&refused(json!("caly_summary_4")));
    assert!(matches!(&told[..], [EngineEvent::Summarised { request: 4, result: Err(_), .. }]), "{told:?}");
    assert_eq!(Ear::new().hear(&refused(Value::Null)), [EngineEvent::ResponseRefused]);
}

#[test]
fn each_item_of_the_conversation_is_told_with_what_it_is() {
    let item = |id: &str, kind: &str, role: &str| json!({"id": id, "type": kind, "role": role, "call_id": "call_1"});
    for (wire, kind, replayed) in [
        (item("item_U", "message", "user"), ItemKind::Caller, None),
        (item("item_A", "message", "assistant"), ItemKind::Agent, None),
        (item("caly_said_12", "message", "system"), ItemKind::Other, Some(12)),
        (item("caly_said_3", "function_call", ""), ItemKind::ToolCall("call_1".into()), Some(3)),
        (item("caly_said_3_output", "function_call_output", ""), ItemKind::ToolOutput("call_1".into()), Some(3)),
        (item("caly_said_x", "mcp_call", ""), ItemKind::Other, None),
    ] {
        for event in ["conversation.item.added", "conversation.item.created"] {
            let id = wire["id"].as_str().expect("an id");
            let expected = EngineEvent::ItemAdded { item: id.into(), kind: kind.clone(), replayed };
            assert_eq!(Ear::new().hear(&json!({"type": event, "item": wire})), [expected]);
        }
    }
    assert_eq!(Ear::new().hear(&json!({"type": "conversation.item.added", "item": {"type": "message"}})), []);
}
