//! Booking, moving and calling off in the client's own calendar. Who may change an appointment is decided here, by the
//! number the caller rings from, whatever the engine was persuaded to ask for.

#[path = "appointments_undo.rs"]
mod undo;

use std::sync::Arc;
use std::time::Duration;

use caly_actors::domain::{Agent, Busy, Calendar, ClientId, Service, Slot};
use caly_actors::ports::{
    ActionError, ActionOutput, ActionRequest, ActionSpec, PLANNED, SameAction, Step, ToolSpec, Undo,
};
use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::ONCE;
use super::diary::{Appointment, Booked, Diary, Fault, Wish};

/// The tools of this file, in the order they are offered.
pub const TOOLS: [&str; 5] =
    ["find_times", "book_appointment", "my_appointments", "move_appointment", "cancel_appointment"];
/// Free times told when the one asked for cannot be had.
const OTHERS: usize = 3;
/// How far ahead free times are looked for without an end.
const LOOK_AHEAD: TimeDelta = TimeDelta::days(7);

/// The tools of an agent that has a calendar.
pub(super) fn spec(name: &str, agent: &Agent) -> Option<ActionSpec> {
    let calendar = agent.calendar.as_ref()?;
    let names: Vec<&str> = calendar.services.iter().map(|service| &*service.name).collect();
    let people: Vec<&str> = calendar.people.iter().map(|person| &**person).filter(|name| !name.is_empty()).collect();
    let time =
        |what: &str| json!({ "type": "string", "description": format!("{what}: local time as 2026-11-21T17:00") });
    let mut choice = json!({ "service": { "type": "string", "enum": names } });
    if !people.is_empty() {
        choice["person"] =
            json!({ "type": "string", "enum": people, "description": "only if the caller wants this one" });
    }
    let with = |more: Value| {
        let mut all = choice.clone();
        for (key, value) in more.as_object().into_iter().flatten() {
            all[key] = value.clone();
        }
        all
    };
    let (description, properties, required) = match name {
        "find_times" => (
            "Free times for an appointment. Ask before you offer or book any.",
            with(json!({ "from": time("from when"), "to": time("until when") })),
            vec![],
        ),
        "book_appointment" => (
            "Book an appointment. Call it as soon as service, day and time are known: it answers what to read back.",
            with(json!({ "at": time("when it begins"), "name": { "type": "string", "description": "for whom" } })),
            vec!["at"],
        ),
        "my_appointments" => ("The caller's own appointments, by the number they ring from.", json!({}), vec![]),
        "move_appointment" => (
            "Move an appointment of the caller. It answers what to read back before anything is changed.",
            json!({ "at": time("when it is now, if they have several"), "to": time("when it shall be") }),
            vec!["to"],
        ),
        "cancel_appointment" => (
            "Call off an appointment of the caller. It answers what to read back before anything is changed.",
            json!({ "at": time("when it is, if they have several") }),
            vec![],
        ),
        _ => return None,
    };
    let schema = json!({ "type": "object", "properties": properties, "required": required });
    let tool = ToolSpec { name: name.into(), description: description.into(), schema: schema.to_string().into() };
    let writes = !matches!(name, "find_times" | "my_appointments");
    let (deadline, same) = (Duration::from_secs(8), SameAction::PerChange);
    Some(ActionSpec { tool, deadline, retry: ONCE, same, writes, confirm: writes, lasting: false, offered: true })
}

/// One request, with what it needs to know.
struct Asked<'a> {
    calendar: &'a Calendar,
    request: &'a ActionRequest,
    zone: FixedOffset,
    now: NaiveDateTime,
    diary: &'a dyn Diary,
}

