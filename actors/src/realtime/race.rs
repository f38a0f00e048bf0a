//! A session of one of two engines: of the first, unless it hangs. An engine that refuses says so, and the call decides; one that
//! hangs says nothing, so the other is asked beside it after a moment, and whichever listens first is taken.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};

use crate::ports::{ENGINE_HANGS, Engine, EngineError, EngineLanes, EngineSession, EngineSpec};

/// Longest wait for a session to open, whatever the engine's own deadlines are.
const OPEN_DEADLINE: Duration = Duration::from_secs(15);

/// What came of it.
pub(super) struct Opened {
    /// It is of the other engine.
    pub(super) instead: bool,
    pub(super) result: Result<EngineSession, EngineError>,
}

/// Opens a session after a wait. Dropping the future gives up whatever is being opened.
pub(super) async fn open(
    engine: Arc<dyn Engine>,
    other: Option<Arc<dyn Engine>>,
    spec: EngineSpec,
    lanes: EngineLanes,
    wait: Duration,
) -> Opened {
    tokio::time::sleep(wait).await;
    let Some(other) = other else {
        return Opened { instead: false, result: one(engine, spec, lanes).await };
    };
    if !engine.is_worth_asking() {
        let opened = one(other, spec.clone(), lanes.clone()).await;
        // Neither may be well: then it is asked all the same, and the call counts its failures.
        return match opened {
            Ok(session) => Opened { instead: true, result: Ok(session) },
            Err(_) => Opened { instead: false, result: one(engine, spec, lanes).await },
        };
    }
    let mut first = Box::pin(one(engine, spec.clone(), lanes.clone()));
    if let Ok(result) = tokio::time::timeout(ENGINE_HANGS, &mut first).await {
        return Opened { instead: false, result };
    }
    // Nothing is taken from the lanes before a session listens, and then the other is dropped.
    match select(first, Box::pin(one(other, spec, lanes))).await {
        Either::Left((Err(error), second)) => {
            let second = second.await;
            Opened { instead: second.is_ok(), result: second.map_err(|_| error) }
        }
        Either::Left((opened, _)) => Opened { instead: false, result: opened },
        Either::Right((Err(_), first)) => Opened { instead: false, result: first.await },
        Either::Right((opened, _)) => Opened { instead: true, result: opened },
    }
}

async fn one(engine: Arc<dyn Engine>, spec: EngineSpec, lanes: EngineLanes) -> Result<EngineSession, EngineError> {
    match tokio::time::timeout(OPEN_DEADLINE, engine.open(spec, lanes)).await {
        Ok(result) => result,
        Err(_) => Err(EngineError::Stalled("the session did not open")),
    }
}
