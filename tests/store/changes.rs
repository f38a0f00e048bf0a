//! What the admin API changes and finds, on both engines.

use std::time::SystemTime;

use caly::store::{
    AgentFilter, Basic, CallFilter, ClientChange, NewClient, NewKey, NumberChange, Role, StoreError, hash_secret,
};
use caly_actors::domain::{AgentId, ClientId, Direction, Party, PhoneNumber};
use caly_actors::ports::{Journal, JournalEntry};
use chrono::{TimeDelta, Utc};
use serde_json::json;

use crate::database::World;
use crate::recorder::record_call;
use crate::{SOON, journal};

on_both_engines!(
    calls_are_filtered_by_who_rang_whom_and_how_it_ended,
    pages_of_calls_stay_true_while_calls_come_in,
    a_client_is_made_whole_or_not_at_all,
    a_client_is_changed_field_by_field,
    a_former_webhook_secret_holds_until_it_may_no_longer,
    numbers_move_and_go,
    versions_are_published_one_at_a_time,
    a_version_made_from_another_is_used_only_in_its_place,
    a_key_expires,
);

async fn calls_are_filtered_by_who_rang_whom_and_how_it_ended(world: &World) {
    let client = world.client("one").await;
    let recorder = world.recorder();
    let facts = journal::facts(client, "mine");
    record_call(&recorder, &facts);
    let mut theirs = journal::facts(client, "theirs");
    theirs.caller = Party::Number(PhoneNumber::parse("+919876500000").unwrap());
    theirs.direction = Direction::Outbound;
    recorder.record(SystemTime::now(), JournalEntry::Admitted(theirs.clone().into()));
    assert!(recorder.flush(SOON).await);
    let ids = async |filter: CallFilter| {
        let rows = world.store.list_calls(&filter, None, 9).await.unwrap().items;
        rows.into_iter().map(|row| row.carrier_call_id).collect::<Vec<_>>()
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(ids(CallFilter { end_reason: text("agent_ended"), ..Default::default() }).await, ["mine"]);
    assert_eq!(ids(CallFilter { direction: text("outbound"), ..Default::default() }).await, ["theirs"]);
    assert_eq!(ids(CallFilter { caller: text("+919876543210"), ..Default::default() }).await, ["mine"]);
    assert_eq!(ids(CallFilter { called: text("+912248966200"), ..Default::default() }).await, ["theirs", "mine"]);
    assert_eq!(ids(CallFilter { agent: Some(theirs.agent.id), ..Default::default() }).await, ["theirs"]);
    let row = world.store.call(facts.call).await.unwrap();
    assert_eq!(row, world.store.call_detail(facts.call).await.unwrap().call);
    assert_eq!(world.store.call(caly_actors::domain::CallId::new()).await, Err(StoreError::NotFound));
}

/// Whoever turns pages while calls come in sees each call of the beginning once and none of the later ones.
async fn pages_of_calls_stay_true_while_calls_come_in(world: &World) {
    let client = world.client("shop").await;
    let recorder = world.recorder();
    let mut expected = Vec::new();
    for at in 0..9 {
        let facts = journal::facts(client, &format!("early-{at}"));
        expected.insert(0, facts.call.0);
        recorder.record(SystemTime::now(), JournalEntry::Admitted(facts.into()));
    }
    assert!(recorder.flush(SOON).await);
    let (mut seen, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = world.store.list_calls(&CallFilter::default(), cursor.as_deref(), 2).await.unwrap();
        seen.extend(page.items.into_iter().map(|row| row.id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
        let late = journal::facts(client, &format!("late-{}", seen.len()));
        recorder.record(SystemTime::now(), JournalEntry::Admitted(late.into()));
        assert!(recorder.flush(SOON).await);
    }
    assert_eq!(seen, expected);
}

async fn a_client_is_made_whole_or_not_at_all(world: &World) {
    let store = &world.store;
    let (one, two) = (PhoneNumber::parse("+912248966200").unwrap(), PhoneNumber::parse("+912248966201").unwrap());
    let new = |slug: &str| NewClient::named(slug, "A shop");
    let made = store.create_whole_client(new("shop"), vec![one.clone()], json!({"greeting": "hello"})).await.unwrap();
    assert_eq!((made.numbers.len(), made.agent.version, made.agent.published), (1, 1, true));
    let directory = store.load_directory().await.unwrap();
    assert_eq!(directory.clients[0].secrets.webhook_secret_hash, hash_secret(&made.created.webhook_secret));
    let taken = store.create_whole_client(new("other"), vec![two, one], json!({})).await;
    assert!(matches!(taken, Err(StoreError::Conflict(_))), "{taken:?}");
    let directory = store.load_directory().await.unwrap();
    assert_eq!((directory.clients.len(), directory.numbers.len(), directory.agents.len()), (1, 1, 1));
}

async fn a_client_is_changed_field_by_field(world: &World) {
    let (store, id) = (&world.store, world.client("shop").await);
    let basic = Basic { user: "exotel".to_owned(), password: "a-long-password-here".to_owned() };
    let change = ClientChange {
        max_calls: Some(Some(3)),
        ip_allow_list: Some(vec!["10.0.0.1".to_owned()]),
        basic: Some(Some(basic)),
        signature_secret: Some(Some("signing".into())),
        ..ClientChange::default()
    };
    let row = store.change_client(id, change).await.unwrap();
    assert_eq!((row.max_calls, row.basic_user.as_deref(), row.name.as_str()), (Some(3), Some("exotel"), "A shop"));
    let change = ClientChange { name: Some("Renamed".to_owned()), disabled: Some(true), ..ClientChange::default() };
    let row = store.change_client(id, change).await.unwrap();
    assert_eq!((row.max_calls, row.disabled, row.name.as_str()), (Some(3), true, "Renamed"));
    let secrets = store.load_directory().await.unwrap().clients.remove(0).secrets;
    assert!(secrets.basic_password_hash.is_some() && secrets.signature_secret.is_some());
    let change = ClientChange {
        max_calls: Some(None),
        basic: Some(None),
        signature_secret: Some(None),
        answer_style: Some("exoml".to_owned()),
        ..ClientChange::default()
    };
    let row = store.change_client(id, change).await.unwrap();
    assert_eq!((row.max_calls, row.basic_user, row.answer_style.as_str()), (None, None, "exoml"));
    assert_eq!(row.ip_allow_list, ["10.0.0.1"]);
    let secrets = store.load_directory().await.unwrap().clients.remove(0).secrets;
    assert!(secrets.basic_password_hash.is_none() && secrets.signature_secret.is_none());
    let odd = ClientChange { answer_style: Some("yaml".to_owned()), ..ClientChange::default() };
    assert!(matches!(store.change_client(id, odd).await, Err(StoreError::Invalid(_))));
    assert_eq!(store.change_client(ClientId::new(), ClientChange::default()).await, Err(StoreError::NotFound));
}

async fn a_former_webhook_secret_holds_until_it_may_no_longer(world: &World) {
    let (store, id) = (&world.store, world.client("shop").await);
    let secrets = async || store.load_directory().await.unwrap().clients.remove(0).secrets;
    let (now, until) = (Utc::now(), Utc::now() + TimeDelta::seconds(60));
    let first = store.rotate_webhook_secret(id).await.unwrap();
    let second = store.rotate_webhook_secret_keeping(id, Some(until)).await.unwrap();
    let kept = secrets().await;
    assert!(kept.opens(&hash_secret(&first), now) && kept.opens(&hash_secret(&second), now));
    assert!(!kept.opens(&hash_secret(&first), until) && kept.opens(&hash_secret(&second), until));
    let third = store.rotate_webhook_secret(id).await.unwrap();
    let kept = secrets().await;
    assert!(kept.opens(&hash_secret(&third), now));
    assert!(!kept.opens(&hash_secret(&second), now) && !kept.opens(&hash_secret(&first), now));
}

async fn numbers_move_and_go(world: &World) {
    let (store, one, other) = (&world.store, world.client("one").await, world.client("other").await);
    let number = PhoneNumber::parse("+912248966200").unwrap();
    let row = store.add_number(one, &number, Some("front")).await.unwrap();
    let moved = store.change_number(row.id, NumberChange { client: Some(other), label: None }).await.unwrap();
    assert_eq!((moved.client_id, moved.label.as_deref()), (other.0, Some("front")));
    let bare = store.change_number(row.id, NumberChange { client: None, label: Some(None) }).await.unwrap();
    assert_eq!((bare.client_id, bare.label), (other.0, None));
    let nowhere = store.change_number(row.id, NumberChange { client: Some(ClientId::new()), label: None }).await;
    assert!(matches!(nowhere, Err(StoreError::Conflict(_))), "{nowhere:?}");
    store.remove_number(row.id).await.unwrap();
    store.remove_number(row.id).await.unwrap();
    assert_eq!(store.number(row.id).await, Err(StoreError::NotFound));
    store.add_number(one, &number, None).await.unwrap();
}

async fn versions_are_published_one_at_a_time(world: &World) {
    let (store, client) = (&world.store, world.client("shop").await);
    let first = store.publish_agent(client, "a", json!({})).await.unwrap();
    let second = store.add_agent(client, "b", json!({"voice": "cedar"}), false).await.unwrap();
    assert_eq!((second.version, second.published), (2, false));
    let in_use = async || {
        let filter = AgentFilter { client: Some(client), published: Some(true) };
        store
            .list_agent_versions(filter, None, 9)
            .await
            .unwrap()
            .items
            .iter()
            .map(|row| row.version)
            .collect::<Vec<_>>()
    };
    assert_eq!(in_use().await, [1]);
    let ids = [first.id, second.id].map(AgentId);
    let publish = |at: usize| {
        let (store, id) = (store.clone(), ids[at % 2]);
        tokio::spawn(async move { store.publish_agent_version(id).await })
    };
    for task in (0..20).map(publish).collect::<Vec<_>>() {
        task.await.unwrap().unwrap();
    }
    assert_eq!(in_use().await.len(), 1);
    store.publish_agent_version(ids[0]).await.unwrap();
    assert_eq!(in_use().await, [1]);
    assert_eq!(store.agent(ids[1]).await.unwrap().settings, json!({"voice": "cedar"}));
    assert_eq!(store.publish_agent_version(AgentId::new()).await, Err(StoreError::NotFound));
}

async fn a_key_expires(world: &World) {
    let store = &world.store;
    let key =
        |expires_at| NewKey { name: String::new(), role: Role::Viewer, client: None, expires_at: Some(expires_at) };
    let (row, good) = store.make_key(key(Utc::now() + TimeDelta::minutes(1))).await.unwrap();
    let (gone, bad) = store.make_key(key(Utc::now() - TimeDelta::seconds(1))).await.unwrap();
    assert_eq!(store.find_key(&good).await.unwrap().map(|row| row.id), Some(row.id));
    assert_eq!(store.find_key(&bad).await.unwrap(), None);
    assert_eq!(store.key(gone.id).await.unwrap().expires_at, gone.expires_at);
}

async fn a_version_made_from_another_is_used_only_in_its_place(world: &World) {
    let client = world.client("one").await;
    assert_eq!(world.store.agent_in_use(client).await, Ok(None));
    let first = world.store.publish_agent(client, "a", json!({ "greeting": "1" })).await.unwrap();
    let make = |at: usize| {
        let (store, first) = (world.store.clone(), first.clone());
        async move {
            loop {
                match store.publish_instead(&first, json!({ "greeting": at.to_string() })).await {
                    Err(error) if error.is_unavailable() => {}
                    outcome => return outcome,
                }
            }
        }
    };
    let all = futures_util::future::join_all((0..8).map(make)).await;
    let made: Vec<_> = all.iter().filter_map(|outcome| outcome.as_ref().ok()).collect();
    assert_eq!((made.len(), made[0].version, made[0].name.as_str()), (1, 2, "a"), "{all:?}");
    assert!(
        all.iter().all(|outcome| !matches!(outcome, Err(error) if !matches!(error, StoreError::Conflict(_)))),
        "{all:?}"
    );
    assert_eq!(world.store.agent_in_use(client).await.unwrap().as_ref(), Some(made[0]));
}
