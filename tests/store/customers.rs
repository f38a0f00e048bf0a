//! Those who ring: counted once a call, told of only in their time, forgotten for good.

use std::time::{Duration, SystemTime};

use caly::store::recorder::Recorder;
use caly::store::rows::{CustomerDetail, CustomerRow};
use caly::store::{Booking, CustomerChange, CustomerFilter, StoreError, Telling};
use caly_actors::domain::{CallFacts, CallId, ClientId, Language, Party, PhoneNumber};
use caly_actors::ports::{Journal, JournalEntry};
use chrono::{DateTime, TimeDelta, Utc};

use crate::SOON;
use crate::database::World;
use crate::journal;

on_both_engines!(
    a_call_counts_once_however_often_it_is_written,
    calls_of_many_callers_are_counted_in_one_batch,
    what_is_told_is_kept_once_for_a_key_and_within_bounds,
    whoever_is_forgotten_is_not_brought_back_by_a_call_that_goes_on,
    what_is_over_is_told_to_nobody_and_swept_a_part_at_a_time,
    an_operator_puts_right_what_is_known,
    pages_of_customers_hold_each_once,
);

const MEERA: &str = "+919876543210";
const DAY: Duration = Duration::from_secs(86_400);

fn number(text: &str) -> PhoneNumber {
    PhoneNumber::parse(text).unwrap()
}

fn call_of(client: ClientId, caller: &str, id: &str) -> CallFacts {
    CallFacts { caller: Party::Number(number(caller)), ..journal::facts(client, id) }
}

fn met(facts: &CallFacts, language: Option<Language>) -> JournalEntry {
    let number = facts.caller.number().unwrap().clone();
    JournalEntry::CallerMet { call: facts.call, client: facts.client, number, language, keep: DAY * 180 }
}

fn record(recorder: &Recorder, entries: impl IntoIterator<Item = JournalEntry>) {
    for entry in entries {
        recorder.record(SystemTime::now(), entry);
    }
}

async fn known(world: &World, client: ClientId, caller: &str) -> Option<CustomerDetail> {
    world.store.known_customer(client, &number(caller), DateTime::<Utc>::UNIX_EPOCH).await.unwrap()
}

async fn customer(world: &World, client: ClientId, caller: &str) -> CustomerRow {
    known(world, client, caller).await.expect("known").customer
}

fn telling(client: ClientId, caller: &str, key: &str, facts: &[(&str, Option<&str>)]) -> Telling {
    Telling {
        client,
        number: number(caller),
        call: CallId::new(),
        name: None,
        facts: facts.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect(),
        keep: TimeDelta::days(180),
        key: key.to_owned(),
    }
}

fn facts_of(detail: &CustomerDetail) -> Vec<(String, String)> {
    let mut facts: Vec<_> = detail.facts.iter().map(|fact| (fact.name.clone(), fact.value.clone())).collect();
    facts.sort();
    facts
}

async fn a_call_counts_once_however_often_it_is_written(world: &World) {
    let (client, other) = (world.client("shop").await, world.client("other").await);
    let recorder = world.recorder();
    let (first, second) = (call_of(client, MEERA, "one"), call_of(client, MEERA, "two"));
    let foreign = call_of(other, MEERA, "three");
    for facts in [&first, &second, &foreign] {
        record(&recorder, [JournalEntry::Admitted(facts.clone().into())]);
    }
    // In one batch, in another batch, by another process, and again with the language at the end.
    record(&recorder, [met(&first, None), met(&second, None), met(&first, None), met(&foreign, None)]);
    assert!(recorder.flush(SOON).await);
    let row = customer(world, client, MEERA).await;
    assert_eq!((row.calls, row.language, row.last_call_id), (2, None, Some(second.call.0)));
    assert!(row.expires_at > Utc::now() + TimeDelta::days(179) && row.first_call_at <= row.last_call_at);
    record(&recorder, [met(&first, Some(Language::Hindi)), met(&second, None)]);
    assert!(recorder.flush(SOON).await);
    recorder.stop(SOON).await;
    let later = world.recorder();
    record(&later, [met(&second, Some(Language::English)), met(&first, None)]);
    assert!(later.flush(SOON).await);
    let row = customer(world, client, MEERA).await;
    assert_eq!((row.calls, row.language.as_deref()), (2, Some("en")));
    assert_eq!(customer(world, other, MEERA).await.calls, 1, "another client's customer is another");
    assert_eq!(later.snapshot().rejected, 0);
}

