//! The tools against a shop of hand-written answers, and against the simulated one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod asking;
mod proving;
mod server;
mod simulated;
mod undoing;
mod writing;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use caly_actors::domain::{
    Agent, AgentId, BargeIn, CallFacts, CallId, CallLimits, Carrier, CarrierCallId, ClientId, Direction, HttpTool,
    Language, OrderProof, Party, PhoneNumber, ShopPolicy, TurnDetection,
};
use caly_actors::ports::{ActionError, ActionRequest, Step};
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use server::{Heard, Reply, Server};

const MEERA: Option<&str> = Some("+919876543210");
const ARJUN: Option<&str> = Some("+919812345678");
const TOKEN: &str = "shpat_0123456789abcdef";

fn agent() -> Agent {
    Agent {
        id: AgentId::new(),
        version: 1,
        name: "a".into(),
        instructions: "".into(),
        greeting: None,
        notices: vec![],
        voice: "marin".into(),
        language: Language::English,
        languages: vec![],
        calendar: None,
        remember_callers: None,
        mcp_servers: vec![],
        shop: Some(ShopPolicy { read: OrderProof::NumberOrFacts, write: OrderProof::Number, write_limit: 5000 }),
        intents: Default::default(),
        products: Default::default(),
        utc_offset: 19_800,
        turn_detection: TurnDetection::default(),
        barge_in: BargeIn::Normal,
        local_detection: false,
        menu: vec![],
        policies: Default::default(),
        handoff_numbers: vec![],
        tools: TOOLS.iter().map(|name| (*name).into()).collect(),
        http_tools: vec![],
        limits: CallLimits::default(),
    }
}

