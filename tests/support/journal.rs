//! Journal entries of made-up calls.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use caly_actors::domain::{
    Action, ActionId, ActionState, AfterStream, Agent, AgentId, CallFacts, CallId, CallLimits, Carrier, CarrierCallId,
    ClientId, Direction, EndReason, Entity, IntentKind, Language, Latency, Party, PhoneNumber, Speaker, Turn,
    TurnDetection, TurnId, Understanding, Usage, Yes,
};
use caly_actors::ports::JournalEntry;

/// A call of a client, admitted now.
pub fn facts(client: ClientId, carrier_call_id: &str) -> CallFacts {
    CallFacts {
        call: CallId::new(),
        client,
        client_slug: "shop".into(),
        agent: Arc::new(agent()),
        carrier: Carrier::Exotel,
        carrier_call_id: CarrierCallId::parse(carrier_call_id).unwrap(),
        caller: Party::Number(PhoneNumber::parse("+919876543210").unwrap()),
        called: Party::Number(PhoneNumber::parse("+912248966200").unwrap()),
        direction: Direction::Inbound,
        admitted_at: SystemTime::now(),
    }
}

fn agent() -> Agent {
    Agent {
        id: AgentId::new(),
        version: 3,
        name: "Asha".into(),
        instructions: "Help.".into(),
        greeting: None,
        notices: vec![],
        voice: "marin".into(),
        language: Language::English,
        languages: vec![],
        intents: Default::default(),
        products: Default::default(),
        calendar: None,
        shop: None,
        remember_callers: None,
        utc_offset: 19_800,
        turn_detection: TurnDetection::default(),
        barge_in: caly_actors::domain::BargeIn::Eager,
        local_detection: false,
        menu: vec![],
        policies: Default::default(),
        handoff_numbers: Vec::new(),
        tools: Vec::new(),
        http_tools: Vec::new(),
        mcp_servers: Vec::new(),
        limits: CallLimits::default(),
    }
}

/// A turn of one second.
pub fn turn(facts: &CallFacts, at_s: u64, speaker: Speaker, text: &str) -> JournalEntry {
    let turn = Turn {
        id: TurnId::new(),
        speaker,
        text: text.into(),
        raw: None,
        unheard: "".into(),
        interrupted: false,
        started: Duration::from_secs(at_s),
        ended: Duration::from_secs(at_s + 1),
        latency: None,
    };
    JournalEntry::Turn { call: facts.call, turn, under_way: "".into() }
}

/// The call's one action, under a fresh id.
pub fn action(facts: &CallFacts, state: ActionState) -> JournalEntry {
    let action = Action {
        id: ActionId::new(),
        name: "order_status".into(),
        idempotency_key: format!("{}:order_status:1001", facts.call).into(),
        arguments: r#"{"order_id":"1001"}"#.into(),
        state,
        output: (state == ActionState::Done).then(|| r#"{"status":"shipped"}"#.into()),
        undo: None,
        undoes: None,
        attempts: 1,
        started: Duration::from_secs(4),
        changed: Duration::from_secs(5),
    };
    JournalEntry::Action { call: facts.call, client: facts.client, action }
}

/// An event that carries a number.
pub fn event(facts: &CallFacts, at: i64) -> JournalEntry {
    let detail = serde_json::json!({"at": at}).to_string().into();
    JournalEntry::Event { call: facts.call, kind: "numbered", detail, at: Duration::from_millis(1) }
}

/// The end, nine seconds in.
pub fn ended(facts: &CallFacts, reason: EndReason) -> JournalEntry {
    let usage = Usage { audio_in: 10, audio_out: 20, cost_micro_usd: 1234, ..Usage::default() };
    JournalEntry::Ended { call: facts.call, reason, at: Duration::from_secs(9), usage, degraded: vec!["intent"] }
}

/// A call from its admission to its end.
pub fn short_call(facts: &CallFacts) -> Vec<JournalEntry> {
    let call = facts.call;
    let caller = turn(facts, 3, Speaker::Caller, "मेरा order 1001 कहाँ है?");
    let JournalEntry::Turn { turn: said, .. } = &caller else { unreachable!() };
    let asked = said.id;
    let JournalEntry::Turn { turn: mut greeting, .. } = turn(facts, 1, Speaker::Agent, "Namaste") else {
        unreachable!()
    };
    let first = JournalEntry::Turn { call, turn: greeting.clone(), under_way: "".into() };
    greeting.text = "Namaste, how can I help".into();
    let at = Duration::from_millis;
    greeting.latency = Some(Latency {
        spoken: at(520),
        committed: Some(at(920)),
        made: at(990),
        sent: at(1000),
        heard: Some(at(1060)),
    });
    let entity = Entity { kind: "order_id", text: "1001".into(), value: "1001".into(), confidence: 0.9 };
    let understanding = Understanding {
        intent: IntentKind::OrderStatus,
        own: None,
        confidence: 0.93,
        yes: Yes::Neither,
        wish: None,
        abusive: false,
        entities: vec![entity],
    };
    let event = |kind| JournalEntry::Event { call, kind, detail: "{}".into(), at: Duration::from_secs(2) };
    vec![
        JournalEntry::Admitted(Arc::new(facts.clone())),
        JournalEntry::Answered { call, rate: 8000 },
        event("engine_ready"),
        caller,
        first,
        JournalEntry::Turn { call, turn: greeting, under_way: "".into() },
        JournalEntry::Intent { call, turn: asked, understanding, at: Duration::from_secs(4) },
        action(facts, ActionState::Running),
        action(facts, ActionState::Done),
        event("engine_lost"),
        JournalEntry::Decided { call, after: AfterStream::HangUp, summary: "asked for an order".into() },
        ended(facts, EndReason::AgentEnded),
    ]
}
