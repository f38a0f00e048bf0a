//! The store as what clients know of those who ring: for the call that begins, and for the tools of a call.

use std::sync::Arc;
use std::time::Duration;

use caly_actors::domain::{CallFacts, CallId, ClientId, KnownCaller, Language, PhoneNumber};
use caly_actors::ports::Customers;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;

use crate::actions::callback::DoNotCall;
use crate::actions::customers::{Answer, Book, NoAnswer, Told, Whose};
use crate::store::rows::CustomerDetail;
use crate::store::{Store, StoreError, Telling};

/// See the module's text.
#[derive(Clone)]
pub(super) struct StoredCustomers(pub(super) Store);

impl StoredCustomers {
    async fn look_up(&self, whose: &Whose) -> Result<Option<CustomerDetail>, StoreError> {
        self.0.known_customer(whose.client, &whose.number, since(Utc::now(), whose.keep)).await
    }
}

/// What is older than this is not told any more.
pub(super) fn since(now: DateTime<Utc>, keep: Duration) -> DateTime<Utc> {
    now - span(keep)
}

fn span(keep: Duration) -> TimeDelta {
    TimeDelta::from_std(keep).unwrap_or_default()
}

/// As a call sees it, which is not one of the earlier ones itself.
fn known(detail: CustomerDetail, call: CallId, utc_offset: i32) -> KnownCaller {
    let CustomerDetail { customer, facts } = detail;
    let this = customer.last_call_id == Some(call.0);
    let local = |at: DateTime<Utc>| (at + TimeDelta::seconds(utc_offset.into())).date_naive();
    KnownCaller {
        name: customer.name.map(Into::into),
        language: customer.language.as_deref().and_then(|code| Language::parse(code).ok()),
        earlier_calls: u32::try_from(customer.calls - i64::from(this)).unwrap_or_default(),
        last_call: customer.last_call_at.filter(|_| !this).map(local),
        facts: facts.into_iter().map(|fact| (fact.name.into(), fact.value.into())).collect(),
    }
}

impl Customers for StoredCustomers {
    fn known(&self, facts: &Arc<CallFacts>) -> BoxFuture<'static, Option<Arc<KnownCaller>>> {
        let (store, facts) = (self.clone(), Arc::clone(facts));
        Box::pin(async move {
            let whose = Whose::of(&facts)?;
            // A database that is known to be away is not asked by every call that begins.
            let answer = match store.0.trouble() {
                None => store.look_up(&whose).await,
                Some(_) => Err(StoreError::later("the database is away")),
            };
            let outcome = match &answer {
                Ok(Some(_)) => "known",
                Ok(None) => "unknown",
                Err(error) => {
                    tracing::debug!(%error, call = %facts.call, "it was not found out who rings");
                    "failed"
                }
            };
            metrics::counter!("caly_callers_looked_up_total", "outcome" => outcome).increment(1);
            Some(Arc::new(known(answer.ok()??, facts.call, facts.agent.utc_offset)))
        })
    }
}

impl DoNotCall for StoredCustomers {
    fn is_suppressed(&self, client: ClientId, number: &PhoneNumber) -> BoxFuture<'static, Option<bool>> {
        let (store, number) = (self.0.clone(), number.clone());
        Box::pin(async move {
            let answer = store.is_suppressed(client, &number).await;
            answer.inspect_err(|error| tracing::warn!(%error, "whom not to ring could not be looked up")).ok()
        })
    }
}

fn no_answer(error: StoreError) -> NoAnswer {
    match error {
        StoreError::Conflict(_) => NoAnswer::Full,
        error => {
            tracing::warn!(%error, "what is known of callers did not answer");
            NoAnswer::Lost
        }
    }
}

impl Book for StoredCustomers {
    fn known(&self, whose: &Whose, call: CallId, utc_offset: i32) -> Answer<Option<KnownCaller>> {
        let (store, whose) = (self.clone(), whose.clone());
        Box::pin(async move {
            let detail = store.look_up(&whose).await.map_err(no_answer)?;
            Ok(detail.map(|detail| known(detail, call, utc_offset)))
        })
    }

    fn done(&self, whose: &Whose, key: &str) -> Answer<bool> {
        let (store, client, key) = (self.0.clone(), whose.client, key.to_owned());
        Box::pin(async move { store.customer_change_known(client, &key).await.map_err(no_answer) })
    }

    fn remember(&self, whose: &Whose, told: Told, key: &str) -> Answer<()> {
        let (store, Whose { client, number, keep }) = (self.0.clone(), whose.clone());
        let Told { call, name, facts } = told;
        let telling = Telling { client, number, call, name, facts, keep: span(keep), key: key.to_owned() };
        Box::pin(async move { store.remember(telling).await.map_err(no_answer) })
    }

    fn forget(&self, whose: &Whose, key: &str) -> Answer<()> {
        let (store, whose, key) = (self.0.clone(), whose.clone(), key.to_owned());
        Box::pin(async move { store.forget_customer(whose.client, &whose.number, Some(&key)).await.map_err(no_answer) })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::store::rows::{CustomerFactRow, CustomerRow};
    use uuid::Uuid;

    #[test]
    fn a_call_is_not_one_of_the_earlier_ones_and_days_are_the_callers() {
        let late: DateTime<Utc> = "2026-11-17T20:00:00Z".parse().unwrap();
        let (this, other) = (CallId::new(), CallId::new());
        for (calls, last, earlier, day) in [
            (3, Some(other), 3, Some("2026-11-18")),
            (3, Some(this), 2, None),
            (1, Some(this), 0, None),
            (0, None, 0, Some("2026-11-18")),
        ] {
            let customer = CustomerRow {
                id: Uuid::nil(),
                client_id: Uuid::nil(),
                e164: "+919876543210".to_owned(),
                name: Some("Meera".to_owned()),
                language: Some("hi".to_owned()),
                calls,
                first_call_at: None,
                last_call_at: Some(late),
                last_call_id: last.map(|call| call.0),
                created_at: late,
                updated_at: late,
                expires_at: late,
            };
            let (name, value) = ("city".to_owned(), "Pune".to_owned());
            let fact =
                CustomerFactRow { name, value, call_id: None, created_at: late, updated_at: late, expires_at: late };
            let known = known(CustomerDetail { customer, facts: vec![fact] }, this, 19_800);
            assert_eq!(known.earlier_calls, earlier, "{calls} {last:?}");
            assert_eq!(known.last_call.map(|day| day.to_string()).as_deref(), day, "half past one in India");
            assert_eq!((known.language, known.facts), (Some(Language::Hindi), vec![("city".into(), "Pune".into())]));
        }
    }
}
