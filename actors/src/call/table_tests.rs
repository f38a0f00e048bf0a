//! What the tables of this room share: calls at known points of their life, events, effects in a word each, and how a
//! row is checked.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::event::{CallEvent, Effect, EngineChoice, MediaWish};
use super::state::{Attach, CallState};
use crate::audio::playout::Cut;
use crate::domain::*;
use crate::ports::*;

struct Words;
impl Phrases for Words {
    fn audio(&self, _: &str, _: Phrase, _: Language) -> Pcm {
        Pcm { rate: 8000, bytes: vec![0; 16_000].into() }
    }
    fn words(&self, phrase: Phrase, _: Language) -> &'static str {
        phrase.as_str()
    }
}

fn tool(name: &str, writes: bool) -> Arc<ActionSpec> {
    Arc::new(ActionSpec {
        tool: ToolSpec { name: name.into(), description: "".into(), schema: "{}".into() },
        deadline: Duration::from_secs(5),
        retry: RetryRule { attempts: 1, backoff: Duration::ZERO },
        same: SameAction::PerArguments,
        writes,
        confirm: name == "cancel",
        lasting: false,
        offered: true,
    })
}

pub(super) fn agent(people: bool) -> Agent {
    Agent {
        id: AgentId::new(),
        version: 1,
        name: "a".into(),
        instructions: "".into(),
        greeting: None,
        notices: vec![],
        voice: "marin".into(),
        language: Language::English,
        languages: vec![],
        intents: Default::default(),
        products: Default::default(),
        calendar: None,
        shop: None,
        remember_callers: None,
        utc_offset: 19_800,
        turn_detection: TurnDetection::default(),
        barge_in: BargeIn::Eager,
        local_detection: false,
        menu: vec![],
        policies: Default::default(),
        handoff_numbers: if people { vec![PhoneNumber::parse("+919876500000").expect("valid")] } else { vec![] },
        tools: vec![],
        http_tools: vec![],
        mcp_servers: vec![],
        // The tables' own, so that another default changes no row: asked once after 30 s, no fillers, no warning.
        limits: CallLimits {
            reprompts: 1,
            engine_progress: Duration::from_secs(8),
            first_audio: Duration::from_secs(8),
            answer_gap: Duration::from_secs(8),
            filler_after: Duration::ZERO,
            time_warning: Duration::ZERO,
            ..CallLimits::default()
        },
    }
}

/// A call just admitted; `people`: there is somebody to hand it over to.
pub(super) fn call(people: bool) -> CallState {
    call_of(agent(people))
}

pub(super) fn call_of(agent: Agent) -> CallState {
    let facts = CallFacts {
        // Its jitter is none.
        call: CallId(uuid::Uuid::nil()),
        client: ClientId::new(),
        client_slug: "shop".into(),
        agent: Arc::new(agent),
        carrier: Carrier::Exotel,
        carrier_call_id: CarrierCallId::parse("sid").expect("valid"),
        caller: Party::Withheld,
        called: Party::Withheld,
        direction: Direction::Inbound,
        admitted_at: SystemTime::UNIX_EPOCH,
    };
    CallState::new(
        Arc::new(facts),
        vec![tool("look", false), tool("book", true), tool("cancel", true)].into(),
        Arc::new(Words),
    )
}

pub(super) fn at(seconds: u64) -> CallTime {
    Duration::from_secs(seconds)
}

/// Effects in a word each; notes for the journal are left out.
pub(super) fn words(effects: &[Effect]) -> Vec<String> {
    effects.iter().filter_map(word).collect()
}

