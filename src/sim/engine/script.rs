//! What the simulated engine answers: rules from `sandbox/engine.toml`, decided by a plain function.
//!
//! It never invents a success: a tool's outcome is spoken from the tool's own output.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::items::Item;
use crate::sim::library::{Clip, Who, library, plain};

/// Something to say: one name or text for all languages, or one for each.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Say {
    /// A clip's name, or words.
    One(String),
    /// By language: `en`, `hi`, `hi-Latn`.
    Each(BTreeMap<String, String>),
}

/// What to do when a caller says certain words.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Any of these, in the lower-cased transcript.
    pub when: Vec<String>,
    /// Said; before the tool call when there is a tool.
    pub say: Option<Say>,
    /// Tool to call, if the session has it.
    pub tool: Option<String>,
    /// Its arguments; `{words}` and `{digits}` are the caller's, `{earlier_digits}` those of the last message before that
    /// had any, `{tomorrow}` is a date in India.
    #[serde(default)]
    pub arguments: Map<String, Value>,
    /// Said when the session lacks the tool.
    pub without_tool: Option<Say>,
    /// The response fails with this error code instead.
    pub fail: Option<String>,
}

/// What to look for in the conversation when a caller asks for it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recall {
    /// Any of these, in the lower-cased transcript.
    pub when: Vec<String>,
    /// Said back with the words around it if any other item of the conversation has it.
    pub of: String,
}

/// What to say once a tool has answered.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct After {
    /// Which tool; absent means any.
    pub tool: Option<String>,
    /// Any of these, in the lower-cased output; empty means any output.
    #[serde(default)]
    pub output_has: Vec<String>,
    /// What the tool would do is told first, from its own output.
    #[serde(default)]
    pub read_back: bool,
    /// Said; absent means silence (the call moves on by itself).
    pub say: Option<Say>,
}

/// A whole script.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Spoken when nothing else says which.
    pub default_language: String,
    /// Said first.
    pub greeting: Say,
    /// Said when nothing was understood.
    pub unclear: Say,
    /// Said when the caller is silent.
    pub still_there: Say,
    /// Said when asked to go on without a new turn.
    pub resume: Say,
    /// Words a caller agrees with: a tool that has told what to read back is then called again as it was.
    #[serde(default)]
    pub yes: Vec<String>,
    /// Before all rules.
    #[serde(default, rename = "recall")]
    pub recalls: Vec<Recall>,
    /// First match counts.
    #[serde(default, rename = "rule")]
    pub rules: Vec<Rule>,
    /// First match counts.
    #[serde(default, rename = "after")]
    pub afters: Vec<After>,
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// The place and reason when it is not one.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// The script inside the binary.
    ///
    /// # Errors
    /// When the binary was built with a broken one.
    pub fn built_in() -> Result<Self, String> {
        let text = crate::sim::library::sandbox_file("engine.toml").ok_or("sandbox/engine.toml is missing")?;
        Self::parse(&text)
    }
}

/// One piece of a response.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    /// Words, and their sound when there is a clip.
    Say { text: String, clip: Option<Arc<Clip>> },
    /// A function call with JSON arguments.
    Call { name: String, arguments: String },
}

/// What a response will be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) pieces: Vec<Piece>,
    /// An error code: the response fails.
    pub(crate) fail: Option<String>,
}

/// What a response is asked for.
pub(crate) struct Ask<'a> {
    pub(crate) items: &'a [Item],
    /// Of the response itself, not of the session.
    pub(crate) instructions: Option<&'a str>,
    pub(crate) tools: &'a Value,
    pub(crate) tool_choice: &'a Value,
    /// Of the session's transcription, if set.
    pub(crate) language: Option<&'a str>,
    /// The response is written, not spoken.
    pub(crate) text: bool,
}

/// A response of these words.
pub(crate) fn written(words: String) -> Plan {
    Plan { pieces: vec![Piece::Say { text: words, clip: None }], fail: None }
}

