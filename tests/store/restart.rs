//! What a process finds that the one before it left open.

use std::time::{Duration, SystemTime};

use caly_actors::domain::{ActionState, EndReason, Usage};
use caly_actors::ports::{Journal, JournalEntry};
use chrono::{TimeDelta, Utc};

use crate::database::World;
use crate::{SOON, journal};

on_both_engines!(
    a_call_taken_up_again_is_open_and_ends_as_it_ends,
    only_an_interrupted_call_can_be_taken_up,
    what_a_call_has_cost_is_there_before_its_end,
    actions_left_half_done_are_found_until_their_outcome_is_known,
    what_was_agreed_to_is_begun_after_a_crash_and_what_was_not_is_withdrawn,
    an_action_begun_after_its_call_is_asked_about_once_it_is_overdue,
    an_action_that_failed_cleanly_may_be_done_later,
);

async fn a_call_taken_up_again_is_open_and_ends_as_it_ends(world: &World) {
    let facts = journal::facts(world.client("shop").await, "back");
    let recorder = world.recorder();
    let now = SystemTime::now();
    recorder.record(now, JournalEntry::Admitted(facts.clone().into()));
    recorder.record(now, JournalEntry::Answered { call: facts.call, rate: 8000 });
    assert!(recorder.flush(SOON).await);
    let interrupted = world.store.interrupt_open_calls(Utc::now(), &[]).await.unwrap();
    assert_eq!((interrupted.len(), interrupted[0].state.as_str()), (1, "live"), "as it was before");
    assert!(world.store.interrupt_open_calls(Utc::now(), &[]).await.unwrap().is_empty());
    recorder.record(now, JournalEntry::TakenUp { call: facts.call, at: Duration::from_secs(30) });
    assert!(recorder.flush(SOON).await);
    let detail = world.store.call_detail(facts.call).await.unwrap();
    assert_eq!((detail.call.state.as_str(), detail.call.end_reason, detail.call.ended_at), ("admitted", None, None));
    let kinds: Vec<_> = detail.events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["interrupted", "taken_up"]);
    recorder.record(now, journal::ended(&facts, EndReason::CallerHungUp));
    assert!(recorder.flush(SOON).await);
    let call = world.store.call_detail(facts.call).await.unwrap().call;
    assert_eq!((call.end_reason.as_deref(), call.ended_by.as_deref()), (Some("caller_hung_up"), Some("caly")));
}

async fn only_an_interrupted_call_can_be_taken_up(world: &World) {
    let facts = journal::facts(world.client("shop").await, "over");
    let recorder = world.recorder();
    crate::recorder::record_call(&recorder, &facts);
    recorder.record(SystemTime::now(), JournalEntry::TakenUp { call: facts.call, at: Duration::from_secs(30) });
    assert!(recorder.flush(SOON).await);
    let call = world.store.call_detail(facts.call).await.unwrap().call;
    assert_eq!((call.state.as_str(), call.end_reason.as_deref()), ("ended", Some("agent_ended")));
}

async fn what_a_call_has_cost_is_there_before_its_end(world: &World) {
    let facts = journal::facts(world.client("shop").await, "spent");
    let recorder = world.recorder();
    recorder.record(SystemTime::now(), JournalEntry::Admitted(facts.clone().into()));
    let spent = |micro_usd| JournalEntry::Spent {
        call: facts.call,
        usage: Usage { audio_in: 5, cost_micro_usd: micro_usd, ..Usage::default() },
    };
    recorder.record(SystemTime::now(), spent(10));
    recorder.record(SystemTime::now(), spent(25));
    assert!(recorder.flush(SOON).await);
    let call = world.store.call_detail(facts.call).await.unwrap().call;
    assert_eq!((call.cost_micro_usd, call.audio_in), (25, 5));
    recorder.record(SystemTime::now(), journal::ended(&facts, EndReason::AgentEnded));
    recorder.record(SystemTime::now(), spent(99));
    assert!(recorder.flush(SOON).await);
    assert_eq!(
        world.store.call_detail(facts.call).await.unwrap().call.cost_micro_usd,
        1234,
        "the end has the last word"
    );
}

