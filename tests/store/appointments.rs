//! Appointments: one time of one person is booked once, whoever asks, and a repeated request finds what it did.

use caly::store::{AppointmentFilter, Booking, BookingOutcome, StoreError};
use caly_actors::domain::ClientId;
use chrono::{DateTime, TimeDelta, Utc};

use crate::database::World;

on_both_engines!(
    a_time_is_booked_once_for_each_person,
    two_hundred_who_want_one_time_make_one_booking,
    two_who_agreed_to_one_person_are_never_booked_with_another,
    an_appointment_moves_and_is_called_off_once,
    one_number_has_only_so_many_appointments_to_come,
);

fn at(hour: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap() + TimeDelta::hours(hour)
}

fn booking(client: ClientId, key: &str, hour: i64) -> Booking {
    Booking {
        client,
        call: None,
        service: "Haircut".to_owned(),
        people: vec!["Asha".to_owned(), "Ravi".to_owned()],
        span: (at(hour), at(hour + 1)),
        caller: Some("+919876543210".to_owned()),
        open_max: 50,
        name: None,
        key: key.to_owned(),
    }
}

async fn a_time_is_booked_once_for_each_person(world: &World) {
    let client = world.client("shop").await;
    let people = |outcome: BookingOutcome| outcome.booked().map_or_else(|| "taken".to_owned(), |row| row.person);
    let mut told = Vec::new();
    for (key, hour) in [("a", 10), ("b", 10), ("c", 10), ("d", 11), ("a", 10)] {
        let wish = Booking { caller: Some(format!("caller {key}")), ..booking(client, key, hour) };
        told.push(people(world.store.book(wish).await.unwrap()));
    }
    assert_eq!(told, ["Asha", "Ravi", "taken", "Asha", "Asha"], "the last is the first again");
    let other_key = Booking { caller: Some("caller b".to_owned()), ..booking(client, "z", 10) };
    assert_eq!(people(world.store.book(other_key).await.unwrap()), "Ravi", "one caller's wish is one booking");
    let half =
        Booking { span: (at(10) + TimeDelta::minutes(30), at(11) + TimeDelta::minutes(30)), ..booking(client, "e", 0) };
    assert_eq!(people(world.store.book(half).await.unwrap()), "taken", "a part of the time is enough");
    assert_eq!(world.store.appointments_between(client, at(0), at(24)).await.unwrap().len(), 3);
}

async fn two_hundred_who_want_one_time_make_one_booking(world: &World) {
    let client = world.client("shop").await;
    let wishes = (0..200).map(|number| {
        let store = world.store.clone();
        let (caller, key) = (Some(format!("caller {number}")), format!("key {number}"));
        let wish = Booking { people: vec!["Asha".to_owned()], caller, ..booking(client, &key, 10) };
        async move {
            // A database that has no connection to spare says so; the caller asks again.
            loop {
                match store.book(wish.clone()).await {
                    Err(error) if error.is_unavailable() => {}
                    outcome => return outcome.unwrap(),
                }
            }
        }
    });
    let outcomes = futures_util::future::join_all(wishes).await;
    assert_eq!(outcomes.into_iter().filter_map(BookingOutcome::booked).count(), 1);
    assert_eq!(world.store.appointments_between(client, at(0), at(24)).await.unwrap().len(), 1);
}

async fn two_who_agreed_to_one_person_are_never_booked_with_another(world: &World) {
    let client = world.client("shop").await;
    let with = |who: &str, person: &str| Booking {
        people: vec![person.to_owned()],
        caller: Some(format!("caller {who}")),
        ..booking(client, &format!("{who} with {person}"), 10)
    };
    let (one, other) = tokio::join!(world.store.book(with("a", "Asha")), world.store.book(with("b", "Asha")));
    let outcomes = [one.unwrap(), other.unwrap()];
    let taken = outcomes.iter().position(|outcome| *outcome == BookingOutcome::Taken).expect("one of them");
    let stands = outcomes[1 - taken].clone().booked().expect("the other");
    assert_eq!(stands.person, "Asha");
    let late = ["a", "b"][taken];
    assert_eq!(world.store.book(with(late, "Asha")).await.unwrap(), BookingOutcome::Taken, "under its key as well");
    let again = world.store.book(with(["b", "a"][taken], "Asha")).await.unwrap().booked();
    assert_eq!(again.as_ref(), Some(&stands), "asked again after a lost answer");
    assert_eq!(world.store.book(with(late, "Ravi")).await.unwrap().booked().unwrap().person, "Ravi", "agreed to anew");
    let to = (at(12), at(13));
    let moved = world.store.move_appointment(stands.id, "m", vec!["Ravi".to_owned()], to).await.unwrap().unwrap();
    assert_eq!(moved.person, "Ravi", "as it was agreed to");
}

