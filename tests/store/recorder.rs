//! What the recorder keeps, and when it can not.

use std::time::{Duration, SystemTime};

use caly::store::recorder::{Recorder, RecorderOptions};
use caly::store::rows::{TurnLatency, TurnRow};
use caly::store::{AuditEntry, CallFilter, Store, StoreError, StoreOptions};
use caly_actors::domain::{Action, ActionId, ActionState, AfterStream, CallFacts, CallId, Carrier, EndReason, Speaker};
use caly_actors::ports::{Journal, JournalEntry};
use chrono::Utc;
use serde_json::json;

use crate::database::{World, options};
use crate::{SOON, journal, run};

#[path = "changes.rs"]
mod changes;
#[path = "feed.rs"]
mod feed;

on_both_engines!(
    a_whole_call_is_kept_as_it_was_recorded,
    while_the_database_is_away_the_journal_goes_to_disk_and_is_written_after_in_order,
    a_spool_left_by_an_earlier_process_is_written_at_the_start,
    a_refused_entry_does_not_hold_up_the_others,
    a_durable_entry_is_there_when_it_says_so,
    the_recorder_shows_entries_to_subscribers,
    texts_with_nul_characters_are_kept,
    what_was_written_in_other_letters_is_kept_beside_the_text_and_masked_as_it_is,
    an_action_only_moves_forward_and_one_key_is_one_action,
    what_is_undone_names_what_has_undone_it,
    calys_own_end_stands_over_a_restarts,
);

async fn a_whole_call_is_kept_as_it_was_recorded(world: &World) {
    let facts = journal::facts(world.client("shop").await, "call-1");
    let recorder = world.recorder();
    record_call(&recorder, &facts);
    assert!(recorder.flush(SOON).await, "{recorder:?}");
    let found = world.store.find_call_by_carrier_id(Carrier::Exotel, &facts.carrier_call_id).await.unwrap().unwrap();
    let detail = world.store.call_detail(facts.call).await.unwrap();
    assert_eq!(found, detail.call);
    let call = &detail.call;
    assert_eq!((call.state.as_str(), call.end_reason.as_deref()), ("ended", Some("agent_ended")));
    assert_eq!((call.rate, call.duration_ms, call.cost_micro_usd), (Some(8000), Some(9000), 1234));
    assert_eq!((call.caller.as_deref(), call.direction.as_deref()), (Some("+919876543210"), Some("inbound")));
    assert_eq!((call.after_stream.as_deref(), call.degraded.as_slice()), (Some("hang_up"), &["intent".to_owned()][..]));
    let said: Vec<_> = detail.turns.iter().map(|turn| (turn.speaker.as_str(), turn.text.as_str())).collect();
    // The second caller turn was recorded before its agent turn began, and the agent's text grew once.
    assert_eq!(said, [("agent", "Namaste, how can I help"), ("caller", "मेरा order 1001 कहाँ है?")]);
    assert_eq!(detail.turns[0].latency_ms, Some(480));
    let gaps = |turn: &TurnRow| {
        let TurnLatency { commit_ms, first_audio_ms, sent_ms, heard_ms, total_ms } = turn.latency.clone();
        [commit_ms, first_audio_ms, sent_ms, heard_ms, total_ms]
    };
    assert_eq!(gaps(&detail.turns[0]), [400, 70, 10, 60, 540].map(Some));
    assert_eq!(gaps(&detail.turns[1]), [None; 5]);
    assert_eq!(detail.intents[0].intent, "order_status");
    assert_eq!(detail.intents[0].entities[0]["value"], "1001");
    assert_eq!(detail.actions[0].state, "done");
    assert_eq!(detail.actions[0].output, Some(json!({"status": "shipped"})));
    let kinds: Vec<_> = detail.events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["engine_ready", "engine_lost"]);
    assert_eq!(world.store.call_detail(CallId::new()).await, Err(StoreError::NotFound));
}

