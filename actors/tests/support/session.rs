//! The engine's side of a session, driven by hand.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use caly_actors::audio::lane::{LaneReceiver, LaneSender};
use caly_actors::domain::*;
use caly_actors::ports::*;
use futures_util::StreamExt;

/// What the engine's side of a session looks like to the test.
#[derive(Clone)]
pub struct Session {
    pub spec: EngineSpec,
    pub commands: LaneReceiver<EngineCommand>,
    pub events: LaneSender<EngineEvent>,
    pub lanes: EngineLanes,
}

impl Session {
    pub fn say(&self, event: EngineEvent) {
        self.events.push(event);
    }

    /// A whole spoken answer: created, words, audio, done.
    pub fn answer(&self, response: &str, item: &str, words: &str, audio_ms: usize, wish: Option<u64>) {
        self.say(EngineEvent::ResponseCreated { response: response.into(), wish });
        self.say(EngineEvent::AgentWords { response: response.into(), item: item.into(), delta: words.into() });
        for _ in 0..audio_ms / 100 {
            let bytes = Bytes::from(vec![0xd5u8; 800]);
            self.lanes.agent.push(AgentAudio { response: response.into(), item: item.into(), bytes });
        }
        self.say(EngineEvent::AgentTranscript { item: item.into(), text: words.into() });
        self.say(EngineEvent::ResponseDone {
            response: response.into(),
            outcome: ResponseOutcome::Completed,
            usage: Usage { audio_out: 10, ..Usage::default() },
        });
    }

    /// A whole caller turn.
    pub fn caller_turn(&self, item: &str, words: &str) {
        self.say(EngineEvent::SpeechStarted { item: item.into(), at_ms: 0 });
        self.say(EngineEvent::SpeechStopped { item: item.into(), at_ms: 0, behind: Duration::ZERO });
        self.say(EngineEvent::TurnCommitted { item: item.into() });
        self.say(EngineEvent::CallerTranscript { item: item.into(), text: words.into() });
    }

    pub fn tool(&self, response: &str, tool_call: &str, name: &str, arguments: &str, wish: Option<u64>) {
        self.say(EngineEvent::ResponseCreated { response: response.into(), wish });
        self.say(EngineEvent::ToolCalled {
            response: response.into(),
            tool_call: tool_call.into(),
            name: name.into(),
            arguments: arguments.into(),
        });
        self.say(EngineEvent::ResponseDone {
            response: response.into(),
            outcome: ResponseOutcome::Completed,
            usage: Usage::default(),
        });
    }

    /// The next command; the clock runs until there is one.
    pub async fn command(&self) -> EngineCommand {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(60), self.commands.clone().next())
                .await
                .expect("a command within a minute")
                .expect("the session is open");
            // What the recogniser is told stands between any two others.
            if !matches!(next, EngineCommand::CallerSpeaks(_)) {
                return next;
            }
        }
    }

    /// Waits for the next request of an answer, passing over other commands.
    pub async fn asked(&self) -> (u64, Option<Arc<str>>) {
        loop {
            if let EngineCommand::CreateResponse { wish, instructions, .. } = self.command().await {
                return (wish, instructions);
            }
        }
    }
}
