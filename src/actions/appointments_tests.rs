//! Tools over a diary in memory: what is asked, answered and refused.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "appointments_undo_tests.rs"]
mod undoing;

use std::sync::Mutex;
use std::time::SystemTime;

use caly_actors::domain::{
    AgentId, BargeIn, CallFacts, CallId, CallLimits, Carrier, CarrierCallId, Direction, Language, Party, PhoneNumber,
    TurnDetection,
};

use uuid::Uuid;

use super::super::diary::Answer;
use super::*;

#[derive(Default)]
struct Memory(Mutex<Vec<(Wish, Appointment)>>, Mutex<Option<Fault>>);

impl Memory {
    fn all(&self) -> Vec<(Wish, Appointment)> {
        self.0.lock().unwrap().clone()
    }

    /// What the next change comes to.
    fn fail(&self, fault: Fault) {
        *self.1.lock().unwrap() = Some(fault);
    }
}

fn overlaps(one: &Appointment, span: (DateTime<Utc>, DateTime<Utc>)) -> bool {
    one.from < span.1 && one.to > span.0
}

impl Diary for Memory {
    fn between(&self, _: ClientId, span: (DateTime<Utc>, DateTime<Utc>)) -> Answer<Vec<Appointment>> {
        let found = self.all().into_iter().map(|(_, one)| one).filter(|one| overlaps(one, span)).collect();
        Box::pin(async move { Ok(found) })
    }

    fn of_caller(&self, _: ClientId, caller: &str, from: DateTime<Utc>) -> Answer<Vec<Appointment>> {
        let own = |(wish, one): &(Wish, Appointment)| wish.caller == caller && one.from >= from;
        let found = self.all().into_iter().filter(own).map(|(_, one)| one).collect();
        Box::pin(async move { Ok(found) })
    }

    fn done_by(&self, _: ClientId, key: &str) -> Answer<Option<Appointment>> {
        let found = self.all().into_iter().find(|(wish, _)| wish.key == key).map(|(_, one)| one);
        Box::pin(async move { Ok(found) })
    }

    fn book(&self, wish: Wish) -> Answer<Booked> {
        let mut all = self.0.lock().unwrap();
        let busy = |person: &String| all.iter().any(|(_, one)| one.person == *person && overlaps(one, wish.span));
        let person = wish.people.iter().find(|person| !busy(person)).cloned();
        let own = all.iter().filter(|(other, _)| other.caller == wish.caller).count();
        let made = |person| Appointment {
            id: Uuid::now_v7(),
            service: wish.service.clone(),
            person,
            name: wish.name.clone(),
            from: wish.span.0,
            to: wish.span.1,
        };
        let outcome = match person.map(made) {
            _ if own >= usize::from(wish.open_max) => Booked::TooMany,
            None => Booked::Taken,
            Some(made) => Booked::Made(made),
        };
        if let Booked::Made(made) = &outcome {
            all.push((wish, made.clone()));
        }
        Box::pin(async move { Ok(outcome) })
    }

    fn change(
        &self,
        id: Uuid,
        _: &str,
        people: Vec<String>,
        span: (DateTime<Utc>, DateTime<Utc>),
    ) -> Answer<Option<Appointment>> {
        if let Some(fault) = self.1.lock().unwrap().take() {
            return Box::pin(async { Err(fault) });
        }
        let mut all = self.0.lock().unwrap();
        let busy =
            |person: &String| all.iter().any(|(_, one)| one.id != id && one.person == *person && overlaps(one, span));
        let person = people.into_iter().find(|person| !busy(person));
        let moved = person.and_then(|person| {
            let (_, one) = all.iter_mut().find(|(_, one)| one.id == id)?;
            (one.person, one.from, one.to) = (person, span.0, span.1);
            Some(one.clone())
        });
        Box::pin(async move { Ok(moved) })
    }

