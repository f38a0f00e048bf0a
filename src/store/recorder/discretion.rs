//! What of a call may be kept: every entry passes here before it reaches the queue, a listener, the spool or a table.
//! Knows what each call's agent has asked for, since digits are a password only as the answer to a question.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use caly_actors::ports::JournalEntry;
use serde_json::Value;
use uuid::Uuid;

use super::entry::{Body, Entry, TurnBody};
use super::lock;
use crate::redact::{Dialogue, redact, redact_json};

/// Calls remembered; beyond it the context of one that is longest without a word goes, and is counted.
const CALLS_MAX: usize = 10_000;

/// Masks entries.
#[derive(Default)]
pub(super) struct Discretion(Mutex<Calls>);

#[derive(Default)]
struct Calls {
    dialogues: HashMap<Uuid, (u64, Dialogue)>,
    /// Counts up with every use, so that the one longest unused is known.
    uses: u64,
}

impl Discretion {
    pub(super) fn journal(&self, at: SystemTime, entry: JournalEntry) -> Entry {
        let under_way: Arc<str> = match &entry {
            JournalEntry::Turn { under_way, .. } => Arc::clone(under_way),
            _ => "".into(),
        };
        let mut entry = Entry::journal(at, entry);
        self.mask(&mut entry.body, &under_way);
        entry
    }

    pub(super) fn now(&self, mut body: Body) -> Entry {
        self.mask(&mut body, "");
        Entry::now(body)
    }

    fn mask(&self, body: &mut Body, under_way: &str) {
        match body {
            Body::Turn(turn) => self.with(turn.call, |dialogue| mask_turn(dialogue, turn, under_way)),
            Body::Intent { call, turn, entities, .. } => {
                self.with(*call, |dialogue| mask_entities(dialogue, *turn, entities));
            }
            Body::Action(action) => self.with(action.call, |dialogue| {
                action.arguments = dialogue.json(action.arguments.take());
                action.output = action.output.take().map(|output| dialogue.json(output));
                action.undo = action.undo.take().map(|undo| dialogue.json(undo));
            }),
            Body::Decided { call, summary, .. } => {
                self.with(*call, |dialogue| *summary = dialogue.text(summary).into_owned());
            }
            Body::Event { detail, .. } => *detail = redact_json(detail.take()),
            Body::Audit(entry) => entry.mask(),
            Body::Carrier(fact) => fact.mask(),
            Body::Ended(ended) => lock(&self.0).forget(ended.call),
            // Numbers of the two parties and where a recording lies are the operator's data.
            Body::Admitted(_)
            | Body::Answered { .. }
            | Body::TakenUp { .. }
            | Body::Met(_)
            | Body::DoNotCall { .. }
            | Body::Spent { .. }
            | Body::Recording(_) => {}
        }
    }

    fn with(&self, call: Uuid, work: impl FnOnce(&mut Dialogue)) {
        let mut calls = lock(&self.0);
        calls.uses += 1;
        let now = calls.uses;
        if calls.dialogues.len() >= CALLS_MAX && !calls.dialogues.contains_key(&call) {
            calls.forget_one();
        }
        let (used, dialogue) = calls.dialogues.entry(call).or_default();
        *used = now;
        work(dialogue);
        metrics::gauge!("caly_recorder_contexts").set(calls.dialogues.len() as f64);
    }
}

impl Calls {
    fn forget(&mut self, call: Uuid) {
        self.dialogues.remove(&call);
        metrics::gauge!("caly_recorder_contexts").set(self.dialogues.len() as f64);
    }

    fn forget_one(&mut self) {
        let oldest = self.dialogues.iter().min_by_key(|(_, (used, _))| *used).map(|(call, _)| *call);
        if let Some(call) = oldest {
            self.dialogues.remove(&call);
            metrics::counter!("caly_recorder_contexts_dropped_total").increment(1);
        }
    }
}

fn mask_turn(dialogue: &mut Dialogue, turn: &mut TurnBody, under_way: &str) {
    let started = Duration::from_millis(turn.started_ms.try_into().unwrap_or(0));
    if turn.speaker == caly_actors::domain::Speaker::Agent.as_str() {
        (turn.text, turn.unheard) = dialogue.agent_said(started, &turn.text, &turn.unheard);
    } else {
        let text = std::mem::take(&mut turn.text);
        turn.text = dialogue.caller_said(turn.id, started, &text, under_way);
        turn.raw = turn.raw.take().and_then(|raw| dialogue.raw(&raw, &text, &turn.text));
        turn.unheard = redact(&turn.unheard).into_owned();
    }
}