fn word(effect: &Effect) -> Option<String> {
    Some(match effect {
        Effect::OpenEngine { by: EngineChoice::Fallback, wait, .. } => {
            format!("open the fallback after {} ms", wait.as_millis())
        }
        Effect::OpenEngine { wait, again, .. } if again.is_zero() => format!("open after {} ms", wait.as_millis()),
        Effect::OpenEngine { again, .. } => format!("open, {} ms again", again.as_millis()),
        Effect::RenewEngine { again: None, .. } => "renew".into(),
        Effect::RenewEngine { again: Some(again), .. } => format!("renew, {} ms again", again.as_millis()),
        Effect::KeepEngine => "keep".into(),
        Effect::CloseEngine => "close engine".into(),
        Effect::Engine(EngineCommand::CreateResponse { .. }) => "ask".into(),
        Effect::Engine(EngineCommand::CancelResponse) => "cancel".into(),
        Effect::Engine(EngineCommand::Truncate { heard_ms, .. }) => format!("truncate at {heard_ms}"),
        Effect::Engine(EngineCommand::DeleteItem { .. }) => "delete".into(),
        Effect::Engine(EngineCommand::ToolOutput { output, .. }) => {
            if output.contains("error") {
                "tool error".into()
            } else {
                "tool output".into()
            }
        }
        Effect::Engine(EngineCommand::Note(_)) => "note".into(),
        Effect::Engine(EngineCommand::CommitTurn) => "commit".into(),
        Effect::Engine(EngineCommand::CallerText(_)) => "keys".into(),
        Effect::Engine(EngineCommand::Summarise { request, .. }) => format!("summarise {request}"),
        Effect::Engine(EngineCommand::AgentSaid { words, .. }) => format!("told anew {words}"),
        Effect::Engine(EngineCommand::Recollect { .. }) => "recollect".into(),
        Effect::Media(MediaWish::Hold) => "hold".into(),
        Effect::Media(MediaWish::Resume) => "resume".into(),
        Effect::Media(MediaWish::Play { item, .. }) => format!("play {item}"),
        Effect::Media(MediaWish::Say(phrase, _)) => format!("say {}", phrase.as_str()),
        Effect::Media(MediaWish::Interrupt { .. }) => "interrupt".into(),
        Effect::Media(MediaWish::Discard { .. }) => "discard".into(),
        Effect::Media(MediaWish::Close(code)) => format!("close {code}"),
        Effect::Understand { .. } => "understand".into(),
        Effect::PlanAction { .. } => "plan".into(),
        Effect::RunAction { .. } => "run".into(),
        Effect::Decide { after, .. } => format!("decide {after:?}"),
        Effect::Finish(reason) => format!("finish {}", reason.as_str()),
        Effect::Record(JournalEntry::Turn { .. }) => "turn".into(),
        Effect::Record(JournalEntry::Ended { .. }) => "ended".into(),
        // Told in recogniser.rs.
        Effect::Engine(EngineCommand::CallerSpeaks(_)) | Effect::Record(_) => return None,
    })
}

pub(super) fn engine(event: EngineEvent) -> CallEvent {
    CallEvent::Engine(event)
}

pub(super) fn created(response: &str, wish: u64) -> CallEvent {
    engine(EngineEvent::ResponseCreated { response: response.into(), wish: Some(wish) })
}

pub(super) fn done(response: &str, outcome: ResponseOutcome) -> CallEvent {
    engine(EngineEvent::ResponseDone { response: response.into(), outcome, usage: Usage::default() })
}

pub(super) fn agent_words() -> CallEvent {
    engine(EngineEvent::AgentWords { response: "r1".into(), item: "a1".into(), delta: "hello there".into() })
}

pub(super) fn began(item: &str) -> CallEvent {
    CallEvent::SpeechBegan { item: item.into(), first: None }
}

pub(super) fn spoke() -> CallEvent {
    engine(EngineEvent::SpeechStarted { item: "u1".into(), at_ms: 0 })
}

pub(super) fn committed() -> CallEvent {
    engine(EngineEvent::TurnCommitted { item: "u1".into() })
}

pub(super) fn called(name: &str, tool_call: &str) -> CallEvent {
    called_with(name, tool_call, "{}")
}

pub(super) fn called_with(name: &str, tool_call: &str, arguments: &str) -> CallEvent {
    engine(EngineEvent::ToolCalled {
        response: "r1".into(),
        tool_call: tool_call.into(),
        name: name.into(),
        arguments: arguments.into(),
    })
}

pub(super) fn cut(item: &str, heard_ms: u64) -> CallEvent {
    CallEvent::PlayoutCut(vec![Cut { item: item.into(), heard_ms, total_ms: 1000 }])
}

/// A call with its stream up and its engine listening; the greeting (wish 1) is asked for.
pub(super) fn live(people: bool) -> CallState {
    live_of(agent(people))
}

fn live_of(agent: Agent) -> CallState {
    let mut state = call_of(agent);
    assert_eq!(state.attach(1), Attach::Accepted);
    let _ = state.on(engine(EngineEvent::Ready), at(1));
    let _ = state.on(CallEvent::StreamStarted { rate: 8000 }, at(2));
    state
}

/// … and the greeting was made and heard.
pub(super) fn quiet(people: bool) -> CallState {
    quiet_of(agent(people))
}

pub(super) fn quiet_of(agent: Agent) -> CallState {
    let mut state = live_of(agent);
    for event in [
        created("r0", 1),
        engine(EngineEvent::AgentTranscript { item: "a0".into(), text: "welcome".into() }),
        began("a0"),
        done("r0", ResponseOutcome::Completed),
        CallEvent::PlayoutDrained,
    ] {
        let _ = state.on(event, at(3));
    }
    state
}

