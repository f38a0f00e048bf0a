//! Rows as the admin API shows them: ids are UUIDv7, times RFC 3339 in UTC, phone numbers E.164. Nothing secret is in
//! a row that can be serialised.

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use sqlx::FromRow;
use utoipa::ToSchema;
use uuid::Uuid;

use super::languages::LanguageRow;
use super::secrets::same_hash;

/// One page of a list, newest first unless said otherwise.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Give it back to get the next page; `null` on the last.
    pub next: Option<String>,
}

/// A business whose phone is answered.
#[derive(Clone, PartialEq, Debug, FromRow, Serialize, ToSchema)]
pub struct ClientRow {
    pub id: Uuid,
    pub slug: String,
    pub name: String,
    /// Its webhooks are refused.
    pub disabled: bool,
    /// `json` or `exoml`.
    pub answer_style: String,
    /// Calls at once; `null` is no limit of its own.
    pub max_calls: Option<i64>,
    /// Addresses and networks its webhooks may come from; empty is any.
    #[sqlx(json)]
    pub ip_allow_list: Vec<String>,
    /// User name of Basic credentials, if it has them.
    pub basic_user: Option<String>,
    /// Its shop, if one is connected.
    #[serde(rename = "shop", serialize_with = "shop_shown")]
    #[schema(value_type = Option<ShopShown>)]
    pub shop_domain: Option<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// What is shown of a client's shop.
#[derive(Serialize, ToSchema)]
pub struct ShopShown {
    /// `….myshopify.com`.
    domain: String,
}

fn shop_shown<S: Serializer>(domain: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    domain.clone().map(|domain| ShopShown { domain }).serialize(serializer)
}

/// What a client's webhooks are checked with and its own actions signed with. Never serialised, never printed.
#[derive(Clone, PartialEq, FromRow)]
pub struct ClientSecrets {
    /// SHA-256 of the secret in the webhook URL.
    pub webhook_secret_hash: Vec<u8>,
    /// SHA-256 of the secret before it, and until when that one still holds.
    pub former_webhook_secret_hash: Option<Vec<u8>>,
    pub former_webhook_secret_until: Option<DateTime<Utc>>,
    /// SHA-256 of the Basic password.
    pub basic_password_hash: Option<Vec<u8>>,
    /// Key of `X-Exotel-Signature`, in clear.
    pub signature_secret: Option<String>,
    /// Key that signs the client's HTTPS actions, in clear.
    pub http_secret: String,
    /// Access token of its shop, in clear.
    pub shop_token: Option<String>,
    /// Key of its shop's webhooks, in clear.
    pub shop_webhook_secret: Option<String>,
}

impl ClientSecrets {
    /// Whether a secret from a webhook URL, by its hash, opens this client's doors now. Compared in constant time.
    #[must_use]
    pub fn opens(&self, hash: &[u8], now: DateTime<Utc>) -> bool {
        let former = self.former_webhook_secret_hash.as_ref().filter(|_| {
            // Without an end it would hold for ever.
            self.former_webhook_secret_until.is_some_and(|until| now < until)
        });
        let by_former = former.is_some_and(|former| same_hash(hash, former));
        same_hash(hash, &self.webhook_secret_hash) || by_former
    }
}

impl std::fmt::Debug for ClientSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientSecrets")
    }
}

/// A client with its secrets, for the snapshot that webhooks are checked against.
#[derive(Clone, PartialEq, Debug, FromRow)]
pub struct DirectoryClient {
    /// What may be shown.
    #[sqlx(flatten)]
    pub client: ClientRow,
    /// What may not.
    #[sqlx(flatten)]
    pub secrets: ClientSecrets,
}

/// Everything webhooks and admission need, read at one moment.
#[derive(Clone, PartialEq, Debug)]
pub struct DirectoryRows {
    /// All clients, also disabled ones.
    pub clients: Vec<DirectoryClient>,
    /// All numbers.
    pub numbers: Vec<NumberRow>,
    /// The agent version in use of each client that has one.
    pub agents: Vec<AgentRow>,
}

