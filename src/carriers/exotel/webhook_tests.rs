//! Tables of webhooks and what is read from them.

use super::*;

const INCOMING: &str = include_str!("../../../tests/fixtures/exotel/call-start-incoming.txt");
const OUTBOUND: &str = include_str!("../../../tests/fixtures/exotel/call-start-outbound.txt");
const PASSTHRU: &str = include_str!("../../../tests/fixtures/exotel/passthru.txt");
const TERMINAL: &[u8] = include_bytes!("../../../tests/fixtures/exotel/status-terminal.json");

fn query(text: &str) -> Params {
    parse(text.trim(), None, b"").unwrap()
}

fn hosts() -> RecordingHosts {
    RecordingHosts::default()
}

fn stored(party: &Party) -> Option<&str> {
    party.stored()
}

fn at(seconds: u64) -> Option<SystemTime> {
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

#[test]
fn an_incoming_call_start_names_caller_and_did() {
    let start = CallStart::read(&query(INCOMING)).unwrap();
    assert_eq!(start.call_sid.as_str(), "4a7f1c9e0b2d4f6a8c3e5d7b9f1a198p");
    assert_eq!(stored(&start.ends.caller), Some("+919876543210"));
    assert_eq!(stored(&start.ends.called), Some("+918047112233"), "CallTo is the DID, To is a shared landing number");
    assert_eq!(start.ends.direction, Direction::Inbound);
    assert_eq!(start.created, at(1_787_639_828));
    assert_eq!(start.custom_field, None);
}

#[test]
fn an_outbound_call_start_has_the_customer_as_caller() {
    let start = CallStart::read(&query(OUTBOUND)).unwrap();
    assert_eq!(stored(&start.ends.caller), Some("+919876543210"));
    assert_eq!(stored(&start.ends.called), Some("+918047112233"));
    assert_eq!(start.ends.direction, Direction::Outbound);
    assert_eq!(start.custom_field.as_deref(), Some("order=1042 & more"));
}

#[test]
fn a_call_start_without_a_required_field_names_it() {
    for (text, missing) in [
        ("", "CallFrom"),
        ("CallFrom=1&CallTo=2", "CallSid"),
        ("CallSid=&CallFrom=1&CallTo=2", "CallSid"),
        ("CallSid=c1&CallTo=2", "CallFrom"),
        ("CallSid=c1&CallFrom=2", "CallTo"),
    ] {
        assert_eq!(CallStart::read(&query(text)), Err(WebhookError::Missing(missing)), "{text}");
    }
    let error = CallStart::read(&query("CallSid=a/../b&CallFrom=1&CallTo=2")).unwrap_err();
    assert!(matches!(error, WebhookError::Malformed { place, .. } if place == "CallSid"));
}

#[test]
fn a_withheld_caller_and_mirrored_names_are_read() {
    let start = CallStart::read(&query("callsid=c1&From=&To=08047112233&Direction=inbound")).unwrap();
    assert_eq!(start.ends.caller, Party::Withheld);
    assert_eq!(stored(&start.ends.called), Some("+918047112233"));
}

#[test]
fn a_passthru_tells_how_the_stream_ended() {
    let passthru = Passthru::read(&query(PASSTHRU), &hosts()).unwrap();
    let stream = passthru.stream.unwrap();
    assert_eq!(stream.status, Some(StreamStatus::Completed));
    assert_eq!(stream.disconnected_by, DisconnectedBy::Bot);
    assert_eq!(stream.duration, Some(Duration::from_secs(42)));
    assert_eq!(stream.sid.as_deref(), Some("9b1d3f5a7c9e1b3d5f7a9c1e3b5d198p"));
    assert_eq!(
        stream.recording.url().map(Url::as_str),
        Some("https://recordings.exotel.com/exotelrecordings/acme1/4a7f.mp3")
    );
    assert_eq!(passthru.digits.as_deref(), Some("5"));
}

#[test]
fn stream_facts_read_the_same_from_brackets_escapes_and_json_text() {
    for text in [
        "CallSid=c1&Stream[Status]=cancelled&Stream[DisconnectedBy]=user",
        "CallSid=c1&Stream%5BStatus%5D=cancelled&Stream%5BDisconnectedBy%5D=user",
        "CallSid=c1&Stream=%7B%22Status%22:%22cancelled%22,%22DisconnectedBy%22:%22user%22%7D",
        "CallSid=c1&stream[status]=Cancelled&stream[disconnectedby]=User",
    ] {
        let stream = Passthru::read(&query(text), &hosts()).unwrap().stream.unwrap();
        assert_eq!(stream.status, Some(StreamStatus::Cancelled), "{text}");
        assert_eq!(stream.disconnected_by, DisconnectedBy::User, "{text}");
    }
    assert_eq!(Passthru::read(&query("CallSid=c1"), &hosts()).unwrap().stream, None);
}

#[test]
fn a_throttled_stream_is_told() {
    let text =
        "CallSid=c1&Stream[Status]=failed&Stream[DisconnectedBy]=NA&Stream[DetailedStatus]=Streaming_call_throttled";
    let stream = Passthru::read(&query(text), &hosts()).unwrap().stream.unwrap();
    assert_eq!((stream.status, stream.disconnected_by), (Some(StreamStatus::Failed), DisconnectedBy::Unknown));
    assert_eq!(stream.detailed_status.as_deref(), Some("Streaming_call_throttled"));
}

#[test]
fn a_terminal_status_is_read_with_legs_and_indian_times() {
    let params = parse("", Some("application/json"), TERMINAL).unwrap();
    let status = Status::read(&params, &hosts(), None).unwrap();
    assert_eq!((status.status, status.event), (CallState::Completed, EventType::Terminal));
    assert_eq!((status.started, status.ended), (at(1_787_639_828), at(1_787_639_888)));
    assert_eq!(status.duration, Some(Duration::from_secs(48)));
    assert_eq!(status.legs.len(), 2);
    assert_eq!(status.legs[0].answered_by.as_deref(), Some("human"));
    assert_eq!(status.legs[1].status, None, "an empty state means that the leg still rings");
    assert!(status.recording.url().is_some());
}

#[test]
fn a_live_call_has_no_end() {
    let text =
        "CallSid=c1&Status=in-progress&EventType=answered&EndTime=1970-01-01 05:30:00&DateUpdated=2026-08-25 12:07:08";
    let status = Status::read(&query(text), &hosts(), None).unwrap();
    assert_eq!((status.event, status.ended), (EventType::Answered, None));
    assert!(!status.status.is_final());
}

#[test]
fn a_status_needs_a_state_unless_the_route_gives_one() {
    assert_eq!(Status::read(&query("CallSid=c1"), &hosts(), None), Err(WebhookError::Missing("Status")));
    let ended = Status::read(&query("CallSid=c1"), &hosts(), Some(CallState::Completed)).unwrap();
    assert_eq!(ended.event, EventType::Terminal);
    let error = Status::read(&query("CallSid=c1&Status=exploded"), &hosts(), None).unwrap_err();
    assert!(matches!(error, WebhookError::Malformed { place, .. } if place == "Status"));
    assert_eq!(CallState::parse("No_Answer"), Some(CallState::NoAnswer));
    assert_eq!(CallState::parse("Cancelled"), Some(CallState::Canceled));
}

#[test]
fn a_connect_request_tells_of_the_former_attempt() {
    let text = "CallSid=c1&CallFrom=09876543210&CallTo=08047112233&DialCallStatus=no-answer&DialWhomNumber=09811122233";
    let connect = Connect::read(&query(text)).unwrap();
    assert_eq!(connect.dial_call_status.as_deref(), Some("no-answer"));
    assert_eq!(stored(&connect.dialled), Some("+919811122233"));
}

#[test]
fn a_recording_must_lie_where_recordings_may_lie() {
    let good = [
        "https://recordings.exotel.com/exotelrecordings/acme1/x.mp3",
        "https://RECORDINGS.exotel.com:443/x.mp3",
        "https://s3-ap-southeast-1.amazonaws.com/exotelrecordings/acme1/x.mp3",
    ];
    let bad = [
        "http://recordings.exotel.com/x.mp3",
        "https://recordings.exotel.com.evil.example/x.mp3",
        "https://recordings.exotel.com@evil.example/x.mp3",
        "https://user:pass@recordings.exotel.com/x.mp3",
        "https://recordings.exotel.com:8443/x.mp3",
        "https://s3-ap-southeast-1.amazonaws.com/other/x.mp3",
        "https://s3-ap-southeast-1.amazonaws.com/exotelrecordings/../other/x.mp3",
        "https://s3-ap-southeast-1.amazonaws.com/exotelrecordings/%2e%2e/other/x.mp3",
        "https://s3-ap-southeast-1.amazonaws.com/exotelrecordings/..%2fother/x.mp3",
        "https://127.0.0.1/x.mp3",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "//recordings.exotel.com/x.mp3",
        "x",
    ];
    for url in good {
        assert!(hosts().check(url).is_some(), "{url}");
    }
    for url in bad {
        assert!(hosts().check(url).is_none(), "{url}");
    }
    let local = RecordingHosts::new(&["http://127.0.0.1:9000/recordings/"]).unwrap();
    assert!(local.check("http://127.0.0.1:9000/recordings/x.wav").is_some());
    assert!(local.check("http://127.0.0.1:9001/recordings/x.wav").is_none());
    assert!(RecordingHosts::new(&["ftp://x"]).is_err());
}

#[test]
fn a_recording_elsewhere_is_flagged_and_a_missing_one_is_an_error() {
    let read = |text: &str| Recording::read(&query(text), &hosts());
    assert_eq!(read("CallSid=c1&RecordingUrl=http://127.0.0.1/x").unwrap().link, RecordingLink::Refused);
    assert_eq!(read("CallSid=c1"), Err(WebhookError::Missing("RecordingUrl")));
    assert_eq!(read("RecordingUrl=https://recordings.exotel.com/x"), Err(WebhookError::Missing("CallSid")));
    let found = read("CallSid=c1&RecordingUrl=https://recordings.exotel.com/x.mp3&RecordingDuration=61").unwrap();
    assert_eq!(found.duration, Some(Duration::from_secs(61)));
    assert!(found.link.url().is_some());
}

#[test]
fn absurd_durations_and_control_characters_are_dropped() {
    for text in ["-1", "NaN", "1e400", "inf", "99999999", "abc"] {
        let status = Status::read(&query(&format!("CallSid=c1&Status=busy&Duration={text}")), &hosts(), None).unwrap();
        assert_eq!(status.duration, None, "{text}");
    }
    let start = CallStart::read(&query("CallSid=c1&CallFrom=1&CallTo=2&CustomField=a%0d%0ab%1b[0m")).unwrap();
    assert_eq!(start.custom_field.as_deref(), Some("a  b [0m"));
}
