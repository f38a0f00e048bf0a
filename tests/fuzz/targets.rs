//! What hostile bytes may never do to the program: one function a door, each the product's own code and its invariants.
//! Run over the corpora by `tests/fuzz.rs` on every test run, and by libFuzzer with `make fuzz`.

use std::io::Write as _;

use bytes::Bytes;
use caly::carriers::exotel::media::{Encoder, MediaMessage, decode};
use caly::carriers::exotel::session::Session;
use caly::carriers::exotel::webhook::{self, FIELDS_MAX, RecordingHosts, VALUE_BYTES_MAX};
use caly::config::{Config, LoadArgs};
use caly::http::guard::Guard;
use caly_actors::ports::CarrierEvent;
use futures_util::{FutureExt as _, StreamExt as _, stream};

/// A door's name, as its corpus is called, and its function.
pub type Target = (&'static str, fn(&[u8]));
pub const TARGETS: [Target; 5] = [
    ("media", media),
    ("webhooks", webhooks),
    ("engine", engine),
    ("configuration", configuration),
    ("frames", frames),
];

/// Keys whose values are never shown.
const SECRETS: [&str; 4] = ["openai.key", "exotel.api_key", "exotel.api_token", "security.token_secret"];

/// Audio that one message may become: itself, what was kept before `start`, and a second of silence.
const AUDIO_BYTES_MAX: usize = 256 * 1024 + 48_000;

fn lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.split(|byte| *byte == b'\n')
}

/// Text messages of a media socket, one a line.
pub fn media(data: &[u8]) {
    let mut session = Session::new(None);
    let mut events = Vec::new();
    for line in lines(data) {
        let Ok(text) = std::str::from_utf8(line) else { continue };
        let stopped = session.is_stopped();
        events.clear();
        let ended = session.text(text, &mut events).is_err();
        assert!(!stopped || events.is_empty(), "{events:?} after stop");
        let mut audio = 0;
        for event in &events {
            match event {
                CarrierEvent::Audio(pcm) => {
                    assert!(pcm.bytes.len() % 2 == 0 && matches!(pcm.rate, 8000 | 16_000 | 24_000), "{pcm:?}");
                    audio += pcm.bytes.len();
                    sent_audio_is_read_back(pcm.rate, &pcm.bytes);
                }
                CarrierEvent::Mark(name) => {
                    let mark = Encoder::new("s", 8000).mark(name);
                    assert!(matches!(decode(&mark), Ok(MediaMessage::Mark(back)) if back == *name), "{mark}");
                }
                CarrierEvent::Dtmf(key) => assert!("0123456789*#ABCD".contains(*key), "{key}"),
                _ => {}
            }
        }
        assert!(audio <= text.len() + AUDIO_BYTES_MAX, "{audio} bytes of audio from {} of text", text.len());
        if ended {
            return;
        }
    }
}

fn sent_audio_is_read_back(rate: u32, pcm: &[u8]) {
    let message = Encoder::new("s", rate).media(pcm);
    let mut session = Session::new(None);
    let start = format!(
        r#"{{"event":"start","stream_sid":"s","start":{{"stream_sid":"s","call_sid":"c","media_format":{{"sample_rate":"{rate}"}}}}}}"#
    );
    let mut events = Vec::new();
    assert!(session.text(&start, &mut events).is_ok() && session.text(&message, &mut events).is_ok());
    let back =
        events.iter().find_map(|event| if let CarrierEvent::Audio(pcm) = event { Some(&pcm.bytes) } else { None });
    assert!(back.map_or(pcm.is_empty(), |back| **back == *pcm), "{} bytes are read back otherwise", pcm.len());
}

