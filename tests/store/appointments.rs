//! Appointments: one time of one person is booked once, whoever asks, and a repeated request finds what it did.

use caly::store::rows::AppointmentRow;
use caly::store::{AppointmentFilter, Booking};
use caly_actors::domain::ClientId;
use chrono::{DateTime, TimeDelta, Utc};

use crate::database::World;

on_both_engines!(
    a_time_is_booked_once_for_each_person,
    two_hundred_who_want_one_time_make_one_booking,
    an_appointment_moves_and_is_called_off_once,
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
        name: None,
        key: key.to_owned(),
    }
}

async fn a_time_is_booked_once_for_each_person(world: &World) {
    let client = world.client("shop").await;
    let people =
        |booked: &Option<AppointmentRow>| booked.as_ref().map_or_else(|| "taken".to_owned(), |row| row.person.clone());
    let mut told = Vec::new();
    for (key, hour) in [("a", 10), ("b", 10), ("c", 10), ("d", 11), ("a", 10)] {
        let wish = Booking { caller: Some(format!("caller {key}")), ..booking(client, key, hour) };
        told.push(people(&world.store.book(wish).await.unwrap()));
    }
    assert_eq!(told, ["Asha", "Ravi", "taken", "Asha", "Asha"], "the last is the first again");
    let other_key = Booking { caller: Some("caller b".to_owned()), ..booking(client, "z", 10) };
    assert_eq!(people(&world.store.book(other_key).await.unwrap()), "Ravi", "one caller's wish is one booking");
    let half =
        Booking { span: (at(10) + TimeDelta::minutes(30), at(11) + TimeDelta::minutes(30)), ..booking(client, "e", 0) };
    assert_eq!(people(&world.store.book(half).await.unwrap()), "taken", "a part of the time is enough");
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
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_some()).count(), 1);
    assert_eq!(world.store.appointments_between(client, at(0), at(24)).await.unwrap().len(), 1);
}

async fn an_appointment_moves_and_is_called_off_once(world: &World) {
    let client = world.client("shop").await;
    let Some(row) = world.store.book(booking(client, "a", 10)).await.unwrap() else { panic!("taken") };
    let people = || vec!["Asha".to_owned()];
    let Some(_) = world.store.book(booking(client, "b", 12)).await.unwrap() else { panic!("taken") };
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
    assert!(world.store.move_appointment(row.id, "m3", people(), to(15)).await.is_err());
    let Some(_) = world.store.book(booking(client, "e", 10)).await.unwrap() else { panic!("it is free again") };
    let booked =
        AppointmentFilter { client: Some(client), state: Some("booked".to_owned()), ..AppointmentFilter::default() };
    let page = world.store.list_appointments(&booked, None, 1).await.unwrap();
    let next = world.store.list_appointments(&booked, page.next.as_deref(), 5).await.unwrap();
    assert_eq!((page.items.len(), next.items.len(), next.next), (1, 1, None));
}
