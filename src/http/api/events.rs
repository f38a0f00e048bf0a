//! The feed of what happens in calls, as server-sent events that can be taken up again exactly where they were left.
//!
//! A stream is one task that reads the feed from a position on, woken by the recorder's commits, and one bounded channel
//! to the connection. A reader that does not read is cut. Ends when the reader goes, its key ends, or the server drains.

mod seats;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use caly_actors::domain::CallId;
use chrono::Utc;
use futures_util::{StreamExt, stream};
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep, sleep_until, timeout};
use utoipa::ToSchema;
use uuid::Uuid;

use self::seats::Seat;
pub(super) use self::seats::Streams;
use super::super::App;
use super::super::connection::KillSwitch;
use super::super::problem::Problem;
use super::auth::{Caller, STORE_DEADLINE};
use super::body::nearest;
use super::openapi::StreamRefusals;
use super::query::Query;
use crate::store::rows::KeyRow;
use crate::store::{FEED_KINDS, FeedFilter, FeedPage, FeedRow, StoreError};

/// A comment at least this often, so that proxies and readers know the stream lives. It also carries the position.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often it is looked whether the key still holds, for one that another process revoked.
const KEY_CHECK: Duration = Duration::from_secs(10);
/// What a reader is told to wait before it connects again.
const RECONNECT_MS: u64 = 2_000;
/// Reads of one stream are at least this far apart: commits in between are read together.
const PACE: Duration = Duration::from_millis(200);
/// After the database did not answer.
const READ_AGAIN: Duration = Duration::from_secs(2);
/// Events of one read, and so of one piece of the body.
const EVENTS_MAX: u32 = 100;
/// Pieces that wait for the reader. When full, the stream waits for it, up to [`Streams::patience`].
const PIECES_MAX: usize = 4;

/// An event's `data`.
#[derive(Serialize, ToSchema)]
pub struct FeedEvent {
    /// The position, also in `id:`. Without gaps, unless a filter leaves events out.
    seq: i64,
    /// Also in `event:`.
    kind: String,
    client_id: Uuid,
    /// `null` for a call that only the carrier knows.
    call_id: Option<Uuid>,
    at: chrono::DateTime<Utc>,
    /// By kind: ids, words and numbers; no speech, no whole phone numbers.
    #[schema(value_type = Object)]
    body: serde_json::Value,
    /// What was said, as the call's record has it now; only for a `turn`, and only with `text=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

impl From<FeedRow> for FeedEvent {
    fn from(row: FeedRow) -> Self {
        let FeedRow { seq, kind, client_id, call_id, body, at, text } = row;
        Self { seq, kind, client_id, call_id, at, body, text }
    }
}

/// What happens in calls, as it is written down.
#[utoipa::path(get, path = "/api/v1/events", tag = "calls", security(("key" = [])),
    description = "Server-sent events. `id:` is the position: send it back as `Last-Event-ID` (or `after`) to go on \
        without hole or repeat, also after a restart of the server. `event:` is the kind, or `reset` when the position \
        asked for is trimmed or unknown (`data` says where the stream goes on; events before that are lost to it), or \
        `end` with a reason when the server stops or the key ends. Without a position the stream begins now; with \
        `after=0` at the oldest event kept. Kept are 200000 events, or those of the last 7 days. At most 10 streams a \
        key and 100 a process.",
    params(
        ("client" = Option<String>, Query, description = "Slug or id"),
        ("call" = Option<Uuid>, Query, description = "Only this call"),
        ("kinds" = Option<String>, Query, description = "Kinds, with commas between, as `call_admitted,call_ended`"),
        ("text" = Option<bool>, Query, description = "With what was said in turns"),
        ("after" = Option<i64>, Query, minimum = 0, description = "Position to go on after; `Last-Event-ID` stands over it"),
        ("Last-Event-ID" = Option<i64>, Header, minimum = 0, description = "Position to go on after"),
    ),
    responses(
        (status = 200, description = "The stream; `data` of an event is a FeedEvent", content_type = "text/event-stream",
            body = String),
        StreamRefusals))]
