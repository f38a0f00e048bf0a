//! Asks a shop: one request at a time of one operation, within a deadline, at the pace the shop allows.
//!
//! Tried again is only what surely did nothing: reads, and changes that were throttled or never left. Every shop has its
//! own limiter and cache, and a breaker for each client; the token is masked wherever it could be printed.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use caly_actors::domain::ClientId;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use url::Url;

use super::answer::{Fault, Verdict, cost, judge, retry_after};
use super::cache::{About, Cache};
use super::limiter::Limiter;
use super::wire::Operation;
use crate::actions::breaker::{Breakers, Permit, Sign};
use crate::actions::http::checked_address;
use crate::outbound::Outbound;

/// Longest answer read.
const ANSWER_BYTES_MAX: usize = 512 * 1024;
/// Requests for one question, the first included.
const ATTEMPTS: u32 = 3;
/// Wait before the second; doubles after.
const BACKOFF: Duration = Duration::from_millis(150);
/// Shops remembered; there are as many as clients with a shop.
const SHOPS_MAX: usize = 10_000;

/// What opens a shop.
#[derive(Clone)]
pub struct Credentials {
    /// `….myshopify.com`, checked.
    pub domain: String,
    /// Admin API access token.
    pub token: SecretString,
}

/// Where shops are found, as the operator set it.
#[derive(Clone, Debug)]
pub struct ShopOptions {
    /// Instead of `https://{domain}`: a shop on this machine, or a gateway.
    pub base_url: Option<Url>,
    /// As `2026-10`.
    pub version: String,
    /// Longest wait for one request.
    pub request_timeout: Duration,
}

/// Whose shop, and how it is opened.
#[derive(Clone)]
pub(super) struct Door {
    pub client: ClientId,
    pub credentials: Credentials,
}

/// See the module's text.
pub(super) struct Api {
    outbound: Outbound,
    options: ShopOptions,
    shops: Mutex<HashMap<ClientId, Arc<Shop>>>,
    /// By client and domain.
    pub(super) breakers: Breakers<String>,
}

struct Shop {
    domain: String,
    limiter: Mutex<Limiter>,
    cache: Mutex<Cache>,
    /// An operator was told that the shop answers in another version.
    version_told: AtomicBool,
}

impl Shop {
    fn new(domain: &str) -> Self {
        Self {
            domain: domain.to_owned(),
            limiter: Mutex::new(Limiter::new(Instant::now())),
            cache: Mutex::default(),
            version_told: AtomicBool::new(false),
        }
    }
}

/// What is in it is plain data that no panic leaves half changed.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Points of a request under way; given back however it ends, also when nobody waits for it any more.
struct Reserved<'a> {
    limiter: &'a Mutex<Limiter>,
    points: f64,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        locked(self.limiter).over(self.points);
    }
}

/// What came back of one request.
struct Answer {
    status: u16,
    wait: Duration,
    body: Option<Value>,
}

/// How a request failed before there was an answer.
enum Unsent {
    /// It never left.
    Never,
    /// It left, or may have.
    Perhaps,
}

impl Api {
    pub(super) fn new(outbound: Outbound, options: ShopOptions) -> Self {
        Self { outbound, options, shops: Mutex::default(), breakers: Breakers::new("shop") }
    }

    /// Reads; what was read a moment ago is told again.
    pub(super) async fn read(
        &self,
        door: &Door,
        operation: Operation,
        variables: &Value,
        until: Instant,
    ) -> Result<Arc<Value>, Fault> {
        let shop = self.shop(door);
        let slot = locked(&shop.cache).slot(operation.about, operation.name, variables.to_string(), Instant::now());
        let mut slot = tokio::time::timeout_at(until.into(), slot.lock()).await.map_err(|_| LATE)?;
        if let Some(known) = slot.as_ref() {
            metrics::counter!("caly_shop_cache_hits_total").increment(1);
            return Ok(Arc::clone(known));
        }
        let data = Arc::new(self.ask(&shop, door, operation, variables, until).await?);
        *slot = Some(Arc::clone(&data));
        Ok(data)
    }

    /// What was read a moment ago, if it was.
    pub(super) fn known(&self, door: &Door, operation: Operation, variables: &Value) -> Option<Arc<Value>> {
        let shop = self.shop(door);
        let known = locked(&shop.cache).known(operation.about, operation.name, variables.to_string(), Instant::now());
        metrics::counter!("caly_shop_cache_hits_total").increment(u64::from(known.is_some()));
        known
    }

    /// Reads what is true now.
    pub(super) async fn read_anew(
        &self,
        door: &Door,
        operation: Operation,
        variables: &Value,
        until: Instant,
    ) -> Result<Value, Fault> {
        self.ask(&self.shop(door), door, operation, variables, until).await
    }

