//! A session of one of two engines: of the first, unless it hangs. An engine that refuses says so, and the call decides; one that
//! hangs says nothing, so the other is asked beside it after a moment, and whichever listens first is taken.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};

use crate::ports::{ENGINE_HANGS, Engine, EngineError, EngineLanes, EngineSession, EngineSpec};

/// Longest wait for a session to open, whatever the engine's own deadlines are.
pub(super) const OPEN_DEADLINE: Duration = Duration::from_secs(6);
const NOT_OPENED: &str = "the session did not open";

/// What came of it.
pub(super) struct Opened {
    /// It is of the other engine.
    pub(super) instead: bool,
    /// Both were asked, and neither opened one.
    pub(super) neither: bool,
    pub(super) result: Result<EngineSession, EngineError>,
}

impl Opened {
    fn of(instead: bool, result: Result<EngineSession, EngineError>) -> Self {
        Self { instead, neither: false, result }
    }
}

/// Opens a session after a wait, or none within the time there is for it. Dropping the future gives up whatever is being opened.
pub(super) async fn open(
    engine: Arc<dyn Engine>,
    other: Option<Arc<dyn Engine>>,
    spec: EngineSpec,
    lanes: EngineLanes,
    (wait, within): (Duration, Duration),
) -> Opened {
    tokio::time::sleep(wait).await;
    let neither = other.is_some();
    match tokio::time::timeout(within, sooner(engine, other, spec, lanes)).await {
        Ok(opened) => opened,
        Err(_) => Opened { instead: false, neither, result: Err(EngineError::Stalled(NOT_OPENED)) },
    }
}

/// One of the two.
async fn sooner(
    engine: Arc<dyn Engine>,
    other: Option<Arc<dyn Engine>>,
    spec: EngineSpec,
    lanes: EngineLanes,
) -> Opened {
    let Some(other) = other else {
        return Opened::of(false, one(engine, spec, lanes).await);
    };
    // Who is known to hang is asked only if the other is not well either; the call counts its failures.
    let swapped = !engine.is_worth_asking();
    let (first, second) = if swapped { (other, engine) } else { (engine, other) };
    let mut first = Box::pin(one(first, spec.clone(), lanes.clone()));
    let second = one(second, spec, lanes);
    let (of_first, of_second) = match tokio::time::timeout(ENGINE_HANGS, &mut first).await {
        Ok(Err(error)) if swapped => (Err(error), second.await),
        Ok(result) => return Opened::of(swapped, result),
        // Nothing is taken from the lanes before a session listens, and then the other is dropped.
        Err(_) => match select(first, Box::pin(second)).await {
            Either::Left((Ok(session), _)) => return Opened::of(swapped, Ok(session)),
            Either::Right((Ok(session), _)) => return Opened::of(!swapped, Ok(session)),
            Either::Left((Err(error), second)) => (Err(error), second.await),
            Either::Right((Err(error), first)) => (first.await, Err(error)),
        },
    };
    match (of_first, of_second) {
        (Ok(session), _) => Opened::of(swapped, Ok(session)),
        (_, Ok(session)) => Opened::of(!swapped, Ok(session)),
        (Err(first), Err(second)) => {
            Opened { instead: false, neither: true, result: Err(if swapped { second } else { first }) }
        }
    }
}

async fn one(engine: Arc<dyn Engine>, spec: EngineSpec, lanes: EngineLanes) -> Result<EngineSession, EngineError> {
    match tokio::time::timeout(OPEN_DEADLINE, engine.open(spec, lanes)).await {
        Ok(result) => result,
        Err(_) => Err(EngineError::Stalled(NOT_OPENED)),
    }
}
