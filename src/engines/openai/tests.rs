//! Sessions against a hand-written server, and the wire in both directions against hand-written JSON.

mod aside;
mod hearing;
mod hints;
mod saying;
mod server;
mod sessions;
mod trouble;

use std::sync::Arc;

use caly_actors::audio::lane::{LaneReceiver, LaneSender, lane};
use caly_actors::domain::{Agent, AgentId, CallId, CallLimits, Language, TurnDetection};
use caly_actors::ports::{AgentAudio, EngineAudio, EngineLanes, EngineSpec};
use secrecy::SecretString;
use url::Url;

use super::OpenAiOptions;

/// A captured event of the vendor, by the name of its file.
macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/openai/", $name, ".json")).trim()
    };
}
use fixture;

fn options(base: &str) -> OpenAiOptions {
    OpenAiOptions::new(Url::parse(base).expect("a url"), SecretString::from("sk-test-key".to_owned()))
}

fn agent() -> Agent {
    Agent {
        id: AgentId::new(),
        version: 1,
        name: "Asha".into(),
        instructions: "You answer for \"Chai & Co\".".into(),
        greeting: None,
        notices: vec![],
        voice: "marin".into(),
        language: Language::Hinglish,
        languages: vec![],
        intents: Default::default(),
        products: Default::default(),
        calendar: None,
        shop: None,
        remember_callers: None,
        utc_offset: 19_800,
        turn_detection: TurnDetection::default(),
        barge_in: caly_actors::domain::BargeIn::Eager,
        local_detection: false,
        menu: vec![],
        policies: Default::default(),
        handoff_numbers: Vec::new(),
        tools: Vec::new(),
        http_tools: Vec::new(),
        mcp_servers: Vec::new(),
        limits: CallLimits::default(),
    }
}

fn spec() -> EngineSpec {
    EngineSpec {
        call: CallId::new(),
        agent: Arc::new(agent()),
        tools: Arc::new([]),
        context: Vec::new(),
        audio: EngineAudio::Pcm24,
        language: None,
    }
}

/// The call's ends of the lanes, and the session's.
fn lanes() -> (LaneSender<bytes::Bytes>, LaneReceiver<AgentAudio>, EngineLanes) {
    let (caller_in, caller) = lane(256);
    let (agent, agent_out) = lane(256);
    (caller_in, agent_out, EngineLanes { caller: caly_actors::audio::caller::CallerSound::new(caller), agent })
}
