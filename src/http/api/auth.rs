//! Who asks: the bearer key of an admin request, what it may do and whose things it may see.
//!
//! Owns the short memory of keys (one revoked in another process works for at most [`KNOWN_FOR`] more, one revoked here
//! not at all), the rates of keys and of refused credentials, and the audit of refusals and changes. Knows no route.

use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use caly_actors::domain::ClientId;
use chrono::{DateTime, Utc};
use futures_util::future::LocalBoxFuture;
use uuid::Uuid;

use super::super::App;
use super::super::client_address::client_address;
use super::super::problem::Problem;
use super::super::shield::RequestName;
use crate::administration::Refused;
use crate::limits::subscriber;
use crate::store::recorder::Write;
use crate::store::rows::KeyRow;
use crate::store::{AuditEntry, Role, StoreError, hash_secret};

/// Longest wait for the database by one request, its key's look-up included: it is answered within a second.
pub(crate) const STORE_DEADLINE: Duration = Duration::from_millis(900);
/// Longest wait for a change: it may have to wait for other writers.
const CHANGE_DEADLINE: Duration = Duration::from_secs(5);
/// A key that was found is not looked up again for this long.
const KNOWN_FOR: Duration = Duration::from_secs(10);
/// A key that was not found is not looked up again for this long: a new one works soon after it was made.
const UNKNOWN_FOR: Duration = Duration::from_secs(2);
/// Keys remembered, right and wrong ones. When full, what has run out goes first, then everything.
const KEYS_MAX: usize = 1_024;
/// A key's last use is written at most this often.
const TOUCH_EVERY: Duration = Duration::from_secs(60);
/// `Retry-After` of an answer without a database, in seconds.
const RETRY_STORE_S: u64 = 2;
/// A key is `caly_`, one letter, `_` and 43 characters.
const KEY_LENGTH: usize = 50;

/// Keys by their hash, for all workers of the process.
#[derive(Default)]
pub struct KeyMemory(Mutex<Known>);

#[derive(Default)]
struct Known {
    keys: HashMap<Vec<u8>, Remembered>,
    /// Counts what was forgotten, so that an answer that was on its way then is not remembered.
    forgotten: u64,
}

struct Remembered {
    until: Instant,
    key: Option<Arc<KeyRow>>,
}

impl KeyMemory {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a key: nothing, that it is wrong, or its row.
    pub(super) fn get(&self, hash: &[u8], now: Instant) -> Option<Option<Arc<KeyRow>>> {
        let known = self.known();
        known.keys.get(hash).filter(|remembered| remembered.until > now).map(|remembered| remembered.key.clone())
    }

    /// Give it to [`KeyMemory::put`] with what was read after.
    pub(super) fn mark(&self) -> u64 {
        self.known().forgotten
    }

    /// Remembers what was read after `mark`, unless something was forgotten since.
    pub(super) fn put(&self, hash: Vec<u8>, key: Option<Arc<KeyRow>>, mark: u64, now: Instant) {
        let until = now + if key.is_some() { KNOWN_FOR } else { UNKNOWN_FOR };
        let mut known = self.known();
        if known.forgotten != mark {
            return;
        }
        if known.keys.len() >= KEYS_MAX {
            known.keys.retain(|_, remembered| remembered.until > now);
        }
        if known.keys.len() >= KEYS_MAX {
            known.keys.clear();
        }
        known.keys.insert(hash, Remembered { until, key });
    }

    /// Forgets a key that was revoked.
    pub(super) fn forget(&self, id: Uuid) {
        let mut known = self.known();
        known.forgotten += 1;
        known.keys.retain(|_, remembered| remembered.key.as_ref().is_none_or(|key| key.id != id));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.known().keys.len()
    }
}

/// The holder of a valid key.
#[derive(Clone)]
pub struct Caller {
    /// The key, without the key.
    pub key: Arc<KeyRow>,
    /// What it may do.
    pub role: Role,
    app: web::Data<App>,
    remote: Option<IpAddr>,
    request: String,
    route: String,
    /// When its request was taken up.
    since: Instant,
}

impl Caller {
    /// The one client this key may see; `None` is all.
    #[must_use]
    pub fn client(&self) -> Option<ClientId> {
        self.key.client_id.map(ClientId)
    }

