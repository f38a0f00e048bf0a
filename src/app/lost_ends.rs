//! Calls whose end the carrier never told: webhooks get lost. The carrier is asked what became of a call that is silent here,
//! or over here and not for the carrier as far as anybody knows.
//!
//! What it says is written as if its webhook had come. A call that is over here and still up at the carrier is a *ghost*:
//! its stream is closed and the carrier offers no request that ends a leg, so it is reported to the operator.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use actix_web::web;
use caly_actors::call::event::CallEvent;
use caly_actors::call::{Heard, Observe};
use caly_actors::domain::{AfterStream, CallId, Carrier, CarrierCallId, ClientId};
use caly_actors::ports::{Journal as _, JournalEntry};
use chrono::{DateTime, Utc};
use serde_json::json;

use crate::carriers::exotel::rest::{Account, CallDetails, Region, RestError, call_details};
use crate::config::Exotel;
use crate::http::App;
use crate::outbound::Outbound;
use crate::store::CarrierFact;
use crate::store::recorder::Write;

/// Calls asked about in one round; one request each.
const ROUND_MAX: usize = 20;
/// Calls that ended longer ago are not asked about.
const NOT_AFTER: chrono::Duration = chrono::Duration::hours(24);
/// Times one call is asked about, with a wait that doubles from `exotel.ask_after` to [`WAIT_MAX`].
const TRIES_MAX: u32 = 8;
const WAIT_MAX: Duration = Duration::from_secs(3600);
/// A call still up at the carrier at this many answers after its end here is reported.
const GHOST_TRIES: u32 = 2;
/// A call that does not show itself within this is asked about in the next round.
const OBSERVE_DEADLINE: Duration = Duration::from_millis(300);
/// Calls remembered between rounds.
const BOOK_MAX: usize = 10_000;

/// A call to ask about.
#[derive(Clone, PartialEq, Debug)]
struct Suspect {
    call: CallId,
    client: ClientId,
    id: CarrierCallId,
    /// Over here; as against: silent.
    over: bool,
    /// Handed to a person, so the carrier may well have it up.
    transferred: bool,
}

/// What an answer means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    /// The carrier says it is over.
    Over,
    /// It should not be up any more.
    Ghost,
    /// Ask again later.
    Later,
}

fn judge(suspect: &Suspect, answer: &Result<CallDetails, RestError>, tries: u32) -> Verdict {
    match answer {
        Ok(details) if details.status.is_some_and(|status| status.is_final()) => Verdict::Over,
        Ok(_) if suspect.over && !suspect.transferred && tries == GHOST_TRIES => Verdict::Ghost,
        _ => Verdict::Later,
    }
}

/// When each call is asked about next, and how often it was.
#[derive(Default)]
struct Book(HashMap<CallId, (u32, Instant)>);

impl Book {
    /// Notes a try if it is time for one; says which it is, from 1.
    fn turn(&mut self, call: CallId, first_wait: Duration, now: Instant) -> Option<u32> {
        let (tries, next) = self.0.get(&call).copied().unwrap_or((0, now));
        if now < next || tries >= TRIES_MAX || (tries == 0 && self.0.len() >= BOOK_MAX) {
            return None;
        }
        let wait = first_wait.saturating_mul(1 << tries).min(WAIT_MAX);
        self.0.insert(call, (tries + 1, now + wait));
        Some(tries + 1)
    }

    /// Calls that no round names any more are forgotten a while after their last turn.
    fn forget(&mut self, now: Instant) {
        self.0.retain(|_, (_, next)| *next + WAIT_MAX > now);
    }
}

/// Asks for ever; returns at once if there is no account to ask with.
pub(super) async fn ask_for_ever(app: web::Data<App>, outbound: Outbound) {
    let Some(account) = account(&app.config.exotel) else {
        return tracing::info!("exotel: without account_sid, api_key and api_token nobody is asked about lost calls");
    };
    let after = app.config.exotel.ask_after;
    let mut book = Book::default();
    loop {
        tokio::time::sleep((after / 4).clamp(Duration::from_millis(250), Duration::from_secs(15))).await;
        let mut suspects = silent_calls(&app, after).await;
        suspects.extend(calls_over_here(&app, after).await);
        let now = Instant::now();
        let due: Vec<_> =
            suspects.into_iter().filter_map(|suspect| Some((book.turn(suspect.call, after, now)?, suspect))).collect();
        for (tries, suspect) in due.into_iter().take(ROUND_MAX) {
            ask(&app, &outbound, &account, &suspect, tries).await;
        }
        book.forget(now);
    }
}

fn account(exotel: &Exotel) -> Option<Account> {
    Some(Account {
        region: Region::parse(&exotel.base_url).ok()?,
        sid: exotel.account_sid.clone()?,
        key: exotel.api_key.clone()?,
        token: exotel.api_token.clone()?,
    })
}

/// Calls that are up here and carry no media.
async fn silent_calls(app: &App, after: Duration) -> Vec<Suspect> {
    let mut suspects = Vec::new();
    for call in app.calls.live().into_iter().filter(|call| call.age() >= after) {
        if suspects.len() >= ROUND_MAX {
            break;
        }
        let Ok(Ok(shown)) = tokio::time::timeout(OBSERVE_DEADLINE, call.actor.send(Observe::default())).await else {
            continue;
        };
        if shown.media.is_some_and(|media| media.silence >= after / 2) {
            let facts = &call.facts;
            let (call, client, id) = (facts.call, facts.client, facts.carrier_call_id.clone());
            suspects.push(Suspect { call, client, id, over: false, transferred: false });
        }
    }
    suspects
}

