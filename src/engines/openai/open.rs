//! From nothing to a session that listens: connect, `session.created`, our settings, `session.updated`, the context.

use std::cell::Cell;
use std::time::Instant;

use awc::ws::Message;
use caly_actors::audio::lane::lane;
use caly_actors::ports::{EngineError, EngineEvent, EngineLanes, EngineSession, EngineSpec};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::timeout;
use tracing::Instrument as _;

use super::faults::{from_close, from_socket};
use super::hear::{Hearing, fault, ignored, parsed};
use super::inbox::inbox;
use super::pump::{Ends, Pump};
use super::say::{self, AppendWriter, text_message};
use super::socket::{Assembler, Incoming, Socket, connect};
use super::transcription::Transcription;
use super::wire::{ServerEvent, WireError};
use super::{OpenAiOptions, Shared};

/// Commands that may wait. They are rare and small; past this the oldest goes, and the session is beyond help anyway.
const COMMANDS: usize = 256;

/// Opens a session and leaves a task behind that serves it.
pub(super) async fn open(shared: &Shared, spec: EngineSpec, lanes: EngineLanes) -> Result<EngineSession, EngineError> {
    let began = Instant::now();
    let mut transcription = Transcription::new(&shared.options, &spec.agent, &shared.hints_refused);
    let opened = establish(shared, &spec, &mut transcription).await;
    match &opened {
        Ok(_) => {
            let seconds = began.elapsed().as_secs_f64();
            metrics::histogram!("caly_engine_connect_seconds").record(seconds);
            metrics::counter!("caly_engine_sessions_total", "result" => "opened").increment(1);
            tracing::info!(seconds, model = shared.options.model, "engine session open");
        }
        Err(error) => {
            metrics::counter!("caly_engine_sessions_total", "result" => error.kind()).increment(1);
            tracing::warn!(%error, "engine session not opened");
        }
    }
    let (socket, assembler) = opened?;
    let options = &shared.options;
    let hearing = Hearing::new(&options.model, options.transcription_model.as_deref(), spec.audio, lanes.agent);
    let (events, stream) = inbox();
    events.push(EngineEvent::Ready);
    let (commands, commands_out) = lane(COMMANDS);
    let instructions = say::instructions(&spec.agent);
    let ends = Ends { commands: commands_out, caller: lanes.caller, events, instructions };
    let append = AppendWriter::new(spec.audio);
    let pump = Pump::new(socket, assembler, ends, (hearing, append, transcription), shared.pace);
    // The task ends by itself within a second of the stream being dropped: the stream tells it.
    actix_rt::spawn(pump.run().instrument(tracing::Span::current()));
    Ok(EngineSession { commands, events: Box::pin(stream) })
}

async fn establish(
    shared: &Shared,
    spec: &EngineSpec,
    transcription: &mut Transcription,
) -> Result<(impl Socket + use<>, Assembler), EngineError> {
    let options = &shared.options;
    let connecting = connect(&shared.outbound, options, Some(spec.call));
    let mut socket = timeout(options.connect_timeout, connecting)
        .await
        .map_err(|_| EngineError::Stalled("no connection in time"))??;
    let mut assembler = Assembler::default();
    let waiting_for = Cell::new("");
    timeout(
        options.ready_timeout,
        configure(&mut socket, &mut assembler, (spec, options, transcription), &waiting_for),
    )
    .await
    .map_err(|_| EngineError::Stalled(waiting_for.get()))??;
    Ok((socket, assembler))
}

/// The hand-shake on an open socket. `waiting_for` says where it stands when a deadline cuts it off.
async fn configure<S: Socket>(
    socket: &mut S,
    assembler: &mut Assembler,
    (spec, options, transcription): (&EngineSpec, &OpenAiOptions, &mut Transcription),
    waiting_for: &Cell<&'static str>,
) -> Result<(), EngineError> {
    waiting_for.set("no session.created in time");
    expect(socket, assembler, "session.created").await?;
    waiting_for.set("no session.updated in time");
    send(socket, say::session_update(spec, options, transcription.wire(spec.language))).await?;
    match expect(socket, assembler, "session.updated").await {
        // An update is refused as a whole: it may be the hints that the service does not take.
        Err(EngineError::Settings(_)) if transcription.told_hints() => {
            send(socket, say::session_update(spec, options, transcription.bare())).await?;
            expect(socket, assembler, "session.updated").await?;
            transcription.refuse();
        }
        other => other?,
    }
    waiting_for.set("context not accepted in time");
    for event in say::replay(&spec.context) {
        socket.feed(text_message(event.into())?).await.map_err(|error| from_socket(&error))?;
    }
    socket.flush().await.map_err(|error| from_socket(&error))
}

async fn send<S: Socket>(socket: &mut S, text: String) -> Result<(), EngineError> {
    socket.send(text_message(text.into())?).await.map_err(|error| from_socket(&error))
}

/// Waits for one event. An `error` instead of it is a refusal; anything else is passed over.
pub(super) async fn expect<S: Socket>(
    socket: &mut S,
    assembler: &mut Assembler,
    kind: &str,
) -> Result<(), EngineError> {
    loop {
        let frame = match socket.next().await {
            None => return Err(EngineError::Connection(format!("socket ended before {kind}"))),
            Some(frame) => frame.map_err(|error| from_socket(&error))?,
        };
        let text = match assembler.take(frame)? {
            Incoming::Text(text) => text,
            Incoming::Ping(data) => {
                socket.send(Message::Pong(data)).await.map_err(|error| from_socket(&error))?;
                continue;
            }
            Incoming::Close(reason) => return Err(from_close(reason.as_ref())),
            Incoming::Pong => continue,
            Incoming::Nothing { binary } => {
                if binary {
                    ignored("binary");
                }
                continue;
            }
        };
        let Ok(event) = serde_json::from_slice::<ServerEvent<'_>>(&text) else {
            ignored("broken_json");
            continue;
        };
        if event.kind == kind {
            return Ok(());
        }
        if event.kind == "error" {
            let error = parsed::<WireError>(event.error);
            return Err(fault(&error, &error.code()).classify_setup());
        }
    }
}
