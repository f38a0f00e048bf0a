//! The start, as far as it needs the database: migrations, what a former process left open, the clients.
//!
//! Calls left open are closed as interrupted and may come back for a minute. Actions they had begun are asked about again
//! by their idempotency key: whoever carries them out answers a repeated key with the first result, so nothing is done
//! twice and nothing begun is forgotten.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix_web::web;
use backon::{BackoffBuilder as _, ExponentialBuilder};
use caly_actors::call::ledger::{is_key_of, outcome};
use caly_actors::domain::{ActionState, CallId, CallTime, ClientId};
use caly_actors::ports::{
    ActionError, ActionOutput, ActionRequest, ActionRunner, ActionSpec, Journal as _, JournalEntry, Step,
};
use chrono::Utc;
use serde_json::json;

use super::sandbox;
use crate::config::Config;
use crate::directory::Directory;
use crate::http::App;
use crate::http::returning::{self, action, facts};
use crate::store::Store;
use crate::store::recorder::Recorder;
use crate::store::rows::ActionRow;

/// How long ago an action may have been begun to be asked about.
const ASK_WITHIN: chrono::Duration = chrono::Duration::hours(24);
/// The journal of a former process is waited for as long as some of it is written in this time.
const SPOOL_PATIENCE: Duration = Duration::from_secs(30);
/// How often clients are read anew.
const DIRECTORY_REFRESH: Duration = Duration::from_secs(3);
/// Longest pause between two attempts to prepare the database: it is noticed soon after its return.
const PREPARE_EVERY_MAX: Duration = Duration::from_secs(1);

