//! Actions outside their calls: asked about when their answer was lost, begun when an operator says so.
//!
//! Both go by the key the action was given in its call. Whoever carries it out answers a repeated key with what the first
//! did, so nothing is done twice, and nothing that was agreed to is forgotten.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use actix_web::web;
use caly_actors::call::Heard;
use caly_actors::call::event::CallEvent;
use caly_actors::call::ledger::{is_key_of, outcome};
use caly_actors::call::undoing;
use caly_actors::domain::{Action, ActionId, ActionState, Agent, CallId, ClientId};
use caly_actors::ports::{
    ActionError, ActionOutput, ActionRequest, ActionRunner, ActionSpec, Journal as _, JournalEntry, Step, Undo,
};
use chrono::Utc;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::App;
use super::returning::{action, facts};
use crate::store::rows::ActionRow;

/// How long ago an action may have changed last to be asked about.
const ASK_WITHIN: chrono::Duration = chrono::Duration::hours(24);
/// An action of a call that is over and that was begun so long ago has lost whoever ran it.
const LEFT_AFTER: chrono::Duration = chrono::Duration::seconds(90);
/// How often it is looked for what to ask.
const ROUND: Duration = Duration::from_secs(2);
/// Times one action is asked about in the life of a process, with a wait that doubles up to [`WAIT_EARLY`] for the first ten
/// minutes (another system that fails half of the time answers then), and up to [`WAIT_MAX`] after them.
const TRIES_MAX: u32 = 24;
const FIRST_WAIT: Duration = Duration::from_secs(2);
const WAIT_EARLY: Duration = Duration::from_secs(60);
const TRIES_EARLY: u32 = 14;
const WAIT_MAX: Duration = Duration::from_secs(3600);
/// Actions that are asked about at the same time.
const ASKED_AT_ONCE: usize = 16;
/// Actions remembered between rounds.
const BOOK_MAX: usize = 10_000;
/// Longest wait for an action to be on record before it is begun.
const ON_RECORD: Duration = Duration::from_secs(3);

/// Actions that somebody is carrying out or asking about outside their calls: one at a time does so.
#[derive(Default)]
pub struct InHand(Mutex<HashSet<uuid::Uuid>>);

/// Gives an action back when it is dropped.
pub(super) struct Hold {
    app: web::Data<App>,
    action: uuid::Uuid,
}

impl InHand {
    fn set(&self) -> MutexGuard<'_, HashSet<uuid::Uuid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None`: somebody has it.
    pub(super) fn take(app: &web::Data<App>, action: uuid::Uuid) -> Option<Hold> {
        app.in_hand.set().insert(action).then(|| Hold { app: app.clone(), action })
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.app.in_hand.set().remove(&self.action);
    }
}

type Outcome = Result<ActionOutput, ActionError>;

/// When each action is asked about next, and how often it was.
#[derive(Default)]
struct Book(HashMap<uuid::Uuid, (u32, Instant)>);

impl Book {
    /// Whether it is time to ask; notes that it was done.
    fn turn(&mut self, action: uuid::Uuid, now: Instant) -> bool {
        let (tries, next) = self.0.get(&action).copied().unwrap_or((0, now));
        if now < next || tries >= TRIES_MAX || (tries == 0 && self.0.len() >= BOOK_MAX) {
            return false;
        }
        let wait = match tries.checked_sub(TRIES_EARLY) {
            None => FIRST_WAIT.saturating_mul(1 << tries).min(WAIT_EARLY),
            Some(late) => WAIT_EARLY.saturating_mul(2 << late).min(WAIT_MAX),
        };
        self.0.insert(action, (tries + 1, now + wait));
        true
    }

    /// Actions that no round names any more are forgotten.
    fn keep(&mut self, rows: &[ActionRow]) {
        self.0.retain(|id, _| rows.iter().any(|row| row.id == *id));
    }
}

/// Asks for ever about actions whose outcome nobody heard, and begins those that were agreed to when their process died.
pub async fn ask_for_ever(app: web::Data<App>) {
    let mut book = Book::default();
    loop {
        let now = Utc::now();
        match app.store.unanswered_actions(now - ASK_WITHIN, now - LEFT_AFTER).await {
            Ok(rows) => {
                let due = |row: &&ActionRow| !waits_for_list(&app, row) && book.turn(row.id, Instant::now());
                let due = rows.iter().filter(due).collect::<Vec<_>>();
                // One that hangs keeps the others waiting no longer than itself.
                let asked = stream::iter(due).for_each_concurrent(ASKED_AT_ONCE, |row| ask_in_turn(&app, row));
                asked.await;
                book.keep(&rows);
            }
            Err(error) => tracing::warn!(%error, "actions without an answer cannot be looked for now"),
        }
        tokio::time::sleep(ROUND).await;
    }
}

