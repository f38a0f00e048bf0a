//! An agent's settings as operators write them (JSON) and as a call uses them ([`Agent`]).
//!
//! Unknown keys and bad values are refused with their name. Knows no storage and no HTTP.

mod barge_in;
pub mod bounds;
mod calendar;
pub mod mcp;
mod own;
mod policies;
mod remembering;
mod shop;
pub mod templates;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use caly_actors::domain::{
    Agent, AgentId, CallLimits, HttpTool, HttpUndo, Language, MenuChoice, PhoneNumber, TurnDetection,
};
use caly_actors::ports::UNDO;
use chrono::Offset as _;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Names of the actions every client has.
pub const BUILT_IN_TOOLS: [&str; 20] = [
    "end_call",
    "transfer_to_human",
    "request_callback",
    "find_times",
    "book_appointment",
    "my_appointments",
    "move_appointment",
    "cancel_appointment",
    "remember_about_caller",
    "what_is_known",
    "forget_caller",
    "find_orders",
    "order_status",
    "refund_status",
    "cancel_order",
    "change_address",
    "start_return",
    "find_products",
    "draft_order",
    UNDO,
];

/// Where clients are that do not say so.
const DEFAULT_TIME_ZONE: Tz = Tz::Asia__Kolkata;

/// Why settings are refused; the text names the key.
#[derive(Debug, thiserror::Error)]
#[error("agent settings: {}{}{reason}", key.as_deref().unwrap_or_default(), if key.is_some() { ": " } else { "" })]
pub struct SettingsError {
    /// The key concerned, with dots for what lies inside; `None` if it is all of them.
    pub key: Option<String>,
    /// What was expected.
    pub reason: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    instructions: String,
    #[serde(default)]
    greeting: Option<String>,
    #[serde(default)]
    disclosure: Option<String>,
    #[serde(default)]
    recording_notice: Option<String>,
    #[serde(default = "default_voice")]
    voice: String,
    #[serde(default = "default_language")]
    language: String,
    #[serde(default)]
    languages: Vec<String>,
    #[serde(default = "default_time_zone")]
    time_zone: String,
    #[serde(default)]
    turn_detection: Option<Detection>,
    #[serde(default)]
    barge_in: barge_in::Written,
    #[serde(default)]
    local_detection: bool,
    #[serde(default)]
    menu: BTreeMap<String, Choice>,
    #[serde(default)]
    policies: policies::Written,
    #[serde(default)]
    calendar: Option<calendar::Written>,
    #[serde(default)]
    shop: Option<shop::Written>,
    #[serde(default)]
    customers: Option<remembering::Written>,
    #[serde(default)]
    intents: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    products: Vec<String>,
    #[serde(default)]
    handoff_numbers: Vec<String>,
    #[serde(default = "all_tools")]
    tools: Vec<String>,
    #[serde(default)]
    http_tools: Vec<Endpoint>,
    #[serde(default)]
    mcp_servers: Vec<mcp::Written>,
    #[serde(default)]
    limits: Limits,
}

#[derive(Deserialize, Serialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Detection {
    ServerVad {
        #[serde(default = "half")]
        threshold: f32,
        #[serde(default = "default_padding")]
        prefix_padding_ms: u32,
        #[serde(default = "default_silence")]
        silence_duration_ms: u32,
    },
    SemanticVad {
        #[serde(default = "auto")]
        eagerness: String,
    },
}

/// `"person"`, `"end"`, or `{"tell": "…"}`.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Choice {
    Person,
    End,
    Tell(String),
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Endpoint {
    name: String,
    description: String,
    schema: Value,
    #[serde(default = "post")]
    method: String,
    url: String,
    #[serde(default)]
    body: Option<Value>,
    #[serde(default = "default_deadline")]
    deadline_ms: u64,
    #[serde(default)]
    writes: Option<bool>,
    #[serde(default)]
    confirm: Option<bool>,
    #[serde(default = "yes")]
    repeatable: bool,
    #[serde(default)]
    tell_caller: Option<bool>,
    #[serde(default)]
    undo: Option<EndpointUndo>,
}

/// `false`, or which other endpoint undoes it.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum EndpointUndo {
    Known(bool),
    By(UndoneBy),
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct UndoneBy {
    tool: String,
}

