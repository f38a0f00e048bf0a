//! Calls that a former process left open. They are on record as interrupted; if the carrier comes back with one soon
//! after, it is taken up again: same row, same idempotency keys, the conversation so far known to the engine.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use actix_web::web;
use caly_actors::call::past::Past;
use caly_actors::domain::{
    Action, ActionId, ActionState, CallFacts, CallId, Carrier, CarrierCallId, ClientId, Direction, Speaker, Usage,
};
use caly_actors::supervisor::LiveCall;

use super::App;
use super::problem::Problem;
use crate::carriers::exotel::numbers;
use crate::directory::Client;
use crate::store::rows::{ActionRow, CallDetail, CallRow};

/// How long after the start a call may come back.
pub const WINDOW: Duration = Duration::from_secs(60);
/// More calls than this are not waited for.
const CALLS_MAX: usize = 10_000;
/// What was said before is looked up this long; a webhook must be answered in 200 ms. Without it the call goes on all the
/// same, and the caller is asked again.
const LOOKUP_DEADLINE: Duration = Duration::from_millis(120);

/// Calls that may come back. Shared; empty but for the first minute of a process.
#[derive(Default)]
pub struct Returning(Mutex<HashMap<CarrierCallId, Left>>);

#[derive(Clone)]
struct Left {
    row: Arc<CallRow>,
    until: Instant,
}

impl Returning {
    /// Waits for these calls, which a former process left open, as they were before they were closed.
    pub fn keep(&self, rows: Vec<CallRow>) {
        let until = Instant::now() + WINDOW;
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            if left.len() >= CALLS_MAX {
                break;
            }
            if let Ok(id) = CarrierCallId::parse(&row.carrier_call_id) {
                left.insert(id, Left { row: Arc::new(row), until });
            }
        }
    }

    fn forget(&self, id: &CarrierCallId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    fn get(&self, client: ClientId, fits: impl Fn(&CarrierCallId, &CallRow) -> bool) -> Option<Arc<CallRow>> {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if left.is_empty() {
            return None;
        }
        let now = Instant::now();
        left.retain(|_, left| left.until > now);
        let found = left.iter().find(|(id, left)| left.row.client_id == client.0 && fits(id, &left.row));
        found.map(|(_, left)| Arc::clone(&left.row))
    }

    /// A call of this client by the carrier's id.
    pub(super) fn by_carrier(&self, client: ClientId, wanted: &CarrierCallId) -> Option<Arc<CallRow>> {
        self.get(client, |id, _| id == wanted)
    }

    /// A call of this client by Caly's id.
    pub(super) fn by_id(&self, client: ClientId, wanted: CallId) -> Option<Arc<CallRow>> {
        self.get(client, |_, row| row.id == wanted.0)
    }
}

/// Takes a call up again. Two requests at once get one call.
pub(super) async fn take_up(app: &web::Data<App>, client: &Client, row: &CallRow) -> Result<Arc<LiveCall>, Problem> {
    let mut facts = facts(client, row).ok_or_else(Problem::gone)?;
    super::webhooks::tell_of_customer(app, client, &mut facts).await;
    let call = facts.call;
    // A wall clock that went back makes the call young, never negative.
    let age = SystemTime::now().duration_since(facts.admitted_at).unwrap_or_default();
    if age >= facts.agent.limits.max_duration {
        return Err(Problem::gone());
    }
    let detail = tokio::time::timeout(LOOKUP_DEADLINE, app.store.call_detail(call)).await.ok().and_then(Result::ok);
    if detail.is_none() {
        tracing::warn!(%call, "taken up again without what was said before: the database did not answer in time");
    }
    let limit = client.row.max_calls.and_then(|most| usize::try_from(most).ok());
    let past = past(age, row, detail);
    let admission = app.calls.admit_after(facts, limit, Some(past));
    let admission = admission.map_err(|refusal| super::webhooks::refused(app, client, refusal))?;
    // Once it lives it is found there, and once it has ended it is over.
    app.returning.forget(&admission.call.facts.carrier_call_id);
    if admission.fresh {
        metrics::counter!("caly_calls_taken_up_total").increment(1);
    }
    Ok(admission.call)
}

/// The facts of a call on record, with the agent its client has now; `None` if it has none, or if the row is not one a
/// carrier could have made.
#[must_use]
pub fn facts(client: &Client, row: &CallRow) -> Option<CallFacts> {
    let outbound = row.direction.as_deref() == Some(Direction::Outbound.as_str());
    let caller = numbers::party(row.caller.as_deref().unwrap_or_default());
    let called = numbers::party(row.called.as_deref().unwrap_or_default());
    let agent = client.agent_for(&caller, &called, row.admitted_at.into(), None)?;
    Some(CallFacts {
        call: CallId(row.id),
        client: client.id,
        client_slug: Arc::clone(&client.slug),
        agent,
        carrier: Carrier::Exotel,
        carrier_call_id: CarrierCallId::parse(&row.carrier_call_id).ok()?,
        caller,
        called,
        direction: if outbound { Direction::Outbound } else { Direction::Inbound },
        admitted_at: row.admitted_at.into(),
    })
}

fn past(age: Duration, row: &CallRow, detail: Option<CallDetail>) -> Past {
    let count = |value: i64| u64::try_from(value).unwrap_or_default();
    let usage = Usage {
        text_in: count(row.text_in),
        text_cached: count(row.text_cached),
        audio_in: count(row.audio_in),
        audio_cached: count(row.audio_cached),
        text_out: count(row.text_out),
        audio_out: count(row.audio_out),
        cost_micro_usd: count(row.cost_micro_usd),
    };
    let Some(detail) = detail else { return Past { age, usage, ..Past::default() } };
    let said = detail.turns.iter().map(|turn| {
        let speaker = if turn.speaker == Speaker::Caller.as_str() { Speaker::Caller } else { Speaker::Agent };
        (Duration::from_millis(count(turn.started_ms)), speaker, Arc::from(turn.text.as_str()))
    });
    Past { age, said: said.collect(), actions: detail.actions.iter().filter_map(action).collect(), usage }
}

/// An action as the ledger of a call keeps it; `None` for a state of a later version.
#[must_use]
pub fn action(row: &ActionRow) -> Option<Action> {
    let states = [
        ActionState::Proposed,
        ActionState::Confirmed,
        ActionState::Withdrawn,
        ActionState::Running,
        ActionState::Done,
        ActionState::Failed,
        ActionState::Unknown,
    ];
    let millis = |value: i64| Duration::from_millis(u64::try_from(value).unwrap_or_default());
    Some(Action {
        id: ActionId(row.id),
        name: row.name.as_str().into(),
        idempotency_key: row.idempotency_key.as_str().into(),
        arguments: row.arguments.to_string().into(),
        state: states.into_iter().find(|state| state.as_str() == row.state)?,
        output: row.output.as_ref().map(|output| output.to_string().into()),
        undo: row.undo.as_ref().map(|undo| undo.to_string().into()),
        undoes: row.undoes.map(ActionId),
        attempts: u32::try_from(row.attempts).unwrap_or(u32::MAX),
        started: millis(row.started_ms),
        changed: millis(row.changed_ms),
    })
}