/// What was agreed to and not begun waits until it is known again what its server lists, which is asked for at the start.
fn waits_for_list(app: &App, row: &ActionRow) -> bool {
    let Some(snapshot) = app.directory.get().filter(|_| row.state == ActionState::Confirmed.as_str()) else {
        return false;
    };
    let client = snapshot.clients().find(|client| client.id.0 == row.client_id);
    let Some(agent) = client.and_then(|client| client.agent.as_ref()) else { return false };
    is_unlisted(agent, &app.actions.catalogue(agent), &row.name)
}

/// Whether an agent may use a tool of a server that has not listed it.
fn is_unlisted(agent: &Agent, specs: &[ActionSpec], name: &str) -> bool {
    let named = agent.mcp_servers.iter().flat_map(|server| &server.tools).any(|tool| *tool.name == *name);
    named && !specs.iter().any(|spec| *spec.tool.name == *name)
}

/// Asks, unless an operator's order is being carried out.
async fn ask_in_turn(app: &web::Data<App>, row: &ActionRow) {
    let Some(_hold) = InHand::take(app, row.id) else { return };
    // It may have been settled since the list was made.
    match app.store.action(row.id).await {
        Ok(now) if now.state == row.state => ask_about(app, &now).await,
        _ => {}
    }
}

async fn ask_about(app: &App, row: &ActionRow) {
    let result = match request(app, row).await {
        // What was agreed to and is not on record as begun was not begun.
        Some(asked) if row.state == ActionState::Confirmed.as_str() => begin(app, row, asked).await,
        Some(asked) => {
            let attempt = asked.attempt.max(1) + 1;
            let heard = run(app, ActionRequest { attempt, ..asked }).await;
            match heard {
                // It was begun before: what cannot be reached now may have happened all the same.
                Err(ActionError::Unavailable(why) | ActionError::Away(why)) => Err(ActionError::Unknown(why)),
                heard => heard,
            }
        }
        // The agent was changed since, or what stood in the arguments was not for the record: nobody can ask any more.
        None => Err(ActionError::Unknown("it cannot be asked about any more".to_owned())),
    };
    settle(app, row, &result).await;
}

/// Writes down what became of an action, and that it was asked about.
async fn settle(app: &App, row: &ActionRow, result: &Outcome) {
    let Some(mut action) = action(row) else { return };
    let (state, output) = outcome(result);
    action.undo = undoing::kept(&action, state, result);
    let known = state == action.state && action.output.is_some();
    action.state = state;
    action.output = Some(output);
    // On record even if nothing is new: who is asked learns from it how long ago the first attempt was.
    action.attempts += 1;
    let (call, client, at) = (CallId(row.call_id), ClientId(row.client_id), action.changed);
    let detail = json!({ "action": row.name, "outcome": state.as_str() }).to_string().into();
    let now = SystemTime::now();
    let kept = app.recorder.record_durably(now, JournalEntry::Action { call, client, action });
    // Whoever asks next reads what is on record; a database that is away is waited for no longer than that.
    let _ = tokio::time::timeout(ON_RECORD, kept).await;
    if known {
        return;
    }
    metrics::counter!("caly_actions_reconciled_total", "outcome" => state.as_str()).increment(1);
    tracing::info!(action = %row.id, call = %row.call_id, outcome = state.as_str(), "an action without an answer was asked about");
    app.recorder.record(now, JournalEntry::Event { call, kind: "action_reconciled", detail, at });
    tell_call(app, row, result);
}

/// The call may still be up: the caller was told that it will be checked.
fn tell_call(app: &App, row: &ActionRow, result: &Outcome) {
    let live = app.calls.by_id(CallId(row.call_id)).filter(|call| call.end_reason().is_none());
    if let Some(call) = live {
        let (action, result) = (ActionId(row.id), result.clone());
        call.actor.do_send(Heard(CallEvent::ActionResolved { action, result }));
    }
}