/// A phone number of a client.
#[derive(Clone, PartialEq, Debug, FromRow, Serialize, ToSchema)]
pub struct NumberRow {
    pub id: Uuid,
    pub client_id: Uuid,
    pub e164: String,
    pub label: Option<String>,
    pub created_at: DateTime<Utc>,
}

/// What a caller booked.
#[derive(Clone, PartialEq, Debug, FromRow, Serialize, ToSchema)]
pub struct AppointmentRow {
    pub id: Uuid,
    pub client_id: Uuid,
    /// The call it was booked in.
    pub call_id: Option<Uuid>,
    pub service: String,
    /// With whom; empty where people have no names.
    pub person: String,
    pub starts_at: DateTime<Utc>,
    pub ends_at: DateTime<Utc>,
    /// Who booked it, in E.164; `null` where the number was withheld.
    pub caller: Option<String>,
    /// For whom.
    pub name: Option<String>,
    /// `booked` or `cancelled`.
    pub state: String,
    #[serde(skip)]
    pub idempotency_key: String,
    #[serde(skip)]
    pub changed_by: Option<String>,
    pub created_at: DateTime<Utc>,
    pub changed_at: DateTime<Utc>,
}

/// Somebody who rang, for a client that remembers its callers.
#[derive(Clone, PartialEq, Debug, FromRow, Serialize, ToSchema)]
pub struct CustomerRow {
    pub id: Uuid,
    pub client_id: Uuid,
    /// The number they ring from.
    pub e164: String,
    pub name: Option<String>,
    /// What they spoke last: `en`, `hi` or `hi-Latn`.
    pub language: Option<String>,
    /// Answered calls, one that is up included.
    pub calls: i64,
    pub first_call_at: Option<DateTime<Utc>>,
    pub last_call_at: Option<DateTime<Utc>>,
    pub last_call_id: Option<Uuid>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// Forgotten then, unless they ring before.
    pub expires_at: DateTime<Utc>,
}

/// Something a caller told of themselves, or an operator wrote.
#[derive(Clone, PartialEq, Debug, FromRow, Serialize, ToSchema)]
pub struct CustomerFactRow {
    /// `[a-z0-9_]`, unique among the customer's.
    pub name: String,
    pub value: String,
    /// The call it was told in; `null` where an operator wrote it.
    pub call_id: Option<Uuid>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// Forgotten then.
    pub expires_at: DateTime<Utc>,
}

/// A customer and what is known of them.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct CustomerDetail {
    pub customer: CustomerRow,
    /// What was told last first.
    pub facts: Vec<CustomerFactRow>,
}

/// A number that a client does not ring.
#[derive(Clone, PartialEq, Debug, FromRow, Serialize, ToSchema)]
pub struct SuppressionRow {
    pub id: Uuid,
    pub client_id: Uuid,
    pub e164: String,
    /// The call in which it was first said.
    pub call_id: Option<Uuid>,
    pub created_at: DateTime<Utc>,
}

/// One version of how a client's calls are conducted.
#[derive(Clone, PartialEq, Debug, FromRow, Serialize, ToSchema)]
pub struct AgentRow {
    pub id: Uuid,
    pub client_id: Uuid,
    pub version: i64,
    pub name: String,
    /// Values of headers are shown as `***`.
    #[serde(serialize_with = "settings_shown")]
    #[schema(value_type = Object)]
    pub settings: serde_json::Value,
    /// The version new calls use.
    pub published: bool,
    pub created_at: DateTime<Utc>,
}

fn settings_shown<S: Serializer>(settings: &serde_json::Value, serializer: S) -> Result<S::Ok, S::Error> {
    crate::redact::settings_shown(settings).serialize(serializer)
}