/// Seconds; what is absent follows the configuration.
#[derive(Deserialize, Serialize, Default)]
#[serde(deny_unknown_fields)]
struct Limits {
    answer_s: Option<f64>,
    idle_media_s: Option<f64>,
    idle_speech_s: Option<f64>,
    engine_progress_s: Option<f64>,
    first_audio_s: Option<f64>,
    answer_gap_s: Option<f64>,
    max_duration_s: Option<f64>,
    last_words_s: Option<f64>,
    reprompts: Option<u32>,
    hello_s: Option<f64>,
    filler_after_s: Option<f64>,
    filler_again_s: Option<f64>,
    time_warning_s: Option<f64>,
}

fn default_voice() -> String {
    "marin".to_owned()
}
fn default_language() -> String {
    "hi-Latn".to_owned()
}
fn default_time_zone() -> String {
    DEFAULT_TIME_ZONE.name().to_owned()
}
fn yes() -> bool {
    true
}
fn half() -> f32 {
    0.5
}
fn default_padding() -> u32 {
    300
}
fn default_silence() -> u32 {
    500
}
fn auto() -> String {
    "auto".to_owned()
}
fn post() -> String {
    "POST".to_owned()
}
fn default_deadline() -> u64 {
    8000
}
fn all_tools() -> Vec<String> {
    BUILT_IN_TOOLS.iter().map(|name| (*name).to_owned()).collect()
}

/// Settings that work for any business, until its own are written.
#[must_use]
pub fn plain(name: &str) -> Value {
    serde_json::json!({
        "instructions": format!(
            "You answer the phone of {name}. Speak the caller's language, Hindi, Hinglish or English, in short, kind sentences. \
             You know nothing about orders, prices or stock unless a tool tells you: never invent an answer. \
             If you cannot help, offer to note a call-back."
        ),
        "greeting": format!("Namaste! {name} mein aapka swagat hai. Main aapki kya madad kar sakti hoon?"),
    })
}

/// Reads settings into an agent.
///
/// # Errors
/// An unknown key or a value that does not fit, by name.
pub fn read(
    id: AgentId,
    version: i64,
    name: &str,
    settings: &Value,
    defaults: &CallLimits,
) -> Result<Agent, SettingsError> {
    if !settings.is_object() {
        return Err(SettingsError { key: None, reason: "expected an object".to_owned() });
    }
    let settings: Settings = Settings::deserialize(settings).map_err(|error| unread(settings, &error))?;
    let language = Language::parse(&settings.language).map_err(|e| wrong("language", &e.to_string()))?;
    let languages = settings.languages.iter().map(|code| Language::parse(code)).collect::<Result<_, _>>();
    let languages = languages.map_err(|error| wrong("languages", &error.to_string()))?;
    let handoff_numbers = settings
        .handoff_numbers
        .iter()
        .map(|number| PhoneNumber::parse(number).map_err(|e| wrong("handoff_numbers", &e.to_string())))
        .collect::<Result<_, _>>()?;
    for (key, text) in [
        ("instructions", Some(&settings.instructions)),
        ("greeting", settings.greeting.as_ref()),
        ("disclosure", settings.disclosure.as_ref()),
        ("recording_notice", settings.recording_notice.as_ref()),
    ] {
        text.map_or(Ok(()), |text| templates::check(text)).map_err(|error| wrong(key, &error.to_string()))?;
    }
    let said = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let notices: Vec<Arc<str>> =
        [said(settings.disclosure), said(settings.recording_notice)].into_iter().flatten().map(Arc::from).collect();
    let first = said(settings.greeting);
    let greeting: Vec<&str> = first.as_deref().into_iter().chain(notices.iter().map(|notice| &**notice)).collect();
    let greeting = (!greeting.is_empty()).then(|| greeting.join(" "));
    let Ok(zone) = settings.time_zone.parse::<Tz>() else {
        return Err(wrong("time_zone", "expected a name such as Asia/Kolkata"));
    };
    if let Some(unknown) = settings.tools.iter().find(|tool| !BUILT_IN_TOOLS.contains(&tool.as_str())) {
        return Err(wrong("tools", &format!("there is no tool {unknown}; there are {}", BUILT_IN_TOOLS.join(", "))));
    }
    let http_tools: Vec<HttpTool> = settings.http_tools.into_iter().map(http_tool).collect::<Result<_, _>>()?;
    check_undo(&http_tools)?;
    let mcp_servers = mcp::read(settings.mcp_servers, &http_tools)?;
    Ok(Agent {
        id,
        version,
        name: name.into(),
        instructions: settings.instructions.into(),
        greeting: greeting.map(Into::into),
        notices,
        voice: settings.voice.into(),
        language,
        languages,
        calendar: settings.calendar.map(|written| calendar::read(written, zone)).transpose()?.map(Arc::new),
        shop: settings.shop.as_ref().map(shop::read).transpose()?,
        remember_callers: settings.customers.map(remembering::read).transpose()?,
        intents: Arc::new(own::intents(&settings.intents)?),
        products: Arc::new(own::products(&settings.products)?),
        utc_offset: chrono::Utc::now().with_timezone(&zone).offset().fix().local_minus_utc(),
        turn_detection: detection(settings.turn_detection)?,
        barge_in: barge_in::read(&settings.barge_in)?,
        local_detection: settings.local_detection,
        menu: settings.menu.into_iter().map(choice).collect::<Result<_, _>>()?,
        policies: policies::read(&settings.policies)?,
        handoff_numbers,
        tools: settings.tools.into_iter().map(Arc::from).collect(),
        http_tools,
        mcp_servers,
        limits: limits(&settings.limits, defaults)?,
    })
}

