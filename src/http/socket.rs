//! The media socket: a thin shell between WebSocket frames and a call's lanes. The only file that knows actix-web-actors.
//!
//! Owns one connection and the protocol's state on it. Started by the media door. It has no say: what the messages mean is
//! the carrier room's business, what they do is the media child's. A peer that stops reading freezes this actor (it runs
//! as the response's body); the connection's `KillSwitch` and `TCP_USER_TIMEOUT` end it then.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use actix::prelude::*;
use actix_http::ws::{CloseCode, CloseReason, Codec, Item, Message, ProtocolError};
use actix_web::dev::Payload as DevPayload;
use actix_web::error::PayloadError;
use actix_web::http::Version;
use actix_web::http::header::{SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION};
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use actix_web_actors::ws::{WebsocketContext, WsResponseBuilder, handshake};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use caly_actors::audio::lane::{LaneReceiver, LaneSender};
use caly_actors::domain::CarrierCallId;
use caly_actors::ports::{CarrierCommand, CarrierEvent};
use futures_util::Stream;

use super::guard::{Guard, MESSAGE_BYTES_MAX, SharedVerdict};
use super::problem::Problem;
use crate::carriers::exotel::media::{Encoder, StartFacts};
use crate::carriers::exotel::session::{Fault, Session};

/// From the upgrade to `start`; the close and its answer have a second more, so that nothing stays longer than 10 s.
const START_DEADLINE: Duration = Duration::from_secs(9);
/// Events kept for a static URL while its call is being admitted: 2 s of frames.
const EARLY_EVENTS_MAX: usize = 100;
/// Control frames answered between two messages of the protocol; more is a flood.
const CONTROL_FRAMES_MAX: u32 = 1000;

/// A socket that serves a known call.
pub struct Bound {
    /// The call's id at the carrier.
    pub expected: CarrierCallId,
    /// To the call.
    pub events: LaneSender<CarrierEvent>,
    /// From the call.
    pub commands: LaneReceiver<CarrierCommand>,
}

/// Finds the call of a stream from its `start`, or a close code.
pub type Binding = Pin<Box<dyn Future<Output = Result<Bound, u16>>>>;

/// A socket whose call is known only from `start`.
pub struct Unbound {
    /// Called once, with the start's facts.
    pub bind: Box<dyn FnOnce(StartFacts) -> Binding>,
}

enum Owner {
    Call(LaneSender<CarrierEvent>),
    /// Waits for `start`.
    Unknown(Unbound),
    /// Being admitted; what comes meanwhile is kept.
    Binding(Vec<CarrierEvent>),
}

/// Whether a request is a WebSocket handshake (RFC 6455 §4.2.1); asked before a call is told of a socket.
///
/// # Errors
/// It is none.
pub fn check_handshake(request: &HttpRequest) -> Result<(), Problem> {
    let refused = || Problem::malformed().detail("a WebSocket handshake is expected: version 13, with a key");
    if request.version() < Version::HTTP_11 {
        return Err(refused());
    }
    handshake(request).map_err(|_| refused())?;
    // actix takes the drafts 7 and 8 for the standard.
    let mut versions = request.headers().get_all(SEC_WEBSOCKET_VERSION);
    if versions.next().is_none_or(|version| version.as_bytes() != b"13") || versions.next().is_some() {
        return Err(refused());
    }
    let mut keys = request.headers().get_all(SEC_WEBSOCKET_KEY);
    let key = keys.next().and_then(|key| STANDARD.decode(key.as_bytes().trim_ascii()).ok());
    if keys.next().is_some() || key.is_none_or(|key| key.len() != 16) {
        return Err(refused());
    }
    Ok(())
}

/// Upgrades a request whose call has taken the socket.
///
/// # Errors
/// The request is no WebSocket handshake.
pub fn open(request: &HttpRequest, payload: web::Payload, bound: Bound) -> Result<HttpResponse, Problem> {
    let session = Session::new(Some(bound.expected));
    upgrade(request, payload, session, Owner::Call(bound.events), Some(bound.commands))
}

/// Upgrades a request whose call is not known yet.
///
/// # Errors
/// The request is no WebSocket handshake.
pub fn open_unbound(request: &HttpRequest, payload: web::Payload, unbound: Unbound) -> Result<HttpResponse, Problem> {
    upgrade(request, payload, Session::new(None), Owner::Unknown(unbound), None)
}

