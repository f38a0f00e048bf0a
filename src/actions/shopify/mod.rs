//! A client's shop at Shopify: what callers ask about their orders, and what they may have done with them. Knows no carrier,
//! no engine and no database; who may open which shop it is told.
//!
//! | file | holds |
//! |---|---|
//! | `tools` | the tools as the engine sees them |
//! | `asked` | one request: its arguments, who asks, finding the orders that are theirs |
//! | `authorise` | who may see and who may change an order |
//! | `reading`, `cancel`, `address`, `returns`, `goods` | one thing each that callers want |
//! | `undo` | what takes back an address, a draft, a return |
//! | `telling`, `order` | orders in words that can be said |
//! | `states` | which state a PIN code lies in |
//! | `client` | asking a shop within a deadline; `limiter`, `cache`, `answer` are its parts |
//! | `wire` | Shopify's documents and shapes, seen by nobody else |

mod address;
mod answer;
mod asked;
mod authorise;
mod cache;
mod cancel;
mod client;
mod goods;
mod limiter;
mod order;
mod reading;
mod returns;
mod states;
mod telling;
mod tools;
mod undo;
mod wire;

use std::cell::OnceCell;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use caly_actors::domain::{CallFacts, ClientId, IntentKind};
use caly_actors::ports::{ActionError, ActionOutput, ActionRequest, Step};
use chrono::FixedOffset;
use serde_json::{Value, json};

pub use answer::{Denied, Fault};
pub use cache::About;
pub use client::{Credentials, ShopOptions};
pub use tools::TOOLS;

pub(super) use tools::spec;
pub(super) use undo::undoing_deadline;

use crate::outbound::Outbound;
use asked::Asked;
use authorise::{Claim, Guesses};
use client::{Api, Door};

/// How long a repeated request waits for what a former one may have begun.
const AGAIN: Duration = Duration::from_secs(8);
/// Longest fact that is looked at.
const FACT_MAX: usize = 254;

/// Opens the shop of a call's client; `None` if it has none.
pub type Doors = Box<dyn Fn(&CallFacts) -> Option<Credentials> + Send + Sync>;

/// All clients' shops.
pub struct Shopify {
    api: Api,
    doors: Doors,
    guesses: Mutex<Guesses>,
}

impl Shopify {
    /// With a way out and whoever knows the clients' tokens.
    #[must_use]
    pub fn new(outbound: Outbound, options: ShopOptions, doors: Doors) -> Self {
        Self { api: Api::new(outbound, options), doors, guesses: Mutex::default() }
    }

    /// Something of a client's shop was changed by somebody else: what is remembered of it counts no more.
    pub fn changed(&self, client: ClientId, about: About) {
        self.api.forget(client, about);
    }

    /// Tries a shop: its name and currency.
    ///
    /// # Errors
    /// Why it does not answer.
    pub async fn try_shop(&self, credentials: Credentials) -> Result<(String, String), Fault> {
        let door = Door { client: ClientId::new(), credentials };
        let until = Instant::now() + Duration::from_secs(10);
        let data = self.api.read_anew(&door, wire::TRIAL, &json!({}), until).await?;
        wire::trial(&data).map_err(|_| Fault::Denied(Denied::Query))
    }

    fn guesses(&self) -> MutexGuard<'_, Guesses> {
        self.guesses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn door(&self, facts: &CallFacts) -> Option<Door> {
        (self.doors)(facts).map(|credentials| Door { client: facts.client, credentials })
    }

    /// Looks up the orders of the number that rings.
    pub(super) async fn prefetch(&self, facts: &CallFacts) {
        let (Some(number), Some(door)) = (facts.caller.number(), self.door(facts)) else { return };
        let until = Instant::now() + tools::deadline("order_status");
        let variables = json!({ "phone": number.as_e164() });
        // Whoever asks next is told the outcome, or asks anew.
        let _ = self.api.read(&door, wire::ORDERS_OF_CALLER, &variables, until).await;
    }
}