/// A phone call.
#[derive(Clone, PartialEq, Debug, FromRow, Serialize, ToSchema)]
pub struct CallRow {
    pub id: Uuid,
    pub client_id: Uuid,
    /// `null` for a call of which only the carrier has told.
    pub agent_id: Option<Uuid>,
    pub agent_version: Option<i64>,
    pub carrier: String,
    pub carrier_call_id: String,
    /// E.164, national digits, a SIP address, or `null` when withheld.
    pub caller: Option<String>,
    pub called: Option<String>,
    /// `inbound` or `outbound`.
    pub direction: Option<String>,
    /// `admitted`, `live` or `ended`.
    pub state: String,
    pub admitted_at: DateTime<Utc>,
    pub answered_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    /// `caly`, `carrier` or `restart`: who said that it ended.
    pub ended_by: Option<String>,
    pub end_reason: Option<String>,
    /// From admission to the end, on the call's own clock.
    pub duration_ms: Option<i64>,
    /// Samples a second.
    pub rate: Option<i64>,
    /// `hang_up` or `transfer`.
    pub after_stream: Option<String>,
    /// For the person it was handed to.
    pub summary: Option<String>,
    pub text_in: i64,
    pub text_cached: i64,
    pub audio_in: i64,
    pub audio_cached: i64,
    pub text_out: i64,
    pub audio_out: i64,
    /// What the engine cost, in millionths of a US dollar.
    pub cost_micro_usd: i64,
    /// Parts that had to be given up.
    #[sqlx(json)]
    pub degraded: Vec<String>,
    /// The carrier's own word.
    pub carrier_status: Option<String>,
    pub carrier_duration_s: Option<i64>,
    pub carrier_ended_at: Option<DateTime<Utc>>,
}

/// An utterance, as heard.
#[derive(Clone, PartialEq, Debug, FromRow, Serialize, ToSchema)]
pub struct TurnRow {
    pub id: Uuid,
    pub call_id: Uuid,
    /// `caller` or `agent`.
    pub speaker: String,
    /// What was said, in letters of Hindi or English.
    pub text: String,
    /// What the recogniser wrote, where it wrote Hindi in letters of another script: Urdu's, Gujarati, Gurmukhi … Absent where
    /// that is the text itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// Words the caller never heard.
    pub unheard: String,
    pub interrupted: bool,
    /// Milliseconds since admission.
    pub started_ms: i64,
    pub ended_ms: i64,
    /// From the end of the caller's speech, as heard on the line, to the first frame of the answer sent to the carrier.
    pub latency_ms: Option<i64>,
    /// How long the caller waited for it, step by step.
    #[sqlx(flatten)]
    pub latency: TurnLatency,
    pub at: DateTime<Utc>,
}

/// The steps from a caller's last word to the first frame of the answer that they hear, each from the one before, in
/// milliseconds. `null` where one is not known, and in turns that answer nothing.
#[derive(Clone, PartialEq, Eq, Default, Debug, FromRow, Serialize, ToSchema)]
pub struct TurnLatency {
    /// From the end of the caller's speech, as heard on the line, until the engine took it for a turn.
    #[sqlx(rename = "commit_gap_ms")]
    pub commit_ms: Option<i64>,
    /// … until its first audio came.
    #[sqlx(rename = "first_audio_gap_ms")]
    pub first_audio_ms: Option<i64>,
    /// … until the first frame was handed to the carrier.
    #[sqlx(rename = "sent_gap_ms")]
    pub sent_ms: Option<i64>,
    /// … until the caller heard it: by the carrier's mark, or as estimated where marks never come.
    #[sqlx(rename = "heard_gap_ms")]
    pub heard_ms: Option<i64>,
    /// From the end of the caller's speech until the answer was heard.
    #[sqlx(rename = "total_gap_ms")]
    pub total_ms: Option<i64>,
}

/// What a caller's turn was taken to mean.
#[derive(Clone, PartialEq, Debug, FromRow, Serialize, ToSchema)]
pub struct IntentRow {
    pub id: Uuid,
    pub call_id: Uuid,
    pub turn_id: Uuid,
    pub intent: String,
    /// 0.0 to 1.0.
    pub confidence: f64,
    /// `[{"kind","text","value","confidence"}]`.
    #[schema(value_type = Vec<Object>)]
    pub entities: serde_json::Value,
    pub at_ms: i64,
    pub at: DateTime<Utc>,
}

