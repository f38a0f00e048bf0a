//! Each client event against the JSON the vendor documents, written by hand.

use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use caly_actors::domain::TurnDetection;
use caly_actors::ports::{ContextItem, EngineAudio, EngineCommand, EngineSpec, ToolSpec};
use serde_json::{Value, json};

use super::{agent, options, spec};
use crate::engines::openai::NoiseReduction;
use crate::engines::openai::OpenAiOptions;
use crate::engines::openai::say::{AppendWriter, command, replay};
use crate::engines::openai::transcription::Transcription;

fn session_update(spec: &EngineSpec, options: &OpenAiOptions) -> String {
    let told = Transcription::new(options, &spec.agent, &Arc::default()).wire(spec.language);
    crate::engines::openai::say::session_update(spec, options, told)
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("valid JSON")
}

#[test]
fn session_update_says_everything_the_call_depends_on() {
    let mut spec = spec();
    spec.tools = Arc::new([ToolSpec {
        name: "order_status".into(),
        description: "Where an order is".into(),
        schema: r#"{"type":"object","properties":{"order_id":{"type":"string"}},"required":["order_id"]}"#.into(),
    }]);
    let mut options = options("https://api.openai.com/v1");
    options.transcription_model = Some("gpt-4o-transcribe".to_owned());
    options.transcription_language = Some("hi".to_owned());
    options.noise_reduction = Some(NoiseReduction::FarField);
    let expected = json!({
        "type": "session.update",
        "session": {
            "type": "realtime",
            "output_modalities": ["audio"],
            "instructions": format!("You answer for \"Chai & Co\".\n\n{}", spec.agent.language_rule()),
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": 24000},
                    "transcription": {"model": "gpt-4o-transcribe", "language": "hi"},
                    "noise_reduction": {"type": "far_field"},
                    "turn_detection": {
                        "type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500,
                        "create_response": false, "interrupt_response": false
                    }
                },
                "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin"}
            },
            "tools": [{
                "type": "function", "name": "order_status", "description": "Where an order is",
                "parameters": {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]}
            }],
            "tool_choice": "auto",
            "truncation": {"type": "retention_ratio", "retention_ratio": 0.8}
        }
    });
    assert_eq!(parsed(&session_update(&spec, &options)), expected);
}

#[test]
fn whatever_was_said_before_a_session_its_instructions_and_tools_are_the_same_to_the_byte() {
    let mut spec = spec();
    spec.tools = Arc::new([ToolSpec {
        name: "order_status".into(),
        description: "Where an order is".into(),
        schema: r#"{"type":"object","properties":{"z":{"type":"string"},"a":{"type":"string"}}}"#.into(),
    }]);
    let options = options("https://api.openai.com/v1");
    let first = session_update(&spec, &options);
    assert!(first.contains("You answer for"));
    spec.context = vec![ContextItem::Note("Earlier: {\"summary\":\"they want a refund\"}".into())];
    spec.call = caly_actors::domain::CallId::new();
    assert_eq!(session_update(&spec, &options), first);
    // Only what writes down the caller's words is told another language.
    spec.language = Some(caly_actors::domain::Language::Hindi);
    let part = |text: &str, of: &str| parsed(text)["session"][of].to_string();
    for of in ["instructions", "tools", "tool_choice", "truncation"] {
        assert_eq!(part(&session_update(&spec, &options), of), part(&first, of), "{of}");
    }
}

#[test]
fn session_update_writes_the_other_choices_as_documented() {
    let mut spec = spec();
    let mut agent = agent();
    agent.voice = "voice_abc".into();
    agent.turn_detection = TurnDetection::Semantic { eagerness: "high" };
    spec.agent = Arc::new(agent);
    let mut options = options("https://api.openai.com/v1");
    options.transcription_model = None;
    for (audio, format) in
        [(EngineAudio::ALaw, json!({"type": "audio/pcma"})), (EngineAudio::MuLaw, json!({"type": "audio/pcmu"}))]
    {
        spec.audio = audio;
        let session = &parsed(&session_update(&spec, &options))["session"];
        assert_eq!(
            session["audio"],
            json!({
                "input": {
                    "format": format, "transcription": null, "noise_reduction": null,
                    "turn_detection": {
                        "type": "semantic_vad", "eagerness": "high", "create_response": false, "interrupt_response": false
                    }
                },
                "output": {"format": format, "voice": {"id": "voice_abc"}}
            })
        );
        assert_eq!(session["tools"], json!([]));
    }
}

