//! Appointments as iCalendar files (RFC 5545), for the calendars that people and phones have.

use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{TimeDelta, Utc};
use icalendar::{Calendar, Component, Event, EventLike, EventStatus, Property};

use super::super::App;
use super::super::problem::Problem;
use super::appointments::stored;
use super::auth::Caller;
use super::openapi::{ListRefusals, OneRefusals};
use super::query::Query;
use crate::store::AppointmentFilter;
use crate::store::rows::AppointmentRow;

/// Most appointments in one file.
const FILE_MAX: usize = 2000;
/// Rows asked for at once.
const PAGE: u32 = 200;

/// An appointment as a calendar file.
#[utoipa::path(get, path = "/api/v1/appointments/{id}/ics", tag = "appointments", security(("key" = [])),
    description = "iCalendar (RFC 5545). One that is called off has the status `CANCELLED`: taken in again, it leaves a calendar.",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = String, content_type = "text/calendar"), OneRefusals))]
pub async fn get_appointment_ics(
    caller: Caller,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let row = stored(&caller, &app, &id).await?;
    Ok(file(&format!("appointment-{}", row.id), &[row]))
}

/// Appointments as one calendar file, for calendars that are read anew now and then.
#[utoipa::path(get, path = "/api/v1/appointments.ics", tag = "appointments", security(("key" = [])),
    description = "iCalendar (RFC 5545), at most 2,000 appointments: those booked last.",
    params(
        ("client" = Option<String>, Query, description = "Slug or id"),
        ("from" = Option<String>, Query, format = DateTime, description = "That begin at this time or later, RFC 3339; yesterday if not given"),
        ("to" = Option<String>, Query, format = DateTime, description = "That begin before this time, RFC 3339"),
    ),
    responses((status = 200, body = String, content_type = "text/calendar"), ListRefusals))]
pub async fn list_appointments_ics(
    caller: Caller,
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query = Query::read(&request, &["client", "from", "to"])?;
    let filter = AppointmentFilter {
        state: None,
        from: query.time("from")?.or(Some(Utc::now() - TimeDelta::days(1))),
        to: query.time("to")?,
        client: query.client(&caller, &app).await?,
    };
    let (mut rows, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = caller.ask(app.store.list_appointments(&filter, cursor.as_deref(), PAGE)).await?;
        rows.extend(page.items);
        cursor = page.next;
        if cursor.is_none() || rows.len() >= FILE_MAX {
            break;
        }
    }
    Ok(file("appointments", &rows))
}

fn file(name: &str, rows: &[AppointmentRow]) -> HttpResponse {
    let mut calendar = Calendar::new();
    calendar.name("Appointments");
    rows.iter().for_each(|row| {
        calendar.push(event(row));
    });
    HttpResponse::Ok()
        .content_type("text/calendar; charset=utf-8")
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.ics\"")))
        .body(calendar.to_string())
}

/// One appointment. Its id and the time of its last change let a calendar know it again and take the newer one.
fn event(row: &AppointmentRow) -> Event {
    let whom = [row.name.as_deref(), row.caller.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(", ");
    let mut event = Event::new();
    event
        .uid(&format!("{}@caly", row.id))
        .timestamp(row.changed_at)
        .starts(row.starts_at)
        .ends(row.ends_at)
        .summary(
            &[row.service.as_str(), &whom].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" – "),
        )
        .status(if row.state == "cancelled" { EventStatus::Cancelled } else { EventStatus::Confirmed })
        .append_property(Property::new("LAST-MODIFIED", row.changed_at.format("%Y%m%dT%H%M%SZ").to_string()));
    // Grows with each change, as calendars want it.
    event.sequence(u32::try_from((row.changed_at - row.created_at).num_seconds()).unwrap_or_default());
    if !row.person.is_empty() {
        event.description(&format!("With {}", row.person));
    }
    event.done()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn row() -> AppointmentRow {
        let at = |text: &str| text.parse().expect("a time");
        AppointmentRow {
            id: Uuid::from_u128(7),
            client_id: Uuid::nil(),
            call_id: None,
            service: "Haircut; short".to_owned(),
            person: "Asha".to_owned(),
            starts_at: at("2026-11-28T05:30:00Z"),
            ends_at: at("2026-11-28T06:00:00Z"),
            caller: Some("+919876543210".to_owned()),
            name: Some("Riya\r\nATTENDEE:x".to_owned()),
            state: "booked".to_owned(),
            idempotency_key: String::new(),
            changed_by: None,
            created_at: at("2026-11-27T10:00:00Z"),
            changed_at: at("2026-11-27T10:01:30Z"),
        }
    }

    #[test]
    fn an_appointment_is_one_event_whatever_stands_in_its_name() {
        let text = event(&row()).to_string();
        let unfolded = text.replace("\r\n ", "");
        for line in [
            "UID:00000000-0000-0000-0000-000000000007@caly",
            "DTSTART:20261128T053000Z",
            "DTEND:20261128T060000Z",
            "DTSTAMP:20261127T100130Z",
            "SEQUENCE:90",
            "STATUS:CONFIRMED",
            "DESCRIPTION:With Asha",
        ] {
            assert!(unfolded.lines().any(|found| found == line), "{line} in {unfolded}");
        }
        assert!(unfolded.contains("Haircut\\; short – Riya"), "{unfolded}");
        assert!(!unfolded.lines().any(|line| line.starts_with("ATTENDEE")), "{unfolded}");
    }

    #[test]
    fn one_that_was_called_off_says_so() {
        let cancelled = AppointmentRow { state: "cancelled".to_owned(), ..row() };
        assert!(event(&cancelled).to_string().contains("STATUS:CANCELLED"));
    }
}