/// Decides the response.
pub(crate) fn decide(script: &Script, ask: &Ask<'_>) -> Plan {
    let language = language_of(script, ask);
    let speech = |say: &Say| speak(say, &language);
    if let Some(call) = forced_call(ask) {
        return Plan { pieces: vec![call], fail: None };
    }
    let after_tool = ask.items.last().is_some_and(|item| item.kind() == "function_call_output");
    if let Some(Told { words, goes_on }) = ask.instructions.and_then(told_words) {
        if !goes_on && !after_tool {
            return Plan { pieces: vec![words], fail: None };
        }
        let mut plan = decide(script, &Ask { instructions: None, ..*ask });
        plan.pieces.insert(0, words);
        return plan;
    }
    if after_tool {
        return Plan { pieces: after_tools(script, ask, &language), fail: None };
    }
    if let Some(goes_on) = ask.instructions.and_then(asks_for_greeting) {
        let mut plan = Plan { pieces: vec![speech(&script.greeting)], fail: None };
        if goes_on {
            plan.pieces.append(&mut decide(script, &Ask { instructions: None, ..*ask }).pieces);
        }
        return plan;
    }
    let spoken = |item: &&Item| item.is_user() || item.is_assistant();
    match ask.items.iter().rev().find(spoken) {
        None => match ask.instructions {
            Some(words) if ask.text => Plan { pieces: vec![plain_words(format!("I was asked: {words}"))], fail: None },
            _ => Plan { pieces: vec![speech(&script.greeting)], fail: None },
        },
        Some(item) if item.is_assistant() => Plan { pieces: vec![speech(&script.resume)], fail: None },
        Some(item) if item.silence => Plan { pieces: vec![speech(&script.still_there)], fail: None },
        Some(item) if item.words.is_empty() => Plan { pieces: vec![speech(&script.unclear)], fail: None },
        Some(item) => answer(script, ask, item, &language),
    }
}

fn answer(script: &Script, ask: &Ask<'_>, item: &Item, language: &str) -> Plan {
    let heard = item.words.to_lowercase();
    if script.yes.iter().any(|yes| heard.starts_with(yes.as_str()))
        && let Some(again) = proposed(ask.items)
    {
        return Plan { pieces: vec![again], fail: None };
    }
    if let Some(asked) = script.recalls.iter().find(|recall| recall.when.iter().any(|key| heard.contains(key.as_str())))
    {
        return Plan { pieces: vec![plain_words(recalled(&asked.of, item, ask.items))], fail: None };
    }
    let Some(rule) = script.rules.iter().find(|rule| rule.when.iter().any(|key| heard.contains(&key.to_lowercase())))
    else {
        let echoed = if item.language.is_some() {
            speak(&script.unclear, language)
        } else {
            plain_words(format!("You said: {}", item.words))
        };
        return Plan { pieces: vec![echoed], fail: None };
    };
    let offered = rule.tool.as_deref().and_then(|name| tool(ask.tools, name)).filter(|_| ask.tool_choice != "none");
    let mut pieces = Vec::new();
    match (&rule.tool, offered) {
        (Some(name), Some(offered)) => {
            pieces.extend(rule.say.as_ref().map(|say| speak(say, language)));
            let earlier = earlier_digits(ask.items, item);
            let arguments = arguments(&rule.arguments, &offered["parameters"], &item.words, &earlier);
            pieces.push(Piece::Call { name: name.clone(), arguments });
        }
        (Some(_), None) => {
            let say = rule.without_tool.as_ref().or(rule.say.as_ref()).unwrap_or(&script.unclear);
            pieces.push(speak(say, language));
        }
        (None, _) => pieces.push(speak(rule.say.as_ref().unwrap_or(&script.unclear), language)),
    }
    Plan { pieces, fail: rule.fail.clone() }
}

fn digits(words: &str) -> String {
    words.chars().filter(char::is_ascii_digit).collect()
}

/// What the caller told in figures before this message, as the session remembers it.
fn earlier_digits(items: &[Item], now: &Item) -> String {
    let before = items.iter().rev().skip_while(|item| item.id != now.id).skip(1);
    before
        .filter(|item| item.is_user())
        .map(|item| digits(&item.words))
        .find(|digits| !digits.is_empty())
        .unwrap_or_default()
}

/// What the conversation has of something, other than the question.
fn recalled(of: &str, question: &Item, items: &[Item]) -> String {
    let others = items.iter().filter(|item| item.id != question.id);
    let found = others.filter_map(|item| item.words.split_once(of)).next();
    found.map_or_else(
        || "I do not remember that.".to_owned(),
        |(before, _)| {
            let words: Vec<&str> = before.split_whitespace().rev().take(3).collect();
            format!("I remember: {} {of}", words.into_iter().rev().collect::<Vec<_>>().join(" "))
        },
    )
}

