//! A guard on the bytes of a media socket: it follows WebSocket frame boundaries and ends the stream at the first header
//! that breaks a limit, before any of the declared payload is taken in.
//!
//! Owns the limits of RFC 6455 framing as a caller may use it. Knows no message: the frames go through untouched to
//! actix's own codec, which checks a frame's size only after all of it has arrived. The verdict lies in a shared cell, so
//! that the socket can say why (1009, 1008, 1002) before it closes.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking"))]

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::error::PayloadError;
use bytes::Bytes;
use futures_util::Stream;

/// Largest frame, and largest message of several. Exotel's largest legal chunk (100 kB) is 133 kB of base64.
pub const MESSAGE_BYTES_MAX: u64 = 256 * 1024;
/// Most frames of one message.
pub const FRAGMENTS_MAX: u32 = 64;
/// RFC 6455 §5.5.
const CONTROL_BYTES_MAX: u64 = 125;
/// Longest header: two bytes, eight of length, four of mask.
const HEADER_BYTES_MAX: usize = 14;

/// Which limit was broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GuardVerdict {
    /// A frame or a message declares more than [`MESSAGE_BYTES_MAX`].
    TooBig,
    /// A message has more than [`FRAGMENTS_MAX`] frames.
    TooManyFragments,
    /// Reserved bits or opcodes, no mask, a broken control frame, or fragments out of order.
    Protocol,
    /// The reason of a close frame is not UTF-8.
    NotUtf8,
}

impl GuardVerdict {
    /// The WebSocket close code that says so.
    #[must_use]
    pub fn close_code(self) -> u16 {
        match self {
            Self::TooBig => 1009,
            Self::TooManyFragments => 1008,
            Self::Protocol => 1002,
            Self::NotUtf8 => 1007,
        }
    }

    /// For the close frame and the log.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::TooBig => "message too big",
            Self::TooManyFragments => "too many fragments",
            Self::Protocol => "broken frame",
            Self::NotUtf8 => "text is not UTF-8",
        }
    }
}

/// Where a guard leaves its verdict; `None` while all is well.
pub type SharedVerdict = Rc<Cell<Option<GuardVerdict>>>;

/// Follows frame headers through chunks of bytes.
#[derive(Default)]
struct Frames {
    header: [u8; HEADER_BYTES_MAX],
    header_bytes: usize,
    /// Payload of the current frame still to come.
    payload_left: u64,
    /// Frames and bytes of the message being continued.
    fragments: u32,
    message_bytes: u64,
    /// What has arrived of a close frame's payload: the one payload that is looked into, since actix takes any.
    closing: Option<Closing>,
}

/// A close frame whose payload is still arriving.
#[derive(Default)]
struct Closing {
    mask: [u8; 4],
    bytes: Vec<u8>,
}

impl Closing {
    fn take(&mut self, masked: &[u8]) {
        for byte in masked {
            self.bytes.push(byte ^ self.mask[self.bytes.len() % 4]);
        }
    }

    /// RFC 6455 §5.5.1 and §7.4: nothing, or a code that may be sent and a reason in UTF-8.
    fn judge(&self) -> Result<(), GuardVerdict> {
        let (code, reason) = match self.bytes.as_slice() {
            [] => return Ok(()),
            [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
            [_] => return Err(GuardVerdict::Protocol),
        };
        if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
            return Err(GuardVerdict::Protocol);
        }
        std::str::from_utf8(reason).map(drop).map_err(|_| GuardVerdict::NotUtf8)
    }
}

impl Frames {
    /// Takes bytes; on a violation gives back how many of them stand before the frame that breaks a limit.
    fn take(&mut self, bytes: &[u8]) -> Result<(), (usize, GuardVerdict)> {
        let mut at = 0;
        let mut frame_at = 0;
        while at < bytes.len() {
            let left = bytes.len() - at;
            if self.payload_left > 0 {
                let skipped = usize::try_from(self.payload_left).unwrap_or(left).min(left);
                self.payload_left -= skipped as u64;
                self.look_into_close(&bytes[at..at + skipped]).map_err(|verdict| (frame_at, verdict))?;
                at += skipped;
                frame_at = if self.payload_left == 0 { at } else { frame_at };
                continue;
            }
            self.header[self.header_bytes] = bytes[at];
            self.header_bytes += 1;
            at += 1;
            self.header_byte().map_err(|verdict| (frame_at, verdict))?;
            if self.header_bytes == 0 && self.payload_left == 0 {
                frame_at = at;
            }
        }
        Ok(())
    }