/// Calls that ended here a while ago, of whose end the carrier has not told.
async fn calls_over_here(app: &App, after: Duration) -> Vec<Suspect> {
    let now = Utc::now();
    let before = now - chrono::Duration::from_std(after).unwrap_or_default();
    let rows = match app.store.calls_without_carrier_end(now - NOT_AFTER, before).await {
        Ok(rows) => rows,
        Err(error) => {
            tracing::debug!(%error, "calls without an end of the carrier's could not be read");
            return Vec::new();
        }
    };
    let suspect = |row: crate::store::rows::CallRow| {
        Some(Suspect {
            call: CallId(row.id),
            client: ClientId(row.client_id),
            id: CarrierCallId::parse(&row.carrier_call_id).ok()?,
            over: true,
            transferred: row.after_stream.as_deref() == Some(AfterStream::Transfer.as_str()),
        })
    };
    rows.into_iter().filter_map(suspect).collect()
}

async fn ask(app: &App, outbound: &Outbound, account: &Account, suspect: &Suspect, tries: u32) {
    let deadline = app.config.exotel.request_timeout;
    let answer = call_details(&outbound.client(), account, &app.recording_hosts, &suspect.id, deadline).await;
    let verdict = judge(suspect, &answer, tries);
    let found = match (&verdict, &answer) {
        (_, Err(_)) => "no_answer",
        (Verdict::Over, _) => "over",
        (Verdict::Ghost, _) => "ghost",
        (Verdict::Later, _) => "up",
    };
    metrics::counter!("caly_carrier_asked_total", "found" => found).increment(1);
    match (verdict, answer) {
        (Verdict::Over, Ok(details)) => over(app, suspect, &details),
        (Verdict::Ghost, _) => report_ghost(app, suspect),
        (_, Err(error)) => tracing::warn!(%error, call = %suspect.call, "the carrier could not be asked about a call"),
        _ => {}
    }
}

fn over(app: &App, suspect: &Suspect, details: &CallDetails) {
    let Some(status) = details.status else { return };
    let at = details.ended.map_or_else(Utc::now, DateTime::<Utc>::from);
    let seconds = details.duration.and_then(|duration| i64::try_from(duration.as_secs()).ok());
    let fact = CarrierFact::ended(suspect.client, Carrier::Exotel, &suspect.id, status.as_str(), at, seconds);
    app.recorder.submit(Write::Carrier(fact));
    tracing::info!(call = %suspect.call, status = status.as_str(), "the carrier had ended a call without telling");
    if let Some(call) = app.calls.by_id(suspect.call).filter(|call| call.end_reason().is_none()) {
        call.actor.do_send(Heard(CallEvent::CarrierEnded));
    }
}

fn report_ghost(app: &App, suspect: &Suspect) {
    tracing::error!(call = %suspect.call, "a call that is over here is still up at the carrier: end it in its dashboard");
    let detail = json!({ "carrier": "up" }).to_string().into();
    let at = app.calls.by_id(suspect.call).map_or(Duration::ZERO, |call| call.age());
    let entry = JournalEntry::Event { call: suspect.call, kind: "ghost_call", detail, at };
    app.recorder.record(SystemTime::now(), entry);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::carriers::exotel::rest::parse_call;
    use crate::carriers::exotel::webhook::RecordingHosts;

    fn answer(status: &str) -> Result<CallDetails, RestError> {
        let body = json!({ "Call": { "Sid": "c1", "Status": status } }).to_string();
        parse_call(200, body.as_bytes(), &RecordingHosts::default())
    }

    #[test]
    fn an_answer_means_what_the_table_says() {
        let suspect = |over, transferred| Suspect {
            call: CallId::new(),
            client: ClientId::new(),
            id: CarrierCallId::parse("c1").unwrap(),
            over,
            transferred,
        };
        let refused = Err(RestError::Unexpected);
        for (row, (over, transferred, answer, tries, expected)) in [
            (true, false, answer("completed"), 1, Verdict::Over),
            (false, false, answer("no-answer"), 1, Verdict::Over),
            (true, true, answer("completed"), 5, Verdict::Over),
            (true, false, answer("in-progress"), 1, Verdict::Later),
            (true, false, answer("in-progress"), 2, Verdict::Ghost),
            (true, false, answer("in-progress"), 3, Verdict::Later),
            (true, true, answer("in-progress"), 2, Verdict::Later),
            (false, false, answer("in-progress"), 2, Verdict::Later),
            (true, false, answer("nobody knows this word"), 2, Verdict::Ghost),
            (true, false, refused, 2, Verdict::Later),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(judge(&suspect(over, transferred), &answer, tries), expected, "row {row}");
        }
    }

    #[test]
    fn a_call_is_asked_about_less_and_less_often_and_then_no_more() {
        let (mut book, call, begun) = (Book::default(), CallId::new(), Instant::now());
        let (mut now, mut tries, mut last) = (begun, 0, begun);
        let mut waits = Vec::new();
        while now < begun + WAIT_MAX * 12 {
            if let Some(turn) = book.turn(call, Duration::from_secs(30), now) {
                tries += 1;
                assert_eq!(turn, tries);
                waits.push(now - last);
                last = now;
            }
            now += Duration::from_secs(10);
        }
        assert_eq!(tries, TRIES_MAX);
        assert!(waits.is_sorted() && waits[1] == Duration::from_secs(30), "{waits:?}");
        book.forget(now + WAIT_MAX * 2);
        assert!(book.0.is_empty());
    }
}
