//! Numbers that are not rung: one row each a client, first said, until taken away.

use std::time::SystemTime;

use caly::store::{StoreError, SuppressionFilter};
use caly_actors::domain::{CallId, ClientId, PhoneNumber};
use caly_actors::ports::{Journal, JournalEntry};
use uuid::Uuid;

use crate::SOON;
use crate::database::World;

on_both_engines!(
    a_number_is_on_the_list_of_its_client_once_however_often_it_is_said,
    a_number_taken_off_the_list_may_be_put_on_it_again,
    pages_of_numbers_hold_each_once,
);

const MEERA: &str = "+919876543210";

fn number(text: &str) -> PhoneNumber {
    PhoneNumber::parse(text).unwrap()
}

fn said(call: CallId, client: ClientId, by: &str) -> JournalEntry {
    JournalEntry::DoNotCall { call, client, number: number(by) }
}

async fn record(world: &World, entries: impl IntoIterator<Item = JournalEntry>) {
    let recorder = world.recorder();
    entries.into_iter().for_each(|entry| recorder.record(SystemTime::now(), entry));
    assert!(recorder.flush(SOON).await);
    assert_eq!(recorder.snapshot().rejected, 0);
    recorder.stop(SOON).await;
}

async fn a_number_is_on_the_list_of_its_client_once_however_often_it_is_said(world: &World) {
    let (client, other) = (world.client("shop").await, world.client("other").await);
    let (first, second) = (CallId::new(), CallId::new());
    // In one batch, in another, and of another client.
    record(world, [said(first, client, MEERA), said(second, client, MEERA), said(second, client, "+919800000000")])
        .await;
    record(world, [said(second, client, MEERA)]).await;
    let list = |client| SuppressionFilter { client: Some(client), number: Some(MEERA.to_owned()) };
    let rows = world.store.list_suppressions(&list(client), None, 10).await.unwrap().items;
    assert_eq!(rows.iter().map(|row| row.call_id).collect::<Vec<_>>(), [Some(first.0)], "the first stands");
    assert!(world.store.is_suppressed(client, &number(MEERA)).await.unwrap());
    assert!(!world.store.is_suppressed(other, &number(MEERA)).await.unwrap());
    assert!(!world.store.is_suppressed(client, &number("+919811111111")).await.unwrap());
    record(world, [said(second, other, MEERA)]).await;
    assert_eq!(world.store.list_suppressions(&list(other), None, 10).await.unwrap().items.len(), 1);
    let all = world.store.list_suppressions(&SuppressionFilter::default(), None, 10).await.unwrap().items;
    assert_eq!(all.len(), 3);
}

async fn a_number_taken_off_the_list_may_be_put_on_it_again(world: &World) {
    let client = world.client("shop").await;
    record(world, [said(CallId::new(), client, MEERA)]).await;
    let filter = SuppressionFilter { client: Some(client), number: None };
    let id = world.store.list_suppressions(&filter, None, 10).await.unwrap().items[0].id;
    assert_eq!(world.store.suppression(id).await.unwrap().e164, MEERA);
    // What a customer is known by goes; that they are not to be rung does not.
    world.store.forget_customer(client, &number(MEERA), None).await.unwrap();
    assert!(world.store.is_suppressed(client, &number(MEERA)).await.unwrap());
    world.store.remove_suppression(id).await.unwrap();
    world.store.remove_suppression(id).await.unwrap();
    assert_eq!(world.store.suppression(id).await, Err(StoreError::NotFound));
    assert_eq!(world.store.suppression(Uuid::now_v7()).await, Err(StoreError::NotFound));
    assert!(!world.store.is_suppressed(client, &number(MEERA)).await.unwrap());
    record(world, [said(CallId::new(), client, MEERA)]).await;
    assert!(world.store.is_suppressed(client, &number(MEERA)).await.unwrap());
}

async fn pages_of_numbers_hold_each_once(world: &World) {
    let client = world.client("shop").await;
    let numbers: Vec<String> = (0..7).map(|at| format!("+91987654320{at}")).collect();
    record(world, numbers.iter().map(|by| said(CallId::new(), client, by))).await;
    let (mut cursor, mut seen) = (None, Vec::new());
    loop {
        let page = world.store.list_suppressions(&SuppressionFilter::default(), cursor.as_deref(), 3).await.unwrap();
        seen.extend(page.items.into_iter().map(|row| row.e164));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    seen.sort();
    assert_eq!(seen, numbers);
}
