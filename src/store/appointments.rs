//! What callers booked. Two who want one time of one person come one after the other, and the second is told.

use caly_actors::domain::{CallId, ClientId};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Store;
use super::cursor::{Cursor, limit, page};
use super::db::{Select, Tx, args};
use super::error::StoreError;
use super::rows::{AppointmentRow, Page};

/// Holds the client's calendar until the commit.
const LOCK: &str = "INSERT INTO calendars (client_id, changes) VALUES ($1, 1) \
    ON CONFLICT (client_id) DO UPDATE SET changes = calendars.changes + 1";
const BY_ID: &str = "SELECT * FROM appointments WHERE id = $1";
const BY_KEY: &str = "SELECT * FROM appointments WHERE idempotency_key = $1";
const DONE_BY: &str =
    "SELECT * FROM appointments WHERE client_id = $1 AND (idempotency_key = $2 OR changed_by = $2) LIMIT 1";
const BETWEEN: &str = "SELECT * FROM appointments WHERE client_id = $1 AND state = 'booked' AND starts_at < $3 AND ends_at > $2 \
    ORDER BY starts_at, id LIMIT 5000";
const OF_CALLER: &str = "SELECT * FROM appointments WHERE client_id = $1 AND caller = $2 AND state = 'booked' AND \
    starts_at >= $3 ORDER BY starts_at, id LIMIT 60";
const SAME: &str = "SELECT * FROM appointments WHERE client_id = $1 AND caller = $2 AND service = $3 AND starts_at = $4 AND \
    state = 'booked' ORDER BY id LIMIT 50";
const INSERT: &str = "INSERT INTO appointments (id, client_id, call_id, service, person, starts_at, ends_at, caller, name, state, \
    idempotency_key, changed_by, created_at, changed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'booked', $10, NULL, $11, $11)";
const MOVE: &str = "UPDATE appointments SET person = $2, starts_at = $3, ends_at = $4, changed_by = $5, changed_at = $6 \
    WHERE id = $1 AND state = 'booked'";
const CANCEL: &str = "UPDATE appointments SET state = 'cancelled', changed_by = $2, changed_at = $3 WHERE id = $1 AND \
    state = 'booked'";

/// Something to be booked.
#[derive(Clone, PartialEq, Debug)]
pub struct Booking {
    /// Whose calendar.
    pub client: ClientId,
    /// The call it is booked in.
    pub call: Option<CallId>,
    /// What.
    pub service: String,
    /// With whom: the first of these who is free.
    pub people: Vec<String>,
    /// From when, until when.
    pub span: (DateTime<Utc>, DateTime<Utc>),
    /// E.164 of the caller.
    pub caller: Option<String>,
    /// How many appointments to come the caller may have, this one included; at most 50.
    pub open_max: u16,
    /// For whom.
    pub name: Option<String>,
    /// The same key is the same booking.
    pub key: String,
}

/// What became of a booking.
#[derive(Clone, PartialEq, Debug)]
pub enum BookingOutcome {
    /// It stands.
    Booked(Box<AppointmentRow>),
    /// Nobody asked for is free then.
    Taken,
    /// The caller has as many to come as they may have.
    TooMany,
}

impl BookingOutcome {
    /// The appointment, if it stands.
    #[must_use]
    pub fn booked(self) -> Option<AppointmentRow> {
        match self {
            Self::Booked(row) => Some(*row),
            Self::Taken | Self::TooMany => None,
        }
    }
}

/// Which appointments to list.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct AppointmentFilter {
    /// Of this client.
    pub client: Option<ClientId>,
    /// `booked` or `cancelled`.
    pub state: Option<String>,
    /// That begin at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// That begin before this time.
    pub to: Option<DateTime<Utc>>,
}

impl Store {
    /// Books, once for a key however often it is asked.
    ///
    /// # Errors
    /// As every query. After a lost answer it may have been booked: ask again with the key.
    pub async fn book(&self, booking: Booking) -> Result<BookingOutcome, StoreError> {
        let id = Uuid::now_v7();
        self.run(move |db| {
            let booking = booking.clone();
            async move {
                let mut tx = db.begin().await?;
                tx.execute(LOCK, args![booking.client.0]).await?;
                if let Some(row) = tx.fetch_optional(BY_KEY, args![booking.key.clone()]).await? {
                    return Ok(BookingOutcome::Booked(Box::new(row)));
                }
                // The same caller's same wish under another key is not another one; for somebody else, or with somebody else, it is.
                let mine = args![booking.client.0, booking.caller.clone(), booking.service.clone(), booking.span.0];
                if booking.caller.is_some() {
                    let rows: Vec<AppointmentRow> = tx.fetch_all(SAME, mine).await?;
                    let same = |row: &AppointmentRow| row.name == booking.name && booking.people.contains(&row.person);
                    if let Some(row) = rows.into_iter().find(same) {
                        return Ok(BookingOutcome::Booked(Box::new(row)));
                    }
                    let open = args![booking.client.0, booking.caller.clone(), Utc::now()];
                    let open: Vec<AppointmentRow> = tx.fetch_all(OF_CALLER, open).await?;
                    if open.len() >= usize::from(booking.open_max) {
                        return Ok(BookingOutcome::TooMany);
                    }
                }
                let Some(person) = first_free(&mut tx, booking.client, &booking.people, booking.span, None).await?
                else {
                    return Ok(BookingOutcome::Taken);
                };
                let (starts_at, ends_at) = booking.span;
                let call = booking.call.map(|call| call.0);
                let values = args![
                    id,
                    booking.client.0,
                    call,
                    booking.service,
                    person,
                    starts_at,
                    ends_at,
                    booking.caller,
                    booking.name,
                    booking.key,
                    Utc::now(),
                ];
                tx.execute(INSERT, values).await?;
                let row = tx.fetch_optional(BY_ID, args![id]).await?.ok_or(StoreError::NotFound)?;
                tx.commit().await?;
                Ok(BookingOutcome::Booked(Box::new(row)))
            }
        })
        .await
    }