pub async fn stream_events(caller: Caller, app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let query = Query::only(&request, &["client", "call", "kinds", "text", "after"])?;
    let asked = position(&query, &request)?;
    let filter = filter(&query, &caller, &app).await?;
    let seat = Streams::enter(&app, caller.key.id, caller.key.client_id)?;
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    // Listens before it reads, so that nothing is missed in between.
    let mut follower = Follower {
        feed: app.store.feed(),
        ending: app.api.streams.ending(),
        revoked: app.api.streams.revocations(),
        connection: request.conn_data::<KillSwitch>().cloned(),
        key: Arc::clone(&caller.key),
        after: asked.unwrap_or(i64::MAX),
        sender,
        filter,
        app: app.clone(),
        _seat: seat,
    };
    let first = caller.ask(follower.read()).await?;
    let mut greeting = format!("retry: {RECONNECT_MS}\n\n");
    if asked.is_none() {
        follower.after = first.last;
    }
    follower.take(first, &mut greeting);
    actix_rt::spawn(follower.run(greeting));
    let body = stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header(("x-accel-buffering", "no"))
        .streaming(body.map(Ok::<Bytes, actix_web::Error>)))
}

fn position(query: &Query, request: &HttpRequest) -> Result<Option<i64>, Problem> {
    let header = request.headers().get("last-event-id").map(|value| value.to_str().unwrap_or("?"));
    // A reader that has had no event yet sends an empty one.
    let (field, text) = match header.filter(|text| !text.is_empty()) {
        Some(text) => ("Last-Event-ID", Some(text)),
        None => ("after", query.text("after")),
    };
    let expected = || Problem::invalid().field(field).detail("expected the id of an event, or 0");
    text.map(|text| text.parse().ok().filter(|after| *after >= 0).ok_or_else(expected)).transpose()
}

async fn filter(query: &Query, caller: &Caller, app: &App) -> Result<FeedFilter, Problem> {
    let kinds: Vec<String> =
        query.text("kinds").map(|text| text.split(',').map(str::to_owned).collect()).unwrap_or_default();
    if let Some(unknown) = kinds.iter().find(|kind| !FEED_KINDS.contains(&kind.as_str())) {
        let near = nearest(unknown, &FEED_KINDS).map_or_else(String::new, |near| format!("; did you mean {near}?"));
        let detail = format!("there is no such kind{near}. There are {}", FEED_KINDS.join(", "));
        return Err(Problem::invalid().field("kinds").detail(detail));
    }
    let (call, text) = (query.uuid("call")?.map(CallId), query.flag("text")?.unwrap_or_default());
    let client = query.client(caller, app).await?;
    if let Some(call) = call {
        let known = caller.ask(app.store.call(call)).await.and_then(|row| caller.may_see(row.client_id));
        known.map_err(|problem| if problem.status == 404 { problem.field("call") } else { problem })?;
    }
    Ok(FeedFilter { client, call, kinds, text })
}

