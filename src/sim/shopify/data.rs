//! What the simulated shop has: customers, goods, orders and what happened to them. Money is in hundredths.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};

use super::search::Document;

pub(crate) type Time = DateTime<Utc>;

/// Effects kept with their time; they go on being counted.
const EFFECTS_KEPT: usize = 2000;
/// Of one line; with the largest price and the most lines a sum still fits.
pub(crate) const QUANTITY_MAX: i64 = 10_000;
/// Ids whose attempts are counted.
const ATTEMPTS_KEPT: usize = 10_000;
/// Search documents of an object kept while the index is behind.
const INDEXED_MAX: usize = 20;

#[derive(Clone, Debug, Default)]
pub(crate) struct Address {
    pub(crate) first_name: Option<String>,
    pub(crate) last_name: Option<String>,
    pub(crate) company: Option<String>,
    pub(crate) address1: Option<String>,
    pub(crate) address2: Option<String>,
    pub(crate) city: Option<String>,
    pub(crate) province_code: Option<String>,
    pub(crate) country_code: Option<String>,
    pub(crate) zip: Option<String>,
    pub(crate) phone: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Customer {
    pub(crate) id: u64,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    pub(crate) phone: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) note: Option<String>,
    pub(crate) created: Time,
    pub(crate) address: Option<Address>,
}

#[derive(Clone, Debug)]
pub(crate) struct Product {
    pub(crate) id: u64,
    pub(crate) title: String,
    pub(crate) handle: String,
    pub(crate) description: String,
    pub(crate) status: String,
    pub(crate) vendor: String,
    pub(crate) kind: String,
    pub(crate) tags: Vec<String>,
    pub(crate) created: Time,
    pub(crate) variants: Vec<Variant>,
}

#[derive(Clone, Debug)]
pub(crate) struct Variant {
    pub(crate) id: u64,
    pub(crate) title: String,
    pub(crate) sku: String,
    pub(crate) barcode: Option<String>,
    pub(crate) price: i64,
    pub(crate) compare_at: Option<i64>,
    pub(crate) stock: i64,
    /// Not tracked: shown as 0 and sold all the same.
    pub(crate) tracked: bool,
    /// Sold beyond the stock.
    pub(crate) oversell: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) id: u64,
    pub(crate) variant: Option<u64>,
    pub(crate) title: String,
    pub(crate) variant_title: Option<String>,
    pub(crate) sku: Option<String>,
    pub(crate) quantity: i64,
    pub(crate) unit_price: i64,
    /// Off the whole line.
    pub(crate) discount: i64,
    /// Taken off the order again, by refund or cancellation.
    pub(crate) removed: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) id: u64,
    pub(crate) status: String,
    pub(crate) happened: Time,
    pub(crate) message: Option<String>,
    pub(crate) city: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Fulfillment {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) display: String,
    pub(crate) created: Time,
    pub(crate) updated: Time,
    pub(crate) estimated: Option<Time>,
    pub(crate) in_transit: Option<Time>,
    pub(crate) delivered: Option<Time>,
    /// Company, number, URL.
    pub(crate) tracking: Option<(String, String, Option<String>)>,
    pub(crate) events: Vec<Event>,
    /// Own id, line, quantity.
    pub(crate) lines: Vec<(u64, u64, i64)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    pub(crate) id: u64,
    pub(crate) kind: String,
    pub(crate) status: String,
    pub(crate) gateway: String,
    pub(crate) amount: i64,
    pub(crate) created: Time,
    pub(crate) parent: Option<u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Refund {
    pub(crate) id: u64,
    pub(crate) created: Time,
    pub(crate) note: Option<String>,
    /// Line, quantity, restock type.
    pub(crate) lines: Vec<(u64, i64, String)>,
    pub(crate) transactions: Vec<u64>,
    pub(crate) total: i64,
    pub(crate) shipping: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct Return {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) created: Time,
    /// Own id, fulfilment's line, quantity, reason, the customer's note, the reason's note.
    pub(crate) lines: Vec<(u64, u64, i64, String, Option<String>, String)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) id: u64,
    pub(crate) number: u64,
    pub(crate) name: String,
    pub(crate) confirmation: String,
    pub(crate) email: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) created: Time,
    pub(crate) updated: Time,
    pub(crate) cancelled: Option<(Time, String)>,
    pub(crate) closed: Option<Time>,
    pub(crate) test: bool,
    pub(crate) note: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) po_number: Option<String>,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) gateway: String,
    pub(crate) financial: String,
    pub(crate) on_hold: bool,
    /// The warehouse has begun: what is not shipped can no longer be called off.
    pub(crate) packing: bool,
    pub(crate) shipping: i64,
    pub(crate) customer: Option<u64>,
    pub(crate) shipping_address: Option<Address>,
    pub(crate) lines: Vec<Line>,
    pub(crate) fulfillments: Vec<Fulfillment>,
    pub(crate) transactions: Vec<Transaction>,
    pub(crate) refunds: Vec<Refund>,
    pub(crate) returns: Vec<Return>,
    pub(crate) indexed: VecDeque<(Time, Document)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) email: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) note: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) customer: Option<u64>,
    pub(crate) shipping_address: Option<Address>,
    pub(crate) discount: i64,
    pub(crate) lines: Vec<Line>,
    pub(crate) created: Time,
    pub(crate) updated: Time,
    pub(crate) invoiced: Option<Time>,
    pub(crate) completed: Option<Time>,
    pub(crate) order: Option<u64>,
    pub(crate) indexed: VecDeque<(Time, Document)>,
}

