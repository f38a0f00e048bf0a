//! Sessions as they go wrong: the faults the engine side of a call must survive.

use std::time::Duration;

use bytes::Bytes;
use caly_actors::ports::{Engine as _, EngineError, EngineEvent, EngineSession};
use futures_util::StreamExt as _;

use super::server::{BINARY, Peer, TEXT, frame, serve};
use super::{fixture, lanes, options, spec};
use crate::engines::openai::pump::Pace;
use crate::engines::openai::{OpenAi, OpenAiOptions, OptionsError};

/// Liveness that is judged within a tenth of a second.
const QUICK: Pace = Pace {
    tick: Duration::from_millis(10),
    ping_after: 2,
    silent_max: 5,
    silent_mute_max: 10,
    blocked_max: 5,
    close: Duration::from_millis(200),
};

async fn refused(options: OpenAiOptions) -> EngineError {
    let (_caller, _agent, lanes) = lanes();
    OpenAi::new(options).expect("options").open(spec(), lanes).await.err().expect("no session")
}

/// Fails a test that would otherwise hang.
async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(10), future).await.expect("within 10 s")
}

async fn last(session: &mut EngineSession) -> EngineError {
    soon(last_ever(session)).await
}

async fn last_ever(session: &mut EngineSession) -> EngineError {
    while let Some(event) = session.events.next().await {
        if let EngineEvent::Lost(error) = event {
            assert_eq!(session.events.next().await, None, "nothing follows a loss");
            return error;
        }
    }
    panic!("the session ended without a loss")
}

/// Opens a session with a peer that runs `script` after the hand-shake, and gives how it was lost.
async fn lost_to<F: Future<Output = ()> + 'static>(
    pace: Pace,
    script: impl FnOnce(Peer) -> F + 'static,
) -> EngineError {
    let (base, server) = serve(|mut peer| async move {
        peer.hand_shake().await;
        script(peer).await;
    })
    .await;
    let (_caller, _agent, lanes) = lanes();
    let engine = OpenAi::with_pace(options(&base), pace).expect("options");
    let mut session = engine.open(spec(), lanes).await.expect("a session");
    let error = last(&mut session).await;
    server.abort();
    error
}

#[actix_rt::test]
async fn an_upgrade_that_is_refused_says_what_can_be_done() {
    for (status, kind, retryable) in [
        ("401 Unauthorized", "refused", false),
        ("403 Forbidden", "refused", false),
        ("429 Too Many Requests", "busy", true),
        ("500 Internal Server Error", "connection", true),
        ("503 Service Unavailable", "busy", true),
    ] {
        let (base, _server) = serve(move |peer| peer.refuse(status)).await;
        let error = refused(options(&base)).await;
        assert_eq!((error.kind(), error.is_retryable()), (kind, retryable), "{status}: {error}");
    }
}

#[actix_rt::test]
async fn nobody_listening_is_a_lost_connection() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    assert_eq!(refused(options(&base)).await.kind(), "connection");
}