/// A query, a content type and a body, each on a line; the body is the rest.
pub fn webhooks(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let query = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let content_type = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let body = parts.next().unwrap_or_default();
    let content_type = Some(&*content_type).filter(|text| !text.is_empty());
    let Ok(params) = webhook::parse(&query, content_type, body) else { return };
    assert!(params.iter().count() <= FIELDS_MAX, "{} fields", params.iter().count());
    assert!(params.iter().all(|(_, value)| value.len() <= VALUE_BYTES_MAX), "a long value");
    let hosts = RecordingHosts::new(&["https://recordings.exotel.com/"]);
    let _ = webhook::CallStart::read(&params);
    let _ = webhook::Connect::read(&params);
    if let Ok(hosts) = hosts {
        let _ = webhook::Passthru::read(&params, &hosts);
        let _ = webhook::Status::read(&params, &hosts, None);
        let _ = webhook::Recording::read(&params, &hosts);
    }
    // Written plainly, the fields are the same; those that hold JSON texts have been taken apart already.
    let plain = |text: &str| !text.trim_start().starts_with(['{', '[']);
    if params.iter().all(|(name, value)| plain(value) && !name.is_empty()) {
        let fields: Vec<_> = params.iter().collect();
        let form: String = form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
        let back = webhook::parse("", Some("application/x-www-form-urlencoded"), form.as_bytes());
        let same = back.as_ref().is_ok_and(|back| back.iter().eq(fields.iter().copied()));
        assert!(same, "{fields:?} came back as {back:?}");
    }
}

/// Text frames of a speech service, one a line.
pub fn engine(data: &[u8]) {
    let events = caly::engines::openai::events_of(lines(data));
    let count = lines(data).count();
    // A response that is done may tell of every tool call in it.
    assert!(events.len() <= 2 * count + data.len() / 16, "{} events from {count} frames", events.len());
}

/// A configuration file, a line `---`, and environment variables, one `NAME=value` a line.
pub fn configuration(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (file, env) = text.split_once("\n---\n").unwrap_or((&text, ""));
    let env: Vec<(String, String)> =
        env.lines().filter_map(|line| line.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    let Ok(mut on_disk) = tempfile::NamedTempFile::new() else { return };
    if on_disk.write_all(file.as_bytes()).is_err() {
        return;
    }
    let args = LoadArgs { file: Some(on_disk.path().to_owned()), overrides: Vec::new() };
    match Config::load_from(&args, &env) {
        Ok(config) => {
            let again = Config::load_from(&args, &env).map(|config| config.describe().to_vec());
            assert!(again.is_ok_and(|again| again == config.describe()), "read twice, it differs");
            for line in config.describe() {
                let secret = SECRETS.contains(&line.key.as_str());
                assert!(!secret || line.value.len() < 32 || line.value.contains('*'), "{line:?}");
            }
            let known = |key: &str| config.describe().iter().any(|line| line.key == key);
            assert!(SECRETS.iter().all(|key| known(key)), "a secret that does not exist cannot be looked at");
        }
        Err(errors) => {
            let shown = errors.to_string();
            assert!(
                !shown.is_empty() && shown.len() <= 4096 + 64 * (data.len() + 64),
                "{} bytes of errors",
                shown.len()
            );
        }
    }
}

/// The first byte is the size of the pieces that the rest, bytes of a WebSocket client, comes in.
pub fn frames(data: &[u8]) {
    let Some((size, bytes)) = data.split_first() else { return };
    let (passed, verdict) = guarded(bytes, usize::from(*size).max(1));
    assert!(bytes.starts_with(&passed), "bytes were changed");
    assert!(verdict || passed == bytes, "bytes were lost without a verdict");
    assert_eq!(verdict, guarded(bytes, 1).1, "how the bytes were cut up made a difference");
}

fn guarded(bytes: &[u8], size: usize) -> (Vec<u8>, bool) {
    let pieces: Vec<_> = bytes.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let (guard, verdict) = Guard::new(stream::iter(pieces));
    let passed = guard.collect::<Vec<_>>().now_or_never().unwrap_or_default();
    let passed = passed.into_iter().filter_map(Result::ok).flatten().collect();
    (passed, verdict.get().is_some())
}