/// Migrates, closes what a former process left open and reads the clients; tries again in the background while the
/// database is away, so that the process is up and says why it is not ready.
pub(super) async fn prepare_database(
    app: &web::Data<App>,
    runner: &Arc<dyn ActionRunner>,
    sandbox: Option<Arc<Config>>,
    port: u16,
) {
    let known = app.directory.clone();
    let (app, runner) = (app.clone(), Arc::clone(runner));
    let mut wait = Duration::from_millis(250);
    let ready = async move {
        loop {
            match prepare_once(&app, sandbox.as_deref(), port).await {
                Ok(()) => break,
                Err(error) => tracing::warn!(error = %format!("{error:#}"), "waiting for the database"),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(PREPARE_EVERY_MAX);
        }
        actix_rt::spawn(ask_about_actions(app.clone(), runner));
        // Not earlier: calls are taken once clients are known, and orphans must be closed before.
        app.directory.clone().keep_fresh(app.store.clone(), DIRECTORY_REFRESH).await;
    };
    actix_rt::spawn(ready);
    // A database that is there is ready in milliseconds; without it the server goes on waiting, and answers 503.
    let known = async {
        while known.get().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(3), known).await;
}

async fn prepare_once(app: &App, sandbox: Option<&Config>, port: u16) -> anyhow::Result<()> {
    app.store.migrate().await?;
    // What a former process could not write comes first: it may hold the beginnings and the ends of calls. No call is taken
    // before the clients are known, so none is taken before it is on record.
    if !app.recorder.former_written(SPOOL_PATIENCE).await {
        tracing::error!(
            "the journal of a former process is not being written: see the recorder in /health; going on without"
        );
    }
    let interrupted = app.store.interrupt_open_calls(Utc::now(), &[]).await?;
    if !interrupted.is_empty() {
        tracing::warn!(calls = interrupted.len(), "calls of a former process were closed as interrupted");
        metrics::counter!("caly_calls_interrupted_total").increment(interrupted.len() as u64);
    }
    // Also those that a start before this one has ended: processes may die twice within the minute.
    app.returning.keep(app.store.interrupted_since(Utc::now() - returning::WINDOW).await?);
    if let Some(config) = sandbox {
        sandbox::prepare_client(&app.store, config, port).await?;
    }
    app.directory.reload(&app.store).await?;
    Ok(())
}

/// Asks for the outcome of every action that was begun and never answered.
async fn ask_about_actions(app: web::Data<App>, runner: Arc<dyn ActionRunner>) {
    let rows = match app.store.unanswered_actions(Utc::now() - ASK_WITHIN).await {
        Ok(rows) => rows,
        Err(error) => return tracing::error!(%error, "actions of a former process were not asked about"),
    };
    for row in rows {
        ask_about(&app.directory, &app.recorder, &app.store, &*runner, &row).await;
    }
}

async fn ask_about(
    directory: &Directory,
    recorder: &Recorder,
    store: &Store,
    runner: &dyn ActionRunner,
    row: &ActionRow,
) {
    let Some(mut action) = action(row) else { return };
    let result = match request(directory, store, row).await {
        Some(request) if is_whole(runner, &request) => ask(runner, request).await,
        // The agent was changed since, or what stood in the arguments was not for the record: nobody can ask any more.
        _ => (0, Err(ActionError::Unknown("it cannot be asked about any more".to_owned()))),
    };
    let (attempts, result) = result;
    let (state, output) = outcome(&result);
    // It was begun before: what cannot be reached now may have happened all the same.
    let state = if state == ActionState::Failed && !refused(&result) { ActionState::Unknown } else { state };
    metrics::counter!("caly_actions_reconciled_total", "outcome" => state.as_str()).increment(1);
    tracing::info!(action = %row.id, call = %row.call_id, outcome = state.as_str(), "an action left half done was asked about");
    action.state = state;
    action.output = Some(output);
    action.attempts += attempts;
    let (call, client) = (CallId(row.call_id), ClientId(row.client_id));
    let at: CallTime = action.changed;
    let detail = json!({ "action": row.name, "outcome": state.as_str() }).to_string().into();
    let now = SystemTime::now();
    recorder.record(now, JournalEntry::Action { call, client, action });
    recorder.record(now, JournalEntry::Event { call, kind: "action_reconciled", detail, at });
}

fn refused(result: &Result<ActionOutput, ActionError>) -> bool {
    matches!(result, Err(ActionError::Refused(_)))
}

/// The same request under the same key, a few times while nobody answers.
async fn ask(runner: &dyn ActionRunner, request: ActionRequest) -> (u32, Result<ActionOutput, ActionError>) {
    let waits = ExponentialBuilder::default().with_min_delay(Duration::from_millis(500)).with_max_times(3).build();
    let mut attempts = 0;
    let mut result = Err(ActionError::Unavailable("not asked".to_owned()));
    for wait in std::iter::once(Duration::ZERO).chain(waits) {
        tokio::time::sleep(wait).await;
        attempts += 1;
        result = runner.run(ActionRequest { attempt: request.attempt + attempts, ..request.clone() }).await;
        if matches!(&result, Ok(output) if output.change.is_some()) {
            result = Err(ActionError::Refused("the call was over".to_owned()));
        }
        if matches!(result, Ok(_) | Err(ActionError::Refused(_))) {
            break;
        }
    }
    (attempts, result)
}

/// Whether this is the request that was made: the action is still offered, and its key fits what is on record of its
/// arguments, where secrets are masked.
fn is_whole(runner: &dyn ActionRunner, request: &ActionRequest) -> bool {
    let fits = |spec: &ActionSpec| {
        spec.tool.name == request.name
            && is_key_of(&request.idempotency_key, request.facts.call, spec, &request.arguments)
    };
    runner.catalogue(&request.facts.agent).iter().any(fits)
}

/// The request as the call would have made it; `None` if its client has no agent any more.
async fn request(directory: &Directory, store: &Store, row: &ActionRow) -> Option<ActionRequest> {
    let snapshot = directory.get()?;
    let client = snapshot.clients().find(|client| client.id.0 == row.client_id)?;
    let call = store.call_detail(CallId(row.call_id)).await.ok()?.call;
    let attempts = u32::try_from(row.attempts).unwrap_or_default();
    Some(ActionRequest {
        facts: Arc::new(facts(client, &call)?),
        name: row.name.as_str().into(),
        arguments: Arc::new(row.arguments.clone()),
        idempotency_key: row.idempotency_key.as_str().into(),
        step: Step::Do,
        // What was agreed to and is not on record as begun was not begun.
        attempt: if row.state == ActionState::Confirmed.as_str() { 0 } else { attempts.max(1) },
    })
}