/// Puts an action on record as begun, and does it.
async fn begin(app: &App, row: &ActionRow, request: ActionRequest) -> Outcome {
    let Some(action) = action(row) else { return Err(ActionError::Refused("it is of a later version".to_owned())) };
    let running = Action { state: ActionState::Running, output: None, ..action };
    let (call, client) = (CallId(row.call_id), ClientId(row.client_id));
    let kept = app.recorder.record_durably(SystemTime::now(), JournalEntry::Action { call, client, action: running });
    if !tokio::time::timeout(ON_RECORD, kept).await.unwrap_or(false) {
        return Err(ActionError::Unavailable("it could not be written down, so it was not begun".to_owned()));
    }
    run(app, ActionRequest { attempt: 1, ..request }).await
}

async fn run(app: &App, request: ActionRequest) -> Outcome {
    let specs = app.actions.catalogue(&request.facts.agent);
    let deadline = specs.iter().find(|spec| spec.tool.name == request.name).map(|spec| spec.deadline);
    let running = app.actions.run(request);
    match tokio::time::timeout(deadline.unwrap_or(ON_RECORD), running).await {
        Ok(Ok(output)) if output.change.is_some() => Err(ActionError::Refused("the call was over".to_owned())),
        Ok(result) => result,
        Err(_) => Err(ActionError::Unknown("it took too long".to_owned())),
    }
}

/// The request as the call made it; `None` if its client has no such action any more, or if what is on record of its
/// arguments is not all there was: secrets are masked.
pub(super) async fn request(app: &App, row: &ActionRow) -> Option<ActionRequest> {
    let snapshot = app.directory.get()?;
    let client = snapshot.clients().find(|client| client.id.0 == row.client_id)?;
    let call = app.store.call_detail(CallId(row.call_id)).await.ok()?.call;
    let request = ActionRequest {
        facts: Arc::new(facts(client, &call)?),
        name: row.name.as_str().into(),
        arguments: Arc::new(row.arguments.clone()),
        idempotency_key: row.idempotency_key.as_str().into(),
        step: Step::Do,
        attempt: u32::try_from(row.attempts).unwrap_or_default(),
    };
    let whole = match row.undoes {
        None => is_whole(&*app.actions, &request),
        // Its key follows from what it undoes.
        Some(undone) => {
            let undone = app.store.action(undone).await.ok()?;
            let undo = Undo { tool: Arc::clone(&request.name), arguments: Value::clone(&request.arguments) };
            undoing::key_of(&undone.idempotency_key, &undo) == *request.idempotency_key && is_known(app, &request)
        }
    };
    whole.then_some(request)
}

/// Whether its client's agent has such an action now.
fn is_known(app: &App, request: &ActionRequest) -> bool {
    app.actions.catalogue(&request.facts.agent).iter().any(|spec| spec.tool.name == request.name)
}

/// Whether an action changes something.
pub(super) fn writes(app: &App, request: &ActionRequest) -> bool {
    app.actions.catalogue(&request.facts.agent).iter().any(|spec| spec.tool.name == request.name && spec.writes)
}

fn is_whole(runner: &dyn ActionRunner, request: &ActionRequest) -> bool {
    let fits = |spec: &ActionSpec| {
        spec.tool.name == request.name
            && is_key_of(&request.idempotency_key, request.facts.call, spec, &request.arguments)
    };
    runner.catalogue(&request.facts.agent).iter().any(fits)
}

/// What an operator may have done with an action whose call is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    /// Begin what the caller was asked about and did not agree to.
    Approve,
    /// Begin what failed once more, or ask about what nobody knows the outcome of.
    Retry,
    /// Have what was proposed never done.
    Cancel,
}

impl Order {
    /// Why an action in this state cannot be ordered so; `None` if it can.
    pub(super) fn refuses(self, state: ActionState, writes: bool) -> Option<&'static str> {
        match (self, state) {
            (Self::Approve, ActionState::Proposed | ActionState::Withdrawn)
            | (Self::Retry, ActionState::Unknown)
            | (Self::Cancel, ActionState::Proposed | ActionState::Confirmed) => None,
            (Self::Retry, ActionState::Failed) if writes => None,
            (Self::Retry, ActionState::Failed) => Some("it only reads: there is nobody left to be told"),
            (_, ActionState::Done) => Some("it is done"),
            (_, ActionState::Running) => Some("it is running"),
            (Self::Approve, _) => Some("only what was proposed or withdrawn can be approved"),
            (Self::Retry, _) => Some("only what failed, or whose outcome is unknown, can be tried again"),
            (Self::Cancel, _) => Some("only what is proposed can be cancelled: this is over"),
        }
    }
}