/// An entity that the turn no longer shows is a secret: its kind and place in the list stay.
fn mask_entities(dialogue: &Dialogue, turn: Uuid, entities: &mut Value) {
    for entity in entities.as_array_mut().into_iter().flatten() {
        let shown = entity["text"].as_str().and_then(|text| dialogue.piece(turn, text)).map(|text| text.into_owned());
        let shown = shown.filter(|text| entity["text"] == **text);
        if shown.is_none() {
            entity["text"] = Value::from("***");
            entity["value"] = Value::from("***");
        } else {
            entity["value"] = dialogue.json(entity["value"].take());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::store::facts::AuditEntry;
    use serde_json::json;

    fn turn(call: Uuid, id: Uuid, speaker: &str, started_ms: i64, text: &str) -> Body {
        Body::Turn(Box::new(TurnBody {
            call,
            id,
            speaker: speaker.to_owned(),
            text: text.to_owned(),
            raw: None,
            unheard: String::new(),
            interrupted: false,
            started_ms,
            ended_ms: started_ms + 1,
            latency_ms: None,
            gaps_ms: [None; 5],
        }))
    }

    fn text_of(entry: &Entry) -> &str {
        match &entry.body {
            Body::Turn(turn) => &turn.text,
            _ => "",
        }
    }

    #[test]
    fn a_password_told_in_answer_is_in_no_entry_of_the_call_and_another_call_is_not_touched() {
        let (discretion, call, other, id) = (Discretion::default(), Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
        discretion.now(turn(call, Uuid::now_v7(), "agent", 10, "Please tell me the OTP."));
        let told = discretion.now(turn(call, id, "caller", 20, "haan, four eight two one"));
        assert_eq!(text_of(&told), "haan, [code]");
        assert_eq!(text_of(&discretion.now(turn(other, id, "caller", 20, "4821"))), "4821");
        let entities = json!([{"kind": "order_id", "text": "four eight two one", "value": "4821", "confidence": 1.0}]);
        let intent = Body::Intent { call, turn: id, intent: "oos".into(), confidence: 1.0, entities, at_ms: 30 };
        let intent = serde_json::to_string(&discretion.now(intent)).unwrap();
        assert!(!intent.contains("4821") && !intent.contains("four") && intent.contains("order_id"), "{intent}");
        discretion.now(turn(call, Uuid::now_v7(), "agent", 40, "Thank you. Your order number?"));
        assert_eq!(text_of(&discretion.now(turn(call, Uuid::now_v7(), "caller", 50, "1042"))), "1042");
    }

    #[test]
    fn a_password_told_before_its_question_is_on_record_is_masked_with_the_question_that_is_under_way() {
        use caly_actors::domain::{CallId, Speaker, Turn, TurnId};
        let discretion = Discretion::default();
        let call = CallId::new();
        let said = |under_way: &str| {
            let turn = Turn {
                id: TurnId::new(),
                speaker: Speaker::Caller,
                text: "4821".into(),
                raw: None,
                unheard: "".into(),
                interrupted: false,
                started: Duration::from_secs(3),
                ended: Duration::from_secs(4),
                latency: None,
            };
            let entry = JournalEntry::Turn { call, turn, under_way: under_way.into() };
            text_of(&discretion.journal(SystemTime::now(), entry)).to_owned()
        };
        assert_eq!(said("One moment please."), "4821");
        assert_eq!(said("Please tell me the OTP that"), "[code]");
    }

    #[test]
    fn events_and_audit_entries_hold_no_number_and_no_key() {
        let discretion = Discretion::default();
        let detail =
            json!({"why": "+919876543210 said 4111111111111111", "token": "abc", "url": "https://x.in/?key=s3"});
        let event = Body::Event { call: Uuid::nil(), name: "x".into(), detail: detail.clone(), at_ms: 0 };
        let audit = Body::Audit(Box::new(AuditEntry::new("me", "tried", "refused").detail(detail)));
        for body in [event, audit] {
            let json = serde_json::to_string(&discretion.now(body)).unwrap();
            for secret in ["9876543210", "4111111111111111", "abc", "s3"] {
                assert!(!json.contains(secret), "{secret} in {json}");
            }
        }
    }

    #[test]
    fn what_is_remembered_of_calls_is_bounded_and_goes_with_the_call() {
        let discretion = Discretion::default();
        let first = Uuid::now_v7();
        discretion.now(turn(first, Uuid::now_v7(), "agent", 0, "OTP?"));
        for _ in 0..CALLS_MAX {
            discretion.now(turn(Uuid::now_v7(), Uuid::now_v7(), "agent", 0, "hello"));
        }
        assert_eq!(lock(&discretion.0).dialogues.len(), CALLS_MAX);
        assert!(!lock(&discretion.0).dialogues.contains_key(&first));
        let last = *lock(&discretion.0).dialogues.keys().next().unwrap();
        let ended = super::super::entry::EndedBody {
            call: last,
            reason: "drained".into(),
            at_ms: 1,
            usage: [0; 7],
            degraded: Vec::new(),
        };
        discretion.now(Body::Ended(Box::new(ended)));
        assert_eq!(lock(&discretion.0).dialogues.len(), CALLS_MAX - 1);
    }
}
