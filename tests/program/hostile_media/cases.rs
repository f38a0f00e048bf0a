//! The table: what is sent on an open media socket, and what must come of it.

#[path = "ends.rs"]
mod ends;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::line::{media_message, start_message};
use crate::raw::{frame, header, text};

/// What must come of a case.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    /// A ping is answered afterwards, and the stream ends as any other.
    GoesOn,
    /// A close frame with one of these codes (1005 for none), then the end of the connection.
    Closes(&'static [u16]),
    /// Either is right.
    GoesOnOrCloses(u16),
}

/// How the bytes are sent.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    AtOnce,
    ByteByByte,
    ThenHalfClose,
    ThenReset,
}

#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    pub started: bool,
    pub bytes: Vec<u8>,
    pub way: Way,
    pub outcome: Outcome,
    /// Longest wait for the outcome.
    pub seconds: u64,
}

const GOES_ON: Outcome = Outcome::GoesOn;
const PROTOCOL: Outcome = Outcome::Closes(&[1002]);
const NOT_UTF8: Outcome = Outcome::Closes(&[1007]);
const TOO_BIG: Outcome = Outcome::Closes(&[1009]);
const TOO_MANY: Outcome = Outcome::Closes(&[1008]);
const WRONG_RATE: Outcome = Outcome::Closes(&[4422]);

fn case(name: impl Into<String>, bytes: impl Into<Vec<u8>>, outcome: Outcome) -> Case {
    Case { name: name.into(), started: true, bytes: bytes.into(), way: Way::AtOnce, outcome, seconds: 5 }
}

fn unstarted(name: impl Into<String>, bytes: impl Into<Vec<u8>>, outcome: Outcome) -> Case {
    Case { started: false, ..case(name, bytes, outcome) }
}

pub fn cases() -> Vec<Case> {
    [
        framing(),
        fragments(),
        utf8(),
        closing(),
        json_oddities(),
        audio(),
        numbers(),
        starts(),
        ids(),
        ends::events(),
        ends::crowds(),
        ends::ends(),
    ]
    .concat()
}