/// Carries an order out in the background. The action's own row tells what became of it.
pub(super) fn carry_out(app: web::Data<App>, held: Vec<Hold>, row: ActionRow, request: ActionRequest) {
    actix_rt::spawn(async move {
        let _held = held;
        if row.state == ActionState::Unknown.as_str() {
            ask_about(&app, &row).await;
        } else {
            let result = begin(&app, &row, request).await;
            settle(&app, &ActionRow { state: ActionState::Running.as_str().to_owned(), ..row }, &result).await;
        }
    });
}

/// Puts an action on record that was agreed to and not begun. Whatever becomes of this process, it will be.
pub(super) async fn put_down(app: &App, row: &ActionRow) -> bool {
    let Some(action) = action(row) else { return false };
    let (call, client) = (CallId(row.call_id), ClientId(row.client_id));
    let kept = app.recorder.record_durably(SystemTime::now(), JournalEntry::Action { call, client, action });
    // What is kept in the spool is not read by whoever asks next.
    tokio::time::timeout(ON_RECORD, kept).await.unwrap_or(false)
}

/// Writes down that an action will not be done.
pub(super) async fn withdraw(app: &App, row: &ActionRow) {
    let Some(action) = action(row) else { return };
    let (call, client) = (CallId(row.call_id), ClientId(row.client_id));
    let action = Action { state: ActionState::Withdrawn, ..action };
    let kept = app.recorder.record_durably(SystemTime::now(), JournalEntry::Action { call, client, action });
    let _ = tokio::time::timeout(ON_RECORD, kept).await;
}

#[cfg(test)]
#[allow(clippy::panic, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_taken_only_where_it_can_be_carried_out() {
        use ActionState::{Confirmed, Done, Failed, Planning, Proposed, Running, Unknown, Withdrawn};
        for (order, taken) in [
            (Order::Approve, &[Proposed, Withdrawn][..]),
            (Order::Retry, &[Failed, Unknown]),
            (Order::Cancel, &[Proposed, Confirmed]),
        ] {
            for state in [Planning, Proposed, Confirmed, Withdrawn, Running, Done, Failed, Unknown] {
                assert_eq!(order.refuses(state, true).is_none(), taken.contains(&state), "{order:?} of {state:?}");
            }
        }
        assert!(Order::Retry.refuses(Failed, false).is_some(), "what only reads");
    }

    #[test]
    fn what_was_agreed_to_waits_only_for_a_list_that_is_to_come() {
        use caly_actors::domain::{AgentId, CallLimits};
        use caly_actors::ports::{RetryRule, SameAction, ToolSpec};
        let tools = json!({ "find": {} });
        let settings = json!({ "mcp_servers": [{ "name": "crm", "url": "https://crm.example", "tools": tools }] });
        let agent = crate::agents::read(AgentId::new(), 1, "shop", &settings, &CallLimits::default());
        let agent = agent.unwrap_or_else(|error| panic!("{error}"));
        let spec = ActionSpec {
            tool: ToolSpec { name: "crm_find".into(), description: "".into(), schema: "{}".into() },
            deadline: Duration::ZERO,
            retry: RetryRule { attempts: 1, backoff: Duration::ZERO },
            same: SameAction::PerArguments,
            writes: true,
            confirm: true,
            lasting: false,
            offered: true,
        };
        for (specs, name, waits) in [
            (&[][..], "crm_find", true),
            (&[spec][..], "crm_find", false),
            (&[], "crm_other", false),
            (&[], "find", false),
        ] {
            assert_eq!(is_unlisted(&agent, specs, name), waits, "{name} beside {}", specs.len());
        }
    }

    #[test]
    fn an_action_is_asked_about_less_and_less_often_and_not_for_ever() {
        let (mut book, begun, id) = (Book::default(), Instant::now(), uuid::Uuid::now_v7());
        let mut asked = Vec::new();
        for second in 0..200_000 {
            if book.turn(id, begun + Duration::from_secs(second)) {
                asked.push(second);
            }
        }
        assert_eq!(asked[..8], [0, 2, 6, 14, 30, 62, 122, 182]);
        assert!(asked.iter().filter(|second| **second <= 600).count() >= 14, "{asked:?}");
        assert!(asked.windows(2).all(|two| two[1] - two[0] <= 3600), "{asked:?}");
        assert_eq!(asked.len(), TRIES_MAX as usize);
        book.keep(&[]);
        assert!(book.0.is_empty());
    }
}