fn upgrade(
    request: &HttpRequest,
    payload: web::Payload,
    session: Session,
    owner: Owner,
    commands: Option<LaneReceiver<CarrierCommand>>,
) -> Result<HttpResponse, Problem> {
    let (guarded, verdict) = Guard::new(payload);
    let boxed: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>> = Box::pin(guarded);
    let mut guarded = DevPayload::Stream { payload: boxed };
    let stream = futures_util::FutureExt::now_or_never(web::Payload::from_request(request, &mut guarded))
        .and_then(Result::ok)
        .ok_or_else(Problem::malformed)?;
    let actor = MediaSocket {
        session,
        owner,
        commands,
        encoder: None,
        verdict,
        partial: None,
        events: Vec::new(),
        control_frames: 0,
        closed: false,
    };
    WsResponseBuilder::new(actor, request, stream)
        .codec(Codec::new().max_size(MESSAGE_BYTES_MAX as usize))
        .start()
        .map_err(|_| Problem::malformed().detail("a WebSocket handshake is expected"))
}

/// See the module's text.
struct MediaSocket {
    session: Session,
    owner: Owner,
    commands: Option<LaneReceiver<CarrierCommand>>,
    /// Made once the stream's id and rate are known.
    encoder: Option<Encoder>,
    verdict: SharedVerdict,
    /// Fragments of one text (`true`) or binary message.
    partial: Option<(bool, BytesMut)>,
    events: Vec<CarrierEvent>,
    control_frames: u32,
    closed: bool,
}

type Ctx = WebsocketContext<MediaSocket>;

impl Actor for MediaSocket {
    type Context = Ctx;

    fn started(&mut self, ctx: &mut Ctx) {
        metrics::gauge!("caly_media_sockets").increment(1.0);
        if let Some(commands) = self.commands.take() {
            ctx.add_stream(commands);
        }
        ctx.run_later(START_DEADLINE, |this, ctx| {
            if this.session.facts().is_none() {
                this.close(1001, "no start in time", false, ctx);
            }
        });
    }

    fn stopping(&mut self, _: &mut Ctx) -> Running {
        self.tell_closed(false);
        Running::Stop
    }
}

impl StreamHandler<Result<Message, ProtocolError>> for MediaSocket {
    fn handle(&mut self, message: Result<Message, ProtocolError>, ctx: &mut Ctx) {
        if self.closed {
            return;
        }
        match message {
            Ok(Message::Text(text)) => self.text(&text, ctx),
            Ok(Message::Binary(_)) => self.binary(ctx),
            Ok(Message::Continuation(item)) => self.fragment(item, ctx),
            Ok(Message::Ping(payload)) => {
                if self.control_frame(ctx) {
                    ctx.pong(&payload);
                }
            }
            Ok(Message::Pong(_)) => {
                self.control_frame(ctx);
            }
            Ok(Message::Close(reason)) => {
                ctx.close(reason);
                self.tell_closed(false);
                ctx.stop();
            }
            Ok(Message::Nop) => {}
            Err(error) => self.broken(&error, ctx),
        }
    }

    fn finished(&mut self, ctx: &mut Ctx) {
        // The guard ends the stream itself when a limit is broken.
        match self.verdict.get() {
            Some(verdict) => self.close(verdict.close_code(), verdict.reason(), true, ctx),
            None => self.close(1001, "the stream ended", false, ctx),
        }
        ctx.stop();
    }
}

impl StreamHandler<CarrierCommand> for MediaSocket {
    fn handle(&mut self, command: CarrierCommand, ctx: &mut Ctx) {
        if self.closed {
            return;
        }
        match (command, &mut self.encoder) {
            (CarrierCommand::Close(code), _) => self.close(code, "", false, ctx),
            (CarrierCommand::Audio(pcm), Some(encoder)) => ctx.text(encoder.media(&pcm)),
            (CarrierCommand::Mark(name), Some(encoder)) => ctx.text(encoder.mark(&name)),
            (CarrierCommand::Clear, Some(encoder)) => ctx.text(encoder.clear()),
            // Before `start` there is no stream to address.
            (CarrierCommand::Audio(_) | CarrierCommand::Mark(_) | CarrierCommand::Clear, None) => {}
        }
    }

    fn finished(&mut self, ctx: &mut Ctx) {
        // The call let go of the socket.
        self.close(1000, "", false, ctx);
    }
}

impl MediaSocket {
    fn text(&mut self, text: &str, ctx: &mut Ctx) {
        self.control_frames = 0;
        let mut events = std::mem::take(&mut self.events);
        let outcome = self.session.text(text, &mut events);
        for event in events.drain(..) {
            self.tell(event, ctx);
        }
        self.events = events;
        self.after(outcome, ctx);
    }

    fn binary(&mut self, ctx: &mut Ctx) {
        let outcome = self.session.binary();
        self.after(outcome, ctx);
    }

    fn after(&mut self, outcome: Result<(), Fault>, ctx: &mut Ctx) {
        if let Err(fault) = outcome {
            self.close(fault.close_code, fault.reason, true, ctx);
        }
    }

    fn tell(&mut self, event: CarrierEvent, ctx: &mut Ctx) {
        if let CarrierEvent::Started { stream, rate } = &event {
            self.encoder = Some(Encoder::new(stream, *rate));
        }
        match &mut self.owner {
            Owner::Call(events) => {
                events.push(event);
            }
            Owner::Binding(early) => {
                if early.len() < EARLY_EVENTS_MAX {
                    early.push(event);
                }
            }
            Owner::Unknown(_) => self.bind(event, ctx),
        }
    }

