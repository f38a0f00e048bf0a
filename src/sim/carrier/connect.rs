//! The checks on what a Connect applet's dynamic URL answers.

use serde_json::Value;

/// What is wrong with the JSON of a Connect applet's dynamic URL (protocol §1.4).
pub(crate) fn problems(body: &Value) -> Vec<String> {
    let Some(map) = body.as_object() else { return vec!["the answer is no JSON object".to_owned()] };
    let mut problems = Vec::new();
    let mut expect = |fits: bool, text: &str| {
        if !fits {
            problems.push(text.to_owned());
        }
    };
    let absent_or = |key: &str, fits: fn(&Value) -> bool| map.get(key).is_none_or(fits);
    let known = [
        "fetch_after_attempt",
        "destination",
        "outgoing_phone_number",
        "record",
        "recording_channels",
        "max_ringing_duration",
        "max_conversation_duration",
        "music_on_hold",
        "start_call_playback",
        "parallel_ringing",
        "dial_passthru_event_url",
        "custom_params",
    ];
    for key in map.keys() {
        expect(known.contains(&key.as_str()), &format!("unknown field '{key}'"));
    }
    let e164 = |number: &Value| {
        number
            .as_str()
            .and_then(|text| text.strip_prefix('+'))
            .is_some_and(|digits| (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()))
    };
    let numbers = &body["destination"]["numbers"];
    expect(numbers.is_array(), "destination.numbers is no array");
    for number in numbers.as_array().into_iter().flatten() {
        expect(e164(number), "destination.numbers holds something that is not E.164");
    }
    expect(absent_or("fetch_after_attempt", Value::is_boolean), "fetch_after_attempt is no boolean");
    expect(absent_or("record", Value::is_boolean), "record is no boolean");
    let channels = |value: &Value| value == "single" || value == "dual";
    expect(absent_or("recording_channels", channels), "recording_channels is neither single nor dual");
    let ringing = |value: &Value| value.as_u64().is_some_and(|seconds| (1..=60).contains(&seconds));
    expect(absent_or("max_ringing_duration", ringing), "max_ringing_duration is not 1 to 60");
    let talking = |value: &Value| value.as_u64().is_some_and(|seconds| seconds >= 1);
    expect(absent_or("max_conversation_duration", talking), "max_conversation_duration is no number of seconds");
    let music =
        |value: &Value| matches!(value["type"].as_str(), Some("default_tone" | "operator_tone" | "custom_tone"));
    expect(absent_or("music_on_hold", music), "music_on_hold.type is unknown");
    let playback = |value: &Value| {
        matches!(value["playback_to"].as_str(), Some("both" | "callee"))
            && matches!(value["type"].as_str(), Some("text" | "audio_url"))
            && value["value"].is_string()
    };
    expect(absent_or("start_call_playback", playback), "start_call_playback is not {playback_to, type, value}");
    problems
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_connect_answer_is_checked_field_by_field() {
        let good = json!({"fetch_after_attempt": false, "destination": {"numbers": ["+919876543210"]}, "record": true,
            "recording_channels": "dual", "max_ringing_duration": 45, "max_conversation_duration": 3600});
        assert!(problems(&good).is_empty());
        let bad = json!({"destination": {"numbers": ["09876543210"]}, "max_ringing_duration": 90, "recrd": true});
        assert_eq!(problems(&bad).len(), 3);
        assert_eq!(problems(&json!([])).len(), 1);
    }
}
