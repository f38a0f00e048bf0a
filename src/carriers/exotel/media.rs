//! One message of Exotel's media stream, in or out: text on one side, plain values on the other.
//!
//! Owns the meaning of each message and the base64 around audio. Keeps no state of a stream (`session` does) and knows no
//! socket. Sizes: audio is PCM16 little-endian mono; a 20 ms frame at 8 kHz is 320 bytes, 578 bytes of JSON.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose::STANDARD};
use bytes::Bytes;
use caly_actors::domain::{CarrierCallId, Party};

use super::numbers;
pub use super::wire::Number;
use super::wire::{Envelope, Media, Start, Text};

/// Sample rate of a stream that does not say.
pub const RATE_DEFAULT: u32 = 8000;
/// Rates Exotel offers.
pub const RATES: [u32; 3] = [8000, 16_000, 24_000];
/// Longest id or name kept, in bytes; Exotel's own ids have 32.
const ID_BYTES_MAX: usize = 128;
/// Longest value of a custom parameter kept; Exotel allows 256 characters for all of them.
const PARAMETER_CHARS_MAX: usize = 256;

/// Accepts missing padding and stray last bits; the alphabet is the standard one.
const TOLERANT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What is known of a stream from its `start`. `Debug` masks the numbers.
#[derive(Clone, PartialEq, Debug)]
pub struct StartFacts {
    /// Echoed on everything sent back; empty when Exotel left it out.
    pub stream: Arc<str>,
    /// The call, if given and fit to be an id.
    pub call_sid: Option<CarrierCallId>,
    /// The account's slug.
    pub account: Option<Arc<str>>,
    /// The person at the other end.
    pub caller: Party,
    /// The client's number.
    pub called: Party,
    /// Up to three pairs from the applet's URL.
    pub custom_parameters: Vec<(String, String)>,
    /// Samples a second, one of [`RATES`].
    pub rate: u32,
}

/// A piece of the caller's audio.
#[derive(Clone, PartialEq, Eq)]
pub struct MediaFrame<'a> {
    /// The stream it claims to belong to.
    pub stream: Option<std::borrow::Cow<'a, str>>,
    /// Number among all messages.
    pub sequence: Number,
    /// Number among media messages, from 1.
    pub chunk: Number,
    /// Milliseconds since the stream began.
    pub timestamp: Number,
    /// Whole samples; empty when the message carried none.
    pub pcm: Bytes,
    /// A last odd byte was cut off.
    pub odd: bool,
}

impl fmt::Debug for MediaFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MediaFrame({:?}, {} B)", self.chunk, self.pcm.len())
    }
}

/// One message from Exotel.
#[derive(Clone, PartialEq, Debug)]
pub enum MediaMessage<'a> {
    /// The socket is up.
    Connected,
    /// The stream begins.
    Start(Box<StartFacts>),
    /// Caller audio.
    Media(MediaFrame<'a>),
    /// A key: `0-9 * # A-D`.
    Dtmf(char),
    /// Everything before this mark has been played.
    Mark(Arc<str>),
    /// The stream is over.
    Stop {
        /// The call is over too.
        call_ended: bool,
    },
    /// Exotel asks to forget audio not yet sent (its own bridge knows this; never expected).
    Clear,
    /// An event this carrier does not have.
    Ignored,
}

/// Why a message was not understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MediaFault {
    /// No JSON object with an `event`.
    #[error("not a message of the media protocol")]
    Malformed,
    /// Audio whose base64 cannot be read.
    #[error("payload is not base64")]
    BadPayload,
    /// A key press without a key.
    #[error("not a telephone key")]
    BadDigit,
    /// A stream at a rate that is none of [`RATES`].
    #[error("unsupported sample rate")]
    UnsupportedRate,
}

/// Reads one text message in one pass; the audio is the only copy made of a `media` message.
///
/// # Errors
/// See [`MediaFault`]; every fault but `UnsupportedRate` concerns this message alone.
pub fn decode(text: &str) -> Result<MediaMessage<'_>, MediaFault> {
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|_| MediaFault::Malformed)?;
    let Some(event) = envelope.event.get() else { return Err(MediaFault::Malformed) };
    match event {
        "media" => media(envelope.stream, envelope.sequence, envelope.media),
        "connected" => Ok(MediaMessage::Connected),
        "start" => start(&envelope.stream, &envelope.start),
        "dtmf" => digit(envelope.dtmf.digit.get()).map(MediaMessage::Dtmf).ok_or(MediaFault::BadDigit),
        "mark" => {
            let name = envelope.mark.name.get().filter(|name| name.len() <= ID_BYTES_MAX);
            name.map(|name| MediaMessage::Mark(name.into())).ok_or(MediaFault::Malformed)
        }
        "stop" => {
            // `callended` by the documents, `caller_hangup` and the like by samples.
            let reason = envelope.stop.reason.get().unwrap_or("").to_ascii_lowercase().replace(['_', '-', ' '], "");
            let call_ended = ["callended", "hangup", "hungup"].iter().any(|word| reason.contains(word));
            Ok(MediaMessage::Stop { call_ended })
        }
        "clear" => Ok(MediaMessage::Clear),
        _ => Ok(MediaMessage::Ignored),
    }
}