/// Carries one out. `None`: it is no tool of this file, or the agent has no calendar.
pub(super) async fn run(diary: Arc<dyn Diary>, request: &ActionRequest) -> Option<Result<ActionOutput, ActionError>> {
    let agent = Arc::clone(&request.facts.agent);
    let calendar = agent.calendar.as_deref()?;
    let zone = FixedOffset::east_opt(agent.utc_offset)?;
    let now = Utc::now().with_timezone(&zone).naive_local();
    let asked = Asked { calendar, request, zone, now, diary: &*diary };
    let plain = |output: Result<Value, ActionError>| output.map(|output| (output, None));
    let output = match (&*request.name, request.step) {
        ("find_times", _) => plain(asked.find().await),
        ("my_appointments", _) => plain(asked.mine().await),
        ("book_appointment", Step::Plan) => plain(asked.plan_booking().await),
        ("move_appointment", Step::Plan) => plain(asked.plan_shift().await),
        ("cancel_appointment", Step::Plan) => {
            plain(asked.one().await.map(|one| json!({ "cancel_appointment": asked.shown(&one) })))
        }
        ("book_appointment" | "move_appointment" | "cancel_appointment", Step::Do) if request.attempt > 1 => {
            asked.again().await
        }
        ("book_appointment", Step::Do) => asked.book().await,
        ("move_appointment", Step::Do) => asked.shift().await,
        ("cancel_appointment", Step::Do) => asked.cancel().await,
        _ => return None,
    };
    Some(output.map(|(output, undo)| ActionOutput { output: output.to_string().into(), change: None, undo }))
}

/// What was done, and what undoes it.
type Done = Result<(Value, Option<Undo>), ActionError>;

fn refused(text: impl Into<String>) -> ActionError {
    ActionError::Refused(text.into())
}

fn gone() -> ActionError {
    refused("this service is not offered any more: offer a person")
}

