//! A call-back: noted, unless the number is on record as one that is not rung.

use std::time::Duration;

use caly_actors::domain::{ClientId, PhoneNumber};
use caly_actors::ports::{ActionError, ActionOutput, ActionRequest, Step, Undo};
use caly_actors::understand::{Surroundings, understand};
use chrono::{NaiveDateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::undoing::WITHDRAW;

/// Longest wait for the list of those who are not rung.
const LOOK_UP: Duration = Duration::from_secs(2);
const NOT_RUNG: &str = "this number is on record as one that is not to be rung, so no call-back can be noted for it; say so kindly: \
    another number can be given, the caller can ring again, and the business itself can take the number off its list";
/// For whoever rings back.
const LOOK_FIRST: &str = "it could not be looked up whether this number may be rung: look before you ring";

/// Whom clients do not ring.
pub trait DoNotCall: Send + Sync {
    /// Whether a client does not ring a number; `None`: that cannot be found out now.
    fn is_suppressed(&self, client: ClientId, number: &PhoneNumber) -> BoxFuture<'static, Option<bool>>;
}

/// The action's own row is the request: it holds the arguments and the call, and is kept by the journal even while the
/// database is away. So the caller is promised no more than that it was noted, and whoever rings back is told of a list that
/// could not be looked at. Beside the words stands the time they tell, in the callers' local time, if they tell one.
pub(super) async fn run(list: &dyn DoNotCall, request: &ActionRequest) -> Result<ActionOutput, ActionError> {
    let number = number(request);
    let suppressed = match &number {
        None => Some(false),
        Some(number) => {
            let asked = list.is_suppressed(request.facts.client, number);
            tokio::time::timeout(LOOK_UP, asked).await.ok().flatten()
        }
    };
    if suppressed == Some(true) {
        return Err(ActionError::Refused(NOT_RUNG.to_owned()));
    }
    let mut output = json!({ "noted": true, "when": request.arguments["when"] });
    let now = Utc::now() + TimeDelta::seconds(request.facts.agent.utc_offset.into());
    if let Some(at) = request.arguments["when"].as_str().and_then(|words| time_told(words, now.naive_utc())) {
        output["at"] = at;
    }
    if suppressed.is_none() {
        output["look_first"] = json!(LOOK_FIRST);
    }
    if number.is_none() && other(request).is_none() {
        output["missing"] = json!("the caller's number is withheld: ask for it");
    }
    let undo = Undo { tool: WITHDRAW.into(), arguments: json!({ "when": request.arguments["when"] }) };
    Ok(ActionOutput { output: output.to_string().into(), change: None, undo: Some(undo) })
}

/// The wish is the other action's row, which names the one that takes it back: there is nothing else to be done.
pub(super) fn withdraw(request: &ActionRequest) -> ActionOutput {
    let output = match request.step {
        Step::Plan => json!({ WITHDRAW: { "when": request.arguments["when"] } }),
        Step::Do => json!({ "withdrawn": true }),
    };
    ActionOutput { output: output.to_string().into(), change: None, undo: None }
}

/// Another number than the one that rings, as it was told.
fn other(request: &ActionRequest) -> Option<&str> {
    request.arguments["number"].as_str().filter(|number| !number.trim().is_empty())
}

/// Whom to ring; `None` where that is not known, or told in no form that can be read.
fn number(request: &ActionRequest) -> Option<PhoneNumber> {
    let Some(told) = other(request) else { return request.facts.caller.number().cloned() };
    let read = || {
        let meant = understand(&format!("phone {told}"), Surroundings::default());
        let phone = meant.entities.into_iter().find(|entity| entity.kind == "phone")?;
        PhoneNumber::parse(&phone.value).ok()
    };
    PhoneNumber::parse(told.trim()).ok().or_else(read)
}

/// `2026-11-21T17:00`, a day, or a stretch as an object.
fn time_told(words: &str, now: NaiveDateTime) -> Option<Value> {
    let iso = |form| NaiveDateTime::parse_from_str(words.trim().get(..16).unwrap_or_default(), form).ok();
    if let Some(time) = iso("%Y-%m-%dT%H:%M").or_else(|| iso("%Y-%m-%d %H:%M")) {
        return Some(json!(time.format("%Y-%m-%dT%H:%M").to_string()));
    }
    // Who asks to be rung back means a time to come.
    let asked = format!("{words} call karna");
    let meant = understand(&asked, Surroundings { now: Some(now), ..Surroundings::default() });
    meant.entities.iter().find(|entity| entity.kind == "datetime").map(caly_actors::domain::Entity::json)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use super::*;
    use caly_actors::domain::{AgentId, CallFacts, CallId, CallLimits, Carrier, CarrierCallId, Direction, Party};
    use chrono::NaiveDate;

    /// A list with one number on it, or none that can be looked at.
    struct List(Option<&'static str>);

    impl DoNotCall for List {
        fn is_suppressed(&self, _: ClientId, number: &PhoneNumber) -> BoxFuture<'static, Option<bool>> {
            Box::pin(std::future::ready(self.0.map(|listed| listed == number.as_e164())))
        }
    }

    fn request(caller: Party, number: Option<&str>) -> ActionRequest {
        let agent = crate::agents::read(AgentId::new(), 1, "shop", &json!({}), &CallLimits::default()).unwrap();
        let mut arguments = json!({ "when": "tomorrow morning" });
        if let Some(number) = number {
            arguments["number"] = json!(number);
        }
        let facts = CallFacts {
            call: CallId::new(),
            client: ClientId::new(),
            client_slug: "shop".into(),
            agent: Arc::new(agent),
            carrier: Carrier::Exotel,
            carrier_call_id: CarrierCallId::parse("c").unwrap(),
            caller,
            called: Party::Withheld,
            direction: Direction::Inbound,
            admitted_at: SystemTime::now(),
        };
        ActionRequest {
            facts: Arc::new(facts),
            name: "request_callback".into(),
            arguments: Arc::new(arguments),
            idempotency_key: "k".into(),
            step: Step::Do,
            attempt: 1,
        }
    }

    #[tokio::test]
    async fn a_number_that_is_not_to_be_rung_is_not_noted_and_a_list_that_is_away_is_told() {
        const LISTED: &str = "+919876543210";
        let caller = |number: &str| Party::Number(PhoneNumber::parse(number).unwrap());
        for (name, list, from, other, told) in [
            ("their own", Some(LISTED), caller(LISTED), None, "refused"),
            ("another", Some(LISTED), caller("+919800000000"), Some("98765 43210"), "refused"),
            ("another, as in E.164", Some(LISTED), Party::Withheld, Some(LISTED), "refused"),
            ("another than their own", Some(LISTED), caller(LISTED), Some("9800000000"), "noted"),
            ("somebody else's", Some(LISTED), caller("+919800000000"), None, "noted"),
            ("withheld", Some(LISTED), Party::Withheld, None, "missing"),
            ("in no form", Some(LISTED), Party::Withheld, Some("the usual one"), "noted"),
            ("a list that is away", None, caller(LISTED), None, "look_first"),
        ] {
            let outcome = match run(&List(list), &request(from, other)).await {
                Err(ActionError::Refused(why)) => {
                    assert!(why.contains("not to be rung"), "{why}");
                    "refused"
                }
                Err(other) => panic!("{name}: {other}"),
                Ok(output) => {
                    let output: Value = serde_json::from_str(&output.output).unwrap();
                    assert_eq!(output["noted"], json!(true), "{name}");
                    ["missing", "look_first"].into_iter().find(|key| !output[key].is_null()).unwrap_or("noted")
                }
            };
            assert_eq!(outcome, told, "{name}");
        }
    }

    #[test]
    fn the_time_to_ring_back_is_read_from_the_callers_words() {
        let now = NaiveDate::from_ymd_opt(2026, 11, 18).and_then(|day| day.and_hms_opt(10, 0, 0)).unwrap_or_default();
        for (words, at) in [
            ("2026-11-21T17:00:00+05:30", json!("2026-11-21T17:00")),
            ("kal shaam paanch baje", json!("2026-11-19T17:00")),
            ("tomorrow morning", json!({"from": "2026-11-19T06:00", "to": "2026-11-19T12:00"})),
            ("आधे घंटे बाद", json!("2026-11-18T10:30")),
            ("monday", json!("2026-11-23")),
        ] {
            assert_eq!(time_told(words, now), Some(at), "{words}");
        }
        assert_eq!(time_told("whenever it suits you", now), None);
    }
}
