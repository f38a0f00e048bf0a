//! Against the simulated server: sessions, lists, calls, and what goes wrong between.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::SystemTime;

use caly_actors::domain::{
    AgentId, CallFacts, CallId, CallLimits, Carrier, CarrierCallId, Direction, Party, PhoneNumber,
};
use caly_actors::ports::ActionError::{Away, Refused, Unavailable, Unknown};
use caly_actors::ports::Step;

use super::*;
use crate::sim::mcp::{McpFaults, McpOptions, McpServer as Simulated, serve};

/// A server, Caly's client of it, and an agent that may use its tools.
struct Desk {
    simulated: Simulated,
    mcp: Arc<Mcp>,
    agent: Arc<Agent>,
    client: ClientId,
}

impl Desk {
    async fn open(options: McpOptions, tools: Value) -> Self {
        let simulated = serve(options).await.unwrap();
        let mcp = Arc::new(Mcp::new(Outbound::new(None).unwrap(), vec![simulated.address.to_string()]));
        let agent = agent(&simulated.url, tools);
        Self { simulated, mcp, agent, client: ClientId::new() }
    }

    /// As the background does it.
    async fn look(&self) {
        let server = self.agent.mcp_servers[0].clone();
        let (key, wanted) = (key(&server), wanted(&server));
        self.mcp.lists.turn(key, &wanted, Instant::now());
        self.mcp.look(self.client, key, server, wanted).await;
    }

    fn offered(&self) -> Vec<ActionSpec> {
        self.mcp.specs(&self.agent)
    }

    async fn attempt(&self, name: &str, arguments: Value, key: &str, attempt: u32) -> Result<Value, ActionError> {
        let number = |text: &str| Party::Number(PhoneNumber::parse(text).unwrap());
        let facts = CallFacts {
            call: CallId::new(),
            client: self.client,
            client_slug: "shop".into(),
            agent: Arc::clone(&self.agent),
            carrier: Carrier::Exotel,
            carrier_call_id: CarrierCallId::parse("c1").unwrap(),
            caller: number("+919876543210"),
            called: number("+918047112233"),
            direction: Direction::Inbound,
            admitted_at: SystemTime::now(),
        };
        let request = ActionRequest {
            facts: Arc::new(facts),
            name: name.into(),
            arguments: Arc::new(arguments),
            idempotency_key: key.into(),
            step: Step::Do,
            attempt,
        };
        let (server, tool) = tool_of(&request).unwrap();
        let output = self.mcp.run((&server, &tool), &request).await?.output;
        Ok(serde_json::from_str(&output).unwrap())
    }

    async fn find(&self) -> Result<Value, ActionError> {
        self.attempt("crm_find_lead", json!({ "phone": "+919876543210" }), "find", 1).await
    }

    async fn create(&self, key: &str, attempt: u32) -> Result<Value, ActionError> {
        self.attempt("crm_create_lead", json!({ "name": "Arjun", "phone": "+919000000001" }), key, attempt).await
    }

    fn is_content(&self) {
        assert_eq!(self.simulated.violations(), Vec::<String>::new());
    }
}

fn agent(url: &str, tools: Value) -> Arc<Agent> {
    let headers = json!({ "Authorization": "Bearer t0ken" });
    let settings = json!({ "mcp_servers": [{ "name": "crm", "url": url, "headers": headers, "tools": tools }] });
    Arc::new(crate::agents::read(AgentId::new(), 1, "shop", &settings, &CallLimits::default()).unwrap())
}

fn both() -> Value {
    json!({ "find_lead": { "writes": false }, "create_lead": { "repeatable": true } })
}

fn strict() -> McpOptions {
    McpOptions { token: Some("t0ken".to_owned()), ..McpOptions::sandbox() }
}