    /// Changes something, at most once.
    pub(super) async fn write(
        &self,
        door: &Door,
        operation: Operation,
        variables: &Value,
        until: Instant,
    ) -> Result<Value, Fault> {
        let shop = self.shop(door);
        let answer = self.ask(&shop, door, operation, variables, until).await;
        locked(&shop.cache).forget(operation.about);
        answer
    }

    /// Something of a client's shop was changed by somebody.
    pub(super) fn forget(&self, client: ClientId, about: About) {
        if let Some(shop) = locked(&self.shops).get(&client) {
            locked(&shop.cache).forget(about);
        }
    }

    fn shop(&self, door: &Door) -> Arc<Shop> {
        let mut shops = locked(&self.shops);
        if shops.len() >= SHOPS_MAX && !shops.contains_key(&door.client) {
            shops.clear();
        }
        let domain = &door.credentials.domain;
        let shop = shops.entry(door.client).or_insert_with(|| Arc::new(Shop::new(domain)));
        if shop.domain != *domain {
            *shop = Arc::new(Shop::new(domain));
        }
        Arc::clone(shop)
    }

    async fn ask(
        &self,
        shop: &Shop,
        door: &Door,
        operation: Operation,
        variables: &Value,
        until: Instant,
    ) -> Result<Value, Fault> {
        let asked = Instant::now();
        let answer = self.attempts(shop, door, operation, variables, until).await;
        let outcome = outcome(&answer);
        metrics::counter!("caly_shop_requests_total", "operation" => operation.name, "outcome" => outcome).increment(1);
        metrics::histogram!("caly_shop_seconds", "operation" => operation.name).record(asked.elapsed().as_secs_f64());
        match &answer {
            Err(Fault::Denied(why)) => {
                tracing::error!(shop = shop.domain, operation = operation.name, fix = why.fix(), "{}", why.seen());
            }
            Err(Fault::NotAccepted(told)) => {
                tracing::warn!(
                    shop = shop.domain,
                    operation = operation.name,
                    told,
                    "the shop did not accept a change"
                );
            }
            Err(fault) => {
                tracing::warn!(shop = shop.domain, operation = operation.name, ?fault, "the shop did not answer")
            }
            Ok(_) => {}
        }
        answer
    }

    async fn attempts(
        &self,
        shop: &Shop,
        door: &Door,
        operation: Operation,
        variables: &Value,
        until: Instant,
    ) -> Result<Value, Fault> {
        let (mut attempt, mut backoff) = (0, BACKOFF);
        loop {
            let permit = self.admit(shop, door, until)?;
            let reserved = match reserve(shop, operation, until).await {
                Ok(reserved) => reserved,
                Err(busy) => {
                    permit.settle(Sign::None);
                    return Err(busy);
                }
            };
            attempt += 1;
            let sent = self.send(shop, door, operation, variables, until).await;
            let verdict = match &sent {
                Ok(answer) => {
                    let told = answer.body.as_ref().map(cost).unwrap_or_default();
                    locked(&shop.limiter).learn(operation.name, told, reserved.points, Instant::now());
                    judge(answer.status, answer.wait, answer.body.as_ref(), operation.writes)
                }
                Err(Unsent::Perhaps) if operation.writes => Verdict::Final(Fault::Lost),
                Err(_) => Verdict::Failed,
            };
            let never = matches!(sent, Err(Unsent::Never));
            permit.settle(sign(&sent));
            let wait = match verdict {
                Verdict::Data(data) => return Ok(data),
                Verdict::Final(fault) => return Err(fault),
                Verdict::Throttled => {
                    metrics::counter!("caly_shop_throttled_total").increment(1);
                    locked(&shop.limiter).throttled(operation.name)
                }
                Verdict::Wait(wait) => {
                    metrics::counter!("caly_shop_throttled_total").increment(1);
                    locked(&shop.limiter).close(wait, Instant::now());
                    wait
                }
                Verdict::Failed => {
                    backoff *= 2;
                    backoff / 2
                }
            };
            drop(reserved);
            if attempt >= ATTEMPTS || Instant::now() + wait >= until {
                return Err(if never { UNREACHED } else { LATE });
            }
            tokio::time::sleep(wait).await;
        }
    }