async fn an_appointment_moves_and_is_called_off_once(world: &World) {
    let client = world.client("shop").await;
    let row = world.store.book(booking(client, "a", 10)).await.unwrap().booked().unwrap();
    let people = || vec!["Asha".to_owned()];
    assert!(world.store.book(booking(client, "b", 12)).await.unwrap().booked().is_some());
    let to = |hour| (at(hour), at(hour + 1));
    assert_eq!(world.store.move_appointment(row.id, "m1", people(), to(12)).await, Ok(None));
    // Half an hour later overlaps only itself.
    let half = (at(10) + TimeDelta::minutes(30), at(11) + TimeDelta::minutes(30));
    let Ok(Some(moved)) = world.store.move_appointment(row.id, "m2", people(), half).await else { panic!() };
    assert_eq!((moved.starts_at, moved.ends_at), half);
    assert_eq!(world.store.move_appointment(row.id, "m2", people(), to(15)).await, Ok(Some(moved.clone())), "again");
    let own = world.store.appointments_of(client, "+919876543210", at(0)).await.unwrap();
    assert_eq!(own.iter().map(|row| row.starts_at).collect::<Vec<_>>(), [half.0, at(12)]);
    assert!(world.store.appointments_of(client, "+919876543211", at(0)).await.unwrap().is_empty());

    let off = world.store.cancel_appointment(row.id, "c1").await.unwrap();
    assert_eq!(off.state, "cancelled");
    assert_eq!(world.store.cancel_appointment(row.id, "c2").await.unwrap(), off, "a second time changes nothing");
    let late = world.store.move_appointment(row.id, "m3", people(), to(15)).await;
    assert!(matches!(late, Err(StoreError::Conflict(_))), "{late:?}");
    assert!(world.store.book(booking(client, "e", 10)).await.unwrap().booked().is_some(), "it is free again");
    let booked =
        AppointmentFilter { client: Some(client), state: Some("booked".to_owned()), ..AppointmentFilter::default() };
    let page = world.store.list_appointments(&booked, None, 1).await.unwrap();
    let next = world.store.list_appointments(&booked, page.next.as_deref(), 5).await.unwrap();
    assert_eq!((page.items.len(), next.items.len(), next.next), (1, 1, None));
}

async fn one_number_has_only_so_many_appointments_to_come(world: &World) {
    let client = world.client("shop").await;
    let begun = Utc::now();
    let soon = |hour| (begun + TimeDelta::hours(hour), begun + TimeDelta::hours(hour + 1));
    let wish = |key: &str, hour| Booking { open_max: 2, span: soon(hour), ..booking(client, key, 0) };
    // Appointments that are over count for nothing.
    let over = wish("over", -48);
    assert!(world.store.book(over).await.unwrap().booked().is_some());
    let keys = ["a", "b", "c", "d", "e", "f"];
    let all = futures_util::future::join_all(keys.into_iter().zip(10..).map(|(key, hour)| {
        let (store, wish) = (world.store.clone(), wish(key, hour));
        async move {
            loop {
                match store.book(wish.clone()).await {
                    Err(error) if error.is_unavailable() => {}
                    outcome => return outcome.unwrap(),
                }
            }
        }
    }))
    .await;
    let many = all.iter().filter(|outcome| **outcome == BookingOutcome::TooMany).count();
    assert_eq!((many, all.len()), (4, 6), "also at the same moment");
    let rows: Vec<_> = all.into_iter().filter_map(BookingOutcome::booked).collect();
    let again = Booking { span: (rows[0].starts_at, rows[0].ends_at), ..wish(&rows[0].idempotency_key, 0) };
    assert_eq!(world.store.book(again).await.unwrap().booked().as_ref(), Some(&rows[0]), "asked again");
    let other = Booking { caller: Some("+919876543211".to_owned()), ..wish("g", 20) };
    assert!(world.store.book(other).await.unwrap().booked().is_some(), "another number has its own");
    world.store.cancel_appointment(rows[0].id, "off").await.unwrap();
    assert!(world.store.book(wish("h", 21)).await.unwrap().booked().is_some());
}