    /// Moves an appointment that stands, once for a key. `None`: nobody asked for is free then.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] if it was called off.
    pub async fn move_appointment(
        &self,
        id: Uuid,
        key: &str,
        people: Vec<String>,
        span: (DateTime<Utc>, DateTime<Utc>),
    ) -> Result<Option<AppointmentRow>, StoreError> {
        let key = key.to_owned();
        self.run(move |db| {
            let (key, people) = (key.clone(), people.clone());
            async move {
                let mut tx = db.begin().await?;
                let row = locked(&mut tx, id).await?;
                if row.changed_by.as_ref() == Some(&key) {
                    return Ok(Some(row));
                }
                if row.state != "booked" {
                    return Err(StoreError::Conflict("the appointment was called off".to_owned()));
                }
                let Some(person) = first_free(&mut tx, ClientId(row.client_id), &people, span, Some(id)).await? else {
                    return Ok(None);
                };
                if tx.execute(MOVE, args![id, person, span.0, span.1, key, Utc::now()]).await? == 0 {
                    return Err(StoreError::Conflict("the appointment was called off".to_owned()));
                }
                let row = tx.fetch_optional(BY_ID, args![id]).await?.ok_or(StoreError::NotFound)?;
                tx.commit().await?;
                Ok(Some(row))
            }
        })
        .await
    }

    /// Calls an appointment off. Done twice, the second time changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn cancel_appointment(&self, id: Uuid, key: &str) -> Result<AppointmentRow, StoreError> {
        self.execute(CANCEL, args![id, key.to_owned(), Utc::now()]).await?;
        self.appointment(id).await
    }

    /// The appointment that a key booked, or changed last.
    ///
    /// # Errors
    /// As every query.
    pub async fn appointment_by_key(&self, client: ClientId, key: &str) -> Result<Option<AppointmentRow>, StoreError> {
        self.optional(DONE_BY, args![client.0, key.to_owned()]).await
    }

    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn appointment(&self, id: Uuid) -> Result<AppointmentRow, StoreError> {
        self.optional(BY_ID, args![id]).await?.ok_or(StoreError::NotFound)
    }

    /// Appointments that stand and overlap a time, at most 5,000.
    ///
    /// # Errors
    /// As every query.
    pub async fn appointments_between(
        &self,
        client: ClientId,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<Vec<AppointmentRow>, StoreError> {
        self.all(BETWEEN, args![client.0, from, to]).await
    }

    /// Appointments of a caller that stand and begin from a time on, the next 60.
    ///
    /// # Errors
    /// As every query.
    pub async fn appointments_of(
        &self,
        client: ClientId,
        caller: &str,
        from: DateTime<Utc>,
    ) -> Result<Vec<AppointmentRow>, StoreError> {
        self.all(OF_CALLER, args![client.0, caller.to_owned(), from]).await
    }

    /// Appointments, the one booked last first.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a cursor that is none.
    pub async fn list_appointments(
        &self,
        filter: &AppointmentFilter,
        cursor: Option<&str>,
        size: u32,
    ) -> Result<Page<AppointmentRow>, StoreError> {
        let mut select = Select::new("SELECT * FROM appointments")
            .and_some("client_id = ?", filter.client.map(|client| client.0))
            .and_some("state = ?", filter.state.clone())
            .and_some("starts_at >= ?", filter.from)
            .and_some("starts_at < ?", filter.to);
        if let Some(last) = Cursor::decode(cursor)? {
            select = select.and("id < ?", args![last.id]);
        }
        let (sql, values) = select.finish("ORDER BY id DESC", limit(size));
        Ok(page(self.all(sql, values).await?, size, |row: &AppointmentRow| (row.created_at, row.id)))
    }
}

/// An appointment as it is while its calendar is held.
async fn locked(tx: &mut Tx, id: Uuid) -> Result<AppointmentRow, StoreError> {
    let row: AppointmentRow = tx.fetch_optional(BY_ID, args![id]).await?.ok_or(StoreError::NotFound)?;
    tx.execute(LOCK, args![row.client_id]).await?;
    tx.fetch_optional(BY_ID, args![id]).await?.ok_or(StoreError::NotFound)
}

/// The first of some people who has nothing else in a span, leaving one appointment out.
async fn first_free(
    tx: &mut Tx,
    client: ClientId,
    people: &[String],
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    except: Option<Uuid>,
) -> Result<Option<String>, StoreError> {
    let taken: Vec<AppointmentRow> = tx.fetch_all(BETWEEN, args![client.0, from, to]).await?;
    let busy = |person: &String| taken.iter().any(|row| row.person == *person && Some(row.id) != except);
    Ok(people.iter().find(|person| !busy(person)).cloned())
}