async fn actions_left_half_done_are_found_until_their_outcome_is_known(world: &World) {
    let facts = journal::facts(world.client("shop").await, "half");
    let recorder = world.recorder();
    let day_ago = Utc::now() - TimeDelta::hours(24);
    recorder.record(SystemTime::now(), JournalEntry::Admitted(facts.clone().into()));
    recorder.record(SystemTime::now(), journal::action(&facts, ActionState::Running));
    assert!(recorder.flush(SOON).await);
    let left = || world.store.unanswered_actions(day_ago, Utc::now() - TimeDelta::minutes(1));
    assert!(left().await.unwrap().is_empty(), "it is running, its call is still up");
    world.store.interrupt_open_calls(Utc::now(), &[]).await.unwrap();
    for _ in 0..2 {
        let found = left().await.unwrap();
        assert_eq!((found.len(), found[0].state.as_str()), (1, "unknown"), "also after a second crash");
        let now = Utc::now();
        assert!(world.store.unanswered_actions(now, now).await.unwrap().is_empty(), "too old");
        world.store.interrupt_open_calls(Utc::now(), &[]).await.unwrap();
    }
    recorder.record(SystemTime::now(), journal::action(&facts, ActionState::Done));
    assert!(recorder.flush(SOON).await);
    assert!(left().await.unwrap().is_empty());
    assert_eq!(world.store.call_detail(facts.call).await.unwrap().actions[0].state, "done");
}

/// What the caller agreed to and nobody began is found when its call is over; what they did not agree to is withdrawn.
async fn what_was_agreed_to_is_begun_after_a_crash_and_what_was_not_is_withdrawn(world: &World) {
    let client = world.client("shop").await;
    let recorder = world.recorder();
    for (sid, state, expected) in
        [("yes", ActionState::Confirmed, "confirmed"), ("asked", ActionState::Proposed, "withdrawn")]
    {
        let facts = journal::facts(client, sid);
        recorder.record(SystemTime::now(), JournalEntry::Admitted(facts.clone().into()));
        recorder.record(SystemTime::now(), journal::action(&facts, ActionState::Proposed));
        recorder.record(SystemTime::now(), journal::action(&facts, state));
        assert!(recorder.flush(SOON).await);
        world.store.interrupt_open_calls(Utc::now(), &[]).await.unwrap();
        let action = &world.store.call_detail(facts.call).await.unwrap().actions[0];
        assert_eq!(action.state, expected);
    }
    let now = Utc::now();
    let left = world.store.unanswered_actions(now - TimeDelta::hours(1), now - TimeDelta::minutes(1)).await.unwrap();
    assert_eq!(left.iter().map(|row| row.state.as_str()).collect::<Vec<_>>(), ["confirmed"]);
}

/// An action begun for an operator has no call to end it: whoever ran it may be gone.
async fn an_action_begun_after_its_call_is_asked_about_once_it_is_overdue(world: &World) {
    let facts = journal::facts(world.client("shop").await, "late");
    let recorder = world.recorder();
    recorder.record(SystemTime::now(), JournalEntry::Admitted(facts.clone().into()));
    recorder.record(SystemTime::now(), journal::ended(&facts, EndReason::AgentEnded));
    recorder.record(SystemTime::now(), journal::action(&facts, ActionState::Running));
    assert!(recorder.flush(SOON).await);
    let (now, hour) = (Utc::now(), TimeDelta::hours(1));
    let left = |before| world.store.unanswered_actions(now - hour, before);
    assert!(left(now - hour).await.unwrap().is_empty());
    assert_eq!(left(now + hour).await.unwrap().len(), 1);
}

async fn an_action_that_failed_cleanly_may_be_done_later(world: &World) {
    let facts = journal::facts(world.client("shop").await, "again");
    let recorder = world.recorder();
    recorder.record(SystemTime::now(), JournalEntry::Admitted(facts.clone().into()));
    for state in [ActionState::Running, ActionState::Failed, ActionState::Running, ActionState::Done] {
        recorder.record(SystemTime::now(), journal::action(&facts, state));
    }
    assert!(recorder.flush(SOON).await);
    assert_eq!(world.store.call_detail(facts.call).await.unwrap().actions[0].state, "done");
}

/// A connection that was opened half-way through the migrations has read half a schema.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_older_than_the_schema_is_not_used() {
    use sqlx::{Connection as _, SqliteConnection};
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/old.db", directory.path().display());
    let store = caly::store::Store::connect(&url, crate::database::options()).await.unwrap();
    let mut first = sqlx::migrate!("./migrations/sqlite");
    first.migrations = first.migrations[..1].to_vec().into();
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    first.run(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    // Fails for want of the schema, on a connection that stays open.
    assert!(store.ping().await.is_err());
    store.migrate().await.unwrap();
    store.create_client(caly::store::NewClient::named("shop", "A shop")).await.unwrap();
    let found = store.client_by_slug("shop").await.unwrap();
    assert_eq!(found.map(|client| client.name).as_deref(), Some("A shop"));
    store.close().await;
}
