//! Tools over a book in memory: what is asked, remembered, refused and forgotten.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Mutex;
use std::time::SystemTime;

use caly_actors::domain::{AgentId, CallLimits, Carrier, CarrierCallId, Direction, Party};
use uuid::Uuid;

use super::*;

/// What is known by number, and the keys of what was done.
#[derive(Default)]
struct Memory(Mutex<BTreeMap<String, KnownCaller>>, Mutex<Vec<String>>);

impl Memory {
    fn of(&self, number: &str) -> KnownCaller {
        self.0.lock().unwrap().get(number).cloned().unwrap_or_default()
    }

    fn first_time(&self, key: &str) -> bool {
        let mut keys = self.1.lock().unwrap();
        let new = !keys.iter().any(|known| known == key);
        keys.push(key.to_owned());
        new
    }
}

fn ready<T: Send + 'static>(answer: Result<T, NoAnswer>) -> Answer<T> {
    Box::pin(std::future::ready(answer))
}

impl Book for Memory {
    fn known(&self, whose: &Whose, _: CallId, _: i32) -> Answer<Option<KnownCaller>> {
        ready(Ok(self.0.lock().unwrap().get(whose.number.as_e164()).cloned()))
    }

    fn done(&self, _: &Whose, key: &str) -> Answer<bool> {
        ready(Ok(self.1.lock().unwrap().iter().any(|known| known == key)))
    }

    fn remember(&self, whose: &Whose, told: Told, key: &str) -> Answer<()> {
        if self.first_time(key) {
            let mut all = self.0.lock().unwrap();
            let known = all.entry(whose.number.as_e164().to_owned()).or_default();
            if let Some(name) = told.name {
                known.name = Some(name.into()).filter(|name: &Arc<str>| !name.is_empty());
            }
            for (name, value) in told.facts {
                known.facts.retain(|(other, _)| **other != *name);
                known.facts.extend(value.map(|value| (name.into(), value.into())));
            }
        }
        ready(Ok(()))
    }

    fn forget(&self, whose: &Whose, key: &str) -> Answer<()> {
        if self.first_time(key) {
            self.0.lock().unwrap().remove(whose.number.as_e164());
        }
        ready(Ok(()))
    }
}

fn agent(remembers: bool) -> Agent {
    let settings = if remembers { json!({ "customers": { "remember_days": 180 } }) } else { json!({}) };
    crate::agents::read(AgentId::new(), 1, "shop", &settings, &CallLimits::default()).unwrap()
}

struct Desk {
    book: Arc<Memory>,
    agent: Arc<Agent>,
    /// What undoes the last thing that was done.
    undo: Mutex<Option<Undo>>,
}

impl Desk {
    fn new() -> Self {
        Self { book: Arc::default(), agent: Arc::new(agent(true)), undo: Mutex::default() }
    }

    async fn attempt(&self, attempt: u32, caller: Party, name: &str, arguments: Value) -> Result<Value, ActionError> {
        self.step(Step::Do, attempt, caller, name, arguments).await
    }

    async fn step(
        &self,
        step: Step,
        attempt: u32,
        caller: Party,
        name: &str,
        arguments: Value,
    ) -> Result<Value, ActionError> {
        let facts = CallFacts {
            call: CallId::new(),
            client: ClientId(Uuid::nil()),
            client_slug: "shop".into(),
            agent: Arc::clone(&self.agent),
            carrier: Carrier::Exotel,
            carrier_call_id: CarrierCallId::parse("sid").unwrap(),
            caller,
            called: Party::Withheld,
            direction: Direction::Inbound,
            admitted_at: SystemTime::now(),
        };
        let request = ActionRequest {
            facts: Arc::new(facts),
            name: name.into(),
            idempotency_key: format!("{name} {arguments}").into(),
            arguments: Arc::new(arguments),
            step,
            attempt,
        };
        let book: Arc<dyn Book> = Arc::<Memory>::clone(&self.book);
        let output = run(book, &request).await.unwrap()?;
        *self.undo.lock().unwrap() = output.undo.clone();
        assert_eq!(output.change.is_some(), name == "forget_caller" && step == Step::Do && attempt == 1);
        Ok(serde_json::from_str(&output.output).unwrap())
    }

    async fn ask(&self, number: &str, name: &str, arguments: Value) -> Result<Value, ActionError> {
        self.attempt(1, Party::Number(PhoneNumber::parse(number).unwrap()), name, arguments).await
    }

