//! What happened in calls, counted the same by both engines.

use caly::store::{Analytics, Counted, CountedAction, Stretch};
use caly_actors::domain::ClientId;
use chrono::{DateTime, TimeDelta, Utc};

use crate::database::World;
use crate::recorder::record_call;
use crate::{SOON, journal};

on_both_engines!(calls_are_counted_for_their_client_in_their_time, nothing_is_counted_where_nothing_was);

fn day(client: Option<ClientId>, from: DateTime<Utc>) -> Stretch {
    Stretch { client, from, to: from + TimeDelta::days(1) }
}

async fn calls_are_counted_for_their_client_in_their_time(world: &World) {
    let (one, other) = (world.client("one").await, world.client("other").await);
    let recorder = world.recorder();
    let facts: Vec<_> = ["a", "b", "c"].map(|sid| journal::facts(one, sid)).into();
    for facts in &facts {
        record_call(&recorder, facts);
    }
    record_call(&recorder, &journal::facts(other, "d"));
    assert!(recorder.flush(SOON).await);
    let admitted: DateTime<Utc> = facts[0].admitted_at.into();
    let counted = |client, from| {
        let store = world.store.clone();
        async move { store.analytics(day(client, from)).await.unwrap() }
    };
    let begin = admitted - TimeDelta::hours(1);
    let mine: Analytics = counted(Some(one), begin).await;
    assert_eq!((mine.sums.calls, mine.sums.answered), (3, 3));
    let stored = world.store.call_detail(facts[0].call).await.unwrap();
    assert_eq!(mine.sums.cost_micro_usd, 3 * stored.call.cost_micro_usd);
    assert_eq!(mine.sums.duration_ms, 3 * stored.call.duration_ms.unwrap());
    let reason = stored.call.end_reason.unwrap();
    assert_eq!(mine.ends, [Counted { name: reason, count: 3 }]);
    assert_eq!(mine.intents, [Counted { name: stored.intents[0].intent.clone(), count: 3 }]);
    let action = &stored.actions[0];
    assert_eq!(mine.actions, [CountedAction { name: action.name.clone(), state: action.state.clone(), count: 3 }]);
    let latencies: Vec<i64> = stored.turns.iter().filter_map(|turn| turn.latency_ms).collect();
    assert_eq!(mine.latency.answers, 3 * latencies.len() as i64);
    assert_eq!(mine.latency.p50_ms, latencies.first().copied());
    assert_eq!(counted(None, begin).await.sums.calls, 4, "all clients");
    assert_eq!(counted(Some(one), admitted + TimeDelta::hours(1)).await.sums.calls, 0, "another time");
}

async fn nothing_is_counted_where_nothing_was(world: &World) {
    let client = world.client("one").await;
    let none = world.store.analytics(day(Some(client), Utc::now())).await.unwrap();
    assert_eq!((none.sums.calls, none.sums.duration_ms, none.latency.answers), (0, 0, 0));
    assert_eq!((none.latency.p50_ms, none.ends.len(), none.intents.len(), none.actions.len()), (None, 0, 0, 0));
}
