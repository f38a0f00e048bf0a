//! Bookings, moves and callings off that are undone.

use super::*;
use caly_actors::ports::Undo;

impl Desk {
    /// Does something and gives what undoes it.
    async fn undoable(&self, name: &str, arguments: Value) -> Undo {
        self.whole(1, MEERA, name, arguments).await.unwrap().undo.unwrap()
    }

    async fn undo(&self, undo: &Undo) -> Result<Value, ActionError> {
        let plan = self.plan(MEERA, &undo.tool, undo.arguments.clone()).await?;
        assert!(plan[&*undo.tool].is_object(), "{plan}");
        self.ask(MEERA, &undo.tool, undo.arguments.clone()).await
    }

    fn standing(&self) -> Vec<(String, String, NaiveDateTime)> {
        let local = |time: DateTime<Utc>| (time + TimeDelta::seconds(19_800)).naive_utc();
        self.diary.all().into_iter().map(|(_, one)| (one.service, one.person, local(one.from))).collect()
    }
}

fn facial(hour: u32) -> Value {
    json!({ "service": "Facial", "at": at(hour, 0), "person": "Ravi", "name": "Meera" })
}

fn of(person: &str, hour: u32) -> (String, String, NaiveDateTime) {
    ("Facial".to_owned(), person.to_owned(), day().and_hms_opt(hour, 0, 0).unwrap())
}

#[actix_rt::test]
async fn a_booking_is_undone_and_no_other_of_the_caller() {
    let desk = Desk::new();
    let undo = desk.undoable("book_appointment", facial(12)).await;
    desk.undoable("book_appointment", facial(15)).await;
    assert_eq!(&*undo.tool, "cancel_appointment");
    let other = desk.ask(ARJUN, &undo.tool, undo.arguments.clone()).await;
    assert!(matches!(other, Err(ActionError::Refused(_))), "somebody else's: {other:?}");
    assert_eq!(desk.undo(&undo).await.unwrap()["cancelled"], true);
    assert_eq!(desk.standing(), [of("Ravi", 15)]);
    assert!(matches!(desk.undo(&undo).await, Err(ActionError::Refused(why)) if why.contains("called off or changed")));
}

#[actix_rt::test]
async fn a_move_is_undone_if_the_former_time_is_free_and_nothing_else_was_done_since() {
    let desk = Desk::new();
    desk.ask(MEERA, "book_appointment", facial(12)).await.unwrap();
    let undo = desk.undoable("move_appointment", json!({ "to": at(15, 0) })).await;
    assert_eq!(desk.undo(&undo).await.unwrap()["moved"], true);
    assert_eq!(desk.standing(), [of("Ravi", 12)]);

    let undo = desk.undoable("move_appointment", json!({ "to": at(15, 0) })).await;
    desk.ask(ARJUN, "book_appointment", facial(12)).await.unwrap();
    let why = format!("{:?}", desk.undo(&undo).await);
    assert!(why.contains("that time is taken; free are"), "only with whom it was: {why}");
    assert_eq!(desk.standing(), [of("Ravi", 15), of("Ravi", 12)]);

    desk.ask(MEERA, "move_appointment", json!({ "to": at(16, 0) })).await.unwrap();
    assert!(format!("{:?}", desk.undo(&undo).await).contains("changed since"));
}

#[actix_rt::test]
async fn what_was_called_off_is_booked_anew_with_the_same_person() {
    let desk = Desk::new();
    desk.ask(MEERA, "book_appointment", facial(12)).await.unwrap();
    let undo = desk.undoable("cancel_appointment", json!({})).await;
    assert_eq!(&*undo.tool, "book_appointment");
    assert!(desk.standing().is_empty());
    assert_eq!(desk.undo(&undo).await.unwrap()["booked"], true);
    assert_eq!(desk.standing(), [of("Ravi", 12)]);
    assert_eq!(desk.diary.all()[0].1.name.as_deref(), Some("Meera"));

    let undo = desk.undoable("cancel_appointment", json!({})).await;
    desk.ask(ARJUN, "book_appointment", facial(12)).await.unwrap();
    let why = format!("{:?}", desk.undo(&undo).await);
    assert!(why.contains("that time is taken"), "Asha is free, but it was with Ravi: {why}");
}

#[actix_rt::test]
async fn what_a_lost_answer_did_can_be_undone_as_far_as_it_is_known() {
    let desk = Desk::new();
    let booked = facial(12);
    desk.ask(MEERA, "book_appointment", booked.clone()).await.unwrap();
    let undo = desk.whole(2, MEERA, "book_appointment", booked).await.unwrap().undo.unwrap();
    assert_eq!(desk.undo(&undo).await.unwrap()["cancelled"], true);
}