/// The call of a tool that has said what it would do, and was not called since.
fn proposed(items: &[Item]) -> Option<Piece> {
    let output = items.iter().rev().find(|item| item.kind() == "function_call_output")?;
    output.wire["output"].as_str().filter(|output| output.contains("\"read_back\""))?;
    let made = |item: &&Item| item.kind() == "function_call" && item.wire["call_id"] == output.wire["call_id"];
    let call = items.iter().rev().find(made)?;
    let text = |name: &str| call.wire[name].as_str().unwrap_or_default().to_owned();
    Some(Piece::Call { name: text("name"), arguments: text("arguments") })
}

/// Speaks from what the tools answered since the last turn.
fn after_tools(script: &Script, ask: &Ask<'_>, language: &str) -> Vec<Piece> {
    let outputs = ask.items.iter().rev().take_while(|item| item.kind() == "function_call_output");
    let mut pieces = Vec::new();
    for item in outputs.collect::<Vec<_>>().into_iter().rev() {
        let call = ask
            .items
            .iter()
            .find(|other| other.kind() == "function_call" && other.wire["call_id"] == item.wire["call_id"]);
        let name = call.and_then(|call| call.wire["name"].as_str()).unwrap_or_default();
        let output = item.wire["output"].as_str().unwrap_or_default();
        let lower = output.to_lowercase();
        let rule = script.afters.iter().find(|after| {
            after.tool.as_deref().is_none_or(|tool| tool == name)
                && (after.output_has.is_empty() || after.output_has.iter().any(|word| lower.contains(word.as_str())))
        });
        match rule {
            Some(after) => {
                let read_back = serde_json::from_str::<Value>(output).unwrap_or_default()["read_back"].to_string();
                pieces.extend(after.read_back.then(|| plain_words(spoken_output(&read_back))));
                pieces.extend(after.say.as_ref().map(|say| speak(say, language)));
            }
            None => pieces.push(plain_words(format!("The answer is: {}", spoken_output(output)))),
        }
    }
    pieces
}

/// A tool's JSON as something that can be read aloud: its values, at most 200 characters.
fn spoken_output(output: &str) -> String {
    fn collect(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Object(map) => map.values().for_each(|value| collect(value, into)),
            Value::Array(list) => list.iter().for_each(|value| collect(value, into)),
            Value::String(text) => into.push(text.clone()),
            Value::Null => {}
            other => into.push(other.to_string()),
        }
    }
    let mut words = Vec::new();
    match serde_json::from_str::<Value>(output) {
        Ok(value) => collect(&value, &mut words),
        Err(_) => words.push(output.to_owned()),
    }
    words.join(", ").chars().take(200).collect()
}

fn tool<'a>(tools: &'a Value, name: &str) -> Option<&'a Value> {
    tools.as_array()?.iter().find(|tool| tool["type"] == "function" && tool["name"] == name)
}

/// The call that `tool_choice` demands, unless tools have just answered.
fn forced_call(ask: &Ask<'_>) -> Option<Piece> {
    let answered = ask.items.last().is_some_and(|item| item.kind() == "function_call_output");
    let words = ask.items.iter().rev().find(|item| item.is_user()).map_or("", |item| item.words.as_str());
    let wanted = match ask.tool_choice {
        Value::Object(choice) => tool(ask.tools, choice.get("name")?.as_str()?)?,
        choice if choice == "required" && !answered => {
            ask.tools.as_array()?.iter().find(|tool| tool["type"] == "function")?
        }
        _ => return None,
    };
    let name = wanted["name"].as_str()?.to_owned();
    Some(Piece::Call { name, arguments: arguments(&Map::new(), &wanted["parameters"], words, "") })
}