/// Where the client of these settings is; the default for settings that [`read`] refuses.
#[must_use]
pub fn time_zone(settings: &Value) -> Tz {
    settings["time_zone"].as_str().and_then(|name| name.parse().ok()).unwrap_or(DEFAULT_TIME_ZONE)
}

fn wrong(key: &str, reason: &str) -> SettingsError {
    SettingsError { key: Some(key.to_owned()), reason: reason.to_owned() }
}

/// Finds the key a parser refused: each is optional, so the first that cannot stand alone is the one.
fn unread(settings: &Value, error: &serde_json::Error) -> SettingsError {
    let mut keys = settings.as_object().into_iter().flatten();
    let alone = |(key, value): &(&String, &Value)| {
        let one: serde_json::Map<String, Value> = [((*key).clone(), (*value).clone())].into_iter().collect();
        Settings::deserialize(Value::Object(one)).is_err()
    };
    let key = keys.find(alone).map(|(key, _)| key.chars().take(64).collect());
    SettingsError { key, reason: crate::redact::redact(&error.to_string()).chars().take(300).collect() }
}

fn detection(given: Option<Detection>) -> Result<TurnDetection, SettingsError> {
    Ok(match given {
        None => TurnDetection::default(),
        Some(Detection::ServerVad { threshold, prefix_padding_ms, silence_duration_ms }) => {
            if !(0.0..=1.0).contains(&threshold) {
                return Err(wrong("turn_detection.threshold", "expected 0.0 to 1.0"));
            }
            if prefix_padding_ms > 5000 || !(100..=10_000).contains(&silence_duration_ms) {
                return Err(wrong("turn_detection", "expected padding up to 5000 ms and silence of 100 to 10000 ms"));
            }
            TurnDetection::Silence { threshold, prefix_padding_ms, silence_duration_ms }
        }
        Some(Detection::SemanticVad { eagerness }) => {
            let known = ["low", "medium", "high", "auto"];
            let eagerness = known
                .into_iter()
                .find(|word| *word == eagerness)
                .ok_or_else(|| wrong("turn_detection.eagerness", "expected low, medium, high or auto"))?;
            TurnDetection::Semantic { eagerness }
        }
    })
}

fn choice((keys, choice): (String, Choice)) -> Result<(Arc<str>, MenuChoice), SettingsError> {
    // '#' ends what is pressed, so it is no part of it.
    if !(1..=8).contains(&keys.len()) || !keys.bytes().all(|key| key.is_ascii_digit() || key == b'*') {
        return Err(wrong("menu", "expected 1 to 8 keys of 0 to 9 and '*' before each choice"));
    }
    let choice = match choice {
        Choice::Person => MenuChoice::Person,
        Choice::End => MenuChoice::End,
        Choice::Tell(text) if (1..=1000).contains(&text.len()) => MenuChoice::Tell(text.into()),
        Choice::Tell(_) => return Err(wrong("menu", "tell: expected 1 to 1000 bytes")),
    };
    Ok((keys.into(), choice))
}