fn framing() -> Vec<Case> {
    let mut all = vec![
        case("an empty ping", frame(0x89, b""), GOES_ON),
        case("a full ping", frame(0x89, &[7; 125]), GOES_ON),
        case("a ping too long", frame(0x89, &[7; 126]), PROTOCOL),
        case("a pong nobody asked for", frame(0x8a, b"hello"), GOES_ON),
        case("a pong too long", frame(0x8a, &[7; 200]), PROTOCOL),
        case("a ping in pieces", frame(0x09, b"a"), PROTOCOL),
        case("a close in pieces", frame(0x08, &[3, 0xe8]), PROTOCOL),
        case("a ping with a reserved bit", frame(0xc9, b""), PROTOCOL),
        case("a close with a reserved bit", frame(0xa8, b""), PROTOCOL),
        case("text without a mask", vec![0x81, 2, b'{', b'}'], PROTOCOL),
        case("a ping without a mask", vec![0x89, 0], PROTOCOL),
        case("a close without a mask", vec![0x88, 2, 3, 0xe8], PROTOCOL),
        case("a mask of zeros", [&[0x89, 0x82, 0, 0, 0, 0][..], b"ab"].concat(), GOES_ON),
        case(
            "a short text with a medium length",
            [&[0x81, 0xfe, 0, 2, 1, 2, 3, 4][..], &[b'{' ^ 1, b'}' ^ 2]].concat(),
            GOES_ON,
        ),
        case(
            "a short text with a long length",
            [&[0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 2, 1, 2, 3, 4][..], &[b'{' ^ 1, b'}' ^ 2]].concat(),
            GOES_ON,
        ),
        case("a gibibyte declared", header(0x81, 1 << 30), TOO_BIG),
        case("a gibibyte declared without its mask", header(0x81, 1 << 30)[..10].to_vec(), TOO_BIG),
        case("the longest length", header(0x81, (1 << 63) - 1), TOO_BIG),
        case("a length with its highest bit", header(0x81, 1 << 63), TOO_BIG),
        case("all ones as a length", header(0x81, u64::MAX), TOO_BIG),
        case("a byte over the limit", header(0x81, 256 * 1024 + 1), TOO_BIG),
        case("binary over the limit", header(0x82, 1 << 24), TOO_BIG),
        case("as long as allowed", frame(0x81, &vec![b' '; 256 * 1024]), GOES_ON),
        case("four mebibytes sent", frame(0x81, &vec![b'x'; 4 << 20]), TOO_BIG),
        case("an empty text", text(""), GOES_ON),
        case("an empty binary", frame(0x82, b""), GOES_ON),
        case("HTTP after the upgrade", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), PROTOCOL),
        case("TLS after the upgrade", [0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3].to_vec(), PROTOCOL),
        case("ten pings", frame(0x89, b"p").repeat(10), GOES_ON),
        Case { way: Way::ByteByByte, ..case("a byte at a time", text(r#"{"event":"clear"}"#), GOES_ON) },
    ];
    for bits in [0x40_u8, 0x20, 0x10, 0x70] {
        all.push(case(format!("text with reserved bits {bits:#x}"), frame(0x81 | bits, b"{}"), PROTOCOL));
    }
    for opcode in [3_u8, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        all.push(case(format!("opcode {opcode}"), frame(0x80 | opcode, b"{}"), PROTOCOL));
    }
    all
}

fn fragments() -> Vec<Case> {
    let message = media_message("s1", 1, &[0; 320]).to_string();
    let (one, two) = message.split_at(100);
    let big = vec![b'x'; 128 * 1024];
    vec![
        case("two pieces", [frame(0x01, one.as_bytes()), frame(0x80, two.as_bytes())].concat(), GOES_ON),
        case(
            "a ping between pieces",
            [frame(0x01, one.as_bytes()), frame(0x89, b"p"), frame(0x80, two.as_bytes())].concat(),
            GOES_ON,
        ),
        case("empty pieces", [frame(0x01, b""), frame(0x00, b""), frame(0x80, b"")].concat(), GOES_ON),
        case("binary in pieces", [frame(0x02, b"ab"), frame(0x80, b"c")].concat(), GOES_ON),
        case("64 pieces", [frame(0x01, b" "), frame(0x00, b" ").repeat(62), frame(0x80, b" ")].concat(), GOES_ON),
        case("65 pieces", [frame(0x01, b" "), frame(0x00, b" ").repeat(63), frame(0x80, b" ")].concat(), TOO_MANY),
        case("20,000 empty pieces", [frame(0x01, b""), frame(0x00, b"").repeat(20_000)].concat(), TOO_MANY),
        case("8 MiB in pieces", [frame(0x01, &big), frame(0x00, &big).repeat(63)].concat(), TOO_BIG),
        case("a piece of nothing", frame(0x80, b"x"), PROTOCOL),
        case("a middle of nothing", frame(0x00, b"x"), PROTOCOL),
        case("a text inside a text", [frame(0x01, b"a"), frame(0x81, b"b")].concat(), PROTOCOL),
        case("a binary inside a text", [frame(0x01, b"a"), frame(0x82, b"b")].concat(), PROTOCOL),
        case("a beginning inside a text", [frame(0x01, b"a"), frame(0x01, b"b")].concat(), PROTOCOL),
        case("a piece after the last", [frame(0x01, b"a"), frame(0x80, b"b"), frame(0x80, b"c")].concat(), PROTOCOL),
    ]
}

fn utf8() -> Vec<Case> {
    let mut all: Vec<Case> = [
        ("a lone continuation", &b"\x80"[..]),
        ("an overlong slash", b"\xc0\xaf"),
        ("an overlong NUL", b"\xc0\x80"),
        ("an overlong three", b"\xe0\x80\x80"),
        ("a surrogate", b"\xed\xa0\x80"),
        ("beyond the last plane", b"\xf4\x90\x80\x80"),
        ("a byte that is never used", b"\xf5\x80\x80\x80"),
        ("FE FF", b"\xfe\xff"),
        ("a cut sequence", b"\xe2\x82"),
        ("good, then bad", b"{\"a\":\"\xce\xba\xff\"}"),
    ]
    .into_iter()
    .map(|(name, bytes)| case(format!("not UTF-8: {name}"), frame(0x81, bytes), NOT_UTF8))
    .collect();
    all.push(case(
        "UTF-8 cut between pieces",
        [frame(0x01, b"{\"a\":\"\xe0\xa4"), frame(0x80, b"\x95\"}")].concat(),
        GOES_ON,
    ));
    all.push(case("not UTF-8 in pieces", [frame(0x01, b"{\"a\":\"\xe0\xa4"), frame(0x80, b"\"}")].concat(), NOT_UTF8));
    all.push(case("binary that is no UTF-8", frame(0x82, b"\xff\xfe"), GOES_ON));
    all.push(case("a ping that is no UTF-8", frame(0x89, b"\xff\xfe"), GOES_ON));
    all
}

fn closing() -> Vec<Case> {
    const ECHO: &[(u16, &[u16])] = &[
        (1000, &[1000]),
        (1001, &[1001]),
        (1002, &[1002]),
        (1003, &[1003]),
        (1007, &[1007]),
        (1008, &[1008]),
        (1009, &[1009]),
        (1010, &[1010]),
        (1011, &[1011]),
        (1012, &[1012]),
        (1013, &[1013]),
        (1014, &[1014]),
        (3000, &[3000]),
        (3999, &[3999]),
        (4000, &[4000]),
        (4999, &[4999]),
    ];
    let echoed = ECHO
        .iter()
        .map(|(code, echo)| case(format!("close {code}"), frame(0x88, &code.to_be_bytes()), Outcome::Closes(echo)));
    let refused = [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535];
    let refused = refused.map(|code| case(format!("close {code}"), frame(0x88, &code.to_be_bytes()), PROTOCOL));
    let with = |reason: &[u8]| frame(0x88, &[&[3, 0xe8], reason].concat());
    let mut all: Vec<Case> = echoed.chain(refused).collect();
    all.extend([
        case("close without a code", frame(0x88, b""), Outcome::Closes(&[1005])),
        case("close of one byte", frame(0x88, &[3]), PROTOCOL),
        case("close with a reason", with(b"bye"), Outcome::Closes(&[1000])),
        case("close with the longest reason", with(&[b'x'; 123]), Outcome::Closes(&[1000])),
        case("close with a reason too long", with(&[b'x'; 124]), PROTOCOL),
        case("close with a reason that is no UTF-8", with(b"\xff\xfe"), NOT_UTF8),
        case("close, then more", [with(b""), text("{}"), frame(0x89, b"x")].concat(), Outcome::Closes(&[1000])),
        case("close twice", with(b"").repeat(2), Outcome::Closes(&[1000])),
        case("close inside a message", [frame(0x01, b"{"), with(b"")].concat(), Outcome::Closes(&[1000])),
    ]);
    all
}

fn json_oddities() -> Vec<Case> {
    let texts: Vec<(&str, String)> = vec![
        ("no JSON", "hello".into()),
        ("cut JSON", r#"{"event":"#.into()),
        ("null", "null".into()),
        ("a number", "42".into()),
        ("a list", "[]".into()),
        ("an empty object", "{}".into()),
        ("event null", r#"{"event":null}"#.into()),
        ("event number", r#"{"event":5}"#.into()),
        ("event list", r#"{"event":["media"]}"#.into()),
        ("event object", r#"{"event":{"event":"stop"}}"#.into()),
        ("event in capitals", r#"{"event":"STOP"}"#.into()),
        ("event with spaces", r#"{"event":" stop "}"#.into()),
        ("an escaped event", r#"{"event":"\u006dedia"}"#.into()),
        ("60,000 brackets", "[".repeat(60_000)),
        ("60,000 braces", "{\"a\":".repeat(12_000)),
        ("5,000 nested objects", format!("{}1{}", "{\"a\":".repeat(5000), "}".repeat(5000))),
        (
            "nested media",
            format!(r#"{{"event":"media","media":{}1{}}}"#, "{\"payload\":".repeat(3000), "}".repeat(3000)),
        ),
        ("nested in an unknown key", format!(r#"{{"event":"clear","x":{}1{}}}"#, "[".repeat(100), "]".repeat(100))),
        ("a lone surrogate", r#"{"event":"clear","x":"\ud800"}"#.into()),
        ("a lone surrogate as event", r#"{"event":"\udc00"}"#.into()),
        ("1e400", r#"{"event":"media","media":{"chunk":1e400,"payload":"AAAA"}}"#.into()),
        ("1e-400", r#"{"event":"media","media":{"chunk":1e-400,"payload":"AAAA"}}"#.into()),
        (
            "a number of 5,000 digits",
            format!(r#"{{"event":"media","sequence_number":{},"media":{{}}}}"#, "9".repeat(5000)),
        ),
        ("NaN", r#"{"event":"media","media":{"chunk":NaN}}"#.into()),
        ("duplicate keys", r#"{"event":"clear","event":"media","media":{},"media":{"payload":"AAAA"}}"#.into()),
        ("a comment", r#"{"event":"clear"/*x*/}"#.into()),
        ("a trailing comma", r#"{"event":"clear",}"#.into()),
        ("single quotes", "{'event':'stop'}".into()),
        ("a byte order mark", "\u{feff}{\"event\":\"stop\"}".into()),
        ("a NUL in it", "{\"event\":\"clear\"\0}".into()),
        ("two values", r#"{"event":"clear"}{"event":"clear"}"#.into()),
        ("a key of 100 KB", format!(r#"{{"{}":1,"event":"clear"}}"#, "k".repeat(100_000))),
        (
            "10,000 keys",
            format!("{{{}\"event\":\"clear\"}}", (0..10_000).map(|n| format!("\"k{n}\":0,")).collect::<String>()),
        ),
        ("prototype keys", r#"{"__proto__":{"event":"stop"},"constructor":1}"#.into()),
    ];
    let mut all: Vec<Case> =
        texts.into_iter().map(|(name, bad)| case(format!("JSON: {name}"), text(&bad), GOES_ON)).collect();
    let good = text(&media_message("s1", 1, &[0; 320]).to_string());
    all.extend([
        case("junk without end", text("junk").repeat(60), TOO_MANY),
        case(
            "junk with something good in between",
            [text("junk").repeat(49), good, text("junk").repeat(49)].concat(),
            GOES_ON,
        ),
        case("binary audio", frame(0x82, &[0x11; 320]), GOES_ON),
        case("binary without end", frame(0x82, &[0x11; 320]).repeat(60), Outcome::Closes(&[1003])),
    ]);
    all
}

fn payload(payload: Value) -> Vec<u8> {
    text(&json!({"event": "media", "stream_sid": "s1", "media": {"chunk": "1", "payload": payload}}).to_string())
}

fn audio() -> Vec<Case> {
    let chunk = |bytes: usize| payload(json!(STANDARD.encode(vec![0; bytes])));
    let mut all: Vec<Case> = [
        ("no base64", json!("%%%%")),
        ("base64 of 3 bytes", json!("AAAA")),
        ("odd bytes", json!(STANDARD.encode([1; 321]))),
        ("one byte", json!("AA==")),
        ("base64 without padding", json!("AAA")),
        ("URL-safe base64", json!("-_-_-_-_")),
        ("too much padding", json!("AA======")),
        ("padding inside", json!("AA==AAAA")),
        ("stray last bits", json!("AB==")),
        ("lines in base64", json!("AAAA\r\nAAAA\n")),
        ("letters of other scripts", json!("नमस्ते")),
        ("empty", json!("")),
        ("spaces", json!("    ")),
        ("a number", json!(7)),
        ("true", json!(true)),
        ("null", json!(null)),
        ("a list", json!([1, 2, 3])),
        ("an object", json!({"a": "AAAA"})),
    ]
    .into_iter()
    .map(|(name, value)| case(format!("audio: {name}"), payload(value), GOES_ON))
    .collect();
    let at_once: Vec<u8> =
        (1..=1500).flat_map(|n| text(&media_message("s1", n, &[n as u8; 320]).to_string())).collect();
    all.extend([
        case("audio: no payload", text(r#"{"event":"media","media":{}}"#), GOES_ON),
        case("audio: no media", text(r#"{"event":"media"}"#), GOES_ON),
        case("audio: media as text", text(r#"{"event":"media","media":"AAAA"}"#), GOES_ON),
        case("audio: 100 KB", chunk(100_000), GOES_ON),
        case("audio: 10 bytes", chunk(10), GOES_ON),
        case("audio: 4 MB", chunk(4_000_000), TOO_BIG),
        case("audio: 30 s at once", at_once, GOES_ON),
        case("audio: of another stream", text(&media_message("s2", 1, &[0x11; 320]).to_string()), GOES_ON),
    ]);
    all
}

fn numbers() -> Vec<Case> {
    let mut all: Vec<Case> = [
        ("0", json!("0")),
        ("2^63", json!("9223372036854775808")),
        ("2^64 - 1", json!(u64::MAX)),
        ("2^64", json!("18446744073709551616")),
        ("a hundred digits", json!("9".repeat(100))),
        ("negative", json!(-5)),
        ("negative text", json!("-5")),
        ("text", json!("twelve")),
        ("a fraction", json!(1.5)),
        ("hexadecimal", json!("0x10")),
        ("Devanagari digits", json!("१२")),
        ("null", json!(null)),
        ("a list", json!([1])),
        ("an object", json!({"n": 1})),
    ]
    .into_iter()
    .map(|(name, number)| {
        let mut odd = media_message("s1", 9, &[0; 320]);
        odd["media"]["chunk"] = number.clone();
        odd["media"]["timestamp"] = number.clone();
        odd["sequence_number"] = number;
        case(format!("numbered {name}"), text(&odd.to_string()), GOES_ON)
    })
    .collect();
    for (name, order) in [
        ("a gap", &[1_u64, 2, 500, 501][..]),
        ("an endless gap", &[1, 2, 1 << 60, (1 << 60) + 1]),
        ("backwards", &[50, 49, 48, 1]),
        ("repeated", &[1, 1, 1, 1, 2, 2, 2]),
        ("to and fro", &[1, u64::MAX, 1, u64::MAX, 1]),
    ] {
        let frames = order.iter().flat_map(|&n| text(&media_message("s1", n, &[0; 320]).to_string()));
        all.push(case(format!("numbered with {name}"), frames.collect::<Vec<u8>>(), GOES_ON));
    }
    all
}

fn starts() -> Vec<Case> {
    let start = |change: &dyn Fn(&mut Value)| {
        let mut start = start_message("replaced", "s1", "8000");
        start["start"].as_object_mut().unwrap().remove("call_sid");
        change(&mut start);
        text(&start.to_string())
    };
    let rate = |rate: Value| start(&|start| start["start"]["media_format"]["sample_rate"] = rate.clone());
    let mut all: Vec<Case> = [
        ("44100", json!("44100"), WRONG_RATE),
        ("0", json!("0"), WRONG_RATE),
        ("0 as a number", json!(0), WRONG_RATE),
        ("-8000", json!("-8000"), WRONG_RATE),
        ("-8000 as a number", json!(-8000), WRONG_RATE),
        ("text", json!("fast"), WRONG_RATE),
        ("7999", json!("7999"), WRONG_RATE),
        ("a billion", json!(1_000_000_000), WRONG_RATE),
        ("20 digits", json!("80000000000000000000"), WRONG_RATE),
        ("11025", json!(11_025), WRONG_RATE),
        ("48000", json!(48_000), WRONG_RATE),
        ("8000 as a number", json!(8000), GOES_ON),
        ("16000", json!("16000"), GOES_ON),
        ("24000", json!("24000"), GOES_ON),
        ("null", json!(null), GOES_ON),
        ("a list", json!([8000]), GOES_ON),
    ]
    .into_iter()
    .map(|(name, given, outcome)| unstarted(format!("sample rate {name}"), rate(given), outcome))
    .collect();
    let other = |start: &mut Value| start["start"]["call_sid"] = json!("another-call");
    all.extend([
        unstarted("a start of another call", start(&other), Outcome::Closes(&[4403, 4404])),
        unstarted("a start without a call", start(&|_| {}), GOES_ON),
        unstarted("a start without facts", text(r#"{"event":"start"}"#), GOES_ON),
        unstarted("a start of text", text(r#"{"event":"start","start":"now"}"#), GOES_ON),
        unstarted(
            "media before the start",
            [text(&media_message("s1", 1, &[0; 320]).to_string()).repeat(200), start(&|_| {})].concat(),
            GOES_ON,
        ),
        unstarted(
            "keys and marks before the start",
            [
                text(r#"{"event":"dtmf","dtmf":{"digit":"1"}}"#),
                text(r#"{"event":"mark","mark":{"name":"x"}}"#),
                start(&|_| {}),
            ]
            .concat(),
            GOES_ON,
        ),
        case("a second start", start(&|_| {}), GOES_ON),
        case("a second start of another stream", start(&|start| start["stream_sid"] = json!("s2")), GOES_ON),
        case("a second start of another call", start(&other), GOES_ON),
        case("a second start at another rate", rate(json!("44100")), GOES_ON),
        case("a hundred starts", start(&|_| {}).repeat(100), GOES_ON),
    ]);
    all
}

fn ids() -> Vec<Case> {
    let hostile = [
        ("SQL", "'; DROP TABLE calls; --"),
        ("traversal", "../../../../etc/passwd"),
        ("a line break", "x\nforged log line level=error"),
        ("escape codes", "\u{1b}[2J\u{1b}[31mred"),
        ("NUL", "a\0b"),
        ("direction marks", "\u{202e}gnp.exe"),
        ("markup", "<script>alert(1)</script>"),
        ("a template", "${jndi:ldap://127.0.0.1/x} {{7*7}} %s%n"),
        ("128 letters", "नमस्तेनमस्तेनमस्तेनमस्तेनमस्तेनमस्ते"),
    ];
    let mut all = Vec::new();
    for (name, id) in hostile {
        for field in ["stream_sid", "account_sid", "from", "to"] {
            let mut start = start_message("x", "s1", "8000");
            let facts = start["start"].as_object_mut().unwrap();
            facts.remove("call_sid");
            facts.insert(field.to_owned(), json!(id));
            facts.insert("custom_parameters".to_owned(), json!({id: id}));
            if field == "stream_sid" {
                start["stream_sid"] = json!(id);
            }
            all.push(unstarted(format!("{name} as {field}"), text(&start.to_string()), GOES_ON));
        }
    }
    let long = "x".repeat(10_000);
    let start = json!({"event": "start", "stream_sid": long, "start": {"from": long, "to": long, "account_sid": long}});
    all.push(unstarted("ids of 10 KB", text(&start.to_string()), GOES_ON));
    let many: serde_json::Map<String, Value> = (0..5000).map(|n| (format!("p{n}"), json!("v"))).collect();
    let start = json!({"event": "start", "stream_sid": "s1", "start": {"custom_parameters": many}});
    all.push(unstarted("5,000 parameters", text(&start.to_string()), GOES_ON));
    all
}
