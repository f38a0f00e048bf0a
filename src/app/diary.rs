//! The store as the diary that appointments stand in.

use caly_actors::domain::ClientId;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::actions::appointments::{Answer, Appointment, Diary, NoAnswer, Wish};
use crate::store::rows::AppointmentRow;
use crate::store::{Booking, Store, StoreError};

/// See the module's text.
pub(super) struct StoredDiary(pub(super) Store);

fn appointment(row: AppointmentRow) -> Appointment {
    Appointment { id: row.id, service: row.service, person: row.person, from: row.starts_at, to: row.ends_at }
}

fn no_answer(error: StoreError) -> NoAnswer {
    tracing::warn!(%error, "the diary did not answer");
    NoAnswer("the diary cannot be reached right now".to_owned())
}

impl Diary for StoredDiary {
    fn between(&self, client: ClientId, (from, to): (DateTime<Utc>, DateTime<Utc>)) -> Answer<Vec<Appointment>> {
        let store = self.0.clone();
        Box::pin(async move {
            let rows = store.appointments_between(client, from, to).await.map_err(no_answer)?;
            Ok(rows.into_iter().map(appointment).collect())
        })
    }

    fn of_caller(&self, client: ClientId, caller: &str, from: DateTime<Utc>) -> Answer<Vec<Appointment>> {
        let (store, caller) = (self.0.clone(), caller.to_owned());
        Box::pin(async move {
            let rows = store.appointments_of(client, &caller, from).await.map_err(no_answer)?;
            Ok(rows.into_iter().map(appointment).collect())
        })
    }

    fn done_by(&self, client: ClientId, key: &str) -> Answer<Option<Appointment>> {
        let (store, key) = (self.0.clone(), key.to_owned());
        Box::pin(async move {
            store.appointment_by_key(client, &key).await.map(|row| row.map(appointment)).map_err(no_answer)
        })
    }

    fn book(&self, wish: Wish) -> Answer<Option<Appointment>> {
        let store = self.0.clone();
        Box::pin(async move {
            let Wish { client, call, service, people, span, caller, name, key } = wish;
            let booking = Booking { client, call: Some(call), service, people, span, caller, name, key };
            store.book(booking).await.map(|row| row.map(appointment)).map_err(no_answer)
        })
    }

    fn change(
        &self,
        id: Uuid,
        key: &str,
        people: Vec<String>,
        span: (DateTime<Utc>, DateTime<Utc>),
    ) -> Answer<Option<Appointment>> {
        let (store, key) = (self.0.clone(), key.to_owned());
        Box::pin(async move {
            store.move_appointment(id, &key, people, span).await.map(|row| row.map(appointment)).map_err(no_answer)
        })
    }

    fn cancel(&self, id: Uuid, key: &str) -> Answer<()> {
        let (store, key) = (self.0.clone(), key.to_owned());
        Box::pin(async move { store.cancel_appointment(id, &key).await.map(drop).map_err(no_answer) })
    }
}