/// … and the caller has asked something, whose words are there and whose answer (wish 2) is not.
pub(super) fn asking(people: bool) -> CallState {
    let mut state = quiet(people);
    for event in [spoke(), stopped(), committed(), written_down("when are you open")] {
        let _ = state.on(event, at(3));
    }
    state
}

/// … and media frames come: at 33 s the caller would be asked whether they are there, nothing is due before.
pub(super) fn settled() -> CallState {
    let mut state = quiet(true);
    let _ = state.on(CallEvent::MediaResumed, at(3));
    assert_eq!(state.next_deadline(), Some(at(33)));
    state
}

/// A quiet call for which the tool `look` or `book` is being run; its call is `t1`.
pub(super) fn acting(name: &str) -> (CallState, ActionId) {
    let mut state = quiet(true);
    let id = run(&state.on(called(name, "t1"), at(4)));
    (state, id)
}

/// A quiet call in which the engine was asked (wish 2) for a goodbye, after which it ends.
pub(super) fn saying_goodbye() -> CallState {
    let (mut state, id) = acting("look");
    let _ = state.on(finished(id, Some(CallChange::End)), at(4));
    state
}

/// Lets things happen at these seconds; what the last of them led to.
pub(super) fn hear(state: &mut CallState, script: impl IntoIterator<Item = (u64, CallEvent)>) -> Vec<Effect> {
    script.into_iter().fold(Vec::new(), |_, (seconds, event)| state.on(event, at(seconds)))
}

/// The action that is to be run.
pub(super) fn run(effects: &[Effect]) -> ActionId {
    let run = effects.iter().find_map(|effect| match effect {
        Effect::RunAction { action, .. } | Effect::PlanAction { action, .. } => Some(*action),
        _ => None,
    });
    run.expect("an action is to be run")
}

/// What is kept of this, turned into something to compare with.
pub(super) fn kept<T>(effects: &[Effect], part: impl Fn(&JournalEntry) -> Option<T>) -> Vec<T> {
    let entries = effects.iter().filter_map(|effect| match effect {
        Effect::Record(entry) => Some(entry),
        _ => None,
    });
    entries.filter_map(part).collect()
}

/// Notes for the journal: their kind and details.
pub(super) fn notes(effects: &[Effect]) -> Vec<String> {
    kept(effects, |entry| match entry {
        JournalEntry::Event { kind, detail, .. } => Some(format!("{kind} {detail}")),
        _ => None,
    })
}

pub(super) fn turns(effects: &[Effect]) -> Vec<Turn> {
    kept(effects, |entry| match entry {
        JournalEntry::Turn { turn, .. } => Some(turn.clone()),
        _ => None,
    })
}

pub(super) fn action_states(effects: &[Effect]) -> Vec<ActionState> {
    kept(effects, |entry| match entry {
        JournalEntry::Action { action, .. } => Some(action.state),
        _ => None,
    })
}

/// A name, a state, what happens at 4 s, what happens at 5 s, what that leads to, and where the call is then.
pub(super) type Row = (&'static str, CallState, Vec<CallEvent>, CallEvent, &'static [&'static str], &'static str);

pub(super) fn lost() -> CallEvent {
    engine(EngineEvent::Lost(EngineError::Connection("reset".into())))
}

pub(super) fn busy(after: Option<Duration>) -> EngineError {
    EngineError::Busy { reason: "later".into(), after }
}

pub(super) fn failed(response: &str) -> CallEvent {
    done(response, ResponseOutcome::Failed(busy(None)))
}

pub(super) fn stopped() -> CallEvent {
    engine(EngineEvent::SpeechStopped { item: "u1".into(), at_ms: 0, behind: Duration::ZERO })
}

pub(super) fn written_down(text: &str) -> CallEvent {
    engine(EngineEvent::CallerTranscript { item: "u1".into(), text: text.into() })
}

pub(super) fn finished(action: ActionId, change: Option<CallChange>) -> CallEvent {
    CallEvent::ActionFinished {
        action,
        attempts: 1,
        result: Ok(ActionOutput { output: "{}".into(), change, undo: None }),
    }
}

pub(super) fn hung_up() -> CallEvent {
    CallEvent::StreamStopped { call_ended: true }
}

/// Checks rows. Turns of a call that goes on are looked at only where the row names them.
pub(super) fn hold(rows: Vec<Row>) {
    for (name, mut state, before, event, expected, phase) in rows {
        for event in before {
            let _ = state.on(event, at(4));
        }
        let effects = words(&state.on(event, at(5)));
        let effects: Vec<&str> = effects
            .iter()
            .map(String::as_str)
            .filter(|word| phase != "live" || *word != "turn" || expected.contains(word))
            .collect();
        assert_eq!(effects, expected, "{name}");
        assert_eq!(state.phase().as_str(), phase, "{name}");
    }
}