    async fn refusal(&self, name: &str, arguments: Value) -> String {
        match self.ask(MEERA, name, arguments).await {
            Err(ActionError::Refused(why)) => why,
            other => panic!("{other:?}"),
        }
    }
}

const MEERA: &str = "+919876543210";
const ARJUN: &str = "+919876543211";

#[actix_rt::test]
async fn what_a_caller_tells_is_remembered_corrected_and_forgotten() {
    let desk = Desk::new();
    let told = json!({"name": " Meera\nRao ", "facts": {"Preferred stylist": "Asha", "visits": 3, "vegan": true}});
    let answer = desk.ask(MEERA, "remember_about_caller", told).await.unwrap();
    let facts = json!(["preferred_stylist", "vegan", "visits"]);
    assert_eq!((&answer["remembered"], &answer["name"], &answer["facts"]), (&json!(true), &json!("Meera Rao"), &facts));
    let known = desk.ask(MEERA, "what_is_known", json!({})).await.unwrap();
    assert_eq!(known["name"], "Meera Rao");
    assert_eq!(known["facts"], json!({"preferred_stylist": "Asha", "visits": "3", "vegan": "true"}));
    let correction = json!({"facts": {"preferred_stylist": "Ravi", "vegan": "", "visits": null}});
    let answer = desk.ask(MEERA, "remember_about_caller", correction).await.unwrap();
    assert_eq!(answer["taken_away"], json!(["vegan", "visits"]));
    let known = desk.ask(MEERA, "what_is_known", json!({})).await.unwrap();
    assert_eq!((&known["name"], &known["facts"]), (&json!("Meera Rao"), &json!({"preferred_stylist": "Ravi"})));
    let meera = Party::Number(PhoneNumber::parse(MEERA).unwrap());
    let plan = desk.step(Step::Plan, 1, meera, "forget_caller", json!({})).await.unwrap();
    assert_eq!(plan["forget_caller"]["known"], known, "what would be forgotten is read back, and stays until then");
    assert_eq!(desk.book.of(MEERA).name.as_deref(), Some("Meera Rao"));
    assert_eq!(desk.ask(MEERA, "forget_caller", json!({})).await.unwrap(), json!({"forgotten": true}));
    assert_eq!(desk.ask(MEERA, "what_is_known", json!({})).await.unwrap()["facts"], json!({}));
}

#[actix_rt::test]
async fn secrets_and_what_does_not_fit_are_refused_with_words_and_nothing_is_kept() {
    let desk = Desk::new();
    let long = "x".repeat(301);
    let many: Map<String, Value> = (0..31).map(|at| (format!("fact_{at}"), json!("x"))).collect();
    for (arguments, why) in [
        (json!({}), "what shall be remembered?"),
        (json!({"name": " ", "facts": {}}), "what shall be remembered?"),
        (json!({"facts": {"payment": "4111 1111 1111 1111"}}), "payment is not remembered: secrets"),
        (json!({"facts": {"otp": "4821"}}), "otp is not remembered"),
        (json!({"facts": {"id_proof": "2341 2341 2346"}}), "id_proof is not remembered"),
        (json!({"facts": {"tax": "ABCPE1234F"}}), "tax is not remembered"),
        (json!({"name": "4111 1111 1111 1111"}), "name is not remembered"),
        (json!({"facts": {"good": "Asha", "password": "blue horse"}}), "password is not remembered"),
        (json!({"facts": {"note": long}}), "note is too long: at most 300"),
        (json!({"name": "x".repeat(101)}), "name is too long: at most 100"),
        (json!({"facts": {"": "x"}}), "names of facts are 1 to 40"),
        (json!({"facts": {"नाम": "x"}}), "names of facts are 1 to 40"),
        (json!({"facts": {"a".repeat(41): "x"}}), "names of facts are 1 to 40"),
        (json!({"facts": {"list": ["a"]}}), "each fact is a short text"),
        (json!({"facts": many}), "at most 30 facts"),
    ] {
        let told = desk.refusal("remember_about_caller", arguments.clone()).await;
        assert!(told.contains(why), "{arguments}: {told}");
    }
    assert_eq!(desk.book.of(MEERA), KnownCaller::default());
    let part = json!({"facts": {"payment": "by card 4111 1111 1111 1111, on Fridays"}});
    desk.ask(MEERA, "remember_about_caller", part).await.unwrap();
    assert_eq!(&*desk.book.of(MEERA).facts[0].1, "by card [card], on Fridays");
}

