//! The start, as far as it needs the database: migrations, what a former process left open, the clients.
//!
//! Calls left open are closed as interrupted and may come back for a minute. Actions they had begun are asked about again
//! by their idempotency key: whoever carries them out answers a repeated key with the first result, so nothing is done
//! twice and nothing begun is forgotten.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use chrono::Utc;

use super::sandbox;
use crate::config::Config;
use crate::http::{App, acting, returning};

/// The journal of a former process is waited for as long as some of it is written in this time.
const SPOOL_PATIENCE: Duration = Duration::from_secs(30);
/// How often clients are read anew.
const DIRECTORY_REFRESH: Duration = Duration::from_secs(3);
/// Longest pause between two attempts to prepare the database: it is noticed soon after its return.
const PREPARE_EVERY_MAX: Duration = Duration::from_secs(1);

/// Migrates, closes what a former process left open and reads the clients; tries again in the background while the
/// database is away, so that the process is up and says why it is not ready.
pub(super) async fn prepare_database(app: &web::Data<App>, sandbox: Option<Arc<Config>>, port: u16) {
    let known = app.directory.clone();
    let app = app.clone();
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
        actix_rt::spawn(acting::ask_for_ever(app.clone()));
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
