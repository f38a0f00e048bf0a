//! How long a caller waits, as it is on record, against what is heard in the recording of the same call: two measures that
//! share nothing but the sound.

use caly::sim::carrier::{Scenario, place_call};
use serde_json::Value;

use crate::server::{Server, Settings};

/// Pieces that loudness is looked at in.
const PIECE_MS: usize = 10;
/// Root mean square of a piece that is speech; the sandbox's line noise is 8.
const LOUD: f64 = 250.0;
/// Quiet for this long parts two utterances; the longest pause inside one of the sandbox's is shorter.
const PAUSE_MS: usize = 450;
/// How far the two measures may be apart. The agents' sound begins with 20 ms of silence, and a mark comes on the
/// carrier's grid of 20 ms.
const AGREE_MS: i64 = 50;

/// Begin and end of each utterance on one side of a recording, in milliseconds.
fn utterances(samples: &[i16], channel: usize) -> Vec<(usize, usize)> {
    let side: Vec<i16> = samples.iter().skip(channel).step_by(2).copied().collect();
    let loud = |piece: &[i16]| {
        let sum: f64 = piece.iter().map(|sample| f64::from(*sample).powi(2)).sum();
        (sum / piece.len() as f64).sqrt() > LOUD
    };
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (at, _) in side.chunks(8 * PIECE_MS).enumerate().filter(|(_, piece)| loud(piece)) {
        let (begin, end) = (at * PIECE_MS, (at + 1) * PIECE_MS);
        match found.last_mut() {
            Some(last) if begin - last.1 < PAUSE_MS => last.1 = end,
            _ => found.push((begin, end)),
        }
    }
    found
}

fn recording(server: &Server, detail: &Value) -> Vec<i16> {
    let row = detail["recordings"].as_array().unwrap().iter().find(|row| row["source"] == "caly").expect("a recording");
    let path = server.directory.path().join("data/recordings").join(row["location"].as_str().unwrap());
    let mut wav = hound::WavReader::open(path).unwrap();
    assert_eq!((wav.spec().channels, wav.spec().sample_rate), (2, 8000));
    wav.samples::<i16>().map(Result::unwrap).collect()
}

/// From the end of each of the caller's utterances to the next sound of the agent.
fn waits(samples: &[i16]) -> Vec<i64> {
    let answers = utterances(samples, 1);
    let wait = |end: usize| answers.iter().find(|(begin, _)| *begin >= end).map(|(begin, _)| (*begin - end) as i64);
    utterances(samples, 0).into_iter().map(|(_, end)| wait(end).expect("an answer")).collect()
}

fn number(turn: &Value, name: &str) -> i64 {
    turn["latency"][name].as_i64().unwrap_or_else(|| panic!("{name} in {turn:#}"))
}

async fn agrees(server: &Server, scenario: &str, frame_ms: u64, turns: usize) {
    let mut plan = server.plan(Scenario::load(scenario).unwrap());
    plan.knobs.frame_ms = frame_ms;
    let report = place_call(plan).await;
    assert!(report.ok, "{report:#?}");
    let detail = server.ended_call(&report.call_sid).await;
    let heard = waits(&recording(server, &detail));
    let all = detail["turns"].as_array().unwrap();
    let answers: Vec<&Value> = all.iter().filter(|turn| turn["latency_ms"].is_i64()).collect();
    let stored: Vec<i64> = answers.iter().map(|turn| number(turn, "total_ms")).collect();
    assert_eq!((heard.len(), stored.len()), (turns, turns), "{scenario}: {heard:?} {stored:?} {detail:#}");
    for (turn, (heard, stored)) in answers.iter().zip(heard.iter().zip(&stored)) {
        assert!((heard - stored).abs() <= AGREE_MS, "{scenario}: {heard} ms heard, {stored} ms on record: {turn:#}");
        let steps: i64 =
            ["commit_ms", "first_audio_ms", "sent_ms", "heard_ms"].iter().map(|step| number(turn, step)).sum();
        // Each is cut to whole milliseconds.
        assert!((steps..steps + 4).contains(stored), "{turn:#}");
        let to_sent = turn["latency_ms"].as_i64().unwrap();
        assert!((to_sent - (stored - number(turn, "heard_ms"))).abs() <= 1, "{turn:#}");
        // The sandbox's agents wait for half a second of silence.
        assert!(number(turn, "commit_ms") >= 450, "{turn:#}");
    }
    let others = all.iter().filter(|turn| turn["latency_ms"].is_null());
    assert!(others.into_iter().all(|turn| turn["latency"]["total_ms"].is_null()), "{detail:#}");
}

#[actix_rt::test]
async fn what_is_on_record_is_what_is_heard_in_the_recording() {
    let server = Server::start(Settings::default()).await;
    agrees(&server, "english", 20, 3).await;
}

/// The carrier's documented size of a message, and an answer that the caller cuts off.
#[actix_rt::test]
async fn what_is_on_record_is_what_is_heard_when_the_carrier_sends_in_tenths_of_a_second() {
    let server = Server::start(Settings::default()).await;
    agrees(&server, "order_status", 100, 3).await;
}

#[actix_rt::test]
async fn the_steps_of_every_answer_are_counted() {
    let server = Server::start(Settings::default()).await;
    let report = server.place("short").await;
    assert!(report.ok, "{report:#?}");
    server.ended_call(&report.call_sid).await;
    let answers = server.metric("caly_turn_latency_seconds_count").await;
    assert!(answers >= 1.0);
    assert_eq!(server.metric("caly_turn_step_seconds_count").await, 5.0 * answers);
}

#[actix_rt::test]
async fn many_calls_of_the_sandbox_end_with_the_steps_of_their_answers_as_on_record() {
    let server = Server::start(Settings::default()).await;
    let output = server.cli(&["call", "--scenario", "short", "--count", "2", "--parallel", "2"]).await;
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{shown}");
    let total = shown.lines().find(|line| line.starts_with("in all")).unwrap_or_else(|| panic!("{shown}"));
    let numbers: Vec<u64> = total.split_whitespace().skip(2).map(|word| word.parse().unwrap()).collect();
    let [answers, p50, p95, most] = numbers[..] else { panic!("{total}") };
    assert!(answers >= 2 && (400..5_000).contains(&p50) && p50 <= p95 && p95 <= most, "{total}");
}