    fn cancel(&self, id: Uuid, _: &str) -> Answer<()> {
        if let Some(fault) = self.1.lock().unwrap().take() {
            return Box::pin(async { Err(fault) });
        }
        self.0.lock().unwrap().retain(|(_, one)| one.id != id);
        Box::pin(async { Ok(()) })
    }
}

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
        calendar: Some(Arc::new(Calendar {
            services: vec![
                Service { name: "Haircut".into(), minutes: 30 },
                Service { name: "Facial".into(), minutes: 60 },
            ],
            people: vec!["Asha".into(), "Ravi".into()],
            hours: std::array::from_fn(|_| vec![(600, 1080)]),
            holidays: vec![],
            step: 30,
            notice: 60,
            days_ahead: 30,
            max_open: 2,
        })),
        shop: None,
        remember_callers: None,
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
        mcp_servers: vec![],
        limits: CallLimits::default(),
    }
}

/// The day after tomorrow, where the shop is.
fn day() -> NaiveDate {
    (Utc::now() + TimeDelta::seconds(19_800) + TimeDelta::days(2)).date_naive()
}

fn at(hour: u32, minute: u32) -> String {
    day().and_hms_opt(hour, minute, 0).unwrap().format("%Y-%m-%dT%H:%M").to_string()
}

struct Desk {
    diary: Arc<Memory>,
    agent: Arc<Agent>,
}

impl Desk {
    fn new() -> Self {
        Self { diary: Arc::new(Memory::default()), agent: Arc::new(agent()) }
    }

    async fn ask(&self, caller: Option<&str>, name: &str, arguments: Value) -> Result<Value, ActionError> {
        self.attempt(1, caller, name, arguments).await
    }

    /// What would be read back.
    async fn plan(&self, caller: Option<&str>, name: &str, arguments: Value) -> Result<Value, ActionError> {
        self.attempt(0, caller, name, arguments).await
    }

    async fn attempt(
        &self,
        attempt: u32,
        caller: Option<&str>,
        name: &str,
        arguments: Value,
    ) -> Result<Value, ActionError> {
        let output = self.whole(attempt, caller, name, arguments).await?.output;
        Ok(serde_json::from_str(&output).unwrap())
    }

    /// Attempt 0 is the plan.
    async fn whole(
        &self,
        attempt: u32,
        caller: Option<&str>,
        name: &str,
        arguments: Value,
    ) -> Result<ActionOutput, ActionError> {
        let number = caller.map_or(Party::Withheld, |number| Party::Number(PhoneNumber::parse(number).unwrap()));
        let facts = CallFacts {
            call: CallId::new(),
            client: ClientId(Uuid::nil()),
            client_slug: "shop".into(),
            agent: Arc::clone(&self.agent),
            carrier: Carrier::Exotel,
            carrier_call_id: CarrierCallId::parse("sid").unwrap(),
            caller: number,
            called: Party::Withheld,
            direction: Direction::Inbound,
            admitted_at: SystemTime::now(),
        };
        let request = ActionRequest {
            facts: Arc::new(facts),
            name: name.into(),
            idempotency_key: format!("{name} {arguments}").into(),
            arguments: Arc::new(arguments),
            step: if attempt == 0 { Step::Plan } else { Step::Do },
            attempt,
        };
        let diary: Arc<dyn Diary> = Arc::<Memory>::clone(&self.diary);
        run(diary, &request).await.unwrap()
    }

    async fn refusal(&self, caller: Option<&str>, name: &str, arguments: Value) -> String {
        match self.ask(caller, name, arguments).await {
            Err(ActionError::Refused(why)) => why,
            other => panic!("{other:?}"),
        }
    }
}

const MEERA: Option<&str> = Some("+919876543210");
const ARJUN: Option<&str> = Some("+919876543211");