#[actix_rt::test]
async fn settings_that_are_rejected_are_not_tried_again() {
    let (base, _server) = serve(|mut peer| async move {
        peer.upgrade().await;
        peer.say(fixture!("session.created")).await;
        peer.hear().await;
        peer.say(r#"{"type":"error","error":{"type":"invalid_request_error","code":"unknown_parameter","message":"Unknown parameter: 'session.x'."}}"#).await;
        peer.hear().await;
    })
    .await;
    let error = refused(options(&base)).await;
    assert!(!error.is_retryable());
    assert_eq!(error.to_string(), "engine refused the settings: unknown_parameter: Unknown parameter: 'session.x'.");
}

#[actix_rt::test]
async fn a_key_refused_after_the_upgrade_is_refused() {
    let (base, _server) = serve(|mut peer| async move {
        peer.upgrade().await;
        peer.say(fixture!("error.invalid_api_key")).await;
        peer.close(3000, "invalid_request_error.invalid_api_key").await;
    })
    .await;
    assert_eq!(refused(options(&base)).await.kind(), "refused");
}

#[actix_rt::test]
async fn a_mute_hand_shake_ends_at_its_deadline_and_says_where() {
    let hurried = |base: &str| {
        let mut options = options(base);
        options.ready_timeout = Duration::from_millis(50);
        options.connect_timeout = Duration::from_millis(200);
        options
    };
    let (base, _server) = serve(|peer| async move {
        std::future::pending::<()>().await;
        drop(peer);
    })
    .await;
    assert_eq!(refused(hurried(&base)).await, EngineError::Stalled("no connection in time"));
    let (base, _server) = serve(|mut peer| async move {
        peer.upgrade().await;
        peer.hear().await;
    })
    .await;
    assert_eq!(refused(hurried(&base)).await, EngineError::Stalled("no session.created in time"));
    let (base, _server) = serve(|mut peer| async move {
        peer.upgrade().await;
        peer.say(fixture!("session.created")).await;
        while peer.hear().await.is_some() {}
    })
    .await;
    assert_eq!(refused(hurried(&base)).await, EngineError::Stalled("no session.updated in time"));
}

#[actix_rt::test]
async fn a_drop_in_mid_answer_is_a_lost_connection() {
    let error = lost_to(Pace::default(), |mut peer| async move {
        peer.say(fixture!("response.created")).await;
        peer.raw(&[0x81, 126, 1, 0, b'{']).await; // a frame of 256 bytes that stops after one
    })
    .await;
    assert_eq!(error.kind(), "connection");
}

#[actix_rt::test]
async fn the_age_limit_is_told_as_such() {
    let error = lost_to(Pace::default(), |mut peer| async move {
        peer.close(1001, "Your session hit the maximum duration of 60 minutes.").await;
        peer.hear().await;
    })
    .await;
    assert_eq!(error, EngineError::Expired);
    let error = lost_to(Pace::default(), |mut peer| async move {
        peer.say(fixture!("error.session_expired")).await;
        peer.hear().await;
    })
    .await;
    assert_eq!(error, EngineError::Expired);
}

#[actix_rt::test]
async fn garbage_is_survived() {
    let (base, server) = serve(|mut peer| async move {
        peer.hand_shake().await;
        for garbage in ["", "{", "null", "\u{0}", r#"{"type":null}"#, r#"{"type":"response.done","response":7}"#] {
            peer.say(garbage).await;
        }
        peer.frame(true, TEXT, b"{\"type\":\"\xff\xfe\"}").await;
        peer.frame(true, BINARY, &[0, 1, 2, 255]).await;
        peer.say(fixture!("unknown.event")).await;
        peer.say(fixture!("input_audio_buffer.committed")).await;
        peer.hear().await
    })
    .await;
    let (_caller, _agent, lanes) = lanes();
    let mut session = OpenAi::new(options(&base)).expect("options").open(spec(), lanes).await.expect("a session");
    assert_eq!(session.events.next().await, Some(EngineEvent::Ready));
    assert!(matches!(session.events.next().await, Some(EngineEvent::ResponseDone { .. })));
    assert!(matches!(session.events.next().await, Some(EngineEvent::TurnCommitted { .. })));
    drop(session);
    assert!(soon(server).await.expect("the server").is_none());
}

#[actix_rt::test]
async fn a_frame_over_the_limit_ends_the_session_for_another_to_be_made() {
    let error = lost_to(Pace::default(), |mut peer| async move {
        peer.frame(true, TEXT, &vec![b' '; 5_700_000]).await;
        peer.hear().await;
    })
    .await;
    assert_eq!(error, EngineError::Protocol("frame over 4 MiB".to_owned()));
}

#[actix_rt::test]
async fn a_half_open_connection_is_noticed() {
    // Answers the first pings, then nothing more: noticed early.
    let began = std::time::Instant::now();
    let mute_later = Pace { silent_mute_max: 100_000, ..QUICK };
    let error = lost_to(mute_later, |mut peer| async move {
        // The first ping is answered while this waits for an event that never comes; then nothing is.
        let _ = tokio::time::timeout(Duration::from_millis(5), peer.hear()).await;
        std::future::pending::<()>().await;
    })
    .await;
    assert_eq!(error.kind(), "stalled");
    assert!(began.elapsed() < Duration::from_secs(10));
    // Never answers a ping: given longer.
    let error = lost_to(QUICK, |mut peer| async move {
        peer.pongs = false;
        peer.hear().await;
    })
    .await;
    assert_eq!(error.kind(), "stalled");
}

#[actix_rt::test]
async fn a_missing_pong_alone_is_no_loss() {
    let (base, server) = serve(|mut peer| async move {
        peer.hand_shake().await;
        peer.pongs = false;
        let mut every = tokio::time::interval(QUICK.tick);
        for _ in 0..30 {
            every.tick().await; // three times the silence that would be the end
            peer.say(fixture!("rate_limits.updated")).await;
        }
        peer.say(fixture!("input_audio_buffer.committed")).await;
        peer.hear().await
    })
    .await;
    let (_caller, _agent, lanes) = lanes();
    let engine = OpenAi::with_pace(options(&base), QUICK).expect("options");
    let mut session = engine.open(spec(), lanes).await.expect("a session");
    assert_eq!(session.events.next().await, Some(EngineEvent::Ready));
    assert!(matches!(session.events.next().await, Some(EngineEvent::TurnCommitted { .. })));
    drop(session);
    assert!(soon(server).await.expect("the server").is_none());
}

#[actix_rt::test]
async fn a_service_that_does_not_read_is_given_up() {
    let (base, server) = serve(|mut peer| async move {
        peer.hand_shake().await;
        let mut every = tokio::time::interval(QUICK.tick);
        loop {
            every.tick().await;
            peer.say(fixture!("rate_limits.updated")).await; // alive, but deaf
        }
    })
    .await;
    let (caller, _agent, lanes) = lanes();
    let engine = OpenAi::with_pace(options(&base), QUICK).expect("options");
    let mut session = engine.open(spec(), lanes).await.expect("a session");
    assert_eq!(session.events.next().await, Some(EngineEvent::Ready));
    let flood = Bytes::from(vec![0; 1024 * 1024]);
    for _ in 0..64 {
        caller.push(flood.clone());
    }
    assert_eq!(last(&mut session).await, EngineError::Stalled("socket accepts nothing"));
    server.abort();
}

#[actix_rt::test]
async fn a_holder_that_takes_no_events_does_not_make_the_queue_grow_for_ever() {
    let (base, server) = serve(|mut peer| async move {
        peer.hand_shake().await;
        let text = fixture!("input_audio_buffer.committed");
        for _ in 0..2000 {
            peer.say(text).await;
        }
        peer.hear().await
    })
    .await;
    let (_caller, _agent, lanes) = lanes();
    let engine = OpenAi::with_pace(options(&base), QUICK).expect("options");
    let mut session = engine.open(spec(), lanes).await.expect("a session");
    assert_eq!(soon(server).await.expect("the server"), None); // the session has given up by itself
    let mut events = 0;
    let error = loop {
        match session.events.next().await {
            Some(EngineEvent::Lost(error)) => break error,
            Some(_) => events += 1,
            None => panic!("no loss"),
        }
    };
    assert_eq!((error, events), (EngineError::Stalled("events are not taken"), 256));
}

#[actix_rt::test]
async fn a_service_that_ignores_the_close_is_left_all_the_same() {
    let (base, server) = serve(|mut peer| async move {
        peer.hand_shake().await;
        peer.closes = false;
        (peer.hear().await, peer.closed_with) // ends when the client drops the connection
    })
    .await;
    let (_caller, _agent, lanes) = lanes();
    let engine = OpenAi::with_pace(options(&base), QUICK).expect("options");
    drop(engine.open(spec(), lanes).await.expect("a session"));
    assert_eq!(soon(server).await.expect("the server"), (None, Some(1000)));
}

#[test]
fn options_that_cannot_work_are_refused_by_name() {
    assert!(matches!(OpenAi::new(options("http://api.openai.com/v1")), Err(OptionsError::Insecure(_))));
    assert!(matches!(OpenAi::new(options("ftp://localhost")), Err(OptionsError::Scheme(_))));
    let with = |change: fn(&mut OpenAiOptions)| {
        let mut options = options("https://api.openai.com/v1");
        change(&mut options);
        OpenAi::new(options).expect_err("refused").to_string()
    };
    assert!(with(|o| o.key = String::new().into()).starts_with("key:"));
    assert!(with(|o| o.key = "sk-a\nb".to_owned().into()).starts_with("key:"));
    assert!(with(|o| o.project = Some("a b".to_owned())).starts_with("project:"));
    assert!(with(|o| o.model = " ".to_owned()).starts_with("model:"));
    assert!(with(|o| o.ca_file = Some("/nowhere.pem".into())).starts_with("ca file"));
}

/// Simulated calls lose their sockets between two events; on the wire that is every place there is.
#[actix_rt::test]
async fn a_socket_that_drops_at_any_byte_has_told_what_was_whole_by_then_and_is_lost_once() {
    let said = [
        fixture!("input_audio_buffer.speech_started"),
        fixture!("response.created"),
        fixture!("response.output_audio.delta"),
        fixture!("response.output_audio_transcript.done"),
        fixture!("response.done_completed"),
    ];
    let frames = said.map(|text| frame(true, TEXT, text.as_bytes()));
    let ends: Vec<usize> = frames
        .iter()
        .scan(0, |end, frame| {
            *end += frame.len();
            Some(*end)
        })
        .collect();
    let wire = frames.concat();
    let beside = |cut: usize| ends.iter().any(|end| cut.abs_diff(*end) <= 3);
    let mut told = Vec::new();
    for cut in (0..=wire.len()).filter(|cut| cut % 16 == 0 || beside(*cut)) {
        let sent = wire[..cut].to_vec();
        let (base, server) = serve(|mut peer| async move {
            peer.hand_shake().await;
            peer.raw(&sent).await;
        })
        .await;
        let (_caller, agent_out, lanes) = lanes();
        let mut session = OpenAi::new(options(&base)).expect("options").open(spec(), lanes).await.expect("a session");
        let (mut events, mut lost) = (Vec::new(), 0);
        while let Some(event) = soon(session.events.next()).await {
            match event {
                // The call of a tool is told by the end of its answer.
                EngineEvent::Ready | EngineEvent::ToolCalled { .. } => {}
                EngineEvent::Lost(_) => lost += 1,
                other => events.push(other),
            }
        }
        server.await.expect("the server");
        let whole = ends.iter().filter(|end| **end <= cut).count();
        // A delta of sound is told by its lane.
        let sound = usize::from(agent_out.try_next().is_some());
        assert_eq!((events.len() + sound, lost), (whole, 1), "at {cut} of {}: {events:?}", wire.len());
        told.push(whole);
    }
    assert!(told.is_sorted() && told.last() == Some(&said.len()) && told.len() > 100, "{told:?}");
}
