//! Tables of media messages, hostile ones included, and the way out and back.

use super::*;
use proptest::prelude::*;

const START: &str = include_str!("../../../tests/fixtures/exotel/start.json");
const START_CAMEL: &str = include_str!("../../../tests/fixtures/exotel/start-camel.json");

fn facts(text: &str) -> StartFacts {
    match decode(text) {
        Ok(MediaMessage::Start(facts)) => *facts,
        other => panic!("no start: {other:?}"),
    }
}

fn pcm(payload: &str) -> Result<(Vec<u8>, bool), MediaFault> {
    let text = format!(r#"{{"event":"media","stream_sid":"s","media":{{"chunk":"1","payload":{payload}}}}}"#);
    match decode(&text) {
        Ok(MediaMessage::Media(frame)) => Ok((frame.pcm.to_vec(), frame.odd)),
        Ok(other) => panic!("no media: {other:?}"),
        Err(fault) => Err(fault),
    }
}

#[test]
fn a_start_is_read_in_snake_and_camel_case() {
    for text in [START, START_CAMEL] {
        let facts = facts(text);
        assert_eq!(&*facts.stream, "9b1d3f5a7c9e1b3d5f7a9c1e3b5d198p");
        assert_eq!(facts.call_sid.unwrap().as_str(), "4a7f1c9e0b2d4f6a8c3e5d7b9f1a198p");
        assert_eq!(facts.account.as_deref(), Some("acme1"));
        assert_eq!(facts.caller.stored(), Some("+919876543210"));
        assert_eq!(facts.called.stored(), Some("+918047112233"));
        assert_eq!(facts.custom_parameters, [("k".to_owned(), "v".to_owned())]);
        assert_eq!(facts.rate, 8000);
    }
}

#[test]
fn a_start_may_leave_almost_everything_out() {
    let facts = facts(r#"{"event":"start","start":{}}"#);
    assert_eq!((&*facts.stream, facts.call_sid, facts.rate), ("", None, 8000));
    assert_eq!(facts.caller, Party::Withheld);
    assert_eq!(decode(r#"{"event":"start"}"#), Err(MediaFault::Malformed));
    assert_eq!(decode(r#"{"event":"start","start":"x"}"#), Err(MediaFault::Malformed));
}

#[test]
fn ids_of_a_start_that_could_do_harm_are_dropped() {
    let facts = facts(r#"{"event":"start","stream_sid":"a\"b","start":{"call_sid":"../../etc","from":"' or 1=1"}}"#);
    assert_eq!((&*facts.stream, facts.call_sid), ("a\"b", None));
    assert_eq!(facts.caller, Party::Withheld);
    assert_eq!(decode(r#"{"event":"start","stream_sid":"a\u001bb","start":{}}"#), Err(MediaFault::Malformed));
}

#[test]
fn the_rate_is_read_from_whatever_form_it_has() {
    let rate = |json: &str| {
        decode(&format!(r#"{{"event":"start","start":{{"media_format":{{"sample_rate":{json}}}}}}}"#)).map(|message| {
            match message {
                MediaMessage::Start(facts) => facts.rate,
                other => panic!("no start: {other:?}"),
            }
        })
    };
    for (json, expected) in [
        ("\"8000\"", 8000),
        ("8000", 8000),
        ("\"8000Hz\"", 8000),
        ("\"8 kHz\"", 8000),
        ("8000.0", 8000),
        ("\"16000\"", 16_000),
        ("24000", 24_000),
        ("null", 8000),
        ("\"\"", 8000),
    ] {
        assert_eq!(rate(json), Ok(expected), "{json}");
    }
    for json in ["44100", "0", "-8000", "\"-8000\"", "\"text\"", "99999999999999999999", "11025", "8"] {
        assert_eq!(rate(json), Err(MediaFault::UnsupportedRate), "{json}");
    }
}

#[test]
fn base64_is_read_in_every_spelling() {
    let bytes = vec![0xfb_u8, 0xff, 0xfe, 0x01];
    for payload in
        ["\"+//+AQ==\"", "\"+//+AQ\"", "\"-__-AQ==\"", "\"-__-AQ\"", "\"+\\/\\/+AQ==\"", "\"+//+\\nAQ==\\r\\n\""]
    {
        assert_eq!(pcm(payload), Ok((bytes.clone(), false)), "{payload}");
    }
    assert_eq!(pcm("\"+//+\""), Ok((vec![0xfb, 0xff], true)), "an odd last byte is cut off and told");
    assert_eq!(pcm("\"\""), Ok((vec![], false)));
    assert_eq!(pcm("null"), Ok((vec![], false)));
    for payload in ["\"a\"", "\"+//+AQ=x\"", "\"äöü!\"", "12345678"] {
        assert_eq!(pcm(payload), Err(MediaFault::BadPayload), "{payload}");
    }
    assert_eq!(decode(r#"{"event":"media"}"#), Err(MediaFault::BadPayload));
}

#[test]
fn numbers_come_as_texts_integers_or_nonsense() {
    for (json, expected) in [
        ("\"7\"", Number::Value(7)),
        ("7", Number::Value(7)),
        ("null", Number::Absent),
        ("\"\"", Number::Absent),
        ("-1", Number::Absurd),
        ("\"-1\"", Number::Absurd),
        ("18446744073709551616", Number::Absurd),
        ("\"seven\"", Number::Absurd),
        ("1.5", Number::Absurd),
        ("[1]", Number::Absurd),
        ("{\"a\":[{}]}", Number::Absurd),
        ("true", Number::Absurd),
    ] {
        let text = format!(r#"{{"event":"media","sequence_number":{json},"media":{{"chunk":{json},"payload":""}}}}"#);
        let Ok(MediaMessage::Media(frame)) = decode(&text) else { panic!("{text}") };
        assert_eq!((frame.sequence, frame.chunk), (expected, expected), "{json}");
    }
}

#[test]
fn the_other_messages_are_read() {
    let table = [
        (r#"{"event":"connected","protocol":"x","version":"1"}"#, Ok(MediaMessage::Connected)),
        (r#"{"event":"dtmf","dtmf":{"digit":"5","duration":"100"}}"#, Ok(MediaMessage::Dtmf('5'))),
        (r#"{"event":"dtmf","dtmf":{"digit":5}}"#, Ok(MediaMessage::Dtmf('5'))),
        (r#"{"event":"dtmf","dtmf":{"digit":"a"}}"#, Ok(MediaMessage::Dtmf('A'))),
        (r##"{"event":"dtmf","dtmf":{"digit":"#"}}"##, Ok(MediaMessage::Dtmf('#'))),
        (r#"{"event":"dtmf","dtmf":{"digit":"55"}}"#, Err(MediaFault::BadDigit)),
        (r#"{"event":"dtmf"}"#, Err(MediaFault::BadDigit)),
        (r#"{"event":"mark","mark":{"name":"utt-12"}}"#, Ok(MediaMessage::Mark("utt-12".into()))),
        (r#"{"event":"mark"}"#, Err(MediaFault::Malformed)),
        (r#"{"event":"stop","stop":{"reason":"stopped"}}"#, Ok(MediaMessage::Stop { call_ended: false })),
        (r#"{"event":"stop","stop":{"reason":"callended"}}"#, Ok(MediaMessage::Stop { call_ended: true })),
        (r#"{"event":"stop","stop":{"reason":"caller_hangup"}}"#, Ok(MediaMessage::Stop { call_ended: true })),
        (r#"{"event":"stop"}"#, Ok(MediaMessage::Stop { call_ended: false })),
        (r#"{"event":"clear","stream_sid":"s"}"#, Ok(MediaMessage::Clear)),
        (r#"{"event":"response.audio.delta","delta":"AAAA"}"#, Ok(MediaMessage::Ignored)),
    ];
    for (text, expected) in table {
        assert_eq!(decode(text), expected, "{text}");
    }
}

#[test]
fn hostile_json_is_malformed_or_skipped_and_never_fatal() {
    let brackets = "[".repeat(60_000);
    let objects = "{\"a\":".repeat(5_000);
    for text in
        ["", "null", "5", "[]", "{}", "\"x\"", r#"{"event":5.5e999}"#, r#"{"event":"\ud800"}"#, &brackets, &objects]
    {
        assert_eq!(decode(text), Err(MediaFault::Malformed), "{}", &text[..text.len().min(30)]);
    }
    let deep =
        format!(r#"{{"event":"media","x":{}{},"media":{{"payload":""}}}}"#, "[".repeat(50_000), "]".repeat(50_000));
    let _ = decode(&deep);
    let twice = r#"{"event":"x","event":"connected","stream_sid":"a","streamSid":"b"}"#;
    assert_eq!(decode(twice), Ok(MediaMessage::Connected));
}

#[test]
fn messages_to_exotel_have_the_documented_shape() {
    let mut encoder = Encoder::new("s\"1", 8000);
    let value = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap();
    encoder.media(&[0; 1600]);
    let second = value(encoder.media(&[1; 1600]));
    assert_eq!(second["event"], "media");
    assert_eq!(second["stream_sid"], "s\"1");
    assert_eq!(second["sequence_number"], "2");
    assert_eq!(second["media"]["chunk"], "2");
    assert_eq!(second["media"]["timestamp"], "100");
    assert_eq!(second["media"]["payload"].as_str().map(str::len), Some(2136));
    let mark = value(encoder.mark("utt \"12\""));
    assert_eq!((&mark["sequence_number"], &mark["mark"]["name"]), (&"3".into(), &"utt \"12\"".into()));
    assert_eq!(value(encoder.clear()), serde_json::json!({"event":"clear","stream_sid":"s\"1"}));
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_the_same_audio(samples in prop::collection::vec(any::<i16>(), 0..900)) {
        let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
        let text = Encoder::new("stream", 16_000).media(&bytes);
        let Ok(MediaMessage::Media(frame)) = decode(&text) else { panic!("{text}") };
        prop_assert_eq!(&frame.pcm[..], &bytes[..]);
        prop_assert_eq!((frame.chunk, frame.odd), (Number::Value(1), false));
    }

    #[test]
    fn any_text_is_decoded_without_panic(text in "\\PC*") {
        let _ = decode(&text);
    }

    #[test]
    fn any_json_like_text_is_decoded_without_panic(
        event in prop::sample::select(vec!["start", "media", "mark", "dtmf", "stop", "clear", "connected"]),
        value in "[\\[\\]{}\",:a-z0-9\\\\ue+-]{0,60}",
    ) {
        let _ = decode(&format!(r#"{{"event":"{event}","{event}":{value}}}"#));
        let _ = decode(&format!(r#"{{"event":"{event}","{event}":{{"payload":{value}}}}}"#));
    }
}
