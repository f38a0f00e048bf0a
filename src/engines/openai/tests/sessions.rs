//! Sessions as they should go.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use caly_actors::ports::{ContextItem, Engine as _, EngineCommand, EngineEvent};
use futures_util::StreamExt as _;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

use super::server::{PING, serve, serve_tls};
use super::{fixture, lanes, options, spec};
use crate::engines::openai::{OpenAi, probe};

fn engine(base: &str) -> OpenAi {
    OpenAi::new(options(base)).expect("options that work")
}

#[actix_rt::test]
async fn a_session_goes_from_greeting_to_goodbye() {
    let (base, server) = serve(|mut peer| async move {
        let update = peer.hand_shake().await;
        let wish = peer.hear().await.expect("a wish");
        for frame in [
            fixture!("response.created"),
            fixture!("response.output_audio.delta"),
            fixture!("response.output_audio_transcript.done"),
            fixture!("response.output_item.done_call"),
            fixture!("response.done_completed"),
            fixture!("input_audio_buffer.speech_started"),
        ] {
            peer.say(frame).await;
        }
        let output = peer.hear().await.expect("a tool output");
        let end = peer.hear().await;
        (peer.head.clone(), update, wish, output, end, peer.closed_with)
    })
    .await;
    let (_caller, agent_out, lanes) = lanes();
    let mut session = engine(&base).open(spec(), lanes).await.expect("a session");
    assert_eq!(session.events.next().await, Some(EngineEvent::Ready));
    session.commands.push(EngineCommand::CreateResponse { wish: 7, instructions: None, words_only: false });
    let mut kinds = Vec::new();
    while kinds.last() != Some(&"speech") {
        kinds.push(match session.events.next().await.expect("an event") {
            EngineEvent::ResponseCreated { wish: Some(7), .. } => "created",
            EngineEvent::AgentTranscript { .. } => "words",
            EngineEvent::ToolCalled { .. } => "tool",
            EngineEvent::ResponseDone { .. } => "done",
            EngineEvent::SpeechStarted { .. } => "speech",
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(kinds, ["created", "words", "tool", "done", "speech"]);
    assert_eq!(agent_out.try_next().expect("audio").bytes, Bytes::from_static(&[0, 1, 255, 255]));
    session.commands.push(EngineCommand::ToolOutput { tool_call: "call_1".into(), output: "{}".into() });
    session.commands.close();
    assert_eq!(session.events.next().await, None, "an ending that was asked for is no loss");

    let (head, update, wish, output, end, closed_with) = server.await.expect("the server");
    assert!(head.starts_with("GET /v1/realtime?model=gpt-realtime HTTP/1.1\r\n"), "{head}");
    let head = head.to_lowercase();
    assert!(head.contains("authorization: bearer sk-test-key\r\n") && head.contains("openai-safety-identifier: caly-"));
    assert!(!head.contains("openai-beta"));
    assert_eq!((&update["type"], &update["session"]["type"]), (&json!("session.update"), &json!("realtime")));
    assert_eq!(wish["response"]["metadata"], json!({"caly_wish": "7"}));
    assert_eq!(output["item"]["call_id"], "call_1");
    assert_eq!((end, closed_with), (None, Some(1000)));
}

#[actix_rt::test]
async fn a_dropped_session_closes_its_socket() {
    let (base, server) = serve(|mut peer| async move {
        peer.hand_shake().await;
        (peer.hear().await, peer.closed_with)
    })
    .await;
    let (_caller, _agent, lanes) = lanes();
    let session = engine(&base).open(spec(), lanes).await.expect("a session");
    drop(session);
    assert_eq!(server.await.expect("the server"), (None, Some(1000)));
}

#[actix_rt::test]
async fn context_is_replayed_before_anything_else() {
    let (base, server) = serve(|mut peer| async move {
        peer.hand_shake().await;
        let mut kinds = Vec::new();
        while kinds.len() < 4 {
            let event = peer.hear().await.expect("an event");
            kinds.push(event["item"]["type"].as_str().or(event["type"].as_str()).expect("a type").to_owned());
        }
        kinds
    })
    .await;
    let (caller, _agent, lanes) = lanes();
    caller.push(Bytes::from_static(&[0; 960]));
    let mut spec = spec();
    spec.context = vec![
        ContextItem::Caller("hello".into()),
        ContextItem::Tool { name: "f".into(), arguments: "{}".into(), output: "{}".into() },
    ];
    let _session = engine(&base).open(spec, lanes).await.expect("a session");
    let kinds = server.await.expect("the server");
    assert_eq!(kinds, ["message", "function_call", "function_call_output", "input_audio_buffer.append"]);
}

fn audio_of(event: &Value) -> Vec<u8> {
    assert_eq!(event["type"], "input_audio_buffer.append");
    base64::engine::general_purpose::STANDARD.decode(event["audio"].as_str().expect("audio")).expect("base64")
}

#[actix_rt::test]
async fn audio_that_waited_for_the_session_is_sent_merged_and_later_audio_at_once() {
    let (base, server) = serve(|mut peer| async move {
        peer.hand_shake().await;
        let mut appends = Vec::new();
        while appends.len() < 3 {
            appends.push(audio_of(&peer.hear().await.expect("an append")));
        }
        peer.say(fixture!("input_audio_buffer.speech_started")).await;
        appends.push(audio_of(&peer.hear().await.expect("an append")));
        appends
    })
    .await;
    let (caller, _agent, lanes) = lanes();
    let frame = |at: u8| Bytes::from(vec![at; 960]);
    for at in 0..12 {
        caller.push(frame(at));
    }
    let mut session = engine(&base).open(spec(), lanes).await.expect("a session");
    assert_eq!(session.events.next().await, Some(EngineEvent::Ready));
    assert!(matches!(session.events.next().await, Some(EngineEvent::SpeechStarted { .. })));
    caller.push(frame(12));
    let appends = server.await.expect("the server");
    assert_eq!(appends.iter().map(|audio| audio.len() / 960).collect::<Vec<_>>(), [5, 5, 2, 1]);
    assert_eq!(appends.concat(), (0..13).flat_map(|at| vec![at; 960]).collect::<Vec<u8>>());
}

#[actix_rt::test]
async fn a_command_overtakes_audio_that_waits() {
    let (base, server) = serve(|mut peer| async move {
        peer.hand_shake().await;
        peer.hear().await.expect("an event")["type"].clone()
    })
    .await;
    let (caller, _agent, lanes) = lanes();
    caller.push(Bytes::from_static(&[0; 960]));
    let session = engine(&base).open(spec(), lanes).await.expect("a session");
    session.commands.push(EngineCommand::CancelResponse);
    assert_eq!(server.await.expect("the server"), "response.cancel");
}

#[actix_rt::test]
async fn pings_are_answered_and_fragments_put_together() {
    let (base, server) = serve(|mut peer| async move {
        peer.hand_shake().await;
        let text = fixture!("input_audio_buffer.committed").as_bytes();
        let (one, two) = text.split_at(20);
        peer.frame(false, super::server::TEXT, one).await;
        peer.frame(true, PING, b"are you there").await;
        peer.frame(true, 0, two).await;
        assert!(peer.hear().await.is_none());
        peer.ponged
    })
    .await;
    let (_caller, _agent, lanes) = lanes();
    let mut session = engine(&base).open(spec(), lanes).await.expect("a session");
    assert_eq!(session.events.next().await, Some(EngineEvent::Ready));
    assert_eq!(session.events.next().await, Some(EngineEvent::TurnCommitted { item: "item_U1".into() }));
    session.commands.close();
    assert_eq!(server.await.expect("the server"), [b"are you there".to_vec()]);
}

#[actix_rt::test]
async fn a_delta_of_two_mebibytes_arrives_whole() {
    let audio: Vec<u8> = (0..2 * 1024 * 1024_u32).map(|at| (at % 253) as u8).collect();
    let frame = json!({
        "type": "response.output_audio.delta", "response_id": "r", "item_id": "i",
        "delta": base64::engine::general_purpose::STANDARD.encode(&audio),
    });
    let (base, server) = serve(|mut peer| async move {
        peer.hand_shake().await;
        peer.say(&frame.to_string()).await;
        peer.say(fixture!("input_audio_buffer.committed")).await;
        peer.hear().await
    })
    .await;
    let (_caller, agent_out, lanes) = lanes();
    let mut session = engine(&base).open(spec(), lanes).await.expect("a session");
    session.events.next().await;
    assert!(matches!(session.events.next().await, Some(EngineEvent::TurnCommitted { .. })));
    assert!(agent_out.try_next().expect("audio").bytes == audio);
    drop(session);
    assert!(server.await.expect("the server").is_none());
}

/// A private CA in a file, and a server identity for `localhost` signed by it.
fn private_identity() -> (tempfile::NamedTempFile, rustls::ServerConfig) {
    let ca_key = KeyPair::generate().expect("a key");
    let mut ca = CertificateParams::new(Vec::new()).expect("parameters");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&ca_key).expect("a certificate");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), ca_certificate.pem()).expect("written");
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])
        .expect("parameters")
        .signed_by(&key, &Issuer::from_params(&ca, &ca_key))
        .expect("a certificate");
    let key = rustls_pki_types::PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("an identity");
    (file, tls)
}