    fn admit(&self, shop: &Shop, door: &Door, until: Instant) -> Result<Permit<'_, String>, Fault> {
        let until = until.min(Instant::now() + self.options.request_timeout);
        self.breakers.admit(door.client, shop.domain.clone(), until).ok_or(RESTS)
    }

    async fn send(
        &self,
        shop: &Shop,
        door: &Door,
        operation: Operation,
        variables: &Value,
        until: Instant,
    ) -> Result<Answer, Unsent> {
        let limit = self.options.request_timeout.min(until.saturating_duration_since(Instant::now()));
        let begun = AtomicBool::new(false);
        let request = self.request(shop, door, operation, variables, &begun);
        match tokio::time::timeout(limit, request).await {
            Ok(answer) => answer,
            Err(_) if begun.load(Ordering::Relaxed) => Err(Unsent::Perhaps),
            Err(_) => Err(Unsent::Never),
        }
    }

    async fn request(
        &self,
        shop: &Shop,
        door: &Door,
        operation: Operation,
        variables: &Value,
        begun: &AtomicBool,
    ) -> Result<Answer, Unsent> {
        let url = self.url(&door.credentials.domain).ok_or(Unsent::Never)?;
        let address = self.address(&url).await.ok_or(Unsent::Never)?;
        let client = self.outbound.client();
        let request = client
            .post(url.as_str())
            .timeout(self.options.request_timeout)
            .insert_header(("X-Shopify-Access-Token", door.credentials.token.expose_secret()))
            .insert_header(("Content-Type", "application/json"));
        let request = match address {
            Some(address) => request.address(address),
            None => request,
        };
        begun.store(true, Ordering::Relaxed);
        let body = json!({ "query": operation.text, "variables": variables }).to_string();
        let mut answer = request.send_body(body).await.map_err(|error| unsent(&error))?;
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        self.note_version(shop, header("X-Shopify-API-Version").as_deref());
        let (status, wait) = (answer.status().as_u16(), retry_after(header("Retry-After").as_deref()));
        let body = answer.body().limit(ANSWER_BYTES_MAX).await.ok();
        Ok(Answer { status, wait, body: body.and_then(|body| serde_json::from_slice(&body).ok()) })
    }

    fn url(&self, domain: &str) -> Option<Url> {
        let path = format!("/admin/api/{}/graphql.json", self.options.version);
        let base = match &self.options.base_url {
            Some(base) => base.as_str().trim_end_matches('/').to_owned(),
            None => format!("https://{domain}"),
        };
        Url::parse(&format!("{base}{path}")).ok()
    }

    /// The shop's address on the public internet. The operator's own address is asked where it is.
    async fn address(&self, url: &Url) -> Option<Option<SocketAddr>> {
        if self.options.base_url.is_some() {
            return Some(None);
        }
        checked_address(url, false).await.ok().map(Some)
    }

    /// An expired version is served as the oldest there is, without an error: fields may mean something else then.
    fn note_version(&self, shop: &Shop, served: Option<&str>) {
        let Some(served) = served.filter(|served| *served != self.options.version) else { return };
        if !shop.version_told.swap(true, Ordering::Relaxed) {
            let served: String = served.chars().take(20).collect();
            tracing::warn!(
                shop = shop.domain,
                asked = self.options.version,
                served,
                "the shop answers in another API version: set shopify.api_version to one that is served"
            );
        }
    }
}

const LATE: Fault = Fault::Away("the shop did not answer in time");
const UNREACHED: Fault = Fault::Away("the shop cannot be reached");
const RESTS: Fault = Fault::Away("the shop has not answered lately and is left alone for a moment");

/// Points for one request, waited for if the deadline allows.
async fn reserve<'a>(shop: &'a Shop, operation: Operation, until: Instant) -> Result<Reserved<'a>, Fault> {
    loop {
        let now = Instant::now();
        let reserved = locked(&shop.limiter).reserve(operation.name, now);
        match reserved {
            Ok(points) => return Ok(Reserved { limiter: &shop.limiter, points }),
            Err(wait) if now + wait >= until => return Err(Fault::Away("the shop is asked too much right now")),
            Err(wait) => tokio::time::sleep(wait.max(Duration::from_millis(5))).await,
        }
    }
}

/// A refusal is an answer, and being asked too much is the limiter's business; silence and failures of the shop itself count.
fn sign(sent: &Result<Answer, Unsent>) -> Sign {
    if sent.as_ref().is_ok_and(|answer| answer.status < 500) { Sign::Answered } else { Sign::Failed }
}

fn unsent(error: &awc::error::SendRequestError) -> Unsent {
    use awc::error::{ConnectError, SendRequestError as E};
    match error {
        // The line broke after the request had left: that is no failure to connect.
        E::Connect(ConnectError::Disconnected) => Unsent::Perhaps,
        E::Connect(_) | E::Url(_) => Unsent::Never,
        _ => Unsent::Perhaps,
    }
}

fn outcome(answer: &Result<Value, Fault>) -> &'static str {
    match answer {
        Ok(_) => "done",
        Err(Fault::Away(_)) => "away",
        Err(Fault::Lost) => "lost",
        Err(Fault::Denied(why)) => why.word(),
        Err(Fault::NotAccepted(_)) => "not_accepted",
    }
}