/// A cancellation that was accepted and is not done yet.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) order: u64,
    pub(crate) reason: String,
    pub(crate) restock: bool,
    pub(crate) refund: bool,
    /// Polls that still hear "not done".
    pub(crate) polls_left: u32,
    /// Done by itself then, polled or not.
    pub(crate) at_latest: Time,
    pub(crate) done: bool,
}

/// A mutation that changed something.
#[derive(Clone, Debug)]
pub(crate) struct Effect {
    pub(crate) mutation: &'static str,
    /// Of what was changed; for something new its own.
    pub(crate) id: String,
    pub(crate) at: Time,
    pub(crate) tags: Vec<String>,
}

/// A change that subscribers are told of.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) topic: &'static str,
    pub(crate) body: Value,
    /// Changes of one cause share it.
    pub(crate) event: u64,
}

/// The shop.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shop {
    pub(crate) name: String,
    pub(crate) domain: String,
    pub(crate) email: String,
    pub(crate) prefix: String,
    pub(crate) location: String,
    pub(crate) customers: BTreeMap<u64, Customer>,
    pub(crate) products: BTreeMap<u64, Product>,
    pub(crate) orders: BTreeMap<u64, Order>,
    pub(crate) drafts: BTreeMap<u64, Draft>,
    pub(crate) jobs: BTreeMap<u64, Job>,
    /// Idempotency keys: what was asked and what was answered.
    pub(crate) keys: VecDeque<(String, Value, Value)>,
    /// Mutations that changed something, in all.
    pub(crate) took_effect: u64,
    pub(crate) effects: VecDeque<Effect>,
    pub(crate) counts: BTreeMap<(&'static str, String), u64>,
    pub(crate) attempts: BTreeMap<(&'static str, String), u64>,
    pub(crate) changes: Vec<Change>,
    pub(crate) next_id: u64,
    pub(crate) next_number: u64,
    /// Drafts made so far.
    pub(crate) drafted: usize,
}

pub(crate) const LOCATION: u64 = 70_001;
pub(crate) const SHOP: u64 = 60_001;

pub(crate) fn gid(kind: &str, id: u64) -> String {
    format!("gid://shopify/{kind}/{id}")
}

/// The number in a global id of this kind.
pub(crate) fn id_of(kind: &str, gid: &str) -> Option<u64> {
    gid.strip_prefix("gid://shopify/")?.strip_prefix(kind)?.strip_prefix('/')?.parse().ok()
}

/// A place of an object that is looked up when it is asked for.
pub(crate) fn link(kind: &str, id: u64) -> Value {
    json!({"@": gid(kind, id)})
}

/// As GraphQL writes decimals: at least one digit behind the point, no more than needed.
pub(crate) fn amount(cents: i64) -> String {
    let text = format!("{}{}.{:02}", if cents < 0 { "-" } else { "" }, cents.abs() / 100, cents.abs() % 100);
    text.strip_suffix('0').map(str::to_owned).unwrap_or(text)
}

/// As GraphQL writes times.
pub(crate) fn time(at: Time) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

impl Shop {
    pub(crate) fn fresh(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(crate) fn variant(&self, id: u64) -> Option<(&Product, &Variant)> {
        self.products
            .values()
            .find_map(|product| Some((product, product.variants.iter().find(|variant| variant.id == id)?)))
    }

    pub(crate) fn restock(&mut self, variant: Option<u64>, quantity: i64) {
        let mut variants = self.products.values_mut().flat_map(|product| &mut product.variants);
        if let Some(variant) = variants.find(|known| Some(known.id) == variant && known.tracked) {
            variant.stock += quantity;
        }
    }

    /// Writes down that a mutation was asked for, whatever comes of it.
    pub(crate) fn attempt(&mut self, mutation: &'static str, id: &str) {
        // The id is whatever the client sent, so there can be any number of them.
        if self.attempts.len() >= ATTEMPTS_KEPT {
            return;
        }
        *self.attempts.entry((mutation, id.to_owned())).or_default() += 1;
    }

    /// Writes down that a mutation changed something.
    pub(crate) fn effect(&mut self, mutation: &'static str, id: String, tags: &[String], now: Time) {
        *self.counts.entry((mutation, id.clone())).or_default() += 1;
        self.took_effect += 1;
        self.effects.push_back(Effect { mutation, id, at: now, tags: tags.to_vec() });
        if self.effects.len() > EFFECTS_KEPT {
            self.effects.pop_front();
        }
    }

    /// Carries out the jobs whose time has come.
    pub(crate) fn settle(&mut self, now: Time) {
        let due: Vec<u64> =
            self.jobs.iter().filter(|(_, job)| !job.done && job.at_latest <= now).map(|(id, _)| *id).collect();
        for id in due {
            super::cancel::finish(self, id, now);
        }
    }
}

impl Order {
    pub(crate) fn subtotal(&self) -> i64 {
        self.lines.iter().map(Line::total).sum()
    }

    pub(crate) fn total(&self) -> i64 {
        self.subtotal() + self.shipping
    }

    fn sum(&self, kinds: &[&str]) -> i64 {
        let counts = |t: &&Transaction| kinds.contains(&t.kind.as_str()) && t.status == "SUCCESS";
        self.transactions.iter().filter(counts).map(|transaction| transaction.amount).sum()
    }

    pub(crate) fn received(&self) -> i64 {
        self.sum(&["SALE", "CAPTURE"])
    }

    pub(crate) fn refunded(&self) -> i64 {
        self.sum(&["REFUND"])
    }

    pub(crate) fn shipping_refunded(&self) -> i64 {
        self.refunds.iter().map(|refund| refund.shipping).sum()
    }

    /// What the order is worth after what was taken off it.
    pub(crate) fn current_total(&self) -> i64 {
        let lines: i64 = self.lines.iter().map(|line| line.share(line.quantity - line.removed)).sum();
        if self.cancelled.is_some() { 0 } else { lines + self.shipping - self.shipping_refunded() }
    }

    pub(crate) fn fulfilled(&self, line: u64) -> i64 {
        let live = self.fulfillments.iter().filter(|fulfillment| fulfillment.display != "CANCELED");
        live.flat_map(|fulfillment| &fulfillment.lines).filter(|(_, of, _)| *of == line).map(|(_, _, n)| n).sum()
    }

    pub(crate) fn fulfillment_status(&self) -> &'static str {
        let sent: i64 = self.lines.iter().map(|line| self.fulfilled(line.id)).sum();
        // What was taken off before it left is not waited for.
        let wanted = |line: &Line| (line.quantity - line.removed).max(self.fulfilled(line.id));
        let wanted: i64 = self.lines.iter().map(wanted).sum();
        match sent {
            0 if self.on_hold => "ON_HOLD",
            0 if self.packing => "IN_PROGRESS",
            0 => "UNFULFILLED",
            sent if sent < wanted => "PARTIALLY_FULFILLED",
            _ => "FULFILLED",
        }
    }

    pub(crate) fn return_status(&self) -> &'static str {
        let has = |status: &str| self.returns.iter().any(|one| one.status == status);
        match () {
            () if has("REQUESTED") => "RETURN_REQUESTED",
            () if has("OPEN") => "IN_PROGRESS",
            () if has("CLOSED") => "RETURNED",
            () => "NO_RETURN",
        }
    }

    pub(crate) fn index(&mut self, document: Document, now: Time) {
        remember(&mut self.indexed, document, now);
    }
}

