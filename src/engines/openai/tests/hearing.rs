//! Each server event, as the vendor writes it and oddly, against what the inside is told.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use caly_actors::audio::lane::{LaneReceiver, lane};
use caly_actors::domain::Usage;
use caly_actors::ports::{AgentAudio, EngineAudio, EngineError, EngineEvent, ResponseOutcome};
use metrics::{Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

use super::fixture;
use crate::engines::openai::hear::Hearing;

struct Ear(RefCell<Hearing>, LaneReceiver<AgentAudio>);

impl Ear {
    fn new(audio: EngineAudio) -> Self {
        let (agent, agent_out) = lane(16);
        Self(RefCell::new(Hearing::new("gpt-realtime", Some("gpt-realtime-whisper"), audio, agent)), agent_out)
    }

    fn hear(&self, frame: &str) -> Vec<EngineEvent> {
        let mut events = VecDeque::new();
        let _ = self.0.borrow_mut().hear(frame.as_bytes(), &mut events);
        events.into()
    }

    fn audio(&self) -> Option<(String, String, Bytes)> {
        self.1.try_next().map(|piece| (piece.response.to_string(), piece.item.to_string(), piece.bytes))
    }
}

fn heard(frame: &str) -> Vec<EngineEvent> {
    Ear::new(EngineAudio::Pcm24).hear(frame)
}

fn tool_call() -> EngineEvent {
    EngineEvent::ToolCalled {
        response: "resp_R1".into(),
        tool_call: "call_1".into(),
        name: "order_status".into(),
        arguments: r#"{"order_id":"1042"}"#.into(),
    }
}

fn done(outcome: ResponseOutcome, usage: Usage) -> EngineEvent {
    EngineEvent::ResponseDone { response: "resp_R1".into(), outcome, usage }
}

#[test]
fn each_event_about_the_caller_is_told() {
    let item: Arc<str> = "item_U1".into();
    let table = [
        (fixture!("input_audio_buffer.speech_started"), EngineEvent::SpeechStarted { item: item.clone(), at_ms: 1480 }),
        (
            fixture!("input_audio_buffer.speech_stopped"),
            EngineEvent::SpeechStopped { item: item.clone(), at_ms: 3212, behind: Duration::ZERO },
        ),
        (fixture!("input_audio_buffer.committed"), EngineEvent::TurnCommitted { item: item.clone() }),
        (
            fixture!("input_audio_transcription.completed"),
            EngineEvent::CallerTranscript { item: item.clone(), text: "mera order कहाँ है?".into() },
        ),
        (fixture!("input_audio_transcription.failed"), EngineEvent::CallerTranscriptFailed { item }),
    ];
    for (frame, event) in table {
        assert_eq!(heard(frame), [event], "{frame}");
    }
}

#[test]
fn each_event_about_the_agents_words_is_told() {
    let words = |delta: &str| EngineEvent::AgentWords {
        response: "resp_R1".into(),
        item: "item_A1".into(),
        delta: delta.into(),
    };
    let all = |text: &str| EngineEvent::AgentTranscript { item: "item_A1".into(), text: text.into() };
    let created = |response: &str, wish| EngineEvent::ResponseCreated { response: response.into(), wish };
    let table = [
        (fixture!("response.created"), created("resp_R1", Some(7))),
        (fixture!("response.created_without_metadata"), created("resp_R2", None)),
        (fixture!("response.output_audio_transcript.delta"), words("Namaste ह")),
        (fixture!("response.output_audio_transcript.done"), all("Namaste, how can I help?")),
        (fixture!("response.output_audio.done"), EngineEvent::AgentSoundMade { item: "item_A1".into() }),
        (fixture!("response.output_text.delta"), words("Hi")),
        (fixture!("response.output_text.done"), all("Hi there")),
    ];
    for (frame, event) in table {
        assert_eq!(heard(frame), [event], "{frame}");
    }
}

#[test]
fn an_answer_in_words_alone_is_told_as_one_that_nobody_hears() {
    for (sound, silent) in [(None, true), (Some(fixture!("response.output_audio.delta")), false)] {
        let ear = Ear::new(EngineAudio::Pcm24);
        ear.hear(fixture!("response.created"));
        ear.hear(fixture!("response.output_text.delta"));
        sound.into_iter().for_each(|frame| drop(ear.hear(frame)));
        let frame = r#"{"type":"response.done","response":{"id":"resp_R1","status":"completed"}}"#;
        let told = ear.hear(frame);
        assert_eq!(told.contains(&EngineEvent::AnswerSilent(vec!["item_A1".into()])), silent, "{told:?}");
        assert!(matches!(told.last(), Some(EngineEvent::ResponseDone { .. })), "{told:?}");
        // Nothing of it is left for the next.
        assert_eq!(ear.hear(frame).len(), 1);
    }
}

#[test]
fn a_wish_of_somebody_else_is_not_taken_for_ours() {
    for (metadata, wish) in
        [(r#"{"caly_wish":"x"}"#, None), (r#"{"other":"7"}"#, None), (r#"{"caly_wish":9}"#, Some(9)), ("[]", None)]
    {
        let frame = format!(r#"{{"type":"response.created","response":{{"id":"r","metadata":{metadata}}}}}"#);
        let told = heard(&frame);
        assert!(
            matches!(&told[..], [EngineEvent::ResponseCreated { wish: told, .. }] if *told == wish),
            "{metadata}: {told:?}"
        );
    }
}

#[test]
fn audio_is_decoded_however_its_base64_is_written() {
    let ear = Ear::new(EngineAudio::Pcm24);
    let audio = Bytes::from_static(&[0, 1, 255, 255]);
    for (frame, response, item) in [
        (fixture!("response.output_audio.delta"), "resp_R1", "item_A1"),
        (fixture!("response.output_audio.delta_escaped"), "resp_R1", "item_A1"),
        (fixture!("response.output_audio.delta_bare"), "", ""),
    ] {
        assert_eq!(ear.hear(frame), []);
        assert_eq!(ear.audio(), Some((response.to_owned(), item.to_owned(), audio.clone())), "{frame}");
    }
}

#[test]
fn ids_of_consecutive_deltas_share_one_text() {
    let ear = Ear::new(EngineAudio::Pcm24);
    ear.hear(fixture!("response.output_audio.delta"));
    ear.hear(fixture!("response.output_audio.delta"));
    let (first, second) = (ear.1.try_next().expect("audio"), ear.1.try_next().expect("audio"));
    assert!(Arc::ptr_eq(&first.response, &second.response) && Arc::ptr_eq(&first.item, &second.item));
}

#[test]
fn a_sample_cut_in_two_is_put_together_for_pcm_and_left_alone_for_g711() {
    let delta = |base64: &str| format!(r#"{{"type":"response.output_audio.delta","delta":"{base64}"}}"#);
    let ear = Ear::new(EngineAudio::Pcm24);
    ear.hear(&delta("AQID")); // 1 2 3
    ear.hear(&delta("BA==")); // 4
    assert_eq!(ear.audio().map(|(_, _, bytes)| bytes), Some(Bytes::from_static(&[1, 2])));
    assert_eq!(ear.audio().map(|(_, _, bytes)| bytes), Some(Bytes::from_static(&[3, 4])));

    let ear = Ear::new(EngineAudio::MuLaw);
    ear.hear(&delta("AQID"));
    assert_eq!(ear.audio().map(|(_, _, bytes)| bytes), Some(Bytes::from_static(&[1, 2, 3])));
}

#[test]
fn a_tool_call_is_told_once_however_often_the_vendor_tells_it() {
    let ear = Ear::new(EngineAudio::Pcm24);
    assert_eq!(ear.hear(fixture!("response.output_item.added_call")), []);
    assert_eq!(ear.hear(fixture!("response.function_call_arguments.done")), []);
    assert_eq!(ear.hear(fixture!("response.output_item.done_call")), [tool_call()]);
    assert_eq!(ear.hear(fixture!("response.function_call_arguments.done")), []);
    assert_eq!(ear.hear(fixture!("response.output_item.done_call")), []);
    assert!(matches!(&ear.hear(fixture!("response.done_completed"))[..], [EngineEvent::ResponseDone { .. }]));
}

#[test]
fn an_interrupted_tool_call_is_never_told() {
    let ear = Ear::new(EngineAudio::Pcm24);
    ear.hear(fixture!("response.output_item.added_call"));
    // The vendor sends every `.done` for an interrupted answer as well.
    assert_eq!(ear.hear(fixture!("response.function_call_arguments.done")), []);
    assert_eq!(ear.hear(fixture!("response.output_item.done_call_incomplete")), []);
    assert_eq!(ear.hear(fixture!("response.done_cancelled")), [done(ResponseOutcome::Cancelled, Usage::default())]);

    let ear = Ear::new(EngineAudio::Pcm24);
    ear.hear(fixture!("response.function_call_arguments.done"));
    assert_eq!(ear.hear(fixture!("response.done_cancelled")), [done(ResponseOutcome::Cancelled, Usage::default())]);
}

#[test]
fn a_completed_response_vouches_for_calls_whose_items_said_nothing() {
    let ear = Ear::new(EngineAudio::Pcm24);
    ear.hear(fixture!("response.function_call_arguments.done"));
    let bare = r#"{"type":"response.done","response":{"id":"resp_R1","status":"completed"}}"#;
    assert_eq!(ear.hear(bare), [tool_call(), done(ResponseOutcome::Completed, Usage::default())]);

    let told = heard(fixture!("response.done_completed"));
    assert_eq!(told.first(), Some(&tool_call()));
}

#[test]
fn several_calls_of_one_response_are_all_told_in_order() {
    let ear = Ear::new(EngineAudio::Pcm24);
    let item = |call: &str| {
        format!(
            r#"{{"type":"response.output_item.done","response_id":"r","item":{{"type":"function_call","status":"completed","call_id":"{call}","name":"f","arguments":"{{}}"}}}}"#
        )
    };
    let told: Vec<_> = ["a", "b"].iter().flat_map(|call| ear.hear(&item(call))).collect();
    let calls: Vec<_> = told
        .iter()
        .map(|event| match event {
            EngineEvent::ToolCalled { tool_call, .. } => tool_call.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(calls, ["a", "b"]);
}

#[test]
fn a_finished_response_tells_how_and_what_it_cost() {
    let usage = Usage {
        text_in: 1000,
        text_cached: 600,
        audio_in: 500,
        audio_cached: 100,
        text_out: 50,
        audio_out: 200,
        cost_micro_usd: 28_280,
    };
    let told = heard(fixture!("response.done_completed"));
    assert_eq!(told.last(), Some(&done(ResponseOutcome::Completed, usage)));
    let short = Usage { text_in: 6, text_cached: 2, text_out: 4, cost_micro_usd: 81, ..Usage::default() };
    assert_eq!(heard(fixture!("response.done_incomplete")), [done(ResponseOutcome::Incomplete, short)]);
}

#[test]
fn transcription_by_the_minute_is_charged_with_the_next_response() {
    let ear = Ear::new(EngineAudio::Pcm24);
    ear.hear(fixture!("input_audio_transcription.completed_by_minute"));
    let usage = Usage { cost_micro_usd: 8_500, ..Usage::default() };
    assert_eq!(ear.hear(fixture!("response.done_cancelled")), [done(ResponseOutcome::Cancelled, usage)]);
    assert_eq!(ear.hear(fixture!("response.done_cancelled")), [done(ResponseOutcome::Cancelled, Usage::default())]);
}

#[test]
fn a_failed_response_says_what_can_be_done() {
    let failed = |frame| match heard(frame).pop() {
        Some(EngineEvent::ResponseDone { outcome: ResponseOutcome::Failed(error), usage, .. }) => {
            assert_eq!(usage, Usage::default());
            error
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(failed(fixture!("response.done_failed_quota")).kind(), "quota");
    assert_eq!(failed(fixture!("response.done_failed_model")).kind(), "refused");
    let busy = failed(fixture!("response.done_failed_rate_limit"));
    assert!(matches!(busy, EngineError::Busy { after: Some(after), .. } if after == Duration::from_millis(1500)));
    assert_eq!(failed(r#"{"type":"response.done","response":{"status":"failed"}}"#).kind(), "protocol");
    assert_eq!(failed(r#"{"type":"response.done","response":[1,2]}"#).kind(), "protocol");
    assert_eq!(failed(r#"{"type":"response.done"}"#).kind(), "protocol");
}

#[test]
fn an_error_ends_the_session_only_if_nothing_can_follow() {
    assert_eq!(heard(fixture!("error.active_response")), [EngineEvent::ResponseRefused]);
    assert_eq!(heard(fixture!("error.session_expired")), [EngineEvent::Lost(EngineError::Expired)]);
    match &heard(fixture!("error.invalid_api_key"))[..] {
        [EngineEvent::Lost(error @ EngineError::Refused(text))] => {
            assert!(!error.is_retryable() && !text.contains("sk-"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    for (frame, kind) in [
        (fixture!("error.cancel_not_active"), "protocol"),
        (fixture!("error.truncate"), "protocol"),
        (fixture!("error.server"), "busy"),
        (fixture!("error.numeric_code"), "protocol"),
        (r#"{"type":"error"}"#, "protocol"),
        (r#"{"type":"error","error":"text"}"#, "protocol"),
    ] {
        match &heard(frame)[..] {
            [EngineEvent::Warned(error)] => assert_eq!(error.kind(), kind, "{frame}"),
            other => panic!("{frame}: {other:?}"),
        }
    }
}

/// Counts what is counted, by name and label values.
#[derive(Clone, Default)]
struct Counted(Arc<Mutex<BTreeMap<String, u64>>>);

struct Cell(Counted, String);

impl CounterFn for Cell {
    fn increment(&self, value: u64) {
        *self.0.0.lock().expect("lock").entry(self.1.clone()).or_default() += value;
    }
    fn absolute(&self, _: u64) {}
}

impl Recorder for Counted {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let labels: Vec<_> = key.labels().map(metrics::Label::value).collect();
        Counter::from_arc(Arc::new(Cell(self.clone(), format!("{} {}", key.name(), labels.join(",")))))
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

fn ignored_as(frame: &str) -> Vec<String> {
    let counted = Counted::default();
    metrics::with_local_recorder(&counted, || {
        let told = heard(frame).into_iter().filter(|event| !matches!(event, EngineEvent::ItemAdded { .. }));
        assert_eq!(told.collect::<Vec<_>>(), [], "{frame}");
    });
    let counts = counted.0.lock().expect("lock");
    counts.iter().filter(|(name, _)| name.contains("ignored")).map(|(name, count)| format!("{name} {count}")).collect()
}

#[test]
fn what_cannot_be_used_is_counted_and_passed_over() {
    let brackets = "[".repeat(60_000);
    let deep = format!(r#"{{"type":"x","novel":{brackets}{}}}"#, "]".repeat(60_000));
    for (frame, kind) in [
        ("", "broken_json"),
        ("{", "broken_json"),
        ("null", "broken_json"),
        ("[]", "broken_json"),
        (&brackets, "broken_json"),
        (r#"{"event_id":"e"}"#, "broken_json"),
        (r#"{"type":7}"#, "broken_json"),
        (r#"{"type":"response.output_audio.delta","delta":12}"#, "broken_json"),
        (r#"{"type":"response.output_audio.delta"}"#, "malformed"),
        (r#"{"type":"response.output_audio.delta","delta":"@@@@"}"#, "bad_base64"),
        (fixture!("unknown.event"), "unknown_event"),
        (fixture!("input_audio_buffer.dtmf_event_received"), "unknown_event"),
        (r#"{"type":"start","stream_sid":"x"}"#, "unknown_event"),
        (
            r#"{"type":"response.output_item.done","response_id":"r","item":{"type":"function_call","status":"completed"}}"#,
            "nameless_tool_call",
        ),
    ] {
        let counts = ignored_as(frame);
        assert_eq!(counts, [format!("caly_engine_ignored_total {kind} 1")], "{}", &frame[..frame.len().min(80)]);
    }
    let counts = ignored_as(&deep);
    assert_eq!(counts.len(), 1, "deep nesting neither overflows the stack nor passes unseen: {counts:?}");
}

#[test]
fn events_that_need_nothing_done_are_not_counted_as_unknown() {
    for frame in [
        fixture!("session.created"),
        fixture!("session.updated"),
        fixture!("conversation.item.added"),
        fixture!("conversation.item.done"),
        fixture!("input_audio_buffer.timeout_triggered"),
        fixture!("rate_limits.updated"),
        fixture!("output_audio_buffer.started"),
        fixture!("response.output_item.added_call"),
    ] {
        assert_eq!(ignored_as(frame), Vec::<String>::new(), "{frame}");
    }
}