/// Whether an intent will most likely ask for the orders of the number that rings, and they may be looked up.
pub(super) fn worth_a_look(facts: &CallFacts, intent: IntentKind) -> bool {
    let agent = &facts.agent;
    let offered = agent.tools.iter().any(|tool| &**tool == "order_status");
    let own = agent.http_tools.iter().any(|tool| &*tool.name == "order_status");
    intent == IntentKind::OrderStatus && agent.shop.is_some() && offered && !own && facts.caller.number().is_some()
}

/// Carries one out. `None`: it is no tool of this room, or the agent has no shop.
pub(super) async fn run(shop: &Shopify, request: &ActionRequest) -> Option<Result<ActionOutput, ActionError>> {
    let policy = request.facts.agent.shop?;
    if !TOOLS.contains(&&*request.name) && undoing_deadline(&request.name).is_none() {
        return None;
    }
    let Some(door) = shop.door(&request.facts) else {
        tracing::error!(client = %request.facts.client_slug, fix = Denied::NotConnected.fix(), "{}", Denied::NotConnected.seen());
        return Some(Err(asked::refused("the shop's orders cannot be looked up right now: offer a person")));
    };
    let again = request.step == Step::Do && request.attempt > 1;
    let deadline = undoing_deadline(&request.name).unwrap_or_else(|| tools::deadline(&request.name));
    let deadline = if again { AGAIN } else { deadline };
    let asked = Asked {
        request,
        policy,
        claim: claim(request),
        door,
        shop,
        zone: FixedOffset::east_opt(request.facts.agent.utc_offset)?,
        until: Instant::now() + deadline,
        undo: OnceCell::new(),
    };
    let output = asked.carry_out(again).await?;
    let undo = asked.undo.into_inner();
    Some(output.map(|output| ActionOutput { output: output.to_string().into(), change: None, undo }))
}

/// What the caller is known by: the number that rings, and the two facts that may prove an order to be theirs. Whatever else
/// the engine was persuaded to add is not looked at.
fn claim(request: &ActionRequest) -> Claim {
    let fact = |name: &str| {
        let text = request.arguments[name].as_str().map(str::trim).filter(|text| !text.is_empty())?;
        Some(text.chars().take(FACT_MAX).collect())
    };
    Claim { number: request.facts.caller.number().cloned(), email: fact("email"), pin_code: fact("pin_code") }
}

impl Asked<'_> {
    async fn carry_out(&self, again: bool) -> Option<Result<Value, ActionError>> {
        Some(match (&*self.request.name, self.request.step) {
            ("find_orders", _) => self.find_orders().await,
            ("order_status", _) => self.order_status().await,
            ("refund_status", _) => self.refund_status().await,
            ("find_products", _) => self.find_products().await,
            ("cancel_order", Step::Plan) => self.plan_cancel().await,
            ("change_address", Step::Plan) => self.plan_address().await,
            ("start_return", Step::Plan) => self.plan_return().await,
            ("draft_order", Step::Plan) => self.plan_draft().await,
            ("cancel_order", Step::Do) if again => self.cancel_again().await,
            ("change_address", Step::Do) if again => self.address_again().await,
            ("start_return", Step::Do) if again => self.return_again().await,
            ("draft_order", Step::Do) if again => self.draft_again().await,
            ("cancel_order", Step::Do) => self.cancel().await,
            ("change_address", Step::Do) => self.change_address().await,
            ("start_return", Step::Do) => self.start_return().await,
            ("draft_order", Step::Do) => self.draft_order().await,
            (undo::DELETE_DRAFT | undo::CANCEL_RETURN, Step::Plan) => self.plan_undoing().await,
            (undo::DELETE_DRAFT | undo::CANCEL_RETURN, Step::Do) if again => self.undo_again().await,
            (undo::DELETE_DRAFT | undo::CANCEL_RETURN, Step::Do) => self.undo().await,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests;
