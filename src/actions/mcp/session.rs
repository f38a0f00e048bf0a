//! Sessions with servers, one for each client and server, opened when first needed and anew when lost (revision 2025-06-18,
//! "Lifecycle" and "Session Management"). Shared by all calls; a session is opened once, however many ask for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use caly_actors::domain::{ClientId, McpServer};
use tokio::time::{Instant, timeout_at};

use super::line::{Fault, Line, Post};
use super::wire::{self, REVISIONS};
use super::{Key, Numbers};

/// Longest answer to the first message.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// A session that nobody has used for so long, and that no agent in use names, is ended.
const IDLE: Duration = Duration::from_secs(600);

/// What a server and Caly have agreed on.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Session {
    /// `None` where a server keeps none.
    pub(super) id: Option<String>,
    pub(super) revision: &'static str,
    /// Name and version of the server, as it says.
    pub(super) about: String,
}

/// One session, or the place for it.
struct Slot {
    server: McpServer,
    open: Mutex<Option<Arc<Session>>>,
    opening: tokio::sync::Mutex<()>,
    used: Mutex<Instant>,
}

/// All sessions.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<(ClientId, Key), Arc<Slot>>>);

impl Sessions {
    fn slot(&self, client: ClientId, key: Key, server: &McpServer) -> Arc<Slot> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.entry((client, key)).or_insert_with(|| {
            let (server, used) = (server.clone(), Mutex::new(Instant::now()));
            Arc::new(Slot { server, open: Mutex::default(), opening: tokio::sync::Mutex::default(), used })
        });
        *slot.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        Arc::clone(slot)
    }

    /// The session, opened if there is none.
    pub(super) async fn get(
        &self,
        (client, key): (ClientId, Key),
        server: &McpServer,
        (line, numbers): (&Line, &Numbers),
        until: Instant,
    ) -> Result<Arc<Session>, Fault> {
        let slot = self.slot(client, key, server);
        if let Some(session) = slot.current() {
            return Ok(session);
        }
        let Ok(_alone) = timeout_at(until, slot.opening.lock()).await else {
            return Err(Fault::Away("its session could not be opened in time"));
        };
        if let Some(session) = slot.current() {
            return Ok(session);
        }
        let session = Arc::new(open(Some((client, key)), server, (line, numbers), until).await?);
        *slot.open.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&session));
        Ok(session)
    }

    /// The session is of no use any more. One that was opened meanwhile stays.
    pub(super) fn forget(&self, client: ClientId, key: Key, lost: &Arc<Session>) {
        let slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(slot) = slots.get(&(client, key)) else { return };
        let mut open = slot.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.as_ref().is_some_and(|open| Arc::ptr_eq(open, lost)) {
            *open = None;
            metrics::counter!("caly_mcp_sessions_lost_total").increment(1);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Takes out those that are not named any more and that nobody has used for a while.
    pub(super) fn idle(&self, named: impl Fn(ClientId, &Key) -> bool) -> Vec<(McpServer, Arc<Session>)> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut idle = Vec::new();
        slots.retain(|(client, key), slot| {
            let used = *slot.used.lock().unwrap_or_else(PoisonError::into_inner);
            if named(*client, key) || used.elapsed() < IDLE {
                return true;
            }
            idle.extend(slot.current().map(|session| (slot.server.clone(), session)));
            false
        });
        idle
    }
}

impl Slot {
    fn current(&self) -> Option<Arc<Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Opens a session. Whatever goes wrong, no tool was asked for anything.
pub(super) async fn open(
    whose: Option<(ClientId, Key)>,
    server: &McpServer,
    (line, numbers): (&Line, &Numbers),
    until: Instant,
) -> Result<Session, Fault> {
    let id = numbers.next();
    let body = wire::initialize(id);
    let post = Post { server, whose, session: None, body: &body, headers: &[], until, limit: ANSWER_BYTES_MAX };
    let answer = line.ask(&post, id).await;
    super::count("initialize", answer.as_ref().err());
    let (result, session_id) = answer.map_err(nothing_asked)?;
    let session = agreed(&result, session_id)?;
    let body = wire::initialized();
    let post = Post { session: Some(&session), body: &body, ..post };
    line.tell(&post).await.map_err(nothing_asked)?;
    Ok(session)
}

fn agreed(result: &serde_json::Value, id: Option<String>) -> Result<Session, Fault> {
    let revision = result["protocolVersion"].as_str().unwrap_or_default();
    let Some(revision) = REVISIONS.into_iter().find(|known| *known == revision) else {
        let told = wire::plain(revision, 20);
        return Err(Fault::Refused(format!("it speaks revision '{told}' of MCP, not {}", REVISIONS.join(" or "))));
    };
    if !result["capabilities"]["tools"].is_object() {
        return Err(Fault::Refused("it has no tools".to_owned()));
    }
    let text = |name: &str| wire::plain(result["serverInfo"][name].as_str().unwrap_or_default(), 60);
    let about = format!("{} {}", text("name"), text("version")).trim().to_owned();
    Ok(Session { id, revision, about: if about.is_empty() { "it".to_owned() } else { about } })
}

/// What is lost before a tool is asked did nothing.
fn nothing_asked(fault: Fault) -> Fault {
    match fault {
        Fault::Lost(_) | Fault::Broken | Fault::Late | Fault::SessionLost(_) => Fault::Away("it did not answer"),
        known => known,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_revision_that_is_spoken_and_a_server_with_tools_are_agreed_on() {
        let result = |revision: &str, capabilities: serde_json::Value| {
            let about = json!({ "name": "c\u{0}rm", "version": "1.2" });
            json!({ "protocolVersion": revision, "capabilities": capabilities, "serverInfo": about })
        };
        for revision in REVISIONS {
            let session = agreed(&result(revision, json!({ "tools": {} })), None);
            let about = "crm 1.2".to_owned();
            assert_eq!(session, Ok(Session { id: None, revision, about }));
        }
        for (result, named) in [
            (result("2024-11-05", json!({ "tools": {} })), "revision '2024-11-05'"),
            (result("2026-07-28", json!({ "tools": {} })), "not 2025-06-18 or 2025-03-26"),
            (result("2025-06-18", json!({ "prompts": {} })), "no tools"),
            (json!({}), "revision ''"),
        ] {
            let refused = agreed(&result, None);
            assert!(matches!(&refused, Err(Fault::Refused(why)) if why.contains(named)), "{refused:?}");
        }
    }
}