async fn while_the_database_is_away_the_journal_goes_to_disk_and_is_written_after_in_order(world: &World) {
    let client = world.client("shop").await;
    let limits = StoreOptions {
        max_connections: 2,
        acquire_timeout: Duration::from_millis(200),
        statement_timeout: Duration::from_millis(200),
    };
    let spool = world.directory.path().join("spool");
    let store = world.second_store(limits).await;
    let recorder = Recorder::start(store.clone(), &spool, RecorderOptions::default());
    let facts = journal::facts(client, "outage");
    recorder.record(SystemTime::now(), JournalEntry::Admitted(facts.clone().into()));
    assert!(recorder.flush(SOON).await);

    let block = world.take_away().await;
    for at in 0..300 {
        recorder.record(SystemTime::now(), journal::event(&facts, at));
    }
    assert!(recorder.flush(SOON).await, "kept on disk: {recorder:?}");
    let away = recorder.snapshot();
    assert!(!away.healthy && away.spooled_bytes > 0 && away.queued == 0, "{away:?}");
    for at in 300..400 {
        recorder.record(SystemTime::now(), journal::event(&facts, at));
    }
    world.give_back(block).await;
    recorder.record(SystemTime::now(), journal::ended(&facts, EndReason::AgentEnded));
    all_written(&recorder).await;
    let detail = world.store.call_detail(facts.call).await.unwrap();
    let order: Vec<_> = detail.events.iter().map(|event| event.detail["at"].as_i64().unwrap()).collect();
    assert_eq!(order, (0..400).collect::<Vec<_>>());
    assert_eq!(detail.call.end_reason.as_deref(), Some("agent_ended"));
    assert_eq!((recorder.snapshot().dropped, recorder.snapshot().rejected), (0, 0));
}

async fn a_spool_left_by_an_earlier_process_is_written_at_the_start(world: &World) {
    let client = world.client("shop").await;
    let facts = journal::facts(client, "restart");
    let spool = world.directory.path().join("spool");
    // A store that was never migrated refuses everything, as one whose database is down.
    let down = Store::connect(&world.url, options()).await.unwrap();
    let earlier = Recorder::start(down, &spool, RecorderOptions::default());
    record_call(&earlier, &facts);
    assert!(earlier.stop(SOON).await, "{earlier:?}");
    assert!(matches!(world.store.call_detail(facts.call).await, Err(StoreError::NotFound)));
    drop(earlier);

    let recorder = Recorder::start(world.store.clone(), &spool, RecorderOptions::default());
    assert!(recorder.flush(SOON).await);
    let detail = world.store.call_detail(facts.call).await.unwrap();
    assert_eq!((detail.turns.len(), detail.events.len(), detail.actions.len()), (2, 2, 1));
    assert_eq!(detail.call.state, "ended");
    assert!(recorder.snapshot().healthy);
    assert!(recorder.stop(SOON).await);
}

async fn a_refused_entry_does_not_hold_up_the_others(world: &World) {
    let client = world.client("shop").await;
    let recorder = world.recorder();
    let (good, unknown) = (journal::facts(client, "good"), journal::facts(client, "unknown"));
    let entries = journal::short_call(&good);
    for (at, entry) in entries.into_iter().enumerate() {
        recorder.record(SystemTime::now(), entry);
        if at % 2 == 1 {
            // Of a call nobody admitted.
            recorder.record(SystemTime::now(), journal::event(&unknown, 1));
        }
    }
    let refused = recorder.record_durably(SystemTime::now(), journal::turn(&unknown, 1, Speaker::Agent, "hello")).await;
    assert!(!refused);
    assert!(recorder.flush(SOON).await);
    let detail = world.store.call_detail(good.call).await.unwrap();
    assert_eq!((detail.call.state.as_str(), detail.turns.len(), detail.events.len()), ("ended", 2, 2));
    let snapshot = recorder.snapshot();
    // Six events and the turn.
    assert_eq!((snapshot.rejected, snapshot.healthy), (7, true));
    let aside = std::fs::read_to_string(world.directory.path().join("spool/rejected.jsonl")).unwrap();
    assert_eq!(aside.lines().count(), 7);
}

async fn a_durable_entry_is_there_when_it_says_so(world: &World) {
    let facts = journal::facts(world.client("shop").await, "durable");
    let recorder = world.recorder();
    assert!(recorder.record_durably(SystemTime::now(), JournalEntry::Admitted(facts.clone().into())).await);
    assert!(recorder.record_durably(SystemTime::now(), journal::action(&facts, ActionState::Running)).await);
    assert_eq!(world.store.call_detail(facts.call).await.unwrap().actions.len(), 1);
}

async fn the_recorder_shows_entries_to_subscribers(world: &World) {
    let facts = journal::facts(world.client("shop").await, "live");
    let recorder = world.recorder();
    let mut live = recorder.subscribe();
    record_call(&recorder, &facts);
    let first = live.recv().await.unwrap();
    assert_eq!((first.call, first.kind), (facts.call, "admitted"));
    let body: serde_json::Value = serde_json::from_str(&first.json).unwrap();
    assert_eq!(body["body"]["carrier_call_id"], "live");
    assert!(recorder.flush(SOON).await);
}