/// Why a stream ends.
enum End {
    /// The reader is gone, or was cut: nobody is left to tell.
    Gone,
    /// The reader is told.
    Told(&'static str),
}

/// What a stream was woken for.
enum Woken {
    Read,
    /// Something was committed.
    Moved,
    CheckKey,
    Beat,
}

/// One stream.
struct Follower {
    app: web::Data<App>,
    key: Arc<KeyRow>,
    filter: FeedFilter,
    /// Everything up to here has been sent.
    after: i64,
    sender: mpsc::Sender<Bytes>,
    feed: watch::Receiver<i64>,
    ending: watch::Receiver<bool>,
    revoked: broadcast::Receiver<Uuid>,
    connection: Option<KillSwitch>,
    _seat: Seat,
}

fn every(period: Duration) -> Interval {
    let mut interval = interval_at(Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

impl Follower {
    async fn run(mut self, greeting: String) {
        let end = match self.send(greeting).await {
            Ok(()) => self.follow().await,
            Err(end) => end,
        };
        if let End::Told(reason) = end {
            let _gone = self.send(format!("event: end\ndata: {{\"reason\":\"{reason}\"}}\n\n")).await.is_err();
        }
    }

    async fn follow(&mut self) -> End {
        let (mut heartbeat, mut key_check) = (every(HEARTBEAT), every(KEY_CHECK));
        // The end of a key is known beforehand, and not waited for by looking.
        let left = self.key.expires_at.map(|at| (at - Utc::now()).to_std().unwrap_or_default());
        let expiry = left.map(|left| Instant::now() + left);
        loop {
            let read_at = Instant::now();
            let next = match self.step().await {
                Ok(next) => next,
                Err(end) => return end,
            };
            let woken = tokio::select! {
                biased;
                () = self.sender.closed() => return End::Gone,
                _ = self.ending.wait_for(|&ending| ending) => return End::Told("draining"),
                revoked = self.revoked.recv() => match revoked {
                    Ok(id) if id == self.key.id => return End::Told("key"),
                    Err(RecvError::Lagged(_)) => Woken::CheckKey,
                    Ok(_) | Err(RecvError::Closed) => Woken::Read,
                },
                () = sleep_until(expiry.unwrap_or_else(Instant::now)), if expiry.is_some() => return End::Told("key"),
                _ = key_check.tick() => Woken::CheckKey,
                _ = heartbeat.tick() => Woken::Beat,
                _ = self.feed.changed() => Woken::Moved,
                () = sleep(next) => Woken::Read,
            };
            match woken {
                Woken::Read => {}
                Woken::Moved => sleep((read_at + PACE).saturating_duration_since(Instant::now())).await,
                Woken::CheckKey => {
                    if !self.key_holds().await {
                        return End::Told("key");
                    }
                }
                Woken::Beat => {
                    if let Err(end) = self.send(format!(": heartbeat\nid: {}\n\n", self.after)).await {
                        return end;
                    }
                }
            }
        }
    }

    /// Reads once, sends what there is, and says how long to wait if nothing wakes it.
    async fn step(&mut self) -> Result<Duration, End> {
        self.feed.mark_unchanged();
        let page = match timeout(STORE_DEADLINE, self.read()).await {
            Ok(Ok(page)) => page,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a stream of events waits for the database");
                return Ok(READ_AGAIN);
            }
            Err(_) => return Ok(READ_AGAIN),
        };
        let (mut piece, last) = (String::new(), page.last);
        self.take(page, &mut piece);
        if !piece.is_empty() {
            self.send(piece).await?;
        }
        Ok(if self.after >= last { HEARTBEAT } else { Duration::ZERO })
    }

    fn read(&self) -> impl Future<Output = Result<FeedPage, StoreError>> + use<> {
        let (store, after, filter) = (self.app.store.clone(), self.after, self.filter.clone());
        async move { store.feed_after(after, &filter, EVENTS_MAX).await }
    }

    /// Writes a page's events down and moves on. A position that is trimmed, or that was never given out, is told.
    fn take(&mut self, page: FeedPage, piece: &mut String) {
        let reset = if self.after < page.trimmed {
            Some(("trimmed", page.trimmed))
        } else if self.after > page.last {
            Some(("unknown", page.last))
        } else {
            None
        };
        if let Some((reason, on)) = reset {
            let data = serde_json::json!({ "reason": reason, "asked": self.after, "after": on });
            // Writing to a string does not fail.
            let _ = write!(piece, "id: {on}\nevent: reset\ndata: {data}\n\n");
        }
        for row in page.rows {
            let (seq, event) = (row.seq, FeedEvent::from(row));
            let data = serde_json::to_string(&event).unwrap_or_default();
            let _ = write!(piece, "id: {seq}\nevent: {}\ndata: {data}\n\n", event.kind);
        }
        self.after = page.after;
    }

    async fn send(&self, piece: String) -> Result<(), End> {
        match timeout(self.app.api.streams.patience(), self.sender.send(piece.into())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => {
                metrics::counter!("caly_api_streams_cut_total").increment(1);
                tracing::info!(key = %self.key.id, "a stream of events was cut: its reader does not read");
                if let Some(connection) = &self.connection {
                    connection.cut();
                }
                Err(End::Gone)
            }
        }
    }

    /// Whether the key still opens anything. A database that is away does not end a stream.
    async fn key_holds(&self) -> bool {
        match timeout(STORE_DEADLINE, self.app.store.key(self.key.id)).await {
            Ok(Ok(row)) => row.is_good(Utc::now()),
            Ok(Err(StoreError::NotFound)) => false,
            Ok(Err(_)) | Err(_) => true,
        }
    }
}