impl Draft {
    pub(crate) fn total(&self) -> i64 {
        (self.lines.iter().map(Line::total).sum::<i64>() - self.discount).max(0)
    }

    pub(crate) fn index(&mut self, document: Document, now: Time) {
        remember(&mut self.indexed, document, now);
    }
}

impl Line {
    pub(crate) fn total(&self) -> i64 {
        self.unit_price * self.quantity - self.discount
    }

    /// What `quantity` of it costs, its part of the discount taken off.
    pub(crate) fn share(&self, quantity: i64) -> i64 {
        let part = i128::from(self.total()) * i128::from(quantity) / i128::from(self.quantity.max(1));
        i64::try_from(part).unwrap_or(i64::MAX)
    }
}

fn remember(indexed: &mut VecDeque<(Time, Document)>, document: Document, now: Time) {
    indexed.push_back((now, document));
    // Never the oldest: what an index far behind knows must not vanish from it.
    if indexed.len() > INDEXED_MAX {
        indexed.remove(1);
    }
}

/// The newest document that a search index this far behind knows.
pub(crate) fn visible(indexed: &VecDeque<(Time, Document)>, now: Time, lag: Duration) -> Option<&Document> {
    indexed.iter().rev().find(|(at, _)| *at + lag <= now).map(|(_, document)| document)
}