async fn texts_with_nul_characters_are_kept(world: &World) {
    let facts = journal::facts(world.client("shop").await, "nul");
    let recorder = world.recorder();
    recorder.record(SystemTime::now(), JournalEntry::Admitted(facts.clone().into()));
    recorder.record(SystemTime::now(), journal::turn(&facts, 1, Speaker::Caller, "a\0b"));
    let (call, after) = (facts.call, AfterStream::Transfer);
    recorder.record(SystemTime::now(), JournalEntry::Decided { call, after, summary: "\0".into() });
    assert!(recorder.flush(SOON).await);
    let detail = world.store.call_detail(facts.call).await.unwrap();
    assert_eq!((detail.turns[0].text.as_str(), detail.call.summary.as_deref()), ("a\u{fffd}b", Some("\u{fffd}")));
}

async fn what_was_written_in_other_letters_is_kept_beside_the_text_and_masked_as_it_is(world: &World) {
    let facts = journal::facts(world.client("shop").await, "letters");
    let recorder = world.recorder();
    recorder.record(SystemTime::now(), JournalEntry::Admitted(facts.clone().into()));
    let said = |at_s, speaker, written: &str| {
        let heard = caly_actors::understand::script::heard(written);
        let mut entry = journal::turn(&facts, at_s, speaker, &heard.text);
        if let JournalEntry::Turn { turn, .. } = &mut entry {
            turn.raw = heard.raw.map(Into::into);
        }
        recorder.record(SystemTime::now(), entry);
    };
    said(1, Speaker::Caller, "میرا آرڈر ۱۰۴۲ کہاں ہے؟");
    said(3, Speaker::Agent, "Please tell me the OTP.");
    said(5, Speaker::Caller, "جی، چار آٹھ دو ایک ہے");
    said(7, Speaker::Caller, "کارڈ نمبر ۴۱۱۱ ۱۱۱۱ ۱۱۱۱ ۱۱۱۱ لکھیے");
    said(9, Speaker::Caller, "haan");
    assert!(recorder.flush(SOON).await);
    let detail = world.store.call_detail(facts.call).await.unwrap();
    let kept: Vec<_> = detail.turns.iter().map(|turn| (turn.text.as_str(), turn.raw.as_deref())).collect();
    assert_eq!(
        kept,
        [
            ("मेरा ऑर्डर 1042 कहाँ है?", Some("میرا آرڈر ۱۰۴۲ کہاں ہے؟")),
            ("Please tell me the OTP.", None),
            ("जी, [code] है", Some("جی، [code] ہے")),
            ("कार्ड नंबर [card] लिखिए", Some("کارڈ نمبر [card] لکھیے")),
            ("haan", None),
        ]
    );
    let json = serde_json::to_value(&detail.turns).unwrap();
    assert_eq!((json[0]["raw"].as_str(), json[4].get("raw")), (kept[0].1, None));
}

async fn an_action_only_moves_forward_and_one_key_is_one_action(world: &World) {
    let facts = journal::facts(world.client("shop").await, "forward");
    let recorder = world.recorder();
    recorder.record(SystemTime::now(), JournalEntry::Admitted(facts.clone().into()));
    // The same key under new ids, as after a crash of whoever carried it out.
    for state in
        [ActionState::Running, ActionState::Unknown, ActionState::Running, ActionState::Done, ActionState::Failed]
    {
        recorder.record(SystemTime::now(), journal::action(&facts, state));
    }
    assert!(recorder.flush(SOON).await);
    let actions = world.store.call_detail(facts.call).await.unwrap().actions;
    assert_eq!((actions.len(), actions[0].state.as_str()), (1, "done"));
    assert_eq!(world.store.find_action(&actions[0].idempotency_key).await.unwrap(), Some(actions[0].clone()));
    assert_eq!(world.store.find_action("none").await.unwrap(), None);
}