impl Asked<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.request.arguments[name].as_str().map(str::trim).filter(|text| !text.is_empty())
    }

    /// Asked again after its answer was lost, perhaps when its call is long over: what it did is told, and nothing is done
    /// now, since "their appointment" may be another by now.
    async fn again(&self) -> Done {
        let one = self.diary.done_by(self.client(), &self.request.idempotency_key).await.map_err(Fault::undone)?;
        let one = one.ok_or_else(|| refused("it was not done"))?;
        let undo = match &*self.request.name {
            "book_appointment" => self.undo_booking(&one),
            "cancel_appointment" => self.undo_cancel(&one),
            // From when it was moved nobody knows any more.
            _ => None,
        };
        Ok((json!({ "done": true, "appointment": self.shown(&one) }), undo))
    }

    fn client(&self) -> ClientId {
        self.request.facts.client
    }

    /// A number that is only told proves nothing: whoever books for it could neither find the booking again nor change it, and
    /// its owner would find what they never asked for.
    fn booker(&self) -> Result<String, ActionError> {
        self.number().ok_or_else(|| {
            refused(
                "the caller's number is withheld, so an appointment could not be found or changed again: ask them to ring \
                 without withholding it, or offer a person or a call-back",
            )
        })
    }

    fn caller(&self) -> Result<String, ActionError> {
        self.number().ok_or_else(|| {
            refused("the caller's number is withheld, so their appointments cannot be found: offer a person")
        })
    }

    /// A real number only: what a SIP caller writes of themselves says nothing, and many write the same.
    fn number(&self) -> Option<String> {
        self.request.facts.caller.number().map(|number| number.as_e164().to_owned())
    }

    fn service(&self) -> Result<&Service, ActionError> {
        self.calendar.service(self.text("service")).ok_or_else(|| {
            let names: Vec<&str> = self.calendar.services.iter().map(|service| &*service.name).collect();
            refused(format!("which service? There are: {}", names.join(", ")))
        })
    }

    /// For whom, if that was told.
    fn name(&self) -> Option<String> {
        self.text("name").map(|name| name.chars().take(100).collect())
    }

    /// Whoever is asked for, or everybody.
    fn people(&self) -> Result<Vec<String>, ActionError> {
        let Some(name) = self.text("person") else {
            return Ok(self.calendar.people.iter().map(ToString::to_string).collect());
        };
        let person = self.calendar.person(name).ok_or_else(|| refused(format!("nobody here is called {name}")))?;
        Ok(vec![person.to_string()])
    }

    /// Whoever the plan chose and the caller was told of, if the caller named nobody; else as the tool would have it.
    fn people_agreed(&self, otherwise: Vec<String>) -> Vec<String> {
        let chosen = self.request.arguments[PLANNED]["person"].as_str().filter(|_| self.text("person").is_none());
        chosen.map_or(otherwise, |person| vec![person.to_owned()])
    }

    /// The time went to somebody else between the plan and the yes: who or what else could be had.
    async fn taken(
        &self,
        service: &Service,
        (agreed, all): (&[String], &[String]),
        at: NaiveDateTime,
        own: Option<&Appointment>,
    ) -> ActionError {
        let others = match self.free_at(service, all, at, own).await {
            Ok(others) if agreed != all => others,
            Ok(_) | Err(_) => return self.instead("that time is taken", service, all, at).await,
        };
        let (taken, free) = (agreed.join(", "), others.join(", "));
        refused(format!(
            "that time with {taken} was taken meanwhile, and nothing was changed; free at that time is: {free}. Offer this, and              ask with the same arguments, and `person` if they choose one, to have it read back again"
        ))
    }

    /// A time of day, or a day alone; an offset, if one is told, is of no account.
    fn time(&self, name: &str) -> Result<Option<NaiveDateTime>, ActionError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let plain = text.split(['+', 'Z']).next().unwrap_or_default();
        let forms = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"];
        let time = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(plain, form).ok());
        let day = || NaiveDate::parse_from_str(plain, "%Y-%m-%d").ok().map(|day| day.and_time(NaiveTime::MIN));
        time.or_else(day).map(Some).ok_or_else(|| refused(format!("{name}: give the local time as 2026-11-21T17:00")))
    }

    /// A time of day: a day alone is not enough.
    fn hour(&self, name: &str) -> Result<NaiveDateTime, ActionError> {
        let time = self.time(name)?.ok_or_else(|| refused("when?"))?;
        if self.is_day(name) { Err(refused("at what time?")) } else { Ok(time) }
    }

    /// Whether a day alone was told.
    fn is_day(&self, name: &str) -> bool {
        self.text(name).is_some_and(|text| text.len() <= 10)
    }

    fn utc(&self, local: NaiveDateTime) -> DateTime<Utc> {
        let east = TimeDelta::seconds(self.zone.local_minus_utc().into());
        (local - east).and_utc()
    }

    fn local(&self, time: DateTime<Utc>) -> NaiveDateTime {
        time.with_timezone(&self.zone).naive_local()
    }

    async fn free(
        &self,
        service: &Service,
        people: &[String],
        span: (NaiveDateTime, NaiveDateTime),
    ) -> Result<Vec<Slot>, ActionError> {
        // What began before may still last.
        let around = (self.utc(span.0 - TimeDelta::days(1)), self.utc(span.1 + TimeDelta::days(1)));
        let taken = self.diary.between(self.client(), around).await.map_err(Fault::unread)?;
        let busy =
            |one: Appointment| Busy { person: one.person.into(), from: self.local(one.from), to: self.local(one.to) };
        let busy: Vec<Busy> = taken.into_iter().map(busy).collect();
        let calendar = Calendar {
            people: self
                .calendar
                .people
                .iter()
                .filter(|person| people.iter().any(|one| **one == ***person))
                .cloned()
                .collect(),
            ..self.calendar.clone()
        };
        Ok(calendar.free(service, span, self.now, &busy))
    }

    async fn find(&self) -> Result<Value, ActionError> {
        let (service, people) = (self.service()?, self.people()?);
        let from = self.time("from")?.unwrap_or(self.now).max(self.now);
        let to = match self.time("to")? {
            // A day alone is meant with its evening.
            Some(to) if self.is_day("to") => to + TimeDelta::days(1),
            Some(to) => to + TimeDelta::minutes(1),
            None => from + LOOK_AHEAD,
        };
        let slots = self.free(service, &people, (from, to)).await?;
        let times: Vec<Value> = slots.iter().map(|slot| told(slot.at, &slot.people)).collect();
        Ok(json!({ "service": &*service.name, "minutes": service.minutes, "times": times }))
    }

    /// The time asked for as a span, or why not, with what could be had instead.
    async fn span(
        &self,
        service: &Service,
        people: &[String],
        at: NaiveDateTime,
    ) -> Result<(DateTime<Utc>, DateTime<Utc>), ActionError> {
        if let Err(why) = self.calendar.check(service, at, self.now) {
            return Err(self.instead(&why.to_string(), service, people, at).await);
        }
        let from = self.utc(at);
        Ok((from, from + TimeDelta::minutes(service.minutes.into())))
    }

    async fn instead(&self, why: &str, service: &Service, people: &[String], at: NaiveDateTime) -> ActionError {
        let begin = at.date().and_time(NaiveTime::MIN).max(self.now);
        let Ok(slots) = self.free(service, people, (begin, begin + LOOK_AHEAD)).await else { return refused(why) };
        let mut near: Vec<&Slot> = slots.iter().collect();
        near.sort_by_key(|slot| (slot.at - at).abs());
        let times: Vec<String> = near.iter().take(OTHERS).map(|slot| said(slot.at)).collect();
        refused(if times.is_empty() { why.to_owned() } else { format!("{why}; free are: {}", times.join(", ")) })
    }

    /// Those of these people who are free then; if nobody is, why not and what could be had instead.
    async fn free_at(
        &self,
        service: &Service,
        people: &[String],
        at: NaiveDateTime,
        own: Option<&Appointment>,
    ) -> Result<Vec<Arc<str>>, ActionError> {
        let (from, to) = self.span(service, people, at).await?;
        let taken = self.diary.between(self.client(), (from, to)).await.map_err(Fault::unread)?;
        let busy = |person: &str| {
            let other = |one: &&Appointment| own.is_none_or(|own| own.id != one.id);
            taken.iter().filter(other).any(|one| one.person == person)
        };
        let free: Vec<Arc<str>> = people.iter().filter(|person| !busy(person)).map(|one| one.as_str().into()).collect();
        if free.is_empty() { Err(self.instead("that time is taken", service, people, at).await) } else { Ok(free) }
    }

    /// What stands for the caller from now on.
    async fn own(&self, caller: &str) -> Result<Vec<Appointment>, ActionError> {
        self.diary.of_caller(self.client(), caller, self.utc(self.now)).await.map_err(Fault::unread)
    }

    fn too_many(&self) -> ActionError {
        let most = self.calendar.max_open;
        refused(format!(
            "the caller has {most} appointments to come, and no more are booked for one number: offer to move or call off one \
             of them (my_appointments), or a person"
        ))
    }

    async fn plan_booking(&self) -> Result<Value, ActionError> {
        let caller = self.booker()?;
        let (service, people) = (self.service()?, self.people()?);
        let at = self.hour("at")?;
        let own = self.own(&caller).await?;
        let name = self.name();
        // Booked already, it is the same wish once more: whoever else is free would make another one of it.
        let same = |one: &Appointment, people: &[String]| {
            one.service == *service.name && one.from == self.utc(at) && one.name == name && people.contains(&one.person)
        };
        let people = if self.is_undoing() { self.people_agreed(people) } else { people };
        let person: Arc<str> = match own.iter().find(|one| same(one, &people)) {
            Some(one) => one.person.as_str().into(),
            None => Arc::clone(&self.free_at(service, &people, at, None).await?[0]),
        };
        if own.len() >= usize::from(self.calendar.max_open) {
            return Err(self.too_many());
        }
        let mut booking = told(at, &[Arc::clone(&person)]);
        booking["service"] = Value::from(&*service.name);
        booking["minutes"] = Value::from(service.minutes);
        if let Some(name) = name {
            booking["name"] = Value::from(name);
        }
        Ok(json!({ "book_appointment": booking, PLANNED: { "person": &*person } }))
    }

    async fn plan_shift(&self) -> Result<Value, ActionError> {
        let to = self.hour("to")?;
        let appointment = self.one().await?;
        let service = self.calendar.service(Some(&appointment.service)).ok_or_else(gone)?;
        let people = self.people_like(&appointment)?;
        let people = if self.is_undoing() { self.people_agreed(people) } else { people };
        let free = self.free_at(service, &people, to, Some(&appointment)).await?;
        let change = json!({ "from": self.shown(&appointment), "to": told(to, &free[..1]) });
        Ok(json!({ "move_appointment": change, PLANNED: { "person": &*free[0] } }))
    }

    async fn book(&self) -> Done {
        let caller = self.booker()?;
        let (service, all) = (self.service()?, self.people()?);
        let people = self.people_agreed(all.clone());
        let at = self.hour("at")?;
        let span = self.span(service, &people, at).await?;
        let wish = Wish {
            client: self.client(),
            call: self.request.facts.call,
            service: service.name.to_string(),
            people: people.clone(),
            span,
            caller,
            open_max: self.calendar.max_open,
            name: self.name(),
            key: self.request.idempotency_key.to_string(),
        };
        match self.diary.book(wish).await.map_err(Fault::undone)? {
            Booked::Made(booked) => {
                Ok((json!({ "booked": true, "appointment": self.shown(&booked) }), self.undo_booking(&booked)))
            }
            Booked::Taken => Err(self.taken(service, (&people, &all), at, None).await),
            Booked::TooMany => Err(self.too_many()),
        }
    }

    async fn mine(&self) -> Result<Value, ActionError> {
        let own = self.own(&self.caller()?).await?;
        Ok(json!({ "appointments": own.iter().map(|one| self.shown(one)).collect::<Vec<_>>() }))
    }

    /// The caller's one appointment, or the one at the time told.
    async fn one(&self) -> Result<Appointment, ActionError> {
        let own = self.own(&self.caller()?).await?;
        if let Some(named) = self.named(&own) {
            return named;
        }
        let at = self.time("at")?;
        let fits = |one: &&Appointment| {
            let begins = self.local(one.from);
            at.is_none_or(|at| begins == at || (self.is_day("at") && begins.date() == at.date()))
        };
        let fitting: Vec<&Appointment> = own.iter().filter(fits).collect();
        match fitting[..] {
            [only] => Ok(only.clone()),
            [] => Err(refused("the caller has no such appointment under the number they ring from")),
            _ => {
                let times: Vec<String> = fitting.iter().map(|one| said(self.local(one.from))).collect();
                Err(refused(format!("which one? They have: {}", times.join(", "))))
            }
        }
    }

    /// The same person first, if they can; a name was chosen once.
    fn people_like(&self, appointment: &Appointment) -> Result<Vec<String>, ActionError> {
        let mut people = self.people()?;
        people.sort_by_key(|person| *person != appointment.person);
        Ok(people)
    }

    async fn shift(&self) -> Done {
        let to = self.hour("to")?;
        let appointment = self.one().await?;
        let service = self.calendar.service(Some(&appointment.service)).ok_or_else(gone)?;
        let all = self.people_like(&appointment)?;
        let people = self.people_agreed(all.clone());
        let span = self.span(service, &people, to).await?;
        let key = &*self.request.idempotency_key;
        match self.diary.change(appointment.id, key, people.clone(), span).await.map_err(Fault::undone)? {
            Some(moved) => {
                let undo = self.undo_shift(&appointment, &moved);
                Ok((json!({ "moved": true, "appointment": self.shown(&moved) }), undo))
            }
            None => Err(self.taken(service, (&people, &all), to, Some(&appointment)).await),
        }
    }

    async fn cancel(&self) -> Done {
        let appointment = self.one().await?;
        self.diary.cancel(appointment.id, &self.request.idempotency_key).await.map_err(Fault::undone)?;
        Ok((json!({ "cancelled": true, "appointment": self.shown(&appointment) }), self.undo_cancel(&appointment)))
    }

    fn shown(&self, one: &Appointment) -> Value {
        let people: Vec<Arc<str>> = vec![one.person.as_str().into()];
        let mut shown = told(self.local(one.from), &people);
        shown["service"] = Value::from(one.service.as_str());
        shown
    }
}

/// A time for the engine, with the weekday so that it need not reckon.
fn told(at: NaiveDateTime, people: &[Arc<str>]) -> Value {
    let mut told = json!({ "at": at.format("%Y-%m-%dT%H:%M").to_string(), "day": at.format("%A").to_string() });
    let names: Vec<&str> = people.iter().map(|person| &**person).filter(|name| !name.is_empty()).collect();
    if !names.is_empty() {
        told["with"] = json!(names);
    }
    told
}

fn said(at: NaiveDateTime) -> String {
    at.format("%A %-d %B at %H:%M").to_string()
}

#[cfg(test)]
#[path = "appointments_tests.rs"]
mod tests;