/// Arguments that fit the schema: the rule's where they fit, made up by type where one is required.
fn arguments(from_rule: &Map<String, Value>, schema: &Value, words: &str, earlier: &str) -> String {
    let digits = digits(words);
    let fill = |value: &Value| match value {
        Value::String(text) => {
            let text = text.replace("{words}", words).replace("{digits}", &digits).replace("{earlier_digits}", earlier);
            json!(text.replace("{tomorrow}", &tomorrow()))
        }
        other => other.clone(),
    };
    let empty = Map::new();
    let known = schema["properties"].as_object().unwrap_or(&empty);
    let mut built = Map::new();
    for (key, value) in from_rule.iter().filter(|(key, _)| known.is_empty() || known.contains_key(*key)) {
        built.insert(key.clone(), fill(value));
    }
    for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !built.contains_key(key) {
            built.insert(key.to_owned(), example(known.get(key).unwrap_or(&Value::Null), words, &digits));
        }
    }
    Value::Object(built).to_string()
}

/// The date of tomorrow where the sandbox's callers are.
fn tomorrow() -> String {
    let day = chrono::Utc::now() + chrono::TimeDelta::minutes(5 * 60 + 30) + chrono::TimeDelta::days(1);
    day.format("%Y-%m-%d").to_string()
}

/// A value of the type a schema asks for.
fn example(schema: &Value, words: &str, digits: &str) -> Value {
    if let Some(first) = schema["enum"].as_array().and_then(|values| values.first()) {
        return first.clone();
    }
    match schema["type"].as_str() {
        Some("integer") => json!(digits.parse::<i64>().unwrap_or(1)),
        Some("number") => json!(digits.parse::<f64>().unwrap_or(1.0)),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        Some("object") => json!({}),
        _ if !digits.is_empty() => json!(digits),
        _ if words.is_empty() => json!("sandbox"),
        _ => json!(words),
    }
}

/// What instructions demand literally, and whether more is to be said after it.
struct Told {
    words: Piece,
    goes_on: bool,
}

/// The words that instructions demand literally: a quotation after "say", or a known clip's text.
fn told_words(instructions: &str) -> Option<Told> {
    let lower = instructions.to_lowercase();
    let literally = ["say", "exactly", "greet"].iter().any(|hint| lower.contains(hint));
    let quotes = [('"', '"'), ('“', '”'), ('«', '»')].into_iter().find(|(open, _)| instructions.contains(*open));
    if let Some((open, close)) = quotes.filter(|_| literally) {
        let (quoted, after) = instructions.split_once(open)?.1.split_once(close)?;
        let goes_on = plain(after).starts_with("then");
        let words = quoted.trim();
        return (words.chars().count() >= 3).then(|| Told { words: plain_words(words.to_owned()), goes_on });
    }
    let flat = plain(instructions);
    let known = library().iter().filter(|clip| clip.who == Who::Agent && flat.contains(&plain(&clip.text)));
    let clip = known.max_by_key(|clip| clip.text.len())?;
    Some(Told { words: Piece::Say { text: clip.text.clone(), clip: Some(Arc::clone(clip)) }, goes_on: false })
}

/// Whether instructions ask for a greeting in words of its own, and for more after it.
fn asks_for_greeting(instructions: &str) -> Option<bool> {
    let lower = instructions.to_lowercase();
    lower.starts_with("greet").then(|| lower.contains("then answer"))
}

fn plain_words(text: String) -> Piece {
    let clip = library().saying(&text).cloned();
    Piece::Say { text, clip }
}

fn speak(say: &Say, language: &str) -> Piece {
    let name = match say {
        Say::One(name) => name,
        Say::Each(names) => match names.get(language).or_else(|| names.values().next()) {
            Some(name) => name,
            None => return plain_words(String::new()),
        },
    };
    match library().get(name) {
        Some(clip) => Piece::Say { text: clip.text.clone(), clip: Some(Arc::clone(clip)) },
        None => plain_words(name.clone()),
    }
}

/// The caller's language: of the last clip heard, of the letters written, else the script's.
fn language_of(script: &Script, ask: &Ask<'_>) -> String {
    let last = ask.items.iter().rev().find(|item| item.is_user() && !item.words.is_empty());
    match last {
        Some(Item { language: Some(language), .. }) => language.clone(),
        Some(item) if item.words.chars().any(|c| ('\u{900}'..='\u{97f}').contains(&c)) => "hi".to_owned(),
        _ if ask.language == Some("en") => "en".to_owned(),
        _ => script.default_language.clone(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]
#[path = "script_tests.rs"]
mod tests;