    fn look_into_close(&mut self, payload: &[u8]) -> Result<(), GuardVerdict> {
        let Some(closing) = &mut self.closing else { return Ok(()) };
        closing.take(payload);
        if self.payload_left > 0 { Ok(()) } else { self.closing.take().map_or(Ok(()), |closing| closing.judge()) }
    }

    /// Judges the header as far as it is known; a complete one is accounted for and forgotten.
    fn header_byte(&mut self) -> Result<(), GuardVerdict> {
        let (first, second) = (self.header[0], self.header[1]);
        if self.header_bytes == 1 {
            return check_first(first, self.fragments > 0);
        }
        let is_control = first & 0x08 != 0;
        if second & 0x80 == 0 {
            return Err(GuardVerdict::Protocol);
        }
        let extra = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if is_control && extra > 0 {
            return Err(GuardVerdict::Protocol);
        }
        if self.header_bytes < 2 + extra {
            return Ok(());
        }
        let declared = match extra {
            0 => u64::from(second & 0x7f),
            _ => self.header[2..2 + extra].iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)),
        };
        // Judged before the mask arrives: a peer may declare much and then send nothing.
        self.check_size(declared, is_control)?;
        if self.header_bytes < 2 + extra + 4 {
            return Ok(());
        }
        self.header_bytes = 0;
        self.payload_left = declared;
        if first & 0x0f == 8 && declared > 0 {
            // A control frame has no longer length, so its mask stands right after the second byte.
            let mask = [self.header[2], self.header[3], self.header[4], self.header[5]];
            self.closing = Some(Closing { mask, bytes: Vec::with_capacity(CONTROL_BYTES_MAX as usize) });
        }
        self.account(first, declared, is_control)
    }

    fn check_size(&self, declared: u64, is_control: bool) -> Result<(), GuardVerdict> {
        if is_control && declared > CONTROL_BYTES_MAX {
            return Err(GuardVerdict::Protocol);
        }
        let before = if is_control { 0 } else { self.message_bytes };
        match before.checked_add(declared) {
            Some(sum) if sum <= MESSAGE_BYTES_MAX => Ok(()),
            _ => Err(GuardVerdict::TooBig),
        }
    }

    fn account(&mut self, first: u8, declared: u64, is_control: bool) -> Result<(), GuardVerdict> {
        if is_control {
            return Ok(());
        }
        if first & 0x80 != 0 {
            (self.fragments, self.message_bytes) = (0, 0);
            return Ok(());
        }
        self.fragments += 1;
        self.message_bytes += declared;
        // The last frame of a message is not counted here, so this many unfinished ones are already one too many.
        if self.fragments >= FRAGMENTS_MAX { Err(GuardVerdict::TooManyFragments) } else { Ok(()) }
    }
}

/// RFC 6455 §5.2: no extension is negotiated, so reserved bits and opcodes are errors; control frames are never split;
/// a continuation needs something to continue.
fn check_first(first: u8, continues: bool) -> Result<(), GuardVerdict> {
    let (is_final, reserved, opcode) = (first & 0x80 != 0, first & 0x70, first & 0x0f);
    let fits = match opcode {
        0 => continues,
        1 | 2 => !continues,
        8..=10 => is_final,
        _ => false,
    };
    if fits && reserved == 0 { Ok(()) } else { Err(GuardVerdict::Protocol) }
}

/// The guarded stream: yields the inner stream's bytes up to the first broken limit, then `Overflow`, then nothing.
pub struct Guard<S> {
    inner: S,
    frames: Frames,
    verdict: SharedVerdict,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The good bytes are out; the error comes next.
    Broken,
    Ended,
}

