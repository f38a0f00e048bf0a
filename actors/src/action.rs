//! Actions with deadlines and retries. Started by the call; hears [`RunAction`]; tells the call how each ended.
//!
//! Owns the attempts under way. It decides nothing about sameness: the call's ledger does, and hands over the key. After a
//! crash the call reconciles what was under way; nothing is repeated blindly.

use std::sync::Arc;
use std::time::Duration;

use actix::WeakRecipient;
use actix::prelude::*;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep, timeout_at};

use crate::call::event::CallEvent;
use crate::call::{Heard, Observe, Stop};
use crate::domain::{ActionId, CallFacts};
use crate::ports::{ActionError, ActionOutput, ActionRequest, ActionRunner, ActionSpec, Step};

/// Longest wait for an action that writes to be on record before it is begun.
const ON_RECORD: Duration = Duration::from_secs(3);

/// An action to be carried out.
#[derive(Message)]
#[rtype(result = "()")]
pub struct RunAction {
    /// Identity.
    pub action: ActionId,
    /// Its entry in the catalogue.
    pub spec: Arc<ActionSpec>,
    /// JSON object, checked.
    pub arguments: Arc<serde_json::Value>,
    /// Same key, same action.
    pub idempotency_key: Arc<str>,
    /// Whether to do it or to plan it.
    pub step: Step,
    /// Whether it is on record where a crash of the process does not reach it. Not asked of a plan.
    pub kept: BoxFuture<'static, bool>,
}

/// How many actions are under way.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, MessageResponse)]
pub struct ActionSnapshot {
    /// Under way now.
    pub running: usize,
}

/// See the module's text.
pub struct Actions {
    facts: Arc<CallFacts>,
    runner: Arc<dyn ActionRunner>,
    parent: WeakRecipient<Heard>,
    running: usize,
}

impl Actions {
    /// Ready to be started.
    #[must_use]
    pub fn new(facts: Arc<CallFacts>, runner: Arc<dyn ActionRunner>, parent: WeakRecipient<Heard>) -> Self {
        Self { facts, runner, parent, running: 0 }
    }
}

impl Actor for Actions {
    type Context = Context<Self>;
}

impl Supervised for Actions {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.running = 0;
    }
}

impl Handler<RunAction> for Actions {
    type Result = ();

    fn handle(&mut self, run: RunAction, ctx: &mut Self::Context) {
        self.running += 1;
        let action = run.action;
        let work = attempts(Arc::clone(&self.runner), Arc::clone(&self.facts), run);
        let done = work.into_actor(self).map(move |(attempts, result), this, _| {
            this.running = this.running.saturating_sub(1);
            if let Some(parent) = this.parent.upgrade() {
                parent.do_send(Heard(CallEvent::ActionFinished { action, attempts, result }));
            }
        });
        ctx.spawn(done);
    }
}

/// All attempts within the entry's deadline. Only what is sure not to have happened is tried again.
async fn attempts(
    runner: Arc<dyn ActionRunner>,
    facts: Arc<CallFacts>,
    run: RunAction,
) -> (u32, Result<ActionOutput, ActionError>) {
    // What writes is on record first: a process that dies in between can ask for the outcome by the key.
    let writes = run.spec.writes && run.step == Step::Do;
    if writes && !tokio::time::timeout(ON_RECORD, run.kept).await.unwrap_or(false) {
        metrics::counter!("caly_actions_not_on_record_total").increment(1);
        return (0, Err(ActionError::Unavailable("it could not be written down, so it was not begun".to_owned())));
    }
    let deadline = Instant::now() + run.spec.deadline;
    let mut backoff = run.spec.retry.backoff;
    let mut attempt = 1;
    loop {
        let request = ActionRequest {
            facts: Arc::clone(&facts),
            name: Arc::clone(&run.spec.tool.name),
            arguments: Arc::clone(&run.arguments),
            idempotency_key: Arc::clone(&run.idempotency_key),
            step: run.step,
            attempt,
        };
        let begun = Instant::now();
        let result = match timeout_at(deadline, runner.run(request)).await {
            Ok(result) => result,
            Err(_) if writes => Err(ActionError::Unknown("it took too long".to_owned())),
            Err(_) => Err(ActionError::Unavailable("it took too long".to_owned())),
        };
        measure(&run.spec, begun.elapsed(), &result);
        let again = matches!(result, Err(ActionError::Unavailable(_)))
            && attempt < run.spec.retry.attempts
            && Instant::now() + backoff < deadline;
        if !again {
            return (attempt, result);
        }
        sleep(backoff).await;
        backoff *= 2;
        attempt += 1;
    }
}

fn measure(spec: &ActionSpec, took: Duration, result: &Result<ActionOutput, ActionError>) {
    let outcome = match result {
        Ok(_) => "done",
        Err(ActionError::Refused(_)) => "refused",
        Err(ActionError::Unavailable(_)) => "unavailable",
        Err(ActionError::Away(_)) => "away",
        Err(ActionError::Unknown(_)) => "unknown",
    };
    let name = spec.tool.name.to_string();
    metrics::counter!("caly_action_attempts_total", "action" => name.clone(), "outcome" => outcome).increment(1);
    metrics::histogram!("caly_action_seconds", "action" => name).record(took.as_secs_f64());
}

impl Handler<Observe<ActionSnapshot>> for Actions {
    type Result = ActionSnapshot;

    fn handle(&mut self, _: Observe<ActionSnapshot>, _: &mut Self::Context) -> ActionSnapshot {
        ActionSnapshot { running: self.running }
    }
}

impl Handler<Stop> for Actions {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

#[cfg(any(test, feature = "planned-panics"))]
impl Handler<crate::supervise::PlannedPanic> for Actions {
    type Result = ();

    fn handle(&mut self, _: crate::supervise::PlannedPanic, _: &mut Self::Context) {
        crate::supervise::planned_panic();
    }
}
