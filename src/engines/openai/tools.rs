//! Which tool calls of a session are whole. The vendor sends every `.done` event for interrupted answers too, so
//! arguments that are "done" may be half a JSON text: only an item or a response that says `completed` is believed.

use std::collections::VecDeque;
use std::sync::Arc;

use caly_actors::ports::EngineEvent;

use super::hear::ignored;
use super::wire::Item;

/// Calls remembered as dealt with, and calls not yet whole; the oldest is forgotten past that.
const REMEMBERED: usize = 256;
const OPEN: usize = 32;

struct OpenCall {
    response: String,
    call_id: String,
    name: String,
    arguments: Option<String>,
}

/// The tool calls of one session. Each is told once, and never before it is whole.
#[derive(Default)]
pub(super) struct ToolCalls {
    settled: VecDeque<String>,
    open: VecDeque<OpenCall>,
}

impl ToolCalls {
    /// A call begins; kept for its name, which older servers do not repeat with the arguments.
    pub(super) fn item_added(&mut self, response: &str, item: &Item) {
        if item.kind.as_deref() == Some("function_call") {
            let name = item.name.as_deref().unwrap_or("");
            self.remember(response, [item.call_id.as_deref().unwrap_or(""), name, ""]);
        }
    }

    /// `call` is id, name, arguments. They wait for the item's or the response's verdict.
    pub(super) fn arguments_done(&mut self, response: &str, call: [&str; 3]) {
        let [call_id, _, arguments] = call;
        self.remember(response, call);
        if let Some(open) = self.open.iter_mut().find(|open| open.call_id == call_id) {
            open.arguments = Some(arguments.to_owned());
        }
    }

    /// An item is over: told if it is whole, forgotten if it is not, and left to the response if it does not say.
    pub(super) fn item_done(&mut self, response: &str, item: &Item, events: &mut VecDeque<EngineEvent>) {
        if item.kind.as_deref() != Some("function_call") {
            return;
        }
        let call_id = item.call_id.as_deref().unwrap_or("");
        match item.status.as_deref() {
            Some("completed") => self.tell(response, item, events),
            Some("incomplete" | "cancelled" | "failed") => {
                self.take_open(call_id);
                self.settle(call_id);
            }
            Some(_) | None => {
                let call = [call_id, item.name.as_deref().unwrap_or(""), item.arguments.as_deref().unwrap_or("")];
                self.arguments_done(response, call);
            }
        }
    }

    /// A response is over: a completed one vouches for what it holds; any other takes its open calls with it.
    pub(super) fn response_done(
        &mut self,
        response: &str,
        completed: bool,
        output: &[Item],
        events: &mut VecDeque<EngineEvent>,
    ) {
        for item in output {
            let whole = matches!(item.status.as_deref(), Some("completed") | None);
            if completed && whole && item.kind.as_deref() == Some("function_call") {
                self.tell(response, item, events);
            }
        }
        let (over, open): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.open).into_iter().partition(|call| call.response == response);
        self.open = open.into();
        for call in over {
            match call.arguments {
                Some(arguments) if completed => self.emit(response, &call.call_id, &call.name, &arguments, events),
                _ => self.settle(&call.call_id),
            }
        }
    }

    fn tell(&mut self, response: &str, item: &Item, events: &mut VecDeque<EngineEvent>) {
        let call_id = item.call_id.as_deref().unwrap_or("");
        let known = self.take_open(call_id);
        let (known_name, known_arguments) = known.map(|call| (call.name, call.arguments)).unwrap_or_default();
        let name = item.name.as_deref().filter(|name| !name.is_empty()).unwrap_or(&known_name);
        let arguments = item.arguments.as_deref().or(known_arguments.as_deref()).unwrap_or("");
        self.emit(response, call_id, name, arguments, events);
    }

    fn emit(&mut self, response: &str, call_id: &str, name: &str, arguments: &str, events: &mut VecDeque<EngineEvent>) {
        if call_id.is_empty() || name.is_empty() {
            return ignored("nameless_tool_call");
        }
        if self.is_settled(call_id) {
            return;
        }
        self.settle(call_id);
        let arc = |text: &str| -> Arc<str> { text.into() };
        events.push_back(EngineEvent::ToolCalled {
            response: arc(response),
            tool_call: arc(call_id),
            name: arc(name),
            arguments: arc(arguments),
        });
    }

    fn remember(&mut self, response: &str, call: [&str; 3]) {
        let [call_id, name, _] = call;
        if call_id.is_empty() || self.is_settled(call_id) {
            return;
        }
        if let Some(open) = self.open.iter_mut().find(|open| open.call_id == call_id) {
            if open.name.is_empty() {
                name.clone_into(&mut open.name);
            }
            return;
        }
        if self.open.len() >= OPEN {
            self.open.pop_front();
            ignored("too_many_tool_calls");
        }
        self.open.push_back(OpenCall {
            response: response.to_owned(),
            call_id: call_id.to_owned(),
            name: name.to_owned(),
            arguments: None,
        });
    }

    fn take_open(&mut self, call_id: &str) -> Option<OpenCall> {
        let at = self.open.iter().position(|call| call.call_id == call_id)?;
        self.open.remove(at)
    }

    fn is_settled(&self, call_id: &str) -> bool {
        self.settled.iter().any(|settled| settled == call_id)
    }

    fn settle(&mut self, call_id: &str) {
        if self.settled.len() >= REMEMBERED {
            self.settled.pop_front();
        }
        self.settled.push_back(call_id.to_owned());
    }
}