impl<S> Guard<S> {
    /// Guards a stream; the socket keeps the other handle of the verdict.
    #[must_use]
    pub fn new(inner: S) -> (Self, SharedVerdict) {
        let verdict = SharedVerdict::default();
        (Self { inner, frames: Frames::default(), verdict: Rc::clone(&verdict), state: State::Open }, verdict)
    }
}

impl<S> Stream for Guard<S>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        match this.state {
            State::Open => {}
            State::Broken => {
                this.state = State::Ended;
                return Poll::Ready(Some(Err(PayloadError::Overflow)));
            }
            State::Ended => return Poll::Ready(None),
        }
        let Some(item) = ready!(Pin::new(&mut this.inner).poll_next(cx)) else {
            this.state = State::Ended;
            return Poll::Ready(None);
        };
        let bytes = item?;
        let Err((good, verdict)) = this.frames.take(&bytes) else { return Poll::Ready(Some(Ok(bytes))) };
        this.verdict.set(Some(verdict));
        if good == 0 {
            this.state = State::Ended;
            return Poll::Ready(Some(Err(PayloadError::Overflow)));
        }
        this.state = State::Broken;
        Poll::Ready(Some(Ok(bytes.slice(..good))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{FutureExt, StreamExt, stream};

    /// A frame header as a client sends it, masked with zeros.
    fn header(first: u8, length: u64) -> Vec<u8> {
        let mut bytes = vec![first];
        match length {
            0..=125 => bytes.push(0x80 | u8::try_from(length).unwrap()),
            126..=65_535 => {
                bytes.push(0x80 | 126);
                bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                bytes.push(0x80 | 127);
                bytes.extend(length.to_be_bytes());
            }
        }
        bytes.extend([0; 4]);
        bytes
    }

    fn frame(first: u8, length: usize) -> Vec<u8> {
        let mut bytes = header(first, length as u64);
        bytes.extend(vec![0; length]);
        bytes
    }

    /// What comes through, whether an error ended it, and the verdict.
    fn guarded(chunks: Vec<Vec<u8>>) -> (Vec<u8>, bool, Option<GuardVerdict>) {
        let inner = stream::iter(chunks.into_iter().map(|chunk| Ok(Bytes::from(chunk))));
        let (guard, verdict) = Guard::new(inner);
        let items: Vec<_> = guard.collect().now_or_never().unwrap();
        let failed = items.iter().any(Result::is_err);
        let through = items.into_iter().filter_map(Result::ok).flatten().collect();
        (through, failed, verdict.get())
    }

    #[test]
    fn lawful_frames_pass_whole_at_every_split() {
        let bytes = [
            frame(0x81, 5),
            frame(0x89, 125),
            frame(0x81, 200),
            frame(0x01, 3),
            frame(0x8a, 0),
            frame(0x00, 0),
            frame(0x80, 4),
            frame(0x82, 70),
            [header(0x88, 5), [0x03, 0xe8, b'b', b'y', b'e'].to_vec()].concat(),
        ]
        .concat();
        for at in 0..=bytes.len() {
            let (through, failed, verdict) = guarded(vec![bytes[..at].to_vec(), bytes[at..].to_vec()]);
            assert_eq!((through == bytes, failed, verdict), (true, false, None), "split at {at}");
        }
        let one_by_one = bytes.iter().map(|&byte| vec![byte]).collect();
        assert_eq!(guarded(one_by_one), (bytes, false, None));
    }

    #[test]
    fn a_broken_limit_ends_the_stream_with_its_verdict_at_every_split() {
        let max = usize::try_from(MESSAGE_BYTES_MAX).unwrap();
        let half = frame(0x01, max / 2);
        let fragments = [frame(0x01, 1), frame(0x00, 0).repeat(70)].concat();
        let close = |payload: &[u8]| [header(0x88, payload.len() as u64), payload.to_vec()].concat();
        let table: [(Vec<u8>, GuardVerdict); 21] = [
            (header(0x81, MESSAGE_BYTES_MAX + 1), GuardVerdict::TooBig),
            (header(0x81, 1 << 30), GuardVerdict::TooBig),
            (header(0x81, u64::MAX), GuardVerdict::TooBig),
            (header(0x81, MESSAGE_BYTES_MAX + 1)[..10].to_vec(), GuardVerdict::TooBig),
            ([half, header(0x00, MESSAGE_BYTES_MAX / 2 + 1)].concat(), GuardVerdict::TooBig),
            (fragments, GuardVerdict::TooManyFragments),
            (vec![0x81, 0x05], GuardVerdict::Protocol),
            (header(0xc1, 1), GuardVerdict::Protocol),
            (header(0x83, 1), GuardVerdict::Protocol),
            (header(0x8b, 1), GuardVerdict::Protocol),
            (header(0x80, 1), GuardVerdict::Protocol),
            ([frame(0x01, 1), frame(0x81, 1)].concat(), GuardVerdict::Protocol),
            (header(0x09, 1), GuardVerdict::Protocol),
            (header(0x89, 126), GuardVerdict::Protocol),
            (close(b"x"), GuardVerdict::Protocol),
            (close(&999_u16.to_be_bytes()), GuardVerdict::Protocol),
            (close(&1005_u16.to_be_bytes()), GuardVerdict::Protocol),
            (close(&1006_u16.to_be_bytes()), GuardVerdict::Protocol),
            (close(&2999_u16.to_be_bytes()), GuardVerdict::Protocol),
            (close(&5000_u16.to_be_bytes()), GuardVerdict::Protocol),
            (close(&[0x03, 0xe8, 0xff, 0xfe]), GuardVerdict::NotUtf8),
        ];
        let good = frame(0x81, 9);
        for (row, (bad, expected)) in table.into_iter().enumerate() {
            let bytes = [good.clone(), bad].concat();
            for at in 0..bytes.len().min(200) {
                let (through, failed, verdict) =
                    guarded(vec![bytes[..at].to_vec(), bytes[at..].to_vec(), vec![0; 100]]);
                assert_eq!((failed, verdict), (true, Some(expected)), "row {row} split at {at}");
                assert!(through.starts_with(&good), "row {row}: the good frame before it was lost at split {at}");
            }
        }
    }

    #[test]
    fn the_largest_lawful_message_passes_whole_or_in_the_most_fragments() {
        let max = usize::try_from(MESSAGE_BYTES_MAX).unwrap();
        let whole = frame(0x81, max);
        assert_eq!(guarded(vec![whole.clone()]), (whole, false, None));
        let piece = max / 64;
        let split = [frame(0x01, piece), frame(0x00, piece).repeat(62), frame(0x80, piece)].concat();
        assert!(!guarded(vec![split.clone(), split.clone()]).1);
        let one_more = [frame(0x01, piece), frame(0x00, piece).repeat(62), frame(0x80, piece + 1)].concat();
        assert_eq!(guarded(vec![one_more]).2, Some(GuardVerdict::TooBig));
    }

    #[test]
    fn nothing_of_an_oversized_frame_is_passed_on() {
        let bad = [header(0x81, 1 << 40), vec![7; 5000]].concat();
        let (through, failed, _) = guarded(vec![bad, vec![7; 5000]]);
        assert_eq!((through.len(), failed), (0, true));
    }

    #[test]
    fn an_error_of_the_inner_stream_passes_through() {
        let (guard, verdict) = Guard::new(stream::iter([Err(PayloadError::EncodingCorrupted)]));
        let items: Vec<_> = guard.collect().now_or_never().unwrap();
        assert!(matches!(items[..], [Err(PayloadError::EncodingCorrupted)]));
        assert_eq!(verdict.get(), None);
    }

    #[test]
    fn every_verdict_has_its_close_code() {
        use GuardVerdict::{NotUtf8, Protocol, TooBig, TooManyFragments};
        let codes = [TooBig, TooManyFragments, Protocol, NotUtf8].map(GuardVerdict::close_code);
        assert_eq!(codes, [1009, 1008, 1002, 1007]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_in_any_chunks_are_taken_without_panic(chunks in proptest::collection::vec(proptest::collection::vec(0_u8.., 0..40), 0..20)) {
            let _ = guarded(chunks);
        }
    }
}
