//! Answers that are written beside the conversation: known by our mark, or by being text where a session only speaks. Nothing
//! of them is heard, none of it counts as an answer to the caller.

use std::collections::VecDeque;

use caly_actors::domain::Usage;
use caly_actors::ports::{EngineError, EngineEvent, ResponseOutcome};

use super::hear::ignored;
use super::wire::Response;

/// Under way at once; the oldest is forgotten past that.
const OPEN: usize = 8;
/// Longest text kept of one, in bytes: more than the tokens that are asked for.
const TEXT_MAX: usize = 16 * 1024;
/// How the `event_id` of a request begins; an `error` about it bears the same.
const EVENT_ID: &str = "caly_summary_";

struct Open {
    response: String,
    /// Whose it is; 0 is nobody's.
    request: u64,
    text: String,
}

/// See the module's text.
#[derive(Default)]
pub(super) struct Asides(VecDeque<Open>);

/// The `event_id` of a request.
pub(super) fn event_id(request: u64) -> String {
    format!("{EVENT_ID}{request}")
}

/// The request that an `error` is about.
pub(super) fn request_of(event_id: &str) -> Option<u64> {
    event_id.strip_prefix(EVENT_ID)?.parse().ok()
}

impl Asides {
    /// A response begins; true if it is one of these.
    pub(super) fn begin(&mut self, response: &Response) -> bool {
        let Some(request) = mark_of(response) else { return false };
        if self.0.len() >= OPEN {
            self.0.pop_front();
            ignored("too_many_asides");
        }
        let id = response.id.clone().unwrap_or_default();
        self.0.push_back(Open { response: id, request, text: String::new() });
        true
    }

    /// Whether an event is about one of these. Cheap where there is none, which is nearly always.
    pub(super) fn is_about(&self, response: &str) -> bool {
        self.0.iter().any(|open| open.response == response)
    }

    /// More of the text; `whole`: all of it.
    pub(super) fn write(&mut self, response: &str, text: &str, whole: bool) {
        let Some(open) = self.0.iter_mut().find(|open| open.response == response) else { return };
        if whole {
            open.text.clear();
        }
        let room = TEXT_MAX.saturating_sub(open.text.len());
        let end = (0..=text.len().min(room)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        open.text.push_str(&text[..end]);
    }

    /// A response is over; what to tell if it was one of these, also if it never began.
    pub(super) fn end(&mut self, response: &Response) -> Option<(u64, String)> {
        let id = response.id.as_deref().unwrap_or("");
        match self.0.iter().position(|open| open.response == id) {
            Some(at) => self.0.remove(at).map(|open| (open.request, open.text)),
            None => mark_of(response).map(|request| (request, String::new())),
        }
    }
}

/// An answer to the caller bears the mark of its wish, and is one even where a service writes it.
fn mark_of(response: &Response) -> Option<u64> {
    let written = response.output_modalities.as_ref().is_some_and(|kinds| kinds.len() == 1 && kinds[0] == "text");
    let metadata = response.metadata.as_ref();
    let wished = metadata.is_some_and(|metadata| metadata.wish().is_some());
    metadata.and_then(|metadata| metadata.summary()).or((written && !wished).then_some(0))
}

/// What became of a request. A text that broke off at its longest is a text.
pub(super) fn summarised(request: u64, text: String, outcome: ResponseOutcome, usage: Usage) -> EngineEvent {
    let result = match outcome {
        ResponseOutcome::Completed | ResponseOutcome::Incomplete => Ok(text.into()),
        ResponseOutcome::Cancelled => Err(EngineError::Protocol("the summary was cancelled".to_owned())),
        ResponseOutcome::Failed(error) => Err(error),
    };
    EngineEvent::Summarised { request, result, usage }
}
