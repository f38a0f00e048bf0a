//! Server-sent events as they come in, in pieces of any size (WHATWG HTML, "event stream interpretation"). Only data is
//! kept: names, ids and pauses mean nothing to a request that waits for its one answer.

/// A line or an event is longer than it may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TooLong;

/// The part of a stream that is no whole event yet.
#[derive(Debug)]
pub(super) struct Events {
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// A carriage return ended the last line: a line feed right after it belongs to it.
    after_return: bool,
    first_line: bool,
    limit: usize,
}

impl Events {
    /// `limit`: most bytes of one event.
    pub(super) fn new(limit: usize) -> Self {
        Self { line: Vec::new(), data: Vec::new(), has_data: false, after_return: false, first_line: true, limit }
    }

    /// Takes a piece; gives the data of each event it completes.
    ///
    /// # Errors
    /// [`TooLong`]; the stream is of no use after it.
    pub(super) fn take(&mut self, piece: &[u8]) -> Result<Vec<String>, TooLong> {
        let mut whole = Vec::new();
        for &byte in piece {
            let after_return = std::mem::take(&mut self.after_return);
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => {
                    self.after_return = byte == b'\r';
                    whole.extend(self.end_line());
                }
                _ if self.line.len() + self.data.len() >= self.limit => return Err(TooLong),
                _ => self.line.push(byte),
            }
        }
        Ok(whole)
    }

    fn end_line(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        let mark = std::mem::take(&mut self.first_line).then(|| line.strip_prefix(b"\xef\xbb\xbf")).flatten();
        let line = mark.unwrap_or(&line);
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            return std::mem::take(&mut self.has_data).then(|| String::from_utf8_lossy(&data).into_owned());
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, value) = line.split_at(colon.unwrap_or(line.len()));
        if name == b"data" {
            let value = value.strip_prefix(b":").unwrap_or(value);
            if std::mem::replace(&mut self.has_data, true) {
                self.data.push(b'\n');
            }
            self.data.extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    /// Streams and the data of their events.
    const STREAMS: &[(&str, &[&str])] = &[
        ("data: one\n\n", &["one"]),
        ("data:one\n\ndata:  two\n\n", &["one", " two"]),
        ("event: message\nid: 7\nretry: 10\ndata: {\"a\":1}\n\n", &["{\"a\":1}"]),
        ("data: first\ndata: second\n\n", &["first\nsecond"]),
        ("data: first\r\ndata: second\r\n\r\n", &["first\nsecond"]),
        ("data\n\n", &[""]),
        ("data: \n\n", &[""]),
        (": a comment\n\n\n\ndata: x\n\n", &["x"]),
        ("data: x\r\n\r\ndata: y\r\rdata: z\n\r\n", &["x", "y", "z"]),
        ("\u{feff}data: marked\n\ndata: \u{feff}not\n\n", &["marked", "\u{feff}not"]),
        ("database: no\n\ndata : no\n\nData: no\n\n", &[]),
        ("data: \u{906}\u{930}\u{94d}\u{921}\u{930} 1042\n\n", &["\u{906}\u{930}\u{94d}\u{921}\u{930} 1042"]),
        ("data: half of it\n", &[]),
        ("id: only\n\ndata: x: y: z\n\n", &["x: y: z"]),
    ];

    #[test]
    fn an_event_is_the_same_wherever_its_pieces_end() {
        for (stream, expected) in STREAMS {
            let bytes = stream.as_bytes();
            for first in 0..=bytes.len() {
                for second in first..=bytes.len() {
                    let mut events = Events::new(1000);
                    let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                    let heard: Vec<String> = pieces.iter().flat_map(|piece| events.take(piece).unwrap()).collect();
                    assert_eq!(heard, *expected, "{stream:?} cut at {first} and {second}");
                }
            }
            let mut events = Events::new(1000);
            let heard: Vec<String> = bytes.chunks(1).flat_map(|byte| events.take(byte).unwrap()).collect();
            assert_eq!(heard, *expected, "{stream:?} by bytes");
        }
    }

    #[test]
    fn what_never_ends_is_given_up() {
        let endless_line = "data: ".to_owned() + &"x".repeat(100);
        let endless_event = "data: xxxx\n".repeat(20);
        for stream in [endless_line, endless_event] {
            let mut events = Events::new(64);
            let taken: Result<Vec<_>, _> = stream.as_bytes().chunks(7).map(|piece| events.take(piece)).collect();
            assert_eq!(taken, Err(TooLong), "{stream}");
        }
        let mut events = Events::new(64);
        for _ in 0..100 {
            assert_eq!(events.take(b"data: as long as may be\n\n"), Ok(vec!["as long as may be".to_owned()]));
        }
    }
}