fn http_tool(endpoint: Endpoint) -> Result<HttpTool, SettingsError> {
    let named = |reason: &str| wrong(&format!("http_tools.{}", endpoint.name), reason);
    let name_fits = (1..=64).contains(&endpoint.name.len())
        && endpoint.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    // A client's own tool may bear the name of one for calendars, customers or shops: then it is the one that is offered.
    if !name_fits || endpoint.name == UNDO || BUILT_IN_TOOLS[..3].contains(&endpoint.name.as_str()) {
        return Err(named("name: 1 to 64 of a-z, 0-9 and '_', and none of the built-in tools"));
    }
    if !endpoint.schema.is_object() {
        return Err(named("schema: expected a JSON Schema object"));
    }
    if !matches!(endpoint.method.as_str(), "GET" | "POST") {
        return Err(named("method: expected GET or POST"));
    }
    if !(endpoint.url.starts_with("https://") || endpoint.url.starts_with("http://")) {
        return Err(named("url: expected https://…"));
    }
    if !(100..=30_000).contains(&endpoint.deadline_ms) {
        return Err(named("deadline_ms: expected 100 to 30000"));
    }
    let writes = endpoint.writes.unwrap_or(endpoint.method != "GET");
    let undo = match endpoint.undo {
        None => HttpUndo::Unsaid,
        Some(EndpointUndo::Known(false)) => HttpUndo::Never,
        Some(EndpointUndo::Known(true)) => return Err(named("undo: expected {\"tool\": …} or false")),
        Some(EndpointUndo::By(by)) => HttpUndo::By(by.tool.into()),
    };
    Ok(HttpTool {
        name: endpoint.name.into(),
        description: endpoint.description.into(),
        schema: endpoint.schema.to_string().into(),
        method: endpoint.method.into(),
        url: endpoint.url.into(),
        body: endpoint.body.map(|body| body.to_string().into()),
        deadline: Duration::from_millis(endpoint.deadline_ms),
        // What is not said to only read may write: a lost answer then is an unknown one.
        writes,
        // What may write is read back first, unless it is said not to.
        repeatable: endpoint.repeatable,
        confirm: endpoint.confirm.unwrap_or(writes),
        tell_caller: endpoint.tell_caller,
        undo,
    })
}

/// What undoes a tool is another of the client's own that changes something.
fn check_undo(tools: &[HttpTool]) -> Result<(), SettingsError> {
    for tool in tools {
        let HttpUndo::By(name) = &tool.undo else { continue };
        let fits = tools.iter().any(|other| other.name == *name && other.name != tool.name && other.writes);
        if !fits || !tool.writes {
            let reason = format!(
                "undo: expected the name of another of http_tools that writes, not {name}, for a tool that writes"
            );
            return Err(wrong(&format!("http_tools.{}", tool.name), &reason));
        }
    }
    Ok(())
}

fn limits(given: &Limits, defaults: &CallLimits) -> Result<CallLimits, SettingsError> {
    let seconds = |key: &str, given: Option<f64>, otherwise: Duration| match given {
        None => Ok(otherwise),
        Some(s) if (0.1..=86_400.0).contains(&s) => Ok(Duration::from_secs_f64(s)),
        Some(_) => Err(wrong(&format!("limits.{key}"), "expected 0.1 to 86400 seconds")),
    };
    // These may be switched off.
    let or_never = |key: &str, given: Option<f64>, otherwise: Duration| match given {
        Some(0.0) => Ok(Duration::ZERO),
        given => seconds(key, given, otherwise),
    };
    let reprompts = given.reprompts.unwrap_or(defaults.reprompts);
    if reprompts > 10 {
        return Err(wrong("limits.reprompts", "expected 0 to 10"));
    }
    Ok(CallLimits {
        reprompts,
        hello: or_never("hello_s", given.hello_s, defaults.hello)?,
        filler_after: or_never("filler_after_s", given.filler_after_s, defaults.filler_after)?,
        filler_again: or_never("filler_again_s", given.filler_again_s, defaults.filler_again)?,
        time_warning: or_never("time_warning_s", given.time_warning_s, defaults.time_warning)?,
        answer: seconds("answer_s", given.answer_s, defaults.answer)?,
        idle_media: seconds("idle_media_s", given.idle_media_s, defaults.idle_media)?,
        idle_speech: seconds("idle_speech_s", given.idle_speech_s, defaults.idle_speech)?,
        engine_progress: seconds("engine_progress_s", given.engine_progress_s, defaults.engine_progress)?,
        first_audio: seconds("first_audio_s", given.first_audio_s, defaults.first_audio)?,
        answer_gap: seconds("answer_gap_s", given.answer_gap_s, defaults.answer_gap)?,
        max_duration: seconds("max_duration_s", given.max_duration_s, defaults.max_duration)?,
        teardown: defaults.teardown,
        session_age: defaults.session_age,
        summary_at: defaults.summary_at,
        summary_keeps: defaults.summary_keeps,
        last_words: seconds("last_words_s", given.last_words_s, defaults.last_words)?,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
mod tests;