/// Something done because of a call.
#[derive(Clone, PartialEq, Debug, FromRow, Serialize, ToSchema)]
pub struct ActionRow {
    pub id: Uuid,
    pub call_id: Uuid,
    pub client_id: Uuid,
    pub name: String,
    pub idempotency_key: String,
    #[schema(value_type = Object)]
    pub arguments: serde_json::Value,
    /// `proposed`, `confirmed`, `withdrawn`, `running`, `done`, `failed` or `unknown`.
    pub state: String,
    #[schema(value_type = Option<Object>)]
    pub output: Option<serde_json::Value>,
    pub attempts: i64,
    /// Milliseconds since the call's admission.
    pub started_ms: i64,
    pub changed_ms: i64,
    pub created_at: DateTime<Utc>,
    pub changed_at: DateTime<Utc>,
    /// What `undo` would have done: `tool` and `arguments`; `null` where nothing undoes it.
    #[schema(value_type = Option<Object>)]
    pub undo: Option<serde_json::Value>,
    /// The action that this one undoes.
    pub undoes: Option<Uuid>,
    /// The action that has undone this one.
    pub undone_by: Option<Uuid>,
}

/// A caller who asked to be rung back.
#[derive(Clone, PartialEq, Debug, FromRow)]
pub struct CallbackRow {
    /// Of the action.
    pub id: Uuid,
    pub client_id: Uuid,
    pub call_id: Uuid,
    /// Who rang, as stored.
    pub caller: Option<String>,
    pub arguments: serde_json::Value,
    pub output: Option<serde_json::Value>,
    pub created_at: DateTime<Utc>,
    pub done_at: Option<DateTime<Utc>>,
    /// The key that said so.
    pub done_by: Option<Uuid>,
    pub note: Option<String>,
    /// Who rang does not want to be rung any more.
    pub do_not_call_since: Option<DateTime<Utc>>,
}

/// Anything else worth knowing of a call.
#[derive(Clone, PartialEq, Debug, FromRow, Serialize, ToSchema)]
pub struct EventRow {
    /// Sorts in the order of recording.
    pub id: Uuid,
    pub call_id: Uuid,
    pub kind: String,
    #[schema(value_type = Object)]
    pub detail: serde_json::Value,
    pub at_ms: i64,
    pub at: DateTime<Utc>,
}

/// Where the sound of a call lies.
#[derive(Clone, PartialEq, Debug, FromRow, Serialize, ToSchema)]
pub struct RecordingRow {
    pub id: Uuid,
    pub client_id: Uuid,
    pub carrier: String,
    pub carrier_call_id: String,
    /// `carrier` or `caly`.
    pub source: String,
    /// A URL or a path inside the data directory.
    pub location: String,
    pub duration_ms: Option<i64>,
    pub received_at: DateTime<Utc>,
}

/// A call and all that belongs to it.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct CallDetail {
    pub call: CallRow,
    /// In the order in which they began.
    pub turns: Vec<TurnRow>,
    pub intents: Vec<IntentRow>,
    pub actions: Vec<ActionRow>,
    /// In the order of recording.
    pub events: Vec<EventRow>,
    /// What the caller was heard to speak, from when on; empty: nothing that tells it.
    pub languages: Vec<LanguageRow>,
    pub recordings: Vec<RecordingRow>,
}

/// A key of the admin API, without the key.
#[derive(Clone, PartialEq, Debug, FromRow, Serialize, ToSchema)]
pub struct KeyRow {
    pub id: Uuid,
    /// The first characters, to recognise it by.
    pub prefix: String,
    /// `admin`, `operator` or `viewer`.
    pub role: String,
    /// The one client it may see; `null` is all.
    pub client_id: Option<Uuid>,
    pub name: String,
    pub created_at: DateTime<Utc>,
    /// It stops working then; `null` is never.
    pub expires_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Something somebody did, or tried to do.
#[derive(Clone, PartialEq, Debug, FromRow, Serialize, ToSchema)]
pub struct AuditRow {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    /// A key's id, a client's slug, `caly` …
    pub actor: String,
    pub client_id: Option<Uuid>,
    pub action: String,
    pub outcome: String,
    /// Address it came from.
    pub remote: Option<String>,
    #[schema(value_type = Object)]
    pub detail: serde_json::Value,
}