#[actix_rt::test]
async fn a_private_gateway_is_spoken_to_over_tls_if_its_ca_is_known() {
    let (ca, tls) = private_identity();
    let (base, server) = serve_tls(tls.clone(), |mut peer| async move {
        peer.hand_shake().await;
        (peer.hear().await, peer.closed_with)
    })
    .await;
    let mut known = options(&base);
    known.ca_file = Some(ca.path().to_path_buf());
    let (_caller, _agent, session_lanes) = lanes();
    let session = OpenAi::new(known).expect("options").open(spec(), session_lanes).await.expect("a session");
    drop(session);
    assert_eq!(server.await.expect("the server"), Some((None, Some(1000))));

    let (base, server) = serve_tls(tls, |peer| async move { peer.head }).await;
    let (_caller, _agent, session_lanes) = lanes();
    let refused = engine(&base).open(spec(), session_lanes).await.err().expect("no trust, no session");
    assert_eq!(refused.kind(), "connection");
    assert_eq!(server.await.expect("the server"), None, "the key must not be sent to a stranger");
}

#[actix_rt::test]
async fn a_probe_opens_a_session_and_leaves() {
    let (base, server) = serve(|mut peer| async move {
        peer.upgrade().await;
        peer.say(fixture!("session.created")).await;
        (peer.hear().await, peer.closed_with)
    })
    .await;
    let report = probe(&options(&base)).await.expect("a report");
    assert_eq!((&*report.host, &*report.model, report.model_listed), ("127.0.0.1", "gpt-realtime", false));
    assert!(report.session_after < Duration::from_secs(5));
    assert_eq!(server.await.expect("the server"), (None, Some(1000)));
}
