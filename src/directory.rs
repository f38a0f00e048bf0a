//! Clients, their numbers and agents as one snapshot in memory: webhooks look here and never wait for the database.
//!
//! Lookups are by slug and by called number, through indexes. The snapshot is replaced as a whole.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use caly_actors::domain::{Agent, AgentId, CallLimits, ClientId, KnownCaller, Party, PhoneNumber};

use chrono_tz::Tz;
use serde_json::Value;

use crate::agents::templates::{self, About};
use crate::carriers::exotel::numbers;
use crate::config::Network;
use crate::store::rows::{ClientRow, ClientSecrets, DirectoryRows};
use crate::store::{Store, StoreError, is_shop_domain};

/// One client with what its webhooks need.
#[derive(Debug)]
pub struct Client {
    /// Identity.
    pub id: ClientId,
    /// As in its URLs.
    pub slug: Arc<str>,
    /// What may be shown.
    pub row: ClientRow,
    /// What may not.
    pub secrets: ClientSecrets,
    /// Addresses its webhooks may come from; empty is any.
    pub networks: Vec<Network>,
    /// The agent in use; `None` until one is published.
    pub agent: Option<Arc<Agent>>,
    /// Where it is.
    pub time_zone: Tz,
}

impl Client {
    /// Domain and access token of its shop, if it has one.
    #[must_use]
    pub fn shop(&self) -> Option<(&str, &str)> {
        // A token is sent to shops only, whoever wrote the row.
        let domain = self.row.shop_domain.as_deref().filter(|domain| is_shop_domain(domain));
        domain.zip(self.secrets.shop_token.as_deref())
    }

    /// The agent in use, as a call of this caller uses it that is admitted at this time; `customer`: what is known of them.
    #[must_use]
    pub fn agent_for(
        &self,
        caller: &Party,
        called: &Party,
        at: SystemTime,
        customer: Option<&KnownCaller>,
    ) -> Option<Arc<Agent>> {
        let client = (self.row.name.as_str(), &*self.slug);
        let about = About { client, caller, called, at: at.into(), time_zone: self.time_zone, customer };
        self.agent.as_ref().map(|agent| templates::for_call(agent, &about))
    }

    /// How the agent in use greets at this time whoever rings; `None` if that depends on who does.
    #[must_use]
    pub fn greeting_for_anybody(&self, at: SystemTime) -> Option<Arc<str>> {
        let client = (self.row.name.as_str(), &*self.slug);
        let (caller, called) = (&Party::Withheld, &Party::Withheld);
        let about = About { client, caller, called, at: at.into(), time_zone: self.time_zone, customer: None };
        self.agent.as_ref().and_then(|agent| templates::greeting_for_anybody(agent, &about))
    }
}

/// All clients at one moment.
#[derive(Default, Debug)]
pub struct Snapshot {
    by_slug: HashMap<Arc<str>, Arc<Client>>,
    /// Which client a called number belongs to, by the key two spellings of one number share.
    by_number: HashMap<String, ClientId>,
    numbers: HashMap<ClientId, Vec<PhoneNumber>>,
}

impl Snapshot {
    fn of(rows: DirectoryRows, limits: &CallLimits) -> Self {
        let mut agents = HashMap::new();
        for row in rows.agents {
            match crate::agents::read(AgentId(row.id), row.version, &row.name, &row.settings, limits) {
                Ok(agent) => {
                    agents.insert(row.client_id, (agent, crate::agents::time_zone(&row.settings)));
                }
                Err(error) => {
                    tracing::error!(client = %row.client_id, version = row.version, %error, "agent cannot be used")
                }
            }
        }
        let mut snapshot = Self::default();
        for client in rows.clients {
            let id = client.client.id;
            let slug: Arc<str> = client.client.slug.as_str().into();
            let agent = agents.remove(&id).map(|(agent, zone)| {
                // Whoever writes callers' words down should know how their client is written.
                let products = Arc::new(agent.products.of_client(&client.client.name));
                (Arc::new(Agent { products, ..agent }), zone)
            });
            let networks = client.client.ip_allow_list.iter().filter_map(|text| Network::parse(text)).collect();
            let entry = Client {
                id: ClientId(id),
                slug: Arc::clone(&slug),
                row: client.client,
                secrets: client.secrets,
                networks,
                time_zone: agent.as_ref().map_or_else(|| crate::agents::time_zone(&Value::Null), |(_, zone)| *zone),
                agent: agent.map(|(agent, _)| agent),
            };
            snapshot.by_slug.insert(slug, Arc::new(entry));
        }
        for row in rows.numbers {
            let client = ClientId(row.client_id);
            let Ok(number) = PhoneNumber::parse(&row.e164) else { continue };
            if let Some(key) = numbers::did_key(&Party::Number(number.clone())) {
                snapshot.by_number.insert(key, client);
            }
            snapshot.numbers.entry(client).or_default().push(number);
        }
        snapshot
    }

    /// The client of this slug.
    #[must_use]
    pub fn client(&self, slug: &str) -> Option<&Arc<Client>> {
        self.by_slug.get(slug)
    }

    /// Whether the called number is this client's.
    #[must_use]
    pub fn owns(&self, client: ClientId, called: &Party) -> bool {
        numbers::did_key(called).and_then(|key| self.by_number.get(&key)).is_some_and(|owner| *owner == client)
    }

    /// The numbers of a client.
    #[must_use]
    pub fn numbers_of(&self, client: ClientId) -> &[PhoneNumber] {
        self.numbers.get(&client).map_or(&[], Vec::as_slice)
    }

    /// All clients.
    pub fn clients(&self) -> impl Iterator<Item = &Arc<Client>> {
        self.by_slug.values()
    }
}

/// The snapshot in use. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Directory {
    current: Arc<RwLock<Option<Arc<Snapshot>>>>,
    /// One reading at a time, so that an older one never replaces a newer.
    reading: Arc<tokio::sync::Mutex<()>>,
    limits: Arc<RwLock<CallLimits>>,
}

impl Directory {
    /// Empty until [`Directory::reload`] has succeeded once. `limits` are those of agents that set none.
    #[must_use]
    pub fn new(limits: CallLimits) -> Self {
        Self { current: Arc::default(), reading: Arc::default(), limits: Arc::new(RwLock::new(limits)) }
    }

    /// Other limits for agents that set none, from the next reload on.
    pub fn set_limits(&self, limits: CallLimits) {
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// The snapshot; `None` while the database has not been reached since the start.
    #[must_use]
    pub fn get(&self) -> Option<Arc<Snapshot>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads everything anew: what was written before this was asked for is in use when it returns.
    ///
    /// # Errors
    /// As every query; the former snapshot stays in use.
    pub async fn reload(&self, store: &Store) -> Result<(), StoreError> {
        let _alone = self.reading.lock().await;
        let rows = store.load_directory().await?;
        let limits = *self.limits.read().unwrap_or_else(PoisonError::into_inner);
        let snapshot = Arc::new(Snapshot::of(rows, &limits));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(snapshot);
        Ok(())
    }

    /// Reloads for ever: what the command line or another process changes is in use a few seconds later.
    pub async fn keep_fresh(self, store: Store, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            if let Err(error) = self.reload(&store).await {
                tracing::warn!(%error, "clients could not be read; the former ones stay in use");
            }
        }
    }
}