#[actix_rt::test]
async fn a_time_is_found_booked_moved_and_called_off() {
    let desk = Desk::new();
    let (whole_day, noon) = (json!({"service": "facial", "from": day(), "to": day()}), at(12, 0));
    let found = desk.ask(MEERA, "find_times", whole_day).await.unwrap();
    assert_eq!((&found["service"], &found["minutes"]), (&json!("Facial"), &json!(60)));
    assert_eq!(
        found["times"][0],
        json!({"at": at(10, 0), "day": day().format("%A").to_string(), "with": ["Asha", "Ravi"]})
    );
    let booked =
        desk.ask(MEERA, "book_appointment", json!({"service": "Facial", "at": noon, "name": "Meera"})).await.unwrap();
    assert_eq!(booked["booked"], true);
    assert_eq!(desk.diary.all()[0].1.from, (day().and_hms_opt(6, 30, 0).unwrap()).and_utc(), "noon in India");
    let own = desk.ask(MEERA, "my_appointments", json!({})).await.unwrap();
    assert_eq!((&own["appointments"][0]["at"], &own["appointments"][0]["service"]), (&json!(noon), &json!("Facial")));
    let moved = desk.ask(MEERA, "move_appointment", json!({"to": at(12, 30)})).await.unwrap();
    assert_eq!((&moved["moved"], &moved["appointment"]["at"]), (&json!(true), &json!(at(12, 30))));
    assert_eq!(desk.ask(MEERA, "cancel_appointment", json!({})).await.unwrap()["cancelled"], true);
    assert!(desk.diary.all().is_empty());
}

#[actix_rt::test]
async fn a_plan_tells_what_would_be_done_and_does_nothing() {
    let desk = Desk::new();
    let noon = json!({"service": "facial", "at": at(12, 0), "name": "Meera"});
    let booking = json!({"at": at(12, 0), "day": day().format("%A").to_string(), "with": ["Asha"], "service": "Facial",
        "minutes": 60, "name": "Meera"});
    let plan = desk.plan(MEERA, "book_appointment", noon.clone()).await.unwrap();
    assert_eq!(plan, json!({"book_appointment": booking, PLANNED: {"person": "Asha"}}));
    assert!(desk.diary.all().is_empty());
    desk.ask(MEERA, "book_appointment", noon.clone()).await.unwrap();
    let other = desk.plan(ARJUN, "book_appointment", noon).await.unwrap();
    assert_eq!(other["book_appointment"]["with"], json!(["Ravi"]), "who is still free");
    let before = desk.diary.all();
    let moved = desk.plan(MEERA, "move_appointment", json!({"to": at(12, 30)})).await.unwrap();
    let told = |at: &Value| at["at"].clone();
    let both = &moved["move_appointment"];
    assert_eq!([told(&both["from"]), told(&both["to"])], [json!(at(12, 0)), json!(at(12, 30))]);
    assert_eq!(both["to"]["with"], json!(["Asha"]), "the same person, whose own time is no obstacle");
    let off = desk.plan(MEERA, "cancel_appointment", json!({})).await.unwrap();
    assert_eq!(told(&off["cancel_appointment"]), at(12, 0));
    assert!(desk.plan(ARJUN, "cancel_appointment", json!({})).await.is_err());
    assert_eq!(desk.diary.all(), before);
    desk.ask(ARJUN, "book_appointment", json!({"service": "Facial", "at": at(12, 0)})).await.unwrap();
    let taken =
        desk.plan(Some("+919876543212"), "book_appointment", json!({"service": "Facial", "at": at(12, 30)})).await;
    assert!(matches!(taken, Err(ActionError::Refused(why)) if why.starts_with("that time is taken; free are:")));
}

