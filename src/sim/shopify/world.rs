//! One request after another against the shop: who may ask, whether there are points, what goes wrong on purpose.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::cost::{self, Bucket};
use super::data::{Shop, Time};
use super::execute::{Grant, Run};
use super::faults::{Faults, Lose, due};
use super::problem::Problem;
use super::queries::View;
use super::schema::Schema;
use super::{document, validate};

/// Versions served, oldest first. A path with an older one gets the oldest, as the real shop does.
const VERSIONS: [&str; 4] = ["2026-01", "2026-04", "2026-07", "2026-10"];
/// Since then refunds want an idempotency key.
const KEYS_SINCE: &str = "2026-04";
/// Deliveries of webhooks that are remembered.
const DELIVERIES_KEPT: usize = 1000;

/// What changes while the shop runs.
pub(crate) struct World {
    pub(crate) shop: Shop,
    pub(crate) faults: Faults,
    pub(crate) bucket: Bucket,
    pub(crate) requests: u64,
    pub(crate) throttled: u64,
    pub(crate) deliveries: VecDeque<Value>,
    pub(crate) webhooks_dropped: u64,
}

/// A request as it came.
pub(crate) struct Ask<'a> {
    /// `None`: the path had none.
    pub(crate) version: Option<&'a str>,
    pub(crate) token: Option<&'a str>,
    pub(crate) body: &'a [u8],
    pub(crate) request_id: &'a str,
}

/// How a request ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ending {
    Answer,
    /// The connection breaks without an answer.
    Cut,
    /// Held for so long, then cut.
    Hang(Duration),
}

/// What is answered, and how.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Body,
    pub(crate) version: &'static str,
    pub(crate) delay: Duration,
    pub(crate) ending: Ending,
    /// What the client did wrong, for whoever reads the simulator's complaints.
    pub(crate) complaint: Option<String>,
}

#[derive(Debug)]
pub(crate) enum Body {
    Json(Value),
    Html(&'static str),
}

const NOT_FOUND: &str = "<!DOCTYPE html><html><head><title>Not Found</title></head><body><h1>404: Not Found</h1><p>There is nothing at this address.</p></body></html>";
const BAD_GATEWAY: &str =
    "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>";

/// The version that answers a path; `None` where none ever will.
fn served(asked: Option<&str>) -> Option<&'static str> {
    let Some(asked) = asked else { return Some(VERSIONS[0]) };
    let (year, month) = asked.split_once('-')?;
    let real = year.len() == 4 && year.parse::<u16>().is_ok() && ["01", "04", "07", "10"].contains(&month);
    let found = VERSIONS.iter().find(|version| **version == asked).copied();
    found.or((real && asked < VERSIONS[0]).then_some(VERSIONS[0]))
}

impl World {
    pub(crate) fn new(shop: Shop, faults: Faults, bucket: Bucket) -> Self {
        let deliveries = VecDeque::new();
        Self { shop, faults, bucket, requests: 0, throttled: 0, deliveries, webhooks_dropped: 0 }
    }

    pub(crate) fn delivered(&mut self, delivery: Value) {
        self.deliveries.push_back(delivery);
        if self.deliveries.len() > DELIVERIES_KEPT {
            self.deliveries.pop_front();
        }
    }

    /// Answers one request.
    pub(crate) fn respond(
        &mut self,
        schema: &Schema,
        (token, grant): (&str, &Grant),
        ask: &Ask<'_>,
        (now, clock): (Time, Instant),
    ) -> Reply {
        self.requests += 1;
        self.shop.settle(now);
        let version = served(ask.version);
        let mut reply = Reply {
            status: 200,
            body: Body::Json(Value::Null),
            version: version.unwrap_or(VERSIONS[0]),
            delay: self.faults.delay(),
            ending: Ending::Answer,
            complaint: None,
        };
        if due(&mut self.faults.cut_next) {
            reply.ending = Ending::Cut;
            return reply;
        }
        if let Some((status, body)) = self.refusal(version, token, ask) {
            (reply.status, reply.body) = (status, body);
            return reply;
        }
        let before = self.shop.took_effect;
        let status = self.run(schema, grant, ask, reply.version, (now, clock), &mut reply.complaint);
        (reply.status, reply.body) = status;
        if self.shop.took_effect > before && due(&mut self.faults.lose_next) {
            match self.faults.lose_how {
                Lose::BadGateway => (reply.status, reply.body) = (502, Body::Html(BAD_GATEWAY)),
                Lose::Cut => reply.ending = Ending::Cut,
                Lose::Hang => reply.ending = Ending::Hang(Duration::from_millis(self.faults.hang_ms)),
            }
        }
        reply
    }

