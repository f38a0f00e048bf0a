//! The store as the diary that appointments stand in.

use caly_actors::domain::ClientId;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::actions::diary::{Answer, Appointment, Booked, Diary, Fault, Wish};
use crate::store::rows::AppointmentRow;
use crate::store::{Booking, BookingOutcome, Store, StoreError};

/// See the module's text.
pub(super) struct StoredDiary(pub(super) Store);

fn appointment(row: AppointmentRow) -> Appointment {
    let AppointmentRow { id, service, person, name, starts_at: from, ends_at: to, .. } = row;
    Appointment { id, service, person, name, from, to }
}

/// What the database said in so many words is told; only where it said nothing may the change have been made.
fn fault(error: StoreError) -> Fault {
    let fault = match error {
        StoreError::NotFound => Fault::Gone,
        StoreError::Conflict(_) => Fault::Changed,
        StoreError::Invalid(_) => Fault::Refused,
        StoreError::Unavailable { .. }
        | StoreError::NewerSchema(_)
        | StoreError::BrokenSchema(..)
        | StoreError::Internal(_) => Fault::NoAnswer,
    };
    match fault {
        Fault::Gone | Fault::Changed => tracing::info!(%error, "an appointment is not as its caller thinks"),
        Fault::NoAnswer | Fault::Refused => tracing::warn!(%error, "the diary did not answer"),
    }
    fault
}

impl Diary for StoredDiary {
    fn between(&self, client: ClientId, (from, to): (DateTime<Utc>, DateTime<Utc>)) -> Answer<Vec<Appointment>> {
        let store = self.0.clone();
        Box::pin(async move {
            let rows = store.appointments_between(client, from, to).await.map_err(fault)?;
            Ok(rows.into_iter().map(appointment).collect())
        })
    }

    fn of_caller(&self, client: ClientId, caller: &str, from: DateTime<Utc>) -> Answer<Vec<Appointment>> {
        let (store, caller) = (self.0.clone(), caller.to_owned());
        Box::pin(async move {
            let rows = store.appointments_of(client, &caller, from).await.map_err(fault)?;
            Ok(rows.into_iter().map(appointment).collect())
        })
    }

    fn done_by(&self, client: ClientId, key: &str) -> Answer<Option<Appointment>> {
        let (store, key) = (self.0.clone(), key.to_owned());
        Box::pin(
            async move { store.appointment_by_key(client, &key).await.map(|row| row.map(appointment)).map_err(fault) },
        )
    }

    fn book(&self, wish: Wish) -> Answer<Booked> {
        let store = self.0.clone();
        Box::pin(async move {
            let Wish { client, call, service, people, span, caller, open_max, name, key } = wish;
            let (call, caller) = (Some(call), Some(caller));
            let booking = Booking { client, call, service, people, span, caller, open_max, name, key };
            Ok(match store.book(booking).await.map_err(fault)? {
                BookingOutcome::Booked(row) => Booked::Made(appointment(*row)),
                BookingOutcome::Taken => Booked::Taken,
                BookingOutcome::TooMany => Booked::TooMany,
            })
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
            store.move_appointment(id, &key, people, span).await.map(|row| row.map(appointment)).map_err(fault)
        })
    }

    fn cancel(&self, id: Uuid, key: &str) -> Answer<()> {
        let (store, key) = (self.0.clone(), key.to_owned());
        Box::pin(async move { store.cancel_appointment(id, &key).await.map(drop).map_err(fault) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use caly_actors::ports::ActionError;

    #[test]
    fn only_what_was_not_answered_is_unknown() {
        for (error, known) in [
            (StoreError::NotFound, true),
            (StoreError::Conflict("the appointment was called off".to_owned()), true),
            (StoreError::Invalid("a check".to_owned()), true),
            (StoreError::later("cut"), false),
            (StoreError::Internal("a panic".to_owned()), false),
        ] {
            let (read, changed) = (fault(error.clone()).unread(), fault(error.clone()).undone());
            assert_eq!(matches!(changed, ActionError::Refused(_)), known, "{error}: {changed}");
            assert_eq!(matches!(changed, ActionError::Unknown(_)), !known, "{error}: {changed}");
            assert_eq!(matches!(read, ActionError::Unavailable(_)), !known, "{error}: {read}");
        }
    }
}