fn media<'a>(stream: Text<'a>, sequence: Number, media: Media<'a>) -> Result<MediaMessage<'a>, MediaFault> {
    let payload = match &media.payload {
        Text::Quoted(payload) => payload.as_ref(),
        Text::Absent if media.present => "",
        Text::Absent | Text::Bare(_) => return Err(MediaFault::BadPayload),
    };
    let mut pcm = decode_base64(payload).ok_or(MediaFault::BadPayload)?;
    let odd = pcm.len() % 2 == 1;
    if odd {
        pcm.pop();
    }
    let sequence = if sequence == Number::Absent { media.sequence } else { sequence };
    let stream = match stream {
        Text::Quoted(text) if !text.is_empty() => Some(text),
        Text::Bare(text) => Some(text.into()),
        Text::Absent | Text::Quoted(_) => None,
    };
    Ok(MediaMessage::Media(MediaFrame {
        stream,
        sequence,
        chunk: media.chunk,
        timestamp: media.timestamp,
        pcm: pcm.into(),
        odd,
    }))
}

/// Standard, unpadded and URL-safe base64, with or without line breaks. The common case decodes in one go.
fn decode_base64(payload: &str) -> Option<Vec<u8>> {
    if let Ok(bytes) = TOLERANT.decode(payload) {
        return Some(bytes);
    }
    let standard: String = payload
        .chars()
        .filter(|c| !c.is_ascii_whitespace())
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    TOLERANT.decode(standard).ok()
}

fn digit(text: Option<&str>) -> Option<char> {
    let mut chars = text?.trim().chars();
    let key = chars.next()?.to_ascii_uppercase();
    (chars.next().is_none() && matches!(key, '0'..='9' | '*' | '#' | 'A'..='D')).then_some(key)
}

fn start<'a>(stream: &Text<'a>, start: &Start<'a>) -> Result<MediaMessage<'a>, MediaFault> {
    let stream = stream.get().or(start.stream.get()).unwrap_or("");
    let fits = stream.len() <= ID_BYTES_MAX && !stream.chars().any(char::is_control);
    if !start.present || !fits {
        return Err(MediaFault::Malformed);
    }
    let custom_parameters = start.custom_parameters.0.iter().filter_map(|(name, value)| {
        let cut = |text: &str| text.chars().take(PARAMETER_CHARS_MAX).collect::<String>();
        Some((cut(name), cut(value.get()?)))
    });
    Ok(MediaMessage::Start(Box::new(StartFacts {
        stream: stream.into(),
        call_sid: start.call.get().and_then(|text| CarrierCallId::parse(text).ok()),
        account: start.account.get().filter(|text| text.len() <= ID_BYTES_MAX).map(Into::into),
        caller: numbers::party(start.from.get().unwrap_or("")),
        called: numbers::party(start.to.get().unwrap_or("")),
        custom_parameters: custom_parameters.collect(),
        rate: rate(start.format.rate.get())?,
    })))
}

/// `8000`, `"8000"`, `"8000Hz"`, `"8000.0"` and `"8 kHz"` are 8000; absent is [`RATE_DEFAULT`].
fn rate(text: Option<&str>) -> Result<u32, MediaFault> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(RATE_DEFAULT) };
    // A sign would vanish with the other letters and turn nonsense into a rate.
    if text.contains('-') {
        return Err(MediaFault::UnsupportedRate);
    }
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    let digits: String = whole.chars().filter(char::is_ascii_digit).collect();
    let value: u32 = digits.parse().map_err(|_| MediaFault::UnsupportedRate)?;
    let value = if text.to_ascii_lowercase().contains("khz") { value.saturating_mul(1000) } else { value };
    RATES.contains(&value).then_some(value).ok_or(MediaFault::UnsupportedRate)
}

/// Writes messages to Exotel for one stream: snake_case keys, numbers as texts.
pub struct Encoder {
    /// Everything before the number of a `media` message.
    media_head: String,
    /// The stream's id as JSON, quotes included.
    stream: String,
    bytes_per_second: u64,
    sequence: u64,
    chunk: u64,
    bytes_sent: u64,
}

impl Encoder {
    /// For the stream a `start` named, at its rate.
    #[must_use]
    pub fn new(stream: &str, rate: u32) -> Self {
        let stream = json_text(stream);
        Self {
            media_head: format!(r#"{{"event":"media","stream_sid":{stream},"sequence_number":""#),
            stream,
            bytes_per_second: u64::from(rate.max(1)) * 2,
            sequence: 0,
            chunk: 0,
            bytes_sent: 0,
        }
    }

    /// Audio to play; should be a multiple of 320 bytes and at most 100 kB. Its timestamp is where it lies in all the
    /// audio sent, in ms.
    pub fn media(&mut self, pcm: &[u8]) -> String {
        use fmt::Write as _;
        self.sequence += 1;
        self.chunk += 1;
        let timestamp_ms = self.bytes_sent * 1000 / self.bytes_per_second;
        self.bytes_sent += pcm.len() as u64;
        let mut text = String::with_capacity(self.media_head.len() + 96 + pcm.len().div_ceil(3) * 4);
        text.push_str(&self.media_head);
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            r#"{}","media":{{"chunk":"{}","timestamp":"{timestamp_ms}","payload":""#,
            self.sequence, self.chunk
        );
        STANDARD.encode_string(pcm, &mut text);
        text.push_str("\"}}");
        text
    }

    /// Asks to be told when all audio sent so far has been played.
    pub fn mark(&mut self, name: &str) -> String {
        self.sequence += 1;
        format!(
            r#"{{"event":"mark","stream_sid":{},"sequence_number":"{}","mark":{{"name":{}}}}}"#,
            self.stream,
            self.sequence,
            json_text(name)
        )
    }

    /// Forgets audio that has not begun to play.
    #[must_use]
    pub fn clear(&self) -> String {
        format!(r#"{{"event":"clear","stream_sid":{}}}"#, self.stream)
    }
}

fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
#[path = "media_tests.rs"]
mod tests;