async fn what_is_undone_names_what_has_undone_it(world: &World) {
    let facts = journal::facts(world.client("shop").await, "undone");
    let recorder = world.recorder();
    recorder.record(SystemTime::now(), JournalEntry::Admitted(facts.clone().into()));
    let JournalEntry::Action { call, client, action: done } = journal::action(&facts, ActionState::Done) else {
        panic!("an action")
    };
    let undo = serde_json::json!({ "tool": "withdraw_callback", "arguments": { "when": "kal" }, "id": "k" });
    let wish = Action { name: "request_callback".into(), undo: Some(undo.to_string().into()), ..done.clone() };
    let step = Action {
        id: ActionId::new(),
        name: "withdraw_callback".into(),
        idempotency_key: format!("{call}:undo").into(),
        undoes: Some(wish.id),
        ..done
    };
    let record = |action: Action| recorder.record(SystemTime::now(), JournalEntry::Action { call, client, action });
    record(wish.clone());
    for (state, undone_by) in
        [(ActionState::Running, None), (ActionState::Failed, None), (ActionState::Done, Some(step.id.0))]
    {
        record(Action { state, output: None, ..step.clone() });
        assert!(recorder.flush(SOON).await);
        let first = world.store.action(wish.id.0).await.unwrap();
        assert_eq!((first.state.as_str(), first.undone_by, first.undoes), ("done", undone_by, None), "{state:?}");
        assert_eq!(first.undo, Some(undo.clone()));
        // Nobody rings back whose wish was taken back.
        assert_eq!(world.store.callback(wish.id.0).await.is_ok(), undone_by.is_none(), "{state:?}");
    }
    let second = world.store.action(step.id.0).await.unwrap();
    assert_eq!((second.undoes, second.undone_by, second.undo), (Some(wish.id.0), None, None));
}

async fn calys_own_end_stands_over_a_restarts(world: &World) {
    let facts = journal::facts(world.client("shop").await, "late-end");
    let recorder = world.recorder();
    recorder.record(SystemTime::now(), JournalEntry::Admitted(facts.clone().into()));
    assert!(recorder.flush(SOON).await);
    assert_eq!(world.store.interrupt_open_calls(Utc::now(), &[]).await.unwrap().len(), 1);
    recorder.record(SystemTime::now(), journal::ended(&facts, EndReason::Transferred));
    assert!(recorder.flush(SOON).await);
    let call = world.store.call_detail(facts.call).await.unwrap().call;
    assert_eq!((call.end_reason.as_deref(), call.cost_micro_usd), (Some("transferred"), 1234));
}

/// Records a short call in the order it happened.
pub fn record_call(recorder: &Recorder, facts: &CallFacts) {
    let now = SystemTime::now();
    for entry in journal::short_call(facts) {
        recorder.record(now, entry);
    }
}

/// Waits until nothing is left in memory or on disk.
async fn all_written(recorder: &Recorder) {
    let mut tries = tokio::time::interval(Duration::from_millis(5));
    let written = async {
        while !(recorder.flush(SOON).await && recorder.snapshot().healthy) {
            tries.tick().await;
        }
    };
    assert!(tokio::time::timeout(SOON, written).await.is_ok(), "{recorder:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_postgres_connections_are_replaced() {
    run(true, killed_connections).await;
}

async fn killed_connections(world: &World) {
    let client = world.client("shop").await;
    let database = world.postgres.as_ref().unwrap();
    let recorder = world.recorder();
    for at in 0..5 {
        database.cut_connections().await;
        record_call(&recorder, &journal::facts(client, &format!("cut-{at}")));
        world.store.list_clients(None, 9).await.unwrap();
    }
    all_written(&recorder).await;
    let calls = world.store.list_calls(&CallFilter::default(), None, 9).await.unwrap().items;
    assert!(calls.len() == 5 && calls.iter().all(|call| call.state == "ended"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_on_connections_that_were_killed_are_tried_again_and_done_once() {
    let world = World::migrated(true).await;
    let facts = journal::facts(world.client("shop").await, "killed");
    let recorder = world.recorder();
    recorder.record(SystemTime::now(), JournalEntry::Admitted(facts.clone().into()));
    for round in 0..10 {
        assert!(recorder.flush(SOON).await, "{recorder:?}");
        world.postgres.as_ref().unwrap().cut_connections().await;
        assert!(world.store.find_call_by_carrier_id(Carrier::Exotel, &facts.carrier_call_id).await.is_ok());
        world.store.append_audit(AuditEntry::new("caly", "test", "ok")).await.unwrap();
        recorder.record(SystemTime::now(), journal::event(&facts, round));
    }
    assert!(recorder.flush(SOON).await, "{recorder:?}");
    assert_eq!(world.store.list_audit(None, None, 50).await.unwrap().items.len(), 10);
    assert_eq!(world.store.call_detail(facts.call).await.unwrap().events.len(), 10);
    world.finish().await;
}