    /// Why a request is not even read.
    fn refusal(&mut self, version: Option<&str>, token: &str, ask: &Ask<'_>) -> Option<(u16, Body)> {
        let wrong = "[API] Invalid API key or access token (unrecognized login or wrong password)";
        let told = |status, text: &str| Some((status, Body::Json(json!({"errors": text}))));
        match self.faults.refuse_status {
            0 => {}
            401 => return told(401, wrong),
            402 => return told(402, "This shop's plan does not have access to this feature"),
            403 => return told(403, "[API] This action requires merchant approval for a scope."),
            404 => return Some((404, Body::Html(NOT_FOUND))),
            423 => return told(423, "This shop is currently locked"),
            430 => return told(430, "Shopify Security Rejection"),
            other => return told(other, "Refused"),
        }
        if version.is_none() {
            return Some((404, Body::Html(NOT_FOUND)));
        }
        if ask.token != Some(token) {
            return told(401, wrong);
        }
        if due(&mut self.faults.fail_next) {
            return match self.faults.fail_status {
                200 => {
                    let problem = Problem::internal(ask.request_id).to_json();
                    Some((200, Body::Json(json!({"data": null, "errors": [problem]}))))
                }
                502 => Some((502, Body::Html(BAD_GATEWAY))),
                status => told(status, "Internal Server Error"),
            };
        }
        None
    }

    fn run(
        &mut self,
        schema: &Schema,
        grant: &Grant,
        ask: &Ask<'_>,
        version: &str,
        (now, clock): (Time, Instant),
        complaint: &mut Option<String>,
    ) -> (u16, Body) {
        let Some(read) = read_body(ask.body) else {
            *complaint = Some("the body is no JSON object with a text `query`".to_owned());
            return (400, Body::Json(json!({"errors": {"query": "Required parameter missing or invalid"}})));
        };
        let checked = check(schema, &read);
        let (document, variables) = match checked {
            Ok(checked) => checked,
            Err(problems) => {
                let list: Vec<Value> = problems.iter().map(Problem::to_json).collect();
                *complaint = list.first().and_then(|first| first["message"].as_str()).map(str::to_owned);
                return (200, self.errors(list, 0, Some(0)));
            }
        };
        let requested = cost::requested(schema, &document, &variables).max(1);
        if requested > cost::QUERY_MAX {
            *complaint = Some(format!("a query costs {requested} points, more than {}", cost::QUERY_MAX));
            let problem = Problem::too_expensive(requested, cost::QUERY_MAX).to_json();
            return (200, self.errors(vec![problem], requested, None));
        }
        if self.throttles() || !self.bucket.reserve(requested, clock) {
            self.throttled += 1;
            let status = if self.faults.throttle_as_429 { 429 } else { 200 };
            return (status, self.errors(vec![Problem::throttled().to_json()], requested, None));
        }
        let lag = self.faults.search_lag();
        let view = View { now, lag, all_orders: grant.has("read_all_orders") };
        let mut run = Run::new((schema, &document, &variables), grant, view, &mut self.shop);
        run.keys_wanted = version >= KEYS_SINCE;
        run.job_polls = self.faults.job_polls;
        run.break_one = due(&mut self.faults.partial_next);
        run.request_id = ask.request_id.to_owned();
        let outcome = run.outcome();
        self.faults.partial_next += u32::from(outcome.unbroken);
        let actual = outcome.points.min(requested);
        self.bucket.refund(requested - actual);
        let mut answer = json!({"data": outcome.data});
        if !outcome.problems.is_empty() {
            answer["errors"] = outcome.problems.iter().map(Problem::to_json).collect();
        }
        answer["extensions"] = json!({"cost": self.bucket.told(requested, Some(actual))});
        if let Some(first) = outcome.warnings.first() {
            *complaint = Some(format!("a search term was dropped: {}", first["warnings"]));
            answer["extensions"]["search"] = json!(outcome.warnings);
        }
        (200, Body::Json(answer))
    }

    fn throttles(&mut self) -> bool {
        let every = u64::from(self.faults.throttle_every);
        due(&mut self.faults.throttle_next) || (every > 0 && self.requests.is_multiple_of(every))
    }

    fn errors(&self, list: Vec<Value>, requested: u64, actual: Option<u64>) -> Body {
        Body::Json(json!({"errors": list, "extensions": {"cost": self.bucket.told(requested, actual)}}))
    }
}

struct Request {
    query: String,
    variables: Map<String, Value>,
    operation: Option<String>,
}

fn read_body(body: &[u8]) -> Option<Request> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let variables = match body.get("variables") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(variables)) => variables.clone(),
        Some(_) => return None,
    };
    let operation = body.get("operationName").and_then(Value::as_str).map(str::to_owned);
    Some(Request { query: body.get("query")?.as_str()?.to_owned(), variables, operation })
}

/// Syntax, schema and variables, in this order.
fn check(schema: &Schema, request: &Request) -> Result<(document::Document, Map<String, Value>), Vec<Problem>> {
    let document = document::read(&request.query, request.operation.as_deref()).map_err(|problem| vec![problem])?;
    let problems = validate::check(schema, &document);
    if !problems.is_empty() {
        return Err(problems);
    }
    let variables = document.variables(schema, &request.variables)?;
    Ok((document, variables))
}