async fn calls_of_many_callers_are_counted_in_one_batch(world: &World) {
    let client = world.client("shop").await;
    let recorder = world.recorder();
    let callers: Vec<String> = (0..20).map(|at| format!("+9198765432{at:02}")).collect();
    let calls: Vec<CallFacts> = (0..100).map(|at| call_of(client, &callers[at % 20], &format!("call{at}"))).collect();
    record(&recorder, calls.iter().map(|facts| JournalEntry::Admitted(facts.clone().into())));
    record(&recorder, calls.iter().map(|facts| met(facts, Some(Language::Hinglish))));
    record(&recorder, calls.iter().map(|facts| met(facts, None)));
    assert!(recorder.flush(SOON).await);
    for caller in &callers {
        assert_eq!(customer(world, client, caller).await.calls, 5);
    }
    // Of a call that has no row nothing is counted, and nothing else is held up by it.
    record(&recorder, [met(&call_of(client, "+919800000000", "nowhere"), None), met(&calls[0], None)]);
    assert!(recorder.flush(SOON).await);
    assert_eq!((known(world, client, "+919800000000").await, recorder.snapshot().rejected), (None, 0));
}

async fn what_is_told_is_kept_once_for_a_key_and_within_bounds(world: &World) {
    let client = world.client("shop").await;
    let store = &world.store;
    let named = Telling { name: Some("Meera".to_owned()), ..telling(client, MEERA, "a", &[("city", Some("Pune"))]) };
    store.remember(named.clone()).await.unwrap();
    store.remember(telling(client, MEERA, "b", &[("city", Some("Delhi")), ("pet", Some("cat"))])).await.unwrap();
    store.remember(named).await.unwrap();
    let detail = known(world, client, MEERA).await.unwrap();
    assert_eq!((detail.customer.name.as_deref(), detail.customer.calls), (Some("Meera"), 0));
    let expected = [("city", "Delhi"), ("pet", "cat")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(facts_of(&detail), expected, "the first key again changes nothing");
    let made = async |key| store.customer_change_known(client, key).await.unwrap();
    assert_eq!((made("a").await, made("c").await), (true, false));
    assert!(!store.customer_change_known(world.client("other").await, "a").await.unwrap());
    store.remember(telling(client, MEERA, "c", &[("pet", None), ("none", None)])).await.unwrap();
    assert_eq!(facts_of(&known(world, client, MEERA).await.unwrap()).len(), 1);

    let names: Vec<String> = (0..30).map(|at| format!("fact_{at}")).collect();
    let many: Vec<(&str, Option<&str>)> = names.iter().map(|name| (name.as_str(), Some("x"))).collect();
    let over = store.remember(telling(client, MEERA, "d", &many)).await;
    assert!(matches!(over, Err(StoreError::Conflict(_))), "{over:?}");
    assert_eq!((facts_of(&known(world, client, MEERA).await.unwrap()).len(), made("d").await), (1, false));
    store.remember(telling(client, MEERA, "d", &many[1..])).await.unwrap();
    assert_eq!(known(world, client, MEERA).await.unwrap().facts.len(), 30);

    // Forty who tell something of one customer at a time: none is lost, and never more than thirty.
    let tell = |at: usize| {
        let (store, name) = (store.clone(), format!("other_{at}"));
        let one = telling(client, "+919876500001", &name, &[(&name, Some("x"))]);
        async move {
            loop {
                match store.remember(one.clone()).await {
                    Err(error) if error.is_unavailable() => {}
                    outcome => return outcome.is_ok(),
                }
            }
        }
    };
    let told = futures_util::future::join_all((0..40).map(tell)).await;
    assert_eq!(told.iter().filter(|told| **told).count(), 30);
    assert_eq!(known(world, client, "+919876500001").await.unwrap().facts.len(), 30);
}

async fn whoever_is_forgotten_is_not_brought_back_by_a_call_that_goes_on(world: &World) {
    let client = world.client("shop").await;
    let recorder = world.recorder();
    let (up, next) = (call_of(client, MEERA, "up"), call_of(client, MEERA, "next"));
    record(&recorder, [JournalEntry::Admitted(up.clone().into())]);
    assert!(recorder.flush(SOON).await);
    world.store.remember(telling(client, MEERA, "a", &[("city", Some("Pune"))])).await.unwrap();
    world.store.remember(telling(client, "+919876543211", "o", &[("city", Some("Pune"))])).await.unwrap();
    let from = Utc::now() + TimeDelta::hours(1);
    let booking = Booking {
        client,
        call: Some(up.call),
        service: "Haircut".to_owned(),
        people: vec!["Asha".to_owned()],
        span: (from, from + TimeDelta::hours(1)),
        caller: Some(MEERA.to_owned()),
        open_max: 5,
        name: Some("Meera".to_owned()),
        key: "b".to_owned(),
    };
    let booked = world.store.book(booking).await.unwrap().booked().unwrap();
    for _ in 0..2 {
        world.store.forget_customer(client, &number(MEERA), Some("f")).await.unwrap();
    }
    assert_eq!(known(world, client, MEERA).await, None);
    assert!(known(world, client, "+919876543211").await.is_some(), "another customer stays");
    let stands = world.store.appointment(booked.id).await.unwrap();
    assert_eq!((stands.state.as_str(), stands.caller, stands.name), ("booked", None, None));
    // The call in which they were forgotten comes to its end.
    record(&recorder, [met(&up, None), met(&up, Some(Language::Hindi))]);
    assert!(recorder.flush(SOON).await);
    assert_eq!(known(world, client, MEERA).await, None);
    // The next one is the first of somebody new. The key of the forgetting, asked again, forgets nobody.
    record(&recorder, [JournalEntry::Admitted(next.clone().into()), met(&next, None)]);
    assert!(recorder.flush(SOON).await);
    world.store.forget_customer(client, &number(MEERA), Some("f")).await.unwrap();
    let row = customer(world, client, MEERA).await;
    assert_eq!((row.calls, row.name, row.language), (1, None, None));
}

async fn what_is_over_is_told_to_nobody_and_swept_a_part_at_a_time(world: &World) {
    let client = world.client("shop").await;
    let store = &world.store;
    let brief = |caller: &str, key: &str| Telling {
        name: Some("Meera".to_owned()),
        keep: TimeDelta::milliseconds(-1),
        ..telling(client, caller, key, &[("city", Some("Pune"))])
    };
    store.remember(brief(MEERA, "a")).await.unwrap();
    assert_eq!(known(world, client, MEERA).await, None);
    let all = CustomerFilter::default();
    assert!(store.list_customers(&all, None, 9).await.unwrap().items.is_empty());
    // Whoever comes back before the sweep begins anew.
    store.remember(telling(client, MEERA, "b", &[("pet", Some("cat"))])).await.unwrap();
    let detail = known(world, client, MEERA).await.unwrap();
    assert_eq!((detail.customer.name.clone(), facts_of(&detail).len()), (None, 1));
    // A shorter time than when it was written.
    let since = Utc::now() + TimeDelta::milliseconds(1);
    assert_eq!(store.known_customer(client, &number(MEERA), since).await.unwrap(), None);

    for at in 0..520 {
        let caller = format!("+91987650{at:04}");
        store.remember(brief(&caller, &format!("k{at}"))).await.unwrap();
    }
    let swept = store.sweep_customers(Utc::now(), &[]).await.unwrap();
    assert_eq!(swept.customers, 500, "a bounded number at a time");
    let swept = store.sweep_customers(Utc::now(), &[]).await.unwrap();
    assert_eq!(swept.customers, 20);
    assert!(known(world, client, MEERA).await.is_some());
    let swept = store.sweep_customers(Utc::now(), &[(client, since)]).await.unwrap();
    assert_eq!((swept.customers, known(world, client, MEERA).await), (1, None));
    // A fact of a customer who stays goes by its own time.
    store.remember(telling(client, MEERA, "c", &[("pet", Some("cat"))])).await.unwrap();
    world.sql("UPDATE customer_facts SET expires_at = '2020-01-01T00:00:00+00:00'".to_owned()).await;
    assert_eq!(known(world, client, MEERA).await.unwrap().facts, []);
    let swept = store.sweep_customers(Utc::now(), &[]).await.unwrap();
    assert_eq!((swept.customers, swept.facts), (0, 1));
}

async fn an_operator_puts_right_what_is_known(world: &World) {
    let client = world.client("shop").await;
    let store = &world.store;
    store.remember(telling(client, MEERA, "a", &[("city", Some("Pune")), ("pet", Some("cat"))])).await.unwrap();
    let id = customer(world, client, MEERA).await.id;
    let change = CustomerChange {
        name: Some(Some("Meera".to_owned())),
        language: Some(Some(Language::Hinglish)),
        facts: [("city".to_owned(), None), ("stylist".to_owned(), Some("Asha".to_owned()))].into(),
    };
    let changed = store.change_customer(id, change.clone()).await.unwrap();
    let row = &changed.customer;
    assert_eq!((row.name.as_deref(), row.language.as_deref()), (Some("Meera"), Some("hi-Latn")));
    assert_eq!(facts_of(&changed).iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["pet", "stylist"]);
    assert!(changed.facts.iter().all(|fact| fact.expires_at == row.expires_at));
    let untouched = store.change_customer(id, CustomerChange::default()).await.unwrap();
    assert_eq!((&untouched.customer.name, &untouched.facts), (&row.name, &changed.facts));
    let bare = CustomerChange { name: Some(None), language: Some(None), ..CustomerChange::default() };
    let bare = store.change_customer(id, bare).await.unwrap().customer;
    assert_eq!((bare.name, bare.language), (None, None));
    assert_eq!(store.change_customer(uuid::Uuid::now_v7(), change).await, Err(StoreError::NotFound));
    assert_eq!(store.customer(uuid::Uuid::now_v7()).await, Err(StoreError::NotFound));
}

async fn pages_of_customers_hold_each_once(world: &World) {
    let (client, other) = (world.client("shop").await, world.client("other").await);
    for at in 0..5 {
        let caller = format!("+91987654321{at}");
        world.store.remember(telling(client, &caller, &format!("k{at}"), &[])).await.unwrap();
    }
    world.store.remember(telling(other, MEERA, "o", &[])).await.unwrap();
    let of_shop = CustomerFilter { client: Some(client), number: None };
    let (mut seen, mut cursor): (Vec<String>, Option<String>) = (Vec::new(), None);
    loop {
        let page = world.store.list_customers(&of_shop, cursor.as_deref(), 2).await.unwrap();
        seen.extend(page.items.into_iter().map(|row| row.e164));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, (0..5).rev().map(|at| format!("+91987654321{at}")).collect::<Vec<_>>());
    let meera = CustomerFilter { client: None, number: Some(MEERA.to_owned()) };
    assert_eq!(world.store.list_customers(&meera, None, 9).await.unwrap().items.len(), 2);
    assert!(matches!(world.store.list_customers(&meera, Some("x"), 9).await, Err(StoreError::Invalid(_))));
}
