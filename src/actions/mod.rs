//! What an agent can do: the catalogue and how each entry is carried out. Knows no carrier and no engine.
//!
//! | action | does |
//! |---|---|
//! | `end_call` | ends the call after a goodbye |
//! | `transfer_to_human` | hands the caller to the agent's hand-off numbers |
//! | `request_callback` | notes when to ring back, unless the number is not to be rung; listed in the admin API |
//! | `find_times`, `book_appointment`, … | the client's calendar, see [`appointments`] |
//! | `find_orders`, `order_status`, … | the client's shop, see [`shopify`] |
//! | `remember_about_caller`, … | what the client knows of who rings, see [`customers`] |
//! | `undo_last_action` | undoes what was done in this call, by the step that came with it, see [`undoing`] |
//! | a client's own | an HTTPS request of theirs, see [`http`]; a tool of their MCP servers, see [`mcp`] |

pub mod appointments;
mod breaker;
pub mod callback;
pub mod customers;
pub mod diary;
pub mod http;
pub mod mcp;
pub mod shopify;
mod signing;
mod undoing;

use std::sync::Arc;
use std::time::Duration;

use caly_actors::domain::{Agent, CallFacts, IntentKind};
use caly_actors::ports::{
    ActionError, ActionOutput, ActionRequest, ActionRunner, ActionSpec, CallChange, RetryRule, SameAction, Step,
    ToolSpec,
};
use futures_util::future::LocalBoxFuture;
use serde_json::{Value, json};

use self::callback::DoNotCall;
use self::customers::Book;
use self::diary::Diary;
use self::http::HttpActions;
use self::mcp::Mcp;
use self::shopify::Shopify;

/// What an attempt may take beyond its own deadline: it then says itself what became of it. Less than any rule waits before it
/// tries again.
const MARGIN: Duration = Duration::from_millis(150);
/// Told of who is left alone because they do not answer.
const RESTS: &str = "it does not answer at the moment: offer to ring back or a person";
const ONCE: RetryRule = RetryRule { attempts: 1, backoff: Duration::ZERO };

/// Runs the catalogue.
pub struct Catalogue {
    http: Arc<HttpActions>,
    diary: Arc<dyn Diary>,
    shop: Arc<Shopify>,
    customers: Arc<dyn Book>,
    do_not_call: Arc<dyn DoNotCall>,
    mcp: Arc<Mcp>,
}

impl Catalogue {
    /// With the rooms that actions need.
    #[must_use]
    pub fn new(
        http: HttpActions,
        mcp: Arc<Mcp>,
        diary: Arc<dyn Diary>,
        (customers, do_not_call): (Arc<dyn Book>, Arc<dyn DoNotCall>),
        shop: Arc<Shopify>,
    ) -> Self {
        Self { http: Arc::new(http), mcp, diary, customers, do_not_call, shop }
    }
}

impl ActionRunner for Catalogue {
    fn catalogue(&self, agent: &Agent) -> Vec<ActionSpec> {
        let own = |name: &str| agent.http_tools.iter().any(|tool| &*tool.name == name);
        let kept = |name: &str| {
            let spec = appointments::spec(name, agent).or_else(|| customers::spec(name, agent));
            if own(name) { None } else { spec.or_else(|| shopify::spec(name, agent)) }
        };
        let built_in = agent.tools.iter().filter_map(|name| built_in(name, agent).or_else(|| kept(name)));
        let all = built_in.chain(agent.http_tools.iter().map(http::spec)).chain(self.mcp.specs(agent)).collect();
        undoing::with_steps(all, agent, |name| undoing::spec(name, agent).or_else(|| kept(name)))
    }