#[test]
fn a_threshold_is_written_as_it_was_meant() {
    let mut spec = spec();
    let mut agent = agent();
    agent.turn_detection = TurnDetection::Silence { threshold: 0.6, prefix_padding_ms: 0, silence_duration_ms: 200 };
    spec.agent = Arc::new(agent);
    assert!(session_update(&spec, &options("https://a.example")).contains(r#""threshold":0.6,"#));
}

#[test]
fn a_tool_whose_schema_is_not_an_object_does_not_spoil_the_session() {
    let mut spec = spec();
    let tool =
        |name: &str, schema: &str| ToolSpec { name: name.into(), description: "d".into(), schema: schema.into() };
    spec.tools = Arc::new([tool("bad", "{"), tool("list", "[]"), tool("good", r#"{"type":"object"}"#)]);
    let update = parsed(&session_update(&spec, &options("https://a.example")));
    let names: Vec<_> =
        update["session"]["tools"].as_array().expect("tools").iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["good"]);
}

#[test]
fn each_command_is_one_documented_event() {
    let message = |role: &str, text: &str| {
        json!({"type": "conversation.item.create",
               "item": {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}})
    };
    let ask = |wish, instructions: Option<&str>, words_only| {
        let instructions = instructions.map(Into::into);
        EngineCommand::CreateResponse { wish, instructions, words_only }
    };
    let table = [
        (ask(7, None, false), json!({"type": "response.create", "response": {"metadata": {"caly_wish": "7"}}})),
        (
            ask(8, None, true),
            json!({"type": "response.create", "response": {"metadata": {"caly_wish": "8"}, "tool_choice": "none"}}),
        ),
        (
            ask(u64::MAX, Some("Say \"namaste\""), false),
            json!({"type": "response.create",
                   "response": {"metadata": {"caly_wish": "18446744073709551615"}, "instructions": "You answer for a shop.\n\nSay \"namaste\""}}),
        ),
        (EngineCommand::CancelResponse, json!({"type": "response.cancel"})),
        (
            EngineCommand::Truncate { item: "item_A1".into(), heard_ms: 1234 },
            json!({"type": "conversation.item.truncate", "item_id": "item_A1", "content_index": 0, "audio_end_ms": 1234}),
        ),
        (
            EngineCommand::DeleteItem { item: "item_A1".into() },
            json!({"type": "conversation.item.delete", "item_id": "item_A1"}),
        ),
        (
            EngineCommand::ToolOutput { tool_call: "call_1".into(), output: r#"{"status":"shipped"}"#.into() },
            json!({"type": "conversation.item.create",
                   "item": {"type": "function_call_output", "call_id": "call_1", "output": "{\"status\":\"shipped\"}"}}),
        ),
        (EngineCommand::Note("The line is bad.".into()), message("system", "The line is bad.")),
        (EngineCommand::CallerText("1042".into()), message("user", "1042")),
        (
            EngineCommand::Summarise {
                request: 3,
                instructions: "Say what it comes to.".into(),
                text: "{\"caller\":\"hello\"}".into(),
                tokens_max: 400,
            },
            json!({"type": "response.create", "event_id": "caly_summary_3", "response": {
                "conversation": "none", "metadata": {"caly_summary": "3"}, "output_modalities": ["text"],
                "instructions": "Say what it comes to.", "tools": [], "tool_choice": "none", "max_output_tokens": 400,
                "input": [{"type": "message", "role": "user",
                    "content": [{"type": "input_text", "text": "{\"caller\":\"hello\"}"}]}]}}),
        ),
        (
            EngineCommand::Recollect { item: "recollection_1".into(), text: "They want a refund.".into() },
            json!({"type": "conversation.item.create", "previous_item_id": "root",
                "item": {"id": "recollection_1", "type": "message", "role": "system",
                    "content": [{"type": "input_text", "text": "They want a refund."}]}}),
        ),
    ];
    let mut told = Transcription::new(&options("https://a.example"), &spec().agent, &Arc::default());
    for (asked, expected) in table {
        let text = command(&asked, "You answer for a shop.", &mut told).unwrap_or_else(|| panic!("{asked:?}"));
        assert_eq!(parsed(&text), expected, "{asked:?}");
    }
}

#[test]
fn words_that_were_heard_take_the_place_of_others() {
    let mut told = Transcription::new(&options("https://a.example"), &spec().agent, &Arc::default());
    for (after, previous) in [(Some("item_1".into()), "item_1"), (None, "root")] {
        let said = EngineCommand::AgentSaid { item: "as_heard_7".into(), after, words: "Namaste,".into() };
        let expected = json!({"type": "conversation.item.create", "previous_item_id": previous,
            "item": {"id": "as_heard_7", "type": "message", "role": "assistant",
                "content": [{"type": "output_text", "text": "Namaste,"}]}});
        assert_eq!(command(&said, "", &mut told).map(|text| parsed(&text)), Some(expected));
    }
}

#[test]
fn what_a_session_is_told_to_be_is_the_same_to_the_byte_whatever_was_said_before_it() {
    let options = options("https://api.openai.com/v1");
    let mut spec = spec();
    spec.tools = Arc::new([ToolSpec {
        name: "order_status".into(),
        description: "Where an order is".into(),
        schema: r#"{"type":"object","properties":{"b":{},"a":{}}}"#.into(),
    }]);
    let first = session_update(&spec, &options);
    spec.context = vec![ContextItem::Note("What was said earlier".into()), ContextItem::Caller("hello".into())];
    assert_eq!(session_update(&spec, &options), first);
}

#[test]
fn context_is_replayed_in_order_with_call_ids_of_our_own() {
    let events = replay(&[
        ContextItem::Caller("hello".into()),
        ContextItem::Tool { name: "order_status".into(), arguments: r#"{"id":1}"#.into(), output: r#"{"s":2}"#.into() },
        ContextItem::Agent("It is on its way.".into()),
        ContextItem::Note("The caller was cut off.".into()),
    ]);
    let items: Vec<Value> = events.iter().map(|event| parsed(event)).collect();
    let item = |item: Value| json!({"type": "conversation.item.create", "item": item});
    let said = |id: &str, role: &str, kind: &str, text: &str| {
        item(json!({"id": id, "type": "message", "role": role, "content": [{"type": kind, "text": text}]}))
    };
    assert_eq!(
        items,
        [
            said("caly_said_0", "user", "input_text", "hello"),
            item(json!({"id": "caly_said_1", "type": "function_call", "name": "order_status",
                "arguments": "{\"id\":1}", "call_id": "call_caly_1"})),
            item(json!({"id": "caly_said_1_output", "type": "function_call_output", "call_id": "call_caly_1",
                "output": "{\"s\":2}"})),
            said("caly_said_2", "assistant", "output_text", "It is on its way."),
            said("caly_said_3", "system", "input_text", "The caller was cut off."),
        ]
    );
}

fn appended(text: &Bytes) -> Vec<u8> {
    let value = parsed(std::str::from_utf8(text).expect("utf-8"));
    assert_eq!(value.as_object().map(|object| object.len()), Some(2));
    assert_eq!(value["type"], "input_audio_buffer.append");
    base64::engine::general_purpose::STANDARD.decode(value["audio"].as_str().expect("audio")).expect("base64")
}

#[test]
fn an_append_holds_the_audio_of_any_length_exactly() {
    let mut writer = AppendWriter::new(EngineAudio::Pcm24);
    for length in [0, 1, 2, 3, 960, 4800, 100_001] {
        let audio: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let text = writer.write(Bytes::from(audio.clone()), || None);
        assert_eq!(appended(&text), audio);
    }
}

#[test]
fn waiting_frames_are_merged_up_to_100_ms() {
    for (audio, frame) in [(EngineAudio::Pcm24, 960), (EngineAudio::ALaw, 160)] {
        let mut writer = AppendWriter::new(audio);
        let mut waiting: Vec<Bytes> = (1..=7).rev().map(|at| Bytes::from(vec![at; frame])).collect();
        let mut lengths = Vec::new();
        let mut all = Vec::new();
        while let Some(first) = waiting.pop() {
            let part = appended(&writer.write(first, || waiting.pop()));
            lengths.push(part.len() / frame);
            all.extend(part);
        }
        assert_eq!(lengths, [5, 2]);
        assert_eq!(all, (1..=7).flat_map(|at| vec![at; frame]).collect::<Vec<u8>>());
    }
}

#[test]
fn the_buffer_of_appends_is_used_again() {
    let mut writer = AppendWriter::new(EngineAudio::Pcm24);
    let audio = Bytes::from(vec![7; 960]);
    let mut places = std::collections::BTreeSet::new();
    for _ in 0..1000 {
        places.insert(writer.write(audio.clone(), || None).as_ptr() as usize);
    }
    assert!(places.len() < 10, "{} different places", places.len());
}