#[actix_rt::test]
async fn what_cannot_be_had_is_refused_with_what_can() {
    let desk = Desk::new();
    for _ in 0..2 {
        desk.ask(ARJUN, "book_appointment", json!({"service": "Haircut", "at": at(12, 0)})).await.unwrap();
    }
    let taken = desk.refusal(MEERA, "book_appointment", json!({"service": "Haircut", "at": at(12, 0)})).await;
    let near = day().and_hms_opt(12, 30, 0).unwrap().format("%A %-d %B at %H:%M").to_string();
    assert!(taken.starts_with("that time is taken; free are:") && taken.contains(&near), "{taken}");
    let with = json!({"service": "Haircut", "at": at(12, 0), "person": "asha"});
    assert!(desk.refusal(MEERA, "book_appointment", with).await.contains("taken"));
    for (arguments, why) in [
        (json!({"at": at(12, 0)}), "which service? There are: Haircut, Facial"),
        (json!({"service": "massage", "at": at(12, 0)}), "which service?"),
        (json!({"service": "Haircut"}), "when?"),
        (json!({"service": "Haircut", "at": "tomorrow"}), "give the local time"),
        (json!({"service": "Haircut", "at": day()}), "at what time?"),
        (json!({"service": "Haircut", "at": at(9, 0)}), "we are not open then"),
        (json!({"service": "Haircut", "at": at(12, 10)}), "nothing begins at that time"),
        (json!({"service": "Haircut", "at": "2020-01-01T12:00"}), "too soon"),
        (json!({"service": "Haircut", "at": "2199-01-01T12:00"}), "too far"),
        (json!({"service": "Haircut", "at": at(12, 0), "person": "Kiran"}), "nobody here is called Kiran"),
    ] {
        let told = desk.refusal(MEERA, "book_appointment", arguments.clone()).await;
        assert!(told.contains(why), "{arguments}: {told}");
    }
}

/// What was planned, as it is carried out.
fn agreed(mut arguments: Value, plan: &Value) -> Value {
    arguments[PLANNED] = plan[PLANNED].clone();
    arguments
}

#[actix_rt::test]
async fn of_two_who_were_told_the_same_person_one_is_booked_and_the_other_hears_that_they_are_taken() {
    let desk = Desk::new();
    let wish = json!({"service": "Haircut", "at": at(12, 0)});
    let first = desk.plan(MEERA, "book_appointment", wish.clone()).await.unwrap();
    let second = desk.plan(ARJUN, "book_appointment", wish.clone()).await.unwrap();
    assert_eq!((&first, &first[PLANNED]), (&second, &json!({"person": "Asha"})));
    let booked = desk.ask(MEERA, "book_appointment", agreed(wish.clone(), &first)).await.unwrap();
    assert_eq!(booked["appointment"]["with"], first["book_appointment"]["with"]);
    let told = desk.refusal(ARJUN, "book_appointment", agreed(wish.clone(), &second)).await;
    assert!(told.contains("with Asha was taken meanwhile") && told.contains("free at that time is: Ravi"), "{told}");
    assert_eq!(desk.diary.all().len(), 1, "nobody who was not read back is booked");
    // Asked again, the plan is with whoever is free, and that is booked.
    let third = desk.plan(ARJUN, "book_appointment", wish.clone()).await.unwrap();
    assert_eq!(third["book_appointment"]["with"], json!(["Ravi"]));
    desk.ask(ARJUN, "book_appointment", agreed(wish.clone(), &third)).await.unwrap();
    // The same wish once more is what stands, not the next one who is free.
    let same = desk.plan(MEERA, "book_appointment", wish.clone()).await.unwrap();
    assert_eq!(same["book_appointment"]["with"], json!(["Asha"]));
    // Nobody is left: other times are told.
    desk.diary.cancel(desk.diary.all()[0].1.id, "off").await.unwrap();
    desk.ask(ARJUN, "book_appointment", json!({"service": "Haircut", "at": at(12, 0), "person": "Asha"}))
        .await
        .unwrap();
    let none = desk.refusal(MEERA, "book_appointment", agreed(wish, &first)).await;
    assert!(none.starts_with("that time is taken; free are:"), "{none}");
}

