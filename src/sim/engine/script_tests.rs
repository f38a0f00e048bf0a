//! What the simulated engine answers to what.

use super::*;

fn user(words: &str) -> Item {
    Item::new("u".into(), json!({"type":"message","role":"user","content":[{"type":"input_text","text":words}]}))
}

fn plan(items: &[Item], tools: &Value, choice: &Value) -> Plan {
    let script = Script::built_in().unwrap();
    decide(&script, &Ask { items, instructions: None, tools, tool_choice: choice, language: None, text: false })
}

fn said(plan: &Plan) -> Vec<String> {
    let text = |piece: &Piece| match piece {
        Piece::Say { text, .. } => text.clone(),
        Piece::Call { name, arguments } => format!("{name}{arguments}"),
    };
    plan.pieces.iter().map(text).collect()
}

#[test]
fn a_tool_is_called_only_when_the_session_has_it() {
    let tools = json!([{"type":"function","name":"transfer_to_human","parameters":{"type":"object",
        "properties":{"reason":{"type":"string"},"summary":{"type":"string"}},"required":["reason","summary"]}}]);
    let asked = [user("mujhe kisi insaan se baat karni hai")];
    assert!(said(&plan(&asked, &tools, &json!("auto"))).last().unwrap().starts_with("transfer_to_human{"));
    assert!(said(&plan(&asked, &json!([]), &json!("auto"))).iter().all(|s| !s.starts_with("transfer_to_human")));
    assert!(said(&plan(&asked, &tools, &json!("none"))).iter().all(|s| !s.starts_with("transfer_to_human")));
}

#[test]
fn a_demanded_call_gets_arguments_that_fit_its_schema() {
    let tools = json!([{"type":"function","name":"f","parameters":{"type":"object","properties":{
        "n":{"type":"integer"},"colour":{"type":"string","enum":["red","blue"]}},"required":["n","colour"]}}]);
    let got = said(&plan(&[user("give me 42")], &tools, &json!("required")));
    assert_eq!(got, [r#"f{"colour":"red","n":42}"#]);
}

#[test]
fn a_failed_tool_is_never_reported_as_a_success() {
    let call = json!({"type":"function_call","name":"request_callback","call_id":"c","arguments":"{}"});
    let output = |text: &str| json!({"type":"function_call_output","call_id":"c","output":text});
    let run = |text: &str| {
        let items = [user("call back"), Item::new("a".into(), call.clone()), Item::new("b".into(), output(text))];
        said(&plan(&items, &json!([]), &json!("auto"))).join(" ")
    };
    assert!(run(r#"{"error":"no slots"}"#).contains("nahi ho paya"));
    assert!(run(r#"{"status":"recorded"}"#).contains("likh liya"));
}

#[test]
fn what_would_be_done_is_read_back_and_asked_for_again_after_a_yes() {
    let call = json!({"type":"function_call","name":"cancel_appointment","call_id":"c","arguments":"{\"at\":\"5\"}"});
    let told = json!({"done": false, "next": "read it", "read_back": {"cancel": {"at": "17:00"}}}).to_string();
    let output = json!({"type":"function_call_output","call_id":"c","output":told});
    let mut items = vec![user("cancel"), Item::new("a".into(), call), Item::new("b".into(), output)];
    let spoken = said(&plan(&items, &json!([]), &json!("auto")));
    assert_eq!(spoken[0], "17:00", "what it would do, and nothing of how");
    assert!(spoken[1].contains("pakka kar doon"), "{spoken:?}");
    items.push(user("haan ji"));
    assert_eq!(said(&plan(&items, &json!([]), &json!("auto"))), [r#"cancel_appointment{"at":"5"}"#]);
    items.pop();
    items.push(user("nahi nahi rehne dijiye"));
    assert!(!said(&plan(&items, &json!([]), &json!("auto")))[0].starts_with("cancel_appointment"));
}

#[test]
fn what_was_told_earlier_is_used_as_far_as_the_session_knows_it() {
    let mut script = Script::built_in().unwrap();
    let told = json!({ "topic": "order {earlier_digits}" }).as_object().cloned().unwrap();
    let (when, tool) = (vec!["ring me".to_owned()], Some("note".to_owned()));
    script.rules.insert(0, Rule { when, say: None, tool, arguments: told, without_tool: None, fail: None });
    let tools = json!([{"type": "function", "name": "note", "parameters": {"type": "object", "properties": {}}}]);
    let said_by = |items: &[Item]| {
        let choice = json!("auto");
        let ask = Ask { items, instructions: None, tools: &tools, tool_choice: &choice, language: None, text: false };
        said(&decide(&script, &ask))
    };
    let message = |id: &str, words: &str| Item { id: id.to_owned(), ..user(words) };
    let items = [message("a", "order 1001"), message("b", "when are you open"), message("c", "ring me at 5")];
    assert_eq!(said_by(&items), [r#"note{"topic":"order 1001"}"#]);
    assert_eq!(said_by(&items[1..]), [r#"note{"topic":"order "}"#], "a session that was not told");
}

#[test]
fn unknown_words_are_said_back() {
    assert_eq!(said(&plan(&[user("Say hello")], &json!([]), &json!("auto"))), ["You said: Say hello"]);
}

#[test]
fn instructions_that_quote_a_greeting_are_followed() {
    let script = Script::built_in().unwrap();
    let ask = Ask {
        items: &[],
        instructions: Some("Greet the caller. Say exactly: \"Namaste ji, Sharma Stores.\""),
        tools: &json!([]),
        tool_choice: &json!("auto"),
        language: None,
        text: false,
    };
    assert_eq!(said(&decide(&script, &ask)), ["Namaste ji, Sharma Stores."]);
}

#[test]
fn a_greeting_that_is_asked_for_answers_no_hello() {
    let script = Script::built_in().unwrap();
    let asked = |instructions| {
        said(&decide(
            &script,
            &Ask {
                items: &[user("haan ji")],
                instructions: Some(instructions),
                tools: &json!([]),
                tool_choice: &json!("auto"),
                language: None,
                text: false,
            },
        ))
    };
    let greeting = "Namaste, boliye, kya madad karun?";
    assert_eq!(asked("Greet the caller now. Say exactly: Namaste ji, Sharma Stores."), [greeting]);
    let both = asked("Greet the caller now in one short sentence. Then answer what the caller has asked.");
    assert!(both.len() == 2 && both[0] == greeting, "{both:?}");
}

#[test]
fn words_that_are_to_be_said_first_are_followed_by_the_answer() {
    let script = Script::built_in().unwrap();
    let ask = Ask {
        items: &[user("Say hello")],
        instructions: Some(
            "First say exactly these sentences: \"This call is recorded.\" Then go on with the conversation.",
        ),
        tools: &json!([]),
        tool_choice: &json!("auto"),
        language: None,
        text: false,
    };
    assert_eq!(said(&decide(&script, &ask)), ["This call is recorded.", "You said: Say hello"]);
}