    fn run(&self, request: ActionRequest) -> LocalBoxFuture<'static, Result<ActionOutput, ActionError>> {
        if let Some((server, tool)) = mcp::tool_of(&request) {
            let mcp = Arc::clone(&self.mcp);
            return Box::pin(async move { mcp.run((&server, &tool), &request).await });
        }
        let tool = request.facts.agent.http_tools.iter().find(|tool| tool.name == request.name).cloned();
        let (http, diary, book) = (Arc::clone(&self.http), Arc::clone(&self.diary), Arc::clone(&self.customers));
        let (shop, do_not_call) = (Arc::clone(&self.shop), Arc::clone(&self.do_not_call));
        Box::pin(undoing::told(request.clone(), async move {
            if tool.is_none()
                && let Some(outcome) = appointments::run(diary, &request).await
            {
                return outcome;
            }
            if tool.is_none()
                && let Some(outcome) = customers::run(book, &request).await
            {
                return outcome;
            }
            if tool.is_none()
                && let Some(outcome) = shopify::run(&shop, &request).await
            {
                return outcome;
            }
            match (&*request.name, tool) {
                // What a client's own service would do is known to the client alone.
                (_, Some(tool)) if request.step == Step::Plan => Ok(http::plan(&tool, &request)),
                ("end_call", _) => Ok(changing(&json!({ "done": true }), CallChange::End)),
                ("transfer_to_human", _) => transfer(&request),
                ("request_callback", _) => callback::run(&*do_not_call, &request).await,
                (undoing::WITHDRAW, _) => Ok(callback::withdraw(&request)),
                (_, Some(tool)) => http.run(&tool, &request).await,
                (name, None) => Err(ActionError::Refused(format!("there is no action {name}"))),
            }
        }))
    }

    fn prefetch(&self, facts: &Arc<CallFacts>, intent: IntentKind) -> Option<LocalBoxFuture<'static, ()>> {
        let (shop, facts) = (Arc::clone(&self.shop), Arc::clone(facts));
        shopify::worth_a_look(&facts, intent)
            .then(|| -> LocalBoxFuture<'static, ()> { Box::pin(async move { shop.prefetch(&facts).await }) })
    }
}

fn built_in(name: &str, agent: &Agent) -> Option<ActionSpec> {
    let (description, schema, same) = match name {
        "end_call" => (
            "End the phone call. Use it when the caller says goodbye or has nothing more to ask.",
            json!({ "type": "object", "properties": { "reason": { "type": "string" } } }),
            SameAction::PerCall,
        ),
        // Offered only where there is somebody to hand over to.
        "transfer_to_human" if !agent.handoff_numbers.is_empty() => (
            "Connect the caller to a person. Use it whenever the caller asks for a person or cannot be helped.",
            json!({
                "type": "object",
                "properties": {
                    "reason": { "type": "string", "description": "why, in a few words" },
                    "summary": { "type": "string", "description": "what the person should know, one or two sentences" },
                },
            }),
            SameAction::PerCall,
        ),
        "request_callback" => (
            "Note that the caller wants to be rung back. Ask when it suits them first.",
            json!({
                "type": "object",
                "properties": {
                    "when": { "type": "string", "description": "when it suits the caller, in their words or as ISO 8601" },
                    "topic": { "type": "string" },
                    "number": { "type": "string", "description": "another number than the one they ring from" },
                },
                "required": ["when"],
            }),
            SameAction::PerArguments,
        ),
        _ => return None,
    };
    let tool = ToolSpec { name: name.into(), description: description.into(), schema: schema.to_string().into() };
    // What only changes the call itself has nothing to be reconciled with.
    let writes = name == "request_callback";
    Some(ActionSpec {
        tool,
        deadline: Duration::from_secs(5),
        retry: ONCE,
        same,
        writes,
        confirm: false,
        lasting: false,
        offered: true,
    })
}

fn changing(output: &Value, change: CallChange) -> ActionOutput {
    ActionOutput { output: output.to_string().into(), change: Some(change), undo: None }
}

fn transfer(request: &ActionRequest) -> Result<ActionOutput, ActionError> {
    if request.facts.agent.handoff_numbers.is_empty() {
        return Err(ActionError::Refused("nobody can be reached right now".to_owned()));
    }
    let text = |name: &str| request.arguments[name].as_str().unwrap_or_default();
    let summary = if text("summary").is_empty() { text("reason") } else { text("summary") };
    let summary: String = summary.chars().take(300).collect();
    Ok(changing(&json!({ "connecting": true }), CallChange::Transfer { summary: summary.into() }))
}