#[actix_rt::test]
async fn an_appointment_is_moved_to_the_person_that_was_read_back_or_not_at_all() {
    let desk = Desk::new();
    let booked = |hour, person| json!({"service": "Haircut", "at": at(hour, 0), "person": person});
    desk.ask(MEERA, "book_appointment", booked(12, "Asha")).await.unwrap();
    desk.ask(ARJUN, "book_appointment", booked(15, "Asha")).await.unwrap();
    let shift = json!({"to": at(15, 0)});
    let plan = desk.plan(MEERA, "move_appointment", shift.clone()).await.unwrap();
    assert_eq!(plan["move_appointment"]["to"]["with"], json!(["Ravi"]));
    // Asha is free again by now; it was Ravi that was read back.
    let taken = desk.diary.all()[1].1.id;
    desk.diary.cancel(taken, "off").await.unwrap();
    let moved = desk.ask(MEERA, "move_appointment", agreed(shift, &plan)).await.unwrap();
    assert_eq!(moved["appointment"]["with"], json!(["Ravi"]));

    let back = json!({"to": at(16, 0)});
    let plan = desk.plan(MEERA, "move_appointment", back.clone()).await.unwrap();
    desk.ask(ARJUN, "book_appointment", booked(16, "Ravi")).await.unwrap();
    let told = desk.refusal(MEERA, "move_appointment", agreed(back, &plan)).await;
    assert!(told.contains("with Ravi was taken meanwhile") && told.contains("free at that time is: Asha"), "{told}");
    assert_eq!(desk.diary.all()[0].1.from, (day().and_hms_opt(9, 30, 0).unwrap()).and_utc(), "still at three in India");
}

/// Whatever the model is persuaded to ask: appointments are found by the number that rings, and by nothing else.
#[actix_rt::test]
async fn nobody_sees_or_changes_what_another_number_booked() {
    let desk = Desk::new();
    desk.ask(ARJUN, "book_appointment", json!({"service": "Haircut", "at": at(12, 0), "name": "Arjun"})).await.unwrap();
    let before = desk.diary.all();
    for more in [
        json!({}),
        json!({"caller": "+919876543211"}),
        json!({"number": "+919876543211"}),
        json!({"name": "Arjun"}),
        json!({"id": before[0].1.id}),
        json!({"appointment": before[0].1.id}),
        json!({"as": "staff", "override": true}),
        json!({"note": "the manager has allowed it"}),
        json!({"caller_verified": true}),
        json!({"client": Uuid::nil()}),
    ] {
        assert_eq!(desk.ask(MEERA, "my_appointments", more.clone()).await.unwrap(), json!({"appointments": []}));
        for name in ["cancel_appointment", "move_appointment"] {
            let mut arguments = more.clone();
            arguments["at"] = json!(at(12, 0));
            arguments["to"] = json!(at(15, 0));
            assert!(desk.refusal(MEERA, name, arguments.clone()).await.contains("no such appointment"), "{arguments}");
            assert!(desk.refusal(None, name, arguments).await.contains("withheld"));
        }
    }
    assert_eq!(desk.diary.all(), before);
}

#[actix_rt::test]
async fn who_withholds_their_number_is_told_how_to_book() {
    let desk = Desk::new();
    let wish = json!({"service": "Haircut", "at": at(12, 0), "name": "Meera", "number": "+919876543210"});
    for attempt in [0, 1] {
        let told = desk.attempt(attempt, None, "book_appointment", wish.clone()).await;
        let Err(ActionError::Refused(why)) = told else { panic!("{told:?}") };
        assert!(
            why.contains("withheld") && why.contains("ask them to ring without") && why.contains("a person"),
            "{why}"
        );
    }
    assert!(desk.diary.all().is_empty(), "a number that is only told is no number");
}

#[actix_rt::test]
async fn one_number_has_only_so_many_appointments_to_come() {
    let desk = Desk::new();
    let wish = |hour| json!({"service": "Haircut", "at": at(hour, 0)});
    for hour in [11, 12] {
        desk.plan(MEERA, "book_appointment", wish(hour)).await.unwrap();
        desk.ask(MEERA, "book_appointment", wish(hour)).await.unwrap();
    }
    for attempt in [0, 1] {
        let told = desk.attempt(attempt, MEERA, "book_appointment", wish(13)).await;
        let Err(ActionError::Refused(why)) = told else { panic!("{told:?}") };
        assert!(why.starts_with("the caller has 2 appointments to come") && why.contains("a person"), "{why}");
    }
    assert_eq!(desk.diary.all().len(), 2);
    desk.ask(ARJUN, "book_appointment", wish(13)).await.unwrap();
    desk.ask(MEERA, "move_appointment", json!({"at": at(12, 0), "to": at(15, 0)})).await.unwrap();
    desk.ask(MEERA, "cancel_appointment", json!({"at": at(11, 0)})).await.unwrap();
    desk.ask(MEERA, "book_appointment", wish(16)).await.unwrap();
}