/// Whatever the model is persuaded to ask: a caller is the number that rings, and nothing else.
#[actix_rt::test]
async fn nobody_hears_changes_or_forgets_what_another_number_told() {
    let desk = Desk::new();
    desk.ask(ARJUN, "remember_about_caller", json!({"name": "Arjun"})).await.unwrap();
    for more in [json!({"number": ARJUN}), json!({"caller": ARJUN}), json!({"name": "Arjun", "as": "staff"})] {
        assert_eq!(desk.ask(MEERA, "what_is_known", more.clone()).await.unwrap()["name"], Value::Null);
        desk.ask(MEERA, "forget_caller", more).await.unwrap();
    }
    assert_eq!(desk.book.of(ARJUN).name.as_deref(), Some("Arjun"));
    for nobody in [Party::Withheld, Party::Sip(format!("sip:{ARJUN}@x").into()), Party::National("1800123".into())] {
        for name in TOOLS {
            let refused = desk.attempt(1, nobody.clone(), name, json!({"name": "x"})).await;
            assert!(matches!(&refused, Err(ActionError::Refused(why)) if why.contains("withheld")), "{refused:?}");
        }
    }
}

#[actix_rt::test]
async fn asked_again_after_a_lost_answer_it_tells_what_was_done_and_does_nothing() {
    let desk = Desk::new();
    let meera = || Party::Number(PhoneNumber::parse(MEERA).unwrap());
    let told = json!({"name": "Meera"});
    for (name, arguments) in [("remember_about_caller", told.clone()), ("forget_caller", json!({}))] {
        let lost = desk.attempt(2, meera(), name, arguments).await;
        assert_eq!(lost, Err(ActionError::Refused("it was not done".to_owned())));
    }
    desk.ask(MEERA, "remember_about_caller", told.clone()).await.unwrap();
    desk.ask(MEERA, "forget_caller", json!({})).await.unwrap();
    let again = desk.attempt(2, meera(), "remember_about_caller", told).await;
    assert_eq!(again, Ok(json!({"done": true})));
    assert_eq!(desk.book.of(MEERA), KnownCaller::default(), "it is not remembered again");
}

#[test]
fn tools_are_offered_only_where_callers_are_remembered() {
    let (with, without) = (agent(true), agent(false));
    assert!(TOOLS.iter().all(|name| spec(name, &without).is_none() && spec(name, &with).is_some()));
    let specs: Vec<ActionSpec> = TOOLS.iter().map(|name| spec(name, &with).unwrap()).collect();
    let writes: Vec<(bool, bool)> = specs.iter().map(|spec| (spec.writes, spec.confirm)).collect();
    assert_eq!(writes, [(true, false), (false, false), (true, true)], "who is to be forgotten must have said yes");
    assert!(TOOLS.iter().all(|name| crate::agents::BUILT_IN_TOOLS.contains(name)));
}

#[actix_rt::test]
async fn what_was_remembered_is_as_it_was_again_unless_somebody_changed_it_since() {
    let desk = Desk::new();
    let told = json!({ "name": "Meera", "facts": { "stylist": "Ravi", "tea": "no sugar" } });
    desk.ask(MEERA, "remember_about_caller", told).await.unwrap();
    let first = desk.undo.lock().unwrap().clone().unwrap();
    let before = desk.book.of(MEERA);
    let corrected = json!({ "name": "Mira", "facts": { "stylist": "Asha", "tea": "", "city": "Pune" } });
    desk.ask(MEERA, "remember_about_caller", corrected).await.unwrap();
    let second = desk.undo.lock().unwrap().clone().unwrap();
    assert_eq!(&*second.tool, "remember_about_caller");
    // The one before is undone only after this one.
    assert!(desk.refusal("remember_about_caller", first.arguments.clone()).await.contains("changed since"));
    let meera = || Party::Number(PhoneNumber::parse(MEERA).unwrap());
    let plan = desk.step(Step::Plan, 1, meera(), "remember_about_caller", second.arguments.clone()).await.unwrap();
    assert_eq!(plan["remember_about_caller"]["facts"], json!({ "city": null, "stylist": "Ravi", "tea": "no sugar" }));
    assert_eq!(desk.book.of(MEERA).name.as_deref(), Some("Mira"), "a plan changes nothing");
    desk.ask(MEERA, "remember_about_caller", second.arguments).await.unwrap();
    let known = desk.book.of(MEERA);
    let sorted = |mut known: KnownCaller| {
        known.facts.sort();
        known
    };
    assert_eq!(sorted(known), sorted(before));
    desk.ask(MEERA, "remember_about_caller", first.arguments).await.unwrap();
    assert_eq!(desk.book.of(MEERA), KnownCaller::default());
}
