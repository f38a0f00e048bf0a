//! What undoes a booking, a move and a calling off: each is another of the three, of one appointment that is named by its
//! identity. That stands under [`PLANNED`], where the engine cannot write.

use caly_actors::domain::Service;
use caly_actors::ports::{ActionError, PLANNED, Undo};
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::diary::Appointment;
use super::{Asked, refused};

/// Why what is named cannot be found.
const GONE: &str =
    "it was called off or changed since: look with my_appointments what the caller has, or offer a person";

impl Asked<'_> {
    /// What undoes something, if this request does.
    fn undoing(&self, name: &str) -> &Value {
        &self.request.arguments[PLANNED][name]
    }

    /// Whoever it was with is who it is to be with again.
    pub(super) fn is_undoing(&self) -> bool {
        *self.undoing("undo") == true
    }

    /// The appointment that is named by its identity, as it was left; `None`: none is named.
    pub(super) fn named(&self, own: &[Appointment]) -> Option<Result<Appointment, ActionError>> {
        let id = self.undoing("appointment").as_str()?;
        let left_at = self.undoing("left_at").as_str();
        let fits =
            |one: &&Appointment| one.id.to_string() == id && left_at.is_none_or(|left| left == self.written(one));
        Some(own.iter().find(fits).cloned().ok_or_else(|| refused(GONE)))
    }

    fn written(&self, one: &Appointment) -> String {
        self.local(one.from).format("%Y-%m-%dT%H:%M").to_string()
    }

    pub(super) fn undo_booking(&self, booked: &Appointment) -> Option<Undo> {
        Some(step("cancel_appointment", json!({}), json!({ "undo": true, "appointment": id(booked.id) })))
    }

    pub(super) fn undo_shift(&self, former: &Appointment, moved: &Appointment) -> Option<Undo> {
        let planned = json!({
            "undo": true, "appointment": id(moved.id), "left_at": self.written(moved), "person": former.person,
        });
        Some(step("move_appointment", json!({ "to": self.written(former) }), planned))
    }

    /// Only what is still offered can be booked anew.
    pub(super) fn undo_cancel(&self, one: &Appointment) -> Option<Undo> {
        let offered: &Service = self.calendar.service(Some(&one.service))?;
        let mut arguments = json!({ "service": &*offered.name, "at": self.written(one) });
        if let Some(name) = &one.name {
            arguments["name"] = json!(name);
        }
        Some(step("book_appointment", arguments, json!({ "undo": true, "person": one.person })))
    }
}

fn id(id: Uuid) -> String {
    id.to_string()
}

fn step(tool: &str, mut arguments: Value, planned: Value) -> Undo {
    arguments[PLANNED] = planned;
    Undo { tool: tool.into(), arguments }
}
