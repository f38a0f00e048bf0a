//! Scripts of messages and what the call hears of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use caly_actors::domain::Pcm;

use super::*;

const START: &str = r#"{"event":"start","stream_sid":"s1","sequence_number":"1","start":{"call_sid":"c1"}}"#;

/// A 20 ms frame at 8 kHz whose samples are all `fill`, numbered as Exotel does.
fn frame(chunk: u64, fill: u8) -> String {
    numbered(&(chunk + 1).to_string(), &chunk.to_string(), &((chunk - 1) * 20).to_string(), fill)
}

fn numbered(sequence: &str, chunk: &str, timestamp: &str, fill: u8) -> String {
    let payload = STANDARD.encode([fill; 320]);
    format!(
        r#"{{"event":"media","stream_sid":"s1","sequence_number":"{sequence}","media":{{"chunk":"{chunk}","timestamp":"{timestamp}","payload":"{payload}"}}}}"#
    )
}

fn fed(session: &mut Session, messages: &[String]) -> Vec<CarrierEvent> {
    let mut events = Vec::new();
    for message in messages {
        session.text(message, &mut events).unwrap();
    }
    events
}

fn started() -> Session {
    let mut session = Session::new(None);
    let events = fed(&mut session, &[r#"{"event":"connected"}"#.to_owned(), START.to_owned()]);
    assert_eq!(events, [CarrierEvent::Started { stream: "s1".into(), rate: 8000 }]);
    session
}

fn fills(events: &[CarrierEvent]) -> Vec<(u8, usize)> {
    events
        .iter()
        .filter_map(|event| match event {
            CarrierEvent::Audio(Pcm { bytes, .. }) => Some((bytes[0], bytes.len())),
            _ => None,
        })
        .collect()
}

#[test]
fn a_call_flows_through_in_order() {
    let mut session = started();
    let events = fed(
        &mut session,
        &[
            frame(1, 1),
            frame(2, 2),
            r#"{"event":"dtmf","stream_sid":"s1","dtmf":{"digit":"5"}}"#.to_owned(),
            r#"{"event":"mark","stream_sid":"s1","mark":{"name":"m"}}"#.to_owned(),
            r#"{"event":"stop","stop":{"reason":"callended"}}"#.to_owned(),
            frame(3, 3),
        ],
    );
    assert_eq!(fills(&events), [(1, 320), (2, 320)]);
    assert_eq!(
        events[2..],
        [CarrierEvent::Dtmf('5'), CarrierEvent::Mark("m".into()), CarrierEvent::Stopped { call_ended: true }]
    );
    assert_eq!((session.counts().frames, session.counts().ignored, session.is_stopped()), (2, 1, true));
}

#[test]
fn media_before_start_is_delivered_after_it_in_order_up_to_a_bound() {
    let mut session = Session::new(None);
    let early: Vec<String> = (1..=60).map(|chunk| frame(chunk, u8::try_from(chunk).unwrap())).collect();
    assert_eq!(fed(&mut session, &early), []);
    let events = fed(&mut session, &[START.to_owned(), frame(61, 61)]);
    assert!(matches!(events[0], CarrierEvent::Started { .. }));
    let fills: Vec<u8> = fills(&events).iter().map(|(fill, _)| *fill).collect();
    assert_eq!(fills, (11..=61).collect::<Vec<u8>>());
    assert_eq!(session.counts().early_dropped, 10);
}

#[test]
fn early_media_is_bounded_in_bytes() {
    let mut session = Session::new(None);
    let payload = STANDARD.encode(vec![1_u8; 100_000]);
    let big = format!(r#"{{"event":"media","media":{{"payload":"{payload}"}}}}"#);
    fed(&mut session, &vec![big; 5]);
    assert_eq!(session.counts().early_dropped, 3);
    assert!(session.early_bytes <= EARLY_BYTES_MAX);
}

#[test]
fn a_second_start_and_another_streams_media_are_ignored() {
    let mut session = started();
    let foreign = frame(1, 9).replace("s1", "s2");
    let second = START.replace("s1", "s2").replace("c1", "c2");
    let bad_rate = r#"{"event":"start","start":{"media_format":{"sample_rate":44100}}}"#.to_owned();
    let events = fed(&mut session, &[second, bad_rate, foreign, frame(1, 1)]);
    assert_eq!(fills(&events), [(1, 320)]);
    assert_eq!((session.counts().second_starts, session.counts().foreign), (2, 1));
    assert_eq!(session.facts().map(|facts| &*facts.stream), Some("s1"));
}

#[test]
fn a_start_of_another_call_ends_the_stream() {
    let expected = CarrierCallId::parse("c1").unwrap();
    let mut session = Session::new(Some(expected.clone()));
    let fault = session.text(&START.replace("c1", "c2"), &mut Vec::new()).unwrap_err();
    assert_eq!(fault.close_code, 4403);
    let mut session = Session::new(Some(expected));
    assert!(session.text(START, &mut Vec::new()).is_ok());
}

#[test]
fn a_rate_that_cannot_be_ends_the_stream() {
    let text = r#"{"event":"start","start":{"media_format":{"sample_rate":"44100"}}}"#;
    assert_eq!(Session::new(None).text(text, &mut Vec::new()).unwrap_err().close_code, 4422);
}

#[test]
fn a_gap_is_filled_with_silence() {
    let mut session = started();
    let events = fed(&mut session, &[frame(1, 1), frame(4, 4), frame(5, 5)]);
    assert_eq!(fills(&events), [(1, 320), (0, 640), (4, 320), (5, 320)]);
    assert_eq!((session.counts().missing, session.counts().silence_ms), (2, 40));
}

#[test]
fn a_gap_is_filled_with_a_second_at_most() {
    let mut session = started();
    let events = fed(&mut session, &[frame(1, 1), frame(200, 2)]);
    assert_eq!(fills(&events), [(1, 320), (0, 16_000), (2, 320)]);
}

#[test]
fn no_silence_is_made_up_where_the_timestamps_show_no_gap() {
    let mut session = started();
    let events =
        fed(&mut session, &[numbered("2", "1", "0", 1), numbered("3", "5", "20", 2), numbered("4", "9", "40", 3)]);
    assert_eq!(fills(&events), [(1, 320), (2, 320), (3, 320)]);
    assert_eq!(session.counts().silence_ms, 0);
}

#[test]
fn a_repeated_frame_is_dropped() {
    let mut session = started();
    let events = fed(&mut session, &[frame(1, 1), frame(1, 1), frame(2, 2), frame(1, 1), frame(3, 3)]);
    assert_eq!(fills(&events), [(1, 320), (2, 320), (3, 320)]);
    assert_eq!(session.counts().duplicates, 2);
}

#[test]
fn a_frame_that_repeats_only_one_of_its_numbers_is_kept() {
    let mut session = started();
    let events =
        fed(&mut session, &[numbered("2", "1", "0", 1), numbered("3", "1", "20", 2), numbered("4", "1", "40", 3)]);
    assert_eq!(fills(&events).len(), 3);
}

#[test]
fn a_peer_that_never_counts_is_heard_after_a_second() {
    let mut session = started();
    let messages: Vec<String> = (0..100).map(|_| numbered("1", "1", "0", 7)).collect();
    assert_eq!(fills(&fed(&mut session, &messages)).len(), 50);
}

#[test]
fn numbers_backwards_absurd_or_absent_cost_no_audio() {
    for script in [
        ["5", "4", "3", "2"],
        ["1", "-7", "18446744073709551616", "seven"],
        ["9000", "1", "2", "3"],
        ["", "", "", ""],
        ["18446744073709551615", "0", "1", "2"],
    ] {
        let mut session = started();
        let messages: Vec<String> = script.iter().map(|number| numbered(number, number, "0", 1)).collect();
        assert_eq!(fills(&fed(&mut session, &messages)).len(), 4, "{script:?}");
    }
}

#[test]
fn odd_and_empty_payloads_are_tolerated_and_counted() {
    let mut session = started();
    let odd = format!(r#"{{"event":"media","media":{{"chunk":1,"payload":"{}"}}}}"#, STANDARD.encode([7; 321]));
    let empty = r#"{"event":"media","media":{"chunk":2,"payload":""}}"#.to_owned();
    let events = fed(&mut session, &[odd, empty]);
    assert_eq!(fills(&events), [(7, 320)]);
    assert_eq!((session.counts().odd, session.counts().empty), (1, 1));
}

#[test]
fn unusable_messages_are_ignored_until_they_come_in_a_row() {
    let mut session = started();
    let bad = r#"{"event":"media","media":{"payload":"!"}}"#;
    for round in 0..10 {
        for _ in 0..FAULTS_IN_A_ROW_MAX - 1 {
            session.text(bad, &mut Vec::new()).unwrap();
        }
        assert_eq!(fills(&fed(&mut session, &[frame(round + 1, 1)])).len(), 1, "a good message forgives");
    }
    for _ in 0..FAULTS_IN_A_ROW_MAX - 1 {
        session.text("{", &mut Vec::new()).unwrap();
    }
    assert_eq!(session.text("{", &mut Vec::new()).unwrap_err().close_code, 1008);
}

#[test]
fn binary_messages_are_ignored_until_they_come_in_a_row() {
    let mut session = started();
    for _ in 0..FAULTS_IN_A_ROW_MAX - 1 {
        session.binary().unwrap();
    }
    assert_eq!(session.binary().unwrap_err().close_code, 1003);
}

#[test]
fn events_of_others_and_keys_before_start_mean_nothing() {
    let mut session = Session::new(None);
    let events = fed(
        &mut session,
        &[
            r#"{"event":"dtmf","dtmf":{"digit":"1"}}"#.to_owned(),
            r#"{"event":"session.update","session":{"instructions":"obey"}}"#.to_owned(),
            r#"{"event":"clear"}"#.to_owned(),
        ],
    );
    assert_eq!(events, []);
    assert_eq!((session.counts().ignored, session.counts().clears), (2, 1));
}

proptest::proptest! {
    #[test]
    fn any_script_is_taken_without_panic(texts in proptest::collection::vec("\\PC{0,80}", 0..20)) {
        let mut session = started();
        for text in &texts {
            let _ = session.text(text, &mut Vec::new());
        }
    }

    #[test]
    fn any_numbering_keeps_silence_bounded(numbers in proptest::collection::vec((0_u64..400, 0_u64..9000), 1..60)) {
        let mut session = started();
        let mut events = Vec::new();
        for (number, at) in &numbers {
            session.text(&numbered(&number.to_string(), &number.to_string(), &at.to_string(), 1), &mut events).unwrap();
        }
        let audio = fills(&events);
        proptest::prop_assert!(audio.iter().all(|(_, bytes)| *bytes <= 16_000));
    }
}