#[actix_rt::test]
async fn tools_are_offered_once_listed_as_the_operator_wants_them_and_no_others() {
    let options = McpOptions { page_size: 1, ..strict() };
    let desk = Desk::open(options, json!({ "create_lead": {}, "gone": {} })).await;
    assert_eq!(desk.offered(), vec![], "nothing is known yet");
    desk.look().await;
    let offered = desk.offered();
    assert_eq!(offered.len(), 1, "{offered:?}");
    let spec = &offered[0];
    assert_eq!(
        (&*spec.tool.name, &*spec.tool.description),
        ("crm_create_lead", "Creates a lead for a person who is interested.")
    );
    assert!(spec.tool.schema.contains("\"required\":[\"name\",\"phone\"]"), "{}", spec.tool.schema);
    // Its hint says that it only reads.
    assert!(spec.writes && spec.confirm && spec.retry.attempts == 1);
    desk.is_content();
}

#[actix_rt::test]
async fn a_tool_answers_in_either_form_and_revision_in_one_session() {
    for (stream, revision) in [(false, "2025-06-18"), (true, "2025-06-18"), (false, "2025-03-26"), (true, "2025-03-26")]
    {
        let desk = Desk::open(McpOptions { stream, revision: revision.to_owned(), ..strict() }, both()).await;
        desk.look().await;
        assert_eq!(desk.offered().len(), 2);
        let found = desk.find().await.unwrap();
        assert_eq!(found["leads"][0]["name"], "Meera Shah", "{found}");
        assert_eq!(desk.create("k1", 1).await, Ok(json!({ "created": "L-2", "name": "Arjun" })));
        assert_eq!(desk.create("k2", 1).await, Err(Refused("there is a lead with this number already".to_owned())));
        let unfit = desk.attempt("crm_find_lead", json!({}), "k3", 1).await;
        assert!(matches!(&unfit, Err(Refused(why)) if why.contains("Invalid arguments")), "{unfit:?}");
        assert_eq!(desk.simulated.sessions(), (1, 1));
        if stream {
            // A ping comes before every answer, and is answered aside; the first has no session yet.
            while desk.simulated.heard_aside().0 == 0 {
                tokio::task::yield_now().await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        desk.is_content();
    }
}

#[actix_rt::test]
async fn a_server_is_told_who_asks_and_of_which_call_unless_it_shall_not_be() {
    let mut desk = Desk::open(strict(), both()).await;
    for (told, caller) in [(true, Some("+919876543210".to_owned())), (false, None)] {
        let mut agent = Agent::clone(&desk.agent);
        agent.mcp_servers[0].tell_caller = told;
        desk.agent = Arc::new(agent);
        assert!(desk.find().await.is_ok());
        // The simulated server complains where the call is told in one place and not in the other.
        assert_eq!(desk.simulated.callers().last(), Some(&caller));
    }
    desk.is_content();
}

#[actix_rt::test]
async fn a_session_that_is_lost_is_opened_anew_and_what_was_asked_is_done_once() {
    for lost_is_400 in [false, true] {
        let desk = Desk::open(strict(), both()).await;
        desk.look().await;
        let lost = |lose_session_next| McpFaults { lose_session_next, lost_is_400, ..McpFaults::default() };
        desk.simulated.set_faults(lost(1));
        assert!(desk.create("k", 1).await.is_ok());
        assert_eq!((desk.simulated.calls("create_lead"), desk.simulated.sessions().0), (1, 2));
        // Lost again and again: not tried for ever. The first of the two is spent on the notification.
        desk.simulated.set_faults(lost(9));
        assert!(desk.find().await.is_err());
        assert_eq!(desk.simulated.calls("find_lead"), 0);
        desk.simulated.set_faults(McpFaults::default());
        assert!(desk.find().await.is_ok());
        desk.is_content();
    }
}

#[actix_rt::test]
async fn the_lost_answer_of_what_writes_is_unknown_and_asked_for_by_its_key_only_where_that_is_harmless() {
    let once = json!({ "find_lead": { "writes": false }, "create_lead": { "repeatable": false } });
    for (tools, again, sent) in [
        (both(), Ok(json!({ "created": "L-2", "name": "Arjun" })), 2),
        (once, Err(Unknown("it may have been done, and must not be sent twice: look there".to_owned())), 1),
    ] {
        for stream in [false, true] {
            let desk = Desk::open(McpOptions { stream, ..strict() }, tools.clone()).await;
            desk.simulated.set_faults(McpFaults { drop_next: 1, ..McpFaults::default() });
            let lost = desk.create("k", 1).await;
            assert!(matches!(lost, Err(Unknown(_))), "{lost:?}");
            assert_eq!(desk.create("k", 2).await, again);
            assert_eq!(desk.simulated.calls("create_lead"), sent);
            assert_eq!(desk.simulated.leads().len(), 2, "once");
            desk.simulated.set_faults(McpFaults { drop_next: 1, ..McpFaults::default() });
            let lost = desk.find().await;
            assert!(matches!(lost, Err(Unavailable(_))), "{lost:?}");
            desk.is_content();
        }
    }
}

#[actix_rt::test]
async fn an_answer_that_comes_too_late_is_not_awaited_and_only_what_reads_is_called_off() {
    let tools = json!({ "find_lead": { "writes": false, "deadline_s": 0.2 }, "create_lead": { "deadline_s": 0.2 } });
    let desk = Desk::open(strict(), tools).await;
    desk.look().await;
    desk.simulated.set_faults(McpFaults { delay: Duration::from_secs(30), ..McpFaults::default() });
    let begun = Instant::now();
    assert_eq!(desk.create("k", 1).await, Err(Unknown("it took too long".to_owned())));
    assert_eq!(desk.find().await, Err(Unavailable("it took too long".to_owned())));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    while desk.simulated.heard_aside().1 == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(desk.simulated.heard_aside().1, 1, "what writes is left to end as it will");
    desk.is_content();
}

#[actix_rt::test]
async fn what_surely_did_not_happen_is_no_unknown() {
    let desk = Desk::open(strict(), both()).await;
    desk.simulated.set_faults(McpFaults { busy_next: 1, ..McpFaults::default() });
    assert_eq!(desk.create("k", 1).await, Err(Unavailable("it is busy".to_owned())), "the session could not be opened");
    desk.simulated.stop().await;
    let away = desk.create("k", 1).await;
    assert!(matches!(away, Err(Unavailable(_))), "{away:?}");

    let desk = Desk::open(McpOptions { token: Some("other".to_owned()), ..strict() }, both()).await;
    assert_eq!(desk.create("k", 1).await, Err(Refused("it refuses the credentials (401)".to_owned())));
    desk.look().await;
    assert_eq!(desk.offered(), vec![]);
    assert_eq!(desk.simulated.leads().len(), 1);
}

fn is_left_alone(result: &Result<Value, ActionError>) -> bool {
    matches!(result, Err(Away(why)) if why.contains("offer to ring back"))
}

#[actix_rt::test]
async fn a_server_that_does_not_answer_is_left_alone_for_this_client_until_a_trial_is_answered() {
    let tools = json!({ "find_lead": { "writes": false, "deadline_s": 0.2 }, "create_lead": { "deadline_s": 0.2 } });
    let late = || McpFaults { delay: Duration::from_secs(30), ..McpFaults::default() };
    let broken = || McpFaults { drop_next: 5, ..McpFaults::default() };
    let busy = || McpFaults { busy_next: 5, ..McpFaults::default() };
    for (name, faults) in [("late", late()), ("broken", broken()), ("busy", busy())] {
        let mut desk = Desk::open(strict(), tools.clone()).await;
        assert!(desk.find().await.is_ok());
        let sent = || desk.simulated.calls("find_lead") + desk.simulated.calls("create_lead");
        desk.simulated.set_faults(faults);
        for _ in 0..5 {
            let failed = desk.find().await;
            assert!(matches!(failed, Err(Unavailable(_))), "{name}: {failed:?}");
        }
        desk.simulated.set_faults(McpFaults::default());
        let before = sent();
        for failed in [desk.find().await, desk.create("k", 1).await] {
            assert!(is_left_alone(&failed), "{name}: {failed:?}");
        }
        assert_eq!((sent(), desk.simulated.leads().len()), (before, 1), "{name}");
        let own = std::mem::replace(&mut desk.client, ClientId::new());
        assert!(desk.find().await.is_ok(), "{name}: another client's session is another");
        desk.client = own;
        desk.mcp.line.breakers.age(Duration::from_secs(5));
        // Under the key of the one that was not sent.
        assert!(desk.create("k", 1).await.is_ok(), "{name}: the trial");
        assert!(desk.find().await.is_ok(), "{name}: closed again");
        assert_eq!(desk.simulated.leads().len(), 2, "{name}");
    }
}

#[actix_rt::test]
async fn a_server_that_cannot_be_reached_is_left_alone_and_one_that_refuses_is_not() {
    let desk = Desk::open(strict(), both()).await;
    for _ in 0..10 {
        let unfit = desk.attempt("crm_find_lead", json!({}), "k", 1).await;
        assert!(matches!(unfit, Err(Refused(_))), "{unfit:?}");
    }
    desk.simulated.stop().await;
    let mut asked = Vec::new();
    while asked.len() < 20 && !asked.last().is_some_and(is_left_alone) {
        asked.push(desk.find().await);
    }
    assert_eq!(asked.len(), 6, "{asked:?}");
}

#[actix_rt::test]
async fn a_server_on_an_inner_address_is_not_asked_unless_it_is_trusted() {
    let desk = Desk::open(strict(), both()).await;
    let mcp = Mcp::new(Outbound::new(None).unwrap(), vec![]);
    for url in [
        desk.simulated.url.clone(),
        desk.simulated.url.replace("http://", "https://"),
        "https://localhost/mcp".to_owned(),
    ] {
        let seen = mcp.try_server(&agent(&url, both()).mcp_servers[0]).await;
        assert!(matches!(&seen, Err(Fault::Refused(why)) if why.contains("not allowed")), "{url}: {seen:?}");
    }
    assert_eq!(desk.simulated.sessions(), (0, 0));
}

#[actix_rt::test]
async fn calls_of_one_client_share_a_session_and_clients_do_not() {
    let mut desk = Desk::open(strict(), both()).await;
    let all = futures_util::future::join_all((0..5).map(|_| desk.find())).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(desk.simulated.sessions().0, 1, "opened once, however many ask");
    desk.client = ClientId::new();
    assert!(desk.find().await.is_ok());
    assert_eq!(desk.simulated.sessions().0, 2);
    let former = &agent(&desk.simulated.url, both()).mcp_servers[0];
    let mut other = former.clone();
    other.headers.clear();
    assert_ne!(key(former), key(&other));
    desk.is_content();
}

#[actix_rt::test]
async fn a_session_that_nobody_uses_any_more_is_ended() {
    tokio::time::pause();
    let sessions = Sessions::default();
    let mcp = Mcp::new(Outbound::new(None).unwrap(), vec![]);
    let server = agent("http://127.0.0.1:1/mcp", both()).mcp_servers[0].clone();
    let whose = (ClientId::new(), key(&server));
    let opened = sessions.get(whose, &server, (&mcp.line, &mcp.numbers), Instant::now() + Duration::from_secs(1)).await;
    assert!(opened.is_err(), "there is nothing at this address");
    tokio::time::advance(Duration::from_secs(601)).await;
    assert_eq!(sessions.idle(|_, _| true).len(), 0);
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions.idle(|_, _| false).len(), 0, "none was open");
    assert_eq!(sessions.len(), 0);
}