/// An order as the shop tells of it; `more` overrides.
fn order(name: &str, phone: &str, more: Value) -> Value {
    let money = |amount: &str| json!({ "shopMoney": { "amount": amount, "currencyCode": "INR" } });
    let mut order = json!({
        "id": format!("gid://shopify/Order/{}", name.trim_start_matches('#')), "name": name, "email": "meera@example.in",
        "phone": null, "createdAt": "2026-11-20T06:30:00Z", "cancelledAt": null, "displayFinancialStatus": "PAID",
        "displayFulfillmentStatus": "UNFULFILLED", "returnStatus": "NO_RETURN", "paymentGatewayNames": ["razorpay"],
        "currentTotalPriceSet": money("1299.00"), "totalOutstandingSet": money("0.00"),
        "customer": { "defaultPhoneNumber": { "phoneNumber": phone }, "defaultEmailAddress": null },
        "shippingAddress": { "firstName": "Meera", "lastName": "Shah", "company": null, "address1": "12 MG Road",
            "address2": null, "city": "Pune", "provinceCode": "MH", "countryCodeV2": "IN", "zip": "411001",
            "phone": phone },
        "lineItems": { "nodes": [{ "title": "Kurta", "variantTitle": "M", "quantity": 2, "currentQuantity": 1 }] },
        "fulfillments": [],
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        order[key] = value.clone();
    }
    order
}

/// Fields of an order that is on its way.
fn sent(stage: &str) -> Value {
    json!({ "displayFulfillmentStatus": "FULFILLED", "fulfillments": [{
        "status": "SUCCESS", "displayStatus": stage, "estimatedDeliveryAt": "2026-11-28T10:00:00Z", "deliveredAt": null,
        "trackingInfo": [{ "company": "Delhivery", "number": "DL123" }],
        "events": { "nodes": [{ "status": stage, "happenedAt": "2026-11-27T04:50:00Z", "city": "Pune" }] } }] })
}

/// Answers questions about these orders: by name, e-mail, number or id.
fn reading(orders: &[Value], heard: &Heard) -> Reply {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let asked = text(&heard.variables["query"]);
    match heard.field.as_str() {
        "orders" => {
            let fits = |order: &&Value| {
                let name = text(&order["name"]).trim_start_matches('#').to_owned();
                asked == format!("name:\"{name}\"") || asked == format!("email:\"{}\"", text(&order["email"]))
            };
            Reply::Data(json!({ "orders": { "nodes": orders.iter().filter(fits).collect::<Vec<_>>() } }))
        }
        "customerByIdentifier" => {
            let phone =
                |order: &&Value| order["customer"]["defaultPhoneNumber"]["phoneNumber"] == heard.variables["phone"];
            let own: Vec<&Value> = orders.iter().filter(phone).collect();
            let customer = if own.is_empty() { Value::Null } else { json!({ "orders": { "nodes": own } }) };
            Reply::Data(json!({ "customerByIdentifier": customer }))
        }
        "order" => {
            let found = orders.iter().find(|order| order["id"] == heard.variables["id"]);
            Reply::Data(json!({ "order": found }))
        }
        _ => panic!("nobody expects {heard:?}"),
    }
}

/// A shop with these orders that only answers questions.
fn library(orders: Vec<Value>) -> Server {
    Server::open(move |heard| reading(&orders, heard))
}

struct Desk {
    shop: Shopify,
    agent: Arc<Agent>,
    call: CallId,
    /// What undoes the last thing that was done.
    undo: std::sync::Mutex<Option<caly_actors::ports::Undo>>,
}

impl Desk {
    fn at(server: &Server) -> Self {
        Self::with(server, agent(), Duration::from_secs(2))
    }

    fn with(server: &Server, agent: Agent, request_timeout: Duration) -> Self {
        Self::of(&server.address, agent, request_timeout)
    }

    /// Of the shop at this address.
    fn of(address: &str, agent: Agent, request_timeout: Duration) -> Self {
        let base_url = Some(address.parse().unwrap());
        let options = ShopOptions { base_url, version: "2026-10".to_owned(), request_timeout };
        let doors = |_: &CallFacts| {
            Some(Credentials { domain: "a-shop.myshopify.com".to_owned(), token: TOKEN.to_owned().into() })
        };
        let shop = Shopify::new(Outbound::new(None).unwrap(), options, Box::new(doors));
        Self { shop, agent: Arc::new(agent), call: CallId::new(), undo: Default::default() }
    }

    fn facts(&self, caller: Option<&str>) -> CallFacts {
        CallFacts {
            call: self.call,
            client: ClientId(Uuid::nil()),
            client_slug: "shop".into(),
            agent: Arc::clone(&self.agent),
            carrier: Carrier::Exotel,
            carrier_call_id: CarrierCallId::parse("sid").unwrap(),
            caller: caller.map_or(Party::Withheld, |number| Party::Number(PhoneNumber::parse(number).unwrap())),
            called: Party::Withheld,
            direction: Direction::Inbound,
            admitted_at: SystemTime::now(),
        }
    }

    /// Attempt 0 is the plan.
    async fn attempt(
        &self,
        attempt: u32,
        caller: Option<&str>,
        name: &str,
        arguments: Value,
    ) -> Result<Value, ActionError> {
        let request = ActionRequest {
            facts: Arc::new(self.facts(caller)),
            name: name.into(),
            arguments: Arc::new(arguments),
            idempotency_key: Uuid::nil().to_string().into(),
            step: if attempt == 0 { Step::Plan } else { Step::Do },
            attempt,
        };
        let output = run(&self.shop, &request).await.expect("a tool of the shop")?;
        *self.undo.lock().unwrap() = output.undo.clone();
        Ok(serde_json::from_str(&output.output).unwrap())
    }

    async fn ask(&self, caller: Option<&str>, name: &str, arguments: Value) -> Result<Value, ActionError> {
        self.attempt(1, caller, name, arguments).await
    }

    async fn plan(&self, caller: Option<&str>, name: &str, arguments: Value) -> Result<Value, ActionError> {
        self.attempt(0, caller, name, arguments).await
    }
}

fn refusal(outcome: Result<Value, ActionError>) -> String {
    match outcome {
        Err(ActionError::Refused(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// As [`refusal`]; of a change that may have been begun before, only that nothing is known of it.
fn held_back(attempt: u32, name: &str, outcome: Result<Value, ActionError>) -> String {
    match outcome {
        Err(ActionError::Unknown(why)) if attempt > 1 && !matches!(name, "find_orders" | "order_status") => {
            why.strip_prefix("whether it was done cannot be found out: ").unwrap().to_owned()
        }
        other => refusal(other),
    }
}

/// Waits for something that is on its way.
async fn until(happened: impl Fn() -> bool) {
    let waited = async {
        while !happened() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waited).await.expect("it happens");
}