    /// # Errors
    /// 404 for what belongs to another client than the key's: whether it exists is no business of the asker.
    pub fn may_see(&self, client: Uuid) -> Result<(), Problem> {
        match self.key.client_id {
            Some(own) if own != client => Err(Problem::not_found()),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// 403, audited, unless the key may steer calls.
    pub fn may_steer(&self) -> Result<(), Problem> {
        match self.role {
            Role::Admin | Role::Operator => Ok(()),
            Role::Viewer => Err(self.refused("operator")),
        }
    }

    /// # Errors
    /// 403, audited, unless the key may do everything.
    pub fn may_administer(&self) -> Result<(), Problem> {
        match self.role {
            Role::Admin => Ok(()),
            Role::Operator | Role::Viewer => Err(self.refused("admin")),
        }
    }

    /// # Errors
    /// 403, audited, unless the key may do everything to all clients.
    pub fn may_administer_all(&self) -> Result<(), Problem> {
        self.may_administer()?;
        match self.key.client_id {
            None => Ok(()),
            Some(_) => Err(self.beyond("this needs a key of role admin that is not limited to one client")),
        }
    }

    fn refused(&self, needed: &str) -> Problem {
        let detail = serde_json::json!({ "route": self.route, "role": self.key.role, "needed": needed });
        self.audit("api_request", "refused", self.client(), detail);
        Problem::forbidden().detail(format!("this needs a key of role {needed}"))
    }

    /// 403, audited, for what goes beyond this key though its role would allow it.
    pub fn beyond(&self, reason: &str) -> Problem {
        let detail = serde_json::json!({ "route": self.route, "role": self.key.role, "reason": reason });
        self.audit("api_request", "refused", self.client(), detail);
        Problem::forbidden().detail(reason)
    }

    /// Notes what the holder of this key did.
    pub fn audit(&self, action: &str, outcome: &str, client: Option<ClientId>, detail: serde_json::Value) {
        let entry = AuditEntry::new(&self.key.id.to_string(), action, outcome).detail(detail);
        submit(&self.app, entry, client, self.remote);
    }

    /// Notes how a change went, unless it was refused with 403, which is noted already.
    ///
    /// # Errors
    /// The change's own.
    pub fn note<T>(
        &self,
        action: &str,
        client: Option<ClientId>,
        detail: serde_json::Value,
        outcome: Result<T, Problem>,
    ) -> Result<T, Problem> {
        match &outcome {
            Ok(_) => self.audit(action, "ok", client, detail),
            Err(problem) if problem.status == 403 => {}
            Err(problem) => {
                let word = problem.kind.rsplit('/').next().unwrap_or_default();
                self.audit(action, word, client, detail);
            }
        }
        outcome
    }

    /// Waits for the store, up to [`STORE_DEADLINE`].
    ///
    /// # Errors
    /// What the outside is told of a store's error.
    pub async fn ask<T>(&self, query: impl Future<Output = Result<T, StoreError>>) -> Result<T, Problem> {
        in_time(&self.request, self.since, query).await
    }

    /// Carries a change out and takes it into use: calls that are admitted from now on see it. Waits up to
    /// [`CHANGE_DEADLINE`].
    ///
    /// # Errors
    /// As [`Caller::checked`]. After a 503 the change may have been made.
    pub async fn change<T>(&self, change: impl Future<Output = Result<T, StoreError>>) -> Result<T, Problem> {
        let made = self.checked(async { Ok(change.await?) }).await?;
        // What was written stands, and is read again within seconds in any case.
        let reload = self.app.directory.reload(&self.app.store);
        if !matches!(tokio::time::timeout(STORE_DEADLINE, reload).await, Ok(Ok(()))) {
            tracing::warn!(request = self.request, "a change is made, but clients could not be read anew yet");
        }
        Ok(made)
    }

    /// Waits for checks that need the store.
    ///
    /// # Errors
    /// 404, 409, 422 with the field, 503.
    pub async fn checked<T>(&self, check: impl Future<Output = Result<T, Refused>>) -> Result<T, Problem> {
        let outcome = tokio::time::timeout(CHANGE_DEADLINE, check).await;
        outcome.unwrap_or_else(|_| Err(StoreError::later("too slow").into())).map_err(|refused| self.told(refused))
    }

    /// What the outside is told of a refusal.
    pub fn told(&self, refused: Refused) -> Problem {
        match refused {
            Refused::Field { field, reason } => Problem::invalid().field(field).detail(reason),
            Refused::Taken { field, reason } => Problem::conflict().field(field).detail(reason),
            Refused::Store(StoreError::Invalid(reason)) => {
                tracing::error!(request = self.request, reason, "the database refused a value that had been checked");
                Problem::invalid().detail("a value does not fit")
            }
            Refused::Store(error) => from_store(&self.request, error),
        }
    }
}

fn submit(app: &App, entry: AuditEntry, client: Option<ClientId>, remote: Option<IpAddr>) {
    let entry = client.into_iter().fold(entry, AuditEntry::of);
    app.recorder.submit(Write::Audit(remote.into_iter().fold(entry, AuditEntry::from_address)));
}

async fn in_time<T>(
    request: &str,
    since: Instant,
    query: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, Problem> {
    let outcome = tokio::time::timeout(STORE_DEADLINE.saturating_sub(since.elapsed()), query).await;
    outcome.unwrap_or_else(|_| Err(StoreError::later("too slow"))).map_err(|error| from_store(request, error))
}

fn from_store(request: &str, error: StoreError) -> Problem {
    if error.is_unavailable() {
        tracing::warn!(request, %error, "an admin request found no database");
        return Problem::unavailable().detail("the database does not answer; try again").retry_after(RETRY_STORE_S);
    }
    match error {
        StoreError::NotFound => Problem::not_found(),
        StoreError::Conflict(_) => Problem::conflict(),
        StoreError::Invalid(_) => {
            // The only value of a reading request that reaches the store unchecked.
            tracing::debug!(request, %error, "the store refused a value");
            Problem::invalid().field("cursor").detail("give back what \"next\" said, unchanged")
        }
        error => {
            tracing::error!(request, %error, "an admin request failed");
            Problem::internal(request)
        }
    }
}

/// The id under which the log tells of this request.
fn request_id(request: &HttpRequest) -> String {
    let given = request.extensions().get::<RequestName>().map(|name| name.0.clone());
    given.unwrap_or_else(|| Uuid::now_v7().to_string())
}

/// What a request says of its sender.
enum Credentials {
    None,
    /// Something that cannot be a key.
    Odd,
    Key(String),
}

fn credentials(request: &HttpRequest) -> Credentials {
    let mut headers = request.headers().get_all(AUTHORIZATION);
    let (Some(header), None) = (headers.next(), headers.next()) else {
        return if request.headers().contains_key(AUTHORIZATION) { Credentials::Odd } else { Credentials::None };
    };
    let key = header.to_str().ok().and_then(|text| {
        let (scheme, key) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    let fits = |key: &&str| {
        key.len() == KEY_LENGTH
            && key.starts_with("caly_")
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    key.filter(fits).map_or(Credentials::Odd, |key| Credentials::Key(key.to_owned()))
}

/// Who sends a request; `None` without credentials.
///
/// # Errors
/// 401 for a wrong key, 429 for too many wrong ones from one address or too many requests with one key, 503 without a
/// database.
pub async fn who(request: HttpRequest) -> Result<Option<Caller>, Problem> {
    let since = Instant::now();
    let id = request_id(&request);
    let Some(app) = request.app_data::<web::Data<App>>().cloned() else {
        tracing::error!("the admin API is served without its state");
        return Err(Problem::internal(&id));
    };
    let remote = client_address(&request, &app.config.server.trusted_proxies);
    let route = format!("{} {}", request.method(), request.match_pattern().unwrap_or_default());
    let key = match credentials(&request) {
        Credentials::None => return Ok(None),
        Credentials::Odd => return Err(wrong(&app, remote, &route)),
        Credentials::Key(key) => find(&app, &key, &id, since).await?,
    };
    let Some(key) = key.filter(|key| key.is_good(Utc::now())) else { return Err(wrong(&app, remote, &route)) };
    let Some(role) = Role::parse(&key.role) else {
        tracing::error!(key = %key.id, "a key has a role that does not exist");
        return Err(Problem::internal(&id));
    };
    let name: Arc<str> = key.id.to_string().into();
    app.limits
        .api_keys
        .check(&name)
        .map_err(|limit| Problem::too_many().detail("too many requests with this key").retry_after(limit.seconds()))?;
    Ok(Some(Caller { key, role, app, remote, request: id, route, since }))
}

async fn find(app: &web::Data<App>, key: &str, id: &str, since: Instant) -> Result<Option<Arc<KeyRow>>, Problem> {
    let (hash, memory) = (hash_secret(key), &app.api.keys);
    let mark = memory.mark();
    if let Some(known) = memory.get(&hash, Instant::now()) {
        return Ok(known);
    }
    // Whoever guesses waits for their turn, and takes no connection from calls.
    let search = async {
        let turn = app.api.searches.acquire().await;
        let found = app.store.find_key(key).await;
        drop(turn);
        found
    };
    let found = in_time(id, since, search).await?.map(Arc::new);
    memory.put(hash, found.clone(), mark, Instant::now());
    if let Some(key) = &found {
        touch(app, key);
    }
    Ok(found)
}

/// Notes the use of a key that was just read. The row says when it was last noted, so other workers and processes count.
fn touch(app: &web::Data<App>, key: &KeyRow) {
    let (id, now, store) = (key.id, Utc::now(), app.store.clone());
    if !is_touch_due(key.last_used_at, now) {
        return;
    }
    actix_rt::spawn(async move {
        if let Ok(Err(error)) = tokio::time::timeout(STORE_DEADLINE, store.touch_key(id, now)).await {
            tracing::debug!(%error, "the use of a key was not noted");
        }
    });
}

/// Whether a key's use is to be noted again.
pub(super) fn is_touch_due(last: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    // A time that lies ahead, after a clock was set back, counts as just now: the row would not be changed anyway.
    last.is_none_or(|at| (now - at).to_std().is_ok_and(|age| age >= TOUCH_EVERY))
}

/// Counts and audits a wrong key. A right one never comes here, so nobody can lock its holder out.
fn wrong(app: &App, remote: Option<IpAddr>, route: &str) -> Problem {
    if let Some(address) = remote
        && let Err(limit) = app.limits.failed_auth.check(&subscriber(address))
    {
        return Problem::too_many().detail("too many wrong keys from this address").retry_after(limit.seconds());
    }
    metrics::counter!("caly_api_wrong_keys_total").increment(1);
    let entry = AuditEntry::new("unknown", "api_request", "refused");
    submit(app, entry.detail(serde_json::json!({ "route": route, "reason": "wrong key" })), None, remote);
    Problem::unauthorized()
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { who(request).await?.ok_or_else(Problem::unauthorized) })
    }
}