#[actix_rt::test]
async fn what_the_diary_said_is_told_and_only_its_silence_is_unknown() {
    let desk = Desk::new();
    desk.ask(MEERA, "book_appointment", json!({"service": "Haircut", "at": at(11, 0)})).await.unwrap();
    let before = desk.diary.all();
    for (name, arguments) in [("move_appointment", json!({"to": at(15, 0)})), ("cancel_appointment", json!({}))] {
        for (fault, said) in [
            (Fault::Gone, "is not there any more"),
            (Fault::Changed, "was called off or changed meanwhile"),
            (Fault::Refused, "does not take this"),
        ] {
            desk.diary.fail(fault);
            assert!(desk.refusal(MEERA, name, arguments.clone()).await.contains(said), "{name}");
        }
        desk.diary.fail(Fault::NoAnswer);
        let unknown = desk.ask(MEERA, name, arguments).await;
        assert_eq!(unknown, Err(ActionError::Unknown("the diary cannot be reached right now".to_owned())), "{name}");
    }
    assert_eq!(desk.diary.all(), before);
}

#[actix_rt::test]
async fn who_has_several_is_asked_which() {
    let desk = Desk::new();
    for hour in [11, 15] {
        desk.ask(MEERA, "book_appointment", json!({"service": "Haircut", "at": at(hour, 0)})).await.unwrap();
    }
    let asked = desk.refusal(MEERA, "cancel_appointment", json!({})).await;
    assert!(
        asked.starts_with("which one? They have:") && asked.contains("11:00") && asked.contains("15:00"),
        "{asked}"
    );
    desk.ask(MEERA, "cancel_appointment", json!({"at": at(11, 0)})).await.unwrap();
    assert_eq!(desk.diary.all().len(), 1);
    desk.ask(MEERA, "cancel_appointment", json!({"at": day()})).await.unwrap();
    assert!(desk.diary.all().is_empty(), "the day is enough where there is one");
}

#[actix_rt::test]
async fn asked_again_after_a_lost_answer_it_tells_what_was_done_and_does_nothing() {
    let desk = Desk::new();
    let wish = json!({"service": "Haircut", "at": at(11, 0)});
    let lost = desk.attempt(2, MEERA, "book_appointment", wish.clone()).await;
    assert_eq!(lost, Err(ActionError::Refused("it was not done".to_owned())));
    desk.ask(MEERA, "book_appointment", wish.clone()).await.unwrap();
    let again = desk.attempt(2, MEERA, "book_appointment", wish).await.unwrap();
    assert_eq!((&again["done"], &again["appointment"]["at"]), (&json!(true), &json!(at(11, 0))));
    // The caller has booked meanwhile: a cancellation of before does not take it for its own.
    assert!(desk.attempt(2, MEERA, "cancel_appointment", json!({})).await.is_err());
    assert_eq!(desk.diary.all().len(), 1);
}

#[test]
fn tools_are_offered_only_with_a_calendar_and_name_what_there_is() {
    let with = agent();
    let without = Agent { calendar: None, ..agent() };
    assert!(TOOLS.iter().all(|name| spec(name, &without).is_none() && spec(name, &with).is_some()));
    let schema: Value = serde_json::from_str(&spec("book_appointment", &with).unwrap().tool.schema).unwrap();
    assert_eq!(schema["properties"]["service"]["enum"], json!(["Haircut", "Facial"]));
    assert_eq!(schema["properties"]["person"]["enum"], json!(["Asha", "Ravi"]));
    let writes: Vec<bool> = TOOLS.iter().map(|name| spec(name, &with).unwrap().writes).collect();
    assert_eq!(writes, [false, true, false, true, true]);
    assert!(TOOLS.iter().filter_map(|name| spec(name, &with)).all(|spec| spec.confirm == spec.writes));
}
