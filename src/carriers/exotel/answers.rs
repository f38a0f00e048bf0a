//! What Exotel's webhooks are answered with: the stream's URL, or whom to dial.
//!
//! Owns these texts; the status codes around them belong to `http`.

use caly_actors::domain::PhoneNumber;
use serde_json::json;

/// The Voicebot applet's answer: `{"url":"wss://…"}`.
#[must_use]
pub fn voicebot(url: &str) -> String {
    json!({ "url": url }).to_string()
}

/// The same as an XML document, for clients whose flow expects one. Exotel's own Voicebot applet does not.
#[must_use]
pub fn exoml(url: &str) -> String {
    let url = escape_xml(url);
    format!(r#"<?xml version="1.0" encoding="UTF-8"?><Response><Connect><Stream url="{url}"/></Connect></Response>"#)
}

/// Escapes an attribute's text; characters that XML 1.0 does not have are left out.
fn escape_xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\t' | '\n' | '\r' => escaped.push_str(&format!("&#{};", u32::from(c))),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => escaped.push(c),
        }
    }
    escaped
}

/// Whom the Connect applet dials.
#[derive(Clone, PartialEq, Debug)]
pub struct ConnectPlan<'a> {
    /// Tried in order; empty makes the flow go on with "we did not dial anyone".
    pub numbers: &'a [PhoneNumber],
    /// Caller id shown to the person; `None`: the client's own number.
    pub caller_id: Option<&'a PhoneNumber>,
    /// Record both sides on two channels.
    pub record: bool,
    /// 1 to 60.
    pub ringing_seconds_max: u32,
    /// Length of the conversation.
    pub conversation_seconds_max: u32,
    /// Told to the person before the caller is heard.
    pub whisper: Option<&'a str>,
}

/// The Connect applet's answer.
#[must_use]
pub fn connect(plan: &ConnectPlan<'_>) -> String {
    let numbers: Vec<&str> = plan.numbers.iter().map(PhoneNumber::as_e164).collect();
    let mut answer = json!({
        "fetch_after_attempt": false,
        "destination": { "numbers": numbers },
        "record": plan.record,
        "max_ringing_duration": plan.ringing_seconds_max.clamp(1, 60),
        "max_conversation_duration": plan.conversation_seconds_max,
    });
    if plan.record {
        answer["recording_channels"] = "dual".into();
    }
    if let Some(number) = plan.caller_id {
        answer["outgoing_phone_number"] = number.as_e164().into();
    }
    if let Some(words) = plan.whisper.filter(|words| !words.is_empty()) {
        answer["start_call_playback"] = json!({ "playback_to": "callee", "type": "text", "value": words });
    }
    answer.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn the_voicebot_answer_is_one_url() {
        let url = "wss://caly.example/media/exotel/t?sample-rate=8000";
        assert_eq!(serde_json::from_str::<Value>(&voicebot(url)).unwrap(), json!({ "url": url }));
    }

    #[test]
    fn the_xml_answer_is_escaped() {
        assert_eq!(
            exoml("wss://h/m?a=1&b=\"<'>\u{0}"),
            r#"<?xml version="1.0" encoding="UTF-8"?><Response><Connect><Stream url="wss://h/m?a=1&amp;b=&quot;&lt;&apos;&gt;"/></Connect></Response>"#
        );
    }

    #[test]
    fn the_connect_answer_dials_in_order() {
        let numbers = ["+919876543210", "+918047112233"].map(|text| PhoneNumber::parse(text).unwrap());
        let plan = ConnectPlan {
            numbers: &numbers,
            caller_id: None,
            record: true,
            ringing_seconds_max: 90,
            conversation_seconds_max: 3600,
            whisper: Some("order \"1042\""),
        };
        let answer: Value = serde_json::from_str(&connect(&plan)).unwrap();
        assert_eq!(answer["destination"]["numbers"], json!(["+919876543210", "+918047112233"]));
        assert_eq!(answer["max_ringing_duration"], 60);
        assert_eq!(answer["recording_channels"], "dual");
        assert_eq!(answer["start_call_playback"]["value"], "order \"1042\"");
        assert!(answer.get("outgoing_phone_number").is_none());
        let silent = ConnectPlan { numbers: &[], record: false, whisper: None, caller_id: Some(&numbers[0]), ..plan };
        let answer: Value = serde_json::from_str(&connect(&silent)).unwrap();
        assert_eq!(
            (&answer["destination"]["numbers"], &answer["outgoing_phone_number"]),
            (&json!([]), &json!("+919876543210"))
        );
        assert!(answer.get("recording_channels").is_none());
    }
}
