//! Where appointments stand, as the tools for them want it: what is written down, and what a diary answers.

use caly_actors::domain::{CallId, ClientId};
use caly_actors::ports::ActionError;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use uuid::Uuid;

/// An appointment that stands.
#[derive(Clone, PartialEq, Debug)]
pub struct Appointment {
    /// Identity.
    pub id: Uuid,
    /// What.
    pub service: String,
    /// With whom; empty where people have no names.
    pub person: String,
    /// For whom, if that was told.
    pub name: Option<String>,
    /// From when.
    pub from: DateTime<Utc>,
    /// Until when.
    pub to: DateTime<Utc>,
}

/// Something to be written down. The same key is the same thing.
#[derive(Clone, PartialEq, Debug)]
pub struct Wish {
    /// Whose diary.
    pub client: ClientId,
    /// The call.
    pub call: CallId,
    /// What.
    pub service: String,
    /// With one of these.
    pub people: Vec<String>,
    /// From when, until when.
    pub span: (DateTime<Utc>, DateTime<Utc>),
    /// E.164 of the caller.
    pub caller: String,
    /// How many appointments to come this caller may have, this one included.
    pub open_max: u16,
    /// For whom.
    pub name: Option<String>,
    /// Idempotency key.
    pub key: String,
}

/// What became of a wish.
#[derive(Clone, PartialEq, Debug)]
pub enum Booked {
    /// It stands.
    Made(Appointment),
    /// Nobody asked for is free then.
    Taken,
    /// The caller has as many as one number may have.
    TooMany,
}

/// Why a diary did not do it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// The outcome was not heard; asked again with the same key, the diary tells it.
    #[error("the diary cannot be reached right now")]
    NoAnswer,
    /// It answered, and has no such appointment.
    #[error("this appointment is not there any more: look with my_appointments what the caller has")]
    Gone,
    /// It answered, and what was asked for does not go with what stands there now.
    #[error("this appointment was called off or changed meanwhile: look with my_appointments what the caller has")]
    Changed,
    /// It answered, and does not take what was to be written down.
    #[error("the diary does not take this: offer a person")]
    Refused,
}

impl Fault {
    /// Of what was to be read: nothing is changed by that.
    #[must_use]
    pub fn unread(self) -> ActionError {
        match self {
            Self::NoAnswer => ActionError::Unavailable(self.to_string()),
            Self::Gone | Self::Changed | Self::Refused => ActionError::Refused(self.to_string()),
        }
    }

    /// Of what was to be changed: only where no answer came may it have happened.
    #[must_use]
    pub fn undone(self) -> ActionError {
        match self {
            Self::NoAnswer => ActionError::Unknown(self.to_string()),
            Self::Gone | Self::Changed | Self::Refused => ActionError::Refused(self.to_string()),
        }
    }
}

/// What a diary answers.
pub type Answer<T> = BoxFuture<'static, Result<T, Fault>>;

/// Where appointments stand. `None` from a change: nobody asked for is free then.
pub trait Diary: Send + Sync {
    /// Appointments that stand and overlap a span.
    fn between(&self, client: ClientId, span: (DateTime<Utc>, DateTime<Utc>)) -> Answer<Vec<Appointment>>;
    /// Those of a caller from a time on.
    fn of_caller(&self, client: ClientId, caller: &str, from: DateTime<Utc>) -> Answer<Vec<Appointment>>;
    /// What a key booked, or changed last.
    fn done_by(&self, client: ClientId, key: &str) -> Answer<Option<Appointment>>;
    /// Books.
    fn book(&self, wish: Wish) -> Answer<Booked>;
    /// Moves.
    fn change(
        &self,
        id: Uuid,
        key: &str,
        people: Vec<String>,
        span: (DateTime<Utc>, DateTime<Utc>),
    ) -> Answer<Option<Appointment>>;
    /// Calls off.
    fn cancel(&self, id: Uuid, key: &str) -> Answer<()>;
}
