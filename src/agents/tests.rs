//! What settings of an agent are taken and refused.

use super::*;
use serde_json::json;

fn agent(settings: Value) -> Result<Agent, SettingsError> {
    read(AgentId::new(), 1, "shop", &settings, &CallLimits::default())
}

#[test]
fn nothing_set_gives_a_usable_agent() {
    let agent = agent(json!({})).expect("defaults fit");
    assert_eq!(
        (agent.language, (agent.barge_in, agent.local_detection), agent.tools.len()),
        (Language::Hinglish, (caly_actors::domain::BargeIn::Normal, false), BUILT_IN_TOOLS.len())
    );
    assert_eq!(agent.limits, CallLimits::default());
}

#[test]
fn what_every_caller_must_hear_is_a_part_of_the_greeting() {
    let greeting = |settings: Value| agent(settings).map(|agent| (agent.greeting, agent.notices.len()));
    let whole = json!({"greeting": "Namaste!", "disclosure": "I am a machine.", "recording_notice": "We record."});
    assert_eq!(greeting(whole).unwrap(), (Some("Namaste! I am a machine. We record.".into()), 2));
    assert_eq!(greeting(json!({"disclosure": "I am a machine."})).unwrap(), (Some("I am a machine.".into()), 1));
    assert_eq!(greeting(json!({"greeting": " ", "disclosure": ""})).unwrap(), (None, 0));
}

#[test]
fn keys_may_stand_for_choices_and_sentences_may_be_switched_off() {
    let settings = json!({"menu": {"0": "person", "9": "end", "1": {"tell": "Where is my order?"}},
        "limits": {"filler_after_s": 0, "reprompts": 0, "time_warning_s": 30}});
    let agent = agent(settings).expect("they fit");
    let choice = |keys: &str| agent.menu.iter().find(|(known, _)| **known == *keys).map(|(_, choice)| choice);
    assert_eq!(choice("0"), Some(&MenuChoice::Person));
    assert_eq!(choice("9"), Some(&MenuChoice::End));
    assert_eq!(choice("1"), Some(&MenuChoice::Tell("Where is my order?".into())));
    assert_eq!((agent.limits.filler_after, agent.limits.reprompts), (Duration::ZERO, 0));
    assert_eq!(agent.limits.time_warning, Duration::from_secs(30));
}

#[test]
fn a_tool_is_told_who_asks_over_https_and_in_the_clear_only_where_it_is_said() {
    for (url, said, told) in [
        ("https://x", json!(null), true),
        ("https://x", json!(false), false),
        ("http://x", json!(null), false),
        ("http://x", json!(true), true),
    ] {
        let tool = json!({"name": "a", "description": "", "schema": {}, "url": url, "tell_caller": said});
        let agent = agent(json!({"http_tools": [tool]})).expect("it fits");
        assert_eq!(agent.http_tools[0].tells_caller(), told, "{url} {said}");
    }
}

#[test]
fn what_is_said_to_write_is_read_back_first_unless_it_is_said_not_to() {
    for (said, expected) in [
        (json!({}), (true, true)),
        (json!({"method": "GET"}), (false, false)),
        (json!({"confirm": false}), (true, false)),
        (json!({"writes": true}), (true, true)),
        (json!({"writes": true, "confirm": false}), (true, false)),
        (json!({"writes": false}), (false, false)),
        (json!({"method": "GET", "confirm": true}), (false, true)),
    ] {
        let mut tool = json!({"name": "a", "description": "", "schema": {}, "url": "https://x"});
        tool.as_object_mut().into_iter().zip(said.as_object()).for_each(|(all, more)| all.extend(more.clone()));
        let agent = agent(json!({"http_tools": [tool]})).expect("it fits");
        assert_eq!((agent.http_tools[0].writes, agent.http_tools[0].confirm), expected, "{said}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (settings, named) in [
        (json!({"voise": "x"}), "voise"),
        (json!({"language": "fr"}), "language"),
        (json!({"intents": {"Points": ["x"]}}), "intents: Points: 1 to 64"),
        (json!({"intents": {"refill": []}}), "intents: refill: expected 1 to"),
        (json!({"intents": {"payment": ["x"]}}), "intents: payment: 1 to 64"),
        (json!({"products": [""]}), "products: expected"),
        (json!({"customers": {"remember_days": 0}}), "customers.remember_days: expected 1 to 3650"),
        (json!({"customers": {"remember_days": 3651}}), "customers.remember_days"),
        (json!({"customers": {}}), "customers: missing field"),
        (json!({"customers": {"remember_days": 9, "for": 1}}), "customers: unknown field"),
        (json!({"languages": ["hi", "fr"]}), "languages: expected a language"),
        (json!({"handoff_numbers": ["12"]}), "handoff_numbers"),
        (json!({"tools": ["fly"]}), "fly"),
        (json!({"shop": {"proof": "trust"}}), "shop: proof: expected number"),
        (json!({"shop": {"write_limit": -1}}), "shop"),
        (json!({"shop": {"limit": 5}}), "shop"),
        (json!({"menu": {"0": "nobody"}}), "menu"),
        (json!({"barge_in": "never"}), "barge_in: expected off"),
        (json!({"menu": {"0#": "person"}}), "menu: expected 1 to 8 keys"),
        (json!({"policies": {"person": "always"}}), "policies.person: expected obey or engine"),
        (json!({"policies": {"persons": "obey"}}), "policies: unknown field"),
        (json!({"policies": "obey"}), "policies: "),
        (json!({"menu": {"1": {"tell": ""}}}), "menu: tell: expected"),
        (json!({"limits": {"reprompts": 11}}), "limits.reprompts"),
        (json!({"limits": {"filler_after_s": -1}}), "limits.filler_after_s"),
        (json!({"instructions": "For {{ costumer }}"}), "instructions: line 1: undefined value"),
        (json!({"greeting": "Good {{ time.part"}), "greeting: line 1: syntax error"),
        (json!({"time_zone": "Kolkata"}), "time_zone: expected a name such as Asia/Kolkata"),
        (json!({"turn_detection": {"type": "server_vad", "threshold": 2.0}}), "threshold"),
        (json!({"turn_detection": {"type": "semantic_vad", "eagerness": "wild"}}), "eagerness"),
        (json!({"http_tools": [{"name": "A", "description": "", "schema": {}, "url": "https://x"}]}), "http_tools"),
        (json!({"http_tools": [{"name": "a", "description": "", "schema": {}, "url": "ftp://x"}]}), "url"),
        (json!({"limits": {"max_duration_s": 0}}), "max_duration_s"),
    ] {
        let error = agent(settings).expect_err(named).to_string();
        assert!(error.contains(named), "{error}");
    }
}