    /// The first event of an unknown stream is its start: finds the call and hands over what came meanwhile.
    fn bind(&mut self, first: CarrierEvent, ctx: &mut Ctx) {
        let Some(facts) = self.session.facts().cloned() else { return };
        let Owner::Unknown(unbound) = std::mem::replace(&mut self.owner, Owner::Binding(vec![first])) else { return };
        let bound = (unbound.bind)(facts).into_actor(self).map(|bound, this, ctx| match bound {
            Ok(bound) => {
                let owner = std::mem::replace(&mut this.owner, Owner::Call(bound.events.clone()));
                if let Owner::Binding(early) = owner {
                    for event in early {
                        bound.events.push(event);
                    }
                }
                if this.closed {
                    bound.events.push(CarrierEvent::Closed { protocol_error: false });
                }
                ctx.add_stream(bound.commands);
            }
            Err(code) => this.close(code, "the call was refused", false, ctx),
        });
        ctx.spawn(bound);
    }

    fn fragment(&mut self, item: Item, ctx: &mut Ctx) {
        let (last, bytes) = match item {
            Item::FirstText(bytes) => {
                self.partial = Some((true, BytesMut::from(&bytes[..])));
                return;
            }
            Item::FirstBinary(bytes) => {
                self.partial = Some((false, BytesMut::from(&bytes[..])));
                return;
            }
            Item::Continue(bytes) => (false, bytes),
            Item::Last(bytes) => (true, bytes),
        };
        // The guard bounds the sum of the fragments and their number.
        let Some((is_text, mut whole)) = self.partial.take() else { return };
        whole.extend_from_slice(&bytes);
        if !last {
            self.partial = Some((is_text, whole));
        } else if is_text {
            self.whole_text(&whole.freeze(), ctx);
        } else {
            self.binary(ctx);
        }
    }

    fn whole_text(&mut self, bytes: &Bytes, ctx: &mut Ctx) {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.text(text, ctx),
            Err(_) => self.close(1007, "text is not UTF-8", true, ctx),
        }
    }

    /// Counts a ping or pong; false when there were too many.
    fn control_frame(&mut self, ctx: &mut Ctx) -> bool {
        self.control_frames += 1;
        if self.control_frames > CONTROL_FRAMES_MAX {
            self.close(1008, "too many control frames", true, ctx);
            return false;
        }
        true
    }

    fn broken(&mut self, error: &ProtocolError, ctx: &mut Ctx) {
        let (code, reason) = match (self.verdict.get(), error) {
            (Some(verdict), _) => (verdict.close_code(), verdict.reason()),
            (None, ProtocolError::Overflow) => (1009, "message too big"),
            // actix-web-actors keeps of a UTF-8 error only its words, and gives it the kind that a lost connection has.
            (None, ProtocolError::Io(error)) if error.to_string().contains("utf-8") => (1007, "text is not UTF-8"),
            // An abrupt end is how many streams end. After a reset nobody hears this any more; a peer that has only
            // closed its own half does.
            (None, ProtocolError::Io(_)) => return self.close(1001, "the stream ended", false, ctx),
            (None, _) => (1002, "protocol error"),
        };
        self.close(code, reason, true, ctx);
    }

    /// Says why, then ends.
    fn close(&mut self, code: u16, reason: &str, protocol_error: bool, ctx: &mut Ctx) {
        if self.closed {
            return;
        }
        metrics::counter!("caly_media_closes_total", "code" => code.to_string()).increment(1);
        let description = (!reason.is_empty()).then(|| reason.to_owned());
        ctx.close(Some(CloseReason { code: CloseCode::from(code), description }));
        self.tell_closed(protocol_error);
        ctx.stop();
    }

    fn tell_closed(&mut self, protocol_error: bool) {
        if !std::mem::replace(&mut self.closed, true)
            && let Owner::Call(events) = &self.owner
        {
            events.push(CarrierEvent::Closed { protocol_error });
        }
    }
}

impl Drop for MediaSocket {
    fn drop(&mut self) {
        metrics::gauge!("caly_media_sockets").decrement(1.0);
        self.tell_closed(false);
        let counts = self.session.counts();
        for (kind, count) in [
            ("malformed", counts.malformed),
            ("bad_payload", counts.bad_payloads),
            ("binary", counts.binary),
            ("ignored", counts.ignored),
            ("second_start", counts.second_starts),
            ("foreign", counts.foreign),
            ("odd", counts.odd),
            ("duplicate", counts.duplicates),
            ("missing", counts.missing),
            ("early_dropped", counts.early_dropped),
        ] {
            if count > 0 {
                metrics::counter!("caly_media_oddities_total", "kind" => kind).increment(count);
            }
        }
    }
}
